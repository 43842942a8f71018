"""Self-repellent walks against fundamental matrices, Lyapunov solvers, finite differences and their own Monte Carlo."""

import numpy as np
import pytest
from scipy import linalg, stats

from compute.mcmc_smc import self_repellent_walk as lab
from compute.methods import self_repellent as srrw
from compute.models import graphs

RNG = np.random.default_rng
BARBELL = graphs.chain_of("barbell", 20, "uniform")
CLIQUE = (np.arange(20) < 10).astype(float)


def problem_on(name="barbell", n=20):
    chain = graphs.chain_of(name, n, "uniform", 0)
    return chain, srrw.token_problem(chain, graphs.graph_of(name, n, 0).position, 0)


# --- the walk ------------------------------------------------------------------------------------------


def test_a_step_follows_the_kernel_of_its_history():
    chain = graphs.chain_of("erdos_renyi", 12, "degree", 2)
    history = RNG(0).dirichlet(np.full(12, 5.0))
    weight = (history / chain.stationary) ** -2.5
    draws = np.array([srrw._advance(*chain.rows, weight, 3, u, np.empty(12)) for u in RNG(1).random(20_000)])
    law = srrw.kernel_at(chain, history, 2.5)[3]
    possible = law > 0
    counts = np.bincount(draws, minlength=12)
    assert counts[~possible].sum() == 0
    assert stats.chisquare(counts[possible], 20_000 * law[possible]).pvalue > 1e-4


@pytest.mark.parametrize("exponent,alpha", [(1.0, 5.0), (0.55, 20.0), (0.7, 0.0)])
def test_history_is_that_of_the_path(exponent, alpha):
    n = 6000
    history, path = srrw.run_walks(RNG(3), BARBELL, alpha, exponent, n, 1, keep=n)
    x = BARBELL.stationary.copy()
    for node, gamma in zip(path, srrw.step_sizes(exponent, n), strict=True):
        x *= 1 - gamma
        x[node] += gamma
    assert history[0] == pytest.approx(x, abs=1e-10)
    assert np.all(BARBELL.transition[path[:-1], path[1:]] > 0)
    if exponent == 1.0:
        assert history[0] == pytest.approx((BARBELL.stationary + np.bincount(path, minlength=20)) / (n + 1), abs=1e-12)


def test_target_is_the_fixed_point_and_the_drift_around_it_is_known():
    chain = graphs.chain_of("grid", 14, "degree")
    mu, alpha, n = chain.stationary, 3.0, 14
    assert srrw.frozen_law(chain, mu, alpha) == pytest.approx(mu, abs=1e-12)
    x = RNG(4).dirichlet(np.full(n, 5.0))
    assert srrw.frozen_law(chain, x, alpha) @ srrw.kernel_at(chain, x, alpha) == pytest.approx(
        srrw.frozen_law(chain, x, alpha), abs=1e-12
    )
    drift = np.column_stack(
        [(srrw.frozen_law(chain, mu + h, alpha) - srrw.frozen_law(chain, mu - h, alpha)) / 2e-6 for h in 1e-6 * np.eye(n)]
    )
    exact = -alpha * (np.eye(n) + chain.transition.T) + 2 * alpha * np.outer(mu, np.ones(n))
    assert drift == pytest.approx(exact, abs=1e-6)


# --- sampling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name,target", [("barbell", "uniform"), ("erdos_renyi", "degree"), ("star_clique", "uniform")])
def test_without_repulsion_the_covariance_is_the_fundamental_matrix(name, target):
    chain = graphs.chain_of(name, 20, target, 1)
    mu, n = chain.stationary, 20
    Z = linalg.solve(np.eye(n) - chain.transition + np.outer(np.ones(n), mu), np.eye(n))
    first = mu[:, None] * Z
    exact = first + first.T - np.diag(mu) - np.outer(mu, mu)
    assert srrw.sampling_covariance(chain, 0.0) == pytest.approx(exact, abs=1e-10)


def random_reversible_chain(rng, n):
    flow = rng.gamma(0.5, size=(n, n))
    flow = flow + flow.T
    mu = flow.sum(axis=1) / flow.sum()
    return graphs.reversible_chain(flow / flow.sum(axis=1, keepdims=True), mu)


def test_covariance_falls_with_repulsion_in_loewner_order():
    rng = RNG(5)
    for _ in range(30):
        chain = random_reversible_chain(rng, int(rng.integers(3, 12)))
        low, high = np.sort(rng.uniform(0, 20, 2))
        difference = srrw.sampling_covariance(chain, low) - srrw.sampling_covariance(chain, high)
        assert np.linalg.eigvalsh(difference).min() > -1e-12


