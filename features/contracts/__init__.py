"""Contracts of the canonical tables: what a row must be, and what happens to one that is not."""

from features.contracts.loading import TableLoad, load_tables, read_report, write_report
from features.contracts.tables import CONTRACTS, REQUIRED_TABLES, TableContract
from features.contracts.validation import Verdict, validate

__all__ = [
    "CONTRACTS",
    "REQUIRED_TABLES",
    "TableContract",
    "TableLoad",
    "Verdict",
    "load_tables",
    "read_report",
    "validate",
    "write_report",
]
