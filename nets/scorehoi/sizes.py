"""ScoreHOI's networks by size, and which geometry feature a regressor was trained with."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from hoijax.errors import InputError
from hoijax.nets.blocks.pointnext import PointNeXtConfig
from hoijax.nets.scorehoi.conditional_denoiser import ConditionalDenoiserConfig
from hoijax.nets.scorehoi.denoiser import MODES, DenoiserConfig
from hoijax.nets.scorehoi.hand4whole import Hand4WholeConfig
from hoijax.nets.scorehoi.pooled_denoiser import PooledDenoiserConfig
from hoijax.nets.scorehoi.regressor import RegressorConfig
from hoijax.nets.scorehoi.released_denoiser import ReleasedDenoiserConfig

POINT_NUMBERS = 3 * 64
"""Numbers of the object's template points among those that describe it."""


def _tiny() -> tuple[RegressorConfig, DenoiserConfig]:
    parts = Hand4WholeConfig(
        crop=128, blocks=(1, 1, 1, 1), channels=4, box_width=4, joint_width=4, object_features=POINT_NUMBERS + 8
    )
    denoiser = ConditionalDenoiserConfig(
        width=16, depth=1, heads=1, image_features=parts.features, image_tokens=4, object_features=8
    )
    released = ReleasedDenoiserConfig(
        blocks=1, betas_blocks=1, width=16, image_features=parts.features, object_features=parts.object_features,
        geometry_width=16,
    )  # fmt: skip
    return (
        RegressorConfig(parts, object_width=16, token=13, depth=1),
        DenoiserConfig(ip_adapter=denoiser, released=released),
    )


SIZES: dict[str, Callable[[], tuple[RegressorConfig, DenoiserConfig]]] = {
    "tiny": _tiny,
    "small": lambda: (RegressorConfig.small(), DenoiserConfig.small()),
    "full": lambda: (RegressorConfig(), DenoiserConfig()),
}
"""Networks by name; "tiny" learns nothing worth having, in seconds."""


def sizes_of(size: Any, attention: str = "ip_adapter") -> tuple[RegressorConfig, DenoiserConfig]:
    """The networks of a size, the denoiser in one of its attention modes, fitted to the regressor's features.

    Raises:
      InputError: no such size or mode.
    """
    if size not in tuple(SIZES) or attention not in MODES:
        raise InputError(
            f"wanted a size of {', '.join(SIZES)} and an attention of {', '.join(MODES)}; got {size!r}, {attention!r}"
        )
    regressor, denoiser = SIZES[size]()
    parts = regressor.hand4whole
    pooled = PooledDenoiserConfig(image_features=parts.features, object_features=parts.object_features - POINT_NUMBERS)
    return regressor, dataclasses.replace(denoiser, attention_mode=attention, pooled=pooled)


def prior_config(facts: Mapping[str, Any]) -> PooledDenoiserConfig:
    """The denoiser without pictures that some weights' facts describe."""
    sizes = facts["network"]
    return PooledDenoiserConfig(
        width=sizes["width"], depth=sizes["depth"], image_features=1, object_features=sizes["features"]
    )


def pointnext_config(facts: Mapping[str, Any]) -> PointNeXtConfig:
    """The encoder of the object's geometry: the published one, or sizes under "pointnext"."""
    return PointNeXtConfig(**facts.get("pointnext", {}))
