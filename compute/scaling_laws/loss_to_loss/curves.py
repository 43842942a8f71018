"""Measured losses and what is fitted to them: loss against loss, both against compute, and the bootstrap of the exponent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.bootstrap import interval, standard_error
from compute.models.scaling_form import FLOP_PER_PARAMETER_TOKEN
from compute.parameters import ParameterError
from compute.scaling_laws.loss_to_loss.fits import (
    Analysis,
    LossMap,
    OwnLaw,
    Refitted,
    analyze,
    fit_map,
    fit_map_and_offset,
    fit_own_law,
    map_losses,
    predict,
    refit,
)
from compute.scaling_laws.loss_to_loss.runs import (
    FIT_BUDGET,
    OPTIMUM,
    Measured,
    PairTable,
    Refits,
    Setting,
    at_ratio,
    measure,
    with_setting,
)
from compute.scaling_laws.loss_to_loss.theory import sensitivity

Array = NDArray[np.float64]

LEVEL = 0.9
N_CURVE = 61


@dataclass(frozen=True)
class Study:
    """Measurements, fits and refits; of the planted datasets also the truth."""

    analysis: Analysis
    refitted: Refitted
    setting: Setting | None  # None for the reader's own runs
    problems: str = ""

    @property
    def target_compute(self) -> float:
        return float(self.analysis.measured.target.compute[0])

    @property
    def true_target(self) -> tuple[float, float] | None:
        if self.setting is None:
            return None
        target = self.setting.target
        return float(self.setting.truth(0, target)[0]), float(self.setting.truth(1, target)[0])

    def headline(self) -> dict[str, float | str]:
        found, refits = self.analysis, self.refitted
        low, high = interval(refits.kappa, LEVEL)
        shown: dict[str, float | str] = {
            "exponent κ": found.loss_map.kappa,
            "its 90% interval": f"{low:.3g} to {high:.3g}",
        }
        exact = None if self.setting is None else self.setting.exact_map
        if exact is not None:
            shown["true κ"] = exact[0]
        elif self.setting is not None:
            shown["true κ"] = "none: no shifted power law is exact here"
        if found.by_map is None or found.loss_0_target is None:
            shown["prediction"] = "needs compute (FLOP, or N and D) for a target"
            return shown
        at = map_losses(refits.maps, refits.offset_0, np.array([found.loss_0_target]))[:, 0]
        low, high = interval(at, LEVEL)
        shown["predicted L₁ at the target"] = found.by_map
        shown["90% interval of it"] = f"{low:.4g} to {high:.4g}"
        if found.by_own is not None:
            shown["by its own law"] = found.by_own
        truth = self.true_target
        if truth is not None:
            shown["true L₁ at the target"] = truth[1]
            error = abs(np.log(found.by_map / truth[1]))
            shown["relative error of the map"] = float(error)
            if found.by_own is not None:
                shown["relative error of the own law"] = float(abs(np.log(found.by_own / truth[1])))
        return shown


def own_study(pairs: pl.DataFrame, setting: Setting, n_refits: int) -> Study:
    """The same fits to a reader's table; E0 from dataset 0's law where the runs have compute, else fitted with the map."""
    loss_0 = pairs["loss_0"].to_numpy()
    nothing = np.full(pairs.height, np.nan)

    def column(name: str) -> Array:
        return pairs[name].fill_null(np.nan).to_numpy() if name in pairs.columns else nothing

    loss_1, flop, n, d = (column(name) for name in ("loss_1", "FLOP", "N", "D"))
    flop = np.where(np.isfinite(flop), flop, FLOP_PER_PARAMETER_TOKEN * n * d)
    paired = np.flatnonzero(np.isfinite(loss_1))
    if paired.size < 3 or np.unique(loss_0[paired]).size < 3:
        raise ParameterError("pairs", "needs at least three rows with both losses, at three different values of loss_0.")
    has_compute = bool(np.isfinite(flop).all()) and np.unique(flop).size >= 4
    places = at_ratio(flop if has_compute else np.ones(flop.size))
    largest = float(places.compute[paired].max())
    measured = Measured(places, loss_0, paired, loss_1[paired], at_ratio(setting.extrapolation_factor * largest), None, "compute")
    pair_0 = loss_0[paired]
    if not has_compute:
        loss_map = fit_map_and_offset(pair_0, measured.loss_1)
        analysis = Analysis(measured, None, loss_map, None, None, None, None)
    else:
        source = fit_own_law("compute", places, loss_0)
        if not source.offset < pair_0.min():
            raise ParameterError(
                "pairs", "gives an irreducible loss of dataset 0 above its own runs: its losses must fall with compute."
            )
        loss_map = fit_map(source.offset, pair_0, measured.loss_1)
        own = fit_own_law("compute", places.keep(paired), measured.loss_1)
        at = float(source.predict(measured.target)[0])
        by_map = float(loss_map.predict(np.array([at]))[0])
        analysis = Analysis(measured, source, loss_map, own, at, by_map, float(own.predict(measured.target)[0]))
    return Study(analysis, refit(analysis, n_refits, setting.shared_noise, np.random.default_rng([setting.seed, 2])), None)


def study_of(setting: Setting, n_refits: int, pairs: pl.DataFrame | None) -> Study:
    """The planted datasets, or the reader's runs."""
    if pairs is not None:
        return own_study(pairs, setting, n_refits)
    analysis = analyze(measure(setting, np.random.default_rng([setting.seed, 1])))
    return Study(analysis, refit(analysis, n_refits, setting.shared_noise, np.random.default_rng([setting.seed, 2])), setting)


