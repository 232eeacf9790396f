"""A cable between two network namespaces that loses a share of the frames: a TAP device in each, and this in between.

``python lossy_cable.py PID PID DEVICE LOSS SEED``; says ``up``, carries frames until its input ends, then says how many
were carried and how many lost. For kernels without netem.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import selectors
import struct
import sys

_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_CLONE_NEWNET = 0x40000000
_LONGEST_FRAME = 1 << 16


def tap(pid: int, device: str) -> int:
    """A new TAP device in the network namespace of a process; the file descriptor of its other end."""
    libc = ctypes.CDLL(None, use_errno=True)
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(namespace)
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TAP | _IFF_NO_PI))
    return end


def main(one: str, other: str, device: str, loss: str, seed: str) -> None:
    draw, carried, lost = random.Random(int(seed)), 0, 0
    ends = [tap(int(pid), device) for pid in (one, other)]
    selector = selectors.DefaultSelector()
    for end, far in zip(ends, reversed(ends), strict=True):
        selector.register(end, selectors.EVENT_READ, far)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print("up", flush=True)
    while True:
        for key, _ in selector.select():
            if key.data is None:
                print(carried, lost, flush=True)
                return
            frame = os.read(key.fd, _LONGEST_FRAME)
            if draw.random() < float(loss):
                lost += 1
                continue
            try:
                os.write(key.data, frame)
                carried += 1
            except OSError:  # the device is not switched on yet, or its queue is full
                lost += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
