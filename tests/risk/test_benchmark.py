"""An index's weights out of a provider: a field that wins, drift between its dates, what is counted, the command."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qlib.data import D

from qlib_ext.cli import main
from qlib_ext.errors import DataError, ProviderError
from qlib_ext.risk.benchmark import drifted, index_weights
from tests.risk.conftest import noise_from

INDEX = "SH000300"
STOCKS = ["A", "B", "C"]
DAYS = pd.bdate_range("2020-01-01", periods=4)
MEMBERS = np.ones((4, 3), dtype=bool)
RETURNS = np.array([[0.0, 0, 0], [0.1, 0, 0], [0, 0.2, 0], [0, 0, 0.3]])
NAN = np.nan


def test_between_dates_weights_drift():
    given = np.array([[0.5, 0.3, 0.2], [NAN, NAN, NAN], [0.4, 0.4, 0.2], [NAN, NAN, NAN]])
    weights, findings = drifted(given, RETURNS, MEMBERS, DAYS, STOCKS)
    np.testing.assert_allclose(weights[1], np.array([0.55, 0.3, 0.2]) / 1.05)
    np.testing.assert_allclose(weights[2], [0.4, 0.4, 0.2])
    np.testing.assert_allclose(weights[3], np.array([0.4, 0.4, 0.26]) / 1.06)
    assert findings == []


def test_a_held_value_is_no_date_of_its_own():
    sparse = np.array([[0.5, 0.3, 0.2], [NAN] * 3, [NAN] * 3, [NAN] * 3])
    held = np.tile(sparse[0], (4, 1))
    np.testing.assert_array_equal(*(drifted(given, RETURNS, MEMBERS, DAYS, STOCKS)[0] for given in (sparse, held)))


def test_faults_are_named_and_counted():
    members = MEMBERS.copy()
    members[:, 2] = False
    members[3, 2] = True
    given = np.array([[NAN] * 3, [0.5, NAN, 0.1], [0.5, 0.45, NAN], [0.5, 0.5, NAN]])
    weights, findings = drifted(given, RETURNS, members, DAYS, STOCKS)
    assert np.isnan(weights[0]).all()
    np.testing.assert_allclose(np.nansum(weights[1:], axis=1), 1)
    assert [str(finding) for finding in findings] == [
        "1 weights of stocks that are no members, left out, first 2020-01-02 C",
        "2 members without a weight, taken as 0, first 2020-01-02 B",
        "2 days whose weights do not sum to 1, scaled, first 2020-01-02",
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([[50.0, 30, 20]] * 4, "far from a sum of 1, first 2020-01-01 with 100 of 100; give fractions of 1"),
        ([[0.1, 0.1, 0.1]] * 4, "far from a sum of 1, first 2020-01-01 with 0.3"),
        ([[1.5, -0.5, 0.0]] * 4, "4 weights are negative, first B on 2020-01-01"),
        ([[NAN] * 3] * 4, "no value for any member"),
    ],
)
def test_what_is_no_weight_is_refused(given, says):
    with pytest.raises(DataError, match=says):
        drifted(np.array(given), RETURNS, MEMBERS, DAYS, STOCKS)


def test_the_field_wins(provider, market):
    found = index_weights(provider, INDEX, "csi300")
    assert found.source == "field"
    truth = pd.DataFrame(market.fields["csi300_weight"], market.calendar, market.symbols)[found.weights.columns]
    np.testing.assert_allclose(found.weights, truth, atol=1e-6)


def test_implied_weights_come_near_the_true_ones(provider, market):
    found = index_weights(provider, INDEX, "csi300", "implied", total_return=True)
    truth = pd.DataFrame(market.fields["csi300_weight"], market.calendar, market.symbols)[found.weights.columns]
    off = 0.5 * (found.weights - truth).abs().sum(axis=1)
    assert found.source == "implied"
    np.testing.assert_array_equal(found.weights.iloc[40:].notna(), truth.iloc[40:].notna())
    assert off.iloc[-60:].mean() < 0.05
    assert found.surprises.iloc[-100:].std() < 0.0006


def test_nothing_after_a_day_is_read(provider, changed):
    day = 200
    other = changed("noise", noise_from(day))
    for weights in ("implied", "$csi300_weight"):
        whole, noisy = (index_weights(folder, INDEX, "csi300", weights).weights for folder in (provider, other))
        pd.testing.assert_frame_equal(noisy.iloc[:day], whole.iloc[:day])
        assert not noisy.iloc[day:].equals(whole.iloc[day:])


def test_members_and_days_that_are_missing_are_counted(provider, changed, tmp_path):
    def edit(path, values, first):
        if path.parent.name == INDEX.lower() and path.name == "close.day.bin":
            values[200] = np.nan
            values[250:] *= 1.1

    folder = changed("holes", edit)
    with open(folder / "instruments" / "csi300.txt", "a") as file:
        file.write("SH699999\t2015-01-01\t2015-06-01\n")
    found = index_weights(folder, INDEX, "csi300", "implied")
    texts = [str(finding) for finding in found.findings]
    days = pd.DatetimeIndex(found.weights.index)
    assert texts[0] == "1 members of csi300 without bars, first SH699999"
    assert texts[1].startswith("1 days on which the index and the weights differ by more than 2 %")
    assert texts[1].endswith(f"{days[250]:%Y-%m-%d}")
    assert texts[2].startswith("2 days without a return of SH000300; the weights drift with the members")
    assert texts[2].endswith(f"{days[200]:%Y-%m-%d}")


def test_a_close_of_nothing_is_missing(provider, changed):
    def edit(path, values, first):
        if path.name == "close.day.bin" and path.parent.name == "sh600001":
            values[200:203] = 0, -1, np.inf
        if path.name == "close.day.bin" and path.parent.name == INDEX.lower():
            values[220] = 0

    found = index_weights(changed("zeros", edit), INDEX, "csi300", "implied")
    texts = [str(finding) for finding in found.findings]
    assert texts[0].startswith("3 closes that are not above 0, or infinite; they count as missing, first ")
    assert any(text.startswith("2 days without a return of SH000300") for text in texts)
    whole = index_weights(provider, INDEX, "csi300", "implied").weights
    pd.testing.assert_frame_equal(found.weights.iloc[:200], whole.iloc[:200])
    assert found.weights.notna().equals(whole.notna())
    assert (found.weights - whole).abs().sum(axis=1).max() < 0.2


def test_what_a_provider_lacks(provider, changed):
    with pytest.raises(DataError, match=r"universe 'csi500' is not in .* which has all, csi300"):
        index_weights(provider, INDEX, "csi500")
    with pytest.raises(
        ProviderError, match=r"no \$weights of any member of csi300; take weights: implied \(--from implied\)"
    ):
        index_weights(provider, INDEX, "csi300", "$weights")
    with pytest.raises(ProviderError, match=r"no \$close of the index SH000905"):
        index_weights(provider, "SH000905", "csi300", "implied")
    folder = changed("bare")
    for name in ("total_mv", "amount"):
        for path in (folder / "features").glob(f"*/{name}.day.bin"):
            path.unlink()
    with pytest.raises(ProviderError, match=r"neither \$total_mv nor \$amount"):
        index_weights(folder, INDEX, "csi300", "implied")
    (folder / "instruments" / "csi300.txt").write_text("SH699999\t2015-01-01\t2015-06-01\n")
    with pytest.raises(ProviderError, match="None of the 1 members of csi300 has bars"):
        index_weights(folder, INDEX, "csi300")


def test_the_command(changed, init, capsys):
    folder = changed("written")
    for path in (folder / "features").glob("*/csi300_weight.day.bin"):
        path.unlink()
    command = ["weights", "--index", INDEX, "--members", "csi300", "--out", str(folder), "--total-return"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "$csi300_weight from 2014-" in out
    assert "one day ahead the weights miss the index by" in out
    init(folder)
    read = D.features(D.instruments("all"), ["$csi300_weight"]).iloc[:, 0].unstack("instrument")
    want = index_weights(folder, INDEX, "csi300", "implied", total_return=True).weights
    np.testing.assert_allclose(read[want.columns].reindex(want.index), want, rtol=1e-6)
    assert main(command) == 2
    assert "has $csi300_weight already; add --overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    members = folder / "instruments" / "csi300.txt"
    gone = members.read_text().split("\t")[0]
    members.write_text("".join(line for line in members.read_text().splitlines(True) if not line.startswith(gone)))
    assert main([*command, "--overwrite"]) == 0
    left = np.fromfile(folder / "features" / gone.lower() / "csi300_weight.day.bin", dtype="<f4")[1:]
    assert np.isnan(left).all(), "no member any more"
