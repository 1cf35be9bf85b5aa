#!/usr/bin/env python3
"""What hosts that share a limit through Redis give and ask of it; and what a script per request does.

    tests/bench/hosts.py [--build DIR] [--hosts N] [--shares P,P,…] [--window S] [--windows N] [--json]

Two proxies with a segment each are two hosts. They share 1,000 requests a window, and a load of 1.2 times
that comes to them unequally, 19 to 1, in an open loop. The upstream's ledger tells what was admitted, and
Redis' own count of commands how often it was asked. The same once more with four limits for each request,
as an ordinary configuration has them: requests and tokens, of the key and of the deployment.

Then the latency of requests through a proxy that holds leases, and through one that knows no Redis, taking
turns request by request, in rounds: the 99th percentile of each shows how far it varies by itself. Then
decisions of another kind, as LiteLLM makes them: a script in Redis for each request, here an INCR with an
expiry, from 32 connections that do nothing else.

The redis-server is this program's own. Without one it is skipped, with exit status 77.
"""
import argparse
import contextlib
import ctypes
import http.client
import json
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import programs  # noqa: E402

SKIPPED = 77
OVERLOAD = 1.2
SHARES = {1: (1.0,), 2: (0.95, 0.05), 4: (0.25, 0.25, 0.25, 0.25)}
TRANSIT_S = 0.25  # arrivals jitter against admissions: a window is judged by so much less of it
CLIENTS = 32
ROUNDS = 10  # of latencies
WARMING_UP_S = 5
CONFIG = """
model_list:
  - model_name: gpt
    litellm_params: {{model: openai/gpt, api_base: '{upstream}', api_key: none, rpm: {limit}{tpm}}}
router_settings: {{num_retries: 0}}
weir_settings:
  segment: {segment}
  window_seconds: {window}
  keys: [{{name: bench, key: sk-1234{key_limits}}}]
"""
FOUR_LIMITS = {"tpm": ", tpm: 10000000", "key_limits": ", rpm_limit: 1000000, tpm_limit: 10000000"}
ONE_LIMIT = {"tpm": "", "key_limits": ""}
REDIS = "  expected_hosts: {hosts}\n  redis: {{host: 127.0.0.1, port: {port}, prefix: {prefix}}}\n"
QUESTION = json.dumps({"model": "gpt", "messages": [{"role": "user", "content": "Hello"}]}).encode()
HEADERS = {"authorization": "Bearer sk-1234", "content-type": "application/json"}
COUNT_SCRIPT = """local used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('EXPIRE', KEYS[1], 60) end
if used > tonumber(ARGV[1]) then return 0 end
return 1"""


