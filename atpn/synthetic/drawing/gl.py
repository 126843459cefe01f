"""OpenGL 3.3 rendering of heads through EGL, on a GPU or Mesa's software rasterizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import moderngl
import numpy as np

from atpn.synthetic.appearance.lighting import Light
from atpn.synthetic.appearance.look import Look
from atpn.synthetic.appearance.mesh import DrawnMesh
from atpn.synthetic.drawing import shaders
from atpn.synthetic.heads.head import HeadModel, Part
from atpn.synthetic.heads.makehuman import Hair
from edge_runtime.geometry import Intrinsics

_NEAR, _FAR = 5.0, 1000.0  # centimeters
_LAMP_REACH = 17.0, 30.0
"""Half the lamp's view in centimeters, across and along its rays."""
_RELIEF_UNIT, _LAMP_UNIT = 1, 2


@dataclass(frozen=True)
class Shading:
    """Material parameters that vary from image to image."""

    gloss: tuple[float, float, float]
    """Specular strength, exponent, grazing strength of the skin."""
    sclera: np.ndarray
    eye_shade: float
    teeth: np.ndarray
    mouth_light: float
    lash_opacity: float
    cloth: np.ndarray
    collar: tuple[float, float, float, float]
    gamma: float
    shadow: tuple[float, float]
    """Darkness of cast shadows (0 to 1) and their softness in texels; 0 also skips the lamp's pass."""
    bump: float
    """Depth of the skin's relief, centimeters."""
    hair_cut: float
    """Minimum opacity of a drawn hair texel."""


class GraphicsError(OSError):
    """No OpenGL context is available; the message says what to install."""


