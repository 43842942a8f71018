"""When is more better, and is overfitting obligatory?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.generalization.random_feature_ridge import (
    FittingPlane,
    RidgeCurve,
    RiskCurve,
    RiskPlane,
    StoppingPlane,
    TrainingCurve,
    fitting_plane,
    ridge_curve,
    risk_curve,
    risk_plane,
    stopping_plane,
    training_curve,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, MAP, ORANGE, PURPLE, VERMILLION

SAMPLES_AXIS, FEATURES_AXIS = "samples n", "features k"
ASPECT_AXIS, TIME_AXIS = "samples per parameter a = P/N", "training time t"
COLORS = {"zmin": -1.3, "zmax": 0.7}


def draw_risk_plane(plane: RiskPlane) -> go.Figure:
    fig = draw.figure(SAMPLES_AXIS, FEATURES_AXIS, log_x=True, log_y=True, x_range=(10, 1e4), y_range=(10, 1e5))
    fig.add_trace(
        draw.heatmap(
            plane.n,
            plane.k,
            np.log10(np.maximum(plane.test, 1e-30)),
            "log₁₀ test risk",
            customdata=np.stack([plane.test, plane.ridge], axis=-1),
            hovertemplate="n %{x:.0f}, k %{y:.0f}<br>test risk %{customdata[0]:.4g}<br>ridge %{customdata[1]:.3g}<extra></extra>",
            **COLORS,
        )
    )
    threshold = np.geomspace(10, 1e4, 9)
    fig.add_trace(
        draw.boundary(threshold, threshold, "n = k", dash="dot", at=0.9).update(textposition="top left", line={"width": 1.2})
    )
    fig.add_trace(draw.on_map(1500, 30, "features are the bottleneck"))
    fig.add_trace(draw.on_map(55, 20_000, "samples are the bottleneck"))
    simulated = plane.simulation
    fig.add_trace(
        go.Scatter(
            x=simulated.n,
            y=simulated.k,
            name="simulation, same colors",
            mode="markers",
            marker={
                "color": np.log10(np.maximum(simulated.test, 1e-30)),
                "colorscale": MAP,
                "cmin": COLORS["zmin"],
                "cmax": COLORS["zmax"],
                "size": 15,
                "line": {"color": "#ffffff", "width": 1.5},
            },
            customdata=np.stack([simulated.test, simulated.test_error, simulated.theory.test], axis=-1),
            hovertemplate="n %{x}, k %{y}<br>simulated %{customdata[0]:.4g} ± %{customdata[1]:.2g} (SE)"
            "<br>theory %{customdata[2]:.4g}<extra></extra>",
        )
    )
    return fig


def _decades(*values: np.ndarray, top: float) -> tuple[float, float]:
    """Whole decades that hold the least value; a top that does not move."""
    low = min(float(v.min()) for v in values)
    return 10.0 ** np.floor(np.log10(max(low, 1e-9))), top


def draw_risk_curve(curve: RiskCurve) -> go.Figure:
    axis = FEATURES_AXIS if curve.swept == "features" else SAMPLES_AXIS
    fig = draw.figure(
        axis,
        "risk",
        log_x=True,
        log_y=True,
        x_range=(10, 1e5 if curve.swept == "features" else 1e4),
        y_range=_decades(curve.limit, curve.best.train, top=10),
    )
    fig.add_trace(draw.guide(curve.x, curve.limit, "best test risk, k = ∞"))
    fig.add_trace(draw.line(curve.x, curve.fixed.test, "test, fixed ridge", VERMILLION))
    fig.add_trace(draw.line(curve.x, curve.best.test, "test, best ridge", BLUE))
    fig.add_trace(draw.line(curve.x, curve.fixed.train, "training (dashed)", VERMILLION, dash="dash", width=1.5))
    fig.add_trace(draw.line(curve.x, curve.best.train, "training, best ridge", BLUE, dash="dash", width=1.5, showlegend=False))
    for simulation, name, color in ((curve.at_fixed, "simulation ± 2 SE", VERMILLION), (curve.at_best, "simulation", BLUE)):
        x = simulation.k if curve.swept == "features" else simulation.n
        if x.size:
            fig.add_trace(
                draw.points(x, simulation.test, name, color, standard_error=simulation.test_error, showlegend=color == VERMILLION)
            )
    n, k = curve.here
    threshold = n if curve.swept == "features" else k
    if np.isfinite(threshold):
        draw.mark_x(fig, threshold, "n = k")
    return fig


def draw_ridge_curve(result: RidgeCurve) -> go.Figure:
    curve, simulation = result.curve, result.simulation
    low, _ = _decades(curve.test, top=10)
    high = 10.0 ** np.ceil(np.log10(curve.test.max() * 1.3))
    fig = draw.figure("ridge δ", "risk", log_x=True, log_y=True, x_range=(1e-8, 10), y_range=(low / 100, high))
    fig.add_trace(draw.line(curve.ridge, curve.test, "test", BLUE))
    fig.add_trace(draw.line(curve.ridge, curve.train, "training", ORANGE))
    if simulation.n.size:
        fig.add_trace(
            draw.points(simulation.ridge, simulation.test, "simulation ± 2 SE", BLUE, standard_error=simulation.test_error)
        )
        fig.add_trace(
            draw.points(
                simulation.ridge, simulation.train, "training", ORANGE, standard_error=simulation.train_error, showlegend=False
            )
        )
    best = float(result.best.ridge[0])
    inside = 1e-8 <= best <= 10
    place = best if inside else (1e-8 if best < 1e-8 else 10.0)
    name = "best ridge" if inside else ("best: ridge → 0, interpolate" if best < 1e-8 else "best ridge is above 10")
    fig.add_trace(draw.points([place], [result.best.test[0]], name, GREEN, symbol="star", size=15, cliponaxis=False))
    fig.add_trace(
        draw.points([result.here.ridge[0]], [result.here.test[0]], "the slider's ridge", BLUE, symbol="circle-open", size=15)
    )
    return fig


def draw_fitting_plane(plane: FittingPlane) -> go.Figure:
    fig = draw.figure("target exponent β", "relative noise s", log_y=True, x_range=(1.05, 4), y_range=(0.01, 10))
    fig.add_trace(
        draw.heatmap(
            plane.target_exponent,
            plane.relative_noise,
            plane.log10_ratio(),
            "training / test error at the best ridge",
            zmin=plane.FLOOR,
            zmax=0,
            customdata=plane.ratio,
            hovertemplate="β %{x:.2f}, s %{y:.3g}<br>training / test %{customdata:.3g}<extra></extra>",
        ).update(colorbar={"tickvals": [-4, -3, -2, -1, 0], "ticktext": ["≤ 10⁻⁴", "10⁻³", "10⁻²", "0.1", "1"]})
    )
    line = draw.boundary(plane.line_exponent, plane.line_noise, "s = (β − α)/(α(α − 1))", at=0.4)
    fig.add_trace(line.update(textposition="bottom right"))
    fig.add_trace(draw.on_map(3.2, 0.03, "interpolation is obligatory"))
    fig.add_trace(draw.on_map(1.75, 5, "leave the noise unfitted"))
    return fig


def draw_stopping_plane(plane: StoppingPlane) -> go.Figure:
    fig = draw.figure(ASPECT_AXIS, TIME_AXIS, log_x=True, log_y=True, x_range=(0.1, 10), y_range=(0.01, 1e5))
    fig.add_trace(
        draw.heatmap(
            plane.aspect,
            plane.time,
            np.log10(np.maximum(plane.error, 1e-12)),
            "log₁₀ test error",
            zmin=-1.3,
            zmax=0.7,
            customdata=plane.error,
            hovertemplate="a %{x:.2f}, t %{y:.3g}<br>test error %{customdata:.4g}<extra></extra>",
        )
    )
    shown = np.isfinite(plane.stopping) & (plane.stopping < 1e5)
    if shown.any():
        fig.add_trace(draw.line(plane.aspect[shown], plane.stopping[shown], "optimal stopping time", ORANGE, width=3))
    fig.add_trace(draw.boundary([1.0, 1.0], [0.01, 1e5], "", dash="dot"))
    fig.add_trace(draw.on_map(1.22, 0.03, "P = N"))
    fig.add_trace(draw.on_map(0.3, 2000, "frozen directions"))
    fig.add_trace(draw.on_map(2.6, 2000, "enough data"))
    return fig


def draw_training_curve(curve: TrainingCurve) -> go.Figure:
    learned, unlearned, frozen = curve.masses
    fig = draw.panels(
        [(TIME_AXIS, "mean squared error"), ("eigenvalue λ of X Xᵀ", "density of log λ")],
        log_x=[True, True],
        log_y=[True, False],
        titles=["Error against time", f"learned {learned:.2f} · unlearned {unlearned:.2f} · frozen {frozen:.2f}"],
        widths=[0.6, 0.4],
    )
    fig.add_trace(draw.line(curve.time, curve.test, "test", BLUE), row=1, col=1)
    fig.add_trace(draw.line(curve.time, curve.train, "training", ORANGE), row=1, col=1)
    for values, error, color in zip(curve.simulated, curve.simulated_error, (BLUE, ORANGE), strict=True):
        fig.add_trace(
            draw.points(
                curve.simulated_time, values, "simulation ± 2 SE", color, standard_error=error, showlegend=color == BLUE, size=6
            ),
            row=1,
            col=1,
        )
    fig.add_trace(draw.guide([0.01, 1e5], [curve.levels.best_ridge] * 2, "best ridge"), row=1, col=1)
    if np.isfinite(curve.levels.stop_time):
        fig.add_trace(
            draw.points([curve.levels.stop_time], [curve.levels.stop_error], "optimal stop", GREEN, symbol="star", size=15),
            row=1,
            col=1,
        )
    draw.mark_x(fig, curve.at_time, "t")
    fig.update_xaxes(range=[-2, 5], row=1, col=1)
    fig.update_yaxes(range=[-3, 1.5], row=1, col=1)
    zero = np.zeros(curve.eigenvalue.size)
    fig.add_trace(draw.band(curve.eigenvalue, zero, curve.learned, "learned", BLUE, opacity=0.55), row=1, col=2)
    fig.add_trace(draw.band(curve.eigenvalue, curve.learned, curve.density, "not yet learned", PURPLE, opacity=0.45), row=1, col=2)
    fig.add_trace(draw.line(curve.eigenvalue, curve.density, "Marchenko–Pastur", GRAY, width=1.5, showlegend=False), row=1, col=2)
    draw.mark_x(fig, 1 / curve.at_time, "λ = 1/t", col=2)
    fig.update_xaxes(range=[-4, 1.3], row=1, col=2)
    fig.update_yaxes(rangemode="tozero", row=1, col=2)
    return fig


WORDS = r"""
**Random features.** Ridge regression with $n$ samples on $k$ random features of a kernel with eigenvalues $\lambda_i$, target
power $v_i^2$ on its modes (total 1) and label noise $\sigma^2$; the ridge $\delta$ is added to the kernel matrix. Two effective
ridges solve $n=z+\delta/\kappa$ and $k=z+k\kappa/\gamma$ with $z=\sum_i\frac{\lambda_i}{\lambda_i+\gamma}$; with
$q=\sum_i\big(\frac{\lambda_i}{\lambda_i+\gamma}\big)^2$ (088, its random-feature eigenframework)

