"""Python's collector never looks at many objects at a time, however many there are."""

import subprocess
import sys

SCRIPT = """
import gc
from redod.collector import Collector

looks = []

def note(phase, information):
    if phase == "start":
        looks.append(sum(len(gc.get_objects(number)) for number in range(information["generation"] + 1)))

collector = Collector()
gc.callbacks.append(note)
kept = [[number] for number in range(200_000)]
print(len(looks), max(looks), len(gc.get_objects()), collector.longest > 0)
"""


def test_no_look_of_the_collector_takes_long() -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    looks, most, left = map(int, found[:3])
    assert looks > 10
    assert most < 15_000
    assert left < 15_000
    assert found[3] == "True"
