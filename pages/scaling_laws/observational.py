"""Can public benchmark scores replace a training sweep?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.observational import (
    Dimensions,
    Efficiencies,
    Extrapolation,
    Payoff,
    Selection,
    dimensions,
    efficiencies,
    extrapolation,
    payoff,
    selection,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, SIGNED, SKY, VERMILLION

HUES = (*PALETTE, GRAY)
COMPUTE_AXIS = "log₁₀ of training compute (FLOP)"


def draw_extrapolation(result: Extrapolation) -> go.Figure:
    fig = draw.panels(
        [("fitted capability α + β·PC", "downstream task"), (COMPUTE_AXIS, "downstream task")],
        titles=["Against capability", "Against compute"],
        height=480,
    )
    first, second = {"row": 1, "col": 1}, {"row": 1, "col": 2}
    fig.add_trace(draw.line(result.index_curve, result.capability_curve, "sigmoid, fitted to the weak models", BLUE), **first)
    if result.compute_curve_at.size:
        fig.add_trace(draw.line(result.compute_curve_at, result.compute_curve, "", BLUE, showlegend=False), **second)
        draw.mark_x(fig, result.cutoff, "cutoff", col=2)
    for mask, name, color, symbol in (
        (result.train, "weak models, fitted", BLUE, "circle"),
        (result.test, "strong models, foretold", VERMILLION, "diamond"),
    ):
        fig.add_trace(draw.points(result.index[mask], result.target[mask], name, color, symbol=symbol, size=8), **first)
        if result.log_compute.size:
            shown = draw.points(result.log_compute[mask], result.target[mask], "", color, symbol=symbol, size=8, showlegend=False)
            fig.add_trace(shown, **second)
    foretold = draw.points(
        result.index[result.test],
        result.predicted[result.test],
        "prediction ± 2 SE",
        SKY,
        standard_error=result.standard_error[result.test],
        symbol="circle-open",
        size=5,
    )
    fig.add_trace(foretold, **first)
    # Clipped, so that one model far out does not squeeze the others.
    low, high = max(float(result.index.min()), -8.0), min(float(result.index.max()), 8.0)
    fig.update_xaxes(range=[np.floor(low) - 0.5, np.ceil(high) + 0.5], **first)
    fig.update_yaxes(range=[-0.03, 1.03])
    if not result.log_compute.size:
        fig.add_annotation(text="no FLOP in the table", x=0.5, y=0.5, xref="x2 domain", yref="y2 domain", showarrow=False)
    return fig


def draw_efficiencies(result: Efficiencies) -> go.Figure:
    fig = draw.figure(COMPUTE_AXIS, "first principal component", height=480)
    for f, name in enumerate(result.names):
        mine = result.family == f
        color = HUES[f % len(HUES)]
        order = np.argsort(result.log_compute[mine], kind="stable")
        x = result.log_compute[mine][order]
        fig.add_trace(draw.points(x, result.first[mine][order], name, color, size=8, showlegend=len(result.names) <= 8))
        if np.isfinite(result.slope[f]):
            ends = x[[0, -1]]
            fig.add_trace(
                draw.line(ends, result.intercept[f] + result.slope[f] * (ends - 22), name, color, width=2, showlegend=False)
            )
    draw.mark_x(fig, 22.0, "10²² FLOP")
    return fig


def draw_dimensions(result: Dimensions) -> go.Figure:
    fig = draw.panels(
        [("component", "eigenvalue of the correlation"), ("loading on PC-1", "loading on PC-2")],
        log_y=[True, False],
        titles=["Variance by component", "What each benchmark measures"],
        height=460,
    )
    first, second = {"row": 1, "col": 1}, {"row": 1, "col": 2}
    order = np.arange(1.0, result.eigenvalues.size + 1)
    above = result.eigenvalues > result.edge
    for mask, name, color in ((above, "above the noise", BLUE), (~above, "noise", GRAY)):
        shown = np.maximum(result.eigenvalues[mask], 1e-6)
        fig.add_trace(draw.points(order[mask], shown, name, color, size=10), **first)
    if result.edge > 1e-6:
        ends = [0.5, order[-1] + 0.5]
        fig.add_trace(draw.line(ends, [result.edge] * 2, "Marchenko–Pastur edge", ORANGE, dash="dash", width=2), **first)
    low = max(1e-6, 10.0 ** np.floor(np.log10(max(float(result.eigenvalues.min()), 1e-6))))
    fig.update_yaxes(range=[np.log10(low) - 0.2, np.log10(30)], dtick=1, **first)
    fig.update_xaxes(range=[0.3, order[-1] + 0.7], dtick=max(1, order.size // 8), **first)
    marks = draw.points(result.loadings[:, 0], result.loadings[:, 1], "benchmarks", GREEN, size=9, text=result.names)
    fig.add_trace(marks.update(hovertemplate="%{text}<br>%{x:.2f}, %{y:.2f}<extra></extra>"), **second)
    draw.mark_y(fig, 0.0, "", col=2)
    fig.update_xaxes(range=[-0.1, 1.0], **second)
    fig.update_yaxes(range=[-1.05, 1.05], **second)
    return fig


def draw_payoff(result: Payoff) -> go.Figure:
    fig = draw.figure(
        "cutoff (percentile of compute)", "noise of a score σ", x_range=(20, 97.5), y_range=(-0.01, 0.212), height=480
    )
    fig.add_trace(
        draw.heatmap(
            result.cutoff,
            result.noise,
            result.log2_ratio,
            "error by capability / by compute",
            scale=SIGNED,
            zmin=-3,
            zmax=3,
            hovertemplate="cutoff %{x:.0f}, σ %{y:.2f}<br>log₂ ratio %{z:.2f}<extra></extra>",
        ).update(colorbar={"tickvals": [-3, -2, -1, 0, 1, 2, 3], "ticktext": ["⅛", "¼", "½", "1", "2", "4", "8"]})
    )
    shown = np.where(np.isfinite(result.log2_ratio), np.char.mod("%.2f", 2.0**result.log2_ratio), "")
    x, y = np.meshgrid(result.cutoff, result.noise)
    fig.add_trace(
        go.Scatter(
            x=x.ravel(),
            y=y.ravel(),
            text=shown.ravel(),
            mode="text",
            textfont={"color": "#ffffff", "size": 12, "shadow": "auto"},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    return fig


def draw_selection(result: Selection) -> go.Figure:
    least = min(float(result.chosen.min()), float(result.random_low.min()), result.everything)
    low = min(0.01, 10.0 ** np.floor(np.log10(max(least, 1e-6))))
    fig = draw.figure(
        "weak models evaluated on the task", "error on the strong models", log_x=True, log_y=True, y_range=(low, 1), height=480
    )
    fig.update_yaxes(dtick=1)
    fig.add_trace(draw.band(result.count, result.random_low, result.random_high, "at random, middle half", GRAY, opacity=0.25))
    fig.add_trace(draw.line(result.count, result.random, "at random, median", GRAY, dash="dash", width=2))
    chosen = draw.line(result.count, result.chosen, "chosen by D-optimality", BLUE)
    chosen.mode = "lines+markers"
    fig.add_trace(chosen)
    fig.add_trace(draw.guide(result.count[[0, -1]], [result.everything] * 2, "all weak models"))
    first = "<br>".join(f"{k + 1}. {name}" for k, name in enumerate(result.order[:8]))
    fig.add_annotation(
        text=f"<b>evaluate first</b><br>{first}",
        x=0.99,
        y=0.98,
        xref="paper",
        yref="paper",
        xanchor="right",
        yanchor="top",
        align="left",
        showarrow=False,
        font={"color": GRAY, "size": 12},
    )
    return fig


WORDS = r"""
Many families of models have public benchmark scores; few have a sweep of training runs. **Observational scaling laws** (223) take the scores instead: capability is
low-dimensional, and families differ only in how efficiently they turn compute into it.

