import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.nets.scorehoi import state as hoi_state


@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_pack_and_unpack_invert_each_other(batch):
    x = jax.random.normal(jax.random.key(0), (*batch, hoi_state.STATE_SIZE), jnp.float32)
    state = hoi_state.unpack(x)
    chex.assert_shape(state.pose, (*batch, 52, 6))
    np.testing.assert_array_equal(hoi_state.pack(state), x)


def test_fields_lie_where_the_released_code_has_them():
    state = hoi_state.unpack(jnp.arange(331.0))
    np.testing.assert_array_equal(state.pose[1], np.arange(6, 12))
    np.testing.assert_array_equal(state.object_rotation, np.arange(312, 318))
    np.testing.assert_array_equal(state.object_translation, [318, 319, 320])
    np.testing.assert_array_equal(state.betas, np.arange(321, 331))


def test_betas_are_scaled_to_the_range_of_the_training_set():
    betas = np.random.default_rng(0).normal(size=(50, 10)).astype(np.float32)
    betas[0] = 7.0  # beyond the limit: must not widen the range
    scale = hoi_state.betas_range(betas)
    normalised = scale.normalise(jnp.asarray(betas[1:]))
    kept = np.all(np.abs(betas[1:]) <= 3, axis=1)
    np.testing.assert_allclose(normalised[kept].min(0), -1, atol=1e-6)
    np.testing.assert_allclose(normalised[kept].max(0), 1, atol=1e-6)
    np.testing.assert_allclose(scale.restore(normalised), betas[1:], atol=1e-5)


def test_a_training_set_without_variety_is_refused():
    with pytest.raises(ValueError, match="1 of 2 left"):
        hoi_state.betas_range(np.stack([np.full(10, 9.0), np.zeros(10)]))
