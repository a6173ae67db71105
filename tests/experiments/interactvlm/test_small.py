"""The small network's data and table: further views, mirror images, thresholds, paired differences."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest
from flax import nnx
from interactvlm_toy import standing
from scipy.spatial.transform import Rotation

from hoijax.body_models import contact_regions, free_body, part_labels
from hoijax.data.objects import make_object, random_object
from hoijax.data.synth import SynthConfig
from hoijax.data.synth.pictures import Drawn
from hoijax.data.synth.sampling import draw
from hoijax.errors import InputError
from hoijax.experiments.interactvlm import redraw as redrawing
from hoijax.experiments.interactvlm import small, small_data, small_views
from hoijax.experiments.interactvlm.data import Example
from hoijax.experiments.interactvlm.encoding import Encoder
from hoijax.experiments.interactvlm.light_scores import f1
from hoijax.experiments.interactvlm.variants import Whole
from hoijax.geometry.closest_host import closest_on_mesh_host
from hoijax.jobs.contact_vlm import ContactDialogue, at_half
from hoijax.nets import blaze, llama, sam
from hoijax.nets import interactvlm as nets
from hoijax.nets.blaze.trunk import trunk
from hoijax.systems.interactvlm import body_views, crops, object_views

FAST = {"xla_backend_optimization_level": 0}


def test_a_view_shows_the_sample(monkeypatch):
    """Body, object and furniture stand where the sample says, whatever the camera."""
    told = {}

    def picture(config, split, rng, pieces, joints, wanted):
        told.update(config=config, split=split, pieces=pieces, joints=joints, wanted=wanted)
        label = np.array([[0, 1, 2, -1]])
        return (Drawn(image, label, np.ones(label.shape), np.ones(label.shape)),)

    image = np.arange(12, dtype=np.uint8).reshape(1, 4, 3)
    monkeypatch.setattr(redrawing, "picture", picture)
    got, mask = redrawing.redraw(standing([0.4, 1.2, 0.3]), np.random.default_rng(0), 96)
    np.testing.assert_array_equal(got, image)
    assert told["config"].image_size == 96 and told["split"] == "train"
    np.testing.assert_array_equal(mask, [[True, False, False, False]])
    body, ball, chair = told["pieces"]
    mesh = random_object("ball", 5).mesh
    want = np.asarray(mesh.vertices) @ Rotation.from_rotvec([0.3, 0, 0]).as_matrix().T + [0.4, 1.2, 0.3]
    np.testing.assert_allclose(ball[0], want, atol=1e-5)
    np.testing.assert_allclose(
        chair[0], np.asarray(random_object("chair", 3).mesh.vertices) + [0, 0.45, -1.0], atol=1e-5
    )
    assert (body[5], ball[5], chair[5]) == (0, 1, 2)
    model = free_body()
    names = model.joint_names
    assert told["joints"].shape[1] == 3 and body[0].shape == (model.num_vertices, 3)
    # The pelvis is moved and turned, the arm is where its rotation brings it.
    left, right = (told["joints"][names.index(f"{side}_wrist")] for side in ("left", "right"))
    turn = Rotation.from_rotvec([0, 0.5, 0])
    local = turn.inv().apply(np.stack([left, right]) - told["joints"][0])
    assert local[0, 2] > 0.3 and abs(local[1, 2]) < 0.15 and local[1, 0] < -0.5
    assert set(map(tuple, np.round(ball[0], 4))) <= set(map(tuple, np.round(told["wanted"], 4)))


def test_the_person_is_under_their_mask():
    """One picture for real: pixels of the mask see the body."""
    sample = standing([0.4, 1.2, 0.3])
    image, mask = redrawing.redraw(sample, np.random.default_rng(1), 96)
    assert image.shape == (96, 96, 3) and image.dtype == np.uint8 and 0.02 < mask.mean() < 0.5
    again, _ = redrawing.redraw(sample, np.random.default_rng(1), 96)
    np.testing.assert_array_equal(image, again)
    other, _ = redrawing.redraw(sample, np.random.default_rng(2), 96)
    assert np.abs(other.astype(int) - image).mean() > 5


def test_mirror_images_change_left_and_right():
    other = redrawing.mirrored_vertices()
    np.testing.assert_array_equal(other[other], np.arange(len(other)))
    regions = contact_regions(free_body())
    left = np.zeros(len(other), bool)
    left[regions["left_hand"]] = True
    assert set(np.flatnonzero(left[other])) == set(regions["right_hand"])


def plain_scale():
    """One that changes nothing."""
    size = crops.CHANNELS - len(crops.JOINTS) - 1
    return crops.Scale(np.zeros(size, np.float32), np.ones(size, np.float32))


def numbers(seed, *leading):
    return np.random.default_rng(seed).normal(size=(*leading, crops.PACKED)).astype(np.float16)


def test_a_crop_becomes_what_the_landmark_network_holds():
    """Cells are means of the coarse map, joints read both maps where they are, all landmarks come last."""
    image = np.random.default_rng(3).integers(0, 255, (256, 256, 3)).astype(np.uint8)
    got = crops.features_of(image)
    params = blaze.load("landmarks")
    shown = image[None].astype(np.float32) / 255
    inputs = jax.jit(lambda p, x: trunk(p, x, "centred")[1])(params, shown)
    said = blaze.run_landmarker(params, shown)
    coarse, fine = (np.asarray(inputs[i][0]) for i in (11, 5))
    cells = got[: 64 * 88].reshape(8, 8, 88)
    np.testing.assert_allclose(cells[2, 5], coarse[4:6, 10:12].mean(axis=(0, 1)), rtol=1e-3, atol=1e-2)
    points, metric = np.asarray(said.points[0, :33]), np.asarray(said.metric[0, :33])
    seen = 1 / (1 + np.exp(-points[:, 3]))
    own = np.concatenate([points[:, :2] / 128 - 1, seen[:, None], metric], axis=1)
    np.testing.assert_allclose(got[-198:].reshape(33, 6), own, rtol=1e-3, atol=1e-3)
    joints = got[64 * 88 : -198].reshape(16, 126)
    for row, name in ((4, "left_wrist"), (13, "right_ankle")):
        i = blaze.LANDMARK_NAMES.index(name)
        for found, part in ((coarse, joints[row, :88]), (fine, joints[row, 88:120])):
            side = found.shape[0]
            x, y = np.clip(points[i, :2] / 256 * side - 0.5, 0, side - 1)
            u, v = min(int(x), side - 2), min(int(y), side - 2)
            square = found[v : v + 2, u : u + 2]
            across = square[:, 0] * (u + 1 - x) + square[:, 1] * (x - u)
            want = across[0] * (v + 1 - y) + across[1] * (y - v)
            np.testing.assert_allclose(part, want, rtol=1e-2, atol=0.1)
        np.testing.assert_allclose(joints[row, 120:], own[i], rtol=1e-3, atol=1e-3)
        assert crops.JOINTS[row] == name


def test_tokens_of_a_kind_have_columns_of_their_own():
    packed = np.arange(crops.PACKED, dtype=np.float32) / 100
    tokens = crops.spread(packed, plain_scale())
    assert tokens.shape == (33, 88 + 126 + 198 + 16 + 1)
    cells, joints, whole = packed[: 64 * 88].reshape(8, 8, 88), packed[64 * 88 : -198].reshape(16, 126), packed[-198:]
    np.testing.assert_allclose(tokens[6, :88], cells[2:4, 4:6].mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_array_equal(tokens[16:32, 88:214], joints)
    np.testing.assert_array_equal(tokens[32, 214:412], whole)
    np.testing.assert_array_equal(tokens[16:32, 412:428], np.eye(16))
    assert not tokens[:16, 88:].any() and not tokens[16:32, :88].any() and not tokens[16:32, 214:412].any()
    assert not tokens[32, :214].any() and not tokens[:, 428].any() and not tokens[32, 412:].any()


def test_a_scale_makes_columns_alike():
    some = [7 + 3 * numbers(i).astype(np.float32) for i in range(40)]
    scale = crops.Scale.of(some)
    tokens = np.stack([crops.spread(crop, scale) for crop in some])
    for rows, columns in (
        (slice(0, 16), slice(0, 88)),
        (slice(16, 32), slice(88, 214)),
        (slice(32, 33), slice(214, 412)),
    ):
        np.testing.assert_allclose(tokens[:, rows, columns].mean(axis=(0, 1)), 0, atol=1e-3)
        np.testing.assert_allclose(tokens[:, rows, columns].std(axis=(0, 1)), 1, atol=1e-3)
    again = crops.Scale.of_facts(json.loads(json.dumps(scale.facts())))
    np.testing.assert_allclose(again.mean, scale.mean, rtol=1e-4)
    np.testing.assert_allclose(again.deviation, scale.deviation, rtol=1e-4)


def test_views_become_examples(monkeypatch):
    body = np.arange(4.0) / 4
    own = [Example(f"s{i}", np.zeros((9, 9, 3)), "cup", body + i) for i in range(2)]
    monkeypatch.setattr(small_data, "synth", lambda root, split, task: own)
    monkeypatch.setattr(small_data, "mirrored_vertices", lambda: np.array([1, 0, 3, 2]))
    scale = dataclasses.replace(plain_scale(), mean=np.full(412, 0.5, np.float32))
    features = [numbers(i, 3, 2) for i in range(2)]
    rows = small_data.view_source(pathlib.Path(), "human", features, scale)
    assert len(rows) == 12 and len({row.key for row in rows}) == 12
    np.testing.assert_array_equal(rows[7].image, crops.spread(features[1][0, 1], scale))
    np.testing.assert_array_equal(rows[7].contact, own[1].contact[[1, 0, 3, 2]])
    np.testing.assert_array_equal(rows[10].contact, own[1].contact)
    np.testing.assert_array_equal(rows[10].image, crops.spread(features[1][2, 0], scale))
    objects = small_data.view_source(pathlib.Path(), "object", features, scale)
    assert len(objects) == 6
    np.testing.assert_array_equal(objects[4].image, crops.spread(features[1][1, 0], scale))
    np.testing.assert_array_equal(objects[4].contact, own[1].contact)
    blind = small_data.view_source(pathlib.Path(), "human", features, scale, blind=True)
    assert not blind[7].image.any() and blind[7].image.shape == rows[7].image.shape
    np.testing.assert_array_equal(blind[7].contact, rows[7].contact)


def test_features_are_found_once_and_kept(monkeypatch, tmp_path):
    samples = [{"image": np.full((4, 6, 3), i, np.uint8), "human_mask": np.ones((4, 6), bool)} for i in range(3)]
    monkeypatch.setattr(small_data, "open_split", lambda root, split: samples)
    monkeypatch.setattr(small_data, "_CHUNK", 2)
    calls = []

    def drawn(sample, rng):
        calls.append(rng.integers(1 << 30))
        return sample["image"] + 100, sample["human_mask"]

    monkeypatch.setattr(small_data, "redraw", drawn)
    monkeypatch.setattr(
        small_data, "person_crop", lambda image, mask: image * np.array([1, 0, 0]) + np.arange(6)[:, None]
    )
    monkeypatch.setattr(small_data, "features_of", lambda crop: crop[0, :, 0].astype(float))
    found = small_data.view_features(pathlib.Path(), tmp_path, 2, 7)
    assert len(found) == 3 and found[0].shape == (3, 2, 6) and len(calls) == 6 == len(set(calls))
    np.testing.assert_array_equal(found[2][0, 0], 2 + np.arange(6))
    np.testing.assert_array_equal(found[2][1, 0], 102 + np.arange(6))
    np.testing.assert_array_equal(found[2][:, 1], found[2][:, 0, ::-1])
    again = small_data.view_features(pathlib.Path(), tmp_path, 2, 7)
    assert len(calls) == 6
    np.testing.assert_array_equal(np.stack(again), np.stack(found))
    small_data.view_features(pathlib.Path(), tmp_path, 1, 7)  # of other views there is nothing yet
    assert len(calls) == 9


def test_scripts_are_drawn_once_and_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(small_data, "_CHUNK", 2)
    made = []

    def row(config, index):
        made.append((config.seed, index))
        touches = np.arange(11) == index
        return numbers(index, 2), touches, ("cup", "chair", "box")[index]

    monkeypatch.setattr(small_data, "script_row", row)
    found = small_data.scripted(tmp_path, 3, 5)
    assert made == [(5, 0), (5, 1), (5, 2)] and found.label == ["cup", "chair", "box"]
    np.testing.assert_array_equal(found.contact, np.eye(3, 11, dtype=bool))
    np.testing.assert_array_equal(found.features, np.stack([numbers(i, 2) for i in range(3)]))
    again = small_data.scripted(tmp_path, 3, 5)
    assert len(made) == 3
    np.testing.assert_array_equal(again.contact, found.contact)
    small_data.scripted(tmp_path, 3, 6)
    assert len(made) == 6
    monkeypatch.setattr(small_data, "mirrored_vertices", lambda: np.arange(11)[::-1])
    rows = small_data.scripted_source(found, plain_scale())
    assert [r.label for r in rows] == ["cup", "cup", "chair", "chair", "box", "box"]
    assert len({r.key for r in rows}) == len({r.group for r in rows}) == 6
    want = crops.spread(found.features[1, 1], plain_scale())
    assert want[-1, -1] == 0
    want[-1, -1] = 1  # scripts are told from fitted samples
    np.testing.assert_array_equal(rows[3].image, want)
    assert rows[2].contact[1] == 1 and rows[2].contact.sum() == 1 and rows[3].contact[9] == 1
    blind = small_data.scripted_source(found, plain_scale(), blind=True)
    assert blind[3].image.sum() == blind[3].image[-1, -1] == 1 and blind[3].contact[9] == 1


def test_a_script_is_drawn_as_it_stands(monkeypatch):
    """Object and furniture in the picture are the script's; contact is what lies on the object or is asked for."""
    config = SynthConfig(seed=9, instances=8, shapes=8)
    told = []
    monkeypatch.setattr(small_data, "draw_view", lambda rng, *told_: told.append(told_) or ("image", "mask"))
    monkeypatch.setattr(small_data, "_both", lambda image, mask: np.full((2, 3), 7.0))
    features, touches, label = small_data.script_row(config, 2)
    candidate = draw(config, "train", 2, 0)
    assert label == candidate.category and (features == 7).all() and len(told) == 1
    vertices, joints, placed, furniture = told[0]
    assert placed.seed == candidate.object_seed and len(joints) == free_body().num_joints
    np.testing.assert_allclose(placed.vertices(), candidate.start.placed.vertices())
    assert len(furniture) == len(candidate.start.furniture)
    assert len(touches) == len(vertices) == free_body().num_vertices
    mesh = candidate.start.placed.object.mesh
    local = (vertices - placed.translation) @ placed.rotation
    distance = closest_on_mesh_host(local, mesh).distance
    regions, asked = contact_regions(free_body()), candidate.start.contact
    assert asked and all(touches[regions[part]].any() for part in asked)
    others = np.ones(len(touches), bool)
    for part in asked:
        others[regions[part]] = False
    assert not touches[others & (distance > 0.03)].any()