**The observatory is planted** (bring your own table instead). Family $f$ has latent capability $S=\theta_fc+\nu_f\in\mathbb R^k$, $c=(\log_{10}C-22)/1.5$, with log-normal $\theta_f$;
scores are $\frac12+0.13\,S\Gamma^\top$ plus noise $\sigma$, cut off at each benchmark's floor (0, 0.2 or 0.25) and at 1, or squashed by a probit. The task is
$E=0.95\,\sigma\big(\text{sharpness}\cdot(w\!\cdot\!S-0.8)\big)$ plus the same noise.

**Capability.** Missing scores are filled by an iterated singular value decomposition, columns standardized, and the principal components taken over all models, strong ones too: their
standard scores are public. Noise alone gives eigenvalues up to $v(1+\sqrt{p/n})^2$ (Marchenko–Pastur; $p$ benchmarks, $n$ models, $v$ the variance left beyond the components used).

**The task** is fitted on models below the cutoff in compute, $E=h\,\sigma(\alpha+\beta^\top\mathrm{PC})$, by least squares; the rest is foretold. Any invertible linear map of the components
gives the same predictions. Rivals: the same sigmoid in $\log C$, and in $\log C$ with a term for each family (left out where the weak models do not suffice). What the
ceiling $h$ is cannot be known from models far below it.

