r"""Where to stop: the exit law that a pondering network would learn, and rules that read a layer off it.

Input x needs depth t. At layer i it is answered right with probability c_i = sigmoid(s (i - t)) exp(-w max(0, i - t)/L), w the
strength of overthinking. The loss sum_i p_i l_i + beta KL(p || g), l_i = -log c_i, g a truncated geometric law, is least at
p_i proportional to g_i exp(-l_i/beta): no training is needed. The network judges the depth with an error, so that its exit law
is that of t + error.

References
----------
Exit law and prior: PonderNet (Banino et al., 2021); Q-exit: Balagansky & Gavrilov, PALBERT (2022), paper 104 of the
catalogue; patience: PABEE (Zhou et al., 2020). The correctness curve is an assumption of this lab.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from compute.experiment import Result, experiment
from compute.kernel import kernel
from compute.methods.contours import level_lines
from compute.methods.grids import grid_table
from compute.methods.log_sum_exp import softmax
from compute.parameters import Integer, LogInteger, LogReal, Real, Seed

Array = NDArray[np.float64]

SHARPNESS = 1.5  # s: how fast an answer comes once the depth is reached
CENTER, WIDTH = 0.45, 0.2  # depth needed: mean and deviation over inputs, in units of L

Layers = Annotated[int, Integer("layers", "L", low=4, high=24, help="Each can be the last.")]
PriorRate = Annotated[float, Real("prior exit rate", r"\lambda_p", low=0.05, high=0.9, help="Of the truncated geometric prior.")]
KLWeight = Annotated[float, LogReal("KL weight", r"\beta", low=0.01, high=1.0, help="Large: the exit law is the prior's.")]
Threshold = Annotated[float, Real("threshold", "q", low=0.1, high=0.95, help="Q-exit stops where the exit law's CDF reaches it.")]
Overthinking = Annotated[float, Real("overthinking", r"\omega", low=0.0, high=1.0, help="Loss of accuracy past the depth needed.")]
Misjudgment = Annotated[
    float, Real("misjudgment", r"\sigma", unit="layers", low=0.0, high=4.0, help="Error with which the network knows the depth.")
]
Inputs = Annotated[int, LogInteger("inputs", "n", low=100, high=5000, help="Drawn at random.")]


def correctness(needed: Array, layers: int, overthinking: float) -> Array:
    """c_i at layers 1..L of inputs that need ``needed`` layers; ``(..., L)``."""
    past = np.arange(1, layers + 1) - needed[..., None]
    return np.asarray(expit(SHARPNESS * past) * np.exp(-overthinking * np.maximum(past, 0.0) / layers), dtype=float)


def geometric_prior(rate: float, layers: int) -> Array:
    """Truncated geometric law on 1..L: rate (1 - rate)^(i - 1), the last layer takes what is left."""
    i = np.arange(layers)
    law: Array = np.asarray(rate * (1 - rate) ** i, dtype=float)
    law[-1] = (1 - rate) ** (layers - 1)
    return law


def exit_law(prior: Array, loss: Array, kl_weight: float) -> Array:
    """p_i ~ g_i exp(-l_i/beta), the least of sum p_i l_i + beta KL(p || g); ``(..., L)``."""
    return softmax(np.log(np.maximum(prior, 1e-300)) - loss / kl_weight)


def exit_rates(law: Array) -> Array:
    """lambda_i = p_i/(1 - CDF_{i-1}), of stopping at layer i if not before; 1 at the last layer."""
    left = np.flip(np.cumsum(np.flip(law, -1), axis=-1), -1)
    rates = law / np.maximum(left, 1e-300)
    rates[..., -1] = 1.0
    return np.minimum(rates, 1.0)


def q_exit(law: Array, threshold: float) -> NDArray[np.int64]:
    """The first layer, from 1, at which the CDF is at least q (up to rounding)."""
    return np.argmax(np.cumsum(law, axis=-1) >= threshold - 1e-12, axis=-1) + 1


@kernel
def _sweep(weight, correct, prior, thresholds):  # type: ignore[no-untyped-def]
    """Means over inputs for the law prior * weight: sampling's depth and accuracy, and those of Q-exit at each threshold."""
    n, layers = weight.shape
    sampled = np.zeros(2)
    quantile = np.zeros((2, thresholds.size))
    for x in range(n):
        total = 0.0
        for i in range(layers):
            total += prior[i] * weight[x, i]
        cdf, j = 0.0, 0
        for i in range(layers):
            p = prior[i] * weight[x, i] / total
            sampled[0] += p * (i + 1)
            sampled[1] += p * correct[x, i]
            cdf += p
            while j < thresholds.size and (cdf >= thresholds[j] - 1e-12 or i == layers - 1):
                quantile[0, j] += i + 1
                quantile[1, j] += correct[x, i]
                j += 1
    return sampled / n, quantile / n


