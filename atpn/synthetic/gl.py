"""Drawing heads with OpenGL 3.3 through EGL; runs on a GPU or on Mesa's software rasteriser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import moderngl
import numpy as np

from atpn.synthetic.appearance import Look
from atpn.synthetic.head import HeadModel, Part
from atpn.synthetic.lighting import Light
from atpn.synthetic.makehuman import Hair
from edge_runtime.geometry import Intrinsics

_NEAR, _FAR = 5.0, 1000.0  # centimetres
_SHADOW_SIZE = 160
"""Texels per side of the lamp's depth map: 2 mm each, the width of a soft shadow's edge."""
_LAMP_REACH = 17.0, 30.0
"""Half the lamp's view in centimetres, across and along its rays."""
_RELIEF_UNIT, _LAMP_UNIT = 1, 2

_VERTEX = """
#version 330
in vec3 position; in vec3 normal; in vec2 uv; in float part;
uniform mat4 head_to_camera; uniform mat4 projection;
out vec3 camera_position; out vec3 head_position; out vec3 camera_normal; out vec2 texel; flat out int kind;
void main() {
    vec4 q = head_to_camera * vec4(position, 1.0);
    camera_position = q.xyz; head_position = position; texel = uv; kind = int(part + 0.5);
    camera_normal = mat3(head_to_camera) * normal;
    gl_Position = projection * q;
}
"""

# Depth as the lamp sees it: what the lamp does not see is in shadow.
_SHADOW_VERTEX = """
#version 330
in vec3 position; in vec2 uv;
uniform mat4 head_to_lamp;
out vec2 texel;
void main() { texel = uv; gl_Position = head_to_lamp * vec4(position, 1.0); }
"""

_SHADOW_FRAGMENT = """
#version 330
in vec2 texel; uniform sampler2D strands; uniform float cut;
void main() { if (cut > 0.0 && texture(strands, texel).a < cut) discard; }
"""

_LIGHT = """
uniform vec3 harmonics[9]; uniform vec3 lamp; uniform vec3 lamp_colour; uniform float exposure_gamma;
uniform sampler2DShadow lamp_depth; uniform mat4 head_to_lamp; uniform vec2 shadow;  // darkness, softness in texels
float lit_by_lamp(vec3 head_point, vec3 head_normal) {
    if (shadow.x <= 0.0) return 1.0;
    vec3 q = (head_to_lamp * vec4(head_point + 0.35 * head_normal, 1.0)).xyz * 0.5 + 0.5;
    float r = shadow.y / float(SHADOW_SIZE);
    float seen = texture(lamp_depth, q + vec3(r, 0.3 * r, 0.0)) + texture(lamp_depth, q + vec3(-0.8 * r, 0.7 * r, 0.0))
        + texture(lamp_depth, q + vec3(-0.2 * r, -r, 0.0));
    return 1.0 - shadow.x * (1.0 - seen / 3.0);
}
vec3 ambient(vec3 n) {
    vec3 e = harmonics[0] * 0.282095 + harmonics[1] * 0.488603 * n.y + harmonics[2] * 0.488603 * n.z
        + harmonics[3] * 0.488603 * n.x + harmonics[4] * 1.092548 * n.x * n.y + harmonics[5] * 1.092548 * n.y * n.z
        + harmonics[6] * 0.315392 * (3.0 * n.z * n.z - 1.0) + harmonics[7] * 1.092548 * n.x * n.z
        + harmonics[8] * 0.546274 * (n.x * n.x - n.y * n.y);
    return max(e, vec3(0.02));
}
vec3 display(vec3 linear) { return pow(max(linear, 0.0), vec3(exposure_gamma)); }
"""

