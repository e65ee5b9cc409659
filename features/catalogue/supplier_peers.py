"""How the other suppliers of the party's buyers pay, as the table ``peer_statements`` tells it month by month."""

from typing import Final

from features.windows import Metric, WindowView, over, share

PEER_STATEMENTS: Final = "peer_statements"
"""The table's name. It stands beside the canonical tables and has their columns, but is made here, not delivered."""

LEAST_PEERS: Final = 5
"""Other suppliers that a buyer must have, so that nobody can be read off a row."""

_PEERS: Final = Metric("supplier_peers", "peers", "suppliers", "Other suppliers of its buyers")
_STATEMENTS: Final = Metric("peer_statements", "statements", "statements", "Statements of them", decimals=0)
_LATE: Final = Metric("late_peer_statements", "late_statements", "statements", "Of these, late", decimals=0)
_WINDOWS_DAYS: Final = (90, 360, 1080)

PEERS: Final = WindowView(
    name="supplier_peers",
    table=PEER_STATEMENTS,
    windowed=over(_PEERS, "latest", (60,), risk=0),
    helpers=(*over(_STATEMENTS, "sum", _WINDOWS_DAYS, risk=0), *over(_LATE, "sum", _WINDOWS_DAYS, risk=1)),
    derived=tuple(
        share(
            f"late_peers_share_{days}d", f"late_peer_statements_sum_{days}d", f"peer_statements_sum_{days}d",
            risk=1, description=f"Share of the statements of {days} days that were 30 days past due, of the other "
            f"suppliers of its buyers, where there are at least {LEAST_PEERS}",
        )
        for days in _WINDOWS_DAYS
    ),
)  # fmt: skip
