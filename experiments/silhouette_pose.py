"""The 6-DoF pose of a rigid object from its silhouettes in two views.

    python -m hoijax.experiments.silhouette_pose

An asymmetric object of half a metre, at random orientations, is seen by two cameras a quarter turn apart. What is given
is the share of each pixel that it covers (8 x 8 hard passes per pixel, so the target is not drawn by the code that is
fitted). Each start is turned by exactly 20 degrees about a random axis and shifted by exactly 10 cm in a random
direction. The pose is found by Adam on the squared difference between the antialiased mask and the target, both blurred
by a Gaussian that narrows from eight pixels to half a pixel; all starts run as one batch.

A start succeeds if the rotation is within 1 degree and the centre within 5 mm in the end. Writes
`silhouette_pose.json` and `.md` to `--out`. Expected: at least 95 of 100; under a minute on two cores.
"""

import dataclasses
import os
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import trimesh
import tyro
from jax import lax
from tqdm import tqdm

from hoijax.camera import Camera, intrinsics_from_fov, look_at
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, page, settings_of, table, write_page
from hoijax.geometry import einsum, random_rotation, rotation_angle, rotation_from_axis_angle
from hoijax.io import output_directory
from hoijax.render import antialias, edge_neighbours, rasterize

FINE = 8  # hard passes per pixel and axis in a target


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written whole next to the results."""

    starts: int = 100
    """Random starts, each with a true orientation of its own."""
    size: int = 64
    """Side of the square images, pixels."""
    turn: float = 20.0
    """Angle between a start and the truth, degrees."""
    shift: float = 0.1
    """Distance between a start and the truth, metres."""
    steps: int = 200
    """Steps of Adam."""
    rate: float = 0.03
    """Step size of the rotation, radians; of the shift, 0.5 m times that; both fall to a hundredth along a cosine."""
    blur: tuple[float, float] = (8.0, 0.5)
    """Standard deviation of the Gaussian at the first and at the last step, pixels."""
    largest_turn: float = 1.0
    """A success is within this, degrees."""
    largest_shift: float = 0.005
    """A success is within this, metres."""
    seed: int = 0
    """Of orientations and starts."""
    out: pathlib.Path = RESULTS
    """Folder of silhouette_pose.json and silhouette_pose.md."""


def object_mesh() -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3), metres, about the centre of their box, and faces: three bars on a slab, without a symmetry."""
    bars = [
        ((0.36, 0.08, 0.22), (0.0, 0.0, 0.0)),
        ((0.08, 0.34, 0.07), (0.14, 0.19, 0.06)),
        ((0.07, 0.10, 0.26), (-0.12, 0.06, -0.15)),
        ((0.05, 0.16, 0.05), (-0.15, -0.10, 0.08)),
    ]
    parts = [trimesh.creation.box(size, trimesh.transformations.translation_matrix(at)) for size, at in bars]
    mesh = trimesh.util.concatenate(parts)
    return (mesh.vertices - mesh.bounds.mean(0)).astype(np.float32), mesh.faces.astype(np.int32)


def cameras(size: int) -> Camera:
    """Two cameras 1.6 m from the origin, a quarter turn apart and a little above it."""
    eyes = jnp.asarray([[1.1, 0.4, 1.1], [-1.1, 0.3, 1.1]], jnp.float32)
    poses = look_at(eyes, jnp.zeros_like(eyes))
    intrinsics = intrinsics_from_fov(0.6, (size, size)).astype(jnp.float32)
    return Camera(jnp.broadcast_to(intrinsics, (2, 3, 3)), poses, (size, size))


def place(vertices: jax.Array, rotation: jax.Array, shift: jax.Array) -> jax.Array:
    """The object's vertices in the world."""
    return einsum("ij,nj->ni", rotation, vertices) + jnp.broadcast_to(shift, vertices.shape)


def coverage(vertices: jax.Array, faces: jax.Array, camera: Camera) -> jax.Array:
    """Share (2, H, W) of each pixel that the object covers, from hard passes on a finer picture."""
    size = camera.image_size[0]
    scale = jnp.asarray(np.diag([FINE, FINE, 1.0]), jnp.float32)
    fine = Camera(einsum("ij,njk->nik", scale, camera.intrinsics), camera.T_camera_world, (FINE * size, FINE * size))
    mask = jax.vmap(lambda c: rasterize(vertices, faces, c).mask)(fine)
    return jnp.mean(mask.reshape(2, size, FINE, size, FINE).astype(jnp.float32), axis=(2, 4))


def blur(images: jax.Array, sigma: jax.Array) -> jax.Array:
    """Images (N, S, S) under a Gaussian of `sigma` pixels, zero outside."""
    place = jnp.arange(images.shape[-1], dtype=images.dtype)
    weights = jnp.exp(-0.5 * ((place[:, None] - place[None]) / sigma) ** 2)
    weights /= jnp.sum(jnp.exp(-0.5 * (jnp.arange(-40, 41, dtype=images.dtype) / sigma) ** 2))
    return einsum("ij,njk,lk->nil", weights, images, weights)


