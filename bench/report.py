"""Figures as text: durations and tables. It knows nothing of what was measured."""

from collections.abc import Sequence


def duration(seconds: float) -> str:
    """For people: milliseconds below a second, else seconds."""
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else f"{seconds:.2f} s"


def ratio(value: float, base: float) -> str:
    return f"{value / base:.2f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool = False) -> str:
    """Columns of equal width; the first two columns to the left, the figures to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [f"{cell:<{widths[n]}}" if n < 2 else f"{cell:>{widths[n]}}" for n, cell in enumerate(row)]
        return f"| {' | '.join(cells)} |" if markdown else "  ".join(cells).rstrip()

    lines = [line(header), *map(line, rows)]
    if markdown:
        rule = ["-" * width if n < 2 else "-" * (width - 1) + ":" for n, width in enumerate(widths)]
        lines.insert(1, f"|{'|'.join(f' {cell} ' for cell in rule)}|")
    return "\n".join(lines)
