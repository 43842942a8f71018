"""Tokens die one by one; how fast may they be reborn?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.absorbing_diffusion import (
    CountsCurve,
    Film,
    Pictures,
    PrecisionMap,
    Raster,
    StepsCurve,
    Trap,
    counts_curve,
    film,
    pictures,
    precision_map,
    raster,
    steps_curve,
    trap,
)
from compute.parameters import format_number
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, VERMILLION, faded

SCHEDULE_HUES = {"linear": BLUE, "cosine": VERMILLION}
SAMPLER_HUES = {"exact": GRAY, "tau-leap": VERMILLION, "rounded mean": ORANGE, "randomly rounded": BLUE}
STEPS_AXIS = "steps of the grid n"
TOP = 1.12  # of the raster: the finished word stands above reverse time 1


def draw_raster(result: Raster) -> go.Figure:
    lost = f"{result.lost[0]:.2g} nats lost a word" if result.lost[0] > 1e-6 else "nothing lost"
    titles = [
        f"Grid: {result.used[0]} evaluations, {lost}",
        f"First hitting: {result.used[1]} evaluations, nothing lost",
    ]
    fig = draw.panels([("position in the word", "reverse time"), ("position in the word", "")], titles=titles, height=430, gap=0.06)
    hues = np.array(PALETTE)[: result.n_tokens]
    length = result.tokens.shape[1]
    position = np.arange(1, length + 1)
    for k in range(2):
        fig.add_trace(
            go.Bar(
                x=position,
                y=(TOP - result.times[k]).astype(np.float32),
                base=result.times[k].astype(np.float32),
                marker={"color": hues[result.tokens[k]].tolist(), "line": {"width": 0}},
                customdata=np.stack([result.tokens[k] + 1, result.crowd[k]], axis=1),
                hovertemplate="position %{x}<br>token %{customdata[0]}, from %{base:.3f}<br>"
                "%{customdata[1]} at once<extra></extra>",
                showlegend=False,
            ),
            row=1,
            col=k + 1,
        )
        fig.update_xaxes(range=[0.5, length + 0.5], showgrid=False, row=1, col=k + 1)
        fig.update_yaxes(range=[0, TOP], tickvals=[0, 0.25, 0.5, 0.75, 1], showgrid=False, row=1, col=k + 1)
    fig.update_layout(bargap=0.06 if length < 100 else 0, margin={"t": 36})
    return fig


def draw_steps_curve(result: StepsCurve) -> go.Figure:
    fig = draw.panels(
        [(STEPS_AXIS, "total variation from the data"), (STEPS_AXIS, "−log p₀ of a word, nats"), (STEPS_AXIS, "evaluations")],
        log_x=[True] * 3,
        log_y=[True, False, True],
        titles=["Error", "Words, simulated", "Cost, cached"],
        height=470,
        gap=0.085,
    )
    for name, hue in SCHEDULE_HUES.items():
        seen = result.tv[name] > 1e-13
        shown = draw.line(result.n[seen], result.tv[name][seen], f"{name} schedule", hue, legendgroup=name)
        fig.add_trace(shown, row=1, col=1)
        cost = draw.line(result.n, result.evaluations[name], name, hue, legendgroup=name, showlegend=False)
        fig.add_trace(cost, row=1, col=3)
    hue = SCHEDULE_HUES[result.schedule]
    if result.limit > 1e-9:
        fig.add_trace(draw.guide(result.n, result.limit / result.n, f"{result.limit:.2g}/n"), row=1, col=1)
    else:
        none = {"text": "no error:<br>letters are independent", "showarrow": False, "font": {"size": 14, "color": GRAY}}
        fig.add_annotation(x=1.3, y=-2, xref="x", yref="y", **none)
    fig.add_trace(draw.line(result.n, result.surprise, "exact", hue, showlegend=False), row=1, col=2)
    words = draw.points(
        result.simulated_n, result.simulated, "2,000 simulated words ± 2 SE", hue, standard_error=result.simulated_error
    )
    fig.add_trace(words, row=1, col=2)
    used = draw.points(
        result.simulated_n, result.used, "simulated", hue, standard_error=result.used_error, showlegend=False, size=6
    )
    fig.add_trace(used, row=1, col=3)
    level = draw.guide(result.n, np.full(result.n.size, result.entropy), "exact words", showlegend=False)
    fig.add_trace(level, row=1, col=2)
    fig.add_annotation(
        x=1.9, y=result.entropy, xref="x2", yref="y2", text="exact words", showarrow=False, yanchor="top", font={"color": GRAY}
    )
    draw.mark_y(fig, result.length, f"first hitting: {result.length}", col=3)
    fig.update_xaxes(range=[-0.08, 2.75])
    fig.update_yaxes(range=[-4.2, 0.1], row=1, col=1)
    top = max(float(result.surprise.max()), result.entropy)
    fig.update_yaxes(range=[0.8 * result.entropy, 1.15 * top], row=1, col=2)
    fig.update_yaxes(range=[-0.04, np.log10(result.length) + 0.12], row=1, col=3)
    return fig


def draw_trap(result: Trap) -> go.Figure:
    fig = draw.panels(
        [(STEPS_AXIS, "entropy of a token, nats"), (STEPS_AXIS, "perplexity under the true law")],
        log_x=[True, True],
        log_y=[False, True],
        titles=["What is lost", "What an evaluation sees: it looks better"],
        height=480,
    )
    hues = {53: BLUE, 24: VERMILLION} | ({result.bits: GREEN} if result.bits not in (24, 53) else {})
    names = {53: "53 bits (64-bit arithmetic)", 24: "24 bits (32-bit)"}
    for bits, hue in hues.items():
        name = names.get(bits, f"{bits} bits")
        shown = draw.line(result.n, result.entropy[bits], name, hue, legendgroup=name)
        fig.add_trace(shown, row=1, col=1)
        fig.add_trace(draw.line(result.n, result.perplexity[bits], name, hue, legendgroup=name, showlegend=False), row=1, col=2)
    first = draw.line(result.n, result.first, f"{result.bits} bits, first step alone", hues[result.bits], dash="dash", width=1.5)
    fig.add_trace(first, row=1, col=1)
    fig.update_xaxes(range=[-0.1, 6.1])
    for col in (1, 2):
        draw.mark_x(fig, float(result.steps), f"n = {format_number(result.steps)}", col=col)
    fig.update_yaxes(range=[0, 1.12 * result.exact], row=1, col=1)
    high = np.log10(np.exp(result.exact))
    fig.update_yaxes(range=[min(-0.05, 0.1 * high), 1.1 * high + 0.05], row=1, col=2)
    return fig


def draw_precision_map(result: PrecisionMap) -> go.Figure:
    fig = draw.figure(STEPS_AXIS, "mantissa bits of the uniform numbers", log_x=True, x_range=(1, 1e6), y_range=(8, 53), height=500)
    hover = "n %{x:,}<br>%{y} bits<br>temperature %{z:.3f}<extra></extra>"
    heat = draw.heatmap(
        result.n, result.bits, result.temperature.astype(np.float32), "effective temperature", zmin=0.5, zmax=1, hovertemplate=hover
    )
    fig.add_trace(heat)
    lines = (
        (result.likeliest, "likeliest token late: n = p_max·2ᵐ", 0.3),
        (result.rarest, "rarest token late: n = p_min·2ᵐ", 0.3),
    )
    for bits, name, at in lines:
        seen = (bits >= 8) & (bits <= 53)
        fig.add_trace(draw.boundary(result.n[seen], bits[seen], name, at=at))
    for height, name in ((24, "32-bit arithmetic: 24"), (53, "64-bit: 53")):
        fig.add_trace(draw.on_map(7, height - 1.5, name))
    fig.add_trace(draw.boundary(result.n[[0, -1]], np.array([24.0, 24.0]), "", dash="dot").update(line={"width": 1.2}))
    return fig


def draw_film(result: Film) -> go.Figure:
    fig = draw.panels(
        [("share of units alive, e⁻ᵗ", "count"), ("probability", "")],
        titles=["Black on the left, data on the right", f"Output of {result.steps} steps"],
        widths=[0.68, 0.32],
        height=500,
        gap=0.06,
    )
    top = result.data.size - 0.5
    heat = draw.heatmap(
        result.survival,
        np.arange(result.data.size),
        np.sqrt(result.law).astype(np.float32),
        "",
        hovertemplate="alive %{x:.2f}<br>count %{y}<extra></extra>",
        showscale=False,
    )
    fig.add_trace(heat, row=1, col=1)
    x, y = draw.broken(result.path_survival, result.paths.astype(float))
    births = {"color": faded("#ffffff", 0.75), "width": 1.2, "shape": "hv"}
    fig.add_trace(go.Scatter(x=x, y=y, mode="lines", line=births, name="births", showlegend=False), row=1, col=1)
    count = np.arange(result.data.size)
    fig.add_trace(
        go.Bar(x=result.data, y=count, orientation="h", name="data", marker={"color": faded(GRAY, 0.45)}, width=1.0), row=1, col=2
    )
    for name, hue in SAMPLER_HUES.items():
        if name != "exact":
            fig.add_trace(draw.line(result.output[name], count, name, hue, width=2), row=1, col=2)
    fig.update_xaxes(range=[0, 1], showgrid=False, row=1, col=1)
    fig.update_yaxes(range=[-0.5, top], showgrid=False, row=1, col=1)
    fig.update_xaxes(range=[0, 1.6 * float(result.data.max())], row=1, col=2)
    fig.update_yaxes(range=[-0.5, top], row=1, col=2)
    return fig


def draw_counts_curve(result: CountsCurve) -> go.Figure:
    fig = draw.figure(
        "reverse steps n",
        "total variation from the data",
        log_x=True,
        log_y=True,
        x_range=(0.9, 300),
        y_range=(1e-3, 1.3),
        height=480,
    )
    for name, hue in SAMPLER_HUES.items():
        seen = result.tv[name] > 1e-12
        if name == "exact":
            fig.add_trace(draw.guide(result.n[seen], result.tv[name][seen], "exact posterior: error of the black start"))
        else:
            curve = draw.line(result.n[seen], result.tv[name][seen], name, hue)
            fig.add_trace(curve.update(mode="lines+markers", marker={"size": 6}))
    middle = result.n[result.n >= 24]
    fig.add_trace(draw.guide(middle, 6 / middle, "1/n", showlegend=False))
    fig.add_annotation(x=np.log10(60), y=np.log10(0.15), text="1/n", showarrow=False, font={"color": GRAY})
    if result.floor is not None:
        draw.mark_y(fig, result.floor, "sampling error of your table")
    draw.mark_y(fig, 0.01, "0.01")
    return fig


def draw_pictures(result: Pictures) -> go.Figure:
    fig = draw.panels(
        [("", ""), ("share of units alive, e⁻ᵗ", "posterior of the picture it ends in")],
        log_x=[False, True],
        titles=["Three runs: from black to a picture", "When is the picture decided?"],
        widths=[0.68, 0.32],
        height=430,
    )
    n_runs, n_frames, side, _ = result.frames.shape
    gap = 1
    canvas = np.full((n_runs * (side + gap) - gap, n_frames * (side + gap) - gap), np.nan, dtype=np.float32)
    for run in range(n_runs):
        for k in range(n_frames):
            rows, columns = run * (side + gap), k * (side + gap)
            canvas[rows : rows + side, columns : columns + side] = result.frames[run, k]
    z = np.sqrt(canvas / result.max_count)
    heat = go.Heatmap(z=z, colorscale="Cividis", zmin=0, zmax=1, showscale=False, hoverinfo="skip")
    fig.add_trace(heat, row=1, col=1)
    fig.update_yaxes(autorange="reversed", row=1, col=1)
    middles = [k * (side + gap) + 0.5 * side for k in range(n_frames)]
    labels = [f"{result.survival[at]:.1g}" if at < len(result.survival) - 1 else "1" for at in result.shown]
    fig.update_xaxes(tickvals=middles, ticktext=labels, title="share of units alive, e⁻ᵗ", showgrid=False, row=1, col=1)
    tops = [k * (side + gap) + 0.5 * side for k in range(n_runs)]
    fig.update_yaxes(tickvals=tops, ticktext=[f"run {k + 1}" for k in range(n_runs)], showgrid=False, row=1, col=1)
    for run, hue in zip(range(n_runs), (BLUE, VERMILLION, GREEN), strict=True):
        fig.add_trace(draw.line(result.survival, result.certainty[run], f"run {run + 1}", hue), row=1, col=2)
    fig.update_yaxes(range=[0, 1.04], row=1, col=2)
    return fig


WORDS = r"""
Hide the letters of a word one by one, or let the units of a count die one by one: each survives to time $t$ with probability
$a_t$, independently of the rest. Running it backwards needs nothing that depends on time but one number, $e^{-t}/(1-e^{-t})$.

