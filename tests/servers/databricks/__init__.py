"""A server that speaks the part of Databricks' REST API in which steps run, and really runs what is submitted.

Notebooks and scripts run as processes of this machine, with PySpark in local mode where they ask for it. What a test sets
on the server decides what goes wrong: answers of 429 and 500, connections that break off before or after a request was
done, slow starts, clusters that are lost, runs that are gone.
"""

from servers.databricks.server import DatabricksServer, Faults

__all__ = ["DatabricksServer", "Faults"]
