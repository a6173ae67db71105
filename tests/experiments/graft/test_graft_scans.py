"""PROX and RICH as GRAFT's training data: made-up bodies on made-up scans, in the published layouts."""

import json
import pickle

import jax
import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, load, pose_body
from hoijax.errors import InputError
from hoijax.experiments.benchmarks.made_up import made_up_tables
from hoijax.experiments.graft import rich_labels
from hoijax.experiments.graft import train as training
from hoijax.experiments.graft.bodies import body_of
from hoijax.experiments.graft.evaluate import Config as EvaluationConfig
from hoijax.experiments.graft.evaluate import make_sources
from hoijax.experiments.graft.losses import LossWeights
from hoijax.experiments.graft.samples import sample_points
from hoijax.experiments.graft.scans import NEAR, SCANS, ScannedScenes
from hoijax.systems.graft import body_spec, trained_probes

SIZES = {"global_orient": 3, "body_pose": 63, "betas": 10, "transl": 3, "left_hand_pose": 12, "right_hand_pose": 12}
TILT = Rotation.from_euler("x", -15, degrees=True).as_matrix()
"""The first camera looks down a little, 1.2 m above the floor; its y points down, that of PROX's scan up."""
CAMERA = np.block(
    [[np.diag([1.0, -1.0, -1.0]) @ TILT.T, np.array([[0.1], [1.2], [0.3]])], [np.zeros((1, 3)), np.ones((1, 1))]]
)
TURN, MOVE = Rotation.from_euler("y", 25, degrees=True).as_matrix(), np.array([0.4, 0.1, 0.5])
"""Of RICH's second camera."""


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    """SMPL-X of three genders; the man is the neutral body with another mean and other shape coefficients."""
    folder = tmp_path_factory.mktemp("bodies")
    rng = np.random.default_rng(0)
    tables = made_up_tables("smplx", num_shapes=20, num_vertices=660)
    shapes = tables["shapedirs"][..., :10]
    man = tables | {"v_template": tables["v_template"] + shapes @ rng.normal(size=10)}
    mixed = shapes @ (np.eye(10) + 0.3 * rng.normal(size=(10, 10)))
    man["shapedirs"] = np.concatenate([mixed, tables["shapedirs"][..., 10:]], axis=-1)
    for gender, values in (("NEUTRAL", tables), ("FEMALE", tables), ("MALE", man)):
        np.savez(folder / f"SMPLX_{gender}.npz", **values)
    return folder


def fit(seed, depth=3.0):
    rng = np.random.default_rng(seed)
    values = {name: 0.3 * rng.normal(size=(1, size)).astype(np.float32) for name, size in SIZES.items()}
    values["transl"] = np.array([[0.2, 1.1, depth]], np.float32)
    return values


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))


def floor(height=0.0):
    """A floor whose normal is +y, cut finely."""
    corners = np.array([[-6, height, -6], [6, height, -6], [6, height, 6], [-6, height, 6]], float)
    return trimesh.Trimesh(corners, [[0, 2, 1], [0, 3, 2]], process=False).subdivide_to_size(0.5)


