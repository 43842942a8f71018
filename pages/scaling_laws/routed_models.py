"""What is a routed model worth in dense parameters?"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from compute.parameters import format_number
from compute.scaling_laws.routed_models import (
    CONSTANTS,
    FITTED_EXPERTS,
    FITTED_SIZE,
    Collapse,
    LossCurves,
    Refit,
    Routers,
    WorthMap,
    collapse,
    loss_curves,
    refit,
    routers,
    worth_map,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, MAP, ORANGE, PURPLE, SIGNED, VERMILLION

SIZE_AXIS, EXPERT_AXIS, LOSS_AXIS = "dense size N", "experts E", "loss, nats per token"
WORTH_AXIS = "worth in dense parameters / N"
DECADE_TICKS: dict[str, Any] = {"dtick": 1, "exponentformat": "power"}
EXPERT_TICKS: dict[str, Any] = {"tickvals": [1, 4, 16, 64, 256, 1024], "ticktext": ["1", "4", "16", "64", "256", "1024"]}
LOSS_TICKS: dict[str, Any] = {"tickvals": [1, 1.5, 2, 2.5, 3, 3.5, 4], "ticktext": ["1", "1.5", "2", "2.5", "3", "3.5", "4"]}
WORTH_TICKS: dict[str, Any] = {"tickvals": [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]}
WORTH_TICKS |= {"ticktext": [f"{v:g}" for v in WORTH_TICKS["tickvals"]]}
COLORS = {"S-BASE": BLUE, "RL-R": VERMILLION, "HASH": GREEN, "custom": PURPLE}
INK = "#24292f"


def draw_worth(plane: WorthMap) -> go.Figure:
    fig = draw.figure(SIZE_AXIS, EXPERT_AXIS, log_x=True, log_y=True, x_range=(1e6, 1e13), y_range=(1, 2048), height=530)
    fig.add_trace(
        draw.heatmap(
            plane.size,
            plane.experts,
            plane.log_worth,
            WORTH_AXIS,
            scale=SIGNED,
            zmid=0,
            zmin=-1.3,
            zmax=1.3,
            hovertemplate="N %{x:.3g}<br>E %{y:.0f}<br>log₁₀ worth/N %{z:.2f}<extra></extra>",
        )
    )
    fig.data[0].reversescale = True
    ticks = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20]
    fig.data[0].colorbar.tickvals = [float(v) for v in np.log10(ticks)]
    fig.data[0].colorbar.ticktext = [f"{v:g}" for v in ticks]
    fig.add_trace(
        go.Contour(
            x=plane.size,
            y=plane.experts,
            z=plane.loss,
            contours={"start": 1.5, "end": 4, "size": 0.5, "coloring": "none", "showlabels": True},
            line={"width": 1.3, "color": INK},
            showscale=False,
            showlegend=False,
            name="lines of equal loss",
            hoverinfo="skip",
        )
    )
    fig.data[1].contours.labelfont = {"size": 11, "color": INK}
    fig.add_trace(
        go.Scatter(
            x=[FITTED_SIZE[0], FITTED_SIZE[1], FITTED_SIZE[1], FITTED_SIZE[0], FITTED_SIZE[0]],
            y=[1, 1, FITTED_EXPERTS, FITTED_EXPERTS, 1],
            mode="lines",
            line={"color": GREEN, "width": 2, "dash": "dash"},
            name="models trained",
            hoverinfo="skip",
        )
    )
    if plane.rounding is not None:
        low, high = plane.rounding
        fig.add_vrect(x0=low, x1=min(high, 1e13), fillcolor=GRAY, opacity=0.22, line_width=0)
    if np.isfinite(plane.cutoff) and plane.cutoff < 1e13:
        fig.add_trace(draw.line([plane.cutoff] * 2, [1, 2048], f"cut-off of {plane.router}, with its rounding", GRAY, width=3))
    if plane.quoted is not None:
        fig.add_trace(draw.line([plane.quoted] * 2, [1, 2048], "cut-off as quoted", ORANGE, dash="dot", width=3))
    fig.update_xaxes(**DECADE_TICKS, showgrid=False)
    fig.update_yaxes(**EXPERT_TICKS, showgrid=False)
    return fig


def draw_loss(curves: LossCurves) -> go.Figure:
    fig = draw.panels(
        [(EXPERT_AXIS, LOSS_AXIS), (SIZE_AXIS, LOSS_AXIS)],
        log_x=[True, True],
        log_y=[True, True],
        titles=["More experts", "More parameters per token"],
        height=500,
    )
    shades = sample_colorscale(MAP, [0.15, 0.5, 0.8])
    for k, shade in enumerate(shades):
        fig.add_trace(draw.line(curves.experts, curves.against_experts[k], "", shade, width=2, showlegend=False), row=1, col=1)
        fig.add_annotation(
            x=0,
            y=float(np.log10(curves.against_experts[k, 0])),
            text=f"N = {format_number(curves.sizes[k])}",
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
            font={"size": 11, "color": GRAY},
            row=1,
            col=1,
        )
    yours = draw.line(
        curves.experts, curves.against_experts[-1], f"yours, N = {format_number(curves.sizes[-1])}", VERMILLION, width=3
    )
    fig.add_trace(yours, row=1, col=1)
    fig.add_trace(
        draw.line(curves.experts, curves.unsaturated, "yours without saturation", VERMILLION, dash="dot", width=2), row=1, col=1
    )
    draw.mark_x(fig, curves.top, "E<sub>max</sub>", col=1)
    for k, color in enumerate((GRAY, BLUE, GREEN, ORANGE)):
        name = f"E = {curves.numbers[k]:.0f}" + (" (dense)" if k == 0 else "")
        fig.add_trace(draw.line(curves.size, curves.against_size[k], name, color, width=2.2), row=1, col=2)
    if 1e6 < curves.cutoff < 1e13:
        draw.mark_x(fig, curves.cutoff, "cut-off", col=2)
    fig.update_xaxes(range=[0, np.log10(2048)], **EXPERT_TICKS, row=1, col=1)
    fig.update_xaxes(range=[6, 13], **DECADE_TICKS, row=1, col=2)
    fig.update_yaxes(range=np.log10([1.45, 3.6]), **LOSS_TICKS, row=1, col=1)
    fig.update_yaxes(range=np.log10([1, 4.6]), **LOSS_TICKS, row=1, col=2)
    return fig


def draw_routers(result: Routers) -> go.Figure:
    fig = draw.panels(
        [(EXPERT_AXIS, WORTH_AXIS), (SIZE_AXIS, WORTH_AXIS)],
        log_x=[True, True],
        log_y=[True, True],
        titles=[f"N = {format_number(result.dense_size)}", f"E = {result.number}"],
        height=490,
    )
    for name, worth in result.against_experts.items():
        color = COLORS[name]
        fig.add_trace(draw.line(result.experts, worth, name, color), row=1, col=1)
        fig.add_trace(draw.line(result.size, result.against_size[name], "", color, showlegend=False), row=1, col=2)
        if name in result.cutoffs and result.cutoffs[name] < 1e13:
            mark = draw.points([result.cutoffs[name]], [1.0], "", color, symbol="circle", size=10, showlegend=False)
            fig.add_trace(mark, row=1, col=2)
        if name in result.quoted:
            quoted = draw.points([result.quoted[name]], [1.0], "", color, symbol="diamond-open", size=13, showlegend=False)
            fig.add_trace(quoted, row=1, col=2)
    for symbol, name in (("circle", "cut-off of the printed constants"), ("diamond-open", "cut-off as quoted")):
        key = draw.points([np.nan], [np.nan], name, GRAY, symbol=symbol, size=11)
        fig.add_trace(key, row=1, col=2)
    fig.add_vrect(x0=FITTED_SIZE[0], x1=FITTED_SIZE[1], fillcolor=GRAY, opacity=0.13, line_width=0, layer="below", row=1, col=2)
    draw.mark_y(fig, 1.0, "dense is as good", col=1)
    draw.mark_y(fig, 1.0, "", col=2)
    draw.mark_x(fig, result.number, "yours", col=1)
    draw.mark_x(fig, result.dense_size, "yours", col=2)
    fig.update_xaxes(range=[0, np.log10(2048)], **EXPERT_TICKS, row=1, col=1)
    fig.update_xaxes(range=[6, 13], **DECADE_TICKS, row=1, col=2)
    for col in (1, 2):
        fig.update_yaxes(range=np.log10([0.15, 40]), **WORTH_TICKS, row=1, col=col)
    return fig


def draw_collapse(result: Collapse) -> go.Figure:
    fig = draw.panels(
        [(SIZE_AXIS, LOSS_AXIS), ("effective parameters", LOSS_AXIS)],
        log_x=[True, True],
        log_y=[True, True],
        titles=["By size", "By worth in dense parameters"],
        height=490,
    )
    for col, x in ((1, result.size), (2, result.effective)):
        line = draw.line(result.line_size, result.line_loss, "dense law (theory)", GRAY, width=2.5, showlegend=col == 1)
        fig.add_trace(line, row=1, col=col)
        dots = draw.points(x, result.loss, "runs drawn from the law", BLUE, size=7, showlegend=col == 1)
        dots.marker.color, dots.marker.colorscale = np.log2(result.experts), MAP
        dots.marker.line = {"width": 0.6, "color": "#ffffff"}
        if col == 2:
            dots.marker.colorbar = {"title": {"text": EXPERT_AXIS, "side": "right"}, "outlinewidth": 0, "thickness": 12}
            dots.marker.colorbar.tickvals = [0, 3, 6, 9]
            dots.marker.colorbar.ticktext = ["1", "8", "64", "512"]
        fig.add_trace(dots, row=1, col=col)
        fig.update_xaxes(range=[7, 10.3], **DECADE_TICKS, row=1, col=col)
        fig.update_yaxes(range=np.log10([1.75, 3.4]), **LOSS_TICKS, row=1, col=col)
    return fig


def draw_refit(result: Refit) -> go.Figure:
    fig = draw.panels(
        [("constant / the law's as set", ""), ("cut-off size", "share of refits, %")],
        log_x=[False, True],
        titles=["Constants, 80% intervals", "Where routing stops to help"],
        height=490,
        gap=0.13,
    )
    colors = (VERMILLION, BLUE, GREEN, PURPLE)
    n = len(result.routers)
    place = np.arange(len(CONSTANTS), dtype=float)
    scale = np.where(result.reference == 0, 1.0, result.reference)
    reach = 1.6
    for k, one in enumerate(result.routers):
        center = one.constants / scale
        ends = np.sort(np.stack([one.low / scale, one.high / scale]), axis=0)
        reach = max(reach, min(4.0, 1.1 * float(ends[1].max())))
        dots = draw.points(center, place + 0.16 * (k - (n - 1) / 2), one.name, colors[k], size=9)
        dots.error_x = {
            "type": "data",
            "array": np.maximum(ends[1] - center, 0),
            "arrayminus": np.maximum(center - ends[0], 0),
            "color": colors[k],
            "thickness": 1.6,
            "width": 4,
        }
        fig.add_trace(dots, row=1, col=1)
        bars = go.Bar(
            x=10**result.centers,
            y=100 * one.share,
            width=10**result.centers * 0.55,
            marker={"color": colors[k], "line": {"width": 0}},
            opacity=0.65,
            name=one.name,
            showlegend=False,
        )
        fig.add_trace(bars, row=1, col=2)
        if one.without > 0:
            fig.add_annotation(
                x=0.98,
                y=0.9 - 0.07 * k,
                xref="x2 domain",
                yref="y2 domain",
                text=f"{one.name}: no cut-off in {100 * one.without:.0f} % of refits",
                showarrow=False,
                xanchor="right",
                font={"color": colors[k]},
            )
    fig.add_trace(draw.guide([1, 1], [-0.6, 5.6], "the law as set", showlegend=False), row=1, col=1)
    if np.isfinite(result.reference_cutoff) and 1e8 < result.reference_cutoff < 1e20:
        draw.mark_x(fig, result.reference_cutoff, "truth" if result.is_truth else "law as set", col=2)
    fig.update_xaxes(range=[0, reach], row=1, col=1)
    names = [*CONSTANTS[:4], "E<sub>start</sub>", "E<sub>max</sub>"]
    fig.update_yaxes(range=[5.6, -0.6], tickvals=place, ticktext=names, showgrid=False, ticks="", title_text=None, row=1, col=1)
    fig.update_xaxes(range=[9, 17], dtick=1, exponentformat="power", row=1, col=2)
    fig.update_layout(barmode="overlay")
    return fig


WORDS = r"""
A routed model sends each token through one of $E$ experts in every other layer: $N$ parameters are used per token, many more are held. Clark et
al. (2022; 213) trained three routers (S-BASE: balanced assignment; RL-R: learned by reinforcement; HASH: fixed by the token) at 15M to 1.3B
parameters and up to 512 experts, all on one token budget, and fit

