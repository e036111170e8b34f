"""Equilibria against closed forms, a dense grid, the index theorem, and problems that are no networks."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import UnsupportedError
from ocnet.landscapes.equilibria import kind_of
from ocnet.networks import activation, arctan, custom, hopfield
from problems import synaptic_control


def plain(*rows, name="plain", horizon=None):
    """A problem of one state vector, from a function x -> list of expressions."""
    problem = oc.Problem(name, horizon=horizon or oc.Discounted(1.0))
    x = problem.state("x", len(rows))
    problem.dynamics(x, ca.vertcat(*[row(x) for row in rows]))
    return problem


def random_network(seed):
    """T, threshold, activation: N = 2 or 3, symmetric or not, weak or strong."""
    rng = np.random.default_rng(seed)
    n = 2 + seed % 2
    T = rng.normal(size=(n, n)) * rng.choice([1.0, 3.0, 6.0])
    if seed // 2 % 2:
        T = (T + T.T) / 2
    g = [activation("tanh"), activation("logistic"), arctan(0.1)][seed // 4 % 3]
    a = T @ np.full(n, (g.lower + g.upper) / 2) + rng.normal(size=n) * 0.2 if seed % 5 else np.zeros(n)
    return T, a, g


def by_dense_grid(T, a, g, bound):
    """All equilibria of u̇ = T g(u − a) − u: cells that a Lipschitz bound leaves, then plain Newton from each.

    It shares nothing with the package: |f_i(c)| > r_i + Σ_j |T_ij| max g' r_j excludes a cell about c. What a
    dense grid leaves is halved in each direction five times.
    """
    n, cells = len(T), {2: 100, 3: 32}[len(T)]
    axes = [-b + (np.arange(cells) + 0.5) * 2 * b / cells for b in bound]
    u = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, n)
    radius = bound / cells
    corners = np.stack(np.meshgrid(*[[-1, 1]] * n, indexing="ij"), axis=-1).reshape(-1, n)
    for halved in range(6):
        inner = np.sign(u - a) * np.maximum(np.abs(u - a) - radius, 0)  # where g' is largest
        reach = (g.derivative(inner) * radius) @ np.abs(T).T + radius
        u = u[np.all(np.abs(g(u - a) @ T.T - u) <= reach, axis=1)]
        if halved < 5:
            radius = radius / 2
            u = (u[:, None] + corners * radius).reshape(-1, n)
    found = np.zeros((0, n))
    for _ in range(60):
        f = g(u - a) @ T.T - u
        J = T[None] * g.derivative(u - a)[:, None, :] - np.eye(n)
        step = np.linalg.solve(J, -f[:, :, None])[:, :, 0]
        u = u + step / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1.0)
    u = u[np.abs(g(u - a) @ T.T - u).max(axis=1) < 1e-12]
    for point in u:
        if not len(found) or np.abs(found - point).max(axis=1).min() > 1e-7:
            found = np.vstack([found, point])
    return found[np.all(np.abs(found) <= bound, axis=1)]


@pytest.mark.parametrize("part", range(4))
def test_all_equilibria_of_random_networks_against_a_dense_grid(part):
    several = 0
    for seed in range(25 * part, 25 * (part + 1)):
        T, a, g = random_network(seed)
        bound = np.abs(T).sum(axis=1) + 0.1  # |u_i| ≤ Σ_j |T_ij| at an equilibrium, as |g| ≤ 1
        found = oc.landscape(hopfield(T, activation=g, threshold=a), -bound, bound)
        expected = by_dense_grid(T, a, g, bound)
        assert found.proved, seed
        assert len(found) == len(expected), seed
        for e in found.equilibria:
            assert np.abs(expected - e.x).max(axis=1).min() < 1e-8, seed
            assert e.residual < 1e-12
            assert e.isolated
        assert found.index == 1
        several += len(found) > 1
    assert several >= 8


@pytest.mark.parametrize("n", [4, 5])
def test_indices_add_up_to_one(n):
    rng = np.random.default_rng(n)
    for _ in range(2):
        T = rng.normal(size=(n, n)) * 3
        T = T + T.T
        bound = np.abs(T).sum(axis=1) + 0.1
        found = oc.landscape(hopfield(T), -bound, bound)
        assert found.proved
        assert found.index == 1
        assert len(found) >= 3


def test_the_search_finds_what_the_bisection_proves():
    for seed in (0, 2, 3, 7):
        T, a, g = random_network(seed)
        bound = np.abs(T).sum(axis=1) + 0.1
        problem = hopfield(T, activation=g, threshold=a)
        proved, searched = (oc.landscape(problem, -bound, bound, exhaustive=e) for e in (True, False))
        assert len(proved) == len(searched)
        assert not searched.proved
        assert "nothing is proved" in str(searched)
        for p, s in zip(proved.equilibria, searched.equilibria, strict=True):
            assert np.abs(p.x - s.x).max() < 1e-8
            assert p.kind == s.kind


def test_memories_of_a_larger_network_are_found_from_given_starts():
    rng = np.random.default_rng(3)
    patterns = rng.choice([-1.0, 1.0], size=(40, 3))
    found = oc.landscape(
        hopfield(3 * patterns @ patterns.T / 40),
        -10,
        10,
        starts=patterns.T,
        trials=3,
        rng=np.random.default_rng(0),
    )
    for pattern in patterns.T:
        nearest = found.nearest(3 * pattern, kind="sink")
        assert np.array_equal(np.sign(nearest.x), pattern)
        assert nearest.residual < 1e-11


# ---------------------------------------------------------------------- kinds


def test_kinds_in_continuous_time():
    found = oc.landscape(plain(lambda x: x[0] - x[0] ** 3, lambda x: -x[1]), -2, 2)
    assert [(e.kind, *np.round(e.x, 9)) for e in found.equilibria] == [
        ("sink", -1.0, 0.0), ("sink", 1.0, 0.0), ("saddle", 0.0, 0.0),
    ]  # fmt: skip
    assert found.sinks[0].eigenvalues == pytest.approx([-1, -2])
    assert found.sinks[0].stable
    assert not found.saddles[0].stable
    assert oc.landscape(plain(lambda x: x[0], lambda x: 2 * x[1]), -1, 1).sources[0].eigenvalues[0] == 2
    pendulum = oc.landscape(plain(lambda x: x[1], lambda x: -ca.sin(x[0])), [-4, -1], [4, 1])
    assert [e.kind for e in pendulum.equilibria] == ["saddle", "saddle", "center"]
    assert pendulum.saddles[1].x == pytest.approx([np.pi, 0])
    assert pendulum.index == -1  # the field is not inward


def test_fixed_points_of_maps():
    """The logistic map r x (1 − x): x = 0 with slope r, x = 1 − 1/r with slope 2 − r."""
    steps = oc.Steps(None, discount=1.0)
    for r, kinds in ((0.5, ["sink", "source"]), (2.5, ["sink", "source"]), (3.5, ["source", "source"])):
        found = oc.landscape(plain(lambda x, r=r: r * x[0] * (1 - x[0]), horizon=steps), -2, 2)
        assert sorted(e.kind for e in found.equilibria) == sorted(kinds)
        for e in found.equilibria:
            assert min(abs(e.x[0]), abs(e.x[0] - 1 + 1 / r)) < 1e-12
            assert e.eigenvalues[0] == pytest.approx(r - 2 * r * e.x[0])
    turn = oc.landscape(
        plain(lambda x: 0.6 * x[0] - 0.8 * x[1], lambda x: 0.8 * x[0] + 0.6 * x[1], horizon=steps), -1, 1
    )
    assert turn.equilibria[0].kind == "center"
    shear = oc.landscape(plain(lambda x: x[0] + x[1], lambda x: 0.5 * x[1] + x[0] ** 3, horizon=steps), -1, 1)
    assert shear.equilibria[0].kind == "degenerate"


def test_kind_of_an_equilibrium_is_read_from_its_spectrum():
    assert kind_of(np.array([-1.0, -2.0])) == "sink"
    assert kind_of(np.array([1j, -1j])) == "center"
    assert kind_of(np.array([0.0, -1.0])) == "degenerate"
    assert kind_of(np.array([1e-9 + 1j, 1e-9 - 1j, -1.0])) == "degenerate"
    assert kind_of(np.array([0.5, -1.5]), discrete=True) == "saddle"
    assert kind_of(np.array([1.0, 0.5]), discrete=True) == "degenerate"
    assert kind_of(np.exp(np.array([1j, -1j])), discrete=True) == "center"


def test_degenerate_equilibria_are_found_and_reported():
    found = oc.landscape(plain(lambda x: x[0] ** 2 - x[1], lambda x: -x[1]), -1, 1.5)
    assert [e.kind for e in found.equilibria] == ["degenerate"]
    assert found.equilibria[0].x == pytest.approx([0, 0], abs=1e-4)
    assert len(found.undecided) > 0
    assert found.index is None
    assert "undecided" in str(found)
    assert np.abs(found.undecided).max() < 1e-2  # all of them lie around it


def test_a_pair_just_after_and_just_before_its_birth():
    """ẋ = x² ∓ 1e-6: two equilibria 2e-3 apart, and none."""
    born = oc.landscape(plain(lambda x: x[0] ** 2 - 1e-6), -1, 1.3)
    assert [e.kind for e in born.equilibria] == ["sink", "source"]
    assert born.equilibria[0].x == pytest.approx(-1e-3, rel=1e-9)
    gone = oc.landscape(plain(lambda x: x[0] ** 2 + 1e-6), -1, 1.3)
    assert len(gone) == 0
    assert gone.proved
    assert "no equilibrium" in str(gone)
    assert gone.nearest([0.0]) is None


def test_a_line_of_equilibria_is_given_up_and_said():
    found = oc.landscape(plain(lambda x: x[0] - x[1], lambda x: x[1] - x[0]), -1, 1, most=2000, trials=5)
    assert not found.proved
    assert "too hard to search by intervals" in str(found)
    assert all(e.kind == "degenerate" for e in found.equilibria)


def test_equilibria_on_the_boundary_of_the_box_count():
    found = oc.landscape(plain(lambda x: x[0] - x[0] ** 3), 0.0, 1.0)
    assert [e.x[0] for e in found.equilibria] == pytest.approx([1.0, 0.0])


# ---------------------------------------------------------------------- problems of all sorts


def test_the_same_problem_with_its_control_held():
    A = np.array([[0.2, 1.4], [-0.9, 0.0]])
    problem = synaptic_control.problem(A, [1.0, -0.8], bounds=(0.5, 2.5), discount=0.5)
    bare, held = np.zeros((2, 2)), np.array([[0.0, 0.3], [2.5, 0.5]])
    for xi in (bare, held):
        found = oc.landscape(problem, -5, 5, controls={"xi": xi})
        same = oc.landscape(hopfield(A + xi), -5, 5)
        assert len(found) == len(same)
        assert [e.x for e in found.equilibria] == [pytest.approx(e.x) for e in same.equilibria]
    assert len(oc.landscape(problem, -5, 5, controls={"xi": held})) == 3
    assert len(oc.landscape(problem, -5, 5, controls={"xi": 0.0})) == 1


def test_parameters_and_unknowns_and_several_states():
    problem = oc.Problem("two rooms", horizon=oc.Finite(1.0))
    x, y = problem.state("x"), problem.state("y", (1, 2))
    gain, shift = problem.parameter("gain", value=2.0), problem.unknown("shift", guess=0.5)
    problem.dynamics(x, gain - x)
    problem.dynamics(y, ca.horzcat(shift - y[0, 0], x - y[0, 1]))
    (e,) = oc.landscape(problem, -10, 10).equilibria
    assert e.x == pytest.approx([2, 0.5, 2])
    (e,) = oc.landscape(problem, -10, 10, parameters={"gain": 3.0}, unknowns={"shift": -1.0}).equilibria
    assert e.x == pytest.approx([3, -1, 3])


def test_dynamics_that_may_jump_are_searched_not_bisected():
    found = oc.landscape(plain(lambda x: ca.if_else(x[0] > 0, 1 - x[0], -1 - x[0])), -2, 2)
    assert not found.proved
    assert [e.x[0] for e in found.equilibria] == pytest.approx([-1, 1])


def test_a_custom_activation_and_the_discrete_network():
    softsign = custom(lambda s: s / (1 + ca.fabs(s)), name="softsign", lower=-1, upper=1)
    found = oc.landscape(hopfield([[3.0]], activation=softsign), -4, 4)
    assert [e.x[0] for e in found.equilibria] == pytest.approx([-2, 2, 0])  # 3 s/(1 + s) = s
    steps = oc.landscape(hopfield([[3.0]], activation=softsign, discrete=True), -4, 4)
    assert [e.x[0] for e in steps.equilibria] == pytest.approx([-2, 2, 0])
    assert steps.sinks[0].eigenvalues == pytest.approx([1 / 3])
    assert steps.sources[0].eigenvalues == pytest.approx([3])


def test_the_plain_map_of_the_brain_memory_experiments_has_one_memory():
    """E1 of Cardin et al.: A = [[0, 1], [1, 0]], arctan of width 0.1: (0.9672, 0.9672) attracts."""
    found = oc.landscape(hopfield([[0.0, 1.0], [1.0, 0.0]], activation=arctan(0.1), discrete=True), -1.5, 1.5)
    assert found.proved
    assert found.sinks[0].x == pytest.approx([0.96720628, 0.96720628], abs=1e-8)
    assert len(found.sinks) == 1


def test_the_field_can_be_evaluated_and_the_table_printed():
    found = oc.landscape(hopfield([[0.0, 2.0], [2.0, 0.0]]), -3, 3)
    points = np.random.default_rng(0).normal(size=(4, 5, 2))
    assert found.field(points) == pytest.approx(2 * np.tanh(points[..., ::-1]) - points)
    text = str(found)
    assert "2 sink, 1 saddle" in text
    assert "(1.915, 1.915)" in text
    assert "whole box was searched by intervals" in text
    assert found.nearest([1.0, 2.0]) is found.sinks[1]
    assert found.nearest([0.1, 0.0], kind="sink").kind == "sink"


def test_dynamics_that_cannot_be_expanded_into_scalar_operations():
    """ẋ = 2 y(x) − x with y + y³ = x by CasADi's root finder: x = 0 and ±2."""
    y, p = ca.SX.sym("y"), ca.SX.sym("p")
    root = ca.rootfinder("root", "newton", {"x": y, "p": p, "g": y + y**3 - p})
    found = oc.landscape(plain(lambda x: 2 * root(0, x[0]) - x[0]), -3, 3, trials=8)
    assert not found.proved
    assert [e.x[0] for e in found.equilibria] == pytest.approx([-2, 2, 0], abs=1e-9)
    assert found.sinks[0].eigenvalues == pytest.approx([-0.5])
    with pytest.raises(UnsupportedError, match="has no interval rule"):
        oc.landscape(found.field.problem, -3, 3, exhaustive=True)


def test_so_many_controls_that_expressions_stay_matrices():
    problem = oc.Problem("crowd", horizon=oc.Finite(1.0))
    x, u = problem.state("x", 2), problem.control("u", 120_000)
    problem.dynamics(x, u[:2] - ca.tanh(x))
    held = np.zeros(120_000)
    held[:2] = 0.5, -0.3
    found = oc.landscape(problem, -3, 3, controls={"u": held}, trials=4)
    assert not found.field.velocity.is_a("SXFunction")
    assert [e.x for e in found.equilibria] == [pytest.approx(np.arctanh([0.5, -0.3]))]
    with pytest.raises(UnsupportedError, match="is no function of scalar operations"):
        oc.landscape(problem, -3, 3, controls={"u": held}, exhaustive=True)


def test_equilibria_on_the_faces_of_the_box():
    pendulum = plain(lambda x: x[1], lambda x: -ca.sin(x[0]) - x[1])
    found = oc.landscape(pendulum, [0, 0], [4, 1])
    assert found.proved
    assert [e.kind for e in found.equilibria] == ["sink", "saddle"]
    np.testing.assert_allclose([e.x for e in found.equilibria], [[0, 0], [np.pi, 0]], atol=1e-12)
