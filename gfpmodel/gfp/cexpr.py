"""Evaluate the small C integer expressions that gfp headers and masks are made of."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

_CAST = re.compile(r"\(\s*(?:__force\s+)?(?:gfp_t|u32|unsigned(?:\s+(?:int|long))?|int)(?:\s+__force)?\s*\)")
_SUFFIX = re.compile(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]+\b")
_MAX_LENGTH = 2000  # characters; the longest real one has a tenth of that
_MAX_BIT = 64
_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.BitOr: lambda a, b: a | b,
    ast.BitAnd: lambda a, b: a & b,
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.LShift: lambda a, b: a << min(b, _MAX_BIT),
}


def evaluate(text: str, name: Callable[[str], int]) -> int:
    """Evaluate an expression of integers, names, ``| & ~ + - * <<``, ``BIT(x)`` and ``IS_ENABLED(x)``.

    Arguments: the C text; a function from an identifier to its value.
    Raises ValueError for any other construct, and whatever ``name`` raises.
    """
    return _value(_parse(text), text, name)


def condition(text: str, name: Callable[[str], int]) -> bool:
    """Evaluate an ``#if`` condition of ``defined(X)``, ``IS_ENABLED(X)``, ``! && ||``; raises ValueError."""
    python = re.sub(r"!(?!=)", " not ", text.replace("&&", " and ").replace("||", " or "))
    return _truth(_parse(re.sub(r"\bdefined\s+(\w+)", r"defined(\1)", python)), text, name)


def same(one: str, other: str) -> bool:
    """Return whether two texts are the same expression, whatever their blanks, casts, suffixes and parentheses."""
    try:
        return ast.dump(_parse(one)) == ast.dump(_parse(other))
    except ValueError:
        return one.split() == other.split()


def _parse(text: str) -> ast.expr:
    python = _SUFFIX.sub(r"\1", _CAST.sub("", text)).strip()
    if len(python) > _MAX_LENGTH:
        raise ValueError(f"cannot read an expression of {len(python)} characters")
    try:
        return ast.parse(python, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"cannot read {text.strip()!r}") from None


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
            return 1 << min(_value(arg, text, name), _MAX_BIT)
        case ast.Call(func=ast.Name(id="IS_ENABLED" | "defined"), args=[ast.Name(id=option)], keywords=[]):
            return name(option)
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, text, name), _value(right, text, name))
    raise ValueError(f"cannot read {text.strip()!r}")
