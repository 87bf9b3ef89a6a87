"""Request traces: reading them, making one, and the best a fixed placement can do with them."""

import array
import collections
import itertools
import lzma
import random
import sys

ZIPF_EXPONENT = 0.99


def decode(data):
    """Ids of a trace: big-endian unsigned 32-bit integers in request order."""
    if len(data) % 4:
        raise ValueError(f"a trace is a sequence of 4-byte ids, this one has {len(data)} bytes")
    ids = array.array("I")
    if ids.itemsize != 4:
        raise ValueError("this Python has no 32-bit array")
    ids.frombytes(data)
    if sys.byteorder == "little":
        ids.byteswap()
    return ids


def read(path, most=None):
    """The first `most` requests of a trace file, plain or .xz."""
    opened = lzma.open(path, "rb") if path.endswith(".xz") else open(path, "rb")
    with opened as file:
        return decode(file.read(-1 if most is None else most * 4))


def zipf(keys, requests, seed):
    """Requests over `keys` ids whose popularity is Zipf's; which id is popular is shuffled, so
    that neither the order of ids nor of loading gives it away."""
    dice = random.Random(seed)
    weights = itertools.accumulate(1.0 / (rank + 1) ** ZIPF_EXPONENT for rank in range(keys))
    ids = list(range(keys))
    dice.shuffle(ids)
    return array.array("I", dice.choices(ids, cum_weights=list(weights), k=requests))


def load_order(ids, seed):
    """Each distinct id once, shuffled."""
    order = sorted(set(ids))
    random.Random(seed).shuffle(order)
    return order


def best_static(ids, near_keys):
    """The `near_keys` most requested ids: no placement that never moves has more near hits."""
    ranked = collections.Counter(ids).most_common(near_keys)
    return {key for key, _ in ranked}


def share(ids, near):
    """Of the requests, the share that asks for an id in `near`."""
    return sum(1 for key in ids if key in near) / len(ids) if len(ids) else 0.0