def refit_seconds(n_refits: int, few_shot_points: int, law: str, pairing: str, pairs: pl.DataFrame | None, **_: object) -> float:
    """Measured: a refit of the map and of the own law."""
    points = few_shot_points if pairs is None else pairs.height
    coupled = pairs is None and pairing != OPTIMUM and law == "coupled"
    return 0.004 + n_refits * (1.2e-5 + 1.2e-6 * points + (1.5e-3 if coupled else 0.0))


# --- loss against loss ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossAgainstLoss(Result):
    """The pairs, the fitted map with its band, the truth, and the residuals of the pairs."""

    pair_0: Array  # (n_pairs,)
    pair_1: Array  # (n_pairs,)
    residual: Array  # (n_pairs,) log L1 about the map
    scatter: float
    curve_0: Array  # (n_curve,) L0
    fit: Array  # (n_curve,)
    low: Array
    high: Array
    truth_0: Array | None  # (n_curve,)
    truth_1: Array | None
    target: tuple[float, float] | None  # predicted
    true_target: tuple[float, float] | None
    offsets: tuple[float, float]  # fitted E0, E1
    summary: Study

    def table(self) -> pl.DataFrame:
        parts = [
            pl.DataFrame({"kind": "pair", "L0_nats": self.pair_0, "L1_nats": self.pair_1, "log_residual": self.residual}),
            pl.DataFrame(
                {
                    "kind": "map, reduced",
                    "L0_minus_E0_nats": self.curve_0 - self.offsets[0],
                    "L1_minus_E1_nats": self.fit - self.offsets[1],
                }
            ),
            pl.DataFrame({"kind": "map", "L0_nats": self.curve_0, "L1_nats": self.fit, "low_90": self.low, "high_90": self.high}),
        ]
        if self.truth_0 is not None:
            parts.append(pl.DataFrame({"kind": "truth", "L0_nats": self.truth_0, "L1_nats": self.truth_1}))
        for kind, point in (("predicted target", self.target), ("true target", self.true_target)):
            if point is not None:
                parts.append(pl.DataFrame({"kind": kind, "L0_nats": [point[0]], "L1_nats": [point[1]]}))
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary.headline()


