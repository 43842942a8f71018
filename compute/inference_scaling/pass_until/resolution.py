"""What each evaluation can see: the exact laws of both estimators against p, and the prediction error against r."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import binom

from compute.experiment import Result, experiment
from compute.inference_scaling.pass_until.setting import SIZES, Cap, Constant, Exponent, FixedSamples, Passes, straight_design
from compute.methods.pass_until import (
    draw_waits,
    estimate,
    estimate_quantile,
    expected_draws,
    fit_law,
    information,
    plug_in_fit,
    predict,
    stop,
)
from compute.models.task_law import TaskLaw
from compute.parameters import LogInteger, Seed

Array = NDArray[np.float64]

LEVELS = (0.05, 0.5, 0.95)
Z90 = 1.6448536269514722
Studies = Annotated[int, LogInteger("simulated studies", "m", low=50, high=2000, help="Repetitions of the whole study.")]


@dataclass(frozen=True)
class Estimators(Result):
    """Quantiles of both estimators relative to the truth, and what they cost, against p."""

    success: Array  # (n_p,)
    pass_until: Array  # (3, n_p) 5%, 50%, 95% of estimate / p, exact
    fixed: Array  # (3, n_p)
    draws: Array  # (n_p,) expected
    reads_zero: Array  # (2, n_p) P(estimate is 0): pass-until with its cap, fixed n
    point: Array  # (n_points,) p of the simulations
    mean: Array  # (2, n_points) of estimate / p, pass-until and fixed
    mean_error: Array  # (2, n_points)
    passes: int
    cap: int
    fixed_samples: int

    def table(self) -> pl.DataFrame:
        columns = {"success": self.success, "expected_draws": self.draws}
        for name, values in (("pass_until", self.pass_until), ("fixed", self.fixed)):
            columns |= {f"{name}_over_p_{level:.0%}": row for level, row in zip(LEVELS, values, strict=True)}
        columns |= {"pass_until_reads_zero": self.reads_zero[0], "fixed_reads_zero": self.reads_zero[1]}
        simulated = {"success": self.point}
        for name, mean, error in zip(("pass_until", "fixed"), self.mean, self.mean_error, strict=True):
            simulated |= {f"{name}_mean_over_p": mean, f"{name}_standard_error": error}
        return pl.concat([pl.DataFrame(columns), pl.DataFrame(simulated)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        blind = self.success[self.reads_zero[1] >= 0.5]
        capped = self.success[expected_cap_hit(self.success, self.passes, self.cap) >= 0.5]
        sure = (self.mean_error[0] > 0) & (self.point * self.cap > 20 * self.passes)
        gap = np.abs(self.mean[0] - 1)[sure] / self.mean_error[0][sure]
        return {
            "n fixed samples mostly read 0 below p": float(blind.max()) if blind.size else "never here",
            "pass-until mostly hits its cap below p": float(capped.max()) if capped.size else "never here",
            "relative spread of (r − 1)/(K − 1), small p": f"{(self.passes - 2) ** -0.5:.3f} = 1/√(r − 2)",
            "bias of r/K, small p": f"+{1 / (self.passes - 1):.1%}",
            "largest gap of its mean to p (SE)": float(gap.max(initial=0.0)),
        }


def expected_cap_hit(success: Array, passes: int, cap: float) -> Array:
    """P(fewer than r pass before the cap)."""
    return np.asarray(binom.cdf(passes - 1, cap, success))


@experiment
def estimators(
    *,
    passes: Passes = 8,
    cap: Cap = 1_000_000,
    fixed_samples: FixedSamples = 200,
    studies: Studies = 400,
    seed: Seed = 0,
) -> Estimators:
    """The exact law of (r - 1)/(K - 1), K negative binomial with E K = r/p, and of s/n, both relative to p.

    The first has a relative spread near 1/sqrt(r - 2) at every p down to r/cap; the second reads 0 with probability
    (1 - p)^n. At the cap the estimate is the share that passed.
    """
    p = np.geomspace(1e-7, 0.7, 61)
    pass_until = np.stack([estimate_quantile(level, p, passes, cap) for level in LEVELS]) / p
    fixed = np.stack([binom.ppf(level, fixed_samples, p) for level in LEVELS]) / fixed_samples / p
    zero = np.stack([np.exp(count * np.log1p(-p)) for count in (cap, fixed_samples)])
    point = np.geomspace(1e-6, 0.5, 9)
    rng = np.random.default_rng(seed)
    waited = estimate(*stop(draw_waits(rng, point, passes, (studies,)), passes, cap), passes) / point
    counted = rng.binomial(fixed_samples, point, (studies, point.size)) / fixed_samples / point
    both = np.stack([waited, counted])
    error = both.std(axis=1, ddof=1) / np.sqrt(studies)
    draws = expected_draws(p, passes, cap)
    return Estimators(p, pass_until, fixed, draws, zero, point, both.mean(axis=1), error, passes, cap, fixed_samples)


# --- prediction against r ------------------------------------------------------------------------------

PASSES = np.array([3, 4, 5, 7, 10, 14, 20, 28, 40, 50])


@dataclass(frozen=True)
class Prediction(Result):
    """Error of log(-log p) foretold for the held-out largest model, against r."""

    passes: Array  # (n_passes,)
    bound: Array  # (n_passes,) standard deviation by the Fisher information
    error: dict[str, Array]  # (n_passes,) root mean square, of "likelihood" and "plug_in"
    error_uncertainty: dict[str, Array]  # (n_passes,)
    bias: dict[str, Array]  # (n_passes,)
    bias_uncertainty: dict[str, Array]  # (n_passes,)
    coverage: dict[str, Array]  # (n_passes,) of the 90% interval
    coverage_uncertainty: dict[str, Array]  # (n_passes,)
    spent: Array  # (n_passes,) expected samples a study
    here: int  # the reader's r
    capped: float  # share of sizes capped, at the reader's r

    def table(self) -> pl.DataFrame:
        parts = []
        for method in self.error:
            columns = {
                "method": method,
                "passes": self.passes,
                "information_bound": self.bound,
                "rms_error": self.error[method],
                "rms_standard_error": self.error_uncertainty[method],
                "bias": self.bias[method],
                "bias_standard_error": self.bias_uncertainty[method],
                "coverage_of_90": self.coverage[method],
                "coverage_standard_error": self.coverage_uncertainty[method],
                "expected_samples": self.spent,
            }
            parts.append(pl.DataFrame(columns))
        return pl.concat(parts)

    def headline(self) -> dict[str, float | str]:
        at = int(np.argmin(np.abs(self.passes - self.here)))
        named = f", r = {self.passes[at]:.0f}"
        return {
            "information bound" + named: float(self.bound[at]),
            "likelihood, RMS error" + named: float(self.error["likelihood"][at]),
            "plug-in, RMS error" + named: float(self.error["plug_in"][at]),
            "90% interval covers, likelihood": float(self.coverage["likelihood"][at]),
            "90% interval covers, plug-in": float(self.coverage["plug_in"][at]),
            "sizes stopped by the cap": self.capped,
        }


@experiment
def prediction(
    *,
    constant: Constant = 40.0,
    exponent: Exponent = 0.42,
    passes: Passes = 8,
    cap: Cap = 1_000_000,
    studies: Studies = 400,
    seed: Seed = 0,
) -> Prediction:
    """Error of the law at 2.4B when fitted to the seven smaller sizes, by many simulated studies at each r.

    The bound is sqrt(x' I^-1 x) with I the information of E min(K, cap) draws at each size, the sum of r (log p)^2/(1 - p)
    where no cap is met. Maximum likelihood meets it; fitting a line to log(-log p_hat) is biased at small r.
    """
    law = TaskLaw(np.array([constant]), np.array([exponent]))
    design, true = straight_design(SIZES), float(np.log(law.minus_log_success(SIZES[-1])))
    eta, p = np.log(law.minus_log_success(SIZES[:-1])), law.success(SIZES[:-1])
    rng = np.random.default_rng(seed)
    waits = draw_waits(rng, p, int(PASSES[-1]), (studies,))
    methods = ("likelihood", "plug_in")
    found = {key: {m: np.empty((2, PASSES.size)) for m in methods} for key in ("error", "bias", "coverage")}
    bound, spent = np.empty(PASSES.size), np.empty(PASSES.size)
    for j, r in enumerate(PASSES):
        draws = expected_draws(p, int(r), cap)
        spent[j] = draws.sum()
        fisher = np.einsum("i,ij,ik->jk", information(eta, draws), design[:-1], design[:-1])
        bound[j] = np.sqrt(design[-1] @ np.linalg.solve(fisher + 1e-10 * np.eye(2), design[-1]))
        seen, drawn = stop(waits, int(r), cap)
        for method in methods:
            if method == "likelihood":
                fit = fit_law(design[:-1], seen, drawn)
            else:
                fit = plug_in_fit(design[:-1], estimate(seen, drawn, int(r)), seen)
            guess, error = predict(*fit, design[-1])
            off = np.clip(guess - true, -10, 10)
            covered = np.abs(off) < Z90 * error
            square, root = off**2, np.sqrt(np.mean(off**2))
            found["error"][method][:, j] = root, square.std() / np.sqrt(studies) / (2 * max(root, 1e-12))
            found["bias"][method][:, j] = off.mean(), off.std() / np.sqrt(studies)
            share = covered.mean()
            found["coverage"][method][:, j] = share, np.sqrt(max(share * (1 - share), 1 / studies) / studies)
    split = {key: ({m: v[0] for m, v in both.items()}, {m: v[1] for m, v in both.items()}) for key, both in found.items()}
    capped = float(np.mean(waits[..., passes - 1] > cap))
    return Prediction(
        PASSES.astype(float),
        np.minimum(bound, 10.0),
        *split["error"],
        *split["bias"],
        *split["coverage"],
        spent,
        passes,
        capped,
    )
