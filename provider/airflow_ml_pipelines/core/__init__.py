"""What pipelines are made of, in rooms that import each other in one direction only.

===============  =================================================================================
this folder      what all rooms speak with: errors, documents, the layout of a root, pipelines as plain values
``files``        folders of this machine: listed, digested, packed
``stores``       named bytes under one URL, and what opens it
``databases``    databases that are datastores
``keys``         key documents, and what differs between two
``runs``         the documents of a run
``keeping``      what protects stored things from a clean-up while somebody relies on them
``workspaces``   a root and what is known by name in it
``databricks``   the Jobs API, and code that lies in Databricks
``reuse``        what a key already has: records, leases, and why there is none
``steps``        one step of a run: sources, inputs, decision
``plans``        all steps of a run: planned, explained, accepted
``publishing``   pipelines, endpoints, drafts and schedules that others run
``transfer``     copies files from store to store
``gc``           removes what nobody needs
``check``        looks whether a root is consistent
``run_index``    finds runs among many
===============  =================================================================================

A room imports from rooms above it in this list, and this folder from none.

Pure Python: nothing in here imports Airflow or pydantic. What goes along with a user's script (``errors``, ``canonical``,
``globs``, ``metrics``, ``files.digest``, ``files.manifest``, ``stores.open``) needs the standard library alone.
"""
