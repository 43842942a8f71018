r"""Degradations without noise, undone step by step: two update rules and what each does to a restorer's error.

Each degradation D(x, s) of Bansal and others (paper 291), s = 0 … T, keeps a share lambda_k(s) of coefficient k in a fixed
orthonormal basis: the cosine basis for blur, pixels for a growing mask, the image itself for fading, Haar's for pooling.
With a restorer R,

    rule 1    x_{s-1} = D(R(x_s, s), s - 1)                          (their algorithm 1)
    rule 2    x_{s-1} = x_s - D(R(x_s, s), s) + D(R(x_s, s), s - 1)   (algorithm 2)

A restorer that shrinks coefficients, R = m + r_k(s) (x - lambda_k(s) m) + e_s with an error e_s, makes either a linear
recursion in each coefficient; the perfect one, R = x_0 + e_s, ends at e_1 by rule 1 and at sum_s (lambda(s-1) - lambda(s)) e_s
by rule 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from compute.experiment import Result, experiment
from compute.methods.log_sum_exp import softmax
from compute.methods.shared_parameters import gathered
from compute.parameters import Choice, LogInteger, Real, Seed

Array = NDArray[np.float64]

SIDE = 16
N_STORED = 400
N_UNSEEN = 20
DEGRADATIONS = ("blur", "mask", "fade", "pool")
RESTORERS = ("Wiener", "stored images", "perfect")
REPETITION = ("same every step", "new every step")
TEMPERATURE = 0.5  # of the stored images' softmax: as if each pixel had noise of this size
FLOOR = 0.02  # of the Wiener restorer: noise variance over mean signal variance

Degradation = Annotated[
    str,
    Choice("degradation", options=DEGRADATIONS, help="Heat, a mask that grows from the center, darkening, or ever larger blocks."),
]
Steps = Annotated[int, LogInteger("steps", "T", low=5, high=200, help="Steps from the degraded image to the restored one.")]
Severity = Annotated[float, Real("severity", low=0.05, high=1.0, help="How much is lost at step T; 1 leaves almost nothing.")]
Restorer = Annotated[
    str,
    Choice(
        "restorer",
        options=RESTORERS,
        help="The best linear one for 400 stored images, their softmax mean, or the truth; the image itself is not stored.",
    ),
]
RestorerError = Annotated[
    float, Real("restorer error", r"\delta", low=0.0, high=1.0, help="Root mean square of what is added to each restoration.")
]
Repetition = Annotated[str, Choice("error", options=REPETITION, help="One random field in all steps, or another in each.")]


# --- images --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def images() -> tuple[Array, Array]:
    """(n_stored, side, side) and (n_unseen, side, side) patterns with values from 0 to 1: disks, rings, bars, crosses, waves."""
    rng = np.random.default_rng(7)
    grid = np.arange(SIDE) - 0.5 * (SIDE - 1)
    down, across = np.meshgrid(grid, grid, indexing="ij")
    found = np.empty((N_STORED + N_UNSEEN, SIDE, SIDE))
    for k in range(found.shape[0]):
        center, size, angle = rng.uniform(-2, 2, 2), rng.uniform(3.5, 5.5), rng.uniform(0, np.pi)
        y, x = down - center[0], across - center[1]
        along, aside = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        radius = np.hypot(x, y)
        # Signed distances to the edge of each shape, smoothed over a pixel.
        edge = (
            size - radius,
            1.3 - np.abs(radius - size),
            np.minimum(1.5 - np.abs(aside), size + 1 - np.abs(along)),
            np.minimum(1.3 - np.minimum(np.abs(aside), np.abs(along)), size + 1 - radius),
            np.minimum(2 * np.cos(2 * np.pi * along / size), size + 2 - radius),
        )[k % 5]
        found[k] = np.clip(0.5 + edge, 0, 1)
    return found[:N_STORED], found[N_STORED:]


# --- degradations ----------------------------------------------------------------------------------------------


def haar(x: Array) -> Array:
    """Orthonormal Haar coefficients of (..., side, side) images, block means of each scale in the upper left corner."""
    out, size = np.array(x, dtype=float), SIDE
    while size > 1:
        block = out[..., :size, :size].copy()
        rows = np.concatenate([block[..., ::2, :] + block[..., 1::2, :], block[..., ::2, :] - block[..., 1::2, :]], axis=-2)
        both = np.concatenate([rows[..., ::2] + rows[..., 1::2], rows[..., ::2] - rows[..., 1::2]], axis=-1)
        out[..., :size, :size] = 0.5 * both
        size //= 2
    return out


def inverse_haar(c: Array) -> Array:
    """The images of which these are the coefficients."""
    out, size = np.array(c, dtype=float), 2
    while size <= SIDE:
        half = size // 2
        block = out[..., :size, :size].copy()
        rows = np.empty_like(block)
        rows[..., ::2], rows[..., 1::2] = block[..., :half] + block[..., half:], block[..., :half] - block[..., half:]
        both = np.empty_like(block)
        both[..., ::2, :], both[..., 1::2, :] = rows[..., :half, :] + rows[..., half:, :], rows[..., :half, :] - rows[..., half:, :]
        out[..., :size, :size] = 0.5 * both
        size *= 2
    return out


def _same(x: Array) -> Array:
    return x


BASES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "blur": (lambda x: dctn(x, axes=(-2, -1), norm="ortho"), lambda c: idctn(c, axes=(-2, -1), norm="ortho")),
    "mask": (_same, _same),
    "fade": (_same, _same),
    "pool": (haar, inverse_haar),
}


def gains(degradation: str, severity: float, n_steps: int) -> Array:
    """(n_steps + 1, side, side) lambda_k(s): the share of each coefficient that is left after s steps; 1 at s = 0."""
    share = severity * np.arange(n_steps + 1)[:, None, None] / n_steps
    if degradation == "blur":
        # exp(-mu tau): reflecting walls make cosines the modes of heat; it flows up to tau = 12 pixels^2, fast at the end.
        mu = (np.pi * np.arange(SIDE) / SIDE) ** 2
        return np.exp(-12.0 * share**2 * (mu[:, None] + mu))
    if degradation == "mask":
        grid = np.arange(SIDE) - 0.5 * (SIDE - 1)
        radius = np.hypot(grid[:, None], grid)
        edge = share * (radius.max() + 2) - 1  # a soft edge moves out from the center
        return np.where(share > 0, 1 / (1 + np.exp(np.clip(-2.0 * (radius - edge), -50, 50))), 1.0)
    if degradation == "fade":
        return np.broadcast_to(1 - share, (n_steps + 1, SIDE, SIDE)).copy()
    # Scales of detail go one after another, the finest first; the mean stays.
    index = np.maximum(np.arange(SIDE)[:, None], np.arange(SIDE))
    order = np.where(index > 0, 4 - np.floor(np.log2(np.maximum(index, 1))), np.inf)  # 1 the finest, 4 the coarsest
    return np.clip(order - 4 * share, 0, 1)


# --- restorers and rules ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cold:
    """The degradation and who undoes it, chosen by the reader."""

    degradation: Degradation = "blur"
    steps: Steps = 30
    severity: Severity = 0.6
    restorer: Restorer = "Wiener"
    repetition: Repetition = "same every step"

    @property
    def gains(self) -> Array:
        return gains(self.degradation, self.severity, self.steps)


def stored_mean(x: Array, gain: Array, stored: Array) -> Array:
    """Softmax mean over the stored (n, side, side) coefficients of what (m, side, side) degraded ones came from."""
    gap = (
        np.sum(x**2, axis=(1, 2))[:, None]
        - 2 * np.tensordot(x, gain * stored, ([1, 2], [1, 2]))
        + np.sum((gain * stored) ** 2, axis=(1, 2))
    )
    logits = -0.5 * gap / TEMPERATURE**2
    return np.tensordot(softmax(logits), stored, 1)


def shrinkage(gain: Array, stored: Array) -> tuple[Array, Array]:
    """Mean of the stored coefficients and r_k = lambda_k v_k/(lambda_k^2 v_k + rho), the best linear restorer's factors."""
    variance = stored.var(axis=0)
    return stored.mean(axis=0), gain * variance / (gain**2 * variance + FLOOR * variance.mean())


