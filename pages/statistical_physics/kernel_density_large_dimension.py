"""When do a few neighbors own a density estimate?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.statistical_physics.kernel_density_large_dimension import (
    Fluctuations,
    LogDensity,
    PhasePlane,
    Shares,
    fluctuations,
    log_density,
    phase_plane,
    shares,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GREEN, ORANGE, PURPLE, VERMILLION

LOAD_AXIS, BANDWIDTH_AXIS = "load α = log n / d", "bandwidth h"


def draw_phase_plane(plane: PhasePlane) -> go.Figure:
    fig = draw.figure(LOAD_AXIS, BANDWIDTH_AXIS, log_y=True, x_range=(0.05, 1.5), y_range=(0.1, 3.0))
    fig.add_trace(
        draw.heatmap(
            plane.load,
            plane.bandwidth,
            np.log10(plane.effective_number),
            "log₁₀ effective samples",
            hovertemplate="α %{x:.3f}<br>h %{y:.3f}<br>log₁₀ effective samples %{z:.2f}<extra></extra>",
        )
    )
    fig.add_trace(draw.boundary(plane.load, plane.gaussian, "h<sub>CLT</sub>", dash="dash", at=0.85))
    fig.add_trace(draw.boundary(plane.load, plane.condensation, "h<sub>G</sub>", at=0.85))
    fig.add_trace(draw.line(plane.load, plane.optimal, "KL-optimal h", ORANGE))
    for text, x, y in (("Gaussian", 1.15, 1.35), ("α-stable", 0.3, 1.03), ("extreme value", 0.28, 0.27)):
        fig.add_trace(draw.on_map(x, y, text))
    return fig


def draw_log_density(curve: LogDensity) -> go.Figure:
    fig = draw.figure(BANDWIDTH_AXIS, "(1/d) log ρ̂", log_x=True, y_range=(-3.5, -1.3))
    fig.add_trace(draw.guide(curve.bandwidth, curve.mean_density, "(1/d) log of the mean of ρ̂"))
    fig.add_trace(draw.line(curve.bandwidth, curve.limit, "limit d → ∞", VERMILLION))
    fig.add_trace(draw.line(curve.bandwidth, curve.finite, "exact at this d", BLUE, dash="dash"))
    if curve.simulation.size:
        fig.add_trace(
            draw.points(curve.simulated_bandwidth, curve.simulation, "simulation ± 2 SE", BLUE, standard_error=curve.standard_error)
        )
    draw.mark_y(fig, curve.truth, "truth, (1/d) log p")
    _mark_boundaries(fig, curve.condensation)
    return fig


def _mark_boundaries(fig: go.Figure, condensation: float) -> None:
    for x, text in ((condensation, "h<sub>G</sub>"), (np.sqrt(2) * condensation, "h<sub>CLT</sub>")):
        draw.mark_x(fig, x, text)


def draw_kl_gap(curve: LogDensity) -> go.Figure:
    fig = draw.figure(BANDWIDTH_AXIS, "gap to the truth, (1/d) log p/ρ̂", log_x=True, log_y=True)
    fig.add_trace(draw.line(curve.bandwidth, curve.truth - curve.limit, "limit d → ∞", VERMILLION))
    fig.add_trace(draw.line(curve.bandwidth, curve.truth - curve.finite, "exact at this d", BLUE, dash="dash"))
    if curve.simulation.size:
        gap = curve.truth - curve.simulation
        shown = gap > 0
        fig.add_trace(
            draw.points(
                curve.simulated_bandwidth[shown], gap[shown], "simulation ± 2 SE", BLUE, standard_error=curve.standard_error[shown]
            )
        )
    best = np.argmin(curve.truth - curve.limit)
    fig.add_trace(
        draw.points(
            [curve.bandwidth[best]], [curve.truth - curve.limit[best]], "least gap in the limit", VERMILLION, symbol="star", size=14
        )
    )
    best = np.argmin(curve.truth - curve.finite)
    fig.add_trace(
        draw.points(
            [curve.bandwidth[best]], [curve.truth - curve.finite[best]], "least gap at this d", BLUE, symbol="star", size=14
        )
    )
    _mark_boundaries(fig, curve.condensation)
    return fig


def draw_fluctuations(law: Fluctuations) -> go.Figure:
    fig = draw.panels(
        [("estimate over its mean, u", "P(ρ̂/E ρ̂ ≥ u)"), ("rank k of the term", "tail index")],
        log_x=[True, True],
        log_y=[True, False],
        titles=["Law of the estimate", "Hill fit to its terms"],
    )
    floor = 0.3 / law.ratio.size
    for values, name, color, dash in (
        (law.gaussian, "Gaussian of that variance", GREEN, "solid"),
        (law.largest_term, "largest term alone, exact", PURPLE, "solid"),
        (law.stable_slope, "slope −μ of the stable law", VERMILLION, "dash"),
    ):
        shown = (values > floor) & (values < 1) if name.startswith("slope") else values > floor
        fig.add_trace(draw.line(law.curve[shown], values[shown], name, color, dash=dash), row=1, col=1)
    fig.add_trace(draw.points(law.ratio, law.exceedance, "simulation", BLUE, size=5), row=1, col=1)
    fig.update_yaxes(range=[np.log10(floor), 0.1], row=1, col=1)
    fig.add_trace(draw.line(law.rank, law.hill_exact, "Hill index, exact at this n", BLUE, dash="dash"), row=1, col=2)
    fig.add_trace(
        draw.points(law.rank, law.hill, "Hill index ± 2 SE", BLUE, standard_error=law.hill_error, showlegend=False), row=1, col=2
    )
    fig.add_trace(draw.guide(law.rank, np.full(law.rank.size, law.tail_index), "limit μ = (h/h_G)²"), row=1, col=2)
    fig.update_yaxes(rangemode="tozero", row=1, col=2)
    return fig


def draw_shares(result: Shares) -> go.Figure:
    here = int(np.argmin(np.abs(np.log(result.bandwidth / result.at_bandwidth))))
    fig = draw.panels(
        [("sample, by rank", "share of the sum"), (BANDWIDTH_AXIS, "effective samples 1/Σp²")],
        log_x=[False, True],
        log_y=[True, True],
        titles=["Shares of the sum", "How many own it"],
    )
    rank = np.arange(1, result.share.shape[1] + 1)
    floor = 1e-6

    def stems(k: int) -> go.Scatter:
        share = np.maximum(result.share[k], floor)
        return go.Scatter(x=rank, y=share)

    fig.add_trace(draw.points(rank, np.maximum(result.share[here], floor), "share of each sample", BLUE, size=6), row=1, col=1)
    fig.add_trace(
        draw.points([result.bandwidth[here]], [result.effective_number[here]], "this frame", VERMILLION, size=12), row=1, col=2
    )
    fig.add_trace(draw.line(result.bandwidth, result.effective_number, "this draw", BLUE, width=1.5), row=1, col=2)
    fig.add_trace(draw.line(result.bandwidth, result.effective_exact, "exact mean", BLUE, dash="dash"), row=1, col=2)
    draw.mark_x(fig, result.condensation, "h<sub>G</sub>", row=1, col=2)
    fig.update_yaxes(range=[np.log10(floor), 0.1], row=1, col=1)
    frames = [[stems(k), go.Scatter(x=[result.bandwidth[k]], y=[result.effective_number[k]])] for k in range(result.bandwidth.size)]
    return draw.movie(fig, frames, [f"{h:.3g}" for h in result.bandwidth], traces=[0, 1], at=here, prefix="h = ")


WORDS = r"""
A standard Gaussian density in dimension $d$ is estimated from $n=e^{\alpha d}$ samples,
$\hat\rho(x)=(2\pi h^2)^{-d/2}\,\frac1n\sum_i w_i$ with $w_i=e^{-|x-y_i|^2/2h^2}$. The sum is the partition function of a
random energy model at inverse temperature $\ell=1/h^2$.

