"""How many tokens per parameter, and how sure are you?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from compute.parameters import format_number
from compute.scaling_laws.chinchilla import (
    PUBLISHED_RUNS,
    PUBLISHED_WIDTH,
    Choices,
    Cloud,
    Frontier,
    IsoFlop,
    LossMap,
    ShapeMap,
    Trajectories,
    analysis_choices,
    exponent_cloud,
    frontier,
    isoflop_curves,
    loss_map,
    shape_map,
    trajectories,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, MAP, ORANGE, PURPLE, SKY, VERMILLION

SIZE_AXIS, TOKEN_AXIS, COMPUTE_AXIS = "parameters N", "training tokens D", "training compute C = 6ND, FLOP"
RATIO_AXIS = "tokens per parameter D/N"
QUANTITY_AXES = {
    "tokens_per_parameter": RATIO_AXIS,
    "parameters": "compute-optimal parameters N*",
    "tokens": "compute-optimal tokens D*",
    "loss": "loss at the optimum, nats per token",
}
QUANTITY_RANGES = {"tokens_per_parameter": (1.0, 1e3), "parameters": (1e7, 1e14), "tokens": (1e8, 1e15), "loss": (1.5, 4.5)}
DECADE_TICKS = {"dtick": 1, "exponentformat": "power"}
SHOWN_RATIO = (0.1, 1e5)  # tokens per parameter on the chart of choices
GROUPS = {"objective": BLUE, "form": VERMILLION, "method": PURPLE, "data": GREEN}


def draw_loss_map(plane: LossMap) -> go.Figure:
    fig = draw.figure(
        SIZE_AXIS,
        TOKEN_AXIS,
        log_x=True,
        log_y=True,
        x_range=(plane.n_grid[0], plane.n_grid[-1]),
        y_range=(plane.d_grid[0], plane.d_grid[-1]),
        height=520,
    )
    floor = float(np.floor(plane.loss.min() * 10) / 10)
    fig.add_trace(
        draw.bands(
            plane.n_grid,
            plane.d_grid,
            plane.loss,
            f"loss ({plane.loss_of})",
            low=floor,
            high=floor + 3,
            step=0.1,
            hovertemplate=f"N %{{x:.3g}}<br>D %{{y:.3g}}<br>loss ({plane.loss_of}) %{{z:.3f}}<extra></extra>",
        )
    )
    ends = plane.n_grid[[0, -1]]
    fig.add_trace(
        draw.line(
            ends, plane.target_compute / 6 / ends, f"budget C = {plane.target_compute:.3g} FLOP", ORANGE, dash="dash", width=2
        )
    )
    low, high = (plane.compute / 6 / edge for edge in (plane.fit_low, plane.fit_high))
    fig.add_trace(
        go.Scatter(
            x=np.concatenate([plane.fit_low, plane.fit_high[::-1]]),
            y=np.concatenate([low, high[::-1]]),
            name="80% band of the fit",
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor="rgba(213,94,0,0.45)",
            hoverinfo="skip",
        )
    )
    if plane.true_size is not None:
        tokens = plane.compute / 6 / plane.true_size
        fig.add_trace(draw.boundary(plane.true_size, tokens, ""))
        fig.add_trace(draw.on_map(plane.true_size[26] * 4, tokens[26] / 2, "frontier of the truth"))
    fig.add_trace(draw.line(plane.fit_size, plane.compute / 6 / plane.fit_size, "frontier of the fit", VERMILLION, dash="dash"))
    runs = draw.points(plane.runs.n_parameters, plane.runs.n_tokens, "runs", "#ffffff", size=5)
    runs.marker.line = {"color": "#24292f", "width": 0.8}
    runs.customdata = plane.runs.loss
    runs.hovertemplate = "N %{x:.3g}<br>D %{y:.3g}<br>loss %{customdata:.3f}<extra>run</extra>"
    fig.add_trace(runs)
    fig.update_xaxes(**DECADE_TICKS)
    fig.update_yaxes(**DECADE_TICKS)
    return fig


def draw_isoflop(curves: IsoFlop) -> go.Figure:
    fig = draw.figure(SIZE_AXIS, "loss, nats per token", log_x=True, height=500)
    log_c = np.log10(curves.compute)
    low, high = log_c.min(), max(log_c.max(), log_c.min() + 0.1)
    shade = [[0, 0.15], [1, 0.9]]
    hues = sample_colorscale(MAP, list(np.interp((log_c - low) / (high - low), *zip(*shade, strict=True))))
    for k, hue in enumerate(hues):
        fig.add_trace(
            draw.line(
                curves.n_grid[k],
                curves.curve[k],
                f"{curves.curve_of} at each budget",
                hue,
                width=1.8,
                showlegend=k == len(hues) // 2,
            )
        )
    inside = curves.runs.budget >= 0
    runs = draw.points(curves.runs.n_parameters[inside], curves.runs.loss[inside], "runs", GRAY, size=6)
    runs.marker.color = log_c[curves.runs.budget[inside]]
    runs.marker.colorscale = [[t, c] for t, c in zip((0, 0.5, 1), sample_colorscale(MAP, [0.15, 0.525, 0.9]), strict=True)]
    runs.marker.cmin, runs.marker.cmax = low, high
    runs.marker.colorbar = {"title": {"text": "log₁₀ C, FLOP", "side": "right"}, "outlinewidth": 0, "thickness": 14}
    fig.add_trace(runs)
    if curves.true_size is not None:
        k = np.arange(curves.compute.size)
        level = [np.interp(np.log(curves.true_size[i]), np.log(curves.n_grid[i]), curves.curve[i]) for i in k]
        if curves.curve_of == "truth":
            fig.add_trace(draw.line(curves.true_size, level, "optimum of the truth", GRAY))
    fig.add_trace(draw.line(curves.fit_size, curves.fit_loss, "optimum of the fit", VERMILLION, dash="dash", width=1.5))
    fig.add_trace(
        draw.points(curves.fit_size, curves.fit_loss, "optimum of the fit", VERMILLION, symbol="star", size=12, showlegend=False)
    )
    fig.update_xaxes(**DECADE_TICKS)
    return fig


def _extended(limits: tuple[float, float], *curves: np.ndarray | None) -> tuple[float, float]:
    """Limits moved out by whole decades, four at most, where a curve leaves them."""
    low, high = limits
    seen = np.concatenate([np.ravel(c) for c in curves if c is not None])
    down, up = (int(np.clip(np.ceil(v), 0, 4)) for v in (np.log10(low / seen.min()), np.log10(seen.max() / high)))
    return low / 10**down, high * 10**up


def draw_frontier(curve: Frontier) -> go.Figure:
    fig = draw.figure(
        COMPUTE_AXIS,
        QUANTITY_AXES[curve.quantity],
        log_x=True,
        log_y=True,
        x_range=(1e18, 1e26),
        y_range=_extended(QUANTITY_RANGES[curve.quantity], curve.fit, curve.truth),
        height=480,
    )
    low, high = np.log10(curve.seen)
    fig.add_vrect(x0=10**low, x1=10**high, fillcolor=GRAY, opacity=0.12, line_width=0, layer="below")
    fig.add_annotation(x=(low + high) / 2, y=0.02, yref="paper", text="compute of the runs", showarrow=False, font={"color": GRAY})
    fig.add_trace(draw.band(curve.compute, curve.low, curve.high, "80% bootstrap band", BLUE))
    if curve.truth is not None:
        fig.add_trace(draw.line(curve.compute, curve.truth, "truth", ORANGE, width=4, opacity=0.8))
    for name, color, dash in (
        ("hoffmann_rounded", GREEN, "solid"),
        ("hoffmann_unrounded", GREEN, "dot"),
        ("besiroglu", PURPLE, "dash"),
    ):
        label = {
            "hoffmann_rounded": "Hoffmann 2022, as printed",
            "hoffmann_unrounded": "Hoffmann 2022, before rounding",
            "besiroglu": "Besiroglu 2024",
        }[name]
        fig.add_trace(draw.line(curve.compute, curve.published[name], label, color, dash=dash, width=2))
    fig.add_trace(draw.line(curve.compute, curve.fit, "your fit", BLUE))
    draw.mark_x(fig, curve.target_compute, f"C = {curve.target_compute:.3g}")
    fig.update_xaxes(**DECADE_TICKS)
    if curve.quantity == "loss":
        fig.update_yaxes(tickvals=[1.5, 2, 2.5, 3, 3.5, 4, 4.5])
    else:
        fig.update_yaxes(**DECADE_TICKS)
    return fig


def draw_cloud(cloud: Cloud) -> go.Figure:
    names = {
        "alpha": "parameter exponent α",
        "beta": "token exponent β",
        "a": "exponent a of N*",
        "tokens_per_parameter": RATIO_AXIS,
    }
    fig = draw.panels(
        [(names[cloud.axes[0]], names[cloud.axes[1]]), ("runs n", "width of the 80% interval of a")],
        log_x=[False, True],
        log_y=[False, True],
        titles=["Refits of resampled runs", "More runs"],
        height=500,
    )
    summary = cloud.summary
    if cloud.axes[0] == "alpha":
        seen = np.concatenate([cloud.x, cloud.y])
        low, high = min(0.25, np.floor(seen.min() * 10) / 10), max(0.45, np.ceil(seen.max() * 10) / 10)
        for a in (0.4, 0.45, 0.5, 0.55, 0.6):
            ends = np.array([max(low, 1e-3), min(high, high * (1 - a) / a)])
            fig.add_trace(draw.guide(ends, ends * a / (1 - a), "constant a", showlegend=False), row=1, col=1)
            start = max(low, low * (1 - a) / a)
            x = start + 0.85 * (ends[1] - start)
            fig.add_annotation(
                x=x,
                y=x * a / (1 - a),
                text=f"a = {a:g}",
                showarrow=False,
                font={"color": GRAY},
                xanchor="left",
                yanchor="top",
                row=1,
                col=1,
            )
        fig.update_xaxes(range=[low, high], row=1, col=1)
        fig.update_yaxes(range=[low, high], row=1, col=1)
    else:
        fig.update_yaxes(type="log", row=1, col=1)
    fig.add_trace(draw.points(cloud.x, cloud.y, "refits", SKY, size=5, opacity=0.7), row=1, col=1)
    if cloud.axes[0] == "alpha":
        fig.add_trace(draw.points([0.34], [0.28], "Hoffmann 2022", GREEN, symbol="diamond", size=11), row=1, col=1)
        fig.add_trace(draw.points([0.3478], [0.3658], "Besiroglu 2024", PURPLE, symbol="diamond", size=11), row=1, col=1)
    if cloud.true_point is not None:
        fig.add_trace(draw.points(*([v] for v in cloud.true_point), "truth", ORANGE, symbol="x", size=13), row=1, col=1)
    fig.add_trace(draw.points(*([v] for v in cloud.fit_point), "your fit", BLUE, symbol="star", size=13), row=1, col=1)

    if summary.exponent_width > 1e-9:
        n = np.geomspace(10, 2e6, 30)
        law = summary.exponent_width * np.sqrt(summary.n_runs / n)
        fig.add_trace(draw.line(n, law, "n^(−1/2) through your runs", BLUE, width=1.8), row=1, col=2)
    fig.add_trace(
        draw.points(cloud.n_drawn, cloud.width, "resamples of n rows or fewer ± 2 SE", BLUE, standard_error=cloud.width_error),
        row=1,
        col=2,
    )
    fig.add_trace(
        draw.points([PUBLISHED_RUNS], [PUBLISHED_WIDTH], "", PURPLE, symbol="diamond", size=11, showlegend=False), row=1, col=2
    )
    draw.mark_y(fig, 1e-3, "interval that Hoffmann 2022 report", row=1, col=2)
    fig.update_xaxes(range=[1, np.log10(2e6)], **DECADE_TICKS, row=1, col=2)
    fig.update_yaxes(range=[np.log10(5e-4), 0], **DECADE_TICKS, row=1, col=2)
    return fig


def draw_choices(result: Choices) -> go.Figure:
    n = len(result.label)
    fig = draw.figure(
        f"{RATIO_AXIS} at C = {result.target_compute:.3g} FLOP",
        "",
        log_x=True,
        x_range=SHOWN_RATIO,
        y_range=(n + 0.2, -1.6),
        height=140 + 23 * (n + 1),
    )
    fig.add_vrect(x0=result.reference_low, x1=result.reference_high, fillcolor=BLUE, opacity=0.13, line_width=0, layer="below")
    fig.add_vline(x=result.reference, line={"color": GRAY, "width": 1.2})
    if result.truth is not None:
        fig.add_trace(draw.line([result.truth] * 2, [-1.6, n + 0.2], "truth", ORANGE, width=3))
    place = np.arange(n)
    groups = np.array(result.group)
    low, high = SHOWN_RATIO
    for group, color in GROUPS.items():
        rows = (groups == group) & np.isfinite(result.ratio)
        fits = rows & (result.ratio >= low) & (result.ratio <= high)
        moved = np.stack([np.full(fits.sum(), result.reference), result.ratio[fits]], axis=1)
        fig.add_trace(draw.strokes(moved, place[fits][:, None], color, 6, name=group, opacity=0.3))
        found = draw.points(result.ratio[fits], place[fits], group, color, size=9)
        sure = (
            np.where(np.isfinite(result.low), result.low, result.ratio),
            np.where(np.isfinite(result.high), result.high, result.ratio),
        )
        found.error_x = {
            "type": "data",
            "array": np.maximum(sure[1] - result.ratio, 0)[fits],
            "arrayminus": np.maximum(result.ratio - sure[0], 0)[fits],
            "color": color,
            "thickness": 1.3,
            "width": 3,
        }
        fig.add_trace(found)
        off = rows & ~fits
        if off.any():
            left = result.ratio[off] < low
            edge = draw.points(np.where(left, low * 1.3, high / 1.3), place[off], group, color, size=11, showlegend=False)
            edge.marker.symbol = ["triangle-left" if side else "triangle-right" for side in left]
            edge.mode = "markers+text"
            edge.text = [f"{v:.1g}" for v in result.ratio[off]]
            edge.textposition = ["middle right" if side else "middle left" for side in left]
            fig.add_trace(edge)
    found = draw.points([result.reference], [-1], "reference, as set, with its 80% interval", GRAY, symbol="diamond", size=11)
    fig.add_trace(found)
    for k in np.flatnonzero(~np.isfinite(result.ratio)):
        fig.add_annotation(
            x=np.log10(result.reference), y=k, text="no allocation", showarrow=False, font={"color": GRAY}, xanchor="left", xshift=6
        )
    fig.update_yaxes(
        tickvals=[-1, *place], ticktext=["<b>as set</b>", *result.label], showgrid=False, ticks="", showline=False, title_text=None
    )
    fig.update_xaxes(**DECADE_TICKS)
    return fig


def draw_trajectories(result: Trajectories) -> go.Figure:
    fig = draw.panels(
        [("steps S", "loss, nats per token"), ("tokens over the least, E/E_min", "steps over the least, S/S_min")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Large runs, predicted from small ones", "Time against tokens"],
        widths=[0.64, 0.36],
        height=520,
    )
    seen = result.seen
    for k in range(seen.sizes.size):
        fig.add_trace(
            draw.points(
                seen.steps,
                seen.trajectory[k],
                f"trained: six sizes, {format_number(seen.sizes[0])} to {format_number(seen.sizes[-1])}",
                GRAY,
                size=3.5,
                showlegend=k == 0,
            ),
            row=1,
            col=1,
        )
    for k, (n, color) in enumerate(zip(result.sizes[1:], (SKY, GREEN, VERMILLION), strict=True)):
        last = k == 2
        fig.add_trace(
            draw.line(result.steps, result.truth[k + 1], "truth", color, width=5, opacity=0.4, showlegend=last), row=1, col=1
        )
        fig.add_trace(
            draw.line(result.steps, result.predicted[k + 1], "predicted", color, dash="dash", width=2, showlegend=last),
            row=1,
            col=1,
        )
        fig.add_annotation(
            x=5.95,
            y=np.log10(result.truth[k + 1, -1]),
            text=format_number(n),
            showarrow=False,
            xanchor="right",
            yshift=11,
            row=1,
            col=1,
        )
    fig.add_trace(draw.band(result.steps, result.low, result.high, "80% band of the prediction", VERMILLION), row=1, col=1)
    fig.update_xaxes(range=[2, 6], **DECADE_TICKS, row=1, col=1)
    fig.update_yaxes(range=np.log10([1.6, 12]), tickvals=[2, 3, 4, 6, 8, 12], row=1, col=1)
    cost = np.geomspace(1.03, 40, 80)
    fig.add_trace(draw.line(cost, 1 + 1 / (cost - 1), "(S/S_min − 1)(E/E_min − 1) = 1", BLUE), row=1, col=2)
    fig.add_trace(
        draw.points(result.sweep_cost.ravel(), result.sweep_time.ravel(), "batch sweep", BLUE, size=4, opacity=0.7), row=1, col=2
    )
    fig.add_trace(draw.points([2], [2], "critical batch", ORANGE, symbol="star", size=14), row=1, col=2)
    fig.update_xaxes(range=np.log10([0.9, 40]), tickvals=[1, 2, 5, 10, 20, 40], row=1, col=2)
    fig.update_yaxes(range=np.log10([0.9, 40]), tickvals=[1, 2, 5, 10, 20, 40], row=1, col=2)
    return fig


def draw_shapes(result: ShapeMap) -> go.Figure:
    fig = draw.panels(
        [("width", "depth"), (COMPUTE_AXIS, RATIO_AXIS)],
        log_x=[True, True],
        log_y=[True, True],
        titles=[f"Loss at C = {result.target_compute:.3g} ({result.loss_of})", "What each subset of shapes prescribes"],
        height=500,
    )
    floor = float(np.floor(result.loss.min() * 50) / 50)
    fig.add_trace(
        draw.bands(
            result.width,
            result.depth,
            result.loss,
            "",
            low=floor,
            high=floor + 2.5,
            step=0.05,
            showscale=False,
            hovertemplate="width %{x:.3g}<br>depth %{y:.3g}<br>loss %{z:.3f}<extra></extra>",
        ),
        row=1,
        col=1,
    )
    for mask, name, color in ((~result.kept, "runs left out", GRAY), (result.kept, "runs kept", "#ffffff")):
        if mask.any():
            found = draw.points(result.runs.width[mask], result.runs.depth[mask], name, color, size=4)
            found.marker.line = {"color": "#24292f", "width": 0.7}
            fig.add_trace(found, row=1, col=1)
    fig.add_trace(draw.boundary(*result.path, "best shape as C grows", at=0.3), row=1, col=1)
    if result.true_shape is not None:
        fig.add_trace(
            draw.points(*([v] for v in result.true_shape), "true optimum at C", ORANGE, symbol="x", size=13), row=1, col=1
        )
    if result.fit_shape is not None:
        fig.add_trace(
            draw.points(*([v] for v in result.fit_shape), "optimum at C by the runs kept", VERMILLION, symbol="star", size=15),
            row=1,
            col=1,
        )
    fig.update_xaxes(range=np.log10(result.width[[0, -1]]), **DECADE_TICKS, row=1, col=1)
    fig.update_yaxes(range=np.log10(result.depth[[0, -1]]), **DECADE_TICKS, row=1, col=1)
    for name, color in (("all", BLUE), ("slim", GREEN), ("wide", PURPLE)):
        if name in result.ratio:
            fig.add_trace(
                draw.band(result.compute, result.low[name], result.high[name], "", color, opacity=0.15, showlegend=False),
                row=1,
                col=2,
            )
            fig.add_trace(draw.line(result.compute, result.ratio[name], f"{name} shapes", color, width=2), row=1, col=2)
    if result.true_ratio is not None:
        fig.add_trace(draw.line(result.compute, result.true_ratio, "truth", ORANGE, width=4, opacity=0.8), row=1, col=2)
    draw.mark_x(fig, result.target_compute, f"C = {result.target_compute:.3g}", col=2)
    fig.update_xaxes(range=[18, 26], dtick=2, row=1, col=2)
    fig.update_yaxes(range=[-1, 4], **DECADE_TICKS, row=1, col=2)
    return fig


WORDS = r"""
A scaling study is a table of runs: $N$ parameters, $D$ tokens, loss. Bring yours as a CSV (`N`, `D` or `FLOP`, `loss`), or
draw one from a **known truth**: ten budgets that end at $10^{21}$ FLOP, sizes log-uniform within a factor 6 of the optimum,
Gaussian noise $\sigma$ on the log loss. Compute is $C=6ND$ throughout.

