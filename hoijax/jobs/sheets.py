"""Contact sheets of datasets: the pictures of some samples, one by one."""

import dataclasses
import io
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import tqdm
from PIL import Image

from hoijax.body_models import load
from hoijax.data.evaluation import open_truth
from hoijax.data.real import DATASETS
from hoijax.data.real.schema import ContactSample
from hoijax.data.sheet import annotate, contact_sheet, existing_image, parts_of, spread_indices
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.io import check_output_file, write_bytes
from hoijax.render.framing import frame_points
from hoijax.viz import NamedMesh, render_views

Cell = tuple[np.ndarray, str] | str
"""Picture and caption, or what is wrong with a sample."""


SYNTH = "synth_hoi"
"""The name of SynthHOI among datasets."""


@dataclasses.dataclass(frozen=True)
class SheetRequest:
    """Which samples of which dataset a sheet shows."""

    name: str
    """The dataset."""
    root: pathlib.Path
    """Where it lies."""
    out: pathlib.Path
    """The sheet, .png."""
    split: str
    """Split to take samples from, spread over all of it."""
    n: int
    """How many samples."""
    body_model: pathlib.Path | None
    """File or folder of the body that the dataset's parameters belong to."""
    up: str
    """"auto", "+y" or "-y": which way is up in the dataset's frame."""
    cell: int
    """Side of each picture, pixels."""


def write_sheet(request: SheetRequest) -> int:
    """Writes a contact sheet; each sample that cannot be shown is named.

    Args:
      request: what to show.

    Returns:
      How many samples could not be shown.

    Raises:
      InputError: nothing can be shown; nothing is written.
    """
    if request.out.suffix.lower() != ".png":
        raise InputError(f"--out is {request.out}, wanted a name that ends in .png")
    if request.n < 1 or request.cell < 32:
        raise InputError(f"wanted at least one sample of at least 32 pixels, got n {request.n} and cell {request.cell}")
    if request.n > 10_000 or request.cell > 4096 or request.n * request.cell**2 > 400_000_000:
        raise InputError(
            f"a sheet of {request.n} pictures of {request.cell} pixels is too large; wanted at most 400 million in all"
        )
    if not request.out.absolute().parent.is_dir():
        raise InputError(f"the folder {request.out.absolute().parent} is not there")
    check_output_file(request.out)
    cells, left_out = [], []
    samples = _synth_cells(request) if request.name == SYNTH else _real_cells(request)
    for cell in tqdm.tqdm(samples, desc="pictures", unit="picture", total=request.n, disable=None):
        (left_out if isinstance(cell, str) else cells).append(cell)
    if not cells:
        raise InputError(f"none of {len(left_out)} samples can be shown; the first: {left_out[0]}")
    for text in left_out:
        print(f"not shown: {text}", file=sys.stderr)
    picture = io.BytesIO()
    Image.fromarray(contact_sheet(cells, cell=request.cell)).save(picture, "PNG", optimize=True)
    write_bytes(request.out, picture.getvalue())
    print(f"{len(cells)} samples: {request.out}")
    return len(left_out)


def _synth_cells(request: SheetRequest) -> Iterator[Cell]:
    samples = open_split(request.root, request.split)
    return (annotate(samples[i]) for i in spread_indices(len(samples), request.n))


def _real_cells(request: SheetRequest) -> Iterator[Cell]:
    """Picture and caption of each sample, or what is wrong with it."""
    source = open_truth(request.name, root=request.root, split=request.split, body_model=request.body_model)
    keys = [source.ids[i] for i in spread_indices(len(source.ids), request.n)]
    if DATASETS[request.name].kind is ContactSample:
        yield from _contact_cells(request, keys)
        return
    down = request.up == "-y" or (request.up == "auto" and request.name != "imhd")
    turn = np.diag([1.0, -1.0, -1.0]) if down else np.eye(3)
    for key in keys:
        try:
            parts = parts_of(source.load(key))
        except (InputError, OSError) as error:
            yield f"{key}: {error}"
            continue
        yield _picture([NamedMesh(name, vertices @ turn.T, faces) for name, vertices, faces in parts], request), key


def _contact_cells(request: SheetRequest, keys: Sequence[str]) -> Iterator[Cell]:
    """Images where they are on disk; else the contact labels on the body at rest."""
    dataset = DATASETS[request.name]
    index = dataset.scan(request.root)
    items = {item.key: item for item in index.items}
    model = None if request.body_model is None else load(request.body_model, flat_hand_mean=True)
    for key in keys:
        try:
            sample = dataset.read(index, items[key])
            image = existing_image(request.root, sample.image)
        except (InputError, OSError) as error:
            yield f"{key}: {error}"
            continue
        label = sample.body_contact
        caption = f"{key} {sample.object_name} {sample.affordance}"
        caption += "" if label is None else f"\n{int(label.sum())} vertices in contact"
        if image is not None:
            yield image, caption
        elif model is not None and label is not None and len(label) == model.num_vertices:
            colors = np.where(np.asarray(label, bool)[:, None], (0.9, 0.2, 0.15), (0.75, 0.78, 0.82))
            rest = NamedMesh("body", np.asarray(model.v_template), np.asarray(model.faces), colors)
            yield _picture([rest], request), caption
        else:
            hint = "" if label is None else "; --body-model with its body would show the labels on that"
            yield f"{key}: the image {sample.image} is not on disk{hint}"


def _picture(scene: Sequence[NamedMesh], request: SheetRequest) -> np.ndarray:
    points = np.concatenate([mesh.vertices for mesh in scene])
    azimuth, elevation = np.radians(np.array([[30.0], [14.0]], np.float32))
    rig = frame_points(points, azimuth=azimuth, elevation=elevation, image_size=(request.cell, request.cell))
    return render_views(scene, rig)[0]
