"""Reading meshes and bindings, in the layouts that the originals use."""

from __future__ import annotations

import numpy as np
import pytest

from atpn.synthetic.heads.wavefront import bind_mhclo, load_obj


def test_a_quad_becomes_two_triangles_with_its_texture_indices(tmp_path):
    path = tmp_path / "quad.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 1\ng body\nf 1/1 2/2 3/1 4/2\n")
    mesh = load_obj(path)
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.uv_triangles.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert mesh.groups.tolist() == ["body", "body"]


def test_a_file_without_faces_is_refused_by_name(tmp_path):
    path = tmp_path / "cut.obj"
    path.write_text("v 0 0 0\n")
    with pytest.raises(ValueError, match=r"cut\.obj"):
        load_obj(path)


def test_bound_vertices_are_weighted_base_vertices_plus_scaled_offsets(tmp_path):
    base = np.array([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    path = tmp_path / "hair.mhclo"
    # A statement may follow `verts 0`, and a row may be a single vertex.
    path.write_text("x_scale 0 1 1.0\nverts 0\nmaterial x.mhmat\n0 1 2 0.5 0.25 0.25 0.1 0.2 0.3\n2\ndelete_verts\n7\n")
    np.testing.assert_allclose(bind_mhclo(path, base), [[0.5 + 0.1 * 2, 1.0 + 0.2, 0.3], [0.0, 4.0, 0.0]])


def test_a_binding_without_rows_is_none(tmp_path):
    path = tmp_path / "brow.mhclo"
    path.write_text("name brow\nverts 0\n")
    assert bind_mhclo(path, np.zeros((3, 3))) is None


@pytest.mark.parametrize("content", ["x_scale 0 9 1.0\n", "x_scale 0 1\n", "verts 0\n9\n"])
def test_a_binding_of_another_mesh_is_named(tmp_path, content):
    (tmp_path / "hair.mhclo").write_text(content)
    with pytest.raises(ValueError, match=r"hair\.mhclo does not fit its base mesh"):
        bind_mhclo(tmp_path / "hair.mhclo", np.ones((3, 3)))


def test_a_cut_line_of_a_mesh_is_named(tmp_path):
    (tmp_path / "cut.obj").write_text("v 0 0 0\nf 1/1 2/2 3\nf\nv\nx\n")
    with pytest.raises(ValueError, match=r"cut\.obj"):
        load_obj(tmp_path / "cut.obj")
