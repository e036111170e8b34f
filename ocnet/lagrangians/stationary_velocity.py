"""The velocity at which a convex function of the velocity is stationary, as a CasADi expression.

Where the equation is linear it is solved in symbols. Otherwise the iteration is part of the expression: a
bracketed Newton iteration for each component where the components do not mix, damped Newton steps where they
do. Where no root is found the result is NaN, never a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import casadi as ca

Road = Literal["linear", "separable", "coupled"]

BRACKETED = 120  # steps of one component: doublings, Newton steps and bisections in turn
DAMPED = 50  # steps of coupled components
TRIALS = 24  # lengths of a damped step that are tried: 1, 1/4, ...
ACCURACY = 1e-11  # of the residual, relative to the force
ROUNDING = 1e-13  # of the velocity, relative to 1 + |velocity|


def road(slope: ca.MX, qdot: ca.MX) -> Road:
    """Return how slope = force is solved for qdot: in symbols, component by component, or all together."""
    if not any(ca.which_depends(slope, qdot, 2, True)):
        return "linear"
    return "separable" if ca.jacobian_sparsity(slope, qdot).is_diag() else "coupled"


def stationary(slope: ca.MX, qdot: ca.MX, force: ca.MX, given: Sequence[ca.MX]) -> ca.MX:
    """Return the velocity (n, 1) at which slope(qdot) = force.

    Parameters
    ----------
    slope : casadi.MX (n, 1)
        Derivative with respect to qdot of a function that is convex in it.
    qdot : casadi.MX (n, 1)
        A symbol.
    force : casadi.MX (n, 1)
        Free of qdot; it is evaluated once, not at every step.
    given : sequence of casadi.MX
        The other symbols of the slope.

    Returns
    -------
    casadi.MX (n, 1)
        Free of qdot; NaN where no root was found, and no number at all where a linear equation is singular:
        CasADi then gives up. Derivatives are exact up to order 3. Where the curvature of the convex function
        vanishes at the root there is none, and 0 is given.
    """
    kind = road(slope, qdot)
    zero = ca.MX.zeros(*qdot.shape)
    if kind == "linear":
        matrix = ca.jacobian(slope, qdot)
        right = force - ca.substitute(slope, qdot, zero)
        return right / ca.diag(matrix) if matrix.sparsity().is_diag() else ca.solve(ca.densify(matrix), right)
    used = [s for s in given if ca.depends_on(slope, s)]
    jacobian = ca.jacobian(slope, qdot)
    curvature = ca.diag(jacobian) if kind == "separable" else ca.densify(jacobian)
    both = ca.Function("slope", [qdot, *used], [ca.densify(slope), ca.densify(curvature)])
    root = (_bracketed if kind == "separable" else _damped)(both, force, used)
    value, slopes = both(root, *used)
    residual, size = value - force, ca.fabs(force) + ca.fabs(both(zero, *used)[0])
    correction = (_ratio if kind == "separable" else _solved)(residual, slopes)
    if kind == "coupled":
        residual, size, correction = (ca.norm_2(a) for a in (residual, size, correction))
    speed = ca.norm_2(root) if kind == "coupled" else ca.fabs(root)
    # Either the equation holds, or rounding inside the slope alone keeps it from holding.
    close = ca.logic_and(correction != 0, ca.fabs(correction) <= ROUNDING * (1 + speed))
    found = ca.logic_or(ca.fabs(residual) <= ACCURACY * size, close)
    root = ca.stop_diff(root, 1)
    for _ in range(2):  # changes no digit; each step doubles the order up to which derivatives are exact
        value, slopes = both(root, *used)
        root = root - (_ratio if kind == "separable" else _solved)(value - force, slopes)
    return ca.if_else(found, root, float("nan"))


def _ratio(residual: ca.MX, curvature: ca.MX) -> ca.MX:
    flat = curvature == 0
    return ca.if_else(flat, 0, residual / ca.if_else(flat, 1, curvature))


def _solved(residual: ca.MX, matrix: ca.MX) -> ca.MX:
    step = _solve(matrix, residual)
    return ca.if_else(ca.norm_2(step) < 1e-6, step, ca.MX.zeros(*step.shape))


def _solve(matrix: ca.MX, right: ca.MX) -> ca.MX:
    """Solve with a matrix that may vanish at rest; what then comes out is judged by the caller."""
    return ca.solve(matrix + 1e-14 * ca.MX.eye(matrix.shape[0]), right, "qr", {"eps": 0.0})


def _bracketed(both: ca.Function, force: ca.MX, used: list[ca.MX]) -> ca.MX:
    """Each component lies on the side to which the force pushes it: its distance from rest is bracketed."""
    n = both.size1_in(0)
    names = ("low", "high", "x", "side", "push")
    low, high, x, side, push = (ca.MX.sym(name, n) for name in names)
    safely = ca.MX.sym("safely")
    value, curvature = both(side * x, *used)
    residual = side * (value - push)
    below = residual < 0  # False for NaN: beyond what a bounded velocity can reach
    at, to = ca.if_else(below, x, low), ca.if_else(below, high, x)
    middle = ca.if_else(to > 1e300, 2 * x, (at + to) / 2)
    newton = x - residual / curvature
    inside = ca.logic_and(ca.logic_and(newton > at, newton < to), ca.logic_not(safely))
    after = ca.if_else(residual == 0, x, ca.if_else(inside, newton, middle))
    step = ca.Function("step", [low, high, x, side, push, safely, *used], [at, to, after])
    pull = force - both(ca.MX.zeros(n, 1), *used)[0]
    direction = ca.if_else(pull < 0, -1, 1) * ca.MX.ones(n, 1)
    a, b, y = ca.MX.zeros(n, 1), ca.inf * ca.MX.ones(n, 1), ca.MX.ones(n, 1)
    for k in range(BRACKETED):
        a, b, y = step(a, b, y, direction, force, ca.MX(float(k % 3 == 2)), *used)
    return ca.if_else(pull == 0, 0, direction * y)


def _damped(both: ca.Function, force: ca.MX, used: list[ca.MX]) -> ca.MX:
    """Newton steps from rest, damped by the residual and shortened until the residual falls."""
    n = both.size1_in(0)
    x, push = ca.MX.sym("x", n), ca.MX.sym("push", n)
    value, matrix = both(x, *used)
    residual = value - push
    size = ca.norm_2(residual)
    direction = _solve(matrix + 1e-2 * ca.fmin(size, 1) * ca.MX.eye(n), residual)
    best, least = x, size
    for k in range(TRIALS):
        trial = x - 0.25**k * direction
        reached = ca.norm_2(both(trial, *used)[0] - push)
        better = reached < least
        best, least = ca.if_else(better, trial, best), ca.if_else(better, reached, least)
    step = ca.Function("step", [x, push, *used], [best])
    y = ca.MX.zeros(n, 1)
    for _ in range(DAMPED):
        y = step(y, force, *used)
    return y
