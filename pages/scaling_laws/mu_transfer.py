"""Does the best learning rate survive a change of width?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.mu_transfer import (
    Arm,
    Basin,
    CoordinateCheck,
    Predictions,
    RateSweep,
    attention_sweep,
    coordinate_check,
    exact_sweep,
    loss_prediction,
    network_sweep,
    prediction_basin,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILLION, YELLOW, faded

LADDER = (SKY, BLUE, GREEN, ORANGE, VERMILLION, PURPLE, YELLOW)
ARM_COLORS = (VERMILLION, BLUE)
TITLES = {"SP": "Standard: the best rate drifts", "muP": "Maximal update: it stays"}
HEADS = {"1/√d": "Logits over √d: the best rate drifts", "1/d": "Logits over d: it stays"}


def add_curves(fig: go.Figure, arm: Arm, col: int, symbol: str) -> None:
    for k, (n, color) in enumerate(zip(arm.width, LADDER, strict=False)):
        rate, mean = arm.curve(k)
        line = draw.line(rate, mean, f"{symbol} = {n:,}", color, width=2, showlegend=col == 1, legendgroup=str(n))
        fig.add_trace(line, row=1, col=col)
    rate, lowest = arm.marks()
    stars = draw.points(rate, lowest, "lowest", GRAY, symbol="star", size=11, showlegend=col == 1)
    fig.add_trace(stars.update(marker_line={"color": "#000000", "width": 1}), row=1, col=col)


def add_best(fig: go.Figure, arms: tuple[Arm, ...], col: int | None) -> None:
    place = {} if col is None else {"row": 1, "col": col}
    for arm, color in zip(arms, ARM_COLORS, strict=True):
        best, error = arm.best_mean()
        width = np.array(arm.width, dtype=float)
        guide = best[-1] * (width / width[-1]) ** arm.theory_slope
        words = f"slope {arm.theory_slope:g}".replace("-", "−")
        if arm.limit_rate is None:
            fig.add_trace(draw.line(width, guide, words, color, dash="dot", width=1.5, showlegend=col is None), **place)
        else:
            limit = arm.limit_rate * width**arm.theory_slope
            fig.add_trace(draw.line(width, limit, "best of n = ∞, exact", color, dash="dash", showlegend=col is None), **place)
        fig.add_trace(draw.points(width, best, arm.name, color, standard_error=best * error, showlegend=col is None), **place)


def loss_range(arms: tuple[Arm, ...], top: float) -> list[float]:
    low = min(float(arm.lowest().min()) for arm in arms)
    return [max(-12.0, np.log10(low) - 0.15), np.log10(top)]


def draw_exact(result: RateSweep) -> go.Figure:
    fig = draw.panels(
        [("learning rate η", "squared error over the target's power")] * 2,
        log_x=[True, True],
        log_y=[True, True],
        titles=[TITLES[arm.name] for arm in result.arms],
    )
    for col, arm in enumerate(result.arms, start=1):
        add_curves(fig, arm, col, "n")
    fig.update_yaxes(range=loss_range(result.arms, 4))
    return fig


def draw_best(result: RateSweep) -> go.Figure:
    fig = draw.figure("width n", "best learning rate", log_x=True, log_y=True, x_range=(12, 90_000), y_range=(3e-5, 20))
    add_best(fig, result.arms, None)
    return fig


def sweep_figure(titles: dict[str, str], symbol: str, x: str, top: float) -> Callable[[RateSweep], go.Figure]:
    def draw_sweep(result: RateSweep) -> go.Figure:
        fig = draw.panels(
            [("learning rate η", "test loss"), ("learning rate η", ""), (x, "best learning rate")],
            log_x=[True, True, True],
            log_y=[True, True, True],
            titles=[*(titles[arm.name] for arm in result.arms), "Best rate"],
            widths=[0.37, 0.37, 0.26],
            gap=0.075,
        )
        for col, arm in enumerate(result.arms, start=1):
            add_curves(fig, arm, col, symbol)
            fig.update_yaxes(range=loss_range(result.arms, top), row=1, col=col)
        add_best(fig, result.arms, 3)
        fig.update_annotations(font_size=14)
        return fig

    return draw_sweep


def draw_prediction(result: Predictions) -> go.Figure:
    fig = draw.figure("width n", "squared error over the target's power", log_x=True, log_y=True, x_range=(13, 90_000))
    shown = []
    for p, color in zip(result.of, ARM_COLORS, strict=False):
        if p.curve.size:
            fig.add_trace(draw.band(p.curve_width, p.low, p.high, f"95%, {p.name}", color, showlegend=False))
            fig.add_trace(draw.line(p.curve_width, p.curve, f"fit to the narrow, {p.name}", color))
            shown.append(p.curve)
        fitted, beyond = slice(0, p.n_fitted), slice(p.n_fitted, None)
        width, error = np.array(p.width, dtype=float), p.loss * p.log_error
        fig.add_trace(draw.points(width[fitted], p.loss[fitted], f"fitted, {p.name}", color, standard_error=error[fitted]))
        truth = draw.points(
            width[beyond], p.loss[beyond], f"truth, {p.name}", color, standard_error=error[beyond], symbol="star", size=13
        )
        if width[beyond].size:
            fig.add_trace(truth)
        shown.append(p.loss)
        if p.diverged and p.curve.size:
            at = float(min(p.diverged))
            fig.add_trace(
                draw.on_map(at, float(p.curve[-1]), f"{p.name} diverges from here", color=color).update(
                    textposition="top center", textfont_shadow="none"
                )
            )
    values = np.concatenate(shown) if shown else np.ones(1)
    values = values[values > 0]
    fig.update_yaxes(range=[max(-9, np.log10(values.min()) - 0.3), np.log10(values.max()) + 0.3])
    return fig


def draw_check(result: CoordinateCheck) -> go.Figure:
    titles = ["Standard: movement grows with width", "Maximal update: it does not"]
    fig = draw.panels([("width n", "movement of a hidden coordinate")] * 2, log_x=[True, True], log_y=[True, True], titles=titles)
    width = np.array(result.width, dtype=float)
    mean, error = result.mean(), result.standard_error()
    low, high = np.log10(mean.min()) - 0.25, np.log10(mean.max()) + 0.25
    for arm in (0, 1):
        for k, step in enumerate(result.step):
            name = f"after step {step}" if step == 1 else f"after {step}"
            trace = draw.points(width, mean[arm, :, k], name, LADDER[k], standard_error=error[arm, :, k], showlegend=arm == 0)
            fig.add_trace(trace.update(mode="lines+markers"), row=1, col=arm + 1)
        slope = 1.0 if arm == 0 else 0.0
        guide = draw.guide(width, 10 ** (low + 0.12) * (width / width[0]) ** slope, "slope 1, or 0", showlegend=arm == 0)
        fig.add_trace(guide, row=1, col=arm + 1)
    fig.update_yaxes(range=[low, high])
    return fig


def draw_basin(result: Basin) -> go.Figure:
    fig = draw.figure(
        "rate over the best η/η*", "scale of the start s", log_x=True, log_y=True, x_range=(0.03, 3), y_range=(0.25, 4)
    )
    bar = {"title": {"text": "error of the prediction", "side": "right"}, "outlinewidth": 0, "thickness": 14}
    ticks = {"tickvals": [-3, -2, -1, 0], "ticktext": ["0.1%", "1%", "10%", "100%"]}
    error = draw.heatmap(result.rate_offset, result.init_scale, result.log_error, "", zmin=-3, zmax=0)
    fig.add_trace(error.update(colorbar=bar | ticks))
    red = faded(VERMILLION, 0.8)
    flat = [[0, red], [1, red]]
    fig.add_trace(
        go.Heatmap(x=result.rate_offset, y=result.init_scale, z=result.diverged, colorscale=flat, showscale=False, hoverinfo="skip")
    )
    x, y = result.basin
    fig.add_trace(draw.boundary(x, y, ""))
    fig.add_trace(draw.on_map(1.3, 3.2, "a width diverges"))
    if np.isfinite(result.error).sum() > 3:
        fig.add_trace(draw.on_map(0.08, 0.3, "white: loss four times its lowest"))
    return fig


LAB = Lab(
    title="Learning rates across widths",
    question="Does the best learning rate survive a change of width?",
    views=[
        View(
            "Rate sweeps, exact",
            "scaling curve",
            exact_sweep,
            draw_exact,
            "Loss against learning rate at each width, exact for a linear network: the standard parametrization's best rate (stars) falls as "
            "1/n, that of maximal update stays, and wider is better.",
            controls=("largest_width", "steps", "spectrum_exponent", "n_seeds", "seed"),
        ),
        View(
            "Best rate",
            "scaling curve",
            exact_sweep,
            draw_best,
            "The best rate against width with its slope: −1 under the standard parametrization, 0 under maximal update, where the dashed line "
            "is the exact best rate of the infinitely wide network.",
            controls=("largest_width", "steps", "spectrum_exponent", "n_seeds", "seed"),
        ),
        View(
            "Predicting the loss",
            "scaling curve",
            loss_prediction,
            draw_prediction,
            "A n^−b + C fitted to narrow networks (dots) at one rate and extrapolated with its 95% band; stars are the truth. Under the standard "
            "parametrization the same rate diverges at larger widths.",
            controls=("rate_offset", "largest_width", "n_fitted", "init_scale", "n_losses", "steps"),
        ),
        View(
            "Attention logits",
            "scaling curve",
            attention_sweep,
            sweep_figure(HEADS, "d", "width of the head d", 6),
            "An attention head trained by Adam now: with logits over the root of its width the best rate falls as d to the −1/2, with "
            "logits over its width it stays.",
            controls=("head_width", "zero_query", "steps", "n_heads", "seed"),
        ),
        View(
            "Coordinate check",
            "trajectory",
            coordinate_check,
            draw_check,
            "How far a coordinate of the second hidden layer moves in the first steps: at a small rate it grows with width under the standard "
            "parametrization and not under maximal update.",
            controls=("optimizer", "check_rate", "network_width", "seed"),
        ),
        View(
            "Networks, trained",
            "scaling curve",
            network_sweep,
            sweep_figure(TITLES, "n", "width n", 10),
            "Networks of two tanh layers trained now at every rate and width, by Adam, SGD or sign descent, with an ablation: look whether the "
            "stars stay in a column.",
            controls=("optimizer", "ablation", "network_width", "n_networks", "steps", "seed"),
        ),
        View(
            "Where the prediction holds",
            "phase diagram",
            prediction_basin,
            draw_basin,
            "Error of the extrapolated loss over learning rate and scale of the start; inside the white line the loss is at most four times its "
            "lowest, red is where a width diverged.",
            controls=("parametrization", "rate_offset", "init_scale", "largest_width", "n_fitted", "n_losses"),
            click=("rate_offset", "init_scale"),
        ),
    ],
    presets={
        "SP drifts, muP stays": {"view": "Rate sweeps, exact", "largest_width": 65536},
        "Prediction off the basin": {"view": "Predicting the loss", "rate_offset": 1.6},
        "Prediction inside": {"view": "Predicting the loss", "rate_offset": 0.3, "n_losses": 128},
        "Attention over √d": {"view": "Attention logits", "head_width": 256, "zero_query": True},
        "Adam": {"view": "Networks, trained", "optimizer": "adam", "ablation": "none"},
        "Standard parametrization, no prediction": {"view": "Where the prediction holds", "parametrization": "SP"},
        "Weight decay": {"view": "Networks, trained", "optimizer": "adam", "ablation": "weight_decay"},
        "Sign descent": {"view": "Networks, trained", "optimizer": "sign", "ablation": "none"},
    },
    words=r"""
