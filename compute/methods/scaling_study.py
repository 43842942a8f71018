"""A scaling study with its parameters: what is drawn or brought, how it is read, and what it says with what error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.methods.bootstrap import interval, standard_error
from compute.methods.compute_optimal import FORMS, METHODS, Estimate, NoAllocation, Study
from compute.methods.shared_parameters import gathered
from compute.models import scaling_form
from compute.models.scaling_form import FLOP_PER_PARAMETER_TOKEN, Law, ShapeLaw
from compute.models.scaling_runs import RUNS, SHAPES, Runs, Slips, best_size, runs_from_table, simulate_runs
from compute.parameters import Choice, Flag, Integer, LogInteger, LogReal, ParameterError, Real, Seed

Array = NDArray[np.float64]

LEVEL = 0.8
REFERENCE_WIDTH = 0.001  # of the interval of a that Hoffmann et al. report
TRUTHS = (*scaling_form.PUBLISHED, "width_depth", "custom")

Truth = Annotated[str, Choice("known truth", options=TRUTHS, help="The law that synthetic runs are drawn from.")]
Offset = Annotated[float, Real("custom truth: irreducible loss", "E", low=0.0, high=3.0, when=("truth", ("custom",)))]
ParameterCoefficient = Annotated[
    float, LogReal("custom truth: parameter coefficient", "A", low=1.0, high=1e6, when=("truth", ("custom",)))
]
TokenCoefficient = Annotated[float, LogReal("custom truth: token coefficient", "B", low=1.0, high=1e6, when=("truth", ("custom",)))]
ParameterExponent = Annotated[
    float, Real("custom truth: parameter exponent", r"\alpha", low=0.1, high=0.8, when=("truth", ("custom",)))
]
TokenExponent = Annotated[float, Real("custom truth: token exponent", r"\beta", low=0.1, high=0.8, when=("truth", ("custom",)))]
RunCount = Annotated[int, LogInteger("runs", "n", low=20, high=2000, help="Runs in the synthetic study, over ten budgets.")]
Noise = Annotated[float, LogReal("noise of log loss", r"\sigma", low=1e-4, high=5e-2)]
Decades = Annotated[float, Real("compute range", low=1.0, high=5.0, unit="decades", help="The budgets end at 1e21 FLOP.")]
Outliers = Annotated[int, Integer("diverged runs", low=0, high=10, help="Runs whose loss is raised by 5 to 30%.")]
Shapes = Annotated[str, Choice("shapes kept", options=SHAPES, help="Slim: width/depth at most 32. Wide: at least 128.")]
Embeddings = Annotated[bool, Flag("count embeddings", help="Add a vocabulary of 32,000 to N, as the analyst may.")]
MidTraining = Annotated[bool, Flag("keep mid-training checkpoints", help="Half of the rows end before the rate has decayed.")]
FixedRate = Annotated[bool, Flag("one learning rate for all sizes", help="Right for the middle size, wrong by N^(1/4) elsewhere.")]
Form = Annotated[str, Choice("form fitted", options=tuple(FORMS), help="Width-depth needs the shape of every run.")]
Method = Annotated[str, Choice("method", options=METHODS, help="How the compute-optimal size is read off the runs.")]
HuberDelta = Annotated[float, LogReal("Huber threshold", r"\delta", low=1e-4, high=1e-1)]
Refits = Annotated[int, LogInteger("bootstrap refits", low=20, high=4000, help="Resamples of the rows, each refitted.")]
TargetCompute = Annotated[float, LogReal("compute", "C", low=1e18, high=1e26, unit="FLOP", help="The budget to allocate.")]
Table = Annotated[pl.DataFrame | None, RUNS]


@dataclass(frozen=True)
class Setting:
    """The parameters that every fit shares: the runs and how they are read."""

    truth: Truth = "besiroglu"
    offset: Offset = 1.8
    parameter_coefficient: ParameterCoefficient = 480.0
    token_coefficient: TokenCoefficient = 2100.0
    parameter_exponent: ParameterExponent = 0.35
    token_exponent: TokenExponent = 0.37
    n_runs: RunCount = 240
    noise_sigma: Noise = 6e-3
    compute_decades: Decades = 3.0
    outliers: Outliers = 0
    shapes: Shapes = "all"
    count_embeddings: Embeddings = False
    mid_training: MidTraining = False
    fixed_rate: FixedRate = False
    fit_form: Form = "chinchilla"
    fit_method: Method = "parametric"
    huber_delta: HuberDelta = 1e-3
    target_compute: TargetCompute = 5.76e23
    seed: Seed = 0
    runs: Table = None

    @property
    def true_law(self) -> Law | ShapeLaw | None:
        """What the runs are drawn from; None for a user's runs."""
        if self.runs is not None:
            return None
        if self.truth == "custom":
            return scaling_form.law(
                self.offset, self.parameter_coefficient, self.token_coefficient, self.parameter_exponent, self.token_exponent
            )
        return scaling_form.PLANTED_SHAPE if self.truth == "width_depth" else scaling_form.PUBLISHED[self.truth]

    def draw_runs(self) -> Runs:
        """The table of runs as the analyst sees it."""
        slips = Slips(self.count_embeddings, self.mid_training, self.fixed_rate, self.shapes)
        if self.runs is not None:
            found = runs_from_table(self.runs, slips)
        else:
            law = self.true_law
            assert law is not None
            found = simulate_runs(
                law,
                np.random.default_rng([self.seed, 1]),
                n_runs=self.n_runs,
                noise_sigma=self.noise_sigma,
                compute_decades=self.compute_decades,
                outliers=self.outliers,
                slips=slips,
            )
        if found.n < 6:
            name = "shapes" if self.shapes != "all" else "runs"
            raise ParameterError(name, f"leaves {found.n} runs; a fit needs 6 or more.")
        return found

    def study(self) -> Study:
        return Study(self.draw_runs(), self.fit_form, self.fit_method, self.huber_delta)

    def estimate(self) -> Estimate:
        """The fit to all rows, with a compute-optimal size.

        Raises
        ------
        ParameterError
            Where the runs give no allocation.
        """
        study = self.study()
        try:
            estimate = study.fit()
        except NoAllocation as reason:
            blame = "fit_form" if self.fit_form == "width_depth" and study.is_parametric else "fit_method"
            raise ParameterError(blame, f"finds no allocation in these {study.runs.n} runs: {reason}.") from None
        if not study.has_optimum(estimate.parameters)[0]:
            raise ParameterError(
                "fit_form", "has no compute-optimal size on these runs (an exponent is not positive); use more runs or less noise."
            )
        return estimate

    def bootstrap_rng(self) -> np.random.Generator:
        return np.random.default_rng([self.seed, 2])

    def refit_seconds(self) -> float:
        """Warm seconds of one refit, measured at 240 and 2,000 rows."""
        load = max(1.0, (self.n_runs if self.runs is None else self.runs.height) / 240)
        if self.fit_method == "mean_loss_default_tolerance":
            return 3e-3 * (0.7 + 0.3 * load)
        if self.fit_method != "parametric":
            return 4e-4 * (0.75 + 0.25 * load)
        if self.fit_form == "width_depth":  # which runs of one shape do not identify, and the descent wanders
            return (2e-3 if self.truth == "width_depth" and self.runs is None else 1.2e-2) * load
        return 1.5e-4 * load


