"""Scores of contact by hand, mean maps, asking, ablations' settings and page."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.experiments.interactvlm import ablations, evaluate, small, small_data
from hoijax.experiments.interactvlm.data import Example
from hoijax.nets import interactvlm as nets
from hoijax.systems.interactvlm import crops

NOTHING = np.zeros((1, 1), np.float32)


def example(key, contact, label="cup", group=""):
    return Example(key, NOTHING, label, np.asarray(contact, np.float32), group=group)


def test_contact_by_object_and_by_image():
    """Two objects of one image and one of another, four vertices on a line, 1 m apart."""
    asked = [example("a/cup", [1, 1, 0, 0], group="a"), example("a/box", [0, 0, 0, 1], "box", "a"),
             example("b/cup", [0, 1, 0, 0], group="b")]  # fmt: skip
    said = [np.array([0.9, 0.4, 0.0, 0.0]), np.array([0.0, 0.5, 0.0, 0.8]), np.array([0.0, 0.0, 0.0, 0.0])]
    line = np.abs(np.arange(4.0)[:, None] - np.arange(4.0)[None])
    rows = evaluate.contact_rows(asked, said, distances=line)
    np.testing.assert_allclose(rows["semantic_precision"], [1, 0.5, 0])
    np.testing.assert_allclose(rows["semantic_recall"], [0.5, 1, 0])
    np.testing.assert_allclose(rows["semantic_f1"], [2 / 3, 2 / 3, 0])
    # The box's second vertex is 2 m from its true one; nothing said stands for all vertices.
    np.testing.assert_allclose(rows["semantic_geodesic_cm"], [0, 100 * (2 + 0) / 2, 100 * (1 + 0 + 1 + 2) / 4])
    np.testing.assert_allclose(rows["binary_f1"], [1, 0])  # of the first image 0, 1 and 3: all that is true
    low = evaluate.contact_rows(asked, said, threshold=0.3)
    np.testing.assert_allclose(low["semantic_f1"], [1, 2 / 3, 0])
    found = evaluate.summary(rows)["semantic_f1"]
    assert found["count"] == 3 and found["low"] <= found["mean"] <= found["high"]
    assert found["mean"] == pytest.approx(4 / 9)
    objects = evaluate.object_rows(asked[:1], said[:1])
    assert set(objects) == {"object_f1", "object_precision", "object_recall"} and objects["object_recall"] == 0.5


def test_affordances_by_the_protocol():
    truth = np.array([0.9, 0.6, 0.2, 0.0])
    found = evaluate.affordance_rows([example("x", truth)], [truth])
    assert (
        found["auc"][0] == 1 and found["sim"][0] == pytest.approx(1) and found["mae"][0] == pytest.approx(0, abs=1e-7)
    )
    assert 0 < found["aiou"][0] < 1


def test_the_mean_map_of_a_label_and_of_all():
    train = [example("1", [1, 0]), example("2", [1, 1]), example("3", [0, 1], "box")]
    mean = evaluate.MeanMap(train)
    got = mean.predict([example("4", [0, 0]), example("5", [0, 0], "box"), example("6", [0, 0], "bed")])
    np.testing.assert_allclose(got, [[1, 0.5], [0, 1], [2 / 3, 2 / 3]])
    asked = [example("7", [1, 0]), example("8", [1, 0])]
    assert evaluate.best_threshold(asked, mean.predict(asked)) > 0.5
    assert evaluate.best_threshold([example("9", [1, 1])], mean.predict([example("9", [1, 1])])) <= 0.5
    with pytest.raises(InputError, match="wants examples"):
        evaluate.MeanMap([])


def test_nothing_said_is_no_contact_and_what_is_said_is_that_of_the_system(tiny):
    """The contact token is made the first word of every answer, then one that is never said."""
    from interactvlm_toy import settings

    encoder, pairs = tiny.encoder(settings()), tiny.examples["human"][:3]
    kernel = np.array(tiny.network.language.lm_head.kernel[...])
    said = np.zeros_like(kernel)
    graph, state = evaluate.nnx.split(tiny.network)
    network = evaluate.nnx.merge(graph, jax.tree.map(lambda x: x, state))
    network.eval()
    network.language.lm_head.kernel[...] = said  # every word alike likely: the first one, which is no token
    none = evaluate.predict(network, encoder, "human", pairs, batch=2, steps=2)
    assert len(none) == 3 and all(not score.any() for score in none)
    batch = encoder.batch("human", [*pairs, pairs[-1]])
    patches = network.see(batch.images)
    states = np.asarray(network.write(patches, batch.prompts, stop=2, steps=1)[1].state)
    said[:, tiny.sizes.contact] = 50.0 * np.linalg.pinv(states).sum(axis=1)
    network.language.lm_head.kernel[...] = said
    found = evaluate.predict(network, encoder, "human", pairs, batch=2, steps=2)
    assert all(0 < score.max() <= 1 and score.shape == (642,) for score in found)
    from hoijax.systems.interactvlm import RunConfig, ask

    config = RunConfig(stop=2, steps=2)
    want, _ = ask(network, patches[:3], jax.tree.map(lambda x: x[:3], batch.prompts), tiny.surfaces.body.surface,
                  kind=nets.HUMAN, mode="soft", config=config)  # fmt: skip
    np.testing.assert_allclose(found, want, atol=1e-5)


def test_every_row_of_the_table_changes_what_it_says(tmp_path):
    config = ablations.Config(out=tmp_path, synth=tmp_path, steps=50)
    rows = {v.name: ablations.row_of(config, v) for v in ablations.ROWS}
    whole = rows.pop("whole")
    assert len(rows) == 14 and whole.train.weights.surface == 3.0 and whole.train.parts == "fine"
    for name, row in rows.items():
        plain = dataclasses.replace(row, train=dataclasses.replace(row.train, out=whole.train.out))
        same = plain == whole
        assert same == (name == "parts in words"), name  # SynthHOI has no conversations to leave out
    assert (rows["half the pixels"].pixels, rows["no camera"].gate, rows["coarse parts"].train.parts) == (
        0.5, "none", "coarse",
    )  # fmt: skip
    assert not rows["whole mask"].train.valid and rows["valid mask"].train.valid
    assert rows["valid mask"].train.weights.surface == 0 and rows["valid mask"].train.weights.focal == 2
    as_it_was = rows["decoder as it was"].train
    assert as_it_was.adapted == "" and not any("language" in pattern for pattern in as_it_was.more)
    published = ablations.Config(out=tmp_path, weights=tmp_path, tokenizer=tmp_path)
    assert ablations.row_of(published, ablations.ROWS[0]).train.rate == 3e-4
    for wrong in ({}, {"weights": tmp_path}, {"synth": tmp_path, "rows": ("no camera",)}):
        with pytest.raises(InputError):
            ablations.Config(out=tmp_path, **wrong)
    with pytest.raises(InputError, match="half the pixels want"):
        ablations.opened(published, rows["half the pixels"])


def test_a_page_says_changes_beside_the_papers(tmp_path):
    config = ablations.Config(out=tmp_path, synth=tmp_path, rows=("whole", "no camera"))
    scores = {name: {"binary_f1": f1, "binary_precision": 1.0, "binary_recall": 2.0}
              for name, f1 in (("whole", 50.0), ("no camera", 45.5))}  # fmt: skip
    text = ablations.markdown(config, scores)
    assert "| no camera | -4.5 | -6.2 |" in text and "Not trained: half the pixels" in text and "dev" in text


def test_another_gate_begins_anew_and_the_small_network_has_its_sizes(tiny):
    network = small.small_network(gate="concat")
    assert network.config.gate == "concat" and network.config.vision is None
    again = ablations.regated(network, "none", 0)
    width = network.config.segmenter.channels
    token, cameras = np.ones((1, width), np.float32), np.zeros((1, 4, 5), np.float32)
    np.testing.assert_array_equal(again.cam_pose_encoder(token, cameras), np.ones((1, 4, width)))
    assert small.small_sizes(pixels=0.5).segmenter.image == 128
    assert small.small_sizes(smaller=True).language.layers == 1
    count = sum(x.size for x in jax.tree.leaves(evaluate.nnx.state(network)))
    assert 2 * count < 6e6  # bytes in half precision
    words = small.vocabulary()
    assert words.id_of("carry_two_hands") and words.id_of("laptop")


def test_the_small_rows_read_features(monkeypatch, tmp_path):
    """SynthHOI's pictures go through the landmark network, in training and in scoring, by one scale."""
    packed = np.random.default_rng(0).normal(size=(3, 1, 2, crops.PACKED)).astype(np.float16)
    built = [Example(f"s{i}", np.full((9, 9, 3), i, np.uint8), "cup", np.zeros(4, np.float32)) for i in range(3)]
    asked = []
    for module in (ablations, small_data):
        monkeypatch.setattr(module, "synth", lambda root, split, task: asked.append((split, task)) or built)
    monkeypatch.setattr(small_data, "mirrored_vertices", lambda: np.arange(4))
    monkeypatch.setattr(small_data, "features_of", lambda image: packed[image[0, 0, 0], 0, 0])
    monkeypatch.setattr(ablations, "view_features", lambda root, folder, views, seed: list(packed))
    monkeypatch.setattr(ablations, "write_page", lambda *a: None)
    seen, scale = [], crops.Scale.of(packed[:, 0, 0])

    def score(config, variant, examples):
        learned = ablations.features_of_build(config)[0]
        seen.append((variant.name, examples, learned))
        return {metric: 1.0 for metric, _, _ in ablations.COLUMNS}

    monkeypatch.setattr(ablations, "score_row", score)
    ablations.run(ablations.Config(out=tmp_path, synth=tmp_path, rows=("whole",), count=2))
    ((name, examples, learned),) = seen
    assert name == "whole" and len(examples) == 2 and len(learned) == 6 and asked[0] == ("val", "human")
    want = crops.spread(packed[1, 0, 0], scale)
    np.testing.assert_allclose(examples[1].image, want, atol=1e-6)
    np.testing.assert_allclose(learned[2].image, want, atol=1e-6)
    assert ("train", "human") in asked


def test_settings_of_the_small_training():
    config = small.Config(root=pathlib.Path("x"), out=pathlib.Path("y"), steps=100, until=5)
    one = small.settings(config, "no gate", 2)
    assert (one.out, one.until, one.adapted, one.warmup) == (pathlib.Path("y/seed2/no_gate"), 5, "", 10)
