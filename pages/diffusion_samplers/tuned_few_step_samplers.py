"""If you only have five steps, where should they go?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.tuned_few_step_samplers import (
    Coefficients,
    ExitMap,
    FoundGrid,
    Landing,
    StepCurve,
    coefficients,
    exit_map,
    found_grid,
    landing,
    step_curve,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, PURPLE, VERMILLION, faded

GRID_COLORS = {"EDM": VERMILLION, "even in log σ": ORANGE, "equal angles": GREEN}


N_LANDED = 150


def draw_landing(result: Landing) -> go.Figure:
    fig = draw.panels(
        [("x₁", "x₂"), ("x₁", "x₂")],
        titles=[
            f"{result.solver}, K = {result.steps}: error {result.base_error:.3f}",
            f"Fitted coefficients: error {result.tuned_error:.3f}",
        ],
        height=520,
    )
    # A browser takes longest over dots: the picture shows some of the samples, the errors count all.
    ends = [np.float32(end[:N_LANDED]) for end in (result.exact, result.base, result.tuned)]
    for column, (end, color, name) in enumerate(((ends[1], VERMILLION, "plain"), (ends[2], BLUE, "fitted")), start=1):
        fig.add_trace(draw.strokes(*np.stack([end, ends[0]]).T, faded(color, 0.45)), row=1, col=column)
        exact = draw.points(ends[0][:, 0], ends[0][:, 1], "exact endpoint", GRAY, size=3, showlegend=column == 1)
        fig.add_trace(exact, row=1, col=column)
        fig.add_trace(draw.points(end[:, 0], end[:, 1], f"{name} sample", color, size=4), row=1, col=column)
    fig.update_xaxes(range=[-result.reach, result.reach])
    fig.update_yaxes(range=[-result.reach, result.reach])
    return fig


def draw_step_curve(result: StepCurve) -> go.Figure:
    fig = draw.figure(
        "steps K", "endpoint error ÷ data scale", log_x=True, log_y=True, x_range=(1.9, 32), y_range=(1e-5, 20), height=500
    )
    dots = {"mode": "lines+markers"}
    for name, values in result.plain.items():
        color = GRID_COLORS[name]
        fig.add_trace(draw.line(result.steps, values, f"plain, {name}", color).update(dots | {"marker": {"size": 6}}))
    fitted = draw.line(result.steps, result.fitted, f"fitted coefficients on {result.grid}", BLUE, width=4)
    fig.add_trace(fitted.update(dots | {"marker": {"size": 7}}))
    if result.law.size:
        fig.add_trace(draw.line(result.steps, result.law, "theory: 1 − cos(θ₀/K)ᴷ", GRAY, dash="dot", width=4))
    draw.mark_x(fig, float(result.at_steps), "here")
    fig.update_xaxes(tickvals=[2, 3, 5, 10, 20, 30], ticktext=["2", "3", "5", "10", "20", "30"])
    fig.update_layout(legend={"y": -0.18, "yanchor": "top"}, margin={"b": 110})
    return fig


MAX_FRAMES = 50


def draw_found_grid(result: FoundGrid) -> go.Figure:
    fig = draw.panels(
        [("noise level σ where a step starts, falling →", ""), ("generation", "endpoint error ÷ data scale")],
        log_x=[True, False],
        log_y=[False, True],
        titles=["Where the steps go", "Error of the best grid"],
        widths=[0.6, 0.4],
        gap=0.13,
        height=500,
    )
    last = result.fitness.size - 1
    rows = ["searched", *result.grids]
    for place, name in enumerate(rows[1:], start=1):
        levels = result.grids[name]
        fig.add_trace(
            draw.points(levels, np.full(levels.size, -place), name, GRID_COLORS[name], size=12, showlegend=False), row=1, col=1
        )
    moving = len(fig.data)
    found = draw.points(result.found[last], np.zeros(result.found.shape[1]), "searched", BLUE, size=14, showlegend=False)
    fig.add_trace(found, row=1, col=1)
    generation = np.arange(last + 1)
    fig.add_trace(draw.points([last], [result.fitness[last]], "best so far", BLUE, size=12, showlegend=False), row=1, col=2)
    fig.add_trace(draw.line(generation, result.fitness, "best, on the starts of the search", BLUE), row=1, col=2)
    for name, error in result.errors.items():
        fig.add_trace(draw.guide([0, max(last, 1)], [error, error], name, showlegend=False), row=1, col=2)
        fig.add_annotation(
            x=max(last, 1),
            y=np.log10(error),
            text=name,
            showarrow=False,
            xanchor="right",
            yanchor="bottom",
            font={"size": 12, "color": GRID_COLORS[name]},
            row=1,
            col=2,
        )
    fig.update_xaxes(range=[1.5, -2.0], row=1, col=1)
    fig.update_yaxes(range=[-3.6, 0.6], tickvals=[0, -1, -2, -3], ticktext=rows, row=1, col=1)
    everything = np.concatenate([result.fitness, list(result.errors.values())])
    low, high = max(float(everything.min()), 1e-6), max(float(everything.max()), 1e-5)
    fig.update_yaxes(range=[np.log10(low) - 0.15, np.log10(high) + 0.2], row=1, col=2)
    fig.update_xaxes(range=[-0.03 * max(last, 1), 1.03 * max(last, 1)], row=1, col=2)
    shown = np.unique(np.rint(np.linspace(0, last, min(last + 1, MAX_FRAMES))).astype(int))
    frames = [
        [
            {"x": result.found[k], "y": np.zeros(result.found.shape[1])},
            {"x": [int(k)], "y": [float(result.fitness[k])]},
        ]
        for k in shown
    ]
    fig.update_layout(showlegend=False)
    return draw.movie(fig, frames, [str(k) for k in shown], traces=[moving, moving + 1], prefix="generation ", milliseconds=120)


def draw_exit_map(result: ExitMap) -> go.Figure:
    fig = draw.figure("noise level σ, falling →", "depth of the denoiser (2ˡ Gaussians)", log_x=True, height=480)
    fig.add_trace(
        draw.heatmap(
            result.sigma,
            result.depth,
            np.log10(np.maximum(result.error, 1e-8)),
            "log₁₀ error of the denoiser ÷ scale",
            zmin=-4,
            zmax=0,
            hovertemplate="σ %{x:.3g}<br>depth %{y:.0f}<br>log₁₀ error %{z:.2f}<extra></extra>",
        )
    )
    path = draw.line(result.sigma, result.chosen.astype(float), "best exits", "#ffffff", width=3)
    fig.add_trace(path.update(mode="lines+markers", marker={"size": 9, "color": "#ffffff"}, showlegend=False))
    level = np.full(result.sigma.size, float(result.uniform))
    fig.add_trace(draw.boundary(result.sigma, level, "same cost, one depth", dash="dot", at=0.02))
    fig.update_xaxes(range=[np.log10(result.sigma[0]) + 0.05, np.log10(result.sigma[-1]) - 0.05])
    fig.update_yaxes(range=[-0.5, result.depth[-1] + 0.5], dtick=1)
    return fig


def draw_coefficients(result: Coefficients) -> go.Figure:
    fig = draw.panels(
        [("step", "coefficient of a slope"), ("training trajectories B", "endpoint error ÷ data scale")],
        log_x=[False, True],
        log_y=[False, True],
        titles=["Fitted (points), the solver's own (dashes)", "Fit on few, fail on fresh"],
        height=480,
    )
    step = np.arange(1, result.sigma.size + 1)
    for j, name in enumerate(result.names):
        color = PALETTE[j]
        fig.add_trace(draw.line(step, result.default[:, j], name, color, dash="dash", width=1.5, showlegend=False), row=1, col=1)
        dots = draw.line(step, result.fitted[:, j], name, color, width=1.5)
        fig.add_trace(dots.update(mode="lines+markers", marker={"size": 9}), row=1, col=1)
    for values, name, color in ((result.train, "training noise", PURPLE), (result.fresh, "fresh noise", BLUE)):
        shown = np.clip(values, 1e-9, 1e4)
        curve = draw.line(result.batch, np.where(shown == values, values, np.nan), name, color)
        fig.add_trace(curve.update(mode="lines+markers", marker={"size": 8}), row=1, col=2)
    draw.mark_y(fig, result.plain, "the solver's own coefficients", col=2)
    reach = float(np.clip(np.abs(result.fitted).max(), 1.2, 5))
    fig.update_yaxes(range=[-reach, 1.05 * reach], row=1, col=1)
    fig.update_xaxes(range=[0.6, result.sigma.size + 0.4], dtick=1 if result.sigma.size < 12 else 5, row=1, col=1)
    low = max(min(result.train.min(), result.plain), 1e-6)
    fig.update_yaxes(range=[np.log10(low) - 0.4, 2.0], row=1, col=2)
    fig.update_xaxes(range=[-0.1, 2.25], row=1, col=2)
    return fig


WORDS = r"""
All samplers integrate the probability-flow ODE $dy/d\sigma=(y-D)/\sigma$ from $\sigma_{\max}=20$ to $0$ in $K$ steps, with the exact denoiser
$D$. *Error* is the root mean square distance of endpoints to those of the exact flow from the same starts, over the data's scale: on the ring
by RK4 in 91 steps, on the Gaussian in closed form. Heun and DPM-2 evaluate $2K-1$ times.

