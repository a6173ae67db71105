"""The training pictures of an annotation: the views of HOI3DGen of every record that was taken, as a job."""

import functools
import io
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from hoijax.body_models import FREE_BODY_PALETTE, free_body_colors
from hoijax.errors import InputError
from hoijax.io import value_digest, write_bytes
from hoijax.io.reading import reason
from hoijax.jobs.annotation_request import AnnotationRequest
from hoijax.jobs.engine import Item, Job, Watch
from hoijax.nets.sana import VIEWS
from hoijax.systems.hoi3dgen.annotation import (
    PosedSample,
    SampleSource,
    open_samples,
    person_rig,
    render_sample,
)
from hoijax.systems.hoi3dgen.annotation.colors import COLORS

_WORN = {"top": "shirt", "bottom": "trousers", "hair": "hair", "shoes": "shoes"}
"""Field of a person's looks to region of the free body."""


def picture_name(key: str, tag: str) -> str:
    """The file of a view of a record, in the folder `images`."""
    return f"{re.sub(r'[^A-Za-z0-9.-]+', '_', key)}_{tag.replace(' ', '_')}.png"


def view_rows(key: str) -> list[dict[str, Any]]:
    """What a record says of its pictures."""
    return [
        {"tag": tag, "azimuth_deg": azimuth, "image": f"images/{picture_name(key, tag)}"}
        for tag, azimuth in VIEWS.items()
    ]


def prepare_views(request: AnnotationRequest) -> Job:
    """One item per record that was taken; reads them from the folder of the annotation.

    Raises:
      InputError: nothing was taken yet.
    """
    path = request.out / "selected.jsonl"
    try:
        records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {reason(error)}") from error
    source = open_samples(request.dataset, request.root, split=request.split, body_model=request.body_model)
    items = tuple(
        Item(
            name=record["id"], folder=request.out / "images",
            record=picture_name(record["id"], "views").removesuffix(".png") + ".json",
            key=value_digest([record["appearance"], source.stamp(record["id"]), request.views]),
            files=tuple(picture_name(record["id"], tag) for tag in VIEWS), inputs=record,
        )
        for record in records
    )  # fmt: skip
    return Job(items, functools.partial(_compute, source, request.views), _write, units="records")


def colors_of(record: dict[str, Any], sample: PosedSample) -> dict[str, np.ndarray]:
    """Colours of person and object as the record's words say them, where they are known."""
    colors = {}
    if sample.model.kind == "free":
        palette = {}
        for field, region in _WORN.items():
            color = _color(record["appearance"]["person"].get(field))
            palette |= {} if color is None else {region: color}
        if "hair" in palette:
            palette["brows"] = palette["hair"]
        assert set(palette) <= set(FREE_BODY_PALETTE)
        colors["person"] = free_body_colors("default", palette)[: sample.model.num_vertices]
    color = _color(record["appearance"]["object"].get("colour"))
    if color is not None:
        colors["object"] = np.asarray(color, np.float32)
    return colors


def _color(words: str | None) -> tuple[float, float, float] | None:
    """The longest name of a colour that some words begin with, or hold."""
    text = (words or "").lower()
    known = [name for name in COLORS if re.search(rf"\b{name}\b", text)]
    return None if not known else tuple(c / 255 for c in COLORS[max(known, key=len)])


def _compute(
    source: SampleSource, size: int, batch: Sequence[Item], watch: Watch
) -> list[list[np.ndarray] | InputError]:
    results: list[list[np.ndarray] | InputError] = []
    for item in batch:
        watch(0.0, "pictures")
        try:
            sample = source.load(item.name)
            colors = colors_of(item.inputs, sample)
            results.append(render_sample(sample, person_rig(sample, size=size), colors=colors))
        except InputError as error:
            results.append(error)
    return results


def _write(item: Item, pictures: list[np.ndarray]) -> dict[str, Any]:
    for name, picture in zip(item.files, pictures, strict=True):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG", optimize=True)
        write_bytes(item.folder / name, file.getvalue())
    return {"text": item.inputs["text"], "views": list(VIEWS)}
