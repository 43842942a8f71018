r"""Repeated sampling: coverage, what a selector can keep of it, and where no number of samples is enough.

A problem is the probability p that one sample solves it; ``compute.models.problem_difficulty`` holds the laws of p
over problems, ``compute.methods.selectors`` what picks one of k samples.

References
----------
Brown et al., "Large language monkeys" (2024), paper 081 of the catalogue: coverage, its estimator and the
exponentiated power law. Stroebl, Kapoor & Narayanan, "Inference scaling fLaws" (2024), paper 041: resampling
against an imperfect verifier. Chen et al., "A simple and provable scaling law for the test-time compute of large
language models" (2024), paper 132: the knockout tournament and its bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods import knockout, selectors
from compute.methods.grids import grid_table, integers
from compute.models import problem_difficulty as difficulties
from compute.models.problem_difficulty import REACH_TRIES, SUCCESS, Difficulty, tries_to_reach
from compute.models.sampled_problems import (
    MOST_SAMPLES,
    Accuracy,
    Alternatives,
    Atom,
    Budget,
    ComparisonAccuracy,
    Comparisons,
    Concentration,
    FalsePositiveRate,
    Family,
    Problems,
    Recall,
    Samples,
    Spread,
    StrongAccuracy,
    Table,
    TailExponent,
    fitted_law,
    law_of,
    measured_verifier,
    model_tables,
    price_of,
    strong_law,
)  # fmt: skip
from compute.parameters import Choice, LogReal, ParameterError, Real, Seed

Array = NDArray[np.float64]


RewardGap = Annotated[
    float,
    Real("reward gap", r"\Delta", low=0.0, high=4.0, help="Mean score of correct over wrong, in scales of the reward's noise."),
]
NoiseLaw = Annotated[
    str,
    Choice(
        "reward noise",
        options=selectors.NOISE_LAWS,
        help="A sample: Gaussian, or heavy-tailed (Student t, 3 degrees); or one Gaussian error for each distinct answer.",
    ),
]
PriceRatio = Annotated[float, LogReal("price ratio", "r", low=1.0, high=100.0, help="Price of a dear sample over a cheap one.")]


# --- coverage ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coverage(Result):
    """Coverage against samples, its exponentiated power law, and the problems that the next sample solves."""

    k: Array  # (n_k,)
    exact: Array  # (n_k,)
    fit: Array  # (n_k,) exp(A k^B)
    fitted_to: int  # the fit uses k up to this
    fit_coefficient: float  # A
    fit_exponent: float  # B
    tail: Array  # (n_k,) the power of the lower tail, empty where the law has none
    band: Array  # (2, n_k) 5% and 95% of the fitted law over bootstrap draws of the problems; empty without own data
    points: Array  # (n_points,)
    estimate: Array  # (n_points,) unbiased, mean over problems
    standard_error: Array  # (n_points,)
    log_success: Array  # (n_p,) log10 p
    density: Array  # (n_p,) of log10 p over problems
    frames: Array  # (n_frames,) k
    responsible: Array  # (n_frames, n_p) density of log10 p over the problems that sample k + 1 is first to solve
    unsolved: Array  # (n_frames, n_p) density of log10 p times (1 - p)^k: what is left
    samples: int
    law: Difficulty
    source: str

    @property
    def here(self) -> int:
        """The frame nearest to the samples chosen."""
        return int(np.argmin(np.abs(np.log(self.frames / self.samples))))

    @property
    def minus_log_fit(self) -> Array:
        """-log of the fit, -A k^B."""
        return -self.fit_coefficient * self.k**self.fit_exponent

    def table(self) -> pl.DataFrame:
        curve = {"k": self.k, "coverage": self.exact, "exponentiated_fit": self.fit}
        curve |= {"minus_log_coverage": -np.log(self.exact), "minus_log_fit": self.minus_log_fit}
        if self.tail.size:
            curve["tail_power"] = self.tail
        if self.band.size:
            curve |= {"coverage_5_percent": self.band[0], "coverage_95_percent": self.band[1]}
        points = {"k": self.points, "estimate": self.estimate, "standard_error": self.standard_error}
        slices = {
            "k": np.repeat(self.frames, self.log_success.size),
            "log10_p": np.tile(self.log_success, self.frames.size),
            "density": np.tile(self.density, self.frames.size),
            "responsible_density": self.responsible.ravel(),
            "unsolved_density": self.unsolved.ravel(),
        }
        return pl.concat([pl.DataFrame(part) for part in (curve, points, slices)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        here = float(self.law.coverage(self.samples))
        used = self.k <= self.fitted_to
        sound = self.standard_error > 0
        gap = np.abs(self.estimate - self.law.coverage(self.points))[sound] / self.standard_error[sound]
        return {
            f"coverage at k = {self.samples:,}": here,
            "law": self.law.label,
            "fitted exponent B": self.fit_exponent,
            "its limit −a": "no power law" if self.law.tail_exponent is None else -self.law.tail_exponent,
            "largest residual of the fit (points)": float(100 * np.max(np.abs(self.fit - self.exact)[used])),
            f"largest gap, {self.source} to law (SE)": float(np.max(gap)) if gap.size else "no spread in the data",
        }


def fit_exponentiated(k: Array, coverage: Array) -> tuple[float, float]:
    """A < 0 and B of c = exp(A k^B), by least squares of log(-log c) on log k (081, its equation for coverage)."""
    exponent, intercept = np.polyfit(np.log(k), np.log(np.maximum(-np.log(coverage), 1e-300)), 1)
    return -float(np.exp(intercept)), float(exponent)


@experiment
def coverage(
    *,
    family: Family = "beta",
    accuracy: Accuracy = 0.15,
    tail_exponent: TailExponent = 0.3,
    spread: Spread = 2.0,
    atom: Atom = 0.0,
    samples: Samples = 1000,
    problems: Problems = 1000,
    data: Table = None,
    seed: Seed = 0,
) -> Coverage:
    """Coverage c(k) = E[1 - (1-p)^k], its exponentiated power law exp(A k^B), and whose problems the next sample solves.

    The fit is by least squares over k up to ``samples``. Points are the unbiased estimator 1 - C(n-s, k)/C(n, k) over
    simulated problems with n = ``samples`` draws each, or over your table (081, its estimator of coverage).

    Raises
    ------
    ParameterError
        Where own_data is chosen without a table, or the atom leaves no room for the accuracy.
    """
    rng = np.random.default_rng(seed)
    law = law_of(family, accuracy, tail_exponent, spread, atom, data)
    k = integers(MOST_SAMPLES, 81)
    exact = law.coverage(k)
    fitted_to = max(samples, 10)
    fit_k = np.geomspace(1, fitted_to, 41)
    scale, exponent = fit_exponentiated(fit_k, np.minimum(law.coverage(fit_k), 1 - 1e-15))
    band = np.empty((0, 0))
    if family == "own_data":
        table = model_tables(data)[0][1]
        correct, drawn = table["correct"].to_numpy(), table["samples"].to_numpy()
        fits = [
            difficulties.fit_beta(correct, drawn, rng.multinomial(drawn.size, np.full(drawn.size, 1 / drawn.size)))
            for _ in range(40)
        ]
        band = np.quantile([1 - difficulties.beta_failure(a, b, k) for a, b in fits], [0.05, 0.95], axis=0)
    else:
        correct, drawn = rng.binomial(samples, law.draw(rng, problems)), np.full(problems, samples)
    points = integers(max(float(drawn.min()), 1.0), 15)
    estimate = difficulties.coverage_estimator(correct, drawn, points)
    error = estimate.std(axis=0, ddof=1) / np.sqrt(len(estimate)) if len(estimate) > 1 else np.zeros(points.size)
    log_p = np.linspace(-7, -0.001, 141)
    p, frames = 10**log_p, np.geomspace(1, MOST_SAMPLES, 31)
    density = law.density(p)
    survival = np.exp(np.outer(frames, np.log1p(-p)))
    responsible = density * p * survival / (law.failure(frames) - law.failure(frames + 1))[:, None]
    tail = np.empty(0)
    if law.tail_exponent is not None and not (atom and family == "beta_with_atom"):
        tail = float(law.failure(1e7)) * (k / 1e7) ** -law.tail_exponent
    return Coverage(
        k, exact, np.exp(scale * k**exponent), fitted_to, scale, exponent, tail, band, points, estimate.mean(axis=0), error,
        log_p, density, frames, responsible, density * survival, samples, law, "your data" if family == "own_data" else "simulation",
    )  # fmt: skip


# --- selection -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Selector:
    """One way to pick a sample: theory, simulation and what more calls tend to."""

    name: str
    theory: Array  # (n_k,), empty where there is no closed form
    calls: Array  # (n_points,) of the simulation
    simulation: Array  # (n_points,)
    standard_error: Array  # (n_points,)
    theory_at_calls: Array  # (n_points,), empty where there is no closed form
    limit: float  # calls -> infinity


@dataclass(frozen=True)
class Selection(Result):
    """Share of problems answered right against calls, for each selector."""

    k: Array  # (n_k,)
    selectors: dict[str, Selector]
    noise_law: str
    samples: int
    oracle: float  # coverage at that many samples

    def table(self) -> pl.DataFrame:
        parts = []
        for s in self.selectors.values():
            parts.append(pl.DataFrame({"selector": s.name, "calls": self.k[: s.theory.size], "theory": s.theory, "limit": s.limit}))
            simulated = {"calls": s.calls, "simulation": s.simulation, "standard_error": s.standard_error}
            parts.append(pl.DataFrame({"selector": s.name, **simulated, "limit": s.limit}))
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {f"coverage at k = {self.samples:,}": self.oracle}
        for label, key in (("majority vote", "majority"), ("reward", self.noise_law), ("verifier", "verifier")):
            found[f"{label}, limit"] = self.selectors[key].limit
        scores = []
        for s in self.selectors.values():
            if s.theory.size:
                sound = s.standard_error > 0
                scores.append(np.max(np.abs(s.simulation - s.theory_at_calls)[sound] / s.standard_error[sound], initial=0.0))
        return found | {"largest gap, theory to simulation (SE)": float(max(scores))}


def simulated(outcomes: Array) -> tuple[Array, Array]:
    """Mean over problems and its standard error, of ``(n_points, n_problems)`` outcomes."""
    return outcomes.mean(axis=1), outcomes.std(axis=1, ddof=1) / np.sqrt(outcomes.shape[1])


@experiment
def selection(
    *,
    family: Family = "beta",
    accuracy: Accuracy = 0.15,
    tail_exponent: TailExponent = 0.3,
    spread: Spread = 2.0,
    atom: Atom = 0.0,
    alternatives: Alternatives = 10,
    concentration: Concentration = 0.5,
    reward_gap: RewardGap = 1.0,
    noise_law: NoiseLaw = "per_answer",
    recall: Recall = 1.0,
    false_positive_rate: FalsePositiveRate = 0.05,
    comparison_accuracy: ComparisonAccuracy = 0.7,
    comparisons: Comparisons = 3,
    samples: Samples = 1000,
    problems: Problems = 1000,
    data: Table = None,
    seed: Seed = 0,
) -> Selection:
    """What majority vote, rewards, an imperfect verifier and a tournament keep of coverage, against calls.

    Theory: exact expectations over problems. Voting among several wrong answers has no closed form at finite k; its
    limit is the share of problems whose most frequent answer is correct. A tournament of N spends N(K + 1) calls.
    """
    rng = np.random.default_rng(seed)
    law = law_of(family, accuracy, tail_exponent, spread, atom, data)
    verifier = measured_verifier(data, family, recall, false_positive_rate)
    # Simulated at every other point of the theory's grid.
    k = integers(MOST_SAMPLES, 31)
    points = k[::2]
    p = law.draw(rng, problems)
    shares = selectors.draw_shares(rng, problems, alternatives, concentration)
    counts = selectors.draw_counts(rng, p, shares, points)
    solvable = float(1 - law.weight[0])

    def both(name: str, theory: Array, outcomes: NDArray[Any], limit: float) -> Selector:
        return Selector(name, theory, points, *simulated(outcomes.astype(float)), theory[::2], limit)

    found = {"oracle": both("oracle", law.coverage(k), counts[..., 0] > 0, solvable)}
    largest = selectors.draw_shares(rng, 4000, alternatives, concentration).max(axis=1)
    exact_vote = law.mean(selectors.majority_of_two(SUCCESS, k)) if alternatives == 1 else np.empty(0)
    found["majority"] = both("majority vote", exact_vote, selectors.vote(counts), selectors.majority_plateau(law, largest))
    for noise in selectors.NOISE_LAWS:
        chosen = selectors.draw_reward_choice(rng, counts, reward_gap, noise)
        if noise == "per_answer":
            theory = law.mean(selectors.reward_per_answer(SUCCESS, k, reward_gap, alternatives, concentration))
            limit = float(selectors.better_scored_law(alternatives, reward_gap)[0]) * solvable
        else:
            theory = law.mean(selectors.reward_per_sample(SUCCESS, k, reward_gap, noise))
            # The best Gaussian score is a correct sample's in the end; the best Student score is anybody's.
            limit = solvable if noise == "gaussian" and reward_gap > 0 else law.accuracy
        found[noise] = both(f"reward, {noise}", theory, chosen, limit)
    pass_right, pass_wrong = verifier.rates(p)
    rate = np.minimum(pass_right + pass_wrong, 1 - 1e-16)
    tries = np.ceil(rng.standard_exponential(problems) / np.maximum(-np.log1p(-rate), 1e-18))
    right = (tries <= points[:, None]) & (rng.random(problems) * rate < pass_right)
    found["verifier"] = both("imperfect verifier", law.mean(verifier.outcome(SUCCESS, k)[0]), right, verifier.ceiling(law))
    error = knockout.comparison_error(comparison_accuracy, comparisons)

    def tournament(entrants: Array) -> Array:
        return np.array([law.mean(1 - knockout.tournament_failure(SUCCESS, int(n), error)) for n in entrants])

    # Rounds of one bracket of 256 are brackets of 2^r.
    rounds = knockout.play_tournaments(rng, p, 256, comparison_accuracy, comparisons)
    sizes = np.ldexp(1.0, np.arange(len(rounds)))
    limit = solvable if error < 0.5 else law.accuracy if error == 0.5 else float(law.weight[-1])
    theory = tournament(np.maximum(1, k // (comparisons + 1)))
    calls = np.where(sizes == 1, 1, sizes * (comparisons + 1))
    outcome = simulated(np.array([r.mean(axis=1) for r in rounds]))
    found["tournament"] = Selector("tournament", theory, calls, *outcome, tournament(sizes), limit)
    return Selection(k, found, noise_law, samples, float(law.coverage(samples)))


# --- price ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PricedModel:
    """Coverage of one model against what is spent on a problem."""

    name: str
    price: float  # of a sample, the cheapest model's being 1
    coverage: Array  # (n_samples,) at 1, 2, … samples
    samples: Array  # (n_samples,)


@dataclass(frozen=True)
class Price(Result):
    """Cheap model times many against dear model times few, at equal spending."""

    ratio: Array  # (n_ratios,)
    budget: Array  # (n_budgets,) in cheap samples
    advantage: Array  # (n_budgets, n_ratios) coverage of cheap minus coverage of dear
    break_even: Array  # (n_budgets,) price ratio of equal coverage, NaN outside the bounds
    models: tuple[PricedModel, ...]
    at_budget: int
    here: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        maps = {"advantage_of_cheap": self.advantage, "break_even_ratio": self.break_even[:, None]}
        parts = [grid_table("price_ratio", self.ratio, "budget", self.budget, **maps)]
        parts += [
            pl.DataFrame({"model": m.name, "samples": m.samples, "spent": m.samples * m.price, "coverage": m.coverage})
            for m in self.models
        ]
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.here


@experiment
def price(
    *,
    family: Family = "beta",
    accuracy: Accuracy = 0.15,
    strong_accuracy: StrongAccuracy = 0.6,
    price_ratio: PriceRatio = 10.0,
    budget: Budget = 64,
    tail_exponent: TailExponent = 0.3,
    spread: Spread = 2.0,
    atom: Atom = 0.0,
    data: Table = None,
) -> Price:
    """Coverage of a cheap model sampled often minus that of a dear one sampled seldom, at equal spending.

    The budget counts cheap samples; the dear model gets floor(budget/price ratio) of them. Both are verified perfectly
    (081, its comparison of prices). Break even: the dear model's price at which its c^{-1}(c_cheap(C)) samples cost C.

    Raises
    ------
    ParameterError
        Where own_data has no two models with prices.
    """
    if family == "own_data":
        laws, prices = priced_models(data)
    else:
        weak = law_of(family, accuracy, tail_exponent, spread, atom, data)
        laws = {"cheap": weak, "dear": strong_law(family, strong_accuracy, weak, tail_exponent, spread)}
        prices = {"cheap": 1.0, "dear": price_ratio}
    cheap, *_, dear = laws
    ratios, budgets = np.geomspace(1, 100, 81), integers(10_000, 81)
    ours = laws[cheap].coverage(budgets)
    bought = np.floor(budgets[:, None] / ratios * (1 + 1e-12))
    counts, inverse = np.unique(bought, return_inverse=True)
    advantage = ours[:, None] - laws[dear].coverage(counts)[inverse].reshape(bought.shape)
    # As many dear samples as do what the budget does in cheap ones; below one, the dear model is not to be had.
    worth = np.interp(ours, laws[dear].coverage(REACH_TRIES), REACH_TRIES)
    even = budgets / np.maximum(worth, 1.0)
    even = np.where((even >= 1) & (even <= 100), even, np.nan)
    samples = integers(10_000, 61)
    models = tuple(PricedModel(name, prices[name], law.coverage(samples), samples) for name, law in laws.items())
    spent = [float(law.coverage(np.floor(budget / prices[name] * (1 + 1e-12)))) for name, law in laws.items()]
    target = laws[dear].accuracy
    needed = {name: 10 ** float(tries_to_reach(law.coverage(REACH_TRIES), target)) for name, law in laws.items()}
    bill = {name: np.ceil(n - 1e-9) * prices[name] for name, n in needed.items() if np.isfinite(n)}
    best = min(bill, key=lambda name: bill[name])
    here: dict[str, float | str] = {
        "most coverage at this budget": list(laws)[int(np.argmax(spent))],
        f"{cheap}, {budget:,} samples": spent[0],
        f"{dear}, {int(budget / prices[dear] * (1 + 1e-12)):,} samples": spent[-1],
        f"{cheap} samples that match one {dear}": float(np.ceil(needed[cheap] - 1e-9))
        if np.isfinite(needed[cheap])
        else "none will",
        "cheapest way to that coverage": f"{best} × {np.ceil(needed[best] - 1e-9):,.0f}",
    }
    return Price(ratios, budgets, advantage, even, models, budget, here)


def priced_models(data: pl.DataFrame | None) -> tuple[dict[str, Difficulty], dict[str, float]]:
    """Fitted law and price, over the cheapest one's, of each model in a table that has one."""
    tables = [(name, table, price_of(table)) for name, table in model_tables(data)]
    priced = [(name, table, cost) for name, table, cost in tables if cost]
    if len(priced) < 2:
        raise ParameterError("data", "needs the columns model and price, with two priced models at least, to compare prices.")
    least = min(cost for _, _, cost in priced)
    return {name: fitted_law(table) for name, table, _ in priced}, {name: cost / least for name, _, cost in priced}