**The law** (Hoffmann et al. 2022; 405): $L=E+AN^{-\alpha}+BD^{-\beta}$. Along $6ND=C$ the least loss is where
$\alpha AN^{-\alpha}=\beta BD^{-\beta}$, so $N^*=G\,(C/6)^a$, $D^*=(C/6)^{1-a}/G$ with $a=\frac{\beta}{\alpha+\beta}$,
$G=\left(\frac{\alpha A}{\beta B}\right)^{1/(\alpha+\beta)}$.

**The fit** minimizes $\sum_i\mathrm{Huber}_\delta\big(\log\hat L_i-\log L_i\big)$,
$\log\hat L=\mathrm{LSE}(\log E,\ \log A-\alpha\log N,\ \log B-\beta\log D)$, by damped Gauss–Newton steps on centered
logs. It lands on the minimum that BFGS finds from a grid of starts. Other readings: **isoFLOP** (a parabola in $\log N$ at
each budget, a line through the vertices), **hull** (a line through the runs on the lower convex hull of $(\log C,\log L)$),
and **mean loss, default tolerance**: BFGS on the *mean* loss from one start, $(\log A,\log B,\log E,\alpha,\beta)=(10,10,0,\frac12,0)$.
The mean's gradient passes the default tolerance far from the minimum: it reports success there, with a narrow interval
around the wrong answer. Kaplan's form is $L=[(N_c/N)^{\alpha_N/\alpha_D}+D_c/D]^{\alpha_D}$.

