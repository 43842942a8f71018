"""How large should the vocabulary be?"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from compute.parameters import format_number
from compute.scaling_laws.vocabulary import (
    TRAINED,
    Characters,
    InUse,
    Predictors,
    RatioMap,
    Refit,
    WasteMap,
    fixed_characters,
    models_in_use,
    predictors,
    ratio_map,
    refit,
    waste_map,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, MAP, ORANGE, PURPLE, VERMILLION

SIZE_AXIS, VOCABULARY_AXIS = "non-vocabulary parameters N<sub>nv</sub>", "vocabulary V"
DECADE_TICKS: dict[str, Any] = {"dtick": 1, "exponentformat": "power"}
VOCABULARY_TICKS: dict[str, Any] = {
    "tickvals": [1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6],
    "ticktext": ["1k", "3k", "10k", "30k", "100k", "300k", "1M"],
}
COLORS = {"isoflop": BLUE, "derivative": GREEN, "parametric": VERMILLION}
NAMES = {"isoflop": "isoFLOP fit", "derivative": "derivative", "parametric": "parametric loss"}


def _waste(x: np.ndarray, y: np.ndarray, z: np.ndarray, label: str) -> go.Contour:
    """The wasted share of compute on a log scale, in bands of half a decade."""
    hover = label + " %{x:.3g}<br>V %{y:.3g}<br>log₁₀ of the share wasted %{z:.2f}<extra></extra>"
    map_ = draw.bands(x, y, z, "compute wasted", low=-4, high=0, step=0.5, hovertemplate=hover)
    map_.colorbar.update(tickvals=[-4, -3, -2, -1, 0], ticktext=["0.01 %", "0.1 %", "1 %", "10 %", "all"])
    return map_


def draw_waste(plane: WasteMap) -> go.Figure:
    fig = draw.figure(
        SIZE_AXIS,
        VOCABULARY_AXIS,
        log_x=True,
        log_y=True,
        x_range=(plane.size[0], plane.size[-1]),
        y_range=(plane.vocabulary[0], plane.vocabulary[-1]),
        height=540,
    )
    fig.add_trace(_waste(plane.size, plane.vocabulary, plane.log_waste, "N_nv"))
    for name, dash in (("isoflop", "dash"), ("derivative", "dot"), ("parametric", "solid")):
        fig.add_trace(draw.line(plane.size, plane.predictions[name], NAMES[name], GRAY, dash=dash, width=2))
        fig.data[-1].line.color = {"isoflop": "#9ad0f5", "derivative": "#7fe0c3", "parametric": ORANGE}[name]
    names = plane.in_use["name"].to_list()
    places = {
        "Llama 2 7B": "bottom left",
        "Llama 2 13B": "bottom center",
        "Llama 2 70B": "bottom right",
        "Llama 3 8B": "top left",
        "BLOOM 176B": "bottom center",
    }
    models = draw.points(plane.in_use["N_nv"], plane.in_use["V"], "models in use", "#ffffff", size=8)
    models.mode, models.text = "markers+text", names
    models.textposition = [places.get(name, "top center") for name in names]
    models.textfont = {"color": "#ffffff", "size": 11, "shadow": "auto"}
    models.marker.line = {"color": "#24292f", "width": 1}
    fig.add_trace(models)
    fig.update_xaxes(**DECADE_TICKS)
    fig.update_yaxes(**VOCABULARY_TICKS)
    return fig


def draw_ratio(plane: RatioMap) -> go.Figure:
    fig = draw.figure(
        "training FLOPs over the compute-optimal ones, r",
        VOCABULARY_AXIS,
        log_x=True,
        log_y=True,
        x_range=(plane.ratio[0], plane.ratio[-1]),
        y_range=(plane.vocabulary[0], plane.vocabulary[-1]),
        height=520,
    )
    fig.add_trace(_waste(plane.ratio, plane.vocabulary, plane.log_waste, "r"))
    fig.add_trace(draw.line(plane.ratio, plane.best, "best vocabulary, parametric loss", ORANGE))
    for name, color, symbol in (("isoflop", BLUE, "diamond"), ("derivative", GREEN, "square")):
        mark = draw.points([1.0], [plane.balanced[name]], f"{NAMES[name]}, stated for r = 1", color, symbol=symbol, size=11)
        mark.marker.line = {"color": "#ffffff", "width": 1.2}
        fig.add_trace(mark)
    fig.add_trace(draw.line([1.0, 1.0], plane.vocabulary[[0, -1]], "", "#ffffff", dash="dot", width=1.5, showlegend=False))
    fig.add_trace(draw.on_map(0.93, 1.25e3, "too few tokens", size=12))
    fig.data[-1].textposition = "middle left"
    fig.add_trace(draw.on_map(1.08, 1.25e3, "over-trained", size=12))
    fig.data[-1].textposition = "middle right"
    ticks = [0.1, 0.3, 1, 3, 10, 30, 100]
    fig.update_xaxes(tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])
    fig.update_yaxes(**VOCABULARY_TICKS)
    return fig


def _shade_trained(fig: go.Figure) -> None:
    """The sizes that were trained; Plotly shades only panels that hold a trace."""
    for col in (1, 2):
        fig.add_vrect(x0=TRAINED[0], x1=TRAINED[1], fillcolor=GRAY, opacity=0.13, line_width=0, layer="below", row=1, col=col)


def draw_predictors(curve: Predictors) -> go.Figure:
    fig = draw.panels(
        [(SIZE_AXIS, "best vocabulary parameters N<sub>v</sub>"), (SIZE_AXIS, "best vocabulary V = N<sub>v</sub>/d")],
        log_x=[True, True],
        log_y=[True, True],
        titles=["Parameters", "Entries"],
        height=500,
    )
    for name, color in COLORS.items():
        exponent = curve.exponents[name]
        own = curve.parameters[name]
        fig.add_trace(draw.line(curve.size, own, f"{NAMES[name]}, slope {exponent:.3f}", color), row=1, col=1)
        fig.add_trace(draw.line(curve.size, own / curve.width, "", color, showlegend=False), row=1, col=2)
    least = draw.line(curve.size, curve.minimizer, "fewest FLOPs at fixed characters", PURPLE, dash="dash", width=1.8)
    fig.add_trace(least, row=1, col=1)
    fig.add_trace(
        draw.line(curve.size, curve.minimizer / curve.width, "", PURPLE, dash="dash", width=1.8, showlegend=False), row=1, col=2
    )
    ends = curve.size[[0, -1]]
    level = curve.parameters["isoflop"][0]
    fig.add_trace(draw.guide(ends, level * ends / ends[0], "slope 1"), row=1, col=1)
    mark = draw.points([curve.non_vocabulary_parameters], [curve.vocabulary], "yours", ORANGE, symbol="star", size=14)
    fig.add_trace(mark, row=1, col=2)
    _shade_trained(fig)
    for col in (1, 2):
        fig.update_xaxes(range=np.log10(ends), **DECADE_TICKS, row=1, col=col)
    fig.update_yaxes(range=[6, 10.6], **DECADE_TICKS, row=1, col=1)
    fig.update_yaxes(range=[3, 6], **VOCABULARY_TICKS, row=1, col=2)
    return fig


def draw_in_use(result: InUse) -> go.Figure:
    order = np.argsort(result.size, kind="stable")
    n = order.size
    fig = draw.figure(VOCABULARY_AXIS, "", log_x=True, x_range=(1e4, 1e6), y_range=(-0.7, n - 0.3), height=max(300, 110 + 34 * n))
    rows = np.arange(n)
    used, best, balanced = result.vocabulary[order], result.best[order], result.balanced[order]
    fig.add_trace(draw.strokes(np.stack([used, best], axis=1), rows[:, None], GRAY, 5, opacity=0.35))
    fig.add_trace(draw.points(balanced, rows, "best if compute-optimal", BLUE, symbol="diamond-open", size=10))
    fig.add_trace(draw.points(best, rows, "best as trained", BLUE, symbol="diamond", size=11))
    marks = draw.points(used, rows, "used", VERMILLION, size=11)
    marks.customdata = 100 * result.waste[order]
    marks.hovertemplate = "V %{x:.3g}<br>wastes %{customdata:.2f} % of its compute<extra></extra>"
    fig.add_trace(marks)
    for row, k in enumerate(order):
        fig.add_annotation(
            x=1,
            xref="paper",
            y=row,
            text=f"{100 * result.waste[k]:.1f} %",
            showarrow=False,
            xanchor="right",
            font={"color": GRAY},
        )
    fig.add_annotation(
        x=1,
        xref="paper",
        y=n - 0.35,
        text="compute wasted",
        showarrow=False,
        xanchor="right",
        yanchor="bottom",
        font={"color": GRAY},
    )
    low, high = min(1e4, used.min(), best.min()), max(1e6, used.max(), best.max())
    fig.update_xaxes(range=[np.log10(low), np.log10(high) + 0.15], **VOCABULARY_TICKS)
    fig.update_yaxes(
        tickvals=rows, ticktext=[result.name[k] for k in order], title_text=None, showgrid=False, ticks="", showline=False
    )
    return fig


def draw_characters(curve: Characters) -> go.Figure:
    fig = draw.panels(
        [(VOCABULARY_AXIS, "tokens per character f(V)"), (VOCABULARY_AXIS, "FLOPs for the same text / fewest")],
        log_x=[True, True],
        titles=["Compression", "Cost of a text"],
        height=490,
    )
    fig.add_trace(draw.line(curve.vocabulary, curve.tokens, "f(V)", GRAY, showlegend=False), row=1, col=1)
    for k, color in enumerate((BLUE, GREEN, VERMILLION)):
        name = f"N<sub>nv</sub> = {format_number(curve.sizes[k])}" + (" (yours)" if k == 2 else "")
        fig.add_trace(draw.line(curve.vocabulary, curve.cost[k], name, color), row=1, col=2)
        fig.add_trace(draw.points([curve.best[k]], [1.0], "", color, symbol="star", size=14, showlegend=False), row=1, col=2)
    draw.mark_x(fig, 2e5, "constant from<br>200,000 on", col=1)
    draw.mark_x(fig, curve.chosen, "yours", col=2)
    for col in (1, 2):
        fig.update_xaxes(range=[3, 6], **VOCABULARY_TICKS, row=1, col=col)
    fig.update_yaxes(range=[0.2, 0.45], row=1, col=1)
    fig.update_yaxes(range=[0.97, 1.6], row=1, col=2)
    return fig


def draw_refit(result: Refit) -> go.Figure:
    fig = draw.panels(
        [(SIZE_AXIS, f"best V of the fit / {result.reference_name}"), ("loss of the run, nats", "fit error, thousandths of a nat")],
        log_x=[True, False],
        log_y=[True, False],
        titles=["Best vocabulary by the fit", "Residuals"],
        widths=[0.6, 0.4],
        height=490,
    )
    fig.add_trace(draw.band(result.size, result.low, result.high, "80% bootstrap band", VERMILLION, opacity=0.28), row=1, col=1)
    fig.add_trace(draw.line(result.size, result.ratio, "fit", VERMILLION), row=1, col=1)
    draw.mark_y(fig, 1.0, result.reference_name, col=1)
    fig.add_vrect(x0=result.seen[0], x1=result.seen[1], fillcolor=GRAY, opacity=0.13, line_width=0, layer="below", row=1, col=1)
    dots = draw.points(result.measured, 1e3 * result.residual, "runs", GRAY, size=5, showlegend=False)
    dots.marker.color, dots.marker.colorscale = np.log10(result.run_vocabulary), MAP
    dots.marker.cmin, dots.marker.cmax = 6, 9
    dots.marker.colorbar = {"title": {"text": "N<sub>v</sub>", "side": "right"}, "outlinewidth": 0, "thickness": 12}
    dots.marker.colorbar.tickvals, dots.marker.colorbar.ticktext = [6, 7, 8, 9], ["1M", "10M", "100M", "1B"]
    fig.add_trace(dots, row=1, col=2)
    fig.update_xaxes(range=np.log10(result.size[[0, -1]]), **DECADE_TICKS, row=1, col=1)
    steps = [0.1, 0.2, 0.5, 0.7, 1, 1.4, 2, 5, 10]
    far = max(float(np.abs(np.log10(np.concatenate([result.low, result.high]))).max()), 0.15)
    fig.update_yaxes(range=[-1.1 * far, 1.1 * far], tickvals=steps, ticktext=[f"{v:g}" for v in steps], row=1, col=1)
    reach = 1.15 * float(np.abs(1e3 * result.residual).max())
    fig.update_yaxes(range=[-reach, reach], row=1, col=2)
    return fig


WORDS = r"""
A larger vocabulary $V$ spells a text in fewer tokens, each of which costs $V d$ more parameters, whose rows are seen more rarely. All laws
here are fits of Tao et al. (2024; 481) to models of 33M to 3B non-vocabulary parameters $N_{\mathrm{nv}}$; nothing is trained. The
embedding is counted once, $N_{\mathrm v}=Vd$, with the published width steps $d(N_{\mathrm{nv}})$ or your own.

