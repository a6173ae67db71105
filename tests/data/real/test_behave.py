"""BEHAVE's conventions on a small copy of its layout."""

import json
import pickle
import re

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.camera import project
from hoijax.data.real import DATASETS, Defect, HOIFrame, read_all
from hoijax.data.real import behave as reader
from hoijax.errors import InputError


def test_scan_finds_frames_splits_and_names_what_is_missing(behave):
    index = DATASETS["behave"].scan(behave)
    assert [(i.key, i.split) for i in index.items] == [
        ("Date01_Sub01_chairwood_sit/t0003.000", "train"),
        ("Date01_Sub01_chairwood_sit/t0004.000", "train"),
        ("Date03_Sub03_boxlarge/t0003.000", "test"),
    ]
    assert [str(p) for p in index.problems] == [
        "sequences/Date02_Sub02_stool: no frame with both fits among 0 frames",
        "sequences/Date03_Sub03_boxlarge/t0004.000: no fit of boxlarge",
    ]


def test_split_file_overrules_the_date(behave):
    splits = {"train": ["Date03_Sub03_boxlarge"], "test": ["Date01_Sub01_chairwood_sit"]}
    (behave / "split.json").write_text(json.dumps(splits))
    found = {i.key.split("/")[0]: i.split for i in DATASETS["behave"].scan(behave).items}
    assert found == {"Date01_Sub01_chairwood_sit": "test", "Date03_Sub03_boxlarge": "train"}


def test_parameters_come_out_in_the_fields_keys(behave):
    index = DATASETS["behave"].scan(behave)
    frame = DATASETS["behave"].read(index, index.items[0])
    folder = behave / "sequences/Date01_Sub01_chairwood_sit/t0003.000"
    person = pickle.loads((folder / "person/fit02/person_fit.pkl").read_bytes())
    obj = pickle.loads((folder / "chair/fit01/chair_fit.pkl").read_bytes())
    assert isinstance(frame, HOIFrame)
    assert (frame.gender, frame.object_name, frame.body_kind, frame.flat_hands) == ("male", "chairwood", "smplh", True)
    body = frame.body
    pose = np.concatenate([body[k] for k in ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose")])
    np.testing.assert_allclose(pose, person["pose"], rtol=1e-6)
    np.testing.assert_allclose(body["transl"], person["trans"], rtol=1e-6)
    np.testing.assert_allclose(frame.obj_rot, obj["angle"], rtol=1e-6)
    assert frame.images["k1"] == "sequences/Date01_Sub01_chairwood_sit/t0003.000/k1.color.jpg"


def test_templates_are_centred_by_the_simplified_meshs_vertex_mean(behave):
    simplified = trimesh.load(behave / "objects/chairwood/chairwood_f2500.ply", process=False)
    centre = simplified.vertices.mean(axis=0)
    np.testing.assert_allclose(reader.object_template(behave, "chairwood").vertices.mean(axis=0), 0, atol=1e-6)
    full = reader.object_template(behave, "chairwood", full=True)
    scan = trimesh.load(behave / "objects/chairwood/chairwood.obj", process=False)
    assert len(full.vertices) > len(simplified.vertices)
    np.testing.assert_allclose(np.sort(full.vertices, 0), np.sort(scan.vertices - centre, 0), atol=1e-6)
    with pytest.raises(InputError, match="no object 'sofa'"):
        reader.object_template(behave, "sofa")
    with pytest.raises(InputError, match="no template .*stool_f1000.ply"):
        reader.object_template(behave, "stool")


def test_calibration_is_camera_to_world(behave, behave_calibration):
    rotation, translation = behave_calibration
    camera = reader.camera(behave, "Date03", "k2")
    assert camera.image_size == (1536, 2048)
    # A point two metres before the lens, on the optical axis, carried to the world by the file's own transform.
    world = rotation @ np.array([0.0, 0.0, 2.0]) + translation
    pixel, depth = project(camera, world[None].astype(np.float32))
    np.testing.assert_allclose(pixel[0], [1018.952, 779.486], rtol=1e-5)
    np.testing.assert_allclose(depth[0], 2.0, rtol=1e-5)
    with pytest.raises(InputError, match="cannot read config.json"):
        reader.camera(behave, "Date09", "k2")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"angle": np.zeros(4), "trans": np.zeros(3)}, r"'angle' has shape \(4,\), wanted \(3,\)"),
        ({"trans": np.zeros(3)}, "'angle' is missing"),
        ({"angle": np.full(3, np.nan), "trans": np.zeros(3)}, "'angle' holds values that are not finite"),
        (None, "boxlarge_fit.pkl"),
    ],
)
def test_a_broken_fit_is_named_and_the_rest_is_read(behave, broken, message):
    path = behave / "sequences/Date03_Sub03_boxlarge/t0003.000/boxlarge/fit01/boxlarge_fit.pkl"
    path.write_bytes(path.read_bytes()[:40] if broken is None else pickle.dumps(broken, protocol=2))
    index = DATASETS["behave"].scan(behave)
    found = dict((item.key, sample) for item, sample in read_all(DATASETS["behave"], index))
    problem = found.pop("Date03_Sub03_boxlarge/t0003.000")
    assert isinstance(problem, Defect)
    assert re.search(message, str(problem))
    assert len(found) == 2 and all(isinstance(s, HOIFrame) for s in found.values())


def test_the_thirty_fps_package_is_cut_to_the_shorter_track(behave, rng):
    folder = behave / "sequences/Date03_Sub03_boxlarge"
    times = np.array(["t0003.000", "t0003.033", "t0003.067"])
    tracks = {"poses": rng.normal(size=(3, 156)), "betas": rng.normal(size=(3, 10)), "trans": rng.normal(size=(3, 3))}
    np.savez(folder / "smpl_fit_all.npz", frame_times=times, gender="male", **tracks)
    angles, trans = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    np.savez(folder / "object_fit_all.npz", angles=angles, trans=trans, frame_times=times[:2])
    dataset = DATASETS["behave_30fps"]
    index = dataset.scan(behave)
    assert [i.key for i in index.items] == ["Date03_Sub03_boxlarge/00000", "Date03_Sub03_boxlarge/00001"]
    assert "3 body and 2 object frames: cut to 2" in " ".join(map(str, index.problems))
    frame = dataset.read(index, index.items[1])
    assert (frame.frame, frame.gender, frame.object_name) == ("t0003.033", "male", "boxlarge")
    np.testing.assert_allclose(frame.body["right_hand_pose"], tracks["poses"][1, 111:], rtol=1e-6)
    np.testing.assert_allclose(frame.obj_rot, angles[1], rtol=1e-6)


def test_posed_template_follows_the_stated_formula(behave):
    index = DATASETS["behave"].scan(behave)
    frame = DATASETS["behave"].read(index, index.items[0])
    mesh = reader.object_template(behave, "chairwood")
    rotation = Rotation.from_rotvec(frame.obj_rot).as_matrix()
    posed = mesh.vertices @ rotation.T + frame.obj_trans
    np.testing.assert_allclose(posed.mean(axis=0), frame.obj_trans, atol=1e-5)


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not look like BEHAVE: wanted sequences in it"):
        DATASETS["behave"].scan(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        DATASETS["behave"].scan(tmp_path / "nothing")
