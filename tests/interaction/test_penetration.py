import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from jax.test_util import check_grads

from hoijax.geometry import Mesh, RigidPose, SDFGrid
from hoijax.interaction import (
    depth_loss,
    nearest_vertex_depth,
    object_sdf,
    released_penetration,
    signed_distance,
    soft_penetration_loss,
)

# Compiled once per shape for all tests; test_jit_and_vmap_agree_with_eager runs the losses uncompiled.
options = ("margin", "power", "reduction")
soft_loss = jax.jit(soft_penetration_loss, static_argnames=options)
cost = jax.jit(depth_loss, static_argnames=options)
vertex_depth, released, exact, sdf_of = map(
    jax.jit, (nearest_vertex_depth, released_penetration, signed_distance, object_sdf)
)


def reference_depth(points, vertices, normals):
    """Loop over points: component of (nearest vertex - point) along that vertex's normal."""
    out = []
    for p in points:
        i = np.argmin(np.linalg.norm(vertices - p, axis=1))
        out.append((vertices[i] - p) @ normals[i])
    return np.array(out)


@pytest.fixture(scope="module")
def points(sphere):
    """Points around and in the sphere, in general position."""
    return sphere[2] + np.random.default_rng(0).normal(size=(30, 3)) * 0.2


def test_depth_matches_a_loop_and_the_sphere(sphere, points):
    mesh, normals, centre = sphere
    got = np.asarray(vertex_depth(points, mesh.vertices, normals))
    np.testing.assert_allclose(got, reference_depth(points, mesh.vertices, normals), atol=1e-14)
    # On a sphere the depth is known: radius minus distance from the centre, up to the mesh's edge length.
    near = np.abs(0.3 - np.linalg.norm(points - centre, axis=1)) < 0.1
    np.testing.assert_allclose(got[near], 0.3 - np.linalg.norm(points[near] - centre, axis=1), atol=5e-3)


def test_soft_loss_is_the_sum_of_depths(sphere, points):
    mesh, normals, _ = sphere
    depth = np.maximum(reference_depth(points, mesh.vertices, normals), 0)
    args = points, mesh.vertices, normals
    np.testing.assert_allclose(soft_loss(*args), depth.sum(), rtol=1e-12)
    np.testing.assert_allclose(soft_loss(*args, power=2), (depth**2).sum(), rtol=1e-12)
    mask = np.arange(30) % 3 == 0
    np.testing.assert_allclose(
        soft_loss(*args, object_mask=mask, margin=0.01, reduction="mean"),
        np.maximum(depth[mask] - 0.01, 0).mean(),
        rtol=1e-12,
    )
    assert soft_loss(*args, object_mask=np.zeros(30)) == 0


def test_following_the_soft_gradient_reduces_penetration(sphere, points):
    mesh, normals, _ = sphere
    loss = jax.jit(jax.value_and_grad(lambda t: soft_loss(points + t[None], mesh.vertices, normals)))
    shift, values = jnp.zeros(3), []
    for _ in range(100):
        value, grad = loss(shift)
        values.append(float(value))
        shift = shift - 0.005 * grad / max(float(jnp.linalg.norm(grad)), 1e-9)
    assert values[0] > 0.5 and values[-1] < 0.1 * values[0]


def test_released_form_counts_the_wrong_side_and_has_no_gradient(sphere):
    mesh, normals, centre = sphere
    inside, outside = centre + np.array([[0.0, 0, 0.2]]), centre + np.array([[0.0, 0, 0.5]])
    assert released(inside, mesh.vertices, normals) == 0
    assert released(outside, mesh.vertices, normals) == 1
    both = np.concatenate([inside, outside])
    assert released(both, mesh.vertices, normals) == 0.5
    grads = jax.jit(jax.grad(released_penetration, argnums=(0, 1, 2)))(both, mesh.vertices, normals)
    assert all(np.all(g == 0) for g in grads)


def test_rigid_invariance(sphere, points, motion):
    mesh, normals, _ = sphere
    rotation, shift = motion
    moved = soft_loss(points @ rotation.T + shift, mesh.vertices @ rotation.T + shift, normals @ rotation.T)
    np.testing.assert_allclose(moved, soft_loss(points, mesh.vertices, normals), rtol=1e-9)


def test_gradients_match_finite_differences(sphere, points):
    mesh, normals, _ = sphere
    loss = jax.jit(soft_penetration_loss)
    check_grads(loss, (points, mesh.vertices, normals), order=1, modes=("rev",), rtol=1e-5)


def test_object_exactly_on_a_vertex(sphere):
    mesh, normals, _ = sphere
    slope = jax.jit(jax.grad(soft_penetration_loss, argnums=(0, 1)))
    assert all(np.all(np.isfinite(g)) for g in slope(mesh.vertices[:5], mesh.vertices, normals))
    # Just inside, the push is along the normal with strength one.
    grad = slope(mesh.vertices[:5] - 1e-9 * normals[:5], mesh.vertices, normals)[0]
    np.testing.assert_allclose(grad, -normals[:5], atol=1e-12)


def test_jit_and_vmap_agree_with_eager(sphere, points):
    mesh, normals, _ = sphere
    batch = np.stack([points, points * 1.1, points + 0.05])
    got = jax.jit(jax.vmap(lambda p: soft_penetration_loss(p, mesh.vertices, normals)))(batch)
    np.testing.assert_allclose(got, [soft_penetration_loss(p, mesh.vertices, normals) for p in batch], rtol=1e-12)


