"""Limit cycles against normal forms, known periods, Liouville's formula and finite differences."""

import casadi as ca
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import ocnet as oc
from ocnet.errors import DataError, OptionError, ProblemError, ShapeError, SolveError
from ocnet.networks import hopfield

VAN_DER_POL = 6.66328685932313  # Amore, Boyd and Fernandez, Appl. Math. Comput. 2018, for μ = 1


def plain(rule, n, name="plain", horizon=None):
    problem = oc.Problem(name, horizon=horizon or oc.Discounted(1.0))
    x = problem.state("x", n)
    problem.dynamics(x, rule(x))
    return problem


def normal_form(omega, twist=0.0, sign=1.0):
    """ṙ = ±(r − r³), θ̇ = ω + twist (r² − 1)."""

    def rule(x):
        square = ca.sumsqr(x)
        turn = omega + twist * (square - 1)
        return ca.vertcat(sign * x[0] * (1 - square) - turn * x[1], sign * x[1] * (1 - square) + turn * x[0])

    return plain(rule, 2)


def van_der_pol(mu=1.0):
    return plain(lambda x: ca.vertcat(x[1], mu * (1 - x[0] ** 2) * x[1] - x[0]), 2)


@pytest.mark.parametrize(("omega", "twist"), [(1.0, 0.0), (3.0, 0.0), (3.0, 2.0), (-5.0, 1.0)])
def test_the_hopf_normal_form_is_exact(omega, twist):
    found = oc.limit_cycle(normal_form(omega, twist), [0.3, 0.1])
    period = 2 * np.pi / abs(omega)
    assert found.period == pytest.approx(period, rel=1e-11)
    assert np.hypot(*found.x) == pytest.approx(1, abs=1e-11)
    assert found.multipliers == pytest.approx([np.exp(-2 * period)], abs=1e-10)
    assert found.stable
    assert found.trivial_error < 1e-10
    assert found.residual < 1e-11
    assert found.extent == pytest.approx([2, 2], abs=1e-5)
    radius = np.hypot(*found.trajectory.state("x", np.linspace(0, found.period, 100)).T)
    assert radius == pytest.approx(1, abs=1e-9)


def test_an_unstable_cycle_is_found_from_a_guess_and_not_followed():
    problem = normal_form(3.0, sign=-1.0)
    found = oc.limit_cycle(problem, [0.99, 0.05], period=2.0)
    assert found.kind == "unstable"
    assert not found.stable
    assert found.multipliers == pytest.approx([np.exp(4 * np.pi / 3)], rel=1e-9)
    with pytest.raises(SolveError, match=r"the path comes to rest at \(.*\), where it moves by"):
        oc.limit_cycle(problem, [0.9, 0.1])
    with pytest.raises(SolveError, match="the path runs away"):
        oc.limit_cycle(problem, [1.1, 0.1])


@pytest.mark.parametrize("guess", [None, 6.0, 13.3])
def test_the_period_of_van_der_pol_and_its_multiples(guess):
    found = oc.limit_cycle(van_der_pol(), [2.0, 0.1], period=guess)
    assert found.period == pytest.approx(VAN_DER_POL, rel=1e-11)
    assert found.multipliers[0].real == pytest.approx(np.exp(-7.0588), rel=1e-3)
    assert f"period {VAN_DER_POL:.10g}" in str(found)
    assert "stable" in str(found)


def liouville(found, field):
    """exp ∫ tr J: the product of all multipliers."""
    nodes, weights = np.polynomial.legendre.leggauss(12)
    breaks = found.trajectory.x.breaks
    half = np.diff(breaks) / 2
    t = breaks[:-1, None] + half[:, None] * (1 + nodes)
    trace = np.trace(field.jacobian(found.trajectory.x(t)), axis1=-2, axis2=-1)
    return np.exp(np.sum(half[:, None] * weights * trace))


def test_a_cycle_of_an_asymmetric_network():
    """Two neurons around an unstable focus; Liouville's formula gives the multiplier too."""
    T = np.array([[2.0, -2.0], [2.0, 2.0]])
    equilibria = oc.landscape(hopfield(T), -5, 5)
    assert equilibria.proved
    assert [e.kind for e in equilibria.equilibria] == ["source"]
    found = oc.limit_cycle(hopfield(T), [0.1, 0.0])
    assert found.stable
    assert found.multipliers[0].real == pytest.approx(liouville(found, equilibria.field), rel=1e-8)
    end = solve_ivp(
        lambda t, u: T @ np.tanh(u) - u, (0, found.period), found.x, method="LSODA", rtol=1e-11, atol=1e-12
    ).y[:, -1]
    assert end == pytest.approx(found.x, abs=1e-8)


