"""The compiled inner loops: decisions of all nodes, patterns of groups, contributions looked up and added.

Both rest on one formula. For a leaf of value w and a row that meets the condition on feature i or not (b_i = 1 or 0),
and where a share z_i of the rows of training that came that far met it, the Shapley value of feature j is

    w · (b_j − z_j) · ∫₀¹ Π_{i≠j} (z_i + t · (b_i − z_i)) dt,

the derivative of the multilinear extension along the diagonal (Owen 1972, Multilinear Extensions of Games, theorem 5)
of the game of Lundberg et al. (2020), From Local Explanations to Global Understanding, algorithm 1. The integrand is a
polynomial, so Gauss's quadrature gives the integral exactly.
"""

import math
from typing import Any

import numpy as np
from numba import njit

_CATEGORICAL = 2
_ZERO = float(np.float32(1e-35))
"""Up to this, LightGBM takes a value for a zero; it has the bound in single precision."""

_LINE = 8
"""Numbers in a line of the cache."""

LANES = 8
"""Quadrature nodes that are worked on side by side; LLVM makes one vector instruction of them."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def leaf_contributions(
    value: float, count: int, met: Any, share: Any, nodes: Any, weights: Any, ahead: Any, behind: Any, out: Any
) -> None:
    """Write a leaf's Shapley values of its ``count`` conditions into ``out``; ``met`` holds 0 and 1.

    ``ahead (count + 1, LANES)`` and ``behind (LANES,)`` are room to work in.
    """
    for place in range(count):
        out[place] = 0.0
    for first in range(0, (count + 1) // 2, LANES):
        for lane in range(LANES):
            ahead[count, lane] = 1.0
        for place in range(count - 1, -1, -1):
            low, rise = share[place], met[place] - share[place]
            for lane in range(LANES):
                ahead[place, lane] = ahead[place + 1, lane] * (low + nodes[first + lane] * rise)
        for lane in range(LANES):
            behind[lane] = weights[first + lane]
        for place in range(count):
            low, rise = share[place], met[place] - share[place]
            total = 0.0
            for lane in range(LANES):
                total += behind[lane] * ahead[place + 1, lane]
                behind[lane] *= low + nodes[first + lane] * rise
            out[place] += total
    for place in range(count):
        out[place] *= value * (met[place] - share[place])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def fill_table(
    table: Any, value: float, asked: Any, care: Any, want: Any, share: Any, nodes: Any, weights: Any
) -> None:
    """Add a leaf's contributions to each row (pattern) of ``table`` at the columns ``asked``.

    The last column is the value of the leaf that a pattern ends at, if it ends in this group.
    """
    count = len(asked)
    met, found = np.empty(count), np.empty(count)
    ahead, behind = np.empty((count + 1, LANES)), np.empty(LANES)
    for pattern in range(len(table)):
        reached = True
        for place in range(count):
            met[place] = 1.0 if pattern & care[place] == want[place] else 0.0
            reached = reached and met[place] == 1.0
        if reached:
            table[pattern, -1] = value
        leaf_contributions(value, count, met, share, nodes, weights, ahead, behind, found)
        for place in range(count):
            table[pattern, asked[place]] += found[place]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _goes_left(value: float, node: int, layout: Any) -> Any:
    """At a node that no threshold decides alone."""
    if layout.node_kind[node] == _CATEGORICAL:
        # LightGBM cuts a code to a whole number; below zero it is no category.
        start, end = layout.node_category_start[node], layout.node_category_start[node + 1]
        if math.isnan(value) or value <= -1.0 or value >= 32.0 * (end - start):
            return False
        code = int(value)
        return (layout.category_words[start + (code >> 5)] >> np.uint32(code & 31)) & np.uint32(1) != 0
    if math.isnan(value) or value == 0.0:
        return layout.node_nan_left[node] != 0
    return value <= layout.node_threshold[node]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _decide(row: Any, words: Any, layout: Any) -> None:
    """Take out of ``words``, where every bit is set, those of the nodes at which ``row (k,)`` goes to the right."""
    for place in range(len(layout.columns)):
        value = row[layout.columns[place]]
        if abs(value) <= _ZERO:
            value = 0.0
        first, apart, end = layout.column_start[place], layout.apart_start[place], layout.column_start[place + 1]
        if math.isnan(value):
            for node in range(first, apart):
                if layout.node_nan_left[node] == 0:
                    words[layout.node_word[node]] &= ~layout.node_bit[node]
        else:
            for node in range(first, apart):
                if value <= layout.node_threshold[node]:
                    break
                words[layout.node_word[node]] &= ~layout.node_bit[node]
        for node in range(apart, end):
            if not _goes_left(value, node, layout):
                words[layout.node_word[node]] &= ~layout.node_bit[node]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _read_ahead(table: Any, offsets: Any) -> float:
    """Read the first numbers at each offset, which may reach into the next line of the cache; below zero is none."""
    read, last = 0.0, len(table) - 1
    for place in range(len(offsets) if last >= 0 else 0):
        first = max(offsets[place], 0)
        read += table[first] + table[min(first + _LINE - 1, last)]
    return read


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def explain(rows: Any, scores: Any, out: Any, layout: Any) -> float:
    """Add the contributions of all trees to ``out (n, k)``, and their leaves to ``scores (n,)``, for ``rows (n, k)``.

    Leaves are added tree by tree, as LightGBM does, so that a score is the same to the bit: of a tree's groups one has
    the row's leaf, and the others add a zero.

    Nearly every place in the tables that a row asks for is new to the processor's cache. All places are found first and
    then read, one after the other without a branch: so the processor waits for many of them at a time instead of for
    each.

    Returns:
        The sum of what was read ahead, so that no compiler leaves it out.
    """
    words = np.empty_like(layout.words)
    widest = layout.quadrature_nodes.shape[0]
    met, share, found = np.empty(widest), np.empty(widest), np.empty(widest)
    ahead, behind = np.empty((widest + 1, LANES)), np.empty(LANES)
    groups, features, table = layout.groups, layout.features, layout.table
    bits, places = layout.condition_bits, layout.condition_places
    one, none = np.uint64(1), np.uint64(0)
    offsets, failures = np.empty(len(groups) - 1, np.int64), np.empty(len(groups) - 1, np.uint64)
    read = 0.0
    for row in range(len(rows)):
        words[:] = layout.words
        _decide(rows[row], words, layout)
        for group in range(len(offsets)):
            position, nodes, place = groups[group, 0], np.uint64(groups[group, 1]), groups[group, 4]
            failed = none
            for number in range(groups[group, 2], groups[group + 1, 2]):
                decided = words[places[number, 0]] ^ bits[number, 1]
                failed |= np.uint64(decided & bits[number, 0] != none) << np.uint64(places[number, 1])
            failures[group], offsets[group] = failed, -1
            if place >= 0:
                own = (words[position >> 6] >> np.uint64(position & 63)) & ((one << nodes) - one)
                asked = (one << np.uint64(groups[group, 5])) - one
                # Bits of what the path above asks stand above those of the group's own nodes.
                pattern = own | ((asked & ~failed) << nodes)
                offsets[group] = place + np.int64(pattern) * (groups[group + 1, 3] - groups[group, 3] + 1)
        read += _read_ahead(table, offsets)
        for group in range(len(offsets)):
            begin, count, offset = groups[group, 3], groups[group + 1, 3] - groups[group, 3], offsets[group]
            if offset >= 0:
                for column in range(count):
                    out[row, features[begin + column]] += table[offset + column]
                scores[row] += table[offset + count]
                continue
            if failures[group] == none:
                scores[row] += layout.group_value[group]
            for column in range(count):
                met[column] = 1.0 - ((failures[group] >> np.uint64(column)) & one)
                share[column] = layout.shares[begin + column]
            leaf_contributions(
                layout.group_value[group], count, met, share,
                layout.quadrature_nodes[count], layout.quadrature_weights[count], ahead, behind, found,
            )  # fmt: skip
            for column in range(count):
                out[row, features[begin + column]] += found[column]
    return read
