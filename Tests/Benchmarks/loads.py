"""What is sent through a tunnel or at a gateway, and what that cost."""

import json
import time
from pathlib import Path

import programs
from lab import BenchError, until
from machine import Processors, cpu_seconds
from network import GATEWAY, LOAD_CORE, SERVER
from programs import ESP, IKE, MINE, PSK

PACED = Path(__file__).resolve().parent / "paced"


def tcp(lab, tunnel, direction, seconds):
    """One TCP stream through the tunnel: Gbit/s, and the gateway's CPU seconds per GB."""
    server = lab.start("iperf3-server", ["iperf3", "-s", "-1", "-p", "5201"], namespace="srv", core=LOAD_CORE)
    until(lambda: ":5201 " in lab.inside("srv", "ss", "-Hltn"), "iperf3's server")
    before, processors = cpu_seconds(tunnel.pid), Processors()
    down = ["-R"] if direction == "down" else []
    client = lab.start("iperf3", ["iperf3", "-c", SERVER, "-p", "5201", "-J", "-t", seconds, "-C", "cubic"] + down, namespace="client",
                       core=LOAD_CORE)
    report = json.loads(client.result(seconds + 30))
    cpu, busy = cpu_seconds(tunnel.pid) - before, processors.busy()
    lab.stop(server)
    lab.stop(client)
    if "error" in report:
        raise BenchError(f"iperf3: {report['error']}")
    received = report["end"]["sum_received"]
    return {"gbps": received["bits_per_second"] / 1e9, "cpu_per_gb": cpu / (received["bytes"] / 1e9), "busy": busy,
            "retransmits": report["end"]["sum_sent"].get("retransmits")}


def thin(lab, tunnel, address, direction, octets=64, rate=20_000, seconds=4, port=[20_000]):
    """Datagrams so small and so far apart that nothing can be joined: the gateway's CPU microseconds for each that arrived."""
    port[0] += 1
    sender, receiver, target = ("client", "srv", SERVER) if direction == "up" else ("srv", "client", address)
    counter = lab.start("count", [PACED, "count", target, port[0], seconds + 30], namespace=receiver, core=LOAD_CORE)
    counter.wait_for("bound")
    before, processors = cpu_seconds(tunnel.pid), Processors()
    source = lab.start("send", [PACED, "send", target, port[0], octets, rate, seconds], namespace=sender, core=LOAD_CORE)
    sent = json.loads(source.result(seconds + 20))
    # what is on its way arrives
    time.sleep(0.3)
    cpu, busy = cpu_seconds(tunnel.pid) - before, processors.busy()
    for program in (source, counter):
        lab.stop(program)
    counted = json.loads(counter.output.splitlines()[-1])
    # what is lost in plenty was not carried thin: it came in bursts
    if counted["received"] < 0.5 * sent["sent"]:
        raise BenchError(f"of {sent['sent']} datagrams {counted['received']} came through ({direction})")
    return {"us": cpu * 1e6 / counted["received"], "kpps": counted["received"] / max(counted["seconds"], 1e-3) / 1e3, "busy": busy,
            "loss": 1 - counted["received"] / max(sent["sent"], 1)}


def ipsec_load(lab, subcommand, *options, name=None, seconds=None, core=None):
    """Starts `ipsec-load SUBCOMMAND` at the gateway; `seconds`: waits so long for its JSON."""
    # who floods does not log in
    who = [] if subcommand == "flood" else ["--psk", PSK, "--id", "client%n.test", "--remote-id", "gw.test", "--esp", ESP["gcm"]]
    program = lab.start(name or f"load-{subcommand}",
                        [programs.BIN / "ipsec-load", subcommand, "--gateway", GATEWAY, "--ike", IKE, *who, *options, "--json", MINE],
                        namespace="client", core=LOAD_CORE if core is None else core)
    return program if seconds is None else finished(lab, program, seconds)


def far_side(lab, listen):
    """What `ipsec-load traffic` sends to and gets packets from, behind the gateway."""
    program = lab.start("reflect", [programs.BIN / "ipsec-load", "reflect", "--listen", listen, MINE], namespace="srv", core=LOAD_CORE)
    program.wait_for("reflecting on")
    return program


def finished(lab, program, seconds):
    """The JSON at the end of the output."""
    output = program.result(seconds)
    lab.stop(program)
    at = output.find("{")
    while at >= 0:
        try:
            return json.JSONDecoder().raw_decode(output[at:])[0]
        except ValueError:
            at = output.find("{", at + 1)
    raise BenchError(f"{program.name} printed no JSON: {program.last_words}")


def setups(lab, gateway, rate, clients, seconds):
    """Logins at a fixed rate, each deleted once it stands; the gateway's CPU for one."""
    before, processors = cpu_seconds(gateway.pid), Processors()
    report = ipsec_load(lab, "setup", "--rate", rate, "--clients", clients, "--for", f"{seconds}s", seconds=seconds + 60)
    # Deletes are answered, and what ends with them is done, within this time
    time.sleep(0.5)
    cpu, busy = cpu_seconds(gateway.pid) - before, processors.busy()
    done = report["established"]
    return {"rate": rate, "established": done, "started": report["started"], "p99": report.get("p99Milliseconds"),
            "cpu_ms": cpu * 1e3 / done if done else None, "busy": busy, "failures": report.get("failures", [])}
