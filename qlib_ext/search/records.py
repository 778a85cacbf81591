"""What a search leaves: the file of factors, tables and a page in the recorder."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from qlib.workflow import R

from qlib_ext.cross_section.ic import ic_summary
from qlib_ext.provider.facts import ProviderFacts
from qlib_ext.recorder.provider import tag_provider
from qlib_ext.search.choice import write_factors
from qlib_ext.search.page import page
from qlib_ext.search.search import Found, Settings
from qlib_ext.search.state import CONTROL, SEARCH
from qlib_ext.system.files import write_whole

EXPERIMENT = FOLDER = "search"
DECAY_DAYS = (0, 5, 10, 20)


def record(found: Found, settings: Settings, out: Path, provider: ProviderFacts) -> str:
    """Write the file of factors, and a run of the experiment ``search`` with it, tables and page; its id.

    A search that has chosen nothing leaves no file.

    Artifacts, in ``search/``: factors.yaml, report.html, and the frames of ``frames_of``. Raises OutputError.
    """
    tables = frames_of(found)
    with R.start(experiment_name=EXPERIMENT):
        recorder = R.get_recorder()
        heading = [
            f"qlib-ext search, run {recorder.id}: {found.progress.tried(SEARCH):,} distinct expressions tried in "
            f"the universe {settings.universe}, seed {settings.seed}",
            f"train {settings.train[0]} to {settings.train[1]}, validation {settings.valid[0]} to {settings.valid[1]}, "
            f"label {settings.label}",
            f"provider {provider}",
            f"every t is above {found.bar:.2f}; of {found.progress.tried(CONTROL):,} expressions on shuffled labels "
            f"{len(found.control)} were",
        ]
        if found.chosen:
            write_factors(out, found.chosen, heading)
        tag_provider(recorder)
        recorder.log_params(**{name: str(getattr(settings, name)) for name in ("universe", "train", "valid", "seed")})
        recorder.log_metrics(**figures_of(found))
        recorder.save_objects(artifact_path=FOLDER, **{f"{name}.pkl": table for name, table in tables.items()})
        with TemporaryDirectory() as temporary:
            files = {"report.html": page(found, settings, provider, tables).encode()}
            files |= {"factors.yaml": out.read_bytes()} if found.chosen else {}
            for name, content in files.items():
                write_whole(Path(temporary) / name, content, "Make room.")
                recorder.save_objects(local_path=f"{temporary}/{name}", artifact_path=FOLDER)
        return str(recorder.id)


def figures_of(found: Found) -> dict[str, float]:
    """The counts of a search and of its control, by name."""
    return {
        "tried": found.progress.tried(SEARCH),
        "bar": found.bar,
        "found": len(found.pool),
        "chosen": len(found.chosen),
        "control_tried": found.progress.tried(CONTROL),
        "control_found": len(found.control),
    }


def frames_of(found: Found) -> dict[str, pd.DataFrame]:
    """The tables of a search:

    factors      a row a chosen factor: its expression and figures
    ic           [days of train and validation, factors] Rank IC, and years: its mean by year
    correlation  [factors, factors] mean over the validation's days of their rank correlations
    decay        [factors, days] Rank IC of the validation with the label so many days later
    history      a row a generation: evolution, tried and found until then, best screened ICIR
    """
    names = [each.name for each in found.chosen]
    factors = pd.DataFrame([_line(each) for each in found.chosen], index=names)
    ic = pd.DataFrame({name: own.ic for name, own in zip(names, found.measured, strict=True)}, index=found.days)
    years = pd.DataFrame({name: ic_summary(values)["mean"] for name, values in ic.items()}).T
    flat = np.stack([own.ranks.ravel() for own in found.measured]) if names else np.zeros((0, 1), dtype=np.float32)
    correlation = pd.DataFrame(flat @ flat.T / len(found.labels), names, names)
    decay = {
        name: {days: _mean_ic(own.ranks, found.labels, days) for days in DECAY_DAYS}
        for name, own in zip(names, found.measured, strict=True)
    }
    return {
        "factors": factors,
        "ic": ic,
        "years": years,
        "correlation": correlation,
        "decay": pd.DataFrame(decay, index=list(DECAY_DAYS)).T,
        "history": _history(found),
    }


def _line(chosen: Any) -> dict[str, Any]:
    own = chosen.factor
    figures = ("rank_ic", "icir", "t", "residual_t", "valid_rank_ic", "valid_icir", "coverage", "turnover")
    return {
        "expression": own.node.text,
        **{name: getattr(own, name) for name in figures},
        "added_icir": chosen.added_icir,
    }


def _mean_ic(ranks: np.ndarray, labels: np.ndarray, days: int) -> float:
    products = (ranks[: len(ranks) - days] * labels[days:]).sum(1)
    return float(products.mean()) if len(products) else np.nan


def _history(found: Found) -> pd.DataFrame:
    tables = []
    for name, lines in found.progress.history.items():
        table = pd.DataFrame(lines, columns=["tried", "outcomes", "pool", "best"])
        tables.append(table.assign(evolution=name, tried=table["tried"].cumsum()).drop(columns="outcomes"))
    return pd.concat(tables, ignore_index=True)
