"""Runs: how one begins, and the documents in its folder, by which its tasks speak to each other."""
