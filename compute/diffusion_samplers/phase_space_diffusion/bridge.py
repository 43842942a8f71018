"""Phase bridges at work: particles with their velocities, and how early they know where they will end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.phase_space_diffusion.bridge_law import Bridge, known_share, sample
from compute.diffusion_samplers.phase_space_diffusion.flow import BridgeNoise, Nfe, StartCorrelation
from compute.experiment import Result, experiment
from compute.models.diffusion_setting import Separation, mixture_of, target_of
from compute.parameters import Choice, Seed

Array = NDArray[np.float64]

BridgeSampler = Annotated[
    str, Choice("bridge sampler", options=("AGM-SDE", "AGM-ODE"), help="With noise, or the flow of the same law.")
]

DATA = "ring_2d"
N_PARTICLES, MAX_FRAMES, N_CURVE = 600, 40, 40
ENOUGH = 0.9


@dataclass(frozen=True)
class EarlyEstimate(Result):
    """Particles of one bridge, and the correlation of their estimates with the end."""

    time: Array  # (n_frames,)
    position: NDArray[np.float32]  # (n_frames, n, 2)
    velocity: NDArray[np.float32]  # (n_frames, n, 2)
    estimate: NDArray[np.float32]  # (n_frames, n, 2)
    mode: NDArray[np.int64]  # (n,)
    curve_time: Array  # (n_curve,)
    exact: Array  # (n_curve,) correlation of E[x_1 | x, v] with x_1 under the bridge's law
    still: Array  # (n_curve,) the same for straight lines from N(0, 1) to the data, no velocity
    spread: Array  # (n_frames,) the same from the particles, by the spread of their estimates
    spread_error: Array  # (n_frames,)
    own: Array  # (n_frames,) correlation of a particle's estimate with its own end
    reach: float
    sampler: str
    evaluations: int
    error: float
    floor: float
    mode_error: float

    def table(self) -> pl.DataFrame:
        end = pl.DataFrame(
            {
                "x_1": self.estimate[-1, :, 0].astype(float),
                "x_2": self.estimate[-1, :, 1].astype(float),
                "position_1": self.position[-1, :, 0].astype(float),
                "position_2": self.position[-1, :, 1].astype(float),
                "mode": self.mode,
            }
        )
        theory = pl.DataFrame(
            {"time": self.curve_time, "correlation_exact": self.exact, "correlation_without_velocity": self.still}
        )
        seen = pl.DataFrame(
            {
                "time": self.time,
                "correlation_from_spread": self.spread,
                "standard_error": self.spread_error,
                "correlation_with_own_end": self.own,
            }
        )
        return pl.concat([end, theory, seen], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        def first(time: Array, value: Array) -> float:
            return float(np.interp(ENOUGH, np.maximum.accumulate(value), time))

        return {
            "time at which (x, v) tells the end (correlation 0.9)": first(self.curve_time, self.exact),
            "the same without velocity": first(self.curve_time, self.still),
            "W₁ to the data": self.error,
            "W₁ of exact samples (noise floor)": self.floor,
            "evaluations used": float(self.evaluations),
        }


@experiment
def early_estimate(
    *,
    separation: Separation = 3.0,
    nfe: Nfe = 60,
    bridge_noise: BridgeNoise = 1.0,
    start_correlation: StartCorrelation = 0.0,
    bridge_sampler: BridgeSampler = "AGM-SDE",
    seed: Seed = 0,
) -> EarlyEstimate:
    """The phase bridge (128) to six modes in the plane, and what its estimate E[x_1 | x, v] knows at each time.

    The correlation of the estimate with x_1 is sqrt(Var estimate/Var x_1), exact by quadrature: the bridge's state is a reading
    of x_1 at an effective noise level. Without velocity: x = (1 - t) x_0 + t x_1, level (1 - t)/t.
    """
    mixture = mixture_of(DATA, separation)
    law = Bridge(mixture, bridge_noise, start_correlation)
    states = sample(law, nfe, N_PARTICLES, bridge_sampler == "AGM-SDE", seed)
    kept = [states[k] for k in np.unique(np.rint(np.linspace(0, nfe - 1, min(nfe, MAX_FRAMES))).astype(int))]
    end = states[-1].estimate
    owner = mixture.responsibilities(end).argmax(axis=1)
    target, floor, _ = target_of(mixture, N_PARTICLES)
    total = float(np.trace(mixture.covariance))
    squares = np.stack([np.sum((s.estimate - mixture.mean) ** 2, axis=1) for s in kept])
    spread = np.sqrt(squares.mean(axis=1) / total)
    scatter = squares.std(axis=1, ddof=1) / np.sqrt(N_PARTICLES) / total
    t = np.linspace(0.01, 0.99, N_CURVE)
    levels = np.array([law.reading(1 - s)[1] for s in t])
    return EarlyEstimate(
        np.array([1 - s.tau for s in kept]),
        np.stack([s.x for s in kept]).astype(np.float32),
        np.stack([s.v for s in kept]).astype(np.float32),
        np.stack([s.estimate for s in kept]).astype(np.float32),
        owner,
        t,
        np.sqrt(known_share(mixture, levels)),
        np.sqrt(known_share(mixture, (1 - t) / t)),
        spread,
        np.divide(0.5 * scatter, spread, out=np.zeros_like(spread), where=spread > 0),
        np.array([_correlation(s.estimate, end) for s in kept]),
        float(max(separation + 1.3, 3.2)),
        bridge_sampler,
        nfe,
        target.w1(end),
        floor,
        float(0.5 * np.abs(np.bincount(owner, minlength=mixture.n_components) / N_PARTICLES - mixture.weights).sum()),
    )


def _correlation(a: Array, b: Array) -> float:
    """Of two vector samples: sum of covariances over the root of the product of variances; 0 where one does not vary."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    scale = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b)) / scale if scale > 1e-9 else 0.0
