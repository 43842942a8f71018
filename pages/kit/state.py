"""What a session knows of a lab: its parameters, its view, its pins; and the URL that carries them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from compute.parameters import Dataset, Number, ParameterError, parse_number
from pages.kit import pins
from pages.kit.discovery import Entry
from pages.kit.lab import View
from pages.kit.pins import MAX_PINS, Pin, shortened


@dataclass
class Shown:
    """What the figure on the page shows: what export takes."""

    view: View
    values: dict[str, Any]
    result: Any
    figure: Any = None


@dataclass
class LabState:
    """One session's state of one lab.

    ``values`` are the truth; widgets show them and write to them. ``problems`` are sentences to say beside a
    control, by parameter; under ``""`` those that belong to none. ``drawn`` is what ``surroundings`` said when the
    panel was last drawn whole, ``None`` while it is being drawn.
    """

    entry: Entry
    values: dict[str, Any]
    view: str
    problems: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    shown: Shown | None = None
    pins: list[Pin] = field(default_factory=list)
    jobs: dict[str, Any] = field(default_factory=dict)
    row_problems: dict[str, list[str]] = field(default_factory=dict)
    released: int = 0  # the last drag that was let go
    error: ParameterError | None = None  # of the view, at the present values
    drawn: tuple[Any, ...] | None = None

    def key(self, name: str) -> str:
        """A widget's key, its own to this lab."""
        return f"{self.entry.name}-{name}"

    def current_view(self) -> View:
        return self.entry.lab.view(self.view)

    def view_values(self) -> dict[str, Any]:
        """The values of the parameters of the view being looked at."""
        return {name: self.values[name] for name in self.current_view().experiment.parameters}

    def controls(self) -> list[str]:
        """The view's parameters that matter at the present values, and those that something is wrong with."""
        parameters = self.current_view().experiment.parameters
        return [name for name, parameter in parameters.items() if parameter.matters(self.values) or name in self.problems]

    def surroundings(self) -> tuple[Any, ...]:
        """What the panel shows beside the figure and the values of its controls."""
        wrong = (self.error.name, self.error.reason) if self.error else None
        return self.view, self.controls(), dict(self.problems), wrong, self.shown is None

    def query(self) -> dict[str, str]:
        """What the URL says: the view, every parameter that is not at its default, and the pins."""
        lab = self.entry.lab
        query = {} if self.view == lab.views[0].title else {"view": slug(self.view)}
        query |= {name: lab.parameters[name].format(self.values[name]) for name in pins.changed(lab, self.values)}
        return query | ({"pins": pins.written(lab, self.pins)} if self.pins else {})

    def write_url(self) -> None:
        """Let the URL say what the page shows."""
        self.written = self.query()
        if st.query_params.to_dict() != self.written:
            st.query_params.from_dict(self.written)

    def read_url(self, query: dict[str, str]) -> None:
        """Take every parameter from a permalink; what is not allowed is said and replaced by the nearest that is."""
        lab = self.entry.lab
        self.values = {name: value for name, value in lab.defaults.items()}
        self.view, self.problems, self.pins = lab.views[0].title, {}, []
        for name, text in query.items():
            if name == "pins":
                self.pins, problems = pins.read(lab, text)
                for sentence in problems:
                    self._say("", sentence)
            elif name == "view":
                by_slug = {slug(view.title): view.title for view in lab.views}
                if text in by_slug:
                    self.view = by_slug[text]
                else:
                    self._say("", f"The link names a view that is not here; the views are {', '.join(by_slug)}.")
            elif name not in lab.parameters or isinstance(lab.parameters[name], Dataset):
                self._say("", f"The link sets “{shortened(name, 60)}”, which is not a parameter of this lab.")
            else:
                self.set_text(name, text)

    def set_text(self, name: str, text: str) -> None:
        """Set a parameter from what was typed or linked; clamp what is out of bounds, and say so."""
        parameter = self.entry.lab.parameters[name]
        self.problems.pop(name, None)
        try:
            self.values[name] = parameter.parse(name, text)
        except ParameterError as error:
            used = _clamped(parameter, text, self.values[name])
            self.values[name] = used
            self.problems[name] = f"{error.name} {shortened(error.reason, 200)} Using {parameter.format(used)}."

    def set(self, name: str, value: Any) -> None:
        """Set a parameter to an allowed value."""
        self.values[name] = value
        self.problems.pop(name, None)

    def apply(self, preset: str) -> None:
        """Go to a preset: the parameters that it does not name return to their defaults."""
        lab = self.entry.lab
        settings = dict(lab.presets[preset])
        self.view = settings.pop("view", self.view)
        kept = {name: self.values[name] for name, parameter in lab.parameters.items() if isinstance(parameter, Dataset)}
        others = {**lab.defaults, **kept}
        self.values = {
            name: parameter.validate(name, settings.get(name, others[name])) for name, parameter in lab.parameters.items()
        }
        self.problems = {}

    def reset(self) -> None:
        """Every parameter at its default; the view and the pins stay."""
        self.values, self.problems = dict(self.entry.lab.defaults), {}

    def pin(self) -> None:
        """Keep what is shown."""
        if self.shown and len(self.pins) < MAX_PINS:
            values = self.values | self.shown.values
            name = pins.unique(pins.describe(self.entry.lab, values), self.pins)
            self.pins.append(Pin(name, values, {self.shown.view.title: self.shown.result}))

    def unpin(self, pin: Pin) -> None:
        """Forget a pin."""
        self.pins = [other for other in self.pins if other is not pin]

    def rename(self, pin: Pin, name: str) -> None:
        """Give a pin another name."""
        pin.name = pins.unique(name, [other for other in self.pins if other is not pin])

    def go_to(self, pin: Pin) -> None:
        """Set every parameter as it was when the pin was made."""
        self.values, self.problems = dict(pin.values), {}

    def _say(self, name: str, sentence: str) -> None:
        self.problems[name] = f"{self.problems[name]} {sentence}" if name in self.problems else sentence


def _clamped(parameter: Any, text: str, present: Any) -> Any:
    if not isinstance(parameter, Number):
        return present
    try:
        return parameter.clamp(parse_number(text))
    except (ValueError, OverflowError):
        return present


def slug(title: str) -> str:
    """A title as it stands in a URL."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def lab_state(entry: Entry) -> LabState:
    """This session's state of a lab, brought up to date with the URL.

    A URL that differs from what was last written (a link opened, the browser's back button) wins; a page
    reached through the navigation, without parameters, finds the lab as it was left.
    """
    key = f"lab:{entry.name}"
    query = {name: text for name, text in st.query_params.to_dict().items() if name != "embed"}
    state: LabState | None = st.session_state.get(key)
    arrived = st.session_state.get("page") != entry.name
    st.session_state["page"] = entry.name
    if state is None:
        state = LabState(entry, dict(entry.lab.defaults), entry.lab.views[0].title)
        st.session_state[key] = state
        state.read_url(query)
    elif query != state.written and (query or not arrived):
        state.read_url(query)
    return state
