"""Published data sets as training samples: made-up recordings in their layouts, seen by made-up cameras."""

import json
import pickle

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, keypoint_names, keypoints, load, pose_body
from hoijax.errors import InputError
from hoijax.experiments.benchmarks.made_up import made_up_tables
from hoijax.experiments.scorehoi.real import RealInteractions
from hoijax.experiments.scorehoi.samples import DEPTH
from hoijax.experiments.scorehoi.train import RegressorTraining
from hoijax.geometry import rotation_from_6d
from hoijax.nets.scorehoi.state import unpack
from hoijax.systems.scorehoi.inputs import Layout
from hoijax.systems.scorehoi.networks import BodyConfig

SIZE = (72, 96)
FOCAL = 60.0
TURN, MOVE = Rotation.from_rotvec([0.1, -0.3, 0.05]).as_matrix(), np.array([0.1, -0.2, 4.0])
"""World to camera."""
OBJECT_TURN, OBJECT_PLACE = np.array([0.2, 0.5, -0.1]), np.array([0.3, 0.1, 0.2])


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json":
        path.write_text(json.dumps(value))
    elif path.suffix == ".pkl":
        path.write_bytes(pickle.dumps(value, protocol=2))
    elif path.suffix in (".ply", ".obj"):
        value.export(path)
    else:
        Image.fromarray(value).save(path)


def pictures(image, human, obj):
    rng = np.random.default_rng(0)
    write(image, rng.integers(0, 255, (*SIZE, 3), np.uint8))
    for path, columns in ((human, slice(20, 50)), (obj, slice(50, 80))):
        mask = np.zeros(SIZE, np.uint8)
        mask[10:60, columns] = 255
        write(path, mask)


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    """Files of made-up bodies, and the layout of the networks' one."""
    folder = tmp_path_factory.mktemp("bodies")
    for kind in ("smplh", "smplx"):
        np.savez(folder / f"{kind}.npz", **made_up_tables(kind, num_shapes=16 if kind == "smplh" else None))
    model = BodyConfig(file=folder / "smplh.npz").model()
    return folder, Layout(model, np.arange(0, 6890, 100), crop=64, geometry=8)


def values(sizes, seed=1):
    rng = np.random.default_rng(seed)
    return {name: 0.3 * rng.normal(size=size).astype(np.float32) for name, size in sizes.items()}


def behave(root):
    folder = root / "sequences/Date03_Sub03_boxlarge"
    write(folder / "info.json", {"cat": "boxlarge", "gender": "male"})
    for t in ("t0003.000", "t0004.000"):  # the second has no picture
        write(folder / t / "person/fit02/person_fit.pkl", values({"pose": 156, "betas": 10, "trans": 3}))
        write(folder / t / "boxlarge/fit01/boxlarge_fit.pkl", {"angle": OBJECT_TURN, "trans": OBJECT_PLACE})
    write(root / "objects/boxlarge/boxlarge_f1000.ply", trimesh.creation.box((0.5, 0.3, 0.4)))
    camera = {"rotation": TURN.T.ravel().tolist(), "translation": (-TURN.T @ MOVE).tolist()}
    write(root / "calibs/Date03/config/k1/config.json", camera)
    colour = {"fx": FOCAL, "fy": FOCAL, "cx": 48.0, "cy": 36.0, "width": 96, "height": 72}
    write(root / "calibs/intrinsics/k1/calibration.json", {"color": colour})
    seen = folder / "t0003.000"
    pictures(seen / "k1.color.jpg", seen / "k1.person_mask.png", seen / "k1.obj_rend_mask.png")
    return "test", "Date03_Sub03_boxlarge/t0003.000"


def imhd(root):
    track = values({
        "smplPose": (2, 66), "smplHandPose": (2, 90), "smplShape": (2, 16), "smplTrans": (2, 3),
    }) | {"objectRot": np.tile(OBJECT_TURN, (2, 1)), "objectTrans": np.tile(OBJECT_PLACE, (2, 1))}  # fmt: skip
    track["smplShape"][:, 10:] = 0
    write(root / "data/ground_truth/20230101/seg/box_1/gt_a_0_1.pkl", track)
    write(root / "data/object_templates/box/box_simplified_transformed.obj", trimesh.creation.box((0.5, 0.3, 0.4)))
    pose = {"rotation": TURN.ravel().tolist(), "translation": MOVE.tolist()}
    scale = 3840 / 96
    colour = {"fx": FOCAL * scale, "fy": FOCAL * scale, "cx": 48 * scale, "cy": 36 * scale}
    write(root / "data/calibrations/20230101/extrin.json", {"1": pose})
    write(root / "data/calibrations/20230101/intrin.json", {"1": {"color": colour}})
    frames = root / "data/frames/20230101/seg/box_1/a"
    pictures(frames / "000000.jpg", frames / "000000_human.png", frames / "000000_object.png")
    return "train", "20230101/seg/box_1/a/000000"


