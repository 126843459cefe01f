"""Rendering of labeled images of faces."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from atpn.data.face_boxes import detector_box, tight_box
from atpn.data.sample import Sample
from atpn.synthetic.appearance.backgrounds import Backgrounds
from atpn.synthetic.appearance.clothes import sample_torso
from atpn.synthetic.appearance.degrade import MILD_CAMERA, DegradeConfig, degrade
from atpn.synthetic.appearance.hands import draw_hand
from atpn.synthetic.appearance.headwear import sample_headwear
from atpn.synthetic.appearance.lighting import Light, Lighting
from atpn.synthetic.appearance.look import Look, Painter, covers_eyes
from atpn.synthetic.appearance.occluders import draw_face_mask, draw_glasses, draw_object
from atpn.synthetic.assets import Assets
from atpn.synthetic.drawing.gl import HeadCanvas, Shading
from atpn.synthetic.heads.arkit import coefficients
from atpn.synthetic.heads.dense import DenseSet
from atpn.synthetic.heads.expression import Expression, sample_expression
from atpn.synthetic.heads.head import HeadModel
from atpn.synthetic.heads.ict import CHIN_LEAN, CONTOUR_CENTER
from atpn.synthetic.heads.makehuman import Wardrobe
from atpn.synthetic.heads.morphs import MorphTargets
from atpn.synthetic.heads.procedural import procedural_head
from atpn.synthetic.heads.proportions import Proportions
from atpn.synthetic.heads.repertoire import sample_repertoire
from edge_runtime.gaze import gaze_angles
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
"""Skins and panoramas that training never uses, so that held-out renders show new people in new places."""
_HIDDEN_BEHIND = 0.7
"""Centimeters of drawn surface in front of a landmark from which it counts as hidden."""


@dataclass(frozen=True)
class RenderOptions:
    """What varies, and how much; `*_prob` and lone names of things are probabilities."""

    split: Split = "all"
    clear: float = 0.43
    """Portraits with the options of `clear_view`. Samples name their kind in `attributes`."""
    size: int = 192
    """Side of the image in pixels; a face's ROI covers about two thirds of it."""
    supersampling: float = 4 / 3
    """Factor of the rendered size before shrinking: cheaper than multisampling on software OpenGL."""
    images_per_identity: int = 3
    """Painting an identity costs about as much as drawing it."""
    morphs: float = 0.5
    """People whose head MakeHuman's targets shape, children among them; the others have ICT's modes only."""
    scenes: float = 0.03
    """People whose images are one scene with strangers, so that crops contain parts of other faces."""
    negatives: float = 0.08
    """Images without a face."""
    frontal_prob: float = 0.6
    """Heads with normally distributed yaw; the others are uniform up to `max_yaw`."""
    max_yaw: float = 90.0
    level_prob: float = 0.85
    """Heads with normally distributed pitch and roll; the others are uniform up to `max_tilt`."""
    max_tilt: float = 45.0
    yaw_deviation: float = 18.0
    """Standard deviation of normal yaw, degrees."""
    tilt_deviation: float = 12.0
    """Standard deviation of normal pitch and roll, degrees."""
    off_axis: tuple[float, float] = (0.45, 0.35)
    """Maximum tangent of the angle, across and down, between the camera's axis and the ray to the head."""
    roi_fraction: tuple[float, float] = (0.55, 0.8)
    """Side of the face's ROI over the image's side."""
    repertoire: float = 0.35
    """Portraits whose face shows single shapes and any mixture of them (`sample_repertoire`); the others' faces are
    those of photographs."""
    glasses: float = 0.18
    headwear: float = 0.14
    """Caps, hats, scarves: outdoors one in six to eight people wears something."""
    face_mask: float = 0.03
    fringes: bool = True
    """Whether hair may hang before the eyes."""
    dark_lens_prob: float = 0.25
    """Glasses that hide the eyes."""
    occluder: float = 0.17
    torso: float = 0.93
    """Portraits with a clothed body below the bust."""
    dramatic_light: float = 0.19
    """Portraits lit from one side or from behind: with those of clear portraits, 15 % of all."""
    degrade: DegradeConfig = field(default_factory=DegradeConfig)


