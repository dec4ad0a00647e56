"""Databricks: its REST API, what runs there, and the requests that start it."""
