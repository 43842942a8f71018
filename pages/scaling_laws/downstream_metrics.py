"""Why is benchmark accuracy harder to predict than loss?"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.downstream_metrics import (
    STAGES,
    Curves,
    Masses,
    MedianMap,
    Survival,
    curves,
    masses,
    median_map,
    survival,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, MAP, ORANGE, PURPLE, SIGNED, SKY, VERMILLION

COMPUTE_AXIS = "log₁₀ compute, from the middle"
COLORS = dict(zip(STAGES, (BLUE, SKY, GREEN, ORANGE, VERMILLION), strict=True))
BAR: dict[str, Any] = {"outlinewidth": 0, "thickness": 13}


def draw_survival(result: Survival) -> go.Figure:
    name = {"pearson": "Pearson", "spearman": "Spearman", "kendall": "Kendall"}[result.metric]
    fig = draw.figure(
        f"{name} correlation r with log compute",
        "share of questions with r or more",
        x_range=(-1, 1.02),
        y_range=(0, 1.03),
        height=500,
    )
    for k, stage in enumerate(STAGES):
        # log p and p have the same ranks: drawn wide and narrow, both show.
        width = 6 if k == 0 and result.metric != "pearson" else 2.5
        line = draw.line(result.level, result.share[k], stage, COLORS[stage], width=width)
        line.line.shape = "hv"
        fig.add_trace(line)
    if result.theory is not None:
        fig.add_trace(draw.guide(result.level, result.theory, "log p, theory for many models"))
    fig.add_vline(x=0, line={"color": GRAY, "width": 1})
    fig.add_annotation(x=-0.5, y=0.06, text="score falls with compute", showarrow=False, font={"color": GRAY})
    if result.constant[-1] > 0:
        fig.add_annotation(
            x=-0.98,
            y=0.16,
            xanchor="left",
            text=f"accuracy never changes on {100 * result.constant[-1]:.0f} % of questions: left out",
            showarrow=False,
            font={"color": VERMILLION},
        )
    return fig


def draw_curves(result: Curves) -> go.Figure:
    fig = draw.panels(
        [(COMPUTE_AXIS, "mean over questions"), (COMPUTE_AXIS, "share of choices on the correct one")],
        titles=["All questions", "Ten questions"],
        height=490,
    )
    if result.theory is not None:
        fig.add_trace(draw.line(result.line, result.theory, "accuracy, theory", VERMILLION), row=1, col=1)
    for k, name, color in ((2, "accuracy", VERMILLION), (1, "share of choices", GREEN)):
        fig.add_trace(draw.points(result.x, result.mean[k], name, color, standard_error=result.error[k]), row=1, col=1)
    draw.mark_y(fig, result.chance, "chance", col=1)
    for k, (share, right) in enumerate(zip(result.single, result.right, strict=True)):
        hue = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)[k % 6]
        line = draw.line(result.x, share, "", hue, width=1.3, opacity=0.65, showlegend=False)
        fig.add_trace(line, row=1, col=2)
        symbols = ["circle" if r else "circle-open" for r in right]
        dots = draw.points(result.x, share, "", hue, size=7, showlegend=False)
        dots.marker.symbol = symbols
        fig.add_trace(dots, row=1, col=2)
    for symbol, name in (("circle", "right"), ("circle-open", "wrong")):
        fig.add_trace(draw.points([np.nan], [np.nan], name, GRAY, symbol=symbol), row=1, col=2)
    reach = float(np.ceil(np.abs(result.x).max() * 10.5) / 10)
    for col in (1, 2):
        fig.update_xaxes(range=[-reach, reach], row=1, col=col)
        fig.update_yaxes(range=[0, 1.03], row=1, col=col)
    return fig


def draw_map(plane: MedianMap) -> go.Figure:
    fig = draw.figure(
        "gain correlation ρ", "noise of wrong choices s<sub>w</sub>, nats", x_range=(-0.5, 0.95), y_range=(0, 3), height=510
    )
    fig.add_trace(
        draw.heatmap(
            plane.correlation,
            plane.noise,
            plane.median,
            f"median correlation, {plane.stage}",
            scale=MAP,
            zmin=0,
            zmax=1,
            zsmooth="best",
            hovertemplate="ρ %{x:.2f}<br>s_w %{y:.2f}<br>median %{z:.2f}<extra></extra>",
        )
    )
    for r, (rho, noise) in plane.contours.items():
        if rho.size > 1:
            fig.add_trace(draw.boundary(rho, noise, f"{r:g}", at=0.35))
    fig.update_layout(margin={"t": 40})
    fig.add_annotation(
        x=0,
        y=1.0,
        xref="paper",
        yref="paper",
        yanchor="bottom",
        xanchor="left",
        showarrow=False,
        font={"color": GRAY},
        text="white: median correlation of the margin between two choices, many models (theory)",
    )
    return fig


def draw_masses(result: Masses) -> go.Figure:
    fig = draw.figure(
        "log p of the correct choice", "log p of the strongest wrong choice", x_range=(-14, 2), y_range=(-14, 2), height=560
    )
    n = result.correct.shape[0]
    ends = np.array([-14.0, 2.0])
    fig.add_trace(draw.guide(ends, ends, "as likely as the wrong one"))
    fig.add_trace(draw.strokes(result.correct, result.incorrect, GRAY, 0.7, opacity=0.35))
    dots = draw.points(result.correct.ravel(), result.incorrect.ravel(), "a question at a model", GRAY, size=5.5, opacity=0.9)
    dots.marker.color, dots.marker.colorscale = np.tile(result.x, n), SIGNED
    dots.marker.colorbar = BAR | {"title": {"text": COMPUTE_AXIS, "side": "right"}}
    fig.add_trace(dots)
    fig.add_trace(draw.line(result.mean_correct, result.mean_incorrect, "mean over questions", GREEN, width=4))
    fig.add_trace(
        draw.points(result.mean_correct[-1:], result.mean_incorrect[-1:], "", GREEN, size=13, symbol="diamond", showlegend=False)
    )
    fig.add_annotation(x=-12.6, y=0.8, text="<b>wrong</b>", showarrow=False, font={"color": GRAY, "size": 15})
    fig.add_annotation(x=0.6, y=-13, text="<b>right</b>", showarrow=False, font={"color": GRAY, "size": 15})
    return fig


WORDS = r"""
Loss is log-probability; a benchmark is scored by what is left of it after four steps (Schaeffer et al. 2024; 130): the log-probability of the correct choice,
its probability $p$, its **share** $p/\sum_j p_j$ among the choices given, then the Brier score or accuracy. After each step the score of one question over
models is correlated with $x=\log_{10}$ compute.

