"""Choose the noise, the coupling, the path on the simplex."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.transport_bridges.stochastic_interpolants import (
    Cost,
    Film,
    NoiseCurve,
    NoiseMap,
    Restoration,
    Triangle,
    cost,
    film,
    noise_curve,
    noise_map,
    restoration,
    triangle,
)
from compute.transport_bridges.stochastic_interpolants.simplex import corner_map
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, PURPLE, VERMILLION, faded

WHITE = "#ffffff"


def draw_film(run: Film) -> go.Figure:
    fig = draw.panels(
        [("time t", "x"), ("time t", "")],
        titles=["ODE: paths never cross", f"SDE, ε = {run.diffusion:.2g}: the same law, other paths"],
        height=540,
        gap=0.06,
    )
    top = float(np.quantile(run.density, 0.995))
    kept = range(0, run.time.size, 2)  # every other time plays well enough
    for col, paths in ((1, run.ode), (2, run.sde)):
        look = {"zmin": 0, "zmax": top, "hovertemplate": "t %{x:.2f}<br>x %{y:.2f}<br>%{z:.3f}", "name": "", "showscale": col == 2}
        fig.add_trace(draw.heatmap(run.time, run.x, np.float32(run.density), "exact density", **look), row=1, col=col)
        fig.add_trace(draw.strokes(np.float32(run.time), np.float32(paths.T), faded(WHITE, 0.45), 1, name="paths"), row=1, col=col)
    moving = []
    for col, paths in ((1, run.ode), (2, run.sde)):
        dots = {"mode": "markers", "marker": {"color": VERMILLION, "size": 7, "line": {"color": WHITE, "width": 0.7}}}
        fig.add_trace(
            go.Scatter(x=np.ones(paths.shape[1]), y=paths[-1], name="particles", showlegend=False, **dots), row=1, col=col
        )
        moving.append(len(fig.data) - 1)
    across, up = {"range": [-0.015, 1.015]}, {"range": [run.x[0], run.x[-1]]}
    fig.update_layout(xaxis=across, xaxis2=across, yaxis=up, yaxis2=up, margin={"t": 40})
    frames = [
        [{"x": np.full(paths.shape[1], run.time[k], np.float32), "y": paths[k].astype(np.float32)} for paths in (run.ode, run.sde)]
        for k in kept
    ]
    labels = [f"{run.time[k]:.2f}" for k in kept]
    return draw.movie(fig, frames, labels, traces=moving, prefix="time t = ", milliseconds=130)


def draw_noise_curve(result: NoiseCurve) -> go.Figure:
    fig = draw.panels(
        [("diffusion ε", "KL from the data, nats"), ("x", "density at t = 1")],
        log_x=[True, False],
        log_y=[True, False],
        titles=["What wrong drifts cost", "What they generate"],
        height=500,
    )
    has_bound = bool(result.bound.max() > 0)
    if has_bound:
        fig.add_trace(draw.line(result.eps, result.bound, "bound of the theorem", GREEN, dash="dash"), row=1, col=1)
    fig.add_trace(draw.line(result.eps, result.divergence, "KL, exact", BLUE), row=1, col=1)
    here = draw.points(result.at[:1], result.at[1:2], "chosen ε", VERMILLION, size=12)
    fig.add_trace(here, row=1, col=1)
    best = result.best_bound
    if best is not None and result.eps[0] < best < result.eps[-1]:
        draw.mark_x(fig, best, "ε* of the bound")
    fig.add_trace(draw.line(result.x, result.exact, "data", GRAY, width=5), row=1, col=2)
    for (name, density), color in zip(result.generated.items(), (ORANGE, VERMILLION), strict=True):
        fig.add_trace(draw.line(result.x, density, name, color, width=2), row=1, col=2)
    fig.update_xaxes(range=[np.log10(0.018), np.log10(5.6)], row=1, col=1)
    low = min(-2.5, float(np.floor(np.log10(result.divergence.min()))))
    fig.update_yaxes(range=[low, 1], row=1, col=1)
    highest = max(float(result.exact.max()), *(float(d.max()) for d in result.generated.values()))
    fig.update_yaxes(range=[0, 1.1 * highest], row=1, col=2)
    return fig


def draw_noise_map(result: NoiseMap) -> go.Figure:
    fig = draw.figure("diffusion ε", "velocity error δ", log_x=True, x_range=(0.018, 5.6), y_range=(-0.05, 1.05), height=500)
    fig.add_trace(
        draw.heatmap(
            result.eps,
            result.error,
            np.log10(result.divergence),
            "log₁₀ KL from the data, nats",
            zmin=-2.5,
            zmax=0,
            hovertemplate="ε %{x:.3g}<br>velocity error %{y:.2f}<br>log₁₀ KL %{z:.2f}<extra></extra>",
        )
    )
    shown = np.isfinite(result.ridge) & (result.ridge >= result.eps[0]) & (result.ridge <= result.eps[-1])
    if shown.any():
        x, y = result.ridge[shown], result.error[shown]
        fig.add_trace(draw.boundary(x, y, "", dash="dash").update(name="bound least, ε*"))
        fig.add_trace(draw.on_map(0.62 * float(x[-1]), min(float(y[-1]), 0.9) + 0.05, "bound least: ε*"))
    elif result.ridge[-1] > result.eps[-1]:
        fig.add_trace(draw.on_map(0.8, 0.5, "the score errs so little that more diffusion is always better →"))
    inner = np.isfinite(result.true_ridge)
    if inner.any():
        fig.add_trace(draw.points(result.true_ridge[inner], result.error[inner], "KL least", VERMILLION, size=9))
    fig.update_layout(showlegend=bool(inner.any()))
    return fig


def draw_triangle(run: Triangle) -> go.Figure:
    fig = draw.panels(
        [("x₁", "x₂"), ("", "")],
        titles=["Color: where on the ring a particle began", "Squared speed E|g₂ − g₁|² on the simplex"],
        widths=[0.5, 0.5],
        height=560,
        gap=0.05,
    )
    sector = np.floor((run.angle / (2 * np.pi) + 1 / 12) % 1 * 6).astype(int)
    ghost = {"mode": "markers", "marker": {"color": GRAY, "size": 3.5, "opacity": 0.5}, "showlegend": False, "hoverinfo": "skip"}
    fig.add_trace(go.Scatter(x=run.vertices[1, :, 0], y=run.vertices[1, :, 1], name="second law", **ghost), row=1, col=1)
    at = len(run.path) // 2
    dots = {"mode": "markers", "marker": draw.grouped(sector, PALETTE[:6], 6), "showlegend": False, "name": "particles"}
    fig.add_trace(go.Scatter(x=run.particles[at, :, 0], y=run.particles[at, :, 1], **dots), row=1, col=1)
    moving = [len(fig.data) - 1]
    board = draw.heatmap(run.board_x, run.board_y, run.board, "", hovertemplate="%{z:.2f}<extra></extra>", hoverongaps=False)
    fig.add_trace(board, row=1, col=2)
    best = corner_map(run.best_path)
    fig.add_trace(draw.line(*best, "cheapest path", WHITE, dash="dot", width=3, showlegend=False), row=1, col=2)
    path = corner_map(run.path)
    fig.add_trace(draw.line(*path, "path", VERMILLION, width=4, showlegend=False), row=1, col=2)
    mark = {"color": VERMILLION, "size": 15, "line": {"color": WHITE, "width": 2}}
    fig.add_trace(
        go.Scatter(x=path[0][at : at + 1], y=path[1][at : at + 1], mode="markers", marker=mark, showlegend=False), row=1, col=2
    )
    moving.append(len(fig.data) - 1)
    for place, word in (((0.0, -0.06), "ring"), ((1.0, -0.06), "cross"), ((0.5, 0.92), run.third)):
        fig.add_annotation(x=place[0], y=place[1], text=word, showarrow=False, font={"size": 15}, xref="x2", yref="y2")
    fig.update_xaxes(range=[-3.2, 3.2], row=1, col=1)
    fig.update_yaxes(range=[-3.2, 3.2], row=1, col=1)
    fig.update_xaxes(range=[-0.1, 1.1], visible=False, row=1, col=2)
    fig.update_yaxes(range=[-0.12, 0.98], visible=False, row=1, col=2)
    frames = [
        [
            {"x": run.particles[k, :, 0].astype(np.float32), "y": run.particles[k, :, 1].astype(np.float32)},
            {"x": path[0][k : k + 1], "y": path[1][k : k + 1]},
        ]
        for k in range(len(run.path))
    ]
    labels = ["(" + ", ".join(f"{a:.2f}" for a in alpha) + ")" for alpha in run.path]
    return draw.movie(fig, frames, labels, traces=moving, at=at, prefix="weights ", milliseconds=90).update_layout(margin={"t": 40})


COUPLING_HUES = {"mask": BLUE, "low-pass": GREEN, "noisy copy": PURPLE, "label shift": ORANGE}


def draw_cost(result: Cost) -> go.Figure:
    fig = draw.panels(
        [("coupling noise σ", "transport cost ∫E|b|²"), ("Euler steps", "W₁ to the patterns")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["What the way costs", f"How few steps: {result.coupling}"],
        height=540,
    )
    for name, values in result.cost.items():
        chosen = name == result.coupling
        trace = draw.points(
            result.sigma, values, name, COUPLING_HUES[name], standard_error=result.error[name], size=9 if chosen else 6
        )
        trace.update(mode="lines+markers", line={"color": COUPLING_HUES[name], "width": 3.5 if chosen else 1.2})
        fig.add_trace(trace, row=1, col=1)
    twin = draw.points(
        result.sigma,
        result.twin_cost,
        f"independent of {result.coupling}",
        VERMILLION,
        standard_error=result.twin_error,
        symbol="diamond",
    )
    fig.add_trace(twin.update(mode="lines+markers", line={"color": VERMILLION, "width": 2, "dash": "dash"}), row=1, col=1)
    fig.add_trace(draw.guide(result.sigma, result.jensen, f"Jensen's bound, {result.coupling}"), row=1, col=1)
    steps = np.array([0.9, 20.0])
    draw.mark_y(fig, result.floor, "the true pictures", col=2)
    for values, name, color in (
        (result.w1, result.coupling, COUPLING_HUES[result.coupling]),
        (result.twin_w1, "independent", VERMILLION),
    ):
        trace = draw.line(result.steps, values, name, color, showlegend=False)
        fig.add_trace(trace.update(mode="lines+markers", marker={"size": 8, "color": color}), row=1, col=2)
    fig.update_xaxes(range=[np.log10(0.025), np.log10(2.4)], row=1, col=1)
    fig.update_yaxes(range=[-3.6, 2.2], row=1, col=1)
    fig.update_xaxes(range=np.log10(steps).tolist(), row=1, col=2)
    fig.update_yaxes(range=[np.log10(0.02), np.log10(1.5)], row=1, col=2)
    fig.update_layout(legend={"y": -0.16, "yanchor": "top"}, margin={"t": 40, "b": 120})
    return fig


def draw_restoration(result: Restoration) -> go.Figure:
    board, columns = result.mosaic()
    fig = go.Figure(
        go.Heatmap(z=board, colorscale="Gray", zmin=-1.3, zmax=1.3, showscale=False, hovertemplate="%{z:.2f}<extra></extra>")
    )
    n = result.time.size
    words = ["truth", *(["x₀", *(f"t = {t:.2g}" for t in result.time[1:])] * 2)]
    fig.update_layout(height=480, margin={"t": 10, "l": 10, "r": 10, "b": 10})
    fig.update_xaxes(visible=False)
    fig.update_yaxes(visible=False, range=[board.shape[0] - 0.5, -4.2], scaleanchor="x")
    for x, word in zip(columns, words, strict=True):
        fig.add_annotation(x=x, y=-1.2, text=word, showarrow=False, font={"size": 12})
    for first, share, title in (
        (1, result.restored, f"{result.coupling}: x₀ knows x₁"),
        (n + 1, result.twin_restored, "as if x₀ were independent"),
    ):
        text = f"<b>{title}</b><br>{100 * share:.0f}% end at their own pattern"
        fig.add_annotation(x=float(np.mean(columns[first : first + n])), y=-3, text=text, showarrow=False, font={"size": 14})
    return fig


WORDS = r"""
A **stochastic interpolant** (117) is $x_t=\alpha x_0+\beta x_1+\gamma z$, $z\sim N(0,I)$: any two laws, any blend. Its law is
carried by $\dot x=b(t,x)$, $b=\mathbb E[\dot x_t\mid x_t=x]$, and for every $\varepsilon\ge0$ by
$dX=(b+\varepsilon s)\,dt+\sqrt{2\varepsilon}\,dW$, $s=-\mathbb E[z\mid x_t]/\gamma$ the score. Between Gaussian mixtures, with
$m_k$ the mean and $v$ the variance of $x_t$ in component pair $k$, $w_k$ its posterior weight and $r=x-\sum w_km_k$,
$$b=\sum_k w_k\dot m_k+\tfrac{\dot v}{2v}\,r,\qquad s=-r/v .$$
Nothing is learned: every drift on this page is this formula.

