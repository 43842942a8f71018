"""Is sampling repair, followed by controlled damage?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.diffusion_samplers.restore_and_degrade import (
    CircuitLoss,
    ErrorLines,
    ErrorMap,
    LookbackMap,
    Paths,
    StepCurve,
    Strip,
    circuit_loss,
    error_lines,
    error_map,
    lookback_map,
    paths,
    step_curve,
    strip,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, MAP, ORANGE, PURPLE, SKY, VERMILLION, faded

RULES = (VERMILLION, BLUE)


def draw_paths(result: Paths) -> go.Figure:
    fig = draw.panels(
        [("time t, from noise to data →", "state x"), ("density at t = 0", "")],
        widths=[0.78, 0.22],
        gap=0.03,
        height=520,
    )
    fig.add_trace(
        go.Heatmap(
            x=result.time.astype(np.float32),
            y=result.position.astype(np.float32),
            z=result.density.astype(np.float32),
            colorscale=MAP,
            showscale=False,
            hoverinfo="skip",
            zsmooth="best",
        ),
        row=1,
        col=1,
    )
    faint = {"showlegend": False, "hoverinfo": "skip"}
    x, y = draw.broken(result.path_time.astype(np.float32), result.paths.astype(np.float32))
    fig.add_trace(go.Scatter(x=x, y=y, mode="lines", line={"color": faded("#ffffff", 0.3), "width": 1}, **faint), row=1, col=1)
    fig.add_trace(
        draw.line(*draw.broken(result.flow_time, result.flow), "probability flow", VERMILLION, width=2.5, dash="dash"), row=1, col=1
    )
    for name, color, ends in (("restore", ORANGE, slice(0, 2)), ("degrade", SKY, slice(1, 3))):
        x, y = draw.broken(result.corner_time[:, ends], result.corner[:, ends])
        arrow = {"symbol": "arrow", "size": 10, "angleref": "previous", "standoff": 1, "color": color}
        fig.add_trace(
            go.Scatter(x=x, y=y, name=name, mode="lines+markers", line={"color": color, "width": 2.5}, marker=arrow), row=1, col=1
        )
    fig.add_trace(draw.line(result.exact, result.center, "data", GRAY, width=3), row=1, col=2)
    fig.add_trace(draw.line(result.histogram, result.center, "samples", BLUE).update(line={"shape": "vhv"}), row=1, col=2)
    fig.update_xaxes(range=[result.time[-1], 0], row=1, col=1)
    fig.update_yaxes(range=[result.position[0], result.position[-1]])
    fig.update_yaxes(showticklabels=False, row=1, col=2)
    fig.update_xaxes(
        range=[0, float(np.clip(1.1 * result.histogram.max(), 1.5 * result.exact.max(), 4 * result.exact.max()))], row=1, col=2
    )
    return fig


CURVES = {
    "l = h": (ORANGE, "l = h"),
    "l = 2h": (PURPLE, "l = 2h"),
    "chosen l/h": (VERMILLION, "chosen l/h"),
    "l = √(h/2)": (BLUE, "l = √(h/2)"),
    "flow, Euler": (GREEN, "probability flow, Euler"),
}


def draw_step_curve(result: StepCurve) -> go.Figure:
    fig = draw.figure("step h", "W₁ to the data", log_x=True, log_y=True, x_range=(0.0035, 0.24), y_range=(1e-3, 3.0), height=520)
    for key, (color, name) in CURVES.items():
        fig.add_trace(draw.line(result.step, result.errors[key], name, color, width=4 if key == "chosen l/h" else 2.5))
        if key in result.plateaus:
            ends = np.array([0.0035, 0.008])
            limit = draw.line(ends, np.full(2, result.plateaus[key]), f"{name}, limit of small steps", color, dash="dot", width=2)
            fig.add_trace(limit.update(showlegend=False))
    fig.add_trace(draw.points(result.sde_step, result.sde, "reverse SDE ± 2 SE", GRAY, standard_error=result.sde_error))
    span = np.array([0.004, 0.016])
    for power, anchor in ((0.5, result.errors["l = √(h/2)"][-1]), (1.0, result.errors["flow, Euler"][-1])):
        if anchor < 1e-3:
            continue  # below the axis: flow and Euler's step agree where data are stationary
        text = f"slope {power:g}"
        fig.add_trace(draw.guide(span, 0.75 * anchor * (span / span[0]) ** power, text).update(showlegend=False))
        place = {"x": np.log10(span[1]), "y": np.log10(0.75 * anchor * 4**power)}
        fig.add_annotation(text=text, showarrow=False, xanchor="left", font={"size": 12, "color": GRAY}, **place)
    draw.mark_y(fig, result.noise_floor, "noise floor of the SDE's 800 samples")
    draw.mark_x(fig, result.at_step, "here")
    return fig


def draw_lookback_map(result: LookbackMap) -> go.Figure:
    limits = {"x_range": (result.step[0], result.step[-1]), "y_range": (result.ratio[0], result.ratio[-1])}
    fig = draw.figure("step h", "lookback l/h", log_x=True, log_y=True, height=520, **limits)
    z = np.log10(result.w1)
    fig.add_trace(
        draw.heatmap(result.step, result.ratio, z, "log₁₀ W₁ to the data", zmin=z.min(), zmax=min(z.max(), z.min() + 1.5))
    )
    fig.add_trace(draw.boundary(result.step, result.rule, "l = √(h/2)", at=0.85))
    fig.add_trace(draw.points(result.step, result.best, "best lookback for each step", ORANGE, size=6))
    horizon = np.minimum(1.5 / result.step, 100)
    fig.add_trace(draw.boundary(result.step, horizon, "reaches time 0", dash="dot", at=0.75))
    return fig


def draw_error_map(result: ErrorMap) -> go.Figure:
    limits = {"x_range": (result.step[0], result.step[-1]), "y_range": (0.0, 0.5)}
    fig = draw.figure("step h", "score error ε", log_x=True, height=520, **limits)
    fig.add_trace(draw.heatmap(result.step, result.score_error, result.tv, "total variation to the data", zmin=0, zmax=1))
    fig.add_trace(draw.boundary(result.balance, result.balance_error, ""))
    x = np.sqrt(result.step[0] * result.step[-1])
    if result.balance.size:
        left, right = result.step[0] * 2.2, result.step[-1] / 2.2
        fig.add_trace(draw.on_map(float(x), float(np.interp(x, result.balance, result.balance_error)) + 0.03, "both cost the same"))
        fig.add_trace(draw.on_map(float(left), 0.42, "score's error rules"))
        fig.add_trace(draw.on_map(float(right), 0.03, "steps rule"))
    else:
        fig.add_trace(draw.on_map(float(x), 0.25, "one error rules everywhere"))
    return fig


def draw_strip(result: Strip) -> go.Figure:
    fig = draw.panels(
        [("step s, restored →", ""), ("step s", "rms distance to D(x₀, s)")], widths=[0.72, 0.28], gap=0.09, height=380
    )
    fig.add_trace(
        go.Heatmap(z=result.montage.astype(np.float32), colorscale=MAP, zmin=-0.2, zmax=1.2, showscale=False, hoverinfo="skip"),
        row=1,
        col=1,
    )
    unit = (result.montage.shape[0] + 2) // 3
    middle = unit * np.arange(result.steps.size) + 0.5 * unit - 1.5
    rows = unit * np.arange(3) + 0.5 * unit - 1.5
    bare = {"showgrid": False, "ticks": "", "showline": False}
    fig.update_xaxes(tickvals=middle, ticktext=[str(s) for s in result.steps], **bare, constrain="domain", row=1, col=1)
    fig.update_yaxes(
        tickvals=rows,
        ticktext=["truth", "rule 1", "rule 2"],
        **bare,
        autorange="reversed",
        scaleanchor="x",
        constrain="domain",
        row=1,
        col=1,
    )
    for k, color in enumerate(RULES):
        fig.add_trace(draw.line(result.step, result.error[k], f"rule {k + 1}", color), row=1, col=2)
    fig.add_trace(draw.guide(result.step[[0, -1]], [result.blank, result.blank], "mean image at s = 0"), row=1, col=2)
    fig.update_xaxes(range=[result.step[0], 0], row=1, col=2)
    fig.update_yaxes(range=[0, float(np.clip(1.1 * result.error.max(), 0.35, 1.5))], row=1, col=2)
    return fig


def draw_error_lines(result: ErrorLines) -> go.Figure:
    fig = draw.figure("restorer error δ", "rms error of the restored image", x_range=(-0.03, 1.03), height=480)
    top = 1.2
    for k, color in enumerate(RULES):
        name = f"rule {k + 1}"
        if result.exact is not None:
            fig.add_trace(draw.line(result.delta, result.exact[k], f"{name}, exact", color))
            top = max(top, float(1.1 * result.exact[k].max()))
        fig.add_trace(
            draw.points(
                result.delta,
                result.simulated[k],
                f"{name}, simulated ± 2 SE",
                color,
                standard_error=result.standard_error[k],
                symbol="circle" if k else "diamond",
            )
        )
        fig.add_trace(
            draw.guide(result.delta, result.perfect[k], f"perfect restorer, {name}").update(line={"dash": ("dash", "dot")[k]})
        )
    fig.update_yaxes(range=[0, min(max(top, 1.1 * result.simulated.max()), 30)])
    return fig


def draw_circuit_loss(result: CircuitLoss) -> go.Figure:
    fig = draw.panels(
        [("angles in the circuit", "denoising loss"), ("uses of the restorer", "spread of noisy copies / before")],
        titles=["More layers approach the floor", "No unitary brings copies together"],
        height=480,
    )
    for (name, loss), color in zip(result.loss.items(), (BLUE, VERMILLION), strict=True):
        fig.add_trace(draw.line(result.n_angles, loss.min(axis=0), f"{name}, best of {loss.shape[0]}", color), row=1, col=1)
        every = draw.points(np.tile(result.n_angles, loss.shape[0]), loss.ravel(), name, color, size=5)
        fig.add_trace(every.update(showlegend=False), row=1, col=1)
    for value, text in (
        (result.floor, "floor: best rotation"),
        (result.identity, "doing nothing"),
        (result.linear, "best linear map"),
    ):
        draw.mark_y(fig, value, text, col=1)
    fig.add_trace(
        draw.line(result.repeats, result.spread_unitary, "the circuit again and again", BLUE, showlegend=False), row=1, col=2
    )
    fig.add_trace(draw.line(result.repeats, result.spread_linear, "the best linear map", GREEN), row=1, col=2)
    top = max(result.identity, *(loss.max() for loss in result.loss.values()))
    fig.update_yaxes(range=[min(0.0, result.floor - 0.02), 1.08 * max(top, 0.1)], row=1, col=1)
    fig.update_xaxes(range=[0, float(result.n_angles[-1]) * 1.4], row=1, col=1)
    fig.update_yaxes(range=[0, 1.1], row=1, col=2)
    fig.add_annotation(x=4, y=1.0, text="unitary", showarrow=False, yanchor="bottom", row=1, col=2)
    return fig


WORDS = r"""
**Sampling as repair, then damage** (131). Forward $dx=f(x)\,dt+g\,dW$, $g^2=2$, from two modes, to the horizon 1.5; $f=-x$ (OU), $0$
(VE), $x-x^3/4$ (double well) or $-(I+2J)x$ with a quarter turn $J$ in the plane (skew). With a lookback $\ell\ge h$ a step of size $h$ is
$$\hat x=x-\ell f(x)+\ell g^2\nabla\log q_t(x)\ \ (\text{restore}),\qquad
x'=\hat x+(\ell-h)f(\hat x)+g\sqrt{\ell-h}\,\frac{x-\hat x-\ell f(\hat x)}{g\sqrt\ell}\ \ (\text{degrade}):$$
forward again, with the noise that points back at where one stood. To first order
$x'=x-hf+c\,g^2\nabla\log q_t$, $c=\ell-\sqrt{\ell(\ell-h)}$. The probability flow needs $c=h/2$, which is the limit of $\ell\gg h$;
$\ell=h$ gives $c=h$ and the modes collapse, $\ell=2h$ gives $0.586\,h$. A fixed $\ell/h$ stops at a **plateau**, that of the flow
with $c/h$ in place of ½ (dotted). But each step also makes an error of order $h\ell$ wherever $f\neq0$: the stationary OU process
shrinks by $1-\tfrac{h\ell}2-\tfrac{h^2}{4\ell}+\dots$ a step, so that $\ell=\sqrt{h/2}$ is best and the error is of order
$\sqrt h$. Euler's step of the flow itself has order 1: the two moves explain the flow, they do not integrate it better. For VE
the longest lookback is best: $\ell=t$ is DDIM.

