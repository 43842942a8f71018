r"""4+3 phases of compute-optimal scaling: power-law random features trained by one-pass SGD.

A width d trained for r steps of B samples costs f = r B d floating-point operations. The loss is, up to constants,

    P(r, d) = F_0(d) + F_pp(r) + F_ac(r, d) + K_pp(r)/(gamma B):

what d features cannot reach, the target's own spectrum being learned, the features' distortion of it, and the noise
of SGD. The compute-optimal width d*(f) and loss P*(f) are powers of f whose exponents depend on which two of the
four meet there: seven phases over the exponents (alpha, beta) of data and target.

References
----------
Paquette, Paquette, Xiao & Pennington, "4+3 Phases of Compute-Optimal Neural Scaling Laws" (2024), paper 235 of the
catalogue. The curves themselves come from ``compute.models.power_law_random_features``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.models import power_law_random_features as features
from compute.parameters import Choice, Integer, LogInteger, Real, Seed

Array = NDArray[np.float64]

SMALLEST_WIDTH = 40
LARGEST_RANDOM_MATRIX = 800
POINTS_PER_DECADE = 8
FIRST_FLOPS = 1e2
MOST_FLOPS = 1e18
SGD_FLOPS = 5e5
SGD_WIDTHS = (40, 130)
FIT_DECADES = 2.0

Alpha = Annotated[
    float,
    Real("data exponent", r"\alpha", low=0.1, high=2.0, help="Data coordinate j has standard deviation j^-α: larger is simpler."),
]
Beta = Annotated[
    float, Real("target exponent", r"\beta", low=0.1, high=2.0, help="Target coefficient j is j^-β: larger is an easier target.")
]
LargestWidth = Annotated[
    int,
    LogInteger("largest width", r"d_{\max}", low=100, high=10**7, help="Widths run from 40 to this; random matrices stop at 800."),
]
Width = Annotated[int, LogInteger("width", "d", low=40, high=10**7, help="Number of features trained.")]
Aspect = Annotated[
    float, Real("data dimensions per feature", "v/d", low=1.5, high=16.0, help="Dimension of the data over the width of the model.")
]
Batch = Annotated[int, LogInteger("batch size", "B", low=1, high=64)]
StepFraction = Annotated[
    float,
    Real(
        "step size over its limit",
        r"\gamma/\gamma_{\max}",
        low=0.05,
        high=0.95,
        help="The limit is a kernel norm of 1, at each width its own.",
    ),
]
Method = Annotated[
    str,
    Choice(
        "curves",
        options=("large_width_limit", "random_matrix"),
        help="Limit: deterministic resolvent, any width. Random matrix: exact for drawn features, widths up to 800.",
    ),
]
SgdRuns = Annotated[int, Integer("SGD runs", "R", low=0, high=50, help="Streaming SGD runs at each of two widths.")]
Shown = Annotated[
    str, Choice("exponent shown", options=("loss", "optimal_width"), help="Exponent of P* or of d* in the compute f.")
]


# --- the seven phases ----------------------------------------------------------------------------------

NO_POWER_LAW = "no power law"
SECOND_CRITICAL = 1 - 1 / np.sqrt(2)  # alpha between IVb and IVa


@dataclass(frozen=True)
class Phase:
    """A phase: which two terms of the loss meet at the compute-optimal width, and the exponents that follow."""

    name: str
    falling: str  # the term that falls with training there
    other: str
    width_exponent: Callable[[Array, Array], Array]  # d* = f^x
    loss_exponent: Callable[[Array, Array], Array]  # P* = f^-x


PHASES = (
    Phase("Ia", "F_pp", "F_0", lambda a, b: 1 / (2 * a + 1), lambda a, b: (2 * a + 2 * b - 1) / (2 * a + 1)),
    Phase("Ib", "F_pp", "F_0", lambda a, b: 0.5 + 0 * a, lambda a, b: a + b - 0.5),
    Phase(
        "Ic",
        "F_pp",
        "F_0",
        lambda a, b: (2 * a + 2 * b - 1) / (6 * a + 4 * b - 4 * a * b - 2),
        lambda a, b: a * (2 * a + 2 * b - 1) / (3 * a + 2 * b - 2 * a * b - 1),
    ),
    Phase("II", "F_pp", "F_ac", lambda a, b: b / (a + b), lambda a, b: (2 * a + 2 * b - 1) / (2 * (a + b))),
    Phase("III", "K_pp", "F_ac", lambda a, b: 0.5 + 0 * a, lambda a, b: 1 - 1 / (4 * a)),
    Phase("IVa", "K_pp", "F_0", lambda a, b: 0.5 + 0 * a, lambda a, b: a + 0 * b),
    Phase(
        "IVb",
        "F_pp",
        "K_pp",
        lambda a, b: (b - a) / (2 * b - 2 * a * b - a),
        lambda a, b: (1 - 2 * a) * (2 * a + 2 * b - 1) / (2 * (2 * b - 2 * a * b - a)),
    ),
)
PHASE_BY_NAME = {phase.name: phase for phase in PHASES}

# Two phases and the segment between them, (alpha, beta) to (alpha, beta), clipped to the plane [0, 2] x [0, 2].
BOUNDARIES = (
    (NO_POWER_LAW, "Ib", (0.0, 0.5), (0.5, 0.0)),
    ("Ib", "Ia", (0.5, 0.0), (0.5, 0.5)),
    ("Ib", "Ic", (0.0, 0.5), (0.25, 0.5)),
    ("Ib", "IVb", (0.25, 0.5), (SECOND_CRITICAL, 0.5)),
    ("Ib", "IVa", (SECOND_CRITICAL, 0.5), (0.5, 0.5)),
    ("Ia", "II", (0.5, 0.5), (2.0, 0.5)),
    ("Ic", "IVb", (0.25, 0.5), (0.25, 2.0)),
    ("IVb", "IVa", (SECOND_CRITICAL, 0.5), (SECOND_CRITICAL, 2.0)),
    ("IVa", "III", (0.5, 0.5), (0.5, 2.0)),
    ("II", "III", (0.5, 0.5), (2.0, 2.0)),
)


def phase_of(alpha: Array | float, beta: Array | float) -> NDArray[np.str_]:
    """The phase at each point; a point on a boundary is given to the phase of smaller alpha or beta."""
    alpha, beta = np.broadcast_arrays(np.asarray(alpha, dtype=float), np.asarray(beta, dtype=float))
    low = np.where(alpha > 0.5, "Ia", "Ib")
    high = np.select(
        [alpha <= 0.25, alpha <= SECOND_CRITICAL, alpha <= 0.5, beta <= alpha], ["Ic", "IVb", "IVa", "II"], default="III"
    )
    return np.where(alpha + beta <= 0.5, NO_POWER_LAW, np.where(beta <= 0.5, low, high))


def exponents(alpha: Array | float, beta: Array | float) -> tuple[Array, Array]:
    """(235, its table of phases) exponents x of d* = f^x and P* = f^-x; NaN where no power law is known."""
    alpha, beta = np.broadcast_arrays(np.asarray(alpha, dtype=float), np.asarray(beta, dtype=float))
    name = phase_of(alpha, beta)
    width, loss = np.full(alpha.shape, np.nan), np.full(alpha.shape, np.nan)
    for phase in PHASES:
        inside = name == phase.name
        width[inside] = phase.width_exponent(alpha[inside], beta[inside])
        loss[inside] = phase.loss_exponent(alpha[inside], beta[inside])
    return width, loss


def nearest_boundary(alpha: float, beta: float) -> tuple[float, str]:
    """Euclidean distance to the nearest boundary, and the phase on its other side."""
    here = phase_of(alpha, beta).item()
    best, across = np.inf, ""
    point = np.array([alpha, beta])
    for one, two, start, end in BOUNDARIES:
        if here not in (one, two):
            continue
        a, b = np.array(start), np.array(end)
        along = np.clip(np.dot(point - a, b - a) / np.dot(b - a, b - a), 0, 1)
        distance = float(np.linalg.norm(point - a - along * (b - a)))
        if distance < best:
            best, across = distance, two if here == one else one
    return best, across


@dataclass(frozen=True)
class PhasePlane(Result):
    """The exponents of P* and d* over the plane of data and target exponents."""

    alpha: Array  # (n_alpha,)
    beta: Array  # (n_beta,)
    phase: NDArray[np.str_]  # (n_beta, n_alpha)
    width_exponent: Array  # (n_beta, n_alpha), NaN where there is no power law
    loss_exponent: Array  # (n_beta, n_alpha)
    shown: str
    at_alpha: float
    at_beta: float

    @property
    def color(self) -> Array:
        """The exponent that is drawn."""
        return self.loss_exponent if self.shown == "loss" else self.width_exponent

    def table(self) -> pl.DataFrame:
        alpha, beta = np.meshgrid(self.alpha, self.beta)
        return pl.DataFrame(
            {
                "alpha": alpha.ravel(),
                "beta": beta.ravel(),
                "phase": self.phase.ravel(),
                "loss_exponent": self.loss_exponent.ravel(),
                "optimal_width_exponent": self.width_exponent.ravel(),
            }
        ).with_columns(pl.col("loss_exponent", "optimal_width_exponent").fill_nan(None))

    def headline(self) -> dict[str, float | str]:
        here = phase_of(self.at_alpha, self.at_beta).item()
        distance, across = nearest_boundary(self.at_alpha, self.at_beta)
        row: dict[str, float | str] = {"phase": here}
        if here != NO_POWER_LAW:
            width, loss = exponents(self.at_alpha, self.at_beta)
            row |= {
                "P* = f^−x, x": float(loss),
                "d* = f^x, x": float(width),
                "terms that meet": f"{PHASE_BY_NAME[here].falling} and {PHASE_BY_NAME[here].other}",
            }
        return row | {f"distance to {across}": distance}


@experiment
def phase_plane(*, alpha: Alpha = 1.0, beta: Beta = 0.7, shown: Shown = "loss") -> PhasePlane:
    """The exact phase plane: the exponent of the compute-optimal loss, or width, over data and target exponents.

    d* = f^x and P* = f^-y as f grows, in closed form in each of seven phases (235, its tables of exponents); no
    power law where alpha + beta <= 1/2, where the loss at the start diverges with the number of data dimensions.
    """
    alphas, betas = np.linspace(0.1, 2.0, 191), np.linspace(0.1, 2.0, 96)
    grid = np.meshgrid(alphas, betas)
    # Half a cell off exact boundaries, so that rounding does not decide the phase of a column.
    width, loss = exponents(grid[0] - 1e-9, grid[1] - 1e-9)
    return PhasePlane(alphas, betas, phase_of(grid[0] - 1e-9, grid[1] - 1e-9), width, loss, shown, alpha, beta)


# --- loss against compute ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frontier:
    """The compute-optimal envelope over a family of widths, where its optimum lies between two of them."""

    flops: Array  # (n,)
    loss: Array  # (n,) P*
    width: Array  # (n,) d*, by a parabola in log d through the best three widths

    def slope(self, values: Array, decades: float = FIT_DECADES) -> float | None:
        """Least-squares exponent of ``values`` over the last decades; None where fewer than half a decade is seen."""
        x = np.log(self.flops)
        inside = x > x[-1] - decades * np.log(10) - 1e-9 if x.size else np.zeros(0, dtype=bool)
        if inside.sum() < POINTS_PER_DECADE // 2 + 1:
            return None
        return float(np.polyfit(x[inside], np.log(values[inside]), 1)[0])

    def local_slopes(self, values: Array) -> Array:
        """Exponent of ``values`` in a window of a decade around each point; NaN within half a decade of the ends."""
        x, y = np.log10(self.flops), np.log10(values)
        found = np.full(x.size, np.nan)
        half = POINTS_PER_DECADE // 2
        for i in range(half, x.size - half):
            window = slice(i - half, i + half + 1)
            found[i] = np.polyfit(x[window] - x[i], y[window], 1)[0]
        return found


def envelope(widths: Array, flops: Array, loss: Array) -> Frontier:
    """The envelope of loss (n_widths, n_flops) over widths; infinite where a width has not begun."""
    best = np.argmin(loss, axis=0)
    column = np.flatnonzero((best > 0) & (best < widths.size - 1))
    column = column[np.isfinite(loss[best[column] + 1, column])]
    middle = best[column]
    x = np.log(widths)
    left, right = x[middle - 1] - x[middle], x[middle + 1] - x[middle]
    y = np.log(loss[middle, column])
    rise_left = (np.log(loss[middle - 1, column]) - y) / left
    rise_right = (np.log(loss[middle + 1, column]) - y) / right
    curvature = np.maximum((rise_right - rise_left) / (right - left), 1e-12)
    slope = rise_left - curvature * left
    shift = np.clip(-slope / (2 * curvature), left / 2, right / 2)
    return Frontier(flops[column], np.exp(y + slope * shift + curvature * shift**2), np.exp(x[middle] + shift))


@dataclass(frozen=True)
class Simulation:
    """Streaming SGD runs beside the exact curve of the very features they train."""

    width: Array  # (n,) of each point
    flops: Array  # (n,)
    exact: Array  # (n,)
    runs: Array  # (n_runs, n) loss

    @property
    def mean(self) -> Array:
        return self.runs.mean(axis=0)

    @property
    def standard_error(self) -> Array | None:
        """None for a single run."""
        return self.runs.std(axis=0, ddof=1) / np.sqrt(len(self.runs)) if len(self.runs) > 1 else None


@dataclass(frozen=True)
class LossCurves(Result):
    """Loss against compute for a family of widths, its compute-optimal envelope, and SGD runs."""

    width: Array  # (n_points,) of each point of a curve
    flops: Array  # (n_points,)
    loss: Array  # (n_points,)
    frontier: Frontier
    simulation: Simulation | None
    alpha: float
    beta: float
    last_flops: float
    kernel_norm: float

    @property
    def exponents(self) -> tuple[float, float] | None:
        """Theory's exponents of d* and of P* (the latter positive), or None."""
        width, loss = exponents(self.alpha, self.beta)
        return None if np.isnan(loss) else (float(width), float(loss))

    def table(self) -> pl.DataFrame:
        best = self.frontier
        frames = [
            pl.DataFrame({"width": self.width, "flops": self.flops, "loss": self.loss}).with_columns(kind=pl.lit("curve")),
            pl.DataFrame(
                {
                    "width": best.width,
                    "flops": best.flops,
                    "loss": best.loss,
                    "local_loss_exponent": -best.local_slopes(best.loss),
                    "local_width_exponent": best.local_slopes(best.width),
                }
            ).with_columns(kind=pl.lit("compute-optimal")),
        ]
        if self.simulation is not None:
            error = self.simulation.standard_error
            columns = {"width": self.simulation.width, "flops": self.simulation.flops, "loss": self.simulation.mean}
            frame = pl.DataFrame(columns | {"exact_for_these_features": self.simulation.exact})
            if error is not None:
                frame = frame.with_columns(pl.Series("standard_error", error))
            frames.append(frame.with_columns(kind=pl.lit("SGD")))
        table = pl.concat(frames, how="diagonal").with_columns(pl.col(pl.Float64).fill_nan(None))
        return table.select("kind", pl.all().exclude("kind"))

    def headline(self) -> dict[str, float | str]:
        row: dict[str, float | str] = {"phase": phase_of(self.alpha, self.beta).item()}
        theory = self.exponents
        loss, width = self.frontier.slope(self.frontier.loss), self.frontier.slope(self.frontier.width)
        unseen = "optimum outside these widths"
        if theory is not None:
            row |= {"P* exponent, theory": -theory[1]}
        row |= {"P* exponent, measured": unseen if loss is None else loss}
        if theory is not None:
            row |= {"d* exponent, theory": theory[0]}
        row |= {"d* exponent, measured": unseen if width is None else width, "kernel norm": self.kernel_norm}
        if self.simulation is not None:
            error = self.simulation.standard_error
            score = None if error is None else (self.simulation.mean - self.simulation.exact) / error
            row["SGD to exact, RMS gap (SE)"] = "needs two runs" if score is None else float(np.sqrt(np.mean(score**2)))
        return row


