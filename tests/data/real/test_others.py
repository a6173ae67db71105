"""InterCap, IMHD, PROX, ProciGen and the contact sets on small copies of their layouts."""

import json
import pickle

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.data.real import DATASETS, ContactSample, Defect, SceneFrame, contact_sets, read_all
from hoijax.data.real import imhd as imhd_reader
from hoijax.data.real import intercap as intercap_reader
from hoijax.data.real import prox as prox_reader
from hoijax.data.real import rich as rich_reader
from hoijax.errors import InputError


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))


def text(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value)


def test_intercap_segments_and_splits(intercap):
    root, results = intercap
    dataset = DATASETS["intercap"]
    index = dataset.scan(root)
    assert [i.split for i in index.items] == ["train"] * 3 + ["test"] * 2
    problems = " | ".join(map(str, index.problems))
    assert "Res/09/05/Seg_0: arrays differ in length, cut to 2" in problems
    assert "Res/10/05/Seg_0: no res.pkl" in problems
    frame = dataset.read(index, index.items[2])
    assert (frame.gender, frame.object_name, frame.body_kind, frame.flat_hands) == ("male", "racket", "smplx", False)
    np.testing.assert_array_equal(frame.body["left_hand_pose"], results["left_hand_pose"][2])
    assert frame.images["cam3"] == "RGBD_Images/01/05/Seg_0/Frames_Cam3/color/00002.jpg"


def test_intercap_template_undoes_the_first_pose(intercap):
    root, results = intercap
    index = DATASETS["intercap"].scan(root)
    template = trimesh.creation.box((0.2, 0.5, 0.1))
    rotation = Rotation.from_rotvec(results["ob_pose"][0]).as_matrix()
    posed = trimesh.Trimesh(template.vertices @ rotation.T + results["ob_trans"][0], template.faces, process=False)
    (root / "Res/01/05/Seg_0/Mesh").mkdir()
    posed.export(root / "Res/01/05/Seg_0/Mesh/00000_second_obj.ply")
    mesh = intercap_reader.object_template(index, index.items[0])
    np.testing.assert_allclose(mesh.vertices, template.vertices, atol=1e-5)


@pytest.mark.parametrize(
    ("subject", "number", "want"),
    [("01", "07", "first"), ("04", "04", "first"), ("08", "01", "second"), ("04", "08", "second"),
     ("03", "08", "third"), ("06", "07", "third"), ("10", "10", "second")],
)  # fmt: skip
def test_intercap_calibration_rule(subject, number, want):
    assert intercap_reader.calibration_set(subject, number) == want


def test_intercap_leaves_one_calibration_open():
    with pytest.raises(InputError, match="no calibration for subject 04 with object 06"):
        intercap_reader.calibration_set("04", "06")


def test_intercap_camera(tmp_path):
    data = {"c": [956.9, 555.9], "f": [918.4, 918.5], "R": [[0.1], [0.2], [0.3]], "T": [[1.0], [2.0], [3.0]]}
    text(tmp_path / "Color_2.json", json.dumps(data))
    camera = intercap_reader.camera(tmp_path, 2)
    np.testing.assert_allclose(camera.intrinsics[:2, 2], data["c"], rtol=1e-6)
    np.testing.assert_allclose(
        camera.T_camera_world[:3, :3], Rotation.from_rotvec([0.1, 0.2, 0.3]).as_matrix(), atol=1e-6
    )


def test_imhd_tracks(imhd):
    root, tracks = imhd
    dataset = DATASETS["imhd"]
    index = dataset.scan(root)
    problems = " | ".join(map(str, index.problems))
    assert "gt_0_10_99.pkl: 4 frames, its name says 10 to 99" in problems
    assert "gt_0_0_4.pkl" in problems
    assert index.items[0].key == "20230825/seg0/bat_01/0/000010"
    frame = dataset.read(index, index.items[1])
    assert (frame.object_name, frame.body["betas"].shape) == ("baseball", (16,))
    np.testing.assert_allclose(frame.body["left_hand_pose"], tracks["smplHandPose"][1, :45], rtol=1e-6)


def test_imhd_template_is_centred_by_its_own_mean(tmp_path):
    folder = tmp_path / "object_templates/pan"
    folder.mkdir(parents=True)
    trimesh.creation.box().apply_translation((3, 2, 1)).export(folder / "pan_simplified_transformed.obj")
    mesh = imhd_reader.object_template(tmp_path, "pan")
    np.testing.assert_allclose(mesh.vertices.mean(axis=0), 0, atol=1e-6)


