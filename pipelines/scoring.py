"""Score a file: every row with its probability, score, grade and reasons, by the champion of a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from features.sources.files import read_table
from group.errors import InputError
from group.settings import Settings
from pipelines.progress import Reporter
from training import Explainer, ReasonBook, RegisteredModel, champion, grade_of, model_version, score_points
from training.compiled_booster import for_many_rows
from training.table.scoring import encode_table

_ROWS_AT_ONCE: Final = 20_000
_WRITERS: Final = {
    ".csv": lambda frame, path: frame.write_csv(path),
    ".parquet": lambda frame, path: frame.write_parquet(path),
    ".xlsx": lambda frame, path: frame.write_excel(path),
}


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """What was scored by which version, and what was lost in reading."""

    rows: int
    model: RegisteredModel
    notes: tuple[str, ...]


def score_file(
    settings: Settings, name: str, file: Path, output: Path, reporter: Reporter, *, version: str | None, reasons: bool
) -> ScoredFile:
    """Write the rows of ``file`` with the answers of a model beside them.

    Raises:
        InputError: the output has a suffix that nothing is written as.
        UnreadableFile, UnusableTable: the file is no table, or lacks a column of the model.
        NoChampion: no version is in service.
    """
    write = _WRITERS.get(output.suffix)
    if write is None:
        raise InputError(f"{output} cannot be written; give a file that ends in {', '.join(_WRITERS)}.")
    found = model_version(version, settings, name) if version else champion(settings, name)
    table = read_table(file)
    encoded = encode_table(table, found.model)
    # With reasons come raw scores: a compiled model would only compute them again.
    explainer = Explainer(found.model.booster) if reasons else None
    model = found.model if reasons else for_many_rows(found.model, len(table), settings.threads)
    book = ReasonBook(found.model)
    answers = []
    with reporter.bar(f"scoring {file.name}", float(len(table))) as advance:
        for first in range(0, len(table), _ROWS_AT_ONCE):
            rows = encoded.rows[first : first + _ROWS_AT_ONCE]
            explained = explainer.explained(rows, threads=settings.threads) if explainer is not None else None
            raw_scores = model.raw_scores(rows) if explained is None else explained.raw_scores
            probability = model.calibration.probability(raw_scores)
            columns = {"probability": pl.Series(probability)}
            if found.model.task == "credit":
                columns["score"] = pl.Series(score_points(probability))
                columns["grade"] = pl.Series([grade_of(float(one)) for one in probability], dtype=pl.String)
            if explained is not None:
                told = book.reasons_for(explained.contributions)
                words = told.by_row(told.book[place].en for place in told.places)
                columns["reasons"] = pl.Series(["; ".join(row) for row in words], dtype=pl.String)
            answers.append(pl.DataFrame(columns))
            advance(len(rows))
    scored = pl.concat(answers).with_columns(model=pl.lit(f"{name}/{found.version}"))
    # Columns of the file keep their names; an answer that would take one says whose it is.
    taken = {column: f"{name}_{column}" for column in scored.columns if column in table.columns}
    whole = table.hstack(scored.rename(taken))
    output.parent.mkdir(parents=True, exist_ok=True)
    write(whole, output)
    return ScoredFile(len(table), found, encoded.notes)
