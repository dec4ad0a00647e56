"""The workspace: a root, what is known by name in it, and the Airflow server that belongs to it."""