**The mechanism (a miniature; simulated live).** Question $i$, models at $x$ over some decades:
$$\log p_i=c_i+g_ix+s_{\mathrm c}\,e,\qquad \log p_{ij}=c_{ij}+g_{ij}x+s_{\mathrm w}\,e_{ij},$$
$c_i\sim N(-6,2^2)$, $c_{ij}\sim N(-6-a,2^2)$, $g_i\sim N(g,0.3^2)$, $g_{ij}=\rho g_i+0.3\sqrt{1-\rho^2}\,z_{ij}$. With $\rho$ near 1 wrong choices rise with the right one, as plausible
distractors do. The first two scores see only the first line; from the share on, every *particular* wrong choice matters.

**Theory**, many models of deviation $s_x$: $\mathrm{corr}(\log p,x)=g_is_x/\sqrt{g_i^2s_x^2+s_{\mathrm c}^2}$. With two choices the margin
$\log p_i-\log p_{i1}$ has median correlation $\delta s_x/\sqrt{\delta^2s_x^2+s_{\mathrm c}^2+s_{\mathrm w}^2}$, $\delta=g(1-\rho)$, and
the share, a function of the margin, has the same ranks. Of normal variables Spearman's is $\frac6\pi\arcsin\frac r2$, Kendall's $\frac2\pi\arcsin r$. Mean accuracy of
$K$ choices is exact: $E\big[\Phi\big(\tfrac{m+sZ}{w}\big)^{K-1}\big]$, $m=a+g(1-\rho)x$, $s^2=0.3^2(1-\rho)^2x^2+4+s_{\mathrm c}^2$,
$w^2=4+0.3^2(1-\rho^2)x^2+s_{\mathrm w}^2$; a probit for $K=2$. Exact orders: $\log p$ and $p$ share all ranks; a share above $\frac12$ is right, below $\frac1K$ wrong.

