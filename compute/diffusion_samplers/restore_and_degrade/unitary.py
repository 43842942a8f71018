r"""A unitary restorer: a circuit of rotations on amplitudes, its best loss, and what it cannot do.

Images are unit vectors in R^(2^q), amplitudes of q qubits (a miniature of paper 157). L layers, each a rotation R_Y of every
qubit and a ring of two-qubit gates, make an orthogonal U. With controlled nots these generate all turns of R^(2^q); with
controlled signs, all at once, only a small group (24 of 120 dimensions for four qubits). With M = E[y x^T] over clean images x and corrupted ones y, both of length 1,

    E|U y - x|^2 = 2 - 2 tr(U M) >= 2 - 2 |M|_*   (sum of singular values: orthogonal Procrustes),

and 4 times the least singular value more where the best map is a reflection: with three qubits or more every gate has
determinant 1 (Kabsch).

tr(U M) is a cos(theta/2) + b sin(theta/2) in each angle, so that each angle can be set to its best value in turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.kernel import kernel
from compute.parameters import Choice, Integer, Real, Seed

Array = NDArray[np.float64]

ENTANGLERS = ("CNOT ring", "CZ ring")
CORRUPTIONS = ("shift and noise", "noise")
N_DRAWS = 4000
N_TRAINED = (1, 2, 3, 4, 6, 8, 12, 16, 24)
N_STARTS = 3
N_SWEEPS = 40
N_REPEATS = 9

Qubits = Annotated[int, Integer("qubits", "q", low=3, high=6, help="Images have 2^q pixels.")]
Layers = Annotated[
    int, Integer("layers", "L", low=1, high=24, help="Of the circuit used again and again; each has one angle a qubit.")
]
Corruption = Annotated[
    str, Choice("corruption", options=CORRUPTIONS, help="Noise alone, or a turn of the image by one pixel before it.")
]
NoiseShare = Annotated[
    float,
    Real("noise share", r"\nu", low=0.0, high=1.0, help="y is (1 − ν) x + ν z, z of mean square length 1, scaled to length 1."),
]


@kernel
def _rotate_rows(a, stride, cosine, sine):  # type: ignore[no-untyped-def]
    """R_Y on one qubit from the left, in place."""
    n = a.shape[0]
    for i in range(n):
        if not i & stride:
            for j in range(a.shape[1]):
                low, high = a[i, j], a[i + stride, j]
                a[i, j] = cosine * low - sine * high
                a[i + stride, j] = sine * low + cosine * high


@kernel
def _entangle(a, source, signs):  # type: ignore[no-untyped-def]
    """The ring of two-qubit gates from the left: a permutation of rows, with signs."""
    out = np.empty(a.shape)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = signs[i] * a[source[i], j]
    return out


@kernel
def _train(overlap, source, signs, angles, n_sweeps):  # type: ignore[no-untyped-def]
    """Set each angle to its best value in turn, in place; returns the loss after each sweep.

    With k the product of all gates before one, of M and of all gates after it, tr(U M) = tr(gate k).
    """
    n_layers, n_qubits = angles.shape
    n = overlap.shape[0]
    loss = np.empty(n_sweeps)
    u = np.eye(n)
    for layer in range(n_layers):
        for q in range(n_qubits):
            _rotate_rows(u, 1 << q, np.cos(0.5 * angles[layer, q]), np.sin(0.5 * angles[layer, q]))
        u = _entangle(u, source, signs)
    for sweep in range(n_sweeps):
        k = overlap @ u
        u = np.eye(n)
        for layer in range(n_layers):
            for q in range(n_qubits):
                stride = 1 << q
                cosine, sine = np.cos(0.5 * angles[layer, q]), np.sin(0.5 * angles[layer, q])
                # k <- k gate^T, and the parts of tr(gate k) along cos and sin.
                a, b = 0.0, 0.0
                for i in range(n):
                    row = k[i]
                    for j in range(n):
                        if not j & stride:
                            low, high = row[j], row[j + stride]
                            row[j] = cosine * low - sine * high
                            row[j + stride] = sine * low + cosine * high
                for i in range(n):
                    a += k[i, i]
                    if not i & stride:
                        b += k[i, i + stride] - k[i + stride, i]
                angles[layer, q] = 2 * np.arctan2(b, a)
                cosine, sine = np.cos(0.5 * angles[layer, q]), np.sin(0.5 * angles[layer, q])
                _rotate_rows(k, stride, cosine, sine)
                _rotate_rows(u, stride, cosine, sine)
            u = _entangle(u, source, signs)
            k = _entangle(_entangle(k, source, signs).T, source, signs).T.copy()
        trace = 0.0
        for i in range(n):
            trace += k[i, i]
        loss[sweep] = 2 - 2 * trace
    return loss


def ring(n_qubits: int, entangler: str) -> tuple[NDArray[np.int64], Array]:
    """The rows that a ring of two-qubit gates puts in each place, and their signs; both (2^q,)."""
    index = np.arange(2**n_qubits)
    bits = (index[:, None] >> np.arange(n_qubits)) & 1
    if entangler == "CZ ring":
        pairs = bits * np.roll(bits, -1, axis=1)
        return index, 1.0 - 2.0 * (pairs.sum(axis=1) % 2)
    # Qubit 0 controls 1, then 1 controls 2, …: where each basis state goes, and from that where each comes from.
    for q in range(n_qubits):
        bits[:, (q + 1) % n_qubits] ^= bits[:, q]
    return np.argsort(bits @ (1 << np.arange(n_qubits))), np.ones(index.size)


def circuit(angles: Array, entangler: str = "CNOT ring") -> Array:
    """(n, n) orthogonal matrix of a circuit with (n_layers, n_qubits) angles."""
    n_qubits = angles.shape[1]
    source, signs = ring(n_qubits, entangler)
    u = np.eye(2**n_qubits)
    for layer in angles:
        for q, angle in enumerate(layer):
            _rotate_rows(u, 1 << q, np.cos(0.5 * angle), np.sin(0.5 * angle))
        u = signs[:, None] * u[source]
    return u


def train(
    overlap: Array, n_layers: int, rng: np.random.Generator, entangler: str = "CNOT ring", n_sweeps: int = N_SWEEPS
) -> tuple[Array, Array]:
    """(n_layers, n_qubits) angles and the loss 2 - 2 tr(U M) after each sweep from a random start; M is ``overlap``."""
    n_qubits = int(np.log2(overlap.shape[0]))
    angles = rng.uniform(-np.pi, np.pi, (n_layers, n_qubits))
    return angles, _train(overlap, *ring(n_qubits, entangler), angles, n_sweeps)


# --- pairs of images ----------------------------------------------------------------------------------------------


def clean_images(n_qubits: int, n: int, rng: np.random.Generator) -> Array:
    """(n, 2^q) bumps of two classes, wide and narrow, anywhere on a ring of pixels; of length 1."""
    size = 2**n_qubits
    center, width = rng.uniform(0, size, n), np.where(rng.random(n) < 0.5, 0.06, 0.15) * size
    gap = np.abs((np.arange(size) - center[:, None] + 0.5 * size) % size - 0.5 * size)
    x = np.exp(-0.5 * (gap / width[:, None]) ** 2)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def corrupt(x: Array, corruption: str, noise: float, rng: np.random.Generator) -> Array:
    """(n, size) corrupted images, of length 1."""
    moved = np.roll(x, 1, axis=1) if corruption == CORRUPTIONS[0] else x
    y = (1 - noise) * moved + noise * rng.standard_normal(x.shape) / np.sqrt(x.shape[1])
    return y / np.linalg.norm(y, axis=1, keepdims=True)


def best_turn(overlap: Array) -> float:
    """The largest tr(U M) of any U with determinant 1."""
    left, singular, right = np.linalg.svd(overlap)
    is_turn = np.linalg.det(left @ right) > 0
    return float(singular.sum() - (0 if is_turn else 2 * singular[-1]))


@dataclass(frozen=True, eq=False)
class Pairs:
    """Moments of clean and corrupted images, and the restorers that follow from them."""

    x: Array  # (n, size)
    y: Array  # (n, size)

    @property
    def overlap(self) -> Array:
        """M = E[y x^T]."""
        return self.y.T @ self.x / self.x.shape[0]

    @property
    def floor(self) -> float:
        """Least loss of any rotation."""
        return 2 - 2 * best_turn(self.overlap)

    @property
    def linear(self) -> Array:
        """The best linear map, x ~ A y; a whiff of ridge where there is no noise."""
        second = self.y.T @ self.y / self.x.shape[0]
        ridge = 1e-6 * np.trace(second) / second.shape[0]
        return np.linalg.solve(second + ridge * np.eye(second.shape[0]), self.overlap).T

    def loss(self, matrix: Array) -> float:
        return float(np.mean(np.sum((self.y @ matrix.T - self.x) ** 2, axis=1)))


@lru_cache(maxsize=16)
def pairs(n_qubits: int, corruption: str, noise: float, seed: int) -> Pairs:
    rng = np.random.default_rng([seed, n_qubits])
    x = clean_images(n_qubits, N_DRAWS, rng)
    return Pairs(x, corrupt(x, corruption, noise, rng))


# --- the view ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CircuitLoss(Result):
    """Loss of trained circuits against their size, and distances under repeats."""

    layers: Array  # (n_sizes,)
    n_angles: Array  # (n_sizes,)
    loss: dict[str, Array]  # (n_starts, n_sizes) by the two-qubit gates
    floor: float
    identity: float
    linear: float
    repeats: Array  # (n_repeats,)
    spread_unitary: Array  # (n_repeats,) rms distance of corrupted copies of one image to their mean, over that at the start
    spread_linear: Array  # (n_repeats,)
    at_layers: int
    at_loss: float

    def table(self) -> pl.DataFrame:
        parts = []
        for name, loss in self.loss.items():
            gates = [name] * self.layers.size
            parts.append(
                pl.DataFrame({"gates": gates, "layers": self.layers, "angles": self.n_angles, "loss_best": loss.min(axis=0)})
            )
            gates = [name] * loss.size
            parts.append(pl.DataFrame({"gates": gates, "angles": np.tile(self.n_angles, loss.shape[0]), "loss": loss.ravel()}))
        spread = pl.DataFrame(
            {"repeats": self.repeats, "spread_unitary": self.spread_unitary, "spread_best_linear": self.spread_linear}
        )
        levels = pl.DataFrame(
            {"restorer": ["best rotation", "identity", "best linear"], "loss": [self.floor, self.identity, self.linear]}
        )
        return pl.concat([*parts, spread, levels], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            f"loss of {self.at_layers} layers with CNOT": self.at_loss,
            "above the floor by": self.at_loss - self.floor,
            "loss of the best rotation (floor)": self.floor,
            "loss of doing nothing": self.identity,
            "loss of the best linear map": self.linear,
        }


@experiment
def circuit_loss(
    *,
    qubits: Qubits = 4,
    layers: Layers = 4,
    corruption: Corruption = "shift and noise",
    noise_share: NoiseShare = 0.5,
    seed: Seed = 0,
) -> CircuitLoss:
    """Loss of trained unitary restorers against their number of angles, and how repeats act on noise."""
    data = pairs(qubits, corruption, noise_share, seed)
    overlap = np.ascontiguousarray(data.overlap)
    rng = np.random.default_rng([seed, 1])
    sizes = np.unique([*N_TRAINED, layers])
    loss = {name: np.empty((N_STARTS, sizes.size)) for name in ENTANGLERS}
    kept = np.empty((layers, qubits))
    for name, values in loss.items():
        for k, n_layers in enumerate(sizes):
            runs = [train(overlap, int(n_layers), rng, name) for _ in range(N_STARTS)]
            values[:, k] = [losses[-1] for _, losses in runs]
            if n_layers == layers and name == ENTANGLERS[0]:
                kept = min(runs, key=lambda run: float(run[1][-1]))[0]
    u, linear = circuit(kept), data.linear
    copies = corrupt(np.repeat(data.x[:1], 200, axis=0), corruption, noise_share, rng)
    at = loss[ENTANGLERS[0]][:, np.flatnonzero(sizes == layers)[0]].min()
    return CircuitLoss(
        sizes.astype(float),
        sizes * float(qubits),
        loss,
        data.floor,
        data.loss(np.eye(2**qubits)),
        data.loss(linear),
        np.arange(N_REPEATS, dtype=float),
        _spreads(copies, u),
        _spreads(copies, linear),
        layers,
        float(at),
    )


def _spreads(copies: Array, matrix: Array) -> Array:
    """(n_repeats,) root mean square distance of copies to their mean after k uses of a map, over that before.

    After each use the image is brought back to length 1, which a unitary keeps by itself.
    """
    found = []
    for _ in range(N_REPEATS):
        found.append(np.sqrt(np.mean((copies - copies.mean(axis=0)) ** 2)))
        moved = copies @ matrix.T
        copies = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    # Copies without noise are one image: there is no spread to change.
    return np.array(found) / found[0] if found[0] > 1e-12 else np.ones(N_REPEATS)
