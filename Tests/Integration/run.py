#!/usr/bin/env python3
"""Scenarios against the real program: run.py [names…] [--quick] [--list] [--keep] [--jobs N] [--all]

The program is $ROOST_BIN, or .build/debug/roost. Each scenario runs as a process of its own, prints one line, and the
last line says `N passed, M failed`. A name may end early: `failures` runs all that begin with it. Needs root.

--quick   a few minutes' worth of the set
--all     the long versions: every labelled effect, and 100 deploys (or ROOST_TEST_LONG=1)
--keep    leave the folders of failed scenarios
"""

import argparse
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "Fixtures")]
sys.dont_write_bytecode = True

import ending  # noqa: E402, F401
from kit.registry import SCENARIOS  # noqa: E402
from kit.world import PROGRAM, World  # noqa: E402

MODULES = [
    "basics", "sources", "deploys", "failures", "storage", "joining", "runs", "creates", "distrust", "hostile",
    "faults", "containers", "sites", "targets", "hosts",
]


def load_scenarios():
    for module in MODULES:
        if os.path.exists(f"{HERE}/{module}.py"):
            importlib.import_module(module)


def run_here(name, keep):
    """One scenario in this process; the exit status tells."""
    entry = SCENARIOS[name]
    if entry.needs_lab:
        from kit.lab import enter_lab

        enter_lab()
    world = World()
    failed = False
    try:
        entry.body(world)
    except BaseException:
        failed = True
        traceback.print_exc(limit=-4)
        for log in sorted(os.listdir(world.root)):
            if log.endswith(".log"):
                lines = world.log(log).splitlines()
                crash = next((at for at, line in enumerate(lines) if "crashed:" in line), None)
                print(f"--- {log} ({world.root})")
                print("\n".join(lines[-20:] if crash is None else lines[crash : crash + 14]))
    finally:
        began = time.monotonic()
        world.close(keep=keep and failed)
        if time.monotonic() - began > 15:
            world.note(f"cleaning up took {time.monotonic() - began:.0f} s")
    print("NOTE " + "; ".join(world.notes))
    return 1 if failed else 0


def run_apart(name, arguments, lock, results):
    entry = SCENARIOS[name]
    command = [sys.executable, os.path.abspath(__file__), "--here", name] + (["--keep"] if arguments.keep else [])
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = entry.seconds * (10 if os.environ.get("ROOST_TEST_LONG") else 1) + 30
    timer = threading.Timer(seconds, lambda: process.send_signal(signal.SIGINT))
    timer.start()
    output, _ = process.communicate()
    timer.cancel()
    took = time.monotonic() - began
    notes = [line[5:] for line in output.splitlines() if line.startswith("NOTE ") and len(line) > 5]
    well = process.returncode == 0
    late = " (out of time)" if took >= seconds else ""
    with lock:
        results[name] = None if well else reason(output) + late
        print(f"{'ok    ' if well else 'FAILED'}  {name} ({took:.1f} s){'  ' + notes[-1] if notes else ''}", flush=True)
        if not well:
            print("\n".join(f"    {line}" for line in (output + late).splitlines()[-90:]), flush=True)


def reason(output):
    """The line of a failed scenario that says most: its exception, which stands before the logs."""
    said = output.split("\n--- ")[0].strip().splitlines()
    return next((line.strip() for line in reversed(said) if line.strip() and not line.startswith("NOTE")), "no output")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    for flag in ("--quick", "--list", "--keep", "--all"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--here", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.all:
        os.environ["ROOST_TEST_LONG"] = "1"
    load_scenarios()
    if arguments.here:
        sys.exit(run_here(arguments.here, arguments.keep))
    chosen = [
        name
        for name, entry in SCENARIOS.items()
        if (not arguments.names or any(name.startswith(prefix) for prefix in arguments.names))
        and (not arguments.quick or entry.is_quick)
    ]
    if arguments.list:
        print("\n".join(chosen))
        return
    if os.geteuid() != 0:
        sys.exit("run.py needs root: services get accounts of their own, and hosts are booted")
    if not os.access(PROGRAM, os.X_OK) or not chosen:
        sys.exit(f"there is no program {PROGRAM}" if chosen else "no scenario has such a name")
    results, lock = {}, threading.Lock()
    work_through(chosen, arguments, lock, results)
    passed = sum(why is None for why in results.values())
    for name, why in results.items():
        if why is not None:
            print(f"FAILED  {name}: {why[:300]}")
    print(f"{passed} passed, {len(chosen) - passed} failed")
    sys.exit(0 if passed == len(chosen) else 1)


def work_through(chosen, arguments, lock, results):
    """Scenarios of the lab one after the other at the end; the rest side by side."""
    plain = [name for name in chosen if not SCENARIOS[name].needs_lab]
    queue = iter(plain)

    def work():
        while True:
            with lock:
                name = next(queue, None)
            if name is None:
                return
            run_apart(name, arguments, lock, results)

    workers = [threading.Thread(target=work) for _ in range(max(1, arguments.jobs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for name in chosen:
        if SCENARIOS[name].needs_lab:
            run_apart(name, arguments, lock, results)


if __name__ == "__main__":
    main()
