"""Data or compute, in value-based reinforcement learning?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.value_based_rl import (
    CostCurves,
    DataFit,
    Frontier,
    RatioMap,
    ToyLaw,
    cost_curves,
    data_fit,
    frontier,
    ratio_map,
    toy_law,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, VERMILLION, shades

RATIO_AXIS = "updates per environment step σ"
DECADES = {"dtick": 1, "exponentformat": "power"}


def _decades(*series: np.ndarray) -> list[float]:
    """Whole decades, in logarithms, that hold all of the values."""
    values = np.concatenate([np.ravel(s) for s in series])
    return [float(np.floor(np.log10(values.min()))), float(np.ceil(np.log10(values.max())))]


def draw_map(plane: RatioMap) -> go.Figure:
    fig = draw.figure(
        "price of an environment step δ, compute units",
        "budget F, compute units",
        log_x=True,
        log_y=True,
        x_range=plane.price[[0, -1]],
        y_range=plane.budget[[0, -1]],
        height=540,
    )
    fig.add_hrect(y0=plane.budget[0], y1=plane.budget[-1], fillcolor=GRAY, opacity=0.4, line_width=0, layer="below")
    fig.add_trace(
        draw.heatmap(
            plane.price,
            plane.budget,
            np.log10(plane.utd),
            "best ratio σ*",
            customdata=np.stack([plane.utd, 1 - plane.distance], axis=-1),
            hovertemplate="δ %{x:.3g}<br>F %{y:.3g}<br>σ* %{customdata[0]:.3g}<br>J %{customdata[1]:.4f}<extra></extra>",
            zmin=-0.5,
            zmax=2.5,
        )
    )
    ticks = [0, 1, 2]
    fig.update_traces(colorbar={"tickvals": ticks, "ticktext": ["1", "10", "100"]}, selector={"type": "heatmap"})
    if np.isfinite(plane.distance).any():
        fig.add_trace(
            go.Contour(
                x=plane.price,
                y=plane.budget,
                z=np.log10(np.where(np.isfinite(plane.distance), plane.distance, 1.0)),  # Plotly fills gaps slowly
                contours={"coloring": "none", "start": -6, "end": -1, "size": 1},
                line={"color": "rgba(255,255,255,0.8)", "width": 1.3},
                showscale=False,
                showlegend=False,
                hoverinfo="skip",
            )
        )
        # Each level's line is named near the left edge.
        column = plane.distance[:, 12]
        for nines, name in ((1e-1, "J = 0.9"), (1e-2, "0.99"), (1e-3, "0.999"), (1e-4, "0.9999")):
            if np.nanmin(column) < nines < np.nanmax(column):
                row = int(np.nanargmin(np.abs(np.log(column / nines))))
                fig.add_trace(draw.on_map(plane.price[12], plane.budget[row] * 1.35, name, size=12))
    inside = plane.edge >= plane.budget[0]
    if inside.any():
        fig.add_trace(draw.line(plane.price[inside], plane.edge[inside], "", ORANGE, width=3, showlegend=False))
    for k in (17, 52):
        if plane.edge[k] > 5e4:
            fig.add_trace(draw.on_map(plane.price[k], plane.edge[k] / 3, "no level reached", size=13))
            break
    fig.update_xaxes(**DECADES)
    fig.update_yaxes(**DECADES)
    return fig


def draw_costs(curves: CostCurves) -> go.Figure:
    fig = draw.figure(RATIO_AXIS, "environment steps, compute units", log_x=True, log_y=True, height=500)
    fig.add_trace(draw.line(curves.utd, curves.data, "data D, steps", BLUE))
    fig.add_trace(draw.line(curves.utd, curves.compute, "compute C", GREEN))
    fig.add_trace(draw.line(curves.utd, curves.total, "total cost C + δD", VERMILLION, width=4))
    fig.add_trace(draw.guide(curves.utd[[0, -1]], [curves.least_data] * 2, "least data, σ → ∞"))
    data, compute, total = curves.best_cost
    if curves.utd[0] < curves.best < curves.utd[-1]:
        draw.mark_x(fig, curves.best, "")
        name = f"best ratio σ* = {curves.best:.3g}"
        fig.add_trace(draw.points([curves.best] * 3, [data, compute, total], name, ORANGE, symbol="star", size=13))
    else:
        side = "right" if curves.best > curves.utd[-1] else "left"
        edge = {"x": 1.0 if side == "right" else 0.0, "xanchor": side, "xref": "paper", "y": 1.0, "yref": "paper", "yanchor": "top"}
        fig.add_annotation(text=f"σ* = {curves.best:.3g}, beyond the axis", showarrow=False, font={"color": GRAY}, **edge)
    fig.add_trace(draw.points([curves.at] * 3, curves.at_cost, "at yours", GRAY, symbol="diamond", size=9))
    fig.update_xaxes(range=np.log10(curves.utd[[0, -1]]), **DECADES)
    fig.update_yaxes(range=_decades(curves.data, curves.compute, curves.total), **DECADES)
    return fig


def draw_frontier(result: Frontier) -> go.Figure:
    fig = draw.figure("environment steps D", "compute C, units", log_x=True, log_y=True, height=520)
    for k, hue in enumerate(shades(result.level.size)):
        level = float(result.level[k])
        name = f"level J = {level:.3g}" if level < 0.99 else f"level 1 − J = {1 - level:.2g}"
        fig.add_trace(draw.line(result.data[k], result.compute[k], name, hue, width=3))
    budget = f"budget F = {result.budget[-1]:.3g}, spent whole"
    fig.add_trace(draw.line(result.line_data, result.line_compute, budget, VERMILLION, dash="dash", width=2))
    fig.add_trace(draw.points(result.best_data, result.best_compute, "spent best", ORANGE, symbol="star", size=14))
    fig.add_trace(draw.points([result.at[0]], [result.at[1]], "at your ratio", GRAY, symbol="diamond", size=10))
    x = np.log10(result.best_data)
    y = np.log10(result.best_compute)
    fig.update_xaxes(range=[float(x.min()) - 0.6, float(x.max()) + 1.4])
    fig.update_yaxes(range=[float(y.min()) - 1.6, float(y.max()) + 1.4])
    return fig


def draw_toy(toy: ToyLaw) -> go.Figure:
    fig = draw.figure(RATIO_AXIS, "environment steps to the level", log_x=True, log_y=True, x_range=(0.11, 36), height=500)
    n_seeds = toy.seeds.shape[1]
    every = np.repeat(toy.ratio, n_seeds), toy.seeds.ravel()
    fig.add_trace(draw.points(*every, "each seed", GRAY, size=4, opacity=0.45))
    if toy.fitted is not None:
        fig.add_trace(draw.band(toy.fine, toy.low, toy.high, "80% of refits", BLUE))
        fig.add_trace(draw.line(toy.fine, toy.fitted, "law fitted to the medians", BLUE))
        fig.add_trace(draw.guide([0.11, 36], [float(toy.parameters[0])] * 2, "least data of the fit"))
    medians = draw.points(toy.ratio, toy.data, "median ± 2 SE", BLUE, standard_error=toy.standard_error, size=8)
    fig.add_trace(medians)
    seen = toy.seeds[np.isfinite(toy.seeds)]
    fig.update_yaxes(range=[np.log10(min(200.0, seen.min())), np.log10(max(1e4, 1.2 * seen.max()))])
    return fig


def draw_fit(result: DataFit) -> go.Figure:
    fig = draw.figure(RATIO_AXIS, "environment steps to the level", log_x=True, log_y=True, height=520)
    for fit, hue in zip(result.fits, shades(len(result.fits)), strict=True):
        x = result.utd[result.level == fit.level]
        span = np.geomspace(x.min() / 2, x.max() * 4, 2)
        fine = np.geomspace(0.1, 128.0, fit.curve.size)
        inside = (fine >= span[0]) & (fine <= span[1])
        fig.add_trace(draw.band(fine[inside], fit.low[inside], fit.high[inside], "", BLUE, showlegend=False))
        fig.add_trace(draw.line(fine[inside], fit.curve[inside], f"level {fit.level:g}: α = {fit.alpha:.2f}", hue))
        fig.add_trace(draw.points(x, result.steps[result.level == fit.level], "", hue, showlegend=False))
        if fine[0] < fit.best < fine[-1]:
            height = np.exp(np.interp(np.log(fit.best), np.log(fine), np.log(fit.curve)))
            first = fit is result.fits[0]
            fig.add_trace(
                draw.points([fit.best], [height], "best ratio at this price", ORANGE, symbol="star", size=14, showlegend=first)
            )
    return fig


WORDS = r"""
An agent that learns values from replay can buy a level of performance with more **data** (environment steps $D$) or more **compute** (updates per
step, $\sigma$). Paper 379 finds, at tuned batch and learning rate, laws of the form
$$D(\sigma)=D_{\min}\Big(1+\big(\tfrac{\beta}{\sigma}\big)^{\alpha}\Big),\qquad B\propto\sigma^{-\alpha_B},\qquad C=k\,\sigma^{1-\alpha_B}D(\sigma).$$
Versions write $\beta$ inside or outside of $D_{\min}$: the same family. **No published coefficients are used**; every default here is ours ($k=3$).
How the law moves with the level is a form of ours: $D_{\min}=D_0(1-J)^{-1}$, $\beta=\beta_0(1-J)^{-p_\beta}$.

