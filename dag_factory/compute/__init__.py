"""Compute targets and environments: where steps run, and what their scripts need around them."""
