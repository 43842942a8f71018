"""Exact diffusion on circles, spheres and rotations."""

from __future__ import annotations

from functools import cache

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.riemannian_heat_kernels import (
    AngleLaw,
    Classes,
    ErrorMap,
    Flow,
    Terms,
    angle_law,
    reverse_flow,
    rotation_classes,
    score_errors,
    terms_needed,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, VERMILLION

GRID_LINE = {"color": "rgba(128,128,128,0.45)", "width": 1}


@cache
def _graticule() -> tuple[np.ndarray, np.ndarray]:
    """Meridians and parallels of Hammer's map, every 30 degrees, broken by gaps."""
    lines = []
    fine = np.linspace(-90, 90, 61)
    for longitude in (*range(-150, 180, 30), -179.999, 179.999):
        lines.append((np.full(fine.size, longitude), fine))
    for latitude in range(-60, 90, 30):
        lines.append((2 * fine, np.full(fine.size, latitude)))
    x, y = [], []
    for longitude, latitude in lines:
        lon, lat = np.radians(longitude), np.radians(latitude)
        scale = np.sqrt(1 + np.cos(lat) * np.cos(lon / 2))
        x.append(2 * np.sqrt(2) * np.cos(lat) * np.sin(lon / 2) / scale)
        y.append(np.sqrt(2) * np.sin(lat) / scale)
    return draw.broken(x, y)


def draw_flow(flow: Flow) -> go.Figure:
    is_sphere = flow.surface == "sphere"
    fig = draw.panels(
        [("", ""), ("mode", "share of points")], titles=["Points", "Mass of each mode"], widths=[0.7, 0.3], height=480
    )
    if is_sphere:
        x, y = _graticule()
        fig.add_trace(go.Scatter(x=x, y=y, mode="lines", line=GRID_LINE, hoverinfo="skip", showlegend=False), row=1, col=1)
        fig.update_xaxes(range=[-2.9, 2.9], visible=False, row=1, col=1)
        fig.update_yaxes(range=[-1.48, 1.48], visible=False, scaleanchor="x", row=1, col=1)
    else:
        fig.update_xaxes(range=[-np.pi, np.pi], title="first angle", row=1, col=1)
        fig.update_yaxes(range=[-np.pi, np.pi], title="second angle", row=1, col=1)
    moving = len(fig.data)
    marker = draw.grouped(flow.owner % len(PALETTE), PALETTE, 4, opacity=0.8)
    last = flow.position[-1]
    cloud = go.Scatter(x=last[:, 0], y=last[:, 1], mode="markers", marker=marker, name="points, colored by where they end")
    fig.add_trace(cloud.update(showlegend=False), row=1, col=1)
    ring = {"symbol": "circle-open", "size": 15, "color": GRAY, "line": {"width": 2}}
    fig.add_trace(go.Scatter(x=flow.center[:, 0], y=flow.center[:, 1], mode="markers", marker=ring, name="modes"), row=1, col=1)
    mode = np.arange(1, flow.mass.size + 1)
    fig.add_trace(go.Bar(x=mode, y=flow.exact_mass, marker={"color": GRAY, "opacity": 0.4}, name="exact samples"), row=1, col=2)
    fig.add_trace(draw.points(mode, flow.mass, "points ± 2 SE", BLUE, standard_error=flow.mass_error), row=1, col=2)
    # A movie wipes a panel in which nothing changes.
    shares = len(fig.data) - 1
    fig.update_xaxes(dtick=1, row=1, col=2)
    fig.update_yaxes(range=[0, 1.35 * float(max(flow.exact_mass.max(), flow.mass.max()))], row=1, col=2)
    frames = [[{"x": p[:, 0], "y": p[:, 1]}, {"x": mode, "y": flow.mass}] for p in flow.position]
    labels = [f"{age:.3g}" for age in flow.age]
    return draw.movie(fig, frames, labels, traces=[moving, shares], prefix="age of the kernels τ + t = ", milliseconds=130)


def draw_errors(result: ErrorMap) -> go.Figure:
    fig = draw.panels(
        [("time t", "terms kept n"), ("time t", "error of the score, relative")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Error of the truncated sum", "Of the forms for short times"],
        widths=[0.56, 0.44],
        gap=0.22,
    )
    trace = draw.heatmap(result.time, result.terms, np.log10(result.error), "relative error", zmin=-8, zmax=1)
    trace.colorbar.update(x=0.445, tickvals=[-8, -6, -4, -2, 0], ticktext=["10⁻⁸", "10⁻⁶", "10⁻⁴", "1%", "100%"], len=0.9)
    fig.add_trace(trace, row=1, col=1)
    fig.add_trace(draw.boundary(result.time, result.switch, "switch", at=0.5), row=1, col=1)
    for name, error, color in (("Varadhan, −θ/t", result.varadhan, ORANGE), ("parametrix, first order", result.parametrix, BLUE)):
        fig.add_trace(draw.line(result.time, error, name, color), row=1, col=2)
    n = int(np.argmin(np.abs(np.log(result.terms / result.at[1]))))
    fig.add_trace(draw.line(result.time, result.error[n], f"sum of {result.terms[n]:.0f} terms", GREEN, dash="dash"), row=1, col=2)
    draw.mark_x(fig, result.at[0], "t", col=2)
    fig.update_xaxes(range=[-3, 1], row=1, col=1)
    fig.update_xaxes(range=[-3, 1], row=1, col=2)
    fig.update_yaxes(range=[0, np.log10(result.terms[-1])], row=1, col=1)
    fig.update_yaxes(range=[-12.3, 2], row=1, col=2)
    return fig


def draw_terms(result: Terms) -> go.Figure:
    fig = draw.figure("time t", "terms for ten digits", log_x=True, log_y=True, x_range=(1e-3, 100), y_range=(0.8, 400))
    for space, color in (("circle", BLUE), ("SU(2)", VERMILLION)):
        fig.add_trace(draw.line(result.time, result.eigen[space], f"eigenfunctions, {space}", color, line_shape="hv"))
        fig.add_trace(draw.line(result.time, result.dual[space], f"windings, {space}", color, dash="dot", line_shape="hv"))
    fig.add_trace(draw.guide(result.time[:120], 2.2 * np.pi / np.sqrt(result.time[:120]), "slope −1/2"))
    draw.mark_x(fig, 2 * np.pi, "2π")
    return fig


def draw_angle(law: AngleLaw) -> go.Figure:
    top = 1.35 * float(law.density.max())
    low = min(-0.06 * top, 1.1 * max(float(law.truncated.min()), -0.5 * top))
    fig = draw.figure("angle to the start θ", "density", x_range=(0, np.pi), y_range=(low, top))
    fig.add_trace(draw.guide(law.theta, law.uniform, "uniform, t → ∞"))
    fig.add_trace(draw.line(law.theta, np.clip(law.truncated, 10 * low, 3 * top), f"sum of {law.terms} terms", GREEN, dash="dash"))
    fig.add_trace(draw.line(law.theta, law.parametrix, "parametrix", ORANGE, dash="dot"))
    fig.add_trace(draw.line(law.theta, law.density, "exact", BLUE))
    fig.add_trace(draw.points(law.centers, law.walkers, "random walkers ± 2 SE", BLUE, standard_error=law.standard_error, size=5))
    return fig


def draw_classes(result: Classes) -> go.Figure:
    fig = draw.figure("θ₁", "θ₂", x_range=(-np.pi, np.pi), y_range=(-np.pi, np.pi), height=520)
    fig.add_trace(draw.heatmap(result.theta, result.other, result.density, "density of eigenvalue angles", zmin=0))
    turn = np.linspace(-np.pi, np.pi, 3)
    walls = [(turn, turn)]
    walls += [(turn, -2 * turn + 2 * np.pi * k) for k in (-1, 0, 1)] + [(-2 * turn + 2 * np.pi * k, turn) for k in (-1, 0, 1)]
    x, y = zip(*walls, strict=True)
    fig.add_trace(draw.strokes(x, y, "#ffffff", 1, name="two eigenvalues equal").update(line_dash="dot"))
    return fig


LAB = Lab(
    title="Riemannian heat kernels",
    question="What does exact diffusion look like on circles, spheres and rotations?",
    views=[
        View(
            "Back from uniform",
            "sampler",
            reverse_flow,
            draw_flow,
            "Points start uniform and follow the exact score of a mixture of heat kernels back in time, by geodesic steps; the right "
            "panel holds where they end to exact samples. The sphere is shown on Hammer's equal-area map.",
            controls=("surface", "n_modes", "age", "steps", "points", "seed"),
        ),
        View(
            "Which sum, when",
            "phase diagram",
            score_errors,
            draw_errors,
            "A truncated sum over eigenfunctions is exact for long times and nonsense for short ones; the parametrix is the reverse. "
            "On the white line the bound on the neglected tail meets the parametrix's error: that is where to switch.",
            controls=("space", "dimension", "time", "truncation"),
        ),
        View(
            "Law of the angle",
            "distribution",
            angle_law,
            draw_angle,
            "How far Brownian motion has gone after a time t. Too few terms ripple, even below zero; the parametrix fails once the far "
            "side is reached.",
            controls=("space", "dimension", "time", "truncation", "walkers", "seed"),
        ),
        View(
            "Terms needed",
            "scaling curve",
            terms_needed,
            draw_terms,
            "Terms for ten digits: eigenfunctions grow as t^(−1/2) towards short times, windings towards long ones; Poisson summation "
            "trades one for the other, and on the circle they meet at 2π.",
        ),
        View(
            "Classes of SU(3)",
            "field",
            rotation_classes,
            draw_classes,
            "Eigenvalue angles of a random SU(3) matrix: at short times near the identity but never equal (dotted), at long times Haar's.",
        ),
    ],
    presets={
        "Five modes on the sphere": {"view": "Back from uniform", "surface": "sphere", "n_modes": 5},
        "Ten modes on the torus": {"view": "Back from uniform", "surface": "torus", "n_modes": 10},
        "Short time: the sum fails": {"view": "Law of the angle", "space": "sphere", "time": 0.01, "truncation": 10},
        "Long time: the parametrix fails": {"view": "Law of the angle", "space": "sphere", "time": 2.0},
        "Sphere of dimension 64": {"view": "Which sum, when", "space": "sphere of any dimension", "dimension": 64},
        "SU(2) and its dual": {"view": "Which sum, when", "space": "SU(2)", "time": 1.0},
        "Haar measure of SU(3)": {"view": "Classes of SU(3)", "time": 5.0},
    },
    words=r"""
**Heat kernels** (theory). For Brownian motion, generator $\frac12\Delta$, on the sphere $S^d$, with $\theta$ the angle to the start,
$$k_t(\theta)=\frac{1}{\mathrm{Vol}}\sum_{l\ge 0} h_l\,\hat P_l(\cos\theta)\,e^{-l(l+d-1)t/2},$$
$\hat P_l$ the Gegenbauer polynomial scaled to $\hat P_l(1)=1$ and $h_l$ the number of harmonics; the score is the term-wise derivative. On
the circle and on $\mathrm{SU}(2)=S^3$ Poisson summation turns it into a sum over windings of the geodesic. Paper 336, section 3, computes
kernels of symmetric spaces by these two sums in place of the approximations used before.

**Approximations.** Varadhan's score is $-\theta/t$. The parametrix of first order, with $m=(d-1)/2$,
$$k_t\approx(2\pi t)^{-d/2}\Big(\frac{\theta}{\sin\theta}\Big)^{m}e^{-\theta^2/2t}\,(1+t\,a_1),\qquad
a_1=\frac{m^2}{2}+\frac{m(m-1)}{2}\,\frac{\cot\theta-1/\theta}{\theta},$$
is derived here from the transport equation; on $S^3$ its score is exact but for windings. Errors of scores are root mean squares over
the exact law of the angle.

**Sampling** (simulation). The target is a mixture of heat kernels of age $\tau$ with unequal masses; $dX=\nabla\log p\,dt+dW$ runs
backward from uniform, with steps along geodesics and the exact score. What remains is the error of finite steps.

**SU(3)** is summed over its representations by Weyl's character formula, on the maximal torus.

**Where it stops.** Sums of alternating terms lose their digits near the far side at short times: there the windings or the parametrix
take over. For $\mathrm{SU}(3)$ no dual sum is built, so that times below $0.05$ are refused. Lattice gauge theory and learned
embeddings are not reproduced.
""",
    papers={"336": "own object"},
)
