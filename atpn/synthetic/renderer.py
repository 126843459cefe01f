"""From a seed to a labelled picture of a face."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from atpn.data.sample import Sample
from atpn.synthetic.appearance import Look, Painter
from atpn.synthetic.backgrounds import Backgrounds
from atpn.synthetic.boxes import detector_box, tight_box
from atpn.synthetic.degrade import DegradeConfig, degrade
from atpn.synthetic.dense import DenseSet
from atpn.synthetic.expression import sample_expression
from atpn.synthetic.gl import HeadCanvas, Shading
from atpn.synthetic.head import HeadModel
from atpn.synthetic.headwear import sample_headwear
from atpn.synthetic.ict import CHIN_LEAN, CONTOUR_CENTRE, load_ict
from atpn.synthetic.lighting import Lighting, load_panoramas
from atpn.synthetic.makehuman import Wardrobe, load_wardrobe
from atpn.synthetic.morphs import MorphTargets, load_morphs
from atpn.synthetic.occluders import draw_face_mask, draw_glasses, draw_hand, draw_object
from atpn.synthetic.procedural import procedural_head
from edge_runtime.geometry import ROI_MARGIN, Intrinsics, angles_to_matrix, matrix_to_angles, rotation_2d

Split = Literal["all", "train", "held-out"]
HELD_OUT_ASSETS = frozenset(
    {
        "middleage_darkskinned_female_diffuse_512",
        "old_lightskinned_female_diffuse_512",
        "young_lightskinned_male_diffuse2",
        "adams_place_bridge_1k",
        "kiara_1_dawn_1k",
        "lebombo_1k",
    }
)
"""Skins (one dark, one old, one young and light) and panoramas (a street, a field, a room) that training never sees, so
that figures on held-out renders are those of new people in new places."""
_HIDDEN_BEHIND = 0.7
"""Centimetres that the drawn surface may lie in front of a landmark before the landmark counts as hidden."""


@dataclass(frozen=True)
class RenderOptions:
    """What varies, and how much."""

    split: Split = "all"
    """Which skins and panoramas are used: those for training, those held out, or all."""
    size: int = 192
    """Side of the picture in pixels; a face's ROI covers about two thirds of it, more than the network's 112."""
    supersampling: float = 1.5
    """Render larger and shrink: cheaper than multisampling on software OpenGL, and it hides jagged edges."""
    images_per_identity: int = 3
    """Painting an identity costs about as much as drawing it."""
    morphs: float = 0.5
    """Share of people whose head MakeHuman's targets shape, children among them; the others have ICT's modes alone."""
    scenes: float = 0.03
    """Share of people whose pictures are one scene with strangers: crops then hold parts of other faces, too."""
    negatives: float = 0.08
    """Share of pictures without a face."""
    frontal_share: float = 0.6
    """Share of heads with yaw ~ N(0, 18 degrees); the rest is uniform up to `max_yaw`: what cameras see, plus tails."""
    max_yaw: float = 90.0
    level_share: float = 0.85
    """Share of heads with pitch and roll ~ N(0, 12 degrees); the rest is uniform up to `max_tilt`."""
    max_tilt: float = 45.0
    roi_share: tuple[float, float] = (0.55, 0.8)
    """The face's ROI side over the picture's side."""
    glasses: float = 0.18
    headwear: float = 0.14
    """Caps, hats, scarves: on photographs of people outdoors one in six to eight wears something."""
    face_mask: float = 0.03
    occluder: float = 0.17
    degrade: DegradeConfig = field(default_factory=DegradeConfig)


@dataclass(frozen=True)
class Identity:
    """A person: shape and looks."""

    number: int
    surface: np.ndarray
    look: Look


@dataclass(frozen=True)
class Figure:
    """A person before a background, undegraded, with labels in the portrait's pixels."""

    image: np.ndarray
    """(S, S, 3) float32 RGB 0 to 255."""
    covers: np.ndarray
    """(S, S) float32, 1 where the person or what they hold stands before the background."""
    landmarks: np.ndarray
    """(98, 2) float32."""
    visibility: np.ndarray
    """(98,) bool; False, too, where a brow does not stand out from the skin and its place is a guess."""
    dense: np.ndarray
    """(P, 2) float32."""
    dense_visibility: np.ndarray
    """(P,) bool."""
    rotation: np.ndarray
    """(3, 3) head to camera."""
    intrinsics: Intrinsics


