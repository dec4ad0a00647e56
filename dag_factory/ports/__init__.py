"""What a step reads and writes, and the parameters of a pipeline."""
