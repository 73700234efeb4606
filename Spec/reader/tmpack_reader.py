#!/usr/bin/env python3
"""A second reader of tmpack archives, written from Spec/format.md alone and in its order. Needs zstandard and numpy.

    tmpack_reader.py ARCHIVE verify [--shared-from BASE.safetensors]
    tmpack_reader.py ARCHIVE unpack [OUT.safetensors] [--weights NAME=W,NAME=W] [--shared-from BASE.safetensors]
                                    [--dtype F32|F16|BF16|F64] [--digests]

`verify` is the deep verification of TMP-8-3. `--digests` prints `name dtype shape sha256` for every tensor of the
result. Exit status 0, or 2 with one line that names the broken rule. Where the spec leaves a choice, the comment says
"Reading:". Plain code before fast code: it exists to check another implementation, not to replace it.
"""

import argparse
import functools
import hashlib
import itertools
import json
import math
import mmap
import re
import struct
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import zstandard


class TmpackError(Exception):
    """The archive, or what was asked of it, is at fault. The message begins with the id of the rule."""


def fail(rule, message):
    raise TmpackError(f"{rule}: {message}")


def require(condition, rule, message):
    if not condition:
        fail(rule, message)


# --- 1. Conventions ---------------------------------------------------------------------------------------------

BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
        "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64}  # TMP-1-6
FLOATS = ("F64", "F32", "F16", "BF16")  # TMP-1-6
MIB = 1 << 20


def sha256(data):  # TMP-1-2
    return hashlib.sha256(data).hexdigest()


def tensor_size(dtype, shape, where):  # TMP-1-6; TMP-9-8
    require(isinstance(dtype, str) and dtype in BITS, "TMP-1-6", f"{where}: unknown dtype {dtype!r}")
    require(isinstance(shape, list), "TMP-1-6", f"{where}: the shape is not an array")
    require(len(shape) <= 16, "TMP-9-8", f"{where}: {len(shape)} dimensions, the limit is 16")
    bits = math.prod(integer(d, where) for d in shape) * BITS[dtype]
    require(bits % 8 == 0, "TMP-1-6", f"{where}: {bits} bits are not whole bytes")
    require(bits // 8 < 1 << 53, "TMP-1-6", f"{where}: the tensor is too large")  # Reading: sizes are TMP-4-2 integers
    return bits // 8


def matrix(shape):  # TMP-1-5. Reading: a scalar is 1 by 1; without elements there are no rows or columns
    elements = math.prod(shape)
    rows = shape[0] if shape else 1
    return (rows, elements // rows) if elements else (0, 0)


# --- 2. The file, 3. Header slot --------------------------------------------------------------------------------

MAGIC = bytes.fromhex("89544D500D0A1A0A")


def read_slot(data):
    """None for an empty slot, a dict for a valid one, a string (why) for a damaged one: TMP-2-2."""
    if not any(data):
        return None
    magic, major, _, pad, generation, end, offset, stored, raw, pad2, root = struct.unpack_from("<8sHHIQQQQQQ32s", data)
    if magic != MAGIC:  # TMP-3-1
        return "TMP-3-1: no magic"
    if hashlib.sha256(data[:96]).digest() != data[96:128]:  # TMP-3-2
        return "TMP-3-2: the digest of the slot does not match"
    require(major == 1, "TMP-3-3", f"unsupported: major version {major}")
    if generation < 1 or offset < 8192 or stored < 1 or offset + stored > end:  # TMP-3-4
        return "TMP-3-4: the generation is 0 or the index lies outside the archive"
    if pad or pad2 or any(data[128:]):  # TMP-3-5, TMP-1-7
        return "TMP-3-5: a reserved byte is not zero"
    return {"generation": generation, "end": end, "index": {"offset": offset, "stored": stored, "raw": raw,
                                                            "digest": root.hex()}}


def read_header(file):
    """The active slot, and the faults that only a verifier minds: TMP-2-3 to TMP-2-6."""
    require(len(file) >= 8192, "TMP-2-1", f"{len(file)} bytes cannot hold two header slots")
    slots = [read_slot(file[4096 * i:4096 * i + 4096]) for i in (0, 1)]
    require(MAGIC in (file[:8], file[4096:4104]), "TMP-3-1", "not a tmpack archive")
    valid = [(slot["generation"], i) for i, slot in enumerate(slots) if isinstance(slot, dict)]
    require(valid, "TMP-2-3", f"no valid header slot ({'; '.join(s for s in slots if isinstance(s, str))})")
    generation, place = max(valid)
    require(place == (generation - 1) % 2, "TMP-2-4", f"generation {generation} lies in slot {place}")
    require(len(valid) == 1 or generation - min(valid)[0] == 1, "TMP-2-4", "the generations do not differ by one")
    active, other = slots[place], slots[1 - place]
    require(active["end"] <= len(file), "TMP-2-5", f"truncated: {len(file)} of {active['end']} bytes")
    faults = [f"TMP-2-6: slot {1 - place} is damaged: {other}"] if isinstance(other, str) else []
    if other is None and generation > 1:  # Reading: generation 2 and later leave no slot empty
        faults.append(f"TMP-2-6: slot {1 - place} is empty in generation {generation}")
    if active["end"] < len(file):
        faults.append(f"TMP-2-6: {len(file) - active['end']} bytes after the archive end {active['end']}")
    return active, faults


# --- 4. Index ---------------------------------------------------------------------------------------------------

def integer(value, where, rule="TMP-4-2"):
    require(isinstance(value, int) and not isinstance(value, bool), rule, f"{where}: not an integer")
    return value


def string(value, where, rule="TMP-4-4", limit=None):
    require(isinstance(value, str), rule, f"{where}: not a string")
    if limit:  # TMP-9-7
        require(len(value.encode()) <= limit, "TMP-9-7", f"{where}: the name has more than {limit} bytes")
    return value


def array(value, where, rule="TMP-4-4"):
    require(isinstance(value, list), rule, f"{where}: not an array")
    return value


def members(value, where, names, optional=(), rule="TMP-4-4"):  # TMP-4-6
    require(isinstance(value, dict), rule, f"{where}: not an object")
    for name in value:
        require(name in names or name in optional, "TMP-4-6", f"{where}: unknown member {name!r}")
    for name in names:
        require(name in value, rule, f"{where}: member {name!r} is missing")
    return value


def strings(value, where, rule):
    require(isinstance(value, dict), rule, f"{where}: not an object")
    require(all(isinstance(v, str) for v in value.values()), rule, f"{where}: a value is not a string")


def digest(value, where):  # TMP-1-2
    require(isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value), "TMP-1-2", f"{where}: not a digest")
    return value


def canonical_json(data, where):
    """The value of a canonical JSON text: TMP-4-2, TMP-9-9."""
    def pairs(items):  # strictly increasing in UTF-16 code units, which excludes duplicates
        keys = [key.encode("utf-16-be") for key, _ in items]
        require(all(a < b for a, b in zip(keys, keys[1:])), "TMP-4-2", f"{where}: names duplicate or unsorted")
        return dict(items)

    def number(text):
        require(len(text) <= 16 and 0 <= int(text) < 1 << 53, "TMP-4-2", f"{where}: number {text[:24]}")
        return int(text)

    def other(text):
        fail("TMP-4-2", f"{where}: number {text[:24]} is not an integer")

    def depth(value):
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(depth, inner), default=0)

    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=pairs, parse_int=number, parse_float=other, parse_constant=other)
        require(depth(value) <= 16, "TMP-9-9", f"{where}: JSON nested deeper than 16")
    except RecursionError:
        fail("TMP-9-9", f"{where}: JSON nested deeper than 16")
    except ValueError as error:
        fail("TMP-4-2", f"{where}: not JSON: {error}")
    again = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    require(again == text, "TMP-4-2", f"{where}: not canonical JSON")
    return value


