"""The benchmark problems in do-mpc (piecewise-constant controls only; the cost integral is a state)."""

from protocol import Stopwatch, main

DISTRIBUTION = "do-mpc"
SAME_MESH = {"degree": 3}
LADDERS = {"constant": [{"intervals": k, "degree": 3} for k in (40, 80, 160, 320, 640, 1280)]}


def solve(family, n, accuracy_knob, seed):
    """Solve one instance; `accuracy_knob` has intervals and degree.

    do-mpc sums its stage cost at the ends of the steps, so that an integral has to be a state that it
    collocates. The clock is a state too: a time-varying parameter would be constant over a step.
    """
    import casadi as ca
    import do_mpc
    import numpy as np

    from instances import instance
    from reference_collocation import uncontrolled

    data = instance(family, n, seed)
    watch = Stopwatch()
    model = do_mpc.model.Model("continuous")
    x = model.set_variable("_x", "x", shape=(data.initial.size, 1))
    model.set_variable("_x", "spent")
    w = model.set_variable("_u", "w", shape=(n * n, 1))
    W = ca.reshape(w, n, n)
    start = [data.initial.ravel("F"), [0.0]]
    if family == "synaptic_control":
        clock = model.set_variable("_x", "clock")
        model.set_rhs("clock", ca.DM(1.0))
        start.append([0.0])
        velocity = (data.A + W) @ ca.tanh(x) - x
        stage = data.motion * ca.sumsqr(velocity) + data.effort * ca.sumsqr(w)
        model.set_rhs("spent", ca.exp(-data.discount * clock) * stage)
    else:
        z = ca.reshape(x, data.targets.shape)
        g = ca.tanh(z)
        velocity = ca.vec(W @ g - z)
        reward = ca.dot(x, data.targets.ravel("F"))
        overlap = ca.sumsqr(data.targets @ g.T)
        model.set_rhs("spent", -reward + data.beta * overlap / 2 + ca.sumsqr(w) / (2 * data.beta))
    model.set_rhs("x", velocity)
    model.setup()
    terminal = model.x["spent"]
    if family == "weight_program":
        terminal = terminal - ca.dot(model.x["x"], data.targets.ravel("F"))

    mpc = do_mpc.controller.MPC(model)
    mpc.settings.n_horizon = accuracy_knob["intervals"]
    mpc.settings.t_step = data.tf / accuracy_knob["intervals"]
    mpc.settings.collocation_deg = accuracy_knob["degree"]
    mpc.settings.supress_ipopt_output()
    mpc.set_objective(mterm=terminal, lterm=ca.DM(0.0))
    mpc.set_rterm(w=0.0)
    if family == "synaptic_control":
        mpc.bounds["lower", "_u", "w"] = -data.bound.ravel("F")
        mpc.bounds["upper", "_u", "w"] = data.bound.ravel("F")
    mpc.setup()
    mpc.x0 = np.concatenate(start)
    mpc.u0 = np.zeros(n * n)
    mpc.set_initial_guess()
    grid = np.linspace(0.0, data.tf, accuracy_knob["intervals"] + 1)
    states, _ = uncontrolled(data, grid)
    for k, time in enumerate(grid):
        guess = mpc.opt_x_num["_x", k, 0, 0]
        guess[: x.shape[0]] = states[k].ravel("F")
        if family == "synaptic_control":
            guess[-1] = time
        for c in range(len(mpc.opt_x_num["_x", k, 0])):
            mpc.opt_x_num["_x", k, 0, c] = guess
    mpc.make_step(mpc.x0)
    final = mpc.opt_x_num["_x", -1, 0, -1]
    cost = ca.Function("cost", [model.x], [terminal])(final)
    if not mpc.solver_stats["success"]:
        raise RuntimeError(mpc.solver_stats["return_status"])
    return watch.result(cost, f"{mpc.solver_stats['iter_count']} iterations")


if __name__ == "__main__":
    main(solve)
