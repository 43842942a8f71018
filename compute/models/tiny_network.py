r"""Small fully connected networks, many replicas at once, trained for real.

A network of layers W^1 … W^L, with or without biases, maps x to

    h^0 = x,    h^l = activation(W^l h^{l-1} + b^l),    f = W^L h^{L-1} + b^L,

on the loss (1/P) sum_p |f(x_p) - y_p|^2. Every array has the replicas (seeds, say) as its first axis, so that one matrix
product serves all of them; samples are columns. Gradients are by hand and exact.

Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1, for ``Adam``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compute.kernel import kernel

Array = NDArray[np.float64]
Weights = list[Array]


def _relu(a: Array) -> tuple[Array, Array]:
    on = a > 0
    return a * on, on.astype(float)


def _silu(a: Array) -> tuple[Array, Array]:
    gate = 0.5 * (1 + np.tanh(0.5 * a))  # overflows nowhere
    h = a * gate
    return h, gate + h * (1 - gate)


def _tanh(a: Array) -> tuple[Array, Array]:
    h = np.tanh(a)
    return h, 1 - h * h


# Value and derivative at once: they share what is dear.
ACTIVATIONS: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "relu": _relu,
    "silu": _silu,
    "tanh": _tanh,
    "linear": lambda a: (a, np.ones_like(a)),
}


@dataclass
class Network:
    """Replicas of one architecture.

    Parameters
    ----------
    weights : list of (n_replicas, n_out, n_in) arrays
    biases : list of (n_replicas, n_out, 1) arrays
        Empty for a network without.
    activation : str
        One of ``ACTIVATIONS``.
    """

    weights: Weights
    biases: Weights = field(default_factory=list)
    activation: str = "relu"

    @property
    def parameters(self) -> Weights:
        """Weights, then biases: the arrays themselves."""
        return [*self.weights, *self.biases]

    def layers(self, x: Array) -> list[tuple[Array, Array]]:
        """(value, derivative of the activation) of every layer, the output last with derivative 1."""
        value, found = x, []
        for k, weight in enumerate(self.weights):
            a = weight @ value
            if self.biases:
                a = a + self.biases[k]
            value, slope = ACTIVATIONS[self.activation if k < len(self.weights) - 1 else "linear"](a)
            found.append((value, slope))
        return found

    def __call__(self, x: Array) -> Array:
        """(n_replicas, n_out, n_samples) outputs at (n_in, n_samples) inputs, shared or with a replica axis."""
        return self.layers(x)[-1][0]

    def gradient(self, x: Array, y: Array) -> tuple[Array, Weights]:
        """Loss of each replica before the step, (n_replicas,), and its gradient in the order of ``parameters``."""
        found = self.layers(x)
        miss = found[-1][0] - y
        n = miss.shape[-1]
        loss = np.sum(miss * miss, axis=(1, 2)) / n
        back = 2 / n * miss
        of_weights: Weights = []
        of_biases: Weights = []
        for k in range(len(self.weights) - 1, -1, -1):
            below = found[k - 1][0] if k else x
            of_weights.append(back @ below.mT)
            if self.biases:
                of_biases.append(back.sum(axis=-1, keepdims=True))
            if k:
                back = self.weights[k].mT @ back * found[k - 1][1]
        return loss, [*of_weights[::-1], *of_biases[::-1]]


class Descent:
    """Gradient descent; ``rates`` are one number for each parameter array.

    Parameter arrays are moved in place, from one row of numbers a replica: few large operations where there are many
    small layers.
    """

    def __init__(self, parameters: Weights, rates: Sequence[float]) -> None:
        self.parameters = parameters
        self.rates = np.concatenate([np.full(p[0].size, rate) for p, rate in zip(parameters, rates, strict=True)])
        self.ends = np.cumsum([p[0].size for p in parameters])

    def step(self, gradient: Weights, scale: float = 1.0) -> None:
        """Move the parameters, in place; ``scale`` is the schedule's."""
        flat = np.concatenate([g.reshape(g.shape[0], -1) for g in gradient], axis=1)
        move = scale * self.rates * self.direction(flat)
        for parameter, end in zip(self.parameters, self.ends, strict=True):
            parameter -= move[:, end - parameter[0].size : end].reshape(parameter.shape)  # noqa: PLW2901  in place

    def direction(self, gradient: Array) -> Array:
        """What is taken rate times from the parameters, (n_replicas, n_parameters) both."""
        return gradient


class SignDescent(Descent):
    """Descent by the sign of the gradient."""

    def direction(self, gradient: Array) -> Array:
        return np.sign(gradient)


@kernel
def _adam(gradient, first, second, move, beta_1, beta_2, scale_1, scale_2, epsilon):  # type: ignore[no-untyped-def]
    """Both moments and the move, in place and in one pass; NumPy's division, unlike Python's, is of many numbers at once."""
    for r in range(gradient.shape[0]):
        for i in range(gradient.shape[1]):
            first[r, i] += (1 - beta_1) * (gradient[r, i] - first[r, i])
            second[r, i] += (1 - beta_2) * (gradient[r, i] * gradient[r, i] - second[r, i])
            root = np.sqrt(np.true_divide(second[r, i], scale_2))
            move[r, i] = np.true_divide(np.true_divide(first[r, i], scale_1), root + epsilon)


class Adam(Descent):
    """Adam, with its usual constants."""

    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8

    def __init__(self, parameters: Weights, rates: Sequence[float]) -> None:
        super().__init__(parameters, rates)
        self.count = 0
        self.first = np.zeros((parameters[0].shape[0], self.rates.size))
        self.second = np.zeros_like(self.first)
        self.move = np.zeros_like(self.first)

    def direction(self, gradient: Array) -> Array:
        self.count += 1
        scales = 1 - self.beta_1**self.count, 1 - self.beta_2**self.count
        _adam(gradient, self.first, self.second, self.move, self.beta_1, self.beta_2, *scales, self.epsilon)
        return self.move


OPTIMIZERS: dict[str, type[Descent]] = {"sgd": Descent, "adam": Adam, "sign": SignDescent}


def cosine(step: int, n_steps: int) -> float:
    """A schedule from 1 to 0."""
    return 0.5 * (1 + np.cos(np.pi * step / n_steps))
