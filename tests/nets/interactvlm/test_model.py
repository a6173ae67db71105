"""The whole: LLaVA against `transformers`, what is read and what is written, views and their masks, checkpoints."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.cli import convert as cli
from hoijax.errors import InputError
from hoijax.nets import clip, interactvlm, sam, weights
from hoijax.nets.interactvlm import HUMAN, IGNORED, IMAGE, OBJECT, Config, Model, Prompts, VisionLanguage
from hoijax.nets.interactvlm.checkpoints import describe, merge_products

SMALL = sam.Config(128, 16, 32, 2, 4, 64, 3, (1,), channels=32, mask_channels=8, decoder_hidden=64, masks=2)
TINY = dataclasses.replace(Config.of_size("tiny"), segmenter=SMALL)
PATCHES, STOP = 16, 2


def prompts(seed, *, answer=None):
    """Two questions of different lengths, with the image at different places; the answer behind them."""
    rng = np.random.default_rng(seed)
    ids, lengths = rng.integers(3, 60, (2, 14)).astype(np.int32), np.array([6, 4], np.int32)
    ids[0, 2] = ids[1, 1] = IMAGE
    labels = np.full(ids.shape, IGNORED, np.int32)
    for b, words in enumerate(answer or []):
        n = lengths[b]
        ids[b, n : n + len(words)] = labels[b, n : n + len(words)] = words
        lengths[b] += len(words)
    return Prompts(ids, lengths, labels)


def picture(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def model(random_module):
    return random_module(lambda rngs: Model(TINY, rngs))


@functools.cache
def program(name):
    """A method of the model, compiled once for each shape."""
    return jax.jit(lambda graph, state, args, named: getattr(nnx.merge(graph, state), name)(*args, **named),
                   static_argnums=0, compiler_options={"xla_backend_optimization_level": 0})  # fmt: skip


def call(net, name, *args, **named):
    graph, state = nnx.split(net)
    return jax.tree.map(np.asarray, program(name)(graph, state, args, named))


def test_llava_is_that_of_transformers(run):
    """Both projectors' checkpoints in `llava-hf`'s layout: through the converter, then one pass over a prompt."""
    transformers = pytest.importorskip("transformers", reason="extra [parity]")
    torch = pytest.importorskip("torch", reason="extra [parity]")
    torch.manual_seed(0)
    said = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=3,
                                                    num_attention_heads=4, image_size=32, patch_size=8),
        text_config=transformers.LlamaConfig(vocab_size=67, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                                             num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-5),
        image_token_index=66, vision_feature_layer=-2, vision_feature_select_strategy="default",
    )  # fmt: skip
    theirs = transformers.LlavaForConditionalGeneration(said).eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.normal_(mean=float(p.ndim < 2), std=0.1 if p.ndim < 2 else p[0].numel() ** -0.5)
    state = {key: value.detach().numpy() for key, value in theirs.state_dict().items()}
    arrays = weights.convert_published("llava", state, config=json.loads(said.to_json_string()))
    config = Config.of_facts(arrays.facts())
    assert (config.projector, config.image_width, config.vision) == ("perceptron", 32, None)
    ours = weights.fill(lambda rngs: VisionLanguage(config, rngs), arrays)
    tower = {key.split("vision_tower.")[1]: value for key, value in state.items() if "vision_tower" in key}
    vision = weights.abstract(lambda rngs: clip.VisionTower(dataclasses.replace(clip.VisionConfig.of_size("tiny"),
                                                                                projection=None), rngs))  # fmt: skip
    entry = weights.find("clip_vision_l")
    weights.load_state_dict(vision, entry.prepare(tower), rules=entry.rules)
    ours.vision = nnx.data(vision)
    ask, image = prompts(0), picture(1, 2, 32, 32, 3)
    states, labels, _ = call(ours, "read", call(ours, "see", image), ask)
    assert states.shape == (2, 14 + PATCHES - 1, 32) and (labels == IGNORED).all()
    got = call(ours.language, "logits", states)
    for b in range(2):
        n = ask.lengths[b]
        ids = np.concatenate([[66] * PATCHES if i == IMAGE else [i] for i in ask.ids[b, :n]])
        with torch.no_grad():
            want = theirs(input_ids=torch.tensor(ids, dtype=torch.long)[None],
                          pixel_values=torch.tensor(image[b : b + 1]).permute(0, 3, 1, 2)).logits[0]  # fmt: skip
        np.testing.assert_allclose(got[b, : n + PATCHES - 1], want, atol=1e-4)
    assert np.std(got) > 0.1


def test_what_is_written_is_read_off_the_same_states(model):
    """Greedy answers, contact tokens brought among them; read again with those answers, the states are the same."""
    net = nnx.merge(*nnx.split(model))
    patches = call(net, "see", picture(2, 2, 32, 32, 3))
    before, _ = program("write_ten")(*nnx.split(net), (patches, prompts(0)), {})
    kernel = np.array(net.language.lm_head.kernel[...])
    kernel[:, 61], kernel[:, 62] = (0.2 * np.asarray(before.states[b, 3 - b]) for b in range(2))
    net.language.lm_head.kernel[...] = jnp.asarray(kernel)  # says so when it is where it was
    written, contact = program("write_ten")(*nnx.split(net), (patches, prompts(0)), {})
    assert contact.found.any()
    answers = [np.asarray(ids[: min(int(n), 8)]) for ids, n in zip(written.ids, written.count)]
    _, labels, read = call(net, "read", patches, prompts(0, answer=answers))
    for b, words in enumerate(answers):
        places = [i for i, word in enumerate(words) if word in TINY.tokens]
        assert bool(read.found[b]) == bool(places)
        assert list(labels[b][labels[b] != IGNORED]) == list(words)
        if places:
            np.testing.assert_allclose(read.state[b], written.states[b, places[0]], atol=1e-4)
            np.testing.assert_allclose(read.state[b], contact.state[b], atol=1e-4)
            assert read.kind[b] == contact.kind[b] == {60: 0, 61: HUMAN, 62: OBJECT}[int(words[places[0]])]


def _write_ten(self, patches, ask):
    return self.write(patches, ask, stop=STOP, steps=10)


@pytest.fixture(autouse=True)
def with_ten_steps(monkeypatch):
    """`write` with its static numbers, as a method that `program` finds."""
    monkeypatch.setattr(VisionLanguage, "write_ten", _write_ten, raising=False)


def test_a_view_is_decoded_with_the_tokens_of_all_views_and_kinds_choose(model, random_module):
    rng = np.random.default_rng(0)
    state, cameras = picture(0, 3, 32), rng.uniform(size=(3, 4, 5)).astype(np.float32)
    embedding, kind = picture(1, 3, 4, 8, 8, 32), np.array([0, HUMAN, OBJECT])
    tokens = call(model, "lift_token", state, cameras, kind)
    got = call(model, "decode", tokens, embedding, kind)
    assert got.shape == (3, 4, 32, 32)
    token = call(model, "text_hidden_fcs", state)
    plain = call(model, "cam_pose_encoder", token, cameras)
    human, object_ = call(model, "attention_splitter", plain)
    np.testing.assert_allclose(tokens, np.stack([plain[0], human[1], object_[2]]), atol=1e-6)
    first, second = model.text_hidden_fcs.first, model.text_hidden_fcs.second
    hidden = np.maximum(state @ np.asarray(first.kernel[...]) + np.asarray(first.bias[...]), 0)
    np.testing.assert_allclose(token, hidden @ np.asarray(second.kernel[...]) + np.asarray(second.bias[...]), atol=1e-4)
    encoder, shared = model.segmenter.prompt_encoder, model.segmenter.mask_decoder
    for b in range(3):
        np.testing.assert_array_equal(got[b], call(model, "decode", tokens, embedding)[b])
    model = nnx.merge(*nnx.split(model))
    for seed, name in ((1, "human_mask_decoder"), (2, "object_mask_decoder")):
        setattr(model, name, nnx.data(random_module(lambda rngs: sam.MaskDecoder(SMALL, rngs), seed)))
    got = call(model, "decode", tokens, embedding, kind)
    for b, decoder in enumerate((shared, model.human_mask_decoder, model.object_mask_decoder)):
        for view in (0, 3):
            alone = decoder(embedding[b, view][None], encoder.grid(), tokens[b][None], encoder.no_mask())
            np.testing.assert_allclose(got[b, view], alone.logits[0, 0], atol=1e-4)
    together = call(model, "localise", interactvlm.Contact(state, np.ones(3, bool), kind), cameras, embedding)
    np.testing.assert_allclose(together, got, atol=1e-5)


def test_one_call_is_all_that_training_needs(model):
    """Against its parts, and with gradients in everything that is trained and in nothing else."""
    image, ask = picture(3, 2, 32, 32, 3), prompts(1, answer=[[7, 61, 2], [62, 2]])
    cameras = np.random.default_rng(0).uniform(size=(2, 4, 5)).astype(np.float32)
    views = np.random.default_rng(1).uniform(size=(4, 128, 128, 3)).astype(np.float32)
    embedding = call(model, "embed_views", views)
    normal = (255.0 * views - np.float32([123.675, 116.28, 103.53])) / np.float32([58.395, 57.12, 57.375])
    np.testing.assert_allclose(embedding, call(model.segmenter, "image_encoder", normal), atol=1e-4)
    embedding = np.stack([embedding] * 2)
    net = nnx.merge(*nnx.split(model))
    interactvlm.adapt(net, nnx.Rngs(0), dropout=0.0)
    graph, trained, rest = nnx.split(net, interactvlm.is_trained, ...)

    def loss(trained, rest):
        net = nnx.merge(graph, trained, rest)
        logits, states, labels = net(image, ask, cameras, embedding, remat=True)
        return interactvlm.next_token_loss(net.language.logits(states), labels) + jnp.mean(logits**2), (logits, states)

    program_ = jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options={"xla_backend_optimization_level": 0})
    (_, (logits, states)), gradient = program_(trained, rest)
    want, _, contact = call(model, "read", call(model, "see", image), ask)
    np.testing.assert_allclose(states, want, atol=1e-5)
    np.testing.assert_allclose(logits, call(model, "localise", contact, cameras, embedding), atol=1e-4)
    names = {".".join(map(str, path)): np.abs(leaf[...]).max() for path, leaf in nnx.to_flat_state(gradient)}
    still = {name for name, size in names.items() if size == 0}
    # Products start at zero; masks but the first and what guesses their quality have no part in the loss.
    may = ("lora_A", "iou_prediction_head", "hypernetworks_mlps.1", "bias")
    assert all(any(part in name for part in may) for name in still), still
    assert {name.split(".")[0] for name in names} == {"language", "text_hidden_fcs", "segmenter", "cam_pose_encoder",
                                                      "attention_splitter"}  # fmt: skip
    never = ("image_encoder", "prompt_encoder", "language.layers.block.perceptron", "norm.weight")
    assert not any(part in name for name in names for part in never)
    assert names["language.layers.block.attention.query.lora_B"] > 0


def test_probabilities_are_of_the_pixels_that_show_the_surface():
    logits = np.array([[[4.0, -4.0], [0.0, 0.0]]], np.float32)
    valid = np.ones((1, 4, 4), bool)
    valid[0, 0, 0] = False
    got = interactvlm.probabilities(logits.astype(jnp.bfloat16), valid)
    assert got.dtype == np.float32 and got[0, 0, 0] == 0.0
    np.testing.assert_allclose(got[0, 0, 1:], jax.nn.sigmoid(np.float32([2.0, -2.0, -4.0])), atol=1e-5)
    np.testing.assert_allclose(got[0, 3], 0.5, atol=1e-6)


def published_table():
    """Spec 12 (b) and (d), written out for 13 B; SAM's part is held by its own test."""
    w, hidden = 5120, 13824
    table = {"model.embed_tokens.weight": (32003, w), "lm_head.weight": (32003, w), "model.norm.weight": (w,),
             "model.mm_projector.weight": (w, 1024), "model.mm_projector.bias": (w,),
             "model.text_hidden_fcs.0.0.weight": (w, w), "model.text_hidden_fcs.0.0.bias": (w,),
             "model.text_hidden_fcs.0.2.weight": (256, w), "model.text_hidden_fcs.0.2.bias": (256,),
             "cam_pose_encoder.spatial_encoder.0.weight": (128, 5), "cam_pose_encoder.spatial_encoder.0.bias": (128,),
             "cam_pose_encoder.spatial_encoder.2.weight": (128, 128),
             "cam_pose_encoder.spatial_encoder.2.bias": (128,)}  # fmt: skip
    for i in range(40):
        start = f"model.layers.{i}"
        table |= {f"{start}.self_attn.{n}_proj.weight": (w, w) for n in "qkvo"}
        table |= {f"{start}.mlp.{n}_proj.weight": (hidden, w) for n in ("gate", "up")}
        table |= {f"{start}.mlp.down_proj.weight": (w, hidden)}
        table |= {f"{start}.{n}_layernorm.weight": (w,) for n in ("input", "post_attention")}
    for v in range(4):
        table |= {f"cam_pose_encoder.view_transforms.{v}.weight": (256, 128),
                  f"cam_pose_encoder.view_transforms.{v}.bias": (256,)}  # fmt: skip
    return table


