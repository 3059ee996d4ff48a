"""Errors of a GPU and of its libraries, told apart by their words, because PyTorch has one class for most of them.

out_of_memory           the same work may succeed with fewer rows
device_failed           any other error of CUDA, cuDNN, cuBLAS, NVRTC and their like: only another process can go on
perhaps_out_of_memory   of these, the errors that memory may have caused: smaller batches tell
lost_context            of these, the errors after which every further call of this process fails
broken_hardware         of these, the errors that no text can cause: the card, its driver, an image without its kernels

A known message decides first. An unknown one is told by its form, `CUDA error: …` or `CUDNN_STATUS_…`: a library that
fails in a new way is no reason to blame a text.
"""

from __future__ import annotations

import re

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
    # Before PyTorch says how much it lacks, it asks NVML. In a slice of MIG or a container NVML may not answer, and
    # then nothing else is said (pytorch#112377).
    "nvml_success == ",
)

# cuDNN's engines want workspaces. Where none got its own, PyTorch says that there is no engine (pytorch#108645).
_NO_ENGINE = ("unable to find an engine",)

# After these the CUDA runtime answers every further call with the same error, until the process ends: also a call that
# allocates, so they stand before the texts about memory.
_LOST_CONTEXT = (
    "device-side assert triggered",
    "illegal memory access",
    "illegal instruction",
    "illegal address",
    "misaligned address",
    "invalid program counter",
    "hardware stack error",
    "unspecified launch failure",
    "launch timed out",
)

_BROKEN_HARDWARE = (
    "uncorrectable ecc error",
    "uncorrectable nvlink error",
    "gpu requires reset",
    "has fallen off the bus",
    "gpu is lost",
    "busy or unavailable",
    "no cuda-capable device",
    "no kernel image is available",
    "driver/library version mismatch",
    "status_arch_mismatch",
    "nvrm: xid",
)
_BROKEN_IF_A_LIBRARY_SAYS_SO = (
    "requires reset",
    "xid",
    "device is lost",
    "device lost",
    "device was removed",
    "context is destroyed",
    "initialization error",
    "not yet initialized",
    "driver shutting down",
    "driver version is insufficient",
    "unsupported display driver",
    "unsupported toolchain",
    "mps client",
    "mps server",
    "mps rpc",
)

_LIBRARY = (
    r"cuda|cudnn|cublas(?:lt)?|cufft|cusparse(?:lt)?|cusolver|curand|cutlass|nccl|nvml|nvrtc|nvjitlink|triton|hip"
)
_OF_A_LIBRARY = re.compile(
    rf"\b(?:{_LIBRARY})\b:?(?: [a-z]+){{0,2}} (?:error|failure|failed|incompatibility)"  # cuDNN Frontend error
    rf"|\btriton error \[cuda\]"
    rf"|\b(?:{_LIBRARY})_(?:status|error)(?:_|\b)"  # CUBLAS_STATUS_INTERNAL_ERROR, NVRTC_ERROR_COMPILATION
    r"|\bcudaerror[a-z]"  # cudaErrorInvalidDevice
    r"|internal assert failed at .*cuda"  # of PyTorch's own code for it
    r"|unable to find an engine"  # of cuDNN, which does not say its name
)


def out_of_memory(error: BaseException) -> bool:
    """Whether the same work could succeed with fewer rows."""
    if device_failed(error):
        return False
    return isinstance(error, torch.OutOfMemoryError) or _says(error, _OUT_OF_MEMORY)


def device_failed(error: BaseException) -> bool:
    """Whether the device or one of its libraries failed, for another reason than memory: this process can't go on."""
    return lost_context(error) or broken_hardware(error) or (_of_a_library(error) and not _says(error, _OUT_OF_MEMORY))


def perhaps_out_of_memory(error: BaseException) -> bool:
    """Whether a device that failed by its words may only have lacked memory. One item alone, with all memory that can
    be given back, tells which."""
    return _says(error, _NO_ENGINE) and not out_of_memory(error)


def lost_context(error: BaseException) -> bool:
    """Whether no call to the device can succeed in this process any more."""
    return _says(error, _LOST_CONTEXT)


def broken_hardware(error: BaseException) -> bool:
    """Whether the device itself, its driver or the build is to blame, and certainly no text."""
    return _says(error, _BROKEN_HARDWARE) or (_of_a_library(error) and _says(error, _BROKEN_IF_A_LIBRARY_SAYS_SO))


_KINDS = (RuntimeError, torch.cuda.DeferredCudaCallError)  # any other error may quote what a user wrote


def _says(error: BaseException, phrases: tuple[str, ...]) -> bool:
    message = str(error).lower()
    return isinstance(error, _KINDS) and any(phrase in message for phrase in phrases)


def _of_a_library(error: BaseException) -> bool:
    return isinstance(error, _KINDS) and _OF_A_LIBRARY.search(str(error).lower()) is not None
