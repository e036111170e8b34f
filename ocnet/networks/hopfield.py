"""Hopfield's network of graded neurons, as a problem without a cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import casadi as ca
import numpy as np
from numpy.typing import ArrayLike

from ocnet.errors import OptionError, ShapeError
from ocnet.horizon import Discounted, Steps
from ocnet.networks.activations import ActivationLike
from ocnet.networks.activations import activation as resolve
from ocnet.networks.arguments import checked_matrix
from ocnet.problem import Problem
from ocnet.symbols import as_data, as_expression

Weights = Callable[[Any], Any]


def hopfield(
    T: ArrayLike | Weights,
    n: int | None = None,
    *,
    activation: ActivationLike = "tanh",
    threshold: ArrayLike = 0.0,
    discrete: bool = False,
) -> Problem:
    """Return the network u̇ = T V − u with outputs V = g(u − a), or u_{k+1} = T V_k in discrete time.

    Parameters
    ----------
    T : array_like (N, N) or callable
        Synapses, dimensionless; T[i, j] leads from neuron j to neuron i, and they need not be symmetric. A
        callable V -> (N, N) gives synapses that depend on the outputs, such as :class:`Krotov`'s.
    n : int, optional
        Number of neurons; needed if T is callable.
    activation : str or Activation
        g, see :mod:`ocnet.networks`.
    threshold : array_like (N,) or float
        a, dimensionless. As g tends to a step at 0, V becomes that of :class:`BinaryHopfield`.
    discrete : bool
        Whether time counts steps.

    Returns
    -------
    Problem
        State "u" (N). It has no cost, no initial value and no end of its own (its horizon is infinite, at a
        rate without meaning): it is there for :func:`ocnet.simulate`, :func:`ocnet.landscape` and
        :func:`ocnet.limit_cycle`. The unit of time is the time constant of a neuron.

    Raises
    ------
    ShapeError, DataError
        If T is no finite square matrix, or the threshold does not fit it.
    OptionError
        For an unknown activation, or a callable T without `n`.

    Notes
    -----
    J. J. Hopfield, PNAS 81 (1984); the vector field X(u) of Cardin, Lovison, Maritan and Megighian
    (arXiv 2305.14360).

    Examples
    --------
    >>> import ocnet as oc
    >>> network = oc.networks.hopfield([[0.0, 2.0], [2.0, 0.0]])
    >>> path = oc.simulate(network, initial=[0.4, -0.1], tf=100.0, until=1e-9)
    >>> print(path.states["u"][-1].round(6))
    [1.915008 1.915008]
    """
    weights, n = checked_weights(T, n, "hopfield")
    a = as_data(threshold, (n,), "hopfield: threshold")
    g = resolve(activation)
    made = Problem(f"Hopfield network (N = {n})", Steps(None, discount=1.0) if discrete else Discounted(1.0))
    u = made.state("u", n)
    V = g(u - a if a.any() else u)
    drive = ca.mtimes(as_expression(weights(V), "hopfield: T(V)"), V)
    made.dynamics(u, drive if discrete else drive - u)
    return made


def checked_weights(T: Any, n: int | None, where: str) -> tuple[Weights, int]:
    """Return synapses as a function of the outputs, and the number of neurons; errors as in hopfield."""
    if not callable(T):
        matrix = checked_matrix(T, f"{where}: T", expected="a square matrix (N, N)")
        if matrix.shape[0] != matrix.shape[1] or n not in (None, len(matrix)):
            wanted = "a square matrix (N, N)" if n is None else f"({n}, {n})"
            raise ShapeError(f"{where}: T has shape {matrix.shape}; expected {wanted}.")
        constant = ca.sparsify(ca.DM(matrix))
        return (lambda V: constant), len(matrix)
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
        raise OptionError(
            f"{where}: n is {n!r}; a T that depends on the outputs needs the number of neurons as n=..."
        )
    try:
        shape = as_expression(T(ca.MX.sym("V", int(n))), f"{where}: T(V)").shape
    except Exception as error:  # whatever a person's function raises
        raise OptionError(
            f"{where}: T(V) fails on CasADi symbols ({type(error).__name__}: {error}); write it with "
            "ca.diag, ca.mtimes, ca.tanh, ..."
        ) from error
    if shape != (n, n):
        raise ShapeError(f"{where}: T(V) has shape {shape}; expected ({n}, {n}).")
    weights: Weights = T
    return weights, int(n)
