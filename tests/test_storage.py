import numpy as np
import pytest
import xarray

import ocnet as oc
from ocnet.errors import ProblemError, StorageError
from ocnet.simulate import simulate
from ocnet.solution import Solution
from ocnet.solve import solve
from ocnet.storage import load
from ocnet.trajectory import Trajectory
from tests.extremals import exact_integrator, integrator, sampled, steps, unknown_constant
from tests.hjb_problems import regulator

MADE = {"continuous": exact_integrator, "jumps": sampled, "steps": steps, "no controls": unknown_constant}


@pytest.mark.parametrize("name", MADE)
def test_solutions_come_back_as_they_were(name, tmp_path):
    before = (
        MADE[name](errors={"mesh": 1e-7}, stats={"iterations": 3}) if name == "continuous" else MADE[name]()
    )
    before.save(tmp_path / "s.nc")
    after = load(tmp_path / "s.nc", before.problem)
    assert isinstance(after, Solution)
    assert (after.cost, after.status, after.message) == (before.cost, before.status, before.message)
    assert (after.errors, after.stats, after.optima) == (before.errors, before.stats, before.optima)
    assert after.problem_name == before.problem_name
    assert after.problem_text == before.problem_text
    t = before.time if before.discrete else np.linspace(before.time[0], before.time[-1], 57)
    for part in "xup":
        old, new = getattr(before, part), getattr(after, part)
        assert (old is None) == (new is None)
        if old is not None:
            times = old.time if before.discrete else t
            assert np.array_equal(new(times), old(times))
    for group in ("states", "controls", "costates", "unknowns", "parameters"):
        old, new = getattr(before, group), getattr(after, group)
        assert list(old) == list(new)
        assert all(np.array_equal(old[k], new[k]) for k in old)
    assert after.certificate.resimulation_error < 1e-8


def test_a_solved_problem_comes_back(tmp_path):
    before = solve(integrator())
    before.save(tmp_path / "s.nc")
    after = load(tmp_path / "s.nc", integrator())
    assert repr(after) == repr(before)
    assert str(after) == str(before)
    assert after.stats == before.stats
    assert np.array_equal(after.costates["x"], before.costates["x"])
    assert after.certificate.cost_error == pytest.approx(before.certificate.cost_error)
    with pytest.raises(ProblemError):
        after.sensitivity("x")


def test_trajectories_come_back(tmp_path):
    exact = exact_integrator()
    before = simulate(exact.problem, schedule=exact, initial=1.0)
    before.save(tmp_path / "t.nc")
    after = load(tmp_path / "t.nc")
    assert type(after) is Trajectory
    t = np.linspace(0, 1, 31)
    assert np.array_equal(after.state("x", t), before.state("x", t))
    assert np.array_equal(after.control("u", t), before.control("u", t))
    assert simulate(exact.problem, schedule=after, initial=1.0).time[-1] == 1.0


def test_matrices_keep_their_shapes(tmp_path):
    problem = oc.Problem("matrix", horizon=oc.Finite(1.0))
    Z = problem.state("Z", (2, 3))
    W = problem.control("W", (2, 2))
    problem.dynamics(Z, W @ Z)
    before = simulate(problem, schedule={"W": [[0, 1], [-1, 0]]}, initial=np.arange(6.0).reshape(2, 3))
    before.save(tmp_path / "t.nc")
    after = load(tmp_path / "t.nc")
    assert after.states["Z"].shape == before.states["Z"].shape
    assert np.array_equal(after.controls["W"], before.controls["W"])
    data = xarray.open_dataset(tmp_path / "t.nc", engine="h5netcdf")
    assert data["Z"].attrs["role"] == "state"
    data.close()


# ---------------------------------------------------------------------- files that are no good


def test_missing_file(tmp_path):
    with pytest.raises(StorageError, match="there is no file"):
        load(tmp_path / "nothing.nc")


@pytest.mark.parametrize("keep", [0, 10, 2000])
def test_damaged_file(tmp_path, keep):
    path = tmp_path / "s.nc"
    exact_integrator().save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StorageError, match="not a readable netCDF"):
        load(path)


def test_foreign_file(tmp_path):
    xarray.Dataset({"a": ("x", [1.0])}).to_netcdf(tmp_path / "f.nc", engine="h5netcdf")
    with pytest.raises(StorageError, match="format 'unknown'"):
        load(tmp_path / "f.nc")


@pytest.mark.parametrize("part", ["x", "time_first", "mesh", "costate_x", "control_time"])
def test_file_that_lacks_a_part(tmp_path, part):
    exact_integrator().to_xarray().drop_vars(part).to_netcdf(tmp_path / "s.nc", engine="h5netcdf")
    with pytest.raises(StorageError, match="lacks a part"):
        load(tmp_path / "s.nc")


