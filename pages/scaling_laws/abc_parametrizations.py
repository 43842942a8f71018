"""When does an infinitely wide network learn features?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.abc_parametrizations import (
    GROWS,
    SHRINKS,
    Cloud,
    LossCurves,
    Movement,
    RegimeMap,
    WidthScaling,
    loss_curves,
    neuron_cloud,
    neuron_movement,
    regime_map,
    width_scaling,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILLION, YELLOW, faded

WIDTH_AXIS = "width n"
LADDER = (SKY, BLUE, GREEN, ORANGE, VERMILLION, PURPLE, YELLOW)


def number(value: float) -> str:
    return f"{value + 0.0:.2g}".replace("-", "−")


def draw_regimes(result: RegimeMap) -> go.Figure:
    fig = draw.figure("readout start w", "hidden rate h", x_range=(0, 1.5), y_range=(-0.5, 2.1))
    fig.add_trace(
        draw.heatmap(result.output_init, result.hidden_rate, result.shown, "measured: features move by n to the −r", zmin=0, zmax=2)
    )
    for state, color in ((GROWS, faded(VERMILLION, 0.8)), (SHRINKS, faded(GRAY, 0.65))):
        flat = [[0, color], [1, color]]
        z = result.where(state)
        fig.add_trace(
            go.Heatmap(x=result.output_init, y=result.hidden_rate, z=z, colorscale=flat, showscale=False, hoverinfo="skip")
        )
    o = result.at.output_rate
    if result.edge.size:
        w, h = result.edge.T
        fig.add_trace(draw.boundary([0.5, 0.5], [2.1, 1], "", dash="dash"))
        fig.add_trace(draw.boundary(w[w <= 1], h[w <= 1], "", dash="dash"))
        fig.add_trace(
            draw.boundary(w[w >= 1], h[w >= 1], "", dash="solid" if o == 1 else "dash").update(line_width=4 if o == 1 else 2.5)
        )
        fig.add_trace(draw.on_map(1.02, 1.3, "kernel, r > 0" if o == 1 else "trivial: the output does not move"))
        if o == 1:
            fig.add_trace(draw.on_map(1.25, 0.1, "features learned, r = 0"))
        fig.add_trace(draw.on_map(0.3, 0.25, "unstable"))
    else:
        fig.add_trace(draw.on_map(0.75, 1.6, "unstable everywhere: the readout learns too fast"))
    for name, w_at, h_at in result.names:
        label, place = {"muP": ("muP, mean field", "bottom center"), "SP": ("SP", "middle left")}.get(name, (name, "middle right"))
        fig.add_trace(
            go.Scatter(
                x=[w_at],
                y=[h_at],
                text=[label],
                mode="markers+text",
                textposition=place,
                textfont={"color": "#ffffff", "shadow": "auto", "size": 13},
                marker={"color": "#ffffff", "size": 9, "symbol": "diamond", "line": {"color": "#000000", "width": 1}},
                showlegend=False,
            )
        )
    return fig


def draw_scaling(result: WidthScaling) -> go.Figure:
    fig = draw.figure(WIDTH_AXIS, "root mean square", log_x=True, log_y=True, x_range=(26, 2500))
    names = ("features of the last hidden layer move", "output changes", "output at the start")
    low, high = 1.0, 1.0
    for k, (name, color) in enumerate(zip(names, (VERMILLION, BLUE, GRAY), strict=True)):
        width, mean, error = result.summary(k)
        x, y = result.line(k)
        if y.size:
            fig.add_trace(draw.line(x, y, f"theory, slope {number(result.theory[k])}", color, showlegend=False))
        slope = f", theory slope {number(result.theory[k])}" if y.size else ""
        fig.add_trace(draw.points(width, mean, name + slope, color, standard_error=error))
        if mean.size:
            low, high = min(low, mean.min()), max(high, mean.max())
    fig.update_yaxes(range=[min(-3.0, np.log10(low) - 0.3), max(0.7, np.log10(high) + 0.3)])
    return fig


def draw_losses(result: LossCurves) -> go.Figure:
    fig = draw.panels(
        [("step", "squared error over the target's power"), (WIDTH_AXIS, "root mean square gap to the limit")],
        log_x=[False, True],
        log_y=[True, True],
        titles=["Loss", "Distance to the infinite width"],
        widths=[0.6, 0.4],
    )
    for n, mean, color in zip(result.width, result.mean, LADDER, strict=False):
        fig.add_trace(draw.line(np.arange(mean.size), mean, f"n = {n:,}", color, width=1.8), row=1, col=1)
    if result.limit is not None:
        steps = np.arange(result.limit.size)
        fig.add_trace(draw.line(steps, result.limit, "n = ∞, exact", "#8A8A8A", dash="dash", width=4), row=1, col=1)
    fig.update_yaxes(range=[-4, 1], row=1, col=1)
    fig.update_xaxes(range=[0, result.n_steps], row=1, col=1)
    if result.gap.size:
        x = np.array([32.0, result.gap_width[-1]])
        scale = result.gap[0] * np.sqrt(result.gap_width[0])
        fig.add_trace(draw.guide(x, scale / np.sqrt(x), "slope −1/2"), row=1, col=2)
        fig.add_trace(
            draw.points(result.gap_width, result.gap, "gap ± 2 SE", BLUE, standard_error=result.gap_error, showlegend=False),
            row=1,
            col=2,
        )
    else:
        fig.add_trace(draw.on_map(256, 0.1, "no limit to approach", color=GRAY), row=1, col=2)
    fig.update_xaxes(range=[np.log10(26), np.log10(2500)], row=1, col=2)
    fig.update_yaxes(range=[-3.5, 1], row=1, col=2)
    return fig


def draw_movement(result: Movement) -> go.Figure:
    fig = draw.figure(
        "movement of a neuron |u(T) − u(0)| / |u(0)|", "share of neurons below", log_x=True, x_range=(1e-6, 10), y_range=(0, 1.02)
    )
    for n, movement, share, color in result.curves():
        fig.add_trace(draw.line(movement, share, f"n = {n:,}", LADDER[color], width=2.2))
    if result.limit is not None:
        fig.add_trace(draw.line(result.limit, result.share, "n = ∞", "#8A8A8A", dash="dash", width=4))
    return fig


def draw_cloud(result: Cloud) -> go.Figure:
    axes = ("input weights along the target", "readout, over its first spread")
    last = result.along.shape[1] - 1
    gone = "" if last == result.n_steps else f", gone after step {last}"
    titles = ["Neural tangent: w = 1/2, h = 1, o = 1", f"Yours: {result.exponents.regime}{gone}"]
    fig = draw.panels([axes, axes], titles=titles)
    for k, color in ((0, BLUE), (1, VERMILLION)):
        start = draw.points(result.along[k, 0], result.readout[k, 0], "at the start", GRAY, size=4, opacity=0.35, showlegend=k == 0)
        fig.add_trace(start, row=1, col=k + 1)
        now = draw.points(result.along[k, last], result.readout[k, last], "now", color, size=5, opacity=0.8, showlegend=False)
        fig.add_trace(now, row=1, col=k + 1)
        fig.update_xaxes(range=[-6, 6], row=1, col=k + 1)
        fig.update_yaxes(range=[-6, 6], row=1, col=k + 1)
    frames = [
        [{"x": result.along[k, t].astype(np.float32), "y": result.readout[k, t].astype(np.float32)} for k in (0, 1)]
        for t in range(last + 1)
    ]
    labels = [f"{t}, loss {result.loss[0, t]:.2g} and {result.loss[1, t]:.2g}" for t in range(last + 1)]
    return draw.movie(fig, frames, labels, traces=[1, 3], prefix="step ", milliseconds=150)


LAB = Lab(
    title="Infinite-width parametrizations",
    question="When does an infinitely wide network learn features?",
    views=[
        View(
            "Regimes",
            "phase diagram",
            regime_map,
            draw_regimes,
            "Color is measured on linear networks of two widths: red where something grew with width, gray where the output stopped moving, "
            "else how fast the features stop moving. Lines are theory: only on the solid one do features move at infinite width.",
            controls=("output_init", "hidden_rate", "output_rate", "map_width", "learning_rate"),
            click=("output_init", "hidden_rate"),
        ),
        View(
            "A cloud of neurons",
            "geometry",
            neuron_cloud,
            draw_cloud,
            "Each dot is a neuron, gray where it started. The output is the correlation of the cloud: a kernel needs a tilt too small to "
            "see, feature learning moves every neuron.",
            controls=("output_init", "hidden_rate", "output_rate", "largest_width", "steps", "learning_rate"),
        ),
        View(
            "Loss at every width",
            "trajectory",
            loss_curves,
            draw_losses,
            "Linear networks by the exact recursion, mean over seeds, against the exact infinite-width curve; on the right their distance "
            "beside slope −1/2.",
            controls=("output_init", "hidden_rate", "output_rate", "largest_width", "learning_rate", "steps", "n_seeds"),
        ),
        View(
            "Each neuron's movement",
            "distribution",
            neuron_movement,
            draw_movement,
            "Distribution over neurons of how far their input weights moved. When features are learned all widths share one curve; else "
            "it slides to the left as n to the −r.",
            controls=("output_init", "hidden_rate", "output_rate", "largest_width", "steps"),
        ),
        View(
            "Trained tanh networks",
            "scaling curve",
            width_scaling,
            draw_scaling,
            "Networks with tanh layers trained now. Lines have the slopes of theory, only their height is fitted.",
            controls=("output_init", "hidden_rate", "output_rate", "depth", "largest_width", "n_networks", "steps"),
        ),
    ],
    presets={
        "Maximal update, muP": {"view": "A cloud of neurons", "output_init": 1.0, "hidden_rate": 0.0, "output_rate": 1.0},
        "Neural tangent": {"view": "Each neuron's movement", "output_init": 0.5, "hidden_rate": 1.0, "output_rate": 1.0},
        "Standard, rate 1/n": {"view": "Loss at every width", "output_init": 0.5, "hidden_rate": 2.0, "output_rate": 1.0},
        "Standard, fixed rate": {"view": "Regimes", "output_init": 0.5, "hidden_rate": 1.0, "output_rate": 0.0},
        "Between kernel and features": {
            "view": "Each neuron's movement",
            "output_init": 0.75,
            "hidden_rate": 0.5,
            "output_rate": 1.0,
        },
        "Trivial": {"view": "Loss at every width", "output_init": 1.2, "hidden_rate": 0.6, "output_rate": 1.5},
        "Two hidden layers": {
            "view": "Trained tanh networks",
            "depth": 2,
            "output_init": 1.0,
            "hidden_rate": 0.0,
            "output_rate": 1.0,
        },
    },
    words=r"""
