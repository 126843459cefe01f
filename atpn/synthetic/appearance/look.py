"""Appearance of a face: skin, lips, brows, beard, make-up, hair, eyes, painted into a texture atlas per identity.

Colors are display (gamma) values in [0, 1], RGB. The atlas is (TILE, 2 * TILE).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from atpn.synthetic.appearance.wrinkles import Wrinkles
from atpn.synthetic.heads.head import HeadModel, Part, SurfacePoints
from atpn.synthetic.heads.makehuman import TILE, Hair, Wardrobe
from atpn.synthetic.heads.morphs import ADULT
from atpn.synthetic.heads.surface import sample_triangles

LIGHTEST_SKIN, DARKEST_SKIN = np.array([0.95, 0.80, 0.71]), np.array([0.31, 0.19, 0.13])
_HAIR_COLORS = np.array(
    [
        [0.08, 0.06, 0.05],
        [0.20, 0.13, 0.09],
        [0.35, 0.24, 0.15],
        [0.65, 0.52, 0.35],
        [0.45, 0.25, 0.13],
        [0.60, 0.60, 0.60],
        [0.85, 0.83, 0.80],
    ]
)
_HAIR_PROBS = (0.38, 0.22, 0.14, 0.08, 0.06, 0.08, 0.04)
_IRIS_COLORS = np.array(
    [
        [0.18, 0.10, 0.05],
        [0.12, 0.07, 0.04],
        [0.35, 0.22, 0.10],
        [0.35, 0.45, 0.60],
        [0.35, 0.45, 0.35],
        [0.50, 0.55, 0.60],
    ]
)
_IRIS_PROBS = (0.35, 0.25, 0.15, 0.12, 0.08, 0.05)
# Fractions of a brow's length along the skin, from its outer to its inner end, at which WFLW's upper and lower points
# lie. Seen from the front, where the temple turns away, they are the markup's 0.2, 0.47 and 0.75.
_UPPER_FRACTIONS = (0.0, 0.28, 0.56, 0.81, 1.0)
_LOWER_FRACTIONS = (1.0, 0.81, 0.56, 0.28)
# A brow's edges lie where its contrast to the skin is this fraction of the maximum there, its ends where
# that maximum is this fraction of the brow's. (Quantiles of its hair, 1 % and 99 %, included invisible hair.)
_BROW_EDGE, _BROW_TIP = 0.4, 0.25
# The end points lie by this fraction of the brow's height below its upper edge, close to the row of the upper points.
_BROW_END = 0.3
# Minimum contrast of a visible brow, of the display range: ten gray levels.
_BROW_SHOWS = 0.04


@dataclass(frozen=True)
class Look:
    """One identity's appearance."""

    atlas: np.ndarray
    """(TILE, 2 * TILE, 3) uint8."""
    relief: np.ndarray
    """(TILE, 2 * TILE) uint8 height of the skin: wrinkles and pores, 128 on smooth skin."""
    age: float
    """0 to 1, young to old."""
    brows: SurfacePoints
    """(18,): WFLW points 33 to 50, on the drawn brows."""
    brows_seen: np.ndarray
    """(18,) bool: whether each point's brow stands out from the skin; otherwise its place is a guess."""
    hair_color: np.ndarray
    """(3,)."""
    hair: Hair | None
    scalp_offset: np.ndarray
    """(V,) height of short hair along the scalp's normals, centimeters."""
    iris: np.ndarray
    """(3,)."""
    iris_angle: float
    """Radius of the iris seen from the eyeball's center, radians."""
    pupil_fraction: float
    """Pupil radius over iris radius."""
    skin: str
    """Name of the photographic skin, for splits."""


