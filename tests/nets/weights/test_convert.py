"""The converter against PyTorch's own modules: every layout, names that differ, arrays stacked here or there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets.weights import (
    Rule,
    Tensors,
    abstract,
    convert_state_dict,
    fill,
    fused_rule,
    load_state_dict,
    published_keys,
    stacked_rule,
    state_dict_of,
    to_flat,
    write_tensors,
)
from hoijax.nets.weights.files import open_tensors, table_of


class Zoo(nnx.Module):
    """One layer of every kind."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(3, 4, rngs=rngs)
        self.conv = nnx.Conv(4, 8, (3, 3), padding=((1, 1), (1, 1)), rngs=rngs)
        self.depth = nnx.Conv(8, 8, (3, 3), padding=((1, 1), (1, 1)), feature_group_count=8, rngs=rngs)
        self.group = nnx.GroupNorm(8, num_groups=2, epsilon=1e-5, rngs=rngs)
        self.rms = nnx.RMSNorm(8, epsilon=1e-6, rngs=rngs)
        self.embed = nnx.Embed(5, 8, rngs=rngs)

    def __call__(self, x, ids):
        x = self.depth(self.conv(self.linear(x)))
        return self.rms(self.group(x)) + self.embed(ids)


def test_every_layer_answers_as_pytorchs():
    torch = pytest.importorskip("torch", reason="extra [parity]")
    torch.manual_seed(0)
    theirs = torch.nn.ModuleDict({
        "linear": torch.nn.Linear(3, 4), "conv": torch.nn.Conv2d(4, 8, 3, padding=1),
        "depth": torch.nn.Conv2d(8, 8, 3, padding=1, groups=8), "group": torch.nn.GroupNorm(2, 8),
        "rms": torch.nn.RMSNorm(8, eps=1e-6), "embed": torch.nn.Embedding(5, 8),
    })  # fmt: skip
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_()
    net = abstract(Zoo)
    load_state_dict(net, {k: v.detach().numpy() for k, v in theirs.state_dict().items()})
    x, ids = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype(np.float32), np.arange(60).reshape(2, 5, 6) % 5
    with torch.no_grad():
        y = theirs["linear"](torch.tensor(x)).permute(0, 3, 1, 2)
        y = theirs["group"](theirs["depth"](theirs["conv"](y))).permute(0, 2, 3, 1)
        want = theirs["rms"](y) + theirs["embed"](torch.tensor(ids))
    np.testing.assert_allclose(jax.jit(lambda x, i: net(x, i))(x, ids), want, atol=2e-4, rtol=1e-4)
    again = state_dict_of(net)
    assert again.keys() == theirs.state_dict().keys()
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(again[key], value)


class Apart(nnx.Module):
    """Queries wider than keys and values, apart."""

    def __init__(self, rngs):
        self.attention = nnx.Dict({
            name: nnx.Linear(6, size, rngs=rngs) for name, size in (("query", 8), ("key", 4), ("value", 4))
        })  # fmt: skip
        self.out = nnx.Linear(8, 6, rngs=rngs)


class Together(nnx.Module):
    """The same numbers as one layer."""

    def __init__(self, rngs):
        self.attention = nnx.Dict({"qkv": nnx.Linear(6, 16, rngs=rngs)})
        self.out = nnx.Linear(8, 6, rngs=rngs)


RENAME = Rule(r"out\.(weight|bias)", r"proj.0.\1")


def random_state(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"q": (8, 6), "k": (4, 6), "v": (4, 6)}
    apart = {f"attention.{n}.weight": rng.normal(size=s).astype(np.float32) for n, s in shapes.items()}
    apart |= {f"attention.{n}.bias": rng.normal(size=s[0]).astype(np.float32) for n, s in shapes.items()}
    rest = {"proj.0.weight": rng.normal(size=(6, 8)).astype(np.float32), "proj.0.bias": np.ones(6, np.float32)}
    together = {f"attention.qkv.{leaf}": np.concatenate([apart[f"attention.{n}.{leaf}"] for n in "qkv"])
                for leaf in ("weight", "bias")}  # fmt: skip
    return apart | rest, together | rest


LETTERS = [Rule(rf"(.*)\.{name}\.(weight|bias)", rf"\1.{name[0]}.\2") for name in ("query", "key", "value")]


