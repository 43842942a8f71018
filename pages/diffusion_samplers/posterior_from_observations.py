"""Sample a posterior given any number of observations."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.posterior_from_observations import (
    Bridges,
    ErrorCurve,
    FlowErrors,
    ProperMap,
    bridges,
    error_against_n,
    flow_errors,
    proper_bridges,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, ORANGE, SIGNED, VERMILLION


def draw_bridges(result: Bridges) -> go.Figure:
    fig = draw.panels(
        [("time t, from noise →", "parameter θ"), ("time t, from noise →", ""), ("density", "")],
        titles=["Composed scores", "Diffused posterior", "At the end"],
        widths=[0.38, 0.38, 0.24],
        gap=0.06,
        height=480,
    )
    for col, density in ((1, result.composed), (2, result.diffused)):
        look = {"zmin": 0, "zmax": 1, "showscale": False}
        fig.add_trace(draw.heatmap(result.time, result.theta, density.astype(np.float32), "", **look), row=1, col=col)
    fig.add_trace(draw.line(result.posterior, result.theta, "exact posterior", BLUE), row=1, col=3)
    bars = {"type": "data", "array": 2 * result.histogram_error, "color": BLUE, "thickness": 1.2, "width": 2}
    particles = draw.points(result.histogram, result.center, "particles on composed scores ± 2 SE", BLUE, size=5)
    fig.add_trace(particles.update(error_x=bars), row=1, col=3)
    back, up = {"range": [1, 0]}, {"range": [result.theta[0], result.theta[-1]]}
    top = {"range": [0, 1.25 * float(max(result.posterior.max(), result.histogram.max()))]}
    return fig.update_layout(xaxis=back, xaxis2=back, xaxis3=top, yaxis=up, yaxis2=up, yaxis3=up)


def draw_proper(result: ProperMap) -> go.Figure:
    fig = draw.panels(
        [("observations n", "prior scale s₀"), ("time t", "precision Λ of the bridge")],
        log_x=[True, False],
        log_y=[True, False],
        titles=["Least precision on the way", "Here"],
        widths=[0.62, 0.38],
        gap=0.2,
    )
    ticks = [-1000, -100, -10, 0, 10, 100, 1000]
    trace = draw.heatmap(
        result.observations, result.prior_scale, result.least, "least precision", scale=SIGNED, zmid=0, zmin=-2.5, zmax=2.5
    )
    trace.colorbar.update(
        x=0.52, tickvals=[np.sign(v) * np.log10(1 + abs(v)) for v in ticks], ticktext=[f"{v:,}".replace("-", "−") for v in ticks]
    )
    fig.add_trace(trace, row=1, col=1)
    shown = result.boundary > 0
    line = {"color": "#000000", "width": 2.5}
    edge = go.Scatter(x=result.observations[shown], y=result.boundary[shown], mode="lines", line=line, name="no density below")
    fig.add_trace(edge, row=1, col=1)
    fig.add_trace(draw.line(result.curve_time, result.curve, "Λ here", BLUE, showlegend=False), row=1, col=2)
    draw.mark_y(fig, 0, "no density below", col=2)
    fig.update_xaxes(range=[0, 2], row=1, col=1)
    fig.update_yaxes(range=[np.log10(0.3), np.log10(3)], row=1, col=1)
    low, high = min(0.0, float(result.curve.min())), max(0.0, float(result.curve.max()))
    fig.update_yaxes(range=[low - 0.06 * (high - low), high + 0.06 * (high - low)], row=1, col=2)
    return fig


def draw_errors(result: ErrorCurve) -> go.Figure:
    fig = draw.panels(
        [("observations n", "error of the mean, posterior sds"), ("observations n", "variance ÷ posterior's")],
        log_x=[True, True],
        log_y=[True, False],
        titles=["Errors of scores add up", "Spread"],
    )
    n = result.observations
    if result.bias_alone.max() > 0:
        fig.add_trace(draw.guide(n, result.bias_alone, "limit, one observation a group: √n"), row=1, col=1)
        fig.add_trace(draw.line(n, result.bias, "limit, these groups", ORANGE, dash="dash"), row=1, col=1)
    fig.add_trace(draw.line(n, np.maximum(result.chain_error, 1e-6), "chain as run, exact", BLUE), row=1, col=1)
    points = draw.points(
        result.tried, np.maximum(result.simulated, 1e-6), "chain, simulated ± 2 SE", BLUE, standard_error=result.simulated_error
    )
    fig.add_trace(points, row=1, col=1)
    fig.update_yaxes(range=[-3.2, 1], row=1, col=1)
    fig.add_trace(draw.line(n, result.chain_variance, "chain, exact", BLUE, showlegend=False), row=1, col=2)
    spread = draw.points(
        result.tried,
        result.simulated_variance,
        "chain",
        BLUE,
        standard_error=result.simulated_variance_error,
        showlegend=False,
    )
    fig.add_trace(spread, row=1, col=2)
    fig.add_trace(draw.line(n, result.ode_variance, "reverse ODE on the same scores", VERMILLION, dash="dot"), row=1, col=2)
    draw.mark_y(fig, 1, "right", col=2)
    top = float(max(result.chain_variance.max(), result.ode_variance.max(), result.simulated_variance.max()))
    fig.update_yaxes(range=[0, min(3.0, 1.15 * top)], row=1, col=2)
    for col in (1, 2):
        fig.update_xaxes(range=[-0.05, 2.05], row=1, col=col)
    return fig


def draw_flow(result: FlowErrors) -> go.Figure:
    fig = draw.panels(
        [
            ("observations n", "error of the mean, posterior sds"),
            ("observations n", "posterior sd"),
            ("flow steps", "W₂ ÷ posterior sd"),
        ],
        log_x=[True, True, True],
        log_y=[True, True, True],
        titles=["Within training and beyond", "Width", "Steps, at n = 5"],
        gap=0.09,
    )
    fig.add_trace(
        draw.points(result.n, result.mean_error, "learned flow ± 2 SE", VERMILLION, standard_error=result.mean_error_error),
        row=1,
        col=1,
    )
    draw.mark_x(fig, result.largest_n, "trained to here")
    fig.add_trace(draw.line(result.n, result.width, "exact", BLUE), row=1, col=2)
    fig.add_trace(draw.points(result.n, result.learned_width, "learned flow", VERMILLION, showlegend=False), row=1, col=2)
    steps = result.steps
    fig.add_trace(draw.points(steps, result.exact_by_steps, "exact velocity", BLUE).update(mode="lines+markers"), row=1, col=3)
    learned = draw.points(steps, result.learned_by_steps, "learned velocity", VERMILLION).update(mode="lines+markers")
    fig.add_trace(learned, row=1, col=3)
    fig.add_trace(draw.guide(steps, result.exact_by_steps[0] * (steps / 1.0) ** -2.0, "slope −2"), row=1, col=3)
    fig.update_yaxes(range=[-2.5, 1], row=1, col=1)
    fig.update_yaxes(range=[-4, 0.5], row=1, col=3)
    return fig


COMMON = ("observations", "group_size", "prior_scale", "noise_scale")

LAB = Lab(
    title="Posterior from observations",
    question="Can one score per observation sample the posterior given all of them?",
    views=[
        View(
            "Two bridges",
            "trajectory",
            bridges,
            draw_bridges,
            "Left, the densities that composed scores pass through; middle, what diffusing the true posterior would pass through. They "
            "share only their end: Langevin follows the left one (dots), a reverse ODE cannot.",
            controls=("model", *COMMON, "langevin_step", "score_error"),
        ),
        View(
            "Where it is a density",
            "phase diagram",
            proper_bridges,
            draw_proper,
            "Least precision of the composed bridge, exact: blue below zero, where its scores belong to no density and sampling runs away.",
            controls=COMMON,
            click=("observations", "prior_scale"),
        ),
        View(
            "Errors add up",
            "scaling curve",
            error_against_n,
            draw_errors,
            "A constant error of every score shifts the mean by the number of groups: √n posterior standard deviations with one "
            "observation a group, less with larger groups.",
            controls=("score_error", "group_size", "langevin_step", "levels", "langevin_steps", "prior_scale"),
        ),
        View(
            "An amortized flow",
            "scaling curve",
            flow_errors,
            draw_flow,
            "A velocity fitted to simulated pairs, asked for posteriors given any n: right where it was trained, wrong beyond.",
            controls=("n_pairs", "largest_n", "flow_steps", "prior_scale", "noise_scale", "seed"),
        ),
    ],
    presets={
        "Five observations, two modes": {"view": "Two bridges", "observations": 5, "model": "two modes"},
        "Improper bridge": {"view": "Where it is a density", "prior_scale": 0.5, "observations": 10},
        "Errors accumulate": {"view": "Errors add up", "score_error": 0.1, "group_size": 1},
        "Groups help": {"view": "Errors add up", "score_error": 0.1, "group_size": 10},
        "Too large a step": {"view": "Two bridges", "model": "normal", "langevin_step": 1.0},
        "Amortized": {"view": "An amortized flow", "n_pairs": 4000, "largest_n": 30},
    },
    words=r"""
