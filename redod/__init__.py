"""redod: a redo build daemon that keeps the dependency graph in memory."""

__version__ = "0.1.0"
