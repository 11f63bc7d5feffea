"""cuBLASLt by ctypes: matrix products with an epilogue, work on the result before it is written.

    BIAS            y = x W + b
    RELU_BIAS       y = relu(x W + b)
    RELU_AUX_BIAS   the same, and mask = [y > 0], a bit for each element; of a NaN, either makes 0
    DRELU_BGRAD     dz = (dy Wᵀ) · mask, with the mask of the layer below, and its db = Σ_n dz[n]
    BGRADA          dW = xᵀ dz, and db = Σ_n dz[n]

Numbers, signatures and structures are those of NVIDIA's cublasLt.h (12.9 and 13.10: the same); what they mean is said
there and in "cuBLAS: Using the cuBLASLt API" (docs.nvidia.com/cuda/cublas), at cublasLtMatmul and cublasLtEpilogue_t.
As in cublas.py, no import of CuPy.
"""

from __future__ import annotations

import contextlib
import ctypes
import weakref
from ctypes import byref, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any

from nanoae.backend.array_ops import Array
from nanoae.backend.cublas import COMPUTE_TYPES, NO, ONE, REAL_TYPES, ZERO, check, layout

BIAS, RELU_BIAS, RELU_AUX_BIAS, DRELU_BGRAD, BGRADA = 4, 6, 134, 152, 256  # cublasLtEpilogue_t
# cublasLtMatmulDescAttributes_t
TRANSA, TRANSB, EPILOGUE, VECTOR, MASK, MASK_LD = 3, 4, 7, 8, 11, 12
# cublasLtMatmulPreferenceAttributes_t; of A, B, C and D
MOST_WORKSPACE, ALIGNMENTS = 1, (5, 6, 7, 8)
MASK_BITS = 128  # a row of the mask is a multiple of these: CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD


