"""When does training on your own output destroy a model?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.generalization.model_collapse import (
    DensityChain,
    ErrorByGeneration,
    LastFitCurve,
    StabilityPlane,
    TailCurve,
    density_chain,
    error_by_generation,
    last_fit_curve,
    stability_plane,
    tail_curve,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GREEN, ORANGE, PURPLE, VERMILLION

POLICY_COLORS = {"replace": VERMILLION, "accumulate": BLUE, "mix": GREEN}


def draw_error_by_generation(result: ErrorByGeneration) -> go.Figure:
    known = [v for v in (result.bound, *result.exact.values()) if v is not None]
    top = 1.15 * max(float(v[-1]) for v in known)
    log_y = result.on_log_axis
    y_range = None if log_y else (0, top)
    fig = draw.figure("generation", "test error |ŵ − w₀|²", log_y=log_y, x_range=(0, result.generation[-1] * 1.02), y_range=y_range)
    later = slice(1, None) if log_y else slice(None)
    if result.bound is not None:
        fig.add_trace(draw.guide(result.generation[later], result.bound[later], "π²/6 × the first error"))
    for policy, color in POLICY_COLORS.items():
        if policy in result.exact:
            fig.add_trace(draw.line(result.generation[later], result.exact[policy][later], policy, color))
        mean, error = result.simulated[policy]
        name = f"{policy}, simulation" if policy not in result.exact else "simulation ± 2 SE"
        fig.add_trace(
            draw.points(
                result.generation[1:],
                mean,
                name,
                color,
                standard_error=error,
                showlegend=policy not in result.exact or policy == "replace",
            )
        )
    return fig


def draw_stability_plane(plane: StabilityPlane) -> go.Figure:
    fig = draw.figure("real fraction p", "rows per dimension T/d", log_y=True, x_range=(0, 1), y_range=(0.4, 5))
    shown = (plane.samples_per_dimension > 0.38) & (plane.samples_per_dimension < 5.3)
    fig.add_trace(
        draw.heatmap(
            plane.real_fraction,
            plane.samples_per_dimension[shown],
            plane.log10_error[shown],
            "log₁₀ test error",
            zmin=-1.5,
            zmax=2,
            customdata=plane.gain[shown],
            hovertemplate="p %{x:.2f}, T/d %{y:.2f}<br>log₁₀ error %{z:.2f}<br>gain c₂ %{customdata:.3f}<extra></extra>",
        )
    )
    fig.add_trace(draw.boundary(*plane.exact, ""))
    fig.add_trace(draw.boundary(*plane.limit, "", dash="dot").update(line={"width": 1.5}))
    fig.add_trace(draw.on_map(0.3, 1.13, "explodes"))
    fig.add_trace(draw.on_map(0.6, 3, "bounded"))
    fig.add_trace(draw.on_map(0.6, 0.55, "bounded: too few rows to see all directions"))
    fig.update_yaxes(tickvals=[0.5, 1, 2, 5])
    return fig


def draw_last_fit(result: LastFitCurve) -> go.Figure:
    fig = draw.panels(
        [("rows of the last fit T", "test error"), ("rows of the last fit T", "best ridge λ")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Error after g generations of labels", "Best ridge"],
        widths=[0.6, 0.4],
    )
    colors = (BLUE, GREEN, ORANGE, VERMILLION)
    used = [*colors[: len(result.generations) - 1], VERMILLION]
    for k, (generation, color) in enumerate(zip(result.generations, used, strict=True)):
        name = "clean labels" if generation == 0 else f"g = {generation}"
        fig.add_trace(draw.line(result.rows, result.error[k], name, color), row=1, col=1)
        if k in (0, len(used) - 1):
            fig.add_trace(
                draw.points(
                    result.simulated_rows,
                    result.simulated[k],
                    "simulation ± 2 SE",
                    color,
                    standard_error=result.simulated_error[k],
                    showlegend=k == 0,
                ),
                row=1,
                col=1,
            )
    fig.add_trace(
        draw.line(result.rows, result.best_error, f"g = {result.generations[-1]}, best ridge", PURPLE, dash="dash"), row=1, col=1
    )
    ends = result.rows[[0, -1]]
    fig.add_trace(draw.guide(ends, [result.plateau] * 2, "collapse floor"), row=1, col=1)
    fig.add_trace(draw.line(result.rows, result.best_ridge[0], "best for clean labels", BLUE, showlegend=False), row=1, col=2)
    fig.add_trace(draw.line(result.rows, result.best_ridge[1], "best for g", PURPLE, dash="dash", showlegend=False), row=1, col=2)
    fig.update_xaxes(range=list(np.log10(ends)))
    fig.update_yaxes(range=[-4, 2], row=1, col=1)
    fig.update_yaxes(range=[-5, 4], row=1, col=2)
    return fig


TAIL_STYLE = {
    "clean": ("clean data", BLUE),
    "cut_tail": ("tail cut at k", VERMILLION),
    "resampled": ("g resamplings of T₀", ORANGE),
    "mixed": ("cut, with real data", GREEN),
}


def draw_tail_curve(result: TailCurve) -> go.Figure:
    low = 10.0 ** np.floor(np.log10(max(float(result.curves["clean"].min()), 1e-6)))
    fig = draw.figure("training draws T", "test error", log_x=True, log_y=True, x_range=(10, 1e8), y_range=(low, 1))
    fig.add_trace(draw.guide(*result.clean_slope, "slope −(1 − 1/β)"))
    for key, (name, color) in TAIL_STYLE.items():
        fig.add_trace(draw.line(result.draws, result.curves[key], name, color))
        mean, error = result.simulated[key]
        fig.add_trace(
            draw.points(
                result.simulated_draws, mean, "simulation ± 2 SE", color, standard_error=error, showlegend=key == "clean", size=6
            )
        )
    if result.recovery is not None and result.recovery < 1e8:
        draw.mark_x(fig, result.recovery, "T = ζ(β)kᵝ/p")
    return fig


def draw_density_chain(result: DensityChain) -> go.Figure:
    gaussian = result.estimator == "Gaussian"
    title = "typical variance (geometric mean)" if gaussian else "mean variance"
    fig = draw.panels(
        [("x", "fitted density"), ("generation", title)],
        log_y=[False, True],
        titles=["A typical chain of each policy", "Spread of all chains"],
        widths=[0.55, 0.45],
    )
    fig.add_trace(draw.guide(result.x, result.density[0, 0], "truth"), row=1, col=1)
    last = result.shown.size - 1
    for k, (policy, color) in enumerate(POLICY_COLORS.items()):
        fig.add_trace(draw.line(result.x, result.density[k, last], policy, color), row=1, col=1)
    for k, (policy, color) in enumerate(POLICY_COLORS.items()):
        if policy in result.theory:
            name = "exact" if policy == "replace" else f"exact {policy}"
            fig.add_trace(
                draw.line(result.generation, result.theory[policy], name, color, width=1.5, showlegend=policy == "replace"),
                row=1,
                col=2,
            )
        fig.add_trace(
            go.Scatter(
                x=result.generation,
                y=result.spread[k],
                mode="markers",
                name="simulation ± 2 SE",
                marker={"color": color, "size": 5},
                error_y={
                    "type": "data",
                    "array": result.spread_high[k] - result.spread[k],
                    "arrayminus": result.spread[k] - result.spread_low[k],
                    "color": color,
                    "thickness": 1,
                    "width": 2,
                },
                showlegend=policy == "replace",
            ),
            row=1,
            col=2,
        )
    now = len(fig.data)
    fig.add_trace(draw.guide([result.generation[-1]] * 2, [1e-12, 1e6], "now", showlegend=False), row=1, col=2)
    fig.update_xaxes(range=[-4, 4], row=1, col=1)
    fig.update_yaxes(range=[0, 1.6 if gaussian else 0.6], row=1, col=1)
    low, high = float(result.spread.min()), float(result.spread.max())
    fig.update_yaxes(range=[np.floor(np.log10(max(low, 1e-9)) - 0.05), np.ceil(np.log10(high) + 0.05)], row=1, col=2)
    fig.update_xaxes(range=[0, result.generation[-1] * 1.02], row=1, col=2)
    frames = [
        [
            *(go.Scatter(x=result.x, y=result.density[k, f].astype(np.float32)) for k in range(3)),
            go.Scatter(x=[generation] * 2, y=[1e-12, 1e6]),
        ]
        for f, generation in enumerate(result.shown)
    ]
    fig.update_layout(legend={"y": 1.12, "yanchor": "bottom"}, margin={"t": 76})
    return draw.movie(fig, frames, [str(g) for g in result.shown], traces=[1, 2, 3, now], prefix="generation ", milliseconds=120)


WORDS = r"""
**Least squares on its own labels (071).** Real labels are $y=x\cdot w_0+\sigma\varepsilon$ with $|w_0|=1$ and Gaussian $x$ in $d$
dimensions. Each generation fits $T$ rows labeled by the last model (plus the same noise). With fresh rows and $T\ge d+2$, exactly,

