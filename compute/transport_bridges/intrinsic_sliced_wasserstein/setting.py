"""What the views share: the two groups, how they are embedded, and the parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.methods.collection_tests import (
    calibrated_harmonic,
    cauchy_combination,
    contrasts,
    harmonic_mean,
    permutation_p,
    welch_p,
)
from compute.methods.quantile_slices import decay_weights, embed, in_bases, quantiles, turned_bases
from compute.models.laplacian_modes import Modes
from compute.parameters import Choice, Integer, LogInteger, LogReal, Real
from compute.transport_bridges.intrinsic_sliced_wasserstein.domains import DOMAINS, EFFECTS, draw, modes_at, recipes

Array = NDArray[np.float64]

FIXED, AVERAGED = "one", "eight, turned at random"
N_BASES = 8
N_PERMUTATIONS = 999
PERMUTATION, CAUCHY, HARMONIC, RAW = "permutation", "Cauchy", "harmonic", "harmonic, not calibrated"
TESTS = (PERMUTATION, CAUCHY, HARMONIC)

Domain = Annotated[str, Choice("domain", options=DOMAINS)]
Eigenfunctions = Annotated[
    int,
    LogInteger("eigenfunctions", "L", low=1, high=100, help="Slices: the first L of the domain's Laplacian, without the constant."),
]
Decay = Annotated[
    float, LogReal("decay", "t", low=1e-3, high=10.0, help="Slice l weighs exp(-t λ_l): large t hears only the slowest one.")
]
Points = Annotated[int, LogInteger("points per distribution", "n", low=10, high=500)]
EffectKind = Annotated[str, Choice("what differs", options=EFFECTS)]
Nuisance = Annotated[
    float, Real("nuisance variation", "v", low=0.0, high=1.0, help="How much distributions of one group differ among themselves.")
]
Bases = Annotated[
    str,
    Choice(
        "eigenbases", options=(FIXED, AVERAGED), help="Where eigenvalues are multiple the distance depends on the basis chosen."
    ),
]
GroupSize = Annotated[int, LogInteger("group size", "N", low=5, high=100, help="Distributions in each group.")]
Effect = Annotated[float, Real("effect", "e", low=0.0, high=2.0, help="Of group 2; 0: the groups do not differ.")]
Test = Annotated[str, Choice("test", options=TESTS)]
Slice = Annotated[int, Integer("slice shown", r"\ell", low=1, high=100, help="At most L.")]
Draws = Annotated[int, LogInteger("draws", "R", low=20, high=1000, help="Pairs of groups drawn anew.")]


@dataclass(frozen=True)
class Setting:
    """Two groups on a domain and how they are embedded."""

    domain: Domain = "cylinder"
    effect_kind: EffectKind = "mean"
    eigenfunctions: Eigenfunctions = 20
    decay: Decay = 0.1
    points_per_distribution: Points = 100
    nuisance_variation: Nuisance = 0.3
    bases: Bases = FIXED

    def points(self, n: int, effect: float, rng: np.random.Generator) -> Array:
        """(n, n_points, …) distributions of a group."""
        recipe = recipes(n, self.effect_kind, effect, self.nuisance_variation, rng)
        return draw(self.domain, recipe, self.points_per_distribution, rng)

    def sliced(self, points: Array) -> tuple[Array, Array]:
        """Quantiles (n, L, m) of points (n, n_points, …) on every slice, and the slices' weights (L,)."""
        modes = modes_at(self.domain, points.reshape(-1, *points.shape[2:]), self.eigenfunctions)
        return pushed(modes, points.shape[:2], self.decay, self.bases)

    def groups(self, size: int, effect: float, rng: np.random.Generator) -> Array:
        """(2 size, D) embedded distributions, the first group's before the second's."""
        points = np.concatenate([self.points(size, 0.0, rng), self.points(size, effect, rng)])
        return embed(*self.sliced(points))

    def seconds(self, n_distributions: float) -> float:
        """Of drawing and embedding, measured."""
        each = {"sphere": 9e-8, "cylinder": 3e-8}.get(self.domain, 2e-8)
        bases = 1 if self.bases == FIXED else 3.0
        per_distribution = 1e-5 + self.points_per_distribution * (1.2e-7 + bases * self.eigenfunctions * each)
        return n_distributions * (per_distribution + bases * self.eigenfunctions * 8e-7)

    def tests_seconds(self, size: int, permute: bool = True, combine: bool = True) -> float:
        """Of testing two embedded groups, measured."""
        coordinates = 64 * self.eigenfunctions * (1 if self.bases == FIXED else N_BASES)
        combined = 3e-4 + coordinates * (2e-7 + 1e-8 * size)
        return combine * combined + permute * (1.5e-4 + size**2 * (1.2e-7 + 1.5e-10 * coordinates))


def pushed(modes: Modes, shape: tuple[int, ...], decay: float, bases: str) -> tuple[Array, Array]:
    """Quantiles (n, L, m) of eigenfunctions (n n_points, L) on n distributions of n_points, and the slices' weights."""
    weight = decay_weights(modes.eigenvalue, decay)
    if bases == AVERAGED:
        modes = in_bases(modes, turned_bases(modes.eigenvalue, N_BASES, np.random.default_rng(8)))
        weight = np.tile(weight / N_BASES, N_BASES)
    values = np.swapaxes(modes.function.reshape(*shape, -1), 1, 2)
    return quantiles(np.ascontiguousarray(values)), weight


@dataclass(frozen=True)
class TwoGroups:
    """The tests of two groups of n1 and n2 vectors, with one set of permutations for all calls."""

    n_first: int
    n_second: int
    weights: Array

    @classmethod
    def of(cls, n_first: int, n_second: int, rng: np.random.Generator, n_permutations: int = N_PERMUTATIONS) -> TwoGroups:
        return cls(n_first, n_second, contrasts(n_first, n_second, n_permutations, rng))

    def permutation(self, vectors: Array) -> float:
        centered = vectors - vectors.mean(axis=0)
        return permutation_p(centered @ centered.T, self.weights)

    def combined(self, vectors: Array) -> dict[str, float]:
        """By the Welch tests of all coordinates."""
        p = welch_p(vectors[: self.n_first], vectors[self.n_first :])
        return {CAUCHY: cauchy_combination(p), HARMONIC: calibrated_harmonic(p), RAW: harmonic_mean(p)}

    def p_values(self, vectors: Array, tests: tuple[str, ...] = (*TESTS, RAW)) -> dict[str, float]:
        found = self.combined(vectors) if set(tests) - {PERMUTATION} else {}
        if PERMUTATION in tests:
            found[PERMUTATION] = self.permutation(vectors)
        return {name: found[name] for name in tests}
