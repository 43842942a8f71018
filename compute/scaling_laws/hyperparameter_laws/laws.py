r"""Published laws of the best learning rate and batch size, as functions of parameters N and tokens D.

Every law is a fit to a study's own sweeps; batches are in tokens, N leaves out the vocabulary, compute is C = 6 N D. Laws in
the loss take it from Besiroglu's refit of Hoffmann's law at (N, D).

References
----------
step : Li et al., "Predictable Scale: Part I" (2025), paper 025: eta = 1.79 N^-0.713 D^0.307, B = 0.58 D^0.571.
deepseek : Bi et al., "DeepSeek LLM" (2024): eta = 0.3118 C^-0.125, B = 0.292 C^0.3271.
moonlight : Liu et al., "Muon is scalable for LLM training" (2025): eta = 0.0127 C^-0.057, B = 0.0065 C^0.4138.
kaplan : Kaplan et al. (2020): eta = 0.003239 - 0.0001395 log N (equation D.1), B_crit = 2.1e8 L^{-1/0.21} (equation 1.4).
minicpm : Hu et al., "MiniCPM" (2024): B = 1.21e9 L^-6.24; its learning rate is that of a width-independent parametrization.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.models import scaling_form
from compute.models.kaplan import KAPLAN_RUN, critical_batch
from compute.models.scaling_form import FLOP_PER_PARAMETER_TOKEN

Array = NDArray[np.float64]

LAWS = ("step", "deepseek", "moonlight", "kaplan", "minicpm", "custom")
STEP = (1.79, -0.713, 0.307, 0.58, 0.0, 0.571)
DEEPSEEK = (0.3118, -0.125, 0.292, 0.3271)
MOONLIGHT = (0.0127, -0.057, 0.0065, 0.4138)
KAPLAN_RATE = (0.003239, 0.0001395)
MINICPM_BATCH = (1.21e9, 6.24)
STEP_PARAMETERS, STEP_TOKENS = (6e7, 1e9), (2e9, 1e11)  # what the Step law was fitted to, about
DEEPSEEK_COMPUTE = (1e17, 2e19)
MAX_KAPLAN_PARAMETERS = float(np.exp(KAPLAN_RATE[0] / KAPLAN_RATE[1]))  # where its rate falls to 0


@dataclass(frozen=True)
class PowerRule:
    """eta = rate N^rate_n D^rate_d, B = batch N^batch_n D^batch_d."""

    rate: float
    rate_n: float
    rate_d: float
    batch: float
    batch_n: float
    batch_d: float


STEP_RULE = PowerRule(*STEP)


def expected_loss(n_parameters: ArrayLike, n_tokens: ArrayLike) -> Array:
    """The loss at (N, D) by Besiroglu's constants, in nats per token."""
    return scaling_form.loss(scaling_form.BESIROGLU, n_parameters, n_tokens)


def learning_rate(law: str, n_parameters: ArrayLike, n_tokens: ArrayLike, custom: PowerRule = STEP_RULE) -> Array:
    """The law's learning rate, broadcast; NaN where it gives none."""
    n, d = np.broadcast_arrays(np.asarray(n_parameters, dtype=float), np.asarray(n_tokens, dtype=float))
    compute = FLOP_PER_PARAMETER_TOKEN * n * d
    if law in ("step", "custom"):
        rule = STEP_RULE if law == "step" else custom
        return rule.rate * n**rule.rate_n * d**rule.rate_d
    if law == "deepseek":
        return DEEPSEEK[0] * compute ** DEEPSEEK[1]
    if law == "moonlight":
        return MOONLIGHT[0] * compute ** MOONLIGHT[1]
    if law == "kaplan":
        rate = KAPLAN_RATE[0] - KAPLAN_RATE[1] * np.log(n)
        return np.where(rate > 0, rate, np.nan)
    return np.full(n.shape, np.nan)


def batch_size(law: str, n_parameters: ArrayLike, n_tokens: ArrayLike, custom: PowerRule = STEP_RULE) -> Array:
    """The law's batch in tokens, broadcast."""
    n, d = np.broadcast_arrays(np.asarray(n_parameters, dtype=float), np.asarray(n_tokens, dtype=float))
    compute = FLOP_PER_PARAMETER_TOKEN * n * d
    if law in ("step", "custom"):
        rule = STEP_RULE if law == "step" else custom
        return rule.batch * n**rule.batch_n * d**rule.batch_d
    if law == "deepseek":
        return DEEPSEEK[2] * compute ** DEEPSEEK[3]
    if law == "moonlight":
        return MOONLIGHT[2] * compute ** MOONLIGHT[3]
    if law == "kaplan":
        return critical_batch(KAPLAN_RUN, expected_loss(n, d))
    return MINICPM_BATCH[0] * expected_loss(n, d) ** -MINICPM_BATCH[1]
