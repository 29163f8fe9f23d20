"""Loaded into a server: it does not lose patience, so that tests of what comes before that need not be in time for it.

It waits minutes before it tells who holds a target, kills what was asked to end, or takes a service that says nothing
for ready, and what a service has to live not to have died young is minutes, too.
"""

from redod.engine import run
from redod.jobs import ending
from redod.services import service, supervisor

LONG = 300.0

for module, name in ((run, "GRACE"), (supervisor, "SETTLING"), (service, "STEADY")):
    setattr(module, name, LONG)
for function in (ending.end, ending.end_holders):
    defaults = function.__defaults__
    assert defaults is not None
    assert defaults[0] == ending.GRACE
    function.__defaults__ = (LONG, *defaults[1:])
