"""From a picture, a mesh and its mask to body and object. Without `--image` a picture is drawn.

A drawing is harder for the networks than a photograph: they have learned from photographs alone.
"""

import json
import pathlib

import jax.numpy as jnp
import numpy as np
import trimesh
import tyro
from PIL import Image

from hoijax import cli, render, viz
from hoijax.body_models import BodyParams, free_body, named_pose, pose_body
from hoijax.data.objects import make_object
from hoijax.viz.figures import render_views


def draw(out: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
    """A picture of somebody beside a chair, the chair's mesh and its mask."""
    model, chair = free_body(), make_object("chair").mesh
    body = pose_body(model, BodyParams.from_axis_angle(model, **named_pose("stand")))
    person = np.asarray(body.vertices) - [0, float(body.vertices[:, 1].min()), 0]
    thing = np.asarray(chair.vertices) - [0, chair.vertices[:, 1].min(), 0] + [0.75, 0, 0]
    scene = [
        viz.NamedMesh("body", person, np.asarray(model.faces), None),
        viz.NamedMesh("object", thing, chair.faces, None),
    ]
    points = np.concatenate([person, thing])
    rig = render.frame_points(points, azimuth=np.array([0.3]), elevation=np.array([0.1]))
    faces = np.concatenate([model.faces, chair.faces + len(person)])
    seen = np.asarray(render.rasterize(jnp.asarray(points, jnp.float32), jnp.asarray(faces), rig.camera(0)).face_id)
    image, mask, mesh = out / "picture.png", out / "mask.png", out / "chair.obj"
    Image.fromarray(render_views(scene, rig)[0]).save(image)
    Image.fromarray(np.uint8(255 * (seen >= len(model.faces)))).save(mask)
    trimesh.Trimesh(chair.vertices, chair.faces, process=False).export(mesh)
    return image, mesh, mask


def main(
    out: pathlib.Path = pathlib.Path("examples_out/06"),
    image: pathlib.Path | None = None,
    object: pathlib.Path | None = None,
    mask: pathlib.Path | None = None,
    small: bool = False,
) -> dict:
    """Runs `hoijax reconstruct` and reads what it says of the fit."""
    out.mkdir(parents=True, exist_ok=True)
    if image is None:
        image, object, mask = draw(out)
    options = {
        "image": image,
        "object": object,
        "object-mask": mask,
        "pictures": 0 if small else 1,
        "out": out / "result",
    }
    code = cli.main(["reconstruct", *(word for name, value in options.items() for word in (f"--{name}", str(value)))])
    return {"code": code, "record": json.loads((out / "result" / "metrics.json").read_text()) if code == 0 else None}


if __name__ == "__main__":
    tyro.cli(main)
