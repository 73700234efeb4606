"""Statements for OpenSSF model signing, beside those of the package model-signing, and its verifier."""
import base64
import json
import os
import subprocess

import pytest

model_signing = pytest.importorskip("model_signing", reason="needs the package model-signing")

TOOL = os.environ["TMPACK"]


def digest(path, output):
    subprocess.run([TOOL, "digest", str(path), "--model-signing", "-o", str(output), "-q"], check=True)
    return json.loads(output.read_text())


def theirs(path):
    from google.protobuf import json_format
    from model_signing import hashing
    from model_signing._signing import signing

    return json.loads(json_format.MessageToJson(signing.Payload(hashing.Config().hash(path)).statement.pb))


def same(own, other):
    for one in (own, other):
        one["predicate"]["serialization"]["ignore_paths"].sort()
    return own == other


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    for name, content in {"a/b.bin": b"1", "a-b.bin": b"2", "é.json": b"{}", "a/.gitignore": b"x", ".gitignore": b"y", "z": b""}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_folders_and_files(model, tmp_path):
    for path in (model, model / "a-b.bin"):
        assert same(digest(path, tmp_path / f"{path.name}.json"), theirs(path))


def test_links_are_refused(model, tmp_path):
    (model / "link").symlink_to(model / "z")
    run = subprocess.run([TOOL, "digest", str(model), "--model-signing", "-o", str(tmp_path / "x"), "--json"], capture_output=True)
    assert run.returncode == 3
    with pytest.raises(ValueError):
        theirs(model)


def test_what_is_signed_verifies(model, tmp_path):
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    public = tmp_path / "key.pub"
    public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    statement = tmp_path / "statement.json"
    digest(model, statement)
    payload, kind = statement.read_bytes(), "application/vnd.in-toto+json"
    message = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(payload)).encode(), payload])
    bundle = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": ""}, "tlogEntries": []},
        "dsseEnvelope": {"payload": base64.b64encode(payload).decode(), "payloadType": kind,
                         "signatures": [{"sig": base64.b64encode(key.sign(message, ec.ECDSA(hashes.SHA256()))).decode(), "keyid": ""}]},
    }
    signature = tmp_path / "model.sig"
    signature.write_text(json.dumps(bundle))
    verifier = lambda: model_signing.verifying.Config().use_elliptic_key_verifier(public_key=public).verify(model, signature)
    verifier()
    (model / "z").write_bytes(b"changed")
    with pytest.raises(ValueError):
        verifier()