Samplers here are deterministic maps of cells of equal probability: $W_1$ and total variation carry no sampling noise; only the reverse
SDE's points do. No restoration reaches behind time 0. The double well's score comes from a grid of 320 cells.

**Cold diffusion** (291, in miniature). $D(x,s)$ keeps a share $\lambda_k(s)$ of coefficient $k$ in a fixed basis. With a restorer $R$,
$$\text{rule 1}:\ x_{s-1}=D(R(x_s),s-1),\qquad \text{rule 2}:\ x_{s-1}=x_s-D(R(x_s),s)+D(R(x_s),s-1).$$
A perfect restorer with an error $e_s$ added ends at $e_1$ by rule 1 and at $\sum_s(\lambda(s-1)-\lambda(s))\,e_s$ by rule 2: an error that
is the same in all steps leaves $1-\lambda(T)$ of itself, new ones average out. The best linear (Wiener) restorer is a linear recursion in
each coefficient, so exact lines stand for it; 400 stored images make a softmax mean, without theory. Rule 2 only replaces what the
damage took, rule 1 everything in each step.

**A unitary restorer** (157, in miniature). Images are amplitudes of $q$ qubits, $L$ layers of $R_Y$ and a ring of two-qubit gates make an orthogonal
$U$. With $M=\mathbb E[yx^\top]$, $\;\mathbb E|Uy-x|^2=2-2\operatorname{tr}UM\ge2-2\|M\|_*$ (sum of singular values; $4\sigma_{\min}$ more for a rotation where the best is a reflection). Under isotropic noise $M$ is
symmetric and positive: the best unitary then is to **do nothing**. It can only undo what is itself a turn, such as a shift by one pixel. $T$ uses are one unitary
$U^T$, which keeps all distances: noisy copies never come together, so generation needs measurement or more qubits. A ring of CNOT
generates every turn; a ring of CZ, all at once, only a small group (24 of 120 dimensions for four qubits), so its loss stops above the
floor however many layers it has. Each angle is set to its best value in turn, 40 sweeps, the best of three starts; the paper's circuits, trained on MNIST by gradients, are not reproduced.
"""

NOISE = ("step_size", "lookback_ratio", "forward", "separation")

LAB = Lab(
    title="Restore and degrade",
    question="Is sampling repair, followed by controlled damage?",
    views=[
        View(
            "Two moves",
            "sampler",
            paths,
            draw_paths,
            "Orange restores, blue damages a little less; together they should follow the dashed flow. Right, whether the samples match the data.",
            controls=NOISE,
        ),
        View(
            "Error against step",
            "scaling curve",
            step_curve,
            draw_step_curve,
            "A fixed lookback ratio stops at its plateau (dotted). Looking back by √(h/2) falls with slope ½, the plain flow with slope 1.",
            controls=NOISE,
        ),
        View(
            "Best lookback",
            "phase diagram",
            lookback_map,
            draw_lookback_map,
            "Below the white line modes collapse, above it the drift goes wrong. Without drift (VE) the longest lookback is best.",
            controls=("forward", "step_size", "lookback_ratio", "separation"),
            click=("step_size", "lookback_ratio"),
        ),
        View(
            "Steps or score",
            "phase diagram",
            error_map,
            draw_error_map,
            "Left of the white line smaller steps no longer help, the score's error rules; right of it a better score does not.",
            controls=("step_size", "score_error", "forward", "lookback_ratio"),
            click=("step_size", "score_error"),
        ),
        View(
            "Cold images",
            "sampler",
            strip,
            draw_strip,
            "Each row is one image on its way back from full damage. Rule 1 rebuilds all of it in each step; rule 2 only puts back what was taken.",
            controls=("degradation", "restorer", "restorer_error", "severity", "steps"),
        ),
        View(
            "Bad restorers",
            "scaling curve",
            error_lines,
            draw_error_lines,
            "How much of a restorer's error survives: the lower rule forgives more. Gray is a restorer that is perfect but for the error added.",
            controls=("degradation", "restorer", "repetition", "severity", "steps"),
        ),
        View(
            "Unitary restorers",
            "scaling curve",
            circuit_loss,
            draw_circuit_loss,
            "Left, CNOT circuits come down to the best rotation, CZ circuits stop above it, and both stay far above the best linear map.",
            controls=("corruption", "noise_share", "qubits", "layers"),
        ),
    ],
    presets={
        "Lookback too short (l = h)": {"lookback_ratio": 1.0, "view": "Two moves"},
        "Probability flow recovered (VE)": {"forward": "VE", "lookback_ratio": 100.0, "step_size": 0.01, "view": "Two moves"},
        "Lookback too long (OU)": {"lookback_ratio": 30.0, "step_size": 0.05, "view": "Two moves"},
        "Double well": {"forward": "double well", "lookback_ratio": 5.0, "step_size": 0.01, "view": "Two moves"},
        "Any lookback for VE": {"forward": "VE", "view": "Best lookback"},
        "One wide mode": {"separation": 0.0, "width": 1.0, "view": "Error against step"},
        "Cold mask, stored images": {"restorer": "stored images", "degradation": "mask", "view": "Cold images"},
        "Cold blur, bad restorer": {"restorer_error": 0.3, "view": "Cold images"},
        "Errors that average out": {
            "restorer": "perfect",
            "repetition": "new every step",
            "degradation": "fade",
            "view": "Bad restorers",
        },
        "Unitary floor: do nothing": {"corruption": "noise", "view": "Unitary restorers"},
        "A turn undone": {"noise_share": 0.2, "layers": 12, "view": "Unitary restorers"},
    },
    words=WORDS,
    papers={"131": "own object", "291": "miniature", "157": "miniature"},
)
