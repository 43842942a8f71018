"""Which law of motion explains these snapshots?"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from compute.transport_bridges.population_dynamics import (
    ActionErrors,
    ActionField,
    Chaos,
    GainMap,
    InferredPaths,
    OwnPaths,
    Refinement,
    Subdivided,
    action_errors,
    action_field,
    chaos_error,
    gain_map,
    inferred_paths,
    own_paths,
    refined_theta,
    subdivision,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, MAP, ORANGE, SIGNED, VERMILLION, faded

REACH = {"Lotka-Volterra": 3.0, "OU": 4.6}


def _clock(title: str, x: float | None = None) -> dict[str, Any]:
    bar: dict[str, Any] = {"title": {"text": title, "side": "right"}, "outlinewidth": 0, "thickness": 14}
    return bar if x is None else bar | {"x": x}


def _dots(x: np.ndarray, y: np.ndarray, time: np.ndarray, **more: Any) -> go.Scatter:
    """Particles that were seen, colored by when."""
    marker = {"size": 5, "color": time, "colorscale": MAP, "line": {"width": 0.4, "color": "#ffffff"}}
    return go.Scatter(x=x, y=y, mode="markers", marker=marker, name="seen", showlegend=False, **more)


def draw_paths(result: InferredPaths) -> go.Figure:
    plane = result.paths.shape[-1] > 1
    axes = ("log prey", "log predators") if plane else ("time t", "x")
    fig = draw.panels(
        [axes, ("time t", "W₁ to the true law")],
        titles=["Paths through the snapshots (color: time)", "Between the snapshots"],
        widths=[0.58, 0.42],
        height=540,
    )
    rounds = result.paths.shape[0]

    def lines(paths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if plane:
            return draw.broken(paths[..., 0], paths[..., 1])
        return draw.broken(result.path_time.astype(np.float32), paths[..., 0])

    true_x, true_y = (
        draw.broken(result.true_paths[..., 0], result.true_paths[..., 1])
        if plane
        else draw.broken(result.error_time, result.true_paths[..., 0])
    )
    fig.add_trace(draw.line(true_x, true_y, "true paths, never seen", GRAY, width=1, opacity=0.6), row=1, col=1)
    x, y = lines(result.paths[-1])
    fig.add_trace(draw.line(x, y, "inferred paths", VERMILLION, width=1.2, opacity=0.85), row=1, col=1)
    when = result.dots[:, 0]
    fig.add_trace(_dots(*((result.dots[:, 1], result.dots[:, 2]) if plane else (when, result.dots[:, 1])), when), row=1, col=1)
    fig.add_trace(draw.guide(result.error_time, result.floor, "two true samples"), row=1, col=2)
    fig.add_trace(draw.line(result.error_time, result.error[0], "Brownian reference", BLUE, width=2), row=1, col=2)
    fig.add_trace(draw.line(result.error_time, result.error[-1], "this iteration", VERMILLION, width=2), row=1, col=2)
    reach = REACH[result.system]
    span = float(result.times[-1])
    fig.update_xaxes(range=[-reach, reach] if plane else [-0.03 * span, 1.03 * span], row=1, col=1)
    fig.update_yaxes(range=[-reach, reach], row=1, col=1)
    fig.update_xaxes(range=[-0.03 * span, 1.03 * span], row=1, col=2)
    fig.update_yaxes(range=[0, 1.15 * float(result.error.max())], row=1, col=2)
    frames = []
    for k in range(rounds):
        x, y = lines(result.paths[k])
        frames.append([{"x": x, "y": y}, {"x": result.error_time, "y": result.error[k]}])
    return draw.movie(
        fig, frames, [str(k) for k in range(rounds)], traces=[1, 5], prefix="refits of the reference: ", milliseconds=500
    )


def draw_refinement(result: Refinement) -> go.Figure:
    fig = draw.panels(
        [("iteration", "θ of the reference"), ("iteration", "exact")],
        log_y=[False, True],
        titles=["Learned from snapshots", "Error and objective, infinitely many particles"],
        height=480,
    )
    k = result.iteration
    fig.add_trace(draw.guide(k[[0, -1]], np.full(2, result.truth), "truth"), row=1, col=1)
    fig.add_trace(draw.line(k, result.theta, "exact recursion", BLUE), row=1, col=1)
    done = result.fitted.size
    fig.add_trace(
        draw.points(k[:done], result.fitted, "particles ± 2 SE", BLUE, standard_error=result.standard_error), row=1, col=1
    )
    for values, name, color in (
        (np.abs(result.theta - result.truth), "|θ − truth|", GREEN),
        (result.divergence, "KL of paths, nats", ORANGE),
    ):
        seen = values > 1e-14
        fig.add_trace(draw.line(k[seen], values[seen], name, color).update(mode="lines+markers"), row=1, col=2)
    for col in (1, 2):
        fig.update_xaxes(range=[-0.3, max(float(k[-1]), 1) + 0.3], row=1, col=col)
    fig.update_yaxes(range=[-0.05, 1.45 * result.truth], row=1, col=1)
    fig.update_yaxes(range=[-14.3, 1.5], row=1, col=2)
    return fig


def draw_action(field: ActionField) -> go.Figure:
    grows = field.growth.size > 0
    fig = draw.panels(
        [("time t", "x"), ("x", "push s_x")],
        titles=["Learned action, and where it pushes", f"t = {field.time[field.shown]:.2g}"],
        widths=[0.6, 0.4],
        gap=0.2,
        height=520,
    )
    top = 2.0
    seen = np.where(field.density > 0.01, field.potential, np.nan)
    heat = draw.heatmap(field.time, field.place, seen, "action s", scale=SIGNED, zmid=0, zmin=-top, zmax=top)
    heat.colorbar.update(x=0.49, len=0.9)
    fig.add_trace(heat, row=1, col=1)
    dots = go.Scatter(
        x=field.seen_time,
        y=field.seen,
        mode="markers",
        marker={"size": 3, "color": GRAY, "opacity": 0.5},
        name="seen",
        showlegend=False,
    )
    fig.add_trace(dots, row=1, col=1)
    length = 0.045
    for gradient, name, color in ((field.exact, "exact", GRAY), (field.gradient, "learned", VERMILLION)):
        x, y = _arrows(field, gradient, length)
        fig.add_trace(draw.line(x, y, name, color, width=3 if color == GRAY else 1.5, showlegend=False), row=1, col=1)
    j = field.shown
    inside = field.density[:, j] > 0.005
    place = field.place[inside]
    fig.add_trace(draw.line(place, field.exact[inside, j], "s_x exact", GRAY, width=5, opacity=0.5), row=1, col=2)
    fig.add_trace(draw.line(place, field.gradient[inside, j], "s_x learned", VERMILLION), row=1, col=2)
    if grows:
        fig.add_trace(
            draw.line(place, field.exact_growth[inside, j], "s (growth) exact", GRAY, width=5, dash="dot", opacity=0.5),
            row=1,
            col=2,
        )
        fig.add_trace(draw.line(place, field.growth[inside, j], "s (growth) learned", GREEN), row=1, col=2)
    fig.add_trace(draw.band(field.place, np.full(field.place.size, -6), 4 * field.density[:, j] - 6, "density", GRAY), row=1, col=2)
    draw.mark_x(fig, float(field.time[j]), "t", col=1)
    fig.update_xaxes(range=[-0.02, 1.05], row=1, col=1)
    fig.update_yaxes(range=[-3.2, 3.2], row=1, col=1)
    fig.update_xaxes(range=[-3.2, 3.2], row=1, col=2)
    fig.update_yaxes(range=[-6, 6], row=1, col=2)
    return fig


def _arrows(field: ActionField, gradient: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Short strokes along the motion, where there is mass."""
    some_rows, some_columns = np.arange(2, field.place.size, 4), np.arange(2, field.time.size - 2, 5)
    rows, columns = np.repeat(some_rows, some_columns.size), np.tile(some_columns, some_rows.size)
    kept = field.density[rows, columns] > 0.02
    rows, columns = rows[kept], columns[kept]
    t, x, v = field.time[columns], field.place[rows], np.clip(gradient[rows, columns], -12, 12)
    return draw.broken(np.stack([t, t + length], axis=1), np.stack([x, x + length * v], axis=1))


