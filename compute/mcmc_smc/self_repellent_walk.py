r"""Self-repellent random walks on graphs: how much variance a token saves by avoiding its past.

The walk, its covariances and the token's stochastic gradient descent are in ``compute.methods.self_repellent``; graphs
and their lazy Metropolis chains in ``compute.models.graphs``.

References
----------
Hu, Doshi & Eun, "Accelerating distributed stochastic optimization via self-repellent random walks" (2024), paper 047
of the catalogue; Doshi, Hu & Eun, "Self-repellent random walks on general graphs" (2023) for sampling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods import self_repellent as srrw
from compute.methods.grids import grid_table
from compute.models import graphs
from compute.models.graphs import Graph, ReversibleChain
from compute.parameters import Choice, Integer, LogInteger, Real, Seed

Array = NDArray[np.float64]

MOST_ALPHA = 20.0
GraphName = Annotated[
    str,
    Choice(
        "graph",
        "G",
        options=graphs.GRAPHS,
        help="barbell: two cliques and a bridge; star_clique: a clique with leaves on one node.",
    ),
]
Nodes = Annotated[int, Integer("nodes", "N", low=5, high=200)]
Repulsion = Annotated[
    float,
    Real("repulsion", r"\alpha", low=0.0, high=MOST_ALPHA, help="A move to j is weighted by (x_j/μ_j)^−α, x the share of visits."),
]
Target = Annotated[str, Choice("target", r"\mu", options=graphs.TARGETS, help="The law that visits are to follow.")]
HistoryExponent = Annotated[
    float, Real("history exponent", "a", low=0.55, high=1.0, help="The history forgets with step (n + 1)^−a; a = 1 counts visits.")
]
StepExponent = Annotated[float, Real("step exponent", "b", low=0.55, high=1.0, help="The token's gradient step is (n + 1)^−b.")]
Iterations = Annotated[int, LogInteger("iterations", "n", low=1000, high=1_000_000)]
Replicas = Annotated[int, Integer("replicas", "R", low=10, high=500, help="Independent walks.")]


def steps_seconds(steps: float, chain: ReversibleChain) -> float:
    """Measured: a step reads the neighbors twice and takes a power."""
    return steps * 1e-9 * (60 + 2.2 * len(chain.rows[1]) / chain.stationary.size)


def halves(n: int) -> Array:
    """g, the indicator of the first half of the nodes: of the barbell one clique, of the ring one half."""
    return (np.arange(n) < n - n // 2).astype(float)


def chunks(replicas: int, n: int) -> list[int]:
    """How many walks to run at a time: some five million steps."""
    size = max(1, min(replicas, 5_000_000 // n))
    return [min(size, replicas - start) for start in range(0, replicas, size)]


# --- the walk ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Walker:
    """One walk, frame by frame."""

    alpha: float
    token: NDArray[np.int64]  # (n_frames,) the node it is at
    trail: NDArray[np.int64]  # (n_frames, n_trail) the last nodes, newest last
    excess: Array  # (n_frames, n_nodes) (x_i - mu_i)/mu_i
    next_step: Array  # (n_frames, n_nodes) probability of the next node
    distance: Array  # (n_steps,) total variation of x_n from mu


@dataclass(frozen=True)
class Walk(Result):
    """A self-repellent walk beside its base chain, from the same node."""

    graph: Graph
    stationary: Array  # (n_nodes,)
    frames: NDArray[np.int64]  # (n_frames,) steps done
    steps: Array  # (n_steps,)
    repellent: Walker
    base: Walker

    def table(self) -> pl.DataFrame:
        parts = []
        n = self.graph.n_nodes
        for walker in (self.repellent, self.base):
            node = {
                "step": np.repeat(self.frames, n),
                "node": np.tile(np.arange(n), self.frames.size),
                "x": np.tile(self.graph.position[:, 0], self.frames.size),
                "y": np.tile(self.graph.position[:, 1], self.frames.size),
                "visit_excess": walker.excess.ravel(),
                "next_step_probability": walker.next_step.ravel(),
                "token_node": np.repeat(walker.token, n),
            }
            distance = {"step": self.steps.astype(np.int64), "total_variation": walker.distance}
            parts += [pl.DataFrame(part).with_columns(pl.lit(walker.alpha).alias("alpha")) for part in (node, distance)]
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        last = int(self.steps[-1])
        return {
            f"distance to μ after {last:,} steps": float(self.repellent.distance[-1]),
            "base walk": float(self.base.distance[-1]),
            "nodes never visited": float(np.sum(self.repellent.excess[-1] < -1 + 1.5 / (last + 1))),
            "by the base walk": float(np.sum(self.base.excess[-1] < -1 + 1.5 / (last + 1))),
        }


N_FRAMES, N_TRAIL = 20, 8


def follow(chain: ReversibleChain, alpha: float, frames: NDArray[np.int64], seed: int) -> Walker:
    """One walk of ``frames[-1]`` steps, seen at the frames."""
    n = int(frames[-1])
    _, path = srrw.run_walks(np.random.default_rng(seed), chain, alpha, 1.0, n, 1, keep=n)
    mu = chain.stationary
    visits = np.zeros((n + 1, mu.size))
    visits[0] = mu
    visits[np.arange(1, n + 1), path] = 1.0
    share = np.cumsum(visits, axis=0) / np.arange(1, n + 2)[:, None]  # x_n
    at, token = share[frames], path[frames - 1]
    trail = np.stack([path[np.maximum(frames - 1 - back, 0)] for back in range(N_TRAIL - 1, -1, -1)], axis=1)
    following = np.stack([srrw.kernel_at(chain, x, alpha)[i] for x, i in zip(at, token, strict=True)])
    return Walker(alpha, token, trail, at / mu - 1, following, 0.5 * np.abs(share[1:] - mu).sum(axis=1))


@experiment
def walk(
    *, graph: GraphName = "barbell", nodes: Nodes = 20, alpha: Repulsion = 5.0, target: Target = "uniform", seed: Seed = 0
) -> Walk:
    """A token on the graph, its visits and its next step, beside a token on the base chain.

    K_ij[x] is proportional to P_ij (x_j/mu_j)^-alpha; x counts visits, with mu for one visit before the first. P is the
    Metropolis walk for mu, which stays with probability 0.1 besides its refusals.
    """
    chain = graphs.chain_of(graph, nodes, target, seed)
    frames = np.arange(1, N_FRAMES + 1) * max(3 * nodes // 2, 1)
    steps = np.arange(1, int(frames[-1]) + 1, dtype=float)
    walkers = [follow(chain, value, frames, seed) for value in (alpha, 0.0)]
    return Walk(graphs.graph_of(graph, nodes, seed), chain.stationary, frames, steps, *walkers)


# --- sampling ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sampling(Result):
    """n times the variance of an average against the repulsion."""

    alpha: Array  # (n_alphas,)
    theory: Array  # (n_alphas,) g^T V(alpha) g
    simulated_alpha: Array  # (n_simulated,)
    simulation: Array  # (n_simulated,)
    standard_error: Array  # (n_simulated,) of a chi-square of R
    theory_there: Array  # (n_simulated,)
    at: float
    at_theory: float
    gap: float
    relaxations: float  # iterations over the base chain's relaxation time
    covers: float  # iterations over nodes

    @property
    def base(self) -> float:
        """g^T V(0) g."""
        return float(self.theory[0])

    def table(self) -> pl.DataFrame:
        theory = {"alpha": self.alpha, "one_plus_4_alpha": 1 + 4 * self.alpha, "theory": self.theory}
        simulated = {
            "alpha": self.simulated_alpha,
            "one_plus_4_alpha": 1 + 4 * self.simulated_alpha,
            "simulation": self.simulation,
            "standard_error": self.standard_error,
        }
        return pl.concat([pl.DataFrame(theory), pl.DataFrame(simulated)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        late = self.alpha >= 5
        scores = np.abs(self.simulation - self.theory_there) / self.standard_error
        found: dict[str, float | str] = {
            "V(α)/V(0)": self.at_theory / self.base,
            "slope in α, from 5 to 20": float(np.polyfit(np.log(self.alpha[late]), np.log(self.theory[late]), 1)[0]),
            "spectral gap of the base chain": self.gap,
            "largest gap, theory to simulation (SE)": float(np.max(scores)) if scores.size else "none yet",
        }
        if self.relaxations < 50 or self.covers < 20:
            found["not yet the limit"] = f"n is {self.relaxations:,.0f} relaxation times and {self.covers:,.0f} N"
        return found


SAMPLED_ALPHAS = (0.0, 0.5, 2.0, 6.0, 20.0)


def _sampling_seconds(runs: int):  # type: ignore[no-untyped-def]
    def seconds(*, graph: str, nodes: int, target: str, iterations: int, replicas: int, seed: int, **_: object) -> float:
        return 0.01 + steps_seconds(runs * iterations * replicas, graphs.chain_of(graph, nodes, target, seed))

    return seconds


@experiment(seconds=_sampling_seconds(len(SAMPLED_ALPHAS)))
def sampling(
    *,
    graph: GraphName = "barbell",
    nodes: Nodes = 20,
    alpha: Repulsion = 5.0,
    target: Target = "uniform",
    iterations: Iterations = 5000,
    replicas: Replicas = 32,
    seed: Seed = 0,
) -> Iterator[tuple[float, Sampling]]:
    """n Var of the average of g, the share of time in the first half of the nodes, against the repulsion alpha.

    Theory: g^T V(alpha) g, V(alpha) = sum_i (1+lambda_i)/(1-lambda_i) u_i u_i^T/(2 alpha (1+lambda_i) + 1), as n grows
    (047, its sampling covariance, at gamma_n = 1/(n+1)). Simulation: n times the mean square error over replicas.
    """
    chain = graphs.chain_of(graph, nodes, target, seed)
    g = halves(nodes)
    grid = np.concatenate([[0.0], np.geomspace(0.02, MOST_ALPHA, 60)])
    theory = srrw.sampling_variance(chain, g, grid)
    at_theory = float(srrw.sampling_variance(chain, g, np.array([alpha]))[0])
    rng = np.random.default_rng(seed)
    alphas: list[float] = []
    values: list[float] = []
    errors: list[float] = []
    for k, value in enumerate(SAMPLED_ALPHAS):
        squares: list[float] = []
        for size in chunks(replicas, iterations):
            history, _ = srrw.run_walks(rng, chain, value, 1.0, iterations, size)
            squares += list(((history - chain.stationary) @ g) ** 2)
            done = (k + len(squares) / replicas) / len(SAMPLED_ALPHAS)
            shown = [*values, iterations * float(np.mean(squares))]
            spread = [*errors, np.sqrt(2 / len(squares))]
            there = srrw.sampling_variance(chain, g, np.array([*alphas, value]))
            yield (
                done,
                Sampling(
                    grid,
                    theory,
                    np.array([*alphas, value]),
                    np.array(shown),
                    there * np.array(spread),
                    there,
                    alpha,
                    at_theory,
                    chain.gap,
                    iterations * chain.gap,
                    iterations / nodes,
                ),
            )
        alphas, values, errors = [*alphas, value], shown, spread


@dataclass(frozen=True)
class Modes(Result):
    """The variance of each mode of the base chain, before and after self-repellence."""

    line: Array  # (n_line,) eigenvalue
    before: Array  # (n_line,) (1 + lambda)/(1 - lambda)
    after: Array  # (n_line,) over 2 alpha (1 + lambda) + 1
    eigenvalue: Array  # (n_distinct,)
    multiplicity: Array  # (n_distinct,)
    simulated: tuple[Array, Array]  # (n_distinct,) under alpha = 0 and under alpha
    errors: tuple[Array, Array]
    exact: tuple[Array, Array]
    alpha: float

    def table(self) -> pl.DataFrame:
        line = {"eigenvalue": self.line, "base": self.before, "self_repellent": self.after}
        points = {
            "eigenvalue": self.eigenvalue,
            "multiplicity": self.multiplicity,
            "base_simulation": self.simulated[0],
            "base_standard_error": self.errors[0],
            "self_repellent_simulation": self.simulated[1],
            "self_repellent_standard_error": self.errors[1],
        }
        return pl.concat([pl.DataFrame(line), pl.DataFrame(points)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        total = [float(self.multiplicity @ part) for part in self.exact]
        scores = [np.max(np.abs(s - e) / d) for s, e, d in zip(self.simulated, self.exact, self.errors, strict=True)]
        return {
            "second eigenvalue": float(self.eigenvalue[0]),
            "its variance, base": float(self.exact[0][0]),
            "its variance, self-repellent": float(self.exact[1][0]),
            "all modes, self-repellent over base": total[1] / total[0],
            "largest gap, theory to simulation (SE)": float(max(scores)),
        }


@experiment(seconds=_sampling_seconds(2))
def modes(
    *,
    graph: GraphName = "barbell",
    nodes: Nodes = 20,
    alpha: Repulsion = 5.0,
    target: Target = "uniform",
    iterations: Iterations = 5000,
    replicas: Replicas = 32,
    seed: Seed = 0,
) -> Iterator[tuple[float, Modes]]:
    """n Var of each eigenmode's average: (1+lambda)/(1-lambda) under the base chain, over 2 alpha (1+lambda) + 1 after.

    Simulated: the mean square of v_i^T x_n over replicas, averaged over modes of equal eigenvalue; v_i = u_i/mu.
    """
    chain = graphs.chain_of(graph, nodes, target, seed)
    rng = np.random.default_rng(seed)
    _, group = np.unique(np.round(-chain.eigenvalue[1:], 9), return_inverse=True)
    count = np.bincount(group).astype(float)
    eigenvalue = np.bincount(group, weights=chain.eigenvalue[1:]) / count
    line = np.linspace(-0.85, min(1 - 1e-6, 1 - chain.gap / 2), 200)
    before = (1 + line) / (1 - line)
    base, kept = srrw.noise_of_modes(chain), srrw.filter_of_modes(chain, alpha)
    exact = tuple(np.bincount(group, weights=values) / count for values in (base, base * kept))
    sums, done = np.zeros((2, nodes - 1)), np.zeros(2)
    sizes = chunks(replicas, iterations)
    for position, size in enumerate(sizes):
        for k, value in enumerate((0.0, alpha)):
            history, _ = srrw.run_walks(rng, chain, value, 1.0, iterations, size)
            sums[k] += iterations * np.sum(((history - chain.stationary) @ chain.right[:, 1:]) ** 2, axis=0)
            done[k] += size
        means = tuple(np.bincount(group, weights=sums[k] / done[k]) / count for k in range(2))
        errors = tuple(exact[k] * np.sqrt(2 / (done[k] * count)) for k in range(2))
        after = before / (2 * alpha * (1 + line) + 1)
        found = Modes(line, before, after, eigenvalue, count, means, errors, exact, alpha)  # type: ignore[arg-type]
        yield (position + 1) / len(sizes), found


# --- optimization --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenDescent(Result):
    """E|theta_n - theta*|^2/beta_n of a token's gradient descent: against n, and against the repulsion."""

    n: Array  # (n_times,)
    alpha: Array  # (n_alphas,) simulated
    theory: Array  # (n_alphas, n_times) the pair in balance at step n
    limit: Array  # (n_alphas,) n -> infinity
    marks: Array  # (n_marks,)
    simulation: Array  # (n_done, n_marks)
    standard_error: Array  # (n_done, n_marks)
    theory_at_marks: Array  # (n_alphas, n_marks)
    alpha_line: Array  # (n_line,)
    theory_line: Array  # (n_line,) at the last n
    limit_line: Array  # (n_line,)
    exponents: tuple[float, float]
    kick: float  # alpha gamma_n/min mu at alpha = 5: by how much of its logarithm a visit moves a weight

    def table(self) -> pl.DataFrame:
        parts = []
        for k, value in enumerate(self.alpha):
            parts.append(pl.DataFrame({"alpha": value, "n": self.n, "theory": self.theory[k], "limit": self.limit[k]}))
            if k < len(self.simulation):
                simulated = {"simulation": self.simulation[k], "standard_error": self.standard_error[k]}
                last = {"one_plus_2_alpha": 1 + 2 * value}
                parts.append(pl.DataFrame({"alpha": value, "n": self.marks, **simulated, **last}))
        line = {"alpha": self.alpha_line, "one_plus_2_alpha": 1 + 2 * self.alpha_line, "n": self.n[-1]}
        parts.append(pl.DataFrame(line | {"theory": self.theory_line, "limit": self.limit_line}))
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        a, b = self.exponents
        late = self.alpha_line >= 5
        slopes = [np.polyfit(np.log(self.alpha_line[late]), np.log(y[late]), 1)[0] for y in (self.theory_line, self.limit_line)]
        done = len(self.simulation)
        scores = np.abs(self.simulation[:, -1] - self.theory_at_marks[:done, -1]) / self.standard_error[:, -1]
        return {
            "regime": regime(a, b),
            "limit at α = 20 over α = 0": float(self.limit[-1] / self.limit[0]),
            "slope in α at this n, from 5 to 20": float(slopes[0]),
            "slope in α as n → ∞": float(slopes[1]),
            "largest gap at n, theory to simulation (SE)": float(scores.max()),
            "a visit's pull at α = 5 (linear if ≪ 1)": self.kick,
        }


