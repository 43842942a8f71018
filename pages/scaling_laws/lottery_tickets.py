"""Is the 1/N law approximation or averaging?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.lottery_tickets import (
    ExponentMap,
    Ladder,
    Lengths,
    MechanismCurve,
    Tickets,
    exponent_map,
    mechanism_curve,
    seen_tickets,
    trained_ladder,
    training_lengths,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, SKY, VERMILLION

WIDTH_AXIS, ERROR_AXIS = "width N", "mean squared error"


def draw_exponent_map(result: ExponentMap) -> go.Figure:
    fig = draw.figure(WIDTH_AXIS, "variance of a ticket v", log_x=True, log_y=True, x_range=(2, 256), y_range=(1e-8, 1))
    fig.add_trace(draw.heatmap(result.width, result.ticket_noise, result.exponent, "local exponent of 1/N", zmin=1, zmax=4))
    crossing = result.tickets_per_neuron * 16 / 180 / result.width**3
    shown = (crossing > 1e-8) & (crossing < 1)
    fig.add_trace(draw.boundary(result.width[shown], crossing[shown], "both parts equal", at=0.55))
    fig.add_trace(draw.on_map(80, 1e-1, "averaging: N⁻¹"))
    fig.add_trace(draw.on_map(4.2, 1e-7, "approximation: N⁻⁴"))
    return fig


def draw_mechanism(result: MechanismCurve) -> go.Figure:
    fig = draw.figure(WIDTH_AXIS, ERROR_AXIS, log_x=True, log_y=True, x_range=(1.9, 270), y_range=(3e-11, 3))
    x = result.curve_width
    fig.add_trace(draw.guide(x, result.approximation, "best spline, 16/180 N⁻⁴"))
    fig.add_trace(draw.line(x, result.averaging, "averaged tickets, v/ρN", ORANGE, dash="dash"))
    fig.add_trace(draw.line(x, result.approximation + result.averaging, "their sum", BLUE))
    fig.add_trace(draw.points(result.width, result.simulated, "tickets drawn ± 2 SE", BLUE, standard_error=result.standard_error))
    if 2 < result.crossover < 256:
        draw.mark_x(fig, result.crossover, "crossover")
    return fig


def draw_ladder(result: Ladder) -> go.Figure:
    fig = draw.panels(
        [(WIDTH_AXIS, ERROR_AXIS), (ERROR_AXIS, "share of seeds below")],
        log_x=[True, True],
        log_y=[True, False],
        titles=["Error against width", "Over seeds"],
        widths=[0.6, 0.4],
    )
    width = np.array(result.width, dtype=float)
    low, middle, high = result.quartiles().T
    fig.add_trace(draw.band(width, low, high, "quartiles over seeds", BLUE), row=1, col=1)
    fig.add_trace(draw.points(width, middle, "median", BLUE).update(mode="lines+markers"), row=1, col=1)
    for slope, dash in ((1, "dot"), (4, "dash")):
        guide = draw.guide(width, middle[0] * (width / width[0]) ** -slope, f"slope −{slope}").update(line_dash=dash)
        fig.add_trace(guide, row=1, col=1)
    if result.is_square:
        fig.add_trace(draw.line(width, result.bound, "best N + 1 pieces", GREEN, dash="dashdot"), row=1, col=1)
    for k, (w, error) in enumerate(zip(result.width, result.error, strict=True)):
        ordered = np.sort(error)
        share = (np.arange(error.size) + 1) / error.size
        color = PALETTE[k % len(PALETTE)]
        fig.add_trace(draw.line(ordered, share, f"N = {w}", color, line_shape="hv"), row=1, col=2)
    fig.update_yaxes(range=[0, 1.04], row=1, col=2)
    return fig


def draw_lengths(result: Lengths) -> go.Figure:
    fig = draw.panels(
        [("training steps", "fitted exponent"), (WIDTH_AXIS, "median error")],
        log_x=[True, True],
        log_y=[False, True],
        titles=["Exponent", "While the error goes on falling"],
    )
    steps = np.array(result.steps, dtype=float)
    fig.add_trace(
        draw.points(steps, result.exponent, "fit ± 2 SE", BLUE, standard_error=result.standard_error, showlegend=False),
        row=1,
        col=1,
    )
    draw.mark_y(fig, 1, "averaging", col=1)
    draw.mark_y(fig, 4, "approximation", col=1)
    fig.update_yaxes(range=[-0.3, 4.4], row=1, col=1)
    fig.update_xaxes(range=[np.log10(400), np.log10(5000)], row=1, col=1)
    for k, (n, median) in enumerate(zip(result.steps, result.median, strict=True)):
        color = (SKY, BLUE, ORANGE, VERMILLION)[k]
        fig.add_trace(draw.points(result.width, median, f"{n:,} steps", color).update(mode="lines+markers"), row=1, col=2)
    return fig


def draw_tickets(result: Tickets) -> go.Figure:
    fig = draw.panels(
        [("x", "output"), ("groups averaged", "error, best offset and scale")],
        log_y=[False, True],
        titles=["Groups of neurons and their mean", "Averaging them"],
        widths=[0.62, 0.38],
    )
    for k, part in enumerate(result.part):
        line = draw.line(result.x, part, "one group, as if it were all", GRAY, width=1.3, opacity=0.8, showlegend=k == 0)
        fig.add_trace(line, row=1, col=1)
    fig.add_trace(draw.line(result.x, result.whole, "mean of the groups: the network", BLUE, width=4), row=1, col=1)
    fig.add_trace(draw.line(result.x, result.target, "target", ORANGE, dash="dash"), row=1, col=1)
    reach = float(np.abs(result.target).max())
    fig.update_yaxes(range=[-1.6 * reach - 0.4, 2.2 * reach + 0.4], row=1, col=1)
    groups = np.arange(1, result.error.size + 1)
    fig.add_trace(draw.points(groups, result.error, "error", BLUE, showlegend=False).update(mode="lines+markers"), row=1, col=2)
    fig.update_xaxes(dtick=1, row=1, col=2)
    return fig


LAB = Lab(
    title="Lottery tickets",
    question="Is the 1/N law approximation or averaging?",
    views=[
        View(
            "Who sets the exponent",
            "phase diagram",
            exponent_map,
            draw_exponent_map,
            "Color is the local exponent of the mechanism, exact: below the line the spline's error rules and falls as N⁻⁴, above it "
            "noisy tickets are averaged and the error falls as N⁻¹.",
            controls=("width", "ticket_noise", "tickets_per_neuron"),
            click=("width", "ticket_noise"),
        ),
        View(
            "Averaged tickets",
            "scaling curve",
            mechanism_curve,
            draw_mechanism,
            "The mechanism, theory and simulation: whatever the tickets' noise, a wide enough network only averages.",
            controls=("ticket_noise", "tickets_per_neuron", "seed"),
        ),
        View(
            "A network taken apart",
            "field",
            seen_tickets,
            draw_tickets,
            "A network trained now: no group of its neurons is the target, their mean is. The right panel gives every partial mean its "
            "best offset and scale.",
            controls=("shown_width", "groups", "activation", "target", "training_steps", "seed"),
        ),
        View(
            "Trained networks",
            "scaling curve",
            trained_ladder,
            draw_ladder,
            "Networks trained now, from many seeds: the median error against width beside slopes −1 and −4, and the errors of all "
            "seeds. Change the training steps before believing the slope.",
            controls=("training_steps", "activation", "target", "largest_width", "n_seeds", "seed"),
        ),
        View(
            "Longer training",
            "scaling curve",
            training_lengths,
            draw_lengths,
            "The exponent fitted after four lengths of training: while the error still falls at every width, the exponent is of unfinished "
            "training, not of width alone.",
            controls=("activation", "target", "largest_width", "n_seeds", "seed"),
        ),
    ],
    presets={
        "Averaging": {"view": "Averaged tickets", "ticket_noise": 1e-2, "tickets_per_neuron": 0.5},
        "Approximation": {"view": "Averaged tickets", "ticket_noise": 1e-8, "tickets_per_neuron": 1.0},
        "At the crossover": {"view": "Who sets the exponent", "width": 16, "ticket_noise": 1.1e-5},
        "SiLU, 2,000 steps": {"view": "Trained networks", "activation": "silu", "training_steps": 2000},
        "ReLU approximates": {"view": "Trained networks", "activation": "relu", "training_steps": 2000},
        "SiLU, 8,000 steps": {"view": "Trained networks", "activation": "silu", "training_steps": 8000},
    },
    words=r"""
