"""Gates and splitter against the authors' modules; texts and images as one sequence; conversations as ids."""

import dataclasses

import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets import interactvlm, weights
from hoijax.nets.interactvlm import IGNORED, IMAGE, CameraGate, Config, Prompts, Splitter, merge


def filled(build, state):
    net = weights.abstract(build)
    weights.load_state_dict(net, state)
    return net


@pytest.mark.parametrize("kind", ["vi_v1", "view_index"])
def test_camera_gates_are_the_authors(run, golden, kind):
    data, state = golden(f"interactvlm_featlift_{kind}")
    net = filled(lambda rngs: CameraGate(kind, 256, 4, rngs), state)
    token = data.get("token", np.linspace(-1, 1, 256).astype(np.float32))
    np.testing.assert_allclose(run(lambda c: net.gate(c), data["cam_params"]), data["gate"], atol=1e-5)
    got = run(net, token, data["cam_params"])
    np.testing.assert_allclose(got, data.get("lifted", token * data["gate"]), atol=1e-5)
    # Views with the same camera still differ, through the layer that each has of its own.
    same = run(net, token, np.repeat(data["cam_params"][:1], 4, axis=0))
    assert np.abs(same[0] - same[1]).max() > 0.01
    with pytest.raises(ValueError, match="knows 4 views, got 3"):
        net(token, data["cam_params"][:3])


def test_simple_gates_add_and_none_changes_nothing(random_module, run):
    net = random_module(lambda rngs: CameraGate("simple", 8, 4, rngs))
    rng = np.random.default_rng(0)
    token, cameras = rng.normal(size=8).astype(np.float32), rng.normal(size=(3, 5)).astype(np.float32)
    layer = net.spatial_encoder["0"]
    want = token + np.maximum(cameras @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...]), 0)
    np.testing.assert_allclose(run(net, token, cameras), want, atol=1e-6)
    np.testing.assert_array_equal(CameraGate("none", 8, 4, nnx.Rngs(0))(token, cameras), np.stack([token] * 3))
    with pytest.raises(ValueError, match="no camera gate is called 'other'"):
        CameraGate("other", 8, 4, nnx.Rngs(0))


def test_splitter_is_the_authors(run, golden):
    data, state = golden("interactvlm_splitter")
    human, object_ = run(filled(lambda rngs: Splitter(256, rngs), state), data["tokens"])
    np.testing.assert_allclose(human, data["human"], atol=1e-5)
    np.testing.assert_allclose(object_, data["object"], atol=1e-5)


def test_patches_stand_in_the_place_of_the_image_and_the_state_is_the_one_before_the_contact_token():
    """Three prompts of nine places with the image at different ones; every number says where it comes from."""
    patches, contact = 4, 70
    ids = np.array([[1, IMAGE, 3, 4, contact, 5, 0, 0, 0], [1, 2, 3, IMAGE, 5, 6, 7, contact, contact],
                    [contact, 1, IMAGE, 2, 3, 0, contact, 0, 0]], np.int32)  # fmt: skip
    lengths = np.array([6, 9, 5], np.int32)
    labels = np.where(np.arange(9)[None] >= lengths[:, None] - 2, ids, IGNORED)
    words = np.broadcast_to(ids[..., None], (3, 9, 2)).astype(np.float32)
    images = 1000.0 + np.arange(3 * patches, dtype=np.float32).reshape(3, patches, 1) * np.ones((1, 1, 2), np.float32)
    got = merge(Prompts(ids, lengths, labels), words, images, (contact, 71))
    assert got.embeddings.shape == (3, 9 + patches - 1, 2)
    for b in range(3):
        at = list(ids[b]).index(IMAGE)
        want = [*ids[b, :at], *(images[b, :, 0]), *ids[b, at + 1 :]]
        np.testing.assert_array_equal(got.embeddings[b, :, 0], want)
        np.testing.assert_array_equal(got.labels[b], [*labels[b, :at], *[IGNORED] * patches, *labels[b, at + 1 :]])
    np.testing.assert_array_equal(got.lengths, lengths + 3)
    np.testing.assert_array_equal(
        got.found, [True, True, False]
    )  # the third's stand before the image and behind the end
    # Text position t is place t + 3 of the sequence, and its state stands one before: with 256 patches t + 254.
    np.testing.assert_array_equal(got.contact[:2], [4 + patches - 2, 7 + patches - 2])
    np.testing.assert_array_equal(got.token, [contact, contact, 0])


def test_loss_of_what_comes_next_is_its_definition():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 4, 5)).astype(np.float32)
    labels = np.array([[2, IGNORED, 3, 1], [IGNORED, IGNORED, IGNORED, 4]], np.int32)
    chosen = [(0, 1, 3), (0, 2, 1), (1, 2, 4)]  # sample, place that predicts, label
    want = np.mean([np.log(np.exp(logits[b, t]).sum()) - logits[b, t, label] for b, t, label in chosen])
    np.testing.assert_allclose(interactvlm.next_token_loss(logits, labels), want, rtol=1e-5)
    assert interactvlm.next_token_loss(logits, np.full((2, 4), IGNORED, np.int32)) == 0.0


class Words:
    """A tokenizer of words by their lengths; `<s>` is 1."""

    def encode(self, text):
        return [1, *(len(word) for word in text.split())]

    def decode(self, ids):
        return ""

    def id_of(self, token):
        return 0


def test_conversations_end_where_the_answer_begins_and_labels_are_the_answer():
    text = interactvlm.conversation("Which parts?", "left hand [SEG]", "Hello.")
    assert text == "Hello. USER: <im_start><image><im_end>\nWhich parts? ASSISTANT: left hand [SEG]</s>"
    assert interactvlm.conversation("Q", system="S") == "S USER: <im_start><image><im_end>\nQ ASSISTANT:"
    got = interactvlm.make_prompts(Words(), ["Which parts?", "Q"], ["left hand", None], length=20, system="Hello.")
    np.testing.assert_array_equal(got.ids[0, :10], [1, 6, 5, 10, IMAGE, 8, 5, 6, 10, 4])
    np.testing.assert_array_equal(got.lengths, [11, 8])
    np.testing.assert_array_equal(got.labels[0, 8:12], [IGNORED, 4, 8, IGNORED])  # "left", "hand</s>"
    assert (got.labels[1] == IGNORED).all() and got.ids[1, 8:].max() == 0
    with pytest.raises(InputError, match="once, this one 2 times"):
        interactvlm.make_prompts(Words(), ["what is <image>"])
    with pytest.raises(InputError, match="has 11 tokens, at most 10 are read"):
        interactvlm.make_prompts(Words(), ["Which parts?"], ["left hand"], length=10, system="Hello.")


def test_configurations_that_contradict_themselves():
    tiny = Config.of_size("tiny")
    assert tiny.tokens == (60, 61, 62) and Config().tokens == (32000,)
    for more, text in (({"object": None}, "come together"), ({"human": 67}, "outside the vocabulary of 67"),
                       ({"human": None, "object": None, "apart": True}, "decoders of body and object")):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            dataclasses.replace(tiny, **more)
    with pytest.raises(InputError, match="no size '1b'; known are 13b, 7b, tiny"):
        Config.of_size("1b")
    assert Config.of_facts(Config().facts()) == Config()