def clear_view(options: RenderOptions) -> RenderOptions:
    """Return the options of clear portraits.

    Near frontal, without occluders, with a good camera, and larger than a training crop, as in most users' cameras.
    """
    return replace(
        options,
        size=256,
        supersampling=1.25,
        frontal_prob=1.0,
        level_prob=1.0,
        yaw_deviation=9.0,
        tilt_deviation=6.0,
        off_axis=(0.2, 0.15),
        roi_fraction=(0.6, 0.85),
        fringes=False,
        glasses=0.5 * options.glasses,
        headwear=0.5 * options.headwear,
        face_mask=0.0,
        dark_lens_prob=0.0,
        occluder=0.0,
        dramatic_light=0.09 if options.dramatic_light else 0.0,
        degrade=MILD_CAMERA,
    )


@dataclass(frozen=True)
class Identity:
    """A person: shape and look."""

    number: int
    surface: np.ndarray
    look: Look


@dataclass(frozen=True)
class Figure:
    """A rendered person before a background, not degraded, with labels in the portrait's pixels."""

    image: np.ndarray
    """(S, S, 3) float32 RGB 0 to 255."""
    covers: np.ndarray
    """(S, S) float32: coverage of the background by the person or what they hold."""
    landmarks: np.ndarray
    """(98, 2) float32."""
    visibility: np.ndarray
    """(98,) bool; False also where a brow does not stand out from the skin."""
    dense: np.ndarray
    """(P, 2) float32."""
    dense_visibility: np.ndarray
    """(P,) bool."""
    rotation: np.ndarray
    """(3, 3) head to camera."""
    intrinsics: Intrinsics
    expressions: np.ndarray
    """(52,) float32 ARKit coefficients."""
    gaze: np.ndarray
    """(2, 2) float32, see `Sample.gaze`."""


