"""What a sweep asks for, and the URL that carries it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from compute.experiment import Experiment
from compute.parameters import Choice, Dataset, Flag, Number, ParameterError, SeedParameter, parse_number
from compute.sweeps import Axis, SweepPlan
from pages.kit.discovery import Entry, entries
from pages.kit.lab import View
from pages.kit.state import slug

KEY = "sweep"  # of the session’s present request
RESOLUTION = 24
MAX_SEEDS = 16
SWEEPABLE = (Number, Choice, Flag)


@dataclass(frozen=True)
class AxisRequest:
    """A parameter and, of a number, its range, its resolution and its spacing."""

    name: str
    low: float = 0.0
    high: float = 0.0
    n: int = RESOLUTION
    spacing: str = "linear"

    def axis(self, experiment: Experiment[Any]) -> Axis:
        """The axis it stands for; raises ``ParameterError``."""
        if isinstance(experiment.parameters.get(self.name), Number):
            return Axis.over(experiment, self.name, self.low, self.high, self.n, self.spacing)
        return Axis.over(experiment, self.name)

    def text(self) -> str:
        return f"{self.name}:{self.low:.12g}:{self.high:.12g}:{self.n}:{self.spacing}" if self.high > self.low else self.name


@dataclass(frozen=True)
class SweepRequest:
    """A sweep of a view's experiment, as a page shows it and a link carries it.

    ``at`` is where the lab stood: the values of all parameters, the axes' own included (the present point).
    """

    entry: Entry
    view: View
    x: AxisRequest
    y: AxisRequest | None
    metric: str
    n_seeds: int = 1
    levels: tuple[float, ...] = ()
    at: dict[str, Any] = field(default_factory=dict)

    @property
    def experiment(self) -> Experiment[Any]:
        return self.view.experiment

    def plan(self) -> SweepPlan:
        """What to compute; raises ``ParameterError``."""
        axes = {axis.name for axis in (self.x, self.y) if axis}
        fixed = {name: value for name, value in self.at.items() if name not in axes}
        y = self.y.axis(self.experiment) if self.y else None
        return SweepPlan(self.experiment, self.x.axis(self.experiment), y, self.metric, fixed, self.n_seeds)

    def query(self) -> dict[str, str]:
        """What the URL says."""
        experiment = self.experiment
        query = {"lab": self.entry.name, "view": slug(self.view.title), "x": self.x.text(), "metric": self.metric}
        query["y"] = self.y.text() if self.y else "none"
        if self.n_seeds > 1:
            query["seeds"] = str(self.n_seeds)
        if self.levels:
            query["levels"] = ",".join(f"{level:g}" for level in self.levels)
        query |= {
            f"at.{name}": experiment.parameters[name].format(value)
            for name, value in self.at.items()
            if value is not None and not isinstance(experiment.parameters[name], Dataset) and value != experiment.defaults[name]
        }
        return query


def axis_names(experiment: Experiment[Any]) -> list[str]:
    """The parameters that an axis can take."""
    return [
        name
        for name, parameter in experiment.parameters.items()
        if isinstance(parameter, SWEEPABLE) and not isinstance(parameter, SeedParameter)
    ]


def default_axis(experiment: Experiment[Any], name: str) -> AxisRequest:
    """A parameter over its whole range, in its own spacing."""
    parameter = experiment.parameters[name]
    if isinstance(parameter, Number):
        return AxisRequest(name, parameter.low, parameter.high, RESOLUTION, "log" if parameter.is_log else "linear")
    return AxisRequest(name)


def first_request(entry: Entry, view: View, at: Mapping[str, Any], metrics: list[str]) -> SweepRequest:
    """A sweep to begin with: over the axes of the view's map, or its first controls."""
    names = axis_names(view.experiment)
    first = [name for name in (*(view.click or ()), *view.controls, *names) if name in names]
    chosen = [default_axis(view.experiment, name) for name in dict.fromkeys(first)][:2]
    y = chosen[1] if len(chosen) > 1 else None
    return SweepRequest(entry, view, chosen[0], y, metrics[0] if metrics else "", at=dict(at))


def read_request(query: Mapping[str, str]) -> tuple[SweepRequest | None, list[str]]:
    """A sweep from a link, and a sentence for each part of it that cannot be followed."""
    said: list[str] = []
    entry = next((entry for entry in entries() if entry.name == query.get("lab")), None)
    if entry is None:
        return None, ["The link names no lab that is here."]
    view = next((view for view in entry.lab.views if slug(view.title) == query.get("view")), entry.lab.views[0])
    experiment = view.experiment
    at = dict(experiment.defaults)
    for key, text in query.items():
        name = key.removeprefix("at.")
        if key.startswith("at.") and name in experiment.parameters:
            try:
                at[name] = experiment.parameters[name].parse(name, text)
            except ParameterError as error:
                said.append(f"{error.name} {error.reason}")
    request = first_request(entry, view, at, [query.get("metric", "")[:200]])
    for which in ("x", "y"):
        text = query.get(which, "")
        try:
            if text:
                axis = None if which == "y" and text == "none" else _axis(experiment, text)
                changes: dict[str, Any] = {which: axis}
                request = replace(request, **changes)
        except (ParameterError, ValueError) as error:
            said.append(f"The link’s {which} axis cannot be followed: {error}")
    seeds, levels = query.get("seeds", "1"), query.get("levels", "")
    if seeds.isdecimal() and 1 <= int(seeds) <= MAX_SEEDS:
        request = replace(request, n_seeds=int(seeds))
    try:
        request = replace(request, levels=read_levels(levels))
    except ValueError as error:
        said.append(str(error))
    return request, said


def read_levels(text: str) -> tuple[float, ...]:
    """Contour levels, as typed: numbers with commas between them, at most eight."""
    return tuple(parse_number(part) for part in text.split(",") if part.strip())[:8]


def _axis(experiment: Experiment[Any], text: str) -> AxisRequest:
    name, *rest = text.split(":")
    if name not in axis_names(experiment):
        raise ParameterError(name[:60], f"is not a parameter that can be swept; those are {', '.join(axis_names(experiment))}.")
    if len(rest) < 4:
        return default_axis(experiment, name)
    asked = AxisRequest(name, parse_number(rest[0]), parse_number(rest[1]), int(parse_number(rest[2])), rest[3])
    asked.axis(experiment)
    return asked
