"""What happens to a picture happens to its labels: checked by looking at where the picture shows them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.body_models import BodyParams, free_body, pose_body
from hoijax.camera import Camera, look_at, project
from hoijax.data import augmentation as aug
from hoijax.geometry import RigidPose, random_rotation, transform_points

# Unequal focal lengths, skew and an off-centre principal point: every shortcut shows.
INTRINSICS = np.array([[150.0, 4.0, 70.0], [0.0, 120.0, 52.0], [0.0, 0.0, 1.0]], np.float32)
SHAPE = (96, 128)
VIEWS = {
    "crop": {"center": (60.0, 50.0), "width": 50.0, "angle": 0.0, "size": (64, 64)},
    "turned": {"center": (60.0, 50.0), "width": 70.0, "angle": 0.7, "size": (64, 64)},
    "wide, shrunk": {"center": (66.0, 45.0), "width": 150.0, "angle": -2.5, "size": (48, 96)},
}

warp = jax.jit(aug.warp_image, static_argnames=("taps", "fill"))
change_view = jax.jit(aug.change_view, static_argnames="size")


def change_of(name):
    view = dict(VIEWS[name])
    center = np.asarray(view.pop("center"), np.float32)
    return change_view(INTRINSICS, center=center, **view)


def camera(intrinsics, size=SHAPE):
    return Camera(np.asarray(intrinsics), np.eye(4, dtype=np.float32), size)


def blob(place, sigma=2.5):
    """A picture of one soft spot."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    return np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * sigma**2))[..., None].astype(np.float32)


def spot(image):
    """Centre of mass, pixel coordinates."""
    image = np.asarray(image, np.float64)[..., 0]
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return np.array([(image * x).sum(), (image * y).sum()]) / image.sum()


@pytest.mark.parametrize("name", VIEWS)
def test_a_point_is_where_the_picture_shows_it(name):
    """A 3D point, turned with the labels and projected with the new camera, lies where the warped picture has it."""
    change = change_of(name)
    points = np.array([[-0.1, 0.0, 1.4], [0.0, 0.06, 3.0], [-0.12, -0.04, 0.9]], np.float32)
    old = np.asarray(project(camera(INTRINSICS), points)[0])
    labels = aug.turn_points(points, change)
    new = np.asarray(project(camera(change.intrinsics, change.size), labels)[0])
    np.testing.assert_allclose(new, aug.map_pixels(old, change), atol=1e-3)
    np.testing.assert_allclose(labels[:, 2], points[:, 2], atol=1e-6)  # depth images keep their values
    for place, want in zip(old, new):
        found = spot(warp(blob(place), change, taps=2))
        assert np.abs(found - want).max() < 0.05, (found, want)


def test_positive_angles_turn_right_to_down():
    change = change_view(
        INTRINSICS, center=np.array([70.0, 52.0], np.float32), width=64.0, angle=np.pi / 2, size=(64, 64)
    )
    right = aug.map_pixels(np.array([[85.0, 52.0]], np.float32), change)[0]
    assert abs(right[0] - 32) < 4
    assert right[1] > 40


def test_body_object_and_camera_follow():
    change = change_of("turned")
    model = free_body("test")
    key = jax.random.key(1)
    rng = np.random.default_rng(0)
    params = BodyParams(
        rotations=random_rotation(key, (model.num_joints,), dtype=jnp.float32),
        betas=rng.normal(size=model.num_betas).astype(np.float32),
        translation=np.array([0.2, -0.1, 2.5], np.float32),
    )
    pose = RigidPose(np.asarray(params.rotations[1]), np.array([0.1, 0.3, 2.0], np.float32), np.float32(1.3))
    mesh = rng.normal(size=(20, 3)).astype(np.float32)
    view = np.asarray(look_at(np.array([1.0, 1.0, -3.0], np.float32), np.zeros(3, np.float32)), np.float32)

    @jax.jit
    def pairs(model, params, pose, change, mesh, old):
        """What follows the view, and what it should be."""
        before = pose_body(model, params)
        after = pose_body(model, aug.turn_body(params, aug.rest_pelvis(model, params.betas), change))
        turned = transform_points(aug.turn_object(pose, change), mesh)
        places, depths = project(old, mesh)
        new_places, new_depths = project(aug.new_camera(old, change), mesh)
        return {
            "vertices": (after.vertices, aug.turn_points(before.vertices, change)),
            "joints": (after.joints, aug.turn_points(before.joints, change)),
            "object": (turned, aug.turn_points(transform_points(pose, mesh), change)),
            "depths": (new_depths, depths),
            "pixels": (new_places / 100, aug.map_pixels(places, change) / 100),
        }

    for name, (got, want) in pairs(model, params, pose, change, mesh, Camera(INTRINSICS, view, SHAPE)).items():
        np.testing.assert_allclose(got, want, atol=3e-5, err_msg=name)


