"""How far does sampling more take you?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.inference_scaling import repeated_sampling as lab
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, PURPLE, SIGNED, VERMILLION, faded

INK = "#24292f"  # over the pale middle of a signed map
SAMPLES_AXIS, CALLS_AXIS, RATE_AXIS = "samples k", "calls a problem", "verifier's false-positive rate F"
DECADES = dict(tickmode="array", tickvals=[0, 1, 2, 3, 4], ticktext=["1", "10", "100", "1,000", "10,000"])


def draw_weak_strong(plane: lab.WeakStrong) -> go.Figure:
    fig = draw.figure("weak model's accuracy of one sample", RATE_AXIS, log_y=True, x_range=(0.01, 0.95), y_range=(1e-4, 0.5))
    never = np.isnan(plane.log_tries)
    tint = faded(VERMILLION, 0.35)
    hover = "accuracy %{x:.3f}<br>F %{y:.3g}<br>"
    fig.add_trace(
        go.Heatmap(
            x=plane.accuracy,
            y=plane.false_positive_rate,
            z=np.where(never, plane.ceiling, np.nan),
            colorscale=[[0, tint], [1, tint]],
            showscale=False,
            hovertemplate=hover + "ceiling %{z:.3f}: never<extra></extra>",
        )
    )
    fig.add_trace(
        draw.heatmap(
            plane.accuracy,
            plane.false_positive_rate,
            plane.log_tries,
            "tries K to reach the strong model",
            zmin=0,
            zmax=4,
            hovertemplate=hover + "log₁₀ K %{z:.2f}<extra></extra>",
        )
    )
    fig.data[-1].colorbar.update(DECADES)
    inside = np.isfinite(plane.boundary)
    name = f"ceiling = {plane.strong_accuracy:.2f}, one sample of the strong model"
    fig.add_trace(draw.line(plane.accuracy[inside], plane.boundary[inside], name, VERMILLION, width=3))
    fig.add_trace(draw.guide([plane.strong_accuracy] * 2, [1e-4, 0.5], "as accurate as the strong model"))
    if never[-1].any():
        at = plane.accuracy[never[-1]]
        fig.add_trace(draw.on_map(0.5 * (at[0] + at[-1]), 0.25, "never", color=INK))
    return fig


def draw_coverage(curve: lab.Coverage) -> go.Figure:
    fig = draw.panels(
        [(SAMPLES_AXIS, "coverage c(k)"), (SAMPLES_AXIS, "−log c(k)")],
        log_x=[True, True],
        log_y=[False, True],
        titles=["Problems solved by at least one of k", "Where the fitted law is straight"],
    )
    for col, exact, fit, measured in (
        (1, curve.exact, curve.fit, curve.estimate),
        (2, -np.log(curve.exact), curve.minus_log_fit, -np.log(np.maximum(curve.estimate, 1e-12))),
    ):
        legend = col == 1
        if col == 1 and curve.band.size:
            fig.add_trace(draw.band(curve.k, *curve.band, "90% over problems", BLUE), row=1, col=1)
        fig.add_trace(draw.line(curve.k, exact, "exact", BLUE, showlegend=legend), row=1, col=col)
        label = f"fit exp(A kᴮ), k ≤ {curve.fitted_to:,}: B = {curve.fit_exponent:.3f}".replace("-", "−")
        fig.add_trace(draw.line(curve.k, fit, label, VERMILLION, dash="dash", showlegend=legend), row=1, col=col)
        seen = (measured > 1e-9) & np.isfinite(measured) & (measured < 20)
        error = curve.standard_error / (1 if col == 1 else np.maximum(curve.estimate, 1e-12))
        fig.add_trace(
            draw.points(
                curve.points[seen], measured[seen], f"{curve.source} ± 2 SE", BLUE, standard_error=error[seen], showlegend=legend
            ),
            row=1,
            col=col,
        )
    if curve.tail.size:
        shown = curve.tail < 3
        fig.add_trace(draw.guide(curve.k[shown], curve.tail[shown], "slope −a of the hardest problems"), row=1, col=2)
    fig.update_yaxes(range=[0, 1.02], row=1, col=1)
    fig.update_yaxes(range=[np.log10(max(-np.log(curve.exact[-1]), 1e-6)) - 0.2, 0.8], row=1, col=2)
    fig.update_xaxes(range=[0, 5])
    return fig


def draw_difficulty(curve: lab.Coverage) -> go.Figure:
    fig = draw.panels(
        [("log₁₀ p, success of one sample", "density over problems"), (SAMPLES_AXIS, "coverage c(k)")],
        log_x=[False, True],
        titles=["Who is solved next", "Coverage"],
    )
    here, x = curve.here, curve.log_success
    at = np.interp(np.log(curve.frames), np.log(curve.k), curve.exact)
    fig.add_trace(draw.line(x, curve.density, "all problems", GRAY, width=1.5), row=1, col=1)
    fig.add_trace(
        draw.line(x, curve.unsolved[here], "still unsolved after k", BLUE, fill="tozeroy", fillcolor=faded(BLUE, 0.25)),
        row=1,
        col=1,
    )
    fig.add_trace(
        draw.line(
            x,
            curve.responsible[here],
            "solved first by sample k + 1",
            VERMILLION,
            fill="tozeroy",
            fillcolor=faded(VERMILLION, 0.25),
        ),
        row=1,
        col=1,
    )
    fig.add_trace(draw.line(curve.k, curve.exact, "coverage", BLUE, showlegend=False), row=1, col=2)
    fig.add_trace(draw.points([curve.frames[here]], [at[here]], "this k", VERMILLION, size=13, showlegend=False), row=1, col=2)
    top = 1.15 * float(curve.responsible.max())
    fig.update_yaxes(range=[0, top], row=1, col=1)
    fig.update_yaxes(range=[0, 1.02], row=1, col=2)
    # A movie's axes must not fit themselves to each frame.
    fig.update_xaxes(range=[-7, 0], row=1, col=1)
    fig.update_xaxes(range=[0, 5], row=1, col=2)
    frames = [
        [
            go.Scatter(x=x, y=curve.unsolved[j].astype(np.float32)),
            go.Scatter(x=x, y=curve.responsible[j].astype(np.float32)),
            go.Scatter(x=[curve.frames[j]], y=[at[j]]),
        ]
        for j in range(curve.frames.size)
    ]
    return draw.movie(fig, frames, [f"{k:,.0f}" for k in curve.frames], traces=[1, 2, 4], at=here, prefix="k = ", milliseconds=120)


SELECTORS = (("oracle", "coverage (oracle)", BLUE), ("majority", "majority vote", VERMILLION), ("verifier", "imperfect verifier", PURPLE),
             ("tournament", "tournament", ORANGE))  # fmt: skip
# One color for rewards; the dash tells the law of the noise.
NOISES = {
    "gaussian": ("Gaussian noise", "solid"),
    "student_t": ("heavy tails", "dash"),
    "per_answer": ("one error an answer", "dashdot"),
}


def draw_selection(result: lab.Selection) -> go.Figure:
    fig = draw.panels(
        [(CALLS_AXIS, "share answered right"), (CALLS_AXIS, "share answered right")],
        log_x=[True, True],
        titles=["What a selector keeps of coverage", "Best reward of k, by the reward's noise"],
    )
    for key, name, color in (*SELECTORS, (result.noise_law, f"best reward, {NOISES[result.noise_law][0]}", GREEN)):
        _draw_selector(fig, result, key, name, color, 1)
    oracle = result.selectors["oracle"]
    fig.add_trace(draw.line(result.k, oracle.theory, "oracle", BLUE, showlegend=False, width=1.5), row=1, col=2)
    for key, (name, _) in NOISES.items():
        _draw_selector(fig, result, key, name, GREEN, 2)
    fig.update_yaxes(range=[0, 1.02])
    fig.update_xaxes(range=[0, 5.05])
    return fig


def _draw_selector(fig: go.Figure, result: lab.Selection, key: str, name: str, color: str, col: int) -> None:
    """One selector's theory, simulation and limit; named in the legend on the left, along the line on the right."""
    s = result.selectors[key]
    dash = NOISES[key][1] if key in NOISES else "solid"
    if s.theory.size:
        fig.add_trace(draw.line(result.k, s.theory, name, color, dash=dash, showlegend=col == 1), row=1, col=col)
        if col == 2:
            below = s.theory[20] == min(result.selectors[other].theory[20] for other in NOISES)
            where = {"x": [3000], "y": [s.theory[20] + (-0.08 if below else 0.08)], "text": [name], "textfont": {"color": GRAY}}
            fig.add_trace(go.Scatter(**where, mode="text", hoverinfo="skip", showlegend=False), row=1, col=2)
    legend = col == 1 and not s.theory.size
    points = draw.points(s.calls, s.simulation, name, color, standard_error=s.standard_error, size=5, showlegend=legend)
    fig.add_trace(points, row=1, col=col)
    if s.limit < 0.995:
        fig.add_trace(
            draw.line([3e4, 1e5], [s.limit] * 2, f"{name}, limit", color, dash="dot", width=2, showlegend=False), row=1, col=col
        )


