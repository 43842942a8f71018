r"""Self-repellent random walks: a chain that shuns the nodes it has visited, and what that does to its averages.

From node i the walk moves to j with probability K_ij[x] proportional to P_ij (x_j/mu_j)^{-alpha}, x its history:
x_{n+1} = x_n + gamma_{n+1} (delta_{X_{n+1}} - x_n), gamma_n = (n + 1)^{-a}, x_0 = mu. Base chain P in detailed balance
with mu, eigenvalues lambda_i, left eigenvectors u_i. A token that walks so drives stochastic gradient descent,
theta_{n+1} = theta_n + beta_{n+1} H(theta_n, X_{n+1}), beta_n = (n + 1)^{-b}.

References
----------
Doshi, Hu & Eun (2023) for the walk and its sampling covariance; Hu, Doshi & Eun, "Accelerating distributed stochastic
optimization via self-repellent random walks" (2024), paper 047 of the catalogue, for the token and its three regimes.
The covariances at a finite ratio gamma/beta and at finite steps are derived here, from the pair linearized at its fixed point.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute.kernel import kernel
from compute.models.graphs import ReversibleChain

Array = NDArray[np.float64]

# A history that shrinks below this is rescaled; ratios x/mu are kept within ratios that alpha = 20 can raise.
SMALL, LEAST_RATIO, MOST_RATIO = 1e-10, 1e-14, 1e14


# --- the walk ------------------------------------------------------------------------------------------


@kernel
def _weight(history, mu, alpha):  # type: ignore[no-untyped-def]
    ratio = min(max(history / mu, LEAST_RATIO), MOST_RATIO)
    return np.exp(-alpha * np.log(ratio)) if alpha > 0.0 else 1.0


@kernel
def _advance(start, column, probability, weight, here, u, sums):  # type: ignore[no-untyped-def]
    """The next node, from P_ij w_j by inversion of its cumulative sum at u; ``sums`` is room for that sum."""
    first, count = start[here], start[here + 1] - start[here]
    total = 0.0
    for e in range(count):
        total += probability[first + e] * weight[column[first + e]]
        sums[e] = total
    target = u * total
    for e in range(count):
        if sums[e] >= target:
            return column[first + e]
    return column[first + count - 1]


@kernel
def _remember(history, weight, mu, alpha, scale, node, gamma):  # type: ignore[no-untyped-def]
    """x <- x + gamma (delta_node - x), x = scale * history; returns the scale. Only one weight changes: a common factor cancels."""
    scale *= 1.0 - gamma
    history[node] += gamma / scale
    if scale < SMALL:
        for j in range(mu.size):
            history[j] *= scale
            weight[j] = _weight(history[j], mu[j], alpha)
        return 1.0
    weight[node] = _weight(history[node], mu[node], alpha)
    return scale


@kernel
def _run(start, column, probability, mu, alpha, gamma, beta, first, matrix, center, theta, marks, path, rng):  # type: ignore[no-untyped-def]
    """Walk from each node of ``first``; the history at the end, theta at the marks, and the first walk's path.

    theta moves by -beta_n A_i (theta - c_i) where ``beta`` is not empty.
    """
    n, n_nodes, dimension = gamma.size, mu.size, theta.size
    final = np.empty((first.size, n_nodes))
    track = np.zeros((first.size, marks.size, dimension))
    history, weight, sums = np.empty(n_nodes), np.empty(n_nodes), np.empty(n_nodes)
    position, pull = np.empty(dimension), np.empty(dimension)
    for r in range(first.size):
        history[:] = mu
        weight[:] = 1.0
        position[:] = theta
        scale, here, mark = 1.0, first[r], 0
        for t in range(n):
            here = _advance(start, column, probability, weight, here, rng.random(), sums)
            scale = _remember(history, weight, mu, alpha, scale, here, gamma[t])
            if beta.size > 0:
                for k in range(dimension):
                    pull[k] = 0.0
                    for l in range(dimension):
                        pull[k] += matrix[here, k, l] * (position[l] - center[here, l])
                for k in range(dimension):
                    position[k] -= beta[t] * pull[k]
                if mark < marks.size and t + 1 == marks[mark]:
                    track[r, mark] = position
                    mark += 1
            if r == 0 and t < path.size:
                path[t] = here
        final[r] = scale * history
    return final, track


def step_sizes(exponent: float, n: int) -> Array:
    """gamma_1 … gamma_n = (n + 1)^-exponent."""
    return (np.arange(2, n + 2, dtype=float)) ** -exponent


def run_walks(
    rng: np.random.Generator, chain: ReversibleChain, alpha: float, exponent: float, n: int, replicas: int, keep: int = 0
) -> tuple[Array, NDArray[np.int64]]:
    """Independent walks from stationary starts.

    Parameters
    ----------
    exponent : float
        a of gamma_n = (n + 1)^-a; at a = 1 the history is the visit frequencies, with mu as one visit before the first.
    keep : int
        Steps of the first walk to return.

    Returns
    -------
    history : (replicas, n_nodes) array
        x_n.
    path : (keep,) int array
        Nodes visited after each step by the first walk.
    """
    path = np.zeros(keep, dtype=np.int64)
    first = rng.choice(chain.stationary.size, replicas, p=chain.stationary)
    none = np.empty(0)
    history, _ = _run(
        *chain.rows, chain.stationary, alpha, step_sizes(exponent, n), none, first, np.empty((0, 0, 0)), np.empty((0, 0)), none,
        np.empty(0, dtype=np.int64), path, rng,
    )  # fmt: skip
    return history, path


def kernel_at(chain: ReversibleChain, history: Array, alpha: float) -> Array:
    """K[x], (n, n): P_ij (x_j/mu_j)^-alpha with rows of sum 1."""
    weight = np.exp(-alpha * np.log(np.maximum(history / chain.stationary, LEAST_RATIO)))
    moves = chain.transition * weight
    return moves / moves.sum(axis=1, keepdims=True)


def frozen_law(chain: ReversibleChain, history: Array, alpha: float) -> Array:
    """Stationary law of K[x]: proportional to sum_j mu_i P_ij (x_i/mu_i)^-alpha (x_j/mu_j)^-alpha."""
    weight = (history / chain.stationary) ** -alpha
    law = chain.stationary * weight * (chain.transition @ weight)
    return law / law.sum()


# --- sampling: the variance of averages ----------------------------------------------------------------


def noise_of_modes(chain: ReversibleChain) -> Array:
    """(1 + lambda)/(1 - lambda) of each mode but the first: n times the variance of its average under P."""
    return (1 + chain.eigenvalue[1:]) / (1 - chain.eigenvalue[1:])


def filter_of_modes(chain: ReversibleChain, alpha: float) -> Array:
    """1/(2 alpha (1 + lambda) + 1): what self-repellence at gamma_n = 1/(n + 1) leaves of each mode's variance."""
    return 1 / (2 * alpha * (1 + chain.eigenvalue[1:]) + 1)