**Masked words.** The reverse rate of a hidden letter is that number times $p_0(x_i\mid\text{letters visible})$, a law of *clean* data
(249), here exact for a Markov chain with Zipf weights. A step from $t$ to $s$ uncovers each hidden letter with probability
$(a_s-a_t)/(1-a_t)$, all those at once independently of each other: what that loses is their total correlation. A word of $l$
letters changes in at most $l$ of the $n$ steps, on the linear schedule in $n(1-(1-1/n)^l)$ of them on average, and a cached model is
only called then. The *first-hitting* sampler (155) goes from change to change: with $m$ letters hidden, the hidden share falls from
$h$ to $hU^{1/m}$, at a uniform position. It makes $l$ calls and no error.

The exact law on a grid: letters choose their steps independently, so a partition into blocks has a probability that
depends on block sizes alone; words' laws summed by block sizes serve every $n$ and schedule. TV falls as $c/n$; of
two letters on the linear schedule it is exactly $\mathrm{TV}(p,\,p_1\otimes p_2)/n$.

**The trap.** A Gumbel-max draw is a race of exponential clocks $-\log(u_k)/p_k$. With $m$-bit uniforms no clock rings before
$\delta/p_k$, $\delta=-\log(1-2^{-m})$, so the largest Gumbel number is about $m\log2$ (16.6 for 24 bits). With $n$ steps the tokens' rates are
$p_k/n$: rare ones start late and lose, and so does uncovering as a whole. The law of the race is a closed form, which the curves compose
over the whole run. Entropy is lost, and perplexity, which many evaluations report alone, *falls*. The effective temperature is that of
$p^{1/T}$ with the same entropy. Late steps have large rates and draw correctly, which is why it levels off.

