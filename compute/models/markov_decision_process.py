r"""Finite Markov decision processes: a gridworld, its optimal values, and the value of any policy.

States s, actions a, transitions P(s'|s, a), expected rewards r(s, a), discount gamma. The optimal values solve
V(s) = max_a [r(s, a) + gamma sum_s' P(s'|s, a) V(s')]; those of a policy pi are (I - gamma P_pi)^{-1} r_pi.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MOVES = ((1, 0), (-1, 0), (0, 1), (0, -1))


@dataclass(frozen=True)
class DecisionProcess:
    """A finite process.

    Parameters
    ----------
    transition : (n_states, n_actions, n_states) array
        Rows sum to 1, or to 0 where the episode has ended.
    reward : (n_states, n_actions) array
        Expected reward of an action.
    """

    transition: Array
    reward: Array

    @property
    def n_states(self) -> int:
        return int(self.reward.shape[0])

    @property
    def n_actions(self) -> int:
        return int(self.reward.shape[1])


def neighbor(state: int, move: tuple[int, int], size: int) -> int:
    """Where a move leads on a size x size grid; into a wall, nowhere."""
    x, y = state % size + move[0], state // size + move[1]
    return y * size + x if 0 <= x < size and 0 <= y < size else state


def gridworld(size: int, slip: float) -> DecisionProcess:
    """From one corner, state 0, to the other, the last state, whose entry pays 1 and ends the episode.

    With probability ``slip`` the move is one of the four at random.
    """
    goal = size * size - 1
    transition = np.zeros((size * size, 4, size * size))
    for state in range(goal):
        ends = [neighbor(state, move, size) for move in MOVES]
        for action in range(4):
            transition[state, action, ends[action]] += 1 - slip
            for end in ends:
                transition[state, action, end] += slip / 4
    return DecisionProcess(transition, transition[:, :, goal].copy())


def value_iteration(process: DecisionProcess, discount: float, *, tolerance: float = 1e-12) -> Array:
    """(n_states,) optimal values, discount below 1."""
    value = np.zeros(process.n_states)
    while True:
        new = np.max(process.reward + discount * process.transition @ value, axis=1)
        if np.max(np.abs(new - value)) < tolerance * (1 - discount):
            return new
        value = new


def greedy_policy(process: DecisionProcess, discount: float, value: Array) -> Array:
    """(n_states, n_actions) probability 1 on the best action, ties to the first."""
    best = np.argmax(process.reward + discount * process.transition @ value, axis=1)
    return np.eye(process.n_actions)[best]


def policy_value(process: DecisionProcess, discount: float, policy: Array) -> Array:
    """(n_states,) values of a policy of shape (n_states, n_actions)."""
    step = np.einsum("sa,sat->st", policy, process.transition)
    reward = np.sum(policy * process.reward, axis=1)
    return np.asarray(np.linalg.solve(np.eye(process.n_states) - discount * step, reward))
