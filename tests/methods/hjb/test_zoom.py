import tracemalloc

import casadi as ca
import numpy as np
import pytest

import ocnet as oc
from ocnet.errors import OcnetError
from ocnet.methods.hjb.patches import Patches, onto, tied
from tests.hjb_problems import random_network, regulator, ring

ZOOM = oc.Zoom([0, 0], 1.0, boxes=4, nodes=17)


def zoomed(nodes=41, boxes=4, fine=17, **options):
    return oc.Grid([-3, -3], [3, 3], nodes, zooms=[oc.Zoom([0, 0], 1.0, boxes, fine)], **options)


def test_boxes_are_halved_and_lie_in_each_other():
    grid = oc.Grid([-3, -3], [3, 3], 41, zooms=[ZOOM, oc.Zoom([2, 2], [0.5, 0.75], 2, 9)])
    assert [patch.upper for patch in grid.patches[1:5]] == [(s, s) for s in (1, 0.5, 0.25, 0.125)]
    assert grid.parents == [-1, 0, 1, 2, 3, 0, 5]
    assert grid.patches[6].lower == (1.75, 1.625)
    assert grid.total == 41**2 + 4 * 17**2 + 2 * 9**2 == grid.slots[-1].stop
    assert not grid.symmetric
    assert zoomed().symmetric
    half = zoomed().halved()
    assert half is not None
    assert (half.shape, half.zooms[0].nodes) == ((21, 21), 9)
    assert half.halved() is None  # the zoom has no fewer nodes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([[0, 0]], 1), "one number each"),
        (([0, 0], [1, 1, 1]), "one number each"),
        ((["a"], 1), "Zoom"),
        (([0, np.nan], 1), "finite"),
        (([0, 0], 0), "radius > 0"),
        (([0, 0], 1, 0), "boxes is 0"),
        (([0, 0], 1, 41), "boxes is 41"),
        (([0, 0], 1, 3, 8), "nodes is 8"),
        (([0, 0], 1, 3, 9.5), "integer"),
    ],
)
def test_wrong_zooms_are_refused(arguments, words):
    with pytest.raises(OcnetError, match=words):
        oc.Zoom(*arguments)


@pytest.mark.parametrize(
    ("zooms", "words"),
    [
        ([1], "list of ocnet.Zoom"),
        (ZOOM, "list of ocnet.Zoom"),
        ([oc.Zoom([0], 1.0)], "the grid has 2"),
        ([oc.Zoom([2.5, 0], 1.0)], "inside the grid"),
        ([ZOOM, oc.Zoom([1.5, 0], 0.75)], "overlaps"),
        ([oc.Zoom([0, 0], 0.2)], "3 nodes of the grid"),
    ],
)
def test_grids_refuse_zooms_that_do_not_fit(zooms, words):
    with pytest.raises(OcnetError, match=words):
        oc.Grid([-3, -3], [3, 3], 41, zooms=zooms)


def test_only_policy_iteration_takes_zooms():
    problem, _, _ = regulator(2)
    with pytest.raises(OcnetError, match="zooms"):
        oc.solve_hjb(problem, zoomed(), scheme="value-iteration")


def test_tied_nodes_take_what_the_other_patch_has():
    grid = zoomed()
    patches = Patches(random_network(2, 3)[1].hamiltonian, grid, False, 3)

    def cubic(x):
        return 1 + x[:, 0] - 2 * x[:, 1] ** 3 + x[:, 0] * x[:, 1] ** 2

    values = np.concatenate([cubic(patch.points()) for patch in grid.patches])
    feedback = patches.policy(values, True)
    residuals = patches.residual(values, True, feedback)
    for k, ties in enumerate(patches.ties):
        assert {tie.donor for tie in ties} == {j for j in (k - 1, k + 1) if 0 <= j < len(patches.ties)}
        for tie in ties:
            assert (feedback[k].drift[tie.nodes] == 0).all()
            np.testing.assert_allclose(residuals[k][tie.nodes], 0, atol=1e-12)  # cubics are exact
            np.testing.assert_allclose(tie.linear(np.ones(grid.patches[tie.donor].size)), 1, atol=1e-12)
            assert tie.linear.weights.min() >= 0  # monotone
    assert sum(len(tie.nodes) for ties in patches.ties for tie in ties) == tied(grid)
    fine = zoomed(81, 4, 33)
    there = np.concatenate([cubic(patch.points()) for patch in fine.patches])
    np.testing.assert_allclose(onto(values, grid, fine), there, atol=1e-12)


@pytest.mark.parametrize("zoom", [oc.Zoom([0, 0], 0.5, 4, 17), oc.Zoom([0.1, 0], 0.5, 2, 17)])
def test_riccati_in_every_box(zoom):
    problem, P, K = regulator(2)
    value = oc.solve_hjb(problem, oc.Grid([-1, -1], [1, 1], 31, zooms=[zoom]))
    assert value.settled
    assert value.stats["mirrored"] == (zoom.centre == (0, 0))
    for r in (0.4, 0.2, 0.05):
        x = zoom.centre + r * np.random.default_rng(0).uniform(-1, 1, (20, 2))
        np.testing.assert_allclose(value(x), np.einsum("ki,ij,kj->k", x, P, x), atol=1e-7)
        np.testing.assert_allclose(value.policy(0.0, x), -x @ K.T, atol=1e-5)


