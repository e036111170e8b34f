"""Problem: what is asked. States, controls, dynamics, cost, bounds and constraints, as papers state them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import casadi as ca
import numpy as np

from ocnet.errors import ProblemError
from ocnet.horizon import Discounted, Finite, FreeTime, Horizon, Steps
from ocnet.statement.checks import (
    check_ends,
    check_inside,
    check_name,
    check_no_comparison,
    check_shape,
    check_symbols,
    checked_bounds,
    checked_moment,
    checked_scalar,
    data_or_parametric,
    find_variable,
    place,
)
from ocnet.statement.printing import problem_text
from ocnet.symbols import Expression, Shape, as_data, as_expression, as_shape, symbol

if TYPE_CHECKING:
    from ocnet.functions import Functions
    from ocnet.hamiltonian import Hamiltonian

Kind = Literal["state", "control", "parameter", "unknown"]
Place = Literal["path", "initial", "final"]

# What may appear in an expression that holds at every time, and at one moment.
ON_PATH: tuple[Kind, ...] = ("state", "control", "parameter", "unknown")
AT_A_MOMENT: tuple[Kind, ...] = ("state", "parameter", "unknown")


@dataclass
class Variable:
    """A named quantity of a problem.

    `lower`, `upper`, `initial` and `final` are arrays of the variable's shape or expressions in parameters;
    NaN in a numeric `initial` or `final` marks a free component.
    """

    name: str
    kind: Kind
    shape: Shape
    symbol: Expression
    lower: Any = None
    upper: Any = None
    initial: Any = None
    final: Any = None
    value: Any = None
    guess: Any = None
    dynamics: ca.MX | None = None
    derivative: Expression | None = None

    @property
    def size(self) -> int:
        """Number of components."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Constraint:
    """lower ≤ expression ≤ upper, on the whole path or at one end; components are in C order."""

    name: str
    expression: ca.MX
    lower: Any
    upper: Any
    at: Place
    shape: Shape


@dataclass(frozen=True)
class Sample:
    """A cost that depends on the states at one moment."""

    time: float
    expression: ca.MX


