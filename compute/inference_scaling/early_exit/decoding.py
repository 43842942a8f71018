r"""What early exit saves when tokens are decoded: pipelined filling of missing caches, or their recomputation.

A token exits at stage e, geometric with probability p at each exit head and P at last. Pipelined: the next token starts when a
head fires, while the caches of later stages are filled behind it; a token takes e (tau + h). Recomputed: a token that
exits leaves its caches at later stages missing; whoever comes there next computes them in the same batch, at mu tau each.
Within a cycle between full passes every token is paid for once at every stage, in its own pass or as a pending one, so that
by renewal the mean is exact, with a cap C on pending tokens too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.inference_scaling.early_exit.pipeline import HeadCost, LayersPerStage, Stages
from compute.parameters import Integer, LogInteger, LogReal, Real, Seed

Array = NDArray[np.float64]

ExitProbability = Annotated[
    float, Real("exit probability", "p", low=0.0, high=0.95, help="At each stage's head, of a token that has come so far.")
]
BatchCost = Annotated[
    float, LogReal("cost of a pending token", r"\mu", low=0.003, high=1.0, help="In a batch, over that of the first.")
]
MostPending = Annotated[int, Integer("most pending", "C", low=1, high=64, help="At so many the next token makes a full pass.")]
Decoded = Annotated[int, LogInteger("tokens", "n", low=200, high=20_000, help="Simulated.")]


def exit_stages(probability: Array | float, stages: int) -> Array:
    """P(e = k), k = 1..P; ``(..., P)``."""
    p = np.asarray(probability, dtype=float)[..., None]
    k = np.arange(stages)
    return np.where(k < stages - 1, p * (1 - p) ** k, (1 - p) ** (stages - 1))


def pipelined_time(law: Array, stage_time: float, head_time: float) -> Array:
    """Mean time of a token, E[e] (tau + h); ``(...,)``."""
    return np.asarray((law @ np.arange(1, law.shape[-1] + 1)) * (stage_time + head_time))


def recomputed_time(law: Array, stage_time: float, head_time: float, batch_cost: float, most_pending: int) -> Array:
    """Mean time of a token by renewal at full passes.

    A cycle has T tokens, T - 1 that exit early and one full pass: P(T > j) = (1 - s)^j for j <= C, s = P(e = P). Its full pass
    costs P, and each other token 1 at stages it reaches and mu at those it left pending.
    """
    stages = law.shape[-1]
    full = law[..., -1]
    reach = np.flip(np.cumsum(np.flip(law, -1), axis=-1), -1)  # P(e >= k)
    short = np.maximum(1 - full, 1e-300)
    early = np.maximum(reach - full[..., None], 0.0) / short[..., None]  # P(e >= k | e < P)
    tokens = np.where(full > 1e-12, (1 - short ** (most_pending + 1)) / np.maximum(full, 1e-12), most_pending + 1.0)
    own = early.sum(axis=-1)
    trunk = stages + (tokens - 1) * (own + batch_cost * (stages - own))
    heads = stages + (tokens - 1) * own
    return np.asarray((trunk * stage_time + heads * head_time) / tokens)


def simulate_recomputed(
    exits: NDArray[np.int64], stages: int, stage_time: float, head_time: float, batch_cost: float, most_pending: int
) -> Array:
    """Times of tokens that would exit at ``exits`` (1..P), forced to a full pass where ``most_pending`` are pending."""
    pending = np.zeros(stages)
    times = np.empty(exits.size)
    for t, wanted in enumerate(exits):
        e = stages if pending[-1] >= most_pending else int(wanted)
        times[t] = e * (stage_time + head_time) + stage_time * batch_cost * pending[:e].sum()
        pending[:e] = 0
        pending[e:] += 1
    return times


@dataclass(frozen=True)
class DecodeSpeed(Result):
    """Speed-up over full passes against how early tokens exit."""

    probability: Array  # (n_points,)
    depth: Array  # (n_points,) mean exit stage over P
    pipelined: Array  # (n_points,)
    recomputed: Array  # (n_points,)
    simulated_at: Array  # (n_simulated,) exit probabilities
    simulated_depth: Array  # (n_simulated,)
    simulated: dict[str, Array]  # (n_simulated,) of both
    standard_error: dict[str, Array]  # (n_simulated,)
    by_stages: dict[int, Array]  # (n_points,) pipelined, of other P with as many layers
    at: tuple[float, float]  # the reader's exit probability, and mean exit stage over P
    here: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        columns = {
            "exit_probability": self.probability,
            "mean_exit_stage_over_stages": self.depth,
            "speedup_pipelined": self.pipelined,
            "speedup_recomputed": self.recomputed,
        }
        columns |= {f"speedup_pipelined_{p}_stages": values for p, values in self.by_stages.items()}
        simulated = {"exit_probability": self.simulated_at, "mean_exit_stage_over_stages": self.simulated_depth}
        for name, values in self.simulated.items():
            simulated |= {f"simulated_{name}": values, f"standard_error_{name}": self.standard_error[name]}
        return pl.concat([pl.DataFrame(columns), pl.DataFrame(simulated)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        gaps = []
        for name, exact in (("pipelined", self.pipelined), ("recomputed", self.recomputed)):
            theory = np.interp(self.simulated_at, self.probability, exact)
            gaps.append(np.abs(self.simulated[name] - theory) / np.maximum(self.standard_error[name], 1e-9))
        return self.here | {"largest gap, theory to simulation (SE)": float(np.max(gaps))}


@experiment
def decode_speed(
    *,
    stages: Stages = 4,
    layers_per_stage: LayersPerStage = 4,
    exit_probability: ExitProbability = 0.5,
    head_cost: HeadCost = 0.3,
    batch_cost: BatchCost = 0.03,
    most_pending: MostPending = 16,
    decoded: Decoded = 1000,
    seed: Seed = 0,
) -> DecodeSpeed:
    """Speed-up of decoding by two ways to keep caches whole (122), against the exit probability at each stage's head.

    Time of a full pass: P tau + h, tau the layers of a stage, h a head. Both theories are exact for exits independent of one
    another; the simulation draws exits and keeps count of what is pending.
    """
    probability = np.linspace(0, 0.95, 96)
    stage_time, full = float(layers_per_stage), stages * layers_per_stage + head_cost
    law = exit_stages(probability, stages)
    depth = law @ np.arange(1, stages + 1) / stages
    pipelined = full / pipelined_time(law, stage_time, head_cost)
    recomputed = full / recomputed_time(law, stage_time, head_cost, batch_cost, most_pending)
    at = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    rng = np.random.default_rng(seed)
    simulated: dict[str, list[float]] = {"pipelined": [], "recomputed": []}
    errors: dict[str, list[float]] = {"pipelined": [], "recomputed": []}
    for p in at:
        exits = np.minimum(rng.geometric(p, decoded), stages)
        recomputing = simulate_recomputed(exits, stages, stage_time, head_cost, batch_cost, most_pending)
        for name, times in (("pipelined", exits * (stage_time + head_cost)), ("recomputed", recomputing)):
            mean = times.mean()
            # Times of tokens in a cycle are dependent: batch means over 25 stretches.
            stretches = times[: 25 * (decoded // 25)].reshape(25, -1).mean(axis=1)
            simulated[name].append(full / mean)
            errors[name].append(full / mean**2 * max(float(stretches.std(ddof=1)) / 5, 1e-9))
    layers = stages * layers_per_stage
    others = {p: (layers + head_cost) / pipelined_time(exit_stages(probability, p), layers / p, head_cost) for p in (2, 4, 8, 16)}
    here_law = exit_stages(exit_probability, stages)
    own_depth = float(here_law @ np.arange(1, stages + 1))
    here: dict[str, float | str] = {
        "speed-up, pipelined": float(full / pipelined_time(here_law, stage_time, head_cost)),
        "speed-up, recomputed": float(full / recomputed_time(here_law, stage_time, head_cost, batch_cost, most_pending)),
        "mean exit stage": own_depth,
        "tokens that need all stages": float(here_law[-1]),
    }
    means = {name: np.array(values) for name, values in simulated.items()}
    spread = {name: np.array(values) for name, values in errors.items()}
    simulated_depth = exit_stages(at, stages) @ np.arange(1, stages + 1) / stages
    own = (exit_probability, own_depth / stages)
    return DecodeSpeed(probability, depth, pipelined, recomputed, at, simulated_depth, means, spread, others, own, here)
