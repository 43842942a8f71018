r"""A market of labeled data in the plane: what sources sell, what a buyer is judged on, and what is learned from a purchase.

A point is labeled 1 with probability h(x) = 1/(1 + exp(-8 (x_2 - 1.2 sin(4 x_1)))). The buyer is judged on x ~ N(0, 1.2^2 I).
Source k of K sells x ~ N(s u_k, 0.7^2 I), u_k evenly on the circle, s the covariate shift, and has flipped its labels with
probability q (k - 1)/(K - 1): the first source is clean, the last one the worst.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import expit

from compute.methods.shared_parameters import gathered
from compute.parameters import Choice, Integer, LogInteger, LogReal, ParameterError, Real

Array = NDArray[np.float64]
Labels = NDArray[np.bool_]

STEEPNESS, WAVE, FREQUENCY = 8.0, 1.2, 4.0
SPREAD, TARGET_SPREAD = 0.7, 1.2
N_VALIDATION = 100
MOST_IN_POOL = 100  # revealed points of a source that enter the transport
N_TEST = 600
RIDGE = 0.3
NEWTON_STEPS = 7
FEATURES = 10


@dataclass(frozen=True)
class Market:
    """What is for sale, what is revealed of it, and what is trained on it."""

    sources: Annotated[
        int, Integer("sources", "K", low=2, high=5, help="The first is clean, the last has the noisiest labels.")
    ] = 3
    label_noise: Annotated[
        float, Real("label noise of the last source", "q", low=0.0, high=0.5, help="Share of flipped labels; 0.5 sells coin flips.")
    ] = 0.3
    covariate_shift: Annotated[
        float, Real("covariate shift", "s", low=0.0, high=3.0, help="How far each source stands from where the buyer is judged.")
    ] = 1.5
    label_cost: Annotated[
        float,
        Real(
            "cost of a wrong label",
            "c",
            low=0.0,
            high=20.0,
            help="Of moving mass between labels; at 0 transport sees no label noise.",
        ),
    ] = 4.0
    sinkhorn_epsilon: Annotated[
        float, LogReal("Sinkhorn regularization", r"\varepsilon", low=0.01, high=1.0, help="In squared units of the plane.")
    ] = 0.1
    revealed_small: Annotated[int, LogInteger("smaller pilot", "N_0", low=30, high=300, help="Samples a pilot is trained on.")] = 60
    revealed_large: Annotated[
        int, LogInteger("larger pilot", "N_1", low=60, high=500, help="Also what each source reveals; above N0.")
    ] = 300
    target_size: Annotated[int, LogInteger("purchase", "N", low=100, high=100_000, help="Samples to buy in all.")] = 2000
    pilot_mixes: Annotated[int, Integer("pilot mixes", "m", low=4, high=20, help="Mixes trained at N0 and N1 to fit stage 1.")] = 6
    pilot_purity: Annotated[
        float,
        Real(
            "pilot purity",
            r"\pi",
            low=0.1,
            high=1.0,
            help="1: the first pilots are single sources; below, all lie near equal shares.",
        ),
    ] = 1.0
    learner: Annotated[
        str,
        Choice(
            "learner",
            options=("nearest neighbors", "logistic"),
            help="About N^0.3 neighbors, or logistic regression on cubic features.",
        ),
    ] = "nearest neighbors"

    @property
    def shifts(self) -> Array:
        """(K, 2) centers of the sources."""
        angle = np.pi * (1 + 2 * np.arange(self.sources) / self.sources)
        return np.asarray(self.covariate_shift * np.stack([np.cos(angle), np.sin(angle)], axis=1))

    @property
    def noises(self) -> Array:
        """(K,) shares of flipped labels."""
        return np.asarray(self.label_noise * np.arange(self.sources) / (self.sources - 1))

    def draw(self, rng: np.random.Generator, source: NDArray[np.int64]) -> tuple[Array, Labels]:
        """Points (…, 2) and labels (…) from the sources named, each drawn anew."""
        x = self.shifts[source] + SPREAD * rng.standard_normal((*source.shape, 2))
        label = rng.random(source.shape) < chance(x)
        return x, label ^ (rng.random(source.shape) < self.noises[source])


def checked(market: Market) -> Market:
    """The market, where its pilots can tell two sizes apart."""
    if market.revealed_large <= market.revealed_small:
        raise ParameterError("revealed_large", f"has to be above the smaller pilot, {market.revealed_small} here.")
    return market


with_market = gathered(Market, "market", checked)


def chance(x: Array) -> Array:
    """Probability of label 1 at points (…, 2)."""
    return np.asarray(expit(STEEPNESS * (x[..., 1] - WAVE * np.sin(FREQUENCY * x[..., 0]))))


def judge(rng: np.random.Generator, n: int) -> tuple[Array, Labels]:
    """n labeled points of the buyer's own law."""
    x = TARGET_SPREAD * rng.standard_normal((n, 2))
    return x, rng.random(n) < chance(x)