**Intervals** resample rows, refit from the optimum, and take the middle 80%. At 240 runs Besiroglu et al. find a width of
0.051 for $a$; widths fall as $n^{-1/2}$, so an interval of 0.001 needs $240\,(0.0513/0.001)^2\approx630{,}000$ runs.

**Slips** (320): counting embeddings adds $32{,}000\,(64N/12)^{1/3}$ to $N$; mid-training checkpoints carry up to 0.04 of log loss
that the decay of the rate would have removed; one learning rate for all sizes costs $0.01\,(\frac14\log N/\bar N)^2$. The sizes of these
penalties are ours.

**Trajectories** (382; Kaplan et al. 2020): $L=(N_c/N)^{\alpha_N}+(S_c/S_{\min})^{\alpha_S}$,
$S_{\min}=S/(1+B_{\mathrm{crit}}/B)$, $B_{\mathrm{crit}}=B_*L^{-1/\alpha_B}$. The six constants come from converged losses, then
batch sweeps, then trajectories of small runs.

**Shapes** (408): $L=\varepsilon+Aw^{-a}+Bd^{-b}+Cp^{-c}+DT^{-t}$, $p=12dw^2$. Any sum of powers under a budget is convex in the logs,
so its optimum is found by Newton's method.

**Theory, simulation, and where it stops.** Truths and published laws are formulas; dots, fits and bands are simulation. The Hoffmann
constants are printed rounded, and rounding alone moves 59 tokens per parameter to 93 at $5.76\times10^{23}$ FLOP. The width–depth
constants are planted; no checkpoints of the papers are bundled. A bootstrap over rows does not see errors of form: with a wrong form the
band excludes the truth. At the Kaplan constants $1/(1/\alpha_S+1/\alpha_B+1/\alpha_N)=0.0525$, not the quoted 0.054.
"""

STUDY = ("truth", "n_runs", "noise_sigma", "compute_decades", "fit_method", "target_compute", "runs")

LAB = Lab(
    title="Compute-optimal training",
    question="How many tokens per parameter, and how sure are you?",
    views=[
        View(
            "Loss map",
            "phase diagram",
            loss_map,
            draw_loss_map,
            "Color is the loss; white dots are the runs. The fit's frontier (red, with its band) fans out from the truth (white) beyond "
            "the runs; where it meets the orange budget line is the allocation it prescribes.",
            controls=STUDY,
        ),
        View(
            "Optimal allocation",
            "scaling curve",
            frontier,
            draw_frontier,
            "The band is narrow over the runs (gray) and opens with extrapolation. The two green lines are one published fit, "
            "with and without its rounded constants.",
            controls=("quantity", "truth", "n_runs", "compute_decades", "fit_method", "fit_form", "n_bootstrap", "runs"),
        ),
        View(
            "Choices that matter",
            "table",
            analysis_choices,
            draw_choices,
            "Each row changes one choice of the analysis; bars start at the reference, whiskers are 80% intervals, the orange line "
            "is the truth. A narrow whisker away from it is a confident mistake.",
            controls=("truth", "n_runs", "noise_sigma", "compute_decades", "target_compute", "n_bootstrap", "runs"),
        ),
        View(
            "Bootstrap cloud",
            "distribution",
            exponent_cloud,
            draw_cloud,
            "Left: each dot is a refit of resampled runs; rays are constant a, the exponent of N*. Right: the interval of a shrinks "
            "as n^(−1/2); follow the line down to the interval that was published.",
            controls=("truth", "n_runs", "noise_sigma", "compute_decades", "huber_delta", "n_bootstrap", "runs"),
        ),
        View(
            "IsoFLOP curves",
            "scaling curve",
            isoflop_curves,
            draw_isoflop,
            "One curve a budget, loss against size; stars are the optimum that the chosen method reads off the runs there.",
            controls=(
                "truth",
                "fit_method",
                "n_runs",
                "noise_sigma",
                "compute_decades",
                "mid_training",
                "count_embeddings",
                "runs",
            ),
        ),
        View(
            "Small predicts large",
            "trajectory",
            trajectories,
            draw_trajectories,
            "Gray dots are all that is trained. Dashed lines are the whole loss curves predicted for larger models at your batch; "
            "the faint line below each is the truth.",
            controls=("target_size", "batch", "largest_fitted", "noise_sigma"),
        ),
        View(
            "Width and depth",
            "phase diagram",
            shape_map,
            draw_shapes,
            "Left: the shape of least loss at your compute, and the one that a fit to the shapes kept finds. Right: the same study "
            "prescribes other allocations when only deep or only wide models are kept.",
            controls=("shapes", "n_runs", "noise_sigma", "target_compute", "runs"),
        ),
    ],
    presets={
        "Replication at 240 runs": {
            "truth": "besiroglu",
            "n_runs": 240,
            "compute_decades": 1.0,
            "n_bootstrap": 300,
            "view": "Bootstrap cloud",
        },
        "Rounding alone": {"truth": "hoffmann_unrounded", "quantity": "tokens_per_parameter", "view": "Optimal allocation"},
        "Early stop": {"fit_method": "mean_loss_default_tolerance", "view": "Optimal allocation"},
        "Small models predict 33B": {"target_size": 3.3e10, "largest_fitted": 6e7, "batch": 2e6, "view": "Small predicts large"},
        "Slim shapes only": {"shapes": "slim", "truth": "width_depth", "view": "Width and depth"},
        "Embeddings counted": {"count_embeddings": True, "view": "Loss map"},
        "Thirty runs over one decade": {"n_runs": 30, "compute_decades": 1.0, "view": "Loss map"},
        "A truth of Kaplan's form": {"truth": "kaplan", "view": "Choices that matter"},
    },
    words=WORDS,
    papers={"405": "own object", "320": "own object", "382": "own object", "408": "miniature"},
)
