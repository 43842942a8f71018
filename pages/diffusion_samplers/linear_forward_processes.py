"""Which linear noise mixes fastest, and does it matter?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.linear_forward_processes import (
    Auxiliaries,
    Mixing,
    PriceMap,
    Spectrum,
    Spirals,
    auxiliaries,
    mixing,
    price_map,
    spectrum,
    spirals,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, PURPLE, SKY, VERMILLION

HUES = PALETTE[:6]
SEEN = 1e-12  # below it quadrature of KL is rounding


N_SHOWN = 300


def draw_spirals(run: Spirals) -> go.Figure:
    fig = draw.panels(
        [("x₁", "x₂"), ("forward time t", "KL(p_t ‖ N(0, I))")],
        log_y=[False, True],
        titles=[f"Reverse flow, {run.evaluations} evaluations", "Distance of the exact law from pure noise"],
        widths=[0.58, 0.42],
        height=580,
    )
    last = len(run.time) - 1
    for k, color in enumerate(HUES):
        chosen = np.flatnonzero(run.mode == k)[:3]
        fig.add_trace(draw.strokes(*run.position[:, chosen].T, color), row=1, col=1)
    # A browser takes longest over dots: the picture shows some of the particles.
    seen = run.position[:, :N_SHOWN]
    marker = draw.grouped(run.mode[:N_SHOWN] % len(HUES), HUES, 4)
    cloud = {"mode": "markers", "marker": marker, "showlegend": False, "name": "particles"}
    fig.add_trace(go.Scatter(x=seen[last, :, 0], y=seen[last, :, 1], **cloud), row=1, col=1)
    fig.add_trace(draw.line(*run.ellipses[last], "exact law, 2 s.d. of each mode", GRAY, width=1.6), row=1, col=1)
    floor = np.maximum(run.divergence, 1e-9)
    fig.add_trace(draw.line(run.time, floor, "exact", BLUE, showlegend=False), row=1, col=2)
    at = {"mode": "markers", "marker": {"color": VERMILLION, "size": 11}, "showlegend": False, "name": "now"}
    fig.add_trace(go.Scatter(x=run.time[[last]], y=floor[[last]], **at), row=1, col=2)
    square = {"range": [-run.reach, run.reach]}
    fig.update_layout(
        xaxis=square,
        yaxis=square,
        xaxis2={"range": [-0.02 * run.time[0], 1.02 * run.time[0]]},
        yaxis2={"range": [min(-5.0, np.log10(floor.min()) - 0.3), 1.5]},
    )
    frames = [
        [
            {"x": seen[k, :, 0], "y": seen[k, :, 1]},
            {"x": run.ellipses[k][0].astype(np.float32), "y": run.ellipses[k][1].astype(np.float32)},
            {"x": run.time[[k]], "y": floor[[k]]},
        ]
        for k in range(last + 1)
    ]
    labels = [f"{t:.3g}" for t in run.time]
    places = [6, 7, 9]
    return draw.movie(fig, frames, labels, traces=places, prefix="forward time t = ", milliseconds=max(70, 2500 // (last + 1)))


def draw_spectrum(result: Spectrum) -> go.Figure:
    fig = draw.panels(
        [("real part (rate)", "imaginary part (rotation)"), ("rotation ω", "spectral gap")],
        titles=["Eigenvalues as ω grows from 0", "Gap"],
    )
    for j, (color, name) in enumerate(((BLUE, "slow mode"), (ORANGE, "fast mode"))):
        branch = result.eigenvalues[:, j]
        fig.add_trace(draw.line(branch.real, branch.imag, name, color), row=1, col=1)
        start = go.Scatter(x=branch.real[:1], y=branch.imag[:1], mode="markers", showlegend=False, name="ω = 0")
        fig.add_trace(start.update(marker={"color": color, "size": 9, "symbol": "circle-open"}), row=1, col=1)
    here = draw.points(result.here.real, result.here.imag, f"the matrix at ω = {result.at:.3g}", VERMILLION, size=11)
    fig.add_trace(here, row=1, col=1)
    fig.add_trace(draw.line(result.omega, result.gap, "gap, formula", BLUE, showlegend=False), row=1, col=2)
    point = draw.points([result.at], [result.here.real.min()], "you", VERMILLION, size=11, showlegend=False)
    fig.add_trace(point, row=1, col=2)
    fig.update_xaxes(range=[0, 10], row=1, col=2)
    draw.mark_x(fig, result.critical, "ω = |a − 1|/2", col=2)
    fig.update_xaxes(range=[0, 1.06 * float(result.eigenvalues.real.max())], row=1, col=1)
    reach = 1.08 * 10 * 0.5 * result.beta
    fig.update_yaxes(range=[-reach, reach], row=1, col=1)
    fig.update_yaxes(range=[0, 1.15 * result.ceiling], row=1, col=2)
    return fig


def draw_mixing(result: Mixing) -> go.Figure:
    top = 3.0 * float(result.divergence.max())
    low = max(SEEN, 0.2 * float(result.divergence.min()))
    ends = (0.0, float(result.time[-1]))
    fig = draw.figure("time t", "KL(p_t ‖ N(0, I))", log_y=True, x_range=ends, y_range=(low, top))
    names = ("no rotation", "half critical", "critical", "twice critical", "yours")
    for k, (name, color) in enumerate(zip(names, (GRAY, SKY, GREEN, ORANGE, VERMILLION), strict=True)):
        width, dash = (4.0, "dash") if name == "yours" else (2.5, "solid")
        label = f"{name}: ω = {result.omega[k]:.3g}"
        seen = result.divergence[k] > SEEN
        fig.add_trace(draw.line(result.time[seen], result.divergence[k][seen], label, color, width=width, dash=dash))
    end = int(np.flatnonzero(result.divergence[-1] > SEEN)[-1])
    late = result.divergence[-1][end] * np.exp(-result.rate[-1] * (result.time - result.time[end]))
    fig.add_trace(draw.guide(result.time, late, f"e<sup>−{result.rate[-1]:.3g} t</sup>"))
    return fig


def draw_price_map(result: PriceMap) -> go.Figure:
    axes = ("anisotropy a", "rotation ω")
    fig = draw.panels([axes, axes], log_x=[True, True], titles=["Spectral gap", "log₁₀ W₂ to the data"], gap=0.2)
    template = "a %{x:.3g}<br>ω %{y:.2f}<br>%{z:.3g}<extra></extra>"
    left = draw.heatmap(result.anisotropy, result.omega, result.gap, "", hovertemplate=template)
    right = draw.heatmap(result.anisotropy, result.omega, np.log10(result.error), "", hovertemplate=template)
    left.update(colorbar={"x": 0.405, "xanchor": "left"})
    fig.add_trace(left, row=1, col=1)
    fig.add_trace(right.update(zmin=-2, zmax=0), row=1, col=2)
    for col in (1, 2):
        line = draw.boundary(*result.critical, "").update(mode="lines", text=None, hoverinfo="skip")
        fig.add_trace(line, row=1, col=col)
        fig.update_xaxes(range=[0, np.log10(20)], row=1, col=col)
        fig.update_yaxes(range=[0, 10], row=1, col=col)
    fig.add_trace(draw.on_map(2.6, 4.0, "ω = |a − 1|/2"), row=1, col=1)
    best = draw.points(result.anisotropy[::2], result.best_omega[::2], "least W₂ at each a", VERMILLION, size=7)
    fig.add_trace(best, row=1, col=2)
    return fig


PROCESSES = {"VP": GRAY, "CLD": ORANGE, "third order": PURPLE, "VP, tuned rate": GREEN, "learned": BLUE}


def draw_auxiliaries(result: Auxiliaries) -> go.Figure:
    fig = draw.panels(
        [("evaluations of the score", "W₁ to the data"), ("horizon T", "bits above the data's entropy")],
        log_x=[True, False],
        log_y=[True, True],
        titles=["What a budget of steps reaches", "What the prior costs"],
        height=520,
    )
    for curve in result.curves:
        color = PROCESSES[curve.name]
        width = 4 if curve.name == "learned" else 2.5
        trace = draw.line(result.evaluations, curve.w1, f"{curve.name} (gap {curve.gap:.2g})", color, width=width)
        fig.add_trace(trace.update(mode="lines+markers", marker={"size": 5}), row=1, col=1)
        fig.add_trace(draw.line(result.horizons, curve.bits, curve.name, color, width=width, showlegend=False), row=1, col=2)
    fig.add_trace(draw.guide([7.0, 179.0], [result.floor] * 2, "W₁ of as many random samples"), row=1, col=1)
    draw.mark_x(fig, result.nfe, "learned for this")
    fig.update_xaxes(range=[np.log10(6), np.log10(220)], row=1, col=1)
    fig.update_yaxes(range=[-2.6, 0.7], row=1, col=1)
    fig.update_yaxes(range=[-8, 1.2], row=1, col=2)
    return fig


WORDS = r"""
**In the plane** (116): $dx=-\tfrac{\beta}{2}(R^{-1}+\Omega)x\,dt+\sqrt{\beta}R^{-1/2}dW$, with $R^{-1}$ a turned $\mathrm{diag}(a,1)$ and
$\Omega$ skew of size $\omega$. $N(0,I)$ is stationary for every $\Omega$: the drift's symmetric part matches the noise. Eigenvalues of minus
the drift are $\tfrac\beta2\left[\tfrac{a+1}{2}\pm\sqrt{\tfrac{(a-1)^2}{4}-\omega^2}\right]$. Rotation lets the slow direction borrow
the fast one's noise: the gap grows until $\omega=|a-1|/2$, then stays at the mean rate $\tfrac\beta2\tfrac{a+1}{2}$, above which no skew part
can lift it (the trace is fixed), and paths spiral.

