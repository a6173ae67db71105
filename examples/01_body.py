"""A body: pose it, measure it, differentiate through it, draw it.

The free body has SMPL-H's 52 joints and 10 betas, is CC0 and comes with hoijax. SMPL's own files load with
`hoijax.body_models.load` and go through the same functions.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from hoijax import viz
from hoijax.body_models import BodyParams, contact_regions, free_body, named_pose, pose_body


def main(out: pathlib.Path = pathlib.Path("examples_out/01"), small: bool = False) -> dict:
    """Sits a body down and asks how its height follows its shape."""
    model = free_body("test" if small else "default")
    params = BodyParams.from_axis_angle(model, **named_pose("sit"), betas=jnp.zeros(10))
    body = jax.jit(pose_body)(model, params)  # vertices (V, 3), joints (52, 3), metres, y up

    def height(betas: jax.Array) -> jax.Array:
        standing = BodyParams.from_axis_angle(model, betas=betas)
        return jnp.ptp(pose_body(model, standing).vertices[:, 1])

    tall, slope = jax.jit(jax.value_and_grad(height))(jnp.zeros(10))
    print(f"standing {tall:.2f} m; the first beta adds {100 * slope[0]:.1f} cm")

    colors = np.full((model.num_vertices, 3), 0.75)
    colors[contact_regions(model)["seat"]] = [0.8, 0.25, 0.2]  # where people sit
    out.mkdir(parents=True, exist_ok=True)
    scene = [viz.NamedMesh("body", np.asarray(body.vertices), np.asarray(model.faces), colors)]
    viz.write_views(out / "sitting.png", scene, views=2, size=96 if small else 384)
    return {"height": float(tall), "slope": np.asarray(slope)}


if __name__ == "__main__":
    tyro.cli(main)