@dataclass(eq=False)
class Problem:
    """An optimal control problem, stated symbolically, in units of its own: none are converted.

    Parameters
    ----------
    name : str
        What the problem is called in reports and files.
    horizon : Finite, FreeTime, Discounted or Steps
        Over which time it is asked.

    Attributes
    ----------
    time : casadi.MX
        The symbol of time (the number of the step for `Steps`).
    reference : float or None
        A known optimal cost, and in `source` where it comes from.
    guess : mapping, callable or None
        Where a solve without a guess of its own starts; see :func:`ocnet.solve`.
    hamiltonian : Hamiltonian
        Derived by CasADi when it is first asked for, unless a builder has set an exact one.

    Examples
    --------
    >>> import ocnet as oc
    >>> problem = oc.Problem("integrator", horizon=oc.Finite(1.0))
    >>> x = problem.state("x", initial=1.0)
    >>> u = problem.control("u", lower=-1.0)
    >>> problem.dynamics(x, u)
    >>> problem.minimize(stage=x**2 + u**2)
    """

    name: str
    horizon: Horizon
    reference: float | None = field(default=None, kw_only=True)
    source: str = field(default="", kw_only=True)
    guess: Any = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ProblemError(f"Problem: name is {self.name!r}; expected a non-empty string.")
        if not isinstance(self.horizon, (Finite, FreeTime, Discounted, Steps)):
            raise ProblemError(
                f"Problem '{self.name}': horizon is {self.horizon!r:.60}; "
                "expected Finite, FreeTime, Discounted or Steps."
            )
        self.variables: dict[str, Variable] = {}
        self.constraints: list[Constraint] = []
        self.samples: list[Sample] = []
        self.stage: ca.MX | None = None
        self.terminal: ca.MX | None = None
        self.frozen = False
        self._time = symbol("k" if isinstance(self.horizon, Steps) else "t", (1,))
        self._hamiltonian: Hamiltonian | None = None

    # ------------------------------------------------------------------ symbols

    @property
    def time(self) -> Expression:
        """The symbol of time; the number of the step when the horizon is Steps."""
        return self._time

    def state(
        self,
        name: str,
        shape: int | tuple[int, int] = 1,
        *,
        initial: Any = None,
        final: Any = None,
        lower: Any = None,
        upper: Any = None,
    ) -> Expression:
        """Add a state.

        Parameters
        ----------
        name : str
            Unique among all quantities of the problem.
        shape : int or (int, int)
            Number of components, or (rows, columns).
        initial, final : array_like or expression of parameters, optional
            Prescribed values of the given shape; None, or None in the place of a component, leaves it free.
        lower, upper : array_like or expression of parameters, optional
            Bounds on the whole path; a scalar holds for all components.

        Returns
        -------
        casadi.MX
            A symbol of shape (n, 1) or (rows, columns).

        Raises
        ------
        ProblemError
            For a name in use, a wrong shape, NaN, inconsistent bounds or ends outside the bounds.
        """
        variable = self._add(name, "state", shape, lower, upper)
        for end, value in (("initial", initial), ("final", final)):
            if value is not None:
                setattr(variable, end, data_or_parametric(self, variable, end, value))
        check_ends(self, variable)
        self.variables[name] = variable
        return variable.symbol

    def control(
        self, name: str, shape: int | tuple[int, int] = 1, *, lower: Any = None, upper: Any = None
    ) -> Expression:
        """Add a control; parameters, result and errors are those of :meth:`state`, without ends."""
        variable = self._add(name, "control", shape, lower, upper)
        self.variables[name] = variable
        return variable.symbol

    def parameter(self, name: str, shape: int | tuple[int, int] = 1, *, value: Any) -> Expression:
        """Add data that may change between solves.

        Parameters
        ----------
        name, shape
            As for :meth:`state`, as are the symbol that is returned and the errors.
        value : array_like
            What holds by default, finite, of the given shape; a scalar holds for all components.
        """
        variable = self._add(name, "parameter", shape, None, None)
        variable.value = as_data(value, variable.shape, place(self, name, "value"))
        self.variables[name] = variable
        return variable.symbol

    def unknown(
        self, name: str, shape: int | tuple[int, int] = 1, *, lower: Any = None, upper: Any = None, guess: Any
    ) -> Expression:
        """Add a constant that is optimised together with the controls.

        Parameters
        ----------
        name, shape, lower, upper
            As for :meth:`state`, as are the symbol that is returned and the errors.
        guess : array_like
            Where the search starts, within the bounds; a scalar holds for all components.
        """
        variable = self._add(name, "unknown", shape, lower, upper)
        variable.guess = as_data(guess, variable.shape, place(self, name, "guess"))
        check_inside(self, variable, "guess", variable.guess)
        self.variables[name] = variable
        return variable.symbol

    def derivative(self, state: Any) -> Expression:
        """Return the symbol of a state's time derivative, for use in stage costs and path constraints.

        With `Steps` it is the difference between the next and the present value. A cost of movement stated
        with it keeps the Hessian sparse: the value is taken from the trajectory, not from the dynamics.
        The symbol has the state's shape. ProblemError for anything that is not a state of this problem.
        """
        variable = find_variable(self, state, "derivative", "state")
        if variable.derivative is None:
            self._refuse_if_frozen()
            shown = (
                f"Δ{variable.name}"
                if isinstance(self.horizon, Steps)
                else f"d{variable.name}/d{self._time.name()}"
            )
            variable.derivative = symbol(shown, variable.shape)
        return variable.derivative

    # ------------------------------------------------------------------ what is asked

    def dynamics(self, state: Any, expression: Any) -> None:
        """State the derivative of a state, or its next value when the horizon is Steps.

        Parameters
        ----------
        state : casadi.MX
            What :meth:`state` returned.
        expression : expression
            Of the state's shape, in time, states, controls, parameters and unknowns.

        Raises
        ------
        ShapeError, SymbolError, ProblemError
            For a wrong shape, a foreign symbol, or dynamics given twice.
        """
        self._refuse_if_frozen()
        variable = find_variable(self, state, "dynamics", "state")
        where = place(self, variable.name, "dynamics")
        if variable.dynamics is not None:
            raise ProblemError(f"{where}: given a second time; a state has exactly one equation.")
        value = as_expression(expression, where)
        check_shape(value, variable.symbol.shape, where)
        check_symbols(self, value, where, ON_PATH)
        variable.dynamics = value

    def minimize(self, *, stage: Any = 0, terminal: Any = 0) -> None:
        """State the cost, the integral (sum) of `stage` plus `terminal` at the end.

        Parameters
        ----------
        stage : scalar expression
            In time, states, their derivatives, controls, parameters and unknowns; per unit of time.
        terminal : scalar expression
            Of the final states and time, parameters and unknowns.

        Raises
        ------
        ShapeError, SymbolError, ProblemError
            For what is no scalar, foreign symbols, a second cost, or a terminal cost without an end.
        """
        self._refuse_if_frozen()
        if self.stage is not None:
            raise ProblemError(
                f"Problem '{self.name}': minimize was called a second time; state the cost once."
            )
        infinite = isinstance(self.horizon, Discounted) or (
            isinstance(self.horizon, Steps) and self.horizon.n is None
        )
        if infinite and not (isinstance(terminal, (int, float)) and terminal == 0):
            raise ProblemError(
                f"Problem '{self.name}': got the terminal cost {terminal!s:.60} on an infinite horizon, "
                "which has no end; expected only a stage cost."
            )
        integrand = checked_scalar(self, stage, "stage cost", ON_PATH, derivatives=True)
        self.terminal = checked_scalar(self, terminal, "terminal cost", AT_A_MOMENT)
        self.stage = integrand

    def cost_at(self, time: float, expression: Any) -> None:
        """Add an undiscounted scalar cost of the states at a moment of the horizon (else ProblemError)."""
        self._refuse_if_frozen()
        moment = checked_moment(self, time)
        self.samples.append(
            Sample(moment, checked_scalar(self, expression, f"cost_at({moment})", AT_A_MOMENT))
        )

    def constrain(
        self,
        expression: Any,
        *,
        lower: Any = None,
        upper: Any = None,
        at: Place = "path",
        name: str | None = None,
    ) -> None:
        """Demand lower ≤ expression ≤ upper.

        Parameters
        ----------
        expression : expression
            Of any shape. Ends may not contain controls.
        lower, upper : array_like or expression of parameters, optional
            At least one of them; equal values make an equation.
        at : {"path", "initial", "final"}
            Where it holds.
        name : str, optional
            How reports call it.

        Raises
        ------
        ProblemError
            For an unknown place, no bound at all, inconsistent bounds or foreign symbols.
        """
        self._refuse_if_frozen()
        label = f"constraint {len(self.constraints) + 1}" if name is None else name
        where = f"Problem '{self.name}', {label}"
        if not isinstance(label, str) or not label:
            raise ProblemError(f"{where}: the name of a constraint is {name!r}; expected a non-empty string.")
        if at not in ("path", "initial", "final"):
            raise ProblemError(f"{where}: at is {at!r}; expected 'path', 'initial' or 'final'.")
        value = as_expression(expression, where)
        check_no_comparison(value, where)
        if lower is None and upper is None:
            raise ProblemError(f"{where}: neither lower nor upper was given; expected at least one of them.")
        check_symbols(self, value, where, ON_PATH if at == "path" else AT_A_MOMENT, derivatives=at == "path")
        shape: Shape = (value.shape[0],) if value.is_column() else value.shape
        low, high = checked_bounds(
            self, Variable(label, "state", shape, Expression(value)), lower, upper, where
        )
        self.constraints.append(Constraint(label, value, low, high, at, shape))

    # ------------------------------------------------------------------ what solvers use

    def of_kind(self, kind: Kind) -> list[Variable]:
        """Return the variables of one kind in the order in which they were stated."""
        return [v for v in self.variables.values() if v.kind == kind]

    @cached_property
    def functions(self) -> Functions:
        """Everything numeric methods need, as CasADi functions of flat vectors; freezes the problem."""
        from ocnet.functions import Functions

        self.freeze()
        return Functions(self)

    @property
    def hamiltonian(self) -> Hamiltonian:
        """The Hamiltonian: what a builder has set, or one derived by CasADi."""
        if self._hamiltonian is None:
            from ocnet.hamiltonian import DerivedHamiltonian

            self._hamiltonian = DerivedHamiltonian(self)
        return self._hamiltonian

    @hamiltonian.setter
    def hamiltonian(self, value: Hamiltonian) -> None:
        self._hamiltonian = value

    def freeze(self) -> None:
        """Check that the problem is complete and allow no further change."""
        if self.frozen:
            return
        states = self.of_kind("state")
        if not states:
            raise ProblemError(f"Problem '{self.name}': it has no state; add one with problem.state(...).")
        missing = [v.name for v in states if v.dynamics is None]
        if missing:
            raise ProblemError(
                f"Problem '{self.name}': there are no dynamics for the states {missing}; "
                "expected one equation for each: call problem.dynamics(state, expression)."
            )
        self.frozen = True

    def parameter_values(self, changes: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
        """Return the parameters' values by name, with `changes` applied and checked."""
        if changes is not None and not isinstance(changes, Mapping):
            raise ProblemError(
                f"Problem '{self.name}': parameters is {changes!r:.60}; expected values by name in a dict."
            )
        parameters = {v.name: v for v in self.of_kind("parameter")}
        unknown = [name for name in (changes or {}) if name not in parameters]
        if unknown:
            raise ProblemError(
                f"Problem '{self.name}': the parameters {unknown} are unknown; it has {list(parameters)}."
            )
        values = {name: v.value for name, v in parameters.items()}
        for name, value in (changes or {}).items():
            values[name] = as_data(value, parameters[name].shape, place(self, name, "value"))
        return values

    def __str__(self) -> str:
        return problem_text(self)

    def __repr__(self) -> str:
        names = ", ".join(self.variables)
        return f"<Problem '{self.name}': {names or 'empty'}, {self.horizon}>"

    # ------------------------------------------------------------------ checks

    def _refuse_if_frozen(self) -> None:
        if self.frozen:
            raise ProblemError(
                f"Problem '{self.name}' was already solved or simulated and cannot be changed; state a new "
                "one, or use problem.parameter for data that change between solves."
            )

    def _add(self, name: str, kind: Kind, shape: Any, lower: Any, upper: Any) -> Variable:
        self._refuse_if_frozen()
        check_name(self, name, kind)
        dimensions = as_shape(shape, place(self, name, kind))
        variable = Variable(name, kind, dimensions, symbol(name, dimensions))
        variable.lower, variable.upper = checked_bounds(self, variable, lower, upper)
        return variable


__all__ = ["Constraint", "Problem", "Sample", "Variable"]
