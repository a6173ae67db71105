"""`hoijax contact --method network`: labels, what the network is told of a photograph, and what is refused."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest

from hoijax.body_models import free_body
from hoijax.cli import main
from hoijax.data.objects import make_object
from hoijax.errors import InputError
from hoijax.jobs import contact_network
from hoijax.jobs.contact_network import ContactNetwork
from hoijax.jobs.photographs import Photograph
from hoijax.nets.pair_contact import Config, Model, load_pair_contact, save_pair_contact
from hoijax.systems.interactvlm.pairs import body_points, make_pair, object_surface, pair_contact

SIZES = Config(words=("box", "chair", "table"), width=16, heads=2, layers=1, mask=8, patch=4, window=3, frequencies=3)


@pytest.fixture(scope="module")
def weights(tmp_path_factory, random_module):
    path = tmp_path_factory.mktemp("light") / "light.safetensors"
    save_pair_contact(path, random_module(lambda rngs: Model(SIZES, rngs)), {"threshold": [0.3, 0.6]})
    return path


@dataclasses.dataclass
class Found:
    landmarks: np.ndarray
    metric: np.ndarray
    visibility: np.ndarray


def photograph():
    mask = np.zeros((90, 120), bool)
    mask[40:70, 60:100] = True
    return Photograph("one", pathlib.Path("one.png"), np.zeros((90, 120, 3), np.uint8), np.zeros_like(mask), mask)


@pytest.mark.parametrize(
    ("label", "word", "note"),
    [("dining table", 3, None), ("chair", 2, None), ("dragon", 0, "knows box, chair, table"), ("chiar", 0, "chair?")],
)
def test_labels_are_known_or_said_not_to_be(weights, label, word, note):
    found = ContactNetwork.of(weights, label, free_body("test"), make_object("box").mesh)
    assert found.word == word
    assert found.notes == () if note is None else note in found.notes[0] and label in found.notes[0]


def test_the_network_is_told_what_the_photograph_shows(weights, monkeypatch):
    rng = np.random.default_rng(0)
    person = Found(rng.uniform(20, 80, (33, 3)), rng.normal(size=(33, 3)), rng.random(33))
    asked = []

    def find(networks, picture):
        asked.append((networks, picture.name))
        return person, 1

    monkeypatch.setattr(contact_network, "find_person", find)
    model, mesh, picture = free_body("test"), make_object("chair").mesh, photograph()
    network = ContactNetwork.of(weights, "office chair", model, mesh)
    body, obj = network.find({"landmarks": {}}, picture)
    assert asked == [({"landmarks": {}}, "one")]
    surface = object_surface(mesh, SIZES.reach)
    pair = make_pair(person.landmarks, person.metric, person.visibility, picture.object, 2, surface, SIZES.mask)
    want = pair_contact(
        load_pair_contact(weights)[0], pair, body_points(model, SIZES.reach), surface.asked, (0.3, 0.6)
    )  # fmt: skip
    np.testing.assert_allclose(body, want.body[0], atol=1e-5)
    np.testing.assert_allclose(obj, want.object[0], atol=1e-5)
    assert body.shape == (model.num_vertices,) and obj.shape == (len(mesh.vertices),)
    assert all(np.isfinite(x).all() and (x >= 0).all() and (x <= 1).all() for x in (body, obj))


def test_a_file_with_odd_thresholds_is_refused(tmp_path, random_module):
    path = tmp_path / "w.safetensors"
    network = random_module(lambda rngs: Model(SIZES, rngs))
    for odd in ([0.5], [0.0, 0.5]):
        save_pair_contact(path, network, {"threshold": odd})
        with pytest.raises(InputError, match="thresholds"):
            ContactNetwork.of(path, "box", free_body("test"), make_object("box").mesh)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--method=network"], "--object"),
        (["--weights=w.safetensors", "--object=box.obj", "--method=geometry"], "--method network or interactvlm"),
        (["--method=magic", "--object=box.obj"], "magic"),
    ],
)
def test_options_that_do_not_fit(tmp_path, capsys, options, said):
    out = tmp_path / "out"
    assert main(["contact", "--image=a.png", "--label=box", f"--out={out}", *options]) == 2
    assert said in capsys.readouterr().err and not out.exists()


def test_changing_the_method_or_the_weights_makes_finished_pictures_anew(weights, tmp_path):
    from hoijax.jobs.contact_map import ContactRequest, _method

    plain = ContactRequest(image=tmp_path, label="box", object=tmp_path, out=tmp_path, method="geometry")
    other = tmp_path / "other.safetensors"
    save_pair_contact(other, jax.tree.map(lambda x: x, load_pair_contact(weights)[0]), {"threshold": [0.4, 0.6]})
    said = [
        _method(request)
        for request in (
            plain, dataclasses.replace(plain, method="network"),
            dataclasses.replace(plain, method="network", weights=weights),
            dataclasses.replace(plain, method="network", weights=other),
        )
    ]  # fmt: skip
    assert said[0] == {} and len({str(row) for row in said}) == 4
