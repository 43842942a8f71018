"""Do two groups of distributions differ, on any domain?"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from compute.transport_bridges.intrinsic_sliced_wasserstein import (
    Null,
    OwnGroups,
    Power,
    PowerMap,
    Slices,
    Turning,
    null_p_values,
    own_groups,
    power_curve,
    power_map,
    sliced_map,
    turning,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, PURPLE, VERMILLION, faded

GROUPS = (BLUE, VERMILLION)
SHADES = [[0.0, "#4a4a4a"], [0.5, "#9c9c9c"], [1.0, "#f4f4f4"]]  # of a slice: the hues belong to the groups
TEST_HUES = {"permutation": BLUE, "Cauchy": GREEN, "harmonic": PURPLE, "harmonic, not calibrated": GRAY}
AXES = {
    "interval": ("place", "slice φ"),
    "circle": ("angle", "slice φ"),
    "cylinder": ("angle", "height"),
    "sphere": ("longitude", "sine of latitude"),
    "bumpy surface": ("longitude of vertex", "sine of its latitude"),
    "grid graph": ("", ""),
    "random graph": ("", ""),
}
LIMITS = {
    "interval": ((-0.02, 1.02), (-1.6, 1.6)),
    "circle": ((-1.65, 4.8), (-0.65, 0.65)),
    "cylinder": ((-np.pi / 2, 3 * np.pi / 2), (0, 1)),
    "sphere": ((-np.pi, np.pi), (-1, 1)),
    "bumpy surface": ((-np.pi - 0.1, np.pi + 0.1), (-1.05, 1.05)),
    "grid graph": ((-1.1, 1.1), (-1.1, 1.1)),
    "random graph": ((-1.1, 1.1), (-1.1, 1.1)),
}
LEAST_REACH = 1.6  # of the map, in root mean square distances
QUIET: dict[str, Any] = {"hoverinfo": "skip", "showlegend": False}


def _reach(place: np.ndarray) -> list[float]:
    """The map's range: the same for all but a rare group with one distribution far out."""
    reach = max(LEAST_REACH, 1.08 * float(np.abs(place).max()))
    return [-reach, reach]


def _domain(fig: go.Figure, result: Slices) -> None:
    """The slice's function on the domain, dark where negative; on a line, as a curve."""
    canvas = result.canvas
    reach = float(np.abs(canvas.value).max())
    if canvas.value.ndim == 2:
        scale: dict[str, Any] = {"zmin": -reach, "zmax": reach, "showscale": False, "hoverinfo": "skip"}
        fig.add_trace(draw.heatmap(canvas.x, canvas.y, canvas.value, "", **scale).update(colorscale=SHADES), row=1, col=1)
    elif result.domain in ("interval", "circle"):
        fig.add_trace(draw.line(canvas.x, canvas.value, "slice", GRAY, showlegend=False), row=1, col=1)
    else:
        if canvas.edges is not None:
            fig.add_trace(draw.strokes(*canvas.edges, faded(GRAY, 0.35), 0.8), row=1, col=1)
        marker = {"color": canvas.value, "colorscale": SHADES, "cmin": -reach, "cmax": reach, "size": 9}
        fig.add_trace(go.Scatter(x=canvas.x, y=canvas.y, mode="markers", marker=marker, name="nodes", **QUIET), row=1, col=1)


def draw_slices(result: Slices) -> go.Figure:
    fig = draw.panels(
        [AXES[result.domain], ("level", f"slice φ, number {result.slice_shown}"), ("first axis", "second axis")],
        titles=["Points on the domain", "Quantiles of every distribution", "Map of the distributions"],
        widths=[0.36, 0.27, 0.37],
        height=480,
        gap=0.085,
    )
    _domain(fig, result)
    n = result.group_size
    for k, color in enumerate(GROUPS):
        x, y = result.points[k]
        dot = {"color": color, "size": 5, "opacity": 0.75, "line": {"color": "#ffffff", "width": 0.6}}
        fig.add_trace(go.Scatter(x=x, y=y, mode="markers", marker=dot, name="points", **QUIET), row=1, col=1)
        mine = slice(k * n, (k + 1) * n)
        opacity = float(np.clip(6 / n, 0.08, 0.4))
        fig.add_trace(draw.strokes(result.level, result.quantile[mine], faded(color, opacity), 1), row=1, col=2)
        mean = draw.line(result.level, result.mean_quantile[k], f"group {k + 1}", color, width=3.5, showlegend=False)
        fig.add_trace(mean, row=1, col=2)
        place = draw.points(result.place[mine, 0], result.place[mine, 1], f"group {k + 1}", color, size=9)
        fig.add_trace(place, row=1, col=3)
        star = {"color": color, "size": 19, "symbol": "star", "line": {"color": "#ffffff", "width": 1.5}}
        center = result.center[k]
        fig.add_trace(go.Scatter(x=center[:1], y=center[1:], mode="markers", marker=star, name="mean", **QUIET), row=1, col=3)
    (x_range, y_range) = LIMITS[result.domain]
    fig.update_xaxes(range=x_range, row=1, col=1)
    fig.update_yaxes(range=y_range, row=1, col=1)
    if result.domain.endswith("graph"):
        fig.update_xaxes(visible=False, row=1, col=1)
        fig.update_yaxes(visible=False, row=1, col=1)
    fig.update_xaxes(range=[0, 1], row=1, col=2)
    fig.update_xaxes(range=_reach(result.place), title_text=f"first axis: {result.share[0]:.0%} of variance", row=1, col=3)
    fig.update_yaxes(range=_reach(result.place), title_text=f"second axis: {result.share[1]:.0%}", row=1, col=3)
    return fig