def update(rule: int, x: Array, same: Array, less: Array) -> Array:
    """The next state from x = x_s, where a restoration degraded again is ``same`` at step s and ``less`` at step s - 1."""
    return less if rule == 1 else x - same + less


def iterates(
    truth: Array, gain: Array, restorer: str, stored: Array, error: Callable[[int], Array | float], rule: int
) -> tuple[Array, Array]:
    """States and restorations of a run.

    Parameters
    ----------
    truth : (m, side, side) array
        Coefficients.
    gain : (n_steps + 1, side, side) array
    restorer : str
        One of ``RESTORERS``.
    stored : (n, side, side) array
        Coefficients of the stored images.
    error : callable
        From the step s to what is added to the restoration.
    rule : int
        1 or 2.

    Returns
    -------
    (n_steps + 1, m, side, side) array
        States x_s from s = T to 0.
    (n_steps, m, side, side) array
        Restorations of x_T … x_1.
    """
    n_steps = gain.shape[0] - 1
    x = gain[-1] * truth
    states, restored = [x], []
    for s in range(n_steps, 0, -1):
        if restorer == "perfect":
            guess = truth + error(s)
        elif restorer == "Wiener":
            mean, factor = shrinkage(gain[s], stored)
            guess = mean + factor * (x - gain[s] * mean) + error(s)
        else:
            guess = stored_mean(x, gain[s], stored) + error(s)
        x = update(rule, x, gain[s] * guess, gain[s - 1] * guess)
        states.append(x)
        restored.append(guess)
    return np.array(states), np.array(restored)


