"""Excess mass of overfitted mixtures, seen by Orlicz-Wasserstein distances."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.transport_bridges.orlicz_wasserstein import (
    Coupling,
    Draws,
    OutlierMap,
    OwnFit,
    Rates,
    Regularized,
    Stray,
    outlier_map,
    own_mixture,
    plane_coupling,
    posterior_draws,
    price_of_sinkhorn,
    rates,
    stray_atom,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, VERMILLION, faded

LEAST_MASS = 1e-6  # on logarithmic axes
HUES = (BLUE, GREEN, VERMILLION, PURPLE)


def pretty(name: str) -> str:
    """A Young function as it is printed."""
    return {"exp(x)-1": "eˣ − 1", "exp(x^2)-1": "exp(x²) − 1", "x^1": "x", "x^2": "x²"}.get(name, name)


def titled(name: str) -> str:
    """A distance's name, ``"W, phi"``, with its Young function as it is printed."""
    return f"W, {pretty(name.removeprefix('W, '))}" if name.startswith("W, ") else name


def _circles(center: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    turn = np.linspace(0, 2 * np.pi, 73)
    return draw.broken(center[:, :1] + radius * np.cos(turn), center[:, 1:] + radius * np.sin(turn))


def draw_coupling(result: Coupling) -> go.Figure:
    fig = draw.panels(
        [("first coordinate", "second coordinate"), ("distance moved", "share of the price")],
        titles=["True and fitted mixing measure", "What each distance sees"],
        widths=[0.6, 0.4],
        height=500,
    )
    faint = {"size": 3, "color": faded(GRAY, 0.5)}
    data = go.Scatter(x=result.data[:, 0], y=result.data[:, 1], mode="markers", marker=faint, name="data", hoverinfo="skip")
    fig.add_trace(data.update(showlegend=False), row=1, col=1)
    x, y = _circles(result.atoms, result.radius)
    ring = go.Scatter(x=x, y=y, mode="lines", line={"color": GRAY, "width": 1, "dash": "dot"}, hoverinfo="skip", showlegend=False)
    fig.add_trace(ring, row=1, col=1)
    ends = np.stack([result.atoms[result.pair[:, 0]], result.means[result.pair[:, 1]]], axis=1)
    x, y = draw.broken(ends[..., 0], ends[..., 1])
    fig.add_trace(draw.line(x, y, "plan", GRAY, width=1.2, showlegend=False), row=1, col=1)
    stars = {"symbol": "star", "size": 15, "color": ORANGE, "line": {"color": "#24292f", "width": 1}}
    for mask, name, color in ((~result.is_outlier, "fitted atoms", BLUE), (result.is_outlier, "outlying atoms", VERMILLION)):
        marker = {"size": 9 + 34 * np.sqrt(result.weights[mask]), "color": color, "opacity": 0.8}
        dots = go.Scatter(x=result.means[mask, 0], y=result.means[mask, 1], mode="markers", marker=marker, name=name)
        fig.add_trace(dots.update(text=[f"weight {w:.3g}" for w in result.weights[mask]]), row=1, col=1)
    true = go.Scatter(x=result.atoms[:, 0], y=result.atoms[:, 1], mode="markers", marker=stars, name="true atoms")
    fig.add_trace(true, row=1, col=1)
    for (name, share), color in zip(result.budget.items(), (GRAY, VERMILLION), strict=True):
        x, y = draw.broken(*(np.stack([a, b], axis=1) for a, b in ((result.budget_distance[name],) * 2, (0 * share, share))))
        shown = titled(name.replace("W, x", "W₁") if name == "W, x" else name)
        stem = draw.line(x, y, shown, color, width=1.6, showlegend=False, hoverinfo="skip")
        fig.add_trace(stem.update(legendgroup=shown), row=1, col=2)
        dots = draw.points(result.budget_distance[name], share, shown, color, legendgroup=shown)
        fig.add_trace(dots, row=1, col=2)
    reach = result.reach
    far = max(float(result.pair_distance.max()), result.radius)
    fig.update_layout(
        xaxis={"range": [-reach, reach]},
        yaxis={"range": [-reach, reach], "scaleanchor": "x"},
        xaxis2={"range": [0, 1.1 * far]},
        yaxis2={"range": [0, 1.15 * max(float(s.max()) for s in result.budget.values())]},
    )
    draw.mark_x(fig, result.radius, "r", col=2)
    return fig.update_layout(legend_itemsizing="constant")


def _shown(values: np.ndarray) -> np.ndarray:
    """Without what a logarithmic axis cannot hold."""
    return np.where(values > LEAST_MASS, values, np.nan)


def draw_rates(result: Rates) -> go.Figure:
    fig = draw.panels(
        [("samples n", "distance to the truth"), ("samples n", f"mass beyond r = {result.radius:.3g}")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["All of the measure", "Its outliers"],
    )
    ends = np.array([float(result.n[0]), float(result.n[-1])])
    for (name, values), color in zip(result.distance.items(), (BLUE, GREEN, VERMILLION), strict=True):
        bars = result.distance_error[name]
        dots = draw.points(result.n, values, titled(name), color, standard_error=bars)
        fig.add_trace(dots.update(mode="lines+markers", line={"color": color, "width": 1.5}), row=1, col=1)
    first = max(float(v[0]) for v in result.distance.values())
    fig.add_trace(draw.guide(ends, 1.6 * first * (ends / ends[0]) ** -0.25, "slope −1/4", showlegend=False), row=1, col=1)
    outliers = draw.points(result.n, _shown(result.outlying), "outlying mass", PURPLE, standard_error=result.outlying_error)
    fig.add_trace(outliers, row=1, col=2)
    bound = draw.line(result.n, _shown(result.bound), "at most, 1/Φ(r/W)", VERMILLION, dash="dash")
    fig.add_trace(bound, row=1, col=2)
    if result.prior.max() > LEAST_MASS:
        fig.add_trace(draw.line(result.n, _shown(result.prior), "base measure's share", GRAY, dash="dot"), row=1, col=2)
    for col in (1, 2):
        fig.update_xaxes(range=[float(np.log10(ends[0])) - 0.08, float(np.log10(ends[1])) + 0.08], row=1, col=col)
    fig.update_yaxes(range=[-1.3, 1.0], row=1, col=1)
    fig.update_yaxes(range=[-6, 0.1], row=1, col=2)
    return fig


def draw_stray(result: Stray) -> go.Figure:
    fig = draw.panels(
        [("mass ε of the stray atom", "distance of the two measures"), ("radius r in units of W", "most mass beyond r")],
        log_x=[True, False],
        log_y=[True, True],
        titles=["Cost of one stray atom", "Read backwards"],
    )
    top = max(float(w[-1]) for w in result.distance.values())
    for (name, values), color in zip(result.distance.items(), HUES, strict=False):
        label = pretty(name)
        fig.add_trace(draw.line(result.mass, values, f"Φ = {label}", color, legendgroup=name), row=1, col=1)
        dots = draw.points(result.checked_mass, result.checked[name], "algorithm", color, size=6, legendgroup=name)
        fig.add_trace(dots.update(showlegend=False), row=1, col=1)
        tail = draw.line(result.ratio, _shown(result.beyond[name]), label, color, legendgroup=name, showlegend=False)
        fig.add_trace(tail, row=1, col=2)
    draw.mark_x(fig, result.at, "ε", col=1)
    fig.update_xaxes(range=[-8, 0.05], row=1, col=1)
    fig.update_yaxes(range=[np.log10(top) - 5, np.log10(top) + 0.3], row=1, col=1)
    fig.update_xaxes(range=[1, 12], row=1, col=2)
    fig.update_yaxes(range=[-6, 0.1], row=1, col=2)
    return fig


def draw_map(result: OutlierMap) -> go.Figure:
    low, high = float(result.n[0]), float(result.n[-1])
    fig = draw.figure("samples n", "outlier radius r", log_x=True, log_y=True, x_range=(low, high), y_range=(0.3, 20))
    heat = draw.heatmap(result.n, result.radius, result.log_mass, "mass beyond r", zmin=-6, zmax=0)
    heat.colorbar.update(tickvals=[-6, -4, -2, 0], ticktext=["10⁻⁶", "10⁻⁴", "1%", "1"])
    fig.add_trace(heat)
    for values, name, at, dash in (
        (result.one_percent, "1%", 0.9, "dash"),
        (result.prior_takes_over, "above: mostly base measure", 0.5, "solid"),
    ):
        kept = np.isfinite(values)
        if kept.any():
            fig.add_trace(draw.boundary(result.n[kept], values[kept], name, at=at, dash=dash))
    return fig


def draw_film(result: Draws) -> go.Figure:
    fig = draw.panels(
        [("location", "weight"), ("draw", "distance or mass")],
        log_y=[True, True],
        titles=["Draw of the mixing measure", "So far"],
        widths=[0.56, 0.44],
        height=480,
    )
    floor = 1e-5
    last = len(result.weights) - 1

    def stems(k: int) -> dict[str, np.ndarray]:
        x, y = draw.broken(
            np.repeat(result.means[k][:, None], 2, axis=1),
            np.stack([np.full(result.weights[k].size, floor), result.weights[k]], axis=1),
        )
        return {"x": x.astype(np.float32), "y": y.astype(np.float32)}

    def tips(k: int) -> dict[str, np.ndarray]:
        return {"x": result.means[k], "y": result.weights[k]}

    share = np.full(result.atoms.size, 1 / result.atoms.size)
    for atom in result.atoms:
        for side in (atom - result.radius, atom + result.radius):
            fig.add_shape(
                type="line", x0=side, x1=side, y0=floor, y1=1, line={"color": GRAY, "dash": "dot", "width": 1}, row=1, col=1
            )
    stem = go.Scatter(**stems(last), mode="lines", line={"color": BLUE, "width": 2}, hoverinfo="skip", showlegend=False)
    fig.add_trace(stem, row=1, col=1)
    fig.add_trace(draw.points(**tips(last), name="atoms drawn", color=BLUE), row=1, col=1)
    stars = {"symbol": "star", "size": 13, "color": ORANGE, "line": {"color": "#24292f", "width": 1}}
    fig.add_trace(go.Scatter(x=result.atoms, y=share, mode="markers", marker=stars, name="true atoms"), row=1, col=1)
    draws = np.arange(1, last + 2)
    series = [*result.distance.items(), ("outlying mass", result.outlying)]
    for (name, values), color in zip(series, (BLUE, GREEN, VERMILLION, PURPLE), strict=True):
        fig.add_trace(draw.line(draws, np.maximum(values, floor), titled(name), color, width=1.6), row=1, col=2)
    clock = go.Scatter(x=[draws[-1]] * 2, y=[floor, 10], mode="lines", line={"color": GRAY, "width": 1}, showlegend=False)
    fig.add_trace(clock, row=1, col=2)
    reach = float(np.abs(result.means).max()) + 1
    fig.update_xaxes(range=[-reach, reach], row=1, col=1)
    fig.update_yaxes(range=[-5, 0.1], row=1, col=1)
    fig.update_xaxes(range=[0.5, last + 1.5], row=1, col=2)
    fig.update_yaxes(range=[-5, 1], row=1, col=2)
    frames = [[stems(k), tips(k), {"x": [int(draws[k])] * 2, "y": [floor, 10]}] for k in range(last + 1)]
    return draw.movie(fig, frames, [str(k) for k in draws], traces=[0, 1, 7], prefix="draw ", milliseconds=140)


def draw_sinkhorn(result: Regularized) -> go.Figure:
    low = 0.75 * float(result.epsilon[0])
    top = 1.1 * max(result.independent, float(result.plain.max()))
    fig = draw.figure(
        "regularization ε, in units of the cost", "W, by the entropic cost", log_x=True, x_range=(low, 4), y_range=(0, top)
    )
    ends = np.array([low, 4.0])
    fig.add_trace(draw.guide(ends, np.full(2, result.independent), "plan of independent pairs"))
    fig.add_trace(draw.line(ends, np.full(2, result.exact), "exact, by linear programs", GRAY))
    for name, values, color in (("with its entropy", result.plain, VERMILLION), ("debiased", result.debiased, BLUE)):
        dots = draw.points(result.epsilon, values, name, color)
        fig.add_trace(dots.update(mode="lines+markers", line={"color": color, "width": 1.5}))
    return fig


def draw_own(result: OwnFit) -> go.Figure:
    top = 1.3 * float(max(result.density.max(), result.overfitted_density.max()))
    fig = draw.figure(
        "your column", "density, or weight of an atom", x_range=(result.x[0], result.x[-1]), y_range=(0, max(top, 1.02))
    )
    bars = go.Bar(x=result.center, y=result.density, marker={"color": faded(GRAY, 0.35)}, name="column", hoverinfo="skip")
    fig.add_trace(bars.update(width=float(result.edges[1] - result.edges[0])))
    fig.add_trace(draw.line(result.x, result.reference_density, "few atoms", ORANGE, dash="dash"))
    fig.add_trace(draw.line(result.x, result.overfitted_density, "overfitted", BLUE))
    (means, weights), (few, few_weights) = result.overfitted, result.reference
    for mask, name, color in ((~result.is_outlier, "its atoms", BLUE), (result.is_outlier, "outlying atoms", VERMILLION)):
        if mask.any():
            fig.add_trace(draw.points(means[mask], weights[mask], name, color, size=9))
    stars = {"symbol": "star", "size": 13, "color": ORANGE, "line": {"color": "#24292f", "width": 1}}
    fig.add_trace(go.Scatter(x=few, y=few_weights, mode="markers", marker=stars, name="few atoms' own", showlegend=False))
    top = max(top, 1.2 * float(max(weights.max(), few_weights.max())))
    return fig.update_yaxes(range=[0, top])


LAB = Lab(
    title="Orlicz-Wasserstein distances",
    question="How much mass is left where no atom should be?",
    views=[
        View(
            "Excess atoms",
            "geometry",
            plane_coupling,
            draw_coupling,
            "Stars: true atoms; dots: an overfitted mixing measure, area by weight, red beyond r of every star; lines: the optimal plan. "
            "Right: W₁ prices mass times distance, an exponential Φ spends its price on the far pairs.",
            controls=("phi", "power_p", "outlier_radius", "estimator", "truncation", "n_samples", "true_atoms", "spacing", "seed"),
        ),
        View(
            "Rates",
            "scaling curve",
            rates,
            draw_rates,
            "Distances fall slowly, because atoms that share a cluster settle slowly; mass far from all true atoms falls much faster. No "
            "fit can lie above the dashed line; without the cut the posterior mean cannot lie below the dotted one.",
            controls=("phi", "outlier_radius", "estimator", "n_samples", "truncation", "repeats", "concentration", "seed"),
        ),
        View(
            "One stray atom",
            "scaling curve",
            stray_atom,
            draw_stray,
            "Left: moving a mass ε by D costs ε^(1/p) D in W_p, but D/log(1 + 1/ε) for the exponential: it hardly forgets a rare atom. "
            "Right: so a given W leaves exponentially little mass far out.",
            controls=("stray_mass", "stray_distance", "shown_power"),
        ),
        View(
            "Outlying mass",
            "phase diagram",
            outlier_map,
            draw_map,
            "Mean mass of fits farther than r from every true atom. Above the solid line most of it is atoms without data, from the "
            "base measure of the Dirichlet process.",
            controls=("estimator", "truncation", "concentration", "prior_width", "spacing", "repeats", "seed"),
            click=("n_samples", "outlier_radius"),
        ),
        View(
            "Draws of the posterior",
            "sampler",
            posterior_draws,
            draw_film,
            "Sweeps of the Gibbs sampler on the line, from atoms at random points. Dotted: r from the true atoms. Atoms without data "
            "wander over the base measure with little weight.",
            controls=("n_samples", "truncation", "concentration", "prior_width", "outlier_radius", "draws_shown", "seed"),
        ),
        View(
            "Price of entropy",
            "scaling curve",
            price_of_sinkhorn,
            draw_sinkhorn,
            "The distance of the first view when each transport cost is replaced by its entropic value, as by Sinkhorn's iteration: "
            "debiased it comes from below, with its entropy from above.",
            controls=("sinkhorn_epsilon", "phi", "truncation", "n_samples", "seed"),
        ),
        View(
            "Your data",
            "distribution",
            own_mixture,
            draw_own,
            "A column fitted with K atoms and with few, at a given width of the components; red: atoms of the large fit beyond r widths of "
            "the small one's.",
            controls=("data", "kernel_width", "truncation", "true_atoms", "outlier_radius", "phi", "refits", "seed"),
        ),
    ],
    presets={
        "Far stray atoms": {"view": "Excess atoms", "phi": "exp(x^2)-1", "n_samples": 200, "concentration": 5.0},
        "Overfit by seven": {"view": "Excess atoms", "estimator": "EM", "truncation": 10, "true_atoms": 3},
        "Small n": {"view": "Excess atoms", "n_samples": 50, "outlier_radius": 1.0},
        "Dirichlet process": {"view": "Rates", "estimator": "Dirichlet process"},
        "Maximum likelihood": {"view": "Rates", "estimator": "EM", "truncation": 10, "outlier_radius": 0.5, "repeats": 8},
        "Rare atoms": {"view": "One stray atom", "stray_mass": 1e-6, "shown_power": 4.0},
        "A wide base measure": {"view": "Outlying mass", "prior_width": 20.0, "concentration": 5.0},
        "Atoms that wander": {"view": "Draws of the posterior", "concentration": 10.0, "n_samples": 100, "truncation": 30},
    },
    words=r"""
**The distance** (paper 402). For a convex $\Phi$ with $\Phi(0)=0$,
$$W_\Phi(\mu,\nu)=\inf_{\pi}\inf\{k>0:\ E_\pi\Phi(|x-y|/k)\le 1\},$$
which is $W_p$ for $\Phi=x^p$. On the line the monotone coupling is optimal for every $k$, and one equation in $k$ remains. In the plane a
plan gives its own $k$, that $k$ the plan that is optimal at it, and so on: $k$ falls at each turn until the optimal cost at $k$ is $1$,
after two to five linear programs. The paper computes it by Sinkhorn divergences; *Price of entropy* shows what that changes.

**Why it sees outliers.** A stray atom of mass $\varepsilon$ at distance $D$ costs $W_\Phi=D/\Phi^{-1}(1/\varepsilon)$. By Markov's inequality
on the optimal plan, mass of a fit farther than $r$ from all true atoms is at most $1/\Phi(r/W_\Phi)$: if $W_\Phi$ tends to zero like a
power of $1/\log n$ and $\Phi$ is exponential, that bound falls almost like a power of $n$. This is how a slow rate for all parameters and a
fast one for outliers go together. Jensen: $W_1\le\Phi^{-1}(1)\,W_\Phi$.

**Simulation.** Normal components of known width 1, $m$ true atoms of equal weight at spacing $\Delta$; all lengths are in widths. *EM*:
maximum likelihood with $K$ atoms, the better of two starts, 100 iterations. *Dirichlet process*: blocked Gibbs sampling of a stick cut at
$K$ atoms, base measure $N(0,t^2)$; the plane shows one draw, rates and map posterior means. For the uncut process
$$E[G(A)\mid x]=\frac{\alpha\,G_0(A)+E\,\#\{i:\ \text{atom of }x_i\in A\}}{\alpha+n}\ \ge\ \frac{\alpha\,G_0(A)}{\alpha+n},$$
the dotted line: atoms without data, a slope of $-1$. Where all $K$ atoms are taken by data the cut process falls below it.

**Your data.** Width of the components as a share of the column's standard deviation: it is given, not fitted. Reference: the likeliest
mixture of few atoms. Intervals: percentiles of refits to resampled rows, each started from the fit of all rows, so that they do not show
other local maxima.

**Where it stops.** The theorem is asymptotic; up to $n=20\,000$ one sees ordering and slopes, not its constants. EM may end in a local
maximum, and overfitted atoms converge slowly within a cluster. In the plane atoms lighter than $10^{-6}$ are left out of the plan.
""",
    papers={"402": "own object"},
)