@dataclass(frozen=True)
class Population:
    """Inputs, what they need, and what the network thinks they need."""

    needed: Array  # (n,)
    judged: Array  # (n,)
    correct: Array  # (n, L)
    loss: Array  # (n, L) as judged

    def weight(self, kl_weight: float) -> Array:
        """exp(-(l_i - min l)/beta): the exit law up to the prior."""
        return np.exp(-(self.loss - self.loss.min(axis=1, keepdims=True)) / kl_weight)


def population(layers: int, overthinking: float, misjudgment: float, z: Array) -> Population:
    """Inputs from standard normal draws z ``(2, n)``: of the depth needed, and of the error."""
    needed = np.clip(layers * (CENTER + WIDTH * z[0]), 0.0, layers)
    judged = needed + misjudgment * z[1]
    loss = -np.log(np.maximum(correctness(judged, layers, overthinking), 1e-300))
    return Population(needed, judged, correctness(needed, layers, overthinking), loss)


# --- rules against each other --------------------------------------------------------------------------

RATES = np.linspace(0.03, 0.97, 32)
THRESHOLDS = np.linspace(0.02, 0.98, 41)
PATIENCE = np.arange(1, 7)


@dataclass(frozen=True)
class ExitRules(Result):
    """Accuracy against mean depth of each rule as its knob moves."""

    curves: dict[str, tuple[Array, Array, Array]]  # rule: knob, mean layers, accuracy
    here: dict[str, tuple[float, float]]  # sampling and Q-exit at the reader's knobs: layers, accuracy
    simulated: dict[str, tuple[float, float, float]]  # layers, accuracy, its standard error, at the reader's knobs
    best: tuple[float, float]  # stopping each input at its own best layer: layers, accuracy
    variance: float  # of the layer at which sampling stops, within an input
    gain: float  # of Q-exit over sampling at sampling's mean depth

    def table(self) -> pl.DataFrame:
        parts = [
            pl.DataFrame({"rule": rule, "knob": knob, "mean_layers": depth, "accuracy": accuracy})
            for rule, (knob, depth, accuracy) in self.curves.items()
        ]
        for rule, (depth, accuracy, error) in self.simulated.items():
            columns = {"mean_layers": [depth], "simulated_accuracy": [accuracy], "standard_error": [error]}
            parts.append(pl.DataFrame({"rule": [rule], **columns}))
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        gap = max(abs(self.simulated[rule][1] - self.here[rule][1]) / max(self.simulated[rule][2], 1e-9) for rule in self.here)
        return {
            "Q-exit: accuracy": self.here["q_exit"][1],
            "Q-exit: mean layers": self.here["q_exit"][0],
            "sampling: accuracy": self.here["sampling"][1],
            "sampling: mean layers": self.here["sampling"][0],
            "Q-exit over sampling at equal depth": self.gain,
            "deviation of sampling's exit, layers": float(np.sqrt(self.variance)),
            "largest gap, theory to simulation (SE)": gap,
        }


