"""A tiny build: the same bytes whatever the order and after a kill; what is read back is what the fields promise."""

import dataclasses
import hashlib
import json
import pickle
import shutil
import sys
import zlib

import numpy as np
import pytest

from hoijax.body_models import BodyParams, free_body, pose_body
from hoijax.camera import Camera, project
from hoijax.cli import main
from hoijax.data.objects import random_object
from hoijax.data.synth import SynthConfig, build, building, open_split, read_config, solver
from hoijax.errors import InputError

CONFIG = SynthConfig(
    train=3, val=0, test=1, test_unseen_category=0, scenes=1, image_size=96, actions=("carry_two_hands", "kick"),
    instances=4, shapes=4, steps=60, workers=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver, "BATCH", 6)
        patch.setattr(solver, "RESOLUTION", 24)
        patch.setattr(building, "SHARD", 2)
        root = tmp_path_factory.mktemp("synth")
        report = build(CONFIG, root, progress=False)
        assert report.samples["train"] == 3 and report.made == 5
        assert sum(report.accepted.values()) >= 5
        first = digests(root)
        # Killed in the middle: a finished shard is gone, a half-written file lies there, the index is missing.
        records = sorted((root / "synth_hoi" / "1.0.0").glob("*train*"))
        assert len(records) == 2
        records[0].unlink()
        (records[0].parent / f".{records[0].name}.1.part").write_bytes(b"half")
        (records[0].parent / "dataset_info.json").unlink()
        again = build(CONFIG, root, progress=False)
        assert again.made == 2 and digests(root) == first
        with pytest.raises(InputError, match="seed 0 there, 1 asked for"):
            build(dataclasses.replace(CONFIG, seed=1), root, progress=False)
        with pytest.raises(InputError, match="real None there, 0.5 asked for"):
            build(dataclasses.replace(CONFIG, real=0.5), root, progress=False)
        yield root


def digests(root):
    files = [p for p in root.rglob("*") if p.is_file()]
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_samples_hold_together(root):
    data = open_split(root, "train")
    assert len(data) == 3 and len({s["key"] for s in data}) == 3
    sample = data[1]
    model = free_body("default")
    params = BodyParams.from_axis_angle(model, **sample["body"])
    body = pose_body(model, params)
    assert sample["image"].shape == (96, 96, 3) and sample["depth"].shape == (96, 96)
    assert sample["body_contact"].shape == (model.num_vertices,) and sample["body_contact"].sum() > 3
    points = sample["keypoints_3d"]
    np.testing.assert_allclose(points[:52], body.joints, atol=2e-4)
    camera = Camera(sample["intrinsics"], sample["T_camera_world"], (96, 96))
    pixels, depth = project(camera, points)
    np.testing.assert_allclose(pixels, sample["keypoints_2d"], atol=0.05)
    assert ((sample["keypoints_2d"] > -1) & (sample["keypoints_2d"] < 97)).all()
    mask = sample["human_mask"]
    assert mask.sum() > 100 and (mask <= sample["human_full_mask"]).all() and not (mask & sample["object_mask"]).any()
    # The person's pixels are as far away as the person.
    assert np.abs(np.median(sample["depth"][mask]) - np.median(np.asarray(depth))) < 0.3
    obj = random_object(sample["category"], sample["object_seed"])
    assert len(sample["object_contact"]) == len(obj.mesh.vertices)
    assert sample["max_penetration"] < 0.01
    assert sample["category"] in sample["text"]


def test_scenes_have_clouds_with_and_without_the_person(root):
    scene = open_split(root, "scenes_train")[0]
    assert scene["points"].shape == (4096, 3) and scene["action"] == "stand"
    body = scene["keypoints_3d"]
    low, high = body.min(axis=0), body.max(axis=0)

    def share(points):
        return np.mean(((points > low) & (points < high)).all(axis=1))

    assert share(scene["points"].astype(np.float32)) > 0.02 > share(scene["points_empty"].astype(np.float32))
    assert (scene["depth_empty"] >= scene["depth"] - 1e-3).mean() > 0.999
    assert scene["body_floor_contact"].any() and not scene["body_contact"].any()


def test_tfds_reads_it_alone(root):
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(root / "synth_hoi" / "1.0.0"))
    assert set(builder.info.splits) == {"train", "test"}
    assert len(builder.as_data_source(split="train")) == 3
    statistics = json.loads((root / "synth_hoi" / "1.0.0" / "statistics" / "train-00000.json").read_text())
    assert sum(row["accepted"] for row in statistics["actions"].values()) >= 2


def test_a_dataset_from_a_stranger_runs_nothing(root, tmp_path, monkeypatch):
    """TFDS imports the modules that features.json names; the reader looks at neither of TFDS's files."""
    shutil.copytree(root, tmp_path / "data")
    folder = tmp_path / "data" / "synth_hoi" / "1.0.0"
    (tmp_path / "evil_features.py").write_text("import pathlib\npathlib.Path('ran').write_text('')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (folder / "features.json").write_text('{"pythonClassName": "evil_features.X"}')
    for text in ('{"name": 3', "[]", "null", "\x00"):
        (folder / "dataset_info.json").write_text(text)
        assert open_split(tmp_path / "data", "train")[0]["key"] == open_split(root, "train")[0]["key"]
    assert main(["data", "check", "synth_hoi", "--root", str(tmp_path / "data")]) == 0
    assert not (tmp_path / "ran").exists() and "evil_features" not in sys.modules


def test_damaged_records_are_named(root, tmp_path):
    shutil.copytree(root, tmp_path / "data")
    folder = tmp_path / "data" / "synth_hoi" / "1.0.0"
    shard = sorted(folder.glob("*train*"))[0]
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged|samples in"):
        open_split(tmp_path / "data", "train")[0]
    shard.write_bytes(whole[:1000] + b"\xff" * 500 + whole[1500:])
    with pytest.raises(InputError, match="damaged|samples in"):
        [*open_split(tmp_path / "data", "train")]
    shard.unlink()
    with pytest.raises(InputError, match="1 samples in 1 record files, the build was to have 3"):
        open_split(tmp_path / "data", "train")


def test_a_tensor_that_unfolds_to_much_is_refused(root, monkeypatch):
    from tensorflow_datasets.core.example_parser import tf_example_pb2

    split = open_split(root, "train")
    example = tf_example_pb2.Example.FromString(split._source[0])
    name = next(key for key in example.features.feature if key.startswith("body_contact"))
    example.features.feature[name].bytes_list.value[0] = zlib.compress(bytes(17 << 20))
    monkeypatch.setattr(split, "_source", [example.SerializeToString()] * 3)
    with pytest.raises(InputError, match="sample 0 is damaged: a tensor unfolds to more than 16 MiB"):
        split[0]


def test_samples_travel_to_worker_processes(root):
    split = pickle.loads(pickle.dumps(open_split(root, "train")))
    assert split[2]["key"] == open_split(root, "train")[2]["key"]


def test_what_is_not_there_is_named(root, tmp_path):
    with pytest.raises(InputError, match="no split 'validation'"):
        open_split(root, "validation")
    with pytest.raises(InputError, match="no finished SynthHOI"):
        open_split(tmp_path, "train")
    with pytest.raises(IndexError):
        open_split(root, "train")[3]
    assert read_config(tmp_path) is None
    assert dataclasses.replace(read_config(root), workers=0) == CONFIG
    folder = tmp_path / "synth_hoi" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"seed": 0')
    with pytest.raises(InputError, match="config.json is damaged"):
        read_config(tmp_path)