@pytest.fixture(scope="module")
def prox(tmp_path_factory):
    root = tmp_path_factory.mktemp("prox")
    for recording in ("N3Office_00139_01", "MPH16_00157_01"):
        for frame in range(2):
            dump(root / f"fittings/PROX/{recording}/results/s001_frame_{frame:05d}/000.pkl", fit(frame))
    (root / "fittings/PROX/N3Office_00139_01/results/s001_frame_00002").mkdir()
    for scene in ("N3Office", "MPH16"):
        for folder in ("scenes", "cam2world"):
            (root / folder).mkdir(exist_ok=True)
        floor().export(root / f"scenes/{scene}.ply")
        (root / f"cam2world/{scene}.json").write_text(json.dumps(CAMERA.tolist()))
    return root


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    root = tmp_path_factory.mktemp("rich")
    for split, sequence in (("train", "ParkingLot1_005_pushup2"), ("test", "Gym_010_cooking1")):
        subject = sequence.split("_")[1]
        dump(root / f"bodies/{split}/{sequence}/00150/{subject}.pkl", fit(3) | {"jaw_pose": np.zeros((1, 3))})
    for capture, name in (("ParkingLot1", "scan_camcoord"), ("Gym", "scan_table_camcoord")):
        folder = root / f"scan_calibration/{capture}/calibration"
        folder.mkdir(parents=True)
        # The first camera's frame: y down.
        mesh = floor()
        mesh.vertices = (mesh.vertices * [1, -1, -1] + [0, 1.2, 0]) @ TILT.T
        mesh.export(folder.parent / f"{name}.ply")
        # The first camera looks away.
        poses = (np.diag([1.0, -1.0, -1.0]), np.zeros(3)), (TURN, MOVE)
        for number, (turn, move) in enumerate(poses):
            pose = " ".join(map(str, np.concatenate([turn, move[:, None]], axis=1).ravel()))
            tags = {"CameraMatrix": pose, "Intrinsics": "3000 0 2056 0 3000 1504 0 0 1", "Distortion": "0 0"}
            text = "".join(f"<{tag}><data>{value}</data></{tag}>" for tag, value in tags.items())
            (folder / f"{number:03d}.xml").write_text(f"<opencv_storage>{text}</opencv_storage>")
    return root


@pytest.fixture(scope="module")
def model(bodies):
    return body_of("light", bodies)


@pytest.fixture(scope="module")
def spec(model):
    return body_spec(model)


_posed = jax.jit(pose_body)


def truth_of(model, sample):
    return np.asarray(_posed(model, sample.truth).vertices)


def fitted(bodies, gender, seed):
    """The surface that the data set's own body has."""
    own = load(bodies / f"SMPLX_{gender}.npz", hand_pca=12)
    values = {name: value[0] for name, value in fit(seed).items()}
    return np.asarray(_posed(own, BodyParams.from_axis_angle(own, **values)).vertices)


@pytest.mark.slow
def test_a_frame_of_prox_is_a_body_above_the_scans_floor(prox, bodies, model, spec):
    scenes = ScannedScenes("prox", prox, "train", bodies, model, spec, points=2000)
    assert len(scenes) == 2 and "missing" in str(scenes.problems[0])
    sample = scenes[1]
    np.testing.assert_allclose(truth_of(model, sample), fitted(bodies, "MALE", 1), atol=2e-4)
    points, normals = sample_points(sample)
    np.testing.assert_allclose((points @ CAMERA[:3, :3].T + CAMERA[:3, 3])[:, 1], 0, atol=1e-4)
    np.testing.assert_allclose(normals @ CAMERA[:3, :3].T, np.broadcast_to([0, 1, 0], normals.shape), atol=1e-4)
    again = scenes[1]
    for a, b in zip(jax.tree.leaves(sample), jax.tree.leaves(again)):
        np.testing.assert_array_equal(a, b)
    assert len(ScannedScenes("prox", prox, "test", bodies, model, spec)) == 2


