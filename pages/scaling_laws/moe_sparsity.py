"""How sparse should a mixture of experts be?"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from compute.parameters import format_number
from compute.scaling_laws.moe_sparsity import (
    FITTED_COMPUTE,
    FITTED_SHARE,
    Constraints,
    Frontier,
    LossMap,
    MultiplierMap,
    Refit,
    constraints,
    frontier,
    loss_map,
    multiplier_map,
    refit,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, MAP, ORANGE, SIGNED, SKY, VERMILLION

SIZE_AXIS, SHARE_AXIS = "total parameters N", "active share 1 − S"
TOKEN_AXIS, BUDGET_AXIS = "training tokens D", "budget C, FLOP"
LOSS_AXIS = "loss, nats per token"
DECADE_TICKS = {"dtick": 1, "exponentformat": "power"}
SHARE_TICKS: dict[str, Any] = {
    "tickvals": [1, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001],
    "ticktext": ["1 (dense)", "0.3", "0.1", "0.03", "0.01", "0.003", "0.001"],
}
SHADE = "rgba(20,20,20,0.36)"
DEPTH = 0.7  # nats above the map's least loss that the colors resolve


def draw_loss_map(plane: LossMap) -> go.Figure:
    fig = draw.figure(
        SIZE_AXIS, SHARE_AXIS, log_x=True, log_y=True, x_range=(1e8, 1e13), y_range=(plane.share[0], plane.share[-1]), height=520
    )
    floor = float(np.floor(np.nanmin(plane.loss) * 20) / 20)
    fig.add_trace(
        draw.bands(
            plane.size,
            plane.share,
            plane.loss,
            "loss, nats per token",
            low=floor,
            high=floor + DEPTH,
            step=0.05,
            reversescale=True,
            hovertemplate="N %{x:.3g}<br>1 − S %{y:.3g}<br>loss %{z:.4f}<extra></extra>",
        )
    )
    dense = draw.line(*plane.like_dense, "as good as the best dense model", "#ffffff", dash="dot", width=2.5)
    fig.add_trace(dense)
    fig.add_trace(draw.line(plane.size, plane.valley, "best share at each N", "#ffffff"))
    low, high = plane.share[0], plane.share[-1]
    for xs, ys in (
        ([plane.memory_cap, 1e13, 1e13, plane.memory_cap], [low, low, high, high]),
        ([1e8, plane.memory_cap, plane.memory_cap, 1e8], [low, low, plane.smallest_share, plane.smallest_share]),
    ):
        fig.add_trace(
            go.Scatter(x=xs, y=ys, mode="lines", line_width=0, fill="toself", fillcolor=SHADE, hoverinfo="skip", showlegend=False)
        )
    if plane.memory_cap < 2e12:
        fig.add_trace(draw.on_map(plane.memory_cap * 1.35, 0.8, "beyond the cap", size=12))
        fig.data[-1].textposition = "middle right"
    if plane.smallest_share > 1.6e-3:
        fig.add_trace(draw.on_map(1.2e8, plane.smallest_share * 0.82, "sparser than S<sub>max</sub>", size=12))
        fig.data[-1].textposition = "middle right"
    n, x, _ = plane.best
    for place, name, color, symbol in (
        ((n, x), "best within both limits", ORANGE, "star"),
        ((plane.dense[0], 1.0), "best dense model", VERMILLION, "diamond"),
    ):
        mark = draw.points([place[0]], [place[1]], name, color, symbol=symbol, size=16 if symbol == "star" else 13)
        mark.marker.line = {"color": "#ffffff", "width": 1.2}
        mark.cliponaxis = False
        fig.add_trace(mark)
    fig.update_layout(plot_bgcolor="#00224e")  # where nothing is left to train with: the color of a high loss
    fig.update_xaxes(**DECADE_TICKS, showgrid=False)
    fig.update_yaxes(**SHARE_TICKS, showgrid=False)
    # White lines would be invisible in a legend on a white page; they are named on the map.
    for trace in fig.data[1:3]:
        trace.showlegend = False
    _name_on_map(fig, plane.size, plane.valley, plane.memory_cap)
    if plane.like_dense[0].size:
        k = int(np.nanargmin(plane.like_dense[0]))
        fig.add_trace(
            draw.on_map(float(plane.like_dense[0][k]) * 1.15, float(plane.like_dense[1][k]), "like the best dense", size=12)
        )
        fig.data[-1].textposition = "middle right"
    return fig


def _name_on_map(fig: go.Figure, x: np.ndarray, y: np.ndarray, cap: float) -> None:
    """The valley's name, beside it, where it has left the upper edge."""
    below = np.flatnonzero(np.isfinite(y) & (y < 0.12) & (y > 2e-3))
    if below.size:
        k = int(below[0])
        fig.add_trace(draw.on_map(float(x[k]) * 1.25, float(y[k]) * 1.1, "valley S*(N)", size=13))
        fig.data[-1].textposition = "middle right"


