"""`hoijax data`: sheets, checks and builds on small datasets in the published layouts, and on a small SynthHOI."""

import json
import pickle

import numpy as np
import pytest
import trimesh
from PIL import Image

from hoijax.body_models import free_body, save
from hoijax.cli import main
from hoijax.cli.data import _settings
from hoijax.data.sheet import annotate, contact_sheet, draw_outline, spread_indices
from hoijax.data.synth import SynthConfig
from hoijax.errors import InputError


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    """A file that reads as SMPL-H: the free body under that name."""
    path = tmp_path_factory.mktemp("body") / "smplh.npz"
    free = free_body("test")
    save(path, free.replace(kind="smplh", hand_mean=np.zeros((2, 45), np.float32), colors=None, landmarks=()))
    return path


@pytest.fixture
def behave(tmp_path):
    """Three frames of the test date, one of them with a damaged fit, and a sequence without fits."""
    root = tmp_path / "behave"
    rng = np.random.default_rng(0)
    sequence = root / "sequences/Date03_Sub03_boxlarge"
    for i in range(3):
        pose = np.zeros(156)
        pose[0], pose[3:66] = np.pi, rng.normal(0, 0.1, 63)  # upright in a frame whose y points down
        person = {"pose": pose, "betas": np.zeros(10), "trans": np.array([0.0, 0, 2.5])}
        dump(sequence / f"t{i:04d}.000/person/fit02/person_fit.pkl", person)
        fit = {"angle": np.zeros(3), "trans": np.array([0.5, 0.2, 2.3])}
        dump(sequence / f"t{i:04d}.000/boxlarge/fit01/boxlarge_fit.pkl", fit)
    (sequence / "t0001.000/person/fit02/person_fit.pkl").write_bytes(b"cut off")
    for name, cat in (("Date03_Sub03_boxlarge", "boxlarge"), ("Date03_Sub04_stool", "stool")):
        path = root / "sequences" / name / "info.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"cat": cat, "gender": "male"}))
    (root / "objects/boxlarge").mkdir(parents=True)
    trimesh.creation.box((0.4, 0.3, 0.5)).export(root / "objects/boxlarge/boxlarge_f1000.ply")
    return root


@pytest.fixture
def damon(tmp_path):
    """Two images of DAMON's test file, one of them on disk."""
    root = tmp_path / "damon"
    root.mkdir()
    names = np.array(["images/a.jpg", "images/gone.jpg"], object)
    np.savez(root / "hot_dca_test.npz", imgname=names, contact_label=np.eye(2, 6890))
    (root / "images").mkdir()
    Image.fromarray(np.full((30, 40, 3), 200, np.uint8)).save(root / "images/a.jpg")
    return root


def test_check_counts_and_names(behave, capsys):
    assert main(["data", "check", "behave", "--root", str(behave)]) == 1
    told = capsys.readouterr()
    assert "test: 2 samples" in told.out
    assert "2 problems" in told.out
    assert "problem: sequences/Date03_Sub04_stool: no frame with both fits" in told.err
    assert "t0001.000/person/fit02/person_fit.pkl" in told.err
    assert main(["data", "check", "behave", "--root", str(behave), "--quick", "--most", "0"]) == 1
    told = capsys.readouterr()
    assert "test: 3 samples" in told.out
    assert "1 more" in told.err


def test_check_of_a_whole_dataset_is_zero(damon, capsys):
    np.savez(
        damon / "hot_dca_trainval.npz", imgname=np.array(["images/a.jpg"], object), contact_label=np.ones((1, 6890))
    )
    assert main(["data", "check", "damon", "--root", str(damon)]) == 0
    assert "0 problems" in capsys.readouterr().out


def test_build_and_what_was_left_out(behave, tmp_path, capsys):
    arguments = ["data", "build", "behave", "--root", str(behave), "--out", str(tmp_path / "tfds")]
    assert main(arguments) == 1
    told = capsys.readouterr()
    assert "test: 2 samples" in told.out
    assert "left out: sequences/Date03_Sub03_boxlarge/t0001.000" in told.err
    assert list((tmp_path / "tfds").rglob("*.array_record*"))
    assert main(arguments) == 1  # built already: the same answer


