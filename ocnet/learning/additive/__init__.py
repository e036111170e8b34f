"""The additive network with terminal attractors: fixed points, exact gradients, the learning flow."""
