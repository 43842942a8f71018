"""What makes a generative flow straight?"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from compute.transport_bridges.straight_flows import (
    Bending,
    Flow,
    Knowledge,
    LearnedForward,
    Schedules,
    StepCurve,
    bending,
    flow,
    knowledge,
    learned_forward_process,
    schedules,
    step_curve,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILLION, faded


def draw_flow(result: Flow) -> go.Figure:
    titles = ["Noise and data paired at random", "Paired with the chosen correlation"]
    fig = draw.panels([("time t", "x"), ("time t", "x")], titles=titles, height=540)
    last = result.time.size - 1
    moving = []
    for col, (name, lines) in enumerate(result.lines.items(), start=1):
        up = lines[-1] > 0
        for side, color in ((up, BLUE), (~up, GREEN)):
            x, y = draw.broken(result.time, lines[:, side].T)
            style = {"mode": "lines", "line": {"color": faded(color, 0.6), "width": 1.5}, "hoverinfo": "skip"}
            fig.add_trace(go.Scatter(x=x, y=y, name="exact flow", showlegend=col == 1 and color == BLUE, **style), row=1, col=col)
        x, y = draw.broken(result.euler_time, result.euler[name][:, ::4].T)
        style = {"mode": "lines+markers", "line": {"color": VERMILLION, "width": 1.2, "dash": "dot"}, "marker": {"size": 5}}
        label = f"{result.euler_time.size - 1} Euler steps"
        fig.add_trace(go.Scatter(x=x, y=y, name=label, showlegend=col == 1, **style), row=1, col=col)
        shape = {"mode": "lines", "line": {"color": GRAY, "width": 1}, "fill": "toself", "fillcolor": faded(GRAY, 0.25)}
        data = {"x": 1 + 0.2 * result.density / result.density.max(), "y": result.curve}
        fig.add_trace(go.Scatter(**data, name="data", showlegend=False, hoverinfo="skip", **shape), row=1, col=col)
        dots = {"mode": "markers", "marker": {"color": ORANGE, "size": 6}, "showlegend": False, "name": "particles"}
        fig.add_trace(go.Scatter(x=np.full(lines.shape[1], 1.0), y=lines[last], **dots), row=1, col=col)
        moving.append(len(fig.data) - 1)
    across, up = {"range": [-0.03, 1.22]}, {"range": [-result.reach, result.reach]}
    fig.update_layout(xaxis=across, xaxis2=across, yaxis=up, yaxis2=up)
    frames = [
        [{"x": np.full(lines.shape[1], t, dtype=np.float32), "y": lines[k].astype(np.float32)} for lines in result.lines.values()]
        for k, t in enumerate(result.time)
    ]
    return draw.movie(fig, frames, [f"{t:.2f}" for t in result.time], traces=moving, prefix="time t = ", milliseconds=80)


def draw_bending(result: Bending) -> go.Figure:
    fig = draw.figure("correlation ρ", "data scale s", log_y=True, x_range=(-0.95, 1), y_range=(0.2, 5), height=500)
    fig.add_trace(
        draw.heatmap(
            result.rho,
            result.scale,
            result.log10_curvature,
            "log₁₀ curvature",
            zmin=-2,
            zmax=1,
            hovertemplate="ρ %{x:.2f}<br>s %{y:.2f}<br>log₁₀ curvature %{z:.2f}<extra></extra>",
        )
    )
    for level, (x, y) in result.contours.items():
        style = {"mode": "lines", "line": {"color": "#ffffff", "width": 2}, "showlegend": False, "hoverinfo": "skip"}
        fig.add_trace(go.Scatter(x=x, y=y, name=f"one-step error {level:g}", **style))
    # Where each contour s (1 - |rho|) sqrt(2/pi) = level crosses a steep part of the map.
    for rho, scale, text in ((0.5, 0.29, "one-step W₁ 0.1"), (-0.25, 0.44, "0.3"), (0.3, 2.15, "1")):
        fig.add_trace(draw.on_map(rho, scale, text))
    return fig


HUES = {
    "conditional OT": BLUE,
    "VP trigonometric": GREEN,
    "cosine squared": PURPLE,
    "VE-like": ORANGE,
    "kinetic optimal": VERMILLION,
}


def draw_schedules(result: Schedules) -> go.Figure:
    fig = draw.panels(
        [("share of noise m", "share of data a"), ("unrolled: r cos Θ", "r sin Θ"), ("time t", "kinetic energy density")],
        titles=["Schedules", "On the unrolled cone", "Where the energy is spent"],
        height=480,
        gap=0.09,
    )
    for name, color in HUES.items():
        a, m = result.plane[name]
        width = 4.0 if name == "kinetic optimal" else 2.0
        label = f"{name}: {result.energy[name]:.4f}"
        fig.add_trace(draw.line(m, a, label, color, width=width, legendgroup=name), row=1, col=1)
        more: dict[str, Any] = {"showlegend": False, "legendgroup": name, "width": width}
        fig.add_trace(draw.line(*result.unrolled[name], name, color, **more), row=1, col=2)
        fig.add_trace(draw.line(result.time, result.density[name], name, color, **more), row=1, col=3)
    fig.update_xaxes(range=[-0.03, 1.05], row=1, col=1)
    fig.update_yaxes(range=[-0.03, 1.05], row=1, col=1)
    fig.update_xaxes(range=[-0.05, 1.08], row=1, col=2)
    fig.update_yaxes(range=[-0.05, 1.08], row=1, col=2)
    fig.update_yaxes(range=[0, 5], row=1, col=3)
    fig.update_layout(margin={"t": 110})
    return fig


def draw_knowledge(result: Knowledge) -> go.Figure:
    fig = draw.panels(
        [("log n / d", "angle of the cone Θ_tot"), ("log n / d", "energy of conditional OT ÷ minimum")],
        log_x=[True, True],
        titles=["π/2: the straight path is optimal", "What conditional OT gives away"],
        height=470,
    )
    for (d, total), color in zip(result.total.items(), (ORANGE, GREEN, SKY, BLUE), strict=True):
        many = result.points[: total.size] > 1
        x = np.log(result.points[: total.size])[many] / d
        angle = draw.points(x, total[many], f"d = {d} ± 2 SE", color, standard_error=result.spread[d][many])
        fig.add_trace(angle.update(mode="lines+markers", line={"color": color}), row=1, col=1)
        ratio = draw.points(x, result.gain[d][many], f"d = {d}", color, showlegend=False)
        fig.add_trace(ratio.update(mode="lines+markers", line={"color": color}), row=1, col=2)
    span = np.array([0.004, 4.0])
    fig.add_trace(draw.guide(span, np.full(2, np.pi / 2), "π/2"), row=1, col=1)
    fig.add_trace(draw.guide(span, np.ones(2), "1", showlegend=False), row=1, col=2)
    fig.update_xaxes(range=[np.log10(0.004), np.log10(4)])
    fig.update_yaxes(range=[0, 1.75], row=1, col=1)
    fig.update_yaxes(range=[0.8, 3.5], row=1, col=2)
    return fig


def draw_step_curve(result: StepCurve) -> go.Figure:
    fig = draw.figure(
        "Euler steps", "W₁ of the endpoints to the data", log_x=True, log_y=True, x_range=(0.9, 72), y_range=(1e-5, 10), height=480
    )
    for (name, error), color in zip(result.error.items(), (GRAY, SKY, ORANGE, VERMILLION, BLUE), strict=True):
        width = 4.0 if name.startswith("chosen") else 2.0
        line = draw.line(result.steps[: error.size], error, name, color, width=width)
        fig.add_trace(line.update(mode="lines+markers", marker={"color": color, "size": 6}))
    k = np.array([1.0, 64.0])
    fig.add_trace(draw.guide(k, 0.5 / k, "slope −1"))
    return fig


PROCESSES = {"linear": GRAY, "learned": BLUE}


def draw_learned_forward(result: LearnedForward) -> go.Figure:
    fig = draw.panels(
        [("time t", "z"), ("time t", "z"), ("Euler steps", "W₁ of the endpoints")],
        titles=["From data points to noise", "The flow of all data", "Error of a few steps"],
        log_x=[False, False, True],
        log_y=[False, False, True],
        widths=[0.34, 0.34, 0.32],
        height=500,
        gap=0.1,
    )
    for name, color in PROCESSES.items():
        is_plain = name == "linear"
        for col, paths in ((1, result.forward[name]), (2, result.flow[name])):
            lines = draw.strokes(result.time, paths.T, color, 1.3 if is_plain else 1.8)
            fig.add_trace(lines.update(line_dash="dot" if is_plain else "solid"), row=1, col=col)
        curve = draw.line(result.steps, result.w1[name], name, color, width=3)
        fig.add_trace(curve.update(mode="lines+markers", marker={"color": color, "size": 7}), row=1, col=3)
    x, y = draw.broken(result.euler_time, result.euler["learned"][:, ::2].T)
    style = {"mode": "lines+markers", "line": {"color": VERMILLION, "width": 1.2, "dash": "dot"}, "marker": {"size": 5}}
    fig.add_trace(go.Scatter(x=x, y=y, name=f"{result.euler_time.size - 1} Euler steps, learned", **style), row=1, col=2)
    for col in (1, 2):
        fig.update_xaxes(range=[-0.03, 1.03], row=1, col=col)
        fig.update_yaxes(range=[-result.reach, result.reach], row=1, col=col)
    fig.update_xaxes(range=[np.log10(0.85), np.log10(38)], row=1, col=3)
    fig.update_yaxes(range=[-3.2, 0.2], row=1, col=3)
    return fig


WORDS = r"""
A flow carries noise to data along $x_t=(1-t)z+tx$ with the velocity $v=\mathbb E[x-z\mid x_t]$. It is straight where $x-z$ is known from $x_t$:

