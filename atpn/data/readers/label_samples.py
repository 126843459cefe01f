"""Labels of any file to samples: finds the images, checks the faces, and converts coordinates to pixels."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from atpn.data.face_boxes import box_corners
from atpn.data.readers.folders import is_file
from atpn.data.readers.images import NO_IMAGE, ImageFile, UnreadSample, key_of, unread_sample
from atpn.data.readers.issues import Issue, Report, Severity
from atpn.data.readers.label_file import Complain, LabeledFace, LabeledImage, LabelError, LabelSet
from atpn.data.sample import Sample
from edge_runtime.landmarks import SCHEMES, LandmarkScheme

SCHEME_FILE = "scheme.json"
"""Definition of a scheme, beside the labels."""
MIN_FACE = 4.0
"""Minimum extent of a face, pixels."""
MIN_SYMMETRY_FACES, MAX_SYMMETRY_FACES = 8, 500
"""Completely labeled faces whose mean is compared with its mirror image; fewer may all look to one side."""
MAX_ASYMMETRY = 0.25
"""Maximum distance of a mean landmark from its mirror image, in extents of the face."""
_SWAPPED, _UPRIGHT = (5, 6, 7, 8), (0, 1)
"""Values of the Exif orientation that swap width and height, and that change nothing."""


@dataclass(frozen=True)
class LabelOptions:
    """How own labels are meant, where their file does not say it."""

    scheme: LandmarkScheme | None = None
    normalized: bool = False
    """Coordinates are fractions of the image's width and height."""
    first_pixel: float | None = None
    """Coordinate of the first pixel's center; None: the file's, or its format's."""
    exif: Literal["auto", "turned", "stored"] = "auto"
    """Which picture the labels of a photograph with an Exif orientation are for."""

    def __post_init__(self) -> None:
        if self.normalized and self.first_pixel is not None:
            raise ValueError("normalized coordinates count from the image's outer edge; leave out --first-pixel")

    @property
    def setup(self) -> dict[str, Any]:
        """The options as plain values; None for a default."""
        values = vars(self) | {"scheme": self.scheme and self.scheme.reference}
        return {name: None if value == getattr(LabelOptions, name) else value for name, value in values.items()}


@dataclass(frozen=True)
class _Photo:
    """An image file: size in pixels as stored, and Exif orientation."""

    size: tuple[int, int]
    orientation: int

    def turned_size(self) -> tuple[int, int]:
        return self.size[::-1] if self.orientation in _SWAPPED else self.size


@functools.lru_cache(maxsize=65536)
def _photo(path: Path) -> _Photo | None:
    """Read an image file's header; None if it is not one."""
    try:
        with Image.open(path) as image:
            return _Photo(image.size, int(image.getexif().get(0x0112, 1)))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


