"""Will the small runs predict the large one?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.small_runs import (
    BestSize,
    Extrapolated,
    LiveCurve,
    Selection,
    best_model_size,
    choose_model,
    extrapolate_runs,
    live_learner,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILLION

DECADES = {"dtick": 1, "exponentformat": "power"}
LEARNER_NAMES = {"kernel_ridge": "kernel regression", "nearest_neighbor": "nearest neighbor", "mean": "mean of n"}


def draw_extrapolated(result: Extrapolated) -> go.Figure:
    low, high = result.grid[0], result.grid[-1]
    fig = draw.figure("size", "error", log_x=True, log_y=True, x_range=(low, high), height=500)
    if result.regions is not None:
        # Where the truth bends: the floor's share passes a half at the second end.
        for start, end, text in (
            (low, result.regions[0], "best guess"),
            (result.regions[0], result.regions[1], "power law"),
            (result.regions[1], high, "irreducible"),
        ):
            left, right = max(start, low), min(end, high)
            if right > left * 1.5:
                fig.add_annotation(
                    x=np.log10(left * right) / 2,
                    y=1,
                    yref="paper",
                    text=text,
                    showarrow=False,
                    yanchor="bottom",
                    font={"color": GRAY, "size": 13},
                )
            if low < end < high:
                fig.add_vline(x=end, line={"color": GRAY, "width": 1, "dash": "dash"})
    fig.add_trace(draw.band(result.grid, result.low, result.high, "95% band", BLUE))
    if result.truth is not None:
        fig.add_trace(draw.line(result.grid, result.truth, "truth", ORANGE, width=4, opacity=0.8))
    fig.add_trace(draw.line(result.grid, result.pure, "fit A m<sup>−b</sup>", PURPLE, dash="dash", width=2))
    fig.add_trace(draw.line(result.grid, result.fitted, "fit c + A m<sup>−b</sup>", BLUE))
    flagged = result.z > 3.5
    fig.add_trace(draw.points(result.size[~flagged], result.error[~flagged], "runs", BLUE, size=6))
    if flagged.any():
        fig.add_trace(draw.points(result.size[flagged], result.error[flagged], "flagged", VERMILLION, symbol="x", size=9))
    at = draw.points([result.target], [result.predicted[0]], "predicted", VERMILLION, symbol="star", size=15)
    fig.add_trace(at)
    fig.add_vline(x=result.largest, line={"color": GRAY, "width": 1.3, "dash": "dot"})
    shown = [result.error, result.fitted] + ([] if result.truth is None else [result.truth])
    seen = np.concatenate(shown)
    fig.update_yaxes(range=[np.log10(max(seen.min(), seen.max() / 1e4)) - 0.08, np.log10(seen.max()) + 0.04])
    fig.update_xaxes(**DECADES)
    fig.update_layout(legend={"y": 1.07})
    return fig


def draw_residuals(result: Extrapolated) -> go.Figure:
    fig = draw.figure("size", "residual, robust standard deviations", log_x=True, height=460)
    sizes = np.array([result.size.min() / 1.6, result.size.max() * 1.6])
    fig.add_trace(draw.band(sizes, [-3.5, -3.5], [3.5, 3.5], "within 3.5", GRAY, opacity=0.15))
    flagged = result.z > 3.5
    if result.mistuned is None:
        groups = [(~flagged, "not flagged", BLUE, "circle"), (flagged, "flagged", VERMILLION, "x")]
    else:
        bad = result.mistuned
        groups = [
            (~bad & ~flagged, "sound", BLUE, "circle"),
            (bad & flagged, "mistuned, flagged", VERMILLION, "x"),
            (bad & ~flagged, "mistuned, missed", ORANGE, "diamond"),
            (~bad & flagged, "sound, flagged", PURPLE, "x"),
        ]
    for mask, name, color, symbol in groups:
        if mask.any():
            fig.add_trace(draw.points(result.size[mask], result.z[mask], name, color, symbol=symbol, size=9))
    draw.mark_y(fig, 3.5, "flagged above")
    top = max(6.0, float(np.ceil(min(result.z.max(), 60)) + 1))
    fig.update_yaxes(range=[-max(4.5, min(float(-result.z.min()) + 1, 30)), top])
    fig.update_xaxes(range=np.log10(sizes), **DECADES)
    return fig


def draw_selection(result: Selection) -> go.Figure:
    fig = draw.figure(
        "noise of log error σ",
        "extrapolation factor",
        log_x=True,
        log_y=True,
        x_range=(result.noise[0], result.noise[-1]),
        y_range=(result.factor[0], result.factor[-1]),
        height=520,
    )
    heat = draw.heatmap(result.noise, result.factor, result.simulated, "right choice, simulated", zmin=0.5, zmax=1)
    heat.colorbar.update({"tickformat": ".0%"})
    heat.hovertemplate = "σ %{x:.3f}<br>factor %{y:.3g}<br>right %{z:.2f}<extra></extra>"
    fig.add_trace(heat)
    for level in (0.6, 0.75, 0.9, 0.99):
        # The noise at which theory passes the level, row by row: it falls along each row.
        x = [10 ** float(np.interp(-level, -row, np.log10(result.noise))) for row in result.theory]
        inside = np.array([row[-1] < level < row[0] for row in result.theory])
        if inside.sum() > 1:
            x, y = np.array(x)[inside], result.factor[inside]
            fig.add_trace(draw.boundary(x, y, f"{level:.0%}", at=0.45))
    fig.update_yaxes(**DECADES)
    fig.update_xaxes(tickvals=[0.001, 0.003, 0.01, 0.03, 0.1], ticktext=["0.001", "0.003", "0.01", "0.03", "0.1"])
    return fig


def draw_live(result: LiveCurve) -> go.Figure:
    fig = draw.figure("training samples n", "mean squared error", log_x=True, log_y=True, height=480)
    name = LEARNER_NAMES[result.learner]
    fig.add_trace(draw.line(result.grid, result.theory, f"{name}, exact", BLUE))
    bars = np.minimum(result.standard_error, 0.45 * result.simulated)
    fig.add_trace(draw.points(result.n, result.simulated, "simulated", BLUE, standard_error=bars))
    fit = np.maximum(result.fitted, 1e-30)
    fig.add_trace(draw.line(result.grid, fit, f"fit, b = {result.exponent:.3g}", VERMILLION, dash="dash", width=2))
    if result.floor > 0:
        draw.mark_y(fig, result.floor, "no data removes this")
    slope = result.theory[0] * (result.grid / result.grid[0]) ** -result.known_exponent
    fig.add_trace(draw.guide(result.grid, slope, f"slope −{result.known_exponent:.3g}"))
    low = min(result.theory[-1], result.simulated.min()) / 2
    fig.update_yaxes(range=np.log10([low, max(result.theory[0], result.simulated.max()) * 2]), **DECADES)
    fig.update_xaxes(**DECADES)
    return fig


def draw_best_size(result: BestSize) -> go.Figure:
    fig = draw.panels(
        [("features k", "error above the noise"), ("training samples n", "best number of features")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Error against model size", "Best model size"],
        height=480,
    )
    for n, row, color in zip(result.shown_n, result.excess, (SKY, BLUE, GREEN, PURPLE), strict=True):
        fig.add_trace(draw.line(result.k, row, f"n = {n:,.0f}", color, width=2), row=1, col=1)
        k = int(np.nanargmin(row))
        star = draw.points([result.k[k]], [row[k]], "", color, symbol="star", size=12, showlegend=False)
        fig.add_trace(star, row=1, col=1)
    fig.add_trace(
        draw.points(result.simulated_k, result.simulated, "simulated, n = 100", BLUE, standard_error=result.standard_error, size=6),
        row=1,
        col=1,
    )
    fig.add_trace(draw.line(result.n, result.best, "best k, exact", VERMILLION), row=1, col=2)
    guide = result.best[-1] * (result.n / result.n[-1]) ** result.known_slope
    fig.add_trace(draw.guide(result.n, guide, f"slope {result.known_slope:.3g}"), row=1, col=2)
    fig.update_xaxes(range=[0, 4], **DECADES, row=1, col=1)
    low = np.nanmin(result.excess)
    fig.update_yaxes(range=[np.log10(low) - 0.3, 0.7], **DECADES, row=1, col=1)
    fig.update_xaxes(range=[1, 5], **DECADES, row=1, col=2)
    fig.update_yaxes(range=[0, 5], **DECADES, row=1, col=2)
    return fig


WORDS = r"""
**The curve** (059). Error against size has three regions: the best guess of a model that has learned nothing, a power law, and a floor
that no size removes. Planted here: $\varepsilon(m)=c+\min\!\big(1,(m/100)^{-b}\big)$; the floor takes over where $(m/100)^{-b}=c$.