def sampling_covariance(chain: ReversibleChain, alpha: float) -> Array:
    """V(alpha) = sum_i (1 + lambda_i)/(1 - lambda_i) u_i u_i^T/(2 alpha (1 + lambda_i) + 1): lim n Cov(x_n) at a = 1."""
    u = chain.left[:, 1:]
    return (u * (noise_of_modes(chain) * filter_of_modes(chain, alpha))) @ u.T


def sampling_variance(chain: ReversibleChain, g: Array, alpha: Array) -> Array:
    """g^T V(alpha) g for each alpha."""
    share = (g @ chain.left[:, 1:]) ** 2 * noise_of_modes(chain)
    return np.array([share @ filter_of_modes(chain, float(value)) for value in np.atleast_1d(alpha)])


# --- optimization: token stochastic gradient descent ---------------------------------------------------


class TokenProblem:
    """f(theta) = sum_i mu_i (theta - c_i)^T A_i (theta - c_i)/2, of which the token at node i knows only its own term.

    Parameters
    ----------
    stationary : (n,) array
        mu.
    matrix : (n, d, d) array
        A_i, positive definite.
    center : (n, d) array
        c_i.
    """

    def __init__(self, stationary: Array, matrix: Array, center: Array) -> None:
        self.stationary, self.matrix, self.center = stationary, matrix, center
        self.hessian = np.einsum("i,ikl->kl", stationary, matrix)
        self.optimum = np.linalg.solve(self.hessian, np.einsum("i,ikl,il->k", stationary, matrix, center))
        # (n, d): H(theta*, i) = -grad f_i(theta*)
        self.pull = -np.einsum("ikl,il->ik", matrix, self.optimum - center)

    def mode_pulls(self, chain: ReversibleChain) -> Array:
        """(n - 1, d): h_i = H(theta*)^T u_i in the eigenbasis of the Hessian."""
        _, basis = np.linalg.eigh(self.hessian)
        return chain.left[:, 1:].T @ self.pull @ basis

    @property
    def curvature(self) -> Array:
        """(d,) eigenvalues of the Hessian."""
        return np.linalg.eigvalsh(self.hessian)


