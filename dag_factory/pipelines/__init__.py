"""Pipelines that are made in code: opened, described, run, drafted."""
