r"""Small connected graphs, where to draw their nodes, and the reversible chains that walk on them.

A chain is a Metropolis walk on the graph's edges with a given stationary law mu, made lazy so that no eigenvalue
comes near -1; its spectrum is that of the symmetric matrix diag(mu)^{1/2} P diag(mu)^{-1/2}.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse.csgraph import connected_components

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

GRAPHS = ("ring", "grid", "star_clique", "erdos_renyi", "barbell")
TARGETS = ("uniform", "degree")
LAZINESS = 0.1


@dataclass(frozen=True)
class Graph:
    """An undirected connected graph without loops.

    Parameters
    ----------
    name : str
        One of ``GRAPHS``.
    adjacency : (n, n) bool array
    position : (n, 2) array
        Where to draw the nodes, within [-1, 1]^2.
    """

    name: str
    adjacency: Mask
    position: Array

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.adjacency)

    @property
    def degree(self) -> Array:
        """(n,) number of neighbors."""
        return self.adjacency.sum(axis=1).astype(float)

    @property
    def edges(self) -> Indices:
        """(n_edges, 2) pairs i < j."""
        return np.argwhere(np.triu(self.adjacency, 1))


def _circle(n: int, center: tuple[float, float] = (0.0, 0.0), radius: float = 1.0, turn: float = 0.0) -> Array:
    angle = 2 * np.pi * np.arange(n) / max(n, 1) + turn
    return np.column_stack([center[0] + radius * np.cos(angle), center[1] + radius * np.sin(angle)])


def _join(n: int, pairs: Indices) -> Mask:
    adjacency = np.zeros((n, n), dtype=bool)
    adjacency[pairs[:, 0], pairs[:, 1]] = True
    adjacency |= adjacency.T
    np.fill_diagonal(adjacency, False)
    return adjacency


def ring(n: int) -> Graph:
    """A cycle of n nodes."""
    i = np.arange(n)
    return Graph("ring", _join(n, np.column_stack([i, (i + 1) % n])), _circle(n))


def grid(n: int) -> Graph:
    """A near-square lattice filled row by row; the last row may be short."""
    columns = int(np.ceil(np.sqrt(n)))
    i = np.arange(n)
    row, column = np.divmod(i, columns)
    right = i[(column < columns - 1) & (i + 1 < n)]
    down = i[i + columns < n]
    pairs = np.concatenate([np.column_stack([right, right + 1]), np.column_stack([down, down + columns])])
    half = max(columns - 1, 1) / 2
    return Graph("grid", _join(n, pairs), np.column_stack([(column - half) / half, (half - row) / half]))


def star_clique(n: int) -> Graph:
    """A clique of the first ceil(n/2) nodes; the others hang on its node 0."""
    core = n - n // 2
    leaves = np.arange(core, n)
    pairs = np.concatenate([np.argwhere(np.triu(np.ones((core, core)), 1)), np.column_stack([np.zeros_like(leaves), leaves])])
    angle = np.linspace(-0.42 * np.pi, 0.42 * np.pi, leaves.size) if leaves.size > 1 else np.zeros(leaves.size)
    fan = np.column_stack([0.1 + 0.9 * np.cos(angle), 0.95 * np.sin(angle)])
    return Graph("star_clique", _join(n, pairs), np.concatenate([_circle(core, (-0.5, 0.0), 0.5), fan]))


def barbell(n: int) -> Graph:
    """Two cliques of ceil(n/2) and floor(n/2) nodes joined by one edge, from node 0 to the first of the second."""
    left = n - n // 2
    cliques = [np.argwhere(np.triu(np.ones((m, m)), 1)) + shift for m, shift in ((left, 0), (n - left, left))]
    position = np.concatenate([_circle(left, (-0.56, 0.0), 0.44), _circle(n - left, (0.56, 0.0), 0.44, np.pi)])
    return Graph("barbell", _join(n, np.concatenate([*cliques, [[0, left]]])), position)


def erdos_renyi(n: int, seed: int) -> Graph:
    """G(n, p) at p = 2 log n/n; components that are left apart are chained to the first."""
    rng = np.random.default_rng(seed)
    chance = min(1.0, 2 * np.log(n) / n)
    adjacency = _join(n, np.argwhere(np.triu(rng.random((n, n)) < chance, 1)))
    count, label = connected_components(adjacency, directed=False)
    for other in range(1, count):
        i, j = rng.choice(np.flatnonzero(label == 0)), rng.choice(np.flatnonzero(label == other))
        adjacency[i, j] = adjacency[j, i] = True
    return Graph("erdos_renyi", adjacency, spring_layout(adjacency, rng))


def spring_layout(adjacency: Mask, rng: np.random.Generator, n_steps: int = 80) -> Array:
    """Positions in [-1, 1]^2 by Fruchterman and Reingold's springs: edges pull, all nodes push."""
    n = len(adjacency)
    length = 1.6 / np.sqrt(n)
    position = rng.uniform(-1, 1, (n, 2))
    for step in range(n_steps):
        x, y = position.T
        square = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2 + 1e-9
        force = length**2 / square
        force[adjacency] -= np.sqrt(square[adjacency]) / length
        # The sum over j of force_ij (position_i - position_j).
        move = force.sum(axis=1)[:, None] * position - force @ position
        size = np.sqrt(np.sum(move**2, axis=1, keepdims=True)) + 1e-12
        position += move / size * np.minimum(size, 0.2 * (1 - step / n_steps) + 0.005)
    position -= 0.5 * (position.max(axis=0) + position.min(axis=0))
    return position / np.abs(position).max()