**Fitted coefficients** (133). With $\epsilon=(y-D)/\sigma$ each step becomes
$$y'=y+(\sigma'-\sigma)\Big(\sum_kg_k\phi_k+\sum_{j\le r}h_j\,\epsilon_{i-j}\Big),$$
$\phi_k$ the slopes the solver evaluates anyway. For one step after the other $(g,h)$ minimizes, over $B$ trajectories, the square distance to ten
fine steps of the same solver; where the data do not determine it, it stays nearest to the solver's own. No new evaluation is needed when
sampling. With $2B$ numbers (the plane) for up to $2+r$ coefficients a step, one or two trajectories overfit.

**Where to put the levels.** On $N(0,s^2)$ an Euler step multiplies by $\cos(\theta-\theta')$ against the exact flow, $\theta=\arctan(\sigma/s)$: equal angles
are best and $K$ steps end at $\cos(\theta_0/K)^K$ of the exact scale. For other data $s$ is the data's standard deviation and equal angles are a guess. The
*search* (178) breeds sets of $K-1$ out of 200 levels from the EDM grid, the logarithmic one and random ones; the best quarter of a generation
survives, so its error never rises. Fitness is the endpoint
error on 64 starts (FID there).

**Early exit** (199, a miniature). The layers are those of an exact mixture of 5×5 modes: depth $l$ knows $2^l$ Gaussians, merged by Ward's tree
with their moments. Its error vanishes at high noise, where nothing can be told apart, and at low noise, where each point is seen as it is. The
white path is the best schedule of exits in 24 Euler steps under the budget, by dynamic programming on $(1-\sigma'/\sigma)^2\,\mathbb E|D_l-D|^2$.

**Where it stops being true.** Lines are deterministic runs on 200 to 400 fixed starts, not theory, but for the dotted law (Gaussian, anisotropy 1,
Euler). Coefficients and levels are tuned to one data set. A network's layers need not follow this tree: only the shape of error over depth and noise
carries over. Search over architectures (178) is left out. Published FIDs are not reproduced.
"""

LAB = Lab(
    title="Tuned few-step samplers",
    question="If you only have five steps, where should they go?",
    views=[
        View(
            "Where samples land",
            "sampler",
            landing,
            draw_landing,
            "A line joins each sample to where the exact flow ends from the same noise: the shorter, the better. Right, same evaluations, fitted coefficients.",
            controls=("steps", "solver", "grid", "history", "training_trajectories", "data"),
        ),
        View(
            "Error against steps",
            "scaling curve",
            step_curve,
            draw_step_curve,
            "Lower is better on fresh noise: levels matter most at few steps, fitted coefficients (thick) at any number.",
            controls=("steps", "solver", "grid", "history", "data", "anisotropy"),
        ),
        View(
            "Searched levels",
            "geometry",
            found_grid,
            draw_found_grid,
            "Press play: the blue levels move to where steps are needed; right, the error of the best set against the usual grids.",
            controls=("steps", "solver", "generations", "population", "data", "anisotropy"),
        ),
        View(
            "Early exit",
            "phase diagram",
            exit_map,
            draw_exit_map,
            "Dark: the shallow denoiser is as good as the full one. The white path spends its layers only in the middle, where modes are told apart.",
            controls=("compute_budget", "separation"),
        ),
        View(
            "Coefficients",
            "table",
            coefficients,
            draw_coefficients,
            "Left, what the fit changes in each step. Right, few training trajectories are matched well and fail on fresh noise.",
            controls=("training_trajectories", "history", "solver", "steps", "grid", "data"),
        ),
    ],
    presets={
        "Four steps, Heun": {"steps": 4, "solver": "Heun", "view": "Where samples land"},
        "Euler with history": {"solver": "Euler (DDIM)", "history": 3, "grid": "equal angles", "view": "Where samples land"},
        "Two trajectories overfit": {"training_trajectories": 2, "history": 4, "view": "Where samples land"},
        "One Gaussian: exact law": {
            "data": "Gaussian",
            "anisotropy": 1.0,
            "solver": "Euler (DDIM)",
            "grid": "equal angles",
            "history": 0,
            "view": "Error against steps",
        },
        "Search finds equal angles": {
            "data": "Gaussian",
            "anisotropy": 1.0,
            "solver": "Euler (DDIM)",
            "steps": 4,
            "generations": 60,
            "view": "Searched levels",
        },
        "Half the compute": {"compute_budget": 0.5, "view": "Early exit"},
        "Overfit coefficients": {"training_trajectories": 2, "history": 4, "solver": "Euler (DDIM)", "view": "Coefficients"},
    },
    words=WORDS,
    papers={"133": "own object", "178": "miniature", "199": "miniature"},
)
