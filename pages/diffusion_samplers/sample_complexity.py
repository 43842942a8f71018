"""How many samples until the score generates, not memorizes?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.sample_complexity import (
    Generated,
    OwnData,
    RateCurve,
    RecoveryMap,
    RiskCurve,
    StopMap,
    Stopping,
    WidthCurve,
    generated,
    own_data,
    rate_curve,
    recovery_map,
    risk_curve,
    stop_map,
    stopping,
    width_curve,
)
from compute.parameters import format_number
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILLION


def draw_stopping(result: Stopping) -> go.Figure:
    fig = draw.panels(
        [("x on the circle", "density"), ("reverse process stopped at T →", "total variation")],
        log_x=[False, True],
        log_y=[False, True],
        widths=[0.62, 0.38],
        height=500,
    )
    x = result.x.astype(np.float32)
    densities = result.density.astype(np.float32)
    fig.add_trace(
        draw.band(x, np.zeros(x.size, np.float32), result.truth.astype(np.float32), "truth", GRAY, opacity=0.35), row=1, col=1
    )
    fig.add_trace(draw.line(x, densities[result.at], "law of what the reverse process returns", BLUE, width=2), row=1, col=1)
    marks = go.Scatter(
        x=result.sample.astype(np.float32),
        y=np.full(result.sample.size, 0.06, np.float32),
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 9, "color": VERMILLION},
        name="training samples (up to 300)",
        hoverinfo="skip",
    )
    fig.add_trace(marks, row=1, col=1)
    fig.add_trace(
        draw.line(result.expected_stop, result.expected, "expected", GREEN, dash="dash"),
        row=1,
        col=2,
    )
    fig.add_trace(draw.line(result.stop, result.tv, "this sample", BLUE), row=1, col=2)
    here = {"color": VERMILLION, "size": 13}
    at = slice(result.at, result.at + 1)
    fig.add_trace(go.Scatter(x=result.stop[at], y=result.tv[at], mode="markers", marker=here, showlegend=False), row=1, col=2)
    fig.update_xaxes(range=[0, 1], row=1, col=1)
    fig.update_yaxes(range=[0, 3.2], row=1, col=1)
    fig.update_xaxes(range=[-0.9, -6.1], row=1, col=2)
    fig.update_yaxes(range=[-2.3, 0.05], row=1, col=2)
    frames = [[{"y": y}, {"x": [float(t)], "y": [float(v)]}] for y, t, v in zip(densities, result.stop, result.tv, strict=True)]
    labels = [format_number(float(t), 2) for t in result.stop]
    return draw.movie(fig, frames, labels, traces=(1, 5), at=result.at, prefix="stopped at T = ", milliseconds=120)


def draw_rate_curve(result: RateCurve) -> go.Figure:
    fig = draw.panels(
        [("samples n", "distance to the truth"), ("samples n", "best stop T")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Error at the best stop", "Where to stop"],
        height=500,
    )
    n, s = result.n, result.smoothness
    fig.add_trace(draw.line(n, result.expected, "TV", BLUE), row=1, col=1)
    fig.add_trace(draw.points(n, result.tv, "TV, 6 samples ± 2 SE", BLUE, standard_error=result.tv_error), row=1, col=1)
    fig.add_trace(draw.line(n, result.cutoff, "TV, sharp cutoff", ORANGE, dash="dash"), row=1, col=1)
    fixed = f"TV, T = {format_number(result.early_stop)}"
    fig.add_trace(draw.line(n, result.chosen_tv, fixed, GREEN, dash="dot"), row=1, col=1)
    fig.add_trace(draw.points(n, result.w1, "W₁", PURPLE, standard_error=result.w1_error, symbol="diamond"), row=1, col=1)
    for power, start, text in (
        (-s / (2 * s + 1), 0.75 * result.expected[0], f"slope −{s / (2 * s + 1):.3f}"),
        (-0.5, 0.75 * result.w1[0], "slope −1/2"),
    ):
        line = draw.guide(n[[0, -1]], start * (n[[0, -1]] / n[0]) ** power, text)
        fig.add_trace(line.update(showlegend=False), row=1, col=1)
        place = {"x": 2.75, "y": np.log10(0.6 * start * (10**2.75 / n[0]) ** power)}
        fig.add_annotation(text=text, showarrow=False, font={"size": 12, "color": GRAY}, **place, row=1, col=1)
    fig.add_trace(draw.line(n, result.stop, "best T", BLUE, showlegend=False), row=1, col=2)
    fig.add_trace(draw.points(n, result.simulated_stop, "best T", BLUE, showlegend=False), row=1, col=2)
    power = -2 / (2 * min(s, 2.0) + 1)
    law = 0.4 * result.stop[0] * (n[[0, -1]] / n[0]) ** power
    fig.add_trace(draw.guide(n[[0, -1]], law, "law", showlegend=False), row=1, col=2)
    fig.add_annotation(
        text=f"slope −{-power:.2f}",
        showarrow=False,
        font={"size": 12, "color": GRAY},
        x=3,
        y=np.log10(0.4 * law[0] * 10**power),
        row=1,
        col=2,
    )
    for column in (1, 2):
        fig.update_xaxes(range=[1.93, 5.07], row=1, col=column)
    fig.update_yaxes(range=[-3.7, -0.2], row=1, col=1)
    fig.update_yaxes(range=[-6.1, -0.9], row=1, col=2)
    return fig


def draw_stop_map(result: StopMap) -> go.Figure:
    limits = {"x_range": (100, 1e5), "y_range": (1e-6, 0.1)}
    fig = draw.figure("samples n", "reverse process stopped at T", log_x=True, log_y=True, height=520, **limits)
    z = np.log10(result.tv)
    fig.add_trace(draw.heatmap(result.n, result.stop, z, "log₁₀ total variation", zmin=-2, zmax=-0.2))
    fig.add_trace(draw.boundary(result.n, result.best, "best stop", at=0.75))
    fig.add_trace(draw.boundary(result.n, result.law, "", dash="dot"))
    alone = result.n[result.n <= 1000]
    fig.add_trace(draw.boundary(alone, alone**-2.0, "T = n⁻²: samples alone", dash="dash", at=0.3))
    fig.add_trace(draw.on_map(2e3, 3e-2, "too smooth"))
    fig.add_trace(draw.on_map(1e3, 1e-5, "memorized"))
    return fig


def draw_risk_curve(result: RiskCurve) -> go.Figure:
    fig = draw.panels(
        [("training time k", "excess risk of E[x₀|xₜ]"), ("xₜ at t = 0.3", "denoiser E[x₀|xₜ]")],
        log_x=[True, False],
        log_y=[True, False],
        titles=["Stop in the valley", "What has been learned"],
        height=480,
    )
    fig.add_trace(draw.line(result.time, result.total, "risk, exact", BLUE, width=3.5), row=1, col=1)
    fig.add_trace(draw.line(result.time, result.bias, "squared bias", GREEN, dash="dash"), row=1, col=1)
    fig.add_trace(draw.line(result.time, result.variance, "variance", ORANGE, dash="dash"), row=1, col=1)
    fig.add_trace(
        draw.points(
            result.simulated_time, result.simulated, "6 draws of the labels ± 2 SE", BLUE, standard_error=result.standard_error
        ),
        row=1,
        col=1,
    )
    draw.mark_y(fig, result.label_noise, "variance of the labels")
    fig.add_trace(draw.line(result.x, result.exact, "exact", GRAY, width=4), row=1, col=2)
    for (name, y), color in zip(result.learned.items(), (SKY, VERMILLION), strict=True):
        fig.add_trace(draw.line(result.x, y, f"at the {name}", color), row=1, col=2)
    fig.update_xaxes(range=[-0.1, 6.1], row=1, col=1)
    fig.update_yaxes(range=[-3, 0.4], row=1, col=1)
    reach = 1.7 * np.abs(result.exact).max()
    fig.update_yaxes(range=[-reach, reach], row=1, col=2)
    draw.mark_x(fig, result.chosen, "chosen", col=1)
    return fig


def draw_width_curve(result: WidthCurve) -> go.Figure:
    fig = draw.panels(
        [("width m", "rms gap to the kernel"), ("steps of training", "excess risk")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Wide networks follow the kernel", "Risk on the way"],
        height=480,
    )
    fig.add_trace(draw.points(result.width, result.gap, "networks ± 2 SE", BLUE, standard_error=result.gap_error), row=1, col=1)
    ends = np.array([10.0, max(result.width[-1], 20.0)])
    level = float(result.gap[-1] * np.sqrt(result.width[-1]))
    fig.add_trace(draw.guide(ends, level / np.sqrt(ends), "slope −1/2"), row=1, col=1)
    shown = list(result.network_risk)
    for m, color in zip(shown[-1::-2][:3], (BLUE, SKY, ORANGE), strict=False):
        fig.add_trace(draw.line(result.step, result.network_risk[m], f"width {m}", color), row=1, col=2)
    fig.add_trace(draw.line(result.step, result.kernel_risk, "kernel", GRAY, dash="dash", width=3), row=1, col=2)
    fig.update_xaxes(range=[0.9, 3.4], row=1, col=1)
    fig.update_yaxes(range=[-2.7, 0.1], row=1, col=1)
    fig.update_yaxes(range=[-2, 0.1], row=1, col=2)
    return fig


def draw_recovery_map(result: RecoveryMap) -> go.Figure:
    limits = {"x_range": (1, 60), "y_range": (1, 15)}
    fig = draw.figure("samples a subspace N", "subspace dimension d", log_x=True, height=500, **limits)
    fig.add_trace(draw.heatmap(result.n, result.d, result.share, "share of directions found", zmin=0, zmax=1, zsmooth=False))
    line = np.geomspace(1, 15, 40)
    fig.add_trace(draw.boundary(line, line, "N = d", at=0.8))
    fig.add_trace(draw.on_map(2.2, 11, "directions missing"))
    fig.add_trace(draw.on_map(30, 4, "found", color="#ffffff"))
    return fig


def draw_generated(result: Generated) -> go.Figure:
    fig = draw.panels(
        [("along the direction found best", "along the direction found worst"), ("samples a subspace N", "share")],
        log_x=[False, True],
        titles=["Data and samples of the learned model", "What N samples find"],
        height=480,
    )
    for xy, name, color in ((result.data, "data", GRAY), (result.samples, "generated", VERMILLION)):
        cloud = go.Scatter(
            x=xy[:, 0].astype(np.float32),
            y=xy[:, 1].astype(np.float32),
            mode="markers",
            marker={"color": color, "size": 5, "opacity": 0.6},
            name=name,
        )
        fig.add_trace(cloud, row=1, col=1)
    for values, error, theory, name, color in (
        (result.found, result.found_error, result.found_theory, "directions found", BLUE),
        (result.inside, result.inside_error, result.inside_theory, "energy of samples inside", GREEN),
    ):
        if theory is not None:
            fig.add_trace(draw.line(result.n[: theory.size], theory[: result.n.size], name, color), row=1, col=2)
        bars = draw.points(result.n, values, name, color, standard_error=error, showlegend=theory is None)
        fig.add_trace(bars, row=1, col=2)
    draw.mark_x(fig, float(result.at_n), "here", col=2)
    fig.update_xaxes(range=[-3.5, 3.5], row=1, col=1)
    fig.update_yaxes(range=[-3.5, 3.5], row=1, col=1)
    fig.update_xaxes(range=[-0.05, 1.82], row=1, col=2)
    fig.update_yaxes(range=[0, 1.08], row=1, col=2)
    return fig


def draw_own_data(result: OwnData) -> go.Figure:
    fig = draw.panels(
        [("values", "density"), ("samples n", "best stop T")],
        log_x=[False, True],
        log_y=[False, True],
        titles=["What the reverse process returns", "How the best stop scales"],
        widths=[0.56, 0.44],
        height=480,
    )
    fig.add_trace(draw.line(result.x, result.density, "at the best stop", BLUE), row=1, col=1)
    fig.add_trace(draw.line(result.x, result.chosen, "at the chosen stop", ORANGE, width=1.5), row=1, col=1)
    low, high = (result.best * np.exp(sign * 2 * result.best_error) for sign in (-1, 1))
    fig.add_trace(draw.line(result.n, result.fitted, f"slope {result.slope:.2f}".replace("-", "−"), VERMILLION), row=1, col=2)
    bars = {"type": "data", "array": high - result.best, "arrayminus": result.best - low, "color": VERMILLION, "thickness": 1.3}
    fig.add_trace(draw.points(result.n, result.best, "leave one out ± 2 SE", VERMILLION).update(error_y=bars), row=1, col=2)
    top = float(result.density.max())
    fig.update_yaxes(range=[min(0.0, float(result.density.min())), 1.5 * top], row=1, col=1)
    fig.update_yaxes(range=[-6.1, -0.4], row=1, col=2)
    return fig


WORDS = r"""
**Stop before you remember** (463). Data on a circle, $p(x)=1+c\sum_{j=1}^{10}\pm2^{-js}\cos2\pi2^jx$: smooth of order $s$ and no more. Forward,
Brownian motion; backward, exactly, with the score of the $n$ samples down to time $T$. What comes out is the law of a sample plus
$\sqrt T\,z$: the **kernel density** of bandwidth $\sqrt T$, here by Fourier series without particles. Too late a stop returns the samples,
too early a blur. At the best $T\sim n^{-2/(2s+1)}$ total variation falls like the minimax rate $n^{-s/(2s+1)}$ (paper 463, $d=1$, up to logarithms).
Heat cannot use a smoothness above 2; a sharp cutoff of frequencies can. Lines: bias and variance of the density at each point are exact and its
law normal (central limit), so TV is half the integral of $\mathbb E|N(\text{bias},\text{variance})|$. Points: samples. In one dimension $W_1$ falls
like $n^{-1/2}$ whatever $s$: the rate $(s+1)/(d+2s)$ of the paper is slower only for $d\ge3$. A network is not trained here: its implicit smoothing is the early stop.

