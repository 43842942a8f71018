"""Which shape trains best in a week?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.wall_clock import (
    ClockCurves,
    Operations,
    ShapeMap,
    Timing,
    clock_curves,
    operations,
    shape_map,
    timing_fit,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, ORANGE, SKY, VERMILLION, shades

MODELS = {"flops": ("FLOPs", SKY), "traffic": ("traffic", VERMILLION), "roofline": ("roofline", ORANGE)}
WIDTH_TICKS = [64, 128, 256, 512, 1024, 2048, 4096, 8192]
LAYER_TICKS = [1, 2, 4, 8, 16, 32, 64, 96]
SIZES = np.array([1e7, 1e8, 1e9, 1e10, 1e11])


def draw_shapes(plane: ShapeMap) -> go.Figure:
    fig = draw.figure(
        "layers",
        "width",
        log_x=True,
        log_y=True,
        x_range=plane.layers[[0, -1]],
        y_range=plane.width[[0, -1]],
        height=540,
    )
    least = float(plane.loss.min())
    fig.add_trace(
        draw.heatmap(
            plane.layers,
            plane.width,
            plane.loss,
            "loss, nats per token",
            customdata=plane.size,
            hovertemplate="%{x} layers, width %{y:.0f}<br>loss %{z:.3f}<br>N %{customdata:.3g}<extra></extra>",
            zmin=least,
            zmax=least + 1.0,
        )
    )
    fig.add_trace(
        go.Contour(
            x=plane.layers,
            y=plane.width,
            z=np.log10(plane.size),
            contours={"coloring": "none", "start": 7, "end": 12, "size": 1},
            line={"color": "rgba(255,255,255,0.55)", "width": 1, "dash": "dot"},
            showscale=False,
            showlegend=False,
            hoverinfo="skip",
        )
    )
    for size in SIZES:
        # Named where its line meets 1.6 layers, or the top of the map.
        column = int(np.argmin(np.abs(plane.layers - 2)))
        row = int(np.argmin(np.abs(np.log(plane.size[:, column] / size))))
        if 2 < row < plane.width.size - 3:
            fig.add_trace(draw.on_map(1.45, plane.width[row], f"N = {size:.0e}".replace("e+", "e").replace("e0", "e"), size=11))
    # The chosen model first and thick; lines that coincide with it still show as dashes over it.
    for name in sorted(MODELS, key=lambda m: (m != plane.model, m == "flops")):
        label, color = MODELS[name]
        style = {"width": 6.0} if name == plane.model else {"width": 2.5, "dash": "dot" if name == "flops" else "dash"}
        fig.add_trace(draw.line(plane.layers, plane.valley[name], f"best width by {label}", color, **style))
    x, y = plane.best[plane.model]
    star = draw.points([x], [y], f"best shape by {MODELS[plane.model][0]}", "#ffffff", symbol="star", size=16)
    star.marker.line = {"color": "#24292f", "width": 1}
    star.cliponaxis = False
    fig.add_trace(star)
    fig.update_xaxes(tickvals=LAYER_TICKS, ticktext=[str(v) for v in LAYER_TICKS])
    fig.update_yaxes(tickvals=WIDTH_TICKS, ticktext=[str(v) for v in WIDTH_TICKS])
    return fig


def draw_clock(curves: ClockCurves) -> go.Figure:
    fig = draw.panels(
        [("wall-clock, hours", "loss, nats per token"), ("wall-clock, hours", "width")],
        log_x=[True, True],
        log_y=[False, True],
        titles=[f"Shapes of {curves.layers} layer{'s' if curves.layers > 1 else ''}", "Best width"],
        widths=[0.6, 0.4],
        height=520,
    )
    hues = shades(curves.width.size)
    for k, hue in enumerate(hues):
        name = f"width {curves.width[k]:.0f}"
        fig.add_trace(draw.line(curves.hours, curves.loss[k], name, hue, width=2), row=1, col=1)
    fig.add_trace(draw.line(curves.hours, curves.frontier, "best width at each time", BLUE, width=4), row=1, col=1)
    trust = "width chosen by FLOPs"
    fig.add_trace(draw.line(curves.hours, curves.trusting_flops, trust, VERMILLION, dash="dash"), row=1, col=1)
    fig.add_trace(draw.line(curves.hours, curves.best_width, "best width", BLUE, width=4, showlegend=False), row=1, col=2)
    fig.add_trace(draw.line(curves.hours, curves.flops_width, trust, VERMILLION, dash="dash", showlegend=False), row=1, col=2)
    for col in (1, 2):
        draw.mark_x(fig, curves.at_hours, f"{curves.at_hours:.3g} h", col=col)
        fig.update_xaxes(range=[0, 3], dtick=1, row=1, col=col)
    low = float(curves.frontier.min())
    mine = float(curves.loss[curves.width.size // 2, np.argmin(np.abs(np.log(curves.hours / curves.at_hours)))])
    fig.update_yaxes(range=[low - 0.08, max(float(curves.frontier[0]) + 0.35, low + 0.8, mine + 0.3)], row=1, col=1)
    fig.update_yaxes(range=np.log10([60, 13000]), tickvals=WIDTH_TICKS, ticktext=[str(v) for v in WIDTH_TICKS], row=1, col=2)
    return fig


def draw_operations(result: Operations) -> go.Figure:
    fig = draw.figure("milliseconds of a training step", "", height=520)
    names = list(result.name)
    for seconds, label, color in (
        (result.compute_seconds, "compute: FLOP / peak", SKY),
        (result.memory_seconds, "memory: bytes / bandwidth", VERMILLION),
    ):
        fig.add_trace(
            go.Bar(
                x=1e3 * seconds,
                y=names,
                orientation="h",
                name=label,
                marker={"color": color},
                hovertemplate="%{y}: %{x:.4g} ms<extra>" + label + "</extra>",
            )
        )
    fig.update_layout(barmode="group", bargap=0.25, bargroupgap=0.05)
    fig.update_yaxes(autorange="reversed", showgrid=False, ticks="", title_text=None)
    return fig


def draw_timing(result: Timing) -> go.Figure:
    positive = [fit.predicted[fit.predicted > 0] for fit in result.fits.values()]
    ends = np.array([result.seconds.min() / 2, result.seconds.max() * 2])
    fig = draw.panels(
        [("measured seconds per step", "predicted seconds per step"), ("measured seconds per step", "predicted / measured")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Fit of each proxy", "What is left"],
        height=500,
    )
    fig.add_trace(draw.guide(ends, ends, "equal", showlegend=False), row=1, col=1)
    fig.add_trace(draw.guide(ends, [1.0, 1.0], "equal", showlegend=False), row=1, col=2)
    for name, color, symbol in (("flops", BLUE, "circle"), ("traffic", VERMILLION, "diamond")):
        fit = result.fits[name]
        seen = fit.predicted > 0
        label = f"{MODELS[name][0]}, relative error {fit.spread:.0%}"
        fig.add_trace(draw.points(result.seconds[seen], fit.predicted[seen], label, color, symbol=symbol), row=1, col=1)
        ratio = fit.predicted[seen] / result.seconds[seen]
        fig.add_trace(draw.points(result.seconds[seen], ratio, label, color, symbol=symbol, showlegend=False), row=1, col=2)
    low = min(float(ends[0]), *(float(p.min()) / 1.5 for p in positive if p.size))
    fig.update_yaxes(range=np.log10([low, ends[1]]), dtick=1, row=1, col=1)
    fig.update_yaxes(range=np.log10([0.2, 5]), tickvals=[0.2, 0.5, 1, 2, 5], ticktext=["0.2", "0.5", "1", "2", "5"], row=1, col=2)
    for col in (1, 2):
        fig.update_xaxes(range=np.log10(ends), dtick=1, row=1, col=col)
    return fig


WORDS = r"""
A shape ($l$ layers, width $d$, $d/64$ heads, feed-forward ratio $r$) fixes what a training step moves and computes. For $b$ tokens in sequences of
$s$, a layer has $(4+2r)d^2$ parameters and $2b\,(4+2r)d^2+4bsd$ FLOP forward; every operation reads its inputs and writes its output
(bf16, nothing fused); with a vocabulary of 32,000. Training is three forward passes and 24 bytes a parameter of optimizer traffic.