def draw_resampling(result: lab.Resampling) -> go.Figure:
    fig = draw.panels(
        [("limit on tries K", "accuracy"), ("limit on tries K", "precision of what is handed in"), ("limit on tries K", "utility")],
        log_x=[True] * 3,
        titles=["Accuracy and its ceiling", "Precision falls", "Utility bends down"],
        gap=0.085,
    )
    for m, color in zip(result.models, (VERMILLION, BLUE), strict=True):
        for col, exact in enumerate((m.accuracy, m.precision, m.utility), start=1):
            fig.add_trace(draw.line(result.tries, exact, f"{m.name} model, resampled", color, showlegend=col == 1), row=1, col=col)
        fig.add_trace(draw.guide([1, 1e4], [m.ceiling] * 2, "ceilings", showlegend=m.name == "weak"), row=1, col=1)
        for col, key in ((1, "accuracy"), (3, "utility")):
            fig.add_trace(
                draw.points(
                    result.points,
                    m.simulated[key],
                    "simulation ± 2 SE",
                    color,
                    standard_error=m.simulated[f"{key}_error"],
                    size=5,
                    showlegend=False,
                ),
                row=1,
                col=col,
            )
        if 1 <= m.best_tries <= 1e4:
            best = np.interp(np.log(m.best_tries), np.log(result.tries), m.utility)
            label = "best number of tries K*"
            fig.add_trace(
                draw.points([m.best_tries], [best], label, color, symbol="star", size=15, showlegend=m.name == "weak"), row=1, col=3
            )
    strong = result.models[1].one_sample
    fig.add_trace(draw.line([1, 1e4], [strong] * 2, "strong model, one sample", BLUE, dash="dash", width=1.5), row=1, col=1)
    fig.update_yaxes(range=[0, 1.02], row=1, col=1)
    fig.update_yaxes(range=[0, 1.02], row=1, col=2)
    low = min(float(m.utility.min()) for m in result.models)
    fig.update_yaxes(range=[max(min(-0.5, 1.1 * low), -16), 1.02], row=1, col=3)
    fig.update_xaxes(range=[0, 4])
    return fig


