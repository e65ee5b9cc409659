"""What the adapters of UCI's files share: rows that are what UCI documents, and what became of the others."""

from pathlib import Path

import polars as pl

from features.contracts import TableContract, TableLoad, Verdict, validate
from features.contracts.validation import rules_broken
from features.errors import ContractBroken


def documented_rows(
    rows: pl.DataFrame, contract: TableContract, path: Path, quarantine: Path, *, rejected_share_limit: float
) -> Verdict:
    """Hold the rows of the file ``path`` against what UCI documents, and keep the others in quarantine.

    Raises:
        ContractBroken: a column is missing, or more rows than allowed are rejected.
    """
    verdict = validate(rows, contract, path.name)
    folder = quarantine / contract.name
    folder.mkdir(parents=True, exist_ok=True)
    verdict.rejections.write_parquet(folder / f"{path.name}.parquet")
    if verdict.rows_rejected > rejected_share_limit * len(rows):
        first = verdict.rejections.row(0, named=True)
        raise ContractBroken(
            f"{path}: {verdict.rows_rejected} of {len(rows)} rows are not what UCI documents; the first is row "
            f"{first['row_number']}, where {first['column']} = {first['value']!r} but must be such that it "
            f"{first['rule']}."
        )
    return verdict


def load_of(contract: TableContract, verdict: Verdict) -> TableLoad:
    """The line of the load report for the file itself."""
    return TableLoad(
        contract.name,
        len(verdict.kept) + verdict.rows_rejected,
        len(verdict.kept),
        verdict.rows_rejected,
        verdict.ignored_columns,
        rules_broken(verdict.rejections),
    )