class Painter:
    """Paints looks for one head model; masks that every look needs are made once."""

    def __init__(self, head: HeadModel, wardrobe: Wardrobe | None) -> None:
        self.head = head
        self.wardrobe = wardrobe
        rng = np.random.default_rng(7)
        self._vertex_texel = np.zeros((len(head.neutral), 2))
        self._vertex_texel[head.uv_source] = head.uv * (2 * TILE, TILE)
        self._landmark_texel = SurfacePoints(head.landmarks.vertices, head.landmarks.weights).at(self._vertex_texel)
        self._surface_tree, self._surface = self._surface_samples(rng)
        position = wardrobe.atlas_position if wardrobe else self._atlas_position()
        x, y, z = position[..., 0], -position[..., 1], -position[..., 2]  # y up, z toward the camera
        self._on_skin = np.isfinite(x)
        x, y, z = (np.nan_to_num(v, nan=-99.0) for v in (x, y, z))
        self._lips = self._polygon(range(76, 88), 0.8)
        off_lips = 1 - self._polygon(range(76, 88), 1.0)
        cheeks_and_up = ((y > -1.6) & (np.abs(x) < 5.6)) | ((np.abs(x) < 5.2) & (y > -1.5))
        beard = (y < -0.2) & (y > -11) & (z > 2.5) & ~cheeks_and_up
        moustache = (np.abs(x) < 2.6) & (y < -1.3) & (y > -3.4) & (z > 8)
        goatee = (np.abs(x) < 2.4) & (y < -4.6) & (y > -11) & (z > 7)
        self._beards = [_soft(mask, blur) * off_lips for mask, blur in ((beard, 2.5), (moustache, 1.2), (goatee, 2.0))]
        self._lids = _soft(np.hypot((np.abs(x) - 3.2) / 2.6, (y - 4.0) / 1.3) < 1, 2.0) * (z > 4)
        self._cheeks = np.exp(-(np.hypot((np.abs(x) - 4.6) / 2.2, (y + 0.5) / 1.8) ** 2)) * (z > 4)
        self._hairline = _above_hairline(x, y, z)
        self._hairline[~self._on_skin] = -9.0
        rest = head.neutral * (1, -1, -1)
        self._vertex_hairline = np.where(head.part == Part.SKIN, _above_hairline(*rest.T), -9.0)
        self._strokes = [_stroke_noise(count, rng) for count in (800, 1600, 2600, 800, 1600, 2600)]
        self._wrinkles = Wrinkles(self._landmark_texel, (TILE, 2 * TILE))
        self._brow_layers = self._load_brows()
        if wardrobe:
            shares = np.array([0.25 if covers_eyes(hair, head) else 1.0 for hair in wardrobe.hair])
            self._hair_probs = shares / shares.sum()

    def paint(self, rng: np.random.Generator, age: float | None = None) -> Look:
        """Return a random look; `age` is that of the head's build (see `morphs.Build`), None for any adult's."""
        child = age is not None and age < ADULT
        skin, atlas = self._skin(rng, child)
        if age is None:
            age = rng.beta(1.1, 1.9) + (0.3 if skin.startswith("old") else 0)
        else:
            age = (age - ADULT) / (1 - ADULT) + rng.normal(0, 0.1)
        age = 0.0 if child else float(np.clip(age, 0, 1))
        hair_color = _HAIR_COLORS[rng.choice(7, p=_HAIR_PROBS)]
        if rng.random() < 1.6 * (age - 0.4):  # from middle age on, hair turns gray
            hair_color = _HAIR_COLORS[rng.choice([5, 6])]
        hair_color = np.clip(hair_color * rng.uniform(0.7, 1.3), 0.02, 0.95)
        self._complexion(atlas, rng, child)
        relief = self._wrinkles.paint(atlas, age, rng)
        if rng.random() < 0.45 and not child:
            self._beard(atlas, hair_color, rng)
        brows, brows_seen = self._brows(atlas, hair_color, rng)
        offset, hair = self._hair(atlas, hair_color, rng)
        return Look(
            atlas=(np.clip(atlas, 0, 1) * 255).astype(np.uint8),
            relief=relief,
            age=age,
            brows=brows,
            brows_seen=brows_seen,
            hair_color=hair_color,
            hair=hair,
            scalp_offset=offset,
            iris=_IRIS_COLORS[rng.choice(6, p=_IRIS_PROBS)],
            iris_angle=float(rng.uniform(0.43, 0.55)),
            pupil_fraction=float(rng.uniform(0.3, 0.6)),
            skin=skin,
        )

    def _skin(self, rng: np.random.Generator, child: bool) -> tuple[str, np.ndarray]:
        """Return a photographic skin (smoothed for children), sometimes two mixed, shifted to a random human tone."""
        share = rng.random()
        tone = LIGHTEST_SKIN * (1 - share) + DARKEST_SKIN * share
        if self.wardrobe is None:
            atlas = np.tile(tone.astype(np.float32), (TILE, 2 * TILE, 1))
            return "plain", atlas * rng.normal(1, 0.02, (TILE, 2 * TILE, 1)).astype(np.float32)
        skins = self.wardrobe.skins
        first, second = rng.integers(0, len(skins), 2)
        atlas = skins[first].astype(np.float32) / 255
        if rng.random() < 0.4:
            atlas += (skins[second].astype(np.float32) / 255 - atlas) * np.float32(rng.random())
        if child:
            atlas = cv2.bilateralFilter(atlas, 7, 0.12, 2.0)
        mean = atlas[TILE // 4 : 5 * TILE // 8, TILE // 4 : 3 * TILE // 4].reshape(-1, 3).mean(axis=0)
        target = tone * rng.normal(1, 0.06, 3) if rng.random() < 0.5 else mean * np.clip(rng.normal(1, 0.15), 0.6, 1.5)
        atlas = np.clip((atlas - mean) * np.float32(rng.uniform(0.8, 1.6)) + target.astype(np.float32), 0.02, 1)
        return self.wardrobe.skin_names[first], atlas

    def _complexion(self, atlas: np.ndarray, rng: np.random.Generator, child: bool) -> None:
        """Add blotches, lip color, eye shadow or rings, rouge; less for children."""
        if rng.random() < 0.6:
            noise = cv2.resize(rng.normal(0, 1, (8, 16, 3)).astype(np.float32), (2 * TILE, TILE), None, 0, 0, 2)
            atlas += noise * np.float32(rng.uniform(0, 0.03))
        skin = atlas[TILE // 2, TILE // 4 : 3 * TILE // 4].mean(axis=0)
        if rng.random() < 0.8:
            _blend(atlas, skin * rng.uniform([0.75, 0.4, 0.4], [1.1, 0.95, 0.95]), self._lips, rng.uniform(0.1, 0.9))
        if rng.random() < (0.05 if child else 0.35):
            shadow = rng.uniform(0, 0.6, 3) if rng.random() < 0.4 else skin * rng.uniform(0.4, 0.9)
            _blend(atlas, shadow, self._lids, rng.uniform(0.1, 0.6))
        if rng.random() < 0.3:
            _blend(atlas, np.array([0.8, 0.35, 0.35]), self._cheeks, rng.uniform(0.05, 0.35))
        if rng.random() < 0.25:
            self._spots(atlas, skin, rng)

    def _spots(self, atlas: np.ndarray, skin: np.ndarray, rng: np.random.Generator) -> None:
        """Add freckles over nose and cheeks, or a few moles and pimples."""
        freckles = rng.random() < 0.5
        center = self._landmark_texel[54] if freckles else self._landmark_texel.mean(axis=0)
        count = int(rng.integers(40, 250) if freckles else rng.integers(1, 12))
        places = rng.normal(center, (0.14 * TILE, 0.07 * TILE) if freckles else (0.16 * TILE, 0.2 * TILE), (count, 2))
        mask = np.zeros((TILE, 2 * TILE), np.uint8)
        for place in (places * 16).astype(int):
            radius = int(rng.uniform(6, 12) if freckles else rng.uniform(10, 28))
            cv2.circle(mask, place.tolist(), radius, int(rng.integers(80, 256)), -1, cv2.LINE_AA, 4)
        color = skin * (rng.uniform(0.55, 0.8) if freckles else rng.uniform((0.4, 0.2, 0.2), (1.1, 0.6, 0.6)))
        _blend(atlas, color, mask.astype(np.float32) / 255, rng.uniform(0.3, 0.9))

    def _beard(self, atlas: np.ndarray, color: np.ndarray, rng: np.random.Generator) -> None:
        enabled = rng.random(3) < (0.6, 0.6, 0.7)
        mask = np.max([beard * on for beard, on in zip(self._beards, enabled, strict=True)], axis=0)
        strokes = np.roll(self._stroke(rng), tuple(rng.integers(0, TILE, 2)), (0, 1))
        density = rng.uniform(0.15, 1.0)
        opacity = mask * np.clip(density * 0.45 + strokes * density, 0, 1)
        _blend(atlas, color * rng.uniform(0.6, 1.3), opacity, rng.choice([0.4, 0.7, 1.0]))

    def _brows(
        self, atlas: np.ndarray, color: np.ndarray, rng: np.random.Generator
    ) -> tuple[SurfacePoints, np.ndarray]:
        """Draw both brows, slightly moved; return the landmarks on them and whether (18,) each is visible."""
        layer = self._brow_layers[rng.integers(len(self._brow_layers))]
        gain = rng.uniform(0.7, 2.2)
        shift, lift = rng.uniform(-2, 2), rng.uniform(-6.5, 1.5)
        turn, length, height = rng.uniform(-6, 6), rng.uniform(0.9, 1.12), rng.uniform(0.7, 1.9)
        total = np.zeros((TILE, 2 * TILE), np.float32)
        sides = []
        for side, brow in zip((1, -1), layer, strict=True):  # the image's left, then the mirrored right
            moment = cv2.moments(brow)
            center = np.array([moment["m10"], moment["m01"]]) / moment["m00"]
            c, s = np.cos(np.radians(side * turn)), np.sin(np.radians(side * turn))
            linear = np.array([[c * length, -s * height], [s * length, c * height]])
            goal = center + np.array([side * shift, lift + rng.normal(0, 0.35)])
            matrix = np.column_stack([linear, goal - linear @ center])
            moved = cv2.warpAffine(brow, matrix, (2 * TILE, TILE))
            np.maximum(total, moved, out=total)
            sides.append(moved)
        texture = np.ones_like(total) if rng.random() < 0.5 else 0.6 + 0.4 * self._stroke(rng)
        opacity = np.clip(total * gain, 0, 1) * texture
        skin = atlas.copy()
        _blend(atlas, color * rng.uniform(0.5, 1.1), opacity, rng.choice([0.5, 0.8, 1.0], p=[0.15, 0.3, 0.55]))
        contrast = cv2.GaussianBlur(np.abs(atlas - skin).mean(axis=2), (0, 0), 0.7)  # between hairs, too
        places, seen = [], []
        for moved, outer_first in zip(sides, (True, False), strict=True):
            shown = contrast * (moved > 0)
            seen.append(shown.max() >= _BROW_SHOWS)
            places.append(_brow_points(shown if seen[-1] else moved, outer_first))
        _, nearest = self._surface_tree.query(np.concatenate(places))
        points = SurfacePoints(self._surface.vertices[nearest], self._surface.weights[nearest])
        return points, np.repeat(seen, 9)

    def _hair(self, atlas: np.ndarray, color: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Hair | None]:
        """Paint short hair above a hairline; return its (V,) height, and often a hair mesh."""
        bald = np.zeros(len(self.head.neutral), np.float32)
        if rng.random() < 0.1:
            return bald, None
        shift = rng.normal(0, 0.9)
        noise = cv2.resize(rng.normal(0, 0.35, (24, 48)).astype(np.float32), (2 * TILE, TILE), None, 0, 0, 2)
        edge = (self._hairline + shift + noise + 0.9 * (self._stroke(rng) - 0.3)) * rng.uniform(2, 6)
        strands = (0.5 + 0.8 * self._stroke(rng))[..., None]
        opacity = (1 / (1 + np.exp(-np.clip(edge, -30, 30))))[..., None].astype(np.float32)
        atlas += (color.astype(np.float32) * strands - atlas) * opacity
        offset = np.clip((self._vertex_hairline + shift) * 0.8, 0, 1) * rng.uniform(0, 1.2)
        hair = None
        if self.wardrobe and rng.random() < 0.6:
            hair = self.wardrobe.hair[rng.choice(len(self.wardrobe.hair), p=self._hair_probs)]
        return offset.astype(np.float32), hair

    def _stroke(self, rng: np.random.Generator) -> np.ndarray:
        return self._strokes[rng.integers(len(self._strokes))]

    def _load_brows(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return (TILE, 2 * TILE) float32 opacity layers of brow pairs: the image's left and right brow."""
        if self.wardrobe is None:
            return [(self._drawn_brow(range(33, 38), w), self._drawn_brow(range(46, 41, -1), w)) for w in (2, 3, 4)]
        layers = []
        middle = self._landmark_texel[51, 0]
        for brow in self.wardrobe.brows:
            whole = np.zeros((TILE, 2 * TILE), np.float32)
            whole[:, :TILE] = cv2.GaussianBlur(brow.astype(np.float32) / 255, (0, 0), 0.5)
            columns = np.arange(2 * TILE)
            pair = whole * (columns < middle), whole * (columns >= middle)
            if all(side.sum() > 5 for side in pair):
                layers.append(pair)
        return layers

    def _drawn_brow(self, indices: range, width: int) -> np.ndarray:
        layer = np.zeros((TILE, 2 * TILE), np.uint8)
        path = (self._landmark_texel[list(indices)] * 16).astype(np.int32)
        cv2.polylines(layer, [path], False, 255, width, cv2.LINE_AA, 4)
        return layer.astype(np.float32) / 255

    def _surface_samples(self, rng: np.random.Generator) -> tuple[cKDTree, SurfacePoints]:
        """Return skin points around the brows, and a tree of their places in the texture."""
        head = self.head
        brow = head.landmarks.at(head.neutral)[33:51]
        triangles = head.triangles
        near = (head.part[triangles] == Part.SKIN).all(axis=1)
        center = head.neutral[triangles].mean(axis=1)
        low, high = brow.min(axis=0) - np.array([2, 3, 2]), brow.max(axis=0) + np.array([2, 3, 5])
        near &= ((center > low) & (center < high)).all(axis=1)
        # The atlas' two tiles meet at the side of the head: keep to the brows' own tile.
        corners = head.uv[head.uv_triangles[near]] * (2 * TILE, TILE)
        index, weights = sample_triangles(head.neutral, triangles[near], 60_000, rng)
        texel = (corners[index] * weights[..., None]).sum(axis=1)
        return cKDTree(texel), SurfacePoints(triangles[near][index], weights.astype(np.float32))

    def _atlas_position(self) -> np.ndarray:
        """Return each texel's place on the head, (TILE, 2 * TILE, 3); NaN where none is."""
        head = self.head
        skin = (head.part[head.triangles] == Part.SKIN).all(axis=1)
        index, weights = sample_triangles(head.neutral, head.triangles[skin], 400_000, np.random.default_rng(0))
        mix = weights[..., None]
        points = (head.neutral[head.triangles[skin][index]] * mix).sum(axis=1)
        texel = ((head.uv[head.uv_triangles[skin][index]] * mix).sum(axis=1) * (2 * TILE, TILE)).astype(int)
        position = np.full((TILE, 2 * TILE, 3), np.nan, np.float32)
        position[texel[:, 1].clip(0, TILE - 1), texel[:, 0].clip(0, 2 * TILE - 1)] = points
        return position

    def _polygon(self, indices: range, blur: float) -> np.ndarray:
        mask = np.zeros((TILE, 2 * TILE), np.uint8)
        cv2.fillPoly(mask, [self._landmark_texel[list(indices)].round().astype(np.int32)], 1)
        return _soft(mask > 0, blur)


def _above_hairline(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return centimeters above a typical hairline, which never reaches the ears."""
    line = 9.7 - 0.035 * x**2 - np.maximum(3 - z, 0) * 1.15
    return y - line - np.where(np.abs(x) > 8.2, 4, 0)


def covers_eyes(hair: Hair, head: HeadModel) -> bool:
    """Return whether a fringe hangs before an eye."""
    eyes = head.landmarks.at(head.neutral)[60:76]
    low, high = eyes.min(axis=0) - np.array([0.5, 0.5, 3]), eyes.max(axis=0) + np.array([0.5, 1.0, 0])
    return int(((hair.vertices > low) & (hair.vertices < high)).all(axis=1).sum()) > 10


def _soft(mask: np.ndarray, blur: float) -> np.ndarray:
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), blur)


def _blend(atlas: np.ndarray, color: np.ndarray, opacity: np.ndarray, strength: float) -> None:
    atlas += (color.astype(np.float32) - atlas) * (opacity * strength).astype(np.float32)[..., None]


def _stroke_noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return (TILE, 2 * TILE) float32 noise of short, mostly vertical hairs."""
    image = np.zeros((TILE, 2 * TILE), np.uint8)
    start = rng.integers(0, (2 * TILE, TILE), (2 * count, 2))
    angle, length = rng.normal(np.pi / 2, 0.35, 2 * count), rng.uniform(2, 7, 2 * count)
    end = start + length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for a, b, shade in zip(start, end.astype(int), rng.integers(120, 256, 2 * count), strict=True):
        cv2.line(image, a.tolist(), b.tolist(), int(shade), 1, cv2.LINE_AA)
    return image.astype(np.float32) / 255


def _brow_points(brow: np.ndarray, outer_first: bool) -> np.ndarray:
    """Return (9, 2) texels of a brow's contrast, in WFLW's order for its side (see `landmarks.WFLW_98`)."""
    peaks = brow.max(axis=0)
    columns = np.flatnonzero(peaks >= _BROW_TIP * np.quantile(peaks[peaks > 0], 0.75))
    outer, inner = (columns[0], columns[-1]) if outer_first else (columns[-1], columns[0])

    def point(fraction: float, height: float) -> tuple[float, float]:
        column = outer + (inner - outer) * fraction
        profile = brow[:, int(column) - 1 : int(column) + 2].mean(axis=1)
        profile = profile / profile.max()
        rows = np.flatnonzero(profile >= _BROW_EDGE)
        first, last = rows[0], rows[-1]
        upper = first - _beyond(profile[first], profile[first - 1])
        lower = last + _beyond(profile[last], profile[last + 1])
        return column + 0.5, upper + (lower - upper) * height + 0.5

    upper = [point(f, _BROW_END if f in (0.0, 1.0) else 0.0) for f in _UPPER_FRACTIONS]
    lower = [point(f, 1.0) for f in _LOWER_FRACTIONS]
    # The left brow runs 33 (outer) … 37 (inner), back along the lower edge; the right one 42 (inner) … 46 (outer).
    return np.array(upper + lower) if outer_first else np.array(upper[::-1] + lower[::-1])


def _beyond(inside: float, outside: float) -> float:
    """Return the subpixel position of an edge between a row inside it and the next row outside."""
    return float((inside - _BROW_EDGE) / (inside - outside))
