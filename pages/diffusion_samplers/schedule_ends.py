"""What goes wrong at the two ends of the schedule?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.schedule_ends import (
    Brightness,
    BrightnessMap,
    HorizonCurve,
    SharingMap,
    Singularity,
    brightness,
    brightness_map,
    horizon_curve,
    sharing_map,
    singularity,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILLION, faded

START_COLORS = {"data": GRAY, "start from N(0, I)": VERMILLION, "one more step": BLUE, "offset noise": ORANGE}
ROWS = {"data": "data", "start from N(0, I)": "from pure noise", "one more step": "one more step", "offset noise": "offset noise"}


def draw_brightness(result: Brightness) -> go.Figure:
    fig = draw.panels(
        [("24 images, from dark to bright", ""), ("brightness of an image", "density")],
        titles=["Brightness of images, sorted", "Its law"],
        widths=[0.55, 0.45],
        height=460,
    )
    names = list(result.patch)
    reach = 1.4 * float(np.abs(result.patch["data"]).max())
    tones = np.stack([result.patch[name] for name in names])
    fig.add_trace(
        go.Heatmap(
            x=np.arange(1, tones.shape[1] + 1),
            y=[ROWS[name] for name in names],
            z=tones,
            zmin=-reach,
            zmax=reach,
            colorscale=[[0, "#1c1c1c"], [1, "#ececec"]],  # the gray of an image is what is meant here
            showscale=False,
            xgap=2,
            ygap=14,
            hovertemplate="%{y}<br>brightness %{z:.2f}<extra></extra>",
        ),
        row=1,
        col=1,
    )
    data = result.density["data"]
    fig.add_trace(draw.band(result.curve, np.zeros(data.size), data, "data", GRAY, opacity=0.3), row=1, col=2)
    for name, color in START_COLORS.items():
        if name != "data":
            fig.add_trace(draw.line(result.curve, result.density[name], ROWS[name], color), row=1, col=2)
    shown = result.simulated > 0
    fig.add_trace(
        draw.points(
            result.centers[shown],
            result.simulated[shown],
            "from pure noise, simulated ± 2 SE",
            VERMILLION,
            standard_error=result.simulated_error[shown],
            size=4,
        ),
        row=1,
        col=2,
    )
    fig.update_xaxes(showticklabels=False, ticks="", showgrid=False, row=1, col=1)
    fig.update_yaxes(autorange="reversed", ticks="", showgrid=False, row=1, col=1)
    top = max(values.max() for values in result.density.values())
    fig.update_yaxes(range=[0, min(1.1 * top, 8 * data.max())], row=1, col=2)
    fig.update_xaxes(range=[result.curve[0], result.curve[-1]], row=1, col=2)
    return fig


def draw_brightness_map(result: BrightnessMap) -> go.Figure:
    fig = draw.figure(
        "terminal signal-to-noise α²/σ²", "pixels d", log_x=True, log_y=True, x_range=(1e-9, 0.3), y_range=(4, 16384), height=500
    )
    fig.add_trace(
        draw.heatmap(
            result.snr,
            result.dimension,
            result.kept,
            "brightness kept (r.m.s.)",
            zmin=0,
            zmax=1,
            hovertemplate="SNR %{x:.2g}<br>d %{y:.0f}<br>kept %{z:.3f}<extra></extra>",
        )
    )
    inside = (result.line >= 4) & (result.line <= 16384)
    name = draw.boundary(result.snr[inside], result.line[inside], "signal left = noise", at=0.35)
    if inside.any() and result.snr[inside][0] > 1e-3:  # no room on the right of the line
        name.update(textposition="bottom left")
    fig.add_trace(name)
    for name, snr in result.published.items():
        fig.add_shape(type="line", x0=snr, x1=snr, y0=4, y1=16384, line={"color": "#ffffff", "dash": "dot", "width": 1.5})
        place, side = (1.25 * snr, "middle right") if snr < 1e-3 else (snr / 1.25, "middle left")
        fig.add_trace(draw.on_map(place, 6, name).update(textposition=side))
    return fig


def draw_horizon(result: HorizonCurve) -> go.Figure:
    fig = draw.figure("diffusion time T", "nats", log_x=True, log_y=True, x_range=(0.05, 20), y_range=(1e-5, 20), height=480)
    fig.add_trace(draw.line(result.time, result.score, "score gap", PURPLE, dash="dash"))
    for (name, prior), color in zip(result.prior.items(), (VERMILLION, BLUE), strict=True):
        shown = np.where(prior > 1e-9, prior, np.nan)
        fig.add_trace(draw.line(result.time, shown, f"prior gap, start {name}", color, dash="dash", width=2))
        fig.add_trace(draw.line(result.time, prior + result.score, f"total, start {name}", color, width=4))
        time, total = result.best[name]
        fig.add_trace(draw.points([time], [total], f"T* = {time:.2f}", color, size=13, symbol="star"))
    if result.true_error.size:
        fig.add_trace(draw.line(result.time, result.true_error, "true error, worst bias, start N(0, 1)", GREEN, width=3))
    draw.mark_x(fig, result.at_time, "here")
    fig.update_layout(legend={"y": -0.2, "yanchor": "top"}, margin={"b": 130})
    return fig


SCHEDULE_COLORS = {
    "linear": BLUE,
    "SD scaled-linear": VERMILLION,
    "quadratic": PURPLE,
    "cosine": ORANGE,
    "cosine without offset": GREEN,
}


def draw_singularity(result: Singularity) -> go.Figure:
    fig = draw.panels(
        [("time t", "K(t), mean speed of the noise prediction"), ("time t", "r.m.s. error of the shared prediction")],
        log_x=[True, False],
        log_y=[True, False],
        titles=["Near the data the prediction races…", f"…shared until t = {result.threshold:.2g} it stands still, at a cost"],
        height=500,
    )
    for name, values in result.sensitivity.items():
        width = 4.5 if name == result.schedule else 1.8
        fig.add_trace(draw.line(result.time, values, name, SCHEDULE_COLORS[name], width=width), row=1, col=1)
    fig.add_trace(draw.guide(result.time, result.law, "theory as t → 0"), row=1, col=1)
    fig.add_shape(
        type="rect", x0=1e-6, x1=result.threshold, y0=0, y1=1, xref="x", yref="y domain", fillcolor=faded(SKY, 0.15), line_width=0
    )
    color = SCHEDULE_COLORS[result.schedule]
    fig.add_trace(draw.line(result.early, result.one_cell, "one cell", GRAY), row=1, col=2)
    fig.add_trace(draw.line(result.early, result.cost, "the chosen cells", color, width=4), row=1, col=2)
    fig.update_xaxes(range=[-6, 0], row=1, col=1)
    fig.update_yaxes(range=[-0.3, 4], row=1, col=1)
    fig.update_xaxes(range=[0, result.threshold], row=1, col=2)
    fig.update_yaxes(range=[0, 1.1 * max(result.one_cell.max(), result.cost.max())], row=1, col=2)
    return fig


def draw_sharing(result: SharingMap) -> go.Figure:
    fig = draw.figure("shared until t", "cells", log_y=True, x_range=(0.01, 0.325), y_range=(0.8, 25), height=480)
    fig.add_trace(
        draw.heatmap(
            result.threshold,
            result.cells,
            np.log10(result.moved / result.plain),
            "log₁₀ W₁ moved by sharing ÷ DDIM's own W₁",
            zmin=-1.5,
            zmax=1,
            hovertemplate="shared until %{x:.2f}<br>cells %{y:.0f}<br>log₁₀ ratio %{z:.2f}<extra></extra>",
        )
    )
    fig.add_trace(draw.on_map(0.27, 1.05, "one cell is too coarse", color="#24292f"))
    return fig


WORDS = r"""
$x_t=\alpha_tx_0+\sigma_tz$, variance preserving, sampled from $t=T$ (noise) to $0$ (data).

