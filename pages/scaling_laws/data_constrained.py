"""How many epochs is your data worth?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.data_constrained import (
    Allocation,
    EpochCurves,
    FittedRuns,
    RepeatMap,
    Valley,
    Worth,
    effective_data,
    epoch_curves,
    fit_runs,
    fixed_compute,
    optimal_allocation,
    repeat_map,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SKY, VERMILLION

COMPUTE_AXIS = "training compute C = 6ND, FLOP"
DECADES = {"dtick": 1, "exponentformat": "power"}
EPOCH_TICKS = {"tickvals": [1, 2, 4, 10, 20, 40, 100], "ticktext": ["1", "2", "4", "10", "20", "40", "100"]}
SPLIT_COLORS = {1: BLUE, 4: GREEN, 20: ORANGE, 100: VERMILLION}


def draw_repeat_map(plane: RepeatMap) -> go.Figure:
    n, e = plane.parameters, plane.epochs
    fig = draw.figure(
        "parameters N", "epochs D/U", log_x=True, log_y=True, x_range=(n[0], n[-1]), y_range=(e[0], e[-1]), height=520
    )
    low = float(np.floor(plane.floor * 50) / 50)
    # Over twice what one epoch at the deserved size leaves above the floor.
    high = low + float(np.ceil(2.2 * (plane.one_epoch_loss - plane.floor) * 50) / 50)
    step = min((0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5), key=lambda s: abs(np.log(30 * s / (high - low))))
    fig.add_trace(
        draw.bands(
            n,
            e,
            plane.loss,
            "loss, nats per token",
            low=low,
            high=high,
            step=step,
            hovertemplate="N %{x:.3g}<br>epochs %{y:.3g}<br>loss %{z:.4f}<extra></extra>",
            name="loss",
        )
    )
    for decade in range(15, 32):
        edge = np.array([n[0], n[-1]])
        passes = 10.0**decade / (6 * plane.unique_tokens * edge)
        # The budget's own line stands for its decade.
        if passes[0] < e[0] or passes[1] > e[-1] or abs(np.log10(plane.compute) - decade) < 0.05:
            continue
        fig.add_trace(
            draw.line(edge, passes, "", "rgba(255,255,255,0.55)", dash="dot", width=1, showlegend=False, hoverinfo="skip")
        )
        # Its label stands where it enters the window, by the top or by the left side.
        x = max(10.0**decade / (6 * plane.unique_tokens * 62), n[0] * 1.5)
        if x < n[-1] / 2 and 10.0**decade / (6 * plane.unique_tokens * x) > 1.3:
            y = 10.0**decade / (6 * plane.unique_tokens * x)
            fig.add_trace(draw.on_map(x * 1.12, y, f"10<sup>{decade}</sup> FLOP", size=11))
    budget = np.array([n[0], n[-1]])
    fig.add_trace(
        draw.line(
            budget,
            plane.compute / (6 * plane.unique_tokens * budget),
            f"budget C = {plane.compute:.3g} FLOP",
            ORANGE,
            dash="dash",
            width=2.5,
        )
    )
    straight = plane.deserved * e
    shown = straight <= n[-1]
    fig.add_trace(draw.boundary(straight[shown], e[shown], "Chinchilla", dash="dash", at=0.45))
    fig.data[-1].textposition = "bottom right"
    fig.add_trace(draw.boundary(*plane.frontier, "best for this data", at=0.72))
    fig.data[-1].textposition = "middle left"
    if e[0] <= plane.optimum[1] <= e[-1]:
        best = draw.points([plane.optimum[0]], [plane.optimum[1]], "optimum of the budget", ORANGE, symbol="star", size=17)
        best.marker.line = {"color": "#24292f", "width": 1}
        fig.add_trace(best)
    fig.update_xaxes(**DECADES)
    fig.update_yaxes(**EPOCH_TICKS)
    return fig


def draw_allocation(plan: Allocation) -> go.Figure:
    fig = draw.panels(
        [(COMPUTE_AXIS, "multiple of U, of N<sub>opt</sub>(U)"), (COMPUTE_AXIS, "loss, nats per token")],
        log_x=[True, True],
        log_y=[True, False],
        titles=["What to buy with more compute", "What it buys"],
        height=480,
    )
    c = plan.compute
    epochs, size = plan.tokens / plan.unique_tokens, plan.parameters / plan.deserved
    free = plan.free_parameters / plan.deserved
    fig.add_trace(draw.line(c, free, "unlimited unique data", GRAY, dash="dot", width=2, legendgroup="free"), row=1, col=1)
    fig.add_trace(draw.line(c, epochs, "epochs D/U", BLUE), row=1, col=1)
    fig.add_trace(draw.line(c, size, "parameters N/N<sub>opt</sub>(U)", VERMILLION), row=1, col=1)
    fig.add_trace(draw.band(c, plan.free_loss, plan.loss, "given up for want of data", ORANGE, opacity=0.25), row=1, col=2)
    fig.add_trace(
        draw.line(c, plan.free_loss, "unlimited unique data", GRAY, dash="dot", width=2, legendgroup="free", showlegend=False),
        row=1,
        col=2,
    )
    fig.add_trace(draw.line(c, plan.one_epoch_loss, "one epoch only", PURPLE, dash="dash", width=2), row=1, col=2)
    fig.add_trace(draw.line(c, plan.loss, "with repeats", GREEN), row=1, col=2)
    draw.mark_x(fig, plan.target, "C", col=1)
    draw.mark_x(fig, plan.target, "C", col=2)
    for col in (1, 2):
        fig.update_xaxes(range=[18, 26], dtick=2, exponentformat="power", row=1, col=col)
    low, high = np.clip(np.floor(np.log10(size[0])), -1, 1), np.clip(np.ceil(np.log10(epochs[-1])), 1, 3)
    fig.update_yaxes(range=[low, high], **DECADES, row=1, col=1)
    fig.update_yaxes(range=[1.8, 4.0], row=1, col=2)
    draw.mark_y(fig, plan.floor, "no compute beats this", col=2)
    return fig


def draw_worth(result: Worth) -> go.Figure:
    fig = draw.figure(
        "epochs", "worth in unique data, D′/U", log_x=True, log_y=True, x_range=(0.9, 112), y_range=(0.2, 112), height=480
    )
    fig.add_trace(draw.guide([1, 100], [1, 100], "repeats as good as new"))
    ceiling = 1 + result.decay_tokens
    fig.add_trace(draw.line(result.epochs, result.law, f"language models: fitted law, R* = {result.decay_tokens:.3g}", BLUE))
    fig.add_trace(draw.line([1, 100], [ceiling, ceiling], "its ceiling", BLUE, dash="dot", width=1.5))
    if result.fitted is not None:
        fig.add_trace(
            draw.line(
                result.epochs, result.fitted, f"the same law through the regression, R* = {result.fitted_decay:.3g}", VERMILLION
            )
        )
    found = np.isfinite(result.measured) & (result.measured > 0)
    fig.add_trace(
        draw.points(
            result.measured_epochs[found],
            result.measured[found],
            "regression, measured",
            VERMILLION,
            standard_error=np.minimum(result.measured_error[found], 0.45 * result.measured[found]),
        )
    )
    fig.update_xaxes(**EPOCH_TICKS)
    fig.update_yaxes(
        tickvals=[0.25, 0.5, 1, 2, 4, 10, 20, 40, 100], ticktext=["0.25", "0.5", "1", "2", "4", "10", "20", "40", "100"]
    )
    return fig


def draw_epoch_curves(curves: EpochCurves) -> go.Figure:
    fig = draw.figure("updates", "mean squared error", log_x=True, log_y=True, x_range=(1, curves.steps[-1] * 1.15), height=480)
    for k, epochs in enumerate(curves.splits):
        color = SPLIT_COLORS[epochs]
        fig.add_trace(
            draw.line(curves.steps, np.maximum(curves.train[k], 1e-30), "", color, dash="dot", width=1.6, showlegend=False)
        )
    for k, epochs in enumerate(curves.splits):
        name = f"{epochs} epoch{'s' * (epochs > 1)}"
        error = np.minimum(curves.test_error[k], 0.45 * curves.test[k])
        fig.add_trace(draw.points(curves.steps, curves.test[k], name, SPLIT_COLORS[epochs], standard_error=error, size=6))
    fig.add_trace(draw.line(curves.exact_steps, curves.exact, "fresh samples, exact", BLUE))
    # Nothing but its entry in the legend: the dotted lines have the colors of their epochs.
    fig.add_trace(draw.guide([np.nan], [np.nan], "training error"))
    low = max(min(curves.exact[-1], curves.test.min()) / 3, 1e-14)
    decades = np.floor(np.log10(low)), np.ceil(np.log10(max(curves.test.max(), 2.0)) * 2) / 2
    fig.update_yaxes(range=decades, **DECADES)
    fig.update_xaxes(**DECADES)
    return fig


def draw_valley(valley: Valley) -> go.Figure:
    n, ratio = valley.features, valley.ratio
    fig = draw.figure(
        "features kept N",
        "updates per feature T/N",
        log_x=True,
        log_y=True,
        x_range=(n[0], n[-1]),
        y_range=(ratio[0], ratio[-1]),
        height=520,
    )
    log_excess = np.log10(np.maximum(valley.excess, 1e-4))
    low = float(np.floor(log_excess.min() * 2) / 2)
    ticks = np.arange(np.ceil(low), 1)
    fig.add_trace(
        draw.bands(
            n,
            ratio,
            log_excess,
            "error above the noise",
            low=low,
            high=0,
            step=0.125,
            hovertemplate="N %{x:.3g}<br>T/N %{y:.3g}<br>log₁₀ error %{z:.2f}<extra></extra>",
            name="error above the noise",
        )
    )
    fig.data[-1].colorbar.update(tickvals=ticks, ticktext=[f"{10.0**t:g}" for t in ticks])
    for decade in range(2, 8):
        shown = (10.0**decade / n**2 >= ratio[0]) & (10.0**decade / n**2 <= ratio[-1])
        x = n[shown]
        y = 10.0**decade / x**2
        fig.add_trace(draw.line(x, y, "", "rgba(255,255,255,0.6)", dash="dot", width=1.2, showlegend=False, hoverinfo="skip"))
        # Its label stands where it enters the map, by the top or by the left side.
        left = max((10.0**decade / 3500) ** 0.5, 2.15)
        fig.add_trace(draw.on_map(left * 1.17, 10.0**decade / left**2, f"NT = 10<sup>{decade}</sup>", size=11))
    inside = (valley.valley_ratio >= ratio[0]) & (valley.valley_ratio <= ratio[-1])
    fig.add_trace(draw.boundary(valley.valley_features[inside], valley.valley_ratio[inside], "best size at each compute", at=0.6))
    fig.data[-1].textposition = "bottom right"
    fig.update_xaxes(tickvals=[2, 5, 10, 20, 50, 100, 200], ticktext=["2", "5", "10", "20", "50", "100", "200"])
    fig.update_yaxes(**DECADES)
    return fig


def draw_fitted(result: FittedRuns) -> go.Figure:
    fig = draw.panels(
        [("epochs D/U", "loss above that of unique data, %"), ("R*<sub>D</sub>, of tokens", "R*<sub>N</sub>, of parameters")],
        log_x=[True, True],
        log_y=[False, True],
        titles=["Runs", "Refits of resampled runs"],
        widths=[0.58, 0.42],
        height=480,
    )
    epochs = np.maximum(result.tokens / result.unique, 1e-6)
    fig.add_trace(draw.points(epochs, result.excess, "measured", BLUE, size=7), row=1, col=1)
    fitted = draw.points(epochs, result.fitted_excess, "fitted law", VERMILLION, symbol="circle-open", size=10)
    fig.add_trace(fitted, row=1, col=1)
    fig.add_trace(draw.guide([epochs.min(), epochs.max()], [0, 0], "", showlegend=False), row=1, col=1)
    refits = draw.points(result.refits[:, 0], result.refits[:, 1], "refits", SKY, size=6)
    fig.add_trace(refits, row=1, col=2)
    fig.add_trace(draw.points([15.387756], [5.309743], "as published", PURPLE, symbol="diamond", size=11), row=1, col=2)
    if result.truth is not None:
        fig.add_trace(draw.points([result.truth[0]], [result.truth[1]], "truth", ORANGE, symbol="x", size=12), row=1, col=2)
    fig.add_trace(draw.points([result.decay[0]], [result.decay[1]], "your fit", VERMILLION, symbol="star", size=13), row=1, col=2)
    for k, (published, update) in enumerate(((15.387756, fig.update_xaxes), (5.309743, fig.update_yaxes))):
        seen = np.log10(np.concatenate([result.refits[:, k], [published / 1.25, published * 1.25, result.decay[k]]]))
        low, high = seen.min() - 0.05, seen.max() + 0.05
        update(range=[low, high], row=1, col=2)
        if high - low < 0.7:  # too short for decades
            ticks = [v for v in (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 60, 80, 100, 150) if low < np.log10(v) < high]
            update(tickvals=ticks, ticktext=[f"{v:g}" for v in ticks], row=1, col=2)
    fig.update_xaxes(**EPOCH_TICKS, row=1, col=1)
    return fig


WORDS = r"""
**The law** (480, equations 5 and 6). $U$ unique tokens, read $D$ times in all, are worth
$$D'=U\big(1+R^*_D(1-e^{-R_D/R^*_D})\big),\qquad R_D=D/U-1,$$
unique ones: about $1-R_D/2R^*_D$ of a new token for a few repeats, and never more than $(1+R^*_D)U\approx16.4\,U$ in all. Parameters
beyond the size $N_{\rm opt}(U)$ that $U$ unique tokens deserve lose their worth in the same way, faster: $R^*_N=5.3$ against $R^*_D=15.4$.
The loss is $E+AN'^{-\alpha}+BD'^{-\beta}$ with the published $\ln A=6.255$, $\ln B=7.305$, $\ln E=0.6255$, $\alpha=\beta=0.3527$. While
$D\le U$ all data is unique and $U$ stands for $D$.

