"""The harness: known perturbations give the known numbers, and an independent computation agrees."""

import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import free_body, save
from hoijax.data.evaluation import (
    EvaluateConfig,
    EvaluationState,
    SceneTruth,
    Subject,
    evaluate,
    measure,
    open_truth,
    read_predictions,
    state_of,
)
from hoijax.data.evaluation.predictions import parse_record
from hoijax.data.objects import random_object
from hoijax.data.real import prox
from hoijax.errors import InputError

COUNT = 4
FAST = EvaluateConfig(chamfer_samples=1500, resamples=100, volume_spacing=0.02)


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """Four people with a box at the hand; two share a sequence. The folder also has the body's file and two meshes."""
    folder = tmp_path_factory.mktemp("truth")
    save(folder / "body.npz", free_body("test"))
    trimesh.creation.box((0.3, 0.3, 0.3)).subdivide().export(folder / "box.obj")
    trimesh.creation.icosphere(subdivisions=2, radius=0.2).export(folder / "ball.obj")
    rng = np.random.default_rng(0)
    pose = np.zeros((COUNT, 21, 3))
    pose[:, 15, 2], pose[:, 16, 2] = -1.0, 1.0
    arrays = {
        "ids": np.array([f"seq{i // 2}/{i:04d}" for i in range(COUNT)]),
        "group": np.array([f"seq{i // 2}" for i in range(COUNT)]),
        "object_mesh": np.array(["box.obj", "ball.obj"] * 2),
        "global_orient": rng.normal(0, 0.3, (COUNT, 3)),
        "body_pose": (pose + rng.normal(0, 0.05, (COUNT, 21, 3))).reshape(COUNT, 63),
        "betas": rng.normal(size=(COUNT, 10)),
        "transl": rng.normal(size=(COUNT, 3)),
        "obj_rot": rng.normal(size=(COUNT, 3)),
    }
    arrays["obj_trans"] = arrays["transl"] + rng.normal(0, 0.02, (COUNT, 3)) + [0.25, 0.0, 0.25]
    np.savez(folder / "truth.npz", **arrays)
    return folder, arrays


@pytest.fixture(scope="module")
def source(truth):
    folder, _ = truth
    return open_truth("files", root=folder / "truth.npz", body_model=folder / "body.npz")


@pytest.fixture(scope="module")
def subjects(source):
    return {key: source.load(key) for key in source.ids}


def predictions(tmp_path, truth, **changes):
    arrays = {k: v for k, v in truth[1].items() if k not in ("group", "object_mesh")} | changes
    np.savez(tmp_path / "predictions.npz", **arrays)
    return read_predictions(tmp_path / "predictions.npz")


def scored(tmp_path, truth, subjects, key="seq0/0000", config=FAST, **changes):
    found = predictions(tmp_path, truth, **changes)
    subject = subjects[key]
    return measure(state_of(found[key], subject.model, subject.template), subject, config)


def test_the_truth_scores_itself_perfect(source, truth, tmp_path):
    report = evaluate(source, predictions(tmp_path, truth), tmp_path / "out", FAST, progress=False)
    assert report.complete
    rows = report.metrics
    # Two samplings of one surface are apart by a floor, so sampled scores are not perfect; penetration is no error.
    sampled = ("chamfer_body_cm", "chamfer_object_cm", "f_score_body_percent", "f_score_object_percent")
    for name, row in rows.items():
        if name not in sampled and "_floor_" not in name and not name.startswith("penetration"):
            tolerance = 1e-2 if name.startswith("pa_") else 2e-3
            assert row["mean"] == pytest.approx(1 if row["better"] == "higher" else 0, abs=tolerance), name
    for part in ("body", "object"):  # two samplings of the same surface
        assert rows[f"chamfer_{part}_cm"]["mean"] == pytest.approx(rows[f"chamfer_{part}_floor_cm"]["mean"], rel=0.1)
    assert rows["contact_5cm_f1"]["mean"] == 1
    saved = json.loads((tmp_path / "out/metrics.json").read_text())
    assert saved["evaluated"] == saved["samples"] == COUNT
    assert saved["groups"] == 2
    assert saved["metrics"]["mpjpe_mm"]["mean"] == rows["mpjpe_mm"]["mean"]
    lines = [json.loads(x) for x in (tmp_path / "out/samples.jsonl").read_text().splitlines()]
    assert [x["id"] for x in lines] == list(source.ids)
    assert "contact_5cm_f1" in (tmp_path / "out/table.md").read_text()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["metrics.json", "samples.jsonl", "table.md"]


