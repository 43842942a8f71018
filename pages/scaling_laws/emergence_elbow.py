"""Can finetuning call a capability before it emerges?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.emergence_elbow import Call, ErrorMap, called_emergence, error_map
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, ORANGE, VERMILLION

LOSS_AXIS = "pretraining loss, nats (better to the right)"
AMOUNT_COLORS = ("#8A8A8A", "#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725")
CONTROLS = ("elbow", "compute_gap", "shift", "accuracy_noise", "data_levels", "model_sizes", "runs")


def draw_call(call: Call) -> go.Figure:
    left, right = float(call.curve_loss[-1]), float(call.curve_loss[0])
    fig = draw.figure(LOSS_AXIS, "accuracy", x_range=(left, right), y_range=(-0.02, 1.03))
    smallest = float(call.runs.loss.min())
    # The unseen region: no model is that good yet.
    fig.add_vrect(x0=smallest, x1=right, fillcolor="rgba(128,128,128,0.12)", line_width=0, layer="below")
    fig.add_annotation(x=(smallest + right) / 2, y=0.99, text="no model yet", showarrow=False, font={"size": 12, "color": GRAY})
    low, middle, high = call.few_shot
    fig.add_trace(draw.band(call.curve_loss, low, high, "few-shot, 90%", ORANGE, opacity=0.35))
    fig.add_trace(draw.line(call.curve_loss, middle, "few-shot, called", ORANGE, width=3))
    if call.true_few_shot is not None:
        fig.add_trace(draw.line(call.curve_loss, call.true_few_shot, "few-shot, truth", "#000000", dash="dot", width=2))
    steps = np.linspace(0, len(AMOUNT_COLORS) - 1, call.amounts.size).round().astype(int)
    for k, (amount, fitted) in enumerate(zip(call.amounts, call.fitted, strict=True)):
        color = AMOUNT_COLORS[steps[k]] if k else GRAY
        at = call.runs.examples == amount
        name = f"{amount:,.0f} examples" if amount else "0 examples"
        if amount:
            seen = call.curve_loss >= smallest
            fig.add_trace(
                draw.line(call.curve_loss[seen], fitted[seen], name, color, width=1.8, showlegend=False, legendgroup=name)
            )
        fig.add_trace(draw.points(call.runs.loss[at], call.runs.accuracy[at], name, color, size=7, legendgroup=name))
    return fig


def draw_posterior(call: Call) -> go.Figure:
    fig = draw.panels(
        [("few-shot elbow, nats", "posterior density"), ("compute, × the largest model's", "posterior density per decade")],
        log_x=[False, True],
        titles=["In loss", "In compute"],
    )
    truth = (None, None) if call.truth is None else call.truth
    for col, ((center, density), true) in enumerate(zip(call.histograms().values(), truth, strict=True), start=1):
        x = center if col == 1 else 10**center
        bars = go.Scatter(
            x=x, y=density, mode="lines", line_shape="hvh", line={"color": BLUE, "width": 2}, fill="tozeroy", name="posterior"
        )
        fig.add_trace(bars.update(showlegend=col == 1), row=1, col=col)
        if true is not None:
            draw.mark_x(fig, true, "truth", col=col)
    draw.mark_x(fig, 1.0, "largest model", col=2)
    return fig


def draw_path(call: Call) -> go.Figure:
    fig = draw.figure("finetuning examples D", "elbow, nats", log_x=True, x_range=(1, 1e5))
    low, _, high = call.elbow_band
    fig.add_trace(draw.band(call.tuned, low, high, "90% of the posterior", BLUE))
    fig.add_trace(draw.line(call.tuned, call.elbow_fit, "best fit", BLUE))
    if call.true_elbow_path is not None:
        fig.add_trace(draw.line(call.tuned, call.true_elbow_path, "truth", ORANGE, dash="dash"))
    draw.mark_y(fig, float(call.runs.loss.min()), "loss of the largest model")
    amounts = call.amounts[call.amounts > 0]
    least = float(min(call.elbow_band.min(), call.runs.loss.min()))
    fig.add_trace(
        draw.points(amounts, np.full(amounts.size, least - 0.03), "amounts tried", VERMILLION, symbol="triangle-up", size=9)
    )
    return fig


def draw_errors(result: ErrorMap) -> go.Figure:
    fig = draw.figure(
        "compute gap to emergence", "noise of an accuracy", log_x=True, log_y=True, x_range=(0.9, 17.8), y_range=(0.00178, 0.0563)
    )
    decades = np.log10([1.05, 1.2, 1.5, 2, 4, 10])
    trace = draw.heatmap(result.gap, result.noise, result.error, "called compute is off by", zmin=0, zmax=1)
    trace.colorbar.update(tickvals=decades, ticktext=["1.05×", "1.2×", "1.5×", "2×", "4×", "10×"])
    fig.add_trace(trace)
    if result.gap.size > 1:
        half = {"start": np.log10(2), "end": np.log10(2), "size": 1, "coloring": "none"}
        line = {"color": VERMILLION, "width": 2.5, "smoothing": 0.8}
        fig.add_trace(
            go.Contour(
                x=result.gap,
                y=result.noise,
                z=result.error,
                contours=half,
                line=line,
                showscale=False,
                hoverinfo="skip",
                name="within a factor 2, below",
                showlegend=True,
            )
        )
    return fig


LAB = Lab(
    title="The emergence elbow",
    question="Can finetuning call a capability before it emerges?",
    views=[
        View(
            "Call",
            "scaling curve",
            called_emergence,
            draw_call,
            "Every model (dots, left of the gray) is at chance few-shot; finetuned ones are not. The elbows of the finetuned curves, "
            "moved back to no examples, call where few-shot accuracy will leave chance (orange).",
            controls=CONTROLS,
        ),
        View(
            "Posterior",
            "distribution",
            called_emergence,
            draw_posterior,
            "Where few-shot emerges, in nats and as a multiple of the largest model's compute: a small error in loss is a large one "
            "in compute.",
            controls=CONTROLS,
        ),
        View(
            "Back to few-shot",
            "trajectory",
            called_emergence,
            draw_path,
            "The elbow against finetuning examples, with its band: the call is the extrapolation to the left end.",
            controls=CONTROLS,
        ),
        View(
            "How far ahead",
            "phase diagram",
            error_map,
            draw_errors,
            "Median error of the called compute over planted studies; below the red line it is right within a factor of two.",
            controls=("compute_gap", "accuracy_noise", "shift", "power", "data_levels", "model_sizes"),
            click=("compute_gap", "accuracy_noise"),
        ),
    ],
    presets={
        "Four times ahead": {"view": "Call", "compute_gap": 4.0},
        "Noisy and far": {"view": "Posterior", "compute_gap": 16.0, "accuracy_noise": 0.05},
        "Two amounts only": {"view": "Posterior", "data_levels": 2},
        "Little noise": {"view": "Call", "accuracy_noise": 0.002},
        "Hardly a shift": {"view": "Back to few-shot", "shift": 0.03},
    },
    words=r"""
