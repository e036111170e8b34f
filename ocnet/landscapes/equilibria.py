"""Landscapes: all equilibria of an autonomous problem in a box, and what each of them is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import DataError, OptionError, ShapeError, UnsupportedError
from ocnet.landscapes.enclosure import Enclosure, enclose
from ocnet.landscapes.field import Field, Values
from ocnet.landscapes.intervals import IntervalFunction
from ocnet.landscapes.multistart import deflated, flow, newton, polished
from ocnet.problem import Problem

Kind = Literal["sink", "source", "saddle", "center", "degenerate"]
ORDER: tuple[Kind, ...] = ("sink", "saddle", "source", "center", "degenerate")

EXHAUSTIVE = 5  # states up to which the whole box is searched by intervals
NEUTRAL = 1e-7  # an eigenvalue this close to the border of stability, relative to the Jacobian, is on it
SAME = 1e-7  # equilibria closer than this fraction of the box are one
SAME_DEGENERATE = 1e-4  # the same where rounding blurs the place, because the Jacobian is singular
SHOWN = 4  # components that are printed


@dataclass(frozen=True)
class Equilibrium:
    """A state that does not move.

    Attributes
    ----------
    x : ndarray (n,)
        In the order and the units of the problem's states.
    eigenvalues : ndarray of complex (n,)
        Of the linearised dynamics, largest real part first; of the linearised map, largest modulus first, in
        discrete time.
    kind : {"sink", "source", "saddle", "center", "degenerate"}
        By the eigenvalues: all of them stable, all unstable, some of each; "center" if all lie on the border
        of stability without being zero (one, for a map), "degenerate" if some do: then the linearisation
        does not decide.
    residual : float
        max |ẋ|, or max |F(x) − x| for a map.
    isolated : bool
        Whether it was proved to be the only one in its surroundings.
    """

    x: np.ndarray
    eigenvalues: np.ndarray
    kind: Kind
    residual: float
    isolated: bool

    @property
    def stable(self) -> bool:
        """Whether it is a sink."""
        return self.kind == "sink"


@dataclass(frozen=True, repr=False)
class Landscape:
    """The equilibria of a problem in a box; printing it gives a table.

    Attributes
    ----------
    field : Field
        The vector field: ``landscape.field(x)`` is ẋ at states x (…, n).
    lower, upper : ndarray (n,)
        The box.
    equilibria : tuple of Equilibrium
        Sinks first, then saddles, sources and the others.
    undecided : ndarray (m, 2, n)
        Small parts of the box in which an equilibrium was neither found to be unique nor excluded: they
        surround degenerate equilibria.
    proved : bool
        Whether it was proved, by interval arithmetic over the whole box, that outside the undecided parts
        there is no other equilibrium. Otherwise `equilibria` is what a search found.
    search : str
        How they were looked for, in words.
    """

    field: Field
    lower: np.ndarray
    upper: np.ndarray
    equilibria: tuple[Equilibrium, ...]
    undecided: np.ndarray
    proved: bool
    search: str

    def of_kind(self, kind: Kind) -> tuple[Equilibrium, ...]:
        """Return the equilibria of one kind."""
        return tuple(e for e in self.equilibria if e.kind == kind)

    @property
    def sinks(self) -> tuple[Equilibrium, ...]:
        """Those that attract."""
        return self.of_kind("sink")

    @property
    def sources(self) -> tuple[Equilibrium, ...]:
        """Those that repel in all directions."""
        return self.of_kind("source")

    @property
    def saddles(self) -> tuple[Equilibrium, ...]:
        """Those that attract in some directions and repel in others."""
        return self.of_kind("saddle")

    @property
    def index(self) -> int | None:
        """Sum of sign det(−J) over the equilibria; None if one is degenerate.

        It is 1 where the field points into the box everywhere on its boundary and nothing is missing
        (Poincaré and Hopf): a check of a search that proves nothing.
        """
        if self.of_kind("degenerate"):
            return None
        unit = 1.0 if self.field.discrete else 0.0
        total = 0
        for e in self.equilibria:
            total += (-1) ** int(np.sum((np.imag(e.eigenvalues) == 0) & (np.real(e.eigenvalues) > unit)))
        return total

    def nearest(self, x: ArrayLike, *, kind: Kind | None = None) -> Equilibrium | None:
        """Return the equilibrium nearest to a state (n,) in the Euclidean norm; None if there is none."""
        point = self.field.checked(x)
        if point.ndim != 1:
            raise ShapeError(
                f"{self.field.where}: nearest got shape {point.shape}; expected ({self.field.n},)."
            )
        candidates = self.equilibria if kind is None else self.of_kind(kind)
        return min(candidates, key=lambda e: float(np.linalg.norm(e.x - point)), default=None)

    def __len__(self) -> int:
        return len(self.equilibria)

    def __str__(self) -> str:
        counts = [f"{len(self.of_kind(kind))} {kind}" for kind in ORDER if self.of_kind(kind)]
        title = f"Landscape of '{self.field.problem.name}': {', '.join(counts) or 'no equilibrium'}"
        rows = [
            f"  {e.kind:<10} {_shown(e.x):<44} {_shown(e.eigenvalues):<44} {e.residual:8.1e}"
            for e in self.equilibria
        ]
        head = "  {:<10} {:<44} {:<44} {:>8}".format("kind", "x", "eigenvalues", "residual")
        return "\n".join([title, *([head] if rows else []), *rows, f"  {self.search}"])

    __repr__ = __str__


def landscape(
    problem: Problem,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    controls: Values = None,
    parameters: Values = None,
    unknowns: Values = None,
    starts: ArrayLike | None = None,
    exhaustive: bool | None = None,
    trials: int | None = None,
    most: int = 200_000,
    rng: np.random.Generator | None = None,
) -> Landscape:
    """Find the equilibria of a problem in a box: where ẋ = 0, or F(x) = x when the horizon is Steps.

    Parameters
    ----------
    problem : Problem
        Autonomous; it needs no cost, and its bounds and constraints play no part.
    lower, upper : array_like (n,) or float
        The box, over all states flattened in the order of their statement, in their units.
    controls : mapping, optional
        A constant array for each control by name: a network under A + ξ is the problem with ξ held.
    parameters, unknowns : mapping, optional
        Values by name, in place of the problem's own.
    starts : array_like (k, n), optional
        More places to search from; they may lie outside the box.
    exhaustive : bool, optional
        Whether the whole box is bisected with interval bounds, so that nothing is missed. By default it is
        for up to five states, if the dynamics allow it.
    trials : int, optional
        Random starts of the search where the box is not bisected; by default 40 + 4n, and fewer (200000/n²,
        at least 16) from 50 states or so on, since each takes n³ operations a step.
    most : int
        Parts of the box that the bisection looks at before it gives up.
    rng : numpy.random.Generator, optional
        Where the random starts come from; always the same ones if left out.

    Returns
    -------
    Landscape

    Raises
    ------
    ProblemError
        If the dynamics contain time, a control has no value, or a name is unknown.
    ShapeError, DataError
        For arrays of the wrong shape or not finite, or an empty box.
    UnsupportedError
        If `exhaustive` is asked for, and the dynamics may jump or are no scalar operations.
    OptionError
        For numbers of trials or parts below 1.

    Notes
    -----
    With more states, or if the bisection gives up, the search runs Newton's method with cut steps, and
    implicit steps along ±f that end in sinks and sources, from random places in the box, and then Newton's
    method with the known equilibria deflated. It finds what it finds: nothing is proved.

    Examples
    --------
    >>> import ocnet as oc
    >>> network = oc.networks.hopfield([[0.0, 2.0], [2.0, 0.0]])
    >>> found = oc.landscape(network, -3, 3)
    >>> [e.kind for e in found.equilibria], found.proved
    (['sink', 'sink', 'saddle'], True)
    """
    field = Field(problem, controls=controls, parameters=parameters, unknowns=unknowns, where="landscape")
    low, high = _box(field, lower, upper)
    extra = np.empty((0, field.n)) if starts is None else _starts(field, starts)
    count = min(40 + 4 * field.n, max(16, 200_000 // field.n**2)) if trials is None else trials
    if count < 1 or most < 1:
        raise OptionError(f"{field.where}: trials is {trials} and most {most}; expected at least 1 of each.")
    bounded = _enclosed(field, low, high, exhaustive, most)
    if bounded is not None and bounded.complete:
        centres = bounded.undecided[:2000].mean(axis=1)
        exact = polished(field, bounded.points.copy(), np.ones(len(bounded.points), dtype=bool))[0]
        near, good = newton(field, np.concatenate([centres, extra]), high - low)
        sure = np.arange(len(exact) + int(good.sum())) < len(exact)
        points = np.concatenate([exact, near[good]])
        search = f"the whole box was searched by intervals, in {bounded.examined} parts"
        if len(bounded.undecided):
            search += f"; {len(bounded.undecided)} tiny parts near degenerate equilibria are undecided"
    else:
        points = _searched(field, low, high, extra, count, rng or np.random.default_rng(0))
        sure = np.zeros(len(points), dtype=bool)
        search = f"a search from {count + len(extra)} places; nothing is proved"
        if bounded is not None:
            search = f"the box was too hard to search by intervals ({bounded.examined} parts): {search}"
    equilibria = _merged(field, points, sure, low, high)
    proved = bounded is not None and bounded.complete
    undecided = bounded.undecided if bounded is not None and proved else np.empty((0, 2, field.n))
    return Landscape(field, low, high, equilibria, undecided, proved, search)


def kind_of(eigenvalues: np.ndarray, *, discrete: bool = False, scale: float = 1.0) -> Kind:
    """Return what an equilibrium is by its eigenvalues (n,); see :class:`Equilibrium`.

    Eigenvalues closer to the border of stability than 1e-7·max(1, scale) count as on it.
    """
    margin = NEUTRAL * max(1.0, scale)
    growth = np.abs(eigenvalues) - 1 if discrete else np.real(eigenvalues)
    zero = np.abs(eigenvalues - 1) if discrete else np.abs(eigenvalues)
    border: np.ndarray = np.abs(growth) <= margin
    if border.any():
        return "center" if border.all() and np.all(zero > margin) else "degenerate"
    if np.all(growth < 0):
        return "sink"
    return "source" if np.all(growth > 0) else "saddle"


def _enclosed(
    field: Field, low: np.ndarray, high: np.ndarray, exhaustive: bool | None, most: int
) -> Enclosure | None:
    """Search the box by intervals, where that is wanted and possible."""
    if exhaustive is False or (exhaustive is None and field.n > EXHAUSTIVE):
        return None
    try:
        value, slope = IntervalFunction(field.velocity), IntervalFunction(field.slope)
        if value.jumps:
            raise UnsupportedError("intervals: the dynamics contain comparisons or signs, they may jump.")
    except UnsupportedError as error:
        if exhaustive:
            raise UnsupportedError(f"{field.where}: exhaustive=True is not possible here: {error}") from None
        return None
    return enclose(value, slope, low, high, most=most)


def _searched(
    field: Field, low: np.ndarray, high: np.ndarray, extra: np.ndarray, trials: int, rng: np.random.Generator
) -> np.ndarray:
    """Return zeros (k, n) found from random places, many of them several times."""
    reach = high - low
    places = np.concatenate([extra, _places(low, high, trials, rng)])
    starts = np.concatenate([places, flow(field, places, reach, 1.0), flow(field, places, reach, -1.0)])
    points, good = newton(field, starts, reach)
    found = _distinct(points[good], SAME * reach)
    for start in _places(low, high, max(1, trials // 2), rng):
        last = deflated(field, start, found, reach)
        points, good = newton(field, last[None], reach)
        found = _distinct(np.concatenate([found, points[good]]), SAME * reach)
    return found


def _distinct(points: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Keep one of each group of points (k, n) that are no further apart than `distance` (n,)."""
    kept = np.empty((0, points.shape[1]))
    for x in points:
        if not np.all(np.abs(kept - x) <= distance, axis=1).any():
            kept = np.vstack([kept, x])
    return kept


