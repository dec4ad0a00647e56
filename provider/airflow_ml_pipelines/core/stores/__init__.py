"""Stores: named bytes under one URL, wherever it leads, and the options and secrets that open it.

Nothing in here knows what is kept in a store. ``store`` says what a store is, ``open`` makes one of a URL and imports
the one that is needed.
"""
