"""The page of findings is what the faults say, and the doctor looks where the page says that it does."""

from __future__ import annotations

import re
from pathlib import Path

from firkin.faults.catalogue import FAULTS
from firkin.faults.page import markdown
from firkin.host.doctor import SUBJECTS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "doctor.md"


def test_the_page_is_what_the_faults_say() -> None:
    assert PAGE.read_text() == markdown(), "python -m firkin.faults.page > docs/reference/doctor.md"


def test_every_subject_on_the_page_can_be_asked_for() -> None:
    assert set(re.findall(r"^`--only (\S+)`$", PAGE.read_text(), re.MULTILINE)) == {*SUBJECTS, "doctor"}


def test_every_finding_is_on_the_page_once() -> None:
    assert sorted(re.findall(r"^### `(.*)`$", PAGE.read_text(), re.MULTILINE)) == sorted(FAULTS)
