from __future__ import annotations

import re
import shutil
import time

import numpy as np
import pytest

from qlib_ext.errors import ProviderError
from qlib_ext.provider.check import check_features, check_future_days, check_provider

BOTH = ["SH600001", "SZ000001"]


def test_a_good_provider_passes(tiny):
    check_provider(tiny)
    check_features(tiny, ["$close", "open"], [*BOTH, "SZ000404"])


def test_missing_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProviderError) as err:
        check_provider("nowhere")
    for part in (str(tmp_path / "nowhere"), "QLIB_DATA", "qlib-ext market --out", "python -m qlib.cli.data"):
        assert part in str(err.value)
    assert "\n" not in str(err.value)


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        ("calendars", r"calendars/day\.txt"),
        ("instruments", r"instruments/\*\.txt"),
        ("features", r"features/\*/\*\.day\.bin"),
    ],
)
def test_a_part_is_missing(tiny, gone, says):
    shutil.rmtree(tiny / gone)
    with pytest.raises(ProviderError, match=f"lacks {says}; set QLIB_DATA"):
        check_provider(tiny)


def test_the_days_to_come(tiny):
    check_future_days(tiny)
    future = tiny / "calendars/day_future.txt"
    future.write_text((tiny / "calendars/day.txt").read_text())
    with pytest.raises(ProviderError, match=r"day_future.txt, ends on 2020-01-10 or before: a backtest .* IndexError"):
        check_future_days(tiny)
    future.unlink()
    with pytest.raises(ProviderError, match=r"day_future.txt, is missing: a backtest") as refused:
        check_future_days(tiny)
    command = re.search(r"python -c \"(.*)\"", str(refused.value)).group(1)
    exec(command, {})
    check_future_days(tiny)
    assert future.read_text().splitlines()[:9][-2:] == ["2020-01-10", "2020-01-13"]


def test_a_damaged_calendar_is_found_by_every_check(tiny):
    with (tiny / "calendars/day.txt").open("a") as file:
        file.write("2020-01-10\n")
    for check in (check_provider, check_future_days, lambda folder: check_features(folder, ["close"], BOTH)):
        with pytest.raises(ProviderError, match="2020-01-10 is there twice"):
            check(tiny)


def test_a_frequency_is_missing(tiny):
    with pytest.raises(ProviderError, match=r"calendars/1min\.txt"):
        check_provider(tiny, "1min")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "0 bytes"),
        (np.array([0], "<f4").tobytes(), "4 bytes"),
        (np.array([0, 1, 2], "<f4").tobytes()[:-1], "11 bytes"),
        (np.array([-1, 1], "<f4").tobytes(), r"first value -1\.0 is not a position"),
        (np.array([np.nan, 1], "<f4").tobytes(), "first value nan"),
        (np.array([np.inf, 1], "<f4").tobytes(), "first value inf"),
        (np.array([0.5, 1], "<f4").tobytes(), r"first value 0\.5"),
        (np.arange(10).astype("<f4").tobytes(), "9 values from position 0 run beyond the calendar's 8"),
        (np.array([7, 1, 1], "<f4").tobytes(), "2 values from position 7 run beyond"),
    ],
)
def test_damaged_files(tiny, content, says):
    path = tiny / "features/sz000001/close.day.bin"
    path.write_bytes(content)
    with pytest.raises(ProviderError, match=rf"{path} is damaged: .*{says}.*write the folder again"):
        check_features(tiny, ["$close"], BOTH)
    check_features(tiny, ["$open"], BOTH)


def test_the_last_calendar_position_is_in(tiny):
    (tiny / "features/sz000001/close.day.bin").write_bytes(np.array([7, 1], "<f4").tobytes())
    check_features(tiny, ["$close"], BOTH)


def test_a_field_nobody_has(tiny):
    with pytest.raises(ProviderError, match=r"field \$clsoe .*did you mean \$close\?.*available: \$close, \$open"):
        check_features(tiny, ["$clsoe"], BOTH)
    with pytest.raises(ProviderError, match="available: none"):
        check_features(tiny, ["$close"], ["SZ000404"])


def test_the_check_is_cheap(tmp_path):
    folder = tmp_path / "features"
    for i in range(700):
        (folder / f"s{i}").mkdir(parents=True)
        for j in range(7):
            (folder / f"s{i}" / f"f{j}.day.bin").write_bytes(b"\0" * 8)
    for part in ("calendars/day.txt", "instruments/all.txt"):
        (tmp_path / part).parent.mkdir()
        (tmp_path / part).write_text("2020-01-01\n")
    begin = time.process_time()
    check_features(tmp_path, [f"f{j}" for j in range(7)], [f"S{i}" for i in range(700)])
    assert time.process_time() - begin < 2
