"""What are P parallel streams worth in parameters?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.parameters import format_number
from compute.scaling_laws.parallel_streams import (
    CostMap,
    LossCurves,
    Residuals,
    StreamFit,
    Worth,
    cost_map,
    loss_curves,
    residuals,
    stream_fit,
    stream_worth,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, SIGNED, VERMILLION, shades

DECADES = {"dtick": 1, "exponentformat": "power"}
POWERS = [1, 2, 4, 8, 16, 32, 64]


def draw_losses(curves: LossCurves) -> go.Figure:
    n, p, loss = curves.here
    fig = draw.panels(
        [("parameters N, without embeddings", "loss, nats per token"), ("parallel streams P", "loss at your N")],
        log_x=[True, True],
        titles=["More parameters", f"More streams at N = {format_number(n)}"],
        widths=[0.55, 0.45],
        height=520,
    )
    kept = [k for k, v in enumerate(curves.streams) if v in (1, 2, 4, 8, 64)]
    for k, hue in zip(kept, shades(len(kept)), strict=True):
        v = curves.streams[k]
        dash, name = ("solid", f"P = {v:.0f}") if v <= 8 else ("dot", f"P = {v:.0f}, beyond the runs")
        fig.add_trace(draw.line(curves.n, curves.fitted[k], name, hue, dash=dash, width=2), row=1, col=1)
    limit = "constant ρ, P → ∞"
    fig.add_trace(draw.line(curves.n, curves.saturated, limit, VERMILLION, dash="dashdot", width=1.5), row=1, col=1)
    fig.add_trace(draw.line(curves.many, curves.fitted_here, "fitted law", BLUE), row=1, col=2)
    name = f"constant ρ = {curves.correlation:.2f}"
    fig.add_trace(draw.line(curves.many, curves.constant_here, name, VERMILLION, dash="dash", width=2), row=1, col=2)
    fig.add_vrect(x0=5.36e8, x1=4.4e9, fillcolor=GRAY, opacity=0.16, line_width=0, layer="below", row=1, col=1)
    fig.add_vrect(x0=1, x1=8, fillcolor=GRAY, opacity=0.16, line_width=0, layer="below", row=1, col=2)
    for col, place in ((1, np.log10(1.5e9)), (2, np.log10(2.8))):
        where = {"yref": f"y{'' if col == 1 else 2} domain", "yanchor": "bottom", "row": 1, "col": col}
        fig.add_annotation(x=place, y=0.0, text="published runs", showarrow=False, font={"color": GRAY}, **where)
    if curves.measured:
        size, _, seen = zip(*curves.measured, strict=True)
        fig.add_trace(draw.points(size, seen, "a published run", ORANGE, symbol="diamond", size=10), row=1, col=1)
    fig.add_trace(draw.points([n], [loss], "you", BLUE, symbol="star-open", size=15), row=1, col=1)
    fig.add_trace(draw.points([p], [loss], "you", BLUE, symbol="star-open", size=15, showlegend=False), row=1, col=2)
    fig.update_xaxes(range=[8, 11], **DECADES, row=1, col=1)
    fig.update_xaxes(range=np.log10([0.95, 67]), tickvals=POWERS, ticktext=[str(v) for v in POWERS], row=1, col=2)
    low, high = float(curves.fitted[-1, -1]), float(curves.fitted[0, 0])
    fig.update_yaxes(range=[low - 0.05 * (high - low), high + 0.05 * (high - low)], row=1, col=1)
    return fig


def draw_cost(plane: CostMap) -> go.Figure:
    fig = draw.figure(
        "parallel streams P",
        "batch, sequences decoded at once",
        log_x=True,
        log_y=True,
        x_range=(1, 64),
        y_range=(1, 512),
        height=520,
    )
    z = np.log2(plane.ratio)
    what = "latency" if plane.compared == "latency" else "memory"
    fig.add_trace(
        draw.heatmap(
            plane.streams,
            plane.batch,
            z,
            f"{what}, larger model / streams",
            scale=SIGNED,
            zmin=-2.2,
            zmax=2.2,
            zmid=0,
            customdata=plane.ratio,
            hovertemplate="P %{x:.3g}<br>batch %{y:.3g}<br>ratio %{customdata:.3g}<extra></extra>",
        )
    )
    ticks = [-2, -1, 0, 1, 2]
    fig.update_traces(colorbar={"tickvals": ticks, "ticktext": ["1/4", "1/2", "1", "2", "4"]}, selector={"type": "heatmap"})
    fig.add_trace(
        go.Contour(
            x=plane.streams,
            y=plane.batch,
            z=z,
            contours={"coloring": "none", "start": -5, "end": 5, "size": 0.5},
            line={"color": "rgba(36,41,47,0.3)", "width": 1},
            showscale=False,
            showlegend=False,
            hoverinfo="skip",
        )
    )
    if plane.even[0].size:
        fig.add_trace(draw.line(*plane.even, f"equal {what}", "#24292f", width=3, showlegend=False))
    ink = "#24292f"
    if z.max() > 0.15:
        i, j = np.unravel_index(np.argmax(z), z.shape)
        fig.add_trace(
            draw.on_map(10 if plane.streams[j] > 6 else 3, 1.5 if plane.batch[i] < 50 else 300, "streams cheaper", color=ink)
        )
    if z.min() < -0.15:
        i, j = np.unravel_index(np.argmin(z), z.shape)
        fig.add_trace(
            draw.on_map(10 if plane.streams[j] > 6 else 3, 330 if plane.batch[i] > 50 else 1.5, "larger model cheaper", color=ink)
        )
    fig.update_xaxes(tickvals=POWERS, ticktext=[str(p) for p in POWERS])
    fig.update_yaxes(tickvals=[4**k for k in range(5)] + [512], ticktext=[str(4**k) for k in range(5)] + ["512"])
    return fig


def draw_worth(worth: Worth) -> go.Figure:
    fig = draw.panels(
        [("parallel streams P", "parameters they are worth, × N"), ("parallel streams P", "correlation of residuals ρ")],
        log_x=[True, True],
        titles=["Worth", "Correlation it takes"],
        height=500,
    )
    fig.add_trace(draw.line(worth.streams, worth.logarithmic, "fitted law, k ln P + 1", BLUE, width=3), row=1, col=1)
    name = f"constant ρ = {worth.correlation:.2f}"
    fig.add_trace(draw.line(worth.streams, worth.constant, name, VERMILLION, dash="dash"), row=1, col=1)
    fig.add_trace(draw.line(worth.streams, worth.independent, "independent errors, P^(1/α)", GREEN, dash="dot"), row=1, col=1)
    if worth.ceiling is not None and worth.ceiling < 12:
        draw.mark_y(fig, worth.ceiling, f"ceiling ρ^(−1/α) = {worth.ceiling:.3g}", col=1)
    fig.add_trace(
        draw.line(worth.streams, worth.implied, "implied by the fitted law", BLUE, width=3, showlegend=False), row=1, col=2
    )
    flat = [worth.correlation, worth.correlation]
    fig.add_trace(draw.line(worth.streams[[0, -1]], flat, name, VERMILLION, dash="dash", showlegend=False), row=1, col=2)
    for col in (1, 2):
        fig.add_vrect(x0=1, x1=8, fillcolor=GRAY, opacity=0.16, line_width=0, layer="below", row=1, col=col)
        draw.mark_x(fig, worth.at_streams, f"P = {worth.at_streams}", col=col)
        fig.update_xaxes(range=[0, 6], **DECADES, row=1, col=col)
    fig.add_annotation(
        x=0.45, y=0.0, yref="y2 domain", yanchor="bottom", text="runs", showarrow=False, font={"color": GRAY}, row=1, col=2
    )
    fig.update_yaxes(range=[0.9, max(8.0, 1.05 * float(worth.logarithmic[-1]))], row=1, col=1)
    fig.update_yaxes(range=[0, 1.03], row=1, col=2)
    return fig


def draw_residuals(result: Residuals) -> go.Figure:
    fig = draw.panels(
        [("error of a prediction", "density"), ("predictors averaged P", "variance of the mean")],
        log_x=[False, True],
        titles=["Errors", "What averaging leaves"],
        height=480,
    )
    p = result.at_streams
    fig.add_trace(draw.points(result.center, result.one, "one predictor", GRAY, size=5), row=1, col=1)
    fig.add_trace(draw.line(result.center, result.one_theory, "normal law", GRAY, width=1.8, showlegend=False), row=1, col=1)
    fig.add_trace(draw.points(result.center, result.mean, f"mean of {p}", BLUE, size=5), row=1, col=1)
    fig.add_trace(draw.line(result.center, result.mean_theory, "normal law", BLUE, width=1.8, showlegend=False), row=1, col=1)
    fig.add_trace(draw.line(result.many, result.many_theory, "(1 + (P − 1)ρ)/P", BLUE, showlegend=False), row=1, col=2)
    fig.add_trace(
        draw.points(result.streams, result.variance, "simulation ± 2 SE", BLUE, standard_error=result.standard_error), row=1, col=2
    )
    fig.add_trace(draw.guide(result.many, 1 / result.many, "independent errors, 1/P"), row=1, col=2)
    draw.mark_y(fig, result.correlation, f"ρ = {result.correlation:.2f}", col=2)
    fig.update_yaxes(range=[0, max(0.45, 1.1 * float(result.mean_theory.max()))], row=1, col=1)
    fig.update_yaxes(range=[0, 1.08], row=1, col=2)
    fig.update_xaxes(range=[-3.5, 3.5], row=1, col=1)
    fig.update_xaxes(range=np.log10([0.9, 72]), tickvals=POWERS, ticktext=[str(v) for v in POWERS], row=1, col=2)
    return fig


def draw_fit(fit: StreamFit) -> go.Figure:
    fig = draw.panels(
        [("parameters N", "loss"), ("parallel streams P", "implied correlation ρ")],
        log_x=[True, True],
        titles=["Runs and the law fitted", "Correlation they imply"],
        widths=[0.58, 0.42],
        height=500,
    )
    hues = shades(len(fit.curves) + 1)
    for (p, y), hue in zip(fit.curves.items(), hues, strict=False):
        seen = fit.p == p
        fig.add_trace(draw.line(fit.size, y, f"P = {p:g}", hue, width=1.8, showlegend=False), row=1, col=1)
        fig.add_trace(draw.points(fit.n[seen], fit.loss[seen], f"P = {p:g}", hue, size=8), row=1, col=1)
    fig.add_trace(draw.band(fit.streams, fit.low, fit.high, "80% of refits", BLUE), row=1, col=2)
    fig.add_trace(draw.line(fit.streams, fit.implied, "fit", BLUE), row=1, col=2)
    if fit.true_implied is not None:
        fig.add_trace(draw.line(fit.streams, fit.true_implied, "planted", ORANGE, dash="dash", width=2), row=1, col=2)
    span = np.array([min(0.7, float(fit.low.min()) - 0.02), 1.0])
    fig.update_yaxes(range=span, row=1, col=2)
    fig.update_xaxes(range=[0, np.log10(64)], tickvals=POWERS, ticktext=[str(v) for v in POWERS], row=1, col=2)
    ticks = [m * 10.0**k for k in range(4, 15) for m in (1, 2, 5)]
    fig.update_xaxes(range=np.log10(fit.size[[0, -1]]), tickvals=ticks, ticktext=[format_number(t) for t in ticks], row=1, col=1)
    return fig


WORDS = r"""
A model reads its input through $P$ learned transformations at once and averages the $P$ outputs. Paper 039 fits
$$L=E+\Big(\frac{A}{N\,(k\ln P+1)}\Big)^{\alpha}$$
(natural logarithm, $N$ without embeddings) to runs of 0.5B–4.4B parameters and 1–8 streams: $P$ streams are worth $k\ln P+1$ times the
parameters. Constants: *stack* (code) $E=0.6913$, $A=1.130\times10^7$, $\alpha=0.1894$, $k=0.3935$; *pile* (text) $1.2889$,
$1.972\times10^8$, $0.1964$, $0.3344$.