class Redis(programs.RedisServer):
    """One that can be asked, also for what it was asked."""

    def __init__(self, folder):
        super().__init__(folder, "--bind", "127.0.0.1")

    def ask(self, *words):
        """The answer to one command, which is a bulk string."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(f"*{len(words)}\r\n".encode())
            for word in map(str.encode, words):
                connection.sendall(b"$%d\r\n%s\r\n" % (len(word), word))
            with connection.makefile("rb") as answer:
                head = answer.readline().decode()
                if not head.startswith("$"):
                    raise SystemExit(f"Redis answered {head}")
                return answer.read(int(head[1:])).decode()

    def evalsha_calls(self):
        """How many there were, and the microseconds that they took."""
        for line in self.ask("INFO", "commandstats").splitlines():
            if line.startswith("cmdstat_evalsha:"):
                return [int(line.split(f"{name}=")[1].split(",")[0]) for name in ("calls", "usec")]
        return [0, 0]


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@contextlib.contextmanager
def hosts(folder, build, count, redis, **config):
    """`count` proxies, each with a segment of its own, once they share (or, without Redis, run alone)."""
    with contextlib.ExitStack() as stack:
        proxies = []
        for number in range(count):
            name = f"{config['label']}-{number}"
            segment = stack.enter_context(programs.segment(name))
            text = CONFIG.format(segment=segment, **config)
            if redis:
                text += REDIS.format(hosts=count, port=redis.port, prefix=config["label"])
            proxies.append(stack.enter_context(programs.Proxy(folder, text, name=name, build=build)))
        mode = 'weir_limit_mode{mode="%s"} 1\n' % ("shared" if redis else "local")
        for proxy in proxies:
            programs.wait_until(lambda: mode in fetch(proxy.url + "/metrics"))
        yield proxies


def send_load(folder, build, proxies, shares, rate, seconds):
    """Open loops at all proxies at once, by `shares`. Returns what weir-loadtest noted of each."""
    with contextlib.ExitStack() as stack:
        loads = []
        for number, (proxy, share) in enumerate(zip(proxies, shares)):
            record = pathlib.Path(folder) / f"load-{number}.json"
            command = [programs.binary("weir-loadtest", build), "proxy", "--url", proxy.url,
                       "--model", "gpt", "--rate", str(rate * share), "--seconds", str(seconds),
                       "--json", str(record)]
            load = stack.enter_context(programs.Program(command, record.with_suffix(".log")))
            loads.append((load, record))
        for load, _ in loads:
            load.process.wait(seconds + 60)
        return [json.loads(record.read_text()) for _, record in loads]


def measure_sharing(folder, args, redis, label, limits):
    rate = OVERLOAD * args.limit / args.window
    with contextlib.ExitStack() as stack:
        fake = stack.enter_context(programs.FakeServer(folder, "--rpm", "0", build=args.build))
        proxies = stack.enter_context(hosts(folder, args.build, args.hosts, redis, label=label,
                                            limit=args.limit, window=args.window, upstream=fake.url,
                                            **limits))
        before, began = redis.evalsha_calls(), time.monotonic()
        loads = send_load(folder, args.build, proxies, args.shares, rate, args.windows * args.window)
        ended = time.monotonic()
        calls, spent = (after - start for after, start in zip(redis.evalsha_calls(), before))
        arrivals = json.loads(fetch(fake.url + "/__ledger"))["arrivals"]
    times = sorted(arrival["monotonic_ns"] / 1e9 for arrival in arrivals)
    last = [now for now in times if now > times[-1] - args.window]
    return {"limit": args.limit, "window_seconds": args.window, "windows": args.windows,
            "offered_per_s": rate,
            "offered": [load["total"]["requests"] for load in loads],
            "admitted": [load["total"]["successes"] for load in loads],
            "errors": [load["total"]["errors"] for load in loads],
            "arrivals": len(times),
            "fullest_window": programs.fullest(times, args.window - TRANSIT_S),
            "fullest_window_by_arrival": programs.fullest(times, args.window),
            "last_window_utilisation": len(last) / args.limit,
            "evalsha": calls, "evalsha_us": spent / max(1, calls), "evalsha_per_admitted": calls / len(times),
            "evalsha_per_host_and_second": calls / (ended - began) / len(proxies)}


def time_request(connection):
    """How long the answer to one request took, in ms, and its status."""
    began = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", QUESTION, HEADERS)
    answer = connection.getresponse()
    answer.read()
    return 1000 * (time.perf_counter() - began), answer.status


def time_requests(proxies, count):
    """`count` requests to each, and those of WARMING_UP_S before, one after the other, the order changing
    each turn: (ms, status) of each."""
    taken = {name: [] for name in proxies}
    turn, warm = 0, None
    with contextlib.ExitStack() as stack:
        connections = {}
        for name, proxy in proxies.items():
            connections[name] = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
            stack.callback(connections[name].close)
        began = time.monotonic()
        while warm is None or turn < warm + count:
            for name in sorted(connections, reverse=turn % 2 == 1):
                taken[name].append(time_request(connections[name]))
            turn += 1
            if warm is None and time.monotonic() > began + WARMING_UP_S:
                warm = turn
    return {name: summarize(of_one, warm) for name, of_one in taken.items()}


def summarize(taken, warm):
    """A host's first requests find no lease yet. They are told apart, and so is what was refused."""
    first, rest = taken[:warm], taken[warm:]
    early = sorted(ms for ms, _ in first)
    latencies = [ms for ms, _ in rest]
    each = len(rest) // ROUNDS
    rounds = [percentile(sorted(latencies[at:at + each]), 0.99) for at in range(0, ROUNDS * each, each)]
    return {"requests": len(rest), "p50_ms": statistics.median(latencies),
            "p99_ms": statistics.median(rounds), "p99_of_rounds_ms": sorted(rounds),
            "not_200": sum(status != 200 for _, status in rest),
            "before": {"requests": warm, "p50_ms": percentile(early, 0.5), "p99_ms": percentile(early, 0.99),
                       "not_200": sum(status != 200 for _, status in first), "very_first_ms": first[0][0]}}


