"""Weir, nginx and HAProxy in front of the same upstream, asked by wrk in turns: requests per second,
processor time per request, latency. Started by compare.sh, which see.

What each does for a request:
  weir      checks the key, routes between two deployments, admits under the key's and the deployment's
            requests and tokens, finds the usage in the answer and settles by it, counts metrics
  nginx     limit_req by the key; proxy_pass over kept-alive connections
  haproxy   a stick table by the key; a backend with kept-alive connections

Only ratios within one run mean anything: the machine, wrk and the upstream are the same for all three, and
the rounds take turns, so that what disturbs one disturbs all.
"""
import argparse
import contextlib
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import programs  # noqa: E402

SKIPPED = 77
CONNECTIONS = 32
KEY = "sk-compare-1234567890"
MANY = 500_000_000_000  # a limit that is counted under and never reached

ANSWER = json.dumps({
    "id": "chatcmpl-123", "object": "chat.completion", "created": 1677652288, "model": "gpt-3.5-turbo",
    "system_fingerprint": "fp_44709d6fcb",
    "choices": [{"index": 0, "logprobs": None, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": "Hello there, how may I assist you today?"}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}})

QUESTION = json.dumps({
    "model": "fake-openai-endpoint", "max_tokens": 64,
    "messages": [{"role": "user", "content": "This is a test: 6d0f7e1c-5b0e-4b8e-9d4c-0a1b2c3d4e5f"}]})

WRK_SCRIPT = """
wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
wrk.body = [==[%s]==]
function done(summary, latency, requests)
    io.stderr:write(string.format('{"requests":%%d,"micros":%%d,"p50":%%d,"p99":%%d,"failed":%%d}\\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status +
        summary.errors.timeout))
end
""" % (KEY, QUESTION)

NGINX_COMMON = """
daemon off;
worker_processes 1;
pid {folder}/{name}.pid;
error_log {folder}/{name}.error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/{name}.body;
    proxy_temp_path {folder}/{name}.proxy;
    fastcgi_temp_path {folder}/{name}.fastcgi;
    uwsgi_temp_path {folder}/{name}.uwsgi;
    scgi_temp_path {folder}/{name}.scgi;
{rest}
}}
"""

NGINX_UPSTREAM = """
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{ default_type application/json; return 200 '{answer}'; }}
    }}
"""

NGINX_PROXY = """
    limit_req_zone $http_authorization zone=keys:10m rate=1000000r/s;
    upstream api {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            limit_req zone=keys burst=1000000 nodelay;
            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 1024
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend clients
    bind 127.0.0.1:{port}
    stick-table type string len 64 size 10k expire 120s store http_req_rate(60s)
    http-request track-sc0 req.hdr(authorization)
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 1000000000 }}
    default_backend api
backend api
    http-reuse always
    server upstream 127.0.0.1:{upstream} pool-max-conn 64
"""

WEIR = """
model_list:
{deployments}
router_settings: {{num_retries: 0}}
weir_settings:
  segment: {segment}
  keys:
    - {{name: compare, key: {key}, rpm_limit: {many}, tpm_limit: {many}}}
"""

WEIR_DEPLOYMENT = """  - model_name: fake-openai-endpoint
    litellm_params: {{model: openai/gpt-3.5-turbo, api_base: 'http://127.0.0.1:{upstream}/v1', api_key: none,
                      rpm: {many}, tpm: {many}}}
    model_info: {{id: compare-{index}}}
"""


def nginx(folder, name, rest):
    config = pathlib.Path(folder) / f"{name}.conf"
    config.write_text(NGINX_COMMON.format(folder=folder, name=name, rest=rest))
    return programs.Program(["nginx", "-c", str(config), "-p", str(folder), "-e", "stderr"],
                            pathlib.Path(folder) / f"{name}.log")


def start_nginx(stack, folder, upstream):
    port = programs.free_port()
    program = stack.enter_context(nginx(folder, "nginx", NGINX_PROXY.format(port=port, upstream=upstream)))
    programs.wait_for_port(port)
    return program, port


def start_haproxy(stack, folder, upstream):
    port = programs.free_port()
    config = pathlib.Path(folder) / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, upstream=upstream))
    program = stack.enter_context(programs.Program(["haproxy", "-db", "-q", "-f", str(config)],
                                                   pathlib.Path(folder) / "haproxy.log"))
    programs.wait_for_port(port)
    return program, port


def weir_config(upstream, segment):
    deployments = "".join(WEIR_DEPLOYMENT.format(upstream=upstream, many=MANY, index=i) for i in range(2))
    return WEIR.format(deployments=deployments, segment=segment, key=KEY, many=MANY)


def start_weir(stack, folder, upstream, build):
    segment = stack.enter_context(programs.segment("compare"))
    program = stack.enter_context(programs.Proxy(folder, weir_config(upstream, segment), build=build))
    return program, program.port


def start_upstream(stack, folder, kind, build):
    if kind == "fake":
        return stack.enter_context(programs.FakeServer(folder, "--rpm", "0", build=build)).port
    port = programs.free_port()
    stack.enter_context(nginx(folder, "upstream", NGINX_UPSTREAM.format(port=port, answer=ANSWER)))
    programs.wait_for_port(port)
    return port


def run_wrk(script, port, seconds, connections=CONNECTIONS):
    """One round against `port`: what WRK_SCRIPT's done() says."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script),
               f"http://127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True)
    return json.loads(done.stderr.splitlines()[-1])


def measure(program, port, script, seconds):
    before = programs.cpu_seconds(program.pids())
    said = run_wrk(script, port, seconds)
    cpu = programs.cpu_seconds(program.pids()) - before
    if said["failed"] or not said["requests"]:
        raise SystemExit(f"compare: {program.log.stem}: {said['failed']} of {said['requests']} requests "
                         f"failed:\n{program.output()}")
    return {"requests_per_second": said["requests"] / (said["micros"] / 1e6),
            "cpu_us_per_request": cpu * 1e6 / said["requests"],
            "p50_us": said["p50"], "p99_us": said["p99"]}


def summary(rounds, reference):
    """Medians; and the ratio to nginx of each round, of which the median too."""
    out = {key: round(statistics.median(r[key] for r in rounds), 1) for key in rounds[0]}
    ratios = [mine["cpu_us_per_request"] / theirs["cpu_us_per_request"]
              for mine, theirs in zip(rounds, reference)]
    out["cpu_to_nginx"] = round(statistics.median(ratios), 3)
    out["cpu_to_nginx_range"] = [round(min(ratios), 3), round(max(ratios), 3)]
    return out


def print_table(results):
    print(f"{'':9}{'requests/s':>11}{'CPU us/request':>16}{'p50 us':>8}{'p99 us':>8}   CPU to nginx's")
    for name, r in results.items():
        low, high = r["cpu_to_nginx_range"]
        print(f"{name:9}{r['requests_per_second']:11.0f}{r['cpu_us_per_request']:16.1f}{r['p50_us']:8.0f}"
              f"{r['p99_us']:8.0f}   {r['cpu_to_nginx']:.2f} ({low:.2f} to {high:.2f})")


def main():
    parser = argparse.ArgumentParser(description="Weir beside nginx and HAProxy.")
    parser.add_argument("--rounds", type=int, default=5, help="of each, after one that does not count")
    parser.add_argument("--seconds", type=int, default=4, help="of each round")
    parser.add_argument("--upstream", choices=["nginx", "fake"], default="nginx",
                        help="a constant answer of nginx, or weir-fake-server")
    parser.add_argument("--build", help="the build directory (build/ci)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--at-most", type=float, metavar="X",
                        help="fail (1) if Weir's processor time per request is above X times nginx's")
    args = parser.parse_args()
    for needed in ("wrk", "nginx"):
        if not shutil.which(needed):
            print(f"skipped: there is no {needed} on this host")
            return SKIPPED

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-compare-"))
        pathlib.Path(folder).chmod(0o755)  # nginx's worker may be somebody else
        script = pathlib.Path(folder) / "question.lua"
        script.write_text(WRK_SCRIPT)
        upstream = start_upstream(stack, folder, args.upstream, args.build)
        contenders = {"weir": start_weir(stack, folder, upstream, args.build),
                      "nginx": start_nginx(stack, folder, upstream)}
        if shutil.which("haproxy"):
            contenders["haproxy"] = start_haproxy(stack, folder, upstream)
        else:
            print("haproxy: skipped, it is not on this host", file=sys.stderr)

        rounds = {name: [] for name in contenders}
        for number in range(args.rounds + 1):
            for name, (program, port) in contenders.items():
                measured = measure(program, port, script, args.seconds if number else 1)
                if number:
                    rounds[name].append(measured)
        results = {name: summary(rounds[name], rounds["nginx"]) for name in contenders}

    if args.json:
        print(json.dumps({"rounds": args.rounds, "seconds": args.seconds, "connections": CONNECTIONS,
                          "upstream": args.upstream, "results": results}, indent=2))
    else:
        print_table(results)
    if args.at_most and results["weir"]["cpu_to_nginx"] > args.at_most:
        print(f"compare: more than {args.at_most} times nginx's processor time", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
