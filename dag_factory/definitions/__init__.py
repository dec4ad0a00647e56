"""Pipelines as people write them down: read, checked, written."""
