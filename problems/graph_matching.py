"""Graph matching by an analog network: instances, the objective, decoding, and outside references.

The objective is that of the companion paper of Mjolsness and Miranker (NIPS 1990) by Gindi, Mjolsness and
Anandan, in the form

    E(M) = −Σ_αβ Σ_ij G_αβ g_ij M_αi M_βj + (P/2) Σ_α (Σ_i M_αi − 1)² + (P/2) Σ_i (Σ_α M_αi − 1)²
           + (c/2) Σ M_αi (1 − M_αi) + Σ φ(M_αi)/γ,        M = logistic(γ u)

with symmetric weights G and g without self-edges: twice the matched weight is gained.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment, quadratic_assignment

from ocnet.attention import Network
from ocnet.errors import DataError, OptionError, ShapeError
from problems.checked import array

Kind = Literal["random", "noisy copy", "structured"]


@dataclass(frozen=True)
class Instance:
    """Two graphs to be matched.

    Attributes
    ----------
    first, second : ndarray (n, n)
        G and g: symmetric weights, zero on the diagonal.
    planted : ndarray of int (n,) or None
        The vertex of the second graph that vertex α of the first one was copied to.
    kind : str
    """

    first: np.ndarray
    second: np.ndarray
    planted: np.ndarray | None
    kind: str

    @property
    def size(self) -> int:
        """Number of vertices n; the network has n² neurons."""
        return len(self.first)


def instance(
    n: int,
    kind: Kind = "noisy copy",
    *,
    degree: float | None = None,
    noise: float = 0.1,
    rng: np.random.Generator | int = 0,
) -> Instance:
    """Return two graphs of n vertices.

    Parameters
    ----------
    n : int
        At least 3.
    kind : {"random", "noisy copy", "structured"}
        Two independent random graphs; a random graph and a permuted copy of it of which a share of the edges
        was moved; flows with a decaying distribution against distances on a grid turned into closeness, as in
        facility location, where no permutation is planted.
    degree : float, optional
        Mean number of edges of a vertex of a random graph; 4, or n − 1 where that is less. "structured" does
        not use it.
    noise : float
        Share of the edges of a copy that are moved, in [0, 1].
    rng : numpy.random.Generator or int

    Raises
    ------
    OptionError
        For options out of range.
    """
    where = "graph_matching.instance"
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 3:
        raise OptionError(f"{where}: n is {n!r:.60}; expected an integer of at least 3.")
    if kind not in ("random", "noisy copy", "structured"):
        raise OptionError(f"{where}: kind is {kind!r:.60}; expected 'random', 'noisy copy' or 'structured'.")
    degree = min(4.0, n - 1.0) if degree is None else degree
    if kind != "structured" and not (_real(degree) and 0 < degree <= n - 1):
        raise OptionError(f"{where}: degree is {degree!r:.60}; expected a number in (0, {n - 1}].")
    if not (_real(noise) and 0 <= noise <= 1):
        raise OptionError(f"{where}: noise is {noise!r:.60}; expected a number in [0, 1].")
    random = np.random.default_rng(rng)
    if kind == "structured":
        return Instance(_flows(n, random), _closeness(n), None, kind)
    first = _random_graph(n, degree, random)
    if kind == "random":
        return Instance(first, _random_graph(n, degree, random), None, kind)
    planted = random.permutation(n)
    second = np.zeros((n, n))
    second[np.ix_(planted, planted)] = _moved(first, noise, random)
    return Instance(first, second, planted, kind)


def network(
    graphs: Instance, *, penalty: float = 16.0, binary: float = 2.0, strength: float = 1.0, gain: float = 1.0
) -> Network:
    """Return the objective as a network of n² logistic neurons M_αi, numbered α·n + i.

    Parameters
    ----------
    graphs : Instance
        Weights are divided by the largest product of one entry of each, so that the coefficients are
        dimensionless.
    penalty : float
        P > 0, the price of rows and columns that do not sum to 1.
    binary : float
        c ≥ 0, the price of matches between 0 and 1.
    strength : float
        Factor of the matched weight.
    gain : float
        γ.

    Raises
    ------
    OptionError, ShapeError, DataError
        For coefficients out of range, or graphs of different sizes, asymmetric or not finite.
    """
    where = "graph_matching.network"
    n = graphs.size
    G, g = (
        array(A, f"{where}: {name}", (n, n))
        for A, name in ((graphs.first, "first"), (graphs.second, "second"))
    )
    for name, matrix in (("first", G), ("second", g)):
        if not np.allclose(matrix, matrix.T) or np.diag(matrix).any():
            raise ShapeError(f"{where}: the {name} graph has an asymmetric or self-connecting weight matrix.")
    for name, value in (("penalty", penalty), ("binary", binary), ("strength", strength)):
        if not (_real(value) and np.isfinite(value) and value >= 0):
            raise OptionError(f"{where}: {name} is {value!r:.60}; expected a nonnegative finite number.")
    largest = float(np.abs(G).max() * np.abs(g).max()) or 1.0
    one, eye = sp.csr_array(np.ones((n, n))), sp.eye_array(n, format="csr")
    matched = sp.kron(sp.csr_array(G), sp.csr_array(g), format="csr") * (2 * strength / largest)
    sums = sp.kron(eye, one, format="csr") + sp.kron(one, eye, format="csr")
    T = matched - penalty * sums + binary * sp.eye_array(n * n, format="csr")
    return Network(T, np.full(n * n, 2 * penalty - binary / 2), "logistic", gain=gain)


GAINS = np.geomspace(0.5, 20.0, 30)  # of an annealing with the coefficients above, found by trial at n = 12


def start(n: int, rng: np.random.Generator | int = 0, spread: float = 0.01) -> np.ndarray:
    """Return activations (n²,) around 0 whose random part of size `spread` breaks the symmetry."""
    return spread * np.random.default_rng(rng).normal(size=n * n)


def blocks(n: int, count: int) -> np.ndarray:
    """Return the block (n²,) of each neuron: the rows of M in `count` groups of whole rows."""
    return np.repeat(np.arange(n) * count // n, n)


def decode(outputs: ArrayLike) -> np.ndarray:
    """Return the permutation (n,) nearest to analog matches (n²,): α is matched with result[α]."""
    values = array(outputs, "graph_matching.decode: outputs", (None,))
    n = round(np.sqrt(values.size))
    if n * n != values.size:
        raise ShapeError(f"graph_matching.decode: got {values.size} outputs; expected a square number n².")
    return np.asarray(linear_sum_assignment(-values.reshape(n, n))[1])


def matched(graphs: Instance, permutation: ArrayLike) -> float:
    """Return Σ_{α<β} G_αβ g_{π(α)π(β)}: the number of matched edges of unweighted graphs.

    Parameters
    ----------
    graphs : Instance
    permutation : array_like of int (n,)
        α is matched with permutation[α].

    Raises
    ------
    DataError
        If it is no permutation of 0 to n − 1.
    """
    n, order = graphs.size, np.asarray(permutation)
    if (
        order.shape != (n,)
        or order.dtype.kind not in "iu"
        or not np.array_equal(np.sort(order), np.arange(n))
    ):
        raise DataError(
            f"graph_matching.matched: permutation is {permutation!r:.60}; expected the integers from 0 to "
            f"{n - 1}, each once."
        )
    return float((graphs.first * graphs.second[np.ix_(order, order)]).sum() / 2)


def reference(
    graphs: Instance, method: Literal["faq", "2opt"], rng: int = 0, *, starts: int = 1
) -> np.ndarray:
    """Return the best permutation of scipy.optimize.quadratic_assignment, an outside reference.

    FAQ begins in the middle of the doubly stochastic matrices, and for further starts at random ones; 2-opt
    begins at random each time.
    """
    options: Any = {"maximize": True, "rng": np.random.default_rng(rng)}
    found: list[np.ndarray] = []
    for k in range(starts):
        if method == "faq" and k > 0:
            options["P0"] = "randomized"
        result = quadratic_assignment(graphs.first, graphs.second, method=method, options=dict(options))
        found.append(np.asarray(result.col_ind))
    return max(found, key=lambda order: matched(graphs, order))


def _real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _random_graph(n: int, degree: float, rng: np.random.Generator) -> np.ndarray:
    upper = np.triu(rng.random((n, n)) < degree / (n - 1), 1)
    return (upper + upper.T).astype(float)


def _moved(graph: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Move a share of the edges to pairs that had none."""
    n = len(graph)
    i, j = np.triu_indices(n, 1)
    present = np.flatnonzero(graph[i, j] > 0)
    absent = np.flatnonzero(graph[i, j] == 0)
    count = min(round(noise * len(present)), len(absent))
    taken, given = rng.choice(present, count, replace=False), rng.choice(absent, count, replace=False)
    result = graph.copy()
    for k, value in ((taken, 0.0), (given, 1.0)):
        result[i[k], j[k]] = result[j[k], i[k]] = value
    return result


def _flows(n: int, rng: np.random.Generator) -> np.ndarray:
    """Few large and many small flows between pairs, some of them none."""
    upper = np.triu(np.floor(10 * rng.random((n, n)) ** 3) * (rng.random((n, n)) < 0.6), 1)
    return upper + upper.T


def _closeness(n: int) -> np.ndarray:
    """Largest Manhattan distance minus the distance, on the places of a grid."""
    width = int(np.ceil(np.sqrt(n)))
    places = np.stack(np.divmod(np.arange(n), width), axis=1)
    distance = np.abs(places[:, None, :] - places[None, :, :]).sum(axis=2)
    close = (distance.max() + 1.0) - distance
    np.fill_diagonal(close, 0.0)
    return close