def draw_stopping(plane: lab.Stopping) -> go.Figure:
    fig = draw.figure("cost of a wrong answer, in right ones", RATE_AXIS, log_y=True, x_range=(0, 16), y_range=(1e-4, 0.5))
    fig.add_trace(
        draw.heatmap(
            plane.cost,
            plane.false_positive_rate,
            plane.log_tries,
            "best number of tries K*",
            zmin=0,
            zmax=3,
            hovertemplate="cost %{x:.2f}<br>F %{y:.3g}<br>log₁₀(1 + K*) %{z:.2f}<extra></extra>",
        )
    )
    ticks = [0, 1, 3, 10, 30, 100, 300, 1000]
    fig.data[0].colorbar.update(tickmode="array", tickvals=np.log10(1 + np.array(ticks)), ticktext=[f"{t:,}" for t in ticks])
    for level, line in zip(plane.levels, plane.boundaries, strict=True):
        inside = np.isfinite(line)
        if inside.sum() > 1:
            name = "abstain" if level == 0 else f"K* = {level}"
            fig.add_trace(draw.boundary(line[inside], plane.false_positive_rate[inside], name, at=0.12))
    return fig


def draw_price(result: lab.Price) -> go.Figure:
    fig = draw.panels(
        [
            ("price of a dear sample, in cheap ones", "budget, in cheap samples"),
            ("spent on a problem, in cheap samples", "coverage"),
        ],
        log_x=[True, True],
        log_y=[True, False],
        titles=["Coverage: cheap minus dear", "At your price ratio"],
        gap=0.19,
    )
    fig.add_trace(
        draw.heatmap(
            result.ratio,
            result.budget,
            result.advantage,
            "",
            scale=SIGNED,
            zmid=0,
            zmin=-0.6,
            zmax=0.6,
            hovertemplate="ratio %{x:.3g}<br>budget %{y:,.0f}<br>cheap − dear %{z:.3f}<extra></extra>",
        ),
        row=1,
        col=1,
    )
    fig.data[0].colorbar.update(x=0.42, thickness=10)
    inside = np.isfinite(result.break_even)
    fig.add_trace(
        draw.line(result.break_even[inside], result.budget[inside], "break even", INK, width=2.5, showlegend=False), row=1, col=1
    )
    fig.add_trace(draw.on_map(30, 5, "cheap, often", color=INK), row=1, col=1)
    edge = result.break_even[np.argmin(np.abs(result.budget - 300))]
    if edge > 4:
        fig.add_trace(draw.on_map(np.sqrt(edge), 300, "dear, seldom", color=INK), row=1, col=1)
    for m, color in zip(result.models, PALETTE, strict=False):
        name = f"{m.name}, price {m.price:.3g}"
        fig.add_trace(draw.line(m.samples * m.price, m.coverage, name, color), row=1, col=2)
        fig.add_trace(
            draw.points([m.price], m.coverage[:1], f"one sample of {m.name}", color, size=10, showlegend=False), row=1, col=2
        )
    fig.add_trace(draw.guide([result.at_budget] * 2, [0, 1.02], "your budget"), row=1, col=2)
    fig.update_xaxes(range=[0, 2], row=1, col=1)
    fig.update_yaxes(range=[0, 4], row=1, col=1)
    fig.update_xaxes(range=[0, 4], row=1, col=2)
    fig.update_yaxes(range=[0, 1.02], row=1, col=2)
    return fig


