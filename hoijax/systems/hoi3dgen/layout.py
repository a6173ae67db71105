"""Where each stage of HOI3DGen leaves its files, so that any of them can be another program's.

    run/prompts.csv                     Description, Object Type, Contact Category
    run/images/0007.png                 what text becomes: picture 3 * prompt + view, of front, left and right diagonal
    run/depth/0007.png                  its depth, 16 bits
    run/retex/0007.png                  painted anew from the depth
    run/white_bg/0007.png               person and object alone on white
    run/mesh/0007.glb                   the fused surface, y up (or .obj, .ply, ...)
    run/render/0007/000.png ...         views of it; 000_depth.png, 16 bits; transforms.json
    run/masks/0007/000_human.png ...    what of each view is the person; 000_object.png; either may be missing
    run/smpl/0007.npz                   where the body's registration starts, the field's keys, the mesh's frame
    run/seg/0007/labels.npz             `vertices`, `faces`, `labels` (0 human, 1 object) of the surface that was cut
                 segmented.glb          the parts `human` and `object`, closed
                 body.npz, body.glb     the registered body; `similarity` (4, 4) and `scale` besides the field's keys
                 report.json            numbers

A stage whose file is there is not made again: put a file there, or remove it.
"""

import csv
import dataclasses
import io
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from hoijax.errors import InputError
from hoijax.io import (
    MESH_FORMATS,
    ScenePart,
    output_directory,
    read_npz,
    write_bytes,
    write_glb,
    write_npz,
    write_text,
)
from hoijax.io.reading import PathLike, existing_file, reading, shown
from hoijax.viz.read import read_scene
from hoijax.viz.scene import NamedMesh, vertex_colors

T = TypeVar("T")

STAGES: tuple[str, ...] = ("images", "depth", "retex", "white_bg", "mesh", "render", "masks", "smpl", "seg")
"""The stages' folders, in the order in which they are made."""
VIEW_TAGS: tuple[str, ...] = ("front", "left diagonal", "right diagonal")
"""Views of one prompt, in the order of their pictures."""
PROMPT_COLUMNS: tuple[str, ...] = ("Description", "Object Type", "Contact Category")
"""Columns of the table of prompts."""
PARTS: tuple[str, ...] = ("human", "object")
"""What the labels 0 and 1 mean, and what files and the parts of a GLB are called."""
_FOLDERS = ("render", "masks", "seg")  # a folder for each picture; the others have one file
_SUFFIX = {"mesh": ".glb", "smpl": ".npz"}
_MOST_PIXELS = 1 << 26


@dataclasses.dataclass(frozen=True)
class Prompt:
    """One row of the table of prompts."""

    text: str
    object: str = ""
    """What the object is."""
    contact: str = ""
    """The contact configuration that was asked for, such as rightHand, bothHands, fullBody."""


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """The files of one run; nothing is made before something is written."""

    root: pathlib.Path

    def __post_init__(self):
        object.__setattr__(self, "root", pathlib.Path(self.root))

    def path(self, stage: str, index: int) -> pathlib.Path:
        """The file of a picture in a stage, or its folder: of `render`, `masks` and `seg`.

        Of `mesh` it is whichever mesh file is there, otherwise the GLB that may be written.

        Raises:
          ValueError: no such stage.
        """
        if stage not in STAGES:
            raise ValueError(f"stages are {', '.join(STAGES)}, got {stage!r}")
        place = self.root / stage / f"{index:04d}"
        if stage in _FOLDERS:
            return place
        if stage == "mesh":
            given = [place.with_name(f"{place.name}.{kind}") for kind in MESH_FORMATS]
            return next((path for path in given if path.is_file()), place.with_suffix(".glb"))
        return place.with_suffix(_SUFFIX.get(stage, ".png"))

    def place(self, stage: str, index: int) -> pathlib.Path:
        """As `path`, with the folder that it lies in, or is, made."""
        path = self.path(stage, index)
        output_directory(path if stage in _FOLDERS else path.parent)
        return path

    def indices(self, stage: str) -> tuple[int, ...]:
        """Pictures that a stage has something of, rising."""
        folder = self.root / stage
        names = {path.name.partition(".")[0] for path in folder.iterdir()} if folder.is_dir() else ()
        return tuple(sorted(int(name) for name in names if re.fullmatch(r"\d+", name)))

    def file(self, stage: str, index: int, name: str) -> pathlib.Path:
        """A file in a picture's folder of `render`, `masks` or `seg`."""
        return self.path(stage, index) / name


