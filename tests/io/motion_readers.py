"""What a viewer makes of a GLB's skin and of a BVH: readers that share no code with the writers."""

import json
import struct

import numpy as np

TYPES = {5121: np.uint8, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    """A GLB by the specification's own words."""

    def __init__(self, path):
        data = path.read_bytes()
        magic, version, total, length, kind = struct.unpack_from("<4sIII4s", data)
        assert (magic, version, total, kind) == (b"glTF", 2, len(data), b"JSON")
        self.tree = json.loads(data[20 : 20 + length])
        size, kind = struct.unpack_from("<I4s", data, 20 + length)
        assert kind == b"BIN\0" and 28 + length + size == len(data)
        self.buffer = data[28 + length :]

    def array(self, number):
        accessor = self.tree["accessors"][number]
        view = self.tree["bufferViews"][accessor["bufferView"]]
        dtype, width = np.dtype(TYPES[accessor["componentType"]]), WIDTHS[accessor["type"]]
        assert view["byteOffset"] % 4 == 0 and view["byteLength"] == accessor["count"] * width * dtype.itemsize
        flat = np.frombuffer(self.buffer, dtype, accessor["count"] * width, view["byteOffset"])
        return flat.reshape(-1, width).astype(np.float64)

    def node(self, name):
        return next(i for i, node in enumerate(self.tree["nodes"]) if node["name"] == name)

    def worlds(self, frame):
        """Matrices of all nodes in a frame; None: as they stand without the animation."""
        state = [{k: np.array(v, float) for k, v in node.items() if k in ("translation", "rotation", "scale")}
                 for node in self.tree["nodes"]]  # fmt: skip
        if frame is not None:
            (animation,) = self.tree["animations"]
            for channel in animation["channels"]:
                sampler = animation["samplers"][channel["sampler"]]
                target = channel["target"]
                state[target["node"]][target["path"]] = self.array(sampler["output"])[frame]
        out = [np.eye(4) for _ in state]
        todo = [(i, np.eye(4)) for i in self.tree["scenes"][0]["nodes"]]
        while todo:
            i, above = todo.pop()
            x, y, z, w = state[i].get("rotation", np.array([0, 0, 0, 1.0]))
            local = np.eye(4)
            local[:3, :3] = [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
            local[:3, :3] *= state[i].get("scale", np.ones(3))
            local[:3, 3] = state[i].get("translation", 0.0)
            out[i] = above @ local
            todo += [(child, out[i]) for child in self.tree["nodes"][i].get("children", [])]
        return out

    def attribute(self, name, mesh):
        return self.array(self.tree["meshes"][mesh]["primitives"][0]["attributes"][name])

    def body(self, frame):
        """The skin's vertices."""
        skin, worlds = self.tree["skins"][0], self.worlds(frame)
        inverse = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        joints = np.stack([worlds[j] @ b for j, b in zip(skin["joints"], inverse)])
        points = np.c_[self.attribute("POSITION", 0), np.ones(len(self.attribute("POSITION", 0)))]
        out, k = np.zeros_like(points), 0
        while f"JOINTS_{k}" in self.tree["meshes"][0]["primitives"][0]["attributes"]:
            ids, weights = self.attribute(f"JOINTS_{k}", 0).astype(int), self.attribute(f"WEIGHTS_{k}", 0)
            for c in range(4):
                out += weights[:, c, None] * np.einsum("vab,vb->va", joints[ids[:, c]], points)
            k += 1
        return out[:, :3] / out[:, 3:]

    def object(self, frame):
        points = self.attribute("POSITION", 1)
        return (np.c_[points, np.ones(len(points))] @ self.worlds(frame)[self.node("object")].T)[:, :3]

    def times(self):
        return self.array(self.tree["animations"][0]["samplers"][0]["input"])[:, 0]


def read_bvh(path):
    """Names, parents, places `(T, J, 3)` in the file's unit, seconds a frame, and the ends' offsets."""
    words = path.read_text().split()
    at, names, parents, offsets, channels, ends, stack = 1, [], [], [], [], {}, []
    assert words[0] == "HIERARCHY"
    while words[at] != "MOTION":
        if words[at] in ("ROOT", "JOINT"):
            parents.append(stack[-1] if stack else -1)
            names.append(words[at + 1])
            stack.append(len(names) - 1)
            at += 3
        elif words[at] == "End":
            ends[stack[-1]] = np.array(words[at + 4 : at + 7], float)
            at += 8
        elif words[at] == "OFFSET":
            offsets.append(np.array(words[at + 1 : at + 4], float))
            at += 4
        elif words[at] == "CHANNELS":
            count = int(words[at + 1])
            channels.append(words[at + 2 : at + 2 + count])
            at += 2 + count
        else:
            assert words[at] == "}"
            stack.pop()
            at += 1
    assert not stack and words[at + 1] == "Frames:" and words[at + 3 : at + 5] == ["Frame", "Time:"]
    count, seconds = int(words[at + 2]), float(words[at + 5])
    rows = np.array(words[at + 6 :], float).reshape(count, -1)
    assert rows.shape[1] == sum(map(len, channels))
    axes = {"X": 0, "Y": 1, "Z": 2}
    places, begin = np.zeros((count, len(names), 3)), 0
    worlds = np.zeros((count, len(names), 4, 4))
    for j, kinds in enumerate(channels):
        for t in range(count):
            local = np.eye(4)
            local[:3, 3] = offsets[j]
            for kind, value in zip(kinds, rows[t, begin:]):
                step, axis = np.eye(4), axes[kind[0]]
                if kind.endswith("position"):
                    step[axis, 3] = value
                else:
                    a, b = (axis + 1) % 3, (axis + 2) % 3
                    c, s = np.cos(np.radians(value)), np.sin(np.radians(value))
                    step[a, a], step[a, b], step[b, a], step[b, b] = c, -s, s, c
                local = local @ step
            worlds[t, j] = local if parents[j] < 0 else worlds[t, parents[j]] @ local
            places[t, j] = worlds[t, j, :3, 3]
        begin += len(kinds)
    return names, parents, places, seconds, rows, ends
