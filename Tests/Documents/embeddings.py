"""Made-up embeddings for the examples of routers: around one centre for each class, the same in every run.

    Tests/Documents/embeddings.py CLASS…

Writes train.safetensors (`embeddings` F32 [N, 16], `labels` I64 [N], the classes in the metadata) and x.npy, four inputs of the last class.
"""
import json, pathlib, random, struct, sys

WIDTH, EXAMPLES = 16, 200


def floats(rows):
    return b"".join(struct.pack("<f", value) for row in rows for value in row)


def safetensors(path, classes, rows, labels):
    parts = (("labels", "I64", [len(labels)], struct.pack(f"<{len(labels)}q", *labels)), ("embeddings", "F32", [len(rows), WIDTH], floats(rows)))
    header, offset = {"__metadata__": {"classes": json.dumps(classes)}}, 0
    for name, dtype, shape, data in parts:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for *_, data in parts))


def npy(path, rows):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(rows)}, {WIDTH}), }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + floats(rows))


def main(classes):
    random.seed(1)
    centres = [[random.gauss(0, 1) for _ in range(WIDTH)] for _ in classes]

    def near(label):
        return [value + random.gauss(0, 1) for value in centres[label]]
    labels = [n % len(classes) for n in range(EXAMPLES * len(classes))]
    safetensors(pathlib.Path("train.safetensors"), classes, [near(label) for label in labels], labels)
    npy(pathlib.Path("x.npy"), [near(len(classes) - 1) for _ in range(4)])


if __name__ == "__main__":
    main(sys.argv[1:] or sys.exit(__doc__))