def test_a_script_that_touches_nothing_takes_the_next_attempt(monkeypatch):
    attempts = []

    def touched(candidate):
        attempts.append(candidate.attempt)
        return np.array([candidate.attempt == 2]), np.zeros((1, 3)), np.zeros((1, 3))

    monkeypatch.setattr(small_data, "touched", touched)
    monkeypatch.setattr(small_data, "draw_view", lambda *a: ("image", "mask"))
    monkeypatch.setattr(small_data, "_both", lambda *a: np.zeros((2, 3)))
    small_data.script_row(SynthConfig(seed=9, instances=8, shapes=8), 0)
    assert attempts == [0, 1, 2]


def tiny_network(gate="vi_v1", seed=0, **other):
    """Of the small network's parts and names, with few channels."""
    words = small.vocabulary()
    segmenter = sam.Config(64, 16, 16, 1, 2, 16, 2, (), channels=16, mask_channels=4, decoder_hidden=16,
                           decoder_heads=2, masks=1)  # fmt: skip
    language = llama.Config(len(words), 16, 32, 1, 2)
    config = nets.Config(language, None, segmenter, crops.CHANNELS, gate=gate, contact=words.id_of("[SEG]"))
    return jax.jit(lambda: nets.Model(config, nnx.Rngs(seed)), compiler_options=FAST)()