def draw_multiplier(plane: MultiplierMap) -> go.Figure:
    fig = draw.figure(SIZE_AXIS, TOKEN_AXIS, log_x=True, log_y=True, x_range=(1e8, 1e13), y_range=(1e9, 1e14), height=520)
    fig.add_trace(
        draw.heatmap(
            plane.size,
            plane.tokens,
            np.log10(plane.multiplier),
            "dense compute of equal loss / its own",
            scale=SIGNED,
            zmid=0,
            zmin=-2,
            zmax=2,
            hovertemplate="N %{x:.3g}<br>D %{y:.3g}<br>log₁₀ multiplier %{z:.2f}<extra></extra>",
        )
    )
    fig.data[0].reversescale = True
    fig.data[0].colorbar.tickvals = [-2, -1, 0, 1, 2]
    fig.data[0].colorbar.ticktext = ["1/100", "1/10", "1", "10", "100"]
    fig.add_trace(draw.line(*plane.even, "no gain", GRAY, width=2.5))
    fig.add_trace(draw.line(*plane.path, f"compute-optimal at S = {1 - plane.active_share:.3g}", GREEN, width=3))
    if plane.out_of_reach[0].size:
        fig.add_trace(draw.line(*plane.out_of_reach, "beyond it no dense model gets there (blank)", GRAY, dash="dot", width=2))
    fig.update_layout(plot_bgcolor="#fbf6e6")
    fig.update_xaxes(**DECADE_TICKS, showgrid=False)
    fig.update_yaxes(**DECADE_TICKS, showgrid=False)
    return fig


def draw_frontier(curve: Frontier) -> go.Figure:
    fig = draw.panels(
        [(BUDGET_AXIS, "parameters"), (BUDGET_AXIS, SHARE_AXIS)],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Size", "Best active share"],
        height=490,
    )
    active, found_active = curve.size * curve.share, curve.found_size * curve.found_share
    for y, found, name, color in (
        (curve.size, curve.found_size, "total N*", BLUE),
        (active, found_active, "active N*(1 − S*)", VERMILLION),
    ):
        fig.add_trace(draw.line(curve.compute, y, name, color), row=1, col=1)
        fig.add_trace(draw.points(curve.searched, found, f"{name}, grid search", color, showlegend=False), row=1, col=1)
    fig.add_trace(draw.line(curve.compute, curve.dense_size, "best dense N, no cap", GRAY, dash="dash", width=2), row=1, col=1)
    fig.add_trace(draw.line(curve.compute, curve.share, "S*", GREEN, showlegend=False), row=1, col=2)
    fig.add_trace(draw.points(curve.searched, curve.found_share, "dots: grid search", GREEN), row=1, col=2)
    _shade_fitted(fig)
    draw.mark_y(fig, curve.memory_cap, f"cap {format_number(curve.memory_cap)}", col=1)
    draw.mark_y(fig, curve.smallest_share, f"S<sub>max</sub> = {1 - curve.smallest_share:.3g}", col=2)
    compute, *_ = curve.at
    for col in (1, 2):
        draw.mark_x(fig, compute, "C" if col == 2 else "", col=col)
        fig.update_xaxes(range=[18, 25], dtick=1, exponentformat="power", row=1, col=col)
    fig.update_yaxes(range=[6, 13], **DECADE_TICKS, row=1, col=1)
    fig.update_yaxes(range=[-3, 0.22], **SHARE_TICKS, row=1, col=2)
    return fig


def _shade_fitted(fig: go.Figure) -> None:
    """The compute of the runs that the published law was fitted to; Plotly shades only panels that hold a trace."""
    for col in (1, 2):
        fig.add_vrect(
            x0=FITTED_COMPUTE[0], x1=FITTED_COMPUTE[1], fillcolor=GRAY, opacity=0.13, line_width=0, layer="below", row=1, col=col
        )