def test_covariance_solves_its_lyapunov_equation():
    alpha, n = 4.0, 20
    mu, P = BARBELL.stationary, BARBELL.transition
    drift = -alpha * (np.eye(n) + P.T) - np.eye(n) + 2 * alpha * np.outer(mu, np.ones(n)) + 0.5 * np.eye(n)
    noise = srrw.sampling_covariance(BARBELL, 0.0)
    assert srrw.sampling_covariance(BARBELL, alpha) == pytest.approx(linalg.solve_continuous_lyapunov(drift, -noise), abs=1e-10)


def test_simulated_variance_is_that_of_theory():
    theory = srrw.sampling_variance(BARBELL, CLIQUE, np.array([0.0, 1.0, 5.0, 20.0]))
    assert theory == pytest.approx([32.53, 6.545, 1.560, 0.4046], rel=1e-3)
    n, replicas = 10_000, 200
    for alpha, exact in zip((0.0, 1.0, 5.0, 20.0), theory, strict=True):
        history, _ = srrw.run_walks(RNG(int(alpha) + 10), BARBELL, alpha, 1.0, n, replicas)
        simulated = n * np.mean((history @ CLIQUE - 0.5) ** 2)
        assert abs(simulated / exact - 1) < 4 * np.sqrt(2 / replicas), alpha


def test_modes_of_the_ring_collapse_where_they_are_slow():
    result = lab.modes(graph="ring", nodes=12, alpha=6.0, iterations=4000, replicas=100)
    for simulated, exact, error in zip(result.simulated, result.exact, result.errors, strict=True):
        assert np.max(np.abs(simulated - exact) / error) < 4.5
    shares = result.exact[1] / result.exact[0]
    assert shares == pytest.approx(1 / (12 * (1 + result.eigenvalue) + 1), abs=1e-12)
    assert result.multiplicity.sum() == 11 and result.multiplicity[0] == 2


# --- a token's gradient descent ------------------------------------------------------------------------


def test_optimum_has_no_gradient():
    chain, problem = problem_on("erdos_renyi", 25)
    assert chain.stationary @ problem.pull == pytest.approx([0, 0], abs=1e-12)
    assert np.all((np.linalg.eigvalsh(problem.matrix) > 0.999) & (np.linalg.eigvalsh(problem.matrix) < 2.001))


@pytest.mark.parametrize("ratio,shift", [(1.0, 0.0), (1.0, 0.5), (0.2, 0.0), (40.0, 0.0)])
def test_trace_solves_the_joint_lyapunov_equation(ratio, shift):
    """The full (N + 2)-dimensional equation, by scipy, in units of the token's step."""
    chain, problem = problem_on("grid", 11)
    n, alpha, mu = 11, 2.5, chain.stationary
    J11 = -alpha * (np.eye(n) + chain.transition.T) - np.eye(n) + 2 * alpha * np.outer(mu, np.ones(n))
    H = problem.pull
    J = np.block([[ratio * J11, np.zeros((n, 2))], [H.T @ (J11 + np.eye(n)), -problem.hessian]]) + shift * np.eye(n + 2)
    w = np.concatenate([ratio * chain.left[:, 1:], H.T @ chain.left[:, 1:]])
    noise = (w * srrw.noise_of_modes(chain)) @ w.T
    V = linalg.solve_continuous_lyapunov(J, -noise)
    found = srrw.optimization_trace(chain, problem, np.array([alpha]), ratio, shift)
    assert found[0] == pytest.approx(np.trace(V[n:, n:]), rel=1e-9)


def test_trace_tends_to_the_two_closed_cases():
    chain, problem = problem_on("star_clique", 16)
    alpha = np.array([0.0, 1.0, 7.0])
    q, h, K = srrw.noise_of_modes(chain), problem.pull.T @ chain.left[:, 1:], problem.hessian
    for ratio, factor in ((1e9, lambda a: (a * (1 + chain.eigenvalue[1:]) + 1) ** -2), (1e-9, lambda a: np.ones(15))):
        exact = [np.trace(linalg.solve_continuous_lyapunov(-K, -(h * q * factor(a)) @ h.T)) for a in alpha]
        assert srrw.optimization_trace(chain, problem, alpha, ratio) == pytest.approx(exact, rel=1e-6)
    assert srrw.limit_trace(chain, problem, alpha, 0.9, 0.6) == pytest.approx([exact[0]] * 3, rel=1e-9)
    # a < b at large repulsion: slope -2; a = b: slope -1.
    far = np.array([1e4, 1e5])
    for a, slope in ((0.6, -2.0), (0.9, -1.0)):
        found = srrw.limit_trace(chain, problem, far, a, 0.9)
        assert np.log10(found[1] / found[0]) == pytest.approx(slope, abs=0.01)


