"""What a finished run does every evening: it scores the days that its provider has got since."""

from __future__ import annotations

from qlib_ext.live.prediction import predict

__all__ = ["predict"]