**The question.** Approximation theory gives a network of width $N$ on a smooth function of one variable an error $\propto N^{-4}$. On
$y=x^2$ the paper finds $N^{-1}$ for SiLU networks, and explains it by tickets: small subnetworks that each fit the target with an
unbiased error, of which a wider network holds and averages more (paper 188, section 3).

**The mechanism** (theory, derived here): $\rho N$ tickets, each the best spline of $N$ pieces plus noise of variance $v$, average to
$$\mathrm{MSE}(N) = \frac{16}{180}N^{-4} + \frac{v}{\rho N},\qquad N_{\mathrm{cross}} = \left(\frac{16\rho}{180\,v}\right)^{1/3},$$
with local exponent $5/2$ at the crossover. $16/180$ is exact: a piece of length $h=2/N$ leaves $h^4/180$. The dots draw the
tickets and average them, a whole number of them: at small $N$, where $\rho N<1$ still means one ticket, they lie below the line.

**The networks** (simulation) are two-layer, trained here on 64 points with Adam and a cosine decay, seeded. They are a miniature of
the paper's. SiLU networks show an exponent between 0.6 and 1 at these lengths of training, ReLU networks, which are splines, between 2
and 3. But the SiLU error lies orders of magnitude above what training eight times longer reaches, at every width: an exponent near 1 is
a statement about training cut short as much as about width. No ReLU network can pass below $\frac{16}{180}(N+1)^{-4}$ (green).

**Where it stops.** Whether real tickets are independent and unbiased is the paper's finding, not derived. Sixty-four training points
make training and test error nearly equal. The map and the ticket curve are of $y=x^2$ only.
""",
    papers={"188": "miniature"},
)