@pytest.mark.parametrize("lazy", [False, True])
def test_fused_and_split_projections_meet_both_ways(tmp_path, lazy):
    apart, together = random_state()
    cases = (
        (Apart, apart, [*LETTERS, RENAME]),
        (Apart, together, [fused_rule("qkv"), RENAME]),
        (Together, together, [RENAME]),
        (Together, apart, [stacked_rule("qkv", parts=("q", "k", "v")), RENAME]),
    )
    x, found = np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32), []
    for make, state, rules in cases:
        if lazy:
            write_tensors(tmp_path / "a.safetensors", state)
            state = open_tensors(tmp_path / "a.safetensors")
        arrays = convert_state_dict(nnx.eval_shape(lambda make=make: make(nnx.Rngs(0))), state, rules=rules)
        net = fill(make, arrays)
        attention = net.attention
        joined = (
            attention["qkv"](x)
            if "qkv" in attention
            else jnp.concatenate([attention[n](x) for n in ("query", "key", "value")], -1)
        )
        found.append(np.asarray(net.out(joined[:, :8])).tolist() + np.asarray(joined).tolist())
        want = x @ np.concatenate([apart[f"attention.{n}.weight"] for n in "qkv"]).T
        want = want + np.concatenate([apart[f"attention.{n}.bias"] for n in "qkv"])
        np.testing.assert_allclose(joined, want, rtol=1e-5, atol=1e-5)
    assert published_keys(abstract(Apart), [fused_rule("qkv"), RENAME])["attention.qkv.weight"] == (16, 6)
    again = state_dict_of(fill(Apart, convert_state_dict(abstract(Apart), together, rules=[fused_rule("qkv"), RENAME])),
                          [fused_rule("qkv"), RENAME])  # fmt: skip
    for key, value in together.items():
        np.testing.assert_array_equal(again[key], value)
    with pytest.raises(ValueError, match="unknown sizes"):
        state_dict_of(abstract(Together), [stacked_rule("qkv", parts=("q", "k", "v"))])


def test_every_problem_of_stacked_arrays_is_named_before_anything_is_read():
    apart, together = random_state()
    bad = dict(together) | {"attention.qkv.weight": np.zeros((15, 6), np.float32), "stray": np.zeros(2)}
    del bad["attention.qkv.bias"]
    touched = []
    lazy = Tensors(table_of(bad), lambda name: touched.append(name) or bad[name])
    with pytest.raises(InputError) as error:
        convert_state_dict(abstract(Apart), lazy, rules=[fused_rule("qkv"), RENAME])
    message = str(error.value)
    assert "3 problems" in message and not touched
    assert "missing: attention.qkv.bias" in message and "unexpected: stray (2,)" in message
    assert "shape: attention.qkv.weight is (15, 6), wanted (16, 6)" in message
    bad = dict(apart) | {"attention.k.weight": np.zeros((5, 6), np.float32)}
    with pytest.raises(InputError, match=r"attention.q.weight and attention.k.weight and .* is .*wanted \(16, 6\)"):
        convert_state_dict(abstract(Together), bad, rules=[stacked_rule("qkv", parts=("q", "k", "v")), RENAME])


def test_a_type_is_chosen_for_the_file_and_for_the_network():
    apart, _ = random_state()
    arrays = convert_state_dict(abstract(Apart), apart, rules=[*LETTERS, RENAME], dtype="bfloat16")
    assert {info.dtype for info in arrays.table.values()} == {np.dtype("bfloat16")}
    back = fill(Apart, arrays)
    assert {a.dtype for a in to_flat(back).values()} == {np.dtype(np.float32)}
    want = np.asarray(apart["proj.0.weight"].T.astype("bfloat16"), np.float32)
    np.testing.assert_array_equal(back.out.kernel[...], want)
    half = fill(Apart, arrays, dtype="bfloat16")
    assert half.out.kernel.dtype == jnp.bfloat16


def test_arrays_go_where_they_are_sent():
    apart, _ = random_state()
    arrays = convert_state_dict(abstract(Apart), apart, rules=[*LETTERS, RENAME])
    mesh = jax.make_mesh((1,), ("model",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("model"))
    seen = []
    net = fill(Apart, arrays, place=lambda name, a: seen.append(name) or jax.device_put(a, sharding))
    assert sorted(seen) == sorted(to_flat(net)) and net.out.kernel[...].sharding == sharding


def test_wrong_arrays_are_named():
    whole = to_flat(fill(Apart, convert_state_dict(abstract(Apart), random_state()[0], rules=[*LETTERS, RENAME])))
    turned = whole | {"out.kernel": whole["out.kernel"].T}
    with pytest.raises(InputError, match="here is not of this network: 1 arrays .* such as out.kernel"):
        fill(Apart, turned, where="here")
    other = {name: array for name, array in turned.items() if name != "out.bias"} | {"other": np.zeros(1)}
    with pytest.raises(
        InputError, match="here is not of this network: 3 arrays .* such as other, out.bias, out.kernel"
    ):
        fill(Apart, other, where="here")