@dataclass(frozen=True)
class _Placement:
    """Pose of a head and what the camera sees of its landmarks."""

    rotation: np.ndarray
    translation: np.ndarray
    intrinsics: Intrinsics
    landmarks: np.ndarray
    """(98, 2) pixels."""
    depth: np.ndarray
    """(98,) centimeters along z."""

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project (N, 3) head-frame points to (N, 2) pixels."""
        camera = points @ self.rotation.T + self.translation
        k = self.intrinsics
        return camera[:, :2] / camera[:, 2:] * (k.fx, k.fy) + (k.cx, k.cy)


class FaceRenderer:
    """Renders labeled faces; every image is determined by (seed, identity number, image number)."""

    def __init__(self, assets: Path | None, cache: Path, options: RenderOptions, seed: int) -> None:
        """Load the assets (a folder or a pack, see `Assets.load`); fallback without any: procedural head.

        Raises:
            FileNotFoundError, ValueError: The assets are incomplete.
            GraphicsError: OpenGL is not available.
        """
        self.options, self.seed = options, seed
        self.head: HeadModel
        self.wardrobe: Wardrobe | None = None
        self.morphs: MorphTargets | None = None
        if assets is None:
            self.head = procedural_head()
            panoramas, lights, textures, self._cloth = [], [], [], []
        else:
            loaded = Assets.load(assets, cache).only(self._used)
            self.head, self.wardrobe = loaded.head, loaded.wardrobe
            self.morphs, self._cloth = loaded.morphs, loaded.cloth
            panoramas, lights = list(loaded.panoramas.values()), list(loaded.lights.values())
            textures = list(loaded.wardrobe.skins)
        self.dense = DenseSet.of(self.head)
        self._painter = Painter(self.head, self.wardrobe)
        self._lighting = Lighting(lights)
        self._backgrounds = Backgrounds(panoramas, textures)
        hair = self.wardrobe.hair if self.wardrobe else ()
        self._fringes = frozenset(style.name for style in hair if covers_eyes(style, self.head))
        self._proportions = Proportions(self.head)
        self.canvas_size = _canvas_side(options)
        largest = max(self.canvas_size, _canvas_side(clear_view(options)))
        self._canvas = HeadCanvas(self.head, hair, largest)

    def _used(self, asset: str) -> bool:
        """Return whether this renderer's split uses a skin or panorama of that name."""
        return self.options.split == "all" or (asset in HELD_OUT_ASSETS) == (self.options.split == "held-out")

    def identity(self, number: int) -> Identity:
        """Return the person of that number."""
        rng = np.random.default_rng((self.seed, number, 0))
        build = self.morphs.sample(rng) if self.morphs and rng.random() < self.options.morphs else None
        # Beyond one standard deviation; less where targets shape the head as well.
        spread = rng.choice([0.8, 1.0, 1.2, 1.4] if build is None else [0.0, 0.3, 0.6])
        weights = np.clip(rng.normal(0, spread, len(self.head.identity)), -2.7, 2.7)
        surface = self.head.identify(weights)
        surface = surface * np.array([rng.normal(1, 0.04), rng.normal(1, 0.04), 1.0], np.float32)
        if build is not None and self.morphs is not None:
            surface = self.morphs.apply(surface, build)
        surface = self._proportions.vary(surface, rng).astype(np.float32)
        return Identity(number, surface, self._painter.paint(rng, build.age if build else None))

    def render(self, identity: Identity, index: int) -> Sample:
        """Render a labeled image of a person; sometimes an image without a face."""
        rng = np.random.default_rng((self.seed, identity.number, 1 + index))
        key = f"{self.seed}_{identity.number:06d}_{index:02d}"
        if rng.random() < self.options.negatives:
            image = self._backgrounds.negative(rng, self.options.size)
            image = degrade(image.astype(np.float32), rng, self.options.degrade)
            return Sample(image, key=key, attributes=self._attributes(identity, "negative"))
        # Separate generators: hard images depend neither on the probability of clear ones nor on the labels made.
        clear = np.random.default_rng((self.seed, identity.number, 1 + index, 2)).random() < self.options.clear
        options = clear_view(self.options) if clear else self.options
        figure = self.figure(identity, rng, options=options)
        image = degrade(figure.image, rng, options.degrade)
        box_rng = np.random.default_rng((self.seed, identity.number, 1 + index, 1))
        return self.sample(figure, image, identity, box_rng, key, "clear" if clear else "hard")

    def background(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Return a random background (size, size, 3) float32 RGB 0 to 255."""
        return np.ascontiguousarray(self._backgrounds.sample(rng, size))

    def sample(
        self, figure: Figure, image: np.ndarray, identity: Identity, rng: np.random.Generator, key: str, kind: str
    ) -> Sample:
        """Return a figure's labels with the finished uint8 image that shows it."""
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
            expressions=figure.expressions,
            gaze=figure.gaze,
            key=key,
            attributes=self._attributes(identity, kind),
        )

    def _attributes(self, identity: Identity, kind: str) -> dict[str, str]:
        number = f"{self.seed}_{identity.number}"
        return {"identity": number, "skin": identity.look.skin, "head": self.head.name, "kind": kind}

    def figure(
        self,
        identity: Identity,
        rng: np.random.Generator,
        background: np.ndarray | None = None,
        options: RenderOptions | None = None,
    ) -> Figure:
        """Render a person before a background (float RGB; None: a random one); default: the renderer's options."""
        options = options or self.options
        head, look = self.head, identity.look
        expression = self._expression(rng)
        surface = head.express(identity.surface, expression.weights)
        normals = head.normals(surface)
        surface = surface + normals * look.scalp_offset[:, None]
        points = self._landmarks_3d(surface, look, expression.gaze)
        placed = self._place(surface, points, options, rng)
        light = self._lighting.sample(rng, options.dramatic_light)
        rgba, depth = self._draw(identity, surface, normals, expression.gaze, placed, light, options, rng)

        alpha = rgba[..., 3:].astype(np.float32) / 255
        if background is None:
            background = self.background(rng, len(alpha))
            if light.kind == "back":
                background = 255 - (255 - background) * np.float32(rng.uniform(0.2, 0.8))
        image = rgba[..., :3] + background * (1 - alpha)
        size = options.size
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
        image, covered = self._occlude(image, placed, points, look, surface, options, rng)
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
            expressions=coefficients(expression.weights),
            # The subject's left eye, at the image's right, comes first.
            gaze=gaze_angles(expression.gaze[::-1] @ placed.rotation.T).astype(np.float32),
        )

    def _expression(self, rng: np.random.Generator) -> Expression:
        """Return a random face; what else `rng` decides does not depend on its kind."""
        names = self.head.expression_names
        usual, repertoire = sample_expression(names, rng), rng.spawn(1)[0]
        return sample_repertoire(names, repertoire) if repertoire.random() < self.options.repertoire else usual

    def _landmarks_3d(self, surface: np.ndarray, look: Look, gaze: np.ndarray) -> np.ndarray:
        """Return (98, 3) landmarks in the head frame; the contour at its rest anchors."""
        points = self.head.landmarks.at(surface)
        points[33:51] = look.brows.at(surface)
        points[96:98] = self.head.eye_centers(surface) + self.head.eye_radius * gaze
        return points

    def _place(
        self, surface: np.ndarray, points: np.ndarray, options: RenderOptions, rng: np.random.Generator
    ) -> _Placement:
        wide = rng.random() >= options.frontal_prob
        yaw = rng.uniform(-options.max_yaw, options.max_yaw) if wide else rng.normal(0, options.yaw_deviation)
        level = rng.random() < options.level_prob
        most = options.max_tilt
        tilt = rng.normal(0, options.tilt_deviation, 2) if level else rng.uniform(-most, most, 2)
        pitch, roll = np.clip(tilt, -most, most)
        distance = np.exp(rng.uniform(np.log(30), np.log(250)))
        # Off-axis heads: the image is a window of a larger frame, so that perspective stretches as in a real one.
        ray = np.array([*(rng.uniform(-1, 1, 2) * options.off_axis), 1.0])
        rotation = angles_to_matrix(np.radians([pitch, yaw, roll]))
        translation = ray * distance - rotation @ points.mean(axis=0)

        camera = points @ rotation.T + translation
        plane = camera[:, :2] / camera[:, 2:]
        plane[:33] = self._silhouette(surface, rotation, translation)
        low, high = plane.min(axis=0), plane.max(axis=0)
        roi_side = options.size * rng.uniform(*options.roi_fraction)
        focal = roi_side / ((high - low).max() * (1 + 2 * ROI_MARGIN))
        slack = (options.size - roi_side) / 2
        center = options.size / 2 - 0.5 + rng.uniform(-slack, slack, 2)
        cx, cy = center - focal * (low + high) / 2
        intrinsics = Intrinsics(focal, focal, float(cx), float(cy))
        return _Placement(rotation, translation, intrinsics, plane * focal + (cx, cy), camera[:, 2])

    def _silhouette(self, surface: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
        """Return (33, 2) contour points on the normalized image plane, moved to the face's outline.

        Annotators mark the visible edge of the face. Each point takes its outermost candidate in its radial direction,
        which rotates with the head's roll; the chin's directions lean with the yaw to find its tip. The points are then
        spread evenly from each end to the chin.
        """
        camera = self.head.contour.at(surface) @ rotation.T + translation
        plane = camera[..., :2] / camera[..., 2:]
        anchors = self.head.landmarks.at(self.head.neutral)[:33, :2] - CONTOUR_CENTER * (1, -1)
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
        light: Light,
        options: RenderOptions,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        look = identity.look
        hair_surface = None
        if look.hair is not None and (options.fringes or look.hair.name not in self._fringes):
            moved = surface - self.head.neutral
            hair_surface = look.hair.vertices + np.einsum(
                "hk,hkd->hd", look.hair.anchor_weights, moved[look.hair.anchors]
            )
            hair_surface = hair_surface * rng.uniform(0.98, 1.05, 3).astype(np.float32)
        extras = []
        if rng.random() < options.headwear:
            worn = sample_headwear(self.head, surface, float(look.scalp_offset.max()), rng)
            extras.append(worn.mesh)
            if hair_surface is not None:
                hair_surface = None if worn.covers_hair else worn.skull.press(hair_surface, worn.rim)
        cloth = rng.random(3)
        if rng.random() < options.torso:
            torso, cloth = sample_torso(surface, matrix_to_angles(placed.rotation), self._cloth, rng)
            extras.append(torso)
        side = _canvas_side(options)
        k, scale = placed.intrinsics, side / options.size
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
            cloth=cloth,
            collar=(rng.uniform(12.5, 17), rng.uniform(-0.2, 0.2), rng.uniform(-0.1, 0.3), rng.choice([0, 3.0])),
            gamma=0.5 * rng.uniform(0.85, 1.15),
            hair_cut=rng.uniform(0.3, 0.6),
            shadow=(rng.uniform(0.5, 1.0), np.exp(rng.uniform(np.log(0.7), np.log(5))))
            if rng.random() < 0.75 or light.kind != "plain"
            else (0.0, 1.0),
            bump=look.age * rng.uniform(0.5, 1.2) * 0.2 + 0.02,
        )
        return self._canvas.draw(
            surface, normals, look, hair_surface, head_to_camera, large, gaze, light, shading, extras, side
        )

    def _seen(
        self, pixels: np.ndarray, z: np.ndarray, slack: np.ndarray, depth: np.ndarray, covered: np.ndarray
    ) -> np.ndarray:
        """Return (N,) bool: neither the drawn depth (less the slack, centimeters) nor an occluder hides the points.

        The farthest of 3×3 depths counts, so that rounding does not hide points on edges such as lids.
        """
        depth = cv2.dilate(depth, np.ones((3, 3)))
        scale = len(depth) / len(covered)
        drawn = ((pixels + 0.5) * scale - 0.5).round().astype(int).clip(0, len(depth) - 1)
        pixel = np.clip(pixels.round().astype(int), 0, len(covered) - 1)
        return (z < depth[drawn[:, 1], drawn[:, 0]] + slack) & ~covered[pixel[:, 1], pixel[:, 0]]

    def _occlude(
        self,
        image: np.ndarray,
        placed: _Placement,
        points: np.ndarray,
        look: Look,
        surface: np.ndarray,
        options: RenderOptions,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        covered = np.zeros(image.shape[:2], bool)
        if rng.random() < options.glasses:
            eyes = self.head.eye_centers(surface)
            places = eyes, points[51], points[[0, 32]]
            image, mask = draw_glasses(image, placed.project, *places, rng, options.dark_lens_prob)
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


def _canvas_side(options: RenderOptions) -> int:
    return round(options.size * options.supersampling)


def _even(line: np.ndarray) -> np.ndarray:
    """Return (N, 2) points at even distances along a polyline of N points, its ends kept."""
    along = np.concatenate([[0.0], np.linalg.norm(np.diff(line, axis=0), axis=1).cumsum()])
    even = np.linspace(0.0, along[-1], len(line))
    return np.stack([np.interp(even, along, line[:, axis]) for axis in (0, 1)], axis=1)
