"""Feast's offline store as DuckDB ``ASOF`` joins over Parquet, a plug-in that Feast imports by name.

Its name for Feast is ``features.offline.store.AsofOfflineStore``; nothing else is named here. ``join`` holds the
point-in-time join as plain data in and out, ``store`` what Feast calls.
"""
