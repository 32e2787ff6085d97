#!/bin/sh
# All scenarios, as `make test` runs them.
exec python3 "$(dirname "$0")/run.py" "$@"