$$E_\mathrm{test}=\frac{\sum_i\Big(\frac{\gamma}{\lambda_i+\gamma}-\frac{\kappa\lambda_i}{(\lambda_i+\gamma)^2}\frac{k}{k-q}\Big)v_i^2+\sigma^2}
{1-\frac{q(k-2z)+z^2}{n(k-q)}},\qquad E_\mathrm{train}=\Big(\frac{\delta}{n\kappa}\Big)^2E_\mathrm{test}.$$

By default $\lambda_i=i^{-\alpha}$ and $v_i^2\propto i^{-\beta}$ over infinitely many modes. At a fixed small ridge the risk peaks
along $n=k$; at the best ridge of every point it falls in $n$ and in $k$: more is better.

**Is overfitting obligatory?** As $n\to\infty$ the best ratio $E_\mathrm{train}/E_\mathrm{test}$ of the power-law kernel is
$(1-u)^2$, with $u$ the root of $(1-\frac1\alpha)(\alpha s\,u^\beta+\beta u)=\beta-1$, or $u=1$ if it has none below 1: then no ridge
is best and the noise must be interpolated. That is $s\le\frac{\beta-\alpha}{\alpha(\alpha-1)}$, where $s$ is the noise variance over
the error of a ridgeless fit to noiseless labels. 088 states it for $\beta<2\alpha+1$; a smoother target is learned no faster, so
beyond that the map holds $\beta$ at $2\alpha+1$ (our extension).

