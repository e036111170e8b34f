"""Controls that are computed when they are asked for, alone and as part of a solution."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.control_law import ControlLaw
from ocnet.errors import ProblemError, UnsupportedError
from ocnet.pieces import Pieces, on_intervals
from ocnet.trajectory import Interpolant
from problems import synaptic_control

NODES = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
BREAKS = np.array([0.0, 1.0, 2.0])
LIMITS = (np.array([-1.0, -0.5, -2.0]), np.array([1.0, 0.5, 0.3]))


def wave(t):
    return np.clip(np.column_stack([np.sin(t), np.cos(3 * t), t - 1]), *LIMITS)


def continuous():
    return ControlLaw(wave, NODES, BREAKS, np.array([0, 2]), np.array([3, 3]), limits=LIMITS)


def stepped(n=4):
    k = np.arange(float(n))
    plain = Interpolant.sequence(k, np.zeros((n, 1)))
    return ControlLaw(wave, k, plain.breaks, plain.first, plain.count, True, LIMITS)


# ---------------------------------------------------------------------- alone


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3)])
def test_shapes(shape):
    t = np.random.default_rng(0).uniform(0, 2, shape)
    found = continuous()(t)
    assert found.shape == (*shape, 3)
    np.testing.assert_array_equal(found.reshape(-1, 3), wave(t.reshape(-1)))


def test_values_are_those_at_the_nodes():
    np.testing.assert_array_equal(continuous().values, wave(NODES))
    np.testing.assert_array_equal(stepped().values, wave(np.arange(4.0)))


@pytest.mark.parametrize("t", [-0.1, 2.1, [0.0, 5.0], np.nan])
def test_times_outside_are_refused(t):
    with pytest.raises(ProblemError, match=r"outside the trajectory \[0.0, 2.0\]"):
        continuous()(t)


def test_rounding_at_the_ends_is_not_outside():
    assert np.isfinite(continuous()([-1e-12, 2 + 1e-12])).all()


def test_steps_are_held_until_the_next():
    law = stepped()
    np.testing.assert_array_equal(law([0.0, 0.99, 1.0, 1.5, 3.0]), wave(np.array([0.0, 0, 1, 1, 3])))
    for t in (-0.5, 3.5):
        with pytest.raises(ProblemError, match="outside"):
            law(t)


def test_there_is_no_derivative():
    with pytest.raises(NotImplementedError, match="no derivative"):
        continuous()(0.3, derivative=True)


@pytest.mark.parametrize("which", [slice(1, 3), [2, 0], np.array([1])])
@pytest.mark.parametrize("law", [continuous(), stepped()], ids=["continuous", "steps"])
def test_components(law, which):
    part = law.components(which)
    t = np.array([0.0, 0.3, 1.7])
    np.testing.assert_array_equal(part(t), law(t)[:, which])
    np.testing.assert_array_equal(part.values, law.values[:, which])
    for a, b in zip(part.limits, LIMITS, strict=True):
        np.testing.assert_array_equal(a, b[which])
    assert part.discrete is law.discrete


def test_map():
    norm = continuous().map(lambda v: np.linalg.norm(v, axis=1, keepdims=True))
    t = np.linspace(0, 2, 7)
    np.testing.assert_allclose(norm(t)[:, 0], np.linalg.norm(wave(t), axis=1))
    assert norm.limits is None
    assert norm(t.reshape(7, 1)).shape == (7, 1, 1)


def test_stored():
    law = continuous()
    stored = law.stored()
    assert isinstance(stored, Interpolant)
    np.testing.assert_array_equal(stored.values, law.values)
    np.testing.assert_allclose(stored(NODES), law(NODES), atol=1e-14)
    t = np.linspace(0, 2, 101)
    assert (stored(t) <= LIMITS[1]).all()
    assert (stored(t) >= LIMITS[0]).all()
    assert np.abs(stored(t)[:, 0] - law(t)[:, 0]).max() < 0.01
    steps = stepped().stored()
    np.testing.assert_array_equal(steps([0.0, 1.4, 3.0]), stepped()([0.0, 1.4, 3.0]))


def test_pieces():
    breaks = np.array([0.0, 0.25, 1.0, 2.0])
    pieces = on_intervals(continuous(), breaks)
    for s in (0.0, 0.3, 1.0):
        np.testing.assert_allclose(pieces(s), wave(breaks[:-1] + s * np.diff(breaks)))
        np.testing.assert_allclose(pieces.one(1)(s), wave(np.array([0.25 + 0.75 * s]))[0])
    assert isinstance(on_intervals(continuous().stored(), breaks), Pieces)


# ---------------------------------------------------------------------- of a solution

NETWORK = np.array([[0.2, 1.4], [-0.9, 0.0]])
SETTINGS = {"bounds": (0.05, 0.3), "discount": 0.5}


@pytest.fixture(scope="module")
def network():
    return oc.solve(synaptic_control.problem(NETWORK, [1.0, -0.8], **SETTINGS), oc.Pontryagin())


@pytest.fixture(scope="module")
def iterated():
    return oc.solve(synaptic_control.problem(NETWORK, [1.0, -0.8], steps=6, **SETTINGS), oc.Pontryagin())


def test_the_control_is_that_of_the_hamiltonian(network):
    t = np.sort(np.random.default_rng(0).uniform(0, 15, 40))
    wanted = network.problem.hamiltonian.control(t, network.state("u", t), network.costate("u", t))
    np.testing.assert_allclose(network.control("xi", t), wanted.reshape(-1, 2, 2), atol=1e-15)
    assert network.control("xi", 1.0).shape == (2, 2)
    assert network.control("xi", t.reshape(4, 10)).shape == (4, 10, 2, 2)
    with pytest.raises(ProblemError, match="outside the trajectory"):
        network.control("xi", -1.0)
    with pytest.raises(ProblemError, match="outside the trajectory"):
        network.control("xi", [0.0, 1e6])


def test_the_control_is_inside_its_bounds(network):
    b = synaptic_control.bound_matrix(NETWORK, SETTINGS["bounds"])
    xi = network.control("xi", np.linspace(0, network.time[-1], 3000))
    assert (np.abs(xi) <= b).all()
    assert (np.abs(xi) == b).any()


def test_controls_by_name(network):
    xi = network.controls["xi"]
    assert xi.shape == (len(network.control_time), 2, 2)
    np.testing.assert_allclose(xi, network.control("xi", network.control_time), atol=1e-14)


def test_steps(iterated):
    u, p, k = iterated.states["u"], iterated.costates["u"], np.arange(6.0)
    wanted = iterated.problem.hamiltonian.control(k, u[:-1], np.exp(-0.5) * p[1:])
    np.testing.assert_allclose(iterated.controls["xi"], wanted.reshape(6, 2, 2), atol=1e-14)
    np.testing.assert_array_equal(iterated.control_time, k)
    np.testing.assert_allclose(iterated.control("xi", 2.5), iterated.controls["xi"][2])
    for j in range(6):
        np.testing.assert_allclose(
            (NETWORK + iterated.controls["xi"][j]) @ np.tanh(u[j]), u[j + 1], atol=1e-12
        )
    with pytest.raises(ProblemError, match="outside"):
        iterated.control("xi", 6.0)


@pytest.mark.parametrize("which", ["network", "iterated"])
def test_files(which, request, tmp_path):
    solution = request.getfixturevalue(which)
    solution.save(tmp_path / "a.nc")
    loaded = oc.load(tmp_path / "a.nc", problem=solution.problem)
    assert (loaded.cost, loaded.status) == (solution.cost, solution.status)
    assert loaded.errors == pytest.approx(solution.errors)
    np.testing.assert_allclose(loaded.controls["xi"], solution.controls["xi"], atol=1e-15)
    np.testing.assert_array_equal(loaded.states["u"], solution.states["u"])
    np.testing.assert_array_equal(loaded.costates["u"], solution.costates["u"])
    nodes = solution.control_time
    np.testing.assert_allclose(loaded.control("xi", nodes), solution.control("xi", nodes), atol=1e-13)
    if which == "network":
        t = np.linspace(0, solution.time[-1], 500)
        assert np.abs(loaded.control("xi", t) - solution.control("xi", t)).max() < 1e-3
        assert loaded.certificate.resimulation_error < 1e-4
    loaded.save(tmp_path / "b.nc")
    again = oc.load(tmp_path / "b.nc")
    np.testing.assert_array_equal(again.controls["xi"], loaded.controls["xi"])


def test_labels(network):
    data = network.to_xarray()
    np.testing.assert_allclose(data["xi"].values, network.controls["xi"], atol=1e-14)


@pytest.mark.parametrize("which", ["network", "iterated"])
def test_simulation_under_the_schedule(which, request):
    solution = request.getfixturevalue(which)
    tf = 6.0 if which == "iterated" else 10.0
    run = oc.simulate(solution.problem, schedule=solution, initial=[1.0, -0.8], tf=tf)
    t = np.arange(7.0) if which == "iterated" else np.linspace(0, 10, 101)
    np.testing.assert_allclose(run.state("u", t), solution.state("u", t), atol=2e-5)


@pytest.mark.parametrize("which", ["network", "iterated"])
def test_certificate(which, request):
    c = request.getfixturevalue(which).certificate
    print(c)
    assert c.resimulation_error <= 5e-6
    assert c.hamiltonian_gap < 1e-9
    assert c.bound_violation == 0
    assert c.costate_residual < 1e-5
    assert not c.transversality >= 1e-6  # no figure on an infinite horizon
    assert c.cost_error < 1e-8
    assert c.stationarity < 1e-7


def test_a_derived_law_with_several_controls():
    problem = oc.Problem("two controls", horizon=oc.Finite(2.0))
    x = problem.state("x", 2, initial=[1.0, 0.5])
    u = problem.control("u", 2, lower=-0.4, upper=[0.1, 0.4])
    v = problem.control("v", (1, 2))
    problem.dynamics(x, ca.vertcat(x[1] + v[0, 0], -ca.sin(x[0]) + u[0] - u[1]) + v.T / 2)
    problem.minimize(stage=ca.sumsqr(x) + ca.sumsqr(u) + ca.sumsqr(v) + 0.3 * v[0, 0] * v[0, 1])
    solution = oc.solve(problem, oc.Pontryagin())
    t = np.linspace(0, 2, 33)
    wanted = problem.hamiltonian.control(t, solution.state("x", t), solution.costate("x", t))
    np.testing.assert_allclose(solution.control("u", t), wanted[:, :2], atol=1e-12)
    np.testing.assert_allclose(solution.control("v", t), wanted[:, 2:].reshape(-1, 1, 2), atol=1e-12)
    assert (np.abs(solution.control("u", t)) <= 0.4).all()


def test_a_problem_without_controls():
    problem = oc.Problem("no controls", horizon=oc.Finite(2.0))
    x = problem.state("x", initial=1.0)
    problem.dynamics(x, -x)
    problem.minimize(stage=x**2)
    solution = oc.solve(problem, oc.Pontryagin())
    assert solution.cost == pytest.approx((1 - np.exp(-4)) / 2, rel=1e-8)
    assert solution.controls == {}
    t = np.linspace(0, 2, 9)  # p = ∂V/∂x
    np.testing.assert_allclose(
        solution.costate("x", t)[:, 0], (1 - np.exp(-2 * (2 - t))) * np.exp(-t), atol=1e-6
    )


def test_a_law_has_no_derivative():
    ends, one = np.array([0.0, 1.0]), np.ones(1, int)
    law = ControlLaw(lambda t: t[:, None], ends, ends, 0 * one, 2 * one)
    with pytest.raises(UnsupportedError, match="have no derivative"):
        law(0.5, derivative=True)
