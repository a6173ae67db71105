"""The registry: what is shipped is what it says, what it builds is what files hold, and the page shows all of it."""

import pathlib

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.io import file_digest
from hoijax.nets import weights
from hoijax.nets.weights import registry
from hoijax.nets.weights.files import open_tensors, write_tensors

SHIPPED = sorted(name for name, entry in weights.entries().items() if entry.shipped)
PAGE = pathlib.Path(__file__).parents[3] / "docs" / "weights.md"


def test_known_networks_are_shipped():
    assert {"scorehoi_regressor", "scorehoi_denoiser", "scorehoi_prior", "graft"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_are_those_of_the_registry_and_every_array_arrives(name):
    entry = weights.find(name)
    assert file_digest(entry.path) == entry.sha256
    if entry.build is None:
        assert len(open_tensors(entry.path)) > 90
        with pytest.raises(InputError, match="is no module"):
            weights.load(name)
        return
    network, facts = weights.load(name)
    assert facts == open_tensors(entry.path).facts()
    flat, stored = weights.to_flat(network), open_tensors(entry.path)
    assert flat.keys() == stored.keys()
    for key, array in flat.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, stored[key].astype(np.float32))


def test_the_page_has_the_registry():
    assert registry.markdown() in PAGE.read_text()


def test_wrong_names_and_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"no weights are called 'nothing'; known are .*graft"):
        weights.find("nothing")
    with pytest.raises(InputError, match="no weights of pointnext_s come with hoijax"):
        weights.load("pointnext_s")
    with pytest.raises(InputError, match="no checkpoint is called 'graft'"):
        weights.convert_published("graft", {})
    with pytest.raises(InputError, match="do not say how to build the GRAFT's network"):
        weights.load("graft", weights.shipped_file("scorehoi_prior"))


@pytest.mark.parametrize(
    "facts",
    ['{"config": 3}', '{"config": {"width": "wide"}}', '{"config": {"nonsense": 1}}', '{"config": {"heads": 3}}', "{}"],
)
def test_facts_that_describe_nothing_are_an_error_of_input(tmp_path, facts):
    write_tensors(tmp_path / "a.safetensors", {"x": np.zeros(1)}, {"facts": facts})
    with pytest.raises(InputError):
        weights.load("graft", tmp_path / "a.safetensors")


def test_a_converted_checkpoint_is_the_module_and_says_what_it_is():
    state = {key: np.random.default_rng(i).normal(size=shape).astype(np.float32)
             for i, (key, shape) in enumerate(weights.key_table("pointnext_s").items())}  # fmt: skip
    arrays = weights.convert_published("pointnext_s", state | {"prediction.head.weight": np.zeros(3)}, dtype="float16")
    network = weights.from_torch("pointnext_s", state)
    assert arrays.facts() == {"name": "pointnext_s"} and arrays.keys() == weights.to_flat(network).keys()
    assert {info.dtype for info in arrays.table.values()} == {np.dtype(np.float16)}
    again = weights.state_dict_of(network)
    for key, value in state.items():
        np.testing.assert_array_equal(again[key], value)
