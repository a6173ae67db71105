"""ScoreHOI's training: samples agree with the geometry they stand for, runs resume bit for bit, losses fall."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.data.augmentation import AugmentConfig
from hoijax.data.loading import Loader, LoaderConfig
from hoijax.errors import InputError
from hoijax.experiments.scorehoi import train as training
from hoijax.experiments.scorehoi.augmentation import PLAIN, augment_batch
from hoijax.experiments.scorehoi.made_up import MadeUp
from hoijax.experiments.scorehoi.samples import truth_from_synth
from hoijax.experiments.scorehoi.stages import RegressorStage, layout_of
from hoijax.geometry import rotation_from_6d
from hoijax.interaction import GRAVITY_CAMERA
from hoijax.nets.scorehoi.state import unpack
from hoijax.nets.weights import load_network, read_facts
from hoijax.systems.scorehoi import GuidedScene, pose_hoi_state
from hoijax.systems.scorehoi.inputs import crop, crop_box, geometry_feature
from hoijax.systems.scorehoi.networks import BodyConfig

BODY = BodyConfig("test", 48)
QUICK = {"xla_backend_optimization_level": 0}


@pytest.fixture(scope="module")
def source():
    return MadeUp(layout_of("tiny", BODY), count=6)


@pytest.fixture(scope="module")
def samples(source):
    """Every sample, made once."""
    return [source[i] for i in range(len(source))]


def test_samples_are_functions_of_their_index(source, samples):
    for name, value in source[3].items():
        np.testing.assert_array_equal(value, samples[3][name], err_msg=name)
    assert not np.array_equal(samples[3]["state"], samples[4]["state"])


def test_a_sample_shows_what_its_state_says(source, samples):
    """Posed again, the state has the joints, points, contacts and pixels of the sample."""
    sample, truth = samples[2], source.truth(2)
    stage = RegressorStage("tiny", BODY)
    scene = GuidedScene(points=sample["points"][None], sdf=None, gravity=jnp.asarray([GRAVITY_CAMERA], jnp.float32))
    posed = jax.jit(lambda x: pose_hoi_state(stage.body, scene, x), compiler_options=QUICK)(sample["state"][None])
    pelvis = truth.keypoints[0]
    np.testing.assert_allclose(posed.joints[0], truth.keypoints[:52] - pelvis, atol=1e-4)
    points = truth.points @ truth.object_rotation.T + truth.object_translation
    np.testing.assert_allclose(posed.points[0], points - pelvis, atol=1e-4)
    gap = np.linalg.norm(np.asarray(posed.vertices[0])[:, None] - np.asarray(posed.points[0]), axis=-1)
    assert np.mean((gap.min(axis=1) < 0.05) == sample["body_contact"]) > 0.95
    np.testing.assert_allclose(
        rotation_from_6d(unpack(sample["state"]).object_rotation), truth.object_rotation, atol=1e-5
    )
    # The crop: the person fills its masks, and joints fall on them.
    human, obj = sample["image"][..., 3], sample["image"][..., 4]
    assert human.sum() > 100 and obj.sum() > 10
    side = sample["image"].shape[0]
    column, row = np.clip((sample["joints_2d"][[0, 3, 6, 9]] + 0.5) * side, 0, side - 1).astype(int).T
    near = [human[max(r - 6, 0) : r + 7, max(c - 6, 0) : c + 7].any() for r, c in zip(row, column)]
    assert all(near)
    low, high = sample["hand_boxes"][0]
    assert np.all(low < high) and np.allclose(high[0] - low[0], high[1] - low[1])


def test_crops_keep_pixels_where_the_box_says():
    picture = np.zeros((40, 60), np.uint8)
    picture[10:30, 20:40] = 255
    low, side = crop_box(picture > 0, np.zeros((1, 2)))
    np.testing.assert_allclose(low, [30 - 13, 20 - 13])
    assert side == pytest.approx(26)
    small = crop(picture, low, side, 13)
    np.testing.assert_allclose(small.mean(), (20 / 26) ** 2, atol=0.02)
    np.testing.assert_allclose(small[6], small[:, 6], atol=1e-6)
    # Nothing is seen: the keypoints decide.
    low, side = crop_box(np.zeros((40, 60), bool), np.array([[10.0, 10.0], [20.0, 30.0]]))
    np.testing.assert_allclose(low + side / 2, [15, 20])


def test_the_geometry_feature_tells_objects_apart_and_not_the_order_of_points():
    points = np.random.default_rng(0).normal(size=(64, 3))
    feature = geometry_feature(points, 8)
    np.testing.assert_array_equal(feature, geometry_feature(points[::-1], 8))
    assert np.abs(feature - geometry_feature(0.5 * points, 8)).max() > 0.01


def test_augmentation_turns_picture_and_labels_together(source):
    """Before and after, the joints fall on the same things, and the turned state is the scene turned about z."""
    layout = dataclasses.replace(source.layout, margin=1.5)
    wide, plain = dataclasses.replace(source, layout=layout)[1], source[1]
    assert wide["image"].shape == (192, 192, 5)
    batch = jax.tree.map(lambda x: np.stack([x] * 4), wide)
    turning = AugmentConfig(rotation_probability=1.0)

    @jax.jit
    def run(key, batch):
        return augment_batch(key, batch, 128, turning), augment_batch(key, batch, 128, PLAIN)

    turned, same = run(jax.random.key(3), batch)
    for name in ("image", "joints_2d", "positional", "hand_boxes", "state"):
        near = np.abs(np.asarray(same[name][0]) - plain[name])
        # The middle of the wide crop is the plain one, but for half pixels at the masks' edges.
        assert near.mean() < 0.01 and (name == "image" or near.max() < 1e-4), name
    stage = RegressorStage("tiny", BODY)
    scene = GuidedScene(
        points=batch["points"], sdf=None, gravity=jnp.tile(jnp.asarray(GRAVITY_CAMERA, jnp.float32), (4, 1))
    )
    pose = jax.jit(lambda x: pose_hoi_state(stage.body, scene, x), compiler_options=QUICK)
    before, after = pose(batch["state"]), pose(turned["state"])
    angles = []
    for i in range(4):
        # One rotation about z takes all joints and object points along.
        a, b = (np.concatenate([np.asarray(p.joints[i]), np.asarray(p.points[i])]) for p in (before, after))
        np.testing.assert_allclose(a[:, 2], b[:, 2], atol=2e-5)
        flat, new = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1]
        turn = np.vdot(flat, new) / np.vdot(flat, flat)
        np.testing.assert_allclose(new, turn * flat, atol=2e-5)
        places = [np.asarray(p["joints_2d"][i]) @ np.array([1, 1j]) for p in (batch, turned)]
        zoom = np.vdot(*places) / np.vdot(places[0], places[0])
        np.testing.assert_allclose(places[1], zoom * places[0], atol=1e-5)
        np.testing.assert_allclose(np.angle(zoom), np.angle(turn), atol=1e-4)
        assert 1 / 1.2 - 1e-4 <= abs(zoom) <= 1 / 0.8 + 1e-4
        angles.append(np.angle(turn))
        # Joints of the trunk still fall on the person's mask.
        column, row = np.clip((np.asarray(turned["joints_2d"][i])[[0, 3, 6, 9]] + 0.5) * 128, 0, 127).astype(int).T
        human = np.asarray(turned["image"][i, ..., 3])
        assert all(human[max(r - 8, 0) : r + 9, max(c - 8, 0) : c + 9].any() for r, c in zip(row, column))
    assert np.ptp(angles) > 0.05 and np.max(np.abs(angles)) <= np.radians(60) + 1e-4


def config(out, **changes):
    given = {"size": "tiny", "level": "test", "vertices": 48, "batch": 2, "log_every": 1, "save_every": 50}
    return training.configure(out=out, augment=False, **given | changes)


def run(config, source, trainer):
    # Optax and the networks' statistics mix dtypes, as they may outside this suite.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"), jax.enable_x64(False):
        return training.train(config, source, trainer=trainer)


def make_trainer(config):
    with jax.enable_x64(False):
        return training.make_trainer(config, QUICK)


@pytest.fixture(scope="module")
def first(tmp_path_factory, samples):
    """A run of stage 1, its compiled programs, and where it lies."""
    out = tmp_path_factory.mktemp("regressor")
    settings = config(out / "whole", steps=12, rate=3e-3)
    trainer = make_trainer(settings)
    return out, settings, trainer, run(settings, samples, trainer)


def assert_same_run(a, b, folder, other):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)
    assert (folder / "metrics.jsonl").read_text() == (other / "metrics.jsonl").read_text()
    assert (folder / "weights.safetensors").read_bytes() == (other / "weights.safetensors").read_bytes()


@pytest.mark.slow
def test_regressor_learns_and_a_stopped_run_ends_the_same(first, samples):
    out, settings, trainer, whole = first
    rows = [json.loads(line) for line in (settings.out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert np.mean([row["total"] for row in rows[-3:]]) < 0.8 * np.mean([row["total"] for row in rows[:3]])
    halves = dataclasses.replace(settings, out=out / "halves")
    stopped = run(dataclasses.replace(halves, until=5), samples, trainer)
    assert int(stopped.step) == 5 and not (halves.out / "weights.safetensors").exists()
    assert_same_run(whole, run(halves, samples, trainer), settings.out, halves.out)
    with pytest.raises(InputError, match="another rate"):
        run(dataclasses.replace(settings, rate=1e-4), samples, trainer)


@pytest.mark.slow
def test_denoiser_learns_under_the_frozen_regressor_and_resumes(first, samples):
    out, regressor = first[0], first[1].out / "weights.safetensors"
    assert read_facts(regressor)["steps"] == 12
    settings = config(out / "denoiser", steps=40, rate=1e-2, stage=2, first=regressor)
    trainer = make_trainer(settings)
    whole = run(settings, samples, trainer)
    rows = [json.loads(line) for line in (settings.out / "metrics.jsonl").read_text().splitlines()]
    assert np.mean([r["total"] for r in rows[-8:]]) < 0.9 * np.mean([r["total"] for r in rows[:4]])
    halves = dataclasses.replace(settings, out=out / "denoiser_halves")
    run(dataclasses.replace(halves, until=7), samples, trainer)
    assert_same_run(whole, run(halves, samples, trainer), settings.out, halves.out)
    # The averaged weights are what was kept.
    build = trainer.task.stage.build
    network = load_network(settings.out / "weights.safetensors", build)
    np.testing.assert_array_equal(network.norm.scale[...], whole.average["norm"]["scale"][...])
    with pytest.raises(InputError, match="not of this network"):
        load_network(regressor, build)


@pytest.mark.slow
def test_pictures_are_seen_once_and_a_pooled_denoiser_learns_from_that(first, samples):
    """`passes` keeps what the frozen backbone sees of every picture, in order."""
    out, regressor = first[0], first[1].out / "weights.safetensors"
    settings = config(
        out / "seen", steps=80, rate=1e-2, stage=2, first=regressor, passes=2, attention="pooled", levels=100,
        cosine=True,
    )  # fmt: skip
    trainer = make_trainer(settings)
    run(settings, samples, trainer)
    with np.load(settings.out / "seen.npz") as seen:
        assert seen["cells"].shape == (12, 1, 128) and seen["state"].shape == (12, 331)
        # Without augmentation both passes see the same.
        np.testing.assert_array_equal(seen["cells"][:6], seen["cells"][6:])
        np.testing.assert_array_equal(seen["state"][3], samples[3]["state"])
        with jax.enable_x64(False):
            batch = jax.tree.map(lambda x: x[None], samples[3])
            want = jax.jit(trainer.task.stage.cells, compiler_options=QUICK)(batch)
        np.testing.assert_allclose(seen["cells"][3], want[0], atol=2e-2, rtol=2e-3)  # kept as float16
    rows = [json.loads(line) for line in (settings.out / "metrics.jsonl").read_text().splitlines()]
    assert np.mean([r["total"] for r in rows[-6:]]) < 0.9 * np.mean([r["total"] for r in rows[:4]])
    assert read_facts(settings.out / "weights.safetensors")["attention"] == "pooled"


def test_batches_hold_whole_samples(samples):
    batch = Loader(samples, LoaderConfig(batch_size=2, threads=0))[1]
    assert batch["image"].shape == (2, 128, 128, 5) and batch["state"].shape == (2, 331)
    assert all(value.dtype == np.float32 for name, value in batch.items() if name != "position")


def test_wrong_settings_are_refused(tmp_path):
    for changes, message in (
        ({"stage": 3}, "stage must be one of"),
        ({"dataset": "synth_hoi"}, "needs --root"),
        ({"dataset": "synth_hoi", "root": tmp_path, "level": "test"}, "contact labels are of the level 'default'"),
        ({"stage": 2}, "needs --first"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"share": 0.0}, "share is a fraction"),
        ({"dataset": "views"}, "needs --views"),
    ):
        with pytest.raises(InputError, match=message):
            training.configure(out=tmp_path, **changes)
    with pytest.raises(InputError, match="cannot read weights"):
        training.make_stage(training.configure(out=tmp_path, stage=2, size="tiny", first=tmp_path / "none"))
    with pytest.raises(InputError, match="without obj_rot"):
        truth_from_synth({"human_mask": 0, "object_points": 0, "T_camera_world": 0})
