r"""When more data and more features help, when overfitting is obligatory, and when to stop training.

Ridge regression on k random features and n samples is followed through its eigenframework (088): at a fixed small
ridge the risk peaks at n = k, at the best ridge it falls in both. At large n the best ratio of training to test error
of a power-law kernel regression is (1 - u)^2 with u the root of
(1 - 1/alpha)(alpha s u^beta + beta u) = beta - 1, or u = 1 (interpolation is obligatory) where it has none below 1.
A linear student under gradient flow (052) shows the same peak against time.

References
----------
Simon, Karkada, Ghosh & Belkin, "More is better in modern machine learning" (2024), paper 088 of the catalogue.
Advani & Saxe, "High-dimensional dynamics of generalization error in neural networks" (2017), paper 052.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.models import linear_student
from compute.models.eigenframework import Risk, best_fill, critical_noise, gamma_table, optimal_plane, optimal_risk, ridge_risk
from compute.models.linear_student import Levels
from compute.models.ridge_simulation import MAX_SIMULATED, SimulatedRisk, simulate_risk, simulation_seconds
from compute.models.spectra import (
    Head,
    Modes,
    explicit_head,
    marchenko_pastur_density,
    marchenko_pastur_edges,
    power_law_head,
    power_law_modes,
    scaled_modes,
)
from compute.parameters import Choice, Column, Dataset, Flag, Integer, LogInteger, LogReal, ParameterError, Real, Seed

Array = NDArray[np.float64]

Samples = Annotated[int, LogInteger("samples", "n", low=10, high=10_000, help="Training points.")]
Features = Annotated[int, LogInteger("features", "k", low=10, high=100_000, help="Random features, the width of the model.")]
RidgeStrength = Annotated[
    float, LogReal("ridge", r"\delta", low=1e-8, high=10, help="Added to the kernel matrix K, not to K/n; the top eigenvalue is 1.")
]
SpectrumExponent = Annotated[
    float,
    Real(
        "spectrum exponent", r"\alpha", low=1.05, high=3, help="Kernel eigenvalues fall as i^-α. Not used with your own spectrum."
    ),
]
TargetExponent = Annotated[
    float,
    Real("target exponent", r"\beta", low=1.05, high=4, help="The target's power on mode i falls as i^-β. Not used with your own."),
]
NoiseVariance = Annotated[
    float, Real("noise variance", r"\sigma^2", low=0, high=2, help="Of the labels, where the target's power is 1. SNR = 1/σ².")
]
RidgeChoice = Annotated[
    str,
    Choice("ridge at each point", options=("fixed", "optimal"), help="The ridge of the slider, or the best one at each (n, k)."),
]
Sweep = Annotated[str, Choice("sweep over", options=("features", "samples"), help="What grows along the horizontal axis.")]
InfiniteFeatures = Annotated[bool, Flag("infinitely many features", r"k=\infty", help="The kernel itself instead of k features.")]
RelativeNoise = Annotated[
    float,
    LogReal("relative noise", "s", low=0.01, high=10, help="Noise variance over the error of a ridgeless fit without noise."),
]
Draws = Annotated[
    int, Integer("simulated draws", "R", low=3, high=100, help="Independent data sets (and features) behind each point.")
]
Spectrum = Annotated[
    pl.DataFrame | None,
    Dataset(
        "your spectrum",
        help="Eigenvalues of your kernel and the power of your target on its eigenvectors; scaled to top 1 and total 1.",
        columns=(
            Column("eigenvalue", "positive; any scale", low=1e-30, high=1e30),
            Column("target_power", "squared coefficient of the target on this eigenvector", low=0, high=1e30),
        ),
        template="eigenvalue,target_power\n1.0,0.5\n0.4,0.25\n0.2,0.12\n0.1,0.08\n0.05,0.03\n0.02,0.02\n",
    ),
]
Aspect = Annotated[float, LogReal("samples per parameter", "a=P/N", low=0.1, high=10)]
Time = Annotated[float, LogReal("training time", "t", low=0.01, high=1e5, help="In units of 1/(learning rate × input variance).")]
InitRatio = Annotated[
    float, Real("initial weight variance", r"\mathrm{INR}", low=0, high=2, help="Over the variance of the teacher's weights.")
]
Parameters = Annotated[int, Integer("simulated parameters", "N", low=50, high=500, help="Size of the simulated student.")]


# --- ridge regression on random features ---------------------------------------------------------------


def spectrum_modes(spectrum_exponent: float, target_exponent: float, spectrum: pl.DataFrame | None) -> Modes:
    """The reader's own modes, scaled to top eigenvalue 1 and total power 1, or those of the power laws."""
    if spectrum is None:
        return power_law_modes(spectrum_exponent, target_exponent)
    power = spectrum["target_power"].to_numpy()
    if power.sum() <= 0:
        raise ParameterError("spectrum", "needs a target_power above 0 in at least one row.")
    return scaled_modes(spectrum["eigenvalue"].to_numpy(), power)


