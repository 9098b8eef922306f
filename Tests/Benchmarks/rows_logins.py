"""Rows about logins and about many sessions; the load is always `ipsec-load`."""

import time

import loads
from lab import BenchError, progress, until
from machine import MemorySamples, Processors, cores, cpu_seconds, resident_octets
from network import SERVER, STRANGERS
from programs import OurGateway, StrongSwanGateway, can

CLIENTS = 2000
# a login that takes longer than this is too late
PATIENCE = 250
# seconds of traffic before it counts: with its first packets each session asks three times after its path's MTU, and then for ten minutes no more
PROBING = 5
# logins a second while sessions are brought up for other rows
RAMP = 200


def setup(sitting):
    """The CPU of a login and its Delete, ours and strongSwan's; then as many logins a second as our gateway bears."""
    lab, found = sitting.lab, {"ours": [], "strongswan": [], "rates": [], "missing": {}}
    for number in range(sitting.runs):
        for label, gateway in (("ours", OurGateway), ("strongswan", StrongSwanGateway)):
            if label in found["missing"]:
                continue
            try:
                measured = loads.setups(lab, gateway(lab), 100, 200, 2 * sitting.seconds)
                if not measured["established"]:
                    raise BenchError(f"no login succeeded: {measured['failures']}")
                found[label].append(measured)
                progress(f"setup, run {number + 1}, {label}: {measured['cpu_ms']:.3f} ms of CPU, {measured['established']} of "
                         f"{measured['started']}, p99 {measured['p99']:.1f} ms")
            except BenchError as error:
                found["missing"][label] = str(error)
                progress(f"setup, {label}: not measured: {error}")
            finally:
                lab.stop_all()
    for number in range(sitting.runs):
        found["rates"].append(_highest_rate(sitting, number))
    return found


def _bears(sitting, gateway, rate, tried):
    measured = loads.setups(sitting.lab, gateway, rate, max(CLIENTS, 2 * rate), max(sitting.seconds, 4))
    measured["bears"] = (measured["established"] >= 0.99 * measured["started"] and measured["started"] >= 0.97 * rate * max(sitting.seconds, 4)
                         and (measured["p99"] or 1e9) < PATIENCE)
    tried.append(measured)
    return measured["bears"]


def _highest_rate(sitting, number):
    """Doubled while it bears it, then halved in between, to 5 %; each try meets a fresh gateway."""
    low, high, rate, tried = 0, None, 250, []
    while high is None or high - low > 0.05 * high:
        try:
            bears = _bears(sitting, OurGateway(sitting.lab), rate, tried)
        except BenchError as error:
            bears = False
            tried.append({"rate": rate, "error": str(error)})
        finally:
            sitting.lab.stop_all()
        last = tried[-1]
        progress(f"setup, run {number + 1}, {rate} a second: " + ("borne" if bears else "too many") + f", p99 {last.get('p99') or 0:.0f} ms, "
                 f"{last.get('established')} of {last.get('started')}, processors busy {last.get('busy')} {last.get('failures') or ''} {last.get('error', '')}")
        low, high = (rate, high) if bears else (low, rate)
        if high is None and rate >= 16_000:
            break
        rate = rate * 2 if high is None else (low + high) // 2
        if high is not None and high < 20:
            break
    return {"rate": low, "tried": tried}


