"""What a failed call means, by the words of PyTorch, CUDA, cuBLAS and cuDNN."""

from __future__ import annotations

import pytest
import torch

from worker.engines.indextts.memory import out_of_memory, poisoned


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:125] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
    ],
    ids=str,
)
def test_memory_that_ran_out_passes_with_fewer_rows(error: Exception) -> None:
    assert out_of_memory(error)
    assert not poisoned(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA` to enable"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: unspecified launch failure"),
        RuntimeError("CUDA error: misaligned address"),
        RuntimeError("CUDA error: the launch timed out and was terminated"),
        RuntimeError("CUDA error: uncorrectable ECC error encountered"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx( handle, opa, opb, m, n)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
    ids=str,
)
def test_a_poisoned_context_never_passes(error: Exception) -> None:
    assert poisoned(error)
    assert not out_of_memory(error)


def test_an_allocation_that_fails_because_the_context_is_poisoned_is_not_about_memory() -> None:
    error = torch.OutOfMemoryError("CUDA error: an illegal memory access was encountered")
    assert poisoned(error)
    assert not out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (511x1216 and 32704x64)"),
        RuntimeError("CUDA error: too many resources requested for launch"),
        ValueError("CUDA out of memory, says the title of this book"),
        KeyError("device-side assert triggered"),
    ],
    ids=repr,
)
def test_any_other_error_is_neither(error: Exception) -> None:
    assert not out_of_memory(error)
    assert not poisoned(error)
