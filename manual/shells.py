"""Completion for bash, zsh and fish: options and subcommands from the usage texts, targets from the running server.

A server is only asked where one runs: completing a word must not start one. Beside what it knows, what a script in the
word's directory would make is offered, and files.
"""

from manual.usage import Flag, Usage

_NO_NAMES = {"", "DATA"}
"""What a synopsis names where no file or target is to be completed."""
_FILES = {"FILE", "DIRECTORY"}


def bash(usages: list[Usage]) -> str:
    """One file for all commands, to be installed under each name: bash-completion loads them by name."""
    options = "\n".join(f"        {usage.name}) words='{' '.join(_words(usage))}' ;;" for usage in usages)
    valued = sorted({f"{flag.name}" for usage in usages for flag in _flags(usage) if flag.value})
    plain = "|".join(usage.name for usage in usages if usage.operands in _FILES | _NO_NAMES | {"COMMAND"})
    names = " ".join(usage.name for usage in usages)
    return _BASH.replace("@OPTIONS@", options).replace("@VALUED@", "|".join(valued)).replace(
        "@PLAIN@", plain
    ).replace("@NAMES@", names)  # fmt: skip


def zsh(usages: list[Usage]) -> str:
    """The file `_redo`."""
    cases = []
    for usage in usages:
        specs = [_zsh_option(flag, text) for flag, text in _described(usage)]
        rest = {"COMMAND": "*::command:_normal"}.get(usage.operands, "*:target:_redo_targets")
        if usage.operands in _FILES:
            rest = "*:file:_files"
        if usage.name == "redod":
            rest = f"1:command:({' '.join(_commands(usage))})"
        if usage.operands not in _NO_NAMES or usage.name == "redod":
            specs.append(f"'{rest}'")
        cases.append(f"    {usage.name}) _arguments -s -S {' '.join(specs)} ;;")
    return _ZSH.replace("@NAMES@", " ".join(usage.name for usage in usages)).replace("@CASES@", "\n".join(cases))


def fish(usage: Usage) -> str:
    """The file `NAME.fish` of one command."""
    lines = [_FISH] if usage.operands in {"TARGET", "NAME"} else []
    for flag, text in _described(usage):
        kind = f"-s {flag.name[1:]}" if not flag.name.startswith("--") else f"-l {flag.name[2:]}"
        value = " -r" if flag.value else ""
        if flag.value.islower():
            value = f" -x -a {flag.value}"
        lines.append(f"complete -c {usage.name} {kind}{value} -d {_quoted(text)}")
    if usage.operands in {"TARGET", "NAME"}:
        lines.append(f"complete -c {usage.name} -a '(__redo_known_targets)' -d target")
    if usage.operands in _NO_NAMES:
        lines.append(f"complete -c {usage.name} -f")
    for item in usage.items:
        if usage.name == "redod" and not item.flags:
            word = item.head.split()[0]
            lines.append(f"complete -c redod -n __fish_use_subcommand -f -a {word} -d {_quoted(item.text)}")
    return "\n".join(lines) + "\n"


def _flags(usage: Usage) -> list[Flag]:
    return [flag for item in usage.items for flag in item.flags]


def _described(usage: Usage) -> list[tuple[Flag, str]]:
    return [(flag, item.text) for item in usage.items for flag in item.flags]


def _commands(usage: Usage) -> list[str]:
    return [item.head.split()[0] for item in usage.items if not item.flags]


def _words(usage: Usage) -> list[str]:
    return [*_commands(usage), *(_bash_option(flag) for flag in _flags(usage))]


def _bash_option(flag: Flag) -> str:
    if not flag.value or not flag.name.startswith("--"):
        return flag.name
    return f"{flag.name}={flag.value}" if flag.value.islower() else f"{flag.name}="


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _zsh_option(flag: Flag, text: str) -> str:
    said = text.replace("\\", "\\\\").replace("'", "'\\''")
    said = "".join("\\" + c if c in "[]:" else c for c in said)
    sign = {True: "=", False: "+"}[flag.name.startswith("--")] if flag.value else ""
    value = f":{flag.value}:_files" if flag.value in _FILES else f":{flag.value}: " if flag.value else ""
    if flag.value.islower():
        value = f":word:({flag.value})"
    return f"'*{flag.name}{sign}[{said}]{value}'"


_BASH = r"""# bash completion for redo and its companions
_redo() {
    local word=$2 previous=$3 words name known dir
    COMPREPLY=()
    case ${COMP_WORDS[0]##*/} in
@OPTIONS@
    esac
    case $previous in
        @VALUED@) compopt -o default 2>/dev/null; return ;;
    esac
    if [[ $word == -* || ( ${COMP_WORDS[0]##*/} == redod && COMP_CWORD -eq 1 ) ]]; then
        for name in $words; do
            [[ $name == "$word"* ]] && COMPREPLY+=("$name")
        done
        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
        return
    fi
    compopt -o filenames -o default 2>/dev/null
    case ${COMP_WORDS[0]##*/} in
        @PLAIN@) return ;;
    esac
    # Names as they are, not as they were typed: "my\ file" is "my file".
    word=${word//\\/}
    word=${word#[\"\']}
    known=()
    if redod status >/dev/null 2>&1; then
        mapfile -d '' -t known < <(redo-targets -0 2>/dev/null)
    fi
    dir=
    [[ $word == */* ]] && dir=${word%/*}/
    for name in "$dir"*.do; do
        [[ -f $name && ${name##*/} != default*.do ]] && known+=("${name%.do}")
    done
    for name in "$word"*; do
        [[ -e $name ]] && known+=("$name")
    done
    local -A seen=()
    for name in "${known[@]}"; do
        if [[ $name == "$word"* && -z ${seen[$name]} ]]; then
            seen[$name]=1
            COMPREPLY+=("$name")
        fi
    done
}
complete -F _redo @NAMES@
"""

_ZSH = r"""#compdef @NAMES@
_redo_targets() {
    local -a known scripts
    local dir=
    if redod status >/dev/null 2>&1; then
        known=("${(@0)$(redo-targets -0 2>/dev/null)}")
    fi
    [[ $PREFIX == */* ]] && dir=${(Q)PREFIX%/*}/
    scripts=(${dir}*.do(N.))
    scripts=(${scripts:#(*/|)default*.do})
    known+=(${scripts%.do})
    known=(${known:#})
    compadd -f -a -- known
    _files
}
case $service in
@CASES@
esac
"""

_FISH = """\
function __redo_known_targets
    if redod status >/dev/null 2>&1
        redo-targets 2>/dev/null
    end
    set -l directory (string match -r '^.*/' -- (commandline -ct))
    for name in "$directory"*.do
        if not string match -q -r '(^|/)default[^/]*$' -- $name
            string replace -r '[.]do$' '' -- $name
        end
    end
end
"""
