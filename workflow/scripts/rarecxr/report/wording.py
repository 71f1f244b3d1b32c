"""How numbers are written in the report: one place, so that page, figures and console agree."""

import math


def share(value: float, digits: int = 3) -> str:
    """A value in [0, 1] as in 0.790; a dash for what is not there."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def signed(value: float, digits: int = 3) -> str:
    """A change with its sign, with a true minus; nothing before what rounds to zero."""
    if math.isnan(value):
        return "–"
    if round(value, digits) == 0:
        return f"{0:.{digits}f}"
    return f"{value:+.{digits}f}".replace("-", "−")


def interval(low: float, high: float, write=share) -> str:
    """An interval as in [0.745, 0.801]; nothing where there is none."""
    return "" if math.isnan(low) or math.isnan(high) else f"[{write(low)}, {write(high)}]"


def percent(fraction: float) -> str:
    """A fraction of the training patients, as in 10 %; a dash for what is not there."""
    return "–" if math.isnan(fraction) else f"{fraction:g}\u00a0%"


def p_value(value: float) -> str:
    """A p-value to three digits, or that it is below them."""
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def count(value: float) -> str:
    """A whole number with thin spaces between thousands; a dash for what is not there."""
    return "–" if math.isnan(value) else f"{int(value):,}".replace(",", "\u202f")


def plural(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun, as in 1 cell or 3 cells."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"
