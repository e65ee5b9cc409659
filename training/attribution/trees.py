"""The trees of a LightGBM model as plain arrays, read from its text."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.errors import NotExplainable
from training.model import Booster

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_CATEGORICAL: Final = 1
_DEFAULT_LEFT: Final = 2
_MISSING_BITS: Final = 2
_MISSING_IS_ZERO: Final = 1
_MISSING_IS_NAN: Final = 2

NUMERICAL: Final = 0
ZERO_IS_MISSING: Final = 1
CATEGORICAL: Final = 2


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree; arrays have an entry an inner node or a leaf. A child below 0 is the leaf ``~child``.

    Attributes:
        feature: which column a node asks for.
        threshold: a numerical node sends values up to this one to the left.
        kind: ``NUMERICAL``, ``ZERO_IS_MISSING`` (zeros go where missing values go) or ``CATEGORICAL``.
        nan_left: whether a missing value goes to the left.
        categories: for each node the bit set of the categories that go to the left, 32 to a word.
        left: the left child of each node.
        right: the right child of each node.
        node_share: rows of training that reached a node, of all that the tree was grown on.
        leaf_share: the same of leaves.
        leaf_value: what each leaf adds to the raw score.
    """

    feature: Integers
    threshold: Floats
    kind: npt.NDArray[np.uint8]
    nan_left: npt.NDArray[np.bool_]
    categories: tuple[npt.NDArray[np.uint32], ...]
    left: Integers
    right: Integers
    node_share: Floats
    leaf_share: Floats
    leaf_value: Floats

    @property
    def expected(self) -> float:
        """The mean of the leaves' values over the rows of training."""
        return float(self.leaf_share @ self.leaf_value)


def trees_of(booster: Booster) -> list[Tree]:
    """Read the trees that the booster predicts with.

    Raises:
        NotExplainable: the model has several classes, linear leaves, or averages its trees.
    """
    header, *blocks = booster.model_to_string().split("\nTree=")
    if "\nnum_tree_per_iteration=1\n" not in header or "\naverage_output\n" in header:
        raise NotExplainable("Only boosted models of one score are explained, not random forests or several classes.")
    return [_tree(_entries(block)) for block in blocks]


def _entries(block: str) -> dict[str, str]:
    lines = block.split("\nend of trees", maxsplit=1)[0].splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _tree(entries: dict[str, str]) -> Tree:
    if entries.get("is_linear", "0") != "0":
        raise NotExplainable("Trees with linear leaves are not explained.")
    leaf_value = _floats(entries["leaf_value"])
    if int(entries["num_leaves"]) == 1:
        nothing = np.zeros(0, np.int64)
        return Tree(
            nothing, np.zeros(0), np.zeros(0, np.uint8), np.zeros(0, np.bool_), (), nothing, nothing,
            np.zeros(0), np.ones(1), leaf_value,
        )  # fmt: skip
    decision, threshold = _integers(entries["decision_type"]), _floats(entries["threshold"])
    categorical = (decision & _CATEGORICAL) > 0
    missing = decision >> _MISSING_BITS & 3
    default_left = (decision & _DEFAULT_LEFT) > 0
    # A model that met no missing value in training takes one for a zero.
    as_zero = np.where(missing == _MISSING_IS_ZERO, default_left, threshold >= 0)
    nan_left = ~categorical & np.where(missing == _MISSING_IS_NAN, default_left, as_zero)
    total = _integers(entries["internal_count"])[0]
    return Tree(
        feature=_integers(entries["split_feature"]),
        threshold=threshold,
        kind=np.where(categorical, CATEGORICAL, missing == _MISSING_IS_ZERO).astype(np.uint8),
        nan_left=nan_left,
        categories=_categories(entries, categorical, threshold),
        left=_integers(entries["left_child"]),
        right=_integers(entries["right_child"]),
        node_share=_integers(entries["internal_count"]) / total,
        leaf_share=_integers(entries["leaf_count"]) / total,
        leaf_value=leaf_value,
    )


def _categories(
    entries: dict[str, str], categorical: npt.NDArray[np.bool_], threshold: Floats
) -> tuple[npt.NDArray[np.uint32], ...]:
    none = np.zeros(0, np.uint32)
    if not categorical.any():
        return (none,) * len(categorical)
    bounds = _integers(entries["cat_boundaries"])
    words = np.array(entries["cat_threshold"].split(), np.uint32)
    return tuple(
        words[bounds[int(place)] : bounds[int(place) + 1]] if is_categorical else none
        for is_categorical, place in zip(categorical, threshold, strict=True)
    )


def _floats(text: str) -> Floats:
    return np.array(text.split(), np.float64)


def _integers(text: str) -> Integers:
    return np.array(text.split(), np.int64)
