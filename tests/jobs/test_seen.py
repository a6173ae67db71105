"""`hoijax refine --image`: a drawn person with a box, an estimate that is off, and what holds it to the picture."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from hoijax.cli import main
from hoijax.errors import InputError
from hoijax.io import read_mesh, read_parameters, write_npz
from hoijax.jobs import objects, photo_people, refinement, seen
from hoijax.jobs.bodies import RefinerStart
from hoijax.jobs.objects import ObjectAsset
from hoijax.jobs.refinement import Interaction, refine_interactions
from hoijax.jobs.seen import PictureFiles, look_at
from hoijax.nets.blaze import Person, Region
from hoijax.optim.fitting import MEDIAPIPE_BODY, place_points, point_table
from hoijax.optim.gradient import PICTURE_STAGES, RefineConfig, RefineMetrics, RefineResult

MATRIX = [[260, 0, 120], [0, 260, 100], [0, 0, 1]]
NAMED = [i for i, name in enumerate(MEDIAPIPE_BODY) if name]


def nobody(networks, photograph):
    raise InputError("picture: no person is found")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, held_box):
    """Picture, masks, mesh, and an estimate whose box is 6 cm too high."""
    folder, world = tmp_path_factory.mktemp("seen"), held_box
    obj, person = world.masks
    image = np.full((*obj.shape, 3), 230, np.uint8)
    image[obj], image[person] = (200, 120, 40), (60, 90, 160)
    Image.fromarray(image).save(folder / "picture.png")
    for name, mask in (("object", obj), ("person", person)):
        Image.fromarray(255 * mask.astype(np.uint8)).save(folder / f"{name}.png")
    world.box.export(folder / "box.obj")
    arrays = {key: np.asarray(value) for key, value in world.params.to_axis_angle(world.model).items()}
    off = np.asarray(world.pose.translation) - np.float32([0, 0.06, 0])
    arrays |= {"obj_rot": np.asarray(world.pose.rotation), "obj_trans": off}
    # As `hoijax reconstruct` writes beside them.
    answers = {"other_obj_rot": np.zeros((9, 3), np.float32), "intrinsics": np.float32(MATRIX)}
    write_npz(folder / "estimate.npz", arrays | answers)
    write_npz(folder / "two.npz", {key: np.stack([value, value]) for key, value in arrays.items()})
    return folder


@pytest.fixture(scope="module")
def asset(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "SDF_RESOLUTION", 24)
        return ObjectAsset.of(read_mesh(folder / "box.obj"))


@pytest.fixture
def files(folder):
    return PictureFiles(folder / "picture.png", folder / "person.png", folder / "object.png", focal=260.0)


@pytest.fixture
def look(monkeypatch, held_box, asset):
    """`look_at` of the true interaction, with what the networks find."""
    monkeypatch.setattr(seen, "load", lambda name: {})
    monkeypatch.setattr(seen, "free_body", lambda lod: held_box.model)

    def run(files, found=nobody, params=held_box.params, matrix=None):
        monkeypatch.setattr(seen, "find_person", found)
        return look_at(files, held_box.model, RefinerStart(params, held_box.pose, (), ()), asset, matrix)

    return run


def finds(world, exchanged=()):
    """Networks that find the body's own landmarks, of some names those of the other side."""
    names = [MEDIAPIPE_BODY[i] for i in NAMED]
    points = np.asarray(place_points(point_table(world.model, tuple(names)), world.params)[0])
    pixels = points[:, :2] / points[:, 2:] * 260 + [120, 100]
    other = {"left": "right", "right": "left"}
    spots = np.full((33, 3), 50.0, np.float32)
    for i, name in zip(NAMED, names):
        side, _, rest = name.partition("_")
        taken = f"{other[side]}_{rest}" if any(part in rest for part in exchanged) else name
        spots[i, :2] = pixels[names.index(taken)]
    region = Region(np.float32([120, 100]), np.float32(200), np.float32(0))
    person = Person(
        landmarks=spots, metric=np.zeros((33, 3), np.float32), visibility=np.ones(33, np.float32),
        presence=np.ones(33, np.float32), mask=np.ones((256, 256), np.float32), score=np.float32(0.9),
        box=np.float32([20, 0, 220, 200]), region=region, next_region=region,
    )  # fmt: skip
    return pixels, lambda networks, photograph: (person, 1)


