"""What pipelines are made of: stores, snapshots, keys, records, leases and plans.

Pure Python: nothing in here imports Airflow or pydantic. The modules that go along with a user's script
(``errors``, ``canonical``, ``digest``, ``globs``, ``manifest``, ``store``) need the standard library alone.
"""
