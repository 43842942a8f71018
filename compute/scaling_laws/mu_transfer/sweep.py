"""A sweep of the learning rate at several widths, in two ways of scaling it: its best rates and their slope in width."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import linregress

from compute.experiment import Result

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """Losses of one parametrization.

    Parameters
    ----------
    name : str
    theory_slope : float
        Of the log of the best rate in log width, at large width.
    width : list of int
    rate : list of (n_rates,) arrays
        One for each width.
    loss : list of (n_seeds, n_rates) arrays
        Infinite where a network diverged.
    limit_rate : float, optional
        Best rate of the infinitely wide network; at width n times n^theory_slope.
    """

    name: str
    theory_slope: float
    width: list[int]
    rate: list[Array]
    loss: list[Array]
    limit_rate: float | None = None

    def mean(self, k: int) -> Array:
        """(n_rates,) geometric mean over seeds at the k-th width, NaN where a network diverged."""
        with np.errstate(divide="ignore"):
            logs = np.log(self.loss[k]).mean(axis=0)
        return np.where(np.isfinite(logs), np.exp(logs), np.nan)

    def curve(self, k: int) -> tuple[Array, Array]:
        """(rates, mean losses) at the k-th width, where no network diverged."""
        mean = self.mean(k)
        kept = np.isfinite(mean)
        return self.rate[k][kept], mean[kept]

    def best(self, k: int) -> Array:
        """(n_seeds,) rate of the lowest loss of each seed."""
        return np.array([best_rate(self.rate[k], loss) for loss in self.loss[k]])

    def best_mean(self) -> tuple[Array, Array]:
        """Geometric mean over seeds of the best rate at each width, and the standard error of its log."""
        logs = [np.log(self.best(k)) for k in range(len(self.width))]
        return np.exp([v.mean() for v in logs]), np.array([v.std(ddof=1) / np.sqrt(v.size) for v in logs])

    def lowest(self) -> Array:
        """(n_widths,) lowest mean loss."""
        return np.array([np.nanmin(self.mean(k)) for k in range(len(self.width))])

    def marks(self) -> tuple[Array, Array]:
        """(rate, loss) of the lowest point of each width's curve, to be marked on it."""
        places = [int(np.nanargmin(self.mean(k))) for k in range(len(self.width))]
        return np.array([r[p] for r, p in zip(self.rate, places, strict=True)]), self.lowest()

    def slope(self) -> tuple[float, float] | None:
        """Of the best rate in width and its standard error, None of one width."""
        if len(self.width) < 2:
            return None
        bests = [self.best(k) for k in range(len(self.width))]
        x = np.concatenate([np.full(b.size, np.log(n)) for n, b in zip(self.width, bests, strict=True)])
        line = linregress(x, np.log(np.concatenate(bests)))
        return float(line.slope), float(line.stderr)

    def transfer(self) -> str:
        """Loss of the widest at the narrowest's best rate, over its lowest."""
        rate, mean = self.curve(-1)
        at = float(self.best_mean()[0][0])
        if at > rate[-1]:
            return "diverges" if rate[-1] < self.rate[-1][-1] else "beyond the rates tried"
        if at < rate[0]:
            return "below the rates tried"
        return f"× {float(np.exp(np.interp(np.log(at), np.log(rate), np.log(mean)))) / self.lowest()[-1]:.2f}"


def best_rate(rate: Array, loss: Array) -> float:
    """Rate of the lowest loss: the vertex of a parabola in logs through it and its neighbors, where they exist."""
    k = int(np.argmin(np.where(np.isfinite(loss), loss, np.inf)))
    if not 0 < k < rate.size - 1 or not np.isfinite(loss[k + 1]) or loss[k] <= 0:
        return float(rate[k])
    low, middle, high = np.log(loss[k - 1 : k + 2])
    bend = low - 2 * middle + high
    shift = 0.5 * (low - high) / bend if bend > 0 else 0.0
    return float(rate[k] * (rate[k + 1] / rate[k]) ** shift)


@dataclass(frozen=True)
class RateSweep(Result):
    """Two arms side by side; the first is the one that drifts."""

    arms: tuple[Arm, ...]

    def table(self) -> pl.DataFrame:
        frames = []
        for arm in self.arms:
            best, error = arm.best_mean()
            lowest = arm.lowest()
            for k, n in enumerate(arm.width):
                rate, mean = arm.curve(k)
                frames.append(
                    pl.DataFrame({"parametrization": [arm.name] * rate.size, "width": n, "learning_rate": rate, "loss": mean})
                )
            width = np.array(arm.width, dtype=float)
            frames.append(
                pl.DataFrame(
                    {
                        "parametrization": [arm.name] * best.size,
                        "width": arm.width,
                        "best_learning_rate": best,
                        "best_learning_rate_log_standard_error": error,
                        "lowest_loss": lowest,
                        "theory_best_learning_rate": [None] * best.size
                        if arm.limit_rate is None
                        else arm.limit_rate * width**arm.theory_slope,
                    },
                    schema_overrides={"theory_best_learning_rate": pl.Float64},
                )
            )
        return pl.concat(frames, how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {}
        for arm in self.arms:
            slope = arm.slope()
            if slope is not None:
                found[f"slope of the best rate, {arm.name}"] = f"{slope[0]:.2f} ± {slope[1]:.2f}, theory {arm.theory_slope:g}"
        for arm in self.arms:
            if len(arm.width) > 1:
                found[f"widest at the narrowest's best rate, {arm.name}"] = arm.transfer()
        return found or {"width done": float(self.arms[0].width[-1])}
