"""The optimal transport plan of one context, and the proof by sampling that every scheme leaves the target's law unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import chisquare

from compute.experiment import Result, experiment
from compute.inference_scaling.multi_draft_speculation.parameters import (
    Drafts,
    DraftTemperature,
    Mismatch,
    TargetTemperature,
    Tokens,
)
from compute.methods.multi_draft import SCHEMES, Sampler, acceptance, draw_tokens, minimizing_set
from compute.methods.multi_draft_plan import draw_plan, optimal_plan
from compute.models.toy_language import draft_and_target
from compute.parameters import LogInteger, Seed

Array = NDArray[np.float64]

LETTERS = "abcdefghij"
MOST_ROWS = 30
Samples = Annotated[int, LogInteger("samples", "m", low=1000, high=100_000, help="Outputs drawn of each scheme.")]


@dataclass(frozen=True)
class TransportPlan(Result):
    """Which draft an optimal scheme hands in, for each set of tokens that may be drafted."""

    sets: list[str]  # (n_rows,) the most probable ones, by their letters
    probability: Array  # (n_rows,)
    choice: Array  # (n_rows, n + 1) probability of each output given the set, the last a rejection
    draft: Array  # (n,)
    target: Array  # (n,)
    accepted: Array  # (n,) accepted law of the plan
    chosen_first: Array  # (n,) law of the draft chosen in the canonical first step
    binding: NDArray[np.bool_]  # (n,) the minimizing set S
    acceptance: float
    closed_form: float

    def table(self) -> pl.DataFrame:
        n = self.draft.size
        parts = {"drafted": self.sets, "probability": self.probability}
        plan = pl.DataFrame(
            {**parts, **{f"hand_in_{LETTERS[t]}": self.choice[:, t] for t in range(n)}, "reject": self.choice[:, n]}
        )
        laws = {"token": list(LETTERS[:n]), "draft": self.draft, "target": self.target, "accepted": self.accepted}
        return pl.concat([plan, pl.DataFrame({**laws, "chosen_first": self.chosen_first, "binding": self.binding})], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        names = ", ".join(LETTERS[t] for t in np.flatnonzero(self.binding))
        return {
            "acceptance of the plan": self.acceptance,
            "less min over S of q(S) + 1 − p(S)ᴷ": self.acceptance - self.closed_form,
            "tokens that bind (S)": f"{{{names}}}" if names else "none",
            "q(S) − p(S)ᴷ": self.closed_form - 1,
        }


@experiment
def transport_plan(
    *,
    tokens: Tokens = 6,
    n_drafts: Drafts = 2,
    target_temperature: TargetTemperature = 1.0,
    draft_temperature: DraftTemperature = 1.0,
    mismatch: Mismatch = 0.3,
    seed: Seed = 0,
) -> TransportPlan:
    """The optimal scheme as a transport plan from drafted sets to outputs, a linear program (HiGHS), in the first context.

    Where the minimum P* is below 1, drafts that lie in the minimizing set S are offered more often than the target wants
    them: all rejections happen there, and the accepted law on S is the target's.
    """
    p, q = (law[0] for law in draft_and_target(tokens, tokens, target_temperature, draft_temperature, mismatch, seed))
    plan = optimal_plan(p, q, n_drafts)
    shown = np.sort(np.argsort(-plan.probability, kind="stable")[:MOST_ROWS])
    choice = plan.choice[shown]
    rejected = 1 - choice.sum(axis=1, keepdims=True)
    names = ["".join(LETTERS[t] for t in np.flatnonzero(plan.supports[row])) for row in shown]
    # Step one picks a draft for every set, as the plan does and in its proportions where that rejects.
    given = plan.choice.sum(axis=1, keepdims=True)
    spread = plan.supports / plan.supports.sum(axis=1, keepdims=True)
    first = np.where(given > 1e-12, plan.choice / np.maximum(given, 1e-12), spread)
    binding = np.isin(np.arange(tokens), minimizing_set(p, q, n_drafts))
    closed_form = float(acceptance("optimal", p, q, n_drafts))
    return TransportPlan(
        names,
        plan.probability[shown],
        np.hstack([choice, np.maximum(rejected, 0.0)]),
        p,
        q,
        plan.accepted,
        plan.probability @ first,
        binding,
        plan.acceptance,
        closed_form,
    )


@dataclass(frozen=True)
class Outputs(Result):
    """What each scheme puts out, against the target, and how often it is a draft, against theory."""

    draft: Array  # (n,)
    target: Array  # (n,)
    output: dict[str, Array]  # (n,) frequencies
    standard_error: dict[str, Array]  # (n,)
    p_value: dict[str, float]  # of the chi-square test against the target
    theory: Array  # (n_schemes,) acceptance
    simulation: Array  # (n_schemes,)
    simulation_error: Array  # (n_schemes,)

    def table(self) -> pl.DataFrame:
        names = list(LETTERS[: self.target.size])
        parts = [pl.DataFrame({"token": names, "draft": self.draft, "target": self.target})]
        for scheme in SCHEMES:
            columns = {"output": self.output[scheme], "standard_error": self.standard_error[scheme]}
            parts.append(pl.DataFrame({"scheme": scheme, "token": names, **columns}))
        ends = {"acceptance": self.theory, "simulated_acceptance": self.simulation, "acceptance_error": self.simulation_error}
        parts.append(pl.DataFrame({"scheme": list(SCHEMES), **ends, "chi_square_p": [self.p_value[s] for s in SCHEMES]}))
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        error = self.simulation_error
        gap = np.abs(self.simulation - self.theory)[error > 0] / error[error > 0]
        worst = min(SCHEMES, key=lambda s: self.p_value[s])
        return {
            "smallest chi-square p, output against target": self.p_value[worst],
            "of the scheme": worst,
            "largest gap in acceptance (SE)": float(gap.max(initial=0.0)),
        }


@experiment
def outputs(
    *,
    tokens: Tokens = 6,
    n_drafts: Drafts = 2,
    target_temperature: TargetTemperature = 1.0,
    draft_temperature: DraftTemperature = 1.0,
    mismatch: Mismatch = 0.3,
    samples: Samples = 20_000,
    seed: Seed = 0,
) -> Outputs:
    """Outputs of every scheme in the first context: all have the target's law; they differ in how many are drafts."""
    p, q = (law[0] for law in draft_and_target(tokens, tokens, target_temperature, draft_temperature, mismatch, seed))
    rng = np.random.default_rng(seed)
    drafts = draw_tokens(rng, p, (samples, n_drafts))
    output, error, p_value = {}, {}, {}
    share = np.empty(len(SCHEMES))
    for i, scheme in enumerate(SCHEMES):
        if scheme == "optimal":
            chosen, accepted = draw_plan(rng, optimal_plan(p, q, n_drafts), p, q, drafts)
        else:
            chosen, accepted = Sampler(scheme, p, q, n_drafts).choose(rng, drafts)
        counts = np.bincount(chosen, minlength=tokens)
        output[scheme] = counts / samples
        error[scheme] = np.sqrt(q * (1 - q) / samples)
        p_value[scheme] = _chi_square(counts, q * samples)
        share[i] = accepted.mean()
    theory = np.array([float(acceptance(s, p, q, n_drafts)) for s in SCHEMES])
    return Outputs(p, q, output, error, p_value, theory, share, np.sqrt(theory * (1 - theory) / samples))


def _chi_square(counts: NDArray[np.int64], expected: Array) -> float:
    """p-value against expected counts; tokens expected fewer than five times are one cell."""
    rare = expected < 5
    seen = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(expected[~rare], expected[rare].sum())
    if wanted[-1] < 1e-9:
        seen, wanted = seen[:-1], wanted[:-1]
    return float(chisquare(seen, wanted * seen.sum() / wanted.sum()).pvalue) if wanted.size > 1 else 1.0
