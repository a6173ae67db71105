"""ScoreHOI's entries in the registry of weights: the authors' checkpoints and their parts, and what hoijax ships."""

from hoijax.nets.blocks.pointnext import PointNeXt
from hoijax.nets.blocks.resnet import ResNet, ResNetConfig
from hoijax.nets.scorehoi.denoiser import make_denoiser
from hoijax.nets.scorehoi.heads import (
    NUM_BODY_JOINTS,
    NUM_HAND_JOINTS,
    BodyRotationNet,
    BoxNet,
    HandRotationNet,
    ObjectHead,
    PositionNet,
)
from hoijax.nets.scorehoi.pooled_denoiser import PooledDenoiser
from hoijax.nets.scorehoi.published import denoiser_companions, regressor_companions
from hoijax.nets.scorehoi.regressor import ScoreHOIRegressor
from hoijax.nets.scorehoi.sizes import pointnext_config, prior_config, sizes_of
from hoijax.nets.scorehoi.transformers import UNUSED, ContactFormer, CRFormer, TransformerConfig
from hoijax.nets.weights import Entry

CHANNELS = ResNetConfig().out_channels
OBJECT_FEATURES = 64 * 3 + 1024
BODY_RESNET = ResNetConfig(in_channels=5, inject=OBJECT_FEATURES, stem_name="conv1_mask")

AUTHORS = {"size": "full", "attention": "released", "body": "smplh", "flat_hand_mean": False, "vertices": 431}
"""The authors' networks as they were trained: on SMPL-H with hand poses about MANO's mean hand (specs 2.2, 5.3)."""


def _part(title, make, ignore=()) -> Entry:
    return Entry(f"ScoreHOI's {title}", lambda _, rngs: make(rngs), published={}, ignore=ignore)


WEIGHTS = {
    # The authors' file also holds the body model's tables, which come from the body's own file.
    "scorehoi_regressor": Entry(
        "ScoreHOI's first stage: regressor, contact predictor, mesh refiner",
        lambda facts, rngs: ScoreHOIRegressor(sizes_of(facts["size"])[0], rngs),
        published={"stage": 1, **AUTHORS, "geometry": "pointnext"},
        ignore=(*UNUSED, "smplh_layer.*"),
        shipped="scorehoi/regressor.safetensors",
        sha256="bf992d3694c5c210eb668852619fb205b5d74b71b5354228aa8823b3a3dd4e09",
        companions=regressor_companions,
    ),
    "scorehoi_denoiser": Entry(
        "ScoreHOI's denoiser",
        lambda facts, rngs: make_denoiser(sizes_of(facts["size"], facts.get("attention", "ip_adapter"))[1], rngs),
        published={"stage": 2, **AUTHORS, "betas_range": None},
        shipped="scorehoi/denoiser.safetensors",
        sha256="aeaaa1cd6553fdc1d274a4f41f3d0ecc369bd6d685c6512e7494c9c23f04ced8",
        companions=denoiser_companions,
    ),
    "scorehoi_prior": Entry(
        "ScoreHOI's denoiser without pictures",
        lambda facts, rngs: PooledDenoiser(prior_config(facts), rngs),
        shipped="scorehoi/prior.safetensors",
        sha256="7c80cecced4e596e5f5ae275a6866d3cf5ce75805f496d43391e146e3c4ff465",
    ),
    # openpoints' ModelNet40 checkpoint of width 64, less its classifier.
    "pointnext_s": Entry(
        "PointNeXt-S, the encoder of an object's points",
        lambda facts, rngs: PointNeXt(pointnext_config(facts), rngs),
        published={},
        ignore=("prediction.*",),
    ),
    "scorehoi_backbone_resnet50": _part("backbone", lambda rngs: ResNet(BODY_RESNET, rngs)),
    "scorehoi_position_body": _part("body joints", lambda rngs: PositionNet(CHANNELS, NUM_BODY_JOINTS, rngs)),
    "scorehoi_position_hand": _part("hand joints", lambda rngs: PositionNet(CHANNELS, NUM_HAND_JOINTS, rngs)),
    "scorehoi_boxnet": _part("hand boxes", lambda rngs: BoxNet(CHANNELS, rngs)),
    "scorehoi_rotation_body": _part("body rotations", lambda rngs: BodyRotationNet(CHANNELS, rngs)),
    "scorehoi_rotation_hand": _part("hand rotations", lambda rngs: HandRotationNet(CHANNELS, rngs)),
    "scorehoi_object_regressor": _part("object head", lambda rngs: ObjectHead(CHANNELS, OBJECT_FEATURES, rngs)),
    "scorehoi_contactformer": _part("contact predictor", lambda rngs: ContactFormer(TransformerConfig(), rngs), UNUSED),
    "scorehoi_crformer": _part("mesh refiner", lambda rngs: CRFormer(TransformerConfig(), rngs), UNUSED),
}