**The study** (354). Runs at seven sizes over three decades, several seeds each, normal noise $\sigma$ on the log error; a mistuned run's log error is raised
by $0.1\,|z|$. Two fits in the summed log-Huber loss ($\delta=10^{-2}$): $c+Am^{-b}$, and $Am^{-b}$, a straight line on log axes. With $c>0$ the local slope falls
with size, so that the straight line is too optimistic for every large enough run. Bands resample runs. A run is flagged where its residual exceeds
3.5 robust standard deviations (1.4826 median absolute deviations, corrected for the constants fitted): the usual mark for a modified z-score.

**The choice.** A second model has $e^{\rm gap}$ times the error at every size. Fits to both are extrapolated and the lower prediction chosen. For small noise the
log prediction has standard error $s=\sigma\sqrt{v\,g^{\top}(J^{\top}J)^{-1}g}$, $v$ the variance factor of Huber's estimator, and the choice is right with probability
$\Phi\big({\rm gap}/(\sqrt2\,s)\big)$: the white lines. The headline sets beside it the plain comparison of the largest runs. Where models keep their order that
comparison wins: extrapolation pays only where curves may cross.

**Live learners**, squared error over clean targets. *Mean* of $n$ normals: $1/n$. *Nearest neighbor* of $\cos2\pi x$ on a circle:
$\int_0^{1/2}2m(1-2r)^{m-1}(1-\cos2\pi r)\,dr\to\pi^2/m^2$, plus $\sigma^2$ of the neighbor's label, a floor. *Kernel regression*, eigenvalues $i^{-p}$, squared
coefficients $i^{-q}$, ridge $10^{-6}$: the eigenframework's curve, exponent $\min(q-1,2p)$; with label noise a small ridge keeps a share of it for ever.
*Least squares on $k$ of infinitely many features*: $\big(\sum_{i>k}i^{-q}/\zeta(q)+\sigma^2\big)\frac{n-1}{n-k-1}-\sigma^2$, exactly. Its best $k$ grows as $n$ without noise and
as $n^{1/q}$ with it.

