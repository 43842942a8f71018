"""Repeated sampling against brute force, published constants, direct quadrature and its own Monte Carlo."""

import itertools

import numpy as np
import polars as pl
import pytest
from scipy import integrate, optimize, stats

from compute.inference_scaling import repeated_sampling
from compute.inference_scaling.repeated_sampling import tournament
from compute.inference_scaling.repeated_sampling.coverage import fit_exponentiated
from compute.methods import knockout, selectors
from compute.models import problem_difficulty as difficulties
from compute.models.problem_difficulty import SUCCESS
from compute.models.sampled_problems import measured_verifier
from compute.parameters import ParameterError

RNG = np.random.default_rng


# --- coverage ------------------------------------------------------------------------------------------


def test_coverage_follows_the_closed_form_and_its_simulation():
    result = repeated_sampling.coverage(accuracy=0.13043478260869565, tail_exponent=0.3, samples=500, problems=2000, seed=1)
    assert result.exact == pytest.approx(1 - difficulties.beta_failure(0.3, 2.0, result.k), abs=1e-7)
    exact = 1 - difficulties.beta_failure(0.3, 2.0, result.points)
    assert np.max(np.abs(result.estimate - exact) / result.standard_error) < 4


def test_exponentiated_fit_recovers_the_law_it_assumes():
    k = np.geomspace(1, 1e4, 30)
    assert fit_exponentiated(k, np.exp(-2.5 * k**-0.4)) == pytest.approx((-2.5, -0.4), rel=1e-10)
    # 081's law is a fit: over a later window the exponent comes nearer to minus the tail exponent.
    early, late = (fit_exponentiated(w, 1 - difficulties.beta_failure(0.3, 2.0, w))[1] for w in (k[:8], k[-8:]))
    assert early < late < -0.3


def test_the_next_sample_solves_the_slice_drawn():
    result = repeated_sampling.coverage(accuracy=0.3, tail_exponent=1.0)
    for row in (0, 6):
        assert integrate.trapezoid(result.responsible[row], result.log_success) == pytest.approx(1, abs=2e-3)
    # For Beta(a, b) the slice is Beta(a + 1, b + k): its mean is (a + 1)/(a + b + k + 1).
    a, b, k = 1.0, 1.0 / 0.3 - 1, result.frames[6]
    mean = integrate.trapezoid(10**result.log_success * result.responsible[6], result.log_success)
    assert mean == pytest.approx((a + 1) / (a + b + k + 1), rel=2e-3)


# --- selection -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 5, 6])
def test_majority_of_two_by_enumeration(k):
    p = np.array([0.0, 0.2, 0.5, 0.9, 1.0])
    total = np.zeros(p.size)
    for outcome in itertools.product([0, 1], repeat=k):
        right = sum(outcome)
        total += p**right * (1 - p) ** (k - right) * (1.0 if 2 * right > k else 0.5 if 2 * right == k else 0.0)
    assert selectors.majority_of_two(p, k)[0] == pytest.approx(total, abs=1e-12)


def test_majority_tends_to_the_share_of_problems_whose_modal_answer_is_right():
    rng, n = RNG(0), 4000
    law = difficulties.beta_difficulty(1.0, 1.5)
    shares = selectors.draw_shares(rng, n, 10, 0.5)
    p = law.draw(rng, n)
    votes = selectors.vote(selectors.draw_counts(rng, p, shares, np.array([10_000])))[0]
    modal = p > (1 - p) * shares.max(axis=1)
    # Problem by problem the vote at 10^4 is its limit, but for the few whose two first answers tie.
    assert np.mean(np.abs(votes - modal) > 0.5) < 0.01
    limit = selectors.majority_plateau(law, selectors.draw_shares(rng, 20_000, 10, 0.5).max(axis=1))
    assert abs(votes.mean() - limit) < 4 * np.sqrt(limit * (1 - limit) / n) + 0.003
    # One wrong answer: the limit is P(p > 1/2).
    one = selectors.majority_plateau(law, np.ones(1))
    assert one == pytest.approx(stats.beta(1.0, 1.5).sf(0.5), abs=0.02)


