"""From slices to a map of all distributions; and what happens to a distance when both distributions turn together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods.quantile_slices import (
    classical_scaling,
    decay_weights,
    effective_slices,
    embed,
    levels,
    quantiles,
    squared_distances,
)
from compute.methods.shared_parameters import gathered
from compute.models.laplacian_modes import circle_modes
from compute.parameters import Seed
from compute.transport_bridges.intrinsic_sliced_wasserstein.domains import (
    CIRCLE,
    CYLINDER,
    INTERVAL,
    SPHERE,
    SURFACE,
    graph,
    modes_at,
    surface,
)
from compute.transport_bridges.intrinsic_sliced_wasserstein.setting import (
    AVERAGED,
    TESTS,
    Decay,
    Effect,
    Eigenfunctions,
    GroupSize,
    Nuisance,
    Points,
    Setting,
    Slice,
    TwoGroups,
)

Array = NDArray[np.float64]

SHOWN_POINTS = 110  # of each group
EVERY = 2  # level drawn of the quantile functions


@dataclass(frozen=True)
class Canvas:
    """The domain laid flat: where to draw, and the slice's function there."""

    x: Array
    y: Array
    value: Array  # (n,) on nodes or on a line; (len(y), len(x)) on a rectangle
    edges: tuple[Array, Array] | None  # of a graph, (n_edges, 2) each


def canvas(domain: str, slice_shown: int) -> Canvas:
    """A rectangle of cells for the cylinder and the sphere, nodes for a graph or a mesh, a line else."""
    if domain in (INTERVAL, CIRCLE):
        x = np.linspace(0, 1, 121) if domain == INTERVAL else np.linspace(-np.pi / 2, 3 * np.pi / 2, 181)
        return Canvas(x, x, modes_at(domain, x, slice_shown).function[:, -1], None)
    if domain in (CYLINDER, SPHERE):
        low, high = (-np.pi / 2, 0.0) if domain == CYLINDER else (-np.pi, -1.0)
        x = low + 2 * np.pi * (np.arange(60) + 0.5) / 60
        y = high + (1 - high) * (np.arange(40) + 0.5) / 40
        one, two = (a.ravel() for a in np.meshgrid(x, y))
        across = np.sqrt(1 - two**2)
        points = (
            np.stack([one, two], axis=1)
            if domain == CYLINDER
            else np.stack([across * np.cos(one), across * np.sin(one), two], axis=1)
        )
        return Canvas(x, y, modes_at(domain, points, slice_shown).function[:, -1].reshape(40, 60), None)
    x, y = _node_places(domain)
    value = modes_at(domain, np.arange(x.size, dtype=float), slice_shown).function[:, -1]
    if domain == SURFACE:
        return Canvas(x, y, value, None)
    ends = graph(domain).edges
    return Canvas(x, y, value, (x[ends], y[ends]))


def _node_places(domain: str) -> tuple[Array, Array]:
    if domain == SURFACE:
        direction = surface()[2]
        return np.arctan2(direction[:, 1], direction[:, 0]), direction[:, 2]
    return graph(domain).position[:, 0], graph(domain).position[:, 1]


