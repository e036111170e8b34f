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
    """CPU seconds of this thread in a call, and what it returns."""
    start = time.thread_time()
    result = action()
    return time.thread_time() - start, result


def in_turn(network, action, times):
    """Call `times` times, each between products T v; return CPU seconds of calls and of a product beside."""
    v = np.random.default_rng(1).normal(size=network.size)
    spent, products, found = [], [], None
    for _ in range(times):
        beside = [seconds(lambda: network.weights @ v)[0] for _ in range(3)]
        took, found = seconds(action)
        beside += [seconds(lambda: network.weights @ v)[0] for _ in range(3)]
        spent.append(took)
        products.append(np.median(beside))
    return np.array(spent), np.array(products), found


@pytest.mark.bench
@pytest.mark.parametrize(
    ("attention", "reach", "most"),
    [
        pytest.param(Everything(), 1000, 3.0, id="full, local synapses"),
        pytest.param(Everything(), None, 3.0, id="full, synapses anywhere"),
        pytest.param(JumpingWindow(8), 1000, 4.5, id="jumping window, local synapses"),
        pytest.param(JumpingWindow(8), None, 16.0, id="jumping window, synapses anywhere"),
    ],
)
def test_a_million_neurons(attention, reach, most):
    """Whole relaxations, with all that is done besides updates: choosing, resting neurons, E, residuals.

    The full network's updates take no more than three products each with local synapses; with synapses
    anywhere the product's own time changes by half from one process to the next. A window's exceed that: with
    synapses anywhere most of its time is spent on steps and scores, which are followed by few updates.
    """
    relax(random_network(2000, 10_000), attention)  # compiles
    network = random_network(1_000_000, 5_000_000, reach)
    spent, products, found = in_turn(network, lambda: relax(network, attention, tolerance=1e-3), 5)
    assert found.success
    assert network.connections > 9.9e6
    ratios = spent / found.counters.connection_updates / (products / network.connections)
    print(
        f"\n{found}\n  {np.round(spent, 3)} s CPU; one update {np.round(ratios, 2)} times a product of "
        f"scipy.sparse ({np.round(1e3 * products, 1)} ms); median {np.median(ratios):.2f}"
    )
    assert np.median(ratios) <= most


@pytest.mark.bench
@REACHES
def test_sweeps_and_products_in_turn(reach):
    """Phases of ten sweeps (the default) over all neurons, each beside products."""
    network = random_network(1_000_000, 5_000_000, reach)
    u = np.random.default_rng(1).normal(size=network.size)
    state = Virtual(network, u, 0.0)
    state.move(Attended(None), 1e-9, 1)
    spent, products, phase = in_turn(network, lambda: state.move(Attended(None), 0.1, 10), 6)
    ratios = spent / phase.connection_updates / (products / network.connections)
    print(f"\none connection update over one product for each connection: {np.round(ratios, 2)}")
    assert np.median(ratios) <= 3.0