**Mixing.** $\mathrm{KL}(p_t\,\|\,N(0,I))$ by quadrature for six modes in the plane. Late, the mean leads: half its squared length, slope
$-2\,\mathrm{gap}$; for centered data (offset 0) the covariance does, slope $-4\,\mathrm{gap}$. At the critical rotation the drift is
defective and a polynomial factor slows the decay; beyond it KL winds about the guide, so that a fitted rate depends on where $T$ stands in a turn.

**The price.** Reverse sampling runs $\dot x=Fx-\tfrac12GG^\top\nabla\log p_t$ by Heun steps from $N(0,I)$. For data
$N(\delta,0.3^2I)$ each step is affine, so that $W_2$ to the data is exact: the error of the start, which faster mixing removes, plus that of
the steps, which rotation makes harder.

**With auxiliaries** (197): $dy=-\beta(Q+D)y\,dt+\sqrt{2\beta D}\,dW$ on $(x,K$ auxiliaries$)$, again stationary at $N(0,I)$. VP is $K=0$, $D=1$;
CLD has noise on one auxiliary, the third-order process on the second. Their critical frictions, $2$ and $3\sqrt3$ (with couplings $1$,
$\sqrt8$), make all eigenvalues equal, $1$ and $\sqrt3$; *damping* is relative to these. *Learned*: Nelder–Mead over couplings and
frictions of a chain, minimizing $W_1$ at the chosen evaluations; it is then judged on other starting points. Beside it stands VP with only its rate
tuned in the same way: much of what learning gains over plain VP is that rate.

