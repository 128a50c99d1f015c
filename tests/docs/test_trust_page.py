"""The page of trust: its policies are policies, and its tables name what the code knows, all of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from firkin.errors import Untrusted
from firkin.oci.reference import Reference
from firkin.trust.attachments import MAX_ATTACHMENTS
from firkin.trust.check import wants_signatures
from firkin.trust.identity import Rule
from firkin.trust.policy import Requirement
from firkin.trust.policy_file import parse_policy
from firkin.trust.signature import MAX_PAYLOAD_BYTES
from firkin.trust.subject import Subject
from tests.docs.examples import blocks

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "trust.md").read_text()
POLICIES = [block.text for block in blocks(PAGE) if block.language == "json"]


def first_cells() -> set[str]:
    return set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))


def test_every_requirement_and_identity_has_its_row() -> None:
    known = {kind.__struct_config__.tag for kind in (*get_args(Requirement), *get_args(Rule))}
    assert first_cells() == known


def test_the_policies_on_the_page_do_what_it_says() -> None:
    first, second = (parse_policy(text.encode(), "p") for text in POLICIES)

    def verdict(policy: object, name: str) -> str:
        try:
            subject = Subject.of_reference(Reference.parse(name))
            return "signed" if wants_signatures(policy, subject) else "accepted"  # type: ignore[arg-type]
        except Untrusted:
            return "refused"

    assert verdict(first, "registry.example:5000/team/app:1") == "signed"
    assert verdict(first, "alpine") == "accepted"
    assert verdict(first, "quay.io/x") == "refused"
    assert not wants_signatures(first, Subject.of_tarball("x"))
    assert verdict(second, "mirror.example/vendor/x") == "signed"
    assert verdict(second, "alpine") == "accepted"


def test_the_bounds_on_the_page_are_those_of_the_code() -> None:
    assert f"At most {MAX_ATTACHMENTS} attachments of {MAX_PAYLOAD_BYTES >> 10} KiB" in PAGE
