"""The benchmark problems in GEKKO (its own language and IPOPT; Lobatto nodes in each step)."""

from protocol import Stopwatch, main

DISTRIBUTION = "gekko"
SAME_MESH = {"nodes": 4}
LADDERS = {"4 nodes": [{"intervals": k, "nodes": 4} for k in (10, 20, 40, 80, 160, 320, 640, 1280)]}


def solve(family, n, accuracy_knob, seed):
    """Solve one instance; `accuracy_knob` has intervals and nodes (per interval, ends included)."""
    import numpy as np
    from gekko import GEKKO

    from instances import instance
    from reference_collocation import uncontrolled

    data = instance(family, n, seed)
    watch = Stopwatch()
    model = GEKKO(remote=False)
    model.time = np.linspace(0.0, data.tf, accuracy_knob["intervals"] + 1)
    path, _ = uncontrolled(data, model.time)
    path = path.reshape(len(model.time), -1)
    x = [model.Var(value=column) for column in path.T]
    for state, value in zip(x, path[0], strict=True):
        state.value[0] = value
    limits = data.bound.ravel() if family == "synaptic_control" else [None] * n * n
    w = [model.Var(value=0.0, lb=None if b is None else -b, ub=b, fixed_initial=False) for b in limits]
    g = [model.Intermediate(model.tanh(state)) for state in x]
    spent = model.Var(value=0.0)
    last = model.Param(value=np.append(np.zeros(accuracy_knob["intervals"]), 1.0))
    if family == "synaptic_control":
        A = data.A.tolist()  # numpy numbers would swallow the symbols
        clock = model.Var(value=0.0)
        model.Equation(clock.dt() == 1)
        velocity = [
            model.Intermediate(sum([(A[i][j] + w[n * i + j]) * g[j] for j in range(n)]) - x[i])
            for i in range(n)
        ]
        motion = model.Intermediate(sum([v**2 for v in velocity]))
        effort = model.Intermediate(sum([value**2 for value in w]))
        decay = model.exp(-data.discount * clock)
        model.Equation(spent.dt() == decay * (data.motion * motion + data.effort * effort))
        model.Minimize(last * spent)
    else:
        pairs = data.targets.shape[1]
        targets = data.targets.ravel().tolist()  # numpy numbers would swallow the symbols
        velocity = [
            sum([w[n * i + j] * g[pairs * j + r] for j in range(n)]) - x[pairs * i + r]
            for i in range(n)
            for r in range(pairs)
        ]
        overlap = [
            model.Intermediate(sum([targets[pairs * i + r] * g[pairs * j + r] for r in range(pairs)]) ** 2)
            for i in range(n)
            for j in range(n)
        ]
        reward = model.Intermediate(sum([t * state for t, state in zip(targets, x, strict=True)]))
        effort = model.Intermediate(sum([value**2 for value in w]))
        penalty = data.beta / 2 * sum(overlap) + effort / (2 * data.beta)
        model.Equation(spent.dt() == -reward + penalty)
        goal = model.Var(value=0.0, fixed_initial=False)
        model.Equation(goal == spent - reward)
        model.Minimize(last * goal)
    for state, rate in zip(x, velocity, strict=True):
        model.Equation(state.dt() == rate)
    model.options.IMODE = 6
    model.options.SOLVER = 3
    model.options.NODES = accuracy_knob["nodes"]
    model.options.OTOL = model.options.RTOL = 1e-8
    model.options.MAX_ITER = 1000
    model.solve(disp=False)
    cost = model.options.OBJFCNVAL
    return watch.result(cost, f"status {model.options.APPSTATUS}")


if __name__ == "__main__":
    main(solve)