def token_problem(chain: ReversibleChain, position: Array, seed: int) -> TokenProblem:
    """Centers where the nodes are drawn, so that what a node wants depends on where it is; curvatures between 1 and 2."""
    rng = np.random.default_rng((seed, 47))
    n, d = position.shape
    basis, _ = np.linalg.qr(rng.standard_normal((n, d, d)))
    matrix = np.einsum("ikl,il,iml->ikm", basis, rng.uniform(1.0, 2.0, (n, d)), basis)
    return TokenProblem(chain.stationary, matrix, position)


def optimization_trace(chain: ReversibleChain, problem: TokenProblem, alpha: Array, ratio: float, shift: float = 0.0) -> Array:
    r"""tr V_theta(alpha), the limit of E|theta_n - theta*|^2/beta_n where gamma/beta tends to a ratio rho.

    With kappa_i = alpha (1 + lambda_i) + 1, q_i = (1 + lambda_i)/(1 - lambda_i), h_i = H^T u_i and Hessian K, the
    stationary equations of the linearized pair (x, theta) give, mode by mode, Var x_i = rho q_i/(2 kappa_i),
    (rho kappa_i + K) c_i = rho q_i h_i - (kappa_i - 1) h_i Var x_i and K V + V K = sum_i q_i h_i h_i^T -
    (kappa_i - 1)(h_i c_i^T + c_i h_i^T). At rho = infinity, 047's case a < b, the right side is q_i h_i h_i^T/kappa_i^2;
    at rho = 0, its case a > b, alpha has no effect.

    Parameters
    ----------
    alpha : (n_alphas,) array
    ratio : float
        rho = gamma/beta, from 0 to infinity.
    shift : float
        1/2 where b = 1: the scale beta_n itself drifts. At rho > 0 finite it is taken that a = 1 too.
    """
    lam, q = chain.eigenvalue[1:], noise_of_modes(chain)
    h, k = problem.mode_pulls(chain), problem.curvature
    kappa = np.asarray(alpha, dtype=float)[:, None] * (1 + lam) + 1
    if ratio == 0:
        cross = np.zeros((k.size, *kappa.shape))
    else:
        variance = q / (2 * (kappa - shift / ratio))  # Var x_i/rho
        stiff = kappa + (k[:, None, None] - 2 * shift) / ratio
        cross = (q - (kappa - 1) * variance) / stiff  # c_i/h_i
    drive = h.T[:, None, :] ** 2 * (q - 2 * (kappa - 1) * cross)
    return np.sum(drive.sum(axis=-1) / (2 * (k[:, None] - shift)), axis=0)


def limit_trace(chain: ReversibleChain, problem: TokenProblem, alpha: Array, a: float, b: float) -> Array:
    """tr V_theta(alpha) as n -> infinity, (n_alphas,): of the three regimes a < b, a = b and a > b."""
    ratio = np.inf if a < b else 1.0 if a == b else 0.0
    return optimization_trace(chain, problem, alpha, ratio, 0.5 if b == 1 else 0.0)


