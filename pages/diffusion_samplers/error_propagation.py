"""Does a small score error grow or fade along the chain?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.error_propagation import (
    Calibration,
    ErrorCurve,
    HorizonMap,
    Propagation,
    ScorePaths,
    calibration,
    error_curve,
    horizon_map,
    propagation,
    score_paths,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, VERMILLION, faded

TITLES = {"initialization": VERMILLION, "score": PURPLE, "discretization": ORANGE}
WHEN = {"uniform": GRAY, "early": BLUE, "late": VERMILLION}


def draw_score_paths(result: ScorePaths) -> go.Figure:
    fig = draw.panels(
        [("noise level σ/α, falling →", "state, shrunk to the size of the data"), ("noise level σ/α, falling →", "data score M")],
        log_x=[True, True],
        titles=["Paths of the reverse SDE split into two modes…", "…while their scores fan out from a flat mean"],
        height=500,
    )
    level = result.noise_level
    for is_upper, color in ((True, BLUE), (False, VERMILLION)):
        chosen = result.is_upper == is_upper
        for column, values in ((1, result.position), (2, result.score)):
            fig.add_trace(draw.strokes(level, values[chosen], faded(color, 0.5), 1), row=1, col=column)
    band = (result.flat - 2 * result.spread, result.flat + 2 * result.spread)
    fig.add_trace(draw.band(level, *band, "mean ± 2 s.d., exact", GREEN, opacity=0.18), row=1, col=2)
    edge = {"width": 1.2, "showlegend": False}
    for values in band:
        fig.add_trace(draw.line(level, values, "mean ± 2 s.d.", GREEN, **edge), row=1, col=2)
    fig.add_trace(draw.line(level, np.full(level.size, result.flat), "mean, exact: flat", GREEN, width=3), row=1, col=2)
    shown = slice(2, None, 5)
    fig.add_trace(
        draw.points(
            level[shown],
            result.mean[shown],
            "mean of 1500 paths ± 2 SE",
            GREEN,
            standard_error=result.standard_error[shown],
            size=6,
        ),
        row=1,
        col=2,
    )
    reach = 1.2 * result.doob
    for side in (-1, 1):
        draw.mark_y(fig, result.flat + side * result.doob, "90% of paths never cross this" if side > 0 else "", col=2)
    for column in (1, 2):
        fig.update_xaxes(range=[np.log10(level[0]) + 0.04, np.log10(level[-1]) - 0.04], row=1, col=column)
    fig.update_yaxes(range=[-result.reach, result.reach], row=1, col=1)
    fig.update_yaxes(range=[result.flat - reach, result.flat + reach], row=1, col=2)
    return fig


def draw_propagation(result: Propagation) -> go.Figure:
    fig = draw.panels(
        [("time t, from noise to data →", "error (nats)"), ("time t, from noise to data →", "cumulative error (nats)")],
        titles=[f"Budget of the error made {WORD[result.profile]}", "Early errors fade, late errors stay"],
        height=480,
    )
    one = result.chosen
    fig.add_trace(
        draw.band(one.time, np.zeros(one.time.size), one.cumulative, "still there", VERMILLION, opacity=0.5), row=1, col=1
    )
    fig.add_trace(draw.band(one.time, one.cumulative, one.put_in, "forgotten", BLUE, opacity=0.25), row=1, col=1)
    fig.add_trace(draw.line(one.time, one.put_in, "put in so far", BLUE), row=1, col=1)
    fig.add_trace(draw.line(one.time, one.cumulative, "cumulative error KL(p‖q)", VERMILLION), row=1, col=1)
    for name, values in result.cumulative.items():
        width = 4 if name == result.profile else 2
        fig.add_trace(draw.line(one.time, values, f"error made {WORD[name]}", WHEN[name], width=width), row=1, col=2)
    for column in (1, 2):
        fig.update_xaxes(range=[one.time[0], 0], row=1, col=column)
    fig.update_yaxes(range=[0, max(1.08 * one.put_in[-1], 1e-6)], row=1, col=1)
    if one.put_in[-1] < 1e-14:
        text = "no error is put in: nothing to keep or forget"
        fig.add_annotation(x=0.5, y=0.5, xref="x domain", yref="y domain", text=text, showarrow=False)
    most = max(values.max() for values in result.cumulative.values())
    fig.update_yaxes(range=[0, max(1.08 * most, 1e-6)], row=1, col=2)
    return fig


WORD = {"uniform": "all the time", "early": "early", "late": "late"}


def draw_error_curve(result: ErrorCurve) -> go.Figure:
    fig = draw.figure("steps K", "W₂ to the data", log_x=True, log_y=True, x_range=(4.5, 1100), height=500)
    floor = 1e-7
    fig.add_trace(draw.line(result.steps, np.maximum(result.total, floor), "total", BLUE, width=5))
    for name, color in TITLES.items():
        values = getattr(result, name)
        if values.max() > floor:
            fig.add_trace(draw.line(result.steps, np.where(values > floor, values, np.nan), name, color, dash="dash"))
    span = np.array([100.0, 1000.0])
    anchor = float(np.interp(np.log(100.0), np.log(result.steps), result.discretization))
    slope = 2 if result.integrator == "Heun" else 1
    fig.add_trace(draw.guide(span, np.maximum(0.5 * anchor, floor) * (span / 100.0) ** -slope, f"slope −{slope}"))
    draw.mark_x(fig, float(result.at_steps), "here")
    top = np.log10(max(result.total.max(), 1.0))
    fig.update_yaxes(range=[-3.5, min(max(0.5, top + 0.2), 20)])
    return fig


def draw_horizon_map(result: HorizonMap) -> go.Figure:
    fig = draw.figure("horizon T", "steps K", log_x=True, log_y=True, x_range=(0.5, 20), y_range=(5, 1000), height=500)
    z = np.log10(result.w2)
    fig.add_trace(
        draw.heatmap(
            result.horizon,
            result.steps,
            z,
            "log₁₀ W₂ to the data",
            zmin=float(z.min()),
            zmax=float(min(z.max(), z.min() + 2.0)),
            hovertemplate="T %{x:.3g}<br>K %{y:.0f}<br>log₁₀ W₂ %{z:.2f}<extra></extra>",
        )
    )
    fig.add_trace(draw.boundary(result.best, result.steps, "best horizon", at=0.75))
    # Each part's name stands where it is the largest, if it is so on enough of the map to carry it.
    log_t, log_k = np.meshgrid(np.log10(result.horizon), np.log10(result.steps))
    for index, name in enumerate(TITLES):
        here = result.part == index
        if here.mean() > 0.06:
            x, y = log_t[here].mean(), log_k[here].mean()
            nearest = np.flatnonzero(here)[np.argmin(((log_t - x) ** 2 + (log_k - y) ** 2)[here])]
            place = np.unravel_index(nearest, here.shape)
            fig.add_trace(draw.on_map(float(result.horizon[place[1]]), float(result.steps[place[0]]), f"mostly {name}"))
    return fig


def draw_calibration(result: Calibration) -> go.Figure:
    fig = draw.panels(
        [("x", "density"), ("calibration samples n", "gain of the likelihood bound (nats)")],
        log_x=[False, True],
        titles=["Samples before and after", "What n samples gain"],
        height=480,
    )
    fig.add_trace(draw.line(result.curve, result.exact, "data, exact", GRAY), row=1, col=1)
    shape = {"line": {"shape": "hvh"}}
    fig.add_trace(draw.line(result.centers, result.before, "before", VERMILLION, dash="dash").update(shape), row=1, col=1)
    fig.add_trace(
        draw.points(result.centers, result.after, "after ± 2 SE", BLUE, standard_error=result.after_error, size=5), row=1, col=1
    )
    fig.add_trace(draw.line(result.n, result.gain, "theory", PURPLE), row=1, col=2)
    fig.add_trace(
        draw.points(result.n_simulated, result.simulated, "simulation ± 2 SE", PURPLE, standard_error=result.simulated_error),
        row=1,
        col=2,
    )
    draw.mark_y(fig, 0.0, "below: worse than before", col=2)
    fig.add_trace(draw.guide(result.n, np.full(result.n.size, result.full), "the bias's whole cost"), row=1, col=2)
    draw.mark_x(fig, float(result.at_n), "here", col=2)
    full = result.full if result.full > 0 else 0.01 * result.cost
    fig.update_yaxes(range=[0, max(1.45 * result.exact.max(), 1.08 * result.before.max())], row=1, col=1)
    fig.update_xaxes(range=[float(result.edges[0]), float(result.edges[-1])], row=1, col=1)
    fig.update_xaxes(range=[0.95, 5.05], row=1, col=2)
    fig.update_yaxes(range=[-1.2 * full, 1.3 * full], row=1, col=2)
    return fig


WORDS = r"""
**Gaussian data, all exact.** Data $N(\mathbf 1,\Lambda)$ in $d$ dimensions, eigenvalues evenly spaced in their logarithm from
$\kappa^{-1/2}$ to $\kappa^{1/2}$. Forward $dx=-f x\,dt+g\,dW$, so $x_t=\alpha_tx_0+\sigma_tz$ and
$v_t=\alpha_t^2\lambda+\sigma_t^2$: *VP constant* $g^2=1$, *VP linear* $g^2=0.1+t$ ($f=g^2/2$), *VE poly* $\sigma_t=t$, *VE exp*
$g=e^t$ ($f=0$). The score used is $\hat s=(1+\gamma\psi_t)s-b\,\psi_t\mathbf 1$, with $\psi_t=1$ always, for $t>T/2$ (early in
sampling) or for $t\le T/2$ (late). The bias points away from the mean of the data, which is the worst case: with the other
sign it cancels part of the error of the start.

