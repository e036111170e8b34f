"""Samples: what is known of the trajectories that a vector field has to reproduce."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ocnet.errors import DataError, ShapeError


@dataclass(frozen=True, eq=False)
class Samples:
    """Observed states at sample times, regular or not.

    Parameters
    ----------
    times : array_like (samples,) or (trajectories, samples)
        In order, none before `start`, in the unit of the time of f.
    values : array_like (samples, n) or (trajectories, samples, n)
        Observed states; NaN where a component was not observed.
    initial : array_like (n,) or (trajectories, n)
        The states at `start`.
    start : float
        Initial time.

    Attributes
    ----------
    times, values, initial : ndarrays (trajectories, samples), (trajectories, samples, n), (trajectories, n)
        The same, always for several trajectories.
    observed : ndarray of bool (trajectories, samples, n)
    count : int
        Number of observed numbers.

    Raises
    ------
    ShapeError, DataError
        For shapes that do not belong together, unordered or infinite times, infinities, initial states that
        are not finite, and data without a single observation.
    """

    times: Any
    values: Any
    initial: Any
    start: float = 0.0
    observed: np.ndarray = field(init=False, repr=False)
    count: int = field(init=False)

    def __post_init__(self) -> None:
        values, times, initial, start = (
            _numbers(name, getattr(self, name)) for name in ("values", "times", "initial", "start")
        )
        if start.ndim:
            raise ShapeError(f"Samples: start has shape {start.shape}; expected one number.")
        values = values[None] if values.ndim == 2 else values
        if values.ndim != 3 or 0 in values.shape:
            raise ShapeError(
                f"Samples: values has shape {np.shape(self.values)}; expected (samples, n) or (trajectories, "
                "samples, n), not empty."
            )
        count, samples, n = values.shape
        if times.shape not in ((samples,), (count, samples)):
            raise ShapeError(
                f"Samples: times has shape {times.shape}; expected ({samples},) or ({count}, {samples}) for "
                f"values of shape {values.shape}."
            )
        if initial.shape not in ((n,), (count, n)):
            raise ShapeError(
                f"Samples: initial has shape {initial.shape}; expected ({count}, {n}) for values of shape "
                f"{values.shape}."
            )
        times = np.array(np.broadcast_to(times, (count, samples)))
        if not np.isfinite(times).all() or not np.isfinite(start):
            raise DataError("Samples: times or start contain NaN or infinity; expected finite numbers.")
        if (times[:, 0] < start).any() or (np.diff(times, axis=1) < 0).any():
            raise DataError(
                f"Samples: times have to be in order and not before start = {start:g}; got times from "
                f"{times.min():g} to {times.max():g}. Sort them together with the values."
            )
        if not times.max() > start:
            raise DataError(f"Samples: all times are at start = {start:g}; expected later ones.")
        if np.isinf(values).any():
            raise DataError(
                f"Samples: values[{_first(np.isinf(values))}] is infinite; expected numbers or NaN."
            )
        if np.isnan(values).all():
            raise DataError("Samples: every value is NaN (not observed); expected at least one number.")
        if not np.isfinite(initial).all():
            raise DataError(
                f"Samples: initial[{_first(~np.isfinite(initial))}] is not finite; expected a number."
            )
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "initial", np.array(np.broadcast_to(initial, (count, n))))
        object.__setattr__(self, "start", float(start))
        object.__setattr__(self, "observed", ~np.isnan(values))
        object.__setattr__(self, "count", int(np.sum(~np.isnan(values))))

    def until(self, end: float) -> Samples:
        """Return the samples up to a time; the rest is cut off.

        DataError if nothing was observed after the start until then.
        """
        keep = max(1, int((self.times <= end).sum(axis=1).max()))
        values = np.where((self.times <= end)[..., None], self.values, np.nan)[:, :keep]
        times = np.minimum(self.times[:, :keep], max(end, float(self.times[:, 0].max())))
        if np.isnan(values).all() or not times.max() > self.start:
            raise DataError(
                f"Samples: nothing was observed between start = {self.start:g} and {end:g}; expected a later "
                f"end: the samples reach from {self.times.min():g} to {self.times.max():g}."
            )
        return Samples(times, values, self.initial, self.start)

    def residuals(self, states: np.ndarray) -> np.ndarray:
        """Return states − values (trajectories, samples, n), 0 where nothing was observed."""
        return np.where(self.observed, states - self.values, 0.0)


def _numbers(name: str, given: Any) -> np.ndarray:
    try:
        return np.asarray(given, dtype=float)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"Samples: {name} is {given!r:.60} ({error}); expected numbers.") from None


def _first(mask: np.ndarray) -> str:
    return ", ".join(map(str, np.argwhere(mask)[0]))
