r"""What a Bayesian flow pays in bits: its n-step loss with the exact posterior, against the entropy of the data.

Sender i of n tells y ~ N(a(K e_x - 1), a K I) of accuracy a = beta_1 (2i - 1)/n^2 per token; the receiver expects the mixture of such
laws over its posterior, token by token. With sums of messages y' before it a sample of the loss is -sum_l log sum_k p_k(y') e^{y_k - y_x}.
The reconstruction adds -sum_l log p_x given all messages. The continuous loss is K beta_1 E int t |e_x - p(. | y_t)|^2 dt.

One token: the chain rule of relative entropy makes loss plus reconstruction the entropy for every n. Several: the receiver ignores
what correlates messages of one step, so that it is above the entropy, less so the more steps there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.simplex_diffusions.setting import Accuracy, Strings
from compute.experiment import Result, experiment
from compute.methods.shared_parameters import gathered
from compute.models.token_law import TokenLaw
from compute.parameters import LogInteger, Seed

Array = NDArray[np.float64]
STEPS = (1, 2, 4, 8, 16, 32, 64)
CONTINUOUS_DRAWS = 10  # for each of the runs: they cost one step each

Draws = Annotated[int, LogInteger("draws per point", low=200, high=20_000)]


def _message(accuracy: Array, onehot: Array, rng: np.random.Generator) -> Array:
    """(n, L, K) of accuracies (n,)."""
    a, K = accuracy[:, None, None], onehot.shape[-1]
    return np.asarray(a * (K * onehot - 1) + np.sqrt(a * K) * rng.standard_normal(onehot.shape))


def _seconds(*, categories: int, length: int, draws: int, **_: object) -> float:
    return 0.015 + sum(STEPS) * (4e-5 + 6e-8 * categories * length * draws)


@dataclass(frozen=True)
class Bits(Result):
    """Bits per string against the number of steps."""

    steps: Array  # (n,)
    total: Array  # (n,) loss and reconstruction
    standard_error: Array
    reconstruction: Array  # (n,)
    continuous: float
    continuous_error: float
    entropy: float
    independent: float  # entropy of as many independent tokens

    def table(self) -> pl.DataFrame:
        points = pl.DataFrame(
            {
                "steps": self.steps,
                "bits": self.total,
                "standard_error_bits": self.standard_error,
                "reconstruction_bits": self.reconstruction,
                "entropy_bits": np.full(self.steps.size, self.entropy),
                "independent_tokens_bits": np.full(self.steps.size, self.independent),
            }
        )
        limit = pl.DataFrame({"continuous_bits": [self.continuous], "standard_error_bits": [self.continuous_error]})
        return pl.concat([points, limit], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        return {
            "entropy, bits": self.entropy,
            "one step above it, bits": float(self.total[0] - self.entropy),
            "64 steps above it, bits": float(self.total[-1] - self.entropy),
            "continuous above it, bits": self.continuous - self.entropy,
            "the same (SE)": (self.continuous - self.entropy) / self.continuous_error,
        }


@experiment(seconds=_seconds)
@gathered(Strings, "data", build=lambda data: data.build())
def message_bits(*, data: TokenLaw, beta1: Accuracy = 3.0, draws: Draws = 1000, seed: Seed = 0) -> Iterator[tuple[float, Bits]]:
    """Loss of n steps plus reconstruction along sampled runs, and the loss in continuous time.

    Along a run the sum less -log p(string), whose mean is the entropy, has hardly any spread: for one token it vanishes.
    """
    rng = np.random.default_rng([seed, 5])
    bits = 1 / np.log(2)
    excess, error, rest = [], [], []
    for n in STEPS:
        paid, last = sampled_runs(data, beta1, n, draws, rng)
        excess.append(float(paid.mean()) * bits)
        error.append(float(paid.std(ddof=1)) / np.sqrt(draws) * bits)
        rest.append(float(last.mean()) * bits)
    n = CONTINUOUS_DRAWS * draws
    onehot = np.asarray(data.sample(rng, n)[..., None] == np.arange(data.n_categories), dtype=float)
    t = (np.arange(n) + rng.random(n)) / n
    seen = data.posterior(_message(beta1 * t**2, onehot, rng))
    # The mean of |e_x - p|^2 over what x may still be.
    rate = data.n_categories * beta1 * t * np.sum(seen * (1 - seen), axis=(1, 2)) * bits
    spread = np.sqrt(rate.var(ddof=1) / n)
    entropy = data.entropy * bits
    yield (
        1.0,
        Bits(
            np.array(STEPS, dtype=float),
            entropy + np.array(excess),
            np.array(error),
            np.array(rest),
            float(rate.mean() + np.mean(rest)),
            float(np.hypot(spread, np.std(rest, ddof=1) / np.sqrt(len(rest)))),
            float(entropy),
            float(data.length * data.token_entropy * bits),
        ),
    )


def sampled_runs(law: TokenLaw, beta1: float, n: int, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """(draws,) nats paid for a string by n steps and the reconstruction, less -log of its probability; the reconstruction."""
    tokens = law.sample(rng, draws)
    onehot = np.asarray(tokens[..., None] == np.arange(law.n_categories), dtype=float)
    paid = np.log(law.table()[law.index(tokens)])
    state = np.zeros_like(onehot)
    seen = law.posterior(state)
    for step in range(1, n + 1):
        message = _message(np.full(draws, beta1 * (2 * step - 1) / n**2), onehot, rng)
        told = np.sum(message * onehot, axis=2, keepdims=True)
        paid -= np.sum(np.log(np.sum(seen * np.exp(message - told), axis=2)), axis=1)
        state += message
        seen = law.posterior(state)
    last = -np.sum(np.log(np.maximum(np.sum(seen * onehot, axis=2), 1e-300)), axis=1)
    return paid + last, last
