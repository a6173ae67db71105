"""Fits body and object together: a picture and a mesh go in, both in the camera's frame come out, in contact.

The person is found and fitted (or --body gives them), the object is laid over its mask, and then contact, masks, the
order in depth and penetration move both. --contacts takes per-vertex probabilities (hoijax contact, InteractVLM,
DECO, ...); without it distances say what touches. --object may be a folder: the mesh whose name has --label's words and
whose silhouette fits best is taken. Folders of pictures work as with `hoijax reconstruct`. docs/interactvlm.md has the
rest.
"""

import dataclasses
import pathlib
from typing import Literal

from hoijax.cli.cache import grid_folder
from hoijax.cli.photographs import check_photograph
from hoijax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax fit`."""

    image: pathlib.Path
    """A picture, or a folder of pictures."""
    object: pathlib.Path
    """The object's mesh, or a folder of meshes to choose from."""
    out: pathlib.Path
    """Folder for the results."""
    label: str | None = None
    """With a folder of meshes, what the object is: "chair", "tennis racket"."""
    clip: pathlib.Path | None = None
    """With a folder of meshes, weights of CLIP (hoijax convert clip_l), by which they are ranked too."""
    contacts: pathlib.Path | None = None
    """File of contacts; with a folder of pictures, a folder of files of the same names. Without it, by distances."""
    contacts_of: str | None = None
    """Which object of a file of contacts with several."""
    body: pathlib.Path | None = None
    """Estimate of the body in the camera's frame; likewise. Without it the person of the picture is fitted."""
    body_model: pathlib.Path | None = None
    """With --body, the file of SMPL, SMPL-H or SMPL-X that it belongs to; without it the free body."""
    preset: Literal["joint", "released", "pico"] = "joint"
    """How: hoijax's own; InteractVLM's single stage as released; PICO's three phases on paired points."""
    object_mask: pathlib.Path | None = None
    """Mask of the object, bright where it is seen; a folder with a folder of pictures."""
    human_mask: pathlib.Path | None = None
    """Mask of the person, likewise; without it the networks' own."""
    instances: pathlib.Path | None = None
    """Instead of both masks, a PNG of numbers: person 1, object 2; likewise."""
    focal: float | None = None
    """Focal length in pixels; without it that of --body, the picture's EXIF entries, or a guess."""
    size_std: float = 0.1
    """How well the mesh's size is known, a share of it: 0.3 suits a stand-in."""
    units: Literal["m", "cm", "mm", "in"] | None = None
    """Unit of the mesh; without it metres, refused if the size cannot be."""
    pictures: int = 4
    """How many pictures get a section of report.html."""
    strict: bool = False
    """Exit with 1 if an answer agrees badly with its picture."""
    redo: bool = False
    """Fit again what is finished."""


def run(options: Options) -> int:
    """Checks everything, fits, writes.

    Args:
      options: see `Options`.

    Returns:
      0; 1 if some pictures of a folder could not be used, or, with --strict, were fitted badly.

    Raises:
      InputError: nothing can be fitted; raised before anything is written.
    """
    from hoijax.io import check_output_directory

    if options.pictures < 0:
        raise InputError(f"--pictures {options.pictures}: wanted 0 or more")
    check_photograph(options.focal, options.size_std)
    if options.label is not None and not options.object.is_dir():
        raise InputError(f"--label {options.label} chooses among a folder of meshes; {options.object} is not one")
    if options.clip is not None and not options.object.is_dir():
        raise InputError(f"--clip ranks a folder of meshes; {options.object} is not one")
    if options.body_model is not None and options.body is None:
        raise InputError("--body-model says what --body belongs to; give that too")
    if options.contacts_of is not None and options.contacts is None:
        raise InputError("--contacts-of chooses in a file of contacts; give --contacts too")
    check_output_directory(options.out)
    from hoijax.jobs.joint_fits import JointRequest, fit_jointly

    asked = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    shared = {k: v for k, v in asked.items() if k not in ("pictures", "strict", "redo")}
    request = JointRequest(**shared, cache=grid_folder(), options=asked)
    failures, poor = fit_jointly(request, pictures=options.pictures, redo=options.redo)
    return 1 if failures or (options.strict and poor) else 0
