"""The trunk that all of these networks share: sixteen inverted residual blocks.

Widths and kernels are those of EfficientNet-Lite0 without its last three blocks' widening (Tan and Le 2019; Sandler et
al. 2018, section 3.3, for the block): expand by a factor of six, convolve per channel, project; the input is added
where its shape allows.
"""

from jaxtyping import Array, Float

from hoijax.nets.blaze.layers import Padding, Params, conv, depthwise, relu6

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""Stride of each block; width and kernel size are the weights' own. The last block stops before its projection."""

RESIDUAL = frozenset({2, 4, 6, 7, 9, 10, 12, 13, 14})
"""Blocks whose input the block's output is added to."""


def stem(params: Params, x: Float[Array, "B H W 3"], padding: Padding) -> Float[Array, "B h w C"]:
    """First convolution, half the size."""
    return relu6(conv(params, "stem", x, stride=2, padding=padding))


def expand(params: Params, block: str, x: Float[Array, "B H W C"]) -> Float[Array, "B H W D"]:
    """The block's first product, which widens; a block without it passes its input on."""
    return relu6(conv(params, f"{block}.expand", x)) if f"{block}.expand.kernel" in params else x


def filter_channels(
    params: Params, block: str, x: Float[Array, "B H W D"], stride: int, padding: Padding
) -> Float[Array, "B h w D"]:
    """The block's convolution per channel."""
    return relu6(depthwise(params, f"{block}.depthwise", x, stride=stride, padding=padding))


def project(params: Params, block: str, x: Float[Array, "B H W D"]) -> Float[Array, "B H W C"]:
    """The block's last product, which narrows; linear."""
    return conv(params, f"{block}.project", x)


def trunk(
    params: Params, picture: Float[Array, "B H W 3"], padding: Padding
) -> tuple[Float[Array, "B h w D"], dict[int, Array]]:
    """All sixteen blocks.

    Args:
      params: the network's weights.
      picture: the crop in the network's own range.
      padding: rule of the strided layers.

    Returns:
      The last block's filtered channels at 1/32 of the size, and the inputs of all blocks by index.
    """
    x = stem(params, picture, padding)
    inputs = {}
    last = len(STRIDES) - 1
    for i, stride in enumerate(STRIDES):
        block = f"blocks.{i}"
        inputs[i] = x
        wide = filter_channels(params, block, expand(params, block, x), stride, padding)
        if i == last:
            return wide, inputs
        x = project(params, block, wide) + (x if i in RESIDUAL else 0)
    raise AssertionError("unreachable")
