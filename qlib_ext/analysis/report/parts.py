"""What a page is made of: sections of pictures and tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from qlib_ext.analysis.compare.render import TEMPLATES
from qlib_ext.analysis.report.tables import Grid, Shaded
from qlib_ext.analysis.report.texts import Texts

DAYS = re.compile(r'"x":(\["\d{4}-\d\d-\d\d"(?:,"\d{4}-\d\d-\d\d")*\])')  # as plotly writes them
NO_DAYS = "const days=[]"


@dataclass(frozen=True)
class Part:
    """A section of the page; ``key`` is its heading among the texts."""

    key: str
    figures: Sequence[Markup] = ()
    grids: Sequence[Grid] = ()
    shaded: Sequence[Shaded] = ()

    def __bool__(self) -> bool:
        return bool(self.figures or self.grids or self.shaded)


def as_html(key: str, figure: go.Figure) -> Markup:
    """The figure as an element of the page; a fixed id keeps the page the same for the same runs."""
    config = {
        "displaylogo": False,
        "showTips": False,
        "responsive": True,
        "modeBarButtons": [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    }
    return Markup(figure.to_html(config, include_plotlyjs=False, full_html=False, div_id=f"figure-{key}"))


def render_page(template: str, texts: Texts, contents: Sequence[str], **variables: Any) -> str:
    """A page that needs no other file; ``contents`` are the keys of its sections, of which each is a heading too."""
    page = TEMPLATES.get_template(template).render(
        texts=texts,
        plotly=Markup(get_plotlyjs()),
        no_days=NO_DAYS,
        contents=[(key, texts[key]) for key in contents],
        **variables,
    )
    return share_days(page)


def share_days(page: str) -> str:
    """Write each list of days once: the lines of a picture share one, and it takes more room than their values."""
    lists: dict[str, int] = {}
    page = DAYS.sub(lambda found: f'"x":days[{lists.setdefault(found[1], len(lists))}]', page)
    return page.replace(NO_DAYS, f"const days=[{','.join(lists)}]", 1)
