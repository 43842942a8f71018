"""Noise that survives infinite resolution."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.function_space_diffusion import (
    FieldMovie,
    Growth,
    GrowthMap,
    Reconstruction,
    Spectrum,
    Transfer,
    enough_points,
    field_draws,
    growth_map,
    mesh_transfer,
    mode_growth,
    mode_spectrum,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, SIGNED, VERMILLION

HUES = (*PALETTE[:6], GRAY)


def _titles(movie: FieldMovie) -> list[str]:
    return [
        f"{'trace class' if movie.trace_class else 'not trace class'}, s = {movie.noise_smoothness[0]:.3g}: "
        f"E‖noise‖² = {movie.energy[0]:.3g}",
        f"white, s = 0: E‖noise‖² = {movie.energy[1]:.3g}",
    ]


def draw_fields(movie: FieldMovie) -> go.Figure:
    return _draw_lines(movie) if movie.value.shape[2] > 1 else _draw_surfaces(movie)


def _draw_lines(movie: FieldMovie) -> go.Figure:
    where = "x" if movie.domain == "interval" else "angle"
    fig = draw.panels([(where, "function")] * 2, titles=_titles(movie), height=500, gap=0.09)
    x = movie.position.astype(np.float32)
    n_draws = movie.value.shape[2]
    moving = []
    for kind in (0, 1):
        first = movie.value[kind, 0, 0]
        start = draw.line(x, first, "where one of them began", GRAY, width=1, opacity=0.55, showlegend=kind == 0)
        fig.add_trace(start, row=1, col=kind + 1)
        # Draws around the same mean have the same color.
        _, hue = np.unique(movie.owner[kind], return_inverse=True)
        for k in range(n_draws):
            color = HUES[hue[k] % len(HUES)]
            trace = draw.line(x, movie.value[kind, -1, k], "drawn function", color, width=1.8, showlegend=False)
            fig.add_trace(trace, row=1, col=kind + 1)
            moving.append(len(fig.data) - 1)
        reach = 1.05 * float(max(movie.reach[kind], movie.reach[2]))
        fig.update_yaxes(range=[-reach, reach], row=1, col=kind + 1)
    frames = [[{"y": movie.value[kind, f, k]} for kind in (0, 1) for k in range(n_draws)] for f in range(movie.time.size)]
    return draw.movie(fig, frames, [f"{t:.2g}" for t in movie.time], traces=moving, prefix="time still to go t = ", milliseconds=90)


def _draw_surfaces(movie: FieldMovie) -> go.Figure:
    fig = draw.panels([("", "")] * 2, titles=_titles(movie), height=520, gap=0.04)
    x, y = movie.position.astype(np.float32).T
    top = 0.8 * float(movie.reach[2])
    half = 1.12 * float(np.abs(movie.position).max())
    for kind in (0, 1):
        marker = {
            "size": 500 / np.sqrt(x.size),  # so that they overlap
            "color": movie.value[kind, -1, 0],
            "colorscale": SIGNED,
            "cmin": -top,
            "cmax": top,
            "showscale": kind == 1,
            "colorbar": {"title": {"text": "field", "side": "right"}, "outlinewidth": 0, "thickness": 14},
        }
        spots = go.Scatter(x=x, y=y, mode="markers", marker=marker, hoverinfo="skip", showlegend=False)
        fig.add_trace(spots, row=1, col=kind + 1)
        axes = {"visible": False, "range": [-half, half]}
        fig.update_xaxes(**axes, row=1, col=kind + 1)
        fig.update_yaxes(**axes, scaleanchor="x" if kind == 0 else "x2", row=1, col=kind + 1)
    frames = [[{"marker": {"color": movie.value[kind, f, 0]}} for kind in (0, 1)] for f in range(movie.time.size)]
    labels = [f"{t:.2g}" for t in movie.time]
    return draw.movie(fig, frames, labels, traces=[0, 1], prefix="time still to go t = ", milliseconds=120)


def draw_growth(result: Growth) -> go.Figure:
    fig = draw.panels(
        [("modes K", "E‖noise‖²"), ("modes K", "gap left at the horizon T")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Energy of the noise", "Law at T against stationary noise"],
        height=500,
    )
    x = result.modes
    fig.add_trace(draw.line(x, result.white, "white", VERMILLION), row=1, col=1)
    fig.add_trace(draw.line(x, result.energy, "smoothness s", BLUE), row=1, col=1)
    fig.add_trace(
        draw.points(result.few, result.energy_drawn, "draws ± 2 SE", BLUE, standard_error=result.energy_error, showlegend=False),
        row=1,
        col=1,
    )
    for theory, mean, error, name, color in (
        (result.kl, result.kl_drawn, result.kl_error, "KL, nats", GREEN),
        (result.w2, result.w2_drawn, result.w2_error, "W₂", ORANGE),
    ):
        seen = theory > 1e-12
        fig.add_trace(draw.line(x[seen], theory[seen], name, color), row=1, col=2)
        # Only where so many draws can tell the gap from nothing, by theory and not by what they gave.
        ok = theory[result.few.astype(int) - 1] > np.maximum(4 * error, 1e-12)
        dots = draw.points(result.few[ok], mean[ok], f"{name}, draws", color, standard_error=error[ok], showlegend=False)
        fig.add_trace(dots, row=1, col=2)
    last = result.kl[-1]
    if last > 1e-12:
        slope = (x[x >= 8] / x[-1]) ** result.exponent * last
        fig.add_trace(draw.guide(x[x >= 8], slope, f"slope {result.exponent:.3g}"), row=1, col=2)
    for col in (1, 2):
        draw.mark_x(fig, result.at, "K", col=col)
        fig.update_xaxes(range=[-0.05, np.log10(600)], row=1, col=col)
    fig.update_yaxes(range=[-0.15, 3.1], row=1, col=1)
    seen = np.concatenate([result.kl[7:], result.w2[7:]])
    seen = seen[seen > 1e-12]
    low, high = (np.floor(np.log10(seen.min())), np.ceil(np.log10(seen.max()))) if seen.size else (-3.0, 0.0)
    fig.update_yaxes(range=[low - 0.5, high + 0.2], row=1, col=2)
    return fig


def draw_growth_map(plane: GrowthMap) -> go.Figure:
    a, s = plane.data_smoothness, plane.noise_smoothness
    fig = draw.figure("data smoothness a", "noise smoothness s", x_range=(a[0], a[-1]), y_range=(s[0], s[-1]), height=540)
    fig.add_trace(
        draw.heatmap(
            a,
            s,
            plane.exponent,
            "growth exponent of KL",
            zmin=0.8,
            zmax=3.0,
            hovertemplate="a %{x:.2f}<br>s %{y:.2f}<br>KL grows as K^%{z:.2f}<extra></extra>",
        )
    )
    half = plane.dimension / 2
    ends = np.array([0.5, 3.0])
    fig.add_trace(draw.boundary(ends, ends, ""))
    fig.add_trace(draw.boundary(a[[0, -1]], np.full(2, half), "", dash="dash"))
    edge = np.array([max(0.5, half), min(4.0, 3.0 + half)])
    fig.add_trace(draw.boundary(edge, edge - half, "", dash="dot"))
    fig.add_trace(draw.on_map(1.3, 2.6, "rougher than the noise:<br>faster than K"))
    fig.add_trace(draw.on_map(2.0, 2.55, "a = s: no gap"))
    fig.add_trace(draw.on_map(3.55, half + 0.08, "trace class above"))
    fig.add_trace(draw.on_map(3.25, 1.5 if half < 1 else 0.5, "in the noise's<br>Cameron–Martin space:<br>still as K"))
    return fig


def draw_spectrum(result: Spectrum) -> go.Figure:
    fig = draw.panels(
        [("mode k", "variance"), ("mode k", "eigenvalue")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["What comes back", "The domain's spectrum"],
        widths=[0.62, 0.38],
        height=500,
    )
    k = result.mode
    fig.add_trace(draw.guide(k, result.noise, "noise"), row=1, col=1)
    fig.add_trace(draw.line(k, result.data, "data", GRAY, width=6, opacity=0.5), row=1, col=1)
    fig.add_trace(draw.line(k, result.continuum, "infinitely many steps", GREEN, dash="dash"), row=1, col=1)
    fig.add_trace(draw.line(k, result.scheme, "these steps", BLUE), row=1, col=1)
    some = np.unique(np.rint(np.geomspace(1, k.size, 32)).astype(int)) - 1
    fig.add_trace(
        draw.points(
            k[some],
            result.sampled[some],
            "draws ± 2 SE",
            BLUE,
            standard_error=result.standard_error[some],
            size=5,
        ),
        row=1,
        col=1,
    )
    fig.add_trace(draw.guide(k, result.weyl, "Weyl's law", showlegend=False), row=1, col=2)
    fig.add_trace(draw.points(k, result.eigenvalue, "eigenvalues", VERMILLION, size=4, showlegend=False), row=1, col=2)
    low = min(float(result.data.min()), float(result.scheme.min()), float(result.sampled.min()))
    fig.update_yaxes(range=[np.floor(np.log10(low)) - 0.2, 1.5], row=1, col=1)
    for col in (1, 2):
        fig.update_xaxes(range=[-0.05, np.log10(1.15 * k[-1])], row=1, col=col)
    return fig


def draw_points(result: Reconstruction) -> go.Figure:
    fig = draw.panels(
        [("angle", "function"), ("points n", "rms error, norm over the circle")],
        log_x=[False, True],
        log_y=[False, True],
        titles=[f"From {result.point.size} points", "Error against points"],
        widths=[0.55, 0.45],
        height=480,
    )
    fig.add_trace(draw.line(result.angle, result.value, "function", GRAY, width=5, opacity=0.5), row=1, col=1)
    fig.add_trace(draw.line(result.angle, result.rebuilt, "rebuilt", BLUE, width=2), row=1, col=1)
    fig.add_trace(draw.points(result.point, result.at_point, "what is seen", VERMILLION, size=5), row=1, col=1)
    below = result.theory > 0
    fig.add_trace(draw.line(result.n_points[below], result.theory[below], "missed and folded (theory)", GREEN), row=1, col=2)
    fig.add_trace(
        draw.points(
            result.n_points, result.error, "draws ± 2 SE", GREEN, standard_error=np.where(below, result.standard_error, 0.0)
        ),
        row=1,
        col=2,
    )
    draw.mark_x(fig, result.enough, "2F + 1", col=2)
    fig.update_xaxes(range=[0, 2 * np.pi], row=1, col=1)
    fig.update_xaxes(range=[0.9, 3.05], row=1, col=2)
    fig.update_yaxes(range=[-16.5, 1], row=1, col=2)
    return fig


def draw_transfer(result: Transfer) -> go.Figure:
    fig = draw.panels(
        [("vertices of the mesh", "distance of laws, mean projected W₁"), ("rotation, degrees", "")],
        log_x=[True, False],
        log_y=[True, True],
        titles=["Meshed anew", "Turned"],
        height=500,
    )
    n = result.vertices
    fig.add_trace(draw.line(n, result.intrinsic, "own modes", BLUE), row=1, col=1)
    fig.add_trace(
        draw.points(n, result.intrinsic_drawn, "samples ± 2 SE", BLUE, standard_error=result.intrinsic_error), row=1, col=1
    )
    level = np.full(n.size, result.extrinsic_here)
    fig.add_trace(draw.line(n, level, "coordinates, at this rotation", VERMILLION), row=1, col=1)
    fig.add_trace(draw.guide(n, np.full(n.size, result.floor), "samples of the truth itself"), row=1, col=1)
    fig.add_trace(draw.guide(n, result.intrinsic[0] * n[0] / n, "slope −1", showlegend=False), row=1, col=1)
    fig.add_trace(draw.line(result.degrees, result.extrinsic, "coordinates", VERMILLION, showlegend=False), row=1, col=2)
    fig.add_trace(draw.line(result.degrees, result.turned, "own modes", BLUE, showlegend=False), row=1, col=2)
    fig.add_trace(
        draw.points(
            [result.at],
            [result.extrinsic_drawn],
            "samples ± 2 SE",
            VERMILLION,
            standard_error=[result.extrinsic_error],
            showlegend=False,
        ),
        row=1,
        col=2,
    )
    fig.update_xaxes(range=[np.log10(140), np.log10(2300)], row=1, col=1)
    fig.update_xaxes(range=[-5, 185], dtick=45, row=1, col=2)
    for col in (1, 2):
        fig.update_yaxes(range=[-3.2, 0.2], row=1, col=col)
    return fig


WORDS = r"""
A function on a domain of dimension $d$ is a series in Laplace eigenfunctions $\phi_k$. With $u_k=\lambda_k/\lambda_1$ data have variances
$v_k=u_k^{-a}$ about smooth means, noise has $r_k=u_k^{-s}$; on the interval $v_k=k^{-2a}$, $r_k=k^{-2s}$. Each mode follows
$$dX_k=-\tfrac12X_k\,dt+\sqrt{r_k}\,dW_k,\qquad \mathrm{Var}\,X_k(t)=v_ke^{-t}+r_k(1-e^{-t}),$$
the functional diffusion of paper 388. By Weyl's law $u_k\sim k^{2/d}$, so that $\sum_kr_k<\infty$, noise of **trace class**, means $s>d/2$.
White noise ($s=0$) is no function: its norm is $K$, and grows with every mode that is kept.

