"""Outcomes of networks whose fate is known, and what is not decided."""

import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import OptionError, ProblemError
from ocnet.landscapes.field import Field
from ocnet.memory import classify
from ocnet.memory.rest import equilibrium, nearest, settled
from ocnet.memory.tail import tail
from problems import brain_memory, synaptic_control

ROTATION = np.array([[1.5, -2.5], [2.5, 1.5]])


def g(s):
    return np.arctan(np.asarray(s) / 0.1) / np.pi + 0.5


def settle(A, u):
    for _ in range(5000):
        u = A @ g(u)
    return u


# ---------------------------------------------------------------------- the authors' first experiment


@pytest.mark.parametrize(
    ("alpha", "steps", "name"),
    [
        (0.0, 50, "recognised"),
        (0.95, 50, "recognised"),
        (0.995, 50, "undecided"),  # it drifts back while one looks
        (0.9995, 50, "recorded"),
        (0.99995, 50, "recorded"),
        (1.0, 50, "recorded"),
        (0.9995, 800, "recognised"),  # what is recorded does not last if its control has a price
        (1.0, 800, "recorded"),
    ],
)
def test_classes_of_the_first_experiment(alpha, steps, name):
    solution = oc.solve(brain_memory.problem(alpha, steps=steps))
    outcome = classify(solution)
    assert outcome.name == name
    assert outcome.residual < 1e-12
    end, xi = solution.states["u"][-1], solution.controls["xi"][-1]
    free, held = settle(brain_memory.SYNAPSES, end), settle(brain_memory.SYNAPSES + xi, end)
    for figure, rest in ((outcome.distance_free, free), (outcome.distance_held, held)):
        assert figure == pytest.approx(np.abs(end - rest).max() / (1 + np.abs(rest).max()), abs=1e-12)
    np.testing.assert_allclose(outcome.equilibrium_free, brain_memory.EQUILIBRIUM, atol=1e-9)
    assert outcome.control == pytest.approx(np.abs(xi).max(), rel=1e-12)
    assert name in str(outcome)


def test_the_lifetime_of_a_recorded_memory_is_that_of_a_longer_horizon():
    outcome = classify(oc.solve(brain_memory.problem(0.9995)))
    assert outcome.metastable
    long = oc.solve(brain_memory.problem(0.9995, steps=800)).states["u"][:, 0]
    back = int(np.argmax(np.abs(long - brain_memory.EQUILIBRIUM) < 0.05 * 0.3) or 800)
    assert 0.3 * outcome.lifetime < back < 2 * outcome.lifetime
    assert not classify(oc.solve(brain_memory.problem(1.0))).metastable


def test_the_landscape_of_a_box_gives_the_same_evidence():
    solution = oc.solve(brain_memory.problem(0.9995))
    near, proved = classify(solution), classify(solution, box=([-2, -2], [2, 2]))
    assert proved.name == near.name == "recorded"
    for figure in ("distance_free", "distance_held", "growth_free", "growth_held"):
        assert getattr(proved, figure) == pytest.approx(getattr(near, figure), abs=1e-9)
    assert classify(solution, box=([-2, -2], [-1, -1])).distance_free == np.inf


def test_controls_that_are_not_optimal_decide_nothing():
    problem = brain_memory.problem(0.5, 0.5, discount=0.25)
    solution = oc.solve(problem)
    xi = solution.controls["xi"].copy()
    rng = np.random.default_rng(0)
    xi[30:] += rng.uniform(-0.4, 0.4, size=(20, 2, 2)) * ~np.eye(2, dtype=bool)
    left = oc.replay(problem, {"xi": xi})
    assert left.cost - solution.cost < 2e-3  # the discount hides it from the cost
    outcome = classify(left)
    assert outcome.name == "undecided"
    assert "not stationary" in outcome.reason
    assert outcome.residual > 0.1
    assert classify(oc.replay(problem, solution.controls)).name == "recognised"


def test_a_failed_solve_decides_nothing():
    solution = oc.solve(brain_memory.problem(0.9995), oc.Collocation(options={"max_iter": 2}), throw=False)
    assert not solution.success
    assert classify(solution).name == "undecided"


def test_an_infinite_horizon_has_no_transversality():
    problem = synaptic_control.problem([[0.0, 2.0], [2.0, 0.0]], [0.5, 0.3], bounds=(0.1, 0.3), discount=0.3)
    solution = oc.solve(problem)
    outcome = classify(solution)
    assert outcome.name == "recognised"
    assert "transversality" not in outcome.certificate
    assert outcome.tail == pytest.approx(0.4 * solution.time[-1])
    u = 2.0
    for _ in range(100):
        u = 2 * np.tanh(u)
    np.testing.assert_allclose(outcome.equilibrium_free, [u, u], atol=1e-9)


# ---------------------------------------------------------------------- cycles and chaos


def rotating(**more):
    options = {"bounds": (0.0, 0.0), "discount": 0.0, "motion": 0.1, "effort": 0.9, "tf": 24.0} | more
    return synaptic_control.problem(ROTATION, [0.4, 0.2], **options)


