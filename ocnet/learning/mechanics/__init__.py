"""Mechanics that is learned: a network is the energy or the Lagrangian of a system."""
