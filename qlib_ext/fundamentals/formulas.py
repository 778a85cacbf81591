"""What can be made of reported values: the measures by name, and their formulas."""

from __future__ import annotations

# x is the reported value, q that of a quarter alone, P the latest quarter known
FORMULAS = {
    "latest": "x_P",
    "quarter": "q_P",
    "ttm": "q_P + q_(P-1) + q_(P-2) + q_(P-3)",
    "yoy": "(x_P - x_(P-4)) / |x_(P-4)|",
    "sue": "(q_P - q_(P-4)) / the standard deviation of its last eight",
}
