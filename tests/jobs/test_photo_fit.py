"""`reconstruct --method fit` around the fits: whom to take, what is written, what is said, what is refused."""

import dataclasses
import gc
import json
import pathlib
import sys
import weakref

import jax
import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, free_body, named_pose, pose_body
from hoijax.cli import main
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.io import read_parameters
from hoijax.jobs import objects, photo_fit, photo_fits, photo_objects, photo_people, photograph_files
from hoijax.jobs.overlays import SIZE
from hoijax.jobs.photo_fit import PhotoFit, PhotoFitter, view_box, view_intrinsics
from hoijax.jobs.photo_fit_files import backdrop, closeness, judge_fit
from hoijax.jobs.photo_objects import known_kind
from hoijax.jobs.photo_people import find_person, truncation_notes
from hoijax.jobs.photograph_files import MaskFiles, look_at_photographs
from hoijax.jobs.photographs import Photograph, Spot, read_photograph
from hoijax.jobs.videos import Video, write_film
from hoijax.nets.blaze import BOX_CORNERS, ObjectBox, Person, Region
from hoijax.optim.fitting import BodyFit, Intrinsics, ObjectFit, ObjectFitConfig, object_shape

HEIGHT, WIDTH = 60, 80
MATRIX = np.array([[100.0, 0, 40], [0, 100, 30], [0, 0, 1]], np.float32)


def photograph(image=None, human=None, thing=None):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8) if image is None else image
    nothing = np.zeros(image.shape[:2], bool)
    return Photograph(
        "a", pathlib.Path("a.png"), image, nothing if human is None else human, nothing if thing is None else thing
    )


def people(*persons):
    """What the networks answer: each person's score, and a box that holds the landmarks."""
    rng, rows = np.random.default_rng(0), []
    for score, (left, top, right, bottom) in persons:
        spots = rng.uniform([left, top], [right, bottom], (33, 2))
        region = Region(np.float32([(left + right) / 2, (top + bottom) / 2]), np.float32(bottom - top), np.float32(0))
        rows.append(
            Person(
                landmarks=np.concatenate([spots, np.full((33, 1), 2.0)], axis=1).astype(np.float32),
                metric=np.zeros((33, 3), np.float32), visibility=np.ones(33, np.float32),
                presence=np.ones(33, np.float32), mask=np.ones((256, 256), np.float32), score=np.float32(score),
                box=np.float32([left, top, right, bottom]), region=region, next_region=region,
            )
        )  # fmt: skip
    return jax.tree.map(lambda *x: np.stack(x), *rows)


def test_the_person_in_the_mask_is_taken_or_else_the_most_certain(monkeypatch):
    both = people((0.7, (5, 5, 25, 55)), (0.95, (50, 5, 75, 55)), (0.2, (30, 0, 40, 59)))
    monkeypatch.setattr(photo_people, "find_people", lambda *args, **kwargs: both)
    found, count = find_person({}, photograph())
    assert count == 2 and found.box[0] == 50
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, :28] = True
    found, _ = find_person({}, photograph(human=mask))
    assert found.box[0] == 5
    mask[:, :45], mask[:, 30:45] = False, True  # only the one that is none
    with pytest.raises(InputError, match="not where the person's mask is"):
        find_person({}, photograph(human=mask))


def test_a_box_or_a_click_says_who_is_meant(monkeypatch):
    """In pixels of the whole picture, which the networks see at half its size."""
    both = people((0.7, (5, 5, 25, 55)), (0.95, (20, 5, 45, 55)), (0.2, (60, 5, 79, 55)))
    monkeypatch.setattr(photo_people, "find_people", lambda *args, **kwargs: both)
    monkeypatch.setattr(photo_people, "LARGEST", 80)
    picture = photograph(np.zeros((120, 160, 3), np.uint8))
    spots = {
        10: (Spot(box=(0, 0, 60, 120)), Spot(click=(20, 60)), Spot(click=(43, 60)), Spot((0, 0, 70, 120), (24, 60))),
        40: (Spot(box=(44, 2, 96, 118)), Spot(click=(48, 60)), Spot(click=(92, 60)), Spot((0, 0, 90, 120), (70, 60))),
    }
    for left, said in spots.items():
        for who in said:
            assert find_person({}, picture, who=who)[0].box[0] == left, who
    nobody = Spot(box=(130, 0, 158, 118)), Spot(click=(140, 60)), Spot(click=(97, 60)), Spot((0, 0, 52, 120), (80, 60))
    for who in nobody:
        with pytest.raises(InputError, match="nobody is found where --human-box or --human-click points; people are"):
            find_person({}, picture, who=who)
    # A mask says more.
    mask = np.zeros((120, 160), bool)
    mask[:, :30] = True
    for x in (80, 140):
        assert find_person({}, photograph(picture.image, human=mask), who=Spot(click=(x, 60)))[0].box[0] == 10


def test_nobody_is_said(monkeypatch):
    monkeypatch.setattr(photo_people, "find_people", lambda *args, **kwargs: people((0.1, (5, 5, 25, 55))))
    with pytest.raises(InputError, match="no person is found in the picture of 80 x 60 pixels"):
        find_person({}, photograph())


