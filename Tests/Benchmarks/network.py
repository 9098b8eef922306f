"""Three machines in a row, as namespaces, on two processors:

    client 10.99.1.2 ---- 10.99.1.1 gw 10.99.2.1 ---- 10.99.2.2 srv
    core 0                core 1                      core 0

The gateway has a processor of its own, its interrupts with it; clients, servers and load share the other one.
"""

import time

from lab import run

# whom a flood pretends to come from
STRANGERS = "198.18.0.0/15"
CLIENT, GATEWAY, SERVER, LAN = "10.99.1.2", "10.99.1.1", "10.99.2.2", "10.99.2.0/24"
LOAD_CORE, GATEWAY_CORE = 0, 1
ENDS = {"client": ["cg"], "gw": ["gc", "gs"], "srv": ["sg"]}
MASK = {"client": "1", "gw": "2", "srv": "1"}
# as on hosts that are meant to carry much; the same for every program that is measured
SYSCTL = ["net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
          "net.ipv4.tcp_rmem=4096 131072 16777216", "net.ipv4.tcp_wmem=4096 65536 16777216"]


class Network:
    def __init__(self, lab):
        self.lab = lab
        for name in ENDS:
            lab.add_namespace(name)
        self._link("client", "cg", CLIENT, "gw", "gc", GATEWAY)
        self._link("gw", "gs", "10.99.2.1", "srv", "sg", SERVER)
        run("ip", "-n", lab.namespace("srv"), "route", "add", "default", "via", "10.99.2.1")
        # answers to strangers go out of the gateway, and nobody complains of them
        run("ip", "-n", lab.namespace("gw"), "route", "add", STRANGERS, "via", CLIENT)
        run("ip", "-n", lab.namespace("client"), "route", "add", "blackhole", STRANGERS)
        for name, devices in ENDS.items():
            lab.inside(name, "sysctl", "-qw", *SYSCTL)
            for device in devices:
                self._set(name, device, "queues/rx-0/rps_cpus", MASK[name])

    def _link(self, left, left_device, left_address, right, right_device, right_address):
        one, other = self.lab.device(left_device), self.lab.device(right_device)
        run("ip", "link", "add", one, "netns", self.lab.namespace(left), "type", "veth", "peer", "name", other,
            "netns", self.lab.namespace(right))
        for name, device, address in [(left, one, left_address), (right, other, right_address)]:
            run("ip", "-n", self.lab.namespace(name), "address", "add", f"{address}/24", "dev", device)
            run("ip", "-n", self.lab.namespace(name), "link", "set", device, "up")

    def _set(self, name, device, file, value):
        self.lab.inside(name, "sh", "-c", f"echo {value} > /sys/class/net/{self.lab.device(device)}/{file}")

    def wire(self, is_wire):
        """Whether the outer link behaves as a network card's: packets of 1500 octets, joined again by the receiver's NAPI on its own processor.
        Without it a veth pair hands over super-packets whole, which flatters whoever sends them."""
        state = ("off", "on") if is_wire else ("on", "off")
        for name, device, core in [("client", "cg", LOAD_CORE), ("gw", "gc", GATEWAY_CORE)]:
            full = self.lab.device(device)
            features = ["ethtool", "-K", full, "tx-udp-segmentation", state[0], "tso", state[0], "gro", state[1]]
            if not is_wire:
                # while there is a NAPI instance: veth has one only with GRO
                self._set(name, device, "threaded", 0)
                self.lab.inside(name, *features)
                continue
            self.lab.inside(name, *features)
            self._set(name, device, "threaded", 1)
            time.sleep(0.3)
            for thread in run("pgrep", f"napi/{full}", may_fail=True).split():
                run("taskset", "-c", "-p", core, thread)

    def octets(self, device):
        """Received and sent by a device of the gateway, since it was made."""
        for line in self.lab.inside("gw", "cat", "/proc/net/dev").splitlines():
            name, _, values = line.partition(":")
            if name.strip() == self.lab.device(device):
                fields = values.split()
                return int(fields[0]), int(fields[8])
        return 0, 0
