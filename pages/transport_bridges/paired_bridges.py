"""From this x to its y, with how many evaluations?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.transport_bridges.paired_bridges import (
    Booting,
    Errors,
    Evaluations,
    Fan,
    NoiseMap,
    Raster,
    Substitution,
    booting,
    errors,
    evaluations,
    fan,
    noise_map,
    raster,
    substitution,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILLION, faded

ORDER_HUES = {1: VERMILLION, 2: BLUE, 3: GREEN}
PROCESS_HUES = {"bridge": BLUE, "absorbing": VERMILLION, "uniform": GREEN}
STEPS_AXIS = "evaluations N"


def draw_fan(result: Fan) -> go.Figure:
    fig = draw.panels(
        [("time t", "state x"), ("density", "")],
        titles=["From the input to its answers", "Ends and exact law"],
        widths=[0.74, 0.26],
        height=480,
        gap=0.05,
    )
    heat = draw.heatmap(result.map_time, result.map_state, result.law.astype(np.float32), "", showscale=False)
    heat.update(hoverinfo="skip")
    fig.add_trace(heat, row=1, col=1)
    for is_upper, hue in ((True, VERMILLION), (False, SKY)):
        x, y = draw.broken(result.time, result.paths[result.upper == is_upper])
        style = {"mode": "lines", "line": {"color": faded(hue, 0.9), "width": 1.3}, "hoverinfo": "skip", "showlegend": False}
        fig.add_trace(go.Scatter(x=x.astype(np.float32), y=y.astype(np.float32), **style), row=1, col=1)
    bars = go.Bar(x=result.histogram, y=result.bins, orientation="h", name="ends of 1,000 runs", marker={"color": faded(GRAY, 0.5)})
    fig.add_trace(bars, row=1, col=2)
    fig.add_trace(draw.line(result.density, result.x, "exact law given the input", BLUE), row=1, col=2)
    limits = [float(result.map_state[0]), float(result.map_state[-1])]
    fig.update_xaxes(range=[1.005, 0], showgrid=False, row=1, col=1)
    fig.update_yaxes(range=limits, showgrid=False, row=1, col=1)
    fig.update_xaxes(range=[0, 1.6 * float(result.density.max())], row=1, col=2)
    fig.update_yaxes(range=limits, row=1, col=2)
    fig.update_layout(bargap=0)
    return fig


def draw_evaluations(result: Evaluations) -> go.Figure:
    fig = draw.panels(
        [(STEPS_AXIS, "distance from the exact path"), (STEPS_AXIS, "W₁ to the law given the input")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Error of the steps, η = 0", "Error of the outputs"],
        height=490,
    )
    for order, hue in ORDER_HUES.items():
        name = f"order {order}"
        steps = draw.line(result.n[1:], result.step_error[order][1:], f"{name}, slope {result.slopes[order]:.2f}", hue)
        fig.add_trace(steps.update(mode="lines+markers", legendgroup=name), row=1, col=1)
        law = draw.line(result.n, result.w1[name], name, hue, legendgroup=name, showlegend=False)
        fig.add_trace(law.update(mode="lines+markers"), row=1, col=2)
    random = draw.points(result.n, result.w1[f"eta {result.eta:.2g}"], f"order 1, η = {result.eta:.2g}, 3,000 runs", PURPLE)
    fig.add_trace(random.update(mode="lines+markers", line={"width": 1.2}), row=1, col=2)
    fig.add_trace(draw.line(result.n, result.w1["no boot noise"], "no boot noise", GRAY), row=1, col=2)
    fig.add_trace(draw.guide(result.n, np.full(result.n.size, result.limit), "left by the boot step"), row=1, col=2)
    noise = draw.line(result.n, np.full(result.n.size, result.floor), "noise floor of 3,000 runs", PURPLE, dash="dot", width=1.5)
    fig.add_trace(noise, row=1, col=2)
    fig.update_xaxes(range=[0.22, 2.18])
    fig.update_yaxes(range=[-5.2, 0.6], row=1, col=1)
    fig.update_yaxes(range=[-3, 0.6], row=1, col=2)
    return fig


def draw_booting(result: Booting) -> go.Figure:
    fig = draw.figure(
        "1 − t₁: how far the boot step goes",
        "W₁ to the law given the input",
        log_x=True,
        log_y=True,
        x_range=(0.0009, 0.6),
        y_range=(1e-3, 1.5),
        height=470,
    )
    for (n, w1), hue in zip(result.w1.items(), (ORANGE, VERMILLION, BLUE, GREEN), strict=True):
        fig.add_trace(draw.line(result.gap, w1, f"{n} evaluations", hue).update(mode="lines+markers"))
    fig.add_trace(draw.guide(result.gap, result.limit, "left by the boot step"))
    draw.mark_x(fig, 1 - result.boot_time, "yours")
    return fig


def draw_noise_map(result: NoiseMap) -> go.Figure:
    fig = draw.figure(STEPS_AXIS, "boot time t₁", log_x=True, x_range=(2, 200), y_range=(0.5, 0.999), height=480)
    hover = "N %{x}<br>t₁ %{y:.3f}<br>best η %{z:.2f}<extra></extra>"
    best = result.best.astype(np.float32)
    fig.add_trace(draw.heatmap(result.n, result.boot_time, best, "best η", zmin=0, zmax=1, hovertemplate=hover))
    here = np.isfinite(result.edge)
    fig.add_trace(draw.boundary(result.edge[here], result.boot_time[here], ""))
    fig.add_trace(draw.on_map(5, 0.9, "every evaluation counts: η = 0"))
    fig.add_trace(draw.on_map(75, 0.56, "noise mends the boot step", color="#24292f"))
    return fig


def draw_raster(result: Raster) -> go.Figure:
    fig = draw.panels(
        [("source x", "target y"), ("time t", "chain"), ("time t", "probability")],
        titles=["p(y | x)", "120 chains, colored by category", "Where a chain is"],
        widths=[0.28, 0.37, 0.35],
        height=450,
        gap=0.09,
    )
    labels = list(result.joint.labels)
    size = len(labels)
    heat = draw.heatmap(np.arange(size), np.arange(size), result.joint.target.T.astype(np.float32), "", zmin=0, showscale=False)
    fig.add_trace(heat, row=1, col=1)
    if result.joint.n_pairs:
        ticks = {"tickvals": list(range(size)), "ticktext": labels} if size <= 16 else {}
        fig.update_xaxes(**ticks, row=1, col=1)
        fig.update_yaxes(**ticks, row=1, col=1)
    chains = draw.heatmap(result.time, np.arange(result.states.shape[1]), result.states.T, "", zmin=0, zmax=size - 1)
    chains.update(showscale=False, hovertemplate="t %{x:.2f}<br>category %{z}<extra></extra>")
    fig.add_trace(chains, row=1, col=2)
    fig.update_yaxes(showticklabels=False, ticks="", row=1, col=2)
    fig.add_trace(draw.line(result.step_time, result.at_source, "at its source, exact", BLUE), row=1, col=3)
    some = slice(None, None, max(1, result.time.size // 25))
    error = result.simulated_error[some]
    points = draw.points(result.time[some], result.simulated[some], "120 chains ± 2 SE", BLUE, standard_error=error, size=5)
    fig.add_trace(points, row=1, col=3)
    fig.add_trace(draw.line(result.step_time, result.pinned, "at y, were it pinned there", VERMILLION, dash="dash"), row=1, col=3)
    fig.update_yaxes(range=[-0.02, 1.02], row=1, col=3)
    fig.update_xaxes(range=[0, 1], row=1, col=3)
    for col in (1, 2):
        fig.update_xaxes(showgrid=False, row=1, col=col)
        fig.update_yaxes(showgrid=False, row=1, col=col)
    return fig


def draw_errors(result: Errors) -> go.Figure:
    fig = draw.panels(
        [("steps", "total variation of the joint law"), ("steps", "accuracy of the bridge")],
        log_x=[True, True],
        titles=["Asking again and again", "Most frequent of 10 outputs"],
        height=470,
    )
    for name, hue in PROCESS_HUES.items():
        dash = "dash" if name == "absorbing" else "solid"  # without errors all three lie on zero
        fig.add_trace(draw.line(result.n, result.tv[name], name, hue, dash=dash), row=1, col=1)
    for (k, share), hue in zip(result.top.items(), (BLUE, SKY), strict=True):
        shown = draw.points(result.top_n, share, f"top {k} ± 2 SE", hue, standard_error=result.top_error[k])
        fig.add_trace(shown, row=1, col=2)
        level = np.full(result.n.size, result.bayes[k])
        fig.add_trace(
            draw.line(result.n, level, f"best possible, top {k}", hue, dash="dot", width=1.5, showlegend=False), row=1, col=2
        )
    fig.add_annotation(
        x=2.35, y=max(result.bayes.values()), xref="x2", yref="y2", text="best possible", showarrow=False, yanchor="bottom", xanchor="right",
        font={"color": GRAY, "size": 12},
    )  # fmt: skip
    fig.update_xaxes(range=[-0.08, 2.38])
    fig.update_yaxes(range=[-0.01, max(0.3, 1.1 * max(float(tv.max()) for tv in result.tv.values()))], row=1, col=1)
    fig.update_yaxes(range=[0, 1.06], row=1, col=2)
    return fig


def draw_substitution(result: Substitution) -> go.Figure:
    fig = draw.figure(
        "steps", "share of spoiled strings", log_x=True, log_y=True, x_range=(0.9, 230), y_range=(1.5e-3, 1.2), height=470
    )
    shape = {"bridge": "∝ log n / n", "absorbing": "∝ 1/n"}
    for name, invalid in result.invalid.items():
        hue = PROCESS_HUES[name]
        fig.add_trace(draw.line(result.n, invalid, f"{name}, exact", hue, legendgroup=name))
        found = result.simulated[name]
        seen = found > 0
        error = result.simulated_error[name][seen]
        dots = draw.points(result.simulated_n[seen], found[seen], f"{name}, 2,000 strings ± 2 SE", hue, standard_error=error)
        fig.add_trace(dots.update(legendgroup=name))
        late = result.n >= 12
        fig.add_trace(draw.guide(result.n[late], result.shapes[name][late], shape[name], showlegend=False))
        fig.add_annotation(
            x=np.log10(64), y=np.log10(result.shapes[name][result.n == 64][0]), text=shape[name], showarrow=False,
            yanchor="top" if name == "absorbing" else "bottom", xanchor="right" if name == "absorbing" else "left", font={"color": GRAY, "size": 12},
        )  # fmt: skip
    return fig


WORDS = r"""
**A bridge pinned at its input** (269). Noise is pinned at $x_T$, and $x_0$ is one of the answers that $x_T$ allows:
$$x_t=a_tx_T+b_tx_0+c_tz,\quad a=\tfrac{\alpha_t}{\alpha_T}\tfrac{\mathrm{SNR}_T}{\mathrm{SNR}_t},\quad b=\alpha_t\Big(1-\tfrac{\mathrm{SNR}_T}{\mathrm{SNR}_t}\Big),\quad
c^2=\sigma_t^2\Big(1-\tfrac{\mathrm{SNR}_T}{\mathrm{SNR}_t}\Big).$$
With $D=\mathbb E[x_0\mid x_t,x_T]$, exact here, a step from $t$ to $s$ is
$$x_s=a_sx_T+b_sD+\sqrt{c_s^2-\rho^2}\,\frac{x_t-a_tx_T-b_tD}{c_t}+\rho z,\qquad\rho=\eta\,\sigma_s\sqrt{1-\mathrm{SNR}_t/\mathrm{SNR}_s}.$$
Every $\eta$ leaves the law of $x_t$ given both ends what it is; 1 is the reversed Markov bridge, 0 an ODE. In $u=(x_t-a_tx_T)/b_t$ all bridges are
one diffusion of level $c_t/b_t=(\mathrm{SNR}_t-\mathrm{SNR}_T)^{-1/2}$, so that the families differ in where a time lies on it, and methods of higher order extrapolate $D$
in its logarithm from past steps.

