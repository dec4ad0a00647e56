"""The models behind a ``*.pipeline.yaml`` document, and how their single values are read."""
