"""The benchmark problems in YAPSS (multi-interval Radau pseudospectral; CasADi differentiates at a point)."""

from protocol import Stopwatch, main

DISTRIBUTION = "yapss"
SAME_MESH = {"degree": 3}
LADDERS = {
    "degree 4": [{"intervals": k, "degree": 4} for k in (4, 8, 16, 32, 64)],
    "degree 10": [{"intervals": k, "degree": 10} for k in (1, 2, 4, 8, 16)],
}


def solve(family, n, accuracy_knob, seed):
    """Solve one instance; `accuracy_knob` has intervals and degree (collocation points per interval)."""
    import numpy as np
    import yapss

    from instances import instance
    from reference_collocation import uncontrolled

    data = instance(family, n, seed)
    watch = Stopwatch()
    problem = yapss.Problem(name=family, nx=[data.initial.size], nu=[n * n], nq=[1])
    grid = np.linspace(0.0, data.tf, 41)

    if family == "synaptic_control":

        def continuous(arg):
            phase = arg.phase[0]
            u, xi, g = phase.state, phase.control, [np.tanh(value) for value in phase.state]
            velocity = [sum((data.A[i, j] + xi[n * i + j]) * g[j] for j in range(n)) - u[i] for i in range(n)]
            phase.dynamics[:] = velocity
            stage = data.motion * sum(v**2 for v in velocity) + data.effort * sum(value**2 for value in xi)
            phase.integrand[0] = np.exp(-data.discount * phase.time) * stage

        def objective(arg):
            arg.objective = arg.phase[0].integral[0]

    else:
        pairs = range(data.targets.shape[1])
        targets = data.targets.ravel()

        def continuous(arg):
            phase = arg.phase[0]
            z, W, g = phase.state, phase.control, [np.tanh(value) for value in phase.state]
            phase.dynamics[:] = [
                sum(W[n * i + j] * g[len(pairs) * j + r] for j in range(n)) - z[len(pairs) * i + r]
                for i in range(n)
                for r in pairs
            ]
            overlap = sum(
                sum(targets[len(pairs) * i + r] * g[len(pairs) * j + r] for r in pairs) ** 2
                for i in range(n)
                for j in range(n)
            )
            reward = sum(target * value for target, value in zip(targets, z, strict=True))
            effort = sum(value**2 for value in W)
            phase.integrand[0] = -reward + data.beta * overlap / 2 + effort / (2 * data.beta)

        def objective(arg):
            phase = arg.phase[0]
            reward = sum(target * phase.final_state[i] for i, target in enumerate(targets))
            arg.objective = phase.integral[0] - reward

    problem.functions.continuous = continuous
    problem.functions.objective = objective
    bounds = problem.bounds.phase[0]
    bounds.initial_time.lower = bounds.initial_time.upper = 0.0
    bounds.final_time.lower = bounds.final_time.upper = data.tf
    bounds.initial_state.lower[:] = bounds.initial_state.upper[:] = data.initial.ravel()
    if family == "synaptic_control":
        bounds.control.lower[:], bounds.control.upper[:] = -data.bound.ravel(), data.bound.ravel()
    states, _ = uncontrolled(data, grid)
    guess = problem.guess.phase[0]
    guess.time, guess.state = grid, states.reshape(len(grid), -1).T
    guess.control = np.zeros((n * n, len(grid)))
    intervals, degree = accuracy_knob["intervals"], accuracy_knob["degree"]
    problem.mesh.phase[0].collocation_points = intervals * (degree,)
    problem.mesh.phase[0].fraction = intervals * (1.0 / intervals,)
    problem.derivatives.method, problem.derivatives.order = "auto", "second"
    problem.ipopt_options.print_level = 0
    problem.ipopt_options.sb = "yes"
    solution = problem.solve()
    return watch.result(solution.objective, getattr(solution, "ipopt_status_message", ""))


if __name__ == "__main__":
    main(solve)
