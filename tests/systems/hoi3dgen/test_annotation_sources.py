"""Samples of SynthHOI, BEHAVE and ProciGen as they lie on disk; colours; cameras; a model that answers or does not."""

import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.spatial.transform import Rotation

from hoijax.body_models import free_body, save
from hoijax.camera import project
from hoijax.errors import InputError
from hoijax.language import LanguageError, Recorder, Replay, ServerModel
from hoijax.systems.hoi3dgen.annotation import (
    RULES,
    ModelAnnotator,
    OfflineAnnotator,
    annotate_sample,
    annotators,
    open_samples,
    person_rig,
    ring_rig,
)
from hoijax.systems.hoi3dgen.annotation.actions import guess_action
from hoijax.systems.hoi3dgen.annotation.annotators import proportions
from hoijax.systems.hoi3dgen.annotation.colors import COLORS, color_name, masked_color, region_colors
from hoijax.systems.hoi3dgen.annotation.posing import body_vertices, facing_of, rotated_fields
from hoijax.systems.hoi3dgen.annotation.questions import ModelGone, middle_text, most_said, read_action

FLIP = np.diag([1.0, -1.0, -1.0])


def body_off_its_pelvis():
    """The free body, whose pelvis is the origin, moved as SMPL's are: by 24 cm, and by each shape some more."""
    model, offset = free_body("test"), np.array([0.02, -0.24, 0.03], np.float32)
    wider = np.linspace(-0.02, 0.02, 30, dtype=np.float32).reshape(3, 10)
    return dataclasses.replace(
        model, kind="smplh", v_template=model.v_template + offset, joint_template=model.joint_template + offset,
        shape_dirs=model.shape_dirs + wider, joint_shape_dirs=model.joint_shape_dirs + wider,
    )  # fmt: skip


@pytest.fixture(scope="module")
def smplh(tmp_path_factory):
    """The same joints as a file of SMPL-H."""
    path = tmp_path_factory.mktemp("body") / "SMPLH_NEUTRAL.npz"
    save(path, body_off_its_pelvis())
    return path


@pytest.fixture(scope="module")
def synth(tmp_path_factory, ball_dataset):
    return open_samples("synth_hoi", ball_dataset.make_dataset(tmp_path_factory.mktemp("synth")))


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value, protocol=2))


def standing(offset=(0.2, -0.1, 2.0)):
    """SMPL-H's numbers of somebody upright before a camera whose y is down."""
    pose = np.zeros(156)
    pose[:3] = Rotation.from_matrix(FLIP @ Rotation.from_euler("y", 0.4).as_matrix()).as_rotvec()
    pose[60:63] = 0.2
    return {"pose": pose, "betas": np.linspace(-0.5, 0.5, 10), "trans": np.asarray(offset)}


@pytest.fixture
def behave(tmp_path):
    root = tmp_path / "behave"
    sequence = root / "sequences/Date01_Sub01_boxsmall_hand"
    frame = sequence / "t0003.000"
    dump(frame / "person/fit02/person_fit.pkl", standing())
    dump(
        frame / "boxsmall/fit01/boxsmall_fit.pkl", {"angle": np.array([0.1, 0.2, 0.3]), "trans": np.array([3.0, 0, 2])}
    )
    (sequence / "info.json").write_text(json.dumps({"cat": "boxsmall", "gender": "male"}))
    (root / "objects/boxsmall").mkdir(parents=True)
    trimesh.creation.box((0.2, 0.1, 0.3)).export(root / "objects/boxsmall/boxsmall_f1000.ply")
    Image.fromarray(np.full((20, 30, 3), (200, 30, 40), np.uint8)).save(frame / "k1.color.jpg", quality=95)
    Image.fromarray(np.full((20, 30), 255, np.uint8)).save(frame / "k1.obj_rend_mask.png")
    return root


