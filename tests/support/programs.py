"""Programs under test, from scripts: started, waited for, measured from /proc, and ended by their ids.

Everything here is for Linux. Each Program leads a process group of its own, and nothing outside of that
group is ever signalled.
"""
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def binary(name, build=None):
    """The path of one of our programs: in `build`, or in the build directories of the presets."""
    presets = [ROOT / "build" / preset for preset in ("ci", "release", "dev")]
    for folder in [pathlib.Path(build)] if build else presets:
        if (folder / "bin" / name).exists():
            return str(folder / "bin" / name)
    raise SystemExit(f"{name} is not built: cmake --preset ci && cmake --build --preset ci")


def free_port():
    """A port that nobody listens on. Another process may take it meanwhile, so use it at once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, patience_s=20.0):
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.005)
    raise SystemExit(f"nothing listens on port {port} after {patience_s} s")


def wait_until(condition, patience_s=20.0):
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {patience_s} s in vain")
        time.sleep(0.02)


class Program:
    """A program that runs until the `with` block ends."""

    def __init__(self, command, log, env=None):
        self.log = pathlib.Path(log)
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True,
                                            env={**os.environ, **(env or {})})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    @property
    def pid(self):
        return self.process.pid

    def pids(self):
        """It and its children, as they are now."""
        return [self.pid, *children_of(self.pid)]

    def end(self, patience_s=10.0):
        """Asks it to end, then makes it and what is left of its group. Returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self.process.wait()

    def wait_for(self, pattern, patience_s=20.0):
        """Until its output has what the regular expression `pattern` matches; returns the match."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.output()):
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.005)
        raise SystemExit(f"{self.process.args[0]} did not say {pattern!r}:\n{self.output()}")

    def output(self):
        return self.log.read_text(errors="replace")


class Proxy(Program):
    """A weir-proxy with this configuration; `port` is the one it listens on, as soon as it does."""

    def __init__(self, folder, config, workers=1, port=0, name="proxy", build=None, options=(), wait=True):
        self.config = pathlib.Path(folder) / f"{name}.yaml"
        self.config.write_text(config)
        self.worker_count = workers
        super().__init__([binary("weir-proxy", build), "--config", str(self.config), "--host", "127.0.0.1",
                          "--port", str(port), "--num_workers", str(workers), *options],
                         pathlib.Path(folder) / f"{name}.log")
        self.port = int(self.wait_for(r"listening on http://127\.0\.0\.1:(\d+)")[1]) if wait else port
        self.url = f"http://127.0.0.1:{self.port}"

    def workers(self):
        """The processes that serve, as they are now: itself, or the children of a supervisor."""
        return [self.pid] if self.worker_count == 1 else children_of(self.pid)


def redis_program():
    """The program that keeps leases: what WEIR_REDIS_SERVER says, otherwise redis-server."""
    return os.environ.get("WEIR_REDIS_SERVER") or "redis-server"


class RedisServer(Program):
    """A Redis with nothing in it, that writes nothing to a disk. `within` are the words of a command that
    starts it elsewhere, as in another network namespace."""

    def __init__(self, folder, *options, port=None, within=()):
        self.port = port or free_port()
        super().__init__([*within, redis_program(), "--port", str(self.port), "--save", "", "--appendonly",
                          "no", "--dir", str(folder), *options], pathlib.Path(folder) / "redis.log")
        self.wait_for("Ready to accept connections")


class FakeServer(Program):
    """A weir-fake-server; `port` is the one it listens on."""

    def __init__(self, folder, *options, name="fake", build=None):
        super().__init__([binary("weir-fake-server", build), "--port", "0", *options],
                         pathlib.Path(folder) / f"{name}.log")
        self.port = int(self.wait_for(r"127\.0\.0\.1:(\d+)")[1])
        self.url = f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def segment(label):
    """The name of a segment that is nobody else's; its files are gone afterwards."""
    name = f"weir-{label}-{os.getpid()}"
    try:
        yield name
    finally:
        for file in pathlib.Path("/dev/shm").glob(f"{name}*"):
            with contextlib.suppress(FileNotFoundError):
                file.unlink()


def children_of(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def cpu_seconds(pids):
    """Processor time these processes have used so far, in the kernel and outside of it."""
    total = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            after_name = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(after_name[11]) + int(after_name[12])
    return total / TICKS_PER_SECOND


def thread_cpu_ms(pid):
    """Processor time of a process's first thread, to the microsecond: for what is too short for ticks."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def memory_kib(pid):
    """Resident, proportional and private memory of a process, in KiB."""
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    fields = dict(re.findall(r"^(\w+):\s+(\d+) kB", rollup, re.M))
    private = int(fields["Private_Clean"]) + int(fields["Private_Dirty"])
    return {"rss": int(fields["Rss"]), "pss": int(fields["Pss"]), "private": private}


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def fullest(times_s, length_s):
    """The most of these times, in order, that any interval of this length holds."""
    most = first = 0
    for last, now in enumerate(times_s):
        while now - times_s[first] >= length_s:
            first += 1
        most = max(most, last - first + 1)
    return most