def regime(a: float, b: float) -> str:
    """047's three cases."""
    return "fast history, a < b" if a < b else "equal steps, a = b" if a == b else "slow history, a > b"


TOKEN_ALPHAS = np.array([0.0, 1.0, 5.0, 20.0])


@experiment(seconds=_sampling_seconds(len(TOKEN_ALPHAS)))
def token_descent(
    *,
    graph: GraphName = "barbell",
    nodes: Nodes = 20,
    target: Target = "uniform",
    history_exponent: HistoryExponent = 0.8,
    step_exponent: StepExponent = 0.9,
    iterations: Iterations = 5000,
    replicas: Replicas = 32,
    seed: Seed = 0,
) -> Iterator[tuple[float, TokenDescent]]:
    """Mean square error of a token's stochastic gradient descent over its step size, for four repulsions.

    theta_{n+1} = theta_n - beta_{n+1} grad f_{X_{n+1}}(theta_n), f_i a quadratic with its center where node i is drawn.
    Limits: 047's theorem, three cases. Theory at n: the walk, its history and the token in balance at their step sizes.
    """
    graph_ = graphs.graph_of(graph, nodes, seed)
    chain = graphs.chain_of(graph, nodes, target, seed)
    problem = srrw.token_problem(chain, graph_.position, seed)
    a, b = history_exponent, step_exponent
    n = np.geomspace(30, iterations, 60)
    marks = np.unique(np.rint(np.geomspace(30, iterations, 12)).astype(np.int64))
    theory = srrw.balance_trace(chain, problem, TOKEN_ALPHAS[:, None], a, b, n)
    there = srrw.balance_trace(chain, problem, TOKEN_ALPHAS[:, None], a, b, marks)
    limit = srrw.limit_trace(chain, problem, TOKEN_ALPHAS, a, b)
    alphas = np.concatenate([[0.0], np.geomspace(0.05, MOST_ALPHA, 40)])
    lines = (srrw.balance_trace(chain, problem, alphas, a, b, iterations), srrw.limit_trace(chain, problem, alphas, a, b))
    kick = 5 * (iterations + 1.0) ** -a / float(chain.stationary.min())
    rng = np.random.default_rng(seed)
    beta = (marks + 1.0) ** -b
    means: list[Array] = []
    errors: list[Array] = []
    for k, value in enumerate(TOKEN_ALPHAS):
        squares = np.empty((0, marks.size))
        for size in chunks(replicas, iterations):
            squares = np.concatenate([squares, srrw.run_tokens(rng, chain, problem, float(value), (a, b), marks, size) / beta])
            if len(squares) < 2:
                continue
            now = [*means, squares.mean(axis=0)], [*errors, squares.std(axis=0, ddof=1) / np.sqrt(len(squares))]
            done = (k + len(squares) / replicas) / TOKEN_ALPHAS.size
            found = TokenDescent(n, TOKEN_ALPHAS, theory, limit, marks.astype(float), np.array(now[0]), np.array(now[1]), there,
                                 alphas, *lines, (a, b), kick)  # fmt: skip
            yield done, found
        means, errors = now


