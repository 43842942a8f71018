"""Four algorithms, one bridge: which converges when?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.transport_bridges.schrodinger_bridge import (
    Bundle,
    EnergyDual,
    Flight,
    LightError,
    Plans,
    Race,
    SpeedMap,
    bundle,
    energy_dual,
    flight,
    light_error,
    plans,
    race,
    speed_map,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, SIGNED, SKY, VERMILLION, faded

SECTORS = PALETTE[:6]


def draw_flight(run: Flight) -> go.Figure:
    fig = draw.panels(
        [("x₁", "x₂"), ("x₁", "x₂")],
        titles=["Color: where a particle began", "Three starts, and where each may end"],
        height=560,
        gap=0.1,
    )
    for color, k in zip(SECTORS, range(6), strict=True):
        chosen = np.flatnonzero(run.sector == k)[:1]
        fig.add_trace(draw.strokes(*run.paths[::2, chosen].T, faded(color, 0.6)), row=1, col=1)
    for col in (1, 2):
        wanted = {"mode": "markers", "marker": {"color": GRAY, "size": 4, "opacity": 0.45}, "showlegend": False}
        fig.add_trace(go.Scatter(x=run.target[:, 0], y=run.target[:, 1], name="the end's law", **wanted), row=1, col=col)
    last = len(run.time) - 1
    dots = {"mode": "markers", "marker": draw.grouped(run.sector, SECTORS, 5), "showlegend": False, "name": "particles"}
    fig.add_trace(go.Scatter(x=run.paths[last, :, 0], y=run.paths[last, :, 1], **dots), row=1, col=1)
    moving = [len(fig.data) - 1]
    colors = (BLUE, VERMILLION, GREEN)
    n_fans, n_ends, _ = run.fan_ends.shape
    for start, ends, color in zip(run.fan_starts, run.fan_ends, colors, strict=True):
        fan = np.stack([np.broadcast_to(start, ends.shape), ends]).T
        fig.add_trace(draw.strokes(*fan, faded(color, 0.25), 1), row=1, col=2)
    fan_of = np.arange(n_fans)
    marks = draw.grouped(np.repeat(fan_of, n_ends), colors, 4)
    ends_x, ends_y = run.fan_ends.reshape(-1, 2).T
    fig.add_trace(go.Scatter(x=ends_x, y=ends_y, mode="markers", marker=marks, name="end", showlegend=False), row=1, col=2)
    heads = draw.grouped(fan_of, colors, 13, symbol="diamond", line={"color": "#ffffff", "width": 1.5})
    at_start = {"x": run.fan_starts[:, 0], "y": run.fan_starts[:, 1]}
    fig.add_trace(go.Scatter(at_start, mode="markers", marker=heads, name="start", showlegend=False), row=1, col=2)
    moving.append(len(fig.data) - 1)
    square = {"range": [-run.reach, run.reach]}
    fig.update_layout(xaxis=square, xaxis2=square, yaxis=square, yaxis2=square)
    kept = range(0, last + 1, 2)  # every other time plays well enough
    frames = [[{"x": run.paths[k, :, 0], "y": run.paths[k, :, 1]}, at_start] for k in kept]
    return draw.movie(fig, frames, [f"{run.time[k]:.2f}" for k in kept], traces=moving, prefix="time t = ", milliseconds=120)


def draw_bundle(result: Bundle) -> go.Figure:
    steps = result.paths.shape[0]
    fig = draw.panels(
        [("time t", "x"), ("iteration", "KL from the bridge, nats")],
        log_y=[False, True],
        titles=["The same particles, iteration by iteration", "How far from the bridge"],
        widths=[0.62, 0.38],
        height=540,
    )
    last = steps - 1
    n = result.paths.shape[1]
    colors = [SECTORS[0], SKY, GREEN, ORANGE, VERMILLION]
    groups = np.array_split(np.arange(n), len(colors))
    low, high = float(result.paths.min()), float(result.paths.max())
    for law, at, side in ((result.laws[0], 0.0, -0.16), (result.laws[1], 1.0, 0.16)):
        seen = law > 1e-3
        shape = {"mode": "lines", "line": {"color": GRAY, "width": 1}, "fill": "toself", "fillcolor": faded(GRAY, 0.25)}
        x = np.concatenate([[at], at + side * law[seen], [at]])
        y = np.concatenate([result.law_x[seen][:1], result.law_x[seen], result.law_x[seen][-1:]])
        fig.add_trace(go.Scatter(x=x, y=y, showlegend=False, hoverinfo="skip", **shape), row=1, col=1)

    def lines(step: int, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = draw.broken(result.time, result.paths[step, group])
        return x.astype(np.float32), y.astype(np.float32)

    moving = []
    for color, group in zip(colors, groups, strict=True):
        x, y = lines(last, group)
        style = {"mode": "lines", "line": {"color": color, "width": 1.5}, "showlegend": False, "hoverinfo": "skip"}
        fig.add_trace(go.Scatter(x=x, y=y, **style), row=1, col=1)
        moving.append(len(fig.data) - 1)
    iteration = np.arange(float(steps))
    fig.add_trace(draw.line(iteration, result.divergence, "Markovian fitting", BLUE, showlegend=False), row=1, col=2)
    dot = {"color": VERMILLION, "size": 12}
    fig.add_trace(
        go.Scatter(x=[float(last)], y=result.divergence[-1:], mode="markers", marker=dot, name="here", showlegend=False),
        row=1,
        col=2,
    )
    moving.append(len(fig.data) - 1)
    fig.update_xaxes(range=[-0.18, 1.18], row=1, col=1)
    fig.update_yaxes(range=[low - 0.3, high + 0.3], row=1, col=1)
    fig.update_xaxes(range=[-0.5, last + 0.5], row=1, col=2)
    fig.update_yaxes(range=[-12.4, 1.7], row=1, col=2)
    frames = []
    for step in range(steps):
        frame = [dict(zip("xy", lines(step, group), strict=True)) for group in groups]
        frame.append({"x": np.array([float(step)]), "y": result.divergence[step : step + 1]})
        frames.append(frame)
    labels = [str(k) for k in range(steps)]
    return draw.movie(fig, frames, labels, traces=moving, prefix="iteration ", milliseconds=350)


def draw_race(result: Race) -> go.Figure:
    fig = draw.figure(
        "iteration",
        "KL divergence from the bridge, nats",
        log_y=True,
        x_range=(-0.5, result.iteration[-1] + 0.5),
        y_range=(1e-11, 50),
        height=500,
    )
    hue = {name: VERMILLION if name == "proportional" else BLUE for name in result.grid} | {"Markovian, N → ∞": GREEN}
    for name, values in result.theory.items():
        shown = np.isfinite(values)  # a plan on a line is infinitely far
        fig.add_trace(draw.line(result.iteration[shown], values[shown], f"{name}: Gaussian recursion", hue[name], legendgroup=name))
    for name, values in result.grid.items():
        label = f"{name}: on the grid"
        fig.add_trace(draw.points(result.iteration[: values.size], values, label, hue[name], legendgroup=name))
    return fig


def draw_speed_map(result: SpeedMap) -> go.Figure:
    fig = draw.figure(
        "noise ε", "inner times N of Markovian fitting", log_x=True, log_y=True, x_range=(0.01, 10), y_range=(1, 50), height=500
    )
    fig.add_trace(
        draw.heatmap(
            result.epsilon,
            result.inner_times,
            result.advantage,
            "log₂ speed, Markovian ÷ proportional",
            scale=SIGNED,
            zmid=0,
            zmin=-4,
            zmax=4,
            hovertemplate="ε %{x:.3g}<br>N %{y}<br>log₂ speed ratio %{z:.2f}<extra></extra>",
        )
    )
    here = np.isfinite(result.tie)
    tie = {"mode": "lines", "line": {"color": GRAY, "width": 3}, "name": "equally fast", "showlegend": True}
    fig.add_trace(go.Scatter(x=result.epsilon[here], y=result.tie[here], **tie))
    fig.add_trace(draw.on_map(0.035, 20, "Markovian fitting faster"))
    fig.add_trace(draw.on_map(4.0, 1.6, "proportional faster"))
    return fig


def draw_plans(result: Plans) -> go.Figure:
    titles = [name if name == "the bridge" else f"{name}: KL {result.divergence[name]:.1e}" for name in result.plans]
    fig = draw.panels([("start", "end")] * 3, titles=titles, height=400, gap=0.07)
    for col, plan in enumerate(result.plans.values(), start=1):
        trace = draw.heatmap(result.x, result.x, plan.T, "", zmin=0, zmax=1, hovertemplate="%{x:.2f} → %{y:.2f}<extra></extra>")
        trace.update(showscale=False)
        fig.add_trace(trace, row=1, col=col)
        # Where the bridge has mass.
        for axis, update in ((1, fig.update_xaxes), (0, fig.update_yaxes)):
            seen = result.x[result.plans["the bridge"].max(axis=axis) > 1e-3]
            update(range=[seen[0], seen[-1]], row=1, col=col)
    return fig


INNER_HUES = {"exact": BLUE, "fresh chains": VERMILLION, "persistent chains": GREEN}


def draw_energy_dual(result: EnergyDual) -> go.Figure:
    fig = draw.panels(
        [("update of the potential", "dual optimum − dual value"), ("x", "density of the end")],
        log_y=[True, False],
        titles=["Distance to Sinkhorn's dual value", "Law that each potential models"],
        height=500,
    )
    fig.add_trace(draw.line(result.x, result.end, "the end's law", GRAY, width=5), row=1, col=2)
    for name, gap in result.gap.items():
        fig.add_trace(draw.line(result.update, gap, name, INNER_HUES[name], legendgroup=name, width=2), row=1, col=1)
        law = draw.line(result.x, result.modeled[name], name, INNER_HUES[name], legendgroup=name, showlegend=False, width=2)
        fig.add_trace(law, row=1, col=2)
    fig.update_yaxes(range=[-6, 2.3], row=1, col=1)
    fig.update_yaxes(range=[0, 1.6 * float(result.end.max())], row=1, col=2)
    return fig


def draw_light_error(result: LightError) -> go.Figure:
    fig = draw.figure(
        "components K of the light bridge",
        "W₁ of its ends to their law",
        log_x=True,
        log_y=True,
        x_range=(0.9, 60),
        y_range=(0.02, 3),
    )
    done = result.error.shape[0]
    for j, (n, color) in enumerate(zip(result.samples, (ORANGE, BLUE, GREEN), strict=True)):
        error = draw.points(
            result.components[:done], result.error[:, j], f"{n:,} samples ± 2 SE", color, standard_error=result.spread[:, j]
        )
        fig.add_trace(error.update(mode="lines+markers", line={"color": color, "width": 1.5}))
    fig.add_trace(draw.guide(np.array([0.9, 60]), np.full(2, result.floor), "2,000 exact samples"))
    return fig


WORDS = r"""
The bridge between $p$ and $q$ is the law of paths nearest, in KL, to Brownian motion of variance $\varepsilon$ on $[0,1]$ among those
that begin in $p$ and end in $q$. Its plan of start and end solves entropic transport at the cost $|x-y|^2/2$; between the ends
it is a Brownian bridge. Between Gaussians of deviations $s_0,s_1$,
$$c^*=\sqrt{s_0^2s_1^2+\varepsilon^2/4}-\varepsilon/2,\qquad\rho^*=c^*/(s_0s_1).$$

