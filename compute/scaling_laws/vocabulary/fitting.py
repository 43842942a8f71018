"""The constants of the loss fitted to runs, synthetic or yours, and the vocabulary they prescribe with its error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.methods.bootstrap import bootstrap, interval
from compute.methods.power_law import PowerLawFit, PowerLawForm, fit_log_huber, grid_starts, refit_log_huber
from compute.parameters import Choice, Column, Dataset, Integer, LogInteger, LogReal, ParameterError, Seed
from compute.scaling_laws.vocabulary import law as vocabulary_law
from compute.scaling_laws.vocabulary.law import BILLION, MILLION, TAO, VocabularyLaw
from compute.scaling_laws.vocabulary.setting import (
    Array,
    DataExponent,
    Size,
    TrainingRatio,
    VocabularyExponent,
    Width,
    WidthRule,
    budget,
    law_with,
    widths,
)

LEVEL = 0.8
MIN_RUNS = 20
# L_u is negative, and the log-Huber fit takes logs. Of L_u + SHIFT the log residual is the residual over SHIFT to a few
# percent, so the log-Huber fit of it is a plain Huber fit of L_u; the offset SHIFT - E is positive.
SHIFT = 100.0
HUBER_DELTA = 0.02  # nats
FORMS = {
    "shared": PowerLawForm(((0, 0, 0), (1, 0, 0), (0, 2, 0), (0, 0, 1))),  # as published: alpha1 = beta
    "free": PowerLawForm(((0, 0, 0), (1, 0, 0), (0, 2, 0), (0, 0, 3))),
}
SIZES = np.geomspace(3e7, 3e11, 61)
RATIO_RANGE = (0.3, 6.0)

RunCount = Annotated[int, LogInteger("runs", "n", low=MIN_RUNS, high=3000, help="Synthetic runs: 7 sizes, vocabularies 4k to 96k.")]
Noise = Annotated[float, LogReal("noise of the loss", r"\sigma", low=1e-5, high=0.1, unit="nats")]
Refits = Annotated[int, Integer("bootstrap refits", low=20, high=400, help="Resamples of the rows, each refitted.")]
Exponents = Annotated[str, Choice("exponents of size and data", options=tuple(FORMS), help="Shared, as published, or free.")]

RUN_COLUMNS = (
    Column("N_nv", "parameters without the embedding", low=1e5, high=1e14),
    Column("V", "vocabulary", low=100, high=1e8),
    Column("width", "d", low=16, high=1e6),
    Column("tokens", "training tokens D", required=False, low=1e6, high=1e16),
    Column("FLOP", "training compute, in place of tokens", required=False, low=1e10, high=1e30),
    Column("loss", "unigram-normalized loss L_u", low=-50, high=50),
)


def synthetic_runs(law: VocabularyLaw, n_runs: int, noise: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Runs (N_nv, N_v, D) and L_u: the seven trained sizes, vocabularies 4,000 to 96,000, 0.3 to 6 times the balanced FLOPs."""
    size = np.array(vocabulary_law.TRAINED_SIZES)[rng.integers(0, 7, n_runs)]
    own = np.exp(rng.uniform(np.log(4e3), np.log(9.6e4), n_runs)) * vocabulary_law.width_rule(size)
    compute = budget(size, np.exp(rng.uniform(np.log(RATIO_RANGE[0]), np.log(RATIO_RANGE[1]), n_runs)))
    loss = vocabulary_law.loss(law, size, own, compute) + noise * rng.standard_normal(n_runs)
    return np.column_stack([size, own, compute / (6 * (size + own))]), loss


def _template() -> str:
    """Forty runs of the published law with a noise of 0.003."""
    runs, loss = synthetic_runs(TAO, 40, 3e-3, np.random.default_rng(2))
    rows = ["N_nv,V,width,tokens,loss"]
    for (n, own, tokens), level in zip(runs, loss, strict=True):
        d = float(vocabulary_law.width_rule(n))
        rows.append(f"{n:.4g},{own / d:.0f},{d:.0f},{tokens:.4g},{level:.4f}")
    return "\n".join(rows) + "\n"


RUNS = Dataset(
    "your runs",
    columns=RUN_COLUMNS,
    template=_template(),
    help="A CSV of 20 runs or more to fit in place of the synthetic ones: N_nv, V, width, tokens or FLOP, loss.",
    one_of=("tokens", "FLOP"),
)
Table = Annotated[pl.DataFrame | None, RUNS]