def test_large_pictures_are_looked_at_small_and_answered_whole(monkeypatch):
    seen = []

    def answer(networks, picture, **kwargs):
        seen.append(picture.shape)
        return people((0.9, (100, 50, 300, 550)))

    monkeypatch.setattr(photo_people, "find_people", answer)
    monkeypatch.setattr(photo_people, "LARGEST", 400)
    found, _ = find_person({}, photograph(np.zeros((1200, 1600, 3), np.uint8)))
    assert seen == [(300, 400, 3)]
    np.testing.assert_allclose(found.box, [400, 200, 1200, 2200])
    np.testing.assert_allclose(found.region.centre, [800, 1200])
    np.testing.assert_allclose(found.region.size, 2000)
    assert found.landmarks[:, 0].min() >= 400 and 1100 < found.landmarks[:, 0].max() <= 1200
    np.testing.assert_allclose(found.landmarks[:, 2], 8)
    # What a frame before says is in pixels of the whole picture too.
    both = people((0.9, (100, 50, 200, 250)), (0.7, (250, 50, 350, 250)))
    monkeypatch.setattr(photo_people, "find_people", lambda *args, **kwargs: both)
    before = Region(np.float32([1200, 600]), np.float32(800), np.float32(0))
    assert find_person({}, photograph(np.zeros((1200, 1600, 3), np.uint8)), before)[0].box[0] == 1000


def test_what_is_cut_off_is_noted():
    (person,) = (jax.tree.map(lambda x: x[0], people((0.9, (5, 5, 25, 55)))),)
    landmarks = person.landmarks.copy()
    assert truncation_notes(person.replace(landmarks=4 * landmarks), (240, 320)) == []
    landmarks[25:29, 1] = 70.0
    notes = truncation_notes(person.replace(landmarks=4 * landmarks), (240, 320))
    assert notes == ["the person's legs are not seen: they rest"]
    notes = truncation_notes(person.replace(landmarks=landmarks), (60, 80))
    assert any("pixels tall" in note for note in notes)


@pytest.mark.parametrize(
    "overlap, nearest, depth, good, told",
    [
        ((0.8, 0.9), 0.0, 0.01, True, "fits the picture, body and object touch"),
        ((0.8, 0.9), 0.2, 0.0, True, "fits the picture, but body and object are 20 cm apart"),
        ((0.8, 0.9), 0.0, 0.08, True, "fits the picture, but the body is 8 cm inside the object"),
        (
            (0.8, 0.41),
            0.3,
            0.0,
            False,
            "poor: the object covers its mask only to 0.41; body and object are 30 cm apart",
        ),
        ((0.3, 0.9), 0.0, 0.0, False, "poor: the body covers its mask only to 0.30"),
        ((0.8, np.nan), 0.0, 0.0, False, "poor: the object covers its mask only to nan"),
    ],
)
def test_verdicts(overlap, nearest, depth, good, told):
    assert judge_fit(dict(zip(("body", "object"), overlap)), nearest, depth) == (good, told)


def test_the_backdrop_lies_on_the_rays_of_its_pixels():
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    grid = backdrop(image, MATRIX, 4.0)
    points = grid.vertices * [1, -1, -1]
    np.testing.assert_allclose(points[:, 2], 4.0, rtol=1e-6)
    pixels = points[:, :2] / points[:, 2:] * 100 + [40, 30]
    np.testing.assert_allclose([pixels.min(0), pixels.max(0)], [[0, 0], [WIDTH, HEIGHT]], atol=1e-3)
    corners = grid.vertices[grid.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] > 0).all()  # towards the viewer
    np.testing.assert_allclose(0.5 * np.linalg.norm(normals, axis=1).sum(), 4.0**2 * 0.8 * 0.6, rtol=1e-5)


def test_the_drawn_square_holds_both_masks():
    human, thing = np.zeros((2, HEIGHT, WIDTH), bool)
    human[10:50, 20:30], thing[30:40, 28:60] = True, True
    low, side = view_box(photograph(human=human, thing=thing))
    np.testing.assert_allclose([*low, side], [40 - 23, 30 - 23, 46])
    matrix = view_intrinsics(MATRIX, low, side)
    pixel = matrix @ np.linalg.inv(MATRIX) @ [20, 10, 1]
    np.testing.assert_allclose(pixel[:2], np.array([3, 3]) * SIZE / 46, rtol=1e-4)


@pytest.fixture(scope="module")
def mesh_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("mesh") / "box.obj"
    trimesh.creation.box((0.4, 0.4, 0.4)).export(path)
    return path


