"""The scenarios by name."""

SCENARIOS = {}


class Scenario:
    def __init__(self, name, body, seconds, is_quick, needs_lab):
        self.name, self.body, self.seconds, self.is_quick, self.needs_lab = name, body, seconds, is_quick, needs_lab


def scenario(name, seconds=90, quick=False, lab=False):
    """Declares a scenario.

    seconds: after this much time it has failed. quick: part of the short set. lab: needs throw-away hosts.
    """

    def declare(body):
        SCENARIOS[name] = Scenario(name, body, seconds, quick, lab)
        return body

    return declare