def test_a_translated_body_is_off_by_that_much(truth, subjects, tmp_path):
    got = scored(tmp_path, truth, subjects, transl=truth[1]["transl"] + [0.03, 0.0, 0.04])
    for name in ("mpjpe_mm", "pve_mm"):
        assert got[name] == pytest.approx(50, abs=1e-2)
    for name in ("mpjpe_root_mm", "pa_mpjpe_mm", "pve_root_mm", "pa_pve_mm", "object_v2v_mm"):
        assert got[name] == pytest.approx(0, abs=1e-2)


def test_a_moved_object_is_off_by_that_much(truth, subjects, tmp_path):
    arrays = truth[1]
    turned = Rotation.from_rotvec([0, 0, np.radians(25)]) * Rotation.from_rotvec(arrays["obj_rot"])
    got = scored(tmp_path, truth, subjects, obj_rot=turned.as_rotvec(), obj_trans=arrays["obj_trans"] + [0, 0.02, 0])
    assert got["object_rotation_deg"] == pytest.approx(25, abs=1e-4)
    assert got["object_translation_mm"] == pytest.approx(20, abs=1e-4)
    assert got["mpjpe_mm"] == pytest.approx(0, abs=1e-3)


def test_a_similarity_is_removed_before_chamfer(truth, subjects, tmp_path):
    subject = subjects["seq0/0000"]
    spin = Rotation.from_rotvec([0.3, 0.2, -0.5]).as_matrix()
    both = {
        name: (1.2 * getattr(subject.truth, part) @ spin.T + 1.0)[None].astype(np.float32)
        for name, part in (("vertices", "body"), ("object_vertices", "object"))
    }
    np.savez(tmp_path / "p.npz", ids=np.array(["seq0/0000"]), **both)
    record = read_predictions(tmp_path / "p.npz")["seq0/0000"]
    got = measure(state_of(record, subject.model, subject.template), subject, FAST)
    assert got["chamfer_body_vertices_cm"] < 1e-3
    assert got["chamfer_object_vertices_cm"] < 1e-3
    assert got["chamfer_body_cm"] == pytest.approx(got["chamfer_body_floor_cm"], rel=0.1)
    assert got["pve_mm"] > 500  # as placed
    assert got["pa_pve_mm"] == pytest.approx(0, abs=0.05)
    assert "mpjpe_mm" not in got  # vertices alone give no joints


