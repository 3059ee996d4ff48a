"""The attentions among which PyTorch chooses by itself, wherever scaled_dot_product_attention is called."""

from __future__ import annotations

import torch


def without_plans() -> None:
    """Leaves cuDNN's attention out, for this process and all that runs in it.

    On Hopper and Blackwell, PyTorch 2.11 and newer take it before all others where cuDNN is newer than 9.15.1. It makes
    a plan for each new shape, which takes 55 to 440 ms, in each thread anew, and keeps it as long as the thread lives
    (pytorch#190388, FunASR#3704, flashinfer#5245). Nearly every batch here has lengths of its own, and each step of the
    model that reads emotions is one position longer. FlashAttention and the others need no plan."""
    torch.backends.cuda.enable_cudnn_sdp(False)
