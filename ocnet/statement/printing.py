"""A problem in mathematics: how a Problem prints itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import casadi as ca
import numpy as np

from ocnet.horizon import Finite, FreeTime, Steps, rate
from ocnet.statement.formula import FEW, PRODUCT, SUM, Formula, expression_formula, number

if TYPE_CHECKING:
    from ocnet.problem import Kind, Problem

WIDTH = 100  # characters after which the components of a vector equation stand on lines of their own
SAMPLES = 3  # data terms that are written out

Names = Mapping[int, Formula]


def problem_text(problem: Problem) -> str:
    """Return the statement of a problem in mathematics, as a paper prints it.

    Parameters
    ----------
    problem : Problem
        Complete or not: what is missing is said.

    Returns
    -------
    str
        Name, horizon, quantities with their sizes, cost, dynamics, ends, bounds, constraints, totals.

    Examples
    --------
    >>> import casadi as ca
    >>> import ocnet as oc
    >>> problem = oc.Problem("van der Pol", horizon=oc.Finite(10.0))
    >>> x = problem.state("x", 2, initial=[0.0, 1.0])
    >>> force = problem.control("force", lower=-0.3, upper=1.0)
    >>> problem.dynamics(x, ca.vertcat((1 - x[1] ** 2) * x[0] - x[1] + force, x[0]))
    >>> problem.minimize(stage=ca.sumsqr(x) + force**2)
    >>> print(problem)
    van der Pol
      horizon      t from 0 to 10
      states       x (2)
      controls     force
      minimise     J = ∫ (‖x‖² + force²) dt
      dynamics     dx/dt = [(1 − x[1]²)·x[0] − x[1] + force; x[0]]
      ends         x(0) = [0, 1]
      bounds       −0.3 ≤ force ≤ 1
      size         2 states, 1 control
    """
    return "\n".join([problem.name, *_Statement(problem).lines()])


class _Statement:
    """The parts of a statement; symbols are named after the place where they stand."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.horizon = problem, problem.horizon
        self.discrete = isinstance(self.horizon, Steps)
        self.start = number(self.horizon.t0) if isinstance(self.horizon, Finite) else "0"
        match self.horizon:
            case Finite(tf=last) | Steps(n=last) if last is not None:
                self.end = number(last)
            case FreeTime():
                self.end = "tf"
            case _:
                self.end = "∞"

    def lines(self) -> Iterator[str]:
        sections = {
            "horizon": self.time(),
            "states": self.quantities("state"),
            "controls": self.quantities("control"),
            "parameters": self.quantities("parameter"),
            "unknowns": self.quantities("unknown"),
            "minimise": [self.cost()],
            "dynamics": self.dynamics(),
            "ends": list(self.ends()),
            "bounds": list(self.bounds()),
            "constraints": list(self.constraints()),
            "data terms": self.samples(),
            "size": [self.size()],
        }
        for label, lines in sections.items():
            for i, line in enumerate(lines):
                yield f"  {label if i == 0 else '':<13}{line}"

    def names(self, moment: str | None = None) -> Names:
        """Return how symbols are written on the path (k for Steps), or at a moment."""
        names: dict[int, Formula] = {}
        if moment is not None:
            names[self.problem.time.__hash__()] = Formula(moment)
        at = moment or ("k" if self.discrete else None)
        for v in self.problem.variables.values():
            if at is not None and v.kind in ("state", "control"):
                names[v.symbol.__hash__()] = Formula(f"{v.name}({at})")
            if v.derivative is not None and self.discrete:
                names[v.derivative.__hash__()] = Formula(f"{v.name}(k+1) − {v.name}(k)", SUM)
            elif v.derivative is not None:
                names[v.derivative.__hash__()] = Formula(_rate_of(v.name), PRODUCT)
        return names

    # ------------------------------------------------------------------ sections

    def time(self) -> list[str]:
        if self.discrete:
            span = "k = 0, 1, 2, …" if self.end == "∞" else f"k = 0, 1, …, {self.end}"
        else:
            span = f"t from {self.start} to {self.end}"
        if isinstance(self.horizon, FreeTime):
            h = self.horizon
            span += f", {number(h.lower)} ≤ tf ≤ {number(h.upper)} (guess {number(h.guess)})"
        discount = rate(self.horizon)
        return [f"{span}, discount rate {number(discount)}" if discount else span]

    def quantities(self, kind: Kind) -> list[str]:
        shown = []
        for v in self.problem.of_kind(kind):
            text = v.name if v.shape == (1,) else f"{v.name} ({'×'.join(map(str, v.shape))})"
            if kind == "parameter":
                text += f" = {_array(v.value)}"
            elif kind == "unknown":
                text += f", guess {_array(v.guess)}"
            shown.append(text)
        if kind in ("parameter", "unknown"):
            return shown
        return [", ".join(shown)] if shown else []

    def cost(self) -> str:
        stage, terminal = self.problem.stage, self.problem.terminal
        terms: list[Formula] = []
        if stage is not None and not stage.is_zero():
            inside = self.discounted(expression_formula(stage, self.names()), "k" if self.discrete else "t")
            sign, measure = ("Σ", "") if self.discrete else ("∫", " dt")
            terms.append(Formula(f"{sign} {inside.at_least(PRODUCT)}{measure}"))
        if terminal is not None and not terminal.is_zero():
            terms.append(self.discounted(expression_formula(terminal, self.names(self.end)), self.end))
        if self.problem.samples:
            terms.append(Formula("data terms"))
        if not terms:
            return "nothing: no cost is stated" if stage is None else "J = 0"
        total = terms[0]
        for term in terms[1:]:
            total = total.plus(term)
        return f"J = {total.text}"

    def discounted(self, cost: Formula, moment: str) -> Formula:
        discount = rate(self.horizon)
        if not discount:
            return cost
        between = "" if moment in ("k", "t") else "·"
        elapsed = moment if self.start == "0" else f"({moment} − {self.start})".replace("− −", "+ ")
        weight = Formula(f"e^{{−{number(discount)}{between if self.start == '0' else ''}{elapsed}}}")
        return weight if cost.text == "1" else weight.times(cost)

    def dynamics(self) -> list[str]:
        lines: list[str] = []
        for v in self.problem.of_kind("state"):
            head = f"{v.name}(k+1)" if self.discrete else _rate_of(v.name)
            if v.dynamics is None:
                lines.append(f"{head} is not stated")
            else:
                lines += _equation(f"{head} = ", v.dynamics, self.names())
        return lines

    def ends(self) -> Iterator[str]:
        for v in self.problem.of_kind("state"):
            yield f"{v.name}({self.start}) {self.end_value(v.initial)}"
        for v in self.problem.of_kind("state"):
            if v.final is not None:
                yield f"{v.name}({self.end}) {self.end_value(v.final)}"

    def end_value(self, value: Any) -> str:
        if value is None or (isinstance(value, np.ndarray) and np.isnan(value).all()):
            return "free"
        return "= " + re.sub(r"\bnan\b", "free", self.data(value))

    def bounds(self) -> Iterator[str]:
        for v in self.problem.variables.values():
            text = self.between(v.lower, Formula(v.name), v.upper)
            if v.kind != "parameter" and text:
                yield text

    def between(self, lower: Any, middle: Formula, upper: Any) -> str:
        """Return lower ≤ middle ≤ upper without the sides that bound nothing; "" if none does."""
        low, high = map(self.bound, (lower, upper))
        term = middle.at_least(SUM)
        if low is None or high is None:
            return "" if low == high else f"{term} ≤ {high}" if low is None else f"{term} ≥ {low}"
        numeric = isinstance(lower, np.ndarray) and isinstance(upper, np.ndarray)
        same = np.array_equal(lower, upper) if numeric else low == high
        return f"{term} = {low}" if same else f"{low} ≤ {term} ≤ {high}"

    def bound(self, value: Any) -> str | None:
        unbounded = value is None or (isinstance(value, np.ndarray) and np.isinf(value).all())
        return None if unbounded else self.data(value)

    def constraints(self) -> Iterator[str]:
        moments = {"path": None, "initial": self.start, "final": self.end}
        for c in self.problem.constraints:
            formula = expression_formula(c.expression, self.names(moments[c.at]))
            yield f"{c.name}: {self.between(c.lower, formula, c.upper)}"

    def samples(self) -> list[str]:
        samples = self.problem.samples
        lines = [expression_formula(s.expression, self.names(number(s.time))).text for s in samples[:SAMPLES]]
        if len(samples) > SAMPLES:
            lines.append(f"… ({len(samples)} in all)")
        return lines

    def size(self) -> str:
        kinds: tuple[Kind, ...] = ("state", "control", "parameter", "unknown")
        counts = {kind: sum(v.size for v in self.problem.of_kind(kind)) for kind in kinds}
        shown = [kind for kind, n in counts.items() if n or kind in ("state", "control")]
        return ", ".join(f"{counts[kind]} {kind}{'' if counts[kind] == 1 else 's'}" for kind in shown)

    def data(self, value: Any) -> str:
        return _array(value) if isinstance(value, np.ndarray) else expression_formula(value).text


