"""The renderer's assets: a folder, or a pack that `python -m atpn assets pack` makes of it.

A pack holds the head model as published and everything else as the renderer uses it: skins, brows, hair and targets
fitted to the head, pieces of cloth, panoramas with compressed highlights, and small panoramas for lighting.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from atpn.synthetic.appearance.backgrounds import exposed
from atpn.synthetic.appearance.clothes import PATCH, load_cloth
from atpn.synthetic.appearance.lighting import light_map, load_panoramas
from atpn.synthetic.heads import makehuman, morphs
from atpn.synthetic.heads.head import HeadModel
from atpn.synthetic.heads.ict import FACE_MODEL, load_ict, read_ict
from atpn.synthetic.heads.makehuman import Wardrobe
from atpn.synthetic.heads.morphs import MorphTargets
from edge_runtime.arrays import MALFORMED, read_arrays, read_member
from edge_runtime.decoding import decode_image
from edge_runtime.reading import open_regular, parse_json, quote

_VERSION = f"1-{makehuman.CACHE_VERSION}-{makehuman.TILE}-{morphs.CACHE_VERSION}-{PATCH}"
_ABOUT, _WARDROBE, _MORPHS, _CLOTH, _LIGHTS = "about.json", "wardrobe.npz", "morphs.npz", "cloth.jpg", "lights.npz"
_PANORAMAS = "panoramas/"
_JPEG_QUALITY = 98
_GAMMA = 2.2


@dataclass(frozen=True)
class Assets:
    """Everything that faces are rendered from."""

    head: HeadModel
    wardrobe: Wardrobe
    morphs: MorphTargets
    cloth: list[np.ndarray]
    """(PATCH, PATCH, 3) uint8 RGB each."""
    panoramas: Mapping[str, np.ndarray]
    """(H, W, 3) float32 linear RGB each, by name, for backgrounds."""
    lights: Mapping[str, np.ndarray]
    """The same panoramas for lighting, perhaps smaller."""

    def only(self, used: Callable[[str], bool]) -> Assets:
        """Return the assets with the skins and panoramas of the used names; ValueError if none is left."""
        panoramas = {name: image for name, image in self.panoramas.items() if used(name)}
        if not panoramas:
            raise ValueError(f"no panorama is left for this split; the assets have {', '.join(self.panoramas)}")
        lights = {name: self.lights[name] for name in panoramas}
        return replace(self, wardrobe=self.wardrobe.with_skins(used), panoramas=panoramas, lights=lights)

    @staticmethod
    def load(path: Path, cache: Path) -> Assets:
        """Read a folder (see docs/assets.md) or a pack; `cache` keeps what is made from a folder.

        Raises:
            FileNotFoundError, ValueError: The folder or the pack is incomplete.
        """
        _check_exists(path)
        if path.is_file():
            return _read_pack(path)
        head = load_ict(path / "ict_facekit")
        panoramas = load_panoramas(path / "hdri")
        return Assets(
            head,
            makehuman.load_wardrobe(path / "makehuman", head, cache),
            morphs.load_morphs(path / "makehuman", head, cache),
            load_cloth(path / "makehuman" / "clothes"),
            panoramas,
            panoramas,
        )


def _check_exists(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(f"assets {path} do not exist: give a folder (see docs/assets.md) or a pack")


def assets_fingerprint(path: Path) -> str:
    """Return a hash that changes with a folder or pack of assets; FileNotFoundError if neither exists."""
    _check_exists(path)
    if path.is_dir():
        return makehuman.assets_fingerprint(path)
    return f"packed-{_about(path)['fingerprint']}"


def pack(folder: Path, cache: Path) -> bytes:
    """Return the pack of a folder of assets, which `Assets.load` reads; raises what `Assets.load` raises."""
    assets = Assets.load(folder, cache)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        about = {"version": _VERSION, "fingerprint": makehuman.assets_fingerprint(folder)}
        _add(archive, _ABOUT, json.dumps(about).encode())
        _add(archive, FACE_MODEL, (folder / "ict_facekit" / FACE_MODEL).read_bytes())
        makehuman_folder = folder / "makehuman"
        _add(archive, _WARDROBE, makehuman.wardrobe_cache(makehuman_folder, cache).read_bytes())
        _add(archive, _MORPHS, morphs.morphs_cache(makehuman_folder, cache).read_bytes())
        if assets.cloth:
            _add(archive, _CLOTH, _jpeg(np.concatenate(assets.cloth)))
        lights = io.BytesIO()
        np.savez_compressed(lights, **{name: light_map(image) for name, image in assets.panoramas.items()})
        _add(archive, _LIGHTS, lights.getvalue())
        for name, image in assets.panoramas.items():
            _add(archive, f"{_PANORAMAS}{name}.jpg", encode_panorama(image))
    return content.getvalue()


def encode_panorama(panorama: np.ndarray) -> bytes:
    """Return a JPEG of an (H, W, 3) float32 panorama: radiance x in units of its median as x / (1 + x)."""
    radiance = exposed(panorama)
    return _jpeg((255 * (radiance / (1 + radiance)) ** (1 / _GAMMA)).round().astype(np.uint8))


def decode_panorama(content: bytes) -> np.ndarray:
    """Return (H, W, 3) float32 radiance, in units of the median, of `encode_panorama`'s JPEG."""
    shown = (_decoded(content).astype(np.float32) / 255) ** _GAMMA
    return shown / np.maximum(1 - shown, 1e-3)


def _read_pack(path: Path) -> Assets:
    if _about(path)["version"] != _VERSION:
        raise ValueError(f"{path} is for another version of the renderer; run `python -m atpn assets pack` again")
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:

            def member(name: str) -> bytes:
                return read_member(archive, archive.getinfo(name))

            def arrays(name: str) -> tuple[io.BytesIO, str]:
                return io.BytesIO(member(name)), f"{path}/{name}"

            head = read_ict(*arrays(FACE_MODEL))
            packed = _CLOTH in archive.namelist()
            cloth = _decoded(member(_CLOTH)) if packed else np.empty((0, PATCH, 3), np.uint8)
            lights = read_arrays(*arrays(_LIGHTS))
            return Assets(
                head,
                makehuman.read_wardrobe(*arrays(_WARDROBE)),
                morphs.read_morphs(*arrays(_MORPHS), head),
                list(cloth.reshape(-1, PATCH, PATCH, 3)),
                {name: decode_panorama(member(f"{_PANORAMAS}{name}.jpg")) for name in lights},
                lights,
            )
    except MALFORMED as error:
        raise ValueError(f"{path} is truncated or damaged ({quote(error)}); copy it again") from error


def _about(path: Path) -> dict[str, str]:
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            about = parse_json(read_member(archive, archive.getinfo(_ABOUT)))
            return {key: str(about[key]) for key in ("version", "fingerprint")}
    except MALFORMED as error:
        raise ValueError(
            f"{path} is not a pack of assets ({quote(error)}); give a folder, or make one with "
            "`python -m atpn assets pack`"
        ) from error


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name), content)  # no time stamp: the same assets give the same bytes


def _jpeg(image: np.ndarray) -> bytes:
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    flags = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY, *sampling]
    return cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), flags)[1].tobytes()


def _decoded(content: bytes) -> np.ndarray:
    image = decode_image(content)
    return np.ascontiguousarray(image[:, :, ::-1])
