"""A live line while a solve runs, in terminals and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

Report = Callable[[int, float, float], None]
Count = Callable[[int, int], None]


@contextmanager
def live(name: str, show: bool, measure: str = "infeasibility") -> Generator[Report | None]:
    """Give a function (iteration, cost, measure) that updates the line, or None if nothing is shown."""
    if not show:
        yield None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=False) as bar:
        task = bar.add_task(name, total=None)

        def report(iteration: int, cost: float, value: float) -> None:
            text = f"{name}: iteration {iteration}, cost {cost:.8g}, {measure} {value:.1e}"
            bar.update(task, description=text)

        yield report


@contextmanager
def counting(name: str, total: int, show: bool) -> Generator[Count]:
    """Give a function (done, failed) that updates a bar with the time that is left."""
    if not show:
        yield lambda done, failed: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task(name, total=total)

        def count(done: int, failed: int) -> None:
            text = f"{name}: {failed} failed" if failed else name
            bar.update(task, description=text, completed=done)

        yield count
