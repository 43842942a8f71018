"""Choosing sources: the gradient's path, accuracy against the mix and against size, prices of points, and the triangle of mixes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.parameters import Integer, ParameterError, Real, Seed
from compute.scaling_laws.source_selection.market import BEST_ACCURACY, Market, trained, training_seconds, with_market
from compute.scaling_laws.source_selection.projection import (
    PILOT_REPEATS,
    Projection,
    along,
    follow,
    look,
    reveal,
    transport_seconds,
)

Array = NDArray[np.float64]

Repeats = Annotated[
    int, Integer("trainings per point", "R", low=2, high=40, help="Fresh purchases trained on, at each measured point.")
]
Share = Annotated[
    float,
    Real(
        "share of the last source", "p_K", low=0.0, high=1.0, help="The others share the rest equally; where the gradient starts."
    ),
]


def percent(mix: Array) -> str:
    """A mix in words: 35 / 34 / 31 %."""
    return " / ".join(f"{100 * p:.0f}" for p in mix) + " %"


def mean_and_error(values: Array) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))


def verdict(projection: Projection, n: float) -> dict[str, float | str]:
    """How far to trust stage 1."""
    fails = projection.slope(n) >= 0
    trust: dict[str, float | str] = {"R² of stage 1 at N₁": projection.explained}
    return trust | ({"stage 1": "fails: accuracy is fitted to grow with distance"} if fails else {})


def _reveal_seconds(market: Market) -> float:
    sizes = (market.revealed_small, market.revealed_large)
    pilots = sum(training_seconds(market.learner, n, PILOT_REPEATS * market.pilot_mixes) for n in sizes)
    return 0.03 + pilots + transport_seconds(market, market.pilot_mixes)


# --- the gradient's path --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Purchase(Result):
    """The mix along the gradient of the transport distance."""

    points: Array  # (n, 2) revealed
    source: NDArray[np.int64]  # (n,)
    targets: Array  # (m, 2) validation points
    supplier: NDArray[np.int64]  # (n_steps, m) the revealed point that sends most to each validation point
    mixes: Array  # (n_steps, K)
    distance: Array  # (n_steps,)
    projected: Array  # (n_steps,) accuracy at the purchase, not clipped
    reach: float  # half the side of the square worth showing
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        steps = np.arange(self.distance.size)
        path = [
            pl.DataFrame(
                {
                    "what": f"source {k + 1}",
                    "step": steps.astype(float),
                    "share": self.mixes[:, k],
                    "transport_distance": self.distance,
                    "projected_accuracy": self.projected,
                }
            )
            for k in range(self.mixes.shape[1])
        ]
        clouds = [
            pl.DataFrame({"what": [f"revealed {k + 1}" for k in self.source], "x1": self.points[:, 0], "x2": self.points[:, 1]}),
            pl.DataFrame({"what": "validation", "x1": self.targets[:, 0], "x2": self.targets[:, 1]}),
        ]
        return pl.concat([*path, *clouds], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


def _purchase_seconds(seed: int, share: float, **values: object) -> float:
    market = Market(**values)  # type: ignore[arg-type]
    return _reveal_seconds(market) + transport_seconds(market, 12)  # a path ends where nothing is gained


@experiment(seconds=_purchase_seconds)
@with_market
def purchase(*, share: Share = 0.7, seed: Seed = 0, market: Market) -> Iterator[tuple[float, Purchase]]:
    """Follow the gradient of projected accuracy in the mix, by the dual potentials of transport, from a share of the last source."""
    pool, projection = reveal(market, seed)
    n = market.target_size
    path = follow(pool, share, upward=projection.slope(n) > 0)
    projected = projection.at(path.distances, n)
    supplier = np.stack([plan.plan.argmax(axis=0) for plan in path.plans])
    summary: dict[str, float | str] = {
        "chosen mix": percent(path.mixes[-1]),
        "transport distance": float(path.distances[-1]),
        "projected accuracy": float(np.clip(projected[-1], 0.0, 1.0)),
        "best any learner could do": BEST_ACCURACY,
    }
    reach = float(np.ceil(2 * max(3.0, market.covariate_shift + 2.0)) / 2)
    yield (
        1.0,
        Purchase(
            pool.points,
            pool.source,
            pool.targets,
            supplier,
            path.mixes,
            path.distances,
            projected,
            reach,
            summary | verdict(projection, n),
        ),
    )


# --- accuracy against the mix ----------------------------------------------------------------------------

SHARES = np.linspace(0.0, 1.0, 11)


@dataclass(frozen=True)
class MixCurve(Result):
    """Stage 1 on the pilots, and both stages along the share of the last source."""

    pilot_distance: Array  # (m,)
    pilot_accuracy: Array  # (2, m) at N0, N1
    sizes: tuple[float, float, float]  # N0, N1, N
    distance: Array  # (n_shares,) transport distance along the share
    share: Array  # (n_shares,)
    projected: Array  # (3, n_shares) at N0, N1, N, clipped to [0, 1]
    measured: Array  # (n_done,) mean accuracy at N
    measured_error: Array
    fit_distance: Array  # (2,) the ends of the fitted lines
    fit_accuracy: Array  # (2, 2)
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        parts = []
        for name, size, values in zip(("N0", "N1", "N"), self.sizes, self.projected, strict=True):
            parts.append(
                pl.DataFrame(
                    {
                        "what": f"projected at {name}",
                        "n_samples": float(size),
                        "share_of_last": self.share,
                        "transport_distance": self.distance,
                        "accuracy": values,
                    }
                )
            )
        for name, size, values in zip(("N0", "N1"), self.sizes, self.pilot_accuracy, strict=False):
            parts.append(
                pl.DataFrame(
                    {
                        "what": f"pilot at {name}",
                        "n_samples": float(size),
                        "transport_distance": self.pilot_distance,
                        "accuracy": values,
                    }
                )
            )
        done = self.measured.size
        parts.append(
            pl.DataFrame(
                {
                    "what": "measured at N",
                    "n_samples": float(self.sizes[2]),
                    "share_of_last": self.share[:done],
                    "accuracy": self.measured,
                    "standard_error": self.measured_error,
                }
            )
        )
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


def _mix_seconds(repeats: int, seed: int, **values: object) -> float:
    market = Market(**values)  # type: ignore[arg-type]
    learning = training_seconds(market.learner, market.target_size, repeats * SHARES.size)
    return _reveal_seconds(market) + transport_seconds(market, SHARES.size) + learning


@experiment(seconds=_mix_seconds)
@with_market
def mix_curve(*, repeats: Repeats = 4, seed: Seed = 0, market: Market) -> Iterator[tuple[float, MixCurve]]:
    """Projected and measured accuracy against the share of the last source, with the pilots that stage 1 was fitted to."""
    pool, projection = reveal(market, seed)
    mixes = along(SHARES, market.sources)
    distance = pool.distances(mixes)
    sizes = (market.revealed_small, market.revealed_large, market.target_size)
    raw = np.stack([projection.at(distance, n) for n in sizes])
    ends = np.array([min(distance.min(), projection.distance.min()), max(distance.max(), projection.distance.max())])
    lines = np.stack([projection.at(ends, n) for n in sizes[:2]])
    chosen = int(np.argmax(raw[2]))
    mean, error = [], []
    rng = np.random.default_rng([seed, 3])
    for at, mix in enumerate(mixes):
        found = mean_and_error(trained(market, mix, market.target_size, repeats, rng))
        mean.append(found[0])
        error.append(found[1])
        summary: dict[str, float | str] = {
            "share chosen": float(SHARES[chosen]),
            "projected accuracy": float(np.clip(raw[2, chosen], 0.0, 1.0)),
        }
        if at == SHARES.size - 1:
            summary |= {
                "measured accuracy there": mean[chosen],
                "regret against the best share": max(mean) - mean[chosen],
                "projected − measured, standard errors": float(
                    (np.clip(raw[2, chosen], 0, 1) - mean[chosen]) / max(error[chosen], 1e-6)
                ),
            }
        result = MixCurve(
            projection.distance,
            projection.accuracy,
            sizes,
            distance,
            SHARES,
            np.clip(raw, 0.0, 1.0),
            np.array(mean),
            np.array(error),
            ends,
            np.clip(lines, 0.0, 1.0),
            summary | verdict(projection, market.target_size),
        )
        yield (at + 1) / SHARES.size, result


# --- accuracy against size -------------------------------------------------------------------------------

CURVE = np.geomspace(30, 1e5, 60)
TRAINED_SIZES = (30, 60, 120, 250, 500, 1000, 2000, 5000, 10_000, 30_000, 100_000)


@dataclass(frozen=True)
class SizeCurve(Result):
    """Accuracy against the size of the purchase, for three mixes."""

    n_samples: Array  # (n_curve,)
    projected: dict[str, Array]  # each (n_curve,), clipped to [0, 1]
    drawn: Array  # (n_drawn,) sizes trained at
    measured: dict[str, Array]
    measured_error: dict[str, Array]
    revealed: tuple[float, float]
    best: float
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        parts = []
        for name, values in self.projected.items():
            parts.append(pl.DataFrame({"mix": name, "what": "projected", "n_samples": self.n_samples, "accuracy": values}))
            done = self.measured[name].size
            parts.append(
                pl.DataFrame(
                    {
                        "mix": name,
                        "what": "measured",
                        "n_samples": self.drawn[:done],
                        "accuracy": self.measured[name],
                        "standard_error": self.measured_error[name],
                    }
                )
            )
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


def _sizes(target: int) -> list[int]:
    return [n for n in TRAINED_SIZES if n < target] + [target]


def _size_seconds(repeats: int, seed: int, **values: object) -> float:
    market = Market(**values)  # type: ignore[arg-type]
    learning = sum(training_seconds(market.learner, n, 3 * repeats) for n in _sizes(market.target_size))
    return _purchase_seconds(seed, 0.7, **values) + learning


@experiment(seconds=_size_seconds)
@with_market
def size_curve(*, repeats: Repeats = 4, seed: Seed = 0, market: Market) -> Iterator[tuple[float, SizeCurve]]:
    """Stage 2: accuracy projected in log N from two revealed sizes, against trainings up to the purchase."""
    pool, projection = reveal(market, seed)
    chosen = follow(pool, 1 / market.sources, upward=projection.slope(market.target_size) > 0).mixes[-1]
    k = market.sources
    mixes = {"chosen mix": chosen, "first source only": np.eye(k)[0], "last source only": np.eye(k)[-1]}
    raw = {name: projection.at(pool.transport(mix).value, CURVE) for name, mix in mixes.items()}
    drawn = _sizes(market.target_size)
    mean: dict[str, list[float]] = {name: [] for name in mixes}
    error: dict[str, list[float]] = {name: [] for name in mixes}
    over = CURVE[raw["chosen mix"] > BEST_ACCURACY]
    summary: dict[str, float | str] = {
        "chosen mix": percent(chosen),
        "projection passes the best possible at N =": float(over[0]) if over.size else "never, below 100,000",
    }
    rng = np.random.default_rng([seed, 4])
    for at, n in enumerate(drawn):
        for name, mix in mixes.items():
            found = mean_and_error(trained(market, mix, n, repeats, rng))
            mean[name].append(found[0])
            error[name].append(found[1])
        if at == len(drawn) - 1:
            projected = float(np.clip(projection.at(pool.transport(chosen).value, n), 0, 1))
            summary |= {"projected accuracy": projected, "measured accuracy": mean["chosen mix"][-1]}
            summary["projected − measured, standard errors"] = (projected - mean["chosen mix"][-1]) / max(
                error["chosen mix"][-1], 1e-6
            )
        result = SizeCurve(
            CURVE,
            {name: np.clip(values, 0.0, 1.0) for name, values in raw.items()},
            np.array(drawn, dtype=float),
            {name: np.array(values) for name, values in mean.items()},
            {name: np.array(values) for name, values in error.items()},
            projection.sizes,
            BEST_ACCURACY,
            summary | verdict(projection, market.target_size),
        )
        yield (at + 1) / len(drawn), result


# --- prices of points ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prices(Result):
    """Dual potentials of the revealed points: what a little more weight on each does to the distance."""

    points: Array  # (n, 2)
    source: NDArray[np.int64]
    label: NDArray[np.int64]
    price: Array  # (n,) centered dual potential
    gradient: Array  # (K,) its mean by source
    check: Array  # (K,) the same by finite differences of the distance
    mix: Array  # (K,)
    reach: float
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        each = pl.DataFrame(
            {
                "what": [f"point of source {k + 1}" for k in self.source],
                "source": self.source + 1.0,
                "x1": self.points[:, 0],
                "x2": self.points[:, 1],
                "label": self.label.astype(float),
                "price": self.price,
            }
        )
        number = np.arange(1.0, self.mix.size + 1)
        means = pl.DataFrame(
            {
                "what": "mean of a source",
                "source": number,
                "price": self.gradient,
                "finite_difference": self.check,
                "share": self.mix,
            }
        )
        return pl.concat([each, means], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment(seconds=lambda share, seed, **values: 0.02 + 3 * transport_seconds(Market(**values), 2 + values["sources"]))
@with_market
def prices(*, share: Share = 0.7, seed: Seed = 0, market: Market) -> Iterator[tuple[float, Prices]]:
    """Dual potential of every revealed point at a mix, and its mean on each source: the gradient of the distance."""
    pool, _, _ = look(market, seed)
    k = market.sources
    mix = along(np.array([share]), k)[0]
    fine = 1e-6  # the difference of two values must not drown in their error
    found = pool.transport(mix, tolerance=fine)
    gradient = pool.gradient(found)
    step = 1e-4
    moved = [pool.transport((1 - step) * mix + step * vertex, found.second, fine).value for vertex in np.eye(k)]
    check = (np.array(moved) - found.value) / step
    best = int(np.argmin(gradient))
    summary: dict[str, float | str] = {
        "transport distance": found.value,
        "buy more of source": str(best + 1),
        "distance falls there by, per unit of share": float(np.maximum(-(gradient[best] - mix @ gradient), 0.0)),
    }
    reach = float(np.ceil(2 * max(3.0, market.covariate_shift + 2.0)) / 2)
    price = found.first - mix @ found.first.reshape(k, -1).mean(axis=1)
    yield (
        1.0,
        Prices(
            pool.points, pool.source, pool.labels.astype(np.int64), price, gradient - mix @ gradient, check, mix, reach, summary
        ),
    )


# --- the triangle ----------------------------------------------------------------------------------------

STEPS = 8
TRIANGLE = np.array([(i, j, STEPS - i - j) for i in range(STEPS + 1) for j in range(STEPS + 1 - i)]) / STEPS
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])


@dataclass(frozen=True)
class Triangle(Result):
    """Projected and measured accuracy over all mixes of three sources."""

    place: Array  # (n, 2) in the triangle
    mix: Array  # (n, 3)
    projected: Array  # (n,) clipped to [0, 1]
    measured: Array  # (n_done,)
    measured_error: Array  # (n_done,)
    path: Array  # (n_steps, 2) of the gradient
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        done = self.measured.size
        missing = [None] * (self.mix.shape[0] - done)
        nodes = pl.DataFrame(
            {
                "what": "mix",
                "x": self.place[:, 0],
                "y": self.place[:, 1],
                **{f"share_{k + 1}": self.mix[:, k] for k in range(3)},
                "projected_accuracy": self.projected,
                "measured_accuracy": pl.Series([*self.measured.tolist(), *missing], dtype=pl.Float64),
                "standard_error": pl.Series([*self.measured_error.tolist(), *missing], dtype=pl.Float64),
            }
        )
        return pl.concat(
            [nodes, pl.DataFrame({"what": "gradient path", "x": self.path[:, 0], "y": self.path[:, 1]})], how="diagonal"
        )

    def headline(self) -> dict[str, float | str]:
        return self.summary


def _triangle_seconds(share: float, repeats: int, seed: int, **values: object) -> float:
    market = Market(**values)  # type: ignore[arg-type]
    n = len(TRIANGLE)
    learning = training_seconds(market.learner, market.target_size, repeats * n)
    return _purchase_seconds(seed, share, **values) + transport_seconds(market, n) + learning


@experiment(seconds=_triangle_seconds)
@with_market
def triangle(*, share: Share = 0.7, repeats: Repeats = 4, seed: Seed = 0, market: Market) -> Iterator[tuple[float, Triangle]]:
    """Accuracy over the simplex of three sources: what the two stages project, and what trainings give."""
    if market.sources != 3:
        raise ParameterError("sources", "has to be 3 here, the corners of the triangle.")
    pool, projection = reveal(market, seed)
    n = market.target_size
    path = follow(pool, share, upward=projection.slope(n) > 0).mixes
    raw = projection.at(pool.distances(TRIANGLE), n)
    mean, error = [], []
    rng = np.random.default_rng([seed, 5])
    chosen = int(np.argmin(np.sum((TRIANGLE - path[-1]) ** 2, axis=1)))
    for at, mix in enumerate(TRIANGLE):
        found = mean_and_error(trained(market, mix, n, repeats, rng))
        mean.append(found[0])
        error.append(found[1])
        if at % 9 and at < len(TRIANGLE) - 1:
            continue
        summary: dict[str, float | str] = {"chosen mix": percent(path[-1])}
        if at == len(TRIANGLE) - 1:
            best = int(np.argmax(mean))
            summary |= {
                "best mix measured": percent(TRIANGLE[best]),
                "regret": mean[best] - mean[chosen],
                "standard error of the regret": float(np.hypot(error[best], error[chosen])),
                "correlation of projected and measured": float(np.corrcoef(raw, mean)[0, 1]),
            }
        summary |= verdict(projection, n)
        yield (
            (at + 1) / len(TRIANGLE),
            Triangle(TRIANGLE @ CORNERS, TRIANGLE, np.clip(raw, 0, 1), np.array(mean), np.array(error), path @ CORNERS, summary),
        )
