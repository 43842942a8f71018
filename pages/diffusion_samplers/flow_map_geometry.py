"""What does the probability flow do to a ball of noise?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.flow_map_geometry import (
    Basins,
    DeviationMap,
    GradientError,
    Paths,
    basins,
    deviation_map,
    gradient_error,
    paths,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, MAP, ORANGE, VERMILLION, faded


def draw_basins(result: Basins) -> go.Figure:
    fig = draw.panels(
        [("noise z₁ (standard deviations)", "noise z₂"), ("x₁", "x₂")],
        titles=["Noise, by the datum it reaches", "The data, and where the steered noise ends"],
        height=560,
        gap=0.1,
    )
    fig.add_trace(
        draw.heatmap(
            result.axis,
            result.axis,
            result.order[result.reached],
            "",
            zmin=0,
            zmax=1,
            showscale=False,
            customdata=result.reached,
            hovertemplate="z₁ %{x:.2f}<br>z₂ %{y:.2f}<br>datum %{customdata}<extra></extra>",
        ),
        row=1,
        col=1,
    )
    base, step = result.arrows[:, :2], result.arrows[:, 2:]
    tip = base + 0.26 * step
    side = 0.09 * np.stack([-step[:, 1], step[:, 0]], axis=1)
    back = tip - 0.12 * step
    strokes = np.stack([base, tip, back + side, tip, back - side], axis=1)
    fig.add_trace(
        draw.strokes(strokes[:, :, 0], strokes[:, :, 1], "rgba(255,255,255,0.75)", 1.3, name="downhill to the target"), row=1, col=1
    )
    points = {"color": result.order, "colorscale": MAP, "cmin": 0, "cmax": 1, "size": 10, "line": {"color": GRAY, "width": 0.8}}
    fig.add_trace(
        go.Scatter(x=result.data[:, 0], y=result.data[:, 1], mode="markers", marker=points, name="data", showlegend=False),
        row=1,
        col=2,
    )
    for col, track in ((1, result.path), (2, result.output)):
        style = {"color": VERMILLION, "width": 2.5}
        marks = {"size": 6, "color": VERMILLION, "line": {"color": "#ffffff", "width": 1}}
        name = "steered noise and its end" if col == 1 else None
        fig.add_trace(
            go.Scatter(
                x=track[:, 0], y=track[:, 1], mode="lines+markers", line=style, marker=marks, name=name, showlegend=col == 1
            ),
            row=1,
            col=col,
        )
    aim = result.data[[result.target]]
    ring = {"symbol": "circle-open", "size": 20, "color": VERMILLION, "line": {"width": 3}}
    fig.add_trace(go.Scatter(x=aim[:, 0], y=aim[:, 1], mode="markers", marker=ring, name="target"), row=1, col=2)
    edge = float(result.axis[-1] + result.axis[1] - result.axis[0])
    reach = 1.25 * float(np.abs(result.data).max()) + 0.2
    noise, data = {"range": [-edge, edge]}, {"range": [-reach, reach]}
    return fig.update_layout(xaxis=noise, yaxis=noise, xaxis2=data, yaxis2=data)


def draw_paths(run: Paths) -> go.Figure:
    fig = draw.panels(
        [("x₁", "x₂"), ("noise level σ (falls to the right)", "distance to the final point")],
        log_x=[False, True],
        titles=["Both trajectories, to scale", "When do they settle?"],
        height=560,
    )
    last = len(run.sigma) - 1
    level = np.maximum(run.sigma, 0.5 * run.sigma[-2])  # noise level 0 has no place on a log axis
    marks = {"color": GRAY, "size": 6, "symbol": "x-thin", "line": {"color": GRAY, "width": 1.5}}
    fig.add_trace(go.Scatter(x=run.data[:, 0], y=run.data[:, 1], mode="markers", marker=marks, name="data"), row=1, col=1)
    pairs = ((run.sampling, ORANGE, "state y, shrunk to the data's scale"), (run.denoising, BLUE, "denoised D(y; σ)"))
    for path, color, _ in pairs:
        fig.add_trace(draw.strokes(path[:, :, 0].T, path[:, :, 1].T, faded(color, 0.45), 1.3), row=1, col=1)
    for path, color, name in pairs:
        dots = {"mode": "markers", "marker": {"color": color, "size": 7}, "name": name}
        fig.add_trace(go.Scatter(x=path[last, :, 0], y=path[last, :, 1], **dots), row=1, col=1)
    rows = ((run.of_sampling, ORANGE, "y"), (run.of_denoising, BLUE, "D"))
    for rows_of, color, name in rows:
        fig.add_trace(draw.band(level, rows_of[0], rows_of[2], name, color, showlegend=False), row=1, col=2)
        fig.add_trace(draw.line(level, rows_of[1], name, color, showlegend=False), row=1, col=2)
    fig.add_trace(
        go.Scatter(
            x=level[[last, last]],
            y=[run.of_sampling[1, last], run.of_denoising[1, last]],
            mode="markers",
            marker={"color": [ORANGE, BLUE], "size": 11, "line": {"color": "#ffffff", "width": 1}},
            showlegend=False,
            hoverinfo="skip",
        ),
        row=1,
        col=2,
    )
    reach = 1.15 * max(float(np.abs(run.data).max()), float(np.quantile(np.abs(run.sampling), 0.98)), 0.3)
    fig.update_xaxes(range=[-reach, reach], row=1, col=1)
    fig.update_yaxes(range=[-reach, reach], row=1, col=1)
    fig.update_xaxes(range=[np.log10(level[0]) + 0.05, np.log10(level[-1]) - 0.05], row=1, col=2)
    fig.update_yaxes(range=[-0.05, 1.5], row=1, col=2)
    draw.mark_x(fig, max(run.decided, level[-1]), "datum decided (median)", col=2)
    kept = np.unique(np.linspace(0, last, min(last + 1, 50)).astype(int))
    frames = [
        [
            *({"x": np.float32(path[k, :, 0]), "y": np.float32(path[k, :, 1])} for path, _, _ in pairs),
            {"x": level[[k, k]], "y": [run.of_sampling[1, k], run.of_denoising[1, k]]},
        ]
        for k in kept
    ]
    labels = [f"{run.sigma[k]:.3g}" for k in kept]
    return draw.movie(fig, frames, labels, traces=[3, 4, 9], prefix="noise level σ = ", milliseconds=max(80, 2500 // kept.size))


def draw_deviation(result: DeviationMap) -> go.Figure:
    fig = draw.figure("dimension d", "top noise level σ_max", log_x=True, log_y=True, x_range=(1.5, 140), y_range=(0.78, 102))
    fig.add_trace(
        draw.heatmap(
            result.dimension,
            result.sigma_max,
            np.log10(result.value),
            "log₁₀ deviation ÷ chord",
            zmin=-3,
            zmax=-0.7,
            hovertemplate="d %{x}<br>σ_max %{y:.3g}<br>log₁₀ %{z:.2f}<extra></extra>",
        )
    )
    x = np.geomspace(1.5, 140, 20)
    for level in (12, 60, 300):
        line = draw.boundary(x, level / np.sqrt(x), f"σ_max √d = {level}", dash="dot", at=0.55)
        fig.add_trace(line)
    return fig


STYLES = {
    "backpropagation": (BLUE, "solid", "backpropagation (stores all states)"),
    "adjoint, data": (GREEN, "solid", "adjoint in 1/σ (linear part exact)"),
    "adjoint, noise": (VERMILLION, "solid", "adjoint in σ (noise form, 494)"),
    "adjoint, VP time": (GRAY, "dash", "adjoint in VP time (plain)"),
}


def draw_gradient(result: GradientError) -> go.Figure:
    fig = draw.panels(
        [("steps", "relative error of the gradient"), ("steps", "distance to the true noise (s.d.)")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["dl/dx_T against the flow's own derivative", "Where the re-integrated path ends"],
        height=520,
    )
    marks = {"mode": "lines+markers", "marker": {"size": 7}}
    for name, (color, dash, words) in STYLES.items():
        shown = draw.line(result.steps, np.minimum(result.error[name], 1e3), words, color, dash=dash, legendgroup=name).update(
            marks
        )
        fig.add_trace(shown, row=1, col=1)
        if name in result.drift:
            trace = draw.line(result.steps, np.minimum(result.drift[name], 1e3), words, color, dash=dash, legendgroup=name)
            # Euler's paths in sigma and in 1/sigma are the same: let both be seen.
            trace.update(line={"width": 6 if name == "adjoint, data" else 2})
            fig.add_trace(trace.update(marks).update(showlegend=False), row=1, col=2)
    x = np.array([5.0, 80.0])
    for slope in (1, 2):
        fig.add_trace(draw.guide(x, 0.35 * (x / 5) ** -slope, f"slope −{slope}", showlegend=False), row=1, col=1)
        fig.add_annotation(
            x=np.log10(84),
            y=np.log10(0.35 * 16.0**-slope),
            text=f"−{slope}",
            showarrow=False,
            xanchor="left",
            row=1,
            col=1,
            font={"color": GRAY},
        )
    for col in (1, 2):
        fig.update_xaxes(range=[np.log10(4.4), np.log10(110)], row=1, col=col)
        fig.update_yaxes(range=[-4, 2.2], row=1, col=col)
    return fig


WORDS = r"""
The probability flow $dy/d\sigma=(y-D)/\sigma$ carries a ball of noise onto the data. Here the data are points $\mu_k$, each a Gaussian
of width $s$, so that the denoiser $D(y;\sigma)=\sum_kw_k\big(\mu_k+c\,(y-\mu_k)\big)$, $c=s^2/(s^2+\sigma^2)$, and its Jacobian
$\partial D/\partial y=C/\sigma^2$ ($C$ the posterior covariance) are exact. As $s\to0$ this is a finite data set, and the flow
**memorizes**: every path ends at a datum.

