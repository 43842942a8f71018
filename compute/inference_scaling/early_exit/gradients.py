r"""Backpropagation of several exit losses in stages that exchange only activations and their gradients.

Stage k holds its own parameters and exit loss L_k. It minimizes L_k + <g_k, x_k>, where g_k, the gradient of all later losses
with respect to its output x_k, is received from the next stage and held fixed; what it sends back is the gradient of that with
respect to its input. By the chain rule every parameter gets the gradient of the sum of all exit losses.

References
----------
Chen et al., EE-LLM (2023), paper 122 of the catalogue: the auxiliary loss of each stage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.parameters import Integer, Seed

Array = NDArray[np.float64]

N_INPUTS = 8
Width = Annotated[int, Integer("width", "d", low=2, high=8, help="Of each stage of the small network.")]
NetworkStages = Annotated[int, Integer("stages of the network", "K", low=2, high=6, help="Each a tanh layer with an exit head.")]


def total_loss(trunk: Array, heads: Array, x: Array, y: Array) -> Array:
    """Sum over exits of the mean squared error; stages ``trunk`` and ``heads``, ``(K, d, d)``; real or complex."""
    total = np.zeros((), dtype=np.result_type(trunk, heads))
    for weight, head in zip(trunk, heads, strict=True):
        x = np.tanh(x @ weight)
        total = total + 0.5 * np.sum((x @ head - y) ** 2) / len(y)
    return total


def staged_gradients(trunk: Array, heads: Array, x: Array, y: Array, *, send_back: bool = True) -> tuple[Array, Array]:
    """Gradients of all parameters, each stage by its own auxiliary loss.

    Parameters
    ----------
    trunk, heads : (K, d, d) arrays
    x, y : (n, d) arrays
    send_back : bool
        Whether stages receive g_k; without, each sees only its own exit loss.
    """
    entering = [x]
    for weight in trunk:
        entering.append(np.tanh(entering[-1] @ weight))
    trunk_gradient, head_gradient = np.empty_like(trunk), np.empty_like(heads)
    received = np.zeros_like(x)
    for k in range(len(trunk) - 1, -1, -1):
        output = entering[k + 1]
        error = (output @ heads[k] - y) / len(y)
        head_gradient[k] = output.T @ error
        # Gradient of L_k + <g_k, x_k> at the output, then through tanh and the weights of this stage alone.
        at_output = error @ heads[k].T + received
        before = at_output * (1 - output**2)
        trunk_gradient[k] = entering[k].T @ before
        received = before @ trunk[k].T if send_back else np.zeros_like(x)
    return trunk_gradient, head_gradient


def complex_step_gradient(trunk: Array, heads: Array, x: Array, y: Array) -> Array:
    """Gradient of the total loss with respect to ``trunk``, Im L(w + i h)/h at h = 1e-30: exact to rounding."""
    gradient = np.empty_like(trunk)
    for index in np.ndindex(trunk.shape):
        moved = trunk.astype(complex)
        moved[index] += 1e-30j
        gradient[index] = np.imag(total_loss(moved, heads, x, y)) / 1e-30
    return gradient


@dataclass(frozen=True)
class StageGradients(Result):
    """Gradient of the summed exit losses against what each stage computes."""

    whole: Array  # (K, d*d) by complex step through the whole network
    staged: Array  # (K, d*d) by auxiliary losses
    alone: Array  # (K, d*d) by each stage's own exit loss only

    def table(self) -> pl.DataFrame:
        n_stages, n = self.whole.shape
        columns = {
            "whole_network": self.whole.ravel(),
            "auxiliary_losses": self.staged.ravel(),
            "own_exit_only": self.alone.ravel(),
        }
        return pl.DataFrame({"stage": np.repeat(np.arange(1, n_stages + 1), n), **columns})

    def headline(self) -> dict[str, float | str]:
        scale = float(np.abs(self.whole).max())

        def cosine(a: Array, b: Array) -> float:
            return float(a.ravel() @ b.ravel() / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-300))

        return {
            "auxiliary losses: largest error, relative": f"{np.abs(self.staged - self.whole).max() / scale:.1e}",
            "own exit only: largest error, relative": float(np.abs(self.alone - self.whole).max() / scale),
            "own exit only: cosine, first stage": cosine(self.alone[0], self.whole[0]),
        }


@experiment
def stage_gradients(*, network_stages: NetworkStages = 3, width: Width = 4, seed: Seed = 0) -> StageGradients:
    """Gradients of a small network with an exit loss at every stage: whole, by auxiliary losses, and without what is sent back."""
    rng = np.random.default_rng(seed)
    trunk, heads = rng.standard_normal((2, network_stages, width, width)) / np.sqrt(width)
    x, y = rng.standard_normal((2, N_INPUTS, width))
    whole = complex_step_gradient(trunk, heads, x, y)
    staged = staged_gradients(trunk, heads, x, y)[0]
    alone = staged_gradients(trunk, heads, x, y, send_back=False)[0]
    return StageGradients(*(g.reshape(network_stages, -1) for g in (whole, staged, alone)))