**The limit.** At $|x|^2=d$, $\frac1d\log\mathbb E\,w=\zeta(\ell)=-\tfrac12\log(1+\ell)-\frac{\ell}{2(1+\ell)}$. The sum freezes
where $\ell\zeta'(\ell)-\zeta(\ell)=\alpha$, at $\ell_c=h_G^{-2}$; its variance is dominated by rare samples beyond
$\ell_c/2$, so $h_\mathrm{CLT}=\sqrt2\,h_G$. In between the fluctuations are those of a stable law of index
$\mu=(h/h_G)^2\in(1,2)$; below $h_G$ single samples own the estimate. The bandwidth of least Kullback–Leibler gap,
$h^2=\frac{2+\ell_c}{(1+\ell_c)^2}$, lies *below* $h_G$, in the frozen regime.

**At finite d** nothing is approximated: with $\varphi(t)=\mathbb E\,e^{-tw}$,
$\mathbb E\log\sum_i w_i=\int_0^\infty\left(e^{-t}-\varphi(t)^n\right)\frac{dt}{t}$ and
$\mathbb E\sum_i p_i^2=n\int_0^\infty t\,\mathbb E[w^2e^{-tw}]\,\varphi(t)^{n-1}dt$, by quadrature over the noncentral
$\chi^2$ law of $|x-y|^2$. The Hill index at rank $k$ is compared with its exact value
$2/\ell\left(q_k-\mathbb E[D\mid D<q_k]\right)$, $F_D(q_k)=k/n$.