TEST = TARGET_SPREAD * np.random.default_rng(20_230_705).standard_normal((N_TEST, 2))
TEST_CHANCE = chance(TEST)
BEST_ACCURACY = float(np.mean(np.maximum(TEST_CHANCE, 1 - TEST_CHANCE)))  # of the Bayes classifier


def counts(mix: Array, n: int) -> NDArray[np.int64]:
    """(K,) whole numbers that sum to n, nearest to n times the mix (largest remainders)."""
    whole = np.floor(n * mix + 1e-9).astype(np.int64)
    left = n - int(whole.sum())
    whole[np.argsort(whole - n * mix, kind="stable")[:left]] += 1
    return whole


def features(x: Array) -> Array:
    """(…, 10) monomials up to degree three, of x/1.5."""
    u, v = x[..., 0] / 1.5, x[..., 1] / 1.5
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v, u**3, u * u * v, u * v * v, v**3], axis=-1)


TEST_FEATURES = features(TEST)


def logistic_weights(x: Array, y: Labels) -> Array:
    """(R, 10) ridge-logistic fits to R sets of n points (R, n, 2) and labels (R, n), by Newton's method."""
    phi = features(x)
    weights = np.zeros((x.shape[0], FEATURES))
    ridge = RIDGE * np.eye(FEATURES)
    for _ in range(NEWTON_STEPS):
        p = expit(np.matmul(phi, weights[:, :, None])[..., 0])
        gradient = np.matmul((y - p)[:, None, :], phi)[:, 0] - RIDGE * weights
        curvature = np.matmul((phi * (p * (1 - p))[..., None]).transpose(0, 2, 1), phi) + ridge
        weights = weights + np.linalg.solve(curvature, gradient[..., None])[..., 0]
    return weights


def accuracies(learner: str, x: Array, y: Labels) -> Array:
    """(R,) expected accuracies on the buyer's law of what is learned from each of R sets of n points."""
    if learner == "logistic":
        says = TEST_FEATURES @ logistic_weights(x, y).T > 0
    else:
        k = 2 * int(x.shape[1] ** 0.3 / 2) + 1
        # Points at random need no balanced tree: one cut in the middle is found faster and asked as fast.
        trees = [cKDTree(points, balanced_tree=False, compact_nodes=False) for points in x]
        nearest = [tree.query(TEST, k)[1].reshape(N_TEST, k) for tree in trees]
        says = np.stack([labels[near].mean(axis=1) > 0.5 for labels, near in zip(y, nearest, strict=True)], axis=1)
    return np.asarray(np.where(says, TEST_CHANCE[:, None], 1 - TEST_CHANCE[:, None]).mean(axis=0))


def trained(market: Market, mix: Array, n: int, repeats: int, rng: np.random.Generator) -> Array:
    """(repeats,) accuracies after training on n fresh samples of a mix: what a purchase would really give."""
    source = np.repeat(np.arange(market.sources), counts(mix, n))
    together = max(1, 200_000 // n)  # bounds the memory that the features take
    parts = []
    for first in range(0, repeats, together):
        r = min(together, repeats - first)
        parts.append(accuracies(market.learner, *market.draw(rng, np.broadcast_to(source, (r, n)))))
    return np.concatenate(parts)


def training_seconds(learner: str, n: int, repeats: int) -> float:
    """Warm seconds that ``trained`` takes, about."""
    if learner == "logistic":
        return repeats * (1e-4 + 6e-7 * n)
    return repeats * (4e-4 + 4e-7 * n)