def runs_from_table(table: pl.DataFrame) -> tuple[Array, Array]:
    """(N_nv, N_v, D) and L_u of an uploaded table; D = F/(6 (N_nv + N_v)) where it is not given.

    Raises
    ------
    ParameterError
        For fewer than 20 runs or fewer than three vocabularies.
    """
    size, own = table["N_nv"].to_numpy(), table["V"].to_numpy() * table["width"].to_numpy()
    missing = np.full(size.size, np.nan)
    tokens = table["tokens"].fill_null(np.nan).to_numpy() if "tokens" in table.columns else missing
    flop = table["FLOP"].fill_null(np.nan).to_numpy() if "FLOP" in table.columns else missing
    tokens = np.where(np.isfinite(tokens), tokens, flop / (6 * (size + own)))
    if size.size < MIN_RUNS:
        raise ParameterError("runs", f"are {size.size}; the fit needs {MIN_RUNS} rows or more.")
    if np.unique(own).size < 3 or np.unique(size).size < 3:
        raise ParameterError("runs", "hold fewer than three sizes or vocabularies; their terms cannot be told apart.")
    return np.column_stack([size, own, tokens]), table["loss"].to_numpy()


def law_from_parameters(form: str, parameters: Array) -> VocabularyLaw:
    """Rows of fitted parameters, (..., n_parameters), as a law in millions and billions."""
    offset, a1, a2, b, *exponents = np.moveaxis(np.asarray(parameters, dtype=float), -1, 0)
    alpha1, alpha2, beta = (*exponents, exponents[0]) if form == "shared" else exponents
    a1, a2, b = (np.exp(np.clip(v, -300, 300)) for v in (a1, a2, b))
    return VocabularyLaw(SHIFT - np.exp(offset), a1, a2, b, alpha1, alpha2, beta)


def fit(form: str, variables: Array, loss: Array) -> PowerLawFit:
    """Huber fit of L_u, from a grid of starts."""
    x, y = _scaled(variables), loss + SHIFT
    starts = grid_starts(FORMS[form], x, y, exponents=(0.3, 0.7), offsets=(0.9, 0.97), separate=True)
    return fit_log_huber(FORMS[form], x, y, huber_delta=HUBER_DELTA / SHIFT, starts=starts)


def _scaled(variables: Array) -> Array:
    """N_nv and N_v in millions, D in billions."""
    return variables / np.array([MILLION, MILLION, BILLION])