def test_a_limit_cycle_is_an_association():
    solution = oc.solve(rotating(bounds=(0.02, 0.02), motion=0.0, effort=1.0))  # no control is the optimum
    outcome = classify(solution, window=(14.0, 24.0))
    assert outcome.name == "association"
    assert outcome.period == pytest.approx(outcome.period_frozen, rel=1e-4)
    assert outcome.multiplier < 1
    assert outcome.recurrence < 1e-4
    assert outcome.distance_cycle < 1e-3


def test_a_cycle_of_a_map_is_an_association():
    # u_{k+1} = −3 tanh(u_k) for one neuron: 2-cycle ±u with u = 3 tanh(u), multiplier (3 sech²u)².
    problem = synaptic_control.problem(
        [[-3.0]], [0.5], bounds=(0.1, 0.1), discount=0.0, motion=0.0, effort=1.0, steps=40
    )
    outcome = classify(oc.solve(problem))
    u = 3.0
    for _ in range(200):
        u = 3 * np.tanh(u)
    assert (outcome.name, outcome.period) == ("association", 2.0)
    assert outcome.multiplier == pytest.approx((3 / np.cosh(u) ** 2) ** 2, rel=1e-6)


def chaotic(**more):
    A = 3 * np.array([[-5.0, 5.0], [-25.0, 25.0]])  # Wang's two neurons
    options = {"bounds": (0.05, 0.05), "discount": 0.0, "motion": 0.0, "effort": 1.0, "steps": 400} | more
    return synaptic_control.problem(A, [0.1, 0.2], activation="logistic", **options)


def test_chaos_left_alone_wanders():
    outcome = classify(oc.solve(chaotic()))
    assert outcome.name == "wandering"
    assert 0.2 < outcome.exponent < 0.5
    assert outcome.recurrence > 0.02
    # too short a tail shows too few turns
    assert classify(oc.solve(chaotic(steps=60)), window=(52, 60)).name == "undecided"


def test_exponent_of_a_linear_path():
    problem = oc.Problem("decay", horizon=oc.Finite(4.0))
    x, u = problem.state("x", 2, initial=[1.0, 1.0]), problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(x, oc.networks.additive(x, np.zeros((2, 2)), "tanh") * 0.7)
    problem.minimize(stage=u**2)
    path = tail(oc.solve(problem), 1.0, 4.0)
    assert path.exponent() == pytest.approx(-0.7, rel=1e-5)
    assert np.isnan(path.recurrence()[0])


# ---------------------------------------------------------------------- where networks rest


@pytest.mark.parametrize("discrete", [False, True])
def test_rest_of_a_symmetric_pair(discrete):
    network = oc.networks.hopfield([[0.0, 2.0], [2.0, 0.0]], discrete=discrete)
    field = Field(network)
    u = 2.0
    for _ in range(200):
        u = 2 * np.tanh(u)
    for found in (settled(field, np.array([0.3, 0.5])), equilibrium(field, np.array([1.8, 2.0]))):
        np.testing.assert_allclose(found.x, [u, u], atol=1e-10)
        slope = 2 / np.cosh(u) ** 2
        assert found.growth == pytest.approx(slope if discrete else np.exp(slope - 1), rel=1e-9)
        assert found.stable
    saddle = equilibrium(field, np.array([1e-3, -1e-3]))
    np.testing.assert_allclose(saddle.x, 0, atol=1e-12)
    assert not saddle.stable
    best, how_far = nearest(field, np.array([0.01, 0.02]))
    np.testing.assert_allclose(best.x, 0, atol=1e-12)
    assert how_far == pytest.approx(0.02)


def test_a_network_without_rest():
    network = oc.networks.hopfield(ROTATION)
    assert settled(Field(network), np.array([1.0, 0.0]), time=60.0) is None


# ---------------------------------------------------------------------- what is refused


@pytest.fixture(scope="module")
def solved():
    return oc.solve(brain_memory.problem(0.95))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tolerance": 0.0}, OptionError, r"tolerance is 0.0; expected a number in \(0, 0.1\]"),
        ({"tolerance": np.nan}, OptionError, "tolerance is nan"),
        ({"residual": -1.0}, OptionError, "residual is -1.0"),
        ({"window": (40.0, 60.0)}, ProblemError, r"window is \(40, 60\); expected two times in \[0, 50\]"),
        ({"window": (30.0, 30.0)}, ProblemError, "window"),
    ],
)
def test_bad_options(solved, options, error, message):
    with pytest.raises(error, match=message):
        classify(solved, **options)


def test_bad_solutions(solved, tmp_path):
    with pytest.raises(ProblemError, match="got a dict; expected a Solution"):
        classify({})
    solved.save(tmp_path / "one.nc")
    with pytest.raises(ProblemError, match="does not carry its problem"):
        classify(oc.load(tmp_path / "one.nc"))
    problem = oc.Problem("no controls", horizon=oc.Steps(5))
    x = problem.state("x", initial=1.0)
    problem.dynamics(x, x / 2)
    problem.minimize(stage=x**2)
    with pytest.raises(ProblemError, match="has no controls"):
        classify(oc.solve(problem))
    with pytest.raises(AttributeError, match="has no attribute 'peaks'"):
        _ = classify(solved).peaks
