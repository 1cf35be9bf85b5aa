"""Eight workers under 2,000 connections, killed at random and reloaded all the while: does everything hold?
Started by scripts/soak.sh, which see.

What is checked:
  limits      no L + 1 requests reached the upstream within a window, by the upstream's own ledger; and
              weir-inspect audit, which replays the workers' decisions, finds no window fuller than L
  answers     each answer is the one to the question asked on its connection, nothing follows it, and the
              upstream saw no more questions than were answered or lost with a killed worker
  descriptors the supervisor's never grow; those of a worker that is spared are back where they were when
              the connections are gone
  memory      of the spared worker and of the supervisor: the last third of the run needs no more than the
              third before it, but for 5 % and 1 MiB
  workers     as many at the end as at the start
"""
import argparse
import asyncio
import bisect
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import programs  # noqa: E402

WINDOW_S = 10
TRANSIT_S = 1.0  # at most, from an admission until the upstream has read the question's first byte
CONFIG = """
# {generation}
model_list:
  - model_name: soak
    litellm_params: {{model: openai/soak, api_base: '{upstream}', api_key: none, rpm: {limit}}}
    model_info: {{id: soak}}
router_settings: {{num_retries: 0, disable_cooldowns: true}}
weir_settings:
  segment: {segment}
  window_seconds: {window}
  upstream: {{idle_timeout_seconds: 2}}
  keys: [{{name: soak, key: sk-soak, rpm_limit: {limit}}}]
"""


class Client:
    """One connection after the other, each asking again and again at a leisurely pace."""

    counts = {"answered": 0, "refused": 0, "lost": 0, "connections": 0}
    wrong = []  # sentences
    done = False

    def __init__(self, port, pause_s):
        self.port, self.pause_s = port, pause_s

    async def run(self):
        while not Client.done:
            try:
                await self.use_connection()
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await asyncio.sleep(random.uniform(0, 1))

    async def use_connection(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        Client.counts["connections"] += 1
        asked = False
        try:
            # Nobody stays for ever: a worker that is never killed would gather all connections.
            for _ in range(random.randint(2, 10)):
                await asyncio.sleep(random.uniform(0, 2 * self.pause_s))
                if Client.done or reader.at_eof() or reader.exception():
                    return  # it is over, or the worker died while nothing was asked
                asked = True
                await self.ask(reader, writer)
                asked = False
        finally:
            Client.counts["lost"] += asked
            writer.close()

    async def ask(self, reader, writer):
        token = f"{random.getrandbits(64):016x}"
        body = json.dumps({"model": "soak", "messages": [{"role": "user", "content": token}],
                           "metadata": {"fake": json.dumps({"content": token})}}).encode()
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer sk-soak\r\n"
                     b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        answer = await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
        if head.startswith("http/1.1 200"):
            Client.counts["answered"] += 1
            if json.loads(answer)["choices"][0]["message"]["content"] != token:
                Client.wrong.append("an answer to another question")
        elif head.startswith("http/1.1 429") and "retry-after: " in head:
            Client.counts["refused"] += 1
        else:
            Client.wrong.append(f"unexpected: {head.splitlines()[0]} {answer[:200]!r}")
        if reader._buffer:  # there is no public way to look
            Client.wrong.append("bytes after an answer's end")


class Tormentor:
    """Kills workers, reloads the configuration, looks at what it all takes."""

    def __init__(self, proxy, write_config, rng):
        self.proxy, self.write_config, self.rng = proxy, write_config, rng
        self.spared = proxy.workers()[0]
        self.kills = self.reloads = 0
        self.samples = []  # (seconds since the start, of the spared, of the supervisor)
        self.began = time.monotonic()

    async def kill(self):
        while not Client.done:
            await asyncio.sleep(self.rng.uniform(1, 3))
            victims = [pid for pid in self.proxy.workers() if pid != self.spared]
            if victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.rng.choice(victims), signal.SIGKILL)
                    self.kills += 1

    async def reload(self):
        while not Client.done:
            await asyncio.sleep(self.rng.uniform(2, 4))
            self.reloads += 1
            self.write_config(self.reloads)
            os.kill(self.proxy.pid, signal.SIGHUP)

    async def watch(self):
        while not Client.done:
            await asyncio.sleep(1)
            seconds = time.monotonic() - self.began
            self.samples.append((seconds, self.sample(self.spared), self.sample(self.proxy.pid)))

    @staticmethod
    def sample(pid):
        return {**programs.memory_kib(pid), "descriptors": programs.descriptors(pid)}


def fullest(times, span_s):
    """The most of the sorted `times` that lie in any interval shorter than `span_s`."""
    return max((bisect.bisect_left(times, at + span_s, i) - i for i, at in enumerate(times)), default=0)


def arrivals_at(fake):
    """When each accepted question reached the upstream, in seconds, sorted."""
    times, since = [], 0
    while True:
        with urllib.request.urlopen(f"{fake.url}/__ledger?since={since}&limit=50000", timeout=30) as page:
            arrivals = json.load(page)["arrivals"]
        if not arrivals:
            return sorted(times)
        times += [a["monotonic_ns"] / 1e9 for a in arrivals if a["verdict"] == "accepted"]
        since = arrivals[-1]["seq"]


def audit(segment, build):
    done = subprocess.run([programs.binary("weir-inspect", build), "--segment", segment, "audit"],
                          capture_output=True, text=True, timeout=30)
    return "" if done.returncode == 0 else f"weir-inspect audit: {done.stdout}{done.stderr}"