_SKIN_FRAGMENT = (
    """
#version 330
in vec3 camera_position; in vec3 head_position; in vec3 camera_normal; in vec2 texel; flat in int kind;
out vec4 colour;
uniform sampler2D atlas; uniform sampler2D relief; uniform float bump;  // centimetres of a full step of the relief
uniform mat4 head_to_camera;
uniform vec3 skin_gloss;      // specular strength, exponent, grazing strength
uniform vec3 eyes[2];         // eyeball centres, head frame, the image's left first
uniform vec3 gaze; uniform vec3 iris; uniform vec2 iris_radius; uniform vec3 sclera; uniform float eye_shade;
uniform vec3 teeth; uniform float mouth_light; uniform vec2 teeth_depth; uniform vec2 mouth_depth;
uniform float lash_opacity;
uniform vec3 cloth; uniform vec4 collar;  // height, tilt by |x|, tilt by z, stripe frequency
"""
    + _LIGHT
    + """
float noise(float x) { return fract(sin(x * 12.9898) * 43758.5453); }
void main() {
    vec3 n = normalize(camera_normal), v = normalize(-camera_position);
    if (dot(n, v) < 0.0 && kind > 0) n = -n;
    vec3 albedo = texture(atlas, texel).rgb;
    float shine = skin_gloss.x, gloss = skin_gloss.y, shade = 1.0, opacity = 1.0;
    vec3 wrap = vec3(0.0);
    // A mouth is a cave: what lies deeper is darker.
    float cave = 0.12 + 0.88 * smoothstep(mouth_depth.x, mouth_depth.y, -head_position.z);
    if (kind == 0) {
        // Bump mapping of unparametrised surfaces (Mikkelsen, 2010).
        float h = texture(relief, texel).r * bump;
        vec3 px = dFdx(camera_position), py = dFdy(camera_position);
        vec3 r1 = cross(py, n), r2 = cross(n, px);
        float det = dot(px, r1);
        n = normalize(abs(det) * n - sign(det) * (dFdx(h) * r1 + dFdy(h) * r2));
        wrap = vec3(0.35, 0.15, 0.1);  // light that scatters under the skin reaches past the terminator, red most
        if (head_position.y > collar.x + collar.y * abs(head_position.x) + collar.z * head_position.z) {
            albedo = cloth * (collar.w > 0.0 ? 0.7 + 0.3 * step(0.0, sin(head_position.y * collar.w)) : 1.0);
            shine *= 0.2; wrap = vec3(0.0);
        }
    } else if (kind == 1) { albedo = vec3(0.55, 0.22, 0.20) * mouth_light; shine = 0.25; shade = cave;
    } else if (kind == 2) { albedo = vec3(0.66, 0.34, 0.33) * mouth_light; shine = 0.35; shade = cave;
    } else if (kind == 3) {  // back teeth lie in the mouth's shade
        albedo = teeth; shine = 0.5;
        shade = 0.25 + 0.75 * smoothstep(teeth_depth.x, teeth_depth.y, -head_position.z);
    } else if (kind == 4) {
        vec3 d = normalize(head_position - eyes[head_position.x < 0.0 ? 0 : 1]);
        float angle = acos(clamp(dot(d, gaze), -1.0, 1.0));
        float spoke = noise(floor(atan(d.y - gaze.y, d.x - gaze.x) * 20.0));
        vec3 rim = iris * (0.7 + 0.5 * spoke) * (1.0 - 0.5 * smoothstep(iris_radius.x - 0.12, iris_radius.x, angle));
        albedo = mix(sclera, rim, smoothstep(iris_radius.x + 0.04, iris_radius.x - 0.04, angle));
        albedo = mix(albedo, vec3(0.01), smoothstep(iris_radius.y + 0.04, iris_radius.y - 0.04, angle));
        shine = 1.2; gloss = 120.0;
        shade = eye_shade * (0.5 + 0.5 * smoothstep(-0.5, 0.0, d.y));  // lid and lashes shade the eye's upper part
    } else if (kind == 5) { albedo *= 0.6;
    } else if (kind == 6) {
        albedo = vec3(0.03); shine = 0.0;
        vec3 d = head_position - eyes[head_position.x < 0.0 ? 0 : 1];
        // Single hairs, thin and pale along the lower lid.
        opacity = lash_opacity * (0.25 + 0.75 * step(0.5, fract(atan(d.x, -d.z) * 26.0))) * (d.y > 0.15 ? 0.25 : 1.0);
    }
    vec3 a = albedo * albedo;  // display values to linear, near enough
    vec3 e = ambient(n);
    vec3 diffuse = max((vec3(dot(n, lamp)) + wrap) / (1.0 + wrap), 0.0);
    float facing = dot(n, lamp) > 0.0 ? 1.0 : 0.0;
    vec3 outwards = transpose(mat3(head_to_camera)) * normalize(camera_normal);
    vec3 lamp_here = lamp_colour * lit_by_lamp(head_position, outwards);
    float highlight = pow(max(dot(n, normalize(lamp + v)), 0.0), gloss) * shine * facing * shade;
    float grazing = pow(1.0 - max(dot(n, v), 0.0), 4.0) * skin_gloss.z;
    vec3 lit = a * (e + lamp_here * diffuse) * shade + lamp_here * highlight + e * grazing * 0.3;
    colour = vec4(display(lit), opacity);
}
"""
)

