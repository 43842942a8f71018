r"""Signal left at the top of the schedule, and what it does to brightness.

An image of d pixels has a brightness B common to all and unit noise of its own in each; c = sqrt(d) mean pixel is one
coordinate of an orthonormal basis, c = sqrt(d) B + z. The chain ends at c_T = alpha_T c + sigma_T z', but sampling starts
from N(0, 1). On the line the probability flow is the monotone map between the laws, so that from any start law G the output is

    P(out <= q) = G(F_T^{-1}(F_0(q))),      out = F_0^{-1}(F_T(c_T)),

exactly. G = N(0, 1) is what is done; G = F_T, or a schedule rescaled to no terminal signal, gives the data back. *One more step*
(paper 241): from pure noise the best guess of the data is their mean, so that the step gives
N(alpha_T E c, alpha_T^2 Var c + sigma_T^2). *Offset noise*: forward noise of covariance I + o^2 1 1^T, which in this coordinate has
variance 1 + o^2 d, and the same in the start.

References
----------
Paper 241 of the catalogue; Lin et al. (2023), "Common diffusion noise schedules and sample steps are flawed", table 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from compute.experiment import Result, experiment
from compute.methods.reverse_samplers import Run, heun, sample
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.unit_time_schedule import SCHEDULE_NAMES, chain_betas, terminal_snr
from compute.parameters import Choice, LogInteger, LogReal, Real, Seed

Array = NDArray[np.float64]

LAWS = ("dark and bright", "Gaussian", "one prompt")
SPREAD_WITHIN = 0.3  # width of a mode of brightness over its distance from 0

TerminalSnr = Annotated[
    float,
    LogReal(
        "terminal signal-to-noise",
        r"\alpha_T^2/\sigma_T^2",
        low=1e-9,
        high=0.3,
        help="What the last step of the chain leaves of the image.",
    ),
]
Dimension = Annotated[int, LogInteger("pixels", "d", low=4, high=16384, help="Numbers that share one brightness.")]
Spread = Annotated[float, LogReal("brightness", "b", low=0.05, high=3.0, help="In standard deviations of a pixel's own noise.")]
Law = Annotated[
    str,
    Choice("law of brightness", options=LAWS, help="Modes at ±b; N(0, b²); or images of one prompt, all of brightness b."),
]
OffsetNoise = Annotated[float, Real("offset noise", "o^2", low=0.0, high=0.3, help="Variance of the noise that all pixels share.")]

SD_SNR = 0.004682  # of the Stable-Diffusion chain, Lin et al. (2023)
N_PATCHES = 24
N_PARTICLES = 3000
START_NAMES = ("data", "start from N(0, I)", "one more step", "offset noise")


def brightness_law(law: str, dimension: int, spread: float) -> GaussianMixture:
    """The law of c = sqrt(d) mean pixel."""
    root = np.sqrt(dimension)
    if law == "Gaussian":
        return GaussianMixture(np.ones(1), np.zeros((1, 1)), float(np.hypot(root * spread, 1.0)))
    if law == "one prompt":
        return GaussianMixture(np.ones(1), np.array([[root * spread]]), 1.0)
    means = root * spread * np.array([[-1.0], [1.0]])
    return GaussianMixture(np.ones(2), means, float(np.hypot(root * spread * SPREAD_WITHIN, 1.0)))


@dataclass(frozen=True)
class Start:
    """A normal law that sampling starts from, and the law it stands for."""

    mean: float
    std: float
    truth: GaussianMixture  # p_T of the forward process in use

    def up(self, data: GaussianMixture, q: Array) -> Array:
        """F_T^{-1}(F_0(q)): where the flow that ends at q starts."""
        if data.n_components == 1:  # affine, also far out in the tails
            return self.truth.mean + self.truth.width / data.width * (q - data.mean)
        return self.truth.quantile(_inside(data.cdf(q)))

    def down(self, data: GaussianMixture, top: Array) -> Array:
        """F_0^{-1}(F_T(top)): where the flow from the top ends."""
        if data.n_components == 1:
            return data.mean + data.width / self.truth.width * (top - self.truth.mean)
        return data.quantile(_inside(self.truth.cdf(top)))

    def out_cdf(self, data: GaussianMixture, q: Array) -> Array:
        """P(out <= q), exact."""
        return ndtr((self.up(data, q) - self.mean) / self.std)

    def out_pdf(self, data: GaussianMixture, q: Array) -> Array:
        """Density of the output, exact: that of the start times the slope of the flow."""
        top = self.up(data, q)
        z = (top - self.mean) / self.std
        if data.n_components == 1:
            slope = np.full(top.shape, self.truth.width / data.width)
        else:
            slope = data.pdf(q) / np.maximum(self.truth.pdf(top), 1e-300)
        return np.exp(-0.5 * z**2) / (np.sqrt(2 * np.pi) * self.std) * slope

    def out_quantile(self, data: GaussianMixture, p: Array) -> Array:
        """Quantiles of the output: those of the start, carried by the monotone flow."""
        return self.down(data, self.mean + self.std * ndtri(p))

    def out_rms(self, data: GaussianMixture) -> float:
        """Root mean square of the output."""
        return float(np.sqrt(self.down(data, self.mean + self.std * NODES) ** 2 @ NODE_WEIGHTS))


def _inside(p: Array) -> Array:
    return np.clip(p, 1e-15, 1 - 1e-15)


def starts(data: GaussianMixture, snr: float, dimension: int, offset: float) -> dict[str, Start]:
    """The three starts that are not the data's own."""
    alpha, sigma = np.sqrt(snr / (1 + snr)), 1 / np.sqrt(1 + snr)

    def at_top(noise: float) -> GaussianMixture:
        return GaussianMixture(data.weights, alpha * data.means, float(np.hypot(alpha * data.width, noise)))

    top = at_top(sigma)
    wide = float(np.sqrt(1 + offset * dimension))
    return {
        "start from N(0, I)": Start(0.0, 1.0, top),
        "one more step": Start(float(top.mean[0]), top.scale, top),
        "offset noise": Start(0.0, wide, at_top(sigma * wide)),
    }


