"""Which mechanism sets the compute-optimal exponent?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from compute.scaling_laws.four_plus_three_phases import (
    BOUNDARIES,
    PHASE_BY_NAME,
    Components,
    LossCurves,
    PhasePlane,
    components,
    loss_curves,
    phase_plane,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, MAP, ORANGE, PURPLE, VERMILLION, faded

# Where each phase is named on the map; the wide ones with the terms that meet there.
NAMES = (("Ia", 1.25, 0.3), ("Ib", 0.41, 0.36), ("Ic", 0.175, 1.25), ("II", 1.4, 0.9), ("III", 1.0, 1.55), ("IVa", 0.396, 1.25))
WIDE = ("Ia", "II", "III")
TERMS = {"F_0": "F<sub>0</sub>", "F_pp": "F<sub>pp</sub>", "F_ac": "F<sub>ac</sub>", "K_pp": "K<sub>pp</sub>"}


def draw_phase_plane(plane: PhasePlane) -> go.Figure:
    fig = draw.figure("data exponent α", "target exponent β", x_range=(0.1, 2.0), y_range=(0.1, 2.0), height=520)
    of_loss = plane.shown == "loss"
    fig.add_trace(
        draw.heatmap(
            plane.alpha,
            plane.beta,
            # Under the gray, the value at its edge, so that cells cut by the edge show no steps.
            np.where(np.isnan(plane.color), 0.0 if of_loss else 0.5, plane.color).astype(np.float32),
            "x of P* = f<sup>−x</sup>" if of_loss else "x of d* = f<sup>x</sup>",
            text=plane.phase,
            hovertemplate="α %{x:.2f}, β %{y:.2f}<br>%{text}<br>x = %{z:.3f}<extra></extra>",
            zmin=0.0 if of_loss else 0.1,
            zmax=0.9 if of_loss else 0.7,
        )
    )
    fig.add_trace(
        go.Scatter(
            x=[0.1, 0.1, 0.4],
            y=[0.1, 0.4, 0.1],
            mode="none",
            fill="toself",
            fillcolor=faded(GRAY, 1),
            hoverinfo="skip",
            showlegend=False,
        )
    )
    ends = np.array([[start, end] for _, _, start, end in BOUNDARIES])
    fig.add_trace(draw.strokes(ends[:, :, 0], ends[:, :, 1], "#ffffff", 2, name="phase boundary"))
    for name, at_x, at_y in NAMES:
        phase = PHASE_BY_NAME[name]
        terms = f"<br>{TERMS[phase.falling]} = {TERMS[phase.other]}" if name in WIDE else ""
        fig.add_trace(draw.on_map(at_x, at_y, f"<b>{name}</b>{terms}"))
    # A strip too narrow for words lying down.
    fig.add_annotation(x=0.271, y=1.25, text="<b>IVb</b>", showarrow=False, textangle=-90, font={"size": 14, "color": "#ffffff"})
    fig.add_trace(draw.on_map(0.205, 0.19, "no<br>power law").update(textfont_size=11))
    return fig


def _width_colors(widths: np.ndarray) -> list[str]:
    """One color a width along the map's scale, its darkest and palest ends left out."""
    place = np.log(widths / widths[0]) / max(np.log(widths[-1] / widths[0]), 1e-9)
    return sample_colorscale(MAP, list(0.28 + 0.6 * place))


def draw_loss_curves(curves: LossCurves) -> go.Figure:
    fig = draw.figure("compute f = r B d (FLOP)", "loss P", log_x=True, log_y=True, x_range=(1e2, curves.last_flops), height=500)
    widths = np.unique(curves.width)
    for k, (width, color) in enumerate(zip(widths, _width_colors(widths), strict=True)):
        mine = curves.width == width
        name = f"width {width:,.0f}"
        fig.add_trace(
            draw.line(
                curves.flops[mine],
                curves.loss[mine],
                name,
                color,
                width=1.6,
                showlegend=k in (0, widths.size - 1),
                hovertemplate=name + "<br>f %{x:.3g}<br>P %{y:.3g}<extra></extra>",
            )
        )
    best, theory = curves.frontier, curves.exponents
    if best.flops.size:
        slope = best.slope(best.loss)
        name = "compute-optimal" if slope is None else f"compute-optimal, slope −{-slope:.3f}"
        fig.add_trace(draw.line(best.flops, best.loss, name, VERMILLION, width=4))
        if theory is not None:
            # Below the envelope, for the slopes to be compared.
            line = 0.6 * best.loss[-1] * (best.flops / best.flops[-1]) ** -theory[1]
            fig.add_trace(draw.guide(best.flops, line, f"theory, slope −{theory[1]:.3f}"))
    _add_sgd(fig, curves)
    return fig


