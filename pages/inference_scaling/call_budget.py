"""One large call, many small ones, or a stack of tricks?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.inference_scaling import call_budget as lab
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, PURPLE, SIGNED, VERMILLION

INK = "#24292f"  # over the pale middle of a signed map
BUDGET_AXIS = "budget, in calls of the large model"
MODELS = {"small": VERMILLION, "large": BLUE}


def draw_winner(result: lab.WinnerMap) -> go.Figure:
    axes = (BUDGET_AXIS, "ability gap, logits an octave")
    fig = draw.panels([axes, axes], log_x=[True, True], titles=["Chosen by tests", "Chosen by a ranker"], gap=0.12)
    for col, way in enumerate(("tests", "ranker"), start=1):
        plane = draw.heatmap(
            result.budget,
            result.ability_gap,
            result.advantage[way],
            "accuracy: small − large",
            scale=SIGNED,
            zmid=0,
            zmin=-0.6,
            zmax=0.6,
            showscale=col == 2,
            hovertemplate="budget %{x:.3g}<br>gap %{y:.2f}<br>small − large %{z:.3f}<extra></extra>",
        )
        fig.add_trace(plane, row=1, col=col)
        fig.add_trace(draw.line(*result.break_even[way], "break even", INK, showlegend=False), row=1, col=col)
    for col in (1, 2):
        small = draw.on_map(0.46, 1.5, "large cannot<br>be bought", color=INK, size=12)
        fig.add_trace(small, row=1, col=col)
        large = draw.on_map(5.0, 2.3, "large", color=INK)
        fig.add_trace(large, row=1, col=col)
        way = ("tests", "ranker")[col - 1]
        if (result.advantage[way][:5, 25:].min(axis=1) > 0).all():
            fig.add_trace(draw.on_map(5.0, 0.2, "small, often", color=INK), row=1, col=col)
    fig.update_xaxes(range=[np.log10(0.2), np.log10(20)], tickvals=[0.2, 0.5, 1, 2, 5, 10, 20])
    fig.update_yaxes(range=[0, 3])
    return fig


def draw_curves(result: lab.BudgetCurves) -> go.Figure:
    axes = (BUDGET_AXIS, "share of problems right")
    fig = draw.panels([axes, axes], log_x=[True, True], titles=["Chosen by tests", "Chosen by a ranker"])
    for col, way in enumerate(("tests", "ranker"), start=1):
        for model, color in MODELS.items():
            name = f"{model}, {way}"
            line = draw.line(result.budget, result.exact[name], f"{model} model", color, showlegend=col == 1)
            line.line.shape = "hv"
            fig.add_trace(line, row=1, col=col)
            fig.add_trace(
                draw.points(
                    result.points,
                    result.simulated[name],
                    "simulation ± 2 SE",
                    color,
                    standard_error=result.standard_error[name],
                    size=6,
                    showlegend=False,
                ),
                row=1,
                col=col,
            )
        fig.add_trace(draw.guide([0.2, 20], [result.large_once] * 2, "large model, once", showlegend=col == 1), row=1, col=col)
        draw.mark_x(fig, result.at_budget, "your budget", col=col)
    fig.update_xaxes(range=[np.log10(0.2), np.log10(20)], tickvals=[0.2, 0.5, 1, 2, 5, 10, 20])
    fig.update_yaxes(range=[0, 1.02])
    return fig


def draw_crossover(result: lab.Crossover) -> go.Figure:
    fig = draw.figure("ranker AUC", "break-even gap, logits an octave", x_range=(0.495, 1.0), y_range=(-0.03, 1.6))
    for (name, gap), color in zip(result.gap.items(), (GREEN, BLUE, VERMILLION), strict=False):
        known = np.isfinite(gap)
        fig.add_trace(draw.line(result.auc[known], gap[known], f"ranker, {name}", color))
        if np.isfinite(result.tests[name]):
            fig.add_trace(draw.line([0.5, 1.0], [result.tests[name]] * 2, f"tests, {name}", color, dash="dot", width=1.5))
    if np.isfinite(result.here):
        fig.add_trace(draw.points([result.auc_here], [result.here], "yours", ORANGE, symbol="star", size=15))
    note = {"showarrow": False, "xref": "paper", "yref": "paper", "x": 0.02, "xanchor": "left", "font": {"size": 13, "color": GRAY}}
    fig.add_annotation(y=0.97, text="above a line: the large model", **note)
    fig.add_annotation(y=0.03, text="below it: the small one, often", **note | {"x": 0.98, "xanchor": "right"})
    return fig


CATEGORIES = (
    ("several calls, one at random", GRAY, "circle"),
    ("vote", ORANGE, "diamond"),
    ("rank", GREEN, "square"),
    ("fuse", VERMILLION, "triangle-up"),
    ("verify", BLUE, "circle"),
    ("verify and more", PURPLE, "star"),
)


def _category(family: str) -> str:
    if family.startswith("verify"):
        return "verify" if family == "verify" else "verify and more"
    for name in ("fuse", "vote", "rank"):
        if name in family:
            return name
    return "several calls, one at random"


def draw_stacks(result: lab.StackCloud) -> go.Figure:
    fig = draw.figure("calls a question", "accuracy", log_x=True, x_range=(0.9, 230), y_range=(0, 1.02))
    families = np.array([_category(s.family) for s in result.stacks])
    for name, color, symbol in CATEGORIES:
        mine = families == name
        cloud = draw.points(result.calls[mine], result.accuracy[mine], name, color, symbol=symbol, size=6, opacity=0.75)
        cloud.update(
            text=[s.label for s, ours in zip(result.stacks, mine, strict=True) if ours],
            hovertemplate="%{text}<br>%{x:.0f} calls, accuracy %{y:.3f}<extra></extra>",
        )
        fig.add_trace(cloud)
    front = draw.line(result.calls[result.front], result.accuracy[result.front], "best at its price", GRAY, width=2)
    front.line.shape = "hv"
    fig.add_trace(front)
    fig.add_trace(draw.line(result.verified_calls, result.verified, "best model verified, exact", BLUE, dash="dash", width=2))
    fig.add_trace(draw.guide(result.verified_calls, result.coverage, "coverage of the best model"))
    star = draw.points(
        [result.calls[result.best]],
        [result.accuracy[result.best]],
        "best within your budget",
        VERMILLION,
        standard_error=[result.standard_error[result.best]],
        symbol="star",
        size=17,
    )
    fig.add_trace(star)
    draw.mark_x(fig, result.call_budget, "your budget")
    return fig


SHORT = {"verify": "V", "rank": "R", "vote": "M", "fuse": "F", "one call": "1", "several calls, one at random": "1"}


def draw_best(result: lab.BestStacks) -> go.Figure:
    fig = draw.figure("verifier's false-positive rate F", "correlation of models ρ", x_range=(-0.05, 0.85), y_range=(-0.06, 1.01))
    fig.add_trace(
        draw.heatmap(
            result.false_positive_rate,
            result.correlation,
            result.accuracy,
            "accuracy of the best stack",
            hovertemplate="F %{x:.2f}<br>ρ %{y:.2f}<br>accuracy %{z:.3f}<extra></extra>",
        )
    )
    x, y = np.meshgrid(result.false_positive_rate, result.correlation)
    known = result.winner != ""
    shown = [
        "+".join(SHORT[part] for part in str(w).split(" + ")) + f"<br>{m:.0f}"
        for w, m in zip(result.winner[known], result.models[known], strict=True)
    ]
    values = result.accuracy[known]
    middle = 0.5 * (values.min() + values.max())
    words = go.Scatter(
        x=x[known],
        y=y[known],
        text=shown,
        mode="text",
        textfont={"size": 12, "color": [INK if v > middle else "#ffffff" for v in values]},
        hoverinfo="skip",
        showlegend=False,
    )
    fig.add_trace(words)
    fig.update_layout(height=520)
    return fig


SEARCHES = {
    "random": ("random", GRAY),
    "greedy": ("greedy growth", VERMILLION),
    "gaussian_process": ("Gaussian process", BLUE),
}


def draw_search(result: lab.SearchRegret) -> go.Figure:
    fig = draw.figure("architectures tried", "accuracy still missing", x_range=(0.5, 40.5))
    for key, (name, color) in SEARCHES.items():
        if key in (result.chosen, "random"):
            fig.add_trace(draw.band(result.tried, result.low[key], result.high[key], f"{name}, quartiles", color, opacity=0.2))
        fig.add_trace(draw.line(result.tried, result.median[key], f"{name}, median", color))
    fig.add_trace(draw.guide(result.tried, result.expected_random, "random, exact mean"))
    fig.add_trace(draw.points(result.tried[::4], result.mean_random[::4], "random, mean", GRAY, size=5))
    fig.update_yaxes(range=[0, 1.05 * max(*(float(m[0]) for m in result.median.values()), 0.05)])
    return fig


def draw_own(result: lab.OwnModels) -> go.Figure:
    spent = np.concatenate([m.spent for m in result.models])
    fig = draw.figure("spent on a problem, in your prices", "problems solved by at least one sample", log_x=True, y_range=(0, 1.02))
    for m, color in zip(result.models, PALETTE, strict=False):
        fig.add_trace(draw.band(m.spent, m.low, m.high, f"{m.name}, 90%", color, showlegend=False))
        line = draw.line(m.spent, m.coverage, f"{m.name}, {m.price:g} a sample", color)
        line.update(mode="lines+markers", marker={"color": color, "size": 5})
        fig.add_trace(line)
    draw.mark_x(fig, result.spending, "your spending")
    low, high = min(float(spent.min()), result.spending), max(float(spent.max()), result.spending)
    fig.update_xaxes(range=[np.log10(low) - 0.1, np.log10(high) + 0.1])
    return fig


WORDS = r"""
**Sizes** (174, a miniature). Success of one sample on a problem has $\operatorname{logit}p\sim N(\theta,\sigma^2)$ over problems, with $\theta=0$ for the large
model and $\theta=-\Delta\log_2R$ for one $R$ times smaller, that costs $1/R$ a sample. A budget of $B$ large calls buys
$\lfloor B\rfloor$ or $\lfloor BR\rfloor$ samples. *Tests* hand in a right sample if there is one, $\mathbb E[1-(1-p)^k]$. A *ranker* hands in the best-scored; right
samples score higher by $\sqrt2\,\Phi^{-1}(\mathrm{AUC})$ in units of independent Gaussian noise, and it is right with probability
$k\int p\,f(s-g)\,[1-pS(s-g)-(1-p)S(s)]^{k-1}ds$. At AUC $\tfrac12$ that is one sample's accuracy at any $k$; at AUC 1 it is coverage. Both are exact
quadratures. The correlation of the two models' difficulties does not enter: only their marginal laws do.