**Couplings** (292). The curvature $\int\mathbb E\,\mathrm{Var}(x-z\mid x_t)\,dt=\mathbb E|x-z|^2-\int\mathbb E|v|^2dt$ depends on how
noise and data are paired. Here $z=\rho\,T(x)+\sqrt{1-\rho^2}\,\xi$ with $T(x)=\Phi^{-1}(F(x))$, which keeps both laws: $\rho=0$ pairs at
random, $\rho=1$ is the monotone pairing that *one reflow* gives on the line, and $\rho=\sqrt{1-b^2}$ is the *annealed* reflow of level $b$
(101). Between $N(0,1)$ and $N(0,s^2)$ it is exactly
$$s\,\varphi\sin\varphi,\qquad\varphi=\arccos\rho .$$

**Schedules** (109). For $x_t=a x_1+m x_0$ and data of unit second moment the kinetic energy $\int\mathbb E|v|^2/d$ is that of a path in a
metric. With $a=r\sin p$, $m=r\cos p$, $\lambda(q)=\mathbb E|\mathbb E[x_1\mid qx_1+x_0]|^2/d$ it is
$$dr^2+r^2h(p)^2dp^2,\qquad h^2=\frac{\lambda(\tan p)-\sin^2p}{\cos^2p},$$
a flat cone of angle $\Theta=\int h\,dp$. Unrolled, the schedule of least energy is a straight line, of energy $2-2\cos\Theta_{tot}$; among
variance preserving ones, an arc run at even speed, of energy $\Theta_{tot}^2$. Gaussian data have $h=0$: then VP schedules cost nothing.
When many dimensions let the noise hide little ($\log n/d\to0$), $\Theta_{tot}\to\pi/2$ and conditional OT is optimal.

