"""What does a velocity buy?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.phase_space_diffusion import (
    DampingMap,
    EarlyEstimate,
    OrderStudy,
    PhaseFlow,
    StabilityMap,
    damping_map,
    early_estimate,
    order_study,
    phase_flow,
    stability_map,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, PURPLE, SKY, VERMILLION

HUES = PALETTE[:6]
EVALUATIONS = "evaluations of the score"


N_SHOWN = 300


def draw_phase_flow(run: PhaseFlow) -> go.Figure:
    fig = draw.panels(
        [("position x", "momentum m/√M"), ("position x", "density")],
        titles=[f"{run.integrator}, {run.evaluations} evaluations", "Position: particles and exact law"],
        widths=[0.58, 0.42],
        height=560,
    )
    for k, color in enumerate(HUES[:3]):
        chosen = np.flatnonzero(run.mode == k)[:3]
        fig.add_trace(draw.strokes(run.x[:, chosen].T, run.momentum[:, chosen].T, color, 1), row=1, col=1)
    # A browser takes longest over dots: the picture shows some of the particles, the histogram counts all.
    x, momentum = run.x[:, :N_SHOWN], run.momentum[:, :N_SHOWN]
    marker = draw.grouped(run.mode[:N_SHOWN] % len(HUES), HUES, 4)
    cloud = {"mode": "markers", "marker": marker, "showlegend": False, "name": "particles"}
    last = len(run.time) - 1
    fig.add_trace(go.Scatter(x=x[last], y=momentum[last], **cloud), row=1, col=1)
    outline = draw.line(*run.ellipses[last], "exact law, 2 s.d. of each component", GRAY, width=1.6)
    fig.add_trace(outline, row=1, col=1)
    fig.add_trace(draw.line(run.curve, run.exact[-1], "exact density of x", BLUE), row=1, col=2)
    bins = draw.points(run.centers, run.density[-1], "particles ± 2 SE", BLUE, size=5)
    fig.add_trace(bins, row=1, col=2)
    bars = {"mode": "lines", "line": {"color": BLUE, "width": 1.3}, "hoverinfo": "skip", "showlegend": False}
    fig.add_trace(go.Scatter(**_bars(run, len(run.time) - 1), **bars), row=1, col=2)
    across = {"range": list(run.limits)}
    top = 1.25 * min(max(run.exact.max(), run.density[-1].max()), 3 * run.exact.max())
    fig.update_layout(xaxis=across, xaxis2=across, yaxis={"range": [-3.6, 3.6]}, yaxis2={"range": [0, top]})
    frames = [
        [
            {"x": x[k], "y": momentum[k]},
            {"x": run.ellipses[k][0].astype(np.float32), "y": run.ellipses[k][1].astype(np.float32)},
            {"x": run.curve, "y": run.exact[k].astype(np.float32)},
            {"x": run.centers, "y": run.density[k]},
            _bars(run, k),
        ]
        for k in range(last + 1)
    ]
    labels = [f"{t:.3g}" for t in run.time]
    return draw.movie(fig, frames, labels, traces=range(3, 8), prefix="forward time t = ", milliseconds=max(70, 2500 // (last + 1)))


def _bars(run: PhaseFlow, k: int) -> dict[str, np.ndarray]:
    return draw.stems(run.centers, run.density[k] - 2 * run.density_error[k], run.density[k] + 2 * run.density_error[k])


def draw_damping_map(result: DampingMap) -> go.Figure:
    fig = draw.panels(
        [("friction ν", "inverse mass 1/M"), ("time t", "mean path from x = 1, m = 0")],
        log_y=[True, False],
        titles=["Spectral gap ÷ (β/2)", "How a displacement relaxes"],
        widths=[0.56, 0.44],
        gap=0.2,
    )
    template = "ν %{x:.2f}<br>1/M %{y:.3g}<br>gap %{z:.3f}<extra></extra>"
    trace = draw.heatmap(result.friction, result.inverse_mass, result.gap, "", hovertemplate=template)
    trace.update(colorbar={"x": 0.465, "xanchor": "left"})
    fig.add_trace(trace, row=1, col=1)
    fig.add_trace(draw.boundary(*result.critical, "", at=0.5).update(mode="lines", text=None, hoverinfo="skip"), row=1, col=1)
    x, y = result.critical
    if x.size:
        near = int(np.abs(x - 4).argmin())
        words = draw.on_map(float(x[near]), 0.55 * float(y[near]), "critical: 1/M = (ν − Γ)²/4", size=13)
        fig.add_trace(words.update(textposition="middle right"), row=1, col=1)
    fig.add_trace(draw.on_map(1.3, 9.0, "underdamped"), row=1, col=1)
    fig.add_trace(draw.on_map(6.4, 0.18, "overdamped"), row=1, col=1)
    fig.add_trace(draw.line(result.time, result.response, "position", BLUE), row=1, col=2)
    fig.add_trace(draw.line(result.time, result.impulse, "momentum m/√M", VERMILLION), row=1, col=2)
    fig.add_trace(draw.guide(result.time, result.envelope, "e<sup>−gap·t</sup>"), row=1, col=2)
    fig.update_xaxes(range=[0.1, 8], row=1, col=1)
    fig.update_yaxes(range=[-1, np.log10(16)], row=1, col=1)
    fig.update_xaxes(range=[0, 1], row=1, col=2)
    fig.update_yaxes(range=[-1.05, 1.1], row=1, col=2)
    return fig


INTEGRATOR_HUES = {
    "symmetric split": VERMILLION,
    "reduced split": BLUE,
    "naive split": SKY,
    "conjugate": GREEN,
    "euler": GRAY,
}
PROCESS_HUES = {
    "VP, DDIM": GRAY,
    "VP, Heun": ORANGE,
    "CLD (Γ = 0)": SKY,
    "PSLD": BLUE,
    "bridge, SDE": VERMILLION,
    "bridge, ODE": PURPLE,
}


def draw_order_study(result: OrderStudy) -> go.Figure:
    fig = draw.panels(
        [(EVALUATIONS, "endpoint error ÷ data s.d."), (EVALUATIONS, "W₁ to the data")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Integrators of PSLD", f"Processes (phase space: {result.chosen})"],
        height=600,
    )
    for curve in result.integrators:
        label = curve.name + (f": order {curve.order:.1f}" if curve.order else "")
        width = 4 if curve.name == result.chosen else 2
        trace = draw.line(curve.evaluations, curve.endpoint, label, INTEGRATOR_HUES[curve.name], width=width)
        fig.add_trace(trace.update(mode="lines+markers", marker={"size": 5}), row=1, col=1)
    x = np.array([10.0, 250.0])
    for slope, level in ((1, 0.09), (2, 0.0012)):
        fig.add_trace(draw.guide(x[[0, 1]], level * (x / 250.0) ** -slope, f"slope −{slope}", showlegend=False), row=1, col=1)
        fig.add_annotation(x=np.log10(262), y=np.log10(level), text=f"−{slope}", showarrow=False, xanchor="left", row=1, col=1)
    low, high = max(result.floor - 2 * result.floor_spread, 0.3 * result.floor), result.floor + 2 * result.floor_spread
    fig.add_trace(draw.band(x, np.full(2, low), np.full(2, high), "W₁ of exact samples", GRAY), row=1, col=2)
    for curve in result.processes:
        color = PROCESS_HUES[curve.name]
        trace = draw.points(curve.evaluations, curve.w1, curve.name, color, standard_error=curve.w1_error, size=5)
        fig.add_trace(trace.update(mode="lines+markers", line={"color": color, "width": 2}), row=1, col=2)
    fig.update_xaxes(range=[np.log10(6), np.log10(330)])
    fig.update_yaxes(range=[-3.5, 1.3], row=1, col=1)
    fig.update_yaxes(range=[-1.6, 0.6], row=1, col=2)
    fig.update_layout(legend={"y": -0.2, "yanchor": "top"}, margin={"t": 40, "b": 150})
    return fig


def draw_stability_map(result: StabilityMap) -> go.Figure:
    fig = draw.figure("conjugate shift λ", EVALUATIONS, log_y=True, x_range=(-2, 2), y_range=(8, 180))
    trace = draw.heatmap(
        result.conjugate_lambda,
        result.nfe,
        np.log10(result.error),
        "log₁₀ endpoint error ÷ data s.d.",
        zmin=-1.5,
        zmax=1,
        hovertemplate="λ %{x:.2f}<br>evaluations %{y}<br>log₁₀ error %{z:.2f}<extra></extra>",
    )
    fig.add_trace(trace)
    # The exact law of one step has spectral radius 1; a thousandth above it keeps rounding off the line.
    unstable = go.Contour(
        x=result.conjugate_lambda,
        y=result.nfe,
        z=np.log10(result.radius),
        contours={"start": 5e-4, "end": 5e-4, "size": 1, "coloring": "none"},
        line={"color": "#ffffff", "width": 2.5},
        showscale=False,
        hoverinfo="skip",
        name="one-step spectral radius 1",
    )
    fig.add_trace(unstable)
    fig.add_trace(draw.points(result.best_lambda, result.nfe, "best λ at each budget", VERMILLION, size=9))
    fig.update_layout(showlegend=False)
    return fig


def draw_early_estimate(run: EarlyEstimate) -> go.Figure:
    fig = draw.panels(
        [("x₁", "x₂"), ("time t", "correlation of estimate and end")],
        titles=[f"{run.sampler}, {run.evaluations} evaluations", "How early the end is known"],
        widths=[0.52, 0.48],
        height=580,
    )
    at = int(np.abs(run.time - 0.3).argmin())
    fig.add_trace(go.Scatter(**_guesses(run, at), mode="markers", name="estimate of the end", showlegend=True), row=1, col=1)
    fig.data[0].marker = draw.grouped(run.mode % len(HUES), HUES, 6, symbol="circle-open", opacity=0.7)
    arrow = {"mode": "lines", "line": {"color": GRAY, "width": 1}, "hoverinfo": "skip", "name": "velocity × 0.15"}
    fig.add_trace(go.Scatter(**_arrows(run, at), **arrow), row=1, col=1)
    cloud = {"mode": "markers", "marker": draw.grouped(run.mode % len(HUES), HUES, 4), "name": "particles"}
    fig.add_trace(go.Scatter(x=run.position[at, :, 0], y=run.position[at, :, 1], **cloud), row=1, col=1)
    fig.add_trace(draw.line([run.time[at]] * 2, [0, 1.05], "now", GRAY, dash="dot", width=1.5, showlegend=False), row=1, col=2)
    fig.add_trace(draw.line(run.curve_time, run.exact, "position and velocity, exact", BLUE), row=1, col=2)
    fig.add_trace(draw.line(run.curve_time, run.still, "no velocity, exact", ORANGE, dash="dash"), row=1, col=2)
    seen = draw.points(run.time, run.spread, "particles ± 2 SE", BLUE, standard_error=run.spread_error, size=5)
    fig.add_trace(seen, row=1, col=2)
    own = draw.line(run.time, run.own, "with the particle's own end", GREEN, width=1.8)
    fig.add_trace(own, row=1, col=2)
    draw.mark_y(fig, 0.9, "0.9", col=2)
    fig.update_xaxes(range=[-run.reach, run.reach], row=1, col=1)
    fig.update_yaxes(range=[-run.reach, run.reach], row=1, col=1)
    fig.update_xaxes(range=[0, 1], row=1, col=2)
    fig.update_yaxes(range=[0, 1.05], row=1, col=2)
    frames = [
        [
            _guesses(run, k),
            _arrows(run, k),
            {"x": run.position[k, :, 0], "y": run.position[k, :, 1]},
            {"x": [run.time[k]] * 2, "y": [0, 1.05]},
        ]
        for k in range(len(run.time))
    ]
    labels = [f"{t:.2f}" for t in run.time]
    fig.update_layout(legend={"y": 1.1})
    return draw.movie(fig, frames, labels, traces=range(4), at=at, prefix="t = ", milliseconds=max(70, 2500 // len(labels)))


def _guesses(run: EarlyEstimate, k: int) -> dict[str, np.ndarray]:
    return {"x": run.estimate[k, :, 0], "y": run.estimate[k, :, 1]}


def _arrows(run: EarlyEstimate, k: int) -> dict[str, np.ndarray]:
    """A short segment along the velocity of each of the first 150 particles."""
    foot, tip = run.position[k, :150], run.position[k, :150] + 0.15 * run.velocity[k, :150]
    x, y = draw.broken(*np.stack([foot, tip], axis=1).T.swapaxes(1, 2))
    return {"x": x, "y": y}


WORDS = r"""
**Phase space** (147). Noise enters through a momentum: in each coordinate $z=(x,m)$,
$$dz=\tfrac{\beta}{2}\begin{pmatrix}-\Gamma&1/M\\-1&-\nu\end{pmatrix}z\,dt+\sqrt\beta\begin{pmatrix}\sqrt\Gamma&0\\0&\sqrt{M\nu}\end{pmatrix}dW,$$
stationary at $N(0,1)\times N(0,M)$ for all $\Gamma,\nu\ge0$. Drift eigenvalues are $\tfrac{\beta}{2}\lambda$,
$\lambda=-\tfrac{\Gamma+\nu}{2}\pm\tfrac12\sqrt{(\Gamma-\nu)^2-4/M}$: they meet at critical damping $1/M=(\Gamma-\nu)^2/4$, where at a
given mass the gap is largest. $\Gamma=0$ is CLD. Here $\beta=8$, $T=1$, and $m$ starts at variance $0.04M$. Data are three modes on the
line, so that the score in $(x,m)$ is an exact mixture of two-dimensional Gaussians; the times are even in $\sqrt t$.