@pytest.fixture(scope="module")
def fitter(mesh_file):
    model = free_body("test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "SDF_RESOLUTION", 16)
        asset = objects.ObjectAsset.read(mesh_file, None)
    return PhotoFitter(model, model, {}, asset, object_shape(asset.light), ObjectFitConfig())


def answer(model, photo, *, overlap=0.9, scale=1.0):
    """A standing body three metres away and a box beside it."""
    pose = named_pose("stand") | {"betas": np.zeros(10, np.float32)}
    params = BodyParams.from_axis_angle(model, **(pose | {"transl": np.float32([0, 0, 3])}))
    params = BodyParams(*(np.asarray(x) for x in (params.rotations, params.betas, params.translation)))
    turns = np.stack([np.eye(3), np.diag([1.0, -1, -1])]).astype(np.float32)
    found = ObjectFit(
        RigidPose(turns, np.float32([[0.6, 0, 3], [0.6, 0, 3]]), np.float32([scale, 1.1])), np.float32([0.1, 0.2]),
        np.float32([overlap, 0.5]), np.array([True, False]), np.float32(0.1),
    )  # fmt: skip
    names = {f.name for f in dataclasses.fields(BodyFit)} - {"source", "params", "joints", "joint_std"}
    body = BodyFit(
        **dict.fromkeys(names), params=params, joints=np.zeros((2, 3)), joint_std=np.zeros(2), source="given"
    )
    drawn = np.zeros((SIZE, SIZE, 4), np.uint8)
    vertices = np.asarray(pose_body(model, params).vertices)
    square = Region(np.float32([40, 30]), np.float32(50), np.float32(0.1))
    return PhotoFit(photo, params, vertices, body, found, MATRIX, (np.zeros(2), 60.0), drawn,
                  {"body": 0.8, "object": overlap}, 1, ("a note",), square)  # fmt: skip


def test_closeness_is_metres_at_any_size(fitter):
    found = answer(fitter.model, photograph(), scale=1.5)
    vertices = np.float32([[0.6 - 0.3 - 0.1, 0, 3], [-1, 0, 3]])  # 10 cm left of a box of 60 cm
    nearest, depth = closeness(dataclasses.replace(found, vertices=vertices), fitter.asset)
    assert nearest == pytest.approx(0.1, abs=0.01) and depth == 0
    vertices = np.float32([[0.6 - 0.3 + 0.05, 0, 3]])
    nearest, depth = closeness(dataclasses.replace(found, vertices=vertices), fitter.asset)
    assert nearest == 0 and depth == pytest.approx(0.05, abs=0.01)


@pytest.fixture
def command(tmp_path, mesh_file, fitter, monkeypatch, capsys):
    """`hoijax reconstruct` on a folder of three pictures with the fits taken out."""
    for place in ("images", "things"):
        (tmp_path / place).mkdir()
        for i, name in enumerate("abc"):
            pixels = np.full((HEIGHT, WIDTH), 40 * i, np.uint8)
            if place == "things":
                pixels[:] = 0
                pixels[20:40, 30:50] = 255
            Image.fromarray(pixels).save(tmp_path / place / f"{name}.png")
    made = []

    def fit(fitter, photo, focal, before, who):
        made.append((photo.name, focal))
        if photo.name == "c":
            raise InputError("c: no person is found")
        return answer(fitter.model, photo, overlap=0.3 if photo.name == "b" else 0.9)

    monkeypatch.setattr(photo_fits, "fit_photograph", fit)
    monkeypatch.setattr(photo_fits, "make_fitter", lambda asset, config, kind: fitter)
    monkeypatch.setenv("HOIJAX_CACHE", "off")
    monkeypatch.setattr(objects, "SDF_RESOLUTION", 16)

    def run(*options, image="images", thing="things", out="out"):
        made.clear()
        code = main([
            "reconstruct", f"--image={tmp_path / image}", f"--object={mesh_file}", f"--out={tmp_path / out}",
            *([] if thing is None else [f"--object-mask={tmp_path / thing}"]), *options,
        ])  # fmt: skip
        told = capsys.readouterr()
        return code, told.out + told.err, list(made)

    return run


def test_a_folder_is_fitted_and_finished_pictures_are_kept(command, tmp_path, fitter, mesh_file):
    code, told, made = command("--focal=90")
    assert code == 1 and [name for name, _ in made] == ["a", "b", "c"] and {focal for _, focal in made} == {90.0}
    assert "a: fits the picture" in told and "b: poor: the object covers its mask only to 0.30" in told
    assert "not used: c: no person is found" in told.replace("c: c:", "c:")
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())["items"]
    assert record["a"]["good"] and not record["b"]["good"] and record["a"]["overlap"] == {"body": 0.8, "object": 0.9}
    with np.load(tmp_path / "out" / "a" / "reconstruction.npz", allow_pickle=False) as arrays:
        body = pose_body(fitter.model, BodyParams.from_axis_angle(fitter.model, **{
            k: arrays[k] for k in ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "betas", "transl")
        }))  # fmt: skip
        np.testing.assert_allclose(arrays["obj_trans"], [0.6, 0, 3])
        np.testing.assert_allclose(np.abs(arrays["other_obj_rot"]), [[np.pi, 0, 0]], rtol=1e-5)
        assert arrays["obj_scale"] == 1 and arrays["intrinsics"].shape == (3, 3)
    scene = trimesh.load(tmp_path / "out" / "a" / "interaction.glb", process=False)
    np.testing.assert_allclose(scene.geometry["body"].vertices * [1, -1, -1], body.vertices, atol=2e-3)
    np.testing.assert_allclose(scene.geometry["object"].vertices.mean(0), [0.6, 0, -3], atol=1e-3)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "over the picture" in page and "photograph" in page
    _, _, made = command("--focal=90")
    assert [name for name, _ in made] == ["c"]
    _, _, made = command("--focal=91")
    assert len(made) == 3
    text = mesh_file.read_text()
    mesh_file.write_text(text + "# another file\n")
    assert len(command("--focal=91")[2]) == 3
    mesh_file.write_text(text)


