"""Can one dataset's loss curve predict another's?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.loss_to_loss import (
    Advantage,
    AgainstCompute,
    ExponentCloud,
    LossAgainstLoss,
    MisfitMap,
    advantage,
    against_compute,
    exponent_cloud,
    loss_against_loss,
    misfit_map,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, SIGNED, SKY, VERMILLION

LOSS_0, LOSS_1 = "loss on dataset 0, L₀ (nats)", "loss on dataset 1, L₁ (nats)"
COMPUTE_AXIS = "training compute C = 6ND, FLOP"
DECADE_TICKS = {"dtick": 1, "exponentformat": "power"}


def _steps(*values: np.ndarray, step: float = 0.5) -> list[float]:
    """Limits at whole steps around all values."""
    seen = np.concatenate([np.ravel(v) for v in values])
    return [float(np.floor(seen.min() / step) * step), float(np.ceil(seen.max() / step) * step)]


def draw_loss_against_loss(result: LossAgainstLoss) -> go.Figure:
    fig = draw.panels(
        [(LOSS_0, LOSS_1), ("L₀ − E₀, as fitted (nats)", "L₁ − E₁, as fitted (nats)")],
        log_x=[False, True],
        log_y=[False, True],
        titles=["Loss against loss", "Above the irreducible losses"],
        widths=[0.58, 0.42],
        height=480,
    )
    base_0, base_1 = result.offsets
    first = {"row": 1, "col": 1}
    fig.add_trace(draw.band(result.curve_0, result.low, result.high, "90% band of the map", BLUE), **first)
    if result.truth_0 is not None and result.truth_1 is not None:
        fig.add_trace(draw.line(result.truth_0, result.truth_1, "truth", ORANGE, width=5, opacity=0.6), **first)
    fig.add_trace(draw.line(result.curve_0, result.fit, "fitted map", BLUE, width=2), **first)
    fig.add_trace(draw.points(result.pair_0, result.pair_1, "runs on both", BLUE, size=8), **first)
    if result.true_target is not None:
        at = result.true_target
        fig.add_trace(draw.points([at[0]], [at[1]], "true target", ORANGE, symbol="circle-open", size=15), **first)
    if result.target is not None:
        at = result.target
        fig.add_trace(draw.points([at[0]], [at[1]], "predicted target", VERMILLION, symbol="star", size=13), **first)
    shown = [result.pair_0, result.curve_0]
    fig.update_xaxes(range=_steps(*shown), **first)
    fig.update_yaxes(range=_steps(result.pair_1, result.fit), **first)

    second = {"row": 1, "col": 2}
    left = result.curve_0 - base_0
    rest = result.fit - base_1
    fig.add_trace(draw.line(left, rest, "", BLUE, width=2, showlegend=False), **second)
    fig.add_trace(draw.guide(left, rest[0] * left / left[0], "slope 1"), **second)
    above = result.pair_1 > base_1
    fig.add_trace(
        draw.points((result.pair_0 - base_0)[above], (result.pair_1 - base_1)[above], "", BLUE, size=8, showlegend=False), **second
    )
    if result.target is not None and result.target[1] > base_1 and result.target[0] > base_0:
        fig.add_trace(
            draw.points(
                [result.target[0] - base_0], [result.target[1] - base_1], "", VERMILLION, symbol="star", size=13, showlegend=False
            ),
            **second,
        )
    kappa = result.summary.analysis.loss_map.kappa
    fig.add_annotation(
        text=f"slope κ = {kappa:.3g}",
        x=0.06,
        y=0.95,
        xref="x2 domain",
        yref="y2 domain",
        showarrow=False,
        font={"color": GRAY, "size": 15},
    )
    return fig


def draw_against_compute(result: AgainstCompute) -> go.Figure:
    above = "the truth" if result.truth_1 is not None else "the map"
    fig = draw.panels(
        [(COMPUTE_AXIS, "loss (nats per token)"), (COMPUTE_AXIS, f"loss on dataset 1 above {above} (%)")],
        log_x=[True, True],
        titles=["Both losses", f"Dataset 1, against {above}"],
        height=480,
    )
    first, second = {"row": 1, "col": 1}, {"row": 1, "col": 2}
    x = result.compute
    fig.add_trace(draw.points(result.compute_0, result.loss_0, "runs on dataset 0", GRAY, size=5), **first)
    fig.add_trace(draw.line(x, result.source, "its law", GRAY, width=1.5, showlegend=False), **first)
    if result.truth_1 is not None:
        fig.add_trace(draw.line(x, result.truth_1, "truth", ORANGE, width=5, opacity=0.6), **first)
    fig.add_trace(draw.line(x, result.by_own, "by its own law", GREEN, dash="dash", width=2), **first)
    fig.add_trace(draw.line(x, result.by_map, "by the map", BLUE, width=2), **first)
    fig.add_trace(draw.points(result.compute_1, result.loss_1, "runs on dataset 1", VERMILLION, size=8), **first)
    fig.update_yaxes(range=_steps(result.loss_0, result.loss_1, result.by_map), **first)
    percent = result.relative()
    for name, color in (("own_law", GREEN), ("map", BLUE)):
        low, high = percent[f"{name}_low"], percent[f"{name}_high"]
        fig.add_trace(draw.band(x, low, high, "", color, opacity=0.25, showlegend=False), **second)
    fig.add_trace(draw.line(x[[0, -1]], [0, 0], "", ORANGE, width=5, opacity=0.6, showlegend=False), **second)
    for name, color, dash in (("own_law", GREEN, "dash"), ("map", BLUE, "solid")):
        fig.add_trace(draw.line(x, percent[name], "", color, dash=dash, showlegend=False), **second)
    widest = max(float(np.abs(percent[name]).max()) for name in ("map_low", "map_high", "map", "own_law"))
    half = float(np.clip(np.ceil(widest), 1, 50))
    fig.update_yaxes(range=[-half, half], **second)
    for col in (1, 2):
        end = float(result.compute_1.max())
        fig.add_vrect(x0=x[0], x1=end, fillcolor=GRAY, opacity=0.1, line_width=0, layer="below", row=1, col=col)
        draw.mark_x(fig, result.target_compute, "target", col=col)
    fig.update_xaxes(range=np.log10(x[[0, -1]]), **DECADE_TICKS)
    return fig


def draw_advantage(result: Advantage) -> go.Figure:
    fig = draw.panels(
        [("runs on dataset 1, n", "share ρ of the noise in common"), ("runs on dataset 1, n", "relative error at the target")],
        log_x=[True, True],
        log_y=[False, True],
        titles=["Error of the map over its own law's", f"At ρ = {result.shared_noise:g}"],
        widths=[0.54, 0.46],
        height=480,
        gap=0.2,
    )
    first, second = {"row": 1, "col": 1}, {"row": 1, "col": 2}
    fig.add_trace(
        draw.heatmap(
            result.points,
            result.shared,
            result.log2_ratio,
            "log₂ of map / own law",
            scale=SIGNED,
            zmin=-2,
            zmax=2,
            hovertemplate="n %{x}, ρ %{y:.2f}<br>log₂ ratio %{z:.2f}<extra></extra>",
        ).update(colorbar={"x": 0.435, "len": 0.9}),
        **first,
    )
    fig.add_trace(
        go.Contour(
            x=result.points,
            y=result.shared,
            z=result.log2_ratio,
            contours={"start": 0, "end": 0, "size": 1, "coloring": "none"},
            line={"color": "#24292f", "width": 2.5, "dash": "dash"},
            showscale=False,
            showlegend=False,
            hoverinfo="skip",
        ),
        **first,
    )
    if result.log2_ratio[-1, :4].max() < -0.2:
        fig.add_trace(draw.on_map(4.6, 0.95, "use the map"), **first)
    if result.log2_ratio[0, -4:].min() > 0.2:
        fig.add_trace(draw.on_map(22, 0.05, "fit its own law"), **first)
    for values, name, color, k in (
        (result.own_theory, "own law", GREEN, 1),
        (result.map_theory, "map", BLUE, 0),
    ):
        fig.add_trace(draw.line(result.points, np.maximum(values, 1e-9), f"{name}, theory", color), **second)
        if result.simulated_points.size:
            fig.add_trace(
                draw.points(
                    result.simulated_points,
                    np.maximum(result.simulated[k], 1e-9),
                    f"{name}, simulated ± 2 SE",
                    color,
                    standard_error=result.simulated_error[k],
                ),
                **second,
            )
    seen = np.concatenate([result.own_theory, result.map_theory])
    top = 10.0 ** np.ceil(np.log10(max(float(seen.max()), 1e-9)))
    fig.update_xaxes(
        range=[np.log10(2.85), np.log10(42)], tickvals=[3, 4, 6, 10, 20, 40], ticktext=["3", "4", "6", "10", "20", "40"]
    )
    fig.update_yaxes(range=[0, 1], **first)
    fig.update_yaxes(range=[np.log10(top) - 2.5, np.log10(top)], **second)
    draw.mark_x(fig, result.few_shot_points, "n", col=2)
    return fig


def draw_exponent_cloud(result: ExponentCloud) -> go.Figure:
    fig = draw.panels(
        [("exponent κ of the map", "density"), (LOSS_0, "residual of log L₁ (%)")],
        titles=["Refits of the exponent", "Residuals about the map"],
        height=460,
    )
    middle = (result.edges[1:] + result.edges[:-1]) / 2
    bars = go.Bar(
        x=middle,
        y=result.density,
        width=np.diff(result.edges),
        name="bootstrap refits",
        marker={"color": SKY, "line": {"width": 0}},
    )
    fig.add_trace(bars, row=1, col=1)
    if result.theory_kappa.size:
        fig.add_trace(draw.line(result.theory_kappa, result.theory_density, "theory, about the truth", ORANGE), row=1, col=1)
    draw.mark_x(fig, result.fit.kappa, f"fit {result.fit.kappa:.3g}", col=1)
    fig.update_yaxes(rangemode="tozero", row=1, col=1)
    percent = 100 * result.residual
    fig.add_trace(draw.points(result.pair_0, percent, "pairs", BLUE), row=1, col=2)
    half = max(1.0, float(np.ceil(1.3 * np.abs(percent).max())))
    fig.update_yaxes(range=[-half, half], row=1, col=2)
    draw.mark_y(fig, 0.0, "", col=2)
    return fig


def draw_misfit_map(result: MisfitMap) -> go.Figure:
    fig = draw.figure(
        "exponent of dataset 1, g₁",
        "allocation exponent of dataset 1, a₁",
        x_range=(result.exponent_1[0], result.exponent_1[-1]),
        y_range=(result.allocation_1[0], result.allocation_1[-1]),
        height=480,
    )
    fig.add_trace(
        draw.heatmap(
            result.exponent_1,
            result.allocation_1,
            result.log10_misfit,
            "residual of log L₁ about the best map",
            zmin=-3.5,
            zmax=-0.5,
            hovertemplate="g₁ %{x:.3g}, a₁ %{y:.3g}<br>log₁₀ residual %{z:.2f}<extra></extra>",
        ).update(colorbar={"tickvals": [-3, -2, -1], "ticktext": ["0.1%", "1%", "10%"]})
    )
    ends = np.linspace(result.exponent_1[0], result.exponent_1[-1], 5)
    if result.form == "coupled":
        fig.add_trace(draw.boundary(ends, [result.allocation_0] * 5, "", dash="dash"))
        above = 0.018 if result.allocation_0 < 0.66 else -0.018
        fig.add_trace(draw.on_map(0.16, result.allocation_0 + above, "a₁ = a₀: exact, κ = g₁/g₀"))
    else:
        fig.add_trace(
            go.Scatter(
                x=[result.exponent_0],
                y=[result.allocation_0],
                mode="markers+text",
                text=["exact: same exponents"],
                textposition="top center",
                textfont={"color": "#ffffff", "size": 13, "shadow": "auto"},
                marker={"color": "#ffffff", "size": 10, "symbol": "diamond"},
                showlegend=False,
                hoverinfo="skip",
            )
        )
    return fig


WORDS = r"""
Train on dataset 0 at many budgets; train on dataset 1 at a few. The **map** between the two losses of a pair is a shifted power law
(134, equation 5)
$$L_1 = K\,(L_0-E_0)^{\kappa}+E_1 .$$
$E_0$ comes from dataset 0's own law, $(K,\kappa,E_1)$ from the few pairs, all by the log-Huber fit ($\delta=0.05$). The rival is dataset
1's **own law**, fitted to the same few runs: $E+A\,C^{-g}$ in compute (three constants), or in $N$ and $D$ (five; with fewer than five runs
the law in compute stands in).