def picture_index(prompt: int, view: int = 0) -> int:
    """The number of a prompt's picture: three of each prompt."""
    return len(VIEW_TAGS) * prompt + view


def once(path: pathlib.Path, make: Callable[[], T], read: Callable[[pathlib.Path], T]) -> T:
    """What a stage's file holds: read where it is there, otherwise made, which also writes it.

    Args:
      path: the file, the last one that the stage writes.
      make: makes and writes it.
      read: reads it.
    """
    return read(path) if path.is_file() else make()


def read_prompts(path: PathLike) -> tuple[Prompt, ...]:
    """Reads a table of prompts (CSV with a head; `Description` is required).

    Raises:
      InputError: missing, unreadable, without that column, or a row without a text.
    """
    path = existing_file(path, "table of prompts")
    with reading(path, "a table of prompts"):
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    text, kind, contact = PROMPT_COLUMNS
    if not rows or text not in rows[0]:
        raise InputError(f"{shown(path)} has no column {text!r}; wanted {', '.join(PROMPT_COLUMNS)}")
    prompts = tuple(Prompt(*((row.get(key) or "").strip() for key in (text, kind, contact))) for row in rows)
    empty = [i + 1 for i, prompt in enumerate(prompts) if not prompt.text]
    if empty:
        raise InputError(f"{shown(path)}: row {empty[0]} has no {text}")
    return prompts


def write_prompts(path: PathLike, prompts: Sequence[Prompt]) -> None:
    """Writes a table of prompts."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(PROMPT_COLUMNS)
    writer.writerows((prompt.text, prompt.object, prompt.contact) for prompt in prompts)
    write_text(path, text.getvalue())


def read_picture(path: PathLike) -> UInt8[np.ndarray, "H W C"]:
    """Reads a picture, three channels, or four where it has an alpha channel.

    Raises:
      InputError: missing, damaged, or too large.
    """
    image = _open(path, "picture")
    with reading(path, "a picture"):
        return np.asarray(image.convert("RGBA" if "A" in image.getbands() else "RGB"))


def write_picture(path: PathLike, image: UInt8[np.ndarray, "H W C"]) -> None:
    """Writes a picture as PNG, whole or not at all."""
    _write_png(path, Image.fromarray(np.ascontiguousarray(image, np.uint8)))


def read_mask(path: PathLike) -> Bool[np.ndarray, "H W"]:
    """Reads a mask: above half is inside.

    Raises:
      InputError: missing, damaged, or too large.
    """
    image = _open(path, "mask")
    with reading(path, "a mask"):
        values = np.asarray(image.convert("L"))
    return values > (0 if values.max(initial=0) <= 1 else 127)


def write_mask(path: PathLike, mask: Bool[np.ndarray, "H W"]) -> None:
    """Writes a mask, 0 and 255."""
    _write_png(path, Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))))


def read_depth(path: PathLike, depth_range: tuple[float, float]) -> Float[np.ndarray, "H W"]:
    """Reads a depth picture of 16 bits.

    Args:
      path: the file.
      depth_range: what 0 and 65535 stand for.

    Returns:
      Depth in the range's unit, infinite where nothing is seen (65535), float32.

    Raises:
      InputError: missing, damaged, too large, or of 8 bits.
    """
    image = _open(path, "depth picture")
    with reading(path, "a depth picture"):
        if not image.mode.startswith("I"):
            raise InputError(f"{shown(path)} is of the kind {image.mode}; a depth picture has one channel of 16 bits")
        values = np.asarray(image).astype(np.float64)
    near, far = depth_range
    return np.where(values >= 65535, np.inf, near + (far - near) * values / 65535).astype(np.float32)


def write_depth(path: PathLike, depth: Float[np.ndarray, "H W"], depth_range: tuple[float, float]) -> None:
    """Writes a depth picture of 16 bits: the range's ends are 0 and 65534, nothing (not finite) is 65535."""
    near, far = depth_range
    depth = np.asarray(depth, np.float64)
    seen = np.isfinite(depth)
    values = np.round((np.where(seen, depth, near) - near) / (far - near) * 65535)
    _write_png(path, Image.fromarray(np.where(seen, values.clip(0, 65534), 65535).astype(np.uint16)))