def width_family(largest: int) -> NDArray[np.int64]:
    """Widths from the smallest to the largest, evenly spaced in log d; denser where they span many decades."""
    decades = np.log10(largest / SMALLEST_WIDTH)
    number = max(10, round(1 + 5 * decades + 0.8 * decades**2))
    return np.unique(np.rint(np.geomspace(SMALLEST_WIDTH, largest, number)).astype(np.int64))


def last_flops(alpha: float, beta: float, largest: int, batch: int) -> float:
    """A power of ten around which the largest width becomes optimal, by the theory's exponent where there is one."""
    width = exponents(alpha, beta)[0]
    exponent = 0.5 if np.isnan(width) else float(width)
    reach = np.log10(largest) / exponent + np.log10(batch)
    return float(10 ** np.clip(np.ceil(reach), 6, np.log10(MOST_FLOPS)))


def _steps(flops: Array, width: int, batch: int) -> tuple[Array, NDArray[np.bool_]]:
    """Step counts at each compute, and where they are at least 1: whole up to 10, where it shows."""
    steps = flops / (width * batch)
    inside = steps >= 1 - 1e-9
    return np.where(steps < 10, np.rint(steps), steps)[inside], inside


def _n_draws(width: int) -> int:
    """Draws of random features at a width: fewer of the wider, which scatter less."""
    return int(np.ceil(400 / width))


