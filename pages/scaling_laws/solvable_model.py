"""Where do the power law, the peak and the plateau come from?"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from compute.scaling_laws.solvable_model import (
    FeatureSpectrum,
    LossCurve,
    LossPlane,
    Tilt,
    feature_spectrum,
    loss_curve,
    loss_plane,
    tilt,
)
from pages.kit import draw
from pages.kit.lab import Lab, View
from pages.kit.style import BLUE, GRAY, GREEN, ORANGE, VERMILLION

FEATURES_AXIS, SAMPLES_AXIS = "features N", "samples T"
LIMITS = (5.0, 2000.0)
DECADE_TICKS = {"dtick": 1, "exponentformat": "power"}
SHOWN_FLOOR = 1e-4  # of a loss on an axis that starts with the power law


def draw_loss_plane(plane: LossPlane) -> go.Figure:
    fig = draw.figure(FEATURES_AXIS, SAMPLES_AXIS, log_x=True, log_y=True, x_range=LIMITS, y_range=LIMITS, height=520)
    fig.add_trace(
        draw.bands(
            plane.sizes,
            plane.sizes,
            plane.log10_loss,
            "test loss",
            low=-2.2,
            high=0.6,
            step=0.2,
            customdata=plane.loss,
            hovertemplate="N %{x:.0f}, T %{y:.0f}<br>loss %{customdata:.4g}<extra></extra>",
        ).update(colorbar={"tickvals": [-2, -1, 0], "ticktext": ["0.01", "0.1", "1"]})
    )
    if plane.best_n.size:
        frontier = draw.boundary(plane.best_n, plane.best_t, "", dash="dash")
        frontier.update(line={"color": ORANGE}, name="best sizes at each N T, best ridge", showlegend=True, mode="lines")
        fig.add_trace(frontier)
    if plane.latents < LIMITS[1]:
        wall = float(plane.latents)
        x, y = [wall, wall, LIMITS[1]], [LIMITS[1], wall, wall]
        fig.add_trace(draw.boundary(x, y, "", dash="dot"))
        fig.add_trace(draw.on_map(np.sqrt(wall * LIMITS[1]), np.sqrt(wall * LIMITS[1]), "both past M"))
    fig.add_trace(draw.on_map(12, 600, "features are scarce"))
    fig.add_trace(draw.on_map(500, 9, "samples are scarce"))
    if plane.choice == "fixed":
        fig.add_trace(draw.on_map(16, 30, "peak at N = T"))
    return fig


def _down_to(*curves: np.ndarray) -> float:
    """The lowest decade shown: that of the least loss, no lower than needed for a power law."""
    least = min(float(c.min()) for c in curves)
    return 10.0 ** np.floor(np.log10(max(least, SHOWN_FLOOR)))


def draw_loss_curve(curve: LossCurve) -> go.Figure:
    by_n = curve.swept == "features N"
    axis, other = (FEATURES_AXIS, "T") if by_n else (SAMPLES_AXIS, "N")
    low = min(_down_to(curve.best, curve.fixed), 1e-2)
    fig = draw.figure(
        axis, "test loss", log_x=True, log_y=True, x_range=LIMITS, y_range=(low, 10 if curve.best.max() < 3 else 100), height=480
    )
    fig.add_trace(draw.guide(curve.x, curve.law, "all else infinite"))
    fig.add_trace(draw.line(curve.x, curve.fixed, "at the ridge", VERMILLION))
    fig.add_trace(draw.line(curve.x, curve.best, "at the best ridge", BLUE))
    if curve.simulated_at.size:
        shown = draw.points(
            curve.simulated_at, curve.simulation.test, "simulation ± 2 SE", VERMILLION, standard_error=curve.simulation.test_error
        )
        fig.add_trace(shown)
    if curve.level > low:
        fig.add_trace(draw.line(LIMITS, [curve.level] * 2, f"plateau set by {other} = {curve.held}", GREEN, dash="dash", width=1.5))
    draw.mark_x(fig, curve.held, "N = T")
    if curve.latents < LIMITS[1]:
        draw.mark_x(fig, curve.latents, "M")
    fig.update_xaxes(**DECADE_TICKS)
    fig.update_yaxes(**DECADE_TICKS)
    return fig


def draw_tilt(result: Tilt) -> go.Figure:
    fig = draw.panels(
        [("features per sample N/T", "test loss"), ("N = T", "test loss")],
        log_x=[True, True],
        log_y=[True, True],
        titles=[f"One budget, N T = {result.product:,.0f}", "Along N = T"],
        widths=[0.56, 0.44],
        height=480,
    )
    first, second = {"row": 1, "col": 1}, {"row": 1, "col": 2}
    half = result.simulation.n.size // 2
    for values, equal, name, color, part in (
        (result.fixed, result.equal_fixed, "at the ridge", VERMILLION, slice(0, half)),
        (result.best, result.equal_best, "at the best ridge", BLUE, slice(half, None)),
    ):
        fig.add_trace(draw.line(result.ratio, values, name, color), **first)
        fig.add_trace(draw.line(result.size, equal, "", color, showlegend=False), **second)
        if half:
            fig.add_trace(
                draw.points(
                    (result.simulation.k / result.simulation.n)[part],
                    result.simulation.test[part],
                    "simulation ± 2 SE",
                    color,
                    standard_error=result.simulation.test_error[part],
                    showlegend=color == BLUE,
                ),
                **first,
            )
    fig.add_trace(draw.guide(result.size, result.law, "slope −α"), **second)
    draw.mark_x(fig, result.best_ratio, "best", col=1)
    for values, place in ((result.best, first), (result.equal_best, second)):
        fig.update_yaxes(range=[np.log10(min(_down_to(values), 1e-2)), 1], **DECADE_TICKS, **place)
    fig.update_xaxes(range=np.log10(result.ratio[[0, -1]]), **first)
    fig.update_xaxes(range=np.log10(LIMITS), **DECADE_TICKS, **second)
    return fig


def draw_feature_spectrum(result: FeatureSpectrum) -> go.Figure:
    top = max(float(result.rectified.size), float(result.latent_rank[-1]))
    low = 10.0 ** np.floor(np.log10(max(1e-12, min(float(result.latent[-1]), float(result.rectified[-1]) / 2))))
    fig = draw.figure(
        "rank", "eigenvalue over the largest", log_x=True, log_y=True, x_range=(0.9, 4 * top), y_range=(low, 2), height=480
    )
    fig.update_xaxes(**DECADE_TICKS)
    fig.update_yaxes(**DECADE_TICKS)
    rank = np.arange(1.0, result.rectified.size + 1)
    fig.add_trace(draw.line(result.latent_rank, result.latent, f"latents, slope −{1 + result.alpha:.3g}", GRAY, dash="dot"))
    linear = result.shown_linear
    fig.add_trace(draw.points(rank[: linear.size], linear, "linear features U x", BLUE, size=5))
    fig.add_trace(draw.points(rank, result.rectified, "rectified features max(0, U x)", GREEN, size=5))
    draw.mark_x(fig, result.latents, "M")
    return fig


WORDS = r"""
**The model** (359). Data have $M$ latents $x_I$ of variance $\lambda_I=I^{-(1+\alpha)}$; labels are $\langle w,x\rangle$ plus noise of
deviation $\sigma$, with isotropic $w$. The model sees $N$ random features $Ux$, $U_{jI}\sim N(0,1)$, and is fitted to $T$ samples by ridge
regression, $\gamma$ on the *sum* of squares.

