"""How many draft tokens can be accepted, at best?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.inference_scaling import multi_draft_speculation as lab
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PURPLE, SIGNED, VERMILLION

INK = "#24292f"  # over the pale middle of a signed map
LOOK = {
    "optimal": ("best of all, P*", BLUE),
    "importance": ("importance selection", VERMILLION),
    "k_seq": ("k-seq", GREEN),
    "recursive": ("recursive rejection", PURPLE),
    "naive": ("naive coincidence", ORANGE),
}
DRAFTS_AXIS, ACCEPTANCE_AXIS = "drafts K", "acceptance"


def draw_simplex(result: lab.Simplex) -> go.Figure:
    fig = draw.panels(
        [("target's probability of token a", "of token b"), (DRAFTS_AXIS, ACCEPTANCE_AXIS)],
        log_x=[False, True],
        titles=["Acceptance, over all targets", "At your target"],
        widths=[0.56, 0.44],
        gap=0.2,
    )
    fig.add_trace(
        draw.heatmap(
            result.target_a,
            result.target_b,
            result.acceptance,
            "",
            zmin=min(float(np.nanmin(result.acceptance)), 0.9),
            zmax=1,
            hovertemplate="a %{x:.3f}<br>b %{y:.3f}<br>acceptance %{z:.3f}<extra></extra>",
        ),
        row=1,
        col=1,
    )
    fig.data[0].colorbar.update(x=0.455, thickness=10)
    region = draw.line(*result.region.T, "always accepted, by the best", VERMILLION, width=3)
    fig.add_trace(region, row=1, col=1)
    draft = draw.points(result.draft[:1], result.draft[1:2], "the draft's law", ORANGE, symbol="diamond", size=11)
    fig.add_trace(draft, row=1, col=1)
    for key, (name, color) in LOOK.items():
        dash = "solid" if key == "optimal" else "dash"
        width = 4 if key == "optimal" else 2
        fig.add_trace(draw.line(result.drafts, result.by_scheme[key], name, color, dash=dash, width=width), row=1, col=2)
    fig.add_trace(draw.guide([result.n_drafts] * 2, [0, 1.02], "your K", showlegend=False), row=1, col=2)
    fig.update_xaxes(range=[0, 1], row=1, col=1)
    fig.update_yaxes(range=[0, 1], row=1, col=1)
    fig.update_xaxes(range=[0, np.log10(16)], row=1, col=2)
    fig.update_yaxes(range=[0, 1.02], row=1, col=2)
    fig.update_layout(height=500)
    return fig


def draw_curve(result: lab.DraftCurve) -> go.Figure:
    fig = draw.panels(
        [(DRAFTS_AXIS, ACCEPTANCE_AXIS), (DRAFTS_AXIS, "rejected, 1 − acceptance")],
        log_x=[True, True],
        log_y=[False, True],
        titles=["Accepted", "Rejected"],
    )
    for key, (name, color) in LOOK.items():
        theory = result.theory[key]
        dash = "solid" if key == "optimal" else "dash"
        fig.add_trace(draw.line(result.drafts, theory, name, color, dash=dash), row=1, col=1)
        left = 1 - theory > 1e-6
        fig.add_trace(draw.line(result.drafts[left], (1 - theory)[left], name, color, dash=dash, showlegend=False), row=1, col=2)
        if key in result.simulation:
            share, error = result.simulation[key], result.standard_error[key]
            for col, values in ((1, share), (2, 1 - share)):
                seen = values > 2 * error if col == 2 else values >= 0
                fig.add_trace(
                    draw.points(
                        result.simulated_drafts[seen],
                        values[seen],
                        name,
                        color,
                        standard_error=error[seen],
                        size=5,
                        showlegend=False,
                    ),
                    row=1,
                    col=col,
                )
    fig.update_xaxes(range=[0, np.log10(64)])
    fig.update_yaxes(range=[0, 1.02], row=1, col=1)
    fig.update_yaxes(range=[-3, 0.05], row=1, col=2)
    return fig


def draw_duel(result: lab.Duel) -> go.Figure:
    fig = draw.panels(
        [("draft temperature", "mismatch"), ("draft temperature", "mismatch")],
        log_x=[True, True],
        titles=["Acceptance: importance − k-seq", "What both leave: P* − the better"],
        gap=0.22,
    )
    most = max(float(np.abs(result.advantage).max()), 1e-3)
    hover = "temperature %{x:.2f}<br>mismatch %{y:.2f}<br>%{z:.4f}<extra></extra>"
    at = (result.draft_temperature, result.mismatch)
    signed = {"scale": SIGNED, "zmid": 0, "zmin": -most, "zmax": most}
    fig.add_trace(draw.heatmap(*at, result.advantage, "", hovertemplate=hover, **signed), row=1, col=1)
    fig.add_trace(draw.heatmap(*at, result.gap, "", hovertemplate=hover, zmin=0), row=1, col=2)
    fig.data[0].colorbar.update(x=0.4, thickness=10)
    fig.data[1].colorbar.update(thickness=10)
    fig.update_xaxes(range=[-1, np.log10(3)])
    fig.update_yaxes(range=[0, 1])
    return fig


def draw_block(result: lab.BlockEfficiency) -> go.Figure:
    fig = draw.panels(
        [("draft length L", "tokens per call of the target"), ("draft length L", "tokens per unit of cost")],
        titles=["Yield of a call", f"At {result.draft_cost:.2g} calls a draft step"],
    )
    fig.add_trace(draw.guide(result.length, result.length + 1, "all accepted, L + 1"), row=1, col=1)
    top = 1.0
    for key, (name, color) in LOOK.items():
        dash = "solid" if key == "optimal" else "dash"
        fig.add_trace(draw.line(result.length, result.tree[key], name, color, dash=dash), row=1, col=1)
        fig.add_trace(draw.line(result.length, result.rate[key], name, color, dash=dash, showlegend=False), row=1, col=2)
        best = int(np.argmax(result.rate[key]))
        star = draw.points([result.length[best]], [result.rate[key][best]], name, color, symbol="star", size=13, showlegend=False)
        fig.add_trace(star, row=1, col=2)
        top = max(top, float(result.tree[key].max()))
        if key in result.sequences:
            fig.add_trace(
                draw.points(
                    result.length[::2],
                    result.sequences[key][::2],
                    "whole sequences ± 2 SE",
                    color,
                    standard_error=result.standard_error[key][::2],
                    size=5,
                    showlegend=key == "importance",
                ),
                row=1,
                col=1,
            )
    fig.add_trace(draw.guide([1, 16], [1, 1], "no drafting", showlegend=False), row=1, col=2)
    draw.mark_x(fig, result.draft_length, "your L", col=1)
    draw.mark_x(fig, result.draft_length, "your L", col=2)
    fig.update_xaxes(range=[0.5, 16.5])
    fig.update_yaxes(range=[0.8, max(1.12 * top, 3)], row=1, col=1)
    fig.update_yaxes(range=[0, max(1.12 * max(float(r.max()) for r in result.rate.values()), 1.5)], row=1, col=2)
    return fig


def draw_plan(result: lab.TransportPlan) -> go.Figure:
    n = result.draft.size
    letters = list("abcdefghij"[:n])
    fig = draw.panels(
        [("handed in", "tokens drafted"), ("token", "probability")],
        titles=["The plan: given the drafts, hand in …", "What it adds up to"],
        gap=0.2,
    )
    columns = [f"<b>{t}*</b>" if binds else t for t, binds in zip(letters, result.binding, strict=True)]
    fig.add_trace(
        go.Heatmap(
            x=[*columns, "reject"],
            y=result.sets,
            z=result.choice,
            zmin=0,
            zmax=1,
            colorscale="Cividis",
            colorbar={"x": 0.415, "thickness": 10, "outlinewidth": 0},
            xgap=1,
            ygap=1,
            hovertemplate="drafted %{y}<br>hand in %{x}<br>probability %{z:.3f}<extra></extra>",
        ),
        row=1,
        col=1,
    )
    fig.add_trace(go.Bar(x=columns, y=result.target, name="target q", marker={"color": BLUE, "opacity": 0.35}), row=1, col=2)
    fig.add_trace(go.Bar(x=columns, y=result.accepted, name="of it accepted", marker={"color": BLUE}, width=0.5), row=1, col=2)
    fig.add_trace(draw.points(columns, result.draft, "draft p", ORANGE, symbol="diamond", size=10), row=1, col=2)
    chosen = draw.points(columns, result.chosen_first, "chosen in step one", VERMILLION, symbol="line-ew-open", size=18)
    fig.add_trace(chosen, row=1, col=2)
    fig.update_layout(barmode="overlay", height=540)
    fig.update_yaxes(autorange="reversed", type="category", dtick=1, tickfont={"size": 10}, showgrid=False, row=1, col=1)
    fig.update_xaxes(showgrid=False, type="category")
    fig.update_yaxes(range=[0, 1.08 * float(max(result.target.max(), result.draft.max(), result.chosen_first.max()))], row=1, col=2)
    return fig


def draw_outputs(result: lab.Outputs) -> go.Figure:
    n = result.target.size
    fig = draw.panels(
        [("token", "share of outputs"), ("", ACCEPTANCE_AXIS)],
        titles=["Every scheme puts out the target's law", "They differ in how often it is a draft"],
        widths=[0.6, 0.4],
    )
    place = np.arange(n)
    fig.add_trace(go.Bar(x=place, y=result.target, name="target q", marker={"color": GRAY, "opacity": 0.35}), row=1, col=1)
    fig.add_trace(draw.points(place, result.draft, "draft p", ORANGE, symbol="diamond-open", size=11), row=1, col=1)
    for i, (key, (name, color)) in enumerate(LOOK.items()):
        where = place + 0.15 * (i - 2)
        cloud = draw.points(where, result.output[key], name, color, standard_error=result.standard_error[key], size=5)
        fig.add_trace(cloud, row=1, col=1)
        bar = go.Bar(x=[i], y=[result.theory[i]], marker={"color": color, "opacity": 0.45}, name=name, showlegend=False)
        fig.add_trace(bar, row=1, col=2)
        fig.add_trace(
            draw.points(
                [i], [result.simulation[i]], name, color, standard_error=[result.simulation_error[i]], size=9, showlegend=False
            ),
            row=1,
            col=2,
        )
    fig.update_xaxes(tickvals=list(place), ticktext=list("abcdefghij"[:n]), showgrid=False, row=1, col=1)
    fig.update_xaxes(
        tickvals=list(range(5)), ticktext=["P*", "importance", "k-seq", "recursive", "naive"], showgrid=False, row=1, col=2
    )
    fig.update_yaxes(range=[0, 1.12 * float(max(result.target.max(), result.draft.max()))], row=1, col=1)
    fig.update_yaxes(range=[0, 1.05], row=1, col=2)
    return fig


WORDS = r"""
A small model drafts $K$ tokens independently from $p$; the large one, whose law is $q$, must put out one token of law exactly $q$, and
saves work when that token is one of the drafts. A scheme is judged by how often it is.

