"""Says which vertices of a person and an object touch in a photograph.

The person is found and fitted, the object is laid over its mask, and the light contact network says what touches; or
distances between the two do (--method geometry), or the small InteractVLM (--method interactvlm).
contact.npz is what `hoijax refine --contacts` and `hoijax fit --contacts` take; contact.glb shows both surfaces,
contact.png the four canonical views, metrics.json names the parts. Folders of pictures work as with `hoijax
reconstruct`. docs/interactvlm.md has the rest.
"""

import dataclasses
import pathlib
from typing import Literal

from hoijax.cli.cache import grid_folder
from hoijax.cli.photographs import check_photograph
from hoijax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax contact`."""

    image: pathlib.Path
    """A picture, or a folder of pictures of one object."""
    label: str
    """What the object is: "chair", "tennis racket"."""
    out: pathlib.Path
    """Folder for the results."""
    object: pathlib.Path | None = None
    """The object's mesh."""
    method: Literal["geometry", "network", "interactvlm"] = "network"
    """How: network asks the light contact network, which reads landmarks, mask, label and mesh; geometry takes
    distances between the fitted body and the object over its mask; interactvlm asks the small InteractVLM in words,
    which reads the crop about the person and views of both surfaces."""
    weights: pathlib.Path | None = None
    """Weights of the network, of hoijax.experiments.interactvlm.light or .small; without it the shipped ones."""
    object_mask: pathlib.Path | None = None
    """Mask of the object, bright where it is seen; a folder with a folder of pictures."""
    human_mask: pathlib.Path | None = None
    """Mask of the person, likewise; without it the networks' own."""
    instances: pathlib.Path | None = None
    """Instead of both masks, a PNG of numbers: person 1, object 2; likewise."""
    focal: float | None = None
    """Focal length in pixels; without it the picture's EXIF entries, or else a guess."""
    size_std: float = 0.1
    """How well the mesh's size is known: 0.3 suits a stand-in."""
    units: Literal["m", "cm", "mm", "in"] | None = None
    """Unit of the mesh; without it metres, refused if the size cannot be."""
    pictures: int = 4
    """How many pictures get a section of report.html."""
    strict: bool = False
    """Exit with 1 if a fit agrees badly with its picture."""
    redo: bool = False
    """Look again at what is finished."""


def run(options: Options) -> int:
    """Checks everything, looks, writes.

    Args:
      options: see `Options`.

    Returns:
      0; 1 if some pictures of a folder could not be used, or, with --strict, were fitted badly.

    Raises:
      InputError: nothing can be looked at; raised before anything is written.
    """
    from hoijax.io import check_output_directory

    if options.object is None:
        raise InputError(f"--method {options.method} answers on the object's surface: give its mesh with --object")
    if options.weights is not None and options.method == "geometry":
        raise InputError("--weights is for --method network or interactvlm")
    if options.pictures < 0:
        raise InputError(f"--pictures {options.pictures}: wanted 0 or more")
    check_photograph(options.focal, options.size_std)
    check_output_directory(options.out)
    from hoijax.jobs.contact_map import ContactRequest, find_contacts

    asked = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    shared = {k: v for k, v in asked.items() if k not in ("pictures", "strict", "redo")}
    request = ContactRequest(**shared, cache=grid_folder(), options=asked)
    failures, poor = find_contacts(request, pictures=options.pictures, redo=options.redo)
    return 1 if failures or (options.strict and poor) else 0
