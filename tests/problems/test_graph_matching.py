"""Graph matching: the objective against its formula, decoding, attention against the full network."""

import itertools

import numpy as np
import pytest

from ocnet.attention import IndependentSelection, JumpingWindow, Network, anneal, relax
from ocnet.errors import DataError, OptionError, ShapeError
from problems import graph_matching as matching


def objective(graphs, M, penalty, binary, strength):
    G, g = graphs.first, graphs.second
    largest = G.max() * g.max()
    gained = np.einsum("ab,ij,ai,bj->", G, g, M, M) * strength / largest
    rows, columns = ((M.sum(axis=k) - 1) ** 2 for k in (0, 1))
    return -gained + penalty / 2 * (rows.sum() + columns.sum()) + binary / 2 * (M * (1 - M)).sum()


@pytest.mark.parametrize("kind", ["random", "noisy copy", "structured"])
def test_network_is_the_objective(kind):
    """E of the network minus its gain term, up to the constant P·n."""
    graphs = matching.instance(5, kind, rng=1, degree=2.0)
    rng = np.random.default_rng(0)
    net = matching.network(graphs, penalty=3.0, binary=0.7, strength=1.3, gain=2.0)
    u = rng.normal(size=25)
    v = net.output(u)
    entropy = (v * np.log(v) + (1 - v) * np.log(1 - v)).sum() / 2.0
    expected = objective(graphs, v.reshape(5, 5), 3.0, 0.7, 1.3) - 3.0 * 5
    assert net.energy(u) - entropy == pytest.approx(expected, abs=1e-11)


def test_matched_counts_edges():
    graphs = matching.instance(9, "noisy copy", noise=0.0, rng=2)
    assert matching.matched(graphs, graphs.planted) == graphs.first.sum() / 2
    best = matching.instance(6, "noisy copy", degree=2.0, noise=0.3, rng=3)
    most = max(matching.matched(best, p) for p in itertools.permutations(range(6)))
    assert matching.matched(best, best.planted) <= most
    once, often = (matching.matched(best, matching.reference(best, "faq", starts=k)) for k in (1, 5))
    assert once <= often <= most


def test_noise_moves_edges():
    graphs = matching.instance(20, "noisy copy", noise=0.25, rng=4)
    edges = graphs.first.sum() / 2
    assert graphs.second.sum() / 2 == edges
    assert matching.matched(graphs, graphs.planted) == edges - round(0.25 * edges)


def test_decoding_is_a_permutation():
    M = np.full((4, 4), 0.1)
    M[np.arange(4), [2, 0, 3, 1]] = 0.6
    np.testing.assert_array_equal(matching.decode(M.reshape(-1)), [2, 0, 3, 1])


def test_a_quarter_of_the_neurons_matches_as_well():
    """Seven pairs of graphs of two sizes; the study is examples/16_graph_matching.py."""
    quality = {"full": [], "jumping": [], "gradient": [], "independent": []}
    for n, seed in ((8, 2001), (8, 2002), (8, 2003), (8, 2004), (12, 2005), (12, 2006), (12, 2007)):
        graphs = matching.instance(n, rng=seed)
        net, parts = matching.network(graphs), matching.blocks(n, 4)
        rules = (
            None,
            JumpingWindow(parts),
            JumpingWindow(parts, score="gradient"),
            IndependentSelection(n * n // 4),
        )
        for name, rule in zip(quality, rules, strict=True):
            run = anneal(net, matching.GAINS, rule, initial=matching.start(n, seed), tolerance=1e-2)
            assert run.success
            if name != "full":
                assert run.counters.peak_active <= n * n / 4
            planted = matching.matched(graphs, graphs.planted)
            quality[name].append(matching.matched(graphs, matching.decode(run.v)) / planted)
    means = {name: np.mean(values) for name, values in quality.items()}
    assert means["full"] > 0.9
    assert means["jumping"] > 0.9
    assert means["gradient"] > 0.9


def test_saturated_neurons_do_not_wait_for_ever():
    """At a gain of 1 the score of a quarter of the neurons hides what others are due."""
    net, start = matching.network(matching.instance(16, rng=3)), matching.start(16, 3)
    full = relax(net, initial=start, tolerance=1e-10)
    found = relax(net, IndependentSelection(64), initial=start, tolerance=1e-10, phases=20_000)
    assert found.success
    assert 0 < found.counters.rescues < found.counters.phases / 10
    assert found.energy == pytest.approx(full.energy, rel=0.05)


@pytest.mark.slow
def test_the_jumping_window_is_within_three_percent():
    """Five sizes, ten pairs each: mean quality of both scores against the full network's."""
    quality = np.zeros((3, 5, 10))
    for a, n in enumerate((8, 12, 16, 20, 24)):
        parts = matching.blocks(n, 4)
        for seed in range(10):
            graphs = matching.instance(n, rng=1000 + seed)
            net = matching.network(graphs)
            for k, rule in enumerate((None, JumpingWindow(parts), JumpingWindow(parts, score="gradient"))):
                run = anneal(net, matching.GAINS, rule, initial=matching.start(n, seed), tolerance=1e-2)
                assert run.success
                assert k == 0 or run.counters.peak_active <= n * n / 4
                quality[k, a, seed] = matching.matched(graphs, matching.decode(run.v))
            quality[:, a, seed] /= matching.matched(graphs, graphs.planted)
    full, jumping, gradient = quality.mean(axis=(1, 2))
    assert jumping >= 0.97 * full
    assert gradient >= 0.97 * full


def test_refusals():
    graphs = matching.instance(4, degree=2.0)
    lopsided = matching.Instance(np.triu(np.ones((4, 4)), 1), graphs.second, None, "own")
    broken = matching.Instance(graphs.first, np.full((4, 4), np.nan), None, "own")
    smaller = matching.Instance(graphs.first, np.zeros((3, 3)), None, "own")
    cases = [
        (lambda: matching.instance(2), OptionError, "n is 2; expected an integer of at least 3"),
        (lambda: matching.instance(5, "tree"), OptionError, "kind is 'tree'"),
        (lambda: matching.instance(5, noise=2.0), OptionError, "noise is 2.0"),
        (lambda: matching.instance(5, degree=9.0), OptionError, "degree is 9.0"),
        (lambda: matching.instance(5, degree="x"), OptionError, "degree is 'x'"),
        (
            lambda: matching.matched(graphs, [0] * 4),
            DataError,
            "expected the integers from 0 to 3, each once",
        ),
        (lambda: matching.matched(graphs, [0.9] * 4), DataError, "expected the integers"),
        (lambda: matching.matched(graphs, [0, 1, 2]), DataError, "expected the integers"),
        (lambda: matching.network(lopsided), ShapeError, "first graph has an asymmetric"),
        (lambda: matching.network(broken), DataError, "second: component"),
        (lambda: matching.network(smaller), ShapeError, "second: got an array of shape"),
        (lambda: matching.network(graphs, penalty=np.nan), OptionError, "penalty is nan"),
        (lambda: matching.decode(np.zeros(5)), ShapeError, "expected a square number"),
    ]
    for case, error, pattern in cases:
        with pytest.raises(error, match=pattern):
            case()
    assert isinstance(matching.network(graphs), Network)
    assert matching.instance(3).size == 3
    assert matching.instance(4, "structured", degree=9.0).size == 4