def test_an_upright_crop_is_the_picture():
    rng = np.random.default_rng(0)
    image = rng.random((*SHAPE, 3)).astype(np.float32)
    same = change_view(INTRINSICS, center=np.array([64.0, 48.0], np.float32), width=128.0, size=SHAPE)
    np.testing.assert_allclose(warp(image, same), image, atol=2e-5)
    np.testing.assert_allclose(same.intrinsics, INTRINSICS, rtol=1e-6)
    window = change_view(INTRINSICS, center=np.array([40.0, 30.0], np.float32), width=32.0, size=(16, 32))
    np.testing.assert_allclose(warp(image, window), image[22:38, 24:56], atol=2e-5)
    labels = rng.integers(0, 9, SHAPE)
    np.testing.assert_array_equal(aug.warp_labels(labels, window), labels[22:38, 24:56])
    beyond = change_view(INTRINSICS, center=np.array([0.0, 0.0], np.float32), width=32.0, size=(32, 32))
    assert (np.asarray(aug.warp_labels(labels, beyond, fill=-1))[:16, :16] == -1).all()
    assert (np.asarray(warp(image, beyond, fill=0.5))[:15, :15] == 0.5).all()


def test_shrinking_does_not_alias():
    """Stripes one pixel wide, shrunk by four: grey with enough taps, false stripes with one."""
    stripes = np.zeros((256, 256, 1), np.float32)
    stripes[:, ::2] = 1
    size, center = (50, 50), np.array([128.0, 128.0], np.float32)
    focal = np.diag([200.0, 200.0, 1.0]).astype(np.float32)
    change = change_view(focal, center=center, width=200.0, angle=0.3, size=size)
    assert aug.taps_for(200, size) == 4
    assert aug.taps_for(30, size) == 1
    one, four = (np.asarray(warp(stripes, change, taps=taps)) for taps in (1, 4))
    assert one.std() > 0.15
    assert four.std() < 0.05
    assert abs(four.mean() - 0.5) < 0.01


def test_area_of_a_mask_scales():
    mask = np.zeros(SHAPE, bool)
    mask[30:60, 40:90] = True
    change = change_of("turned")
    area = float(np.asarray(aug.warp_labels(mask, change)).sum())
    grown = float(np.linalg.det(np.asarray(change.pixels)[:, :2]))
    soft = float(np.asarray(warp(mask[..., None].astype(np.float32), change)).sum())
    assert area == pytest.approx(mask.sum() * grown, rel=0.02)
    assert soft == pytest.approx(mask.sum() * grown, rel=0.02)


@pytest.fixture(scope="module")
def batch():
    """Sixty-four augmented pictures of one spot, by one compiled, batched function."""
    config = aug.AugmentConfig(shift=0.05, contrast=0.1, occluders=3)
    image = np.broadcast_to(0.2 + 0.5 * blob((60.0, 50.0)), (*SHAPE, 3))

    def one(key):
        return aug.augment(
            key,
            image,
            INTRINSICS,
            center=np.array([60.0, 50.0], np.float32),
            width=70.0,
            size=(40, 40),
            config=config,
        )

    run = jax.jit(jax.vmap(one))
    return run, run(aug.sample_keys(jax.random.key(0), np.arange(64)))


def test_choices_have_the_recipe_s_range(batch):
    _, out = batch
    angle = np.arctan2(out.change.rotation[:, 1, 0], out.change.rotation[:, 0, 0])
    zoom = np.asarray(out.change.intrinsics[:, 0, 0]) / INTRINSICS[0, 0] * 70.0 / 40.0
    assert np.abs(angle).max() <= np.radians(60) + 1e-5
    assert 0.2 < (angle == 0).mean() < 0.6
    assert zoom.min() >= 1 / 1.2 - 1e-4
    assert zoom.max() <= 1 / 0.8 + 1e-4
    assert np.ptp(zoom) > 0.2
    assert float(out.image.min()) >= 0
    assert float(out.image.max()) <= 1


def test_occluders_hide_what_they_say(batch):
    _, out = batch
    hidden = 1 - np.asarray(out.visible).mean(axis=(1, 2))
    assert (hidden > 0).mean() > 0.5
    assert 0.02 < hidden.mean() < 0.3
    picture, visible = aug.occlude(jax.random.key(5), np.full((30, 40, 3), 0.3, np.float32), count=6)
    assert (np.asarray(picture)[np.asarray(visible)] == np.float32(0.3)).all()
    assert (np.asarray(picture)[~np.asarray(visible)] != np.float32(0.3)).all()
    assert not np.asarray(visible).all()


def test_keys_go_with_the_place_in_the_stream(batch):
    run, out = batch
    again = run(aug.sample_keys(jax.random.key(0), np.arange(64)[::-1]))
    np.testing.assert_array_equal(again.image[::-1], out.image)
    assert len({np.asarray(i).tobytes() for i in out.image}) == 64


def test_colours_keep_their_mean_and_range():
    keys = jax.random.split(jax.random.key(2), 400)
    flat = np.full((2, 2, 3), 0.5, np.float32)
    jittered = np.asarray(jax.vmap(lambda k: aug.jitter_colors(k, flat))(keys))[:, 0, 0]
    assert jittered.min() >= 0.4 - 1e-6
    assert jittered.max() <= 0.6 + 1e-6
    np.testing.assert_allclose(jittered.mean(axis=0), 0.5, atol=0.01)
    assert np.abs(np.corrcoef(jittered.T) - np.eye(3)).max() < 0.2  # channels on their own
