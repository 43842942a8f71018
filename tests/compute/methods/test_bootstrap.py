"""The bootstrap against the exact error of a mean, and its intervals against their own Monte Carlo."""

import numpy as np
import pytest

from compute.methods.bootstrap import bootstrap, interval, resample_counts, standard_error, width_error


def test_counts_draw_the_number_of_rows_asked_for():
    rng = np.random.default_rng(0)
    assert np.all(resample_counts(rng, 7, 50).sum(axis=1) == 7)
    assert np.all(resample_counts(rng, 7, 50, 20).sum(axis=1) == 20)


@pytest.mark.parametrize("n_drawn", [None, 10])
def test_standard_error_of_a_mean_is_exact(n_drawn):
    # Over resamples the variance of the mean is the population variance over the rows drawn.
    x = np.random.default_rng(1).standard_normal(40)
    *_, (done, means) = bootstrap(
        lambda c: (c @ x / c.sum(axis=1))[:, None], 40, 20_000, np.random.default_rng(2), n_drawn=n_drawn, chunk=5000
    )
    exact = x.std() / np.sqrt(n_drawn or 40)
    assert done == 1.0
    assert standard_error(means)[0] == pytest.approx(exact, rel=4 / np.sqrt(2 * 20_000))


def test_estimates_do_not_depend_on_the_chunk_and_progress_grows():
    def run(chunk):
        steps = list(bootstrap(lambda c: c[:, :2], 5, 23, np.random.default_rng(3), chunk=chunk))
        assert [d for d, _ in steps] == sorted(d for d, _ in steps)
        assert len(steps[0][1]) == min(chunk, 23)
        return steps[-1][1]

    assert np.array_equal(run(4), run(100))


def test_interval_leaves_out_what_has_no_answer():
    estimates = np.column_stack([np.r_[np.arange(101.0), np.nan], np.full(102, np.nan)])
    low, high = interval(estimates, 0.8)
    assert (low[0], high[0]) == pytest.approx((10.0, 90.0))
    assert np.isnan(low[1])
    assert standard_error(estimates)[1] == 0.0


def test_error_of_a_width_is_that_of_repeated_bootstraps():
    draws = np.random.default_rng(4).standard_normal((4000, 200))
    low, high = interval(draws.T, 0.8)
    width = high - low
    # The formula is for many refits; at 200 it is within a few percent.
    assert width_error(np.mean(width), 200, 0.8) == pytest.approx(width.std(), rel=0.06)
