"""A lab's page: presets and views above, controls beside the figure, words and papers below."""

from __future__ import annotations

import logging
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from compute.parameters import ParameterError, format_number
from pages.kit import live, overlay
from pages.kit.chart import chart
from pages.kit.controls import control
from pages.kit.discovery import Entry
from pages.kit.export import export_buttons
from pages.kit.lab import View
from pages.kit.papers import paper_list
from pages.kit.redraw import FIGURE, PANEL, control_key
from pages.kit.run import DRAG_SECONDS, Job, announcing_compilation, compute, is_live
from pages.kit.state import LabState, Shown, lab_state
from pages.kit.sweep_button import sweep_button
from pages.kit.tray import tray

log = logging.getLogger("regimes")
STYLE = Path(__file__).parents[2] / "assets" / "style.css"
FIRST_CONTROLS = 6


def render(entry: Entry) -> None:
    """Draw the page of a lab."""
    st.html(STYLE)
    lab = entry.lab
    state = lab_state(entry)
    st.markdown(f"##### {entry.topic.title} · {lab.title}")
    st.title(lab.question, anchor=False)
    _panel(state)
    left, right = st.columns([2, 1], gap="large")
    with left:
        st.subheader("What is computed", anchor="words")
        st.markdown(lab.text)
    with right:
        st.subheader("Papers", anchor="papers")
        paper_list(entry)


@st.fragment(key=PANEL)
def _panel(state: LabState) -> None:
    """Everything that a control can change; what most of them do change are fragments of their own within."""
    state.drawn = None
    _presets(state)
    _views(state)
    left, right = st.columns([1, 2.7], gap="medium")
    # The figure first: the browser draws it while the controls are on their way.
    with right:
        _figure(state, st.empty())
        _below(state)
    with left:
        _controls(state)
    state.drawn = state.surroundings()


def _presets(state: LabState) -> None:
    with st.container(horizontal=True, gap="small", key=state.key("presets")):
        for title in state.entry.lab.presets:
            st.button(title, key=state.key(f"preset-{title}"), on_click=state.apply, args=(title,), type="secondary")
        sweep_button(state)
        st.button("Reset", key=state.key("reset"), on_click=state.reset, type="tertiary", icon=":material/restart_alt:")


def _views(state: LabState) -> None:
    key = state.key("view")
    if st.session_state.get(key) != state.view:
        st.session_state[key] = state.view

    def changed() -> None:
        state.view = st.session_state[key]

    titles = [view.title for view in state.entry.lab.views]
    st.segmented_control("View", titles, key=key, required=True, on_change=changed, label_visibility="collapsed", width="stretch")


def _controls(state: LabState) -> None:
    view = state.current_view()
    names = state.controls()
    first = list(view.controls) if view.controls else names[:FIRST_CONTROLS]
    if "" in state.problems:
        st.warning(state.problems[""], icon=":material/link_off:")
    for name in first:
        if name in names:
            _control(state, name)
    folded = [name for name in names if name not in first]
    if folded:
        troubled = any(name in state.problems or (state.error and state.error.name == name) for name in folded)
        with st.expander("More parameters", expanded=troubled):
            for name in folded:
                _control(state, name)
    if state.error and state.error.name not in names:
        st.error(f"{state.error.name} {state.error.reason}")


def _control(state: LabState, name: str) -> None:
    st.fragment(control, key=control_key(state, name))(state, name)
    if state.error and state.error.name == name:
        st.error(f"{state.entry.lab.parameters[name].label} {state.error.reason}", icon=":material/block:")


@st.fragment(key=FIGURE)
def _figure(state: LabState, announcement: Any) -> None:
    """The figure alone: what follows a slider, while it is dragged and when it is let go.

    Nothing is sent before all of it can be: the browser would draw the page once more meanwhile.
    """
    view = state.current_view()
    if state.shown and state.shown.view is not view:
        state.shown = None
    drag = live.dragged(state)
    values = state.view_values()
    if drag and drag.name in values:
        values[drag.name] = drag.value
    error = _compute_and_draw(state, view, values, announcement)
    if drag:
        return
    state.error = error
    if state.drawn and state.drawn != state.surroundings():
        st.rerun()
    state.write_url()


