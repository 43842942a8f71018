"""Is a denoiser already a Markov chain sampler?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.denoising_chains import (
    ChainPicture,
    EvaluationCurves,
    FieldPicture,
    Forgetting,
    Schedules,
    ScoreErrors,
    autoencoder_field,
    chain,
    evaluations,
    forgetting,
    schedules,
    score_errors,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, VERMILLION

BOTTOM = 0.012  # where noise level 0 stands on a log axis
TRAIL = 24


def draw_chain(result: ChainPicture) -> go.Figure:
    fig = draw.panels(
        [("x", "noise level σ"), ("mode", "mass")],
        log_y=[True, False],
        titles=["A chain in (x, σ), and what it lets fall", "Modes of the outputs"],
        widths=[0.7, 0.3],
        gap=0.1,
        height=560,
    )
    trace = draw.heatmap(result.x_axis, result.sigma_axis, np.float32(result.density), "", zmin=0, zmax=1.1, hoverinfo="skip")
    fig.add_trace(trace.update(showscale=False), row=1, col=1)
    walk = {"color": "rgba(255,255,255,0.28)", "width": 1}
    fig.add_trace(
        go.Scatter(
            x=np.float32(result.x),
            y=np.float32(result.sigma),
            mode="lines",
            line=walk,
            name="chain",
            showlegend=False,
            hoverinfo="skip",
        ),
        row=1,
        col=1,
    )
    sigma = np.maximum(result.fall_sigma, BOTTOM)
    last = len(result.fall_at) - 1
    falls = {"mode": "lines", "line": {"color": ORANGE, "width": 1.6}, "name": "denoised, 15 evaluations", "hoverinfo": "skip"}
    head = {"mode": "lines", "line": {"color": "#ffffff", "width": 2.2}, "name": "latest moves", "showlegend": False}
    out = {"mode": "markers", "marker": {"color": VERMILLION, "size": 7, "symbol": "line-ns-open"}, "name": "outputs"}
    first = len(fig.data)
    for style, data in zip((falls, head, out), _moment(result, sigma, last, every=True), strict=True):
        fig.add_trace(go.Scatter(data | style), row=1, col=1)
    fig.add_trace(draw.points(result.mode, result.exact, "exact", GRAY, symbol="line-ew-open", size=26), row=1, col=2)
    fig.add_trace(
        draw.points(result.mode + 0.12, result.found, "16 chains ± 2 SE", BLUE, standard_error=result.found_error, size=8),
        row=1,
        col=2,
    )
    alone = {"mode": "markers", "marker": {"color": VERMILLION, "size": 9, "symbol": "diamond"}, "name": "this chain so far"}
    fig.add_trace(go.Scatter(x=result.mode - 0.12, y=result.running[last], **alone), row=1, col=2)
    fig.update_xaxes(range=[float(result.x_axis[0]), float(result.x_axis[-1])], row=1, col=1)
    fig.update_yaxes(range=[np.log10(0.0095), np.log10(23)], row=1, col=1)
    fig.update_xaxes(tickvals=result.mode, range=[0.5, result.mode.size + 0.5], row=1, col=2)
    fig.update_yaxes(range=[-0.03, 1.03], row=1, col=2)
    frames = [
        [*_moment(result, sigma, k), {"x": np.float32(result.mode - 0.12), "y": np.float32(result.running[k])}]
        for k in range(last + 1)
    ]
    labels = [str(at + 1) for at in result.fall_at]
    moving = [first, first + 1, first + 2, len(fig.data) - 1]
    return draw.movie(fig, frames, labels, traces=moving, prefix="move ", milliseconds=160)


def _moment(result: ChainPicture, sigma: np.ndarray, k: int, *, every: bool = False) -> list[dict[str, np.ndarray]]:
    """Falls, latest moves and outputs at the k-th output; all falls so far, or the last few."""
    chosen = slice(0, k + 1) if every else slice(max(0, k - 3), k + 1)
    fall_x, fall_y = draw.broken(np.float32(result.fall_x[chosen]), np.float32(sigma[chosen]))
    moves = slice(max(0, result.fall_at[k] - TRAIL), result.fall_at[k] + 1)
    ends = np.float32(result.fall_x[: k + 1, -1])
    return [
        {"x": fall_x, "y": fall_y},
        {"x": np.float32(result.x[moves]), "y": np.float32(result.sigma[moves])},
        {"x": ends, "y": np.full(ends.size, BOTTOM, dtype=np.float32)},
    ]


SOLVER_COLORS = {"Euler (DDIM)": BLUE, "Heun": VERMILLION}


def draw_evaluations(result: EvaluationCurves) -> go.Figure:
    fig = draw.figure(
        "evaluations of the score for one output",
        "W₁ to the exact way down",
        log_x=True,
        log_y=True,
        x_range=(6.4, 44),
        y_range=(1e-3, 5),
        height=500,
    )
    for name, color in SOLVER_COLORS.items():
        marks = {"mode": "lines+markers", "marker": {"size": 7, "color": color}}
        fig.add_trace(draw.line(result.nfe, result.from_noise[name], f"{name} from noise", color, dash="dash").update(marks))
        fig.add_trace(draw.line(result.nfe, result.from_chain[name], f"{name} from the chain", color).update(marks))
    x = np.array([14.0, 40.0])
    for slope, name in ((1, "Euler (DDIM)"), (2, "Heun")):
        level = 1.35 * result.from_noise[name][-1]
        fig.add_trace(draw.guide(x, level * (x / x[-1]) ** -slope, f"slope −{slope}"))
    draw.mark_x(fig, float(result.nfe[result.here]), "here")
    return fig


FAMILY_COLORS = {"Gaussian": BLUE, "bimodal": ORANGE, "Laplace": GREEN, "fade to uniform": PURPLE}
LEVEL_COLORS = ("#4C6A92", BLUE, ORANGE, VERMILLION)


def draw_forgetting(result: Forgetting) -> go.Figure:
    fig = draw.panels(
        [("rounds", "KL to the prior (nats)"), ("rounds", ""), ("order", "eigenvalue of a round")],
        log_y=[True, True, False],
        titles=[f"{result.family} noise, by level", f"By family, at σ = {result.noise:.2g}", "Spectrum there"],
        widths=[0.37, 0.35, 0.28],
        gap=0.08,
        height=500,
    )
    for sigma, values, color in zip(result.levels, result.by_level, LEVEL_COLORS, strict=True):
        fig.add_trace(draw.line(result.rounds, values, f"σ = {sigma:.2g}", color), row=1, col=1)
    rounds, modes = draw.broken(result.rounds, result.slow_mode)
    fig.add_trace(draw.guide(rounds, modes, "slowest mode of exact guesses"), row=1, col=1)
    for k, (name, color) in enumerate(FAMILY_COLORS.items()):
        fig.add_trace(draw.line(result.rounds, result.by_family[name], name, color, showlegend=False), row=1, col=2)
        order = np.arange(result.spectrum[name].size) + 1
        both = {"mode": "lines+markers", "showlegend": False}
        fig.add_trace(draw.points(order, result.spectrum[name], name, color, size=6).update(both), row=1, col=3)
        place = {"xref": "x3 domain", "yref": "y3 domain", "x": 1, "y": 1 - 0.06 * k, "xanchor": "right", "yanchor": "top"}
        fig.add_annotation(text=name, showarrow=False, font={"size": 13, "color": color}, **place)
    lowest = min(float(result.by_level.min()), *(float(values.min()) for values in result.by_family.values()))
    for col in (1, 2):
        fig.update_yaxes(range=[-2 if lowest > 0.015 else -6, 1.2], row=1, col=col)
        fig.update_xaxes(range=[-3, 203], row=1, col=col)
    fig.update_yaxes(range=[-0.03, 1.05], row=1, col=3)
    return fig


def draw_schedules(result: Schedules) -> go.Figure:
    fig = draw.panels(
        [("schedule power p", "steps N"), ("stimulus s", "density")],
        log_y=[True, False],
        titles=["log₁₀ KL at the end (nats)", "Where this schedule ends"],
        widths=[0.58, 0.42],
        gap=0.15,
        height=480,
    )
    trace = draw.heatmap(
        result.power,
        result.steps,
        result.log_divergence.astype(np.float32),
        "",
        zmin=-5,
        zmax=0.8,
        hovertemplate="p %{x:.2f}<br>N %{y}<br>log₁₀ KL %{z:.2f}<extra></extra>",
    )
    trace.colorbar.update(x=0.5, thickness=11)
    fig.add_trace(trace, row=1, col=1)
    # A best power means little where all schedules do alike.
    if float(result.log_divergence.max()) > -3:
        fig.add_trace(draw.boundary(result.best_power, result.steps, "best", dash="dot", at=0.8), row=1, col=1)
    fig.update_xaxes(range=[-0.15, 7.25], row=1, col=1)
    fig.update_yaxes(range=[np.log10(1.65), np.log10(255)], row=1, col=1)
    fig.add_trace(draw.guide(result.points, result.prior, "prior").update(line={"width": 3, "dash": "solid"}), row=1, col=2)
    fig.add_trace(draw.line(result.points, result.one_level, "as many rounds at one level", ORANGE, dash="dash"), row=1, col=2)
    fig.add_trace(draw.line(result.points, result.law, "this schedule", BLUE, width=2), row=1, col=2)
    fig.update_yaxes(range=[0, 1.25 * float(result.prior.max())], row=1, col=2)
    return fig


def draw_field(result: FieldPicture) -> go.Figure:
    fig = draw.panels(
        [("x", "score"), ("x", "energy, error"), ("x", "density")],
        titles=["(r − x)/σ² is a score", "|r − x|² is no energy", "Metropolis on the learned score"],
        gap=0.07,
        height=480,
    )
    x = np.float32(result.x)
    top = 1.3 * max(1.0, float(np.abs(result.smoothed_score).max()))
    # Beyond the picture lines would only smear its edges.
    inside = np.where(np.abs(result.data_score) < 1.2 * top, result.data_score, np.nan)
    fig.add_trace(draw.guide(x, inside, "∇ log p of the data"), row=1, col=1)
    fig.add_trace(draw.line(x, result.smoothed_score, "best autoencoder, exact", BLUE), row=1, col=1)
    fig.add_trace(draw.line(x, np.clip(result.learned_score, -2 * top, 2 * top), "fitted", VERMILLION, width=1.8), row=1, col=1)
    fig.update_yaxes(range=[-top, top], row=1, col=1)
    energy, error = result.energy / result.energy.max(), result.reconstruction / result.reconstruction.max()
    fig.add_trace(draw.line(x, energy, "−log p, scaled", GREEN), row=1, col=2)
    fig.add_trace(draw.line(x, error, "|r* − x|², scaled", BLUE, dash="dash", showlegend=False), row=1, col=2)
    zeros = np.zeros(result.false_minima.size)
    fig.add_trace(draw.points(result.true_minima, 0 * result.true_minima, "minimum at a mode", GREEN, size=9), row=1, col=2)
    fig.add_trace(draw.points(result.false_minima, zeros, "false minimum", VERMILLION, symbol="x", size=11), row=1, col=2)
    fig.update_yaxes(range=[-0.06, 1.05], row=1, col=2)
    fig.add_trace(draw.guide(x, result.density, "", showlegend=False), row=1, col=3)
    fig.add_trace(draw.line(x, result.smoothed, "", BLUE, showlegend=False), row=1, col=3)
    fig.add_trace(
        draw.points(
            result.center, result.sampled, "chain ± 2 SE", VERMILLION, standard_error=result.sampled_error, size=5, showlegend=False
        ),
        row=1,
        col=3,
    )
    peak = max(float(result.smoothed.max()), float(result.density.max()))
    fig.update_yaxes(range=[0, 1.3 * min(peak, 1.2)], row=1, col=3)
    for col in (1, 2, 3):
        fig.update_xaxes(range=[float(x[0]), float(x[-1])], row=1, col=col)
    return fig


def draw_errors(result: ScoreErrors) -> go.Figure:
    fig = draw.panels(
        [("noise level σ", "bias ÷ score"), ("training pairs n", "error ÷ score")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Best autoencoder, against ∇ log p of the data", "A fitted one, against the best"],
        height=460,
    )
    fig.add_trace(draw.line(result.sigma, result.bias, "best autoencoder, exact", BLUE), row=1, col=1)
    low = result.sigma[:8]
    fig.add_trace(draw.guide(low, 1.6 * result.bias[0] * (low / low[0]) ** 2, "slope 2"), row=1, col=1)
    fig.add_trace(draw.points([result.here], [result.bias_here], "this noise", VERMILLION, size=11), row=1, col=1)
    fig.add_trace(
        draw.points(result.pairs, result.error, "fitted, 4 fits ± 2 SE", VERMILLION, standard_error=result.error_error),
        row=1,
        col=2,
    )
    n = np.array([50.0, 5000.0])
    fig.add_trace(draw.guide(n, result.error[3] * (result.pairs[3] / n) ** 0.5, "slope −½", showlegend=True), row=1, col=2)
    draw.mark_y(fig, 1, "as large as the score", col=2)
    fig.update_yaxes(range=[-3.2, 0.4], row=1, col=1)
    fig.update_xaxes(range=[1.6, 3.8], row=1, col=2)
    return fig


LAB = Lab(
    title="Denoising chains",
    question="Is a denoiser already a Markov chain sampler?",
    views=[
        View(
            "Chain and outputs",
            "sampler",
            chain,
            draw_chain,
            "Each row of the map is the density under that much noise. The chain (white) changes modes where they have merged and comes back "
            "down; every few moves a copy of its state is denoised to the bottom (orange).",
            controls=("langevin_step", "skip", "separation", "seed"),
        ),
        View(
            "Evaluations saved",
            "scaling curve",
            evaluations,
            draw_evaluations,
            "Error of the integrator for the same number of score evaluations: dashed from pure noise, solid from the chain's own noise level, "
            "the moves between outputs paid for.",
            controls=("target", "evaluations", "skip", "langevin_step", "separation"),
        ),
        View(
            "One noise level",
            "scaling curve",
            forgetting,
            draw_forgetting,
            "Serial reproduction at a constant level: little noise mixes slowly, much noise mixes fast; but with imperfect guesses it then "
            "stops far from the prior.",
            controls=("noise", "noise_family", "denoiser_error", "separation"),
        ),
        View(
            "Schedules",
            "phase diagram",
            schedules,
            draw_schedules,
            "How far from the prior a falling schedule ends: dark is close. Imperfect guesses need many steps and a power well above 1; with "
            "exact guesses no schedule is needed.",
            controls=("schedule_power", "steps", "denoiser_error", "noise_family", "separation"),
            click=("schedule_power", "steps"),
        ),
        View(
            "Autoencoder as score",
            "field",
            autoencoder_field,
            draw_field,
            "An autoencoder's displacement is a score of the smoothed density. Its reconstruction error is not an energy: it vanishes between "
            "modes, too (crosses).",
            controls=("noise", "training_points", "features", "separation", "proposal", "path_points"),
        ),
        View(
            "Score error",
            "scaling curve",
            score_errors,
            draw_errors,
            "Two errors of the same field: the smoothing, of order σ² (left), and having few pairs (right). Less noise trades the first for "
            "the second.",
            controls=("noise", "features", "separation"),
        ),
    ],
    presets={
        "Small Langevin steps": {"view": "Chain and outputs", "langevin_step": 0.01},
        "Far modes": {"view": "Chain and outputs", "separation": 10.0},
        "25 modes, 20 evaluations": {"view": "Evaluations saved", "target": "grid of 25", "evaluations": 20},
        "One level, slow": {"view": "One noise level", "noise": 0.5, "denoiser_error": 0.0},
        "One level, fast and wrong": {"view": "One noise level", "noise": 1.5, "denoiser_error": 0.5},
        "Scheduled": {"view": "Schedules", "schedule_power": 2.0, "steps": 36, "denoiser_error": 1.0},
        "Exact guesses need no schedule": {"view": "Schedules", "denoiser_error": 0.0},
        "Energy fallacy": {"view": "Autoencoder as score", "separation": 2.5, "noise": 0.3},
        "Too few pairs": {"view": "Autoencoder as score", "training_points": 60},
    },
    words=r"""
