"""Variables: env and envFrom of a container, as NAME=value words."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from firkin.kube.contents import Contents
from firkin.kube.expansion import expand
from firkin.kube.fields import Fields, bad

_NAME = re.compile(r"[^\s=\0]{1,1024}")
_SUBSCRIPT = re.compile(r"(metadata\.(?:labels|annotations))\['([^']*)'\]")


class Origin(msgspec.Struct, frozen=True):
    """What a variable may be taken from."""

    contents: Contents
    facts: Mapping[str, str]
    """By what a fieldRef calls them: metadata.name, metadata.labels['app']."""


def variables(container: Fields, origin: Origin) -> dict[str, bytes]:
    """The variables of `container`, by name: envFrom, then env, each of which may use those before it."""
    found: dict[str, bytes] = {}
    for source in container.maps("envFrom"):
        with source:
            found |= _all_of(source, origin.contents)
    for each in container.maps("env"):
        with each:
            name = each.needed("name")
            if not _NAME.fullmatch(name):
                raise bad(each.at("name"), f"{name!r} is no variable's name", "use letters, digits and _")
            value = _value(each, origin, as_text(found))
            if value is not None:
                found[name] = value
    return found


def as_text(found: Mapping[str, bytes]) -> dict[str, str]:
    """The variables that $(NAME) may stand for."""
    return {name: value.decode(errors="surrogateescape") for name, value in found.items()}


def _all_of(source: Fields, contents: Contents) -> dict[str, bytes]:
    prefix = source.text("prefix")
    found: dict[str, bytes] = {}
    for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
        reference = source.map(field)
        if reference is None:
            continue
        with reference:
            optional = bool(reference.flag("optional"))
            name = reference.needed("name")
            held = contents.of(kind, name, reference.path, optional=optional)
            found |= {f"{prefix}{key}": value for key, value in held.items()}
    return found


def _value(each: Fields, origin: Origin, before: Mapping[str, str]) -> bytes | None:
    source = each.map("valueFrom")
    if source is None:
        return expand(each.text("value"), before).encode(errors="surrogateescape")
    with source:
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if (reference := source.map(field)) is not None:
                return _key(reference, kind, origin.contents)
        if (field_ref := source.map("fieldRef")) is not None:
            return _fact(field_ref, origin.facts)
    raise bad(each.at("valueFrom"), "what it names cannot be had here", "write the value itself")


def _key(reference: Fields, kind: str, contents: Contents) -> bytes | None:
    with reference:
        optional = bool(reference.flag("optional"))
        name, key = reference.needed("name"), reference.needed("key")
        return contents.value(kind, name, key, reference.path, optional=optional)


def _fact(reference: Fields, facts: Mapping[str, str]) -> bytes:
    with reference:
        reference.ignore("apiVersion")
        wanted = reference.needed("fieldPath")
    if wanted in facts:
        return facts[wanted].encode()
    if _SUBSCRIPT.fullmatch(wanted):
        return b""
    raise bad(
        reference.at("fieldPath"), f"{wanted!r} cannot be known here",
        "there are metadata.name, .namespace, .labels['KEY'] and .annotations['KEY']",
    )  # fmt: skip