**The datasets are planted.** Each has $L_i=E_i+(A_iN^{-\alpha_i/\beta_i}+B_i/D)^{\beta_i}$ (*coupled*, the form of 134) or
$E_i+A_iN^{-\alpha_i}+B_iD^{-\beta_i}$ (*additive*), with $\alpha_i=g_i/a_i$, $\beta_i=g_i/(1-a_i)$, 20 tokens per parameter best at
$10^{20}$ FLOP, which is the largest run fitted; the smallest is at $10^{17}$.

**When is the map exact?** Paired at *equal compute, each at its own optimum*, always: $L_i=E_i+h_i(C/10^{20})^{-g_i}$ under $C=6ND$, and eliminating
$C$ gives $\kappa=g_1/g_0$, $K=h_1h_0^{-\kappa}$; such maps compose, $\kappa_{02}=\kappa_{01}\kappa_{12}$. Paired at *equal $N$ and $D$* the coupled form is exact where the inner terms are
proportional ($a_1=a_0$), the additive form only where both exponents agree; elsewhere the last view gives the residual that no
shifted power law removes.

**When is it better than its own law?** At their own optima the two are one family of curves: $L_0-E_0\propto C^{-g_0}$, and a power of a
power is a power. With independent noise the map then gains nothing (it inherits the noise of $L_0$ and $E_0$). It wins where
a pair shares its noise ($\rho$: the same architecture, learning rate and order of data are lucky on both datasets), since a lucky run
stays near the curve; and at equal $N$ and $D$, where it has three constants to find and the own law five. Theory: a least-squares fit with Jacobian $J$ moves by
$J^{+}e$; chained through $E_0$, the map and its value at the target this gives an error
$w_0\!\cdot e_0+w_1\!\cdot e_1$ of variance $\sigma^2(|w_0|^2+|w_1|^2+2\rho\,w_0\!\cdot w_1)$, to which the square of the bias without noise is added. Dots are
studies drawn and fitted.

