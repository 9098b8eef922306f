"""What a process costs, and what it runs on."""

import os
import platform
import statistics
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared/tools/perf"


def cpu_seconds(pid):
    """Of all threads, those that have ended too, to the nanosecond: ticks of 10 ms would alias with timers. It is the kernel's clock of that process."""
    return time.clock_gettime((~pid << 3) | 2)


def resident_octets(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class MemorySamples(threading.Thread):
    """Resident memory of a process, once a second until it is asked for."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.ends, self.octets = pid, threading.Event(), []
        self.start()

    def run(self):
        while not self.ends.is_set() and Path(f"/proc/{self.pid}").exists():
            self.octets.append(resident_octets(self.pid))
            self.ends.wait(1)

    def taken(self):
        self.ends.set()
        self.join()
        return self.octets


def cores():
    return os.cpu_count() or 1


class Processors:
    """How busy each processor is between two looks, by the time that it was idle."""

    def __init__(self):
        self.start, self.at = self._idle(), time.monotonic()

    @staticmethod
    def _idle():
        hertz = os.sysconf("SC_CLK_TCK")
        return [(int(fields[4]) + int(fields[5])) / hertz for fields in map(str.split, open("/proc/stat")) if fields[0][:3] == "cpu" and fields[0] != "cpu"]

    def busy(self):
        wall = max(time.monotonic() - self.at, 1e-3)
        return [round(min(max(1 - (after - before) / wall, 0), 1), 2) for before, after in zip(self.start, self._idle())]


def description():
    facts = dict((key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in open("/proc/cpuinfo")))
    cpu = facts.get("model name", platform.machine())
    if "cpu family" in facts:
        cpu += f" (family {facts['cpu family']}, model {facts.get('model')}, stepping {facts.get('stepping')})"
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run(git + ["log", "-1", "--format=%h %s"], capture_output=True, text=True).stdout.strip()
    dirty = subprocess.run(git + ["status", "--porcelain", "--", "Sources", "Package.swift"], capture_output=True, text=True).stdout.strip()
    return {
        "cpu": cpu,
        "cores": cores(),
        "kernel": platform.release(),
        "system": next((line.split("=", 1)[1].strip().strip('"') for line in open("/etc/os-release") if line.startswith("PRETTY_NAME=")), ""),
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit + (", with changes" if dirty else ""),
        "load": os.getloadavg()[0],
    }


def median(values):
    return statistics.median(values) if values else None