def test_what_a_picture_shows_of_a_true_estimate(look, files, held_box):
    pixels, found = finds(held_box)
    told = look(files, found)
    count = len(NAMED)  # beyond them hands, which nobody has looked at
    np.testing.assert_allclose(told.picture.pixels[:count], pixels, atol=0.01)
    inside = ((pixels >= 0) & (pixels <= [240, 200])).all(axis=1)
    np.testing.assert_array_equal(told.picture.weights[:count] > 0, inside)
    assert not told.picture.weights[count:].any()
    np.testing.assert_array_equal(told.picture.T_camera_world, np.eye(4))
    overlap = told.overlaps(held_box.params, held_box.pose)
    assert overlap["body"] > 0.9 and overlap["object"] > 0.9
    off = held_box.pose.replace(translation=held_box.pose.translation + np.float32([0.1, 0, 0]))
    moved = told.overlaps(held_box.params, off)
    assert moved["body"] == overlap["body"] and moved["object"] < overlap["object"] - 0.2


@pytest.mark.parametrize("parts", [("shoulder", "elbow", "wrist", "index", "pinky", "thumb"), ("hip", "knee", "ankle")])
def test_sides_that_a_detector_exchanged_are_those_of_the_estimate(look, files, held_box, parts):
    pixels, found = finds(held_box, parts)
    shown = look(files, found).picture
    rows = [k for k, i in enumerate(NAMED) if any(part in MEDIAPIPE_BODY[i] for part in parts)]
    np.testing.assert_allclose(shown.pixels[rows], pixels[rows], atol=0.01)


def test_the_networks_own_mask_leaves_the_object_out(look, files, held_box, monkeypatch):
    """It holds what hides the person too, as networks' masks of people with things do."""
    thing, person = held_box.masks
    taken, real = [], seen.outline_target

    def outline(human, hidden):
        taken.append((human, hidden))
        return real(human, hidden=hidden)

    monkeypatch.setattr(seen, "outline_target", outline)
    monkeypatch.setattr(seen, "mask_in_picture", lambda *_: np.where(thing | person, 0.9, 0.1))
    look(dataclasses.replace(files, human_mask=None), finds(held_box)[1])
    np.testing.assert_array_equal(taken[0][0], person & ~thing)
    np.testing.assert_array_equal(taken[0][1], thing)
    # A mask that was given is taken as it is.
    look(files, finds(held_box)[1])
    np.testing.assert_array_equal(taken[1][0], person)


def test_where_nobody_is_found_the_masks_hold_the_body(look, files):
    told = look(files)
    assert not told.picture.weights.any() and any("landmarks do not" in note for note in told.notes)
    with pytest.raises(InputError, match="no person is found"):
        look(dataclasses.replace(files, human_mask=None))


def test_without_a_mask_of_the_person_the_networks_own_is_used(look, files, held_box, monkeypatch):
    ones = np.zeros((200, 240), np.float32)
    ones[:, 60:180] = 1
    monkeypatch.setattr(seen, "mask_in_picture", lambda person, size: ones)
    outline = look(dataclasses.replace(files, human_mask=None), finds(held_box)[1]).picture.body
    left, side = outline.box[0], outline.box[2]
    columns = left + (np.flatnonzero((outline.covered > 0.5).any(axis=0)) + 0.5) * side / outline.covered.shape[1]
    assert abs(columns.min() - 60) < 3 and abs(columns.max() - 180) < 3


def test_the_focal_length_is_the_option_s_or_the_file_s(look, files):
    whole = np.array([[255.0, 0, 118], [0, 255, 101], [0, 0, 1]])
    np.testing.assert_allclose(look(files, matrix=whole).picture.matrix[0], [260, 0, 120])
    free = dataclasses.replace(files, focal=None)
    told = look(free, matrix=whole)
    np.testing.assert_allclose(told.picture.matrix, whole)
    assert any("255 pixels, as given" in note for note in told.notes)
    # A crop's camera, whose centre is elsewhere, is not the picture's.
    told = look(free, matrix=np.diag([255.0, 255.0, 1.0]))
    assert any("is a guess" in note for note in told.notes)
    assert told.digest != look(files).digest


def test_an_estimate_of_another_frame_is_refused(look, files, held_box):
    away = held_box.params.replace(translation=held_box.params.translation * np.float32([1, 1, -1]))
    with pytest.raises(InputError, match="camera frame"):
        look(files, params=away)