@experiment(seconds=refit_seconds)
@with_setting
def loss_against_loss(
    *,
    setting: Setting,
    n_refits: Refits = 200,
    pairs: PairTable = None,
) -> Iterator[tuple[float, LossAgainstLoss]]:
    """Fit L1 = K (L0 - E0)^kappa + E1 to a few pairs of runs and extrapolate it (134, equation 5).

    E0 comes from dataset 0's own law, fitted to its 40 runs. The band refits everything, E0 included.
    """
    study = study_of(setting, n_refits, pairs)
    found, refits, data = study.analysis, study.refitted, study.analysis.measured
    pair_0 = data.loss_0[data.paired]
    at_target = found.loss_0_target
    lowest = min(float(pair_0.min()), at_target or np.inf)
    base = found.loss_map.offset_0
    # From the largest pair to 60% of what the target leaves above E0.
    left = np.geomspace(max(0.6 * (lowest - base), 1e-4), 1.15 * (pair_0.max() - base), N_CURVE)
    curve_0 = base + left
    low, high = interval(map_losses(refits.maps, refits.offset_0, curve_0), LEVEL)
    truth_0 = truth_1 = None
    if study.setting is not None:
        path = at_ratio(np.geomspace(FIT_BUDGET / 2e3, 3 * study.target_compute, N_CURVE))
        truth_0, truth_1 = setting.truth(0, path), setting.truth(1, path)
    yield (
        1.0,
        LossAgainstLoss(
            pair_0,
            data.loss_1,
            np.log(data.loss_1) - np.log(found.loss_map.predict(pair_0)),
            found.loss_map.scatter,
            curve_0,
            found.loss_map.predict(curve_0),
            low,
            high,
            truth_0,
            truth_1,
            None if at_target is None or found.by_map is None else (at_target, found.by_map),
            study.true_target,
            (base, found.loss_map.offset_1),
            study,
        ),
    )


# --- both against compute ------------------------------------------------------------------------------


@dataclass(frozen=True)
class AgainstCompute(Result):
    """Both losses against compute, and dataset 1 foretold by the map and by its own law."""

    compute_0: Array  # (n,)
    loss_0: Array
    compute_1: Array  # (n_pairs,)
    loss_1: Array
    compute: Array  # (n_curve,)
    source: Array  # (n_curve,) dataset 0's fitted law
    by_map: Array
    map_low: Array
    map_high: Array
    by_own: Array
    own_low: Array
    own_high: Array
    truth_1: Array | None
    target_compute: float
    own_form: str
    summary: Study

    def relative(self) -> dict[str, Array]:
        """Percent above the truth; of a reader's runs above what the map foretells."""
        base = self.by_map if self.truth_1 is None else self.truth_1
        each = {
            "map": self.by_map,
            "map_low": self.map_low,
            "map_high": self.map_high,
            "own_law": self.by_own,
            "own_law_low": self.own_low,
            "own_law_high": self.own_high,
        }
        return {name: 100 * (values / base - 1) for name, values in each.items()}

    def table(self) -> pl.DataFrame:
        curves = {
            "C_FLOP": self.compute,
            "L0_fit": self.source,
            "L1_by_map": self.by_map,
            "L1_by_map_low_90": self.map_low,
            "L1_by_map_high_90": self.map_high,
            "L1_by_own_law": self.by_own,
            "L1_by_own_law_low_90": self.own_low,
            "L1_by_own_law_high_90": self.own_high,
            **{f"{name}_percent": values for name, values in self.relative().items()},
        }
        if self.truth_1 is not None:
            curves["L1_truth"] = self.truth_1
        return pl.concat(
            [
                pl.DataFrame({"kind": "run on dataset 0", "C_FLOP": self.compute_0, "L0_nats": self.loss_0}),
                pl.DataFrame({"kind": "run on dataset 1", "C_FLOP": self.compute_1, "L1_nats": self.loss_1}),
                pl.DataFrame(curves).with_columns(kind=pl.lit("curve")),
            ],
            how="diagonal",
        )

    def headline(self) -> dict[str, float | str]:
        return self.summary.headline() | {"own law fitted": f"{self.own_form} ({self.summary.refitted.own.shape[1]} constants)"}