def draw_gain(curve: Frontier) -> go.Figure:
    fig = draw.panels(
        [(BUDGET_AXIS, LOSS_AXIS), (BUDGET_AXIS, "dense compute of equal loss / C")],
        log_x=[True, True],
        log_y=[False, True],
        titles=["Loss", "Against dense without cap"],
        height=490,
    )
    limit = f"S ≤ {1 - curve.smallest_share:.3g}"
    shown = (
        (curve.loss, curve.multiplier, f"mixture, N ≤ {format_number(curve.memory_cap)}, {limit}", BLUE, "solid"),
        (curve.free_loss, curve.free_multiplier, f"mixture without cap, {limit}", SKY, "dash"),
    )
    fig.add_trace(
        draw.line(curve.compute, curve.dense_loss, f"dense, N ≤ {format_number(curve.memory_cap)}", VERMILLION), row=1, col=1
    )
    fig.add_trace(draw.line(curve.compute, curve.free_dense_loss, "dense without cap", ORANGE, dash="dash"), row=1, col=1)
    for loss, multiplier, name, color, dash in shown:
        fig.add_trace(draw.line(curve.compute, loss, name, color, dash=dash), row=1, col=1)
        fig.add_trace(draw.line(curve.compute, multiplier, name, color, dash=dash, showlegend=False), row=1, col=2)
    _shade_fitted(fig)
    draw.mark_y(fig, curve.dense_floor, "no dense model gets below c + e", col=1)
    draw.mark_y(fig, 1.0, "no gain", col=2)
    for col in (1, 2):
        fig.update_xaxes(range=[18, 25], dtick=1, exponentformat="power", row=1, col=col)
    fig.update_yaxes(range=[1.2, 4], row=1, col=1)
    fig.update_yaxes(range=[-0.3, 4], **DECADE_TICKS, row=1, col=2)
    return fig


BUDGET_COLORS = (SKY, BLUE, GREEN)


def draw_constraints(result: Constraints) -> go.Figure:
    fig = draw.panels(
        [(SIZE_AXIS, SHARE_AXIS), (SHARE_AXIS, LOSS_AXIS)],
        log_x=[True, True],
        log_y=[True, False],
        titles=["Best active share", f"Loss at N = {format_number(result.total_parameters)}"],
        height=490,
    )
    fig.add_trace(draw.line(result.size, result.at_fixed_tokens, "fixed N and D", VERMILLION, width=3), row=1, col=1)
    for k, color in enumerate(BUDGET_COLORS):
        name = f"fixed N and C = {result.budgets[k]:.3g}".replace("e+", "e")
        line = draw.line(result.size, result.at_fixed_compute[k], name, color, width=3 if k == 1 else 1.8)
        fig.add_trace(line, row=1, col=1)
    if np.isfinite(result.dense_below) and 1e8 < result.dense_below < 1e13:
        draw.mark_x(fig, result.dense_below, f"dense up to {format_number(result.dense_below)} at fixed D", col=1)
    fig.add_trace(
        draw.line(result.shares, result.loss_fixed_tokens, f"D = {format_number(result.tokens)}", VERMILLION, showlegend=False),
        row=1,
        col=2,
    )
    fig.add_trace(draw.line(result.shares, result.loss_fixed_compute, "", BLUE, showlegend=False), row=1, col=2)
    for (x, y), color in zip(result.stars, (VERMILLION, BLUE), strict=True):
        mark = draw.points([x], [y], "best", color, symbol="star", size=15, showlegend=False, cliponaxis=False)
        fig.add_trace(mark, row=1, col=2)
    fig.update_xaxes(range=[8, 13], **DECADE_TICKS, row=1, col=1)
    fig.update_yaxes(range=[-3, 0.22], **SHARE_TICKS, row=1, col=1)
    fig.update_xaxes(range=[np.log10(result.smallest_share), 0.02], **SHARE_TICKS, row=1, col=2)
    seen = np.concatenate([result.loss_fixed_tokens, result.loss_fixed_compute])
    low = float(np.floor(seen.min() * 10) / 10)
    top = max(min(float(seen.max()), low + 1.5), result.stars[0][1] + 0.1, result.stars[1][1] + 0.1)
    fig.update_yaxes(range=[low - 0.02, top + 0.05], row=1, col=2)
    return fig