def _random_matrix_seconds(widths: NDArray[np.int64], aspect: float) -> float:
    one = 0.001 + widths**2.0 * (3 * aspect + 20) * 1e-9 + widths**3.0 * (0.6 * aspect + 4) * 1e-10
    return float(np.sum(np.ceil(400 / widths) * one))


def _loss_curves_seconds(*, largest_width: int, aspect: float, method: str, sgd_runs: int, **_: object) -> float:
    simulated = len(SGD_WIDTHS) * sgd_runs * SGD_FLOPS * 4.5e-9
    if method == "large_width_limit":
        return 0.006 * width_family(largest_width).size + simulated
    return _random_matrix_seconds(width_family(min(largest_width, LARGEST_RANDOM_MATRIX)), aspect) + simulated


@experiment(seconds=_loss_curves_seconds)
def loss_curves(
    *,
    alpha: Alpha = 1.0,
    beta: Beta = 0.7,
    largest_width: LargestWidth = 10_000,
    aspect: Aspect = 4.0,
    batch: Batch = 1,
    step_fraction: StepFraction = 0.5,
    method: Method = "large_width_limit",
    sgd_runs: SgdRuns = 6,
    seed: Seed = 0,
) -> Iterator[tuple[float, LossCurves]]:
    """Loss against compute f = r B d for a range of widths from the Volterra equation, and the best of them.

    Curves are those of the large-width limit (235, its Volterra equation with the resolvent's fixed point), or exact
    for random features, the mean of 400/d draws of them. The envelope gives d*(f) and P*(f); measured exponents are fitted to its last two
    decades. Streaming SGD at widths 40 and 130 is compared with the exact curve of its own features.
    """
    rng = np.random.default_rng(seed)
    exact = method == "random_matrix"
    widths = width_family(min(largest_width, LARGEST_RANDOM_MATRIX) if exact else largest_width)
    last = last_flops(alpha, beta, int(widths[-1]), batch)
    flops = np.geomspace(FIRST_FLOPS, last, int(np.rint(np.log10(last / FIRST_FLOPS))) * POINTS_PER_DECADE + 1)
    table = np.full((widths.size, flops.size), np.inf)
    points: list[tuple[Array, Array, Array]] = []
    norm = 0.0

    def result(simulation: Simulation | None = None) -> LossCurves:
        width, compute, loss = (np.concatenate(column) for column in zip(*points, strict=True))
        frontier = envelope(widths.astype(float), flops, table)
        return LossCurves(width, compute, loss, frontier, simulation, alpha, beta, last, norm)

    total = _loss_curves_seconds(largest_width=largest_width, aspect=aspect, method=method, sgd_runs=sgd_runs)
    for k, width in enumerate(widths.tolist()):
        size = int(aspect * width)
        steps, inside = _steps(flops, width, batch)
        if steps.size:
            if exact:
                drawn = [features.draw_modes(rng, alpha, beta, width, size) for _ in range(_n_draws(width))]
                sizes = [step_fraction * features.modes_stability_limit(modes, batch) for modes in drawn]
                loss = np.mean([features.exact_curve(m, batch, g, steps) for m, g in zip(drawn, sizes, strict=True)], axis=0)
                norm = features.modes_kernel_norm(drawn[0], batch, sizes[0])
            else:
                population = features.power_law_population(alpha, beta, size)
                step_size = step_fraction * features.stability_limit(population, width, batch)
                loss = features.limit_curve(population, width, batch, step_size, steps)
                norm = features.kernel_norm(population, width, batch, step_size)
            # The envelope leaves out the first ten steps, where step counts are rounded.
            table[k, inside] = np.where(steps >= 10, loss, np.inf)
            fresh = np.unique(steps, return_index=True)[1]
            points.append((np.full(fresh.size, float(width)), (steps * width * batch)[fresh], loss[fresh]))
        if exact and k + 1 < widths.size and points:
            yield _random_matrix_seconds(widths[: k + 1], aspect) / total, result()
    if not sgd_runs:
        yield 1.0, result()
        return
    plan = [_plan_sgd(rng, width, alpha, beta, aspect, batch, step_fraction) for width in SGD_WIDTHS]
    empty = np.empty((0, sum(p.steps.size for p in plan)))
    simulation = Simulation(
        np.concatenate([np.full(p.steps.size, float(p.width)) for p in plan]),
        np.concatenate([p.steps * float(p.width * batch) for p in plan]),
        np.concatenate([features.exact_curve(p.modes, batch, p.step_size, p.steps) for p in plan]),
        empty,
    )
    for run in range(sgd_runs):
        losses = [
            features.stream_sgd(rng, p.modes.eigenvalue, p.modes.start, p.modes.unreachable, batch, p.step_size, p.steps)
            for p in plan
        ]
        simulation = replace(simulation, runs=np.concatenate([simulation.runs, np.concatenate(losses)[None]]))
        yield (run + 1) / sgd_runs if run + 1 == sgd_runs else 0.5 + 0.5 * (run + 1) / sgd_runs, result(simulation)


