"""Convolutions, pooling and sampling over channels last, with PyTorch's conventions."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

ArrayLike = jax.Array | np.ndarray


def conv(inputs: int, outputs: int, size: int, rngs: nnx.Rngs, *, stride: int = 1, use_bias: bool = True) -> nnx.Conv:
    """A square convolution over (*B, H, W, C) with PyTorch's symmetric padding `size // 2`."""
    pad = size // 2
    return nnx.Conv(
        inputs,
        outputs,
        (size, size),
        strides=stride,
        padding=((pad, pad), (pad, pad)),
        use_bias=use_bias,
        rngs=rngs,
    )


def depthwise(layer: nnx.Conv, x: Float[ArrayLike, "B H W C"]) -> Float[jax.Array, "B H W C"]:
    """A square convolution of each channel alone, the rows and columns kept, as sums of shifted maps on a CPU.

    XLA's grouped convolutions take hundreds of times as long there for the gradient of the weights.

    Args:
      layer: with as many groups as channels, an odd side, and padding of half of it.
      x: features.
    """
    if jax.default_backend() != "cpu":
        return layer(x)
    x, kernel = jnp.asarray(x), layer.kernel[...]
    size, (height, width) = kernel.shape[0], x.shape[1:3]
    pad = size // 2
    padded = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    total = jnp.zeros_like(x)
    for row in range(size):
        for column in range(size):
            total = total + padded[:, row : row + height, column : column + width] * kernel[row, column][None, None]
    return total if layer.bias is None else total + layer.bias[...].reshape(1, 1, 1, -1)


def max_pool(x: Float[ArrayLike, "*B H W C"]) -> Float[jax.Array, "*B h w C"]:
    """The largest of each 3 x 3 window, every second one, one pixel of padding: PyTorch's `MaxPool2d(3, 2, 1)`.

    Written as maxima of shifted maps: on a CPU its gradient takes a tenth of that of XLA's window reduction. Equal
    largest values share the gradient, where PyTorch's first one has it all.
    """
    x = jnp.asarray(x)
    for axis in (x.ndim - 3, x.ndim - 2):
        count = (x.shape[axis] + 1) // 2
        pad = [(0, 0)] * x.ndim
        pad[axis] = (1, 1)
        padded = jnp.pad(x, pad, constant_values=-jnp.inf)
        parts = [jax.lax.slice_in_dim(padded, k, k + 2 * count - 1, 2, axis) for k in range(3)]
        x = jnp.maximum(jnp.maximum(parts[0], parts[1]), parts[2])
    return x


def double_conv_transpose(
    x: Float[ArrayLike, "B H W I"], kernel: Float[ArrayLike, "4 4 O I"]
) -> Float[jax.Array, "B H2 W2 O"]:
    """PyTorch's `ConvTranspose2d(I, O, 4, 2, 1)` without bias, on a kernel as `nnx.ConvTranspose` keeps it.

    Each of the four outputs of a cell sees 2 x 2 cells: one ordinary convolution finds all four, and they are sorted
    into rows and columns. On a CPU its gradient takes a fifth of that of a convolution over a map with holes.
    """
    kernel = jnp.flip(jnp.asarray(kernel), (0, 1)).swapaxes(2, 3)
    # Taps on the cells before, at and after the own one, for the first and the second output along an axis.
    taps = ((0, 2, None), (None, 1, 3))
    zero = jnp.zeros_like(kernel[0, 0])
    rows = [
        jnp.stack([
            jnp.stack([zero if u is None or v is None else kernel[u, v] for v in taps[b]]) for u in taps[a]
        ])
        for a in range(2) for b in range(2)
    ]  # fmt: skip
    four = jnp.concatenate(rows, axis=-1)
    y = jax.lax.conv_general_dilated(
        jnp.asarray(x), four, (1, 1), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    batch, height, width, _ = y.shape
    y = y.reshape(batch, height, width, 2, 2, -1).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(batch, 2 * height, 2 * width, -1)


def pixel_unshuffle(x: Float[ArrayLike, "B H W C"], factor: int = 2) -> Float[jax.Array, "B h w D"]:
    """Squares of `factor` pixels become channels, channel by channel and row by row: PyTorch's `pixel_unshuffle`."""
    batch, height, width, channels = x.shape
    x = jnp.asarray(x).reshape(batch, height // factor, factor, width // factor, factor, channels)
    x = x.transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(batch, height // factor, width // factor, channels * factor**2)


def pixel_shuffle(x: Float[ArrayLike, "B H W C"], factor: int = 2) -> Float[jax.Array, "B h w D"]:
    """The inverse of `pixel_unshuffle`."""
    batch, height, width, channels = x.shape
    x = jnp.asarray(x).reshape(batch, height, width, channels // factor**2, factor, factor)
    x = x.transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(batch, height * factor, width * factor, channels // factor**2)


def nearest_upsample(x: Float[ArrayLike, "B H W C"], factor: int = 2) -> Float[jax.Array, "B h w C"]:
    """Every pixel becomes a square of `factor` pixels."""
    return jnp.repeat(jnp.repeat(jnp.asarray(x), factor, axis=1), factor, axis=2)


def double_exactly(x: Float[ArrayLike, "*B H W I"], layer: nnx.ConvTranspose) -> Float[jax.Array, "*B H2 W2 O"]:
    """PyTorch's `ConvTranspose2d(I, O, 2, 2)` of a layer with `transpose_kernel`: each cell becomes four of its own."""
    x, kernel = jnp.asarray(x), layer.kernel[...]
    y = jnp.einsum("...hwi,uvoi->...huwvo", x, kernel.astype(x.dtype))
    if layer.bias is not None:
        y = y + jnp.broadcast_to(layer.bias[...].astype(y.dtype), y.shape)
    *batch, height, _, width, _, channels = y.shape
    return y.reshape((*batch, 2 * height, 2 * width, channels))


def bilinear_sample(features: Float[ArrayLike, "H W C"], points: Float[ArrayLike, "*N 2"]) -> Float[jax.Array, "*N C"]:
    """Features at (x, y) in cells: cell centres are integers, outside the map is zero.

    PyTorch's `grid_sample(align_corners=True, padding_mode="zeros")`.

    Args:
      features: one feature map.
      points: x (along W) and y (along H); 0 is the first cell's centre.

    Returns:
      The sampled features.
    """
    height, width, channels = features.shape
    flat = jnp.asarray(features).reshape(height * width, channels)
    low = jnp.floor(points)
    fraction = points - low
    total = jnp.zeros((*points.shape[:-1], channels), features.dtype)
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = low[..., 0].astype(jnp.int32) + dx, low[..., 1].astype(jnp.int32) + dy
            weight = jnp.abs(1 - dx - fraction[..., 0]) * jnp.abs(1 - dy - fraction[..., 1])
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            cell = jnp.clip(y, 0, height - 1) * width + jnp.clip(x, 0, width - 1)
            weight = jnp.where(inside, weight, 0.0).astype(features.dtype)
            total = total + jnp.broadcast_to(weight[..., None], total.shape) * flat[cell]
    return total