**The best acceptance.** Accepting is a flow from drafted sets to tokens. Its minimum cut gives (143, for $K=2$ identical drafts)
$$P^\star=\min_{S}\;q(S)+1-p(S)^K .$$
Because $x\mapsto-x^K$ is concave, the minimum stands on a prefix of the tokens sorted by $q/p$: one sort, at any vocabulary and any
$K$. Every draft set can be used, $P^\star=1$, exactly where $q(S)\ge p(S)^K$ for all $S$. For three tokens that is a **hexagon**, whose
corners are the laws of "hand in the draft you rank first" in the six rankings; at uniform $p$ and $K=2$ it holds $8/27$ of all targets.

**Schemes**, all with output law $q$. *Importance selection* (143): pick a draft with weights $q/p$, then accept it as a single draft of
its law $p_I$: $\sum\min(p_I,q)$. *k-seq* (SpecTr): try drafts in turn, accept with $\min(1,\frac{q}{\rho p})$, with $\rho$ the root of
$1-(1-\beta)^K=\rho\beta$, $\beta=\sum\min(p,q/\rho)$. *Recursive rejection* (SpecInfer): each draft against the residual of those before.
*Naive*: draw from $q$, hope that it was drafted: $\sum q\,(1-(1-p)^K)$. The law $p_I$ would sum over $n^K$ tuples; here it is one integral,
$p_I=Kp\int_0^\infty w e^{-tw}\,(\mathbb E e^{-tW})^{K-1}dt$.

