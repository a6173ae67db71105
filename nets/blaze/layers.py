"""The operations that these networks are made of: channels last, leading batch axes first.

Padding follows TensorFlow's two rules, which differ for strided layers only: "centred" puts half a kernel on every
side, "same" puts the odd pixel behind. Weights live in a flat mapping: `name.kernel` and `name.bias`.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from hoijax.geometry.safe import ArrayLike

Params = Mapping[str, ArrayLike]
Padding = Literal["same", "centred"]
Network = Callable[..., Any]


def relu6(x: Float[Array, "*N"]) -> Float[Array, "*N"]:
    """The activation of nearly every layer: values held between 0 and 6."""
    return jnp.clip(x, 0, 6)


def conv(
    params: Params,
    name: str,
    x: Float[ArrayLike, "B H W I"],
    *,
    stride: int = 1,
    padding: Padding = "same",
) -> Float[Array, "B h w O"]:
    """A convolution with bias; a kernel of one pixel is a matrix product.

    Args:
      params: holds `name.kernel` (height, width, I, O) and `name.bias` (O,).
      name: the layer.
      x: input.
      stride: step of both axes.
      padding: see the module's docstring.
    """
    kernel, bias = jnp.asarray(params[f"{name}.kernel"]), jnp.asarray(params[f"{name}.bias"])
    x = jnp.asarray(x)
    if kernel.shape[:2] == (1, 1) and stride == 1:
        y = jnp.einsum("bhwi,io->bhwo", x, kernel[0, 0])
    else:
        pads = [_pads(n, k, stride, padding) for n, k in zip(x.shape[1:3], kernel.shape[:2])]
        y = lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return y + bias[None, None, None]


def depthwise(
    params: Params,
    name: str,
    x: Float[ArrayLike, "B H W C"],
    *,
    stride: int = 1,
    padding: Padding = "same",
) -> Float[Array, "B h w C"]:
    """A convolution of every channel with its own kernel, with bias.

    XLA's grouped convolution is 15 to 20 times slower on a CPU than the sum of k x k shifted products, so each platform
    gets its own form of the same sum.

    Args:
      params: holds `name.kernel` (height, width, C) and `name.bias` (C,).
      name: the layer.
      x: input.
      stride: step of both axes.
      padding: see the module's docstring.
    """
    kernel, bias = jnp.asarray(params[f"{name}.kernel"]), jnp.asarray(params[f"{name}.bias"])
    x = jnp.asarray(x)
    pads = [_pads(n, k, stride, padding) for n, k in zip(x.shape[1:3], kernel.shape[:2])]

    shifted = functools.partial(_shifted_products, stride=stride, pads=pads)
    grouped = functools.partial(_grouped_convolution, stride=stride, pads=pads)
    return lax.platform_dependent(x, kernel, cpu=shifted, default=grouped) + bias[None, None, None]


def picture_by_picture(network: Network) -> Network:
    """The same network, on a CPU looping over the pictures of a batch.

    One picture keeps every core busy and its activations in the cache; a batch of 32 all at once takes twice as long
    per picture there. Other platforms get the whole batch.

    Args:
      network: a function of weights and pictures (B, H, W, 3) to a pytree of arrays with leading axis B.
    """

    @functools.wraps(network)
    def run(params: Params, pictures: Float[ArrayLike, "B H W 3"]) -> Any:
        pictures = jnp.asarray(pictures)
        if pictures.shape[0] == 1:
            return network(params, pictures)

        def alone(picture: Array) -> Any:
            return jax.tree.map(lambda x: x[0], network(params, picture[None]))

        return lax.platform_dependent(pictures, cpu=lambda x: lax.map(alone, x), default=lambda x: network(params, x))

    return run


def dense(params: Params, name: str, x: Float[ArrayLike, "B I"]) -> Float[Array, "B O"]:
    """A linear layer: `name.kernel` is (I, O)."""
    return x @ jnp.asarray(params[f"{name}.kernel"]) + jnp.asarray(params[f"{name}.bias"])[None]


def double(x: Float[ArrayLike, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
    """Twice the size by bilinear interpolation about pixel centres, the edge repeated."""
    x = jnp.asarray(x)
    for axis in (1, 2):
        n = x.shape[axis]
        before = lax.slice_in_dim(x, 0, 1, axis=axis), lax.slice_in_dim(x, 0, n - 1, axis=axis)
        after = lax.slice_in_dim(x, 1, n, axis=axis), lax.slice_in_dim(x, n - 1, n, axis=axis)
        low = 0.75 * x + 0.25 * jnp.concatenate(before, axis)
        high = 0.75 * x + 0.25 * jnp.concatenate(after, axis)
        shape = (*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])
        x = jnp.stack([low, high], axis + 1).reshape(shape)
    return x


def halve_max(x: Float[ArrayLike, "B H W C"]) -> Float[Array, "B h w C"]:
    """Half the size: the largest of each two by two pixels."""
    x = jnp.asarray(x)
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).max((2, 4))


def depth_to_space(x: Float[ArrayLike, "B H W K"]) -> Float[Array, "B 2*H 2*W K//4"]:
    """Twice the size: four channels become two by two pixels, the row varies slowest."""
    x = jnp.asarray(x)
    b, h, w, c = x.shape
    return x.reshape(b, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5).reshape(b, 2 * h, 2 * w, c // 4)


def _pads(size: int, kernel: int, stride: int, padding: Padding) -> tuple[int, int]:
    if padding == "centred":
        return kernel // 2, kernel // 2
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _grouped_convolution(x: Array, kernel: Array, stride: int, pads: list[tuple[int, int]]) -> Array:
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        (stride, stride),
        pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def _shifted_products(x: Array, kernel: Array, stride: int, pads: list[tuple[int, int]]) -> Array:
    height, width = kernel.shape[:2]
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    rows, columns = (x.shape[1] - height) // stride + 1, (x.shape[2] - width) // stride + 1
    total = jnp.zeros((x.shape[0], rows, columns, x.shape[3]), x.dtype)
    for i, j in np.ndindex(height, width):
        part = x[:, i : i + (rows - 1) * stride + 1 : stride, j : j + (columns - 1) * stride + 1 : stride]
        total = total + part * kernel[i, j][None, None, None]
    return total
