"""Random choices that can be made again."""

import os
import random


def any_seed():
    """ROOST_TEST_SEED, or another each time; whoever uses it says which."""
    return int(os.environ.get("ROOST_TEST_SEED") or random.randrange(1 << 32))