def draw_turning(result: Turning) -> go.Figure:
    top = 1.35 * max(float(d.max()) for d in result.distance.values())
    fig = draw.figure("both turned by, degrees", "ISW of the two", x_range=(0, 360), y_range=(0, top))
    for (name, distance), color in zip(result.distance.items(), (VERMILLION, PURPLE, BLUE), strict=True):
        fig.add_trace(draw.line(result.angle, distance, name, color))
    fig.update_xaxes(dtick=45)
    return fig


def draw_power(result: Power) -> go.Figure:
    fig = draw.figure("effect", "share rejected at level 0.05", x_range=(-0.04, 2.04), y_range=(-0.03, 1.05))
    for name, power in result.power.items():
        color = TEST_HUES[name]
        shown = draw.points(result.effect, power, name, color, standard_error=result.standard_error[name])
        fig.add_trace(shown.update(mode="lines+markers", line={"color": color, "width": 1.8}))
    draw.mark_y(fig, 0.05, "level 0.05")
    return fig


def draw_null(result: Null) -> go.Figure:
    fig = draw.figure("p-value expected", "p-value found", log_x=True, log_y=True, x_range=(8e-4, 1.1), y_range=(1e-4, 1.3))
    fig.add_trace(draw.band(result.expected, result.low, result.high, "95% of uniform p-values", GRAY))
    ends = np.array([1e-4, 1.0])
    fig.add_trace(draw.guide(ends, ends, "calibrated", showlegend=False))
    for name, p in result.p_value.items():
        fig.add_trace(draw.points(result.expected, np.maximum(p, 1e-12), name, TEST_HUES[name], size=5))
    return fig


def draw_power_map(result: PowerMap) -> go.Figure:
    fig = draw.figure("distributions a group", "effect", log_x=True, x_range=(4.6, 109), y_range=(-0.06, 1.26))
    shown: dict[str, Any] = {
        "zmin": 0,
        "zmax": 1,
        "hovertemplate": "%{x:.0f} a group<br>effect %{y:.1f}<br>power %{z:.2f}<extra></extra>",
    }
    fig.add_trace(draw.heatmap(result.size, result.effect, result.power, "power", **shown))
    if result.half[0].size:
        x, y = result.half
        style = {"mode": "lines", "line": {"color": "#ffffff", "width": 2.5}}
        fig.add_trace(go.Scatter(x=x, y=y, name="power 1/2", **style, **QUIET))
        fig.add_trace(draw.on_map(50, 1.17, "white line: power ½"))
    return fig


def draw_own(result: OwnGroups) -> go.Figure:
    fig = draw.figure(
        f"first axis: {result.share[0]:.0%} of variance",
        f"second axis: {result.share[1]:.0%}",
        x_range=_reach(result.place),
        y_range=_reach(result.place),
        height=500,
    )
    group = np.array(result.group)
    for label, color in zip(result.labels, GROUPS, strict=True):
        mine = group == label
        names = [name for name, own in zip(result.name, mine, strict=True) if own]
        dots = draw.points(result.place[mine, 0], result.place[mine, 1], f"group {label}", color, size=10)
        fig.add_trace(dots.update(text=names, hovertemplate="%{text}<extra></extra>"))
    return fig