**Bits.** With the exact score the bound of 197 on $-\log_2p$ exceeds the data's entropy by
$\mathrm{KL}(p_T\|N(0,I))/\log2$. A wrong score adds to it; that is not drawn.

**Where it stops being true.** Faster mixing shortens $T$; it need not make sampling better at a fixed number of steps. Position-dependent $R$
of 116, which needs a divergence term, is not built, and 116 is known here from its abstract. $W_1$ curves of the auxiliary view start from
scrambled Sobol points, which is why they go below the noise of random samples. Times are even in $\sqrt t$ from $0.001$; states that run
away are held at $10^6$.
"""

LAB = Lab(
    title="Linear forward processes",
    question="Which linear noise mixes fastest, and does it matter?",
    views=[
        View(
            "Spirals",
            "sampler",
            spirals,
            draw_spirals,
            "Press play. From round noise back to six modes: with rotation the paths spiral. Gray, the exact law of the moment. Right, how "
            "far that law is from pure noise; its left-over at T is what the start gets wrong.",
            controls=("omega", "anisotropy", "angle", "nfe", "horizon", "beta"),
        ),
        View(
            "Spectrum",
            "spectrum",
            spectrum,
            draw_spectrum,
            "Left, two real rates meet and leave the axis as ω grows. Right, the gap rises until they meet; more rotation buys nothing.",
            controls=("omega", "anisotropy", "beta", "angle"),
        ),
        View(
            "Mixing",
            "scaling curve",
            mixing,
            draw_mixing,
            "Steeper is faster forgetting. No rotation is slowest; from the critical rotation on the curves wind about one slope, that of the guide.",
            controls=("omega", "anisotropy", "offset", "horizon", "beta", "angle"),
        ),
        View(
            "Gap and price",
            "phase diagram",
            price_map,
            draw_price_map,
            "Left, rotation lifts the gap up to the white line. Right, the error after a fixed number of evaluations, start and steps together: past some ω it grows again.",
            controls=("anisotropy", "omega", "nfe", "horizon", "beta"),
            click=("anisotropy", "omega"),
        ),
        View(
            "Auxiliary dimensions",
            "scaling curve",
            auxiliaries,
            draw_auxiliaries,
            "Left, distance to the data against evaluations; the learned process is made for the marked budget. Right, bits lost to the prior.",
            controls=("auxiliary", "nfe", "damping", "horizon", "beta"),
        ),
    ],
    presets={
        "Reversible": {"omega": 0.0, "view": "Spirals"},
        "Just enough rotation": {"omega": 1.5, "view": "Spectrum"},
        "Too much rotation": {"omega": 8.0, "nfe": 21, "view": "Spirals"},
        "The same gap, a stiffer reverse": {"omega": 8.0, "nfe": 21, "view": "Gap and price"},
        "Centered data": {"offset": 0.0, "horizon": 2.0, "view": "Mixing"},
        "CLD, underdamped": {"damping": 0.3, "view": "Auxiliary dimensions"},
        "Learned for 20 evaluations": {"nfe": 20, "auxiliary": 1, "view": "Auxiliary dimensions"},
        "VP tuned, no auxiliary": {"auxiliary": 0, "nfe": 20, "view": "Auxiliary dimensions"},
    },
    words=WORDS,
    papers={"116": "own object", "197": "own object"},
)