@lru_cache(maxsize=32)
def graph_of(name: str, n: int, seed: int = 0) -> Graph:
    """The graph of that name with n >= 4 nodes; ``seed`` draws the random one."""
    if name == "erdos_renyi":
        return erdos_renyi(n, seed)
    return {"ring": ring, "grid": grid, "star_clique": star_clique, "barbell": barbell}[name](n)


@dataclass(frozen=True)
class ReversibleChain:
    """A chain P in detailed balance with mu, and its spectrum.

    Parameters
    ----------
    transition : (n, n) array
        P.
    stationary : (n,) array
        mu.
    eigenvalue : (n,) array
        Downward; the first is 1.
    left : (n, n) array
        Column i is u_i with u_i^T P = lambda_i u_i^T and u^T diag(mu)^{-1} u = 1; the first is mu.
    """

    transition: Array
    stationary: Array
    eigenvalue: Array
    left: Array

    @property
    def right(self) -> Array:
        """Columns v_i = u_i/mu: P v_i = lambda_i v_i, and v_i^T u_j is 1 where i = j, else 0."""
        return self.left / self.stationary[:, None]

    @property
    def gap(self) -> float:
        """1 less the second eigenvalue; its inverse is the relaxation time."""
        return float(1 - self.eigenvalue[1])

    @property
    def rows(self) -> tuple[Indices, Indices, Array]:
        """P by rows without its zeros: where each row starts, its columns, their probabilities."""
        row, column = np.nonzero(self.transition)
        start = np.searchsorted(row, np.arange(len(self.transition) + 1))
        return start.astype(np.int64), column.astype(np.int64), self.transition[row, column]


def stationary_law(graph: Graph, target: str) -> Array:
    """mu: uniform over nodes, or proportional to their degree."""
    weight = np.ones(graph.n_nodes) if target == "uniform" else graph.degree
    return weight / weight.sum()


def reversible_chain(transition: Array, stationary: Array) -> ReversibleChain:
    """A chain that is in detailed balance, with its spectrum."""
    root = np.sqrt(stationary)
    symmetric = root[:, None] * transition / root[None, :]
    eigenvalue, vector = eigh(0.5 * (symmetric + symmetric.T))
    eigenvalue, vector = eigenvalue[::-1].copy(), vector[:, ::-1]
    vector = vector * np.where(vector[np.argmax(np.abs(vector), axis=0), np.arange(len(root))] < 0, -1.0, 1.0)
    left = root[:, None] * vector
    left[:, 0] = stationary
    return ReversibleChain(transition, stationary, np.clip(eigenvalue, -1.0, 1.0), left)


def metropolis_chain(graph: Graph, stationary: Array, laziness: float = LAZINESS) -> ReversibleChain:
    """P = laziness I + (1 - laziness) M, M the Metropolis walk that proposes a neighbor at random."""
    proposal = graph.adjacency / graph.degree[:, None]
    flow = stationary[:, None] * proposal
    moves = np.minimum(flow, flow.T) / stationary[:, None]
    np.fill_diagonal(moves, 0.0)
    moves[np.diag_indices_from(moves)] = 1 - moves.sum(axis=1)
    moves = np.where(moves < 1e-15, 0.0, moves)
    return reversible_chain(laziness * np.eye(graph.n_nodes) + (1 - laziness) * moves, stationary)


@lru_cache(maxsize=32)
def chain_of(name: str, n: int, target: str, seed: int = 0) -> ReversibleChain:
    """The lazy Metropolis chain on ``graph_of(name, n, seed)`` with the law ``target``."""
    graph = graph_of(name, n, seed)
    return metropolis_chain(graph, stationary_law(graph, target))
