"""What a user's own script defines, which no worker can import, is trained with all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SCRIPT = """
import pandas as pd
import qlib
from qlib.data.dataset.processor import Processor
from qlib_ext.data.dataset import CrossSectionDataset
from qlib_ext.rolling import RollingModel
from tests.rolling.cases import Returns

class Shifted(Processor):
    def fit(self, df=None):
        self.last = df.index.get_level_values("datetime").max()

    def __call__(self, df):
        assert self.last < pd.Timestamp("2015-07-01"), self.last
        df["feature"] = df["feature"] + 1.0
        return df

if __name__ == "__main__":
    qlib.init(provider_uri={provider!r}, region="cn", kernels=1, logging_level=40)
    times = {{"instruments": "csi300", "start_time": "2014-12-15", "end_time": "2015-10-30"}}
    dates = {{"fit_start_time": "2014-12-15", "fit_end_time": "2015-06-30"}}
    dataset = CrossSectionDataset(
        Returns(**times, **dates, infer_processors=[Shifted()]), {{"test": ("2015-07-01", "2015-08-31")}}
    )
    inner = {{"class": "Ridge", "module_path": "tests.rolling.inner", "kwargs": {{}}}}
    model = RollingModel(model=inner, train="3M", valid="1M", step="2M")
    model.fit(dataset)
    print("scored", len(model.predict(dataset)))
"""


def test_a_processor_of_a_script_is_fitted_before_the_test(small, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(provider=str(small[0])))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) > 100
