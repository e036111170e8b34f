"""A gradient against differences of the function that it is the gradient of, with the worst component."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ocnet.errors import DataError, OptionError, ShapeError
from ocnet.functions import component_labels

TABLE = 8  # halvings of the step that are extrapolated
RATIO = 1.6  # of two consecutive steps


@dataclass(frozen=True)
class GradientCheck:
    """How far a gradient is from extrapolated central differences.

    Attributes
    ----------
    worst : float
        Largest difference of a component, relative to the largest component of the gradient.
    where : str
        The component, as ``T[1, 2]``.
    given, difference : float
        The two values there.
    uncertainty : float
        Of the differences, relative in the same way, largest over the components: smaller deviations than
        this mean nothing.
    checked, components : int
        How many components were checked, of how many.
    passed : bool
        Whether `worst` is within the tolerance and the uncertainty.
    """

    worst: float
    where: str
    given: float
    difference: float
    uncertainty: float
    checked: int
    components: int
    passed: bool

    def __str__(self) -> str:
        verdict = "agrees" if self.passed else "DISAGREES"
        return (
            f"gradient {verdict}: worst relative difference {self.worst:.1e} at {self.where} (given "
            f"{self.given:.10g}, by differences {self.difference:.10g}); differences are certain to "
            f"{self.uncertainty:.1e}; {self.checked} of {self.components} components checked"
        )


def check_gradient(
    function: Callable[[dict[str, np.ndarray]], Any],
    values: Mapping[str, Any],
    gradient: Mapping[str, Any],
    *,
    tolerance: float = 1e-6,
    most: int = 60,
    step: float = 1e-2,
    rng: np.random.Generator | None = None,
) -> GradientCheck:
    """Compare a gradient with central differences, extrapolated in the step by Ridders' scheme.

    Parameters
    ----------
    function : callable
        values by name -> a number; it must solve anew, for example ``lambda p: system.response(
        system.solve(p, guess), p)`` or ``lambda p: oc.learning.gradient(problem, p).cost``.
    values : mapping of names to arrays
        Where it is checked.
    gradient : mapping of names to arrays
        What is checked, of the same shapes; names that it lacks are not checked.
    tolerance : float
        For `passed`.
    most : int
        Components that are checked; of more, a random choice.
    step : float
        First step, relative to 1 + |value|.
    rng : numpy.random.Generator, optional
        Of the choice.

    Returns
    -------
    GradientCheck

    Raises
    ------
    ShapeError, DataError, OptionError
        For gradients of other shapes, unknown names, values of the function that are not finite, and options
        that are not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from ocnet.learning import check_gradient
    >>> check = check_gradient(lambda p: np.sin(p["x"]).sum(), {"x": [0.3, 0.9]}, {"x": np.cos([0.3, 0.9])})
    >>> print(check.passed, check.worst < 1e-9)
    True True
    """
    where = "check_gradient"
    for name, value in (("tolerance", tolerance), ("most", most), ("step", step)):
        if not value > 0:
            raise OptionError(f"{where}: {name} is {value}; expected a positive number.")
    at = {name: np.array(value, dtype=float, ndmin=1) for name, value in values.items()}
    given = {name: np.array(value, dtype=float, ndmin=1) for name, value in gradient.items()}
    if not given:
        raise DataError(f"{where}: the gradient is empty; expected arrays by name.")
    for name, value in given.items():
        if name not in at:
            raise OptionError(f"{where}: the gradient names '{name}'; values has {list(at)}.")
        if value.shape != at[name].shape:
            raise ShapeError(
                f"{where}: the gradient of '{name}' has shape {value.shape}; expected {at[name].shape}."
            )
        if not np.isfinite(value).all():
            raise DataError(f"{where}: the gradient of '{name}' is not finite.")
    places = [(name, index) for name in given for index in np.ndindex(given[name].shape)]
    total = len(places)
    if total > most:
        chosen = (rng or np.random.default_rng(0)).choice(total, most, replace=False)
        places = [places[i] for i in sorted(chosen.tolist())]
    scale = max(float(np.abs(value).max()) for value in given.values())
    rows: list[tuple[float, float, float]] = []
    for name, index in places:

        def along(h: float, name: str = name, index: tuple[int, ...] = index) -> float:
            moved = {key: array.copy() for key, array in at.items()}
            moved[name][index] += h
            value = float(np.asarray(function(moved)).reshape(()))
            if not np.isfinite(value):
                raise DataError(
                    f"{where}: the function is {value} when '{name}'{list(index)} moves by {h:.1e}."
                )
            return value

        slope, error = _ridders(along, step * (1 + abs(float(at[name][index]))))
        rows.append((float(given[name][index]), slope, error))
    table = np.array(rows)
    scale = max(scale, float(np.abs(table[:, 1]).max())) or 1.0
    deviation = np.abs(table[:, 0] - table[:, 1]) / scale
    worst = int(np.argmax(deviation))
    uncertainty = float(table[:, 2].max()) / scale
    name, index = places[worst]
    label = component_labels(name, given[name].shape)[int(np.ravel_multi_index(index, given[name].shape))]
    passed = bool(deviation[worst] <= tolerance + 10 * table[worst, 2] / scale and uncertainty <= 1e-2)
    return GradientCheck(
        float(deviation[worst]),
        label,
        float(table[worst, 0]),
        float(table[worst, 1]),
        uncertainty,
        len(places),
        total,
        passed,
    )


def _ridders(function: Callable[[float], float], step: float) -> tuple[float, float]:
    """Return the derivative at 0 and an estimate of its error."""
    best, error = np.nan, np.inf
    previous: list[float] = []
    for k in range(TABLE):
        h = step / RATIO**k
        row = [(function(h) - function(-h)) / (2 * h)]
        factor = 1.0
        for column in range(k):
            factor *= RATIO**2
            row.append((factor * row[column] - previous[column]) / (factor - 1))
            estimate = max(abs(row[-1] - row[-2]), abs(row[-1] - previous[column]))
            if estimate < error:
                best, error = row[-1], estimate
        previous = row
    return best, error