$$\text{replace: }\ g\,\frac{\sigma^2d}{T-d-1},\qquad \text{accumulate: }\ \sigma^2d\sum_{i\le g}\frac{1}{i\,(iT-d-1)}
\le\frac{\pi^2}{6}\,\frac{\sigma^2d}{T-d-1}.$$

**Mixing.** If a share $p$ of each generation's rows is real, $E_g=c_2E_{g-1}+\frac{\sigma^2d}{T-d-1}$; the gain $c_2$ is exact here
(second moments of random projections), and in large dimension, with $r=d/T$, $c_2=\frac{(1-p)(1-p-r+2pr)}{1-r}$. It exceeds 1 for
$0<p<\frac{3r-2}{2r-1}$ when $\frac23<r<1$: near interpolation *a little real data is worse than none*. For $T\le d-2$
(minimum-norm fits) $c_2=\frac{s(d-1-s)}{d(d-1-T)}$ with $s$ synthetic rows, and a generation adds
$1-\frac Td+\frac{\sigma^2T}{d-T-1}$. This instability is our derivation about unregularized least squares, not a claim of 071:
turn the ridge up and it goes away. The solid boundary is exact at this $d$, the dotted one its limit.

**The last fit (106).** Labels that went through $g$ least-squares generations of $T_0=\tau d$ rows, refitted by ridge regression on
$T$ rows of inputs with covariance eigenvalues $\lambda_i$. With $\kappa=\lambda+\kappa\,\mathrm{df}_1/T$ and $f=\mathrm{df}_2/T$ the
error is

