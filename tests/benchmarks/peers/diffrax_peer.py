"""Gradient of a neural ODE by diffrax: Dopri8, values by its dense output, checkpointed reverse mode."""

import itertools

import neural_ode_protocol as protocol

MODULES = ("jax", "diffrax")


def prepare(case):
    """Return a function tolerance -> function θ -> (loss, gradient)."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    sizes, times, targets = case["sizes"], jnp.array(case["times"]), jnp.array(case["targets"])
    initial = jnp.array(case["initial"])

    def rate(t, x, theta):
        at = 0
        for l, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            W = theta[at : at + fan_in * fan_out].reshape(fan_out, fan_in)
            b = theta[at + fan_in * fan_out : at + fan_in * fan_out + fan_out]
            at += fan_in * fan_out + fan_out
            x = W @ x + b
            if l < len(sizes) - 2:
                x = jnp.tanh(x)
        return x

    def at_tolerance(tolerance):
        def loss(theta):
            found = diffrax.diffeqsolve(
                diffrax.ODETerm(rate),
                diffrax.Dopri8(),
                0.0,
                case["times"][-1],
                None,
                initial,
                theta,
                saveat=diffrax.SaveAt(ts=times),
                stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
                adjoint=diffrax.RecursiveCheckpointAdjoint(),
                max_steps=4096,
            )
            return 0.5 * jnp.sum((found.ys - targets) ** 2)

        compiled = jax.jit(jax.value_and_grad(loss))

        def gradient(theta):
            value, slope = compiled(theta)
            return value.block_until_ready(), slope.block_until_ready()

        return gradient

    return at_tolerance


if __name__ == "__main__":
    protocol.main(prepare, MODULES)
