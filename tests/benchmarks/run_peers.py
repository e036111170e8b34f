"""Measure how much CPU time other packages need for a cost that is right to 1e-6, and write the table.

Every case runs in a process of its own, one after the other, with one BLAS thread. A package's settings form
ladders of rising accuracy; a ladder is climbed until two neighbouring settings are right (one alone may be
luck), the next one would cost more than the best known, or it would pass the limit of CPU time. Answers are
kept in results/peers.json and the table, results/peers.md, is made from all of them::

    python run_peers.py --only rockit,do_mpc --python yapss=/path/to/python
"""

import argparse
import datetime
import importlib
import itertools
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PEERS = ("reference", "ocnet", "rockit", "do_mpc", "yapss", "maptor", "gekko")
SIZES = (4, 8, 16)
FAMILIES = ("synaptic_control", "weight_program")
TARGET = 1e-6  # relative error of the cost
SAME_MESH = {"synaptic_control": 40, "weight_program": 20}  # intervals, as in reference_collocation.py
SEED = 0
FINE = {"tol": 1e-11, "compl_inf_tol": 1e-11, "bound_relax_factor": 0.0}
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def fine_reference(family, n):
    """Return the optimal cost and an estimate of its relative error."""
    import reference_collocation as reference

    data = reference.instance(family, n, SEED)
    if family == "weight_program":
        return {"cost": data.optimal_cost, "error": 0.0}
    high, low = (
        reference.solve(reference.build(data, intervals, FINE, degree=degree))["cost"]
        for intervals, degree in ((160, 5), (320, 3))
    )
    return {"cost": high, "error": abs(high - low) / abs(high)}


def run_case(peer, python, family, n, knob, limit):
    """Run one setting in its own process; return its answer."""
    script = HERE / "peers" / f"{peer}_peer.py"
    command = [python, str(script), family, str(n), json.dumps(knob), str(SEED), str(limit)]
    environment = {**os.environ, **THREADS}
    answer = {"cost": None, "cpu": None, "wall": None}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=3 * limit, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return answer | {"note": f"over {3 * limit} s of wall time"}
    lines = done.stdout.strip().splitlines()
    if done.returncode in (-9, -24):  # killed, or out of CPU time
        return answer | {"note": f"over {limit} s of CPU time"}
    if done.returncode or not lines or not lines[-1].startswith("{"):
        return answer | {"note": f"exit {done.returncode}: {done.stderr.strip()[-200:]}"}
    return json.loads(lines[-1])


def versions(python, distribution):
    """Return "package version, casadi version" of an interpreter, or None if the package is not there."""
    code = "import importlib.metadata as m\nfor d in m.distributions(): print(d.name, d.version)"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    found = {line.split()[0].lower().replace("_", "-"): line for line in done.stdout.splitlines()}
    names = list(dict.fromkeys([distribution, "casadi"]))
    return ", ".join(found[name] for name in names if name in found) if distribution in found else None


def judged(peer, python, family, n, knob, reference, limit):
    """Run one setting and add its relative error."""
    answer = run_case(peer, python, family, n, knob, limit)
    answer |= {"knob": knob, "limit": limit, "error": None, "right": False}
    if answer["cost"] is not None:
        answer["error"] = abs(answer["cost"] - reference["cost"]) / abs(reference["cost"])
        answer["right"] = answer["error"] <= TARGET
    print(peer, family, n, knob, answer["cpu"], answer["error"], answer["note"], flush=True)
    return answer


def climb(peer, python, ladders, family, n, reference, limit):
    """Run the ladders of one peer on one instance; return all answers, each with its error."""
    runs, best = [], float("inf")
    for name, ladder in ladders.items():
        previous = None
        for knob in ladder:
            if previous and 2.0 * previous["cpu"] > limit:
                break
            if previous and not previous["right"] and previous["cpu"] > best:
                break
            answer = judged(peer, python, family, n, knob, reference, limit) | {"ladder": name}
            runs.append(answer)
            if answer["cost"] is None and answer["note"].startswith("over"):
                break
            if answer["right"] and previous and previous["right"]:
                best = min(best, previous["cpu"])
                break
            previous = answer if answer["cost"] is not None else None
    return runs


def best_of(runs):
    """Return the cheapest answer that is right and confirmed by its finer neighbour, if that was run."""
    right = []
    for answer, after in itertools.pairwise([*runs, None]):
        finer = after if after and after["ladder"] == answer["ladder"] else None
        if answer["right"] and (finer is None or finer["cost"] is None or finer["right"]):
            right.append(answer)
    return min(right, key=lambda answer: answer["cpu"], default=None)


def closest_of(runs):
    """Return the most accurate answer."""
    answers = [answer for answer in runs if answer["error"] is not None]
    return min(answers, key=lambda answer: answer["error"], default=None)


def _settings(answer):
    return ", ".join(f"{key} {value}" for key, value in answer["knob"].items())