@experiment(seconds=refit_seconds)
@with_setting
def against_compute(
    *,
    setting: Setting,
    n_refits: Refits = 200,
    pairs: PairTable = None,
) -> Iterator[tuple[float, AgainstCompute]]:
    """Both losses against compute: dataset 1 foretold from dataset 0's law through the map, and by dataset 1's own law.

    Raises
    ------
    ParameterError
        Where a reader's pairs have no compute.
    """
    study = study_of(setting, n_refits, pairs)
    found, refits, data = study.analysis, study.refitted, study.analysis.measured
    law_0, law_1 = found.source, found.own
    if law_0 is None or law_1 is None:
        raise ParameterError("pairs", "needs the compute of every row here: a column FLOP, or columns N and D.")
    path = at_ratio(np.geomspace(data.places.compute.min(), 3 * study.target_compute, N_CURVE))
    curve_0 = law_0.predict(path)
    # Every refit has a law of dataset 0 and a map of its own.
    each_0 = predict(law_0.form, refits.source, path)
    each_map = np.array(
        [map_losses(m[None], e[None], row)[0] for m, e, row in zip(refits.maps, refits.offset_0, each_0, strict=True)]
    )
    bands = [interval(each, LEVEL) for each in (each_map, predict(law_1.form, refits.own, path))]
    yield (
        1.0,
        AgainstCompute(
            data.places.compute,
            data.loss_0,
            data.places.compute[data.paired],
            data.loss_1,
            path.compute,
            curve_0,
            found.loss_map.predict(curve_0),
            *bands[0],
            law_1.predict(path),
            *bands[1],
            None if study.setting is None else setting.truth(1, path),
            study.target_compute,
            _name(law_1),
            study,
        ),
    )


def _name(law: OwnLaw) -> str:
    return "in compute" if law.form == "compute" else f"in N and D, {law.form}"


# --- bootstrap of the exponent -------------------------------------------------------------------------


@dataclass(frozen=True)
class ExponentCloud(Result):
    """Refits of the map: its exponent, and its prediction at the target."""

    kappa: Array  # (n_refits,)
    edges: Array  # (n_bins + 1,)
    density: Array  # (n_bins,)
    theory_kappa: Array  # (n_theory,) empty for the reader's runs
    theory_density: Array
    fit: LossMap
    true_kappa: float | None
    pair_0: Array
    residual: Array
    scatter: float
    theory_error: float | None
    summary: Study

    def table(self) -> pl.DataFrame:
        middle = (self.edges[1:] + self.edges[:-1]) / 2
        return pl.concat(
            [
                pl.DataFrame({"kind": "refits", "kappa": middle, "density": self.density}),
                pl.DataFrame({"kind": "theory", "kappa": self.theory_kappa, "density": self.theory_density}),
                pl.DataFrame({"kind": "residual", "L0_nats": self.pair_0, "log_residual_percent": 100 * self.residual}),
            ],
            how="diagonal",
        )

    def headline(self) -> dict[str, float | str]:
        bootstrap: dict[str, float | str] = {"bootstrap standard error of κ": float(standard_error(self.kappa))}
        if self.theory_error is not None:
            bootstrap["its theory"] = self.theory_error
        return bootstrap | {"scatter about the map": self.scatter} | self.summary.headline()


@experiment(seconds=refit_seconds)
@with_setting
def exponent_cloud(
    *,
    setting: Setting,
    n_refits: Refits = 200,
    pairs: PairTable = None,
) -> Iterator[tuple[float, ExponentCloud]]:
    """Bootstrap of kappa beside its first-order standard error, and the residuals of the pairs about the map."""
    study = study_of(setting, n_refits, pairs)
    kappa, data, fit = study.refitted.kappa, study.analysis.measured, study.analysis.loss_map
    middle = float(np.median(kappa))
    spread = max(float(np.subtract(*np.quantile(kappa, [0.75, 0.25]))), 1e-3)
    ends = middle - 3 * spread, middle + 3 * spread
    # A refit far out stands in the last bin.
    density, edges = np.histogram(np.clip(kappa, *ends), bins=31, range=ends, density=True)
    x = y = np.empty(0)
    error = exact = None
    if study.setting is not None:
        error = sensitivity(setting).kappa_error(setting.noise, setting.shared_noise)
        exact = None if setting.exact_map is None else setting.exact_map[0]
        if error > 1e-4 and exact is not None:
            x = exact + error * np.linspace(-4, 4, 81)
            y = np.exp(-0.5 * ((x - exact) / error) ** 2) / (error * np.sqrt(2 * np.pi))
    pair_0 = data.loss_0[data.paired]
    residual = np.log(data.loss_1) - np.log(fit.predict(pair_0))
    yield 1.0, ExponentCloud(kappa, edges, density, x, y, fit, exact, pair_0, residual, fit.scatter, error, study)