class HeadCanvas:
    """Off-screen renderer of one head model. Its graphics context is expensive: make few."""

    def __init__(self, head: HeadModel, hair: tuple[Hair, ...], size: int) -> None:
        self.head, self.size = head, size
        try:
            self._context = moderngl.create_standalone_context(backend="egl")
        except Exception as error:  # moderngl raises bare Exception for a missing library or device
            raise GraphicsError(
                f"cannot create an OpenGL context through EGL ({error}); install Mesa's libraries "
                "(Debian: apt-get install libegl1 libgl1-mesa-dri) or run where a GPU driver offers EGL"
            ) from error
        gl = self._context
        self._skin_program = gl.program(vertex_shader=shaders.HEAD_VERTEX, fragment_shader=shaders.SKIN_FRAGMENT)
        self._inner_program = gl.program(vertex_shader=shaders.HEAD_VERTEX, fragment_shader=shaders.INNER_FRAGMENT)
        self._hair_program = gl.program(vertex_shader=shaders.HEAD_VERTEX, fragment_shader=shaders.HAIR_FRAGMENT)
        self._extra_program = gl.program(vertex_shader=shaders.EXTRA_VERTEX, fragment_shader=shaders.EXTRA_FRAGMENT)
        self._shadow_program = gl.program(vertex_shader=shaders.SHADOW_VERTEX, fragment_shader=shaders.SHADOW_FRAGMENT)
        self._lamp_depth = gl.depth_texture((shaders.SHADOW_SIZE, shaders.SHADOW_SIZE))
        self._lamp_depth.compare_func = "<="
        self._lamp_depth.filter = moderngl.LINEAR, moderngl.LINEAR
        self._lamp_frame = gl.framebuffer([], self._lamp_depth)
        self._frame = gl.framebuffer([gl.texture((size, size), 4)], gl.depth_texture((size, size)))
        static = np.column_stack([head.uv, head.part[head.uv_source]]).astype(np.float32)
        self._surface = gl.buffer(reserve=len(head.uv) * 24, dynamic=True)
        layout = [(self._surface, "3f 3f", "position", "normal"), (gl.buffer(static), "2f 1f", "uv", "part")]
        lashes = (head.part[head.triangles] == Part.LASHES).all(axis=1)
        skin = (head.part[head.triangles] == Part.SKIN).all(axis=1)
        skin_indices = gl.buffer(_indices(head.uv_triangles[skin]))
        self._skin = gl.vertex_array(self._skin_program, layout, skin_indices)
        inner = gl.buffer(_indices(head.uv_triangles[~(skin | lashes)]))
        self._inner = gl.vertex_array(self._inner_program, layout, inner)
        shadow_layout = [(self._surface, "3f 12x", "position"), (layout[1][0], "2f 4x", "uv")]
        # What lies inside the mouth and behind the lids shades nothing that is seen.
        self._skin_shadow = gl.vertex_array(self._shadow_program, shadow_layout, skin_indices)
        self._lashes = (
            gl.vertex_array(self._inner_program, layout, gl.buffer(_indices(head.uv_triangles[lashes])))
            if lashes.any()
            else None
        )
        lips = -float(head.landmarks.at(head.neutral)[88:96, 2].mean())
        self._mouth_depth = lips - 5.0, lips - 0.3  # centimeters toward the camera, back and front
        self._atlas: moderngl.Texture | None = None
        self._atlas_of: Look | None = None
        self._relief: moderngl.Texture | None = None
        self._hair = {h.name: _HairBuffers(gl, self._hair_program, self._shadow_program, h) for h in hair}

    def draw(
        self,
        surface: np.ndarray,
        normals: np.ndarray,
        look: Look,
        hair_surface: np.ndarray | None,
        head_to_camera: np.ndarray,
        intrinsics: Intrinsics,
        gaze: np.ndarray,
        light: Light,
        shading: Shading,
        extras: Sequence[DrawnMesh] = (),
        side: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a head: (S, S, 4) uint8 RGBA and (S, S) float32 depth along z in centimeters (inf: background).

        Colors are premultiplied by the coverage A: over a background B the image is RGB + B * (1 - A / 255). `surface`
        and `normals` are (V, 3), `hair_surface` is (H, 3) vertices of `look.hair` (None: no hair), `gaze` is (2, 3)
        unit vectors of the eye at the image's left, then right, all in the head frame; `head_to_camera` is (4, 4).
        `extras` are drawn with the head and cast shadows on it. `side` is S in pixels, at most the canvas' size
        (default).
        """
        gl, size = self._context, side or self.size
        if size > self.size:
            raise ValueError(f"a canvas of {self.size} px cannot draw {size} px; make a larger one")
        with gl:  # another canvas of this process may have made its own context the current one
            source = self.head.uv_source
            self._surface.write(np.column_stack([surface[source], normals[source]]).astype(np.float32))
            projection = _projection(intrinsics, size)
            hair = None
            if look.hair is not None and hair_surface is not None:
                hair = self._hair[look.hair.name]
                hair.write(hair_surface)
            meshes = [_ExtraBuffers(gl, self._extra_program, self._shadow_program, mesh) for mesh in extras]
            casts = shading.shadow[0] > 0 and bool(light.lamp_color.any())
            head_to_lamp = _lamp_view(light.lamp_direction, head_to_camera, surface)
            if casts:
                self._cast(head_to_lamp, hair, meshes, shading)
            self._lamp_depth.use(_LAMP_UNIT)
            for program in (self._skin_program, self._inner_program, self._hair_program, self._extra_program):
                program["head_to_camera"].write(head_to_camera.T.astype(np.float32).tobytes())
                program["projection"].write(projection.T.astype(np.float32).tobytes())
                program["harmonics"].write(light.harmonics.astype(np.float32).tobytes())
                program["lamp"].value = tuple(light.lamp_direction)
                program["lamp_color"].value = tuple(light.lamp_color)
                program["exposure_gamma"].value = shading.gamma
                if "head_to_lamp" in program:
                    program["head_to_lamp"].write(head_to_lamp.T.astype(np.float32).tobytes())
                    program["lamp_depth"].value = _LAMP_UNIT
                    program["shadow"].value = shading.shadow if casts else (0.0, 1.0)
            self._set_skin(look, surface, gaze, shading)

            window = (0, 0, size, size)
            self._frame.use()
            self._frame.viewport = window
            self._frame.clear(0.0, 0.0, 0.0, 0.0, viewport=window)
            gl.enable(moderngl.DEPTH_TEST)
            gl.disable(moderngl.BLEND)
            self._use_atlas(look)
            # The far side of a head is never seen, and drawing it costs as much as drawing the near side. The
            # projection mirrors the image, and the order of each triangle's corners with it.
            gl.front_face = "cw"
            gl.enable(moderngl.CULL_FACE)
            self._skin.render()
            gl.disable(moderngl.CULL_FACE)
            self._inner.render()
            for mesh in meshes:
                mesh.draw()
            if hair is not None:
                self._hair_program["tint"].value = tuple(look.hair_color * 1.3)
                self._hair_program["cut"].value = shading.hair_cut
                self._hair_program["fringe"].value = False
                hair.draw()
            gl.enable(moderngl.BLEND)
            gl.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA
            # Lashes and single strands do not write depth: they hide no landmarks.
            self._frame.depth_mask = False
            if self._lashes is not None:
                self._use_atlas(look)
                self._lashes.render()
            if hair is not None:
                self._hair_program["fringe"].value = True
                hair.draw()
            self._frame.depth_mask = True
            for mesh in meshes:
                mesh.release()
            # The projection puts image row 0 at the bottom of the GL frame, whose rows are read bottom first.
            rgba = np.frombuffer(self._frame.read(window, components=4), np.uint8).reshape(size, size, 4)
            stored = self._frame.read(window, attachment=-1, components=1, dtype="f4")
            ndc = np.frombuffer(stored, np.float32).reshape(size, size) * 2.0 - 1.0
            depth = 2 * _FAR * _NEAR / (_FAR + _NEAR - ndc * (_FAR - _NEAR))
            depth[ndc >= 1.0] = np.inf
            return rgba, depth

    def _cast(
        self, head_to_lamp: np.ndarray, hair: _HairBuffers | None, meshes: list[_ExtraBuffers], shading: Shading
    ) -> None:
        """Fill the lamp's depth map."""
        gl, program = self._context, self._shadow_program
        program["head_to_lamp"].write(head_to_lamp.T.astype(np.float32).tobytes())
        self._lamp_frame.use()
        self._lamp_frame.clear(depth=1.0)
        gl.enable(moderngl.DEPTH_TEST)
        gl.disable(moderngl.BLEND)
        program["cut"].value = 0.0
        self._skin_shadow.render()
        for mesh in meshes:
            mesh.cast()
        if hair is not None:
            program["cut"].value = shading.hair_cut
            hair.cast()

    def _set_skin(self, look: Look, surface: np.ndarray, gaze: np.ndarray, shading: Shading) -> None:
        teeth_z = -self.head.neutral[self.head.part == Part.TEETH, 2]
        values = {
            "skin_gloss": shading.gloss,
            "iris": tuple(look.iris),
            "iris_radius": (look.iris_angle, look.iris_angle * look.pupil_fraction),
            "sclera": tuple(shading.sclera),
            "eye_shade": shading.eye_shade,
            "teeth": tuple(shading.teeth),
            "teeth_depth": (float(teeth_z.min()), float(teeth_z.max())) if len(teeth_z) else (0.0, 1.0),
            "mouth_light": shading.mouth_light,
            "mouth_depth": self._mouth_depth,
            "relief": _RELIEF_UNIT,
            "bump": shading.bump,
            "lash_opacity": shading.lash_opacity,
            "cloth": tuple(shading.cloth),
            "collar": shading.collar,
        }
        for program in (self._skin_program, self._inner_program):
            for name, value in values.items():
                if name in program:
                    program[name].value = value
        self._inner_program["gaze"].write(gaze.astype(np.float32).tobytes())
        self._inner_program["eyes"].write(self.head.eye_centers(surface).astype(np.float32).tobytes())

    def _use_atlas(self, look: Look) -> None:
        if self._atlas is None:
            height, width = look.atlas.shape[:2]
            self._atlas = self._context.texture((width, height), 3, alignment=1)
            self._relief = self._context.texture((width, height), 1, alignment=1)
        if self._atlas_of is not look:
            self._atlas.write(look.atlas.tobytes(), alignment=1)
            self._atlas.build_mipmaps()
            self._relief.write(look.relief.tobytes(), alignment=1)
            self._relief.build_mipmaps()
            self._atlas_of = look
        self._relief.use(_RELIEF_UNIT)
        self._atlas.use(0)


class _HairBuffers:
    """GPU buffers of a hair mesh."""

    def __init__(
        self, gl: moderngl.Context, program: moderngl.Program, shadow_program: moderngl.Program, hair: Hair
    ) -> None:
        self._source, self._triangles = hair.uv_source, hair.triangles
        self._surface = gl.buffer(reserve=len(hair.uv) * 24, dynamic=True)
        uv, indices = gl.buffer(hair.uv), gl.buffer(_indices(hair.triangles))
        layout = [(self._surface, "3f 3f", "position", "normal"), (uv, "2f", "uv")]
        self._mesh = gl.vertex_array(program, layout, indices)
        shadow_layout = [(self._surface, "3f 12x", "position"), (uv, "2f", "uv")]
        self._shadow = gl.vertex_array(shadow_program, shadow_layout, indices)
        self._texture = gl.texture(hair.texture.shape[1::-1], 4, np.ascontiguousarray(hair.texture).tobytes())
        self._texture.build_mipmaps()
        self._texture.filter = moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR

    def write(self, surface: np.ndarray) -> None:
        """Set (H, 3) vertices in the head frame."""
        points = surface[self._source]
        a, b, c = (points[self._triangles[:, k]] for k in range(3))
        face = np.cross(b - a, c - a)
        normals = np.zeros_like(points)
        for k in range(3):
            normals[self._triangles[:, k]] = face  # strands are thin: the last triangle's normal is as good as the mean
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
        self._surface.write(np.column_stack([points, normals]).astype(np.float32))

    def draw(self) -> None:
        """Draw into the current frame."""
        self._texture.use(0)
        self._mesh.render()

    def cast(self) -> None:
        """Draw into the lamp's depth map."""
        self._texture.use(0)
        self._shadow.render()


class _ExtraBuffers:
    """GPU buffers of a mesh that is drawn once."""

    def __init__(
        self, gl: moderngl.Context, program: moderngl.Program, shadow_program: moderngl.Program, mesh: DrawnMesh
    ) -> None:
        uv = np.zeros((len(mesh.points), 2)) if mesh.uv is None else mesh.uv
        vertices = np.column_stack([mesh.points, mesh.normals, mesh.colors, uv]).astype(np.float32)
        self._buffers = gl.buffer(vertices), gl.buffer(_indices(mesh.triangles))
        surface, indices = self._buffers
        layout = [(surface, "3f 3f 3f 2f", "position", "normal", "albedo", "uv")]
        self._mesh = gl.vertex_array(program, layout, indices)
        self._shadow = gl.vertex_array(shadow_program, [(surface, "3f 32x", "position")], indices)
        texture = np.full((1, 1, 3), 255, np.uint8) if mesh.texture is None else mesh.texture
        self._texture = gl.texture(texture.shape[1::-1], 3, np.ascontiguousarray(texture).tobytes(), alignment=1)
        self._texture.build_mipmaps()
        self._texture.filter = moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR

    def draw(self) -> None:
        """Draw into the current frame."""
        self._texture.use(0)
        self._mesh.render()

    def cast(self) -> None:
        """Draw into the lamp's depth map."""
        self._shadow.render()

    def release(self) -> None:
        """Free the graphics memory."""
        for item in (self._mesh, self._shadow, self._texture, *self._buffers):
            item.release()


def _indices(triangles: np.ndarray) -> bytes:
    return np.ascontiguousarray(triangles, np.int32).tobytes()


def _projection(intrinsics: Intrinsics, size: int) -> np.ndarray:
    """Return (4, 4) from the camera frame (z forward) to clip space whose y runs down the image."""
    k = intrinsics
    matrix = np.zeros((4, 4))
    matrix[0, 0], matrix[0, 2] = 2 * k.fx / size, 2 * (k.cx + 0.5) / size - 1
    matrix[1, 1], matrix[1, 2] = 2 * k.fy / size, 2 * (k.cy + 0.5) / size - 1
    matrix[2, 2], matrix[2, 3] = (_FAR + _NEAR) / (_FAR - _NEAR), -2 * _FAR * _NEAR / (_FAR - _NEAR)
    matrix[3, 2] = 1
    return matrix


def _lamp_view(lamp: np.ndarray, head_to_camera: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """Return (4, 4) from the head frame to the lamp's clip space: an orthographic view along the lamp's rays.

    It is centered on the face and wide enough for a head with a hat.
    """
    toward = head_to_camera[:3, :3].T @ lamp
    side = np.cross(toward, [0.0, 1.0, 0.0] if abs(toward[1]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    axes = np.stack([side / _LAMP_REACH[0], np.cross(side, toward) / _LAMP_REACH[0], -toward / _LAMP_REACH[1]])
    center = surface.mean(axis=0)
    view = np.eye(4)
    view[:3, :3], view[:3, 3] = axes, -axes @ center
    return view