@pytest.mark.slow
def test_the_published_network_has_the_published_keys_and_counts():
    table = weights.key_table("interactvlm")
    start = "model.visual_model."
    segmenter = {key.removeprefix(start): shape for key, shape in table.items() if key.startswith(start)}
    assert {key: shape for key, shape in table.items() if not key.startswith(start)} == published_table()
    assert segmenter == weights.key_table("sam_h")
    assert Config.of_facts(describe(table, None)) == dataclasses.replace(Config(), vision=None)

    def adapted():
        net = Model(dataclasses.replace(Config(), vision=None), nnx.Rngs(0))
        interactvlm.adapt(net, nnx.Rngs(1))
        return net

    trained = nnx.to_flat_state(nnx.state(nnx.eval_shape(adapted), interactvlm.is_trained))
    counts = {}
    for path, leaf in trained:
        name = "lora" if str(path[-1]).startswith("lora") else ".".join(map(str, path[:2]))
        counts[name] = counts.get(name, 0) + leaf.size
    assert counts["lora"] == 6_553_600  # a LISA log says the same
    assert counts["text_hidden_fcs.first"] + counts["text_hidden_fcs.second"] == 27_530_496
    assert counts["segmenter.mask_decoder"] == 4_058_340
    assert counts["language.lm_head"] == counts["language.embed_tokens"] == 32003 * 5120
    assert sum(n for name, n in counts.items() if name.startswith("cam_pose")) == 149_376


