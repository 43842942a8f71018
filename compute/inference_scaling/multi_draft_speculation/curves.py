"""Acceptance against the number of drafts at any vocabulary, and the best practical scheme over temperature and mismatch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.inference_scaling.multi_draft_speculation.parameters import (
    Drafts,
    DraftTemperature,
    Mismatch,
    TargetTemperature,
    Tokens,
    Vocabulary,
)
from compute.methods.grids import grid_table
from compute.methods.multi_draft import PRACTICAL, SCHEMES, Sampler, acceptance, draw_tokens, minimizing_set
from compute.models.toy_language import draft_and_target
from compute.parameters import LogInteger, Seed

Array = NDArray[np.float64]

COUNTS = np.array([1.0, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64])
SIMULATED = np.array([1, 2, 4, 8, 16, 32])
Draws = Annotated[int, LogInteger("simulated draws", "m", low=200, high=20_000, help="Of each point and scheme.")]


@dataclass(frozen=True)
class DraftCurve(Result):
    """Acceptance against the number of drafts K, of every scheme."""

    drafts: Array  # (n_counts,)
    theory: dict[str, Array]  # (n_counts,)
    simulated_drafts: Array  # (n_points,)
    simulation: dict[str, Array]  # (n_points,) of the practical schemes
    standard_error: dict[str, Array]  # (n_points,)
    n_drafts: int
    vocabulary: int
    n_binding: int
    overlap: float

    def table(self) -> pl.DataFrame:
        parts = []
        for scheme in SCHEMES:
            theory = self.theory[scheme]
            parts.append(pl.DataFrame({"scheme": scheme, "drafts": self.drafts, "acceptance": theory, "rejection": 1 - theory}))
            if scheme in self.simulation:
                simulated, error = self.simulation[scheme], self.standard_error[scheme]
                columns = {"simulated": simulated, "standard_error": error, "simulated_rejection": 1 - simulated}
                parts.append(pl.DataFrame({"scheme": scheme, "drafts": self.simulated_drafts, **columns}))
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        at = int(np.argmin(np.abs(self.drafts - self.n_drafts)))
        best, name = max((float(self.theory[s][at]), s) for s in PRACTICAL)
        exact = {s: np.interp(self.simulated_drafts, self.drafts, self.theory[s]) for s in PRACTICAL}
        gaps = [
            np.max(np.abs(self.simulation[s] - exact[s]) / np.maximum(self.standard_error[s], 1e-9), initial=0.0) for s in PRACTICAL
        ]
        return {
            "one draft, Σ min(p, q)": self.overlap,
            f"best acceptance P*, K = {self.drafts[at]:.0f}": float(self.theory["optimal"][at]),
            "best practical scheme": name,
            "its gap to P*": float(self.theory["optimal"][at]) - best,
            "tokens that bind": f"{self.n_binding} of {self.vocabulary}",
            "largest gap, theory to simulation (SE)": float(max(gaps)),
        }


@experiment
def draft_curve(
    *,
    vocabulary: Vocabulary = 1000,
    n_drafts: Drafts = 2,
    target_temperature: TargetTemperature = 1.0,
    draft_temperature: DraftTemperature = 1.0,
    mismatch: Mismatch = 0.3,
    draws: Draws = 1000,
    seed: Seed = 0,
) -> DraftCurve:
    """Acceptance against K of each scheme in one context: exact at any vocabulary, and simulated.

    The bound is the prefix form of P*; the law of the draft that weighted importance selection chooses is one integral
    (``multi_draft.importance_law``) where the definition sums over n^K tuples.
    """
    p, q = (law[0] for law in draft_and_target(vocabulary, 1, target_temperature, draft_temperature, mismatch, seed))
    theory = {scheme: acceptance(scheme, p, q, COUNTS) for scheme in SCHEMES}
    rng = np.random.default_rng(seed)
    simulation = {scheme: np.empty(SIMULATED.size) for scheme in PRACTICAL}
    for j, count in enumerate(SIMULATED):
        drafts = draw_tokens(rng, p, (draws, int(count)))
        for scheme in PRACTICAL:
            simulation[scheme][j] = Sampler(scheme, p, q, int(count)).choose(rng, drafts)[1].mean()
    # The binomial error of the exact share: that of a simulated one is 0 where nothing happened to be rejected.
    exact = {s: theory[s][np.searchsorted(COUNTS, SIMULATED)] for s in PRACTICAL}
    error = {s: np.sqrt(np.maximum(share * (1 - share), 0.0) / draws) for s, share in exact.items()}
    binding = minimizing_set(p, q, n_drafts).size
    overlap = float(np.minimum(p, q).sum())
    return DraftCurve(COUNTS, theory, SIMULATED.astype(float), simulation, error, n_drafts, vocabulary, binding, overlap)


# --- which practical scheme ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Duel(Result):
    """Importance selection against k_seq, and what both leave, over draft temperature and mismatch."""

    draft_temperature: Array  # (n_temperatures,)
    mismatch: Array  # (n_mismatches,)
    advantage: Array  # (n_mismatches, n_temperatures) acceptance of importance less that of k_seq, averaged over contexts
    gap: Array  # (n_mismatches, n_temperatures) P* less the best of the two
    here: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        return grid_table(
            "draft_temperature",
            self.draft_temperature,
            "mismatch",
            self.mismatch,
            importance_less_k_seq=self.advantage,
            optimal_less_best_practical=self.gap,
        )

    def headline(self) -> dict[str, float | str]:
        return self.here


@experiment
def scheme_duel(
    *,
    tokens: Tokens = 6,
    n_drafts: Drafts = 2,
    target_temperature: TargetTemperature = 1.0,
    draft_temperature: DraftTemperature = 1.0,
    mismatch: Mismatch = 0.3,
    seed: Seed = 0,
) -> Duel:
    """Which practical scheme accepts more often, and how far both are from P*, averaged over the toy language's contexts."""
    temperatures, mismatches = np.geomspace(0.1, 3.0, 33), np.linspace(0, 1, 33)

    def laws(temperature: float, mixed: float) -> tuple[Array, Array]:
        return draft_and_target(tokens, tokens, target_temperature, temperature, mixed, seed)

    pairs = [[laws(float(t), float(m)) for t in temperatures] for m in mismatches]
    p = np.array([[pair[0] for pair in row] for row in pairs])
    q = np.array([[pair[1] for pair in row] for row in pairs])
    mean = {s: acceptance(s, p, q, n_drafts).mean(axis=-1) for s in ("optimal", "importance", "k_seq")}
    p_here, q_here = laws(draft_temperature, mismatch)
    at = {s: float(acceptance(s, p_here, q_here, n_drafts).mean()) for s in SCHEMES}
    here: dict[str, float | str] = {"best acceptance P*": at["optimal"]}
    here |= {f"{s.replace('_', '-')} less P*": at[s] - at["optimal"] for s in PRACTICAL}
    gap = np.maximum(mean["optimal"] - np.maximum(mean["importance"], mean["k_seq"]), 0.0)
    return Duel(temperatures, mismatches, mean["importance"] - mean["k_seq"], gap, here)
