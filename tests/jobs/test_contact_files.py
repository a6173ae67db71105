"""Labels of contact from other methods: read, brought to another body, gathered by parts, believed so far."""

import json
import pickle

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.body_models import contact_regions, free_body
from hoijax.body_models.host import host_vertices
from hoijax.body_models.mhr import vertices_from
from hoijax.cli import main
from hoijax.errors import InputError
from hoijax.io import read_mesh
from hoijax.io.sources.contacts import read_contacts
from hoijax.jobs.contact_files import PARTS, part_confidence, soft_contacts, with_file
from hoijax.jobs.contacts import Asked

MODEL = free_body("test")
REGIONS = contact_regions(MODEL)


def label(*names, count=None, of=MODEL):
    """Ones on the vertices of some parts."""
    out = np.zeros(of.num_vertices if count is None else count)
    for name in names:
        out[contact_regions(of)[name]] = 1
    return out


def smpl_label(*names):
    """The same on SMPL's vertices: those whose vertex of the free body belongs to the part."""
    return label(*names, of=free_body("render"))[vertices_from("smpl", "free")]


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    path = tmp_path_factory.mktemp("meshes") / "box.obj"
    trimesh.creation.box((0.4, 0.4, 0.4)).export(path)
    return path


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def pkl(path, value):
    path.write_bytes(pickle.dumps(value))
    return path


def js(path, value):
    path.write_text(json.dumps(value))
    return path


def text(path, value):
    path.write_text(value)
    return path


LABELS = smpl_label("buttocks", "right_hand") * 0.9
IDS = np.flatnonzero(LABELS)
WRITERS = {
    "InteractVLM": lambda p: npz(p / "a_hcontact_vertices.npz", pred_contact_3d=LABELS[None]),
    "DECO": lambda p: npz(p / "deco.npz", contact=LABELS.astype(np.float32)),
    "bare array": lambda p: (np.save(p / "deco.npy", LABELS), p / "deco.npy")[1],
    "LEMON": lambda p: pkl(p / "lemon.pkl", LABELS[:, None]),
    "DAMON npz": lambda p: npz(p / "d.npz", contact_label=(LABELS > 0).astype(int)),
    "DAMON json": lambda p: js(p / "d.json", {"chair": IDS.tolist()}),
    "DAMON list": lambda p: pkl(p / "d.pkl", [{"contact_label_objectwise": {"chair": IDS}}]),
    "probabilities as text": lambda p: text(p / "p.txt", "\n".join(f"{v:.3f}" for v in LABELS)),
    "vertices as text": lambda p: text(p / "v.txt", "\n".join(map(str, IDS))),
    "vertices as JSON": lambda p: js(p / "v.json", IDS.tolist()),
}


@pytest.mark.parametrize("name", WRITERS)
def test_labels_of_smpl_ask_for_the_same_parts_of_the_free_body(tmp_path, name, box):
    file = read_contacts(WRITERS[name](tmp_path), body="smpl" if name.startswith("vertices") else None)
    assert file.object is None
    np.testing.assert_array_equal(file.body > 0, LABELS > 0)
    soft = soft_contacts(file, MODEL, read_mesh(box))
    assert set(soft.parts) == {"buttocks", "right_hand"}
    for part, weight in soft.parts.items():
        inside = np.zeros(MODEL.num_vertices, bool)
        inside[REGIONS[part]] = True
        assert (weight[~inside] == 0).all() and (weight[inside] > 0.7).mean() > 0.8 and weight.max() <= 1
    assert "buttocks" in soft.notes[0] and "confidence" in soft.notes[0]


@pytest.mark.parametrize("name", ["vertices as text", "vertices as JSON"])
def test_bare_lists_of_vertices_are_of_the_body_that_is_named(tmp_path, name):
    path = WRITERS[name](tmp_path)
    with pytest.raises(InputError, match="no key says of which body; say it with --contacts-body"):
        read_contacts(path)
    found = read_contacts(path, body="smplx").body
    assert len(found) == 10475
    assert np.flatnonzero(found).tolist() == IDS.tolist()
    beyond = read_contacts(js(tmp_path / "x.json", [5, 9000])).body  # only one body has so many
    assert len(beyond) == 10475