@dataclass(frozen=True)
class _Placement:
    """Where a head stands and what the camera sees of its landmarks."""

    rotation: np.ndarray
    translation: np.ndarray
    intrinsics: Intrinsics
    landmarks: np.ndarray
    """(98, 2) pixels."""
    depth: np.ndarray
    """(98,) centimetres along z."""

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) head frame to (N, 2) pixels."""
        camera = points @ self.rotation.T + self.translation
        k = self.intrinsics
        return camera[:, :2] / camera[:, 2:] * (k.fx, k.fy) + (k.cx, k.cy)


class FaceRenderer:
    """Renders labelled faces; every picture is determined by (seed, identity number, picture number)."""

    def __init__(self, assets: Path | None, cache: Path, options: RenderOptions, seed: int) -> None:
        """Without an assets folder a small procedural head stands in.

        Raises:
            FileNotFoundError, ValueError: the assets folder is incomplete; the message says what is missing.
            GraphicsError: no OpenGL.
        """
        self.options, self.seed = options, seed
        self.head: HeadModel
        self.wardrobe: Wardrobe | None = None
        self.morphs: MorphTargets | None = None
        if assets is None:
            self.head = procedural_head()
            panoramas, textures = [], []
        else:
            if not assets.is_dir():
                raise FileNotFoundError(f"assets folder {assets} does not exist")
            self.head = load_ict(assets / "ict_facekit")
            panoramas = load_panoramas(assets / "hdri", self._used)
            self.wardrobe = load_wardrobe(assets / "makehuman", self.head, cache).with_skins(self._used)
            self.morphs = load_morphs(assets / "makehuman", self.head, cache)
            textures = list(self.wardrobe.skins)
        self.dense = DenseSet.of(self.head)
        self._painter = Painter(self.head, self.wardrobe)
        self._lighting = Lighting(panoramas)
        self._backgrounds = Backgrounds(panoramas, textures)
        self.canvas_size = round(options.size * options.supersampling)
        self._canvas = HeadCanvas(self.head, self.wardrobe.hair if self.wardrobe else (), self.canvas_size)
        self._textures = textures

    def _used(self, asset: str) -> bool:
        """Whether this renderer's split may use a skin or panorama of that name."""
        return self.options.split == "all" or (asset in HELD_OUT_ASSETS) == (self.options.split == "held-out")

    def identity(self, number: int) -> Identity:
        """The person of that number."""
        rng = np.random.default_rng((self.seed, number, 0))
        build = self.morphs.sample(rng) if self.morphs and rng.random() < self.options.morphs else None
        # Beyond one standard deviation; less where targets shape the head as well.
        spread = rng.choice([0.8, 1.0, 1.2, 1.4] if build is None else [0.0, 0.3, 0.6])
        weights = np.clip(rng.normal(0, spread, len(self.head.identity)), -2.7, 2.7)
        surface = self.head.identify(weights)
        surface = surface * np.array([rng.normal(1, 0.03), rng.normal(1, 0.03), 1.0], np.float32)
        if build is None or self.morphs is None:
            return Identity(number, surface.astype(np.float32), self._painter.paint(rng, None))
        return Identity(number, self.morphs.apply(surface, build), self._painter.paint(rng, build.age))

    def render(self, identity: Identity, picture: int) -> Sample:
        """One picture of a person, with labels; sometimes a picture of anything but a face."""
        rng = np.random.default_rng((self.seed, identity.number, 1 + picture))
        key = f"{self.seed}_{identity.number:06d}_{picture:02d}"
        if rng.random() < self.options.negatives:
            image = self._backgrounds.negative(rng, self.options.size)
            image = degrade(image.astype(np.float32), rng, self.options.degrade)
            return Sample(image, key=key, attributes=self._attributes(identity))
        figure = self.figure(identity, rng)
        image = degrade(figure.image, rng, self.options.degrade)
        # Boxes draw from a generator of their own, so that pictures do not depend on which labels are made.
        box_rng = np.random.default_rng((self.seed, identity.number, 1 + picture, 1))
        return self.sample(figure, image, identity, box_rng, key)

    def background(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """(size, size, 3) float32 RGB 0 to 255: what stands behind people."""
        return np.ascontiguousarray(self._backgrounds.sample(rng, size))

    def sample(
        self, figure: Figure, image: np.ndarray, identity: Identity, rng: np.random.Generator, key: str
    ) -> Sample:
        """A figure's labels with the finished uint8 image that shows it."""
        return Sample(
            image=image,
            landmarks=figure.landmarks,
            visibility=figure.visibility,
            dense=figure.dense,
            dense_visibility=figure.dense_visibility,
            boxes={
                "tight": tight_box(figure.landmarks),
                "detector": detector_box(figure.landmarks, figure.dense, rng),
            },
            rotation=figure.rotation,
            intrinsics=figure.intrinsics,
            key=key,
            attributes=self._attributes(identity),
        )

    def _attributes(self, identity: Identity) -> dict[str, str]:
        return {"identity": f"{self.seed}_{identity.number}", "skin": identity.look.skin, "head": self.head.name}

    def figure(
        self,
        identity: Identity,
        rng: np.random.Generator,
        background: np.ndarray | None = None,
        options: RenderOptions | None = None,
    ) -> Figure:
        """A person before a background (float RGB, canvas_size pixels a side; None: a random one)."""
        options = options or self.options
        head, look = self.head, identity.look
        expression = sample_expression(head.expression_names, rng)
        surface = head.express(identity.surface, expression.weights)
        normals = head.normals(surface)
        surface = surface + normals * look.scalp_offset[:, None]
        points = self._landmarks_3d(surface, look, expression.gaze)
        placed = self._place(surface, points, options, rng)
        rgba, depth = self._draw(identity, surface, normals, expression.gaze, placed, rng)

        alpha = rgba[..., 3:].astype(np.float32) / 255
        if background is None:
            background = self.background(rng, self.canvas_size)
        image = rgba[..., :3] * alpha + background * (1 - alpha)
        size = self.options.size
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
        image, covered = self._occlude(image, placed, points, look, surface, rng)
        # The contour lies on the silhouette, half on the background: it is seen by definition, unless hair covers it.
        slack = np.where(np.arange(98) < 33, 4.0, _HIDDEN_BEHIND)
        places = self.dense.points.at(surface)
        dense, dense_depth = placed.project(places), (places @ placed.rotation.T + placed.translation)[:, 2]
        outline = cv2.resize(alpha[..., 0], (size, size), interpolation=cv2.INTER_AREA)
        visibility = self._seen(placed.landmarks, placed.depth, slack, depth, covered)
        visibility[33:51] &= look.brows_seen
        return Figure(
            image=image,
            covers=np.maximum(outline, covered.astype(np.float32)),
            landmarks=placed.landmarks.astype(np.float32),
            visibility=visibility,
            dense=dense.astype(np.float32),
            dense_visibility=self._seen(dense, dense_depth, np.full(len(dense), _HIDDEN_BEHIND), depth, covered),
            rotation=placed.rotation,
            intrinsics=placed.intrinsics,
        )

    def _landmarks_3d(self, surface: np.ndarray, look: Look, gaze: np.ndarray) -> np.ndarray:
        """(98, 3) head frame; the contour still at its rest anchors."""
        points = self.head.landmarks.at(surface)
        points[33:51] = look.brows.at(surface)
        points[96:98] = self.head.eye_centres(surface) + self.head.eye_radius * gaze
        return points

    def _place(
        self, surface: np.ndarray, points: np.ndarray, options: RenderOptions, rng: np.random.Generator
    ) -> _Placement:
        wide = rng.random() >= options.frontal_share
        yaw = rng.uniform(-options.max_yaw, options.max_yaw) if wide else rng.normal(0, 18)
        level = rng.random() < options.level_share
        tilt = rng.normal(0, 12, 2) if level else rng.uniform(-options.max_tilt, options.max_tilt, 2)
        pitch, roll = np.clip(tilt, -options.max_tilt, options.max_tilt)
        distance = np.exp(rng.uniform(np.log(30), np.log(250)))
        # Off-axis heads: the picture is a window of a larger frame, so that perspective stretches as in a real one.
        ray = np.array([rng.uniform(-0.45, 0.45), rng.uniform(-0.35, 0.35), 1.0])
        rotation = angles_to_matrix(np.radians([pitch, yaw, roll]))
        translation = ray * distance - rotation @ points.mean(axis=0)

        camera = points @ rotation.T + translation
        plane = camera[:, :2] / camera[:, 2:]
        plane[:33] = self._silhouette(surface, rotation, translation)
        low, high = plane.min(axis=0), plane.max(axis=0)
        roi_side = options.size * rng.uniform(*options.roi_share)
        focal = roi_side / ((high - low).max() * (1 + 2 * ROI_MARGIN))
        slack = (options.size - roi_side) / 2
        centre = options.size / 2 - 0.5 + rng.uniform(-slack, slack, 2)
        cx, cy = centre - focal * (low + high) / 2
        intrinsics = Intrinsics(focal, focal, float(cx), float(cy))
        return _Placement(rotation, translation, intrinsics, plane * focal + (cx, cy), camera[:, 2])

    def _silhouette(self, surface: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
        """(33, 2) contour points on the normalised image plane, slid to where the face's outline is.

        Annotators mark the visible edge of the face, not fixed places on the jaw: each point takes that candidate
        which lies outermost in its own radial direction, the direction turned with the head's roll. The chin's
        directions lean to where the face looks, so that they find its tip. On the outline the points are spread evenly
        from each end to the chin, as the markup has them.
        """
        camera = self.head.contour.at(surface) @ rotation.T + translation
        plane = camera[..., :2] / camera[..., 2:]
        anchors = self.head.landmarks.at(self.head.neutral)[:33, :2] - CONTOUR_CENTRE * (1, -1)
        _, yaw, roll = matrix_to_angles(rotation)
        anchors = anchors / np.linalg.norm(anchors, axis=1, keepdims=True)
        anchors[:, 0] += CHIN_LEAN * np.sin(yaw)
        outward = anchors @ rotation_2d(roll).T
        best = np.einsum("icd,id->ic", plane, outward).argmax(axis=1)
        outline = plane[np.arange(33), best]
        return np.concatenate([_even(outline[:17]), _even(outline[16:])[1:]])

    def _draw(
        self,
        identity: Identity,
        surface: np.ndarray,
        normals: np.ndarray,
        gaze: np.ndarray,
        placed: _Placement,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        look = identity.look
        hair_surface = None
        if look.hair is not None:
            moved = surface - self.head.neutral
            hair_surface = look.hair.vertices + np.einsum(
                "hk,hkd->hd", look.hair.anchor_weights, moved[look.hair.anchors]
            )
            hair_surface = hair_surface * rng.uniform(0.98, 1.05, 3).astype(np.float32)
        extras = []
        if rng.random() < self.options.headwear:
            worn = sample_headwear(self.head, surface, float(look.scalp_offset.max()), rng)
            extras.append(worn.mesh)
            if hair_surface is not None:
                hair_surface = None if worn.covers_hair else worn.skull.press(hair_surface, worn.rim)
        k, scale = placed.intrinsics, self.options.supersampling
        large = Intrinsics(k.fx * scale, k.fy * scale, (k.cx + 0.5) * scale - 0.5, (k.cy + 0.5) * scale - 0.5)
        head_to_camera = np.eye(4)
        head_to_camera[:3, :3], head_to_camera[:3, 3] = placed.rotation, placed.translation
        shading = Shading(
            gloss=(rng.uniform(0, 0.35), rng.uniform(8, 50), rng.uniform(0, 0.5)),
            sclera=np.array([0.93, 0.90, 0.88]) * rng.uniform(0.75, 1),
            eye_shade=rng.uniform(0.5, 0.95),
            teeth=np.array([0.95, 0.92, 0.85]) * rng.uniform(0.6, 1),
            mouth_light=rng.uniform(0.4, 1.1),
            lash_opacity=rng.uniform(0.05, 0.55),
            cloth=rng.random(3),
            collar=(rng.uniform(12.5, 17), rng.uniform(-0.2, 0.2), rng.uniform(-0.1, 0.3), rng.choice([0, 3.0])),
            gamma=0.5 * rng.uniform(0.85, 1.15),
            hair_cut=rng.uniform(0.3, 0.6),
            shadow=(rng.uniform(0.5, 1.0), np.exp(rng.uniform(np.log(0.7), np.log(5))))
            if rng.random() < 0.75
            else (0.0, 1.0),
            bump=look.age * rng.uniform(0.5, 1.2) * 0.2 + 0.02,
        )
        light = self._lighting.sample(rng)
        return self._canvas.draw(
            surface, normals, look, hair_surface, head_to_camera, large, gaze, light, shading, extras
        )

    def _seen(
        self, pixels: np.ndarray, z: np.ndarray, slack: np.ndarray, depth: np.ndarray, covered: np.ndarray
    ) -> np.ndarray:
        """(N,) bool: neither the drawn depth (less the slack, centimetres) nor an occluder stands before the points.

        The farthest of 3×3 depths counts: points on edges, such as lids, are not hidden by rounding.
        """
        depth = cv2.dilate(depth, np.ones((3, 3)))
        scale = self.options.supersampling
        drawn = ((pixels + 0.5) * scale - 0.5).round().astype(int).clip(0, self.canvas_size - 1)
        pixel = np.clip(pixels.round().astype(int), 0, self.options.size - 1)
        return (z < depth[drawn[:, 1], drawn[:, 0]] + slack) & ~covered[pixel[:, 1], pixel[:, 0]]

    def _occlude(
        self,
        image: np.ndarray,
        placed: _Placement,
        points: np.ndarray,
        look: Look,
        surface: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        options = self.options
        covered = np.zeros(image.shape[:2], bool)
        if rng.random() < options.glasses:
            eyes = self.head.eye_centres(surface)
            image, mask = draw_glasses(image, placed.project, eyes, points[51], points[[0, 32]], rng)
            covered |= mask
        chance = rng.random()
        if chance < options.face_mask:
            image, mask = draw_face_mask(image, placed.landmarks, rng)
            covered |= mask
        elif chance < options.face_mask + options.occluder:
            if rng.random() < 0.5:
                tone = look.atlas[look.atlas.shape[0] // 2, look.atlas.shape[1] // 4].astype(np.float32)
                image, mask = draw_hand(image, placed.landmarks, rng, tone)
            else:
                texture = self._backgrounds.sample(rng, 96)
                image, mask = draw_object(image, placed.landmarks, rng, texture)
            covered |= mask
        return image, covered


def _even(line: np.ndarray) -> np.ndarray:
    """(N, 2) points at even distances along a polyline of N points, its ends kept."""
    along = np.concatenate([[0.0], np.linalg.norm(np.diff(line, axis=0), axis=1).cumsum()])
    even = np.linspace(0.0, along[-1], len(line))
    return np.stack([np.interp(even, along, line[:, axis]) for axis in (0, 1)], axis=1)
