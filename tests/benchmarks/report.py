"""What every benchmark prints: an aligned table of its rows, and sentences below it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

Row = dict[str, Any]

WIDEST = 80  # characters of a cell in print; the CSV has all of them


def show(title: str, rows: Sequence[Row], notes: Sequence[str] = ()) -> None:
    """Print rows under their column names, numbers to the right."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [[name, *(_short(text(row.get(name))) for row in rows)] for name in names]
    widths = [max(map(len, column)) for column in columns]
    to_right = [all(isinstance(row.get(name), (int, float, type(None))) for row in rows) for name in names]
    print(f"\n{title}")
    for k in range(len(rows) + 1):
        cells = [c[k].rjust(w) if r else c[k].ljust(w) for c, w, r in zip(columns, widths, to_right, strict=True)]
        print("  " + "  ".join(cells).rstrip())
        if k == 0:
            print("  " + "  ".join("-" * w for w in widths))
    for note in notes:
        print(f"  {note}")
    print(flush=True)


def text(value: Any) -> str:
    """A cell: three digits are enough for a time."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def _short(cell: str) -> str:
    return cell if len(cell) <= WIDEST else cell[: WIDEST - 1] + "…"


def save(found: dict[str, list[Row]], file: Path) -> None:
    """All rows of all benchmarks in one CSV, a column for each name that any of them uses."""
    frames = [
        pl.DataFrame(rows, infer_schema_length=None).with_columns(benchmark=pl.lit(name)) for name, rows in found.items() if rows
    ]
    if frames:
        table = pl.concat(frames, how="diagonal_relaxed")
        table.select("benchmark", pl.exclude("benchmark")).write_csv(file)


def verdict(name: str, value: float, goal: float) -> str:
    """A sentence that holds a number against its goal."""
    return f"{name}: {value:.3g} (goal: at most {goal:g}) {'met' if value <= goal else 'NOT MET'}"


def seconds(function: Callable[[], Any]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def median_seconds(function: Callable[[], Any], *, calls: int = 5, at_most: float = 2.0) -> float:
    """Median time of a few warm calls; fewer where they add up to ``at_most`` seconds."""
    found: list[float] = []
    while not found or (len(found) < calls and sum(found) < at_most):
        found.append(seconds(function))
    return statistics.median(found)
