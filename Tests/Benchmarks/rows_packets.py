"""Rows about packets. A row is a function of the sitting; what it returns is kept as JSON and read by report.py."""

from contextlib import contextmanager

import loads
from lab import BenchError, progress
from programs import Ceiling, OurClient, OurGateway, StrongSwanClient, StrongSwanGateway

WAYS = ("up", "down")


class Tunnel:
    """A gateway and its client, up."""

    def __init__(self, lab, gateway, client):
        self.gateway, self.client = gateway, client

    @property
    def pid(self):
        return self.gateway.pid

    @property
    def address(self):
        return self.client.address


@contextmanager
def tunnel(lab, system, esp="gcm"):
    """`ours`, `strongswan`, `mixed` (our gateway, strongSwan's client) or `ceiling`, taken down afterwards."""
    try:
        if system == "ceiling":
            both = Ceiling(lab)
            yield Tunnel(lab, both, both)
        elif system == "ours":
            yield Tunnel(lab, OurGateway(lab), OurClient(lab, esp))
        elif system == "mixed":
            yield Tunnel(lab, OurGateway(lab), StrongSwanClient(lab, esp))
        else:
            yield Tunnel(lab, StrongSwanGateway(lab), StrongSwanClient(lab, esp))
    finally:
        lab.stop_all()


def _each(sitting, name, systems, measure):
    """Every system once in each run, so that what disturbs the machine for a while disturbs all of them. {system: {way: [measurement]}}"""
    found, missing = {}, {}
    for number in range(sitting.runs):
        for label, system, esp in systems:
            if label in missing:
                continue
            try:
                with tunnel(sitting.lab, system, esp) as up:
                    for way in WAYS:
                        measured = measure(up, way)
                        found.setdefault(label, {}).setdefault(way, []).append(measured)
                        progress(f"{name}, run {number + 1}, {label} {way}: " + _words(measured))
            except BenchError as error:
                missing[label] = str(error)
                progress(f"{name}, {label}: not measured: {error}")
    return {"systems": found, "missing": missing}


def _words(measured):
    if "gbps" in measured:
        return f"{measured['gbps']:.2f} Gbit/s, {measured['cpu_per_gb']:.3f} s/GB, processors busy {measured['busy']}"
    return f"{measured['us']:.2f} us of CPU, {measured['kpps']:.1f} kpps, lost {measured['loss']:.2%}, processors busy {measured['busy']}"


def _tcp(sitting, name, systems):
    return _each(sitting, name, systems, lambda up, way: loads.tcp(sitting.lab, up, way, sitting.seconds))


def tcp(sitting):
    """One TCP stream; all offloads on the outer link."""
    return _tcp(sitting, "tcp", [("ours", "ours", "gcm"), ("strongswan", "strongswan", "gcm"), ("ceiling", "ceiling", "gcm")])


def wire(sitting):
    """The same where the outer link carries packets of 1500 octets."""
    sitting.network.wire(True)
    try:
        return _tcp(sitting, "wire", [("ours", "ours", "gcm"), ("strongswan", "strongswan", "gcm"), ("ceiling", "ceiling", "gcm")])
    finally:
        sitting.network.wire(False)


def cbc(sitting):
    """AES-256-CBC with SHA-256 beside AES-128-GCM, our gateway."""
    return _tcp(sitting, "cbc", [("gcm", "ours", "gcm"), ("cbc", "ours", "cbc")])


def thin(sitting):
    """64 octets, 20,000 a second, strongSwan as the client of both gateways; the ceiling is its own client."""
    systems = [("ours", "mixed", "gcm"), ("strongswan", "strongswan", "gcm"), ("ceiling", "ceiling", "gcm")]
    return _each(sitting, "thin", systems, lambda up, way: loads.thin(sitting.lab, up, up.address, way, seconds=sitting.seconds))
