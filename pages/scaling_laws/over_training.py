"""What does training past compute-optimal cost, and predict?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.over_training import (
    Downstream,
    ErrorMap,
    Extrapolation,
    Lifetime,
    downstream_error,
    extrapolate_loss,
    lifetime_cost,
    prediction_error,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILLION

COMPUTE_AXIS = "training compute C = 6ND, FLOP"
RATIO_AXIS = "tokens per parameter M = D/N"
DECADES = {"dtick": 1, "exponentformat": "power"}
WIDE_DECADES = {"dtick": 2, "exponentformat": "power"}
M_COLORS = {10.0: SKY, 20.0: BLUE, 80.0: GREEN, 320.0: PURPLE}


def draw_extrapolation(result: Extrapolation) -> go.Figure:
    fig = draw.panels(
        [(COMPUTE_AXIS, "loss above E"), (RATIO_AXIS, "predicted loss, nats per token")],
        log_x=[True, True],
        log_y=[True, False],
        titles=["One power of C at every M", f"At C = {result.target[0]:.3g} FLOP"],
        widths=[0.58, 0.42],
        height=500,
    )
    e = result.offset
    target_c, target_m = result.target
    floor = 1e-3
    low, high = (np.maximum(v - e, floor) for v in (result.low, result.high))
    fig.add_trace(draw.band(result.compute, low, high, "95% band", VERMILLION), row=1, col=1)
    if result.truth is not None:
        fig.add_trace(draw.line(result.compute, result.truth[-1] - e, "truth", ORANGE, width=4, opacity=0.7), row=1, col=1)
    for k, m in enumerate(result.multipliers[:-1]):
        fit = np.maximum(result.fit[k] - e, floor)
        fig.add_trace(draw.line(result.compute, fit, f"M = {m:g}", M_COLORS[m], width=1.6), row=1, col=1)
    of = np.isclose(result.runs.multiplier, result.multipliers[:-1, None], rtol=0.25)
    near = of.any(axis=0)
    if near.any():
        y = np.maximum(result.runs.loss[near] - e, floor)
        marker = draw.grouped(of.argmax(axis=0)[near], [M_COLORS[m] for m in result.multipliers[:-1]], 7)
        cloud = go.Scatter(x=result.runs.compute[near], y=y, mode="markers", marker=marker, name="runs", showlegend=False)
        fig.add_trace(cloud, row=1, col=1)
    if not near.all():
        y = np.maximum(result.runs.loss[~near] - e, floor)
        fig.add_trace(draw.points(result.runs.compute[~near], y, "runs at other M", GRAY, size=7), row=1, col=1)
    fitted = np.maximum(result.fit[-1] - e, floor)
    fig.add_trace(draw.line(result.compute, fitted, f"M = {target_m:.3g}, predicted", VERMILLION), row=1, col=1)
    star = draw.points([target_c], [max(result.predicted - e, floor)], "", VERMILLION, symbol="star", size=14, showlegend=False)
    fig.add_trace(star, row=1, col=1)
    draw.mark_x(fig, result.cutoff, "largest run")
    fig.update_xaxes(range=[15, 24], **WIDE_DECADES, row=1, col=1)
    seen_low = min(fitted[-1], (result.fit[0, -1] - e) if result.fit[0, -1] > e else fitted[-1]) / 1.3
    seen_high = np.max(result.runs.loss - e) * 1.6
    fig.update_yaxes(range=np.log10([max(seen_low, 0.01), seen_high]), row=1, col=1)
    if result.sigma > 0 or result.across_truth is None:
        band = draw.band(result.across, result.across_low, result.across_high, "", VERMILLION, showlegend=False)
        fig.add_trace(band, row=1, col=2)
    if result.across_truth is not None:
        line = draw.line(result.across, result.across_truth, "", ORANGE, width=4, opacity=0.7, showlegend=False)
        fig.add_trace(line, row=1, col=2)
    fig.add_trace(draw.line(result.across, result.across_fit, "", VERMILLION, showlegend=False), row=1, col=2)
    star = draw.points([target_m], [result.predicted], "", VERMILLION, symbol="star", size=14, showlegend=False)
    fig.add_trace(star, row=1, col=2)
    draw.mark_x(fig, 20, "M = 20", col=2)
    fig.update_xaxes(range=[0, np.log10(3000)], **DECADES, row=1, col=2)
    shown = result.across_fit
    middle, half = float(shown.min()), max(float(np.ptp(shown)), 0.05)
    fig.update_yaxes(range=[middle - 0.35 * half, middle + 1.3 * half], row=1, col=2)
    return fig


def draw_downstream(result: Downstream) -> go.Figure:
    fig = draw.panels(
        [("loss, nats per token", "downstream error"), (COMPUTE_AXIS, "downstream error")],
        log_x=[False, True],
        titles=["Error against loss", f"Predicted along M = {result.target[1]:.3g}"],
        height=480,
    )
    kept = np.isfinite(result.runs.error)
    for col, x, fit, low, high, truth in (
        (1, result.level, result.fit, result.low, result.high, result.truth),
        (2, result.compute, result.by_compute, result.by_compute_low, result.by_compute_high, result.by_compute_truth),
    ):
        first = col == 1
        fig.add_trace(draw.band(x, low, high, "95% band", BLUE, showlegend=first), row=1, col=col)
        if truth is not None:
            fig.add_trace(draw.line(x, truth, "truth", ORANGE, width=4, opacity=0.7, showlegend=first), row=1, col=col)
        fig.add_trace(draw.line(x, fit, "fit to the small runs", BLUE, showlegend=first), row=1, col=col)
        seen = result.runs.loss[kept] if first else result.runs.compute[kept]
        fig.add_trace(draw.points(seen, result.runs.error[kept], "small runs", BLUE, size=7, showlegend=first), row=1, col=col)
        at = result.predicted_loss if first else result.target[0]
        star = draw.points([at], [result.predicted], "predicted", VERMILLION, symbol="star", size=14, showlegend=first)
        fig.add_trace(star, row=1, col=col)
        fig.update_yaxes(range=[0.2, 0.9], row=1, col=col)
    draw.mark_x(fig, result.cutoff, "largest run", col=2)
    fig.update_xaxes(range=[6, 1.8], row=1, col=1)
    fig.update_xaxes(range=[14, 24], **WIDE_DECADES, row=1, col=2)
    return fig


def draw_error_map(result: ErrorMap) -> go.Figure:
    fig = draw.figure(
        "largest run fitted, FLOP",
        "compute of the run predicted, FLOP",
        log_x=True,
        log_y=True,
        x_range=(result.cutoff[0], result.cutoff[-1]),
        y_range=(result.compute[0], result.compute[-1]),
        height=520,
    )
    with np.errstate(invalid="ignore"):
        z = np.log10(result.simulated)
    ticks = {"tickvals": [-3, -2.5, -2, -1.5, -1], "ticktext": ["0.1%", "0.3%", "1%", "3%", "10%"]}
    heat = draw.heatmap(result.cutoff, result.compute, z, "median error of the predicted loss, simulated", zmin=-3.3, zmax=-1)
    heat.colorbar.update(ticks)
    heat.hovertemplate = "largest run %{x:.2g}<br>predicted %{y:.2g}<br>log₁₀ error %{z:.2f}<extra></extra>"
    fig.add_trace(heat)
    fig.add_trace(
        go.Contour(
            x=result.cutoff,
            y=result.compute,
            z=np.log10(result.theory),
            contours={"start": -4, "end": -1, "size": 0.5, "coloring": "none"},
            line={"width": 2, "color": "#ffffff"},
            showscale=False,
            hoverinfo="skip",
            name="linear theory",
            showlegend=False,
        )
    )
    # Each line's level stands on it, in the column where it has room, above the diagonal.
    for level, text in ((1e-3, "0.1%"), (10**-2.5, "0.3%"), (1e-2, "1%"), (10**-1.5, "3%"), (1e-1, "10%")):
        for k in (7, 5, 3, 1, 9):
            up = result.compute >= result.cutoff[k]
            column = result.theory[up, k]
            if column[0] < level < column[-1]:
                y = float(np.interp(level, column, result.compute[up]))
                if 3 * result.cutoff[k] < y < result.compute[-1] / 5:
                    fig.add_trace(draw.on_map(result.cutoff[k], y * 1.9, text, size=13))
                    break
    ends = result.cutoff[[0, -1]]
    for factor, text in ((1, "as large"), (1e2, "100 ×"), (1e4, "10,000 ×")):
        fig.add_trace(draw.line(ends, factor * ends, "", ORANGE, dash="dot", width=1.6, showlegend=False, hoverinfo="skip"))
        x = min(result.compute[-1] / factor / 8, 3e20)
        fig.add_trace(draw.on_map(x, factor * x * 0.5, text, color=ORANGE, size=12))
    fig.update_xaxes(**DECADES)
    fig.update_yaxes(**DECADES)
    return fig


def draw_lifetime(result: Lifetime) -> go.Figure:
    fig = draw.figure(
        RATIO_AXIS,
        "lifetime compute, FLOP",
        log_x=True,
        log_y=True,
        x_range=(1, 1e4),
        height=500,
    )
    colors = (GRAY, SKY, BLUE, GREEN, PURPLE)
    names = ("training only", "10<sup>11</sup> served", "10<sup>12</sup>", "10<sup>13</sup>", "10<sup>14</sup>")
    m = result.multiplier
    path = np.argsort(result.volumes)
    for k, (color, name) in enumerate(zip(colors, names, strict=True)):
        fig.add_trace(draw.line(m, result.cost[k], name, color, width=2, dash="dot" if k == 0 else "solid"))
    fig.add_trace(draw.line(m, result.cost[-1], f"{result.volumes[-1]:.3g} served, yours", VERMILLION, width=3.5))
    fig.add_trace(draw.line(result.best[path], result.best_cost[path], "least", ORANGE, dash="dash", width=1.8))
    stars = draw.points(result.best, result.best_cost, "", ORANGE, symbol="star", size=13, showlegend=False)
    fig.add_trace(stars)
    here = draw.points([result.plan[1]], [result.plan_cost], "the run (C, M)", VERMILLION, symbol="circle", size=11)
    fig.add_trace(here)
    draw.mark_x(fig, 20, "M = 20")
    low, mine = np.log10(result.best_cost[[0, -1]])
    fig.update_yaxes(range=[np.floor(2 * low - 0.2) / 2, max(np.floor(2 * low) / 2 + 3.5, np.ceil(mine) + 0.5)], **DECADES)
    fig.update_xaxes(**DECADES)
    return fig


WORDS = r"""
**The law** (080, equation 4). With one exponent for parameters and tokens, $L=E+AN^{-\alpha}+BD^{-\alpha}$ reads, in compute $C=6ND$ and tokens per
parameter $M=D/N$,
$$L=E+\big(aM^{\eta}+bM^{-\eta}\big)C^{-\eta},\qquad \eta=\alpha/2,\ a=A\,6^{\eta},\ b=B\,6^{\eta}:$$
on log axes $L-E$ falls with the same slope $-\eta$ at every $M$, so that small over-trained runs speak of large ones. Compute-optimal is
$M^*=(b/a)^{1/2\eta}$ at every $C$, and $\cosh\!\big(\eta\log(M/M^*)\big)$ is the price of any other $M$ in reducible loss.