**Early stopping of training** (498, in miniature). Pairs $(x_t,t)\mapsto x_0$ of two modes, $x_t=e^{-t}x_0+\sqrt{1-e^{-2t}}z$, $t$ from 0.1 to 1.5: regression
with very noisy labels, whose mean $\mathbb E[x_0|x_t]$ gives the score by Tweedie's formula. Gradient descent on a wide two-layer ReLU network
follows its tangent kernel $K(u,v)=\langle u,v\rangle(\pi-\angle)/2\pi$,
$$f_k=K_*K^{-1}\big(I-(I-\eta K/n)^k\big)y,\qquad \eta=1:$$
mode $i$ keeps $(1-\eta\lambda_i/n)^k$ of its error. Given inputs, bias and variance are exact (the posterior's variance is the labels'), their sum is U-shaped;
points draw the labels anew. The network view trains networks of growing width, outer weights fixed, each unit twice so that it starts at 0; the
gap falls like $m^{-1/2}$ while training is short, later more slowly.

**Subspaces** (017). $x=U_ka+e$ in $\mathbb R^D$, $k\le K$. The denoiser is that of low-rank Gaussians, $\mathbb E[x_0|y]=c\sum_kw_k(y)U_kU_k^\top y$, and its
training is principal components for $K=1$, alternation of weights and components with ten restarts for $K>1$. Without noise $N$ samples span
$\min(N,d)$ directions: the model is complete **iff $N\ge d$**, whatever $D$. With noise $s$, a direction's squared cosine is $(1-\gamma/\ell^2)/(1+\gamma/\ell)$,
$\gamma=D/N$, $\ell=1/s^2$ (large $D$, $N$; near $N=d$ it is lower). Samples come from Heun's steps with the learned denoiser. No theory for $K>1$, where a
failure may be the algorithm's.

