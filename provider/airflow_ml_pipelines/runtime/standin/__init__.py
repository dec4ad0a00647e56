"""Packages that stand in for ones that a script imports and that are not installed."""
