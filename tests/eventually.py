"""What is written past the server is seen within a second; tests/integration/test_memory.py measures that."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Told = TypeVar("Told")

# Seconds: a busy machine takes longer.
LONGEST = 5


def eventually(told: Callable[[], Told], wanted: Callable[[Told], bool]) -> Told:
    """Ask until what is told is what is wanted, and return it; an assertion fails when it never is."""
    deadline = time.monotonic() + LONGEST
    while not wanted(found := told()):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found