def test_a_path_that_ends_at_a_saddle():
    """v along the stable direction of a saddle; beside it, giving up is a second choice (two branches)."""
    A, problem, _ = random_network(2, 6)
    x = np.array([[0.63547668, 0.61265102], [1.29805011, 1.61233102]])  # tests/problems/data: held
    best = np.array([0.15275735, 0.65673389])
    plain = oc.solve_hjb(problem, oc.Grid([-3, -3], [3, 3], 161, 2.0))
    near = oc.solve_hjb(problem, zoomed(161, 12, 65, grading=2.0))
    assert near.settled
    error = np.abs(near(x) - best)
    assert error.max() < 0.02 * np.abs(plain(x) - best).max()
    assert (near.error_at(x) >= error).all()
    assert "12 boxes about (0.0, 0.0)" in str(near)
    states, unstable = np.linalg.eig(A - np.eye(2))[0], oc.Grid.suggest(problem, 41, zoom=True).zooms
    assert states.max() > 0 > states.min()
    assert [zoom.centre for zoom in unstable] == [(0.0, 0.0)]
    loop = near.closed_loop(x, 6.0)
    assert np.abs(loop.x[-1]).max() < 0.2  # held, not given up


def test_files_hold_zooms(tmp_path):
    _, problem, rng = random_network(2, 3)
    value = oc.solve_hjb(problem, zoomed(), tolerance=1e-6)
    value.save(tmp_path / "v.nc")
    again = oc.load(tmp_path / "v.nc", problem)
    assert again.grid == value.grid
    x = np.vstack([rng.uniform(-2, 2, (10, 2)), rng.uniform(-0.1, 0.1, (10, 2))])
    np.testing.assert_array_equal(again(x), value(x))
    np.testing.assert_array_equal(again.gradient(x), value.gradient(x))
    np.testing.assert_array_equal(again.error_at(x), value.error_at(x))


def test_checkpoints_and_threads_with_zooms(tmp_path, monkeypatch):
    from ocnet.methods.hjb.levels import PolicyIteration

    _, problem, _ = random_network(2, 3)
    whole = oc.solve_hjb(problem, zoomed(), tolerance=1e-8, threads=1)
    other = oc.solve_hjb(problem, zoomed(), tolerance=1e-8, threads=2)
    np.testing.assert_array_equal(other.slices.values, whole.slices.values)
    calls, step = [0], PolicyIteration._next

    def dies(self, state, phase, change):
        step(self, state, phase, change)
        calls[0] += 1
        if calls[0] == 25:
            raise KeyboardInterrupt

    path = tmp_path / "solve.npz"
    monkeypatch.setattr(PolicyIteration, "_next", dies)
    with pytest.raises(KeyboardInterrupt):
        oc.solve_hjb(problem, zoomed(), tolerance=1e-8, checkpoint=path, interval=0.0)
    monkeypatch.undo()
    with pytest.raises(OcnetError, match="belongs to another"):
        oc.solve_hjb(problem, zoomed(boxes=3), tolerance=1e-8, checkpoint=path)
    resumed = oc.solve_hjb(problem, zoomed(), tolerance=1e-8, checkpoint=path)
    np.testing.assert_allclose(resumed.slices.values, whole.slices.values, rtol=0, atol=1e-12)
    assert not path.exists()


def test_zooms_that_hold_too_few_nodes_are_not_suggested():
    """Network 9 of three neurons has unstable equilibria at 0 and at ±x not far from the walls."""
    problem = random_network(3, 9)[1]
    assert [zoom.centre for zoom in oc.Grid.suggest(problem, 21, zoom=True).zooms] == [(0.0, 0.0, 0.0)]
    centres = np.array([zoom.centre for zoom in oc.Grid.suggest(problem, 141, zoom=True).zooms])
    np.testing.assert_allclose(np.sort(np.abs(centres[1:, 0])), [1.7102307] * 2, atol=1e-6)
    assert oc.Grid.suggest(problem, 21).zooms == ()


def test_no_zoom_is_suggested_about_an_equilibrium_on_a_wall():
    problem = oc.Problem("at the wall", oc.Discounted(0.5))
    x, u = problem.state("x", lower=0, upper=3), problem.control("u", lower=-1, upper=1)
    problem.dynamics(x, -x + 2 * ca.tanh(x) + 0.1 * u * x)  # 0 is unstable
    problem.minimize(stage=(x - 1) ** 2 + u**2)
    assert oc.Grid.suggest(problem, 201, zoom=True).zooms == ()


@pytest.mark.parametrize(("n", "nodes", "radius", "boxes", "fine"), [(3, 21, 1.0, 3, 33), (5, 9, 1.8, 1, 9)])
def test_the_memory_of_zooms_is_foreseen(n, nodes, radius, boxes, fine):
    """With five states a node of a box takes its value from up to 6⁵ others."""
    grid = oc.Grid([-3] * n, [3] * n, nodes, zooms=[oc.Zoom([0] * n, radius, boxes, fine)])
    problem = ring(n)
    oc.solve_hjb(problem, grid, tolerance=1e-3, threads=1)  # what is compiled or imported is not counted
    tracemalloc.start()
    value = oc.solve_hjb(problem, grid, tolerance=1e-3, threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.9 * peak < value.stats["bytes"] < 1.5 * peak
