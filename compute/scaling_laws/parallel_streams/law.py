r"""What P parallel streams do to the loss: the fitted law, and the mean of P predictors whose errors are correlated.

Fitted (paper 039): L = E + (A / (N (k ln P + 1)))^alpha. Theory: a mean of P predictors whose residuals have correlation rho
has the reducible loss of one times (1 + (P - 1) rho)/P, so L = E + (A/N)^alpha (1 + (P - 1) rho)/P. The two agree where
rho(P) = (P (k ln P + 1)^-alpha - 1)/(P - 1).

References
----------
Chen et al., "Parallel Scaling Law for Language Models" (2025), paper 039 of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from compute.experiment import Result, experiment
from compute.parameters import Choice, LogInteger, LogReal, Real

Array = NDArray[np.float64]


class StreamLaw(NamedTuple):
    """Irreducible loss, scale in parameters, exponent, and gain of a factor e in streams."""

    E: float
    A: float
    alpha: float
    k: float


# Fitted constants of paper 039 (N without embeddings), to runs of 0.5B to 4.4B parameters and 1 to 8 streams.
PUBLISHED = {
    "stack": StreamLaw(0.6913, 1.130e7, 0.1894, 0.3935),
    "pile": StreamLaw(1.2889, 1.972e8, 0.1964, 0.3344),
}
MEASURED = {
    "stack": ((535_813_376.0, 1, 1.1722), (1_595_669_000.0, 8, 1.0383)),
    "pile": ((535_813_376.0, 1, 2.1113),),
}
FITTED_PARAMETERS, FITTED_STREAMS = (5.36e8, 4.4e9), (1, 8)
STREAMS = (1, 2, 4, 8, 16, 32, 64)
CORPORA = (*PUBLISHED, "custom")

Parameters = Annotated[float, LogReal("parameters", "N", low=1e8, high=1e11, help="Without embeddings.")]
Streams = Annotated[int, LogInteger("parallel streams", "P", low=1, high=64)]
Corpus = Annotated[str, Choice("corpus", options=CORPORA, help="Published constants, or your own under custom.")]
Gain = Annotated[float, Real("custom: gain of streams", "k", low=0.0, high=1.0, when=("corpus", ("custom",)))]
Exponent = Annotated[float, Real("custom: exponent", r"\alpha", low=0.05, high=0.5, when=("corpus", ("custom",)))]
Offset = Annotated[float, Real("custom: irreducible loss", "E", low=0.0, high=3.0, when=("corpus", ("custom",)))]
Scale = Annotated[float, LogReal("custom: scale", "A", low=1e4, high=1e10, unit="parameters", when=("corpus", ("custom",)))]
Correlation = Annotated[float, Real("correlation of residuals", r"\rho", low=0.0, high=1.0)]


def law_of(corpus: str, offset: float, scale: float, exponent: float, gain: float) -> StreamLaw:
    """The published constants of a corpus, or the reader's."""
    return PUBLISHED.get(corpus, StreamLaw(offset, scale, exponent, gain))


def multiplier(law: StreamLaw, streams: ArrayLike) -> Array:
    """k ln P + 1: parameters that P streams are worth."""
    return law.k * np.log(np.asarray(streams, dtype=float)) + 1


def fitted_loss(law: StreamLaw, n_parameters: ArrayLike, streams: ArrayLike) -> Array:
    """E + (A/(N (k ln P + 1)))^alpha, broadcast."""
    return law.E + (law.A / (np.asarray(n_parameters, dtype=float) * multiplier(law, streams))) ** law.alpha


def variance_factor(streams: ArrayLike, correlation: ArrayLike) -> Array:
    """(1 + (P - 1) rho)/P: variance of a mean of P equicorrelated errors of unit variance."""
    p, rho = np.asarray(streams, dtype=float), np.asarray(correlation, dtype=float)
    return (1 + (p - 1) * rho) / p


def correlated_loss(law: StreamLaw, n_parameters: ArrayLike, streams: ArrayLike, correlation: ArrayLike) -> Array:
    """E + (A/N)^alpha (1 + (P - 1) rho)/P, broadcast."""
    return law.E + (law.A / np.asarray(n_parameters, dtype=float)) ** law.alpha * variance_factor(streams, correlation)


def correlated_multiplier(law: StreamLaw, streams: ArrayLike, correlation: ArrayLike) -> Array:
    """Parameters that P streams of correlation rho are worth: the variance factor to the power -1/alpha."""
    return variance_factor(streams, correlation) ** (-1 / law.alpha)


def implied_correlation(gain: ArrayLike, exponent: ArrayLike, streams: ArrayLike) -> Array:
    """rho(P) at which the two forms agree; 1 - alpha k at P = 1, its limit."""
    k, alpha, p = (np.asarray(v, dtype=float) for v in (gain, exponent, streams))
    more = np.maximum(p, 1 + 1e-9)
    rho = (more * (k * np.log(more) + 1) ** -alpha - 1) / (more - 1)
    return np.where(p > 1 + 1e-6, rho, 1 - alpha * k)


