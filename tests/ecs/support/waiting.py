"""Waiting for what happens by itself."""

import time

# Several times of what anything takes on a slow machine.
WAIT_MAX_S = 60
LOOK_EVERY_S = 0.1


def until(what, look):
    """What `look` finds, once it finds something that is true."""
    deadline = time.monotonic() + WAIT_MAX_S
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {WAIT_MAX_S} s; last seen: {found!r}"
        time.sleep(LOOK_EVERY_S)