**Learned forward process** (228). How data dissolve into noise is fitted: $z_t=tx+t(1-t)\,m(x,t)+\sigma_t(x)e$ with
$\sigma_t(x)=(1-t+\delta t)\,e^{t(1-t)n(x,t)}$, $\delta=0.05$, and $m$, $n$ sums of radial basis functions times two Legendre polynomials of time; the
linear process has $m=n=0$. With the conditional velocity $f$ and score $s$ the flow is $v=\mathbb E[f\mid z_t]$ and, for the best diffusion
at each time, the likelihood bound is
$$-\mathbb E\log p\le\tfrac12\log 2\pi e\delta^2+\tfrac12\int\Big(C_{fs}+\sqrt{V_f V_s}\Big)dt,$$
$V$ and $C$ the mean posterior variances and covariance. BFGS lowers bound $+\lambda\int\mathbb E|\partial_tv+v\,\partial_zv|^2dt$. With exact posteriors
the linear process already has the least bound, the entropy of $x+\delta e$, so here straightness is bought with a little likelihood; the gains in likelihood that 228 reports
are those of trained networks, which this view does not have. With noise independent of data $v$ at $t=0$ is linear in $z$: no such process is quite straight
unless the data are Gaussian. $W_1$ is to the law of $x+\delta e$.

