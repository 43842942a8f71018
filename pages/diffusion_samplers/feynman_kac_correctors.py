"""Anneal, guide and multiply diffusion models correctly."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.feynman_kac_correctors import (
    Correction,
    Scaling,
    UnionMap,
    VarianceMap,
    Weights,
    correction,
    scaling,
    union_map,
    variance_map,
    weights,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, PALETTE, SIGNED, VERMILLION

SHARDS = (*PALETTE, GRAY)
NOISE = "noise level σ"


def draw_correction(result: Correction) -> go.Figure:
    regions = np.arange(1, len(result.modes) + 1)
    fig = draw.panels(
        [("x₁", "x₂"), ("x₁", ""), ("region", "mass")],
        titles=["Heuristic: no weights", "Corrected", "Where the mass ends"],
        widths=[0.35, 0.35, 0.3],
        gap=0.08,
        height=520,
    )
    clouds = ((result.heuristic, VERMILLION), (result.corrected, BLUE))
    line = {"mode": "lines", "line": {"color": GRAY, "width": 1.3}, "hoverinfo": "skip", "name": "exact target"}
    for col, (cloud, color) in enumerate(clouds, start=1):
        marker = {"color": color, "size": 4, "opacity": 0.6}
        fig.add_trace(
            go.Scatter(x=cloud[-1, :, 0], y=cloud[-1, :, 1], mode="markers", marker=marker, showlegend=False), row=1, col=col
        )
    for col in (1, 2):
        fig.add_trace(go.Scatter(x=result.contour[0], y=result.contour[1], showlegend=col == 1, **line), row=1, col=col)
        mark = {"color": GRAY, "size": 5, "symbol": "cross-thin", "line": {"color": GRAY, "width": 1.2}}
        fig.add_trace(
            go.Scatter(
                x=result.marks[:, 0],
                y=result.marks[:, 1],
                mode="markers",
                marker=mark,
                name="modes of the models",
                showlegend=col == 1,
                hoverinfo="skip",
            ),
            row=1,
            col=col,
        )
    last = result.noise_level.size - 1
    columns = (("exact", GRAY, -0.25), ("heuristic", VERMILLION, 0.0), ("corrected ± 2 SE", BLUE, 0.25))
    ends = (result.exact_mass, result.heuristic_mass, result.corrected_mass)
    for (name, color, shift), mass in zip(columns, ends, strict=True):
        bar = {"mode": "lines", "line": {"color": color, "width": 44 / regions.size}, "name": name}
        fig.add_trace(go.Scatter(draw.stems(regions + shift, np.zeros(regions.size), mass) | bar), row=1, col=3)
    error = {"mode": "lines", "line": {"color": "#555555", "width": 1.5}, "showlegend": False, "hoverinfo": "skip"}
    low, high = (np.maximum(result.corrected_mass + side * result.corrected_mass_error, 0) for side in (-2, 2))
    fig.add_trace(go.Scatter(draw.stems(regions + 0.25, low, high) | error), row=1, col=3)
    square = {"range": [-result.reach, result.reach]}
    fig.update_layout(
        **dict.fromkeys(("xaxis", "xaxis2", "yaxis", "yaxis2"), square),
        xaxis3={"tickmode": "array", "tickvals": regions, "range": [0.5, regions.size + 0.5]},
        yaxis3={"range": [0, 1.05]},
    )
    moving = [0, 1, len(fig.data) - 3, len(fig.data) - 2, len(fig.data) - 1]
    mass, error = result.corrected_path, 2 * result.corrected_path_error
    stems = [
        _stem_frames(regions, 0 * mass, result.heuristic_path),
        _stem_frames(regions + 0.25, 0 * mass, mass),
        _stem_frames(regions + 0.25, np.maximum(mass - error, 0), mass + error),
    ]
    frames = [
        [*({"x": cloud[k, :, 0], "y": cloud[k, :, 1]} for cloud, _ in clouds), *(stem[k] for stem in stems)]
        for k in range(last + 1)
    ]
    labels = [f"{s:.3g}" for s in result.noise_level]
    return draw.movie(fig, frames, labels, traces=moving, prefix="noise level σ = ", milliseconds=70)


def _stem_frames(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[dict[str, np.ndarray]]:
    """``draw.stems`` of each row of low and high, all at once."""
    place = np.float32(np.stack([x, x, np.nan * x], axis=1)).ravel()
    ends = np.float32(np.stack([low, high, np.nan * low], axis=2)).reshape(len(low), -1)
    return [{"x": place, "y": y} for y in ends]


def draw_weights(result: Weights) -> go.Figure:
    fig = draw.panels(
        [(NOISE, "effective fraction of particles"), (NOISE, "variance of log weights")],
        log_x=[True, True],
        titles=["How many particles count", "How far weights have parted"],
    )
    for col, (alone, chosen) in enumerate(
        ((result.effective_alone, result.effective), (result.log_variance_alone, result.log_variance)), start=1
    ):
        show = col == 1
        fig.add_trace(
            draw.line(result.noise_level, alone, "no resampling", VERMILLION, legendgroup="n", showlegend=show), row=1, col=col
        )
        if result.resampling != "none":
            fig.add_trace(
                draw.line(result.noise_level, chosen, f"resampling {result.resampling}", BLUE, legendgroup="c", showlegend=show),
                row=1,
                col=col,
            )
            at = result.resampled
            fig.add_trace(
                draw.points(result.noise_level[at], chosen[at], "drawn anew here", BLUE, size=8, legendgroup="r", showlegend=show),
                row=1,
                col=col,
            )
        fig.update_xaxes(autorange="reversed", row=1, col=col)
    fig.update_yaxes(range=[0, 1.03], row=1, col=1)
    fig.update_yaxes(rangemode="tozero", row=1, col=2)
    return fig


def draw_scaling(result: Scaling) -> go.Figure:
    fig = draw.panels(
        [("particles M", "W₁ to the target"), ("particles M", "error of the masses")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Distance to the target", "Mass in the wrong region"],
    )
    rows = (
        (result.corrected_w1, result.corrected_w1_error, result.heuristic_w1, result.exact_w1),
        (result.corrected_mass, result.corrected_mass_error, result.heuristic_mass, result.exact_mass),
    )
    for col, (corrected, error, heuristic, exact) in enumerate(rows, start=1):
        show = col == 1
        m = result.particles
        fig.add_trace(draw.line(m, heuristic, "heuristic", VERMILLION, legendgroup="h", showlegend=show), row=1, col=col)
        fig.add_trace(draw.line(m, exact, "exact samples", GREEN, dash="dash", legendgroup="e", showlegend=show), row=1, col=col)
        fig.add_trace(
            draw.points(m, corrected, "corrected ± 2 SE", BLUE, standard_error=error, legendgroup="c", showlegend=show),
            row=1,
            col=col,
        )
        fig.add_trace(
            draw.guide(m, corrected[0] * (m / m[0]) ** -0.5, "slope −½", legendgroup="g", showlegend=show), row=1, col=col
        )
        fig.update_xaxes(range=[0.85, 3.65], row=1, col=col)
    fig.update_yaxes(range=[-2, 0.6], row=1, col=1)
    fig.update_yaxes(range=[-3, 0.1], row=1, col=2)
    return fig


def draw_variance_map(result: VarianceMap) -> go.Figure:
    fig = draw.figure("power β", "top noise over width, σ_max/s", log_y=True, x_range=(0.2, 5), y_range=(2, 100))
    fig.add_trace(
        draw.heatmap(
            result.beta,
            result.ratio,
            result.excess,
            "log₂ heuristic variance ÷ true",
            scale=SIGNED,
            zmid=0,
            zmin=-1.5,
            zmax=1.5,
            hovertemplate="β %{x:.2f}<br>σ_max/s %{y:.3g}<br>log₂ ratio %{z:.2f}<extra></extra>",
        )
    )
    fig.add_trace(
        go.Contour(
            x=result.beta,
            y=result.ratio,
            z=result.excess,
            contours={"start": -1, "end": 4, "size": 0.25, "coloring": "lines", "showlabels": True, "labelfont": {"size": 11}},
            colorscale=[[0, "#24292f"], [1, "#24292f"]],
            line={"width": 0.8},
            showscale=False,
            hoverinfo="skip",
        )
    )
    for x, text in ((0.48, "too hot"), (3.2, "too cold: the heuristic keeps about half the variance")):
        fig.add_annotation(
            x=x, y=np.log10(60), text=text, showarrow=False, font={"color": "#24292f", "size": 14}, bgcolor="rgba(255,255,255,0.6)"
        )
    return fig


def draw_union_map(result: UnionMap) -> go.Figure:
    fig = draw.panels(
        [("x₁", "x₂"), ("x₁", ""), (NOISE, "weight of each shard")],
        titles=["Whose place is it", "Samples", "Attribution of one sample"],
        log_x=[False, False, True],
        widths=[0.35, 0.35, 0.3],
        gap=0.08,
        height=520,
    )
    n_shards = result.attribution.shape[1]
    steps = [[(k + end) / 8, color] for k, color in enumerate(SHARDS) for end in (0, 1)]
    x, y = (grid.ravel() for grid in np.meshgrid(result.axis, result.axis))
    side = {"size": 4.5, "opacity": 0.7, "colorscale": steps, "cmin": -0.5, "cmax": 7.5}
    last = len(result.noise_level) - 1
    fig.add_trace(
        go.Scatter(
            x=x, y=y, mode="markers", marker=side | {"color": result.owner[last].ravel()}, showlegend=False, hoverinfo="skip"
        ),
        row=1,
        col=1,
    )
    border = {"mode": "lines", "line": {"color": GRAY, "width": 1.5}, "hoverinfo": "skip", "name": "border of territories"}
    fig.add_trace(go.Scatter(x=result.border[last][0], y=result.border[last][1], showlegend=False, **border), row=1, col=1)
    near = int(np.argmin(np.abs(result.path_level - 0.05)))
    fig.add_trace(
        draw.points([result.path_level[near]], [result.attribution[near].max()], "this frame", GRAY, size=10, showlegend=False),
        row=1,
        col=3,
    )
    if result.dropped_shard:
        ghosts = result.forgotten_samples
        fig.add_trace(draw.points(ghosts[:, 0], ghosts[:, 1], "forgotten", GRAY, size=4, symbol="x-thin-open"), row=1, col=2)
    x, y = result.constant[-1].T
    fig.add_trace(draw.points(x, y, "constant weights", "#555555", size=3.5), row=1, col=2)
    x, y = result.cloud[-1].T
    owned = draw.grouped(result.cloud_owner, SHARDS, 3.5)
    fig.add_trace(draw.points(x, y, "posterior weights", BLUE).update(marker=owned, overwrite=True), row=1, col=2)
    moving = [0, 1, 2, len(fig.data) - 2, len(fig.data) - 1]
    shown = result.path_level > 0.02
    for k in range(n_shards):
        fig.add_trace(
            draw.line(result.path_level[shown], result.attribution[shown, k], f"shard {k + 1}", SHARDS[k], showlegend=False),
            row=1,
            col=3,
        )
    for col in (1, 2):
        fig.update_xaxes(range=[-result.reach, result.reach], row=1, col=col)
        fig.update_yaxes(range=[-result.reach, result.reach], row=1, col=col)
    fig.update_xaxes(autorange="reversed", row=1, col=3)
    fig.update_yaxes(range=[0, 1.03], row=1, col=3)
    frames = []
    for k, sigma in enumerate(result.noise_level):
        at = int(np.argmin(np.abs(result.path_level - max(sigma, 0.03))))
        frames.append(
            [
                {"marker": {"color": result.owner[k].ravel()}},
                {"x": result.border[k][0].astype(np.float32), "y": result.border[k][1].astype(np.float32)},
                {"x": [result.path_level[at]], "y": [result.attribution[at].max()]},
                *[{"x": cloud[k, :, 0], "y": cloud[k, :, 1]} for cloud in (result.constant, result.cloud)],
            ]
        )
    fig.update_layout(legend={"itemsizing": "constant"})
    labels = [f"{s:.3g}" for s in result.noise_level]
    return draw.movie(fig, frames, labels, traces=moving, prefix="noise level σ = ", milliseconds=90)


WORDS = r"""
Models $q_i$ with exact scores $s_i$ are composed: a power $q^\beta$ (*anneal*), $q_1^{1-w}q_2^{w}$ (*guidance*, $q_1$ all
classes, $q_2$ one), $\prod_i q_i$ (*product*), or $\sum_k\lambda_kq_k$ (*union*). Common practice adds the scores and runs the
sampler; the result is not the composed law.