def _add_sgd(fig: go.Figure, curves: LossCurves) -> None:
    runs = curves.simulation
    if runs is None:
        return
    for width, color, symbol in zip(np.unique(runs.width), (GREEN, PURPLE), ("circle", "square"), strict=True):
        mine = runs.width == width
        error = None if runs.standard_error is None else runs.standard_error[mine]
        fig.add_trace(
            draw.line(
                runs.flops[mine],
                runs.exact[mine],
                f"exact for its features, d = {width:.0f}",
                color,
                dash="dash",
                width=1.5,
                showlegend=False,
            )
        )
        fig.add_trace(
            draw.points(
                runs.flops[mine],
                runs.mean[mine],
                f"SGD, d = {width:.0f}, ± 2 SE",
                color,
                standard_error=error,
                symbol=symbol,
                size=6,
            )
        )


def draw_optimal_width(curves: LossCurves) -> go.Figure:
    fig = draw.panels(
        [("compute f (FLOP)", "compute-optimal width d*"), ("compute f (FLOP)", "local exponent over a decade")],
        log_x=[True, True],
        log_y=[True, False],
        titles=["Optimal width", "Exponents along the frontier"],
    )
    limits = [2, np.log10(curves.last_flops)]
    fig.update_xaxes(range=limits)
    fig.update_yaxes(range=[0, 1], row=1, col=2)
    fig.update_yaxes(range=[np.log10(0.8 * curves.width.min()), np.log10(1.2 * curves.width.max())], row=1, col=1)
    best, theory = curves.frontier, curves.exponents
    fig.add_trace(draw.line(best.flops, best.width, "d*", BLUE), row=1, col=1)
    fig.add_trace(draw.line(best.flops, best.local_slopes(best.width), "exponent of d*", BLUE, showlegend=False), row=1, col=2)
    fig.add_trace(draw.line(best.flops, -best.local_slopes(best.loss), "1/P*", VERMILLION), row=1, col=2)
    if not best.flops.size:
        for panel in ("x domain", "x2 domain"):
            place = {"x": 0.5, "y": 0.5, "xref": panel, "yref": "paper"}
            fig.add_annotation(text="no optimum between these widths", showarrow=False, font={"color": GRAY, "size": 14}, **place)
    elif theory is not None:
        ends = 10 ** np.array(limits)
        guide = draw.guide(ends, best.width[-1] * (ends / best.flops[-1]) ** theory[0], "theory as f → ∞")
        fig.add_trace(guide, row=1, col=1)
        for value, color in zip(theory, (BLUE, VERMILLION), strict=True):
            fig.add_trace(draw.line(ends, [value, value], "theory", color, dash="dot", width=1.5, showlegend=False), row=1, col=2)
    return fig


def draw_components(parts: Components) -> go.Figure:
    fig = draw.figure("steps r", "loss and its terms", log_x=True, log_y=True, height=500)
    fig.add_trace(draw.line(parts.steps, parts.loss, "loss P", BLUE, width=4))
    for values, name, color in (
        (parts.terms.target, "F<sub>pp</sub> target's spectrum", GREEN),
        (parts.terms.distortion, "F<sub>ac</sub> features' distortion", ORANGE),
        (parts.terms.noise, "K<sub>pp</sub>/γB noise of SGD", VERMILLION),
        (parts.terms.unreachable, "F<sub>0</sub> out of reach", PURPLE),
    ):
        if not np.isnan(values).all():
            fig.add_trace(draw.line(parts.steps, values, name, color, dash="dash", width=2))
    fig.add_trace(draw.guide(parts.steps, parts.terms.total, "sum of the terms"))
    floor = parts.loss.min()
    fig.update_xaxes(range=[0, np.log10(parts.steps[-1])])
    fig.update_yaxes(range=[np.log10(floor) - 1.5, np.log10(parts.loss[0]) + 0.3])
    if parts.corner is not None:
        draw.mark_x(fig, parts.corner, " r*: optimal steps<br> for this width")
    return fig