@dataclass(frozen=True)
class Refit(Result):
    """The best vocabulary by the fit, with its band, beside the law the runs were drawn from."""

    size: Array  # (n_sizes,)
    best: Array  # (n_sizes,) V*
    ratio: Array  # (n_sizes,) V* over the reference's
    low: Array  # of the ratio
    high: Array
    reference: Array  # (n_sizes,)
    reference_name: str
    seen: tuple[float, float]  # sizes of the runs
    measured: Array  # (n_runs,)
    residual: Array  # (n_runs,) fit minus run
    run_vocabulary: Array  # (n_runs,) N_v
    constants: dict[str, tuple[float, float, float]]  # fit, low, high
    at: tuple[float, float, float]  # V* at the reader's size: fit, low, high
    at_reference: float

    def table(self) -> pl.DataFrame:
        curve = pl.DataFrame(
            {
                "kind": "best vocabulary",
                "N_nv": self.size,
                "V": self.best,
                "V_over_reference": self.ratio,
                "low_80": self.low,
                "high_80": self.high,
                "V_reference": self.reference,
            }
        )
        runs = pl.DataFrame(
            {"kind": "run", "N_v": self.run_vocabulary, "loss": self.measured, "fit_minus_run_mnat": 1e3 * self.residual}
        )
        constants = pl.DataFrame(
            [{"kind": f"constant {k}", "value": v, "low_80": a, "high_80": b} for k, (v, a, b) in self.constants.items()]
        )
        return pl.concat([curve, runs, constants], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        best, low, high = self.at
        alpha2 = self.constants["alpha2"]
        return {
            "V* (80%)": f"{best:,.0f} ({low:,.0f} to {high:,.0f})",
            f"V*, {self.reference_name}": self.at_reference,
            "exponent α₂ (80%)": f"{alpha2[0]:.3f} ({alpha2[1]:.3f} to {alpha2[2]:.3f})",
            "residual, rms, nats": float(np.sqrt(np.mean(self.residual**2))),
        }


def _seconds(n_runs: int, n_bootstrap: int, runs: pl.DataFrame | None, **_: Any) -> float:
    rows = n_runs if runs is None else runs.height
    return 0.03 + 1e-5 * rows * (n_bootstrap + 20)


@experiment(seconds=_seconds)
def refit(
    *,
    non_vocabulary_parameters: Size = 7e9,
    training_ratio: TrainingRatio = 1.0,
    n_runs: RunCount = 150,
    noise_sigma: Noise = 3e-3,
    n_bootstrap: Refits = 40,
    fitted_exponents: Exponents = "shared",
    data_exponent: DataExponent = vocabulary_law.BETA,
    vocabulary_exponent: VocabularyExponent = vocabulary_law.ALPHA2,
    width_rule: WidthRule = "published",
    width: Width = 4096,
    seed: Seed = 0,
    runs: Table = None,
) -> Iterator[tuple[float, Refit]]:
    """Fit the loss to runs by a Huber fit and read the best vocabulary off it, with a bootstrap band over rows.

    Raises
    ------
    ParameterError
        Where the runs give no best vocabulary.
    """
    truth, n = law_with(data_exponent, vocabulary_exponent), non_vocabulary_parameters
    rng = np.random.default_rng([seed, 1])
    variables, loss = synthetic_runs(truth, n_runs, noise_sigma, rng) if runs is None else runs_from_table(runs)
    found = fit(fitted_exponents, variables, loss)
    center = law_from_parameters(fitted_exponents, found.parameters)
    if not (center.alpha2 > 0 and 0 < center.beta < 1):
        raise ParameterError(
            "runs" if runs is not None else "n_runs", "give exponents without a best vocabulary; use more runs or less noise."
        )
    d, compute = widths(SIZES, width_rule, width), budget(SIZES, training_ratio)
    own_width, own_compute = float(widths(n, width_rule, width)), budget(n, training_ratio)
    x = _scaled(variables)
    residual = (
        vocabulary_law.loss(center, variables[:, 0], variables[:, 1], 6 * variables[:, 2] * variables[:, :2].sum(axis=1)) - loss
    )
    reference = vocabulary_law.best_vocabulary(truth, SIZES, compute) / d
    best = vocabulary_law.best_vocabulary(center, SIZES, compute) / d

    def refits(counts: Array) -> Array:
        return refit_log_huber(found, x, loss + SHIFT, counts, huber_delta=HUBER_DELTA / SHIFT)

    for done, sample in bootstrap(
        refits, loss.size, n_bootstrap, np.random.default_rng([seed, 2]), chunk=max(20, n_bootstrap // 8)
    ):
        laws = law_from_parameters(fitted_exponents, sample)
        sound = (laws.alpha2 > 0) & (laws.beta > 0) & (laws.beta < 1)
        column = VocabularyLaw(*(np.where(sound, v, w)[:, None] for v, w in zip(laws, center, strict=True)))
        low, high = interval(vocabulary_law.best_vocabulary(column, SIZES, compute) / d / reference, LEVEL)
        here = vocabulary_law.best_vocabulary(column, np.array([n]), np.array([float(own_compute)]))[:, 0] / own_width
        ends_here = interval(here, LEVEL)
        ends = {k: interval(getattr(laws, k), LEVEL) for k in VocabularyLaw._fields}
        yield (
            done,
            Refit(
                SIZES,
                best,
                best / reference,
                low,
                high,
                reference,
                "truth" if runs is None else "published law",
                (float(variables[:, 0].min()), float(variables[:, 0].max())),
                loss,
                residual,
                variables[:, 1],
                {k: (float(getattr(center, k)), float(a), float(b)) for k, (a, b) in ends.items()},
                (
                    float(vocabulary_law.best_vocabulary(center, n, own_compute)) / own_width,
                    float(ends_here[0]),
                    float(ends_here[1]),
                ),
                float(vocabulary_law.best_vocabulary(truth, n, own_compute)) / own_width,
            ),
        )