**Integrators** (207) of $\dot z=Fz-\tfrac12GG^\top s$. *Naive split*: move $x$ with $m$ held, then $m$. *Symmetric split*: half of $m$,
$x$, half of $m$, each a midpoint step: order 2 for six scores. *Reduced split*: the same with Euler substeps, of which the first
two share one score: order 1 in the end, two scores. *Stochastic split*: an exact noise step of the reverse SDE, then both parts.
*Conjugate*: Euler for $\hat z=e^{(B-F)t}z$ with the score's integral done exactly,
$\hat z'=\hat z+h\,ABA^{-1}\hat z+(\Phi'-\Phi)\epsilon$, $\epsilon=-L^\top s$; $B=0$ is the exponential (DDIM-type) integrator. Here
$B=\tfrac{\beta}{2}\lambda I$ or $\tfrac\beta2\lambda\mathbf 1\mathbf 1^\top$.

**Orders.** Endpoint error is the mean distance to a fine RK4 run from the same start. Orders are fitted to the last four budgets; near the
ridge between modes they are reached late. The right panel is the distance to the data and so has a noise floor.

**Stability.** On Gaussian data every conjugate step is a matrix. In units of the exact law the exact flow is a rotation, so that a
one-step spectral radius above 1 (beyond the white line) is growth the flow does not have.

