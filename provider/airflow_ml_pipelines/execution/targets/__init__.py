"""Compute targets: what runs a step's job, on this machine or elsewhere."""
