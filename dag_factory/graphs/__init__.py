"""The graph of a pipeline: what it is made of, where its nodes lie, how it is drawn."""
