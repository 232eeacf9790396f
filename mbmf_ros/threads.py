"""How PyTorch uses the processor here."""

import torch


def one_thread() -> None:
    """Compute on one thread, and treat denormal numbers as zero.

    At the sizes of these models a second thread brings nothing, and threads that fight over cores make plans take up to
    a hundred times longer; the other cores are for the simulator and the learner.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
