"""A stated problem: symbols that behave like numbers, and functions of flat vectors."""

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import ProblemError
from ocnet.functions import component_labels
from ocnet.symbols import Expression, as_data, flat, unflat


def network():
    """A problem with a vector, a matrix and a scalar of every kind."""
    problem = oc.Problem("network", horizon=oc.Finite(2.0))
    a = problem.parameter("A", (2, 2), value=[[1.0, 2.0], [3.0, 4.0]])
    top = problem.parameter("top", value=5.0)
    x = problem.state("x", 2, initial=[1.0, None], lower=-top, upper=top)
    z = problem.state("Z", (2, 3), initial=np.arange(6.0).reshape(2, 3), final=top)
    w = problem.control("W", (3, 2), lower=np.arange(6.0).reshape(3, 2) - 10, upper=top)
    u = problem.control("u")
    q = problem.unknown("q", 2, lower=0.0, upper=[1.0, 2.0], guess=0.5)
    problem.dynamics(x, a @ x + z @ w @ x * u)
    problem.dynamics(z, ca.tanh(z) * q[0] + problem.time)
    problem.minimize(
        stage=ca.sumsqr(problem.derivative(z)) + u**2, terminal=ca.sumsqr(x) * top + problem.time
    )
    problem.constrain(a @ z, lower=-1.0, upper=top, name="mixed")
    problem.constrain(x[0] - q[1], upper=0.0, at="initial")
    problem.constrain(ca.sum1(x), lower=0.0, upper=0.0, at="final")
    problem.cost_at(0.5, (x[0] - 1) ** 2)
    return problem


def point(rng):
    """Random values of all variables, by name."""
    shapes = {"x": (2,), "Z": (2, 3), "W": (3, 2), "u": (1,), "q": (2,), "A": (2, 2), "top": (1,)}
    return {name: rng.normal(size=shape) for name, shape in shapes.items()}


def arguments(functions, values, t=0.3, dx=None):
    """The flat vectors (t, x, dx, u, q, p) of a point."""
    x, u, q, p = (functions.pack(values, kind) for kind in ("state", "control", "unknown", "parameter"))
    return t, x, np.zeros(functions.nx) if dx is None else dx, u, q, p


# ---------------------------------------------------------------------- flat vectors


def test_vectors_are_in_the_order_of_statement_and_in_c_order():
    functions = network().functions
    assert (functions.nx, functions.nu, functions.nq, functions.np) == (8, 7, 2, 5)
    assert functions.labels("state") == [
        "x[0]", "x[1]", "Z[0, 0]", "Z[0, 1]", "Z[0, 2]", "Z[1, 0]", "Z[1, 1]", "Z[1, 2]",
    ]  # fmt: skip
    assert functions.labels("control") == [
        "W[0, 0]", "W[0, 1]", "W[1, 0]", "W[1, 1]", "W[2, 0]", "W[2, 1]", "u",
    ]  # fmt: skip
    assert functions.labels("parameter")[-1] == "top"
    values = {"x": [7.0, 8.0], "Z": np.arange(6.0).reshape(2, 3)}
    np.testing.assert_array_equal(functions.pack(values, "state"), [7, 8, 0, 1, 2, 3, 4, 5])


def test_labels_of_constraints():
    functions = network().functions
    assert functions.constraint_labels("path")[:2] == ["mixed[0, 0]", "mixed[0, 1]"]
    assert functions.constraint_labels("initial") == ["constraint 2"]
    assert component_labels("x", (1,)) == ["x"]
    assert component_labels("x", (1, 1)) == ["x[0, 0]"]


@pytest.mark.parametrize("lead", [(), (4,), (4, 5)])
@pytest.mark.parametrize("kind", ["state", "control", "unknown", "parameter"])
def test_pack_and_unpack_are_inverse(kind, lead):
    problem = network()
    rng = np.random.default_rng(1)
    values = {v.name: rng.normal(size=(*lead, *v.shape)) for v in problem.of_kind(kind)}
    array = problem.functions.pack(values, kind)
    assert array.shape == (*lead, sum(v.size for v in problem.of_kind(kind)))
    back = problem.functions.unpack(array, kind)
    for name, value in values.items():
        np.testing.assert_array_equal(back[name], value)
    np.testing.assert_array_equal(problem.functions.pack(back, kind), array)


