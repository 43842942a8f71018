"""A reader's own two groups of distributions: p-values, and their map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from compute.experiment import Result, experiment
from compute.methods.quantile_slices import classical_scaling, decay_weights, effective_slices, embed, squared_distances
from compute.models.laplacian_modes import Modes, circle_modes, cylinder_modes, graph_modes, interval_modes, sphere_modes
from compute.parameters import Choice, Column, Dataset, ParameterError, Seed
from compute.transport_bridges.intrinsic_sliced_wasserstein.setting import (
    TESTS,
    Bases,
    Decay,
    Eigenfunctions,
    Setting,
    TwoGroups,
    pushed,
)

Array = NDArray[np.float64]

FEWEST_DISTRIBUTIONS, MOST_DISTRIBUTIONS = 3, 400
FEWEST_POINTS, MOST_ROWS, MOST_NODES = 5, 50_000, 500
OWN_GRAPH = "own graph"
OWN_DOMAINS = ("interval", "circle", "cylinder", "sphere", OWN_GRAPH)
EXAMPLE = Setting("circle")

TEMPLATE = "group,distribution,x,y\n" + "".join(
    f"{g},{g}{k},{(12 * k + 31 * i + 40 * (g == 'b')) % 360},0\n" for g in "ab" for k in range(3) for i in range(5)
)
Table = Annotated[
    pl.DataFrame | None,
    Dataset(
        "your data",
        columns=(
            Column("group", "a label; the two groups compared", is_text=True),
            Column("distribution", "which distribution the point belongs to", is_text=True),
            Column(
                "x", "interval: a number; circle, cylinder: degrees; sphere: longitude in degrees; graph: node", low=-1e9, high=1e9
            ),
            Column("y", "cylinder: height; sphere: latitude in degrees", required=False, low=-1e9, high=1e9),
        ),
        template=TEMPLATE,
        help=f"A CSV with a row for each point: two groups of at least {FEWEST_DISTRIBUTIONS} distributions.",
    ),
]
Edges = Annotated[
    pl.DataFrame | None,
    Dataset(
        "edges of your graph",
        columns=(
            Column("source", "a node's number", low=0, high=1e9),
            Column("target", "a node's number", low=0, high=1e9),
            Column("weight", "of the edge, 1 if left out", required=False, low=1e-9, high=1e9),
        ),
        template="source,target\n0,1\n1,2\n2,3\n3,0\n",
        when=("own_domain", (OWN_GRAPH,)),
        help="A CSV with a row for each edge of a connected graph.",
    ),
]
OwnDomain = Annotated[
    str, Choice("domain of your data", options=OWN_DOMAINS, help="Numbers on an interval are scaled to their least and greatest.")
]


@dataclass(frozen=True)
class OwnGroups(Result):
    """The map of all distributions and the tests of the two groups."""

    name: list[str]
    group: list[str]
    labels: tuple[str, str]
    place: Array  # (N, 2) in root mean square distances
    share: Array  # (2,)
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {"distribution": self.name, "group": self.group, "first_axis": self.place[:, 0], "second_axis": self.place[:, 1]}
        )

    def headline(self) -> dict[str, float | str]:
        return self.summary


def own_modes(domain: str, x: Array, y: Array | None, edges: pl.DataFrame | None, n_modes: int) -> Modes:
    """Eigenfunctions at the rows of a reader's table."""
    if domain == "interval":
        if np.ptp(x) <= 1e-12 * max(1.0, float(np.abs(x).max())):
            raise ParameterError("data", "holds one number over and over; distributions need some spread.")
        return interval_modes((x - x.min()) / np.ptp(x), n_modes)
    if domain == "circle":
        return circle_modes(np.radians(x), n_modes)
    if domain == OWN_GRAPH:
        return _own_graph(x, edges, n_modes)
    if y is None:
        raise ParameterError("data", f"needs a column y on the {domain}.")
    if domain == "cylinder":
        height = (y - y.min()) / max(float(np.ptp(y)), 1e-300)
        return cylinder_modes(np.radians(x), height, n_modes)
    if np.abs(y).max() > 90:
        raise ParameterError("data", "has a latitude beyond 90 degrees; on the sphere y runs from -90 to 90.")
    longitude, latitude = np.radians(x), np.radians(y)
    across = np.cos(latitude)
    return sphere_modes(np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)], axis=1), n_modes)


def _own_graph(node: Array, edges: pl.DataFrame | None, n_modes: int) -> Modes:
    if edges is None:
        raise ParameterError("edges", "are needed for a graph of your own; bring a table of source and target.")
    ends = np.stack([edges["source"].to_numpy(), edges["target"].to_numpy()])
    names, number = np.unique(ends, return_inverse=True)
    n = names.size
    if not 3 <= n <= MOST_NODES:
        raise ParameterError("edges", f"join {n} nodes; 3 to {MOST_NODES} are allowed.")
    weight = edges["weight"].fill_null(1.0).to_numpy() if "weight" in edges.columns else np.ones(edges.height)
    i, j = number.reshape(2, -1)
    adjacency = coo_matrix((weight, (i, j)), shape=(n, n)).toarray()
    adjacency = np.maximum(adjacency, adjacency.T)
    np.fill_diagonal(adjacency, 0.0)
    if connected_components(adjacency, directed=False)[0] > 1:
        raise ParameterError("edges", "leave the graph in pieces; it has to be connected.")
    if n_modes >= n:
        raise ParameterError("eigenfunctions", f"has to be below the {n} nodes of your graph.")
    place = np.searchsorted(names, node)
    if np.any(names[np.minimum(place, n - 1)] != node):
        raise ParameterError("data", "names a node that no edge touches; every x has to be a node of the edges.")
    modes = graph_modes(adjacency, n_modes)
    return Modes(modes.eigenvalue, modes.function[place])