**Downstream** (equation 5). The top-1 error, averaged over tasks, is $\mathrm{Err}=\varepsilon-k\,e^{-\gamma L}$: predict the loss, then the error. It is fitted
in the form $h-s\,(e^{-\gamma(L-\bar L)}-1)/\gamma$, the same three constants kept apart where the data hardly bend.

**Serving.** A model that serves $T$ tokens costs $6ND+2NT$ in its life. At fixed loss its least is where
$$(M/M^*)^{2\eta}=1+\frac{T}{3D}:$$
over-training pays once the tokens served rival those trained on.

**Fits and bands.** The summed log-Huber loss ($\delta=10^{-3}$), equal exponents unless you free them; the headline shows the other choice.
The 95% bands are a parametric bootstrap: the plan of runs is kept and their noise drawn anew around the fit, in both laws. The noise drawn is the one you state
(of your own runs: that of the residuals, where three degrees of freedom are left). Bands know noise, not a wrong form.

**How far it carries.** In the map each cell is the median over simulated studies; the white lines (half decades: 0.03%, 0.1%, 0.3%, 1%, …) are linear
theory: parameters with covariance $v\,\sigma^2(J^{\top}J)^{-1}$, $v$ the variance factor of Huber's estimator at $\delta/\sigma$. They part where an
exponent is so poorly told that the law is no longer linear in it.

