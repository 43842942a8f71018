r"""From log-probabilities to benchmark scores: the chain of transformations, and the correlation with compute that it loses.

Question i, model m at x = log10 compute, centered:
log p(correct) = c_i + g_i x + s_c e and log p(incorrect j) = c_ij + g_ij x + s_w e_ij, with c_i ~ N(-6, 2^2), c_ij ~ N(-6 - a, 2^2), g_i ~ N(g, 0.3^2) and
g_ij = rho g_i + 0.3 sqrt(1 - rho^2) z_ij. Then p = exp(log p), its share among the choices, the Brier score and accuracy.

References
----------
Schaeffer et al., "Why Has Predicting Downstream Capabilities of Frontier AI Models with Scale Remained Elusive?" (2024), paper
130 of the catalogue: the chain is theirs, the Gaussian mechanism here is a miniature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, ndtr
from scipy.stats import norm, rankdata

from compute.methods.log_sum_exp import softmax

Array = NDArray[np.float64]

LEVEL_MEAN, LEVEL_DEVIATION = -6.0, 2.0
GAIN_DEVIATION = 0.3
STAGES = ("log p", "p", "share of choices", "Brier score", "accuracy")
METRICS = ("pearson", "spearman", "kendall")


@dataclass(frozen=True)
class Mechanism:
    """The constants of the model above."""

    choices: int
    gain: float  # g
    correlation: float  # rho
    incorrect_noise: float  # s_w
    correct_noise: float  # s_c
    advantage: float = 0.0  # a, mean level of the correct choice over the wrong ones


@dataclass(frozen=True)
class Draws:
    """Standard normal numbers behind a benchmark: shared by all cells of a map."""

    level: Array  # (n_questions, choices)
    gain: Array  # (n_questions,)
    incorrect_gain: Array  # (n_questions, choices - 1)
    correct: Array  # (n_questions, n_models)
    incorrect: Array  # (n_questions, n_models, choices - 1)


def draw(n_questions: int, n_models: int, choices: int, rng: np.random.Generator) -> Draws:
    """Fresh numbers for a benchmark."""
    return Draws(
        rng.standard_normal((n_questions, choices)),
        rng.standard_normal(n_questions),
        rng.standard_normal((n_questions, choices - 1)),
        rng.standard_normal((n_questions, n_models)),
        rng.standard_normal((n_questions, n_models, choices - 1)),
    )


def model_scale(n_models: int, decades: float, spacing: str, rng: np.random.Generator) -> Array:
    """x of each model: evenly spaced over the decades, or normal with the same deviation, decades/sqrt(12)."""
    if spacing == "even":
        return decades * (np.arange(n_models) / (n_models - 1) - 0.5)
    return np.sort(rng.standard_normal(n_models)) * decades / np.sqrt(12)


def log_probabilities(mechanism: Mechanism, x: Array, draws: Draws) -> Array:
    """log p of every choice, the correct one first: (n_questions, n_models, choices)."""
    gain = mechanism.gain + GAIN_DEVIATION * draws.gain
    rho = mechanism.correlation
    others = rho * gain[:, None] + GAIN_DEVIATION * np.sqrt(1 - rho**2) * draws.incorrect_gain
    level = LEVEL_MEAN + LEVEL_DEVIATION * draws.level
    level[:, 1:] -= mechanism.advantage
    out = np.empty((gain.size, x.size, level.shape[1]))
    out[:, :, 0] = level[:, :1] + gain[:, None] * x + mechanism.correct_noise * draws.correct
    out[:, :, 1:] = level[:, None, 1:] + others[:, None, :] * x[None, :, None] + mechanism.incorrect_noise * draws.incorrect
    return out


def scores(log_p: Array) -> list[Array]:
    """The five stages, each (n_questions, n_models), larger is better: the Brier score with its sign turned."""
    share = softmax(log_p)
    brier = np.sum(share[:, :, 1:] ** 2, axis=2) + (1 - share[:, :, 0]) ** 2
    right = (log_p[:, :, 0] > log_p[:, :, 1:].max(axis=2)).astype(float)
    return [log_p[:, :, 0], np.exp(log_p[:, :, 0]), share[:, :, 0], -brier, right]


def score(log_p: Array, stage: str) -> Array:
    """One stage of ``scores``, without the others where that is cheaper."""
    correct = log_p[:, :, 0]
    if stage == "log p":
        return correct
    if stage == "p":
        return np.exp(correct)
    if stage == "accuracy":
        return (correct > log_p[:, :, 1:].max(axis=2)).astype(float)
    if stage == "share of choices":
        return 1 / (1 + np.sum(np.exp(np.minimum(log_p[:, :, 1:] - correct[:, :, None], 700.0)), axis=2))
    return scores(log_p)[STAGES.index(stage)]


# --- correlation with compute --------------------------------------------------------------------------


def correlations(x: Array, y: Array, metric: str) -> Array:
    """Correlation of each row of y with x; NaN where a row is constant.

    Parameters
    ----------
    x : (n_models,) array
    y : (n_rows, n_models) array
    metric : str
        Pearson's, Spearman's (ranks, ties shared) or Kendall's tau-b.
    """
    if metric == "kendall":
        return _kendall(x, y)
    if metric == "spearman":
        x, y = rankdata(x), rankdata(y, axis=1)
    constant = y.max(axis=1) == y.min(axis=1)
    dx, dy = x - x.mean(), y - y.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = dy @ dx / np.sqrt(np.sum(dy**2, axis=1) * np.sum(dx**2))
    return np.where(constant, np.nan, np.clip(r, -1.0, 1.0))


def _kendall(x: Array, y: Array) -> Array:
    first, second = np.triu_indices(x.size, 1)
    sign_x, sign_y = np.sign(x[second] - x[first]), np.sign(y[:, second] - y[:, first])
    untied = np.sum(np.abs(sign_y), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        tau = sign_y @ sign_x / np.sqrt(untied * np.sum(np.abs(sign_x)))
    return np.where(untied == 0, np.nan, tau)


# --- theory --------------------------------------------------------------------------------------------


def of_metric(pearson: ArrayLike, metric: str) -> Array:
    """What a correlation of two normal variables reads in another metric, with many models."""
    r = np.asarray(pearson, dtype=float)
    if metric == "spearman":
        return 6 / np.pi * np.arcsin(r / 2)
    return 2 / np.pi * np.arcsin(r) if metric == "kendall" else r


def log_p_survival(mechanism: Mechanism, deviation: float, r: Array, metric: str) -> Array:
    """Share of questions whose log p correlates with x by r or more, with many models.

    The correlation g_i s_x/sqrt(g_i^2 s_x^2 + s_c^2) grows with g_i ~ N(g, 0.3^2), so the share is that of the gains above the one
    at which it is r.
    """
    pearson = {"spearman": 2 * np.sin(np.pi * r / 6), "kendall": np.sin(np.pi * r / 2)}.get(metric, r)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = mechanism.correct_noise / deviation * pearson / np.sqrt(np.maximum(1 - pearson**2, 0.0))
    gain = np.where(pearson >= 1, np.inf, np.where(pearson <= -1, -np.inf, np.nan_to_num(gain)))
    return norm.sf(gain, mechanism.gain, GAIN_DEVIATION)


def margin_correlation(mechanism: Mechanism, deviation: float) -> float:
    """Median over questions of corr(log p correct - log p incorrect, x), two choices, many models: that of the mean gains."""
    apart = mechanism.gain * (1 - mechanism.correlation) * deviation
    noise = np.hypot(mechanism.correct_noise, mechanism.incorrect_noise)
    return float(apart / np.hypot(apart, noise)) if apart or noise else 0.0


def noise_at_margin_correlation(mechanism: Mechanism, deviation: float, rho: Array, r: float) -> Array:
    """s_w at which the median margin correlation is r, for each rho; NaN where it is below r without any noise."""
    apart = mechanism.gain * (1 - rho) * deviation
    square = apart**2 * (1 / r**2 - 1) - mechanism.correct_noise**2
    return np.sqrt(np.where(square > 0, square, np.nan))


def mean_accuracy(mechanism: Mechanism, x: Array) -> Array:
    """Accuracy averaged over questions, at each x, for any number of choices.

    The correct log p less the incorrect ones' common mean is N(m, s^2), m = a + g (1 - rho) x, s^2 = 0.3^2 (1 - rho)^2 x^2 + 2^2 + s_c^2;
    the incorrect ones about that mean are N(0, w^2), w^2 = 2^2 + 0.3^2 (1 - rho^2) x^2 + s_w^2, independent given g_i. Hence
    E[Phi((m + s Z)/w)^{K-1}], by Gauss-Hermite quadrature.
    """
    rho = mechanism.correlation
    middle = mechanism.advantage + mechanism.gain * (1 - rho) * x
    apart = np.sqrt((GAIN_DEVIATION * (1 - rho) * x) ** 2 + LEVEL_DEVIATION**2 + mechanism.correct_noise**2)
    width = np.sqrt(LEVEL_DEVIATION**2 + (GAIN_DEVIATION * x) ** 2 * (1 - rho**2) + mechanism.incorrect_noise**2)
    if mechanism.choices == 2:
        return ndtr(middle / np.hypot(apart, width))
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    inside = log_ndtr((middle[:, None] + apart[:, None] * nodes) / width[:, None])
    return np.exp((mechanism.choices - 1) * inside) @ weights / np.sqrt(2 * np.pi)