def test_pack_of_nothing():
    problem = oc.Problem("free", horizon=oc.Finite(1.0))
    problem.dynamics(problem.state("x"), 0)
    assert problem.functions.pack({}, "control").shape == (0,)
    assert problem.functions.unpack(np.zeros((3, 0)), "control") == {}


def test_flat_and_unflat_are_inverse_in_c_order():
    matrix = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(flat(ca.DM(matrix), (2, 3)).full().ravel(), matrix.ravel())
    np.testing.assert_array_equal(unflat(flat(ca.DM(matrix), (2, 3)), (2, 3)).full(), matrix)
    np.testing.assert_array_equal(flat(ca.DM([1.0, 2.0]), (2,)).full().ravel(), [1.0, 2.0])


# ---------------------------------------------------------------------- functions


@pytest.mark.parametrize("seed", range(3))
def test_functions_equal_numpy(seed):
    functions = network().functions
    rng = np.random.default_rng(seed)
    v = point(rng)
    rate = rng.normal(size=functions.nx)
    args = arguments(functions, v, dx=rate)
    x, z, w, u, q, a, top = (v[name] for name in ("x", "Z", "W", "u", "q", "A", "top"))
    flow = functions.dynamics(*args).full().ravel()
    np.testing.assert_allclose(flow[:2], a @ x + z @ w @ x * u, rtol=1e-13)
    np.testing.assert_allclose(flow[2:], (np.tanh(z) * q[0] + 0.3).ravel(), rtol=1e-13)
    np.testing.assert_allclose(float(functions.stage(*args)), np.sum(rate[2:] ** 2) + u[0] ** 2)
    np.testing.assert_allclose(float(functions.terminal(*args)), np.sum(x**2) * top[0] + 0.3)
    np.testing.assert_allclose(functions.path(*args).full().ravel(), (a @ z).ravel(), rtol=1e-13)
    np.testing.assert_allclose(float(functions.initial(*args)), x[0] - q[1])
    np.testing.assert_allclose(float(functions.final(*args)), x.sum())
    np.testing.assert_allclose(float(functions.samples[0](*args)), (x[0] - 1) ** 2)


def test_functions_map_over_points():
    functions = network().functions
    rng = np.random.default_rng(2)
    points = [arguments(functions, point(rng)) for _ in range(4)]
    mapped = functions.dynamics.map(4)(
        *(np.column_stack([np.atleast_1d(p[i]) for p in points]) for i in range(6))
    )
    singly = np.column_stack([functions.dynamics(*p).full().ravel() for p in points])
    np.testing.assert_allclose(mapped.full(), singly, rtol=1e-14)


def test_bounds_follow_the_parameters():
    problem = network()
    functions = problem.functions
    p = functions.pack(problem.parameter_values({"top": 7.0}), "parameter")
    bounds = functions.bounds(p)
    np.testing.assert_array_equal(bounds.x_lower, [-7, -7, *[-np.inf] * 6])
    np.testing.assert_array_equal(bounds.x_upper, [7, 7, *[np.inf] * 6])
    np.testing.assert_array_equal(bounds.u_lower, [-10, -9, -8, -7, -6, -5, -np.inf])
    np.testing.assert_array_equal(bounds.u_upper, [*[7] * 6, np.inf])
    np.testing.assert_array_equal(bounds.q_upper, [1, 2])
    np.testing.assert_array_equal(bounds.initial, [1, np.nan, *range(6)])
    np.testing.assert_array_equal(bounds.final, [np.nan, np.nan, *[7] * 6])
    np.testing.assert_array_equal(bounds.constraints["path"], [[-1] * 6, [7] * 6])
    np.testing.assert_array_equal(bounds.constraints["final"], [[0], [0]])


