"""What is measured: our gateway and client, strongSwan as either, and the ceiling. All of them serve one service: LAN behind the gateway."""

import json
import os
import shutil
import subprocess

from lab import BenchError, run, until
from machine import ROOT, SHARED
from network import CLIENT, GATEWAY, GATEWAY_CORE, LAN, LOAD_CORE

PSK = "a long and random text of the benchmarks"
POOL, POOL_FIRST, POOL_LAST, POOL_ROUTER = "10.100.0.0/16", "10.100.0.10", "10.100.250.250", "10.100.0.1"
IKE = "aes128gcm16-prfsha256-x25519"
ESP = {"gcm": "aes128gcm16", "cbc": "aes256-sha256"}
BIN = ROOT / ".build-release/release"
# the namespaces are our own, which a container may hide from ipsec-load
MINE = "--yes-this-is-my-gateway"


class OurGateway:
    """`ipsec-gw` with one worker, its defaults otherwise; logins come from one address here, so what is allowed of one address is raised."""

    name = "ipsec-gw"

    def __init__(self, lab, workers=1, core=GATEWAY_CORE):
        self.lab, self.folder = lab, lab.folder_for("gw")
        configuration = self.folder / "ipsec-gw.yaml"
        (self.folder / "state").mkdir()
        configuration.write_text(f"""
management:
  control-socket: {self.folder}/control.sock
  state-directory: {self.folder}/state
  log: {{ level: warning, format: text }}
tunnel-group: {{ 1: {{ workers: {workers} }} }}
service:
  lan: {{ id: 1, interface: {{ priv0: {{ address: [{POOL_ROUTER}/16] }} }} }}
local-dhcp-server:
  rw: {{ pool: {{ all: {{ subnet: {POOL}, range: [{{ begin: {POOL_FIRST}, end: {POOL_LAST} }}] }} }} }}
ipsec:
  ipsec-transform:
    1: {{ esp-encryption-algorithm: aes128-gcm16, esp-auth-algorithm: auth-encryption, extended-sequence-number: false }}
    2: {{ esp-encryption-algorithm: aes-256, esp-auth-algorithm: sha-256, extended-sequence-number: false }}
  ike-policy:
    1:
      ike-version-2: {{ auth-method: psk }}
      half-open: {{ per-address: 65535 }}
  tunnel-template: {{ 1: {{ ipsec-transform: [1, 2] }} }}
ipsec-gateway:
  rw:
    sap: bench
    ike-policy: 1
    tunnel-group: 1
    default-tunnel-template: 1
    default-secure-service: {{ service-name: lan, interface: priv0 }}
    local: {{ gateway-address: {GATEWAY}, id: {{ fqdn: gw.test }}, address-assignment: {{ ipv4: {{ dhcp-server: rw, pool: all }} }} }}
    pre-shared-key: "{PSK}"
""")
        self.program = lab.start("ipsec-gw", [BIN / "ipsec-gw", "run", "--config", configuration], namespace="gw", core=core)
        self.program.wait_for("ready")

    @property
    def pid(self):
        return self.program.pid

    def report(self, what):
        """What `ipsec-gwctl` says; it runs on the other processor."""
        command = ["taskset", "-c", LOAD_CORE, BIN / "ipsec-gwctl", "--socket", self.folder / "control.sock", "--json", what]
        return json.loads(self.lab.inside("gw", *command))


class OurClient:
    """`ipsec-load connect` with a TUN device."""

    name = "ipsec-load"

    def __init__(self, lab, esp="gcm"):
        self.program = lab.start(
            "ipsec-load", [BIN / "ipsec-load", "connect", "--gateway", GATEWAY, "--psk", PSK, "--id", "client.test", "--remote-id", "gw.test",
                           "--ike", IKE, "--esp", ESP[esp], "--tun", lab.device("tun"), "--route", LAN, MINE], namespace="client", core=LOAD_CORE)
        line = self.program.wait_for("connected ")
        self.address = line.split("inner=")[1].split()[0].split(",")[0]

    @property
    def pid(self):
        return self.program.pid


class StrongSwan:
    """charon with kernel-libipsec: ESP in its process, as ours. A charon of its own: settings, vici socket."""

    name = "strongSwan"

    def __init__(self, lab, side, namespace, core):
        self.lab, self.namespace, self.folder = lab, namespace, lab.folder_for("ss")
        self.socket, self.settings = self.folder / "vici", self.folder / "strongswan.conf"
        # aesni before aes and gcm, or AES-GCM runs in portable C, eight times slower. As a responder it is asked for many logins from one
        # address, as ours is: without dos_protection
        self.settings.write_text(f"""
charon-systemd {{
  load = aesni aes sha2 sha1 mgf1 rdrand random nonce x509 pubkey pkcs1 pem openssl gmp curve25519 hmac kdf gcm kernel-libipsec kernel-netlink socket-default updown vici
  install_routes = yes
  install_virtual_ip = yes
  dos_protection = no
  plugins {{
    vici {{ socket = unix://{self.socket} }}
    kernel-libipsec {{ allow_peer_ts = no }}
  }}
  filelog {{ stdout {{ default = 0
    flush_line = yes }} }}
  journal {{ default = -1 }}
}}
swanctl {{ load = pem pkcs1 x509 revocation constraints pubkey openssl random }}
""")
        if not shutil.which("charon-systemd", path="/usr/sbin:/usr/bin"):
            raise BenchError("strongSwan (charon-systemd) is not installed")
        self.program = lab.start(f"charon-{side}", ["/usr/sbin/charon-systemd"], namespace=namespace, core=core,
                                 environment={"STRONGSWAN_CONF": str(self.settings)})
        until(lambda: self.program.process.poll() is not None or self.socket.exists() and self._swanctl("--stats", may_fail=True),
              "charon's vici socket")

    def _swanctl(self, *arguments, **options):
        return run("ip", "netns", "exec", self.lab.namespace(self.namespace), "swanctl", *arguments, "--uri", f"unix://{self.socket}",
                   environment={"STRONGSWAN_CONF": str(self.settings)}, **options)

    def load(self, text):
        file = self.folder / "swanctl.conf"
        file.write_text(text + f'secrets {{ ike-1 {{ secret = "{PSK}" }} }}\n')
        self._swanctl("--load-all", "--file", file)

    @property
    def pid(self):
        return self.program.pid


