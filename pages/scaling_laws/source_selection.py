"""Which data source to buy after seeing a sample?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.source_selection import (
    MixCurve,
    Prices,
    Purchase,
    SizeCurve,
    Triangle,
    mix_curve,
    prices,
    purchase,
    size_curve,
    triangle,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, MAP, ORANGE, PURPLE, SIGNED, SKY, VERMILLION, faded

HUES = (BLUE, GREEN, ORANGE, PURPLE)  # of the sources but the last


def hue(source: int, sources: int) -> str:
    return VERMILLION if source == sources - 1 else HUES[source]


def _supply(result: Purchase, step: int, source: int) -> tuple[np.ndarray, np.ndarray]:
    """Lines from one source's points to the validation points that they supply most of."""
    supplier = result.supplier[step]
    served = np.flatnonzero(result.source[supplier] == source)
    ends = np.stack([result.points[supplier[served]], result.targets[served]]).astype(np.float32)
    return draw.broken(*ends.T)


def draw_purchase(result: Purchase) -> go.Figure:
    sources, last = result.mixes.shape[1], result.distance.size - 1
    fig = draw.panels(
        [("x₁", "x₂"), ("gradient step", "share of the purchase")],
        titles=["Who supplies each validation point (○)", "The mix along the gradient"],
        widths=[0.55, 0.45],
        height=540,
    )
    steps = np.arange(last + 1.0)
    for k in range(sources):
        x, y = _supply(result, last, k)
        lines = {"mode": "lines", "line": {"color": faded(hue(k, sources), 0.45), "width": 1.2}, "hoverinfo": "skip"}
        fig.add_trace(go.Scatter(x=x, y=y, showlegend=False, **lines), row=1, col=1)
    moving = list(range(sources))
    fig.add_trace(
        go.Scatter(
            x=result.targets[:, 0],
            y=result.targets[:, 1],
            mode="markers",
            marker={"color": "rgba(0,0,0,0)", "size": 6, "line": {"color": GRAY, "width": 1}},
            name="validation",
            showlegend=False,
        ),
        row=1,
        col=1,
    )
    for k in range(sources):
        mine = result.source == k
        name = f"source {k + 1}" + (", clean" if k == 0 else ", noisiest labels" if k == sources - 1 else "")
        fig.add_trace(
            draw.points(result.points[mine, 0], result.points[mine, 1], name, hue(k, sources), size=5, legendgroup=str(k)),
            row=1,
            col=1,
        )
        fig.add_trace(
            draw.line(steps, result.mixes[:, k], name, hue(k, sources), showlegend=False, legendgroup=str(k)), row=1, col=2
        )
    dots = [hue(k, sources) for k in range(sources)]
    fig.add_trace(
        go.Scatter(
            x=np.full(sources, float(last)),
            y=result.mixes[last],
            mode="markers",
            marker={"color": dots, "size": 11},
            showlegend=False,
        ),
        row=1,
        col=2,
    )
    moving.append(len(fig.data) - 1)
    fig.update_xaxes(range=[-result.reach, result.reach], row=1, col=1)
    fig.update_yaxes(range=[-result.reach, result.reach], row=1, col=1)
    fig.update_xaxes(range=[-0.5, last + 0.7], row=1, col=2)
    fig.update_yaxes(range=[-0.03, 1.03], row=1, col=2)
    frames = []
    for step in range(last + 1):
        frame = [dict(zip("xy", _supply(result, step, k), strict=True)) for k in range(sources)]
        frame.append({"x": np.full(sources, float(step)), "y": result.mixes[step]})
        frames.append(frame)
    labels = [f"{k}: distance {d:.3f}" for k, d in enumerate(result.distance)]
    return draw.movie(fig, frames, labels, traces=moving, prefix="step ", milliseconds=220)