$$\frac{\kappa^2\sum_i\frac{\lambda_iw_i^2}{(\lambda_i+\kappa)^2}+\sigma^2f}{1-f}
+\frac{g\,\sigma^2}{T_0-d-1}\Big[\mathrm{df}_2+\kappa^2\sum_i\frac{1}{(\lambda_i+\kappa)^2}\,\frac{f}{1-f}\Big].$$

The last term is a floor that more rows do not lower; the ridge that is best for collapsed labels stays finite as $T$ grows.
All $w_i$ are equal here, so the source exponent of 106 is tied to the spectrum.

**A memory of items (234).** Item $i$ has probability $p_i\propto i^{-\beta}$; a test item is an error if it was never drawn. Clean
data give $T^{-(1-1/\beta)}$, a generator that lost every item beyond $k$ a plateau $\sum_{i>k}p_i\sim k^{-(\beta-1)}$, and a share
$p$ of real data a late recovery from $T\approx\zeta(\beta)k^\beta/p$. After $g$ resamplings of $T_0$ items, item $i$ survives like a
critical branching process, $1-e^{-T_0p_is_g}$ with $s_g\sim2/g$. Sums run over all items.

**Densities (071).** Replaced Gaussian fits with unbiased variance keep their *mean* variance at 1 while their typical variance
falls by $\psi\big(\tfrac{n-1}2\big)-\log\tfrac{n-1}2$ in log a generation. A kernel density of bandwidth $h$ does the opposite:
$v'=(1-\tfrac1n)v+h^2$. Accumulating tames both.

