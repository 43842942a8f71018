r"""Data on a few subspaces of a large space: how many samples a low-rank denoiser needs to find them.

Data x = U_k a + e with a ~ N(0, I_d), e ~ N(0, s^2 I_D), k one of K subspaces of dimension d in R^D, drawn at random. Of low-rank
Gaussians the posterior mean under noise sigma is E[x | y] = c sum_k w_k(y) U_k U_k^T y, c = 1/(1 + sigma^2) at s = 0, with
w_k prop. to exp(c |U_k^T y|^2/(2 sigma^2)) (Wang and others, paper 017). Trained on the denoising loss over the U_k, K = 1
is principal components; K > 1 alternates weights and principal components, as subspace clustering does.

Noise-free, N samples of one subspace span min(N, d) of its dimensions. With noise, a direction of N samples whose variance exceeds
the noise by l = 1/s^2 has mean squared cosine (1 - g/l^2)/(1 + g/l), g = D/N, to its principal component, 0 below l = sqrt(g).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.grids import grid_table
from compute.methods.log_sum_exp import softmax
from compute.parameters import Integer, LogInteger, ParameterError, Real, Seed

Array = NDArray[np.float64]

Ambient = Annotated[int, Integer("ambient dimension", "D", low=10, high=100)]
SubspaceDim = Annotated[int, Integer("subspace dimension", "d", low=1, high=15)]
PerSubspace = Annotated[int, LogInteger("samples a subspace", "N", low=1, high=60)]
Clusters = Annotated[int, Integer("subspaces", "K", low=1, high=4)]
DataNoise = Annotated[
    float, Real("data noise", "s", low=0.0, high=0.3, help="Standard deviation off the subspaces, where it is 1 within.")
]

NOISE_LEVEL = 0.3  # of the denoising loss that is trained on; K = 1 does not depend on it
RESTARTS, ITERATIONS = 10, 30


def basis(rng: np.random.Generator, shape: tuple[int, ...], ambient: int, dimension: int) -> Array:
    """(*shape, D, d) random orthonormal bases."""
    return np.linalg.qr(rng.standard_normal((*shape, ambient, dimension)))[0]


def principal(x: Array, dimension: int) -> Array:
    """(..., D, d) leading principal directions of (..., N, D) points about 0; columns of zeros where there are fewer points."""
    n, ambient = x.shape[-2:]
    if n <= ambient:
        # Through the N x N Gram matrix: x = sum sqrt(l) v u^T, u = x^T v/sqrt(l).
        values, vectors = np.linalg.eigh(x @ np.swapaxes(x, -1, -2))
        kept = min(dimension, n)
        top, along = values[..., None, -kept:], vectors[..., -kept:]
        is_real = top > 1e-12 * np.maximum(values[..., None, -1:], 1e-300)
        found = np.where(is_real, np.swapaxes(x, -1, -2) @ along / np.sqrt(np.maximum(top, 1e-300)), 0.0)
        return np.concatenate([found, np.zeros((*found.shape[:-1], dimension - kept))], axis=-1)
    return np.linalg.eigh(np.swapaxes(x, -1, -2) @ x)[1][..., -dimension:]


def recovered(found: Array, truth: Array) -> Array:
    """(...,) mean squared cosine |U^T U^|_F^2/d of (..., D, d) bases: 1 where the subspace is found."""
    return np.sum((np.swapaxes(found, -1, -2) @ truth) ** 2, axis=(-1, -2)) / truth.shape[-1]


def spiked_cosine(ambient: int, n: Array, noise: float) -> Array:
    """Mean squared cosine of a spike of variance 1 over noise, D and N large (Paul; Benaych-Georges and Nadakuditi)."""
    gamma = ambient / np.asarray(n, dtype=float)
    if noise == 0:
        return np.ones_like(gamma)
    spike = noise**-2.0
    return np.where(spike > np.sqrt(gamma), (1 - gamma / spike**2) / (1 + gamma / spike), 0.0)


# --- more than one subspace -------------------------------------------------------------------------------------------


def responsibilities(x: Array, found: Array) -> Array:
    """(n, K) weights w_k of a noisy mixture of low-rank Gaussians."""
    keep = 1 / (1 + NOISE_LEVEL**2)
    inside = np.sum((x @ found) ** 2, axis=2).T
    logits = 0.5 * keep * inside / NOISE_LEVEL**2
    return softmax(logits)


def cluster(x: Array, n_clusters: int, dimension: int, rng: np.random.Generator) -> Array:
    """(K, D, d) bases with the least denoising loss over restarts, by weights and principal directions in turn.

    A restart begins with points at random and their neighbors by angle. The loss |x - sum_k w_k U_k U_k^T x|^2 is taken at the points themselves; weights are those of points at the noise level.
    """
    length = np.linalg.norm(x, axis=1)
    cosine = np.abs(x @ x.T) / (length[:, None] * length)
    best, least = np.zeros((n_clusters, x.shape[1], dimension)), np.inf
    for _ in range(RESTARTS):
        centers = rng.choice(x.shape[0], n_clusters, replace=False)
        near = np.argsort(-cosine[centers], axis=1)[:, : dimension + 1]
        found = principal(x[near], dimension)
        labels = np.full(x.shape[0], -1)
        for _ in range(ITERATIONS):
            weights = responsibilities(x, found)
            fresh = weights.argmax(axis=1)
            if np.array_equal(fresh, labels):
                break
            labels = fresh
            for k in range(n_clusters):
                found[k] = principal(np.sqrt(weights[:, k, None]) * x, dimension)
        loss = float(np.sum((x - denoise(x, found)) ** 2))
        if loss < least:
            best, least = found.copy(), loss
    return best


def denoise(x: Array, found: Array) -> Array:
    """(n, D) sum_k w_k U_k U_k^T x, the posterior mean at vanishing noise but with the weights of the noise level."""
    inside = np.swapaxes(x @ found @ np.swapaxes(found, -1, -2), 0, 1)
    return np.sum(responsibilities(x, found)[:, :, None] * inside, axis=1)


def learn(
    rng: np.random.Generator, trials: int, ambient: int, dimension: int, clusters: int, n: int, noise: float
) -> tuple[Array, Array]:
    """(trials, K, D, d) bases of the data and those learned, in no common order for K > 1."""
    truth = basis(rng, (trials, clusters), ambient, dimension)
    x = rng.standard_normal((trials, clusters, n, dimension)) @ np.swapaxes(truth, -1, -2)
    x = x + noise * rng.standard_normal(x.shape)
    if clusters == 1:
        return truth, principal(x, dimension)
    return truth, np.stack([cluster(one.reshape(-1, ambient), clusters, dimension, rng) for one in x])


def match(truth: Array, found: Array) -> Array:
    """(trials, K) recovery of each true subspace by the learned one nearest to it."""
    every = recovered(found[:, None, :], truth[:, :, None])
    return every.max(axis=2)


# --- the map -------------------------------------------------------------------------------------------------------------

MAP_N = np.unique(np.rint(np.geomspace(1, 60, 14)).astype(int))
MAP_D = np.array([1, 2, 3, 4, 5, 6, 8, 10, 12, 15])
TRIALS = 6
FOUND = 0.95  # of a subspace: counted as recovered


@dataclass(frozen=True)
class RecoveryMap(Result):
    """Share of the subspaces' directions that is found, over samples and dimension."""

    n: Array  # (n_sizes,)
    d: Array  # (n_dims,)
    share: Array  # (n_dims, n_sizes) NaN where not yet done
    at: float
    theory: float | None

    def table(self) -> pl.DataFrame:
        return grid_table("samples_per_subspace", self.n, "subspace_dimension", self.d, share_found=self.share)

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {"share of directions found here": self.at}
        if self.theory is not None:
            found["theory"] = self.theory
        cells = np.isfinite(self.share)
        above = np.broadcast_to(self.n >= self.d[:, None], self.share.shape)
        for label, chosen in (("found where N ≥ d", cells & above), ("found where N < d", cells & ~above)):
            found[label] = float(np.mean(self.share[chosen] > FOUND)) if chosen.any() else "not computed yet"
        return found


