"""`{...}` in a command: arithmetic over a point's names, by a small evaluator of its own. Nothing else is reachable."""

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scaling.values import shown

GROUPS = ("size", "recipe")  # of names, behind a dot
MOST_LETTERS = 2_000
MOST_BITS = 4_096  # of a whole number on the way

Names = Mapping[str, Any]


class ExpressionError(ValueError):
    """What stands between braces is no arithmetic over what is known; the message gives it, and what is."""


class UnknownName(ExpressionError):
    """A name that no point has, or that has not been read yet."""


_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_CALLS: dict[str, Callable[..., Any]] = {
    "max": max,
    "min": min,
    "round": round,
    "abs": abs,
    "int": int,
    "float": float,
    "ceil": math.ceil,
    "floor": math.floor,
    "sqrt": math.sqrt,
    "log": math.log,
    "exp": math.exp,
}


def home(path: str) -> str:
    """A path with its leading ~ filled in, as a shell does."""
    return str(Path(path).expanduser()) if path.startswith("~") else path


def pieces(template: str) -> Iterator[tuple[str, bool]]:
    """The texts and the expressions (True) of a template, in order. `{{` and `}}` are braces. Raises
    ExpressionError."""
    at, text = 0, ""
    while at < len(template):
        two = template[at : at + 2]
        if two in ("{{", "}}"):
            text, at = text + two[0], at + 2
        elif template[at] == "{":
            end = template.find("}", at)
            if end < 0:
                raise ExpressionError(f"{shown(template)} has a brace that nothing closes: write {{{{ for a brace")
            if text:
                yield text, False
            yield template[at + 1 : end], True
            at, text = end + 1, ""
        elif template[at] == "}":
            raise ExpressionError(f"{shown(template)} closes a brace that is not open: write }}}} for a brace")
        else:
            text, at = text + template[at], at + 1
    if text:
        yield text, False


def fill(template: object, names: Names) -> str:
    """The template with every expression's value as Python prints it. Raises ExpressionError."""
    return "".join(str(evaluate(piece, names)) if is_code else piece for piece, is_code in pieces(str(template)))


def value_of(template: object, names: Names) -> Any:
    """As `fill`; of a template that is one expression, its value, and of what is no text, itself."""
    if not isinstance(template, str):
        return template
    found = list(pieces(template))
    return evaluate(found[0][0], names) if len(found) == 1 and found[0][1] else fill(template, names)


def names_in(template: object) -> set[str]:
    """Names that a template uses: tokens, size.depth, recipe.matrix_lr. Raises ExpressionError."""
    found: set[str] = set()
    for piece, is_code in pieces(str(template)):
        for node in ast.walk(_parse(piece)) if is_code else ():
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found.add(f"{node.value.id}.{node.attr}")
            elif isinstance(node, ast.Name) and node.id not in (*_CALLS, *GROUPS):
                found.add(node.id)
    return found


def evaluate(code: str, names: Names) -> Any:
    """The value of one expression. Raises ExpressionError: a syntax, a name or an operation that is none."""
    try:
        return _value(_parse(code).body, names)
    except ExpressionError as error:
        raise type(error)(f"{{{code}}}: {error}") from None
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ExpressionError(f"{{{code}}}: {error}") from None


def _parse(code: str) -> ast.Expression:
    try:
        if len(code) > MOST_LETTERS:
            raise ExpressionError(f"{shown(code)} is too long for a number")
        return ast.parse(code.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ExpressionError(f"{{{code}}} is no arithmetic; write {{{{ and }}}} for braces") from None


def _value(node: ast.AST, names: Names) -> Any:
    match node:
        case ast.Constant(value=int() | float() | str() as constant):
            return constant
        case ast.Name(id=name):
            return _known(name, names, "")
        case ast.Attribute(value=ast.Name(id=group), attr=name) if isinstance(names.get(group), Mapping):
            return _known(name, names[group], f"{group}.")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(_value(operand, names))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, names)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _combined(op, _value(left, names), _value(right, names))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            return _COMPARE[type(op)](_value(left, names), _value(right, names))
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, names) else other, names)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _CALLS:
            return _CALLS[name](*(_number(_value(argument, names)) for argument in arguments))
    raise ExpressionError(
        f"{ast.unparse(node)!r} is no arithmetic: numbers, names, + - * / // % **, a comparison, one if .. else, and "
        f"{', '.join(_CALLS)}"
    )


def _known(name: str, names: Names, group: str) -> Any:
    if name not in names or isinstance(names[name], Mapping):
        there = ", ".join(sorted(f"{group}{key}" for key in names if not str(key).startswith("_")))
        raise UnknownName(f"{group}{name} is not known here; what is: {there or 'nothing'}")
    return names[name]


def _combined(op: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str) and isinstance(op, ast.Add):
        return left + right
    left, right = _number(left), _number(right)
    whole = isinstance(op, ast.Pow) and isinstance(left, int) and isinstance(right, int)
    if whole and abs(right) * max(1, left.bit_length()) > MOST_BITS:
        raise ExpressionError(f"{left} ** {right} is beyond every number that is meant here")
    result = _BINARY[type(op)](left, right)
    if isinstance(result, int) and result.bit_length() > MOST_BITS:
        raise ExpressionError("the number is beyond every one that is meant here")
    if isinstance(result, complex):
        raise ExpressionError("the result is no real number")
    return result


def _number(value: Any) -> Any:
    if not isinstance(value, int | float):
        raise ExpressionError(f"{shown(value)} is no number")
    return value