def draw_bracket(result: lab.Bracket) -> go.Figure:
    fig = draw.panels(
        [("round", ""), (CALLS_AXIS, "failure")],
        log_x=[False, True],
        log_y=[False, True],
        titles=["One bracket", "Failure of the champion"],
        gap=0.1,
    )
    node = result.node
    depth = int(node[:, 0].max())

    def edges(until: int, won: bool) -> tuple[list[float | None], list[float | None]]:
        x: list[float | None] = []
        y: list[float | None] = []
        for row in node:
            if row[3] >= 0 and bool(row[4]) == won and node[int(row[3]), 0] <= until:
                parent = node[int(row[3])]
                x += [row[0], parent[0], None]
                y += [row[1], parent[1], None]
        return x, y

    def frame(until: int) -> list[go.Scatter]:
        lost, won = edges(until, False), edges(until, True)
        traces = [go.Scatter(x=lost[0], y=lost[1]), go.Scatter(x=won[0], y=won[1])]
        for correct in (1, 0):
            shown = (node[:, 0] <= until) & (node[:, 2] == correct)
            traces.append(go.Scatter(x=node[shown, 0], y=node[shown, 1]))
        # Winners of this round have won brackets of so many. (Plotly wipes a panel in which nothing moves.)
        here = int(np.argmin(np.abs(result.size - min(2**until, result.candidates))))
        return [*traces, go.Scatter(x=[result.calls[here]], y=[result.exact[here]])]

    last = frame(depth)
    size = 9 if len(node) < 80 else 6 if len(node) < 260 else 4
    for trace, name, line in (
        (last[0], "lost", {"color": faded(GRAY, 0.35), "width": 1}),
        (last[1], "moves on", {"color": GRAY, "width": 2}),
    ):
        trace.update(mode="lines", name=name, line=line, showlegend=False, hoverinfo="skip")
        fig.add_trace(trace, row=1, col=1)
    for trace, name, color in ((last[2], "correct candidate", BLUE), (last[3], "wrong candidate", VERMILLION)):
        trace.update(mode="markers", name=name, marker={"color": color, "size": size})
        fig.add_trace(trace, row=1, col=1)
    fig.add_trace(draw.line(result.calls, result.exact, "exact", GREEN), row=1, col=2)
    if result.bound.size:
        fig.add_trace(draw.guide(result.calls, result.bound, "bound"), row=1, col=2)
    last[4].update(mode="markers", name="this round", marker={"color": VERMILLION, "size": 13}, showlegend=False)
    seen = result.simulation > 0
    fig.add_trace(
        draw.points(
            result.simulated_calls[seen],
            result.simulation[seen],
            "simulation ± 2 SE",
            GREEN,
            standard_error=result.standard_error[seen],
        ),
        row=1,
        col=2,
    )
    fig.add_trace(last[4], row=1, col=2)
    fig.update_xaxes(range=[-0.3, max(depth, 1) + 0.3], dtick=1, showgrid=False, row=1, col=1)
    fig.update_yaxes(range=[-1, result.candidates], showgrid=False, showticklabels=False, ticks="", showline=False, row=1, col=1)
    fig.update_yaxes(range=[np.log10(max(float(result.exact.min()), 1e-12)) - 0.3, 0.1], row=1, col=2)
    fig.update_xaxes(range=[-0.1, np.log10(float(result.calls[-1])) + 0.1], row=1, col=2)
    labels = [str(r) for r in range(depth + 1)]
    fig = draw.movie(
        fig, [frame(r) for r in range(depth + 1)], labels, traces=[0, 1, 2, 3, len(fig.data) - 1], prefix="round ", milliseconds=800
    )
    return fig