def test_what_mask_pixels_show():
    model, mesh = free_body("test"), random_object("chair", 3).mesh
    labels = part_labels(model, "24")
    views = body_views(model, 64)
    parts, places = small_views.pixel_targets(views, labels, 16)
    face = np.asarray(views.fragments.face_id)
    assert parts.shape == (4, 16, 16) and places.shape == (4, 16, 16, 3) and (parts >= 0).any() and (parts < 0).any()
    for view, row, column in np.argwhere(parts >= 0)[::9]:
        seen = face[view, 4 * row + 2, 4 * column + 2]
        assert parts[view, row, column] == labels[np.asarray(views.faces)[seen, 0]]
        np.testing.assert_allclose(places[view, row, column], views.images[view, 4 * row + 2, 4 * column + 2])
    np.testing.assert_array_equal(parts < 0, np.isnan(places[..., 0]))
    chair = object_views(np.asarray(mesh.vertices), np.asarray(mesh.faces), 64)
    parts, places = small_views.pixel_targets(chair, None, 16)
    assert (parts == -1).all() and np.isfinite(places).any()


def test_the_views_encoder_learns_what_they_show_and_is_kept(tmp_path):
    network, model, mesh = tiny_network(), free_body("test"), random_object("chair", 3).mesh
    before = nnx.state(network.segmenter.mask_decoder)
    path = tmp_path / "encoder.safetensors"
    found = small_views.teach_encoder(network, model, [mesh], path, steps=60, rate=1e-2)
    assert found["parts"] > 0.4 and found["places"] < 0.15  # a guess of the largest part: 0.2; of the middle: 0.2
    other = tiny_network(seed=1)
    assert small_views.teach_encoder(other, model, [mesh], path) == {}
    for a, b in zip(*(jax.tree.leaves(nnx.state(n.segmenter.image_encoder, nnx.Param)) for n in (network, other))):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(nnx.state(network.segmenter.mask_decoder))):
        np.testing.assert_array_equal(a, b)