def _held(sitting, gateway, count):
    """`ipsec-load hold` with so many clients, all of them in."""
    if not can("hold"):
        raise BenchError("ipsec-load has no `hold`")
    program = loads.ipsec_load(sitting.lab, "hold", "--clients", count, "--ramp", RAMP, "--liveness", 0, name=f"hold-{count}")

    def all_in():
        if program.process.poll() is not None:
            raise BenchError(f"ipsec-load hold ended with {program.process.returncode}: {program.last_words}")
        try:
            return sum(report["sessions"] for report in gateway.report("gateways")) >= count
        except BenchError:
            # busy with logins
            return False

    until(all_in, f"{count} sessions", seconds=60 + count // 20, pause=1)
    return program


def memory(sitting):
    """Resident memory with 1,000 and with 10,000 idle sessions, ours."""
    lab, found, missing = sitting.lab, [], {}
    for number in range(sitting.runs):
        try:
            resident = {}
            for count in (1000, 10_000):
                gateway = OurGateway(lab)
                _held(sitting, gateway, count)
                time.sleep(3)
                resident[count] = resident_octets(gateway.pid)
                lab.stop_all()
            slope = (resident[10_000] - resident[1000]) / 9000
            found.append({"resident": resident, "octets_per_session": slope})
            progress(f"memory, run {number + 1}: {slope / 1024:.1f} KiB a session ({resident})")
        except BenchError as error:
            missing["ours"] = str(error)
            progress(f"memory: not measured: {error}")
            break
        finally:
            lab.stop_all()
    return {"ours": found, "missing": missing}


def sessions(sitting):
    """As many packets as our gateway takes through 1, 1,000 and 10,000 sessions, all of them active."""
    lab, found, missing = sitting.lab, {}, {}
    for number in range(sitting.runs):
        for count in (1, 1000, 10_000):
            if missing:
                break
            try:
                measured = _traffic(sitting, OurGateway(lab), count)
                found.setdefault(str(count), []).append(measured)
                progress(f"sessions, run {number + 1}, {count}: {measured}")
            except BenchError as error:
                missing[str(count)] = str(error)
                progress(f"sessions, {count}: not measured: {error}")
            finally:
                lab.stop_all()
    return {"sessions": found, "missing": missing}


def _traffic(sitting, gateway, count, size=1400, core=None, rate=None):
    """Packets both ways through so many sessions, `rate` a second each way, and the gateway's CPU while they flow."""
    rate = rate or sitting.rate
    if not can("traffic") or not can("reflect"):
        raise BenchError("ipsec-load has no `traffic`")
    lab, far = sitting.lab, f"{SERVER}:7007"
    mirror = loads.far_side(lab, far)
    program = loads.ipsec_load(lab, "traffic", "--to", far, "--clients", count, "--size", size, "--rate", rate, "--ramp", RAMP, "--liveness", 0,
                               "--for", f"{sitting.seconds + PROBING + 4}s", name=f"traffic-{count}", core=core)

    def flows():
        if program.process.poll() is not None:
            raise BenchError(f"ipsec-load traffic ended with {program.process.returncode}: {program.last_words}")
        early = sum(sitting.network.octets("gs"))
        time.sleep(0.5)
        return sum(sitting.network.octets("gs")) - early > rate * size / 4

    until(flows, f"traffic through {count} sessions", seconds=60 + count // 20, pause=0.1)
    time.sleep(PROBING)
    before, began, processors = cpu_seconds(gateway.pid), time.monotonic(), Processors()
    time.sleep(sitting.seconds)
    share, busy = (cpu_seconds(gateway.pid) - before) / (time.monotonic() - began), processors.busy()
    report = loads.finished(lab, program, 120 + count // 20)
    lab.stop(mirror)
    ways = [report["up"], report["down"]]
    arrived = sum(way["perSecond"] for way in ways)
    if report["established"] < count or not arrived:
        raise BenchError(f"{report['established']} of {count} sessions stood, {arrived:.0f} packets a second arrived: {report.get('failures')}")
    return {"kpps": arrived / 1e3, "us": share * 1e6 / arrived, "loss": 1 - sum(way["received"] for way in ways) / max(sum(way["sent"] for way in ways), 1),
            "busy": busy, "established": report.get("established"), "corrupted": sum(way["corrupted"] for way in ways)}


def workers(sitting):
    """Thin flows through one worker on one processor, and twice as many through two on two: CPU of a packet, so what processors would carry."""
    lab, found, missing = sitting.lab, {}, {}
    # with four processors gateway and load have two each; with two, the second worker shares one with the load
    both, load = ("1-2", "0,3") if cores() >= 4 else ("0-1", "0")
    for number in range(sitting.runs):
        for count, core in ((1, "1"), (2, both)):
            try:
                gateway = OurGateway(lab, workers=count, core=core)
                measured = _traffic(sitting, gateway, 200, size=100, core=load, rate=sitting.rate * count // 2)
                found.setdefault(str(count), []).append(measured)
                progress(f"workers, run {number + 1}, {count}: {measured}")
            except BenchError as error:
                missing[str(count)] = str(error)
                progress(f"workers, {count}: not measured: {error}")
            finally:
                lab.stop_all()
    return {"workers": found, "missing": missing}


def flood(sitting):
    """Spoofed first messages at our gateway while clients log in: who gets in, and what grows."""
    lab, found, missing = sitting.lab, [], {}
    if not can("flood"):
        return {"ours": [], "missing": {"ours": "ipsec-load has no `flood`"}}
    seconds = sitting.flood_seconds
    for number in range(sitting.runs):
        try:
            gateway = OurGateway(lab)
            loads.setups(lab, gateway, 20, 100, 5)
            octets, cpu, samples = sitting.network.octets("gc"), cpu_seconds(gateway.pid), MemorySamples(gateway.pid)
            attack = loads.ipsec_load(lab, "flood", "--kind", "spoofed", "--from", STRANGERS, "--rate", sitting.flood_rate, "--for", f"{seconds}s")
            time.sleep(1)
            legitimate = loads.setups(lab, gateway, 20, 200, max(seconds - 3, 2))
            sent = loads.finished(lab, attack, seconds + 60)
            resident = samples.taken()
            octets = [late - early for late, early in zip(sitting.network.octets("gc"), octets)]
            found.append({"legitimate": legitimate, "resident": resident, "octets_in": octets[0], "octets_out": octets[1],
                          "cpu": cpu_seconds(gateway.pid) - cpu, "flood": sent, "seconds": seconds, "gateways": gateway.report("gateways")})
            progress(f"flood, run {number + 1}: {legitimate['established']} of {legitimate['started']} logins, resident {resident[0] >> 20} to "
                     f"{max(resident) >> 20} MiB, octets in {octets[0]}, out {octets[1]}, {sent}")
        except BenchError as error:
            missing["ours"] = str(error)
            progress(f"flood: not measured: {error}")
        finally:
            lab.stop_all()
    return {"ours": found, "missing": missing}