on_setting = gathered(Setting, "setting")


def of_values(cost: Callable[..., float]) -> Callable[..., float]:
    """A run-time estimate from a ``Setting`` and the experiment's own parameters."""

    def seconds(**values: Any) -> float:
        setting = Setting(**{f.name: values.pop(f.name) for f in fields(Setting)})
        return cost(setting, **values)

    return seconds


def quantity_of(n_star: Array, level: Array, compute: Array, quantity: str) -> Array:
    """Tokens per parameter, parameters, tokens or loss along a frontier."""
    tokens = compute / (FLOP_PER_PARAMETER_TOKEN * n_star)
    return {"tokens_per_parameter": tokens / n_star, "parameters": n_star, "tokens": tokens, "loss": level}[quantity]


def true_frontier(truth: Law | ShapeLaw, compute: Array) -> tuple[Array, Array]:
    """Compute-optimal size of a truth, and its loss."""
    n_star = best_size(truth, compute)
    tokens = compute / (FLOP_PER_PARAMETER_TOKEN * n_star)
    if isinstance(truth, ShapeLaw):
        return n_star, scaling_form.shape_loss(truth, *scaling_form.shape_optimum(truth, compute), tokens)
    return n_star, scaling_form.loss(truth, n_star, tokens)


def true_exponent(truth: Law | ShapeLaw, compute: float) -> float:
    """d log N*/d log C."""
    if isinstance(truth, Law):
        return float(scaling_form.allocation_exponent(truth))
    low, high = best_size(truth, compute * np.array([0.99, 1.01]))
    return float(np.log(high / low) / np.log(1.01 / 0.99))


