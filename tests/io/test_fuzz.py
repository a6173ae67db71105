"""A few hundred damaged files, seeded: every answer is a whole object or an `InputError`, soon and small."""

import gzip
import io
import json
import pickle
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
import trimesh
from safetensors.numpy import save as tensors

from hoijax.data.evaluation.predictions import read_predictions
from hoijax.errors import InputError
from hoijax.io import read_json, read_mesh, read_npz, read_parameters
from hoijax.io.pickles import read_object_npz, read_pickle
from hoijax.io.torch_checkpoints import read_torch
from hoijax.nets.weights.files import open_tensors
from hoijax.systems.graft.estimates import read_scene_estimate
from hoijax.systems.graft.features import read_features
from hoijax.viz import read_scene

BALL = trimesh.creation.icosphere(subdivisions=1, radius=0.4)
BODY = {
    "body_pose": np.zeros((2, 63)),
    "global_orient": np.zeros((2, 3)),
    "betas": np.zeros(10),
    "note": np.array("hi"),
}
SCENE = {"depth_z": np.ones((4, 5), np.float32), "intrinsics": np.diag([5.0, 5, 1])}
FEATURES = {"features_0": np.ones((2, 3, 3, 4), np.float32), "intrinsics": np.diag([5.0, 5, 1])}


def npz(arrays, save=np.savez):
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def mesh(kind):
    data = BALL.export(file_type=kind)
    return data.encode() if isinstance(data, str) else data


def checkpoint():
    """What torch.save writes for one tensor, by hand."""
    code = b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage"
    code += b"ctorch\nFloatStorage\n"
    code += b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQK\x00K\x06\x85K\x01\x85\x89NtRs."
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", code)
        archive.writestr("a/data/0", np.arange(6, dtype=np.float32).tobytes())
    return file.getvalue()


def gltf():
    tree = BALL.export(file_type="gltf")
    text = json.loads(tree["model.gltf"])
    import base64

    for buffer in text["buffers"]:
        buffer["uri"] = "data:;base64," + base64.b64encode(tree[buffer["uri"]]).decode()
    return json.dumps(text).encode()


CASES = {
    "a.npz": (npz(BODY), (read_parameters, read_npz, read_predictions)),
    "b.npz": (npz(BODY, np.savez_compressed), (read_parameters, read_object_npz)),
    "c.npz": (npz(SCENE), (read_scene_estimate,)),
    "d.npz": (npz(FEATURES), (read_features,)),
    "e.npz": (npz({"o": np.array([{"a": np.arange(3)}], object)}), (read_object_npz,)),
    "a.pkl": (pickle.dumps({"a": np.arange(9.0), "b": [1, "x", (2, 3)], "c": np.float32(1)}, 2), (read_pickle,)),
    "b.pkl": (pickle.dumps({"a": [np.arange(9.0)] * 3, "s": {1, 2}}, 4), (read_pickle,)),
    "a.pth": (checkpoint(), (read_torch,)),
    "a.safetensors": (tensors({"w": np.arange(6, dtype=np.float32)}, {"facts": "{}"}), (open_tensors,)),
    "a.json": (json.dumps({"a": [1, 2, {"b": None}]}).encode(), (read_json,)),
    "a.obj": (mesh("obj"), (read_mesh, read_scene)),
    "a.ply": (mesh("ply"), (read_mesh, read_scene)),
    "b.ply": (trimesh.exchange.ply.export_ply(BALL, encoding="ascii"), (read_mesh,)),
    "a.stl": (mesh("stl"), (read_mesh,)),
    "a.off": (mesh("off"), (read_mesh,)),
    "a.glb": (mesh("glb"), (read_mesh, read_scene)),
    "a.gltf": (gltf(), (read_mesh,)),
    "a.dae": (mesh("dae"), (read_mesh,)),
    "c.ply.gz": (gzip.compress(mesh("ply")), (read_mesh,)),
}
MUTATIONS = 16


def mutate(data, rng):
    """One kind of damage: flipped bits, a cut, a piece twice or gone, large numbers in a header, noise."""
    data, kind = bytearray(data), rng.integers(7)
    at = int(rng.integers(len(data)))
    if kind == 0:
        for place in rng.integers(0, len(data), 8):
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        data[at:at] = data[at : at + 64]
    elif kind == 3:
        del data[at : at + int(rng.integers(1, 64))]
    elif kind == 4:
        place = int(rng.integers(min(len(data), 512)))
        data[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"9999"])
    elif kind == 5:
        data[at : at + 32] = rng.bytes(32)
    else:  # numbers of a text: longer ones
        digits = [i for i, byte in enumerate(data) if 48 <= byte < 58]
        for place in rng.choice(digits, min(3, len(digits)), replace=False) if digits else ():
            data[int(place)] = int(rng.choice(list(b"0123456789-e.")))
    return bytes(data)


@pytest.mark.parametrize("name", CASES)
def test_every_answer_is_an_object_or_an_input_error(tmp_path, name):
    data, readers = CASES[name]
    rng = np.random.default_rng(sum(name.encode()))
    path = tmp_path / name
    path.write_bytes(data)
    for read in readers:
        if (name, read) != ("a.npz", read_predictions) and (name, read) != ("a.npz", read_npz):
            assert read(path) is not None  # undamaged it is read
    tracemalloc.start()
    refused = 0
    for _ in range(MUTATIONS):
        path.write_bytes(mutate(data, rng))
        for read in readers:
            began = time.process_time()
            try:
                read(path)
            except InputError as error:
                refused += 1
                assert name.partition(".")[0] + "." in str(error) or "a.npz" in str(error)
                assert len(str(error)) < 1500 and "\n" not in str(error)
            assert time.process_time() - began < 5
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20
    assert refused  # damage is noticed
