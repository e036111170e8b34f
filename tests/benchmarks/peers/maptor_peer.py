"""The benchmark problems in MAPTOR (Radau pseudospectral on Opti; fixed mesh, or its own hp refinement)."""

from protocol import Stopwatch, main

DISTRIBUTION = "maptor"
SAME_MESH = {"degree": 3}
LADDERS = {
    "fixed, degree 4": [{"intervals": k, "degree": 4} for k in (4, 8, 16, 32, 64)],
    "fixed, degree 8": [{"intervals": k, "degree": 8} for k in (1, 2, 4, 8, 16)],
    "adaptive": [{"intervals": 4, "degree": 4, "refine_to": tol} for tol in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)],
}
IPOPT = {"ipopt.print_level": 0, "print_time": False, "ipopt.sb": "yes"}


def solve(family, n, accuracy_knob, seed):
    """Solve one instance; `accuracy_knob` has intervals, degree and, to refine the mesh, refine_to."""
    import casadi as ca
    import maptor
    import numpy as np

    from instances import instance
    from reference_collocation import uncontrolled

    data = instance(family, n, seed)
    watch = Stopwatch()
    problem = maptor.Problem(family)
    phase = problem.set_phase(1)
    t = phase.time(initial=0.0, final=data.tf)
    start = data.initial.ravel()
    states = [phase.state(f"x{i}", initial=float(value)) for i, value in enumerate(start)]
    x = ca.vertcat(*states)
    limits = data.bound.ravel() if family == "synaptic_control" else [None] * n**2
    controls = [
        phase.control(f"w{i}", boundary=None if limit is None else (-float(limit), float(limit)))
        for i, limit in enumerate(limits)
    ]
    W = ca.reshape(ca.vertcat(*controls), n, n).T
    if family == "synaptic_control":
        velocity = (data.A + W) @ ca.tanh(x) - x
        stage = data.motion * ca.sumsqr(velocity) + data.effort * ca.sumsqr(W)
        terminal = 0
        integrand = ca.exp(-data.discount * t) * stage
    else:
        z = ca.reshape(x, data.targets.shape[::-1]).T
        g = ca.tanh(z)
        velocity = ca.vec((W @ g - z).T)
        overlap = ca.sumsqr(data.targets @ g.T)
        reward = ca.dot(x, data.targets.ravel())
        integrand = -reward + data.beta * overlap / 2 + ca.sumsqr(W) / (2 * data.beta)
        terminal = -sum(float(s) * state.final for s, state in zip(data.targets.ravel(), states, strict=True))
    phase.dynamics({state: velocity[i] for i, state in enumerate(states)})
    problem.minimize(phase.add_integral(integrand) + terminal)

    intervals, degree = accuracy_knob["intervals"], accuracy_knob["degree"]
    edges = np.linspace(-1.0, 1.0, intervals + 1)
    phase.mesh([degree] * intervals, edges)
    flipped = 1.0 - np.array(ca.collocation_points(degree, "radau"))[::-1]
    nodes = np.append(flipped, 1.0)
    guess = []
    for k in range(intervals):
        path, _ = uncontrolled(data, (k + nodes) * data.tf / intervals)
        guess.append(path.reshape(degree + 1, -1).T)
    phase.guess(states=guess, controls=[np.zeros((n * n, degree))] * intervals)
    if "refine_to" in accuracy_knob:
        solution = maptor.solve_adaptive(
            problem, error_tolerance=accuracy_knob["refine_to"], nlp_options=IPOPT, show_summary=False
        )
    else:
        solution = maptor.solve_fixed_mesh(problem, nlp_options=IPOPT, show_summary=False)
    status = solution.status
    if not status["success"]:
        raise RuntimeError(status["message"])
    return watch.result(status["objective"], status["message"])


if __name__ == "__main__":
    main(solve)