def draw_action_errors(result: ActionErrors) -> go.Figure:
    fig = draw.figure(
        "snapshots T",
        "mean square error over that of doing nothing",
        log_x=True,
        log_y=True,
        x_range=(2.7, 34),
        y_range=(1e-4, 5),
        height=500,
    )
    fig.add_trace(draw.line(result.snapshots, result.infinite, "the laws themselves", BLUE))
    name = f"{result.samples:,} samples each, median and repeats"
    fig.add_trace(draw.line(result.snapshots, result.median, name, VERMILLION, dash="dash"))
    for row in result.finite:
        fig.add_trace(draw.points(result.snapshots, row, "a repeat", VERMILLION, size=5, showlegend=False))
    draw.mark_y(fig, 1.0, "doing nothing")
    draw.mark_x(fig, min(max(result.at, 2.8), 33), "T")
    return fig


def draw_chaos(result: Chaos) -> go.Figure:
    fig = draw.figure(
        "particles N",
        "gap of one particle to the limit",
        log_x=True,
        log_y=True,
        x_range=(1.6, 2500),
        y_range=(1e-8, 2),
        height=500,
    )
    n = result.count
    for theory, drawn, error, name, color, slope in (
        (result.w2, result.w2_drawn, result.w2_error, "W₂", BLUE, -1),
        (result.kl, result.kl_drawn, result.kl_error, "KL, nats", VERMILLION, -2),
    ):
        if theory[0] < 1e-14:
            continue
        fig.add_trace(draw.guide(n, theory[-1] * (n / n[-1]) ** slope, f"slope −{-slope}"))
        fig.add_trace(draw.line(n, theory, f"{name}, exact", color))
        seen = np.isfinite(drawn)
        dots = draw.points(n[seen], drawn[seen], f"{name}, draws ± 2 SE", color, standard_error=error[seen])
        fig.add_trace(dots)
    if not fig.data:
        fig.add_trace(draw.line(n, np.full(n.size, 1e-8), "no gap", BLUE, showlegend=False))
        words = {"text": "κ = 0: particles are independent, and none differs from the limit", "font": {"size": 15, "color": GRAY}}
        fig.add_annotation(x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, **words)
    return fig


