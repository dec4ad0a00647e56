"""One step of a run: its sources and inputs, the decision about it, and what it read and wrote."""
