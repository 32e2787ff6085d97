#!/bin/bash
# A short fuzzing run from the kept corpus; Tests/fuzz is for long ones.
exec "$(dirname "$0")/../fuzz" "${FUZZ_SECONDS:-20}"