**What is whose.** The three laws are the *paper's fits*, as printed (rounded), to runs of up to $2\times10^{19}$ FLOP; the dots are drawn from them with noise: a
planted study, not its checkpoints. With five runs (four sizes at $M=20$ and one at $M=320$) the paper reports relative errors of 0.7% on loss, and of
3.6% and 0.05% on the average downstream error of its two large runs; those runs are not here. The printed constants put $M^*$ at 3.4 (C4), 7.4 (RedPajama) and 5.8 (RefinedWeb), far below the 20 that the
study calls Chinchilla-optimal: only one of the five runs is off $M=20$, and equal exponents are an assumption. Take $M^*$ as what the fit says, not as advice.
Losses below $M\approx5$ or far beyond $M=640$ were not seen by it.
"""

STUDY = ("law", "compute", "token_multiplier", "fit_cutoff", "design", "runs_per_multiplier", "seed_noise")

LAB = Lab(
    title="Over-training",
    question="What does training past compute-optimal cost, and predict?",
    views=[
        View(
            "Loss, extrapolated",
            "scaling curve",
            extrapolate_loss,
            draw_extrapolation,
            "Left: dots are small runs, parallel lines the one law fitted to them; the red line with its band reaches for the large run "
            "(star), orange is the truth. Right: at that compute, the loss against tokens per parameter.",
            controls=(*STUDY, "free_exponents", "runs"),
        ),
        View(
            "Downstream error",
            "scaling curve",
            downstream_error,
            draw_downstream,
            "Left: error falls with the loss (loss falls to the right). Right: through the predicted loss it becomes a function of "
            "compute; the band carries the noise of both fits.",
            controls=(*STUDY[:4], "seed_noise", "error_noise", "runs_per_multiplier", "design", "runs"),
        ),
        View(
            "How far small runs carry",
            "phase diagram",
            prediction_error,
            draw_error_map,
            "Color is the median error of the predicted loss, by simulated studies; white lines are linear theory. Up is a larger run "
            "predicted, right a larger budget for the small ones; dotted lines keep their ratio.",
            controls=(
                "fit_cutoff",
                "compute",
                "token_multiplier",
                "seed_noise",
                "design",
                "runs_per_multiplier",
                "n_studies",
                "law",
            ),
            click=("fit_cutoff", "compute"),
        ),
        View(
            "Cost of a lifetime",
            "scaling curve",
            lifetime_cost,
            draw_lifetime,
            "Every point of a curve reaches the same loss. Training alone is cheapest at M*; the more tokens are served, the further "
            "right the minimum (stars): smaller models, trained for longer.",
            controls=("law", "compute", "token_multiplier", "served_tokens"),
        ),
    ],
    presets={
        "1.4B parameters, 900B tokens (M 640)": {
            "compute": 7.56e21,
            "token_multiplier": 640.0,
            "fit_cutoff": 2.5e19,
            "view": "Loss, extrapolated",
        },
        "6.9B parameters, 138B tokens (M 20)": {
            "compute": 5.7e21,
            "token_multiplier": 20.0,
            "fit_cutoff": 1.9e19,
            "view": "Loss, extrapolated",
        },
        "Five runs only": {"design": "five_runs", "seed_noise": 0.003, "view": "Loss, extrapolated"},
        "No noise": {"seed_noise": 0.0, "view": "Loss, extrapolated"},
        "Noisy seeds, free exponents": {"seed_noise": 0.01, "free_exponents": True, "view": "Loss, extrapolated"},
        "Error at 20 times the compute": {"compute": 7.56e21, "fit_cutoff": 3.8e20, "view": "Downstream error"},
        "Five runs, mapped": {"design": "five_runs", "view": "How far small runs carry"},
        "Served a lot (1e13 tokens)": {"served_tokens": 1e13, "token_multiplier": 20.0, "view": "Cost of a lifetime"},
        "Hardly served": {"served_tokens": 1e10, "token_multiplier": 640.0, "view": "Cost of a lifetime"},
    },
    words=WORDS,
    papers={"080": "own object"},
)
