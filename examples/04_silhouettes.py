"""Pose from outlines: the renderer's gradients move an object until its silhouettes fit two pictures."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from PIL import Image

from hoijax import render
from hoijax.data.objects import make_object
from hoijax.geometry import rotation_from_axis_angle


def main(out: pathlib.Path = pathlib.Path("examples_out/04"), small: bool = False) -> dict:
    """Recovers a chair's turn and place from 20 degrees and 10 cm off."""
    size, steps = (32, 30) if small else (64, 200)
    mesh = make_object("chair").mesh
    vertices, faces = jnp.asarray(mesh.vertices, jnp.float32), jnp.asarray(mesh.faces)
    rig = render.frame_points(
        vertices, azimuth=np.array([0.4, 1.9]), elevation=np.array([0.3, 0.2]), image_size=(size, size)
    )

    def outlines(pose: jax.Array, blur: float) -> jax.Array:
        moved = vertices @ rotation_from_axis_angle(pose[:3]).T + pose[3:]
        views = [render.soft_silhouette(moved, faces, rig.camera(view), blur=blur) for view in range(2)]
        return jnp.stack(views)

    target = outlines(jnp.zeros(6), 1.0)
    optimiser = optax.adam(optax.cosine_decay_schedule(0.02, steps))

    @jax.jit
    def step(pose: jax.Array, state: optax.OptState):
        value, slope = jax.value_and_grad(lambda x: jnp.mean((outlines(x, 2.0) - target) ** 2))(pose)
        change, state = optimiser.update(slope, state)
        return optax.apply_updates(pose, change), state, value

    start = pose = jnp.array([0.0, np.radians(20.0), 0.0, 0.1, 0.0, 0.0], jnp.float32)
    state = optimiser.init(pose)
    for _ in range(steps):
        pose, state, _ = step(pose, state)
    degrees, shift = np.degrees(jnp.linalg.norm(pose[:3])), 1000 * jnp.linalg.norm(pose[3:])
    print(f"off by {degrees:.2f} degrees and {shift:.1f} mm")
    out.mkdir(parents=True, exist_ok=True)
    pictures = np.hstack([np.asarray(outlines(p, 1.0)[0]) for p in (start, pose, jnp.zeros(6))])
    Image.fromarray(np.uint8(255 * pictures)).save(out / "outlines.png")
    return {"degrees": float(degrees), "mm": float(shift)}


if __name__ == "__main__":
    tyro.cli(main)
