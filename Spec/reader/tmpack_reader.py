#!/usr/bin/env python3
"""A second reader of tmpack archives, written from Spec/format.md alone and in its order. Needs zstandard and numpy.

    tmpack_reader.py ARCHIVE verify [--shared-from BASE.safetensors]
    tmpack_reader.py ARCHIVE unpack --digests [--weights NAME=W,NAME=W] [--shared-from BASE.safetensors]
                                    [--dtype F32|F16|BF16|F64]
    tmpack_reader.py ARCHIVE route --embedding INPUTS.safetensors [--group-size N] [--temperature T] [--top K]
                                   [--threshold P] [--fallback-entropy H | --no-fallback]

`verify` is the deep verification of TMP-8-3. `unpack` prints `name dtype shape sha256` for every tensor of the result
(the only output there is; `--digests` may be left out). `route` prints a line of JSON for each group of rows of the
tensor `embeddings`: its weights, entropy and whether it fell back.
Plain code before fast code: it exists to check another implementation, not to replace it.
Exit status 0, or 2 with one line that names the broken rule.
"""

import argparse
import fcntl
import functools
import hashlib
import itertools
import json
import math
import re
import struct
import sys
import zlib
from fractions import Fraction

import numpy as np
import zstandard


class TmpackError(Exception):
    """The archive, or what was asked of it, is at fault. The message begins with the id of the rule."""


def require(condition, rule, message):
    if not condition:
        raise TmpackError(f"{rule}: {message}")


# --- 1. Conventions ---------------------------------------------------------------------------------------------

BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
        "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64}  # TMP-1-6
FLOATS = ("F64", "F32", "F16", "BF16")  # TMP-1-6
CONTROL = "\x00-\x1f\x7f-\x9f"  # TMP-1-8
MIB = 1 << 20


def sha256(data):  # TMP-1-2
    return hashlib.sha256(data).hexdigest()


