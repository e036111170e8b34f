"""CasADi expressions as a paper writes them: ``W·tanh(z) − z``, ``‖x‖² + u²``, ``[x[1]; −x[0]]``.

The text of an expression is put together from the texts of its parts, each with the strength of its outermost
operation, so that brackets appear only where they are needed. Every text is cut at the length that is asked
for before it is used again: shared parts are written out wherever they occur, and the work still grows only
with the number of nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import casadi as ca
import numpy as np

from ocnet.statement.graph import (
    constant_values,
    is_leaf,
    is_ones,
    is_zero,
    parts_of,
    positions,
    repeated_scalar,
    same,
    upwards,
)

# Strength of the outermost operation. SIGN is a leading minus before something of at least HADAMARD.
CHOICE, RELATION, SUM, SIGN, HADAMARD, PRODUCT, POWER, ATOM = range(8)

LONGEST = 320  # characters of one expression
FEW = 6  # entries of a constant array that is written out

_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_OPERATIONS = {getattr(ca, name): name[3:].lower() for name in sorted(dir(ca)) if name.startswith("OP_")}
_RENAMED = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arsinh",
    "acosh": "arcosh", "atanh": "artanh", "fmin": "min", "fmax": "max", "mmin": "min",
    "mmax": "max", "fmod": "mod", "determinant": "det", "diagcat": "diag",
}  # fmt: skip
_RELATIONS = {"lt": ("<", ">"), "le": ("≤", "≥"), "eq": ("=", "="), "ne": ("≠", "≠")}
_FENCES = {
    "fabs": ("|", "|"), "floor": ("⌊", "⌋"), "ceil": ("⌈", "⌉"),
    "normf": ("‖", "‖"), "norm2": ("‖", "‖₂"), "norm1": ("‖", "‖₁"), "norminf": ("‖", "‖∞"),
}  # fmt: skip


class Formula(NamedTuple):
    """The text of an expression and the strength of its outermost operation."""

    text: str
    strength: int = ATOM

    def at_least(self, strength: int) -> str:
        """Return the text, in brackets if its outermost operation is weaker than `strength`."""
        return self.text if self.strength >= strength else f"({self.text})"

    def plus(self, other: Formula) -> Formula:
        """Return the sum; a minus that opens the second term takes the place of the plus."""
        if other.strength in (SUM, SIGN) and other.text.startswith("−"):
            return Formula(f"{self.at_least(SUM)} − {other.text[1:]}", SUM)
        return Formula(f"{self.at_least(SUM)} + {other.at_least(SUM)}", SUM)

    def minus(self, other: Formula) -> Formula:
        """Return the difference."""
        if other.strength == SIGN:
            return Formula(f"{self.at_least(SUM)} + {other.text[1:]}", SUM)
        return Formula(f"{self.at_least(SUM)} − {other.at_least(SIGN)}", SUM)

    def times(self, other: Formula, sign: str = "·") -> Formula:
        """Return the product; a minus that opens the first factor opens the product."""
        strength = HADAMARD if sign == " ⊙ " else PRODUCT
        factor = other.at_least(POWER if sign == "/" else strength)
        if self.strength == SIGN and " ⊙ " not in self.text:
            return Formula(f"{self.text}{sign}{factor}", SIGN)
        return Formula(f"{self.at_least(strength)}{sign}{factor}", strength)


def number(value: float) -> str:
    """Return a number with at most six digits: ``0.1``, ``−3``, ``1e−08``, ``∞``."""
    return f"{float(value):.6g}".replace("-", "−").replace("inf", "∞")


def expression_formula(
    expression: ca.MX, names: Mapping[int, Formula] | None = None, longest: int = LONGEST
) -> Formula:
    """Return an expression as mathematics.

    Parameters
    ----------
    expression : casadi.MX
        Of any shape.
    names : mapping, optional
        How symbols are written, by their hash; without an entry a symbol keeps its own name.
    longest : int
        Number of characters after which the text ends in ``… (57 operations)``.

    Returns
    -------
    Formula
        One line; never an error: what cannot be written as mathematics is written as CasADi does.

    Examples
    --------
    >>> x, W = ca.MX.sym("x", 2), ca.MX.sym("W", 2, 2)
    >>> expression_formula(W @ ca.tanh(x) - 0.5 * x).text
    'W·tanh(x) − 0.5·x'
    """
    expression = ca.MX(expression)
    try:
        return _Writer(names or {}, longest).write(expression)
    except Exception:  # a statement can always be shown, whatever nodes other versions of CasADi have
        text = " ".join(str(expression).split())
        return Formula(text if len(text) <= longest else f"{text[:longest]}…", CHOICE)


class _Writer:
    """The formulas of all nodes of one expression, from the leaves upwards.

    CasADi's operation ``OP_ADD`` is written by the method ``on_add`` and so on; the others, like ``f(x, y)``.
    """

    def __init__(self, names: Mapping[int, Formula], longest: int) -> None:
        self.names, self.longest = names, longest
        self.done: dict[int, Formula] = {}
        self.powers: dict[int, tuple[ca.MX, int]] = {}
        self.entries: dict[int, list[Formula]] = {}

    def write(self, root: ca.MX) -> Formula:
        operations = 0
        for node in upwards(root):
            formula = self.leaf(node) if is_leaf(node) else self.operation(node)
            operations += not is_leaf(node)
            self.done[node.__hash__()] = formula._replace(text=formula.text[: self.longest + 1])
        formula = self.even(root)
        if len(formula.text) <= self.longest:
            return formula
        return Formula(
            f"{formula.text[: self.longest].rstrip()} … ({operations} operations)", formula.strength
        )

    def leaf(self, node: ca.MX) -> Formula:
        if node.is_symbolic():
            name = Formula(node.name(), PRODUCT if "/" in node.name() else ATOM)
            return self.names.get(node.__hash__(), name)
        values = constant_values(node)
        if values.size == 1:
            return _signed(values[0, 0])
        if not values.any():
            return Formula("0")
        if values.shape[0] == values.shape[1] and np.array_equal(values, np.eye(len(values))):
            return Formula("I")
        if values.size > FEW:
            return Formula(f"[{_size(node)}]")
        return Formula(f"[{'; '.join(', '.join(map(number, row)) for row in values)}]")

    def operation(self, node: ca.MX) -> Formula:
        parts = parts_of(node)
        name = "output" if node.is_output() else _OPERATIONS.get(node.op(), "f")
        rule = getattr(self, f"on_{name}", None)
        if rule is not None:
            return rule(node, *parts)
        if name in _RELATIONS:
            first, second = map(self.even, parts)
            sign, mirrored = _RELATIONS[name]
            if parts[0].is_constant():
                first, second, sign = second, first, mirrored
            return Formula(f"{first.at_least(SUM)} {sign} {second.at_least(SUM)}", RELATION)
        if name in _FENCES:
            left, right = _FENCES[name]
            return Formula(f"{left}{self.of(parts[0]).text}{right}")
        write = self.even if name in ("fmin", "fmax") else self.of
        return Formula(f"{_RENAMED.get(name, name)}({', '.join(write(p).text for p in parts)})")

    def of(self, node: ca.MX) -> Formula:
        return self.done[node.__hash__()]

    def even(self, node: ca.MX) -> Formula:
        """Return the formula of a node, a scalar standing for an array whose entries are all that scalar."""
        while node.op() in (ca.OP_VERTCAT, ca.OP_HORZCAT) and repeated_scalar(parts_of(node)):
            node = node.dep(0)
        if node.is_constant() and node.numel() > 1 and node.is_dense():
            values = constant_values(node)
            if np.all(values == values[0, 0]):
                return _signed(values[0, 0])
        return self.of(node)

    # ------------------------------------------------------------------ entry by entry

    def on_add(self, node: ca.MX, first: ca.MX, second: ca.MX) -> Formula:
        if first.op() == second.op() == ca.OP_IF_ELSE_ZERO:
            condition, other = first.dep(0), second.dep(0)
            if other.op() == ca.OP_NOT and same(other.dep(0), condition):
                return self.choice(condition, first.dep(1), self.even(second.dep(1)))
        return self.even(first).plus(self.even(second))

    def on_sub(self, node: ca.MX, first: ca.MX, second: ca.MX) -> Formula:
        return self.even(first).minus(self.even(second))

    def on_neg(self, node: ca.MX, part: ca.MX) -> Formula:
        return Formula(f"−{self.of(part).at_least(HADAMARD)}", SIGN)

    def on_mul(self, node: ca.MX, first: ca.MX, second: ca.MX) -> Formula:
        (base, exponent), (other, more) = self.power(first), self.power(second)
        if same(base, other):
            return self.raised(node, base, exponent + more)
        product = "·" if first.is_scalar() or second.is_scalar() else " ⊙ "
        return self.even(first).times(self.even(second), product)

    def on_twice(self, node: ca.MX, part: ca.MX) -> Formula:
        return Formula("2").times(self.even(part))

    def on_div(self, node: ca.MX, first: ca.MX, second: ca.MX) -> Formula:
        if first.is_scalar() or second.is_scalar() or first.is_constant():
            return self.even(first).times(self.even(second), "/")
        return Formula(f"{self.even(first).at_least(POWER)} / {self.even(second).at_least(POWER)}", HADAMARD)

    def on_inv(self, node: ca.MX, part: ca.MX) -> Formula:
        return Formula("1").times(self.of(part), "/")

    def on_sq(self, node: ca.MX, part: ca.MX) -> Formula:
        base, exponent = self.power(part)
        return self.raised(node, base, 2 * exponent)

    def on_constpow(self, node: ca.MX, base: ca.MX, exponent: ca.MX) -> Formula:
        values = constant_values(exponent)
        value = float(values[0, 0])
        if np.any(values != value) or value != round(value) or abs(value) < 2:
            return self.on_pow(node, base, exponent)
        root, inner = self.power(base)
        if value < 0:
            return Formula("1").times(self.written_power(root, -inner * round(value)), "/")
        return self.raised(node, root, inner * round(value))

    def on_pow(self, node: ca.MX, base: ca.MX, exponent: ca.MX) -> Formula:
        above = self.even(exponent)
        above_text = above.text if exponent.is_constant() else above.at_least(ATOM)
        return Formula(f"{self.even(base).at_least(ATOM)}^{above_text}", POWER)

    def power(self, node: ca.MX) -> tuple[ca.MX, int]:
        return self.powers.get(node.__hash__(), (node, 1))

    def raised(self, node: ca.MX, base: ca.MX, exponent: int) -> Formula:
        self.powers[node.__hash__()] = base, exponent
        return self.written_power(base, exponent)

    def written_power(self, base: ca.MX, exponent: int) -> Formula:
        entrywise = "∘" if min(base.shape) > 1 else ""
        above = str(exponent).translate(_SUPERSCRIPT)
        return Formula(f"{self.even(base).at_least(ATOM)}{entrywise}{above}", POWER)

    def on_sqrt(self, node: ca.MX, part: ca.MX) -> Formula:
        return Formula(f"√{self.of(part).at_least(ATOM)}", POWER)

    def on_if_else_zero(self, node: ca.MX, condition: ca.MX, yes: ca.MX) -> Formula:
        return self.choice(condition, yes, Formula("0"))

    def choice(self, condition: ca.MX, yes: ca.MX, no: Formula) -> Formula:
        case = self.of(condition).at_least(RELATION)
        return Formula(f"{self.even(yes).at_least(RELATION)} if {case} else {no.text}", CHOICE)

    def on_not(self, node: ca.MX, part: ca.MX) -> Formula:
        return Formula(f"not {self.of(part).at_least(SUM)}", RELATION)

    def on_and(self, node: ca.MX, first: ca.MX, second: ca.MX) -> Formula:
        return Formula(f"{self.both(first)} and {self.both(second)}", CHOICE)

    def on_or(self, node: ca.MX, first: ca.MX, second: ca.MX) -> Formula:
        return Formula(f"{self.both(first)} or {self.both(second)}", CHOICE)

    def both(self, part: ca.MX) -> str:
        return self.of(part).at_least(RELATION)

    # ------------------------------------------------------------------ matrices

    def on_mtimes(self, node: ca.MX, start: ca.MX, left: ca.MX, right: ca.MX) -> Formula:
        ones = left.is_row() and is_ones(left)
        if (
            ones
            and right.op() == ca.OP_MTIMES
            and right.is_column()
            and is_ones(right.dep(2))
            and is_zero(right.dep(0))
        ):
            product = Formula(f"sum({self.of(right.dep(1)).text})")
        elif ones and right.is_column():
            product = Formula(f"sum({self.of(right).text})")
        else:
            first = Formula("1ᵀ", POWER) if ones else self.of(left)
            product = first.times(Formula("1") if right.is_column() and is_ones(right) else self.of(right))
        return product if is_zero(start) else self.even(start).plus(product)

    def on_dot(self, node: ca.MX, first: ca.MX, second: ca.MX) -> Formula:
        if same(first, second):
            return Formula(f"‖{self.of(first).text}‖²", POWER)
        for ones, other in ((first, second), (second, first)):
            if is_ones(ones):
                return Formula(f"sum({self.of(other).text})")
        return Formula(f"⟨{self.of(first).text}, {self.of(second).text}⟩")

    def on_bilin(self, node: ca.MX, matrix: ca.MX, left: ca.MX, right: ca.MX) -> Formula:
        return self.on_transpose(node, left).times(self.of(matrix)).times(self.of(right))

    def on_kron(self, node: ca.MX, first: ca.MX, second: ca.MX) -> Formula:
        return Formula(f"{self.of(first).at_least(POWER)} ⊗ {self.of(second).at_least(POWER)}", HADAMARD)

    def on_transpose(self, node: ca.MX, part: ca.MX) -> Formula:
        return Formula(f"{self.of(part).at_least(ATOM)}ᵀ", POWER)

    def on_inverse(self, node: ca.MX, part: ca.MX) -> Formula:
        return Formula(f"{self.of(part).at_least(ATOM)}⁻¹", POWER)

    def on_solve(self, node: ca.MX, right: ca.MX, matrix: ca.MX) -> Formula:
        power = "⁻ᵀ" if node.info().get("tr") else "⁻¹"
        inverse = Formula(f"{self.of(matrix).at_least(ATOM)}{power}", POWER)
        return (
            inverse if self.of(right).text == "I" and right.is_constant() else inverse.times(self.of(right))
        )

    def on_reshape(self, node: ca.MX, part: ca.MX) -> Formula:
        if 1 in node.shape and node.shape == part.shape[::-1]:
            return self.on_transpose(node, part)
        if node.is_column():
            return Formula(f"vec({self.of(part).text})")
        return Formula(f"reshape({self.of(part).text}, {_size(node)})")

    def on_vertcat(self, node: ca.MX, *parts: ca.MX) -> Formula:
        return Formula(f"[{'; '.join(self.of(p).text for p in parts)}]")

    def on_horzcat(self, node: ca.MX, *parts: ca.MX) -> Formula:
        return Formula(f"[{', '.join(self.of(p).text for p in parts)}]")

    def on_horzrepmat(self, node: ca.MX, part: ca.MX) -> Formula:
        return self.on_horzcat(node, *[part] * (node.shape[1] // part.shape[1]))

    def on_sparsity_cast(self, node: ca.MX, part: ca.MX) -> Formula:
        inner = self.of(part)
        return Formula(f"diag({inner.text})") if node.sparsity().is_diag() else inner

    def on_project(self, node: ca.MX, part: ca.MX) -> Formula:
        if node.nnz() >= part.nnz():
            return self.of(part)
        kept = "lower" if node.sparsity().is_tril() else "upper" if node.sparsity().is_triu() else "part"
        return Formula(f"{kept}({self.of(part).text})")

    # ------------------------------------------------------------------ parts, functions

    def on_getnonzeros(self, node: ca.MX, part: ca.MX) -> Formula:
        return self.chosen(node, part, positions(node))

    def on_call(self, node: ca.MX, *parts: ca.MX) -> Formula:
        return Formula(f"{node.which_function().name()}({', '.join(self.of(p).text for p in parts)})")

    def on_output(self, node: ca.MX, call: ca.MX) -> Formula:
        index = node.which_output()
        if call.op() in (ca.OP_VERTSPLIT, ca.OP_HORZSPLIT):
            edges = call.info()["offset"]
            return self.chosen(node, call.dep(0), np.arange(edges[index], edges[index + 1]))
        function = call.which_function()
        which = "" if function.n_out() == 1 else f".{function.name_out(index)}"
        return Formula(self.of(call).text + which)

    def chosen(self, node: ca.MX, source: ca.MX, places: np.ndarray | None) -> Formula:
        """Write nonzeros of another node as x[0], W[0, :], W[0:2, 1] or diag(W)."""
        name = self.of(source).at_least(ATOM)
        if places is None or not node.is_dense() or places.size == 0:
            return Formula(f"{name}[…]")
        rows, columns = (
            np.array(index)[places].reshape(node.shape, order="F")
            for index in (source.sparsity().row(), source.sparsity().get_col())
        )
        if source.is_column():
            return Formula(f"{name}[{_range(rows.reshape(-1, order='F'), source.shape[0])}]")
        if np.all(rows == rows[:, :1]) and np.all(columns == columns[:1]):
            row, column = _range(rows[:, 0], source.shape[0]), _range(columns[0], source.shape[1])
            return Formula(f"{name}[{row}, {column}]")
        if np.array_equal(rows, columns) and np.array_equal(rows[:, 0], np.arange(min(source.shape))):
            return Formula(f"diag({self.of(source).text})")
        return Formula(f"{name}[…]")

    def on_setnonzeros(self, node: ca.MX, base: ca.MX, values: ca.MX) -> Formula:
        places = positions(node)
        readable = node.is_dense() and node.is_column() and node.numel() <= 64
        if places is None or node.info().get("add") or not readable:
            return Formula(f"set({self.of(base).text}, {self.of(values).text})")
        entries = list(self.entries.get(base.__hash__()) or self.split(base))
        for position, entry in zip(places, self.split(values), strict=True):
            entries[position] = entry
        self.entries[node.__hash__()] = entries
        return Formula(f"[{'; '.join(entry.text for entry in entries)}]")

    def split(self, node: ca.MX) -> list[Formula]:
        """Return the entries of a column that is being filled."""
        if node.is_constant():
            return [_signed(value) for value in constant_values(node).reshape(-1, order="F")]
        if node.is_scalar():
            return [self.of(node)]
        name = self.of(node).at_least(ATOM)
        return [Formula(f"{name}[{i}]") for i in range(node.numel())]


def _signed(value: float) -> Formula:
    return Formula(number(value), SIGN if value < 0 else ATOM)


def _size(node: ca.MX) -> str:
    return "×".join(map(str, node.shape))


def _range(indices: np.ndarray, length: int) -> str:
    """Return indices along one axis as Python writes them: ``2``, ``:``, ``1:3``, ``[0, 0, 2]``."""
    if len(indices) == 1:
        return str(indices[0])
    if np.array_equal(indices, np.arange(length)):
        return ":"
    if np.all(np.diff(indices) == 1):
        return f"{indices[0]}:{indices[-1] + 1}"
    return f"[{', '.join(map(str, indices))}]"
