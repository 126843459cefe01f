"""Earlier names of stored fields, so that run states and folders of older versions still load."""

from __future__ import annotations

from typing import Any

RENAMED = {
    "centre_sigma": "center_sigma",
    "wide_roll_share": "wide_roll_prob",
    "unrolled_share": "unrolled_prob",
    "flip_share": "flip_prob",
    "grey": "gray",
    "lowest_resolution": "min_resolution",
    "embed_share": "embed_prob",
    "trim_share": "trim_prob",
    "gatherings": "composites",
    "portrait_share": "portrait_prob",
    "mosaic_share": "mosaic_prob",
    "empty_share": "empty_prob",
    "decoys": "distractors",
    "bars_share": "bars_prob",
    "narrowest": "min_extent",
    "smallest": "min_size",
    "visible": "min_visible",
    "annotator_share": "annotator_fraction",
    "curve_share": "curve_fraction",
    "colour_cast": "color_cast",
    "colour_cast_deviation": "color_cast_deviation",
    "roi_share": "roi_fraction",
    "frontal_share": "frontal_prob",
    "level_share": "level_prob",
    "dark_lenses": "dark_lens_prob",
    "fixed_norm_share": "settle_fraction",
    "coarse_share": "coarse_fraction",
    "range_weight": "activation_penalty_weight",
    "rest_backbone": "freeze_backbone",
    "norms_fixed": "batch_norm_frozen",
    "shares": "sampling_weights",
}
"""Present name by earlier name."""


def with_new_field_names(stored: Any) -> Any:
    """Return what was read from JSON with the present names of all fields, at any depth."""
    if isinstance(stored, dict):
        return {RENAMED.get(key, key): with_new_field_names(value) for key, value in stored.items()}
    return [with_new_field_names(value) for value in stored] if isinstance(stored, list) else stored