**Probability-flow ODE** (156). In each direction an integrator is an affine map, so that $W_2$ is a closed form. With $\hat S$ the
sampler, $S$ the same with the exact score, and $N(0,\sigma_T^2I)$ for $p_T$,
$$W_2\le \underbrace{W_2(\hat S\,\text{start},\hat Sp_T)}_{\text{initialization}}+\underbrace{W_2(\hat Sp_T,Sp_T)}_{\text{score}}
+\underbrace{W_2(Sp_T,p_0)}_{\text{discretization}}.$$
Longer horizons forget the start and gather more of the other two: hence a best $T$.

**The chain** (192). $p$ is the model's ancestral chain, started from $p_T$, $q$ the exact law of $x_t$. The chain rule read both ways gives
$$\text{cum}_{t-1}=\text{cum}_t+\text{mod}_t-\text{back}_t,\quad \text{mod}_t=\mathbb E\,\mathrm{KL}(p(x_{t-1}|x_t)\|q(x_{t-1}|x_t)),\quad
\text{back}_t=\mathbb E\,\mathrm{KL}(p(x_t|x_{t-1})\|q(x_t|x_{t-1}))\ge0.$$
So in KL a step can never amplify: it adds its modular error and forgets some of all that is there. A constant bias adds up
coherently: the noise of the first steps hides it, then it grows like the square of the time. Paper 192 argues for
amplification under an assumption on the network; no assumption is made here. In $W_2$ errors do grow where the
reverse map expands, in directions with $v_t>1$ of VP.

