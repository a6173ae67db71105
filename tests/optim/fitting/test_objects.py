"""Objects found from their masks: the truth is drawn by brute force, an occluder and specks are put before it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from scipy import ndimage
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.geometry import Mesh, RigidPose
from hoijax.optim.fitting import (
    Hypotheses,
    ObjectFit,
    ObjectFitConfig,
    fit_object_ahead,
    fit_object_compiled,
    object_scene,
    object_shape,
    object_target,
    objects,
)
from hoijax.optim.fitting.box_turns import upright_turns
from hoijax.optim.fitting.object_starts import choose_apart, even_rotations, hypothesis_rotations, standing_frame
from hoijax.optim.fitting.object_target import clean_mask, guess_up
from hoijax.optim.fitting.objects import EDGE_BLUR, _draw, _judge, _Place, _residuals, _slide
from hoijax.optim.programs import Ahead

SIZE = (200, 240)
MATRIX = np.array([[260.0, 0, 120], [0, 260, 100], [0, 0, 1]], np.float32)
CONFIG = ObjectFitConfig(
    hypotheses=Hypotheses(yaws=24, tilts=(0.0,), lying=2, free=30), kept=(12, 4), steps=(5, 16), touch=0.0
)


def angle(a, b):
    return np.degrees(np.arccos(np.clip((np.trace(np.asarray(a).T @ b) - 1) / 2, -1, 1)))


def thing():
    """Metres, no symmetry: a slab, a post, an arm."""
    parts = [((0.5, 0.1, 0.34), (0, 0, 0)), ((0.1, 0.5, 0.1), (0.18, 0.3, 0.08)), ((0.1, 0.1, 0.34), (-0.15, 0.1, 0.1))]
    boxes = [trimesh.creation.box(size, trimesh.transformations.translation_matrix(at)) for size, at in parts]
    mesh = trimesh.util.concatenate(boxes)
    return mesh.vertices + [0.3, -0.2, 0.1], mesh.faces  # the mesh's origin is not its middle


def drawn(vertices, faces):
    """Mask (H, W) by ray casting."""
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    rays = np.stack([(x - MATRIX[0, 2]) / MATRIX[0, 0], (y - MATRIX[1, 2]) / MATRIX[1, 1], np.ones_like(x)], axis=-1)
    return mesh.ray.intersects_any(np.zeros((x.size, 3)), rays.reshape(-1, 3)).reshape(SIZE)


@pytest.fixture(scope="module")
def shape():
    vertices, faces = thing()
    return object_shape(Mesh(vertices=vertices.astype(np.float32), faces=faces.astype(np.int32)))


@pytest.fixture(scope="module")
def truth():
    """Rotation, translation and posed vertices: upright, turned, seen from a little above, 2.4 m away."""
    vertices, faces = thing()
    rotation = (
        Rotation.from_euler("x", 0.2).as_matrix() @ np.diag([1.0, -1, -1]) @ Rotation.from_euler("y", 0.9).as_matrix()
    )
    middle = np.array([0.2, 0.1, 2.4])
    move = middle - rotation @ (0.5 * (vertices.min(0) + vertices.max(0)))
    return rotation, move, vertices @ rotation.T + move, faces, middle


@pytest.fixture(scope="module")
def wall():
    """A 'body': a plate before the right part of the object, and points of it."""
    plate = trimesh.creation.box((0.3, 0.9, 0.05), trimesh.transformations.translation_matrix((0.47, 0.0, 2.1)))
    return np.asarray(plate.subdivide().subdivide().vertices, np.float32), np.asarray(
        plate.subdivide().subdivide().faces
    )


def test_an_object_is_found_behind_a_person(shape, truth, wall):
    rotation, move, vertices, faces, middle = truth
    person = drawn(*wall)
    seen = drawn(vertices, faces) & ~person
    assert 0.5 < seen.sum() / drawn(vertices, faces).sum() < 0.9
    seen[3:6, 3:40] = True  # a caption
    target = object_target(seen, MATRIX, person=person)
    scene = object_scene(target, wall, up=rotation[:, 1])
    fit = jax.tree.map(np.asarray, fit_object_compiled(shape, target, scene, CONFIG))
    assert angle(fit.best.rotation, rotation) < 12, (fit.cost, fit.overlap)
    centre = np.asarray(
        fit.best.scale * fit.best.rotation @ (np.linalg.solve(rotation, middle - move)) + fit.best.translation
    )
    ray = middle / np.linalg.norm(middle)
    error = centre - middle
    assert abs(error @ ray) < 0.15 and np.linalg.norm(error - (error @ ray) * ray) < 0.03
    assert fit.overlap[0] > 0.88 and 0 <= fit.confidence <= 1
    assert np.all(np.diff(np.asarray(fit.cost)) >= 0) and bool(fit.same[0])
    # The same picture as a person's: what the body hides is no evidence, what it does not hide must be seen.
    bare = fit_object_compiled(shape, object_target(seen, MATRIX, person=person), object_scene(target), CONFIG)
    assert np.isfinite(np.asarray(bare.cost)).all()


def test_symmetric_answers_are_one_and_others_are_not(truth):
    """A long box looks the same turned by half a turn; the margin is to another box."""
    box = trimesh.creation.box((0.6, 0.2, 0.3))
    rotation, middle = truth[0], np.array([-0.1, 0.0, 2.2])
    mask = drawn(box.vertices @ rotation.T + middle, box.faces)
    target = object_target(mask, MATRIX)
    shape = object_shape(Mesh(vertices=np.asarray(box.vertices, np.float32), faces=np.asarray(box.faces, np.int32)))
    fit = fit_object_compiled(shape, target, object_scene(target, up=rotation[:, 1]), CONFIG)
    fit = jax.tree.map(np.asarray, fit)
    turns = [np.diag(d) for d in ([1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0])]
    assert min(angle(fit.best.rotation, rotation @ t) for t in turns) < 8
    for k in range(len(fit.cost)):
        nearest = min(angle(fit.pose.rotation[k], np.asarray(fit.best.rotation) @ t) for t in turns)
        assert bool(fit.same[k]) == (nearest < 12) or 5 < nearest < 20
    others = np.asarray(fit.cost)[~np.asarray(fit.same)]
    np.testing.assert_allclose(fit.margin, others.min() - fit.cost[0] if len(others) else np.inf, rtol=1e-5)


def test_energy_counts_what_each_term_is_about(shape, truth, wall):
    """Terms one by one, at known places, without a descent."""
    rotation, _, vertices, faces, middle = truth
    seen = drawn(vertices, faces)
    hidden = drawn(*wall) & seen
    target = object_target(seen & ~hidden, MATRIX, person=hidden)
    target = jax.tree.map(jnp.asarray, target)
    scene = jax.tree.map(jnp.asarray, object_scene(target, wall, up=rotation[:, 1]))
    area = float(jnp.sum(target.valid * target.covered))
    plain = ObjectFitConfig(
        size_weight=0.0, hiding=0.0, order=0.0, floor=0.0, touch=0.0, floor_slack=0.0, touch_slack=0.0
    )

    def cost(config, depth=1.0, size=1.0, scene=scene):
        """Of the true turn, moved along its ray; as large in the picture if the size goes along."""
        place = _Place(*(jnp.asarray(x, jnp.float32)[None] for x in (rotation, depth * middle, size)))
        costs, overlap = _judge(place, shape, target, scene, config)
        return float(costs[0]), float(overlap[0])

    base, overlap = cost(plain)
    assert overlap > 0.93 and base == pytest.approx(1 - overlap, abs=1e-5)
    # Size: a tenth larger and farther shows the same picture and costs what the prior says.
    grown, _ = cost(dataclasses.replace(plain, size_weight=0.5, size_std=0.2), 1.1, 1.1)
    assert grown - cost(plain, 1.1, 1.1)[0] == pytest.approx(0.5 * (np.log(1.1) / 0.2) ** 2, rel=1e-3)
    # Tilt: nothing upright, the weight on its side, twice that upside down.
    leaning = dataclasses.replace(plain, upright=0.3)
    assert cost(leaning)[0] == pytest.approx(base, abs=1e-5)
    for up, want in (
        (rotation[:, 0], 0.3),
        (-rotation[:, 1], 0.6),
        (0.6 * rotation[:, 1] + 0.8 * rotation[:, 2], 0.12),
    ):
        tilted = scene.replace(up=jnp.asarray(up, jnp.float32))
        assert cost(leaning, scene=tilted)[0] - cost(plain, scene=tilted)[0] == pytest.approx(want, abs=1e-4)
    # Hiding: the share of the person's pixels that the object lies behind.
    share = float(jnp.sum(target.hidden)) / area
    assert share > 0.05
    assert cost(dataclasses.replace(plain, hiding=0.3))[0] - base == pytest.approx(0.3 * share, rel=0.15)
    # Order: in front of the plate where the plate is seen costs it all; far behind it costs nothing.
    order = dataclasses.replace(plain, order=1.0)
    ahead = cost(order, 0.7, 0.7)[0] - cost(plain, 0.7, 0.7)[0]
    assert ahead == pytest.approx(share, rel=0.2)
    assert cost(order, 1.3, 1.3)[0] - cost(plain, 1.3, 1.3)[0] < 0.3 * share  # but for pixels that both share
    # Order, the other way: a body before pixels that show the object.
    near = scene.replace(depth=jnp.ones_like(scene.depth))
    assert cost(order, scene=near)[0] - base == pytest.approx(1.0, abs=0.08)
    # Floor and touch: by closed form of the distances.
    up = scene.up
    points = np.asarray(shape.points) @ rotation.T + middle
    height = (points @ np.asarray(up)).min()
    for gap in (0.0, 0.04, 10.0):
        floor = scene.replace(floor=jnp.asarray(height - gap, jnp.float32))
        want = 0.2 * (gap / 0.08) ** 2 / (1 + (gap / 0.08) ** 2)
        assert cost(dataclasses.replace(plain, floor=0.2), scene=floor)[0] - base == pytest.approx(want, abs=2e-3)
        beyond = points[:1] + (points[0] - middle) / np.linalg.norm(points[0] - middle) * 5
        touching = points[:1] if gap == 0 else beyond
        cloud = scene.replace(points=jnp.asarray(np.repeat(touching, 256, axis=0), jnp.float32))
        distance = max(np.linalg.norm(points - touching, axis=1).min() - float(shape.spacing), 0) / 0.08
        want = 0.2 * distance**2 / (1 + distance**2)
        assert cost(dataclasses.replace(plain, touch=0.2), scene=cloud)[0] - base == pytest.approx(want, abs=2e-3)
    # Within the slack, to either side of the floor, nothing is asked.
    loose = dataclasses.replace(plain, floor=0.2, touch=0.2, floor_slack=0.1, touch_slack=0.05)
    for gap, far in ((0.09, 0.0), (-0.09, 0.04), (0.18, 0.0), (-0.18, 0.13)):
        out = (points[:1] - middle) / np.linalg.norm(points[0] - middle)
        cloud = points[:1] + (far + float(shape.spacing)) * out
        near = scene.replace(
            floor=jnp.asarray(height - gap, jnp.float32), points=jnp.asarray(np.repeat(cloud, 256, 0), jnp.float32)
        )
        reach = np.linalg.norm(points - cloud, axis=1).min() - float(shape.spacing)
        beyond = [max(abs(gap) - 0.1, 0) / 0.08, max(reach - 0.05, 0) / 0.08]
        want = sum(0.2 * x * x / (1 + x * x) for x in beyond)
        assert cost(loose, scene=near)[0] - base == pytest.approx(want, abs=3e-3)
    # Without a body nothing is near.
    alone = scene.replace(present=jnp.zeros((), jnp.float32))
    assert cost(dataclasses.replace(plain, floor=0.2, touch=0.2), scene=alone)[0] == pytest.approx(base, abs=1e-6)


def test_sizes_slide_along_the_rays_to_what_is_touched(shape, truth, wall):
    """The body is where the object would touch it if it were a sixth larger and farther."""
    rotation, _, vertices, faces, middle = truth
    target = jax.tree.map(jnp.asarray, object_target(drawn(vertices, faces), MATRIX))
    points = 7 / 6 * (np.asarray(shape.points) @ rotation.T + middle)
    scene = object_scene(target, up=rotation[:, 1]).replace(
        points=np.repeat(points[:1], 256, axis=0).astype(np.float32), present=np.float32(1)
    )
    scene = jax.tree.map(jnp.asarray, scene)
    place = _Place(*(jnp.asarray(x, jnp.float32)[None] for x in (rotation, middle, 1.0)))
    config = ObjectFitConfig(size_weight=1e-3, size_std=0.15, floor=0.0, touch=0.5)
    found = _slide(place, shape, target, scene, config)
    np.testing.assert_allclose(found.size, [7 / 6], rtol=0.04)
    np.testing.assert_allclose(found.middle[0] / found.size[0], middle, rtol=1e-5)
    np.testing.assert_array_equal(found.rotation, place.rotation)


def test_residuals_are_the_energy_under_a_blur(shape, truth, wall):
    """With a blur far below a pixel their squared sum is the energy, with squared differences for the overlap."""
    rotation, _, vertices, faces, middle = truth
    seen = drawn(vertices, faces)
    hidden = drawn(*wall) & seen
    target = jax.tree.map(jnp.asarray, object_target(seen & ~hidden, MATRIX, person=hidden, size=48))
    scene = jax.tree.map(jnp.asarray, object_scene(target, wall, up=rotation[:, 1]))
    turned = Rotation.from_rotvec([0, 0.2, 0.1]).as_matrix() @ rotation
    place = _Place(*(jnp.asarray(x, jnp.float32)[None] for x in (turned, 1.05 * middle, 1.3)))
    config = ObjectFitConfig()
    residuals = _residuals(place, shape, target, scene, config, 1e-4)
    cost, overlap = _judge(place, shape, target, scene, config)
    mask = _draw(place, shape, target).mask
    area = jnp.sum(target.valid * target.covered)
    squares = jnp.sum(jnp.square(target.valid * (mask[0] - target.covered))) / area
    np.testing.assert_allclose(jnp.sum(jnp.square(residuals)), cost[0] - (1 - overlap[0]) + squares, rtol=0.02)


def test_pooled_differences_are_those_of_the_whole_picture(shape, truth):
    """At the full side residuals are of half as many pixels; under a blur of some pixels nothing is lost by it."""
    rotation, _, vertices, faces, middle = truth
    target = jax.tree.map(jnp.asarray, object_target(drawn(vertices, faces), MATRIX, size=96))
    scene = jax.tree.map(jnp.asarray, object_scene(target))
    turned = Rotation.from_rotvec([0, 0.2, 0.1]).as_matrix() @ rotation
    place = _Place(*(jnp.asarray(x, jnp.float32)[None] for x in (turned, 1.05 * middle, 1.0)))
    config = ObjectFitConfig(size_weight=0.0)
    wrong = np.asarray(target.valid * (_draw(place, shape, target).mask[0] - target.covered))
    want = (ndimage.gaussian_filter(wrong, 0.03 * 96, mode="constant", truncate=6) ** 2).sum()
    area = float(jnp.sum(target.valid * target.covered))
    residuals = _residuals(place, shape, target, scene, config, 0.03)
    np.testing.assert_allclose(jnp.sum(jnp.square(residuals)), want / area, rtol=0.08)
    # A picture's edges draw nothing: they are judged.
    edgy = target.replace(edges=target.covered, inside=target.covered)
    np.testing.assert_array_equal(_residuals(place, shape, edgy, scene, config, 0.03), residuals)
    assert (
        float(_judge(place, shape, edgy, scene, config)[0][0] - _judge(place, shape, target, scene, config)[0][0])
        > 0.01
    )


@pytest.mark.parametrize("turns", [0, 4])
def test_what_is_compiled_ahead_is_what_will_be_called(monkeypatch, shape, truth, wall, turns):
    """Shapes and types of every array; a search whose arrays were others would be compiled twice."""
    said = []

    class Said(Ahead):
        def __init__(self, *args, **named):
            said.append((args, named))

    monkeypatch.setattr(objects, "Ahead", Said)
    fit_object_ahead(shape, CONFIG, turns)
    (((function, static, *args), named),) = said
    assert function is objects._fit_object_plain() and static == {"config": CONFIG}
    mask = drawn(truth[2], truth[3])
    image = np.zeros((*SIZE, 3), np.uint8)
    more = upright_turns() if turns else None
    for target in (object_target(mask, MATRIX), object_target(mask, MATRIX, person=drawn(*wall), image=image)):
        for scene in (object_scene(target), object_scene(target, wall)):
            real = (shape, target, scene), {"more": more}
            assert jax.tree.structure((tuple(args), named)) == jax.tree.structure(real)
            for announced, given in zip(jax.tree.leaves((tuple(args), named)), jax.tree.leaves(real)):
                assert announced.shape == np.shape(given) and announced.dtype == given.dtype


def ridged():
    """A plate, and a bar on it off its middle: from the front the same outline upside down."""
    parts = [((0.8, 0.6, 0.1), (0, 0, 0)), ((0.8, 0.1, 0.1), (0, 0.17, 0.1))]
    mesh = trimesh.util.concatenate(
        [trimesh.creation.box(s, trimesh.transformations.translation_matrix(at)) for s, at in parts]
    )
    return Mesh(vertices=np.asarray(mesh.vertices, np.float32), faces=np.asarray(mesh.faces, np.int32))


def test_edges_inside_tell_what_the_outline_does_not():
    mesh = ridged()
    shape = object_shape(mesh)
    upright, middle = np.diag([1.0, -1, -1]), np.array([0.0, 0.0, 2.2])
    placed = mesh.vertices @ upright.T + middle
    mask = drawn(placed, mesh.faces)
    bar = drawn(placed[8:], mesh.faces[12:] - 8)
    image = np.full((*SIZE, 3), 90, np.uint8)
    image[mask], image[bar] = 150, 190
    target = jax.tree.map(jnp.asarray, object_target(mask, MATRIX, image=image))
    scene = jax.tree.map(jnp.asarray, object_scene(target))
    # The picture's edges: the bar's rims, none of the outline's.
    inside = np.asarray(target.inside) > 0
    assert 0.4 < inside.sum() / float(jnp.sum(target.covered)) < 0.98
    assert np.asarray(target.covered)[inside].min() > 0.9
    assert ndimage.distance_transform_edt(np.asarray(target.covered) > 0.9)[inside].min() >= 2
    rows = np.asarray(target.edges * target.inside).mean(axis=1)
    assert (np.asarray(target.edges).max() <= 1) and rows.max() > 10 * np.median(rows)
    config = ObjectFitConfig(edges=0.3, size_weight=0.0)
    turns = np.stack([upright, np.diag([-1.0, -1, 1]) @ upright])  # half a turn in the picture
    places = _Place(
        jnp.asarray(turns, jnp.float32), jnp.asarray(np.stack([middle, middle]), jnp.float32), jnp.ones(2, jnp.float32)
    )
    with_edges, _ = _judge(places, shape, target, scene, config)
    without, _ = _judge(places, shape, target, scene, dataclasses.replace(config, edges=0.0))
    np.testing.assert_allclose(without[0], without[1], atol=0.02)
    assert float(with_edges[1] - with_edges[0]) > 0.15
    # Their cost is 1 less the correlation of both under a blur.
    side = target.covered.shape[0]
    edges = np.asarray(_draw(places, shape, target).edges)

    def pooled(x):
        return np.asarray(x).reshape(side // 2, 2, side // 2, 2).mean(axis=(1, 3))

    weights = pooled(target.inside)
    for k in range(2):
        blur = {"sigma": EDGE_BLUR * side / 2, "mode": "constant", "truncate": 6}
        a, b = (ndimage.gaussian_filter(weights * pooled(target.inside * e), **blur) for e in (edges[k], target.edges))
        a, b = (x - np.average(x, weights=weights) for x in (a, b))
        correlation = (weights * a * b).sum() / np.sqrt((weights * a * a).sum() * (weights * b * b).sum())
        np.testing.assert_allclose(with_edges[k] - without[k], 0.3 * (1 - correlation), atol=0.01)
    assert correlation < 0.3
    # Without a picture edges cost nothing.
    bare = jax.tree.map(jnp.asarray, object_target(mask, MATRIX))
    np.testing.assert_allclose(_judge(places, shape, bare, scene, config)[0], without, atol=1e-6)


def test_creases_and_steps_are_edges():
    """A plate and its bar, seen obliquely: edges lie on the projected edges of both and nowhere else."""
    mesh = ridged()
    shape = object_shape(mesh)
    rotation = Rotation.from_euler("x", 0.35).as_matrix() @ np.diag([1.0, -1, -1])
    middle = np.array([0.0, 0.0, 2.2])
    mask = drawn(mesh.vertices @ rotation.T + middle, mesh.faces)
    target = jax.tree.map(jnp.asarray, object_target(mask, MATRIX))
    place = _Place(*(jnp.asarray(x, jnp.float32)[None] for x in (rotation, middle, 1.0)))
    edges = np.asarray(_draw(place, shape, target).edges[0])
    lines = np.zeros(edges.shape, bool)
    for part in (mesh.vertices[:8], mesh.vertices[8:]):
        corners = (part - np.asarray(shape.centre)) @ rotation.T + middle
        for i in range(8):
            for j in range(i):
                if (np.abs(part[i] - part[j]) > 1e-6).sum() == 1:  # an edge of the box
                    along = corners[i] + np.linspace(0, 1, 400)[:, None] * (corners[j] - corners[i])
                    spot = along @ np.asarray(target.matrix).T
                    column, row = (spot[:, :2] / spot[:, 2:]).astype(int).T
                    lines[np.clip(row, 0, 95), np.clip(column, 0, 95)] = True
    near = ndimage.binary_dilation(lines, iterations=2)
    assert edges.max() == 1 and (edges > 0.2).sum() > 60
    assert edges[~near].max() < 1e-3


def test_rotations_are_spread_evenly():
    turns = even_rotations(200)
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-5)
    probes = Rotation.random(300, rng=np.random.default_rng(0)).as_matrix()
    trace = np.einsum("nij,mij->nm", probes, turns)
    farthest = np.degrees(np.arccos(np.clip((trace.max(axis=1) - 1) / 2, -1, 1))).max()
    assert farthest < 48
    assert np.allclose(np.linalg.det(turns), 1, atol=1e-5)


def test_hypotheses_stand_lie_and_float():
    config = Hypotheses(yaws=8, tilts=(0.0,), lying=3, free=5)
    up = np.array([0.1, -0.9, -0.2])
    up = (up / np.linalg.norm(up)).astype(np.float32)
    turns = np.asarray(hypothesis_rotations(jnp.asarray(up), config))
    assert len(turns) == config.count == 8 + 15 + 5
    np.testing.assert_allclose(turns[:8, :, 1] @ up, 1, atol=1e-5)
    assert len({tuple(np.round(t[:, 0], 3)) for t in turns[:8]}) == 8
    sides = np.round(turns[8:23].transpose(0, 2, 1) @ up, 4)  # which of the object's axes is upwards
    assert {tuple(s) for s in sides} == {(1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -1), (0, -1, 0)}
    frame = np.asarray(standing_frame(jnp.asarray(up)))
    np.testing.assert_allclose([np.linalg.det(frame), frame[:, 1] @ up, frame[2, 2] < 0], 1, atol=1e-5)


def test_the_best_of_different_turns_are_chosen():
    turns = jnp.asarray(
        Rotation.from_euler("z", np.array([[0], [5], [60], [63], [120]]), degrees=True).as_matrix(), jnp.float32
    )
    costs = jnp.asarray([0.2, 0.1, 0.3, 0.25, jnp.nan], jnp.float32)
    chosen = np.asarray(choose_apart(costs, turns, 4, np.radians(20)))
    np.testing.assert_array_equal(chosen, [1, 3, 0, 2])  # then repetitions; what is not finite comes last


def test_masks_lose_specks_and_captions_and_keep_pieces():
    mask = np.zeros((120, 80), bool)
    mask[10:40, 10:40], mask[42:50, 20:28], mask[44, 60:64], mask[110:114, 3:33] = True, True, True, True
    clean = clean_mask(mask)
    want = mask.copy()
    want[44, 60:64] = want[110:114] = False  # a speck; a caption of an eighth of the object, far below it
    np.testing.assert_array_equal(clean, want)
    mask[110:116] = mask[20:26]  # nothing but the object's own size is far away
    mask[90:118, 10:40] = True
    assert clean_mask(mask)[100, 20]  # half the object behind something


def test_targets_say_what_is_known():
    mask, person, caption = np.zeros((3, 100, 100), bool)
    mask[40:60, 60:90], person[30:70, 50:70], caption[45:50, 10:99] = True, True, True
    target = object_target(mask, MATRIX, person=person, hidden=caption, size=38, margin=0.45)
    np.testing.assert_allclose(target.box, [75 - 28.5, 50 - 28.5, 57, 57])
    at = lambda x, y: (int((y - 21.5) / 1.5), int((x - 46.5) / 1.5))  # noqa: E731
    assert target.covered[at(80, 55)] == 1 and target.valid[at(80, 55)] == 1
    assert (
        target.covered[at(65, 47)] == 1 and target.hidden[at(65, 47)] == 0
    )  # the object's mask is before the person's
    assert target.hidden[at(60, 65)] == 1 and target.valid[at(60, 65)] == 0
    assert target.valid[at(93, 47)] == 0 and target.valid[at(93, 55)] == 1  # the caption
    assert target.valid[at(102, 55)] == 0  # outside of the picture
    # The square's intrinsics see a point where the square has it.
    point = np.linalg.inv(MATRIX) @ [80, 55, 1]
    np.testing.assert_allclose((target.matrix @ point)[:2], [(80 - 46.5) / 1.5, (55 - 21.5) / 1.5], atol=1e-4)


@pytest.mark.parametrize(
    "change, told",
    [
        ({"mask": np.zeros((50, 50), bool)}, "at least 30"),
        ({"person": np.zeros((5, 5), bool)}, "picture's size"),
        ({"size": 33}, "even number"),
        ({"image": np.zeros((50, 50), np.uint8)}, "three colours"),
    ],
)
def test_targets_refuse(change, told):
    mask = np.zeros((50, 50), bool)
    mask[10:30, 10:30] = True
    with pytest.raises(InputError, match=told):
        object_target(**({"mask": mask, "matrix": MATRIX} | change))


def test_shapes_refuse_and_fill_up(shape):
    with pytest.raises(InputError, match="no extent"):
        object_shape(Mesh(vertices=np.ones((3, 3), np.float32), faces=np.array([[0, 1, 2]], np.int32)))
    with pytest.raises(InputError, match="finite vertices"):
        object_shape(Mesh(vertices=np.full((3, 3), np.nan, np.float32), faces=np.array([[0, 1, 2]], np.int32)))
    vertices, _ = thing()
    assert shape.faces.shape == shape.vertices.shape == (1024, 3) and (np.asarray(shape.faces[60:]) == 0).all()
    np.testing.assert_allclose(shape.centre, 0.5 * (vertices.min(0) + vertices.max(0)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(np.ptp(vertices, axis=0)), shape.diagonal, rtol=1e-5)


def test_up_is_guessed_from_people_who_stand():
    rng = np.random.default_rng(0)
    person = rng.normal(size=(500, 3)) * [0.1, 0.5, 0.1]
    tilted = person @ Rotation.from_euler("x", 20, degrees=True).as_matrix().T
    up = guess_up(tilted)
    assert abs(angle_between(up, [0, -1, 0]) - 10) < 1.5 and up[2] * tilted[np.argmin(tilted[:, 1])][2] > 0
    lying = person @ Rotation.from_euler("z", 80, degrees=True).as_matrix().T
    np.testing.assert_array_equal(guess_up(lying), [0, -1, 0])


def angle_between(a, b):
    return np.degrees(np.arccos(np.clip(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))


def test_confidence_falls_with_overlap_and_margin():
    pose = RigidPose(jnp.eye(3)[None], jnp.zeros((1, 3)), jnp.ones(1))

    def sure(overlap, margin):
        return float(
            ObjectFit(pose, jnp.zeros(1), jnp.asarray([overlap]), jnp.ones(1, bool), jnp.asarray(margin)).confidence
        )

    assert sure(0.9, jnp.inf) == pytest.approx(0.9) and sure(0.9, 0.0) == pytest.approx(0.45)
    assert sure(0.9, 0.1) > sure(0.9, 0.02) > sure(0.5, 0.02)
    assert sure(0.9, -0.8) == pytest.approx(0.45)  # another one costs less


def test_settings_refuse():
    with pytest.raises(InputError, match="at least one"):
        ObjectFitConfig(kept=(0, 1))
    with pytest.raises(InputError, match="above zero"):
        ObjectFitConfig(size_std=0.0)
    with pytest.raises(InputError, match="not be negative"):
        ObjectFitConfig(order=-1.0)
    with pytest.raises(InputError, match="a yaw and a tilt"):
        Hypotheses(yaws=0)
    assert len(hypothesis_rotations(jnp.asarray([0.0, -1, 0], jnp.float32), Hypotheses(1, (0.0,), 0, 0))) == 1
