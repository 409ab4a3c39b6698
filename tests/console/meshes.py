"""Meshes in a few bytes, as GLB files."""

import json
import struct
from collections.abc import Sequence

import numpy as np


def ring(around: int = 24, across: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Corners (n × 3, metres, Y up) and triangles (m × 3) of a torus, its axis towards the viewer."""
    u, v = np.meshgrid(np.arange(around) / around, np.arange(across) / across, indexing="ij")
    out = 0.6 + 0.25 * np.cos(2 * np.pi * v)
    corners = np.stack([out * np.cos(2 * np.pi * u), out * np.sin(2 * np.pi * u), 0.25 * np.sin(2 * np.pi * v)], -1)
    at = np.arange(around * across).reshape(around, across)
    right, up = np.roll(at, -1, 0), np.roll(at, -1, 1)
    both = np.roll(right, -1, 1)
    faces = np.concatenate([np.stack([at, right, both], -1), np.stack([at, both, up], -1)]).reshape(-1, 3)
    return corners.reshape(-1, 3).astype("<f4"), faces.astype("<u2")


def glb(corners: np.ndarray, faces: np.ndarray, normals: Sequence[Sequence[float]] | np.ndarray | None = None) -> bytes:
    """A GLB file of one mesh; corners and normals interleaved where there are normals."""
    told = corners if normals is None else np.concatenate([corners, np.asarray(normals, "<f4")], axis=1)
    numbers = np.ascontiguousarray(told, "<f4").tobytes()
    indices = np.ascontiguousarray(faces).tobytes()
    kind = {1: 5121, 2: 5123, 4: 5125}[faces.dtype.itemsize]
    stride = {} if normals is None else {"byteStride": 24}
    attributes = {"POSITION": 0} | ({} if normals is None else {"NORMAL": 2})
    vectors = {"bufferView": 0, "componentType": 5126, "count": len(corners), "type": "VEC3"}
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(numbers) + len(indices)}],
        "bufferViews": [
            {"buffer": 0, "byteLength": len(numbers)} | stride,
            {"buffer": 0, "byteOffset": len(numbers), "byteLength": len(indices)},
        ],
        "accessors": [
            vectors,
            {"bufferView": 1, "componentType": kind, "count": faces.size, "type": "SCALAR"},
            vectors | {"byteOffset": 12},
        ],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 1}]}],
    }
    head = json.dumps(document).encode()
    head += b" " * (-len(head) % 4)
    data = numbers + indices + b"\0" * (-len(numbers + indices) % 4)
    chunks = struct.pack("<II", len(head), 0x4E4F534A) + head + struct.pack("<II", len(data), 0x004E4942) + data
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks
