"""SANA's sampler and texts, and inpainting, with networks whose answers are known."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.diffusion import Flow, dpm_solver_sample, flow_time_grid, network_times, q_sample, scaled_linear_schedule
from hoijax.errors import InputError
from hoijax.nets import sana, stable_diffusion
from hoijax.nets.sana import TextFeatures
from hoijax.nets.stable_diffusion import inpainting

rng = np.random.default_rng(0)


def normal(*shape):
    return rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("steps", [2, 5, 14, 20, 50])
def test_steps_and_trajectory_are_those_of_diffusers(steps):
    pytest.importorskip("diffusers", reason="extra [parity]")
    import torch
    from diffusers import DPMSolverMultistepScheduler

    scheduler = DPMSolverMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0)
    scheduler.set_timesteps(steps)
    times = flow_time_grid(steps, shift=3.0)
    np.testing.assert_allclose(times[::-1], scheduler.sigmas.numpy(), rtol=2e-7)
    assert network_times(times)[:0:-1].tolist() == scheduler.timesteps.tolist()
    if steps in (14, 20):
        x, speed = normal(6), normal(6)
        want = torch.from_numpy(x)
        for t, sigma in zip(scheduler.timesteps, scheduler.sigmas):
            velocity = torch.from_numpy(speed) * want + torch.sin(4 * sigma)
            want = scheduler.step(velocity, t, want).prev_sample
        got = dpm_solver_sample(lambda x, t: speed * x + jnp.sin(4 * t.astype(x.dtype)), x, Flow(), times,
                                prediction="flow")  # fmt: skip
        np.testing.assert_allclose(got, want.numpy(), atol=1e-5)


def features(batch, value):
    return TextFeatures(features=np.full((batch, 3, 2), value, np.float32), mask=np.ones((batch, 3), bool))


def test_a_point_of_data_is_reached_and_the_network_is_told_thousandths():
    target, steps = normal(2, 3, 4, 5), 7
    times = flow_time_grid(steps, shift=3.0)
    told = network_times(times)

    def network(latent, time, text, mask):
        assert latent.shape == (4, 3, 4, 5) and time.shape == (4,) and text.shape == (4, 3, 2) and mask.shape == (4, 3)
        sigma = jnp.asarray(times, jnp.float32)[jnp.argmin(jnp.abs(jnp.asarray(told) - time[0]))]
        # Told anything else than a time of the table, it answers nonsense.
        away = jnp.min(jnp.abs(jnp.asarray(told) - time[0])).astype(jnp.float32)
        return (latent - jnp.concatenate([target, target])) / sigma + 100 * away

    got = sana.sample(network, features(2, 1.0), features(2, 0.0), normal(2, 3, 4, 5), steps=steps)
    np.testing.assert_allclose(got, target, atol=2e-5)


def test_guidance_goes_on_from_nothing_past_the_text():
    noise = normal(1, 2, 2, 3)

    def network(latent, time, text, mask):
        return jnp.broadcast_to(jnp.mean(text, axis=(1, 2))[:, None, None, None], latent.shape)

    got = sana.sample(network, features(1, 0.5), features(1, 0.2), noise, steps=4, strength=3.0, shift=1.0)
    velocity = 0.2 + 3.0 * 0.3
    np.testing.assert_allclose(got, noise - 0.999 * velocity, atol=1e-5)


class Letters:
    """A token for each letter, behind one that begins."""

    def encode(self, text):
        return [2, *(ord(letter) for letter in text)]


def test_a_texts_tokens_stand_behind_the_instruction():
    tokens, mask, kept = sana.text_tokens(Letters(), "  A Man ", instruction="say: ", length=8)
    # Six tokens of the instruction and 8 - 2 more.
    assert tokens.tolist() == [2, *map(ord, "say: a man"), 0] and mask.tolist() == [True] * 11 + [False]
    assert kept.tolist() == [0, 5, 6, 7, 8, 9, 10, 11]
    assert "".join(map(chr, tokens[kept][1:])) == " a man\0"
    tokens, mask, kept = sana.text_tokens(Letters(), "", length=4)
    assert tokens.tolist() == [2, 0, 0, 0] and mask.sum() == 1 and kept.tolist() == [0, 1, 2, 3]
    assert len(sana.text_tokens(Letters(), "x" * 500, instruction="say: ", length=8)[0]) == 12
    default = sana.text_tokens(Letters(), "abc")
    assert len(default[2]) == 300


def test_features_are_those_of_the_places_that_are_kept():
    def encoder(tokens, mask):
        return jnp.stack([jnp.asarray(tokens).astype(jnp.float32), jnp.asarray(mask).astype(jnp.float32)], -1)

    found = sana.encode_texts(encoder, Letters(), ["ab", "c"], instruction="no ", length=4)
    assert found.features[0, :, 0].tolist() == [2, *map(ord, " ab")]
    assert found.features[1, :, 1].tolist() == [1, 1, 1, 0] and found.mask[1].tolist() == [True, True, True, False]


def test_kept_features_are_found_again(tmp_path):
    asked = []

    def encode(texts):
        asked.append(list(texts))
        values = np.array([[[len(text) + 0.001]] for text in texts], np.float32)
        return TextFeatures(features=values, mask=values[..., 0] > 0)

    cache = sana.FeatureCache(tmp_path / "features", {"encoder": "a"})
    first = cache.get(["one", "three", "one"], encode)
    assert asked == [["one", "three"]] and first.features.dtype == jnp.bfloat16
    np.testing.assert_allclose(first.features[:, 0, 0].astype(np.float32), [3, 5, 3], rtol=0.01)
    again = sana.FeatureCache(tmp_path / "features", {"encoder": "a"}).get(["three", "seven"], encode)
    assert asked[1:] == [["seven"]] and again.features.shape == (2, 1, 1) and again.mask.dtype == bool
    sana.FeatureCache(tmp_path / "features", {"encoder": "b"}).get(["one"], encode)
    assert asked[2:] == [["one"]]
    cache.path("one").write_bytes(b"broken")
    with pytest.raises(InputError, match="kept features of a text"):
        cache.get(["one"], encode)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="name a folder"):
        sana.FeatureCache(tmp_path / "file", {})


class HalfSize(stable_diffusion.AutoencoderKL):
    """Every second pixel's colours, and a channel of zeros."""

    def __init__(self):
        self.config = stable_diffusion.AutoencoderKLConfig(channels=(4, 4))

    def encode(self, pictures):
        mean = jnp.concatenate([jnp.asarray(pictures)[:, ::2, ::2], jnp.zeros_like(pictures)[:, ::2, ::2, :1]], axis=-1)
        return stable_diffusion.Gaussian(mean=mean, deviation=jnp.zeros_like(mean))

    def decode(self, latents):
        return jnp.repeat(jnp.repeat(jnp.asarray(latents)[..., :3], 2, axis=1), 2, axis=2)