def test_imhd_intrinsics_follow_the_images_width(tmp_path):
    pose = {"1": {"rotation": np.eye(3).ravel().tolist(), "translation": [0, 0, 1]}}
    text(tmp_path / "extrin.json", json.dumps(pose))
    text(tmp_path / "intrin.json", json.dumps({"1": {"color": {"fx": 2000, "fy": 2010, "cx": 1920, "cy": 1080}}}))
    camera = imhd_reader.camera(tmp_path, 1, width=1920, height=1080)
    np.testing.assert_allclose(camera.intrinsics, [[1000, 0, 960], [0, 1005, 540], [0, 0, 1]])


def damon_arrays(count):
    labels = np.zeros((count, 6890))
    labels[1, [5, 9]] = 1
    objectwise = np.empty(count, object)
    for i in range(count):
        objectwise[i] = {"chair": [5, 9], "supporting": [7]}
    return {
        "imgname": np.array([f"datasets/image_{i}.jpg" for i in range(count)]),
        "pose": np.zeros((count, 72)), "shape": np.ones((count, 10)), "transl": np.zeros((count, 3)),
        "contact_label": labels, "contact_label_objectwise": objectwise,
    }  # fmt: skip


def test_damon(tmp_path):
    np.savez(tmp_path / "hot_dca_test.npz", **damon_arrays(2))
    dataset = DATASETS["damon"]
    index = dataset.scan(tmp_path)
    assert [p.where for p in index.problems] == ["hot_dca_trainval.npz"]
    sample = dataset.read(index, index.items[1])
    assert sample.image == "datasets/image_1.jpg"
    np.testing.assert_array_equal(np.flatnonzero(sample.body_contact), [5, 9])
    objects = contact_sets.damon_objects(index, index.items[1])
    np.testing.assert_array_equal(objects["supporting"], [7])


def test_lemon(tmp_path, rng):
    image = "Images/Chair/sit/Chair_sit_1.jpg"
    text(tmp_path / "txt_scripts/train.txt", f"{image}\nImages/Chair/sit/Chair_sit_2.jpg\n")
    text(tmp_path / "txt_scripts/val.txt", "")
    contact = np.zeros(6890)
    contact[3] = 1
    dump(tmp_path / "smplh_contact_pkl/Chair/sit/Chair_sit_1.pkl", contact)
    rotations = Rotation.from_rotvec(rng.normal(size=(21, 3)))
    params = {
        "shape": [0.1] * 16, "body_pose": rotations.as_matrix().tolist(), "global_orient": np.eye(3).tolist(),
        "left_hand_pose": np.tile(np.eye(3), (15, 1, 1)).tolist(), "transl": [0, 0, 1],
        "right_hand_pose": np.tile(np.eye(3), (15, 1, 1)).tolist(),
    }  # fmt: skip
    text(tmp_path / "smplh_param/human_label.json", json.dumps({image: {"smplh_param": params, "human_box": []}}))
    dataset = DATASETS["lemon"]
    index = dataset.scan(tmp_path)
    assert [p.where for p in index.problems] == ["smplh_contact_pkl/Chair/sit/Chair_sit_2.pkl"]
    sample = dataset.read(index, index.items[0])
    assert (sample.object_name, sample.affordance, sample.body_contact.sum()) == ("Chair", "sit", 1)
    np.testing.assert_allclose(sample.body["body_pose"].reshape(21, 3), rotations.as_rotvec(), atol=1e-5)


def point_rows(count, columns, prefix=""):
    table = np.random.default_rng(0).uniform(size=(count, 3 + columns))
    return "\n".join(prefix + " ".join(f"{x:.6f}" for x in row) for row in table), table


def test_piad(tmp_path):
    rows, table = point_rows(2048, 17, prefix="7 Chair ")
    text(tmp_path / "Point/Test/Chair/Point_Test_Chair_1.txt", rows)
    text(tmp_path / "Img_Test.txt", "Img/Test/Chair/sit/Img_Chair_sit_5.jpg\n")
    text(tmp_path / "Point_Test.txt", "Point/Test/Chair/Point_Test_Chair_1.txt\n")
    dataset = DATASETS["piad"]
    index = dataset.scan(tmp_path)
    assert [p.where for p in index.problems] == ["Img_Train.txt and Point_Train.txt"]
    sample = dataset.read(index, index.items[0])
    assert (sample.object_name, sample.affordance) == ("Chair", "sit")
    np.testing.assert_allclose(sample.object_points, table[:, :3], atol=1e-6)
    column = 3 + contact_sets.PIAD_AFFORDANCES.index("sit")
    np.testing.assert_allclose(sample.object_scores, table[:, column], atol=1e-6)


