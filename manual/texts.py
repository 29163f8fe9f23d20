"""What man pages say beyond the usage texts."""

from manual.usage import Item

SUMMARIES = {
    "redo": "run the scripts that make targets",
    "redo-affected": "list the targets that depend on files",
    "redo-always": "have a target built in every session",
    "redo-detach": "start a process that outlives its script",
    "redo-dot": "print the graph of targets for Graphviz",
    "redo-ifchange": "build what is out of date, and depend on it",
    "redo-ifcreate": "depend on files not existing",
    "redo-log": "show what the last build of a target printed",
    "redo-ood": "list the targets that are out of date",
    "redo-recheck": "look at everything again in a session",
    "redo-service": "make a target a running process",
    "redo-sources": "list the known sources",
    "redo-stamp": "tell whether a target has changed",
    "redo-targets": "list the known targets",
    "redo-whichdo": "list the names where a script is looked for",
    "redo-why": "say why a target is out of date",
    "redod": "the server that keeps the graph and runs the scripts",
}

_STATUS = [
    Item("0", "It went well."),
    Item("1", "A target failed, or what was asked for cannot be done."),
    Item("2", "The arguments are wrong."),
    Item("128+N", "It was ended by signal N: 130 after Ctrl-C."),
]
_OUTSIDE = Item("100", "It was not called by a script that redo runs.")
_INSIDE = ("redo-always", "redo-ifcreate", "redo-recheck", "redo-service", "redo-stamp")
_TARGET_STATUS = [
    Item("204", "The name is empty or holds a newline."),
    Item("206", "The script changed $1 itself."),
    Item("207", "It wrote to its standard output and also made $3."),
    Item("208", "The target would have to wait for itself."),
    Item("209", "What it made cannot be put in place."),
]
_SCRIPTS = [
    Item("DIR/NAME.A.B", "is made by the first script that exists of NAME.A.B.do, default.A.B.do, default.B.do and"
         " default.do in DIR, then of the default names in each directory above."),
    Item("$1", "The target, relative to the script's directory, in which it runs."),
    Item("$2", "The same without the extension that a default name matched."),
    Item("$3", "A name beside the target that does not exist. What the script makes there, or prints to its standard"
         " output, becomes the target when it succeeds."),
    Item("#!", "A script that begins with these is run by the program named there, every other one by sh -e."),
]  # fmt: skip
_ENVIRONMENT = [
    Item("REDOD", "off: serve the command by an instance of its own, which ends with it, as redo --no-daemon does."),
    Item("REDOD_SOCKET", "Where the server listens, in place of the usual path."),
    Item("REDO_TARGET, REDO_DEPTH, REDO_SESSION", "In a script: its target, how deeply it is nested, and which session"
         " it belongs to."),
]  # fmt: skip
_FILES = [
    Item(".redo/", "At the top of a project: what is known of its targets, and their logs. It alone says which files"
         " are targets."),
    Item("redod.toml", "At the top of a project: its settings."),
]  # fmt: skip

SECTIONS: dict[str, list[tuple[str, list[Item]]]] = {
    "": [("EXIT STATUS", _STATUS)],
    "redo": [
        ("SCRIPTS", _SCRIPTS), ("EXIT STATUS", _STATUS), ("STATUS OF A TARGET", _TARGET_STATUS),
        ("ENVIRONMENT", _ENVIRONMENT), ("FILES", _FILES),
    ],
    **{name: [("EXIT STATUS", [*_STATUS, _OUTSIDE])] for name in _INSIDE},
    "redod": [("EXIT STATUS", _STATUS), ("ENVIRONMENT", _ENVIRONMENT[:1]), ("FILES", _FILES)],
}  # fmt: skip
"""By command, further sections; of those not named: the first."""
