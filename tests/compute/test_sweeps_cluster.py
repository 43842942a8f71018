"""The same sweep on a Dask cluster: a real scheduler and two workers, one of them killed half way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from compute.sweeps import Axis, SweepError, SweepPlan, cluster, start, sweep
from compute.sweeps.handle import SCHEDULER
from tests.compute.sweep_models import calls, deadly, fresh_folders, holes, noisy, slow

pytestmark = pytest.mark.xdist_group("sweeps")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """A scheduler and two workers; their processes."""
    folder = tmp_path_factory.mktemp("dask")
    file, log = folder / "scheduler.json", (folder / "log").open("w")
    common = {"cwd": ROOT, "stdout": log, "stderr": log}
    with fresh_folders(tmp_path_factory):
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        run = [sys.executable, "-m", "dask"]
        scheduler = subprocess.Popen(
            [*run, "scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0",
             "--scheduler-file", file], env=environment, **common,
        )  # fmt: skip
        started = [scheduler]
        try:
            begin = [*run, "worker", "--scheduler-file", file, "--nthreads", "1", "--no-nanny", "--no-dashboard",
                     "--local-directory", folder]  # fmt: skip
            found = [subprocess.Popen(begin, env=environment, **common) for _ in range(2)]
            started += found
            for _ in range(600):
                if file.exists() and file.read_text().strip():
                    break
                time.sleep(0.1)
            address = json.loads(file.read_text())["address"]
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv(SCHEDULER, address)
                client = cluster._client(address)
                client.wait_for_workers(2, timeout=60)
                yield found
                client.close()
        finally:
            for process in started:
                process.kill()
                process.wait()
            log.close()


def test_it_gives_the_same_numbers_stops_and_goes_on(workers):
    result = sweep(noisy, x=("a", 0, 1, 4), y="kind", metric="value", n_seeds=2)
    direct = [
        [np.mean([noisy(a=a, kind=k, seed=s).scalars["value"] for s in (0, 1)]) for a in result.x.values] for k in result.y.values
    ]
    np.testing.assert_array_equal(result.mean, direct)
    assert sweep(holes, x="k", metric="value").reasons[0, 1] == "a is too much here."

    plan = SweepPlan(slow, Axis.over(slow, "a", n=60), None, "value", {"milliseconds": 25, "name": 7})
    handle = start(plan)
    while handle.fraction < 0.2:
        time.sleep(0.02)
    handle.stop()
    assert not handle.running and handle.wait(5) and handle.fraction < 1
    again = start(plan)
    assert again.fraction == handle.fraction and again.wait(30) and again.result().done.all()


def test_a_worker_killed_half_way_costs_a_retry(workers):
    handle = start(SweepPlan(slow, Axis.over(slow, "a", n=80), None, "value", {"milliseconds": 25, "name": 8}))
    while handle.fraction < 0.4:
        time.sleep(0.02)
    os.kill(workers[0].pid, signal.SIGKILL)
    assert handle.wait(60) and handle.error is None
    result = handle.result()
    np.testing.assert_array_equal(result.mean[0], result.x.values)
    assert result.mean.size == 80 and not result.reasons
    assert workers[0].wait(5) == -signal.SIGKILL and workers[1].poll() is None
    assert len({call for call in calls() if call.endswith(" 8")}) == 80


def test_other_code_and_a_scheduler_that_is_not_there_are_told_in_one_sentence(workers, monkeypatch):
    plan = SweepPlan(noisy, Axis.over(noisy, "a", n=3), None, "value", {"n": 99})
    plan.__dict__["version"] = "another"
    handle = start(plan)
    assert handle.wait(30) and handle.error.startswith("The workers have loaded other code of noisy")
    monkeypatch.setattr(cluster, "CONNECT", "1s")
    monkeypatch.setenv(SCHEDULER, "tcp://127.0.0.1:9")
    with pytest.raises(SweepError, match=r"No Dask scheduler answers at tcp://127.0.0.1:9 \(REGIMES_DASK_SCHEDULER\)."):
        sweep(deadly, x="a", metric="value")
    monkeypatch.setenv(SCHEDULER, "nonsense://")
    with pytest.raises(SweepError, match="No Dask scheduler answers at nonsense://"):
        sweep(deadly, x="a", metric="value")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SweepError, match=r"dask.distributed is missing: pip install -r requirements-dask"):
        sweep(deadly, x="a", metric="value")
