"""The daemon: it owns every job and all state."""

__version__ = "0.2.0"
