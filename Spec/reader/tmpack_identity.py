#!/usr/bin/env python3
"""A second reader of signatures and of digests of checkpoints, written from sections 12 and 13 of Spec/format.md alone.

    tmpack_identity.py signed ARCHIVE SIGNATURES PUBLIC-KEY [--expert NAME]
    tmpack_identity.py signed CHECKPOINT.safetensors SIGNATURES PUBLIC-KEY
    tmpack_identity.py digests CHECKPOINT.safetensors DIGESTS

`signed` tells whether the key has signed what the file is by now, `digests` whether the tensors are those of the list.
Needs what tmpack_reader.py needs; Ed25519 is here, from RFC 8032.
Exit status 0, or 2 with one line that names the broken rule.
"""

import argparse
import base64
import hashlib
import json
import sys

from tmpack_reader import MAGIC, TmpackError, increasing, open_archive, read_safetensors, require, sha256, tensor_size

# --- Ed25519: RFC 8032, section 5.1 -----------------------------------------------------------------------------

PRIME = 2 ** 255 - 19
ORDER = 2 ** 252 + 27742317777372353535851937790883648493
CURVE = -121665 * pow(121666, -1, PRIME) % PRIME


def add(one, other):
    """The sum of two points in extended coordinates: section 5.1.4."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % PRIME
    b = (one[1] + one[0]) * (other[1] + other[0]) % PRIME
    c = 2 * one[3] * other[3] * CURVE % PRIME
    d = 2 * one[2] * other[2] % PRIME
    return (b - a) * (d - c) % PRIME, (d + c) * (b + a) % PRIME, (d - c) * (d + c) % PRIME, (b - a) * (b + a) % PRIME


def times(number, point):
    result = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, point)
        point, number = add(point, point), number >> 1
    return result


def decode_point(data):
    """None for bytes that are no point: section 5.1.3."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= PRIME:
        return None
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    if x * x % PRIME != square or x == 0 and sign:
        return None
    x = PRIME - x if x & 1 != sign else x
    return x, y, 1, x * y % PRIME


GENERATOR = decode_point((4 * pow(5, -1, PRIME) % PRIME).to_bytes(32, "little"))


def is_good(key, signature, message):
    """Section 5.1.7, without the cofactor."""
    public, point = decode_point(key), decode_point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if public is None or point is None or scalar >= ORDER:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    left, right = times(scalar, GENERATOR), add(point, times(challenge, public))
    return all((left[i] * right[2] - right[i] * left[2]) % PRIME == 0 for i in (0, 1))


# --- 12. Signatures ---------------------------------------------------------------------------------------------

def canonical(value):
    """What RFC 8785 makes of texts, whole numbers, lists and objects whose names are ASCII."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def strictly(value, kinds, rule, where):
    require(isinstance(value, dict) and value.keys() == kinds.keys(), rule, f"{where}: the members are not {sorted(kinds)}")
    for member, kind in kinds.items():
        require(type(value[member]) is kind, rule, f"{where}: {member} is no {kind.__name__}")
    return value


def read_json(path, rule):
    def pairs(items):
        require(len(dict(items)) == len(items), rule, "a name twice in one object")
        return dict(items)

    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file, object_pairs_hook=pairs)
    except ValueError as error:
        raise TmpackError(f"{rule}: not JSON: {error}") from None


def from_base64(data, size, where):
    try:
        result = base64.b64decode(data, validate=True)
    except ValueError:
        result = b""
    require(len(result) == size and base64.b64encode(result).decode() == data, "TMP-12-3", f"{where}: not {size} bytes in base64")
    return result


KINDS = {"archive": {"generation": int, "kind": str, "root": str}, "checkpoint": {"kind": str, "tensors": str},
         "expert": {"expert": str, "kind": str, "section": str, "shared": str}}  # TMP-12-1


def read_signatures(path):
    """Triples of key, signature and statement: TMP-12-3."""
    value = strictly(read_json(path, "TMP-12-3"), {"format": str, "signatures": list, "version": int}, "TMP-12-3", "signatures")
    require((value["format"], value["version"]) == ("tmpack-signatures", 1), "TMP-12-3", "another format or version")
    result = []
    for entry in value["signatures"]:
        strictly(entry, {"key": str, "signature": str, "statement": dict}, "TMP-12-3", "a signature")
        statement = entry["statement"]
        require(statement.get("kind") in KINDS, "TMP-12-1", f"a statement of the kind {statement.get('kind')!r}")
        strictly(statement, KINDS[statement["kind"]], "TMP-12-1", "a statement")
        result.append((from_base64(entry["key"], 32, "a key"), from_base64(entry["signature"], 64, "a signature"), statement))
    return result


def read_public_key(path):
    """SubjectPublicKeyInfo in PEM, or a line of OpenSSH's: TMP-12-6."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text.startswith("ssh-ed25519 "):
        data, start = base64.b64decode(text.split()[1]), b"\0\0\0\x0bssh-ed25519\0\0\0\x20"
    else:
        lines = text.split("-----BEGIN PUBLIC KEY-----")[-1].split("-----END PUBLIC KEY-----")[0]
        data, start = base64.b64decode(lines), bytes.fromhex("302a300506032b6570032100")
    require(data.startswith(start) and len(data) == len(start) + 32, "TMP-12-6", "not a public key of Ed25519")
    return data[len(start):]