def test_weights_are_probabilities_times_confidence(tmp_path, box):
    values = 0.25 * label("buttocks")
    confidence = part_confidence(MODEL, values)["buttocks"]
    assert 0.3 < confidence < 0.9
    soft = soft_contacts(read_contacts(npz(tmp_path / "a.npz", contact=values)), MODEL, read_mesh(box))
    np.testing.assert_allclose(soft.parts["buttocks"].max(), 0.25 * confidence, rtol=1e-6)


def test_correspondences_bring_every_part_home():
    """A part of the free body, sent to SMPL's or SMPL-X's vertices and back, is that part: left is not right."""
    fine = free_body("render")
    for kind in ("smpl", "smplx"):
        there, back = vertices_from(kind, "free"), vertices_from("free", kind)
        assert there.shape == ({"smpl": 6890, "smplx": 10475}[kind],) and back.max() < len(there)
        for name in ("left_hand", "right_hand", "buttocks", "left_sole", "head", "back", "right_thigh_front"):
            one = label(name, of=fine)
            again = one[there][back]
            assert (one * again).sum() / np.maximum(one, again).sum() > 0.65, (kind, name)
    across = label("left_hand", of=fine)[vertices_from("smplx", "free")][vertices_from("smpl", "smplx")]
    assert ((across > 0) == (smpl_label("left_hand") > 0)).mean() > 0.99


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("how", ["moved", "turned"])
def test_wrong_labels_at_random_ask_for_nothing_more(share, how):
    rng, truth = np.random.default_rng(0), label("buttocks", "back")
    for _ in range(20):
        values = truth.copy()
        if how == "moved":
            on = np.flatnonzero(truth)
            gone = rng.choice(on, int(share * len(on)), replace=False)
            values[gone] = 0
            values[rng.choice(np.flatnonzero(truth == 0), len(gone), replace=False)] = 1
        else:
            wrong = rng.random(len(truth)) < share
            values[wrong] = 1 - values[wrong]
        confidence = part_confidence(MODEL, values)
        best = sorted(confidence, key=confidence.get, reverse=True)
        believed = [name for name in best if confidence[name] >= 0.15]
        assert "buttocks" in believed and {"upper_back", "lower_back"} & set(believed)
        # Small parts may stand out by chance; they are believed less than half.
        assert all(confidence[n] < 0.5 for n in believed if n not in ("buttocks", "upper_back", "lower_back", "back"))


def test_parts_do_not_overlap_and_cover_most_of_the_body():
    covered = np.concatenate([REGIONS[name] for name in PARTS if name in REGIONS])
    assert len(np.unique(covered)) > 0.95 * MODEL.num_vertices
    assert part_confidence(MODEL, np.zeros(MODEL.num_vertices)).keys() <= set(PARTS)
    assert max(part_confidence(MODEL, np.ones(MODEL.num_vertices)).values()) == 0  # everything is as good as nothing


