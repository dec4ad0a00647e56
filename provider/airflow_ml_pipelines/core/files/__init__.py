"""Folders of this machine: what lies in one, its digests, what is ignored, and how it is packed.

The standard library is enough, except for the lines of ignore files, and no store is known here.
"""