**Which models to evaluate?** Greedy D-optimality: each next model adds most to $\log\det$ of the information of a linear fit on the components, which needs no score on the task.

**Your data**: one row a score (`model`, `family`, `benchmark`, `score`, and `FLOP` if known); name the benchmark to foretell `target`. Without FLOP the cutoff is one in the first component.

**Where it stops.** A miniature: the planted world obeys the hypothesis by construction, so the pictures show when the *method* recovers it (enough models, little noise, enough
components), not that language models do. Floors and ceilings bend the linear law on purpose. Contamination and prompt effects are not modeled. The table of public models of
the paper is not bundled.
"""

WORLD = ("families", "models_per_family", "latent_dimensions", "benchmark_noise")

LAB = Lab(
    title="Observational scaling laws",
    question="Can public benchmark scores replace a training sweep?",
    views=[
        View(
            "A task foretold",
            "scaling curve",
            extrapolation,
            draw_extrapolation,
            "Blue models are fitted, red ones foretold. Against capability (left) all families fall on one curve; against compute (right) they scatter.",
            controls=(
                "cutoff_percentile",
                "components_used",
                "benchmark_noise",
                "sigmoid_sharpness",
                "latent_dimensions",
                "scores",
            ),
        ),
        View(
            "Efficiency of families",
            "scaling curve",
            efficiencies,
            draw_efficiencies,
            "Each family is a line: its slope is the capability that a decade of compute buys, its height what a family gets for the same compute.",
            controls=(*WORLD, "ceiling", "scores"),
        ),
        View(
            "Dimensions of the table",
            "spectrum",
            dimensions,
            draw_dimensions,
            "Left: components above the dashed line are more than noise. Right: benchmarks close together measure the same thing.",
            controls=("latent_dimensions", "benchmarks", "benchmark_noise", "components_used", "families", "scores"),
        ),
        View(
            "When it pays",
            "phase diagram",
            payoff,
            draw_payoff,
            "Blue: capability foretells better than compute; red: worse. The numbers are ratios of held-out errors, medians over simulated observatories.",
            controls=(
                "cutoff_percentile",
                "benchmark_noise",
                "components_used",
                "latent_dimensions",
                "sigmoid_sharpness",
                "n_studies",
            ),
            click=("cutoff_percentile", "benchmark_noise"),
        ),
        View(
            "Which models to evaluate",
            "table",
            selection,
            draw_selection,
            "Evaluate few models on an expensive task and foretell the strong ones: picked by D-optimality from public scores, or at random.",
            controls=("cutoff_percentile", "components_used", *WORLD, "scores"),
        ),
    ],
    presets={
        "Two dimensions without noise": {"benchmark_noise": 0.0, "ceiling": "none", "view": "Dimensions of the table"},
        "Extrapolate from the bottom 30%": {"cutoff_percentile": 30.0, "view": "A task foretold"},
        "Noise hides a dimension": {"benchmark_noise": 0.2, "benchmarks": 12, "view": "Dimensions of the table"},
        "One component is not enough": {"components_used": 1, "view": "A task foretold"},
        "Twenty families": {"families": 20, "models_per_family": 4, "view": "Efficiency of families"},
        "A sharp, emergent task": {"sigmoid_sharpness": 5.0, "cutoff_percentile": 60.0, "view": "A task foretold"},
    },
    words=WORDS,
    papers={"223": "miniature"},
)
