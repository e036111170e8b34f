"""The hand-written reference (not a package): what CasADi and IPOPT can do on a uniform mesh."""

from protocol import Stopwatch, main

DISTRIBUTION = "casadi"
SAME_MESH = {"degree": 3}
LADDERS = {"uniform": [{"intervals": k, "degree": 3} for k in (5, 10, 20, 40, 80)]}


def solve(family, n, accuracy_knob, seed):
    """Solve one instance; `accuracy_knob` has intervals and degree."""
    import reference_collocation as reference

    data = reference.instance(family, n, seed)
    watch = Stopwatch()
    transcription = reference.build(data, accuracy_knob["intervals"], degree=accuracy_knob["degree"])
    answer = reference.solve(transcription)
    if answer["status"] != "Solve_Succeeded":
        raise RuntimeError(answer["status"])
    return watch.result(answer["cost"], f"{answer['iterations']} iterations")


if __name__ == "__main__":
    main(solve)