**Stacks** (392, a miniature). Models, the best first, each $\delta$ logits worse than the one before, with logits correlated by $\rho$ over questions.
*Generate* $m\times s$ candidates ($ms$ calls); *verify* each (as many again; a right one passes with $T$, a wrong one with $F$; where none passes all are
kept); *rank* and keep the best 1 or 4 (one call); then *pick* at random, *vote* (free; wrong candidates are counted as if they agreed), or *fuse* (one call: right
with probability $f_1$ if any candidate is right, else $f_0$). One model verified and picked from is exact, with $s=pT+(1-p)F$:
$$[1-(1-s)^K]\frac{pT}{s}+(1-s)^K\frac{p(1-T)}{1-s}.$$
All other stacks are simulated, on the same questions and candidates; picks, ties and fusing are averaged and not drawn. With a perfect verifier this is
coverage; with $T=F$ it is one random sample.

**Searches** try architectures one after another and see the simulated accuracy of each: *random*; *greedy growth* looks at all stacks one choice
away, moves to the best, and starts again at random when stuck; *Gaussian process* maximizes expected improvement under a squared-exponential kernel
on the choices' places. The mean regret of random search is exact, by order statistics.

**Lines are exact; points, stacks and searches are simulated.** The qualities of operators are *your assumptions*, not measurements of language models: 392
is known here by its abstract, which fixes neither them nor its search space. Fusers are reduced to two probabilities, errors of verifier and ranker
are independent (an error for each distinct answer would plateau: see Repeated sampling), and all calls cost the same in the stacks. The winner of many
near-equal stacks on finitely many questions is a little flattered.
"""

LAB = Lab(
    title="Call budget",
    question="One large call, many small ones, or a stack of tricks?",
    views=[
        View(
            "Small or large",
            "phase diagram",
            lab.winner_map,
            draw_winner,
            "Red: at equal cost the small model sampled often is right more often; blue: the large one. The teeth stand where one "
            "more large call can be bought. Without tests, on the right, the small one's region shrinks.",
            controls=("budget", "ability_gap", "size_ratio", "spread", "ranker_auc"),
            click=("budget", "ability_gap"),
        ),
        View(
            "Against the budget",
            "scaling curve",
            lab.budget_curves,
            draw_curves,
            "Accuracy against what is spent on a problem. With tests many small samples add up; a weak ranker gains little from "
            "more of them, and the large model used once (dotted) stays ahead.",
            controls=("budget", "size_ratio", "ability_gap", "spread", "ranker_auc"),
        ),
        View(
            "Break-even gap",
            "scaling curve",
            lab.crossover,
            draw_crossover,
            "How much worse each halving of size may make a model before the large one is the better buy, against the ranker's quality; "
            "dotted is what tests allow. How unequal problems are hardly moves it.",
            controls=("budget", "size_ratio", "spread", "ranker_auc"),
        ),
        View(
            "Stacks",
            "scaling curve",
            lab.stack_cloud,
            draw_stacks,
            "Each mark is a stack of operators: its calls and its accuracy. The gray staircase is the best at its price; hover for "
            "what a stack is made of.",
            controls=("call_budget", "false_positive_rate", "ranker_auc", "fuse_hit", "correlation", "best_accuracy"),
        ),
        View(
            "Best stack",
            "phase diagram",
            lab.best_stacks,
            draw_best,
            "The best stack within the budget: V verify, R rank, M majority, F fuse, and how many models it asks. A verifier that "
            "passes wrong answers gives way to ranking or fusing; models that fail together are not worth asking.",
            controls=("false_positive_rate", "correlation", "call_budget", "ranker_auc", "fuse_hit", "model_step"),
            click=("false_positive_rate", "correlation"),
        ),
        View(
            "Search",
            "trajectory",
            lab.search_regret,
            draw_search,
            "Accuracy that the best stack tried so far lacks, against how many have been tried. Greedy growth starts "
            "from one call, where no single change gains; the dotted line is the exact mean of random search.",
            controls=("search", "call_budget", "searches", "correlation", "questions"),
        ),
        View(
            "Your models",
            "scaling curve",
            lab.your_models,
            draw_own,
            "Coverage of each model against spending, from your counts with 90% bands over problems; only as far as samples were drawn.",
            controls=("data", "spending", "refits"),
        ),
    ],
    presets={
        "13B five times, 70B once": {"size_ratio": 5.4, "budget": 1.0, "ability_gap": 0.4, "view": "Against the budget"},
        "A ranker that knows nothing": {"ranker_auc": 0.5, "view": "Small or large"},
        "A good ranker": {"ranker_auc": 0.95, "view": "Small or large"},
        "Problems all alike": {"spread": 0.5, "view": "Small or large"},
        "Problems very unequal": {"spread": 4.0, "view": "Small or large"},
        "A steep gap: large wins": {"ability_gap": 1.2, "budget": 2.0, "view": "Against the budget"},
        "Perfect verifier": {"recall": 1.0, "false_positive_rate": 0.0, "view": "Stacks"},
        "Correlated ensemble": {"correlation": 0.95, "model_step": 0.0, "view": "Stacks"},
        "Tight budget": {"call_budget": 5, "view": "Best stack"},
        "A weak fuser": {"fuse_hit": 0.4, "fuse_luck": 0.0, "view": "Best stack"},
        "Search among 250 stacks": {"call_budget": 200, "search": "gaussian_process", "view": "Search"},
    },
    words=WORDS,
    papers={"174": "miniature", "392": "miniature"},
)