def _map_seconds(ambient: int, clusters: int, **_: object) -> float:
    return 0.02 + 0.0006 * ambient if clusters == 1 else 0.75 * clusters**1.36 * (ambient / 30) ** 0.9


def _check(ambient: int, dimension: int) -> None:
    if dimension > ambient:
        raise ParameterError("subspace_dim", f"takes an integer up to the ambient dimension {ambient}.")


@experiment(seconds=_map_seconds)
def recovery_map(
    *,
    ambient: Ambient = 30,
    subspace_dim: SubspaceDim = 5,
    n_per_subspace: PerSubspace = 4,
    clusters: Clusters = 1,
    data_noise: DataNoise = 0.0,
    seed: Seed = 0,
) -> Iterator[tuple[float, RecoveryMap]]:
    """Mean squared cosine between true and learned subspaces, over samples a subspace and dimension."""
    _check(ambient, subspace_dim)
    rng = np.random.default_rng(seed)
    trials = TRIALS if clusters == 1 else 2
    dims = MAP_D[ambient >= MAP_D]
    share = np.full((dims.size, MAP_N.size), np.nan)
    at = float(match(*learn(rng, trials, ambient, subspace_dim, clusters, n_per_subspace, data_noise)).mean())
    theory = None
    if clusters == 1:
        theory = float(share_found(ambient, subspace_dim, np.array([n_per_subspace]), data_noise)[0])
    for k, n in enumerate(MAP_N):
        for row, d in enumerate(dims):
            share[row, k] = match(*learn(rng, trials, ambient, int(d), clusters, int(n), data_noise)).mean()
        if clusters > 1 or n == MAP_N[-1]:
            yield (k + 1) / MAP_N.size, RecoveryMap(MAP_N.astype(float), dims.astype(float), share.copy(), at, theory)


