"""ResNet with bottleneck blocks (He et al. 2016; stride on the 3x3 convolution), over (B, H, W, C).

Attribute names are torchvision's. ScoreHOI's body backbone differs in the stem: five input channels under the name
`conv1_mask`, and a linear map of the object's features added to the stem's output before its normalisation.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from hoijax.nets.blocks.convolutions import conv, max_pool
from hoijax.nets.blocks.norms import batch_norm

ArrayLike = jax.Array | np.ndarray


@dataclasses.dataclass(frozen=True)
class ResNetConfig:
    """Sizes of a ResNet; the defaults are ResNet-50."""

    in_channels: int = 3
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    """Channels of the stem; stage i has `width * 2**i`, its output four times that."""
    inject: int = 0
    """Size of the feature vector added to the stem's output (ScoreHOI: 1216), 0 for none."""
    stem_name: str = "conv1"

    @property
    def out_channels(self) -> int:
        """Channels of the feature map, at 1/32 of the image's size."""
        return 4 * self.width * 2 ** (len(self.blocks) - 1)


class Bottleneck(nnx.Module):
    """1x1, 3x3, 1x1 convolutions with a residual; the last widens four times."""

    def __init__(self, inputs: int, width: int, stride: int, rngs: nnx.Rngs):
        self.conv1 = conv(inputs, width, 1, rngs, use_bias=False)
        self.bn1 = batch_norm(width, rngs)
        self.conv2 = conv(width, width, 3, rngs, stride=stride, use_bias=False)
        self.bn2 = batch_norm(width, rngs)
        self.conv3 = conv(width, 4 * width, 1, rngs, use_bias=False)
        self.bn3 = batch_norm(4 * width, rngs)
        self.downsample = nnx.List([])
        if stride != 1 or inputs != 4 * width:
            self.downsample = nnx.List(
                [conv(inputs, 4 * width, 1, rngs, stride=stride, use_bias=False), batch_norm(4 * width, rngs)]
            )

    def __call__(self, x: jax.Array) -> jax.Array:
        """The block's output, (B, H / stride, W / stride, 4 width)."""
        y = jax.nn.relu(self.bn1(self.conv1(x)))
        y = jax.nn.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        for layer in self.downsample:
            x = layer(x)
        return jax.nn.relu(x + y)


class ResNet(nnx.Module):
    """The feature map of an image."""

    def __init__(self, config: ResNetConfig, rngs: nnx.Rngs):
        self.config = config
        setattr(self, config.stem_name, conv(config.in_channels, config.width, 7, rngs, stride=2, use_bias=False))
        if config.inject:
            self.obj_linear = nnx.Linear(config.inject, config.width, rngs=rngs)
        self.bn1 = batch_norm(config.width, rngs)
        inputs = config.width
        for stage, count in enumerate(config.blocks):
            width, blocks = config.width * 2**stage, []
            for i in range(count):
                blocks.append(Bottleneck(inputs, width, 2 if stage and not i else 1, rngs))
                inputs = 4 * width
            setattr(self, f"layer{stage + 1}", nnx.List(blocks))

    def __call__(
        self, image: Float[ArrayLike, "B H W C"], inject: Float[ArrayLike, "B E"] | None = None
    ) -> Float[jax.Array, "B H32 W32 F"]:
        """Features at 1/32 of the image's size.

        Args:
          image: channels last.
          inject: features added to the stem's output, where the config has `inject`.

        Raises:
          ValueError: `inject` is missing or not expected.
        """
        if (inject is None) == bool(self.config.inject):
            raise ValueError(f"this ResNet injects {self.config.inject} features, got {inject is not None=}")
        x = getattr(self, self.config.stem_name)(image)
        if inject is not None:
            x = x + jnp.broadcast_to(self.obj_linear(inject)[:, None, None, :], x.shape)
        x = jax.nn.relu(self.bn1(x))
        x = max_pool(x)
        for stage in range(len(self.config.blocks)):
            for block in getattr(self, f"layer{stage + 1}"):
                x = block(x)
        return x
