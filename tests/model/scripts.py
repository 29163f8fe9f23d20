"""How the oracle runs a script in the language of `tests.model.simulation`: all at once, asking by plain calls."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.model.oracle import Oracle

Version = tuple[str, int]


class ScriptFailedError(Exception):
    """The script ends here."""


class Script:
    """One run of a script in the language of `tests.model.simulation`."""

    def __init__(self, oracle: "Oracle", target: bytes, dofile: bytes, stem: bytes) -> None:
        self.always = False
        self.checksum = b""
        self.made: set[str] = set()
        self.output = b""
        self.deps: dict[tuple[str, bytes], Version] = {("ifchange", dofile): oracle.version(dofile)}
        self._oracle, self._files, self._target = oracle, oracle.files, target
        self._directory = dofile[: dofile.rindex(b"/")]
        self._lines = oracle.files.contents[dofile].replace(b"$2", stem).splitlines()
        self._text = b""

    def run(self) -> None:
        for line in self._lines:
            if words := line.split():
                self._act(words[0].decode(), words[1:])

    def _act(self, verb: str, words: list[bytes]) -> None:
        names = [self._directory + b"/" + word for word in words]
        if verb in ("need", "try", "from", "late", "copy", "fork"):
            self._need(names, verb == "try")
            if verb == "copy":
                self._text = self._files.contents.get(names[0], b"")
            if verb == "from":
                self._need([self._directory + b"/" + word for word in self._content(names[0]).split()], False)
        elif verb == "absent":
            if any(self._files.exists(name) for name in names):
                raise ScriptFailedError
            self.deps.update({("ifcreate", name): ("file", 0) for name in names})
        elif verb == "redo":
            if not self._oracle.ask(names, None, force=True):
                raise ScriptFailedError
        elif verb == "always":
            self.always = True
        elif verb == "stamp":
            self.checksum = b"".join(words) + b":" + self._text
        elif verb == "parity":
            self._text = b"%d" % (sum(self._text) & 1)
        elif verb in ("fail", "die"):
            raise ScriptFailedError
        elif verb not in ("hold", "drop"):
            self._write(verb)

    def _need(self, names: list[bytes], tolerant: bool) -> None:
        if not self._oracle.ask(names, self.deps) and not tolerant:
            raise ScriptFailedError
        self._text += b"".join(b"[" + self._content(name) + b"]" for name in names)

    def _content(self, name: bytes) -> bytes:
        return self._files.contents.get(name, b"-")

    def _write(self, verb: str) -> None:
        self._text = self._text or b"text"
        self.output = self._text
        if verb == "self":
            if self._files.is_directory(self._target):
                raise ScriptFailedError
            self._files.write(self._target, self._text, in_place=True)
        else:
            self.made |= {"out", "temp"} if verb == "both" else {verb}
