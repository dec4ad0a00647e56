"""Transfers: files are copied from store to store, so that all are there in the end, checked, and none but they."""
