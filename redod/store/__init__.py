"""The store: what is remembered of a workspace on disk, between builds, daemons and crashes."""

from redod.errors import RedodError


class StoreError(RedodError):
    """The store cannot be read or written now. Nothing in memory is lost: the next commit tries again."""
