"""Inputs and weights of the golden files in this folder, rebuilt by NumPy alone from names and a seed."""

import zlib

import numpy as np

CROP, BODY, FOCAL = 256, 128, 700.0
"""Pixels of a side of the picture and of the body's image; the authors' focal length counts pixels of the latter."""
VERTICES, POINTS, FEATURES = 20, 64, 1024
"""Body vertices that stand for a surface; the object's points; numbers of its global feature."""
CHANNELS = 32
"""Every so many channels of the feature map are kept."""
WIDTH = 32
"""Of the denoiser where the authors' is 2048; its geometry is twice as wide."""

CHOSEN = {
    "hand4whole.box_net.lhand_size.2.weight": 0.1,
    "hand4whole.box_net.rhand_size.2.weight": 0.1,
    "hand4whole.box_net.lhand_size.2.bias": (1.1, 0.7),
    "hand4whole.box_net.rhand_size.2.bias": (0.8, 1.3),
    "hand4whole.body_rotation_net.cam_out.0.weight": 0.05,
    "hand4whole.body_rotation_net.cam_out.0.bias": (0.1, -0.2, 0.3),
    "hand4whole.body_rotation_net.shape_out.0.weight": 0.2,
    "objregressor.obj_trans_out.weight": 0.1,
    "hand4whole.box_net.bbox_center_out.0.weight": 4.0,
    "hand4whole.body_position_net.conv.0.weight": 2.0,
    "hand4whole.hand_position_net.conv.0.weight": 2.0,
    "contactformer.fc_out_human.weight": 8.0,
    "contactformer.fc_out_human.bias": (4.0,),
    "contactformer.fc_out_object.weight": 3.0,
}
"""What chance would make of no use: a number shrinks a weight, several replace a bias. Hand boxes are of about a cell
before they are doubled, the camera stands a few metres away, joints are all over the crop, some vertices touch."""


def rng_of(name: str, seed: int) -> np.random.Generator:
    """A generator for one array."""
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))


def weight(key: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The weight of a key of a PyTorch state dict, float32: near one for scales, near zero for biases, else of a
    variance that keeps that of what comes in."""
    chosen, rng, leaf = CHOSEN.get(key), rng_of(key, seed), key.rsplit(".", 1)[-1]
    if isinstance(chosen, tuple):
        return np.asarray(chosen, np.float32)
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_var":
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    noise = rng.standard_normal(shape, np.float32)
    if len(shape) < 2:
        return 0.1 * noise + np.float32(leaf == "weight")
    return noise * np.float32((chosen or 1.0) / np.sqrt(np.prod(shape[1:])))


def first_stage_inputs() -> dict[str, np.ndarray]:
    """Two pictures of coarse blocks with masks (2, 5, S, S), and the object's points and features."""
    rng = rng_of("first stage", 0)
    image = np.repeat(np.repeat(rng.random((2, 5, 16, 16), np.float32), CROP // 16, axis=2), CROP // 16, axis=3)
    image[:, :3] = 0.9 * image[:, :3] + 0.1 * rng.random((2, 3, CROP, CROP), np.float32)
    image[:, 3:] = image[:, 3:] > 0.5
    points = 0.3 * rng.standard_normal((2, POINTS, 3), np.float32)
    features = 0.5 * rng.standard_normal((2, FEATURES), np.float32)
    return {"image": image, "points": points, "numbers": np.concatenate([points.reshape(2, -1), features], axis=1)}


def denoiser_inputs() -> dict[str, np.ndarray]:
    """Three noisy states, their times, and both conditions."""
    rng = rng_of("denoiser", 0)
    return {
        "x": rng.standard_normal((3, 331), np.float32),
        "t": np.array([0.0, 49.0, 731.0], np.float32),
        "image": rng.standard_normal((3, WIDTH), np.float32),
        "geometry": rng.standard_normal((3, 3 * POINTS + FEATURES), np.float32),
    }
