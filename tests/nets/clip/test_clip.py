"""CLIP against `transformers` on random weights, the published key tables, and what goes in."""

import dataclasses
import functools

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.metrics import clip_score
from hoijax.nets import clip, weights
from hoijax.nets.clip.checkpoints import _entry, text_rules, vision_rules

transformers = pytest.importorskip("transformers", reason="extra [parity]")
torch = pytest.importorskip("torch", reason="extra [parity]")

END = 98


def their_config(ours, **more):
    """A tower's sizes as `transformers` says them."""
    sizes = {"hidden_size": ours.width, "intermediate_size": ours.hidden, "num_hidden_layers": ours.layers,
             "num_attention_heads": ours.heads, "hidden_act": ours.activation, "projection_dim": ours.projection,
             **more}  # fmt: skip
    if isinstance(ours, clip.TextConfig):
        return transformers.CLIPTextConfig(vocab_size=ours.vocabulary, max_position_embeddings=ours.positions, **sizes)
    return transformers.CLIPVisionConfig(image_size=ours.image, patch_size=ours.patch, **sizes)


def arrays(module):
    return {key: value.detach().numpy() for key, value in module.state_dict().items()}


@functools.cache
def pair(activation):
    """Our CLIP and theirs with the same random weights, tiny."""
    torch.manual_seed(0)
    text, vision = (config.of_size("tiny") for config in (clip.TextConfig, clip.VisionConfig))
    text, vision = (type(x)(**{**vars(x), "activation": activation}) for x in (text, vision))
    ids = {"bos_token_id": END - 1, "eos_token_id": END, "pad_token_id": 0}
    theirs = transformers.CLIPModel(
        transformers.CLIPConfig(text_config=their_config(text, **ids).to_dict(),
                                vision_config=their_config(vision).to_dict(), projection_dim=text.projection)
    ).eval()  # fmt: skip
    with torch.no_grad():
        for name, p in theirs.named_parameters():
            if p.ndim:
                p.normal_(std=0.3 if p.ndim < 2 else 1.2 / p[0].numel() ** 0.5)
            else:
                p.fill_(0.7)
            if p.ndim == 1 and name.endswith("weight"):
                p.add_(1.0)
    rules = (*text_rules(r"text\."), *vision_rules(r"vision\."))
    ours = weights.abstract(lambda rngs: clip.Model(clip.Config(text, vision), rngs))
    weights.load_state_dict(ours, arrays(theirs), rules=rules)
    return ours, theirs


def texts():
    """Three texts of different lengths, filled up behind their ends with words that must not matter."""
    ids = np.random.default_rng(0).integers(1, END - 1, (3, 9)).astype(np.int32)
    ids[:, 0] = END - 1
    for row, end in zip(ids, (8, 4, 2)):
        row[end] = END
    return ids


def compare(got, want, tolerance=2e-5):
    np.testing.assert_allclose(got, want.detach().numpy(), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_both_towers_are_those_of_transformers(run, activation):
    ours, theirs = pair(activation)
    ids, image = texts(), np.random.default_rng(1).normal(size=(2, 32, 32, 3)).astype(np.float32)
    got, likeness = run(ours.text, ids), run(ours, image, ids)
    seen = run(ours.vision, image)
    pixels = torch.tensor(image).permute(0, 3, 1, 2)
    with torch.no_grad():
        want = theirs.text_model(torch.tensor(ids, dtype=torch.long), output_hidden_states=True)
        there = theirs.vision_model(pixels, output_hidden_states=True)
        whole = theirs(input_ids=torch.tensor(ids, dtype=torch.long), pixel_values=pixels)
        compare(got.projected, theirs.text_projection(want.pooler_output))
        compare(seen.projected, theirs.visual_projection(there.pooler_output))
    compare(got.tokens, want.last_hidden_state)
    compare(got.penultimate, want.hidden_states[-2])
    compare(got.pooled, want.pooler_output)
    compare(seen.tokens, there.last_hidden_state)
    compare(seen.penultimate, there.hidden_states[-2])
    compare(seen.pooled, there.pooler_output)
    compare(likeness, whole.logits_per_image)
    assert np.ptp(likeness) > 0.1


def test_the_score_is_the_cosine_of_transformers(run):
    ours, theirs = pair("gelu")
    ids, image = texts(), np.random.default_rng(1).normal(size=(3, 32, 32, 3)).astype(np.float32)
    got = clip_score(run(ours.vision, image).projected, run(ours.text, ids).projected)
    pixels = torch.tensor(image).permute(0, 3, 1, 2)
    with torch.no_grad():
        whole = theirs(input_ids=torch.tensor(ids, dtype=torch.long), pixel_values=pixels)
        compare(got, torch.diagonal(whole.logits_per_image) / theirs.logit_scale.exp())
    np.testing.assert_allclose(clip_score(3 * got[None], got[None]), [1], rtol=1e-6)
    np.testing.assert_allclose(clip_score(np.eye(2), -np.eye(2)[::-1]), [0, 0], atol=0)


def test_what_follows_the_end_changes_neither_the_words_before_nor_the_text(run):
    ours, _ = pair("quick_gelu")
    ids = texts()
    other = np.where(np.arange(9)[None] > np.argmax(ids, axis=1)[:, None], 5, ids).astype(np.int32)
    assert (other != ids).any()
    a, b = run(ours.text, ids), run(ours.text, other)
    np.testing.assert_array_equal(a.projected, b.projected)
    np.testing.assert_array_equal(a.tokens[2, :3], b.tokens[2, :3])


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("clip_l", 427_616_513), ("clip_h", 986_109_441), ("clip_bigg", 2_539_567_105), ("clip_words_l", 123_060_480),
        ("clip_words_h", 340_387_840),
    ],
)  # fmt: skip
def test_key_tables_are_those_of_the_published_sizes(name, count):
    """`transformers`' own modules of the published sizes, without memory for their numbers."""
    facts = weights.find(name).published
    parts = {kind: config(**facts[kind]) for kind, config in (("text", clip.TextConfig), ("vision", clip.VisionConfig))
             if kind in facts}  # fmt: skip
    with torch.device("meta"):
        if len(parts) == 2:
            theirs = transformers.CLIPModel(transformers.CLIPConfig(
                projection_dim=parts["text"].projection,
                **{f"{kind}_config": their_config(part).to_dict() for kind, part in parts.items()}))  # fmt: skip
        else:
            theirs = transformers.CLIPTextModel(their_config(parts["text"]))
    want = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    if len(parts) == 1:
        want = {f"text_model.{key}": shape for key, shape in want.items()}
    table = weights.key_table(name)
    assert table == want
    assert sum(int(np.prod(shape)) for shape in table.values()) == count