WORDS = r"""
Data $x_j=j^{-\alpha}z_j$ with Gaussian $z$, target $\langle x,b\rangle$ with $b_j=j^{-\beta}$, $j=1\dots v$; a model of width $d$
sees $W^\top x$, $W_{jk}\sim N(0,1/d)$, and is trained by one-pass SGD from 0: $r$ steps of size $\gamma$, each on the summed gradient
of $B$ fresh samples. Compute is $f=rBd$. Everything is the model of 235.

**The loss is a Volterra equation**, $P(r)=F(r)+\sum_{s<r}K(r-1-s)P(s)$, with $F=\sum_i s_i a_i^r + F_0$,
$K=\gamma^2B\sum_i\lambda_i^2a_i^r$ and $a_i=1-2\gamma B\lambda_i+\gamma^2B(B+1)\lambda_i^2$ over the eigenvalues $\lambda_i$ of
$D^{1/2}WW^\top D^{1/2}$. *Given $W$* it is exact and solved exactly: its poles are the roots of a secular equation. *In the limit
of large width* the resolvent is $\kappa/(-z(j^{-2\alpha}+\kappa))$ with
$\kappa\,\bigl(1-\tfrac1d\sum_j\frac{j^{-2\alpha}}{j^{-2\alpha}+\kappa}\bigr)=-z$, the generating functions of $F$ and $K$ are explicit in
$\kappa$, and $P(r)=\frac1{2\pi i}\oint\Lambda^r\,\frac{\hat F}{1-\hat K}\,d\Lambda$ is one contour integral. A width of ten million
costs what a width of a hundred does.

**Four terms.** Up to constants $P\approx F_0+F_{pp}+F_{ac}+K_{pp}/\gamma B$, with
$F_0\sim d^{-2\alpha+\max(0,1-2\beta)}$, $F_{pp}\sim(\gamma Br)^{-1-(2\beta-1)/2\alpha}$,
$F_{ac}\sim d^{-1}(\gamma Br)^{-1+1/2\alpha}$ and $K_{pp}/\gamma B\sim\gamma\,(\gamma Br)^{-2+1/2\alpha}$. Which two meet at the best width
decides the phase:

| phase | where | terms that meet | $d^*=f^x$ | $P^*=f^{-x}$ |
|---|---|---|---|---|
| Ia | $\beta<\frac12<\alpha$ | $F_{pp},F_0$ | $\frac1{2\alpha+1}$ | $\frac{2\alpha+2\beta-1}{2\alpha+1}$ |
| Ib | $\alpha,\beta<\frac12<\alpha+\beta$ | $F_{pp},F_0$ | $\frac12$ | $\alpha+\beta-\frac12$ |
| Ic | $\alpha<\frac14,\ \beta>\frac12$ | $F_{pp},F_0$ | $\frac{2\alpha+2\beta-1}{6\alpha+4\beta-4\alpha\beta-2}$ | $\frac{\alpha(2\alpha+2\beta-1)}{3\alpha+2\beta-2\alpha\beta-1}$ |
| II | $\frac12<\beta<\alpha$ | $F_{pp},F_{ac}$ | $\frac\beta{\alpha+\beta}$ | $\frac{2\alpha+2\beta-1}{2(\alpha+\beta)}$ |
| III | $\frac12<\alpha<\beta$ | $K_{pp},F_{ac}$ | $\frac12$ | $1-\frac1{4\alpha}$ |
| IVa | $1-\frac1{\sqrt2}<\alpha<\frac12<\beta$ | $K_{pp},F_0$ | $\frac12$ | $\alpha$ |
| IVb | $\frac14<\alpha<1-\frac1{\sqrt2},\ \beta>\frac12$ | $F_{pp},K_{pp}$ | $\frac{\beta-\alpha}{2\beta-2\alpha\beta-\alpha}$ | $\frac{(1-2\alpha)(2\alpha+2\beta-1)}{2(2\beta-2\alpha\beta-\alpha)}$ |

The exponent of $P^*$ is continuous across every boundary; that of $d^*$ jumps between IVa and IVb. For $\alpha+\beta\le\frac12$ the
loss at the start diverges with $v$ and there is no power law.

**Theory and simulation.** Solid curves are the limit of large width, or the mean over drawn features of the exact curve. SGD
runs stream fresh samples at two widths, in the eigenbasis of their own features (the law is unchanged, a sample costs $O(d)$), and are held
against the exact curve for those features, dashed; one draw of $W$ moves a curve of width 40 by tens of percent.

**Where it stops being true.** Exponents are limits $f\to\infty$: at widths up to ten thousand the measured ones are off by up to a few
hundredths for $\alpha>\frac12$, by up to 0.1 ($P^*$) and 0.2 ($d^*$) for $\alpha<\frac12$ (raise the largest width and watch them settle). Ic rests, in the
paper, on an unproved bound on the kernel. The sum of the four terms follows the loss up to a factor only (about 0.8 to 3.7): in the end SGD's noise multiplies
$F_0$ by $1/(1-k)$, $k$ the kernel norm. The step size is a fraction of the limit $k=1$, which for $2\alpha<1$ falls as $d^{2\alpha-1}$.
"""