# The flow between modes is too steep for Gauss-Hermite; no node at 0, between them.
NODES = np.linspace(-7, 7, 300)
NODE_WEIGHTS = np.exp(-0.5 * NODES**2)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@dataclass(frozen=True)
class Brightness(Result):
    """Brightness of samples from each start, as densities and as quantiles."""

    curve: Array  # (n_curve,) brightness
    density: dict[str, Array]  # by start, (n_curve,)
    probability: Array  # (n_patches,)
    patch: dict[str, Array]  # by start, (n_patches,) brightness at those quantiles
    edges: Array  # (n_bins + 1,)
    simulated: Array  # (n_bins,) density of simulated samples started from N(0, 1)
    simulated_error: Array
    kept: dict[str, float]  # by start, root mean square brightness over that of the data
    simulated_kept: float
    alpha: float

    @property
    def centers(self) -> Array:
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    def table(self) -> pl.DataFrame:
        key = {name: name.replace(" ", "_").replace("(0,_I)", "") for name in START_NAMES}
        parts = [
            pl.DataFrame({"brightness": self.curve} | {f"density_{key[n]}": v for n, v in self.density.items()}),
            pl.DataFrame({"quantile": self.probability} | {f"brightness_{key[n]}": v for n, v in self.patch.items()}),
            pl.DataFrame(
                {"bin_center": self.centers, "simulated_density": self.simulated, "simulated_standard_error": self.simulated_error}
            ),
        ]
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "signal left, α_T": self.alpha,
            "brightness kept (r.m.s.)": self.kept["start from N(0, I)"],
            "the same, simulated": self.simulated_kept,
            "with one more step": self.kept["one more step"],
            "with offset noise": self.kept["offset noise"],
        }


