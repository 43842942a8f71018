"""Four ways to diffuse a category on the simplex."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.simplex_diffusions import (
    Bits,
    Errors,
    Film,
    GumbelMap,
    OneParticle,
    errors,
    film,
    gumbel_map,
    message_bits,
    one_particle,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, PURPLE, VERMILLION, faded

COLORS = {
    "jacobi": BLUE,
    "gumbel": VERMILLION,
    "gumbel, published field": VERMILLION,
    "gumbel, exact field": ORANGE,
    "sphere": GREEN,
    "bayesian flow": PURPLE,
}
MOST_NAMED = 13  # corners that carry a number
N_TRAILS = 16
LEAST_ERROR = 6e-3  # drawn


def draw_film(result: Film) -> go.Figure:
    fig = draw.panels(
        [("", ""), ("category", "share of strings")],
        titles=["First token of each string", "Nearest vertex"],
        widths=[0.62, 0.38],
        height=520,
    )
    corner, K = result.corner, result.exact.size
    closed = np.vstack([corner, corner[:1]])
    edge = go.Scatter(x=closed[:, 0], y=closed[:, 1], mode="lines", line={"color": GRAY, "width": 1.5}, hoverinfo="skip")
    fig.add_trace(edge.update(showlegend=False), row=1, col=1)
    x, y = draw.broken(*result.position[:, :N_TRAILS].T)
    trails = go.Scatter(x=x, y=y, mode="lines", line={"color": faded(GRAY, 0.35), "width": 1}, hoverinfo="skip")
    fig.add_trace(trails.update(showlegend=False), row=1, col=1)
    if K <= MOST_NAMED:
        name = {
            "mode": "text",
            "text": [f"{k + 1}" for k in range(K)],
            "textfont": {"color": GRAY, "size": 14},
            "cliponaxis": False,
        }
        fig.add_trace(
            go.Scatter(x=1.11 * corner[:, 0], y=1.11 * corner[:, 1], hoverinfo="skip", showlegend=False, **name), row=1, col=1
        )
    # The still picture shows strings on their way, before they vanish into the corners.
    at = round(0.45 * (result.progress.size - 1))
    x, y = result.position[at].T
    marker = draw.grouped(result.token % len(PALETTE), PALETTE, 5, opacity=0.75)
    cloud = go.Scatter(x=x, y=y, mode="markers", marker=marker, name="strings", showlegend=False)
    category = np.arange(1, K + 1)
    fig.add_trace(cloud, row=1, col=1)
    moving = len(fig.data) - 1
    fig.add_trace(go.Bar(x=category, y=result.exact, marker={"color": GRAY, "opacity": 0.4}, name="law of the data"), row=1, col=2)
    shares = draw.points(category, result.share[at], "generated ± 2 SE", BLUE, standard_error=result.share_error)
    fig.add_trace(shares, row=1, col=2)
    low = float(corner[:, 1].min())
    fig.update_layout(
        xaxis={"range": [-1.2, 1.2], "visible": False},
        yaxis={"range": [low - 0.16, 1.2], "visible": False, "scaleanchor": "x"},
        xaxis2={"range": [0.4, K + 0.6], "dtick": 1 if K <= MOST_NAMED else 10},
        yaxis2={"range": [0, min(1.02, 1.6 * float(max(result.exact.max(), result.share.max())))]},
    )
    frames = [[{"x": p[:, 0], "y": p[:, 1]}, {"x": category, "y": s}] for p, s in zip(result.position, result.share, strict=True)]
    # Of the panels the cloud and the shares move.
    labels = [f"{share:.0%}" for share in result.progress]
    return draw.movie(fig, frames, labels, traces=[moving, moving + 2], prefix="of the way: ", milliseconds=110, at=at)


def draw_errors(result: Errors) -> go.Figure:
    is_steps = result.against == "steps"
    ends = (8.0, 1.25 * float(result.x[-1])) if is_steps else (1.7, 24.0)
    fig = draw.figure(
        "steps" if is_steps else "categories",
        "total variation of strings",
        log_x=True,
        log_y=True,
        x_range=ends,
        y_range=(LEAST_ERROR, 1.0),
    )
    least = np.full(result.x.size, LEAST_ERROR)
    fig.add_trace(draw.band(result.x, least, np.maximum(result.floor, least), "below the noise of exact strings", GRAY))
    shown = np.where(result.unmasking > 1e-9, result.unmasking, np.nan)
    fig.add_trace(draw.line(result.x, shown, "masked diffusion, exact", GRAY, dash="dash"))
    # Theory of the points of the same color.
    limit = draw.line(result.x, result.gumbel_limit, "argmax of Gumbel's interpolant, exact", ORANGE, dash="dot")
    fig.add_trace(limit.update(showlegend=False))
    for name, values in result.error.items():
        bars = result.standard_error[name]
        dots = draw.points(result.x, np.maximum(values, 1e-4), name, COLORS[name], standard_error=bars)
        fig.add_trace(dots.update(mode="lines+markers", line={"color": COLORS[name], "width": 1.5}))
    return fig


def draw_particle(result: OneParticle) -> go.Figure:
    color = COLORS[result.process]
    top = 1.25 * float(max(result.theory.max(), (result.simulation + 2 * result.standard_error).max()))
    low = 0.0
    if result.spectral is not None:
        low = float(max(min(1.1 * result.spectral.min(), 0.0), -0.4 * top))
    width = float(result.center[1] - result.center[0])
    fig = draw.figure(result.coordinate, "density", x_range=(0, result.center[-1] + width / 2), y_range=(low, top))
    fig.add_trace(draw.line(result.center, result.theory, "exact law", color, line_shape="hvh"))
    if result.spectral is not None:
        fig.add_trace(draw.line(result.center, result.spectral, "spectral sum, cut", ORANGE, dash="dash", line_shape="hvh"))
    bars = result.standard_error
    fig.add_trace(draw.points(result.center, result.simulation, "simulation ± 2 SE", color, standard_error=bars))
    return fig


def draw_bits(result: Bits) -> go.Figure:
    span = max(result.independent - result.entropy, 0.25)
    low, high = result.entropy - 0.35 * span, result.independent + 0.35 * span
    fig = draw.figure("steps n", "bits per string", log_x=True, x_range=(0.8, 80), y_range=(low, high))
    ends = np.array([0.8, 80.0])
    fig.add_trace(draw.guide(ends, np.full(2, result.entropy), "entropy of the strings"))
    if result.independent > result.entropy + 1e-9:
        fig.add_trace(
            draw.line(ends, np.full(2, result.independent), "as if tokens were independent", GRAY, dash="dash", width=1.5)
        )
    limit, error = result.continuous, 2 * result.continuous_error
    fig.add_trace(draw.band(ends, np.full(2, limit - error), np.full(2, limit + error), "continuous loss ± 2 SE", GREEN))
    fig.add_trace(draw.points(result.steps, result.total, "n steps ± 2 SE", PURPLE, standard_error=result.standard_error))
    return fig


def draw_map(result: GumbelMap) -> go.Figure:
    fig = draw.figure("decay of the temperature λ", "Gumbel noise parameter β", log_y=True, x_range=(1, 10), y_range=(0.5, 10))
    fig.add_trace(
        draw.heatmap(result.decay, result.beta, result.error, "total variation", zmin=0, zmax=max(0.5, float(result.error.max())))
    )
    ends = np.array([1.0, 10.0])
    order = np.argsort(result.kept_from)[::-1]
    lost = [k for k in order if 0.5 < result.kept_from[k] < 10]
    # Of many thresholds only the first and the last can carry words.
    for rank, k in enumerate(lost):
        level = np.full(2, result.kept_from[k])
        text = f"category {k + 1} has no fixed point below" if rank == 0 else ""
        fig.add_trace(go.Scatter(draw.boundary(ends, level, f"category {k + 1}", dash="solid")).update(text=["", ""]))
        if text:
            fig.add_trace(draw.on_map(6.6, float(level[0]) * 1.12, text))
        elif rank == len(lost) - 1:
            fig.add_trace(draw.on_map(6.6, float(level[0]) / 1.14, f"below: only category {order[-1] + 1} is left"))
    return fig


LAB = Lab(
    title="Simplex diffusions",
    question="Which way to diffuse a category on the simplex returns the right law?",
    views=[
        View(
            "Back to the vertices",
            "sampler",
            film,
            draw_film,
            "Each point is the first token of a string, colored by where it ends. Jacobi sticks fill the triangle, bridges on the sphere "
            "and a Bayesian flow leave its middle, Gumbel's interpolant starts there and knows its vertex already.",
            controls=("process", "steps", "categories", "law", "length", "copying", "gumbel_field", "guidance", "seed"),
        ),
        View(
            "Error of the law",
            "scaling curve",
            errors,
            draw_errors,
            "Total variation between generated strings and their law. In the gray band no sampler of so many strings can be told from an "
            "exact one. Gumbel's interpolant keeps the error of its own argmax (dotted) however many steps it takes.",
            controls=("against", "steps", "strings", "categories", "length", "copying", "law", "seed"),
        ),
        View(
            "One particle",
            "distribution",
            one_particle,
            draw_particle,
            "A coordinate of one particle on its way to category 1, against its exact law. With few terms the published spectral sum "
            "rings, even below zero, near the vertex.",
            controls=("process", "progress", "categories", "terms", "strings", "seed"),
        ),
        View(
            "Bits of a Bayesian flow",
            "scaling curve",
            message_bits,
            draw_bits,
            "What a string costs to send in n steps. One token costs its entropy for every n; several cost more, because the receiver "
            "expects their messages to be independent within a step.",
            controls=("length", "copying", "categories", "law", "beta1", "draws", "seed"),
        ),
        View(
            "Where Gumbel's field loses categories",
            "phase diagram",
            gumbel_map,
            draw_map,
            "Error of the published Gumbel field. White: β below which a category has no fixed point of the field, so that it is lost as "
            "λ grows; the dark region above is safe.",
            controls=("gumbel_beta", "decay", "gumbel_start", "categories", "law", "seed"),
            click=("decay", "gumbel_beta"),
        ),
    ],
    presets={
        "Dirichlet heat": {"view": "Back to the vertices", "process": "jacobi", "length": 1},
        "Sphere from the center": {"view": "Back to the vertices", "process": "sphere"},
        "Bayesian flow": {"view": "Back to the vertices", "process": "bayesian flow"},
        "Gumbel breaks": {"view": "Back to the vertices", "process": "gumbel", "gumbel_beta": 1.5, "decay": 10.0, "length": 1},
        "Gumbel holds": {"view": "Back to the vertices", "process": "gumbel", "gumbel_beta": 10.0, "length": 1},
        "Gumbel from noise alone": {
            "view": "Where Gumbel's field loses categories",
            "gumbel_start": "noise alone",
        },
        "Independent messages, correlated tokens": {"view": "Bits of a Bayesian flow", "length": 3, "copying": 0.9},
        "One token costs its entropy": {"view": "Bits of a Bayesian flow", "length": 1},
        "Too few terms": {"view": "One particle", "process": "jacobi", "terms": 4, "progress": 0.75},
    },
    words=r"""