$$\log_{10}L=a\log_{10}N+b\log_{10}\hat E+c\,\log_{10}N\,\log_{10}\hat E+d,\qquad
\frac1{\hat E}=\frac1{E-1+\left(\frac1{E_{\mathrm{start}}}-\frac1{E_{\max}}\right)^{-1}}+\frac1{E_{\max}},$$

so $\hat E(1)=E_{\mathrm{start}}$ and $\hat E\to E_{\max}$. Lines and maps are this law (theory); dots are runs drawn from it with your noise
(simulation); nothing is trained.

**Worth in dense parameters.** With $\alpha(x)=a+c\log_{10}x$, the dense model of the same loss has
$\bar N=N^{\alpha(\hat E)/\alpha(E_{\mathrm{start}})}\,(\hat E/E_{\mathrm{start}})^{b/\alpha(E_{\mathrm{start}})}$: $L(N,E)=L(\bar N,1)$ exactly, so all sizes and
numbers of experts fall on one curve of $\bar N$.

**Cut-off.** $c>0$: routing helps large models less. All lines of constant $E$ cross at $N_{\mathrm{cut}}=10^{-b/c}$, beyond which the law says that experts
hurt. The paper quotes 937B, 85B and 83B; the printed constants give 1000B, 32B and 215B, because $c=0.009$ or $0.012$ is rounded to one or two digits. The
gray band on the map holds every cut-off whose constants round to the printed ones. All are far beyond the models trained (dashed box).

