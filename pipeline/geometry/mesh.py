"""The triangle mesh that the rooms hand to one another."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Triangles in the glTF frame: right-handed, +Y up, counter-clockwise faces seen from outside."""

    positions: NDArray[np.float32]
    """(V, 3) world units."""
    faces: NDArray[np.uint32]
    """(F, 3) indices into the vertices."""
    normals: NDArray[np.float32] | None = None
    """(V, 3) unit vectors."""
    uvs: NDArray[np.float32] | None = None
    """(V, 2) texture coordinates as glTF has them: origin at the texture's top left."""