def test_labels_of_the_object_are_a_region(tmp_path, box):
    mesh = read_mesh(box)
    top = mesh.vertices[:, 1] > 0
    file = read_contacts(pkl(tmp_path / "contact_vertices_a.pkl", top.astype(np.float32)))
    assert file.body is None
    asked, soft = with_file(Asked(("left_hand",)), file, MODEL, mesh)
    assert asked.parts == ("left_hand",) and (soft.region.points[:, 1] > 0.19).all()
    with pytest.raises(InputError, match="name the parts of the body that touch there with --contact"):
        with_file(Asked(None), file, MODEL, mesh)
    # Points of their own, as LEMON's affordance has, in the unit of the mesh.
    points = np.random.default_rng(0).uniform(-0.2, 0.2, (2000, 3))
    rows = np.c_[points, points[:, 1] > 0.1]
    file = read_contacts(text(tmp_path / "afford.txt", "\n".join(" ".join(map(str, row)) for row in rows)))
    region = soft_contacts(file, MODEL, mesh).region
    assert (region.points[:, 1] > 0.19).all()
    both = read_contacts(pkl(tmp_path / "pico.pkl", {"human": LABELS, "object": top.astype(float)}))
    asked, soft = with_file(Asked(None), both, MODEL, mesh)
    assert set(asked.parts) == {"buttocks", "right_hand"} and soft.region is not None
    short = read_contacts(npz(tmp_path / "b.npz", object_contact=np.ones(5)))
    with pytest.raises(InputError, match="labels of 5 vertices of an object, the mesh has 8"):
        soft_contacts(short, MODEL, mesh)


def test_words_are_those_of_the_command_line(tmp_path, box):
    file = read_contacts(text(tmp_path / "pairs.txt", "right hand: box(0 0 0 1 1 1)  # the corner\n\nbuttocks\n"))
    asked, soft = with_file(Asked(None), file, MODEL, read_mesh(box))
    assert asked.parts == ("right_hand", "buttocks") and asked.regions == {"right_hand": "box(0 0 0 1 1 1)"}
    assert soft is None
    wrong = read_contacts(text(tmp_path / "pairs.txt", "rigt hand: handle"))
    with pytest.raises(InputError, match="did you mean right_hand"):
        with_file(Asked(None), wrong, MODEL, read_mesh(box))