def draw_allocation(result: lab.Allocation) -> go.Figure:
    fig = draw.figure("candidates N", "comparisons a pair K", log_x=True, log_y=True, x_range=(0.93, 270), y_range=(0.87, 68))
    fig.add_trace(
        draw.heatmap(
            result.candidates,
            result.comparisons,
            result.log_failure,
            "log₁₀ failure",
            zmin=max(float(result.log_failure.min()), -6.0),
            zmax=0,
            hovertemplate="N %{x:.0f}<br>K %{y:.0f}<br>log₁₀ failure %{z:.2f}<extra></extra>",
        )
    )
    for calls in (16, 64, 256, 1024, 4096):
        n = np.geomspace(max(calls / 64, 1), min(256, calls / 2), 40)
        fig.add_trace(draw.boundary(n, calls / n - 1, f"{calls:,} calls", dash="dot", at=0.3 if calls > 256 else 0.7))
    inside = (result.best_candidates > 1) & (result.best_candidates <= 256)
    fig.add_trace(
        draw.points(
            result.best_candidates[inside],
            result.best_comparisons[inside],
            "best split of 4, 8, 16, … calls",
            ORANGE,
            symbol="diamond",
            size=9,
        )
    )
    n, k, failure = result.best
    if 1 <= n <= 256:
        name = f"best of {result.budget:,} calls: failure {failure:.2g}"
        fig.add_trace(draw.points([n], [k], name, VERMILLION, symbol="star", size=17))
    return fig


def draw_duel(result: lab.Duel) -> go.Figure:
    fig = draw.figure("success of one sample p_gen", "accuracy of a comparison p_comp", x_range=(0.01, 0.95), y_range=(0.4, 0.99))
    fig.add_trace(
        draw.heatmap(
            result.accuracy,
            result.comparison_accuracy,
            result.advantage,
            "success: tournament − vote",
            scale=SIGNED,
            zmid=0,
            zmin=-1,
            zmax=1,
            hovertemplate="p_gen %{x:.3f}<br>p_comp %{y:.3f}<br>tournament − vote %{z:.3f}<extra></extra>",
        )
    )
    inside = np.isfinite(result.boundary)
    fig.add_trace(draw.line(result.accuracy[inside], result.boundary[inside], "as good as each other", INK, showlegend=False))
    fig.add_trace(draw.on_map(0.17, 0.93, "tournament", color=INK))
    fig.add_trace(draw.on_map(0.6, 0.45, "vote", color=INK))
    return fig


