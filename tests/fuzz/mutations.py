"""Damaged bytes: what a broken disk, a half write, another program or an enemy makes of what we wrote."""

from random import Random

_EDGES = (
    b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f" + b"\xff" * 7,
    b"\n", b" ", b"9", b"-", b"[", b"/", b'"',
)  # fmt: skip
_MOST = 1 << 14
"""Bytes: what grows by repetition stops there."""


def damaged(random: Random, samples: list[bytes]) -> bytes:
    """One of the samples, changed in one to four places."""
    data = random.choice(samples)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = _change(random, data, samples)
    return data[:_MOST]


def _change(random: Random, data: bytes, samples: list[bytes]) -> bytes:
    start = random.randint(0, len(data))
    end = min(len(data), start + random.choice((0, 1, 1, 2, 4, 8, 50)))
    match random.randrange(8):
        case 0:
            return data[:start]
        case 1:
            return data[:start] + data[end:]
        case 2:
            return data[:start] + random.choice(_EDGES) + data[end:]
        case 3:
            return data[:start] + random.randbytes(end - start) + data[end:]
        case 4:
            return data[:end] + data[start:end] * random.choice((1, 2, 40, 3000)) + data[end:]
        case 5:
            other = random.choice(samples)
            cut = random.randint(0, len(other))
            return data[:start] + other[cut:]
        case 6:
            return data[:start] + bytes(byte ^ 1 << random.randrange(8) for byte in data[start:end]) + data[end:]
        case _:
            return data + random.choice(samples)