def measure(value, where):
    """TMP-4-3. Reading: "the shortest form" is the one that RFC 8785 gives the number (ECMAScript's)."""
    try:
        number = float(string(value, where, "TMP-4-3"))
    except ValueError:
        fail("TMP-4-3", f"{where}: {value[:40]!r} is not a number")
    require(math.isfinite(number), "TMP-4-3", f"{where}: not finite")
    parts = Decimal(repr(number)).as_tuple()
    digits = "".join(map(str, parts.digits)).rstrip("0") or "0"
    point = len(parts.digits) + parts.exponent if number else 1  # the number is 0.digits × 10^point
    if len(digits) <= point <= 21:
        form = digits.ljust(point, "0")
    elif 0 < point <= 21:
        form = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        form = "0." + "0" * -point + digits
    else:
        form = digits[0] + ("." + digits[1:] if digits[1:] else "") + f"e{point - 1:+d}"
    require(form == value, "TMP-4-3", f"{where}: {value[:40]!r} should be {form!r}")
    return number


def increasing(names, where, rule):  # Reading: wherever names are sorted, by their UTF-8 bytes
    names = [name.encode() for name in names]
    require(all(a < b for a, b in zip(names, names[1:])), rule, f"{where}: names unsorted or repeated")


class Index:
    def __init__(self, file):
        self.file = file
        self.slot, self.faults = read_header(file)
        ref = self.slot["index"]
        require(ref["raw"] <= 64 * MIB, "TMP-9-1", f"raw bytes of the index: {ref['raw']}, the limit is 64 MiB")
        value = canonical_json(self.extent(ref, "index", "TMP-4-1"), "index")
        require(isinstance(value, dict), "TMP-4-4", "the index is not an object")
        features = members(value.get("features"), "features", ("optional", "required"))
        for kind, names in features.items():  # TMP-4-5, before anything that a feature could change
            increasing([string(n, kind, limit=1024) for n in array(names, kind)], f"features.{kind}", "TMP-4-4")
        require(not features["required"], "TMP-4-5", f"unsupported: required features {features['required']}")
        members(value, "index", ("experts", "features", "shared"), ("extensions",))
        if "extensions" in value:
            require(isinstance(value["extensions"], dict), "TMP-4-4", "extensions: not an object")
            for name in value["extensions"]:
                require(name in features["optional"], "TMP-4-4", f"extensions: {name!r} is not a feature")
        self.shared = members(value["shared"], "shared", ("method", "parameters", "section", "storage"))
        require(self.shared["method"] in ("base", "average", "task-arithmetic", "given"), "TMP-4-9", "shared.method")
        strings(self.shared["parameters"], "shared.parameters", "TMP-4-9")
        require(self.shared["storage"] in ("embedded", "detached"), "TMP-4-9", "shared.storage")
        self.check_section(self.shared["section"], "shared")
        self.experts = {}
        require(len(array(value["experts"], "experts")) <= 65536, "TMP-9-3", "experts: the limit is 65,536")
        for expert in value["experts"]:
            name = string(members(expert, "expert", ("name", "section", "summary"))["name"], "expert", "TMP-4-7", 1024)
            bad = re.search("[=,#/\x00-\x1f\x7f-\x9f]", name)  # Reading: control characters are Unicode's Cc
            require(name and not bad and name not in self.experts, "TMP-4-7", f"expert name {name!r}")
            self.check_section(expert["section"], name)
            summary = members(expert["summary"], name, ("bytes", "factors", "parameters", "tensors"),
                              ("error", "worst_error", "worst_tensor"), "TMP-4-10")
            for key in ("error", "worst_error"):
                if key in summary:
                    measure(summary[key], f"summary of {name}")
            self.experts[name] = expert

    def check_section(self, ref, where):  # TMP-4-8, TMP-2-1, TMP-9-2
        members(ref, f"section of {where}", ("digest", "offset", "raw", "stored"), rule="TMP-4-8")
        offset, stored, raw = (integer(ref[k], f"section of {where}") for k in ("offset", "stored", "raw"))
        digest(ref["digest"], f"section of {where}")
        self.check_place(offset, stored, f"section of {where}")
        require(raw <= 256 * MIB, "TMP-9-2", f"raw bytes of the section of {where}: the limit is 256 MiB")

    def check_place(self, offset, stored, where):
        require(stored > 0 and offset >= 8192 and offset + stored <= self.slot["end"], "TMP-2-1",
                f"{where}: bytes {offset} to {offset + stored} lie outside the archive")

    def extent(self, ref, where, rule):
        """The raw bytes of the index or a section, its digest checked first: TMP-4-1, TMP-5-1, TMP-5-6."""
        stored = self.file[ref["offset"]:ref["offset"] + ref["stored"]]
        found = sha256(stored)
        require(found == ref["digest"], rule, f"{where}, bytes {ref['offset']} to {ref['offset'] + ref['stored']}: "
                f"digest {found}, expected {ref['digest']}")
        return zstd_frame(stored, ref["raw"], where)