**Theory and simulation.** Lines are exact or deterministic equivalents (a limit of large $d$ and $T$ that is close from $d\approx20$
on); points are Monte Carlo with 2 standard errors. With a ridge only the line for replace is known (many dimensions).

**Where it stops being true.** Mean errors do not exist for $|T-d|\le1$, and are heavy-tailed near there: when mixing explodes, or
when accumulated rows pass through $gT\approx d$, a few chains dominate. Language-model experiments of 071 and the bigram variant
of 234 are not shown.
"""

LAB = Lab(
    title="Model collapse",
    question="When does training on your own output destroy a model?",
    views=[
        View(
            "Stable or exploding",
            "phase diagram",
            stability_plane,
            draw_stability_plane,
            "Inside the white boundary mixed data explode: each generation amplifies the last one's error. Along the left edge, with no "
            "real data at all, the error only grows linearly.",
            controls=("real_fraction", "samples_per_dimension", "generations", "dimension", "noise"),
            click=("real_fraction", "samples_per_dimension"),
        ),
        View(
            "Generations",
            "scaling curve",
            error_by_generation,
            draw_error_by_generation,
            "Replacing the data adds the same error every generation; accumulating it stays below π²/6 times the first error.",
            controls=("samples_per_dimension", "real_fraction", "generations", "noise", "ridge"),
        ),
        View(
            "Fitted densities",
            "sampler",
            density_chain,
            draw_density_chain,
            "Press play: replaced Gaussian fits narrow to a spike, replaced kernel densities spread; accumulated ones stay near the truth.",
            controls=("estimator", "points", "generations", "real_fraction", "bandwidth"),
        ),
        View(
            "Last fit",
            "scaling curve",
            last_fit_curve,
            draw_last_fit,
            "Old labels put a floor under the learning curve that more rows do not lower. The best ridge for them (dashed) stays large "
            "where that for clean labels vanishes.",
            controls=("generations", "samples_per_dimension", "noise", "ridge", "spectrum_exponent"),
        ),
        View(
            "Lost tail",
            "scaling curve",
            tail_curve,
            draw_tail_curve,
            "A generator without a tail turns the power law into a plateau. A share of real data ends it, but only after the dotted "
            "line.",
            controls=("tail_cutoff", "real_fraction", "zipf_exponent", "generations", "generator_samples"),
        ),
    ],
    presets={
        "A little real data makes it worse": {
            "samples_per_dimension": 1.2,
            "real_fraction": 0.1,
            "view": "Stable or exploding",
        },
        "The same chain by generation": {"samples_per_dimension": 1.2, "real_fraction": 0.1, "view": "Generations"},
        "The same chain with a ridge": {"samples_per_dimension": 1.2, "real_fraction": 0.1, "ridge": 0.1, "view": "Generations"},
        "Replace grows, accumulate saturates": {"samples_per_dimension": 3.0, "generations": 50, "view": "Generations"},
        "Fewer rows than dimensions": {"samples_per_dimension": 0.3, "view": "Generations"},
        "Kernel densities spread": {"estimator": "kernel density", "points": 50, "generations": 50, "view": "Fitted densities"},
        "Last fit of 106 (power-law inputs)": {
            "dimension": 100,
            "spectrum_exponent": 1.2,
            "generations": 4,
            "ridge": 0.02,
            "view": "Last fit",
        },
        "Plateau, then late recovery": {"real_fraction": 0.01, "tail_cutoff": 100, "view": "Lost tail"},
    },
    words=WORDS,
    papers={"071": "own object", "106": "own object", "234": "own object"},
)