def _compute_and_draw(state: LabState, view: View, values: dict[str, Any], announcement: Any) -> ParameterError | None:
    """Draw the figure, or say why there is none; what is wrong with a parameter is also for its control to say."""
    if not is_live(view.experiment, values):
        live.watch(state, enabled=False)
        _long(state, values)
        return None

    def say() -> None:
        announcement.info("Compiling this lab’s kernels, on this machine’s first run only…", icon=":material/build:")

    try:
        with announcing_compilation(say, announcement.empty):
            result, seconds = compute(view.experiment, values)
    except ParameterError as error:
        live.watch(state, enabled=True)
        st.warning(f"{state.entry.lab.parameters[error.name].label if error.name in values else error.name} {error.reason}")
        if state.shown and state.shown.view is view:
            st.caption("The figure below is the last that could be computed.")
            _draw(state, state.shown)
        return error
    except Exception as error:
        live.watch(state, enabled=False)
        _failed(view.title, error)
        return None
    _draw(state, Shown(view, values, result))
    live.watch(state, enabled=seconds <= DRAG_SECONDS)
    if seconds > DRAG_SECONDS:
        st.caption(f"This takes {seconds:.1f} s: the figure follows when a slider is let go.")
    return None


def _failed(title: str, error: Exception) -> None:
    log.exception("%s failed", title, exc_info=error)
    st.error(f"“{title}” could not be computed: {type(error).__name__}: {error}. Other settings and views still work.")


def _draw(state: LabState, shown: Shown, *, faint: bool = False) -> None:
    view, headline = shown.view, shown.result.headline()
    fig = view.figure(shown.result)
    overlay.add_pins(fig, state.pins, view)
    if view.click:
        overlay.add_here(fig, *(shown.values[name] for name in view.click))
    fig.update_layout(uirevision=view.title)
    shown.figure = fig
    state.shown = shown
    st.html(headline_html(headline, faint=faint))
    chart(
        fig,
        key=state.key(f"chart-{state.entry.lab.views.index(view)}"),
        alt=f"{view.title}. {view.reading} " + "; ".join(f"{name}: {_text(value)}" for name, value in headline.items()),
        filename=f"regimes_{state.entry.name}",
        on_click=partial(_go, state, view) if view.click else None,
    )


def _go(state: LabState, view: View, *place: float) -> None:
    """Move the parameters of a map's axes to where it was clicked."""
    for name, value in zip(view.click or (), place, strict=True):
        state.set(name, view.experiment.parameters[name].clamp(float(f"{value:.3g}")))
    live.release(state)
    st.rerun(PANEL)


def headline_html(headline: dict[str, float | str], *, faint: bool = False) -> str:
    """The numbers above a figure, as one element: it is drawn again at every step of a drag."""
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(_text(value))}</dd></div>" for name, value in headline.items())
    return f'<dl class="regimes-headline{" faint" if faint else ""}">{cells}</dl>'


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else format_number(value).replace("-", "−")


def _long(state: LabState, values: dict[str, Any]) -> None:
    """A view that takes longer than a slider should: behind a Run button, in the background."""
    view = state.current_view()
    job: Job | None = state.jobs.get(view.title)
    if job and job.running:
        _progress(state, job)
        return
    is_current = bool(job and same(job.values, values))
    if job and job.error:
        name = getattr(job.error, "name", None)
        if isinstance(job.error, ParameterError):
            st.error(f"{state.entry.lab.parameters[name].label if name in values else name} {job.error.reason}")
        else:
            _failed(view.title, job.error)
    if not (is_current and job and not job.stopped and not job.error):
        seconds = view.experiment.seconds(values)
        about = f"about {seconds:.0f} s" if seconds < 1e6 else "a while"

        def run() -> None:
            state.jobs[view.title] = Job(view.experiment, dict(values))

        st.button(f"Run ({about})", type="primary", icon=":material/play_arrow:", key=state.key("run"), on_click=run)
    if job and job.result is not None:
        if job.stopped:
            st.caption(f"Stopped at {job.fraction:.0%}; what was done is shown.")
        elif is_current:
            st.caption(f"Took {job.seconds:.1f} s.")
        if not is_current:
            st.caption("Parameters have changed since this run.")
        _draw(state, Shown(view, job.values, job.result), faint=not is_current)
    elif not job:
        st.caption("This setting takes longer than a slider should: it waits for Run and shows what it has as it goes.")


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two sets of values, tables included, are equal."""
    return a.keys() == b.keys() and all(
        x.equals(b[k]) if hasattr(x, "equals") and hasattr(b[k], "equals") else x is b[k] or x == b[k] for k, x in a.items()
    )


@st.fragment(run_every=0.7)
def _progress(state: LabState, job: Job) -> None:
    if not job.running:
        st.rerun()
    left = f", {job.remaining:.0f} s left" if job.remaining is not None else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(min(job.fraction, 1.0), text="Stopping…" if job.stopping else f"{job.fraction:.0%} done{left}")
        st.button("Stop", key=state.key("stop"), on_click=job.stop, icon=":material/stop:")
    if job.result is not None:
        _draw(state, Shown(state.current_view(), job.values, job.result))


def _below(state: LabState) -> None:
    view = state.current_view()
    st.caption(view.reading)
    chart = state.key(f"chart-{state.entry.lab.views.index(view)}")
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=state.key("export")):
        export_buttons(state, chart)
    tray(state)
