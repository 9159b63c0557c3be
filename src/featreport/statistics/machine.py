"""What Numba has no word for: arithmetic in the type of its operands, bits read as another type, memory at an address.

Numba widens every integer it computes to 64 bits, which halves the vectors that a loop of 32-bit numbers can use.
"""

from __future__ import annotations

from typing import Any

import numba.extending
from numba import types

intrinsic: Any = numba.extending.intrinsic


@intrinsic
def like(_typing, value, other):
    """Return `value` in the type of `other`."""

    def generate(context, builder, signature, arguments):
        return context.cast(builder, arguments[0], *signature.args)

    return other(value, other), generate


@intrinsic
def negative(_typing, value):
    """Return all bits set (-1) for a negative integer, 0 for others."""

    def generate(context, builder, signature, arguments):  # noqa: ARG001 - Numba hands all four
        width = arguments[0].type.width
        return builder.ashr(arguments[0], arguments[0].type(width - 1))

    return value(value), generate


@intrinsic
def same_bits(_typing, value, other):
    """Return the bits of `value` read as the type of `other`, which is as wide."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(signature.return_type))

    return other(value, other), generate


@intrinsic
def pointer(_typing, address):
    """Turn an address into a pointer."""

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.voidptr(address), generate
