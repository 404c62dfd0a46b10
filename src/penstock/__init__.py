"""Penstock: the event-driven serverless platform that runs anywhere."""

__version__ = "0.1.0"