WORDS = r"""
Here a single observation is a whole distribution: one person's day of activity, one sensor's directions. Two groups of such are compared
on any domain that has a Laplacian (394).

**Slices.** Eigenfunctions $-\Delta\varphi_\ell=\lambda_\ell\varphi_\ell$ push a distribution from the domain to the line, where transport is
a matter of quantiles $Q_\ell$:
$$\mathrm{ISW}^2(\mu,\nu)=\sum_{\ell\le L}e^{-t\lambda_\ell}\,W_2^2\big(\varphi_{\ell\#}\mu,\varphi_{\ell\#}\nu\big)
=\sum_{\ell\le L}e^{-t\lambda_\ell}\int_0^1\big(Q_\ell^\mu-Q_\ell^\nu\big)^2 .$$
So every distribution is a vector, its weighted quantiles at 64 levels, and ISW is a Euclidean distance: means, maps and tests are the
ordinary ones. The constant eigenfunction is left out.

**Tests.** *Permutation*: the squared ISW of the groups' means against 999 shuffles of the labels (499 in the map), exact under exchangeability.
*Cauchy* and *harmonic*: a Welch test for every coordinate (slice × level, equal weights, so that $t$ does not concern them), combined as
$p=\tfrac12-\tfrac1\pi\arctan\,\mathrm{mean}\tan((\tfrac12-p_i)\pi)$ or by the harmonic mean, whose $1/h$ is compared with Landau's law
(Wilson 2019); uncalibrated, it rejects too often when many coordinates agree little.

**Groups.** A distribution is a main bump with a second one of share $0.2$. Group 2 has its main bump $e$ widths farther along (*mean*),
its bumps $e^{-e}$ times as wide (*concentration*), or a second share $0.2+0.4e$ (*mixture*). Within a group centers wander by $v$ widths,
log widths by $0.3v$, shares by $0.2v$. The sphere's eigenfunctions are harmonics; the bumpy surface is a mesh of 492 vertices
with the cotangent Laplacian; graphs have 144 nodes, and bumps on them are laid out in the picture.

**What is exact.** Eigenpairs (closed form; numerical on mesh and graphs), quantiles, the tests. Power and false alarms are simulations, bars
are two binomial standard errors; all tests see the same draws. A permutation set is shared by all draws of a run.

**Where it stops being true.** ISW separates laws only as far as its $L$ slices do; with $t\lambda_1\gg1$ only the slowest slice is heard.
Where eigenvalues are multiple (circle, cylinder, sphere, square grid) the distance depends on the basis chosen and is *not* invariant under the domain's
rotations: see *Turned together*. Averaging over eight random bases softens this, over many phases it removes it. The Welch tests
ask for roughly normal means, doubtful at 5 a group. Both combinations are approximate at level 0.05 under dependence. The effects and domains
are this lab's own, not the paper's data.
"""

LAB = Lab(
    title="Intrinsic sliced Wasserstein",
    question="Do two groups of distributions differ, on any domain?",
    views=[
        View(
            "From slices to a map",
            "geometry",
            sliced_map,
            draw_slices,
            "Each distribution is read off an eigenfunction (left), becomes a curve of quantiles (middle) and a dot (right); stars are the groups' means.",
            controls=("domain", "effect_kind", "effect", "slice_shown", "eigenfunctions", "decay"),
        ),
        View(
            "Power",
            "scaling curve",
            power_curve,
            draw_power,
            "At effect 0 every curve should touch the level; the one that climbs first sees the difference best.",
            controls=("domain", "effect_kind", "group_size", "decay", "draws"),
        ),
        View(
            "False alarms",
            "distribution",
            null_p_values,
            draw_null,
            "Two groups of one kind: points inside the band are honest p-values, points below it reject too often.",
            controls=("domain", "group_size", "draws", "eigenfunctions"),
        ),
        View(
            "Power map",
            "phase diagram",
            power_map,
            draw_power_map,
            "How many distributions a group make an effect visible: along the white line it is seen half the time.",
            controls=("domain", "effect_kind", "test", "decay", "draws"),
        ),
        View(
            "Turned together",
            "geometry",
            turning,
            draw_turning,
            "Two distributions on the circle turn together, so nothing should change: with cosine and sine alone the distance does, with many phases it does not.",
            controls=("effect", "eigenfunctions", "decay", "points_per_distribution"),
        ),
        View(
            "Your groups",
            "table",
            own_groups,
            draw_own,
            "Every dot is one of your distributions; near dots are alike in ISW. The p-values stand above.",
            controls=("data", "own_domain", "edges", "eigenfunctions", "decay"),
        ),
    ],
    presets={
        "Small shift on the circle": {"domain": "circle", "effect_kind": "mean", "effect": 0.3, "view": "From slices to a map"},
        "Null": {"effect": 0.0, "view": "From slices to a map"},
        "Concentration on the sphere": {
            "domain": "sphere",
            "effect_kind": "concentration",
            "effect": 0.4,
            "slice_shown": 2,
            "view": "From slices to a map",
        },
        "Mixture on a graph": {
            "domain": "grid graph",
            "effect_kind": "mixture",
            "effect": 0.6,
            "view": "From slices to a map",
        },
        "A bumpy surface": {"domain": "bumpy surface", "effect": 0.6, "slice_shown": 5, "view": "From slices to a map"},
        "Too much decay (blind)": {
            "domain": "interval",
            "effect_kind": "concentration",
            "decay": 1.0,
            "nuisance_variation": 0.6,
            "view": "Power",
        },
        "Many slices, small groups: calibrated?": {"eigenfunctions": 100, "group_size": 5, "draws": 400, "view": "False alarms"},
        "One frequency, turned": {"eigenfunctions": 2, "effect": 1.5, "view": "Turned together"},
    },
    words=WORDS,
    papers={"394": "own object"},
)
