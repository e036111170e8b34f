from dataclasses import replace

import casadi as ca
import numpy as np
import pytest
from scipy.optimize import minimize

import ocnet as oc
from ocnet.errors import ProblemError
from ocnet.solve import solve
from ocnet.trajectory import Interpolant, Trajectory
from ocnet.verify import verify
from tests.extremals import (
    bang,
    coupled,
    discounted,
    exact_integrator,
    free_time,
    held_at_bound,
    integrator,
    polynomials,
    sampled,
    solution,
    steps,
    unknown_constant,
)  # fmt: skip

EXACT = {
    "integrator": exact_integrator,
    "discounted": lambda: discounted()[0],
    "steps": steps,
    "bang": bang,
    "bound": held_at_bound,
    "sample": sampled,
    "free time": free_time,
    "unknown": unknown_constant,
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_extremals_pass_every_check(name):
    c = verify(EXACT[name]())
    for figure in ("resimulation_error", "path_error", "bound_violation", "cost_error"):
        assert getattr(c, figure) < (1e-7 if figure == "path_error" else 1e-8), figure
    for figure in ("hamiltonian_gap", "cost_gap", "costate_residual", "transversality"):
        value = getattr(c, figure)
        assert np.isnan(value) or value < 1e-8, figure
    assert (c.tail_bound is None) == (name != "discounted")


def test_figures_that_apply():
    c = verify(exact_integrator())
    figures = [c.hamiltonian_gap, c.cost_gap, c.stationarity, c.costate_residual, c.transversality]
    assert not np.isnan(figures).any()
    assert c.legendre_clebsch == pytest.approx(1.0)
    assert c.path_growth == pytest.approx(1.0, abs=1e-3)
    assert verify(bang()).legendre_clebsch != 0  # all controls are at bounds: no figure
    assert verify(unknown_constant()).stationarity < 1e-10


# ---------------------------------------------------------------------- each fault and its figure


def test_wrong_control_shows_in_states_and_gap():
    c = verify(exact_integrator(u_shift=0.05))
    assert c.resimulation_error == pytest.approx(0.05 * 0.2 / 1.65, rel=0.05)  # over one interval of 0.2
    assert c.path_error > 2 * c.resimulation_error
    assert c.hamiltonian_gap == pytest.approx(0.05**2 / 2, rel=1e-6)  # H is ½u² + pu: exact
    assert c.cost_gap == pytest.approx(0.05**2 / 2, rel=1e-6)
    assert c.stationarity == pytest.approx(0.05, rel=1e-6)
    assert c.costate_residual < 1e-9


def test_feasible_but_not_optimal_shows_in_the_gap_alone():
    breaks = np.linspace(0, 1, 6)
    one = polynomials(np.ones_like, breaks)
    c = verify(
        solution(integrator(), 0.5, one, one.map(lambda x: 0 * x), polynomials(lambda t: 1 - t, breaks))
    )
    assert max(c.resimulation_error, c.path_error, c.cost_error, c.bound_violation, c.costate_residual) < 1e-9
    assert c.transversality < 1e-9
    assert c.hamiltonian_gap == pytest.approx(0.5)
    assert c.cost_gap == pytest.approx(1 / 6)
    assert 0.5 - np.tanh(1) / 2 < c.cost_gap  # what is really lost


def test_wrong_costate_shows_in_its_equation():
    c = verify(exact_integrator(p_scale=1.1))
    assert c.costate_residual > 1e-3
    assert c.resimulation_error < 1e-9


def test_shifted_costate_solves_its_equation_but_not_the_end_condition():
    c = verify(exact_integrator(p_shift=0.01))
    assert c.costate_residual < 1e-9
    assert c.transversality == pytest.approx(0.01)
    assert c.hamiltonian_gap == pytest.approx(0.01**2 / 2, rel=1e-6)


def test_shifted_state_shows_at_the_prescribed_end():
    c = verify(exact_integrator(x_shift=0.01))
    assert c.resimulation_error < 1e-9  # ẋ = u does not see it
    assert c.bound_violation == pytest.approx(0.01 / 2)
    assert c.where["bound_violation"] == "initial x at t = 0"
    assert c.costate_residual > 1e-4
    assert c.cost_error > 1e-3


def test_jump_of_the_states_between_intervals_is_seen():
    s = exact_integrator()
    values = s.x.values.copy()
    values[s.x.first[3] :] += 0.01
    c = verify(solution(s.problem, s.cost, replace(s.x, values=values), s.u, s.p))
    assert c.resimulation_error == pytest.approx(0.01 / 1.7, rel=0.05)
    assert "t = 0.6" in c.where["resimulation_error"]


def test_violated_bounds_are_named():
    s = bang()
    low = solution(s.problem, s.cost, s.x, s.u.map(lambda u: 1.2 * u), s.p)
    c = verify(low)
    assert c.bound_violation == pytest.approx(0.2 / 2)
    assert c.point_violation == pytest.approx(0.2 / 2)
    assert c.where["bound_violation"].startswith("u at t")


def test_overshoot_between_points_is_told_from_a_violation_at_points():
    breaks = [0.0, 1.0]
    s = bang()
    nodes = (1 - np.cos(np.pi * np.arange(5) / 4)) / 2
    u = Interpolant(
        nodes, np.array([[-1.0], [-1], [-1], [1], [1]]), np.array(breaks), np.array([0]), np.array([5])
    )
    x = Interpolant(nodes, 1 - nodes[:, None], np.array(breaks), np.array([0]), np.array([5]))
    c = verify(solution(s.problem, 0.5, x, u, s.p))
    assert c.bound_violation > 0.01
    assert c.point_violation < 1e-12
    assert any("exceeded between the points" in note for note in c.notes)


def test_controls_that_are_cut_to_their_bounds_do_not_overshoot():
    s = bang()
    nodes = (1 - np.cos(np.pi * np.arange(5) / 4)) / 2
    mesh = {"breaks": np.array([0.0, 1.0]), "first": np.array([0]), "count": np.array([5])}
    values = np.array([[-1.0], [-1], [-1], [1], [1]])
    u = Interpolant(nodes, values, limits=(np.array([-1.0]), np.array([1.0])), **mesh)
    assert (
        verify(
            solution(s.problem, 0.5, Interpolant(nodes, 1 - nodes[:, None], **mesh), u, s.p)
        ).bound_violation
        < 1e-12
    )


def test_wrong_cost_is_seen():
    assert verify(exact_integrator(cost=np.tanh(1) / 2 * 1.001)).cost_error == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("part", ["x", "u", "p"])
def test_wrong_sequences_are_seen(part):
    s = steps()
    parts = {name: getattr(s, name) for name in "xup"}
    parts[part] = parts[part].map(lambda v: v + 0.01 * (np.arange(len(v))[:, None] == 4))
    c = verify(solution(s.problem, s.cost, **parts))
    figure = {"x": "resimulation_error", "u": "hamiltonian_gap", "p": "costate_residual"}[part]
    assert getattr(c, figure) > 1e-5
    if part == "p":
        assert c.resimulation_error < 1e-12


def test_missing_jump_at_a_sample_is_seen():
    s = sampled()
    assert verify(s).costate_residual < 1e-9
    c = verify(solution(s.problem, s.cost, s.x, s.u, s.p.map(lambda p: np.full_like(p, 2 / 3))))
    assert c.transversality == pytest.approx(2 / 3)


def test_sample_in_discrete_time():
    problem = oc.Problem("sampled steps", horizon=oc.Steps(2))
    x = problem.state("x", initial=1.0)
    u = problem.control("u")
    problem.dynamics(x, x + u)
    problem.minimize(stage=u**2 / 2)
    problem.cost_at(1, x**2 / 2)
    sequences = [(range(3), [1.0, 0.5, 0.5]), (range(2), [-0.5, 0.0]), (range(3), [0.5, 0.5, 0.0])]
    parts = [Interpolant.sequence(np.array(k, float), np.array(v)[:, None]) for k, v in sequences]
    c = verify(solution(problem, 0.25, *parts))
    assert (
        max(c.resimulation_error, c.costate_residual, c.transversality, c.hamiltonian_gap, c.cost_error)
        < 1e-12
    )


def test_wrong_unknown_is_seen():
    c = verify(unknown_constant(q=0.6))
    assert c.stationarity == pytest.approx(0.2)
    assert c.where["stationarity"] == "unknown slope"


def test_wrong_final_time_is_seen():
    s = free_time()
    c = verify(solution(s.problem, s.cost, s.x, s.u, s.p.map(lambda p: 1.5 * p)))
    assert c.transversality == pytest.approx(0.5 / 2.5)


# ---------------------------------------------------------------------- what qualifies a figure


def test_state_at_its_bound_is_left_out_and_said_so():
    c = verify(held_at_bound())
    assert any("3 of 4 intervals" in note for note in c.notes)
    assert c.costate_residual < 1e-9


def test_unstable_path_says_that_its_path_error_means_little():
    problem = integrator(a=5.0, final=3.0)
    breaks = np.linspace(0, 3, 16)
    root = np.sqrt(26.0)  # ẍ = 26 x, p = 5x − ẋ with p(3) = 0
    weights = np.linalg.solve(
        [[1, 1], [(5 - root) * np.exp(3 * root), (5 + root) * np.exp(-3 * root)]], [1, 0]
    )

    def state(t, derivative=0):
        return weights[0] * root**derivative * np.exp(root * t) + weights[1] * (-root) ** derivative * np.exp(
            -root * t
        )

    u = polynomials(lambda t: state(t, 1) - 5 * state(t), breaks)
    s = solution(problem, 0.0, polynomials(state, breaks), u, u.map(lambda v: -v))
    c = verify(s)
    assert c.path_growth == pytest.approx(np.exp(15), rel=0.01)
    assert c.resimulation_error < 1e-6 < c.path_error
    assert any("judge the states by the resimulation error" in note for note in c.notes)


def test_tail_bound_bounds_the_tail():
    s, P = discounted(a=-0.2, end=10.0)
    tail = np.exp(-3.0) * P / 2 * s.x.values[-1, 0] ** 2
    bound = verify(s).tail_bound
    assert tail <= bound < 100 * tail


def test_gap_of_coupled_controls_bounds_the_true_gain():
    problem, price = coupled()
    costate = np.array([-1.0, -1.0])
    for u in ([0.5, 0.0], [0.9, 0.25], [-1.0, -1.0]):
        path = polynomials(lambda t, u=u: np.outer(t, u), [0, 1.0])
        flat = path.map(lambda v, u=u: np.tile(u, (len(v), 1)))
        c = verify(solution(problem, 0.0, path, flat, path.map(lambda v: np.tile(costate, (len(v), 1)))))
        H = lambda v: v @ price @ v / 2 + costate @ v  # noqa: E731
        best = minimize(H, np.zeros(2), bounds=[(-1, 1), (-1, 0.25)], tol=1e-12).fun
        gain = H(np.array(u)) - best
        assert gain <= c.hamiltonian_gap + 1e-9
        assert c.hamiltonian_gap <= np.array(u) @ (price @ u + costate) + 5  # and is a finite bound
        assert c.costate_residual < 1e-9


def test_controls_without_bounds_use_the_curvature():
    problem = oc.Problem("no bounds", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=1.0)
    u = problem.control("u")
    problem.dynamics(x, u)
    problem.minimize(stage=2 * u**2)
    zero = polynomials(np.zeros_like, [0, 1.0])
    c = verify(solution(problem, 0.0, polynomials(np.ones_like, [0, 1.0]), zero, zero.map(lambda p: p + 1)))
    assert c.hamiltonian_gap == pytest.approx(1 / 8)  # min of 2u² + u
    assert c.legendre_clebsch == pytest.approx(4.0)


def test_linear_control_without_bounds_has_no_gap_but_a_residual():
    problem = oc.Problem("linear", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=1.0)
    u = problem.control("u")
    problem.dynamics(x, u)
    problem.minimize(stage=x**2)
    zero = polynomials(np.zeros_like, [0, 1.0])
    c = verify(solution(problem, 1.0, polynomials(np.ones_like, [0, 1.0]), zero, zero.map(lambda p: p + 0.3)))
    assert np.isnan(c.hamiltonian_gap)
    assert c.stationarity == pytest.approx(0.3)
    assert any("no bound on the side" in note for note in c.notes)


def test_wrong_curvature_is_seen():
    problem = oc.Problem("concave", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=0.0)
    u = problem.control("u", lower=-1.0, upper=1.0)
    problem.dynamics(x, u)
    problem.minimize(stage=-(u**2))
    zero = polynomials(np.zeros_like, [0, 1.0])
    c = verify(solution(problem, 0.0, zero, zero, zero))  # a stationary point, and the worst of all
    assert c.stationarity == 0
    assert c.legendre_clebsch == pytest.approx(-2.0)
    assert any("not convex" in note for note in c.notes)


def test_path_constraint_with_controls_has_no_gap():
    problem = oc.Problem("mixed", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=1.0)
    u = problem.control("u")
    problem.dynamics(x, u)
    problem.minimize(stage=x**2 + u**2)
    problem.constrain(x + u, lower=0.5, name="sum")
    one = polynomials(np.ones_like, [0, 1.0])
    c = verify(solution(problem, 1.0, one, one.map(lambda u: 0 * u - 0.8), one))
    assert np.isnan(c.hamiltonian_gap)
    assert any("path constraint contains controls" in note for note in c.notes)
    assert c.bound_violation == pytest.approx(0.3 / 1.5)
    assert c.where["bound_violation"].startswith("sum at")


def test_piecewise_constant_controls_say_what_their_gap_includes():
    s = exact_integrator()
    breaks = np.linspace(0, 1, 6)
    held = Interpolant(breaks[:-1], np.zeros((5, 1)), breaks, np.arange(5), np.ones(5, dtype=int))
    c = verify(solution(s.problem, s.cost, s.x, held, s.p))
    assert any("constant on each interval" in note for note in c.notes)


def test_controls_on_another_mesh_than_the_states():
    s = exact_integrator()
    other = exact_integrator(breaks=np.array([0, 0.33, 0.71, 1.0]))
    c = verify(solution(s.problem, s.cost, s.x, other.u, s.p))
    assert max(c.resimulation_error, c.hamiltonian_gap, c.costate_residual) < 1e-8


def test_stiff_dynamics_take_an_implicit_integrator():
    problem = oc.Problem("stiff", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=1.0)
    problem.dynamics(x, -1e5 * (x - 1))
    problem.minimize(stage=x)
    one = polynomials(np.ones_like, [0, 0.5, 1.0])
    c = verify(solution(problem, 1.0, one, None, one.map(lambda v: np.full_like(v, 1e-5))), rtol=1e-8)
    assert c.resimulation_error < 1e-9
    assert c.costate_residual < 1e-6


def test_escape_gives_infinity_and_a_note():
    problem = oc.Problem("escape", horizon=oc.Finite(2.0))
    x = problem.state("x", initial=1.0)
    problem.dynamics(x, x**2)
    problem.minimize(stage=x)
    c = verify(solution(problem, 2.0, polynomials(np.ones_like, [0, 2.0]), None, None))
    assert c.resimulation_error == np.inf
    assert c.path_error == np.inf
    assert any("t = 1" in note for note in c.notes)
    assert any("no costates" in note for note in c.notes)


# ---------------------------------------------------------------------- contract


def test_it_never_asks_the_hamiltonian_of_a_road():
    s = exact_integrator()

    class Forbidden:
        def __getattr__(self, name):
            raise AssertionError(name)

    s.problem.hamiltonian = Forbidden()
    assert verify(s).hamiltonian_gap < 1e-9


def test_a_solution_without_its_problem_is_refused():
    s = exact_integrator()
    s.problem = None
    with pytest.raises(ProblemError, match="does not carry its problem"):
        verify(s)
    with pytest.raises(ProblemError, match="expected a Solution"):
        verify(Trajectory("a", "", s.x, s.u, [("x", (1,))], [("u", (1,))]))
    with pytest.raises(ProblemError, match="rtol"):
        verify(exact_integrator(), rtol=0.0)


def test_values_that_are_not_finite_are_not_checked():
    c = verify(exact_integrator(x_shift=np.nan))
    assert np.isnan(c.resimulation_error)
    assert "not finite" in c.notes[0]


def test_it_prints_as_a_table():
    text = str(verify(discounted()[0]))
    for name in ("resimulation error", "hamiltonian gap", "costate residual", "tail bound", "Notes"):
        assert name in text
    assert max(len(line) for line in text.splitlines()) <= 110
    columns = {line.index("e") for line in text.splitlines() if line.startswith("  path error")}
    assert len(columns) == 1


def test_report_shows_the_certificate_once_it_is_there():
    s = exact_integrator(errors={"mesh": 1e-9, "barrier": 3e-10}, stats={"iterations": 7, "solve": 0.02})
    s.certify_with(verify)
    assert "not yet: print(solution.certificate)" in str(s)
    assert "local optimum" in str(s)
    assert "0.380797078" in str(s)
    assert s.certificate is s.certificate
    assert "Hamiltonian gap" in str(s)
    assert "no optimum" in str(exact_integrator(status=type(s.status).DIVERGED))


def test_solved_problems_are_certified():
    problem = oc.Problem("van der Pol", horizon=oc.Finite(5.0))
    x = problem.state("x", 2, initial=[0.0, 1.0])
    force = problem.control("force", lower=-0.3, upper=1.0)
    problem.dynamics(x, ca.vertcat((1 - x[1] ** 2) * x[0] - x[1] + force, x[0]))
    problem.minimize(stage=x[0] ** 2 + x[1] ** 2 + force**2)
    s = solve(problem)
    c = s.certificate
    assert c.resimulation_error < 1e-5
    assert c.cost_error < 1e-6
    assert c.hamiltonian_gap < 1e-4
    assert c.costate_residual < 1e-5
    assert c.transversality < 1e-8
    assert c.legendre_clebsch == pytest.approx(2.0)
