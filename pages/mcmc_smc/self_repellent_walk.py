"""How much variance does a token save by avoiding its past?"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from compute.mcmc_smc.self_repellent_walk import (
    Modes,
    Regimes,
    Sampling,
    TokenDescent,
    Walk,
    Walker,
    modes,
    regimes,
    sampling,
    token_descent,
    walk,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SIGNED, VERMILLION, faded

ALPHA_TICKS = np.array([0.0, 0.3, 1.0, 3.0, 10.0, 20.0])


def _alpha_axis(fig: go.Figure, factor: float, **where: int) -> None:
    """An axis even in log(1 + factor α), so that α = 0 has a place on it; its ticks are α."""
    low, high = 0.9, 1.12 * (1 + factor * 20)
    ticks = 1 + factor * ALPHA_TICKS
    fig.update_xaxes(
        type="log",
        range=[np.log10(low), np.log10(high)],
        tickmode="array",
        tickvals=ticks,
        ticktext=[f"{t:g}" for t in ALPHA_TICKS],
        minor={"ticks": "", "tickmode": "array", "tickvals": []},
        **where,
    )


def _moving(result: Walk, walker: Walker, frame: int, size: float) -> list[dict[str, Any]]:
    """What changes of one network: nodes, chances of the next step, trail, token."""
    # Plotly moves marker sizes only of frames that give positions too.
    x, y = result.graph.position.T.astype(np.float32)
    chance = walker.next_step[frame]
    near = np.flatnonzero(chance > 0.004)
    reach = size * np.sqrt(result.stationary[near] * x.size) + 30 * np.sqrt(chance[near])
    trail, token = walker.trail[frame], walker.token[frame]
    return [
        {"x": x[near], "y": y[near], "marker": {"size": reach.astype(np.float32)}},
        {"x": x[trail], "y": y[trail]},
        {"x": x, "y": y, "marker": {"color": np.clip(walker.excess[frame], -1, 2).astype(np.float32)}},
        {"x": [x[token]], "y": [y[token]]},
    ]


def _looks(result: Walk, size: float, is_first: bool) -> list[dict[str, Any]]:
    """What stays of the traces of ``_moving``; the legend and the color bar are those of the first network."""
    rings = {"color": ORANGE, "opacity": 1, "line": {"width": 0}}
    nodes = {
        "opacity": 1,
        "size": size * np.sqrt(result.stationary * result.graph.n_nodes),
        "colorscale": SIGNED,
        "cmin": -1,
        "cmid": 0,
        "cmax": 1,
        "line": {"color": GRAY, "width": 1},
        "showscale": is_first,
    }
    if is_first:
        title = {"text": "visits over target − 1", "side": "right"}
        nodes["colorbar"] = {"title": title, "x": 0.51, "thickness": 12, "len": 0.8}
    token = {"symbol": "star", "size": 18, "color": GREEN, "line": {"color": "#ffffff", "width": 1.5}}
    trail = {"color": GREEN, "width": 2.5}
    named = {"showlegend": is_first, "hoverinfo": "skip"}
    return [
        {"mode": "markers", "name": "chance of the next step", "marker": rings} | named,
        {"mode": "lines", "name": "last steps", "line": trail} | named,
        {"mode": "markers", "name": "visits over target − 1", "marker": nodes, "showlegend": False},
        {"mode": "markers", "name": "token", "marker": token, "showlegend": is_first},
    ]


def draw_walk(result: Walk) -> go.Figure:
    graph, last = result.graph, result.frames.size - 1
    fig = draw.panels(
        [("", ""), ("", ""), ("steps", "distance of visits to the target")],
        log_x=[False, False, True],
        log_y=[False, False, True],
        titles=[f"Self-repellent, α = {result.repellent.alpha:g}", "Base walk, α = 0", "How even are the visits"],
        height=640,
    )
    # The networks one above the other, the distance beside them.
    for k, domain in enumerate(([0, 0.5], [0, 0.5], [0.72, 1]), start=1):
        fig.layout[f"xaxis{k}"].domain = domain
    fig.layout.yaxis.domain, fig.layout.yaxis2.domain = [0.52, 1], [0, 0.46]
    fig.layout.legend.itemsizing = "constant"
    for title, (at_x, at_y) in zip(fig.layout.annotations, ((0.25, 1.0), (0.25, 0.46), (0.86, 1.0)), strict=True):
        title.x, title.y = at_x, at_y
    x, y = graph.position.T
    pairs = graph.edges
    thread = faded(GRAY, float(np.clip(60 / len(pairs), 0.06, 1)))
    size = float(np.clip(80 / np.sqrt(graph.n_nodes), 6, 19))
    walkers = ((result.repellent, VERMILLION), (result.base, BLUE))
    moving: list[int] = []
    for col, (walker, _) in enumerate(walkers, start=1):
        fig.add_trace(draw.strokes(np.float32(x[pairs]), np.float32(y[pairs]), thread, 0.5), row=1, col=col)
        # Each trace whole at once: Plotly's update takes a millisecond.
        for changed, look in zip(_moving(result, walker, last, size), _looks(result, size, col == 1), strict=True):
            trace = changed | look
            if "marker" in changed:
                trace["marker"] = changed["marker"] | look["marker"]
            fig.add_trace(go.Scatter(trace), row=1, col=col)
            moving.append(len(fig.data) - 1)
    distances = []
    for walker, color in walkers:
        name = f"α = {walker.alpha:g}"
        fig.add_trace(draw.line(result.steps, walker.distance, name, color, width=2), row=1, col=3)
        at = int(result.frames[last]) - 1
        fig.add_trace(draw.points([result.steps[at]], [walker.distance[at]], name, color, size=10, showlegend=False), row=1, col=3)
        moving.append(len(fig.data) - 1)
        distances.append(walker.distance)
    for col in (1, 2):
        fig.update_xaxes(range=[-1.2, 1.2], visible=False, row=1, col=col)
        fig.update_yaxes(range=[y.min() - 0.25, y.max() + 0.25], visible=False, row=1, col=col)
    fig.update_xaxes(range=[0, np.log10(1.25 * result.steps[-1])], row=1, col=3)
    # Visits can be even to the last one: the distance is 0 then, and the line stops.
    lowest = min(d[d > 1e-3].min() for d in distances)
    fig.update_yaxes(range=[np.log10(lowest) - 0.1, 0.02], row=1, col=3)
    frames = []
    for k, step in enumerate(result.frames):
        changed = [trace for walker, _ in walkers for trace in _moving(result, walker, k, size)]
        frames.append(changed + [{"x": [step], "y": [d[step - 1]]} for d in distances])
    return draw.movie(fig, frames, [f"{s:,}" for s in result.frames], traces=moving, prefix="step ", milliseconds=180)


def draw_sampling(result: Sampling) -> go.Figure:
    fig = draw.figure("repulsion α", "n × variance of the average", log_y=True)
    x = 1 + 4 * result.alpha
    fig.add_trace(draw.guide(x, result.base / x, "slope −1 in 1 + 4α"))
    fig.add_trace(draw.line(x, result.theory, "theory, gᵀV(α)g", BLUE))
    fig.add_trace(
        draw.points(
            1 + 4 * result.simulated_alpha, result.simulation, "simulation ± 2 SE", BLUE, standard_error=result.standard_error
        )
    )
    fig.add_trace(draw.points([1 + 4 * result.at], [result.at_theory], "your α", VERMILLION, symbol="star", size=15))
    _alpha_axis(fig, 4.0)
    decades = np.log10(result.base)
    fig.update_yaxes(range=[decades - 2.3, decades + 0.4])
    return fig


def draw_modes(result: Modes) -> go.Figure:
    fig = draw.figure("eigenvalue λ of the base chain", "n × variance of its mode", log_y=True, x_range=(-0.9, 1.06))
    for values, simulated, error, name, color in (
        (result.before, result.simulated[0], result.errors[0], "base walk", BLUE),
        (result.after, result.simulated[1], result.errors[1], f"self-repellent, α = {result.alpha:g}", VERMILLION),
    ):
        fig.add_trace(draw.line(result.line, values, name, color))
        fig.add_trace(
            draw.points(result.eigenvalue, simulated, "simulation ± 2 SE", color, standard_error=error, size=8, showlegend=False)
        )
    top, floor = max(float(result.before[-1]), 10.0), 1e-2
    fig.add_trace(draw.guide([-0.85, 1.0], [1.0, 1.0], "independent draws"))
    fig.update_yaxes(range=[np.log10(floor), np.log10(top) + 0.3])
    return fig


TOKEN_COLORS = (BLUE, GREEN, ORANGE, VERMILLION)


def draw_token(result: TokenDescent) -> go.Figure:
    fig = draw.panels(
        [("iterations n", "mean square error / step size"), ("repulsion α", "mean square error / step size")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Error against n", "Error at the last n"],
    )
    for k, (value, color) in enumerate(zip(result.alpha, TOKEN_COLORS, strict=True)):
        fig.add_trace(draw.line(result.n, result.theory[k], f"α = {value:g}", color), row=1, col=1)
        ends = result.n[[0, -1]]
        limit = draw.line(ends, [result.limit[k]] * 2, "limits n → ∞", color, dash="dot", width=1.5, showlegend=False)
        fig.add_trace(limit, row=1, col=1)
        if k < len(result.simulation):
            simulated, error = result.simulation[k], result.standard_error[k]
            fig.add_trace(
                draw.points(result.marks, simulated, "simulation ± 2 SE", color, standard_error=error, size=6, showlegend=False),
                row=1,
                col=1,
            )
            fig.add_trace(
                draw.points(
                    [1 + 2 * value], simulated[-1:], "simulation ± 2 SE", color, standard_error=error[-1:], showlegend=False
                ),
                row=1,
                col=2,
            )
    x = 1 + 2 * result.alpha_line
    for power in (1, 2):
        fig.add_trace(draw.guide(x, result.theory_line[0] / x**power, "slopes −1, −2", showlegend=power == 1), row=1, col=2)
    fig.add_trace(draw.line(x, result.theory_line, "theory at n", PURPLE), row=1, col=2)
    fig.add_trace(draw.line(x, result.limit_line, "limit n → ∞", PURPLE, dash="dot"), row=1, col=2)
    _alpha_axis(fig, 2.0, row=1, col=2)
    top = np.log10(max(result.limit.max(), result.theory.max()))
    fig.update_yaxes(range=[top - 3.6, top + 0.5])
    return fig


def draw_regimes(result: Regimes) -> go.Figure:
    fig = draw.figure("history exponent a", "step exponent b", x_range=(0.55, 1.0), y_range=(0.55, 1.0))
    fig.add_trace(
        draw.heatmap(
            result.a,
            result.b,
            result.log_ratio,
            "error left, over α = 0",
            zmin=-2,
            zmax=0,
            hovertemplate="a %{x:.3f}<br>b %{y:.3f}<br>log₁₀ error left %{z:.2f}<extra></extra>",
        )
    )
    fig.data[0].colorbar.update(tickvals=[-2, -1.523, -1, -0.523, 0], ticktext=["1%", "3%", "10%", "30%", "100%"])
    fig.add_trace(draw.boundary(np.linspace(0.55, 1.0, 11), np.linspace(0.55, 1.0, 11), "a = b", at=0.3))
    fig.add_trace(draw.on_map(0.68, 0.92, "fast history: gain grows to 1/α²"))
    fig.add_trace(draw.on_map(0.87, 0.63, "slow history: gain fades"))
    return fig


WORDS = r"""
A token walks on a graph by a lazy Metropolis chain $P$ that is reversible for the target $\mu$. The **self-repellent walk** weighs
its moves by where it has been, $K_{ij}[x]\propto P_{ij}\,(x_j/\mu_j)^{-\alpha}$, with
$x_{n+1}=x_n+\gamma_{n+1}(\delta_{X_{n+1}}-x_n)$, $\gamma_n=(n+1)^{-a}$, $x_0=\mu$. At $a=1$ the history $x_n$ is the share of visits.