**The law.** A model of pretraining loss $L$ finetuned on $D$ examples scores
$$\min\!\big(1,\ c + s\,\max(0,\ E(D) - L)\big),\qquad E(D) = e_0 + \delta\,\log(1 + D/50)^{q},$$
so that few-shot, $D=0$, the capability emerges where the loss falls below $e_0$ (paper 294, section 4: finetuning moves the elbow
towards weaker models, and the shift is extrapolated back to few-shot). Which function of $D$ moves the elbow is left open by the power
$q$.

**Compute.** $L = 1.7 + (C_0/C)^{0.15}$ turns the elbow into a multiple of the largest model's compute. The models span two decades and
end a factor $g$ short of $e_0$; they are evaluated few-shot and at $m$ finetuning amounts from 50 to 50,000.

**Fit and posterior.** Least squares from a grid of starts, and a sampled posterior with flat priors on $e_0\in[1.71,4]$,
$\delta\in[0,0.6]$, $q\in[0.4,2.5]$, $\log s$, the noise known (the stretch move of Goodman and Weare). The interval is the
posterior's.

**Your runs.** Upload loss, examples and accuracy; set chance and the noise of one accuracy ($\sqrt{p(1-p)/n}$ on $n$ questions). Compute
multiples then rest on the loss curve above.

**Where it stops.** Runs are planted: a miniature that tests the method, not language models. A sharp elbow is a choice; smooth growth below
the resolution of an evaluation looks the same (see *pass-until*). Where every run is at chance the likelihood does not depend on
$e_0$, and the page refuses.
""",
    papers={"294": "miniature"},
)