**Gradient flow.** A linear student with $N$ parameters on $P=aN$ samples (052): each eigendirection $\lambda$ of the input
covariance, Marchenko–Pastur distributed, learns at its own rate, so with $\mathrm{SNR}=1/\sigma^2$

$$E_g(t)=\Big\langle(1+\mathrm{INR})e^{-2\lambda t}+\frac{(1-e^{-\lambda t})^2}{\mathrm{SNR}\,\lambda}\Big\rangle+(1-a)_+(1+\mathrm{INR})+\frac1{\mathrm{SNR}}.$$

Small eigenvalues, most numerous near $a=1$, fit only noise, and late. When $a<1$ a share $1-a$ of directions is frozen at its
initial weights for ever. The best weight decay is $1/\mathrm{SNR}$.

**Theory and simulation.** Lines and maps are theory. Dots are Monte Carlo means with 2 standard errors, of Gaussian eigenfunctions
and feature weights and of the exact flow of finite students. The simulation keeps three modes a sample one by one and the rest as
infinitely many small ones; gaps are measured from the theory of exactly that, which differs from all modes by less than a percent
at most settings. Dots of a curve share their draws.

**Your data.** A CSV of the eigenvalues of your kernel matrix (over $n$) and the squared projections of your target on its
eigenvectors predicts the learning curve of your kernel: sweep samples with infinitely many features.

