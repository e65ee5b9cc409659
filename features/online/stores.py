"""The three online stores as Feast lays them out, by address."""

from pathlib import Path

from features.online.address import store_address
from features.online.layout import ServiceLayout, served_views
from features.online.sqlite_store import SqliteValues
from features.online.stored import KeyValues


def open_store_of(url: str, home: Path, layout: ServiceLayout) -> KeyValues:
    """The store that ``url`` names, or the SQLite file of Feast's home folder."""
    if not url:
        return SqliteValues(home / "online.db", layout)
    address = store_address(url)
    # The other stores' clients take longer to import than a file does to read: whoever has none does not pay for them.
    if address.kind == "redis":
        from features.online.redis_store import RedisValues  # noqa: PLC0415

        return RedisValues(address, layout, served_views(home))
    from features.online.postgresql_store import PostgresqlValues  # noqa: PLC0415

    return PostgresqlValues(address, layout)
