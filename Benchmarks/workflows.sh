#!/bin/bash
# Durable five-step workflows per second, and milliseconds from start to finish, at 1, 8 and 64 at once: ours and DBOS
# (from PyPI), in the same run, on the same PostgreSQL (a cluster of its own, fsync on) and on SQLite.
#
# Durability is equal: each step's result is committed before the next step begins. PostgreSQL: synchronous_commit on for
# both. SQLite: WAL mode with synchronous=FULL for both; DBOS would leave journal mode delete, so its file is put into
# WAL mode before it starts. Set DBOS_PYTHON to a Python that has it, to spare the installation.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-5}
bench=${WORKFLOW_BENCH:-.build/release/workflow-bench}
[ -x "$bench" ] || swift build -c release --product workflow-bench
work=$(mktemp -d /tmp/roost-workflows-XXXXXX)
programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
as_postgres() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
stop() {
    as_postgres "$programs/pg_ctl" -D "$work/data" -m immediate stop > /dev/null 2>&1 || true
    rm -rf "$work"
}
trap stop EXIT
[ "$(id -u)" != 0 ] || chown postgres: "$work"
port=$((20000 + $$ % 20000))
as_postgres "$programs/initdb" -D "$work/data" -U roost -A trust -E UTF8 --locale=C.UTF-8 > /dev/null
as_postgres "$programs/pg_ctl" -D "$work/data" -w -l "$work/log" \
    -o "-p $port -k $work -c listen_addresses=127.0.0.1 -c max_connections=200" start > /dev/null
for name in ours dbos; do "$programs/createdb" -h "$work" -p "$port" -U roost "$name"; done

python=${DBOS_PYTHON:-python3}
if ! "$python" -c 'import dbos' 2> /dev/null; then
    python3 -m venv "$work/venv" && "$work/venv/bin/pip" -q install dbos && python="$work/venv/bin/python"
fi
echo "DBOS $("$python" -c 'import importlib.metadata as m; print(m.version("dbos"))'), PostgreSQL" \
    "$("$programs/postgres" --version | cut -d' ' -f3), $(nproc) cores, $seconds s each"
printf '%-10s %-6s %7s %10s %9s %9s\n' store who at-once per-second p50-ms p99-ms
row() { # STORE WHO AT-ONCE JSON
    printf '%-10s %-6s %7s %10s %9s %9s\n' "$1" "$2" "$3" \
        $(echo "$4" | python3 -c 'import json,sys; v=json.load(sys.stdin); print(v["per_second"],v["p50_ms"],v["p99_ms"])')
}
for count in 1 8 64; do
    row postgres ours "$count" "$("$bench" "postgres://roost@127.0.0.1:$port/ours" "$count" "$seconds")"
    row postgres dbos "$count" \
        "$("$python" Benchmarks/Workflows/dbos_peer.py "postgresql://roost@127.0.0.1:$port/dbos" "$count" "$seconds" | tail -n 1)"
    rm -f "$work"/ours.db* "$work"/dbos.db*
    row sqlite ours "$count" "$("$bench" "$work/ours.db" "$count" "$seconds")"
    row sqlite dbos "$count" \
        "$("$python" Benchmarks/Workflows/dbos_peer.py "sqlite:///$work/dbos.db" "$count" "$seconds" | tail -n 1)"
done
echo "DBOS on SQLite: journal_mode $(sqlite3 "$work/dbos.db" 'PRAGMA journal_mode' 2> /dev/null || echo unknown)"
