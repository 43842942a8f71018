"""Is an emergent jump there, or only below resolution?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.inference_scaling import pass_until as lab
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, PALETTE, SIGNED, VERMILLION

INK = "#24292f"  # over the pale middle of a signed map
SIZE_AXIS = "model size, millions"


def draw_study(result: lab.Study) -> go.Figure:
    fig = draw.panels(
        [(SIZE_AXIS, "success"), (SIZE_AXIS, "success"), (SIZE_AXIS, "−log success")],
        log_x=[True] * 3,
        log_y=[False, True, True],
        titles=["Linear: a jump", "Log: below resolution", "−log success: a law?"],
        gap=0.085,
    )
    size, seen = result.size, result.estimate > 0
    fit_name = "law fitted without 2.4B"
    fixed_name = f"usual evaluation, {result.fixed_samples:,} samples"
    until_name = f"until {result.passes} pass ± 2 SE"
    if np.isfinite(result.fit[0]):
        fig.add_trace(draw.band(size, *result.band, "90% of the fit", VERMILLION, opacity=0.25), row=1, col=3)
    for col, truth, fit in (
        (1, result.true, result.fit),
        (2, result.true, result.fit),
        (3, result.true_minus_log, result.fit_minus_log),
    ):
        shown = truth > 1e-12 if col == 2 else truth >= 0
        drawn = fit > 1e-12 if col == 2 else fit >= 0
        fig.add_trace(draw.line(size[shown], truth[shown], "truth", BLUE, showlegend=col == 1), row=1, col=col)
        fig.add_trace(
            draw.line(size[drawn], fit[drawn], fit_name, VERMILLION, dash="dash", width=2, showlegend=col == 1), row=1, col=col
        )
        values, low, high = result.estimate[seen], result.interval[0][seen], result.interval[1][seen]
        fixed = result.fixed
        if col == 3:
            values, low, high = -np.log(values), -np.log(high), -np.log(low)
            fixed = np.where((fixed > 0) & (fixed < 1), -np.log(np.clip(fixed, 1e-300, 1)), np.nan)
        elif col == 2:
            fixed = np.where(fixed > 0, fixed, 1.5e-6)  # what reads 0 stands at the floor
        counted = draw.points(result.sizes, fixed, fixed_name, GRAY, symbol="x", size=9, showlegend=col == 1)
        fig.add_trace(counted, row=1, col=col)
        measured = draw.points(result.sizes[seen], values, until_name, BLUE, size=8, showlegend=col == 1)
        bars = {"type": "data", "symmetric": False, "array": high - values, "arrayminus": values - low}
        measured.error_y = bars | {"color": BLUE, "thickness": 1.3, "width": 3}
        fig.add_trace(measured, row=1, col=col)
    floor = 1e-6
    draw.mark_y(fig, 1 / result.fixed_samples, "1/n", col=2)
    fig.update_xaxes(range=[1, 5])
    fig.update_yaxes(range=[-0.03, 1.02], row=1, col=1)
    fig.update_yaxes(range=[np.log10(floor), 0.1], row=1, col=2)
    low, high = min(result.true_minus_log.min(), 1.0), max(result.true_minus_log.max(), 10.0)
    fig.update_yaxes(range=[np.log10(max(low, 1e-3)) - 0.2, np.log10(high) + 0.2], row=1, col=3)
    return fig


def draw_estimators(result: lab.Estimators) -> go.Figure:
    fig = draw.panels(
        [("true success p", "estimate / p"), ("true success p", "samples drawn")],
        log_x=[True, True],
        log_y=[False, True],
        titles=["90% of estimates, relative to the truth", "What it costs"],
    )
    p = result.success
    fixed_name, until_name = f"{result.fixed_samples:,} fixed samples", f"until {result.passes} pass"
    fig.add_trace(draw.band(p, result.fixed[0], result.fixed[2], fixed_name, GRAY, opacity=0.35), row=1, col=1)
    fig.add_trace(draw.band(p, result.pass_until[0], result.pass_until[2], until_name, BLUE, opacity=0.35), row=1, col=1)
    fig.add_trace(draw.line(p, result.fixed[1], "medians", GRAY, width=2, showlegend=False), row=1, col=1)
    fig.add_trace(draw.line(p, result.pass_until[1], "medians", BLUE, width=2, showlegend=False), row=1, col=1)
    for name, mean, error, color in zip((until_name, fixed_name), result.mean, result.mean_error, (BLUE, GRAY), strict=True):
        seen = mean < 3.4
        cloud = draw.points(result.point[seen], mean[seen], f"mean of {name}", color, standard_error=error[seen], showlegend=False)
        fig.add_trace(cloud, row=1, col=1)
    fig.add_trace(draw.guide([p[0], p[-1]], [1, 1], "unbiased", showlegend=False), row=1, col=1)
    fig.add_trace(draw.line(p, result.draws, until_name, BLUE, showlegend=False), row=1, col=2)
    level = draw.line([p[0], p[-1]], [result.fixed_samples] * 2, fixed_name, GRAY, showlegend=False)
    fig.add_trace(level, row=1, col=2)
    fig.add_trace(draw.guide(p, result.passes / p, "r/p", showlegend=False), row=1, col=2)
    draw.mark_x(fig, 1 / result.fixed_samples, "1/n", col=1)
    draw.mark_x(fig, result.passes / result.cap, "r/cap", col=1)
    fig.update_xaxes(range=[-7, 0])
    fig.update_yaxes(range=[-0.1, 3.5], row=1, col=1)
    fig.update_yaxes(range=[0, 6.6], row=1, col=2)
    return fig


METHODS = {"likelihood": ("maximum likelihood", BLUE), "plug_in": ("line through log(−log p̂)", VERMILLION)}


def draw_prediction(result: lab.Prediction) -> go.Figure:
    fig = draw.panels(
        [("passes r", "RMS error"), ("passes r", "bias"), ("passes r", "coverage of the 90% interval")],
        log_x=[True] * 3,
        log_y=[True, False, False],
        titles=["Error of log(−log p) at 2.4B", "Its bias", "Honest intervals?"],
        gap=0.1,
    )
    r = result.passes
    fig.add_trace(draw.line(r, result.bound, "information bound", BLUE), row=1, col=1)
    for method, (name, color) in METHODS.items():
        for col, values, error in (
            (1, result.error[method], result.error_uncertainty[method]),
            (2, result.bias[method], result.bias_uncertainty[method]),
            (3, result.coverage[method], result.coverage_uncertainty[method]),
        ):
            fig.add_trace(
                draw.points(r, values, f"{name} ± 2 SE", color, standard_error=error, showlegend=col == 1), row=1, col=col
            )
    fig.add_trace(draw.guide([2.5, 60], [0, 0], "unbiased", showlegend=False), row=1, col=2)
    fig.add_trace(draw.guide([2.5, 60], [0.9, 0.9], "90%", showlegend=False), row=1, col=3)
    fig.update_xaxes(range=[np.log10(2.6), np.log10(58)])
    most = max(float(np.abs(result.bias["plug_in"]).max()), float(np.abs(result.bias["likelihood"]).max()), 0.05)
    fig.update_yaxes(range=[-1.35 * most, 1.35 * most], row=1, col=2)
    fig.update_yaxes(range=[min(0.5, float(result.coverage["plug_in"].min()) - 0.05), 1.01], row=1, col=3)
    return fig


def draw_curvature(result: lab.Curvature) -> go.Figure:
    fig = draw.panels(
        [("second circuit's weight w", "spread of step exponents δ"), (SIZE_AXIS, "log(−log success) − chord")],
        log_x=[False, True],
        titles=["Mean curvature of log(−log success)", "At your point"],
        gap=0.22,
    )
    most = max(float(np.abs(result.curvature).max()), 0.05)
    fig.add_trace(
        draw.heatmap(
            result.second_weight,
            result.exponent_spread,
            result.curvature,
            "",
            scale=SIGNED,
            zmid=0,
            zmin=-most,
            zmax=most,
            hovertemplate="w %{x:.2f}<br>δ %{y:.2f}<br>curvature %{z:.3f}<extra></extra>",
        ),
        row=1,
        col=1,
    )
    fig.data[0].colorbar.update(x=0.405, thickness=10)
    fig.add_trace(draw.line(*result.straight, "straight", INK, showlegend=False), row=1, col=1)
    for words, there in (("slows down", result.curvature > 0.2 * most), ("accelerates", result.curvature < -0.2 * most)):
        rows, columns = np.nonzero(there)
        if rows.size > 12:
            x, y = result.second_weight[columns].mean(), result.exponent_spread[rows].mean()
            fig.add_trace(draw.on_map(float(np.clip(x, 0.13, 0.77)), y, words, color=INK), row=1, col=1)
    fig.add_trace(draw.guide([30, 2400], [0, 0], "a scaling law", showlegend=False), row=1, col=2)
    for (name, values), (color, dash) in zip(result.departure.items(), CURVES, strict=True):
        width = 4 if name == "yours" else 2
        fig.add_trace(draw.line(result.size, values, name, color, dash=dash, width=width), row=1, col=2)
    fig.add_annotation(x=0.98, y=0.97, xref="x2 domain", yref="y2 domain", text="above the chord: accelerates", **_NOTE)
    fig.add_annotation(x=0.98, y=0.03, xref="x2 domain", yref="y2 domain", text="below: slows down", **_NOTE)
    fig.update_xaxes(range=[0, 0.9], row=1, col=1)
    fig.update_yaxes(range=[0, 1], row=1, col=1)
    top = max(1.3 * max(float(np.abs(values).max()) for values in result.departure.values()), 0.1)
    fig.update_yaxes(range=[-top, top], row=1, col=2)
    fig.update_xaxes(range=[np.log10(30), np.log10(2400)], row=1, col=2)
    return fig


CURVES = ((BLUE, "solid"), (GREEN, "dash"), (GREEN, "dot"), (VERMILLION, "dash"))
_NOTE = {"showarrow": False, "xanchor": "right", "font": {"size": 12, "color": GRAY}}


def draw_own(result: lab.OwnLaw) -> go.Figure:
    fig = draw.figure(SIZE_AXIS, "−log success", log_x=True, log_y=True)
    for task, color in zip(result.tasks, PALETTE, strict=False):
        known = np.isfinite(task.minus_log)
        fig.add_trace(draw.line(result.curve_size, task.fitted, f"{task.name}: α = {task.exponent:.2f}", color, dash="dash"))
        error = (task.minus_log * task.error)[known]
        cloud = draw.points(task.size[known], task.minus_log[known], f"{task.name} ± 2 SE", color, standard_error=error)
        fig.add_trace(cloud)
        low, high = (-np.log(max(p, 1e-300)) for p in task.predicted_interval[::-1])
        middle = -np.log(max(task.predicted, 1e-300))
        star = draw.points([result.target_size], [middle], "foretold, 90%", color, symbol="star", size=14, showlegend=False)
        star.error_y = {"type": "data", "symmetric": False, "array": [high - middle], "arrayminus": [middle - low], "color": color}
        fig.add_trace(star)
    levels = [0.9, 0.5, 0.1, 0.01, 1e-4]
    for p in levels:
        draw.mark_y(fig, -float(np.log(p)), f"{p:.0%}" if p >= 0.01 else f"{p:g}")
    values = np.concatenate([t.fitted for t in result.tasks] + [t.minus_log[np.isfinite(t.minus_log)] for t in result.tasks])
    fig.update_yaxes(range=[np.log10(max(float(values.min()), 1e-3)) - 0.15, np.log10(float(values.max())) + 0.15])
    return fig


WORDS = r"""
An evaluation with $n$ samples a task reads 0 with probability $(1-p)^n$: success below $1/n$ cannot be seen, and what grew all along seems
to appear at once. **Pass-until** (093) samples until $r$ pass, at draw $K$. $K$ is negative binomial, $\mathbb E K=r/p$,
$\operatorname{Var}K=r(1-p)/p^2$, and $\frac{r-1}{K-1}$ is unbiased with relative spread about $1/\sqrt{r-2}$ **at every** $p$; $r/K$ would read
$r/(r-1)$ too high. What bounds the resolution is the cap on draws.

