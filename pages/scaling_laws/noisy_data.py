"""What is a noisy sample worth beside a clean one?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from compute.scaling_laws.noisy_data import (
    Directions,
    ErrorCurves,
    ErrorMap,
    PriceCurves,
    directions,
    error_curves,
    error_map,
    price_curves,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, MAP, ORANGE, VERMILLION

DECADE_TICKS = {"dtick": 1, "exponentformat": "power"}
MIX_COLORS = {"clean only": BLUE, "10% clean": GREEN, "noisy only": VERMILLION}
ERROR_AXIS = "error of a mean (root mean square)"


def draw_error_map(plane: ErrorMap) -> go.Figure:
    fig = draw.figure(
        "clean samples n₁", "noisy samples n₂", log_x=True, log_y=True, x_range=(1, 1e4), y_range=(1, 1e6), height=520
    )
    low, high = -2.2, 0.3
    fig.add_trace(
        draw.bands(
            plane.clean,
            plane.noisy,
            plane.log10_error,
            "error of a mean",
            low=low,
            high=high,
            step=0.125,
            customdata=plane.error,
            hovertemplate="n₁ %{x:.3g}, n₂ %{y:.3g}<br>error of a mean %{customdata:.3g}<extra></extra>",
        ).update(colorbar={"tickvals": [-2, -1, 0], "ticktext": ["0.01", "0.1", "1"]})
    )
    for k, rate in enumerate(np.unique(np.round(plane.rate, 12))[::-1]):
        ends = np.geomspace(max(1.0, rate), min(1e4, 1e6 * rate), 5) if rate < 1 else np.geomspace(1, 1e4, 5)
        if ends[-1] > ends[0]:
            name = "n₁ = ρ n₂ for each direction" if k == 0 else ""
            fig.add_trace(draw.line(ends, ends / rate, name, ORANGE, dash="dash", width=1.8, showlegend=k == 0, hoverinfo="skip"))
    if (plane.error > plane.unresolved).any():
        fig.add_trace(
            go.Contour(
                x=plane.clean,
                y=plane.noisy,
                z=plane.error,
                contours={"start": plane.unresolved, "end": plane.unresolved, "size": 1, "coloring": "none"},
                line={"color": "#ffffff", "width": 2.5},
                showscale=False,
                showlegend=False,
                hoverinfo="skip",
            )
        )
        if plane.error[8, 4] > plane.unresolved:
            fig.add_trace(draw.on_map(2.5, 6, "not told apart"))
    if plane.simulated.size:
        fig.add_trace(
            go.Scatter(
                x=plane.dots[:, 0],
                y=plane.dots[:, 1],
                name="simulation, same colors",
                mode="markers",
                marker={
                    "color": np.log10(np.maximum(plane.simulated, 1e-12)),
                    "colorscale": MAP,
                    "cmin": low,
                    "cmax": high,
                    "size": 15,
                    "line": {"color": "#ffffff", "width": 1.5},
                },
                customdata=np.stack([plane.simulated, plane.simulated_error, plane.theory_at_dots], axis=-1),
                hovertemplate="n₁ %{x}, n₂ %{y}<br>simulated %{customdata[0]:.3g} ± %{customdata[1]:.2g} (SE)"
                "<br>theory %{customdata[2]:.3g}<extra></extra>",
            )
        )
    fig.update_xaxes(**DECADE_TICKS)
    fig.update_yaxes(**DECADE_TICKS)
    return fig


def draw_error_curves(curves: ErrorCurves) -> go.Figure:
    fig = draw.figure("samples in all", ERROR_AXIS, log_x=True, log_y=True, x_range=(30, 1e6), y_range=(1e-3, 10), height=480)
    for name, color in MIX_COLORS.items():
        fig.add_trace(draw.line(curves.total, curves.theory[name], name, color))
        seen = np.isfinite(curves.simulated[name])
        if seen.any():
            fig.add_trace(
                draw.points(
                    curves.drawn[seen],
                    curves.simulated[name][seen],
                    "simulation ± 2 SE",
                    color,
                    standard_error=curves.simulated_error[name][seen],
                    showlegend=name == "clean only",
                )
            )
    fig.add_trace(draw.guide([30, 1e6], [curves.unresolved] * 2, "half the separation: not told apart above"))
    fig.update_xaxes(**DECADE_TICKS)
    fig.update_yaxes(**DECADE_TICKS)
    return fig


def draw_price_curves(curves: PriceCurves) -> go.Figure:
    fig = draw.figure(
        "corruption τ", "clean samples per noisy one", log_x=True, log_y=True, x_range=(0.1, 14), y_range=(1e-9, 2), height=480
    )
    hues = sample_colorscale(MAP, list(np.linspace(0.9, 0.3, 6)))
    for k in range(6):
        mine = k + 1 == curves.components
        color = VERMILLION if mine else hues[k]
        fig.add_trace(
            draw.line(
                curves.corruption,
                curves.alone[k],
                f"noisy only, k = {k + 1}",
                color,
                width=3.5 if mine else 1.4,
                showlegend=mine,
            )
        )
        end = float(curves.alone[k, -1])
        if end > 1e-9:
            fig.add_annotation(
                x=1.0,
                y=np.log10(end),
                text=f"k = {k + 1}",
                showarrow=False,
                xanchor="left",
                xshift=4,
                font={"color": GRAY, "size": 12},
            )
    far = curves.corruption > 2.5
    steepest = curves.alone[curves.components - 1]
    guide = steepest[-1] * (curves.corruption[far] / curves.corruption[-1]) ** (-2.0 * curves.components)
    fig.add_trace(draw.guide(curves.corruption[far], 2 * guide, f"slope −2k = −{2 * curves.components}"))
    fig.add_trace(draw.line(curves.corruption, curves.helped, f"10% clean, k = {curves.components}", GREEN, dash="dash", width=3))
    draw.mark_x(fig, max(curves.here, 0.1), "τ")
    fig.update_yaxes(**DECADE_TICKS)
    return fig


def draw_directions(result: Directions) -> go.Figure:
    fig = draw.panels(
        [("place along the line", "density"), ("direction", "exchange rate ρ: clean samples per noisy one")],
        log_y=[False, True],
        titles=["The mixture, clean and noisy", "What a noisy sample is worth, by direction"],
        height=460,
    )
    first, second = {"row": 1, "col": 1}, {"row": 1, "col": 2}
    zero = np.zeros(result.x.size)
    fig.add_trace(draw.band(result.x, zero, result.clean, "clean", BLUE, opacity=0.35), **first)
    fig.add_trace(draw.line(result.x, result.clean, "", BLUE, width=1.5, showlegend=False), **first)
    fig.add_trace(draw.line(result.x, result.noisy, "noisy", VERMILLION, width=3), **first)
    fig.add_trace(draw.points(result.means, np.zeros(result.means.size), "means", GRAY, symbol="triangle-up", size=9), **first)
    top = float(np.ceil(11 * result.clean.max()) / 10)
    fig.update_yaxes(range=[-0.02 * top, top], **first)
    fig.update_xaxes(range=[-float(result.x[-1]), float(result.x[-1])], **first)
    index = np.arange(1, result.rate.size + 1)
    fig.add_trace(
        draw.guide(np.arange(1, 7), result.rate[0] * result.variance ** -np.arange(6.0), "a factor v = 1 + τ² a direction"),
        **second,
    )
    fig.add_trace(draw.points(index, result.rate, "exchange rate", GREEN, size=12), **second)
    low = min(
        1e-3,
        10.0 ** np.floor(np.log10(max(min(result.rate[-1], result.rate[0] * result.variance ** -float(index.size - 1)), 1e-12))),
    )
    fig.update_yaxes(range=[np.log10(low), 0.3], **DECADE_TICKS, **second)
    fig.update_xaxes(range=[0.5, 6.5], dtick=1, **second)
    return fig


WORDS = r"""
$k$ Gaussians of unit variance and equal weight stand at spacing $s$ on a line in $\mathbb R^d$. A **clean** sample comes from the mixture; a **noisy** one has
noise of deviation $\tau$ added, so its variance about a mean is $v=1+\tau^2$. Weights and variances are known, the means are learned. This is a mechanism model of 069
(read from its abstract): learning mixtures from samples of unequal variances.