def test_a_training_goes_from_words_to_views(monkeypatch, tmp_path):
    """What each row is trained on, in which folder, and that views begin where words ended."""
    config = small.Config(root=tmp_path, out=tmp_path, token_steps=5, steps=7, token_batch=3, batch=2, until=4)
    scripts = small_data.Scripted(numbers(0, 4, 2), np.zeros((4, 6), bool), ["cup"] * 4)
    data = small.Data([numbers(1, 3, 2)], scripts, plain_scale())
    own = [Example("s0", np.zeros((1, 1, 3)), "cup", np.zeros(6, np.float32), random_object("cup", 1).mesh)]
    monkeypatch.setattr(small, "synth", lambda *a: own)
    monkeypatch.setattr(small_data, "synth", lambda *a: own)
    monkeypatch.setattr(small_data, "mirrored_vertices", lambda: np.arange(6))
    monkeypatch.setattr(small, "small_network", tiny_network)
    monkeypatch.setattr(small, "free_body", lambda: dataclasses.replace(free_body("test")))
    taught, ran = [], []
    monkeypatch.setattr(small, "teach_encoder", lambda n, b, meshes, path: taught.append((len(meshes), path.name)))
    monkeypatch.setattr(small, "Surfaces", lambda *a, **k: None)

    class Plain(Encoder):
        def __init__(self, words, network, own, surfaces, body):
            self.config = own

    monkeypatch.setattr(small, "Encoder", Plain)
    monkeypatch.setattr(small.training, "save", lambda path, network, facts: ran[-1].update(path=path, facts=facts))

    def train(own, start, mixture, encoder):
        ran.append({"own": own, "start": nnx.clone(start), "mixture": mixture, "encoder": encoder})

    def finished(state, sizes, own, vertices):
        network = Whole.of(tiny_network(sizes.gate), vertices, nnx.Rngs(9))
        network.language.norm.weight[...] = np.full(16, 7.0, np.float32)
        network.segmenter.mask_decoder = None
        return network

    monkeypatch.setattr(small.training, "train", train)
    monkeypatch.setattr(small.training, "finished", finished)
    for name in ("whole", "no gate", "no image"):
        small.train_one(config, data, name, 3)
    folders = [row["own"].out.name for row in ran]
    assert folders == ["token", "whole", "token", "no_gate", "blind_token", "no_image"]
    assert {row["own"].out.parent for row in ran} == {tmp_path / "seed3"} and {row["own"].seed for row in ran} == {3}
    assert [row["own"].without for row in ran] == ["views", None] * 3
    assert [(row["own"].steps, row["own"].batch, row["own"].until) for row in ran[:2]] == [(5, 3, None), (7, 2, 4)]
    assert taught == [(1, "encoder.safetensors")] * 6
    for row in ran:
        token = row["own"].without == "views"
        blind = "blind" in row["own"].out.name or "image" in row["own"].out.name
        assert row["encoder"].config is row["own"]
        groups = {group.task: group for group in row["mixture"].groups}
        assert set(groups) == ({"human"} if token else {"human", "object"})
        build, drawn = groups["human"].sources
        assert len(build) == 6 and len(drawn) == 8
        assert blind != bool(build[0].image.any())
        assert drawn[0].image[-1, -1] == 1 and build[0].image[-1, -1] == 0
        scale = np.asarray(row["start"].language.norm.weight[...])
        assert bool((scale == 7).all()) != token and hasattr(row["start"], "flat") != token
        assert row["start"].segmenter.mask_decoder is not None
        assert row["start"].config.gate == ("none" if row["own"].out.name == "no_gate" else "vi_v1")
    facts = ran[1]["facts"]
    assert ran[1]["path"] == tmp_path / "seed3" / "whole" / "interactvlm.safetensors"
    assert facts["special"] == list(small.SPECIAL) and "chair" in facts["labels"] and len(facts["scale"]["mean"]) == 412


