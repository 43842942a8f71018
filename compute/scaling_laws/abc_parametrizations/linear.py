r"""A linear network at every width: its loss against the exact infinite-width limit, and its neurons one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from compute.experiment import Result, experiment
from compute.models.width_parametrization import (
    CLOSE,
    FEATURES,
    UNSTABLE,
    Exponents,
    kernel_loss,
    kernel_strength,
    limit,
    limit_loss,
    named,
    rates,
    standard_gram,
    standard_neurons,
    start,
    train,
    train_neurons,
)
from compute.parameters import ParameterError, Seed
from compute.scaling_laws.abc_parametrizations.setting import (
    N_INPUTS,
    TASK,
    Array,
    HiddenRate,
    LargestWidth,
    LearningRate,
    OutputInit,
    OutputRate,
    Seeds,
    Steps,
    ladder,
    slope,
    slope_words,
)

N_POOLED = 4096  # neurons behind a distribution, from as many networks as that takes
N_LIMIT = 20_000
SHARES = np.linspace(0.01, 0.99, 99)
N_SHOWN = 400
CLOUD_ENDS = 30.0  # where the cloud's axes have long been left


# --- loss ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossCurves(Result):
    """Loss against step by width, over the limit, and the distance to the limit."""

    exponents: Exponents
    width: list[int]
    mean: list[Array]  # each (n_steps + 1,), up to where a network diverged
    standard_error: list[Array]
    limit: Array | None  # (n_steps + 1,)
    gap_width: Array  # (n_gap,)
    gap: Array  # (n_gap,) root mean square over networks and steps after the first
    gap_error: Array  # (n_gap,)
    gap_slope: tuple[float, float] | None
    n_steps: int

    def table(self) -> pl.DataFrame:
        curves = [
            pl.DataFrame(
                {"width": [float(n)] * m.size, "step": np.arange(m.size, dtype=float), "loss": m, "loss_standard_error": e}
            )
            for n, m, e in zip(self.width, self.mean, self.standard_error, strict=True)
        ]
        if self.limit is not None:
            curves.append(pl.DataFrame({"step": np.arange(self.limit.size, dtype=float), "limit_loss": self.limit}))
        gaps = pl.DataFrame({"width": self.gap_width, "gap": self.gap, "gap_standard_error": self.gap_error})
        return pl.concat([*curves, gaps], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {"regime": self.exponents.regime, "r": self.exponents.feature}
        found["loss of the infinite width"] = "none" if self.limit is None else float(self.limit[-1])
        if self.gap.size:
            found["slope of the gap in width"] = slope_words(self.gap_slope)
            found["gap × √n at the largest width"] = float(self.gap[-1] * np.sqrt(self.gap_width[-1]))
        return found


def paths(exponents: Exponents, width: int, n_seeds: int, learning_rate: float, n_steps: int, seed: int) -> tuple[Array, Array]:
    """Losses (n_seeds, n_steps + 1) of networks drawn at one width, and their Gram matrices at the start."""
    rng = np.random.default_rng([seed, width])
    standard = np.array([standard_gram(width, N_INPUTS, rng) for _ in range(n_seeds)])
    grams = start(standard, np.full(n_seeds, width), exponents.output_init)
    rate = rates(width, np.full(n_seeds, exponents.hidden_rate), exponents.output_rate, learning_rate)
    return train(grams, rate, TASK, n_steps)[0], grams


def limit_of_each(exponents: Exponents, grams: Array, learning_rate: float, n_steps: int, common: Array) -> Array:
    """The limit's loss, where its start stays random each network's own: (n_seeds or 1, n_steps + 1)."""
    if exponents.regime == FEATURES or abs(exponents.output_init - 0.5) > CLOSE:
        return common[None]
    return kernel_loss(grams[:, -1, :-1], kernel_strength(exponents), learning_rate, TASK, n_steps)


@experiment
def loss_curves(
    *,
    output_init: OutputInit = 1.0,
    hidden_rate: HiddenRate = 0.0,
    output_rate: OutputRate = 1.0,
    largest_width: LargestWidth = 512,
    learning_rate: LearningRate = 0.5,
    steps: Steps = 20,
    n_seeds: Seeds = 16,
    seed: Seed = 0,
) -> LossCurves:
    """Loss of linear networks of doubling width, by the exact recursion, over the exact infinite-width limit."""
    exponents = Exponents(output_init, (hidden_rate,), output_rate)
    widths = ladder(largest_width)
    common = limit_loss(exponents, learning_rate, TASK, steps)
    mean, error, gaps = [], [], []
    for n in widths:
        losses, grams = paths(exponents, n, n_seeds, learning_rate, steps, seed)
        sound = np.isfinite(losses).all(axis=0)
        mean.append(losses[:, sound].mean(axis=0))
        error.append(losses[:, sound].std(axis=0, ddof=1) / np.sqrt(n_seeds))
        if common is not None and sound.all():
            gap = losses - limit_of_each(exponents, grams, learning_rate, steps, common)
            gaps.append((float(n), (gap[:, 1:] ** 2).mean(axis=1)))
    kept = [(n, squares) for n, squares in gaps if squares.any()]
    squares = np.array([s for _, s in kept]).reshape(len(kept), n_seeds)
    rms = np.sqrt(squares.mean(axis=1))
    # Of the root of a mean, by the delta method.
    gap_error = squares.std(axis=1, ddof=1) / (2 * rms * np.sqrt(n_seeds))
    at = np.array([n for n, _ in kept])
    return LossCurves(exponents, widths, mean, error, common, at, rms, gap_error, slope(at, rms[:, None]), steps)


# --- each neuron --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Movement(Result):
    """How far each neuron moved, |u_k(T) - u_k(0)|/|u_k(0)|, as quantiles by width."""

    exponents: Exponents
    width: list[int]
    quantile: Array  # (n_width, n_shares), NaN where the network diverged
    limit: Array | None  # (n_shares,) of the feature-learning limit

    @property
    def share(self) -> Array:
        """(n_shares,) of neurons below."""
        return SHARES

    def curves(self) -> list[tuple[int, Array, Array, int]]:
        """(width, quantiles, shares, place of the width) wherever no network diverged."""
        return [(n, q, SHARES, k) for k, (n, q) in enumerate(zip(self.width, self.quantile, strict=True)) if np.isfinite(q).all()]

    def table(self) -> pl.DataFrame:
        def frame(n: int | None, q: Array) -> pl.DataFrame:
            return pl.DataFrame({"width": [n] * q.size, "movement": q, "share_of_neurons_below": SHARES})

        rows = [frame(n, q) for n, q, _, _ in self.curves()]
        if self.limit is not None:
            rows.append(frame(None, self.limit))
        return pl.concat(rows, how="vertical_relaxed")

    def headline(self) -> dict[str, float | str]:
        middle = self.quantile[:, SHARES.size // 2]
        found: dict[str, float | str] = {"regime": self.exponents.regime, "−r": -self.exponents.feature + 0.0}
        found["slope of the median in width"] = slope_words(slope(np.array(self.width), middle[:, None]))
        found[f"median movement at width {self.width[-1]:,}"] = float(middle[-1]) if np.isfinite(middle[-1]) else "diverged"
        if self.limit is not None:
            found["median of the limit"] = float(self.limit[SHARES.size // 2])
        return found


def relative_movement(change: Array, neurons: Array) -> Array:
    """(n,) of (d + 1, n) neurons at the start under the change that training made of them."""
    moved = change[:-1] @ neurons
    return np.asarray(np.sqrt((moved**2).sum(axis=0) / (neurons[:-1] ** 2).sum(axis=0)))


@experiment
def neuron_movement(
    *,
    output_init: OutputInit = 1.0,
    hidden_rate: HiddenRate = 0.0,
    output_rate: OutputRate = 1.0,
    largest_width: LargestWidth = 512,
    learning_rate: LearningRate = 0.5,
    steps: Steps = 20,
    seed: Seed = 0,
) -> Movement:
    """Distribution over neurons of how far their input weights move, at several widths and in the limit."""
    exponents = Exponents(output_init, (hidden_rate,), output_rate)
    widths = ladder(largest_width)
    quantiles = []
    for n in widths:
        rng = np.random.default_rng([seed, n])
        found = []
        for _ in range(-(-N_POOLED // n)):
            neurons = standard_neurons(n, N_INPUTS, rng)
            neurons[-1] *= float(n) ** (1 - output_init)
            rate = rates(n, np.array([hidden_rate]), output_rate, learning_rate)
            losses, changes = train_neurons((neurons @ neurons.T / n)[None], rate, TASK, steps)
            found.append(relative_movement(changes[0, -1], neurons) if np.isfinite(losses).all() else np.full(n, np.nan))
        quantiles.append(np.quantile(np.concatenate(found), SHARES))
    if not np.isfinite(quantiles).any():
        raise ParameterError("output_rate", "diverges at every width here; take a stable parametrization or fewer steps.")
    endless = None
    if exponents.regime == FEATURES:
        gram, rate = limit(exponents, N_INPUTS, learning_rate)
        losses, changes = train_neurons(gram[None], rate[None], TASK, steps)
        if np.isfinite(losses).all():
            neurons = standard_neurons(N_LIMIT, N_INPUTS, np.random.default_rng([seed, 0])) * np.sqrt(np.diag(gram))[:, None]
            endless = np.quantile(relative_movement(changes[0, -1], neurons), SHARES)
    return Movement(exponents, widths, np.array(quantiles), endless)


@dataclass(frozen=True)
class Cloud(Result):
    """Neurons as points, step by step, under the neural tangent parametrization and under the chosen one."""

    exponents: Exponents
    width: int
    along: Array  # (2, n_frames, n_shown) u_k along the target
    readout: Array  # (2, n_frames, n_shown) readout over the standard deviation of its start
    loss: Array  # (2, n_frames)
    n_steps: int  # asked for; fewer frames where the network diverged

    def table(self) -> pl.DataFrame:
        frames, shown = self.along.shape[1:]
        each = [
            pl.DataFrame(
                {
                    "parametrization": [name] * (frames * shown),
                    "step": np.repeat(np.arange(frames), shown),
                    "neuron": np.tile(np.arange(shown), frames),
                    "along_target": self.along[k].ravel(),
                    "readout": self.readout[k].ravel(),
                    "loss": np.repeat(self.loss[k], shown),
                }
            )
            for k, name in enumerate(("neural tangent", "chosen"))
        ]
        return pl.concat(each)

    def headline(self) -> dict[str, float | str]:
        correlation = [float(np.corrcoef(self.along[k, -1], self.readout[k, -1])[0, 1]) for k in (0, 1)]
        return {
            "regime": self.exponents.regime,
            "steps shown": float(self.along.shape[1] - 1),
            "loss, chosen": float(self.loss[1, -1]),
            "loss, neural tangent": float(self.loss[0, -1]),
            "correlation of the cloud, chosen": correlation[1],
            "correlation, neural tangent": correlation[0],
        }


@experiment
def neuron_cloud(
    *,
    output_init: OutputInit = 1.0,
    hidden_rate: HiddenRate = 0.0,
    output_rate: OutputRate = 1.0,
    largest_width: LargestWidth = 512,
    learning_rate: LearningRate = 0.5,
    steps: Steps = 20,
    seed: Seed = 0,
) -> Cloud:
    """Input weights along the target against readouts, neuron by neuron, while the network trains."""
    chosen = Exponents(output_init, (hidden_rate,), output_rate)
    standard = standard_neurons(largest_width, N_INPUTS, np.random.default_rng([seed, largest_width]))
    direction = TASK.target / np.sqrt(TASK.target @ TASK.target)
    along, readout, loss = [], [], []
    for e in (named("NTP", 1).exponents, chosen):
        scale = float(largest_width) ** (1 - e.output_init)
        neurons = standard.copy()
        neurons[-1] *= scale
        rate = rates(largest_width, np.array([e.hidden_rate]), e.output_rate, learning_rate)
        losses, changes = train_neurons((neurons @ neurons.T / largest_width)[None], rate, TASK, steps)
        shown = neurons[:, :N_SHOWN] + changes[0] @ neurons[:, :N_SHOWN]
        along.append(np.einsum("j,tjn->tn", direction, shown[:, :-1]))
        readout.append(shown[:, -1] / scale)
        loss.append(losses[0])
    reach = np.maximum(np.abs(along[1]).max(axis=1), np.abs(readout[1]).max(axis=1))
    gone = np.flatnonzero(~(reach < CLOUD_ENDS))
    frames = min(steps + 1, int(gone[0])) if gone.size and chosen.regime == UNSTABLE else steps + 1
    kept = np.isfinite(np.array(loss)).all(axis=0)
    frames = max(1, min(frames, int(kept.argmin()) if not kept.all() else frames))
    shown_along, shown_readout, shown_loss = (np.array(part)[:, :frames] for part in (along, readout, loss))
    return Cloud(chosen, largest_width, shown_along, shown_readout, shown_loss, steps)
