"""The renderer's shaders (GLSL 3.30).

Positions in centimeters; colors linear until `display`, and premultiplied by their coverage when written.
"""

from __future__ import annotations

SHADOW_SIZE = 160
"""Texels per side of the lamp's depth map, 2 mm each."""

HEAD_VERTEX = """
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
SHADOW_VERTEX = """
#version 330
in vec3 position; in vec2 uv;
uniform mat4 head_to_lamp;
out vec2 texel;
void main() { texel = uv; gl_Position = head_to_lamp * vec4(position, 1.0); }
"""

SHADOW_FRAGMENT = """
#version 330
in vec2 texel; uniform sampler2D strands; uniform float cut;
void main() { if (cut > 0.0 && texture(strands, texel).a < cut) discard; }
"""

_LIGHT = """
uniform vec3 harmonics[9]; uniform vec3 lamp; uniform vec3 lamp_color; uniform float exposure_gamma;
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
""".replace("SHADOW_SIZE", str(SHADOW_SIZE))

_SURFACE_FRAGMENT = (
    """
in vec3 camera_position; in vec3 head_position; in vec3 camera_normal; in vec2 texel; flat in int kind;
out vec4 color;
uniform sampler2D atlas; uniform sampler2D relief; uniform float bump;  // centimeters of a full step of the relief
uniform mat4 head_to_camera;
uniform vec3 skin_gloss;      // specular strength, exponent, grazing strength
uniform vec3 eyes[2];         // eyeball centers, head frame, the image's left first
uniform vec3 gaze[2]; uniform vec3 iris; uniform vec2 iris_radius; uniform vec3 sclera; uniform float eye_shade;
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
#ifdef SKIN
    // Bump mapping of unparametrized surfaces (Mikkelsen, 2010).
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
#else
    // A mouth is a cave: what lies deeper is darker.
    float cave = 0.12 + 0.88 * smoothstep(mouth_depth.x, mouth_depth.y, -head_position.z);
    if (kind == 1) { albedo = vec3(0.55, 0.22, 0.20) * mouth_light; shine = 0.25; shade = cave;
    } else if (kind == 2) { albedo = vec3(0.66, 0.34, 0.33) * mouth_light; shine = 0.35; shade = cave;
    } else if (kind == 3) {  // back teeth lie in the mouth's shade
        albedo = teeth; shine = 0.5;
        shade = 0.25 + 0.75 * smoothstep(teeth_depth.x, teeth_depth.y, -head_position.z);
    } else if (kind == 4) {
        int eye = head_position.x < 0.0 ? 0 : 1;
        vec3 d = normalize(head_position - eyes[eye]);
        float angle = acos(clamp(dot(d, gaze[eye]), -1.0, 1.0));
        float spoke = noise(floor(atan(d.y - gaze[eye].y, d.x - gaze[eye].x) * 20.0));
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
#endif
    vec3 a = albedo * albedo;  // display values to linear, near enough
    vec3 e = ambient(n);
    vec3 diffuse = max((vec3(dot(n, lamp)) + wrap) / (1.0 + wrap), 0.0);
    float facing = dot(n, lamp) > 0.0 ? 1.0 : 0.0;
    vec3 outwards = transpose(mat3(head_to_camera)) * normalize(camera_normal);
    vec3 lamp_here = lamp_color * lit_by_lamp(head_position, outwards);
    float highlight = pow(max(dot(n, normalize(lamp + v)), 0.0), gloss) * shine * facing * shade;
    float side = 1.0 - max(dot(n, v), 0.0);
    float grazing = side * side * side * side * skin_gloss.z;
    vec3 lit = a * (e + lamp_here * diffuse) * shade + lamp_here * highlight + e * grazing * 0.3;
    color = vec4(display(lit) * opacity, opacity);
}
"""
)
# A software rasterizer runs every branch of a shader for every pixel: skin has a program without eyes and mouth.
SKIN_FRAGMENT = "#version 330\n#define SKIN\n" + _SURFACE_FRAGMENT
INNER_FRAGMENT = "#version 330\n" + _SURFACE_FRAGMENT

HAIR_FRAGMENT = (
    """
#version 330
in vec3 camera_position; in vec3 head_position; in vec3 camera_normal; in vec2 texel; flat in int kind;
out vec4 color;
uniform sampler2D strands; uniform vec3 tint; uniform float cut;
uniform bool fringe;  // draw what the cut leaves out, the thinner the more transparent
"""
    + _LIGHT
    + """
void main() {
    vec4 t = texture(strands, texel);
    if (fringe ? (t.a >= cut || t.a < 0.04) : t.a < cut) discard;
    vec3 n = normalize(camera_normal), v = normalize(-camera_position);
    if (dot(n, v) < 0.0) n = -n;
    vec3 a = tint * (0.35 + 1.3 * dot(t.rgb, vec3(0.333)));
    float highlight = pow(max(dot(n, normalize(lamp + v)), 0.0), 20.0) * 0.15;
    vec3 lit = a * a * (ambient(n) + lamp_color * max(dot(n, lamp), 0.0)) + lamp_color * highlight;
    color = vec4(display(lit), 1.0) * (fringe ? t.a / cut : 1.0);
}
"""
)

EXTRA_VERTEX = """
#version 330
in vec3 position; in vec3 normal; in vec3 albedo; in vec2 uv;
uniform mat4 head_to_camera; uniform mat4 projection;
out vec3 camera_position; out vec3 head_position; out vec3 camera_normal; out vec3 tint; out vec2 texel;
void main() {
    vec4 q = head_to_camera * vec4(position, 1.0);
    camera_position = q.xyz; head_position = position; tint = albedo; texel = uv;
    camera_normal = mat3(head_to_camera) * normal;
    gl_Position = projection * q;
}
"""

EXTRA_FRAGMENT = (
    """
#version 330
in vec3 camera_position; in vec3 head_position; in vec3 camera_normal; in vec3 tint; in vec2 texel;
out vec4 color;
uniform sampler2D weave; uniform mat4 head_to_camera;
"""
    + _LIGHT
    + """
void main() {
    vec3 n = normalize(camera_normal), v = normalize(-camera_position);
    if (dot(n, v) < 0.0) n = -n;
    vec3 a = tint * texture(weave, texel).rgb;
    vec3 outwards = transpose(mat3(head_to_camera)) * n;
    vec3 lamp_here = lamp_color * lit_by_lamp(head_position, outwards);
    vec3 lit = a * a * (ambient(n) + lamp_here * max(dot(n, lamp), 0.0));
    color = vec4(display(lit), 1.0);
}
"""
)