def test_rows_have_thresholds_of_their_own_and_paired_differences():
    asked = [Example(str(i), np.zeros((1, 1)), "cup", np.array(c, np.float32)) for i, c in enumerate([[1, 0], [1, 1]])]
    good = (asked, [np.array([0.3, 0.1]), np.array([0.3, 0.3])])
    poor = (asked, [np.array([0.9, 0.9]), np.array([0.9, 0.9])])
    none = (asked, [np.zeros(2), np.zeros(2)])
    said = {
        "whole": [{"human": good, "object": good}, {"human": none, "object": good}],
        "no gate": [{"human": poor, "object": poor}, {"human": poor, "object": poor}],
        "mean map": [{"human": good}],
    }
    chosen = {
        "whole": [{"human": 0.2, "object": 0.5}, {"human": 0.5, "object": 0.2}],
        "no gate": [{"human": 0.5, "object": 0.5}, {"human": 0.5, "object": 0.95}],
        "mean map": [{"human": 0.5}],
    }
    found = small.score(said, chosen)
    assert found["whole"]["semantic_f1"]["mean"] == 0.5 and found["whole"]["object_f1"]["mean"] == 0.5
    assert found["whole"]["by_seed"] == {"semantic_f1": [1.0, 0.0], "object_f1": [0.0, 1.0]}
    other = (2 / 3 + 1) / 2
    assert found["no gate"]["semantic_f1"]["mean"] == pytest.approx(other)
    assert found["no gate"]["by_seed"]["object_f1"] == [pytest.approx(other), 0]
    assert found["no gate"]["gain_semantic_f1"]["mean"] == pytest.approx(0.5 - other)
    assert found["no gate"]["gain_object_f1"]["mean"] == pytest.approx(0.5 - other / 2)
    assert found["mean map"]["gain_semantic_f1"]["mean"] == 0.5 and "gain_object_f1" not in found["mean map"]
    assert "gain_semantic_f1" not in found["whole"]
    with pytest.raises(ValueError):
        small.score(said, chosen | {"whole": chosen["whole"][:1]})
    # A row of fewer seeds is compared with the same seeds, the mean map with all.
    fewer = small.score(said | {"no gate": said["no gate"][:1]}, chosen | {"no gate": chosen["no gate"][:1]})
    assert fewer["no gate"]["gain_semantic_f1"]["mean"] == pytest.approx(1 - other)
    assert fewer["mean map"]["gain_semantic_f1"]["mean"] == 0.5
    config = {"seeds": [4, 5], "token_steps": 2400, "token_batch": 16, "steps": 100, "until": 50, "batch": 8,
              "scripts": 1500, "views": 3, "changes": ["no gate"], "changed": 1, "split": "dev"}  # fmt: skip
    text = small.markdown({"config": config, "samples": 600, "scores": {"val": found}})
    assert "| val | no gate | 0.833" in text and "-0.333 (" in text and "50 steps of a schedule of 100" in text
    assert "600 training samples by 4 cameras" in text and "1,500 scripts" in text and "dev" in text
    assert (
        "2 seeds, means over them (rows without a part: 1)" in text
        and "val, whole, 1.000, 0.000; val, no gate, 0.833, 0.833." in text
    )