def share_found(ambient: int, dimension: int, n: Array, noise: float) -> Array:
    """K = 1: min(N, d)/d of the directions at most, each with the spike's cosine."""
    return np.minimum(n, dimension) / dimension * spiked_cosine(ambient, n, noise)


# --- what the learned model generates -----------------------------------------------------------------------------------

CURVE_N = np.unique(np.rint(np.geomspace(1, 60, 12)).astype(int))
CURVE_TRIALS = 12
N_GENERATED = 400
LEVELS = np.geomspace(10.0, 0.01, 41)


def low_rank_denoiser(y: Array, found: Array, sigma: float) -> Array:
    """(n, D) E[x | y] at noise sigma of an even mixture of N(0, U_k U_k^T)."""
    keep = 1 / (1 + sigma**2)
    inside = y @ found  # (K, n, d)
    logits = 0.5 * keep * np.sum(inside**2, axis=2) / sigma**2
    weights = np.exp(logits - logits.max(axis=0))
    weights /= weights.sum(axis=0)
    return keep * np.einsum("kn,knd,kDd->nD", weights, inside, found, optimize=True)


def generate(found: Array, n: int, rng: np.random.Generator) -> Array:
    """(n, D) samples of the model, by Heun's steps of the probability flow, then the denoiser."""
    y = LEVELS[0] * rng.standard_normal((n, found.shape[1]))
    for sigma, after in itertools.pairwise(LEVELS):
        slope = (y - low_rank_denoiser(y, found, sigma)) / sigma
        ahead = y + (after - sigma) * slope
        y = y + 0.5 * (after - sigma) * (slope + (ahead - low_rank_denoiser(ahead, found, after)) / after)
    return low_rank_denoiser(y, found, LEVELS[-1])


def inside_share(x: Array, truth: Array) -> Array:
    """(n,) share of each point's energy in the true subspace nearest to it, of (K, D, d)."""
    return np.sum((x @ truth) ** 2, axis=2).max(axis=0) / np.sum(x**2, axis=1)


