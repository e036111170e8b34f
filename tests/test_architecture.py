"""The shape of the house: one direction of imports, small files with telling names, nothing private."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ocnet"

# From the foundation to the roof. A module imports only from lines before its own; modules on one line do not
# know each other. Imports under `if TYPE_CHECKING:` are annotations, and free.
LAYERS = (
    {"errors", "interruption", "one_sided", "pointwise"},
    {"checkpoint_files", "statement"},
    {"horizon", "statement.graph", "symbols"},
    {"functions", "statement.checks", "statement.formula"},
    {"statement.printing"},
    {"problem"},
    {"networks.activations"},
    {
        "networks.arguments",
        "networks.dynamics",
        "networks.slopes",
        "networks.synapse_rows",
        "networks.weight_rows",
    },
    {
        "networks.binary",
        "networks.hebb",
        "networks.hopfield",
        "networks.krotov",
        "networks.synaptic",
        "networks.weights",
    },
    {"networks.closure"},
    {"networks.energy"},
    {"networks"},
    {"lagrangians", "landscapes"},
    {
        "lagrangians.arc_length",
        "lagrangians.euler_lagrange",
        "lagrangians.stationary_velocity",
        "trajectory",
    },
    {"lagrangian"},
    {"lagrangians.descent", "lagrangians.dissipation", "lagrangians.legendre"},
    {"lagrangians.symplectic"},
    {"control_law"},
    {"pieces"},
    {"landscapes.field", "landscapes.intervals"},
    {"landscapes.enclosure", "landscapes.multistart"},
    {"landscapes.equilibria"},
    {"control_minimum"},
    {"hamiltonian"},
    {"schedule"},
    {"simulate"},
    {"landscapes.cycles"},
    {"methods.options", "methods.result", "methods.scheme"},
    {"methods.mesh"},
    {"methods.guess", "methods.nlp", "methods.refine"},
    {"methods.polish", "methods.transcription"},
    {"methods.ipopt"},
    {"methods.estimate"},
    {"methods.answer"},
    {"methods.collocation"},
    {"methods.elimination"},
    {"methods.canonical", "methods.switching"},
    {"methods.envelope", "methods.extremal", "methods.newton"},
    {"methods.conditions"},
    {"methods.continuation"},
    {"methods.indirect"},
    {"methods.pontryagin"},
    {"methods.hjb.side_by_side", "methods.hjb.threads", "methods.hjb.zoom"},
    {"methods.hjb.grid"},
    {"methods.hjb.differences", "methods.hjb.domain"},
    {"methods.hjb.interpolation", "methods.hjb.sweeps"},
    {"methods.hjb.pipeline", "methods.hjb.slices"},
    {
        "methods.hjb.accuracy",
        "methods.hjb.basins",
        "methods.hjb.closed_loop",
        "methods.hjb.scheme",
        "methods.hjb.shooting",
    },
    {"methods.hjb.characteristics", "methods.hjb.patches"},
    {"methods.hjb.levels"},
    {
        "methods.hjb.checkpoint",
        "methods.hjb.discrete",
        "methods.hjb.finite_horizon",
        "methods.hjb.value_iteration",
    },
    {"methods.hjb"},
    {"methods"},
    {"report"},
    {"solution"},
    {"certificates"},
    {"certificates.certificate", "certificates.subject"},
    {"certificates.feasibility", "certificates.optimality"},
    {"certificates.costates"},
    {"verify"},
    {"diagnose", "progress"},
    {"value_function"},
    {"value_report", "value_rest", "value_storage"},
    {"solve", "solve_hjb"},
    {
        "learning.additive",
        "learning.fixed_points",
        "learning.mechanics",
        "learning.neural_odes",
        "learning.paths",
        "learning.training",
    },
    {
        "learning.additive.kernels",
        "learning.fixed_points.adjoint_relaxation",
        "learning.neural_odes.compiled",
        "learning.fixed_points.derivatives",
        "learning.neural_odes.dormand_prince",
        "learning.fixed_points.factors",
        "learning.gradient_check",
        "learning.additive.operational_dynamics",
        "learning.training.options",
        "learning.neural_odes.samples",
        "learning.mechanics.scalar_networks",
        "learning.additive.terminal_attractors",
    },
    {"learning.fixed_points.fixed_point"},
    {"learning.additive.network", "learning.paths.response_functions"},
    {"learning.paths.adjoint_sweeps", "learning.paths.checkpointed", "learning.additive.learned"},
    {"learning.additive.learning_flow", "learning.paths.response"},
    {"learning.neural_odes.field"},
    {"learning.neural_odes.runge_kutta", "learning.neural_odes.translation"},
    {"learning.neural_odes.discrete_adjoint", "learning.neural_odes.vector_field"},
    {"learning.mechanics.learned", "learning.neural_odes.sweeps"},
    {"learning.neural_odes.neural_ode"},
    {"learning.training.fit", "learning.training.objective"},
    {"learning.training.gauss_newton"},
    {
        "learning.training.all_at_once",
        "learning.training.gradient_steps",
        "learning.training.quasi_newton",
        "learning.training.segments",
    },
    {"learning.training.adam", "learning.training.optax_steps"},
    {"learning.training.train"},
    {"learning"},
    {"storage"},
    {"sweeps"},
    {"sweeps.cases", "sweeps.journal"},
    {"sweeps.case"},
    {"sweeps.table", "sweeps.workers"},
    {"sweeps.run"},
    {"sweep"},
    {"kept_solutions", "path_cost"},
    {"dynamic_programming", "pareto", "replay"},
    {"memory.outcome", "memory.rest", "memory.tail"},
    {"memory.classify"},
    {"memory.sequence"},
    {"memory"},
    {
        "attention.control",
        "attention.counters",
        "attention.kernels",
        "attention.network",
        "attention.prefetch",
        "attention.window",
    },
    {"attention.sweeps"},
    {"attention.shared"},
    {"attention.virtual"},
    {"attention.independent", "attention.jumping", "attention.relaxation", "attention.rolling"},
    {"attention.annealing"},
    {"attention"},
    {"figures"},
    {"figures.panels"},
    {"figures.attention", "figures.landscape", "figures.learning", "figures.memory", "figures.value"},
    {"plot"},
    {""},  # ocnet/__init__.py: the public names
)
LEVEL = {module: level for level, layer in enumerate(LAYERS) for module in layer}

# Upward imports that are meant: inside a function, when first asked for. (importer, imported, reason)
LAZY = (
    ("problem", "hamiltonian", "a problem derives its Hamiltonian only if the builder gave none"),
    ("value_function", "value_report", "a value function prints itself"),
    ("value_function", "value_storage", "files are written and read only when asked for"),
    ("methods.hjb.grid", "methods.hjb.domain", "only a proposal for a grid looks at the problem"),
)

# What the order allows and the design does not: (importer, imported, reason).
APART = (
    ("verify", "methods", "a certificate shares no code with the road that made the solution"),
    ("certificates", "methods", "a certificate shares no code with the road that made the solution"),
    ("methods", "networks", "only the Hamiltonian knows the structure of a network"),
)

MOST_LINES = 450
VAGUE_NAMES = {"utils.py", "util.py", "helpers.py", "core.py", "base.py", "common.py", "misc.py"}
TEXT = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".cff", ".ipynb", ""}
PRIVATE_PATH = re.compile(r"(?<![\w.:/])(?:/(?:home|root|work|Users|tmp)/\w|[A-Z]:\\Users\\)")


def module_name(path):
    """Name inside ocnet: 'problem', 'methods.mesh', 'methods' for methods/__init__.py, '' for __init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def is_type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def statements(tree):
    """Every node below tree, functions included, that runs."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if is_type_checking(node):
            continue
        yield from statements(node)


def imports(path):
    """(line, full dotted name) of everything that a file imports when it runs."""
    here = ("ocnet." + module_name(path)).rstrip(".") if path.is_relative_to(PACKAGE) else path.stem
    package = here if path.name == "__init__.py" else here.rpartition(".")[0]
    for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            above = parents[: len(parents) - node.level + 1] if node.level else []
            yield from (
                (node.lineno, ".".join([*above, *filter(None, [node.module]), name.name]))
                for name in node.names
            )


def internal_imports(path):
    """(line, module inside ocnet): the longest known module that the imported name begins with."""
    found = {}  # a dict keeps the order and drops what one statement repeats
    for line, name in imports(path):
        root, *parts = name.split(".")
        if root == "ocnet":
            candidates = (".".join(parts[:length]) for length in range(len(parts), -1, -1))
            found[line, next(module for module in candidates if module in MODULES or module in LEVEL)] = None
    return list(found)


def inside(module, package):
    return module == package or module.startswith(package + ".")


@pytest.mark.parametrize("module", MODULES)
def test_module_has_a_layer(module):
    assert module in LEVEL, (
        f"ocnet.{module} stands in no layer. Put {module!r} into LAYERS in {Path(__file__).name}: after all "
        "that it imports, before all that import it, on its own line or beside modules that it does not know."
    )


@pytest.mark.parametrize("module", [module for module in MODULES if module in LEVEL])
def test_imports_run_one_way(module):
    wrong = [
        f"{MODULES[module].relative_to(ROOT)}:{line} imports ocnet.{target}"
        for line, target in internal_imports(MODULES[module])
        if target in LEVEL
        and target != module
        and LEVEL[target] >= LEVEL[module]
        and (module, target) not in {pair[:2] for pair in LAZY}
    ]
    advice = "which does not come before it in LAYERS: move what both need into a module that does."
    assert not wrong, "\n".join([*wrong, advice])


@pytest.mark.parametrize(("importer", "imported", "reason"), APART)
def test_kept_apart(importer, imported, reason):
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports ocnet.{target}"
        for module, path in MODULES.items()
        if inside(module, importer)
        for line, target in internal_imports(path)
        if inside(target, imported)
    ]
    assert not wrong, "\n".join([*wrong, f"but {reason}."])


def test_ocnet_does_not_know_the_problems():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in MODULES.values()
        for line, name in imports(path)
        if name.split(".")[0] in {"problems", "tests", "examples"}
    ]
    assert not wrong, (
        f"ocnet does without problems, tests and examples, but {', '.join(wrong)} imports one of them."
    )


def test_every_package_is_shipped():
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    inits = [init for name in ("ocnet", "problems") for init in sorted((ROOT / name).rglob("__init__.py"))]
    packages = [".".join(init.parent.relative_to(ROOT).parts) for init in inits]
    missing = [package for package in packages if f'"{package}"' not in metadata]
    assert not missing, f"Add {missing} to packages in pyproject.toml: a wheel would lack them."


def source_files():
    folders = ("ocnet", "problems", "tests", "examples")
    return [path for name in folders for path in sorted((ROOT / name).rglob("*.py"))]


def test_files_can_be_read_in_one_sitting():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in source_files()}
    long = [
        f"{path.relative_to(ROOT)} ({lines} lines)" for path, lines in lengths.items() if lines > MOST_LINES
    ]
    assert not long, f"Split {', '.join(long)}: at most {MOST_LINES} lines, one idea per file."


def test_files_say_what_is_in_them():
    vague = [str(path.relative_to(ROOT)) for path in source_files() if path.name in VAGUE_NAMES]
    assert not vague, f"Name {', '.join(vague)} after what is inside."


def test_no_path_of_one_machine():
    folders = [ROOT / name for name in ("ocnet", "problems", "tests", "docs", "examples", ".ci")]
    paths = [*ROOT.iterdir(), *(path for folder in folders for path in folder.rglob("*"))]
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in paths
        if path.is_file() and path.suffix in TEXT
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if PRIVATE_PATH.search(line)
    ]
    assert not wrong, f"A path that only one machine has: {', '.join(wrong)}."
