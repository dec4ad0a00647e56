"""Moves code that was written for Azure ML SDK v1: its imports are rewritten, what has no counterpart is found."""
