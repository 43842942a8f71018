"""The control of each kind of parameter."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from compute.parameters import (
    Choice,
    Dataset,
    Flag,
    Number,
    Parameter,
    ParameterError,
    SeedParameter,
    read_table,
)
from pages.kit.live import SLIDER, release
from pages.kit.redraw import redrawing
from pages.kit.state import LabState

STOPS = 160  # of a log slider; a typed value joins them


def control(state: LabState, name: str) -> None:
    """Draw the control of a parameter, and beside it what is wrong with it."""
    parameter = state.entry.lab.parameters[name]
    if isinstance(parameter, SeedParameter):
        _seed(state, name, parameter)
    elif isinstance(parameter, Number):
        _number(state, name, parameter)
    elif isinstance(parameter, Choice):
        _choice(state, name, parameter)
    elif isinstance(parameter, Flag):
        _flag(state, name, parameter)
    elif isinstance(parameter, Dataset):
        _dataset(state, name, parameter)
    if name in state.problems:
        st.warning(state.problems[name], icon=":material/error:")


def label(parameter: Parameter) -> str:
    """Words, symbol and unit, as a control shows them."""
    symbol = f" ${parameter.symbol}$" if parameter.symbol else ""
    return f"{parameter.label}{symbol}" + (f" ({parameter.unit})" if parameter.unit else "")


def tooltip(parameter: Parameter) -> str:
    """What a control's help says."""
    return f"{parameter.help} Takes {parameter.allowed}.".strip()


def show(key: str, value: Any) -> None:
    """Let a widget show a value, without touching one that shows it already."""
    if st.session_state.get(key) != value:
        st.session_state[key] = value


def _number(state: LabState, name: str, parameter: Number) -> None:
    slider, text = state.key(SLIDER + name), state.key(f"text-{name}")
    value = state.values[name]

    @redrawing(state, name)
    def from_slider() -> None:
        release(state)
        moved = st.session_state[slider]
        state.set(name, parameter.parse(name, moved) if isinstance(moved, str) else parameter.clamp(moved))

    @redrawing(state, name)
    def from_text() -> None:
        state.set_text(name, st.session_state[text])

    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if parameter.is_log:
            stops = sorted({*_stops(parameter), value})
            options = list(dict.fromkeys(parameter.format(stop) for stop in stops))
            show(slider, parameter.format(value))
            st.select_slider(label(parameter), options, key=slider, on_change=from_slider, help=tooltip(parameter))
        else:
            show(slider, value)
            step, form = (1, "%d") if parameter.is_integer else _step(parameter)
            low, high = parameter.extremes()
            st.slider(
                label(parameter), low, high, step=step, format=form, key=slider, on_change=from_slider, help=tooltip(parameter)
            )
        show(text, parameter.format(value))
        st.text_input(f"{parameter.label}, typed", key=text, on_change=from_text, label_visibility="collapsed", width=76)


def _stops(parameter: Number) -> list[Any]:
    """Values with two or three digits, evenly spread over the decades."""
    return [parameter.clamp(float(f"{v:.2g}")) for v in parameter.grid(STOPS)]


def _step(parameter: Number) -> tuple[float, str]:
    """A round step of about a two-hundredth of the range, and the digits that show it."""
    rough = (parameter.high - parameter.low) / 200
    digits = max(0, math.ceil(-math.log10(rough)))
    step = max(m * 10.0**-digits for m in (1, 2, 5) if m == 1 or m * 10.0**-digits <= 1.2 * rough)
    return step, f"%.{digits}f"


def _seed(state: LabState, name: str, parameter: SeedParameter) -> None:
    key = state.key(f"set-{name}")
    show(key, state.values[name])

    @redrawing(state, name)
    def changed() -> None:
        state.set(name, parameter.clamp(st.session_state[key] or 0))

    low, high = parameter.extremes()
    st.number_input(label(parameter), low, high, step=1, key=key, on_change=changed, help=parameter.help)


def _choice(state: LabState, name: str, parameter: Choice) -> None:
    key = state.key(f"set-{name}")
    show(key, state.values[name])

    @redrawing(state, name)
    def changed() -> None:
        state.set(name, st.session_state[key])

    def words(option: str) -> str:
        return option.replace("_", " ")

    options = list(parameter.options)
    help_text = parameter.help or None
    if len(options) <= 4 and sum(map(len, options)) <= 28:
        st.segmented_control(
            label(parameter), options, required=True, format_func=words, key=key, on_change=changed, help=help_text, width="stretch"
        )
    else:
        st.selectbox(label(parameter), options, format_func=words, key=key, on_change=changed, help=help_text)


def _flag(state: LabState, name: str, parameter: Flag) -> None:
    key = state.key(f"set-{name}")
    show(key, state.values[name])

    @redrawing(state, name)
    def changed() -> None:
        state.set(name, st.session_state[key])

    st.toggle(label(parameter), key=key, on_change=changed, help=parameter.help or None)


def _dataset(state: LabState, name: str, parameter: Dataset) -> None:
    key = state.key(f"set-{name}")

    @redrawing(state, name)
    def changed() -> None:
        upload = st.session_state[key]
        state.problems.pop(name, None)
        state.row_problems.pop(name, None)
        if upload is None:
            state.values[name] = None
            return
        try:
            state.values[name], state.row_problems[name] = read_table(name, upload.getvalue(), parameter)
        except ParameterError as error:
            state.values[name] = None
            state.problems[name] = f"The file {error.reason}"

    st.file_uploader(f"{label(parameter)} (CSV)", type="csv", key=key, on_change=changed, help=tooltip(parameter))
    table = state.values[name]
    if table is not None:
        st.caption(f"{table.height} rows are used.")
    problems = state.row_problems.get(name, [])
    if problems:
        more = f" … and {len(problems) - 5} more." if len(problems) > 5 else ""
        st.warning("  \n".join(problems[:5]) + more, icon=":material/playlist_remove:")
    st.download_button(
        "Template",
        parameter.template,
        f"{state.entry.name}_{name}.csv",
        "text/csv",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
        key=state.key(f"template-{name}"),
    )