def test_numbers_agree_with_numpy_and_scipy(truth, subjects, tmp_path):
    """Procrustes, errors, contact and penetration once more, without a line of hoijax."""
    rng = np.random.default_rng(5)
    arrays = truth[1]
    changes = {
        "body_pose": arrays["body_pose"] + rng.normal(0, 0.1, arrays["body_pose"].shape),
        "obj_trans": arrays["obj_trans"] + rng.normal(0, 0.05, (COUNT, 3)),
        "transl": arrays["transl"] + rng.normal(0, 0.03, (COUNT, 3)),
    }
    key, subject = "seq0/0001", subjects["seq0/0001"]
    state = state_of(predictions(tmp_path, truth, **changes)[key], subject.model, subject.template)
    got = measure(state, subject, FAST)
    p, t = ({k: getattr(s, k).astype(np.float64) for k in ("body", "joints", "object")} for s in (state, subject.truth))

    def aligned(x, y):
        a, b = x - x.mean(0), y - y.mean(0)
        u, s, vt = np.linalg.svd(a.T @ b)
        flip = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
        rotation = u @ np.diag(flip) @ vt
        scale = (s * flip).sum() / (a**2).sum()
        return lambda z: scale * (z - x.mean(0)) @ rotation + y.mean(0)

    def mean_mm(x, y):
        return 1000 * np.linalg.norm(x - y, axis=1).mean()

    assert got["mpjpe_mm"] == pytest.approx(mean_mm(p["joints"], t["joints"]), rel=1e-4)
    rooted = [x["joints"] - x["joints"][:1] for x in (p, t)]
    assert got["mpjpe_root_mm"] == pytest.approx(mean_mm(*rooted), rel=1e-4)
    assert got["pa_mpjpe_mm"] == pytest.approx(
        mean_mm(aligned(p["joints"], t["joints"])(p["joints"]), t["joints"]), rel=1e-3
    )
    assert got["pve_mm"] == pytest.approx(mean_mm(p["body"], t["body"]), rel=1e-4)
    similarity = aligned(*(np.concatenate([x["body"], x["object"]]) for x in (p, t)))
    for part in ("body", "object"):
        a, b = similarity(p[part]), t[part]
        chamfer = 100 * (cKDTree(b).query(a)[0].mean() + cKDTree(a).query(b)[0].mean())
        assert got[f"chamfer_{part}_vertices_cm"] == pytest.approx(chamfer, rel=1e-3)
    hits = [cKDTree(x["object"]).query(x["body"])[0] < 0.05 for x in (p, t)]
    both = (hits[0] & hits[1]).sum()
    assert got["contact_5cm_precision"] == both / hits[0].sum()
    assert got["contact_5cm_recall"] == both / hits[1].sum()
    obj = trimesh.Trimesh(p["object"], subject.object_faces, process=False)
    depth = -np.linalg.norm(p["body"] - obj.nearest.on_surface(p["body"])[0], axis=1)
    inside = obj.contains(p["body"])
    assert inside.any()
    assert got["penetration_mean_mm"] == pytest.approx(-1000 * depth[inside].mean(), rel=0.02)
    assert got["penetration_vertices_percent"] == pytest.approx(100 * inside.mean(), rel=0.02)
    assert got["penetration_max_mm"] >= -1000 * depth[inside].min() - 1e-2


def test_contact_labels_count_where_they_are_defined(subjects, tmp_path):
    subject = subjects["seq0/0000"]
    label = np.zeros(len(subject.truth.body), np.float32)
    label[:10] = 1

    labelled = dataclasses.replace(subject, truth=dataclasses.replace(subject.truth, contact_body=label))
    half = np.where(np.arange(len(label)) < 5, 0.9, np.where(np.arange(len(label)) >= len(label) - 15, 0.8, 0.2))
    record = parse_record({"contact_body": half}, tmp_path)
    got = measure(state_of(record, None, None), labelled, FAST)
    assert got == {"contact_body_label_precision": 0.25, "contact_body_label_recall": 0.5}
    nothing = parse_record({"contact_body": np.zeros(len(label))}, tmp_path)
    empty = measure(state_of(nothing, None, None), labelled, FAST)
    assert math.isnan(empty["contact_body_label_precision"])
    assert empty["contact_body_label_recall"] == 0


def test_what_cannot_be_used_is_named_and_the_rest_counts(source, truth, tmp_path):
    folder = tmp_path / "own"
    arrays = {k: v for k, v in truth[1].items() if k not in ("group", "object_mesh", "ids")}
    for i, key in enumerate(source.ids[:3]):
        path = folder / f"{key}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        one = {k: v[i] for k, v in arrays.items()}
        if i == 1:
            one["betas"] = one["betas"] * np.nan
        np.savez(path, **one)
    np.savez(folder / "stranger.npz", **one)
    (folder / "seq1/0003.npz").write_bytes(b"PK broken")
    config = EvaluateConfig(metrics=("body", "object"), resamples=10)
    report = evaluate(source, read_predictions(folder), tmp_path / "out", config, progress=False)
    assert report.missing == ()
    assert report.extra == ("stranger",)
    assert report.unusable.keys() == {"seq0/0001", "seq1/0003"}
    assert "'betas' holds 10 numbers that are not finite" in report.unusable["seq0/0001"]
    assert report.metrics["mpjpe_mm"]["count"] == 2
    saved = json.loads((tmp_path / "out/metrics.json").read_text())
    assert saved["extra"] == ["stranger"]
    (folder / "seq1/0002.npz").unlink()
    again = evaluate(source, read_predictions(folder), tmp_path / "out", config, progress=False)
    assert again.missing == ("seq1/0002",)
    assert math.isnan(again.metrics["mpjpe_mm"]["low"])  # one sequence says nothing about others


