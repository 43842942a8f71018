"""Circuits of rotations, each angle set to its best value in turn."""

from collections.abc import Iterator

import numpy as np

from compute.diffusion_samplers.restore_and_degrade import unitary
from tests.benchmarks.kernels import Case

Array = np.ndarray


def cases() -> Iterator[Case]:
    qubits, layers = 4, 4
    overlap = np.ascontiguousarray(unitary.pairs(qubits, "shift and noise", 0.5, 0).overlap)
    for entangler in unitary.ENTANGLERS:
        yield Case(
            f"{unitary.N_SWEEPS} sweeps over {layers * qubits} angles of a circuit, {entangler}",
            lambda entangler=entangler: unitary.train(overlap, layers, np.random.default_rng(0), entangler)[1],
            "NumPy",
            lambda entangler=entangler: descend(overlap, layers, np.random.default_rng(0), entangler),
            (unitary._train, unitary._rotate_rows, unitary._entangle),
        )


def descend(overlap: Array, layers: int, rng: np.random.Generator, entangler: str) -> Array:
    """The loss after each sweep."""
    n, qubits = len(overlap), int(np.log2(len(overlap)))
    source, signs = unitary.ring(qubits, entangler)
    angles = rng.uniform(-np.pi, np.pi, (layers, qubits))
    gates = np.zeros((qubits, 2, n, n))  # the parts of each rotation along its cosine and its sine
    for q in range(qubits):
        low = np.flatnonzero(~np.arange(n) >> q & 1)
        high = low + (1 << q)
        gates[q, 0] = np.eye(n)
        gates[q, 1, low, high], gates[q, 1, high, low] = -1, 1
    ring = np.zeros((n, n))
    ring[np.arange(n), source] = signs

    def rotation(q: int, angle: float) -> Array:
        return np.cos(0.5 * angle) * gates[q, 0] + np.sin(0.5 * angle) * gates[q, 1]

    u, loss = np.eye(n), np.empty(unitary.N_SWEEPS)
    for layer in angles:
        for q, angle in enumerate(layer):
            u = rotation(q, angle) @ u
        u = ring @ u
    for sweep in range(unitary.N_SWEEPS):
        k, u = overlap @ u, np.eye(n)
        for layer in angles:
            for q in range(qubits):
                k = k @ rotation(q, layer[q]).T
                layer[q] = 2 * np.arctan2(np.vdot(gates[q, 1].T, k), np.trace(k))
                gate = rotation(q, layer[q])
                k, u = gate @ k, gate @ u
            u, k = ring @ u, ring @ k @ ring.T
        loss[sweep] = 2 - 2 * np.trace(k)
    return loss
