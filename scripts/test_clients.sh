#!/usr/bin/env bash
# Other people's clients against Weir: OpenAI's for Python and Node, LiteLLM's Router, the published load test.
# Not part of scripts/test.sh, for it installs them from their registries, into a temporary directory.
#
#   scripts/test_clients.sh                 with the programs in build/ci; some four minutes
#   scripts/test_clients.sh --build DIR     with those of another build
#   scripts/test_clients.sh --batches 10    the load test as long as published (0 leaves it out)
#
# What cannot be installed (no runtime, no registry in reach) is skipped with a message; exit status 77 if that is all
# of it, 1 if a client found something wrong.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d -t weir-clients-XXXXXX)
trap 'rm -rf "$work"' EXIT
skip() { echo "test_clients: skipped: $*" >&2; }

clients=()
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    skip "no python3 with venv for OpenAI's and LiteLLM's Python clients"
elif ! { python3 -m venv "$work/venv" && timeout 300 "$work/venv/bin/pip" install --quiet openai; } >"$work/pip.log" 2>&1; then
    skip "openai cannot be installed for Python: $(tail -n 1 "$work/pip.log")"
else
    clients+=(--python "$work/venv/bin/python")
    if timeout 300 "$work/venv/bin/pip" install --quiet litellm >"$work/pip.log" 2>&1; then
        clients+=(--litellm)
    else
        skip "litellm cannot be installed: $(tail -n 1 "$work/pip.log")"
    fi
fi

mkdir "$work/node"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    skip "no node with npm for OpenAI's client"
elif ! timeout 300 npm --prefix "$work/node" --cache "$work/npm" install --silent --no-audit --no-fund openai \
        >"$work/npm.log" 2>&1; then
    skip "openai cannot be installed for Node: $(tail -n 1 "$work/npm.log")"
else
    clients+=(--node-modules "$work/node")
fi

[ ${#clients[@]} -gt 0 ] || exit 77
python3 tests/clients/run.py "${clients[@]}" "$@"