@pytest.fixture
def procigen(tmp_path):
    root = tmp_path / "procigen"
    frame = root / "Date01_Subxx_backpack_synzv2-01/t0001"
    dump(frame / "person/fit01/person_fit.pkl", standing())
    turn = Rotation.from_rotvec([0.2, 0.1, -0.5]).as_matrix()
    fit = {"rot": turn, "trans": np.array([0.4, 0.0, 2.0]), "synset_id": "02773838", "ins_name": "abc"}
    dump(frame / "backpack/fit01/backpack_fit.pkl", fit)
    box = trimesh.creation.box((0.2, 0.3, 0.1))
    box.vertices = box.vertices @ turn.T + fit["trans"]
    box.export(frame / "backpack/fit01/backpack_fit.ply")
    (frame.parent / "info.json").write_text("{}")
    return root


def test_behave_is_turned_upright_and_the_object_is_where_its_fit_says(behave, smplh):
    source = open_samples("behave", behave, body_model=smplh)
    assert source.keys == ("Date01_Sub01_boxsmall_hand/t0003.000",) and source.rule == "loose"
    sample = source.load(source.keys[0])
    assert (sample.gender, sample.object_name, sample.action, sample.floor) == ("male", "boxsmall", "hand", None)
    # Head above feet, and the fields say the same as the vertices.
    assert np.argmax(sample.vertices[:, 1]) == np.argmax(np.asarray(sample.model.v_template)[:, 1])
    np.testing.assert_allclose(body_vertices(sample.model, sample.body), sample.vertices, atol=1e-5)
    box = trimesh.creation.box((0.2, 0.1, 0.3))
    want = (box.vertices @ Rotation.from_rotvec([0.1, 0.2, 0.3]).as_matrix().T + [3.0, 0, 2]) @ FLIP
    got = np.asarray(sample.object.vertices)
    assert np.abs(got[:, None] - want[None]).max(axis=2).min(axis=1).max() < 1e-6
    np.testing.assert_allclose(box.vertices @ sample.obj_rot.T + sample.obj_trans, want, atol=1e-6)
    np.testing.assert_allclose(sample.facing, [math.sin(0.4), 0, math.cos(0.4)], atol=1e-6)
    record = annotate_sample(sample, OfflineAnnotator(), RULES[source.rule])
    assert record["appearance"]["object"]["colour"] == "red" and record["action"]["name"] == "hold"
    assert record["provenance"]["action"] == "behave's label" and record["smpl"]["kind"] == "smplh"
    assert len(record["smpl"]["pose"]) == 156 and record["contact"]["config"] == "no_contact"
    before = source.stamp(source.keys[0])
    dump(behave / "sequences/Date01_Sub01_boxsmall_hand/t0003.000/person/fit02/person_fit.pkl", standing() | {"x": 1})
    assert source.stamp(source.keys[0]) != before
    (behave / "sequences/Date01_Sub01_boxsmall_hand/t0003.000/k1.color.jpg").write_bytes(b"\xff\xd8\xffbroken")
    assert source.load(source.keys[0]).picture is None


def test_procigen_takes_the_mesh_that_lies_beside_the_fit(procigen, smplh):
    source = open_samples("procigen", procigen, body_model=smplh)
    sample = source.load(source.keys[0])
    assert sample.object_uid == "02773838/abc" and sample.action is None and sample.object_name == "backpack"
    box = trimesh.creation.box((0.2, 0.3, 0.1)).vertices
    got = np.asarray(sample.object.vertices)
    want = box @ sample.obj_rot.T + sample.obj_trans
    assert np.abs(got[:, None] - want[None]).max(axis=2).min(axis=1).max() < 1e-6
    next(procigen.rglob("*.ply")).unlink()
    with pytest.raises(InputError, match="no template .*backpack_fit.ply"):
        source.load(source.keys[0])


