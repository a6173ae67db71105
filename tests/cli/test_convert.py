"""`hoijax convert`: a checkpoint comes out whole, and bad ones leave nothing behind."""

import json

import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from hoijax.cli import convert as cli_convert
from hoijax.cli import main
from hoijax.nets import weights as convert
from hoijax.nets.scorehoi import TransformerConfig
from hoijax.nets.scorehoi.transformers import UNUSED, ContactFormer
from hoijax.nets.weights import registry

torch = pytest.importorskip("torch", reason="extra [parity]")
save_file = pytest.importorskip("safetensors.torch", reason="extra [parity]").save_file


@pytest.fixture
def small(monkeypatch):
    """A contact predictor small enough to write in a test, under a name of its own."""
    entry = convert.Entry(
        "contact predictor",
        lambda facts, rngs: ContactFormer(TransformerConfig(features=6, token=5, depth=1), rngs),
        published={},
        ignore=UNUSED,
    )
    monkeypatch.setattr(registry, "checkpoints", lambda: {"small": entry})
    net = entry.make(nnx.Rngs(0))
    state = {
        key: torch.tensor(np.asarray(leaf[...] if axes is None else leaf[...].transpose(np.argsort(axes))))
        for key, (leaf, axes) in convert.torch_entries(net).items()
    }
    return net, state


def test_round_trip(small, tmp_path):
    net, state = small
    torch.save({"model_state_dict": {f"contactformer.{k}": v for k, v in state.items()}}, tmp_path / "a.pth")
    out = tmp_path / "a.safetensors"
    assert main(["convert", "small", str(tmp_path / "a.pth"), "--out", str(out), "--prefix", "contactformer."]) == 0
    back = convert.fill(registry.find_checkpoint("small").make, safetensors.numpy.load_file(out))
    want = nnx.to_flat_state(nnx.state(net))
    got = dict(nnx.to_flat_state(nnx.state(back)))
    for path, leaf in want:
        np.testing.assert_array_equal(got[path][...], leaf[...])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["large", "{file}", "--out", "{out}"], "no checkpoint is called 'large'; known are small"),
        (["small", "{file}.gone", "--out", "{out}"], "cannot read"),
        (["small", "{file}", "--out", "{out}.bin"], "ends in .safetensors"),
        (["small", "{file}", "--out", "{out}", "--prefix", "x."], "no parameter's name starts with 'x.'"),
        (["small", "{file}", "--out", "{out}"], "missing: fc_out_human.bias"),
    ],
)
def test_bad_input_writes_nothing(small, tmp_path, capsys, arguments, message):
    _, state = small
    del state["fc_out_human.bias"]
    torch.save(state, tmp_path / "a.pth")
    names = {"file": tmp_path / "a.pth", "out": tmp_path / "out.safetensors"}
    assert main(["convert", *(a.format(**names) for a in arguments)]) == 2
    assert message in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


def test_a_checkpoint_in_several_files_is_one(small, tmp_path, monkeypatch):
    """PyTorch's and safetensors' shards by their index, read whole and as views of the files."""
    net, state = small
    names, want = list(state), dict(nnx.to_flat_state(nnx.state(net)))
    for suffix, write in ((".bin", torch.save), (".safetensors", save_file)):
        index = {}
        for k in range(2):
            part = {name: state[name].contiguous() for name in names[k::2]}
            write(part, tmp_path / f"model-{k}{suffix}")
            index |= dict.fromkeys(part, f"model-{k}{suffix}")
        path = tmp_path / f"model{suffix}.index.json"
        path.write_text(json.dumps({"weight_map": index}))
        for limit in (1 << 30, 0):
            monkeypatch.setattr(cli_convert, "MAPPED", limit)
            out = tmp_path / "out.safetensors"
            assert main(["convert", "small", str(path), "--out", str(out), "--dtype", "bfloat16"]) == 0
            arrays = convert.open_tensors(out)
            assert {str(info.dtype) for info in arrays.table.values()} == {"bfloat16"}
            got = dict(nnx.to_flat_state(nnx.state(convert.fill(registry.find_checkpoint("small").make, arrays))))
            for key, leaf in want.items():
                np.testing.assert_allclose(got[key][...], leaf[...], rtol=2**-8)
