"""The benchmark problems in ocnet: on a fixed mesh, or with its own refinement."""

from protocol import Stopwatch, main

DISTRIBUTION = "ocnet"
SAME_MESH = {"degree": 3, "refine_to": None}
LADDERS = {
    "fixed": [{"intervals": k, "degree": 3, "refine_to": None} for k in (5, 10, 20, 40, 80)],
    "refined": [{"intervals": None, "degree": 3, "refine_to": tol} for tol in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)],
}


def solve(family, n, accuracy_knob, seed):
    """Solve one instance; `accuracy_knob` has intervals, degree and refine_to (None keeps the mesh)."""
    import ocnet as oc
    from instances import instance
    from problems import synaptic_control, weight_program

    data = instance(family, n, seed)
    watch = Stopwatch()
    if family == "synaptic_control":
        problem = synaptic_control.problem(
            data.A,
            initial=data.initial,
            bounds=(data.silent, data.present),
            discount=data.discount,
            motion=data.motion,
            effort=data.effort,
            tf=data.tf,
        )
    else:
        problem = weight_program.problem(data.inputs, data.targets, beta=data.beta, tf=data.tf)
    solution = oc.solve(problem, oc.Collocation(**accuracy_knob))
    return watch.result(solution.cost, solution.status)


if __name__ == "__main__":
    main(solve)