def test_point_files_with_other_columns_are_refused(tmp_path):
    rows, _ = point_rows(5, 16)
    text(tmp_path / "cloud.txt", rows)
    with pytest.raises(InputError, match="rows have 19 numbers, wanted 20"):
        contact_sets.read_point_file(tmp_path / "cloud.txt", contact_sets.LEMON_AFFORDANCES, "ride")
    with pytest.raises(InputError, match="no affordance 'fly'"):
        contact_sets.read_point_file(tmp_path / "cloud.txt", contact_sets.LEMON_AFFORDANCES, "fly")


@pytest.mark.parametrize("as_ids", [True, False])
def test_rich(tmp_path, as_ids):
    mask = np.zeros(6890, bool)
    mask[[2, 4]] = True
    dump(tmp_path / "img_list_train.pkl", ["a.jpg", "b.jpg"])
    dump(tmp_path / "contact_vertices_train.pkl", [np.flatnonzero(mask) if as_ids else mask.astype(float)])
    dataset = DATASETS["rich"]
    index = dataset.scan(tmp_path)
    assert [str(p) for p in index.problems] == ["contact_vertices_train.pkl: 1 labels for 2 images"]
    sample = dataset.read(index, index.items[0])
    assert isinstance(sample, ContactSample)
    np.testing.assert_array_equal(sample.body_contact, mask)


def test_prox(tmp_path, rng):
    sizes = {
        "global_orient": 3,
        "body_pose": 63,
        "betas": 10,
        "transl": 3,
        "left_hand_pose": 12,
        "right_hand_pose": 12,
    }
    fit = {k: rng.normal(size=(1, n)).astype(np.float32) for k, n in sizes.items()}
    results = tmp_path / "fittings/mosh/N3Office_00139_01/results"
    dump(results / "s001_frame_00001__00.00.00.029/000.pkl", fit)
    (results / "s001_frame_00002__00.00.00.059").mkdir()
    dump(tmp_path / "fittings/mosh/Lost_00139_01/results/f/000.pkl", fit)
    text(tmp_path / "scenes/N3Office.ply", "")
    text(tmp_path / "cam2world/N3Office.json", json.dumps(np.eye(4).tolist()))
    dataset = DATASETS["prox"]
    index = dataset.scan(tmp_path)
    assert len(index.items) == 1
    assert "no scene mesh scenes/Lost.ply and no camera pose cam2world/Lost.json" in str(index.problems[0])
    assert index.problems[1].what == "missing"
    sample = dataset.read(index, index.items[0])
    assert isinstance(sample, SceneFrame) and sample.mirrored and sample.gender == "male"
    assert index.items[0].split == "train"
    np.testing.assert_array_equal(sample.body["body_pose"], fit["body_pose"][0])


