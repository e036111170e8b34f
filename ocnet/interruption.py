"""Ctrl-C as a wish: long computations end at the next good place, and keep what they have."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Protocol


class Stoppable(Protocol):
    """What notes the wish to stop."""

    stop: bool


class Wish:
    """Nothing but the wish to stop."""

    def __init__(self) -> None:
        self.stop = False


@contextmanager
def interruptible(monitor: Stoppable) -> Generator[None]:
    """Let Ctrl-C set `monitor.stop` instead of raising KeyboardInterrupt; in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        monitor.stop = True

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