**Counts.** Blackout diffusion (184): $o_t\mid o_0\sim\mathrm{Bin}(o_0,e^{-t})$; units are reborn at the rate
$$(\mathbb E[o_0\mid o_t]-o_t)\,\frac{e^{-t}}{1-e^{-t}}=(o+1)\,\frac{q_t(o+1)}{q_t(o)},$$
and between two times, given $o_0$, as $\mathrm{Bin}(o_0-o_t,(e^{-s}-e^{-t})/(1-e^{-t}))$. Drawing $o_0$ from its posterior is exact on any grid. Replacing it
by its rounded mean is not, and does not become so with more steps: where less than half a unit is missing, nothing
is ever born. Rounding at random, or Poisson births of the same mean (tau-leap), repairs it.

**Theory and simulation.** Laws, TV, costs and the truncated draw are exact; rasters, paths, pictures and the points with bars
are simulated. **Your data**: a column of counts takes the place of the law, and the curve tells how many steps bring a sampler's error below
that of the table itself.

**Where it stops being true.** Conditionals are exact: a network's error comes on top. The trap is computed for letters independent
of each other and a continuous uniform number cut off at $1-2^{-m}$; a real one also lives on a grid of spacing $2^{-m}$, which matters
at the same scale. Perplexity here is under the true law; there is no language model. Pixels share nothing but the stored
picture that they belong to.
"""

WORD = ("steps", "schedule", "correlation", "states")
COUNT = ("count_law", "max_count", "grid", "final_time")

LAB = Lab(
    title="Absorbing diffusion",
    question="Tokens die one by one; how fast may they be reborn?",
    views=[
        View(
            "Uncovering a word",
            "sampler",
            raster,
            draw_raster,
            "Each column is a letter, colored from the moment it is known. Letters that appear on one level did not see each other: "
            "the grid's word has more breaks in its runs of color.",
            controls=(*WORD, "length"),
        ),
        View(
            "Steps and error",
            "scaling curve",
            steps_curve,
            draw_steps_curve,
            "Error falls as 1/n while evaluations stop at the number of letters: past a few steps per letter, more steps are free.",
            controls=("short_length", *WORD),
        ),
        View(
            "The 32-bit trap",
            "scaling curve",
            trap,
            draw_trap,
            "With many steps and short uniform numbers, rare tokens disappear: entropy falls, and so does perplexity, as if quality rose.",
            controls=("bits", "steps", "vocabulary", "zipf"),
        ),
        View(
            "Precision map",
            "phase diagram",
            precision_map,
            draw_precision_map,
            "Dark: tokens come out as if sampled below their temperature. More steps need more bits, one for each doubling.",
            controls=("bits", "steps", "vocabulary", "zipf"),
            click=("steps", "bits"),
        ),
        View(
            "Counts from black",
            "distribution",
            film,
            draw_film,
            "The map is the law of the count while its units come alive; white paths are births drawn from the exact reverse process.",
            controls=("reverse_steps", *COUNT, "counts"),
        ),
        View(
            "Counts: steps and error",
            "scaling curve",
            counts_curve,
            draw_counts_curve,
            "Tau-leaping and random rounding gain a digit for ten times the steps; rounding the mean stops gaining.",
            controls=(*COUNT, "counts"),
        ),
        View(
            "Pictures from black",
            "sampler",
            pictures,
            draw_pictures,
            "A handful of the first units decides which picture it will be; the thousands that follow only fill it in.",
            controls=("max_count", "frames"),
        ),
    ],
    presets={
        "Four steps for 64 letters": {"steps": 4, "correlation": 3.0, "view": "Uncovering a word"},
        "More steps than letters": {"steps": 1000, "view": "Uncovering a word"},
        "Two letters: exactly 1/n": {"short_length": 2, "view": "Steps and error"},
        "Independent letters lose nothing": {"correlation": 0.0, "view": "Steps and error"},
        "32-bit trap": {"steps": 1_000_000, "bits": 24, "view": "The 32-bit trap"},
        "64-bit cure": {"steps": 1_000_000, "bits": 53, "view": "The 32-bit trap"},
        "A vocabulary of 50,000": {"steps": 10_000, "bits": 24, "vocabulary": 50_000, "view": "The 32-bit trap"},
        "Two spikes": {"count_law": "two spikes", "reverse_steps": 16, "view": "Counts from black"},
        "Black to 255": {"max_count": 255, "final_time": 15.0, "grid": "logit survival", "view": "Counts: steps and error"},
        "Rounding up from below one half": {"count_law": "Zipf", "view": "Counts: steps and error"},
    },
    words=WORDS,
    papers={"155": "own object", "249": "own object", "184": "own object"},
)