def test_reward_of_published_order_statistics():
    p = np.array([0.05])
    k = np.array([1e1, 1e2, 1e3, 1e4, 1e6])
    assert selectors.reward_per_sample(p, k, 1.0, "gaussian").ravel() == pytest.approx(
        [0.1570, 0.3219, 0.5044, 0.6629, 0.8569], abs=1e-4
    )
    heavy = selectors.reward_per_sample(p, np.array([10, 100, 1000, 1e7]), 2.0, "student_t").ravel()
    assert heavy[:3] == pytest.approx([0.2104, 0.2040, 0.1019], abs=1e-4)
    assert heavy[3] == pytest.approx(0.05, abs=0.004)


@pytest.mark.parametrize("law", selectors.NOISE_LAWS)
def test_reward_by_direct_quadrature_and_simulation(law):
    p, gap, n, k = 0.2, 1.3, 20_000, np.array([1, 7, 60, 800])
    if law == "per_answer":
        exact = selectors.reward_per_answer(np.array([p]), k, gap, 6, 0.4).ravel()
    else:
        exact = selectors.reward_per_sample(np.array([p]), k, gap, law).ravel()
        noise = stats.norm if law == "gaussian" else stats.t(3)

        def density(s, k=7):
            return k * p * noise.pdf(s - gap) * (p * noise.cdf(s - gap) + (1 - p) * noise.cdf(s)) ** (k - 1)

        assert exact[1] == pytest.approx(integrate.quad(density, -40, 40, limit=200)[0], abs=1e-4)
    rng = RNG(3)
    counts = selectors.draw_counts(rng, np.full(n, p), selectors.draw_shares(rng, n, 6, 0.4), k)
    simulated = selectors.draw_reward_choice(rng, counts, gap, law).mean(axis=1)
    assert np.all(np.abs(simulated - exact) < 4 * np.sqrt(exact * (1 - exact) / n))


def test_one_error_an_answer_makes_a_plateau():
    # A + 1 exchangeable scores at gap 0: the correct one is the best of them with probability 1/(A + 1).
    assert selectors.better_scored_law(7, 0.0) == pytest.approx(np.full(8, 1 / 8), abs=1e-6)
    limit = selectors.better_scored_law(4, 1.0)[0]
    assert selectors.reward_per_answer(np.array([0.3]), [10**7], 1.0, 4, 2.0)[0, 0] == pytest.approx(limit, abs=1e-3)


def test_selection_theory_meets_its_simulation():
    result = repeated_sampling.selection(problems=3000, alternatives=1, noise_law="student_t", seed=5)
    for key, s in result.selectors.items():
        sound = s.standard_error > 0
        assert np.max(np.abs(s.simulation - s.theory_at_calls)[sound] / s.standard_error[sound]) < 4.5, key
        if key != "tournament":
            assert s.theory[0] == pytest.approx(0.15, abs=1e-4) or key == "verifier"


# --- an imperfect verifier -----------------------------------------------------------------------------


def test_verifier_by_summing_over_tries():
    verifier, p, cap = selectors.Verifier(0.8, 0.1), np.array([0.0, 0.03, 0.6]), 9
    right, wrong, used = (part[0] for part in verifier.outcome(p, cap))
    passes_right, passes_wrong = 0.8 * p, 0.1 * (1 - p)
    stay = (1 - passes_right - passes_wrong) ** np.arange(cap)[:, None]
    assert right == pytest.approx((stay * passes_right).sum(axis=0), abs=1e-14)
    assert wrong == pytest.approx((stay * passes_wrong).sum(axis=0), abs=1e-14)
    assert used == pytest.approx(stay.sum(axis=0), abs=1e-12)


def test_perfect_verifier_is_coverage_and_no_limit_is_the_ceiling():
    p = np.array([0.01, 0.4])
    assert selectors.Verifier(1.0, 0.0).outcome(p, 50)[0][0] == pytest.approx(1 - (1 - p) ** 50, abs=1e-14)
    law = difficulties.beta_difficulty(0.6, 1.2)
    verifier = selectors.Verifier(1.0, 0.05)
    exact = integrate.quad(lambda u: (x := stats.beta(0.6, 1.2).ppf(u)) / (x + 0.05 * (1 - x)), 0, 1, epsabs=1e-8, limit=200)[0]
    assert verifier.ceiling(law) == pytest.approx(exact, abs=1e-5)
    assert verifier.ceiling(law) == pytest.approx(0.75367, abs=1e-5)
    assert law.mean(verifier.outcome(SUCCESS, 1e9)[0][0]) == pytest.approx(exact, abs=1e-5)


