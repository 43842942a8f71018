"""How much can one prior score be asked?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.conditional_sampling import (
    ClockSquare,
    EventChance,
    EventScore,
    EventWindows,
    Guided,
    Separation,
    Split,
    ThreeSamplers,
    clock_square,
    event_chance,
    event_score,
    event_windows,
    guided_sampler,
    separation,
    split_sum,
    three_samplers,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, VERMILLION, faded

STYLE = {"Tweedie": (BLUE, "circle"), "isotropic": (ORANGE, "square"), "none": (VERMILLION, "diamond")}
WORDS = {"Tweedie": "Tweedie covariance", "isotropic": "isotropic σ²/(1+σ²)", "none": "plug-in, no covariance"}


def draw_square(result: ClockSquare) -> go.Figure:
    fig = draw.panels(
        [("clock of x, t_x", "clock of y, t_y"), ("x", "density")],
        titles=["Denoising error of x ÷ Var x", "x, as known at the marker"],
        widths=[0.58, 0.42],
        gap=0.15,
        height=480,
    )
    trace = draw.heatmap(
        result.time,
        result.time,
        result.error.astype(np.float32),
        "",
        zmin=0,
        zmax=1,
        hovertemplate="t_x %{x:.2f}<br>t_y %{y:.2f}<br>error %{z:.3f}<extra></extra>",
    )
    trace.colorbar.update(x=0.5, thickness=11)
    fig.add_trace(trace, row=1, col=1)
    time_x, time_y = result.here
    paths = draw.broken([0.98, 0.02], [[0.985, 0.985], [0.015, 0.015], [0.98, 0.02]])
    fig.add_trace(draw.boundary(*paths, "", dash="dash"), row=1, col=1)
    labels = (
        (0.46, 0.94, "marginal sampler: y forgotten"),
        (0.46, 0.06, "conditional sampler: y known"),
        (0.62, 0.72, "joint sampler"),
    )
    x, y, text = zip(*labels, strict=True)
    words = draw.on_map(0, 0, "", size=13)
    fig.add_trace(words.update(x=x, y=y, text=text), row=1, col=1)
    fig.add_trace(draw.boundary([time_x, 0.0], [time_y, time_y], "", dash="solid"), row=1, col=1)
    fig.add_trace(draw.guide(result.x, result.prior, "p(x)"), row=1, col=2)
    fig.add_trace(draw.line(result.x, result.posterior, "p(x | x_t, y_t), exact", BLUE), row=1, col=2)
    fig.add_trace(
        draw.points(
            result.center, result.density, "reverse SDE from there ± 2 SE", BLUE, standard_error=result.density_error, size=5
        ),
        row=1,
        col=2,
    )
    fig.add_trace(draw.points([result.denoised], [0.0], "denoised", VERMILLION, symbol="triangle-up", size=12), row=1, col=2)
    square = {"range": [-0.016, 1.016]}
    top = max(1.3, 1.1 * min(float(result.posterior.max()), 12.0))
    return fig.update_layout(xaxis=square, yaxis=square, xaxis2={"range": [-2.6, 2.6]}, yaxis2={"range": [0, top]})


def draw_three(result: ThreeSamplers) -> go.Figure:
    fig = draw.panels(
        [("x_t", "y_t"), ("x_t", ""), ("x_t", "")],
        titles=["Joint: both clocks run", f"Conditional: t_y stands at {result.time_y:.2g}", "Marginal: t_y stands at 1"],
        gap=0.06,
        height=500,
    )
    fig.add_trace(
        draw.guide(*result.level_line, "data, 2 sd").update(line={"dash": "solid", "width": 1.2}, hoverinfo="skip"), row=1, col=1
    )
    floor = -3.3
    height = 1.6
    ridges = ((2, result.conditional_density, "p(x | y_t), exact"), (3, result.marginal_density, "p(x), exact"))
    for col, density, name in ridges:
        fig.add_trace(
            draw.line(result.x, density, name, BLUE if col == 2 else GREEN, width=2).update(yaxis=f"y{col + 2}", xaxis=f"x{col}")
        )
        fig.update_layout(
            {
                f"yaxis{col + 2}": {
                    "overlaying": f"y{col}",
                    "anchor": f"x{col}",
                    "range": [0, 3.5 * max(1.0, float(density.max()))],
                    "visible": False,
                }
            }
        )
    seen = np.full(result.conditional.shape[1], result.seen)
    clouds = (
        (1, result.joint[..., 0], result.joint[..., 1], VERMILLION),
        (2, result.conditional, np.broadcast_to(seen, result.conditional.shape), BLUE),
        (3, result.marginal, np.broadcast_to(result.forgotten, result.marginal.shape), GREEN),
    )
    first = len(fig.data)
    for col, x, y, color in clouds:
        marker = {"color": faded(color, 0.55), "size": 4.5}
        fig.add_trace(
            go.Scatter(
                x=np.float32(x[-1, :N_DRAWN]),
                y=np.float32(y[-1, :N_DRAWN]),
                mode="markers",
                marker=marker,
                showlegend=False,
                hoverinfo="skip",
            ),
            row=1,
            col=col,
        )
        fig.update_xaxes(range=[-3.3, 3.3], row=1, col=col)
        fig.update_yaxes(range=[floor, floor + 4.1 * height], row=1, col=col)
    frames = [
        [{"x": np.float32(x[k, :N_DRAWN]), "y": np.float32(y[k, :N_DRAWN])} for _, x, y, _ in clouds]
        for k in range(result.time.size)
    ]
    labels = [f"{t:.2f}" for t in result.time]
    return draw.movie(fig, frames, labels, traces=[first, first + 1, first + 2], prefix="clock that runs, t = ", milliseconds=90)


N_DRAWN = 250


def draw_guided(result: Guided) -> go.Figure:
    fig = draw.panels(
        [("clock of x (falls to the right)", "x_t"), ("density", "x"), ("guidance w", "variance ÷ that of p(x | y)")],
        log_y=[False, False, True],
        titles=["Guided paths", "Where they end", "How narrow"],
        widths=[0.33, 0.3, 0.37],
        gap=0.09,
        height=480,
    )
    time, x = draw.broken(np.float32(result.time), np.float32(result.paths.T))
    fig.add_trace(
        go.Scatter(x=time, y=x, mode="lines", line={"color": faded(BLUE, 0.45), "width": 1.2}, showlegend=False, hoverinfo="skip"),
        row=1,
        col=1,
    )
    fig.add_trace(draw.guide(result.conditional, result.x, "p(x | y), exact").update(line={"width": 2.5}), row=1, col=2)
    fig.add_trace(draw.line(result.tilted, result.x, "sharpened p(x | y)¹⁺ʷ p(x)⁻ʷ", ORANGE, dash="dash"), row=1, col=2)
    fig.add_trace(draw.line(result.flow, result.flow_x, "guided flow, exact", BLUE), row=1, col=2)
    bars = {"type": "data", "array": 2 * result.density_error, "color": BLUE, "thickness": 1.2, "width": 2}
    fig.add_trace(draw.points(result.density, result.center, "particles ± 2 SE", BLUE, size=5).update(error_x=bars), row=1, col=2)
    fig.add_trace(draw.line(result.w, result.flow_ratio, "flow", BLUE, showlegend=False), row=1, col=3)
    fig.add_trace(draw.line(result.w, result.tilted_ratio, "sharpened", ORANGE, dash="dash", showlegend=False), row=1, col=3)
    fig.add_trace(
        draw.points(
            [result.guidance], [max(result.ratio, 1e-3)], "", BLUE, standard_error=[result.ratio_error], size=9, showlegend=False
        ),
        row=1,
        col=3,
    )
    fig.update_xaxes(range=[1, 0], row=1, col=1)
    for col in (1, 2):
        fig.update_yaxes(range=[-2.6, 2.6], row=1, col=col)
    top = max(1.2, 1.1 * float(max(result.conditional.max(), result.flow.max(), result.density.max())))
    fig.update_xaxes(range=[0, min(top, 6.0)], row=1, col=2)
    fig.update_xaxes(range=[-0.1, 8.1], row=1, col=3)
    fig.update_yaxes(range=[-2.5, 0.5], row=1, col=3)
    draw.mark_y(fig, 1, "unguided", col=3)
    return fig


def draw_split(result: Split) -> go.Figure:
    fig = draw.panels(
        [("churn S", "mean of source 1"), ("churn S", "variance of source 1")],
        titles=["How the sum is split", "How sure the sampler is"],
        height=460,
    )
    rows = (
        (result.mean, result.fine_mean, result.sampled_mean, result.mean_error, result.true_mean, result.mean_here),
        (
            result.variance,
            result.fine_variance,
            result.sampled_variance,
            result.variance_error,
            result.true_variance,
            result.variance_here,
        ),
    )
    for col, (theory, fine, found, error, truth, here) in enumerate(rows, start=1):
        show = col == 1
        fig.add_trace(
            draw.line(result.churn, np.full(result.churn.size, truth), "posterior", GREEN, dash="dash", showlegend=show),
            row=1,
            col=col,
        )
        fig.add_trace(draw.line(result.churn, theory, "Dirac sampler, exact", BLUE, showlegend=show), row=1, col=col)
        fig.add_trace(draw.line(result.churn, fine, "in 500 steps", BLUE, dash="dot", width=1.8, showlegend=show), row=1, col=col)
        points = draw.points(result.tried, found, "particles ± 2 SE", BLUE, standard_error=error, showlegend=show)
        fig.add_trace(points, row=1, col=col)
        fig.add_trace(draw.points([result.here], [here], "here", VERMILLION, size=11, showlegend=show), row=1, col=col)
        fig.update_xaxes(range=[-4, 206], row=1, col=col)
    draw.mark_y(fig, result.split_by_sd, "split by standard deviations")
    high = max(result.split_by_sd, result.true_mean, float(result.mean.max()))
    low = min(result.split_by_sd, result.true_mean, float(result.mean.min()))
    margin = 0.15 * max(high - low, 0.2)
    fig.update_yaxes(range=[low - 2 * margin, high + 2 * margin], row=1, col=1)
    fig.update_yaxes(range=[0, 1.25 * max(result.true_variance, float(result.variance.max()))], row=1, col=2)
    return fig


RULES = {"Dirac": BLUE, "Gaussian": VERMILLION}


def draw_separation(result: Separation) -> go.Figure:
    fig = draw.panels(
        [("sample", "amplitude"), ("churn S", "SI-SDR gain (dB)"), ("churn S", "spread ÷ posterior's")],
        log_y=[False, False, True],
        titles=["Source 1 of one sum", "Gain over the sum itself", "Spread around the posterior mean"],
        widths=[0.34, 0.33, 0.33],
        gap=0.09,
        height=480,
    )
    fig.add_trace(draw.guide(result.time, result.seen, "the sum").update(line={"width": 1.2}), row=1, col=1)
    fig.add_trace(draw.line(result.time, result.truth[0], "truth", GREEN, width=4), row=1, col=1)
    for rule, color in RULES.items():
        shown = np.clip(result.shown[rule][0], -20, 20)
        fig.add_trace(draw.line(result.time, shown, "", color, width=1.5, showlegend=False), row=1, col=1)
        fig.add_trace(
            draw.points(result.churn, result.gain[rule], f"{rule} ± 2 SE", color, standard_error=result.gain_error[rule]).update(
                mode="lines+markers"
            ),
            row=1,
            col=2,
        )
        fig.add_trace(
            draw.points(
                result.churn,
                np.clip(result.spread[rule], 1e-3, 1e6),
                "",
                color,
                standard_error=np.minimum(result.spread_error[rule], 1e6),
                showlegend=False,
            ).update(mode="lines+markers"),
            row=1,
            col=3,
        )
    for level, name, dash in ((result.best[0], "posterior mean", "dot"), (result.drawn[0], "posterior sample", "dash")):
        fig.add_trace(draw.line(result.churn, np.full(result.churn.size, level), name, GREEN, dash=dash, width=2), row=1, col=2)
    fig.add_trace(
        draw.line(result.churn, np.ones(result.churn.size), "", GREEN, dash="dash", showlegend=False, width=2), row=1, col=3
    )
    lowest = min(float(values.min()) for values in result.gain.values())
    fig.update_yaxes(range=[-3.5, 3.5], row=1, col=1)
    fig.update_yaxes(range=[0, 20] if lowest > 0 else [-25, 20], row=1, col=2)
    fig.update_yaxes(range=[-1.3, 2.2], row=1, col=3)
    return fig


def draw_windows(result: EventWindows) -> go.Figure:
    color, _ = STYLE[result.covariance]
    what = "maximum" if result.event == "maximum" else "mean"
    fig = draw.panels(
        [("time step", "standardized x"), ("time step", ""), (f"{what} of the window", "share above, given the event")],
        titles=["Exact, given the event", f"Sampled: {WORDS[result.covariance]}", "How far beyond the threshold"],
        widths=[0.31, 0.31, 0.38],
        gap=0.07,
        height=480,
    )
    low = float(np.quantile(result.exact, 0.001)) - 0.5
    high = float(max(result.exact.max(), result.threshold)) + 0.6
    for col, (windows, hue) in enumerate(((result.exact, GREEN), (result.sampled, color)), start=1):
        x, y = draw.broken(np.float32(result.time), np.float32(windows))
        fig.add_trace(
            go.Scatter(x=x, y=y, mode="lines", line={"color": faded(hue, 0.6), "width": 1.3}, showlegend=False, hoverinfo="skip"),
            row=1,
            col=col,
        )
        if result.event == "maximum":
            draw.mark_y(fig, result.threshold, "threshold", col=col)
        fig.update_yaxes(range=[low, high], row=1, col=col)
    fig.add_trace(draw.line(result.level, result.exact_above, "exact", GREEN), row=1, col=3)
    for name, (hue, symbol) in STYLE.items():
        fig.add_trace(
            draw.points(
                result.level,
                result.above[name],
                f"{WORDS[name]} ± 2 SE",
                hue,
                standard_error=result.above_error[name],
                symbol=symbol,
                size=5,
            ),
            row=1,
            col=3,
        )
    draw.mark_x(fig, result.threshold, "threshold", col=3)
    fig.update_yaxes(range=[-0.03, 1.05], row=1, col=3)
    return fig


def draw_score(result: EventScore) -> go.Figure:
    fig = draw.panels(
        [("noise level σ", "mean log₁₀ P(E | noisy window)"), ("noise level σ", "relative error of the pull to the event")],
        log_x=[True, True],
        log_y=[False, True],
        titles=["What a noisy window tells of the event", "Error of its gradient"],
        height=480,
    )
    fig.add_trace(draw.line(result.sigma, result.log_chance["exact"], "exact", GREEN, width=4), row=1, col=1)
    for name, (color, symbol) in STYLE.items():
        both = {"mode": "lines+markers", "marker": {"symbol": symbol, "size": 7, "color": color}}
        fig.add_trace(draw.line(result.sigma, result.log_chance[name], WORDS[name], color).update(both), row=1, col=1)
        fig.add_trace(
            draw.points(
                result.sigma,
                result.error[name],
                "",
                color,
                standard_error=result.error_error[name],
                symbol=symbol,
                showlegend=False,
            ).update(mode="lines+markers"),
            row=1,
            col=2,
        )
    draw.mark_y(fig, float(np.log10(result.probability)), "log₁₀ P(E)", col=1)
    draw.mark_y(fig, 1, "as wrong as no pull at all", col=2)
    fig.update_yaxes(range=[-8, 0.2], row=1, col=1)
    fig.update_yaxes(range=[-3, 3.2], row=1, col=2)
    return fig


def draw_chance(result: EventChance) -> go.Figure:
    fig = draw.figure("exact log₁₀ P(E)", "estimated log₁₀ P(E)", x_range=(-2.6, 0), y_range=(-4.5, 3), height=500)
    ends = np.array([-2.6, 0.0])
    fig.add_trace(draw.guide(ends, ends, "right"))
    fig.add_trace(draw.points(result.exact, result.counted, "counting the bank", GREEN, symbol="cross"))
    text = []
    for name, (color, symbol) in STYLE.items():
        values, error = result.estimate[name], result.error[name]
        shown = (values < 3) & (values > -4.5)
        done = result.exact[: values.size][shown]
        fig.add_trace(
            draw.points(done, values[shown], f"{WORDS[name]} ± 2 SE", color, standard_error=error[shown], symbol=symbol, size=9)
        )
        if not shown.all():
            text.append(f"{WORDS[name]}: {np.sum(~shown)} of {shown.size} beyond the picture")
    if text:
        place = {"xref": "paper", "yref": "paper", "x": 0.02, "y": 0.98, "xanchor": "left", "yanchor": "top"}
        fig.add_annotation(text="<br>".join(text), showarrow=False, align="left", font={"size": 13, "color": GRAY}, **place)
    return fig


BLOCKS = ("joint", "correlation", "observed")
BANK = ("system", "event", "bank_size", "kernel_width")

LAB = Lab(
    title="Conditional sampling",
    question="How much can one prior score be asked?",
    views=[
        View(
            "Clock square",
            "phase diagram",
            clock_square,
            draw_square,
            "How well x is known when x and y are seen under separate noise; samplers are paths from right to left. At the marker the "
            "clock of y stands still, and the reverse SDE of x (dots) draws from what is known there (line).",
            controls=("time_x", "time_y", *BLOCKS, "steps"),
            click=("time_x", "time_y"),
        ),
        View(
            "Three samplers",
            "sampler",
            three_samplers,
            draw_three,
            "One denoiser, three paths of the clock square: both clocks run, or y's stands at what was seen, or at pure noise. Lines are "
            "the exact laws that the clouds must end in.",
            controls=("time_y", *BLOCKS, "steps", "particles"),
        ),
        View(
            "Guidance",
            "sampler",
            guided_sampler,
            draw_guided,
            "Guidance narrows the conditional law (gray) — but to its own law (blue), not to the sharpened density (orange) that it is "
            "said to sample.",
            controls=("guidance", "time_y", *BLOCKS, "steps", "particles"),
        ),
        View(
            "Splitting a sum",
            "scaling curve",
            split_sum,
            draw_split,
            "Two normal numbers known by their sum. Without churn the Dirac sampler collapses onto a split by standard deviations; noise "
            "put back at each step moves mean and variance toward the posterior.",
            controls=("churn", "second_variance", "total", "steps"),
        ),
        View(
            "Separation",
            "scaling curve",
            separation,
            draw_separation,
            "Short signals taken out of their sum by a joint prior. SI-SDR rewards estimates that collapse toward the mean; the right panel "
            "shows who samples the posterior (1) and who does not.",
            controls=("churn", "likelihood_width", "context", "sources", "length", "steps"),
        ),
        View(
            "Event windows",
            "trajectory",
            event_windows,
            draw_windows,
            "Windows of chaotic motion given a rare event: exact draws left, the approximate conditional sampler in the middle; right, "
            "whether they exceed the threshold as far as they should.",
            controls=("covariance", "event_quantile", *BANK, "steps", "series"),
        ),
        View(
            "Event score",
            "scaling curve",
            event_score,
            draw_score,
            "At little noise all agree. At much noise only an approximation that knows how uncertain the window is stays near the exact "
            "probability and its gradient.",
            controls=("event_quantile", *BANK, "series"),
        ),
        View(
            "Event probability",
            "scaling curve",
            event_chance,
            draw_chance,
            "P(E) as the ratio of two densities, of the prior and of the approximate conditional flow: on the dotted line the estimate is "
            "right.",
            controls=(*BANK, "steps", "series"),
        ),
    ],
    presets={
        "Conditional, y known exactly": {"view": "Three samplers", "time_y": 0.0, "correlation": 0.6},
        "Negative correlation": {"view": "Clock square", "correlation": -0.9, "time_y": 0.1},
        "Guidance sharpens": {"view": "Guidance", "guidance": 4.0, "joint": "normal", "time_y": 0.0},
        "Dirac without churn": {"view": "Splitting a sum", "churn": 0.0},
        "Dirac, much churn": {"view": "Splitting a sum", "churn": 200.0, "steps": 500},
        "Likelihood too narrow": {"view": "Separation", "likelihood_width": 0.4},
        "Rare event": {"view": "Event windows", "system": "FitzHugh-Nagumo", "event": "maximum", "event_quantile": 0.99},
        "Plug-in fails": {"view": "Event windows", "covariance": "none", "event_quantile": 0.98},
        "Isotropic covariance": {"view": "Event score", "event": "mean"},
    },
    words=r"""
