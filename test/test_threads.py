"""Fast arithmetic is exact arithmetic."""

import pytest
import torch

from mbmf_ros import threads


def test_fast_products_are_as_exact_as_float32():
    before = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]
    generator = torch.Generator().manual_seed(0)
    try:
        threads.one_thread()
        for rows in (1, 32, 256):
            a = torch.randn(4, rows, 200, generator=generator)
            w = torch.randn(4, 200, 256, generator=generator)
            b = torch.randn(4, 1, 256, generator=generator)
            exact = torch.baddbmm(b.double(), a.double(), w.double())
            assert (torch.baddbmm(b, a, w) - exact).abs().max() < 1e-5 * exact.abs().max()
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"architecture": "x86_64", "avx512_f": True, "amx_tile": False}, True),
        ({"architecture": "x86_64", "avx512_f": True, "amx_tile": True}, False),
        ({"architecture": "x86_64", "avx512_f": False}, False),
        ({"architecture": "aarch64", "neon": True}, False),
    ],
)
def test_only_processors_that_do_not_round_are_sped_up(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, object], expected: bool
):
    before = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    try:
        assert threads.fast_products() is expected
        changed = torch.backends.mkldnn.matmul.fp32_precision != before  # type: ignore[attr-defined]
        assert not changed or expected
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before  # type: ignore[attr-defined]