def draw_subdivision(result: Subdivided) -> go.Figure:
    fig = draw.panels(
        [("", ""), ("", "")],
        titles=["Cloud on its way back", "Distance to the shape's law"],
        widths=[0.6, 0.4],
        height=560,
    )
    last = result.position[-1]
    marker = {"size": 4 if len(last) > 600 else 5, "color": BLUE, "opacity": 0.75}
    cloud = go.Scatter(x=last[:, 0], y=last[:, 1], mode="markers", marker=marker, name="particles", showlegend=False)
    fig.add_trace(cloud, row=1, col=1)
    names = ["cloud", "as many<br>independent", "as many<br>as started"]
    values = [result.distance, result.floor, result.start_floor]
    bars = go.Bar(x=names, y=values, marker={"color": [BLUE, GRAY, faded(GRAY, 0.5)]}, showlegend=False)
    fig.add_trace(bars, row=1, col=2)
    # A movie wipes a panel in which nothing changes.
    mark = {"size": 11, "color": VERMILLION, "symbol": "diamond"}
    share = go.Scatter(x=[names[0]], y=[result.distance], mode="markers", marker=mark, name="W₁", showlegend=False)
    fig.add_trace(share, row=1, col=2)
    fig.update_xaxes(range=[-2.4, 2.4], visible=False, row=1, col=1)
    fig.update_yaxes(range=[-2.2, 2.2], visible=False, scaleanchor="x", row=1, col=1)
    fig.update_xaxes(tickangle=0, row=1, col=2)
    fig.update_yaxes(range=[0, 1.25 * max(values)], title="mean projected W₁", row=1, col=2)
    still = {"x": [names[0]], "y": [result.distance]}
    frames = [[{"x": p[:, 0], "y": p[:, 1]}, still] for p in result.position]
    labels = [f"{level:.2g}, {len(p)} particles" for level, p in zip(result.noise, result.position, strict=True)]
    return draw.movie(fig, frames, labels, traces=[0, 2], prefix="noise σ = ", milliseconds=110)


def draw_gain(plane: GainMap) -> go.Figure:
    fig = draw.figure("interaction κ", "populations to learn from P", log_y=True, x_range=(-2, 5), y_range=(1.8, 44), height=520)
    fig.add_trace(
        draw.heatmap(
            plane.kappa,
            plane.populations,
            np.clip(plane.gain, -1, 1),
            "error removed by the embedding",
            scale=SIGNED,
            zmid=0,
            zmin=-1,
            zmax=1,
            hovertemplate="κ %{x:.2f}<br>P %{y}<br>gain %{z:.2f}<extra></extra>",
        )
    )
    for side in (0, 1):
        seen = np.isfinite(plane.line[:, side])
        name = "no gain (theory)"
        trace = draw.line(plane.line[seen, side], plane.populations[seen], name, GREEN, showlegend=side == 1)
        fig.add_trace(trace)
    fig.add_trace(draw.on_map(2.8, 27, "knowing the population helps"))
    return fig


