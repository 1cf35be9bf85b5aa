#!/usr/bin/env bash
# package_test.sh BUILD VERSION C_CONSUMER: see CMakeLists.txt beside this.
set -euo pipefail
build=$1 version=$2 c_consumer=$3
here=$(cd "$(dirname "$0")" && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "package_test: $*" >&2; exit 1; }
# What a step says is wanted only when it fails.
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "$*"; }; }

quietly cmake --install "$build" --prefix "$work/first"
mv "$work/first" "$work/weir"
! grep -rqF "$work/first" "$work/weir" --include='*.cmake' --include='*.pc' ||
    fail "the package names the place where it was installed, so it cannot be moved"
prefix=$work/weir

for program in weir-inspect weir-proxy weir-fake-server weir-loadtest; do
    [ "$("$prefix/bin/$program" --version)" = "$version" ] ||
        fail "$program --version says \"$("$prefix/bin/$program" --version)\", not $version"
done

# C++, by find_package. (Two levels down, so that tests/CMakeLists.txt does not take them for its own.)
# The first consumer includes every installed header of shm, and asks for shm alone.
for header in "$prefix"/include/weir/shm/*.hpp; do
    echo "#include \"shm/$(basename "$header")\""
done >"$work/every_header.hpp"
for consumer in shm router; do
    quietly cmake -S "$here/consumers/$consumer" -B "$work/$consumer" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" \
        -DCMAKE_INCLUDE_PATH="$work" -DWEIR_EXPECTED="$version"
    quietly cmake --build "$work/$consumer"
    "$work/$consumer/consumer"
done

# C, by pkg-config. The library is not where the system looks for it.
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name weir.pc)")
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion weir)" = "$version" ] || fail "weir.pc says another version"
read -ra flags <<<"$(pkg-config --cflags --libs weir)"
quietly "${CC:-cc}" -std=c99 -Wall -Wextra -Werror "$c_consumer" -o "$work/c_consumer" "${flags[@]}"
LD_LIBRARY_PATH=$(pkg-config --variable=libdir weir) "$work/c_consumer" "$version"
