"""Reading the online store without Feast: its tables and hashes, straight into a matrix.

Feast writes the online store and is what everybody else reads it with. A reader that answers within a request cannot
afford Feast's import and its Python object for each value, so this package knows how Feast lays out the three stores,
and tests hold it against Feast's own answers.
"""

from features.online.layout import ServiceLayout, ViewLayout, read_layout, write_layout
from features.online.reader import OnlineReader, OnlineRows, open_reader

__all__ = [
    "OnlineReader",
    "OnlineRows",
    "ServiceLayout",
    "ViewLayout",
    "open_reader",
    "read_layout",
    "write_layout",
]
