"""The sources a user can name: each delivers raw tables, says how far they were observed, and how to recognise them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from features.contracts import CONTRACTS, TableLoad
from features.contracts.tokens import Tokens
from features.errors import UnknownSource
from features.sources.files import table_files
from features.sources.manifest import Manifest
from features.sources.simulated import LAST_INSTANT, SIZES, simulate
from features.sources.uci_bank_marketing import OBSERVED_UNTIL as MARKETING_OBSERVED_UNTIL
from features.sources.uci_bank_marketing import read_uci_bank_marketing
from features.sources.uci_credit_card import OBSERVED_UNTIL, read_uci_credit_card

DEFAULT_SEED: Final = 20_260_101


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a source delivered: the folder of raw tables, the facts about them, and what it rejected itself."""

    raw: Path
    manifest: Manifest
    loads: tuple[TableLoad, ...] = ()


@dataclass(frozen=True, slots=True)
class Landing:
    """Where a source may write: raw tables, ground truth, rejected rows; what limits it, and what numbers become."""

    raw: Path
    truth: Path
    quarantine: Path
    rejected_share_limit: float
    threads: int
    tokens: Tokens


class Source(Protocol):
    """Something that delivers raw tables."""

    @property
    def name(self) -> str:
        """Where the data come from, with what tells two data sets apart; a folder may be named after it."""

    @property
    def work(self) -> int:
        """How many units of work ``deliver`` reports progress in."""

    def identity(self) -> str:
        """A text that differs whenever the delivered tables would."""

    def deliver(self, landing: Landing, progress: Callable[[int], None]) -> Delivery:
        """Write or name the raw tables."""


@dataclass(frozen=True, slots=True)
class SimulatedSource:
    """The simulated group of one size and seed."""

    size: str
    seed: int = DEFAULT_SEED

    @property
    def name(self) -> str:
        """``simulated`` with the size, and the seed if it is another one than usual."""
        return f"simulated-{self.size}" + ("" if self.seed == DEFAULT_SEED else f"-seed-{self.seed}")

    @property
    def work(self) -> int:
        """The number of parties."""
        return SIZES[self.size].parties

    def identity(self) -> str:
        """Size and seed."""
        return f"simulated {self.size} {self.seed}"

    def deliver(self, landing: Landing, progress: Callable[[int], None]) -> Delivery:
        """Write the group and its truth."""
        size = SIZES[self.size]
        simulate(landing.raw, landing.truth, size, seed=self.seed, threads=landing.threads, progress=progress)
        until = LAST_INSTANT.item().replace(tzinfo=UTC)
        return Delivery(landing.raw, Manifest(self.name, until, horizon_months=12))


@dataclass(frozen=True, slots=True)
class UciCreditCardSource:
    """The UCI credit-card file."""

    path: Path

    @property
    def name(self) -> str:
        """``uci-credit-card``."""
        return "uci-credit-card"

    @property
    def work(self) -> int:
        """One file."""
        return 1

    def identity(self) -> str:
        """The file's content."""
        return f"uci-credit-card {_content_hash([self.path])}"

    def deliver(self, landing: Landing, progress: Callable[[int], None]) -> Delivery:
        """Read the file into canonical tables."""
        load = read_uci_credit_card(
            self.path, landing.raw, landing.quarantine, rejected_share_limit=landing.rejected_share_limit
        )
        progress(1)
        return Delivery(landing.raw, Manifest(self.name, OBSERVED_UNTIL, horizon_months=1), (load,))


@dataclass(frozen=True, slots=True)
class UciBankMarketingSource:
    """The UCI bank-marketing file: calls and what came of them, without any loans."""

    path: Path

    @property
    def name(self) -> str:
        """``uci-bank-marketing``."""
        return "uci-bank-marketing"

    @property
    def work(self) -> int:
        """One file."""
        return 1

    def identity(self) -> str:
        """The file's content."""
        return f"uci-bank-marketing {_content_hash([self.path])}"

    def deliver(self, landing: Landing, progress: Callable[[int], None]) -> Delivery:
        """Read the file into canonical tables."""
        load = read_uci_bank_marketing(
            self.path, landing.raw, landing.quarantine, rejected_share_limit=landing.rejected_share_limit
        )
        progress(1)
        return Delivery(landing.raw, Manifest(self.name, MARKETING_OBSERVED_UNTIL, horizon_months=1), (load,))


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder with canonical tables as CSV or Parquet files: a group's own data."""

    path: Path
    observed_until: datetime
    horizon_months: int

    @property
    def name(self) -> str:
        """``folder`` with its last name."""
        return f"folder-{self.path.absolute().name}"

    @property
    def work(self) -> int:
        """One folder: nothing is copied."""
        return 1

    def identity(self) -> str:
        """The content of the tables' files, and what they are taken for."""
        files = [path for table in CONTRACTS for path in table_files(self.path, table)]
        return f"folder {_content_hash(files)} {self.observed_until.isoformat()} {self.horizon_months}"

    def deliver(self, landing: Landing, progress: Callable[[int], None]) -> Delivery:  # noqa: ARG002
        """Name the folder."""
        if not self.path.is_dir():
            raise UnknownSource(
                f"{self.path} is no folder; give one that holds customers.csv, statements.csv and so on."
            )
        progress(1)
        return Delivery(self.path, Manifest(self.name, self.observed_until, self.horizon_months))


def _content_hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0")
        if path.is_file():
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
