"""Gradient of a neural ODE by ocnet: order 8, dense output, reverse sweep through the steps."""

import neural_ode_protocol as protocol

MODULES = ("numpy", "ocnet.learning")


def prepare(case):
    """Return a function tolerance -> function θ -> (loss, gradient)."""
    from ocnet import learning
    from ocnet.learning.neural_odes.compiled import meanwhile

    if "until" not in case:
        meanwhile.limit = 0.0  # compiles at once: only compiled loops are to be measured
    model = learning.NeuralODE(learning.layers(case["sizes"]))
    samples = learning.Samples(case["times"], case["targets"], case["initial"])
    return lambda tolerance: lambda theta: model.gradient(theta, samples, tolerance=tolerance)


if __name__ == "__main__":
    protocol.main(prepare, MODULES)