def balance_trace(
    chain: ReversibleChain, problem: TokenProblem, alpha: ArrayLike, a: ArrayLike, b: ArrayLike, n: ArrayLike
) -> Array:
    r"""E|theta_n - theta*|^2/beta_n at step n, with the walk, its history and the token in balance at their step sizes.

    Beyond the limit it knows that a walk has a memory and steps have a size. Of each mode, with m its value at the
    token's node and x, y its history and the token over the roots of gamma and beta, linearized,

        m' = lambda m - p x + noise,  p = alpha (1 - lambda^2) gamma^{1/2},  E m^2 = 1,
        x' = (1 + a/2n)((1 - gamma) x + gamma^{1/2} m'),  y' = (1 + b/2n)((1 - beta k) y + beta^{1/2} h m'),

    and the stationary second moments of that. Steps and n must be such that these factors contract.

    Parameters
    ----------
    alpha, a, b, n : array_like
        Broadcast against one another.

    Returns
    -------
    trace : array
        In the broadcast shape.
    """
    alpha, a, b, n = (v[..., None] for v in np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (alpha, a, b, n))))
    lam, pulls, curvature = chain.eigenvalue[1:], problem.mode_pulls(chain), problem.curvature
    gamma, beta = (n + 1) ** -a, (n + 1) ** -b
    s, t, root = 1 + a / (2 * n), 1 + b / (2 * n), np.sqrt(gamma)
    keep, p = 1 - gamma, alpha * (1 - lam**2) * root
    # C = E m x and V = E x^2: two linear equations.
    c_c, c_v, c_1 = 1 - s * keep * lam, s * keep * p, s * root
    v_v, v_c, v_1 = 1 - (s * keep) ** 2 + 2 * s**2 * keep * root * p, -2 * s**2 * keep * root * lam, s**2 * gamma
    determinant = c_c * v_v - c_v * v_c
    c, v = (c_1 * v_v - c_v * v_1) / determinant, (c_c * v_1 - c_1 * v_c) / determinant
    total = np.zeros(n.shape[:-1])
    for k, h in zip(curvature, pulls.T, strict=True):
        stay, r = 1 - beta * k, np.sqrt(beta)
        # D = E m y and X = E x y, over h.
        d_d, d_x, d_1 = 1 - t * stay * lam, t * stay * p, t * r
        x_x = 1 - s * t * stay * (keep - root * p)
        x_d, x_1 = -s * t * root * stay * lam, s * t * (keep * r * (lam * c - p * v) + root * r)
        determinant = d_d * x_x - d_x * x_d
        d, x = (d_1 * x_x - d_x * x_1) / determinant, (d_d * x_1 - d_1 * x_d) / determinant
        square = t**2 * (2 * stay * r * (lam * d - p * x) + beta) / (1 - (t * stay) ** 2)
        total += square @ h**2
    return total


def run_tokens(
    rng: np.random.Generator,
    chain: ReversibleChain,
    problem: TokenProblem,
    alpha: float,
    exponents: tuple[float, float],
    marks: NDArray[np.int64],
    replicas: int,
) -> Array:
    """|theta_n - theta*|^2 of independent tokens at the steps ``marks``, (replicas, n_marks); theta_0 is one unit off."""
    n = int(marks[-1])
    first = rng.choice(chain.stationary.size, replicas, p=chain.stationary)
    start = problem.optimum + np.ones(problem.optimum.size) / np.sqrt(problem.optimum.size)
    _, track = _run(
        *chain.rows, chain.stationary, alpha, step_sizes(exponents[0], n), step_sizes(exponents[1], n), first,
        np.ascontiguousarray(problem.matrix), np.ascontiguousarray(problem.center), start, marks, np.empty(0, dtype=np.int64), rng,
    )  # fmt: skip
    return np.sum((track - problem.optimum) ** 2, axis=-1)
