"""Multi-draft speculation as a lab: the hexagon, blocks, the plan's two steps."""

import numpy as np
import pytest

from compute.inference_scaling import multi_draft_speculation as lab
from compute.inference_scaling.multi_draft_speculation.block import simulate_sequences, tree_efficiency
from compute.inference_scaling.multi_draft_speculation.three_tokens import region_share, sure_region
from compute.methods import multi_draft as md
from compute.models.toy_language import draft_and_target, stationary_law
from compute.parameters import ParameterError


def test_uniform_draft_of_three_tokens_is_always_accepted_on_8_27_of_targets():
    assert region_share(sure_region(np.full(3, 1 / 3), 2)) == pytest.approx(8 / 27, abs=1e-12)


@pytest.mark.parametrize("p,k", [((0.2, 0.5, 0.3), 2), ((0.1, 0.1, 0.8), 3), ((0.3, 0.4, 0.3), 8)])
def test_hexagon_is_where_the_bound_is_one(p, k):
    """By uniform targets: share of those with P* = 1, and of those with q(S) >= p(S)^K for all S."""
    rng = np.random.default_rng(0)
    p, q = np.array(p), rng.dirichlet(np.ones(3), 20_000)
    sure = md.optimal_acceptance(np.broadcast_to(p, q.shape), q, k) > 1 - 1e-12
    single = (q >= p**k).all(axis=1)
    double = (1 - q >= (1 - p) ** k).all(axis=1)
    assert (sure == (single & double)).all()
    share = region_share(sure_region(p, k))
    assert abs(sure.mean() - share) < 4 * np.sqrt(share * (1 - share) / len(q))


def test_simplex_map_agrees_with_its_curve_and_refuses_what_is_no_law():
    result = lab.simplex(target_a=0.5, target_b=0.25, n_drafts=3)
    row, col = np.argmin(np.abs(result.target_b - 0.25)), np.argmin(np.abs(result.target_a - 0.5))
    assert result.acceptance[row, col] == pytest.approx(result.by_scheme["optimal"][2])
    assert np.isnan(result.acceptance[-1, -1])
    with pytest.raises(ParameterError, match="target_b"):
        lab.simplex(target_a=0.7, target_b=0.5)


def test_tree_is_geometric_where_context_does_not_matter():
    rng = np.random.default_rng(1)
    p, q = np.tile(rng.dirichlet(np.ones(5)), (5, 1)), np.tile(rng.dirichlet(np.ones(5)), (5, 1))
    for scheme in md.SCHEMES:
        alpha = float(md.acceptance(scheme, p[0], q[0], 3))
        expected = (1 - alpha ** np.arange(1, 8)) / (1 - alpha)
        assert np.allclose(tree_efficiency(scheme, p, q, 3, 6), expected[:, None], atol=1e-9)


def test_tree_against_its_simulation():
    p, q = draft_and_target(5, 5, 1.0, 1.2, 0.4, 3)
    rng = np.random.default_rng(2)
    start, k, depth, m = stationary_law(q), 2, 5, 6000
    for scheme in ("importance", "recursive"):
        samplers = [md.Sampler(scheme, p[x], q[x], k) for x in range(5)]
        context, length, alive = rng.choice(5, m, p=start), np.zeros(m), np.ones(m, bool)
        for _ in range(depth):
            groups = [np.flatnonzero(alive & (context == x)) for x in range(5)]
            for x, here in enumerate(groups):
                output, accepted = samplers[x].choose(rng, md.draw_tokens(rng, p[x], (here.size, k)))
                alive[here[~accepted]] = False
                length[here[accepted]] += 1
                context[here] = np.where(accepted, output, -1)
        exact = tree_efficiency(scheme, p, q, k, depth)[depth] @ start
        assert abs(1 + length.mean() - exact) < 4 * length.std() / np.sqrt(m)


def test_whole_sequences():
    """One sequence is a tree of one draft; several begin as the tree and then fall behind it."""
    p, q = draft_and_target(5, 5, 1.0, 1.0, 0.5, 4)
    start, m = stationary_law(q), 8000
    rng = np.random.default_rng(5)
    single = 1 + simulate_sequences(rng, "k_seq", p, q, start, 1, 4, m)
    exact = tree_efficiency("k_seq", p, q, 1, 4)[4] @ start
    assert abs(single.mean() - exact) < 4 * single.std() / np.sqrt(m)
    several = simulate_sequences(rng, "k_seq", p, q, start, 4, 6, m)
    first = tree_efficiency("k_seq", p, q, 4, 1)[1] @ start
    reached = 1 + np.minimum(several, 1)
    assert abs(reached.mean() - first) < 4 * reached.std() / np.sqrt(m)
    assert 1 + several.mean() < tree_efficiency("k_seq", p, q, 4, 6)[6] @ start - 4 * several.std() / np.sqrt(m)


def test_best_tree_is_never_below_a_practical_one():
    result = lab.block_efficiency(n_drafts=3, blocks=200)
    for scheme in md.PRACTICAL:
        assert (result.tree["optimal"] >= result.tree[scheme] - 1e-9).all()
    assert (result.tree["optimal"] <= result.length + 1 + 1e-9).all()


def test_stationary_law():
    chain = np.random.default_rng(6).dirichlet(np.ones(6), 6)
    assert np.allclose(stationary_law(chain) @ chain, stationary_law(chain), atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_plan_in_two_steps(seed):
    """Khisti et al.'s decomposition: choosing a draft by p_I, then single-draft acceptance min(1, q/p_I), loses nothing."""
    result = lab.transport_plan(tokens=5, n_drafts=3, mismatch=0.8, seed=seed)
    assert result.chosen_first.sum() == pytest.approx(1.0, abs=1e-9)
    assert np.minimum(result.chosen_first, result.target).sum() == pytest.approx(result.closed_form, abs=1e-8)
    # On the minimizing set the accepted law is the target's, and only drafts inside it are rejected.
    assert np.allclose(result.accepted[result.binding], result.target[result.binding], atol=1e-8)
    letters = {"abcde"[t] for t in np.flatnonzero(result.binding)}
    for name, row, share in zip(result.sets, result.choice, result.probability, strict=True):
        assert row[-1] * share < 1e-8 or set(name) <= letters


def test_draft_curve_and_its_simulation():
    result = lab.draft_curve(vocabulary=300, draws=4000, seed=3)
    scores = [
        (result.simulation[s] - np.interp(result.simulated_drafts, result.drafts, result.theory[s])) / result.standard_error[s]
        for s in md.PRACTICAL
    ]
    assert np.abs(scores).max() < 4
    assert all(np.all(np.diff(result.theory[s]) > -1e-9) for s in md.SCHEMES)


def test_neither_importance_nor_k_seq_is_better_everywhere():
    advantage = lab.scheme_duel().advantage
    assert advantage.max() > 1e-3 and advantage.min() < -1e-3


def test_mismatch_zero_is_the_same_model():
    p, q = draft_and_target(20, 2, 0.7, 0.7, 0.0, 0)
    assert np.array_equal(p, q) and np.allclose(p.sum(axis=1), 1)
