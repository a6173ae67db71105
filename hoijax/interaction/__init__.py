"""Contact, penetration and floor: losses as pure functions of arrays, and the types of an interaction."""

from hoijax.interaction.attraction import attraction_loss, region_distances, smallest_mean
from hoijax.interaction.contact import (
    CONTACT_THRESHOLD,
    SCOREHOI_MARGIN,
    ContactDistances,
    contact_distances,
    contact_loss,
    contact_mask,
    contact_probability,
    hinge_loss,
)
from hoijax.interaction.floor import (
    GRAVITY_CAMERA,
    GRAVITY_WORLD,
    estimate_floor,
    floor_contact_loss,
    floor_penetration_loss,
    height,
    lowest,
    support_loss,
)
from hoijax.interaction.localization import (
    affordance_loss,
    mask_bce_loss,
    mask_dice_loss,
    mask_focal_loss,
    vertex_contact_loss,
)
from hoijax.interaction.normals import facing, normal_loss
from hoijax.interaction.penetration import (
    depth_loss,
    nearest_vertex_depth,
    object_sdf,
    released_penetration,
    signed_distance,
    soft_penetration_loss,
)
from hoijax.interaction.proposals import propose_contacts, propose_region_contacts, region_masks
from hoijax.interaction.regions import ObjectRegion, region_of_box, region_of_triangles, region_of_vertices
from hoijax.interaction.template import bps_points, make_solid_template, make_template, surface_points
from hoijax.interaction.types import Contacts, Interaction, ObjectTemplate
from hoijax.interaction.verdict import THRESHOLDS, Thresholds, Verdict, judge

__all__ = [
    "CONTACT_THRESHOLD",
    "GRAVITY_CAMERA",
    "GRAVITY_WORLD",
    "SCOREHOI_MARGIN",
    "THRESHOLDS",
    "ContactDistances",
    "Contacts",
    "Interaction",
    "ObjectRegion",
    "ObjectTemplate",
    "Thresholds",
    "Verdict",
    "affordance_loss",
    "attraction_loss",
    "bps_points",
    "contact_distances",
    "contact_loss",
    "contact_mask",
    "contact_probability",
    "depth_loss",
    "estimate_floor",
    "facing",
    "floor_contact_loss",
    "floor_penetration_loss",
    "height",
    "hinge_loss",
    "judge",
    "lowest",
    "make_solid_template",
    "make_template",
    "mask_bce_loss",
    "mask_dice_loss",
    "mask_focal_loss",
    "nearest_vertex_depth",
    "normal_loss",
    "object_sdf",
    "propose_contacts",
    "propose_region_contacts",
    "region_distances",
    "region_masks",
    "region_of_box",
    "region_of_triangles",
    "region_of_vertices",
    "released_penetration",
    "signed_distance",
    "smallest_mean",
    "soft_penetration_loss",
    "support_loss",
    "surface_points",
    "vertex_contact_loss",
]
