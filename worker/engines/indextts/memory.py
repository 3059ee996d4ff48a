"""Failed CUDA calls, told apart: after memory that ran out, a smaller batch may succeed; after a poisoned context only
another process can go on. PyTorch tells many of these errors apart by their message alone."""

from __future__ import annotations

import torch

# cuBLAS and cuDNN allocate without PyTorch and have messages of their own.
_OUT_OF_MEMORY = (
    "cuda error: out of memory",
    "cublas_status_alloc_failed",
    "cublas_status_not_initialized when calling `cublascreate",  # the handle's workspace did not fit
    "cudnn_status_alloc_failed",
    "cudnn_status_internal_error_device_allocation_failed",
    "cudnn_status_internal_error_host_allocation_failed",
    "defaultcpuallocator: can't allocate memory",
    "defaultcpuallocator: not enough memory",
)

# After these the CUDA runtime answers every further call with the same error, until the process ends.
_POISONED = (
    "device-side assert triggered",
    "illegal memory access",
    "illegal instruction",
    "illegal address",
    "misaligned address",
    "invalid program counter",
    "hardware stack error",
    "unspecified launch failure",
    "launch timed out",
    "uncorrectable ecc error",
    "uncorrectable nvlink error",
    "cuda error: unknown error",
    "cublas_status_execution_failed",
    "cublas_status_mapping_error",
    "cudnn_status_execution_failed",
    "cudnn_status_mapping_error",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether the same work could succeed with fewer rows."""
    if poisoned(error):
        return False
    return isinstance(error, torch.OutOfMemoryError) or _says(error, _OUT_OF_MEMORY)


def poisoned(error: BaseException) -> bool:
    """Whether this process can't use its GPU any more."""
    return _says(error, _POISONED)


def _says(error: BaseException, phrases: tuple[str, ...]) -> bool:
    message = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in message for phrase in phrases)