REFUSED = {
    "logits": (lambda p: npz(p / "a.npz", contact=LABELS * 9 - 3), "of logits take the sigmoid"),
    "not finite": (lambda p: npz(p / "a.npz", contact=LABELS * np.nan), "not finite"),
    "pictures": (lambda p: npz(p / "a.npz", contact_label=np.zeros((3, 6890))), "labels of 3 pictures"),
    "entries": (lambda p: pkl(p / "a.pkl", [{"contact": LABELS}] * 2), "labels of 2 pictures"),
    "objects": (lambda p: js(p / "a.json", {"chair": [1, 2], "cup": [5]}), r"chair \(2\), cup \(1\); choose one"),
    "nothing": (lambda p: npz(p / "a.npz", betas=np.zeros(10)), "says nothing of contact: it has betas"),
    "empty": (lambda p: text(p / "a.txt", "\n"), "is empty"),
    "too many": (lambda p: js(p / "a.json", [5, 70_000]), "names the vertex 70000"),
    "negative": (lambda p: js(p / "a.json", [5, -3]), "names the vertex"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_none_is_named(tmp_path, name):
    write, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        read_contacts(write(tmp_path))


def test_one_object_of_several(tmp_path, box):
    path = js(tmp_path / "a.json", {"chair": IDS.tolist(), "cup": [5]})
    assert (read_contacts(path, "chair").body > 0).sum() == len(IDS)
    with pytest.raises(InputError, match="no object 'table'"):
        read_contacts(path, "table")
    empty = read_contacts(npz(tmp_path / "e.npz", contact=np.zeros(6890)))
    with pytest.raises(InputError, match="no part of the body stands out"):
        soft_contacts(empty, MODEL, read_mesh(box))
    other = read_contacts(npz(tmp_path / "f.npz", contact=np.zeros(500)))
    with pytest.raises(InputError, match="labels have 500 rows"):
        soft_contacts(other, MODEL, read_mesh(box))


def test_a_far_part_is_believed_less():
    import jax.numpy as jnp

    from hoijax.geometry import Mesh, RigidPose
    from hoijax.interaction import make_template
    from hoijax.optim.gradient.contacts import BELONGS, part_targets, touch_softly

    shape = trimesh.creation.box((0.4, 0.4, 0.4))
    template = make_template(Mesh(shape.vertices.astype(np.float32), shape.faces.astype(np.int32)), resolution=24)
    vertices = host_vertices(MODEL, Rotation.identity(52).as_matrix(), np.zeros(10), np.array([0, 0, -0.35]))
    pose = RigidPose(jnp.eye(3)[None], jnp.zeros((1, 3)), jnp.ones(1))
    names = [("belly", "left_hand", "head")]
    soft = {"belly": (0.8 * label("belly")).astype(np.float32), "left_hand": label("left_hand").astype(np.float32)}
    targets = part_targets(MODEL, names)
    found = np.asarray(touch_softly(targets, names, [soft], vertices[None], [template], pose).parts[0])
    near, far = found[0][REGIONS["belly"]], found[1]
    assert 0.6 < near.max() <= 0.8 and near.min() >= BELONGS and (far == 0).all()
    shifted = vertices - [0.45, 0, 0]  # the hand is 20 cm from the box now, and the belly farther
    found = np.asarray(touch_softly(targets, names, [soft], shifted[None], [template], pose).parts[0])
    assert 0.1 < found[1].max() < 0.5
    np.testing.assert_array_equal(found[2], np.asarray(targets.parts)[0, 2])  # not in the file: as it was
    with pytest.raises(InputError, match="wanted"):
        touch_softly(targets, names, [{"belly": np.ones(3)}], vertices[None], [template], pose)


def test_the_command_hands_them_to_the_refiner(refiner_calls, tmp_path, box):
    body = npz(tmp_path / "a.npz", body_pose=np.zeros(63), obj_trans=np.array([0, 0, 0.3]))
    labels = npz(tmp_path / "deco.npz", contact=LABELS)
    common = ["refine", "--body", str(body), "--object", str(box), "--lod", "test", "--pictures", "0"]
    assert main([*common, "--out", str(tmp_path / "o"), "--contacts", str(labels)]) == 0
    (call,) = refiner_calls
    assert set(call["contacts"][0]) == {"buttocks", "right_hand"} and set(call["soft"][0]) == {"buttocks", "right_hand"}
    record = json.loads((tmp_path / "o" / "metrics.json").read_text())
    assert any("deco.npz asks for" in note for note in record["notes"])
    # Other labels, other results: the same command does not take the old ones for finished.
    npz(tmp_path / "deco.npz", contact=0.5 * LABELS)
    assert main([*common, "--out", str(tmp_path / "o"), "--contacts", str(labels)]) == 0
    assert len(refiner_calls) == 2
    first, second = (call["soft"][0]["buttocks"].max() for call in refiner_calls)
    assert 0 < second < first


@pytest.fixture
def refiner_calls(monkeypatch):
    import importlib.util
    import pathlib

    place = pathlib.Path(__file__).parents[1] / "cli" / "fake_refiner.py"
    spec = importlib.util.spec_from_file_location("fake_refiner_of_contacts", place)
    fake = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fake)
    fake.patch(monkeypatch.setattr)
    return fake.CALLS


def test_nothing_and_no_places_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", contact=np.zeros(0))
    with pytest.raises(InputError, match="is empty"):
        read_contacts(tmp_path / "a.npz")
    (tmp_path / "a.txt").write_text("0 0 0 1\nnan 0 0 1\n")
    with pytest.raises(InputError, match="not finite"):
        read_contacts(tmp_path / "a.txt")


@pytest.mark.parametrize(("suffix", "count"), [("", 6890), ("_smplx", 10475)])
def test_lists_under_a_key_of_smplx_number_its_vertices(tmp_path, suffix, count):
    """Though none is beyond those of SMPL."""
    for key, value in (("contact_label", [3, 700, 6000]), ("contact_label_objectwise", {"chair": [3, 700, 6000]})):
        path = pkl(tmp_path / "a.pkl", {key + suffix: np.array(value) if isinstance(value, list) else value})
        body = read_contacts(path).body
        assert len(body) == count and np.flatnonzero(body).tolist() == [3, 700, 6000]
