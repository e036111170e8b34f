"""The yardstick: direct collocation written by hand for two problems, as fast as CasADi and IPOPT allow.

Legendre-Gauss-Radau collocation with the controls at the collocation points. One interval is an SX function;
its defects, cost, exact Jacobian and exact Hessian are mapped over the intervals and scattered into sparse
matrices that IPOPT gets ready made. Where the cost contains |x'|^2, x' is the derivative of the collocation
polynomial, so that the cost adds D'D blocks to the Hessian and not products of right-hand sides.

The unknowns are (x_0, z_1, ..., z_K), z_k = (controls, states) of interval k, the end state last: interval k
then sees the consecutive entries (x_{k-1}, z_k). Matrices are stored by columns.

Run ``python reference_collocation.py`` for the table, ``--check`` for the checks.
"""

import argparse
import time
from dataclasses import dataclass

import casadi as ca
import numpy as np
from scipy.integrate import solve_ivp

from instances import SynapticControl, WeightProgram, instance

INTERVALS = {"synaptic_control": 40, "weight_program": 20}
SIZES = {"synaptic_control": (4, 8, 16, 32), "weight_program": (4, 8, 16)}
IPOPT = {"linear_solver": "mumps", "tol": 1e-8, "max_iter": 1000, "print_level": 0, "sb": "yes"}


@dataclass(frozen=True)
class Transcription:
    """A built solver and the layout of its unknowns."""

    solver: ca.Function
    problem: object
    intervals: int
    degree: int
    nnz_jac: int
    nnz_hess: int
    cpu_build: float

    @property
    def times(self):
        """Initial time and all collocation points, (K d + 1,)."""
        return mesh_times(self.problem.tf, self.intervals, self.degree)


def mesh_times(tf, intervals, degree=3):
    """Return the initial time and the Radau points of a uniform mesh, (K d + 1,)."""
    points = np.array(ca.collocation_points(degree, "radau"))
    starts = np.arange(intervals)[:, None]
    return np.append(0.0, (starts + points) * tf / intervals)


def radau(degree):
    """Return D, (d + 1, d), with x'(tau_i) = sum_j x_j D_ji over [0, tau_1..tau_d], and the weights (d,)."""
    nodes = np.append(0.0, ca.collocation_points(degree, "radau"))
    derivative = np.empty((degree + 1, degree))
    for j in range(degree + 1):
        others = np.delete(nodes, j)
        basis = np.poly1d(np.poly(others) / np.prod(nodes[j] - others))
        derivative[j] = basis.deriv()(nodes[1:])
    powers = np.arange(degree)
    weights = np.linalg.solve(nodes[None, 1:] ** powers[:, None], 1.0 / (powers + 1))
    return derivative, weights


def _right_hand_side(problem, x, u):
    """Return x' at all points of an interval; x (n, d) or (n L, d), u (n^2, d)."""
    n, columns = problem.n, []
    for i in range(x.shape[1]):
        control = ca.reshape(u[:, i], n, n)
        if isinstance(problem, SynapticControl):
            columns.append((problem.A + control) @ ca.tanh(x[:, i]) - x[:, i])
        else:
            z = ca.reshape(x[:, i], problem.initial.shape)
            columns.append(ca.vec(control @ ca.tanh(z) - z))
    return ca.horzcat(*columns)


def _stage(problem, x, u, velocity):
    """Return the stage cost at each point of an interval, without the discount, (1, d)."""
    if isinstance(problem, SynapticControl):
        return problem.motion * ca.sum1(velocity**2) + problem.effort * ca.sum1(u**2)
    costs = []
    for i in range(x.shape[1]):
        z = ca.reshape(x[:, i], problem.initial.shape)
        overlap = ca.sumsqr(problem.targets @ ca.tanh(z).T)
        reward = ca.sum1(x[:, i] * ca.vec(problem.targets))
        costs.append(-reward + problem.beta * overlap / 2 + ca.sumsqr(u[:, i]) / (2 * problem.beta))
    return ca.horzcat(*costs)


def _terminal(problem, x):
    """Return the terminal cost."""
    return -ca.dot(ca.vec(problem.targets), x) if isinstance(problem, WeightProgram) else 0