**Composed scores.** With a network for $\nabla\log p_t(\theta\mid x_i)$ of one observation, or of a group of $m$, paper 261 (equation 3)
composes for $n$ observations in $G=\lceil n/m\rceil$ groups
$$s(\theta,t) = (1-G)(1-t)\,\nabla\log p(\theta) + \sum_{g=1}^{G}\nabla\log p_t(\theta\mid g),$$
the score of a bridge from $\mathcal N(0,1/G)$ to the exact posterior. It is **not** the diffused posterior: annealed Langevin
may follow it; the reverse ODE of the diffusion collapses to a point (right panel of *Errors add up*). Scores here are exact: a normal prior, or
one of two modes, and normal observations.

**A density?** (theory) In the tails the bridge has precision
$$\Lambda_t=\frac{(1-G)(1-t)}{s_0^2}+\sum_g\frac{1}{\bar\alpha_tV_g+1-\bar\alpha_t},\qquad V_g^{-1}=\frac{1}{s_0^2}+\frac{m_g}{s_\ell^2};$$
with a prior narrower than the unit noise it turns negative, and the page refuses to sample.

**Errors.** A constant error $e$ of each score moves the mean by $Ge/\Lambda_0$ in the limit of many steps. The chain's own moments are an
affine recursion, drawn as a line through the simulation; unadjusted Langevin with step $\delta\Lambda$ widens by $1/(1-\delta\Lambda/2)$.

**Amortized flow** (fitted, on the page). $v=m+\frac{tS-(1-t)}{(1-t)^2+t^2S}(\theta_t-tm)$ is exact; the learned one is ridge regression
on $\{1,\theta_t,\bar x\}$ times polynomials of $t$ and $\log n$, from simulated pairs. A miniature: averaging stands for the
transformer of paper 445, so its failures beyond $n_{\max}$ are those of extrapolation, not of attention.
""",
    papers={"261": "own object", "445": "miniature"},
)
