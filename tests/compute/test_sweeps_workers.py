"""Local workers and the shell: who dies is replaced, who waits gets a turn, the shell gives the same numbers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from compute.__main__ import main
from compute.statistical_physics.kernel_density_large_dimension import phase_plane
from compute.sweeps import Axis, SweepError, SweepPlan, start, sweep, warm, worker
from compute.sweeps import handle as handles
from compute.sweeps.cells import Done, OtherCode
from compute.sweeps.shell import parse_axis
from compute.sweeps.store import Store, file_of
from tests.compute.sweep_models import calls, deadly, fresh_folders, noisy, slow

pytestmark = pytest.mark.xdist_group("sweeps")
ROOT = Path(__file__).parents[2]
KDE = "statistical_physics/kernel_density_large_dimension"


@pytest.fixture(scope="module", autouse=True)
def folders(tmp_path_factory):
    with fresh_folders(tmp_path_factory):
        yield


def test_a_worker_that_dies_costs_a_retry_and_a_cell_that_always_kills_only_itself():
    axis = Axis("k", (0, 1, 2, 3, 4, 7, 8, 9))
    result = sweep(deadly, x=axis, metric="value")
    assert result.done.all() and result.mean[0, [0, 1, 2, 3, 4, 6, 7]].tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 8.5, 9.5]
    assert np.isnan(result.mean[0, 5]) and result.reasons == {(0, 5): "failed: its worker process ended, 3 times over"}
    # What is lost may be found another time: it is not kept.
    assert Store.load(file_of(result.plan.key), 8, 1).state[:, 0].tolist() == [1, 1, 1, 1, 1, 0, 1, 1]


def test_workers_killed_from_outside_are_replaced():
    handle = start(SweepPlan(slow, Axis.over(slow, "a", n=40), None, "value", {"milliseconds": 20, "name": 3}))
    while handle.fraction < 0.2:
        time.sleep(0.02)
    for pid in handles._pool.pids():
        os.kill(pid, signal.SIGKILL)
    assert handle.wait(30) and handle.error is None
    result = handle.result()
    assert np.isfinite(result.mean).all() and not result.reasons


def test_sweeps_take_turns():
    warm()
    plans = [
        SweepPlan(slow, Axis.over(slow, "a", n=16), Axis.over(slow, "b", n=64), "value", {"milliseconds": 4, "name": name})
        for name in (4, 5)
    ]
    first, second = start(plans[0]), start(plans[1])
    while second.fraction < 0.1:
        time.sleep(0.02)
    before = first.fraction, second.fraction
    while second.fraction < before[1] + 0.3:
        time.sleep(0.02)
    # While one gains 0.3 so does the other, but for a piece or two.
    assert 0.1 < first.fraction - before[0] < 0.6
    for handle in (first, second):
        handle.stop()
        assert handle.wait(5)


def test_a_worker_with_other_code_refuses_and_one_that_does_not_start_is_told(monkeypatch):
    plan = SweepPlan(noisy, Axis.over(noisy, "a", n=3), None, "value")
    one = worker.Worker()
    try:
        assert isinstance(one.call(plan.task([(0, 0)], 1.0)), Done)
        plan.__dict__["version"] = "another"
        assert isinstance(one.call(plan.task([(0, 0)], 1.0)), OtherCode)
    finally:
        one.end()
    monkeypatch.setattr(worker, "COMMAND", [sys.executable, "-c", "raise SystemExit(1)"])
    monkeypatch.setattr(handles, "_pool", None)
    with pytest.raises(SweepError, match="do not start"):
        sweep(noisy, x=("a", 0, 1, 3), metric="value", n=17)


def test_an_interrupted_wait_stops_the_sweep(monkeypatch):
    handle = start(SweepPlan(slow, Axis.over(slow, "a", n=50), None, "value", {"milliseconds": 100, "name": 6}))

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        handles.finish(handle, interrupt)
    assert not handle.running and handle.wait(5) and handle.fraction < 1
    assert sum(call.endswith(" 6") for call in calls()) < 50


# The shell


def test_axes_are_read_as_people_type_them():
    assert parse_axis(noisy, "a").values == Axis.over(noisy, "a").values
    assert parse_axis(noisy, "a:0.25:0.5:3").values == (0.25, 0.375, 0.5)
    assert parse_axis(noisy, "b:1:3:3:linear").values == (1.0, 2.0, 3.0)
    assert parse_axis(noisy, "n:10:1k:3").values == (10, 100, 1000)
    assert parse_axis(noisy, "kind:minus:plus").values == ("minus", "plus")


def test_the_shell_writes_the_numbers_of_a_call(tmp_path, capsys):
    files = {kind: tmp_path / f"out.{kind}" for kind in ("csv", "parquet", "json")}
    options = [part for kind, file in files.items() for part in (f"--{kind}", str(file))]
    axes = ["--x", "load:0.1:1.2:3", "--y", "bandwidth:0.1:3:2:log", "--set", "dimension=30"]
    assert main(["sweep", KDE, "--view", "phase_plane", *axes, "--metric", "effective samples", *options]) == 0
    said = capsys.readouterr()
    result = sweep(
        phase_plane, x=("load", 0.1, 1.2, 3), y=("bandwidth", 0.1, 3, 2, "log"), metric="effective samples", dimension=30
    )
    assert pl.read_parquet(files["parquet"]).equals(result.table())
    assert pl.read_csv(files["csv"])["effective samples"].to_list() == result.mean.ravel().tolist()
    assert json.loads(files["json"].read_text())["headline"] == result.headline()
    assert "cells done: 6 of 6" in said.out and not said.err  # no progress where nobody watches


@pytest.mark.parametrize(
    "options,says",
    [
        (["--x", "load:9:10"], "load takes a number from"),
        (["--x", "load:0.1"], "load takes NAME[:LOW:HIGH"),
        (["--x", "load:0.1:1:many"], "load takes a number of values"),
        (["--x", "load:0.1:1:200"], "load takes 2 to 128 values"),
        (["--x", "nothing"], "nothing is not a parameter"),
        (["--x", "load", "--y", "load"], "load cannot be on both axes"),
        (["--x", "load", "--seeds", "3"], "n_seeds takes 1 here"),
        (["--x", "load", "--workers", "0"], "--workers takes"),
        ([], "--x"),
        (["--x", "load:0.1:1.2:3", "--metric", "nothing"], "No cell has a headline number 'nothing'; there are "),
    ],
)
def test_what_is_wrong_gets_one_sentence_and_exit_code_2(options, says, capsys):
    assert main(["sweep", KDE, "--view", "phase_plane", "--metric", "effective samples", *options]) == 2
    said = capsys.readouterr()
    assert says in said.err and said.err.count("\n") == 1


def test_workers_end_with_the_process_that_started_them():
    script = (
        "import os, time\nfrom compute.sweeps import handle\nhandle.warm()\n"
        "while not (pids := handle._pool.pids()): time.sleep(0.05)\nprint(*pids, flush=True)\nos._exit(1)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    for pid in map(int, done.stdout.split()):
        for _ in range(100):
            if not Path(f"/proc/{pid}").exists():
                break
            time.sleep(0.05)
        assert not Path(f"/proc/{pid}").exists()
