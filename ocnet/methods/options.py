"""Options that several methods have, checked when a method is made."""

from __future__ import annotations

from typing import Any

import numpy as np

from ocnet.errors import OptionError


def check_whole(method: Any, name: str, low: int, high: int, *, none: bool = False) -> None:
    """Refuse an attribute that is not an integer from `low` to `high` (or None, where that is allowed)."""
    value: Any = getattr(method, name)
    if none and value is None:
        return
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not (whole and low <= int(value) <= high):
        raise OptionError(
            f"{type(method).__name__}: {name} is {value!r}; expected an integer from {low} to {high}."
        )


def check_demand(method: Any, least: float) -> None:
    """Refuse a `refine_to` that is neither None nor a number in [least, 1)."""
    value: Any = method.refine_to
    if value is not None and not (isinstance(value, (int, float)) and least <= value < 1):
        raise OptionError(
            f"{type(method).__name__}: refine_to is {value!r}; expected None or a number in [{least:g}, 1)."
        )
