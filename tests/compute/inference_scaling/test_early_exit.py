"""Early exit: the closed-form exit law, the pipeline schedule, staged gradients, decoding by renewal."""

import numpy as np
import pytest
from scipy.optimize import minimize

from compute.inference_scaling import early_exit as lab
from compute.inference_scaling.early_exit import decoding, exits, gradients, pipeline
from compute.methods import one_f_one_b as schedule

# --- exits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate,q", [(0.2, 0.7), (0.05, 0.5), (0.5, 0.9), (0.1, 0.15)])
def test_constant_rate_stops_every_input_at_one_layer(rate, q):
    """Q-exit at ceil(ln(1 - q)/ln(1 - lambda)): layer 6 at 0.2 and 0.7."""
    layers = 60
    law = np.tile(exits.geometric_prior(rate, layers), (3, 1))
    assert np.allclose(exits.exit_rates(law), np.append(np.full(layers - 1, rate), 1.0))
    expected = np.ceil(np.log(1 - q) / np.log(1 - rate))
    assert (exits.q_exit(law, q) == expected).all()
    if (rate, q) == (0.2, 0.7):
        assert expected == 6


def test_laws_sum_to_one_and_have_their_limits():
    prior = exits.geometric_prior(0.3, 9)
    loss = -np.log(exits.correctness(np.array([2.0, 5.0, 8.0]), 9, 0.4))
    assert prior.sum() == pytest.approx(1.0, abs=1e-15)
    assert np.allclose(exits.exit_law(prior, loss, 0.1).sum(axis=1), 1.0, atol=1e-14)
    assert np.allclose(exits.exit_law(prior, loss, 1e7), prior, atol=1e-5)
    sharp = exits.exit_law(prior, loss, 1e-6)
    assert (sharp.argmax(axis=1) == loss.argmin(axis=1)).all() and sharp.max(axis=1) == pytest.approx(1.0)


def test_closed_form_is_where_training_the_rates_ends():
    """Gradient descent on the logits of lambda_1..lambda_{L-1} reaches p_i ~ g_i exp(-l_i/beta)."""
    layers, beta = 6, 0.3
    prior = exits.geometric_prior(0.2, layers)
    loss = -np.log(exits.correctness(np.array([3.0]), layers, 0.5))[0]

    def law_of(logits):
        rates = np.append(1 / (1 + np.exp(-logits)), 1.0)
        return rates * np.concatenate([[1.0], np.cumprod(1 - rates[:-1])])

    def objective(logits):
        p = np.maximum(law_of(logits), 1e-300)
        return p @ loss + beta * p @ np.log(p / prior)

    trained = law_of(minimize(objective, np.zeros(layers - 1), method="BFGS", options={"gtol": 1e-9}).x)
    assert np.allclose(trained, exits.exit_law(prior, loss, beta), atol=1e-4)


def test_sweep_agrees_with_the_definitions():
    rng = np.random.default_rng(0)
    group = exits.population(10, 0.4, 1.0, rng.standard_normal((2, 50)))
    prior, levels = exits.geometric_prior(0.2, 10), np.array([0.1, 0.5, 0.9])
    law = exits.exit_law(prior, group.loss, 0.2)
    sampled, quantile = exits._sweep(group.weight(0.2), group.correct, prior, levels)
    assert np.allclose(sampled, [np.mean(law @ np.arange(1, 11)), np.mean(np.sum(law * group.correct, axis=1))])
    for j, q in enumerate(levels):
        stop = exits.q_exit(law, q)
        assert np.allclose(quantile[:, j], [stop.mean(), group.correct[np.arange(50), stop - 1].mean()])


def test_exit_rules_against_their_simulation():
    result = lab.exit_rules(inputs=5000, seed=3)
    assert result.headline()["largest gap, theory to simulation (SE)"] < 4
    # No rule beats the best layer of every input, and a fixed layer L is everyone's end.
    assert max(curve[2].max() for curve in result.curves.values()) <= result.best[1] + 1e-9
    assert result.curves["fixed"][1][-1] == 12 and result.curves["q_exit"][1][-1] <= 12
    assert np.all(np.diff(result.curves["q_exit"][1]) >= 0)