def draw_refit(result: Refit) -> go.Figure:
    fig = draw.panels(
        [(SIZE_AXIS, SHARE_AXIS), ("loss of the run", "fit error, %")],
        log_x=[True, False],
        log_y=[True, False],
        titles=["Best active share by the fit", "Residuals"],
        widths=[0.62, 0.38],
        height=490,
    )
    for kind, name, color in (("fixed tokens", "fixed N, D", VERMILLION), ("fixed compute", "fixed N, C", BLUE)):
        fig.add_trace(
            draw.band(result.size, result.low[kind], result.high[kind], f"80% band, {name}", color, showlegend=False), row=1, col=1
        )
        fig.add_trace(draw.line(result.size, result.fit[kind], f"fit, {name}", color), row=1, col=1)
        fig.add_trace(
            draw.line(
                result.size,
                result.reference[kind],
                result.reference_name,
                GRAY,
                dash="dash",
                width=2,
                showlegend=kind == "fixed tokens",
            ),
            row=1,
            col=1,
        )
    fig.add_vrect(x0=result.seen[0], x1=result.seen[1], fillcolor=GRAY, opacity=0.13, line_width=0, layer="below", row=1, col=1)
    error = 100 * np.log(result.predicted / result.measured)
    dots = draw.points(result.measured, error, "runs", GRAY, size=6, showlegend=False)
    dots.marker.color = np.log10(result.run_share)
    dots.marker.colorscale, dots.marker.cmin, dots.marker.cmax = MAP, -2, 0
    dots.marker.colorbar = {"title": {"text": SHARE_AXIS, "side": "right"}, "outlinewidth": 0, "thickness": 12}
    dots.marker.colorbar.tickvals, dots.marker.colorbar.ticktext = [-2, -1, 0], ["0.01", "0.1", "1"]
    fig.add_trace(dots, row=1, col=2)
    fig.update_xaxes(range=[8, 13], **DECADE_TICKS, row=1, col=1)
    fig.update_yaxes(range=[-3, 0.22], **SHARE_TICKS, row=1, col=1)
    reach = max(0.1, float(np.ceil(np.abs(error).max() * 10) / 10))
    fig.update_yaxes(range=[-reach, reach], row=1, col=2)
    return fig


WORDS = rf"""
A mixture of experts holds $N$ parameters and uses a share $x=1-S$ of them for each token. **The law** (Abnar et al. 2025; 475),
fitted to runs of $3\times10^{{19}}$ to $10^{{21}}$ FLOP with sparsity $S$ up to {1 - FITTED_SHARE:g}:

$$L=aN^{{-\alpha}}+bD^{{-\beta}}+c\,x^{{-\lambda}}+d\,x^{{-\delta}}N^{{-\gamma}}+e,$$

$\lambda=-0.1666<0$, so $c\,x^{{0.1666}}$ *falls* as the model becomes sparser, while $d\,x^{{-0.1603}}N^{{-0.1595}}\approx d\,(xN)^{{-0.16}}$ is
a price of few **active** parameters. All ten constants can be moved. Everything here but the refit is that law: theory, no training.

**The constraint decides.** With $N$ and $D$ fixed, $x^*=\min\!\big(1,\big[\tfrac{{\delta d N^{{-\gamma}}}}{{-\lambda c}}\big]^{{1/(\delta-\lambda)}}\big)$,
of slope $-\gamma/(\delta-\lambda)=-0.488$ in $\log N$ and dense below $N=5.84\times10^9$; $D$ does not matter. With $N$ and
$C=6NxD$ fixed, sparsity also buys tokens: with $\mu=-\lambda$, $x^*$ is the one root of
$c\mu x^{{\mu}}+\beta b\,(6N/C)^\beta x^\beta=\delta dN^{{-\gamma}}x^{{-\delta}}$, far sparser.

**With $N$ free** every term is a power of $N$ and $x$ with a positive coefficient: a geometric program, $L$ is convex in
$(\log N,\log x)$, and bisection of slopes finds its one minimum. At fixed FLOPs that minimum lies at absurd sparsity
($1-S=6\times10^{{-14}}$, $N=3\times10^{{22}}$ at $10^{{21}}$ FLOP): "the optimal sparsity at fixed FLOPs" needs a limit. Here it is a cap
$N_{{\max}}$, a sparsest model $S_{{\max}}$, or a price: $C=6NxD+2NxT+mN$ pays for training, for $T$ served tokens and $m$ FLOP for
each parameter held. Serving does not stop the march to $S_{{\max}}$ (it, too, charges active parameters only); the price of memory does.

**Worth in dense compute**: the budget at which the best *dense* model of the same law has the mixture's loss, over the mixture's budget.
No dense model gets below $c+e=1.40$; a mixture may.

**Refit**: log-Huber fit of the ten constants to synthetic runs, drawn from the law as set, or to yours (`N`, `D`, `N_active` or `S`,
`loss`; 30 rows or more), resampled by rows for the middle 80%. The constants are nearly collinear ($\gamma\approx\delta$); one alone means
little, their joint prescription is better known. Outside the gray range of sizes it is extrapolation.

**Where it stops.** Beyond $10^{{21}}$ FLOP and $S=0.98$ (gray on the charts: fitted) everything is extrapolation. A best sparsity at fixed
$N$ and $D$ is a property of this fit: a denser model of the same $N$ does more work per token and should not lose. $6NxD$ leaves out
routing, attention and communication. Routed models (213) were fitted at one token budget and say that the gain falls with size; here, with
the budget free to grow, it rises.
"""

