"""The time of each view: warm at its defaults, and at the slowest of its corners that a slider reaches."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from numba.core import event

from compute.parameters import ParameterError, format_number
from pages.kit.discovery import Entry
from pages.kit.figure_json import written
from pages.kit.lab import View
from pages.kit.run import LIVE_SECONDS, is_live
from pages.kit.style import themed
from tests.benchmarks.report import Row, median_seconds, seconds, show
from tests.pages.test_labs import corners

DEFAULT_BUDGET, CORNER_BUDGET = 0.1, LIVE_SECONDS
LONGEST_TRIED = 15.0  # seconds by its own estimate


def main(labs: Sequence[Entry]) -> list[Row]:
    """Time every view of the given labs and print the table."""
    rows = []
    for entry in labs:
        try:
            views = entry.lab.views
        except Exception as error:  # one broken lab must not cost the table of the others
            rows.append({"view": entry.path, "over": f"{type(error).__name__}: {error}"})
            continue
        for view in views:
            print(f"views: {entry.path}: {view.title}", file=sys.stderr)
            rows.append(_row(entry, view))
    over = [row for row in rows if row["over"]]
    notes = [
        f"{len(rows) - len(over)} of {len(rows)} views are within {DEFAULT_BUDGET * 1e3:.0f} ms at their defaults (drawing apart) "
        f"and {CORNER_BUDGET:g} s at every corner that is live, or always behind Run: {sum(row.get('run') == 'always' for row in rows)}.",
        "first: with kernels compiled or loaded. draw: figure, theme and JSON. long: one corner behind Run, estimate and actual.",
    ]
    show("Views, warm", rows, notes)
    return rows


def _row(entry: Entry, view: View) -> Row:
    row: Row = {"view": f"{entry.path}: {view.title}"}
    try:
        row |= _defaults(view) | _slowest_live_corner(view) | _one_long_corner(view)
    except Exception as error:
        return row | {"over": f"{type(error).__name__}: {error}"}
    over = [
        name
        for name, value, budget in (
            ("defaults", row["default ms"], 1e3 * DEFAULT_BUDGET),
            ("drawing", row["draw ms"], 1e3 * DEFAULT_BUDGET),
            ("corner", row["corner ms"], 1e3 * CORNER_BUDGET),
        )
        if value is not None and value > budget
    ]
    return row | {"over": ", ".join(over)}


def _defaults(view: View) -> Row:
    if not is_live(view.experiment, {}):
        return {"first ms": None, "default ms": None, "draw ms": None, "run": "always"}
    first = seconds(view.experiment)
    warm = median_seconds(view.experiment)
    result = view.experiment()
    draw = median_seconds(lambda: written(themed(view.figure(result), "light")))
    return {"first ms": 1e3 * first, "default ms": 1e3 * warm, "draw ms": 1e3 * draw, "run": ""}


def _slowest_live_corner(view: View) -> Row:
    slowest: tuple[float | None, dict[str, Any]] = (None, {})
    for values in corners(view):
        if not is_live(view.experiment, values):
            continue
        time_there = _time_at(view, values)
        if time_there is not None and (slowest[0] is None or time_there > slowest[0]):
            slowest = (time_there, values)
    time_there, values = slowest
    at = " ".join(f"{name}={_short(view, name, value)}" for name, value in values.items())
    return {"corner ms": None if time_there is None else 1e3 * time_there, "at": at}


def _time_at(view: View, values: dict[str, Any]) -> float | None:
    """The time of the first call that compiles nothing; ``None`` where the experiment says why it cannot.

    The first, and not a later one: labs remember tables by some of their parameters, and a reader who arrives at a corner
    pays for them.
    """
    for _ in range(3):
        try:
            with event.install_recorder("numba:compile") as compiled:
                elapsed = seconds(lambda: view.experiment(**values))
        except ParameterError:
            return None
        if not compiled.buffer:
            break
    return elapsed


def _one_long_corner(view: View) -> Row:
    estimates = [(view.experiment.seconds(values), values) for values in ({}, *corners(view))]
    tried = sorted(
        ((s, v) for s, v in estimates if s < LONGEST_TRIED and not is_live(view.experiment, v)), key=lambda found: -found[0]
    )
    for estimate, values in tried:
        actual = _time_at(view, values)
        if actual is not None:
            return {"long estimate s": estimate, "long actual s": actual}
    return {"long estimate s": None, "long actual s": None}


def _short(view: View, name: str, value: Any) -> str:
    return format_number(value) if isinstance(value, float) else view.experiment.parameters[name].format(value)