@experiment
def brightness(
    *,
    terminal_snr: TerminalSnr = SD_SNR,
    dimension: Dimension = 4096,
    spread: Spread = 1.0,
    law: Law = "dark and bright",
    offset_noise: OffsetNoise = 0.1,
    seed: Seed = 0,
) -> Brightness:
    """Brightness of images sampled from pure noise where the schedule leaves some signal, and after each remedy: exact laws."""
    data = brightness_law(law, dimension, spread)
    root = np.sqrt(dimension)
    found = starts(data, terminal_snr, dimension, offset_noise)
    middle, width = float(data.mean[0]) / root, max(data.scale / root, 0.05 * spread)
    reach = 2.3 * width if law == "dark and bright" else 3.2 * width
    curve = np.linspace(middle - reach, middle + reach, 241)
    density = {"data": root * data.pdf(root * curve)} | {n: root * s.out_pdf(data, root * curve) for n, s in found.items()}
    p = (np.arange(N_PATCHES) + 0.5) / N_PATCHES
    patch = {"data": data.quantile(p) / root} | {n: s.out_quantile(data, p) / root for n, s in found.items()}
    truth = float(np.hypot(data.mean[0], data.scale))
    kept = {n: s.out_rms(data) / truth for n, s in found.items()}

    alpha = float(np.sqrt(terminal_snr / (1 + terminal_snr)))
    # Steps even in log sigma from the top; the last, below a hundredth of the data's width, is of no consequence.
    top = 1 / np.sqrt(terminal_snr)
    levels = np.append(np.geomspace(top, min(0.03 * data.width, 0.5 * top), 48), 0.0)
    rng = np.random.default_rng(seed)
    end = sample(heun, Run(data.denoise, rng), rng.standard_normal((N_PARTICLES, 1)) / alpha, levels)[:, 0] / root
    edges = np.linspace(curve[0], curve[-1], 41)
    share = np.histogram(end, edges)[0] / N_PARTICLES
    bin_width = edges[1] - edges[0]
    return Brightness(
        curve,
        density,
        p,
        patch,
        edges,
        share / bin_width,
        np.sqrt(share * (1 - share) / N_PARTICLES) / bin_width,
        kept,
        _rms(root * end) / truth,
        alpha,
    )


# --- over terminal signal and number of pixels ---------------------------------------------------------------


@dataclass(frozen=True)
class BrightnessMap(Result):
    """Brightness kept over (terminal signal-to-noise, pixels), exact."""

    snr: Array  # (n_snr,)
    dimension: Array  # (n_dimensions,)
    kept: Array  # (n_dimensions, n_snr)
    line: Array  # (n_snr,) pixels at which the signal left has the noise's size
    published: dict[str, float]  # terminal signal-to-noise by chain
    at: float

    def table(self) -> pl.DataFrame:
        snr, d = np.meshgrid(self.snr, self.dimension)
        whole = pl.DataFrame({"terminal_snr": snr.ravel(), "pixels": d.ravel(), "brightness_kept": self.kept.ravel()})
        return pl.concat([whole, pl.DataFrame({"terminal_snr": self.snr, "boundary_pixels": self.line})], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {"brightness kept here": self.at, **{f"terminal SNR, {name}": snr for name, snr in self.published.items()}}


def brightness_kept(law: str, dimension: int, spread: float, snr: Array) -> Array:
    """(n,) root mean square output from N(0, 1) over that of the data, for each terminal signal-to-noise ratio."""
    data = brightness_law(law, dimension, spread)
    alpha = np.sqrt(snr / (1 + snr))[:, None]
    truth = float(np.hypot(data.mean[0], data.scale))
    width = np.sqrt(alpha**2 * data.width**2 + 1 - alpha**2)
    if data.n_components == 1:
        mean, std = float(data.mean[0]), data.width
        return np.hypot(mean * (1 - alpha * std / width), std / width)[:, 0] / truth
    grid = np.linspace(-1, 1, 2001) * (np.abs(data.means).max() + 8 * data.width)
    z = (NODES[:, None] - alpha[..., None] * data.means[:, 0]) / width[..., None]
    out = np.interp(ndtr(z) @ data.weights, data.cdf(grid), grid)
    return np.sqrt(out**2 @ NODE_WEIGHTS) / truth


@experiment
def brightness_map(
    *, terminal_snr: TerminalSnr = SD_SNR, dimension: Dimension = 4096, spread: Spread = 1.0, law: Law = "dark and bright"
) -> BrightnessMap:
    """Brightness kept by sampling from pure noise, over the terminal signal-to-noise ratio and the number of pixels, exact."""
    snr = np.geomspace(1e-9, 0.3, 45)
    pixels = np.unique(np.rint(np.geomspace(4, 16384, 37)).astype(int))
    kept = np.stack([brightness_kept(law, int(d), spread, snr) for d in pixels])
    published = {name: _terminal(name) for name in SCHEDULE_NAMES if name in PUBLISHED}
    line = (1 + snr) / snr / spread**2
    at = float(brightness_kept(law, dimension, spread, np.array([terminal_snr]))[0])
    return BrightnessMap(snr, pixels.astype(float), kept, line, published, at)


PUBLISHED = ("linear", "SD scaled-linear", "cosine")


def _terminal(name: str) -> float:
    return terminal_snr(chain_betas(name))
