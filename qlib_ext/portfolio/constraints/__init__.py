"""The constraints of index enhancement, one a file."""

from __future__ import annotations

from qlib_ext.portfolio.constraints.active_weight import ActiveWeight
from qlib_ext.portfolio.constraints.industries import Industries
from qlib_ext.portfolio.constraints.members import Members
from qlib_ext.portfolio.constraints.styles import Styles
from qlib_ext.portfolio.constraints.tracking_error import TrackingError
from qlib_ext.portfolio.constraints.turnover import Turnover

CONSTRAINTS = {klass.__name__: klass for klass in (TrackingError, Styles, Industries, Members, ActiveWeight, Turnover)}