def write_table(store):
    """Write results/peers.md from everything that has been measured."""
    columns = [f"{family.replace('_', ' ')} n={n}" for family in FAMILIES for n in SIZES]
    heading = ["| package | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    lines = ["# CPU time to a cost that is right to 1e-6", ""]
    lines += [
        "Made by `run_peers.py`. CPU seconds (user and system, one BLAS thread) to state, build and solve",
        "the problem, imports excluded: the smallest over the settings tried (each finer one halves the",
        f"intervals, or divides the tolerance by ten). Random data of seed {SEED} from `instances.py`;",
        "synaptic control on [0, 8], weight program with 3 pairs on [0, 1]. `-`: not reached in the limit",
        "of CPU time of a run (given below where it mattered; no run is begun that would probably pass it).",
        "",
        "The cost of the weight program says little about a mesh: when the control is free at every",
        "collocation point, the discrete optimum is the exact one on any mesh, because the exact value",
        "function is linear in the state. It shows how the control is parametrised and what a package costs.",
        "",
        f"{store['machine']}.",
        "",
        *heading,
    ]
    peers = [peer for peer in PEERS if peer in store["peers"]]
    for peer in peers:
        cells = []
        for family in FAMILIES:
            for n in SIZES:
                runs = store["peers"][peer]["runs"].get(f"{family} {n}", [])
                best = best_of(runs)
                cells.append(f"{best['cpu']:.2f}" if best else "-" if runs else "not run")
        lines.append(f"| {peer} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## The same mesh",
        "",
        f"CPU seconds (relative error of the cost) on uniform meshes of {SAME_MESH['synaptic_control']} and",
        f"{SAME_MESH['weight_program']} intervals with 3 new collocation points each.",
        "",
        *heading,
    ]
    for peer in peers:
        cells = []
        for family in FAMILIES:
            for n in SIZES:
                same = store["peers"][peer].get("same mesh", {}).get(f"{family} {n}")
                if same is None:
                    cells.append("not run")
                elif same["cost"] is None:
                    cells.append(same["note"].split("\n")[0][:60])
                else:
                    cells.append(f"{same['cpu']:.2f} ({same['error']:.0e})")
        lines.append(f"| {peer} | " + " | ".join(cells) + " |")
    lines += ["", "## Reference costs", ""]
    lines += ["| instance | cost | relative error of the reference |", "|---|---|---|"]
    for name, reference in store["references"].items():
        error = "exact" if reference["error"] == 0.0 else f"{reference['error']:.0e}"
        lines.append(f"| {name.replace('_', ' ')} | {reference['cost']:.10f} | {error} |")
    lines += ["", "## Settings of the best run, or the closest one", ""]
    for peer in peers:
        entry = store["peers"][peer]
        lines += [f"### {peer} ({entry['versions']}; {entry['date']})", ""]
        lines += ["| instance | settings | CPU s | error | note |", "|---|---|---|---|---|"]
        for name, runs in entry["runs"].items():
            best = best_of(runs)
            shown = best or closest_of(runs)
            if shown:
                verdict = "" if best else f"not reached within {shown.get('limit', 300)} s; the closest. "
                figures = f"{shown['cpu']:.2f} | {shown['error']:.1e} | {verdict}{shown['note']}"
                lines.append(f"| {name.replace('_', ' ')} | {_settings(shown)} | {figures} |")
            for run in runs:
                if run["cost"] is None:
                    note = run["note"].split("\n")[0][:120]
                    lines.append(f"| {name.replace('_', ' ')} | {_settings(run)} | failed | | {note} |")
        lines.append("")
    (RESULTS / "peers.md").write_text("\n".join(lines))


def main():
    """Run what is asked for and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PEERS), help="peers to run, separated by commas")
    parser.add_argument("--family", default=",".join(FAMILIES))
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--limit", type=int, default=300, help="seconds of CPU time per run")
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PATH", help="its interpreter")
    parser.add_argument("--quick", action="store_true", help="only the same mesh for all")
    parser.add_argument("--table", action="store_true", help="only write the table again")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE / "peers"))
    pythons = dict(item.split("=", 1) for item in options.python)

    file = RESULTS / "peers.json"
    store = json.loads(file.read_text()) if file.exists() else {"references": {}, "peers": {}}
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    store["machine"] = f"{os.cpu_count()} cores, {system}"
    for peer in [] if options.table else options.only.split(","):
        module = importlib.import_module(f"{peer}_peer")
        python = pythons.get(peer, sys.executable)
        installed = versions(python, module.DISTRIBUTION)
        if installed is None:
            print(f"{peer}: {module.DISTRIBUTION} is not installed, skipped")
            continue
        entry = store["peers"].setdefault(peer, {"runs": {}})
        entry |= {"versions": installed, "date": datetime.date.today().isoformat()}
        for family in options.family.split(","):
            for n in map(int, options.sizes.split(",")):
                name = f"{family} {n}"
                if name not in store["references"]:
                    store["references"][name] = fine_reference(family, n)
                reference = store["references"][name]
                knob = {"intervals": SAME_MESH[family], **module.SAME_MESH}
                same = judged(peer, python, family, n, knob, reference, options.limit)
                entry.setdefault("same mesh", {})[name] = same
                file.write_text(json.dumps(store, indent=1))
                if options.quick:
                    continue
                entry["runs"][name] = climb(peer, python, module.LADDERS, family, n, reference, options.limit)
                file.write_text(json.dumps(store, indent=1))
    write_table(store)


if __name__ == "__main__":
    main()