**Refit.** Given $(E_{\mathrm{start}},E_{\max})$ the law is linear in $(a,b,c,d)$: variable projection searches two numbers instead of six. Rows are resampled for
the middle 80%; a refit with $c\le0$ has no cut-off and counts as beyond every size. Bring runs (`N`, `E`, `loss`, and `router` if several), eight rows or more
of each router.

**Where it stops.** One token budget: a larger model was trained on fewer tokens per parameter, and the falling gain may be that budget's rather than routing's.
The lab on the sparsity of mixtures of experts (475), whose law was fitted at varying budgets, says that the gain grows with scale. Memory, communication and load
are not counted. The cut-off is an extrapolation by a factor of 60 or more.
"""

LAB = Lab(
    title="Routed language models",
    question="What is a routed model worth in dense parameters?",
    views=[
        View(
            "Worth in dense parameters",
            "phase diagram",
            worth_map,
            draw_worth,
            "Blue: experts are worth extra dense parameters; white: none, at the cut-off; red: they hurt. Follow a line of equal loss from the bottom (dense) up and "
            "left to find a smaller routed model as good. The dashed box is what was trained.",
            controls=("router", "dense_size", "experts"),
            click=("dense_size", "experts"),
        ),
        View(
            "Collapse",
            "scaling curve",
            collapse,
            draw_collapse,
            "The same runs twice. Against their size they scatter by number of experts; against their worth in dense parameters they fall on the dense law.",
            controls=("router", "synthetic_noise", "dense_size", "experts"),
        ),
        View(
            "Loss curves",
            "scaling curve",
            loss_curves,
            draw_loss,
            "Left: each doubling of experts helps less and less, hardly at all beyond E_max; dotted, what it would be without saturation. Right: lines of "
            "constant E close in on each other as models grow, and cross at the cut-off.",
            controls=("router", "dense_size", "experts"),
        ),
        View(
            "Three routers",
            "scaling curve",
            routers,
            draw_routers,
            "Left: S-BASE gains most at most sizes. Right: the worth falls with size for all three and crosses 1 at the cut-off: the printed constants put it at the dots, "
            "the paper at the diamonds.",
            controls=("dense_size", "experts", "router"),
        ),
        View(
            "Refit to runs",
            "distribution",
            refit,
            draw_refit,
            "Left: the six constants of the fit over the true ones. Right: the cut-off in resampled refits: half a decade wide at the defaults, "
            "many decades with fewer runs, while the loss itself is fitted to half a percent.",
            controls=("router", "grid_size", "synthetic_noise", "n_bootstrap", "dense_size", "experts", "runs"),
        ),
    ],
    presets={
        "5M with 128 experts": {"dense_size": 5e6, "experts": 128, "router": "s_base", "view": "Worth in dense parameters"},
        "1B with 512": {"dense_size": 1e9, "experts": 512, "router": "s_base", "view": "Worth in dense parameters"},
        "Beyond the cut-off": {"dense_size": 1e12, "experts": 512, "router": "rl_r", "view": "Worth in dense parameters"},
        "Three routers at 1B": {"dense_size": 1e9, "experts": 512, "view": "Three routers"},
        "No interaction, no cut-off": {"router": "custom", "custom_c": 0.0, "view": "Loss curves"},
        "Eight runs": {"grid_size": 8, "view": "Refit to runs"},
        "A hundred quiet runs": {"grid_size": 100, "synthetic_noise": 0.001, "view": "Refit to runs"},
    },
    words=WORDS,
    papers={"213": "own object"},
)
