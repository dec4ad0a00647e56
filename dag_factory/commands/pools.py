"""``ml-pipelines pools``: makes the pools of Airflow that keep to what compute targets take at once."""

from __future__ import annotations

import argparse

from dag_factory.commands.options import Commands, add_workspace, open_workspace

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add("pools", _run, "make Airflow's pools for compute targets with max_nodes")
    parser.add_argument("--dry-run", action="store_true", help="only show them")
    add_workspace(parser)


def _run(options: argparse.Namespace) -> int:
    from airflow_ml_pipelines.execution.targets.pools import pool_of
    from dag_factory.terminal.printing import print_line, print_table

    workspace = open_workspace(options)
    found = [
        (name, pool_of(workspace.name, spec)) for name, spec in workspace.declared_compute_targets.items()
    ]
    pools = [(name, pool) for name, pool in found if pool is not None]
    if not options.dry_run:
        for name, pool in pools:
            _make(pool.name, pool.slots, f"compute target {name} of workspace {workspace.name}")
    if pools:
        print_table(("TARGET", "POOL", "SLOTS"), [(name, pool.name, str(pool.slots)) for name, pool in pools])
    else:
        print_line("no compute target of the workspace file has max_nodes")
    return 0


def _make(name: str, slots: int, description: str) -> None:
    """Make a pool, or change it. :raises WorkspaceError: where Airflow's database can't be had."""
    from airflow.models.pool import Pool
    from sqlalchemy.exc import SQLAlchemyError

    from airflow_ml_pipelines.core.errors import WorkspaceError

    try:
        # a step that waits in the triggerer runs on the target all the same
        Pool.create_or_update_pool(name=name, slots=slots, description=description, include_deferred=True)
    except SQLAlchemyError as error:
        raise WorkspaceError(
            f"pool {name!r} can't be made: Airflow's database can't be used ({str(error).splitlines()[0]}); run this where "
            "`airflow db check` passes"
        ) from None
