"""Five functions of flow and vocoder, in two makes: PyTorch's own operators, and kernels that read and write once.

    torch    runs everywhere                                             plain.py
    fused    a library that was compiled with the image (build.py)       fused.py, kernels.cu, functors.h

The make is chosen once, when an engine is loaded. Both compute the same but for rounding: `fused` computes in fp32 and
rounds once, at the end.
"""

from worker.engines.indextts.kernels.choice import Wanted, choose
from worker.engines.indextts.kernels.plain import Kernels, Plain

__all__ = ["Kernels", "Plain", "Wanted", "choose"]