@pytest.mark.parametrize("name", ["sphere", "box"])
def test_signed_distance_matches_trimesh(name, request):
    mesh = request.getfixturevalue(name)
    mesh = mesh[0] if name == "sphere" else mesh
    queries = np.random.default_rng(1).uniform(-0.5, 0.6, (60, 3))
    want = -trimesh.proximity.signed_distance(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False), queries)
    assert (want < 0).sum() > 3
    np.testing.assert_allclose(exact(queries, mesh), want, atol=1e-10)


def box_distance(points, half):
    """Closed form of the signed distance to a box around the origin."""
    q = np.abs(points) - half
    return np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(-1), 0)


def test_signed_distance_gradient_is_right_inside_outside_and_on_the_surface(box):
    queries = np.random.default_rng(1).uniform(-0.4, 0.4, (20, 3))
    distance = jax.jit(lambda q, v: exact(q, Mesh(v, box.faces)))
    check_grads(distance, (queries, box.vertices), order=1, modes=("rev",), rtol=1e-5)
    # On a face the plain distance has a kink; the signed one has the face's normal as its derivative.
    on_face = np.array([[0.2, 0.05, 0.02], [-0.2, 0.1, 0.03], [0.03, 0.3, -0.04]])
    slope = jax.jit(jax.value_and_grad(lambda q: exact(q, box).sum()))
    value, grad = slope(on_face)
    np.testing.assert_allclose(value, 0.0, atol=1e-15)
    step = 1e-6
    for k in range(3):
        shift = np.eye(3)[k] * step
        want = (box_distance(on_face + shift, [0.2, 0.3, 0.1]) - box_distance(on_face - shift, [0.2, 0.3, 0.1])) / 2e-6
        np.testing.assert_allclose(grad[:, k], want, atol=1e-6)
    at_vertex = slope(box.vertices)[1]
    np.testing.assert_allclose(np.linalg.norm(at_vertex, axis=1), 1.0)


def test_signed_distance_of_open_meshes(box):
    """A box without its lid keeps its inside; a single sheet has none."""
    normals = np.cross(*(box.vertices[box.faces[:, k]] - box.vertices[box.faces[:, 0]] for k in (1, 2)))
    open_box = Mesh(box.vertices, box.faces[normals[:, 2] <= 0])
    assert len(open_box.faces) == 10
    centre = np.zeros((1, 3))
    np.testing.assert_allclose(exact(centre, open_box), -0.1)
    sheet = Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]], np.int32))
    np.testing.assert_allclose(exact(np.array([[0.2, 0.2, -0.1], [0.2, 0.2, 0.1]]), sheet), 0.1)


@pytest.fixture(scope="module")
def plane_sdf():
    """Grid of the signed distance z - 0.1 on [-1, 1]^3: trilinear, so that queries are exact."""
    axis = np.linspace(-1, 1, 9)
    values = np.broadcast_to(axis[None, None, :] - 0.1, (9, 9, 9))
    return SDFGrid(values=values.copy(), origin=np.full(3, -1.0), spacing=np.array(0.25))


def test_object_sdf_in_a_moved_and_scaled_frame(plane_sdf, motion):
    rotation, shift = motion
    pose = RigidPose(rotation, shift, np.array(1.7))
    local = np.random.default_rng(0).uniform(-0.9, 0.9, (20, 3))
    world = 1.7 * local @ rotation.T + shift
    np.testing.assert_allclose(sdf_of(plane_sdf, pose, world), 1.7 * (local[:, 2] - 0.1), atol=1e-12)

    @jax.jit
    def loss(r, t, s, p):
        return cost(-sdf_of(plane_sdf, RigidPose(r, t, s), p), power=2)

    check_grads(loss, (rotation, shift, np.array(1.7), world), order=1, modes=("rev",), rtol=1e-4)


def test_object_sdf_batches_over_leading_axes(plane_sdf):
    points = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 3, 5, 3))
    pose = RigidPose.identity((2, 3), dtype=np.float64)
    np.testing.assert_allclose(sdf_of(plane_sdf, pose, points), points[..., 2] - 0.1, atol=1e-12)


def test_paper_penetration_is_the_mean_negative_part(plane_sdf):
    points = np.random.default_rng(0).uniform(-0.9, 0.9, (50, 3))
    sdf = sdf_of(plane_sdf, RigidPose.identity(dtype=np.float64), points)
    want = np.mean([max(0.1 - p[2], 0.0) for p in points])
    np.testing.assert_allclose(cost(-sdf), want, rtol=1e-12)
    np.testing.assert_allclose(cost(-sdf, margin=0.05), np.maximum(0.05 - points[:, 2], 0).mean(), rtol=1e-12)
    assert cost(-sdf, mask=np.zeros(50, bool)) == 0


def test_float32_stays_float32(sphere, points):
    mesh, normals, _ = sphere
    single = [np.asarray(x, np.float32) for x in (points, mesh.vertices, normals)]
    assert soft_loss(*single).dtype == jnp.float32
    distance = exact
    got = distance(single[0], Mesh(single[1], mesh.faces))
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, distance(points, mesh), atol=1e-6)
