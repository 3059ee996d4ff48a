"""What a failed call means, by the words of PyTorch, CUDA, cuBLAS and cuDNN."""

from __future__ import annotations

import pytest
import torch

from worker.engines.indextts.device_error import (
    broken_hardware,
    device_failed,
    out_of_memory,
    perhaps_out_of_memory,
)  # fmt: skip


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("GET was unable to find an engine to execute this computation; CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError('NVML_SUCCESS == r INTERNAL ASSERT FAILED at "/pytorch/c10/cuda/CUDACachingAllocator.cpp":1154'),
        RuntimeError("NVML_SUCCESS == DriverAPI::get()->nvmlInit_v2_() INTERNAL ASSERT FAILED at CUDACachingAllocator"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:125] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
    ],
    ids=str,
)
def test_memory_that_ran_out_passes_with_fewer_rows(error: Exception) -> None:
    assert out_of_memory(error)
    assert not device_failed(error)


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
def test_a_lost_context_never_passes(error: Exception) -> None:
    assert device_failed(error)
    assert not out_of_memory(error)


OF_A_LIBRARY = (
    "CUDA error: too many resources requested for launch",
    "CUDA error: operation not permitted when stream is capturing",
    "CUDA error: invalid argument",
    "CUDA error: invalid configuration argument",
    "CUDA error: device not ready",
    "CUDA error: unknown error",
    "CUDA error: something that nobody has seen yet",
    "CUDA driver error: invalid device context",
    "CUDA unknown error - this may be due to an incorrectly set up environment",
    "CUDA driver initialization failed, you might not have a CUDA gpu.",
    'captures_underway.empty() INTERNAL ASSERT FAILED at "/pytorch/c10/cuda/CUDACachingAllocator.cpp":3275',
    "CUDA error: CUBLAS_STATUS_INTERNAL_ERROR when calling `cublasSgemm(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasLtMatmul(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasSgemm(handle)`",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
    "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a non-contiguous input.",
    "cuDNN Frontend error: [cudnn_frontend] Error: No execution plans support the graph.",
    "cuDNN version incompatibility: PyTorch was compiled  against (9, 20, 0) but found runtime version (8, 9, 2).",
    "cuFFT error: CUFFT_INTERNAL_ERROR",
    "cusolver error: CUSOLVER_STATUS_EXECUTION_FAILED, when calling `cusolverDnCreate(handle)`",
    "NVRTC_ERROR_COMPILATION",
    "nvrtc: error: failed to open libnvrtc-builtins.so.13.0.",
    "Triton Error [CUDA]: an illegal memory access was encountered",
    "GET was unable to find an engine to execute this computation",
    "FIND was unable to find an engine to execute this computation",
)
BROKEN = (
    "CUDA error: no kernel image is available for execution on the device",
    "CUDA error: context is destroyed",
    "CUDA error: the GPU requires reset",
    "CUDA error: initialization error",
    "CUDA error: uncorrectable ECC error encountered",
    "CUDA error: uncorrectable NVLink error detected during the execution",
    "CUDA error: all CUDA-capable devices are busy or unavailable",
    "No CUDA-capable device is detected",
    "CUDA error: MPS client failed to connect to the MPS control daemon or the MPS server",
    "NVRM: Xid (PCI:0000:41:00): 79, GPU has fallen off the bus.",
    "Unable to determine the device handle for GPU 0000:41:00.0: GPU is lost.  Reboot the system to recover this GPU",
    "CUDA error: device lost",
    "Unexpected error from cudaGetDeviceCount(): CUDA driver version is insufficient for CUDA runtime version; "
    "CUDA error 35",
)


@pytest.mark.parametrize("message", [*OF_A_LIBRARY, *BROKEN])
def test_no_error_of_a_library_of_the_gpu_is_blamed_on_a_text(message: str) -> None:
    error = RuntimeError(message)
    assert device_failed(error)
    assert not out_of_memory(error)


@pytest.mark.parametrize("message", [*OF_A_LIBRARY, *BROKEN])
def test_only_a_device_that_says_so_is_broken(message: str) -> None:
    assert broken_hardware(RuntimeError(message)) == (message in BROKEN)


@pytest.mark.parametrize("message", [*OF_A_LIBRARY, *BROKEN])
def test_only_a_cudnn_without_an_engine_may_have_lacked_memory(message: str) -> None:
    assert perhaps_out_of_memory(RuntimeError(message)) == ("unable to find an engine" in message)


def test_an_allocation_that_fails_because_the_context_is_lost_is_not_about_memory() -> None:
    error = torch.OutOfMemoryError("CUDA error: an illegal memory access was encountered")
    assert device_failed(error)
    assert not out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (511x1216 and 32704x64)"),
        RuntimeError("Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"),
        ValueError("CUDA out of memory, says the title of this book"),
        KeyError("device-side assert triggered"),
    ],
    ids=repr,
)
def test_any_other_error_is_neither(error: Exception) -> None:
    assert not out_of_memory(error)
    assert not device_failed(error)
