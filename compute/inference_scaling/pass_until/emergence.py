"""One study: success against size, measured by pass-until and by a fixed number of samples; and the map of curvature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.inference_scaling.pass_until.setting import (
    CURVE_SIZES,
    SIZES,
    Cap,
    Constant,
    Exponent,
    ExponentSpread,
    FixedSamples,
    Passes,
    SecondConstant,
    SecondExponent,
    SecondWeight,
    Steps,
    bent_design,
    mean_curvature,
    said,
    straight_design,
    truth,
)
from compute.methods.contours import level_lines
from compute.methods.grids import grid_table
from compute.methods.pass_until import draw_waits, estimate, fit_law, predict, stop
from compute.parameters import Seed

Array = NDArray[np.float64]

Z90 = 1.6448536269514722


@dataclass(frozen=True)
class Study(Result):
    """Success against size: the truth, two ways to measure it, and the law fitted to all sizes but the largest."""

    size: Array  # (n_curve,) millions
    true: Array  # (n_curve,) success
    true_minus_log: Array  # (n_curve,) -log success
    fit: Array  # (n_curve,) success of the fitted law
    fit_minus_log: Array  # (n_curve,)
    band: Array  # (2, n_curve) 90% of the fitted -log success
    sizes: Array  # (8,)
    estimate: Array  # (8,) by pass-until, 0 where nothing passed before the cap
    draws: Array  # (8,)
    interval: Array  # (2, 8) two standard errors of the estimate either way, on log(-log p); NaN where it is 0
    capped: NDArray[np.bool_]  # (8,)
    fixed: Array  # (8,) share right of n fixed samples
    passes: int
    fixed_samples: int
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        curve = {
            "size_millions": self.size,
            "true_success": self.true,
            "minus_log_true_success": self.true_minus_log,
            "fitted_success": self.fit,
            "minus_log_fitted_success": self.fit_minus_log,
            "minus_log_fitted_low": self.band[0],
            "minus_log_fitted_high": self.band[1],
        }
        with np.errstate(divide="ignore"):
            minus_log = np.where(self.estimate > 0, -np.log(np.maximum(self.estimate, 1e-300)), np.nan)
        studied = {
            "size_millions": self.sizes,
            "pass_until_estimate": self.estimate,
            "minus_log_estimate": minus_log,
            "estimate_low": self.interval[0],
            "estimate_high": self.interval[1],
            "draws": self.draws,
            "capped": self.capped,
            f"share_right_of_{self.fixed_samples}": self.fixed,
        }
        return pl.concat([pl.DataFrame(curve).fill_nan(None), pl.DataFrame(studied).fill_nan(None)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


@experiment
def study(
    *,
    constant: Constant = 40.0,
    exponent: Exponent = 0.42,
    passes: Passes = 8,
    cap: Cap = 1_000_000,
    fixed_samples: FixedSamples = 200,
    steps: Steps = 3,
    exponent_spread: ExponentSpread = 0.0,
    second_weight: SecondWeight = 0.0,
    second_constant: SecondConstant = 10_000.0,
    second_exponent: SecondExponent = 1.2,
    seed: Seed = 0,
) -> Study:
    """One simulated study of a task on eight model sizes, the law fitted to the seven smaller ones.

    PU = exp(-c N^-alpha) (093, its task scaling law), of all steps, mixed with a second circuit. Pass-until draws until r
    samples pass, (r - 1)/(K - 1); the usual evaluation draws n. The fit maximizes the likelihood of passes and draws.
    """
    law = truth(constant, exponent, steps, exponent_spread, second_weight, second_constant, second_exponent)
    rng = np.random.default_rng(seed)
    p = law.success(SIZES)
    seen, draws = stop(draw_waits(rng, p, passes), passes, cap)
    found = estimate(seen, draws, passes)
    fixed = rng.binomial(fixed_samples, p) / fixed_samples
    design = straight_design(SIZES)
    b, covariance = fit_law(design[:-1], seen[:-1], draws[:-1])
    if np.sum(seen[:-1] > 0) < 2:
        # A line needs passes at two sizes; the curves of a fit that is none are left out.
        b, covariance = np.full(2, np.nan), np.full((2, 2), np.nan)
    curve_design = straight_design(CURVE_SIZES)
    eta = np.clip(curve_design @ b, -30.0, 7.0)
    spread = np.sqrt(np.einsum("ij,jk,ik->i", curve_design, covariance, curve_design))
    band = np.exp(np.clip(np.stack([eta - Z90 * spread, eta + Z90 * spread]), -30.0, 7.0))
    bent, bent_covariance = fit_law(bent_design(SIZES), seen, draws)
    bend, bend_error = 2 * bent[2], 2 * float(np.sqrt(bent_covariance[2, 2]))
    held_out, held_out_error = predict(b, covariance, design[-1])
    curvature = mean_curvature(law)
    summary: dict[str, float | str] = {"fitted law": "none: fewer than two sizes ever passed"}
    if np.isfinite(b[0]):
        summary = {
            "fitted exponent α": float(-b[1]),
            "its standard error": float(np.sqrt(covariance[1, 1])),
            "predicted success at 2.4B": float(np.exp(-np.exp(np.clip(held_out, -30, 7)))),
            "true success at 2.4B": float(p[-1]),
            "prediction off by (SE)": float((held_out - np.log(law.minus_log_success(SIZES[-1]))) / held_out_error),
            "measured curvature (SE)": float(np.clip(bend / bend_error, -1e6, 1e6)),
        }
    summary |= {
        "sizes that read 0 of n": float(np.sum(fixed == 0)),
        "samples spent": float(draws.sum()),
        "true curvature of log(−log PU)": f"{curvature:+.3f}, {said(curvature)}".replace("-", "−"),
    }
    return Study(
        CURVE_SIZES,
        law.success(CURVE_SIZES),
        law.minus_log_success(CURVE_SIZES),
        np.exp(-np.exp(eta)),
        np.exp(eta),
        band,
        SIZES,
        found,
        draws,
        _interval(found, seen),
        seen < passes,
        fixed,
        passes,
        fixed_samples,
        summary,
    )


def _interval(found: Array, seen: Array) -> Array:
    """exp(log p -+ 2 SE), with the relative error sqrt((1 - p)/s) of s passes, below 1; NaN where nothing passed."""
    known = found > 0
    relative = np.sqrt((1 - found) / np.maximum(seen, 1))
    ends = np.stack([found * np.exp(-2 * relative), np.minimum(found * np.exp(2 * relative), 1.0)])
    return np.where(known, ends, np.nan)


# --- the map of curvature ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curvature(Result):
    """Mean curvature of log(-log PU) over the sizes, against the weight of a second circuit and the spread of steps."""

    second_weight: Array  # (n_weights,)
    exponent_spread: Array  # (n_spreads,)
    curvature: Array  # (n_spreads, n_weights)
    straight: tuple[Array, Array]  # broken line on which it is 0
    size: Array  # (n_curve,)
    departure: dict[str, Array]  # (n_curve,) y less the chord through the smallest and largest size: here, and of examples
    accelerating: float  # share of the map
    here: float

    def table(self) -> pl.DataFrame:
        plane = grid_table("second_weight", self.second_weight, "exponent_spread", self.exponent_spread, curvature=self.curvature)
        curves = [
            pl.DataFrame({"task": name, "size_millions": self.size, "departure_from_chord": values})
            for name, values in self.departure.items()
        ]
        return pl.concat([plane, *curves], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "mean curvature here": self.here,
            "which is": said(self.here),
            "accelerating, share of the map": self.accelerating,
        }


@experiment
def curvature_map(
    *,
    constant: Constant = 40.0,
    exponent: Exponent = 0.42,
    steps: Steps = 3,
    exponent_spread: ExponentSpread = 0.0,
    second_weight: SecondWeight = 0.0,
    second_constant: SecondConstant = 10_000.0,
    second_exponent: SecondExponent = 1.2,
) -> Curvature:
    """Sign of the curvature of y = log(-log PU) over x = log N, from 30M to 2.4B, by theory.

    Emergence in the sense of 093 is concave y. Steps alone give the variance of their exponents, which is never
    negative; only a mixture of circuits can be concave.
    """
    weights, spreads = np.linspace(0, 0.9, 31), np.linspace(0, 1, 31)
    plane = np.array(
        [
            [
                mean_curvature(truth(constant, exponent, steps, float(d), float(w), second_constant, second_exponent))
                for w in weights
            ]
            for d in spreads
        ]
    )
    sizes = np.geomspace(SIZES[0], SIZES[-1], 61)
    x = np.log(sizes / sizes[0]) / np.log(sizes[-1] / sizes[0])
    here = (exponent_spread, second_weight)
    departure = {}
    for name, (spread, weight) in {"yours": here, "w = 0.3": (0.0, 0.3), "w = 0.6": (0.0, 0.6), "w = 0, δ = 1": (1.0, 0.0)}.items():
        law = truth(constant, exponent, steps, spread, weight, second_constant, second_exponent)
        y = np.log(law.minus_log_success(sizes))
        departure[name] = y - y[0] - (y[-1] - y[0]) * x
    bend = mean_curvature(truth(constant, exponent, steps, *here, second_constant, second_exponent))
    lines = level_lines(weights, spreads, plane, 0.0)
    return Curvature(weights, spreads, plane, lines, sizes, departure, float(np.mean(plane < -1e-9)), bend)