**Sampling** ($a=1$). With eigenvalues $\lambda_i$ and left eigenvectors $u_i$ of $P$, $u_i^\top\mathrm{diag}(\mu)^{-1}u_i=1$,
$$n\,\mathrm{Cov}(x_n)\to V(\alpha)=\sum_{i\ge2}\frac{1}{2\alpha(1+\lambda_i)+1}\,\frac{1+\lambda_i}{1-\lambda_i}\,u_iu_i^\top .$$
Slow modes, $\lambda$ near 1, carry the variance and lose most of it; modes near $-1$ had none. The gain is $O(1/\alpha)$. The average
drawn is of $g$, the indicator of the first half of the nodes: of the barbell, one clique.

**A token's gradient descent** (047). $\theta_{n+1}=\theta_n-\beta_{n+1}\nabla f_{X_{n+1}}(\theta_n)$, $\beta_n=(n+1)^{-b}$, with
$f_i$ a quadratic whose center is where node $i$ is drawn. Then $\mathbb E|\theta_n-\theta^*|^2/\beta_n\to\mathrm{tr}\,V_\theta$. With
$h_i=H^\top u_i$, $H_j=-\nabla f_j(\theta^*)$ and Hessian $K$, $V_\theta$ solves
$KV+VK=\sum_i\frac{1+\lambda_i}{1-\lambda_i}\,w_i\,h_ih_i^\top$ (at $b=1$ with $K-\tfrac12$ for $K$):
- $a<b$, fast history: $w_i=(\alpha(1+\lambda_i)+1)^{-2}$, the gain is $O(1/\alpha^2)$;
- $a=b$: in between, of order $1/\alpha$; from the joint Lyapunov equation of $(x,\theta)$, solved mode by mode;
- $a>b$, slow history: $w_i=1$, no gain at all.

