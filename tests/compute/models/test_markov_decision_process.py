"""A gridworld's values against closed forms, a linear program and simulated walks."""

import numpy as np
import pytest
from scipy.optimize import linprog

from compute.models.markov_decision_process import greedy_policy, gridworld, policy_value, value_iteration


def test_without_slips_the_value_is_the_shortest_path():
    value = value_iteration(gridworld(6, 0.0), 0.95)
    for state in range(35):
        distance = (5 - state % 6) + (5 - state // 6)
        assert value[state] == pytest.approx(0.95 ** (distance - 1), rel=1e-9)


def test_optimal_values_solve_the_linear_program():
    process, discount = gridworld(4, 0.3), 0.9
    value = value_iteration(process, discount)
    # min sum V subject to V >= r + gamma P V for every action.
    upper = np.concatenate([discount * process.transition[:, a] - np.eye(16) for a in range(4)])
    found = linprog(np.ones(16), A_ub=upper, b_ub=-process.reward.T.ravel(), bounds=(None, None))
    assert value == pytest.approx(found.x, abs=1e-7)
    assert policy_value(process, discount, greedy_policy(process, discount, value)) == pytest.approx(value, abs=1e-9)


def test_value_of_the_random_policy_is_that_of_random_walks():
    process, discount = gridworld(3, 0.2), 0.9
    exact = policy_value(process, discount, np.full((9, 4), 0.25))[0]
    rng = np.random.default_rng(0)
    returns = []
    for _ in range(3000):
        state, worth = 0, 1.0
        while True:
            # A slip of a random action is a random action.
            state = rng.choice(9, p=process.transition[state].mean(axis=0))
            if state == 8:
                returns.append(worth)
                break
            worth *= discount
    assert abs(np.mean(returns) - exact) < 4 * np.std(returns) / np.sqrt(3000)


def test_rows_are_probabilities_and_the_goal_ends():
    process = gridworld(5, 0.4)
    assert process.transition.sum(axis=2)[:-1] == pytest.approx(1)
    assert not process.transition[-1].any() and not process.reward[-1].any()
