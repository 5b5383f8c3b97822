"""Evaluate the small C integer expressions that gfp headers and masks are made of."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

_CAST = re.compile(r"\(\s*(?:__force\s+)?(?:gfp_t|unsigned(?:\s+(?:int|long))?|int)\s*\)")
_SUFFIX = re.compile(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b")
_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.BitOr: lambda a, b: a | b,
    ast.BitAnd: lambda a, b: a & b,
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.LShift: lambda a, b: a << min(b, 64),
}


def evaluate(text: str, name: Callable[[str], int]) -> int:
    """Evaluate an expression of integers, names, ``| & ~ + - <<``, ``BIT(x)`` and ``IS_ENABLED(x)``.

    Arguments: the C text; a function from an identifier to its value.
    Raises ValueError for any other construct, and whatever ``name`` raises.
    """
    python = _SUFFIX.sub(r"\1", _CAST.sub("", text)).strip()
    try:
        tree = ast.parse(python, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"cannot read {text.strip()!r}") from None
    return _value(tree, text, name)


def condition(text: str, name: Callable[[str], int]) -> bool:
    """Evaluate an ``#if`` condition of ``defined(X)``, ``IS_ENABLED(X)``, ``! && ||``; raises ValueError."""
    python = re.sub(r"!(?!=)", " not ", text.replace("&&", " and ").replace("||", " or "))
    python = re.sub(r"\bdefined\s+(\w+)", r"defined(\1)", python)
    try:
        tree = ast.parse(python.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"cannot read {text.strip()!r}") from None
    return _truth(tree, text, name)


def _truth(node: ast.expr, text: str, name: Callable[[str], int]) -> bool:
    if isinstance(node, ast.BoolOp):
        parts = [_truth(value, text, name) for value in node.values]
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _truth(node.operand, text, name)
    return bool(_value(node, text, name))


def _value(node: ast.expr, text: str, name: Callable[[str], int]) -> int:
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return value
        case ast.Name(id=identifier):
            return name(identifier)
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            return ~_value(operand, text, name)
        case ast.Call(func=ast.Name(id="BIT"), args=[arg], keywords=[]):
            return 1 << min(_value(arg, text, name), 64)
        case ast.Call(func=ast.Name(id="IS_ENABLED" | "defined"), args=[ast.Name(id=option)], keywords=[]):
            return name(option)
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, text, name), _value(right, text, name))
    raise ValueError(f"cannot read {text.strip()!r}")
