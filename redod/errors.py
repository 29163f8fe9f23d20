"""The errors that cross a layer. Each carries a text for the user: what happened, the facts, the next step."""


class RedodError(Exception):
    """Something that the user is told in one line, without a traceback."""

    status = 1
    """The exit status that the client ends with."""


class UsageError(RedodError):
    """The command line cannot be understood."""

    status = 2


class InternalError(RedodError):
    """A mistake of ours, whose traceback is in the server's log."""

    def __init__(self) -> None:
        super().__init__("internal error of redod; its log, beside the socket that `redod socket` names, tells more")


class BadNameError(RedodError):
    """A target name that no file can have, or that we refuse: empty, or with a newline in it."""

    status = 204