def test_best_number_of_tries():
    law, verifier = difficulties.beta_difficulty(0.6, 1.2), selectors.Verifier(1.0, 0.05)
    assert [verifier.optimal_tries(law, cost, 0.002) for cost in (0, 1, 2, 4, 16)] == [299, 11, 5, 2, 0]
    # By brute force over the utility itself.
    k = np.arange(0, 60)
    right, wrong, used = (law.mean(part) for part in verifier.outcome(SUCCESS, k))
    for cost in (1, 2, 4, 16):
        assert verifier.optimal_tries(law, cost, 0.002) == np.argmax(right - cost * wrong - 0.002 * used)
    assert np.isinf(selectors.Verifier(1.0, 0.0).optimal_tries(law, 3.0, 0.0))


def test_map_of_stopping_agrees_with_single_searches():
    result = repeated_sampling.stopping(accuracy=0.3, tail_exponent=0.6, try_cost=0.002)
    law = difficulties.beta_difficulty(0.6, 0.6 * (1 / 0.3 - 1))
    for row, column in ((10, 3), (30, 10), (45, 40), (60, 80)):
        verifier = selectors.Verifier(1.0, float(result.false_positive_rate[row]))
        best = verifier.optimal_tries(law, float(result.cost[column]), 0.002)
        assert 10 ** result.log_tries[row, column] - 1 == pytest.approx(best, rel=0.2)


def test_weak_model_never_reaches_beyond_the_boundary():
    strong = 0.6
    result = repeated_sampling.weak_against_strong(strong_accuracy=strong, recall=0.9)
    column = int(np.argmin(np.abs(result.accuracy - 0.3)))
    law = difficulties.beta_difficulty(0.3, float(difficulties.beta_shape(result.accuracy[column], 0.3)))
    root = optimize.brentq(lambda f: selectors.Verifier(0.9, f).ceiling(law) - strong, 1e-4, 0.5)
    assert result.boundary[column] == pytest.approx(root, rel=1e-6)
    never = np.isnan(result.log_tries[:, column])
    assert np.array_equal(never, result.false_positive_rate > root)
    row = np.flatnonzero(~never)[20]
    verifier = selectors.Verifier(0.9, float(result.false_positive_rate[row]))
    at = law.mean(verifier.outcome(SUCCESS, 10 ** result.log_tries[row, column])[0][0])
    assert at == pytest.approx(strong, abs=2e-3)


def test_resampling_follows_its_simulation():
    result = repeated_sampling.resampling(problems=4000, recall=0.8, false_positive_cost=3.0, try_cost=0.01, seed=2)
    for model in result.models:
        for key in ("accuracy", "utility"):
            exact = np.interp(result.points, result.tries, getattr(model, key))
            assert np.max(np.abs(model.simulated[key] - exact) / model.simulated[f"{key}_error"]) < 4.5


# --- price ---------------------------------------------------------------------------------------------


def test_price_map_and_break_even():
    result = repeated_sampling.price(accuracy=0.159, tail_exponent=0.122, strong_accuracy=0.24, price_ratio=18.0, budget=5)
    cheap, dear = (difficulties.beta_difficulty(0.122, 0.122 * (1 / m - 1)) for m in (0.159, 0.24))
    i, j = 40, 50
    bought = np.floor(result.budget[i] / result.ratio[j] * (1 + 1e-12))
    assert result.advantage[i, j] == pytest.approx(float(cheap.coverage(result.budget[i]) - dear.coverage(bought)), abs=1e-12)
    # The budget's worth in dear samples, each at the break-even price.
    i = 60
    assert dear.coverage(result.budget[i] / result.break_even[i]) == pytest.approx(cheap.coverage(result.budget[i]), abs=1e-3)
    # 081: five samples of the cheap model do more than one of a model that solves 24% at 18 times the price.
    assert cheap.coverage(5) > 0.24
    assert result.here["most coverage at this budget"] == "cheap"


