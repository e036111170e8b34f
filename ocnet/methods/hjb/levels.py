"""Policy iteration on nested grids: a monotone value function first, then its correction to third order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ocnet.hamiltonian import Hamiltonian
from ocnet.methods.hjb.differences import PLAIN
from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.patches import Patches, given_back, onto

ORDER = 3
POLICIES = 40  # updates of the monotone feedback on a level, at most
UPDATES = 120  # of the accurate feedback in each attempt, at most
STALLED = 20  # updates without a smaller change: the correction does not settle
CORRECTIONS = 5  # of the values between two updates, at most
KINKS = 6  # updates before which kinks are looked for; their stencils then stay as they are
BEND = 1e-7  # of the values, relative to 1 + the largest: bends that are smaller are no kinks
ROUNDS = 4  # of sweeps between two updates of the monotone feedback
ATTEMPTS = 4  # of the correction, each with more nodes at order 1
GROWN = 5.0  # times the smallest change so far: the correction diverges
SPREAD = 2  # nodes around one that does not settle

Report = Callable[[int, float, float], None]


@dataclass
class State:
    """All that a solve knows between two updates of its feedback; enough to go on from there.

    Attributes
    ----------
    level : int
        Number of the grid, 0 for the coarsest.
    phase : {"monotone", "accurate"}
    iteration : int
        Updates made in this phase.
    values : ndarray (total,)
        On all patches of the grid: what the phase works on.
    monotone, start : ndarray (total,)
        The monotone values of this level once they are known, and where its accurate values start.
    done : list of (ndarray, ndarray, bool)
        Monotone values, accurate values, and whether these settled, of the levels that are finished.
    history : list of (level, phase number, iteration, change)
    leak : float
    stencils : ndarray of int8 (total,)
        Of the nodes in the accurate phase: of full order, looking ahead only, or given back to order 1.
    least : float
        Smallest change of the accurate phase so far.
    """

    level: int = 0
    phase: str = "monotone"
    iteration: int = 0
    values: np.ndarray = field(default_factory=lambda: np.zeros(0))
    monotone: np.ndarray = field(default_factory=lambda: np.zeros(0))
    start: np.ndarray = field(default_factory=lambda: np.zeros(0))
    done: list[tuple[np.ndarray, np.ndarray, bool]] = field(default_factory=list)
    history: list[tuple[int, int, int, float]] = field(default_factory=list)
    leak: float = 0.0
    stencils: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int8))
    least: float = np.inf


def nested(grid: Grid) -> list[Grid]:
    """Return the grids from the coarsest to the given one, each with about twice as many nodes an axis."""
    grids = [grid]
    while (coarser := grids[0].halved()) is not None:
        grids.insert(0, coarser)
    return grids


class PolicyIteration:
    """Solves ρv = min over the controls of stage + f·∇v on nested grids.

    Each level starts from interpolated values. Howard's policy iteration on the
    monotone upwind scheme comes first: its answer is safe, with an error of order 1. Then the same iteration
    with differences of order 3, in which the equation of a feedback is solved by defect correction: the
    residual of order 3, through sweeps of the monotone equation. It converges by a factor of about two in
    each correction. Far from the answer the feedback is updated after every correction, which keeps errors
    at kinks from growing; while changes fall, more and more corrections follow an update.

    Parameters
    ----------
    hamiltonian : Hamiltonian
    grid : Grid
    tolerance : float
        Largest change that ends an iteration, relative to 1 + the largest value.
    mirrored : bool
        Whether v(−x) = v(x).
    report : callable, optional
        (iteration, largest value, change).
    keep : callable, optional
        Is given the state before each update.
    threads : int
        No result depends on it.

    Attributes
    ----------
    plain : ndarray of bool (total,)
        Nodes of the finest grid that were given back to order 1, after the run.
    """

    def __init__(
        self,
        hamiltonian: Hamiltonian,
        grid: Grid,
        tolerance: float,
        mirrored: bool,
        report: Report | None = None,
        keep: Callable[[State], None] | None = None,
        threads: int = 1,
    ) -> None:
        self.hamiltonian, self.grids, self.tolerance = hamiltonian, nested(grid), tolerance
        self.mirrored, self.report, self.keep = mirrored, report, keep
        self.updates, self.threads = 0, threads
        self.plain = np.zeros(0, dtype=np.bool_)

    def run(self, state: State | None = None) -> State:
        """Solve, or go on from a state."""
        state = State() if state is None else state
        while state.level < len(self.grids):
            grid = self.grids[state.level]
            scheme = Patches(self.hamiltonian, grid, self.mirrored, ORDER, self.threads)
            if state.phase == "monotone":
                if state.iteration == 0:
                    self._begin(state)
                self._monotone(scheme, state)
            self._accurate(scheme, state)
        return state

    def _begin(self, state: State) -> None:
        """Start a level: accurate values interpolated, monotone ones with half the last error."""
        grid = self.grids[state.level]
        if state.level == 0:
            state.values, state.start = np.zeros(grid.total), np.zeros(0)
            return
        coarse = self.grids[state.level - 1]
        monotone, accurate, _ = state.done[-1]
        state.start = onto(accurate, coarse, grid)
        state.values = state.start + 0.5 * onto(monotone - accurate, coarse, grid)

    def _monotone(self, scheme: Patches, state: State) -> None:
        values = state.values
        while state.iteration < POLICIES:
            self._save(state)
            feedback = scheme.policy(values, False)
            operator = scheme.operator(feedback)
            residual = scheme.residual(values, False, feedback)
            change = max(float(np.abs(r * o[1]).max()) for r, o in zip(residual, operator, strict=True))
            demand = self._demand(values)
            rounds = ROUNDS if state.level else 4 * ROUNDS
            values += scheme.correction(operator, residual, 0.1 * demand, rounds)
            state.leak = feedback[0].leak
            self._next(state, 0, change)
            if change < demand:
                break
        state.monotone, state.phase, state.iteration = values.copy(), "accurate", 0
        if not state.level or not state.done[-1][2]:
            state.start = state.monotone
        state.values = state.start.copy()

    def _accurate(self, scheme: Patches, state: State) -> None:
        """Correct to high order; nodes that do not settle go back to order 1, with their neighbours."""
        values = state.values
        if len(state.stencils) != len(values):  # the phase begins
            state.stencils = np.zeros(len(values), dtype=np.int8)
        scheme.use(state.stencils)
        change = np.inf
        while state.iteration < UPDATES * ATTEMPTS:
            self._save(state)
            if scheme.grid.zooms and state.iteration % UPDATES < KINKS:
                found = scheme.kinks(values, BEND * (1.0 + float(np.abs(values).max())))
                state.stencils = np.where(given_back(state.stencils), PLAIN, found).astype(np.int8)
                scheme.use(state.stencils)
            feedback = scheme.policy(values, True)
            operator = scheme.operator(feedback)
            before, change = values.copy(), 0.0
            for _ in range(_corrections(state)):
                residual = scheme.residual(values, True, feedback)
                step = scheme.correction(operator, residual, 0.0, 1)
                values += step
                moved = float(np.abs(step).max())
                change = max(change, moved)
                if not moved > self._demand(values):
                    break
            self._next(state, 1, change)
            demand = self._demand(before)
            if change <= demand:
                break
            if not change < GROWN * state.least or _stalled(state):
                self._give_back(scheme, state, before, demand)
            else:
                if change < state.least:
                    state.least, state.start = change, before
        settled = change <= self._demand(values)
        accurate = values if settled else state.monotone.copy()
        state.done.append((state.monotone, accurate, settled))
        self.plain = given_back(state.stencils)
        state.level, state.phase, state.iteration = state.level + 1, "monotone", 0
        state.stencils, state.least = np.zeros(0, dtype=np.int8), np.inf

    def _give_back(self, scheme: Patches, state: State, before: np.ndarray, demand: float) -> None:
        moved = np.nan_to_num(np.abs(state.values - before), nan=np.inf)
        state.stencils[scheme.around(moved > max(demand, 0.1 * state.least), SPREAD)] = PLAIN
        scheme.use(state.stencils)
        state.values[:] = state.start
        state.least = np.inf
        state.iteration += -state.iteration % UPDATES

    def _demand(self, values: np.ndarray) -> float:
        return self.tolerance * (1.0 + float(np.abs(values).max()))

    def _save(self, state: State) -> None:
        if self.keep is not None:
            self.keep(state)

    def _next(self, state: State, phase: int, change: float) -> None:
        state.history.append((state.level, phase, state.iteration, change))
        state.iteration += 1
        self.updates += 1
        if self.report is not None:
            self.report(self.updates, float(np.abs(state.values).max()), change)


def _stalled(state: State) -> bool:
    """Return whether the changes of this attempt have not fallen for long, or there were too many."""
    done = (state.iteration - 1) % UPDATES + 1
    changes = [change for *_, change in state.history[-done:]]
    return done == UPDATES or (done > STALLED and min(changes[-STALLED:]) >= min(changes[:-STALLED]))


def _corrections(state: State) -> int:
    """Return how many corrections follow the next update: one more each time the change falls."""
    last, count = 0.0, 1
    for level, phase, _, change in state.history:
        if level == state.level and phase == 1:
            count = min(count + 1, CORRECTIONS) if change < last else 1
            last = change
    return count