# --- 5. Sections and frames -------------------------------------------------------------------------------------

def zstd_frame(data, raw, where):
    """Decompresses exactly one frame, after checking its header and walking over its blocks: TMP-5-5."""
    def check(condition, message):
        require(condition, "TMP-5-5", f"{where}: {message}")

    check(len(data) >= 13 and data[:4] == b"\x28\xb5\x2f\xfd", "not a zstd frame")
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
    check(size == raw, f"content size {size}, expected {raw}")
    check((size if single else window) <= 8 * MIB, "the window exceeds 8 MiB")
    last = 0
    while not last:
        check(at + 3 <= len(data), "ends inside a block")
        block = int.from_bytes(data[at:at + 3], "little")
        last, kind = block & 1, block >> 1 & 3
        at += 3 + (1 if kind == 1 else block >> 3)
    check(at + 4 == len(data), "not exactly one frame")
    try:
        out = zstandard.ZstdDecompressor(max_window_size=8 * MIB).decompress(data, max_output_size=raw)
    except zstandard.ZstdError as error:
        fail("TMP-5-5", f"{where}: {error}")
    check(len(out) == raw, f"{len(out)} bytes, expected {raw}")
    return out


PAYLOADS = ("left", "payload", "positions", "right", "scales", "values")  # in the order of canonical JSON