def test_multipliers_of_a_ring_of_neurons_by_finite_differences():
    T = 4.0 * np.roll(np.diag([1.0, 1.0, -1.0, 1.0, 1.0]), 1, axis=0)
    found = oc.limit_cycle(hopfield(T), [1.0, 0.2, -0.3, 0.5, 0.1])
    assert found.stable
    assert len(found.multipliers) == 4

    def period_map(u):
        flow = solve_ivp(
            lambda t, u: T @ np.tanh(u) - u, (0, found.period), u, method="DOP853", rtol=1e-12, atol=1e-13
        )
        return flow.y[:, -1]

    step = 1e-4
    M = np.column_stack(
        [(period_map(found.x + step * e) - period_map(found.x - step * e)) / (2 * step) for e in np.eye(5)]
    )
    expected = np.linalg.eigvals(M)
    expected = expected[np.argsort(-np.abs(expected))]
    assert expected[0] == pytest.approx(1, abs=1e-6)
    assert np.abs(found.multipliers) == pytest.approx(np.abs(expected[1:]), abs=1e-6)


def test_a_cycle_of_three_states_with_a_known_contraction():
    """The normal form beside ż = −c z + x: one multiplier more, e^{−cT}."""

    def rule(x):
        square = x[0] ** 2 + x[1] ** 2
        return ca.vertcat(x[0] * (1 - square) - 2 * x[1], x[1] * (1 - square) + 2 * x[0], x[0] - 0.1 * x[2])

    found = oc.limit_cycle(plain(rule, 3), [0.5, 0.0, 1.0])
    assert found.multipliers == pytest.approx([np.exp(-0.1 * np.pi), np.exp(-2 * np.pi)], abs=1e-9)


def test_a_cycle_that_only_exists_with_the_control_held():
    problem = oc.Problem("pair", horizon=oc.Finite(5.0, t0=1.0))
    u, xi = problem.state("u", 2), problem.control("xi", (2, 2))
    problem.dynamics(u, ca.mtimes(ca.DM([[2.0, 0.0], [2.0, 2.0]]) + xi, ca.tanh(u)) - u)
    held = np.array([[0.0, -2.0], [0.0, 0.0]])
    found = oc.limit_cycle(problem, [0.1, 0.0], controls={"xi": held})
    assert found.period == pytest.approx(
        oc.limit_cycle(hopfield([[2, -2], [2, 2]]), [0.1, 0.0]).period, rel=1e-9
    )
    assert found.trajectory.controls["xi"][0] == pytest.approx(held)
    with pytest.raises(SolveError, match="comes to rest"):
        oc.limit_cycle(problem, [0.1, 0.0], controls={"xi": 0.0})


def test_conservative_cycles_are_neutral():
    found = oc.limit_cycle(plain(lambda x: ca.vertcat(x[1], -ca.sin(x[0])), 2), [1.0, 0.0], period=6.7)
    assert found.kind == "neutral"
    assert abs(found.multipliers[0]) == pytest.approx(1, abs=1e-6)


# ---------------------------------------------------------------------- maps


STEPS = oc.Steps(None, discount=1.0)


@pytest.mark.parametrize(("r", "period"), [(3.2, 2), (3.5, 4), (3.55, 8), (3.83, 3)])
def test_cycles_of_the_logistic_map(r, period):
    found = oc.limit_cycle(plain(lambda x: r * x * (1 - x), 1, horizon=STEPS), [0.3], tf=4000)
    assert found.period == period
    orbit = found.trajectory.states["x"][:-1, 0]
    assert found.multipliers[0].real == pytest.approx(np.prod(r * (1 - 2 * orbit)), rel=1e-9)
    assert found.stable
    assert np.isnan(found.trivial_error)
    assert found.residual < 1e-12
    assert "steps" in str(found)
    if period == 2:
        assert found.multipliers[0].real == pytest.approx(4 + 2 * r - r**2, abs=1e-11)


