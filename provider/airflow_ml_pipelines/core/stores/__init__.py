"""Stores: named bytes under one URL, wherever it leads, and the options and secrets that open it.

Nothing in here knows what is kept in a store. ``store`` has the interface and the stores of this machine; the others
are imported when one of theirs is opened.
"""