**Compression**: $f(V)=0.00639\ln^2V-0.158\ln V+1.205$ tokens per character, least at $V=235{,}021$ and held constant from 200,000 on.

**Three predictors.** *IsoFLOP*: $N_{\mathrm{nv}}=e^{-2.4847}F^{1/2}$ and $N_{\mathrm v}=e^{-1.5890}F^{0.4164}$. *Derivative*: the minimizer of
$(N_{\mathrm{nv}}+Vd)\,f(V)$, the FLOPs for a fixed text, gives the exponent, the smallest model the level:
$N_{\mathrm v}=3.146\times10^6\,(N_{\mathrm{nv}}/3.3\times10^7)^{0.8354}$. The minimizer itself lies 1.6 to 1.8 times higher over the trained sizes,
and stops at 200,000. *Parametric*:

$$L_u=-E+\frac{A_1}{N_{\mathrm{nv}}^{\beta}}+\frac{A_2}{N_{\mathrm v}^{\alpha_2}}+\frac{B}{D^{\beta}},\qquad F=6(N_{\mathrm{nv}}+N_{\mathrm v})D,$$

with $N$ in millions and $D$ in billions. At fixed $N_{\mathrm{nv}}$ and $F$ the best $N_{\mathrm v}$ is the one root of
$\alpha_2A_2N_{\mathrm v}^{-\alpha_2-1}=\beta B(6/F)^\beta(N_{\mathrm{nv}}+N_{\mathrm v})^{\beta-1}$; for $N_{\mathrm v}\ll N_{\mathrm{nv}}$ it grows as
$N_{\mathrm{nv}}^{(1+\beta)/(1+\alpha_2)}=N_{\mathrm{nv}}^{0.866}$ along compute-optimal budgets, and as $F^{\beta/(1+\alpha_2)}=F^{0.267}$ at fixed size. The first two
know only $N_{\mathrm{nv}}$; the third also sees over-training, $F=r\,(N_{\mathrm{nv}}/e^{-2.4847})^2$.