**Phase bridge** (128). $dx=v\,dt$, $dv=a\,dt+g\,dW$ with $a=\tfrac4\tau\left(\tfrac{x_1-x}{\tau}-v\right)$, $\tau=1-t$, ends at $x_1$. The
sampler puts the posterior mean $\hat x_1(x,v,t)$ for $x_1$; the ODE subtracts $\tfrac{g^2}{2}\partial_v\log p$. The point a particle aims
at, $p=x+\tau v=(1-\tau^4)x_1+\tau^4(x_0+v_0)+\text{noise}$, shows what the velocity buys: $x$ learns of $x_1$ as $2t^2$, $v$ as $4t$. Blue
line: $\sqrt{\mathrm{Var}\,\hat x_1/\mathrm{Var}\,x_1}$, the exact correlation; orange: a straight line $(1-t)x_0+tx_1$ without velocity.

**Where it stops being true.** Scores are exact; the image gains of momentum came with networks. At few evaluations VP with a plain ODE solver is
ahead here. What stops it is the start: at the same $\beta$ and $T$ it forgets the data at rate $\beta/2$, phase space near critical damping about
twice as fast, and the mean that VP has not forgotten stays as an error that no solver removes (a longer $T$ would). Knowing the end early is not the same as needing fewer steps: time $t$ of the bridge and of the
straight line are different clocks. States that run away are held at $10^6$. The bridge's acceleration is singular at $\tau=0$: it stops
at $\tau=1/n^2$ and returns $\hat x_1$.
"""

LAB = Lab(
    title="Phase-space diffusion",
    question="What does a velocity buy?",
    views=[
        View(
            "Reverse flow in phase space",
            "sampler",
            phase_flow,
            draw_phase_flow,
            "Press play. Particles swirl from noise to the three modes; color is the mode reached. Gray: the exact law of that moment, two "
            "standard deviations of each component. A bad integrator leaves it.",
            controls=("integrator", "nfe", "friction", "inverse_mass", "gamma", "separation"),
        ),
        View(
            "Damping",
            "phase diagram",
            damping_map,
            draw_damping_map,
            "Bright is fast mixing. On a row (one mass) the gap peaks on the white parabola: too little friction rings, too much creeps.",
            controls=("friction", "inverse_mass", "gamma"),
            click=("friction", "inverse_mass"),
        ),
        View(
            "Early estimate",
            "trajectory",
            early_estimate,
            draw_early_estimate,
            "Left, a phase bridge: dots with their velocities, open circles where each believes it will end. Right, how soon that belief is true.",
            controls=("bridge_noise", "start_correlation", "nfe", "bridge_sampler", "separation"),
        ),
        View(
            "Error against evaluations",
            "scaling curve",
            order_study,
            draw_order_study,
            "Left, how fast integrators approach the exact endpoint; right, what of it is visible above the sampling noise (gray).",
            controls=("integrator", "gamma", "friction", "inverse_mass", "separation", "bridge_noise"),
        ),
        View(
            "Conjugate stability",
            "phase diagram",
            stability_map,
            draw_stability_map,
            "Dark is accurate. Beyond the white line a step grows states that the exact flow only rotates. Dots: the best shift at each budget.",
            controls=("conjugate_lambda", "nfe", "conjugate_matrix", "friction", "inverse_mass"),
            click=("conjugate_lambda", "nfe"),
        ),
    ],
    presets={
        "Critical damping": {"gamma": 0.01, "friction": 4.01, "inverse_mass": 4.0, "view": "Damping"},
        "Underdamped": {"friction": 1.0, "inverse_mass": 16.0, "view": "Damping"},
        "Overdamped": {"friction": 8.0, "inverse_mass": 1.0, "view": "Damping"},
        "CLD": {"gamma": 0.0, "friction": 4.0, "inverse_mass": 4.0, "view": "Reverse flow in phase space"},
        "Too few steps for the symmetric split": {
            "integrator": "symmetric split",
            "nfe": 25,
            "view": "Reverse flow in phase space",
        },
        "Bridge in 5 steps": {"nfe": 5, "view": "Early estimate"},
        "Bridge in 60 steps": {"nfe": 60, "view": "Early estimate"},
        "Conjugate instability": {"conjugate_lambda": 2.0, "nfe": 16, "view": "Conjugate stability"},
    },
    words=WORDS,
    papers={"147": "own object", "207": "own object", "128": "own object"},
)