def _head(spectrum_exponent: float, target_exponent: float, spectrum: pl.DataFrame | None, n: int) -> Head:
    """What a simulation with at most n samples keeps one by one: three modes a sample."""
    if spectrum is None:
        return power_law_head(spectrum_exponent, target_exponent, 3 * n + 100)
    return explicit_head(spectrum_modes(spectrum_exponent, target_exponent, spectrum), 3 * n + 100)


PLANE_SIZES = (20.0, 60.0, 180.0)


def _plane_points() -> tuple[Array, Array]:
    n, k = np.meshgrid(PLANE_SIZES, PLANE_SIZES)
    return n.ravel(), k.ravel()


@dataclass(frozen=True)
class RiskPlane(Result):
    """Test risk over samples and features, theory and a few simulated points."""

    n: Array  # (n_sizes,)
    k: Array  # (n_widths,)
    test: Array  # (n_widths, n_sizes)
    ridge: Array  # (n_widths, n_sizes)
    simulation: SimulatedRisk
    here: Risk  # at the reader's point, at the ridge shown
    best_here: Risk
    choice: str

    def table(self) -> pl.DataFrame:
        n, k = np.meshgrid(self.n, self.k)
        plane = pl.DataFrame(
            {
                "kind": ["theory"] * n.size,
                "n_samples": n.ravel(),
                "n_features": k.ravel(),
                "ridge": self.ridge.ravel(),
                "test_risk": self.test.ravel(),
                "log10_test_risk": np.log10(np.maximum(self.test, 1e-30)).ravel(),
            }
        )
        return pl.concat([plane, self.simulation.table("simulation")], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        # On n = k a nearly ridgeless risk is too heavy-tailed for a handful of draws.
        off = self.simulation.n != self.simulation.k
        gaps = ((self.simulation.test - self.simulation.theory.test) / self.simulation.test_error)[off]
        close = f"{int(np.sum(np.abs(gaps) < 3))} of {gaps.size}"
        return _risk_headline(self.here, self.best_here) | {"simulated off n = k, within 3 SE": close}


def _risk_headline(here: Risk, best: Risk, at: int = 0) -> dict[str, float | str]:
    """The risk at the reader's point and at its best ridge."""
    return {
        "test risk here": float(here.test[at]),
        "at the best ridge": float(best.test[at]),
        "best ridge": float(best.ridge[at]) if best.ridge[at] > 0 else "0: interpolate",
        "best training / test risk": float(best.train[at] / best.test[at]),
    }


def _plane_seconds(*, draws: int, **_: object) -> float:
    return 0.03 + simulation_seconds(*_plane_points(), draws)


@experiment(seconds=_plane_seconds)
def risk_plane(
    *,
    n_samples: Samples = 200,
    n_features: Features = 400,
    ridge: RidgeStrength = 1e-5,
    ridge_choice: RidgeChoice = "fixed",
    spectrum_exponent: SpectrumExponent = 1.5,
    target_exponent: TargetExponent = 1.8,
    noise_variance: NoiseVariance = 0.05,
    spectrum: Spectrum = None,
    draws: Draws = 6,
    seed: Seed = 0,
) -> Iterator[tuple[float, RiskPlane]]:
    """Test risk over the (samples, features) plane at a fixed ridge, or at the best ridge of each point.

    At a fixed small ridge the risk peaks along n = k (double descent); at the best ridge it falls in n and in k (088,
    "more is better"). Nine simulated points carry the same colors.
    """
    modes = spectrum_modes(spectrum_exponent, target_exponent, spectrum)
    n, k = np.geomspace(10, 1e4, 61), np.geomspace(10, 1e5, 81)  # the same steps: n = k lies on the grid
    best_here = optimal_risk(modes, n_samples, n_features, noise_variance)
    if ridge_choice == "fixed":
        test = ridge_risk(modes, n, k[:, None], ridge, noise_variance).test
        ridges = np.full(test.shape, ridge)
        here = ridge_risk(modes, np.array([n_samples]), n_features, ridge, noise_variance)
    else:
        test, ridges = optimal_plane(gamma_table(modes, n, k), n, k, noise_variance)
        here = best_here
    n_points, k_points = _plane_points()
    head = _head(spectrum_exponent, target_exponent, spectrum, int(PLANE_SIZES[-1]))
    at_ridge = np.full(n_points.size, ridge)
    if ridge_choice == "optimal":
        at_ridge = np.maximum(optimal_risk(head.modes(), n_points, k_points, noise_variance).ridge, 1e-9)
    for done, simulation in simulate_risk(seed, head, n_points, k_points, at_ridge, noise_variance, draws):
        yield done, RiskPlane(n, k, test, ridges, simulation, here, best_here, ridge_choice)


@dataclass(frozen=True)
class RiskCurve(Result):
    """Test and training risk against features or samples, at the given and at the best ridge."""

    swept: str  # "features" or "samples"
    x: Array  # (n_sizes,)
    fixed: Risk  # at the given ridge
    best: Risk  # at the best one
    limit: Array  # (n_sizes,) best risk with infinitely many features
    at_fixed: SimulatedRisk
    at_best: SimulatedRisk
    here: tuple[float, float]  # n, k of the reader
    index: int  # the place in x nearest to the reader

    def simulated_x(self) -> Array:
        """Where along the axis the simulated points lie."""
        return self.at_fixed.k if self.swept == "features" else self.at_fixed.n

    def table(self) -> pl.DataFrame:
        theory = pl.DataFrame(
            {
                "kind": ["theory"] * self.x.size,
                "n_features" if self.swept == "features" else "n_samples": self.x,
                "test_risk": self.fixed.test,
                "train_risk": self.fixed.train,
                "best_test_risk": self.best.test,
                "best_train_risk": self.best.train,
                "best_ridge": self.best.ridge,
                "best_test_risk_infinite_features": self.limit,
            }
        )
        simulations = [self.at_fixed.table("simulation, fixed ridge"), self.at_best.table("simulation, best ridge")]
        return pl.concat([theory, *simulations], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        peak = float(self.x[np.argmax(self.fixed.test)])
        return _risk_headline(self.fixed, self.best, self.index) | {
            f"highest risk at {'k' if self.swept == 'features' else 'n'}": peak,
            "simulation − theory here (SE)": self.at_fixed.gap(*self.here),
        }


def _curve_points(sweep: str, n: int, k: int, infinite: bool) -> tuple[Array, Array]:
    """The (n, k) that are simulated along a curve, the reader's own among them; none where they are too large."""
    if sweep == "features":
        grid = np.rint(np.geomspace(10, max(4 * n, 100), 7))
        points = np.unique(np.append(grid, k))
        points = points[points <= MAX_SIMULATED] if n <= MAX_SIMULATED else np.empty(0)
        return np.full(points.size, float(n)), points
    width = np.inf if infinite else float(k)
    points = np.unique(np.append(np.rint(np.geomspace(10, 300, 6)), n))
    points = points[points <= MAX_SIMULATED] if infinite or k <= MAX_SIMULATED else np.empty(0)
    return points, np.full(points.size, width)


def _curve_seconds(*, sweep: str, n_samples: int, n_features: int, infinite_features: bool, draws: int, **_: object) -> float:
    n, k = _curve_points(sweep, n_samples, n_features, infinite_features)
    return 0.02 + simulation_seconds(np.tile(n, 2), np.tile(k, 2), draws)


@experiment(seconds=_curve_seconds)
def risk_curve(
    *,
    sweep: Sweep = "features",
    n_samples: Samples = 200,
    n_features: Features = 400,
    ridge: RidgeStrength = 1e-5,
    spectrum_exponent: SpectrumExponent = 1.5,
    target_exponent: TargetExponent = 1.8,
    noise_variance: NoiseVariance = 0.05,
    infinite_features: InfiniteFeatures = False,
    spectrum: Spectrum = None,
    draws: Draws = 6,
    seed: Seed = 0,
) -> Iterator[tuple[float, RiskCurve]]:
    """Test and training risk against the number of features (or samples), at the given ridge and at the best one.

    Theory is the eigenframework of 088; simulated points use Gaussian eigenfunctions and Gaussian feature weights.
    With your own spectrum and infinitely many features, the sweep over samples predicts the learning curve of your kernel.
    """
    modes = spectrum_modes(spectrum_exponent, target_exponent, spectrum)
    width = np.inf if infinite_features and sweep == "samples" else float(n_features)
    here = (float(n_samples), width)
    # The reader's own size is on the grid, so that the headline reads off the drawn curve.
    own, threshold, last = (n_features, n_samples, 1e5) if sweep == "features" else (n_samples, width, 1e4)
    peak = threshold * np.array([0.85, 0.93, 0.97, 1, 1.03, 1.07, 1.15])
    x = np.unique(np.concatenate([np.geomspace(10, last, 61), [own], peak[(peak > 10) & (peak < last)]]))
    n, k = (np.full(x.size, float(n_samples)), x) if sweep == "features" else (x, np.full(x.size, width))
    fixed, best = ridge_risk(modes, n, k, ridge, noise_variance), optimal_risk(modes, n, k, noise_variance)
    if np.isinf(k).all():
        limit = best.test
    elif sweep == "features":
        limit = np.full(x.size, optimal_risk(modes, float(n_samples), np.inf, noise_variance).test[0])
    else:
        limit = optimal_risk(modes, n, np.inf, noise_variance).test
    n_points, k_points = _curve_points(sweep, n_samples, n_features, infinite_features)
    head = _head(spectrum_exponent, target_exponent, spectrum, int(n_points.max()) if n_points.size else 10)
    at_best = optimal_risk(head.modes(), n_points, k_points, noise_variance).ridge if n_points.size else np.empty(0)
    ridges = np.concatenate([np.full(n_points.size, ridge), np.maximum(at_best, 1e-9)])
    both = simulate_risk(seed, head, np.tile(n_points, 2), np.tile(k_points, 2), ridges, noise_variance, draws)
    for done, simulation in both:
        halves = simulation.halves()
        yield done, RiskCurve(sweep, x, fixed, best, limit, *halves, here, int(np.searchsorted(x, own)))


@dataclass(frozen=True)
class RidgeCurve(Result):
    """Test and training risk against the ridge at one (n, k)."""

    curve: Risk  # (n_ridges,)
    best: Risk  # (1,)
    simulation: SimulatedRisk
    here: Risk  # (1,) at the slider's ridge
    point: tuple[float, float]

    def table(self) -> pl.DataFrame:
        theory = pl.DataFrame(
            {
                "kind": ["theory"] * self.curve.ridge.size,
                "ridge": self.curve.ridge,
                "test_risk": self.curve.test,
                "train_risk": self.curve.train,
                "fitting_ratio": self.curve.train / self.curve.test,
                "effective_ridge_kappa": self.curve.kappa,
            }
        )
        return pl.concat([theory, self.simulation.table("simulation")], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return _risk_headline(self.here, self.best) | {"simulation − theory here (SE)": self.simulation.gap(*self.point)}


RIDGE_DOTS = np.geomspace(1e-7, 10, 9)


def _ridge_points(n: int, k: int, infinite: bool) -> tuple[Array, Array]:
    reachable = n <= MAX_SIMULATED and (infinite or k <= MAX_SIMULATED)
    count = RIDGE_DOTS.size + 1 if reachable else 0
    return np.full(count, float(n)), np.full(count, np.inf if infinite else float(k))


def _ridge_seconds(*, n_samples: int, n_features: int, infinite_features: bool, draws: int, **_: object) -> float:
    return 0.02 + simulation_seconds(*_ridge_points(n_samples, n_features, infinite_features), draws)


@experiment(seconds=_ridge_seconds)
def ridge_curve(
    *,
    n_samples: Samples = 200,
    n_features: Features = 400,
    ridge: RidgeStrength = 1e-5,
    spectrum_exponent: SpectrumExponent = 1.5,
    target_exponent: TargetExponent = 1.8,
    noise_variance: NoiseVariance = 0.05,
    infinite_features: InfiniteFeatures = False,
    spectrum: Spectrum = None,
    draws: Draws = 6,
    seed: Seed = 0,
) -> Iterator[tuple[float, RidgeCurve]]:
    """Test and training risk against the ridge at one number of samples and features.

    Training risk is (1 - z/n)^2 times test risk (088): where the least test risk lies at vanishing ridge,
    interpolating the noise is the best that can be done.
    """
    modes = spectrum_modes(spectrum_exponent, target_exponent, spectrum)
    k = np.inf if infinite_features else float(n_features)
    curve = ridge_risk(modes, float(n_samples), k, np.geomspace(1e-8, 10, 73), noise_variance)
    best = optimal_risk(modes, float(n_samples), k, noise_variance)
    here = ridge_risk(modes, float(n_samples), k, np.array([ridge]), noise_variance)
    n_points, k_points = _ridge_points(n_samples, n_features, infinite_features)
    ridges = np.append(ridge, RIDGE_DOTS)[: n_points.size]
    head = _head(spectrum_exponent, target_exponent, spectrum, n_samples if n_points.size else 10)
    for done, simulation in simulate_risk(seed, head, n_points, k_points, ridges, noise_variance, draws):
        yield done, RidgeCurve(curve, best, simulation, here, (float(n_samples), k))


# --- is overfitting obligatory? ------------------------------------------------------------------------


@dataclass(frozen=True)
class FittingPlane(Result):
    """Training over test error at the best ridge, over target exponent and relative noise, as n -> infinity."""

    target_exponent: Array  # (n_exponents,)
    relative_noise: Array  # (n_noises,)
    ratio: Array  # (n_noises, n_exponents)
    line_exponent: Array  # (n_line,) the boundary
    line_noise: Array  # (n_line,)
    here: float
    finite: Risk  # all sums at the reader's n
    here_critical: float
    n_samples: int

    FLOOR = -4.0  # of the color

    def log10_ratio(self) -> Array:
        """The color of the map; interpolation lies at its floor."""
        return np.log10(np.maximum(self.ratio, 10**self.FLOOR))

    def table(self) -> pl.DataFrame:
        beta, noise = np.meshgrid(self.target_exponent, self.relative_noise)
        columns = {"target_exponent": beta, "relative_noise": noise, "fitting_ratio": self.ratio}
        columns["log10_fitting_ratio"] = self.log10_ratio()
        plane = pl.DataFrame({"kind": ["map"] * beta.size} | {name: v.ravel() for name, v in columns.items()})
        line = {"target_exponent": self.line_exponent, "relative_noise": self.line_noise}
        return pl.concat([plane, pl.DataFrame({"kind": ["boundary"] * self.line_noise.size} | line)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "regime": "interpolation obligatory" if self.here == 0 else "a positive ridge is best",
            "best training / test (n → ∞)": self.here,
            f"at n = {self.n_samples:,}, all sums": float(self.finite.train[0] / self.finite.test[0]),
            "critical relative noise": self.here_critical,
        }


@experiment
def fitting_plane(
    *,
    n_samples: Samples = 200,
    spectrum_exponent: SpectrumExponent = 1.5,
    target_exponent: TargetExponent = 1.8,
    relative_noise: RelativeNoise = 0.3,
) -> FittingPlane:
    """Best ratio of training to test error of a power-law kernel regression, over target exponent and relative noise.

    (1 - u)^2 at the best ridge (088, its theorem on the fitting ratio); 0 below the line
    s = (beta - alpha)/(alpha (alpha - 1)): there no ridge is best, and fitting the noise exactly is obligatory.
    """
    beta, noise = np.linspace(1.05, 4, 80), np.geomspace(0.01, 10, 81)
    first = spectrum_exponent * (1 + 0.01 * (spectrum_exponent - 1))  # where the line passes s = 0.01
    line = np.linspace(first, 4, 160)
    ratio = (1 - best_fill(spectrum_exponent, beta, noise[:, None])) ** 2
    here = float((1 - best_fill(spectrum_exponent, target_exponent, relative_noise)) ** 2)
    modes = power_law_modes(spectrum_exponent, target_exponent)
    ridgeless = ridge_risk(modes, np.array([float(n_samples)]), np.inf, 1e-12, 0.0).test[0]
    finite = optimal_risk(modes, float(n_samples), np.inf, relative_noise * ridgeless)
    return FittingPlane(
        beta,
        noise,
        ratio,
        line,
        critical_noise(spectrum_exponent, line),
        here,
        finite,
        float(critical_noise(spectrum_exponent, target_exponent)),
        n_samples,
    )


# --- gradient flow -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StoppingPlane(Result):
    """Test error of a linear student over samples per parameter and training time."""

    aspect: Array  # (n_aspects,)
    time: Array  # (n_times,)
    error: Array  # (n_times, n_aspects)
    stopping: Array  # (n_aspects,) optimal time, infinite where stopping never helps
    here: float
    levels: Levels

    def table(self) -> pl.DataFrame:
        aspect, time = np.meshgrid(self.aspect, self.time)
        stopping = np.broadcast_to(self.stopping, aspect.shape).ravel()
        return pl.DataFrame(
            {
                "samples_per_parameter": aspect.ravel(),
                "time": time.ravel(),
                "test_error": self.error.ravel(),
                "log10_test_error": np.log10(np.maximum(self.error, 1e-12)).ravel(),
                "optimal_stopping_time": pl.Series(stopping).replace(np.inf, None),
            }
        )

    def headline(self) -> dict[str, float | str]:
        return {"test error here": self.here, **self.levels.headline()}


@experiment
def stopping_plane(
    *, aspect: Aspect = 1.0, time: Time = 10.0, noise_variance: NoiseVariance = 0.05, init_ratio: InitRatio = 0.0
) -> StoppingPlane:
    """Test error of a linear student under gradient flow, over samples per parameter and training time.

    Exact in the limit of many parameters (052): double descent at a = 1 appears only late, and the best time to stop
    avoids it. The best weight decay, 1/SNR, is never worse than the best stop from zero weights.
    """
    aspects, times = np.geomspace(0.1, 10, 81), np.geomspace(0.01, 1e5, 71)
    error = np.stack([linear_student.generalization_error(a, times, noise_variance, init_ratio) for a in aspects], axis=1)
    stopping = np.array([linear_student.optimal_stopping(a, noise_variance, init_ratio)[0] for a in aspects])
    here = float(linear_student.generalization_error(aspect, time, noise_variance, init_ratio))
    return StoppingPlane(aspects, times, error, stopping, here, linear_student.levels(aspect, noise_variance, init_ratio))


@dataclass(frozen=True)
class TrainingCurve(Result):
    """Test and training error against time at one a, with a simulation; and which directions are learned."""

    time: Array  # (n_times,)
    test: Array  # (n_times,)
    train: Array  # (n_times,)
    simulated_time: Array  # (n_dots,)
    simulated: Array  # (2, n_dots) test, training
    simulated_error: Array  # (2, n_dots) standard errors
    eigenvalue: Array  # (n_eigenvalues,)
    density: Array  # (n_eigenvalues,) of log eigenvalue: lambda rho(lambda)
    learned: Array  # (n_eigenvalues,) the part of it learned at the reader's time
    masses: tuple[float, float, float]  # learned, not yet learned, frozen
    at_time: float
    levels: Levels
    gap: float

    def table(self) -> pl.DataFrame:
        curve = pl.DataFrame(
            {"kind": ["theory"] * self.time.size, "time": self.time, "test_error": self.test, "train_error": self.train}
        )
        dots = pl.DataFrame(
            {
                "kind": ["simulation"] * self.simulated_time.size,
                "time": self.simulated_time,
                "test_error": self.simulated[0],
                "test_standard_error": self.simulated_error[0],
                "train_error": self.simulated[1],
                "train_standard_error": self.simulated_error[1],
            }
        )
        spectrum = pl.DataFrame(
            {
                "kind": ["spectrum"] * self.eigenvalue.size,
                "eigenvalue": self.eigenvalue,
                "density_of_log_eigenvalue": self.density,
                "learned_density": self.learned,
            }
        )
        return pl.concat([curve, dots, spectrum], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            **self.levels.headline(),
            "learned / unlearned / frozen": " / ".join(f"{m:.2f}" for m in self.masses),
            "simulation − theory near t (SE)": self.gap,
        }


def _student_seconds(*, aspect: float, parameters: int, draws: int, **_: object) -> float:
    small, large = min(1, aspect) * parameters, max(1, aspect) * parameters
    return 0.02 + draws * (1e-3 + 2e-8 * small * large + 3.5e-10 * small**2 * large)


@experiment(seconds=_student_seconds)
def training_curve(
    *,
    aspect: Aspect = 1.0,
    time: Time = 10.0,
    noise_variance: NoiseVariance = 0.05,
    init_ratio: InitRatio = 0.0,
    parameters: Parameters = 200,
    draws: Draws = 6,
    seed: Seed = 0,
) -> Iterator[tuple[float, TrainingCurve]]:
    """Test and training error of a linear student against time, its best stop, and the spectrum it has learned.

    Theory in the limit of many parameters (052); simulation by the exact flow of a student of N parameters on drawn
    data. Points of one curve share their draws.
    """
    curve_time = np.geomspace(0.01, 1e5, 141)
    dots = np.geomspace(0.01, 1e5, 15)
    exact = linear_student.generalization_error(aspect, dots, noise_variance, init_ratio)
    low, high = marchenko_pastur_edges(aspect)
    eigenvalue = np.geomspace(max(low, 1e-4), high, 200)
    density = eigenvalue * marchenko_pastur_density(eigenvalue, aspect)
    near = int(np.argmin(np.abs(np.log(dots / time))))
    setting = (noise_variance, init_ratio)
    theory = (
        linear_student.generalization_error(aspect, curve_time, *setting),
        linear_student.training_error(aspect, curve_time, *setting),
    )
    spectrum = (eigenvalue, density, density * -np.expm1(-eigenvalue * time))
    masses = linear_student.learned_mass(aspect, time)
    levels = linear_student.levels(aspect, *setting)
    for done, mean, error in linear_student.simulate_many(seed, draws, parameters, aspect, dots, *setting):
        gap = float((mean[0, near] - exact[near]) / error[0, near])
        yield done, TrainingCurve(curve_time, *theory, dots, mean, error, *spectrum, masses, time, levels, gap)
