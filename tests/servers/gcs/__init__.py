"""A server that speaks the part of Google Cloud Storage's two APIs (XML and JSON) in which stores and clients talk to it.

There is no server of Google's own for both. This one keeps what reuse is built on, as the service documents it: numbered
generations, preconditions on them, listings that are never stale and come in pages of 1,000, copies made by the server, and
requests that are signed with a service account's key. Google's own client has to get along with it as well as ours.
"""

from servers.gcs.process import GcsServer

__all__ = ["GcsServer"]
