"""All trees of a model laid out flat for the compiled kernel, with the table of each group filled in."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from training.attribution.groups import Condition, Group, groups_of
from training.attribution.kernel import LANES, fill_table
from training.attribution.trees import NUMERICAL, Tree
from training.errors import NotExplainable

Array = npt.NDArray[Any]

WORD: Final = 64
_MOST_BITS: Final = 12
_DEEPEST: Final = 64


class Layout(NamedTuple):
    """What the kernel reads. Arrays named ``…_start`` say where each thing's part of another array begins.

    A node's decision is one bit of ``words``: one where a row goes to the left. All nodes of a column stand together,
    so that a row's value is held against sorted thresholds and only the nodes that it passes are touched (Lucchese et
    al. 2015, QuickScorer).

    Attributes:
        words: the bits of all trees, 64 to a word, as they are where every row goes to the left.
        columns: the columns that nodes ask for; ``column_start`` says where each one's nodes begin.
        apart_start: where, within a column's nodes, those begin that no threshold decides alone. Nodes before stand in
            the order of their thresholds.
        node_word: the word that has a node's bit; ``node_bit`` beside it is the bit alone.
        groups: a row a group: the bit of its first node, its nodes, the start of its conditions and of its features,
            the start of its table (below zero for a deep leaf, which has none), the features asked for above it.
        condition_bits: a row a condition and word: the bits it cares for, and what they must be. A condition in several
            words is met if it is in all of them.
        condition_places: beside it, the word, and the condition's own number within the group.
        features: the columns that each group contributes to; ``shares`` beside it are those of a deep leaf's
            conditions, in the same order.
    """

    words: Array
    columns: Array
    column_start: Array
    apart_start: Array
    node_threshold: Array
    node_kind: Array
    node_nan_left: Array
    node_word: Array
    node_bit: Array
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
        self._nodes: list[_Node] = []
        self._groups: list[tuple[int, ...]] = []
        self._values: list[float] = []
        self._conditions: list[tuple[int, int, int, int]] = []
        self._features: list[int] = []
        self._shares: list[float] = []
        self._tables: list[npt.NDArray[np.float64]] = [np.zeros(0)]
        self._entries = 0
        self._quadratures = _Quadratures(max([1, *(len(group.features) for groups in cut for group in groups)]))

    def layout(self, trees: Sequence[Tree]) -> Layout:
        free = 0
        for tree, groups in zip(trees, self._cut, strict=True):
            positions = _positions(tree, groups, free)
            free = max([free, *(position + 1 for position in positions.values())])
            self._nodes += [_node(tree, node, position) for node, position in positions.items()]
            for group in groups:
                self._add_group(tree, group, positions)
        self._groups.append((0, 0, len(self._conditions), len(self._features), 0, 0))
        return Layout(
            **_decisions(self._nodes),
            groups=np.array(self._groups, np.int32),
            group_value=np.array(self._values, np.float64),
            condition_bits=np.array([one[:2] for one in self._conditions], np.uint64).reshape(-1, 2),
            condition_places=np.array([one[2:] for one in self._conditions], np.int32).reshape(-1, 2),
            features=np.array(self._features, np.int32),
            shares=np.array(self._shares, np.float64),
            table=np.concatenate(self._tables),
            quadrature_nodes=self._quadratures.nodes,
            quadrature_weights=self._quadratures.weights,
        )

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


class _Node(NamedTuple):
    """A node as it is decided; nodes sort by their column, then those that a threshold decides by the threshold."""

    column: int
    apart: bool
    threshold: float
    position: int
    kind: int
    nan_left: bool
    categories: npt.NDArray[np.uint32]


def _node(tree: Tree, node: int, position: int) -> _Node:
    kind = int(tree.kind[node])
    return _Node(
        int(tree.feature[node]), kind != NUMERICAL, float(tree.threshold[node]), position, kind,
        bool(tree.nan_left[node]), tree.categories[node],
    )  # fmt: skip


def _decisions(nodes: Sequence[_Node]) -> dict[str, Array]:
    """The arrays of a layout that say which way a row goes at each node."""
    nodes = sorted(nodes, key=lambda node: node[:4])
    column, apart = np.array([node.column for node in nodes], np.int32), [node.apart for node in nodes]
    columns, starts, counts = np.unique(column, return_index=True, return_counts=True)
    alone = np.add.reduceat(np.array(apart, np.int64), starts) if nodes else counts
    word, place = np.divmod(np.array([node.position for node in nodes], np.int64), WORD)
    bit = np.uint64(1) << place.astype(np.uint64)
    # One word at least, for groups without a node to look at.
    all_left = np.zeros(max([0, *word]) + 1, np.uint64)
    np.bitwise_or.at(all_left, word, bit)
    return {
        "words": all_left,
        "columns": columns,
        "column_start": np.append(starts, len(nodes)),
        "apart_start": starts + counts - alone,
        "node_threshold": np.array([node.threshold for node in nodes], np.float64),
        "node_kind": np.array([node.kind for node in nodes], np.uint8),
        "node_nan_left": np.array([node.nan_left for node in nodes], np.uint8),
        "node_word": word.astype(np.int32),
        "node_bit": bit,
        "node_category_start": np.cumsum([0, *(len(node.categories) for node in nodes)]),
        "category_words": np.concatenate([np.zeros(0, np.uint32), *(node.categories for node in nodes)]),
    }


def _positions(tree: Tree, groups: Sequence[Group], free: int) -> dict[int, int]:
    """A bit for each node, from ``free`` on. Those of a group follow each other within one word, as one number."""
    positions: dict[int, int] = {}
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
