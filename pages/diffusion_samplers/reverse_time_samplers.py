"""Which solver reaches the data in fewest steps?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.reverse_time_samplers import (
    Comparison,
    Generation,
    Likelihood,
    NoiseMap,
    NoiseTrial,
    PoissonMap,
    comparison,
    generation,
    likelihood,
    noise_map,
    noise_trial,
    poisson_map,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, PURPLE, SIGNED, SKY, VERMILLION, faded

HUES = PALETTE[:6]
EVALUATIONS, TOP = "evaluations of the denoiser", "top noise level σ_max"
N_SHOWN = 300


def draw_generation(run: Generation) -> go.Figure:
    on_line = run.position.shape[2] == 1
    fig = draw.panels(
        [("x₁", "noise level σ" if on_line else "x₂"), ("x₁", "density")],
        log_y=[on_line, False],
        titles=[f"{run.solver}, {run.evaluations} evaluations", "First coordinate: particles and exact law"],
        widths=[0.55, 0.45],
        height=560,
    )
    last = len(run.noise_level) - 1
    hue = run.mode % len(HUES)
    if on_line:
        # Noise level 0 has no place on a log axis: the data stand at half the last level.
        level = np.maximum(run.noise_level, 0.5 * run.noise_level[-2])
        height = np.repeat(level[:, None], run.mode.size, axis=1)
        spread = 0.12 * (0.618034 * np.arange(run.mode.size) % 1) - 0.06
        jitter = (height * 10**spread).astype(np.float32)
        fig.update_yaxes(range=[np.log10(level[-1]) - 0.15, np.log10(level[0]) + 0.15], row=1, col=1)
    else:
        height = jitter = run.position[:, :, 1]
        fig.update_yaxes(range=[-run.reach, run.reach], row=1, col=1)
        contour = {"line": {"color": GRAY, "width": 1.2}, "name": "exact density of the data", "hoverinfo": "skip"}
        fig.add_trace(go.Scatter(x=run.contour[0], y=run.contour[1], mode="lines", **contour), row=1, col=1)
    for k, color in enumerate(HUES):
        traced = np.flatnonzero(hue == k)[:6]
        fig.add_trace(draw.strokes(run.position[:, traced, 0].T, height[:, traced].T, faded(color, 0.4), 1), row=1, col=1)
    moving = len(fig.data)
    # A browser takes longest over dots: the picture shows some of the particles, the histogram counts all.
    marker = draw.grouped(hue[:N_SHOWN], HUES, 4, opacity=0.8)
    cloud = {"mode": "markers", "marker": marker, "showlegend": False, "name": "particles"}
    fig.add_trace(go.Scatter(x=run.position[last, :N_SHOWN, 0], y=jitter[last, :N_SHOWN], **cloud), row=1, col=1)
    fig.add_trace(draw.line(run.curve, run.exact[last], "exact law at this noise level", BLUE), row=1, col=2)
    fig.add_trace(draw.points(run.centers, run.share[last], "particles ± 2 SE", BLUE, size=5), row=1, col=2)
    bars = {"mode": "lines", "line": {"color": BLUE, "width": 1.3}, "hoverinfo": "skip", "showlegend": False}
    fig.add_trace(go.Scatter(**_bars(run, last), **bars), row=1, col=2)
    fig.update_xaxes(range=[-run.reach, run.reach])
    fig.update_yaxes(range=[0, 1.15 * max(run.exact.max(), run.share[last].max())], row=1, col=2)
    frames = [
        [
            {"x": run.position[k, :N_SHOWN, 0], "y": jitter[k, :N_SHOWN]},
            {"x": run.curve, "y": run.exact[k].astype(np.float32)},
            {"x": run.centers, "y": run.share[k]},
            _bars(run, k),
        ]
        for k in range(last + 1)
    ]
    labels = [f"{s:.3g}" for s in run.noise_level]
    places = [moving, moving + 1, moving + 2, moving + 3]
    return draw.movie(fig, frames, labels, traces=places, prefix="noise level σ = ", milliseconds=max(60, 2500 // (last + 1)))


def _bars(run: Generation, k: int) -> dict[str, np.ndarray]:
    return draw.stems(run.centers, run.share[k] - 2 * run.share_error[k], run.share[k] + 2 * run.share_error[k])


STYLES = {
    "Euler (DDIM)": (BLUE, "solid"),
    "Heun": (VERMILLION, "solid"),
    "DPM-Solver++ 2M": (GREEN, "solid"),
    "DPM-Solver-v3": (PURPLE, "solid"),
    "accelerated ODE (263)": (ORANGE, "solid"),
    "ER-SDE 3": (SKY, "solid"),
    "predictor-corrector": (GRAY, "dash"),
    "accelerated SDE (263)": (ORANGE, "dash"),
}


def draw_comparison(result: Comparison) -> go.Figure:
    fig = draw.panels(
        [(EVALUATIONS, "endpoint error ÷ data s.d."), (EVALUATIONS, "W₁ to the data")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["ODE solvers: distance to the exact endpoint", "All: distance to the data"],
        height=600,
    )
    x = np.array([4.0, 100.0])
    fig.add_trace(
        draw.band(
            x,
            np.full(2, max(result.floor - 2 * result.floor_spread, 0.3 * result.floor)),
            np.full(2, result.floor + 2 * result.floor_spread),
            "W₁ of exact samples",
            GRAY,
        ),
        row=1,
        col=2,
    )
    for curve in result.curves:
        color, dash = STYLES.get(curve.name, (GRAY, "dot"))
        width = 4 if curve.name == result.solver else 2
        style = {"mode": "lines+markers", "marker": {"size": 5, "color": color}}
        if curve.endpoint.size:
            label = f"{curve.name}" + (f": order {curve.order:.1f}" if curve.order else "")
            trace = draw.line(curve.evaluations, curve.endpoint, label, color, dash=dash, width=width)
            fig.add_trace(trace.update(style).update(legendgroup=curve.name), row=1, col=1)
        trace = draw.line(curve.evaluations, curve.w1, curve.name, color, dash=dash, width=width)
        fig.add_trace(trace.update(style).update(legendgroup=curve.name, showlegend=not curve.endpoint.size), row=1, col=2)
    fig.add_trace(
        draw.line(
            result.gaussian_k, result.gaussian_error, "Euler on Gaussian data, best grid, exact", BLUE, dash="dot", width=1.5
        ),
        row=1,
        col=1,
    )
    for slope, start in ((1, 0.6), (2, 0.6)):
        fig.add_trace(draw.guide(x[[0, 1]], start * (x / 12.0) ** -slope, f"slope −{slope}", showlegend=False), row=1, col=1)
        fig.add_annotation(
            x=2, y=np.log10(start * (100 / 12.0) ** -slope), text=f"−{slope}", showarrow=False, xanchor="left", row=1, col=1
        )
    fig.update_xaxes(range=[np.log10(3), np.log10(120)], row=1, col=1)
    fig.update_xaxes(range=[np.log10(3), np.log10(120)], row=1, col=2)
    fig.update_yaxes(range=[-4, 1], row=1, col=1)
    fig.update_yaxes(range=[-2, 1], row=1, col=2)
    fig.update_layout(legend={"y": -0.2, "yanchor": "top"}, margin={"t": 40, "b": 150})
    return fig


def draw_noise_map(result: NoiseMap) -> go.Figure:
    fig = draw.figure(EVALUATIONS, TOP, log_x=True, log_y=True, x_range=(3, 100), y_range=(2, 80))
    fig.add_trace(
        draw.heatmap(
            result.nfe,
            result.sigma_max,
            result.best,
            "best noise exponent η",
            zmin=0,
            zmax=1,
            hovertemplate="evaluations %{x}<br>σ_max %{y:.3g}<br>best η %{z:.2f}<extra></extra>",
        )
    )
    tie = draw.boundary(*result.tie, "")
    fig.add_trace(tie.update(mode="lines", name="ODE and reverse SDE tie (continuum theory)", text=None))
    if result.tie[0].size:
        nearby = int(np.nanargmin(np.abs(np.log(result.tie[0] / 25))))
        fig.add_trace(draw.on_map(0.7 * result.tie[0][nearby], 1.3 * result.tie[1][nearby], "ODE and reverse SDE tie (theory)"))
    fig.add_trace(draw.on_map(45, 3.2, "noise pays", color="#24292f"))
    fig.add_trace(draw.on_map(6, 40, "noise costs"))
    return fig


def draw_noise_trial(result: NoiseTrial) -> go.Figure:
    fig = draw.figure(EVALUATIONS, TOP, log_x=True, log_y=True, x_range=(3, 135), y_range=(1.5, 108))
    fig.add_trace(
        draw.heatmap(
            result.nfe,
            result.sigma_max,
            np.where(result.is_tie, 0.0, result.log_ratio),
            "log₂ error of the ODE ÷ of the reverse SDE",
            scale=SIGNED,
            zmid=0,
            zmin=-2,
            zmax=2,
            hovertemplate="evaluations %{x}<br>σ_max %{y:.3g}<br>log₂ ratio %{z:.2f}<extra></extra>",
        )
    )
    nfe, sigma = np.meshgrid(result.nfe, result.sigma_max)
    words = np.where(result.is_tie, "tie", np.char.add("η = ", np.char.mod("%g", result.best)))
    dark = ~result.is_tie & (np.abs(result.log_ratio) > 1.2)
    for cells, ink in ((dark, "#ffffff"), (~dark, "#24292f")):
        font = {"color": ink, "size": 12}
        fig.add_trace(
            go.Scatter(
                x=nfe[cells], y=sigma[cells], text=words[cells], mode="text", textfont=font, showlegend=False, hoverinfo="skip"
            )
        )
    return fig


def draw_poisson_map(result: PoissonMap) -> go.Figure:
    fig = draw.panels(
        [("augmented dimension D", "injected noise α"), ("start radius R/σ", "density")],
        log_x=[True, False],
        titles=["log₁₀ W₁ to the data", "Law of the start radius"],
        widths=[0.6, 0.4],
        gap=0.2,
    )
    trace = draw.heatmap(
        result.augmented,
        result.injected,
        np.log10(result.error),
        "",
        hovertemplate="D %{x:.3g}<br>α %{y:.2f}<br>log₁₀ W₁ %{z:.2f}<extra></extra>",
    )
    trace.update(colorbar={"x": 0.5, "xanchor": "left"}, connectgaps=True)
    fig.add_trace(trace, row=1, col=1)
    best = result.error.argmin(axis=1)
    fig.add_trace(draw.points(result.augmented[best], result.injected, "best D at each noise", VERMILLION, size=9), row=1, col=1)
    hues = (VERMILLION, GREEN, BLUE, GRAY)
    finite = min(result.at[0], 1e5)
    for (d, density), hue in zip(result.density.items(), hues, strict=False):
        name = "D → ∞" if d >= 1e5 else f"D = {d:.3g}"
        fig.add_trace(draw.line(result.ratio, density, name, hue, dash="solid" if d == finite else "dash", width=2), row=1, col=2)
    here = list(result.density).index(finite)
    fig.add_trace(
        draw.points(result.centers, result.simulated, "draws ± 2 SE", hues[here], standard_error=result.simulated_error, size=4),
        row=1,
        col=2,
    )
    fig.update_xaxes(range=[0, 6], row=1, col=1)
    fig.update_yaxes(range=[0, 1], row=1, col=1)
    fig.update_yaxes(rangemode="tozero", row=1, col=2)
    return fig


def draw_likelihood(result: Likelihood) -> go.Figure:
    fig = draw.panels(
        [("exact log density", "flow log-likelihood"), ("evaluations of the denoiser", "|flow − exact|")],
        log_x=[False, True],
        log_y=[False, True],
        titles=[f"{len(result.exact)} samples, {result.used} evaluations", "Exact trace: error of the integrator"],
    )
    span = np.array([result.exact.min(), result.exact.max()])
    fig.add_trace(draw.guide(span, span, "flow = exact"), row=1, col=1)
    fig.add_trace(
        draw.points(
            result.exact, result.hutchinson, "Hutchinson ± 2 SE over probes", ORANGE, standard_error=result.hutchinson_error, size=4
        ),
        row=1,
        col=1,
    )
    fig.add_trace(draw.points(result.exact, result.flow, "exact trace", BLUE, size=5), row=1, col=1)
    fig.add_trace(draw.line(result.evaluations, result.largest_error, "largest over samples", BLUE), row=1, col=2)
    fig.add_trace(draw.line(result.evaluations, result.typical_error, "median", BLUE, dash="dash"), row=1, col=2)
    anchor = result.typical_error[3]
    fig.add_trace(
        draw.guide(result.evaluations, anchor * (result.evaluations / result.evaluations[3]) ** -4.0, "slope −4"), row=1, col=2
    )
    fig.update_yaxes(range=[-7, 1], row=1, col=2)
    return fig


WORDS = r"""
A forward process $x_t=\alpha_t x_0+\sigma_t z$ is, in $y=x/\alpha$, only a noise level $\sigma=\sigma_t/\alpha_t$:
VP has $\sigma=\sqrt{e^{B}-1}$, sub-VP $\sigma=2\sinh(B/2)$ with $B=\int\beta$ (281), VE and EDM take $\sigma$ itself. The process sets
the grid of levels and the Gaussian at the top; every solver below is written once, in $(y,\sigma)$. Data are Gaussian
mixtures, so that the denoiser $D(y;\sigma)=\mathbb E[x_0\mid y]$ and the score $(D-y)/\sigma^2$ are exact.

