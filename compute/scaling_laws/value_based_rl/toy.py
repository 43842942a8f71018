"""Q-learning with replay on a small gridworld: data to reach a level against updates per step, measured and fitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.kernel import kernel
from compute.methods.bootstrap import interval, standard_error
from compute.methods.power_law import PowerLawForm, fit_log_huber
from compute.models.markov_decision_process import gridworld, value_iteration
from compute.parameters import LogInteger, Real, Seed
from compute.scaling_laws.value_based_rl.law import BatchExponent

Array = NDArray[np.float64]

SIZE, DISCOUNT, EPSILON, RATE, BATCH = 6, 0.95, 0.2, 0.1, 16
FIRST_GUESS = 0.3  # deviation of the initial values: errors that updates must remove, as a network's
WINDOW, MAX_STEPS, MAX_EPISODE = 20, 20_000, 200
RATIOS = 2.0 ** np.arange(-3, 6)
FORM = PowerLawForm(((0,), (1,)))  # Dmin + Dmin beta^alpha sigma^-alpha
HUBER_DELTA = 0.1  # of log data: medians over few seeds scatter by a tenth
N_BOOTSTRAP = 40
LEVEL = 0.8

EnvNoise = Annotated[float, Real("slip probability", low=0.0, high=0.5, help="A move goes astray to one of the four at random.")]
Share = Annotated[float, Real("share of the optimal value", "J", low=0.3, high=0.75, help="What a 20-episode average must reach.")]
Seeds = Annotated[int, LogInteger("seeds", "R", low=4, high=100)]


@kernel
def _learn(rng, size, slip, discount, epsilon, rate, ratio, batch, target, q, returns):  # type: ignore[no-untyped-def]
    """Steps until the mean of the last ``WINDOW`` discounted returns reaches the target; -1 where it never does.

    Learns from the values ``q`` in place. Fills ``returns`` with the first episodes' returns; stops when it is full.
    """
    n_states = size * size
    seen = np.empty((MAX_STEPS, 3), np.int64)
    recent = np.zeros(WINDOW)
    state, length, episodes, credit, total = 0, 0, 0, 0.0, 0.0
    for step in range(MAX_STEPS):
        if rng.random() < epsilon:
            action = int(rng.random() * 4)
        else:
            action, ties = 0, 1
            for a in range(1, 4):
                if q[state, a] > q[state, action]:
                    action, ties = a, 1
                elif q[state, a] == q[state, action]:
                    ties += 1
                    if rng.random() * ties < 1.0:
                        action = a
        move = int(rng.random() * 4) if rng.random() < slip else action
        x, y = state % size, state // size
        if move == 0:
            x = min(x + 1, size - 1)
        elif move == 1:
            x = max(x - 1, 0)
        elif move == 2:
            y = min(y + 1, size - 1)
        else:
            y = max(y - 1, 0)
        new = y * size + x
        seen[step, 0], seen[step, 1], seen[step, 2] = state, action, new
        length += 1
        credit += ratio
        while credit >= 1.0:
            credit -= 1.0
            for _ in range(batch):
                i = int(rng.random() * (step + 1))
                s, a, t = seen[i, 0], seen[i, 1], seen[i, 2]
                goal = 1.0 if t == n_states - 1 else discount * max(q[t, 0], q[t, 1], q[t, 2], q[t, 3])
                q[s, a] += rate * (goal - q[s, a])
        state = new
        if new == n_states - 1 or length >= MAX_EPISODE:
            value = discount ** (length - 1) if new == n_states - 1 else 0.0
            slot = episodes % WINDOW
            total += value - recent[slot]
            recent[slot] = value
            if episodes < returns.size:
                returns[episodes] = value
            episodes += 1
            if episodes >= WINDOW and total / WINDOW >= target:
                return step + 1
            if returns.size > 0 and episodes >= returns.size:
                return -1
            state, length = 0, 0
    return -1


def batch_at(ratio: float, batch_exponent: float) -> int:
    """ceil(16 sigma^{-alpha_B})."""
    return int(np.ceil(BATCH * ratio**-batch_exponent - 1e-9))


def first_values(rng: np.random.Generator) -> Array:
    """(n_states, 4) values before learning."""
    return FIRST_GUESS * rng.standard_normal((SIZE * SIZE, 4))


def data_to_level(rng: np.random.Generator, ratio: float, batch_exponent: float, slip: float, target: float) -> int:
    """Environment steps of one run to a discounted return; -1 where ``MAX_STEPS`` do not suffice."""
    batch, q = batch_at(ratio, batch_exponent), first_values(rng)
    return int(_learn(rng, SIZE, slip, DISCOUNT, EPSILON, RATE, ratio, batch, target, q, np.empty(0)))


def untrained_returns(rng: np.random.Generator, slip: float, values: Array, n_episodes: int) -> Array:
    """Discounted returns of the epsilon-greedy policy of fixed values: no update is made; ``MAX_STEPS`` may cut them short."""
    out = np.full(n_episodes, np.nan)
    _learn(rng, SIZE, slip, DISCOUNT, EPSILON, RATE, 0.0, 1, np.inf, values.copy(), out)
    return out[np.isfinite(out)]


def fit_data(ratio: Array, data: Array) -> Array | None:
    """Dmin, beta and alpha of D = Dmin (1 + (beta/sigma)^alpha); None where the data do not fall to a floor."""
    found = fit_log_huber(FORM, ratio[:, None], data, huber_delta=HUBER_DELTA)
    floor, slope, alpha = found.parameters
    if not (np.isfinite(found.parameters).all() and 0.02 < alpha < 20 and floor > -20 and abs(slope - floor) / alpha < 100):
        return None
    return np.array([np.exp(floor), np.exp((slope - floor) / alpha), alpha])


def law_data(parameters: Array, ratio: Array) -> Array:
    """The law at (…, 3) parameters."""
    p = np.asarray(parameters)[..., None, :]
    return p[..., 0] * (1 + (p[..., 1] / ratio) ** p[..., 2])


@dataclass(frozen=True)
class ToyLaw(Result):
    """Median data to reach the level at each ratio, and the law fitted to them."""

    ratio: Array  # (n_ratios,) where half of the seeds or more reach it
    data: Array  # (n_ratios,) median over seeds
    standard_error: Array  # (n_ratios,)
    seeds: Array  # (n_ratios, n_seeds), NaN where not reached
    fine: Array  # (n_fine,)
    fitted: Array | None  # (n_fine,)
    low: Array | None  # (n_fine,)
    high: Array | None
    parameters: Array | None  # Dmin, beta, alpha
    alpha_interval: tuple[float, float] | None
    n_missed: int

    def table(self) -> pl.DataFrame:
        points = pl.DataFrame({"utd": self.ratio, "median_data_steps": self.data, "standard_error": self.standard_error})
        n_seeds = self.seeds.shape[1]
        runs = pl.DataFrame({"utd": np.repeat(self.ratio, n_seeds), "data_steps": self.seeds.ravel()}).with_columns(
            pl.col("data_steps").fill_nan(None)
        )
        parts = [points, runs]
        if self.fitted is not None:
            parts.append(
                pl.DataFrame({"utd": self.fine, "fitted_data_steps": self.fitted, "low_80": self.low, "high_80": self.high})
            )
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        missed: dict[str, float | str] = {"runs that did not reach the level": float(self.n_missed)}
        if self.parameters is None:
            return {"fit": "these runs give no falling power and floor; add seeds", **missed}
        floor, beta, alpha = (float(v) for v in self.parameters)
        spread = "" if self.alpha_interval is None else " ({:.2f} to {:.2f})".format(*self.alpha_interval)
        return {
            "exponent α (80%)": f"{alpha:.2f}{spread}",
            "least data": floor,
            "crossover β": beta,
            "fewest steps measured": float(self.data.min()),
            **missed,
        }


def _seconds(*, n_seeds: int, toy_level: float, env_noise: float, batch_exponent: float, **_: object) -> float:
    hard = np.exp(2 * max(toy_level - 0.6, 0.0) + 2 * max(env_noise - 0.1, 0.0)) * (1.7 if batch_exponent < 0.2 else 1.0)
    return float(0.03 + 0.012 * n_seeds * hard)


@experiment(seconds=_seconds)
def toy_law(
    *,
    toy_level: Share = 0.6,
    env_noise: EnvNoise = 0.1,
    batch_exponent: BatchExponent = 0.4,
    n_seeds: Seeds = 16,
    seed: Seed = 0,
) -> Iterator[tuple[float, ToyLaw]]:
    """Tabular Q-learning on a 6 x 6 grid, replaying everything seen at sigma updates a step, measured against the law.

    Data is the number of steps until a 20-episode average of the discounted return reaches a share of the optimal value; medians
    over seeds, their errors and the fit's band by resampling seeds.
    """
    target = toy_level * float(value_iteration(gridworld(SIZE, env_noise), DISCOUNT)[0])
    found: list[Array] = []
    for k, ratio in enumerate(RATIOS[::-1]):
        runs = np.array(
            [
                data_to_level(np.random.default_rng([seed, k, r]), float(ratio), batch_exponent, env_noise, target)
                for r in range(n_seeds)
            ],
            dtype=float,
        )
        found.append(np.where(runs < 0, np.nan, runs))
        done = (k + 1) / RATIOS.size
        if k >= 4 or done == 1:
            yield done, _summary(np.array(RATIOS[-k - 1 :]), np.stack(found[::-1]), np.random.default_rng([seed, 1000]))


def _medians(seeds: Array) -> Array:
    """Median over the last axis, a run that did not arrive counting as later than all; infinite where half did not."""
    return np.asarray(np.median(np.where(np.isnan(seeds), np.inf, seeds), axis=-1))


def _summary(ratio: Array, seeds: Array, rng: np.random.Generator) -> ToyLaw:
    n_seeds = seeds.shape[1]
    missed = int(np.isnan(seeds).sum())
    kept = np.mean(np.isnan(seeds), axis=1) <= 0.25
    ratio, seeds = (ratio[kept], seeds[kept]) if kept.sum() >= 1 else (ratio[-1:], np.full((1, n_seeds), float(MAX_STEPS)))
    data = _medians(seeds)
    drawn = rng.integers(0, n_seeds, size=(N_BOOTSTRAP, n_seeds))
    medians = _medians(seeds[:, drawn]).T  # (n_bootstrap, n_ratios)
    error = standard_error(np.where(np.isfinite(medians), medians, np.nan))
    fine = np.geomspace(RATIOS[0], RATIOS[-1], 61)
    parameters = fit_data(ratio, data) if ratio.size >= 4 else None
    if parameters is None:
        return ToyLaw(ratio, data, error, seeds, fine, None, None, None, None, None, missed)
    refits = [fit_data(ratio, m) for m in medians if np.isfinite(m).all()]
    sound = np.array([p for p in refits if p is not None]).reshape(-1, 3)
    fitted = law_data(parameters, fine)
    low, high, span = fitted, fitted, None
    if len(sound) >= 5:
        low, high = interval(law_data(sound, fine), LEVEL)
        ends = interval(sound[:, 2], LEVEL)
        span = (float(ends[0]), float(ends[1]))
    return ToyLaw(ratio, data, error, seeds, fine, fitted, low, high, parameters, span, missed)