def test_patience_by_hand():
    right = np.array([[0, 0, 1, 1, 1], [0, 1, 0, 1, 0]], dtype=bool)
    assert exits._patient(right, 1) == (3.5, 0.0)  # the first stops at layer 2, wrong; the second never settles
    assert exits._patient(right, 2) == (5.0, 0.5)


def test_q_exit_gains_most_where_sampling_varies():
    result = lab.rule_map(misjudgment=0.0)
    assert result.gain.min() > -1e-3 and result.gain.max() > 0.01
    sharp = lab.rule_map(kl_weight=0.01, overthinking=1.0, misjudgment=0.0)
    assert sharp.gain.max() < result.gain.max()
    # Stopped too early by its prior, accuracy is convex in depth: Jensen's inequality turns round.
    assert lab.rule_map(kl_weight=1.0).gain.min() < -0.05


# --- pipeline ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stages,micro,share", [(4, 8, 3 / 11), (8, 16, 7 / 23), (2, 2, 1 / 3), (16, 3, 15 / 18)])
def test_equal_stages_without_heads(stages, micro, share):
    result = lab.one_iteration(stages=stages, micro_batches=micro, heads=0, head_cost=0.0)
    assert result.schedule.idle_share == pytest.approx(share, abs=1e-12)
    assert result.schedule.time == pytest.approx(result.bound)
    assert np.array_equal(result.schedule.in_flight, np.minimum(micro, stages - np.arange(stages)))


@pytest.mark.parametrize("deferred", [True, False])
@pytest.mark.parametrize("fill", [True, False])
def test_schedules_are_feasible(deferred, fill):
    """No stage does two things at once, every pass waits for what it needs, nothing is lost, no bound is beaten."""
    rng = np.random.default_rng(1)
    for _ in range(12):
        stages, micro = int(rng.integers(2, 9)), int(rng.integers(1, 13))
        forward, backward = rng.uniform(0.5, 2, (2, stages))
        head = rng.uniform(0, 1, (2, stages)) * (rng.random(stages) < 0.6)
        s = schedule.simulate(forward, backward, head, micro, deferred=deferred)
        load = forward + backward + head.sum(axis=0)
        assert s.time >= schedule.lower_bound(load, micro, load if deferred else load - head[0]) - 1e-9
        plain = s.time
        busy = np.array([np.sum((s.end - s.start)[s.stage == i]) for i in range(stages)])
        assert np.allclose(busy, micro * load)
        if fill:
            s = schedule.fill_idle(s, forward, backward, head)
            assert s.end.max() <= plain + 1e-9
        for i in range(stages):
            mine = np.argsort(s.start[s.stage == i])
            start, end = s.start[s.stage == i][mine], s.end[s.stage == i][mine]
            assert (start[1:] >= end[:-1] - 1e-9).all() and start[0] >= 0
        for forward_kind, backward_kind in ((0, 1), (3, 4)):
            done = {}
            for kind in (forward_kind, backward_kind):
                at = s.kind == kind
                triples = zip(s.stage[at], s.micro_batch[at], s.start[at], s.end[at], strict=True)
                done[kind] = {(int(i), int(m)): (a, b) for i, m, a, b in triples}
            for (i, m), (a, _) in done[forward_kind].items():
                assert i == 0 or a >= done[forward_kind][i - 1, m][1] - 1e-9
            for (i, m), (a, _) in done[backward_kind].items():
                before = done[backward_kind].get((i + 1, m), done[forward_kind][i, m])
                assert a >= before[1] - 1e-9


def test_one_head_a_stage_lengthens_the_critical_path_only():
    """By hand: the last stage has the final head, so k heads before it add k (3 h), not M times that."""
    result = lab.head_costs(stages=8, micro_batches=32, head_cost=1.0)
    base = 32 * (3 * 4 + 3) + 7 * 3 * 4
    assert np.allclose(result.time[:8], 1 + 3 * np.arange(8) / base)
    assert np.allclose(result.time[:8], result.bound[:8]) and (result.time >= result.bound - 1e-12).all()
    assert result.time[8] > result.time[7] + 0.05


