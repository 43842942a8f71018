"""Where should a network stop, and what does stopping save?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.inference_scaling import early_exit as lab
from compute.methods.one_f_one_b import KINDS
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GREEN, ORANGE, PALETTE, PURPLE, SIGNED, SKY, VERMILLION

INK = "#24292f"  # over the pale middle of a signed map
RULES = {
    "q_exit": ("Q-exit", BLUE),
    "sampling": ("sampling", VERMILLION),
    "patience": ("patience", PURPLE),
    "fixed": ("fixed layer", GREEN),
}


def draw_rules(result: lab.ExitRules) -> go.Figure:
    most = float(result.curves["fixed"][0][-1])
    fig = draw.figure("mean layers used", "accuracy", x_range=(0.8, most + 0.3))
    for rule, (name, color) in RULES.items():
        _, depth, accuracy = result.curves[rule]
        if rule in ("fixed", "patience"):
            symbol = "square" if rule == "fixed" else "diamond"
            trace = draw.points(depth, accuracy, name, color, symbol=symbol, size=7)
            trace.update(mode="lines+markers", line={"color": color, "width": 1.3, "dash": "dot"})
            fig.add_trace(trace)
        else:
            fig.add_trace(draw.line(depth, accuracy, name, color))
    for rule, (depth, accuracy, error) in result.simulated.items():
        color = RULES[rule][1]
        star = draw.points([depth], [accuracy], "", color, standard_error=[error], symbol="star", size=13, showlegend=False)
        fig.add_trace(star)
    best = draw.points([result.best[0]], [result.best[1]], "every input at its own best layer", ORANGE, symbol="x", size=11)
    fig.add_trace(best)
    low = min(float(accuracy.min()) for _, (_, _, accuracy) in result.curves.items())
    fig.update_yaxes(range=[max(low - 0.05, 0.0), 1.02])
    return fig


def draw_laws(result: lab.ExitLaws) -> go.Figure:
    fig = draw.panels(
        [("layer", "probability"), ("layer", "probability to have stopped"), ("layer", "right")],
        titles=["Exit law", "Its CDF: where Q-exit stops", "Correctness"],
        gap=0.085,
    )
    fig.add_trace(draw.guide(result.layer, result.prior, "prior"), row=1, col=1)
    for x, (name, color) in enumerate(zip(("easy", "middling", "hard"), (GREEN, BLUE, VERMILLION), strict=True)):
        at = int(result.stop[x]) - 1
        for col, values in ((1, result.law[x]), (2, result.cdf[x]), (3, result.correct[x])):
            trace = draw.line(result.layer, values, f"{name} input", color, showlegend=col == 1)
            trace.update(mode="lines+markers", marker={"size": 5, "color": color})
            fig.add_trace(trace, row=1, col=col)
            mark = draw.points(
                [result.layer[at]], [values[at]], "Q-exit stops", color, symbol="star", size=15, showlegend=x == 1 and col == 1
            )
            fig.add_trace(mark, row=1, col=col)
    draw.mark_y(fig, result.threshold, "q", col=2)
    fig.update_xaxes(range=[0.5, float(result.layer[-1]) + 0.5])
    fig.update_yaxes(range=[0, 1.03])
    return fig


def draw_map(result: lab.RuleMap) -> go.Figure:
    fig = draw.panels(
        [("prior exit rate λ_p", "overthinking ω"), ("prior exit rate λ_p", "overthinking ω")],
        titles=["Accuracy: Q-exit − sampling, at equal depth", "Mean layers of both"],
        gap=0.22,
    )
    most = max(float(np.abs(result.gain).max()), 0.005)
    hover = "λ_p %{x:.2f}<br>ω %{y:.2f}<br>%{z:.4f}<extra></extra>"
    axes = (result.prior_rate, result.overthinking)
    signed = {"scale": SIGNED, "zmid": 0, "zmin": -most, "zmax": most}
    fig.add_trace(draw.heatmap(*axes, result.gain, "", hovertemplate=hover, **signed), row=1, col=1)
    fig.add_trace(draw.heatmap(*axes, result.depth, "", hovertemplate=hover), row=1, col=2)
    fig.data[0].colorbar.update(x=0.4, thickness=10)
    fig.data[1].colorbar.update(thickness=10)
    if result.break_even[0].size:
        fig.add_trace(draw.line(*result.break_even, "as good as each other", INK, showlegend=False), row=1, col=1)
    fig.update_xaxes(range=[0.05, 0.9])
    fig.update_yaxes(range=[0, 1])
    return fig


SHADES = (BLUE, GREEN, VERMILLION, SKY, ORANGE)


def draw_pipeline(result: lab.Pipeline) -> go.Figure:
    fig = draw.panels(
        [("time, in forwards of a layer", "stage"), ("activations held, in layers", "")],
        titles=["One iteration; idle time is blank", "Peak memory"],
        widths=[0.78, 0.22],
        gap=0.06,
    )
    s = result.schedule
    stages = result.memory.size
    for kind, color in enumerate(SHADES):
        mine = s.kind == kind
        if not mine.any():
            continue
        bar = go.Bar(
            x=(s.end - s.start)[mine],
            base=s.start[mine],
            y=s.stage[mine] + 1,
            orientation="h",
            width=0.82,
            name=KINDS[kind],
            marker={"color": color, "opacity": 0.85, "line": {"width": 0.6, "color": "#ffffff"}},
            customdata=s.micro_batch[mine] + 1,
            hovertemplate=KINDS[kind] + " of micro-batch %{customdata}<br>from %{base:.4g}, for %{x:.4g}<extra></extra>",
        )
        fig.add_trace(bar, row=1, col=1)
    held = go.Bar(
        x=result.memory,
        y=np.arange(1, stages + 1),
        orientation="h",
        width=0.82,
        marker={"color": PURPLE, "opacity": 0.7},
        name="memory",
        showlegend=False,
        hovertemplate="stage %{y}: %{x:.3g}<extra></extra>",
    )
    fig.add_trace(held, row=1, col=2)
    fig.update_layout(barmode="overlay", bargap=0)
    for col in (1, 2):
        fig.update_yaxes(range=[stages + 0.6, 0.4], showgrid=False, dtick=1 if stages <= 8 else 2, tick0=1, row=1, col=col)
    fig.update_xaxes(range=[0, 1.005 * s.time], row=1, col=1)
    fig.update_xaxes(range=[0, 1.08 * float(result.memory.max())], row=1, col=2)
    return fig


def draw_costs(result: lab.HeadCosts) -> go.Figure:
    fig = draw.panels(
        [("exit heads", "iteration time, over that without"), ("exit heads", "peak activations, in layers")],
        titles=["Nearly free up to one a stage", "Deferred heads hold their logits once"],
    )
    fig.add_trace(draw.line(result.heads, result.bound, "lower bound", BLUE), row=1, col=1)
    fig.add_trace(draw.points(result.heads, result.time, "simulated schedule", BLUE, size=8), row=1, col=1)
    for key, name, color in (("at_once", "heads at once", VERMILLION), ("deferred", "heads deferred", GREEN)):
        trace = draw.points(result.heads, result.memory[key], name, color, size=7)
        trace.update(mode="lines+markers", line={"color": color, "width": 1.5})
        fig.add_trace(trace, row=1, col=2)
    for col in (1, 2):
        draw.mark_x(fig, result.balanced, "one a stage", col=col)
    fig.update_xaxes(range=[-0.5, 15.5])
    fig.update_yaxes(range=[0.98, max(1.08 * float(result.time.max()) - 0.06, 1.15)], row=1, col=1)
    fig.update_yaxes(range=[0, 1.1 * float(result.memory["at_once"].max())], row=1, col=2)
    return fig


def draw_decode(result: lab.DecodeSpeed) -> go.Figure:
    fig = draw.panels(
        [("mean exit stage, over all stages", "speed-up"), ("exit probability at each head", "speed-up, pipelined")],
        titles=["Two ways to keep caches whole", "As many layers, on more stages"],
    )
    for name, exact, color in (("pipelined", result.pipelined, BLUE), ("recomputed", result.recomputed, VERMILLION)):
        label = "caches filled behind" if name == "pipelined" else "caches recomputed"
        fig.add_trace(draw.line(result.depth, exact, f"{label}, exact", color), row=1, col=1)
        fig.add_trace(
            draw.points(
                result.simulated_depth,
                result.simulated[name],
                f"{label}, simulated ± 2 SE",
                color,
                standard_error=result.standard_error[name],
                showlegend=False,
            ),
            row=1,
            col=1,
        )
    fig.add_trace(draw.guide(result.depth, 1 / result.depth, "free heads and caches"), row=1, col=1)
    for (stages, values), color in zip(result.by_stages.items(), PALETTE, strict=False):
        dash = ("solid", "dash", "dashdot", "dot")[list(result.by_stages).index(stages)]
        fig.add_trace(draw.line(result.probability, values, f"P = {stages}", color, dash=dash), row=1, col=2)
    fig.add_trace(draw.guide([0, 1], [1, 1], "no gain", showlegend=False), row=1, col=1)
    fig.add_trace(draw.guide([0, 0.95], [1, 1], "no gain", showlegend=False), row=1, col=2)
    draw.mark_x(fig, result.at[1], "your p", col=1)
    draw.mark_x(fig, result.at[0], "your p", col=2)
    fig.update_xaxes(range=[0, 1.02], row=1, col=1)
    fig.update_xaxes(range=[0, 0.95], row=1, col=2)
    fig.update_yaxes(range=[0, 1.15 * max(float(result.pipelined.max()), float(result.recomputed.max()), 1.0)], row=1, col=1)
    fig.update_yaxes(range=[0, 1.05 * max(float(v.max()) for v in result.by_stages.values())], row=1, col=2)
    return fig


def draw_gradients(result: lab.StageGradients) -> go.Figure:
    axes = ("gradient of the whole network", "what its stage computes")
    fig = draw.panels([axes, axes], titles=["With the gradient sent back", "With its own exit loss only"])
    top = 1.1 * max(float(np.abs(result.whole).max()), float(np.abs(result.alone).max()))
    for col, values in ((1, result.staged), (2, result.alone)):
        fig.add_trace(draw.guide([-top, top], [-top, top], "equal", showlegend=False), row=1, col=col)
        for k, color in zip(range(len(values)), PALETTE, strict=False):
            cloud = draw.points(result.whole[k], values[k], f"stage {k + 1}", color, size=7, showlegend=col == 1)
            fig.add_trace(cloud, row=1, col=col)
        fig.update_xaxes(range=[-top, top], row=1, col=col)
        fig.update_yaxes(range=[-top, top], row=1, col=col)
    return fig


WORDS = r"""
**Where to stop** (104, a miniature). Input $x$ needs depth $t$; at layer $i$ of $L$ it is right with probability
$c_i=\sigma\big(\tfrac32(i-t)\big)\,e^{-\omega\max(0,i-t)/L}$, with $\omega$ the strength of overthinking and $t\sim N(0.45L,(0.2L)^2)$ over inputs. A
pondering network learns an exit law $p$ that minimizes $\sum_ip_i\ell_i+\beta\,\mathrm{KL}(p\,\|\,g)$, with $\ell_i=-\log c_i$ and $g$ geometric of rate
$\lambda_p$. That has a closed form and needs no training,
$$p_i\propto g_i\,e^{-\ell_i/\beta},\qquad \lambda_i=\frac{p_i}{1-\sum_{j<i}p_j},\quad\lambda_L=1 .$$
The network knows the depth with an error $\sigma$. Rules: *sampling* draws the layer from $p$ (PonderNet), and pays for its variance; *Q-exit* (104)
stops at the first layer where the CDF reaches $q$; *patience* (PABEE) stops once predictions agree a number of times; *fixed*. For a constant rate
$\lambda$ Q-exit stops every input at $\lceil\ln(1-q)/\ln(1-\lambda)\rceil$. The map compares at the mean depth sampling has.