@dataclass(frozen=True)
class _Plan:
    width: int
    modes: features.Modes
    step_size: float
    steps: NDArray[np.int64]


def _plan_sgd(
    rng: np.random.Generator, width: int, alpha: float, beta: float, aspect: float, batch: int, step_fraction: float
) -> _Plan:
    modes = features.draw_modes(rng, alpha, beta, width, int(aspect * width))
    step_size = step_fraction * features.modes_stability_limit(modes, batch)
    most = max(2.0, SGD_FLOPS / (width * batch))
    return _Plan(width, modes, step_size, np.unique(np.rint(np.geomspace(1, most, 14)).astype(np.int64)))


# --- the terms of the loss -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Components(Result):
    """The terms of the loss against the number of steps, beside the loss itself."""

    steps: Array  # (n_steps,)
    terms: features.Terms
    loss: Array  # (n_steps,) the Volterra equation's, in the limit of large width
    corner: float | None  # r at which this width is compute-optimal: where the phase's two terms meet
    alpha: float
    beta: float
    kernel_norm: float

    def table(self) -> pl.DataFrame:
        terms = self.terms
        return pl.DataFrame(
            {
                "steps": self.steps,
                "loss": self.loss,
                "F_0": terms.unreachable,
                "F_pp": terms.target,
                "F_ac": terms.distortion,
                "K_pp/(gamma B)": terms.noise,
                "sum": terms.total,
            }
        ).with_columns(pl.col(pl.Float64).fill_nan(None))

    def headline(self) -> dict[str, float | str]:
        ratio = self.loss / self.terms.total
        here = phase_of(self.alpha, self.beta).item()
        row: dict[str, float | str] = {"phase": here}
        if here != NO_POWER_LAW:
            row["terms that meet"] = f"{PHASE_BY_NAME[here].falling} and {PHASE_BY_NAME[here].other}"
            row["optimal steps r*"] = "beyond these steps" if self.corner is None else self.corner
        return row | {
            "loss over sum, least": float(ratio.min()),
            "loss over sum, most": float(ratio.max()),
            "kernel norm": self.kernel_norm,
        }


