"""Databases that are datastores: what a query returns, and rows that are appended to a table."""
