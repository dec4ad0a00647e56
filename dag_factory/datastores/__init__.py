"""Datastores, and how files get to them and from them."""
