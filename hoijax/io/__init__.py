"""Files in and out: object meshes, parameter files, GLB scenes; every writer is atomic."""

from hoijax.io.archives import open_npz, read_npz
from hoijax.io.files import (
    atomic_file,
    check_name,
    check_output_directory,
    check_output_file,
    file_digest,
    output_directory,
    remove_partial_files,
    value_digest,
    write_bytes,
    write_json,
    write_npz,
    write_text,
)
from hoijax.io.glb import ScenePart, write_glb
from hoijax.io.mesh_groups import mesh_groups
from hoijax.io.meshes import MESH_FORMATS, OBJECT_SIZES, UNITS, LoadedMesh, MeshReport, read_mesh
from hoijax.io.obj import parse_obj
from hoijax.io.params import ParameterFile, read_parameters, single
from hoijax.io.params_write import nearest_axis_angle, write_parameters
from hoijax.io.reading import read_json
from hoijax.io.simplify import simplify

__all__ = [
    "MESH_FORMATS",
    "OBJECT_SIZES",
    "UNITS",
    "LoadedMesh",
    "MeshReport",
    "ParameterFile",
    "ScenePart",
    "atomic_file",
    "check_name",
    "check_output_directory",
    "check_output_file",
    "file_digest",
    "mesh_groups",
    "nearest_axis_angle",
    "open_npz",
    "output_directory",
    "parse_obj",
    "read_json",
    "read_mesh",
    "read_npz",
    "read_parameters",
    "remove_partial_files",
    "simplify",
    "single",
    "value_digest",
    "write_bytes",
    "write_glb",
    "write_json",
    "write_npz",
    "write_parameters",
    "write_text",
]
