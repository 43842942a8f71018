"""Sweeps: axes, the numbers of direct calls, blank cells, repeats, what is kept on disk and when it counts."""

import os
import time

import numpy as np
import polars as pl
import pytest

import compute.sweeps.version as code
from compute.parameters import ParameterError
from compute.statistical_physics.kernel_density_large_dimension import phase_plane
from compute.sweeps import Axis, SweepError, SweepPlan, metrics, start, sweep
from compute.sweeps.plan import coarse_to_fine
from compute.sweeps.store import Store, file_of, position, prune, without_numbers
from tests.compute.sweep_models import calls, fresh_folders, holes, noisy, slow, stepwise

pytestmark = pytest.mark.xdist_group("sweeps")  # they share worker processes


@pytest.fixture(scope="module", autouse=True)
def folders(tmp_path_factory):
    with fresh_folders(tmp_path_factory):
        yield


# Axes


def test_axes_span_their_parameters():
    a = Axis.over(noisy, "a", n=5)
    assert a.values == (0.0, 0.25, 0.5, 0.75, 1.0) and not a.is_log
    b = Axis.over(noisy, "b", 0.1, 10, 3)
    assert b.is_log and b.values[0] == 0.1 and b.values[-1] == 10.0 and b.values[1] == pytest.approx(1.0)
    assert Axis.over(noisy, "b", 1, 3, 3, "linear").values == (1.0, 2.0, 3.0)
    n = Axis.over(noisy, "n", 1, 10, 30).values
    assert n == tuple(range(1, 11)) and all(isinstance(value, int) for value in n)
    assert Axis.over(noisy, "kind").values == ("plus", "minus", "times")
    assert Axis.over(noisy, "kind", options=["times"]).values == ("times",)
    assert Axis.over(noisy, "sign").values == (False, True)


@pytest.mark.parametrize(
    "name,arguments,says",
    [
        ("nothing", (), "is not a parameter of noisy"),
        ("a", (0.5, 0.5), "from less to more"),
        ("a", (0, 2), "a number from 0 to 1"),
        ("a", (0, 1, 129), "2 to 128 values"),
        ("a", (0, 1, 1), "2 to 128 values"),
        ("a", (0, 1, 8, "log"), "above 0"),
        ("a", (0, 1, 8, "square"), "linear or log"),
    ],
)
def test_an_axis_that_cannot_be_names_its_parameter(name, arguments, says):
    with pytest.raises(ParameterError, match=says) as caught:
        Axis.over(noisy, name, *arguments)
    assert caught.value.name == name


def test_a_plan_is_checked_at_once():
    a, b = Axis.over(noisy, "a", n=3), Axis.over(noisy, "b", n=3)
    for wrong, name in (
        (lambda: SweepPlan(noisy, a, a, "value"), "a"),
        (lambda: SweepPlan(noisy, Axis("a", (0.1, 7.0)), None, "value"), "a"),
        (lambda: SweepPlan(noisy, Axis("a", (0.1, 0.1)), None, "value"), "a"),
        (lambda: SweepPlan(noisy, a, b, "value", {"n": 0}), "n"),
        (lambda: SweepPlan(noisy, a, b, "value", {}, 0), "n_seeds"),
        (lambda: SweepPlan(noisy, a, b, "value", {"seed": 2**31 - 1}, 2), "seed"),
        (lambda: SweepPlan(slow, Axis.over(slow, "a"), None, "value", {}, 2), "n_seeds"),
    ):
        with pytest.raises(ParameterError) as caught:
            wrong()
        assert caught.value.name == name
    with pytest.raises(TypeError, match="other processes"):
        local = type(noisy)(noisy._function)
        _ = SweepPlan(local, a, None, "value").key


def test_the_key_tells_apart_what_the_numbers_depend_on_and_nothing_else():
    a, b = Axis.over(noisy, "a", n=3), Axis.over(noisy, "b", n=3)
    plan = SweepPlan(noisy, a, b, "value")
    same = [SweepPlan(noisy, a, b, "largest"), SweepPlan(noisy, a, b, "value", {"n": 10, "a": 0.7, "seed": 0})]
    other = [
        SweepPlan(noisy, b, a, "value"),
        SweepPlan(noisy, a, None, "value"),
        SweepPlan(noisy, a, b, "value", {"n": 11}),
        SweepPlan(noisy, a, b, "value", {}, 2),
        SweepPlan(noisy, Axis.over(noisy, "a", n=4), b, "value"),
    ]
    assert {p.key for p in same} == {plan.key}
    assert len({p.key for p in [plan, *other]}) == len(other) + 1


