#!/usr/bin/env python3
"""How soon after its start a proxy answers, and how much memory a worker takes with 100 connections.

    tests/bench/start.py [--build DIR] [--starts N] [--json]

A start is the time from the fork of weir-proxy until /health/liveliness is answered, with a new segment each
time; and, for a machine that has other things to do, the processor time that it took of that.

Memory is read from /proc/PID/smaps_rollup: of two workers, after 100 connections to each have carried
requests and while they are open. `private` is what a worker has for itself; the rest of `rss` are pages of
the program, of its libraries and of the segment, which all workers share.
"""
import argparse
import asyncio
import contextlib
import json
import pathlib
import statistics
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import programs  # noqa: E402

CONNECTIONS = 100
CONFIG = """
model_list:
  - model_name: gpt
    litellm_params: {{model: openai/gpt, api_base: '{upstream}', api_key: none, rpm: 1000000, tpm: 100000000}}
weir_settings:
  segment: {segment}
  keys: [{{name: start, key: sk-start, rpm_limit: 1000000}}]
"""
QUESTION = json.dumps({"model": "gpt", "messages": [{"role": "user", "content": "Hello"}]}).encode()
REQUEST = (b"POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer sk-start\r\n"
           b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(QUESTION), QUESTION))


def time_start(folder, build):
    """Milliseconds from the fork until it answers, and of them those on a processor."""
    with programs.segment("start") as segment:
        port = programs.free_port()
        began = time.perf_counter()
        config = CONFIG.format(upstream="http://127.0.0.1:9", segment=segment)
        with programs.Proxy(folder, config, port=port, build=build, wait=False) as proxy:
            while True:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=5).read()
                    return 1000 * (time.perf_counter() - began), programs.thread_cpu_ms(proxy.pid)
                time.sleep(0.0005)


async def ask(connection):
    """One request on a connection; its answer to the end."""
    reader, writer = connection
    writer.write(REQUEST)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if not head.startswith("http/1.1 200"):
        raise SystemExit(f"a request failed: {head}")
    await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))


async def measure_memory(proxy):
    """Each worker's memory while CONNECTIONS connections for each are open, the largest first."""
    connections = []
    for _ in range(CONNECTIONS * len(proxy.workers())):
        connections.append(await asyncio.open_connection("127.0.0.1", proxy.port))
    for _ in range(5):
        await asyncio.gather(*[ask(connection) for connection in connections])
    memory = [programs.memory_kib(pid) | {"descriptors": programs.descriptors(pid)}
              for pid in proxy.workers()]
    for _, writer in connections:
        writer.close()
    return sorted(memory, key=lambda worker: -worker["rss"])


def main():
    parser = argparse.ArgumentParser(description="Time to ready, and memory of a worker.")
    parser.add_argument("--build", help="the build directory (build/ci)")
    parser.add_argument("--starts", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-start-") as folder:
        starts = [time_start(folder, args.build) for _ in range(args.starts)]
        with contextlib.ExitStack() as stack:
            segment = stack.enter_context(programs.segment("start"))
            fake = stack.enter_context(programs.FakeServer(folder, "--rpm", "0", build=args.build))
            config = CONFIG.format(upstream=fake.url, segment=segment)
            proxy = stack.enter_context(programs.Proxy(folder, config, workers=2, build=args.build))
            programs.wait_until(lambda: len(proxy.workers()) == proxy.worker_count)
            memory = asyncio.run(measure_memory(proxy))
    wall, cpu = ({"median": statistics.median(column), "min": min(column), "max": max(column)}
                 for column in zip(*starts))
    if args.json:
        print(json.dumps({"start_ms": wall, "start_cpu_ms": cpu, "workers": memory}))
        return
    for name, ms in (("ready after", wall), ("on a processor", cpu)):
        print(f"{name} {ms['median']:.1f} ms (median of {args.starts}; {ms['min']:.1f} to {ms['max']:.1f})")
    for worker in memory:
        print("a worker with {descriptors} descriptors: rss {rss} KiB, pss {pss} KiB, private {private} KiB"
              .format(**worker))


if __name__ == "__main__":
    main()