@dataclass(frozen=True)
class Summary:
    """The scalars of a fit and its bootstrap, against the truth."""

    exponent: float
    exponent_error: float
    exponent_width: float  # of the 80% interval
    ratio: float  # tokens per parameter at C
    ratio_low: float
    ratio_high: float
    loss: float
    true_exponent: float | None
    true_ratio: float | None
    share_without_optimum: float
    n_runs: int
    stop: str  # what the optimizer said, where it matters

    def headline(self) -> dict[str, float | str]:
        known: dict[str, float | str] = {"truth": "not known: these are your runs"}
        if self.true_exponent is not None and self.true_ratio is not None:
            known = {"true tokens per parameter": self.true_ratio}
            if self.exponent_error > 1e-9:
                known["exponent: (fit − truth)/SE"] = (self.exponent - self.true_exponent) / self.exponent_error
        found: dict[str, float | str] = {
            "exponent a": self.exponent,
            "its standard error": self.exponent_error,
            "tokens per parameter at C": self.ratio,
            "80% interval": f"{self.ratio_low:.3g} to {self.ratio_high:.3g}",
            **known,
            "loss at C": self.loss,
            "runs for a width of 0.001": self.n_runs * (self.exponent_width / REFERENCE_WIDTH) ** 2
            if self.exponent_width > 1e-9
            else "the form fixes a",
        }
        if self.stop:
            found["BFGS"] = self.stop
        if self.share_without_optimum > 0:
            found["refits without an optimum"] = f"{self.share_without_optimum:.0%}"
        return found


def summarize(setting: Setting, estimate: Estimate, refits: Array) -> Summary:
    """Scalars at the target compute."""
    study, here = estimate.study, np.array([setting.target_compute])
    n_star, level = study.frontier(estimate.parameters, here)
    n_refit, _ = study.frontier(refits, here)
    exponents = study.exponent(refits, setting.target_compute)
    low, high = interval(quantity_of(n_refit, n_refit, here, "tokens_per_parameter")[:, 0], LEVEL)
    a_low, a_high = interval(exponents, LEVEL)
    ratio = float(quantity_of(n_star, level, here, "tokens_per_parameter")[0, 0])
    truth = setting.true_law
    return Summary(
        float(study.exponent(estimate.parameters, setting.target_compute)[0]),
        float(standard_error(exponents)),
        float(np.nan_to_num(a_high - a_low)),
        ratio,
        float(low) if np.isfinite(low) else ratio,
        float(high) if np.isfinite(high) else ratio,
        float(level[0, 0]),
        None if truth is None else true_exponent(truth, setting.target_compute),
        None if truth is None else float(here[0] / (FLOP_PER_PARAMETER_TOKEN * true_frontier(truth, here)[0][0] ** 2)),
        float(np.mean(~np.isfinite(exponents))),
        study.runs.n,
        _stop(estimate),
    )


def _stop(estimate: Estimate) -> str:
    """How far an early stop is from the minimum, and whether the optimizer noticed."""
    study, fitted = estimate.study, estimate.fitted
    if study.method != "mean_loss_default_tolerance" or fitted is None:
        return ""
    least = replace(study, method="parametric").fit().fitted
    assert least is not None
    said = "success" if fitted.converged else "failure"
    return f"reports {said} at {fitted.objective / max(least.objective, 1e-300):.3g} times the least objective"


def bands(values: Array, fallback: Array) -> tuple[Array, Array]:
    """80% interval along a curve; the curve itself where too few refits have an answer."""
    low, high = interval(values, LEVEL)
    return np.where(np.isfinite(low), low, fallback), np.where(np.isfinite(high), high, fallback)
