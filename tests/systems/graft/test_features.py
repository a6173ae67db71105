"""Image features for GRAFT's full mode: providers' files, hoijax's own encoder, and what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.errors import InputError
from hoijax.experiments.graft.networks import make_network, sizes_of, start_weights, with_encoder
from hoijax.nets.graft import Graft, GraftConfig, ImageEncoder, load_encoder, load_graft, save_encoder, save_graft
from hoijax.systems.graft import fuse_features, read_features

TINY = GraftConfig(
    width=16, layers=1, heads=2, feedforward=16, fourier=8, probe_hidden=8, probe_features=8, head_hidden=8,
    feature_widths=(6, 4), level_width=8,
)  # fmt: skip


def filled(make, seed=0):
    """A module with random numbers for weights; its own initialisation would take seconds."""
    graph, state = nnx.split(nnx.eval_shape(make))
    rng = np.random.default_rng(seed)
    return nnx.merge(graph, jax.tree.map(lambda x: jnp.asarray(0.2 * rng.normal(size=x.shape), x.dtype), state))


def tiny(**changes):
    return filled(lambda: Graft(dataclasses.replace(TINY, **changes), nnx.Rngs(0)))


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """A file as MapAnything's user would save it."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("features") / "features.npz"
    arrays = {f"features_{k}": rng.normal(size=(1, 2, 5, 7, n)) for k, n in enumerate(TINY.feature_widths)}
    arrays |= {"intrinsics": np.array([[[90.0, 0, 49], [0, 90, 35], [0, 0, 1]]])}
    np.savez(path, **arrays)
    return path, arrays


def test_features_of_a_file_are_fused(maps):
    path, arrays = maps
    found = read_features(path)
    assert found.patch == 14 and [x.shape for x in found.levels] == [(2, 5, 7, 6), (2, 5, 7, 4)]
    np.testing.assert_allclose(found.levels[1], arrays["features_1"][0], rtol=1e-6)
    network = tiny()
    image = fuse_features(network, found)
    assert image.fused.shape == (2, 5, 7, 16) and image.intrinsics.shape == (3, 3)
    np.testing.assert_allclose(image.fused, network.fusion(found.levels), rtol=1e-6)
    with pytest.raises(InputError, match=r"\(6, 4\) channels per level, the network was trained with \(32, 32\)"):
        fuse_features(tiny(feature_widths=(32, 32)), found)
    with pytest.raises(InputError, match="without image features"):
        fuse_features(tiny(visual=False), found)


def test_files_that_hold_no_features_are_refused(maps, tmp_path):
    _, arrays = maps

    def told(**changes):
        path = tmp_path / "bad.npz"
        np.savez(path, **{k: v for k, v in (arrays | changes).items() if v is not None})
        with pytest.raises(InputError) as error:
            read_features(path)
        return str(error.value)

    assert "wanted features_0" in told(features_0=None)
    assert "and intrinsics" in told(intrinsics=None)
    assert "features_1 has the shape (2, 4, 7, 4)" in told(features_1=np.zeros((2, 4, 7, 4)))
    assert "not finite" in told(features_0=np.full((2, 5, 7, 6), np.nan))
    assert "intrinsics have the shape (4,)" in told(intrinsics=np.zeros(4))
    assert "Python objects" in told(features_1=np.array([{}], object))
    with pytest.raises(InputError, match="there is no file"):
        read_features(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match=r"not an \.npz archive"):
        read_features(tmp_path / "text.npz")


def test_the_encoder_sees_what_is_near_a_cell(tmp_path):
    encoder = filled(lambda: ImageEncoder((6, 4), nnx.Rngs(0)))
    run = jax.jit(lambda images: encoder(images), compiler_options={"xla_backend_optimization_level": 0})
    images = np.random.default_rng(0).random((2, 140, 112, 3)).astype(np.float32)
    first, second = run(images)
    assert first.shape == (2, 10, 8, 6) and second.shape == (2, 10, 8, 4)
    changed = images.copy()
    changed[:, :14, :14] = 0  # the first cell
    near, around = (np.abs(np.asarray(a) - np.asarray(b)).max(axis=(0, 3)) > 0 for a, b in
                    zip(run(changed), (first, second)))  # fmt: skip
    assert near[0, 0] and not near[1:].any() and not near[:, 1:].any()
    assert around[3, 3] and not around[4:].any() and not around[:, 4:].any()
    with pytest.raises(ValueError, match="multiples of 14"):
        encoder(np.zeros((1, 30, 28, 3), np.float32))
    save_encoder(tmp_path / "encoder.safetensors", encoder)
    again = load_encoder(tmp_path / "encoder.safetensors")
    for a, b in zip(jax.tree.leaves(nnx.state(encoder)), jax.tree.leaves(nnx.state(again))):
        np.testing.assert_array_equal(a, b)
    save_graft(tmp_path / "graft.safetensors", tiny())
    with pytest.raises(InputError, match="no image encoder"):
        load_encoder(tmp_path / "graft.safetensors")


def test_a_full_network_begins_with_a_geometry_only_ones_weights(tmp_path, monkeypatch):
    """All of them in their place, and nothing of the images in its answers."""
    small = dataclasses.replace(TINY, visual=False)
    monkeypatch.setattr("hoijax.experiments.graft.networks.SIZES", {"small": lambda: small})
    path = tmp_path / "graft.safetensors"
    earlier = filled(lambda: make_network(small, nnx.Rngs(0)), 1)
    save_graft(path, earlier)
    graph, weights = nnx.split(filled(lambda: make_network(sizes_of("small", True), nnx.Rngs(0)), 2))
    both = nnx.merge(graph, start_weights(weights, path, sizes_of("small", True)))
    known = dict(nnx.to_flat_state(nnx.state(earlier, nnx.Param)))
    flat = dict(nnx.to_flat_state(nnx.state(both.graft, nnx.Param)))
    for name, leaf in known.items():
        np.testing.assert_array_equal(flat[name][...], leaf[...])
    for block in both.graft.blocks:
        assert not np.any(block.cross_attention.out.kernel[...]) and not np.any(block.cross_attention.out.bias[...])
        assert np.any(block.cross_attention.value.kernel[...])
    with pytest.raises(InputError, match="of other sizes"):
        start_weights(weights, path, dataclasses.replace(sizes_of("small", True), layers=2))
    # The full network's own file, with its encoder, makes the same whole again.
    save_graft(path, both.graft)
    again = with_encoder(load_graft(path)[0], both.encoder)
    assert jax.tree.structure(nnx.state(again)) == jax.tree.structure(nnx.state(both))
    with pytest.raises(InputError, match="of other sizes"):
        start_weights(nnx.state(earlier, nnx.Param), path, small)
