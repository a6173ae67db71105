"""Objects that nobody here made: the CC0 furniture of Sweet Home 3D, and meshes that other packages ship.

The furniture catalogue "Blend Swap CC-0" has 175 models under CC0 1.0. Debian's package `sweethome3d-furniture` ships
it as `/usr/share/sweethome3d/furniture/BlendSwap-CC-0.sh3f`, a zip with one properties file and the models. Sixty of
them, with fewer faces, come with hoijax (`shipped`); `hoijax/assets/furniture/split.csv` says which, and which of them
are for training. robosuite and metaworld (extra `[objects]`, both MIT) hold meshes of things to hold and push.
"""

import csv
import dataclasses
import functools
import importlib.resources
import importlib.util
import pathlib
import re
import zipfile
from typing import Literal

import numpy as np

from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.io import file_digest, parse_obj, read_mesh

FURNITURE = pathlib.Path("/usr/share/sweethome3d/furniture/BlendSwap-CC-0.sh3f")
"""Where Debian's package puts the catalogue."""

DIGEST = "7ef093fe70cedbb160bdb532d86a84580459635e34130c16777f549eba1993dc"
"""SHA-256 of version 1.8, the one that numbers are reported on."""

_ASSETS = importlib.resources.files("hoijax.assets") / "furniture"

_PROPERTIES = "PluginFurnitureCatalog.properties"

Split = Literal["train", "test"]


@dataclasses.dataclass(frozen=True)
class Shape:
    """A shape that comes with hoijax; its mesh is read when it is asked for."""

    name: str
    """Kind and number, such as "chair_026"."""
    kind: str
    """Such as "chair"."""
    number: int
    """In the catalogue."""
    split: Split
    """What it may be used for: networks are trained on "train", results told on "test"."""

    @property
    def mesh(self) -> Mesh:
        """y up, metres, on the floor y = 0, its middle above the origin, the back of seats towards -z; read-only."""
        return _shape(self.name)


def shipped(split: str | None = None, kind: str | None = None) -> tuple[Shape, ...]:
    """The shapes that come with hoijax, in the order of their names.

    Args:
      split: "train", "test", or None for both.
      kind: such as "chair"; None for all.

    Raises:
      InputError: no such split or kind.
    """
    every = _shapes()
    for name, wanted, there in (
        ("split", split, {shape.split for shape in every}), ("kind", kind, {shape.kind for shape in every}),
    ):  # fmt: skip
        if wanted is not None and wanted not in there:
            raise InputError(f"no shipped shape has the {name} {wanted!r}; there are {', '.join(sorted(there))}")
    return tuple(shape for shape in every if split in (None, shape.split) and kind in (None, shape.kind))