def read_masks(
    folder: PathLike, count: int, size: tuple[int, int]
) -> tuple[Bool[np.ndarray, "2 N H W"], Bool[np.ndarray, "2 N"]]:
    """Reads the masks of a surface's views.

    Args:
      folder: of the stage `masks`.
      count: views, N.
      size: height and width of the views.

    Returns:
      Masks of the human and of the object, empty where there is no file; and which there are.

    Raises:
      InputError: none is there, or one is damaged or of another size.
    """
    folder = pathlib.Path(folder)
    masks, given = np.zeros((2, count, *size), bool), np.zeros((2, count), bool)
    for part, name in enumerate(PARTS):
        for view in range(count):
            path = folder / f"{view:03d}_{name}.png"
            if not path.is_file():
                continue
            mask = read_mask(path)
            if mask.shape != tuple(size):
                raise InputError(f"{shown(path)} has {mask.shape} rows and columns, its view {tuple(size)}")
            masks[part, view], given[part, view] = mask, True
    if not given.any():
        raise InputError(f"{shown(folder)} holds no masks; wanted 000_human.png and 000_object.png for each view")
    return masks, given


def write_masks(folder: PathLike, masks: Bool[np.ndarray, "2 N H W"]) -> None:
    """Writes the masks of all views, human and object."""
    folder = output_directory(folder)
    for part, name in enumerate(PARTS):
        for view, mask in enumerate(masks[part]):
            write_mask(folder / f"{view:03d}_{name}.png", mask)


def read_surface(path: PathLike) -> NamedMesh:
    """Reads the mesh of a stage as one surface, with a colour for each vertex; a texture is baked into it.

    A mesh without colours or texture is plain grey.

    Raises:
      InputError: missing, damaged (a GLB that is cut short), or nothing with faces in it.
    """
    parts = read_scene(pathlib.Path(path))
    starts = np.cumsum([0] + [len(part.vertices) for part in parts])
    colors = [
        np.full(part.vertices.shape, 0.7, np.float32)
        if part.colors is None and part.texture is None
        else vertex_colors([part], bake=True)[0]
        for part in parts
    ]
    return NamedMesh(
        name="surface",
        vertices=np.concatenate([part.vertices for part in parts]),
        faces=np.concatenate([part.faces + start for part, start in zip(parts, starts)]),
        colors=np.concatenate(colors),
    )


def write_surface(path: PathLike, surface: NamedMesh) -> None:
    """Writes a surface as GLB with the colours of its vertices."""
    color = (0.7, 0.7, 0.7) if surface.colors is None else surface.colors
    write_glb(path, [ScenePart(surface.name, surface.vertices, surface.faces, color)])


def read_labels(path: PathLike) -> dict[str, np.ndarray]:
    """The surface that was cut and the label of each of its vertices: `vertices`, `faces`, `labels`.

    Raises:
      InputError: missing, damaged, or arrays that do not fit each other.
    """
    found = {key: np.asarray(value) for key, value in read_npz(path).items()}
    wanted = ("vertices", "faces", "labels")
    if not set(wanted) <= set(found) or found["labels"].shape != found["vertices"].shape[:1]:
        raise InputError(f"{shown(path)} holds {', '.join(found)}; wanted {', '.join(wanted)}, a label for each vertex")
    return {key: found[key] for key in wanted}


def write_labels(path: PathLike, vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray) -> None:
    """Writes a surface with the label of each vertex, 0 human and 1 object."""
    arrays = {"vertices": np.float32(vertices), "faces": np.int32(faces), "labels": np.int8(labels)}
    write_npz(path, arrays)


def _open(path: PathLike, what: str) -> Image.Image:
    path = existing_file(path, what)
    with reading(path, f"a {what}"):
        image = Image.open(path)
        if image.width * image.height > _MOST_PIXELS:
            raise InputError(f"{shown(path)} has {image.width} x {image.height} pixels, more than a view can have")
        image.load()
    return image


def _write_png(path: PathLike, image: Image.Image) -> None:
    data = io.BytesIO()
    image.save(data, "PNG")
    write_bytes(path, data.getvalue())