def _interval(problem, degree, h):
    """Return SX functions of one interval: cost, gradient, defects, Jacobian and upper Hessian.

    Their arguments are the local unknowns v, the weight s of the stage cost at the interval's start (its
    discount), the weight e of the terminal cost (1 on the last interval, otherwise 0) and the multipliers of
    the defects; in the Hessian s and e carry the objective's multiplier too. Sparse matrices come back as
    columns of nonzeros; their patterns are returned as well.
    """
    nx, nu = problem.initial.size, problem.n**2
    derivative, weights = radau(degree)
    v = ca.SX.sym("v", nx + degree * (nu + nx))
    s, e, lam = ca.SX.sym("s"), ca.SX.sym("e"), ca.SX.sym("lam", nx * degree)
    u = ca.reshape(v[nx : nx + degree * nu], nu, degree)
    x = ca.reshape(v[nx + degree * nu :], nx, degree)
    velocity = ca.horzcat(v[:nx], x) @ (derivative / h)

    points = np.array(ca.collocation_points(degree, "radau"))
    decay = np.exp(-getattr(problem, "discount", 0.0) * h * points)
    cost = s * (_stage(problem, x, u, velocity) @ (h * weights * decay)) + e * _terminal(problem, x[:, -1])
    defects = ca.vec(velocity - _right_hand_side(problem, x, u))

    jacobian = ca.jacobian(defects, v)
    hessian = ca.triu(ca.hessian(cost + ca.dot(lam, defects), v)[0])
    functions = {
        "cost": ca.Function("cost", [v, s, e], [cost]),
        "gradient": ca.Function("gradient", [v, s, e], [ca.densify(ca.gradient(cost, v))]),
        "defects": ca.Function("defects", [v], [defects]),
        "jacobian": ca.Function("jacobian", [v], [ca.vertcat(*jacobian.nonzeros())]),
        "hessian": ca.Function("hessian", [v, s, e, lam], [ca.vertcat(*hessian.nonzeros())]),
    }
    return functions, jacobian.sparsity(), hessian.sparsity()