WORDS = r"""
A model answers each problem right with a probability $p$ that differs from problem to problem; samples of one problem are
independent. Its law over problems is $\mathrm{Beta}(a,b)$ with $b=a\,(1/\bar p-1)$, set by the accuracy $\bar p$ of one sample
and the exponent $a$ of the lower tail, $P(p<x)\sim x^a$; or that with a share $\pi_0$ never solved; or logit-normal; or a Beta law
fitted by maximum likelihood to your own counts.

**Coverage** (081). $c(k)=\mathbb E[1-(1-p)^k]=1-\frac{B(a,b+k)}{B(a,b)}$, so that $-\log c\to\frac{\Gamma(a+b)}{\Gamma(b)}k^{-a}$: the
exponentiated power law $c=e^{Ak^B}$ of 081 is a fit, local in $k$, and its exponent drifts to $-a$. Points are the unbiased estimator
$1-\binom{n-s}{k}/\binom nk$. The next sample is first to solve problems with density $\propto p(1-p)^k$.

**Selection.** Majority vote tends to the share of problems whose most frequent answer is right: wrong answers share $1-p$ by a
symmetric Dirichlet law of evenness $\eta$. The best-rewarded of $k$ is right with probability
$k\int p f(s-\Delta)\,[1-pS(s-\Delta)-(1-p)S(s)]^{k-1}ds$. *Independent Gaussian noise climbs to 1; heavy tails climb, then fall back to
one sample; one error for each distinct answer makes a plateau.* So an observed plateau is evidence about the noise.

**An imperfect verifier** (041) passes right samples with probability $T$, wrong ones with $F$. With $s=pT+(1-p)F$, after at most $K$
tries the answer is right with probability $\frac{pT}{s}(1-(1-s)^K)$, wrong with $\frac{(1-p)F}{s}(1-(1-s)^K)$, and
$\frac{1-(1-s)^K}{s}$ tries are used. The ceiling $\mathbb E[pT/s]$ does not depend on $K$; where it lies under one sample of a strong
model, no number of tries reaches it. With a cost $c$ of a wrong answer and $\kappa$ of a try, $K^*$ is the first $K$ at which
$\mathbb E[(1-s)^K(pT-c(1-p)F-\kappa)]\le0$.

**Tournament** (132). A bracket of $N$ samples, each pair compared $K$ times: failure
$f=f_lf_r+(f_l(1-f_r)+f_r(1-f_l))(1-q_K)$, exact for any $N$; the theorem bounds it by
$(1-p_\mathrm{gen})^N+\lceil\log_2N\rceil e^{-2K(p_\mathrm{comp}-1/2)^2}$ for $p_\mathrm{comp}\ge\frac12$. At fixed $K$ the failure is at
last a power of $N$, with exponent $-\log_2\frac1{2(1-q_K)}$. It counts $N(K+1)$ calls.

**Lines are exact, points are simulated** with 2 standard errors; dotted stubs are limits. Voting among several wrong answers at finite $k$
is simulation only, in the map too.

**Where it stops being true.** Samples independent given the problem; one verifier for all problems, so that weak models pass more wrong
answers only because they give more. The strong model has the weak one's tail exponent. Beyond the $n$ you measured, coverage rests on the
fitted lower tail of $p$. A comparison is as good on every pair, and wrong candidates are equally wrong.
"""