def read_split() -> dict[str, tuple[int, Split]]:
    """Name to number in the catalogue and split, as `hoijax/assets/furniture/split.csv` has them."""
    with (_ASSETS / "split.csv").open("r", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {f"{row['kind']}_{int(row['number']):03d}": (int(row["number"]), row["split"]) for row in rows}


@functools.cache
def _shapes() -> tuple[Shape, ...]:
    return tuple(Shape(name, name[:-4], number, split) for name, (number, split) in sorted(read_split().items()))


@functools.cache
def _shape(name: str) -> Mesh:
    with (_ASSETS / "shapes.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        low, high = arrays[f"{name}/box"]
        vertices = low + arrays[f"{name}/corners"] * ((high - low) / np.float32(65535))
        faces = arrays[f"{name}/faces"].astype(np.int32)
    vertices = vertices.astype(np.float32)
    for array in (vertices, faces):
        array.flags.writeable = False
    return Mesh(vertices=vertices, faces=faces)


@dataclasses.dataclass(frozen=True)
class Furniture:
    """One model of the catalogue."""

    number: int
    """Its number in the catalogue, from 1."""
    name: str
    """English name."""
    category: str
    """Such as "Living room"."""
    model: str
    """The OBJ inside the archive."""
    size: tuple[float, float, float]
    """Width (x), height (y) and depth (z), metres."""
    rotation: tuple[float, ...]
    """Row-major matrix that the model is turned with before it is sized; empty for none."""


def read_catalogue(archive: pathlib.Path = FURNITURE, *, digest: str | None = DIGEST) -> dict[int, Furniture]:
    """The models of a furniture archive by number.

    Args:
      archive: an `.sh3f` file.
      digest: SHA-256 that it must have; None: any.

    Raises:
      InputError: there is no such file, it has another digest, or it is no furniture archive.
    """
    archive = pathlib.Path(archive)
    if not archive.is_file():
        raise InputError(
            f"there is no furniture archive {archive}; install Debian's package sweethome3d-furniture, or unpack it "
            "(dpkg -x) and name its BlendSwap-CC-0.sh3f"
        )
    sha256 = file_digest(archive) if digest is not None else None
    if sha256 != digest:
        raise InputError(f"{archive} has SHA-256 {sha256}, wanted {digest}: version 1.8 of sweethome3d-furniture")
    try:
        with zipfile.ZipFile(archive) as files:
            text = files.read(_PROPERTIES).decode("latin-1")
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{archive} is no furniture archive: {error}") from error
    rows: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        match = re.match(r"(\w+)#(\d+)=(.*)", line.strip())
        if match:
            rows.setdefault(int(match[2]), {})[match[1]] = match[3]
    return {
        number: Furniture(
            number=number,
            name=row["name"],
            category=row.get("category", ""),
            model=row["model"].lstrip("/"),
            size=tuple(float(row[key]) / 100 for key in ("width", "height", "depth")),
            rotation=tuple(map(float, row.get("modelRotation", "").split())),
        )
        for number, row in sorted(rows.items())
        if "model" in row
    }


def load_furniture(item: Furniture, archive: pathlib.Path = FURNITURE) -> Mesh:
    """The mesh of a model: y up, metres, on the floor y = 0, its middle above the origin, its back towards -z.

    The catalogue sizes each model: its box is stretched to the given width, height and depth.

    Raises:
      InputError: the archive lacks the model, or the model has no faces.
    """
    try:
        with zipfile.ZipFile(archive) as files:
            data = files.read(item.model)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{archive} has no model {item.model}: {error}") from error
    # Some models have lines written as faces of two corners.
    data = re.sub(rb"(?m)^f[ \t]+\S+([ \t]+\S+)?[ \t]*\r?$", b"", data)
    vertices, faces, _ = parse_obj(data, item.model)
    return fit_to_size(vertices, faces, item.size, item.rotation)


def fit_to_size(
    vertices: np.ndarray, faces: np.ndarray, size: tuple[float, float, float], rotation: tuple[float, ...] = ()
) -> Mesh:
    """A mesh turned, stretched to a size, and put on the floor above the origin; float32.

    Raises:
      InputError: no faces.
    """
    if not len(faces):
        raise InputError("the model has no faces")
    used = np.unique(faces)
    vertices = np.asarray(vertices, np.float64)
    if rotation:
        vertices = vertices @ np.reshape(rotation, (3, 3)).T
    lower, upper = vertices[used].min(axis=0), vertices[used].max(axis=0)
    extent = upper - lower
    scale = np.asarray(size) / np.where(extent > 0, extent, 1)
    placed = (vertices - (lower + upper) / 2) * scale
    placed[:, 1] -= placed[used, 1].min()
    return Mesh(vertices=placed.astype(np.float32), faces=np.asarray(faces, np.int32))


def load_packaged(package: str, path: str, longest: float, *, z_up: bool = False) -> Mesh:
    """A mesh file of an installed package, sized so that its longest side is `longest` metres, on the floor.

    Args:
      package: such as "metaworld"; it is found, not imported.
      path: of the file below the package's folder.
      longest: metres.
      z_up: the file's z is up; otherwise y.

    Raises:
      InputError: the package or the file is not there, or is no mesh.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"package {package} is not installed; pip install 'hoijax[objects]'")
    mesh = read_mesh(pathlib.Path(spec.submodule_search_locations[0]) / path, units="m", sizes=None)
    vertices = np.asarray(mesh.vertices, np.float64)
    if z_up:
        vertices = vertices[:, [1, 2, 0]]
    extent = np.ptp(vertices[np.unique(mesh.faces)], axis=0)
    return fit_to_size(vertices, mesh.faces, tuple(extent * longest / extent.max()))