**At a finite n** the ratio of steps $\gamma_n/\beta_n=n^{b-a}$ is finite, and a walk whose relaxation time is not short against
$1/\beta_n$ averages less. Solid lines and the map take the walk, its history and the token, linearized, as in balance at step $n$
(derived here); dotted lines are the limits.

**Read** lines as theory and points as simulation with 2 standard errors. The network view counts visits ($a=1$).

**Where it stops being true.** Covariances are those of a linearization. One visit moves the log-weight of a node by about
$\alpha\gamma_nN$: until that is small the simulated token does *better* than theory, by a tenth to a quarter at the defaults. A limit in $n$ also
needs many relaxation times and every node visited: the page says when $n$ is short of that. $x_0=\mu$ counts as one visit never made.
Closed forms need a reversible base chain.
"""

LAB = Lab(
    title="Self-repellent random walk",
    question="How much variance does a token save by avoiding its past?",
    views=[
        View(
            "Walk",
            "network",
            walk,
            draw_walk,
            "Press play: both tokens start at one node. Red nodes are over-visited, blue ones neglected; orange disks show where the "
            "next step may go. The self-repellent token leaves a clique as soon as it has been there too much.",
            controls=("alpha", "graph", "nodes", "target", "seed"),
        ),
        View(
            "Sampling variance",
            "scaling curve",
            sampling,
            draw_sampling,
            "The variance of an average against the repulsion; the axis is even in log(1 + 4α), on which a slow mode falls with slope −1.",
            controls=("alpha", "graph", "nodes", "iterations", "replicas"),
        ),
        View(
            "Modes",
            "spectrum",
            modes,
            draw_modes,
            "Each mode of the base chain by its eigenvalue: the slow ones near 1 collapse, those near −1 never mattered.",
            controls=("alpha", "graph", "nodes", "target", "iterations"),
        ),
        View(
            "Token descent",
            "scaling curve",
            token_descent,
            draw_token,
            "Left: the error of a token's gradient descent over its step size, by repulsion; dotted lines are its limits. Right: how it "
            "falls with repulsion at the last n.",
            controls=("history_exponent", "step_exponent", "graph", "nodes", "iterations", "replicas"),
        ),
        View(
            "Regimes",
            "phase diagram",
            regimes,
            draw_regimes,
            "Color is the share of the error that repulsion leaves. Above the diagonal the history is faster than the token and the gain "
            "is largest; below it the gain fades as n grows: move n and watch the edge sharpen.",
            controls=("history_exponent", "step_exponent", "alpha", "iterations", "graph"),
            click=("history_exponent", "step_exponent"),
        ),
    ],
    presets={
        "Barbell without memory (α = 0)": {"graph": "barbell", "alpha": 0.0, "view": "Walk"},
        "Barbell, α = 10": {"graph": "barbell", "alpha": 10.0, "view": "Walk"},
        "Ring: the slowest modes gain most": {"graph": "ring", "nodes": 30, "alpha": 10.0, "iterations": 20_000, "view": "Modes"},
        "Star and clique, target by degree": {"graph": "star_clique", "target": "degree", "nodes": 30, "view": "Walk"},
        "Fast history: a = 0.6, b = 0.9": {"history_exponent": 0.6, "step_exponent": 0.9, "view": "Token descent"},
        "Slow history: a = 0.95, b = 0.6": {"history_exponent": 0.95, "step_exponent": 0.6, "view": "Token descent"},
        "A million steps": {"iterations": 1_000_000, "history_exponent": 0.6, "view": "Regimes"},
    },
    words=WORDS,
    papers={"047": "own object"},
)
