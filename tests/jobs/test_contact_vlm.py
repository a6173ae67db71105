"""`hoijax contact --method interactvlm`: what is asked of a photograph, labels, thresholds, what is refused."""

import pathlib

import numpy as np
import pytest

from hoijax.body_models import free_body
from hoijax.cli import main
from hoijax.data.objects import make_object
from hoijax.errors import InputError
from hoijax.jobs import contact_vlm
from hoijax.jobs.contact_vlm import ContactDialogue, at_half, named
from hoijax.jobs.photographs import Photograph
from hoijax.language import WordTokenizer
from hoijax.nets import interactvlm as nets
from hoijax.nets import llama, sam
from hoijax.nets.weights import save_network
from hoijax.systems.interactvlm import OWN, Inputs, RunConfig, prepare, run
from hoijax.systems.interactvlm.crops import CHANNELS, JOINTS, PACKED, TOKENS, Scale, spread

WORDS = WordTokenizer.of_texts([*OWN.texts(), nets.SYSTEM, "USER ASSISTANT box chair object nothing"], ("[SEG]",))


def config():
    segmenter = sam.Config(64, 16, 16, 1, 2, 16, 2, (), channels=16, mask_channels=4, decoder_hidden=16,
                           decoder_heads=2, masks=1)  # fmt: skip
    language = llama.Config(len(WORDS), 16, 32, 1, 2)
    return nets.Config(language, None, segmenter, CHANNELS, contact=0)


def scale():
    rng = np.random.default_rng(1)
    size = CHANNELS - len(JOINTS) - 1
    return Scale(rng.normal(size=size).astype(np.float32), rng.uniform(1, 2, size).astype(np.float32))


def facts(**other):
    return {
        "words": list(WORDS.words), "special": list(WORDS.special), "labels": ["box", "chair"], **scale().facts(),
        "thresholds": {"human": 0.2, "object": 0.7}, **config().facts(), **other,
    }  # fmt: skip


@pytest.fixture(scope="module")
def network(random_module):
    """One whose every word is the first of the vocabulary, here the contact token."""
    made = random_module(lambda rngs: nets.Model(config(), rngs))
    kernel = made.language.lm_head.kernel
    kernel[...] = np.zeros(kernel.shape, np.float32)
    return made


@pytest.fixture(scope="module")
def weights(tmp_path_factory, network):
    path = tmp_path_factory.mktemp("small") / "small.safetensors"
    save_network(path, network, facts())
    return path


def test_a_threshold_becomes_one_half():
    got = at_half(np.array([0.0, 0.1, 0.2, 0.6, 1.0]), 0.2)
    np.testing.assert_allclose(got[[0, 2, 4]], [0, 0.5, 1])
    assert (np.diff(got) > 0).all()
    odds = np.log(0.6 / 0.4) - np.log(0.2 / 0.8)
    assert got[3] == pytest.approx(1 / (1 + np.exp(-odds)))


def test_labels_are_known_or_said_not_to_be():
    assert named("Office Chairs", ["box", "chair"]) == ("chair", ())
    word, notes = named("chiar", ["box", "chair"])
    assert word == "object" and "chair?" in notes[0] and "box, chair" in notes[0] and "chiar" in notes[0]


def test_the_network_is_asked_about_the_crop_of_the_photograph(weights, network, monkeypatch):
    rng = np.random.default_rng(0)
    crops, numbers = [], rng.normal(size=PACKED).astype(np.float32)
    monkeypatch.setattr(contact_vlm, "features_of", lambda crop: crops.append(crop) or numbers)
    image = rng.integers(0, 255, (60, 80, 3)).astype(np.uint8)
    person = np.zeros((60, 80), bool)
    person[20:40, 30:40] = True
    picture = Photograph("one", pathlib.Path("one.png"), image, person, np.zeros((60, 80), bool))
    model, mesh = free_body("test"), make_object("chair").mesh
    dialogue = ContactDialogue.of(weights, "office chair", model, mesh)
    body, obj = dialogue.find({}, picture)
    (crop,) = crops
    np.testing.assert_array_equal(crop, contact_vlm.person_crop(image, person))
    assert body.shape == (model.num_vertices,) and obj.shape == (len(mesh.vertices),)
    questions = [nets.make_prompts(WORDS, [OWN.ask(k, "chair")]) for k in ("human_parts", "object_simple")]
    tokens = spread(numbers, Scale.of_facts(facts()))[None]
    assert tokens.shape == (1, TOKENS, CHANNELS)
    want = run(network, prepare(network, model, mesh), Inputs(tokens, *questions),
               config=RunConfig(stop=WORDS.id_of("</s>"), steps=48))  # fmt: skip
    for got, found, threshold in ((body, want.interaction.body, 0.2), (obj, want.interaction.object, 0.7)):
        np.testing.assert_allclose(got, at_half(np.asarray(found, np.float64)[0], threshold), atol=1e-4)
        assert got.max() > 0.01 and got.max() - got.min() > 1e-3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scale": None}, "does not say its scale"),
        ({"thresholds": {"human": 1.0}}, "between 0 and 1"),
    ],
)
def test_other_networks_are_refused(tmp_path, network, change, said):
    kept = {name: value for name, value in facts(**change).items() if value is not None}
    path = tmp_path / "w.safetensors"
    save_network(path, network, kept)
    with pytest.raises(InputError, match=said):
        ContactDialogue.of(path, "box", free_body("test"), make_object("box").mesh)


def test_without_weights_the_shipped_ones_answer(monkeypatch):
    monkeypatch.setattr(contact_vlm, "prepare", lambda network, model, mesh: network.config.segmenter.channels)
    said = ContactDialogue.of(None, "box", free_body("test"), make_object("box").mesh)
    assert said.ask.args == (96,) and all(0 < t < 1 for t in said.thresholds) and not said.notes
    assert "zebra" in " ".join(ContactDialogue.of(None, "zebra", free_body("test"), make_object("box").mesh).notes)


def test_options_that_do_not_fit(tmp_path, capsys):
    out = tmp_path / "out"
    asked = ["contact", "--image=a.png", "--label=box", f"--out={out}"]
    assert main([*asked, "--method=interactvlm"]) == 2
    assert "--object" in capsys.readouterr().err and not out.exists()
    assert main([*asked, "--weights=w.safetensors", "--object=box.obj", "--method=geometry"]) == 2
    assert "--method network or interactvlm" in capsys.readouterr().err