**Data.** Strings of $L\le 3$ tokens in $K$ categories: each copies the one before with chance $c$, else is drawn from $p$. A process
$x_t$ noises every token by itself, so that the posterior over vertices, what a network would learn, is known exactly; each reverse
drift is its mean over drifts to single vertices.

**Jacobi** (paper 221). Sticks $v_j$, $x_1=v_1$, $x_2=(1-v_1)v_2,\dots$, each with
$dv=\tfrac s2[a(1-v)-bv]\,dt+\sqrt{s\,v(1-v)}\,dW$, $a=1$, $b=K-j$: their stationary law is Dirichlet$(1,\dots,1)$. The paper's exact
score is the spectral sum $\sum_n e^{-\lambda_nt}P_n(v_0)P_n(v)/h_n$ with $\lambda_n=\tfrac s2n(n-1+a+b)$, which loses its digits at
short times. Here the same density is summed with positive terms, over the number $m$ of lineages that a death process has left:
$v\sim\mathrm{Beta}(a+m,b)$ from $1$, $\mathrm{Beta}(a,b+m)$ from $0$. Sticks that a category leaves free start from their stationary law.

**Gumbel** (paper 005). $x_t=\mathrm{softmax}((e_k+g/\beta)/\tau)$, $\tau=10e^{-\lambda t}$, with the published velocity
$\frac\lambda\tau\sum_kw_kx_k(e_k-x)$. In $z=\beta\tau\log x$ the interpolant stands still, $z=\beta e_k+g$: its argmax and its posterior
are the same at every $t$, and the argmax is wrong with chance $(K-1)/(e^\beta+K-1)$. The published field, derived without the noise, is
$$\frac{dz}{ds}=\beta\,w(z)-z,\qquad s=\lambda t,\qquad w_k\propto p_k\Big[\sum_ie^{-z_i}+(e^\beta-1)e^{-z_k}\Big]^{-K}:$$
the temperature has dropped out, and $\lambda$ says how long the field runs. It pulls towards fixed points $z=\beta w(z)$; where noise is
strong the rarer categories have none. This form and the thresholds on the map are derived here. *Interpolant's law* starts from $z$ at
$t=0$ as in training, where $x$ is near the middle though $z$ tells the category; *noise alone* starts from $z=g$. Guidance adds
$\gamma\,x\circ(e_1-x_1\mathbf 1)$, the straight-through gradient of a linear classifier for category 1.

