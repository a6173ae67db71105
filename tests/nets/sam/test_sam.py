"""SAM against what the authors' modules answered, against `transformers`, and the published key tables."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets import sam, weights
from hoijax.nets.sam.checkpoints import RULES, prepare
from hoijax.nets.sam.encoder import RelativeAttention, join_windows, split_windows

SMALL = sam.Config(128, 16, 64, 4, 4, 256, 5, (3,), rows=2)


def last(x):
    """Channels last."""
    return np.ascontiguousarray(np.moveaxis(x, -3, -1))


def of_part(build, state):
    net = weights.abstract(build)
    weights.load_state_dict(net, state, rules=RULES)
    return net


@pytest.mark.parametrize("rows", [0, 2, 3])
def test_image_encoder_is_the_authors(run, golden, rows):
    data, state = golden("sam_image_encoder_small")
    config = sam.Config(**{**vars(SMALL), "rows": rows})
    net = of_part(lambda rngs: sam.ImageEncoder(config, rngs), state)
    np.testing.assert_allclose(run(net, last(data["image"])), last(data["embedding"]), atol=1e-4)


def test_prompt_encoder_is_the_authors(golden):
    data, state = golden("sam_prompt_encoder")
    net = of_part(lambda rngs: sam.PromptEncoder(SMALL, rngs), state)
    want = data["image_pe"][0]  # (C, S, S), or in its short form every eighth channel
    np.testing.assert_allclose(np.moveaxis(net.grid(), -1, 0)[:: 256 // len(want)], want, atol=1e-5)
    np.testing.assert_allclose(net.no_mask()[0, 0], data["no_mask"][0, :, 0, 0], atol=1e-6)
    assert net.no_mask().shape == net.grid().shape == (8, 8, 256)


def test_mask_decoder_shows_every_view_all_tokens(run, golden):
    """The authors' decoder took one prompt of four tokens and four images."""
    data, state = golden("interactvlm_mvloc_decoder")
    net = of_part(lambda rngs: sam.MaskDecoder(SMALL, rngs), state)
    embedding, places, dense = (last(data[name]) for name in ("image_embeddings", "image_pe", "dense_prompt"))
    views = len(embedding)
    prompt = np.broadcast_to(data["sparse_prompt"], (views, 4, 256))
    got = run(net, embedding, places[0], prompt, dense[0])
    np.testing.assert_allclose(got.logits[:, :1], data["masks"], atol=1e-4)
    np.testing.assert_allclose(got.quality[:, :1], data["iou"], atol=1e-4)
    alone = run(net, embedding, places[0], np.swapaxes(data["sparse_prompt"], 0, 1)[:views], dense[0])
    assert np.abs(alone.logits[:, :1] - data["masks"]).max() > 0.01


@functools.cache
def pair():
    """Ours and that of `transformers` with the same random weights."""
    transformers = pytest.importorskip("transformers", reason="extra [parity]")
    torch = pytest.importorskip("torch", reason="extra [parity]")
    torch.manual_seed(0)
    config = transformers.SamConfig(
        vision_config={"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "image_size": 128,
                       "window_size": 3, "global_attn_indexes": [1], "mlp_dim": 96},
        prompt_encoder_config={"image_size": 128}, mask_decoder_config={"layer_norm_eps": 1e-5},
    )  # fmt: skip
    theirs = transformers.SamModel(config).eval()
    with torch.no_grad():
        for name, p in theirs.named_parameters():
            if "layer_norm" in name:
                p.normal_(mean=float(name.endswith("weight")), std=0.1)
            else:
                p.normal_(std=0.2 if p.ndim < 2 or "pos" in name else p[0].numel() ** -0.5)
    ours = weights.abstract(lambda rngs: sam.Model(sam.Config(128, 16, 64, 4, 4, 96, 3, (1,), rows=4), rngs))
    state = prepare({key: value.detach().numpy() for key, value in theirs.state_dict().items()})
    weights.load_state_dict(ours, state, rules=RULES)
    return torch, ours, theirs


@pytest.fixture(scope="module")
def seen():
    torch, _, theirs = pair()
    image = np.random.default_rng(0).normal(size=(2, 128, 128, 3)).astype(np.float32)
    with torch.no_grad():
        return image, theirs.vision_encoder(torch.tensor(image).permute(0, 3, 1, 2)).last_hidden_state


def test_image_encoder_is_that_of_transformers(run, seen):
    _, ours, _ = pair()
    image, want = seen
    np.testing.assert_allclose(run(ours.image_encoder, image), last(want.numpy()), atol=1e-4)


@pytest.mark.parametrize("kind", ["points", "boxes", "both", "mask"])
def test_masks_of_every_kind_of_prompt_are_those_of_transformers(run, seen, kind):
    torch, ours, theirs = pair()
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 127, (2, 3, 2)).astype(np.float32)
    labels = np.array([[1, 0, 1], [0, 1, 1]], np.int32)
    boxes = np.array([[10, 20, 90, 100], [5, 5, 60, 120]], np.float32)
    masks = rng.normal(size=(2, 32, 32, 1)).astype(np.float32)
    ask = {"points": kind != "boxes", "boxes": kind in ("boxes", "both")}
    given = {"points": points, "labels": labels} if ask["points"] else {}
    there = (
        {"input_points": torch.tensor(points)[:, None], "input_labels": torch.tensor(labels)[:, None]} if given else {}
    )
    if ask["boxes"]:
        given["boxes"], there["input_boxes"] = boxes, torch.tensor(boxes)[:, None]
    if kind == "mask":
        given["masks"], there["input_masks"] = masks, torch.tensor(masks).permute(0, 3, 1, 2)
    with torch.no_grad():
        want = theirs(image_embeddings=seen[1], multimask_output=True, **there)
        first = theirs(image_embeddings=seen[1], multimask_output=False, **there)
    got = run(ours, last(seen[1].numpy()), **given)
    np.testing.assert_allclose(got.logits[:, 1:], want.pred_masks[:, 0], atol=1e-4)
    np.testing.assert_allclose(got.quality[:, 1:], want.iou_scores[:, 0], atol=1e-4)
    np.testing.assert_allclose(got.logits[:, :1], first.pred_masks[:, 0], atol=1e-4)
    assert np.std(got.logits) > 0.1