def test_synth_samples_have_their_picture_and_its_colours(synth, ball_dataset):
    assert synth.keys == tuple(f"val-{i:06d}" for i in range(len(ball_dataset.ROWS))) and synth.rule == "exact"
    assert synth.stamp("val-000000") != synth.stamp("val-000001")
    record = annotate_sample(synth.load("val-000000"), OfflineAnnotator(), RULES["exact"])
    person = record["appearance"]["person"]
    assert person["top"] == "red shirt" and person["bottom"] == "red trousers"
    assert record["appearance"]["object"]["colour"] == "blue" and record["appearance"]["object"]["category"] == "ball"
    assert record["contact"]["config"] == "right_hand" and record["contact"]["min_dist_cm"] == pytest.approx(
        0.3, abs=0.05
    )
    assert record["text"].endswith("carries a blue ball with the right hand.") and record["flags"] == []
    with pytest.raises(ValueError, match="nonsense"):
        synth.load(f"val-{ball_dataset.DAMAGED:06d}")


def test_wrong_folders_and_choices(tmp_path, smplh, synth):
    for args, message in (
        (("coco", tmp_path), "no dataset 'coco' can be annotated; there are procigen, behave, synth_hoi"),
        (("behave", tmp_path), "give --body-model"),
        (("synth_hoi", tmp_path), "no finished SynthHOI"),
    ):
        with pytest.raises(InputError, match=message):
            open_samples(*args)
    with pytest.raises(InputError, match="leave --body-model out"):
        open_samples("synth_hoi", tmp_path, body_model=smplh)
    with pytest.raises(InputError, match="have the splits train, val, test"):
        open_samples("synth_hoi", tmp_path, split="scenes_train")
    with pytest.raises(InputError, match="procigen in .* has no samples.*nothing usable"):
        open_samples("procigen", tmp_path, body_model=smplh)


def test_fields_turn_with_the_body():
    model = body_off_its_pelvis()
    rng = np.random.default_rng(0)
    fields = {"global_orient": rng.normal(size=3), "body_pose": 0.2 * rng.normal(size=63), "betas": rng.normal(size=10),
              "transl": rng.normal(size=3)}  # fmt: skip
    turn = Rotation.from_rotvec([0.4, -1.0, 0.3]).as_matrix()
    got = body_vertices(model, rotated_fields(model, fields, turn))
    np.testing.assert_allclose(got, body_vertices(model, fields) @ turn.T, atol=2e-5)


@pytest.mark.parametrize(
    ("turn", "want"),
    [
        (("y", 0.0), (0, 0, 1)), (("y", 1.2), (math.sin(1.2), 0, math.cos(1.2))),
        (("x", -math.pi / 2), (0, 0, 1)),  # on the back, the head at -z: the feet
        (("x", math.pi / 2), (0, 0, 1)),  # on the belly, the head at +z
        (("x", 0.5), (0, 0, 1)),
    ],
)  # fmt: skip
def test_where_a_body_looks(turn, want):
    fields = {"global_orient": Rotation.from_euler(*turn).as_rotvec()}
    np.testing.assert_allclose(facing_of(fields), want, atol=1e-6)


def test_cameras_stand_before_the_person(synth):
    sample = synth.load("val-000000")
    turned = dataclasses.replace(sample, facing=np.array([math.sin(0.7), 0, math.cos(0.7)]))
    points = np.concatenate([sample.vertices, np.asarray(sample.object.vertices)])
    for rig, angles in (
        (person_rig(turned, size=64), (0, -45, 45)),
        (ring_rig(turned, count=4, size=64), (0, 90, 180, 270)),
    ):
        for i, angle in enumerate(angles):
            camera = rig.camera(i)
            matrix = np.asarray(camera.T_camera_world, float)
            eye = -matrix[:3, :3].T @ matrix[:3, 3]
            forward = -matrix[2, :3]
            assert math.remainder(math.atan2(forward[0], forward[2]) - 0.7 - math.radians(angle), 2 * math.pi) == (
                pytest.approx(0, abs=1e-5)
            )
            assert eye[1] > 0
            pixels = np.asarray(project(camera, points.astype(np.float32))[0])
            assert pixels.min() >= 0 and pixels.max() <= 64


