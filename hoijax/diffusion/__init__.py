"""Diffusion for interactions: schedules, deterministic DDIM both ways, score guidance, ScoreHOI's state layout."""

from hoijax.diffusion.ddim import DDIMResult, Guidance, ddim_invert, ddim_sample, guided_noise, time_grid
from hoijax.diffusion.hoi_state import STATE_SIZE, BetasRange, HOIState, betas_range, pack, unpack
from hoijax.diffusion.schedule import (
    Schedule,
    cosine_schedule,
    linear_schedule,
    noise_from_x0,
    q_sample,
    schedule_from_betas,
    x0_from_noise,
)

__all__ = [
    "STATE_SIZE",
    "BetasRange",
    "DDIMResult",
    "Guidance",
    "HOIState",
    "Schedule",
    "betas_range",
    "cosine_schedule",
    "ddim_invert",
    "ddim_sample",
    "guided_noise",
    "linear_schedule",
    "noise_from_x0",
    "pack",
    "q_sample",
    "schedule_from_betas",
    "time_grid",
    "unpack",
    "x0_from_noise",
]