**The plan.** Along $6ND=C$ the best size solves
$\alpha A N'^{-\alpha-1}N\,e^{-R_N/R^*_N}=\beta B D'^{-\beta-1}D\,e^{-R_D/R^*_D}$; the left side falls and the right side rises in $N$, so there is one
root. Until $C$ asks for more than $U$ tokens it is Chinchilla's. Beyond, because repeats keep their worth longer than
excess parameters, epochs grow faster than size. At $U=2.5\times10^{10}$, $C=10^{22}$: 7.03 billion parameters, 9.49 epochs.

**Where repetition can be watched** (089, in miniature). $y=\langle w,x\rangle+\sigma\epsilon$ in 200 Gaussian features of variance $\lambda_j=j^{-a}$,
$w_j\propto j^{-0.2}$, stochastic gradient descent one sample at a time, step $1/(2\sum\lambda)$. On fresh samples the energies
$s_j=\lambda_j\mathbb E(w_j-\hat w_j)^2$ obey exactly
$$s_j\leftarrow(1-2\eta\lambda_j+2\eta^2\lambda_j^2)\,s_j+\eta^2\lambda_j^2\Big(\sum_is_i+c\Big),$$
with $c=\sigma^2$ plus the power of features left out; weight decay adds the mean error to it. *Measured worth* is the first step at which this curve
has the test error that was reached on repeated data, over $U$. With few samples for 200 features it saturates as the law does; with as many samples as
features repetition is nearly as good as new data; with label noise it falls again: over-fitting, which the law cannot have. The
constant step also keeps a noise floor, near which no worth can be told and none is drawn.

