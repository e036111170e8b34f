"""CasADi expression graphs: walking them, and what their nodes are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import casadi as ca
import numpy as np

MANY = 10_000  # entries beyond which the form of a slice is not worked out


def upwards(root: ca.MX) -> Iterator[ca.MX]:
    """Yield every node once, after all that it depends on; any depth."""
    stack, seen = [(root, False)], set[int]()
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif node.__hash__() not in seen:
            seen.add(node.__hash__())
            stack.append((node, True))
            stack.extend((part, False) for part in reversed(parts_of(node)))


def parts_of(node: ca.MX) -> list[ca.MX]:
    """Return what a node depends on directly."""
    return [node.dep(i) for i in range(node.n_dep())]


def is_leaf(node: ca.MX) -> bool:
    """Whether a node is a symbol or a constant."""
    return node.is_symbolic() or node.is_constant()


def same(first: ca.MX, second: ca.MX) -> bool:
    """Whether two expressions are one node."""
    return first.__hash__() == second.__hash__()


def repeated_scalar(nodes: Sequence[ca.MX]) -> bool:
    """Whether the parts of an array are one node, a scalar or itself such an array."""
    first = nodes[0]
    return all(same(node, first) for node in nodes) and (first.is_scalar() or first.op() == ca.OP_VERTCAT)


def constant_values(node: ca.MX) -> np.ndarray:
    """Return the values of a constant node, (rows, columns)."""
    return np.array(node.to_DM().full())


def is_ones(node: ca.MX) -> bool:
    """Whether a node is an array of ones."""
    return node.is_constant() and node.numel() > 1 and bool(np.all(constant_values(node) == 1))


def is_zero(node: ca.MX) -> bool:
    """Whether a node is a constant zero of any shape."""
    return node.is_constant() and not constant_values(node).any()


def positions(node: ca.MX) -> np.ndarray | None:
    """Return the nonzeros that a node reads or writes, in order; None if CasADi does not say, or too many."""
    info = node.info()
    if "slice" in info:
        indices = np.arange(*(info["slice"][key] for key in ("start", "stop", "step")))
    elif "nz" in info:
        indices = np.array(info["nz"], dtype=int)
    else:
        return None
    return indices if indices.size <= MANY and np.all(indices >= 0) else None
