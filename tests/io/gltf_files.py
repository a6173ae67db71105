"""glTF files made by hand for tests: arrays in, a header and a buffer out."""

import json
import struct

import numpy as np

COMPONENTS = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}


class Maker:
    """A glTF of one mesh in one node; `tree` is there to be changed before it is written."""

    def __init__(self, points, faces, *, normalized=False, node=None, mode=4, **attributes):
        self.body = b""
        self.tree = {
            "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0, **(node or {})}],
            "accessors": [], "bufferViews": [],
        }  # fmt: skip
        names = {"POSITION": self.add(points, normalized=normalized)}
        names |= {name: self.add(values, normalized=values.dtype.kind != "f") for name, values in attributes.items()}
        primitive = {"attributes": names, "mode": mode}
        if faces is not None:
            primitive["indices"] = self.add(np.asarray(faces).reshape(-1, 1))
        self.tree["meshes"] = [{"primitives": [primitive]}]

    @property
    def primitive(self):
        return self.tree["meshes"][0]["primitives"][0]

    def view(self, data, **more):
        self.tree["bufferViews"].append({"buffer": 0, "byteOffset": len(self.body), "byteLength": len(data)} | more)
        self.body += data + bytes(-len(data) % 4)
        return len(self.tree["bufferViews"]) - 1

    def add(self, values, *, normalized=False, pad=0):
        """An accessor; `pad` bytes follow each row, as in interleaved buffers."""
        rows = np.ascontiguousarray(values)
        data = rows.tobytes()
        stride = {}
        if pad:
            width = rows.dtype.itemsize * rows.shape[1]
            data = b"".join(data[i : i + width] + b"\xa5" * pad for i in range(0, len(data), width))
            stride = {"byteStride": width + pad}
        accessor = {
            "bufferView": self.view(data, **stride), "componentType": COMPONENTS[rows.dtype.str[1:]],
            "count": len(rows), "type": {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[rows.shape[1]],
        }  # fmt: skip
        self.tree["accessors"].append(accessor | ({"normalized": True} if normalized else {}))
        return len(self.tree["accessors"]) - 1

    def glb(self):
        tree = {"buffers": [{"byteLength": len(self.body)}]} | self.tree
        text = json.dumps(tree).encode()
        text += b" " * (-len(text) % 4)
        total = 28 + len(text) + len(self.body)
        return (
            struct.pack("<4sIII4s", b"glTF", 2, total, len(text), b"JSON")
            + text
            + struct.pack("<I4s", len(self.body), b"BIN\0")
            + self.body
        )
