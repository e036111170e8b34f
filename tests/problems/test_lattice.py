"""Image restoration on a lattice: mean-field equations, the window against the full network, refusals."""

import numpy as np
import pytest

import ocnet as oc
from ocnet.attention import Clock, RollingWindow, relax
from ocnet.errors import DataError, OptionError, ShapeError
from problems import lattice


def test_fixed_points_are_the_mean_field_equations():
    pixels = lattice.noisy(lattice.image(16, 12), 0.1)
    net = lattice.network(pixels, coupling=0.4, evidence=0.3, gain=1.1)
    v = relax(net, initial=pixels.reshape(-1), tolerance=1e-11).v.reshape(16, 12)
    padded = np.pad(v, 1)
    around = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]
    np.testing.assert_allclose(v, np.tanh(1.1 * (0.4 * around + 0.3 * pixels)), atol=1e-9)


@pytest.mark.parametrize("clock", [Clock(), Clock(control=20.0)], ids=["summit", "dynamics"])
def test_a_window_restores_as_well(clock):
    clean = lattice.image(48, 64)
    pixels = lattice.noisy(clean, 0.15, rng=1)
    net, start = lattice.network(pixels), 2.0 * pixels.reshape(-1)
    full = relax(net, initial=start, tolerance=1e-2)
    rolled = relax(
        net, RollingWindow((48, 64), (12, 16), flank=3.0), initial=start, clock=clock, tolerance=1e-2
    )
    assert full.success
    assert rolled.success
    assert rolled.counters.peak_real == 12 * 16
    assert rolled.counters.peak_active <= 12 * 16 * (1 if clock.control is None else 2)
    assert lattice.wrong(full.v, clean) < 0.5 * lattice.wrong(pixels, clean)
    assert lattice.wrong(rolled.v, clean) < lattice.wrong(full.v, clean) + 0.01
    normal = ~rolled.history["rescue"]
    assert (rolled.history["benefit_after"] >= rolled.history["benefit_before"] * (1 - 1e-9))[normal].all()


def test_a_quarter_of_a_million_neurons():
    """512 × 512 pixels, one window of 64 × 64: the damage in a part of the image."""
    clean = lattice.image(512, 512)
    pixels = lattice.noisy(clean, 0.2, within=0.2)
    net = lattice.network(pixels)
    start = np.arctanh(0.99 * clean.reshape(-1))
    found = relax(net, RollingWindow((512, 512), 64), initial=start, tolerance=5e-2, phases=400)
    assert found.success
    assert found.counters.peak_active == 64 * 64
    assert found.counters.bytes_active < found.counters.bytes_network / 40
    assert lattice.wrong(found.v, clean) < 0.5 * lattice.wrong(pixels, clean)


def test_noise_stays_in_its_part():
    clean = lattice.image(40, 40)
    assert (lattice.noisy(clean, 0.0) == clean).all()
    damaged = lattice.noisy(clean, 0.5, within=0.5) != clean
    assert damaged[10:30, 10:30].any()
    damaged[10:30, 10:30] = False
    assert not damaged.any()


def test_figures():
    pixels = lattice.noisy(lattice.image(24, 24), 0.1)
    net = lattice.network(pixels)
    run = relax(net, RollingWindow((24, 24), 8), initial=pixels.reshape(-1))
    figure = oc.plot.attention({"full": relax(net, initial=pixels.reshape(-1)), "window": run})
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["full", "window"]
    figure = oc.plot.film([pixels, run.v.reshape(24, 24)], [None, run.places[-1]], (8, 8), path=run.places)
    assert len(figure.axes) == 2
    assert len(figure.axes[1].patches) == 1
    with pytest.raises(oc.errors.ProblemError, match="no runs"):
        oc.plot.attention({})
    with pytest.raises(oc.errors.ProblemError, match="no frames"):
        oc.plot.film([])


def test_refusals():
    clean = lattice.image(10, 10)
    cases = [
        (lambda: lattice.image(4, 10), OptionError, "rows is 4"),
        (lambda: lattice.noisy(clean, 0.7), OptionError, "flipped is 0.7"),
        (lambda: lattice.noisy(clean, 0.1, within=0.0), OptionError, "within is 0.0"),
        (lambda: lattice.network(0.5 * clean), DataError, "expected an image of −1 and 1"),
        (lambda: lattice.network(np.full((3, 3), np.nan)), DataError, "is nan"),
        (lambda: lattice.network(clean[0]), ShapeError, "got an array of shape"),
        (lambda: lattice.network(clean, coupling=-1.0), OptionError, "coupling is -1.0"),
    ]
    for case, error, pattern in cases:
        with pytest.raises(error, match=pattern):
            case()
