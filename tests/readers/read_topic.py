"""Reads the committed records of an embedded topic: read_topic.py DIR prints their values, a line each, partition by partition.

Written from storage/FORMAT.md, with nothing of the engine: what it reads is what the format promises."""

import json
import os
import struct
import sys
import zlib

HEADER = struct.Struct("<8sIIIIQIIQQQQQqq")
DECISIONS = 2**32 - 1
BATCH, MARK, DECISION = 1, 2, 3


class Damaged(Exception):
    pass


def envelope(path):
    """The JSON in a small file that is whole or absent."""
    with open(path, "rb") as file:
        data = file.read()
    crc, length = struct.unpack_from("<I", data, 8)[0], struct.unpack_from("<Q", data, 16)[0]
    if data[:8] != b"MSman\0\x001" or zlib.crc32(data[12:], zlib.crc32(data[:8])) != crc or len(data) != 32 + length:
        raise Damaged(f"{path}: not a manifest")
    return json.loads(data[32:])


class Frame:
    def __init__(self, data, at, topic, partition, generation):
        """A frame, or Damaged if there is none at this place."""
        if at + HEADER.size > len(data):
            raise Damaged("no room for a header")
        fields = HEADER.unpack_from(data, at)
        magic, crc, pcrc, self.length, self.count, self.topic, self.partition, self.kind = fields[:8]
        self.generation, self.position, self.offset, self.transaction, self.synced = fields[8:13]
        rest = data[at : at + 8] + data[at + 12 : at + 96]
        if magic != b"MStop\0\x001" or zlib.crc32(rest) != crc:
            raise Damaged("no header")
        if (self.topic, self.partition, self.generation, self.position) != (topic, partition, generation, at):
            raise Damaged("a header of another place")
        self.first_time = fields[13]
        self.payload = data[at + 96 : at + 96 + self.length]
        if len(self.payload) != self.length or zlib.crc32(self.payload) != pcrc:
            raise Damaged("no payload")
        self.end = at + 96 + self.length


def frames(path, topic, partition, generation):
    """The whole frames of a file, and how much of it is known to be durable."""
    with open(path, "rb") as file:
        data = file.read()
    found, at, durable = [], 0, 0
    while True:
        try:
            frame = Frame(data, at, topic, partition, generation)
        except Damaged as damage:
            # The end of the file, if nothing behind it says that this place was durable.
            for later in range(at + 8, len(data), 8):
                try:
                    synced = Frame(data, later, topic, partition, generation).synced
                except Damaged:
                    continue
                if synced > at:
                    raise Damaged(f"{path}: at {at}: {damage}")
            return found, durable
        durable = max(durable, frame.synced)
        if frame.kind == MARK:
            return found, durable
        found.append(frame)
        at = frame.end


def log(dir, topic, partition):
    """The durable frames of a log with the offsets of each that count, and the last file's frames alone."""
    names = [name for name in os.listdir(dir) if name.endswith(".segment") and not name.startswith("pending-")]
    segments = [(int(name[21:31]), int(name[:20]), name) for name in names]
    # A segment cuts those of lower generations at its first offset.
    chain, limit = [], None
    for generation, base, name in sorted(segments, reverse=True):
        if limit is None or base < limit:
            chain.insert(0, (generation, base, name, limit))
            limit = base
    kept, last, reached = [], [], None
    for generation, base, name, limit in chain:
        path = os.path.join(dir, name)
        if reached not in (None, base):
            raise Damaged(f"{path}: begins at {base}, but the file before ends at {reached}")
        reached, last = base, []
        found, durable = frames(path, topic, partition, generation)
        for frame in found:
            if limit is None and frame.end > durable or limit is not None and frame.offset >= limit:
                break
            if frame.offset != reached:
                raise Damaged(f"{path}: at {frame.position}: offset {frame.offset} follows {reached}")
            reached = frame.offset + frame.count
            if limit is not None:
                reached = min(reached, limit)
            last.append((frame, reached))
        if limit is not None and reached != limit:
            raise Damaged(f"{path}: ends at {reached}, but the next file begins at {limit}")
        kept += last
    return kept, last, reached or 0


class State:
    """What was decided about transactions."""

    def __init__(self):
        self.next, self.open, self.aborted, self.starts, self.ends = 1, set(), set(), [], []

    def apply(self, decision):
        (kind, of), = decision.items()
        if kind == "snapshot":
            self.next, self.starts, self.ends = of["next"], of["starts"], of["ends"]
            self.open, self.aborted = {int(n) for n in of["open"]}, {int(n) for n in of["aborted"]}
        elif kind == "begin":
            self.next = of["transaction"] + 1
            self.open.add(of["transaction"])
        elif kind == "commit":
            self.open.discard(of["transaction"])
        elif kind == "abort":
            self.open.discard(of["transaction"])
            self.aborted.add(of["transaction"])
        elif kind == "trim":
            self.starts[of["partition"]] = max(self.starts[of["partition"]], of["start"])
        if kind in ("prepare", "commit"):
            self.ends = [max(pair) for pair in zip(self.ends, of["ends"])]


def varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def records(frame):
    """The records of a batch: offset, time, key, value."""
    at, time, data = 0, frame.first_time, frame.payload
    for n in range(frame.count):
        delta, at = varint(data, at)
        step = (delta >> 1) ^ -(delta & 1)
        time = frame.first_time if n == 0 else time + step
        key_length, at = varint(data, at)
        key = None
        if key_length > 0:
            key, at = data[at : at + key_length - 1], at + key_length - 1
        length, at = varint(data, at)
        value, at = data[at : at + length], at + length
        headers, at = varint(data, at)
        for _ in range(2 * headers):
            length, at = varint(data, at)
            at += length
        yield frame.offset + n, time, key, value
    if any(data[at:]) or len(data) - at >= 8:
        raise Damaged(f"a batch at offset {frame.offset} holds more than its records")


def main(dir):
    manifest = envelope(os.path.join(dir, "manifest"))
    if manifest["format"] != 1:
        raise Damaged(f"{dir}: format {manifest['format']}")
    topic, state = manifest["id"], State()
    _, decisions, _ = log(os.path.join(dir, "decisions"), topic, DECISIONS)
    for frame, _ in decisions:
        if frame.kind != DECISION:
            raise Damaged(f"{dir}: no decision at offset {frame.offset}")
        state.apply(json.loads(frame.payload))
    for partition in range(manifest["partitions"]):
        path = os.path.join(dir, f"partition-{partition:05}")
        kept, _, reached = log(path, topic, partition)
        if reached < state.ends[partition]:
            raise Damaged(f"{path}: ends at {reached}, but went up to {state.ends[partition]}")
        for frame, end in kept:
            if frame.transaction in state.open or frame.transaction >= state.next:
                break
            if frame.transaction in state.aborted:
                continue
            for offset, _, _, value in records(frame):
                if state.starts[partition] <= offset < end:
                    sys.stdout.buffer.write(value + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