class Says(stable_diffusion.UNet):
    """A function in a UNet's place."""

    def __init__(self, answer, inputs=9):
        self.config, self.answer = stable_diffusion.UNetConfig(inputs=inputs), answer

    def __call__(self, latent, time, text):
        return self.answer(latent, time, text)


PICTURE = np.clip(normal(8, 12, 3) * 0.3, -1, 1)
MASK = np.zeros((8, 12), bool)
MASK[2:7, 3:11] = True
NULL, TEXT = np.zeros((3, 2), np.float32), np.full((3, 2), 0.25, np.float32)
KEY = jax.random.key(3)


def fill(answer, segment, **config):
    return stable_diffusion.inpaint(Says(answer), HalfSize(), PICTURE, MASK, TEXT, NULL, segment, key=KEY,
                                    config=stable_diffusion.InpaintingConfig(**config))  # fmt: skip


def test_a_network_that_knows_the_noise_gives_the_picture_back():
    schedule = scaled_linear_schedule()
    noise = jax.random.normal(KEY, (1, 4, 6, 4), jnp.float32)
    got = fill(lambda latent, time, text: jnp.concatenate([noise, noise]), lambda picture: MASK, looks=(1, 4, 9))
    start = HalfSize().encode(PICTURE[None]).mean
    want = HalfSize().decode(q_sample(schedule, start, 0, noise))[0]
    np.testing.assert_allclose(got.picture, want, atol=1e-4)
    assert got.masks.shape == (49, 8, 12) and (got.masks == MASK).all()