def draw_mix_curve(result: MixCurve) -> go.Figure:
    fig = draw.panels(
        [("transport distance to validation", "accuracy"), ("share of the last source", "accuracy")],
        titles=["Stage 1, on pilots", "Both stages, along the mix"],
        widths=[0.45, 0.55],
        height=500,
    )
    names = [f"{n:,.0f} samples" for n in result.sizes]
    for k, color in enumerate((SKY, BLUE)):
        fig.add_trace(draw.line(result.fit_distance, result.fit_accuracy[k], names[k], color, legendgroup=names[k]), row=1, col=1)
        pilots = draw.points(result.pilot_distance, result.pilot_accuracy[k], "pilots", color, showlegend=False, symbol="diamond")
        fig.add_trace(pilots, row=1, col=1)
        line = draw.line(result.share, result.projected[k], names[k], color, showlegend=False, legendgroup=names[k])
        fig.add_trace(line, row=1, col=2)
    done = result.measured.size
    fig.add_trace(draw.line(result.share, result.projected[2], f"projected at {names[2]}", VERMILLION), row=1, col=2)
    fig.add_trace(
        draw.points(
            result.share[:done], result.measured, "measured ± 2 SE", VERMILLION, standard_error=result.measured_error, size=8
        ),
        row=1,
        col=2,
    )
    for col in (1, 2):
        fig.update_yaxes(range=[0.45, 1.02], row=1, col=col)
    fig.update_xaxes(range=[-0.03, 1.03], row=1, col=2)
    return fig


MIX_HUES = {"chosen mix": BLUE, "first source only": GREEN, "last source only": VERMILLION}


def draw_size_curve(result: SizeCurve) -> go.Figure:
    fig = draw.figure("samples bought N", "accuracy", log_x=True, x_range=(25, 1.3e5), y_range=(0.45, 1.02), height=500)
    fig.add_vrect(x0=result.revealed[0], x1=result.revealed[1], fillcolor=GRAY, opacity=0.14, line_width=0)
    fig.add_annotation(
        x=np.log10(result.revealed[0] * result.revealed[1]) / 2, y=0.465, text="revealed", showarrow=False, font={"color": GRAY}
    )
    for name, color in MIX_HUES.items():
        fig.add_trace(draw.line(result.n_samples, result.projected[name], f"{name}, projected", color, legendgroup=name))
        done = result.measured[name].size
        fig.add_trace(
            draw.points(
                result.drawn[:done],
                result.measured[name],
                "measured ± 2 SE",
                color,
                standard_error=result.measured_error[name],
                legendgroup=name,
                showlegend=name == "chosen mix",
            )
        )
    draw.mark_y(fig, result.best, "best any learner could do")
    return fig


def draw_prices(result: Prices) -> go.Figure:
    sources = result.mix.size
    fig = draw.panels(
        [("x₁", "x₂"), ("source", "change of the distance per unit of share")],
        titles=["Price of every revealed point", "Price of every source"],
        widths=[0.58, 0.42],
        height=520,
        gap=0.19,
    )
    top = float(np.abs(result.price).max())
    for label, symbol in ((0, "circle"), (1, "triangle-up")):
        mine = result.label == label
        marker = {"color": result.price[mine], "colorscale": SIGNED, "cmin": -top, "cmax": top, "size": 9, "symbol": symbol}
        marker |= {"line": {"color": GRAY, "width": 0.6}, "showscale": label == 0}
        marker["colorbar"] = {"x": 0.49, "xanchor": "left", "thickness": 12, "outlinewidth": 0}
        fig.add_trace(
            go.Scatter(
                x=result.points[mine, 0],
                y=result.points[mine, 1],
                mode="markers",
                marker=marker,
                name=f"label {label}",
                hovertemplate="price %{marker.color:.2f}<extra></extra>",
            ),
            row=1,
            col=1,
        )
    number = np.arange(1.0, sources + 1)
    fig.add_trace(
        go.Bar(
            x=number,
            y=result.gradient,
            marker={"color": [hue(k, sources) for k in range(sources)], "opacity": 0.55},
            name="mean price: the gradient",
            showlegend=False,
            width=0.6,
        ),
        row=1,
        col=2,
    )
    fig.add_trace(draw.points(number, result.check, "finite difference", GRAY, symbol="x", size=9), row=1, col=2)
    fig.update_xaxes(range=[-result.reach, result.reach], row=1, col=1)
    fig.update_yaxes(range=[-result.reach, result.reach], row=1, col=1)
    fig.update_xaxes(tickvals=number.tolist(), range=[0.4, sources + 0.6], row=1, col=2)
    return fig