_HAIR_FRAGMENT = (
    """
#version 330
in vec3 camera_position; in vec3 head_position; in vec3 camera_normal; in vec2 texel; flat in int kind;
out vec4 colour;
uniform sampler2D strands; uniform vec3 tint; uniform float cut;
"""
    + _LIGHT
    + """
void main() {
    vec4 t = texture(strands, texel);
    if (t.a < cut) discard;
    vec3 n = normalize(camera_normal), v = normalize(-camera_position);
    if (dot(n, v) < 0.0) n = -n;
    vec3 a = tint * (0.35 + 1.3 * dot(t.rgb, vec3(0.333)));
    float highlight = pow(max(dot(n, normalize(lamp + v)), 0.0), 20.0) * 0.15;
    vec3 lit = a * a * (ambient(n) + lamp_colour * max(dot(n, lamp), 0.0)) + lamp_colour * highlight;
    colour = vec4(display(lit), 1.0);
}
"""
)

_EXTRA_VERTEX = """
#version 330
in vec3 position; in vec3 normal; in vec3 albedo;
uniform mat4 head_to_camera; uniform mat4 projection;
out vec3 camera_position; out vec3 head_position; out vec3 camera_normal; out vec3 tint;
void main() {
    vec4 q = head_to_camera * vec4(position, 1.0);
    camera_position = q.xyz; head_position = position; tint = albedo;
    camera_normal = mat3(head_to_camera) * normal;
    gl_Position = projection * q;
}
"""

_EXTRA_FRAGMENT = (
    """
#version 330
in vec3 camera_position; in vec3 head_position; in vec3 camera_normal; in vec3 tint;
out vec4 colour;
"""
    + _LIGHT
    + """
void main() {
    vec3 n = normalize(camera_normal), v = normalize(-camera_position);
    if (dot(n, v) < 0.0) n = -n;
    vec3 lit = tint * tint * (ambient(n) + lamp_colour * max(dot(n, lamp), 0.0));
    colour = vec4(display(lit), 1.0);
}
"""
)


@dataclass(frozen=True)
class Shading:
    """Material numbers that vary from image to image."""

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
    """Darkness of cast shadows, 0 to 1 (0: none, which also saves the lamp's pass), and their softness in texels."""
    bump: float
    """Depth of the skin's relief, centimetres."""
    hair_cut: float
    """Opacity under which a hair texel is left out."""


@dataclass(frozen=True)
class DrawnMesh:
    """Something on a head, opaque and seen from both sides: headwear."""

    points: np.ndarray
    """(P, 3) float32, head frame."""
    normals: np.ndarray
    """(P, 3) float32."""
    colours: np.ndarray
    """(P, 3) float32 display values in [0, 1]."""
    triangles: np.ndarray
    """(T, 3) int32."""


class GraphicsError(OSError):
    """This machine offers no OpenGL context; the message says what to install."""


