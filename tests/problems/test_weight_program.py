"""The weight program: its closed form, the identity behind it, its statement in CasADi, and its solution."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import ocnet as oc
from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, SimulationError, UnsupportedError
from ocnet.networks import activation, arctan, custom
from ocnet.trajectory import Interpolant, Trajectory
from problems import weight_program

INDICES = ("activation", "output", "both")


def data(n=3, pairs=4, errors=3, seed=0):
    rng = np.random.default_rng(seed)
    targets = rng.choice([-1.0, 1.0], size=(n, pairs))
    return 0.9 * weight_program.corrupt(targets, errors=errors, rng=rng), targets


def phi_and_slope(index, z, targets):
    """Value and gradient of the index for tanh, written out."""
    g, slope = np.tanh(z), 1 / np.cosh(z) ** 2
    value = {"activation": z, "output": g, "both": z + g}[index]
    gradient = {"activation": np.ones_like(z), "output": slope, "both": 1 + slope}[index]
    return np.sum(value * targets), gradient * targets


def random_schedule(n, rng):
    amplitudes, phases = rng.normal(size=(3, n, n)), rng.uniform(0, 6, size=(3, n, n))
    return lambda t: sum(
        a * np.sin(3 * (k + 1) * t + b) for k, (a, b) in enumerate(zip(amplitudes, phases, strict=True))
    )


def run(inputs, targets, beta, tf, index, schedule):
    """Integrate states, stage cost and gap under a schedule; return the end state, the cost and the gap."""
    n, pairs = targets.shape

    def rate(t, y):
        z, W = y[:-2].reshape(n, pairs), schedule(t)
        _, gradient = phi_and_slope(index, z, targets)
        D = gradient @ np.tanh(z).T
        stage = -np.sum(gradient * z) + beta / 2 * np.sum(D**2) + np.sum(W**2) / (2 * beta)
        return np.append((W @ np.tanh(z) - z).ravel(), [stage, np.sum((W - beta * D) ** 2) / (2 * beta)])

    y0 = np.append(np.arctanh(inputs).ravel(), [0.0, 0.0])
    path = solve_ivp(rate, (0, tf), y0, method="DOP853", rtol=1e-12, atol=1e-12)
    z = path.y[:-2, -1].reshape(n, pairs)
    return z, path.y[-2, -1] - phi_and_slope(index, z, targets)[0], path.y[-1, -1]


# ---------------------------------------------------------------------- the identity


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("seed", range(3))
def test_the_cost_of_any_schedule_is_the_optimum_plus_the_gap(index, seed):
    inputs, targets = data(seed=seed)
    schedule = random_schedule(3, np.random.default_rng(seed))
    optimum = weight_program.optimal_cost(inputs, targets, index=index)
    assert optimum == pytest.approx(-phi_and_slope(index, np.arctanh(inputs), targets)[0], rel=1e-13)
    for beta, tf in ((0.5, 1.0), (2.0, 0.3)):
        _, cost, gap = run(inputs, targets, beta, tf, index, schedule)
        assert gap > 0.1
        assert cost == pytest.approx(optimum + gap, rel=1e-9)


def test_the_same_in_discrete_time():
    inputs, targets = data()
    beta, steps, rng = 0.7, 4, np.random.default_rng(5)
    problem = weight_program.problem(inputs, targets, beta=beta, steps=steps)
    f = problem.functions
    z, cost, gap = np.arctanh(inputs), 0.0, 0.0
    for k in range(steps):
        W, G = rng.normal(size=(3, 3)), np.tanh(z)
        cost += float(f.stage(k, z.ravel(), [], W.ravel(), [], []))
        gap += np.sum((W - beta * targets @ G.T) ** 2) / (2 * beta)
        following = np.array(f.dynamics(k, z.ravel(), [], W.ravel(), [], [])).reshape(z.shape)
        z = W @ G
        np.testing.assert_allclose(following, z, atol=1e-14)
    cost += float(f.terminal(steps, z.ravel(), [], [], [], []))
    assert cost == pytest.approx(problem.reference + gap, rel=1e-12)


@pytest.mark.parametrize("index", INDICES)
def test_sub_optimality_of_a_trajectory(index):
    inputs, targets = data()
    problem = weight_program.problem(inputs, targets, index=index)
    W = np.random.default_rng(1).normal(size=(3, 3))
    _, cost, gap = run(inputs, targets, 0.5, 1.0, index, lambda t: W)
    breaks = np.linspace(0, 1, 11)
    nodes = np.append((breaks[:-1, None] + 0.1 * (1 - np.cos(np.pi * np.arange(8) / 8)) / 2).ravel(), 1.0)
    path = solve_ivp(
        lambda t, y: (W @ np.tanh(y.reshape(3, 4))).ravel() - y, (0, 1), problem.start.ravel(), t_eval=nodes,
        method="DOP853", rtol=1e-12, atol=1e-12,
    )  # fmt: skip
    x = Interpolant(nodes, path.y.T, breaks, 8 * np.arange(10), np.full(10, 9))
    u = Interpolant(np.array([0.5]), W.reshape(1, -1), np.array([0.0, 1.0]), np.array([0]), np.array([1]))
    trajectory = Trajectory(problem.name, "", x, u, [("z", (3, 4))], [("W", (3, 3))])
    found = weight_program.sub_optimality(trajectory, problem)
    assert found == pytest.approx(gap, rel=1e-8)
    assert found == pytest.approx(cost - problem.reference, rel=1e-8)
    with pytest.raises(ProblemError, match="second argument"):
        weight_program.sub_optimality(trajectory)


# ---------------------------------------------------------------------- the statement


@pytest.mark.parametrize("index", INDICES)
def test_the_statement_is_that_of_the_paper(index):
    inputs, targets = data()
    beta, rng = 0.8, np.random.default_rng(2)
    problem = weight_program.problem(inputs, targets, beta=beta, tf=2.0, index=index)
    f = problem.functions
    z, W = rng.normal(size=(3, 4)), rng.normal(size=(3, 3))
    G = np.tanh(z)
    phi, gradient = phi_and_slope(index, z, targets)
    Q = np.einsum("jr,jv,uv,ur->", gradient, gradient, G, G)  # the fourfold sum of the paper
    stage = -np.sum(gradient * z) + beta / 2 * Q + np.sum(W**2) / (2 * beta)
    assert float(f.stage(0.3, z.ravel(), [], W.ravel(), [], [])) == pytest.approx(stage, rel=1e-13)
    assert float(f.terminal(2.0, z.ravel(), [], [], [], [])) == pytest.approx(-phi, rel=1e-13)
    expected = (W @ G - z).ravel()
    np.testing.assert_allclose(
        f.dynamics(0.3, z.ravel(), [], W.ravel(), [], []).full()[:, 0], expected, atol=1e-14
    )
    np.testing.assert_array_equal(f.bounds(np.zeros(0)).initial, np.arctanh(inputs).ravel())
    assert problem.horizon == oc.Finite(2.0)
    assert "NIPS 1989" in problem.source


def test_start_takes_the_place_of_inputs():
    inputs, targets = data()
    start = np.arctanh(inputs)
    same = [
        weight_program.optimal_cost(inputs, targets),
        weight_program.optimal_cost(None, targets, start=start),
    ]
    assert same[0] == same[1]
    far = weight_program.problem(np.sign(inputs), targets, start=20 * np.sign(inputs))
    assert far.reference == pytest.approx(-20 * np.sum(np.sign(inputs) * targets))


def test_guess_is_a_finite_rollout():
    for options in ({}, {"steps": 3}, {"beta": 20.0}, {"activation": "logistic", "start": np.ones((3, 4))}):
        inputs, targets = data()
        problem = weight_program.problem(inputs, targets, **options)
        times, z = problem.guess["z"]
        assert np.isfinite(z).all()
        np.testing.assert_array_equal(z[0], problem.start)
        assert problem.guess["W"].shape == (3, 3)
        assert len(times) == len(z)
        again = oc.simulate(problem, schedule={"W": problem.guess["W"]}, initial=problem.start)
        np.testing.assert_allclose(again.states["z"][-1], z[-1], rtol=1e-4, atol=1e-4)


def test_corrupt_flips_exactly_so_many_signs():
    targets = np.where(np.arange(112).reshape(8, 14) % 3 == 0, 1.0, -1.0)
    for errors in (0, 21, 112):
        spoilt = weight_program.corrupt(targets, errors=errors, rng=np.random.default_rng(3))
        assert np.sum(spoilt != targets) == errors
        np.testing.assert_array_equal(np.abs(spoilt), 1.0)
    first, second = (weight_program.corrupt(targets, errors=21, rng=7) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    with pytest.raises(ProblemError, match="from 0 to 112"):
        weight_program.corrupt(targets, errors=113, rng=0)
    with pytest.raises(DataError, match="zeros"):
        weight_program.corrupt(np.zeros((2, 2)), errors=1, rng=0)


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"inputs": np.ones((3, 4))}, DataError, r"inputs\[0, 0\] is 1.*Scale the inputs.*start="),
        ({"inputs": np.full((3, 4), -1.2)}, DataError, "strictly inside"),
        ({"inputs": np.zeros((3, 5))}, ShapeError, r"inputs have shape \(3, 5\) and targets \(3, 4\)"),
        ({"start": np.zeros((4, 3))}, ShapeError, "start have shape"),
        ({"inputs": np.zeros(3)}, ShapeError, "inputs: got an array of shape"),
        ({"targets": np.zeros((0, 4))}, ShapeError, "n neurons, L pairs"),
        ({"inputs": np.full((3, 4), np.nan)}, DataError, r"inputs: component \[0, 0\] is nan"),
        ({"targets": np.full((3, 4), np.inf)}, DataError, "targets: component"),
        ({"inputs": "many"}, DataError, "array of numbers"),
        ({"inputs": None}, DataError, "neither inputs nor start"),
        ({"beta": 0.0}, ProblemError, "beta: got 0.0; expected a positive"),
        ({"beta": "large"}, ProblemError, "beta: got 'large'"),
        ({"tf": -1.0}, ProblemError, "expected tf > t0"),
        ({"steps": 0}, ProblemError, "positive integer"),
        ({"steps": 2.5}, ProblemError, "positive integer"),
        ({"index": "weights"}, OptionError, r"expected one of \['activation', 'output', 'both'\]"),
        ({"activation": "sigmoid"}, OptionError, "expected one of"),
        ({"steps": 3, "index": "output"}, UnsupportedError, "linear in W"),
    ],
)
def test_bad_input_is_refused(changes, error, message):
    inputs, targets = data()
    arguments = {"inputs": inputs, "targets": targets, **changes}
    with pytest.raises(error, match=message):
        weight_program.problem(arguments.pop("inputs"), arguments.pop("targets"), **arguments)


def test_inputs_are_held_against_the_range_of_the_activation():
    targets = np.ones((2, 1))
    with pytest.raises(DataError, match=r"range \(0, 1\) of arctan"):
        weight_program.problem([[0.5], [-0.1]], targets, activation=arctan(0.1))
    problem = weight_program.problem([[0.5], [0.9]], targets, activation=arctan(0.1))
    np.testing.assert_allclose(problem.start, [[0.0], [0.1 * np.tan(0.4 * np.pi)]], atol=1e-15)


# ---------------------------------------------------------------------- the closed form


@pytest.mark.parametrize("index", INDICES)
def test_closed_form_is_the_optimum(index):
    inputs, targets = data(4, 6, 5)
    solution = weight_program.closed_form(inputs, targets, beta=0.9, tf=1.5, index=index)
    assert solution.success
    assert solution.mesh_error < 1e-11
    assert solution.cost == weight_program.optimal_cost(inputs, targets, index=index)
    assert weight_program.sub_optimality(solution) < 1e-20

    def weights(t):  # at any time, not only at nodes
        return solution.control("W", t)

    z, cost, gap = run(inputs, targets, 0.9, 1.5, index, weights)
    np.testing.assert_allclose(solution.state("z", 1.5), z, atol=1e-8)
    assert cost == pytest.approx(solution.cost, rel=1e-10)
    assert gap < 1e-12
    t = np.linspace(0, 1.5, 301)
    path = solution.state("z", t)
    expected = np.array([-phi_and_slope(index, z, targets)[1] for z in path])
    np.testing.assert_allclose(solution.costate("z", t), expected, atol=1e-10)
    expected = np.array([0.9 * phi_and_slope(index, z, targets)[1] @ np.tanh(z).T for z in path])
    np.testing.assert_allclose(weights(t), expected, atol=1e-10)


def test_closed_form_between_its_nodes():
    inputs, targets = data(8, 14, 21)
    solution = weight_program.closed_form(inputs, targets)

    def rate(_, y):
        G = np.tanh(y.reshape(8, 14))
        return 0.5 * (targets @ G.T @ G).ravel() - y

    for t in (0.0371, 0.5003, 0.99991):
        path = solve_ivp(rate, (0, t), np.arctanh(inputs).ravel(), method="DOP853", rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(solution.state("z", t).ravel(), path.y[:, -1], atol=3e-11)
    assert solution.states["z"].shape == (len(solution.time), 8, 14)
    assert solution.controls["W"].shape == (len(solution.control_time), 8, 8)


def test_closed_form_in_discrete_time_is_the_recursion():
    inputs, targets = data()
    solution = weight_program.closed_form(inputs, targets, beta=0.8, steps=3)
    assert solution.discrete
    z = np.arctanh(inputs)
    for k in range(3):
        np.testing.assert_array_equal(solution.states["z"][k], z)
        W = 0.8 * targets @ np.tanh(z).T
        np.testing.assert_allclose(solution.controls["W"][k], W, atol=1e-14)
        z = solution.controls["W"][k] @ np.tanh(z)
    np.testing.assert_allclose(solution.states["z"][3], z, atol=1e-14)
    assert solution.states["z"].shape == (4, 3, 4)
    assert solution.controls["W"].shape == (3, 3, 3)
    np.testing.assert_array_equal(solution.costates["z"], -np.broadcast_to(targets, (4, 3, 4)))
    assert weight_program.sub_optimality(solution) == 0.0


def test_closed_form_is_written_and_read(tmp_path):
    inputs, targets = data()
    solution = weight_program.closed_form(inputs, targets)
    solution.save(tmp_path / "closed_form.nc")
    again = oc.load(tmp_path / "closed_form.nc")
    np.testing.assert_array_equal(again.states["z"], solution.states["z"])
    assert weight_program.sub_optimality(again, weight_program.problem(inputs, targets)) < 1e-20


def test_a_network_that_leaves_all_bounds_says_so():
    linear = custom(lambda s: s, inverse=lambda v: v, name="linear")
    _, targets = data()
    near = weight_program.closed_form(2 * targets, targets, activation=linear, tf=0.05)
    assert near.cost == pytest.approx(-24.0)
    for options in ({"tf": 1.0}, {"steps": 12}):
        with pytest.raises(SimulationError, match="leaves all bounds"):
            weight_program.closed_form(2 * targets, targets, activation=linear, **options)
    assert weight_program.problem(2 * targets, targets, activation=linear, steps=500).guess is None


# ---------------------------------------------------------------------- the learning curves

# Mean over 200 draws of 14 distinct vectors, n = 8, beta = 1, start = 20 x corrupted; steps 0 to 4.
TABLE = {
    ("optimal", "cosine_output"): [0.625, 0.731, 0.687, 0.650, 0.616],
    ("outer product", "cosine_output"): [0.625, 0.646, 0.635, 0.635, 0.625],
    ("optimal", "bit_errors"): [21, 17.3, 17.8, 19.8, 21.7],
}


def distinct_vectors(rng, n=8, pairs=14):
    codes = rng.permutation(2**n)[:pairs]
    return np.where(codes >> np.arange(n)[:, None] & 1, 1.0, -1.0)


def test_learning_curves_of_the_paper():
    rng, draws = np.random.default_rng(1989), 200
    curves = []
    for _ in range(draws):
        targets = distinct_vectors(rng)
        spoilt = weight_program.corrupt(targets, errors=21, rng=rng)
        curves.append(weight_program.learning_curves(spoilt, targets, beta=1.0, steps=4, start=20 * spoilt))
    for (rule, measure), expected in TABLE.items():
        values = np.array([getattr(curve[rule], measure) for curve in curves])
        error = np.sqrt(2 / draws) * values.std(axis=0)  # of the difference between two means
        np.testing.assert_array_less(np.abs(values.mean(axis=0) - expected), 4 * error + 5e-4)
    better = [
        np.mean([c[rule].cosine_activation[1] for c in curves]) for rule in ("optimal", "outer product")
    ]
    assert better[0] > better[1] + 0.05


def test_both_rules_coincide_when_started_from_the_true_vectors():
    targets = distinct_vectors(np.random.default_rng(4))
    curves = weight_program.learning_curves(None, targets, beta=1.0, steps=1, start=30 * targets)
    for measure in ("cosine_activation", "cosine_output", "bit_errors"):
        optimal, outer = (getattr(curves[rule], measure) for rule in ("optimal", "outer product"))
        np.testing.assert_allclose(optimal, outer, atol=1e-12)
    assert curves["optimal"].cosine_output[0] == pytest.approx(1.0)
    assert curves["optimal"].bit_errors[0] == 0


# ---------------------------------------------------------------------- solved


@pytest.mark.parametrize("index", INDICES)
def test_solved_small(index):
    inputs, targets = data(2, 3, 1)
    problem = weight_program.problem(inputs, targets, index=index)
    solution = oc.solve(problem, oc.Collocation(refine_to=1e-8))
    exact = weight_program.closed_form(inputs, targets, index=index)
    assert solution.cost == pytest.approx(problem.reference, rel=1e-9)
    t = np.linspace(0, 1, 101)
    np.testing.assert_allclose(solution.state("z", t), exact.state("z", t), atol=1e-6)
    np.testing.assert_allclose(solution.control("W", t), exact.control("W", t), atol=1e-5)
    np.testing.assert_allclose(solution.costate("z", t), exact.costate("z", t), atol=1e-5)
    assert 0 <= weight_program.sub_optimality(solution) < 1e-8


def test_solved_in_discrete_time():
    inputs, targets = data()
    solution = oc.solve(weight_program.problem(inputs, targets, steps=3))
    exact = weight_program.closed_form(inputs, targets, steps=3)
    assert solution.cost == pytest.approx(exact.cost, rel=1e-9)
    np.testing.assert_allclose(solution.states["z"], exact.states["z"], atol=1e-5)
    np.testing.assert_allclose(solution.controls["W"], exact.controls["W"], atol=1e-5)
    np.testing.assert_allclose(solution.costates["z"], -np.broadcast_to(targets, (4, 3, 4)), atol=1e-5)


def test_a_pair_run_under_the_recorded_weights_is_that_pair():
    inputs, targets = data()
    exact = weight_program.closed_form(inputs, targets)
    network = weight_program.network(3)
    t = np.linspace(0, 1, 11)
    for pair in range(4):
        recalled = oc.simulate(network, schedule=exact, initial=exact.states["z"][0, :, pair])
        np.testing.assert_allclose(recalled.state("x", t), exact.state("z", t)[:, :, pair], atol=1e-7)


def test_the_network_in_discrete_time():
    inputs, targets = data()
    exact = weight_program.closed_form(inputs, targets, steps=3)
    network = weight_program.network(3, activation("tanh"), discrete=True)
    recalled = oc.simulate(network, schedule=exact, initial=exact.states["z"][0, :, 2])
    np.testing.assert_allclose(recalled.states["x"], exact.states["z"][:, :, 2], atol=1e-12)


@pytest.fixture(scope="module")
def of_the_size_of_the_paper():
    """Eight neurons, fourteen pairs: the solution, and the closed form."""
    rng = np.random.default_rng(0)
    targets = rng.choice([-1.0, 1.0], size=(8, 14))
    inputs = 0.9 * weight_program.corrupt(targets, errors=21, rng=rng)
    problem = weight_program.problem(inputs, targets, beta=0.5, tf=1.0)
    solution = oc.solve(problem, oc.Collocation(refine_to=1e-8))
    return solution, weight_program.closed_form(inputs, targets), np.linspace(0, 1, 2001)


@pytest.mark.slow
def test_cost_costates_and_states_at_the_size_of_the_paper(of_the_size_of_the_paper):
    solution, exact, t = of_the_size_of_the_paper
    assert solution.cost == pytest.approx(exact.cost, rel=1e-9)
    np.testing.assert_allclose(solution.costate("z", t), exact.costate("z", t), atol=1e-6)
    np.testing.assert_allclose(solution.state("z", t), exact.state("z", t), rtol=0, atol=1e-6)
    assert 0 <= weight_program.sub_optimality(solution) < 1e-9


@pytest.mark.slow
def test_weights_at_the_size_of_the_paper(of_the_size_of_the_paper):
    solution, exact, t = of_the_size_of_the_paper
    np.testing.assert_allclose(solution.control("W", t), exact.control("W", t), rtol=0, atol=1e-6)
