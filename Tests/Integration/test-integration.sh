#!/bin/sh
# All scenarios, as `make test` runs them. They make accounts and boot hosts, which needs root.
run="$(dirname "$0")/run.py"
[ "$(id -u)" = 0 ] && exec python3 "$run" "$@"
exec sudo -n --preserve-env=PATH,ROOST_BIN,ROOST_TEST_LONG,ROOST_TEST_SEED python3 "$run" "$@"
