"""What a model was grown on, kept with it in the registry: what later rows are held against.

Bins are frozen when the model is trained, over all rows of the training fold, so that a stability index of next year
means what one of today means. The rows themselves are kept beside them for all that bins do not tell.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from features.bins import bin_counts, bin_edges
from group.files import write_text_whole, written_whole

ROWS_FILE: Final = "rows.parquet"
PROFILE_FILE: Final = "profile.json"
REFERENCE_FILES: Final = (ROWS_FILE, PROFILE_FILE)

FEATURE: Final = "feature:"
"""Begins the name of a column that the model reads, in the files of references and of scored rows: its own name may be
that of another column there."""

PROBABILITY: Final = "probability"
"""What the model answered, profiled as its columns are."""

_MOST_CELLS: Final = 100_000_000
"""Of more than these, some 0.3 GB as Parquet, a part is kept."""

_MOST_CATEGORIES: Final = 30
TRAIN: Final = "train"

ColumnKind = Literal["number", "category"]


@dataclass(frozen=True)
class ReferenceRows:
    """The rows of a model's frame, as it was trained and judged on them.

    Attributes:
        rows: ``fold`` (``train`` or ``test``), ``outcome`` (0 or 1), ``probability`` by trees that never saw the row,
            and where the data tell them ``legal_entity, party_id, event_timestamp, kind, product, sex, age_band,
            region``.
        features: the columns that the model reads, in its order: the same rows.
    """

    rows: pl.DataFrame
    features: pl.DataFrame

    def together(self) -> pl.DataFrame:
        """Both, as they are filed."""
        return self.rows.hstack(self.features.rename({name: f"{FEATURE}{name}" for name in self.features.columns}))


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """A column as it was at training.

    Attributes:
        name: of the column as it is filed: ``feature:…``, or ``probability``.
        kind: whether its values are numbers or texts.
        counts: rows by bin. A number's bins begin at ``edges`` (the first has no beginning), and the last holds what
            is missing. A text has a bin for each of ``categories``, one for all others, and one for what is missing.
        edges: ascending.
        categories: the most frequent, most frequent first.
        lowest: value of a number; None where all are missing.
        highest: value of a number.
        mean: of a number.
        spread: of a number, its standard deviation (population).
    """

    name: str
    kind: ColumnKind
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    lowest: float | None = None
    highest: float | None = None
    mean: float | None = None
    spread: float | None = None

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(self.counts)

    @property
    def missing_share(self) -> float:
        """Of rows without a value."""
        return self.counts[-1] / self.rows if self.rows else math.nan

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Self:
        """The profile that ``asdict`` wrote."""
        lists = {name: tuple(content[name]) for name in ("counts", "edges", "categories")}
        return cls(**(dict(content) | lists))


@dataclass(frozen=True)
class Reference:
    """A model's reference as it lies in a folder.

    Attributes:
        folder: with ``rows.parquet``, as ``ReferenceRows`` says.
        columns: profiles over all rows of training, in the model's order; ``probability`` last.
        rows: of training and test together.
        kept_rows: of these in the file, where they are too many to keep them all.
        sha256: of the files.
    """

    folder: Path
    columns: tuple[ColumnProfile, ...]
    rows: int
    kept_rows: int
    sha256: str

    @property
    def rows_file(self) -> Path:
        """Whose rows they are, what the model read and answered, and what became of them."""
        return self.folder / ROWS_FILE


def write_reference(folder: Path, reference: ReferenceRows, most_cells: int = _MOST_CELLS) -> str:
    """Write what is kept of a frame into ``folder``, and return the SHA-256 of the files together.

    Profiles are of all rows. Of a frame with more values than ``most_cells``, the file holds every second, third, …
    row.
    """
    rows = reference.together()
    training = rows.filter(fold=TRAIN)
    named = [*(name for name in rows.columns if name.startswith(FEATURE)), PROBABILITY]
    columns = [column_profile(training[name]) for name in named]
    kept = rows.gather_every(max(1, -(-rows.height * len(named) // most_cells)))
    with written_whole(folder / ROWS_FILE) as part:
        kept.write_parquet(part, compression="zstd", row_group_size=200_000)
    content = {
        "rows": rows.height,
        "kept_rows": kept.height,
        "columns": [asdict(column) for column in columns],
    }
    write_text_whole(folder / PROFILE_FILE, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False))
    return folder_sha256(folder)


def read_reference(folder: Path) -> Reference:
    """What ``write_reference`` wrote.

    Raises:
        OSError: a file is missing.
    """
    content = json.loads((folder / PROFILE_FILE).read_text(encoding="utf-8"))
    columns = tuple(ColumnProfile.of_json(column) for column in content["columns"])
    return Reference(folder, columns, content["rows"], content["kept_rows"], folder_sha256(folder))


def folder_sha256(folder: Path) -> str:
    """Over the hashes of a reference's files, in their order."""
    digest = hashlib.sha256()
    for name in REFERENCE_FILES:
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def column_profile(column: pl.Series) -> ColumnProfile:
    """Freeze the bins of a column, and count its rows in them."""
    if column.dtype == pl.String:
        return _text_profile(column)
    values = column.cast(pl.Float64).fill_null(math.nan).to_numpy()
    present = values[np.isfinite(values)]
    if not len(present):
        missing = int(np.isnan(values).sum())
        return ColumnProfile(column.name, "number", (len(values) - missing, missing))
    edges = bin_edges(present)
    return ColumnProfile(
        column.name,
        "number",
        tuple(bin_counts(values, edges).tolist()),
        edges=tuple(edges.tolist()),
        lowest=float(present.min()),
        highest=float(present.max()),
        mean=float(present.mean()),
        spread=float(present.std()),
    )


def _text_profile(column: pl.Series) -> ColumnProfile:
    counts = column.drop_nulls().value_counts().sort([pl.col("count"), pl.col(column.name)], descending=[True, False])
    most = counts.head(_MOST_CATEGORIES)
    others = len(column) - column.null_count() - int(most["count"].sum())
    return ColumnProfile(
        column.name,
        "category",
        (*map(int, most["count"]), others, column.null_count()),
        categories=tuple(most[column.name]),
    )


def reference_rows(
    frame: pl.DataFrame, features: Sequence[str], outcome: str, probability: npt.NDArray[np.float64]
) -> ReferenceRows:
    """A frame's rows with what the model answered.

    Args:
        frame: with the columns ``fold`` and ``outcome``.
        features: the columns of it that the model reads.
        outcome: the column of what became of the row.
        probability: ``(n,)``, by trees that never saw the row.
    """
    known = [name for name in _KNOWN if name in frame.columns]
    rows = frame.select(*known, outcome=pl.col(outcome).cast(pl.Float64)).with_columns(
        pl.Series(PROBABILITY, probability)
    )
    return ReferenceRows(rows, frame.select(features))


_KNOWN: Final = (
    "fold", "legal_entity", "party_id", "event_timestamp", "kind", "product", "sex", "age_band", "region",
)  # fmt: skip
