"""Servers that tests talk to: real programs, each a process of its own on a free port."""
