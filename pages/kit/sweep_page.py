"""The sweep page: any headline number of a lab over any two of its parameters."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from compute.parameters import Number, ParameterError, format_number, parse_number
from compute.sweeps import Sweep, SweepPlan, SweepResult, numeric, start, stored
from pages.kit.chart import chart
from pages.kit.controls import label, show
from pages.kit.export import CSV_MIME, PARQUET_MIME, html_of, parquet_of, picture_buttons
from pages.kit.page import STYLE, headline_html
from pages.kit.run import LIVE_SECONDS, compute
from pages.kit.state import LabState
from pages.kit.sweep_figure import sweep_curve, sweep_map, sweep_slices
from pages.kit.sweep_request import (
    KEY,
    MAX_SEEDS,
    AxisRequest,
    SweepRequest,
    axis_names,
    default_axis,
    read_levels,
    read_request,
)

NONE = "none"


def render_sweep() -> None:
    """Draw the page of the sweep that the URL, or this session, asks for."""
    st.html(STYLE)
    query = st.query_params.to_dict()
    request: SweepRequest | None = st.session_state.get(KEY)
    said: list[str] = []
    if query.get("lab") and (request is None or query != request.query()):
        request, said = read_request(query)
        if request is not None and not request.metric:  # a link may leave it to us
            request = replace(request, metric=next(iter(_metrics(request)), ""))
        st.session_state[KEY] = request
    if request is None:
        st.title("Sweep", anchor=False)
        for sentence in said:
            st.warning(sentence)
        st.markdown("Open a lab, set it as you like, and press **Sweep**: any headline number over any two parameters.")
        return
    st.markdown(f"##### Sweep · {request.entry.card.title} · {request.view.title}")
    st.title(request.entry.card.question, anchor=False)
    for sentence in said:
        st.warning(sentence, icon=":material/link_off:")
    _panel()


@st.fragment(key="sweep")
def _panel() -> None:
    left, right = st.columns([1, 2.7], gap="medium")
    with left:
        _controls(st.session_state[KEY])
    request: SweepRequest = st.session_state[KEY]
    with right:
        try:
            plan = request.plan()
        except ParameterError as error:
            st.error(f"{error.name} {error.reason}", icon=":material/block:")
            return
        _run(request, plan)
    if st.query_params.to_dict() != request.query():
        st.query_params.from_dict(request.query())


def _change(**changes: Any) -> None:
    st.session_state[KEY] = replace(st.session_state[KEY], **changes)


def _controls(request: SweepRequest) -> None:
    experiment = request.experiment
    _axis_controls(request, "x", request.x)
    _axis_controls(request, "y", request.y)
    found = _metrics(request)
    if request.metric not in found:
        found = [request.metric, *found] if request.metric else found

    def metric_changed() -> None:
        _change(metric=st.session_state["sweep-metric"])

    show("sweep-metric", request.metric)
    st.selectbox("headline number", found, key="sweep-metric", on_change=metric_changed)
    if any(name == "seed" for name in experiment.parameters):

        def seeds_changed() -> None:
            _change(n_seeds=int(st.session_state["sweep-seeds"] or 1))

        show("sweep-seeds", request.n_seeds)
        st.number_input("repeats over seeds", 1, MAX_SEEDS, step=1, key="sweep-seeds", on_change=seeds_changed)

    def levels_changed() -> None:
        try:
            _change(levels=read_levels(st.session_state["sweep-levels"]))
            st.session_state.pop("sweep-levels-problem", None)
        except ValueError as error:
            st.session_state["sweep-levels-problem"] = f"{error}; levels are numbers with commas between them."

    show("sweep-levels", ", ".join(f"{level:g}" for level in request.levels))
    st.text_input("contour levels", key="sweep-levels", on_change=levels_changed, placeholder="0.5, 1, 2")
    if "sweep-levels-problem" in st.session_state:
        st.warning(st.session_state["sweep-levels-problem"])
    fixed = [(name, value) for name, value in request.at.items() if value is not None and not hasattr(value, "height")]
    with st.expander("Where the lab stands"):
        st.markdown(
            "\n".join(
                f"- {label(experiment.parameters[name])}: {experiment.parameters[name].format(value)}" for name, value in fixed
            )
        )


def _metrics(request: SweepRequest) -> list[str]:
    """Headline numbers to choose from: those at the present point."""
    try:
        if request.experiment.seconds(request.at) <= LIVE_SECONDS:
            return numeric(compute(request.experiment, dict(request.at))[0].headline())
    except Exception:  # the present point has no result; the sweep says so cell by cell
        return []
    return []


def _axis_controls(request: SweepRequest, which: str, axis: AxisRequest | None) -> None:
    experiment = request.experiment
    names = axis_names(experiment) + ([NONE] if which == "y" else [])
    key = f"sweep-{which}"

    def parameter_changed() -> None:
        name = st.session_state[key]
        _change(**{which: None if name == NONE else default_axis(experiment, name)})

    show(key, axis.name if axis else NONE)
    st.selectbox(
        f"{which} axis",
        names,
        key=key,
        on_change=parameter_changed,
        format_func=lambda name: name if name == NONE else experiment.parameters[name].label,
    )
    if axis is None or not isinstance(experiment.parameters[axis.name], Number):
        return

    def range_changed(end: str) -> None:
        parameter = experiment.parameters[axis.name]
        try:
            value = parameter.clamp(parse_number(st.session_state[f"{key}-{end}"]))
            ends: dict[str, Any] = {end: float(value)}
            changed = replace(axis, **ends)
            changed.axis(experiment)
            _change(**{which: changed})
            st.session_state.pop(f"{key}-problem", None)
        except (ValueError, OverflowError) as error:
            st.session_state[f"{key}-problem"] = f"{error}"

    def shape_changed() -> None:
        changed = replace(axis, n=int(st.session_state[f"{key}-n"]), spacing=st.session_state[f"{key}-spacing"])
        try:
            changed.axis(experiment)
            _change(**{which: changed})
            st.session_state.pop(f"{key}-problem", None)
        except ParameterError as error:
            st.session_state[f"{key}-problem"] = f"{error.name} {error.reason}"

    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        for end in ("low", "high"):
            show(f"{key}-{end}", format_number(getattr(axis, end), 6))
            st.text_input(f"{which} {end}", key=f"{key}-{end}", on_change=range_changed, args=(end,), width=80)
        show(f"{key}-spacing", axis.spacing)
        st.segmented_control(f"{which} spacing", ["linear", "log"], key=f"{key}-spacing", required=True, on_change=shape_changed)
    show(f"{key}-n", axis.n)
    st.slider(f"{which} resolution", 2, 128, key=f"{key}-n", on_change=shape_changed)
    if f"{key}-problem" in st.session_state:
        st.warning(st.session_state[f"{key}-problem"])


def _run(request: SweepRequest, plan: SweepPlan) -> None:
    handles: dict[str, Sweep] = st.session_state.setdefault("sweep-handles", {})
    handle = handles.get(plan.key)
    if handle and handle.running:
        _progress(plan)
        return
    handle = stored(plan) or handle
    result = handle.result(request.metric) if handle else None
    complete = bool(result is not None and result.done.all())

    def begin() -> None:
        handles[plan.key] = start(plan)

    cells = plan.shape[0] * plan.shape[1]
    if not complete:
        title = "Continue" if result is not None and result.done.any() else "Run"
        st.button(
            f"{title} ({cells:,} cells × {plan.n_seeds})",
            type="primary",
            icon=":material/play_arrow:",
            key="sweep-run",
            on_click=begin,
        )
    if handle and handle.error:
        st.error(handle.error)
    if result is not None and result.done.any():
        _draw(request, result)
    else:
        st.caption("The sweep runs in processes of its own; the page stays free, and what is done is kept on disk.")


@st.fragment(run_every=0.7)
def _progress(plan: SweepPlan) -> None:
    request: SweepRequest = st.session_state[KEY]
    handle: Sweep = st.session_state["sweep-handles"][plan.key]
    if not handle.running:
        st.rerun()
    left = f", {handle.remaining:.0f} s left" if handle.remaining is not None and not handle.starting else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(
            min(handle.fraction, 1.0), text="Starting the workers…" if handle.starting else f"{handle.fraction:.0%} done{left}"
        )
        st.button("Stop", key="sweep-stop", on_click=handle.stop, icon=":material/stop:")
    result = handle.result(request.metric)
    if result.done.any():
        _draw(request, result)


def _draw(request: SweepRequest, result: SweepResult) -> None:
    st.html(headline_html(result.headline()))
    spread = False
    if request.n_seeds > 1 and request.y:
        spread = (
            st.segmented_control(
                "map", ["mean", "spread"], key="sweep-map", default="mean", required=True, label_visibility="collapsed"
            )
            == "spread"
        )
    name = f"regimes_sweep_{request.entry.name}"
    fig = sweep_map(result, request.levels, request.at, spread=spread) if request.y else sweep_curve(result, request.at)
    fig.update_layout(uirevision=result.plan.key)
    alt = f"Sweep of {result.metric} over {result.x.name}" + (f" and {result.y.name}." if result.y else ".")
    chart(fig, key="sweep-chart", alt=alt, filename=name, on_click=_go if request.y else None)
    if request.y and result.y:
        slices = sweep_slices(result, request.at)
        slices.update_layout(uirevision=result.plan.key)
        chart(
            slices,
            key="sweep-slices",
            alt=f"Slices of {result.metric} through the present point.",
            filename=f"{name}_slices",
        )
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="sweep-export"):
        picture_buttons("sweep-chart", name, key="sweep-pictures")
        for title, make, mime in (
            ("HTML", partial(html_of, fig), "text/html"),
            ("CSV", partial(_csv, result), CSV_MIME),
            ("Parquet", partial(parquet_of, result.table), PARQUET_MIME),
        ):
            st.download_button(title, make, f"{name}.{title.lower()}", mime, on_click="ignore", key=f"sweep-export-{title}")
        if st.button("Python", icon=":material/code:", key="sweep-python"):
            _show_snippet(request)
        page = st.session_state["pages"].get(request.entry.path)
        if page:
            st.page_link(page, label="Open the lab here", icon=":material/arrow_forward:", query_params=_lab_query(request))


def _csv(result: SweepResult) -> str:
    return result.table().write_csv()


def _go(x: float, y: float) -> None:
    """Move the present point to where the map was clicked."""
    request: SweepRequest = st.session_state[KEY]
    at = dict(request.at)
    for axis, value in ((request.x, x), (request.y, y)):
        parameter = request.experiment.parameters[axis.name] if axis else None
        if axis and isinstance(parameter, Number):
            at[axis.name] = parameter.clamp(float(f"{value:.3g}"))
    _change(at=at)
    st.rerun("sweep")


def _lab_query(request: SweepRequest) -> dict[str, str]:
    state = LabState(request.entry, {**request.entry.lab.defaults, **request.at}, request.view.title)
    return state.query()


@st.dialog("The same sweep, from Python", width="large")
def _show_snippet(request: SweepRequest) -> None:
    st.code(snippet(request), language="python")


def snippet(request: SweepRequest) -> str:
    """Python that computes the sweep again from ``compute`` alone."""
    experiment = request.experiment
    axes = {axis.name for axis in (request.x, request.y) if axis}
    lines = [
        f"from compute.{experiment.lab.replace('/', '.')} import {experiment.name}",
        "from compute.sweeps import Axis, sweep",
        "",
    ]
    lines += ['if __name__ == "__main__":  # the workers are processes of their own', "    result = sweep("]
    lines.append(f"        {experiment.name},")
    for which, axis in (("x", request.x), ("y", request.y)):
        if axis and isinstance(experiment.parameters[axis.name], Number):
            arguments = f"{axis.name!r}, {axis.low!r}, {axis.high!r}, {axis.n}, {axis.spacing!r}"
            lines.append(f"        {which}=Axis.over({experiment.name}, {arguments}),")
        elif axis:
            lines.append(f"        {which}=Axis.over({experiment.name}, {axis.name!r}),")
    lines.append(f"        metric={request.metric!r},")
    if request.n_seeds > 1:
        lines.append(f"        n_seeds={request.n_seeds},")
    for name, value in request.at.items():
        if name not in axes and value is not None and not hasattr(value, "height") and value != experiment.defaults[name]:
            lines.append(f"        {name}={value!r},")
    lines += ["    )", "    print(result.headline())", '    result.table().write_csv("sweep.csv")']
    return "\n".join(lines)
