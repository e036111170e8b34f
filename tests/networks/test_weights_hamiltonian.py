"""The exact Hamiltonian of the weight program, against what CasADi derives and against its closed form."""

import numpy as np
import pytest

from ocnet.errors import DataError, OptionError, ProblemError, ShapeError
from ocnet.hamiltonian import DerivedHamiltonian
from ocnet.networks import WeightProgramHamiltonian, arctan, custom
from problems import weight_program

INDICES = ("activation", "output", "both")
THETA = np.random.default_rng(0).choice([-1.0, 1.0], size=(3, 4))
VARIANTS = [(index, None) for index in INDICES] + [("activation", 4)]


def points(count=12, seed=1):
    return np.random.default_rng(seed).normal(size=(2, count, THETA.size))


@pytest.mark.parametrize("g", ["tanh", "logistic", arctan(0.5), custom(lambda s: s, name="linear")], ids=str)
@pytest.mark.parametrize(("index", "steps"), VARIANTS)
def test_the_builder_sets_what_casadi_derives(index, steps, g):
    start = np.zeros(THETA.shape)
    problem = weight_program.problem(
        None, THETA, beta=0.7, index=index, steps=steps, activation=g, start=start
    )
    exact, derived = problem.hamiltonian, DerivedHamiltonian(problem)
    assert isinstance(exact, WeightProgramHamiltonian)
    assert exact.rate == derived.rate == 0.0
    x, p = points()
    t = np.arange(12) % 4.0
    W = derived.control(t, x, p)
    np.testing.assert_allclose(exact.control(t, x, p), W, atol=1e-12)
    np.testing.assert_allclose(exact.value(t, x, p), derived.value(t, x, p), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(exact.value(t, x, p, W), derived.value(t, x, p), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(exact.value(t, x, p, 1 + W), derived.value(t, x, p, 1 + W), rtol=1e-12)
    for got, expected in zip(exact.gradient(t, x, p), derived.gradient(t, x, p), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-11)
    for got, expected in zip(exact.hessian(t, x, p), derived.hessian(t, x, p), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-10)


@pytest.mark.parametrize(("index", "steps"), VARIANTS)
def test_at_the_costates_of_the_paper(index, steps):
    """With Λ = −∇φ the weights are βD (10), and the flow of the costates is that of −∇φ (9)."""
    problem = weight_program.problem(None, THETA, index=index, steps=steps, start=THETA / 2)
    h = problem.hamiltonian
    z, _ = points()
    costate = -problem.index_gradient(z.reshape(-1, 3, 4))
    W = h.control(0.0, z, costate.reshape(z.shape)).reshape(-1, 3, 3)
    np.testing.assert_allclose(W, problem.optimal_weights(z.reshape(-1, 3, 4)), atol=1e-14)
    H_x, H_p = h.gradient(0.0, z, costate.reshape(z.shape))
    if index == "activation":  # Λ̇ = −H_Z = 0, or p_k = H_Z = −Θ
        np.testing.assert_allclose(
            H_x, 0.0 if steps is None else np.tile(-THETA.ravel(), (12, 1)), atol=1e-13
        )
    else:
        e = 1e-6
        later, earlier = (-problem.index_gradient((z + s * H_p).reshape(-1, 3, 4)) for s in (e, -e))
        np.testing.assert_allclose(-H_x, ((later - earlier) / (2 * e)).reshape(z.shape), atol=1e-8)


def test_one_point_and_many():
    h = WeightProgramHamiltonian(THETA, beta=0.5, activation="tanh", index="both")
    x, p = points()
    W = h.control(0.0, x, p)
    assert W.shape == (12, 9)
    for k in range(12):
        np.testing.assert_allclose(h.control(0.0, x[k], p[k]), W[k], atol=1e-14)
        np.testing.assert_allclose(h.value(0.0, x[k], p[k]), h.value(0.0, x, p)[k], rtol=1e-13)
        np.testing.assert_allclose(h.value(0.0, x[k], p[k], W[k]), h.value(0.0, x, p, W)[k], rtol=1e-13)
        for one, many in zip(h.gradient(0.0, x[k], p[k]), h.gradient(0.0, x, p), strict=True):
            np.testing.assert_allclose(one, many[k], atol=1e-13)
    assert h.gradient(0.0, x[:0], p[:0])[1].shape == (0, 12)
    assert h.value(0.0, x[:0], p[:0]).shape == (0,)


# ---------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"targets": [1.0, 2.0]}, ShapeError, r"targets: got an array of shape \(2,\); expected \(n neurons"),
        ({"targets": [[np.inf]]}, DataError, r"targets: component \[0, 0\] is inf"),
        ({"targets": "x"}, DataError, "expected numbers"),
        ({"beta": 0.0}, ProblemError, "beta: got 0.0; expected a positive"),
        ({"beta": np.nan}, ProblemError, "beta: got nan"),
        ({"index": "sum"}, OptionError, "index is 'sum'; expected one of"),
        ({"activation": "relu"}, OptionError, "expected one of"),
    ],
)
def test_bad_data(changes, error, message):
    with pytest.raises(error, match=message):
        WeightProgramHamiltonian(**{"targets": THETA, "beta": 0.5, "activation": "tanh", **changes})


def test_bad_points():
    h = WeightProgramHamiltonian(THETA, beta=0.5, activation="tanh")
    x, p = points()
    with pytest.raises(ShapeError, match=r"expected both \(points, 12\) or \(12,\)"):
        h.gradient(0.0, x[:, :3], p[:, :3])
    with pytest.raises(ShapeError, match=r"got u of shape \(12, 12\); expected \(12, 9\)"):
        h.value(0.0, x, p, x)
    with pytest.raises(DataError, match=r"p\[2, 0\] is nan"):
        h.control(0.0, x, np.where(np.arange(12)[:, None] == 2, np.nan, p))
