"""From a click's ray to a point on the ground."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("viser")

from mbmf_ros.nodes.scene import ground_point, segments

finite = st.floats(-50, 50)


@given(finite, finite, finite, finite, st.floats(0.1, 20))
def test_a_ray_through_a_ground_point_finds_it(x, y, eye_x, eye_y, eye_z):
    eye = np.array([eye_x, eye_y, eye_z])
    found = ground_point(eye, 0.3 * (np.array([x, y, 0.0]) - eye))
    assert found is not None
    np.testing.assert_allclose(found, [x, y], atol=1e-6)


@pytest.mark.parametrize("direction", [(1, 0, 0.1), (1, 0, 0), (0, 0, 1)])
def test_a_ray_at_the_sky_finds_no_ground(direction):
    assert ground_point(np.array([0.0, 0.0, 2.0]), np.array(direction, dtype=float)) is None


def test_segments_of_a_polyline():
    lines = segments(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]), 0.1)
    assert lines.tolist() == [[[0, 0, 0.1], [1, 0, 0.1]], [[1, 0, 0.1], [1, 2, 0.1]]]