All scores are exact: nothing was trained.

**Two clocks** (paper 003). $x_t=\cos(\tfrac{\pi}{2}t_x)\,x+\sin(\tfrac{\pi}{2}t_x)\,z$, and $y$ likewise under $t_y$. One function
$\mathbb E[(x,y)\mid x_t,y_t]$ holds the marginal denoiser ($t_y=1$), every conditional ($t_y=0$) and the joint one ($t_x=t_y$). The map is
$\mathbb E\operatorname{Var}(x\mid x_t,y_t)/\operatorname{Var}x$ by quadrature. The law: modes at $(\pm1,\pm1)$ with weights
$(1\pm\rho)/4$, correlation $\rho$ inside and among them, so that $p(x)$ does not depend on $\rho$; or one normal law. Blocks of one number
each are a miniature of images and texts.

**Guidance** (003, section 4). The prediction $(1+w)\,\epsilon(x_t,y)-w\,\epsilon(x_t,\text{noise})$ is often said to sample
$p(x\mid y)^{1+w}p(x)^{-w}$. On the line its flow keeps the order of points, so that its own law is exact (blue). For a normal pair with $y$ known
its variance is $(1-\rho^2)^{w}$ of the conditional's, that of the sharpened density $1/(1+w\rho^2)$ (derived here).

