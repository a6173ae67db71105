"""Contact by distances after a fit (`hoijax contact --method geometry`) on SynthHOI: the row without learning."""

import pathlib
import tempfile
from typing import Any

import numpy as np
import PIL.Image
import trimesh
from tqdm import tqdm

from hoijax.data.objects import random_object
from hoijax.errors import InputError
from hoijax.io import output_directory, write_npz
from hoijax.jobs.joint_fit import contact_by_distance
from hoijax.jobs.objects import ObjectAsset
from hoijax.jobs.photo_fit import UPRIGHT_COST, fit_photograph, make_fitter
from hoijax.jobs.photographs import Photograph
from hoijax.optim.fitting import ObjectFitConfig

VERTICES = 6900
"""Of the body that is answered."""


def distances_of(samples: list[dict[str, Any]], folder: pathlib.Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Probabilities on the body's vertices and at the object's 64 labelled points, from picture, mask and mesh.

    The focal length is estimated, as for any picture; the person's mask is the networks' own. Where nobody is found or
    nothing is fitted there is no contact.

    Args:
      samples: of SynthHOI.
      folder: where answers are kept; those that are there are not found again. Failures are not kept.

    Raises:
      InputError: no sample at all could be fitted.
    """
    output_directory(folder)
    body, points, failed = [], [], 0
    for sample in tqdm(samples, desc="geometry", disable=None):
        path = folder / f"{sample['key']}.npz"
        if not path.exists():
            try:
                found = _fit(sample)
            except InputError as error:
                failed += 1
                if failed == len(samples):
                    raise InputError(f"no sample could be fitted; the last one: {error}") from error
                tqdm.write(str(error))
                body.append(np.zeros(VERTICES, np.float32))
                points.append(np.zeros(len(sample["object_points"]), np.float32))
                continue
            write_npz(path, {"body": found[0], "object": found[1]})
        with np.load(path, allow_pickle=False) as arrays:
            body.append(arrays["body"])
            points.append(arrays["object"])
    return body, points


def _fit(sample: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    mesh = random_object(sample["category"], int(sample["object_seed"])).mesh
    with tempfile.TemporaryDirectory() as place:
        shape, picture = pathlib.Path(place) / "object.obj", pathlib.Path(place) / f"{sample['key']}.png"
        trimesh.Trimesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), process=False).export(shape)
        PIL.Image.fromarray(sample["image"]).save(picture)
        asset = ObjectAsset.read(shape, None)
        nobody = np.zeros(sample["image"].shape[:2], bool)
        photograph = Photograph(sample["key"], picture, sample["image"], nobody, sample["object_mask"])
        fit = fit_photograph(make_fitter(asset, ObjectFitConfig(upright=UPRIGHT_COST)), photograph)
    return contact_by_distance(fit.vertices, asset.template.sdf, np.asarray(sample["object_points"]), fit.pose)