def test_a_folder_is_streamed(command, tmp_path, monkeypatch):
    """At no time is more than one picture in memory, nor one that is fitted already."""
    alive, most, read = [], [], photograph_files.read_photograph

    def counted(*args, **options):
        gc.collect()
        most.append(sum(ref() is not None for ref in alive))
        photo = read(*args, **options)
        alive.append(weakref.ref(photo.image))
        return photo

    monkeypatch.setattr(photograph_files, "read_photograph", counted)
    for name in "defgh":
        for place in ("images", "things"):
            (tmp_path / place / f"{name}.png").write_bytes((tmp_path / place / "a.png").read_bytes())
    code, told, made = command("--pictures=3")
    assert code == 1 and len(made) == 8
    assert len(most) == 8 + 8 + 3  # looked at, fitted, put on the page
    assert max(most) <= 1
    assert "the next ones" in told and "first picture" in told


def moving(path, count=5):
    """A film of a bright square that moves, and a mask of it in the first frame."""

    def frames():
        for i in range(count):
            image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
            image[20:40, 30 + 2 * i : 50 + 2 * i] = 220
            yield image

    write_film(path, frames(), 10)


@pytest.fixture
def video(command, tmp_path, monkeypatch):
    """The command on a film, with what each frame was told."""
    moving(tmp_path / "film.mp4")
    seen = {}
    fit = photo_fits.fit_photograph

    def watched(fitter, photo, focal, before, who):
        seen[photo.name] = (photo, focal, before, who)
        found = fit(fitter, photo, focal, before, who)
        thing = photo.object
        if not thing.any():
            thing = (
                np.arange(WIDTH) < 30 + np.zeros((HEIGHT, 1)) if before is None else np.roll(before.object, 2, axis=1)
            )
        return dataclasses.replace(found, photograph=dataclasses.replace(found.photograph, object=thing))

    monkeypatch.setattr(photo_fits, "fit_photograph", watched)

    def run(*options, thing="things/a.png", **more):
        seen.clear()
        return *command(*options, image="film.mp4", thing=thing, **more)[:2], dict(seen)

    return run


def test_a_video_is_fitted_frame_by_frame_and_goes_on_where_it_stopped(video, tmp_path):
    code, told, seen = video()
    assert code == 0 and sorted(seen) == [f"{i:06d}" for i in range(5)] and "5 pictures, 5 to fit" in told
    assert seen["000000"][2] is None and seen["000000"][0].object.sum() == 400
    for i in range(1, 5):
        photo, _, before, _ = seen[f"{i:06d}"]
        # What the frame before hands on: its mask, the person's square, the focal length.
        assert not photo.object.any() and before.focal == 100.0 and before.source == "given"
        np.testing.assert_array_equal(np.flatnonzero(before.object.any(0))[[0, -1]], [28 + 2 * i, 47 + 2 * i])
        np.testing.assert_allclose(before.region.centre, [40, 30])
        assert abs(float(photo.image[25, 40].mean()) - 220) < 12
    out = tmp_path / "out"
    with np.load(out / "motion.npz", allow_pickle=False) as arrays:
        assert arrays["transl"].shape == (5, 3) and arrays["obj_rot"].shape == (5, 3)
        np.testing.assert_allclose(arrays["obj_trans"], [[0.6, 0, 3]] * 5, rtol=1e-6)
        np.testing.assert_allclose(arrays["transl"], [[0, 0, 3]] * 5, atol=1e-6)
        np.testing.assert_array_equal(arrays["frames"], np.arange(5))
    film = Video(out / "overlay.mp4")
    assert film.frames == 5 and film.fps == pytest.approx(10) and (film.height, film.width) == (HEIGHT, WIDTH)
    assert (out / "motion.glb").read_bytes()[:4] == b"glTF" and "over the picture" in (out / "report.html").read_text()
    assert set(json.loads((out / "metrics.json").read_text())["items"]) == set(seen)
    (out / "000003" / "metrics.json").unlink()
    _, _, seen = video()
    assert sorted(seen) == ["000003"] and seen["000003"][2].object[30, 35]


def test_every_second_frame_follows_the_one_before_it(video, tmp_path):
    code, _, seen = video("--every=2")
    assert code == 0 and sorted(seen) == ["000000", "000002", "000004"]
    np.testing.assert_array_equal(np.flatnonzero(seen["000004"][2].object.any(0))[[0, -1]], [32, 51])
    assert Video(tmp_path / "out" / "overlay.mp4").fps == pytest.approx(5)
    # Motion has the times of the video: the last of these frames is shown at 0.4 seconds.
    found = read_parameters(tmp_path / "out" / "motion.npz")
    assert found.fps == 10 and found.frames.tolist() == [0, 2, 4]
    data = (tmp_path / "out" / "motion.glb").read_bytes()
    tree = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    times = tree["accessors"][tree["animations"][0]["samplers"][0]["input"]]
    assert times["max"] == [pytest.approx(0.4)]