**Correction** (037, propositions 3.1 to 3.3, here for variance-exploding noise $u=\sigma^2$). With exponents $b_i$ and $S=\sum_ib_is_i$,
particles $dx=\tfrac{1+c}2S\,du+\sqrt c\,dW$ with weights
$$d\log w=\tfrac12\Big(|S|^2-\sum_ib_i|s_i|^2\Big)du$$
have the law $\prod_iq_{i,u}^{b_i}$ at every noise level, for every $c\ge0$; $c=1$ is the paper's. That is
$\tfrac12\beta(\beta-1)|s|^2$ for a power, $\tfrac12w(w-1)|s_1-s_2|^2$ for guidance, $s_1\cdot s_2$ for a product of two. No divergence
of a score is needed. Particles are drawn anew by their weights, or carry them to the end.

**Union** (159). With $w_k\propto\lambda_kq_{k,u}(x)$ the score $\sum_kw_ks_k$ is that of the pooled data, with no weights to carry; dropping a shard
is setting $\lambda_k=0$, and $w_k$ says whose data a sample owes. Constant weights instead give a geometric mean.

**Theory.** For a Gaussian expert of variance $v_0$, $v_T=v_0+\sigma_{\max}^2$, the heuristic ends with variance
$\frac{v_0}{2\beta-1}+\left(\frac{v_T}\beta-\frac{v_T}{2\beta-1}\right)\left(\frac{v_0}{v_T}\right)^{2\beta}$ in place of $v_0/\beta$: at $\beta=3$,
$0.6$ of it. Exact masses and distances are quadratures on a $256^2$ grid; $W_1$ is the mean over 16 directions.

