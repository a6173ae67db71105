"""Turns the nude surface into a dressed one: cloth is smoothed and lifted, hair has volume.

Smoothing is a fixed linear map of vertex positions, so it holds for every shape; the lift is a constant displacement of
a few millimetres.
"""

import dataclasses

import numpy as np
from scipy.spatial import cKDTree

from .regions import REGION
from .surface import FLIP, apply, fill_smooth, grow, ring_distance, smoothing, vertex_normals

SHIRT_LIFT, TROUSER_LIFT, CUFF_LIFT, HAIR_LIFT = 0.004, 0.0025, 0.007, 0.011  # metres
BUMP_RADIUS = 0.028  # metres around each nipple and the navel that a membrane replaces


def _bumps(surface, labels, border):
    """Vertices around the nipples and the navel, which MakeHuman models with its finest mesh of the trunk."""
    mean = surface.mean
    x, _, z = mean.T
    edges = surface.adjacent.tocoo()
    length = np.linalg.norm(mean[edges.row] - mean[edges.col], axis=1)
    mean_edge = np.bincount(edges.row, length) / np.bincount(edges.row)
    shirt = (labels == REGION["shirt"]) & (z > 0.03) & ~grow(surface.adjacent, border, 3)
    bump = np.zeros(len(labels), bool)
    for place in (x > 0.05, x < -0.05, np.abs(x) < 0.02):
        finest = np.flatnonzero(shirt & place & (np.abs(x) < 0.17))
        seed = finest[np.argmin(mean_edge[finest])]
        bump |= np.linalg.norm(mean - mean[seed], axis=1) < BUMP_RADIUS
    return bump & shirt


def smooth_cloth(surface, labels, border):
    """Smooths what cloth would hide: nipples and navel by a membrane, folds by volume-keeping (Taubin) smoothing."""
    adjacent = surface.adjacent
    fields = apply(fill_smooth(adjacent, _bumps(surface, labels, border)), surface.fields)
    cloth = np.isin(labels, (REGION["shirt"], REGION["trousers"]))
    inside = np.minimum(ring_distance(adjacent, ~cloth | border, 5), 4) / 4.0
    forward, backward = smoothing(adjacent, 0.5 * inside), smoothing(adjacent, -0.52 * inside)
    for _ in range(14):
        fields = apply(backward, apply(forward, fields))
    fields = 0.5 * (fields + fields[:, surface.mirror] * FLIP)
    return dataclasses.replace(surface, fields=fields)


def lift(surface, labels, border):
    """Displaces the mean shape by a constant: cloth stands off the skin, hair has volume."""
    mean, adjacent = surface.mean, surface.adjacent
    normal = vertex_normals(mean, surface.faces)
    height = np.zeros(len(labels))
    height[labels == REGION["shirt"]] = SHIRT_LIFT
    legs, hair = labels == REGION["trousers"], labels == REGION["hair"]
    above_cuff = mean[legs, 1] - mean[legs, 1].min()
    height[legs] = TROUSER_LIFT + (CUFF_LIFT - TROUSER_LIFT) * np.clip(1 - above_cuff / 0.10, 0, 1) ** 2
    away = cKDTree(mean[labels == REGION["skin"]]).query(mean)[0]
    depth = np.clip((away - 0.002) / 0.028, 0, 1)
    height[hair] = 0.0015 + HAIR_LIFT * (depth * depth * (3 - 2 * depth))[hair]
    step = smoothing(adjacent, 0.5 * (hair & ~border))
    for _ in range(6):
        height, normal = step @ height, step @ normal
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    fields = surface.fields.copy()
    fields[0] += height[:, None] * normal
    fields = 0.5 * (fields + fields[:, surface.mirror] * FLIP)
    return dataclasses.replace(surface, fields=fields)
