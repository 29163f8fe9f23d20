"""The server: connections, and its own life."""
