"""Kaplan's training law against its own defining equations, limits, and planted constants."""

import numpy as np
import pytest
from scipy.optimize import brentq

from compute.models.kaplan import (
    KAPLAN_RUN,
    converged_loss,
    critical_batch,
    fit_kaplan,
    kaplan_loss,
    minimal_steps,
    observe,
    steps_to_loss,
)


@pytest.mark.parametrize("n,steps,batch", [(1e6, 3e2, 1e4), (6e7, 1e4, 5e5), (3.3e10, 1e6, 1e8), (3.3e10, 1e3, 1e4)])
def test_loss_is_the_root_of_the_implicit_equation(n, steps, batch):
    c = KAPLAN_RUN

    def gap(level):
        s_min = steps / (1 + c.batch_scale * level ** (-1 / c.alpha_batch) / batch)
        return level - (c.parameter_scale / n) ** c.alpha_parameters - (c.step_scale / s_min) ** c.alpha_steps

    assert kaplan_loss(c, n, steps, batch) == pytest.approx(brentq(gap, 0.5, 1e4, xtol=1e-13), rel=1e-10)


def test_critical_batch_doubles_both_time_and_tokens():
    level = 2.4
    batch = critical_batch(KAPLAN_RUN, level)
    least = minimal_steps(KAPLAN_RUN, 3e9, level)
    steps = steps_to_loss(KAPLAN_RUN, 3e9, level, batch)
    assert steps == pytest.approx(2 * least, rel=1e-12)
    # E_min = S_min B_crit is what a vanishing batch needs.
    tiny = 1e-3 * batch
    least_tokens = steps_to_loss(KAPLAN_RUN, 3e9, level, tiny) * tiny
    assert steps * batch == pytest.approx(2 * least_tokens, rel=2e-3)
    for b in (1e5, 1e6, 1e7):
        s = steps_to_loss(KAPLAN_RUN, 3e9, level, b)
        assert (s / least - 1) * (s * b / (least * batch) - 1) == pytest.approx(1.0, rel=1e-9)
        assert kaplan_loss(KAPLAN_RUN, 3e9, s, b) == pytest.approx(level, rel=1e-10)


def test_endless_training_converges():
    assert kaplan_loss(KAPLAN_RUN, 1e8, 1e16, 1e6) == pytest.approx((6.5e13 / 1e8) ** 0.077, rel=1e-7)
    assert minimal_steps(KAPLAN_RUN, 1e8, converged_loss(KAPLAN_RUN, 1e8)) == np.inf


def test_noise_free_estimation_returns_the_planted_constants():
    seen = observe(KAPLAN_RUN, np.random.default_rng(0), largest=6e7, smallest=1e6, batch=5e5, noise_sigma=0.0)
    assert np.array(fit_kaplan(seen)) == pytest.approx(np.array(KAPLAN_RUN), rel=1e-8)


def test_small_models_predict_a_large_one_better_with_less_noise():
    def error(noise):
        truth = kaplan_loss(KAPLAN_RUN, 3.3e10, np.geomspace(1e3, 1e6, 7), 2e6)
        found = []
        for seed in range(30):
            seen = observe(KAPLAN_RUN, np.random.default_rng(seed), largest=6e7, smallest=1e6, batch=5e5, noise_sigma=noise)
            found.append(kaplan_loss(fit_kaplan(seen), 3.3e10, np.geomspace(1e3, 1e6, 7), 2e6) / truth - 1)
        return np.sqrt(np.mean(np.square(found)))

    small, large = error(1e-3), error(4e-3)
    assert small < 5e-3
    assert large / small == pytest.approx(4.0, rel=0.4)