**Way back** (simulation). Data are a mixture over means, heat kernels at points of the domain; so the score of functions is exact, with
shares of the components that all modes decide together: $dX=[X/2+R\nabla\log p_t]dt+\sqrt R\,dW$ backward, or its deterministic
half. Times are geometric down to $\min(1,v_K/r_K)/100$: equal steps $h$ would leave a relative error $r_Kh/v_K$ in the last mode's variance.

**Gap at the horizon** (theory). Stationary noise stands in for the law at $T$. With $q_k=1+(v_k/r_k-1)e^{-T}$,
$$\mathrm{KL}=\tfrac12\sum_{k\le K}(q_k-1-\log q_k),\qquad W_2^2=\sum_{k\le K}r_k(\sqrt{q_k}-1)^2 .$$
For $a>s$ KL grows as $K$, each high mode adding $\frac12(-\log(1-e^{-T})-e^{-T})$; for $a<s$ as $K^{1+2(s-a)/d}$; before $v_K/r_K$ passes $e^T$ even as
$K^{1+4(s-a)/d}$. At every finite $T$ it diverges unless $v_k/r_k\to1$: there is no region in which stopping early is free in KL, smooth as
the data may be. $W_2$ is finite whenever data and noise are of trace class. Right of the line $a=s+d/2$ data lie in the Cameron–Martin space
of the noise.