# --- tournament ----------------------------------------------------------------------------------------


def test_majority_of_comparisons_by_enumeration():
    for p, k in ((0.7, 1), (0.6, 4), (0.55, 7), (0.4, 6)):
        j = np.arange(k + 1)
        exact = stats.binom.pmf(j, k, 1 - p) @ ((2 * j > k) + 0.5 * (2 * j == k))
        assert knockout.comparison_error(p, k) == pytest.approx(exact, abs=1e-13)
    # An even number wastes a comparison: q_2m = q_{2m-1}.
    assert knockout.comparison_error(0.63, 8) == pytest.approx(knockout.comparison_error(0.63, 7), abs=1e-13)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_tournament_failure_by_enumeration_of_candidates(n):
    p, error = 0.3, 0.2

    def wins(candidates):
        """P(the champion is correct) for given candidates, straight from the bracket's definition."""
        if len(candidates) == 1:
            return float(candidates[0])
        half = len(candidates) - len(candidates) // 2
        a, b = wins(candidates[:half]), wins(candidates[half:])
        return a * b + (a * (1 - b) + b * (1 - a)) * (1 - error)

    exact = sum(
        np.prod([p if c else 1 - p for c in candidates]) * (1 - wins(candidates))
        for candidates in itertools.product([0, 1], repeat=n)
    )
    assert float(knockout.tournament_failure(np.asarray(p), n, error)) == pytest.approx(exact, abs=1e-12)


def test_bound_holds_above_one_half_and_fails_below():
    rng = RNG(4)
    for _ in range(400):
        p, c = rng.uniform(0.01, 0.95), rng.uniform(0.5, 1.0)
        n, k = int(rng.integers(1, 257)), int(rng.integers(1, 64))
        failure = float(knockout.tournament_failure(np.asarray(p), n, knockout.comparison_error(c, k)))
        assert failure <= float(knockout.tournament_bound(np.asarray(p), n, c, k)) + 1e-12, (p, c, n, k)
    failure = knockout.tournament_failure(np.asarray(0.6), 2, knockout.comparison_error(0.3, 61))
    assert failure > knockout.tournament_bound(np.asarray(0.6), 2, 0.3, 61)


def test_tournament_simulation_and_limits():
    p, c, k, n_problems = 0.2, 0.65, 4, 6000
    rounds = knockout.play_tournaments(RNG(6), np.full(n_problems, p), 32, c, k)
    error = knockout.comparison_error(c, k)
    for r, won in enumerate(rounds):
        exact = 1 - float(knockout.tournament_failure(np.asarray(p), 2**r, error))
        assert abs(won.mean() - exact) < 4 * np.sqrt(exact * (1 - exact) / won.size)
    # A coin for a comparison leaves one sample's success; perfect ones leave (1 - p)^N.
    assert float(knockout.tournament_failure(np.asarray(p), 77, 0.5)) == pytest.approx(1 - p, abs=1e-12)
    assert float(knockout.tournament_failure(np.asarray(p), 77, 0.0)) == pytest.approx((1 - p) ** 77, rel=1e-10)
    # At fixed K failure is at last a power of N: f -> f 2(1 - q) a doubling.
    late = [float(knockout.tournament_failure(np.asarray(p), 2**m, 0.1)) for m in (20, 21)]
    assert late[1] / late[0] == pytest.approx(0.2, rel=1e-6)


def test_played_bracket_is_a_bracket():
    node = tournament.play_bracket(RNG(7), 0.5, 11, 0.7, 3)
    assert len(node) == 2 * 11 - 1 and np.sum(node[:, 3] < 0) == 1
    for index in range(len(node)):
        children = node[node[:, 3] == index]
        if len(children):
            assert len(children) == 2 and children[:, 4].sum() == 1
            assert children[children[:, 4] == 1, 2][0] == node[index, 2]
    champions = [tournament.play_bracket(RNG(s), 0.3, 6, 0.8, 3)[-1, 2] for s in range(1500)]
    exact = 1 - float(knockout.tournament_failure(np.asarray(0.3), 6, knockout.comparison_error(0.8, 3)))
    assert abs(np.mean(champions) - exact) < 4 * np.sqrt(exact * (1 - exact) / 1500)