LAB = Lab(
    title="4+3 phases of compute-optimal scaling",
    question="Which mechanism sets the compute-optimal exponent?",
    views=[
        View(
            "Phase plane",
            "phase diagram",
            phase_plane,
            draw_phase_plane,
            "Color is the exponent with which the compute-optimal loss falls. White lines are exact: across each, another "
            "pair of terms sets the optimum. Click to go to a point, then open the loss curves.",
            controls=("alpha", "beta", "shown"),
            click=("alpha", "beta"),
        ),
        View(
            "Loss against compute",
            "scaling curve",
            loss_curves,
            draw_loss_curves,
            "Each thin curve trains one width, darker ones narrower; their lower envelope (orange-red) is the best loss a budget "
            "buys, and its slope is the exponent theory predicts.",
            controls=("alpha", "beta", "largest_width", "sgd_runs"),
        ),
        View(
            "Optimal width",
            "scaling curve",
            loss_curves,
            draw_optimal_width,
            "Left: the width to train at each budget. Right: both exponents, measured over a decade around each budget, settle "
            "on their limits (dotted) as compute grows; for α < 1/2 slowly.",
            controls=("alpha", "beta", "largest_width", "aspect"),
        ),
        View(
            "Terms of the loss",
            "trajectory",
            components,
            draw_components,
            "The loss follows whichever term is largest; this width is the best use of compute about where the phase's two "
            "terms cross, at r*.",
            controls=("alpha", "beta", "width", "step_fraction"),
        ),
    ],
    presets={
        "II: distortion (1.0, 0.7)": {"alpha": 1.0, "beta": 0.7, "view": "Loss against compute"},
        "III: SGD noise (0.7, 1.2)": {"alpha": 0.7, "beta": 1.2, "view": "Loss against compute"},
        "Ia: capacity (0.7, 0.3)": {"alpha": 0.7, "beta": 0.3, "view": "Loss against compute"},
        "IVa: noise and capacity (0.4, 0.8)": {"alpha": 0.4, "beta": 0.8, "view": "Terms of the loss"},
        "IVb (0.27, 0.9), ten million features": {"alpha": 0.27, "beta": 0.9, "largest_width": 10**7, "view": "Optimal width"},
        "Ic (0.15, 0.9), ten million features": {"alpha": 0.15, "beta": 0.9, "largest_width": 10**7, "view": "Optimal width"},
        "d* jumps between IVa and IVb": {"alpha": 0.293, "beta": 1.2, "shown": "optimal_width", "view": "Phase plane"},
        "No power law (0.15, 0.2)": {"alpha": 0.15, "beta": 0.2, "view": "Loss against compute"},
    },
    words=WORDS,
    papers={"235": "own object"},
)
