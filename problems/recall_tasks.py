"""Tasks of adjoint learning: exclusive or with six neurons, sin and tanh with eight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ocnet.errors import OptionError
from ocnet.learning import AdditiveNetwork

SOURCE = (
    "J. Barhen, N. Toomarian and S. Gulati, Adjoint operator algorithms for faster learning in dynamical "
    "neural networks (NIPS 1989), section 5"
)
FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sin": np.sin,
    "tanh": np.tanh,
    "sine wave": lambda x: np.sin(np.pi * x),
}


@dataclass(frozen=True)
class RecallTask:
    """A network before learning, what it is to learn, and what it is asked afterwards; all dimensionless.

    Attributes
    ----------
    name : str
    network : AdditiveNetwork
        With random synapses, κ = γ = 1.
    inputs : ndarray (K, number of inputs)
    targets : ndarray (K, number of outputs)
    recall_inputs, recall_targets : ndarray (R, …)
        Other samples of the same mapping.
    source : str
    """

    name: str
    network: AdditiveNetwork
    inputs: np.ndarray
    targets: np.ndarray
    recall_inputs: np.ndarray
    recall_targets: np.ndarray
    source: str = SOURCE


def xor(rng: np.random.Generator, *, amplitude: float = 0.8, scale: float = 1.0) -> RecallTask:
    """Return exclusive or: 2 inputs, 2 hidden units, 1 output with self-feedback, 1 bias, feed-forward.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of the first synapses, uniform in [−scale, scale].
    amplitude : float
        False and true are −amplitude and amplitude, inside (0, 1).
    scale : float

    Notes
    -----
    The paper gives the number of neurons, the bias, "feedforward" and the self-feedback; that the inputs lead
    to the output too, as well as to the hidden units, is a choice made here.
    """
    if not 0 < amplitude < 1:
        raise OptionError(f"xor: amplitude is {amplitude}; expected a number inside (0, 1).")
    mask = np.zeros((6, 6), bool)
    mask[2:4, [0, 1, 5]] = True
    mask[4] = True  # from inputs, hidden units, itself and the bias
    inputs = amplitude * np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    targets = -np.sign(inputs[:, :1] * inputs[:, 1:]) * amplitude
    T = rng.uniform(-scale, scale, (6, 6))
    network = AdditiveNetwork(T, inputs=[0, 1], outputs=[4], bias=[5], mask=mask)
    return RecallTask("exclusive or", network, inputs, targets, inputs, targets)


def curve(
    function: Literal["sin", "tanh", "sine wave"],
    samples: int,
    rng: np.random.Generator,
    *,
    amplitude: float = 0.8,
    scale: float = 0.3,
    recall: int = 100,
) -> RecallTask:
    """Return a curve over [−1, 1] for eight fully connected units without bias.

    Parameters
    ----------
    function : {"sin", "tanh", "sine wave"}
        sin x, tanh x, or the full wave sin πx; all are odd, as is every answer of such a network. The paper
        says sin and tanh; the wave is an addition, and much harder.
    samples : int
        Random points x that are learned; the paper has 4 and 16.
    rng : numpy.random.Generator
        Of the samples, the first synapses (uniform in [−scale, scale]) and the recall points, in this order.
    amplitude : float
        Inputs are amplitude·x, targets amplitude·function(x); inside (0, 1).
    scale : float
    recall : int
        Random points at which recall is judged.
    """
    if function not in FUNCTIONS:
        raise OptionError(f"curve: function is {function!r}; expected one of {sorted(FUNCTIONS)}.")
    if not 0 < amplitude < 1 or samples < 1 or recall < 1:
        raise OptionError(
            f"curve: amplitude {amplitude}, samples {samples}, recall {recall}; expected an amplitude inside "
            "(0, 1) and at least one sample and one recall point."
        )
    x = rng.uniform(-1, 1, (samples, 1))
    T = rng.uniform(-scale, scale, (8, 8))
    z = rng.uniform(-1, 1, (recall, 1))
    f = FUNCTIONS[function]
    network = AdditiveNetwork(T, inputs=[0], outputs=[7])
    name, a = f"{function} from {samples} samples", amplitude
    return RecallTask(name, network, a * x, a * f(x), a * z, a * f(z))