**Fixed compute.** The valley is theory alone: the exact one-pass error of a model of the first $N$ of 400 features after $T$ updates, at cost
$NT$. Too small a model cannot represent the target, too large a one has too few updates.

**Theory, simulation, fit.** The map and the plan are a *fit's law* and hold where it was fitted: up to 9 billion parameters, 900 billion
tokens; four epochs are seen to be nearly free, tens of epochs rest on few runs. Its authors warn that its levels of loss are not to be read as
absolute, only compared. The regression is a *mechanism*, simulated (dots, two standard errors) over exact theory (line); its step is
constant and its model linear, so its $R^*$ is its own. **Your runs** (`N`, `D`, `U`, `loss`) are fitted in the summed Huber loss of log residuals; with
the Chinchilla part fixed at the published constants an offset of your loss would be read as lost worth: fit that part too.
"""

REGRESSION = ("unique_samples", "label_noise", "spectrum_exponent", "weight_decay", "n_seeds")

LAB = Lab(
    title="Data-constrained training",
    question="How many epochs is your data worth?",
    views=[
        View(
            "Size and epochs",
            "phase diagram",
            repeat_map,
            draw_repeat_map,
            "Color is the loss on a fixed stock of tokens. The orange budget meets the white path of least loss at the star. The path "
            "bends up from the dashed Chinchilla line (right if all tokens were new): repeating data pays longer than growing the model, and then neither pays.",
            controls=("unique_tokens", "compute", "n_parameters", "epochs", "decay_tokens", "decay_parameters"),
            click=("n_parameters", "epochs"),
        ),
        View(
            "Worth of an epoch",
            "scaling curve",
            effective_data,
            draw_worth,
            "On the dotted diagonal a repeat is as good as new data. The law stays on it for about four epochs and ends at its "
            "ceiling; red dots measure the same in a regression that repeats its samples.",
            controls=("decay_tokens", *REGRESSION),
        ),
        View(
            "Optimal plan",
            "scaling curve",
            optimal_allocation,
            draw_allocation,
            "Where epochs leave 1 the data has run out: from there they grow faster than the model. Right: the orange band is the loss "
            "given up for want of data; the dashed line is what staying at one epoch would give.",
            controls=("unique_tokens", "compute", "decay_tokens", "decay_parameters"),
        ),
        View(
            "Same updates, fewer samples",
            "trajectory",
            epoch_curves,
            draw_epoch_curves,
            "Dots are test error (two standard errors), dotted lines training error, the blue line exact theory for fresh samples. "
            "The more epochs, the wider the gap between the two.",
            controls=("updates", "label_noise", "spectrum_exponent", "weight_decay", "n_seeds"),
        ),
        View(
            "Valley at fixed compute",
            "phase diagram",
            fixed_compute,
            draw_valley,
            "Along a dotted line the compute NT is fixed; the white valley is its best size. Off the valley the same error costs more "
            "compute: the speed-up below the picture.",
            controls=("n_features", "updates_per_feature", "spectrum_exponent", "label_noise"),
            click=("n_features", "updates_per_feature"),
        ),
        View(
            "Fit your runs",
            "distribution",
            fit_runs,
            draw_fitted,
            "Left: what repetition and excess size cost each run, measured (dots) and by the law fitted (rings). Right: the two "
            "constants from resampled runs; a wide cloud says that the runs do not tell them.",
            controls=("runs", "fit_all", "n_runs", "noise_sigma", "n_bootstrap", "unique_tokens", "compute"),
        ),
    ],
    presets={
        "Published pair, Chinchilla's size": {
            "unique_tokens": 2.5e10,
            "compute": 9.3e21,
            "n_parameters": 8.67e9,
            "epochs": 7.12,
            "view": "Size and epochs",
        },
        "Published pair, smaller and longer": {
            "unique_tokens": 2.5e10,
            "compute": 9.3e21,
            "n_parameters": 6.34e9,
            "epochs": 9.68,
            "view": "Size and epochs",
        },
        "Four epochs are nearly free": {"unique_tokens": 2.5e10, "n_parameters": 3e9, "epochs": 4.0, "view": "Size and epochs"},
        "Forty epochs": {"unique_tokens": 2.5e10, "n_parameters": 6.34e9, "epochs": 40.0, "view": "Size and epochs"},
        "25 billion tokens, 1e22 FLOP": {"unique_tokens": 2.5e10, "compute": 1e22, "view": "Optimal plan"},
        "A small stock of text": {"unique_tokens": 1e9, "compute": 1e22, "view": "Optimal plan"},
        "Few samples: worth saturates": {"unique_samples": 50, "label_noise": 0.0, "view": "Worth of an epoch"},
        "More samples than features": {"unique_samples": 1000, "label_noise": 0.0, "n_seeds": 3, "view": "Worth of an epoch"},
        "Label noise turns repetition harmful": {
            "unique_samples": 200,
            "label_noise": 0.3,
            "n_seeds": 16,
            "view": "Worth of an epoch",
        },
        "Over-fitting, watched": {"label_noise": 0.3, "n_seeds": 8, "view": "Same updates, fewer samples"},
        "Fixed compute, too large a model": {"n_features": 180, "updates_per_feature": 0.3, "view": "Valley at fixed compute"},
        "Few noisy runs": {"n_runs": 15, "noise_sigma": 0.02, "view": "Fit your runs"},
    },
    words=WORDS,
    papers={"480": "own object", "089": "miniature"},
)
