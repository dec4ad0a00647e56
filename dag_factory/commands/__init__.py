"""The commands of ``ml-pipelines``, one a module.

A module's ``add(commands)`` adds its parser and what runs it. That is done at every start, so a module imports nothing
but :mod:`argparse` and :mod:`dag_factory.commands.options` before its command runs.
"""