def test_heads_are_spread_and_deferring_saves_memory():
    for stages in (2, 4, 7):
        for heads in range(16):
            counts = pipeline.heads_of_stages(stages, heads)
            assert counts.sum() == heads and counts[-1] == 0 and np.ptp(counts[:-1]) <= 1
    result = lab.head_costs()
    assert (result.memory["deferred"] <= result.memory["at_once"]).all() and result.memory["deferred"][3] < result.memory[
        "at_once"
    ][3]


def test_filling_uses_idle_time():
    plain, full = lab.one_iteration(stages=8, heads=4), lab.one_iteration(stages=8, heads=4, fill=True)
    assert full.schedule.time == plain.schedule.time and full.extra >= 2
    assert full.schedule.idle_share < plain.schedule.idle_share - 0.02
    assert lab.one_iteration(heads=0, fill=True).extra == 0


# --- gradients -----------------------------------------------------------------------------------------


def test_auxiliary_losses_give_the_whole_gradient():
    result = lab.stage_gradients(network_stages=3, width=5, seed=4)
    assert np.abs(result.staged - result.whole).max() < 1e-12
    assert np.allclose(result.alone[-1], result.whole[-1], atol=1e-12)
    assert np.abs(result.alone[0] - result.whole[0]).max() > 0.01


def test_head_gradients_by_differences():
    rng = np.random.default_rng(5)
    trunk, heads = rng.standard_normal((2, 3, 3, 3))
    x, y = rng.standard_normal((2, 6, 3))
    found = gradients.staged_gradients(trunk, heads, x, y)[1]
    for index in [(0, 0, 1), (1, 2, 2), (2, 1, 0)]:
        step = np.zeros_like(heads)
        step[index] = 1e-6
        difference = gradients.total_loss(trunk, heads + step, x, y) - gradients.total_loss(trunk, heads - step, x, y)
        assert found[index] == pytest.approx(difference / 2e-6, rel=1e-6)


# --- decoding ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p,stages", [(0.3, 4), (0.7, 8), (0.05, 16)])
def test_geometric_exits(p, stages):
    law = decoding.exit_stages(p, stages)
    assert law.sum() == pytest.approx(1.0)
    mean = (1 - (1 - p) ** stages) / p
    assert law @ np.arange(1, stages + 1) == pytest.approx(mean)
    assert stages / decoding.pipelined_time(law, 1.0, 0.0) == pytest.approx(stages / mean)


@pytest.mark.parametrize("p,cap,mu", [(0.5, 16, 0.05), (0.8, 3, 0.5), (0.9, 1, 1.0), (0.1, 64, 0.2)])
def test_recomputation_by_renewal_against_simulation(p, cap, mu):
    stages, n = 5, 10_000
    exit_stage = np.minimum(np.random.default_rng(6).geometric(p, n), stages)
    times = decoding.simulate_recomputed(exit_stage, stages, 2.0, 0.3, mu, cap)
    exact = decoding.recomputed_time(decoding.exit_stages(p, stages), 2.0, 0.3, mu, cap)
    batches = times.reshape(50, -1).mean(axis=1)
    assert abs(times.mean() - exact) < 4 * batches.std(ddof=1) / np.sqrt(50)


def test_recomputation_limits():
    law = decoding.exit_stages(np.array([0.0, 0.6]), 4)
    assert decoding.recomputed_time(law, 1.0, 0.5, 0.3, 8)[0] == pytest.approx(4 * 1.5)  # everyone makes a full pass
    free = decoding.recomputed_time(law, 1.0, 0.0, 0.0, 10_000)[1]
    assert free == pytest.approx(float(decoding.pipelined_time(law, 1.0, 0.0)[1]))
    assert decoding.recomputed_time(law, 1.0, 0.0, 1.0, 10_000)[1] == pytest.approx(4.0)  # batching saves nothing


def test_decode_speed_view():
    result = lab.decode_speed(decoded=5000, seed=1)
    assert result.headline()["largest gap, theory to simulation (SE)"] < 4.5
    assert (result.pipelined >= result.recomputed - 1e-9).all()