**The models.** *Anneal*: $K$ groups of equal mass, of 1, 3, 5, … modes; a power prefers the tightest, but from afar they look alike. *Guidance*: a class
with a mode at each of $K$ sites, which other classes share the more the later the site. *Product*: $K$ experts that agree at one of four sites and less and less at the others. *Union*: $K$ shards of
three modes.

**Integration.** A step freezes the denoisers of the narrowest common part and solves the rest exactly, which makes single Gaussians exact
at any step and is far less biased than Euler steps; the weight is a trapezoid sum.

**Where it stops being true.** A finite number of particles has a bias: few particles weigh only what they have found. Modes part early and
weights part late, so resampling kills whole families, and masses converge last; standard errors of masses are by families of common
ancestors. More noise ($c>1$) makes weights average out: at the defaults $c=2$ to $3$ errs four times less in the masses than $c=1$; beyond, steps are too
coarse for it. With equally shaped, well separated modes the heuristic's masses are nearly right, and it can be the better of the two at small $M$; these
models were built to tell them apart. Text-to-image and molecules are not reproduced; forgetting is exact because the scores are.
"""

LAB = Lab(
    title="Feynman–Kac correctors",
    question="What does it take to anneal, guide or multiply diffusion models correctly?",
    views=[
        View(
            "Heuristic and corrected",
            "sampler",
            correction,
            draw_correction,
            "Press play. Both clouds follow the same scores; only the corrected one weighs its particles, and ends on the exact target (gray).",
            controls=("operation", "beta", "experts", "noise_scale", "particles", "separation"),
        ),
        View(
            "Weights",
            "trajectory",
            weights,
            draw_weights,
            "From noise (left) to data (right): without resampling few particles end up owning the estimate; dots mark where they are drawn anew.",
            controls=("operation", "beta", "resampling", "noise_scale", "top_ratio"),
        ),
        View(
            "Error against particles",
            "scaling curve",
            scaling,
            draw_scaling,
            "More particles carry the corrected sampler toward the target; the heuristic stays at its bias.",
            controls=("operation", "beta", "experts", "noise_scale", "resampling"),
        ),
        View(
            "Variance of the heuristic",
            "phase diagram",
            variance_map,
            draw_variance_map,
            "White at β = 1, where nothing is composed: above it adding scores makes samples too cold, below too hot, without bound under ½.",
            controls=("beta", "top_ratio", "particles"),
            click=("beta", "top_ratio"),
        ),
        View(
            "Union and forgetting",
            "geometry",
            union_map,
            draw_union_map,
            "Left, the shard that owns each place as noise falls (play); middle, posterior weights rebuild the pooled data, constant weights "
            "collapse; right, when one sample's source is decided.",
            controls=("experts", "dropped_shard", "overlap", "separation"),
        ),
    ],
    presets={
        "Colder": {"operation": "anneal", "beta": 3.0, "view": "Heuristic and corrected"},
        "Warmer": {"operation": "anneal", "beta": 0.5, "view": "Heuristic and corrected"},
        "Guidance 4 with correction": {
            "operation": "guidance",
            "beta": 4.0,
            "experts": 4,
            "overlap": 0.8,
            "particles": 5000,
            "view": "Heuristic and corrected",
        },
        "Product of two experts": {"operation": "product", "experts": 2, "view": "Heuristic and corrected"},
        "The paper's own noise (c = 1)": {
            "operation": "anneal",
            "beta": 3.0,
            "noise_scale": 1.0,
            "view": "Error against particles",
        },
        "Forget a shard": {"experts": 5, "dropped_shard": 2, "view": "Union and forgetting"},
    },
    words=WORDS,
    papers={"037": "own object", "159": "own object"},
)
