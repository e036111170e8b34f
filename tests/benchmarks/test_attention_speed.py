"""A million virtual neurons: the cost of a connection update against a sparse matrix-vector product."""

import time

import numpy as np
import pytest
import scipy.sparse as sp

from ocnet.attention import Everything, JumpingWindow, Network, relax
from ocnet.attention.virtual import Attended, Virtual

REACHES = pytest.mark.parametrize("reach", [1000, None], ids=["local synapses", "synapses anywhere"])


def random_network(n, pairs, reach=None, seed=0):
    """Symmetric random synapses, at most `reach` numbers apart, weak enough for one fixed point."""
    rng = np.random.default_rng(seed)
    i, j = rng.integers(0, n, (2, pairs))
    if reach is not None:
        j = i + rng.integers(1, reach + 1, pairs)
    kept = (i != j) & (j < n)
    i, j = i[kept], j[kept]
    data = rng.normal(size=len(i)) * 0.35 / np.sqrt(2 * pairs / n)
    half = sp.coo_array((data, (i, j)), shape=(n, n))
    return Network(half + half.T, rng.normal(size=n))


def seconds(action):
    """CPU seconds of a call, and what it returns."""
    start = time.process_time()
    result = action()
    return time.process_time() - start, result


@pytest.mark.bench
@REACHES
@pytest.mark.parametrize("attention", [Everything(), JumpingWindow(8)], ids=["full", "jumping window"])
def test_a_million_neurons(attention, reach):
    """Whole relaxations, with all that is done besides updates: choosing, resting neurons, E, residuals."""
    relax(random_network(2000, 10_000), attention)  # compiles
    network = random_network(1_000_000, 5_000_000, reach)
    v = np.random.default_rng(1).normal(size=network.size)
    products = [seconds(lambda: network.weights @ v)[0] for _ in range(4)][1:]
    spent, found = seconds(lambda: relax(network, attention, tolerance=1e-3))
    products += [seconds(lambda: network.weights @ v)[0] for _ in range(3)]
    assert found.success
    each = spent / found.counters.connection_updates
    product = float(np.median(products)) / network.connections
    print(f"\n{found}\n  {spent:.2f} s CPU; one update {each / product:.2f} times a product of scipy.sparse")


@pytest.mark.bench
@REACHES
def test_sweeps_and_products_in_turn(reach):
    """Phases of ten sweeps (the default) over all neurons, each beside three products."""
    network = random_network(1_000_000, 5_000_000, reach)
    v = np.random.default_rng(1).normal(size=network.size)
    Virtual(network, v.copy(), 0.0).move(Attended(None), 1.0, 1)
    state, ratios = Virtual(network, v.copy(), 0.0), []
    for _ in range(8):
        product = min(seconds(lambda: network.weights @ v)[0] for _ in range(3)) / network.connections
        spent, phase = seconds(lambda: state.move(Attended(None), 0.1, 10))
        ratios.append(spent / phase.connection_updates / product)
    print(f"\none connection update over one product for each connection: {np.round(ratios, 2)}")