def draw_starts(config: Config) -> tuple[jax.Array, jax.Array, jax.Array]:
    """True and starting rotations (N, 3, 3) and starting shifts (N, 3), metres; all objects truly are at the origin."""
    keys = jax.random.split(jax.random.key(config.seed), 3)
    truth = random_rotation(keys[0], (config.starts,)).astype(jnp.float32)

    def directions(key):
        vectors = jax.random.normal(key, (config.starts, 3), jnp.float32)
        return vectors / jnp.linalg.norm(vectors, axis=1, keepdims=True)

    turn = rotation_from_axis_angle(np.radians(config.turn).astype(np.float32) * directions(keys[1]))
    return truth, einsum("nij,njk->nik", turn, truth), config.shift * directions(keys[2])


def recover(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Angles (N,), degrees, and distances (N,), metres, between the truth and what each start came to."""
    vertices, faces = (jnp.asarray(x) for x in object_mesh())
    neighbours = jnp.asarray(edge_neighbours(np.asarray(faces)))
    camera = cameras(config.size)
    truth, rotation, shift = draw_starts(config)
    targets = lax.map(lambda r: coverage(place(vertices, r, jnp.zeros(3, jnp.float32)), faces, camera), truth)

    def silhouettes(turn, start, shift):
        moved = place(vertices, einsum("ij,jk->ik", rotation_from_axis_angle(turn), start), shift)

        def view(camera):
            fragments = rasterize(moved, faces, camera)
            return antialias(fragments.mask.astype(jnp.float32)[..., None], fragments, neighbours)[..., 0]

        return jax.vmap(view)(camera)

    def loss(unknown, start, target, sigma):
        turn, shift = unknown[:3], 0.5 * unknown[3:]
        return jnp.sum(jnp.square(blur(silhouettes(turn, start, shift) - target, sigma)))

    gradients = jax.vmap(jax.grad(loss), in_axes=(0, 0, 0, None))
    optimiser = optax.adam(optax.cosine_decay_schedule(config.rate, config.steps, alpha=0.01))
    first, last = config.blur

    @jax.jit
    def step(unknown, state, done):
        sigma = first * (last / first) ** (done / config.steps)
        update, state = optimiser.update(gradients(unknown, rotation, targets, sigma), state)
        return optax.apply_updates(unknown, update), state

    # Rotations are about the object's centre, from the start's orientation, as one vector: 20 degrees are far from pi.
    unknown = jnp.concatenate([jnp.zeros_like(shift), 2 * shift], axis=1)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes counts and floats
        state = optimiser.init(unknown)
        for done in tqdm(range(config.steps), desc="pose", disable=None):
            unknown, state = step(unknown, state, jnp.float32(done))
    recovered = einsum("nij,njk->nik", rotation_from_axis_angle(unknown[:, :3]), rotation)
    angle = rotation_angle(einsum("nji,njk->nik", truth, recovered))
    return np.degrees(np.asarray(angle)), np.linalg.norm(0.5 * np.asarray(unknown[:, 3:]), axis=1)


def markdown(result: dict[str, Any]) -> str:
    """The result file."""
    config = result["config"]
    share = f"**{result['succeeded']} of {config['starts']}**"
    return page(
        "Pose from silhouettes",
        "Made by `python -m hoijax.experiments.silhouette_pose`, whose docstring says how: an asymmetric object of\n"
        f"half a metre in two views of {config['size']} x {config['size']} pixels, {config['starts']} random starts, "
        f"each\nturned by {config['turn']:g} degrees and shifted by {100 * config['shift']:g} cm; {config['steps']} "
        f"steps. Success:\nwithin {config['largest_turn']:g} degree and {1000 * config['largest_shift']:g} mm.",
        f"{result['device']}, {result['cores']} cores, jax {result['jax']}, {result['seconds']:.0f} s.",
        table(
            ["succeeded", "rotation, degrees: median, 95 %, worst", "centre, mm: median, 95 %, worst"],
            [[share, _spread(result["degrees"]), _spread(result["millimetres"])]],
        ),
    )


def _spread(values: list[float]) -> str:
    return ", ".join(f"{np.quantile(values, q):.3g}" for q in (0.5, 0.95, 1.0))


def main(config: Config) -> dict[str, Any]:
    """Runs all starts, prints and writes what came of them."""
    output_directory(config.out)
    began = time.perf_counter()
    degrees, metres = recover(config)
    seconds = time.perf_counter() - began
    success = (degrees < config.largest_turn) & (metres < config.largest_shift)
    result = {
        "config": settings_of(config, ("out",)),
        **software(), "cores": os.cpu_count(),
        "seconds": round(seconds, 1),
        "succeeded": int(success.sum()),
        "degrees": [round(float(d), 4) for d in degrees], "millimetres": [round(1000 * float(m), 4) for m in metres],
    }  # fmt: skip
    text = markdown(result)
    print(text)
    write_page(config.out, "silhouette_pose", result, text)
    return result


if __name__ == "__main__":
    main(tyro.cli(Config))
