"""Functions on their way back, drawn; and what variance each mode comes back with."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.function_space_diffusion.reverse import (
    shares,
    start_law,
    time_grid,
    variance_after,
    variance_in_continuum,
    walk_back,
)
from compute.diffusion_samplers.function_space_diffusion.setting import (
    DIMENSION,
    LINES,
    VOLUME_OF_BALL,
    Array,
    Components,
    DataSmoothness,
    Domain,
    DomainName,
    FieldLaw,
    Horizon,
    NModes,
    NoiseSmoothness,
    Resolution,
    Reverse,
    Start,
    Steps,
    domain_of,
    eigenvalues,
    field_law,
    powers,
)
from compute.experiment import Result, experiment
from compute.parameters import LogInteger, Seed

Draws = Annotated[int, LogInteger("draws", "n", low=50, high=2000, help="Functions drawn, to estimate variances from.")]

N_FRAMES = 26
SHOWN_VALUES = 22_000  # of a movie, that it stays light
N_SHOWN = 5
EARLY = 1e-4  # below this time the eye sees little change


@dataclass(frozen=True)
class FieldMovie(Result):
    """Functions on their way back, by trace-class noise and by white noise.

    Parameters
    ----------
    domain : str
    noise_smoothness : (2,) array
        s, and 0.
    time : (n_frames,) array
    position : (n,) array
        Coordinates on a line, (n, 2) places on the page of a surface.
    value : (2, n_frames, n_draws, n) float32 array
    owner : (2, n_draws) array of int
        Each draw's likeliest component at the end.
    energy : (2,) array
        E|X|^2 of the noise, K modes.
    reach : (3,) array
        Three deviations of a point: of either noise, and what the data reach.
    trace_class : bool
    """

    domain: str
    noise_smoothness: Array
    time: Array
    position: Array
    value: NDArray[np.float32]
    owner: NDArray[np.int64]
    energy: Array
    reach: Array
    trace_class: bool

    def table(self) -> pl.DataFrame:
        kinds, frames, draws, points = self.value.shape
        place = np.atleast_2d(self.position.T)
        count = kinds * frames * draws
        columns: dict[str, Any] = {
            "noise": np.repeat(["of smoothness s", "white"], frames * draws * points),
            "time": np.tile(np.repeat(self.time, draws * points), kinds),
            "draw": np.tile(np.repeat(np.arange(draws), points), kinds * frames),
            "x": np.tile(place[0], count),
        }
        if place.shape[0] > 1:
            columns["y"] = np.tile(place[1], count)
        return pl.DataFrame({**columns, "value": self.value.ravel().astype(float)})

    def headline(self) -> dict[str, float | str]:
        return {
            "E‖X‖² of the noise, K modes": float(self.energy[0]),
            "E‖X‖² of white noise": float(self.energy[1]),
            "as K grows": "converges: trace class" if self.trace_class else "diverges",
        }


def on_page(domain: Domain) -> tuple[Array, NDArray[np.int64]]:
    """Seen points of a surface from afar: places (m, 2), far ones first, and their indices (m,)."""
    if domain.name == "torus":
        # From above, so that the hole shows.
        right, up, toward = np.array([1.0, 0, 0]), np.array([0, 0.64, 0.768]), np.array([0, -0.768, 0.64])
    else:
        right, up, toward = np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), np.array([0, -1.0, 0])
    seen = np.flatnonzero(domain.normals @ toward > -0.02)
    seen = seen[np.argsort(domain.points[seen] @ toward)]
    place = domain.points[seen]
    return np.stack([place @ right, place @ up], axis=1), seen


@experiment
def field_draws(
    *,
    domain: DomainName = "interval",
    noise_smoothness: NoiseSmoothness = 1.0,
    data_smoothness: DataSmoothness = 1.5,
    modes: NModes = 64,
    resolution: Resolution = 128,
    horizon: Horizon = 4.0,
    steps: Steps = 100,
    components: Components = 3,
    reverse: Reverse = "stochastic",
    start: Start = "noise",
    seed: Seed = 0,
) -> FieldMovie:
    """Functions drawn by the exact reverse diffusion, from noise of smoothness s and from white noise (Franzese et al. 2023)."""
    place = domain_of(domain, modes, resolution if domain in LINES else 0)
    position, seen = (place.points, np.arange(place.points.size)) if place.dimension == 1 else on_page(place)
    n_draws = N_SHOWN if place.dimension == 1 else 1
    function = place.modes.function[seen]
    smoothness = np.array([noise_smoothness, 0.0])
    laws = [field_law(place, s, data_smoothness, components) for s in smoothness]
    # White noise asks for the earlier end; both walk on the same times.
    times = time_grid(float(laws[1].data[-1]), horizon, steps)
    kept = _kept(times, min(N_FRAMES, max(6, SHOWN_VALUES // (2 * n_draws * seen.size))))
    value = np.empty((2, kept.size, n_draws, seen.size), dtype=np.float32)
    owner = np.empty((2, n_draws), dtype=np.int64)
    for kind, law in enumerate(laws):
        # The same random numbers for both: what differs is the noise alone.
        rng = np.random.default_rng(seed)
        top = start_law(rng, law, horizon, start, n_draws)
        frame = 0
        for step, x in enumerate(walk_back(rng, law, top, times, reverse)):
            if step == kept[frame]:
                value[kind, frame] = x @ function.T
                frame += 1
        owner[kind] = np.argmax(shares(law, x, 0.0), axis=1)
    energy = np.array([law.noise.sum() for law in laws])
    width = 3 * np.sqrt(np.append(energy, laws[0].data.sum()) / place.volume)
    reach = width + np.array([0.0, 0.0, float(np.abs(laws[0].means @ function.T).max())])
    is_trace_class = noise_smoothness > place.dimension / 2
    return FieldMovie(domain, smoothness, times[kept], position, value, owner, energy, reach, is_trace_class)


def _kept(times: Array, frames: int) -> NDArray[np.int64]:
    """Steps to show: most of them before the times at which little is seen to change, and the last."""
    last = times.size - 1
    early = min(int(np.sum(times > EARLY)), last)
    chosen = np.append(np.linspace(0, early, max(frames - 2, 2)), [0.5 * (early + last), last])
    return np.unique(np.rint(chosen).astype(np.int64))


@dataclass(frozen=True)
class Spectrum(Result):
    """Variance of each mode after the way back.

    Parameters
    ----------
    mode : (K,) array
        1 … K.
    data, noise : (K,) arrays
        v and r.
    scheme, continuum : (K,) arrays
        Exact variance after these steps, and after infinitely many.
    sampled, standard_error : (K,) arrays
        Over the draws.
    eigenvalue, weyl : (K,) arrays
        Of the domain, and Weyl's law.
    """

    mode: Array
    data: Array
    noise: Array
    scheme: Array
    continuum: Array
    sampled: Array
    standard_error: Array
    eigenvalue: Array
    weyl: Array

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "mode": self.mode,
                "data variance": self.data,
                "noise variance": self.noise,
                "variance after these steps (exact)": self.scheme,
                "variance after infinitely many steps (exact)": self.continuum,
                "variance of the draws": self.sampled,
                "standard error": self.standard_error,
                "eigenvalue": self.eigenvalue,
                "Weyl's law": self.weyl,
            }
        )

    def headline(self) -> dict[str, float | str]:
        z = (self.sampled - self.scheme) / self.standard_error
        return {
            "draws against theory, rms over modes (SE)": float(np.sqrt(np.mean(z**2))),
            "mode K: variance over the data's": float(self.scheme[-1] / self.data[-1]),
            "the same, infinitely many steps": float(self.continuum[-1] / self.data[-1]),
        }


def weyl_law(mode: Array, dimension: int, volume: float) -> Array:
    """Eigenvalue lambda with (2 pi)^{-d} |ball_d| volume lambda^{d/2} of them below it."""
    return np.asarray((mode * (2 * np.pi) ** dimension / (VOLUME_OF_BALL[dimension] * volume)) ** (2 / dimension))


def _spectrum_seconds(modes: int, steps: int, draws: int, **_: Any) -> float:
    return 2.2e-8 * modes * steps * draws + 3e-5 * steps


@experiment(seconds=_spectrum_seconds)
def mode_spectrum(
    *,
    domain: DomainName = "interval",
    noise_smoothness: NoiseSmoothness = 1.0,
    data_smoothness: DataSmoothness = 1.5,
    modes: NModes = 64,
    horizon: Horizon = 4.0,
    steps: Steps = 100,
    reverse: Reverse = "stochastic",
    start: Start = "noise",
    draws: Draws = 200,
    seed: Seed = 0,
) -> Iterator[tuple[float, Spectrum]]:
    """Variance of each mode that the exact reverse diffusion of Gaussian data returns, by its recursion and by draws."""
    place = domain_of(domain, modes)
    eigenvalue = eigenvalues(domain, modes)
    law = FieldLaw(powers(eigenvalue, data_smoothness), powers(eigenvalue, noise_smoothness), np.zeros((1, modes)))
    times = time_grid(float(law.data[-1] / law.noise[-1]), horizon, steps)
    top = law.noise if start == "noise" else law.variance(horizon)
    scheme = variance_after(law, times, reverse, top)
    continuum = variance_in_continuum(law, horizon, reverse, start)
    mode = np.arange(1.0, modes + 1)
    weyl = weyl_law(mode, DIMENSION[domain], place.volume)
    rng = np.random.default_rng(seed)
    square, done = np.zeros(modes), 0
    chunk = max(25, int(3e6 / (modes * steps)))
    while done < draws:
        n = min(chunk, draws - done)
        top_draws = start_law(rng, law, horizon, start, n)
        (ends,) = deque(walk_back(rng, law, top_draws, times, reverse), maxlen=1)
        square += np.sum(ends**2, axis=0)
        done += n
        # The mean is known to be 0, so that the squares' mean estimates the variance, with error V sqrt(2/n).
        sampled = square / done
        error = scheme * np.sqrt(2 / done)
        yield done / draws, Spectrum(mode, law.data, law.noise, scheme, continuum, sampled, error, eigenvalue, weyl)