def draw_triangle(result: Triangle) -> go.Figure:
    fig = draw.panels(
        [("", ""), ("", "")], titles=["Projected from what was revealed", "Measured after buying"], height=470, gap=0.04
    )
    done = result.measured.size
    maps = [(result.projected, result.place), (result.measured, result.place[:done])]
    for col, (values, place) in enumerate(maps, start=1):
        low, high = float(values.min()), float(values.max())
        marker = {"color": values, "colorscale": MAP, "cmin": low, "cmax": max(high, low + 1e-3), "size": 30, "symbol": "hexagon"}
        marker |= {"showscale": True}
        marker["colorbar"] = {"x": 0.44 if col == 1 else 0.97, "thickness": 11, "outlinewidth": 0, "len": 0.7}
        mixes = [" / ".join(f"{p:.0%}" for p in mix) for mix in result.mix[: place.shape[0]]]
        fig.add_trace(
            go.Scatter(
                x=place[:, 0],
                y=place[:, 1],
                mode="markers",
                marker=marker,
                text=mixes,
                hovertemplate="%{text}<br>accuracy %{marker.color:.3f}<extra></extra>",
                showlegend=False,
            ),
            row=1,
            col=col,
        )
        path = {"mode": "lines+markers", "line": {"color": VERMILLION, "width": 2.5}, "marker": {"size": 5, "color": VERMILLION}}
        fig.add_trace(
            go.Scatter(x=result.path[:, 0], y=result.path[:, 1], name="gradient path", showlegend=col == 1, **path), row=1, col=col
        )
        end = {"color": VERMILLION, "size": 16, "symbol": "star", "line": {"color": "#ffffff", "width": 1}}
        fig.add_trace(
            go.Scatter(
                x=result.path[-1:, 0], y=result.path[-1:, 1], mode="markers", marker=end, name="chosen mix", showlegend=col == 1
            ),
            row=1,
            col=col,
        )
        for x, y, text in ((0.0, -0.14, "source 1, clean"), (1.0, -0.14, "2"), (0.5, 0.98, "source 3, noisiest")):
            fig.add_annotation(x=x, y=y, text=text, showarrow=False, row=1, col=col)
    fig.update_xaxes(range=[-0.25, 1.25], visible=False)
    fig.update_yaxes(range=[-0.2, 1.05], visible=False)
    return fig


WORDS = r"""
A buyer may look at a few hundred labeled points of each of $K$ sources and must then buy $N$. The buyer is judged on
$x\sim N(0,1.2^2I)$, labels drawn with $P(1\mid x)=1/(1+e^{-8(x_2-1.2\sin 4x_1)})$. Source $k$ sells points around a center at
distance $s$ (the covariate shift) and flips labels with probability $q(k-1)/(K-1)$: the first is clean, the last the worst.

**Stage 1** (423). Weight the revealed points by the mix $p$ and transport them to the 100 validation points at the cost
$|x-x'|^2+c\,1[y\ne y']$. Accuracy at two pilot sizes is fitted as a line in this distance,
$\mathrm{acc}(p,N_i)=b_{0i}+b_{1i}\,\mathrm{OT}(p)$, on $m$ pilot mixes.

**Stage 2.** Without a further parameter,
$$\mathrm{acc}(p,N)=\frac{\log(N_1/N)\,\mathrm{acc}(p,N_0)+\log(N/N_0)\,\mathrm{acc}(p,N_1)}{\log(N_1/N_0)}.$$

**Choice.** $\mathrm{OT}_\varepsilon$ is convex in $p$; by its dual form its derivative in $p_k$ is the mean dual potential on source
$k$, up to a constant. Projected gradient steps start at a chosen share of the last source; they go *up* in distance where stage 1 was fitted with a positive
slope, as the formula says, and then choose badly.

**Theory and simulation.** Lines are the projection, from revealed points alone. Dots are trainings on fresh
purchases, each judged by its expected accuracy on 600 fixed points; two standard errors over trainings. $\mathrm{OT}_\varepsilon$ includes the
entropy, so it is not zero between equal sets; at $\varepsilon\to0$ it is the linear program's value.

**Where it stops being true.** The line in $\log N$ has no ceiling: it passes the best accuracy any learner could have soon after the
revealed sizes (the figure clips it at 1), so that it ranks mixes better than it forecasts accuracies. Distance and accuracy
are only correlated: pilots near equal shares cannot tell the slope from noise; a source of coin-flip labels still covers its region and
is bought unless wrong labels cost much. Distances of samples are biased by $O(n^{-1/2})$, which enters stage 1. The paper's vision and
language data are replaced by the plane, its networks by nearest neighbors or logistic regression.
"""

