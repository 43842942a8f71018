"""Jump along the flow in one step, or learn to?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.consistency_maps import (
    Discretization,
    Jumps,
    RenoiseMap,
    StepCurve,
    Training,
    discretization,
    jumps,
    renoise_map,
    step_curve,
    training,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SIGNED, SKY, VERMILLION, faded

TIME = "trigonometric time t   (noise π/2 → data 0)"
STEPS = "steps (evaluations)"


def draw_jumps(run: Jumps) -> go.Figure:
    fig = draw.panels(
        [(TIME, "x"), ("density", "x")],
        titles=["Jumps over the exact flow", "Law at this stop"],
        widths=[0.72, 0.28],
        height=560,
        gap=0.09,
    )
    reach = [float(run.height[0]), float(run.height[-1])]
    shown = run.density / run.density.max(axis=0, keepdims=True)
    backdrop = draw.heatmap(run.line_time, run.height, shown, "", showscale=False, hoverinfo="skip", zmin=0, zmax=1)
    fig.add_trace(backdrop, row=1, col=1)
    fig.add_trace(draw.strokes(run.line_time, run.flow_lines, "rgba(255,255,255,0.45)", 1), row=1, col=1)
    last = len(run.time) - 1
    for is_jump in (True, False):
        color, name = (ORANGE, "jump") if is_jump else (SKY, "noise put back")
        drawn = draw.strokes(*_segments(run, last, is_jump), color, 1.6 if is_jump else 1.2, name=name, showlegend=True)
        fig.add_trace(drawn, row=1, col=1)
    cloud = {"mode": "markers", "marker": {"color": "#ffffff", "size": 7, "line": {"color": "#24292f", "width": 1}}}
    fig.add_trace(
        go.Scatter(
            x=np.full(run.position.shape[1], run.time[last]), y=run.position[last], name="particles", showlegend=False, **cloud
        ),
        row=1,
        col=1,
    )
    fig.add_trace(draw.line(run.law[last], run.height, "exact law", BLUE), row=1, col=2)
    fig.add_trace(draw.points(run.share[last], run.height, "1500 particles ± 2 SE", BLUE, size=4), row=1, col=2)
    fig.add_trace(draw.strokes(*_bars(run, last), BLUE, 1.2), row=1, col=2)
    fig.update_xaxes(range=[float(run.line_time[-1]) + 0.03, -0.05], row=1, col=1)
    fig.update_yaxes(range=reach)
    fig.update_xaxes(range=[0, 1.1 * max(run.law.max(), run.share.max())], row=1, col=2)
    kept = np.unique(np.linspace(0, last, min(last + 1, 20)).astype(int))
    height = np.float32(run.height)
    frames = []
    for k in kept:
        curves = [_segments(run, int(k), is_jump) for is_jump in (True, False)]
        frames.append(
            [
                *(dict(zip("xy", draw.broken(*curve), strict=True)) for curve in curves),
                {"x": np.full(run.position.shape[1], run.time[k], np.float32), "y": np.float32(run.position[k])},
                {"x": np.float32(run.law[k]), "y": height},
                {"x": np.float32(run.share[k]), "y": height},
                dict(zip("xy", draw.broken(*_bars(run, int(k))), strict=True)),
            ]
        )
    labels = [f"{run.time[k]:.2f}" for k in kept]
    return draw.movie(fig, frames, labels, traces=range(2, 8), prefix="t = ", milliseconds=max(120, 3000 // kept.size))


def _segments(run: Jumps, until: int, is_jump: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the chords that led to the stops up to ``until``: jumps, or noise put back."""
    chosen = [k for k in range(1, until + 1) if bool(run.is_jump[k]) == is_jump]
    # Of many stops the lines of all particles would hide everything: draw those of a few, evenly chosen.
    n = int(np.clip(260 // len(run.time), 5, run.position.shape[1]))
    traced = np.linspace(0, run.position.shape[1] - 1, n).astype(int)
    empty = np.full((1, 2), np.nan, np.float32)
    x = np.concatenate([empty, *(np.float32(np.tile([run.time[k - 1], run.time[k]], (n, 1))) for k in chosen)])
    y = np.concatenate([empty, *(np.float32(run.position[k - 1 : k + 1, traced].T) for k in chosen)])
    return x, y


def _bars(run: Jumps, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the histogram's two standard errors either way."""
    low, high = run.share[k] - 2 * run.share_error[k], run.share[k] + 2 * run.share_error[k]
    return np.float32(np.stack([low, high], axis=1)), np.float32(np.repeat(run.height[:, None], 2, axis=1))


HUES = {0.0: BLUE, 0.25: SKY, 0.5: GREEN, 1.0: VERMILLION}


def draw_step_curve(result: StepCurve) -> go.Figure:
    top = 2 if result.error.max() < 1.8 else 40  # one of two ranges, so that the axis seldom moves
    fig = draw.figure(STEPS, "W₁ to the data", log_x=True, log_y=True, x_range=(0.85, 38), y_range=(0.006, top))
    resolution = draw.band(result.steps, np.full(result.steps.size, 1e-4), result.exact, "exact map, any γ (resolution)", GRAY)
    fig.add_trace(resolution)
    for gamma, error, spread in zip(result.gamma, result.error, result.error_se, strict=True):
        words = {0.0: "γ = 0, along the flow", 1.0: "γ = 1, to the data and back"}.get(gamma, f"γ = {gamma:g}")
        fig.add_trace(draw.line(result.steps, error, words, HUES[gamma], width=1.2, showlegend=False))
        fig.add_trace(draw.points(result.steps, error, words, HUES[gamma], standard_error=spread))
    fig.update_xaxes(tickvals=result.steps, ticktext=[f"{int(n)}" for n in result.steps])
    return fig


def draw_renoise_map(result: RenoiseMap) -> go.Figure:
    fig = draw.figure(STEPS, "growth of error with length, q", log_x=True, x_range=(1.42, 45.2), y_range=(-0.125, 2.125))
    fig.add_trace(
        draw.heatmap(
            result.steps,
            result.growth,
            result.log_ratio,
            "log₂ W₁ at γ = 1 ÷ at γ = 0",
            scale=SIGNED,
            zmin=-2,
            zmax=2,
            hovertemplate="steps %{x}<br>q %{y:.2f}<br>log₂ ratio %{z:.2f}<extra></extra>",
        )
    )
    line = draw.line(*result.tie, "tie", "#24292f", showlegend=False)
    fig.add_trace(line)
    steps, growth = np.meshgrid(result.steps, result.growth)
    best, ratio = result.best, result.log_ratio
    dark = np.abs(ratio) > 1.2
    for cells, ink in ((dark, "#ffffff"), (~dark, "#24292f")):
        fig.add_trace(
            go.Scatter(
                x=steps[cells],
                y=growth[cells],
                text=[{0.0: "γ = 0", 0.5: "γ = ½", 1.0: "γ = 1"}[float(b)] for b in best[cells]],
                mode="text",
                textfont={"color": ink, "size": 12},
                hoverinfo="skip",
                showlegend=False,
            )
        )
    fig.update_xaxes(tickvals=result.steps, ticktext=[f"{int(n)}" for n in result.steps])
    return fig


def draw_discretization(result: Discretization) -> go.Figure:
    fig = draw.panels(
        [("noise z (standard deviations)", "data it is sent to"), ("time step Δt", "W₁ to the data ÷ data s.d.")],
        log_x=[False, True],
        log_y=[False, True],
        titles=[f"The learned map in {result.n_steps} steps of time", "Error against the time step"],
        height=520,
    )
    training_name = "consistency training"
    fig.add_trace(draw.line(result.noise, result.exact, "exact map", GRAY, width=5), row=1, col=1)
    fig.add_trace(draw.line(result.noise, result.trained, training_name, VERMILLION, legendgroup="t"), row=1, col=1)
    fig.add_trace(draw.line(result.noise, result.distilled, "distilled Euler", BLUE, dash="dash", legendgroup="e"), row=1, col=1)
    marks = {"mode": "lines+markers", "marker": {"size": 6}}
    for row, (name, color, dash, group) in zip(
        result.error,
        ((training_name, VERMILLION, "solid", "t"), ("", BLUE, "dash", "e"), ("distilled Heun", GREEN, "solid", "h")),
        strict=True,
    ):
        trace = draw.line(result.dt, row, name, color, dash=dash, legendgroup=group, showlegend=group == "h").update(marks)
        fig.add_trace(trace, row=1, col=2)
    fig.add_trace(
        draw.line(result.dt, result.gaussian, "training, one Gaussian (exact)", PURPLE, dash="dot", width=2), row=1, col=2
    )
    x = np.array([0.003, 0.3])
    for slope, level in ((0.5, 0.6), (1, 0.12), (2, 0.012)):
        fig.add_trace(draw.guide(x, level * (x / 0.3) ** slope, f"slope {slope}", showlegend=False), row=1, col=2)
        fig.add_annotation(
            x=np.log10(0.35),
            y=np.log10(level),
            text=f"{slope:g}",
            showarrow=False,
            xanchor="left",
            row=1,
            col=2,
            font={"color": GRAY},
        )
    fig.update_xaxes(range=[-2.4, 2.4], row=1, col=1)
    fig.update_xaxes(range=[np.log10(0.0025), np.log10(0.5)], row=1, col=2)
    fig.update_yaxes(range=[-5.5, 0.1], row=1, col=2)
    return fig


RUNS = {"raw": VERMILLION, "stabilized": BLUE}


def draw_training(result: Training) -> go.Figure:
    fig = draw.panels(
        [("noise z", "f(z, π/2)"), ("iteration", "error of the map"), ("iteration", "size of the tangent")],
        log_x=[False, True, True],
        log_y=[False, True, True],
        titles=["Learned jump from noise to data", "RMS error, in data s.d.", "RMS of g over a batch"],
        height=500,
        gap=0.09,
    )
    fig.add_trace(draw.line(result.noise, result.exact, "exact", GRAY, width=5), row=1, col=1)
    for run, learned in zip(result.runs, result.learned, strict=True):
        color = RUNS[run.name]
        words = run.name + (f" (diverged at {run.diverged_at})" if run.diverged_at else "")
        shown = run.error < 1e3
        x = result.iteration[: run.error.size]
        fig.add_trace(draw.line(x[shown], run.error[shown], words, color, legendgroup=run.name), row=1, col=2)
        fig.add_trace(draw.line(x, run.tangent, words, color, legendgroup=run.name, showlegend=False), row=1, col=3)
        if learned.size:
            fig.add_trace(draw.line(result.noise, learned, words, color, legendgroup=run.name, showlegend=False), row=1, col=1)
    first, last = np.log10(result.iteration[0]), np.log10(result.iteration[-1])
    for col in (2, 3):
        fig.update_xaxes(range=[first - 0.05, max(last, first + 0.3) + 0.05], row=1, col=col)
    fig.update_xaxes(range=[-2.6, 2.6], row=1, col=1)
    fig.update_yaxes(range=[-2.6, 2.6], row=1, col=1)
    fig.update_yaxes(range=[-1.2, 2], row=1, col=2)
    fig.update_yaxes(range=[-1.2, 3], row=1, col=3)
    return fig


def draw_tangent(result: Training) -> go.Figure:
    fig = draw.figure(TIME, "x (data s.d.)", x_range=(np.pi / 2, 0), y_range=(-2.5, 2.5), height=520)
    fig.add_trace(
        draw.heatmap(
            result.time,
            result.height,
            result.tangent,
            "tangent g",
            scale=SIGNED,
            zmin=-2,
            zmax=2,
            hovertemplate="t %{x:.2f}<br>x %{y:.2f}<br>g %{z:.2f}<extra></extra>",
        )
    )
    fig.add_trace(draw.strokes(result.time, result.flow_lines, faded("#24292f", 0.5), name="exact flow"))
    return fig


WORDS = r"""
The probability flow carries noise to data; a **consistency map** makes the way in one jump. On the line it is exact without
solving anything: the flow keeps order, so $G(x,t,s)=F_s^{-1}(F_t(x))$, with $F_t$ the distribution function at noise level $t$.
Pictures use trigonometric time (216), $\tan t=\sigma/\sigma_d$, $x_t=\cos t\,x_0+\sin t\,z$, $z\sim N(0,\sigma_d^2)$ with $\sigma_d$
the data's standard deviation: the variance stays the same all the way.

**Jumps** (175). One step of $\gamma$-sampling is
$y\mapsto G\big(y,t_n,\sqrt{1-\gamma^2}\,t_{n+1}\big)+\gamma\,t_{n+1}z$ on the grid $\sigma^{1/7}$ of EDM: $\gamma=0$ follows the flow,
$\gamma=1$ (multistep consistency sampling) jumps to the data and puts noise back. The exact map gives the exact law
whatever $\gamma$. The erring map adds to a jump from angle $t$ to $s$ the error
$\varepsilon\,\sigma_d\,\sin^q(t-s)\,u/\cos s$, $u=\cos(2y/\mathrm{sd}\,y)$; $q=1$ is an error $\varepsilon u$ of the network $F$ in
$f=\cos t\,x-\sin t\,\sigma_dF$. **Which $\gamma$ is best depends on $q$**: errors that add up along the way ($q\le1$) are forgotten by
putting noise back; if long jumps are what is hard ($q=2$) many short ones win, as published for images. Its size moves the
boundary little. Laws are followed by array quasi-Monte Carlo (sorted particles, lattice noise); bars are two standard errors over its
random shifts, the gray band is what the same method says of the exact map.

**Discrete training** compares $f$ at both ends of a step $\Delta t$ of one path. With a perfect network its fixed point is
$f_n(x)=\mathbb E[f_{n-1}(x_{t_{n-1}})\mid x_{t_n}=x]$, $f_0(x)=x$, here by quadrature, no network at all. Distillation takes a
teacher's step instead, and ends as the teacher's own sampler: order 1 for Euler (DDIM), 2 for Heun. For one Gaussian,
training gives slope $\cos(\pi/2N)^N$ instead of 1: an error of order $\Delta t$. Between **separated modes the order is about one half**:
each expectation blurs by an amount of order $\Delta t$, $\pi/2\Delta t$ of them blur by $\sqrt{\Delta t}$, and where the exact map
jumps from mode to mode the error is that blur itself. This we derive and measure here; it is not in the papers.

**Continuous training** (216). $F$ is linear in 180 Gaussian bumps over $(x,t)$, in units of $\sigma_d$, trained by plain SGD along
the tangent $g=-\cos^2t\,(F-\dot x)-r\cos t\sin t\,(x+\mathrm dF/\mathrm dt)$, batches of 64. *Raw*: $g$ as it is. *Stabilized*: $r$ grows
from 0 to 1 and $g\to g/(|g|+c)$, $|g|$ over the batch (in the paper over an image's coordinates). The mean update
$\theta\mapsto\theta+\eta(b-M\theta)$ has an $M$ that is not symmetric, with complex eigenvalues $\lambda$, as in temporal-difference
learning; raw training diverges above $\eta=\min 2\,\mathrm{Re}\lambda/|\lambda|^2$ (computed), a little earlier with the noise of batches.

**Where it stops being true.** One dimension, one shape of error, no adversarial loss, no image. Bumps cannot follow the staircase of far
modes: some error stays. Normalization bounds each update, so it cannot diverge geometrically; it does not make the fixed point better,
and at large $\eta$ the error stays high. Discrete fixed points use 1025 grid points; below $\Delta t\approx0.003$ the grid would show.
"""

LAB = Lab(
    title="Consistency maps",
    question="Jump along the flow in one step, or learn to?",
    views=[
        View(
            "Long jumps",
            "sampler",
            jumps,
            draw_jumps,
            "Press play. White lines: the exact flow from noise (left) to data (right). Orange chords jump along it, blue ones put noise "
            "back; an erring jump lands beside its line.",
            controls=("steps", "gamma", "jump_error", "error_growth", "separation", "sigma_max"),
        ),
        View(
            "Error against steps",
            "scaling curve",
            step_curve,
            draw_step_curve,
            "Gray: an exact map is exact whatever γ. With an erring map, more steps may help or hurt: see how q turns the fan around.",
            controls=("error_growth", "jump_error", "separation", "sigma_max"),
        ),
        View(
            "Follow or re-noise",
            "phase diagram",
            renoise_map,
            draw_renoise_map,
            "Red: follow the flow (γ = 0). Blue: jump to the data and put noise back (γ = 1). Black line: they tie. In cells, the best "
            "of γ = 0, ½, 1.",
            controls=("steps", "error_growth", "jump_error", "separation"),
            click=("steps", "error_growth"),
        ),
        View(
            "Learning from small steps",
            "scaling curve",
            discretization,
            draw_discretization,
            "Left, the map a perfect network would learn: training rounds the stairs off. Right, how fast that goes away: as √Δt between "
            "separated modes, as Δt between close ones.",
            controls=("dt", "separation", "data"),
        ),
        View(
            "Continuous training",
            "trajectory",
            training,
            draw_training,
            "Red: the raw tangent. Blue: normalized, with warm-up. Beyond the learning rate named above, raw training blows up.",
            controls=("learning_rate", "normalize_tangent", "warmup", "teacher", "iterations", "separation"),
        ),
        View(
            "Tangent over space and time",
            "field",
            training,
            draw_tangent,
            "How fast the stabilized model's f changes along the exact flow (lines): white is consistent. Warm-up and more iterations fade the colors; between modes they fade last.",
            controls=("learning_rate", "normalize_tangent", "warmup", "teacher", "iterations", "separation"),
        ),
    ],
    presets={
        "Exact jumps": {"jump_error": 0.0, "gamma": 1.0, "view": "Long jumps"},
        "Errors add up": {"error_growth": 0.0, "jump_error": 0.05, "gamma": 0.0, "steps": 16, "view": "Long jumps"},
        "Follow the flow": {"error_growth": 2.0, "jump_error": 0.2, "view": "Error against steps"},
        "Put noise back": {"error_growth": 0.0, "view": "Error against steps"},
        "Coarse time": {"dt": 0.2, "view": "Learning from small steps"},
        "Close modes: order one": {"separation": 0.5, "dt": 0.01, "view": "Learning from small steps"},
        "Raw tangent diverges": {"learning_rate": 10.0, "view": "Continuous training"},
        "Both converge": {"learning_rate": 1.0, "iterations": 3000, "view": "Continuous training"},
    },
    words=WORDS,
    papers={"175": "own object", "216": "own object"},
)
