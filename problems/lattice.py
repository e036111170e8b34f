"""Restoring a two-valued image on a lattice: an Ising-like objective of which a window does a part at a time.

    E(v) = −(J/2) Σ_{i~j} v_i v_j − λ Σ_i y_i v_i + Σφ(v_i)/γ,        v = tanh(γu)

over pairs of neighbours, each pair once in each direction, with the noisy pixels y: the mean-field equations
of an Ising model in a field, v = tanh(γ(JΣv + λy)).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from ocnet.attention import Network
from ocnet.errors import DataError, OptionError
from problems.checked import array


def image(rows: int, columns: int) -> np.ndarray:
    """Return a test image of ±1 (rows, columns): a disc, a ring, a frame, stripes and a wedge."""
    for name, n in (("rows", rows), ("columns", columns)):
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 8:
            raise OptionError(f"lattice.image: {name} is {n!r:.60}; expected an integer of at least 8.")
    i, j = np.mgrid[0:rows, 0:columns]
    y, x = (i + 0.5) / rows, (j + 0.5) / columns
    disc = (y - 0.3) ** 2 + (x - 0.28) ** 2 < 0.16**2
    ring = np.abs(np.hypot(y - 0.3, x - 0.72) - 0.13) < 0.035
    stripes = (y > 0.58) & (y < 0.9) & (x > 0.08) & (x < 0.45) & (np.floor(x * 20) % 2 == 0)
    wedge = (y > 0.58) & (y < 0.9) & (np.abs(x - 0.72) < 0.75 * (y - 0.58))
    frame = np.minimum(np.minimum(y, 1 - y), np.minimum(x, 1 - x)) < 0.03
    return np.where(disc | ring | stripes | wedge | frame, 1.0, -1.0)


def noisy(
    clean: ArrayLike, flipped: float, *, rng: np.random.Generator | int = 0, within: float = 1.0
) -> np.ndarray:
    """Return an image with a share of its pixels turned over.

    Parameters
    ----------
    clean : array_like (rows, columns)
        Of ±1.
    flipped : float
        Share of the pixels in the damaged part, in [0, 0.5].
    rng : numpy.random.Generator or int
    within : float
        Share of each side that the damaged part takes, in (0, 1]; it lies in the middle.

    Raises
    ------
    OptionError, ShapeError, DataError
        For shares out of range, or an image of other values.
    """
    where = "lattice.noisy"
    pixels = _image(clean, where)
    if not 0 <= flipped <= 0.5:
        raise OptionError(f"{where}: flipped is {flipped!r:.60}; expected a share in [0, 0.5].")
    if not 0 < within <= 1:
        raise OptionError(f"{where}: within is {within!r:.60}; expected a share in (0, 1].")
    turned = np.random.default_rng(rng).random(pixels.shape) < flipped
    inside = [np.abs((np.arange(n) + 0.5) / n - 0.5) <= within / 2 for n in pixels.shape]
    return np.where(turned & np.outer(*inside), -pixels, pixels)


def network(pixels: ArrayLike, *, coupling: float = 1.0, evidence: float = 1.2, gain: float = 1.0) -> Network:
    """Return the objective as a network of rows·columns tanh neurons in C order.

    Parameters
    ----------
    pixels : array_like (rows, columns)
        y, of ±1.
    coupling : float
        J ≥ 0 between the four neighbours.
    evidence : float
        λ ≥ 0.
    gain : float
        γ.

    Raises
    ------
    OptionError, ShapeError, DataError
        For coefficients out of range, or an image of other values.
    """
    y = _image(pixels, "lattice.network: pixels")
    for name, value in (("coupling", coupling), ("evidence", evidence)):
        if not (np.isfinite(value) and value >= 0):
            raise OptionError(
                f"lattice.network: {name} is {value!r:.60}; expected a nonnegative finite number."
            )
    chains = [sp.eye_array(n, k=1) + sp.eye_array(n, k=-1) for n in y.shape]
    eyes = [sp.eye_array(n) for n in y.shape]
    T = coupling * (sp.kron(chains[0], eyes[1]) + sp.kron(eyes[0], chains[1]))
    return Network(T, evidence * y.reshape(-1), "tanh", gain=gain)


def wrong(restored: ArrayLike, clean: ArrayLike) -> float:
    """Return the share of the pixels whose sign is wrong."""
    pixels = _image(clean, "lattice.wrong: clean")
    found = array(np.asarray(restored).reshape(pixels.shape), "lattice.wrong: restored", (None, None))
    return float(np.mean(np.sign(found) != pixels))


def _image(value: ArrayLike, where: str) -> np.ndarray:
    pixels = array(value, where, (None, None), " (rows, columns)")
    if min(pixels.shape) < 2 or not np.isin(pixels, (-1.0, 1.0)).all():
        raise DataError(
            f"{where}: got shape {pixels.shape} and values up to {np.abs(pixels).max():g}; expected an "
            "image of −1 and 1 with at least 2 × 2 pixels."
        )
    return pixels
