import numpy as np
import pytest
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve

from ocnet.methods.hjb.grid import Grid
from ocnet.methods.hjb.scheme import Feedback, Scheme


class Still:
    """A Hamiltonian of which only the discount rate is asked."""

    rate = 3.0


@pytest.mark.parametrize("shape", [(40,), (11, 8), (7, 9, 8)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_sweeps_solve_the_sparse_system(shape, mirrored):
    rng = np.random.default_rng(0)
    n = len(shape)
    grid = Grid([-1] * n, [1] * n, shape, 0.5)
    scheme = Scheme(Still(), grid, mirrored, 3)
    x = grid.points()
    drift, source = rng.normal(size=x.shape), rng.normal(size=grid.size)
    drift = np.where(x == -1, np.abs(drift), np.where(x == 1, -np.abs(drift), drift))
    if mirrored:
        drift, source = 0.5 * (drift - drift[::-1]), 0.5 * (source + source[::-1])
    matrix = lil_matrix((grid.size, grid.size))
    strides = [int(np.prod(shape[d + 1 :])) for d in range(n)]
    for k, index in enumerate(np.ndindex(*shape)):
        matrix[k, k] = Still.rate
        for d in range(n):
            f, side = drift[k, d], int(np.sign(drift[k, d]))
            if side:
                nodes = grid.axes[d]
                r = abs(f) / abs(nodes[index[d] + side] - nodes[index[d]])
                matrix[k, k] += r
                matrix[k, k + side * strides[d]] -= r
    feedback = Feedback(drift[: scheme.count], source[: scheme.count], 0.0)
    values, (weights, inverse) = np.zeros(grid.size), scheme.operator(feedback)
    for _ in range(3):  # each in single precision, for the residual of the last
        residual = scheme.residual(values, scheme.monotone, feedback)
        step, source_of_step = np.zeros(grid.size, dtype=np.float32), (residual * inverse).astype(np.float32)
        for _ in range(500):
            if not (left := scheme.swept(step, weights, source_of_step)):
                break
        assert left <= 1e-6 * np.abs(residual).max()
        values += step
    np.testing.assert_allclose(values, spsolve(matrix.tocsr(), source), atol=1e-10)