def test_sheet_of_bodies_and_objects(behave, body, tmp_path, capsys):
    out = tmp_path / "sheet.png"
    arguments = ["data", "show", "behave", "--root", str(behave), "--out", str(out), "--cell", "64"]
    assert main([*arguments, "--body-model", str(body), "--n", "5"]) == 1
    told = capsys.readouterr()
    assert "not shown: Date03_Sub03_boxlarge/t0001.000" in told.err
    sheet = np.asarray(Image.open(out))
    assert sheet.shape[1] == 2 * 64
    for i in range(2):  # something that is not background in each picture
        assert sheet[:64, 64 * i : 64 * (i + 1)].std() > 10
    out.unlink()
    assert main(arguments) == 2
    assert "give --body-model" in capsys.readouterr().err
    assert not out.exists()


def test_sheet_of_images(damon, tmp_path, capsys):
    out = tmp_path / "sheet.png"
    assert main(["data", "show", "damon", "--root", str(damon), "--out", str(out), "--cell", "64"]) == 1
    assert "gone.jpg is not on disk" in capsys.readouterr().err
    assert np.asarray(Image.open(out)).shape[1] == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "coco", "--root", "."], "no dataset is called 'coco'"),
        (["check", "behave", "--root", "{tmp}"], "does not look like BEHAVE"),
        (["show", "damon", "--root", "{damon}", "--out", "{tmp}/a.jpg"], "ends in .png"),
        (["show", "damon", "--root", "{damon}", "--out", "{tmp}/no/a.png"], "is not there"),
        (
            ["show", "damon", "--root", "{damon}", "--out", "{tmp}/a.png", "--split", "val"],
            "no split 'val'; it has test",
        ),
        (["show", "synth_hoi", "--root", "{tmp}", "--out", "{tmp}/a.png"], "no finished SynthHOI"),
        (["build", "damon", "--root", "{damon}"], "--out is missing"),
        (["build", "damon", "--root", "{damon}", "--out", "{tmp}/t", "--set", "train=1"], "--set is for synth_hoi"),
        (["build", "synth_hoi", "--root", "{tmp}/t", "--set", "trains=1"], "wanted name=value"),
    ],
)
def test_bad_input_is_refused(arguments, message, damon, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    names = {"tmp": tmp_path, "damon": damon}
    assert main(["data", *(a.format(**names) for a in arguments)]) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_settings_of_synth_hoi():
    got = _settings(SynthConfig(), ["train=5", "lod=light", "actions=sit,kick"])
    assert (got.train, got.lod, got.actions, got.val) == (5, "light", ("sit", "kick"), SynthConfig().val)
    with pytest.raises(InputError, match="whole number"):
        _settings(SynthConfig(), ["train=many"])


def test_overlays_show_the_labels():
    image = np.full((60, 60, 3), 100, np.uint8)
    mask = np.zeros((60, 60), bool)
    mask[10:30, 10:30] = True
    sample = {
        "image": image, "human_mask": mask, "object_mask": ~mask, "keypoints_2d": np.array([[45.0, 45.0], [50.0, 5.0]]),
        "keypoints_visible": np.array([True, False]), "body_contact": np.ones(3, bool),
        "body_floor_contact": np.zeros(3, bool), "max_penetration": 0.0021, "text": "a person sits",
    }  # fmt: skip
    picture, caption = annotate(sample)
    assert caption == "a person sits\n3 vertices touch, 0 on the floor, 2.1 mm deep"
    assert tuple(picture[45, 45]) == (40, 220, 90)
    assert tuple(picture[5, 50]) != (40, 220, 90)  # not visible
    assert tuple(picture[10, 20]) == (60, 130, 255)
    inside = draw_outline(image, mask, (0, 0, 0))
    assert tuple(inside[20, 20]) == (80, 80, 80)
    assert tuple(inside[40, 40]) == (100, 100, 100)


def test_sheets_are_grids():
    assert spread_indices(100, 4) == [12, 37, 62, 87]
    assert spread_indices(2, 24) == [0, 1]
    sheet = contact_sheet([(np.full((10, 20, 3), 9, np.uint8), "one " * 30)] * 7, cell=50, columns=3)
    assert sheet.shape[1] == 150
    assert sheet.shape[0] > 3 * 50
