"""solve_hjb: the value function and the feedback of a problem with few states."""

from __future__ import annotations

import os
import time
from typing import Any, Literal

import numpy as np
import psutil
from threadpoolctl import ThreadpoolController

from ocnet.checkpoint_files import check_folder
from ocnet.errors import OptionError, ProblemError, ShapeError, SolveError, UnsupportedError
from ocnet.hamiltonian import Hamiltonian
from ocnet.horizon import Discounted, Finite, FreeTime, Steps
from ocnet.methods.hjb.accuracy import Accuracy, between, extrapolated, plain
from ocnet.methods.hjb.checkpoint import Checkpoint, identity
from ocnet.methods.hjb.discrete import solve_steps
from ocnet.methods.hjb.domain import examined
from ocnet.methods.hjb.finite_horizon import SLICES, march, slice_times, trial_times
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.interpolation import Interpolation
from ocnet.methods.hjb.levels import ORDER, PolicyIteration, Report, State
from ocnet.methods.hjb.patches import tied
from ocnet.methods.hjb.scheme import Scheme
from ocnet.methods.hjb.slices import Slices
from ocnet.methods.hjb.threads import available
from ocnet.methods.hjb.value_iteration import value_iteration
from ocnet.pointwise import evaluate
from ocnet.problem import Problem
from ocnet.progress import live
from ocnet.value_function import ValueFunction

SchemeName = Literal["policy-iteration", "value-iteration"]
SCHEMES = ("policy-iteration", "value-iteration")
MIRROR_TRIALS = 64
LEAK = 1e-3  # speed through the walls of a box beyond which they hold no bounds of states
LEVELS = 4  # that the estimate of the error looks at
_BLAS = ThreadpoolController()


def solve_hjb(
    problem: Problem,
    grid: Grid,
    *,
    scheme: SchemeName = "policy-iteration",
    tolerance: float = 1e-8,
    progress: bool = False,
    memory: float | None = None,
    threads: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    interval: float = 60.0,
) -> ValueFunction:
    """Compute the value function of a problem with few states, and with it the feedback from every state.

    Parameters
    ----------
    problem : Problem
        Whose Hamiltonian has a finite minimiser: bounded controls, or a cost strictly convex in them. With an
        infinite discounted horizon, in continuous time or in steps; or a finite one and up to three states.
    grid : Grid
        The box of states, whose walls no path may cross, and its nodes.
    scheme : {"policy-iteration", "value-iteration"}
        Policy iteration on nested grids with correction to higher order; or plain semi-Lagrangian value
        iteration, the reference method, of order 1. On a finite horizon both march backwards in time.
    tolerance : float
        Of the discrete equations, in (0, 1e-2]: the largest change relative to 1 + the largest value.
    progress : bool
        Show a live line.
    memory : float, optional
        Bytes that may be used; what the machine has free if left out.
    threads : int, optional
        For the compiled loops; all cores of this process (or NUMBA_NUM_THREADS) if left out. The answer is
        the same to the last bit for any number. Hamiltonians that are derived are evaluated on one.
    checkpoint : path, optional
        Of a file in which a policy iteration in continuous time keeps what it has every `interval` seconds.
        If it is there, the solve goes on from it, to the same answer; it is removed at the end. Other solves
        refuse it.
    interval : float
        Seconds between two checkpoints.

    Returns
    -------
    ValueFunction

    Raises
    ------
    ShapeError, OptionError, ProblemError
        For a grid of another dimension, options out of range, or a problem without cost.
    UnsupportedError
        For what this road cannot treat, and for more nodes than fit into memory.
    StorageError
        If the checkpoint is damaged or of another solve, or its folder is missing.
    SolveError
        If the walls of the grid do not hold states that have bounds.

    Examples
    --------
    >>> import ocnet as oc
    >>> problem = oc.Problem("regulator", horizon=oc.Discounted(0.5))
    >>> x, u = problem.state("x"), problem.control("u", lower=-2, upper=2)
    >>> problem.dynamics(x, u)
    >>> problem.minimize(stage=x**2 + u**2)
    >>> value = oc.solve_hjb(problem, oc.Grid(-1, 1, 401))
    >>> round(value([0.5]) / 0.5**2, 4)  # (√17 − 1)/4, from Riccati's equation
    0.7808
    """
    _check(problem, grid, scheme, tolerance)
    _check_numbers(problem, interval, memory)
    workers = available() if threads is None else _checked_threads(problem, threads)
    hamiltonian = problem.hamiltonian
    begun = time.process_time()
    policies = scheme == "policy-iteration" and isinstance(problem.horizon, Discounted)
    if checkpoint is not None and not policies:
        raise OptionError(
            f"solve_hjb '{problem.name}': checkpoint is given; expected only for policy iteration in "
            "continuous time on an infinite horizon, which is what can go on from one. Leave it out."
        )
    check_folder(checkpoint, f"solve_hjb '{problem.name}'")
    if grid.zooms and not policies:
        raise UnsupportedError(
            f"solve_hjb '{problem.name}': the grid has zooms, which only policy iteration in continuous time "
            "on an infinite horizon can use. Leave them out."
        )
    mirrored = policies and is_mirrored(hamiltonian, grid)
    needed = needed_bytes(grid, mirrored, SLICES if isinstance(problem.horizon, Finite) else 0)
    _check_memory(problem, grid, needed, memory)
    kept = (
        None if checkpoint is None else Checkpoint(checkpoint, identity(problem, grid, tolerance), interval)
    )
    with live(problem.name, progress) as report, _BLAS.limit(limits=1, user_api="blas"):
        if isinstance(problem.horizon, Finite):
            parts = _backwards(problem, hamiltonian, grid, report, workers)
        elif isinstance(problem.horizon, Steps):
            parts = _by_steps(hamiltonian, grid, tolerance, scheme == "policy-iteration", report, workers)
        elif scheme == "value-iteration":
            parts = _by_values(hamiltonian, grid, tolerance, report, workers)
        else:
            parts = _by_policies(hamiltonian, grid, tolerance, mirrored, report, kept, workers)
    leak, active = parts.pop("leak"), parts.pop("active")
    if leak > LEAK and _bounded(problem).any():
        raise SolveError(
            f"solve_hjb '{problem.name}': the walls of the grid, which stand for bounds of the states, let "
            f"paths through with speed {leak:.2g}: no control holds them there. Use oc.solve with "
            "ocnet.Collocation."
        )
    domain = examined(problem, grid, leak, active) if isinstance(problem.horizon, Discounted) else None
    how = "backward steps" if isinstance(problem.horizon, Finite) else scheme
    stats = {
        "scheme": how,
        "seconds": time.process_time() - begun,
        "threads": workers,
        "bytes": needed,
        "mirrored": mirrored,
        "leak": leak,
    }
    return ValueFunction(problem, problem.name, domain=domain, stats=stats, rate=hamiltonian.rate, **parts)