**Task scaling law** (093). $\mathrm{PU}=e^{-cN^{-\alpha}}$: against $\log N$ the quantity $y=\log(-\log\mathrm{PU})$ is a line of slope
$-\alpha$; an even growth of $y$ looks like a jump on linear axes.

**Emergence as curvature** (093). Concave $y$ is growth that accelerates. Two hypotheses:
*many steps*, $\mathrm{PU}=\prod_je^{-c_jN^{-\alpha_j}}$, so $y$ is a log-sum-exp of lines, with
$y''=\operatorname{Var}(\alpha_j)\ge0$ over steps weighted by hardness: **steps slow growth down, they never make it jump**, and steps of equal
exponents only shift the line. *Several circuits*, $\mathrm{PU}=\sum_iw_ie^{-h_i}$: with $L=-\log\mathrm{PU}$,
$y''=\frac{\mathbb E h''-\operatorname{Var}h'}{L}-\big(\frac{\mathbb Eh'}{L}\big)^2$ over circuits weighted by their share of success, which takes both signs.

**Fit.** The likelihood $p^s(1-p)^{n-s}$ is the same whatever stopped the sampling, so a cap needs no correction. Information on $y$ at a
size: $r(\log p)^2/(1-p)$. Maximum likelihood meets the bound at $r=3$; a line through $\log(-\log\hat p)$ is biased at small $r$ and its intervals
cover too little. Measured curvature is $b_2$ of a fit with $(\log N)^2$, in standard errors.