@experiment
def exit_rules(
    *,
    layers: Layers = 12,
    prior_rate: PriorRate = 0.15,
    kl_weight: KLWeight = 0.1,
    threshold: Threshold = 0.5,
    overthinking: Overthinking = 0.3,
    misjudgment: Misjudgment = 1.0,
    inputs: Inputs = 1000,
    seed: Seed = 0,
) -> ExitRules:
    """Accuracy against mean layers of four rules: a fixed layer, sampling the exit law, Q-exit, and patience.

    Sampling, Q-exit and fixed layers are exact sums over the drawn inputs; sampling's knob is the prior rate, Q-exit's the
    threshold at the reader's prior rate. Patience stops after so many equal predictions beyond the first, where one uniform a
    input decides at which layers it is right, and all wrong predictions agree.
    """
    rng = np.random.default_rng(seed)
    group = population(layers, overthinking, misjudgment, rng.standard_normal((2, inputs)))
    weight = group.weight(kl_weight)
    prior = geometric_prior(prior_rate, layers)
    sampled = np.array([_sweep(weight, group.correct, geometric_prior(float(r), layers), THRESHOLDS[:1])[0] for r in RATES]).T
    at, quantile = _sweep(weight, group.correct, prior, THRESHOLDS)
    exact = _sweep(weight, group.correct, prior, np.array([threshold]))[1][:, 0]
    right = rng.random((inputs, 1)) < group.correct
    curves = {
        "sampling": (RATES, *sampled),
        "q_exit": (THRESHOLDS, *quantile),
        "fixed": (np.arange(1.0, layers + 1), np.arange(1.0, layers + 1), group.correct.mean(axis=0)),
        "patience": (PATIENCE.astype(float), *np.array([_patient(right, int(t)) for t in PATIENCE]).T),
    }
    law = weight * prior
    law /= law.sum(axis=1, keepdims=True)
    layer = np.arange(1, layers + 1)
    variance = float(np.mean(law @ layer**2 - (law @ layer) ** 2))
    # Simulation: one exit and one answer an input.
    drawn = np.minimum(np.sum(np.cumsum(law, axis=1) < rng.random((inputs, 1)), axis=1), layers - 1)
    simulated = {}
    for rule, stop in (("sampling", drawn), ("q_exit", q_exit(law, threshold) - 1)):
        answer = rng.random(inputs) < group.correct[np.arange(inputs), stop]
        error = float(np.sqrt(max(answer.mean() * (1 - answer.mean()), 1 / inputs) / inputs))
        simulated[rule] = (float(stop.mean() + 1), float(answer.mean()), error)
    gain = float(np.interp(at[0], quantile[0], quantile[1]) - at[1])
    best = group.correct.argmax(axis=1)
    here = {"sampling": (float(at[0]), float(at[1])), "q_exit": (float(exact[0]), float(exact[1]))}
    return ExitRules(curves, here, simulated, (float(best.mean() + 1), float(group.correct.max(axis=1).mean())), variance, gain)


def _patient(right: NDArray[np.bool_], patience: int) -> tuple[float, float]:
    """Mean layers and accuracy of stopping once the prediction has not changed ``patience`` times in a row."""
    n, layers = right.shape
    equal = np.zeros(n, dtype=np.int64)
    stop = np.full(n, layers - 1)
    running = np.ones(n, dtype=bool)
    for i in range(1, layers):
        equal = np.where(right[:, i] == right[:, i - 1], equal + 1, 0)
        ends = running & (equal >= patience)
        stop[ends] = i
        running &= ~ends
    return float(stop.mean() + 1), float(right[np.arange(n), stop].mean())


# --- the exit law of three inputs ----------------------------------------------------------------------


@dataclass(frozen=True)
class ExitLaws(Result):
    """Exit law, CDF and correctness of an easy, a middling and a hard input."""

    layer: Array  # (L,)
    needed: Array  # (3,)
    prior: Array  # (L,)
    law: Array  # (3, L)
    cdf: Array  # (3, L)
    correct: Array  # (3, L)
    stop: Array  # (3,) of Q-exit
    deviation: Array  # (3,) of a sampled exit
    threshold: float

    def table(self) -> pl.DataFrame:
        parts = []
        for x, name in enumerate(("easy", "middling", "hard")):
            columns = {"layer": self.layer, "exit_probability": self.law[x], "cdf": self.cdf[x], "correctness": self.correct[x]}
            rates = exit_rates(self.law[x : x + 1])[0]
            parts.append(pl.DataFrame({"input": name, "needed_layers": self.needed[x], **columns, "exit_rate": rates}))
        return pl.concat(parts).with_columns(pl.lit(self.threshold).alias("threshold"))

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {}
        for x, name in enumerate(("easy", "middling", "hard")):
            found[f"{name}: Q-exit at layer"] = float(self.stop[x])
            found[f"{name}: sampled exit"] = f"{float(self.law[x] @ self.layer):.1f} ± {self.deviation[x]:.1f}"
        return found


