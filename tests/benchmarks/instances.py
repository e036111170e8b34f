"""Problem data of the benchmarks: one family, size and seed give one instance (numpy only)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SynapticControl:
    """Drive u' = (A + xi) tanh(u) - u at least cost.

    Minimise the integral over [0, tf] of exp(-discount t) (motion |u'|^2 + effort |xi|^2); the end is free
    and |xi| <= bound.

    Attributes
    ----------
    A : (n, n) array
        Synapses of the free network.
    initial : (n,) array
        State at t = 0.
    bound : (n, n) array
        Largest |xi_ij|: ``present`` where A is not zero and ``silent`` where it is.
    """

    A: np.ndarray
    initial: np.ndarray
    bound: np.ndarray
    silent: float = 0.1
    present: float = 1.0
    motion: float = 1.0
    effort: float = 1.0
    discount: float = 0.5
    tf: float = 8.0

    @property
    def n(self):
        """Number of neurons."""
        return len(self.initial)


@dataclass(frozen=True)
class WeightProgram:
    """Steer L copies of x' = -x + W tanh(x), one W(t) for all, towards their targets.

    With G = tanh(z) and T the targets, minimise -z(tf).T plus the integral over [0, tf] of
    (-2 z.T + beta |T G'|^2 + |W|^2 / beta) / 2. The minimum is exactly -z(0).T.

    Attributes
    ----------
    inputs, targets : (n, L) arrays
        Outputs tanh(z) at t = 0, and what they should have been.
    """

    inputs: np.ndarray
    targets: np.ndarray
    beta: float = 0.5
    tf: float = 1.0

    @property
    def n(self):
        """Number of neurons."""
        return len(self.inputs)

    @property
    def initial(self):
        """Activations (n, L) at t = 0."""
        return np.arctanh(self.inputs)

    @property
    def optimal_cost(self):
        """Exact minimum of the continuous problem."""
        return -float(np.sum(self.initial * self.targets))


def synaptic_control(n, seed=0):
    """Return a random `SynapticControl` with n neurons; half of the synapses are silent."""
    rng = np.random.default_rng([seed, n])
    A = rng.normal(size=n * n) * 1.2 / np.sqrt(n)
    A[rng.permutation(n * n)[: n * n // 2]] = 0.0
    A = A.reshape(n, n)
    bound = np.where(A != 0.0, SynapticControl.present, SynapticControl.silent)
    return SynapticControl(A=A, initial=rng.normal(size=n), bound=bound)


def weight_program(n, seed=0, pairs=3):
    """Return a random `WeightProgram`; 3/16 of the inputs' signs are wrong, as in the paper (21 of 112)."""
    rng = np.random.default_rng([seed, n, pairs])
    targets = rng.choice([-1.0, 1.0], size=(n, pairs))
    inputs = 0.9 * targets.ravel()
    inputs[rng.permutation(n * pairs)[: n * pairs * 3 // 16]] *= -1.0
    return WeightProgram(inputs=inputs.reshape(n, pairs), targets=targets)


FAMILIES = {"synaptic_control": synaptic_control, "weight_program": weight_program}


def instance(family, n, seed=0):
    """Return the instance of that family ("synaptic_control" or "weight_program"), size and seed."""
    return FAMILIES[family](n, seed)
