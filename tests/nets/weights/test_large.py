"""A checkpoint of 13 billion parameters: true names, types and shapes of LLaMA-13B in files that are mostly holes."""

import json
import struct
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets.blocks import AttentionConfig, BlockConfig, RMSNorm, TransformerBlock
from hoijax.nets.weights import Rule, convert_state_dict, open_tensors, write_tensors

WIDTH, HIDDEN, LAYERS, VOCABULARY, SHARDS = 5120, 13824, 40, 32003, 3
BF16 = np.dtype(ml_dtypes.bfloat16)
NAMES = {
    "attention.query": "self_attn.q_proj", "attention.key": "self_attn.k_proj", "attention.value": "self_attn.v_proj",
    "attention.out": "self_attn.o_proj", "perceptron.gate": "mlp.gate_proj", "perceptron.up": "mlp.up_proj",
    "perceptron.down": "mlp.down_proj", "attention_norm": "input_layernorm",
    "perceptron_norm": "post_attention_layernorm",
}  # fmt: skip
RULES = [
    *(Rule(rf"layers\.(\d+)\.{ours}\.(.*)", rf"model.layers.\1.{theirs}.\2") for ours, theirs in NAMES.items()),
    Rule(r"(embed_tokens|norm)\.(.*)", r"model.\1.\2"),
]


class LanguageModel(nnx.Module):
    """LLaMA's parameters."""

    def __init__(self, rngs):
        block = BlockConfig(
            AttentionConfig(WIDTH, heads=40, bias=False, out_bias=False, rope=1e4), hidden=HIDDEN, gated=True,
            activation="silu", norm="rms",
        )  # fmt: skip
        self.embed_tokens = nnx.Embed(VOCABULARY, WIDTH, rngs=rngs)
        self.layers = nnx.List([TransformerBlock(block, rngs) for _ in range(LAYERS)])
        self.norm = RMSNorm(WIDTH)
        self.lm_head = nnx.Linear(WIDTH, VOCABULARY, use_bias=False, rngs=rngs)


def published():
    """Spec 12 (b), written out."""
    table = {"model.embed_tokens.weight": (VOCABULARY, WIDTH), "lm_head.weight": (VOCABULARY, WIDTH),
             "model.norm.weight": (WIDTH,)}  # fmt: skip
    for i in range(LAYERS):
        start = f"model.layers.{i}"
        table |= {f"{start}.self_attn.{n}_proj.weight": (WIDTH, WIDTH) for n in "qkvo"}
        table |= {f"{start}.mlp.{n}_proj.weight": (HIDDEN, WIDTH) for n in ("gate", "up")}
        table |= {f"{start}.mlp.down_proj.weight": (WIDTH, HIDDEN)}
        table |= {f"{start}.{n}_layernorm.weight": (WIDTH,) for n in ("input", "post_attention")}
    return table


def write_sparse(path, table, rows):
    """A file whose arrays are holes but for their first row."""
    head, end = {}, 0
    for name, shape in table.items():
        size = 2 * int(np.prod(shape))
        head[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in table:
            file.seek(8 + len(text) + head[name]["data_offsets"][0])
            file.write(rows[name].tobytes())
        file.truncate(8 + len(text) + end)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The folder, and the first row of every array."""
    folder, table = tmp_path_factory.mktemp("large"), published()
    rows = {name: np.arange(shape[-1]).astype(BF16) + BF16.type(i % 7) for i, (name, shape) in enumerate(table.items())}
    index, names = {}, list(table)
    for k in range(SHARDS):
        part = {name: table[name] for name in names[k::SHARDS]}
        file = f"model-{k + 1:05}-of-{SHARDS:05}.safetensors"
        write_sparse(folder / file, part, rows)
        index |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return folder, rows


@pytest.fixture(scope="module")
def model():
    return nnx.eval_shape(lambda: LanguageModel(nnx.Rngs(0)))


def test_thirteen_billion_parameters_pass_through_the_memory_of_one_array(checkpoint, model, tmp_path):
    folder, rows = checkpoint
    stored = sum(file.stat().st_blocks * 512 for file in folder.iterdir())
    state = open_tensors(folder)
    arrays = convert_state_dict(model, state, rules=RULES, dtype="bfloat16")
    count = sum(int(np.prod(info.shape)) for info in arrays.table.values())
    assert count == 13_015_864_320 + 3 * 2 * WIDTH and stored < 100e6
    assert sum(info.size for info in arrays.table.values()) == 2 * count
    largest = max(arrays.table.values(), key=lambda info: info.size).size
    some = [name for name in arrays if name.startswith("layers.7.") and name.split(".")[-2] in ("query", "down")]
    tracemalloc.start()
    write_tensors(tmp_path / "a.safetensors", arrays.select({name: name for name in some}))
    embedding = arrays["embed_tokens.embedding"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(some) == 2 and embedding.nbytes == largest and peak < 2 * largest
    back = open_tensors(tmp_path / "a.safetensors")
    query = back["layers.7.attention.query.kernel"]
    np.testing.assert_array_equal(query[:, 0], rows["model.layers.7.self_attn.q_proj.weight"])
    assert query.shape == (WIDTH, WIDTH) and not query[:, 1:].any()
    assert back["layers.7.perceptron.down.kernel"].shape == (HIDDEN, WIDTH)
    np.testing.assert_array_equal(embedding[0], rows["model.embed_tokens.weight"])


def test_one_key_amiss_among_all_is_found_before_a_number_is_read(checkpoint, model):
    folder, _ = checkpoint
    state = open_tensors(folder, dtype=np.float32)
    short = state.select({name: name for name in state if name != "model.layers.39.mlp.up_proj.weight"})
    with pytest.raises(InputError, match=r"1 problems:\n  missing: model.layers.39.mlp.up_proj.weight"):
        convert_state_dict(model, short, rules=RULES)
