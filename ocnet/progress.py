"""A live line while a solve runs, in terminals and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

Report = Callable[[int, float, float], None]


@contextmanager
def live(name: str, show: bool) -> Generator[Report | None]:
    """Give a function (iteration, cost, infeasibility) that updates the line, or None if nothing is shown."""
    if not show:
        yield None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=False) as bar:
        task = bar.add_task(name, total=None)

        def report(iteration: int, cost: float, infeasibility: float) -> None:
            text = f"{name}: iteration {iteration}, cost {cost:.8g}, infeasibility {infeasibility:.1e}"
            bar.update(task, description=text)

        yield report
