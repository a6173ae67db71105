"""Views of solved scenes: mirror images, cameras, what a depth picture shows, files that are gone on with."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.body_models import BodyParams, free_body, free_body_mirror, pose_body
from hoijax.data.synth import reviews, scenes
from hoijax.data.synth.checks import body_mesh
from hoijax.data.synth.reviews import ReviewConfig, Reviews, build_reviews, mirror, review, step_back
from hoijax.data.synth.sampling import instance
from hoijax.data.synth.start import stand_on_floor
from hoijax.errors import InputError
from hoijax.geometry import closest_on_mesh_host
from hoijax.geometry.mesh import Mesh
from hoijax.systems.graft.estimates import points_from_depth

CONFIG = ReviewConfig(scenes=3, views=4, image_size=64, farthest=6.0)


@pytest.fixture(scope="module")
def person():
    """Someone who stands, left arm raised, with a table 5 cm before the left hand's side."""
    config = CONFIG.synth()
    standing = scenes._stand(config, "scenes_train", 0)
    rotations = np.array(standing.rotations)
    left = free_body("test").joint_names.index("left_shoulder")
    rotations[left] = rotations[left] @ np.float32([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    vertices, joints = body_mesh(rotations, standing.betas, standing.translation)
    table = stand_on_floor(instance("table", 3), 0.0, 3)
    table = table.move(vertices[:, 0].max() + 0.05 - table.box()[0][0], 0.0, 0.0)
    return dataclasses.replace(
        standing, rotations=rotations, vertices=vertices, joints=joints, furniture=[table], action="lean"
    )


@pytest.fixture(scope="module")
def views(person):
    return [review(CONFIG, person, 0, view) for view in range(CONFIG.views)]


def world(view):
    """Points of the picture in the world."""
    local = points_from_depth(view["depth_empty"], view["intrinsics"]).reshape(-1, 3)
    local = local[np.isfinite(local).all(axis=1)].astype(float)
    transform = view["T_camera_world"].astype(float)
    return (local - transform[:3, 3]) @ transform[:3, :3]


def body_of(view):
    model = free_body("default")
    params = BodyParams.from_axis_angle(model, **view["body"])
    return np.asarray(pose_body(model, jax.tree.map(jnp.asarray, params)).vertices, float)


def test_a_mirror_image_is_exact(person):
    rotations, translation = mirror(person.rotations, person.translation)
    image = body_mesh(rotations, person.betas, translation)[0]
    wanted = (person.vertices * [-1, 1, 1])[free_body_mirror("default")]
    np.testing.assert_allclose(image, wanted, atol=2e-6)
    assert np.abs(image - person.vertices).max() > 0.3
    again, back = mirror(rotations, translation)
    np.testing.assert_allclose(again, person.rotations, atol=1e-12)
    np.testing.assert_allclose(back, person.translation, atol=1e-12)


def test_a_camera_moves_back_along_its_axis_and_no_farther_than_asked():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    eye, middle = np.array([0.3, 1.2, -2.0]), np.array([0.1, 0.9, 0.4])
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = turn, -turn @ eye
    seen = []
    for _ in range(50):
        moved, at = step_back(rng, transform, eye, middle, 6.0)
        np.testing.assert_allclose(moved[:3, :3].T @ -moved[:3, 3], at, atol=1e-12)
        np.testing.assert_allclose((moved - transform)[:2], 0, atol=1e-12)
        seen.append(moved[2, 3] - transform[2, 3])
        assert np.linalg.norm(at - middle) <= 6.0 + 1e-9
    assert min(seen) >= 0 and max(seen) > 2.0
    still, at = step_back(rng, transform, eye, middle, 1.0)
    np.testing.assert_allclose(still, transform)
    np.testing.assert_allclose(at, eye)


def test_views_differ_and_all_of_them_show_the_scene_without_its_person(person, views):
    assert {view["mirrored"] for view in views} == {False, True}
    table = Mesh(person.furniture[0].vertices(), np.asarray(person.furniture[0].object.mesh.faces))
    hits = 0
    for view in views:
        sign = np.array([-1, 1, 1]) if view["mirrored"] else np.ones(3)
        points = world(view) * sign
        assert points[:, 1].min() > -0.01
        body = body_of(view) * sign
        assert np.abs(body.min(axis=0) - person.vertices.min(axis=0)).max() < 2e-3
        # Nothing is where the person is: the middle of the trunk is metres from all points or in free space.
        trunk = (person.vertices.max(axis=0) + person.vertices.min(axis=0)) / 2
        assert np.linalg.norm(points - trunk, axis=1).min() > 0.15
        low, high = person.furniture[0].box()
        inside = ((points > low + 0.01) & (points < high - 0.01)).all(axis=1)
        near = np.asarray(closest_on_mesh_host(points[inside], table).distance) if inside.any() else np.zeros(0)
        assert (near < 0.02).all()
        hits += ((points[:, 1] > high[1] - 0.02) & (points > low - 0.01).all(1) & (points < high + 0.02).all(1)).sum()
    assert hits > 50  # the table's top, of all views together
    places = [tuple(np.round(view["T_camera_world"][:3, 3], 3)) for view in views]
    assert len(set(places)) == len(views)


def test_others_stand_around_and_not_always_the_same(person, monkeypatch):
    seen = []
    monkeypatch.setattr(reviews, "_join", lambda pieces, labels: seen.append(pieces) or _stop())
    for view in range(3):
        with pytest.raises(StopIteration):
            review(CONFIG, person, 0, view)
    counts = [len(pieces) - 2 for pieces in seen]  # the person and the own table
    assert min(counts) >= 1 and max(counts) <= 4
    firsts = [np.round(pieces[1][0].mean(axis=0), 3).tolist() for pieces in seen]
    assert firsts[0] != firsts[1] != firsts[2]


def _stop():
    raise StopIteration


@pytest.fixture(scope="module")
def built(tmp_path_factory, person):
    """A finished build of people who are not solved."""
    folder = tmp_path_factory.mktemp("views")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reviews, "find_people", lambda config, split, indices, every: ({i: person for i in indices}, {}))
        yield build_reviews(CONFIG, folder / "a", progress=False)


def test_files_hold_what_was_seen(built, person, views):
    found = Reviews(built)
    assert len(found) == 12
    for number, wanted in enumerate(views):
        view = found[number]
        # Millimetres in 16 bits.
        np.testing.assert_allclose(view["depth_empty"], wanted["depth_empty"], atol=6e-4)
        for name in ("intrinsics", "T_camera_world"):
            np.testing.assert_array_equal(view[name], wanted[name])
        assert (view["action"], view["mirrored"]) == (wanted["action"], wanted["mirrored"])
        for name, value in wanted["body"].items():
            np.testing.assert_array_equal(view["body"][name], value)
    np.testing.assert_array_equal(found[-1]["intrinsics"], review(CONFIG, person, 2, 3)["intrinsics"])
    with pytest.raises(IndexError, match="view 12 of 12"):
        found[12]


def test_a_stopped_build_goes_on_and_makes_the_same(built, person):
    path = built / "scene-000001.npz"
    before = path.read_bytes()
    path.unlink()
    with pytest.raises(InputError, match="lacks 1 of its 3 scenes"):
        Reviews(built)
    others = [(built / f"scene-{i:06d}.npz").stat().st_mtime_ns for i in (0, 2)]
    build_reviews(CONFIG, built, progress=False)
    assert path.read_bytes() == before
    assert [(built / f"scene-{i:06d}.npz").stat().st_mtime_ns for i in (0, 2)] == others
    with pytest.raises(InputError, match="another configuration"):
        build_reviews(dataclasses.replace(CONFIG, views=5), built, progress=False)


def test_bad_settings_are_refused(tmp_path):
    for changes, message in (
        ({"split": "train"}, "split must be one of scenes_train"), ({"scenes": 0}, "scenes must be at least 1"),
        ({"views": 0}, "views must be"), ({"image_size": 8}, "image_size must be at least 64"),
        ({"farthest": 0.0}, "farthest must be above zero"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            ReviewConfig(**changes)
    with pytest.raises(InputError, match="no views of scenes"):
        Reviews(tmp_path)


def test_who_leans_and_lies_is_many():
    """The people of a build: those who lean and lie in turn, and every eighth stands."""
    config = CONFIG.synth()
    assert config.actions.count("lean") == config.actions.count("lie") == 2 * config.actions.count("sit")
    assert reviews.STANDING == 8