LIMITS = ("compute", "memory_cap", "smallest_share", "served_tokens", "memory_price")

LAB = Lab(
    title="Sparsity of mixtures of experts",
    question="How sparse should a mixture of experts be?",
    views=[
        View(
            "Sparsity map",
            "phase diagram",
            loss_map,
            draw_loss_map,
            "Bright is good. The white valley is the best share at each size: it runs down and right without end, until the memory cap "
            "or the sparsest trainable model (shaded) stops it at the star. Inside the dotted line every mixture beats the best dense model.",
            controls=(*LIMITS, "total_parameters", "active_share"),
            click=("total_parameters", "active_share"),
        ),
        View(
            "Optimal mixture",
            "scaling curve",
            frontier,
            draw_frontier,
            "First the sparsest model binds and total parameters grow with the budget; once they reach the cap, the mixture grows "
            "denser instead. Lines are the law's optimum, dots a grid search; gray is the compute the law was fitted to.",
            controls=LIMITS,
        ),
        View(
            "Gain over dense",
            "scaling curve",
            frontier,
            draw_gain,
            "Left: the loss of the best mixture under the cap, without the cap, and of the best dense model. Right: how many times the "
            "budget a dense model needs for the same loss.",
            controls=LIMITS,
        ),
        View(
            "The constraint decides",
            "scaling curve",
            constraints,
            draw_constraints,
            "Red: tokens fixed, so density is paid for in FLOPs that are not counted. Blue: FLOPs fixed, so density is paid for in tokens. "
            "The same law calls for a dense model in one and a very sparse one in the other.",
            controls=("total_parameters", "tokens", "compute", "smallest_share"),
        ),
        View(
            "Worth in dense compute",
            "phase diagram",
            multiplier_map,
            draw_multiplier,
            "Blue: a mixture of this sparsity is worth more compute than it cost; red: a compute-optimal dense model would have been better. "
            "The green line is where such a mixture is trained compute-optimally.",
            controls=("active_share", "total_parameters", "tokens"),
            click=("total_parameters", "tokens"),
        ),
        View(
            "Refit to runs",
            "scaling curve",
            refit,
            draw_refit,
            "The law is fitted to runs, synthetic or yours, and the best share read off it with an 80% band. The band at fixed FLOPs is "
            "narrow; at fixed tokens it fans out, for there the answer rests on a difference of two nearly parallel terms.",
            controls=("n_runs", "noise_sigma", "compute_decades", "n_bootstrap", "total_parameters", "compute", "runs"),
        ),
    ],
    presets={
        "Capped at 100B": {"compute": 1e22, "memory_cap": 1e11, "smallest_share": 0.005, "view": "Sparsity map"},
        "Without a cap": {"memory_cap": 1e13, "smallest_share": 1e-3, "view": "Sparsity map"},
        "Memory has a price": {
            "memory_cap": 1e13,
            "smallest_share": 1e-3,
            "memory_price": 3e10,
            "compute": 1e22,
            "view": "Sparsity map",
        },
        "Served heavily": {"served_tokens": 1e13, "compute": 1e22, "memory_cap": 1e12, "view": "Optimal mixture"},
        "Fits a phone": {"memory_cap": 3e9, "view": "Optimal mixture"},
        "A small model": {"total_parameters": 1e9, "view": "The constraint decides"},
        "Dense, off its optimum": {"active_share": 1.0, "view": "Worth in dense compute"},
        "Very sparse": {"active_share": 0.02, "view": "Worth in dense compute"},
        "Few noisy runs": {"n_runs": 40, "noise_sigma": 1e-2, "view": "Refit to runs"},
    },
    words=WORDS,
    papers={"475": "own object"},
)