**Blue lines are exact, points are simulated**, with 2 standard errors (of $\log\hat p$ for single estimates). The sizes are eight from 30M to 2.4B,
near those of 093; $N$ is in millions. *Your evaluations* are fitted the same way; their intervals are a parametric bootstrap.

**Where it stops being true.** Success here is of one task, or of tasks of one difficulty: the mean of unequal tasks is itself a mixture. A sampled
success and a greedy one differ. The second circuit is a hypothesis that fits, not a mechanism observed. Whether a curve is straight
is only as sure as its smallest models: two passes at the cap decide little.
"""

LAB = Lab(
    title="Pass-until",
    question="Is an emergent jump there, or only below resolution?",
    views=[
        View(
            "Emergence",
            "scaling curve",
            lab.study,
            draw_study,
            "The same task three times: a jump on linear axes, even growth once sampling goes on until some pass, and a straight line "
            "if it follows the task scaling law. Gray crosses are the usual evaluation; most read 0.",
            controls=("constant", "exponent", "passes", "cap", "fixed_samples", "second_weight", "steps", "exponent_spread"),
        ),
        View(
            "Resolution",
            "distribution",
            lab.estimators,
            draw_estimators,
            "Left: 90% of what each evaluation reports, relative to the truth. A fixed number of samples (gray) goes blind below 1/n; "
            "pass-until (blue) keeps its precision down to r/cap. Right: it pays with samples.",
            controls=("passes", "cap", "fixed_samples", "studies"),
        ),
        View(
            "Prediction",
            "scaling curve",
            lab.prediction,
            draw_prediction,
            "Error of the prediction for a model held out, against r. Maximum likelihood lies on the bound with honest intervals; "
            "the line through estimates is biased and too sure of itself.",
            controls=("constant", "exponent", "cap", "passes", "studies"),
        ),
        View(
            "Curvature",
            "phase diagram",
            lab.curvature_map,
            draw_curvature,
            "Blue: growth accelerates beyond a scaling law (concave); red: it slows down. With no second circuit, left edge, "
            "no spread of steps ever accelerates.",
            controls=("second_weight", "exponent_spread", "second_constant", "second_exponent", "constant", "exponent", "steps"),
            click=("second_weight", "exponent_spread"),
        ),
        View(
            "Your evaluations",
            "scaling curve",
            lab.own_law,
            draw_own,
            "Each task's −log success against model size with its fitted law; stars foretell the target size. Where points bend "
            "off their line the headline says how sure that is.",
            controls=("data", "target_size", "refits"),
        ),
    ],
    presets={
        "Emergence that is not": {"constant": 40.0, "exponent": 0.42, "second_weight": 0.0, "view": "Emergence"},
        "True acceleration: a second circuit": {
            "constant": 15.0,
            "exponent": 0.3,
            "second_weight": 0.5,
            "passes": 50,
            "view": "Emergence",
        },
        "Many unequal steps slow down": {"constant": 20.0, "steps": 20, "exponent_spread": 1.0, "passes": 50, "view": "Emergence"},
        "A cap too low": {"cap": 1000, "passes": 8, "view": "Emergence"},
        "r = 3": {"passes": 3, "view": "Emergence"},
        "r = 50": {"passes": 50, "view": "Emergence"},
        "Blind below 1/n": {"fixed_samples": 50, "passes": 30, "view": "Resolution"},
        "Prediction under a cap": {"cap": 10_000, "view": "Prediction"},
        "Where circuits accelerate": {
            "constant": 8.0,
            "exponent": 0.3,
            "second_weight": 0.5,
            "exponent_spread": 0.2,
            "view": "Curvature",
        },
        "Steps alone": {"second_weight": 0.0, "exponent_spread": 0.9, "steps": 10, "view": "Curvature"},
    },
    words=WORDS,
    papers={"093": "own object"},
)
