"""Which learning rate and batch size, before you train?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.parameters import format_number
from compute.scaling_laws.hyperparameter_laws import (
    BatchTrade,
    Bowl,
    LawCurves,
    LawMap,
    PlanTable,
    Plateau,
    ToyRun,
    batch_trade,
    law_curves,
    law_map,
    plan_table,
    plateau,
    sweep_bowl,
    toy_run,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SIGNED, SKY, VERMILLION, faded

COLORS = {"step": BLUE, "deepseek": VERMILLION, "moonlight": GREEN, "kaplan": PURPLE, "minicpm": ORANGE, "custom": SKY}
NAMES = {
    "step": "Step law 2025",
    "deepseek": "DeepSeek 2024",
    "moonlight": "Moonlight 2025",
    "kaplan": "Kaplan 2020",
    "minicpm": "MiniCPM 2024",
    "custom": "custom",
}
RATE_AXIS, BATCH_AXIS = "learning rate η", "batch B, tokens"
DECADES = {"dtick": 1, "exponentformat": "power"}


def _labels(limits: np.ndarray) -> dict[str, list[float] | list[str]]:
    """Labels at 1, 2 and 5 of each decade: a sweep spans few."""
    low, high = (int(np.floor(v)) for v in np.log10(limits))
    values = [m * 10.0**k for k in range(low, high + 1) for m in (1, 2, 5)]
    return {"tickvals": values, "ticktext": [format_number(v) for v in values]}


def draw_curves(curves: LawCurves) -> go.Figure:
    x_axis = {
        "tokens": "training tokens D, at your N",
        "parameters": "parameters N, at your D",
        "compute": "compute C, FLOP, at D = 20 N",
    }[curves.along]
    fig = draw.panels(
        [(x_axis, RATE_AXIS), (x_axis, BATCH_AXIS)],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Best learning rate", "Best batch"],
        height=500,
    )
    low, high = curves.fitted
    for col, series, limits in ((1, curves.rate, (2e-5, 2e-2)), (2, curves.batch, (3e4, 1e8))):
        axes = {"row": 1, "col": col}
        mine = series[curves.law]
        sound = np.isfinite(mine)
        if sound.any():
            edges = (mine / curves.error_factor)[sound], (mine * curves.error_factor)[sound]
            fig.add_trace(draw.band(curves.x[sound], *edges, "", COLORS[curves.law], showlegend=False), **axes)
        for law, y in series.items():
            width = 4 if law == curves.law else 2
            if np.isfinite(y).any() or col == 2:
                shown = draw.line(curves.x, y, NAMES[law], COLORS[law], width=width, showlegend=col == 2, legendgroup=law)
                fig.add_trace(shown, **axes)
        if low < high:
            fig.add_vrect(x0=low, x1=high, fillcolor=GRAY, opacity=0.22, line_width=0, layer="below", **axes)
            fig.add_annotation(
                x=(np.log10(low) + np.log10(high)) / 2,
                y=0.0,
                yref=f"y{'' if col == 1 else 2} domain",
                yanchor="bottom",
                text="Step law's runs",
                showarrow=False,
                font={"color": GRAY, "size": 11},
                **axes,
            )
        draw.mark_x(fig, curves.at_x, "", col=col)
        value = curves.here[curves.law][col - 1]
        if np.isfinite(value) and curves.along != "compute":
            fig.add_trace(
                draw.points([curves.at_x], [value], "you", COLORS[curves.law], symbol="star", size=15, showlegend=False), **axes
            )
        fig.update_xaxes(range=np.log10(curves.x[[0, -1]]), **DECADES | {"dtick": 2 if curves.along == "compute" else 1}, **axes)
        fig.update_yaxes(range=np.log10(limits), **DECADES, **axes)
    return fig


def draw_map(plane: LawMap) -> go.Figure:
    fig = draw.figure(
        "parameters N",
        "training tokens D",
        log_x=True,
        log_y=True,
        x_range=plane.n[[0, -1]],
        y_range=plane.d[[0, -1]],
        height=520,
    )
    what = "rate" if "rate" in plane.shown else "batch"
    if plane.is_ratio:
        z, title = np.log2(plane.value), f"log₂ of {what}, {NAMES[plane.law]} / {NAMES[plane.second_law]}"
        style = {"scale": SIGNED, "zmid": 0, "zmin": -6, "zmax": 6}
    else:
        z, title = np.log10(plane.value), f"log₁₀ of the {plane.shown}, {NAMES[plane.law]}"
        style = {"zmin": -5 if what == "rate" else 4, "zmax": -2 if what == "rate" else 8}
    fig.add_trace(
        draw.heatmap(
            plane.n,
            plane.d,
            z,
            title,
            customdata=plane.value,
            hovertemplate="N %{x:.3g}<br>D %{y:.3g}<br>%{customdata:.3g}<extra></extra>",
            **style,
        )
    )
    ink = "#24292f" if plane.is_ratio else "#ffffff"
    if np.isnan(plane.value).any():
        fig.add_hrect(y0=plane.d[0], y1=plane.d[-1], fillcolor=GRAY, opacity=0.4, line_width=0, layer="below")
        fig.add_trace(draw.on_map(3.5e10, 3e12, "no rate above<br>N = 1.21e10"))
    step = {"start": -8, "end": 8, "size": 1 if plane.is_ratio else 0.5}
    fig.add_trace(
        go.Contour(
            x=plane.n,
            y=plane.d,
            z=z,
            contours={"coloring": "none", "showlabels": True, "labelfont": {"color": ink, "size": 11}, **step},
            line={"color": faded(ink, 0.45), "width": 1},
            showscale=False,
            showlegend=False,
            hoverinfo="skip",
        )
    )
    inside = 20 * plane.n <= plane.d[-1]
    fig.add_trace(draw.line(plane.n[inside], 20 * plane.n[inside], "", ink, dash="dash", width=2, showlegend=False))
    k = int(0.42 * inside.sum())
    fig.add_trace(draw.on_map(plane.n[k] * 2.2, 20 * plane.n[k] * 0.75, "20 tokens per parameter", color=ink))
    fig.add_trace(
        go.Scatter(
            x=[6e7, 1e9, 1e9, 6e7, 6e7],
            y=[2e9, 2e9, 1e11, 1e11, 2e9],
            mode="lines",
            line={"color": ORANGE, "width": 2},
            showlegend=False,
            hoverinfo="skip",
        )
    )
    fig.add_trace(draw.on_map(3.6e8, 1.45e11, "Step law's runs", color=ink, size=12))
    fig.update_xaxes(**DECADES)
    fig.update_yaxes(**DECADES)
    return fig


def draw_plateau(result: Plateau) -> go.Figure:
    fig = draw.figure(
        "step size η (λ₁ = 1)",
        "batch B, examples",
        log_x=True,
        log_y=True,
        x_range=result.step_size[[0, -1]],
        y_range=(1, 4096),
        height=520,
    )
    excess = result.loss / result.best[2] - 1
    fig.add_hrect(y0=1, y1=4096, fillcolor=GRAY, opacity=0.45, line_width=0, layer="below")
    fig.add_trace(
        draw.heatmap(
            result.step_size,
            result.batch,
            np.log10(np.maximum(excess, 1e-4)),
            "loss over the least",
            customdata=result.loss,
            hovertemplate="η %{x:.3g}<br>B %{y:.3g}<br>loss %{customdata:.4f}<extra></extra>",
            zmin=-3,
            zmax=0.5,
        )
    )
    fig.update_traces(
        colorbar={"tickvals": [-3, -2, -1, 0], "ticktext": ["0.1%", "1%", "10%", "100%"]}, selector={"type": "heatmap"}
    )
    fig.add_trace(draw.line(*result.plateau, "", "#ffffff", width=3, showlegend=False, hoverinfo="skip"))
    fig.add_trace(draw.line(result.valley, result.batch, "best η at each batch", ORANGE, dash="dash", width=2))
    fig.add_trace(draw.points([result.best[0]], [result.best[1]], "best of all", ORANGE, symbol="star", size=15))
    fig.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line={"color": "#c8c8c4", "width": 3}, name="1% plateau (white)"))
    fig.add_trace(draw.boundary([2, 2], [1, 4096], ""))
    fig.add_trace(draw.on_map(0.6, 2600, "stability edge ηλ₁ = 2"))
    return fig


def draw_run(run: ToyRun) -> go.Figure:
    fig = draw.figure("examples spent", "excess loss", log_x=True, log_y=True, height=480)
    fig.add_trace(draw.line(run.examples, run.start, "left of the start", GREEN, dash="dash", width=1.8))
    fig.add_trace(draw.line(run.examples, np.maximum(run.noise, 1e-12), "noise", VERMILLION, dash="dash", width=1.8))
    fig.add_trace(draw.line(run.examples, run.loss, "their sum, exact", BLUE))
    fig.add_trace(
        draw.points(
            run.simulated_examples,
            run.simulation,
            f"SGD, mean of {run.n_runs} runs ± 2 SE",
            BLUE,
            standard_error=run.standard_error,
        )
    )
    top = float(run.loss.max()) * 1.5
    bottom = max(float(min(run.loss.min(), run.noise[run.noise > 0].min(initial=1.0))), float(run.loss.min()) / 100) / 1.5
    fig.update_yaxes(range=np.log10([bottom, top]))
    return fig


def draw_trade(trade: BatchTrade) -> go.Figure:
    fig = draw.figure("tokens E = S B", "steps S", log_x=True, log_y=True, x_range=(1e8, 1e14), y_range=(1e2, 1e8), height=520)
    order = np.argsort(-trade.level)
    shades = dict(zip(order, (SKY, BLUE, GREEN, PURPLE), strict=True))
    for k in order:
        name = f"L = {trade.level[k]:.3f}" + (" (yours)" if k == 0 else "")
        color = VERMILLION if k == 0 else shades[k]
        fig.add_trace(draw.line(trade.tokens[k], trade.steps[k], name, color, width=4 if k == 0 else 2))
    fig.add_trace(
        draw.points(
            2 * trade.least_steps * trade.critical, 2 * trade.least_steps, "critical batch", ORANGE, symbol="diamond", size=11
        )
    )
    ends = np.array([1e8, 1e14])
    fig.add_trace(
        draw.guide(ends, ends / trade.law_batch, f"batch of {NAMES[trade.law]} at your N, D: {trade.law_batch:.3g} tokens")
    )
    fig.update_xaxes(**DECADES)
    fig.update_yaxes(**DECADES)
    return fig


def draw_bowl(bowl: Bowl) -> go.Figure:
    fig = draw.figure(
        RATE_AXIS,
        BATCH_AXIS,
        log_x=True,
        log_y=True,
        x_range=bowl.grid_rate[[0, -1]],
        y_range=bowl.grid_batch[[0, -1]],
        height=540,
    )
    fig.add_trace(
        draw.heatmap(
            bowl.grid_rate,
            bowl.grid_batch,
            np.log10(np.maximum(bowl.excess, 1e-4)),
            "fitted loss over its least",
            customdata=bowl.excess,
            hovertemplate="η %{x:.3g}<br>B %{y:.3g}<br>%{customdata:.2%}<extra>fitted bowl</extra>",
            zmin=-3.5,
            zmax=-0.5,
        )
    )
    fig.update_traces(colorbar={"tickvals": [-3, -2, -1], "ticktext": ["0.1%", "1%", "10%"]}, selector={"type": "heatmap"})
    fig.add_trace(draw.boundary(*bowl.plateau, "1%", at=0.12))
    if bowl.ellipse[0].size:
        fig.add_trace(draw.line(*bowl.ellipse, "80% of the minima", ORANGE, width=2.5))
    for mask, name, opacity in ((~bowl.kept, "runs left out", 0.35), (bowl.kept, "runs fitted", 1.0)):
        if mask.any():
            runs = draw.points(bowl.rate[mask], bowl.batch[mask], name, "#ffffff", size=6, opacity=opacity)
            runs.marker.line = {"color": "#24292f", "width": 1}
            runs.customdata = bowl.loss[mask]
            runs.hovertemplate = "η %{x:.3g}<br>B %{y:.3g}<br>loss %{customdata:.4f}<extra></extra>"
            fig.add_trace(runs)
    fig.add_trace(draw.points([bowl.best[0]], [bowl.best[1]], "minimum of the bowl", ORANGE, symbol="star", size=15))
    if bowl.planted is not None:
        fig.add_trace(draw.points(*([v] for v in bowl.planted), "planted optimum", ORANGE, symbol="x-thin-open", size=13))
        fig.data[-1].marker.line = {"color": ORANGE, "width": 3}
    for law, (rate, batch) in bowl.laws.items():
        if np.isfinite(rate):
            place = draw.points([rate], [batch], NAMES[law], COLORS[law], symbol="diamond", size=13)
            place.marker.line = {"color": "#ffffff", "width": 1.5}
            fig.add_trace(place)
    fig.update_xaxes(**_labels(bowl.grid_rate[[0, -1]]))
    fig.update_yaxes(**_labels(bowl.grid_batch[[0, -1]]))
    return fig


def draw_plans(plans: PlanTable) -> go.Figure:
    rows = np.arange(plans.n.size, dtype=float)
    fig = draw.panels(
        [(RATE_AXIS, ""), (BATCH_AXIS, "")],
        log_x=[True, True],
        titles=["Learning rate", "Batch"],
        height=170 + 34 * rows.size,
        gap=0.04,
    )
    for col, series in ((1, plans.rate), (2, plans.batch)):
        values = np.array(list(series.values()))
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        fig.add_trace(draw.strokes(np.stack([low, high], axis=1), rows[:, None], GRAY, 5, opacity=0.3), row=1, col=col)
        for law, x in series.items():
            if not np.isfinite(x).any():
                continue
            mark = "star" if law == plans.law else "circle"
            shown = draw.points(
                x,
                rows,
                NAMES[law],
                COLORS[law],
                symbol=mark,
                size=15 if law == plans.law else 10,
                legendgroup=law,
                showlegend=col == 2,
            )
            shown.hovertemplate = f"{NAMES[law]}: %{{x:.3g}}<extra></extra>"
            fig.add_trace(shown, row=1, col=col)
        fig.update_yaxes(range=[rows.size - 0.4, -0.6], showgrid=False, ticks="", row=1, col=col)
    fig.update_yaxes(tickvals=rows, ticktext=plans.name, row=1, col=1)
    fig.update_yaxes(showticklabels=False, row=1, col=2)
    fig.update_xaxes(range=np.log10([2e-5, 1e-2]), **DECADES, row=1, col=1)
    fig.update_xaxes(range=np.log10([1e5, 1e8]), **DECADES, row=1, col=2)
    return fig


WORDS = r"""
**Published laws** (each a fit to one study's sweeps; batches in tokens, $N$ without the vocabulary's parameters, $C=6ND$):

