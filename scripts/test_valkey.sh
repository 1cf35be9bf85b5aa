#!/usr/bin/env bash
# The tests that need a Redis, against Valkey: the valkey-server in PATH, or else Debian's, from the backports of
# this release. That is unpacked into the build directory and kept there; nothing is installed.
#
#   scripts/test_valkey.sh               with the programs in build/ci; two minutes
#   scripts/test_valkey.sh --build DIR   with those of another build
#   scripts/test_valkey.sh -R hosts_     further arguments go to ctest
#   WEIR_LONG=1 scripts/test_valkey.sh   the long forms
#
# Exit status: ctest's, or 77 where there is no Valkey and none can be fetched.
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/ci
case "${1:-}" in
    --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --build) build=${2:?--build needs a directory}; shift 2 ;;
esac
complain() { echo "test_valkey: $*" >&2; }
skip() { complain "skipped: $*"; exit 77; }

tests=(router_lease_test redis_client_test hosts_test weir-bench-beats)
listed=$(ctest --test-dir "$build" --show-only 2>&1 || true)
for test in "${tests[@]}"; do
    grep -q ": $test:" <<<"$listed" || { complain "$test is not built: cmake --build $build"; exit 2; }
done

# Where apt has the packages of this release from: its backports are there, too.
mirror() { apt-get indextargets --no-release-info --format '$(REPO_URI)' "Release: $1" | head -n 1; }

# Into $1. apt works in there alone, with sources of its own; it checks the archive's signatures.
fetch_valkey() {
    local apt="$1/apt" release uri package
    local keys=/usr/share/keyrings/debian-archive-keyring.gpg
    release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    uri=$(mirror "$release")
    [ -n "$uri" ] || { echo "apt knows no archive of '$release'"; return 1; }
    mkdir -p "$apt"/{state/lists,cache/archives}/partial
    for suite in "$release" "$release-backports"; do
        echo "deb [signed-by=$keys target=Packages] $uri $suite main"
    done >"$apt/sources.list"
    cat >"$apt/apt.conf" <<END
#clear APT::Update;
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "$apt/state";
Dir::Cache "$apt/cache";
Debug::NoLocking "true";
Acquire::http::Timeout "20";
END
    apt-get --config-file "$apt/apt.conf" update --error-on=any || return
    # Reinstalled, it comes also where it is installed; of what it needs, what is missing comes with it.
    apt-get --config-file "$apt/apt.conf" install --yes --no-install-recommends --reinstall --download-only \
        --target-release "$release-backports" valkey-server valkey-tools || return
    for package in "$apt"/cache/archives/*.deb; do dpkg --extract "$package" "$1/root" || return; done
}

server=$(command -v valkey-server || true)
if [ -z "$server" ]; then
    command -v apt-get >/dev/null || skip "there is no valkey-server in PATH, and no apt-get to fetch one"
    home=$(realpath "$build")/valkey
    server=$home/valkey-server
    if [ ! -x "$server" ]; then
        rm -rf "$home" && mkdir "$home"
        fetch_valkey "$home" >"$home/log" 2>&1 || skip "Valkey cannot be fetched: $(grep -m 1 "^E:" "$home/log" || tail -n 1 "$home/log")"
        # The libraries that came along are for it alone.
        libraries=$(find "$home/root" -type d -name '*-linux-gnu*' | paste -s -d :)
        printf '#!/bin/bash\nexport LD_LIBRARY_PATH=%q\nexec %q "$@"\n' "$libraries" \
            "$home/root/usr/bin/valkey-server" >"$server"
        chmod +x "$server"
        rm -r "$home/apt"
    fi
fi

"$server" --version
export WEIR_REDIS_SERVER=$server
exec ctest --test-dir "$build" --output-on-failure --tests-regex "^($(IFS='|'; echo "${tests[*]}")):" "$@"