def test_file_of_a_later_format(tmp_path):
    data = exact_integrator().to_xarray()
    data.attrs["format"] = "ocnet 999"
    data.to_netcdf(tmp_path / "s.nc", engine="h5netcdf")
    with pytest.raises(StorageError, match="ocnet 999"):
        load(tmp_path / "s.nc")


def test_wrong_problem(tmp_path):
    exact_integrator().save(tmp_path / "s.nc")
    other = oc.Problem("other", horizon=oc.Finite(1.0))
    y = other.state("y")
    other.dynamics(y, -y)
    other.minimize(stage=y)
    with pytest.raises(StorageError, match="the problem 'other' has"):
        load(tmp_path / "s.nc", other)


def test_without_its_problem_a_solution_cannot_be_verified(tmp_path):
    exact_integrator().save(tmp_path / "s.nc")
    with pytest.raises(ProblemError, match="does not carry its problem"):
        _ = load(tmp_path / "s.nc").certificate


# ---------------------------------------------------------------------- value functions


@pytest.fixture(scope="module")
def zoomed():
    """A value function with a zoom: 17 nodes in each of three boxes."""
    grid = oc.Grid([-1, -1], [1, 1], 31, zooms=[oc.Zoom([0, 0], 0.5, 3, 17)])
    return oc.solve_hjb(regulator(2)[0], grid, tolerance=1e-4)


def cut(data, name, dimension):
    return data.assign({name: (dimension, data[name].values[: data[name].size // 2])})


def changed(data, name, entry):
    values = data[name].values.copy()
    values.reshape(-1)[7] = entry
    return data.assign({name: (data[name].dims, values)})


def of_more_nodes(data):
    rows = np.array(data.attrs["grid_zooms"])
    rows[-1] = 33
    return data.assign_attrs(grid_zooms=rows)


DAMAGES = {
    "half of the zooms": lambda data: cut(data, "value_in_zooms", "node"),
    "half of their errors": lambda data: cut(data, "error_in_zooms", "error_node"),
    "zooms of more nodes": of_more_nodes,
    "NaN": lambda data: changed(data, "value", np.nan),
    "infinite": lambda data: changed(data, "value_in_zooms", np.inf),
    "NaN in the errors": lambda data: changed(data, "error", np.nan),
    "short": lambda data: data.assign(monotone=("few", np.zeros(3))),
    "turned": lambda data: data.assign_attrs(grid_shape=np.array([29, 33])),
    "twice": lambda data: data.assign(value=(["two", *data["value"].dims], np.stack([data["value"]] * 2))),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_value_functions_of_the_wrong_form(damage, zoomed, tmp_path):
    zoomed.save(tmp_path / "v.nc")
    with xarray.open_dataset(tmp_path / "v.nc", engine="h5netcdf") as data:
        DAMAGES[damage](data.load()).to_netcdf(tmp_path / "w.nc", engine="h5netcdf")
    with pytest.raises(StorageError, match="one of the wrong form"):
        load(tmp_path / "w.nc")


def test_infinite_errors_come_back(zoomed, tmp_path):
    zoomed.save(tmp_path / "v.nc")
    with xarray.open_dataset(tmp_path / "v.nc", engine="h5netcdf") as data:
        changed(data.load(), "error", np.inf).to_netcdf(tmp_path / "w.nc", engine="h5netcdf")
    assert load(tmp_path / "w.nc").errors.max() == np.inf


def test_errors_at_later_times_and_leaks_come_back(tmp_path):
    finite = oc.solve_hjb(regulator(1, 2.0, oc.Finite(3.0))[0], oc.Grid(-1, 1, 21))
    finite.save(tmp_path / "finite.nc")
    again = load(tmp_path / "finite.nc")
    for t in (0.0, 1.4, 2.9):
        assert again.error_at([0.4], t=t) == finite.error_at([0.4], t=t)
    problem = oc.Problem("growing", oc.Steps(None, discount=0.2))
    x, u = problem.state("x"), problem.control("u", lower=-0.1, upper=0.1)
    problem.dynamics(x, 1.5 * x + u)
    problem.minimize(stage=x**2 + u**2)
    leaking = oc.solve_hjb(problem, oc.Grid(-1, 1, 41))
    leaking.save(tmp_path / "leaking.nc")
    assert "next states leave the box by up to" in str(leaking)
    assert str(load(tmp_path / "leaking.nc", problem)) == str(leaking)