def test_parametric_ends_may_have_free_components():
    problem = oc.Problem("ends", horizon=oc.Finite(1.0))
    start = problem.parameter("start", value=2.0)
    x = problem.state("x", 3, initial=[start, None, 2 * start], final=[None, start + 1, 0.0])
    problem.dynamics(x, -x)
    bounds = problem.functions.bounds(np.array([3.0]))
    np.testing.assert_array_equal(bounds.initial, [3, np.nan, 6])
    np.testing.assert_array_equal(bounds.final, [np.nan, 4, 0])
    assert "x(0) = [start; free; 2·start]" in str(problem)


def test_free_components_of_a_matrix():
    problem = oc.Problem("ends", horizon=oc.Finite(1.0))
    problem.state("x", (2, 2), initial=[[1.0, None], [None, 4.0]])
    np.testing.assert_array_equal(problem.variables["x"].initial, [[1, np.nan], [np.nan, 4]])


def test_data_terms_alone_are_a_cost():
    problem = oc.Problem("fit", horizon=oc.Finite(1.0))
    x = problem.state("x", initial=1.0)
    problem.dynamics(x, -x)
    problem.cost_at(1.0, x**2)
    assert problem.functions.has_cost


def test_a_problem_without_cost_says_so():
    problem = oc.Problem("simulated", horizon=oc.Finite(1.0))
    problem.dynamics(problem.state("x"), 1.0)
    assert not problem.functions.has_cost


def test_external_functions_are_kept():
    table = ca.interpolant("table", "bspline", [np.linspace(0, 4, 9)], np.linspace(0, 4, 9) ** 2)
    problem = oc.Problem("table", horizon=oc.Finite(1.0))
    x = problem.state("x")
    problem.dynamics(x, table(x))
    functions = problem.functions
    value = float(functions.dynamics(0, 1.3, 0, np.zeros(0), np.zeros(0), np.zeros(0)))
    assert value == pytest.approx(1.3**2, abs=1e-6)


# ---------------------------------------------------------------------- statement


def test_parameter_values():
    problem = network()
    assert problem.parameter_values()["top"] == [5.0]
    changed = problem.parameter_values({"A": np.eye(2)})
    np.testing.assert_array_equal(changed["A"], np.eye(2))
    np.testing.assert_array_equal(problem.parameter_values()["A"], [[1, 2], [3, 4]])


def test_data_are_copied():
    start = np.array([1.0, 2.0])
    problem = oc.Problem("copied", horizon=oc.Finite(1.0))
    problem.state("x", 2, initial=start)
    start[:] = 9.0
    np.testing.assert_array_equal(problem.variables["x"].initial, [1, 2])


def test_derivative_is_one_symbol():
    problem = network()
    z = problem.variables["Z"].symbol
    assert problem.derivative(z) is problem.derivative(z)
    assert problem.derivative(z).shape == (2, 3)


def test_a_refused_statement_leaves_no_trace():
    problem = oc.Problem("clean", horizon=oc.Finite(1.0))
    x = problem.state("x", 2)
    before = str(problem)
    refused = [
        lambda: problem.state("y", initial=2.0, upper=1.0),
        lambda: problem.control("u", lower=2.0, upper=1.0),
        lambda: problem.parameter("p", value=np.nan),
        lambda: problem.unknown("q", lower=0.0, guess=-1.0),
        lambda: problem.dynamics(x, x[0]),
        lambda: problem.minimize(stage=x[0], terminal=x),
        lambda: problem.cost_at(0.5, x),
        lambda: problem.constrain(x, lower=1.0, upper=0.0),
    ]
    for statement in refused:
        with pytest.raises(ProblemError):
            statement()
    assert str(problem) == before
    assert not problem.frozen


def test_freezing_and_repr():
    problem = network()
    assert not problem.frozen
    assert problem.functions is problem.functions
    assert problem.frozen
    assert repr(problem).startswith("<Problem 'network': A, top, x, Z, W, u, q, Finite(")
    problem.freeze()


