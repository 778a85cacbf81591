"""What docs/portfolio.md shows runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import yaml

from qlib_ext.portfolio.constraints import TrackingError
from qlib_ext.portfolio.objective import Objective
from qlib_ext.portfolio.setting import setting_of
from qlib_ext.portfolio.solve import solve
from tests.portfolio.days import random_day

PAGE = (Path(__file__).parents[2] / "docs/portfolio.md").read_text(encoding="utf-8")


def test_the_users_own_constraint_holds(monkeypatch, tmp_path):
    source = next(code for code in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL) if "FewRisky" in code)
    (tmp_path / "my_constraints.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    line = yaml.safe_load(re.search(r"- (\{class: FewRisky.*\})", PAGE)[1])
    setting = setting_of({"index": "SH000905", "members": "csi500"}, [line], relax=["few_risky"])
    day = random_day()
    risky = day.risk.specific >= np.quantile(day.risk.specific, 0.9)
    day = random_day(score=np.where(risky, 3.0, day.score))
    near = TrackingError(0.05)
    free = solve(day, [near], Objective())
    found = solve(day, [near, *setting.constraints], Objective(), setting.relax)
    assert free.weights[risky].sum() > 0.04, "it binds"
    assert found.weights[risky].sum() <= 0.03 + 1e-6


def test_the_workflow_of_the_page_is_a_setting():
    text = next(code for code in re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL) if "IndexEnhancement" in code)
    kwargs = yaml.safe_load(text)["strategy"]["kwargs"]
    names = ("benchmark", "constraints", "objective", "rebalance", "relax")
    setting = setting_of(*(kwargs[name] for name in names))
    assert [constraint.name for constraint in setting.constraints] == [
        "tracking_error",
        "styles",
        "industries",
        "members",
        "active_weight",
        "turnover",
    ]
