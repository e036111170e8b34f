"""Hopfield's networks, graded and binary, and Hebb's rule, against statements written out by hand."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import DataError, ProblemError, ShapeError
from ocnet.networks import BinaryHopfield, activation, arctan, hebbian, hopfield, saturation

T = np.array([[0.2, 1.4, 0.0], [-0.9, 0.0, 0.3], [0.5, -2.0, 1.0]])
U = np.array([0.4, -1.2, 0.7])


@pytest.mark.parametrize("g", [activation("tanh"), activation("logistic"), arctan(0.1)], ids=str)
def test_the_field_is_that_of_the_paper(g):
    a = np.array([0.1, 0.0, -0.4])
    field = oc.landscape(hopfield(T, activation=g, threshold=a), -9, 9).field
    assert field(U) == pytest.approx(T @ g(U - a) - U, abs=1e-14)
    steps = oc.landscape(hopfield(T, activation=g, threshold=a, discrete=True), -9, 9).field
    assert steps(U) == pytest.approx(T @ g(U - a) - U, abs=1e-14)
    path = oc.simulate(hopfield(T, activation=g, threshold=a, discrete=True), initial=U, tf=1)
    assert path.states["u"][1] == pytest.approx(T @ g(U - a), abs=1e-14)


def test_synapses_that_depend_on_the_outputs():
    def weights(V):
        return ca.DM(T) + ca.mtimes(V, V.T)

    V = np.tanh(U)
    field = oc.landscape(hopfield(weights, 3), -9, 9).field
    assert field(U) == pytest.approx((T + np.outer(V, V)) @ V - U, abs=1e-14)


def test_a_steep_activation_becomes_the_binary_network():
    """Graded neurons of width 1e-4 rest where the binary ones stay; u = T V there."""
    rng = np.random.default_rng(0)
    W = rng.normal(size=(6, 6))
    W = W + W.T
    binary = BinaryHopfield(W)
    steep = oc.networks.custom(lambda s: ca.tanh(s / 1e-4), name="steep", lower=-1, upper=1)
    network = hopfield(W, activation=steep)
    states = np.array(np.meshgrid(*[[-1.0, 1.0]] * 6)).reshape(6, -1).T
    fixed = states[binary.stays(states)]
    assert len(fixed) >= 2
    for V in fixed:
        assert np.abs(oc.simulate(network, initial=W @ V, tf=0.5).states["u"][-1] - W @ V).max() < 1e-6


# ---------------------------------------------------------------------- binary


def test_a_step_at_its_threshold_goes_up():
    network = BinaryHopfield([[1.0, 0.0], [0.0, 1.0]], threshold=[1.0, 1.0])
    assert np.array_equal(network.step([[1.0, -1.0], [-1.0, 1.0]]), [[1, -1], [-1, 1]])
    assert np.array_equal(network.stays([[1.0, -1.0], [1.0, 1.0]]), [True, True])
    assert not BinaryHopfield([[1.0]], threshold=1.0 + 1e-12).stays([1.0])


def test_symmetric_synchronous_networks_end_in_a_state_or_a_pair():
    rng = np.random.default_rng(1)
    periods = set()
    for _ in range(60):
        W = rng.normal(size=(9, 9))
        path = BinaryHopfield(W + W.T).run(rng.choice([-1.0, 1.0], size=9))
        periods.add(path.period)
        network = BinaryHopfield(W + W.T)
        for a, b in zip(path.states[:-1], path.states[1:], strict=True):
            assert np.array_equal(network.step(a), b)
    assert periods == {1, 2}


@pytest.mark.parametrize("order", [None, 5])
def test_symmetric_asynchronous_networks_always_come_to_rest(order):
    rng = np.random.default_rng(2)
    for _ in range(40):
        W = rng.normal(size=(9, 9))
        np.fill_diagonal(W, 0)
        network = BinaryHopfield(W + W.T)
        orders = None if order is None else np.random.default_rng(order)
        path = network.run(rng.choice([-1.0, 1.0], size=9), update="asynchronous", rng=orders)
        assert path.converged
        assert network.stays(path.states[-1])


def test_asymmetric_networks_may_turn_in_longer_cycles():
    ring = np.roll(np.eye(5), 1, axis=0)
    path = BinaryHopfield(ring).run([1.0, -1.0, -1.0, -1.0, -1.0])
    assert path.period == 5
    assert not path.converged
    assert str(path) == "5 updates to a cycle of 5 states"
    short = BinaryHopfield(ring).run([1.0, -1.0, -1.0, -1.0, -1.0], most=3)
    assert short.period == 0
    assert "undecided" in str(short)
    turn = BinaryHopfield([[0.0, 1.0], [-1.0, 0.0]])
    assert turn.run([1.0, 1.0], update="asynchronous").period > 1
    assert turn.run([1.0, 1.0], update="asynchronous", rng=np.random.default_rng(0), most=50).period == 0


# ---------------------------------------------------------------------- Hebb


def test_hebbian_synapses_are_sums_of_outer_products():
    P = np.random.default_rng(3).choice([-1.0, 1.0], size=(7, 3))
    expected = sum(np.outer(p, p) for p in P.T) / 7
    assert hebbian(P) == pytest.approx(expected, abs=1e-15)
    assert hebbian(P[:, 2], start=hebbian(P[:, :2])) == pytest.approx(expected, abs=1e-15)
    hollow = hebbian(P, diagonal=False)
    assert np.all(np.diag(hollow) == 0)
    assert hollow[0, 1] == pytest.approx(expected[0, 1])
    assert hebbian(P, bound=1e9) == pytest.approx(expected, abs=1e-15)


def test_bounded_synapses_depend_on_the_order():
    P = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, -1.0]])
    assert hebbian(P, bound=0.6) == pytest.approx(np.array([[0.6, 0.1], [0.1, 0.6]]))  # .5, .6 (cut), .1
    assert hebbian(P[:, ::-1], bound=0.6) == pytest.approx(np.array([[0.6, 0.5], [0.5, 0.6]]))  # −.5, 0, .5
    assert saturation(hebbian(P[:, :2], bound=0.6), 0.6) == 1.0
    assert saturation(hebbian(P, bound=0.6), 0.6) == 0.0


def test_unbounded_synapses_forget_everything_at_once_bounded_ones_the_oldest():
    """Far above the load 0.14 no pattern stays; with a bound the last ones do, and the first do not."""
    rng = np.random.default_rng(4)
    n, load = 200, 100
    P = rng.choice([-1.0, 1.0], size=(n, load))

    def overlap(W):
        network = BinaryHopfield(W)
        return np.array([network.run(p).states[-1] @ p / n for p in P.T])

    few = BinaryHopfield(hebbian(P[:, :5], diagonal=False))
    assert few.stays(P[:, :5].T).all()
    plain = overlap(hebbian(P, diagonal=False))
    assert plain.max() < 0.9
    bounded = hebbian(P, diagonal=False, bound=0.35 / np.sqrt(n))
    recent = overlap(bounded)
    assert recent[-2:].min() > 0.95
    assert np.abs(recent[:20]).mean() < 0.4
    assert 0.05 < saturation(bounded, 0.35 / np.sqrt(n)) < 0.9


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: hebbian(np.zeros((2, 0))), ShapeError, r"hebbian: patterns: got an array of shape \(2, 0\)"),
        (lambda: hebbian([[1.0, np.nan]]), DataError, r"hebbian: patterns: component \[0, 1\] is nan"),
        (
            lambda: hebbian([1.0, -1.0], start=np.eye(3)),
            ShapeError,
            r"hebbian: start: .* expected \(2, 2\), for",
        ),
        (
            lambda: hebbian([1.0, -1.0], bound=0.0),
            ProblemError,
            "hebbian: bound: got 0.0; expected a positive",
        ),
        (lambda: saturation([[1.0]], 1.0), DataError, "T has one neuron; expected two or more"),
        (lambda: saturation([[1.0, 2.0]], 1.0), ShapeError, "saturation: T has shape"),
        (lambda: saturation(np.eye(2), np.inf), ProblemError, "saturation: bound: got inf"),
    ],
)
def test_bad_patterns(call, error, message):
    with pytest.raises(error, match=message):
        call()
