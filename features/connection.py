"""A DuckDB connection within bounds: threads, memory, where it may spill, and UTC whatever the machine's zone."""

import duckdb


def bounded_connection(
    threads: int | None = None, memory_limit: str | None = None, temp_directory: str | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection in memory. What is left out is DuckDB's default: all cores, four fifths of the memory.

    Args:
        threads: at least one.
        memory_limit: such as ``2GB``; a query that needs more goes through files.
        temp_directory: where those files go.
    """
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if threads:
        connection.execute(f"SET threads = {int(threads)}")
    if memory_limit:
        connection.execute("SET memory_limit = ?", [memory_limit])
    if temp_directory:
        connection.execute("SET temp_directory = ?", [temp_directory])
    return connection