@dataclass(frozen=True)
class Generated(Result):
    """Samples of the learned model beside the data, and what it has found against N."""

    n: Array  # (n_done,)
    found: Array  # (n_done,) share of the true directions that the model has, mean over trials
    found_error: Array
    inside: Array  # (n_done,) share of its samples' energy in the true subspaces
    inside_error: Array
    found_theory: Array | None
    inside_theory: Array | None
    data: Array  # (n_points, 2) along the true direction that is found best, and along that found worst
    samples: Array  # (n_points, 2) of the model
    at_n: int
    at: tuple[float, float]

    def table(self) -> pl.DataFrame:
        curve = {"samples_per_subspace": self.n, "share_found": self.found, "found_standard_error": self.found_error}
        curve |= {"share_inside": self.inside, "inside_standard_error": self.inside_error}
        if self.found_theory is not None and self.inside_theory is not None:
            curve |= {"share_found_theory": self.found_theory, "share_inside_theory": self.inside_theory}
        clouds = [
            pl.DataFrame({"cloud": [name] * len(xy), "best_found_direction": xy[:, 0], "worst_found_direction": xy[:, 1]})
            for name, xy in (("data", self.data), ("generated", self.samples))
        ]
        return pl.concat([pl.DataFrame(curve), *clouds], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            f"directions found at N = {self.at_n}": self.at[0],
            "energy of samples inside": self.at[1],
            "spread along the worst direction (data 1)": float(self.samples[:, 1].std()),
        }


def _generated_seconds(ambient: int, clusters: int, **_: object) -> float:
    return 0.02 + 0.0003 * ambient if clusters == 1 else 0.045 * clusters**1.9 * (ambient / 30) ** 1.2


@experiment(seconds=_generated_seconds)
def generated(
    *,
    ambient: Ambient = 30,
    subspace_dim: SubspaceDim = 5,
    n_per_subspace: PerSubspace = 4,
    clusters: Clusters = 1,
    data_noise: DataNoise = 0.0,
    seed: Seed = 0,
) -> Iterator[tuple[float, Generated]]:
    """Samples of the learned low-rank model, and the share of directions it has found against the samples it saw."""
    _check(ambient, subspace_dim)
    rng = np.random.default_rng(seed)
    truth, found = (one[0] for one in learn(rng, 1, ambient, subspace_dim, clusters, n_per_subspace, data_noise))
    # One true subspace, the learned one nearest to it, and the principal angles between them.
    nearest = found[recovered(found, truth[0]).argmax()]
    turn = np.linalg.svd(truth[0].T @ nearest)[0]
    axes = truth[0] @ turn[:, [0, -1]]
    data = rng.standard_normal((N_GENERATED, subspace_dim)) @ truth[0].T + data_noise * rng.standard_normal((N_GENERATED, ambient))
    samples = generate(found, N_GENERATED * clusters, rng)
    owned = np.sum((samples @ truth) ** 2, axis=2).argmax(axis=0) == 0
    share = float(match(truth[None], found[None]).mean())
    at = (share, float(inside_share(samples, truth).mean()))
    trials = CURVE_TRIALS if clusters == 1 else 3
    theory: tuple[Array, Array] | None = None
    if clusters == 1:
        theory = share_found(ambient, subspace_dim, CURVE_N, data_noise), spiked_cosine(ambient, CURVE_N, data_noise)
    rows: list[list[float]] = []
    for k, n in enumerate(CURVE_N):
        pairs = learn(rng, trials, ambient, subspace_dim, clusters, int(n), data_noise)
        shares = match(*pairs).mean(axis=1)
        # Rows of the mixture with equal weights: energy inside, of samples U a, by trial.
        inner = [_model_inside(one, other) for one, other in zip(*pairs, strict=True)]
        root = np.sqrt(trials)
        rows.append([shares.mean(), shares.std(ddof=1) / root, float(np.mean(inner)), float(np.std(inner, ddof=1) / root)])
        if clusters > 1 or n == CURVE_N[-1]:
            columns = np.array(rows).T
            result = Generated(
                CURVE_N[: k + 1].astype(float),
                columns[0],
                columns[1],
                columns[2],
                columns[3],
                theory[0] if theory else None,
                theory[1] if theory else None,
                data @ axes,
                samples[owned] @ axes,
                n_per_subspace,
                at,
            )
            yield (k + 1) / CURVE_N.size, result


def _model_inside(truth: Array, found: Array) -> float:
    """Mean energy in the true subspace nearest to each learned one, over the energy of its samples, |U^T U^|^2/rank."""
    rank = np.maximum(np.sum(found**2, axis=(1, 2)), 1e-300)
    every = recovered(truth[:, None], found[None]) * truth.shape[-1] / rank
    return float(every.max(axis=0).mean())
