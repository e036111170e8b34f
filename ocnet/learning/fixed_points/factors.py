"""LU factors of the Jacobian of a fixed point, dense or sparse, that notice a singular one."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sparse
from scipy.linalg import get_lapack_funcs
from scipy.sparse.linalg import splu

from ocnet.errors import DataError, OptionError, SolveError

SMALL = 200  # states up to which dense factors are taken without a look at the sparsity
ILL = 1e-13  # reciprocal condition below which A counts as singular
_getrf, _getrs = get_lapack_funcs(("getrf", "getrs"), (np.empty((1, 1)),))


class Factors:
    """LU factors of A.

    Parameters
    ----------
    matrix : ndarray or scipy sparse matrix (n, n)
    method : {"auto", "dense", "sparse"}
    name : str
        Opens the messages.

    Raises
    ------
    OptionError, DataError, SolveError
        For anything but a matrix, entries that are not finite, and a matrix that is singular to working
        accuracy.
    """

    def __init__(self, matrix: Any, method: str, name: str) -> None:
        A: Any = matrix
        thin = bool(sparse.issparse(A))
        if not thin and not isinstance(matrix, np.ndarray):
            raise OptionError(
                f"{name}: the Jacobian is a {type(A).__name__}; LU factors need an array or a sparse matrix. "
                "Take method='relaxation'."
            )
        if method == "auto":
            method = "sparse" if thin and A.shape[0] > SMALL and A.nnz < 0.2 * A.shape[0] ** 2 else "dense"
        self.kind = method
        # The diagonal of U shows a singular matrix at no cost.
        if method == "sparse":
            try:
                self._sparse = splu(sparse.csc_matrix(A))
                diagonal = self._sparse.U.diagonal()
            except RuntimeError:  # SuperLU: exactly singular
                diagonal = np.zeros(1)
        else:
            # LAPACK wants columns: the factors of Aᵀ are those of an array in C order without a copy of it.
            self._lu, self._pivots, _ = _getrf((A.toarray() if thin else A).T)
            diagonal = self._lu.diagonal()
        sizes = np.abs(diagonal)
        if not np.isfinite(sizes).all():
            raise DataError(f"{name}: the Jacobian ∂φ/∂u is not finite at this point.")
        reciprocal = float(sizes.min() / sizes.max()) if sizes.any() else 0.0
        if reciprocal < ILL:
            raise SolveError(
                f"{name}: ∂φ/∂u is singular (reciprocal condition {reciprocal:.1e}): at a fold the fixed "
                "point is no function of the parameters, and the response has no gradient. Change p or u."
            )

    def solve(self, right: np.ndarray, *, transposed: bool) -> np.ndarray:
        """Solve A x = right, or Aᵀ x = right, for a vector (n,) or columns (n, m)."""
        if self.kind == "sparse":
            return self._sparse.solve(right, "T" if transposed else "N")
        return _getrs(self._lu, self._pivots, right, trans=int(not transposed))[0]
