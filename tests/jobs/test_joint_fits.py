"""`hoijax fit` and `hoijax contact` on a drawn person with a box: what is written, chosen and refused."""

import dataclasses
import functools
import json
import pathlib
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from PIL import Image

from hoijax.cli import main
from hoijax.errors import InputError
from hoijax.geometry import Mesh, RigidPose
from hoijax.io import write_npz
from hoijax.io.sources.contacts import read_contacts
from hoijax.jobs import contact_map, contact_network, joint_fit, joint_fits, objects
from hoijax.jobs.engine import Item
from hoijax.jobs.joint_fit import contact_by_distance, fit_by_itself
from hoijax.jobs.photographs import Photograph
from hoijax.nets import clip, pair_contact
from hoijax.nets.clip.model import facts_of as clip_facts
from hoijax.nets.weights import save_network
from hoijax.optim.fitting import (
    PRESETS,
    ContactEvidence,
    Hypotheses,
    JointConfig,
    ObjectFitConfig,
    Rates,
    Stage,
    object_scene,
    object_shape,
    object_target,
    preset,
)
from hoijax.systems.interactvlm import find_meshes, label_words, parts_in_words, rank_by_likeness, retrieval
from hoijax.viz.read import read_scene

STAGE = Stage(4, Rates(0.02, 0.005, 0.005, 0.005), contact=10.0, mask=5.0, penetration=20.0, order=0.5, pose_prior=5.0)
TINY = JointConfig((STAGE,), turns=Hypotheses(yaws=3, tilts=(0.0,), lying=0, free=2), kept=2)
QUICK = ObjectFitConfig(hypotheses=Hypotheses(yaws=4, tilts=(0.0,), lying=0, free=4), kept=(2, 2), steps=(1, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, held_box):
    """The picture, turned as a camera turns it and in CMYK; masks, mesh, body, contacts."""
    folder, world = tmp_path_factory.mktemp("held"), held_box
    obj, person = world.masks
    image = np.full((*obj.shape, 3), 230, np.uint8)
    image[obj], image[person] = (200, 120, 40), (60, 90, 160)
    turned = Image.fromarray(np.rot90(image, 1)).convert("CMYK")  # shown upright by orientation 6
    exif = Image.Exif()
    exif[274] = 6
    (folder / "pictures").mkdir()
    turned.save(folder / "pictures/held.jpg", exif=exif, quality=95)
    Image.fromarray(image[..., 0]).save(folder / "grey.png")
    for name, mask in (("object", obj), ("person", person)):
        (folder / name).mkdir()
        Image.fromarray(255 * mask.astype(np.uint8)).save(folder / name / "held.png")
    world.box.export(folder / "box.obj")
    (folder / "meshes/wood").mkdir(parents=True)
    world.box.export(folder / "meshes/wood/card_box_1.obj")
    trimesh.creation.box((0.9, 0.02, 0.9)).export(folder / "meshes/flat box.ply")
    trimesh.creation.icosphere(2, 0.2).export(folder / "meshes/ball.stl")
    (folder / "empty.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    arrays = {k: np.asarray(v) for k, v in world.params.to_axis_angle(world.model).items()}
    (folder / "bodies").mkdir()
    write_npz(
        folder / "bodies/held.npz", arrays | {"intrinsics": np.float32([[260, 0, 120], [0, 260, 100], [0, 0, 1]])}
    )
    write_npz(folder / "noted.npz", {"contact": padded(world), "object_contact": world.contact.object})
    write_npz(folder / "odd.npz", {"contact": np.ones(5)})
    write_npz(folder / "faces.npz", {"contact": padded(world), "object_contact": np.ones(7)})
    (folder / "words.txt").write_text("left hand\n")
    return folder


def padded(world):
    """The coarse body's contact on all of the free body's vertices, whose first ones are its own."""
    return np.pad(world.contact.body, (0, 6900 - len(world.contact.body)))


@pytest.fixture
def run(folder, tmp_path, monkeypatch, capsys):
    """Runs a verb with small settings; returns exit code, stdout, stderr."""
    small = lambda **given: dataclasses.replace(QUICK, **given)  # noqa: E731
    for module in (joint_fits, contact_map):
        monkeypatch.setattr(module, "ObjectFitConfig", small)
    monkeypatch.setattr(retrieval, "QUICK", QUICK)
    monkeypatch.setitem(PRESETS, "joint", TINY)
    monkeypatch.setattr(objects, "SDF_RESOLUTION", 24)

    def call(verb, *options, image="pictures/held.jpg", mesh="box.obj", masks="held.png", out=tmp_path / "out"):
        given = [] if mesh is None else [f"--object={folder / mesh}"]
        code = main([
            verb, f"--image={folder / image}", f"--out={out}", f"--object-mask={folder / 'object' / masks}",
            f"--human-mask={folder / 'person' / masks}", *given, *options,
        ])  # fmt: skip
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def load(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.slow
def test_a_picture_becomes_body_and_object_in_contact(run, folder, tmp_path, held_box):
    given = (f"--body={folder / 'bodies/held.npz'}", f"--contacts={folder / 'noted.npz'}")
    code, told, _ = run("fit", *given)
    out = tmp_path / "out"
    assert code == 0 and "contact from noted.npz" in told
    record = json.loads((out / "metrics.json").read_text())
    assert (record["method"], record["preset"]) == ("joint", "joint") and record["focal"]["pixels"] == 260
    assert record["contacts"] == {
        "from": "noted.npz",
        "touching": {"contact": int(held_box.contact.body.sum()), "object_contact": int(held_box.contact.object.sum())},
    }
    assert set(record["energy"]) == {"contact", "mask", "penetration", "order", "pose_prior"}
    arrays = load(out / "reconstruction.npz")
    np.testing.assert_allclose(arrays["transl"], held_box.params.translation, atol=1e-6)
    pose = arrays["obj_rot"], arrays["obj_trans"], arrays["obj_scale"]
    turn = trimesh.transformations.rotation_matrix(np.linalg.norm(pose[0]), pose[0])[:3, :3]
    scene = trimesh.load(out / "interaction.glb", process=False)
    want = (float(pose[2]) * held_box.box.vertices @ turn.T + pose[1]) * [1, -1, -1]
    np.testing.assert_allclose(scene.geometry["object"].bounds, [want.min(axis=0), want.max(axis=0)], atol=2e-3)
    back = read_contacts(out / "contacts.npz")
    np.testing.assert_array_equal(back.body, padded(held_box))
    np.testing.assert_array_equal(back.object, held_box.contact.object)
    assert (out / "report.html").is_file() and (out / "overlay.png").is_file()
    # The second run has nothing to do; other contacts are another result.
    assert "1 of 1 are finished already" in run("fit", *given)[1]
    code, told, _ = run("fit", given[0])
    assert code == 0 and "finished already" not in told and "contact from distances" in told
    assert json.loads((out / "metrics.json").read_text())["contacts"]["from"] == "distances"


@pytest.mark.slow
def test_folders_of_pictures_and_of_meshes(run, folder, tmp_path, random_module):
    config = clip.Config(clip.TextConfig.of_size("tiny"), clip.VisionConfig.of_size("tiny"))
    weights = tmp_path / "clip.safetensors"
    save_network(weights, random_module(lambda rngs: clip.Model(config, rngs)), clip_facts(config))
    pictures = folder / "two"
    shutil.copytree(folder / "pictures", pictures)
    shutil.copy(folder / "grey.png", pictures / "other.png")
    given = (f"--body={folder / 'bodies'}", "--label=Boxes", f"--clip={weights}")
    code, told, _ = run("fit", *given, image="two", mesh="meshes", masks="")
    assert code == 1 and "not used: other" in told  # it has no mask
    record = json.loads((tmp_path / "out/held/metrics.json").read_text())
    assert record["object"].endswith("card_box_1.obj")
    assert [row["name"] for row in record["retrieved"]] == [1.0, 1.0]
    first, second = record["retrieved"]
    assert first["overlap"] > second["overlap"] and 0 < abs(first["likeness"]) <= 1
    assert first["score"] == pytest.approx(first["name"] + first["overlap"] + first["likeness"])


@pytest.mark.slow
def test_contact_is_written_coloured_and_said(run, folder, tmp_path, monkeypatch, held_box):
    def known(fitter, photograph, focal):
        params = held_box.params
        return fit_by_itself(fitter, photograph, focal, (params, np.float32([[260, 0, 120], [0, 260, 100], [0, 0, 1]])))

    monkeypatch.setattr(contact_map, "fit_photograph", known)
    code, told, _ = run("contact", "--label=card_box", "--method=geometry")
    out = tmp_path / "out"
    assert code == 0 and "the card box" in told
    record, arrays = json.loads((out / "metrics.json").read_text()), load(out / "contact.npz")
    assert record["label"] == "card box" and record["method"] == "geometry"
    assert arrays["contact"].shape == (6900,) and arrays["object_contact"].shape == (len(held_box.box.vertices),)
    assert record["touching"]["body"] == (arrays["contact"] >= 0.5).sum()
    back = read_contacts(out / "contact.npz")
    assert len(back.body) == 6900 and len(back.object) == len(held_box.box.vertices)
    picture = np.asarray(Image.open(out / "contact.png"))
    assert picture.shape == (2 * contact_map.VIEW, 4 * contact_map.VIEW, 3)
    shown = {mesh.name: mesh.colors for mesh in read_scene(out / "contact.glb")}
    for name, values in (("body", arrays["contact"]), ("object", arrays["object_contact"])):
        np.testing.assert_allclose(shown[name][:, :3], contact_map.contact_colors(values), atol=0.02)
    np.testing.assert_allclose(contact_map.contact_colors(np.array([0.0, 1.0])), [contact_map.COLD, contact_map.WARM])


@pytest.mark.slow
def test_contact_by_the_network_is_written_likewise(run, folder, tmp_path, monkeypatch, held_box, random_module):
    """On a CMYK picture that its EXIF entries turn; the person's mask says whom the network is asked about."""

    def known(fitter, photograph, focal):
        params = held_box.params
        return fit_by_itself(fitter, photograph, focal, (params, np.float32([[260, 0, 120], [0, 260, 100], [0, 0, 1]])))

    class Person:
        landmarks = np.random.default_rng(0).uniform(60, 140, (33, 3))
        metric, visibility = np.zeros((33, 3)), np.ones(33)

    seen = []

    def find(networks, photograph):
        seen.append(photograph)
        return Person, 1

    monkeypatch.setattr(contact_map, "fit_photograph", known)
    monkeypatch.setattr(contact_network, "find_person", find)
    weights = tmp_path / "light.safetensors"
    sizes = pair_contact.Config(words=("box",), width=16, heads=2, layers=1)
    network = random_module(lambda rngs: pair_contact.Model(sizes, rngs))
    pair_contact.save_pair_contact(weights, network, {"threshold": [0.4, 0.4]})
    given = ("--method=network", f"--weights={weights}")
    code, told, _ = run("contact", "--label=card_dragon", *given)
    assert code == 0 and "has not been taught 'card dragon'" in told
    record, arrays = json.loads((tmp_path / "out/metrics.json").read_text()), load(tmp_path / "out/contact.npz")
    assert record["method"] == "network" and (seen[0].object == held_box.masks[0]).mean() > 0.97
    assert arrays["contact"].shape == (6900,) and arrays["object_contact"].shape == (len(held_box.box.vertices),)
    assert record["touching"]["body"] == (arrays["contact"] >= 0.5).sum()
    assert "1 of 1 are finished already" in run("contact", "--label=card_dragon", *given)[1]
    assert "finished already" not in run("contact", "--label=card_dragon", "--method=geometry")[1]
    code, _, err = run("contact", "--label=box", "--method=network", f"--weights={folder / 'noted.npz'}")
    assert code == 2 and "noted.npz" in err


def test_pairs_join_what_touches_with_the_nearest_that_touches():
    """After the object's turn, size and place; vertices and points that do not touch are in no pair."""
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    points = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    pose = RigidPose(turn, np.array([0.0, 0, 3]), np.float64(2))
    # In the camera's frame: (0, 2, 3), (-2, 0, 3), (0, 0, 5); the second does not touch.
    vertices = np.array([[-2.0, 0.3, 3], [0, 0, 9], [0, 0.2, 4.5], [0, 2, 3]])
    contact = ContactEvidence(np.array([0.9, 0.5, 0.7, 0.4]), np.array([0.3, 0.2, 0.8]), points)
    body, partners = joint_fit.paired(contact, vertices, pose).pairs
    np.testing.assert_array_equal(body, [0, 1, 2])
    np.testing.assert_array_equal(partners, points[[0, 2, 2]])
    nothing = dataclasses.replace(contact, object=np.zeros(3))
    assert joint_fit.paired(nothing, vertices, pose).pairs is None
    assert joint_fit.paired(dataclasses.replace(contact, body=np.zeros(4)), vertices, pose).pairs is None


def test_the_best_silhouette_comes_first(monkeypatch, held_box):
    """By the best of a mesh's turns, and by what its name says."""
    shapes = [
        object_shape(Mesh(np.float32(m.vertices), np.int32(m.faces)))
        for m in map(trimesh.creation.box, [(1, 1, 1)] * 3)
    ]
    said = {id(shape): np.array(overlap) for shape, overlap in zip(shapes, ([0.2, 0.3], [0.9, 0.1], [0.95]))}
    monkeypatch.setattr(retrieval, "fit_object_compiled", lambda s, *told: SimpleNamespace(overlap=said[id(s)]))
    names = [retrieval.Candidate(pathlib.Path(name), share) for name, share in (("a", 1.0), ("b", 1.0), ("c", 0.5))]
    target = object_target(held_box.masks[0], np.float32([[260, 0, 120], [0, 260, 100], [0, 0, 1]]))
    ranked = retrieval.rank_by_silhouette(names, shapes, target, object_scene(target))
    assert [(str(c.path), c.overlap) for c in ranked] == [("b", 0.9), ("c", 0.95), ("a", 0.3)]


def test_one_bad_picture_takes_no_other_along(monkeypatch, tmp_path):
    """Every picture of a batch is tried, and each says what is wrong with it."""

    def one(request, fitters, candidates, photograph):
        raise InputError(f"nobody in {photograph}")

    monkeypatch.setattr(joint_fits, "_one", one)
    request = joint_fits.JointRequest(image=tmp_path, object=tmp_path / "box.obj", out=tmp_path)
    items = [Item(n, tmp_path, n, (), SimpleNamespace(read=lambda n=n: n)) for n in ("first", "next")]
    found = joint_fits._compute(request, joint_fits._Fitters(request, None), (), items, lambda *told: None)
    assert [str(error) for error in found] == ["nobody in first", "nobody in next"]


def test_the_size_is_told_to_both_fits(monkeypatch, folder, tmp_path):
    class Told(Exception):
        """What the joint fit was given."""

    def together(*given):
        raise Told(*given)

    told, make = {}, joint_fits.make_fitter
    mesh = folder / "box.obj"
    request = joint_fits.JointRequest(image=tmp_path, object=mesh, out=tmp_path, size_std=0.3)
    nobody = np.zeros((9, 9), bool)
    photograph = Photograph("x", tmp_path / "x.png", np.zeros((9, 9, 3), np.uint8), nobody, nobody)
    monkeypatch.setattr(objects, "SDF_RESOLUTION", 24)
    monkeypatch.setattr(joint_fits, "_read_beside", lambda *a: joint_fits._Inputs(photograph, None, None, ("said",)))
    monkeypatch.setattr(joint_fits, "fit_by_itself", lambda *a: Before(("own",)))
    monkeypatch.setattr(joint_fits, "evidence_of", lambda *a: "evidence")
    monkeypatch.setattr(joint_fits, "fit_together", together)
    monkeypatch.setattr(joint_fits, "make_fitter", lambda asset, c: told.update(alone=c) or make(asset, c))
    fitters = joint_fits._Fitters(request, None)
    with pytest.raises(Told) as given:
        joint_fits._one(request, fitters, (retrieval.Candidate(mesh, 1.0),), photograph)
    fitter, first, contact, source, config = given.value.args
    assert (
        fitter is fitters.of(mesh) and first.notes == ("own", "said") and (contact, source) == ("evidence", "distances")
    )
    assert told["alone"].size_std == 0.3 and config == preset("joint", 0.3) != preset("joint", 0.1)


@dataclasses.dataclass(frozen=True)
class Before:
    """What a first fit is here."""

    notes: tuple[str, ...]


def test_distances_become_probabilities(held_box):
    """Of a scene that is turned about no axis of its own: a rotation is not its own inverse."""
    world, turn = held_box, trimesh.transformations.euler_matrix(0.4, -0.7, 1.1)[:3, :3].astype(np.float32)
    pose = RigidPose(turn @ world.pose.rotation, turn @ world.pose.translation, np.float32(1.5))
    vertices = world.vertices @ turn.T
    body, obj = contact_by_distance(vertices, world.template.sdf, np.asarray(world.box.vertices), pose)
    placed = 1.5 * np.asarray(world.box.vertices) @ np.asarray(pose.rotation, float).T + pose.translation
    whole = trimesh.Trimesh(placed, world.box.faces, process=False)
    gap = -trimesh.proximity.signed_distance(whole, vertices)
    near = np.abs(gap - joint_fit.NEAR) > 0.006  # the grid's error aside
    np.testing.assert_array_equal((body >= 0.5)[near], (gap < joint_fit.NEAR)[near])
    back = np.linalg.norm(placed[:, None] - vertices[None], axis=-1).min(axis=1)
    np.testing.assert_allclose(obj, 1 / (1 + np.exp((back - joint_fit.NEAR) / joint_fit.SOFT)), atol=1e-4)


@pytest.mark.parametrize(
    ("verb", "options", "change", "said"),
    [
        ("fit", ["--label=chair"], {}, "is not one"),
        ("fit", ["--label=tennis racket"], {"mesh": "meshes"}, "there are ball, card_box_1, flat box"),
        ("fit", ["--label=123"], {"mesh": "meshes"}, "no word"),
        ("fit", [], {"mesh": "empty.obj"}, "face"),
        ("fit", ["--contacts={}/words.txt"], {}, "in words"),
        ("fit", ["--contacts={}/missing.npz"], {}, "missing.npz"),
        ("fit", ["--contacts={}/odd.npz"], {}, "labels have 5 rows"),
        ("fit", ["--contacts={}/faces.npz"], {}, "the mesh has"),
        ("fit", ["--contacts-of=chair"], {}, "--contacts too"),
        ("fit", ["--clip=x.safetensors"], {}, "ranks a folder"),
        ("fit", ["--body-model=x.npz"], {}, "--body"),
        ("fit", ["--body={}/bodies"], {}, "held"),
        ("fit", ["--size-std=7"], {}, "0.001 to 1"),
        ("fit", ["--focal=0"], {}, "above 1"),
        ("fit", [], {"mesh": "pictures"}, "holds no meshes"),
        ("contact", ["--label=box"], {"mesh": None}, "--object"),
        ("contact", ["--label=?"], {}, "no word"),
        ("contact", ["--label=box"], {"mesh": "empty.obj"}, "face"),
        ("contact", ["--label=box", "--pictures=-1"], {}, "0 or more"),
    ],
)
def test_bad_input_is_named_before_anything_is_written(run, folder, tmp_path, verb, options, change, said):
    if options == ["--body={}/bodies"]:
        (folder / "none").mkdir(exist_ok=True)
        options = ["--body={}/none"]
    code, _, err = run(verb, *(option.format(folder) for option in options), **change)
    assert code == 2 and said in err and not (tmp_path / "out").exists()


def test_too_many_meshes_are_named_before_pictures_are_read(run, tmp_path, monkeypatch):
    monkeypatch.setattr(joint_fits, "MOST", 2)
    code, _, err = run("fit", mesh="meshes", image="nowhere.jpg")
    assert code == 2 and "3 meshes of" in err and not (tmp_path / "out").exists()


def test_files_of_a_picture_by_its_name_or_as_other_verbs_write_them(tmp_path):
    nothing = np.zeros((4, 4), bool)
    picture = Photograph("held", tmp_path / "held.jpg", np.zeros((4, 4, 3), np.uint8), nothing, nothing)
    (tmp_path / "held").mkdir()
    (tmp_path / "held/contact.npz").touch()
    (tmp_path / "held/reconstruction.npz").touch()
    beside = functools.partial(joint_fits._beside, tmp_path, picture)
    assert beside("contacts") == tmp_path / "held/contact.npz" and beside("body").name == "reconstruction.npz"
    (tmp_path / "held.npz").touch()
    assert beside("contacts") == beside("body") == tmp_path / "held.npz"
    (tmp_path / "held.json").touch()
    with pytest.raises(InputError, match="2 files called held"):
        beside("contacts")


def test_labels_choose_among_names(folder):
    assert label_words("Tennis_Rackets 2") == ("tennis", "rackets")
    names = lambda label: {c.path.stem for c in find_meshes(folder / "meshes", label)}  # noqa: E731
    assert names("box") == {"card_box_1", "flat box"} and names("flat box") == {"flat box"}
    assert names("wood boxes") == {"card_box_1"} and len(names(None)) == 3
    found = find_meshes(folder / "meshes", None)
    views = [np.full((4, 8, 8, 3), value, np.float32) for value in (0.2, 0.9, 0.5)]
    ranked = rank_by_likeness(
        found, views, np.full((5, 5, 3), 0.88, np.float32),
        lambda x: np.stack([np.cos(3 * x.mean(axis=(1, 2, 3))), np.sin(3 * x.mean(axis=(1, 2, 3)))], axis=1),
    )  # fmt: skip
    assert ranked[0].path == found[1].path and ranked[-1].path == found[0].path
    np.testing.assert_allclose(ranked[0].likeness, np.cos(3 * 0.02), atol=1e-5)


def test_parts_from_a_tenth_on(held_box):
    from hoijax.body_models import part_labels, part_names

    model = held_box.model
    labels, names = part_labels(model, "15"), part_names("15")
    values = np.zeros(model.num_vertices)
    head, hand = (np.flatnonzero(labels == names.index(name)) for name in ("head", "left_hand"))
    values[head[: len(head) // 10 - 1]] = 1.0
    values[hand[: -(-len(hand) // 10)]] = 0.5
    assert parts_in_words(model, values) == ("left hand",)
    assert parts_in_words(model, values, threshold=0.6) == ()
    assert contact_map.sentence(("left hand", "hips"), "chair") == "The left hand and hips touch the chair."
    assert contact_map.sentence((), "chair") == "No part of the body touches the chair."
    assert contact_map.sentence(("head",), "chair") == "The head touches the chair."