def test_frames_depend_on_what_was_said_of_the_first_and_on_no_other_command(video, tmp_path, monkeypatch):
    assert video()[0] == 0
    Image.fromarray(np.full((HEIGHT, WIDTH), 255, np.uint8)).save(tmp_path / "things" / "a.png")
    moving(tmp_path / "film.mp4", 3)
    fit = photo_fits.fit_photograph

    def first_fails(fitter, photo, focal, before, who):
        if photo.name == "000000":
            raise InputError("000000: no person is found")
        return fit(fitter, photo, focal, before, who)

    with monkeypatch.context() as patch:
        patch.setattr(photo_fits, "fit_photograph", first_fails)
        code, told, seen = video()
    # What lies in the folders is of the other film: nobody follows it.
    assert code == 2 and not seen and "000000: no person is found" in told
    assert sorted(video()[2]) == ["000000", "000001", "000002"]
    Image.fromarray(np.full((HEIGHT, WIDTH), 250, np.uint8)).save(tmp_path / "things" / "a.png")
    assert sorted(video()[2]) == ["000000", "000001", "000002"]


def test_masks_of_a_video_may_be_given_for_every_frame(video, tmp_path):
    (tmp_path / "frames").mkdir()
    for i in range(5):
        (tmp_path / "frames" / f"{i:06d}.png").write_bytes((tmp_path / "things" / "a.png").read_bytes())
    code, _, seen = video(thing="frames")
    assert code == 0 and all(photo.object.sum() == 400 for photo, *_ in seen.values())
    (tmp_path / "frames" / "000002.png").unlink()
    code, told, _ = video(thing="frames", out="other")
    assert code == 2 and "no mask of 000002" in told and not (tmp_path / "other").exists()


