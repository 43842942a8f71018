"""The call against exact data, quadrature, and calibration over the prior."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import chisquare

from compute.models.emergence_law import Finetuned, accuracy, bounds, compute_of_loss, loss_of_compute
from compute.parameters import ParameterError
from compute.scaling_laws.emergence_elbow import called_emergence, error_map
from compute.scaling_laws.emergence_elbow.call import fit, posterior
from compute.scaling_laws.emergence_elbow.setting import design, simulate

TRUTH = {"elbow": 2.2, "shift": 0.15, "power": 1.0}


def exact_runs(chance=0.25, noise=1e-3, gap=1.0):
    loss, examples = design(2.2, gap, 8, 6)
    return Finetuned(loss, examples, accuracy(loss, examples, chance, 2.2, 0.15, 1.0, 1.0), chance, noise)


def test_loss_and_compute_are_inverse():
    compute = np.geomspace(1e-2, 1e6, 9)
    assert compute_of_loss(loss_of_compute(compute)) == pytest.approx(compute, rel=1e-9)


def test_chance_exactly_above_the_elbow():
    loss = np.linspace(2.2, 3, 9)
    assert np.all(accuracy(loss, np.zeros(9), 0.25, 2.2, 0.15, 1.0, 1.0) == 0.25)
    assert accuracy(np.array(2.1), np.zeros(1), 0.25, 2.2, 0.15, 1.0, 1.0) == pytest.approx(0.35)


def test_exact_data_give_the_elbow_back():
    for gap in (1.0, 4.0):
        best, cost = fit(exact_runs(gap=gap))
        assert best == pytest.approx([2.2, 0.15, 1.0, 0.0], abs=1e-6) and cost < 1e-6


def test_posterior_agrees_with_quadrature():
    """Elbow and shift only: the other two are pinned by narrow likelihoods on a grid of all four."""
    rng = np.random.default_rng(4)
    runs = simulate(2.2, 0.15, 1.0, 5, 4, 0.02, 2.0, 0.25, rng)
    best, _ = fit(runs)
    draws = np.concatenate([posterior(runs, best, np.random.default_rng(k)) for k in range(6)])
    center, width = draws.mean(axis=0), draws.std(axis=0)
    low, high = bounds()
    axes = [np.linspace(max(a, c - 6 * w), min(b, c + 6 * w), 33) for a, b, c, w in zip(low, high, center, width, strict=True)]
    grid = np.array(np.meshgrid(*axes, indexing="ij")).reshape(4, -1).T
    log_p = np.concatenate([runs.log_posterior(part) for part in np.array_split(grid, 60)])
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    mean = p @ grid
    sd = np.sqrt(p @ (grid - mean) ** 2)
    ensembles = draws.reshape(6, -1, 4).mean(axis=1)
    error = ensembles.std(axis=0, ddof=1) / np.sqrt(6)
    assert np.all(np.abs(center - mean) < 4 * error + 0.02 * sd)  # the grid's own step
    assert width == pytest.approx(sd, rel=0.1)


def test_ranks_of_the_truth_are_uniform_over_the_prior():
    """Simulation-based calibration: losses fixed beforehand, truths from the prior, noise known."""
    rng = np.random.default_rng(8)
    low, high = bounds()
    loss, amounts = np.meshgrid(np.linspace(2.2, 3.4, 6), np.concatenate([[0], np.geomspace(50, 50_000, 4)]))
    loss, amounts = loss.ravel(), amounts.ravel()
    ranks = []
    for k in range(100):
        theta = low + (high - low) * rng.random(4)
        noise = 0.05
        scored = accuracy(loss, amounts, 0.25, *theta[:3], np.exp(theta[3])) + noise * rng.standard_normal(loss.size)
        runs = Finetuned(loss, amounts, scored, 0.25, noise)
        # Walkers start at the truth's neighborhood: a chain that has converged forgets it.
        draws = posterior(runs, np.clip(theta, low + 0.05, high - 0.05), np.random.default_rng(k))
        ranks.append(np.mean(draws[::7, 0] < theta[0]))
    counts = np.histogram(ranks, np.linspace(0, 1, 6))[0]
    assert chisquare(counts).pvalue > 1e-3


def test_runs_all_at_chance_are_refused():
    with pytest.raises(ParameterError, match="at chance") as caught:
        called_emergence(shift=0.0)
    assert caught.value.name == "shift"
    # And rightly: the likelihood does not know the elbow below the least loss.
    loss, examples = design(2.2, 4.0, 6, 5)
    runs = Finetuned(loss, examples, np.full(loss.size, 0.25), 0.25, 0.01)
    theta = np.array([[e, 0.0, 1.0, 0.0] for e in np.linspace(1.8, loss.min(), 7)])
    assert np.ptp(runs.log_posterior(theta)) == 0


def test_uploaded_runs_give_the_planted_call():
    exact = exact_runs(gap=3.0)
    table = pl.DataFrame({"loss": exact.loss, "examples": exact.examples, "accuracy": exact.accuracy})
    call = called_emergence(runs=table, accuracy_noise=0.002)
    assert call.truth is None
    assert float(call.headline()["emerges at × the largest model's compute"]) == pytest.approx(3.0, rel=0.15)
    with pytest.raises(ParameterError, match="at least 6"):
        called_emergence(runs=table[:4])


def test_intervals_hold_the_truth_and_errors_grow_with_noise():
    held = [called_emergence(seed=s).headline()["truth in the interval"] == "yes" for s in range(30)]
    assert sum(held) >= 21  # of 30 at 90%: binomial, 21 has probability 2e-4 from below
    error = error_map().error
    assert error[0].mean() < 0.1 and error[-1].mean() > 3 * error[0].mean()