class HeadCanvas:
    """Draws one head model off screen. Holds the graphics context; one per process."""

    def __init__(self, head: HeadModel, hair: tuple[Hair, ...], size: int) -> None:
        self.head, self.size = head, size
        try:
            self._context = moderngl.create_standalone_context(backend="egl")
        except Exception as error:  # moderngl raises bare Exception for a missing library or device
            raise GraphicsError(
                f"no OpenGL context could be made through EGL ({error}); install Mesa's libraries "
                "(Debian: apt-get install libegl1 libgl1-mesa-dri) or run where a GPU driver offers EGL"
            ) from error
        gl = self._context
        self._skin_program = gl.program(vertex_shader=_VERTEX, fragment_shader=_sized(_SKIN_FRAGMENT))
        self._hair_program = gl.program(vertex_shader=_VERTEX, fragment_shader=_sized(_HAIR_FRAGMENT))
        self._extra_program = gl.program(vertex_shader=_EXTRA_VERTEX, fragment_shader=_sized(_EXTRA_FRAGMENT))
        self._shadow_program = gl.program(vertex_shader=_SHADOW_VERTEX, fragment_shader=_SHADOW_FRAGMENT)
        self._lamp_depth = gl.depth_texture((_SHADOW_SIZE, _SHADOW_SIZE))
        self._lamp_depth.compare_func = "<="
        self._lamp_depth.filter = moderngl.LINEAR, moderngl.LINEAR
        self._lamp_frame = gl.framebuffer([], self._lamp_depth)
        self._frame = gl.framebuffer([gl.texture((size, size), 4)], gl.depth_texture((size, size)))
        static = np.column_stack([head.uv, head.part[head.uv_source]]).astype(np.float32)
        self._surface = gl.buffer(reserve=len(head.uv) * 24, dynamic=True)
        layout = [(self._surface, "3f 3f", "position", "normal"), (gl.buffer(static), "2f 1f", "uv", "part")]
        lashes = (head.part[head.triangles] == Part.LASHES).all(axis=1)
        solid = gl.buffer(_indices(head.uv_triangles[~lashes]))
        self._solid = gl.vertex_array(self._skin_program, layout, solid)
        shadow_layout = [(self._surface, "3f 12x", "position"), (layout[1][0], "2f 4x", "uv")]
        self._solid_shadow = gl.vertex_array(self._shadow_program, shadow_layout, solid)
        self._lashes = (
            gl.vertex_array(self._skin_program, layout, gl.buffer(_indices(head.uv_triangles[lashes])))
            if lashes.any()
            else None
        )
        lips = -float(head.landmarks.at(head.neutral)[88:96, 2].mean())
        self._mouth_depth = lips - 5.0, lips - 0.3  # centimetres towards the camera, back and front
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
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a head: (S, S, 4) uint8 RGBA and (S, S) float32 depth along z in centimetres (inf: nothing there).

        Args:
            surface, normals: (V, 3) in the head frame.
            hair_surface: (H, 3) vertices of `look.hair` in the head frame, None without hair.
            head_to_camera: (4, 4).
            gaze: (3,) unit vector in the head frame.
            extras: drawn with the head, and casting shadows on it.
        """
        gl, size = self._context, self.size
        source = self.head.uv_source
        self._surface.write(np.column_stack([surface[source], normals[source]]).astype(np.float32))
        projection = _projection(intrinsics, size)
        hair = None
        if look.hair is not None and hair_surface is not None:
            hair = self._hair[look.hair.name]
            hair.write(hair_surface)
        meshes = [_ExtraBuffers(gl, self._extra_program, self._shadow_program, mesh) for mesh in extras]
        casts = shading.shadow[0] > 0 and bool(light.lamp_colour.any())
        head_to_lamp = _lamp_view(light.lamp_direction, head_to_camera, surface)
        if casts:
            self._cast(head_to_lamp, hair, meshes, shading)
        self._lamp_depth.use(_LAMP_UNIT)
        for program in (self._skin_program, self._hair_program, self._extra_program):
            program["head_to_camera"].write(head_to_camera.T.astype(np.float32).tobytes())
            program["projection"].write(projection.T.astype(np.float32).tobytes())
            program["harmonics"].write(light.harmonics.astype(np.float32).tobytes())
            program["lamp"].value = tuple(light.lamp_direction)
            program["lamp_colour"].value = tuple(light.lamp_colour)
            program["exposure_gamma"].value = shading.gamma
            if "head_to_lamp" in program:
                program["head_to_lamp"].write(head_to_lamp.T.astype(np.float32).tobytes())
                program["lamp_depth"].value = _LAMP_UNIT
                program["shadow"].value = shading.shadow if casts else (0.0, 1.0)
        self._set_skin(look, surface, gaze, shading)

        self._frame.use()
        self._frame.clear(0.0, 0.0, 0.0, 0.0)
        gl.enable(moderngl.DEPTH_TEST)
        gl.disable(moderngl.BLEND)
        self._use_atlas(look)
        self._solid.render()
        if hair is not None:
            self._hair_program["tint"].value = tuple(look.hair_colour * 1.3)
            self._hair_program["cut"].value = shading.hair_cut
            hair.draw()
            self._use_atlas(look)
        for mesh in meshes:
            mesh.draw()
        if self._lashes is not None:
            gl.enable(moderngl.BLEND)
            # Colours blend, coverage stays: the silhouette of a lash must not cut a hole into the background.
            gl.blend_func = moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA, moderngl.ZERO, moderngl.ONE
            self._lashes.render()
        for mesh in meshes:
            mesh.release()
        # The projection puts image row 0 at the bottom of the GL frame, whose rows are read bottom first.
        rgba = np.frombuffer(self._frame.read(components=4), np.uint8).reshape(size, size, 4)
        window = np.frombuffer(self._frame.read(attachment=-1, components=1, dtype="f4"), np.float32)
        ndc = window.reshape(size, size) * 2.0 - 1.0
        depth = 2 * _FAR * _NEAR / (_FAR + _NEAR - ndc * (_FAR - _NEAR))
        return rgba, np.where(window.reshape(size, size) >= 1.0, np.inf, depth).astype(np.float32)

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
        self._solid_shadow.render()
        for mesh in meshes:
            mesh.cast()
        if hair is not None:
            program["cut"].value = shading.hair_cut
            hair.cast()

    def _set_skin(self, look: Look, surface: np.ndarray, gaze: np.ndarray, shading: Shading) -> None:
        teeth_z = -self.head.neutral[self.head.part == Part.TEETH, 2]
        values = {
            "skin_gloss": shading.gloss,
            "gaze": tuple(gaze),
            "iris": tuple(look.iris),
            "iris_radius": (look.iris_angle, look.iris_angle * look.pupil_share),
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
        for name, value in values.items():
            self._skin_program[name].value = value
        self._skin_program["eyes"].write(self.head.eye_centres(surface).astype(np.float32).tobytes())

    def _use_atlas(self, look: Look) -> None:
        if self._atlas is None:
            height, width = look.atlas.shape[:2]
            self._atlas = self._context.texture((width, height), 3, alignment=1)
            self._atlas.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR
            self._relief = self._context.texture((width, height), 1, alignment=1)
            self._relief.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR
        if self._atlas_of is not look:
            self._atlas.write(look.atlas.tobytes(), alignment=1)
            self._atlas.build_mipmaps()
            self._relief.write(look.relief.tobytes(), alignment=1)
            self._relief.build_mipmaps()
            self._atlas_of = look
        self._relief.use(_RELIEF_UNIT)
        self._atlas.use(0)


class _HairBuffers:
    """A hair mesh on the graphics side."""

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
        self._texture.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR

    def write(self, surface: np.ndarray) -> None:
        """Move to (H, 3) vertices in the head frame."""
        points = surface[self._source]
        a, b, c = (points[self._triangles[:, k]] for k in range(3))
        face = np.cross(b - a, c - a)
        normals = np.zeros_like(points)
        for k in range(3):
            normals[self._triangles[:, k]] = face  # strands are thin: the last triangle's normal is as good as the mean
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
        self._surface.write(np.column_stack([points, normals]).astype(np.float32))

    def draw(self) -> None:
        """To the current frame."""
        self._texture.use(0)
        self._mesh.render()

    def cast(self) -> None:
        """To the lamp's depth map."""
        self._texture.use(0)
        self._shadow.render()