**Compute wasted**: the share of $F$ that the best vocabulary would not need for the same $L_u$ at the same $N_{\mathrm{nv}}$. The valley is flat:
half or twice the best vocabulary
wastes 0.8 to 3 percent of a compute-optimal budget (least for large models), and about twice that at ten times the budget.

**Models in use** (public configurations; $N_{\mathrm{nv}}$ without the embedding matrices) are judged at their own width and tokens, or bring a table:
`name`, `N_nv`, `V`, and if known `width`, `tokens`.

**Refit**: a Huber fit of $L_u$ ($\delta=0.02$ nats) to synthetic runs of the seven trained sizes, or to yours (`N_nv`, `V`, `width`, `tokens` or `FLOP`,
`loss`; 20 rows or more), with rows resampled for the middle 80%. The band is of noise alone, it does not know whether the form is right beyond the
gray range.

**Where it stops.** $L_u$ is unigram-normalized loss, comparable across vocabularies; it is not perplexity. One exponent for size and data is
imposed by the published fit. $V$ jumps where the width steps, $N_{\mathrm v}$ does not. Sizes above 3B, and training ratios far above 6, are extrapolation;
speed of the softmax, multilingual text and rare-word quality are outside the law.
"""

CHOICES = ("non_vocabulary_parameters", "vocabulary", "training_ratio", "width_rule", "width")

LAB = Lab(
    title="Vocabulary size",
    question="How large should the vocabulary be?",
    views=[
        View(
            "Wasted compute",
            "phase diagram",
            waste_map,
            draw_waste,
            "Dark is good: along the valley a vocabulary wastes nothing, and each band away from it wastes three times as much compute. "
            "Three predictions run along its floor. White dots are models in use.",
            controls=CHOICES,
            click=("non_vocabulary_parameters", "vocabulary"),
        ),
        View(
            "Three predictors",
            "scaling curve",
            predictors,
            draw_predictors,
            "Best vocabulary parameters grow more slowly than the model: all three slopes are below 1. Right: the same in entries; steps are those "
            "of the width. Gray: sizes that were trained.",
            controls=CHOICES,
        ),
        View(
            "Over- and under-training",
            "phase diagram",
            ratio_map,
            draw_ratio,
            "One model size, trained for more FLOPs to the right. Over-trained models deserve larger vocabularies: with "
            "data plentiful, the vocabulary's own term is what is left to lower.",
            controls=CHOICES,
            click=("training_ratio", "vocabulary"),
        ),
        View(
            "Models in use",
            "table",
            models_in_use,
            draw_in_use,
            "Red: the vocabulary used. Blue: the best by the parametric law, if trained compute-optimally (open) and as it was trained (full). "
            "At the right: the compute that the difference wastes.",
            controls=("models", "data_exponent", "vocabulary_exponent"),
        ),
        View(
            "Fixed characters",
            "scaling curve",
            fixed_characters,
            draw_characters,
            "Left: a larger vocabulary makes fewer tokens of a text. Right: FLOPs for that text; a small model pays at once for the larger "
            "embedding, a large one hardly notices it. Stars: the fewest FLOPs.",
            controls=("non_vocabulary_parameters", "vocabulary"),
        ),
        View(
            "Refit to runs",
            "scaling curve",
            refit,
            draw_refit,
            "The loss is fitted to runs and its best vocabulary drawn, over the true one, with an 80% band. The band is narrowest at the sizes "
            "trained (gray) and opens beyond, with the error of the exponents.",
            controls=("n_runs", "noise_sigma", "n_bootstrap", "fitted_exponents", "non_vocabulary_parameters", "runs"),
        ),
    ],
    presets={
        "7B": {"non_vocabulary_parameters": 7e9, "vocabulary": 32000.0, "view": "Wasted compute"},
        "70B with 32k": {"non_vocabulary_parameters": 7e10, "vocabulary": 32000.0, "view": "Wasted compute"},
        "8B trained a hundredfold": {
            "non_vocabulary_parameters": 7e9,
            "vocabulary": 128000.0,
            "training_ratio": 95.0,
            "view": "Over- and under-training",
        },
        "302M, under- and over-trained": {
            "non_vocabulary_parameters": 3.02e8,
            "vocabulary": 16000.0,
            "view": "Over- and under-training",
        },
        "Predictors at 70B": {"non_vocabulary_parameters": 7e10, "view": "Three predictors"},
        "Fixed characters, small model": {"non_vocabulary_parameters": 1e8, "view": "Fixed characters"},
        "Forty noisy runs": {"n_runs": 40, "noise_sigma": 0.01, "n_bootstrap": 100, "view": "Refit to runs"},
    },
    words=WORDS,
    papers={"481": "own object"},
)