MAIN = ("sources", "label_noise", "covariate_shift", "label_cost")

LAB = Lab(
    title="Which source to buy",
    question="Which data source should you buy after seeing only a sample?",
    views=[
        View(
            "Follow the gradient",
            "trajectory",
            purchase,
            draw_purchase,
            "Press play. Lines join each validation point to the revealed point that supplies most of it; the mix moves to where transport is cheapest.",
            controls=(*MAIN, "share", "pilot_purity"),
        ),
        View(
            "Accuracy against the mix",
            "scaling curve",
            mix_curve,
            draw_mix_curve,
            "Left, is accuracy a line in transport distance? Right, the projection to the purchase (red line) against trainings that were really made (dots).",
            controls=(*MAIN, "target_size", "pilot_purity", "repeats"),
        ),
        View(
            "Accuracy against size",
            "scaling curve",
            size_curve,
            draw_size_curve,
            "Lines leave the revealed sizes (shaded) straight in log N; measured dots bend over below the best possible.",
            controls=("target_size", "revealed_small", "revealed_large", *MAIN, "learner"),
        ),
        View(
            "Prices",
            "geometry",
            prices,
            draw_prices,
            "Blue points would bring the purchase nearer to validation if bought more, red ones are surplus or wrongly labeled; a source's price is their mean. Crosses: the same by moving the mix.",
            controls=("share", *MAIN, "sinkhorn_epsilon"),
        ),
        View(
            "Triangle of mixes",
            "phase diagram",
            triangle,
            draw_triangle,
            "Every mix of three sources. The star is where the gradient ends; on the right, whether that was wise.",
            controls=("label_noise", "covariate_shift", "label_cost", "target_size", "share", "repeats"),
        ),
    ],
    presets={
        "One clean, one shifted": {"sources": 2, "label_noise": 0.0, "covariate_shift": 2.0, "view": "Accuracy against the mix"},
        "Coin-flip labels: stage 1 fails": {
            "sources": 2,
            "label_noise": 0.5,
            "label_cost": 4.0,
            "view": "Accuracy against the mix",
        },
        "Transport blind to labels": {"label_noise": 0.5, "label_cost": 0.0, "view": "Prices"},
        "Wrong labels cost much": {"label_noise": 0.5, "label_cost": 20.0, "view": "Prices"},
        "Too little revealed": {
            "revealed_small": 30,
            "revealed_large": 60,
            "pilot_mixes": 4,
            "pilot_purity": 0.3,
            "view": "Follow the gradient",
        },
        "Five sources": {"sources": 5, "covariate_shift": 2.0, "pilot_mixes": 20, "view": "Follow the gradient"},
        "A learner that saturates": {
            "learner": "logistic",
            "target_size": 10_000,
            "pilot_mixes": 20,
            "view": "Accuracy against size",
        },
        "A far purchase": {"target_size": 30_000, "view": "Accuracy against size"},
    },
    words=WORDS,
    papers={"423": "miniature"},
)
