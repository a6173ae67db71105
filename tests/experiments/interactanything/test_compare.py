"""Results compared by a tiny CLIP and by a judge behind a server."""

import base64
import io
import json
import pathlib

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from hoijax.errors import InputError
from hoijax.experiments.interactanything import compare as module
from hoijax.experiments.interactanything.compare import Config, clip_scores, compare, pictures_of, run
from hoijax.language import LanguageError
from hoijax.nets import clip

SENTENCES = ("A person sits on the chair", "A person holds the cup")
COLOURS = {"red": (200, 10, 10), "blue": (10, 10, 200)}


@pytest.fixture
def folders(tmp_path):
    for name, colour in COLOURS.items():
        for k, sentence in enumerate(SENTENCES):
            place = tmp_path / name / str(k)
            (place / "candidates").mkdir(parents=True)
            (place / "metrics.json").write_text(json.dumps({"sentence": sentence}))
            image = np.full((40, 30, 3), colour, np.uint8)
            image[:10] += np.uint8(20 * k)
            Image.fromarray(image).save(place / module.PICTURE)
    return tmp_path


class Words:
    """A tokenizer of letters."""

    def encode(self, text):
        return [97, *(1 + ord(c) % 90 for c in text), 98]


def reddest(body):
    """The letter of the candidate whose picture is the reddest."""
    parts = body["messages"][-1]["content"]
    images = [p["image_url"]["url"].partition(",")[2] for p in parts if p["type"] == "image_url"]
    colours = [np.asarray(Image.open(io.BytesIO(base64.b64decode(i))).convert("RGB"))[-1, 0] for i in images]
    return "The best is " + "AB"[int(np.argmax([int(c[0]) - int(c[2]) for c in colours]))]


def test_a_judge_who_prefers_a_method_gives_it_every_question_in_every_order(folders, chat_server, capsys):
    pytest.importorskip("openai", reason="asking a server needs the package openai (extra llm)")
    methods = tuple(f"{name}={folders / name}" for name in COLOURS)
    with chat_server(reddest) as (url, requests):
        record = run(Config(methods, llm="eyes", llm_url=url, out=folders / "scores.json"))
    assert record["judge"] == {"shares": {"red": 1.0, "blue": 0.0}, "votes": {"red": 4, "blue": 0}, "undecided": 0}
    assert json.loads((folders / "scores.json").read_text())["judge"] == record["judge"]
    firsts = [str(r["messages"][-1]["content"]) for r in requests]
    assert len(requests) == 4 and sum(SENTENCES[0] in text for text in firsts) == 2
    with chat_server(lambda body: "A") as (url, _):  # who prefers a place
        record = run(Config(methods, llm="eyes", llm_url=url))
    assert record["judge"]["shares"] == {"red": 0.5, "blue": 0.5} and '"votes"' in capsys.readouterr().out
    with chat_server(lambda body: "I like neither of them") as (url, _):
        assert run(Config(methods, llm="eyes", llm_url=url))["judge"]["undecided"] == 4
    with chat_server(lambda body: 500) as (url, _), pytest.raises(LanguageError, match="500"):
        run(Config(methods, llm="eyes", llm_url=url))


def test_clip_scores_each_picture_with_its_own_sentence(folders):
    sizes = clip.Config(clip.TextConfig.of_size("tiny"), clip.VisionConfig.of_size("tiny"))
    network = clip.Model(sizes, nnx.Rngs(0))
    methods = {name: pictures_of(folders / name) for name in COLOURS}
    record = compare(methods, network=network, tokenizer=Words())
    ids = clip.token_ids(Words(), SENTENCES, positions=sizes.text.positions)
    for name, own in methods.items():
        images = np.stack([clip.crop(np.asarray(Image.open(own[s])), sizes.vision.image) for s in SENTENCES])
        want = np.diag(network(clip.normalise(images), ids)) / np.exp(network.logit_scale[...])
        got = [record["clip"][name]["each"][s] for s in SENTENCES]
        np.testing.assert_allclose(got, want, atol=1e-6)
        np.testing.assert_allclose(record["clip"][name]["mean"], np.mean(want), atol=1e-6)
    grey = [np.full((9, 9, 3), 90, np.uint8)] * 2
    assert len(clip_scores(network, Words(), SENTENCES, grey)) == 2 and "judge" not in record


def test_only_sentences_of_all_methods_count_and_what_is_missing_is_said(folders):
    (folders / "blue/1/metrics.json").write_text(json.dumps({"sentence": "A person kicks the ball"}))
    methods = {name: pictures_of(folders / name) for name in COLOURS}
    record = compare(methods)
    assert record["sentences"] == [SENTENCES[0]] and record["left_out"] == sorted(
        [SENTENCES[1], "A person kicks the ball"]
    )
    (folders / "blue/0/metrics.json").write_text(json.dumps({"sentence": "A person jumps"}))
    with pytest.raises(InputError, match="no sentence in common"):
        compare({name: pictures_of(folders / name) for name in COLOURS})
    (folders / "blue/1/metrics.json").write_text(json.dumps({"sentence": "A person jumps"}))
    with pytest.raises(InputError, match="two results of 'A person jumps'"):
        pictures_of(folders / "blue")
    (folders / "red/0" / module.PICTURE).unlink()
    with pytest.raises(InputError, match="has no candidates/00.png"):
        pictures_of(folders / "red")
    with pytest.raises(InputError, match="holds no result"):
        pictures_of(folders / "green")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"methods": ("out",), "llm": "x"}, "NAME=FOLDER"),
        ({"methods": ("a=x", "a=y"), "llm": "x"}, "each name once"),
        ({"methods": ("a=x",), "llm": "x"}, "two methods or more"),
        ({"methods": ("a=x",)}, "nobody compares"),
        ({"methods": ("a=x",), "clip": pathlib.Path("c")}, "both its weights"),
    ],
)
def test_settings_that_compare_nothing_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Config(**settings)
