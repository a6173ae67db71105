"""`hoijax data show`: the pictures of a contact sheet, one by one."""

import io
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import tqdm
from PIL import Image

from hoijax.body_models import load
from hoijax.cli.data import SYNTH, Show
from hoijax.data.evaluation import open_truth
from hoijax.data.real import DATASETS
from hoijax.data.real.schema import ContactSample
from hoijax.data.sheet import contact_sheet, evenly, existing_image, labelled, parts_of
from hoijax.data.synth import open_split
from hoijax.errors import InputError
from hoijax.io import check_output_file, write_bytes
from hoijax.render.framing import frame_points
from hoijax.viz import NamedMesh, render_views

Cell = tuple[np.ndarray, str] | str
"""Picture and caption, or what is wrong with a sample."""


def show(options: Show) -> int:
    """Writes a contact sheet.

    Args:
      options: of `hoijax data show`.

    Returns:
      0; 1 if some samples could not be shown; each is named.

    Raises:
      InputError: nothing can be shown; nothing is written.
    """
    if options.out.suffix.lower() != ".png":
        raise InputError(f"--out is {options.out}, wanted a name that ends in .png")
    if options.n < 1 or options.cell < 32:
        raise InputError(f"wanted at least one sample of at least 32 pixels, got n {options.n} and cell {options.cell}")
    if options.n > 10_000 or options.cell > 4096 or options.n * options.cell**2 > 400_000_000:
        raise InputError(
            f"a sheet of {options.n} pictures of {options.cell} pixels is too large; wanted at most 400 million in all"
        )
    if not options.out.absolute().parent.is_dir():
        raise InputError(f"the folder {options.out.absolute().parent} is not there")
    check_output_file(options.out)
    cells, left_out = [], []
    samples = _synth_cells(options) if options.name == SYNTH else _real_cells(options)
    for cell in tqdm.tqdm(samples, desc="pictures", unit="picture", total=options.n, disable=None):
        (left_out if isinstance(cell, str) else cells).append(cell)
    if not cells:
        raise InputError(f"none of {len(left_out)} samples can be shown; the first: {left_out[0]}")
    for text in left_out:
        print(f"not shown: {text}", file=sys.stderr)
    picture = io.BytesIO()
    Image.fromarray(contact_sheet(cells, cell=options.cell)).save(picture, "PNG", optimize=True)
    write_bytes(options.out, picture.getvalue())
    print(f"{len(cells)} samples: {options.out}")
    return 1 if left_out else 0


def _synth_cells(options: Show) -> Iterator[Cell]:
    samples = open_split(options.root, options.split)
    return (labelled(samples[i]) for i in evenly(len(samples), options.n))


def _real_cells(options: Show) -> Iterator[Cell]:
    """Picture and caption of each sample, or what is wrong with it."""
    source = open_truth(options.name, root=options.root, split=options.split, body_model=options.body_model)
    keys = [source.ids[i] for i in evenly(len(source.ids), options.n)]
    if DATASETS[options.name].kind is ContactSample:
        yield from _contact_cells(options, keys)
        return
    down = options.up == "-y" or (options.up == "auto" and options.name != "imhd")
    turn = np.diag([1.0, -1.0, -1.0]) if down else np.eye(3)
    for key in keys:
        try:
            parts = parts_of(source.load(key))
        except (InputError, OSError) as error:
            yield f"{key}: {error}"
            continue
        yield _picture([NamedMesh(name, vertices @ turn.T, faces) for name, vertices, faces in parts], options), key


def _contact_cells(options: Show, keys: Sequence[str]) -> Iterator[Cell]:
    """Images where they are on disk; else the contact labels on the body at rest."""
    dataset = DATASETS[options.name]
    index = dataset.scan(options.root)
    items = {item.key: item for item in index.items}
    model = None if options.body_model is None else load(options.body_model, flat_hand_mean=True)
    for key in keys:
        try:
            sample = dataset.read(index, items[key])
            image = existing_image(options.root, sample.image)
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
            yield _picture([rest], options), caption
        else:
            hint = "" if label is None else "; --body-model with its body would show the labels on that"
            yield f"{key}: the image {sample.image} is not on disk{hint}"


def _picture(scene: Sequence[NamedMesh], options: Show) -> np.ndarray:
    points = np.concatenate([mesh.vertices for mesh in scene])
    azimuth, elevation = np.radians(np.array([[30.0], [14.0]], np.float32))
    rig = frame_points(points, azimuth=azimuth, elevation=elevation, image_size=(options.cell, options.cell))
    return render_views(scene, rig)[0]
