"""What a lab's page declares: one question, its views, its presets and its words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from compute.experiment import Experiment
from compute.parameters import Parameter

KINDS = (
    "phase diagram",
    "scaling curve",
    "sampler",
    "spectrum",
    "trajectory",
    "distribution",
    "geometry",
    "network",
    "field",
    "table",
)
STANDINGS = ("own object", "miniature")
RESERVED = ("view", "pins", "embed")


@dataclass(frozen=True)
class View:
    """An experiment and the figure that shows it.

    Parameters
    ----------
    title : str
        A short name for the tab.
    kind : str
        One of ``KINDS``.
    experiment : Experiment
        What is computed.
    figure : callable
        From the experiment's result to a Plotly figure.
    reading : str
        How to read the picture, in a sentence; also what a screen reader says.
    controls : sequence of str
        The parameters that matter first; the experiment's others are folded away.
    click : (str, str), optional
        The parameters on the x and y axes: a click on the figure moves them there.
    """

    title: str
    kind: str
    experiment: Experiment[Any]
    figure: Callable[[Any], go.Figure]
    reading: str
    controls: Sequence[str] = ()
    click: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.title}: kind {self.kind!r} is not one of {KINDS}")
        for name in (*self.controls, *(self.click or ())):
            if name not in self.experiment.parameters:
                raise ValueError(f"{self.title}: {name!r} is not a parameter of {self.experiment.name}")


@dataclass(frozen=True)
class Lab:
    """One question that one page answers.

    Parameters
    ----------
    title, question : str
        The lab's name, and what it answers.
    views : sequence of View
        Parameters of the same name are shared between them.
    presets : mapping of str to mapping
        Named settings; the key ``"view"`` names the view to open, by its title.
    words : str
        Markdown: what is computed, the equations, how to read it, where it stops being true.
    papers : mapping of str to str
        Catalogue id to one of ``STANDINGS``.
    """

    title: str
    question: str
    views: Sequence[View]
    presets: Mapping[str, Mapping[str, Any]]
    words: str
    papers: Mapping[str, str]
    parameters: Mapping[str, Parameter] = field(init=False)
    defaults: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        parameters: dict[str, Parameter] = {}
        defaults: dict[str, Any] = {}
        for view in self.views:
            for name, parameter in view.experiment.parameters.items():
                if name in RESERVED:
                    raise ValueError(f"{self.title}: a link says {name!r} itself; no parameter can have that name")
                default = view.experiment.defaults[name]
                if name in parameters and (parameters[name] != parameter or defaults[name] != default):
                    raise ValueError(f"{self.title}: two views declare {name!r} differently")
                parameters[name], defaults[name] = parameter, default
        for name, parameter in parameters.items():
            if parameter.when and parameter.when[0] not in parameters:
                raise ValueError(f"{self.title}: {name!r} waits for {parameter.when[0]!r}, which is no parameter of this lab")
        object.__setattr__(self, "parameters", parameters)
        object.__setattr__(self, "defaults", defaults)
        for title, preset in self.presets.items():
            for name, value in preset.items():
                if name == "view":
                    self.view(value)
                elif name in parameters:
                    parameters[name].validate(name, value)
                else:
                    raise ValueError(f"preset {title!r}: {name!r} is not a parameter of this lab")
        for standing in self.papers.values():
            if standing not in STANDINGS:
                raise ValueError(f"{self.title}: {standing!r} is not one of {STANDINGS}")

    @property
    def text(self) -> str:
        """The words with each displayed equation between lines of its own: where ``$$`` begins a line, Markdown wants it alone."""
        return re.sub(r"\s*\$\$(.+?)\$\$\s*", r"\n\n$$\n\1\n$$\n\n", self.words, flags=re.DOTALL)

    def view(self, title: str) -> View:
        """The view of that title."""
        return next(v for v in self.views if v.title == title)
