"""Three tokens: the acceptance over all target laws, and the hexagon where every draft set can be accepted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.inference_scaling.multi_draft_speculation.parameters import Drafts, Scheme
from compute.methods.multi_draft import SCHEMES, acceptance, minimizing_set
from compute.parameters import ParameterError, Real

Array = NDArray[np.float64]

N_GRID = 121
MOST_DRAFTS = 16


def sure_region(p: Array, n_drafts: int) -> Array:
    """Corners of the region q(S) >= p(S)^K for all S of three tokens, in (q_a, q_b); closed, ``(7, 2)``.

    They are what a fixed order of preference among drafts puts out: P(y) = p(S + y)^K - p(S)^K, S the tokens it beats;
    neighbors around the hexagon differ by one swap.
    """
    corners = []
    for order in permutations(range(3)):
        tail = np.cumsum(p[list(order)]) ** n_drafts
        q = np.empty(3)
        q[list(order)] = np.diff(tail, prepend=0.0)
        corners.append(q[:2])
    found = np.array(corners)
    around = found[np.argsort(np.arctan2(*(found - found.mean(axis=0)).T[::-1]))]
    return np.vstack([around, around[:1]])


def region_share(corners: Array) -> float:
    """Area of a closed polygon as a share of the simplex, whose area in (q_a, q_b) is 1/2."""
    x, y = corners.T
    return float(abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])))


@dataclass(frozen=True)
class Simplex(Result):
    """Acceptance over the targets of three tokens, and against the number of drafts at one of them."""

    target_a: Array  # (n_grid,)
    target_b: Array  # (n_grid,)
    acceptance: Array  # (n_grid, n_grid) of the chosen scheme, NaN outside the simplex
    region: Array  # (7, 2) closed hexagon in which the best scheme accepts always
    share: float  # of the simplex
    draft: Array  # (3,)
    here: tuple[float, float]
    n_drafts: int
    scheme: str
    drafts: Array  # (n_counts,)
    by_scheme: dict[str, Array]  # acceptance at the reader's target, (n_counts,)
    cut: str

    def table(self) -> pl.DataFrame:
        x, y = np.meshgrid(self.target_a, self.target_b)
        plane = {"target_a": x.ravel(), "target_b": y.ravel(), f"acceptance_{self.scheme}": self.acceptance.ravel()}
        curve = {"drafts": self.drafts, **{f"here_{name}": values for name, values in self.by_scheme.items()}}
        frames = [pl.DataFrame(plane).fill_nan(None), pl.DataFrame(curve)]
        edge = pl.DataFrame({"always_accepted_target_a": self.region[:, 0], "always_accepted_target_b": self.region[:, 1]})
        return pl.concat([*frames, edge], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        at = int(np.searchsorted(self.drafts, self.n_drafts))
        best = max(((self.by_scheme[s][at], s) for s in SCHEMES[1:]), key=lambda pair: pair[0])
        return {
            "best acceptance P*": float(self.by_scheme["optimal"][at]),
            "best practical scheme": best[1],
            "its gap to P*": float(self.by_scheme["optimal"][at] - best[0]),
            "tokens that bind (S)": self.cut,
            "always accepted, share of targets": self.share,
        }


TargetA = Annotated[float, Real("target: token a", "q_a", low=0.0, high=1.0, help="Token c has the rest.")]
TargetB = Annotated[float, Real("target: token b", "q_b", low=0.0, high=1.0, help="Token c has the rest.")]
DraftA = Annotated[float, Real("draft: token a", "p_a", low=0.02, high=0.96, help="Token c has the rest.")]
DraftB = Annotated[float, Real("draft: token b", "p_b", low=0.02, high=0.96, help="Token c has the rest.")]


@experiment
def simplex(
    *,
    target_a: TargetA = 0.6,
    target_b: TargetB = 0.3,
    draft_a: DraftA = 0.3333,
    draft_b: DraftB = 0.3333,
    n_drafts: Drafts = 2,
    scheme: Scheme = "optimal",
) -> Simplex:
    """Acceptance over the simplex of targets q of three tokens, at a fixed draft law p.

    The best is P* = min over S of q(S) + 1 - p(S)^K, which is 1 where q(S) >= p(S)^K for all S (143, its theorem for K = 2;
    derived here for any K): a hexagon, whose corners are the laws of the drafts' maximum in each order of preference.
    """
    for name, first, second in (("target_b", target_a, target_b), ("draft_b", draft_a, draft_b)):
        if first + second > 1 + 1e-9:
            raise ParameterError(name, f"is at most {1 - first:.4g} here: the three probabilities sum to 1.")
    p = np.array([draft_a, draft_b, max(1 - draft_a - draft_b, 0.0)])
    here = np.array([target_a, target_b, max(1 - target_a - target_b, 0.0)])
    axis = np.linspace(0, 1, N_GRID)
    a, b = np.meshgrid(axis, axis)
    inside = a + b <= 1 + 1e-9
    q = np.stack([a[inside], b[inside], np.maximum(1 - a[inside] - b[inside], 0.0)], axis=-1)
    plane = np.full(a.shape, np.nan)
    plane[inside] = acceptance(scheme, np.broadcast_to(p, q.shape), q, n_drafts)
    region = sure_region(p, n_drafts)
    drafts = np.arange(1.0, MOST_DRAFTS + 1)
    by_scheme = {name: acceptance(name, p, here, drafts) for name in SCHEMES}
    binding = "".join("abc"[t] for t in minimizing_set(p, here, n_drafts))
    cut = "{" + ", ".join(binding) + "}" if binding else "none"
    return Simplex(
        axis, axis, plane, region, region_share(region), p, (target_a, target_b), n_drafts, scheme, drafts, by_scheme, cut
    )