class _ExtraBuffers:
    """A mesh of one picture on the graphics side."""

    def __init__(
        self, gl: moderngl.Context, program: moderngl.Program, shadow_program: moderngl.Program, mesh: DrawnMesh
    ) -> None:
        vertices = np.column_stack([mesh.points, mesh.normals, mesh.colours]).astype(np.float32)
        self._buffers = gl.buffer(vertices), gl.buffer(_indices(mesh.triangles))
        surface, indices = self._buffers
        self._mesh = gl.vertex_array(program, [(surface, "3f 3f 3f", "position", "normal", "albedo")], indices)
        self._shadow = gl.vertex_array(shadow_program, [(surface, "3f 24x", "position")], indices)

    def draw(self) -> None:
        """To the current frame."""
        self._mesh.render()

    def cast(self) -> None:
        """To the lamp's depth map."""
        self._shadow.render()

    def release(self) -> None:
        """Free the graphics memory."""
        for item in (self._mesh, self._shadow, *self._buffers):
            item.release()


def _indices(triangles: np.ndarray) -> bytes:
    return np.ascontiguousarray(triangles, np.int32).tobytes()


def _projection(intrinsics: Intrinsics, size: int) -> np.ndarray:
    """(4, 4) from the camera frame (z forward) to clip space whose y runs down the image."""
    k = intrinsics
    matrix = np.zeros((4, 4))
    matrix[0, 0], matrix[0, 2] = 2 * k.fx / size, 2 * (k.cx + 0.5) / size - 1
    matrix[1, 1], matrix[1, 2] = 2 * k.fy / size, 2 * (k.cy + 0.5) / size - 1
    matrix[2, 2], matrix[2, 3] = (_FAR + _NEAR) / (_FAR - _NEAR), -2 * _FAR * _NEAR / (_FAR - _NEAR)
    matrix[3, 2] = 1
    return matrix


def _lamp_view(lamp: np.ndarray, head_to_camera: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """(4, 4) from the head frame to the lamp's clip space: an orthographic view along the lamp's rays.

    It is centred on the face, where most vertices are, and wide enough for a head with a hat.
    """
    towards = head_to_camera[:3, :3].T @ lamp
    side = np.cross(towards, [0.0, 1.0, 0.0] if abs(towards[1]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    axes = np.stack([side / _LAMP_REACH[0], np.cross(side, towards) / _LAMP_REACH[0], -towards / _LAMP_REACH[1]])
    centre = surface.mean(axis=0)
    view = np.eye(4)
    view[:3, :3], view[:3, 3] = axes, -axes @ centre
    return view


def _sized(fragment: str) -> str:
    return fragment.replace("SHADOW_SIZE", str(_SHADOW_SIZE))