**Blocks.** With $K$ fresh drafts at each node of a tree of depth $L$, tokens per call are $V_l(x)=1+\sum_y a(x,y)V_{l-1}(y)$, $V_0=1$, with
$a$ the accepted law; $(1-\alpha^{L+1})/(1-\alpha)$ where context does not matter. The best scheme has many accepted laws $a$: it takes
the one that weighs tokens by $V$ (greedy, as these laws form a polymatroid), the best of all that decide token by token. Points: $K$
whole sequences, of which only those that agree go on, simulated.

**Plan.** A linear program over drafted sets. Starred tokens are the minimizing $S$: they are drafted more often than the target wants
them, and every rejection is of drafts inside $S$. Step one of the two-step form of 143 chooses a draft (dashes), step two accepts it
with $\min(1,q/p_I)$.

**Lines are exact, points are simulated** with 2 standard errors. The language is a toy: Zipf-like logits with noise, the last token as
context. Importance selection and k-seq are not ordered; either wins. Weights $q/p$ are one choice: the optimal first step
needs the plan. Acceptance is not wall-clock time: the cost of a draft step is yours to set, and the $K$ drafts of a step, in a tree up to $K^L$ paths, are counted as one batch.
"""

LAB = Lab(
    title="Multi-draft speculation",
    question="How many draft tokens can be accepted, at best?",
    views=[
        View(
            "Simplex",
            "phase diagram",
            lab.simplex,
            draw_simplex,
            "Each point is a target law over three tokens. In the red hexagon around the draft's law one of K drafts can always be handed "
            "in; click to see how near practical schemes come.",
            controls=("target_a", "target_b", "n_drafts", "scheme", "draft_a", "draft_b"),
            click=("target_a", "target_b"),
        ),
        View(
            "More drafts",
            "scaling curve",
            lab.draft_curve,
            draw_curve,
            "Acceptance against the number of drafts: no scheme lies above the blue bound. Right: what is still rejected.",
            controls=("vocabulary", "mismatch", "draft_temperature", "target_temperature", "n_drafts"),
        ),
        View(
            "Blocks",
            "scaling curve",
            lab.block_efficiency,
            draw_block,
            "Left: tokens per call saturate with the draft length; points are whole sequences, which lose to a tree once they "
            "disagree. Right: with a cost of drafting there is a best length (star).",
            controls=("draft_length", "n_drafts", "draft_cost", "mismatch", "draft_temperature"),
        ),
        View(
            "Which scheme",
            "phase diagram",
            lab.scheme_duel,
            draw_duel,
            "Left: red where importance selection accepts more, blue where k-seq does. Right: what the better of the two still leaves "
            "to the optimal plan.",
            controls=("draft_temperature", "mismatch", "n_drafts", "target_temperature", "tokens"),
            click=("draft_temperature", "mismatch"),
        ),
        View(
            "Transport plan",
            "field",
            lab.transport_plan,
            draw_plan,
            "Rows are the tokens drafted, columns what the optimal plan hands in. Rejections fall only on rows of starred tokens, "
            "which are drafted too often; what the target still wants of the others is then drawn afresh.",
            controls=("tokens", "n_drafts", "mismatch", "target_temperature", "draft_temperature"),
        ),
        View(
            "Outputs",
            "distribution",
            lab.outputs,
            draw_outputs,
            "Left: samples of all schemes fall on the target's law (gray), not on the draft's. Right: theory (bars) and simulation "
            "(points) of how often the output is a draft.",
            controls=("samples", "n_drafts", "mismatch", "draft_temperature", "tokens"),
        ),
    ],
    presets={
        "Uniform draft: 8/27 of targets": {"draft_a": 0.3333, "draft_b": 0.3333, "n_drafts": 2, "view": "Simplex"},
        "Inside the hexagon": {"target_a": 0.45, "target_b": 0.3, "n_drafts": 2, "view": "Simplex"},
        "Eight drafts, one token never wanted": {"target_a": 0.7, "target_b": 0.3, "n_drafts": 8, "view": "Simplex"},
        "A lopsided draft": {"draft_a": 0.8, "draft_b": 0.15, "target_a": 0.3, "target_b": 0.3, "view": "Simplex"},
        "Large vocabulary": {"vocabulary": 20_000, "mismatch": 0.3, "view": "More drafts"},
        "Cold target, hot draft": {"target_temperature": 0.3, "draft_temperature": 1.5, "mismatch": 0.2, "view": "More drafts"},
        "Cold target, hot draft: blocks": {
            "target_temperature": 0.3,
            "draft_temperature": 1.5,
            "mismatch": 0.2,
            "n_drafts": 4,
            "view": "Blocks",
        },
        "Identical models": {"mismatch": 0.0, "target_temperature": 1.0, "draft_temperature": 1.0, "view": "Blocks"},
        "Dear drafts": {"draft_cost": 0.3, "n_drafts": 4, "view": "Blocks"},
        "Eight drafts": {"n_drafts": 8, "mismatch": 0.6, "view": "Which scheme"},
        "A plan that never rejects": {"mismatch": 0.1, "n_drafts": 4, "view": "Transport plan"},
    },
    words=WORDS,
    papers={"143": "own object"},
)