**What is whose.** The papers' experiments are not reproduced: this is their question on planted curves (*fits*) and on learners small enough to be exact
(*mechanisms*). 059 finds exponents well below the 1/2 to 1 of simple learners. The
linear theory knows no mistuned runs, no plateau ($m<100$) and no bend of the law; at $c=0$ the fit, whose floor cannot be negative, does better than its lines, and at
large noise and far extrapolation it leaves them.
"""

STUDY = ("exponent", "floor", "seed_noise", "seeds_per_size", "largest_fitted_size", "mistuned_share")

LAB = Lab(
    title="Small runs, large claims",
    question="Will the small runs predict the large one?",
    views=[
        View(
            "Extrapolation",
            "scaling curve",
            extrapolate_runs,
            draw_extrapolated,
            "Dots left of the dotted line are all that is trained. The dashed straight fit runs below the truth (orange) once the floor "
            "tells; the fit with a floor carries an honest band (blue).",
            controls=(*STUDY, "extrapolation_factor", "runs"),
        ),
        View(
            "Choose between two",
            "phase diagram",
            choose_model,
            draw_selection,
            "Color: how often the better of two models is chosen, simulated; white: linear theory. Up is a bolder extrapolation, right "
            "more noise.",
            controls=("gap", "seed_noise", "extrapolation_factor", "seeds_per_size", "form_fitted", "mistuned_share", "n_studies"),
            click=("seed_noise", "extrapolation_factor"),
        ),
        View(
            "Live learners",
            "scaling curve",
            live_learner,
            draw_live,
            "Dots are simulated (two standard errors), the blue line is theory beyond them; the dashed fit shows what the dots alone "
            "would have promised.",
            controls=("learner", "largest_samples", "label_noise", "spectrum_exponent", "target_exponent", "n_trials"),
        ),
        View(
            "Best model size",
            "scaling curve",
            best_model_size,
            draw_best_size,
            "Left: at each sample size one number of features is best (star). Right: how it grows with the data, against its slope at "
            "infinity.",
            controls=("target_exponent", "label_noise", "n_trials"),
        ),
        View(
            "Runs gone wrong",
            "table",
            extrapolate_runs,
            draw_residuals,
            "Each run's residual from the fit. Above the line it is flagged: did it converge, was it tuned? Orange diamonds are "
            "mistuned runs that hide in the noise.",
            controls=(*STUDY, "runs"),
        ),
    ],
    presets={
        "Pure power law": {"floor": 0.0, "view": "Extrapolation"},
        "Hidden floor": {"floor": 0.2, "seed_noise": 0.003, "extrapolation_factor": 1e4, "view": "Extrapolation"},
        "Still near the plateau": {"largest_fitted_size": 3e3, "floor": 0.1, "exponent": 0.3, "view": "Extrapolation"},
        "One seed a size": {"seeds_per_size": 1, "seed_noise": 0.02, "view": "Extrapolation"},
        "Floor out of sight": {"floor": 0.05, "exponent": 0.1, "seed_noise": 0.02, "view": "Extrapolation"},
        "Half mistuned": {"mistuned_share": 0.5, "seeds_per_size": 6, "view": "Runs gone wrong"},
        "A tenth mistuned": {"mistuned_share": 0.1, "seeds_per_size": 6, "view": "Runs gone wrong"},
        "One seed or ten": {"seeds_per_size": 10, "view": "Choose between two"},
        "Straight fits choose better": {"form_fitted": "pure", "floor": 0.0, "view": "Choose between two"},
        "Nearest neighbor in one dimension": {
            "learner": "nearest_neighbor",
            "largest_samples": 1024,
            "label_noise": 0.0,
            "n_trials": 50,
            "view": "Live learners",
        },
        "Nearest neighbor with label noise": {
            "learner": "nearest_neighbor",
            "label_noise": 0.1,
            "n_trials": 100,
            "view": "Live learners",
        },
        "Noise that kernels keep": {"learner": "kernel_ridge", "label_noise": 0.3, "view": "Live learners"},
        "Best size with noise": {"label_noise": 0.3, "view": "Best model size"},
    },
    words=WORDS,
    papers={"059": "miniature", "354": "miniature"},
)
