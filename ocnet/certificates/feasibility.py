"""Does a solution do what it says? Its states integrated again, its bounds, ends and constraints."""

from __future__ import annotations

import numpy as np

from ocnet.certificates.subject import PLACES, Subject, integrate_all
from ocnet.errors import OcnetError
from ocnet.horizon import FreeTime
from ocnet.pointwise import Pointwise, evaluate
from ocnet.simulate import simulate
from ocnet.trajectory import Trajectory

# ---------------------------------------------------------------------- resimulation


def resimulation(subject: Subject) -> float:
    """Return the largest error of the states when each interval is integrated again from its own start."""
    labels = subject.functions.labels("state")
    if subject.discrete:
        k, x = subject.x.time[:-1], subject.x.values
        again = evaluate(subject.running, k, x[:-1], subject.controls(k), subject.q, subject.parameters)[0]
        error = np.abs(again - x[1:]) / (1 + np.abs(x[1:]))
        if error.size:
            worst = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
            subject.attained("resimulation_error", labels[worst[1]], k[worst[0]] + 1)
        return float(error.max(initial=0.0))
    places, h = PLACES[2::2], subject.h[:, None]

    def rhs(s: float, x: np.ndarray) -> np.ndarray:
        return h * subject.rhs(subject.times(s), x, subject.U(s))[0]

    start = subject.X(0.0)
    again = integrate_all(subject, rhs, start, places, lambda s, x: subject.block_jacobian(s, x))
    if again is None:
        subject.notes.append(
            "Integrating an interval again from its own start failed: the dynamics escape there."
        )
        return float("inf")
    largest = -1.0
    for s, found in zip(places, again, strict=True):
        stored = [subject.X(s)] + ([np.vstack([start[1:], subject.X(1.0)[-1:]])] if s == 1 else [])
        for x in stored:
            error = np.abs(found - x) / (1 + np.abs(x))
            worst = np.unravel_index(np.argmax(error), error.shape)
            if error[worst] > largest:
                largest = float(error[worst])
                subject.attained("resimulation_error", labels[worst[1]], subject.times(s)[worst[0]])
    return largest


def whole_path(subject: Subject) -> tuple[float, float]:
    """Return path error and growth: of the path from the first state alone, and of a change of that."""
    functions, start = subject.functions, subject.end_states()[0]
    times = subject.x.time if subject.discrete else np.concatenate([subject.times(s) for s in PLACES[::4]])
    schedule = None
    if subject.u is not None:
        layout = [(v.name, v.shape) for v in functions.controls]
        schedule = Trajectory(subject.problem.name, "", subject.x, subject.u, [], layout)

    def follow(initial: np.ndarray) -> np.ndarray:
        path = simulate(
            subject.problem, schedule=schedule, initial=functions.unpack(initial, "state"), tf=subject.t1,
            parameters=functions.unpack(subject.parameters, "parameter"),
            unknowns=functions.unpack(subject.q, "unknown"), rtol=subject.rtol, atol=subject.rtol,
            integrator="Radau" if not subject.discrete and subject.stiff else "DOP853",
        )  # fmt: skip
        return path.x(times)

    stored = subject.x(times)
    try:
        path = follow(start)
    except OcnetError as error:
        reason = str(error).split(" The integrator says:")[0]
        subject.notes.append(f"The whole path could not be integrated from its first state: {reason}")
        return float("inf"), float("nan")
    relative = np.abs(path - stored) / (1 + np.abs(stored))
    worst = np.unravel_index(np.argmax(relative), relative.shape)
    subject.attained("path_error", functions.labels("state")[worst[1]], times[worst[0]])
    size = 1e-7 * (1 + np.abs(start))
    signs = np.where(np.random.default_rng(0).random(functions.nx) < 0.5, -1.0, 1.0)
    try:
        growth = float(np.max(np.abs(follow(start + signs * size) - path) / size.max()))
    except OcnetError:
        growth = float("inf")
    return float(relative[worst]), max(growth, 1.0)


# ---------------------------------------------------------------------- bounds, ends and constraints