def test_unstable_cycles_of_a_map_from_a_guess():
    found = oc.limit_cycle(plain(lambda x: 3.7 * x * (1 - x), 1, horizon=STEPS), [0.4], period=4)
    assert found.period == 2  # the shortest period of what Newton's method found
    assert found.kind == "unstable"
    assert found.multipliers[0].real == pytest.approx(4 + 7.4 - 3.7**2, abs=1e-10)


def test_a_symmetric_map_that_exchanges_two_neurons():
    """u_{k+1} = T tanh(u_k) with T = [[0, 2], [2, 0]]: (a, −a) and (−a, a) alternate, a = 2 tanh a."""
    found = oc.limit_cycle(hopfield([[0, 2], [2, 0]], discrete=True), [1.0, -0.1])
    assert found.period == 2
    assert found.x[0] == pytest.approx(-found.x[1])
    assert np.abs(found.x) == pytest.approx(2 * np.tanh(np.abs(found.x)))
    assert found.multipliers == pytest.approx(np.full(2, (2 / np.cosh(1.91500804849) ** 2) ** 2), abs=1e-8)


# ---------------------------------------------------------------------- no cycle, and wrong questions


def test_a_torus_is_no_cycle():
    def rule(x):
        a, b = 1 - x[0] ** 2 - x[1] ** 2, 1 - x[2] ** 2 - x[3] ** 2
        w = np.sqrt(2)
        return ca.vertcat(x[0] * a - x[1], x[1] * a + x[0], x[2] * b - w * x[3], x[3] * b + w * x[2])

    with pytest.raises(SolveError, match="neither rests nor comes back within 60 units of time"):
        oc.limit_cycle(plain(rule, 4), [0.5, 0.0, 0.5, 0.0], tf=60.0)


def test_chaos_is_no_cycle():
    def rule(x):
        return ca.vertcat(10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2])

    with pytest.raises(SolveError, match="neither rests nor comes back"):
        oc.limit_cycle(plain(rule, 3), [1.0, 2.0, 20.0], tf=20.0)
    with pytest.raises(SolveError, match=r"within 300 steps, to a period of 64 at most"):
        oc.limit_cycle(plain(lambda x: 3.9 * x * (1 - x), 1, horizon=STEPS), [0.3], tf=300)


def test_maps_that_rest_or_run_away():
    with pytest.raises(SolveError, match=r"comes to rest at \(0.5\)"):
        oc.limit_cycle(plain(lambda x: 2 * x * (1 - x), 1, horizon=STEPS), [0.3])
    with pytest.raises(SolveError, match="runs away"):
        oc.limit_cycle(plain(lambda x: 2 * x + 1, 1, horizon=STEPS), [0.3])


def test_newton_that_does_not_close():
    with pytest.raises(SolveError, match=r"Newton's method does not close a path .* near 2.0; start nearer"):
        oc.limit_cycle(hopfield([[0, 2], [2, 0]]), [1.0, -1.0], period=2.0)
    with pytest.raises(SolveError, match="does not close"):
        oc.limit_cycle(plain(lambda x: 2 * x * (1 - x), 1, horizon=STEPS), [0.3], period=3)


@pytest.mark.parametrize(
    ("start", "options", "error", "message"),
    [
        ([1.0], {}, ShapeError, r"got states of shape \(1,\); expected \(..., 2\)"),
        ([[1.0, 0.0]], {}, ShapeError, r"start has shape \(1, 2\); expected \(2,\)"),
        ([1.0, np.nan], {}, DataError, "start holds nan; expected finite numbers"),
        ([1.0, 0.0], {"period": 0.0}, OptionError, "period is 0.0; expected a positive finite number"),
        ([1.0, 0.0], {"tf": np.inf}, OptionError, "tf is inf; expected a positive finite number"),
        ([1.0, 0.0], {"controls": {"u": 1.0}}, ProblemError, r"the controls \['u'\] are unknown"),
    ],
)
def test_questions_that_cannot_be_asked(start, options, error, message):
    with pytest.raises(error, match=message):
        oc.limit_cycle(van_der_pol(), start, **options)


def test_periods_of_maps_are_whole():
    with pytest.raises(OptionError, match=r"period is 2.5; expected a whole number of steps"):
        oc.limit_cycle(plain(lambda x: 1 - x**2, 1, horizon=STEPS), [0.3], period=2.5)
