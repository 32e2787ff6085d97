#!/bin/sh
# The API of a real hub against its own description: a hub on a free port and in a folder of its own, and schemathesis.
# A change is judged by the same questions as the one before; without ROOST_TEST_SEED others are asked, SCHEMATHESIS_SECONDS more.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
roost=${ROOST_BIN:-$here/../../.build/debug/roost}
data=$(mktemp -d)
port=$(python3 "$here/../Fixtures/free_port.py")
"$roost" hub --data "$data" --listen "127.0.0.1:$port" > "$data/hub.log" 2>&1 &
hub=$!
trap 'kill "$hub" 2> /dev/null || true; wait "$hub" || true; rm -rf "$data"' EXIT
tries=0
until curl -fsS -o /dev/null "http://127.0.0.1:$port/healthz" 2> /dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || { cat "$data/hub.log"; exit 1; }
    sleep 0.1
done
sh "$here/schemathesis.sh" "http://127.0.0.1:$port" "$data/admin.key" "${SCHEMATHESIS_SECONDS:-60}" "${ROOST_TEST_SEED:-}"
