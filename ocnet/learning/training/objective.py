"""What training minimises: squared residuals up to a horizon and weight decay, of one vector."""

from __future__ import annotations

import numpy as np

from ocnet.errors import SimulationError
from ocnet.learning.neural_odes.neural_ode import NeuralODE
from ocnet.learning.neural_odes.samples import Samples


class Objective:
    """½Σ|x(t_i) − x_i|² + ½·decay·|θ|² of z = (θ, free initial states) over the samples up to a horizon.

    Parameters
    ----------
    model : NeuralODE
    samples : Samples
    decay : float
        Weight decay, in the squared unit of the states.
    free : bool
        Whether the initial states are learned too; `samples.initial` is then where they begin.
    tolerance : float
        Of the integration.
    """

    def __init__(
        self, model: NeuralODE, samples: Samples, decay: float, free: bool, tolerance: float
    ) -> None:
        self.model, self.samples, self.decay, self.free = model, samples, decay, free
        self.tolerance = tolerance
        self.start = np.full(len(samples.initial), samples.start)
        self.held = 0  # so many trajectories keep their initial states all the same
        self.evaluations = 0

    @property
    def parameters(self) -> int:
        """Number P of parameters; the rest of z are initial states."""
        return self.model.field.parameters

    def until(self, end: float, heavier: float = 1.0) -> Objective:
        """Return the objective over the samples up to a time, with so many times the weight decay."""
        cut = self.samples.until(end)
        return Objective(self.model, cut, heavier * self.decay, self.free, self.tolerance)

    def split(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return θ (P,) and the initial states (trajectories, n)."""
        theta, rest = z[: self.parameters], z[self.parameters :]
        return theta, rest.reshape(self.samples.initial.shape) if self.free else self.samples.initial

    def residuals(self, z: np.ndarray, tolerance: float | None = None) -> np.ndarray | None:
        """Return x(t_i) − x_i (trajectories, samples, n), or None where the model cannot be integrated."""
        theta, initial = self.split(z)
        self.evaluations += 1
        try:
            states = self.model.sweeps.forward(
                theta, self.start, initial, self.samples.times, tolerance or self.tolerance
            )
        except SimulationError:
            return None
        return self.samples.residuals(states)

    def cost(self, z: np.ndarray, residuals: np.ndarray | None) -> float:
        """Return the cost for given residuals; infinite where there are none."""
        if residuals is None:
            return np.inf
        theta = z[: self.parameters]
        return 0.5 * float(np.sum(residuals**2)) + 0.5 * self.decay * float(theta @ theta)

    def gradient(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the cost and its gradient by the reverse sweep; infinite and 0 where there is none."""
        residuals = self.residuals(z)
        if residuals is None:
            return np.inf, np.zeros(len(z))
        by_theta, by_initial = self.model.sweeps.reverse(residuals)
        by_theta = by_theta + self.decay * z[: self.parameters]
        whole = np.concatenate([by_theta, by_initial.reshape(-1)]) if self.free else by_theta
        if not np.isfinite(whole).all():
            return np.inf, np.zeros(len(z))
        return self.cost(z, residuals), whole

    def normal_equations(self, z: np.ndarray, residuals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return Gauss and Newton's JᵀJ and Jᵀr, decay included, at the point of the last residuals.

        J comes from forward sensitivities through the steps of that evaluation.
        """
        count, samples, n = residuals.shape
        size, p = len(z), self.parameters
        jacobian = np.where(self.samples.observed[..., None], self.model.sweeps.jacobian(), 0.0)
        rows = jacobian.reshape(count, samples * n, p + n)
        r = residuals.reshape(count, samples * n)
        matrix, slope = np.zeros((size, size)), np.zeros(size)
        flat = rows[:, :, :p].reshape(-1, p)
        matrix[:p, :p] = flat.T @ flat
        slope[:p] = flat.T @ r.reshape(-1)
        if self.free:
            for b in range(count):
                own = slice(p + b * n, p + (b + 1) * n)
                if b < self.held:
                    matrix[own, own] = np.eye(n)
                    continue
                matrix[own, own] = rows[b, :, p:].T @ rows[b, :, p:]
                matrix[own, :p] = rows[b, :, p:].T @ rows[b, :, :p]
                matrix[:p, own] = matrix[own, :p].T
                slope[own] = rows[b, :, p:].T @ r[b]
        matrix[range(p), range(p)] += self.decay
        slope[:p] += self.decay * z[:p]
        return matrix, slope