# --- loss against size -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossCurves(Result):
    """Loss against parameters for each number of streams, and against streams at your size, by law and by theory."""

    n: Array  # (n_sizes,)
    streams: Array  # (n_streams,)
    fitted: Array  # (n_streams, n_sizes)
    many: Array  # (n_many,) streams
    fitted_here: Array  # (n_many,) at your N
    constant_here: Array  # (n_many,) constant correlation, at your N
    saturated: Array  # (n_sizes,) constant correlation as P grows without bound
    measured: tuple[tuple[float, int, float], ...]  # N, P, loss of published runs
    law: StreamLaw
    here: tuple[float, int, float]  # N, P, fitted loss
    correlation: float

    def table(self) -> pl.DataFrame:
        curves = pl.DataFrame(
            {"N": np.tile(self.n, self.streams.size), "P": np.repeat(self.streams, self.n.size), "fitted_loss": self.fitted.ravel()}
        )
        theory = pl.DataFrame({"N": self.n, "limit_at_constant_correlation": self.saturated})
        here = pl.DataFrame(
            {
                "N": self.here[0],
                "P": self.many,
                "fitted_loss": self.fitted_here,
                "loss_at_constant_correlation": self.constant_here,
            }
        )
        runs = pl.DataFrame(
            {
                "N": [r[0] for r in self.measured],
                "P": [float(r[1]) for r in self.measured],
                "published_loss": [r[2] for r in self.measured],
            },
            schema={"N": pl.Float64, "P": pl.Float64, "published_loss": pl.Float64},
        )
        return pl.concat([curves, here, theory, runs], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        n, p, loss = self.here
        gap: float | str = "no published runs for these constants"
        if self.measured:
            gap = max(abs(float(fitted_loss(self.law, size, s)) - seen) for size, s, seen in self.measured)
        return {
            "loss at your N, P": loss,
            "parameter multiplier k ln P + 1": float(multiplier(self.law, p)),
            "one model of the same loss, parameters": n * float(multiplier(self.law, p)),
            "implied correlation": float(implied_correlation(self.law.k, self.law.alpha, p)),
            "loss at constant correlation": float(correlated_loss(self.law, n, p, self.correlation)),
            "largest gap to the published runs shown": gap,
        }


@experiment
def loss_curves(
    *,
    parameters: Parameters = 1.6e9,
    streams: Streams = 8,
    corpus: Corpus = "stack",
    correlation: Correlation = 0.88,
    offset: Offset = 0.69,
    scale: Scale = 1.13e7,
    exponent: Exponent = 0.189,
    gain: Gain = 0.39,
) -> LossCurves:
    """Loss against parameters for 1 to 64 streams by the fitted law, with the form of constant correlation beside it."""
    law = law_of(corpus, offset, scale, exponent, gain)
    n, p = np.geomspace(1e8, 1e11, 61), np.array(STREAMS, dtype=float)
    many = np.geomspace(1, STREAMS[-1], 61)
    return LossCurves(
        n,
        p,
        fitted_loss(law, n[None, :], p[:, None]),
        many,
        fitted_loss(law, parameters, many),
        correlated_loss(law, parameters, many, correlation),
        law.E + (law.A / n) ** law.alpha * correlation,
        MEASURED.get(corpus, ()),
        law,
        (parameters, streams, float(fitted_loss(law, parameters, streams))),
        correlation,
    )


# --- correlation that the law implies ----------------------------------------------------------------------

MANY = np.geomspace(1, 1e6, 121)


@dataclass(frozen=True)
class Worth(Result):
    """Parameters that P streams are worth, and the correlation that this implies."""

    streams: Array  # (n_points,)
    logarithmic: Array  # (n_points,) k ln P + 1
    constant: Array  # (n_points,) at constant correlation
    independent: Array  # (n_points,) at correlation 0, as far as it stays below ``CEILING``
    implied: Array  # (n_points,)
    ceiling: float | None  # of the constant correlation
    correlation: float
    at_streams: int
    law: StreamLaw

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "P": self.streams,
                "multiplier_fitted": self.logarithmic,
                "multiplier_constant_correlation": self.constant,
                "multiplier_independent": self.independent,
                "implied_correlation": self.implied,
            }
        ).with_columns(pl.col("multiplier_independent").fill_nan(None), pl.col("multiplier_constant_correlation").fill_nan(None))

    def headline(self) -> dict[str, float | str]:
        here = float(implied_correlation(self.law.k, self.law.alpha, self.at_streams))
        return {
            "multiplier by the fitted law": float(multiplier(self.law, self.at_streams)),
            "multiplier at constant correlation": _bounded(
                float(correlated_multiplier(self.law, self.at_streams, self.correlation))
            ),
            "its ceiling ρ^(−1/α)": "none: independent errors" if self.ceiling is None else _bounded(self.ceiling),
            "implied correlation at your P": here,
            "at 8 streams": float(implied_correlation(self.law.k, self.law.alpha, 8)),
            "at a million": float(self.implied[-1]),
        }


CEILING = 1e6


def _bounded(value: float) -> float | str:
    return value if value < CEILING else "above a million"


@experiment
def stream_worth(
    *,
    streams: Streams = 8,
    corpus: Corpus = "stack",
    correlation: Correlation = 0.88,
    offset: Offset = 0.69,
    scale: Scale = 1.13e7,
    exponent: Exponent = 0.189,
    gain: Gain = 0.39,
) -> Worth:
    """What P streams are worth in parameters, by the fitted law and at constant correlation, and the correlation implied.

    A constant correlation saturates at rho^(-1/alpha); the logarithm does not, so the law needs a correlation that falls with P.
    """
    law = law_of(corpus, offset, scale, exponent, gain)

    def kept(rho: float) -> Array:
        worth = correlated_multiplier(law, MANY, rho)
        return np.where(worth < CEILING, worth, np.nan)

    ceiling = None if correlation == 0 else float(np.exp(min(-np.log(correlation) / law.alpha, 700.0)))
    return Worth(
        MANY,
        multiplier(law, MANY),
        kept(correlation),
        kept(0.0),
        implied_correlation(law.k, law.alpha, MANY),
        ceiling,
        correlation,
        streams,
        law,
    )
