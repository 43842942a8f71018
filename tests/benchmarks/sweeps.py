"""Sweeps against their models: how long a map takes, and what a cell costs above the model itself.

The model here burns a known amount of processor time. What a cell costs above it is the time in which a worker is not
at a call: it waits for its next piece, or sends one off. That holds on a busy machine too, where calls take longer.
"""

from __future__ import annotations

import os
import tempfile
import time

from compute.sweeps import Axis, SweepPlan, start, warm
from compute.sweeps import handle as handles
from compute.sweeps.pool import cores
from tests.benchmarks.report import Row, show, verdict
from tests.compute.sweep_models import FOLDER, busy

CASES = ((64, 1.0), (64, 5.0), (32, 10.0), (8, 100.0))  # side of the map, milliseconds of the model
SECONDS_64 = 15.0  # of 64 × 64 at 5 ms on two cores
OVERHEAD_10 = 0.10  # of a 10 ms model


def main() -> list[Row]:
    """Time maps of a few sizes and print what each took."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"REGIMES_CACHE": folder, FOLDER: folder}
        os.environ.pop(handles.SCHEDULER, None)
        try:
            warm()
            _map(4, 1.0)  # the workers load the model
            rows = [_map(side, milliseconds) for side, milliseconds in CASES]
            reopened = _map(64, 5.0)
        finally:
            os.environ.clear()
            os.environ |= before
    by_model = {row["model ms"]: row for row in rows}
    notes = [
        f"Workers: {cores()}. Of a core's own: how much of a core the model had; below 1 where others use the machine.",
        verdict("64 × 64 over 5 ms, seconds", by_model[5.0]["seconds"], SECONDS_64),
        verdict("The same with a core for each worker", by_model[5.0]["seconds"] * by_model[5.0]["of a core's own"], SECONDS_64),
        verdict("Overhead of a cell of 10 ms", by_model[10.0]["overhead"], OVERHEAD_10),
        f"The map of 64 × 64 reopens in {1e3 * reopened['seconds']:.0f} ms.",
    ]
    show("Sweeps", rows, notes)
    return rows


def _map(side: int, milliseconds: float) -> Row:
    plan = SweepPlan(busy, Axis.over(busy, "a", n=side), Axis.over(busy, "b", n=side), "value", {"milliseconds": milliseconds})
    begin = time.perf_counter()
    handle = start(plan)
    first = None
    while not handle.wait(0.005):
        if first is None and handle.fraction > 0:
            first = time.perf_counter() - begin
    taken = time.perf_counter() - begin
    at_calls = handle._run.spent or float("nan")
    above = cores() * taken - at_calls
    return {
        "map": f"{side} × {side}",
        "model ms": milliseconds,
        "seconds": taken,
        "of a core's own": side * side * milliseconds / 1e3 / at_calls,
        "above a cell, ms": 1e3 * above / side**2,
        "overhead": above / at_calls,
        "first numbers, s": first,
    }


if __name__ == "__main__":
    main()
