"""How often the tests reject: against the effect, without one, and over group size and effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import beta

from compute.experiment import Result, experiment
from compute.methods.contours import level_lines
from compute.methods.grids import grid_table
from compute.methods.shared_parameters import gathered
from compute.parameters import Seed
from compute.transport_bridges.intrinsic_sliced_wasserstein.setting import (
    PERMUTATION,
    RAW,
    TESTS,
    Draws,
    GroupSize,
    Setting,
    Test,
    TwoGroups,
)

Array = NDArray[np.float64]

LEVEL = 0.05
EFFECTS_TRIED = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.4, 2.0])
BATCH = 10


def binomial_error(share: Array, n: int) -> Array:
    """Standard error of a share of n; where none or all were counted, as if half of one more had gone the other way."""
    seen = np.clip(share, 0.5 / (n + 1), 1 - 0.5 / (n + 1))
    return np.asarray(np.sqrt(seen * (1 - seen) / n))


def _seconds_of_draw(setting: Setting, size: int) -> float:
    return setting.seconds(2 * size) + setting.tests_seconds(size)


def _setting(values: dict[str, object]) -> Setting:
    return Setting(**{name: values[name] for name in Setting.__dataclass_fields__})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Power(Result):
    """Power of each test against the effect."""

    effect: Array  # (n_effects,)
    power: dict[str, Array]
    standard_error: dict[str, Array]
    draws: int
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        return pl.concat(
            [
                pl.DataFrame({"test": name, "effect": self.effect, "power": power, "standard_error": self.standard_error[name]})
                for name, power in self.power.items()
            ]
        )

    def headline(self) -> dict[str, float | str]:
        return self.summary


def _power_seconds(*, group_size: int, draws: int, **values: object) -> float:
    return EFFECTS_TRIED.size * draws * _seconds_of_draw(_setting(values), group_size)


@experiment(seconds=_power_seconds)
@gathered(Setting, "setting")
def power_curve(
    *, setting: Setting, group_size: GroupSize = 20, draws: Draws = 100, seed: Seed = 0
) -> Iterator[tuple[float, Power]]:
    """Power at level 0.05 against the effect, all tests on the same draws."""
    rng = np.random.default_rng([seed, 3])
    tester = TwoGroups.of(group_size, group_size, rng)
    hits = {name: np.zeros(EFFECTS_TRIED.size) for name in TESTS}
    done = 0
    while done < draws:
        batch = min(BATCH, draws - done)
        for k, effect in enumerate(EFFECTS_TRIED):
            for _ in range(batch):
                for name, p in tester.p_values(setting.groups(group_size, effect, rng), TESTS).items():
                    hits[name][k] += p <= LEVEL
        done += batch
        power = {name: count / done for name, count in hits.items()}
        error = {name: binomial_error(share, done) for name, share in power.items()}
        summary: dict[str, float | str] = {
            f"{what}, {name}": float(power[name][k])
            for what, k in (("false alarms", 0), ("power at effect 0.4", 4))
            for name in TESTS
        }
        summary["standard error, at most"] = float(0.5 / np.sqrt(done))
        yield done / draws, Power(EFFECTS_TRIED, power, error, done, summary)


# --- without an effect -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Null(Result):
    """Sorted p-values of each test where the groups do not differ."""

    expected: Array  # (n,) mean of the sorted uniform numbers
    low: Array  # (n,) 95 percent of sorted uniform numbers lie within
    high: Array
    p_value: dict[str, Array]
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        columns = {f"p_value_{name}": p for name, p in self.p_value.items()}
        return pl.DataFrame({"expected": self.expected, "low": self.low, "high": self.high} | columns)

    def headline(self) -> dict[str, float | str]:
        return self.summary


def _null_seconds(*, group_size: int, draws: int, **values: object) -> float:
    return draws * _seconds_of_draw(_setting(values), group_size)


@experiment(seconds=_null_seconds)
@gathered(Setting, "setting")
def null_p_values(
    *, setting: Setting, group_size: GroupSize = 20, draws: Draws = 100, seed: Seed = 0
) -> Iterator[tuple[float, Null]]:
    """p-values of two groups of one kind, all tests on the same draws."""
    rng = np.random.default_rng([seed, 4])
    tester = TwoGroups.of(group_size, group_size, rng)
    found: dict[str, list[float]] = {name: [] for name in (*TESTS, RAW)}
    for k in range(draws):
        for name, p in tester.p_values(setting.groups(group_size, 0.0, rng)).items():
            found[name].append(p)
        n = k + 1
        if n % BATCH and n < draws:
            continue
        rank = np.arange(1, n + 1)
        sorted_p = {name: np.sort(p) for name, p in found.items()}
        summary: dict[str, float | str] = {f"p ≤ 0.05, {name}": float(np.mean(p <= LEVEL)) for name, p in sorted_p.items()}
        summary["standard error"] = float(np.sqrt(LEVEL * (1 - LEVEL) / n))
        low, high = beta.ppf(0.025, rank, n + 1 - rank), beta.ppf(0.975, rank, n + 1 - rank)
        yield n / draws, Null(rank / (n + 1), low, high, sorted_p, summary)


# --- over group size and effect ---------------------------------------------------------------------------

SIZES = np.array([5, 7, 10, 14, 20, 28, 40, 57, 80, 100])
EFFECT_AXIS = np.linspace(0.0, 1.2, 11)


@dataclass(frozen=True)
class PowerMap(Result):
    """Power of one test over group size and effect."""

    size: Array
    effect: Array
    power: Array  # (n_effects, n_sizes)
    half: tuple[Array, Array]  # where power is 1/2
    test: str
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        return grid_table("group_size", self.size, "effect", self.effect, power=self.power)

    def headline(self) -> dict[str, float | str]:
        return self.summary


def _map_seconds(*, draws: int, test: str, **values: object) -> float:
    setting, rounds = _setting(values), _rounds(draws)
    permute = test == PERMUTATION
    tests = sum(setting.tests_seconds(int(n), permute, not permute) for n in SIZES)
    return EFFECT_AXIS.size * rounds * (setting.seconds(2 * int(SIZES[-1])) + tests)


def _rounds(draws: int) -> int:
    return max(10, draws // 5)


@experiment(seconds=_map_seconds)
@gathered(Setting, "setting")
def power_map(
    *, setting: Setting, test: Test = PERMUTATION, draws: Draws = 100, seed: Seed = 0
) -> Iterator[tuple[float, PowerMap]]:
    """Power over group size and effect; smaller groups are the first of larger ones, and a cell has a fifth of the draws."""
    rng = np.random.default_rng([seed, 5])
    most, rounds = int(SIZES[-1]), _rounds(draws)
    testers = [TwoGroups.of(int(n), int(n), rng, 499) for n in SIZES]
    hits = np.zeros((EFFECT_AXIS.size, SIZES.size))
    for done in range(1, rounds + 1):
        for i, effect in enumerate(EFFECT_AXIS):
            vectors = setting.groups(most, effect, rng)
            for j, n in enumerate(SIZES):
                hits[i, j] += testers[j].p_values(np.concatenate([vectors[:n], vectors[most : most + n]]), (test,))[test] <= LEVEL
        power = hits / done
        x, y = level_lines(np.log(SIZES), EFFECT_AXIS, power, 0.5)
        summary: dict[str, float | str] = {
            "false alarms, all sizes": float(power[0].mean()),
            "smallest effect seen half the time, 20 a group": _crossing(power[:, 4]),
            "and 100 a group": _crossing(power[:, -1]),
            "draws a cell": float(done),
        }
        yield done / rounds, PowerMap(SIZES.astype(float), EFFECT_AXIS, power, (np.exp(x), y), test, summary)


def _crossing(power: Array) -> float | str:
    """Where a row of powers first passes one half, by linear interpolation."""
    above = np.flatnonzero(power >= 0.5)
    if above.size == 0:
        return "none"
    k = int(above[0])
    if k == 0:
        return 0.0
    step = (0.5 - power[k - 1]) / (power[k] - power[k - 1])
    return float(EFFECT_AXIS[k - 1] + step * (EFFECT_AXIS[k] - EFFECT_AXIS[k - 1]))
