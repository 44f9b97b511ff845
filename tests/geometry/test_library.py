"""``from pipeline.geometry import ...``"""

import subprocess
import sys

import numpy as np
import pytest

import pipeline.geometry
from pipeline.domain.views import View
from pipeline.geometry import Options, ReconstructionError, reconstruct


def test_nothing_heavy_is_loaded_before_a_name_is_asked_for() -> None:
    """The service is a process without numpy."""
    code = (
        "import sys, pipeline.geometry, pipeline.service.serve; assert 'numpy' not in sys.modules;"
        "pipeline.geometry.Mesh; assert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_name_is_there_and_is_not_a_module_whatever_was_imported_before() -> None:
    for name in pipeline.geometry.__all__:
        assert not isinstance(getattr(pipeline.geometry, name), type(sys)), name
    assert set(pipeline.geometry.__all__) <= set(dir(pipeline.geometry))
    with pytest.raises(AttributeError, match="nothing_like_it"):
        pipeline.geometry.nothing_like_it  # noqa: B018


@pytest.mark.parametrize("shape", [(9, 9, 3), (9, 9), (0, 9, 4)])
def test_what_is_no_picture_is_refused_by_name(shape: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match=r"left view: uint8 of shape .*expected uint8 of shape \(H, W, 4\)"):
        reconstruct({View.FRONT: np.zeros((9, 9, 4), np.uint8), View.LEFT: np.zeros(shape, np.uint8)})
    with pytest.raises(TypeError, match="front view: float64"):
        reconstruct({View.FRONT: np.zeros((9, 9, 4))})


def test_what_is_no_array_and_no_view_is_refused_by_name() -> None:
    whole = np.zeros((9, 9, 4), np.uint8)
    with pytest.raises(TypeError, match="front view: list; expected a numpy array"):
        reconstruct({View.FRONT: [[1]]})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match=r"'side': no view; expected of front, left"):
        reconstruct({View.FRONT: whole, "side": whole})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="float"):
        Options(face_count=1000.5)  # type: ignore[arg-type]


def test_a_missing_front_and_too_few_faces_are_refused() -> None:
    with pytest.raises(ReconstructionError, match="front view: missing"):
        reconstruct({View.LEFT: np.zeros((9, 9, 4), np.uint8)})
    with pytest.raises(ValueError, match="face_count: 3; expected at least 4"):
        Options(face_count=3)
