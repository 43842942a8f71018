r"""Pictures from black: many pixels whose only dependence is that they belong to one of a few stored pictures (184).

Every pixel is a count of its own. Given the picture j, the units of its pixels die independently, so that the posterior over
the stored pictures is prop. to the product over pixels of Bin(o_0^j, a)(o), and zero where a pixel has more than o_0^j. The
sampler draws a picture from that posterior at each level and bridges toward it: exact on any grid of levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, gammaln, logit

from compute.diffusion_samplers.absorbing_diffusion.counts import MaxCount
from compute.experiment import Result, experiment
from compute.methods.log_sum_exp import softmax
from compute.parameters import Integer, Seed

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SIDE, N_PICTURES, N_RUNS = 16, 6, 3
NAMES = ("ring", "waves", "cross", "disk", "ramp", "checks")
Frames = Annotated[int, Integer("frames shown", low=2, high=12, help="Of the 61 levels from black to the picture.")]
N_LEVELS = 60  # evenly in log-odds of survival; then one step to 1
FIRST, LAST = 2e-3, 0.9  # expected units of a white pixel at the first level; survival at the last but one


def stored_pictures(max_count: int) -> Integers:
    """(6, 256) gray levels 0 to M."""
    axis = np.linspace(-1, 1, SIDE)
    x, y = np.meshgrid(axis, axis)
    radius = np.hypot(x, y)
    shapes = [
        np.exp(-(((radius - 0.65) / 0.18) ** 2)),
        0.5 + 0.5 * np.sin(7 * x + 3 * y),
        np.maximum(np.exp(-((x / 0.22) ** 2)), np.exp(-((y / 0.22) ** 2))),
        1 / (1 + np.exp((radius - 0.55) / 0.06)),
        0.5 * (x + 1) * np.exp(-((y / 0.8) ** 2)),
        0.5 + 0.5 * np.sign(np.sin(6.3 * x) * np.sin(6.3 * y)),
    ]
    return np.rint(max_count * np.array(shapes).reshape(N_PICTURES, -1)).astype(np.int64)


def posterior(seen: Integers, survival: float, stored: Integers) -> Array:
    """(6,) probability of each stored picture given the (256,) counts left."""
    possible = np.all(seen <= stored, axis=1)
    lost = np.maximum(stored - seen, 0)
    logits = np.sum(gammaln(stored + 1.0) - gammaln(lost + 1.0) + lost * np.log1p(-survival), axis=1)
    logits = np.where(possible, logits, -np.inf)
    return softmax(logits)


@dataclass(frozen=True)
class Pictures(Result):
    """A few runs from black to a stored picture."""

    survival: Array  # (n_levels,)
    weights: Array  # (n_runs, n_levels, 6) posterior of the stored pictures
    shown: Integers  # (n_frames,) levels whose frames are shown
    frames: Integers  # (n_runs, n_frames, side, side)
    units: Integers  # (n_runs, n_levels) born so far
    chosen: Integers  # (n_runs,) the picture that each run ends in
    max_count: int

    @property
    def certainty(self) -> Array:
        """(n_runs, n_levels) posterior probability of the picture that the run ends in."""
        return self.weights[np.arange(len(self.chosen)), :, self.chosen]

    def table(self) -> pl.DataFrame:
        run, frame, row, column = np.indices(self.frames.shape).reshape(4, -1)
        pixels = pl.DataFrame({"run": run, "frame": frame, "row": row, "column": column, "count": self.frames.ravel()})
        n_runs, n_levels = self.units.shape
        posteriors = pl.DataFrame(
            {
                "run": np.repeat(np.arange(n_runs), n_levels),
                "survival": np.tile(self.survival, n_runs),
                "picture": np.repeat([NAMES[k] for k in self.chosen], n_levels),
                "posterior": self.certainty.ravel(),
                "units_born": self.units.ravel(),
            }
        )
        return pl.concat([pixels, posteriors], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        decided = (self.certainty > 0.99).argmax(axis=1)
        return {
            f"units at certainty, run {k + 1} ({NAMES[self.chosen[k]]})": f"{self.units[k, at]} of {self.units[k, -1]:,}"
            for k, at in enumerate(decided)
        }


@experiment
def pictures(*, max_count: MaxCount = 32, frames: Frames = 7, seed: Seed = 0) -> Pictures:
    """Births of pictures from black, by the exact posterior over six stored ones."""
    rng = np.random.default_rng(seed)
    stored = stored_pictures(max_count)
    levels = np.append(expit(np.linspace(logit(FIRST / max_count), logit(LAST), N_LEVELS)), 1.0)
    shown = np.rint(np.linspace(0, N_LEVELS, frames + 1)[1:]).astype(np.int64)
    film = np.zeros((N_RUNS, levels.size, stored.shape[1]), dtype=np.int64)
    weights = np.zeros((N_RUNS, levels.size, N_PICTURES))
    for run in range(N_RUNS):
        seen, low = np.zeros(stored.shape[1], dtype=np.int64), 0.0
        belief = np.full(N_PICTURES, 1 / N_PICTURES)
        for k, high in enumerate(levels):
            goal = stored[rng.choice(N_PICTURES, p=belief)]
            seen = seen + rng.binomial(goal - seen, (high - low) / (1 - low))
            low = float(high)
            # At survival 1 the likelihood is a point mass; its limit from below says the same.
            belief = posterior(seen, min(low, 1 - 1e-12), stored)
            film[run, k], weights[run, k] = seen, belief
    return Pictures(
        survival=levels,
        weights=weights,
        shown=shown,
        frames=film[:, shown].reshape(N_RUNS, frames, SIDE, SIDE),
        units=film.sum(axis=2),
        chosen=weights[:, -1].argmax(axis=1),
        max_count=max_count,
    )
