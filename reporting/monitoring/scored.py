"""Scored rows as monitoring keeps them: Parquet by model, version and month, each row with who it is of.

They come from the audit log, where a row is a text, and go into files, where a million of them are read at once. A part
is named after the place in the log that it begins at, so that a collection that was cut off writes it again, whole.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from group.files import write_text_whole, written_whole
from reporting.monitoring.periods import Period

WHO: Final = ("kind", "product", "sex", "age_band", "region")
"""Who a row is of, as its company knew the party then; no text where it is not known."""

REPLAYED: Final = "replayed"
"""The origin of rows that nobody asked for: what the model would have answered then."""


@dataclass(frozen=True, slots=True, order=True)
class WatchedModel:
    """A version of a model whose scores there are."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


@dataclass(frozen=True, slots=True)
class ScoredFiles:
    """The files of a home's scored rows."""

    folder: Path

    def write(self, model: WatchedModel, rows: pl.DataFrame, part: str) -> int:
        """Keep rows of a model, a file a month of ``scored_at``; a part of the same name is replaced."""
        months = rows.with_columns(month=pl.col("scored_at").dt.strftime("%Y-%m"))
        for month, own in months.partition_by("month", as_dict=True, include_key=False).items():
            path = self._of(model) / str(month[0]) / f"{part}.parquet"
            with written_whole(path) as target:
                own.sort("scored_at", "decision_id").write_parquet(target, compression="zstd")
        return rows.height

    def models(self) -> list[WatchedModel]:
        """Versions that have scored rows."""
        found = [path for path in self.folder.glob("*/v*") if path.is_dir()]
        return sorted(WatchedModel(path.parent.name, path.name.removeprefix("v")) for path in found)

    def files(self, model: WatchedModel, first: date, end: date) -> list[Path]:
        """Files that may hold rows of days from ``first`` to the day before ``end``."""
        months = {path.name: path for path in self._of(model).glob("*-*") if path.is_dir()}
        last = end - timedelta(days=1)
        chosen = [months[name] for name in sorted(months) if f"{first:%Y-%m}" <= name <= f"{last:%Y-%m}"]
        return [file for folder in chosen for file in sorted(folder.glob("[!.]*.parquet"))]

    def of_period(self, model: WatchedModel, period: Period) -> list[Path]:
        """Files that may hold rows of a period."""
        return self.files(model, period.begins, period.ends)

    def collected(self) -> Mapping[str, int]:
        """How far the audit log of each company was read."""
        try:
            found: dict[str, int] = json.loads(self._state.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def note_collected(self, sequences: Mapping[str, int]) -> None:
        """Say how far it was read, once what was read is in files."""
        write_text_whole(self._state, json.dumps(dict(sequences), indent=1, sort_keys=True))

    def days(self, models: Collection[WatchedModel]) -> tuple[date, date] | None:
        """The first and the last day on which one of these models scored; None if none did."""
        paths = [str(path) for model in models for path in self._of(model).rglob("[!.]*.parquet")]
        if not paths:
            return None
        seen = pl.scan_parquet(paths, missing_columns="insert", extra_columns="ignore").select(
            first=pl.col("scored_at").min(), last=pl.col("scored_at").max()
        )
        first, last = seen.collect().row(0)
        return first.date(), last.date()

    @property
    def _state(self) -> Path:
        return self.folder / "collected.json"

    def _of(self, model: WatchedModel) -> Path:
        return self.folder / model.name / f"v{model.version}"