**Bands and intervals** (90%) redraw all noise with the scatter of dataset 0's runs about its law and the share $\rho$ that you set, and refit
everything, $E_0$ included.

**Your data**: `loss_0`, `loss_1` (empty where only dataset 0 was trained), and `FLOP` or `N` and `D`. Without compute $E_0$ is fitted with the map,
and there is no target. Pairing by compute presumes that each run is at its own dataset's optimum.

**Where it stops.** First order in the noise: an own law of five constants through exactly five runs is off by factors. Losses are
planted, no model is trained; reducible losses and offsets are ours. A test loss in the place of $L_1$ (train-to-test) is the same map.
"""

FIRST = ("exponent_0", "exponent_1", "pairing", "few_shot_points", "noise", "shared_noise", "extrapolation_factor")

LAB = Lab(
    title="Loss-to-loss prediction",
    question="Can one dataset's loss curve predict another's?",
    views=[
        View(
            "Loss against loss",
            "scaling curve",
            loss_against_loss,
            draw_loss_against_loss,
            "Left: blue dots are the runs that both datasets have; the fitted map is carried on to the target (star), the truth is orange. "
            "Right: above the irreducible losses the map is a straight line whose slope is κ.",
            controls=(*FIRST, "pairs"),
        ),
        View(
            "Map against own law",
            "phase diagram",
            advantage,
            draw_advantage,
            "Blue: the map errs less than a law fitted to dataset 1 alone; red: more; dashed: equal. Right: both errors along the slice at your ρ, "
            "theory as lines, simulated studies as dots.",
            controls=("pairing", "few_shot_points", "shared_noise", "noise", "extrapolation_factor", "law", "n_studies"),
            click=("few_shot_points", "shared_noise"),
        ),
        View(
            "Both against compute",
            "scaling curve",
            against_compute,
            draw_against_compute,
            "Gray: dataset 0, many runs. Red: the few runs on dataset 1. Beyond the shaded budgets dataset 1 is foretold by the map "
            "(blue) and by its own law (green); right: by how many percent each is off, with 90% bands.",
            controls=(*FIRST, "pairs"),
        ),
        View(
            "Where the map is exact",
            "phase diagram",
            misfit_map,
            draw_misfit_map,
            "Runs of equal N and D, without noise: the darker, the closer the two losses are to a shifted power law. On the white line, or "
            "at the white point, they are one exactly.",
            controls=("law", "exponent_0", "exponent_1", "allocation_0", "allocation_1"),
            click=("exponent_1", "allocation_1"),
        ),
        View(
            "How sure is the exponent",
            "distribution",
            exponent_cloud,
            draw_exponent_cloud,
            "Left: bootstrap refits of the exponent, beside the spread that first-order theory gives about the true one. Right: "
            "what the map leaves unexplained.",
            controls=(*FIRST, "n_refits", "pairs"),
        ),
    ],
    presets={
        "Code from text, κ > 1": {
            "exponent_0": 0.15,
            "exponent_1": 0.2,
            "offset_0": 1.7,
            "offset_1": 1.0,
            "view": "Loss against loss",
        },
        "Four runs only": {"few_shot_points": 4, "view": "Both against compute"},
        "The same dataset": {
            "exponent_0": 0.15,
            "exponent_1": 0.15,
            "offset_0": 1.7,
            "offset_1": 1.7,
            "reducible_0": 0.9,
            "reducible_1": 0.9,
            "shared_noise": 1.0,
            "view": "Loss against loss",
        },
        "Paired noise: the map wins": {"shared_noise": 0.95, "view": "Map against own law"},
        "Equal N and D: three constants against five": {
            "pairing": "equal N and D",
            "shared_noise": 0.8,
            "view": "Map against own law",
        },
        "Only approximate": {
            "pairing": "equal N and D",
            "law": "additive",
            "exponent_0": 0.1536,
            "exponent_1": 0.1538,
            "allocation_0": 0.452,
            "allocation_1": 0.615,
            "noise": 0.0,
            "few_shot_points": 40,
            "view": "Loss against loss",
        },
        "One shared inner term": {"law": "coupled", "allocation_0": 0.5, "allocation_1": 0.5, "view": "Where the map is exact"},
    },
    words=WORDS,
    papers={"134": "own object"},
)