def flat(domain: str, points: Array, slice_shown: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Where points (n, …) of a domain stand on its canvas; on a line they stand on the slice's function."""
    if domain in (INTERVAL, CIRCLE):
        return points, modes_at(domain, points, slice_shown).function[:, -1]
    if domain == CYLINDER:
        return points[:, 0], points[:, 1]
    if domain == SPHERE:
        return np.arctan2(points[:, 1], points[:, 0]), points[:, 2]
    x, y = _node_places(domain)
    node = points.astype(np.int64)
    jitter = 0.022 * np.ptp(x), 0.022 * np.ptp(y)
    return tuple(a[node] + j * rng.standard_normal(node.size) for a, j in zip((x, y), jitter, strict=True))  # type: ignore[return-value]


@dataclass(frozen=True)
class Slices(Result):
    """Two groups on a domain, on one slice, and as points of a map."""

    domain: str
    slice_shown: int
    canvas: Canvas
    points: tuple[tuple[Array, Array], tuple[Array, Array]]  # some points of each group on the canvas
    level: Array  # (m,)
    quantile: Array  # (2 N, m) of every distribution on the slice
    mean_quantile: Array  # (2, m)
    place: Array  # (2 N, 2) by classical scaling, in root mean square distances
    center: Array  # (2, 2) groups' means on the map
    share: Array  # (2,) of variance along the map's axes
    summary: dict[str, float | str]

    @property
    def group_size(self) -> int:
        return len(self.place) // 2

    def table(self) -> pl.DataFrame:
        group = np.repeat([1, 2], self.group_size)
        shape = self.quantile.shape
        value = self.canvas.value
        x, y = (a.ravel() for a in np.meshgrid(self.canvas.x, self.canvas.y)) if value.ndim == 2 else (self.canvas.x, self.canvas.y)
        parts = [
            pl.DataFrame(
                {
                    "what": "distribution",
                    "distribution": np.arange(len(self.place)),
                    "group": group,
                    "first_axis": self.place[:, 0],
                    "second_axis": self.place[:, 1],
                }
            ),
            pl.DataFrame(
                {
                    "what": "quantile",
                    "distribution": np.repeat(np.arange(shape[0]), shape[1]),
                    "group": np.repeat(group, shape[1]),
                    "level": np.tile(self.level, shape[0]),
                    "value": self.quantile.ravel(),
                }
            ),
            pl.DataFrame({"what": "domain", "x": x, "y": y, "value": value.ravel()}),
        ]
        for k, (px, py) in enumerate(self.points):
            parts.append(pl.DataFrame({"what": "point", "group": np.full(px.size, k + 1), "x": px, "y": py}))
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


def _seconds(*, group_size: int, slice_shown: int, effect: float, seed: int, **values: Any) -> float:
    setting = Setting(**values)
    return 0.006 + setting.seconds(2 * group_size) + setting.tests_seconds(group_size)


@experiment(seconds=_seconds)
@gathered(Setting, "setting")
def sliced_map(
    *, setting: Setting, slice_shown: Slice = 2, group_size: GroupSize = 20, effect: Effect = 0.5, seed: Seed = 0
) -> Iterator[tuple[float, Slices]]:
    """Two groups of distributions, one slice of them, and the map of all by classical scaling of their ISW distances."""
    rng = np.random.default_rng([seed, 1])
    points = np.concatenate([setting.points(group_size, e, rng) for e in (0.0, effect)])
    sliced, weight = setting.sliced(points)
    vectors = embed(sliced, weight)
    shown = min(slice_shown, setting.eigenfunctions)
    if setting.bases == AVERAGED:  # the slice drawn is the domain's own
        flat_points = points.reshape(-1, *points.shape[2:])
        own = modes_at(setting.domain, flat_points, shown).function[:, -1]
        quantile = quantiles(own.reshape(points.shape[:2]))
    else:
        quantile = sliced[:, shown - 1]
    place, share = classical_scaling(vectors)
    square = squared_distances(vectors)
    unit = float(np.sqrt(square.mean())) or 1.0
    place = place / unit
    some = [flat(setting.domain, _some(points[k * group_size : (k + 1) * group_size], rng), shown, rng) for k in range(2)]
    n = group_size
    gap = vectors[:n].mean(axis=0) - vectors[n:].mean(axis=0)
    within = np.concatenate([square[a, b] for a, b in (_pairs(n, 0), _pairs(n, n))])
    p = TwoGroups.of(n, n, rng).p_values(vectors, TESTS)
    summary: dict[str, float | str] = {f"p-value, {name}": value for name, value in p.items()}
    eigenvalue = modes_at(setting.domain, points[0], setting.eigenfunctions).eigenvalue
    summary |= {
        "ISW of the groups' means": float(np.linalg.norm(gap)),
        "ISW within a group, root mean square": float(np.sqrt(within.mean())),
        "slices heard, effectively": effective_slices(decay_weights(eigenvalue, setting.decay)),
    }
    means = np.stack([quantile[:n].mean(axis=0), quantile[n:].mean(axis=0)])
    center = np.stack([place[:n].mean(axis=0), place[n:].mean(axis=0)])
    step = slice(None, None, EVERY)
    yield (
        1.0,
        Slices(
            setting.domain,
            shown,
            canvas(setting.domain, shown),
            (some[0], some[1]),
            levels()[step],
            quantile[:, step],
            means[:, step],
            place,
            center,
            share,
            summary,
        ),
    )


def _some(points: Array, rng: np.random.Generator) -> Array:
    """At most SHOWN_POINTS of a group's points (N, n, …)."""
    every = points.reshape(-1, *points.shape[2:])
    return every[rng.choice(len(every), min(SHOWN_POINTS, len(every)), replace=False)]


def _pairs(n: int, start: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    i, j = np.triu_indices(n, 1)
    return i + start, j + start


# --- turned together --------------------------------------------------------------------------------------

TURNS = 2 * np.pi * np.arange(37) / 36
FIXED_BASIS, EIGHT, MANY = "cosine and sine", "eight turned bases", "64 phases of each frequency"
N_PHASES = 64


@dataclass(frozen=True)
class Turning(Result):
    """ISW of two distributions on the circle that turn together, for several sets of slices."""

    angle: Array  # (n_turns,) degrees
    distance: dict[str, Array]  # slices: (n_turns,)
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        return pl.DataFrame({"turned_by_degrees": self.angle} | self.distance)

    def headline(self) -> dict[str, float | str]:
        return self.summary


def equal_phases(n_frequencies: int, n_phases: int) -> Array:
    """(n_frequencies, n_phases) 2 pi j/n_phases."""
    return np.broadcast_to(2 * np.pi * np.arange(n_phases) / n_phases, (n_frequencies, n_phases))


def quarter_phases(first: Array) -> Array:
    """(F, 2 B) phases u and u + pi/2 of bases (F, B): two functions of each frequency that stand at right angles."""
    return np.concatenate([first, first + np.pi / 2], axis=1)


def circle_distance(first: Array, second: Array, phase: Array, decay: float) -> float:
    """ISW of samples (n,) and (n',) of angles by slices cos(k angle - phase)/sqrt(pi), phases (F, P) of k = 1 … F.

    Slices of one frequency together weigh as much as its cosine and its sine, 2 exp(-t k^2).
    """
    n_frequencies, n_phases = phase.shape
    sides = []
    for angle in (first, second):
        modes = circle_modes(angle, 2 * n_frequencies).function.T.reshape(n_frequencies, 2, 1, -1)
        turned = np.cos(phase)[..., None] * modes[:, 0] + np.sin(phase)[..., None] * modes[:, 1]
        sides.append(quantiles(turned))
    weight = decay_weights(np.arange(1.0, n_frequencies + 1) ** 2, decay) * 2 / n_phases
    return float(np.sqrt(weight @ np.sum(np.mean((sides[0] - sides[1]) ** 2, axis=-1), axis=1)))


@experiment
def turning(
    *,
    eigenfunctions: Eigenfunctions = 20,
    decay: Decay = 0.1,
    points_per_distribution: Points = 100,
    nuisance_variation: Nuisance = 0.3,
    effect: Effect = 0.5,
    seed: Seed = 0,
) -> Turning:
    """Two distributions of the circle turned together: a distance of the circle alone would not change.

    Slices are taken by frequencies, two of each: an odd L counts one more.
    """
    rng = np.random.default_rng([seed, 2])
    setting = Setting(CIRCLE, "mean", eigenfunctions, decay, points_per_distribution, nuisance_variation)
    first, second = setting.points(1, 0.0, rng)[0], setting.points(1, effect, rng)[0]
    n_frequencies = (eigenfunctions + 1) // 2
    phases = {
        FIXED_BASIS: quarter_phases(np.zeros((n_frequencies, 1))),
        EIGHT: quarter_phases(rng.uniform(0, np.pi / 2, (n_frequencies, 8))),
        MANY: equal_phases(n_frequencies, N_PHASES),
    }
    distance = {
        name: np.array([circle_distance(first + turn, second + turn, phase, decay) for turn in TURNS])
        for name, phase in phases.items()
    }
    summary: dict[str, float | str] = {"ISW, cosine and sine": float(distance[FIXED_BASIS][0])}
    summary |= {f"changes over a turn by, {name}": f"{float(np.ptp(d) / d.mean()):.2%}" for name, d in distance.items()}
    return Turning(np.degrees(TURNS), distance, summary)
