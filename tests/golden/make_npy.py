"""Golden .npy files for tests/runtime/test_npy.c, written by NumPy.

    python tests/golden/make_npy.py

Each array counts 0, 1, 2 ... in C order, minus 1 where the dtype is signed; bool: odd numbers.
"""

import pathlib

import numpy as np

OUT = pathlib.Path(__file__).parent / "npy"


def counting(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = np.arange(np.prod(shape, dtype=int))
    if dtype == "|b1":
        values = values % 2
    elif dtype != "|u1":
        values = values - 1
    return values.reshape(shape).astype(dtype)


def save(name: str, array: np.ndarray, version: tuple[int, int] = (1, 0)) -> None:
    with open(OUT / name, "wb") as file:
        np.lib.format.write_array(file, array, version=version)


def main() -> None:
    OUT.mkdir(exist_ok=True)
    for dtype in ("<f4", "<f8", "<f2", "<i8", "<i4", "|u1", "|b1"):
        save(f"{dtype[1:]}.npy", counting((2, 3), dtype))
    save("scalar.npy", counting((), "<f4"))
    save("vector.npy", counting((5,), "<f4"))
    save("empty.npy", counting((3, 0, 2), "<i4"))
    save("rank8.npy", counting((1, 2, 1, 1, 1, 1, 3, 1), "|u1"))
    save("version2.npy", counting((2, 3), "<f4"), (2, 0))
    save("version3.npy", counting((2, 3), "<f4"), (3, 0))
    save("fortran.npy", np.asfortranarray(counting((2, 3), "<f4")))
    save("big_endian.npy", counting((2, 3), ">f4"))
    save("rank9.npy", np.zeros((1,) * 9, "<f4"))
    save("record.npy", np.zeros(2, [("a", "<f4"), ("b", "<i4")]))


if __name__ == "__main__":
    main()
