"""A test that is asked to end does so in order: what it started and made goes with it."""

import signal
import sys

signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