**A budget** $F=C+\delta D$ is spent best at the root of
$$k(1-\alpha_B)\,\sigma^{1-\alpha_B}\big(1+(\sigma/\beta)^{\alpha}\big)=\alpha\,\big(k\,\sigma^{1-\alpha_B}+\delta\big),$$
which is unique for $\alpha_B<1$; there the frontier has slope $\mathrm dC/\mathrm dD=-\delta$. At $\alpha_B\ge1$ compute would not grow with $\sigma$ and
no optimum exists. With $p_\beta=0$ the best ratio does not depend on the budget. $\sigma^*$ may lie far outside the ratios that anyone has run.

**The toy** is simulated: tabular Q-learning on a $6\times6$ grid, reward 1 at the far corner, discount 0.95, $\varepsilon=0.2$, replay of everything seen,
batches of $\lceil16\,\sigma^{-\alpha_B}\rceil$ (so $\alpha_B$ acts there too), step size 0.1, from random first values that updates must correct. Data is the
number of steps until a 20-episode average reaches a share of the optimal value, which value iteration gives. A table does not overfit: more updates never
hurt here as they can in a network, and the law's exponents are the toy's own.

**Your runs.** The log-Huber fit of $(D_{\min},\beta,\alpha)$ to each level, runs resampled for the band; batch and rate exponents by least squares in the logs;
then $\sigma^*$ at your price. The planted runs follow the law as set.
"""

PLAN = ("data_price", "budget", "batch_exponent", "alpha", "beta0", "level_exponent")

LAB = Lab(
    title="Data or compute in reinforcement learning",
    question="Data or compute, in value-based reinforcement learning?",
    views=[
        View(
            "Best ratio",
            "phase diagram",
            ratio_map,
            draw_map,
            "Color is the number of updates per step that spends the budget best; white lines are the level it reaches. Dear data (right) "
            "asks for more updates, and so does a larger budget unless the crossover stays put. Click to move.",
            controls=PLAN,
            click=("data_price", "budget"),
        ),
        View(
            "Data and compute",
            "scaling curve",
            cost_curves,
            draw_costs,
            "For one level: data falls to a floor as updates grow, compute rises, and their sum at your price has one minimum.",
            controls=("utd", *PLAN),
        ),
        View(
            "Pareto frontier",
            "trajectory",
            frontier,
            draw_frontier,
            "Each curve is all ways to reach a level; σ runs up it from right to left. The budget (dashed, straight but for the log axes) "
            "touches the highest level it can pay for.",
            controls=("utd", *PLAN),
        ),
        View(
            "A toy that has the law",
            "scaling curve",
            toy_law,
            draw_toy,
            "Every dot is a Q-learning agent. Medians fall with updates per step as a power and settle on a floor of data that no compute "
            "replaces.",
            controls=("toy_level", "env_noise", "batch_exponent", "n_seeds"),
        ),
        View(
            "Your runs",
            "scaling curve",
            data_fit,
            draw_fit,
            "A law for each level, carried to four times the largest ratio run; the star is where your price of a step would run it.",
            controls=("runs", "data_price", "data_noise", "n_refits"),
        ),
    ],
    presets={
        "Data dear": {"data_price": 300.0, "budget": 1e9, "view": "Data and compute"},
        "Compute dear": {"data_price": 0.03, "budget": 1e7, "view": "Data and compute"},
        "Batches shrink fast": {"batch_exponent": 0.9, "view": "Best ratio"},
        "The crossover stays put": {"level_exponent": 0.0, "view": "Best ratio"},
        "Toy run, slippery": {"env_noise": 0.3, "n_seeds": 30, "view": "A toy that has the law"},
        "Batches too small to matter": {"batch_exponent": 0.95, "view": "A toy that has the law"},
    },
    words=WORDS,
    papers={"379": "miniature"},
)
