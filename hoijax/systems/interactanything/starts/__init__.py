"""Poses to start from (stage C without diffusion): a bank of scripts by what is done, drawn with variation."""

from hoijax.systems.interactanything.starts.draw import draw_starts
from hoijax.systems.interactanything.starts.setting import STATURE, Setting, Start, Thing

__all__ = ["STATURE", "Setting", "Start", "Thing", "draw_starts"]
