"""Gradient of a neural ODE by torchdiffeq: dopri8 and backpropagation through the solver."""

import itertools

import neural_ode_protocol as protocol

MODULES = ("torch", "torchdiffeq")


def prepare(case):
    """Return a function tolerance -> function θ -> (loss, gradient)."""
    import torch
    from torchdiffeq import odeint

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    sizes = case["sizes"]
    times = torch.tensor([0.0, *case["times"]])
    targets, initial = torch.tensor(case["targets"]), torch.tensor(case["initial"])

    def at_tolerance(tolerance):
        def gradient(values):
            theta = torch.tensor(values, requires_grad=True)

            def rate(t, x):
                at = 0
                for l, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
                    W = theta[at : at + fan_in * fan_out].reshape(fan_out, fan_in)
                    b = theta[at + fan_in * fan_out : at + fan_in * fan_out + fan_out]
                    at += fan_in * fan_out + fan_out
                    x = W @ x + b
                    if l < len(sizes) - 2:
                        x = torch.tanh(x)
                return x

            found = odeint(rate, initial, times, rtol=tolerance, atol=tolerance, method="dopri8")
            loss = 0.5 * ((found[1:] - targets) ** 2).sum()
            loss.backward()
            return loss.item(), theta.grad.numpy()

        return gradient

    return at_tolerance


if __name__ == "__main__":
    protocol.main(prepare, MODULES)
