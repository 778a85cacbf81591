"""The table of the workflows: universe, data set, model and options of each; ``make workflows`` writes their files."""

from __future__ import annotations

from qlib_ext.workflows.table import alpha158, csi300, enhanced, frequencies, market, yahoo

TABLE = csi300.ENTRIES | yahoo.ENTRIES | alpha158.ENTRIES | market.ENTRIES | frequencies.ENTRIES | enhanced.ENTRIES
