"""Responses at fixed points φ(u, p) = 0: one transposed solve for all gradients."""
