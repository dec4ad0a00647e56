"""Make the container of the object store that has the workspace, where it is missing."""

import os
from contextlib import suppress

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContainerClient

with (
    ContainerClient.from_connection_string(os.environ["STORE"], "ml-pipelines") as container,
    suppress(ResourceExistsError),
):
    container.create_container()