def checkpoint(net):
    """A network as its authors would publish it."""
    entry = weights.find("interactvlm")
    bare = nnx.merge(*nnx.split(net))
    bare.vision = None
    return weights.state_dict_of(bare, entry.rules)


SAID = {"vocab_size": 65, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "head_dim": None, "seg_token_idx": 60, "hseg_token_idx": 61,
        "oseg_token_idx": 62}  # fmt: skip


def test_checkpoints_merged_or_with_products_beside_come_back_whole(model, tmp_path):
    """A training state in two files with an index, through the command, and its image tower from another file."""
    state = checkpoint(model)
    rng, want = np.random.default_rng(0), dict(state)
    for layer in ("model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj"):
        rows, columns = state[f"{layer}.weight"].shape
        a, b = (rng.normal(size=s).astype(np.float32) for s in ((8, columns), (rows, 8)))
        state[f"{layer}.lora_A.default.weight"], state[f"{layer}.lora_B.default.weight"] = a, b
        want[f"{layer}.weight"] = state[f"{layer}.weight"] + 2.0 * b @ a
    state = {f"base_model.model.{key}": value for key, value in state.items()}
    state["base_model.model.model.vision_tower.vision_tower.vision_model.post_layernorm.bias"] = np.zeros(3, np.float32)
    folder = tmp_path / "published"
    folder.mkdir()
    names, index = sorted(state), {}
    for i in range(2):
        file = f"model-{i + 1}-of-2.safetensors"
        weights.write_tensors(folder / file, {name: state[name] for name in names[i::2]})
        index |= dict.fromkeys(names[i::2], file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (folder / "config.json").write_text(json.dumps(SAID))
    assert cli.run(cli.Options("interactvlm", folder, tmp_path / "net.safetensors")) == 0
    tower = dataclasses.replace(TINY.vision, projection=None)
    weights.save_network(tmp_path / "clip.safetensors", model.vision, {"vision": dataclasses.asdict(tower)})
    loaded = interactvlm.load(tmp_path / "net.safetensors", tmp_path / "clip.safetensors")
    assert dataclasses.replace(loaded.config, vision=TINY.vision) == TINY
    assert loaded.config.vision == tower
    for key, value in checkpoint(loaded).items():
        np.testing.assert_allclose(value, want[key], atol=1e-5, err_msg=key)
    image = picture(5, 1, 32, 32, 3)
    np.testing.assert_array_equal(call(loaded, "see", image), call(model, "see", image))
    bare = interactvlm.load(tmp_path / "net.safetensors")
    with pytest.raises(InputError, match="without its image tower"):
        bare.see(image)
    with pytest.raises(InputError, match="holds no image tower"):
        interactvlm.load(tmp_path / "net.safetensors", tmp_path / "net.safetensors")
    with pytest.raises(InputError, match="holds no InteractVLM"):
        interactvlm.load(tmp_path / "clip.safetensors")
    (folder / "model-2-of-2.safetensors").unlink()
    with pytest.raises(InputError, match="model-2-of-2"):
        cli.run(cli.Options("interactvlm", folder, tmp_path / "net.safetensors"))


def test_checkpoints_that_do_not_fit_are_refused(model):
    state = checkpoint(model)

    def refused(text, change, said=SAID):
        with pytest.raises(InputError, match=text):
            weights.convert_published("interactvlm", change, config=said)

    refused("outside the vocabulary", state, {**SAID, "seg_token_idx": 32000})
    key = "model.visual_model.mask_decoder.iou_token.weight"
    change = {k: v for k, v in state.items() if k != key} | {"model.more": np.zeros(2, np.float32)}
    refused(rf"2 problems:\n  missing: {key}\n  unexpected: model.more", change)
    refused("lacks model.mm_projector", {k: v for k, v in state.items() if "mm_projector" not in k})
    refused("lacks model.text_hidden_fcs", {k: v for k, v in state.items() if "text_hidden" not in k})
    half = {"model.layers.0.self_attn.q_proj.lora_A.default.weight": np.zeros((8, 32), np.float32)}
    refused("product of model.layers.0.self_attn.q_proj is not whole: lora_B", state | half)
    other = half | {"model.layers.0.self_attn.q_proj.lora_B.default.weight": np.zeros((31, 8), np.float32)}
    refused(r"is of \(31, 8\) and \(8, 32\), its matrix of \(32, 32\)", state | other)


def test_products_count_as_in_the_released_training():
    table = {"x.weight": np.ones((2, 3), np.float16), "x.lora_A.weight": np.full((4, 3), 0.5, np.float32),
             "x.lora_B.weight": np.full((2, 4), 0.25, np.float32)}  # fmt: skip
    got = merge_products(weights.renamed(table, {key: key for key in table}))
    assert set(got) == {"x.weight"} and got["x.weight"].dtype == np.float16
    np.testing.assert_allclose(got["x.weight"], 1 + 16 / 4 * 4 * 0.5 * 0.25)


@pytest.mark.parametrize("gate", ["simple", "view_index"])
def test_other_kinds_of_networks_are_described_by_their_arrays(gate):
    """One contact token, other gates, both projectors: nothing but shapes says so."""
    projector = {"simple": "linear", "view_index": "perceptron"}[gate]
    apart = {"human": 6, "object": 6, "apart": True} if gate == "view_index" else {"human": None, "object": None}
    config = dataclasses.replace(TINY, vision=None, contact=5, gate=gate, projector=projector, **apart)
    empty = nnx.eval_shape(lambda: Model(config, nnx.Rngs(0)))
    shapes = weights.published_keys(empty, weights.find("interactvlm").rules)
    said = {**SAID, "seg_token_idx": 5, "iseg_token_idx": 6}
    del said["hseg_token_idx"], said["oseg_token_idx"]
    got = Config.of_facts(describe(shapes, said))
    assert dataclasses.replace(got, language=config.language) == config
