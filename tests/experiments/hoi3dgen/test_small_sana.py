"""What teaches the small SANA: scenes in frame, texts that say what is painted, views, the autoencoder."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest

from hoijax.camera import project
from hoijax.experiments.hoi3dgen import autoencoder, checks, pictures, small_sana
from hoijax.nets import sana
from hoijax.nets.sana.words import words_of
from hoijax.systems.hoi3dgen.small import COLORS, view_cameras

SIDE = 32


@pytest.fixture(autouse=True)
def single_precision():
    with jax.enable_x64(False):
        yield


@pytest.fixture(scope="module")
def scenes():
    with jax.enable_x64(False):
        return [
            pictures.draw_scene("carry_one_hand", "suitcase", (3, i), side) for i, side in enumerate(("left", "right"))
        ]


@pytest.fixture(scope="module")
def layers(scenes):
    with jax.enable_x64(False):
        return pictures.draw_layers(scenes, SIDE)


def places(scene, view):
    cameras = view_cameras(SIDE)
    return np.asarray(project(jax.tree.map(lambda x: x[view], cameras), scene.vertices)[0])


def test_a_scene_fills_its_pictures_up_to_the_margin_and_not_beyond(scenes):
    for scene in scenes:
        seen = np.concatenate([places(scene, view) for view in range(3)])
        assert np.abs(seen - SIDE / 2).max() == pytest.approx(0.9 * SIDE / 2, abs=1e-3)


def test_views_look_from_their_azimuths(scenes):
    names = list(sana.VIEWS)
    cameras = view_cameras(SIDE)
    for view, azimuth in enumerate(sana.VIEWS.values()):
        rotation, move = np.split(np.asarray(cameras.T_camera_world)[view, :3], [3], axis=1)
        eye = -rotation.T @ move[:, 0]
        np.testing.assert_allclose(np.degrees(np.arctan2(eye[0], eye[2])), azimuth, atol=1e-4)
        assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-5) and eye[1] == pytest.approx(0, abs=1e-6)
    # What is to the person's left, +x, is right of the middle from the front; the right diagonal's camera stands there.
    assert (
        np.asarray(project(jax.tree.map(lambda x: x[0], cameras), np.array([[0.4, 0.0, 0.0]], np.float32))[0])[0, 0]
        > 17
    )
    assert names[2] == "right diagonal"


def test_the_hand_that_a_text_names_holds_the_thing(scenes, layers):
    for scene, layer, side in zip(scenes, layers, ("left", "right")):
        assert scene.text.endswith(f"in the {side} hand")
        columns = np.nonzero(layer[0, ..., pictures.surface_names().index("thing")] > 0.3)[1]
        assert (columns.mean() > SIDE / 2) == (side == "left")


def test_layers_are_shares_of_a_pixel_and_pictures_have_the_colours_of_the_text(scenes, layers):
    kinds = pictures.surface_names()
    assert layers.shape == (2, 3, SIDE, SIDE, len(kinds) + 1)
    np.testing.assert_array_equal(layers[:, :, 0, 0, -1], 1)  # a corner is ground
    picture = pictures.paint(layers[0], pictures.palette("red", "green", "blue"))
    assert (picture[:, 0, 0] == 255).all()
    for name, channel in (("shirt", 0), ("trousers", 1), ("thing", 2)):
        inside = layers[0, ..., kinds.index(name)] > 0.5
        assert inside.any() and (picture[inside].argmax(axis=-1) == channel).all()
    rng = np.random.default_rng(0)
    for _ in range(20):
        text, colors = pictures.draw_words(rng, scenes[0])
        named = [word for word in words_of(text) if word in COLORS]
        assert len(named) in (2, 3) and named[-1] not in named[:-1]
        for name, word in (("shirt", named[0]), ("thing", named[-1])):
            np.testing.assert_allclose(colors[name], np.minimum(np.array(COLORS[word]) * 1.1, 1), atol=0.26)
        assert "an orange" in text or "a orange" not in text


def test_principal_components_are_the_best_linear_autoencoder(layers):
    plain = {"encoder_depths": (0,) * 3, "decoder_depths": (0,) * 3, "latent_channels": 8}
    sizes = dataclasses.replace(autoencoder.SMALL, channels=(4, 16, 64), **plain)
    rng = np.random.default_rng(0)
    shown = np.concatenate(
        [pictures.paint(layers[i], pictures.draw_words(rng, s)[1]) for i in range(2) for s in [_named()]]
    )
    network = autoencoder.principal(shown, sizes)
    latents = autoencoder.encode(network, shown, 3)
    assert latents.shape == (6, 8, 8, 8) and np.std(latents) == pytest.approx(1, abs=0.02)
    answer = np.asarray(jax.jit(network.decode)(latents))
    # Blocks of 4 x 4 pixels, analysed by the singular values of all of them.
    aim = np.asarray(pictures.to_network(shown), np.float64)
    blocks = aim.reshape(6, 8, 4, 8, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 48)
    values = np.linalg.svd(blocks - blocks.mean(0), compute_uv=False)
    best = np.sum(values[8:] ** 2) / aim.size
    assert np.mean((answer - aim) ** 2) == pytest.approx(best, rel=0.02)
    every = autoencoder.principal(shown, dataclasses.replace(sizes, latent_channels=64))
    exact = pictures.from_network(np.asarray(jax.jit(every.decode)(autoencoder.encode(every, shown, 3))))
    assert np.abs(exact.astype(int) - shown).max() <= 1


def _named():
    return pictures.Scene("carries {thing}", "box", np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))


def test_the_loss_of_an_autoencoder_weighs_the_white_ground_less():
    aim = np.full((1, 2, 2, 3), 1.0, np.float32)
    aim[0, 0, 0] = [0.2, -1, 1]
    assert float(autoencoder.weighted_difference(aim, aim, 0.1)) == 0
    off = aim.copy()
    off[0, 1, 1] -= 0.5  # of the ground
    assert float(autoencoder.weighted_difference(off, aim, 0.1)) == pytest.approx(0.5 * 0.1 / 1.3)
    off = aim.copy()
    off[0, 0, 0] += 0.5
    assert float(autoencoder.weighted_difference(off, aim, 0.1)) == pytest.approx(0.5 / 1.3)


def test_texts_have_the_views_in_turn_and_every_word_is_known(scenes, layers):
    examples = small_sana.make_examples(layers, scenes, 2, 0)
    assert len(examples) == 12 and [e.view for e in examples[:4]] == [0, 1, 2, 0]
    tokenizer = small_sana.WordTokenizer(small_sana.vocabulary())
    assert len(tokenizer) <= small_sana.TEXT_SIZES.vocabulary
    for example in examples:
        assert len(tokenizer.encode(example.text)) <= small_sana.LENGTH
        assert example.text.endswith(f"{list(sana.VIEWS)[example.view]} view.")
    other = small_sana.make_examples(layers, scenes, 2, 1)
    assert [e.text for e in other] != [e.text for e in examples]


def test_a_words_feature_knows_the_colour_before_it_and_nothing_after_it():
    encoder, tokenizer = small_sana.make_text_encoder()
    texts = ["a red shirt and blue jeans", "a green shirt and blue jeans", "a red shirt and blue jeans carries a ball"]
    found = small_sana.encode(encoder, tokenizer, texts).features
    assert found.shape == (3, small_sana.LENGTH, small_sana.TEXT_SIZES.width)
    assert np.abs(found[0, 3] - found[1, 3]).max() > 0.1  # "shirt"
    np.testing.assert_allclose(found[0, 5:7], found[1, 5:7], atol=1e-5)  # "blue jeans", two words and more behind
    np.testing.assert_allclose(found[0, :7], found[2, :7], atol=1e-5)


def test_the_classifier_tells_views_of_colours_that_it_did_not_see(scenes, layers):
    teach, test = (small_sana.make_examples(layers, scenes, count, seed) for count, seed in ((6, 0), (3, 1)))
    views = [np.array([e.view for e in examples]) for examples in (teach, test)]
    shown = small_sana.pictures_of(test)
    told = checks.tell_views(checks.fit_views(small_sana.pictures_of(teach), views[0]), shown)
    np.testing.assert_array_equal(told, views[1])
    # One that was taught other tags says these: it is the tag that is told, not the order of the pictures.
    other = checks.tell_views(checks.fit_views(small_sana.pictures_of(teach), (views[0] + 1) % 3), shown[::-1])
    np.testing.assert_array_equal(other, (views[1][::-1] + 1) % 3)


def test_the_page_says_what_was_measured_and_that_it_is_enough():
    results = pathlib.Path(__file__).resolve().parents[3] / "docs" / "results"
    record = json.loads((results / "hoi3dgen_sana.json").read_text())
    page = checks.render_page(record, pathlib.Path("hoi3dgen_sana.png"))
    assert page.strip() == (results / "hoi3dgen_sana.md").read_text().strip()
    assert record["heart_after"] < 0.1 * record["heart_before"]
    assert record["pictures"] >= 60 and record["drawn_told"] > 0.9 and record["renders_told"] > 0.99
    assert record["general_after"] < 1.05 * record["general_before"]
    assert record["special_after"] < 0.97 * record["special_before"]