def _errors(rng: np.random.Generator, m: int, n_steps: int, delta: float, repetition: str) -> Callable[[int], Array]:
    """White errors of size delta: one for all steps, or one for each."""
    drawn = rng.standard_normal((1 if repetition == REPETITION[0] else n_steps, m, SIDE, SIDE))
    return lambda s: delta * drawn[0 if drawn.shape[0] == 1 else s - 1]


def rms(x: Array) -> Array:
    """Root mean square over the pixels of (..., side, side) images or coefficients."""
    return np.sqrt(np.mean(x**2, axis=(-2, -1)))


# --- a strip of iterates ---------------------------------------------------------------------------------------

N_SHOWN = 7
GAP = 2
ROWS = ("degraded truth", "rule 1", "rule 2")


@dataclass(frozen=True)
class Strip(Result):
    """One unseen image on its way back by both rules."""

    steps: NDArray[np.int64]  # (n_shown,) s of the images shown, falling to 0
    image: Array  # (3, n_shown, side, side)
    montage: Array  # (height, width) all of them, NaN between
    step: Array  # (n_steps + 1,) s
    error: Array  # (2, n_steps + 1) rms distance of x_s to D(x_0, s) by each rule
    blank: float  # rms distance of the mean image to the truth

    def table(self) -> pl.DataFrame:
        shape = self.image.shape
        place = np.indices(shape).reshape(4, -1)
        pixels = {
            "row": [ROWS[k] for k in place[0]],
            "image_step": self.steps[place[1]],
            "pixel_down": place[2],
            "pixel_across": place[3],
            "value": self.image.ravel(),
        }
        curves = {"step": self.step, "rms_rule_1": self.error[0], "rms_rule_2": self.error[1]}
        return pl.concat([pl.DataFrame(curves), pl.DataFrame(pixels)], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        one, two = self.error[:, -1]
        return {
            "rms error by rule 1": float(one),
            "rms error by rule 2": float(two),
            "rule 1 over rule 2": float(one / two) if two > 1e-12 else "rule 2 is exact",
            "rms of the mean image": self.blank,
        }


@experiment
@gathered(Cold, "cold")
def strip(*, restorer_error: RestorerError = 0.1, cold: Cold, seed: Seed = 0) -> Strip:
    """An unseen image degraded, then restored step by step under both rules."""
    forth, back = BASES[cold.degradation]
    stored, unseen = images()
    picked = unseen[seed % N_UNSEEN][None]
    gain, truth, memory = cold.gains, forth(picked), forth(stored)
    error = _errors(np.random.default_rng(seed), 1, cold.steps, restorer_error, cold.repetition)
    right = gain[::-1] * truth
    runs = [iterates(truth, gain, cold.restorer, memory, error, rule)[0][:, 0] for rule in (1, 2)]
    shown = np.unique(np.rint(np.linspace(0, cold.steps, N_SHOWN)).astype(int))
    image = back(np.stack([right[shown], *(run[shown] for run in runs)]))
    unit = SIDE + GAP
    montage = np.full((3 * unit - GAP, shown.size * unit - GAP), np.nan)
    for row in range(3):
        for column in range(shown.size):
            montage[row * unit : row * unit + SIDE, column * unit : column * unit + SIDE] = image[row, column]
    away = np.stack([rms(run - right) for run in runs])
    return Strip(
        cold.steps - shown,
        image,
        montage,
        cold.steps - np.arange(cold.steps + 1.0),
        away,
        float(rms(stored.mean(axis=0) - picked)[0]),
    )


# --- error against the restorer's error ------------------------------------------------------------------------

DELTAS = np.linspace(0.0, 1.0, 7)
N_DRAWN = 8  # of the unseen images, in a simulation


def theory(truth: Array, gain: Array, restorer: str, stored: Array, rule: int) -> tuple[Array, Array, Array]:
    """What the end of a run is made of, for the perfect and the Wiener restorer.

    Returns
    -------
    bias : (m, side, side) array
        x_0 found minus truth without errors.
    same, new : (side, side) arrays
        Factors of the restorer's root mean square error, one error in all steps or a new one in each.
    """
    n_steps = gain.shape[0] - 1
    mean = stored.mean(axis=0)
    # x_s - lambda(s) m = a_s; the truth minus m is u, and a_T = lambda(T) u.
    along = gain[-1] * (truth - mean)
    total, squares = np.zeros_like(mean), np.zeros_like(mean)
    for s in range(n_steps, 0, -1):
        step = gain[s - 1] - gain[s]
        if restorer == "perfect":
            factor, known = np.zeros_like(mean), truth - mean
        else:
            factor, known = shrinkage(gain[s], stored)[1], np.zeros_like(truth)
        if rule == 1:
            carry, put = gain[s - 1] * factor, gain[s - 1]
        else:
            carry, put = 1 + step * factor, step
        along = carry * along + put * known
        total = carry * total + put
        squares = carry**2 * squares + put**2
    return along - (truth - mean), np.abs(total), np.sqrt(squares)


@dataclass(frozen=True)
class ErrorLines(Result):
    """Reconstruction error against the restorer's own, by both rules."""

    delta: Array  # (n_deltas,)
    simulated: Array  # (2, n_deltas) rms over pixels, mean over images
    standard_error: Array  # (2, n_deltas)
    exact: Array | None  # (2, n_deltas) of a linear restorer; none for the stored images
    perfect: Array  # (2, n_deltas) of the perfect restorer
    repetition: str
    at: Array  # (2,)

    def table(self) -> pl.DataFrame:
        columns: dict[str, Array] = {"restorer_error": self.delta}
        for k in range(2):
            columns[f"rms_rule_{k + 1}"] = self.simulated[k]
            columns[f"standard_error_rule_{k + 1}"] = self.standard_error[k]
            columns[f"perfect_rule_{k + 1}"] = self.perfect[k]
            if self.exact is not None:
                columns[f"exact_rule_{k + 1}"] = self.exact[k]
        return pl.DataFrame(columns)

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {
            "rms error by rule 1 here": float(self.at[0]),
            "rms error by rule 2 here": float(self.at[1]),
        }
        found["rule 2's share of δ, perfect restorer"] = float(self.perfect[1, -1] / self.delta[-1])
        if self.exact is None:
            return found | {"theory": "none for stored images; gray is a perfect restorer with the same error"}
        if self.standard_error.max() > 1e-12:
            gap = np.abs(self.simulated - self.exact)[:, 1:] / np.maximum(self.standard_error[:, 1:], 1e-12)
            found["largest gap of theory and simulation (SE)"] = float(gap.max())
        return found


@experiment
@gathered(Cold, "cold")
def error_lines(*, restorer_error: RestorerError = 0.1, cold: Cold, seed: Seed = 0) -> ErrorLines:
    """Root mean square error of the restored image against the restorer's own error, by both rules."""
    forth, _ = BASES[cold.degradation]
    stored, unseen = images()
    gain, memory, truth = cold.gains, forth(stored), forth(unseen[:N_DRAWN])
    rng = np.random.default_rng(seed)
    sizes = np.append(DELTAS, restorer_error)
    # All sizes of the error in one run; the same fields, so that points of one image differ by their size only.
    fields = rng.standard_normal((1 if cold.repetition == REPETITION[0] else cold.steps, N_DRAWN, SIDE, SIDE))
    many = np.tile(truth, (sizes.size, 1, 1))

    def error(s: int) -> Array:
        one = fields[0 if fields.shape[0] == 1 else s - 1]
        return (sizes[:, None, None, None] * one).reshape(many.shape)

    found = np.empty((2, sizes.size, N_DRAWN))
    for k in range(2):
        last = iterates(many, gain, cold.restorer, memory, error, k + 1)[0][-1]
        found[k] = rms(last - many).reshape(sizes.size, N_DRAWN)

    def curve(restorer: str, rule: int) -> Array:
        bias, same, new = theory(truth, gain, restorer, memory, rule)
        factor = same if cold.repetition == REPETITION[0] else new
        square = np.mean(bias**2, axis=(1, 2)) + DELTAS[:, None] ** 2 * np.mean(factor**2)
        return np.sqrt(square).mean(axis=1)

    exact = None if cold.restorer == "stored images" else np.array([curve(cold.restorer, rule) for rule in (1, 2)])
    return ErrorLines(
        DELTAS,
        found[:, :-1].mean(axis=2),
        found[:, :-1].std(axis=2, ddof=1) / np.sqrt(N_DRAWN),
        exact,
        np.array([curve("perfect", rule) for rule in (1, 2)]),
        cold.repetition,
        found[:, -1].mean(axis=1),
    )
