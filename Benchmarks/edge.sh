#!/usr/bin/env bash
# The edge beside nginx, HAProxy, Caddy and Traefik in one run, as a Markdown table: CPU per request, latency, memory.
#
#   Benchmarks/edge.sh [--rounds N] [--seconds N] [--peers NAME,…] [--cases WORD;…]
#
# Works from a fresh clone: installs the Debian packages that are missing, puts the two peers that come as wheels into
# .build/bench, and builds the release program unless ROOST_BIN names one. Everything runs on loopback, in a folder of
# its own, and is stopped by process id at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for package in nginx haproxy wrk python3 python3-venv procps; do
    dpkg-query -W -f='${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi

venv=.build/bench/venv
[ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
for wheel in caddy traefik; do
    [ -x "$venv/bin/$wheel" ] || "$venv/bin/pip" install --quiet --disable-pip-version-check "$wheel-bin" >&2
done

if [ -z "${ROOST_BIN:-}" ]; then
    swift build -c release --product roost --static-swift-stdlib >&2
    ROOST_BIN=$PWD/.build/release/roost
fi
export ROOST_BIN PATH="$PWD/$venv/bin:$PATH:/usr/sbin"
exec python3 Benchmarks/edge/compare.py "$@"