@pytest.mark.parametrize("rows,columns", [(1, 7), (8, 8), (5, 13), (64, 64)])
def test_cells_fill_the_map_as_a_whole(rows, columns):
    order = coarse_to_fine(rows, columns)
    assert sorted(order) == list(range(rows * columns))
    # After a sixteenth of the cells no place is far from one that is done.
    done = np.array([divmod(cell, columns) for cell in order[: -(-rows * columns // 16)]])
    places = np.array([divmod(cell, columns) for cell in range(rows * columns)])
    distance = np.abs(places[:, None] - done[None]).max(axis=2).min(axis=1)
    assert distance.max() <= (8 if rows == 1 else 4)


# Numbers


def test_cells_hold_the_very_numbers_of_direct_calls():
    axes = {"x": ("load", 0.1, 1.2, 4), "y": ("bandwidth", 0.2, 3, 3)}
    result = sweep(phase_plane, **axes, metric="effective samples", dimension=40)
    for row, bandwidth in enumerate(result.y.values):
        for column, load in enumerate(result.x.values):
            direct = phase_plane(load=load, bandwidth=bandwidth, dimension=40).headline()["effective samples"]
            assert result.mean[row, column].tobytes() == np.float64(direct).tobytes()
    assert result.done.all() and not result.reasons and np.isnan(result.spread).all()
    # Another headline number of the same sweep is there without a call.
    assert sweep(phase_plane, **axes, metric="KL-optimal h", dimension=40).mean.shape == (3, 4)
    assert "effective samples" in metrics(phase_plane, {"load": 0.5}) and "regime" not in metrics(phase_plane, {})


def test_choices_flags_and_long_experiments_can_be_swept():
    result = sweep(noisy, x="kind", y="sign", metric="value", a=0.3, n=5)
    for row, sign in enumerate((False, True)):
        for column, kind in enumerate(("plus", "minus", "times")):
            assert result.mean[row, column] == noisy(a=0.3, n=5, kind=kind, sign=sign).scalars["value"]
    assert sweep(stepwise, x=("a", 0, 1, 3), metric="value").mean.tolist() == [[2.0, 2.5, 3.0]]


def test_repeats_move_the_seed_and_give_mean_and_spread():
    result = sweep(noisy, x=("a", 0, 1, 3), y=("b", 0.1, 10, 2), metric="value", n_seeds=4, seed=7)
    draws = np.array(
        [[[noisy(a=a, b=b, seed=7 + k).scalars["value"] for k in range(4)] for a in result.x.values] for b in result.plan.y.values]
    )
    np.testing.assert_array_equal(result.mean, draws.mean(axis=2))
    np.testing.assert_array_equal(result.spread, draws.std(axis=2, ddof=1))
    np.testing.assert_array_equal(result.standard_error, result.spread / 2)
    assert len(set(draws.ravel())) == draws.size


def test_a_cell_without_a_number_is_blank_with_its_reason():
    result = sweep(holes, x=("a", 0.25, 0.75, 2), y="k", metric="value")
    assert result.done.all() and result.mean[0].tolist() == [0.25, 0.75] and np.isnan(result.mean[1:]).all()
    assert [result.reasons[k, 0] for k in range(1, 6)] == [
        "a is too much here.",
        "failed: ValueError: no such luck",
        "value: does not exist",
        "value: it is inf",
        "value: the headline has no such number here",
    ]
    assert sweep(holes, x=("a", 0.25, 0.75, 2), y="k", metric="other").mean[3:, 0].tolist() == [2.0, 2.0, 1.0]
    with pytest.raises(SweepError, match="'valu'; there are value, other"):
        sweep(holes, x=("a", 0.25, 0.75, 2), y="k", metric="valu")


def test_a_label_that_tells_a_parameter_is_one_metric():
    result = sweep(noisy, x=("n", 900, 1000, 3), metric="first of 1,000")
    assert np.isfinite(result.mean).all() and result.metric == "first of …"
    assert without_numbers("W₁ at k = 1,000 of 2.5k, c2 in 3d") == "W₁ at k = … of …, c2 in 3d"
    assert position(("at 1", "at 2"), "at 3") == -1 and position(("at 1", "at 2"), "at 2") == 1


def test_table_and_headline_agree_with_the_map():
    result = sweep(holes, x=("a", 0.25, 0.75, 2), y="k", metric="value")
    table = result.table()
    assert table.columns == ["a", "k", "value", "sd", "n_seeds", "reason"] and table.height == 12
    for a, k, value, reason in table.select("a", "k", "value", "reason").iter_rows():
        column = result.x.values.index(a)
        assert value == (None if np.isnan(result.mean[k, column]) else result.mean[k, column])
        assert reason == result.reasons.get((k, column))
    said = result.headline()
    assert said["least value"] == 0.25 and said["most at"] == "a = 0.75, k = 0"
    assert said["cells done"] == "12 of 12" and said["cells without a number"] == 10
    assert sweep(noisy, x="kind", metric="value").table().schema["reason"] == pl.String


# What is kept


def test_a_finished_sweep_reopens_at_once_and_calls_nothing():
    plan = SweepPlan(noisy, Axis.over(noisy, "a", n=6), Axis.over(noisy, "b", n=5), "value", {"n": 3}, 2)
    handle = start(plan)
    assert handle.wait(30) and handle.fraction == 1 and not handle.running and handle.remaining == 0
    n_calls = len(calls())
    begin = time.perf_counter()
    again = start(SweepPlan(noisy, plan.x, plan.y, "largest", {"n": 3}, 2))
    assert not again.running and again.result().done.all()
    assert time.perf_counter() - begin < 0.5 and len(calls()) == n_calls
    np.testing.assert_array_equal(again.result("value").mean, handle.result().mean)


def test_a_stop_keeps_what_is_done_and_a_start_goes_on_from_there():
    plan = SweepPlan(slow, Axis.over(slow, "a", n=12), Axis.over(slow, "b", n=12), "value", {"milliseconds": 15, "name": 1})
    handle = start(plan, workers=2)
    while handle.fraction < 0.25:
        time.sleep(0.02)
    assert handle.running and handle.remaining > 0 and not handle.starting
    handle.stop()
    assert not handle.running and handle.wait(5)
    partial = handle.result()
    n_done = int(partial.done.sum())
    assert 0.25 * 144 <= n_done < 144 and np.isfinite(partial.mean[partial.done]).all() and not partial.reasons
    again = start(plan)
    assert again.fraction == n_done / 144 and again.wait(30)
    assert again.result().done.all() and again.error is None
    mine = [call for call in calls() if call.startswith("slow") and call.endswith(" 1")]
    assert len(mine) == len(set(mine)) == 144


def test_a_stop_does_not_wait_for_a_long_cell():
    handle = start(SweepPlan(slow, Axis.over(slow, "a", n=2), None, "value", {"milliseconds": 60_000}))
    time.sleep(0.5)
    handle.stop()
    assert handle.wait(10) and handle.fraction == 0


def test_two_who_start_the_same_sweep_share_it():
    plan = SweepPlan(slow, Axis.over(slow, "a", n=30), None, "value", {"milliseconds": 15, "name": 2})
    one, other = start(plan), start(plan)
    one.stop()
    assert not one.running and other.running
    other.stop()
    third = start(plan)  # at once, while the stop is under way
    assert third.wait(30) and third.result().done.all()
    assert sum(call.endswith(" 2") for call in calls()) == 30


def test_a_file_that_cannot_be_read_is_computed_again_and_a_full_disk_costs_no_result(monkeypatch, tmp_path):
    plan = SweepPlan(noisy, Axis.over(noisy, "a", n=3), None, "value", {"n": 4})
    file_of(plan.key).write_bytes(b"PK not a sweep")
    assert start(plan).wait(30) and Store.load(file_of(plan.key), 3, 1).state.all()
    (tmp_path / "file").touch()
    monkeypatch.setenv("REGIMES_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="could not be kept"):
        handle = start(SweepPlan(noisy, Axis.over(noisy, "a", n=4), None, "value"))
        assert handle.wait(30)
        time.sleep(0.1)
    assert handle.result().done.all()


def test_the_sweeps_longest_out_of_use_make_room(tmp_path):
    for age, name in enumerate(("newest", "used", "old", "oldest")):
        (tmp_path / f"{name}.npz").write_bytes(b"0" * 100)
        os.utime(tmp_path / f"{name}.npz", (1e9 - age, 1e9 - age))
    prune(tmp_path, keep_bytes=250)
    assert {file.stem for file in tmp_path.iterdir()} == {"newest", "used"}
    prune(tmp_path, keep_bytes=10)  # the last one is kept, however large
    assert {file.stem for file in tmp_path.iterdir()} == {"newest"}


def test_a_change_of_any_source_an_experiment_rests_on_changes_the_version(monkeypatch, tmp_path):
    package = tmp_path / "sandbox"
    (package / "inner").mkdir(parents=True)
    sources = {
        "__init__.py": "",
        "unrelated.py": "",
        "inner/__init__.py": "from .deep import x\n",
        "inner/deep.py": "x = 1\n",
        "lab.py": "from sandbox import inner\nimport compute.kernel\n",
    }
    for name, text in sources.items():
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = code.version("sandbox.lab:f")
    assert code.version("sandbox.lab:f") == before != code.version("sandbox.lab:g")
    loaded = code.version("sandbox.lab:f", frozen=True)
    (package / "unrelated.py").write_text("y = 1\n")
    assert code.version("sandbox.lab:f") == before
    for name in ("inner/deep.py", "inner/__init__.py", "__init__.py", "lab.py"):
        (package / name).write_text(sources[name] + "# changed\n")
        after = code.version("sandbox.lab:f")
        assert after != before
        before = after
    assert code.version("sandbox.lab:f", frozen=True) == loaded  # a worker runs what it has loaded
    digests = code._read("compute.kernel", os.path.abspath("compute/kernel.py"), None)
    assert digests[1] == ("numba", "numba.njit")