**Your data.** Cosine expansion on the range of the values; the best $T$ for blocks of $n$ by leaving one out; $s$ from the slope. Meant for a density
that is rough in the bulk: edges, ties and rounding count as roughness, and above $s=2$ heat sees no difference.
"""

LAB = Lab(
    title="Sample complexity",
    question="How many samples until the score generates, not memorizes?",
    views=[
        View(
            "Stop in time",
            "sampler",
            stopping,
            draw_stopping,
            "Play: the reverse process sharpens noise into the density, then into the training samples. Right, the valley is where to stop.",
            controls=("n_samples", "early_stop", "smoothness"),
        ),
        View(
            "Error against samples",
            "scaling curve",
            rate_curve,
            draw_rate_curve,
            "At the best stop TV falls with the minimax slope; W₁ with −1/2. Right, more samples let the process run further. A fixed stop (dotted) levels off.",
            controls=("smoothness", "early_stop"),
        ),
        View(
            "When to stop",
            "phase diagram",
            stop_map,
            draw_stop_map,
            "Below the white line the output remembers its samples, above it is a blur; the dotted line is the law n^(−2/(2s+1)).",
            controls=("smoothness", "n_samples", "early_stop"),
            click=("n_samples", "early_stop"),
        ),
        View(
            "Stop training early",
            "scaling curve",
            risk_curve,
            draw_risk_curve,
            "Left, bias falls and variance rises with training. Right, at the best time the denoiser is smooth; trained on, it chases its noisy labels.",
            controls=("training_time", "n_pairs", "separation"),
        ),
        View(
            "Network and kernel",
            "scaling curve",
            width_curve,
            draw_width_curve,
            "Left, the gap between trained networks and the kernel falls with the width. Right, wide networks take the kernel's path.",
            controls=("network_width", "network_time", "n_pairs", "separation"),
        ),
        View(
            "Subspaces found",
            "phase diagram",
            recovery_map,
            draw_recovery_map,
            "Without noise all is found right of the line N = d, whatever the ambient dimension; noise blurs the line and moves it right.",
            controls=("n_per_subspace", "subspace_dim", "data_noise", "clusters", "ambient"),
            click=("n_per_subspace", "subspace_dim"),
        ),
        View(
            "Learned samples",
            "sampler",
            generated,
            draw_generated,
            "Left, with too few samples the learned model is flat in a direction in which the data are not. Right, how much is found and how much of it is true.",
            controls=("n_per_subspace", "subspace_dim", "data_noise", "clusters", "ambient"),
        ),
        View(
            "Your data",
            "distribution",
            own_data,
            draw_own_data,
            "Left, the density that the best stop returns for all values. Right, how the best stop falls with n, and so how smooth the density is.",
            controls=("table", "early_stop", "smoothness"),
        ),
    ],
    presets={
        "Memorized": {"early_stop": 1e-6, "n_samples": 100, "view": "Stop in time"},
        "Enough samples": {"early_stop": 3e-5, "n_samples": 100000, "view": "Stop in time"},
        "Smooth": {"smoothness": 2.0, "view": "Error against samples"},
        "Rough": {"smoothness": 0.5, "view": "Error against samples"},
        "Smoother than heat can use": {"smoothness": 3.0, "view": "Error against samples"},
        "Overtrained": {"training_time": 1e6, "view": "Stop training early"},
        "Stopped in the valley": {"training_time": 30.0, "view": "Stop training early"},
        "Exactly d samples": {"n_per_subspace": 5, "subspace_dim": 5, "view": "Learned samples"},
        "One sample short": {"n_per_subspace": 4, "subspace_dim": 5, "view": "Learned samples"},
        "Noisy data": {"data_noise": 0.3, "view": "Subspaces found"},
        "Two subspaces": {"clusters": 2, "view": "Learned samples"},
    },
    words=WORDS,
    papers={"463": "own object", "498": "miniature", "017": "own object"},
)
