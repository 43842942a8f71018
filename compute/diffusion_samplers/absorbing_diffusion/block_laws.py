r"""The law of words uncovered on a time grid, exactly and for every grid at once.

Given the ordered partition of the l letters into the blocks that appear together, the word's law is the product, block
by block, of marginals given the blocks before. Letters choose their steps independently, with probabilities q_1, ..., q_n, so
that the partition's probability depends on its block sizes b = (b_1, ..., b_m) alone:

    P(partition) = sum over k_1 < ... < k_m of q_{k_1}^{b_1} ... q_{k_m}^{b_m},

a quasi-symmetric function of the steps. There are 2^(l - 1) compositions b of l: the sums L_b(x) of product laws over the
partitions of sizes b are computed once, and the law of any schedule and any n is a mixture of them.
A composition of s is a bit mask of the places, 1 to s - 1, at which a block ends.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compute.kernel import kernel
from compute.models.token_chain import TokenChain, _conditional

Array = NDArray[np.float64]


@kernel
def _sum_blocks(n_tokens, length, stationary, powers):  # type: ignore[no-untyped-def]
    """(V^l, 2^(l-1)) sums over ordered partitions; a state has a digit a letter, base V + 1, the last one hidden."""
    base = n_tokens + 1
    n_states = base**length
    place = np.empty(length, dtype=np.int64)
    for i in range(length):
        place[i] = base ** (length - 1 - i)
    offset = np.empty(n_states + 1, dtype=np.int64)
    offset[0] = 0
    for state in range(n_states):
        shown = 0
        for i in range(length):
            shown += (state // place[i]) % base != n_tokens
        offset[state + 1] = offset[state] + (1 << max(shown - 1, 0))
    total = np.zeros(offset[n_states])
    total[offset[n_states - 1]] = 1.0  # all hidden
    word = np.empty(length, dtype=np.int64)
    known = np.empty(length, dtype=np.bool_)
    hidden = np.empty(length, dtype=np.int64)
    choice = np.empty(length, dtype=np.int64)
    law = np.empty((length, n_tokens))
    product = np.empty(length + 1)
    target = np.empty(length + 1, dtype=np.int64)
    product[0] = 1.0
    # Uncovering a letter lowers its digit, so that states fed by others come after them on the way down.
    for state in range(n_states - 1, -1, -1):
        n_hidden = 0
        for i in range(length):
            word[i] = (state // place[i]) % base
            known[i] = word[i] < n_tokens
            if not known[i]:
                hidden[n_hidden] = i
                n_hidden += 1
        if n_hidden == 0:
            continue
        for j in range(n_hidden):
            _conditional(word, known, hidden[j], stationary, powers, law[j])
        shown = length - n_hidden
        cut = 1 << (shown - 1) if shown > 0 else 0
        n_masks = 1 << max(shown - 1, 0)
        # An odometer over the hidden letters: each stays hidden (V) or appears as one of V tokens.
        target[0] = state
        choice[:n_hidden] = n_tokens
        depth = 0
        while True:
            for j in range(depth, n_hidden):
                c = choice[j]
                product[j + 1] = product[j] if c == n_tokens else product[j] * law[j, c]
                target[j + 1] = target[j] - (n_tokens - c) * place[hidden[j]]
            to = target[n_hidden]
            if to != state:
                for mask in range(n_masks):
                    total[offset[to] + mask + cut] += product[n_hidden] * total[offset[state] + mask]
            depth = n_hidden - 1
            while depth >= 0 and choice[depth] == 0:
                choice[depth] = n_tokens
                depth -= 1
            if depth < 0:
                break
            choice[depth] -= 1
    out = np.empty((n_tokens**length, 1 << (length - 1)))
    for row in range(out.shape[0]):
        state, rest = 0, row
        for i in range(length - 1, -1, -1):
            state += (rest % n_tokens) * place[i]
            rest //= n_tokens
        for mask in range(out.shape[1]):
            out[row, mask] = total[offset[state] + mask]
    return out


@kernel
def _weigh_steps(masses, length):  # type: ignore[no-untyped-def]
    """(2^(l-1),) quasi-symmetric functions of the steps, by mask."""
    weight = np.zeros((length + 1, 1 << (length - 1)))
    weight[0, 0] = 1.0
    for q in masses:
        # Largest sizes first: a step contributes one block only.
        for size in range(length, 0, -1):
            power = 1.0
            for block in range(1, size + 1):
                power *= q
                before = size - block
                cut = 1 << (before - 1) if before > 0 else 0
                for mask in range(1 << max(before - 1, 0)):
                    weight[size, mask + cut] += power * weight[before, mask]
    return weight[length]


class BlockLaws:
    """Laws of all words of a chain, by the sizes of the blocks in which they are uncovered.

    Parameters
    ----------
    chain : TokenChain
        Of V^l words in all; cost and memory grow as (3V + 1)^l and (2V + 1)^l.
    """

    def __init__(self, chain: TokenChain) -> None:
        self.length = chain.length
        self._sums = _sum_blocks(chain.n_tokens, chain.length, chain.stationary, chain.powers)

    def law(self, masses: Array) -> Array:
        """(V^l,) law of the words on a grid whose steps uncover a letter with these probabilities."""
        return self._sums @ _weigh_steps(np.asarray(masses, dtype=float), self.length)
