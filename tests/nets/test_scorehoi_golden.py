"""Every ScoreHOI module against what the authors' own code answered, through the converter."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax import diffusion
from hoijax.nets import weights as convert
from hoijax.nets.scorehoi import fold


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def compiled(net):
    """A module as a compiled function; its weights are arguments of the program."""
    graph, state = nnx.split(net)
    run = jax.jit(lambda state, *inputs: nnx.merge(graph, state)(*inputs))
    return functools.partial(run, state)


@pytest.fixture
def load(golden):
    def load(name):
        arrays, state_dict = golden(f"scorehoi_{name}")
        return convert.from_torch(f"scorehoi_{name}", state_dict), arrays

    return load


def test_body_backbone(load):
    net, data = load("backbone_resnet50")
    got = compiled(net)(channels_last(data["img"]), data["obj_feat"])
    np.testing.assert_allclose(got, channels_last(data["feat"]), atol=1e-4)


@pytest.mark.parametrize("part", ["body", "hand"])
def test_position_net(load, part):
    net, data = load(f"position_{part}")
    joints, heatmap = net(channels_last(data["img_feat"]))
    np.testing.assert_allclose(joints, data["joint_coord"], atol=1e-5)
    np.testing.assert_allclose(heatmap, data["joint_hm"], atol=1e-5)  # stored in half precision


def test_box_net(load):
    net, data = load("boxnet")
    centre, size = compiled(net)(channels_last(data["img_feat"]), data["joint_hm"])
    for i, side in enumerate("lr"):
        np.testing.assert_allclose(centre[:, i], data[f"{side}hand_center"], atol=1e-4)
        np.testing.assert_allclose(size[:, i], data[f"{side}hand_size"], atol=1e-4)


def test_body_rotation_net(load):
    net, data = load("rotation_body")
    features, knuckles = channels_last(data["img_feat"]), data["hand_joint_coord"]
    flipped = np.ascontiguousarray(features[:, :, ::-1])
    pose, betas, camera = compiled(net)(features, data["joint_coord"], flipped, knuckles, features, knuckles)
    np.testing.assert_allclose(pose.reshape(2, -1), data["pose"], atol=1e-4)
    np.testing.assert_allclose(betas, data["shape"], atol=1e-4)
    np.testing.assert_allclose(camera, data["cam"], atol=1e-4)


def test_hand_rotation_net(load):
    net, data = load("rotation_hand")
    pose = net(channels_last(data["img_feat"]), data["joint_coord"])
    np.testing.assert_allclose(pose.reshape(2, -1), data["pose"], atol=1e-4)


def test_object_head(load):
    net, data = load("object_regressor")
    rotation, translation = net(channels_last(data["img_feat"]), data["obj_feat"])
    np.testing.assert_allclose(rotation, data["pose"][:, 0], atol=1e-4)
    np.testing.assert_allclose(translation, data["trans"], atol=1e-4)


def test_contact_former(load):
    net, data = load("contactformer")
    human, object_ = net.tokens(data["human_verts"], data["obj_verts"], data["human_feat"], data["obj_feat"])
    np.testing.assert_allclose(human, data["human_tokens"], atol=1e-5)
    np.testing.assert_allclose(object_, data["object_tokens"], atol=1e-5)
    for logits, name in zip(compiled(net)(human, object_), ("h_contacts", "o_contacts", "o_f_contacts")):
        np.testing.assert_allclose(jax.nn.sigmoid(logits), data[name], atol=1e-5)


def test_mesh_refiner(load):
    net, data = load("crformer")
    human, object_ = compiled(net)(data["human_tokens"], data["object_tokens"], data["h_contacts"], data["o_contacts"])
    np.testing.assert_allclose(human, data["human_verts"], atol=1e-5)
    np.testing.assert_allclose(object_, data["obj_verts"], atol=1e-5)


@pytest.fixture(scope="module")
def folded_denoiser(golden):
    """The released denoiser's golden data, its own answer to them, and its folded form."""
    data, state_dict = golden("scorehoi_denoiser")
    net = convert.from_torch("scorehoi_denoiser", state_dict)
    return data, compiled(net)(data["x"], data["t"]), fold(net)


@pytest.mark.slow
def test_released_denoiser_and_its_folded_form(folded_denoiser):
    data, whole, folded = folded_denoiser
    for got in (whole, compiled(folded)(data["x"], data["t"])):
        np.testing.assert_allclose(got, data["eps"], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_ddim_round_trip_of_the_released_sampler(golden, folded_denoiser):
    data, _ = golden("scorehoi_ddim", weights=False)  # those of the denoiser
    schedule = diffusion.cosine_schedule()
    np.testing.assert_allclose(schedule.alphas_cumprod, data["alphas_cumprod"], atol=1e-7)
    times = diffusion.time_grid(50, 2)
    np.testing.assert_array_equal(np.stack([times[:-1], times[1:]], 1), data["inv_pairs"])
    graph, state = nnx.split(folded_denoiser[-1])

    @jax.jit
    def there_and_back(state, x):
        net = nnx.merge(graph, state)

        def denoise(x, t):
            return net(x, jnp.broadcast_to(t.astype(x.dtype), x.shape[:1]))

        x_tau = diffusion.ddim_invert(denoise, x, schedule, times)
        return x_tau, diffusion.ddim_sample(denoise, x_tau, schedule, times)

    x_tau, back = there_and_back(state, data["x0"])
    np.testing.assert_allclose(x_tau, data["x_tau"], atol=1e-4)
    np.testing.assert_allclose(back.x0, data["x0_out"], atol=1e-4)
    np.testing.assert_allclose(back.xt, data["xt_out"], atol=1e-4)
