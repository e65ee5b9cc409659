"""Groups of leaves whose share in an explanation can be read from one table.

Within a tree, the contribution of a leaf to a feature depends on the row only through which conditions of the leaf's
path the row meets. Leaves of one subtree share the path down to it. So a tree is cut into subtrees that have at most
so many conditions (one for each feature of the path above, one for each node inside), and a table holds, for each
pattern of met conditions, what all leaves of the subtree together contribute to each feature. A leaf with more
conditions above it than that is computed when it is asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from training.attribution.trees import Tree


@dataclass(frozen=True, slots=True)
class Condition:
    """What a path asks of one feature: at each of ``nodes``, whether the row must go to the left."""

    feature: int
    nodes: dict[int, bool]
    share: float
    """The share of rows that meet it, were all other features unknown: the product of the splits' own shares."""


@dataclass(frozen=True, slots=True)
class Group:
    """A subtree (or a single leaf): the conditions above it, its inner nodes in preorder, its leaves.

    ``leaves`` holds for each leaf its value and its path below the group's root as ``(node, goes_left, share)``.
    """

    above: tuple[Condition, ...]
    nodes: tuple[int, ...]
    leaves: tuple[tuple[float, tuple[tuple[int, bool, float], ...]], ...]
    features: tuple[int, ...]

    @property
    def bits(self) -> int:
        """Conditions that tell one row from another: the table has two to the power of this many rows."""
        return len(self.above) + len(self.nodes)

    def table_rows(self, most_bits: int) -> int:
        """Rows of its table; none if it has more conditions than a table may have."""
        return 1 << self.bits if self.bits <= most_bits else 0


@dataclass(slots=True)
class _Subtree:
    nodes: list[int] = field(default_factory=list)
    leaves: list[tuple[float, tuple[tuple[int, bool, float], ...]]] = field(default_factory=list)


def groups_of(tree: Tree, most_bits: int) -> Iterator[Group]:
    """Cut a tree into the largest subtrees with at most ``most_bits`` conditions; deeper leaves stand alone."""
    # A tree without splits is a leaf.
    waiting: list[tuple[int, tuple[Condition, ...]]] = [(0 if len(tree.feature) else ~0, ())]
    sizes = _inner_nodes(tree)
    while waiting:
        node, above = waiting.pop()
        inner = sizes[node] if node >= 0 else 0
        if node < 0 or len(above) + inner <= most_bits:
            yield _group(tree, node, above)
            continue
        for child, goes_left in ((tree.right[node], False), (tree.left[node], True)):
            waiting.append((int(child), _with(above, tree, node, goes_left=goes_left)))


def _inner_nodes(tree: Tree) -> list[int]:
    sizes = [1] * len(tree.feature)
    # A child has a higher number than its parent: LightGBM numbers nodes as it splits.
    for node in range(len(sizes) - 1, -1, -1):
        sizes[node] += sum(sizes[child] for child in (tree.left[node], tree.right[node]) if child >= 0)
    return sizes


def _share(tree: Tree, node: int, *, goes_left: bool) -> float:
    child = int((tree.left if goes_left else tree.right)[node])
    rows = tree.node_share[child] if child >= 0 else tree.leaf_share[~child]
    return float(rows / tree.node_share[node])


def _with(above: tuple[Condition, ...], tree: Tree, node: int, *, goes_left: bool) -> tuple[Condition, ...]:
    feature, share = int(tree.feature[node]), _share(tree, node, goes_left=goes_left)
    for place, known in enumerate(above):
        if known.feature == feature:
            joined = Condition(feature, known.nodes | {node: goes_left}, known.share * share)
            return (*above[:place], joined, *above[place + 1 :])
    return (*above, Condition(feature, {node: goes_left}, share))


def _group(tree: Tree, root: int, above: tuple[Condition, ...]) -> Group:
    found = _Subtree()
    waiting: list[tuple[int, tuple[tuple[int, bool, float], ...]]] = [(root, ())]
    while waiting:
        node, path = waiting.pop()
        if node < 0:
            found.leaves.append((float(tree.leaf_value[~node]), path))
            continue
        found.nodes.append(node)
        for child, goes_left in ((tree.right[node], False), (tree.left[node], True)):
            step = (node, goes_left, _share(tree, node, goes_left=goes_left))
            waiting.append((int(child), (*path, step)))
    inside = (int(tree.feature[node]) for node in found.nodes)
    features = dict.fromkeys([*(condition.feature for condition in above), *inside])
    return Group(above, tuple(found.nodes), tuple(found.leaves), tuple(features))
