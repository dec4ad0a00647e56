"""This package, for an interpreter in which it is not installed."""

import os

__path__ = [os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))]
