"""Five functions of flow and vocoder, in two makes: PyTorch's own operators, and kernels that read and write once.

    torch    runs everywhere                                             plain.py
    fused    a library that was compiled with the image (build.py)       fused.py, kernels.cu, functors.h

The make is chosen once, when an engine is loaded (choice.py). Both compute the same but for rounding: `fused` computes
in fp32 and rounds once, at the end.
"""