**Two carriers.** Color is the exact density; dots are particles started at even quantiles, in 100 Heun steps. *Linear*:
$\alpha=1-t$, $\beta=t$; *trigonometric*: $\cos\frac{\pi t}2,\sin\frac{\pi t}2$; both with $\gamma^2=a\,t(1-t)$. *Encoder–decoder* passes
through $N(0,1)$ at $t=\frac12$, $\gamma=\sin^2\pi t$. *Mirror*: $x_1+\gamma z$, a law led to itself.

**Noise controls likelihood.** With $\hat b=b+\delta\cos1.3x$ and $\hat s=s+\delta_s\sin(0.9x+0.5)$ (117, thm. 2.23)
$$\mathrm{KL}(\rho_1\Vert\hat\rho_1)\le\frac1{4\varepsilon}\int_0^1\mathbb E\left|\hat b-b+\varepsilon(\hat s-s)\right|^2dt,$$
least at $\varepsilon^*$, the ratio of the errors' root mean squares. The true KL solves the Fokker–Planck equation in the
coordinate $u=F_t(x)$, where exact drifts leave the law uniform, so that no discretization shows at zero error. The best
$\varepsilon$ is the bound's: the true KL often keeps falling or flattens beyond it. At $\varepsilon\to0$ the bound says nothing.