def test_without_opencv_a_video_wants_a_mask_of_each_frame_and_says_so_at_once(video, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    code, told, seen = video()
    assert code == 2 and "followed from frame to frame" in told and "hoijax[masks]" in told
    assert not seen and not (tmp_path / "out").exists()
    (tmp_path / "frames").mkdir()
    for i in range(5):
        (tmp_path / "frames" / f"{i:06d}.png").write_bytes((tmp_path / "things" / "a.png").read_bytes())
    code, _, seen = video(thing="frames")
    assert code == 0 and len(seen) == 5


def test_a_box_says_where_the_object_is_in_the_first_frame(video, tmp_path):
    """A box is a part of what a result depends on."""
    code, _, seen = video("--object-box=28,18,52,42", thing=None)
    assert code == 0 and seen["000000"][0].spot == Spot(box=(28, 18, 52, 42))
    assert all(seen[f"{i:06d}"][0].spot is None and seen[f"{i:06d}"][2] is not None for i in range(1, 5))
    assert not video("--object-box=28,18,52,42", thing=None)[2]
    assert len(video("--object-box=28,18,52,43", thing=None)[2]) == 5


def test_a_click_says_who_is_meant_in_the_first_frame(video):
    """A part of what a result depends on, too."""
    code, _, seen = video("--human-click=28,18")
    assert code == 0 and seen["000000"][3] == Spot(click=(28, 18))
    assert all(seen[f"{i:06d}"][3] is None for i in range(1, 5))
    assert not video("--human-click=28,18")[2]
    assert len(video("--human-click=28,19")[2]) == 5


def test_what_the_object_is_called_says_whether_it_is_looked_for(command, tmp_path, fitter, monkeypatch):
    kinds = []
    monkeypatch.setattr(photo_fits, "make_fitter", lambda asset, config, kind: (kinds.append(kind), fitter)[1])
    code, told, made = command(image="images/a.png", thing=None)
    assert code == 2 and "where is the object?" in told and not made
    code, _, made = command("--label=office chair", image="images/a.png", thing=None)
    assert code == 0 and made and kinds == ["chair"]


def test_a_video_whose_first_frame_fails_says_so(command, tmp_path, monkeypatch):
    moving(tmp_path / "film.mp4", 3)

    def nobody(fitter, photo, focal, before, who):
        raise InputError(f"{photo.name}: no person is found")

    monkeypatch.setattr(photo_fits, "fit_photograph", nobody)
    code, told, _ = command(image="film.mp4", thing="things/a.png")
    assert code == 2 and "000000: no person is found" in told


def test_strict_says_poor_answers_by_the_exit_code(command):
    assert command(image="images/a.png", thing="things/a.png", out="one")[0] == 0
    code, told, _ = command(image="images/b.png", thing="things/b.png", out="two")
    assert code == 0 and "poor" in told
    code, _, made = command("--strict", image="images/b.png", thing="things/b.png", out="two")
    assert code == 1 and not made
    assert command(image="images/c.png", thing="things/c.png", out="three")[0] == 2


@pytest.mark.parametrize(
    "option, told",
    [
        ("--setting=paper", "--setting is an option of --method scorehoi"),
        ("--show=refined", "--show is an option of --method scorehoi"),
        ("--focal=0.5", "wanted are pixels"),
        ("--size-std=3", "wanted is 0.001 to 1"),
        ("--object-box=1,2,3", "wanted are pixels of the picture, left,top,right,bottom"),
        ("--object-box=30,2,3,40", "wanted is left < right and top < bottom"),
        ("--object-click=a,b", "wanted are pixels of the picture, x,y"),
        ("--object-click=3,4", "with a folder give --object-mask"),
        ("--human-click=3,4", "with a folder give --human-mask"),
        ("--human-box=3,4,5,4", "--human-box 3,4,5,4: wanted is left < right and top < bottom"),
        ("--human-box=3,4", "--human-box 3,4: wanted are pixels of the picture"),
        ("--every=2", "is for videos"),
        ("--every=0", "--every 0: wanted 1 or more"),
    ],
)
def test_options_are_checked(command, tmp_path, option, told):
    code, said, made = command(option)
    assert code == 2 and told in said and not made and not (tmp_path / "out").exists()
    if "method" in told:
        return
    code, said, _ = command("--method=scorehoi", "--strict")
    assert code == 2 and "--strict is an option of --method fit" in said


@pytest.mark.parametrize(
    "option, told",
    [
        ("--object-box=100,5,120,50", "holds no 4 x 4 pixels of the picture of 80 x 60"),
        ("--object-click=80,3", "lies outside of the picture of 80 x 60"),
        ("--human-click=80,3", "--human-click 80,3 lies outside of the picture of 80 x 60"),
        ("--human-box=-9,5,2,50", "--human-box -9,5,2,50 holds no 4 x 4 pixels of the picture"),
    ],
)
def test_spots_outside_of_the_picture_are_named(mesh_file, tmp_path, option, told, capsys):
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.png")
    command = ["reconstruct", f"--image={tmp_path / 'a.png'}", f"--object={mesh_file}", f"--out={tmp_path / 'out'}"]
    thing = ["--object-click=4,4"] if "human" in option else []
    assert main([*command, *thing, option]) == 2
    assert told in capsys.readouterr().err and not (tmp_path / "out").exists()
    Image.new("L", (WIDTH, HEIGHT), 255).save(tmp_path / "mask.png")
    assert main([*command, "--object-click=4,4", f"--object-mask={tmp_path / 'mask.png'}"]) == 2
    assert "give either them or the mask" in capsys.readouterr().err
    assert main([*command, "--human-click=4,4", f"--human-mask={tmp_path / 'mask.png'}"]) == 2
    assert "say who is meant, as the person's mask does" in capsys.readouterr().err
    assert main(command) == 2
    assert "where is the object? Wanted --object-mask" in capsys.readouterr().err


def test_the_person_of_the_frame_before_is_kept(monkeypatch):
    both = people((0.7, (5, 5, 25, 55)), (0.95, (50, 5, 75, 55)))
    monkeypatch.setattr(photo_people, "find_people", lambda *args, **kwargs: both)
    before = Region(np.float32([17, 32]), np.float32(48), np.float32(0))
    assert find_person({}, photograph(), before)[0].box[0] == 5
    assert find_person({}, photograph())[0].box[0] == 50
    # Lost by the detector, they are looked for in their own square; elsewhere nobody is taken for them.
    monkeypatch.setattr(photo_people, "find_people", lambda *args, **kwargs: people((0.95, (50, 5, 75, 55))))
    looked = []

    def read(network, picture, regions):
        looked.append(np.asarray(regions.centre))
        return people(*[(0.8 if len(looked) == 1 else 0.2, (6, 5, 26, 55))] * photo_people.MOST_PEOPLE)

    monkeypatch.setattr(photo_people, "read_landmarks", read)
    found, count = find_person({"landmarks": {}}, photograph(), before)
    assert found.box[0] == 6 and count == 1
    np.testing.assert_allclose(looked[0], [[17, 32]] * photo_people.MOST_PEOPLE)
    assert find_person({"landmarks": {}}, photograph(), before)[0].box[0] == 50


def test_labels_name_the_kinds_that_a_network_knows():
    assert known_kind("my_chair 2") == known_kind("Armchair-03") == "chair"
    assert known_kind("mug") == known_kind("coffee cup") == "cup"
    assert known_kind("wheelchairs") is known_kind("cupboard") is known_kind("chairman") is None


def test_a_chair_is_looked_for_about_the_person_and_its_box_is_in_pixels_of_the_picture(monkeypatch):
    """The stand-in for the network sees a chair in the square that lies nearest to the real one."""
    image = np.zeros((1200, 1600, 3), np.uint8)
    monkeypatch.setattr(photo_people, "LARGEST", 400)
    corners, calls = np.array([[180.0, 150], [240, 230]]), []

    def find(network, picture, regions):
        calls.append(np.asarray(regions.size))
        away = np.linalg.norm(np.asarray(regions.centre) - corners.mean(0), axis=1)
        points = np.tile(np.linspace(corners[0], corners[1], 9)[None], (len(away), 1, 1))
        shift = 0.0 if len(calls) > 1 else 3.0  # what the second, nearer look mends
        return ObjectBox(points=points + shift, score=np.where(away == away.min(), 0.9, 0.3), region=regions)

    monkeypatch.setattr(photo_objects, "find_boxes", find)
    person = jax.tree.map(lambda x: x[0], people((0.9, (600, 400, 800, 1000))))
    box = photo_objects.propose_box({}, photograph(image), person)
    np.testing.assert_allclose(box, [4 * 160, 4 * 130, 4 * 260, 4 * 250])  # a fourth of 80 more on each side
    np.testing.assert_allclose(sorted(set(calls[0])), [0.35 * 150, 0.6 * 150, 0.9 * 150])
    monkeypatch.setattr(photo_objects, "find_boxes", lambda n, p, r: ObjectBox(
        points=np.zeros((27, 9, 2)), score=np.full(27, 0.4), region=r))  # fmt: skip
    assert photo_objects.propose_box({}, photograph(image), person) is None
    with pytest.raises(InputError, match="a: no chair is found in the picture; where is the object"):
        photo_objects.find_object(("chair", {}), photograph(image), np.zeros((1200, 1600), bool), person, None)


def test_a_network_proposes_turns_where_the_objects_mask_is(monkeypatch):
    """Its box is drawn here, in a picture that the network sees at a quarter of its size."""
    corners = np.array([(0.0, 0.0, 0.0), *BOX_CORNERS]) * [0.5, 0.9, 0.55]
    turn = Rotation.from_euler("x", 0.25) * Rotation.from_matrix(np.diag([1.0, -1, -1])) * Rotation.from_euler("y", 0.7)
    placed = turn.apply(corners) + [0.3, 0.1, 2.5]
    matrix = np.array([[900.0, 0, 800], [0, 950, 600], [0, 0, 1]])
    pixels = placed[:, :2] / placed[:, 2:] * matrix[[0, 1], [0, 1]] + matrix[:2, 2]
    thing = np.zeros((1200, 1600), bool)
    (left, top), (right, bottom) = pixels.min(0).astype(int), pixels.max(0).astype(int)
    thing[top:bottom, left:right] = True
    monkeypatch.setattr(photo_people, "LARGEST", 400)
    score = [0.9]

    def find(network, picture, regions):
        np.testing.assert_allclose(regions.centre[0], [(left + right) / 8, (top + bottom) / 8], atol=0.01)
        np.testing.assert_allclose(regions.size[0], 1.5 * max(right - left, bottom - top) / 4, rtol=1e-4)
        return ObjectBox(points=pixels[None] / 4, score=np.float32(score), region=regions)

    monkeypatch.setattr(photo_objects, "find_boxes", find)
    photo = photograph(np.zeros((1200, 1600, 3), np.uint8), thing=thing)
    turns = photo_objects.propose_turns({}, photo, matrix)
    for k in range(4):
        want = turn * Rotation.from_euler("y", 0.5 * np.pi * k)
        assert (Rotation.from_matrix(turns[k]).inv() * want).magnitude() < 0.02
    score[0] = 0.3  # nothing is seen: what stands upright
    upright = photo_objects.propose_turns({}, photo, matrix)
    assert upright.shape == (4, 3, 3)
    np.testing.assert_allclose(upright[:, :, 1], [[0, -1, 0]] * 4, atol=1e-6)
    np.testing.assert_allclose(np.abs(upright[:, 2, 2]), [1, 0, 1, 0], atol=1e-6)


def test_pictures_are_read_the_right_way_up_in_any_mode(tmp_path):
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:30, 20:40] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    turned = Image.fromarray(colours).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(colours).convert("L").save(tmp_path / "grey.png")
    Image.fromarray(colours).convert("CMYK").save(tmp_path / "ink.tiff")
    for name in ("turned.png", "grey.png", "ink.tiff"):
        found = read_photograph(tmp_path / name, None, tmp_path / "mask.png", None, find_person=True)
        assert found.image.shape == (HEIGHT, WIDTH, 3) and found.object.sum() == 400 and not found.human.any()
        if name == "turned.png":
            np.testing.assert_array_equal(found.image, colours)