def test_a_stopped_run_goes_on(source, truth, tmp_path, monkeypatch):

    found = predictions(tmp_path, truth)
    config = EvaluateConfig(metrics=("body",), resamples=10)
    whole = evaluate(source, found, tmp_path / "whole", config, progress=False)
    loaded = []

    def load(key, stop_at):
        if len(loaded) == stop_at:
            raise KeyboardInterrupt
        loaded.append(key)
        return source.load(key)

    counted = dataclasses.replace(source, load=lambda key: load(key, 2))
    with pytest.raises(KeyboardInterrupt):
        evaluate(counted, found, tmp_path / "out", config, progress=False)
    assert not (tmp_path / "out/metrics.json").exists()
    with open(tmp_path / "out/samples.partial.jsonl", "a") as log:
        log.write('{"id": "torn')
    rest = dataclasses.replace(source, load=lambda key: load(key, 99))
    report = evaluate(rest, found, tmp_path / "out", config, progress=False)
    assert loaded == list(source.ids)
    assert report == whole
    assert (tmp_path / "out/metrics.json").read_bytes() == (tmp_path / "whole/metrics.json").read_bytes()
    # Another prediction of one sample, and only that one is measured again.
    transl = truth[1]["transl"].copy()
    transl[3] += 0.1
    evaluate(rest, predictions(tmp_path, truth, transl=transl), tmp_path / "out", config, progress=False)
    assert loaded[COUNT:] == ["seq1/0003"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"transl": np.zeros((2, 3))}, "has no 'ids'"),
        ({"ids": np.array(["a", "a"]), "transl": np.zeros((2, 3))}, "'ids' has 'a' twice"),
        ({"ids": np.array(["a", "b"]), "transl": np.zeros((3, 3))}, "wanted one row per id"),
    ],
)
def test_stacked_files_are_checked(tmp_path, arrays, message):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_predictions(tmp_path / "p.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"vertices": np.zeros((5, 2))}, r"'vertices' has shape \(5, 2\), wanted \(N, 3\)"),
        ({"obj_rot": 2 * np.eye(3), "obj_trans": np.zeros(3)}, "is no rotation matrix"),
        ({"vertices": np.zeros((5, 3)), "betas": np.array(["x"])}, "wanted numbers"),
        ({"body_pose": np.zeros(62)}, "shape"),
    ],
)
def test_records_are_checked(arrays, message, tmp_path):
    with pytest.raises(InputError, match=message):
        parse_record(arrays, tmp_path / "p.npz")


