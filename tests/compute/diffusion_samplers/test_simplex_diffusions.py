"""Simplex diffusions: exact identities, SciPy, closed laws, and their own Monte Carlo."""

import importlib
from itertools import product

import numpy as np
import pytest
from scipy.stats import kstest, norm

from compute.diffusion_samplers.simplex_diffusions import errors, film, gumbel_map, message_bits, one_particle
from compute.diffusion_samplers.simplex_diffusions.gumbel_map import kept_from, relax
from compute.diffusion_samplers.simplex_diffusions.one_particle import jacobi_walk
from compute.diffusion_samplers.simplex_diffusions.processes import (
    KINDS,
    BayesianFlow,
    Gumbel,
    Jacobi,
    Sphere,
    break_stick,
    concrete_log_likelihood,
)
from compute.diffusion_samplers.simplex_diffusions.sampling import interpolant_limit
from compute.diffusion_samplers.simplex_diffusions.setting import Constants, Strings
from compute.models.token_law import TokenLaw
from compute.parameters import ParameterError

bits_module = importlib.import_module("compute.diffusion_samplers.simplex_diffusions.bits")
SKEW = TokenLaw(np.array([1, 2, 3]) / 6, 1, 0.0)
SEEN = Constants()


def test_gumbel_argmax_is_right_as_often_as_the_softmax_says():
    beta, n = 2.0, 20_000
    process = Gumbel(TokenLaw(np.ones(3) / 3, 1, 0.0), SEEN, 50)
    rng = np.random.default_rng(1)
    z = rng.gumbel(size=(n, 1, 3)) + beta * np.eye(3)[0]
    right = np.exp(beta) / (np.exp(beta) + 2)
    assert right == pytest.approx(0.787, abs=5e-4)
    for step in (0, 25, 50):  # at every temperature
        share = np.mean(np.argmax(process.simplex(z, step), axis=-1) == 0)
        assert abs(share - right) < 4 * np.sqrt(right * (1 - right) / n)


def test_gumbel_likelihood_is_that_of_the_concrete_density():
    rng = np.random.default_rng(2)
    beta, tau = 1.7, 0.6
    c = beta * tau
    x = rng.dirichlet(np.ones(4), 5)

    def log_density(x, k):  # Maddison, Mnih and Teh (2017), with locations e^{beta} at k and 1 elsewhere
        a = np.where(np.arange(4) == k, np.exp(beta), 1.0)
        return np.sum(np.log(a) - (c + 1) * np.log(x), axis=1) - 4 * np.log(np.sum(a * x**-c, axis=1))

    exact = np.stack([log_density(x, k) for k in range(4)], axis=1)
    ours = concrete_log_likelihood(c * np.log(x), beta)
    gap = ours - exact
    assert gap == pytest.approx(np.broadcast_to(gap[:, :1], gap.shape), abs=1e-10)


def test_the_published_field_in_log_coordinates():
    """d log x/dt from the published velocity equals the autonomous form, up to a constant, and velocities sum to zero."""
    rng = np.random.default_rng(3)
    beta, decay, tau, p = 2.0, 3.0, 0.8, SKEW.p
    x = rng.dirichlet(np.ones(3), 4)
    z = beta * tau * np.log(x)
    w = p * np.exp(concrete_log_likelihood(z, beta))
    w /= w.sum(axis=1, keepdims=True)
    velocity = decay / tau * np.sum((w * x)[:, :, None] * (np.eye(3) - x[:, None]), axis=1)
    assert velocity.sum(axis=1) == pytest.approx(0, abs=1e-12)
    # z = beta tau log x with tau' = -lambda tau.
    rate = beta * tau * velocity / x - decay * z
    form = decay * (beta * w - z)
    gap = rate - form
    assert gap == pytest.approx(np.broadcast_to(gap[:, :1], gap.shape), abs=1e-10)
    h = 1e-5
    moved = relax(z[None], np.array([beta]), p, h)[0]
    assert (moved - z) / h * decay == pytest.approx(form, abs=1e-3)


def test_the_exact_gumbel_field_keeps_the_argmax_and_guidance_is_a_shift():
    rng = np.random.default_rng(4)
    process = Gumbel(SKEW, SEEN, 20, is_exact=True, guidance=0.1)
    z = process.begin(20_000, rng)
    first = np.argmax(z, axis=-1)
    for step in range(20):
        z = process.advance(z, SKEW.posterior(process.log_likelihood(z, step)), step, rng)
    shift = SEEN.gumbel_beta * 10 * 0.1 * (1 - np.exp(-SEEN.decay)) / SEEN.decay
    weight = np.exp(SEEN.gumbel_beta * np.eye(3))
    weight[:, 0] *= np.exp(shift)
    exact = SKEW.p @ (weight / weight.sum(axis=1, keepdims=True))
    share = np.mean(np.argmax(z, axis=-1) == 0)
    assert abs(share - exact[0]) < 4 * np.sqrt(exact[0] / 20_000)
    assert np.all(np.argmax(z, axis=-1)[first == 0] == 0)


