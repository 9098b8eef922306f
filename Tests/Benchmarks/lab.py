"""Namespaces, processes and files of one run of the benchmarks. All of them are gone when it ends, however it ends."""

import atexit
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PREFIX = "gwbench"


class BenchError(Exception):
    """What keeps a row from being measured; the report says it in these words."""


def progress(text):
    print(time.strftime("%H:%M:%S ") + text, file=sys.stderr, flush=True)


def _dies_with_us():
    # so that not even kill -9 of the benchmark leaves programs behind
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Program:
    """A process in a namespace, pinned to processors, with its output in a file."""

    def __init__(self, lab, name, command, namespace=None, core=None, environment=None):
        self.name = name
        lab.started += 1
        self.log = lab.folder / f"{lab.started}-{name}.log"
        prefix = ["ip", "netns", "exec", lab.namespace(namespace)] if namespace else []
        pinned = ["taskset", "-c", str(core)] if core is not None else []
        with open(self.log, "w") as output:
            # ip and taskset become the program: the pid is the program's own
            self.process = subprocess.Popen(
                prefix + pinned + [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=_dies_with_us, env={**os.environ, **(environment or {})})

    @property
    def pid(self):
        return self.process.pid

    @property
    def output(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, text, seconds=20):
        """The first line with this text."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.output.splitlines():
                if text in line:
                    return line
            if self.process.poll() is not None:
                raise BenchError(f"{self.name} ended with {self.process.returncode}: {self.last_words}")
            time.sleep(0.02)
        raise BenchError(f"{self.name} did not say \"{text}\" within {seconds} s: {self.last_words}")

    def result(self, seconds):
        """Waits for the end; its output."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise BenchError(f"{self.name} did not end within {seconds} s: {self.last_words}") from None
        if code != 0:
            raise BenchError(f"{self.name} ended with {code}: {self.last_words}")
        return self.output

    @property
    def last_words(self):
        return " / ".join(self.output.strip().splitlines()[-3:]) or "it said nothing"

    def stop(self, seconds=12):
        """SIGTERM, and SIGKILL to what does not heed it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.process.wait()


class Lab:
    """Use it as a context: `with Lab() as lab`."""

    def __init__(self):
        self.tag = f"{os.getpid():x}"[-5:]
        self.programs = []
        self.started = 0
        self.namespaces = []
        self.folder = None

    def __enter__(self):
        if os.geteuid() != 0:
            raise SystemExit("the benchmarks make network namespaces: run them as root")
        sweep()
        # short: the path of a UNIX socket ends at 107 octets
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-"))
        atexit.register(self.clear)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(130))
        return self

    def __exit__(self, *_):
        self.clear()

    def clear(self):
        # a second ^C must not stop it half-way
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.stop_all()
        for name in self.namespaces:
            remove_namespace(name)
        self.namespaces = []
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def stop_all(self):
        for program in reversed(self.programs):
            program.stop()
        self.programs = []

    def namespace(self, name):
        return f"{PREFIX}-{os.getpid()}-{name}"

    def device(self, name):
        """A device name that no other run on this machine has: threads of the kernel are named after it."""
        return f"{self.tag}{name}"

    def add_namespace(self, name):
        full = self.namespace(name)
        self.namespaces.append(full)
        run("ip", "netns", "add", full)
        run("ip", "-n", full, "link", "set", "lo", "up")

    def start(self, *arguments, **options):
        program = Program(self, *arguments, **options)
        self.programs.append(program)
        return program

    def stop(self, program, seconds=12):
        program.stop(seconds)
        if program in self.programs:
            self.programs.remove(program)

    def inside(self, namespace, *command, **options):
        return run("ip", "netns", "exec", self.namespace(namespace), *command, **options)

    def folder_for(self, name):
        folder = self.folder / f"{name}{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        return folder


def run(*command, timeout=60, environment=None, may_fail=False):
    """The output of a short command."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
                              env={**os.environ, **(environment or {})}, preexec_fn=_dies_with_us)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{' '.join(map(str, command))} did not end within {timeout} s") from None
    if done.returncode != 0 and not may_fail:
        raise BenchError(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def until(condition, what, seconds=15, pause=0.05):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(pause)
    raise BenchError(f"{what}: not within {seconds} s")


def remove_namespace(name):
    for pid in run("ip", "netns", "pids", name, may_fail=True).split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
    run("ip", "netns", "delete", name, may_fail=True)


def sweep():
    """Removes what a killed run left."""
    def is_orphan(name):
        parts = name.split("-")
        return len(parts) >= 3 and parts[0] == PREFIX and parts[1].isdigit() and not Path(f"/proc/{parts[1]}").exists()

    for entry in Path("/run/netns").glob(f"{PREFIX}-*"):
        if is_orphan(entry.name):
            remove_namespace(entry.name)
    for entry in Path(tempfile.gettempdir()).glob(f"{PREFIX}-*"):
        if is_orphan(entry.name):
            shutil.rmtree(entry, ignore_errors=True)
