"""Landscapes of autonomous problems: equilibria, limit cycles, and the searches behind them."""