**Theory.** If each stream misses by an error of the same size and any two errors have correlation $\rho$, the mean of $P$ has
$$L=E+\Big(\frac AN\Big)^{\alpha}\,\frac{1+(P-1)\rho}{P}.$$
The two forms agree where $\rho(P)=\dfrac{P(k\ln P+1)^{-\alpha}-1}{P-1}$, with limit $1-\alpha k$ at $P=1$. A **constant** $\rho$ saturates at
$\rho^{-1/\alpha}$ times the parameters; the logarithm never does. So the fitted law needs errors that grow less alike as streams are added, and
between one and eight streams the two cannot be told apart.

**Cost** (a mechanism, computed; not the paper's cost tool). One decoding step takes the larger of bytes over bandwidth and FLOP over peak. Weights
are read once for all $Pb$ sequences; every sequence reads its own cache, $2ld\kappa$ numbers a token; each computes a token, $2N+4sld$ FLOP;
$N=12ld^2$ with $d=128l$, bf16. At small batch reading the weights is all, and streams are nearly free; once compute binds, $P$ streams cost $P$ times
and the larger model $k\ln P+1$ times. The published 22 times less memory and 6 times less latency *added* (1.6B, $P=8$, batch 1) include
overheads not modeled here (activations, prefixes, kernels); this roofline gives their order or more. Training cost is not modeled.

**Residuals** are Gaussian by construction, $\sqrt\rho\,z_0+\sqrt{1-\rho}\,z_i$: simulation over exact theory, no network.

**Your runs.** Log-Huber fit ($\delta=10^{-3}$) of $(E,A,\alpha)$ at each $k$ of a grid, $k$ from the profile; rows resampled for intervals. The
planted runs follow the law itself and say how well a study of this size pins it down.
"""

CUSTOM = ("corpus", "streams", "parameters", "correlation")

LAB = Lab(
    title="Parallel streams",
    question="What are P parallel streams worth in parameters?",
    views=[
        View(
            "Streams against a larger model",
            "phase diagram",
            cost_map,
            draw_cost,
            "Both sides have the same loss. Red: running P streams of your model is cheaper than one larger model; blue: the larger model is. "
            "The black line is where they cost the same. Click to move.",
            controls=("streams", "batch", "compared", "context", "machine_balance", "kv_share"),
            click=("streams", "batch"),
        ),
        View(
            "Loss against size",
            "scaling curve",
            loss_curves,
            draw_losses,
            "Left: each line is a number of streams, diamonds are published runs. Right: at your size the fitted law keeps falling with P, "
            "a constant correlation does not; over the runs (gray) the two can hardly be told apart.",
            controls=CUSTOM,
        ),
        View(
            "Correlation it takes",
            "scaling curve",
            stream_worth,
            draw_worth,
            "Left: the fitted law keeps growing where a constant correlation saturates. Right: the correlation that would make theory follow "
            "the law; it has to fall with P.",
            controls=("streams", "corpus", "correlation"),
        ),
        View(
            "Averaged errors",
            "distribution",
            residuals,
            draw_residuals,
            "Averaging removes only what errors do not share: the variance falls from 1 to ρ, and most of it within a few predictors.",
            controls=("streams", "correlation", "draws"),
        ),
        View(
            "Your runs",
            "scaling curve",
            stream_fit,
            draw_fit,
            "Points are runs, lines the law fitted to them; on the right the correlation they imply with its 80% band.",
            controls=("runs", "corpus", "noise_sigma", "n_refits"),
        ),
    ],
    presets={
        "1.6B, 8 streams, batch 1": {"parameters": 1.6e9, "streams": 8, "batch": 1, "view": "Streams against a larger model"},
        "The same at batch 256: compute binds": {"streams": 8, "batch": 256, "view": "Streams against a larger model"},
        "Long context, multi-head cache": {"context": 32768, "kv_share": 1.0, "view": "Streams against a larger model"},
        "Identical errors: streams are worthless": {"correlation": 1.0, "view": "Averaged errors"},
        "Pile constants": {"corpus": "pile", "view": "Loss against size"},
        "A constant correlation saturates": {"correlation": 0.88, "streams": 64, "view": "Correlation it takes"},
    },
    words=WORDS,
    papers={"039": "own object"},
)
