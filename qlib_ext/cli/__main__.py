"""``python -m qlib_ext.cli``, where the command is not on the path."""

from __future__ import annotations

import sys

from qlib_ext.cli import main

sys.exit(main())
