r"""Paired categories: a Markov bridge from a source to its target, and two diffusions told the source (185).

Pinned at the target y, the chain starts at z = x and at step k of T jumps to y with probability r_k; it has not jumped with
probability abar_k, and r_T = 1. The generator replaces y by a draw from its prediction given z and x at every step. With the
exact p(y | z, x), which is a point where z has left x and prop. to p(y | x)(abar + (1 - abar) 1[y = x]) where it has not, its
output law is p(y | x) for any number of steps. A prediction that errs with probability e, uniformly, is another matter:

    bridge     a chain that has arrived is asked again at every step, and may be sent off
    absorbing  one draw of y at the moment the mask falls: the error e, whatever the steps
    uniform    y is diffused to a uniform letter and back; every step asks, and later ones correct earlier ones

All laws are exact, by K x K transition matrices for each source.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import brentq

from compute.experiment import Result, experiment
from compute.methods.bootstrap import interval, resample_counts
from compute.parameters import Choice, Column, Dataset, Integer, ParameterError, Real, Seed
from compute.transport_bridges.paired_bridges.setting import Steps

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SCHEDULES = ("linear", "cosine")
METHODS = ("bridge", "absorbing", "uniform")
MAX_STATES = 50

States = Annotated[int, Integer("categories", r"K", low=2, high=MAX_STATES)]
CouplingEntropy = Annotated[
    float, Real("coupling entropy", r"H(y|x)/\log K", low=0.0, high=1.0, help="0: each source has one target; 1: any target.")
]
PredictorError = Annotated[
    float, Real("predictor error", r"e", low=0.0, high=0.5, help="Share of predictions that are uniformly random.")
]
Schedule = Annotated[
    str, Choice("schedule", options=SCHEDULES, help="Share of chains that have not jumped: 1 - t, or cos(pi t/2).")
]
Pairs = Annotated[
    pl.DataFrame | None,
    Dataset(
        "your pairs",
        help="A source and a target category a row; their joint takes the place of the law.",
        columns=[Column("source", "a label", is_text=True), Column("target", "a label", is_text=True)],
        template="source,target\n" + "\n".join(("cat,chat", "cat,matou", "cat,chat", "dog,chien", "dog,chien", "bird,oiseau")),
    ),
]

CURVE_STEPS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 200])
N_CHAINS, N_DRAWS, N_CONTESTS, TOP = 120, 10, 400, 3
MAX_ROWS_SHOWN = 101  # of the raster


@dataclass(frozen=True)
class Joint:
    """The law of (x, y) on K sources and K targets, one alphabet for both."""

    source: Array  # (K,)
    target: Array  # (K, K) p(y | x), rows sum to 1
    labels: tuple[str, ...]
    n_pairs: int  # that it was estimated from; 0: known


def _softened(n: int, entropy: float) -> Array:
    """p(y | x) falling with the distance of y from K - 1 - x round a ring, with the entropy asked for (over log K)."""
    x = np.arange(n)
    gap = np.abs(x[None, :] - (n - 1 - x)[:, None])
    gap = np.minimum(gap, n - gap).astype(float)
    if entropy <= 1e-6:
        return (gap == 0).astype(float)
    if entropy >= 1 - 1e-6:
        return np.full((n, n), 1 / n)

    def excess(log_scale: float) -> float:
        p = np.exp(-gap[0] / np.exp(log_scale))
        p /= p.sum()
        return float(-np.sum(p * np.log(np.maximum(p, 1e-300))) / np.log(n)) - entropy

    p = np.exp(-gap / np.exp(brentq(excess, -6.0, 12.0)))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def joint_of(states: int, coupling_entropy: float, pairs: pl.DataFrame | None) -> Joint:
    """The law of the controls, or the frequencies of a table.

    Raises
    ------
    ParameterError
        For a table of more than 50 different labels, or of one.
    """
    if pairs is None:
        labels = tuple(str(k) for k in range(states))
        return Joint(np.full(states, 1 / states), _softened(states, coupling_entropy), labels, 0)
    labels = tuple(sorted({*pairs["source"].to_list(), *pairs["target"].to_list()}))
    if not 2 <= len(labels) <= MAX_STATES:
        raise ParameterError("pairs", f"has {len(labels)} different labels; it may have from 2 to {MAX_STATES}.")
    place = {label: k for k, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)))
    for a, b in zip(pairs["source"], pairs["target"], strict=True):
        counts[place[a], place[b]] += 1
    mass = counts.sum(axis=1)
    # A label that is no source has probability 0; its row only has to be a law.
    rows = np.where(mass[:, None] > 0, counts / np.maximum(mass, 1)[:, None], 1 / len(labels))
    return Joint(mass / mass.sum(), rows, labels, int(mass.sum()))


def remaining(schedule: str, n: int) -> Array:
    """(n + 1,) probability of not having jumped, from 1 to 0."""
    t = np.linspace(0.0, 1.0, n + 1)
    return np.append((1 - t if schedule == "linear" else np.cos(np.pi * t / 2))[:-1], 0.0)


def blurred(p: Array, error: float) -> Array:
    """A prediction that is uniform with probability ``error``."""
    return (1 - error) * p + error / p.shape[-1]


def _home(target: Array, left: float) -> Array:
    """(K, K) p(y | z = x, x), where a chain that has not left may have y = x."""
    w = left * target
    np.fill_diagonal(w, np.diag(target))
    total = w.sum(axis=1, keepdims=True)
    # At left = 0 only y = x explains that z is x; where that is impossible no chain is there.
    return np.asarray(np.where(total > 0, w / np.where(total > 0, total, 1.0), target))


def bridge_laws(target: Array, schedule: str, n: int, error: float) -> Array:
    """(n + 1, K, K) law of z at every step, given the source of the row."""
    left = remaining(schedule, n)
    size = target.shape[0]
    laws = np.empty((n + 1, size, size))
    laws[0] = np.eye(size)
    for k in range(n):
        rate = 1 - left[k + 1] / left[k]
        at_home = np.diag(laws[k])[:, None]
        away = laws[k] - np.diag(np.diag(laws[k]))
        predicted = (1 - error) * (away + at_home * _home(target, left[k])) + error / size
        laws[k + 1] = (1 - rate) * laws[k] + rate * predicted
    return laws


def uniform_law(target: Array, schedule: str, n: int, error: float) -> Array:
    """(K, K) output law of uniform diffusion of y, told the source."""
    size = target.shape[0]
    left = remaining(schedule, n)[::-1]  # signal of y, from 0 to 1
    law = np.full((size, size), 1 / size)
    for low, high in itertools.pairwise(left):
        # Of z at the noisier level and y: q(z | y); then p(y | z, x) up to its sum, as [x, z, y].
        seen = low * np.eye(size) + (1 - low) / size
        posterior = target[:, None, :] * seen
        posterior /= posterior.sum(axis=2, keepdims=True)
        weight = blurred(posterior, error) / seen
        keep = low / high
        # q(z' | z, y) = q(z | z') q(z' | y)/q(z | y), summed over the prediction.
        pull = high * weight + (1 - high) / size * weight.sum(axis=2, keepdims=True)
        pull *= keep * np.eye(size) + (1 - keep) / size
        law = np.einsum("xz,xzw->xw", law, pull)
    return np.asarray(law)


def output_law(method: str, target: Array, schedule: str, n: int, error: float) -> Array:
    """(K, K) law of the output given the source of the row."""
    if method == "bridge":
        return np.asarray(bridge_laws(target, schedule, n, error)[-1])
    if method == "uniform":
        return uniform_law(target, schedule, n, error)
    return blurred(target, error)


def distance(joint: Joint, law: Array) -> float:
    """Total variation between two joint laws with the same sources."""
    return float(0.5 * joint.source @ np.abs(law - joint.target).sum(axis=1))


@dataclass(frozen=True)
class Raster(Result):
    """Chains from sources to targets, step by step."""

    joint: Joint
    time: Array  # (n_rows,)
    states: Integers  # (n_rows, n_chains) sorted by source, then by when they leave it
    at_source: Array  # (n_steps + 1,) exact probability that z is x
    pinned: Array  # (n_steps + 1,) exact probability that z is y, of the bridge pinned at a true y
    step_time: Array  # (n_steps + 1,)
    simulated: Array  # (n_rows,) share of chains with z = x
    simulated_error: Array
    tv: float
    accuracy: tuple[float, float]  # the likeliest target's probability, and its interval's half width (0: known law)

    def table(self) -> pl.DataFrame:
        time, chain = np.meshgrid(self.time, np.arange(self.states.shape[1]), indexing="ij")
        k = self.joint.target.shape[0]
        source, target = np.meshgrid(np.arange(k), np.arange(k), indexing="ij")
        frames = [
            pl.DataFrame({"t": time.ravel(), "chain": chain.ravel(), "state": self.states.ravel()}),
            pl.DataFrame({"t": self.step_time, "p_at_source": self.at_source, "p_at_target_pinned": self.pinned}),
            pl.DataFrame({"t": self.time, "share_at_source": self.simulated, "standard_error": self.simulated_error}),
            pl.DataFrame({"source": source.ravel(), "target": target.ravel(), "p_target": self.joint.target.ravel()}),
        ]
        return pl.concat(frames, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        inside = self.simulated_error > 0
        gap = (self.simulated - np.interp(self.time, self.step_time, self.at_source))[inside] / self.simulated_error[inside]
        shown: dict[str, float | str] = {
            "TV of the joint": self.tv,
            "simulation − theory at the source, worst, SE": float(np.max(np.abs(gap))) if gap.size else 0.0,
        }
        value, half = self.accuracy
        shown["best possible top-1 accuracy"] = f"{value:.3f} ± {half:.3f} (95%)" if half else value
        return shown


@experiment
def raster(
    *,
    states: States = 8,
    steps: Steps = 10,
    coupling_entropy: CouplingEntropy = 0.5,
    predictor_error: PredictorError = 0.1,
    schedule: Schedule = "linear",
    pairs: Pairs = None,
    seed: Seed = 0,
) -> Raster:
    """Simulate the generator's chains from their sources; its law is followed exactly beside them."""
    rng = np.random.default_rng(seed)
    joint = joint_of(states, coupling_entropy, pairs)
    size = len(joint.labels)
    laws = bridge_laws(joint.target, schedule, steps, predictor_error)
    left = remaining(schedule, steps)
    sources = np.sort(rng.choice(size, size=N_CHAINS, p=joint.source))
    z = sources.copy()
    chains = [z]
    for k in range(steps):
        home = _home(joint.target, left[k])
        p = np.where((z == sources)[:, None], home[sources], np.eye(size)[z])
        cumulative = np.cumsum(blurred(p, predictor_error), axis=1)
        guess = np.minimum((cumulative < rng.random((N_CHAINS, 1))).sum(axis=1), size - 1)
        z = np.where(rng.random(N_CHAINS) < 1 - left[k + 1] / left[k], guess, z)
        chains.append(z)
    rows = np.unique(np.rint(np.linspace(0, steps, min(steps + 1, MAX_ROWS_SHOWN))).astype(np.int64))
    share = np.array([float(np.mean(chains[k] == sources)) for k in rows])
    # Within a source, those that leave first stand first.
    stay = np.sum(np.cumprod(np.array(chains) == sources, axis=0), axis=0)
    order = np.lexsort((stay, sources))
    at_source = np.einsum("c,kcc->k", np.bincount(sources, minlength=size) / N_CHAINS, laws)
    stays = float(joint.source @ np.diag(joint.target))
    exact = at_source[rows]
    return Raster(
        joint=joint,
        time=rows / steps,
        states=np.array([chains[k][order] for k in rows]),
        at_source=at_source,
        pinned=1 - left + left * stays,
        step_time=np.arange(steps + 1) / steps,
        simulated=share,
        simulated_error=np.sqrt(np.maximum(exact * (1 - exact), 0.0) / N_CHAINS),
        tv=distance(joint, laws[-1]),
        accuracy=_best_accuracy(joint, rng),
    )


