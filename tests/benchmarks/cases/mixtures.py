"""Mixtures of normal laws: quantiles of their flow, walks in (x, sigma), and sweeps of a posterior."""

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtr

from compute.diffusion_samplers.denoising_chains.langevin_gibbs import BURN, LOG_PRIOR, N_CHAINS, N_STATES, SIGMAS
from compute.diffusion_samplers.denoising_chains.setting import line_law
from compute.methods import flow_map, langevin_gibbs, location_mixture
from compute.models.gaussian_mixture import preset
from compute.models.noise_schedule import EDM
from compute.transport_bridges.orlicz_wasserstein.setting import Mixture
from tests.benchmarks.kernels import Case


def cases() -> Iterator[Case]:
    yield _flow_map()
    yield _langevin_gibbs()
    yield _allotment()


def _flow_map() -> Case:
    mixture, levels = preset("three_modes_1d", 3.0), EDM.levels(32, 80.0)
    labels = flow_map.FlowTable(mixture).labels
    means, weights = mixture.means[:, 0], mixture.weights
    side = np.where(labels < 0, 1.0, -1.0)  # the tail where the probability is small
    goal = ndtr(side * labels)

    def newton(sigma: float) -> np.ndarray:
        """All labels at once: Newton's steps on the log of the tail, or halves of the bracket."""
        std = np.hypot(mixture.width, sigma)
        low, high = means.min() + std * labels, means.max() + std * labels
        y = 0.5 * (low + high)
        for _ in range(100):
            z = (y[:, None] - means) / std
            tail = ndtr(side[:, None] * z) @ weights
            density = np.exp(-0.5 * z**2) @ weights / (std * np.sqrt(2 * np.pi))
            excess = side * np.log(tail / goal)
            above = excess > 0
            low, high = np.where(above, low, y), np.where(above, y, high)
            with np.errstate(divide="ignore", invalid="ignore"):
                new = y - excess * tail / density
            new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
            moved, y = np.abs(new - y), new
            if np.all(moved < 1e-12 * (std + np.abs(y))):
                break
        return y

    return Case(
        f"quantiles of three modes at {labels.size} labels, {levels.size} noise levels",
        lambda: np.stack([flow_map.quantiles(mixture, labels, s) for s in levels]),
        "NumPy Newton, all labels at once",
        lambda: np.stack([newton(s) for s in levels]),
        (flow_map._quantiles,),
    )


def _langevin_gibbs() -> Case:
    law, eta, n_steps = line_law(4.0), 0.2, BURN + N_STATES
    means, log_weights = law.means[:, 0], np.log(law.weights)
    begin = SIGMAS[-1] * np.random.default_rng(0).standard_normal((N_CHAINS, 1))
    highest = np.full(N_CHAINS, SIGMAS.size - 1)
    rng = np.random.default_rng(1)
    # One chain after the other, as the kernel takes them; drawn beforehand, which spares NumPy the time.
    draws = np.array([[(rng.standard_normal(), rng.random()) for _ in range(n_steps)] for _ in range(N_CHAINS)])
    variances = law.width**2 + SIGMAS**2

    def plain() -> np.ndarray:
        x, level, kept = begin[:, 0], highest, []
        for step in range(n_steps):
            normal, uniform = draws[:, step].T
            variance = variances[level]
            gap = means - x[:, None]
            logit = log_weights - 0.5 * gap**2 / variance[:, None]
            weight = np.exp(logit - logit.max(axis=1, keepdims=True))
            x = x + 0.5 * eta * np.sum(weight * gap, axis=1) / weight.sum(axis=1) + np.sqrt(eta * variance) * normal
            parts = log_weights - 0.5 * ((means - x[:, None]) ** 2)[:, None] / variances[:, None]
            best = parts.max(axis=2)
            whole = LOG_PRIOR + best + np.log(np.exp(parts - best[..., None]).sum(axis=2)) - 0.5 * np.log(variances)
            chance = np.cumsum(np.exp(whole - whole.max(axis=1, keepdims=True)), axis=1)
            level = np.sum(chance[:, :-1] < (uniform * chance[:, -1])[:, None], axis=1)
            if step >= BURN:
                kept.append(x)
        return np.stack(kept, axis=1)

    def fast() -> np.ndarray:
        rng, start = np.random.default_rng(1), (begin, highest)
        return langevin_gibbs.walk(law, SIGMAS, LOG_PRIOR, eta, BURN, 1, N_CHAINS, N_STATES, rng, start)[0][..., 0]

    return Case(
        f"{n_steps} moves of {N_CHAINS} Langevin-Gibbs chains, {SIGMAS.size} noise levels",
        fast,
        "NumPy, all chains at once",
        plain,
        (langevin_gibbs._walk, langevin_gibbs._log_parts),
    )


def _allotment() -> Case:
    mixture, n, sweeps = Mixture(), 500, 40
    rng = np.random.default_rng(0)
    x = mixture.sample(mixture.in_the_plane(), n, rng)
    draws = list(mixture.posterior(x, sweeps, rng))
    uniform = rng.random((sweeps, n))
    values = np.concatenate([np.ones((n, 1)), x], axis=1)
    terms = [location_mixture._log_terms(x, draw.means, draw.weights, 1.0) for draw in draws]

    def one_sweep(terms: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        below = np.cumsum(np.exp(terms - terms.max(axis=1, keepdims=True)), axis=1)
        label = np.sum(below[:, :-1] < (below[:, -1] * uniform)[:, None], axis=1)
        return np.stack([np.bincount(label, column, terms.shape[1]) for column in values.T], axis=1)

    return Case(
        f"labels of {n} points and their sums, {mixture.truncation} atoms, {sweeps} sweeps",
        lambda: np.stack([location_mixture._allot(t, u, values) for t, u in zip(terms, uniform, strict=True)]),
        "NumPy cumsum and bincount",
        lambda: np.stack([one_sweep(t, u) for t, u in zip(terms, uniform, strict=True)]),
        (location_mixture._allot,),
    )