**Information.** With posteriors $r_i$, one sample of variance $v$ holds $I_{ij}(v)=\mathbb E[r_ir_j(x-\mu_i)(x-\mu_j)]/v^2$ about the means along the line, and
$\mathbb E[r_ir_j]/v$ in each other direction (by quadrature, to machine precision). $n_1$ clean and $n_2$ noisy samples hold $J=n_1I(1)+n_2I(v)$, and the squared error
of all means is $\operatorname{tr}J^{-1}$ to first order.

**Exchange rates.** Diagonalize $I(v)$ against $I(1)$: in direction $j$ a noisy sample is worth $\rho_j\le1$ clean ones, and
$$\operatorname{tr}J^{-1}=\sum_j\frac{c_j}{n_1+n_2\rho_j}.$$
The first direction moves the overall mean, the $j$-th shows first in the $j$-th moment, which noise dilutes as $v^{-j}$. So $\rho_j\sim v^{-j}$: with noisy data *only*, the worst
direction sets the price, which falls as $v^{-k}=\tau^{-2k}$, exponentially worse with every component more. With some clean data the worst directions are known from those, and one more noisy
sample is priced by the directions it can serve,
$$\text{price}=\frac{\sum_jc_j\rho_j/(n_1+n_2\rho_j)^2}{\sum_jc_j/(n_1+n_2\rho_j)^2},$$
which flattens to $\tau^{-2}$. For one Gaussian the price is $1/(1+\tau^2)$ exactly.

