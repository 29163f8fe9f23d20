redo-ifchange sources
xargs -d '\n' redo-ifchange <sources
PATH=$PWD/.venv/bin:$PATH
mypy >&2