**The loss**, as $N$ and $T$ grow together: with $z=\sum_I\frac{\lambda_I}{\lambda_I+\kappa}$, $q=\sum_I\big(\frac{\lambda_I}{\lambda_I+\kappa}\big)^2$ and
$\kappa$ from $\gamma=\kappa\,(N-z)(T-z)$,
$$L=\frac{\kappa\,NT\,(z-q)+\sigma^2\,T\,(N-q)}{NT-q(N+T)+2qz-z^2},$$
the test point's own noise included. Without noise it is symmetric in $N$ and $T$, at every ridge.

**The power law** is that of the data. Ridgeless, with everything else infinite,
$L=\Big(\frac{\pi/(1+\alpha)}{\sin(\pi/(1+\alpha))}\Big)^{1+\alpha}N^{-\alpha}$, and the same in $T$: features and samples each uncover latents in order.
**The plateau** is the law of the *other* resource: at fixed $T$ the loss stops at what $T$ samples allow. **The peak** at $N=T$ is double descent:
there $z=N=T$ and the denominator vanishes. The best ridge removes it, and then at a given product $NT$ equal sizes are best
(equiparameterization). Label noise is averaged by samples and not by features: it moves the best sizes to $T>N$.

**The end of the law.** Once $N$ and $T$ both pass $M$ nothing is hidden: without noise and ridge the loss falls off a cliff to 0; with noise
it comes to the floor $\sigma^2$. Three things thus end the power law: the other resource, the latents, the noise.