**Where it stops being true.** Real features are not Gaussian; that the formulas hold for them is an observation, not a theorem.
At $n=k$ with a tiny ridge the risk of a finite system is heavy-tailed, and a few draws underestimate its mean and its error. 052's
nonlinear (ReLU) students are not shown.
"""

LAB = Lab(
    title="Random features and ridge",
    question="When is more better, and is overfitting obligatory?",
    views=[
        View(
            "Samples and features",
            "phase diagram",
            risk_plane,
            draw_risk_plane,
            "At a fixed small ridge a ridge of high risk follows n = k: more data or more features can hurt. At the optimal ridge "
            "the color only improves to the right and upward. Dots that vanish in the map agree with it.",
            controls=("ridge_choice", "ridge", "n_samples", "n_features", "noise_variance"),
            click=("n_samples", "n_features"),
        ),
        View(
            "Risk against size",
            "scaling curve",
            risk_curve,
            draw_risk_curve,
            "Red: the given ridge, with its double-descent peak at n = k. Blue: the best ridge at every size, which never gets worse.",
            controls=("sweep", "n_samples", "n_features", "ridge", "noise_variance"),
        ),
        View(
            "Risk against ridge",
            "scaling curve",
            ridge_curve,
            draw_ridge_curve,
            "The star is the best ridge. Where it sits at the left edge, fitting the noise exactly is the best that can be done.",
            controls=("ridge", "n_samples", "n_features", "infinite_features", "noise_variance"),
        ),
        View(
            "Obligatory overfitting",
            "phase diagram",
            fitting_plane,
            draw_fitting_plane,
            "Below the line no ridge is best: smooth targets with little noise must be interpolated, noise and all. Above it the best "
            "ridge leaves a share of the noise unfitted.",
            controls=("target_exponent", "relative_noise", "spectrum_exponent", "n_samples"),
            click=("target_exponent", "relative_noise"),
        ),
        View(
            "When to stop",
            "phase diagram",
            stopping_plane,
            draw_stopping_plane,
            "Double descent appears at P = N only after long training; the orange line, the best time to stop, passes below it.",
            controls=("aspect", "time", "noise_variance", "init_ratio"),
            click=("aspect", "time"),
        ),
        View(
            "Training curve",
            "scaling curve",
            training_curve,
            draw_training_curve,
            "Left: training error only falls, test error turns up at the star. Right: directions with eigenvalue above 1/t are learned.",
            controls=("aspect", "time", "noise_variance", "init_ratio", "parameters"),
        ),
    ],
    presets={
        "Interpolation peak": {"ridge": 1e-8, "ridge_choice": "fixed", "view": "Samples and features"},
        "More is better": {"ridge": 1e-8, "ridge_choice": "optimal", "view": "Samples and features"},
        "Peak at n = k = 200": {"ridge": 1e-4, "n_samples": 200, "n_features": 200, "view": "Risk against size"},
        "Obligatory overfitting": {
            "target_exponent": 2.4,
            "noise_variance": 0.0005,
            "infinite_features": True,
            "view": "Risk against ridge",
        },
        "Noise must be left unfitted": {"noise_variance": 0.5, "infinite_features": True, "view": "Risk against ridge"},
        "Across the line (β = 2)": {"target_exponent": 2.0, "relative_noise": 0.7, "view": "Obligatory overfitting"},
        "Overtraining (a = 1, SNR = 5)": {"aspect": 1.0, "noise_variance": 0.2, "time": 1000.0, "view": "Training curve"},
        "Frozen directions, large start": {
            "aspect": 0.3,
            "noise_variance": 0.2,
            "init_ratio": 1.0,
            "time": 100.0,
            "view": "Training curve",
        },
    },
    words=WORDS,
    papers={"088": "own object", "052": "own object"},
)