**The noisy end: signal left over** (241). An image of $d$ pixels has one brightness $B$ for all of them and unit noise in each;
$c=\sqrt d\cdot$ mean pixel $=\sqrt dB+z$. The chain ends at $\alpha_Tc+\sigma_Tz'$, but sampling starts from $N(0,1)$. On the line
the probability flow is the monotone map, so for a start law $G$ the output is exact:
$$P(\text{out}\le q)=G\big(F_T^{-1}(F_0(q))\big).$$
For Gaussian brightness the standard deviation shrinks by $1/\sqrt{\alpha_T^2V+\sigma_T^2}$, $V=\operatorname{Var}c$: images come out gray as
soon as $\alpha_T^2db^2>1$ (white line). *One more step*: from pure noise the posterior mean of the data is their mean, so the step gives
$N(\alpha_T\mathbb Ec,\ \alpha_T^2\operatorname{Var}c+\sigma_T^2)$. *Offset noise*: forward noise of covariance $I+o^2\mathbf 1\mathbf 1^\top$, variance $1+o^2d$ here.
Starting from the true $p_T$, or a schedule rescaled to $\alpha_T=0$, gives the data back exactly. Published 1000-step chains:
scaled-linear of Stable Diffusion $\alpha_T=0.0683$, linear $0.0064$, cosine $4.9\cdot10^{-5}$ (Lin et al. 2023). Points: 3000 draws through 48 Heun steps.

