#!/usr/bin/env python3
"""Hosts in network namespaces that reach their Redis over cables which lose packets.

    scripts/lossy_hosts.sh [--build DIR] [--fail-mode MODE] [--seconds S]

Two hosts and the Redis have a network namespace each. The cables to the Redis are pairs of TUN devices with
this program in between, which passes packets or drops them: none, a fifth, half, all of them for longer than
a lease lasts, none again, and all of one host's. Meanwhile twice the limit is offered. The upstream's ledger
tells whether any window had more than the limit, and whether one had all of it. In mode open each host may
take the whole limit.

Exit status: 0 everything held, 1 something did not, 77 skipped: it needs root, `ip` (iproute2), TUN devices
and redis-server.
"""
import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import random
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import programs  # noqa: E402

SKIPPED = 77
LIMIT = 100
WINDOW_S = 6
LEASE_S = 2
TRANSIT_S = 0.25  # arrivals jitter against admissions: a window is judged by so much less of it
PROXY_PORT = 4000
REDIS_PORT = 6379
UPSTREAM = "10.78.0.1"
CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
CONFIG = """
model_list:
  - model_name: gpt
    litellm_params: {{model: openai/gpt, api_base: 'http://{upstream}', api_key: none, rpm: {limit}}}
router_settings: {{num_retries: 0}}
general_settings: {{master_key: sk-1234}}
weir_settings:
  segment: {segment}
  window_seconds: {window}
  expected_hosts: 2
  fail_mode: {fail_mode}
  redis: {{host: {redis}, port: {port}, lease_seconds: {lease}, timeout_ms: 400}}
"""


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextlib.contextmanager
def namespace(name):
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def open_tun(space, device, address):
    """A TUN device in a namespace; what is sent to it can be read here."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net", "rb") as home, open(f"/run/netns/{space}", "rb") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {space}")
        try:
            tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN_NO_PI))
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)
    ip("-n", space, "addr", "add", address, "dev", device)
    ip("-n", space, "link", "set", device, "up")
    return tun


class Cable:
    """Between two TUN devices; `loss` is the part of the packets that does not arrive."""

    def __init__(self, one, other):
        self.ends = {one: other, other: one}
        self.loss = 0.0
        self.passed = self.dropped = 0
        self.running = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        dice = random.Random(1)
        while self.running:
            for end in select.select(list(self.ends), [], [], 0.1)[0]:
                packet = os.read(end, 65536)
                if dice.random() < self.loss:
                    self.dropped += 1
                    continue
                self.passed += 1
                with contextlib.suppress(OSError):
                    os.write(self.ends[end], packet)

    def close(self):
        self.running = False
        self.thread.join()
        for end in self.ends:
            os.close(end)


class Host:
    """A namespace with a proxy, a sound link to this one, and a cable to the Redis."""

    def __init__(self, stack, number, store, folder, args, upstream_port):
        self.space = stack.enter_context(namespace(f"weir-{os.getpid()}-{number}"))
        link = f"wl{os.getpid()}{number}"[-13:]
        ip("link", "add", link, "type", "veth", "peer", "name", "up0", "netns", self.space)
        # With a namespace alone it goes only after the last of the connections that nobody answers any more.
        stack.callback(ip, "link", "del", link)
        ip("addr", "add", f"10.78.{number}.1/30", "dev", link)
        ip("link", "set", link, "up")
        ip("-n", self.space, "addr", "add", f"10.78.{number}.2/30", "dev", "up0")
        ip("-n", self.space, "link", "set", "up0", "up")
        # Both know the upstream by the same address, or it would be two deployments.
        if number == 1:
            ip("addr", "add", f"{UPSTREAM}/32", "dev", link)
        ip("-n", self.space, "route", "add", UPSTREAM, "via", f"10.78.{number}.1")
        self.cable = Cable(open_tun(self.space, "store0", f"10.77.{number}.2/30"),
                           open_tun(store, f"host{number}", f"10.77.{number}.1/30"))
        stack.callback(self.cable.close)
        config = pathlib.Path(folder) / f"{number}.yaml"
        config.write_text(CONFIG.format(
            upstream=f"{UPSTREAM}:{upstream_port}", limit=LIMIT, window=WINDOW_S, lease=LEASE_S,
            segment=stack.enter_context(programs.segment(f"lossy-{number}")), fail_mode=args.fail_mode,
            redis=f"10.77.{number}.1", port=REDIS_PORT))
        self.url = f"http://10.78.{number}.2:{PROXY_PORT}"
        self.proxy = stack.enter_context(programs.Program(
            ["ip", "netns", "exec", self.space, programs.binary("weir-proxy", args.build), "--config",
             str(config), "--host", "0.0.0.0", "--port", str(PROXY_PORT)], config.with_suffix(".log")))
        self.proxy.wait_for("listening on")

    def mode(self):
        with urllib.request.urlopen(self.url + "/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("weir_limit_mode") and line.endswith(" 1"):
                    return line.split('"')[1]
        return "none"

    def wait_for(self, mode):
        programs.wait_until(lambda: self.mode() == mode)


def trouble(hosts, args):
    """What is done to the cables, in order; each returns when it shows, or after a while."""
    def all_lose(part, seconds):
        print(f"{100 * part:.0f} % of all packets are lost", flush=True)
        for host in hosts:
            host.cable.loss = part
        time.sleep(seconds)

    step = args.seconds / 6
    all_lose(0.0, step)
    all_lose(0.2, step)
    all_lose(0.5, step)
    all_lose(1.0, 0)
    for host in hosts:
        host.wait_for(args.fail_mode)
    time.sleep(step)
    all_lose(0.0, 0)
    for host in hosts:
        host.wait_for("shared")
    time.sleep(step)
    if args.fail_mode == "closed":  # in the other modes it goes on, come what may elsewhere
        print("one host is cut off", flush=True)
        hosts[0].cable.loss = 1.0
        hosts[0].wait_for("closed")
        time.sleep(step)
        hosts[0].cable.loss = 0.0
        hosts[0].wait_for("shared")


def run(folder, args):
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(namespace(f"weir-{os.getpid()}-store"))
        stack.enter_context(programs.RedisServer(folder, "--protected-mode", "no", port=REDIS_PORT,
                                                 within=["ip", "netns", "exec", store]))
        fake = stack.enter_context(programs.Program(
            [programs.binary("weir-fake-server", args.build), "--rpm", "0", "--host", "0.0.0.0",
             "--port", "0"], pathlib.Path(folder) / "fake.log"))
        upstream = int(fake.wait_for(r"listening on http://0\.0\.0\.0:(\d+)")[1])
        hosts = [Host(stack, number, store, folder, args, upstream) for number in (1, 2)]
        for host in hosts:
            host.wait_for("shared")
        record = pathlib.Path(folder) / "load.json"
        urls = [word for host in hosts for word in ("--url", host.url)]
        load = stack.enter_context(programs.Program(
            [programs.binary("weir-loadtest", args.build), "proxy", *urls, "--model", "gpt", "--rate",
             str(2 * LIMIT / WINDOW_S), "--seconds", str(args.seconds + 15), "--json", str(record)],
            record.with_suffix(".log")))
        trouble(hosts, args)
        load.process.wait(args.seconds + 120)
        with urllib.request.urlopen(f"http://127.0.0.1:{upstream}/__ledger", timeout=30) as answer:
            arrivals = json.loads(answer.read())["arrivals"]
        times = sorted(arrival["monotonic_ns"] / 1e9 for arrival in arrivals)
        most = programs.fullest(times, WINDOW_S - TRANSIT_S)
        for host in hosts:
            print(f"{host.url}: {host.cable.passed} packets passed, {host.cable.dropped} were lost; "
                  f"mode {host.mode()}")
        total = json.loads(record.read_text())["total"]
        print(f"admitted {total['successes']} of {total['requests']}, by the ledger {len(times)}; "
              f"the fullest window has {most} of {LIMIT}")
        lost = all(host.cable.dropped > 20 for host in hosts)
        back = all(host.mode() == "shared" for host in hosts)
        allowed = LIMIT * (len(hosts) if args.fail_mode == "open" else 1)  # open is not exact, as it says
        return 0 if 0.95 * LIMIT <= most <= allowed and lost and back else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", help="the build directory (build/ci)")
    parser.add_argument("--fail-mode", default="closed", choices=("closed", "share", "open"))
    parser.add_argument("--seconds", type=float, default=60, help="about how long (60)")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything it made goes
    for needed in ("ip", programs.redis_program()):
        if not shutil.which(needed):
            print(f"skipped: there is no {needed} on this host")
            return SKIPPED
    try:
        with namespace(f"weir-{os.getpid()}-probe") as probe:
            os.close(open_tun(probe, "probe0", "10.79.0.1/30"))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"skipped: no rights to network namespaces and TUN devices ({error})")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="weir-lossy-") as folder:
        return run(folder, args)


if __name__ == "__main__":
    sys.exit(main())