class StrongSwanGateway(StrongSwan):
    def __init__(self, lab):
        super().__init__(lab, "gw", "gw", GATEWAY_CORE)
        self.load(f"""
connections {{ ra {{ version = 2
  local_addrs = {GATEWAY}
  proposals = {IKE}
  pools = p1
  unique = never
  local {{ auth = psk
    id = gw.test }}
  remote {{ auth = psk }}
  children {{ net {{ local_ts = {LAN}
    esp_proposals = {ESP['gcm']},{ESP['cbc']} }} }} }} }}
pools {{ p1 {{ addrs = {POOL} }} }}
""")


class StrongSwanClient(StrongSwan):
    def __init__(self, lab, esp="gcm"):
        super().__init__(lab, "cl", "client", LOAD_CORE)
        self.load(f"""
connections {{ ra {{ version = 2
  local_addrs = {CLIENT}
  remote_addrs = {GATEWAY}
  vips = 0.0.0.0
  proposals = {IKE}
  local {{ auth = psk
    id = client.test }}
  remote {{ auth = psk
    id = gw.test }}
  children {{ net {{ remote_ts = {LAN}
    esp_proposals = {ESP[esp]} }} }} }} }}
""")
        self._swanctl("--initiate", "--child", "net", "--timeout", "10", timeout=20)
        found = [word.split("=", 1)[1] for word in self._swanctl("--list-sas", "--raw").replace("[", " ").replace("]", " ").split()
                 if word.startswith("local-vips=")]
        self.address = found[0] if found and found[0] else self._virtual_address()

    def _virtual_address(self):
        text = self._swanctl("--list-sas")
        for line in text.splitlines():
            if "[" in line and "local" in line and line.rstrip().endswith("]"):
                address = line.rstrip().rsplit("[", 1)[1].rstrip("]")
                if address.count(".") == 3:
                    return address
        raise BenchError(f"strongSwan has no address: {text.strip()[-300:]}")


class Ceiling:
    """The single-SA forwarder without IKE or policy, at both ends: what a program of this design could reach. Only where its source is."""

    name = "ceiling"
    address = "10.100.0.9"

    def __init__(self, lab):
        binary = self.build(lab)
        self.ends = []
        for namespace, core, device, local, peer, spis in [("gw", GATEWAY_CORE, "tg", GATEWAY, CLIENT, ("0x1001", "0x1002")),
                                                           ("client", LOAD_CORE, "tc", CLIENT, GATEWAY, ("0x1002", "0x1001"))]:
            device = lab.device(device)
            self.ends.append(lab.start(f"esptun-{namespace}", [binary, f"tun={device}", f"lip={local}", f"pip={peer}", f"spi_in={spis[0]}",
                                                               f"spi_out={spis[1]}", "crypto=mb", "vnet=1", "gso=1", "gro=1", "coal=1"],
                                       namespace=namespace, core=core))
            full = lab.namespace(namespace)
            until(lambda: run("ip", "-n", full, "link", "show", device, may_fail=True), "the ceiling's device")
            if namespace == "client":
                run("ip", "-n", full, "address", "add", f"{self.address}/32", "dev", device)
            run("ip", "-n", full, "link", "set", device, "mtu", "1400", "up")
            route = [f"{self.address}/32"] if namespace == "gw" else [LAN, "src", self.address]
            run("ip", "-n", full, "route", "add", route[0], "dev", device, *route[1:])

    @property
    def pid(self):
        return self.ends[0].pid

    @staticmethod
    def build(lab):
        binary = lab.folder / "esptun"
        if not binary.exists():
            source = SHARED / "esptun.c"
            if not source.exists():
                raise BenchError("../shared/tools/perf/esptun.c is not there")
            command = ["cc", "-O3", "-march=native", "-w", "-o", str(binary), str(source), "-lIPSec_MB", "-lcrypto"]
            done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
            if done.returncode != 0:
                raise BenchError("the ceiling program does not compile: " + done.stderr.strip().splitlines()[-1])
        return binary


def can(subcommand):
    """Whether `ipsec-load` has a subcommand."""
    return subprocess.run([BIN / "ipsec-load", subcommand, "--help"], capture_output=True).returncode == 0