**Serial reproduction** (paper 142). A stimulus $s$ is heard through noise as $x\sim p(x\mid s)$, and the next listener is told a guess
$s'\sim p(s'\mid x)$. With the exact posterior one round $T=\sum_x p(s'\mid x)\,p(x\mid s)$ is reversible in the prior $\pi$ **whatever the noise**: KL to
$\pi$ never rises and in the end falls as $\tfrac12\lambda_2^{2k}\varphi_2(s_0)^2$ (dotted; theory, no fit), $\lambda_2$ the second eigenvalue. All laws are
exact, by matrices on a grid of 160 points. Imperfect guesses take, with probability $\varepsilon$, the normal law of the posterior's mean and
variance: good where the posterior has one mode, that is at little noise. This is why levels have to fall,
$\sigma_i=\sigma_{\max}\big(\tfrac{N-i}{N}\big)^p$, $\sigma_{\max}$ the distance from first to last mode, from a stimulus that says nothing. The map rounds levels to
64 (at most 6%). *Fade to uniform* forgets the stimulus with probability $1-e^{-\sigma}$. Read from the paper's abstract; the
imperfection is ours.

**Denoising Langevin-Gibbs** (233). The chain alternates $x\leftarrow x+\tfrac{\eta}{2}v\,\nabla\log p_\sigma(x)+\sqrt{\eta v}\,z$,
$v=0.3^2+\sigma^2$, with $\sigma\sim p(\sigma\mid x)\propto p(\sigma)\,p_\sigma(x)$ on 24 levels from 0.05 to 20, all alike in $p(\sigma)$; in the paper a classifier
guesses $\sigma$, here it is exact and not counted. Outputs fall from the chain's own $\sigma$ by the named integrator (EDM grid). Moves are not Metropolis-corrected: a normal
mode is widened by $1/(1-\eta/4)$ in variance. *Evaluations saved* starts a thousand chains in their joint law, as if they had run
long, and compares outputs with where the flow takes the same states: it shows what the shorter way down saves. How slowly a chain changes modes shows in the first view, in the spread of sixteen
chains of 400 moves.

**Autoencoders** (077). The best denoising autoencoder is $r^*(x)=\mathbb E[x_0\mid x]$, and $(r^*-x)/\sigma^2$ is the score of the data smoothed by
$\sigma$, exactly (left, blue), hence within $O(\sigma^2)$ of $\nabla\log p$. The fitted one is ridge regression on Gaussian bumps, really
fitted here, from $n$ pairs. As energy one may take $-\int(r-x)/\sigma^2$ along a path, as the Metropolis chain does (midpoint rule, $m$ points; 250 chains of 160
moves started in the smoothed density), but not $|r-x|^2$: it is zero wherever the score is, at modes **and** between them. The masses of modes hang on the field between them,
where there are hardly any pairs: a fitted score that errs by a seventh may move a quarter of the mass.

**Where it stops.** One dimension, but for the grid of 25. The autoencoder's chain targets the smoothed density, not the data, and far from the
pairs its field is whatever the bumps make of it.
""",
    papers={"142": "own object", "233": "own object", "077": "own object"},
)
