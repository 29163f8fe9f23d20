"""The options of `redo` and `redo-log` that say how logs are shown, as classic redo has them."""

DISPLAY = (
    "details", "no-details", "status", "no-status", "pretty", "no-pretty", "color", "no-color", "debug-locks",
    "debug-pids",
)  # fmt: skip


def switch(option: str) -> tuple[str, bool]:
    """The name in the options model of a long option without an argument, and whether it is on: `--no-color` is off."""
    name = option[2:].replace("-", "_")
    return name.removeprefix("no_"), not name.startswith("no_")
