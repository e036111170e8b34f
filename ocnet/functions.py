"""A Problem as CasADi functions of flat vectors: what every method, check and simulation evaluates.

Vectors hold the variables in the order of their statement, each flattened in C order: x (states), dx (their
derivatives, or differences for Steps), u (controls), q (unknowns), p (parameters). Every function takes
(t, x, dx, u, q, p) so that points can be mapped over without caring what depends on what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import casadi as ca
import numpy as np

from ocnet.errors import DataError
from ocnet.symbols import Shape, flat, unflat

if TYPE_CHECKING:
    from ocnet.problem import Constraint, Kind, Problem, Variable

PLACES = ("path", "initial", "final")
MOST_SCALARS = 100_000  # states and controls up to which expressions are expanded into scalar operations
ARGUMENTS = ["t", "x", "dx", "u", "q", "p"]


@dataclass(frozen=True)
class Bounds:
    """Numeric bounds of every flat vector, for given parameters (−inf and inf where there are none)."""

    x_lower: np.ndarray
    x_upper: np.ndarray
    u_lower: np.ndarray
    u_upper: np.ndarray
    q_lower: np.ndarray
    q_upper: np.ndarray
    initial: np.ndarray  # NaN where free
    final: np.ndarray  # NaN where free
    constraints: dict[str, tuple[np.ndarray, np.ndarray]]  # by place: path, initial, final


class Functions:
    """The functions of a problem.

    Attributes
    ----------
    nx, nu, nq, np : int
        Lengths of the flat vectors.
    dynamics : casadi.Function
        (t, x, dx, u, q, p) -> right-hand side (nx); it does not depend on dx.
    stage, terminal : casadi.Function
        The same arguments -> scalar cost.
    path, initial, final : casadi.Function
        The same arguments -> constraint expressions of that place, in the order of their statement.
    samples : list of casadi.Function
        One scalar cost for each data term.
    bound_function : casadi.Function
        p -> one vector of all that :class:`Bounds` holds, in its order; of the constraints the lower and
        upper bounds of the path, of the initial and of the final ones.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.states = problem.of_kind("state")
        self.controls = problem.of_kind("control")
        self.parameters = problem.of_kind("parameter")
        self.unknowns = problem.of_kind("unknown")
        self.nx, self.nu, self.nq, self.np = (
            sum(v.size for v in group)
            for group in (self.states, self.controls, self.unknowns, self.parameters)
        )
        self.has_cost = problem.stage is not None or bool(problem.samples)
        expressions = {
            "dynamics": _flat_all([v.dynamics for v in self.states], self.states),
            "stage": ca.MX(0) if problem.stage is None else problem.stage,
            "terminal": ca.MX(0) if problem.terminal is None else problem.terminal,
        }
        for place in PLACES:
            expressions[place] = _flat_all([c.expression for c in self.at(place)], self.at(place))
        for i, sample in enumerate(problem.samples):
            expressions[f"sample_{i}"] = sample.expression
        lowered = self._lowered(expressions)
        self.dynamics, self.stage, self.terminal, self.path, self.initial, self.final, *self.samples = lowered
        self.bound_function, self._edges = self._bound_function()
        self._last_bounds: tuple[bytes, Bounds] | None = None

    def at(self, place: str) -> list[Constraint]:
        """Return the constraints of one place."""
        return [c for c in self.problem.constraints if c.at == place]

    def arguments(self, symbols: Any = ca.MX) -> list[Any]:
        """Return fresh flat symbols (t, x, dx, u, q, p)."""
        sizes = (1, self.nx, self.nx, self.nu, self.nq, self.np)
        return [symbols.sym(n, s) for n, s in zip(ARGUMENTS, sizes, strict=True)]

    def _lowered(self, expressions: Mapping[str, ca.MX]) -> list[ca.Function]:
        """Turn expressions in the problem's own symbols into functions of (t, x, dx, u, q, p)."""
        groups = (self.states, self.controls, self.unknowns, self.parameters)
        own: list[ca.MX] = [self.problem.time, *(v.symbol for group in groups for v in group)]
        for v in self.states:
            own.append(ca.MX.sym("unused", v.symbol.shape) if v.derivative is None else v.derivative)
        together = ca.Function("all", [ca.MX(s) for s in own], [ca.densify(e) for e in expressions.values()])

        def lower(symbols: Any) -> list[ca.Function]:
            arguments = t, x, dx, u, q, p = self.arguments(symbols)
            values = [t]
            for vector, group in zip((x, u, q, p, dx), (*groups, self.states), strict=True):
                values += _pieces(vector, group)
            inlined = together.call(values, True, False)  # so that each function holds only what it needs
            return [
                ca.Function(name, arguments, [output], ARGUMENTS, [name])
                for name, output in zip(expressions, inlined, strict=True)
            ]

        if self.nx + self.nu <= MOST_SCALARS:
            try:
                return lower(ca.SX)
            except RuntimeError:  # a user's external function or interpolant: CasADi cannot expand it
                pass
        return lower(ca.MX)

    def pack(self, values: dict[str, Any], kind: Kind) -> np.ndarray:
        """Flatten named arrays (…, *shape) of all variables of one kind into (…, n)."""
        group = self.problem.of_kind(kind)
        parts = [np.asarray(values[v.name], dtype=float) for v in group]
        parts = [a.reshape(*a.shape[: a.ndim - len(v.shape)], -1) for a, v in zip(parts, group, strict=True)]
        return np.concatenate(parts, axis=-1) if parts else np.zeros(0)

    def unpack(self, array: np.ndarray, kind: Kind) -> dict[str, np.ndarray]:
        """Split (…, n) into named arrays (…, *shape): the inverse of :meth:`pack`."""
        array, result, start = np.asarray(array), {}, 0
        for v in self.problem.of_kind(kind):
            result[v.name] = array[..., start : start + v.size].reshape(*array.shape[:-1], *v.shape)
            start += v.size
        return result

    def labels(self, kind: Kind) -> list[str]:
        """Return a name such as ``W[0, 3]`` for each component of a flat vector."""
        return [label for v in self.problem.of_kind(kind) for label in component_labels(v.name, v.shape)]

    def constraint_labels(self, place: str) -> list[str]:
        """Return a name for each component of the constraints of one place."""
        return [label for c in self.at(place) for label in component_labels(c.name, c.shape)]

    def bounds(self, p: np.ndarray) -> Bounds:
        """Evaluate and check all bounds and prescribed ends for the parameter vector p."""
        key = np.asarray(p, dtype=float).tobytes()
        if self._last_bounds is None or self._last_bounds[0] != key:
            self._last_bounds = (key, self._evaluate_bounds(p))
        return self._last_bounds[1]

    def _evaluate_bounds(self, p: np.ndarray) -> Bounds:
        values = np.split(self.bound_function(p).full().reshape(-1), self._edges)
        xl, xu, ul, uu, ql, qu, x0, xf = values[:8]
        ends = zip(values[8::2], values[9::2], strict=True)
        places: dict[str, tuple[np.ndarray, np.ndarray]] = dict(zip(PLACES, ends, strict=True))
        name = self.problem.name
        checks: list[tuple[np.ndarray, np.ndarray, Callable[..., list[str]], str]] = [
            (xl, xu, self.labels, "state"),
            (ul, uu, self.labels, "control"),
            (ql, qu, self.labels, "unknown"),
        ]
        checks += [(low, high, self.constraint_labels, place) for place, (low, high) in places.items()]
        for low, high, labels, of in checks:
            for i in np.flatnonzero(~(low <= high) | (low == np.inf) | (high == -np.inf)):
                raise DataError(
                    f"Problem '{name}', {labels(of)[i]}: lower bound {low[i]} and upper bound {high[i]} "
                    "for these parameters; expected lower <= upper."
                )
        for end, value in (("initial", x0), ("final", xf)):
            for i in np.flatnonzero((value < xl) | (value > xu) | np.isinf(value)):
                raise DataError(
                    f"Problem '{name}', {self.labels('state')[i]}, {end}: got {value[i]}; expected a finite "
                    f"value in [{xl[i]}, {xu[i]}] for these parameters."
                )
        return Bounds(xl, xu, ul, uu, ql, qu, x0, xf, places)

    def _bound_function(self) -> tuple[ca.Function, np.ndarray]:
        """Make `bound_function`, and say where its vector is split."""
        blocks: list[list[tuple[Any, Shape]]] = []
        for group in (self.states, self.controls, self.unknowns):
            blocks += [[(v.lower, v.shape) for v in group], [(v.upper, v.shape) for v in group]]
        blocks += [[(v.initial, v.shape) for v in self.states], [(v.final, v.shape) for v in self.states]]
        for group in map(self.at, PLACES):
            blocks += [[(c.lower, c.shape) for c in group], [(c.upper, c.shape) for c in group]]
        sizes = [sum(int(np.prod(shape)) for _, shape in block) for block in blocks]
        entries = [entry for block in blocks for entry in block]
        numbers = [v if isinstance(v, np.ndarray) else np.full(shape, np.nan) for v, shape in entries]
        vector, end = ca.MX(ca.DM(np.concatenate([n.reshape(-1) for n in numbers]))), 0
        for (value, shape), n in zip(entries, numbers, strict=True):
            start, end = end, end + n.size
            if isinstance(value, ca.MX):
                vector[start:end] = flat(value, shape)
        p, own = ca.MX.sym("p", self.np), [ca.MX(v.symbol) for v in self.parameters]
        vector = ca.substitute([vector], own, _pieces(p, self.parameters))
        return ca.Function("bounds", [p], vector), np.cumsum(sizes)[:-1]


def component_labels(name: str, shape: tuple[int, ...]) -> list[str]:
    """Return ``name`` for a scalar, else ``name[i]`` or ``name[i, j]`` for each component in C order."""
    if shape == (1,):
        return [name]
    return [f"{name}[{', '.join(map(str, index))}]" for index in np.ndindex(*shape)]


def _pieces(vector: Any, group: Sequence[Variable]) -> list[Any]:
    edges = np.cumsum([0] + [v.size for v in group]).tolist()
    return [unflat(piece, v.shape) for piece, v in zip(ca.vertsplit(vector, edges), group, strict=True)]


def _flat_all(expressions: Sequence[Any], group: Sequence[Any]) -> ca.MX:
    return (
        ca.vertcat(*(flat(e, g.shape) for e, g in zip(expressions, group, strict=True)))
        if group
        else ca.MX(0, 1)
    )