@pytest.mark.parametrize(
    ("horizon", "name"), [(oc.Finite(1.0), "t"), (oc.Discounted(0.1), "t"), (oc.Steps(3), "k")]
)
def test_time_has_a_name(horizon, name):
    assert oc.Problem("time", horizon=horizon).time.name() == name


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, [0.5, 0.5]),
        (-3, [-3, -3]),
        (True, [1, 1]),
        (np.float32(2), [2, 2]),
        ([7], [7, 7]),
        (np.arange(2), [0, 1]),
        ((1, 2), [1, 2]),
        (ca.DM([1, 2]), [1, 2]),
        ([[1], [2]], [1, 2]),
        (np.array([1, 2], dtype=object), [1, 2]),
    ],
)
def test_data_are_broadcast_and_become_floats(value, expected):
    data = as_data(value, (2,), "here")
    assert data.dtype == float
    np.testing.assert_array_equal(data, expected)


# ---------------------------------------------------------------------- arithmetic of symbols

X = oc.Problem("symbols", horizon=oc.Finite(1.0)).state("x", 3)
M = oc.Problem("symbols", horizon=oc.Finite(1.0)).state("M", (3, 3))
ARRAY, SQUARE = np.array([0.3, -1.2, 2.0]), np.arange(9.0).reshape(3, 3) - 4

ARITHMETIC = {
    "sum": lambda x, m: x + ARRAY - 2 * x,
    "array first": lambda x, m: ARRAY - x,
    "quotient": lambda x, m: x / ARRAY + 1 / (3 + x),
    "power": lambda x, m: x**2 + np.power(x, 3) + 2**x,
    "matrix times vector": lambda x, m: m @ x,
    "array times vector": lambda x, m: SQUARE @ x,
    "matrix times array": lambda x, m: m @ SQUARE,
    "array times matrix": lambda x, m: SQUARE @ m.T,
    "negative": lambda x, m: -x,
    "absolute": lambda x, m: abs(x) + np.abs(x),
    "scalar times matrix": lambda x, m: x[0] * m,
    "entries": lambda x, m: x[1] * m[0, 2] - x[-1],
    "slices": lambda x, m: x[1:] * m[1:, 0],
    "columns": lambda x, m: m[:, 1],
    "elementwise": lambda x, m: np.tanh(x) + np.exp(-x) * np.sin(x) + np.square(x) + np.sign(x),
    "extremes": lambda x, m: np.maximum(x, 0.5) + np.minimum(x, 0) + np.fmax(0, x),
    "roots": lambda x, m: np.sqrt(x**2 + 1) + np.hypot(x, 2.0) + np.arctan2(x, ARRAY),
    "comparison": lambda x, m: (x > 0.1) + (x <= 0) + (x > ARRAY),
    "numpy scalars": lambda x, m: np.float64(2.0) * x - np.int64(3) + np.float32(0.5) / (x + 5),
    "floor": lambda x, m: np.floor(x) + np.ceil(x),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_equals_numpy(name):
    rng = np.random.default_rng(5)
    x, m = rng.normal(size=3), rng.normal(size=(3, 3))
    rule = ARITHMETIC[name]
    expression = rule(X, M)
    assert isinstance(expression, Expression)
    value = ca.Function("f", [ca.MX(X), ca.MX(M)], [ca.MX(expression)])(x, m).full()
    expected = np.asarray(rule(x, m), dtype=float)
    np.testing.assert_allclose(value.reshape(expected.shape), expected, rtol=1e-13, atol=1e-13)


def test_casadi_functions_take_expressions():
    together = ca.vertcat(ca.dot(X, X), ca.sum1(X), M[0, 0])
    assert together.shape == (3, 1)
    assert isinstance(X + ca.tanh(X), Expression)
    assert isinstance(ca.tanh(X) + X, Expression)
    assert len({X, M, X}) == 2


def test_built_expressions_can_be_filled():
    built = 2 * X
    built[0] = 5.0
    np.testing.assert_array_equal(
        ca.Function("f", [ca.MX(X)], [ca.MX(built)])(ARRAY).full().ravel(), [5, -2.4, 4]
    )
