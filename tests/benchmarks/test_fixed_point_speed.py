"""One transposed solve against forward sensitivities, and the relaxation on networks with few synapses.

u = tanh(T u + b): all N² synapses are parameters. Times are CPU seconds of one process, taken in turn.
"""

import time

import numpy as np
import pytest
import scipy.sparse as sparse

from ocnet.learning import FixedPoint

pytestmark = pytest.mark.bench


def system(n, rng):
    """A dense network: its parameters, and the system with N² + N of them."""
    p = {"T": 0.5 * rng.normal(size=(n, n)) / np.sqrt(n), "b": rng.normal(size=n)}

    def slope(u, p):
        return 1 - np.tanh(p["T"] @ u + p["b"]) ** 2

    def jacobian(u, p):
        A = slope(u, p)[:, None] * p["T"]
        A.reshape(-1)[:: len(u) + 1] -= 1
        return A

    def pullback(u, p, v):
        pushed = v * slope(u, p)
        return {"T": np.outer(pushed, u), "b": pushed}

    return p, FixedPoint(
        lambda u, p: np.tanh(p["T"] @ u + p["b"]) - u,
        lambda u, p: u @ u / 2,
        jacobian=jacobian,
        pullback=pullback,
        response_gradient=lambda u, p: (u, {}),
    )


def thin(n, rng, synapses=8):
    """A network with 8 synapses into each unit; the parameters are their 8 N strengths and N biases."""
    to, source = np.repeat(np.arange(n), synapses), rng.integers(0, n, n * synapses)
    p = {"w": 0.5 * rng.normal(size=n * synapses) / np.sqrt(synapses), "b": rng.normal(size=n)}

    def weights(p):
        return sparse.csr_matrix((p["w"], (to, source)), shape=(n, n))

    def slope(u, p):
        return 1 - np.tanh(weights(p) @ u + p["b"]) ** 2

    def pullback(u, p, v):
        pushed = v * slope(u, p)
        return {"w": pushed[to] * u[source], "b": pushed}

    return p, FixedPoint(
        lambda u, p: np.tanh(weights(p) @ u + p["b"]) - u,
        lambda u, p: u @ u / 2,
        jacobian=lambda u, p: sparse.diags(slope(u, p)) @ weights(p) - sparse.identity(n, format="csr"),
        pullback=pullback,
        response_gradient=lambda u, p: (u, {}),
    )


def rest(fixed_point, p, n):
    """A fixed point by plain iteration, which contracts here."""
    u = np.zeros(n)
    for _ in range(400):
        u = u + fixed_point.residual(u, p)
    return u


def seconds(action, least=0.2):
    """Median CPU seconds of a call, over at least `least` seconds."""
    action()
    times, begin = [], time.process_time()
    while time.process_time() - begin < least or len(times) < 3:
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return float(np.median(times))


def exponent(sizes, times):
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def test_adjoint_against_forward_sensitivities():
    rng = np.random.default_rng(0)
    sizes, adjoint, forward = [8, 16, 32, 64, 128, 256], [], []
    print("\n   N   adjoint ms   forward ms   ratio")
    for n in sizes:
        p, fixed_point = system(n, rng)
        u = rest(fixed_point, p, n)
        adjoint.append(seconds(lambda f=fixed_point, u=u, p=p: f.gradient(u, p)))
        start = time.process_time()
        other = fixed_point.forward(u, p)  # at N = 256 it holds 256³ numbers three times: once is enough
        once = time.process_time() - start
        forward.append(seconds(lambda f=fixed_point, u=u, p=p: f.forward(u, p)) if n <= 128 else once)
        one = fixed_point.gradient(u, p)
        assert one.gradient["T"] == pytest.approx(other.gradient["T"], rel=1e-8, abs=1e-11)
        ratio = forward[-1] / adjoint[-1]
        print(f"{n:4d}   {1e3 * adjoint[-1]:10.3f}   {1e3 * forward[-1]:10.3f}   {ratio:7.1f}")
    print(f"growth of the adjoint, N = 8 … 256: exponent {exponent(sizes, adjoint):.2f}")
    print(f"the same, N = 64 … 256: exponent {exponent(sizes[3:], adjoint[3:]):.2f}")
    assert forward[-1] > adjoint[-1]


def test_relaxation_with_few_synapses():
    rng = np.random.default_rng(0)
    sizes = [8, 16, 32, 64, 128, 256, 1024, 4096, 16384, 65536]
    relaxed, factored = [], []
    print("\n    N   relaxation ms   products with Aᵀ   sparse LU ms")
    for n in sizes:
        p, fixed_point = thin(n, rng)
        u = rest(fixed_point, p, n)
        found = fixed_point.gradient(u, p, method="relaxation")
        relaxed.append(seconds(lambda f=fixed_point, u=u, p=p: f.gradient(u, p, method="relaxation")))
        shown = ""
        if n <= 1024:  # the factors of a random graph fill up
            factored.append(seconds(lambda f=fixed_point, u=u, p=p: f.gradient(u, p, method="sparse")))
            exact = fixed_point.gradient(u, p, method="sparse").gradient["w"]
            assert found.gradient["w"] == pytest.approx(exact, rel=1e-8, abs=1e-11)
            shown = f"{1e3 * factored[-1]:10.3f}"
        print(f"{n:6d}   {1e3 * relaxed[-1]:10.3f}   {found.iterations:14d}   {shown}")
    print(f"growth of the relaxation, N = 8 … 256: exponent {exponent(sizes[:6], relaxed[:6]):.2f}")
    print(f"the same, N = 1024 … 65536: exponent {exponent(sizes[6:], relaxed[6:]):.2f}")
    assert exponent(sizes, relaxed) < 2
