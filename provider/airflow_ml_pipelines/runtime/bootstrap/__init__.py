"""A folder for ``PYTHONPATH``: its one module is imported by every interpreter that starts with it."""