@pytest.mark.parametrize("fall", [0.0, 0.2])
def test_the_refiner_gets_the_picture_and_outlines_count_more_where_they_suffer(
    look, files, folder, held_box, asset, monkeypatch, fall
):
    told, calls = look(files), []

    def refine(model, params, template, pose, contacts, config, *, picture, surfaces, progress, **rest):
        calls.append((picture, surfaces, {stage.weights.outline for stage in config.stages}))
        one, parts = np.full(1, 0.01, np.float32), np.full((1, 1), 0.01, np.float32)
        metrics = RefineMetrics(parts, one, one, one)
        moved = pose.replace(translation=pose.translation + np.float32([fall, 0, 0]))
        return RefineResult(
            params=params, pose=moved, before=metrics, after=metrics, steps=np.full(1, 3, np.int32),
            converged=np.ones(1, bool), tilt=np.zeros(1, np.float32), parts=(("left_hand",),),
        )  # fmt: skip

    monkeypatch.setattr(refinement, "refine_batch", refine)
    start = RefinerStart(held_box.params, held_box.pose, (), ())
    source, config = read_parameters(folder / "estimate.npz"), RefineConfig(stages=PICTURE_STAGES)
    item = Interaction(source, start, asset, None, None, config, seen=told)
    (found,) = refine_interactions(held_box.model, None, [item])
    np.testing.assert_array_equal(calls[0][0].pixels[0], told.picture.pixels)
    assert calls[0][1] is told.surfaces
    assert [weights for *_, weights in calls] == ([{1.0}, {8.0}] if fall else [{1.0}])
    assert found.before["overlap"] == told.overlaps(held_box.params, held_box.pose)
    assert (found.after["overlap"]["object"] < found.before["overlap"]["object"] - 0.1) is bool(fall)
    assert any("object had to leave the picture" in note for note in found.notes) is bool(fall)
    assert not any("body had to" in note or "body and" in note for note in found.notes)
    blind = dataclasses.replace(item, seen=None)
    assert item.program() != blind.program()


@pytest.fixture
def refine(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(objects, "SDF_RESOLUTION", 24)
    monkeypatch.setattr(photo_people, "find_people", None)

    def run(*options, body="estimate.npz", out="out", picture=True):
        shown = [f"--image={folder / 'picture.png'}", f"--object-mask={folder / 'object.png'}"]
        code = main([
            "refine", f"--body={folder / body}", f"--object={folder / 'box.obj'}", f"--out={tmp_path / out}",
            "--lod=test", "--pictures=0", *shown * picture, *options,
        ])  # fmt: skip
        return code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("options", "body", "picture", "told"),
    [
        (("--focal=-3",), "estimate.npz", True, "wanted pixels above zero"),
        (("--sequence",), "two.npz", True, "leave out --sequence"),
        (("--prior=scorehoi",), "estimate.npz", True, "does not look at pictures"),
        (("--focal=300",), "estimate.npz", False, "give --image too"),
        ((), "two.npz", True, "shows one interaction and BODY holds 2"),
    ],
)
def test_what_contradicts_a_picture_is_refused(refine, tmp_path, options, body, picture, told):
    code, said = refine(*options, body=body, picture=picture)
    assert code == 2 and told in said and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_object_beside_its_mask_comes_back_to_it(refine, folder, tmp_path, monkeypatch, held_box):
    """The box is 6 cm off across the line of sight, where hands hold it as well: only the picture can tell."""
    monkeypatch.setattr(seen, "find_person", nobody)
    monkeypatch.setattr(seen, "free_body", lambda lod: held_box.model)
    code, _ = refine(f"--human-mask={folder / 'person.png'}", "--steps=40", "--contact=left_hand,right_hand")
    assert code == 0
    record = json.loads((tmp_path / "out/metrics.json").read_text())
    was, now = record["before"]["overlap"], record["after"]["overlap"]
    assert now["object"] > was["object"] + 0.1 and now["body"] > was["body"] - 0.06
    with np.load(tmp_path / "out/refined.npz") as file:
        assert abs(file["obj_trans"][1] - held_box.pose.translation[1]) < 0.03
    assert any("260 pixels, as given" in note for note in record["notes"])  # by the estimate's own file
    assert record["options"]["image"].endswith("picture.png") and record["options"]["up"] == "-y"