**What is exact.** Flow lines keep the level of every particle on the line, so they are quantiles, not integrations; curvature between
Gaussians, $\lambda$ of mixtures (Gauss–Hermite), the optimal schedule. Other couplings sum over 240 cells of the data, each followed linearly.
Finite sets are Monte Carlo over 128 observations. Euler errors use evenly placed starts and have no sampling noise.

**Where it stops being true.** Curvature falls towards $\rho=-1$ too. There $x_t$ passes through nearly a point: a single step mirrors the
noise and is right in law where the data are symmetric, yet two steps stop at the point and fail. Little curvature is no promise for an integrator. One reflow is perfect on the line only; in the plane reflow must be repeated. No network and no
student is trained: of 101 only the annealed pairing is shown, and 228 plugs a
predicted $x$ into the conditional drift where here the drift is averaged by a grid of 120 points.
"""

LAB = Lab(
    title="Straight flows",
    question="What makes a generative flow straight?",
    views=[
        View(
            "Flow lines",
            "sampler",
            flow,
            draw_flow,
            "Press play. Paired at random, the flow must bend and a few Euler steps (red) miss the data; paired with correlation it is nearly straight.",
            controls=("rho", "data", "nfe", "data_scale"),
        ),
        View(
            "Curvature",
            "phase diagram",
            bending,
            draw_bending,
            "Dark flows are straight. White: the error of a single Euler step. It vanishes at ρ = −1 as well, where one step mirrors the noise; two steps then fail.",
            controls=("rho", "data_scale", "data"),
            click=("rho", "data_scale"),
        ),
        View(
            "Schedules on a cone",
            "geometry",
            schedules,
            draw_schedules,
            "The same schedules twice: unrolled, the cheapest is a straight line (red) and spends its energy evenly.",
            controls=("source", "data", "n_points", "dimension"),
        ),
        View(
            "Error against steps",
            "scaling curve",
            step_curve,
            draw_step_curve,
            "Every coupling has slope −1; correlation lowers the line, and after a reflow a single step is as good as sixty-four.",
            controls=("rho", "data", "data_scale"),
        ),
        View(
            "Learned forward process",
            "trajectory",
            learned_forward_process,
            draw_learned_forward,
            "Gray: the linear process. Blue: fitted. Data leave for noise on bent ways (left) so that the flow back is nearly straight (middle) and few steps suffice (right).",
            controls=("data", "learned", "bending_weight", "n_basis", "nfe", "iterations"),
        ),
        View(
            "Many points, many dimensions",
            "scaling curve",
            knowledge,
            draw_knowledge,
            "Left end: few points for the dimension, the cone's angle nears π/2 and conditional OT cannot be improved.",
        ),
    ],
    presets={
        "Independent pair": {"rho": 0.0, "data": "Gaussian", "view": "Curvature"},
        "Straight by coupling": {"rho": 0.99, "view": "Flow lines"},
        "One reflow is enough in 1-D": {"rho": 1.0, "nfe": 1, "view": "Flow lines"},
        "Paired the wrong way round": {"rho": -0.9, "nfe": 4, "view": "Flow lines"},
        "Gaussian data, VP costs nothing": {"data": "Gaussian", "source": "the line", "view": "Schedules on a cone"},
        "High dimension, straight line wins": {
            "source": "finite set",
            "n_points": 50,
            "dimension": 500,
            "view": "Schedules on a cone",
        },
        "Many points, few dimensions": {"source": "finite set", "n_points": 500, "dimension": 5, "view": "Schedules on a cone"},
        "Bend the way there, straighten the way back": {"bending_weight": 1.0, "nfe": 2, "view": "Learned forward process"},
        "A learned mean alone": {"learned": "mean", "view": "Learned forward process"},
        "Likelihood alone: stay linear": {"bending_weight": 0.0, "iterations": 10, "view": "Learned forward process"},
        "Five modes, four steps": {"data": "five modes", "rho": 0.95, "nfe": 4, "view": "Flow lines"},
    },
    words=WORDS,
    papers={"292": "own object", "109": "own object", "101": "miniature", "228": "miniature"},
)