def test_other_meshes_and_strangers_are_refused(source, subjects, tmp_path):
    subject = subjects["seq0/0000"]
    record = parse_record({"vertices": np.zeros((5, 3))}, tmp_path)
    with pytest.raises(InputError, match=r"body has shape \(5, 3\), the truth"):
        measure(state_of(record, None, None), subject, FAST)
    np.savez(tmp_path / "p.npz", ids=np.array(["x"]), transl=np.zeros((1, 3)))
    with pytest.raises(InputError, match="named like 'seq0/0000', the predictions like 'x'"):
        evaluate(source, read_predictions(tmp_path / "p.npz"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="no group of metrics 'speed'"):
        EvaluateConfig(metrics=("speed",))


def test_synth_hoi_is_posed_from_its_own_fields(monkeypatch, tmp_path):
    """A split as `open_split` yields it: free body, generated object, labels; the truth scores itself perfect."""
    model, obj = free_body(), random_object("box", 3)
    rng = np.random.default_rng(0)
    label = np.zeros(model.num_vertices, bool)
    label[:20] = True
    body = {"global_orient": rng.normal(size=3), "body_pose": rng.normal(0, 0.2, 63), "betas": rng.normal(size=10)}
    sample = {
        "key": "test-000000", "category": "box", "object_seed": np.int64(3),
        "body": {k: v.astype(np.float32) for k, v in body.items()} | {"transl": np.ones(3, np.float32)},
        "obj_rot": np.array([0.0, 0.5, 0.0], np.float32), "obj_trans": np.array([0.3, 1.0, 0.2], np.float32),
        "body_contact": label, "object_contact": np.ones(len(obj.mesh.vertices), bool),
    }  # fmt: skip
    monkeypatch.setattr("hoijax.data.synth.open_split", lambda root, split: [sample])
    source = open_truth("synth_hoi", root=tmp_path, split="test")
    subject = source.load("test-000000")
    turn = Rotation.from_rotvec(sample["obj_rot"]).as_matrix()
    want = np.asarray(obj.mesh.vertices) @ turn.T + sample["obj_trans"]
    np.testing.assert_allclose(subject.truth.object, want, atol=1e-6)
    prediction = {**sample["body"], "obj_rot": sample["obj_rot"], "obj_trans": sample["obj_trans"]}
    record = parse_record(prediction | {"contact_body": label.astype(np.float32)}, tmp_path)
    config = EvaluateConfig(metrics=("body", "object", "contact"))
    got = measure(state_of(record, subject.model, subject.template), subject, config)
    assert got["mpjpe_mm"] == got["object_v2v_mm"] == 0
    assert got["contact_body_label_precision"] == got["contact_body_label_recall"] == 1
    with pytest.raises(InputError, match="leave --body-model out"):
        open_truth("synth_hoi", root=tmp_path, body_model=tmp_path)


def test_synth_scenes_know_their_room(monkeypatch, tmp_path):
    """A person on the floor beside a bench: sunk by 3 cm, V2S says so; the truth scores itself perfect."""
    model = free_body()
    label = np.zeros(model.num_vertices, bool)
    down = -float(np.asarray(model.v_template)[:, 1].min())
    bench = {"category": "bench", "seed": 2, "rotation": np.zeros(3), "translation": np.array([0.0, 0.3, 2.3])}
    sample = {
        "key": "scenes_test-000000", "room": np.array([-3.0, 3.0, -3.0, 3.0, 3.6], np.float32), "furniture": [bench],
        "body": {"body_pose": np.zeros(63, np.float32), "transl": np.array([0, down, 0], np.float32)},
        "body_contact": label, "body_floor_contact": ~label,
    }  # fmt: skip
    monkeypatch.setattr("hoijax.data.synth.open_split", lambda root, split: [sample])
    subject = open_truth("synth_hoi", root=tmp_path, split="scenes_test").load("scenes_test-000000")
    scene = subject.scene
    on_floor = scene.points[:, 1] < 1e-6
    assert 0.8 < on_floor.sum() * 4e-4 / 36 < 1.3 and (scene.normals[on_floor][:, 1] > 0.99).mean() > 0.97
    assert subject.truth.contact_body.all()
    config = EvaluateConfig(metrics=("body", "scene"))
    same = measure(subject.truth, subject, config)
    assert same["v2s_mm"] == 0 and same["scene_contact_recall"] == 1
    sunk = measure(EvaluationState(body=subject.truth.body - np.float32([0, 0.03, 0])), subject, config)
    assert sunk["pve_mm"] == pytest.approx(30, abs=0.01) and sunk["v2s_mm"] == pytest.approx(30, abs=2)


def test_affordances_are_scored_by_piads_protocol():
    labels = np.array([1.0, 0.8, 0.2, 0.0], np.float32)
    subject = Subject("a", "a", EvaluationState(contact_object=labels))
    config = EvaluateConfig(metrics=("affordance",))
    same = measure(EvaluationState(contact_object=labels), subject, config)
    assert same["affordance_auc"] == 1 and same["affordance_sim"] == pytest.approx(1) and same["affordance_mae"] == 0
    # One of four pairs of positive and negative is in the wrong order.
    got = measure(EvaluationState(contact_object=np.array([0.9, 0.1, 0.2, 0.0], np.float32)), subject, config)
    assert got["affordance_auc"] == pytest.approx(0.75)
    assert got["affordance_sim"] == pytest.approx(0.5 + 0.1 / 1.2 + 0.1, abs=1e-6)
    assert got["affordance_mae"] == pytest.approx(0.2)
    # Two are positive: threshold 0 takes four points, 1/19 three, 2/19 and 3/19 two of which one, to 17/19 the first.
    assert got["affordance_aiou"] == pytest.approx((2 / 4 + 2 / 3 + 2 * 1 / 3 + 14 * 1 / 2) / 20)
    none = measure(
        EvaluationState(contact_object=labels), Subject("a", "a", EvaluationState(contact_object=0 * labels)), config
    )
    assert math.isnan(none["affordance_auc"]) and math.isnan(none["affordance_aiou"])


def test_scene_metrics_in_a_turned_camera():
    """A person above a scanned floor, the camera turned: V2S is how much higher the prediction stands."""
    model = free_body("test")
    pose = Rotation.from_rotvec([0.4, 0.2, 0.1])
    to_scene = np.eye(4)
    to_scene[:3, :3], to_scene[:3, 3] = pose.as_matrix(), [0.3, -0.2, 0.1]
    x, z = np.meshgrid(np.linspace(-2, 2, 160), np.linspace(-2, 2, 160))
    floor = np.stack([x, np.zeros_like(x), z], axis=-1).reshape(-1, 3)
    vertices = np.asarray(model.v_template, np.float64)
    vertices = vertices - [0, vertices[:, 1].min() - 0.001, 0]  # on the floor, in the scan's frame

    def in_camera(points):
        return ((points - to_scene[:3, 3]) @ to_scene[:3, :3]).astype(np.float32)

    soles = np.flatnonzero(vertices[:, 1] < 0.015)
    scene = SceneTruth(in_camera(floor), (np.tile([0.0, 1.0, 0.0], (len(floor), 1)) @ to_scene[:3, :3]), soles,
                       np.ones(len(soles)))  # fmt: skip
    subject = Subject("a", "a", EvaluationState(body=in_camera(vertices)), scene=scene)
    lifted = EvaluationState(body=in_camera(vertices + [0, 0.05, 0]))
    config = EvaluateConfig(metrics=("scene",))
    got = measure(lifted, subject, config)
    assert got["v2s_mm"] == pytest.approx(50, abs=0.1)
    assert math.isnan(got["scene_contact_precision"])
    assert got["scene_contact_recall"] == 0
    same = measure(subject.truth, subject, config)
    assert same["v2s_mm"] == 0
    assert same["scene_contact_precision"] == same["scene_contact_recall"] == 1


def test_prox_is_read_into_the_camera(tmp_path, monkeypatch):
    """The scan comes into the camera's frame, where the body is; vertices of the segments make the contact set."""
    root = tmp_path / "prox"
    to_scene = np.eye(4)
    to_scene[:3, :3], to_scene[:3, 3] = Rotation.from_rotvec([0.4, 0.2, 0.1]).as_matrix(), [0.3, -0.2, 0.1]
    fit = {
        "global_orient": np.zeros(3),
        "body_pose": np.zeros(63),
        "betas": np.zeros(10),
        "transl": np.array([0, 0, 2.0]),
    }
    frame = root / "fittings/fit/MPH16_00034_01/results/s001_frame_00001__00.00.00.029"
    frame.mkdir(parents=True)
    (frame / "000.pkl").write_bytes(pickle.dumps(fit, protocol=2))
    for folder, name, value in (
        ("cam2world", "MPH16", to_scene.tolist()),
        ("body_segments", "", {"verts_ind": [3, 5]}),
    ):
        (root / folder).mkdir()
        for one in [name] if name else prox.CONTACT_SEGMENTS:
            (root / folder / f"{one}.json").write_text(json.dumps(value))
    (root / "scenes").mkdir()
    trimesh.creation.box((2, 1, 2)).export(root / "scenes/MPH16.ply")
    model = free_body("test")
    monkeypatch.setattr("hoijax.data.evaluation.truths._load", lambda *_: model)
    source = open_truth("prox", root=root, body_model=tmp_path)
    subject = source.load(source.ids[0])
    back = subject.scene.points @ to_scene[:3, :3].T + to_scene[:3, 3]
    np.testing.assert_allclose(np.abs(back), np.broadcast_to([1, 0.5, 1], back.shape), atol=1e-5)
    assert subject.scene.contact_set.tolist() == [3, 5]
    assert (subject.scene.weights > 0).all()
    assert subject.truth.joints[0][2] == pytest.approx(2.0, abs=0.1)
    assert measure(subject.truth, subject, EvaluateConfig(metrics=("scene",)))["v2s_mm"] == 0
