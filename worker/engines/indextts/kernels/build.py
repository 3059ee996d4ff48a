"""Compiles the kernels into a library, and reads the library's machine code back.

    python -m worker.engines.indextts.kernels.build --out DIR [--arch 80;86;89;90;100;120] [--nvcc PATH]

By default into the folder in which the worker looks. It needs nvcc and g++, no GPU and no PyTorch; as a file of its own
it runs on the standard library. A worker never compiles: where the library is absent, PyTorch's own kernels run.
"""

from __future__ import annotations

import argparse
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
LIBRARY = "libfarm_kernels.so"
BUILT = HERE / "built"
ARCHITECTURES = ("80", "86", "89", "90", "100", "120")  # A100, RTX 30, RTX 40 and L4, H100, B200, RTX 50


@dataclass(frozen=True, slots=True)
class Compiled:
    """A kernel for one architecture, as the machine code has it."""

    architecture: str
    kernel: str  # mangled
    registers: int
    stack: int  # bytes of a thread's own memory, for what registers could not hold
    code: int  # bytes


def build(out: Path, architectures: Sequence[str] = ARCHITECTURES, nvcc: str = "nvcc") -> Path:
    """The library for GPUs, in the folder `out`: machine code for each architecture, and for newer ones the
    instructions of the first, which their driver translates.

    Raises:
        SystemExit: nvcc is absent or fails; it has said why on stderr.
    """
    codes = [f"-gencode=arch=compute_{each},code=sm_{each}" for each in architectures]
    first = f"-gencode=arch=compute_{architectures[0]},code=compute_{architectures[0]}"
    # Not compressed, so that it can be read back. The CUDA runtime is linked in: the one of PyTorch need not be found.
    options = ["-O3", "-std=c++17", "-shared", "-cudart=static", "-no-compress", "-Xcompiler=-fPIC,-fvisibility=hidden"]
    options.append(f"-L{Path(shutil.which(nvcc) or nvcc).resolve().parents[1] / 'lib'}")  # where wheels of nvcc have it
    _run(nvcc, *options, *codes, first, "--threads=0", str(HERE / "kernels.cu"), "-o", str(_place(out)))
    library = out / LIBRARY
    missing = set(architectures) - {compiled.architecture for compiled in machine_code(library)}
    if missing:
        raise SystemExit(f"error: {library} has no machine code for {', '.join(sorted(missing))}")
    return library


def build_for_cpu(out: Path, compiler: str = "g++") -> Path:
    """The same functions over emulated threads, for tests on a CPU."""
    options = ["-O2", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-shared", "-fPIC"]
    _run(compiler, *options, "-x", "c++", str(HERE / "kernels.cu"), "-o", str(_place(out)))
    return out / LIBRARY


def machine_code(library: Path) -> list[Compiled]:
    """Every kernel for every architecture in the library."""
    found = []
    fat = _sections(library.read_bytes()).get(".nv_fatbin")
    for cubin in _cubins(fat.content) if fat else ():
        sections = _sections(cubin)
        if ".nv.info" not in sections:  # the linker's own, which has no kernel
            continue
        (flags,) = struct.unpack_from("<I", cubin, 48)
        # ABI 8 of CUDA 13 has the architecture in the second byte of its flags, ABI 7 of CUDA 12 in the first.
        architecture = str(flags >> 8 & 0xFF if cubin[8] >= 8 else flags & 0xFF)
        frames = _of_kernels(sections, _FRAME_SIZE)
        registers = _of_kernels(sections, _REGISTERS)
        for name, section in sections.items():
            if name.startswith(".text."):
                kernel = name.removeprefix(".text.")
                found.append(
                    Compiled(architecture, kernel, registers[kernel], frames.get(kernel, 0), len(section.content))
                )
    return found


@dataclass(frozen=True, slots=True)
class _Section:
    content: bytes
    link: int


_FRAME_SIZE, _REGISTERS = 0x11, 0x2F  # attributes in .nv.info: (format, attribute, size, symbol, value)


def _of_kernels(sections: Mapping[str, _Section], attribute: int) -> dict[str, int]:
    """An attribute's value for each kernel."""
    info, symbols, names = sections[".nv.info"].content, sections[".symtab"].content, sections[".strtab"].content
    values, place = {}, 0
    while place < len(info):
        form, kind, size = struct.unpack_from("<BBH", info, place)
        place += 4
        if form == 4:  # else the two bytes are the value itself
            if kind == attribute:
                symbol, value = struct.unpack_from("<II", info, place)
                (name,) = struct.unpack_from("<I", symbols, 24 * symbol)
                values[names[name : names.index(0, name)].decode()] = value
            place += size
    return values


def _cubins(fat: bytes) -> Iterator[bytes]:
    """The ELF images in a section of fat binaries, each an entry with a header of its own."""
    place = 0
    while (start := fat.find(struct.pack("<I", 0xBA55ED50), place)) >= 0:
        head, size = struct.unpack_from("<6xHQ", fat, start)
        place, end = start + head, start + head + size
        while place < end:
            kind, header, length = struct.unpack_from("<H2xIQ", fat, place)
            if kind == 2:  # 1 is text for the driver to translate
                yield fat[place + header : place + header + length]
            place += header + length


def _sections(elf: bytes) -> dict[str, _Section]:
    """The sections of a 64-bit ELF file by name."""
    (table,) = struct.unpack_from("<Q", elf, 40)
    size, count, of_names = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQII", elf, table + size * index) for index in range(count)]
    names = elf[headers[of_names][4] :]
    return {
        names[name : names.index(0, name)].decode(): _Section(elf[offset : offset + length] if kind != 8 else b"", link)
        for name, kind, _, _, offset, length, link, _ in headers
    }


def _place(out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    return out / LIBRARY


def _run(program: str, *arguments: str) -> None:
    if shutil.which(program) is None:
        raise SystemExit(f"error: {program} is not installed here, or not on the PATH")
    done = subprocess.run([program, *arguments], check=False)
    if done.returncode:
        raise SystemExit(f"error: {program} ended with {done.returncode}")


def _short(kernel: str) -> str:
    """`snake fp16` out of its mangled name."""
    found = re.search(r"\d([a-z_]+)_kernelI(f|6__half|13__nv_bfloat16)L", kernel)
    return f"{found[1]} {_TYPES[found[2]]}" if found else kernel


_TYPES = {"f": "fp32", "6__half": "fp16", "13__nv_bfloat16": "bf16"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="build", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=BUILT)
    parser.add_argument("--arch", default=";".join(ARCHITECTURES), help="as 80;90")
    parser.add_argument("--nvcc", default="nvcc")
    asked = parser.parse_args()
    library = build(asked.out, [each for each in re.split(r"[;, ]+", asked.arch) if each], asked.nvcc)
    compiled = machine_code(library)
    for architecture in dict.fromkeys(each.architecture for each in compiled):
        of = [each for each in compiled if each.architecture == architecture]
        most = max(of, key=lambda each: each.registers)
        sys.stdout.write(
            f"sm_{architecture}: {len(of)} kernels, {sum(each.code for each in of)} bytes; at most {most.registers} "
            f"registers ({_short(most.kernel)}), {max(each.stack for each in of)} bytes of stack\n"
        )


if __name__ == "__main__":
    main()
