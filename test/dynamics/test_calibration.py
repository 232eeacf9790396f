"""Rank correlation and calibration on numbers whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbmf_ros.dynamics.calibration import calibrate, rank_correlation
from mbmf_ros.errors import MbmfError
from mbmf_ros.robots import profile, robot

SPEC = robot("ant")
BODY = profile(SPEC)


def test_only_the_order_counts():
    values = np.array([3.0, -1.0, 7.0, 2.0])
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1.0)
    assert rank_correlation(values, -(values**3)) == pytest.approx(-1.0)
    assert rank_correlation(np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 5])) == pytest.approx(0.8)


def test_equal_values_share_their_rank():
    # ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4
    assert rank_correlation(np.array([0.0, 1, 1, 2]), np.array([0.0, 1, 2, 3])) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
    assert np.isnan(rank_correlation(np.ones(4), np.arange(4.0)))


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_spread_of_the_size_of_the_error_is_calibrated(factor: float):
    """Members and truth are independent draws of one distribution, but for ``factor``."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.zeros(1000, 2, BODY.nx)
    truth[:, 1] = torch.rand(1000, BODY.nx, generator=generator)
    local = 0.02 + 0.2 * torch.rand(1000, BODY.nx, generator=generator)  # of each prediction its own uncertainty
    members = truth.repeat(30, 1, 1, 1)
    members[:, :, 1] += local * torch.randn(30, 1000, BODY.nx, generator=generator)
    members[:, :, 1] += factor * local * torch.randn(1000, BODY.nx, generator=generator)
    found = calibrate(BODY, members, truth, 1)
    assert found.ratio == pytest.approx(factor, rel=0.06)
    assert (np.diff(found.bin_spread) > 0).all()
    np.testing.assert_allclose(found.bin_error, factor * found.bin_spread, rtol=0.15)
    if factor == 1.0:
        assert found.coverage_68 == pytest.approx(0.68, abs=0.03)
        assert found.coverage_95 == pytest.approx(0.95, abs=0.03)
    else:
        assert found.coverage_68 < 0.35


def test_one_network_has_no_spread():
    with pytest.raises(MbmfError, match="at least 2 members"):
        calibrate(BODY, torch.zeros(1, 3, 2, BODY.nx), torch.zeros(3, 2, BODY.nx), 1)