@experiment
def components(
    *,
    alpha: Alpha = 1.0,
    beta: Beta = 0.7,
    width: Width = 1000,
    aspect: Aspect = 4.0,
    batch: Batch = 1,
    step_fraction: StepFraction = 0.5,
) -> Components:
    """The four terms of the loss at one width against training steps, and the loss itself (235, its decomposition).

    Each phase is named by the two terms that meet at its compute-optimal number of steps r*.
    """
    population = features.power_law_population(alpha, beta, int(aspect * width))
    step_size = step_fraction * features.stability_limit(population, width, batch)
    slowest = float(width) ** (2 * alpha) / (2 * step_size * batch)
    last = 10 ** np.clip(np.ceil(np.log10(slowest) + 0.5), 4, 18)
    steps = np.unique(np.rint(np.geomspace(1, last, 120)))
    loss = features.limit_curve(population, width, batch, step_size, steps)
    terms = features.loss_terms(alpha, beta, width, population, batch, step_size, steps)
    norm = features.kernel_norm(population, width, batch, step_size)
    return Components(steps, terms, loss, _corner(alpha, beta, steps, terms), alpha, beta, norm)


def _corner(alpha: float, beta: float, steps: Array, terms: features.Terms) -> float | None:
    """Where the phase's two terms first cross, by interpolation in log-log."""
    name = phase_of(alpha, beta).item()
    if name == NO_POWER_LAW:
        return None
    by_name = {"F_0": terms.unreachable, "F_pp": terms.target, "F_ac": terms.distortion, "K_pp": terms.noise}
    gap = np.log(by_name[PHASE_BY_NAME[name].falling]) - np.log(by_name[PHASE_BY_NAME[name].other])
    down = np.flatnonzero((gap[:-1] > 0) & (gap[1:] <= 0))
    if down.size == 0:
        return None
    i = down[0]
    x = np.log(steps)
    return float(np.exp(x[i] + (x[i + 1] - x[i]) * gap[i] / (gap[i] - gap[i + 1])))