def measure_latency(folder, args, redis):
    with contextlib.ExitStack() as stack:
        fake = stack.enter_context(programs.FakeServer(folder, "--rpm", "0", build=args.build))
        config = {"limit": 1_000_000, "window": 60, "upstream": fake.url, **FOUR_LIMITS}
        proxies = {}
        for label, store in (("leases", redis), ("alone", None)):
            [proxies[label]] = stack.enter_context(hosts(folder, args.build, 1, store, label=label, **config))
        return time_requests(proxies, args.requests)


def measure_script(redis):
    """A script for each request. redis-benchmark keeps CLIENTS connections busy and does nothing else."""
    sha = redis.ask("SCRIPT", "LOAD", COUNT_SCRIPT)
    ran = subprocess.run(["redis-benchmark", "-p", str(redis.port), "-c", str(CLIENTS), "-n", "20000",
                          "--csv", "--precision", "3", "EVALSHA", sha, "1", "counter", "1000000000"],
                         capture_output=True, text=True, check=True, timeout=120)
    names, values = (line.replace('"', "").split(",") for line in ran.stdout.strip().splitlines()[-2:])
    row = dict(zip(names, values))
    return {"per_second": float(row["rps"]), "p50_ms": float(row["p50_latency_ms"]),
            "p99_ms": float(row["p99_latency_ms"])}


def measure_decisions(build):
    """Weir's own decision: its rate by the limiter's benchmark, which tells no percentiles."""
    ran = subprocess.run([programs.binary("weir-bench-limiter", build), "--only", "admit_1_scope", "--json"],
                         capture_output=True, text=True, check=True, timeout=120)
    benchmarks = {one["name"]: one for one in json.loads(ran.stdout)["benchmarks"]}
    return benchmarks["admit_1_scope"]["ops_per_second"]


class Charge(ctypes.Structure):
    """weir_charge_t."""
    _fields_ = [("limiter", ctypes.c_uint64 * 2), ("units", ctypes.c_uint64)]


def time_decisions(build, count=200_000):
    """Single decisions from Python, admitted and closed: two calls by ctypes, and a clock read, are in it."""
    program = pathlib.Path(programs.binary("weir-proxy", build))
    lib = ctypes.CDLL(str(program.parents[1] / "shm" / "libweir.so.0"))
    lib.weir_last_error.restype = ctypes.c_char_p

    def call(name, *arguments):
        if getattr(lib, name)(*arguments) != 0:
            raise SystemExit(f"{name}: {lib.weir_last_error().decode()}")

    segment, actor, ticket = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint64()
    charge, taken = Charge(units=1), []
    with programs.segment("decide") as name:
        call("weir_open", name.encode(), None, ctypes.byref(segment))
        call("weir_join", segment, b"bench", ctypes.byref(actor))
        call("weir_limiter", segment, b"key", b"bench", 0, ctypes.c_uint64(60_000), ctypes.c_uint64(10**9),
             ctypes.byref(charge))
        admit, close, clock = lib.weir_admit, lib.weir_ticket_close, time.perf_counter_ns
        at, out = ctypes.byref(charge), ctypes.byref(ticket)
        one, none = ctypes.c_size_t(1), ctypes.c_size_t(0)
        for _ in range(count):
            began = clock()
            refused = admit(actor, at, one, None, none, out, None) or close(actor, ticket)
            taken.append(clock() - began)
            if refused:
                raise SystemExit(f"a decision was {refused}")
        lib.weir_leave(actor)
        lib.weir_close(segment)
    taken.sort()
    return {"per_second": 1e9 * len(taken) / sum(taken), "p50_us": percentile(taken, 0.5) / 1000,
            "p99_us": percentile(taken, 0.99) / 1000}


