"""The parts of ScoreHOI's checkpoints by name: which module each fills, and which of its keys mean nothing."""

from hoijax.nets.convert import Checkpoint
from hoijax.nets.pointnext import PointNeXt, PointNeXtConfig
from hoijax.nets.resnet import ResNet, ResNetConfig
from hoijax.nets.scorehoi.heads import (
    NUM_BODY_JOINTS,
    NUM_HAND_JOINTS,
    BodyRotationNet,
    BoxNet,
    HandRotationNet,
    ObjectHead,
    PositionNet,
)
from hoijax.nets.scorehoi.regressor import RegressorConfig, ScoreHOIRegressor
from hoijax.nets.scorehoi.released_denoiser import ReleasedDenoiser, ReleasedDenoiserConfig
from hoijax.nets.scorehoi.transformers import UNUSED, ContactFormer, CRFormer, TransformerConfig

CHANNELS = ResNetConfig().out_channels
OBJECT_FEATURES = 64 * 3 + 1024
BODY_RESNET = ResNetConfig(in_channels=5, inject=OBJECT_FEATURES, stem_name="conv1_mask")

CHECKPOINTS = {
    "scorehoi_backbone_resnet50": Checkpoint(lambda rngs: ResNet(BODY_RESNET, rngs)),
    "scorehoi_position_body": Checkpoint(lambda rngs: PositionNet(CHANNELS, NUM_BODY_JOINTS, rngs)),
    "scorehoi_position_hand": Checkpoint(lambda rngs: PositionNet(CHANNELS, NUM_HAND_JOINTS, rngs)),
    "scorehoi_boxnet": Checkpoint(lambda rngs: BoxNet(CHANNELS, rngs)),
    "scorehoi_rotation_body": Checkpoint(lambda rngs: BodyRotationNet(CHANNELS, rngs)),
    "scorehoi_rotation_hand": Checkpoint(lambda rngs: HandRotationNet(CHANNELS, rngs)),
    "scorehoi_object_regressor": Checkpoint(lambda rngs: ObjectHead(CHANNELS, OBJECT_FEATURES, rngs)),
    "scorehoi_contactformer": Checkpoint(lambda rngs: ContactFormer(TransformerConfig(), rngs), UNUSED),
    "scorehoi_crformer": Checkpoint(lambda rngs: CRFormer(TransformerConfig(), rngs), UNUSED),
    "scorehoi_denoiser": Checkpoint(lambda rngs: ReleasedDenoiser(ReleasedDenoiserConfig(), rngs)),
    # The whole first stage; the authors' file also holds the body model's tables, which come from the body's own file.
    "scorehoi_regressor": Checkpoint(
        lambda rngs: ScoreHOIRegressor(RegressorConfig(), rngs), (*UNUSED, "smplh_layer.*")
    ),
    # openpoints' ModelNet40 checkpoint of width 64, less its classifier.
    "pointnext_s": Checkpoint(lambda rngs: PointNeXt(PointNeXtConfig(), rngs), ("prediction.*",)),
}