def test_kinds_of_pictures_that_pillow_does_not_convert_are_named(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:30, 20:40] = 255
    ink = Image.fromarray(np.dstack([np.zeros_like(mask)] * 3 + [255 - mask]), "CMYK")
    ink.save(tmp_path / "mask.tiff")
    Image.new("LAB", (WIDTH, HEIGHT)).save(tmp_path / "lab.tiff")
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.png")
    found = read_photograph(tmp_path / "a.png", None, tmp_path / "mask.tiff", None, find_person=True)
    np.testing.assert_array_equal(found.object, mask > 0)
    with pytest.raises(InputError, match="lab.tiff is of the kind LAB"):
        read_photograph(tmp_path / "a.png", None, tmp_path / "lab.tiff", None, find_person=True)


def test_alpha_is_the_object_but_for_the_person(tmp_path):
    alpha, human = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    alpha[10:40, 10:60], human[10:40, 10:25] = 255, 255
    Image.fromarray(np.dstack([alpha, alpha, alpha, alpha])).save(tmp_path / "a.png")
    Image.fromarray(human).save(tmp_path / "human.png")
    alone = read_photograph(tmp_path / "a.png", None, None, None, find_person=True)
    assert alone.object.sum() == 30 * 50 and not alone.human.any()
    both = read_photograph(tmp_path / "a.png", tmp_path / "human.png", None, None, find_person=True)
    assert both.object.sum() == 30 * 35 and both.human.sum() == 30 * 15