**How to read it.** A single question's accuracy is hard to predict, but the mean over many questions may not be: averaging removes the noise of distractors,
though not a shared one.

**Your data**: a CSV with one row for each model, question and choice (`model`, `compute`, `question`, `choice`, `logp`, `correct`). It replaces the draw in every view but
the map; questions that some model lacks are left out.

**Where it stops.** Gaussian gains and independent noise are assumptions; real fluctuations are shared across questions. $\log p$ is not capped at 0: for the correct choice in 0.3% of
cells at the defaults, 9% at $g=2$ over 6 decades, $p$ is an unnormalized mass. A question whose accuracy never changes has no correlation and is counted apart, which
flatters accuracy. The paper's five model families and twelve benchmarks are not bundled.
"""

CONTROLS = ("gain_correlation", "incorrect_noise", "choices", "gain_mean", "advantage", "n_models", "n_questions", "scores")

LAB = Lab(
    title="Downstream metrics",
    question="Why is benchmark accuracy harder to predict than loss?",
    views=[
        View(
            "Where predictability is lost",
            "distribution",
            survival,
            draw_survival,
            "A curve that stays high to the right edge is a score that compute predicts. Log p does so for nearly all questions; comparing with particular wrong choices "
            "pulls the curve down, whatever is then made of the share.",
            controls=("metric", *CONTROLS),
        ),
        View(
            "Correct and wrong mass",
            "geometry",
            masses,
            draw_masses,
            "Each gray track is a question from the smallest model (blue) to the largest (red). Moving right alone crosses the diagonal; moving up as well runs along it, and chance decides. "
            "Green: the mean.",
            controls=CONTROLS,
        ),
        View(
            "Median correlation",
            "phase diagram",
            median_map,
            draw_map,
            "Bright: the score of a typical question follows compute. It darkens when wrong choices rise with the right one (right) or fluctuate (up); white lines are theory for a margin.",
            controls=("gain_correlation", "incorrect_noise", "stage", "metric", "choices", "n_models", "gain_mean"),
            click=("gain_correlation", "incorrect_noise"),
        ),
        View(
            "Mean and single questions",
            "scaling curve",
            curves,
            draw_curves,
            "Left: averaged over questions accuracy follows its exact theory. Right: ten of those questions wander from model to model, right (full) and wrong (open).",
            controls=CONTROLS,
        ),
    ],
    presets={
        "Wrong choices hardly move": {"gain_correlation": 0.0, "incorrect_noise": 0.0, "view": "Where predictability is lost"},
        "Both rise together": {"gain_correlation": 0.95, "view": "Correct and wrong mass"},
        "Noisy distractors": {"incorrect_noise": 2.5, "view": "Where predictability is lost"},
        "Ten choices": {"choices": 10, "view": "Mean and single questions"},
        "Forty models": {"n_models": 40, "view": "Where predictability is lost"},
        "Two choices: theory holds": {
            "choices": 2,
            "stage": "share of choices",
            "n_models": 40,
            "spacing": "normal",
            "view": "Median correlation",
        },
    },
    words=WORDS,
    papers={"130": "miniature"},
)