def _rate_of(name: str) -> str:
    return f"d{name}/dt" if name.isidentifier() else f"d({name})/dt"


def _array(values: np.ndarray) -> str:
    """Return the one value of an array, its entries if they are few, or ``[8×14: −1 … 1]``."""
    if np.all(values == values.flat[0]):
        return number(values.flat[0])
    if values.size > FEW:
        known = values[~np.isnan(values)]
        return f"[{'×'.join(map(str, values.shape))}: {number(known.min())} … {number(known.max())}]"
    rows = [", ".join(map(number, row)) for row in np.atleast_2d(values)]
    return f"[{'; '.join(rows)}]"


def _equation(head: str, expression: ca.MX, names: Names) -> list[str]:
    """Return head and expression on one line; the components of a long column on lines of their own."""
    text = expression_formula(expression, names).text
    parts = [expression.dep(i) for i in range(expression.n_dep())]
    if len(head) + len(text) <= WIDTH or expression.op() != ca.OP_VERTCAT:
        return [head + text]
    rows = [expression_formula(part, names).text for part in parts]
    indent = " " * len(head)
    lines = [f"{head if i == 0 else indent}{'[' if i == 0 else ' '}{row};" for i, row in enumerate(rows)]
    return [*lines[:-1], lines[-1][:-1] + "]"]


__all__ = ["problem_text"]
