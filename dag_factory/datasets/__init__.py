"""Datasets: made, registered, compared, fetched."""