**Training** (122). In the 1F1B schedule a share $\frac{P-1}{M+P-1}$ of equal stages' time is idle, and no schedule beats
$\max_i\big[M\,\mathrm{load}_i+\sum_{j<i}\mathrm{load}_j\big]$. The last stage has the final head, so an exit head on every other stage only evens the
load: the iteration grows by the few heads on its critical path, not by $M$ of them. A head's forward is *deferred* to just before its backward, so
that its logits ($4V/34h\approx1.4$ layers' activations) are held for one micro-batch and not for $\min(M,P-i)$. Idle time can take *extra* micro-batches that go
only as far as an exit head and back; here they are placed greedily, near the beginning of an iteration of 122, whose second kind (the last stages
only) is left out.

**Backpropagation.** Stage $k$ minimizes $L_k+\langle g_k,x_k\rangle$, with $g_k$ received from the next stage and held fixed: exactly the gradient of the sum of
all exit losses. The whole network's gradient is computed by complex steps, another way.

**Decoding** (122). A token that exits at stage $e$ leaves no key–value cache at later ones. *Filled behind*: the next token starts when a head fires
while later stages go on, $\mathbb E[e](\tau+h)$ a token; with $e$ geometric, $\mathbb E[e]=(1-(1-p)^P)/p$. *Recomputed*: pending
tokens join the next one that comes by, at $\mu\tau$ each; a cycle between full passes pays for every token once at every stage, so by renewal
$$\frac{P\tau+h\,(\cdot)+(\mathbb ET-1)\,\tau\,[A+\mu(P-A)]}{\mathbb ET},\qquad \mathbb ET=\frac{1-(1-s)^{C+1}}{s},$$
with $s=P(e=P)$, $A=\mathbb E[e\,|\,e<P]$ and at most $C$ pending.

**Lines are exact, points simulated.** The correctness curve is an assumption, not measured; quality of early-exit language models is out of
reach here. Exits are independent of one another, times deterministic, communication and tensor parallelism free. Patience needs a dependence
between layers: one uniform number an input decides at which layers it is right, and all wrong predictions agree.
"""

LAB = Lab(
    title="Early exit",
    question="Where should a network stop, and what does stopping save?",
    views=[
        View(
            "Pipeline",
            "trajectory",
            lab.one_iteration,
            draw_pipeline,
            "Each row is a stage of the pipeline over one training iteration; blank is idle. Exit heads (red) lengthen it little, as the "
            "last stage has a head anyway; fill the blanks with extra micro-batches that go only as far as an exit.",
            controls=("stages", "micro_batches", "heads", "head_cost", "fill", "deferred"),
        ),
        View(
            "Exit rules",
            "scaling curve",
            lab.exit_rules,
            draw_rules,
            "Accuracy against the mean number of layers as each rule's knob moves; stars are simulations at your settings. Past the "
            "best depth overthinking costs accuracy; sampling the layer costs it everywhere.",
            controls=("prior_rate", "threshold", "overthinking", "misjudgment", "kl_weight", "layers"),
        ),
        View(
            "Exit law",
            "distribution",
            lab.exit_laws,
            draw_laws,
            "The learned law of the exit layer for three inputs. Q-exit (star) stops where the CDF crosses q; a sampled exit "
            "may fall anywhere under the left curve.",
            controls=("prior_rate", "kl_weight", "threshold", "overthinking", "layers"),
        ),
        View(
            "Q-exit or sampling",
            "phase diagram",
            lab.rule_map,
            draw_map,
            "Red: at the same mean depth the deterministic exit is right more often than the sampled one. Blue, with a heavy "
            "prior that stops too early: accuracy is still convex in depth there, and chance pays.",
            controls=("prior_rate", "overthinking", "kl_weight", "misjudgment", "layers"),
            click=("prior_rate", "overthinking"),
        ),
        View(
            "Cost of heads",
            "scaling curve",
            lab.head_costs,
            draw_costs,
            "Left: heads are nearly free up to one a stage, then a stage with two becomes the bottleneck. Right: deferring the head "
            "saves the memory of its logits.",
            controls=("stages", "micro_batches", "head_cost", "layers_per_stage", "heads"),
        ),
        View(
            "Decoding",
            "scaling curve",
            lab.decode_speed,
            draw_decode,
            "Left: speed-up against how early tokens exit; recomputing caches costs a little in each batch and its forced full passes cap "
            "it. Right: more stages let a token exit earlier, and pay for more heads.",
            controls=("exit_probability", "stages", "head_cost", "batch_cost", "most_pending", "layers_per_stage"),
        ),
        View(
            "Gradients",
            "geometry",
            lab.stage_gradients,
            draw_gradients,
            "Each point is a parameter. Left: stages that receive the gradient of later losses compute the whole network's gradient "
            "exactly. Right: without it only the last stage does.",
            controls=("network_stages", "width"),
        ),
    ],
    presets={
        "Sampling hurts": {"prior_rate": 0.15, "kl_weight": 0.5, "overthinking": 0.3, "view": "Exit rules"},
        "Overthinking: stopping early wins": {"overthinking": 1.0, "misjudgment": 0.5, "prior_rate": 0.4, "view": "Exit rules"},
        "The network knows the depth": {"misjudgment": 0.0, "view": "Exit rules"},
        "Where chance pays": {"kl_weight": 1.0, "prior_rate": 0.75, "view": "Q-exit or sampling"},
        "The prior rules": {"kl_weight": 1.0, "prior_rate": 0.2, "threshold": 0.7, "view": "Exit law"},
        "No heads: 3/11 idle": {"heads": 0, "head_cost": 0.0, "stages": 4, "micro_batches": 8, "view": "Pipeline"},
        "Bubbles filled": {"fill": True, "stages": 8, "micro_batches": 12, "heads": 4, "view": "Pipeline"},
        "Four heads nearly free": {"stages": 8, "micro_batches": 32, "heads": 4, "head_cost": 1.0, "view": "Cost of heads"},
        "Two heads on a stage": {"stages": 4, "heads": 6, "head_cost": 1.0, "view": "Pipeline"},
        "One deep token in ten": {"stages": 4, "exit_probability": 0.536, "view": "Decoding"},
        "Dear batches": {"batch_cost": 0.5, "view": "Decoding"},
    },
    words=WORDS,
    papers={"104": "miniature", "122": "miniature"},
)