def print_sharing(share):
    print(f"{share['hosts']} hosts, {share['limits_per_request']} limits a request: {share['limit']} a "
          f"window of {share['window_seconds']:g} s, {share['windows']:g} windows; offered "
          f"{share['offered_per_s']:.1f}/s")
    print(f"  admitted {share['admitted']} of {share['offered']}, errors {share['errors']}")
    print(f"  fullest window {share['fullest_window']} (not allowing for transit "
          f"{share['fullest_window_by_arrival']}), the last {100 * share['last_window_utilisation']:.1f} %")
    print(f"  EVALSHA {share['evalsha']}: {share['evalsha_per_admitted']:.3f} per admitted request, "
          f"{share['evalsha_per_host_and_second']:.2f} per host and second, "
          f"{share['evalsha_us']:.0f} us each")


def print_results(results):
    for share in results["sharing"]:
        print_sharing(share)
    for name, taken in results["latency"].items():
        before = taken["before"]
        rounds = taken["p99_of_rounds_ms"]
        print(f"latency, {name}: p50 {taken['p50_ms']:.3f} ms, p99 {taken['p99_ms']:.3f} ms "
              f"(of {len(rounds)} rounds {rounds[0]:.3f} to {rounds[-1]:.3f}; {taken['requests']} requests, "
              f"{taken['not_200']} not 200)")
        print(f"  in the {WARMING_UP_S} s before: p50 {before['p50_ms']:.3f} ms, "
              f"p99 {before['p99_ms']:.3f} ms ({before['requests']} requests, {before['not_200']} not 200); "
              f"the very first {before['very_first_ms']:.1f} ms")
    script, own, python = (results["decisions"][name] for name in ("script", "weir", "weir_from_python"))
    print(f"{'decisions':58} {'per second':>12} {'p50':>12} {'p99':>12}")
    print(f"{f'a script in Redis for each request, {CLIENTS} connections':58} {script['per_second']:12,.0f} "
          f"{1000 * script['p50_ms']:9.2f} us {1000 * script['p99_ms']:9.2f} us")
    print(f"{'Weir, one process, called from Python (ctypes, clock)':58} {python['per_second']:12,.0f} "
          f"{python['p50_us']:9.2f} us {python['p99_us']:9.2f} us")
    print(f"{'Weir, one process, from C++ (weir-bench-limiter)':58} {own['per_second']:12,.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", help="the build directory (build/ci)")
    parser.add_argument("--hosts", type=int, default=2, choices=sorted(SHARES), help="2 are unequal (2)")
    parser.add_argument("--shares", type=lambda text: [float(part) for part in text.split(",")],
                        help="the part of the load of each host; instead of --hosts")
    parser.add_argument("--limit", type=int, default=1000, help="requests in a window (1000)")
    parser.add_argument("--window", type=float, default=30, help="seconds (30)")
    parser.add_argument("--windows", type=float, default=2.5, help="how long to send, in windows (2.5)")
    parser.add_argument("--requests", type=int, default=20000,
                        help=f"to each proxy, for the latency in {ROUNDS} rounds (20000)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    args.shares = args.shares or SHARES[args.hosts]
    args.hosts = len(args.shares)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything it started is ended
    for needed in (programs.redis_program(), "redis-benchmark"):
        if not shutil.which(needed):
            print(f"skipped: there is no {needed} on this host")
            return SKIPPED

    with tempfile.TemporaryDirectory(prefix="weir-hosts-") as folder, Redis(folder) as redis:
        sharing = []
        for label, limits, count in (("one", ONE_LIMIT, 1), ("four", FOUR_LIMITS, 4)):
            sharing.append({"hosts": args.hosts, "limits_per_request": count,
                            **measure_sharing(folder, args, redis, label, limits)})
        results = {"sharing": sharing, "latency": measure_latency(folder, args, redis),
                   "decisions": {"script": measure_script(redis),
                                 "weir": {"per_second": measure_decisions(args.build)},
                                 "weir_from_python": time_decisions(args.build)}}
    if args.json:
        print(json.dumps(results, indent=2))
    else:
        print_results(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