**Sphere** (paper 267). $u=\sqrt p$ and bridges $dX=\frac{1}{1-t}\log_X(e_k)\,dt+\sigma\,dB$ from the middle. The distance to $e_k$ is a
diffusion by itself, $dr=[-\frac r{1-t}+\frac{\sigma^2}2(K-2)\cot r]dt+\sigma dB$, solved by finite volumes (theory of *One particle*).
The sampler weighs vertices by the likelihood of the whole path: that drift gives the same law at every time as the mean given $X_t$, which
the paper's network learns with a radial approximation.

**Bayesian flow** (paper 253). $y\sim N(b(Ke_k-1),bK I)$ at accuracy $b=\beta_1t^2$; the posterior is $\propto p_k e^{y_k}$. The cost of a
string is the $n$-step loss plus the reconstruction, or $K\beta_1\int t\,E|e_x-\hat p|^2dt$ in continuous time. Along a run of one token the
cost is $-\log p(x)$ exactly, by the chain rule.

**Masked diffusion** with $n$ parallel steps is drawn for comparison, by an exact sum over which tokens share a step.

**Where it stops.** Independent sticks have the Dirichlet law but are not the Wright-Fisher diffusion. For one token, Bayesian flow and
masked diffusion are exact for any number of steps; the others show the error of Euler's steps. With finite $\lambda$ Gumbel's samples
are still inside the simplex at $t=1$. No sequences, proteins or text are learned.
""",
    papers={"005": "own object", "221": "own object", "267": "miniature", "253": "own object"},
)