**The question.** If the best learning rate of a narrow network were that of a wide one, nobody would have to search at large width. Under
the standard parametrization (SP: start variance one over the fan-in, one rate) it is not; maximal update (muP) scales starts and rates by
layer so that every layer moves by order one in a step (papers 335, 350; the table is of Yang et al., Tensor Programs V, table 3):

| | start of the readout | rates: input, hidden, readout |
|---|---|---|
| SGD | $n_0/n^2$ | $n/n_0,\ 1,\ n_0/n$ |
| Adam, sign | $n_0/n^2$ | $1,\ n_0/n,\ n_0/n$ |

At the base width $n_0=32$ both are the same, bit for bit.

**Exact sweeps** (theory at every width). A linear network $f=\frac1n\sum_k z_ku_k$ under SGD is a recursion of its Gram matrix (see the
lab on infinite-width parametrizations), so a sweep costs the same at width 16 and 65,536. SP: $z$ moves by $\eta n$, so
$\eta^*\propto n^{-1}$; the rates tried span the same range of $\eta n$ at every width, the optimum within is found. muP: the recursion has
a limit and so has $\eta^*$. SP's best rates lie above the stability edge $2/(n\lambda_1)$ of its kernel: the loss climbs before it falls.

**Prediction.** $L(n)=An^{-b}+C$ is fitted to the log losses of narrow networks at *one* rate, weighted by precision, with a bootstrap
over networks, and compared with the exact loss of the widest. The band is sampling error only: the law is empirical, and where it is
not one power the error exceeds it.

**Attention.** One head, Adam, logits $a\,q^\top W_Q^\top W_Kx$. A step moves a logit by $\eta\,a\,d$: $\eta^*\propto d^{-1/2}$
for $a=1/\sqrt d$, constant for $a=\sqrt{d_0}/d$.

**Simulation.** Attention, coordinate check and networks are trained live with fresh samples at every step; networks on
$\sin 2x_1+x_2$. Weight decay takes from a weight its own layer's rate times $1$, so in muP's hidden layers it fades with width; a large
batch is 512 in place of 64; zero readout starts $W^3$ at 0.

**Where it stops.** These are miniatures: no depth, no normalization, tens of steps. What breaks transfer in a large transformer is not
reproduced here. Best rates from two seeds on 13 rates scatter; slopes in theory are those of large width and a fixed number of
steps, and with 200 steps the head's approaches saturation.
""",
    papers={"335": "miniature", "350": "miniature"},
)
