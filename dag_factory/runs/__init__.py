"""Experiments and runs: of this process, of another one, of a scheduler."""
