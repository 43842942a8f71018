"""Graphs and their chains against counts, known spectra and detailed balance."""

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components, shortest_path

from compute.models import graphs


@pytest.mark.parametrize("name", graphs.GRAPHS)
@pytest.mark.parametrize("n", [5, 12, 41, 200])
def test_graphs_are_simple_connected_and_can_be_drawn(name, n):
    graph = graphs.graph_of(name, n, 3)
    assert graph.n_nodes == n and np.array_equal(graph.adjacency, graph.adjacency.T) and not graph.adjacency.diagonal().any()
    assert connected_components(graph.adjacency)[0] == 1
    assert graph.position.shape == (n, 2) and np.abs(graph.position).max() <= 1.01
    apart = np.linalg.norm(graph.position[:, None] - graph.position[None], axis=-1) + 10 * np.eye(n)
    assert apart.min() > 1e-3, "two nodes are drawn on one another"


def test_edges_are_as_many_as_the_definition_says():
    def count(name, n):
        return len(graphs.graph_of(name, n, 0).edges)

    assert count("ring", 17) == 17
    assert count("grid", 25) == 2 * 5 * 4 and count("grid", 24) == 38
    assert count("barbell", 20) == 2 * 45 + 1 and count("barbell", 21) == 55 + 45 + 1
    assert count("star_clique", 20) == 45 + 10
    mean = np.mean([len(graphs.erdos_renyi(60, s).edges) for s in range(40)])
    expected = 60 * 59 / 2 * 2 * np.log(60) / 60
    assert abs(mean - expected) < 4 * np.sqrt(expected / 40)


def test_the_bridge_of_a_barbell_is_its_only_way_across():
    graph = graphs.graph_of("barbell", 14)
    across = graph.adjacency[:7, 7:]
    assert across.sum() == 1 and across[0, 0]
    assert shortest_path(graph.adjacency, unweighted=True).max() == 3


def test_spectrum_of_the_ring_is_known():
    n = 30
    chain = graphs.chain_of("ring", n, "uniform")
    exact = graphs.LAZINESS + (1 - graphs.LAZINESS) * np.cos(2 * np.pi * np.arange(n) / n)
    assert chain.eigenvalue == pytest.approx(np.sort(exact)[::-1], abs=1e-12)
    assert chain.gap == pytest.approx(0.9 * (1 - np.cos(2 * np.pi / n)), abs=1e-12)


@pytest.mark.parametrize("name", graphs.GRAPHS)
@pytest.mark.parametrize("target", graphs.TARGETS)
def test_chain_is_in_detailed_balance_and_its_modes_are_dual(name, target):
    graph, chain = graphs.graph_of(name, 23, 1), graphs.chain_of(name, 23, target, 1)
    mu, P = chain.stationary, chain.transition
    assert mu.sum() == pytest.approx(1) and np.allclose(P.sum(axis=1), 1, atol=1e-14) and P.min() >= 0
    assert np.allclose(mu[:, None] * P, (mu[:, None] * P).T, atol=1e-15)
    assert np.allclose(chain.left.T @ P, chain.eigenvalue[:, None] * chain.left.T, atol=1e-12)
    assert np.allclose(chain.right.T @ chain.left, np.eye(23), atol=1e-10)
    assert np.all(P[~graph.adjacency & ~np.eye(23, dtype=bool)] == 0)
    assert chain.eigenvalue[-1] >= -1 + 2 * graphs.LAZINESS - 1e-12
    start, column, probability = chain.rows
    for i in (0, 11, 22):
        row = np.zeros(23)
        row[column[start[i] : start[i + 1]]] = probability[start[i] : start[i + 1]]
        assert np.array_equal(row, P[i])
    if target == "degree":
        walk = graph.adjacency / graph.degree[:, None]
        assert np.allclose(P, 0.1 * np.eye(23) + 0.9 * walk, atol=1e-14)
