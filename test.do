# The tests start servers and sessions of their own, so they must not see that they run in this one.
redo-ifchange sources
xargs -d '\n' redo-ifchange <sources
PATH=$PWD/.venv/bin:$PATH
unset MAKEFLAGS $(env | sed -n 's/^\(REDOD\{0,1\}_[A-Z_]*\)=.*/\1/p')
python -m pytest -q -n auto >&2