def test_rich_as_released(tmp_path, rng):
    """Bodies of two captures, one without its scan; labels; cameras."""
    sizes = {"global_orient": 3, "body_pose": 63, "betas": 10, "transl": 3, "left_hand_pose": 12, "expression": 10}
    fit = {k: rng.normal(size=(1, n)).astype(np.float32) for k, n in sizes.items()}
    chairs = "LectureHall_018_wipingchairs1/00012/018.pkl"
    for where in (
        f"val/{chairs}",
        "train/Gym_010_cooking1/00150/010.pkl",
        "train/LectureHall_009_021_run1/00001/021.pkl",
    ):
        dump(tmp_path / "bodies" / where, fit)
    text(tmp_path / "scan_calibration/LectureHall/scan_chair_scene_camcoord.ply", "")
    text(tmp_path / "scan_calibration/LectureHall/scan_yoga_scene_camcoord.ply", "")
    text(tmp_path / f"images_jpg_subset/val/{chairs[:-8]}_00.jpeg".replace("1/00012", "1/cam_00/00012"), "")
    dataset = DATASETS["rich_scenes"]
    index = dataset.scan(tmp_path)
    assert [(i.key, i.split) for i in index.items] == [
        ("LectureHall_009_021_run1/00001/021", "train"), ("LectureHall_018_wipingchairs1/00012/018", "val"),
    ]  # fmt: skip
    assert "no scan scan_calibration/Gym/scan_table_camcoord.ply" in str(index.problems[0])
    sample = dataset.read(index, index.items[1])
    assert sample.gender == "female" and sample.scene.endswith("scan_chair_scene_camcoord.ply")
    assert sample.image == "images_jpg_subset/val/LectureHall_018_wipingchairs1/cam_00/00012_00.jpeg"
    np.testing.assert_array_equal(sample.body["left_hand_pose"], fit["left_hand_pose"][0])
    assert "expression" not in sample.body
    label = {"contact": np.eye(1, 6890, 7)[0], "s2m_dist_id": np.full((10475, 3), 0.1, np.float32)}
    dump(tmp_path / "hsc/val" / chairs, label)
    contact, offsets = rich_reader.scene_contact(index, index.items[1])
    assert np.flatnonzero(contact).tolist() == [7] and offsets.shape == (10475, 3)
    with pytest.raises(InputError, match="no label human_scene_contact/train/LectureHall"):
        rich_reader.scene_contact(index, index.items[0])
    with pytest.raises(InputError, match="no calibrated camera"):
        rich_reader.cameras(tmp_path, sample.sequence)
    calibration = tmp_path / "scan_calibration/LectureHall/calibration"
    numbers = {"CameraMatrix": range(12), "Intrinsics": range(9)}
    tags = "".join(f"<{k}><data>{' '.join(map(str, v))}</data></{k}>" for k, v in numbers.items())
    text(calibration / "000.xml", f"<opencv_storage>{tags}</opencv_storage>")
    camera = rich_reader.cameras(tmp_path, sample.sequence)[0]
    np.testing.assert_array_equal(camera.T_camera_world[:3], np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(camera.intrinsics, np.arange(9).reshape(3, 3))
    text(calibration / "001.xml", "<opencv_storage><CameraMatrix><data>1 2</data></CameraMatrix></opencv_storage>")
    with pytest.raises(InputError, match=r"'CameraMatrix' has shape \(2,\)"):
        rich_reader.cameras(tmp_path, sample.sequence)


def test_prox_contact_set_is_the_union(tmp_path):
    for i, name in enumerate(prox_reader.CONTACT_SEGMENTS):
        text(tmp_path / f"body_segments/{name}.json", json.dumps({"verts_ind": [i, i + 1, i + 1], "faces_ind": []}))
    np.testing.assert_array_equal(prox_reader.contact_set(tmp_path), np.arange(8))
    (tmp_path / "body_segments/back.json").unlink()
    with pytest.raises(InputError, match="no body segment .*back.json"):
        prox_reader.contact_set(tmp_path)


def test_procigen(tmp_path, rng):
    sequence = tmp_path / "Date01_Subxx_chair_synzv2-01"
    text(sequence / "info.json", "{}")
    rotation = Rotation.from_rotvec([0.2, 0.1, -0.5])
    for frame in ("t0001", "t0002"):
        person = {"pose": rng.normal(size=156), "betas": np.zeros(10), "trans": np.zeros(3)}
        dump(sequence / frame / "person/fit01/person_fit.pkl", person)
    fit = {"rot": rotation.as_matrix(), "trans": np.ones(3), "synset_id": "03001627", "ins_name": "a"}
    dump(sequence / "t0001/chair/fit01/chair_fit.pkl", fit)
    dataset = DATASETS["procigen"]
    index = dataset.scan(tmp_path)
    assert [str(p) for p in index.problems] == ["Date01_Subxx_chair_synzv2-01/t0002: missing chair_fit.pkl"]
    frame = dataset.read(index, index.items[0])
    assert frame.object_name == "chair"
    np.testing.assert_allclose(frame.obj_rot, rotation.as_rotvec(), atol=1e-6)


def test_every_dataset_names_its_source_and_refuses_a_missing_folder(tmp_path):
    for dataset in DATASETS.values():
        assert dataset.source.startswith("https://") and dataset.title
        with pytest.raises(InputError, match="is no folder"):
            dataset.scan(tmp_path / "missing")


def test_damaged_files_do_not_stop_the_others(imhd):
    root, _ = imhd
    dataset = DATASETS["imhd"]
    index = dataset.scan(root)
    path = root / index.items[0].files[0]
    path.write_bytes(path.read_bytes()[:200])
    found = [sample for _, sample in read_all(dataset, index)]
    assert sum(isinstance(s, Defect) for s in found) == 4
    assert len(found) == 8
