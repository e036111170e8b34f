"""Roads to the optimum: each takes a Problem and returns arrays."""
