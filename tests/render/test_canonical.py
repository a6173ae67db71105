"""InteractVLM's network images against the published shading formula, evaluated pixel by pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh

from hoijax.camera import project
from hoijax.render import (
    interactvlm_object_rig,
    interpolate,
    lift_points,
    nocs_colors,
    render_canonical,
    render_canonical_points,
    unit_extent,
    unit_sphere,
)
from hoijax.render.shading import camera_center

SIZE = 48


@pytest.fixture(scope="module")
def views():
    """An ellipsoid with NOCS colours."""
    mesh = trimesh.creation.icosphere(2)
    vertices = unit_extent(mesh.vertices * np.array([1.0, 0.7, 0.5])[None])
    faces, rig = np.asarray(mesh.faces, np.int32), interactvlm_object_rig(SIZE)
    return vertices, faces, rig, jax.jit(render_canonical)(vertices, faces, rig, nocs_colors(vertices))


def test_pixels_follow_the_formula(views):
    vertices, faces, rig, got = views
    vertices, corners = np.asarray(vertices), np.asarray(vertices)[faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], area)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    colors = np.asarray(nocs_colors(vertices))
    face_id, bary = np.asarray(got.fragments.face_id), np.asarray(got.fragments.bary)
    rng = np.random.default_rng(0)
    for view in range(4):
        eye = np.asarray(camera_center(rig.camera(view)), np.float64)
        rows, columns = np.nonzero(face_id[view] >= 0)
        for i in rng.integers(len(rows), size=40):
            pixel = (view, rows[i], columns[i])
            face, weight = faces[face_id[pixel]], bary[pixel][:, None]
            point, normal, color = (np.sum(weight * x[face], axis=0) for x in (vertices, normals, colors))
            normal = normal / np.linalg.norm(normal)
            light = np.asarray(rig.lights[view]) - point
            light = light / np.linalg.norm(light)
            cosine = normal @ light
            mirrored = 2 * cosine * normal - light
            towards = (eye - point) / np.linalg.norm(eye - point)
            shine = 0.2 * max(mirrored @ towards, 0) ** 64 if cosine > 0 else 0.0
            want = np.clip(color * (0.5 + 0.3 * max(cosine, 0)) + shine, 0, 1)
            np.testing.assert_allclose(got.images[pixel], want, atol=2e-5)


def test_background_is_white_and_nothing_else_is(views):
    *_, got = views
    white = np.asarray(jnp.floor(got.images * 255).sum(-1)) == 765
    np.testing.assert_array_equal(white, ~np.asarray(got.fragments.mask))


def test_default_colors_are_normals(views):
    """Without light the image would be the normals; from the front lit side the hue is theirs."""
    vertices, faces, rig, _ = views
    got = jax.jit(render_canonical)(vertices, faces, rig)
    one = jax.tree.map(lambda x: x[0], got.fragments)
    normals = np.asarray(interpolate(one, faces, vertices * jnp.asarray([[1.0, 1 / 0.7**2, 1 / 0.5**2]])))
    normals = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    seen = np.asarray(one.mask)
    base = (normals[seen] + 1) / 2
    image = np.asarray(got.images[0])[seen]
    spread = image - base * (image / np.maximum(base, 1e-3)).min(-1, keepdims=True)
    assert np.median(np.abs(spread)) < 0.03


def test_points_follow_the_formula():
    """Front to back, weight 1 - d^2 / r^2, at most ten, over white; the nearest point owns the pixel."""
    rng = np.random.default_rng(0)
    points = np.asarray(unit_sphere(rng.normal(size=(60, 3))))
    rig = interactvlm_object_rig(SIZE, distance=2.0, dtype=jnp.float64)
    radius = 0.3
    got = jax.jit(lambda p: render_canonical_points(p, rig, radius=radius))(points)
    colors = np.asarray(nocs_colors(points))
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    for view in range(4):
        pixels, depth = (np.asarray(x) for x in project(rig.camera(view), points))
        square = (columns[..., None] - pixels[:, 0]) ** 2 + (rows[..., None] - pixels[:, 1]) ** 2
        weight = np.maximum(1 - square / (radius * SIZE / 2) ** 2, 0)
        order = np.argsort(depth)
        image, rest, taken = np.zeros((SIZE, SIZE, 3)), np.ones((SIZE, SIZE)), np.zeros((SIZE, SIZE), int)
        owner = np.full((SIZE, SIZE), -1)
        for i in order:
            hit = (weight[..., i] > 0) & (taken < 10)
            owner = np.where(hit & (owner < 0), i, owner)
            image += np.where(hit, weight[..., i] * rest, 0)[..., None] * colors[i]
            rest = np.where(hit, rest * (1 - weight[..., i]), rest)
            taken += hit
        np.testing.assert_allclose(got.images[view], image + rest[..., None], atol=1e-9)
        np.testing.assert_array_equal(got.point_id[view], owner)
    lifted = lift_points(np.ones(got.point_id.shape), got.point_id, 60)
    np.testing.assert_array_equal(np.asarray(lifted.scores), np.asarray(lifted.visible))
