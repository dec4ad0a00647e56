"""Reads what people write as YAML, and says what is wrong with it: all of it at once, each thing with its place."""
