#!/usr/bin/env python3
"""Presses Tab in the real bash, zsh and fish with the program's own completion scripts."""

import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = pathlib.Path(os.environ.get("ROOST_BIN", ROOT / ".build" / "debug" / "roost"))
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="roost-completion-"))
SCRIPTS = FOLDER / "scripts"
CASES = [
    ("roost ser", {"server", "service"}),
    ("roost deployment rol", {"rollback"}),
    ("roost site pro", {"provision"}),
    ("roost service create --memory", {"--memory-max"}),
    ("roost tenant resource-", {"resource-summary", "resource-usage"}),
    ("roost brand set-", {"set-clusters"}),
]


def script(shell, name):
    text = subprocess.run([PROGRAM, "completion", shell], check=True, capture_output=True, text=True, timeout=30).stdout
    SCRIPTS.mkdir(exist_ok=True)
    (SCRIPTS / name).write_text(text)
    return SCRIPTS / name


def environment():
    binaries = FOLDER / "bin"
    binaries.mkdir(exist_ok=True)
    if not (binaries / "roost").exists():
        (binaries / "roost").symlink_to(PROGRAM)
    return {
        "PATH": f"{binaries}:/usr/local/bin:/usr/bin:/bin", "HOME": str(FOLDER), "TERM": "dumb", "LC_ALL": "C.UTF-8",
        "XDG_CONFIG_HOME": str(FOLDER / "config"),
    }


def typed(argv, setup, line, wanted):
    """Types a line and Tabs into a shell on a terminal of its own; answers what it shows after it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, environment())
    shown = ""
    try:
        os.write(terminal, f"{setup}; echo rea''dy\n".encode())
        shown = read_until(terminal, lambda text: re.search(r"ready\r?\n", text))
        # The first Tab adds what all candidates share, the next ones list them.
        shown = ""
        for keys in (f"{line}\t", "\t", "\t"):
            os.write(terminal, keys.encode())
            shown += read_until(terminal, lambda text: all(word in shown + text for word in wanted), 3)
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return shown


def read_until(terminal, is_enough, seconds=30):
    text = ""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not is_enough(text):
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                # Bells fall into the middle of words.
                text += os.read(terminal, 65536).decode(errors="replace").replace("\a", "")
            except OSError:
                break
    return text


def bash(line, wanted):
    return typed(["bash", "--norc", "-i"], f"source {script('bash', 'roost.bash')}", line, wanted)


def zsh(line, wanted):
    folder = script("zsh", "_roost").parent
    setup = f"fpath=({folder} $fpath); autoload -U compinit; compinit -u -D"
    return typed(["zsh", "-f", "-i"], setup, line, wanted)


def fish(line, wanted):
    path = script("fish", "roost.fish")
    command = ["fish", "--no-config", "-c", f"source {path}; complete -C '{line}'"]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60).stdout


def main():
    passed = failed = 0
    for shell in (bash, zsh, fish):
        for line, wanted in CASES:
            shown = shell(line, wanted)
            missing = [word for word in wanted if word not in shown]
            if missing:
                failed += 1
                print(f"{shell.__name__}: {line!r} does not offer {missing}: {shown!r}")
            else:
                passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