@pytest.mark.parametrize(
    ("size", "count"),
    [("b", 93_735_472), pytest.param("l", 312_342_832, marks=pytest.mark.slow),
     pytest.param("h", 641_090_608, marks=pytest.mark.slow)],
)  # fmt: skip
def test_key_tables_are_those_of_the_published_sizes(size, count):
    """`transformers`' module of that size, without memory for its numbers, under the published names."""
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    ours = sam.Config.of_size(size)
    vision = {"hidden_size": ours.width, "num_hidden_layers": ours.layers, "num_attention_heads": ours.heads,
              "global_attn_indexes": list(ours.everywhere), "mlp_dim": ours.hidden}  # fmt: skip
    with torch.device("meta"):
        theirs = transformers.SamModel(transformers.SamConfig(vision_config=vision))
    shapes = {key: np.broadcast_to(np.float32(0), tuple(value.shape)) for key, value in theirs.state_dict().items()}
    want = {key: info.shape for key, info in prepare(shapes).table.items()}
    table = weights.key_table(f"sam_{size}")
    assert table == want
    matrix = 2 * 128  # no parameter in the published count
    assert sum(int(np.prod(shape)) for shape in table.values()) - matrix == count
    last_block = f"image_encoder.blocks.{ours.layers - 1}.attn"
    assert table[f"{last_block}.rel_pos_h"] == (127, ours.width // ours.heads)  # spec 12 (a)
    assert table["image_encoder.blocks.0.attn.rel_pos_w"] == (27, ours.width // ours.heads)
    assert table["mask_decoder.output_upscaling.0.weight"] == (256, 64, 2, 2)


def test_windows_come_back_and_are_filled_up_below_and_to_the_right():
    x = np.random.default_rng(0).normal(size=(2, 7, 7, 3)).astype(np.float32)
    windows = np.asarray(split_windows(x, 3))
    assert windows.shape == (18, 3, 3, 3)
    np.testing.assert_array_equal(windows[1], x[0, :3, 3:6])
    np.testing.assert_array_equal(windows[2, :, 1:], 0.0)
    np.testing.assert_array_equal(windows[8, 0, 0], x[0, 6, 6])
    np.testing.assert_array_equal(join_windows(jnp.asarray(windows), 7, 2), x)


def test_answering_by_rows_needs_a_share_of_the_memory():
    """Peak memory that the compiler plans for one image: products of all cells with all at once, or of some rows."""
    used = {}
    for rows in (0, 4):
        config = sam.Config(image=512, width=32, heads=2, hidden=64, rows=rows)
        graph, state = nnx.split(nnx.eval_shape(lambda c=config: RelativeAttention(c, 32, c.rows, nnx.Rngs(0))))
        given = jax.ShapeDtypeStruct((1, 32, 32, 32), jnp.float32)
        compiled = jax.jit(lambda s, x, g=graph: nnx.merge(g, s)(x)).lower(state, given).compile()
        used[rows] = compiled.memory_analysis().temp_size_in_bytes
    assert used[4] < used[0] / 4
    assert used[0] >= 2 * 1024 * 1024 * 4


def test_pictures_and_masks_change_size_as_in_pytorch():
    torch = pytest.importorskip("torch", reason="extra [parity]")
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (30, 45, 3)).astype(np.uint8)
    got = sam.prepare_image(image, 90)
    assert sam.resized(30, 45, 90) == (60, 90)
    assert (got[60:] == 0).all() and np.abs(got[59]).max() > 0.1
    same = sam.prepare_image(image[:30, :30], 30)
    np.testing.assert_allclose(same, sam.normalise(image[:, :30].astype(np.float32)), atol=1e-5)
    logits = rng.normal(size=(2, 16, 16)).astype(np.float32)

    def torchs(x, size):
        return torch.nn.functional.interpolate(torch.tensor(x)[None], size, mode="bilinear", align_corners=False)[0]

    np.testing.assert_allclose(sam.enlarge(logits, 64, 64), torchs(logits, (64, 64)), atol=1e-5)
    assert sam.enlarge(logits.astype(jnp.bfloat16), 64, 64).dtype == np.float32
    want = torchs(torchs(logits, (64, 64))[:, :43, :].numpy(), (30, 45))
    np.testing.assert_allclose(sam.restore(logits, 30, 45, side=64), want, atol=1e-5)


def test_what_is_not_sams():
    with pytest.raises(InputError, match="no size 'x'; known are b, l, h, tiny"):
        sam.Config.of_size("x")
    with pytest.raises(InputError, match=r"pictures \(H, W, 3\) of bytes, got uint8\(4, 4\)"):
        sam.prepare_image(np.zeros((4, 4), np.uint8))
    _, net, _ = pair()
    with pytest.raises(ValueError, match=r"128 x 128 pixels, got \(64, 128\)"):
        net.image_encoder(np.zeros((1, 64, 128, 3), np.float32))
    with pytest.raises(ValueError, match="boxes, or points with labels"):
        net(np.zeros((1, 8, 8, 256), np.float32), points=np.zeros((1, 1, 2), np.float32))
