"""All trees of a model laid out flat for the compiled kernel, with the table of each group filled in."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from training.attribution.groups import Condition, Group, groups_of
from training.attribution.kernel import LANES, fill_table
from training.attribution.trees import Tree
from training.errors import NotExplainable

Array = npt.NDArray[Any]

WORD: Final = 64
_MOST_BITS: Final = 12
_DEEPEST: Final = 64


class Layout(NamedTuple):
    """What the kernel reads. Arrays named ``…_start`` say where each thing's part of another array begins.

    A node's decision is one bit of its tree's ``words`` words of 64.

    Attributes:
        groups: a row a group: the bit of its first node, its nodes, the start of its conditions and of its features,
            the start of its table (below zero for a deep leaf, which has none), the features asked for above it.
        condition_bits: a row a condition and word: the bits it cares for, and what they must be. A condition in several
            words is met if it is in all of them.
        condition_places: beside it, the word, and the condition's own number within the group.
        features: the columns that each group contributes to; ``shares`` beside it are those of a deep leaf's
            conditions, in the same order.
    """

    tree_node_start: Array
    tree_group_start: Array
    node_feature: Array
    node_threshold: Array
    node_kind: Array
    node_nan_left: Array
    node_position: Array
    node_category_start: Array
    category_words: Array
    groups: Array
    group_value: Array
    condition_bits: Array
    condition_places: Array
    features: Array
    shares: Array
    table: Array
    quadrature_nodes: Array
    quadrature_weights: Array
    words: int


def layout_of(trees: Sequence[Tree], most_bytes: int) -> Layout:
    """Lay out the trees, with the largest tables that together stay within ``most_bytes``.

    Raises:
        NotExplainable: a path asks for more than 64 features.
    """
    for bits in range(_MOST_BITS, -1, -1):
        cut = [list(groups_of(tree, bits)) for tree in trees]
        entries = sum(group.table_rows(bits) * (len(group.features) + 1) for groups in cut for group in groups)
        if entries * np.dtype(np.float64).itemsize <= most_bytes:
            break
    if any(len(group.above) > _DEEPEST for groups in cut for group in groups):
        raise NotExplainable(f"A path of a tree asks for more than {_DEEPEST} features.")
    return _Builder(bits, cut).layout(trees)


class _Builder:
    """Collects the rows of all arrays, tree by tree."""

    def __init__(self, bits: int, cut: Sequence[Sequence[Group]]) -> None:
        self._bits, self._cut = bits, cut
        self._nodes: list[tuple[int, float, int, bool, int]] = []
        self._categories: list[npt.NDArray[np.uint32]] = []
        self._groups: list[tuple[int, ...]] = []
        self._values: list[float] = []
        self._conditions: list[tuple[int, int, int, int]] = []
        self._features: list[int] = []
        self._shares: list[float] = []
        self._tables: list[npt.NDArray[np.float64]] = [np.zeros(0)]
        self._entries = 0
        self._quadratures = _Quadratures(max([1, *(len(group.features) for groups in cut for group in groups)]))

    def layout(self, trees: Sequence[Tree]) -> Layout:
        node_starts, group_starts, words = [0], [0], 1
        for tree, groups in zip(trees, self._cut, strict=True):
            positions = _positions(tree, groups)
            words = max([words, *(position // WORD + 1 for position in positions.values())])
            self._add_nodes(tree, positions)
            for group in groups:
                self._add_group(tree, group, positions)
            node_starts.append(len(self._nodes))
            group_starts.append(len(self._values))
        self._groups.append((0, 0, len(self._conditions), len(self._features), 0, 0))
        feature, threshold, kind, nan_left, position = list(zip(*self._nodes, strict=True)) or [()] * 5
        return Layout(
            tree_node_start=np.array(node_starts),
            tree_group_start=np.array(group_starts),
            node_feature=np.array(feature, np.int32),
            node_threshold=np.array(threshold, np.float64),
            node_kind=np.array(kind, np.uint8),
            node_nan_left=np.array(nan_left, np.uint8),
            node_position=np.array(position, np.int32),
            node_category_start=np.cumsum([0, *map(len, self._categories)]),
            category_words=np.concatenate([np.zeros(0, np.uint32), *self._categories]),
            groups=np.array(self._groups, np.int32),
            group_value=np.array(self._values, np.float64),
            condition_bits=np.array([one[:2] for one in self._conditions], np.uint64).reshape(-1, 2),
            condition_places=np.array([one[2:] for one in self._conditions], np.uint16).reshape(-1, 2),
            features=np.array(self._features, np.int32),
            shares=np.array(self._shares, np.float64),
            table=np.concatenate(self._tables),
            quadrature_nodes=self._quadratures.nodes,
            quadrature_weights=self._quadratures.weights,
            words=words,
        )

    def _add_nodes(self, tree: Tree, positions: dict[int, int]) -> None:
        for node, position in positions.items():
            fixed = (int(tree.feature[node]), float(tree.threshold[node]), int(tree.kind[node]))
            self._nodes.append((*fixed, bool(tree.nan_left[node]), position))
            self._categories.append(tree.categories[node])

    def _add_group(self, tree: Tree, group: Group, positions: dict[int, int]) -> None:
        tabulated = group.bits <= self._bits
        first = positions[group.nodes[0]] if group.nodes else 0
        table = self._entries if tabulated else -1
        self._groups.append(
            (first, len(group.nodes), len(self._conditions), len(self._features), table, len(group.above))
        )
        self._values.append(group.leaves[0][0])
        self._features += group.features
        shares = [condition.share for condition in group.above]
        self._shares += shares + [1.0] * (len(group.features) - len(shares))
        for number, condition in enumerate(group.above):
            self._conditions += _condition_rows(condition, positions, number)
        if tabulated:
            self._tables.append(_table(tree, group, self._quadratures))
            self._entries += self._tables[-1].size


def _positions(tree: Tree, groups: Sequence[Group]) -> dict[int, int]:
    """A bit for each node. Those of a group follow each other within one word, so that they are read as one number."""
    positions: dict[int, int] = {}
    free = 0
    for group in groups:
        if free % WORD + len(group.nodes) > WORD:
            free += WORD - free % WORD
        for node in group.nodes:
            positions[node] = free
            free += 1
    for node in range(len(tree.feature)):
        if node not in positions:
            positions[node] = free
            free += 1
    return positions


def _condition_rows(
    condition: Condition, positions: dict[int, int], number: int
) -> Iterator[tuple[int, int, int, int]]:
    by_word: dict[int, tuple[int, int]] = {}
    for node, goes_left in condition.nodes.items():
        word, place = divmod(positions[node], WORD)
        care, want = by_word.get(word, (0, 0))
        by_word[word] = (care | 1 << place, want | goes_left << place)
    return ((care, want, word, number) for word, (care, want) in by_word.items())


class _Quadratures:
    """Nodes and weights for every number of conditions up to the largest, a row each, filled up with weights of 0."""

    def __init__(self, most: int) -> None:
        size = -(-((most + 1) // 2) // LANES) * LANES
        self.nodes, self.weights = np.zeros((most + 1, size)), np.zeros((most + 1, size))
        for conditions in range(1, most + 1):
            # n nodes integrate polynomials up to degree 2n − 1 exactly; here it is one below the conditions.
            count = (conditions + 1) // 2
            nodes, weights = np.polynomial.legendre.leggauss(count)
            self.nodes[conditions, :count], self.weights[conditions, :count] = (nodes + 1) / 2, weights / 2


def _table(tree: Tree, group: Group, quadratures: _Quadratures) -> npt.NDArray[np.float64]:
    """What the group's leaves contribute to its features, and the leaf's value, for each pattern.

    ``(2^bits · (features + 1),)``.
    """
    table = np.zeros((1 << group.bits, len(group.features) + 1))
    bit_of = {node: place for place, node in enumerate(group.nodes)}
    for value, path in group.leaves:
        care, want = np.zeros((2, len(group.features)), np.int64)
        share = np.ones(len(group.features))
        for feature, bit, goes_left, factor in _steps(tree, group, path, bit_of):
            place = group.features.index(feature)
            care[place] |= 1 << bit
            want[place] |= goes_left << bit
            share[place] *= factor
        asked = np.flatnonzero(care)
        count = len(asked)
        fill_table(
            table, value, asked, care[asked], want[asked], share[asked],
            quadratures.nodes[count], quadratures.weights[count],
        )  # fmt: skip
    return table.ravel()


def _steps(
    tree: Tree, group: Group, path: Sequence[tuple[int, bool, float]], bit_of: dict[int, int]
) -> Iterator[tuple[int, int, bool, float]]:
    for number, condition in enumerate(group.above):
        yield condition.feature, len(group.nodes) + number, True, condition.share
    for node, goes_left, share in path:
        yield int(tree.feature[node]), bit_of[node], goes_left, share