def test_one_checkpoint_of_both_fills_either_tower_and_of_one_with_or_without_its_name(random_module):
    ours, theirs = pair("quick_gelu")
    state = arrays(theirs)
    for kind, config, tower in (("text", ours.text.config, ours.text), ("vision", ours.vision.config, ours.vision)):
        entry = _entry(kind, "a tower", config)
        own = (f"{kind}_model.", {"text": "text_p", "vision": "visual_p"}[kind])
        alone = {key.removeprefix(own[0]): value for key, value in state.items() if key.startswith(own)}
        for given in (state, alone):
            given, net = entry.prepare(given), weights.abstract(entry.make)
            converted = weights.convert_state_dict(net, given, ignore=entry.ignore, rules=entry.rules)
            for key, value in weights.to_flat(tower).items():
                np.testing.assert_array_equal(converted[key], value)
        short = _entry(kind, "a tower", dataclasses.replace(config, projection=None))
        weights.convert_state_dict(weights.abstract(short.make), state, ignore=short.ignore, rules=short.rules)
        lacking = {key: value for key, value in state.items() if not key.endswith("layers.1.mlp.fc2.bias")}
        with pytest.raises(InputError, match=rf"1 problems:\n  missing: {kind}_model.encoder.layers.1.mlp.fc2.bias"):
            weights.convert_state_dict(weights.abstract(entry.make), lacking, ignore=entry.ignore, rules=entry.rules)


def test_pictures_are_cropped_as_by_transformers():
    processor = transformers.CLIPImageProcessorPil() if hasattr(transformers, "CLIPImageProcessorPil") else None
    if processor is None:
        processor = transformers.CLIPImageProcessor(use_fast=False)
    rng = np.random.default_rng(0)
    for shape in ((60, 90), (300, 231), (224, 224), (501, 400)):
        image = np.repeat(np.repeat(rng.integers(0, 255, (shape[0] // 10 + 1, shape[1] // 10 + 1, 3)), 10, 0), 10, 1)
        image = image[: shape[0], : shape[1]].astype(np.uint8)
        got = clip.normalise(clip.crop(image))
        want = processor(images=image, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
        np.testing.assert_allclose(got, want, atol=1e-5)
    with pytest.raises(InputError, match=r"\(H, W, 3\) of bytes"):
        clip.crop(np.zeros((4, 4, 4), np.uint8))


class Letters:
    """A tokenizer of letters."""

    def encode(self, text):
        return [97, *(ord(c) - 96 for c in text), 98]


def test_texts_are_filled_up_and_shortened_between_their_ends():
    got = clip.token_ids(Letters(), ["ab", "abcdef"], positions=6)
    np.testing.assert_array_equal(got, [[97, 1, 2, 98, 98, 98], [97, 1, 2, 3, 4, 98]])
    np.testing.assert_array_equal(clip.token_ids(Letters(), ["ab"], positions=6, fill=0), [[97, 1, 2, 98, 0, 0]])


def test_sizes_and_inputs_that_are_not_clips():
    with pytest.raises(InputError, match="no size 'xl'; known are l, h, bigg, tiny"):
        clip.TextConfig.of_size("xl")
    ours, _ = pair("quick_gelu")
    with pytest.raises(ValueError, match="12 tokens, got 13"):
        ours.text(np.zeros((1, 13), np.int32))
    with pytest.raises(ValueError, match=r"32 x 32 pixels, got \(32, 40\)"):
        ours.vision(np.zeros((1, 32, 40, 3), np.float32))