def _by_policies(
    hamiltonian: Hamiltonian,
    grid: Grid,
    tolerance: float,
    mirrored: bool,
    report: Report | None,
    checkpoint: Checkpoint | None,
    threads: int,
) -> dict[str, Any]:
    keep = None if checkpoint is None else checkpoint.keep
    solver = PolicyIteration(hamiltonian, grid, tolerance, mirrored, report, keep, threads)
    state = solver.run(None if checkpoint is None else checkpoint.state())
    if checkpoint is not None:
        checkpoint.remove()
    monotone, _, settled = state.done[-1]
    scheme = Scheme(hamiltonian, grid, mirrored, ORDER)
    accuracy = _judged(solver, state)
    phase = 1 if settled else 0  # the one that made the values
    changes = [change for _, which, _, change in state.history if which == phase]
    return {
        "slices": Slices(grid, accuracy.values[None, :]),
        "error_grid": accuracy.grid,
        "errors": accuracy.error,
        "monotone": monotone[: grid.size],
        "settled": settled,
        "residual": changes[-1],
        "history": np.array(state.history),
        "leak": state.leak,
        "active": scheme.active(accuracy.values[: grid.size]),
    }


def _judged(solver: PolicyIteration, state: State) -> Accuracy:
    """Return the best values that the finest levels allow, and their estimated error."""
    grids, done = solver.grids[-LEVELS:], state.done[-LEVELS:]
    monotone, values, settled = done[-1]
    first = [v for v, _, _ in done]
    if len(grids) == 1:  # where the correction did not settle there is nothing to compare with
        accuracy = between(values, monotone, grids[-1])
        return accuracy if settled else Accuracy(values, grids[-1], np.full(grids[-1].total, np.inf))
    count = 0  # of the last levels on which the correction settled, one after the other
    while count < len(done) and done[-1 - count][2]:
        count += 1
    if count > 1:
        return extrapolated(grids[-count:], [v for _, v, _ in done[-count:]], ORDER, solver.plain)
    of_order_one = extrapolated(grids, first, 1)
    return between(values, of_order_one.values, grids[-1]) if settled else of_order_one