**What comes back** (theory and simulation). For Gaussian data the variance after the steps is an exact recursion. Started at the law
at $T$ it tends to $v_k$, first order in the steps; started at noise to $v_k+G_k^2r_k(1-q_k)$, $G_k=v_ke^{-T/2}/(r_kq_k)$: for $a<s$ high
modes are never found, as the noise has no energy there to shape.

**Points and meshes.** On the circle $2F+1$ points fix a function of frequencies up to $F$ (388's sampling theorem); fewer miss what lies above
and fold it down, an error $2\sum_{f>(n-1)/2}v$ in the mean square. On a surface (333) the modes of a mesh depend on lengths of
edges only: turning it changes nothing, meshing it anew costs about $1/n$. A field over coordinates, here a kernel average of the
trained one, is asked at the wrong places as soon as the surface turns. Distances are taken at 42 landmarks.

**Where it stops.** Scores are exact: no network is trained, and images, weather and molecules are not reproduced. The constant mode is left
out. The torus is flat, drawn as a ring. High eigenvalues of the
bumpy mesh (1,442 vertices) fall below Weyl's law. The true law of *New mesh, new pose* is that of a mesh of 7,842 vertices.
"""

LAB = Lab(
    title="Function-space diffusion",
    question="Which noise survives infinite resolution?",
    views=[
        View(
            "Way back",
            "sampler",
            field_draws,
            draw_fields,
            "Press play. Functions come back from noise of smoothness s (left) and from white noise (right), with the same random numbers. "
            "White noise is as large as its number of modes; watch the scales.",
            controls=("domain", "noise_smoothness", "data_smoothness", "modes", "components", "horizon"),
        ),
        View(
            "Cost of modes",
            "scaling curve",
            mode_growth,
            draw_growth,
            "Trace-class noise keeps a finite energy while white noise grows with K; yet KL left at the horizon grows without end in both. "
            "Lines are exact, points draws.",
            controls=("domain", "noise_smoothness", "data_smoothness", "horizon", "modes"),
        ),
        View(
            "Growth exponent",
            "phase diagram",
            growth_map,
            draw_growth_map,
            "The power of K with which terminal KL grows at K modes. Data smoother than noise pay one unit a mode; rougher data pay more and "
            "more; only on a = s nothing is left.",
            controls=("domain", "data_smoothness", "noise_smoothness", "horizon", "modes"),
            click=("data_smoothness", "noise_smoothness"),
        ),
        View(
            "Mode by mode",
            "spectrum",
            mode_spectrum,
            draw_spectrum,
            "Blue should lie on gray. Where it leaves the green dashes steps are too few; where green leaves gray noise is the wrong start.",
            controls=("domain", "noise_smoothness", "data_smoothness", "steps", "start", "reverse", "modes", "draws"),
        ),
        View(
            "Enough points",
            "scaling curve",
            enough_points,
            draw_points,
            "From 2F + 1 points on a function on the circle is rebuilt to rounding; below, what is missed folds down onto what is seen.",
            controls=("points", "modes", "data_smoothness", "seed"),
        ),
        View(
            "New mesh, new pose",
            "scaling curve",
            mesh_transfer,
            draw_transfer,
            "A law of fields on a bumpy sphere, carried by the mesh's own modes (blue) and by coordinates in space (red).",
            controls=("rotation", "data_smoothness", "components", "seed"),
        ),
    ],
    presets={
        "White noise blows up": {"view": "Cost of modes", "noise_smoothness": 0.0, "modes": 512},
        "Trace class": {"view": "Cost of modes", "noise_smoothness": 1.0, "modes": 512},
        "Matched decay (a = s)": {"view": "Cost of modes", "noise_smoothness": 1.5, "data_smoothness": 1.5},
        "Noise too smooth": {"view": "Mode by mode", "noise_smoothness": 2.0, "data_smoothness": 1.0},
        "Fields on the sphere": {
            "view": "Way back",
            "domain": "sphere",
            "noise_smoothness": 1.5,
            "data_smoothness": 2.0,
            "modes": 255,
        },
        "Fields on a bumpy sphere": {"view": "Way back", "domain": "bumpy sphere", "noise_smoothness": 1.5, "data_smoothness": 2.0},
        "Too few points": {"view": "Enough points", "points": 31, "data_smoothness": 0.8},
        "Rotated mesh": {"view": "New mesh, new pose", "rotation": 90.0},
    },
    words=WORDS,
    papers={"388": "own object", "333": "miniature"},
)