def test_colours_have_names():
    for name, rgb in COLORS.items():
        assert color_name(np.array(rgb) / 255) == name
    assert color_name(np.array([1.0, 0, 0])) == "red" and color_name(np.array([0.05, 0.05, 0.05])) == "black"
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2] = (255, 0, 0)
    np.testing.assert_allclose(masked_color(image, image[..., 0] > 0), [1, 0, 0])
    assert masked_color(image, np.eye(4, dtype=bool)) is None
    pixels = np.array([[x + 0.5, y + 0.5] for y in range(4) for x in range(4)] + [[-1, 0], [np.nan, 1], [9, 9]])
    regions = np.array([0] * 8 + [1] * 8 + [0] * 3)
    seen = np.ones(19, bool)
    seen[8:12] = False
    got = region_colors(image, pixels, seen, regions, ("top", "bottom"))
    assert set(got) == {"top"} and got["top"].tolist() == [1, 0, 0]  # four pixels are too few
    assert set(region_colors(image, pixels, np.ones(19, bool), regions, ("top", "bottom"))) == {"top", "bottom"}


def test_proportions_and_guesses():
    stick = trimesh.creation.box((0.1, 1.0, 0.1)).vertices @ Rotation.from_rotvec([1, 2, 3]).as_matrix()
    assert proportions(stick) == "long"
    assert proportions(trimesh.creation.box((1.0, 0.05, 0.8)).vertices) == "flat"
    assert proportions(trimesh.creation.box((0.3, 0.4, 0.5)).vertices) is None
    assert guess_action("backpack", "back", ("back",)) == ("wear", 0.8)
    assert guess_action("chairwood", "others", ("pelvis",)) == ("sit", 0.8)
    assert guess_action("boxsmall", "both_hands", ("left_hand", "right_hand")) == ("hold", 0.7)
    assert guess_action("boxsmall", "others", ("head",))[1] < 0.6  # not sure: the filter drops it


GOOD = {
    "person": {"top": "green coat", "bottom": None, "hair": "short hair", "shoes": "not visible"},
    "object": {"category": "beach ball", "colour": "yellow", "material": "plastic", "shape": "round"},
    "action": {"action": "Hold", "confidence": 0.9, "posture": "arms out"},
    "text": {"text": "Somebody in a green coat holds a yellow beach ball with the right hand."},
}


def question_of(body):
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else content[0]["text"]
    for name, mark in (
        ("person", "Describe the person"),
        ("object", "Describe the object"),
        ("action", "Choose one of"),
    ):
        if mark in text:
            return name, text
    return "text", text


@pytest.fixture
def quick_views(monkeypatch):
    """Pictures without a renderer: who is shown decides the colour."""
    shown = []

    def render(sample, rig, shown_parts):
        shown.append(tuple(shown_parts))
        return [np.full((8, 8, 3), 40 * len(shown_parts) + i, np.uint8) for i in range(len(rig.names))]

    monkeypatch.setattr(annotators, "render_sample", lambda sample, rig, shown: render(sample, rig, shown))
    return shown