LAB = Lab(
    title="Repeated sampling",
    question="How far does sampling more take you?",
    views=[
        View(
            "Weak against strong",
            "phase diagram",
            lab.weak_against_strong,
            draw_weak_strong,
            "Color is the number of tries a weak model needs to match one sample of the strong one. In the red region the ceiling that "
            "false positives set lies below it: no number of tries is enough.",
            controls=("accuracy", "false_positive_rate", "strong_accuracy", "tail_exponent", "recall", "family"),
            click=("accuracy", "false_positive_rate"),
        ),
        View(
            "Coverage",
            "scaling curve",
            lab.coverage,
            draw_coverage,
            "Left: coverage and its exponentiated power law. Right: the same where that law is a straight line; the exact curve bends "
            "away from it, to the slope −a that the hardest problems set.",
            controls=("accuracy", "tail_exponent", "samples", "family", "data"),
        ),
        View(
            "Who is solved next",
            "distribution",
            lab.coverage,
            draw_difficulty,
            "Press play: as samples are added, those that count fall on problems ever harder, near p = 1/k.",
            controls=("accuracy", "tail_exponent", "samples", "family", "spread"),
        ),
        View(
            "Selection",
            "scaling curve",
            lab.selection,
            draw_selection,
            "Left: coverage climbs, but a selector without a perfect verifier stops short of it. Right: whether the best reward climbs, "
            "plateaus or falls back depends on its noise.",
            controls=("accuracy", "noise_law", "reward_gap", "concentration", "alternatives", "comparison_accuracy"),
        ),
        View(
            "Imperfect verifier",
            "scaling curve",
            lab.resampling,
            draw_resampling,
            "Resampling stops at a ceiling (dotted); the dashed line is one sample of the strong model. When wrong answers cost, the "
            "star marks the number of tries beyond which more are worse.",
            controls=("accuracy", "false_positive_rate", "false_positive_cost", "try_cost", "strong_accuracy", "tail_exponent"),
        ),
        View(
            "When to stop",
            "phase diagram",
            lab.stopping,
            draw_stopping,
            "Color is the best number of tries. Right of the line “abstain” even one try costs more than it brings.",
            controls=("false_positive_cost", "false_positive_rate", "try_cost", "accuracy", "tail_exponent"),
            click=("false_positive_cost", "false_positive_rate"),
        ),
        View(
            "Cheap or dear",
            "phase diagram",
            lab.price,
            draw_price,
            "Red: at equal spending the cheap model sampled often covers more; blue: the dear one. The edge is where they break even, "
            "with teeth where one more dear sample can be had.",
            controls=("price_ratio", "budget", "accuracy", "strong_accuracy", "tail_exponent", "data"),
            click=("price_ratio", "budget"),
        ),
        View(
            "Tournament",
            "sampler",
            lab.bracket,
            draw_bracket,
            "Press play: candidates meet in pairs and the majority of K comparisons moves on. Right: the failure over many brackets is "
            "the exact recursion's, far below the bound.",
            controls=("accuracy", "comparison_accuracy", "candidates", "comparisons", "seed"),
        ),
        View(
            "Split of a budget",
            "phase diagram",
            lab.allocation,
            draw_allocation,
            "Dotted lines cost the same calls N(K + 1); diamonds are the best split of 4, 8, 16, … calls: candidates and "
            "comparisons grow together.",
            controls=("candidates", "comparisons", "budget", "accuracy", "comparison_accuracy"),
            click=("candidates", "comparisons"),
        ),
        View(
            "Tournament or vote",
            "phase diagram",
            lab.tournament_or_vote,
            draw_duel,
            "Red: the tournament is right more often than a vote of as many calls. Voting needs the right answer to be the most "
            "frequent; the tournament needs comparisons better than a coin.",
            controls=("accuracy", "comparison_accuracy", "budget", "concentration", "alternatives"),
            click=("accuracy", "comparison_accuracy"),
        ),
    ],
    presets={
        "Never: 5% false positives": {
            "accuracy": 0.15,
            "false_positive_rate": 0.05,
            "strong_accuracy": 0.6,
            "view": "Weak against strong",
        },
        "Within reach: 1% false positives": {
            "accuracy": 0.15,
            "false_positive_rate": 0.01,
            "strong_accuracy": 0.6,
            "view": "Weak against strong",
        },
        "SWE-bench Lite: 15.9% at 1, 56% at 250": {"accuracy": 0.159, "tail_exponent": 0.122, "samples": 250, "view": "Coverage"},
        "A fifth never solved": {"family": "beta_with_atom", "atom": 0.2, "view": "Coverage"},
        "Majority plateau": {"accuracy": 0.4, "tail_exponent": 1.0, "concentration": 0.2, "view": "Selection"},
        "Reward hacking (heavy tails)": {"noise_law": "student_t", "reward_gap": 2.0, "view": "Selection"},
        "Wrong answers are free": {"false_positive_cost": 0.0, "try_cost": 0.002, "view": "Imperfect verifier"},
        "Wrong answers cost 2": {"false_positive_cost": 2.0, "try_cost": 0.002, "view": "Imperfect verifier"},
        "Five cheap against one dear": {
            "accuracy": 0.159,
            "tail_exponent": 0.122,
            "strong_accuracy": 0.24,
            "price_ratio": 18.0,
            "budget": 18,
            "view": "Cheap or dear",
        },
        "Tournament at p_comp = 0.6": {"comparison_accuracy": 0.6, "comparisons": 15, "view": "Tournament"},
        "A coin for a comparison": {"comparison_accuracy": 0.5, "view": "Tournament"},
    },
    words=WORDS,
    papers={"041": "own object", "081": "own object", "132": "own object"},
)
