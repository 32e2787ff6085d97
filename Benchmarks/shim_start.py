#!/usr/bin/env python3
"""From the start of a shim to the first instruction of its application: median of 100 starts, beside the same
application started directly. ROOST_BIN is the program to measure."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 100
# Prints the time at which it runs, in nanoseconds.
APPLICATION = ["/bin/date", "+%s%N"]


def start_shim(program, root, number):
    folder = f"{root}/units/job.{number}"
    logs = f"{root}/logs/job.{number}"
    os.makedirs(folder, mode=0o700)
    spec = {
        "id": f"job.{number}", "argv": APPLICATION, "environment": {"PATH": "/usr/bin:/bin"}, "working_directory": "/",
        "restart": "never", "backoff_first_ms": 100, "backoff_max_ms": 1000, "stable_after_ms": 10000,
        "crash_loop_after": 5, "stop_signal": "TERM", "stop_grace_ms": 1000, "log_folder": logs,
        "log_size_max_bytes": 1 << 20, "log_files_max": 2,
    }
    with open(f"{folder}/spec.json", "w", encoding="utf-8") as file:
        json.dump(spec, file)
    began = time.time_ns()
    shim = subprocess.Popen([program, "shim", f"{folder}/spec.json"], stderr=subprocess.DEVNULL)
    try:
        shim.wait(20)
    finally:
        shim.kill()
    with open(f"{logs}/current.log", encoding="utf-8") as file:
        return (int(file.read()) - began) / 1e6


def start_directly():
    began = time.time_ns()
    return (int(subprocess.run(APPLICATION, capture_output=True, check=True).stdout) - began) / 1e6


def main():
    program = os.environ.get("ROOST_BIN", ".build/release/roost")
    with tempfile.TemporaryDirectory() as root:
        start_shim(program, root, "warm")
        # In turn, so that both see the same machine.
        pairs = [(start_shim(program, root, number), start_directly()) for number in range(ROUNDS)]
    for name, values in zip(("by a shim", "directly"), zip(*pairs)):
        values = sorted(values)
        print(
            f"{name:10} median {statistics.median(values):6.2f} ms, best {values[0]:6.2f}, "
            f"90 of 100 below {values[int(len(values) * 0.9)]:6.2f}"
        )
    shims, direct = (statistics.median(values) for values in zip(*pairs))
    print(f"the shim's share: {shims - direct:.2f} ms")
    return 0 if shims - direct < 20 else 1


if __name__ == "__main__":
    sys.exit(main())