def test_a_server_sees_pictures_is_corrected_and_its_transcript_says_the_same(
    synth, chat_server, quick_views, tmp_path
):
    bad = {
        "person": ["I see a person.", '{"top": 3, "bottom": null, "hair": null, "shoes": null}'],
        "object": ['{"category": "ball"}'], "action": ['{"action": "fly", "confidence": 1}'],
        "text": ['{"text": "He holds it in the left hand."}', '{"text": "He holds it in the right hand and"}'],
    }  # fmt: skip

    def answer(body):
        name, _ = question_of(body)
        return bad[name].pop(0) if bad[name] else f"Sure: {json.dumps(GOOD[name])}"

    sample = synth.load("val-000000")
    with chat_server(answer) as (url, requests):
        recorder = Recorder(ServerModel("eyes", url, retries=0))
        record = annotate_sample(sample, ModelAnnotator(recorder), RULES["exact"])
    assert record["appearance"]["person"] == {"top": "green coat", "bottom": None, "hair": "short hair", "shoes": None}
    assert record["appearance"]["object"] == GOOD["object"]
    assert record["action"] == {"name": "hold", "confidence": 0.9, "posture": "arms out"}
    assert record["text"] == GOOD["text"]["text"] and record["flags"] == []
    assert record["provenance"] == {"appearance": "eyes", "action": "eyes", "text": "eyes"}
    assert quick_views == [("person",), ("object",), ("person", "object")]
    asked = [question_of(body) for body in requests]
    assert [name for name, _ in asked] == ["person"] * 3 + ["object"] * 2 + ["action"] * 2 + ["text"] * 3
    images = requests[0]["messages"][-1]["content"][1:]
    assert len(images) == 4 and all(i["image_url"]["url"].startswith("data:image/png;base64,") for i in images)
    assert "top is neither text nor null" in asked[2][1] and "'fly' is none of hold" in asked[6][1]
    assert "says 'left hand', which does not touch" in asked[8][1] and "truncated text" in asked[9][1]
    assert "right hand" in asked[5][1] and "ball" in asked[5][1]  # contact comes from geometry, never from the model
    recorder.write(tmp_path / "said.json")
    again = annotate_sample(sample, ModelAnnotator(Replay.read(tmp_path / "said.json")), RULES["exact"])
    assert again == record
    with pytest.raises(LanguageError, match="holds no reply"):
        annotate_sample(synth.load("val-000001"), ModelAnnotator(Replay.of(recorder)), RULES["exact"])


def test_what_a_model_cannot_say_is_said_offline_and_a_model_that_is_gone_is_told(synth, chat_server, quick_views):
    sample = synth.load("val-000000")
    offline = annotate_sample(sample, OfflineAnnotator(), RULES["exact"])
    with chat_server(lambda body: "I cannot help with that.") as (url, requests):
        record = annotate_sample(sample, ModelAnnotator(ServerModel("mute", url, retries=0), votes=2), RULES["exact"])
    assert len(requests) == 4 * 2 * 3
    assert record | {"provenance": None} == offline | {"provenance": None}
    assert record["provenance"] == {
        "appearance": "offline, mute of nothing",
        "action": "synth_hoi's label",
        "text": "offline",
    }
    with chat_server(lambda body: 500) as (url, _), pytest.raises(ModelGone, match="status 500"):
        annotate_sample(sample, ModelAnnotator(ServerModel("down", url, retries=0)), RULES["exact"])


def test_votes():
    votes = [{"top": "a", "hair": None}, {"top": "b", "hair": "x"}, {"top": "b", "hair": None}]
    assert most_said(votes, ("top", "hair")) == {"top": "b", "hair": None}
    assert most_said(votes[:2], ("top", "hair")) == {"top": "a", "hair": "x"}
    assert middle_text(["he holds a ball", "she eats", "he holds a red ball"]) == "he holds a ball"
    assert read_action('{"action": "stand next to", "confidence": 1}')["name"] == "stand_next_to"


def test_a_vote_for_something_else_makes_the_action_less_sure(synth, chat_server, quick_views):
    said = {0: "carry", 1: "hold", 2: "hold"}

    def answer(body):
        name, _ = question_of(body)
        return json.dumps(GOOD["action"] | {"action": said[body["seed"]]} if name == "action" else GOOD[name])

    with chat_server(answer) as (url, requests):
        model = ModelAnnotator(ServerModel("eyes", url, retries=0), votes=3, temperature=0.7)
        record = annotate_sample(synth.load("val-000000"), model, RULES["exact"])
    assert record["action"]["name"] == "hold" and record["action"]["confidence"] == pytest.approx(0.6)
    assert {r["temperature"] for r in requests} == {0.7} and {r["seed"] for r in requests} == {0, 1, 2}