def violation(subject: Subject) -> tuple[float, float]:
    """Return the worst violation of a bound, an end or a constraint, anywhere and at the points alone.

    Both are relative to 1 + |bound|. The points are where states and controls are stored.
    """
    points = _Worst(subject)
    _at_points(subject, points)
    _at_ends(subject, points)
    worst = _Worst(subject)
    if not subject.discrete:
        _between(subject, worst)
        if worst.size > 1e-6 and points.size < 0.01 * worst.size:
            subject.notes.append(
                "Bounds or constraints are exceeded between the points: a polynomial overshoots where a "
                "control jumps or a bound is met inside an interval; a finer mesh narrows it."
            )
    worst.take(points)
    if worst.size > 0:
        subject.attained("bound_violation", worst.label, worst.time)
        subject.attained("point_violation", points.label, points.time)
    return worst.size, points.size


def _at_points(subject: Subject, worst: _Worst) -> None:
    """Look at all stored states and controls, and at path constraints where the control is stored."""
    functions, b = subject.functions, subject.bounds
    worst.look(subject.x.values, b.x_lower, b.x_upper, functions.labels("state"), subject.x.time)
    t = subject.x.time
    if subject.u is not None:
        t = subject.u.time
        worst.look(subject.u.values, b.u_lower, b.u_upper, functions.labels("control"), t)
    elif subject.discrete:
        t = t[:-1]
    if functions.path.nnz_out(0):
        x = subject.x(t)
        u = subject.u.values if subject.u is not None else np.zeros((len(t), 0))
        dx = evaluate(subject.running, t, x, u, subject.q, subject.parameters)[0] - (
            x if subject.discrete else 0
        )
        values = evaluate(functions.path, t, x, dx, u, subject.q, subject.parameters)[0]
        worst.look(values, *b.constraints["path"], functions.constraint_labels("path"), t)


def _between(subject: Subject, worst: _Worst) -> None:
    """Look at bounds and path constraints at many places of all intervals."""
    functions, b = subject.functions, subject.bounds
    path = Pointwise(functions.path, subject.K, {4: subject.q, 5: subject.parameters})
    for s in PLACES:
        t, x, u = subject.times(s), subject.X(s), subject.U(s)
        worst.look(x, b.x_lower, b.x_upper, functions.labels("state"), t)
        worst.look(u, b.u_lower, b.u_upper, functions.labels("control"), t)
        if functions.path.nnz_out(0):
            values = path(t, x, subject.rhs(t, x, u)[0], u)[0]
            worst.look(values, *b.constraints["path"], functions.constraint_labels("path"), t)


def _at_ends(subject: Subject, worst: _Worst) -> None:
    """Look at prescribed ends, constraints at the ends, unknown constants and a free final time."""
    functions, b, horizon = subject.functions, subject.bounds, subject.problem.horizon
    first, last = subject.end_states()
    for place, t, x in (("initial", subject.t0, first), ("final", subject.t1, last)):
        prescribed = b.initial if place == "initial" else b.final
        ends, time = np.where(np.isnan(prescribed), x, prescribed), np.array([t])
        worst.look(x[None], ends, ends, [f"{place} {label}" for label in functions.labels("state")], time)
        function = functions.initial if place == "initial" else functions.final
        if function.nnz_out(0):
            values = np.array(function(*subject.everything(t, x))).reshape(1, -1)
            worst.look(values, *b.constraints[place], functions.constraint_labels(place), time)
    worst.look(subject.q[None], b.q_lower, b.q_upper, functions.labels("unknown"), np.array([subject.t0]))
    if isinstance(horizon, FreeTime):
        low, high, end = (np.array([v]) for v in (horizon.lower, horizon.upper, subject.t1))
        worst.look(end[None], low, high, ["the final time"], end)


class _Worst:
    """The worst of many violations, and where it was."""

    def __init__(self, subject: Subject) -> None:
        self.size, self.label, self.time = 0.0, "", subject.t0

    def look(
        self, values: np.ndarray, low: np.ndarray, high: np.ndarray, labels: list[str], times: np.ndarray
    ) -> None:
        """Take (points, n) values, (n,) bounds, names of the components and (points,) times into account."""
        for bound, excess in ((low, low - values), (high, values - high)):
            with np.errstate(invalid="ignore"):
                relative = np.where(np.isfinite(bound), excess / (1 + np.abs(bound)), 0.0)
            if relative.size and relative.max() > self.size:
                row, column = np.unravel_index(np.argmax(relative), relative.shape)
                self.size, self.label, self.time = (
                    float(relative[row, column]),
                    labels[column],
                    float(times[row]),
                )

    def take(self, other: _Worst) -> None:
        """Take what another one has found into account."""
        if other.size > self.size:
            self.size, self.label, self.time = other.size, other.label, other.time