**Solvers.** The probability-flow ODE is $dy/d\sigma=(y-D)/\sigma$. *Euler* is DDIM. *Heun*, *DPM-2*, *RK4* take several
evaluations a step; *DPM-Solver++ 2M* extrapolates $D$ from the last step; *DPM-Solver-v3* (028) first fits a linear
model of $y-D$ along the flow. *ER-SDE* (145) adds noise by $\phi(\sigma)=\sigma^{1+\eta}$,
$y'=ry+(1-r)D+\dots+\sqrt{\sigma'^2-r^2\sigma^2}\,z$, $r=\phi(\sigma')/\phi(\sigma)$; orders 2 and 3 expand $D$ in
$\sigma$. *Predictor–corrector* (281) adds a Langevin step. The samplers of 263 lose almost all their $\alpha_t$ in
these coordinates: the plain one is Euler in $\sigma^2$.

**Errors.** *Endpoint error*: root mean square distance to a 150-step RK4 run from the same start; no sampling noise, so that
orders show. *$W_1$*: on the line against the exact distribution function; in the plane and above the mean over 16
fixed directions, each against the exact projected mixture. The gray band is what exact samples of the same number show. On
Gaussian data Euler scales by $\prod\cos(\theta_i-\theta_{i+1})$, $\theta=\arctan(\sigma/s)$, hence errs by
$1-\cos(\theta_0/K)^K$ on its best grid (dotted; another data set, shown for comparison).

**When noise pays.** A run from $N(0,\sigma_{\max}^2)$ forgets the missing mean as
$\left(s^2/(s^2+\sigma_{\max}^2)\right)^{(1+\eta)/2}$, and loses $\frac{s^2\sigma^2}{s^2+\sigma^2}(1-r)^2$ of variance in
each step. The map is the exact recursion for $N(\Delta,0.25^2)$; the white line is where both effects tie to first order.
*Noise, tried* simulates the same for the chosen data.

**PFGM++** (038): the kernel $(|u|^2+r^2)^{-(N+D)/2}$, $r=\sigma\sqrt D$, is a Gaussian of random precision
$\Gamma(D/2,r^2/2)$; its denoiser is the average of Gaussian ones. Noise $\alpha\sigma$ is put on the state before each step, as in
section 5 there.

**Likelihood** (281, eq. 39): $\log p(x)=\log p_T(y_T)+\int(d-\mathrm{tr}\,C/\sigma^2)\,d\log\sigma$, $C$ the posterior
covariance; Hutchinson replaces the trace by $v^\top Cv$.

**Where it stops being true.** No network, no network error: published rankings by FID need not recur. The score error here is one
smooth field; with it the ODE beats the SDE almost everywhere, and what noise repairs is a wrong start. Orders are those of
smooth data; near the ridge between two modes the flow is stiff and every solver needs more steps. The chain
*VP log T/T* takes its top level from the number of steps and exists from 9 steps on. Image experiments are not reproduced.
"""

LAB = Lab(
    title="Reverse-time samplers",
    question="Which solver reaches the data in fewest steps?",
    views=[
        View(
            "From noise to data",
            "sampler",
            generation,
            draw_generation,
            "Press play. Color is the mode a particle will reach: the ODE cuts the first cloud into sectors, noise mixes them. Right, the "
            "particles of that moment against the exact law.",
            controls=("data", "solver", "nfe", "noise_exponent", "sigma_max", "separation"),
        ),
        View(
            "Error against evaluations",
            "scaling curve",
            comparison,
            draw_comparison,
            "Left, how fast ODE solvers approach the exact endpoint; right, what of it is visible above the sampling noise (gray).",
            controls=("data", "solver", "separation", "sigma_max", "noise_exponent", "score_error"),
        ),
        View(
            "Best noise",
            "phase diagram",
            noise_map,
            draw_noise_map,
            "Few steps from far away: keep to the ODE. Many steps from a low start: noise forgets that the start was wrong.",
            controls=("nfe", "sigma_max", "separation", "sde"),
            click=("nfe", "sigma_max"),
        ),
        View(
            "Poisson flow",
            "phase diagram",
            poisson_map,
            draw_poisson_map,
            "Bottom row: no noise, every D does well. Upward, small D keeps its error low where diffusion (right) loses it.",
            controls=("augmented_dimension", "injected_noise", "data", "nfe"),
            click=("augmented_dimension", "injected_noise"),
        ),
        View(
            "Likelihood",
            "distribution",
            likelihood,
            draw_likelihood,
            "Left, each sample's log-likelihood by the flow against its exact log density; right, how the integrator's error falls.",
            controls=("data", "nfe", "probes", "sigma_max"),
        ),
        View(
            "Noise, tried",
            "phase diagram",
            noise_trial,
            draw_noise_trial,
            "Red: the reverse SDE ends nearer to the data than the ODE; blue: the ODE does; white: the sampling noise hides which. In colored cells, the best η tried.",
            controls=("data", "separation", "score_error", "sde"),
        ),
    ],
    presets={
        "Few steps, 2M": {"solver": "DPM-Solver++ 2M", "nfe": 8, "view": "From noise to data"},
        "Few steps, Heun": {"solver": "Heun", "nfe": 8, "view": "From noise to data"},
        "Noise pays": {
            "data": "three_modes_1d",
            "separation": 2.0,
            "sigma_max": 4.0,
            "nfe": 50,
            "solver": "ER-SDE 1",
            "noise_exponent": 1.0,
            "view": "From noise to data",
        },
        "Noise, tried on three modes": {"data": "three_modes_1d", "separation": 2.0, "view": "Noise, tried"},
        "Noise hurts": {"nfe": 5, "sigma_max": 80.0, "view": "Best noise"},
        "Poisson flow under noise": {"augmented_dimension": 1.0, "injected_noise": 1.0, "view": "Poisson flow"},
        "Where v3 does not help": {"separation": 6.0, "solver": "DPM-Solver-v3", "nfe": 10, "view": "Error against evaluations"},
        "The chain of paper 263": {"sde": "VP log T/T", "solver": "accelerated ODE (263)", "view": "Error against evaluations"},
    },
    words=WORDS,
    papers={"281": "own object", "145": "own object", "028": "own object", "038": "own object", "263": "own object"},
)