**Sums** (282). $y=\sum_n x_n$. *Dirac*: $x_N=y-\sum_{n<N}x_n$ at every noise level, the others follow $S_n-S_N$. *Gaussian*: all follow
$S_n+(y-\sum x)/\gamma^2$, $\gamma\propto\sigma$; Euler steps explode where $N\,(1-\sigma'/\hat\sigma)\,\hat\sigma^2/\gamma^2>2$. For two normal
sources, $c_1=1$, the Dirac flow ends at the mean $y\sqrt{c_1}/(\sqrt{c_1}+\sqrt{c_2})$, where the posterior has $y\,c_1/(c_1+c_2)$, with a variance
near $c_1c_2/\sigma_{\max}^2$, here $\sigma_{\max}=20$. Churn multiplies $\sigma$ by $1+\min(S/\text{steps},\sqrt2-1)$ before each step. The lines of
*Splitting a sum* are an exact affine recursion. The signals are waves of three patterns a source plus white noise, a miniature of music;
with probability $\kappa$ the sources' patterns are bound together. The posterior is a mixture in closed form.

**Events** (251). A bank of windows of a chaotic flow, each widened to a normal of width $h$, is the prior; the event is
$C(x)>c$, $C$ the mean or the maximum of a window. The conditional score adds $\nabla\log P(E\mid x_\sigma)$, exact here, and approximated by
$$\nabla\log\Phi\!\left(\frac{C(D)-c}{\sqrt{\nabla C^{\top}\Sigma\,\nabla C}}\right),\qquad \Sigma=\operatorname{Cov}(x\mid x_\sigma)=\sigma^2(1+\sigma^2\nabla^2\log p_\sigma)$$
(Tweedie), or $\Sigma=\tfrac{\sigma^2}{1+\sigma^2}$ (isotropic); the *plug-in* keeps $h^2$. Gradients go through $D$; those of $\Sigma$ are left out. For normal data
and a linear event Tweedie is exact; a maximum is neither smooth nor linear, and there no covariance saves the approximation at much
noise: on FitzHugh-Nagumo's rare bursts (preset *Rare event*) all three enter the event but reach its two kinds in wrong shares. $P(E)=p(x)/p(x\mid E)$ at windows in the event, the second density by the conditional flow with Hutchinson's trace; 251's windows are
longer and its scores learned.

**Where it stops.** A bank cannot show an extreme that no stored window has. Samplers of events take the reverse SDE. *Your data* (one column) takes the place
of the system in the last three views.
""",
    papers={"003": "miniature", "282": "miniature", "251": "miniature"},
)
