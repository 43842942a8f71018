"""The tray of pinned states: named, drawn on every figure of their lab, carried by its link, exported with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

import plotly.graph_objects as go
import polars as pl

from compute.parameters import Dataset, Parameter
from pages.kit.lab import Lab, View
from pages.kit.run import compute, is_live

MAX_PINS = 4
LONGEST_NAME = 40
NAME = "name"


@dataclass
class Pin:
    """A state of a lab to compare with: all its parameters, and per view what was computed and drawn there."""

    name: str
    values: dict[str, Any]
    results: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, go.Figure] = field(default_factory=dict)
    key: str = field(default_factory=lambda: uuid4().hex[:8])  # of its widgets

    def of(self, view: View) -> dict[str, Any]:
        """The values of the parameters that a view takes."""
        return {name: self.values[name] for name in view.experiment.parameters}

    def result(self, view: View) -> Any:
        """What a view computes there; ``None`` where that takes a run, or is not possible."""
        if view.title not in self.results and is_live(view.experiment, self.of(view)):
            try:
                self.results[view.title] = compute(view.experiment, self.of(view))[0]
            except Exception:  # the tray says that it is not drawn; the present figure must not suffer
                self.results[view.title] = None
        return self.results.get(view.title)

    def figure(self, view: View) -> go.Figure | None:
        """What a view draws of it; drawn once, as the reader drags the present state past it."""
        result = self.result(view)
        if result is None:
            return None
        if view.title not in self.figures:
            self.figures[view.title] = view.figure(result)
        return self.figures[view.title]


def describe(lab: Lab, values: Mapping[str, Any]) -> str:
    """A pin's first name: what differs from the defaults."""
    moved = [f"{name} {lab.parameters[name].format(values[name])}" for name in changed(lab, values)]
    return shortened(", ".join(moved)) or "defaults"


def changed(lab: Lab, values: Mapping[str, Any]) -> list[str]:
    """The parameters that are not at their defaults and that a link can carry."""
    return [
        name
        for name, parameter in lab.parameters.items()
        if values[name] is not None and not isinstance(parameter, Dataset) and values[name] != lab.defaults[name]
    ]


def written(lab: Lab, pins: list[Pin]) -> str:
    """Pins as a link carries them: one query string for each, joined by bars (which a query string escapes)."""
    return "|".join(
        urlencode({NAME: pin.name} | {name: lab.parameters[name].format(pin.values[name]) for name in changed(lab, pin.values)})
        for pin in pins
    )


def read(lab: Lab, text: str) -> tuple[list[Pin], list[str]]:
    """The pins of a link, and a sentence for each that cannot be followed."""
    pins, problems = [], []
    for part in filter(None, text.split("|")):
        given = dict(parse_qsl(part, keep_blank_values=True))
        name = shortened(given.pop(NAME, "")) or "pin"
        try:
            values = dict(lab.defaults)
            for parameter, value in given.items():
                values[parameter] = _parameter(lab, parameter).parse(parameter, value)
        except ValueError as error:
            problems.append(f"The link's pin “{name}” is left out: {shortened(str(error), 150)}")
            continue
        pins.append(Pin(name, values))
    if len(pins) > MAX_PINS:
        problems.append(f"The link has {len(pins)} pins; the first {MAX_PINS} are kept.")
    return pins[:MAX_PINS], problems


def table(view: View, present: pl.DataFrame, pins: list[Pin]) -> pl.DataFrame:
    """What is shown and the pins below it, told apart by a column."""
    parts = [present.with_columns(pl.lit("present").alias("pin"))]
    for pin in pins:
        result = pin.result(view)
        if result is not None:
            parts.append(result.table().with_columns(pl.lit(pin.name).alias("pin")))
    return pl.concat(parts, how="diagonal_relaxed")


def unique(name: str, pins: list[Pin]) -> str:
    """A name that no other pin has: the exported table tells pins apart by it."""
    taken = {pin.name for pin in pins} | {"present"}
    name = shortened(name.strip()) or "pin"
    return next(tried for k in range(1, len(taken) + 2) if (tried := name if k == 1 else f"{name} ({k})") not in taken)


def _parameter(lab: Lab, name: str) -> Parameter:
    parameter = lab.parameters.get(name)
    if parameter is None or isinstance(parameter, Dataset):
        raise ValueError(f"“{shortened(name)}” is not a parameter of this lab.")
    return parameter


def shortened(text: str, longest: int = LONGEST_NAME) -> str:
    """A text cut to a length, with an ellipsis where it was longer."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
