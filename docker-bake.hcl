# The images, and where their layers are kept:
#   docker buildx bake                            api and worker (espeak), for this machine
#   docker buildx bake kokoro                     Kokoro on CPUs
#   docker buildx bake gpu                        IndexTTS on CUDA
#   docker buildx bake gpu-flash                  the same with flash-attn, from the cache or compiled for hours
#   REGISTRY=ghcr.io/you/tts-farm docker buildx bake --push all
#
# flash-attn has a cache of its own. Its key is CUDA, torch, Python, its version and its architectures: no branch, no code
# and no other target can push it out of there. Its torch is the one that it was made for, see docs/operations.md.

variable "REGISTRY" { default = "" }
variable "TAG" { default = "latest" }
variable "GIT_SHA" { default = "unknown" }
# Empty: caches are read and not written (pull requests of strangers).
variable "CACHE_TO" { default = "" }

variable "PYTHON_IMAGE" { default = "python:3.11-slim-bookworm" }
# 1: workers with the ear of FARM_CHECK.
variable "CHECK" { default = "" }
variable "TORCH" { default = "2.13.0" }
variable "TORCHAUDIO" { default = "2.11.0" }
variable "KERNELS" { default = "build" }
variable "KERNELS_ARCHS" { default = "80;86;89;90;100;120" }
variable "FLASH_ATTN_VERSION" { default = "2.8.3.post1" }
variable "FLASH_ATTN_ARCHS" { default = "80;90;100;120" }
variable "FLASH_ATTN_TORCH" { default = "2.8.0" }
variable "INDEXTTS" { default = "official" }

function "image" {
  params = [name]
  result = [REGISTRY == "" ? "tts-farm-${name}:${TAG}" : "${REGISTRY}/${name}:${TAG}"]
}

function "cache_from" {
  params = [names]
  result = REGISTRY == "" ? [] : [for name in names : "type=registry,ref=${REGISTRY}/cache:${name}"]
}

function "cache_to" {
  params = [name]
  result = REGISTRY == "" || CACHE_TO == "" ? [] : ["type=registry,ref=${REGISTRY}/cache:${name},mode=max"]
}

group "default" { targets = ["api", "worker"] }
group "all" { targets = ["api", "worker", "kokoro", "gpu"] }

target "common" {
  args = {
    PYTHON_IMAGE = PYTHON_IMAGE
    GIT_SHA      = GIT_SHA
  }
}

target "api" {
  inherits   = ["common"]
  dockerfile = "Dockerfile.api"
  tags       = image("api")
  cache-from = cache_from(["api"])
  cache-to   = cache_to("api")
}

target "worker" {
  inherits   = ["common"]
  dockerfile = "Dockerfile.worker"
  args       = { CHECK = CHECK }
  tags       = image("worker")
  cache-from = cache_from(["worker"])
  cache-to   = cache_to("worker")
}

target "kokoro" {
  inherits   = ["common"]
  dockerfile = "Dockerfile.worker"
  args       = { ENGINE = "kokoro", CHECK = CHECK }
  tags       = image("worker-kokoro")
  cache-from = cache_from(["kokoro"])
  cache-to   = cache_to("kokoro")
}

target "cuda" {
  dockerfile = "Dockerfile.worker"
  args = {
    PYTHON_IMAGE  = PYTHON_IMAGE
    TORCH         = TORCH
    TORCHAUDIO    = TORCHAUDIO
    KERNELS       = KERNELS
    KERNELS_ARCHS = KERNELS_ARCHS
    ENGINE        = "indextts"
    CHECK         = CHECK
    INDEXTTS      = INDEXTTS
  }
}

target "flash" {
  inherits = ["cuda"]
  args = {
    TORCH              = FLASH_ATTN_TORCH
    TORCHAUDIO         = FLASH_ATTN_TORCH
    KERNELS            = "image"
    FLASH_ATTN         = "build"
    FLASH_ATTN_VERSION = FLASH_ATTN_VERSION
    FLASH_ATTN_ARCHS   = FLASH_ATTN_ARCHS
  }
}

target "flash-attn" {
  inherits   = ["flash"]
  target     = "flash-attn"
  output     = ["type=cacheonly"]
  cache-from = cache_from(["flash-attn"])
  cache-to   = cache_to("flash-attn")
}

target "gpu" {
  inherits   = ["cuda"]
  args       = { GIT_SHA = GIT_SHA }
  tags       = image("worker-gpu")
  cache-from = cache_from(["gpu"])
  cache-to   = cache_to("gpu")
}

target "gpu-flash" {
  inherits   = ["flash"]
  args       = { GIT_SHA = GIT_SHA }
  tags       = image("worker-gpu-flash")
  cache-from = cache_from(["flash-attn", "gpu-flash"])
  cache-to   = cache_to("gpu-flash")
}