At $t=1$ all randomness is gone: the state is the input. The *boot step* draws the noise that the later ones need. Without it
the deterministic sampler is a single-valued map of $x_T$ and returns one answer, whatever there is to choose from. The boot step takes the
mean answer for the answer: an error of the first order in $1-t_1$ that more steps do not mend. Noise does: *When noise pays* has, exactly for a single
normal answer and steps of order 1, the $\eta$ whose outputs are as wide as they should be.

**A Markov bridge between categories** (185). From $z=x$ the pinned chain jumps to $y$, having stayed with probability $\bar\alpha_t$. The generator draws $y$ from $p(y\mid z,x)$
at each step. If that is exact, so is the output, for any entropy and any number of steps. If it errs, a chain that has arrived
is asked again at each step and may be sent away: more steps are worse, by about $\log T$. Absorbing diffusion told the source asks once.

**One substitution.** With several positions predicted independently, the exact answer at each position is not enough: two substitutions at once spoil
the string. Absorbing diffusion errs as $1/n$; the bridge as $\log n/n$, since it cannot tell a position that has settled unchanged from one that
has yet to jump.

**Theory and simulation.** Denoisers and laws are exact. Deterministic runs start at the quantiles of the boot noise, so that their errors carry no
sampling noise; stochastic ones are limited by the noise floor shown. Laws of categories are by transition matrices; points with bars are simulated.