**How long to diffuse** (163). With $\beta=1$, $\mathrm{KL}(p_0\|p)\le\mathrm{KL}(p_T\|\nu)+\frac12\int_0^Te(t)^2dt$: prior gap plus score gap. For $N(m,1)$
and a constant error, $T^*=\log(m^2/\varepsilon^2)$. A start $\nu$ fitted to $p_T$ shortens $T^*$. The sum is a bound: the green line is the
true error where the error always points away from the mean; the chain forgets most of what the bound adds up.

**The end at the data: a singular network** (152). $\epsilon(x,t)=-\sigma_t\nabla\log p_t$ obeys
$$K(t)=\mathbb E|\partial_t\epsilon|\to\tfrac12\sqrt{\beta(0)/t}\;\mathbb E|\nabla\log p_0|,$$
a singularity unless $\beta(0)=0$ (cosine without offset). Sharing gives the network one time for each of $n$ cells below $\tilde t$; what it then
learns is $\mathbb E[z\mid x,t\in\text{cell}]$, computed here, and $K=0$ inside. On the map, 64 quantiles of $p_T$ go down by DDIM, so that
there is no sampling noise; the color compares what sharing moves with the error DDIM has anyway. It need not be a loss: the mean over a
cell looks ahead and can cancel some of DDIM's own error.

**Where it stops being true.** Scores are exact, so sharing shows its cost and not what it saves in training; offset noise is given its
matching score, which a network must learn; brightness alone is followed, in one exact coordinate. With one prompt the shrinkage is only
$\alpha_T$, 7 percent for Stable Diffusion: gray images are the broad law's. $T^*$ is that of the chosen error profile.
"""

LAB = Lab(
    title="Ends of the schedule",
    question="What goes wrong at the two ends of the schedule?",
    views=[
        View(
            "Gray images",
            "distribution",
            brightness,
            draw_brightness,
            "Each square is an image's brightness. Started from pure noise (second row) they come out gray; one more step brings dark and bright back.",
            controls=("terminal_snr", "dimension", "spread", "law", "offset_noise"),
        ),
        View(
            "Brightness lost",
            "phase diagram",
            brightness_map,
            draw_brightness_map,
            "Beyond the white line the signal left at the last step exceeds the noise, and a start from pure noise loses brightness.",
            controls=("terminal_snr", "dimension", "spread", "law"),
            click=("terminal_snr", "dimension"),
        ),
        View(
            "How long to diffuse",
            "scaling curve",
            horizon_curve,
            draw_horizon,
            "Short of the star the start is wrong, beyond it the score's error piles up; a fitted start moves the star to the left and down.",
            controls=("diffusion_time", "score_error", "data_scale", "shape", "error_kind"),
        ),
        View(
            "Speed near the data",
            "scaling curve",
            singularity,
            draw_singularity,
            "Left, all schedules but one race with slope −1/2 into t = 0. Right, what the prediction of one cell of times misses; more cells miss less.",
            controls=("schedule", "beta_min", "threshold", "cells"),
        ),
        View(
            "Sharing times",
            "phase diagram",
            sharing_map,
            draw_sharing,
            "At 0 sharing moves the samples as far as DDIM misses the data anyway. One cell for a long stretch is too coarse; a few are enough.",
            controls=("threshold", "cells", "schedule", "ddim_steps", "beta_min"),
            click=("threshold", "cells"),
        ),
    ],
    presets={
        "Stable Diffusion, 4×64×64": {"terminal_snr": 0.004682, "dimension": 16384, "view": "Gray images"},
        "Hardly any signal left": {"terminal_snr": 1e-7, "dimension": 256, "view": "Gray images"},
        "Linear chain, large image": {"terminal_snr": 4.036e-5, "dimension": 16384, "view": "Gray images"},
        "One prompt: 7 percent": {"law": "one prompt", "dimension": 4096, "view": "Gray images"},
        "Offset noise alone": {"terminal_snr": 0.3, "offset_noise": 0.1, "dimension": 256, "view": "Gray images"},
        "Gray beyond the line": {"terminal_snr": 0.02, "dimension": 4096, "view": "Brightness lost"},
        "One Gaussian: T* = log(m²/ε²)": {"shape": "one Gaussian", "score_error": 0.3, "view": "How long to diffuse"},
        "Cosine is regular at zero": {"schedule": "cosine without offset", "view": "Speed near the data"},
        "One cell is too coarse": {"threshold": 0.3, "cells": 1, "view": "Sharing times"},
    },
    words=WORDS,
    papers={"163": "own object", "241": "miniature", "152": "own object"},
)