def statement_of(path, expert):
    """What a signer says of the file as it is: TMP-12-1."""
    with open(path, "rb") as file:
        start = file.read(8192)
    if MAGIC not in (start[:8], start[4096:4104]):
        return {"kind": "checkpoint", "tensors": tensors_digest(path)}
    index = open_archive(path)
    if expert is None:
        return {"generation": index.slot["generation"], "kind": "archive", "root": index.slot["index"]["digest"]}
    require(expert in index.experts, "TMP-12-1", f"there is no expert {expert!r}")
    return {"expert": expert, "kind": "expert", "section": index.experts[expert]["section"]["digest"],
            "shared": index.shared["section"]["digest"]}


def check_signed(path, signatures, key, expert):  # TMP-12-5
    own = canonical(statement_of(path, expert))
    good = any(signer == key and canonical(statement) == own and is_good(signer, signature, b"tmpack-signature-1\n" + own)  # TMP-12-2
               for signer, signature, statement in signatures)
    require(good, "TMP-12-5", f"the key has no good signature of {own.decode()}")


# --- 13. Digests of checkpoints ---------------------------------------------------------------------------------

def tensors_of(path):
    """The list `tensors` of a checkpoint: TMP-13-1."""
    return [{"dtype": dtype, "name": own, "sha256": sha256(data), "shape": shape}
            for own, (dtype, shape, data) in sorted(read_safetensors(path).items(), key=lambda item: item[0].encode())]


def tensors_digest(path):  # TMP-13-2
    return sha256(canonical(tensors_of(path)))


def check_digests(path, list_path):
    value = strictly(read_json(list_path, "TMP-13-1"), {"files": list, "format": str, "tensors": list, "tensors_digest": str,
                                                        "version": int, "weight_files": list}, "TMP-13-1", "digests")
    require((value["format"], value["version"]) == ("tmpack-digests", 1), "TMP-13-1", "another format or version")
    listed = value["tensors"]
    for entry in listed:
        strictly(entry, {"dtype": str, "name": str, "sha256": str, "shape": list}, "TMP-13-1", "a tensor")
        tensor_size(entry["dtype"], entry["shape"], entry["name"])
    increasing([entry["name"] for entry in listed], "tensors", "TMP-13-1")
    require(sha256(canonical(listed)) == value["tensors_digest"], "TMP-13-2", "the list has another digest than it says")
    own, other = ({entry["name"]: entry for entry in entries} for entries in (tensors_of(path), listed))
    faults = sorted(each for each in own.keys() | other.keys() if own.get(each) != other.get(each))
    require(not faults, "TMP-13-3", f"missing, not expected or other tensors: {', '.join(faults)}")


def main():
    parser = argparse.ArgumentParser(description="An independent reader of tmpack's signatures and digests.")
    commands = parser.add_subparsers(dest="command", required=True)
    signed = commands.add_parser("signed")
    for name in ("path", "signatures", "key"):
        signed.add_argument(name)
    signed.add_argument("--expert")
    digests = commands.add_parser("digests")
    for name in ("path", "list"):
        digests.add_argument(name)
    arguments = parser.parse_args()
    try:
        if arguments.command == "digests":
            check_digests(arguments.path, arguments.list)
        else:
            check_signed(arguments.path, read_signatures(arguments.signatures), read_public_key(arguments.key), arguments.expert)
    except (TmpackError, OSError) as error:
        print(f"tmpack_identity: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