| law | learning rate | batch |
|---|---|---|
| Step law (025) | $1.79\,N^{-0.713}D^{0.307}$ | $0.58\,D^{0.571}$ |
| DeepSeek LLM 2024 | $0.3118\,C^{-0.125}$ | $0.292\,C^{0.3271}$ |
| Moonlight 2025 | $0.0127\,C^{-0.057}$ | $0.0065\,C^{0.4138}$ |
| Kaplan et al. 2020 | $0.003239-0.0001395\ln N$ | $B_{\mathrm{crit}}=2.1\times10^8\,L^{-1/0.21}$ |
| MiniCPM 2024 | none ($\mu$-parametrization) | $1.21\times10^9\,L^{-6.24}$ |

Kaplan's rate is negative above $N=1.21\times10^{10}$: no value there. Laws in the loss take it from Besiroglu's constants at
$(N,D)$; the studies' own losses, data and tokenizers differ, so read factors of two with care. The Step law comes from models of about
60M–1B parameters and 2B–100B tokens, DeepSeek's from $10^{17}$–$2\times10^{19}$ FLOP; all the rest is extrapolation. Note the sign: the Step law
*raises* the rate with the horizon at fixed $N$, where others lower it.

**Your sweep.** $\log L=c+g^\top z+\frac12z^\top Hz$, $z=(\log_2\eta,\log_2B)$, least squares over the runs within a window of the best;
minimum $-H^{-1}g$; rows are resampled for the ellipse. Until you bring a sweep the runs are **planted** around an optimum 0.6 octaves above the
law's rate and 0.7 below its batch, with a curvature of our choosing: they say how many runs locate an optimum, not which law is right.

