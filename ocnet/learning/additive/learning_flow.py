"""Learning by following −τ∇E: the adaptive time scale (4.5), the plain flow, and L-BFGS to compare."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import BDF, Radau
from scipy.optimize import minimize

from ocnet.checkpoint_files import check_folder
from ocnet.errors import OptionError, ProblemError, SimulationError, SolveError
from ocnet.learning.additive.kernels import NEWTON
from ocnet.learning.additive.learned import CURVES, Learned
from ocnet.learning.additive.network import AdditiveNetwork, EnergyGradient
from ocnet.learning.additive.terminal_attractors import implicit_method
from ocnet.progress import Report, live

Method = Literal["adaptive", "plain", "L-BFGS"]
Visit = Callable[[np.ndarray, float], bool]  # (p, time) -> whether to stop

STATIONARY = 1e-7  # |∇E| at which nothing more is learned
BRANCH = 1e-6  # distance between the fixed point followed and the one reached from u = 0
RESTARTS = 8  # without an accepted step in between
LARGEST = 5.0  # |ln κ|, |ln γ| in L-BFGS: its long steps otherwise saturate units for good
BETWEEN = 20.0  # seconds between checkpoints


def learn(
    network: AdditiveNetwork,
    inputs: ArrayLike,
    targets: ArrayLike,
    *,
    method: Method = "adaptive",
    rate: float = 1.0,
    tolerance: float = 5e-3,
    iterations: int = 500,
    integrator: str = "BDF",
    rtol: float = 1e-3,
    validation: tuple[ArrayLike, ArrayLike] | None = None,
    patience: int = 50,
    resume: Learned | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Learned:
    """Learn synapses, decay and gain from samples.

    The parameters are p = (T where the mask is True, ln κ, ln γ); the logarithms keep κ and γ positive, and E
    falls along the flow in them as it does in κ and γ. "adaptive" follows ṗ = −χ|∇E|^(−2/3) ∇E, which brings
    |∇E| to 0 in finite time where E is strongly convex, "plain" ṗ = −χ∇E. Both are stiff, and the former is
    not Lipschitz at its end, so that only implicit integrators are taken.

    Parameters
    ----------
    network : AdditiveNetwork
        Where it starts; it is not changed.
    inputs : array_like (K, len(S_X))
    targets : array_like (K, len(S_Y))
    method : {"adaptive", "plain", "L-BFGS"}
    rate : float
        χ, positive; it rescales the flow's time and nothing else.
    tolerance : float
        Of the root-mean-square error of input and output units, at which it stops.
    iterations : int
        Accepted steps after which it gives up.
    integrator : {"BDF", "Radau"}
        Of the flow.
    rtol : float
        Relative and absolute demand on each step of the flow. The path matters little, only its end.
    validation : (inputs, targets), optional
        Samples that are not learned: the network with the least error of outputs on them is returned, and it
        stops when `patience` iterations brought no better one.
    patience : int
    resume : Learned, optional
        Go on from there, its network and history; `network` may be the same.
    checkpoint : path, optional
        A file that is written every 20 seconds and at the end; read it by ``Learned.load``.
    progress : bool
        Show a live line.

    Returns
    -------
    Learned
        An interrupt (Ctrl-C) ends the iteration, not the program: what was learned is returned.

    Raises
    ------
    OptionError
        For unknown methods, explicit integrators (with the reason), and options out of range.
    SolveError
        If the first network has no fixed point for a sample.
    StorageError
        If the folder of `checkpoint` is missing or cannot be written to; it is looked for before learning.

    Notes
    -----
    Barhen, Toomarian and Gulati (NIPS 1989), equations 3.7 and 4.1 to 4.5. After each step the fixed points
    are found anew from u = 0; where they are not those that were followed (a fold was passed), the flow
    starts afresh on the new ones.
    """
    where = "learn"
    if method not in ("adaptive", "plain", "L-BFGS"):
        raise OptionError(f"{where}: method is {method!r}; expected 'adaptive', 'plain' or 'L-BFGS'.")
    implicit_method(integrator, f"{where}, integrator")
    for name, value in (("rate", rate), ("tolerance", tolerance), ("rtol", rtol)):
        if not isinstance(value, (int, float, np.integer, np.floating)) or not 0 < value < np.inf:
            raise OptionError(f"{where}: {name} is {value!r:.60}; expected a positive number.")
    for name, value in (("iterations", iterations), ("patience", patience)):
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise OptionError(f"{where}: {name} is {value!r:.60}; expected a whole number, at least 1.")
    check_folder(checkpoint, where)
    first = network if resume is None else resume.network
    shape = (network.n, network.inputs, network.outputs, network.bias, network.order)
    if (first.n, first.inputs, first.outputs, first.bias, first.order) != shape:
        raise ProblemError(f"{where}: resume holds a network of another kind; expected one like `network`.")
    session = _Session(first, inputs, targets, rate, validation, tolerance, patience)
    if resume is not None:
        session.curves = {name: list(resume.history[name]) for name in CURVES}
        session.evaluations = int(session.curves["evaluations"][-1])
    status, saved = "no fixed point", time.monotonic()
    with live(where, progress, "worst error") as report:
        count = 0

        def visit(p: np.ndarray, t: float) -> bool:
            nonlocal status, saved, count
            session.record(p, t, report)
            if checkpoint is not None and time.monotonic() - saved > BETWEEN:
                session.result("interrupted", method).save(checkpoint)
                saved = time.monotonic()
            ended = session.ended() or ("iterations" if count == iterations else None)
            status = ended or "stationary"  # what it is if the method finds no further step
            count += 1
            return ended is not None

        start = first_coordinates(first)
        try:
            if not visit(start, 0.0):
                if method == "L-BFGS":
                    _descend(session, start, iterations, visit)
                else:
                    _follow(session, start, method, BDF if integrator == "BDF" else Radau, rtol, visit)
        except KeyboardInterrupt:
            if count == 0:
                raise
            status = "interrupted"
        except (SolveError, SimulationError):
            if count == 0:
                raise
            status = "no fixed point"
    result = session.result(status, method)
    if checkpoint is not None:
        result.save(checkpoint)
    return result


def first_coordinates(network: AdditiveNetwork) -> np.ndarray:
    """Return p = (T where the mask is True, ln κ, ln γ) of a network."""
    return np.concatenate([network.T[network.mask], np.log(network.decay), np.log(network.gain)])


class _Session:
    """The samples, the energy in the coordinates p, and the curves."""

    def __init__(
        self,
        network: AdditiveNetwork,
        inputs: ArrayLike,
        targets: ArrayLike,
        rate: float,
        validation: tuple[ArrayLike, ArrayLike] | None,
        tolerance: float,
        patience: int,
    ) -> None:
        self.network, self.rate = network, rate
        self.inputs, self.targets = inputs, targets
        self.a = network.attractors(inputs, targets)
        self.validation = None if validation is None else network.attractors(*validation)
        self.tolerance, self.patience = tolerance, patience
        self.curves: dict[str, list[float]] = {name: [] for name in CURVES}
        self.evaluations = 0
        self.best = (np.inf, 0, network)
        self.visible = self.a.shape[0] * (len(network.inputs) + len(network.outputs))

    def at(self, p: np.ndarray) -> AdditiveNetwork:
        """Return the network with parameters p."""
        mask, n = self.network.mask, self.network.n
        T = np.zeros((n, n))
        T[mask] = p[: -2 * n]
        return self.network.moved(T, np.exp(p[-2 * n : -n]), np.exp(p[-n:]))

    def gradient(self, p: np.ndarray, y: np.ndarray | None = None) -> tuple[EnergyGradient, np.ndarray]:
        """Return energy and gradient in p, at the fixed points near y or reached from u = 0."""
        network = self.at(p)
        with np.errstate(all="ignore"):
            found, _ = network.settled(self.a, y, 1.0 if y is None else NEWTON)
        g = network.gradient_at(found, self.a)
        return g, np.concatenate([g.T[network.mask], g.decay * network.decay, g.gain * network.gain])

    def record(self, p: np.ndarray, t: float, report: Report | None) -> None:
        """Append to the curves what holds at p, judged at the fixed points that are reached from u = 0."""
        g, slope = self.gradient(p)
        self.network = network = self.at(p)
        n, size = network.n, float(np.linalg.norm(slope))
        row = {
            "error": float(np.sqrt(2 * g.energy / self.visible)),
            "energy": g.energy,
            "worst": g.worst,
            "worst_input": float(np.abs(g.rest - self.a)[:, network.inputs].max()),
            "time_scale": self.rate * size ** (-2 / 3) if size else np.inf,
            "time": t,
            "gradient_T": float(np.linalg.norm(slope[: -2 * n])),
            "gradient_decay": float(np.linalg.norm(slope[-2 * n : -n])),
            "gradient_gain": float(np.linalg.norm(slope[-n:])),
            "evaluations": self.evaluations,
            "validation": self._validate(network),
        }
        for name, value in row.items():
            self.curves[name].append(float(value))
        self.slope = size
        if report is not None:
            report(len(self.curves["error"]) - 1, g.energy, g.worst)

    def _validate(self, network: AdditiveNetwork) -> float:
        if self.validation is None:
            return np.nan
        outputs = list(network.outputs)
        try:
            u = network.settled(self.validation)[1]
        except SolveError:
            return np.inf
        error = float(np.sqrt(np.mean((u - self.validation)[:, outputs] ** 2)))
        if error < self.best[0]:
            self.best = (error, len(self.curves["error"]), network)
        return error

    def ended(self) -> str | None:
        """Say why it should stop, if it should."""
        if self.curves["error"][-1] <= self.tolerance:
            return "learned"
        if self.validation is not None and len(self.curves["error"]) - 1 - self.best[1] >= self.patience:
            return "patience"
        return "stationary" if self.slope < STATIONARY else None

    def result(self, status: str, method: str) -> Learned:
        """Return what was learned; success is judged by the dynamics."""
        network = self.best[2] if self.validation is not None and np.isfinite(self.best[0]) else self.network
        message = _MESSAGES[status]
        success = False
        if status in ("learned", "patience"):
            try:
                gap = network.rest(self.inputs, method="BDF") - self.a
                shown = gap[:, [*network.inputs, *network.outputs]]
                success = bool(np.sqrt(np.mean(shown**2)) <= 1.01 * self.tolerance)
            except (SolveError, SimulationError) as error:
                message = str(error)
            if status == "learned" and not success:
                status, message = "unreached", _MESSAGES["unreached"]
        history = {name: np.array(values) for name, values in self.curves.items()}
        return Learned(network.replaced(), success, status, message, method, history)


_MESSAGES = {
    "learned": "the error is within the tolerance at the fixed points that the dynamics reach.",
    "stationary": "no further descent before the error was within the tolerance: a local minimum.",
    "iterations": "the iterations were used up before the error was within the tolerance.",
    "patience": "the error on the validation set fell no further; the network with the least is returned.",
    "interrupted": "interrupted; resume=... goes on from here.",
    "no fixed point": "a step led to a network without fixed points for all samples.",
    "unreached": "fixed points within the tolerance exist, but the dynamics do not reach them from u = 0.",
}


def _follow(
    session: _Session, p: np.ndarray, method: str, scheme: Callable[..., Any], rtol: float, visit: Visit
) -> None:
    """Take accepted steps of the flow; the integrator starts afresh where a fixed point disappears."""
    t, step, failures = 0.0, None, 0
    while True:
        near = [session.at(p).settled(session.a)[0]]

        def velocity(_: float, q: np.ndarray, near: list[np.ndarray] = near) -> np.ndarray:
            session.evaluations += 1
            slope = session.gradient(q, near[0])[1]
            size = np.linalg.norm(slope)
            if method == "plain" or size == 0:
                return -session.rate * slope
            return -session.rate * slope * size ** (-2 / 3)

        try:
            with np.errstate(all="ignore"):
                solver = scheme(velocity, t, p, np.inf, rtol=rtol, atol=rtol, first_step=step)
            while True:
                with np.errstate(all="ignore"):
                    message = solver.step()
                if message is not None:
                    raise SolveError("the step of the flow became too small")
                p, t, step, failures = np.array(solver.y), float(solver.t), None, 0
                if visit(p, t):
                    return
                network = session.at(p)
                found, u = network.settled(session.a)
                v = network.settled(session.a, near[0], NEWTON)[1]
                near[0] = found
                if np.abs(u - v).max() > BRANCH:
                    break  # the branch that was followed is no longer the one reached from u = 0
        except (SolveError, ValueError) as error:  # ValueError: a factorisation of NaN inside the integrator
            failures += 1
            step = 1e-3 * 0.1**failures
            if failures > RESTARTS:
                raise SolveError(f"learn: {error}; no step from t = {t:.6g} succeeded.") from error


def _descend(session: _Session, p: np.ndarray, iterations: int, visit: Visit) -> None:
    """Take the iterations of L-BFGS."""
    n = session.network.n
    bounds = [(None, None)] * (len(p) - 2 * n) + [(-LARGEST, LARGEST)] * (2 * n)
    count = 0

    def cost(q: np.ndarray) -> tuple[float, np.ndarray]:
        session.evaluations += 1
        try:
            g, slope = session.gradient(q)
        except SolveError:
            return 1e10, np.zeros(len(q))  # the line search turns back
        return g.energy, slope

    def after(intermediate_result: Any) -> None:
        nonlocal count
        count += 1
        if visit(np.array(intermediate_result.x), float(count)):
            raise StopIteration

    options = {"maxiter": iterations, "maxfun": 20 * iterations, "ftol": 1e-15, "gtol": 1e-9}
    minimize(cost, p, jac=True, method="L-BFGS-B", bounds=bounds, callback=after, options=options)