**Your data**: a column of sources and one of targets; their frequencies take the place of $p(x,y)$, and the best possible accuracy comes with its interval.

**Where it stops being true.** $x$ is one number, its answers two normal laws; there is no network and no image. Order 3 starts with lower
orders, which shows in its slope. Predictions that err uniformly and independently at each step are the simplest kind: a network errs alike each
time. There is no chemistry: a string with one substitution stands in for a reaction.
"""

SETTING = ("bridge", "separation", "pairing_noise", "x_input", "boot_time")
CATEGORY = ("states", "coupling_entropy", "predictor_error", "steps", "pairs", "schedule")

LAB = Lab(
    title="Paired bridges",
    question="From this x to its y, with how many evaluations?",
    views=[
        View(
            "One input, its answers",
            "sampler",
            fan,
            draw_fan,
            "All paths leave the same input at t = 1; the boot noise decides which answer each reaches. Without it they are one path.",
            controls=("steps", "boot_noise", "eta", "order", "x_input", "separation"),
        ),
        View(
            "Evaluations",
            "scaling curve",
            evaluations,
            draw_evaluations,
            "Left: the steps' own error falls with the order. Right: what is left at many evaluations is the boot step's.",
            controls=(*SETTING, "eta"),
        ),
        View(
            "Where to boot",
            "scaling curve",
            booting,
            draw_booting,
            "A late boot is accurate and leaves a long way down; an early one leaves an error. Each budget has its best place.",
            controls=("order", *SETTING),
        ),
        View(
            "When noise pays",
            "phase diagram",
            noise_map,
            draw_noise_map,
            "Dark: the deterministic sampler is best. Beyond the line there are evaluations to spare, and noise mends what the boot step did.",
            controls=("steps", "boot_time", "eta", "pairing_noise", "bridge"),
            click=("steps", "boot_time"),
        ),
        View(
            "Categories",
            "sampler",
            raster,
            draw_raster,
            "Chains sorted by source: the gradient on the left is the sources', on the right the targets'. Each jumps once, unless the prediction errs.",
            controls=CATEGORY,
        ),
        View(
            "Asked again",
            "scaling curve",
            errors,
            draw_errors,
            "The same predictor, wrong as often: the bridge is asked at each step and gets worse with steps, absorbing diffusion is asked once.",
            controls=CATEGORY,
        ),
        View(
            "One substitution",
            "scaling curve",
            substitution,
            draw_substitution,
            "Exact predictions, one position at a time: two positions change together less often with more steps, in the bridge more slowly.",
            controls=("string_length", "steps", "schedule"),
        ),
    ],
    presets={
        "Deterministic, no boot": {"boot_noise": False, "eta": 0.0, "view": "One input, its answers"},
        "Boot noise": {"boot_noise": True, "eta": 0.0, "view": "One input, its answers"},
        "Markov bridge reversed": {"eta": 1.0, "order": 1, "steps": 100, "view": "One input, its answers"},
        "Second order": {"separation": 2.5, "pairing_noise": 0.25, "boot_time": 0.95, "view": "Evaluations"},
        "Booted too early": {"boot_time": 0.6, "view": "Evaluations"},
        "A hundred evaluations, early boot": {"steps": 100, "boot_time": 0.6, "eta": 0.7, "view": "When noise pays"},
        "Deterministic pairing": {"coupling_entropy": 0.0, "predictor_error": 0.0, "steps": 2, "view": "Categories"},
        "High entropy": {"coupling_entropy": 0.9, "predictor_error": 0.1, "view": "Asked again"},
        "Exact prediction: any number of steps": {"predictor_error": 0.0, "view": "Asked again"},
        "Long strings": {"string_length": 12, "view": "One substitution"},
    },
    words=WORDS,
    papers={"269": "own object", "185": "miniature"},
)
