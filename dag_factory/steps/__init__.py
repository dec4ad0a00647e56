"""The kinds of steps, and how steps become a pipeline."""
