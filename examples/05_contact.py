"""Contact and penetration: what a loss sees, what a metric measures, where body and object touch."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import trimesh
import tyro

from hoijax import viz
from hoijax.body_models import BodyParams, contact_regions, free_body, named_pose, pose_body
from hoijax.geometry import Mesh, RigidPose, transform_points, winding_number
from hoijax.interaction import make_template, object_sdf


def main(out: pathlib.Path = pathlib.Path("examples_out/05"), small: bool = False) -> dict:
    """Sits a body 1 cm deep in a stool, measures that, and colours the vertices that touch."""
    model = free_body("test" if small else "default")
    body = pose_body(model, BodyParams.from_axis_angle(model, **named_pose("sit")))
    seat = np.asarray(body.vertices)[contact_regions(model)["seat"]]
    top, middle = seat[:, 1].min() + 0.01, seat[:, 2].mean()
    box = trimesh.creation.box((0.4, 0.4, 0.4))
    stool = Mesh(box.vertices.astype(np.float32), box.faces)
    pose = RigidPose.identity().replace(translation=jnp.array([0.0, top - 0.2, middle], jnp.float32))

    template = make_template(stool, resolution=32 if small else 96)  # once per mesh, on the host
    distance = jax.jit(object_sdf)(template.sdf, pose, body.vertices)  # (V,), positive outside, differentiable
    touching = np.asarray(abs(distance)) < 0.02
    placed = Mesh(np.asarray(transform_points(pose, stool.vertices)), stool.faces)
    exact = winding_number(body.vertices, placed) > 0.5
    depth = -float(distance.min())
    print(f"{touching.sum()} vertices touch, {int(exact.sum())} are inside, {100 * depth:.1f} cm deep")

    colors = np.where(touching[:, None], [0.85, 0.12, 0.1], [0.78, 0.78, 0.8])
    out.mkdir(parents=True, exist_ok=True)
    scene = [
        viz.NamedMesh("body", np.asarray(body.vertices), np.asarray(model.faces), colors),
        viz.NamedMesh("object", placed.vertices, placed.faces, None),
    ]
    viz.write_views(out / "contact.png", scene, views=2, size=96 if small else 384)
    return {"touching": int(touching.sum()), "depth": depth, "inside": int(exact.sum())}


if __name__ == "__main__":
    tyro.cli(main)
