"""Options that several methods have, checked when a method is made."""

from __future__ import annotations

from typing import Any

import numpy as np

from ocnet.errors import OptionError


def check_whole(method: object, name: str, low: int, high: int, *, none: bool = False) -> None:
    """Refuse an attribute that is not an integer from `low` to `high` (or None, where that is allowed)."""
    value = getattr(method, name)
    if value is None and none:
        return
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise OptionError(
            f"{type(method).__name__}: {name} is {value!r}; expected an integer from {low} to {high}."
        )


def check_demand(method: Any, least: float) -> None:
    """Refuse a `refine_to` that is neither None nor a number in [least, 1)."""
    value: float | None = method.refine_to
    if value is not None and not (isinstance(value, (int, float)) and least <= value < 1):
        raise OptionError(
            f"{type(method).__name__}: refine_to is {value!r}; expected None or a number in [{least:g}, 1)."
        )