**Time of a step**, three ways:
- *flops*: $\sum\mathrm{FLOP}/\mathrm{peak}$, the usual estimate;
- *traffic* (257): $c_0\cdot\text{launches}+c_1\cdot\text{bytes}$, with $c_0=5\,\mu$s and $c_1=1/\text{bandwidth}$ until you fit your own;
- *roofline*: $\sum_{\text{ops}}\max(\mathrm{FLOP}/\mathrm{peak},\ \text{bytes}/\text{bandwidth})$.

**Loss.** A budget $\tau$ sees $D=b\,\tau/t_{\text{step}}$ tokens; the loss is Besiroglu's $L(N,D)=1.8172+482\,N^{-0.3478}+2085\,D^{-0.3658}$, $N$ with
the unembedding, or a planted law in width and depth (408; constants of ours). So the loss is a function of hyperparameters and the clock.

**How to read it.** Follow the three lines of best width: where they part, the time model matters, and *loss given up by trusting FLOPs* says how much.
Traffic asks for wider nets: bytes grow as $d$ where FLOPs grow as $d^2$.

**Where it stops.** Only the paper's abstract was at hand: the operation table is ours. Traffic at $1/\text{bandwidth}$ is *no bound* once compute
dominates: it lets wide nets run above the peak, and the roofline then follows FLOPs; take $c_1$ from timings. No fusion (a fused attention moves none
of the $bhs$ scores), parallelism, compilation or memory limit is modeled. Chinchilla's law does not see the shape: through $N$ alone the best
net is the shallowest allowed, at every time model, so read the optimum **at your layers**; only the width–depth law has an interior one. Tokens per
step are taken at face value: a batch beyond the critical one is worth less than it counts.