def intercap(root):
    sizes = {"global_orient": 3, "body_pose": 63, "left_hand_pose": 12, "right_hand_pose": 12, "betas": 10, "transl": 3}
    row = values({name: (2, size) for name, size in sizes.items()})
    row |= {"ob_pose": np.tile(OBJECT_TURN, (2, 1)), "ob_trans": np.tile(OBJECT_PLACE, (2, 1))}
    write(root / "Res/09/05/Seg_0/res.pkl", row)
    turn = Rotation.from_rotvec(OBJECT_TURN).as_matrix()
    mesh = trimesh.creation.box((0.5, 0.3, 0.4))
    mesh.vertices = mesh.vertices @ turn.T + OBJECT_PLACE
    write(root / "Res/09/05/Seg_0/Mesh/00000_second_obj.ply", mesh)
    vector = Rotation.from_matrix(TURN).as_rotvec().tolist()
    camera = {"f": [FOCAL] * 2, "c": [48.0, 36.0], "R": vector, "T": MOVE.tolist()}
    write(root / "calibration_second/Color.json", camera)
    base = root / "RGBD_Images/09/05/Seg_0/Frames_Cam1"
    pictures(base / "color/00000.jpg", base / "mask/00000_human.png", base / "mask/00000_object.png")
    return "test", "09/05/Seg_0/00000"


@pytest.mark.slow
@pytest.mark.parametrize("make", [behave, imhd, intercap])
def test_a_frame_becomes_what_its_camera_sees(make, bodies, tmp_path):
    split, key = make(tmp_path)
    folder, layout = bodies
    kind = "smplx" if make is intercap else "smplh"
    source = RealInteractions(make.__name__, tmp_path, split, folder / f"{kind}.npz", layout)
    assert list(source.items) == [key] and len(source) == 1 and len(source.missing) == 1
    truth, sample = source.truth(key), source[0]
    assert sample["image"].shape == (64, 64, 5) and sample["image"][..., 3].any()
    # The object in the camera, by the formula that every one of them states.
    turn = TURN @ Rotation.from_rotvec(OBJECT_TURN).as_matrix()
    np.testing.assert_allclose(truth.object_rotation, turn, atol=1e-5)
    np.testing.assert_allclose(truth.object_translation, TURN @ OBJECT_PLACE + MOVE, atol=1e-5)
    state = unpack(sample["state"])
    np.testing.assert_allclose(rotation_from_6d(state.object_rotation), turn, atol=1e-4)
    np.testing.assert_allclose(state.object_translation, truth.object_translation - truth.keypoints[0], atol=1e-5)
    # Joints lie where a pinhole sees them.
    depth = truth.keypoints[:, 2]
    want = truth.keypoints[:, :2] / depth[:, None] * FOCAL + [48.0, 36.0]
    np.testing.assert_allclose(truth.pixels, want, atol=1e-3)
    np.testing.assert_allclose(
        sample["positional"][:25, 2] * DEPTH, (depth - depth[0])[layout.positional[:25]], atol=1e-4
    )
    # The body in the camera, posed anew from the file in the field's keys.
    if make is not intercap:
        frame = source_frame(source, key)
        model = load(folder / "smplh.npz", flat_hand_mean=True)
        body = dict(frame.body)
        posed = pose_body(model, BodyParams.from_axis_angle(model, **body))
        world = np.asarray(keypoints(model, posed, keypoint_names(layout.model)))
        np.testing.assert_allclose(truth.keypoints, world @ TURN.T + MOVE, atol=1e-4)
        gap = np.abs((np.asarray(posed.vertices) - OBJECT_PLACE) @ Rotation.from_rotvec(OBJECT_TURN).as_matrix())
        outside = np.maximum(gap - [0.25, 0.15, 0.2], 0)  # of the box, whose faces are sampled
        assert not truth.body_contact[np.linalg.norm(outside, axis=1) > 0.05].any() and len(truth.body_contact) == 6890
    else:
        np.testing.assert_array_equal(state.betas, 0.0)


def source_frame(source, key):
    from hoijax.data.real import DATASETS

    return DATASETS[source.name].read(source.index, source.items[key])


def test_what_is_missing_is_named(bodies, tmp_path):
    behave(tmp_path)
    (tmp_path / "sequences/Date03_Sub03_boxlarge/t0003.000/k1.person_mask.png").unlink()
    with pytest.raises(InputError, match=r"none of the 2 frames .* the first it misses: .*k1.person_mask.jpg"):
        RealInteractions("behave", tmp_path, "test", bodies[0] / "smplh.npz", bodies[1])
    with pytest.raises(InputError, match="behave, intercap, imhd, got 'rich'"):
        RealInteractions("rich", tmp_path, "test", tmp_path, bodies[1])
    with pytest.raises(InputError, match="--dataset behave needs --root"):
        RegressorTraining(out=tmp_path, dataset="behave", root=tmp_path)