**Simulation.** Distances are drawn exactly, at a cost that does not depend on $d$. Points of one curve share their draws.

**Where it stops being true.** The three regimes are statements as $d\to\infty$: at any $n$ in reach the frozen mean is off
by up to 0.3 and the Hill index stays far below $\mu$. Simulation stops at $n=10^5$; beyond, theory only. Exact curves hold
the norm of $x$ at its typical value; a random norm moves $\log\hat\rho$ by $O(\sqrt d)$.
"""

LAB = Lab(
    title="Kernel density in large dimension",
    question="When do a few neighbors own a density estimate?",
    views=[
        View(
            "Regimes",
            "phase diagram",
            phase_plane,
            draw_phase_plane,
            "Color is the effective number of samples behind the estimate; above the dashed line averages are Gaussian, "
            "below the solid line one or two samples own it. The best bandwidth (orange) lies in the frozen regime.",
            controls=("load", "bandwidth", "dimension"),
            click=("load", "bandwidth"),
        ),
        View(
            "Log density",
            "scaling curve",
            log_density,
            draw_log_density,
            "Below h_G the limit leaves the mean of the estimate: the mean is owned by samples that are not there. "
            "Simulation follows the exact finite-d curve, not the limit.",
            controls=("load", "dimension", "test_points"),
        ),
        View(
            "Stable tail",
            "distribution",
            fluctuations,
            draw_fluctuations,
            "Left: the upper tail of the estimate, Gaussian above h_CLT and heavy below. Right: a Hill fit never shows μ "
            "at a reachable n; it shows its exact finite-n value.",
            controls=("load", "bandwidth", "dimension", "test_points"),
        ),
        View(
            "Who owns it",
            "sampler",
            shares,
            draw_shares,
            "Press play: as the kernel narrows past h_G the sum passes from everybody to one sample.",
            controls=("load", "bandwidth", "dimension", "seed"),
        ),
        View(
            "KL gap",
            "scaling curve",
            log_density,
            draw_kl_gap,
            "The gap to the truth is least below h_G, where the estimate is owned by few samples; at finite d the least gap "
            "sits at a wider kernel.",
            controls=("load", "dimension", "test_points"),
        ),
    ],
    presets={
        "Gaussian side (h = 2 h_G)": {"load": 0.4, "bandwidth": 1.4907, "view": "Stable tail"},
        "Stable (μ = 1.44)": {"load": 0.4, "bandwidth": 0.8944, "view": "Stable tail"},
        "Frozen (h = h_G/2)": {"load": 0.4, "bandwidth": 0.3727, "view": "Stable tail"},
        "KL-optimal": {"load": 0.4, "bandwidth": 0.6962, "view": "KL gap"},
        "Nearest-neighbor limit": {"load": 1.2, "bandwidth": 0.3033, "view": "Regimes"},
    },
    words=WORDS,
    papers={"011": "own object"},
)