**Simulation.** Data sets are drawn and the means fitted by expectation–maximization with each sample's own variance, started at the truth (it finds the
likelihood's maximum nearest to it) and matched to the true means. On a line samples are binned (width 0.05 deviations), so a million costs what a thousand does;
in more dimensions only sets of up to 20,000 samples are drawn.

**Where it stops.** The theory is first order: where it puts the error of a mean above half the separation, the components are not told apart and it means
nothing (the likelihood's maximum stays closer than that). Fewer than about ten samples of a kind act as none. The abstract speaks of diffusion models on images; none is trained here.
"""

FIRST = ("components", "separation", "corruption")

LAB = Lab(
    title="The price of a noisy sample",
    question="What is a noisy sample worth beside a clean one?",
    views=[
        View(
            "Clean and noisy",
            "phase diagram",
            error_map,
            draw_error_map,
            "Dark is a small error; along a contour clean and noisy samples trade. Above each dashed line one more direction is learned "
            "from the noisy samples, below it from the clean ones.",
            controls=("n_clean", "n_noisy", *FIRST, "em_repeats"),
            click=("n_clean", "n_noisy"),
        ),
        View(
            "Error against samples",
            "scaling curve",
            error_curves,
            draw_error_curves,
            "At equal numbers of samples: all clean, one clean in ten, none. A tenth of clean data brings the curve from the red line most of "
            "the way to the blue.",
            controls=(*FIRST, "dimension", "em_repeats"),
        ),
        View(
            "Price against noise",
            "scaling curve",
            price_curves,
            draw_price_curves,
            "Without clean data the price falls as τ^(−2k), faster with every component; with one clean sample in ten (green) it flattens to τ^(−2).",
            controls=(*FIRST, "dimension"),
        ),
        View(
            "Directions",
            "distribution",
            directions,
            draw_directions,
            "Left: noise washes the components out. Right: it takes the j-th direction down about as the j-th power of the variance.",
            controls=FIRST,
        ),
    ],
    presets={
        "One Gaussian: an exact price": {"components": 1, "view": "Price against noise"},
        "Two close components": {"components": 2, "separation": 1.0, "corruption": 2.0, "view": "Directions"},
        "Four components, hopeless alone": {"components": 4, "separation": 2.0, "corruption": 5.0, "view": "Error against samples"},
        "A tenth of clean data rescues": {
            "components": 4,
            "corruption": 3.0,
            "n_clean": 1000,
            "n_noisy": 9000,
            "view": "Clean and noisy",
        },
        "Well separated: little is lost": {"components": 4, "separation": 5.0, "corruption": 1.0, "view": "Error against samples"},
        "Six components": {"components": 6, "corruption": 4.0, "view": "Price against noise"},
    },
    words=WORDS,
    papers={"069": "miniature"},
)
