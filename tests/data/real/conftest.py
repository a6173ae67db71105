"""Small datasets written in exactly the published on-disk layouts: file names, keys, dtypes."""

import json
import pickle

import numpy as np
import pytest
import trimesh


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))


def dump_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def smplh_fit(rng, betas=10):
    return {"pose": rng.normal(size=156), "betas": rng.normal(size=betas), "trans": rng.normal(size=3)}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def behave(tmp_path, rng):
    """Two sequences: one whose object folder has the detector's name, one of the test date with a missing fit."""
    root = tmp_path / "behave"
    for name, cat, folder in (
        ("Date01_Sub01_chairwood_sit", "chairwood", "chair"),
        ("Date03_Sub03_boxlarge", "boxlarge", "boxlarge"),
    ):
        sequence = root / "sequences" / name
        dump_json(sequence / "info.json", {"cat": cat, "gender": "male", "kinects": [0, 1, 2, 3]})
        for t in ("t0003.000", "t0004.000"):
            dump(sequence / t / "person/fit02/person_fit.pkl", smplh_fit(rng))
            if (name, t) != ("Date03_Sub03_boxlarge", "t0004.000"):
                fit = {"angle": rng.normal(size=3), "trans": rng.normal(size=3)}
                dump(sequence / t / folder / "fit01" / f"{folder}_fit.pkl", fit)
    dump_json(root / "sequences/Date02_Sub02_stool/info.json", {"cat": "stool", "gender": "female"})
    templates = root / "objects/chairwood"
    templates.mkdir(parents=True)
    box = trimesh.creation.box((0.4, 0.8, 0.4)).apply_translation((1.0, 2.0, 3.0))
    box.export(templates / "chairwood_f2500.ply")
    box.subdivide().export(templates / "chairwood.obj")
    return root


@pytest.fixture
def behave_calibration(behave):
    from scipy.spatial.transform import Rotation

    rotation, translation = Rotation.from_rotvec([0.1, -0.4, 0.2]).as_matrix(), np.array([0.5, -0.2, 1.0])
    config = {"rotation": rotation.ravel().tolist(), "translation": translation.tolist()}
    dump_json(behave / "calibs/Date03/config/k2/config.json", config)
    colour = {"fx": 979.784, "fy": 979.84, "cx": 1018.952, "cy": 779.486, "width": 2048, "height": 1536}
    dump_json(behave / "calibs/intrinsics/k2/calibration.json", {"color": colour})
    return rotation, translation


@pytest.fixture
def intercap(tmp_path, rng):
    root = tmp_path / "intercap"
    sizes = {
        "global_orient": 3, "body_pose": 63, "left_hand_pose": 12, "right_hand_pose": 12, "betas": 10, "transl": 3,
        "ob_pose": 3, "ob_trans": 3,
    }  # fmt: skip
    results = {k: rng.normal(size=(3, n)).astype(np.float32) for k, n in sizes.items()}
    dump(root / "Res/01/05/Seg_0/res.pkl", results)
    short = results | {"ob_pose": results["ob_pose"][:2]}
    dump(root / "Res/09/05/Seg_0/res.pkl", short)
    (root / "Res/10/05/Seg_0").mkdir(parents=True)
    return root, results


@pytest.fixture
def imhd(tmp_path, rng):
    root = tmp_path / "imhd"
    sizes = {"smplPose": 72, "smplHandPose": 90, "smplShape": 16, "smplTrans": 3, "objectRot": 3, "objectTrans": 3}
    tracks = {k: rng.normal(size=(4, n)) for k, n in sizes.items()}
    dump(root / "ground_truth/20230825/seg0/bat_01/gt_0_10_13.pkl", tracks)
    dump(root / "ground_truth/20230825/seg0/bat_02/gt_0_10_99.pkl", tracks)
    (root / "ground_truth/20230825/seg0/bat_03").mkdir(parents=True)
    (root / "ground_truth/20230825/seg0/bat_03/gt_0_0_4.pkl").write_bytes(pickle.dumps(tracks)[:100])
    return root, tracks