def test_interpolant_limit_by_hand():
    flip = 1 / (np.e**2 + 2)
    output = (1 - 3 * flip) * SKEW.p + flip
    assert interpolant_limit(SKEW, 2.0) == pytest.approx(0.5 * np.abs(output - SKEW.p).sum(), abs=1e-12)
    found = errors(length=1, strings=4000, steps=20)
    gap = found.error["gumbel, exact field"] - found.gumbel_limit
    assert np.all(np.abs(gap) < 4 * found.standard_error["gumbel, exact field"])


def test_thresholds_of_the_map():
    edges = kept_from(SKEW.p)
    # Just above its threshold the rarest category has a fixed point, z = beta w(z), that decodes to it; just below it has not.
    for beta, decoded in ((edges[0] * 1.05, 0), (edges[0] / 1.1, 2)):
        z = beta * np.eye(3)[:1][None]
        for _ in range(400):
            z = relax(z, np.array([beta]), SKEW.p, 0.5)
        w = SKEW.p * np.exp(concrete_log_likelihood(z, beta))
        assert z == pytest.approx(beta * w / w.sum(), abs=1e-5)
        assert (np.argmax(z) == 0) == (decoded == 0)
    found = gumbel_map(gumbel_beta=0.5, decay=10.0)
    assert found.here[2] == pytest.approx(1 - SKEW.p.max(), abs=0.01)  # every sample at the likeliest vertex
    assert gumbel_map(gumbel_beta=10.0, decay=10.0).here[2] < 0.01
    # The film with the published field agrees with the map.
    one = film(process="gumbel", length=1, gumbel_beta=1.5, decay=10.0, strings=2000, steps=200)
    k = np.argmin(np.abs(found.beta - 1.5))
    assert one.total_variation[0] == pytest.approx(found.error[k, -1], abs=0.06)


@pytest.mark.parametrize("name", ["jacobi", "sphere", "bayesian flow"])
def test_reverse_processes_return_the_law(name):
    law = TokenLaw(SKEW.p, 2, 0.8)
    n = 3000
    tokens = KINDS[name](law, SEEN, 150).run(n, np.random.default_rng(6))
    counts = np.bincount(law.index(tokens), minlength=9)
    gap = (counts - n * law.table()) / np.sqrt(n * law.table() * (1 - law.table()))
    # Euler's bias at 150 steps is below the noise of 3000 strings.
    assert np.abs(gap).max() < 4


def test_few_steps_are_worse():
    found = errors(strings=2000, steps=40)
    assert found.error["jacobi"][0] > 0.06 > found.error["jacobi"][-1]


def test_jacobi_sticks_make_a_dirichlet():
    process = Jacobi(TokenLaw(np.ones(4) / 4, 1, 0.0), SEEN, 20)
    x = break_stick(process.begin(20_000, np.random.default_rng(8))[:, 0, 0])
    assert x.sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert x.mean(axis=0) == pytest.approx(0.25, abs=4 * np.sqrt(3 / 80 / 20_000) * 2)
    # Dirichlet(1, 1, 1, 1): variance 3/80, covariance -1/80.
    assert np.cov(x.T)[np.eye(4) == 0] == pytest.approx(-1 / 80, abs=1e-3)


def test_jacobi_likelihood_interpolates_the_exact_one():
    from compute.models.jacobi_diffusion import EndRatio

    process = Jacobi(SKEW, SEEN, 37)
    v = np.random.default_rng(9).uniform(0.02, 0.98, (200, 1, 2))
    for step in (0, 18, 27):
        ours = process.log_likelihood(process._seen(v, step), step)[:, 0]
        one, zero = [], []
        for j, b in enumerate((2.0, 1.0)):
            r = EndRatio(1.0, b, v[:, 0, j]).at(process.time(step))
            one.append(r[0]), zero.append(r[2])
        exact = np.stack([one[0], zero[0] + one[1], zero[0] + zero[1]], axis=1)
        # Where a stick is likely at all from either end: elsewhere the mixture has no digits left.
        likely = np.all(np.maximum(one, zero) > -14, axis=0)[:, None]
        shared = likely & (np.abs(exact - exact.max(axis=1, keepdims=True)) < 8)
        assert shared.sum() > 20
        assert (ours - exact)[shared] == pytest.approx(0, abs=0.03)


def test_jacobi_mean_and_walk():
    rng = np.random.default_rng(10)
    for b, time in ((2.0, 0.3), (4.0, 0.1)):
        v = jacobi_walk(1.0, b, time, 8000, 200, rng)
        mean = 1 / (1 + b) + (1 - 1 / (1 + b)) * np.exp(-(1 + b) * time / 2)
        assert abs(v.mean() - mean) < 4 * v.std() / np.sqrt(8000) + 2e-3