def test_best_split_beats_every_other():
    calls = 90
    n, k, failure = knockout.best_allocation(0.2, 0.7, calls, 63)
    assert n * (k + 1) <= calls
    for m in range(2, 46):
        for j in range(1, calls // m):
            assert failure <= knockout.tournament_failure(np.asarray(0.2), m, knockout.comparison_error(0.7, j)) + 1e-12


def test_tournament_or_vote_map_is_its_parts():
    result = repeated_sampling.tournament_or_vote(alternatives=1, budget=33, problems=4000)
    # One wrong answer: the vote is an exact binomial majority.
    exact = selectors.majority_of_two(result.accuracy, 33)[0]
    assert np.max(np.abs(result.vote - exact)) < 4 * 0.5 / np.sqrt(4000)
    inside = np.flatnonzero(np.isfinite(result.boundary))
    assert inside.size > 3
    at = inside[inside.size // 2]
    success, _ = tournament.best_success(result.accuracy[[at]], result.boundary[[at]], 33)
    assert success[0, 0] == pytest.approx(result.vote[at], abs=5e-3)


# --- your data -----------------------------------------------------------------------------------------


def table(n=120, samples=60):
    rng = RNG(8)
    correct = rng.binomial(samples, np.concatenate([rng.beta(0.4, 1.6, n), rng.beta(1.0, 1.0, n)]))
    return pl.DataFrame(
        {
            "problem": [f"p{i}" for i in range(n)] * 2,
            "samples": [samples] * (2 * n),
            "correct": correct,
            "model": ["small"] * n + ["large"] * n,
            "price": [1.0] * n + [8.0] * n,
            "passed_correct": np.rint(0.9 * correct),
            "passed_wrong": np.rint(0.1 * (samples - correct)),
        }
    )


def test_own_data_is_fitted_and_estimated():
    data = table()
    result = repeated_sampling.coverage(family="own_data", data=data)
    small = data.filter(pl.col("model") == "small")
    assert result.source == "your data"
    assert result.estimate[0] == pytest.approx((small["correct"] / small["samples"]).mean(), abs=1e-12)
    assert np.all(result.band[0] <= result.exact + 0.01) and np.all(result.exact <= result.band[1] + 0.01)
    truth = 1 - difficulties.beta_failure(0.4, 1.6, result.k)
    assert np.mean((truth > result.band[0] - 0.02) & (truth < result.band[1] + 0.02)) > 0.9
    verifier = measured_verifier(data, "own_data", 1.0, 0.5)
    assert verifier.recall == pytest.approx(0.9, abs=0.02) and verifier.false_positive_rate == pytest.approx(0.1, abs=0.01)
    priced = repeated_sampling.price(family="own_data", data=data)
    assert [m.name for m in priced.models] == ["small", "large"] and priced.models[1].price == 8.0


@pytest.mark.parametrize(
    "experiment",
    [
        repeated_sampling.coverage,
        repeated_sampling.selection,
        repeated_sampling.price,
        repeated_sampling.weak_against_strong,
        repeated_sampling.resampling,
        repeated_sampling.stopping,
    ],
)
def test_own_data_needs_a_sound_table(experiment):
    with pytest.raises(ParameterError, match="own_data") as caught:
        experiment(family="own_data")
    assert caught.value.name == "data"
    with pytest.raises(ParameterError, match="more correct"):
        experiment(family="own_data", data=pl.DataFrame({"problem": ["a"], "samples": [3.0], "correct": [4.0]}))


def test_what_cannot_be_is_said():
    with pytest.raises(ParameterError, match="below"):
        repeated_sampling.coverage(family="beta_with_atom", atom=0.4, accuracy=0.7)
    with pytest.raises(ParameterError, match="two priced models"):
        repeated_sampling.price(family="own_data", data=table().drop("price"))
