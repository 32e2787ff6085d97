"""Expectations and waiting, on a monotonic clock."""

import time


class Failure(AssertionError):
    """What a scenario found wrong."""


def expect(condition, what):
    if not condition:
        raise Failure(what() if callable(what) else what)


def equal(actual, wanted, what):
    expect(actual == wanted, lambda: f"{what}: got {actual!r}, wanted {wanted!r}")


def wait_for(what, condition, seconds=30.0, pause=0.05):
    """Calls `condition` until it answers something true, and answers that."""
    end = time.monotonic() + seconds
    answer = None
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds:g} s")
        time.sleep(pause)


def stays(what, condition, seconds, pause=0.1):
    """Fails as soon as `condition` is not true, for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        expect(condition(), f"{what}: did not stay so")
        time.sleep(pause)


class Stopwatch:
    def __init__(self):
        self.began = time.monotonic()

    @property
    def ms(self):
        return round((time.monotonic() - self.began) * 1000)