**Scores as a martingale** (289). Two modes on the line. In $y=x/\alpha$ the data score $M=\nabla\log p_\sigma(y)$ keeps its mean along the
reverse SDE. Paths are exact: $x_0$ from its posterior, then a Brownian bridge in $\sigma^2$. The band is exact, by quadrature;
by Doob's inequality at most 10 percent of paths ever leave $\pm\sqrt{10\operatorname{Var}M}$, a loose bound.

**Calibration** (289). $\mathbb E_qs=0$, so taking away $\eta_t=\mathbb E_q\hat s$ lowers the loss by $|\eta_t|^2$, and by
$|\eta_t|^2-\operatorname{Var}(\hat s)/n$ if it is a mean over $n$ samples. Weighted by $g^2/2$ and integrated over 24 times: nats. Few
samples do harm. What is not a mean (a gain, $\gamma\neq0$) stays.

**Where it stops being true.** The error is a knob, constant in space or proportional to the score; a network's is neither. Steps are
equal in time. Lines of the first three views are exact recursions, no simulation; the two on modes draw simulation over theory.
"""

LAB = Lab(
    title="Error propagation",
    question="Does a small score error grow or fade along the chain?",
    views=[
        View(
            "Error along the chain",
            "trajectory",
            propagation,
            draw_propagation,
            "Left, of all error put in so far red is still there and blue is forgotten. Right, an error made early fades again, one made late stays.",
            controls=("profile", "bias", "gain", "horizon", "steps", "family"),
        ),
        View(
            "Error against steps",
            "scaling curve",
            error_curve,
            draw_error_curve,
            "Follow the thick line: it falls with the discretization error until the start or the score holds it up.",
            controls=("integrator", "steps", "horizon", "bias", "family", "condition"),
        ),
        View(
            "Best horizon",
            "phase diagram",
            horizon_map,
            draw_horizon_map,
            "Left of the white line the chain is too short to forget its start; right of it steps are too coarse or the score's error piles up.",
            controls=("horizon", "steps", "integrator", "bias", "family"),
            click=("horizon", "steps"),
        ),
        View(
            "Score martingale",
            "sampler",
            score_paths,
            draw_score_paths,
            "Left, reverse paths from one start choose a mode. Right, their scores spread but keep their mean: the points stay on the flat line.",
            controls=("start", "separation", "horizon", "family"),
        ),
        View(
            "Calibration",
            "distribution",
            calibration,
            draw_calibration,
            "Left, a biased score shifts mass to one mode and calibration brings it back. Right, the gain turns positive from some number of samples on.",
            controls=("calibration_samples", "bias", "gain", "profile", "separation"),
        ),
    ],
    presets={
        "Too short": {"horizon": 1.0, "steps": 200, "view": "Error against steps"},
        "Too coarse": {"horizon": 16.0, "steps": 12, "bias": 0.0, "view": "Error against steps"},
        "Second order helps": {"integrator": "Heun", "horizon": 12.0, "bias": 0.0, "view": "Error against steps"},
        "Bias early (forgotten)": {"profile": "early", "bias": 0.1, "view": "Error along the chain"},
        "Bias late (kept)": {"profile": "late", "bias": 0.1, "view": "Error along the chain"},
        "No score error: longer is better": {"bias": 0.0, "integrator": "Heun", "view": "Best horizon"},
        "Calibrated": {"bias": 0.4, "calibration_samples": 10000, "view": "Calibration"},
        "Too few to calibrate": {"bias": 0.1, "calibration_samples": 30, "view": "Calibration"},
        "Start on the ridge": {"start": 0.0, "view": "Score martingale"},
    },
    words=WORDS,
    papers={"156": "own object", "192": "miniature", "289": "own object"},
)
