"""Ports for the servers that tests start."""

import fcntl
import os
import socket

# Outside of what Linux gives to outgoing connections, so that none of them takes a port before its server does, and
# outside of what Roost gives to services.
FIRST, COUNT = 10_000, 10_000
# One for the whole machine, whatever folder a run has for its files.
TURNS = "/var/tmp/roost-test-ports"


def free_port(address="127.0.0.1"):
    """One that nobody has, and that was given to no other test lately, of whatever process."""
    turns = os.open(TURNS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        if os.fstat(turns).st_uid == os.geteuid():
            # Runs of root and of others follow each other.
            os.fchmod(turns, 0o666)
        fcntl.flock(turns, fcntl.LOCK_EX)
        turn = int(os.pread(turns, 20, 0) or b"0")
        for turn in range(turn, turn + COUNT):
            port = FIRST + turn % COUNT
            with socket.socket() as probe:
                try:
                    probe.bind((address, port))
                except OSError:
                    continue
            os.pwrite(turns, b"%d" % (turn + 1), 0)
            return port
    finally:
        os.close(turns)
    raise RuntimeError("no port is free")


if __name__ == "__main__":
    print(free_port())