**The question.** An abc-parametrization writes layer $l$ as $W^l=n^{-a_l}w^l$, $w^l\sim\mathcal N(0,n^{-2b_l})$, trained at rate
$\eta n^{-c}$ (paper 318, definition 3.1). The trained function depends only on
$$w=a_{L+1}+b_{L+1},\qquad o=c+2a_{L+1},\qquad h=c+\min_{l\le L}\,[2a_l+1(l=1)],$$
because $(a,b,c)\to(a+\theta,b-\theta,c-2\theta)$ changes nothing. Features move by $n^{-r}$,
$$r=\min(w,o)+h-1,$$
training is **stable** iff $w\ge\tfrac12,\ o\ge1,\ r\ge0,\ w+r\ge1$, **nontrivial** iff $o=1$ or $w+r=1$, and then **learns features** iff
$r=0$ and follows a **kernel** iff $r>0$ (theorems 3.3 to 3.8). Neural tangent is $(w,h,o)=(\tfrac12,1,1)$, $r=\tfrac12$; muP and mean field
are $(1,0,1)$, $r=0$; standard with rate $1/n$ is $(\tfrac12,2,1)$ with one hidden layer and has $r=\tfrac12$ with more.

**The linear network** (theory, derived here). With input weights $u_k$ and readouts $z_k/n$ a step of gradient descent is one linear map
for all neurons, $u\leftarrow u-\eta n^{-h}z\,g$, $z\leftarrow z-\eta n^{1-o}u\cdot g$, and their Gram matrix carries everything the
loss needs: $d^2$ operations a step at any width. Its limit is the same recursion from the identity where features are learned, and
$f\leftarrow f-\eta\,[1(o{=}1)+1(w{+}r{=}1)]\,g$ where a kernel rules. At $w=\tfrac12$ the limit starts from a random output: the dashed loss is
its mean, the gap is to each network's own limit. Eight inputs, eigenvalues $\propto 1/j$.

**Simulation.** The map trains linear networks at widths $n$ and $4n$ from the same random numbers and compares sizes; the tanh networks are trained on 32
samples of $x_1+x_2x_3$. All their hidden layers learn at $h$.

**Where it stops.** The exact limit shown is the linear network's of one hidden layer; with tanh only finite widths are shown. Exponents
from five widths err by 0.05 to 0.1. The theorems speak of a fixed number of steps as $n\to\infty$: near a boundary a finite
network looks like its neighbor, and with $w>o$ the readout first has to grow, so two steps at least. A network one calls unstable may
survive some steps at small $n$.
""",
    papers={"318": "own object"},
)