def _by_values(
    hamiltonian: Hamiltonian, grid: Grid, tolerance: float, report: Report | None, threads: int
) -> dict[str, Any]:
    coarse = grid.halved()
    grids = [grid] if coarse is None else [coarse, grid]
    found = [value_iteration(hamiltonian, g, tolerance, report, threads) for g in grids]
    values, history, leak = found[-1]
    active = Scheme(hamiltonian, grid, False, 1).active(values)
    return _of_first_order([v for v, _, _ in found], grids, history, leak) | {"active": active}


def _by_steps(
    hamiltonian: Hamiltonian,
    grid: Grid,
    tolerance: float,
    policies: bool,
    report: Report | None,
    threads: int,
) -> dict[str, Any]:
    grids, found, history, leak = solve_steps(hamiltonian, grid, tolerance, policies, report, threads)
    parts = _of_first_order(found, grids, history, leak) | {"active": 0.0, "discrete": True}
    if len(found) > 1:  # at nodes between those of the coarser grid, whose cubics next states meet
        accuracy = between(found[1], Interpolation(grids[0]).onto(found[0], grid), grid)
        left = parts["residual"] / np.expm1(hamiltonian.rate)  # what iterations without end would change
        parts |= {"error_grid": grid, "errors": accuracy.error + left}
    return parts


def _of_first_order(found: list[np.ndarray], grids: list[Grid], history: Any, leak: float) -> dict[str, Any]:
    """Return the parts of a value function without a correction, from its values on one or two grids."""
    grid, values = grids[-1], found[-1]
    accuracy = Accuracy(values, grid, np.full(grid.size, np.inf)) if len(found) < 2 else plain(found, grids)
    return {
        "slices": Slices(grid, values[None, :]),
        "error_grid": accuracy.grid,
        "errors": accuracy.error,
        "monotone": values,
        "settled": True,
        "residual": history[-1][3],
        "history": np.array(history),
        "leak": leak,
    }


def _backwards(
    problem: Problem, hamiltonian: Hamiltonian, grid: Grid, report: Report | None, threads: int
) -> dict[str, Any]:
    horizon, f = problem.horizon, problem.functions
    assert isinstance(horizon, Finite)
    p = f.pack(problem.parameter_values(), "parameter")

    def terminal(x: np.ndarray) -> np.ndarray:
        end = np.full(len(x), float(horizon.tf))
        return evaluate(f.terminal, end, x, np.zeros(f.nx), np.zeros(f.nu), np.zeros(0), p)[0].reshape(-1)

    span = (float(horizon.t0), float(horizon.tf))
    trial = march(hamiltonian, grid, trial_times(span), terminal, 1, threads=threads, fewest=1, keep=False)
    monotone, times = trial.values[0], slice_times(trial_times(span), trial.bend)
    values = march(hamiltonian, grid, times, terminal, ORDER, report, threads).values
    coarse = grid.halved()
    if coarse is None:
        other = march(hamiltonian, grid, times, terminal, 1, threads=threads).values
        found = [between(v, w, grid) for v, w in zip(values[::2], other[::2], strict=True)]
    else:
        other = march(hamiltonian, coarse, times[::2], terminal, threads=threads).values
        found = [plain([w, v], [coarse, grid]) for v, w in zip(values[::2], other, strict=True)]
    return {
        "slices": Slices(grid, values, times),
        "error_grid": found[0].grid,
        "errors": found[0].error,
        "later": np.array([accuracy.error for accuracy in found]),
        "monotone": monotone,
        "settled": True,
        "residual": 0.0,
        "history": np.zeros((0, 4)),
        "leak": 0.0,
        "active": 0.0,
    }


def is_mirrored(hamiltonian: Hamiltonian, grid: Grid) -> bool:
    """Return whether v(−x) = v(x): a symmetric box, and H(−x, −p) = H(x, p) at random points."""
    if not grid.symmetric:
        return False
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (MIRROR_TRIALS, grid.dimension)) * np.array(grid.upper)
    p = rng.standard_normal(x.shape)
    here, there = hamiltonian.value(0.0, x, p), hamiltonian.value(0.0, -x, -p)
    return bool(np.abs(here - there).max() <= 1e-12 * (1 + np.abs(here).max()))


def depends_on_time(problem: Problem) -> bool:
    """Return whether time appears in the dynamics or the stage cost."""
    f = problem.functions
    return any(g.jac_sparsity(0, 0).nnz() > 0 for g in (f.dynamics, f.stage))


def needed_bytes(grid: Grid, mirrored: bool, kept: int = 0) -> float:
    """Return about how many bytes a solve on a grid holds at its peak, with so many slices in time."""
    n, size = grid.dimension, float(grid.total)
    share = 0.5 if mirrored else 1.0
    numbers = (8 + 2 * kept) * size + share * ((3 * n + 5) * size + 8 * tied(grid))
    return 8.0 * numbers * (1 + 2.0**-n)