def draw_own(result: OwnPaths) -> go.Figure:
    plane = result.paths.shape[-1] > 1
    axes = ("x₁, pooled deviations", "x₂, pooled deviations") if plane else ("time", "x₁, pooled deviations")
    fig = draw.panels(
        [axes, ("time of the snapshot left out", "W₁ to it")],
        titles=["Inferred paths (color: time)", "Left out in turn"],
        widths=[0.58, 0.42],
        height=500,
    )
    if plane:
        x, y = draw.broken(result.paths[..., 0], result.paths[..., 1])
    else:
        x, y = draw.broken(result.path_time.astype(np.float32), result.paths[..., 0])
    fig.add_trace(draw.line(x, y, "inferred paths", VERMILLION, width=1.2, opacity=0.85), row=1, col=1)
    when = result.dots[:, 0]
    fig.add_trace(_dots(*((result.dots[:, 1], result.dots[:, 2]) if plane else (when, result.dots[:, 1])), when), row=1, col=1)
    for values, name, color in (
        (result.brownian, "Brownian reference", BLUE),
        (result.fitted, "fitted reference", VERMILLION),
        (result.floor, "halves of the snapshot", GRAY),
    ):
        fig.add_trace(draw.line(result.left_out, values, name, color, width=1.5).update(mode="lines+markers"), row=1, col=2)
    fig.update_yaxes(rangemode="tozero", row=1, col=2)
    return fig


WORDS = r"""
Snapshots of a population, in which nobody is seen twice, are explained by many laws of motion. Four ways to choose one.

**Refined bridges** (100). Given a reference $dX=b_w(X)dt+\sqrt g\,dW$, bridge each two neighboring snapshots; then refit $w$ by maximum
likelihood on the bridge's paths; repeat. Neither half raises $\mathrm{KL}(\text{paths}\,\|\,\text{reference})$. For OU between variances $V_0,V_1$, a time $T$
apart, with $q=g(1-e^{-2\theta T})/2\theta$, start and end have covariance $e^{\theta T}\big(\sqrt{q^2/4+e^{-2\theta T}V_0V_1}-q/2\big)$ and, by Itô's rule,
$$\theta\leftarrow\frac{gT_{\mathrm{tot}}-(V_{\mathrm{end}}-V_{\mathrm{start}})}{2\int\mathbb E X_t^2\,dt}.$$
*Learned rate*: lines are this recursion, points Sinkhorn's bridges between particles. Lotka–Volterra is
$\dot u=\theta(1-e^v),\ \dot v=\theta(e^u-1)$ in logarithms, plus noise; its transitions are linearized along the noiseless flow, so that large $g$ is
approximate. The error between snapshots is held to particles that were never shown.

**Action matching** (189) fits a potential $s$ by
$\mathbb E_0s-\mathbb E_1s+\int\mathbb E\big[\tfrac12 s_x^2+\partial_ts\big]dt$, whose optimum moves the laws by $s_x$; the gap of the objective is half the mean square
error of $s_x$. Entropic adds $\frac g2s_{xx}$; unbalanced adds $\frac12s^2$ and lets mass grow at the rate $s$. Features make it one linear system. Between
snapshots the law is their mixture. Gray: exact fields, on the line flux over density. Where modes have parted, chance in how many
particles fall in each must be carried over the gap: plain matching pays for it, unbalanced does not.

**Chaos** (193). Of $N$ particles drawn to their mean with strength $\kappa$ one has the variance
$\frac{g}{2(\theta+\kappa)}\big(1+\frac{\kappa}{\theta N}\big)$: $W_2$ to the mean-field limit falls as $1/N$, KL as $\kappa^2/4\theta^2N^2$, faster than the $N^{-1/2}$ of
sampling. *Subdivision*: few particles come back along the exact score and split on their way; late splits are cheap and clump.

**Populations** (238). Members feel their population's mean: $\dot x=-\theta x-\kappa(x-\bar x)$. A field of $x$ alone learns
$-(\theta+\kappa)x+\kappa r_tx$, $r_t=B/(B+W)$, and leaves $\int\kappa^2BW/(B+W)\,dt$, $B$ and $W$ the variances between and within populations. With an embedding, the
mean and $q-1$ moments that tell nothing, fields are really fitted to $P$ populations of $n$ noisy velocities each (spread $g/0.1$) and
judged on new ones; the line is where theory to leading order sees no gain. $P\le q+1$ populations cannot do.

**Where it stops.** $g$ is given: stationary snapshots do not tell $\theta$ and $g$ apart. Networks are replaced by features, moments and
least squares, learned scores by exact ones; graph embeddings, single cells and motion capture are not reproduced. Paper 193 is known here
from its abstract.
"""