def _places(low: np.ndarray, high: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw states (count, n) in a box, at all distances from its centre: from 1 down to 1e-3 of the box."""
    centre, sizes = (low + high) / 2, 10.0 ** -np.linspace(0, 3, count)
    return centre + sizes[:, None] * rng.uniform(low - centre, high - centre, (count, len(low)))


def _merged(
    field: Field, points: np.ndarray, sure: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[Equilibrium, ...]:
    """Keep one of each group of points (k, n) that agree, inside the box; `sure` ones are isolated."""
    span, found = high - low, []
    inside = np.all((points >= low - 1e-9 * span) & (points <= high + 1e-9 * span), axis=1)
    points, sure = points[inside], sure[inside]
    residuals = np.abs(field(points)).max(axis=1) if len(points) else np.zeros(0)
    for i in np.lexsort((residuals, ~sure)):
        x = points[i]
        jacobian = field.jacobian(x)
        eigenvalues = np.linalg.eigvals(jacobian) + (1.0 if field.discrete else 0.0)
        kind = kind_of(eigenvalues, discrete=field.discrete, scale=float(np.abs(jacobian).sum(axis=1).max()))
        near = SAME_DEGENERATE if kind == "degenerate" else SAME
        if any(np.all(np.abs(x - e.x) <= near * span) for e in found):
            continue
        order = np.argsort(-(np.abs(eigenvalues) if field.discrete else eigenvalues.real), kind="stable")
        found.append(Equilibrium(x, eigenvalues[order], kind, float(residuals[i]), bool(sure[i])))
    return tuple(sorted(found, key=lambda e: (ORDER.index(e.kind), tuple(e.x.round(9)))))


def _box(field: Field, lower: Any, upper: Any) -> tuple[np.ndarray, np.ndarray]:
    ends: list[np.ndarray] = []
    for name, given in (("lower", lower), ("upper", upper)):
        values = np.asarray(given, dtype=float)
        if values.shape not in ((), (1,), (field.n,)):
            raise ShapeError(
                f"{field.where}: {name} has shape {values.shape}; expected ({field.n},) or a number."
            )
        if not np.isfinite(values).all():
            raise DataError(f"{field.where}: {name} is {values!s:.60}; expected finite numbers.")
        ends.append(np.array(np.broadcast_to(values, (field.n,))))
    if not np.all(ends[0] < ends[1]):
        i = int(np.flatnonzero(~(ends[0] < ends[1]))[0])
        raise DataError(
            f"{field.where}: the box is empty in {field.labels[i]}: lower is {ends[0][i]} and upper "
            f"{ends[1][i]}; expected lower < upper."
        )
    return ends[0], ends[1]


def _starts(field: Field, starts: Any) -> np.ndarray:
    points = np.atleast_2d(field.checked(starts))
    if points.ndim != 2:
        raise ShapeError(f"{field.where}: starts has shape {points.shape}; expected (k, {field.n}).")
    if not np.isfinite(points).all():
        raise DataError(f"{field.where}: starts contain values that are not finite; expected finite numbers.")
    return points


def _shown(values: np.ndarray) -> str:
    """Write the first components of a vector, real ones without imaginary parts."""
    values = np.where(np.abs(values) < 1e-14 * max(1.0, float(np.abs(values).max())), 0.0, values)
    parts = [
        f"{v.real:.5g}" if abs(v.imag) <= 1e-12 * abs(v) else f"{v.real:.4g}{v.imag:+.4g}i"
        for v in values[:SHOWN]
    ]
    more = f", … ({len(values)})" if len(values) > SHOWN else ""
    return f"({', '.join(parts)}{more})"