def _scatter(values, block, shape, row_step, column_step, intervals):
    """Add up K copies of a sparse block, each shifted by (row_step, column_step), into one sparse MX.

    `values` (nnz of the block, K) holds the nonzeros of the copies.
    """
    rows, columns = (np.array(index)[:, None] for index in block.get_triplet())
    shift = np.arange(intervals)[None, :]
    rows, columns = (rows + row_step * shift).ravel("F"), (columns + column_step * shift).ravel("F")
    keys, target = np.unique(columns * np.int64(shape[0]) + rows, return_inverse=True)
    sparsity = ca.Sparsity.triplet(*shape, (keys % shape[0]).tolist(), (keys // shape[0]).tolist())
    if len(keys) == len(target):
        nonzeros = ca.vec(values)[np.argsort(target).tolist()]
    else:
        source = ca.Sparsity.triplet(len(keys), len(target), target.tolist(), list(range(len(target))))
        nonzeros = ca.DM(source, 1.0) @ ca.vec(values)
    return ca.MX(sparsity, nonzeros)


def build(problem, intervals, options=None, degree=3, exact=True):
    """Build the solver.

    Parameters
    ----------
    problem : SynapticControl or WeightProgram
    intervals : int
        Size of the uniform mesh.
    options : dict, optional
        IPOPT options that replace or join the default ones.
    degree : int
        Radau points per interval.
    exact : bool
        False leaves all derivatives to CasADi (slow; for the check).

    Returns
    -------
    Transcription
    """
    start = time.process_time()
    h = problem.tf / intervals
    nx, nu = problem.initial.size, problem.n**2
    nz, nd = degree * (nx + nu), degree * nx
    functions, jacobian_block, hessian_block = _interval(problem, degree, h)
    mapped = {name: function.map(intervals) for name, function in functions.items()}

    w = ca.MX.sym("w", nx + intervals * nz)
    sigma, lam = ca.MX.sym("sigma"), ca.MX.sym("lam", intervals * nd)
    z = ca.reshape(w[nx:], nz, intervals)
    v = ca.vertcat(ca.horzcat(w[:nx], z[nz - nx :, :-1]), z)
    s = ca.DM(np.exp(-getattr(problem, "discount", 0.0) * h * np.arange(intervals))).T
    e = ca.DM(np.arange(intervals) == intervals - 1).T

    cost = ca.sum2(mapped["cost"](v, s, e))
    defects = ca.vec(mapped["defects"](v))
    settings = {"ipopt": {**IPOPT, **(options or {})}, "print_time": False}
    settings |= {"no_nlp_grad": True, "calc_lam_p": False}  # derivatives that IPOPT does not need
    jacobian = _scatter(mapped["jacobian"](v), jacobian_block, (intervals * nd, w.numel()), nd, nz, intervals)
    blocks = mapped["hessian"](v, sigma * s, sigma * e, ca.reshape(lam, nd, intervals))
    hessian = _scatter(blocks, hessian_block, (w.numel(), w.numel()), nz, nz, intervals)
    if exact:
        local = mapped["gradient"](v, s, e)
        own, shared = ca.vec(local[nx:, :]), ca.vertcat(ca.MX(nz - nx, intervals - 1), local[:nx, 1:])
        gradient = ca.vertcat(local[:nx, 0], own + ca.vertcat(ca.vec(shared), ca.MX(nz, 1)))
        p = ca.MX.sym("p", 0)
        settings["grad_f"] = ca.Function("grad_f", [w, p], [cost, gradient], ["x", "p"], ["f", "grad_f_x"])
        settings["jac_g"] = ca.Function("jac_g", [w, p], [defects, jacobian], ["x", "p"], ["g", "jac_g_x"])
        settings["hess_lag"] = ca.Function(
            "hess_lag", [w, p, sigma, lam], [hessian], ["x", "p", "lam_f", "lam_g"], ["triu_hess_gamma_x_x"]
        )
    solver = ca.nlpsol("reference", "ipopt", {"x": w, "f": cost, "g": defects}, settings)
    return Transcription(
        solver, problem, intervals, degree, jacobian.nnz(), hessian.nnz(), time.process_time() - start
    )


def uncontrolled(problem, times):
    """Return a guess: no control, and the free network's path (synaptic control) or a constant state.

    Returns
    -------
    states : (M + 1, ...) array at `times`
    controls : (M, n, n) array at ``times[1:]``
    """
    controls = np.zeros((len(times) - 1, problem.n, problem.n))
    if isinstance(problem, SynapticControl):

        def field(_, u):
            return problem.A @ np.tanh(u) - u

        path = solve_ivp(field, (0.0, problem.tf), problem.initial, t_eval=times, rtol=1e-8, atol=1e-10)
        return path.y.T, controls
    return np.repeat(problem.initial[None], len(times), axis=0), controls


def _columns(values):
    """Flatten (points, ...) to (points, size), matrices by columns."""
    if values.ndim == 3:
        values = values.transpose(0, 2, 1)
    return values.reshape(len(values), -1)


def pack(states, controls, intervals, degree=3):
    """Return the vector of unknowns from states (K d + 1, ...) and controls (K d, ...)."""
    x, u = _columns(np.asarray(states)), _columns(np.asarray(controls))
    z = np.hstack([u.reshape(intervals, -1), x[1:].reshape(intervals, -1)])
    return np.append(x[0], z)


def solve(transcription, guess=None):
    """Solve a built problem.

    Parameters
    ----------
    transcription : Transcription
    guess : (states, controls), optional
        Arrays (K d + 1, ...) and (K d, n, n) at ``transcription.times``; `uncontrolled` by default.

    Returns
    -------
    dict
        cost, iterations, nnz_jac, nnz_hess, cpu_build, cpu_solve, status, unknowns (the solution vector).
    """
    problem, intervals, degree = transcription.problem, transcription.intervals, transcription.degree
    states, controls = guess or uncontrolled(problem, transcription.times)
    start = time.process_time()
    first = problem.initial.ravel("F")
    control_bound = np.full((problem.n, problem.n), np.inf)
    if isinstance(problem, SynapticControl):
        control_bound = problem.bound
    free = np.full((intervals * degree + 1, first.size), np.inf)
    upper = pack(free, np.repeat(control_bound[None], intervals * degree, axis=0), intervals, degree)
    lower = -upper
    lower[: first.size] = upper[: first.size] = first
    answer = transcription.solver(
        x0=pack(states, controls, intervals, degree), lbx=lower, ubx=upper, lbg=0.0, ubg=0.0
    )
    unknowns = answer["x"].full().ravel()
    cpu_solve = time.process_time() - start
    stats = transcription.solver.stats()
    return {
        "cost": float(answer["f"]),
        "iterations": stats["iter_count"],
        "nnz_jac": transcription.nnz_jac,
        "nnz_hess": transcription.nnz_hess,
        "cpu_build": transcription.cpu_build,
        "cpu_solve": cpu_solve,
        "status": stats["return_status"],
        "unknowns": unknowns,
    }


def check():
    """Compare with CasADi's own derivatives, and the weight program with its exact optimum."""
    for family in INTERVALS:
        problem = instance(family, 3)
        costs = [solve(build(problem, 8, exact=exact))["cost"] for exact in (True, False)]
        print(f"{family} n = 3: {costs[0]:.12f}, CasADi's derivatives: {costs[1]:.12f}")
        assert abs(costs[0] - costs[1]) < 1e-10 * max(1.0, abs(costs[0]))
    for n in SIZES["weight_program"]:
        problem = instance("weight_program", n)
        error = solve(build(problem, INTERVALS["weight_program"]))["cost"] - problem.optimal_cost
        print(f"weight_program n = {n}: cost - exact optimum = {error:.2e}")
        assert abs(error) < 1e-7 * abs(problem.optimal_cost)


def table(sizes=SIZES):
    """Print one line per instance."""
    print("family             n  build/s  solve/s  total/s  iterations   nnz_jac  nnz_hess  cost")
    for family, members in sizes.items():
        for n in members:
            problem = instance(family, n)
            transcription = build(problem, INTERVALS[family])
            r = solve(transcription)
            cpu = (r["cpu_build"], r["cpu_solve"], r["cpu_build"] + r["cpu_solve"])
            seconds = " ".join(f"{value:8.2f}" for value in cpu)
            print(
                f"{family:16s} {n:3d} {seconds} {r['iterations']:11d} {r['nnz_jac']:9d} "
                f"{r['nnz_hess']:9d}  {r['cost']:.10f}  {r['status']}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="run the checks instead of the table")
    check() if parser.parse_args().check else table()