class Heuristic(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t. Its beginning is the algorithm, a cublasLtMatmulAlgo_t."""

    _fields_ = [
        *(
            ("algorithm", c_uint64 * 8),
            ("workspace", c_size_t),
            ("state", c_int32),
            ("waves", ctypes.c_float),
        ),
        ("reserved", c_int32 * 4),
    ]


@dataclass
class Plan:
    """A kind of product: cuBLASLt's descriptors of it and of A, B and D, the algorithm, the addresses it is set to."""

    product: c_void_p
    layouts: list[c_void_p]
    algorithm: Heuristic
    addresses: dict[int, int]


class CublasLt:
    """A handle of `library`, and its workspace: a device array of bytes. For one thread.

    plans   kind of product -> how it is done, found out when it comes first; None: not at all
    """

    def __init__(self, library, workspace: Array):
        self.library = library
        self.workspace = workspace
        self.plans: dict[tuple, Plan | None] = {}
        made = ctypes.POINTER(c_void_p)
        setting = [c_void_p, c_int32, c_void_p, c_size_t]
        for name, arguments in {
            "Create": [made],
            "Destroy": [c_void_p],
            "MatmulPreferenceCreate": [made],
            "MatmulPreferenceSetAttribute": setting,
            "MatmulDescCreate": [made, c_int32, c_int32],  # compute type, type of alpha and beta
            "MatmulDescSetAttribute": setting,
            # type, rows, columns, ld
            "MatrixLayoutCreate": [made, c_int32, c_uint64, c_uint64, c_int64],
            "MatmulAlgoGetHeuristic": [
                *[c_void_p] * 7,
                c_int32,
                ctypes.POINTER(Heuristic),
                ctypes.POINTER(c_int32),
            ],
            # handle, product, alpha, A, its layout, B, beta, C, D, algorithm, workspace, its size, stream
            "Matmul": [*[c_void_p] * 14, c_size_t, c_void_p],
        }.items():
            getattr(library, f"cublasLt{name}").argtypes = arguments
        self.handle = self.make("Create")
        weakref.finalize(self, library.cublasLtDestroy, self.handle).atexit = False
        self.preference = self.make("MatmulPreferenceCreate")
        self.set("MatmulPreference", self.preference, {MOST_WORKSPACE: c_uint64(workspace.nbytes)})

    def make(self, name: str, *arguments: int) -> c_void_p:
        made = c_void_p()
        check(getattr(self.library, f"cublasLt{name}")(byref(made), *arguments), f"cublasLt{name}")
        return made

    def set(self, kind: str, descriptor: c_void_p, attributes: dict[int, Any]) -> None:
        function = getattr(self.library, f"cublasLt{kind}SetAttribute")
        for name, value in attributes.items():
            check(
                function(descriptor, name, byref(value), ctypes.sizeof(value)),
                f"cublasLt{kind}SetAttribute {name}",
            )

    def product(
        self, epilogue: int, a: Array, b: Array, out: Array, vector: Array, mask: Array | None, precision: str,
        stream: int,
    ) -> bool:  # fmt: skip
        """out = a b  for a (M, K), b (K, N), out (M, N) of one float type, all sizes >= 1, with the epilogue;
        False, and nothing done, where cuBLASLt has none for these.

        vector   (N,), dense: the bias b that is added to each row, or db that is written
        mask     (M, bytes), dense: a row of bits for each row of out, `MASK_BITS` or a multiple; written or read

        cuBLAS stores columns, so to it our arrays are their transposes, and outᵀ = bᵀ aᵀ is what it computes: its A is
        b, and its rows, for which it has one number of the vector each, are our columns.
        """
        arrays = b, a, out
        layouts = list(map(layout, arrays))
        if None in layouts or layouts[2][0] != NO:  # type: ignore[index]
            return False
        addresses = {VECTOR: vector.data.ptr} | ({} if mask is None else {MASK: mask.data.ptr})
        aligned = [min(256, x & -x) for x in (*(x.data.ptr for x in arrays), *addresses.values())]
        key = (epilogue, precision, a.dtype.char, a.shape, b.shape, *layouts, *aligned)
        if key not in self.plans:
            self.plans[key] = None
            with contextlib.suppress(RuntimeError):
                self.plans[key] = self.plan(
                    epilogue, precision, arrays, layouts, addresses, aligned
                )
        plan = self.plans[key]
        if plan is None:
            return False
        if plan.addresses != addresses:
            self.set(
                "MatmulDesc", plan.product, {name: c_void_p(x) for name, x in addresses.items()}
            )
            plan.addresses = addresses
        one = ONE[a.dtype.char]
        zero = ZERO[a.dtype.char]
        (of_b, of_a, of_out), to, workspace = plan.layouts, out.data.ptr, self.workspace
        status = self.library.cublasLtMatmul(
            *(self.handle, plan.product, ctypes.addressof(one), b.data.ptr, of_b, a.data.ptr, of_a),
            *(ctypes.addressof(zero), to, of_out, to, of_out, ctypes.addressof(plan.algorithm)),
            *(workspace.data.ptr, workspace.nbytes, stream),
        )
        if status:
            self.plans[key] = None
        return not status

    def plan(
        self, epilogue: int, precision: str, arrays: tuple[Array, ...], layouts: list, addresses: dict[int, int],
        aligned: list[int],
    ) -> Plan:  # fmt: skip
        """RuntimeError where cuBLASLt cannot do it."""
        char = arrays[0].dtype.char
        kind = REAL_TYPES[char]
        product = self.make("MatmulDescCreate", COMPUTE_TYPES[precision][char], kind)
        attributes: dict[int, Any] = {
            TRANSA: c_int32(layouts[0][0]),
            TRANSB: c_int32(layouts[1][0]),
            EPILOGUE: c_uint32(epilogue),
        }
        attributes |= {name: c_void_p(x) for name, x in addresses.items()}
        if MASK in addresses:
            attributes[MASK_LD] = c_int64(-(-arrays[2].shape[1] // MASK_BITS) * MASK_BITS)
        self.set("MatmulDesc", product, attributes)
        made = [
            self.make("MatrixLayoutCreate", kind, *(x.shape[::-1] if turned == NO else x.shape), ld)
            for x, (turned, ld) in zip(arrays, layouts, strict=True)
        ]
        # else 256 would be taken for granted; C is D
        least = map(c_uint32, (*aligned[:3], aligned[2]))
        self.set("MatmulPreference", self.preference, dict(zip(ALIGNMENTS, least, strict=True)))
        algorithm = Heuristic()
        found = c_int32()
        status = self.library.cublasLtMatmulAlgoGetHeuristic(
            *(
                self.handle,
                product,
                *made,
                made[2],
                self.preference,
                1,
                byref(algorithm),
                byref(found),
            )
        )
        check(status or algorithm.state or not found.value, "cublasLtMatmulAlgoGetHeuristic")
        return Plan(product, made, algorithm, addresses)
