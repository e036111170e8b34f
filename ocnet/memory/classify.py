"""classify: what became of the pattern that a controlled network was shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import OptionError, ProblemError, SolveError
from ocnet.horizon import Discounted, Steps, rate
from ocnet.landscapes.cycles import LimitCycle, limit_cycle
from ocnet.landscapes.equilibria import landscape
from ocnet.landscapes.field import Field
from ocnet.memory.outcome import Name, Outcome
from ocnet.memory.rest import Rest, distance, nearest
from ocnet.memory.tail import Tail, tail
from ocnet.problem import Problem
from ocnet.solution import Solution

WINDOW = (0.8, 1.0)  # parts of the horizon between which its tail lies, where nothing else is said
MIDDLE = (0.4, 0.6)  # the same of a stored path on an infinite horizon: its computed end is not felt there
RESIDUAL = 1e-4  # of a certificate, up to which a solution counts as stationary
DRIFT = 0.1  # of the way back that a recorded state may move in the tail
RETURNS = 0.02  # of its extent, by which a path may miss itself and still count as coming back
TURNS = 10.0  # by how much more a wandering path has to move than its extent, in the tail
FIGURES = ("stationarity", "hamiltonian_gap", "costate_residual", "resimulation_error", "transversality")


def classify(
    solution: Solution,
    *,
    window: tuple[float, float] | None = None,
    tolerance: float = 1e-3,
    residual: float = RESIDUAL,
    box: tuple[ArrayLike, ArrayLike] | None = None,
) -> Outcome:
    """Decide what became of the state from which a solution starts: the outcomes of Cardin et al.

    With x the state at the end of the window and ξ the controls there, the rules are, in this order:

    * *undecided*: the solve failed, or a figure of the certificate exceeds `residual`. An optimiser that
      stops early ends in controls that look like anything; see Notes.
    * *recognised*: in the window x stays within `tolerance` of an equilibrium of the network without control.
    * *recorded*: x is within `tolerance` of an asymptotically stable equilibrium of the network with ξ held,
      not of one without control, and in the window it has moved by less than a tenth of the way back to that.
    * *association*: the path comes back to itself, at least twice within the window, and the network with the
      mean ξ of a period held has a limit cycle of that period whose Floquet multipliers lie within the unit
      circle.
    * *wandering*: the path neither rests nor comes back, in a window in which it covers more than ten
      times its extent, and its largest Lyapunov exponent is positive.
    * *undecided* otherwise; the reason says what was missing.

    Parameters
    ----------
    solution : Solution
        Of any problem with controls whose dynamics do not contain time; zero has to be an admissible value
        of its controls for "without control" to have a meaning.
    window : (float, float), optional
        Times of the tail; by default the last fifth of a finite horizon, and the middle fifth of what is
        stored of an infinite one. On a finite horizon controls with a price end in transients, which a window
        that ends earlier leaves out.
    tolerance : float
        Of distances relative to 1 + |x|, in (0, 0.1].
    residual : float
        Largest figure of the certificate (stationarity, Hamiltonian gap, costates, states) allowed.
    box : (array_like (nx,), array_like (nx,)), optional
        Lower and upper corner: the nearest equilibria are then taken from the :func:`ocnet.landscape` of this
        box, which for few states has proved that none is missing. Otherwise they are those to which Newton's
        method and the network itself lead from the state: enough to recognise a memory that is near.

    Returns
    -------
    Outcome

    Raises
    ------
    ProblemError
        For something that is no solution, does not carry its problem or has no controls, a window outside
        the solution, or dynamics that contain time.
    OptionError
        For a tolerance or residual out of range.

    Notes
    -----
    F. Cardin, A. Lovison, A. Maritan and A. Megighian, "Brain memory working", arXiv 2305.14360, name the
    classes by limits t → ∞; a computed path has a horizon, and the class holds for it. A recorded memory
    whose control has a price is metastable: see :attr:`Outcome.lifetime`.
    """
    start, end = _checked(solution, window, tolerance, residual)
    problem = solution.problem
    assert problem is not None
    assert solution.u is not None
    certificate = {name: float(getattr(solution.certificate, name)) for name in FIGURES}
    if _infinite(problem):  # there is no end at which the costates could be asked for anything
        del certificate["transversality"]
    worst = float(np.max(list(certificate.values())))
    last = solution.control_time[-1] if solution.discrete else end
    moment = min(end, last)
    state, kept = solution.x(end), solution.u(moment)
    figures = {
        "residual": worst,
        "allowed": residual,
        "horizon": float(solution.time[-1]),
        "discount": rate(problem.horizon),
        "tail": start,
        "moment": end,
        "tolerance": tolerance,
        "control": float(np.abs(kept).max()),
        "peak": float(np.abs(solution.u.values).max()),
    }

    def made(name: Name, reason: str, **places: Any) -> Outcome:
        return Outcome(name, reason, solution.problem_name, figures, state, certificate=certificate, **places)

    if not worst <= residual:
        which = max(certificate, key=lambda n: np.nan_to_num(certificate[n], nan=np.inf))
        return made(
            "undecided",
            f"The solution is not stationary: its certificate's {which.replace('_', ' ')} is "
            f"{certificate[which]:.1e}, more than the {residual:.0e} allowed. It may look like any outcome.",
        )
    if not solution.success:
        return made("undecided", f"No optimum was found: {solution.status.value} ({solution.message}).")
    path = tail(solution, start, end)
    (rest_free, d_free), (rest_held, d_held) = (
        _nearest(solution, u, state, box) for u in (np.zeros_like(kept), kept)
    )
    figures |= _distances(rest_free, d_free, rest_held, d_held) | {"motion": path.motion}
    places = {
        "equilibrium_free": None if rest_free is None else rest_free.x,
        "equilibrium_held": None if rest_held is None else rest_held.x,
    }
    if rest_free is not None and max(distance(x, rest_free.x) for x in path.x) <= tolerance:
        kind = "a stable" if rest_free.stable else "an unstable"
        used = "no control was used" if figures["peak"] <= tolerance else "control was used on the way"
        return made(
            "recognised", f"The path ends at {kind} equilibrium of the network without control; {used}.",
            **places,
        )  # fmt: skip
    if rest_held is not None and rest_held.stable and d_held <= tolerance < d_free:
        if path.motion == 0:
            figures["lifetime"] = float("inf")
        elif rest_free is not None:
            back = distance(path.x[0], rest_free.x) - d_free
            pace = max(abs(back), 1e-300) / (path.times[-1] - path.times[0])
            figures["lifetime"] = d_free / pace if path.motion > 1e-12 else float("inf")
        if path.motion <= DRIFT * min(d_free, 1.0):
            return made("recorded", _recorded(figures), **places)
        return made(
            "undecided",
            f"The state follows the equilibrium under the present controls (distance {d_held:.1e}), which "
            f"drifts: in the tail by {path.motion:.1e}, and {d_free:.1e} are left to that without control.",
            **places,
        )
    return _moving(path, solution, figures, tolerance, made, places)


def _recorded(figures: dict[str, float]) -> str:
    text = (
        f"Controls of up to {figures['control']:.3g} hold the state at a stable equilibrium that the network "
        "without control does not have."
    )
    lifetime = figures.get("lifetime", float("inf"))
    if np.isfinite(lifetime):
        text += (
            f" It drifts: at its pace in the tail the control is given up after about {lifetime:.3g} more."
        )
    return text


def _moving(
    path: Tail, solution: Solution, figures: dict[str, float], tolerance: float, made: Any, places: Any
) -> Outcome:
    """Tell association from wandering, where the path does not rest."""
    if path.motion <= tolerance:
        return made("undecided", "The path rests, but at no equilibrium that could be kept.", **places)
    period, error = path.recurrence()
    figures["recurrence"] = error
    if error <= RETURNS:
        figures["period"] = period
        cycle = _cycle(path, solution, period)
        if cycle is None:
            return made(
                "undecided",
                f"The path comes back after {period:.4g}, but the network with the mean controls of that "
                "period held has no limit cycle near it.",
                **places,
            )
        gap = np.abs(cycle.trajectory.x.values - path.x[-1]).max(axis=1).min()
        figures |= {
            "period_frozen": cycle.period,
            "multiplier": float(np.abs(cycle.multipliers).max(initial=0.0)),
            "distance_cycle": float(gap) / (1 + float(np.abs(path.x[-1]).max())),
        }
        if cycle.stable and abs(cycle.period - period) <= 0.1 * period:
            return made(
                "association",
                f"The path comes back after {period:.6g} and the network with the mean controls held has a "
                f"stable limit cycle of period {cycle.period:.6g}.",
                **places,
            )
        return made("undecided", "The path comes back, but the frozen limit cycle is another one.", **places)
    figures["exponent"] = path.exponent()
    extent = float(np.ptp(path.x, axis=0).max())
    turns = float(np.abs(np.diff(path.x, axis=0)).max(axis=1).sum()) / extent
    if figures["exponent"] > 0 and turns >= TURNS:
        return made(
            "wandering",
            f"In the tail the path covers {turns:.0f} times its extent without coming back (nearest miss "
            f"{error:.1e} of it), and small differences grow.",
            **places,
        )
    if turns < 2:
        return made(
            "undecided",
            f"The state still moves, by {path.motion:.1e} in the tail: it may be on its way to a place of "
            "rest. Judge a later window, or a longer horizon.",
            **places,
        )
    return made(
        "undecided",
        f"The path neither rests nor comes back, but it covers only {turns:.1f} times its extent in the tail "
        f"or small differences do not grow (exponent {figures['exponent']:.2g}).",
        **places,
    )


def _cycle(path: Tail, solution: Solution, period: float) -> LimitCycle | None:
    assert solution.problem is not None
    recent = path.times > path.times[-1] - period - 1e-9
    held = _held(solution, path.u[recent].mean(axis=0))
    try:
        return limit_cycle(solution.problem, path.x[-1], period=period, **held)
    except SolveError:
        return None


def _nearest(
    solution: Solution, u: np.ndarray, state: np.ndarray, box: tuple[ArrayLike, ArrayLike] | None
) -> tuple[Rest | None, float]:
    """Return the equilibrium nearest to a state while the controls (nu,) are held, and its distance."""
    if box is None:
        return nearest(_field(solution, u), state)
    assert solution.problem is not None
    found = landscape(solution.problem, *box, **_held(solution, u), starts=[state])
    closest = found.nearest(state)
    if closest is None:
        return None, float("inf")
    size = np.abs(closest.eigenvalues) if solution.discrete else np.exp(np.real(closest.eigenvalues))
    return Rest(closest.x, float(size.max())), distance(state, closest.x)


def _field(solution: Solution, u: np.ndarray) -> Field:
    assert solution.problem is not None
    return Field(solution.problem, **_held(solution, u), where="memory.classify")


def _held(solution: Solution, u: np.ndarray) -> dict[str, Any]:
    assert solution.problem is not None
    controls = solution.problem.functions.unpack(u, "control")
    return {"controls": controls, "parameters": solution.parameters, "unknowns": solution.unknowns}


def _distances(free: Rest | None, d_free: float, held: Rest | None, d_held: float) -> dict[str, float]:
    figures = {"distance_free": d_free, "distance_held": d_held}
    if free is not None:
        figures["growth_free"] = free.growth
    if held is not None:
        figures["growth_held"] = held.growth
    if free is not None and held is not None:
        figures["shift"] = distance(held.x, free.x)
    return figures


def _infinite(problem: Problem) -> bool:
    horizon = problem.horizon
    return isinstance(horizon, Discounted) or (isinstance(horizon, Steps) and horizon.n is None)


def _checked(
    solution: Solution, window: tuple[float, float] | None, tolerance: float, residual: float
) -> tuple[float, float]:
    if not isinstance(solution, Solution):
        raise ProblemError(f"memory.classify: got a {type(solution).__name__}; expected a Solution.")
    where = f"memory.classify: the solution of '{solution.problem_name}'"
    if solution.problem is None:
        raise ProblemError(f"{where} does not carry its problem; use ocnet.load(path, problem=...).")
    if solution.u is None:
        raise ProblemError(f"{where} has no controls; expected the synapses to be controlled.")
    for name, value, most in (("tolerance", tolerance, 0.1), ("residual", residual, 1.0)):
        if not isinstance(value, (int, float)) or not 0 < value <= most:
            raise OptionError(f"memory.classify: {name} is {value!r}; expected a number in (0, {most:g}].")
    first, last = float(solution.time[0]), float(solution.time[-1])
    parts = MIDDLE if _infinite(solution.problem) else WINDOW
    start, end = (first + part * (last - first) for part in parts) if window is None else map(float, window)
    if not first <= start < end <= last:
        raise ProblemError(
            f"memory.classify: window is ({start:g}, {end:g}); expected two times in [{first:g}, {last:g}]."
        )
    return start, end