**Three laws** (153). $x(\alpha)=\sum\alpha_kx_k$, $\alpha$ on the simplex; along any path $\dot x=\sum\dot\alpha_kg_k$,
$g_k=\mathbb E[x_k\mid x(\alpha)]$. The metric $G_{ij}=\mathbb E[g_i\cdot g_j]$, averaged over 150 draws or so, prices every path: cost
$\int\dot\alpha^\top G\dot\alpha\,dt$, at best pacing the squared length. The cheapest path is sought in a family of two
parameters (height and lean of the bend), not among all.

**Couplings** (284). $x_0=Mx_1+\sigma\zeta$: a mask (the right half lost), a low-pass (2 × 2 block means), a noisy copy; *label shift* takes
$x_0$ from the next class. *Independent* is the same $\rho_0$ paired at random. Linear path, $\gamma=0$, and by Jensen
$\int\mathbb E|b|^2\le\mathbb E|x_1-x_0|^2$. $W_1$ is the mean over 16 fixed directions.

**Where it stops being true.** Six patterns of 16 pixels stand for images: what a coupling saves here (steps, cost, loyalty to what
was kept) is exact for them and only for them. Drift errors are two fixed waves; a network's need not look so. Two laws at the ends are
coupled only in the last two views.
"""

LAB = Lab(
    title="Stochastic interpolants",
    question="Which noise, which coupling, which path carries one law to another best?",
    views=[
        View(
            "Two carriers",
            "sampler",
            film,
            draw_film,
            "Press play. The ODE keeps particles in order, the SDE mixes them, and both fill the same exact density; more "
            "noise a blurs the modes on their way.",
            controls=("interpolant", "noise_amplitude", "diffusion", "base_modes", "modes"),
        ),
        View(
            "Noise and likelihood",
            "scaling curve",
            noise_curve,
            draw_noise_curve,
            "With little diffusion a wrong velocity goes unrepaired, with much the wrong score rules; the bound (dashed) turns at ε*, "
            "the true KL where it likes.",
            controls=("diffusion", "drift_error", "score_error", "interpolant", "noise_amplitude", "modes"),
        ),
        View(
            "Best diffusion",
            "phase diagram",
            noise_map,
            draw_noise_map,
            "Dark is likely. The bound's best diffusion grows in proportion to the velocity's error (white); dots are where KL itself is least.",
            controls=("diffusion", "drift_error", "score_error", "interpolant", "noise_amplitude", "modes"),
            click=("diffusion", "drift_error"),
        ),
        View(
            "Three laws",
            "geometry",
            triangle,
            draw_triangle,
            "Press play: the ring becomes a cross along the red path. Bright places on the triangle are dear to cross; dotted, the cheapest path found.",
            controls=("path_bend", "third_vertex"),
        ),
        View(
            "Price of a coupling",
            "scaling curve",
            cost,
            draw_cost,
            "Left, the less x₀ has to travel the cheaper; right, a coupling that knows its goal needs hardly any steps.",
            controls=("coupling", "coupling_noise"),
        ),
        View(
            "Restoring pictures",
            "field",
            restoration,
            draw_restoration,
            "Each row is one picture. With the coupling's own velocity what was kept stays and the rest is filled in; with the independent "
            "one the flow wanders to some other pattern.",
            controls=("coupling", "coupling_noise"),
        ),
    ],
    presets={
        "Two to three modes": {"base_modes": 2, "modes": 3, "view": "Two carriers"},
        "Encoder-decoder": {"interpolant": "encoder-decoder", "diffusion": 1.0, "view": "Two carriers"},
        "Mirror": {"interpolant": "mirror", "noise_amplitude": 4.0, "view": "Two carriers"},
        "No noise, γ = 0": {"noise_amplitude": 0.0, "base_modes": 3, "modes": 3, "view": "Two carriers"},
        "Noise controls likelihood": {
            "base_modes": 1,
            "modes": 2,
            "drift_error": 0.3,
            "score_error": 0.3,
            "view": "Noise and likelihood",
        },
        "Exact score": {"score_error": 0.0, "view": "Best diffusion"},
        "Barycenter of three shapes": {"path_bend": 0.33, "third_vertex": "waves", "view": "Three laws"},
        "In-painting": {"coupling": "mask", "coupling_noise": 0.3, "view": "Restoring pictures"},
        "Super-resolution": {"coupling": "low-pass", "coupling_noise": 0.1, "view": "Restoring pictures"},
        "Label shift costs more": {"coupling": "label shift", "view": "Price of a coupling"},
    },
    words=WORDS,
    papers={"117": "own object", "153": "own object", "284": "own object"},
)
