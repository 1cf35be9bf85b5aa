#!/usr/bin/env bash
# Builds Weir and runs the load test on this machine: two fake upstreams of 100 requests a minute each,
# two proxies in front of them, batches of 600 concurrent requests; then the same through routers
# without proxies. Shows what the limiters hold, and leaves nothing running.
#
#   scripts/run_local.sh            as published: a window of 60 s, ten batches; some four minutes
#   scripts/run_local.sh --quick    a window of 6 s, three batches, routers in two processes; under 40 s
#
#   --unlimited-upstreams   the upstreams refuse nothing: it is Weir alone that holds the number
#   --upstream-ports A,B    instead of 8080,8081
#   --proxy-ports A,B       instead of 4000,4001
#   --programs DIR          take the programs from DIR; install and build nothing
#   --help                  this text
#
# Exit status: 0 every limit held, 1 one did not, 2 usage, 3 it could not run, 130 interrupted.
set -euo pipefail
cd "$(dirname "$0")/.."

window=60 batches=10 pause=10 processes=1 rpm=100
upstream_ports=(8080 8081) proxy_ports=(4000 4001)
programs=
work=  # where the configuration and the logs are kept
segment=weir-local-$$
verdict=0

say() { printf '\n== %s\n' "$*"; }
complain() { printf 'run_local: %s\n' "$*" >&2; }
usage_error() { complain "$* (see --help)"; exit 2; }

read_ports() {  # OPTION A,B
    [[ "$2" =~ ^([1-9][0-9]{0,4}),([1-9][0-9]{0,4})$ ]] || usage_error "$1 needs two ports such as 8080,8081, not \"$2\""
    ports=("${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}")
    (( ports[0] <= 65535 && ports[1] <= 65535 )) || usage_error "$1: a port is at most 65535"
}

read_arguments() {
    while [ $# -gt 0 ]; do
        case "$1" in
            --quick) window=6 batches=3 pause=3.2 processes=2 ;;
            --unlimited-upstreams) rpm=0 ;;
            --upstream-ports) read_ports "$1" "${2:-}"; upstream_ports=("${ports[@]}"); shift ;;
            --proxy-ports) read_ports "$1" "${2:-}"; proxy_ports=("${ports[@]}"); shift ;;
            --programs) programs=${2:-}; [ -d "$programs" ] || usage_error "--programs: no directory \"$programs\""; shift ;;
            --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
            *) usage_error "unknown argument \"$1\"" ;;
        esac
        shift
    done
}

# Ends what was started; whoever does not end within five seconds is killed.
stop_all() {
    local pid tries pids
    pids=$(jobs -pr)
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    for pid in $pids; do
        for (( tries = 0; tries < 100; ++tries )); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.05
        done
        kill -9 "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

clean_up() {
    local status=$?
    trap '' INT TERM HUP
    stop_all
    if [ -n "$work" ]; then
        "$programs/weir-inspect" --segment "$segment" remove >/dev/null 2>&1 || true
        rm -rf "$work"
    fi
    exit "$status"
}

interrupted() {
    echo
    complain "interrupted; stopping everything"
    exit 130
}

check_port_free() {
    if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
        complain "port $1 is taken by another program; nothing was started (see --upstream-ports, --proxy-ports)"
        exit 3
    fi
}

build() {
    say "Building (the first time takes some minutes)"
    scripts/build.sh --target weir-fake-server weir-proxy weir-loadtest weir-inspect ||
        { complain "the build failed"; exit 3; }
    programs=build/release/bin
}

# Starts a program in the background and waits until it listens where it should.
start() {  # PORT PROGRAM ARGUMENT...
    local port=$1 name=$2 tries
    local log=$work/$name-$port.log
    shift 2
    "$programs/$name" --host 127.0.0.1 --port "$port" "$@" >"$log" 2>&1 &
    for (( tries = 0; tries < 200; ++tries )); do
        if grep -qs '^listening on ' "$log"; then
            grep -q "^listening on http://127.0.0.1:$port\$" "$log" && return
            complain "port $port was taken by another program before $name could have it"
            exit 3
        fi
        kill -0 "$!" 2>/dev/null || break
        sleep 0.05
    done
    complain "$name on port $port did not start:"
    sed 's/^/  /' "$log" >&2
    exit 3
}

start_everything() {
    local port limit="$rpm requests in $window s"
    [ "$rpm" -gt 0 ] || limit="no limit of its own"
    say "Starting two upstreams and two proxies"
    sed -e "s/127\.0\.0\.1:8080/127.0.0.1:${upstream_ports[0]}/" \
        -e "s/127\.0\.0\.1:8081/127.0.0.1:${upstream_ports[1]}/" \
        -e "s/^\( *segment:\) .*/\1 $segment/" -e "s/^\( *window_seconds:\) .*/\1 $window/" \
        docs/example/config.yaml >"$work/config.yaml"
    for port in "${upstream_ports[@]}"; do
        start "$port" weir-fake-server --rpm "$rpm" --window-seconds "$window"
        echo "upstream  http://127.0.0.1:$port  $limit"
    done
    for port in "${proxy_ports[@]}"; do
        start "$port" weir-proxy --config "$work/config.yaml"
        echo "proxy     http://127.0.0.1:$port"
    done
}

# In the background and waited for, so that a signal ends it at once.
loadtest() {  # MODE ARGUMENT...
    local port status=0
    local arguments=("$@" --requests 600 --batches "$batches" --pause "$pause" --expect 200 --limit 100)
    for port in "${upstream_ports[@]}"; do arguments+=(--ledger "http://127.0.0.1:$port"); done
    "$programs/weir-loadtest" "${arguments[@]}" --window-seconds "$window" --transit-ms 5000 &
    wait $! || status=$?
    [ "$status" -le 1 ] || { complain "the load test could not run"; exit 3; }
    [ "$status" -eq 0 ] || verdict=1
}

# Until what the first test took has come back. A window lasts up to 1/62 longer than it says.
wait_for_window() {
    local left=$(( window + 1 ))
    say "Waiting $left s, until the window has passed"
    for (( ; left > 0; --left )); do
        if [ -t 1 ]; then printf '\r%3d s ' "$left"; fi
        sleep 1 &
        wait $!
    done
    if [ -t 1 ]; then printf '\r       \r'; fi
}

read_arguments "$@"
for port in "${upstream_ports[@]}" "${proxy_ports[@]}"; do check_port_free "$port"; done
trap clean_up EXIT
trap interrupted INT TERM HUP
[ -n "$programs" ] || build
work=$(mktemp -d)
start_everything

say "Load test over both proxies: $batches batches of 600 requests, $pause s apart"
loadtest proxy --url "http://127.0.0.1:${proxy_ports[0]}" --url "http://127.0.0.1:${proxy_ports[1]}"
say "What the limiters hold (weir-inspect)"
"$programs/weir-inspect" --segment "$segment"
wait_for_window
say "Load test over routers: $processes process(es) of 2 routers each"
loadtest router --config "$work/config.yaml" --instances 2 --processes "$processes"
say "What the limiters hold (weir-inspect)"
"$programs/weir-inspect" --segment "$segment"

say "Stopping everything"
stop_all
if [ "$verdict" -eq 0 ]; then
    echo "PASS: at most 200 requests in any $window s, over both proxies and over all routers"
else
    echo "FAIL: see above"
fi
exit "$verdict"
