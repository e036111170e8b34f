"""The Hamilton-Jacobi-Bellman road: the value function of problems with few states, on grids."""
