"""The benchmark problems in rockit (Opti-based; the controls are polynomial splines of the given order)."""

from protocol import Stopwatch, main

DISTRIBUTION = "rockit-meco"
SAME_MESH = {"order": 0, "degree": 3}
LADDERS = {
    "linear": [{"order": 1, "intervals": k, "degree": 4} for k in (10, 20, 40, 80, 160, 320)],
    "constant": [{"order": 0, "intervals": k, "degree": 3} for k in (40, 80, 160, 320, 640, 1280)],
}


def solve(family, n, accuracy_knob, seed):
    """Solve one instance; `accuracy_knob` has order (of the control), intervals and degree."""
    import casadi as ca
    import numpy as np
    import rockit

    from instances import instance
    from reference_collocation import uncontrolled

    data = instance(family, n, seed)
    watch = Stopwatch()
    ocp = rockit.Ocp(t0=0, T=data.tf)
    if family == "synaptic_control":
        u = ocp.state(n)
        xi = ocp.control(n, n, order=accuracy_knob["order"])
        velocity = (data.A + xi) @ ca.tanh(u) - u
        ocp.set_der(u, velocity)
        stage = data.motion * ca.sumsqr(velocity) + data.effort * ca.sumsqr(xi)
        ocp.add_objective(ocp.integral(ca.exp(-data.discount * ocp.t) * stage))
        bound = ca.vec(data.bound)
        ocp.subject_to(-bound <= (ca.vec(xi) <= bound))
        ocp.subject_to(ocp.at_t0(u) == data.initial)
        grid = np.linspace(0, data.tf, accuracy_knob["intervals"] + 1)
        path, _ = uncontrolled(data, grid)
        ocp.set_initial(u, ca.interpolant("path", "linear", [grid], path.ravel())(ocp.t))
    else:
        z = ocp.state(n, data.initial.shape[1])
        W = ocp.control(n, n, order=accuracy_knob["order"])
        g = ca.tanh(z)
        ocp.set_der(z, W @ g - z)
        reward = ca.sum1(ca.vec(z) * ca.vec(data.targets))
        overlap = ca.sumsqr(data.targets @ g.T)
        ocp.add_objective(ocp.integral(-reward + data.beta * overlap / 2 + ca.sumsqr(W) / (2 * data.beta)))
        ocp.add_objective(-ocp.at_tf(reward))
        ocp.subject_to(ocp.at_t0(z) == data.initial)
        ocp.set_initial(z, data.initial)
    ocp.solver("ipopt", {"expand": True, "print_time": False, "ipopt.print_level": 0, "ipopt.sb": "yes"})
    ocp.method(rockit.DirectCollocation(N=accuracy_knob["intervals"], degree=accuracy_knob["degree"]))
    solution = ocp.solve()
    return watch.result(solution.value(ocp.objective), f"{solution.stats['iter_count']} iterations")


if __name__ == "__main__":
    main(solve)
