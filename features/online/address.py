"""What an online store's URL says, with what it leaves out filled in: one reading for Feast and for the reader."""

from dataclasses import dataclass

from sqlalchemy.engine import make_url


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """``kind`` is ``redis`` or ``postgresql``; ``host`` may be a folder that holds PostgreSQL's socket."""

    kind: str
    host: str
    port: int
    database: str
    user: str
    password: str


def store_address(url: str) -> StoreAddress:
    """The address that ``url`` names. A server on this machine may listen in a folder, which is ``?host=/folder``."""
    given = make_url(url)
    is_redis = given.drivername == "redis"
    return StoreAddress(
        kind=given.drivername,
        host=given.host or str(given.query.get("host") or "localhost"),
        port=given.port or (6379 if is_redis else 5432),
        database=given.database or ("0" if is_redis else "postgres"),
        user=given.username or "postgres",
        password=given.password or "",
    )