**Features extend the spectrum.** $N$ linear features have at most $M$ nonzero eigenvalues. Rectified features $\max(0,Ux)$ have $N$: their
covariance is exact given $U$ (arc-cosine kernel). Their spectrum goes on beyond $M$, as products of latents come in; at these sizes it is
shallower than $1+\alpha$ (1.4 to 1.6 at $\alpha=0.8$, closer at small $\alpha$). No loss is computed with them.

**Theory and simulation.** Lines are the formula; dots draw data and features, keep the $3T+100$ largest latents one by one and let the others act
by their sum. The test loss of a draw is exact. Theory is the limit of large sizes: below $N$ or $T\approx20$ it is off by several percent; at $N=T$ and a small ridge the draws
have heavy tails, and a few of them say little. The ridge here is not divided by $T$ or $N$; a ridge that is scaled by $1/N$ breaks the symmetry.
"""

FIRST = ("alpha", "n_features", "n_samples", "latents", "ridge", "label_noise")

LAB = Lab(
    title="A solvable model of scaling laws",
    question="Where do the power law, the peak and the plateau come from?",
    views=[
        View(
            "Loss map",
            "phase diagram",
            loss_plane,
            draw_loss_plane,
            "Dark is a low loss. The bright crest along N = T is double descent; away from it only the scarcer resource matters (contours "
            "run along the axes). The dashed line is the best split of each product N T.",
            controls=("ridge_choice", *FIRST),
            click=("n_features", "n_samples"),
        ),
        View(
            "Law, peak and plateau",
            "scaling curve",
            loss_curve,
            draw_loss_curve,
            "From the left: the power law of the data (dotted: with all else infinite), the peak where features equal samples, the plateau that the other resource sets. "
            "At the best ridge (blue) there is no peak.",
            controls=("swept", *FIRST, "mc_repeats"),
        ),
        View(
            "One budget",
            "scaling curve",
            tilt,
            draw_tilt,
            "Left: the same N T spent on features (right) or on samples (left). Without a ridge equal sizes are the worst choice, at the "
            "best ridge the best one; label noise tilts it toward samples. Right: growing both together.",
            controls=(*FIRST, "mc_repeats"),
        ),
        View(
            "Spectra of features",
            "spectrum",
            feature_spectrum,
            draw_feature_spectrum,
            "Eigenvalues in order. Linear features follow the latents and end with them; rectified features go on beyond M.",
            controls=("alpha", "n_features", "latents"),
        ),
    ],
    presets={
        "The peak N = T": {
            "n_features": 200,
            "n_samples": 200,
            "ridge": 1e-6,
            "ridge_choice": "fixed",
            "view": "Law, peak and plateau",
        },
        "The best ridge removes it": {"ridge_choice": "optimal", "view": "Loss map"},
        "Data limited": {"n_features": 1000, "n_samples": 50, "view": "Law, peak and plateau"},
        "The end of the law: a cliff": {
            "latents": 300,
            "n_samples": 1000,
            "label_noise": 0.0,
            "ridge": 1e-6,
            "view": "Law, peak and plateau",
        },
        "The end of the law: a floor": {"latents": 300, "n_samples": 1000, "label_noise": 0.3, "view": "Law, peak and plateau"},
        "Label noise tilts toward data": {
            "label_noise": 0.22,
            "n_features": 200,
            "n_samples": 200,
            "latents": 5000,
            "view": "One budget",
        },
        "Rectified features go on": {"latents": 100, "n_features": 800, "view": "Spectra of features"},
        "Both past M": {"latents": 200, "ridge": 1e-5, "view": "Loss map"},
    },
    words=WORDS,
    papers={"359": "own object"},
)