@dataclass(frozen=True)
class Regimes(Result):
    """What self-repellence leaves of a token's mean square error, over the two step-size exponents."""

    a: Array  # (n_a,)
    b: Array  # (n_b,)
    log_ratio: Array  # (n_b, n_a) log10 tr V_theta(alpha)/tr V_theta(0) at n
    here: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        return grid_table("history_exponent", self.a, "step_exponent", self.b, log10_error_ratio=self.log_ratio)

    def headline(self) -> dict[str, float | str]:
        return self.here


@experiment
def regimes(
    *,
    graph: GraphName = "barbell",
    nodes: Nodes = 20,
    alpha: Repulsion = 5.0,
    target: Target = "uniform",
    history_exponent: HistoryExponent = 0.8,
    step_exponent: StepExponent = 0.9,
    iterations: Iterations = 5000,
    seed: Seed = 0,
) -> Regimes:
    """The token's mean square error under repulsion over that without, at step n, over the exponents (a, b).

    As n grows the map falls into 047's three cases: a < b gains 1/alpha^2, a = b gains less, a > b gains nothing. At a
    finite n the ratio of step sizes n^(b-a) is finite and the cases blend.
    """
    chain = graphs.chain_of(graph, nodes, target, seed)
    problem = srrw.token_problem(chain, graphs.graph_of(graph, nodes, seed).position, seed)
    grid = np.linspace(0.55, 1.0, 46)
    A, B = np.meshgrid(grid, grid)
    ratio = srrw.balance_trace(chain, problem, alpha, A, B, iterations) / srrw.balance_trace(chain, problem, 0.0, A, B, iterations)
    a, b = history_exponent, step_exponent
    near = np.array([0.0, alpha, max(alpha, 0.1) * 1.02, max(alpha, 0.1) / 1.02])
    now = srrw.balance_trace(chain, problem, near, a, b, iterations)
    limit = srrw.limit_trace(chain, problem, near, a, b)
    here: dict[str, float | str] = {
        "regime": regime(a, b),
        "error left, at this n": float(now[1] / now[0]),
        "error left, n → ∞": float(limit[1] / limit[0]),
        "slope in α, at this n": float(np.log(now[2] / now[3]) / (2 * np.log(1.02))),
        "slope in α, n → ∞": float(np.log(limit[2] / limit[3]) / (2 * np.log(1.02))),
    }
    return Regimes(grid, grid, np.log10(ratio), here)
