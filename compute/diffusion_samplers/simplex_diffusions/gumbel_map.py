r"""Where the published field of the Gumbel interpolant loses categories.

In z = beta tau log x it is autonomous, dz/ds = beta w(z) - z with s = lambda t and w the exact posterior: the temperature is gone,
lambda only says how long it runs, and one run to s = 10 serves all lambda. It draws z to the fixed points z = beta w(z). For strong
noise (small beta) not every category has one: those without are lost as lambda grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.simplex_diffusions.sampling import interpolant_limit
from compute.diffusion_samplers.simplex_diffusions.setting import Categories, Decay, GumbelBeta, GumbelStart, Law, Strings
from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.models.token_law import TokenLaw
from compute.parameters import Seed

Array = NDArray[np.float64]
DECAYS = np.linspace(1, 10, 31)
BETAS = np.geomspace(0.5, 10, 26)
N_DRAWS = 300
MOST_THRESHOLDS = 12  # categories up to which fixed points are sought
FIRST_STEPS = 4  # of the flow to the least decay; then one from each decay to the next


def relax(z: Array, beta: Array, p: Array, s: float) -> Array:
    """The flow for a time s, by an exponential midpoint step; ``beta`` (…,) broadcasts over z (…, n, K)."""
    b = beta[..., None, None]

    def pull(z: Array) -> Array:
        inverse = np.exp(z.min(axis=-1, keepdims=True) - z)
        w = p * np.exp(-p.size * np.log(inverse.sum(axis=-1, keepdims=True) + np.expm1(b) * inverse))
        return np.asarray(b * w / w.sum(axis=-1, keepdims=True))

    half = np.exp(-s / 2)
    middle = half * z + (1 - half) * pull(z)
    return np.asarray(half**2 * z + (1 - half**2) * pull(middle))


def kept_from(p: Array) -> Array:
    """(K,) the least beta from which the vertex's own start, z = beta e_k, still flows to a fixed point that decodes to it."""
    betas = np.geomspace(0.3, 12, 90)
    z = betas[:, None, None] * np.eye(p.size)
    for _ in range(40):
        z = relax(z, betas, p, 0.7)
    is_kept = np.argmax(z, axis=-1) == np.arange(p.size)
    # From the top down: the least beta above which it is kept throughout.
    lost = np.cumsum(~is_kept[::-1], axis=0)[::-1] > 0
    return np.asarray(betas[np.minimum(lost.sum(axis=0), betas.size - 1)])


@dataclass(frozen=True)
class GumbelMap(Result):
    """Total variation of categories by the published field over (lambda, beta)."""

    decay: Array  # (n,)
    beta: Array  # (m,)
    error: Array  # (m, n)
    limit: Array  # (m,) of the interpolant's argmax, for every lambda
    kept_from: Array  # (K,) beta from which the field has a fixed point for each category; none where categories are many
    floor: float
    here: tuple[float, float, float]  # lambda, beta, error there

    def table(self) -> pl.DataFrame:
        grid = grid_table("decay", self.decay, "gumbel_beta", self.beta, total_variation=self.error)
        limits = pl.DataFrame({"gumbel_beta": self.beta, "argmax_limit": self.limit})
        kept = pl.DataFrame({"category": np.arange(1, self.kept_from.size + 1), "kept_from_beta": self.kept_from})
        return pl.concat([grid, limits, kept], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        k = int(np.argmin(np.abs(np.log(self.beta / self.here[1]))))
        found: dict[str, float | str] = {
            "total variation here": self.here[2],
            "of the interpolant's argmax": float(self.limit[k]),
            "of exact draws, as many": self.floor,
        }
        if self.kept_from.size:
            found["all categories have a fixed point from β"] = float(self.kept_from.max())
            found["only one has below β"] = float(np.sort(self.kept_from)[1])
        return found


def _seconds(*, categories: int, **_: object) -> float:
    return 0.02 + 0.055 * max(categories, 3) / 3


@experiment(seconds=_seconds)
def gumbel_map(
    *,
    categories: Categories = 3,
    law: Law = "skew",
    gumbel_start: GumbelStart = "interpolant's law",
    decay: Decay = 3.0,
    gumbel_beta: GumbelBeta = 2.0,
    seed: Seed = 0,
) -> Iterator[tuple[float, GumbelMap]]:
    """One run of the field for each beta, with the same draws for all, read at every lambda."""
    rng = np.random.default_rng([seed, 9])
    tokens_law: TokenLaw = Strings(categories, law, 1, 0.0).build()
    p = tokens_law.p
    # Equal shares of categories: no noise from the draw of the data.
    token = np.searchsorted(np.cumsum(p), (np.arange(N_DRAWS) + 0.5) / N_DRAWS)
    onehot = np.asarray(np.minimum(token, categories - 1)[:, None] == np.arange(categories), dtype=float)
    z = rng.gumbel(size=(N_DRAWS, categories)) + np.zeros((BETAS.size, 1, 1))
    if gumbel_start == "interpolant's law":
        z = z + BETAS[:, None, None] * onehot
    error = np.empty((BETAS.size, DECAYS.size))
    at = 0.0
    for k, s in enumerate(DECAYS):
        parts = 1 if k else FIRST_STEPS
        for _ in range(parts):
            z = relax(z, BETAS, p, (s - at) / parts)
        at = s
        reached = np.argmax(z, axis=-1)
        share = (reached[..., None] == np.arange(categories)).mean(axis=1)
        error[:, k] = 0.5 * np.abs(share - p).sum(axis=1)
    row, column = int(np.argmin(np.abs(np.log(BETAS / gumbel_beta)))), int(np.argmin(np.abs(DECAYS - decay)))
    yield (
        1.0,
        GumbelMap(
            DECAYS,
            BETAS,
            error,
            np.array([interpolant_limit(tokens_law, float(b)) for b in BETAS]),
            kept_from(p) if categories <= MOST_THRESHOLDS else np.empty(0),
            tokens_law.noise_floor(N_DRAWS),
            (decay, gumbel_beta, float(error[row, column])),
        ),
    )