@experiment
def exit_laws(
    *,
    layers: Layers = 12,
    prior_rate: PriorRate = 0.15,
    kl_weight: KLWeight = 0.1,
    threshold: Threshold = 0.5,
    overthinking: Overthinking = 0.3,
) -> ExitLaws:
    """The exit law p_i ~ g_i exp(-l_i/beta) of three inputs whose depth is known: 20%, 45% and 75% of the layers."""
    needed = layers * np.array([0.2, 0.45, 0.75])
    correct = correctness(needed, layers, overthinking)
    prior = geometric_prior(prior_rate, layers)
    law = exit_law(prior, -np.log(np.maximum(correct, 1e-300)), kl_weight)
    layer = np.arange(1.0, layers + 1)
    deviation = np.sqrt(np.maximum(law @ layer**2 - (law @ layer) ** 2, 0.0))
    stop = q_exit(law, threshold).astype(float)
    return ExitLaws(layer, needed, prior, law, np.minimum(np.cumsum(law, axis=1), 1.0), correct, stop, deviation, threshold)


# --- Q-exit or sampling --------------------------------------------------------------------------------


@dataclass(frozen=True)
class RuleMap(Result):
    """Accuracy of Q-exit less that of sampling at the same mean depth, over prior rate and overthinking."""

    prior_rate: Array  # (n_rates,)
    overthinking: Array  # (n_strengths,)
    gain: Array  # (n_strengths, n_rates)
    depth: Array  # (n_strengths, n_rates) mean layers of both
    break_even: tuple[Array, Array]  # broken line on which the gain is 0
    here: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        axes = ("prior_rate", self.prior_rate, "overthinking", self.overthinking)
        return grid_table(*axes, q_exit_less_sampling=self.gain, mean_layers=self.depth)

    def headline(self) -> dict[str, float | str]:
        return self.here


@experiment
def rule_map(
    *,
    layers: Layers = 12,
    prior_rate: PriorRate = 0.15,
    kl_weight: KLWeight = 0.1,
    overthinking: Overthinking = 0.3,
    misjudgment: Misjudgment = 1.0,
) -> RuleMap:
    """What a deterministic exit gains over a sampled one, at sampling's own mean depth, over 400 inputs at quantiles.

    Q-exit's accuracy is read at that depth off its curve over q; between two thresholds, by mixing them.
    """
    rates, strengths = np.linspace(0.05, 0.9, 31), np.linspace(0, 1, 31)
    thresholds = np.linspace(0.02, 0.99, 20)
    # A lattice on the unit square: depth and error at their quantiles.
    i = np.arange(400)
    z = norm.ppf(np.stack([(i + 0.5) / i.size, (i * 0.6180339887498949 + 0.5) % 1.0]))

    def both(strength: float, at: Array) -> tuple[Array, Array]:
        group = population(layers, strength, misjudgment, z)
        weight = group.weight(kl_weight)
        gain, depth = np.empty(at.size), np.empty(at.size)
        for j, rate in enumerate(at):
            sampled, quantile = _sweep(weight, group.correct, geometric_prior(float(rate), layers), thresholds)
            gain[j] = np.interp(sampled[0], quantile[0], quantile[1]) - sampled[1]
            depth[j] = sampled[0]
        return gain, depth

    rows = [both(float(w), rates) for w in strengths]
    gain, depth = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    own_gain, own_depth = both(overthinking, np.array([prior_rate]))
    here: dict[str, float | str] = {
        "Q-exit over sampling here": float(own_gain[0]),
        "at mean layers": float(own_depth[0]),
        "largest on the map": float(gain.max()),
        "Q-exit loses on (share of the map)": float(np.mean(gain < 0)),
    }
    return RuleMap(rates, strengths, gain, depth, level_lines(rates, strengths, gain, 0.0), here)