def test_masks_that_do_not_go_with_the_picture_are_named(tmp_path):
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(tmp_path / "a.png")
    for name, size in (("small", (30, 40)), ("turned", (WIDTH, HEIGHT)), ("empty", (HEIGHT, WIDTH))):
        Image.fromarray(np.full(size, 255 * (name != "empty"), np.uint8)).save(tmp_path / f"{name}.png")

    def told(mask):
        with pytest.raises(InputError) as error:
            read_photograph(tmp_path / "a.png", None, mask, None, find_person=True)
        return str(error.value)

    assert "40 x 30 pixels, its picture 80 x 60" in told(tmp_path / "small.png")
    assert "turned upright" in told(tmp_path / "turned.png")
    assert "empty" in told(tmp_path / "empty.png")
    assert "where is the object? Wanted --object-mask" in told(None)
    human = np.zeros((HEIGHT, WIDTH), np.uint8)
    human[10:50, 20:40] = 255
    Image.fromarray(human).save(tmp_path / "human.png")
    with pytest.raises(InputError, match="object is empty"):
        read_photograph(tmp_path / "a.png", tmp_path / "human.png", tmp_path / "empty.png", None, find_person=True)
    with pytest.raises(InputError, match="object is empty"):  # a mask that is given is not looked for elsewhere
        read_photograph(tmp_path / "a.png", None, tmp_path / "empty.png", None, find_person=True, find_object=True)


def test_a_picture_whose_bytes_are_damaged_does_not_take_the_folder_along(tmp_path):
    """Pillow raises SyntaxError for this one: after half of the pixels comes what is no chunk."""
    pixels = np.random.default_rng(0).integers(1, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for name in "ab":
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")
    data = bytearray((tmp_path / "images" / "a.png").read_bytes())
    start = data.index(b"IDAT")
    length = int.from_bytes(data[start - 4 : start], "big")
    data[start - 4 : start] = (length // 2).to_bytes(4, "big")
    (tmp_path / "images" / "a.png").write_bytes(data)
    read, failures = look_at_photographs(
        tmp_path / "images", MaskFiles(object=tmp_path / "masks"), lambda p: p.name, find_person=True
    )
    assert [(file.name, seen) for file, seen in read] == [("b", "b")] and "no picture that can be read" in failures["a"]


def test_a_speck_of_an_object_is_refused_before_anything_is_fitted(fitter):
    thing = np.zeros((HEIGHT, WIDTH), bool)
    thing[3:8, 3:8] = True
    with pytest.raises(InputError, match="mask has 25 pixels; wanted are at least 30"):
        photo_fit.fit_photograph(fitter, photograph(thing=thing))


def test_a_picture_is_fitted_again_when_its_exif_entries_change(tmp_path):
    image = Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    image.save(tmp_path / "a.png")
    photo = dataclasses.replace(photograph(), path=tmp_path / "a.png")
    before = photo_fits._camera(photo, None)
    exif = Image.Exif()
    exif[0x8769] = {0xA405: 35}  # FocalLengthIn35mmFilm
    image.save(tmp_path / "a.png", exif=exif)
    after = photo_fits._camera(photo, None)
    assert (before[0], after[0], photo_fits._camera(photo, 90.0)[0]) == ("estimated", "exif", "given")
    np.testing.assert_allclose(after[1][0, 0], 35 / np.hypot(36, 24) * np.hypot(HEIGHT, WIDTH), rtol=1e-5)


def test_the_focal_lengths_source_is_told():
    def told(source):
        return photo_fit._describe_focal(Intrinsics(MATRIX, np.float32(0), source))

    assert told("given") == "focal length: 100 pixels, as given"
    assert "EXIF" in told("exif") and "guesses (--focal)" in told("estimated")


def test_body_overlap_leaves_out_what_the_object_hides():
    human, thing = np.zeros((2, HEIGHT, WIDTH), bool)
    human[10:40, 20:40], thing[20:40, 40:60] = True, True
    photo = photograph(human=human, thing=thing)
    low, side = np.array([10.0, 0.0]), 60.0
    zoom = SIZE / side
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / zoom + np.array([low[1], low[0]])[:, None, None]
    label = np.where((y > 10) & (y < 40) & (x > 20) & (x < 60), 0, -1)  # a body that reaches behind the object
    want = 600 / (600 + 10 * 20)  # the part above the object is drawn but not masked
    assert photo_fit.body_overlap(label, photo, low, side) == pytest.approx(want, abs=0.02)