**Your timings.** Least squares of relative errors on (launches, bytes) and on (launches, FLOP), with standard errors; then the best width on the
machine that each describes. The planted timings follow the time model you choose, with noise.
"""

MACHINE = ("layers", "width", "time_model", "hours", "bandwidth", "peak")

LAB = Lab(
    title="Shapes against the clock",
    question="Which shape trains best in a week?",
    views=[
        View(
            "Shape map",
            "phase diagram",
            shape_map,
            draw_shapes,
            "Every shape trains for the same time. Lines are the best width at each depth by each time model, dotted lines constant N; "
            "the star is the best shape of all. Click to move.",
            controls=(*MACHINE, "loss_law"),
            click=("layers", "width"),
        ),
        View(
            "Loss against the clock",
            "scaling curve",
            clock_curves,
            draw_clock,
            "Narrow nets lead early and saturate; the blue frontier takes the best width at each time. The dashed line lets FLOPs choose "
            "the width: its distance from the frontier is the price.",
            controls=MACHINE,
        ),
        View(
            "Where the time goes",
            "table",
            operations,
            draw_operations,
            "Two bars an operation: its time if only compute counted, and if only memory did. The longer one binds.",
            controls=("layers", "width", "sequence", "tokens_per_step", "bandwidth", "peak", "ffn_ratio"),
        ),
        View(
            "Measured against predicted",
            "scaling curve",
            timing_fit,
            draw_timing,
            "Each point is a measured step; a proxy is good where its points lie on the dotted line at every size.",
            controls=("timings", "planted_by", "n_timings", "timing_noise", "layers", "hours"),
        ),
    ],
    presets={
        "One day on one accelerator": {"hours": 24.0, "view": "Shape map"},
        "A week": {"hours": 168.0, "view": "Loss against the clock"},
        "Deep and thin": {"layers": 64, "width": 384, "view": "Loss against the clock"},
        "Wide and shallow": {"layers": 3, "width": 4096, "view": "Loss against the clock"},
        "Starved of bandwidth": {"bandwidth": 0.2, "time_model": "roofline", "view": "Shape map"},
        "An interior optimum: width-depth law": {"loss_law": "width_depth", "time_model": "roofline", "view": "Shape map"},
        "Long sequences": {"sequence": 8192, "view": "Where the time goes"},
        "Batch too small": {"tokens_per_step": 1e3, "view": "Where the time goes"},
        "Timings that follow memory traffic": {"planted_by": "traffic", "view": "Measured against predicted"},
    },
    words=WORDS,
    papers={"257": "miniature"},
)