def _best_accuracy(joint: Joint, rng: np.random.Generator) -> tuple[float, float]:
    """sum_x p(x) max_y p(y | x); of a table with half the width of its 95% bootstrap interval."""
    value = float(joint.source @ joint.target.max(axis=1))
    if not joint.n_pairs:
        return value, 0.0
    counts = np.rint(joint.n_pairs * joint.source[:, None] * joint.target).astype(np.int64)
    cell = np.repeat(np.arange(counts.size), counts.ravel())
    refits = []
    for drawn in resample_counts(rng, joint.n_pairs, 200):
        table = np.bincount(cell, weights=drawn, minlength=counts.size).reshape(counts.shape)
        refits.append(table.max(axis=1).sum() / joint.n_pairs)
    low, high = interval(np.array(refits)[:, None], 0.95)
    return value, float(0.5 * (high[0] - low[0]))


@dataclass(frozen=True)
class Errors(Result):
    """Error and accuracy of the three processes against steps."""

    n: Integers  # (n_points,)
    tv: dict[str, Array]  # by method
    top_n: Integers  # (n_simulated,)
    top: dict[int, Array]  # k = 1, 3: (n_simulated,) share of targets among the bridge's k most frequent of 10 outputs
    top_error: dict[int, Array]
    bayes: dict[int, float]  # the same of an exact law ranked exactly
    steps: int
    tv_here: dict[str, float]

    def table(self) -> pl.DataFrame:
        curves = pl.DataFrame({"steps": self.n, **{f"tv_{name}": tv for name, tv in self.tv.items()}})
        columns = {f"bridge_top_{k}": v for k, v in self.top.items()}
        columns |= {f"bridge_top_{k}_standard_error": v for k, v in self.top_error.items()}
        simulated = pl.DataFrame({"steps": self.top_n, **columns})
        return pl.concat([curves, simulated], how="diagonal").with_columns(
            best_top_1=pl.lit(self.bayes[1]), best_top_3=pl.lit(self.bayes[TOP])
        )

    def headline(self) -> dict[str, float | str]:
        shown: dict[str, float | str] = {f"TV, {name}, {self.steps} steps": v for name, v in self.tv_here.items()}
        return shown | {"top-1, bridge, most steps": float(self.top[1][-1]), "top-1, best possible": self.bayes[1]}