def _check(problem: Problem, grid: Grid, scheme: str, tolerance: float) -> None:
    if not isinstance(problem, Problem):
        raise ProblemError(f"solve_hjb: got a {type(problem).__name__}; expected a Problem.")
    where = f"solve_hjb '{problem.name}'"
    if not isinstance(grid, Grid):
        raise OptionError(f"{where}: grid is {grid!r:.60}; expected an ocnet.Grid(lower, upper, shape).")
    if scheme not in SCHEMES:
        raise OptionError(f"{where}: scheme is {scheme!r}; expected one of {list(SCHEMES)}.")
    if not isinstance(tolerance, (int, float)) or not 0 < tolerance <= 1e-2:
        raise OptionError(f"{where}: tolerance is {tolerance!r}; expected a number in (0, 1e-2].")
    f, horizon = problem.functions, problem.horizon
    if not f.has_cost:
        raise ProblemError(f"{where}: it has no cost; call problem.minimize first.")
    if grid.dimension != f.nx:
        raise ShapeError(f"{where}: the grid has {grid.dimension} axes; the problem has {f.nx} states.")
    reasons = {
        "a free final time": isinstance(horizon, FreeTime),
        "a finite number of steps": isinstance(horizon, Steps) and horizon.n is not None,
        f"unknown constants ({', '.join(v.name for v in f.unknowns)})": bool(f.unknowns),
        f"constraints ({', '.join(c.name for c in problem.constraints)})": bool(problem.constraints),
        "data terms at sample times": bool(problem.samples),
        "prescribed final states": any(v.final is not None for v in f.states),
        "dynamics or costs that depend on time, on an infinite horizon": not isinstance(horizon, Finite)
        and depends_on_time(problem),
        "more than three states on a finite horizon": isinstance(horizon, Finite) and f.nx > 3,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UnsupportedError(
                f"{where}: value functions on grids cannot treat {reason}; use oc.solve with "
                "ocnet.Collocation."
            )
    bounds = f.bounds(f.pack(problem.parameter_values(), "parameter"))
    bounded = _bounded(problem)
    if bounded.any() and not isinstance(horizon, Discounted):
        raise UnsupportedError(
            f"{where}: {f.labels('state')[int(np.argmax(bounded))]} has bounds, which hold only in "
            "continuous time on an infinite horizon; use oc.solve with ocnet.Collocation."
        )
    low, high = np.array(grid.lower), np.array(grid.upper)
    for i in np.flatnonzero((low < bounds.x_lower) | (high > bounds.x_upper)):
        raise UnsupportedError(
            f"{where}: {f.labels('state')[i]} has bounds [{bounds.x_lower[i]:g}, {bounds.x_upper[i]:g}] and "
            f"the grid goes from {low[i]:g} to {high[i]:g}; only the walls of the grid hold a state: put "
            "them at its bounds."
        )


def _check_numbers(problem: Problem, interval: Any, memory: Any) -> None:
    def number(value: Any) -> bool:
        return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)

    where = f"solve_hjb '{problem.name}'"
    if not (number(interval) and interval >= 0):
        raise OptionError(f"{where}: interval is {interval!r:.40}; expected a number of seconds, at least 0.")
    if memory is not None and not (number(memory) and memory > 0):
        raise OptionError(f"{where}: memory is {memory!r:.40}; expected a number of bytes above 0, or None.")


def _bounded(problem: Problem) -> np.ndarray:
    """Return which states have bounds (n,)."""
    f = problem.functions
    bounds = f.bounds(f.pack(problem.parameter_values(), "parameter"))
    return np.isfinite(bounds.x_lower) | np.isfinite(bounds.x_upper)


def _checked_threads(problem: Problem, threads: Any) -> int:
    if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
        raise OptionError(
            f"solve_hjb '{problem.name}': threads is {threads!r:.40}; expected an integer of at least 1."
        )
    return threads


def _check_memory(problem: Problem, grid: Grid, needed: float, memory: float | None) -> None:
    free = float(psutil.virtual_memory().available) if memory is None else float(memory)
    if needed > free:
        raise UnsupportedError(
            f"solve_hjb '{problem.name}': {grid.total} nodes ({' × '.join(map(str, grid.shape))}"
            f"{' and those of zooms' if grid.zooms else ''}) take about "
            f"{needed:.3g} bytes and {free:.3g} may be used; take fewer nodes, or "
            "oc.solve(problem, oc.Pontryagin()), which needs no grid."
        )