def test_balance_at_step_n_solves_its_discrete_lyapunov_equation():
    chain, problem = problem_on("ring", 9)
    alpha, a, b, n = 3.0, 0.7, 0.9, 400.0
    gamma, beta = (n + 1) ** -a, (n + 1) ** -b
    s, t = 1 + a / (2 * n), 1 + b / (2 * n)
    total = 0.0
    for lam, pulls in zip(chain.eigenvalue[1:], problem.mode_pulls(chain), strict=True):
        for h, k in zip(pulls, problem.curvature, strict=True):
            m = np.array([lam, -alpha * (1 - lam**2) * np.sqrt(gamma), 0.0])
            x = s * (np.array([0, 1 - gamma, 0]) + np.sqrt(gamma) * m)
            y = t * (np.array([0, 0, 1 - beta * k]) + np.sqrt(beta) * h * m)
            g = np.array([1.0, s * np.sqrt(gamma), t * np.sqrt(beta) * h])
            moments = linalg.solve_discrete_lyapunov(np.array([m, x, y]), np.outer(g, g))
            total += moments[2, 2] / moments[0, 0]  # the noise is what makes E m^2 = 1
    assert float(srrw.balance_trace(chain, problem, alpha, a, b, n)) == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("a,b", [(0.6, 0.9), (0.9, 0.6), (0.8, 0.8), (1.0, 1.0), (0.7, 1.0)])
def test_balance_tends_to_the_limit(a, b):
    chain, problem = problem_on()
    alpha = np.array([0.0, 1.0, 5.0])
    n = 1e10
    far = srrw.balance_trace(chain, problem, alpha, a, b, n)
    # What is left is of the order of the ratio of the steps, n^-|a-b|, and of the drift of the scale, 1/(n beta).
    left = 1e-4 + (30 * n ** -abs(a - b) if a != b else 0.0) + (0.5 * n ** (b - 1) if b < 1 else 0.0)
    assert far == pytest.approx(srrw.limit_trace(chain, problem, alpha, a, b), rel=left)


@pytest.mark.parametrize("alpha,a,b", [(0.0, 0.8, 0.9), (0.0, 0.9, 0.6), (1.0, 0.9, 0.7), (1.0, 1.0, 1.0), (5.0, 1.0, 0.9)])
def test_simulated_token_error_is_that_of_theory(alpha, a, b):
    # Where a visit hardly moves a weight, alpha gamma N << 1, and theory is linear with reason.
    chain, problem = problem_on()
    marks, replicas = np.array([10_000]), 300
    error = srrw.run_tokens(RNG(int(10 * a + 7 * alpha)), chain, problem, alpha, (a, b), marks, replicas)[:, 0] * 10_001**b
    theory = float(srrw.balance_trace(chain, problem, alpha, a, b, 10_000))
    assert abs(error.mean() - theory) < 4 * error.std() / np.sqrt(replicas)


def test_fast_history_gains_more_than_slow_in_simulation():
    chain, problem = problem_on()
    marks = np.array([8000])

    def left(a, b):
        errors = [srrw.run_tokens(RNG(20), chain, problem, v, (a, b), marks, 60).mean() for v in (10.0, 0.0)]
        return errors[0] / errors[1]

    assert left(0.6, 0.9) < 0.05
    assert left(0.95, 0.6) > 0.1


# --- experiments ---------------------------------------------------------------------------------------


def test_walk_covers_sooner_with_repulsion():
    result = lab.walk(alpha=10.0, nodes=30)
    assert result.repellent.token.shape == result.frames.shape
    assert np.allclose(result.repellent.next_step.sum(axis=1), 1)
    assert np.allclose(result.base.next_step, BASE_ROWS(result), atol=1e-12)
    assert result.repellent.distance[-1] < result.base.distance[-1]
    last = result.repellent
    assert last.distance[-1] == pytest.approx(0.5 * np.sum(np.abs(last.excess[-1]) * result.stationary), abs=1e-12)


def BASE_ROWS(result):
    chain = graphs.chain_of("barbell", 30, "uniform", 0)
    return chain.transition[result.base.token]


def test_long_runs_stream_and_are_priced():
    parts = list(lab.sampling.stream(iterations=1000, replicas=10))
    assert [f for f, _ in parts] == pytest.approx(np.arange(1, 6) / 5)
    assert parts[0][1].simulation.size == 1 and parts[-1][1].simulation.size == 5
    assert lab.sampling.seconds({"iterations": 1_000_000, "replicas": 500}) > 100
    assert lab.token_descent.seconds({}) < 0.5


def test_map_of_regimes_is_its_single_points():
    result = lab.regimes(alpha=5.0, history_exponent=0.6, step_exponent=0.9, iterations=1_000_000)
    i, j = np.argmin(np.abs(result.b - 0.9)), np.argmin(np.abs(result.a - 0.6))
    assert 10 ** result.log_ratio[i, j] == pytest.approx(result.here["error left, at this n"], rel=1e-9)
    chain, problem = problem_on()
    limit = srrw.limit_trace(chain, problem, np.array([0.0, 5.0]), 0.6, 0.9)
    assert result.here["error left, n → ∞"] == pytest.approx(limit[1] / limit[0], rel=1e-9)
    assert np.all(np.diff(result.log_ratio[i]) > 0), "a slower history never helps"
