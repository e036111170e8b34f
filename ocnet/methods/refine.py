"""Where and how to refine a mesh: higher degree where the solution is smooth, halves where it is not."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre

from ocnet.methods.mesh import Mesh

MAX_DEGREE = 9
SMOOTH = 0.6  # decay per degree, below which a solution counts as smooth


def smoothness(mesh: Mesh, controls: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Estimate the factor by which the Legendre coefficients decay from degree to degree.

    Parameters
    ----------
    mesh : Mesh
    controls : ndarray (points, nu)
    states : ndarray (nodes, nx)

    Returns
    -------
    ndarray (K,)
        The slowest decay among the quantities that matter on each interval; 0 where all of them are constant.
    """
    decay = np.zeros(mesh.size)
    for s, intervals in mesh.groups():
        for positions, values, first in (
            (s.points, controls, mesh.first_point),
            (s.nodes, states, mesh.first_node),
        ):
            degree = len(positions) - 1
            if degree < 2 or not values.size:
                continue
            inverse = np.linalg.inv(legendre.legvander(2 * positions - 1, degree))
            local = values[first[intervals, None] + np.arange(degree + 1)]
            coefficients = np.abs(np.einsum("ij,kjn->kin", inverse, local))
            size = 1 + np.abs(values).max(axis=0)
            largest = (coefficients / size).max(axis=2)  # over the components, for each degree
            last, lead = largest[:, -1], largest[:, 1:-1].max(axis=1)
            ratio = np.where(last > 1e-9, (last / np.maximum(lead, 1e-300)) ** (1 / (degree - 1)), 0.0)
            decay[intervals] = np.maximum(decay[intervals], ratio)
    return decay


def refine(mesh: Mesh, errors: np.ndarray, demand: float, decay: np.ndarray) -> Mesh:
    """Return a nested mesh on which the errors should meet the demand.

    Parameters
    ----------
    mesh : Mesh
    errors : ndarray (K,)
        Estimated errors; infinite means "halve in any case".
    demand : float
    decay : ndarray (K,)
        From :func:`smoothness`.

    Returns
    -------
    Mesh
        Intervals that already meet the demand are kept as they are.
    """
    breaks, degrees = [mesh.breaks[:1]], []
    for k in range(mesh.size):
        a, b, degree = mesh.breaks[k], mesh.breaks[k + 1], int(mesh.degrees[k])
        pieces = 1
        if errors[k] > demand:
            pieces, degree = _plan(errors[k] / demand, degree, decay[k])
        breaks.append(np.linspace(a, b, pieces + 1)[1:])
        degrees += [degree] * pieces
    return Mesh(np.concatenate(breaks), np.array(degrees), mesh.name)


def _plan(excess: float, degree: int, decay: float) -> tuple[int, int]:
    """Return number of pieces and degree for an interval whose error is `excess` times too large."""
    if not np.isfinite(excess):
        return 2, degree
    if 0 < decay < SMOOTH and degree < MAX_DEGREE:
        more = int(np.ceil(np.log(2 * excess) / -np.log(min(decay, SMOOTH))))
        if degree + more <= MAX_DEGREE + 2:
            return 1, min(MAX_DEGREE, degree + max(1, more))
        return 2, min(MAX_DEGREE, degree + 2)
    order = degree + 1 if decay < SMOOTH else 2
    return int(np.clip(np.ceil((2 * excess) ** (1 / order)), 2, 4)), degree
