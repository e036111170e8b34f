"""Asking the memory for what will soon be needed: the processor's prefetch instruction, for compiled kernels.

Plain loads would hold up the instructions behind them until they arrive; these do not.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

WILL_WRITE, KEEP, DATA = 1, 3, 1  # arguments of LLVM's prefetch


def _prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for array[index] (1-D, index unsigned and within bounds)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        held = make_array(kind)(context, builder, arguments[0])
        place = cgutils.get_item_pointer(context, builder, kind, held, [arguments[1]], wraparound=False)
        place = builder.bitcast(place, cgutils.voidptr_t)
        number = ir.IntType(32)
        form = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        ask = builder.module.declare_intrinsic("llvm.prefetch", (place.type,), form)
        builder.call(ask, [place, number(WILL_WRITE), number(KEEP), number(DATA)])
        return context.get_dummy_value()

    return types.void(array, index), generate


prefetch: Any = intrinsic(_prefetch)
