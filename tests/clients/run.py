"""Starts a fake upstream and Weir proxies, and runs other people's clients against them. Started by
scripts/test_clients.sh, which installs the clients.

    run.py [--build DIR] [--python INTERPRETER] [--litellm] [--node-modules DIR] [--batches N]
"""
import argparse
import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import programs  # noqa: E402

SDK_CONFIG = """
model_list:
  - model_name: gpt-4o
    litellm_params: {{model: openai/upstream-model, api_base: '{upstream}/v1', api_key: none, rpm: 100000}}
    model_info: {{id: clients-chat}}
  - model_name: text-embedding-3-small
    litellm_params: {{model: openai/upstream-embedding, api_base: '{upstream}/v1', api_key: none}}
router_settings: {{num_retries: 0, disable_cooldowns: true}}
weir_settings:
  segment: {segment}
  window_seconds: 2
  keys:
    - {{name: free, key: sk-free}}
    - {{name: embeddings-only, key: sk-embeddings-only, models: [text-embedding-3-small]}}
    - {{name: two-a-window, key: sk-two-a-window, rpm_limit: 2}}
    - {{name: two-a-window-for-node, key: sk-two-a-window-for-node, rpm_limit: 2}}
"""

# The published test: two upstreams, 100 requests a minute each. The fake upstreams refuse nothing here: it
# is Weir alone that holds the number.
LOAD_CONFIG = """
model_list:
  - model_name: fake-openai-endpoint
    litellm_params: {{model: openai/gpt-3.5-turbo, api_base: '{first}', api_key: my-fake-key, rpm: 100}}
    model_info: {{id: first}}
  - model_name: fake-openai-endpoint
    litellm_params: {{model: openai/gpt-3.5-turbo, api_base: '{second}', api_key: my-fake-key, rpm: 100}}
    model_info: {{id: second}}
router_settings: {{num_retries: 0}}
general_settings: {{master_key: sk-1234}}
weir_settings: {{segment: {segment}}}
"""


def run(title, command, **env):
    print(f"== {title}", flush=True)
    return subprocess.run(command, env={**os.environ, **env}, cwd=HERE, timeout=600).returncode == 0


@contextlib.contextmanager
def two_proxies(folder, args):
    with contextlib.ExitStack() as stack:
        segment = stack.enter_context(programs.segment("clients"))
        fakes = [stack.enter_context(programs.FakeServer(folder, "--rpm", "0", name=name, build=args.build))
                 for name in ("first", "second")]
        config = LOAD_CONFIG.format(first=fakes[0].url, second=fakes[1].url, segment=segment)
        yield [stack.enter_context(programs.Proxy(folder, config, name=f"proxy{i}", build=args.build))
               for i in range(2)]


def run_sdks(args, folder):
    with contextlib.ExitStack() as stack:
        segment = stack.enter_context(programs.segment("clients"))
        fake = stack.enter_context(programs.FakeServer(folder, "--rpm", "0", build=args.build))
        config = SDK_CONFIG.format(upstream=fake.url, segment=segment)
        proxy = stack.enter_context(programs.Proxy(folder, config, workers=2, build=args.build))
        good = True
        if args.python:
            good &= run("OpenAI's client for Python", [args.python, HERE / "openai_python.py"],
                        WEIR_URL=proxy.url)
        if args.node_modules:
            good &= run("OpenAI's client for Node", ["node", "--test", HERE / "openai_node.mjs"],
                        WEIR_URL=proxy.url, WEIR_NODE_MODULES=args.node_modules)
        return good


def run_litellm(args, folder):
    with two_proxies(folder, args) as proxies:
        return run("LiteLLM's Router over two proxies",
                   [args.python, "-W", "ignore", HERE / "litellm_router.py"],
                   WEIR_URLS=",".join(proxy.url for proxy in proxies),
                   LITELLM_LOCAL_MODEL_COST_MAP="True")  # prices are of no interest here


def run_load(args, folder):
    """The published load test. Its client waits and tries again when it is told to, so that a batch may last
    until the window has moved on; 200 in a minute it is all the same."""
    print(f"== the published load test, {args.batches} batches", flush=True)
    with two_proxies(folder, args) as proxies:
        ports = [str(proxy.port) for proxy in proxies]
        done = subprocess.run([args.python, HERE / "test_loadtest_proxy.py", str(args.batches), *ports],
                              capture_output=True, text=True, timeout=120 * args.batches + 60)
    print(done.stdout, end="")
    batches = [(float(seconds), int(passed))
               for seconds, passed in re.findall(r"^600 ([\d.]+) (\d+)$", done.stdout, re.M)]
    elapsed = sum(seconds + 10 for seconds, _ in batches)
    passed = sum(count for _, count in batches)
    most = 200 * (1 + int(elapsed / 60))
    print(f"{passed} answered in {elapsed:.0f} s; {most} may be")
    return len(batches) == args.batches and batches[0][1] == 200 and 200 <= passed <= most


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", help="the build directory (build/ci)")
    parser.add_argument("--python", help="an interpreter that has openai")
    parser.add_argument("--litellm", action="store_true", help="it has litellm, too")
    parser.add_argument("--node-modules", help="a directory in which node finds openai")
    parser.add_argument("--batches", type=int, default=3, help="of the published load test; 0 leaves it out")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-clients-") as folder:
        good = run_sdks(args, folder)
        if args.litellm:
            good &= run_litellm(args, folder)
        if args.python and args.batches:
            good &= run_load(args, folder)
    print("test_clients: " + ("all passed" if good else "FAILED"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
