"""`python -m qlib_ext.cli`, where the command is not on the path."""

import sys

from qlib_ext.cli import main

sys.exit(main())