**Basins.** Every noise of the plane, colored by the datum nearest to its end. The flow carries $N(0,\sigma_{\max}^2I)$ almost to the data's
law, so equally likely data own basins of equal Gaussian mass (headline, by the cells of the map; exact as $\sigma_{\max}\to\infty$), whatever their shape. The red
noise is *steered*: $z\leftarrow z-\eta\,\partial\ell/\partial z$, $\ell=|y_0-\text{target}|^2$, with the gradient backpropagated through
the sampler, a step held to half a standard deviation; white arrows are the directions of $-\partial\ell/\partial z$.

**Trajectories** (260). An Euler step is $y'=\frac{\sigma'}{\sigma}y+(1-\frac{\sigma'}\sigma)D$: the state moves toward $D$, which stays in the
convex hull of the data (for $s=0$) and is one step of mean shift on the kernel density of bandwidth $\sigma$; the last step returns $D$.
The denoised path leads, the state follows. A datum is *decided* at the level
below which its posterior probability stays above 0.9.

**Deviation.** Off the data's span $y$ shrinks exactly as $\sqrt{s^2+\sigma^2}$ (as $\sigma$ for a finite set). Only a few directions bend, by about
the data's size, while the chord is about $\sigma_{\max}\sqrt d$ long: the relative deviation falls as $1/(\sigma_{\max}\sqrt d)$
(white lines; measured slopes in the headline). That is why paths in high dimension look straight.

**Gradients** (494). For a loss of the end point, $a=\partial\ell/\partial y$ obeys $da/d\sigma=-\frac1\sigma(I-C/\sigma^2)\,a$.
*Backpropagation* differentiates the sampler and stores $K$ states. The *adjoint* stores one and re-integrates the path upward. In
$\sigma$ itself, the noise form that 494 reaches from VP by $y=x/\alpha$, an Euler step multiplies the linear part by
$1-\Delta\sigma/\sigma'$, which is negative where levels more than double; in $y/\sigma$ against $1/\sigma$ it is exact. VP time is the form
without reparametrization. Reference: forward sensitivities by 100 RK4 steps in $\log\sigma$.

**Where it stops being true.** Exact scores: a Lipschitz network would blur the basins' edges and not memorize. Levels end at 0.02,
then a step to 0 (not in the gradient view). With $s\ll0.02$ end points hardly depend on the noise and gradients vanish away from the edges.
Of 494 only the gradient to the noise is shown; conditioning and weights are not. Paths of planar data in the deviation map are
computed in the plane, the rest of $y$ by its exact law.
"""

LAB = Lab(
    title="Flow map geometry",
    question="What does the probability flow do to a ball of noise?",
    views=[
        View(
            "Basins of noise",
            "geometry",
            basins,
            draw_basins,
            "Left, each noise has the color of the datum it reaches (right). White arrows: downhill toward the ringed target; red: one "
            "noise steered along them, and where it ends.",
            controls=("data", "sigma_max", "width", "guidance_steps", "learning_rate", "table"),
        ),
        View(
            "Two trajectories",
            "trajectory",
            paths,
            draw_paths,
            "Press play. Blue, what the state denoises to, starts at the data's center and commits first; orange, the state, follows. "
            "Bands hold 80 percent of 60 paths.",
            controls=("data", "dimension", "sigma_max", "steps", "solver", "score_error"),
        ),
        View(
            "How straight",
            "phase diagram",
            deviation_map,
            draw_deviation,
            "Dark: nearly straight paths. Along a white line the chord is equally long, and so is, far from the corner, the deviation.",
            controls=("dimension", "sigma_max", "data", "width"),
            click=("dimension", "sigma_max"),
        ),
        View(
            "Gradients through the flow",
            "scaling curve",
            gradient_error,
            draw_gradient,
            "Left, how wrong the gradient of each method is; right, where the adjoint's own path ends up. Try Euler with few steps.",
            controls=("solver", "width", "steps", "rho", "data", "sigma_max"),
        ),
    ],
    presets={
        "Basins of a spiral": {"data": "spiral", "width": 0.02, "view": "Basins of noise"},
        "Decide late": {"data": "two points", "separation": 1.0, "sigma_max": 80.0, "view": "Two trajectories"},
        "Ring": {"data": "ring", "view": "Basins of noise"},
        "Steered noise": {"data": "grid", "guidance_steps": 40, "view": "Basins of noise"},
        "High dimension, straight paths": {"data": "simplex", "dimension": 100, "view": "Two trajectories"},
        "Corners of a simplex": {"data": "simplex", "view": "How straight"},
        "Gradient by plain Euler": {"solver": "Euler (DDIM)", "steps": 10, "view": "Gradients through the flow"},
        "Coarse grid, narrow data": {"solver": "Euler (DDIM)", "width": 0.02, "steps": 5, "view": "Gradients through the flow"},
    },
    words=WORDS,
    papers={"260": "own object", "494": "own object"},
)
