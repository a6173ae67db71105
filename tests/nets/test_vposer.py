"""VPoser's two versions against PyTorch modules of the published layout, and what is known of their sizes."""

import jax
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.nets import weights
from hoijax.nets.vposer import Config, Model, pose_energy
from hoijax.nets.weights.convert import shapes_of

RNG = np.random.default_rng(0)


def published(version):
    """Arrays under the published keys, small random numbers."""
    table = {k: s for k, s in weights.key_table(f"vposer_v{version}").items()}
    out = {}
    for key, shape in table.items():
        scale = 1 / np.sqrt(shape[-1]) if len(shape) > 1 else 0.3
        values = RNG.normal(0, scale, shape)
        out[key] = (RNG.uniform(0.5, 1.5, shape) if key.endswith("running_var") else values).astype(np.float32)
    return out


def by_hand(version, state, pose):
    """The published forward pass in NumPy: mean, deviation, and rotations of the mean."""
    name = (
        {1: "encoder_net.1", 2: "encoder_net.2", 3: "encoder_net.4", 4: "encoder_net.6", 5: "encoder_net.7",
         6: "encoder_net.8.mu", 7: "encoder_net.8.logvar", 8: "decoder_net.0", 9: "decoder_net.3", 10: "decoder_net.5"}
        if version == 2 else
        {1: "bodyprior_enc_bn1", 2: "bodyprior_enc_fc1", 3: "bodyprior_enc_bn2", 4: "bodyprior_enc_fc2",
         6: "bodyprior_enc_mu", 7: "bodyprior_enc_logvar", 8: "bodyprior_dec_fc1", 9: "bodyprior_dec_fc2",
         10: "bodyprior_dec_out"}
    )  # fmt: skip
    slope = {1: 0.2, 2: 0.01}[version]
    leaky = lambda x: np.where(x > 0, x, slope * x)  # noqa: E731
    linear = lambda k, x: x @ state[f"{name[k]}.weight"].T.astype(float) + state[f"{name[k]}.bias"]  # noqa: E731

    def norm(k, x):
        mean, var = state[f"{name[k]}.running_mean"], state[f"{name[k]}.running_var"]
        return (x - mean) / np.sqrt(var + 1e-5) * state[f"{name[k]}.weight"] + state[f"{name[k]}.bias"]

    x = norm(3, leaky(linear(2, norm(1, pose.reshape(len(pose), -1).astype(float)))))
    x = linear(5, linear(4, x)) if version == 2 else leaky(linear(4, x))
    mean, deviation = linear(6, x), np.logaddexp(0, linear(7, x))
    six = linear(10, leaky(linear(9, leaky(linear(8, mean))))).reshape(len(pose), 21, 3, 2)
    a = six[..., 0] / np.linalg.norm(six[..., 0], axis=-1, keepdims=True)
    b = six[..., 1] - np.sum(a * six[..., 1], axis=-1, keepdims=True) * a
    b = b / np.linalg.norm(b, axis=-1, keepdims=True)
    return mean, deviation, np.stack([a, b, np.cross(a, b)], axis=-1)


@pytest.mark.parametrize("version", [1, 2])
def test_both_versions_answer_as_published(version):
    state, pose = published(version), RNG.normal(0, 0.5, (4, 21, 3)).astype(np.float32)
    network = weights.from_torch(f"vposer_v{version}", {**state, "extra.num_batches_tracked": np.array(1)})
    assert network.config.version == version
    mean, deviation, rotations = by_hand(version, state, pose)
    got_mean, got_deviation = network.encode(pose)
    np.testing.assert_allclose(got_mean, mean, atol=2e-5)
    np.testing.assert_allclose(got_deviation, deviation, atol=2e-5)
    np.testing.assert_allclose(network.decode(got_mean), rotations, atol=5e-5)
    np.testing.assert_allclose(pose_energy(network, pose), np.sum(mean**2, axis=1), rtol=1e-4)
    np.testing.assert_allclose(network.encode(pose[1])[0], mean[1], atol=2e-5)


def test_sizes_are_the_published_ones_and_training_files_lose_their_body():
    counts = {}
    for version in (1, 2):
        empty = shapes_of(lambda rngs, version=version: Model(Config(version=version), rngs))
        counts[version] = sum(x.size for x in jax.tree.leaves(nnx.state(empty, nnx.Param)))
    assert counts[2] == 936_252 and counts[1] == 936_252 - 512 * 513
    state = published(2)
    assert state["encoder_net.8.logvar.weight"].shape == (32, 512) and state["decoder_net.5.weight"].shape == (126, 512)
    training = {f"vp_model.{k}": v for k, v in state.items()} | {"bm_train.faces": np.zeros((2, 3))}
    plain, own = (weights.from_torch("vposer_v2", s) for s in (state, training))
    np.testing.assert_array_equal(plain.decoder.out.kernel[...], own.decoder.out.kernel[...])
    with pytest.raises(InputError, match=r"encoder_net\.7"):
        weights.from_torch("vposer_v2", {k: v for k, v in state.items() if not k.startswith("encoder_net.7")})
    with pytest.raises(InputError, match="versions 1 and 2"):
        Config(version=3)
