redo-ifchange sources
xargs -d '\n' redo-ifchange <sources
PATH=$PWD/.venv/bin:$PATH
{
    ruff check
    ruff format --check
    lint-imports
} >&2
