"""Open-loop optima of random small networks: what value functions are measured by.

    python -m tests.hjb_references 2                       # the ten networks of two neurons
    python -m tests.hjb_references 2 feedback,nearby 3,6   # starts of some kinds, for some networks

writes tests/problems/data/synaptic_optima_2.npz, or improves what is there. The cost at each state is the
least of Pontryagin solutions from many starts: random controls, paths towards each equilibrium of the
network, paths of the feedback of a coarse value function from states around, and the solutions at the other
states nearby. Where Pontryagin's road fails from a start, and once along the feedback, direct collocation
goes first.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.optimize import root

import ocnet as oc
from ocnet.errors import OcnetError
from problems import synaptic_control

NETWORKS, STATES, SIDE = 10, 20, 2.0
RANDOM = 2  # starts with random controls
DIFFERENT = 1e-6  # in cost, relative to 1 + cost: two optima
NEAR_SKIBA, NEAR_EQUILIBRIUM = 1e-2, 0.25
HELD = 1e-2  # distance of a path's end from an equilibrium
COSTS = 6  # distinct optima that are kept for each state
KINDS = ("random", "equilibria", "feedback", "nearby")
COARSE = {1: 801, 2: 121, 3: 41}  # nodes along each axis
TIMES = np.concatenate([np.linspace(0, 10, 41), np.linspace(11, 25, 15)])
DATA = Path(__file__).parent / "problems" / "data"


def network(n, number):
    """Return the matrix of a random network (n, n) and its states (20, n)."""
    rng = np.random.default_rng(1000 * n + number)
    A = rng.normal(size=(n, n)) * 1.2 / np.sqrt(n) + 0.8 * np.eye(n)
    return A, rng.uniform(-SIDE, SIDE, (STATES, n))


def problem(A, initial=None):
    n = len(A)
    start = np.zeros(n) if initial is None else initial
    return synaptic_control.problem(A, start, bounds=(0.1, 1.0), discount=0.5)


def equilibria(A):
    """Return the equilibria of the network without control (count, n), and which of them are unstable."""
    n = len(A)
    found = [np.zeros(n)]
    for start in np.random.default_rng(0).uniform(-4, 4, (200, n)):
        answer = root(lambda u: A @ np.tanh(u) - u, start, tol=1e-12)
        u = answer.x
        if np.abs(A @ np.tanh(u) - u).max() < 1e-9 and min(np.abs(u - e).max() for e in found) > 1e-5:
            found.append(u)
    slopes = [A * (1 - np.tanh(u) ** 2) - np.eye(n) for u in found]
    return np.array(found), np.array([np.linalg.eigvals(J).real.max() > 0 for J in slopes])


def optima(solver, direct, x, guesses, first):
    """Return the Pontryagin solutions from x that the starts lead to (None: random controls).

    Direct collocation goes first from the start with the number `first`, and where Pontryagin's road fails.
    """
    found = []
    for k, guess in enumerate(guesses):
        options = {"parameters": {"initial": x}, "throw": False}
        try:
            if guess is None:
                solution = solver.solve(multistart=2, rng=k, **options)
            else:
                solution = solver.solve(guess=guess, **options)
                if k == first or not solution.success:
                    other = direct.solve(guess=guess, **options)
                    if not solution.success or other.cost < solution.cost - DIFFERENT:
                        solution = solver.solve(guess=other, **options)
        except OcnetError:
            continue
        if solution.success:
            found.append(solution)
    return found


def start(x, path, xi):
    path = path.copy()
    path[0] = x
    return {"u": (TIMES, path), "xi": (TIMES, xi)}


def rollouts(value, x):
    """Return starts along the feedback from x and around it, as far as they differ."""
    n = len(x)
    rng = np.random.default_rng(0)
    around = [np.zeros((1, n)), *(r * np.vstack([np.eye(n), -np.eye(n)]) for r in (0.03, 0.15)),
              0.3 * rng.normal(size=(2 * n, n))]  # fmt: skip
    low, high = np.array(value.grid.lower), np.array(value.grid.upper)
    loop = value.closed_loop(np.clip(x + np.vstack(around), low, high), 25.0, at=TIMES)
    chosen, guesses = [], []
    for j in range(loop.x.shape[1]):
        if all(np.abs(loop.x[:, j] - loop.x[:, k]).max(axis=1)[20:].max() > 0.3 for k in chosen):
            chosen.append(j)
            path = np.clip(loop.x[:, j], low, high)
            guesses.append(start(x, path, value.policy(0.0, path).reshape(-1, n, n)))
    return guesses


def towards(x, points):
    """Return starts along straight lines to the equilibria, without control."""
    n = len(x)
    decay = np.exp(-TIMES)[:, None]
    return [start(x, u + (x - u) * decay, np.zeros((len(TIMES), n, n))) for u in points]


def references(n, number, kinds, known):
    """Return the data of one network: what is known, improved by starts of the given kinds."""
    A, states = network(n, number)
    points, unstable = equilibria(A)
    made = problem(A)
    solver = oc.prepare(made, oc.Pontryagin(refine_to=1e-7 if n < 3 else 1e-6))
    direct = oc.prepare(made, oc.Collocation(refine_to=1e-5))
    side = 1.3 * max(3.0, np.abs(points).max())
    found = []
    if "feedback" in kinds:
        value = oc.solve_hjb(made, oc.Grid([-side] * n, [side] * n, COARSE[n], 3.0), tolerance=1e-6)
    for x in states:
        guesses = [None] * RANDOM if "random" in kinds else []
        guesses += towards(x, points) if "equilibria" in kinds else []
        first = len(guesses)
        guesses += rollouts(value, x) if "feedback" in kinds else []
        found.append(optima(solver, direct, x, guesses, first))
    if "nearby" in kinds:
        for k, x in enumerate(states):
            near = np.argsort(np.linalg.norm(states - x, axis=1))[1:3]
            best = [min(found[j], key=lambda s: s.cost) for j in near if found[j]]
            found[k] += optima(solver, direct, x, best, -1)
    data = {"A": A, "x": states, "costs": np.full((STATES, COSTS), np.nan), "held": np.full(STATES, np.nan)}
    data["distance"] = [np.linalg.norm(points[unstable] - x, axis=1).min(initial=np.inf) for x in states]
    for k, solutions in enumerate(found):
        old = known["costs"][k] if known else np.zeros(0)
        costs = distinct([*old[np.isfinite(old)], *(s.cost for s in solutions)])
        data["costs"][k, : len(costs)] = costs
        data["held"][k] = known["held"][k] if known else np.nan
        best = min(solutions, key=lambda s: s.cost, default=None)
        if best is not None and best.cost <= costs[0] + DIFFERENT:
            last = best.states["u"][-1]
            data["held"][k] = np.linalg.norm(points[unstable] - last, axis=1).min(initial=np.inf)
    return data


def distinct(costs):
    """Return the costs that differ, ascending, the least of each group."""
    result = []
    for cost in sorted(costs):
        if not result or cost > result[-1] + DIFFERENT * (1 + abs(cost)):
            result.append(cost)
    return result[:COSTS]


def path_of(n):
    return DATA / f"synaptic_optima_{n}.npz"


def stored(n):
    """Return what the data hold of networks of n neurons, with the least costs and two sets of states.

    "left out": near a Skiba set (two optima within 1e-2 in cost), near an unstable equilibrium of the
    network, or without a reference. "held": the best path found ends at an unstable equilibrium. Both as far
    as open-loop solutions tell.
    """
    with np.load(path_of(n)) as file:
        data = dict(file)
    best, second = data["costs"][:, :, 0], data["costs"][:, :, 1]
    near = (second - best < NEAR_SKIBA) | (data["distance"] < NEAR_EQUILIBRIUM)
    return data | {"best": best, "left out": near | ~np.isfinite(best), "held": data["held"] < HELD}


def main(n, kinds=KINDS, networks=range(NETWORKS)):
    DATA.mkdir(exist_ok=True)
    rows = []
    if path_of(n).exists():
        with np.load(path_of(n)) as file:
            known = dict(file)
        rows = [{name: part[k] for name, part in known.items()} for k in range(len(known["A"]))]
    for number in networks:
        old = rows[number] if number < len(rows) else None
        rows[number : number + 1] = [references(n, number, kinds, old)]
        costs = rows[number]["costs"]
        print(f"network {number}: solved {np.isfinite(costs[:, 0]).sum()} of {STATES}, "
              f"{(costs[:, 1] - costs[:, 0] < NEAR_SKIBA).sum()} near a Skiba set, "
              f"{(rows[number]['held'] < HELD).sum()} held", flush=True)  # fmt: skip
        data = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        np.savez_compressed(path_of(n), **data)


if __name__ == "__main__":
    chosen = sys.argv[2].split(",") if len(sys.argv) > 2 else KINDS
    numbers = [int(k) for k in sys.argv[3].split(",")] if len(sys.argv) > 3 else range(NETWORKS)
    main(int(sys.argv[1]), chosen, numbers)