def growth(samples, which, name):
    """What a process of the samples needs too much of in the last third; empty if nothing."""
    third = len(samples) // 3
    before = [sample[which] for sample in samples[third:2 * third]]
    after = [sample[which] for sample in samples[2 * third:]]
    most = {key: (max(s[key] for s in before), max(s[key] for s in after))
            for key in ("rss", "private", "descriptors")}
    print(f"{name}: private memory {most['private'][0]} then {most['private'][1]} KiB, "
          f"resident {most['rss'][0]} then {most['rss'][1]} KiB, "
          f"descriptors {most['descriptors'][0]} then {most['descriptors'][1]}")
    return [f"{name}: {key} grew from {old} to {new} KiB"
            for key, (old, new) in most.items() if key != "descriptors" and new > old * 1.05 + 1024]


async def torment(args, proxy, write_config, segment):
    """Runs it all; returns the tormentor, and what audits along the way found."""
    found = []
    tormentor = Tormentor(proxy, write_config, random.Random(args.seed))
    tasks = [asyncio.create_task(work) for work in (tormentor.kill(), tormentor.reload(), tormentor.watch())]
    clients = []
    for _ in range(args.connections):
        clients.append(asyncio.create_task(Client(proxy.port, args.pause).run()))
        if len(clients) % 100 == 0:
            await asyncio.sleep(0.1)
    deadline = time.monotonic() + args.seconds
    while time.monotonic() < deadline:
        await asyncio.sleep(min(5, max(0.1, deadline - time.monotonic())))
        found += filter(None, [await asyncio.to_thread(audit, segment, args.build)])
        for task in tasks:
            if task.done():
                task.result()
    Client.done = True
    await asyncio.wait([*clients, *tasks], timeout=2 * args.pause + 15)
    return tormentor, found


def settles(pid, descriptors, patience_s=20):
    """Whether a process gets back to so many descriptors."""
    deadline = time.monotonic() + patience_s
    while programs.descriptors(pid) > descriptors and time.monotonic() < deadline:
        time.sleep(0.2)
    return programs.descriptors(pid) <= descriptors


def judge(args, proxy, fake, segment, tormentor, before):
    """Sentences that say what is wrong."""
    wrong = list(dict.fromkeys(Client.wrong))
    counts = Client.counts
    times = arrivals_at(fake)
    most = fullest(times, WINDOW_S - TRANSIT_S)
    print(f"{counts['answered']} answered, {counts['refused']} refused, {counts['lost']} lost with their "
          f"worker, over {counts['connections']} connections; {tormentor.kills} kills, "
          f"{tormentor.reloads} reloads")
    print(f"the upstream saw {len(times)}, at most {most} of {args.limit} within {WINDOW_S - TRANSIT_S:g} s")
    if most > args.limit:
        wrong.append("more requests in a window than the limit allows")
    if most < args.limit * 0.9:
        wrong.append("the limit was never used up: nothing was shown")
    if not counts["answered"] <= len(times) <= counts["answered"] + counts["lost"]:
        wrong.append("the upstream saw other requests than were answered or lost")
    if not tormentor.kills or not tormentor.reloads:
        wrong.append("nobody was killed, or nothing reloaded")
    wrong += growth(tormentor.samples, 1, "the spared worker")
    wrong += growth(tormentor.samples, 2, "the supervisor")
    if not settles(tormentor.spared, before["worker"]):
        wrong.append(f"the spared worker has {programs.descriptors(tormentor.spared)} descriptors when idle, "
                     f"and had {before['worker']}")
    if not settles(proxy.pid, before["supervisor"]):
        wrong.append(f"the supervisor has {programs.descriptors(proxy.pid)} descriptors, "
                     f"and had {before['supervisor']}")
    if len(proxy.workers()) != args.workers:
        wrong.append(f"{len(proxy.workers())} workers at the end")
    return wrong + list(filter(None, [audit(segment, args.build)]))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--limit", type=int, default=2000, help=f"requests in {WINDOW_S} s")
    parser.add_argument("--pause", type=float, default=4, help="seconds between two requests of a connection")
    parser.add_argument("--seed", type=int, default=random.getrandbits(32), help="of the kills and reloads")
    parser.add_argument("--build", help="the build directory (build/ci)")
    args = parser.parse_args()
    print(f"soak: {args.seconds:g} s, seed {args.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="weir-soak-") as folder, contextlib.ExitStack() as stack:
        segment = stack.enter_context(programs.segment("soak"))
        fake = stack.enter_context(programs.FakeServer(folder, "--rpm", "0", build=args.build))

        def config(generation):
            return CONFIG.format(generation=generation, upstream=fake.url, segment=segment, limit=args.limit,
                                 window=WINDOW_S)
        proxy = stack.enter_context(programs.Proxy(folder, config(0), workers=args.workers, build=args.build))
        programs.wait_until(lambda: len(proxy.workers()) == args.workers)
        time.sleep(1)  # they have opened what they keep open
        before = {"worker": programs.descriptors(proxy.workers()[0]),
                  "supervisor": programs.descriptors(proxy.pid)}
        tormentor, wrong = asyncio.run(
            torment(args, proxy, lambda generation: proxy.config.write_text(config(generation)), segment))
        time.sleep(6)  # the dead are restarted
        wrong += judge(args, proxy, fake, segment, tormentor, before)
        for sentence in dict.fromkeys(wrong):
            print(f"soak: {sentence}")
        if wrong:
            print(proxy.output()[-2000:])
    print("soak: " + ("FAILED" if wrong else "held"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
