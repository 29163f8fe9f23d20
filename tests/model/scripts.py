"""How the oracle runs a script in `tests.model.language`: all at once, asking by plain calls."""

from typing import TYPE_CHECKING

from tests.model.filesystem import resolve

if TYPE_CHECKING:
    from tests.model.oracle import Oracle

Version = tuple[str, object]


class ScriptFailedError(Exception):
    """The script ends here."""


class Script:
    """One run of a script in `tests.model.language`."""

    def __init__(self, oracle: "Oracle", target: bytes, dofile: bytes, stem: bytes) -> None:
        self.always = False
        self.checksum = b""
        self.made: set[str] = set()
        self.output = b""
        self.leads_to = b""
        """What a link that it made is a link to."""
        self.deps: dict[tuple[str, bytes], Version] = {("ifchange", dofile): oracle.version(dofile)}
        self._oracle, self._files, self._target = oracle, oracle.files, target
        self._directory = dofile[: dofile.rindex(b"/")]
        self._lines = oracle.files.read(dofile).replace(b"$2", stem).splitlines()
        self._text = b""
        self._late: list[bytes] = []

    def run(self) -> None:
        for line in self._lines:
            if words := line.split():
                self._act(words[0].decode(), words[1:])
        if self._late and not self._oracle.ask(self._late, self.deps):
            raise ScriptFailedError

    def _act(self, verb: str, words: list[bytes]) -> None:
        names = [resolve(self._directory, word) for word in words]
        if verb in ("need", "try", "from", "copy", "odd", "ln", "sym"):
            self._need(names, verb == "try")
            self._use(verb, names)
        elif verb == "late":
            self._append(names)
            self._late += names
        elif verb == "fork":
            done = [self._oracle.ask([name], self.deps) for name in names]
            if not all(done):
                raise ScriptFailedError
            self._append(names)
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
            self._text = b"%d" % (len(self._text) & 1)
        elif verb in ("fail", "die"):
            raise ScriptFailedError
        elif verb not in ("hold", "drop"):
            self._write(verb)

    def _need(self, names: list[bytes], tolerant: bool) -> None:
        if not self._oracle.ask(names, self.deps) and not tolerant:
            raise ScriptFailedError
        self._append(names)

    def _append(self, names: list[bytes]) -> None:
        self._text += b"".join(b"[" + self._files.read(name) + b"]" for name in names)

    def _use(self, verb: str, names: list[bytes]) -> None:
        """What a verb does with a file that it has asked for."""
        content = self._files.read(names[0]) if names else b""
        if verb == "copy":
            self._text = content
        elif verb == "from":
            self._need([resolve(self._directory, word) for word in content.split()], False)
        elif verb == "odd" and len(content) & 1:
            raise ScriptFailedError
        elif verb in ("ln", "sym"):
            if verb == "ln" and (not self._files.exists(names[0]) or self._files.is_directory(names[0])):
                raise ScriptFailedError
            self.made.add(verb)
            self.leads_to = names[0]

    def _write(self, verb: str) -> None:
        self._text = self._text or b"text"
        self.output = self._text
        if verb == "self":
            if self._files.is_directory(self._target):
                raise ScriptFailedError
            self._files.write(self._target, self._text, in_place=True)
        else:
            self.made |= {"both": {"out", "temp"}, "nothing": set()}.get(verb, {verb})