@experiment
def errors(
    *,
    states: States = 8,
    steps: Steps = 10,
    coupling_entropy: CouplingEntropy = 0.5,
    predictor_error: PredictorError = 0.1,
    schedule: Schedule = "linear",
    pairs: Pairs = None,
    seed: Seed = 0,
) -> Errors:
    """Total variation of the joint law against steps, exactly, and top-k accuracy of the bridge by simulated contests.

    A contest: a pair is drawn, the bridge is run 10 times from the source, its outputs are ranked by frequency.
    """
    rng = np.random.default_rng(seed)
    joint = joint_of(states, coupling_entropy, pairs)
    laws = {name: [output_law(name, joint.target, schedule, int(n), predictor_error) for n in CURVE_STEPS] for name in METHODS}
    contested = CURVE_STEPS[::2]
    top: dict[int, list[float]] = {1: [], TOP: []}
    sources = rng.choice(len(joint.labels), size=N_CONTESTS, p=joint.source)
    targets = (np.cumsum(joint.target[sources], axis=1) < rng.random((N_CONTESTS, 1))).sum(axis=1)
    targets = np.minimum(targets, len(joint.labels) - 1)
    for law in laws["bridge"][::2]:
        p = np.maximum(law[sources], 0.0)
        votes = rng.multinomial(N_DRAWS, p / p.sum(axis=1, keepdims=True))
        # Ties, and what got no vote, are ranked by chance.
        rank = np.argsort(-(votes + 0.5 * rng.random(votes.shape)), axis=1)
        hit = rank == targets[:, None]
        for k, shares in top.items():
            shares.append(float(hit[:, :k].any(axis=1).mean()))
    ranked = -np.sort(-joint.target, axis=1)
    return Errors(
        n=CURVE_STEPS,
        tv={name: np.array([distance(joint, law) for law in found]) for name, found in laws.items()},
        top_n=contested,
        top={k: np.array(v) for k, v in top.items()},
        top_error={k: np.sqrt(np.array(v) * (1 - np.array(v)) / N_CONTESTS) for k, v in top.items()},
        bayes={k: float(joint.source @ ranked[:, :k].sum(axis=1)) for k in (1, TOP)},
        steps=steps,
        tv_here={name: distance(joint, output_law(name, joint.target, schedule, steps, predictor_error)) for name in METHODS},
    )
