"""Your own energy on hoijax's parts: jitted, vmapped over a batch, on whatever devices there are.

Sixty-four bodies reach for the same cup with their right hands; nothing here is a refiner of hoijax's.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import trimesh
import tyro

from hoijax import viz
from hoijax.body_models import BodyParams, free_body, keypoints, pose_body

CUP = np.array([-0.35, 0.25, 0.35], np.float32)
"""In the body's frame: to the right, in front, above the pelvis; metres."""


def main(out: pathlib.Path = pathlib.Path("examples_out/12"), count: int = 64, small: bool = False) -> dict:
    """Minimises distance to the cup plus the size of the pose, for all bodies at once."""
    model = free_body("test")
    count, steps = (4, 40) if small else (count, 150)
    starts = 0.2 * jax.random.normal(jax.random.key(0), (count, 63))

    def reach(pose: jax.Array) -> jax.Array:
        body = pose_body(model, BodyParams.from_axis_angle(model, body_pose=pose))
        return jnp.linalg.norm(keypoints(model, body, ["right_index"])[0] - CUP)

    optimiser = optax.adam(0.03)

    def solve(pose: jax.Array) -> tuple[jax.Array, jax.Array]:
        def step(carry, _):
            pose, state = carry
            slope = jax.grad(lambda p: reach(p) + 0.01 * jnp.sum(p**2))(pose)
            change, state = optimiser.update(slope, state)
            return (optax.apply_updates(pose, change), state), None

        (pose, _), _ = jax.lax.scan(step, (pose, optimiser.init(pose)), length=steps)
        return pose, reach(pose)

    poses, distances = jax.jit(jax.vmap(solve))(starts)  # one program for all; shard `starts` for many devices
    before, after = float(jax.vmap(reach)(starts).mean()), float(distances.mean())
    print(f"{count} hands come from {100 * before:.0f} cm to {100 * after:.1f} cm from the cup")
    out.mkdir(parents=True, exist_ok=True)
    np.savez(out / "poses.npz", poses=poses)
    cup = trimesh.creation.icosphere(subdivisions=2, radius=0.04)
    scenes = []
    for pose in (starts[0], poses[0]):
        body = pose_body(model, BodyParams.from_axis_angle(model, body_pose=pose))
        scenes.append([
            viz.NamedMesh("body", np.asarray(body.vertices), np.asarray(model.faces)),
            viz.NamedMesh("object", cup.vertices + CUP, cup.faces),
        ])  # fmt: skip
    viz.write_comparison(out / "before_after.png", *scenes, size=64 if small else 384)
    return {"distances": np.asarray(distances)}


if __name__ == "__main__":
    tyro.cli(main)