**A toy with a plateau** (simulated live, exact in expectation). Eigenvalues $\lambda_j=j^{-a}$, $j\le500$, one pass at constant step size, gradient
noise of regression with unit label noise, $\mathrm{Var}\,g_j=\lambda_j/B$, start $x_j=1$. A budget buys $T=\lfloor D/(B+B_0)\rfloor$ steps:
$$\mathbb E\,x_j^2(T)=(1-\eta\lambda_j)^{2T}(1-v_j)+v_j,\qquad v_j=\frac{\eta}{B(2-\eta\lambda_j)},\qquad L=\tfrac12+\tfrac12\sum_j\lambda_j\,\mathbb E\,x_j^2 .$$
Without overhead ($B_0=0$) smaller batches never lose: along the valley $\eta\propto B$ the plateau runs down to $B=1$. An interior best batch
appears only when a step costs something by itself ($B_0>0$). So the published interior optimum in $B$, a power of $D$ alone, is *not* explained by
this toy; the convexity and the flat valley are.

**Time against tokens** (Kaplan et al. 2020; 382). $S=S_{\min}(1+B_{\mathrm{crit}}/B)$, $E=E_{\min}(1+B/B_{\mathrm{crit}})$, hence
$(S/S_{\min}-1)(E/E_{\min}-1)=1$; at $B_{\mathrm{crit}}$ both cost twice their least.
"""

LAB = Lab(
    title="Hyperparameter laws",
    question="Which learning rate and batch size, before you train?",
    views=[
        View(
            "Plateau of a toy",
            "phase diagram",
            plateau,
            draw_plateau,
            "Every point spends the same budget. Inside the white line the loss is within 1% of the least: a narrow ridge in step size, "
            "a long one along the valley where η grows with B. Without overhead it runs down to batch 1; click to move.",
            controls=("step_overhead", "toy_budget", "spectrum_exponent", "step_size", "batch"),
            click=("step_size", "batch"),
        ),
        View(
            "What the laws say",
            "scaling curve",
            law_curves,
            draw_curves,
            "One line a law, the thick one yours, its band an error of δ in each exponent. Gray is where the Step law was fitted: even there "
            "rates differ by factors of two to four and batches by up to ten, and beyond it the slopes part.",
            controls=("law", "along", "parameters", "tokens", "exponent_error"),
        ),
        View(
            "Where laws disagree",
            "phase diagram",
            law_map,
            draw_map,
            "Lines count octaves (factors of two) between two laws, or half decades of one law's value. Only the small box was ever swept. "
            "Click to move your N and D.",
            controls=("map_shows", "law", "second_law", "parameters", "tokens"),
            click=("parameters", "tokens"),
        ),
        View(
            "Your sweep",
            "phase diagram",
            sweep_bowl,
            draw_bowl,
            "A bowl through the runs (white dots), its minimum (star) with 80% of the refits, and where each law points (diamonds). "
            "The dark floor inside the white ellipse costs less than 1%.",
            controls=("sweep", "parameters", "tokens", "sweep_runs", "sweep_noise", "fit_window", "n_refits"),
        ),
        View(
            "One run of the toy",
            "trajectory",
            toy_run,
            draw_run,
            "The loss is what is left of the start plus noise that sets in at a floor η/B. Points are SGD; the line is exact.",
            controls=("step_size", "batch", "toy_budget", "step_overhead", "n_sgd"),
        ),
        View(
            "Steps against tokens",
            "scaling curve",
            batch_trade,
            draw_trade,
            "Each hyperbola reaches one loss: a larger batch moves up-left to down-right, fewer steps for more tokens. Diamonds mark the "
            "critical batch, where both cost twice their least; the dotted line is the batch that the law prescribes.",
            controls=("loss_level", "parameters", "law", "tokens"),
        ),
        View(
            "Table of runs",
            "table",
            plan_table,
            draw_plans,
            "Each row is a planned run, each mark a law's advice; the gray bar is how far they disagree. Export the table for the numbers.",
            controls=("law", "plans"),
        ),
    ],
    presets={
        "Pure data budget: plateau to batch 1": {"step_overhead": 0.0, "view": "Plateau of a toy"},
        "Steps cost: an interior optimum": {"step_overhead": 32.0, "view": "Plateau of a toy"},
        "1B on 100B tokens": {"parameters": 1e9, "tokens": 1e11, "view": "What the laws say"},
        "7B on 2T tokens": {"parameters": 7e9, "tokens": 2e12, "view": "What the laws say"},
        "Compute-optimal line": {"along": "compute", "view": "What the laws say"},
        "A rate that falls with the horizon": {"law": "custom", "along": "tokens", "view": "What the laws say"},
        "Fourteen noisy runs": {"sweep_runs": 14, "sweep_noise": 5e-3, "view": "Your sweep"},
        "Beyond the critical batch": {"law": "minicpm", "tokens": 1e12, "loss_level": 2.7, "view": "Steps against tokens"},
    },
    words=WORDS,
    papers={"025": "own object"},
)