**Proportional fitting** (146; Sinkhorn's iteration) gives one end its law, then the other. Errors of means shrink by $\rho^{*2}$ an
iteration, of covariances by $\rho^{*4}$: slow when $\varepsilon$ is small. It only rescales, so that the process it starts from must
have the reference's kernel up to such factors: started with noise $\kappa\varepsilon$, it ends at the bridge of $\kappa\varepsilon$.

**Markovian fitting** (259) keeps both laws always: fill a plan in by Brownian bridges, keep the transitions between $N+2$ times, repeat.
Between Gaussians
$$c\leftarrow s_0s_1\prod_i\frac{\mathrm{Cov}(t_i,t_{i+1})}{\sqrt{V_iV_{i+1}}},$$
with $c^*$ as its fixed point for every $N$, whatever the first coupling; the rate is the map's derivative there, in continuous time
$c^*\varepsilon\int t(1-t)/V_t^2\,dt$. It is fast where $\varepsilon$ is small.

**The light bridge** (054) takes $v(y)=\sum_k a_k\,N(y;r_k,\varepsilon S_k)$ for the potential; then the plan is a mixture in closed form and
$\mathbb E\log c(x_0)-\mathbb E\log v(x_1)$ is minimized over samples, here by quasi-Newton steps. Universal as $K$ grows; with few
samples it is the samples that limit it.

**The energy-guided dual** (201) learns $f$ in $\max_f\mathbb E_p[-\varepsilon\log\int e^{(f(y)-|x-y|^2/2)/\varepsilon}dy]+\mathbb E_qf$; its gradient
compares $q$ with samples of the model itself. Chains too short to reach the model's law bias the gradient, and the potential with it.

**Theory and simulation.** *Race*: lines are the exact Gaussian recursions (KL falls as the square of the rates); points run the same
projections for a random walk on 121 grid points, where every projection is exact. *Who is faster* is exact. Paths are drawn from the plans
of each iteration with fixed random numbers.

**Where it stops being true.** The grid needs a kernel that does not underflow and steps not finer than its spacing; the page says where.
Adversarial training and regression by networks are replaced by exact projections, so their errors are absent. An iteration
of Markovian fitting costs $N+1$ learned transitions, one of proportional fitting two processes: the map counts iterations, not
cost. Images are not reproduced.
"""

GRID = ("pair", "epsilon", "inner_times", "iterations", "coupling")

LAB = Lab(
    title="Schrödinger bridges",
    question="Four algorithms, one bridge: which converges when?",
    views=[
        View(
            "Light bridge",
            "sampler",
            flight,
            draw_flight,
            "Press play. Little noise carries each sector to the nearest part of the end (gray); much noise mixes the colors and widens the fans.",
            controls=("plane", "epsilon", "components", "samples"),
        ),
        View(
            "Paths by iteration",
            "trajectory",
            bundle,
            draw_bundle,
            "Press play. Markovian fitting uncrosses the first coupling step by step, and never leaves the laws at either end.",
            controls=GRID,
        ),
        View(
            "Race",
            "scaling curve",
            race,
            draw_race,
            "Straight lines on this scale are linear convergence; steeper is faster. A line that levels off has found another bridge.",
            controls=("epsilon", "inner_times", "pair", "coupling", "start_noise", "gap"),
        ),
        View(
            "Who is faster",
            "phase diagram",
            speed_map,
            draw_speed_map,
            "Red: Markovian fitting gains more digits an iteration; blue: proportional fitting does. Small noise favors the one, large noise the other.",
            controls=("epsilon", "inner_times", "scale_ratio", "gap"),
            click=("epsilon", "inner_times"),
        ),
        View(
            "Plans",
            "geometry",
            plans,
            draw_plans,
            "Mass of start (across) and end (up): what either fitting has after the iterations, beside the bridge itself.",
            controls=(*GRID, "start_noise"),
        ),
        View(
            "Energy and Langevin",
            "scaling curve",
            energy_dual,
            draw_energy_dual,
            "With the exact inner law the dual reaches Sinkhorn's value; with short chains it settles elsewhere, and models another end.",
            controls=("epsilon", "langevin_steps", "pair", "feature_count"),
        ),
        View(
            "Light bridge: how many components",
            "scaling curve",
            light_error,
            draw_light_error,
            "Components help until the samples run out: then the curve is flat, at a level set by their number.",
            controls=("plane", "epsilon"),
        ),
    ],
    presets={
        "8 Gaussians, little noise": {"epsilon": 0.05, "components": 16, "view": "Light bridge"},
        "Moons to circles": {
            "plane": "moons to circles",
            "epsilon": 0.1,
            "components": 40,
            "samples": 1000,
            "view": "Light bridge",
        },
        "Small noise: Markovian wins": {"epsilon": 0.1, "scale_ratio": 1.0, "inner_times": 3, "iterations": 20, "view": "Race"},
        "Large noise: proportional wins": {"epsilon": 10.0, "scale_ratio": 1.0, "inner_times": 2, "view": "Race"},
        "A wrong start is kept": {"start_noise": 1.43, "view": "Race"},
        "A reversed coupling is forgotten": {"coupling": "reversed", "epsilon": 0.5, "view": "Paths by iteration"},
        "Modes on the line": {
            "pair": "two modes to three",
            "epsilon": 0.5,
            "coupling": "reversed",
            "iterations": 2,
            "view": "Plans",
        },
        "Short chains, small noise": {"epsilon": 0.1, "langevin_steps": 5, "view": "Energy and Langevin"},
        "Long chains": {"epsilon": 0.1, "langevin_steps": 200, "view": "Energy and Langevin"},
    },
    words=WORDS,
    papers={"054": "own object", "146": "miniature", "201": "own object", "259": "own object"},
)