class LabelReader:
    """Turns labels into samples: finds images, checks faces, and converts coordinates."""

    def __init__(
        self, root: Path, report: Report, complain: Complain, options: LabelOptions, sets: list[LabelSet]
    ) -> None:
        self.root, self.report, self.complain, self.options, self.sets = root, report, complain, options, sets
        self.scheme = options.scheme or self._stated_scheme()
        faces = (face for labels in sets for image in labels.images for face in image.faces)
        self.labels = {label for face in faces if not face.complete for label in face.labels}
        """Labels of all points that do not come in the scheme's order."""
        self.first_number = 0
        self.seen: dict[tuple[Path, bytes], str] = {}
        self.shapes: list[np.ndarray] = []
        self.exif: Counter[str] = Counter()
        self.exif_example = ""

    def samples(self) -> Iterator[UnreadSample]:
        """Yield all samples."""
        self._prepare_labels()
        number = 0
        for labels in self.sets:
            first = labels.first_pixel if self.options.first_pixel is None else self.options.first_pixel
            for image in labels.images:
                yield from self._image(image, first, number)
                number += 1
            for note in labels.notes:
                self.report(Issue(Severity.LEFT_OUT, note))
        self._check_symmetry()
        if self.exif:
            ways = ", ".join(f"{count} {way}" for way, count in self.exif.items())
            self.report(
                Issue(
                    Severity.WARNING,
                    f"{self.exif.total()} photographs have an Exif orientation, such as {self.exif_example}; labels "
                    f"taken as drawn on the picture: {ways}; look at `datasets check --sheet`, or decide by --exif",
                )
            )

    def _check_symmetry(self) -> None:
        """Warn of landmarks whose mean is far from the mirror image of their partner's: labels in another order."""
        if self.scheme is None or len(self.shapes) < MIN_SYMMETRY_FACES:
            return
        mean = np.mean(self.shapes, axis=0)
        distance = np.linalg.norm(mean - (mean * (-1, 1) + (1, 0))[self.scheme.mirror], axis=1)
        wrong = np.flatnonzero(distance > MAX_ASYMMETRY)
        if len(wrong):
            some = ", ".join(f"{i} (mirrors {self.scheme.mirror[i]})" for i in wrong[:4])
            self.report(
                Issue(
                    Severity.WARNING,
                    f"{len(wrong)} of {self.scheme.count} landmarks of {len(self.shapes)} faces do not lie where "
                    f"{self.scheme.name} mirrors them: {some}; check the order of the landmarks and the scheme's "
                    "mirror_pairs, and look at `datasets check --sheet`",
                )
            )

    def _stated_scheme(self) -> LandmarkScheme | None:
        stated = next((s.scheme for s in self.sets if s.scheme is not None), None)
        beside = self.root / SCHEME_FILE
        try:
            return LandmarkScheme.read(beside) if stated is None and beside.is_file() else stated
        except ValueError as error:
            raise LabelError(str(error)) from error

    def _prepare_labels(self) -> None:
        """Find out whether numbers begin at 0 or 1, where points are labeled by numbers."""
        if not self.labels or not all(label.isdecimal() for label in self.labels):
            return
        numbers = {int(label) for label in self.labels}
        count = self.scheme.count if self.scheme else len(numbers)
        self.first_number = min(numbers)
        if max(numbers) - min(numbers) >= count or min(numbers) > 1 or (min(numbers) and max(numbers) != count):
            raise LabelError(
                f"{self.root}: points are labeled {min(numbers)} to {max(numbers)}, expected 0 to {count - 1} or 1 to "
                f"{count}; correct the labels, or give --scheme"
            )

    def _image(self, image: LabeledImage, first: float, number: int) -> Iterator[UnreadSample]:
        path, photo = image.path, None
        attributes = {"split": image.split, "identity": image.name}
        if not is_file(path):
            self.report(Issue(Severity.MISSING, f"{path} ({image.where})", image.split))
            if self.options.normalized:
                return  # its size is unknown
        elif (photo := _photo(path)) is None:
            self.complain(image.where, f"{path} does not decode as an image")
            return
        stem = key_of("own", f"{number:06d}", path.stem)
        try:
            turned = photo is not None and self._is_turned(image, photo, first)
        except LabelError as error:
            self.complain(image.where, str(error))
            return
        size = None if photo is None else photo.turned_size() if turned else photo.size
        source = ImageFile(path, photo.orientation if photo is not None and turned else 1)
        if not image.faces:
            yield UnreadSample(Sample(NO_IMAGE, key=stem, attributes=attributes), source)
        fields = {}
        for index, face in enumerate(image.faces):
            try:
                fields[index] = self._fields(face, first, size)
                self._check_new(face, path, fields[index])
            except LabelError as error:
                fields.pop(index, None)
                self.complain(face.where, str(error))
        outlines = {
            i: f["landmarks"] if "landmarks" in f else box_corners(f["boxes"]["detector"]) for i, f in fields.items()
        }
        for index, own in fields.items():
            others = [outline for i, outline in outlines.items() if i != index]
            alike = len({outline.shape for outline in others}) == 1
            identity = image.faces[index].identity
            yield unread_sample(
                source,
                **own,
                neighbors=np.array(others, np.float32) if alike else None,
                key=f"{stem}_{index}",
                attributes=attributes | ({"identity": identity} if identity else {}),
            )

    def _fields(self, face: LabeledFace, first: float, size: tuple[int, int] | None) -> dict[str, Any]:
        """Return the fields of a sample; LabelError for a face that cannot be right."""
        fields: dict[str, Any] = {}
        if face.landmarks is not None:
            points, visibility = self._in_order(face)
            zeros = np.flatnonzero((points == 0).all(axis=1) | (points == -1).all(axis=1))
            if len(zeros) > 1:
                raise LabelError(
                    f"landmarks {', '.join(map(str, zeros[:4]))} all lie at {points[zeros[0]].tolist()}: if they are "
                    "not labeled, write null, an empty cell, or v = 0"
                )
            fields |= {"landmarks": self._pixels(points, first, size).astype(np.float32), "scheme": self.scheme}
            low, extent = points.min(axis=0), np.ptp(points, axis=0)
            if len(self.shapes) < MAX_SYMMETRY_FACES and (extent > 0).all():  # false for unknown landmarks
                self.shapes.append((points - low) / extent)
            if visibility is not None:
                fields["visibility"] = visibility
        if face.box is not None:
            corners = self._pixels(np.array(face.box).reshape(2, 2), first, size)
            fields["boxes"] = {"detector": tuple(corners.ravel().tolist())}
        if face.rotation is not None:
            fields["rotation"] = face.rotation
        outline = fields["landmarks"] if "landmarks" in fields else box_corners(fields["boxes"]["detector"])
        _check_extent(outline, size)
        return fields

    def _in_order(self, face: LabeledFace) -> tuple[np.ndarray, np.ndarray | None]:
        """Return landmarks and visibility in the scheme's order; the first face's count chooses an unstated scheme."""
        rows, names = face.landmarks, self.scheme.names if self.scheme else ()
        numeric = bool(self.labels) and all(label.isdecimal() for label in self.labels)
        by_name = bool(face.labels) and set(face.labels) <= set(names)
        if face.complete and not by_name:
            unknown = sorted(set(face.labels) - set(names))
            if names and face.labels and len(unknown) < len(face.labels):
                raise LabelError(f"{', '.join(unknown[:4])} are no names of scheme {self.scheme.name}; rename them")
            self._check_count(len(rows))
            return rows, face.visibility
        if not (numeric or by_name):
            unknown = sorted(label for label in face.labels if label not in names)
            expected = f"names of scheme {self.scheme.name}" if names else "numbers"
            raise LabelError(
                f"points are labeled {', '.join(map(repr, unknown[:4]))}, expected {expected}; give a --scheme with "
                "these names, or rename the labels"
            )
        self._check_count(len(self.labels) if self.scheme is None else self.scheme.count)
        places = [names.index(label) if by_name else int(label) - self.first_number for label in face.labels]
        points, visibility = np.full((self.scheme.count, 2), np.nan), None
        points[places] = rows
        if face.visibility is not None:
            visibility = np.zeros(self.scheme.count, bool)
            visibility[places] = face.visibility
        return points, visibility

    def _check_count(self, count: int) -> None:
        if self.scheme is None:
            self.scheme = next((scheme for scheme in SCHEMES.values() if scheme.count == count), None)
        if self.scheme is None or self.scheme.count != count:
            known = ", ".join(f"{s.count} ({name})" for name, s in SCHEMES.items())
            expected = f"{self.scheme.count} ({self.scheme.name})" if self.scheme else known
            advice = "correct the face" if self.scheme else "define your own scheme in a JSON file: --scheme FILE"
            raise LabelError(f"{count} landmarks, expected {expected}; {advice}")

    def _pixels(self, points: np.ndarray, first: float, size: tuple[int, int] | None) -> np.ndarray:
        """Convert (N, 2) coordinates of the file to pixels."""
        known = points[~np.isnan(points).any(axis=1)]
        if self.options.normalized:
            if len(known) and (known.min() < -1 or known.max() > 2):
                raise LabelError(
                    f"a coordinate is {known.flat[np.abs(known).argmax()]:g}, expected fractions of the width and "
                    "height; leave out --normalized"
                )
            return points * (size or (np.nan, np.nan)) - 0.5
        if len(known) > 1 and known.min() >= -0.5 and known.max() <= 1.5:
            raise LabelError(
                f"all coordinates lie between {known.min():.3g} and {known.max():.3g}, expected pixels; if they are "
                "fractions of the image's width and height, pass --normalized"
            )
        return points - first

    def _is_turned(self, image: LabeledImage, photo: _Photo, first: float) -> bool:
        """Return whether labels are for the picture turned by its Exif orientation; LabelError if they fit neither."""
        turned, stored = photo.turned_size(), photo.size
        if image.size is not None and image.size not in (turned, stored):
            (width, height), (has_width, has_height) = image.size, stored
            raise LabelError(
                f"labels of an image of {width} x {height} pixels, but {image.path} has {has_width} x {has_height}; "
                "use the image that was labeled"
            )
        if photo.orientation in _UPRIGHT:
            return False
        decided = self.options.exif
        how = "as asked"
        if decided == "auto":
            sizes = {"turned": turned, "stored": stored}
            fitting = [way for way, size in sizes.items() if image.size in (None, size)]
            inside = [way for way in fitting if self._holds(image, sizes[way], first)] or fitting
            decided, how = inside[0], "the only one that fits" if len(inside) == 1 else "as viewers show it"
        self.exif[f"{decided} ({how})"] += 1
        self.exif_example = self.exif_example or str(image.path)
        return decided == "turned"

    def _holds(self, image: LabeledImage, size: tuple[int, int], first: float) -> bool:
        """Return whether an image of this size holds all points of its faces."""
        if self.options.normalized:
            return True
        points = [f.landmarks if f.landmarks is not None else np.reshape(f.box, (2, 2)) for f in image.faces]
        known = np.concatenate([np.empty((0, 2)), *points]) - first
        known = known[~np.isnan(known).any(axis=1)]
        return bool((known >= -1).all() and (known <= size).all())

    def _check_new(self, face: LabeledFace, path: Path, fields: dict[str, Any]) -> None:
        """Raise LabelError for a face that was there before."""
        content = path, np.array(fields.get("landmarks", face.box), np.float32).tobytes()
        if content in self.seen:
            raise LabelError(f"the same face as {self.seen[content]}; remove one")
        self.seen[content] = face.where


def _check_extent(outline: np.ndarray, size: tuple[int, int] | None) -> None:
    """Raise LabelError for a face of a few pixels, or one outside its image."""
    known = outline[~np.isnan(outline).any(axis=1)]
    if len(known) < 2:
        raise LabelError(f"{len(known)} labeled landmarks, expected at least 2; remove the face")
    width, height = np.ptp(known, axis=0)
    if max(width, height) < MIN_FACE:
        raise LabelError(
            f"a face of {width:.1f} x {height:.1f} pixels, expected at least {MIN_FACE:g}; check the unit of its "
            "coordinates, or remove it"
        )
    outside = 0 if size is None else int(((known < -1) | (known > size)).any(axis=1).sum())
    if outside > len(known) / 2:
        raise LabelError(
            f"{outside} of {len(known)} points lie outside the image of {size[0]} x {size[1]} pixels; use the image "
            "that was labeled, or correct the coordinates"
        )
