"""Images and questions to contact on vertices: against its parts, image by image, and where nothing is said."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.body_models import free_body
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.nets import interactvlm as nets
from hoijax.nets import sam
from hoijax.systems import interactvlm

SMALL = sam.Config(128, 16, 32, 1, 4, 64, 3, (), channels=32, mask_channels=8, decoder_hidden=64, masks=2)
CONFIG = interactvlm.RunConfig(stop=2, steps=5)
CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
FACES = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
         [1, 5, 7], [1, 7, 3]]  # fmt: skip
CUBE = Mesh(vertices=CORNERS, faces=np.asarray(FACES, np.int32))


def ask(seed):
    ids = np.random.default_rng(seed).integers(3, 60, (3, 6)).astype(np.int32)
    ids[:, 2] = nets.IMAGE
    return nets.Prompts(ids, np.array([6, 5, 6], np.int32), np.full(ids.shape, nets.IGNORED, np.int32))


@pytest.fixture(scope="module")
def whole(random_module):
    """Networks of which two images of three get a contact token of the body, what is prepared, inputs, the program."""
    config = dataclasses.replace(nets.Config.of_size("tiny"), segmenter=SMALL)
    network = random_module(lambda rngs: nets.Model(config, rngs))
    body = free_body("test")
    prepared = interactvlm.prepare(network, body, CUBE)
    images = np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype(np.float32)
    inputs = interactvlm.Inputs(images, ask(1), ask(2))
    graph, _ = nnx.split(network)
    program = jax.jit(lambda state, prepared, inputs: interactvlm.run(nnx.merge(graph, state), prepared, inputs,
                                                                      config=CONFIG),
                      compiler_options={"xla_backend_optimization_level": 0})  # fmt: skip
    kernel = np.array(network.language.lm_head.kernel[...])
    kernel[:, list(config.tokens)] = 0.0
    network.language.lm_head.kernel[...] = jnp.asarray(kernel)
    states = np.asarray(program(nnx.state(network), prepared, inputs).stages["body"].answer.states)
    wanted = np.full(states.shape[:2], -20.0)
    wanted[0, 1] = wanted[2, 3] = 20.0  # the second word of the first answer, the fourth of the third
    kernel[:, 61] = np.linalg.pinv(states.reshape(-1, states.shape[-1])) @ wanted.reshape(-1)
    network.language.lm_head.kernel[...] = jnp.asarray(kernel)
    return network, body, prepared, inputs, program, program(nnx.state(network), prepared, inputs)


def test_contact_is_that_of_its_parts(whole):
    network, body, prepared, _, _, got = whole
    views = interactvlm.body_views(body, 128)
    np.testing.assert_allclose(prepared.body.embedding[1], network.embed_views(views.images[1:2])[0], atol=1e-4)
    stages, found = got.stages["body"], np.asarray(got.metrics["body_found"])
    assert found[0] == 1 and got.interaction.body.shape == (3, len(views.vertices))
    assert stages.contact.kind[0] == nets.HUMAN and stages.answer.ids[0, 1] == 61
    for b in range(3):
        said = found[b]
        pixels = nets.probabilities(stages.logits[b], views.valid)  # what shows nothing is zero, and changes nothing
        want = interactvlm.apply_lift(views.lift, pixels, "soft")
        np.testing.assert_allclose(got.interaction.body[b], said * want.scores, atol=1e-5)
        share = np.mean(np.asarray(want.scores)[np.asarray(want.visible)] >= 0.5) * said
        np.testing.assert_allclose(got.metrics["body_share"][b], share, atol=1e-6)
    token = network.lift_token(stages.contact.state[:1], views.cameras[None], np.array([nets.HUMAN]))
    logits = network.decode(token, np.asarray(prepared.body.embedding)[None])
    np.testing.assert_allclose(stages.logits[0], logits[0], atol=1e-4)
    cube = interactvlm.object_views(CORNERS, np.asarray(FACES), 128)
    pixels = nets.probabilities(got.stages["object"].logits[0], cube.valid)
    want = interactvlm.apply_lift(cube.lift, pixels, "kept_mean").scores * got.metrics["object_found"][0]
    np.testing.assert_allclose(got.interaction.object[0], want, atol=1e-5)


def test_where_nothing_is_said_there_is_no_contact(whole):
    *_, got = whole
    said = np.asarray(got.metrics["body_found"])
    np.testing.assert_array_equal(said, [1, 0, 1])
    for b in range(3):
        assert (np.asarray(got.interaction.body[b]).max() > 0) == bool(said[b])


def test_each_image_is_looked_at_alone(whole):
    network, _, prepared, inputs, program, got = whole
    back = program(nnx.state(network), prepared, jax.tree.map(lambda x: x[::-1], inputs))
    assert program._cache_size() == 1
    np.testing.assert_allclose(np.asarray(back.interaction.body)[::-1], got.interaction.body, atol=1e-5)
    assert np.abs(np.diff(np.asarray(got.stages["body"].logits), axis=0)).max() > 1e-3


def test_questions_without_a_surface_are_refused(whole):
    network, _, prepared, inputs, *_ = whole
    with pytest.raises(InputError, match="neither was given"):
        interactvlm.prepare(network)
    with pytest.raises(ValueError, match="asked about body, object"):
        interactvlm.run(network, prepared.replace(object=None), inputs)
    with pytest.raises(ValueError, match="asked about nothing"):
        interactvlm.run(network, prepared, interactvlm.Inputs(inputs.images))
