"""Writes a result for other programs: an animated GLB, a BVH, another method's keys, or a report part by part.

RESULT is a refined.npz or its folder; rows, or folders in the order of their names, are frames. docs/export.md says
what each format keeps and what is lost.
"""

import dataclasses
import pathlib
from typing import Annotated, Literal

import tyro


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax export`."""

    result: tyro.conf.Positional[pathlib.Path]
    """A refined.npz of `hoijax refine`, its folder, or the folder of a batch; a body's file of docs/sources.md too."""
    out: pathlib.Path
    """The file to write: .glb, .bvh, .npz, or .txt of a report."""
    format: Literal["glb", "bvh", "npz", "report"] | None = None
    """What is written; without it what the name of OUT says."""
    fps: float = 30.0
    """Frames per second."""
    row: int | None = None
    """One row alone, counted from 0; without it every row is a frame."""
    body_model: pathlib.Path | None = None
    """SMPL, SMPL-H or SMPL-X file that the parameters belong to; without it the one of the result's record, or the free
    body."""
    hands: Literal["flat", "mean"] | None = None
    """What a hand pose of zero is; without it as in the result's record, or flat."""
    lod: Literal["default", "render", "light", "test"] | None = None
    """Level of detail of the free body; without it that of the record."""
    object: pathlib.Path | None = None
    """The object's mesh; without it the one of the record."""
    units: Literal["m", "cm", "mm", "in"] | None = None
    """Unit of the mesh; without it that of the record."""
    object_up: str | None = None
    """Which way is up in the mesh's file; without it as in the record."""
    up: str | None = None
    """Which way is up in the result, which +y becomes in GLB and BVH; without it what the file or the record says, or
    +y."""
    method: Annotated[str | None, tyro.conf.arg(name="as")] = None
    """Of .npz, whose keys: hoijax, amass, hmr2, tram, smplest-x, pico, open3dhoi, interact-object."""
    influences: Literal[4, 8] | None = None
    """Of GLB, how many joints move a vertex; some viewers know no more than 4. Without it 4, or 8 where that brings the
    skin nearer by a millimetre."""
    colors: Literal["contact", "plain"] = "contact"
    """Of GLB, the body's colours: by its distance to the object, or its own."""
    length: Literal["cm", "m"] = "cm"
    """Of BVH, the unit of length."""


def run(options: Options) -> int:
    """Reads the result and writes the file.

    Args:
      options: see `Options`.

    Returns:
      0.

    Raises:
      InputError: the result cannot be read, or does not hold what the file needs; nothing is written then.
    """
    from hoijax.errors import InputError
    from hoijax.io import check_output_file
    from hoijax.jobs.export_result import ExportRequest
    from hoijax.jobs.exports import FORMATS, export

    suffixes = {suffix: name for name, suffix in FORMATS.items()}
    kind = options.format or suffixes.get(options.out.suffix.lower())
    if kind is None:
        raise InputError(f"--out {options.out}: wanted a name that ends in {', '.join(suffixes)}")
    check_output_file(options.out)
    asked = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    for line in export(ExportRequest(**asked | {"format": kind})):
        print(line)
    return 0
