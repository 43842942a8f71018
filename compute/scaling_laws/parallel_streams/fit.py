"""Fit the law of parallel streams to runs: the gain k by its profile, everything else by the log-Huber fit at each k."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.bootstrap import bootstrap, interval, resample_counts
from compute.methods.power_law import PowerLawForm, fit_log_huber, refit_log_huber
from compute.parameters import Column, Dataset, LogInteger, LogReal, ParameterError, Seed
from compute.scaling_laws.parallel_streams.law import (
    FITTED_PARAMETERS,
    Corpus,
    Exponent,
    Gain,
    Offset,
    Scale,
    StreamLaw,
    fitted_loss,
    implied_correlation,
    law_of,
)

Array = NDArray[np.float64]

FORM = PowerLawForm(((0,), (1,)))  # E + c x^-alpha, x = N (k ln P + 1)
HUBER_DELTA = 1e-3
LEVEL = 0.8
GAINS = np.linspace(0.0, 1.5, 31)
PLANTED_SIZES = np.geomspace(*FITTED_PARAMETERS, 6)
PLANTED_STREAMS = (1.0, 2.0, 4.0, 8.0)
SHOWN = np.geomspace(1, 64, 49)

TEMPLATE = """N,P,loss
5.36e8,1,1.1722
5.36e8,2,1.1507
5.36e8,4,1.1354
5.36e8,8,1.1231
1.6e9,1,1.0817
1.6e9,2,1.0640
1.6e9,4,1.0504
1.6e9,8,1.0393
4.4e9,1,1.0131
4.4e9,2,0.9985
4.4e9,4,0.9870
4.4e9,8,0.9781
"""
RUNS = Dataset(
    "your runs",
    columns=(
        Column("N", "parameters", low=1e4, high=1e14),
        Column("P", "parallel streams", low=1, high=1e6),
        Column("loss", "final loss", low=1e-4, high=100),
    ),
    template=TEMPLATE,
    help="A CSV of runs to fit in place of the planted ones: N, P, loss.",
)
Table = Annotated[pl.DataFrame | None, RUNS]
Noise = Annotated[float, LogReal("noise of log loss", r"\sigma", low=1e-5, high=2e-2, help="Of the planted runs.")]
Refits = Annotated[int, LogInteger("bootstrap refits", low=20, high=1000)]


@dataclass(frozen=True)
class StreamFit(Result):
    """The law fitted to runs, with the correlation it implies."""

    n: Array  # (n_runs,)
    p: Array  # (n_runs,)
    loss: Array  # (n_runs,)
    law: StreamLaw
    size: Array  # (n_sizes,)
    curves: dict[float, Array]  # streams -> (n_sizes,) fitted loss
    streams: Array  # (n_streams,)
    implied: Array  # (n_streams,)
    low: Array  # (n_streams,)
    high: Array  # (n_streams,)
    intervals: dict[str, tuple[float, float]]
    truth: StreamLaw | None
    true_implied: Array | None  # (n_streams,)
    residual: float  # root mean square of log residuals

    def table(self) -> pl.DataFrame:
        runs = pl.DataFrame({"kind": "run", "N": self.n, "P": self.p, "loss": self.loss})
        curves = [pl.DataFrame({"kind": "fit", "N": self.size, "P": p, "loss": y}) for p, y in self.curves.items()]
        implied = pl.DataFrame(
            {
                "kind": "implied correlation",
                "P": self.streams,
                "correlation": self.implied,
                "low_80": self.low,
                "high_80": self.high,
            }
        )
        return pl.concat([runs, *curves, implied], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {}
        for name, value in (("E", self.law.E), ("A", self.law.A), ("α", self.law.alpha), ("k", self.law.k)):
            low, high = self.intervals[name]
            known = "" if self.truth is None else f", truth {dict(zip('EAαk', self.truth, strict=True))[name]:.4g}"
            found[name] = f"{value:.4g} ({low:.4g} to {high:.4g}){known}"
        found["root mean square of log residuals"] = self.residual
        return found


def _variables(n: Array, p: Array, k: float) -> Array:
    return (n * (k * np.log(p) + 1))[:, None]


def _huber(residual: Array) -> Array:
    size = np.abs(residual)
    return np.where(size <= HUBER_DELTA, 0.5 * size**2, HUBER_DELTA * (size - 0.5 * HUBER_DELTA))


def profile(n: Array, p: Array, loss: Array, counts: Array, gains: Array) -> Array:
    """(n_fits, 4) E, log A, alpha and k of least objective under each row of weights, k from a grid.

    At every k the rest is an ordinary sum of power laws; the vertex of the parabola through the three best k, and the
    other constants interpolated to it, are the answer.
    """
    parameters = np.empty((gains.size, len(counts), 3))
    objective = np.empty((gains.size, len(counts)))
    log_loss = np.log(loss)
    start: Array | None = None
    for g, k in enumerate(gains):
        x = _variables(n, p, k)
        fit = fit_log_huber(FORM, x, loss, huber_delta=HUBER_DELTA, starts=start)
        start = fit.parameters[None]  # the next k is near
        parameters[g] = refit_log_huber(fit, x, loss, counts, huber_delta=HUBER_DELTA)
        theta, gamma = parameters[g, :, :2], parameters[g, :, 2]
        log_fit = np.logaddexp(theta[:, :1], theta[:, 1:] - gamma[:, None] * np.log(x[:, 0]))
        objective[g] = np.sum(counts * _huber(log_fit - log_loss), axis=1)
    rows = np.arange(len(counts))
    best = np.clip(np.argmin(objective, axis=0), 1, gains.size - 2)
    left, middle, right = (objective[best + move, rows] for move in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = np.clip(0.5 * (left - right) / np.where(bend > 0, bend, np.inf), -1.0, 1.0)
    here, other = parameters[best, rows], parameters[best + np.where(shift > 0, 1, -1), rows]
    theta_e, theta_a, alpha = (here + np.abs(shift)[:, None] * (other - here)).T
    log_a = theta_a / np.where(np.abs(alpha) > 1e-3, alpha, np.nan)  # the coefficient is A^alpha
    return np.column_stack([np.exp(theta_e), log_a, alpha, gains[best] + shift * (gains[1] - gains[0])])


def around(center: float, reach: float) -> Array:
    """Nine gains about one, none negative: a negative k would make streams harmful."""
    low = max(0.0, center - reach)
    return np.linspace(low, low + 2 * reach, 9)


def _seconds(*, n_refits: int, runs: pl.DataFrame | None, **_: object) -> float:
    rows = 24 if runs is None else runs.height
    return 0.06 + 9 * n_refits * 1.5e-4 * max(1.0, rows / 12)


@experiment(seconds=_seconds)
def stream_fit(
    *,
    corpus: Corpus = "stack",
    noise_sigma: Noise = 1e-3,
    n_refits: Refits = 60,
    runs: Table = None,
    offset: Offset = 0.69,
    scale: Scale = 1.13e7,
    exponent: Exponent = 0.189,
    gain: Gain = 0.39,
    seed: Seed = 0,
) -> Iterator[tuple[float, StreamFit]]:
    """Fit E, A, alpha and k to runs (N, P, loss) by the log-Huber objective, with a bootstrap over the runs.

    Without a table, 24 runs are planted: six sizes of the published range at 1, 2, 4 and 8 streams.

    Raises
    ------
    ParameterError
        Where the runs do not identify the law.
    """
    truth = None
    if runs is None:
        truth = law_of(corpus, offset, scale, exponent, gain)
        n, p = (v.ravel() for v in np.meshgrid(PLANTED_SIZES, np.array(PLANTED_STREAMS), indexing="ij"))
        loss = fitted_loss(truth, n, p) * np.exp(noise_sigma * np.random.default_rng([seed, 1]).standard_normal(n.size))
    else:
        n, p, loss = (runs[c].to_numpy() for c in ("N", "P", "loss"))
        if n.size < 6 or np.unique(n).size < 3 or np.unique(p).size < 2:
            raise ParameterError(
                "runs", "do not identify the law; bring 6 runs or more, at 3 sizes and 2 numbers of streams or more."
            )
    once = np.ones((1, n.size))
    coarse = float(profile(n, p, loss, once, GAINS)[0, 3])
    full = profile(n, p, loss, once, around(coarse, 0.04))[0]
    blame = "runs" if runs is not None else "noise_sigma"
    if not (np.all(np.isfinite(full)) and full[2] > 0.005 and full[1] < 200):
        raise ParameterError(blame, "leave the law without a falling power of N; bring more sizes, or less noise.")
    law = StreamLaw(float(full[0]), float(np.exp(full[1])), float(full[2]), float(full[3]))
    size = np.geomspace(min(n.min(), 5e8) / 1.5, max(n.max(), 4.4e9) * 1.5, 40)
    shown = [float(v) for v in np.unique(p)][:8]
    log_fit = np.log(fitted_loss(law, n, p))
    # A pilot tells how far refits of k go; the grid must hold them and be no wider than it need be.
    pilot = profile(n, p, loss, resample_counts(np.random.default_rng([seed, 3]), n.size, 20), around(law.k, 0.3))
    reach = float(np.clip(4 * np.std(pilot[:, 3]), 0.01, 0.6))
    gains = around(law.k, reach)
    stream = bootstrap(
        lambda counts: profile(n, p, loss, counts, gains),
        n.size,
        n_refits,
        np.random.default_rng([seed, 2]),
        chunk=max(20, n_refits // 5),
    )
    for done, found in stream:
        refits = found[np.all(np.isfinite(found), axis=1) & (found[:, 1] < 200)]
        bands = (np.array([law.E, np.log(law.A), law.alpha, law.k]),) * 2 if len(refits) < 2 else interval(refits, LEVEL)
        rho = implied_correlation(law.k, law.alpha, SHOWN)
        of_refits = implied_correlation(refits[:, 3:], refits[:, 2:3], SHOWN) if len(refits) >= 2 else rho[None].repeat(2, axis=0)
        low, high = interval(of_refits, LEVEL)
        ends = np.stack(bands)
        ends[:, 1] = np.exp(ends[:, 1])
        yield (
            done,
            StreamFit(
                n,
                p,
                loss,
                law,
                size,
                {v: fitted_loss(law, size, v) for v in shown},
                SHOWN,
                rho,
                low,
                high,
                {name: (float(ends[0, c]), float(ends[1, c])) for c, name in enumerate("EAαk")},
                truth,
                None if truth is None else implied_correlation(truth.k, truth.alpha, SHOWN),
                float(np.sqrt(np.mean((log_fit - np.log(loss)) ** 2))),
            ),
        )