def test_seeds_are_told_apart():
    with pytest.raises(InputError, match="each once"):
        small.Config(root=pathlib.Path("x"), out=pathlib.Path("y"), seeds=(1, 1))
    with pytest.raises(InputError, match="from 1 to the 2 seeds"):
        small.Config(root=pathlib.Path("x"), out=pathlib.Path("y"), seeds=(1, 2), changed=3)


@pytest.mark.slow
def test_the_shipped_network_reads_pictures():
    """On drawn chairs of a seed that it has not seen: F1 on the body far above what it says of no picture."""
    said = ContactDialogue.of(None, "chair", free_body(), make_object("box").mesh)
    config, found = SynthConfig(seed=23, real=0.4, instances=1024, shapes=4096), []
    chairs = [i for i in range(200) if draw(config, "train", i, 0).category == "chair"][:10]
    for index in chairs:
        features, touches, _ = small_data.script_row(config, index)
        tokens = crops.spread(features[0].astype(np.float16), said.scale)
        bodies = (said.ask(shown[None]).interaction.body[0] for shown in (tokens, np.zeros_like(tokens)))
        found.append([f1(at_half(np.asarray(b, np.float64), said.thresholds[0]), touches, 0.5) for b in bodies])
    told, blind = np.mean(found, axis=0)
    assert told > 0.35 and told > blind + 0.08
