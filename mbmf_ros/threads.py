"""How PyTorch uses the processor here."""

import ctypes

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
_MIB = 1 << 20


def one_thread() -> None:
    """Compute on one thread, treat denormal numbers as zero, and use the fastest products and memory there are.

    At the sizes of these models a second thread brings nothing, and threads that fight over cores make plans take up to
    a hundred times longer; the other cores are for the simulator and the learner.
    """
    use_threads(1)


def use_threads(count: int) -> None:
    """As :func:`one_thread`, on ``count`` threads."""
    torch.set_num_threads(count)
    torch.set_flush_denormal(True)
    fast_products()
    keep_memory()


def fast_products() -> bool:
    """Have oneDNN compute float32 matrix products where that is exact and can be faster; says whether.

    PyTorch leaves them to MKL, which on AMD's processors does without AVX-512: oneDNN is twice as fast there. The only
    switch permits it to round to bfloat16, which it does on processors with AMX (and on ARM): those stay with MKL.
    """
    able = torch.cpu.get_capabilities()
    rounds = any(has for name, has in able.items() if name.startswith(("amx", "avx10")))
    exact = able.get("architecture") == "x86_64" and bool(able.get("avx512_f")) and not rounds
    if exact:
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"  # type: ignore[attr-defined]
    return exact


def keep_memory() -> None:
    """Have glibc reuse the memory of large tensors; by default it returns it, and every new tensor is page faults."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # elsewhere than with glibc there is none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 * _MIB)  # the most that every glibc takes
        mallopt(_M_TRIM_THRESHOLD, 256 * _MIB)