LAB = Lab(
    title="Population dynamics",
    question="Which law of motion explains these snapshots?",
    views=[
        View(
            "Paths from snapshots",
            "trajectory",
            inferred_paths,
            draw_paths,
            "Press play: with each refit the paths bend from straight bridges to the system's own motion, and the error between snapshots "
            "sinks towards that of two true samples.",
            controls=("system", "reference", "snapshots", "particles", "diffusion", "iterations"),
        ),
        View(
            "Learned rate",
            "scaling curve",
            refined_theta,
            draw_refinement,
            "The pull of OU, learned from snapshots alone: a few alternations suffice, and the objective never rises.",
            controls=("theta", "diffusion", "snapshots", "particles", "iterations"),
        ),
        View(
            "Action field",
            "field",
            action_field,
            draw_action,
            "Color: the learned action; strokes: where it pushes (red) and the exact motion (gray). Right: the push at one time.",
            controls=("path", "variant", "snapshots", "samples", "features", "ridge", "moment"),
        ),
        View(
            "Enough snapshots",
            "scaling curve",
            action_errors,
            draw_action_errors,
            "With the laws themselves the error falls quickly in the number of snapshots until features limit it; with samples it stops "
            "falling, or rises, as chance differences of snapshots are taken for motion.",
            controls=("path", "variant", "samples", "features", "ridge"),
        ),
        View(
            "Chaos",
            "scaling curve",
            chaos_error,
            draw_chaos,
            "How far one of N interacting particles is from the mean-field limit: W₂ falls with slope −1, KL with −2.",
            controls=("kappa", "theta", "diffusion", "seed"),
        ),
        View(
            "Subdivision",
            "sampler",
            subdivision,
            draw_subdivision,
            "Press play: a few particles come back from noise and split on the way. Split too late and the cloud is no better than the few "
            "it started from.",
            controls=("shape", "points", "subdivisions", "last_split", "reverse_steps"),
        ),
        View(
            "Knowing the population",
            "phase diagram",
            gain_map,
            draw_gain,
            "Red: a field that is given moments of its population errs less on new populations; blue: they only cost. Without interaction "
            "they always cost.",
            controls=("kappa", "populations", "embedding", "between", "particles", "diffusion"),
            click=("kappa", "populations"),
        ),
        View(
            "Your snapshots",
            "trajectory",
            own_paths,
            draw_own,
            "Bridges through your own snapshots with a fitted drift, and how well each snapshot is foretold by the others.",
            controls=("table", "fitted_class", "diffusion", "iterations"),
        ),
    ],
    presets={
        "Right class": {"view": "Paths from snapshots", "reference": "right class", "snapshots": 4},
        "Wrong class": {"view": "Paths from snapshots", "reference": "wrong class", "snapshots": 4},
        "Few snapshots": {"view": "Paths from snapshots", "snapshots": 3, "particles": 120, "iterations": 8},
        "Six snapshots of OU": {"view": "Learned rate", "theta": 1.2, "diffusion": 0.4, "snapshots": 6, "iterations": 5},
        "Splitting cells": {"view": "Action field", "path": "splitting", "variant": "plain", "snapshots": 9, "samples": 300},
        "Growth, not transport": {"view": "Action field", "path": "growing", "variant": "unbalanced"},
        "Interacting populations": {"view": "Knowing the population", "kappa": 2.0},
        "Strong interaction, weak pull": {"view": "Chaos", "theta": 0.3, "kappa": 1.5, "diffusion": 1.0},
        "Split too late": {"view": "Subdivision", "last_split": 0.05, "subdivisions": 5},
    },
    words=WORDS,
    papers={"100": "own object", "189": "own object", "238": "miniature", "193": "miniature"},
)