class Section:
    """A checked manifest and its frame records. `tensors` maps names to entries."""

    def __init__(self, index, ref, where, shared=None):
        self.index, self.where, self.ref = index, where, ref
        data = index.extent(ref, f"section of {where}", "TMP-4-8")
        require(len(data) >= 8, "TMP-5-1", f"section of {where}: too short")
        size, count = struct.unpack_from("<II", data)
        require(count <= 4194304, "TMP-9-5", f"frame records of {where}: {count}, the limit is 4,194,304")
        start = (8 + size + 7) // 8 * 8
        require(start + 56 * count == len(data), "TMP-5-1", f"section of {where}: sizes do not add up")
        require(not any(data[8 + size:start]), "TMP-1-7", f"section of {where}: padding is not zero")
        self.manifest = canonical_json(data[8:8 + size], f"manifest of {where}")
        self.records = list(struct.iter_unpack("<QIIBBB5s32s", data[start:]))
        for number, record in enumerate(self.records):
            self.check_record(record, f"frame {number} of {where}")
        self.check_manifest(shared)
        self.check_payloads()

    def check_record(self, record, where):  # TMP-5-2
        offset, stored, raw, codec, transform, width, reserved, _ = record
        self.index.check_place(offset, stored, where)
        require(raw <= 4 * MIB, "TMP-9-6", f"raw bytes of {where}: {raw}, the limit is 4 MiB")
        require(raw >= 1, "TMP-5-3", f"{where} is empty")
        require(codec < 2 and transform < 2, "TMP-5-2", f"{where}: codec {codec}, filter {transform}")
        require(width in ((2, 4, 8) if transform else (0,)), "TMP-5-2", f"{where}: filter width {width}")
        require(not any(reserved), "TMP-1-7", f"{where}: a reserved byte is not zero")
        if codec == 0:
            require(offset % 64 == 0 and stored == raw and transform == 0, "TMP-5-3", f"{where}: not a raw frame")
        require(raw % (width or 1) == 0, "TMP-5-7", f"{where}: {raw} bytes with a filter of width {width}")

    @functools.lru_cache(maxsize=8)
    def frame(self, number):
        """The raw bytes of a frame, its digest checked: TMP-5-6, TMP-5-7."""
        offset, stored, raw, codec, _, width, _, expected = self.records[number]
        where = f"frame {number} of {self.where}, bytes {offset} to {offset + stored}"
        data = self.index.file[offset:offset + stored]
        found = hashlib.sha256(data).digest()
        require(found == expected, "TMP-5-6", f"{where}: digest {found.hex()}, expected {expected.hex()}")
        if codec == 0:
            return data
        data = zstd_frame(data, raw, where)
        return np.frombuffer(data, np.uint8).reshape(width, -1).T.tobytes() if width else data

    def payload(self, value):  # TMP-5-8
        data = b"".join(self.frame(value["first"] + i) for i in range(value["count"]))
        return data[value.get("skip", 0):][:value["size"]]

    def check_payloads(self):
        """Every payload's numbers, without reading a frame: TMP-5-8, TMP-5-9, TMP-9-11."""
        ends, used, total = [0, *itertools.accumulate(record[2] for record in self.records)], 0, 0
        for owner in self.manifest["files"] + self.manifest["tensors"]:
            for member in (m for m in PAYLOADS if m in owner):
                where = f"{member} of {owner['name']!r} of {self.where}"
                value = members(owner[member], where, ("count", "first", "size"), ("skip",), "TMP-5-8")
                count, first, size = (integer(value[m], where) for m in ("count", "first", "size"))
                skip = integer(value.get("skip", 0), where)
                require(skip or "skip" not in value, "TMP-5-8", f"{where}: skip is 0")
                total += size
                if count == 0:
                    require(first == size == skip == 0, "TMP-5-8", f"{where}: an empty payload has only zeros")
                    continue
                require(first + count <= len(self.records), "TMP-5-8", f"{where}: no such frames")
                begin, last = ends[first] + skip, first + count - 1  # the first and the last frame give a byte
                require(size > 0 and begin < ends[first + 1] and ends[last] < begin + size <= ends[last + 1], "TMP-5-8",
                        f"{where}: {size} bytes after {skip} do not fit its {count} frames")
                require(first <= used, "TMP-5-9", f"{where}: frame {used} comes before its first use")
                used = max(used, first + count)
        require(used == len(self.records), "TMP-5-9", f"{self.where}: frame {used} is not used")
        require(total <= 64 * MIB + 16384 * self.index.slot["end"], "TMP-9-11",
                f"sum of the payload sizes of {self.where}: {total}")

    # --- 6. Manifests ---

    def check_manifest(self, shared):
        kind, manifest = "expert" if shared else "shared", self.manifest
        members(manifest, f"manifest of {self.where}", ("files", "kind", "metadata", "provenance", "tensors")
                + (("absent",) if shared else ()), rule="TMP-6-1")
        require(manifest["kind"] == kind, "TMP-6-1", f"{self.where}: kind is not {kind}")
        strings(manifest["metadata"], "metadata", "TMP-6-1")
        provenance = members(manifest["provenance"], "provenance", ("options", "sources", "tool"), rule="TMP-6-1")
        if not isinstance(provenance["tool"], str):  # Reading: a text, or an object of `name` and `version`
            members(provenance["tool"], "provenance.tool", ("name", "version"), rule="TMP-6-1")
            strings(provenance["tool"], "provenance.tool", "TMP-6-1")
        strings(provenance["options"], "provenance.options", "TMP-6-1")
        for source in array(provenance["sources"], "provenance.sources", "TMP-6-1"):
            members(source, "source", ("digest", "name", "size"), rule="TMP-6-1")
            digest(source["digest"], "source"), integer(source["size"], "source")
            string(source["name"], "source", "TMP-6-1", 1024)
        require(len(array(manifest["files"], "files", "TMP-6-1")) <= 4096, "TMP-9-10", "files of a manifest: 4096")
        for file in manifest["files"]:
            members(file, "file", ("digest", "name", "payload"), rule="TMP-6-1")
            name = string(file["name"], "file", "TMP-6-2", 1024)
            digest(file["digest"], f"file {name!r}")
            bad = re.search(r"[\\\x00-\x1f\x7f-\x9f]", name) or {"", ".", ".."} & set(name.split("/"))
            require(not bad, "TMP-6-2", f"{self.where}: file name {name!r}")
            self.size_of(file, "payload", None, name)
            require(file["payload"]["size"] <= 64 * MIB, "TMP-9-10", f"bytes of file {name!r}: the limit is 64 MiB")
        increasing([file["name"] for file in manifest["files"]], "files", "TMP-6-1")
        require(len(array(manifest["tensors"], "tensors", "TMP-6-1")) <= 1 << 20, "TMP-9-4", "entries of a manifest")
        for entry in manifest["tensors"]:
            require(isinstance(entry, dict), "TMP-6-1", f"{self.where}: an entry is not an object")
            string(entry.get("name"), f"entry of {self.where}", "TMP-6-1", 1024)
            self.check_entry(entry, shared, f"tensor {entry['name']!r} of {self.where}")
        increasing([entry["name"] for entry in manifest["tensors"]], "tensors", "TMP-6-1")
        self.tensors = {entry["name"]: entry for entry in manifest["tensors"]}
        if shared:  # TMP-6-5
            require(len(array(manifest["absent"], "absent", "TMP-6-5")) <= 1 << 20, "TMP-9-4", "absent: too many")
            increasing([string(n, "absent", "TMP-6-5", 1024) for n in manifest["absent"]], "absent", "TMP-6-5")
            for name in manifest["absent"]:
                require(name in shared.tensors and name not in self.tensors, "TMP-6-5", f"absent {name!r}")

    def size_of(self, owner, member, expected, where):
        value = owner[member]
        require(isinstance(value, dict), "TMP-5-8", f"{where}: {member} is not an object")
        size = integer(value.get("size"), f"{member} of {where}", "TMP-5-8")
        require(expected is None or size == expected, "TMP-6-9", f"{member} of {where}: {size} bytes, not {expected}")

    def check_entry(self, entry, shared, where):
        if not shared:  # TMP-6-3, TMP-6-4
            embedded = ("payload",) if self.index.shared["storage"] == "embedded" else ()
            members(entry, where, ("digest", "dtype", "name", "shape") + embedded, rule="TMP-6-3")
            digest(entry["digest"], where)
            size = tensor_size(entry["dtype"], entry["shape"], where)
            return self.size_of(entry, "payload", size, where) if embedded else None
        lossy = ("error", "norm", "dtype", "scales")  # TMP-6-6 and the table of factors
        more = {"low-rank": lossy + ("left", "rank", "right"), "sparse": lossy + ("count", "positions", "values"),
                "dense": lossy + ("values",), "difference": ("payload",), "replaced": ("dtype", "payload", "shape")}
        factor = entry.get("factor")
        require(isinstance(factor, str) and factor in more, "TMP-6-6", f"{where}: factor {factor!r}")
        members(entry, where, ("name", "factor", "source") + more[factor], rule="TMP-6-6")
        digest(entry["source"], where)
        if factor == "replaced":  # TMP-6-15
            return self.size_of(entry, "payload", tensor_size(entry["dtype"], entry["shape"], where), where)
        require(entry["name"] in shared.tensors, "TMP-6-7", f"{where}: {factor} without a shared tensor")
        of = shared.tensors[entry["name"]]
        if factor == "difference":  # TMP-6-14
            return self.size_of(entry, "payload", tensor_size(of["dtype"], of["shape"], where), where)
        require(of["dtype"] in FLOATS, "TMP-6-7", f"{where}: {factor} of {of['dtype']}")
        require(entry["dtype"] in ("F32", "BF16", "F16", "I8", "I4"), "TMP-6-8", f"{where}: dtype {entry['dtype']!r}")
        measure(entry["error"], where), measure(entry["norm"], where)
        width, elements = {"F32": 32, "I8": 8, "I4": 4}.get(entry["dtype"], 16), math.prod(of["shape"])
        components = 1
        if factor == "low-rank":  # TMP-6-11
            (rows, columns), components = matrix(of["shape"]), integer(entry["rank"], where)
            fits = 1 <= components <= min(rows, columns)
            require(fits, "TMP-6-11", f"{where}: rank {components} of {rows} × {columns}")
            self.size_of(entry, "left", components * ((rows * width + 7) // 8), where)
            self.size_of(entry, "right", components * ((columns * width + 7) // 8), where)
        elif factor == "dense":  # TMP-6-12
            self.size_of(entry, "values", (elements * width + 7) // 8, where)
        else:  # TMP-6-13
            count = integer(entry["count"], where)
            require(1 <= count <= elements, "TMP-6-13", f"{where}: count {count} of {elements}")
            self.size_of(entry, "values", (count * width + 7) // 8, where)
        self.size_of(entry, "scales", 4 * components, where)  # TMP-6-10

    # --- Factors ---

    def decode(self, entry, shape):
        """(scales, left, right), (scales, values) or (scales, values, places); the payload's rules are checked."""
        where, dtype = f"tensor {entry['name']!r} of {self.where}", entry["dtype"]
        scales = np.frombuffer(self.payload(entry["scales"]), "<f4")
        require(np.isfinite(scales).all(), "TMP-6-10", f"{where}: a scale is not finite")
        if entry["factor"] == "low-rank":
            return scales, *(numbers(dtype, self.payload(entry[side]), entry["rank"], length, where)
                             for side, length in zip(("left", "right"), matrix(shape)))
        elements = math.prod(shape)
        count = entry.get("count", elements)
        values = numbers(dtype, self.payload(entry["values"]), 1, count, where)[0]
        if entry["factor"] == "dense":
            return scales, values
        return scales, values, places(self.payload(entry["positions"]), count, elements, where)


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
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets < 128)
    require(len(ends) == count and ends[-1] == len(octets) - 1, "TMP-6-13", f"{where}: not {count} positions")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    shortest = (octets[ends] != 0) | (lengths == 1)
    require(shortest.all() and lengths.max() <= 8, "TMP-6-13", f"{where}: a position is not in its shortest form")
    nth = np.arange(len(octets)) - np.repeat(starts, lengths)
    gaps = np.add.reduceat((octets & 127).astype(np.uint64) << (7 * nth).astype(np.uint64), starts)
    require((gaps < elements).all(), "TMP-6-13", f"{where}: a position beyond {elements} elements")
    at = np.cumsum(gaps + np.uint64(1)) - np.uint64(1)  # cannot wrap unseen: every gap is below 2⁵³
    require((at < elements).all(), "TMP-6-13", f"{where}: a position beyond {elements} elements")
    return at.astype(np.int64)


def undo_difference(payload, shared, dtype):
    """The expert's bytes: TMP-6-14."""
    width = {"C64": 4}.get(dtype, max(1, BITS[dtype] // 8))
    code = np.frombuffer(payload, f"<u{width}")
    base = np.frombuffer(shared, f"<u{width}")
    top = code.dtype.type(1 << 8 * width - 1)
    signed = dtype in FLOATS or (dtype.startswith("F8_") and dtype != "F8_E8M0")
    lane = (code >> 1) ^ (code.dtype.type(0) - (code & 1))
    lane += np.where(base & top, ~base, base | top) if signed else base
    return (np.where(lane & top, lane ^ top, ~lane) if signed else lane).tobytes()


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
        product, c = a.astype(np.float64) * b, c.astype(np.float64)  # exact: 24 + 24 bits
        total = product + c
        part = total - product
        return to_odd(total, (product - (total - part)) + (c - part)).astype(np.float32)
    if max(significant(a), significant(b)) <= 24:
        return a * b + c  # the product is exact
    return np.array([exact_fma(*abc) for abc in zip(*(x.ravel().tolist() for x in np.broadcast_arrays(a, b, c)))],
                    np.float64).reshape(c.shape)


def significant(x):  # 24 where every value is a binary32 number, else 53
    return 24 if np.all((x.astype(np.float32).astype(np.float64) == x) | np.isnan(x)) else 53


def exact_fma(a, b, c):
    if not (math.isfinite(a) and math.isfinite(b)) or a == 0 or b == 0:
        return a * b + c
    if not math.isfinite(c):
        return c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def narrow(acc, dtype):
    """TMP-7-9. Reading: a NaN becomes the positive quiet NaN without payload."""
    nan = np.isnan(acc)
    if dtype in ("F16", "BF16") and acc.dtype == np.float64:
        single = acc.astype(np.float32)
        acc = to_odd(single, acc - single)
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


def convert(data, dtype, to):  # Reading: float dtypes only; others stay as they are
    same = to in (None, dtype) or dtype not in FLOATS
    return (data, dtype) if same else (narrow(widen(dtype, data, accumulator(dtype)), to), to)


def whole(entry, shared):  # TMP-7-3
    return entry["factor"] == "replaced" or (
        entry["factor"] == "difference" and shared.tensors[entry["name"]]["dtype"] not in FLOATS)


class Model:
    """The shared model, the experts asked for, and where the shared tensors' bytes come from."""

    def __init__(self, index, names, base):
        self.index, self.base = index, base
        self.shared = Section(index, index.shared["section"], "the shared model")
        self.experts = {name: Section(index, index.experts[name]["section"], f"expert {name!r}", self.shared)
                        for name in index.experts if name in names}

    def shared_bytes(self, name):
        entry = self.shared.tensors[name]
        if self.index.shared["storage"] == "embedded":
            data, rule = self.shared.payload(entry["payload"]), "TMP-6-3"
        else:  # TMP-6-4
            require(self.base is not None, "TMP-6-4", "the shared model is detached: give it with --shared-from")
            require(name in self.base, "TMP-6-4", f"the given model lacks tensor {name!r}")
            dtype, shape, data = self.base[name]
            require((dtype, shape) == (entry["dtype"], entry["shape"]), "TMP-6-4",
                    f"tensor {name!r} of the given model is {dtype} {shape}, not {entry['dtype']} {entry['shape']}")
            rule = "TMP-6-4"
        require(sha256(data) == entry["digest"], rule,
                f"shared tensor {name!r}: digest {sha256(data)}, expected {entry['digest']}")
        return data

    def expert_bytes(self, section, entry):
        """The expert's own tensor, from an entry that is not lossy, its source digest checked: TMP-8-3."""
        data = section.payload(entry["payload"])
        if entry["factor"] == "difference":
            data = undo_difference(data, self.shared_bytes(entry["name"]), self.shared.tensors[entry["name"]]["dtype"])
        require(sha256(data) == entry["source"], "TMP-8-3", f"tensor {entry['name']!r} of {section.where}: "
                f"digest {sha256(data)}, expected {entry['source']}")
        return data

    def mix(self, weights, to=None):
        """Yields name, dtype, shape and bytes of every tensor of the result."""
        weights = {n: np.float32(weights[n]) for n in self.index.experts if weights.get(n, 0) != 0}  # TMP-7-1
        names = set(self.shared.tensors).union(*(self.experts[n].tensors for n in weights))
        for name in sorted(names):
            holders = {n: self.experts[n].tensors.get(name) for n in weights  # TMP-7-2; None where unchanged
                       if name in self.experts[n].tensors
                       or (name in self.shared.tensors and name not in self.experts[n].manifest["absent"])}
            if weights and not holders:
                continue
            decider = max(holders, key=weights.get, default=None)  # TMP-7-3: max gives the first of equals
            entry = holders.get(decider)
            if entry and whole(entry, self.shared):
                of = entry if entry["factor"] == "replaced" else self.shared.tensors[name]
                data, dtype = convert(self.expert_bytes(self.experts[decider], entry), of["dtype"], to)
                yield name, dtype, of["shape"], data
                continue
            of, base = self.shared.tensors[name], self.shared_bytes(name)
            added = [(n, e) for n, e in holders.items() if e and not whole(e, self.shared)]
            if not added:  # TMP-7-10
                data, dtype = convert(base, of["dtype"], to)
            elif len(weights) == 1 and weights[added[0][0]] == 1 and added[0][1]["factor"] == "difference":  # TMP-7-10
                data, dtype = convert(self.expert_bytes(self.experts[added[0][0]], added[0][1]), of["dtype"], to)
            else:
                acc = widen(of["dtype"], base, accumulator(of["dtype"]))
                for n, e in added:
                    acc = self.add(acc, weights[n], self.experts[n], e, of)
                dtype = to or of["dtype"]
                data = narrow(acc, dtype)
            yield name, dtype, of["shape"], data

    def add(self, acc, weight, section, entry, of):
        """TMP-7-5 to TMP-7-8."""
        kind, wide = acc.dtype, lambda x: np.asarray(x).astype(acc.dtype)
        if entry["factor"] == "difference":  # TMP-7-7
            start = widen(of["dtype"], self.shared_bytes(entry["name"]), kind)
            return fma(wide(weight), widen(of["dtype"], self.expert_bytes(section, entry), kind) - start, acc)
        scales, values, *more = section.decode(entry, of["shape"])
        scales = weight * scales  # binary32
        if entry["factor"] == "low-rank":  # TMP-7-5, in blocks of rows to bound memory
            acc = acc.reshape(matrix(of["shape"])).copy()
            left, right = scales[:, None] * values, wide(more[0])
            step = max(1, MIB // acc.shape[1])
            for top in range(0, len(acc), step):
                for k in range(len(scales)):
                    acc[top:top + step] = fma(wide(left[k, top:top + step, None]), right[k], acc[top:top + step])
            return acc.reshape(-1)
        where = more[0] if more else slice(None)  # TMP-7-6
        acc = acc.copy()
        acc[where] = fma(wide(scales), wide(values), acc[where])
        return acc


# --- 8. Verification --------------------------------------------------------------------------------------------

def extents_of(section):
    return {(r[0], r[1]) for r in section.records} | {(section.ref["offset"], section.ref["stored"])}


def check_summary(index, name, section, shared, counted):  # TMP-4-10
    records = extents_of(section) - counted
    counted |= records
    entries = section.tensors.values()
    own = [e["shape"] if e["factor"] == "replaced" else shared.tensors[e["name"]]["shape"] for e in entries]
    absent = set(section.manifest["absent"])
    own += [e["shape"] for n, e in shared.tensors.items() if n not in section.tensors and n not in absent]
    factors = [e["factor"] for e in entries]
    found = {"bytes": sum(stored for _, stored in records), "parameters": sum(map(math.prod, own)),
             "factors": {f: factors.count(f) for f in sorted(set(factors))}, "tensors": len(own)}
    lossy = [(float(e["error"]), float(e["norm"]), e["name"]) for e in entries if "error" in e]
    given = dict(index.experts[name]["summary"])
    if lossy:
        norm = math.sqrt(sum(n * n for _, n, _ in lossy))
        error = math.sqrt(sum((e * n) * (e * n) for e, n, _ in lossy)) / norm if norm else 0.0
        worst = max(lossy, key=lambda x: x[0])  # Reading: the first of equals
        found["worst_tensor"] = worst[2]
        for key, value in (("error", error), ("worst_error", worst[0])):
            close = math.isclose(float(given.pop(key, "nan")), value, rel_tol=1e-6)
            require(close, "TMP-4-10", f"summary of {name}: {key} is not {value}")
    require(json.dumps(given, sort_keys=True) == json.dumps(found, sort_keys=True), "TMP-4-10",
            f"summary of {name} is {given}, the section says {found}")


def check_contents(model, section):  # TMP-8-2 and TMP-8-3 of one section
    for number in range(len(section.records)):
        section.frame(number)
    for file in section.manifest["files"]:
        require(sha256(section.payload(file["payload"])) == file["digest"], "TMP-8-3",
                f"file {file['name']!r} of {section.where}: wrong digest")
    for entry in section.tensors.values():
        if section is model.shared:
            if model.index.shared["storage"] == "embedded" or model.base is not None:
                model.shared_bytes(entry["name"])
        elif entry["factor"] == "replaced" or (entry["factor"] == "difference" and (
                model.base is not None or model.index.shared["storage"] == "embedded")):
            model.expert_bytes(section, entry)
        elif entry["factor"] == "difference":  # detached, and no model given
            section.payload(entry["payload"])
        else:
            section.decode(entry, model.shared.tensors[entry["name"]]["shape"])


def check_extents(index, sections):
    """TMP-2-7, TMP-5-4, and TMP-2-8 where every section could be read."""
    refs = [(index.slot["index"], "index")] + [(s.ref, s.where) for s in sections]
    extents = {(r["offset"], r["stored"]): (bytes.fromhex(r["digest"]), 1, w) for r, w in refs}
    by_digest = {}
    for section in sections:
        for number, (offset, stored, _, codec, _, _, _, expected) in enumerate(section.records):
            where = f"frame {number} of {section.where}"
            known = extents.setdefault((offset, stored), (expected, codec, where))
            require(known[0] == expected, "TMP-2-7", f"{where} and {known[2]} share an extent, not a digest")
            require(by_digest.setdefault((expected, codec), offset) == offset, "TMP-5-4", f"{where} is stored twice")
            if codec == 0:
                extents[offset, stored] = (expected, 0, where)
    end, before, at_fault = 8192, "the header", []
    for (offset, stored), (_, codec, where) in sorted(extents.items()):
        require(offset >= end, "TMP-2-7", f"{where} overlaps {before} at byte {offset}")
        gap = index.file[end:min(offset, end + 64)]
        if offset > end and (offset - end >= 64 or codec or any(gap)):
            at_fault.append(f"TMP-2-8: unused bytes {end} to {offset} in front of {where}")
        end, before = offset + stored, where
    if end != index.slot["end"]:
        at_fault.append(f"TMP-2-8: unused bytes {end} to {index.slot['end']} at the end")
    complete = index.slot["generation"] == 1 and len(sections) == 1 + len(index.experts)
    return at_fault if complete else []


def verify(index, base):
    """Deep verification: TMP-8-3. Prints a line per expert, and one per other fault. True if all is well."""
    faults, model = list(index.faults), Model(index, (), base)
    shared = model.shared
    counted = extents_of(shared)
    sections, lines = [shared], []
    try:
        check_contents(model, shared)
    except TmpackError as error:
        faults.append(str(error))
    for name, expert in index.experts.items():
        try:
            section = Section(index, expert["section"], f"expert {name!r}", shared)
            sections.append(section)
            if len(sections) == 2 + len(lines):  # the count of bytes needs every earlier section
                check_summary(index, name, section, shared, counted)
            check_contents(model, section)
            lines.append(f"expert {name}: ok")
        except TmpackError as error:
            lines.append(f"expert {name}: {error}")
            faults.append(None)
    try:
        faults += check_extents(index, sections)
    except TmpackError as error:
        faults.append(str(error))
    print(f"generation {index.slot['generation']}, root {index.slot['index']['digest']}")
    if index.shared["storage"] == "detached" and base is None:
        print("note: detached, and no model given: shared tensors and differences are not checked")
    for line in lines + [f"archive: {fault}" for fault in faults if fault]:
        print(line)
    return not faults


# --- Safetensors and the command line ---------------------------------------------------------------------------

def read_safetensors(path):
    with open(path, "rb") as stream:
        file = stream.read()
    try:
        size = struct.unpack_from("<Q", file)[0]
        header, result = json.loads(file[8:8 + size]), {}
        for name, item in header.items():
            if name != "__metadata__":
                start, end = item["data_offsets"]
                data = file[8 + size + start:8 + size + end]
                expected = tensor_size(item["dtype"], item["shape"], name)
                require(len(data) == end - start == expected, "TMP-6-4", f"{path}: tensor {name!r} is cut short")
                result[name] = item["dtype"], item["shape"], data
        return result
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        fail("TMP-6-4", f"{path} is not a safetensors file: {error!r}")


def write_safetensors(path, tensors, metadata):
    header, at = {"__metadata__": metadata} if metadata else {}, 0
    tensors = sorted(tensors, key=lambda t: (-BITS[t[1]], t[0]))  # so that every tensor is aligned
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.writelines(data for *_, data in tensors)


def parse_weights(text, index):
    """Decimal numbers, each rounded once to binary32 (float() and then float32 would round twice)."""
    weights = {}
    for item in filter(None, (text or "").split(",")):
        name, _, number = item.rpartition("=")
        require(name in index.experts and name not in weights, "TMP-7-1", f"no expert {name!r}, or named twice")
        try:
            double = np.array([float(number)])
            error = np.array([float(Fraction(number) - Fraction(double[0]))])
            weights[name] = to_odd(double, error).astype(np.float32)[0]
        except (ValueError, OverflowError):
            fail("TMP-7-1", f"{number!r} is not a finite number")
        require(np.isfinite(weights[name]), "TMP-7-1", f"weight {number} is not finite in binary32")
    return weights


def unpack(index, arguments, base):
    weights = parse_weights(arguments.weights, index)
    model = Model(index, {name for name, weight in weights.items() if weight != 0}, base)
    check_extents(index, [model.shared, *model.experts.values()])
    tensors = list(model.mix(weights, arguments.dtype))
    if arguments.digests:
        for name, dtype, shape, data in tensors:
            print(name, dtype, json.dumps(shape, separators=(",", ":")), sha256(data))
    if arguments.out:  # TMP-7-11; the files of the model folder are not written
        first = max(model.experts, key=weights.get, default=None)
        section = model.experts[first] if first is not None else model.shared
        write_safetensors(arguments.out, tensors, section.manifest["metadata"])


def main():
    parser = argparse.ArgumentParser(description="An independent reader of tmpack archives.")
    parser.add_argument("archive")
    parser.add_argument("command", choices=("verify", "unpack"))
    parser.add_argument("out", nargs="?")
    parser.add_argument("--weights", help="NAME=W,NAME=W; an expert that is not named is left out")
    parser.add_argument("--shared-from", help="the shared model of a detached archive, as a safetensors file")
    parser.add_argument("--dtype", choices=FLOATS)
    parser.add_argument("--digests", action="store_true")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(encoding="utf-8")
    sys.stderr.reconfigure(encoding="utf-8")
    try:
        with open(arguments.archive, "rb") as stream:
            stream.seek(0, 2)
            file = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if stream.tell() else b""
        base = read_safetensors(arguments.shared_from) if arguments.shared_from else None
        index = Index(file)
        with np.errstate(all="ignore"):
            if arguments.command == "verify":
                sys.exit(0 if verify(index, base) else 2)
            unpack(index, arguments, base)
    except (TmpackError, OSError) as error:
        print(f"tmpack_reader: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
