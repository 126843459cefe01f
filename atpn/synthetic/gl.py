"""Drawing heads with OpenGL 3.3 through EGL; runs on a GPU or on Mesa's software rasteriser."""

from __future__ import annotations

from dataclasses import dataclass

import moderngl
import numpy as np

from atpn.synthetic.appearance import Look
from atpn.synthetic.head import HeadModel, Part
from atpn.synthetic.lighting import Light
from atpn.synthetic.makehuman import Hair
from edge_runtime.geometry import Intrinsics

_NEAR, _FAR = 5.0, 1000.0  # centimetres

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

_LIGHT = """
uniform vec3 harmonics[9]; uniform vec3 lamp; uniform vec3 lamp_colour; uniform float exposure_gamma;
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
uniform sampler2D atlas;
uniform vec3 skin_gloss;      // specular strength, exponent, grazing strength
uniform vec3 eyes[2];         // eyeball centres, head frame, the image's left first
uniform vec3 gaze; uniform vec3 iris; uniform vec2 iris_radius; uniform vec3 sclera; uniform float eye_shade;
uniform vec3 teeth; uniform float mouth_light; uniform vec2 teeth_depth; uniform float lash_opacity;
uniform vec3 cloth; uniform vec4 collar;  // height, tilt by |x|, tilt by z, stripe frequency
"""
    + _LIGHT
    + """
float noise(float x) { return fract(sin(x * 12.9898) * 43758.5453); }
void main() {
    vec3 n = normalize(camera_normal), v = normalize(-camera_position);
    if (dot(n, v) < 0.0 && kind > 0) n = -n;
    vec3 albedo = texture(atlas, texel).rgb;
    float shine = skin_gloss.x, gloss = skin_gloss.y, shade = 1.0;
    vec3 wrap = vec3(0.0);
    if (kind == 0) {
        wrap = vec3(0.35, 0.15, 0.1);  // light that scatters under the skin reaches past the terminator, red most
        if (head_position.y > collar.x + collar.y * abs(head_position.x) + collar.z * head_position.z) {
            albedo = cloth * (collar.w > 0.0 ? 0.7 + 0.3 * step(0.0, sin(head_position.y * collar.w)) : 1.0);
            shine *= 0.2; wrap = vec3(0.0);
        }
    } else if (kind == 1) { albedo = vec3(0.45, 0.17, 0.15) * mouth_light; shine = 0.1;
    } else if (kind == 2) { albedo = vec3(0.62, 0.30, 0.30) * mouth_light; shine = 0.3;
    } else if (kind == 3) {  // back teeth lie in the mouth's shade
        albedo = teeth * (0.35 + 0.65 * smoothstep(teeth_depth.x, teeth_depth.y, -head_position.z)); shine = 0.4;
    } else if (kind == 4) {
        vec3 d = normalize(head_position - eyes[head_position.x < 0.0 ? 0 : 1]);
        float angle = acos(clamp(dot(d, gaze), -1.0, 1.0));
        float spoke = noise(floor(atan(d.y - gaze.y, d.x - gaze.x) * 20.0));
        vec3 rim = iris * (0.7 + 0.5 * spoke) * (1.0 - 0.5 * smoothstep(iris_radius.x - 0.12, iris_radius.x, angle));
        albedo = mix(sclera, rim, smoothstep(iris_radius.x + 0.04, iris_radius.x - 0.04, angle));
        albedo = mix(albedo, vec3(0.01), smoothstep(iris_radius.y + 0.04, iris_radius.y - 0.04, angle));
        shine = 1.2; gloss = 120.0; shade = eye_shade;
    } else if (kind == 5) { albedo *= 0.6;
    } else if (kind == 6) { albedo = vec3(0.03); shine = 0.0; }
    vec3 a = albedo * albedo;  // display values to linear, near enough
    vec3 e = ambient(n);
    vec3 diffuse = max((vec3(dot(n, lamp)) + wrap) / (1.0 + wrap), 0.0);
    float facing = dot(n, lamp) > 0.0 ? 1.0 : 0.0;
    float highlight = pow(max(dot(n, normalize(lamp + v)), 0.0), gloss) * shine * facing;
    float grazing = pow(1.0 - max(dot(n, v), 0.0), 4.0) * skin_gloss.z;
    vec3 lit = a * (e + lamp_colour * diffuse) * shade + lamp_colour * highlight + e * grazing * 0.3;
    colour = vec4(display(lit), kind == 6 ? lash_opacity : 1.0);
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
    hair_cut: float
    """Opacity under which a hair texel is left out."""


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
        self._skin_program = gl.program(vertex_shader=_VERTEX, fragment_shader=_SKIN_FRAGMENT)
        self._hair_program = gl.program(vertex_shader=_VERTEX, fragment_shader=_HAIR_FRAGMENT)
        self._frame = gl.framebuffer([gl.texture((size, size), 4)], gl.depth_texture((size, size)))
        static = np.column_stack([head.uv, head.part[head.uv_source]]).astype(np.float32)
        self._surface = gl.buffer(reserve=len(head.uv) * 24, dynamic=True)
        layout = [(self._surface, "3f 3f", "position", "normal"), (gl.buffer(static), "2f 1f", "uv", "part")]
        lashes = (head.part[head.triangles] == Part.LASHES).all(axis=1)
        self._solid = gl.vertex_array(self._skin_program, layout, gl.buffer(_indices(head.uv_triangles[~lashes])))
        self._lashes = (
            gl.vertex_array(self._skin_program, layout, gl.buffer(_indices(head.uv_triangles[lashes])))
            if lashes.any()
            else None
        )
        self._atlas: moderngl.Texture | None = None
        self._atlas_of: Look | None = None
        self._hair = {h.name: _HairBuffers(gl, self._hair_program, h) for h in hair}

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
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw a head: (S, S, 4) uint8 RGBA and (S, S) float32 depth along z in centimetres (inf: nothing there).

        Args:
            surface, normals: (V, 3) in the head frame.
            hair_surface: (H, 3) vertices of `look.hair` in the head frame, None without hair.
            head_to_camera: (4, 4).
            gaze: (3,) unit vector in the head frame.
        """
        gl, size = self._context, self.size
        source = self.head.uv_source
        self._surface.write(np.column_stack([surface[source], normals[source]]).astype(np.float32))
        self._use_atlas(look)
        projection = _projection(intrinsics, size)
        for program in (self._skin_program, self._hair_program):
            program["head_to_camera"].write(head_to_camera.T.astype(np.float32).tobytes())
            program["projection"].write(projection.T.astype(np.float32).tobytes())
            program["harmonics"].write(light.harmonics.astype(np.float32).tobytes())
            program["lamp"].value = tuple(light.lamp_direction)
            program["lamp_colour"].value = tuple(light.lamp_colour)
            program["exposure_gamma"].value = shading.gamma
        self._set_skin(look, surface, gaze, shading)

        self._frame.use()
        self._frame.clear(0.0, 0.0, 0.0, 0.0)
        gl.enable(moderngl.DEPTH_TEST)
        gl.disable(moderngl.BLEND)
        self._solid.render()
        if look.hair is not None and hair_surface is not None:
            self._hair_program["tint"].value = tuple(look.hair_colour * 1.3)
            self._hair_program["cut"].value = shading.hair_cut
            self._hair[look.hair.name].draw(hair_surface)
            self._use_atlas(look)
        if self._lashes is not None:
            gl.enable(moderngl.BLEND)
            # Colours blend, coverage stays: the silhouette of a lash must not cut a hole into the background.
            gl.blend_func = moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA, moderngl.ZERO, moderngl.ONE
            self._lashes.render()
        # The projection puts image row 0 at the bottom of the GL frame, whose rows are read bottom first.
        rgba = np.frombuffer(self._frame.read(components=4), np.uint8).reshape(size, size, 4)
        window = np.frombuffer(self._frame.read(attachment=-1, components=1, dtype="f4"), np.float32)
        ndc = window.reshape(size, size) * 2.0 - 1.0
        depth = 2 * _FAR * _NEAR / (_FAR + _NEAR - ndc * (_FAR - _NEAR))
        return rgba, np.where(window.reshape(size, size) >= 1.0, np.inf, depth).astype(np.float32)

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
        if self._atlas_of is not look:
            self._atlas.write(look.atlas.tobytes(), alignment=1)
            self._atlas.build_mipmaps()
            self._atlas_of = look
        self._atlas.use(0)


class _HairBuffers:
    """A hair mesh on the graphics side."""

    def __init__(self, gl: moderngl.Context, program: moderngl.Program, hair: Hair) -> None:
        self._source, self._triangles = hair.uv_source, hair.triangles
        self._surface = gl.buffer(reserve=len(hair.uv) * 24, dynamic=True)
        layout = [(self._surface, "3f 3f", "position", "normal"), (gl.buffer(hair.uv), "2f", "uv")]
        self._mesh = gl.vertex_array(program, layout, gl.buffer(_indices(hair.triangles)))
        self._texture = gl.texture(hair.texture.shape[1::-1], 4, np.ascontiguousarray(hair.texture).tobytes())
        self._texture.build_mipmaps()
        self._texture.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR

    def draw(self, surface: np.ndarray) -> None:
        points = surface[self._source]
        a, b, c = (points[self._triangles[:, k]] for k in range(3))
        face = np.cross(b - a, c - a)
        normals = np.zeros_like(points)
        for k in range(3):
            normals[self._triangles[:, k]] = face  # strands are thin: the last triangle's normal is as good as the mean
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
        self._surface.write(np.column_stack([points, normals]).astype(np.float32))
        self._texture.use(0)
        self._mesh.render()


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