def tensor_size(dtype, shape, where):
    require(isinstance(dtype, str) and dtype in BITS, "TMP-1-6", f"{where}: unknown dtype {dtype!r}")
    array(shape, where)
    require(len(shape) <= 16, "TMP-9-8", f"{where}: {len(shape)} dimensions, the limit is 16")
    product = math.prod(integer(d, where) or 1 for d in shape)
    require(product < 1 << 63, "TMP-9-12", f"{where}: the product of the dimensions is {product}")
    bits = math.prod(shape) * BITS[dtype]
    require(bits % 8 == 0, "TMP-1-6", f"{where}: {bits} bits are not whole bytes")
    require(bits // 8 < 1 << 53, "TMP-9-12", f"{where}: {bits // 8} bytes")
    return bits // 8


def matrix(shape):  # TMP-1-5; (0, 0) for what is no matrix
    elements = math.prod(shape)
    return (shape[0], elements // shape[0]) if len(shape) >= 2 and elements else (0, 0)


# --- What a JSON value must be. Each check returns the value. ----------------------------------------------------

def integer(value, where):  # the range was checked with the text
    require(isinstance(value, int) and not isinstance(value, bool), "TMP-4-2", f"{where}: not an integer")
    return value


def array(value, where):
    require(isinstance(value, list), "TMP-6-16", f"{where}: not an array")
    return value


def text(value, where):
    require(isinstance(value, str), "TMP-6-16", f"{where}: not a string")
    return value


def name(value, where):
    require(len(text(value, where).encode()) <= 1024, "TMP-9-7", f"{where}: a name has more than 1024 bytes")
    return value


def texts(value, where):
    require(isinstance(value, dict), "TMP-6-16", f"{where}: not an object")
    require(all(isinstance(v, str) for v in value.values()), "TMP-6-16", f"{where}: a value is not a string")
    return value


def anything(value, where):
    return value


def checksum(value, where):
    require(re.fullmatch("[0-9a-f]{8}", text(value, where)), "TMP-6-24", f"{where}: not a checksum")
    return value


def digest(value, where):
    require(re.fullmatch("[0-9a-f]{64}", text(value, where)), "TMP-1-2", f"{where}: not a digest")
    return value


def measure(value, where):
    good = re.fullmatch(r"[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?", text(value, where)) and len(value) <= 32
    require(good and math.isfinite(float(value)), "TMP-4-3", f"{where}: {value[:40]!r} is not a measure")
    return float(value)


def members(value, where, rule, required, optional={}):
    """An object with exactly such members: TMP-4-6."""
    require(isinstance(value, dict), rule, f"{where}: not an object")
    for key, item in value.items():
        check = required.get(key) or optional.get(key)
        require(check, "TMP-4-6", f"{where}: unknown member {key!r}")
        check(item, f"{key} of {where}")
    for key in required:
        require(key in value, rule, f"{where}: member {key!r} is missing")
    return value


def increasing(names, where, rule):  # TMP-1-8
    names = [name(n, where).encode() for n in array(names, where)]
    require(all(a < b for a, b in zip(names, names[1:])), rule, f"{where}: names unsorted or repeated")


# --- 2. The file, 3. Header slot --------------------------------------------------------------------------------

MAGIC = bytes.fromhex("89544D500D0A1A0A")


def read_slot(data):
    """None for an empty slot, a dict for a valid one, a string (why) for a damaged one: TMP-2-2."""
    if not any(data):
        return None
    magic, major, _, pad, generation, end, offset, stored, raw, pad2, root = struct.unpack_from("<8sHHIQQQQQQ32s", data)
    if magic != MAGIC:
        return "TMP-3-1: no magic"
    if hashlib.sha256(data[:96]).digest() != data[96:128]:
        return "TMP-3-2: the digest of the slot does not match"
    require(major == 1, "TMP-3-3", f"unsupported: major version {major}")
    if generation < 1 or offset < 8192 or stored < 1 or offset + stored > end:
        return "TMP-3-4: the generation is 0 or the index lies outside the archive"
    if pad or pad2 or any(data[128:]):
        return "TMP-3-5: a reserved byte is not zero"  # TMP-1-7
    return {"generation": generation, "end": end,
            "index": {"offset": offset, "stored": stored, "raw": raw, "digest": root.hex()}}


def read_header(file):
    """The active slot, and the residue, which only a verifier minds: TMP-2-3 to TMP-2-6."""
    require(len(file) >= 8192, "TMP-2-1", f"{len(file)} bytes cannot hold two header slots")
    require(MAGIC in (file[:8], file[4096:4104]), "TMP-3-1", "not a tmpack archive")
    slots = [read_slot(file[4096 * i:4096 * i + 4096]) for i in (0, 1)]
    valid = sorted((slot["generation"], i) for i, slot in enumerate(slots) if isinstance(slot, dict))
    require(valid, "TMP-2-3", f"no valid header slot ({'; '.join(s for s in slots if isinstance(s, str))})")
    for generation, place in valid:
        require(place == (generation - 1) % 2, "TMP-2-4", f"generation {generation} lies in slot {place}")
    require(valid[-1][0] - valid[0][0] == len(valid) - 1, "TMP-2-4", "the generations do not differ by one")
    place = valid[-1][1]
    active, other = slots[place], slots[1 - place]
    require(active["end"] <= len(file), "TMP-2-5", f"truncated: {len(file)} of {active['end']} bytes")
    residue = [f"TMP-2-6: slot {1 - place} is damaged: {other}"] if isinstance(other, str) else []
    if other is None and active["generation"] > 1:
        residue.append(f"TMP-2-6: slot {1 - place} is empty in generation {active['generation']}")
    if active["end"] < len(file):
        residue.append(f"TMP-2-6: {len(file) - active['end']} bytes after the archive end {active['end']}")
    return active, residue


def open_archive(path):
    """The index of the file as it is, looked at again where a writer may have come in between: TMP-2-11."""
    with open(path, "rb") as stream:
        try:
            index = Index(stream.read())
            if not index.residue:
                return index
        except TmpackError:
            pass
    with open(path, "rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:  # a writer's, whose work is no residue
            index = Index(stream.read())
            index.residue = []
            return index
        return Index(stream.read())  # closing the file gives the lock up


# --- 4. Index ---------------------------------------------------------------------------------------------------

def canonical_json(data, where, lists):
    """The value of a canonical JSON text: TMP-4-2, TMP-9-9. Of `lists` the elements are not counted: TMP-9-19."""
    def pairs(items):  # strictly increasing in UTF-16 code units, which excludes duplicates
        keys = [key.encode("utf-16-be", "surrogatepass") for key, _ in items]
        require(all(a < b for a, b in zip(keys, keys[1:])), "TMP-4-2", f"{where}: names duplicate or unsorted")
        return dict(items)

    def number(digits):
        require(len(digits) <= 16 and 0 <= int(digits) < 1 << 53, "TMP-4-2", f"{where}: number {digits[:24]}")
        return int(digits)

    def other(digits):
        require(False, "TMP-4-2", f"{where}: number {digits[:24]} is not an integer")

    def depth(value):
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    def count(value):
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return 1 + (len(value) if isinstance(value, dict) else 0) + sum(map(count, inner))

    try:
        source = data.decode("utf-8")
        value = json.loads(source, object_pairs_hook=pairs, parse_int=number, parse_float=other, parse_constant=other)
        require(depth(value) <= 16, "TMP-9-9", f"{where}: JSON nested deeper than 16")
    except RecursionError:
        raise TmpackError(f"TMP-9-9: {where}: JSON nested deeper than 16") from None
    except ValueError as error:
        raise TmpackError(f"TMP-4-2: {where}: not JSON: {error}") from None
    again = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    require(again == source, "TMP-4-2", f"{where}: not canonical JSON")
    counted = [] if not isinstance(value, dict) else {
        key: [] if key in lists and isinstance(item, list) else item for key, item in value.items()}
    require(count(counted) <= 1 << 20, "TMP-9-19", f"{where}: more than 1,048,576 values")
    return value


SUMMARY = {"bytes": integer, "factors": anything, "parameters": integer, "tensors": integer}  # TMP-4-10
SUMMARY_OF_LOSSY = {"correction_bytes": integer, "error": measure, "worst_error": measure, "worst_tensor": text}
SECTION = {"digest": digest, "offset": integer, "raw": integer, "stored": integer}  # TMP-4-8


class Index:
    def __init__(self, file):
        self.file = file
        self.slot, self.residue = read_header(file)
        ref = self.slot["index"]
        require(ref["raw"] <= 64 * MIB, "TMP-9-1", f"raw bytes of the index: {ref['raw']}, the limit is 64 MiB")
        value = canonical_json(self.extent(ref, "index", "TMP-4-1"), "index", ("experts",))
        require(isinstance(value, dict), "TMP-4-4", "the index is not an object")
        features = members(value.get("features"), "features", "TMP-4-4", {"optional": array, "required": array})
        for kind, names in features.items():  # before anything that a feature could change
            increasing(names, f"features.{kind}", "TMP-4-4")
        unknown = [n for n in features["required"] if n not in ("router", "extra-rows", "stacks", "quantized-own", "mappable")]
        require(not unknown, "TMP-4-5", f"unsupported: required features {unknown}")
        self.extra_rows = "extra-rows" in features["required"]  # TMP-6-27
        self.stacks = "stacks" in features["required"]  # TMP-6-32
        self.own = "quantized-own" in features["required"]  # TMP-6-34
        self.mappable = "mappable" in features["required"]  # TMP-5-12
        members(value, "index", "TMP-4-4", {"experts": array, "features": anything, "shared": anything},
                {"extensions": anything})
        extensions = value.get("extensions", {})
        require(isinstance(extensions, dict), "TMP-4-6", "extensions: not an object")
        named = any("router" in names for names in features.values())
        require(named == ("router" in extensions), "TMP-11-1", "the feature router without its extension, or the other way")
        self.router = extensions.get("router")
        if named:
            members(self.router, "router", "TMP-11-1", {"section": self.section})
        self.complete = not extensions.keys() - {"router"}  # whether all extents are known: TMP-2-8
        self.shared = members(value["shared"], "shared", "TMP-4-4", {
            "method": text, "parameters": texts, "section": self.section, "storage": text})
        require(re.fullmatch("[a-z0-9-]{1,64}", self.shared["method"]), "TMP-4-9", "shared.method")
        require(self.shared["storage"] in ("embedded", "detached"), "TMP-4-9", "shared.storage")
        self.embedded = self.shared["storage"] == "embedded"
        require(len(value["experts"]) <= 65536, "TMP-9-3", "experts: the limit is 65,536")
        self.experts = {}
        for expert in value["experts"]:
            members(expert, "expert", "TMP-4-4", {"name": name, "section": self.section, "summary": anything})
            own = expert["name"]
            good = own not in ("", ".", "..") and not re.search(rf"[=,#/\\{CONTROL}]", own)
            require(good and own not in self.experts, "TMP-4-7", f"expert name {own!r}")
            members(expert["summary"], f"summary of {own}", "TMP-4-10", SUMMARY, SUMMARY_OF_LOSSY)
            self.experts[own] = expert
        sections = [self.shared, *self.experts.values()] + ([self.router] if named else [])
        raw, bound = sum(each["section"]["raw"] for each in sections), 64 * MIB + 256 * self.slot["end"]
        require(raw <= bound, "TMP-9-18", f"raw bytes of all sections: {raw}, the limit is {bound}")

    def section(self, ref, where):
        members(ref, where, "TMP-4-8", SECTION)
        self.check_place(ref["offset"], ref["stored"], where)
        require(ref["raw"] <= 256 * MIB, "TMP-9-2", f"raw bytes of {where}: {ref['raw']}, the limit is 256 MiB")

    def check_place(self, offset, stored, where):
        require(stored > 0 and offset >= 8192 and offset + stored <= self.slot["end"], "TMP-3-4",
                f"{where}: bytes {offset} to {offset + stored} lie outside the archive")

    def extent(self, ref, where, rule):
        """The raw bytes of the index or a section, its digest checked first: TMP-4-1, TMP-5-1, TMP-5-6."""
        stored = self.file[ref["offset"]:ref["offset"] + ref["stored"]]
        require(sha256(stored) == ref["digest"], rule, f"{where}, bytes {ref['offset']} to "
                f"{ref['offset'] + ref['stored'] - 1}: digest {sha256(stored)}, expected {ref['digest']}")
        return zstd_frame(stored, ref["raw"], where)


# --- 5. Sections and frames -------------------------------------------------------------------------------------

def zstd_frame(data, raw, where, exact=True):
    """Decompresses exactly one frame, of that content size or, unless exact, at most that, after checking its header and walking over its blocks: TMP-5-5."""
    def check(condition, message):
        require(condition, "TMP-5-5", f"{where}: {message}")

    check(len(data) >= 10 and data[:4] == b"\x28\xb5\x2f\xfd", "not a zstd frame")
    flags, at = data[4], 5
    single = flags >> 5 & 1
    check(not flags & 3, "a dictionary")
    check(flags & 4, "no content checksum")
    check(not flags & 8, "reserved bit")
    check(single or flags >> 6, "no content size")
    if not single:
        base = 1 << 10 + (data[5] >> 3)
        window, at = base + base // 8 * (data[5] & 7), 6
    width = 1 << (flags >> 6)
    size = int.from_bytes(data[at:at + width], "little") + (256 if width == 2 else 0)
    at += width
    check(size == raw or (size < raw and not exact), f"content size {size}, expected {raw}")
    check((size if single else window) <= 8 * MIB, "the window exceeds 8 MiB")
    last = 0
    while not last:
        check(at + 3 <= len(data), "ends inside a block")
        block = int.from_bytes(data[at:at + 3], "little")
        last, kind = block & 1, block >> 1 & 3
        at += 3 + (1 if kind == 1 else block >> 3)
    check(at + 4 == len(data), "not exactly one frame")
    try:
        out = zstandard.ZstdDecompressor(max_window_size=8 * MIB).decompress(data, max_output_size=size)
    except zstandard.ZstdError as error:
        raise TmpackError(f"TMP-5-5: {where}: {error}") from None
    check(len(out) == size, f"{len(out)} bytes, expected {size}")
    return out


PAYLOADS = ("correction", "extra", "left", "mask", "payload", "positions", "right", "scales", "values", "vector")  # in the order of canonical JSON
MANIFEST = {"files": array, "kind": text, "metadata": texts, "provenance": anything, "tensors": array}  # TMP-6-16
MEASURES = {"error": measure, "norm": measure}  # TMP-6-6
LOSSY = MEASURES | {"dtype": text, "scales": anything}
FACTORS = {"low-rank": LOSSY | {"left": anything, "rank": integer, "right": anything},
           "low-rank-stack": LOSSY | {"left": anything, "ranks": array, "right": anything, "stack": array},
           "sparse": LOSSY | {"count": integer, "positions": anything, "values": anything},
           "dense": LOSSY | {"values": anything},
           "quantized-low-rank": MEASURES | {"payload": anything, "rank": integer},
           "quantized": MEASURES | {"payload": anything},
           "quantized-layered": MEASURES | {"payload": anything, "rank": integer},
           "quantized-stack": MEASURES | {"payload": anything, "ranks": array, "stack": array},
           "masked": MEASURES | {"mask": anything, "vector": anything},
           "quantized-own": MEASURES | {"dtype": text, "payload": anything, "shape": array},
           "dropped": MEASURES,
           "difference": {"payload": anything},
           "common": {"extra": anything},
           "replaced": {"dtype": text, "payload": anything, "shape": array}}
OPTIONAL = {name: ("correction", "extra") for name, own in FACTORS.items() if "error" in own and name != "quantized-own"}  # TMP-6-17, TMP-6-25
OPTIONAL["difference"] = ("extra",)
OPTIONAL["quantized-low-rank"] += ("quantizer",)  # TMP-6-20
OPTIONAL["quantized-layered"] += ("quantizer",)  # TMP-6-22
OPTIONAL["quantized-stack"] += ("dense", "quantizer")  # TMP-6-30


class Section:
    """A checked manifest and its frame records. `tensors` maps names to entries."""

    def __init__(self, index, ref, where, shared=None):
        self.index, self.where, self.ref = index, where, ref
        data = index.extent(ref, f"section of {where}", "TMP-5-6")
        require(len(data) >= 8, "TMP-5-1", f"section of {where}: too short")
        size, count = struct.unpack_from("<II", data)
        require(count <= 4194304, "TMP-9-5", f"frame records of {where}: {count}, the limit is 4,194,304")
        start = (8 + size + 7) // 8 * 8
        require(start + 56 * count == len(data), "TMP-5-1", f"section of {where}: sizes do not add up")
        require(not any(data[8 + size:start]), "TMP-1-7", f"section of {where}: padding is not zero")
        self.records = list(struct.iter_unpack("<QIIBBB5s32s", data[start:]))
        for number, record in enumerate(self.records):
            self.check_record(record, f"frame {number} of {where}")
        self.manifest = canonical_json(data[8:8 + size], f"manifest of {where}", ("absent", "tensors"))
        self.symbols = 0  # of quantised entries, for TMP-9-11
        self.check_manifest(shared)
        self.check_payloads()

    def check_record(self, record, where):  # TMP-5-2, TMP-5-3
        offset, stored, raw, codec, transform, width, reserved, _ = record
        self.index.check_place(offset, stored, where)
        require(raw <= 4 * MIB, "TMP-9-6", f"raw bytes of {where}: {raw}, the limit is 4 MiB")
        require(raw >= 1, "TMP-5-3", f"{where} is empty")
        require(codec < 3 and transform < 4, "TMP-5-2", f"{where}: codec {codec}, filter {transform}")
        require(width in ((2, 4, 8) if transform else (0,)), "TMP-5-2", f"{where}: filter width {width}")
        require(not any(reserved[:1] if codec == 2 else reserved), "TMP-1-7", f"{where}: a reserved byte is not zero")
        require(codec != 2 or self.index.mappable, "TMP-5-12", f"{where}: the index does not require the feature of its codec")
        if codec != 1:
            require(offset % 64 == 0 and stored == raw and transform == 0, "TMP-5-3", f"{where}: not a raw frame")
        else:
            require(stored < raw, "TMP-5-3", f"{where}: stored size {stored} is not less than raw size {raw}")
        require(raw % (width or 1) == 0, "TMP-5-7", f"{where}: {raw} bytes with a filter of width {width}")

    @functools.lru_cache(maxsize=8)
    def frame(self, number):
        """The raw bytes of a frame, its digest checked: TMP-5-6, TMP-5-7, TMP-5-10, TMP-5-11."""
        offset, stored, raw, codec, transform, width, reserved, expected = self.records[number]
        where = f"frame {number} of {self.where}, bytes {offset} to {offset + stored - 1}"
        data = self.index.file[offset:offset + stored]
        found = hashlib.sha256(data).digest()
        require(found == expected, "TMP-5-6", f"{where}: digest {found.hex()}, expected {expected.hex()}")
        if codec == 2:  # TMP-5-12
            found, expected = zlib.crc32(data), int.from_bytes(reserved[1:], "little")
            require(found == expected, "TMP-5-12", f"{where}: checksum {found:08x}, expected {expected:08x}")
        if codec != 1:
            return data
        data = zstd_frame(data, raw, where, exact=transform != 3)
        if transform == 3:
            return undo_magnitudes(data, raw, width, where)
        if width:
            data = np.frombuffer(data, np.uint8).reshape(width, -1).T.tobytes()
        if transform == 2:
            lanes = np.frombuffer(data, f"<u{width}")
            data = (lanes >> 1 | lanes << (8 * width - 1)).tobytes()
        return data

    def payload(self, value):  # TMP-5-8
        data = b"".join(self.frame(value["first"] + i) for i in range(value["count"]))
        return data[value.get("skip", 0):][:value["size"]]

    def payloads(self):
        """All payloads, with what to call them, in the order of the canonical manifest."""
        for owner in self.manifest["files"] + self.manifest["tensors"]:
            for member in (m for m in PAYLOADS if m in owner):
                yield f"{member} of {owner['name']!r} of {self.where}", owner[member]

    def check_payloads(self):
        """Every payload's numbers, without reading a frame: TMP-5-8, TMP-5-9, TMP-9-11."""
        ends, used, total = [0, *itertools.accumulate(record[2] for record in self.records)], 0, 0
        for where, value in self.payloads():
            count, first, size, skip = (value.get(m, 0) for m in ("count", "first", "size", "skip"))
            total += size
            if count == 0:
                require(first == size == skip == 0, "TMP-5-8", f"{where}: an empty payload has only zeros")
                continue
            fresh = first == used or first + count <= used
            require(fresh and first + count <= len(self.records), "TMP-5-9", f"{where}: frames out of order")
            begin, last = ends[first] + skip, first + count - 1  # the first and the last frame give a byte
            require(size > 0 and begin < ends[first + 1] and ends[last] < begin + size <= ends[last + 1], "TMP-5-8",
                    f"{where}: {size} bytes after {skip} do not fit its {count} frames")
            used = max(used, first + count)
        require(used == len(self.records), "TMP-5-9", f"{self.where}: frame {used} is not used")
        self.check_corrections()
        total += 2 * self.symbols
        require(total <= 64 * MIB + 16384 * self.index.slot["end"], "TMP-9-11",
                f"sum of the payload sizes of {self.where}: {total}")

    def frames_of(self, payloads):
        """Whether each frame is used by one of the payloads."""
        changes = np.zeros(len(self.records) + 1, np.int64)
        for value in payloads:
            np.add.at(changes, [value["first"], value["first"] + value["count"]], [1, -1])
        return np.cumsum(changes)[:-1] > 0

    def check_corrections(self):  # TMP-6-18
        lossy = [e for e in self.manifest["tensors"] if "error" in e]
        corrected = [e["correction"] for e in lossy if "correction" in e]
        require(len(corrected) in (0, len(lossy)), "TMP-6-18", f"{self.where}: only some entries have a correction")
        others = [owner[m] for owner in self.manifest["files"] + self.manifest["tensors"]
                  for m in PAYLOADS[1:] if m in owner]
        self.corrections = self.frames_of(corrected) if corrected else None
        require(not corrected or not (self.corrections & self.frames_of(others)).any(), "TMP-6-18",
                f"{self.where}: a frame holds a correction and something else")

    # --- 6. Manifests ---

    def check_manifest(self, shared):
        where, manifest = f"manifest of {self.where}", self.manifest
        members(manifest, where, "TMP-6-16", MANIFEST | ({"absent": array} if shared else {}))
        kind = "expert" if shared else "shared"
        require(manifest["kind"] == kind, "TMP-6-16", f"{where}: kind is not {kind}")
        self.check_provenance(manifest["provenance"], where)
        self.check_files(manifest["files"], where)
        require(len(manifest["tensors"]) <= MIB, "TMP-9-4", f"entries of {where}")
        for entry in manifest["tensors"]:
            require(isinstance(entry, dict) and "name" in entry, "TMP-6-1", f"{where}: an entry without a name")
            self.check_entry(entry, shared, f"tensor {name(entry['name'], where)!r} of {self.where}")
        increasing([entry["name"] for entry in manifest["tensors"]], where, "TMP-6-1")
        self.tensors = {entry["name"]: entry for entry in manifest["tensors"]}
        if shared:  # TMP-6-5
            require(len(manifest["absent"]) <= MIB, "TMP-9-4", f"absent of {where}")
            increasing(manifest["absent"], f"absent of {where}", "TMP-6-5")
            for own in manifest["absent"]:
                require(own in shared.tensors and own not in self.tensors, "TMP-6-5", f"absent {own!r} of {where}")

    def check_provenance(self, provenance, where):
        sources = members(provenance, f"provenance of {where}", "TMP-6-16", {
            "options": texts, "sources": array, "tool": text})["sources"]
        for source in sources:
            members(source, f"source of {where}", "TMP-6-16", {"digest": digest, "name": text, "size": integer})

    def check_files(self, files, where):  # TMP-6-2
        require(len(files) <= 4096, "TMP-9-10", f"files of {where}: {len(files)}, the limit is 4096")
        for file in files:
            members(file, f"file of {where}", "TMP-6-16", {"digest": digest, "name": name, "payload": anything})
            parts = file["name"].split("/")
            bad = re.search(rf"[\\{CONTROL}]", file["name"]) or {"", ".", ".."} & set(parts) or len(parts) > 8
            require(not bad, "TMP-6-2", f"{where}: file name {file['name']!r}")
            self.size_of(file, "payload", None, where)
            require(file["payload"]["size"] <= 64 * MIB, "TMP-9-10", f"bytes of file {file['name']!r}: above 64 MiB")
        names = [file["name"] for file in files]
        increasing(names, f"files of {where}", "TMP-6-1")
        folders = {"/".join(parts[:i]) for parts in (n.split("/") for n in names) for i in range(1, len(parts))}
        require(not folders & set(names), "TMP-6-2", f"{where}: {folders & set(names)} are files and folders")

    def size_of(self, owner, member, expected, where):
        value = members(owner[member], f"{member} of {where}", "TMP-5-8", {
            "count": integer, "first": integer, "size": integer}, {"skip": integer})
        require(value.get("skip") != 0, "TMP-5-8", f"{member} of {where}: skip is 0")
        size = value["size"]
        require(expected is None or size == expected, "TMP-6-9", f"{member} of {where}: {size} bytes, not {expected}")

    def check_entry(self, entry, shared, where):
        if not shared:  # TMP-6-3, TMP-6-4
            own = {"digest": digest, "dtype": text, "name": text, "shape": array}
            if self.index.embedded:
                members(entry, where, "TMP-6-3", own | {"payload": anything})
                return self.size_of(entry, "payload", tensor_size(entry["dtype"], entry["shape"], where), where)
            members(entry, where, "TMP-6-3", own, {"checksum": checksum})
            tensor_size(entry["dtype"], entry["shape"], where)
            return None
        factor = entry.get("factor")
        require(isinstance(factor, str) and factor in FACTORS, "TMP-6-6", f"{where}: factor {factor!r}")
        members(entry, where, "TMP-6-6", {"name": text, "factor": text, "source": digest} | FACTORS[factor],
                {name: anything for name in OPTIONAL.get(factor, ())})
        if factor == "replaced":  # TMP-6-15
            return self.size_of(entry, "payload", tensor_size(entry["dtype"], entry["shape"], where), where)
        if factor == "quantized-own":  # TMP-6-33
            return self.check_own(entry, shared, where)
        require(entry["name"] in shared.tensors, "TMP-6-7", f"{where}: {factor} without a shared tensor")
        of = shared.tensors[entry["name"]]
        if "extra" in entry:
            self.check_extra(entry, of, where)
        if factor == "common":  # TMP-6-26
            return None
        if factor == "difference":  # TMP-6-14
            return self.size_of(entry, "payload", tensor_size(of["dtype"], of["shape"], where), where)
        require(of["dtype"] in FLOATS, "TMP-6-7", f"{where}: {factor} of {of['dtype']}")
        require(float(entry["norm"]) > 0, "TMP-6-6", f"{where}: the norm is 0")
        if "correction" in entry:  # TMP-6-17
            self.size_of(entry, "correction", tensor_size(of["dtype"], of["shape"], where), where)
        elements, components = math.prod(of["shape"]), 1
        if factor.endswith("-stack"):
            rows, columns = self.check_stack(entry, of, where)
        if factor.startswith("quantized"):  # TMP-6-20 to TMP-6-22
            if factor == "quantized":
                require(elements, "TMP-6-21", f"{where}: there is no element")
            else:
                require(entry.get("quantizer", "trellis") == "trellis", "TMP-6-20", f"{where}: an unknown quantizer")
            if factor == "quantized-stack":  # TMP-6-30
                self.symbols += sum(entry["ranks"]) * (rows + columns) + len(entry.get("dense", ())) * rows * columns
                self.size_of(entry, "payload", None, where)
                return require(entry["payload"]["size"], "TMP-6-21", f"{where}: the payload is empty")
            if factor != "quantized":
                fits = 1 <= entry["rank"] <= min(matrix(of["shape"]))
                require(fits, "TMP-6-20", f"{where}: rank {entry['rank']} of {of['shape']}")
            self.symbols += elements if factor != "quantized-low-rank" else 0
            self.symbols += entry["rank"] * sum(matrix(of["shape"])) if factor != "quantized" else 0
            self.size_of(entry, "payload", None, where)
            return require(entry["payload"]["size"], "TMP-6-21", f"{where}: the payload is empty")
        if factor == "masked":  # TMP-6-23
            require(all(matrix(of["shape"])), "TMP-6-23", f"{where}: {of['shape']} is no matrix")
            self.symbols += 2 * elements
            for member in ("mask", "vector"):
                self.size_of(entry, member, None, where)
                require(entry[member]["size"], "TMP-6-23", f"{where}: the {member} is empty")
            return None
        if factor == "dropped":  # TMP-6-19
            return None
        require(entry["dtype"] in ("F32", "BF16", "F16", "I8", "I4"), "TMP-6-8", f"{where}: dtype {entry['dtype']!r}")
        width = {"F32": 32, "I8": 8, "I4": 4}.get(entry["dtype"], 16)
        if factor.startswith("low-rank"):  # TMP-6-11, TMP-6-29
            if factor == "low-rank":
                (rows, columns), components = matrix(of["shape"]), entry["rank"]
                fits = 1 <= components <= min(rows, columns)
                require(fits, "TMP-6-11", f"{where}: rank {components} of {rows} × {columns}")
            else:
                components = sum(entry["ranks"])
            self.size_of(entry, "left", components * ((rows * width + 7) // 8), where)
            self.size_of(entry, "right", components * ((columns * width + 7) // 8), where)
        elif factor == "dense":  # TMP-6-12
            self.size_of(entry, "values", (elements * width + 7) // 8, where)
        else:  # TMP-6-13
            count = entry["count"]
            require(1 <= count <= elements, "TMP-6-13", f"{where}: count {count} of {elements}")
            self.size_of(entry, "values", (count * width + 7) // 8, where)
            self.size_of(entry, "positions", None, where)
        self.size_of(entry, "scales", 4 * components, where)  # TMP-6-10

    def check_own(self, entry, shared, where):
        """TMP-6-33."""
        require(self.index.own, "TMP-6-34", f"{where}: a quantised tensor of its own without the required feature")
        require(entry["name"] not in shared.tensors, "TMP-6-33", f"{where}: the shared model has it")
        tensor_size(entry["dtype"], entry["shape"], where)
        elements = math.prod(entry["shape"])
        require(entry["dtype"] in FLOATS and elements, "TMP-6-33", f"{where}: {entry['dtype']} {entry['shape']}")
        require(float(entry["norm"]) > 0, "TMP-6-6", f"{where}: the norm is 0")
        self.symbols += elements
        self.size_of(entry, "payload", None, where)
        require(entry["payload"]["size"], "TMP-6-21", f"{where}: the payload is empty")

    def check_stack(self, entry, of, where):
        """Rows and columns of its matrices: TMP-6-28."""
        require(self.index.stacks, "TMP-6-32", f"{where}: a stack without the required feature")
        ranks, stack, dense = entry["ranks"], entry["stack"], entry.get("dense", [])
        require(len(ranks) <= 65536, "TMP-9-20", f"{where}: {len(ranks)} matrices")
        for value in itertools.chain(ranks, stack, array(dense, where)):
            require(isinstance(value, int) and not isinstance(value, bool), "TMP-6-28", f"{where}: {value!r} is no number")
        require(len(of["shape"]) >= 3 and len(stack) == 5 and all(stack) and math.prod(stack) == math.prod(of["shape"]),
                "TMP-6-28", f"{where}: stack {stack} of {of['shape']}")
        outer, rows, middle, columns, inner = stack
        require(len(ranks) == outer * middle * inner >= 2, "TMP-6-28", f"{where}: {len(ranks)} ranks for {stack}")
        require(max(ranks) <= min(rows, columns), "TMP-6-28", f"{where}: rank {max(ranks)} of {rows} × {columns}")
        require(any(ranks) or dense, "TMP-6-28", f"{where}: nothing is stored")
        require("dense" not in entry or dense, "TMP-6-30", f"{where}: an empty list")
        require(all(a < b for a, b in zip(dense, dense[1:])) and all(n < len(ranks) for n in dense), "TMP-6-30",
                f"{where}: matrices {dense} of {len(ranks)}")
        return rows, columns

    def check_extra(self, entry, of, where):
        require(self.index.extra_rows, "TMP-6-27", f"{where}: extra rows without the required feature")
        elements = math.prod(of["shape"])
        require(of["dtype"] in FLOATS and of["shape"] and elements, "TMP-6-25", f"{where}: extra rows of such a tensor")
        self.size_of(entry, "extra", None, where)
        row, size = elements // of["shape"][0] * BITS[of["dtype"]] // 8, entry["extra"]["size"]
        require(size and size % row == 0, "TMP-6-25", f"{where}: {size} bytes of extra rows of {row} bytes")
        tensor_size(of["dtype"], whole_shape(entry, of), where)

    # --- Factors ---

    def decode(self, entry, shape):
        """(scales, left, right), (scales, values), (scales, values, places), for layers the first two, or (); of a stack,
        lists of layers, one for each matrix. The payload's rules are checked."""
        where = f"tensor {entry['name']!r} of {self.where}"
        if entry["factor"] == "dropped":  # TMP-6-19
            return ()
        if entry["factor"] == "masked":  # TMP-6-23
            rows, columns = matrix(shape)
            coder = RangeDecoder(self.payload(entry["vector"]), where)
            scales, values = quantized(coder, rows, columns, where)
            coder.finish()
            coder = RangeDecoder(self.payload(entry["mask"]), where)
            selected = selected_places(coder, values, columns)
            coder.finish()
            return scales, values[selected], selected
        if entry["factor"].startswith("quantized"):
            coder = RangeDecoder(self.payload(entry["payload"]), where)
            if entry["factor"] == "quantized-stack":  # TMP-6-30
                decoded = quantized_stack(coder, entry, where)
                coder.finish()
                return decoded
            rows, columns = matrix(shape) if any(matrix(shape)) else (1, math.prod(shape))
            layers = []
            if "rank" in entry:  # TMP-6-20
                layers.append(quantized_low_rank(coder, rows, columns, entry["rank"], "quantizer" in entry, where))
            if entry["factor"] != "quantized-low-rank":  # TMP-6-21
                layers.append(quantized(coder, rows, columns, where))
            coder.finish()
            return layers if len(layers) > 1 else layers[0]  # TMP-6-22
        dtype = entry["dtype"]
        scales = np.frombuffer(self.payload(entry["scales"]), "<f4")
        require(np.isfinite(scales).all(), "TMP-6-10", f"{where}: a scale is not finite")
        if entry["factor"] == "low-rank":
            return scales, *(numbers(dtype, self.payload(entry[side]), entry["rank"], length, where)
                             for side, length in zip(("left", "right"), matrix(shape)))
        if entry["factor"] == "low-rank-stack":  # TMP-6-29
            _, rows, _, columns, _ = entry["stack"]
            left, right = (numbers(dtype, self.payload(entry[side]), sum(entry["ranks"]), length, where)
                           for side, length in (("left", rows), ("right", columns)))
            ends = np.cumsum([0] + entry["ranks"])
            return [[(scales[a:b], left[a:b], right[a:b])] if a < b else [] for a, b in zip(ends, ends[1:])]
        elements = math.prod(shape)
        count = entry.get("count", elements)
        values = numbers(dtype, self.payload(entry["values"]), 1, count, where)[0]
        if entry["factor"] == "dense":
            return scales, values
        return scales, values, places(self.payload(entry["positions"]), count, elements, where)


def whole_shape(entry, of):
    """Of an expert's tensor, from its entry and the shared tensor: TMP-6-25."""
    if not entry or "extra" not in entry:
        return of["shape"]
    row = math.prod(of["shape"][1:]) * BITS[of["dtype"]] // 8
    return [of["shape"][0] + entry["extra"]["size"] // row, *of["shape"][1:]]


def numbers(dtype, data, components, length, where):
    """Components of elements as binary32: TMP-6-8, TMP-6-9."""
    if dtype in ("F32", "F16", "BF16"):
        values = widen(dtype, data, np.float32).reshape(components, length)
        require(np.isfinite(values).all(), "TMP-6-8", f"{where}: a value is not finite")
        return values
    codes = np.frombuffer(data, np.int8).reshape(components, -1)
    if dtype == "I4":
        codes = np.stack((codes << 4 >> 4, codes >> 4), axis=2).reshape(components, -1)
        require(not codes[:, length:].any(), "TMP-6-9", f"{where}: an unused half byte is not zero")
        codes = codes[:, :length]
    require((codes != (-8 if dtype == "I4" else -128)).all(), "TMP-6-8", f"{where}: a value is out of range")
    return codes.astype(np.float32)


def places(data, count, elements, where):
    """The positions of a sparse factor: TMP-6-13."""
    result, at, next_place = [], 0, 0
    for _ in range(count):
        end = at
        while end < len(data) and data[end] >= 128:
            end += 1
        require(end < len(data) and end - at < 10, "TMP-6-13", f"{where}: not {count} positions")
        require(data[end] or end == at, "TMP-6-13", f"{where}: a position is not in its shortest form")
        next_place += sum((octet & 127) << 7 * i for i, octet in enumerate(data[at:end + 1]))
        require(next_place < elements, "TMP-6-13", f"{where}: a position beyond {elements} elements")
        result.append(next_place)
        at, next_place = end + 1, next_place + 1
    require(at == len(data), "TMP-6-13", f"{where}: bytes follow the last position")
    return np.array(result, np.int64)


def undo_magnitudes(data, raw, width, where):
    """The lanes: TMP-5-11."""
    count, m = raw // width, {2: 4, 4: 3, 8: 2}[width]
    require(len(data) >= count, "TMP-5-11", f"{where}: {len(data)} bytes for {count} symbols")
    symbols = np.frombuffer(data, np.uint8, count).astype(np.uint64)
    require((symbols < (8 * width - m + 1) << m).all(), "TMP-5-11", f"{where}: there is no such symbol")
    lengths = np.maximum(symbols >> m, 1) - 1
    ends = np.cumsum(lengths)
    total = int(ends[-1])
    require(len(data) - count == (total + 7) // 8, "TMP-5-11", f"{where}: the remainders have another size")
    bits = np.unpackbits(np.frombuffer(data, np.uint8, offset=count), bitorder="little")
    require(not bits[total:].any(), "TMP-5-11", f"{where}: an unused bit is set")
    lanes = np.where(symbols >> m == 0, symbols, (symbols & (1 << m) - 1 | 1 << m) << lengths)
    for bit in range(int(lengths.max(initial=0))):
        has = lengths > bit
        lanes[has] |= bits[(ends - lengths)[has] + bit].astype(np.uint64) << bit
    return lanes.astype(f"<u{width}").tobytes()


EXPONENTS = {"F64": (52, 11), "F32": (23, 8), "F16": (10, 5), "BF16": (7, 8), "F8_E5M2": (2, 5), "F8_E5M2FNUZ": (2, 5),
             "F8_E4M3": (3, 4), "F8_E4M3FNUZ": (3, 4)}  # first bit, number of bits


def undo_difference(payload, reference, dtype):
    """The bytes whose difference to the reference's is the payload: TMP-6-14."""
    width = {"C64": 4}.get(dtype, max(1, BITS[dtype] // 8))
    code, base = np.frombuffer(payload, f"<u{width}"), np.frombuffer(reference, f"<u{width}")
    signed = dtype in EXPONENTS
    if signed:
        shift, bits = EXPONENTS[dtype]
        keys, sorted_code, code, step = base >> shift & (1 << bits) - 1, code, np.empty_like(code), MIB // width
        for start in range(0, len(base), step):
            order = np.argsort(keys[start:start + step], kind="stable")
            code[start:start + step][order] = sorted_code[start:start + step]
    top = code.dtype.type(1 << 8 * width - 1)
    lane = (code >> 1) ^ (code.dtype.type(0) - (code & 1))
    lane += np.where(base & top, ~base, base | top) if signed else base
    return (np.where(lane & top, lane ^ top, ~lane) if signed else lane).tobytes()


# --- 10. Entropy coding (what sections 6 and 7 need of it) -------------------------------------------------------

class RangeDecoder:
    """Decisions from a message: TMP-10-2."""

    def __init__(self, data, where):
        self.data, self.where = data, where
        self.range, self.p = (1 << 64) - 1, 8
        self.offset = int.from_bytes(data[:8].ljust(8, b"\0"), "big")

    def split(self, bound):
        bit = self.offset >= bound
        if bit:
            self.offset -= bound
            self.range -= bound
        else:
            self.range = bound
        if self.range < 1 << 32:
            self.range <<= 32
            self.offset = self.offset << 32 | int.from_bytes(self.data[self.p:self.p + 4].ljust(4, b"\0"), "big")
            self.p += 4
        return bit

    def even(self):  # TMP-10-4
        return self.split(self.range // 2)

    def raw_bits(self, count):  # TMP-10-4
        value = 0
        for _ in range(count):
            value = 2 * value + self.even()
        return value

    def modelled(self, model):  # TMP-10-5; a model is the list [P, N]
        p, n = model
        bit = self.split((self.range >> 16) * p)
        p += ((0 if bit else 65536) - p) * (655360 // (10 * n + 16)) >> 16
        model[:] = min(max(p, 32), 65504), min(n + 1, 250)
        return bit

    def finish(self):  # TMP-10-3
        good, size = self.offset < self.range, len(self.data)
        if size:
            last, unit = self.data[-1], 256 ** max(0, self.p - size)
            good = (good and last != 0 and size <= self.p and self.offset < unit
                    and (256 - last) * unit >= self.range - self.offset)
        require(good, "TMP-10-3", f"{self.where}: the message does not end as an encoder ends it")


class Models:
    """Those of TMP-10-6."""

    def __init__(self):
        def models(count):
            return [[32768, 0] for _ in range(count)]
        self.zero, self.one, self.length, self.top = models(12), models(12), models(14), models(15)
        self.more = [models(14) for _ in range(3)]

    def begin(self):  # TMP-10-8
        for model in itertools.chain(self.zero, self.one, self.length, self.top, *self.more):
            model[1] = min(model[1], 24)

    def symbol(self, coder, context, largest):  # TMP-10-6
        if not coder.modelled(self.zero[context]):
            return 0
        sign = -1 if coder.even() else 1
        if not coder.modelled(self.one[context]):
            return sign
        for i in range(2, 14):
            if not coder.modelled(self.more[context // 4][i]):
                return sign * i
        length = 0
        while length < 14 and coder.modelled(self.length[length]):
            length += 1
        x = 1
        if length:
            x = 2 + coder.modelled(self.top[length])
            x = (x << length - 1) + coder.raw_bits(length - 1)
        require(x + 13 <= largest, "TMP-10-6", f"{coder.where}: a magnitude of {x + 13}")
        return sign * (x + 13)


NEXT = ((0, 2), (5, 7), (1, 3), (6, 4), (2, 0), (4, 6), (3, 1), (7, 5))  # TMP-10-9


class ModelSet:
    """TMP-10-7 to TMP-10-9."""

    def __init__(self, length, uses_run=False, trellis=False):
        self.grids = [Models() for _ in range(2 if trellis else 1)]
        self.activity, self.run, self.uses_run, self.components = [0] * length, 0, uses_run, 0
        self.begun, self.opening = False, 0

    def begin_matrix(self):  # TMP-10-11
        self.activity, self.components = [self.opening] * len(self.activity), 0

    def component(self, coder):
        """The integers of the next component."""
        if self.begun and not self.uses_run:
            for models in self.grids:
                models.begin()
        self.begun = True
        trellis = len(self.grids) == 2
        shift = sum(self.components >= first for first in (1, 3, 7, 15))
        self.components += 1
        integers, state = [], 0
        for place, activity in enumerate(self.activity):  # TMP-10-7
            s = (activity + self.run) // 2 if self.uses_run else activity
            context = sum(bound <= s // 16 for bound in (1, 3, 6, 10, 16, 24, 34, 48, 70, 110, 200))
            grid = state % 2 if trellis else 0
            symbol = self.grids[grid].symbol(coder, context, 16383 if trellis else 32767)
            integers.append(2 * symbol - grid * ((symbol > 0) - (symbol < 0)) if trellis else symbol)
            state = NEXT[state][symbol % 2]
            target = 256 * min(abs(symbol), 15)
            self.activity[place] = activity + (target - activity >> shift)
            if self.uses_run:
                self.run += target - self.run >> 4
        if self.components == 1:
            self.opening = sum(self.activity) // len(self.activity)
        return integers


class LowRankModels:
    """What matrices before have taught: TMP-6-20, TMP-10-11."""

    def __init__(self, rows, columns, trellis):
        self.sides = [ModelSet(length, trellis=trellis) for length in (rows, columns)]
        self.steps, self.first_steps, self.first = ModelSet(1), ModelSet(1), None


def quantized_low_rank(coder, rows, columns, rank, trellis, where, models=None):
    """(scales, left, right): TMP-6-20."""
    models = models or LowRankModels(rows, columns, trellis)
    for own in (*models.sides, models.steps):
        own.begin_matrix()
    sides, scales = ([], []), []
    for k in range(rank):
        if k:
            scales.append(scales[-1] + models.steps.component(coder)[0])
        elif models.first is None:
            scales.append(coder.raw_bits(15))
        else:  # TMP-10-11
            scales.append(models.first + models.first_steps.component(coder)[0])
        models.first = models.first if k else scales[0]
        require(0x0080 <= scales[-1] <= 0x7F7F, "TMP-6-20", f"{where}: scale {k} is {scales[-1]:#x}")
        for side, own in zip(sides, models.sides):
            side.append(own.component(coder))
    return (np.array(scales, np.uint32) << 16).view(np.float32), *(np.array(side, np.float32) for side in sides)


def quantized(coder, rows, columns, where, models=None):
    """(scales, values): TMP-6-21."""
    scale = coder.raw_bits(31)
    require(0 < scale < 0x7F800000, "TMP-6-21", f"{where}: the scale is {scale:#x}")
    models = models or ModelSet(columns, uses_run=True)
    values = [models.component(coder) for _ in range(rows)]
    return np.array([scale], np.uint32).view(np.float32), np.array(values, np.float32).reshape(-1)


def quantized_stack(coder, entry, where):
    """The layers of each matrix: TMP-6-30."""
    _, rows, _, columns, _ = entry["stack"]
    trellis, dense = "quantizer" in entry, set(entry.get("dense", ()))
    products, others = LowRankModels(rows, columns, trellis), ModelSet(columns, uses_run=True)
    matrices = []
    for number, rank in enumerate(entry["ranks"]):
        layers = []
        if rank:
            layers.append(quantized_low_rank(coder, rows, columns, rank, trellis, where, products))
        if number in dense:
            layers.append(quantized(coder, rows, columns, where, others))
        matrices.append(layers)
    return matrices


def selected_places(coder, values, columns):
    """The places of a mask: TMP-10-10."""
    models = [[[32768, 0] for _ in range(8)] for _ in range(16)]
    activity, run, selected = [2048] * columns, 2048, []
    for place in np.flatnonzero(values).tolist():
        column = place % columns
        bit = coder.modelled(models[min(abs(int(values[place])), 15)][(activity[column] + run) // 1024])
        if bit:
            selected.append(place)
        target = 4096 if bit else 0
        activity[column] += target - activity[column] >> 5
        run += target - run >> 5
    return np.array(selected, np.int64)


# --- 7. Reconstruction ------------------------------------------------------------------------------------------

def widen(dtype, data, to):  # exact
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).astype(to)
    return np.frombuffer(data, {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype]).astype(to)


def to_odd(rounded, error):
    """A value rounded to nearest becomes one rounded to odd, so that rounding it again to a narrower type is as if
    from the exact value rounded + error (Boldo and Melquiond 2008)."""
    bits = rounded.view(np.uint64 if rounded.dtype == np.float64 else np.uint32)
    move = (error != 0) & np.isfinite(error) & (bits & 1 == 0)
    away = (error < 0) == np.signbit(rounded)
    one = bits.dtype.type(1)
    return np.where(move, np.where(away, bits + one, bits - one), bits).view(rounded.dtype)


def fma(a, b, c):
    """TMP-1-4, elementwise, of arrays of the type of c."""
    if c.dtype == np.float32:
        # Exact: 24 + 24 bits. All three are converted: NumPy 1 makes a float32 of a float64 scalar and float32 arrays.
        product, c = a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64)
        total = product + c
        part = total - product
        return to_odd(total, (product - (total - part)) + (c - part)).astype(np.float32)
    if all((x.astype(np.float32) == x).all() for x in (a, b)):
        return a * b + c  # the product is exact
    flat = (x.ravel().tolist() for x in np.broadcast_arrays(a, b, c))
    return np.array([exact_fma(*abc) for abc in zip(*flat)], np.float64).reshape(c.shape)


def exact_fma(a, b, c):
    if not (math.isfinite(a) and math.isfinite(b)) or a == 0 or b == 0:
        return a * b + c
    if not math.isfinite(c):
        return c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    try:
        return float(exact) if exact else a * b + c
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def narrow(acc, dtype):
    """TMP-7-9, TMP-7-13."""
    nan = np.isnan(acc)
    if dtype in ("F16", "BF16") and acc.dtype == np.float64:
        single = acc.astype(np.float32)
        overflow = np.isinf(single) & np.isfinite(acc)  # beyond binary32, so beyond both
        acc = np.where(overflow, single, to_odd(single, acc - single))
    if dtype == "BF16":
        bits = acc.view(np.uint32)
        out = (bits + 0x7FFF + (bits >> 16 & 1) >> 16).astype(np.uint16)
    else:
        out = acc.astype({"F16": "<f2", "F32": "<f4", "F64": "<f8"}[dtype])
        out = out.view(f"<u{out.itemsize}")
    out[nan] = {"BF16": 0x7FC0, "F16": 0x7E00, "F32": 0x7FC00000, "F64": 0x7FF8 << 48}[dtype]
    return out.tobytes()


def accumulator(dtype):  # TMP-7-4
    return np.float64 if dtype == "F64" else np.float32


def convert(data, dtype, to):  # TMP-7-12
    same = to in (None, dtype) or dtype not in FLOATS
    return (data, dtype) if same else (narrow(widen(dtype, data, accumulator(dtype)), to), to)


class Model:
    """The shared model, the experts asked for, and where the shared tensors' bytes come from."""

    def __init__(self, index, names, base):
        self.index, self.base = index, base
        self.shared = Section(index, index.shared["section"], "the shared model")
        self.experts = {own: Section(index, index.experts[own]["section"], f"expert {own!r}", self.shared)
                        for own in index.experts if own in names}

    def shared_bytes(self, own):
        entry = self.shared.tensors[own]
        if self.index.embedded:
            data, rule = self.shared.payload(entry["payload"]), "TMP-6-3"
        else:
            rule, base = "TMP-6-4", self.base
            require(base is not None, rule, "the shared model is detached: give it with --shared-from")
            require(own in base, rule, f"the given model lacks tensor {own!r}")
            dtype, shape, data = base[own]
            require((dtype, shape) == (entry["dtype"], entry["shape"]), rule,
                    f"tensor {own!r} of the given model is {dtype} {shape}, not {entry['dtype']} {entry['shape']}")
            found = f"{zlib.crc32(data):08x}"
            require(entry.get("checksum", found) == found, "TMP-6-24",
                    f"shared tensor {own!r}: checksum {found}, expected {entry.get('checksum')}")
        require(sha256(data) == entry["digest"], rule,
                f"shared tensor {own!r}: digest {sha256(data)}, expected {entry['digest']}")
        return data

    def whole_bytes(self, section, entry):
        """The tensor of an entry that is whole: TMP-7-3."""
        if entry["factor"] != "quantized-own":
            return self.expert_bytes(section, entry)
        acc = np.zeros(math.prod(entry["shape"]), accumulator(entry["dtype"]))  # TMP-7-19
        return narrow(self.add(acc, np.float32(1), section, entry, entry), entry["dtype"])

    def expert_bytes(self, section, entry):
        """The expert's own tensor, from an entry that is not lossy or has a correction, its source digest checked: TMP-8-3."""
        if entry["factor"] == "common":  # TMP-6-26
            data = self.shared_bytes(entry["name"])
        elif "correction" in entry:  # TMP-6-17, TMP-7-14
            of = self.shared.tensors[entry["name"]]
            acc = widen(of["dtype"], self.shared_bytes(entry["name"]), accumulator(of["dtype"]))
            start = narrow(self.add(acc, np.float32(1), section, entry, of), of["dtype"])
            data = undo_difference(section.payload(entry["correction"]), start, of["dtype"])
        else:
            data = section.payload(entry["payload"])
        if entry["factor"] == "difference":
            data = undo_difference(data, self.shared_bytes(entry["name"]), self.shared.tensors[entry["name"]]["dtype"])
        if "extra" in entry:  # TMP-6-25
            data += section.payload(entry["extra"])
        require(sha256(data) == entry["source"], "TMP-8-3", f"tensor {entry['name']!r} of {section.where}: "
                f"digest {sha256(data)}, expected {entry['source']}")
        return data

    def common_bytes(self, section, entry, of):
        """The rows that the shared tensor has, too: TMP-6-25."""
        return self.expert_bytes(section, entry)[:tensor_size(of["dtype"], of["shape"], entry["name"])]

    def is_whole(self, entry):  # TMP-7-3
        return entry["factor"] in ("replaced", "quantized-own") or (
            entry["factor"] == "difference" and self.shared.tensors[entry["name"]]["dtype"] not in FLOATS)

    def mix(self, weights, to=None, exact=False):
        """Yields name, dtype, shape and bytes of every tensor of the result; if exact, as TMP-7-14 says."""
        weights = {n: np.float32(weights[n]) for n in self.index.experts if weights.get(n, 0) != 0}  # TMP-7-1
        for own in sorted(set(self.shared.tensors).union(*(self.experts[n].tensors for n in weights))):
            result = self.mixed(own, weights, to, exact)
            if result:
                yield (own, *result)

    def twin(self, own, expert, digest, like):
        """The first shared tensor other than `own` that the expert has, with these contents in `like`."""
        entries, of = self.experts[expert].tensors, self.shared.tensors.get(own)
        shape_of = (lambda name, other: other["shape"]) if of else (lambda name, other: whole_shape(entries.get(name), other))
        of = of or entries[own]
        for name in sorted(self.shared.tensors):
            other = self.shared.tensors[name]
            if name != own and name not in self.experts[expert].manifest["absent"] and like(name, other) == digest \
                    and (other["dtype"], shape_of(name, other)) == (of["dtype"], of["shape"]):
                return name
        return None

    def mixed(self, own, weights, to, exact):
        """Dtype, shape and bytes of one tensor of the result; None if it is not in it."""
        of = self.shared.tensors.get(own)
        having = [n for n in weights if own in self.experts[n].tensors
                  or (of is not None and own not in self.experts[n].manifest["absent"])]
        if weights and not having:  # TMP-7-2
            return None
        holders = {}
        for n in weights:  # None where unchanged
            if n in having:
                holders[n] = self.experts[n].tensors.get(own)
            elif of is not None:  # TMP-7-15
                partner = self.twin(own, n, of["digest"], lambda name, other: other["digest"])
                if partner is not None:
                    holders[n] = self.experts[n].tensors.get(partner)
        decider = max(holders, key=weights.get, default=None)  # TMP-7-3: max gives the first of equals
        entry = holders.get(decider)
        if of is None:  # TMP-7-16
            entries = self.experts[decider].tensors
            partner = self.twin(
                own, decider, entry["source"],
                lambda name, other: entries[name]["source"] if name in entries else other["digest"])
            if partner is not None:
                return self.mixed(partner, weights, to, exact)
        alone = len(weights) == 1 and weights.get(decider) == 1
        if entry and self.is_whole(entry):
            of = entry if "shape" in entry else of
            data, dtype = convert(self.whole_bytes(self.experts[decider], entry), of["dtype"], to)
            return dtype, of["shape"], data
        added = [(n, e) for n, e in holders.items() if e and not self.is_whole(e) and e["factor"] != "common"]
        if not added:  # TMP-7-10
            data, dtype = convert(self.shared_bytes(own), of["dtype"], to)
        elif alone and (added[0][1]["factor"] == "difference" or exact):  # TMP-7-10, TMP-7-14
            data, dtype = convert(self.common_bytes(self.experts[added[0][0]], added[0][1], of), of["dtype"], to)
        else:
            acc = widen(of["dtype"], self.shared_bytes(own), accumulator(of["dtype"]))
            for n, e in added:
                acc = self.add(acc, weights[n], self.experts[n], e, of)
            dtype = to or of["dtype"]
            data = narrow(acc, dtype)
        if entry and "extra" in entry:  # TMP-7-17
            data = bytes(data) + bytes(convert(self.experts[decider].payload(entry["extra"]), of["dtype"], to)[0])
        return dtype, whole_shape(entry, of), data

    def add(self, acc, weight, section, entry, of):
        """TMP-7-5 to TMP-7-8."""
        kind, wide = acc.dtype, lambda x: np.asarray(x).astype(acc.dtype)
        if entry["factor"] == "difference":  # TMP-7-7
            start = widen(of["dtype"], self.shared_bytes(entry["name"]), kind)
            own = widen(of["dtype"], self.common_bytes(section, entry, of), kind)
            return fma(wide(weight), np.where(own == start, wide(0), own - start), acc)
        if entry["factor"] == "dropped":  # TMP-7-4
            return acc
        decoded = section.decode(entry, of["shape"])
        if entry["factor"].endswith("-stack"):  # TMP-7-18
            outer, rows, middle, columns, inner = entry["stack"]
            parts = acc.reshape(entry["stack"]).transpose(0, 2, 4, 1, 3).reshape(-1, rows * columns).copy()
            for number, layers in enumerate(decoded):
                for layer in layers:
                    parts[number] = self.add_layer(parts[number], weight, layer, (rows, columns), len(layer) == 3)
            return parts.reshape(outer, middle, inner, rows, columns).transpose(0, 3, 1, 4, 2).reshape(-1)
        layers = decoded if entry["factor"] == "quantized-layered" else [decoded]
        for number, layer in enumerate(layers):  # TMP-6-22
            is_low_rank = "low-rank" in entry["factor"] or len(layers) > 1 and number == 0
            acc = self.add_layer(acc, weight, layer, matrix(of["shape"]), is_low_rank)
        return acc

    def add_layer(self, acc, weight, layer, sides, is_low_rank):
        """TMP-7-5, TMP-7-6."""
        wide = lambda x: np.asarray(x).astype(acc.dtype)
        scales, values, *more = layer
        scales = weight * scales  # binary32
        if is_low_rank:  # TMP-7-5
            acc = acc.reshape(sides)
            left, right = wide(scales[:, None] * values), wide(more[0])
            for k in range(len(scales)):
                acc = fma(left[k, :, None], right[k], acc)
            return acc.reshape(-1)
        where = more[0] if more else slice(None)  # TMP-7-6
        acc = acc.copy()
        acc[where] = fma(wide(scales), wide(values), acc[where])
        return acc


# --- 11. Router --------------------------------------------------------------------------------------------------

class Router(Section):
    """The section of a router, and its arithmetic."""

    def __init__(self, index):
        super().__init__(index, index.router["section"], "the router")

    def check_corrections(self):
        pass  # a router has none

    def check_manifest(self, shared):
        where, manifest = "manifest of the router", self.manifest
        members(manifest, where, "TMP-11-3", {"classes": array, "defaults": anything, "dimension": integer, "kind": text,
                                              "measures": anything, "model": anything, "provenance": anything})
        require(manifest["kind"] == "router", "TMP-11-3", f"{where}: kind is not router")
        self.check_provenance(manifest["provenance"], where)
        classes = [text(own, "class") for own in manifest["classes"]]
        require(len(classes) <= 65536, "TMP-9-3", f"{where}: {len(classes)} classes")
        good = len(classes) >= 2 and len(set(classes)) == len(classes) and set(classes) <= set(self.index.experts)
        require(good, "TMP-11-3", f"{where}: classes {classes[:8]}")
        self.width(manifest["dimension"], f"dimension of {where}")
        members(manifest["defaults"], "defaults", "TMP-11-4", {}, {"fallback_entropy": measure, "temperature": measure})
        require(float(manifest["defaults"].get("temperature", 1)) >= 1e-6, "TMP-11-4", f"{where}: temperature")
        members(manifest["measures"], "measures", "TMP-11-4", {}, {
            "accuracy": measure, "examples": integer, "loss": measure, "validation": integer})
        self.check_model(manifest["model"], manifest["dimension"], len(classes))

    def width(self, value, where):
        require(integer(value, where) >= 1, "TMP-11-3", f"{where} is 0")
        require(value <= 65536, "TMP-9-14", f"{where} is {value}, the limit is 65,536")

    def check_model(self, model, inputs, classes):
        where = "model of the router"
        require(isinstance(model, dict) and model.get("kind") in ("layers", "neighbours"), "TMP-11-5", f"{where}: kind")
        common = {"dtype": text, "kind": text}
        require(model.get("dtype") in ("F32", "BF16", "F16"), "TMP-11-5", f"{where}: dtype")
        size, elements = BITS[model["dtype"]] // 8, 0
        if model["kind"] == "neighbours":
            members(model, where, "TMP-11-7", common | {"count": integer, "examples": integer} | {
                m: anything for m in ("centers", "labels", "scales", "vectors")})
            n = model["examples"]
            require(n <= 1 << 20, "TMP-9-17", f"{where}: {n} examples")
            require(1 <= model["count"] <= n, "TMP-11-7", f"{where}: {model['count']} neighbours of {n}")
            require(n * inputs <= 1 << 26, "TMP-9-16", f"{where}: {n * inputs} numbers")
            for member, bytes in ("centers", 4 * inputs), ("labels", 2 * n), ("scales", 4 * inputs), ("vectors", n * inputs * size):
                self.size_of(model, member, bytes, where)
            return
        members(model, where, "TMP-11-6", common | {"layers": array, "slope": measure})
        require(len(model["layers"]) <= 16, "TMP-9-15", f"{where}: {len(model['layers'])} layers")
        for layer in model["layers"]:
            members(layer, "layer", "TMP-11-6", {"bias": anything, "outputs": integer, "weights": anything})
            self.width(layer["outputs"], "outputs of a layer")
            elements += inputs * layer["outputs"]
            require(elements <= 1 << 26, "TMP-9-16", f"{where}: {elements} weights")
            self.size_of(layer, "bias", 4 * layer["outputs"], "a layer")
            self.size_of(layer, "weights", inputs * layer["outputs"] * size, "a layer")
            inputs = layer["outputs"]
        require(model["layers"] and inputs == classes, "TMP-11-6", f"{where}: {inputs} outputs for {classes} classes")

    def payloads(self):
        model = self.manifest["model"]
        owners = model.get("layers", [model])
        for owner in owners:
            for member in ("bias", "centers", "labels", "scales", "vectors", "weights"):
                if member in owner:
                    yield f"{member} of the router", owner[member]

    def numbers(self, owner, member, dtype):
        values = widen(dtype, self.payload(owner[member]), np.float64)
        require(np.isfinite(values).all(), "TMP-11-5", f"{member} of the router: a number is not finite")
        return values

    @functools.cached_property
    def values(self):
        """Every payload, checked: TMP-11-6, TMP-11-7."""
        model, inputs = self.manifest["model"], self.manifest["dimension"]
        if model["kind"] == "layers":
            layers = []
            for layer in model["layers"]:
                weights = self.numbers(layer, "weights", model["dtype"]).reshape(layer["outputs"], inputs)
                layers.append((self.numbers(layer, "bias", "F32"), weights))
                inputs = layer["outputs"]
            return layers
        labels = np.frombuffer(self.payload(model["labels"]), "<u2")
        require((labels < len(self.manifest["classes"])).all(), "TMP-11-7", "a label of the router has no class")
        return (self.numbers(model, "centers", "F32"), self.numbers(model, "scales", "F32"), labels,
                self.numbers(model, "vectors", model["dtype"]).reshape(-1, inputs))

    def logits(self, x):
        model, classes = self.manifest["model"], len(self.manifest["classes"])
        y = np.asarray(x, np.float32).astype(np.float64)
        if model["kind"] == "layers":  # TMP-11-6
            for number, (bias, weights) in enumerate(self.values):
                if number:
                    y = np.where(y < 0, y * float(model["slope"]), y)
                total = bias.copy()
                for k in range(len(y)):
                    total += weights[:, k] * y[k]
                y = total
        else:  # TMP-11-7
            centers, scales, labels, vectors = self.values
            y = (y - centers) * scales
            distance = np.zeros(len(vectors))
            for j in range(len(y)):
                difference = y[j] - vectors[:, j]
                distance += difference * difference
            nearest = np.argsort(distance, kind="stable")[:model["count"]]
            votes = np.bincount(labels[nearest], minlength=classes)
            y = np.log((votes + 0.5) / (model["count"] + classes / 2))
        require(np.isfinite(y).all(), "TMP-11-8", "a logit is not finite")
        return y

    def route(self, rows, temperature=None, top=None, threshold=0.0, fallback=None):
        """The weights of a group, its entropy and whether it fell back. fallback: None for the stored one, False for none."""
        defaults = self.manifest["defaults"]
        temperature = temperature or float(defaults.get("temperature", 1))
        if fallback is None and "fallback_entropy" in defaults:
            fallback = float(defaults["fallback_entropy"])
        evidence = sum(log_softmax(self.logits(row) / temperature) for row in rows)  # TMP-11-9
        require(np.isfinite(evidence).all(), "TMP-11-8", "the evidence of a group is not finite")
        p, q = np.exp(log_softmax(evidence)), np.exp(log_softmax(evidence / len(rows)))
        some = q[q > 0]
        entropy = float(-(some * np.log(some)).sum() / np.log(len(q)))  # TMP-11-10
        if fallback not in (None, False) and entropy > fallback:
            return np.zeros(len(p), np.float32), entropy, True
        p = np.where(p < threshold, 0, p)  # TMP-11-11
        if top:
            p[np.argsort(-p, kind="stable")[top:]] = 0
        total = p.sum()
        return (p / total if total > 0 else p).astype(np.float32), entropy, False


def log_softmax(z):
    z = z - z.max()
    return z - np.log(np.exp(z).sum())


def route(index, arguments):
    require(index.router, "TMP-11-1", "the archive has no router")
    router = Router(index)
    dtype, shape, data = read_safetensors(arguments.embedding)["embeddings"]
    rows = widen(dtype, data, np.float32).reshape(-1, shape[-1])
    require(rows.shape[1] == router.manifest["dimension"], "TMP-11-3", f"inputs of {rows.shape[1]} numbers")
    for start in range(0, len(rows), arguments.group_size):
        weights, entropy, fell_back = router.route(
            rows[start:start + arguments.group_size], arguments.temperature, arguments.top, arguments.threshold,
            False if arguments.no_fallback else arguments.fallback_entropy)
        weights = dict(zip(router.manifest["classes"], map(float, weights)))
        print(json.dumps({"weights": weights, "entropy": entropy, "fell_back": fell_back}, ensure_ascii=False))


# --- 8. Verification --------------------------------------------------------------------------------------------

def extents_of(section):
    return {(r[0], r[1]) for r in section.records} | {(section.ref["offset"], section.ref["stored"])}


def check_summary(index, own, section, shared, counted):  # TMP-4-10
    fresh = extents_of(section) - counted
    counted |= fresh
    entries = section.tensors.values()
    shapes = [e["shape"] if "shape" in e else whole_shape(e, shared.tensors[e["name"]]) for e in entries]
    absent = set(section.manifest["absent"])
    shapes += [e["shape"] for n, e in shared.tensors.items() if n not in section.tensors and n not in absent]
    factors = [e["factor"] for e in entries]
    found = {"bytes": sum(stored for _, stored in fresh), "parameters": sum(map(math.prod, shapes)),
             "factors": {f: factors.count(f) for f in sorted(set(factors))}, "tensors": len(shapes)}
    if section.corrections is not None:
        found["correction_bytes"] = sum({r[0]: r[1] for r, used in zip(section.records, section.corrections) if used}.values())
    lossy = [(float(e["error"]), float(e["norm"]), e["name"]) for e in entries if "error" in e]
    given = dict(index.experts[own]["summary"])
    if lossy:
        norm = math.hypot(*(n for _, n, _ in lossy))
        worst = max(lossy, key=lambda x: x[0])  # the first of equals
        found["worst_tensor"] = worst[2]
        for key, value in (("error", math.hypot(*(e * n for e, n, _ in lossy)) / norm), ("worst_error", worst[0])):
            close = math.isclose(float(given.pop(key, "nan")), value, rel_tol=1e-6, abs_tol=1e-12)
            require(close, "TMP-4-10", f"summary of {own}: {key} is not {value}")
    require(json.dumps(given, sort_keys=True) == json.dumps(found, sort_keys=True), "TMP-4-10",
            f"summary of {own} is {given}, the section says {found}")


def check_contents(model, section):  # TMP-8-2 and TMP-8-3 of one section
    for number in range(len(section.records)):
        section.frame(number)
    for file in section.manifest["files"]:
        require(sha256(section.payload(file["payload"])) == file["digest"], "TMP-8-3",
                f"file {file['name']!r} of {section.where}: wrong digest")
    known = model.index.embedded or model.base is not None
    for entry in section.tensors.values():
        if section is model.shared:
            if known:
                model.shared_bytes(entry["name"])
        elif entry["factor"] == "replaced" or (entry["factor"] in ("difference", "common") and known):
            model.expert_bytes(section, entry)
        elif entry["factor"] in ("difference", "common"):  # detached, and no model given
            section.payload(entry.get("payload") or entry["extra"])
        elif known and "correction" in entry:
            model.expert_bytes(section, entry)
        else:
            of = entry if "shape" in entry else model.shared.tensors[entry["name"]]
            section.decode(entry, of["shape"])


def check_extents(index, sections):
    """TMP-2-7, and TMP-2-8 where every section could be read."""
    refs = [(index.slot["index"], "index")] + [(s.ref, s.where) for s in sections]
    extents = {(r["offset"], r["stored"]): (bytes.fromhex(r["digest"]), False, w) for r, w in refs}
    for section in sections:
        for number, (offset, stored, _, codec, _, _, _, expected) in enumerate(section.records):
            where = f"frame {number} of {section.where}"
            known, raw, _ = extents.get((offset, stored), (expected, False, where))
            require(known == expected, "TMP-2-7", f"{where} shares an extent, not a digest, with another")
            extents[offset, stored] = (expected, raw or codec != 1, where)
    end, before, faults = 8192, "the header", []
    for (offset, stored), (_, raw, where) in sorted(extents.items()):
        require(offset >= end, "TMP-2-7", f"{where} overlaps {before} at byte {offset}")
        gap = index.file[end:min(offset, end + 64)]
        if offset > end and (len(gap) == 64 or not raw or any(gap)):
            faults.append(f"TMP-2-8: unused bytes {end} to {offset - 1} in front of {where}")
        end, before = offset + stored, where
    if end != index.slot["end"]:
        faults.append(f"TMP-2-8: unused bytes {end} to {index.slot['end'] - 1} at the end")
    count = 1 + len(index.experts) + (index.router is not None)
    complete = index.slot["generation"] == 1 and index.complete and len(sections) == count
    return faults if complete else []


def verify(index, base):
    """Deep verification: TMP-8-3, TMP-8-4. Prints a line per expert, and one per other fault. True if all is well."""
    faults, model = list(index.residue), Model(index, (), base)
    shared = model.shared
    counted, sections, damaged = extents_of(shared), [shared], 0
    try:
        check_contents(model, shared)
    except TmpackError as error:
        faults.append(str(error))
    print(f"generation {index.slot['generation']}, root {index.slot['index']['digest']}")
    if not index.embedded and base is None:
        print("note: detached, and no model given: shared tensors and differences are not checked")
    for own, expert in index.experts.items():
        try:
            section = Section(index, expert["section"], f"expert {own!r}", shared)
            sections.append(section)
            if not damaged:  # the count of bytes needs every earlier section
                check_summary(index, own, section, shared, counted)
            check_contents(model, section)
            print(f"expert {own}: ok")
        except TmpackError as error:
            print(f"expert {own}: {error}")
            damaged += 1
    if index.router:
        try:
            router = Router(index)
            sections.append(router)
            for number in range(len(router.records)):
                router.frame(number)
            router.values  # read and checked
            print("router: ok")
        except TmpackError as error:
            faults.append(f"router: {error}")
    try:
        faults += check_extents(index, sections)
    except TmpackError as error:
        faults.append(str(error))
    for fault in faults:
        print(f"archive: {fault}")
    return not faults and not damaged


# --- Safetensors and the command line ---------------------------------------------------------------------------

def read_safetensors(path):
    with open(path, "rb") as stream:
        file = stream.read()
    size = struct.unpack_from("<Q", file)[0]
    result = {}
    for own, item in json.loads(file[8:8 + size]).items():
        if own != "__metadata__":
            start, end = item["data_offsets"]
            result[own] = item["dtype"], item["shape"], file[8 + size + start:8 + size + end]
    return result


def parse_weights(source, index):
    """Decimal numbers, each rounded once to binary32 (by way of binary64 it would be twice)."""
    weights = {}
    for item in filter(None, (source or "").split(",")):
        own, _, number = item.rpartition("=")
        require(own in index.experts and own not in weights, "TMP-7-1", f"no expert {own!r}, or named twice")
        try:
            exact, near = Fraction(number), np.float32(float(number))
            candidates = [near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))]
            weights[own] = min(filter(np.isfinite, candidates),
                               key=lambda x: (abs(Fraction(float(x)) - exact), x.view(np.uint32) & 1))
        except (ValueError, OverflowError):
            raise TmpackError(f"TMP-7-1: {number!r} is not a finite number") from None
        require(np.isfinite(near), "TMP-7-1", f"weight {number} is not finite in binary32")
    return weights


def main():
    parser = argparse.ArgumentParser(description="An independent reader of tmpack archives.")
    parser.add_argument("archive")
    parser.add_argument("command", choices=("verify", "unpack", "route"))
    parser.add_argument("--weights", help="NAME=W,NAME=W; an expert that is not named is left out")
    parser.add_argument("--shared-from", help="the shared model of a detached archive, as a safetensors file")
    parser.add_argument("--dtype", choices=FLOATS)
    parser.add_argument("--exact", action="store_true", help="the one expert of weight 1 to the bit: TMP-7-14")
    parser.add_argument("--embedding", help="a safetensors file with the tensor embeddings")
    parser.add_argument("--group-size", type=int, default=1)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--top", type=int)
    parser.add_argument("--threshold", type=float, default=0.0)
    parser.add_argument("--fallback-entropy", type=float)
    parser.add_argument("--no-fallback", action="store_true")
    parser.add_argument("--digests", action="store_true", help="print digests, which is the default")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(encoding="utf-8")
    sys.stderr.reconfigure(encoding="utf-8")
    try:
        index = open_archive(arguments.archive)
        base = read_safetensors(arguments.shared_from) if arguments.shared_from else None
        with np.errstate(all="ignore"):
            if arguments.command == "verify":
                sys.exit(0 if verify(index, base) else 2)
            if arguments.command == "route":
                return route(index, arguments)
            weights = parse_weights(arguments.weights, index)
            model = Model(index, {own for own, weight in weights.items() if weight != 0}, base)
            if arguments.exact:
                require(list(weights.values()) == [1], "TMP-7-14", "exact is one expert of weight 1")
                for own, section in model.experts.items():
                    bare = any("error" in e and "correction" not in e for e in section.tensors.values())
                    require(not bare, "TMP-7-14", f"expert {own!r} has no corrections")
            for own, dtype, shape, data in model.mix(weights, arguments.dtype, arguments.exact):
                print(own, dtype, json.dumps(shape, separators=(",", ":")), sha256(data))
    except (TmpackError, OSError) as error:
        print(f"tmpack_reader: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
