"""The assembled derivatives against CasADi's own, on programs written out point by point."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.methods.mesh import Mesh
from ocnet.methods.nlp import Group, Kernel, Program
from ocnet.methods.scheme import scheme
from ocnet.methods.transcription import Kernels, Transcription

BREAKS = np.array([0.0, 0.3, 0.45, 1.0])
CASES = {
    "radau": (oc.Finite(1.0), Mesh(BREAKS, np.array([3, 1, 2]), "radau")),
    "gauss": (oc.Finite(1.0), Mesh(BREAKS, np.array([2, 1, 3]), "gauss")),
    "discounted": (oc.Finite(1.5, t0=0.5, discount=0.7), Mesh(BREAKS + 0.5, np.array([2, 3, 1]), "gauss")),
    "infinite": (oc.Discounted(0.4), Mesh(BREAKS * 4, np.array([1, 2, 2]), "radau")),
    "free time, radau": (oc.FreeTime(0.5, 3.0, 1.0), Mesh(BREAKS, np.array([1, 3, 2]), "radau")),
    "free time, gauss": (oc.FreeTime(0.5, 3.0, 1.0), Mesh(BREAKS, np.array([2, 2, 1]), "gauss")),
    "steps": (oc.Steps(4, discount=0.2), Mesh.steps(4)),
}


def implicit(y):
    """Solution r of r + sin(r)/3 = y, which is a function call to CasADi."""
    r, s = ca.SX.sym("r"), ca.SX.sym("s")
    root = ca.rootfinder("root", "newton", {"x": r, "p": s, "g": r + ca.sin(r) / 3 - s}, {"abstol": 1e-14})
    return root(x0=0, p=y)["x"]


def everything(horizon, opaque=False, derivatives=True):
    """Two of every kind of variable, one of them a matrix or a vector, and every kind of term."""
    problem = oc.Problem("everything", horizon=horizon)
    infinite, t = isinstance(horizon, oc.Discounted), problem.time
    Z = problem.state("Z", (2, 3), initial=np.arange(6.0).reshape(2, 3) / 5, lower=-9.0)
    y = problem.state("y", final=None if infinite else 0.4)
    W = problem.control("W", (2, 2), lower=-1.0, upper=1.0)
    b = problem.control("b")
    q = problem.unknown("q", 2, lower=0.1, upper=2.0, guess=1.0)
    a = problem.parameter("a", (1, 2), value=[[1.0, 0.5]])
    c = problem.parameter("c", value=0.3)
    bend = implicit(y) if opaque else ca.cos(y)
    problem.dynamics(Z, ca.tanh(W @ Z) - q[0] * a[0] * Z**2 + ca.repmat(ca.vertcat(t, b), 1, 3))
    problem.dynamics(y, b * bend + a[1] * Z[1, 2] * Z[0, 1] - q[1] * y * t)
    dZ, dy = (problem.derivative(Z), problem.derivative(y)) if derivatives else (Z * W[0, 0], y * b)
    stage = ca.sumsqr(dZ) * (1 + y**2) + dy * b * q[0] + ca.sumsqr(W) * c + ca.exp(b) * t + W[0, 1] * Z[1, 0]
    problem.minimize(
        stage=stage, terminal=0 if infinite else y**2 * Z[0, 0] * q[1] + c * ca.sumsqr(Z) + t**2 * y
    )
    problem.constrain(W @ W.T + c * dy * t, lower=-3.0, upper=3.0)
    problem.constrain(y * Z[1, 1] * q[0], upper=4.0, at="initial")
    if not infinite:
        problem.constrain(ca.vertcat(y * q[1] * t, ca.sumsqr(Z)), lower=[-2.0, 0.0], at="final")
    if isinstance(horizon, oc.Finite):
        problem.cost_at(horizon.t0 + 0.3, ca.sumsqr(Z) * y * q[0] * c)
    if isinstance(horizon, oc.Steps):
        problem.cost_at(2, ca.sumsqr(Z) * y * q[0] * c)
    return problem


def transcribed(problem, mesh, rng=None, scalar=True):
    """The transcription with scales that differ for all components, or none."""
    f, sizes = problem.functions, (np.ones(problem.functions.nx), np.ones(problem.functions.nu))
    scales = (*sizes, np.ones(f.nq), 1.0)
    if rng is not None:
        scales = (*(2.0 ** rng.integers(-4, 5, n) for n in (f.nx, f.nu, f.nq)), 4.0)
    kernels = Kernels(problem)
    kernels.scalar = kernels.scalar and scalar
    return Transcription(kernels, mesh, scales)


def written_out(t, w, p):
    """Cost and constraints in the solver's units, point by point from the problem's own functions."""
    f, mesh, horizon = t.functions, t.mesh, t.kernels.problem.horizon
    v = ca.DM(t.program.scale) * w
    x = [v[row.tolist()] for row in t.x_index]
    q, end = v[t.q_at : t.end_at], (v[t.end_at] if t.kernels.nt else 1.0)
    rho = getattr(horizon, "discount", getattr(horizon, "rate", 0.0))
    cost, path, ends, nothing = 0, [], [], ca.DM.zeros(f.nu)
    for k in range(mesh.size):
        s, h = scheme(mesh.name, int(mesh.degrees[k])), mesh.lengths[k]
        X = ca.horzcat(*x[mesh.first_node[k] : mesh.first_node[k] + len(s.nodes)])
        for i in range(len(s.points)):
            u = v[t.u_index[mesh.first_point[k] + i].tolist()]
            moment = (mesh.breaks[k] + h * s.points[i]) * end
            here, slope = X @ s.evaluate[i], X @ s.differentiate[i] / (h * end)
            flow = f.dynamics(moment, here, slope, u, q, p)
            discount = np.exp(-rho * (mesh.breaks[k] + h * s.points[i] - mesh.breaks[0]))
            cost += discount * s.weights[i] * h * end * f.stage(moment, here, slope, u, q, p)
            defect = X[:, 1] - flow if mesh.name == "steps" else h * end * (slope - flow)
            path += [defect / t.scales[0], f.path(moment, here, slope, u, q, p)]
        if s.end is not None:
            ends.append(X @ s.end / t.scales[0])
    last = (mesh.breaks[-1] * end, x[-1], ca.DM.zeros(f.nx), nothing, q, p)
    cost += np.exp(-rho * (mesh.breaks[-1] - mesh.breaks[0])) * f.terminal(*last)
    initial = f.initial(mesh.breaks[0] * end, x[0], ca.DM.zeros(f.nx), nothing, q, p)
    for sample, function in zip(t.kernels.problem.samples, f.samples, strict=True):
        node = int(np.argmin(np.abs(mesh.node_times - sample.time)))
        assert abs(mesh.node_times[node] - sample.time) < 1e-12
        cost += function(sample.time, x[node], ca.DM.zeros(f.nx), nothing, q, p)
    return cost, ca.vertcat(*path, f.final(*last), initial, *ends)


def compare(t, rng):
    """Values, gradient, Jacobian and Hessian at random points against automatic differentiation."""
    program, own = t.program.functions()
    w, p = ca.MX.sym("w", t.nw), ca.MX.sym("p", t.functions.np)
    sigma, lam = ca.MX.sym("sigma"), ca.MX.sym("lam", t.program.ng)
    f, g = written_out(t, w, p)
    assert g.shape == (t.program.ng, 1)
    hessian = ca.triu(ca.hessian(sigma * f + ca.dot(lam, g), w)[0])
    first = ca.Function("first", [w, p], [f, ca.gradient(f, w), g, ca.jacobian(g, w)])
    second = ca.Function("second", [w, p, sigma, lam], [hessian])
    plain = ca.Function("plain", [program["x"], program["p"]], [program["f"], program["g"]])
    for _ in range(2):
        point = rng.uniform(0.2, 1.0, t.nw) * rng.choice([-1, 1], t.nw)
        point[t.q_at :] = np.abs(point[t.q_at :])
        at = (point, rng.uniform(0.3, 1.0, t.functions.np))
        factor, multipliers = rng.uniform(0.5, 2), rng.standard_normal(t.program.ng)
        expected = [a.full() for a in first(*at)]
        found = [a.full() for a in (*own["grad_f"](*at), *own["jac_g"](*at))]
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * (1 + np.abs(b).max()))
        for a, b in zip(plain(*at), (expected[0], expected[2]), strict=True):
            np.testing.assert_allclose(a.full(), b, rtol=1e-10, atol=1e-10)
        a, b = (h(*at, factor, multipliers).full() for h in (own["hess_lag"], second))
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())
        assert not np.tril(a, -1).any()
        np.testing.assert_allclose(
            t.program.values(at[0] * t.program.scale, at[1]) * t.program.row_scale, expected[2].ravel(),
            rtol=1e-9, atol=1e-10,
        )  # fmt: skip
    return first, own


@pytest.mark.parametrize("scaled", [False, True], ids=["unscaled", "scaled"])
@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_a_problem_with_everything(name, scaled):
    rng = np.random.default_rng(len(name))
    horizon, mesh = CASES[name]
    t = transcribed(everything(horizon), mesh, rng if scaled else None)
    assert (t.program.scale != 1).any() == scaled
    first, own = compare(t, rng)
    # no structural nonzero beyond those of the program itself (nor are any missing, by the comparison)
    assert own["jac_g"].nnz_out(1) <= first.nnz_out(3) + t.program.linear.nnz


@pytest.mark.parametrize("scalar", [True, False])
def test_derivatives_of_implicit_functions(scalar):
    """Also where the kernels are matrix-valued, as they are for what CasADi cannot expand."""
    rng = np.random.default_rng(8)
    horizon, mesh = CASES["gauss"]
    t = transcribed(everything(horizon, opaque=True), mesh, rng, scalar)
    assert t.kernels.scalar == scalar
    compare(t, rng)


@pytest.mark.parametrize("name", ["radau", "free time, gauss"])
def test_derivatives_without_derivative_symbols(name):
    rng = np.random.default_rng(3)
    t = transcribed(everything(CASES[name][0], derivatives=False), CASES[name][1], rng)
    assert t.kernels.moving == []
    compare(t, rng)


@pytest.mark.parametrize("seed", range(6))
def test_random_meshes(seed):
    rng = np.random.default_rng(seed)
    breaks = np.concatenate([[0.0, 0.3], np.sort(rng.uniform(0.35, 0.9, rng.integers(0, 3))), [1.0]])
    mesh = Mesh(breaks, rng.integers(1, 5, len(breaks) - 1), ["radau", "gauss"][seed % 2])
    compare(transcribed(everything(oc.Finite(1.0, discount=0.1 * seed)), mesh, rng), rng)


def test_a_group_whose_places_share_unknowns():
    """Off-diagonal products that fall on one unknown count twice on the Hessian's diagonal."""
    import scipy.sparse as sp

    def evaluate(z, d, p):
        return z[0] * z[1] + z[1] ** 2 * z[2] * p[0], ca.vertcat(z[0] * z[2] + d[0])

    kernel = Kernel("shared", (3, 1, 1), evaluate, True)
    place = sp.csr_matrix(np.array([[1.0, 0], [2.0, 1.0], [0, 3.0], [0, 1], [1, 1], [1, 0]]))
    data, weights = np.array([[0.5, -0.5]]), np.array([2.0, 3.0])
    linear = sp.csr_matrix(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, -1.0]]))
    program = Program([Group(kernel, place, data, weights)], linear, np.array([2.0, 0.5]), None, 1)
    nlp, own = program.functions()
    sigma, lam = ca.MX.sym("sigma"), ca.MX.sym("lam", 3)
    w, p = nlp["x"], nlp["p"]
    z = ca.reshape(ca.DM(place.toarray()) @ (ca.DM([2.0, 0.5]) * w), 3, 2)
    f = sum(weights[i] * evaluate(z[:, i], data[:, i], p)[0] for i in range(2))
    g = ca.vertcat(*(evaluate(z[:, i], data[:, i], p)[1] for i in range(2)), 0)
    g += ca.DM(linear.toarray()) @ (ca.DM([2.0, 0.5]) * w)
    full = [f, ca.gradient(f, w), g, ca.jacobian(g, w), ca.triu(ca.hessian(sigma * f + ca.dot(lam, g), w)[0])]
    expected = ca.Function("expected", [w, p, sigma, lam], full)([0.7, -1.3], [0.9], 1.5, [1, -2, 3])
    found = [*own["grad_f"]([0.7, -1.3], 0.9), *own["jac_g"]([0.7, -1.3], 0.9)]
    found.append(own["hess_lag"]([0.7, -1.3], 0.9, 1.5, [1, -2, 3]))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.full(), b.full(), rtol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_unknowns_are_joined_and_taken_apart(name):
    horizon, mesh = CASES[name]
    t = transcribed(everything(horizon), mesh)
    w = np.random.default_rng(0).standard_normal(t.nw)
    np.testing.assert_array_equal(t.join(t.take_apart(w)), w)
    assert sorted([*t.x_index.ravel(), *t.u_index.ravel(), *range(t.q_at, t.nw)]) == list(range(t.nw))
