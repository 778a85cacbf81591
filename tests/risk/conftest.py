"""A simulated market large enough for a risk model, and the model of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from qlib_ext.risk.build import build
from qlib_ext.simulator.simulate import Market, simulate, write_market

SIZE = {"stocks": 60, "days": 360, "seed": 5}


@pytest.fixture(scope="session")
def market() -> Market:
    return simulate(**SIZE)


@pytest.fixture(scope="session")
def provider(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("risk") / "provider"
    write_market(folder, **SIZE)
    return folder


@pytest.fixture(scope="session")
def model_folder(provider, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("risk") / "model"
    build(provider, folder)
    return folder


@pytest.fixture
def changed(provider, tmp_path) -> Callable:
    """Another provider like that one, whose bars ``edit(path, values, first day's place)`` changes in place."""

    def of(name: str, edit: Callable | None = None, days: int | None = None) -> Path:
        folder = tmp_path / name
        copytree(provider, folder)
        for path in sorted((folder / "features").glob("*/*.day.bin")):
            content = np.fromfile(path, dtype="<f4")
            if edit is not None:
                edit(path, content[1:], int(content[0]))
            if days is not None:
                content = content[: max(days - int(content[0]), 0) + 1]
            if len(content) > 1:
                content.tofile(path)
            else:
                path.unlink()
        if days is not None:
            calendar = folder / "calendars" / "day.txt"
            calendar.write_text("".join(f"{line}\n" for line in calendar.read_text().splitlines()[:days]))
        return folder

    return of


def noise_from(day: int) -> Callable:
    """An edit that replaces everything from this place of the calendar on."""

    def edit(path: Path, values: np.ndarray, first: int) -> None:
        later = values[max(day - first, 0) :]
        random = np.random.default_rng(sum("".join(path.parts[-2:]).encode()))  # the same wherever the folder lies
        if path.name.startswith("industry"):
            later[:] = random.integers(1, 9, len(later))
        elif "_weight" in path.name:
            later[:] = random.uniform(1 / 40, 2 / 40, len(later))
        else:
            later[:] = random.uniform(1, 1000, len(later))

    return edit