def embedded(modes: Modes, owner: NDArray[np.int64], n: int, decay: float, bases: str) -> Array:
    """(n, D) vectors of distributions of any number of points: row k of the functions belongs to distribution owner[k]."""
    rows = []
    for k in range(n):
        own = owner == k
        sliced, weight = pushed(Modes(modes.eigenvalue, modes.function[own]), (1, int(own.sum())), decay, bases)
        rows.append(embed(sliced, weight)[0])
    return np.array(rows)


def _example(seed: int) -> pl.DataFrame:
    """Two groups of twelve on the circle, at effect 0.4."""
    rng = np.random.default_rng([seed, 6])
    angle = np.degrees(np.concatenate([EXAMPLE.points(12, e, rng) for e in (0.0, 0.4)]))
    n, m = angle.shape
    names = np.char.add("distribution ", np.arange(1, n + 1).astype(str))
    return pl.DataFrame({"group": np.repeat(["1", "2"], n // 2 * m), "distribution": np.repeat(names, m), "x": angle.ravel()})


def _seconds(*, data: pl.DataFrame | None, eigenfunctions: int, bases: str, own_domain: str, **_: object) -> float:
    rows = 2400 if data is None else min(data.height, MOST_ROWS)
    share = (8e-7 if own_domain == "sphere" else 6e-8) + (2e-8 if bases == "one" else 3e-7)
    return 0.02 + rows * eigenfunctions * share + (0.2 if own_domain == OWN_GRAPH else 0.0)


@experiment(seconds=_seconds)
def own_groups(
    *,
    data: Table = None,
    edges: Edges = None,
    own_domain: OwnDomain = "circle",
    eigenfunctions: Eigenfunctions = 20,
    decay: Decay = 0.1,
    bases: Bases = "one",
    seed: Seed = 0,
) -> Iterator[tuple[float, OwnGroups]]:
    """Test whether a reader's two groups of distributions differ; without a table, two groups drawn on the circle.

    Raises
    ------
    ParameterError
        For tables without two groups of enough distributions, and places that the domain does not have.
    """
    frame, domain = (_example(seed), "circle") if data is None else (data, own_domain)
    if frame.height > MOST_ROWS:
        raise ParameterError("data", f"has {frame.height} rows; at most {MOST_ROWS} are taken.")
    labels = frame["group"].unique(maintain_order=True).to_list()
    if len(labels) != 2:
        raise ParameterError("data", f"has {len(labels)} groups; exactly two are compared.")
    # The same name in both groups is two distributions.
    key = (
        frame.select(pl.col("group"), pl.col("distribution"))
        .unique(maintain_order=True)
        .sort(pl.col("group").replace_strict({g: str(k) for k, g in enumerate(labels)}), maintain_order=True)
    )
    sizes = [int((key["group"] == g).sum()) for g in labels]
    if min(sizes) < FEWEST_DISTRIBUTIONS or sum(sizes) > MOST_DISTRIBUTIONS:
        allowed = f"at least {FEWEST_DISTRIBUTIONS} each and {MOST_DISTRIBUTIONS} together are needed"
        raise ParameterError("data", f"has {sizes[0]} and {sizes[1]} distributions in its groups; {allowed}.")
    owner = frame.join(key.with_row_index("owner"), on=["group", "distribution"], how="left", maintain_order="left")["owner"]
    index = owner.to_numpy().astype(np.int64)
    fewest = int(np.bincount(index).min())
    if fewest < FEWEST_POINTS:
        raise ParameterError("data", f"has a distribution of {fewest} points; each needs at least {FEWEST_POINTS}.")
    height = frame["y"] if "y" in frame.columns else None
    if height is not None and domain in ("cylinder", "sphere") and height.null_count():
        raise ParameterError("data", f"has rows without y; on the {domain} every row needs it.")
    y = height.to_numpy() if height is not None and domain in ("cylinder", "sphere") else None
    modes = own_modes(domain, frame["x"].to_numpy().astype(float), y, edges, eigenfunctions)
    vectors = embedded(modes, index, key.height, decay, bases)
    place, share = classical_scaling(vectors)
    unit = float(np.sqrt(squared_distances(vectors).mean()))
    p = TwoGroups.of(sizes[0], sizes[1], np.random.default_rng([seed, 7])).p_values(vectors, TESTS)
    gap = vectors[: sizes[0]].mean(axis=0) - vectors[sizes[0] :].mean(axis=0)
    summary: dict[str, float | str] = {"distributions": f"{sizes[0]} and {sizes[1]}", "points": float(frame.height)}
    summary |= {f"p-value, {name}": value for name, value in p.items()}
    summary |= {
        "ISW of the groups' means": float(np.linalg.norm(gap)),
        "slices heard, effectively": effective_slices(decay_weights(modes.eigenvalue, decay)),
    }
    shown = place / unit if unit > 0 else place
    yield 1.0, OwnGroups(key["distribution"].to_list(), key["group"].to_list(), (labels[0], labels[1]), shown, share, summary)
