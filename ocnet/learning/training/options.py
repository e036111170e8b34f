"""Checks of the options of training methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from ocnet.errors import OptionError


def check_whole(method: Any, *names: str) -> None:
    """Raise OptionError unless the attributes are whole positive numbers."""
    for name in names:
        value = getattr(method, name)
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise OptionError(
                f"{type(method).__name__}: {name} is {value!r:.60}; expected a whole positive number."
            )


def check_number(where: str, name: str, value: Any, low: float, high: float) -> float:
    """Return a number in [low, high], or raise OptionError."""
    if (
        not isinstance(value, (int, float, np.floating))
        or isinstance(value, bool)
        or not low <= value <= high
    ):
        raise OptionError(f"{where}: {name} is {value!r:.60}; expected a number in [{low:g}, {high:g}].")
    return float(value)