def test_one_step_by_hand_mask_and_what_stays_behind_the_latent_and_guidance():
    schedule = scaled_linear_schedule()

    def answer(latent, time, text):
        mask, stays = latent[..., 4:5], latent[..., 5:9]
        say = jnp.mean(text, axis=(1, 2))[:, None, None, None]
        return 0.3 * mask + stays + say + 0.001 * time[:, None, None, None].astype(jnp.float32)

    seen = []
    got = fill(answer, lambda picture: seen.append(picture) or MASK, steps=2, share=0.5, strength=2.0, looks=(1,))
    noise = jax.random.normal(KEY, (1, 4, 6, 4), jnp.float32)
    start = HalfSize().encode(PICTURE[None]).mean
    x = q_sample(schedule, start, 1, noise)
    stays = HalfSize().encode(np.where(MASK[..., None], np.float32(0), PICTURE)[None]).mean
    eps = np.float32(0.3) * MASK[None, ::2, ::2, None].astype(np.float32) + stays + np.float32(2.0 * 0.25 + 0.001)
    signal, sigma = schedule.coefficients(1, jnp.float32)
    x0 = (x - sigma * eps) / signal
    np.testing.assert_allclose(got.picture, HalfSize().decode(q_sample(schedule, x0, 0, eps))[0], atol=1e-5)
    # The segmenter sees the clean estimate, as colours from 0 to 1.
    np.testing.assert_allclose(seen[0], np.clip(HalfSize().decode(x0)[0] * 0.5 + 0.5, 0, 1), atol=1e-5)


def test_the_mask_shrinks_to_the_person_after_the_steps_that_look():
    still = lambda latent, time, text: jnp.zeros((*latent.shape[:3], 4), latent.dtype)  # noqa: E731
    person = np.zeros((8, 12), bool)
    person[4:6, 5:7] = True
    got = fill(still, lambda picture: person, steps=6, share=1.0, looks=(2, 4), margins=(5, 1, 2, 0), least=0.01)
    assert (got.masks[:2] == MASK).all()
    around = np.zeros((8, 12), bool)
    around[3:7, 4:8] = True
    assert (got.masks[2:4] == (around & MASK)).all() and (got.masks[4:] == person).all()
    nobody = fill(still, lambda picture: np.zeros((8, 12), bool), steps=4, looks=(1,))
    assert (nobody.masks == MASK).all()


def test_looks_and_margins_are_the_published_ones():
    assert inpainting.LOOKS == (2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 45)
    assert len(inpainting.MARGINS) == 50 and inpainting.MARGINS[4:6] == (20, 10) and inpainting.MARGINS[34:36] == (1, 0)
    first = np.ones((10, 10), bool)
    person = np.zeros((10, 10), bool)
    person[5, 5] = True
    assert stable_diffusion.shrink(person, first, 2, 0.01).sum() == 25
    assert stable_diffusion.shrink(person, first, 2, 0.011) is first


def test_what_cannot_be_filled_is_refused():
    with pytest.raises(ValueError, match="UNet of 9 channels"):
        stable_diffusion.inpaint(Says(abs, inputs=4), HalfSize(), PICTURE, MASK, TEXT, NULL, np.asarray, key=KEY)
    with pytest.raises(ValueError, match=r"the mask is \(4, 4\), the picture \(8, 12\)"):
        stable_diffusion.inpaint(Says(abs), HalfSize(), PICTURE, MASK[:4, :4], TEXT, NULL, np.asarray, key=KEY)


class Same:
    """A network that changes nothing."""

    class conv_in:
        kernel = np.zeros(1, np.float32)

    def __call__(self, x):
        return x


@pytest.mark.parametrize("kind", [sana.AutoencoderDC, stable_diffusion.AutoencoderKL])
def test_latents_are_scaled_both_ways(kind):
    sizes = types.SimpleNamespace(scaling=0.25, factor=1)
    coder = types.SimpleNamespace(config=sizes, encoder=Same(), decoder=Same(), post_quant_conv=Same())
    x = normal(1, 2, 2, 3)
    np.testing.assert_array_equal(kind.decode(coder, x), 4 * x)
    if kind is sana.AutoencoderDC:
        np.testing.assert_array_equal(kind.encode(coder, x), x / 4)
