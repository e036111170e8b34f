"""Dynamics that a Lagrangian makes: ready descents, their velocities, and what they do in numbers."""