def test_sphere_paths_stay_on_it_and_reach_a_vertex():
    process = Sphere(SKEW, SEEN, 60)
    rng = np.random.default_rng(11)
    state = process.begin(300, rng)
    for step in range(60):
        state = process.advance(state, SKEW.posterior(process.log_likelihood(state, step)), step, rng)
        assert np.abs(np.linalg.norm(state[..., 0, :], axis=-1) - 1).max() < 1e-12
    assert np.mean(process.simplex(state, 60).max(axis=-1) > 0.99) > 0.97


def test_accuracies_add():
    law, rng = TokenLaw(np.ones(3) / 3, 1, 0.0), np.random.default_rng(12)
    # Certain of the first token: y after all steps is one message of the whole accuracy, whatever the number of steps.
    certain = np.zeros((6000, 1, 3))
    certain[..., 0] = 1
    for n in (2, 5):
        process = BayesianFlow(law, SEEN, n)
        y = process.begin(6000, rng)
        for step in range(n):
            y = process.advance(y, certain, step, rng)
        for k, mean in enumerate((2 * SEEN.beta1, -SEEN.beta1, -SEEN.beta1)):
            assert kstest(y[:, 0, k], norm(mean, np.sqrt(3 * SEEN.beta1)).cdf).pvalue > 1e-3


def test_one_token_costs_its_entropy_for_every_number_of_steps():
    found = message_bits(length=1, draws=400)
    entropy = -np.sum(SKEW.p * np.log2(SKEW.p))
    assert found.total == pytest.approx(entropy, abs=1e-10)
    assert abs(found.continuous - entropy) < 3 * found.continuous_error < 0.1


def test_several_tokens_cost_more_in_few_steps():
    found = message_bits(length=3, draws=2000, beta1=6.0)
    joint = TokenLaw(SKEW.p, 3, 0.8).table()
    entropy = -np.sum(joint * np.log2(joint))
    assert found.entropy == pytest.approx(entropy, abs=1e-12)
    assert np.all(found.total > entropy - 3 * found.standard_error)
    assert found.total[0] == pytest.approx(found.independent, abs=4 * found.standard_error[0] + 0.05)
    assert found.total[-1] - entropy < 0.05 * (found.total[0] - entropy)
    assert abs(found.continuous - entropy) < 3.5 * found.continuous_error


def test_loss_of_a_step_against_drawn_mixtures():
    """The sampled cost is log density of sender over receiver: checked against SciPy's normal densities on one step."""
    law, beta1, n = TokenLaw(SKEW.p, 1, 0.0), 2.0, 1
    rng = np.random.default_rng(13)
    paid, last = bits_module.sampled_runs(law, beta1, n, 30_000, rng)
    y = rng.normal(beta1 * (3 * np.eye(3)[2] - 1), np.sqrt(3 * beta1), (30_000, 3))
    density = np.stack([np.prod(norm(beta1 * (3 * np.eye(3)[k] - 1), np.sqrt(3 * beta1)).pdf(y), axis=1) for k in range(3)])
    posterior = law.p[:, None] * density / (law.p @ density)
    # Reconstruction of the third category alone, by importance of its share.
    third = -np.log(posterior[2]).mean()
    others = []
    for k in (0, 1):
        y = rng.normal(beta1 * (3 * np.eye(3)[k] - 1), np.sqrt(3 * beta1), (30_000, 3))
        density = np.stack([np.prod(norm(beta1 * (3 * np.eye(3)[j] - 1), np.sqrt(3 * beta1)).pdf(y), axis=1) for j in range(3)])
        others.append(-np.log(law.p[k] * density[k] / (law.p @ density)).mean())
    assert last.mean() == pytest.approx(law.p @ [*others, third], abs=4 * last.std() / np.sqrt(15_000))
    assert np.abs(paid + law.entropy - law.entropy).max() < 1e-10


@pytest.mark.parametrize("process,more", [("jacobi", {}), ("gumbel", {}), ("sphere", {}), ("bayesian flow", {"categories": 5})])
def test_one_particle_follows_its_law(process, more):
    found = one_particle(process=process, strings=6000, **more)
    width = found.center[1] - found.center[0]
    assert found.theory.sum() * width == pytest.approx(1, abs=2e-3)
    assert found.farthest < 5
    assert abs(found.mean[1] - found.mean[0]) < 4 * found.mean[2] + 1e-3


def test_too_few_terms_ring_below_zero():
    few, many = one_particle(terms=4, progress=0.75), one_particle(terms=120, progress=0.75)
    assert few.spectral.min() < -0.1 and few.spectral_gap > 0.1
    assert many.spectral == pytest.approx(many.theory, abs=1e-4)


def test_categories_too_many_to_count_are_refused():
    with pytest.raises(ParameterError, match="strings to count"):
        film(categories=40, length=2)
    assert Strings(50, "skew", 1).build().p.sum() == pytest.approx(1)
    assert len(list(product(range(3), repeat=2))) == TokenLaw(SKEW.p, 2, 0.5).table().size