def test_rich_is_seen_by_a_camera_that_has_the_person_before_it(rich, bodies, model, spec):
    scenes = ScannedScenes("rich_scenes", rich, "train", bodies, model, spec, points=2000)
    sample = scenes[0]
    np.testing.assert_allclose(truth_of(model, sample), fitted(bodies, "MALE", 3) @ TURN.T + MOVE, atol=2e-4)
    points, normals = sample_points(sample)
    heights = ((points - MOVE) @ TURN @ TILT)[:, 1] - 1.2
    np.testing.assert_allclose(heights, 0, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    pelvis = np.asarray(_posed(model, sample.truth).joints)[0]
    assert (np.linalg.norm(points - pelvis, axis=1) < NEAR).mean() == pytest.approx(0.5, abs=0.02)
    seen = ScannedScenes("rich_scenes", rich, "train", bodies, model, spec, points=2000, views=1.0)[0]
    points, normals = sample_points(seen)
    assert len(points) > 500 and points[:, 2].min() > 0 and np.all(np.sum(points * normals, axis=1) < 0)
    heights = np.abs(((points - MOVE) @ TURN @ TILT)[:, 1] - 1.2)
    assert np.median(heights) < 0.03  # the warp is a hundredth or two of the depth
    women = ScannedScenes("rich_scenes", rich, "test", bodies, model, spec, points=500)
    assert women.items[0].key == "Gym_010_cooking1/00150/010" and len(women[0].truth.betas) == 10


def test_labels_of_rich_are_compared_with_the_way_to_the_scan(rich, bodies, monkeypatch):
    monkeypatch.setattr("hoijax.data.real.rich._VERTICES", 660)
    asked = rich_labels.Config(root=rich, body_model=bodies, out=rich, split="train")
    with pytest.raises(InputError, match="no label of the 1 bodies"):
        rich_labels.measure(asked)
    vertices = fitted(bodies, "MALE", 3)
    up = np.array([0, -1.0, 0]) @ TILT.T  # of the floor, 1.2 m below the first camera
    height = vertices @ up + 1.2
    label = {"contact": np.zeros(6890), "s2m_dist_id": (-height[:, None] * up).astype(np.float32)}
    dump(rich / "hsc/train/ParkingLot1_005_pushup2/00150/005.pkl", label)
    found = rich_labels.measure(asked)
    assert found["bodies"] == 1 and found["below 1 mm"] == 1 and found["95 %, mm"] < 0.1
    label["s2m_dist_id"][:, 1] += 0.01
    dump(rich / "hsc/train/ParkingLot1_005_pushup2/00150/005.pkl", label)
    assert rich_labels.measure(asked)["median, mm"] == pytest.approx(10, abs=0.1)


def test_what_cannot_be_trained_on_scans_is_refused(prox, bodies, model, spec, tmp_path):
    from hoijax.body_models import free_body

    free = free_body("test")
    with pytest.raises(InputError, match="a free body cannot be trained"):
        ScannedScenes("prox", prox, "train", bodies, free, body_spec(free))
    with pytest.raises(InputError, match=f"of {', '.join(SCANS)}; got 'behave'"):
        ScannedScenes("behave", prox, "train", bodies, model, spec)
    with pytest.raises(InputError, match="no frame of 'val' can be used, first fittings"):
        ScannedScenes("prox", prox, "val", bodies, model, spec)
    with pytest.raises(InputError, match="wants --root"):
        training.Config(out=tmp_path, scans="prox")
    with pytest.raises(InputError, match="SynthHOI's people are the free body"):
        training.Config(out=tmp_path, synth=tmp_path, scans="prox", root=prox, body_model=bodies)


def test_scans_are_mixed_with_rooms_of_smplx_bodies_and_scored(prox, bodies, model, spec, tmp_path):
    config = training.Config(
        out=tmp_path, scans="prox", root=prox, body_model=bodies, mixed=0.5, rooms=2, batch=2, points=256,
        loss_vertices=64, views=0.5, weights=LossWeights(heights=1.0),
    )  # fmt: skip
    source = training.make_source(config, training.training_bodies(config))
    assert len(source) == 4
    room, scan = source[0], source[3]
    assert room.truth.betas.shape == scan.truth.betas.shape == (10,) and len(scan.touch.closeness) == 64
    assert jax.tree.map(np.shape, room) == jax.tree.map(np.shape, scan)
    facts = {"body": "smplx", "probe_vertices": np.asarray(spec.probe_vertices).tolist()}
    np.testing.assert_array_equal(trained_probes(model, facts), spec.probe_vertices)
    assert trained_probes(model, {}) is None and trained_probes(model, facts | {"body": "smplh"}) is None
    asked = EvaluationConfig(
        rooms=4, others=False, scans="prox", root=prox, body_model=bodies, points=512, split="test"
    )
    sources = make_sources(asked, model, spec)
    assert list(sources) == ["made-up rooms", "prox"] and len(sources["prox"]) == 2
    assert len(sample_points(sources["prox"][1])[0]) <= 512
