"""Security: securityContext of a pod and of a container, as the words of a process's policy.

The rule: what would make a process weaker kept than the manifest says is an error, never a warning.
"""

from __future__ import annotations

from typing import Any

import msgspec

from firkin.kube.fields import Fields, bad

_MOST_ID = (1 << 32) - 2


class Security(msgspec.Struct, frozen=True):
    """What a pod says for its containers."""

    user: int | None = None
    group: int | None = None
    not_root: bool = False
    groups: tuple[str, ...] = ()
    policy: dict[str, Any] = {}
    sysctls: dict[str, str] = {}


def of_pod(said: Fields | None) -> Security:
    """spec.securityContext. Raises UsageError."""
    if said is None:
        return Security()
    with said:
        groups = tuple(
            str(_group(said, number, each)) for number, each in enumerate(said.values("supplementalGroups"))
        )
        found = _common(said, Security(groups=groups, sysctls=_sysctls(said)))
        said.unsaid("supplementalGroupsPolicy", "Merge")
        return found


def of_container(said: Fields | None, pod: Security, path: str) -> dict[str, Any]:
    """The words for a container with `said` in a pod with `pod`. Raises UsageError."""
    if said is None:
        return _words(pod, {}, path)
    with said:
        mine = _common(said, pod)
        own: dict[str, Any] = {}
        if said.flag("privileged"):
            own["privileged"] = True
        if said.flag("allowPrivilegeEscalation") is False:
            if own:
                raise bad(said.at("allowPrivilegeEscalation"), "it is false beside privileged", "choose one")
            own["no_new_privs"] = True
        if said.flag("readOnlyRootFilesystem"):
            own["read_only"] = True
        if said.choice("procMount", ("Default", "Unmasked")) == "Unmasked":
            own["security_opts"] = ["systempaths=unconfined"]
        capabilities = said.map("capabilities")
        if capabilities is not None:
            with capabilities:
                own["cap_add"], own["cap_drop"] = capabilities.texts("add"), capabilities.texts("drop")
        return _words(mine, own, said.path)


def _words(security: Security, own: dict[str, Any], path: str) -> dict[str, Any]:
    found = {**security.policy, **own, "groups": security.groups}
    if security.group is not None and security.user is None:
        raise bad(path, "runAsGroup is said without runAsUser", "say runAsUser, too")
    if security.not_root and not security.user:
        raise bad(path, "runAsNonRoot needs a runAsUser other than 0", "say runAsUser, too")
    if security.user is not None:
        found["user"] = str(security.user) if security.group is None else f"{security.user}:{security.group}"
    return found


def _common(said: Fields, before: Security) -> Security:
    user, group = said.number("runAsUser", 0, _MOST_ID), said.number("runAsGroup", 0, _MOST_ID)
    not_root = said.flag("runAsNonRoot")
    policy = {
        **before.policy,
        **_seccomp(said.map("seccompProfile")),
        **_apparmor(said.map("appArmorProfile")),
    }
    options = said.map("seLinuxOptions")
    if options is not None:
        with options:
            policy["selinux"] = ":".join(
                (
                    options.text("user", "system_u"), options.text("role", "system_r"),
                    options.text("type", "container_t"), options.text("level", "s0"),
                )
            )  # fmt: skip
    return msgspec.structs.replace(
        before,
        user=before.user if user is None else user,
        group=before.group if group is None else group,
        not_root=before.not_root if not_root is None else not_root,
        policy=policy,
    )


def _seccomp(said: Fields | None) -> dict[str, Any]:
    if said is None:
        return {}
    with said:
        kind = said.choice("type", ("RuntimeDefault", "Unconfined", "Localhost"))
        if kind == "Localhost":
            raise bad(
                said.at("type"), "profiles of a node cannot be had here", "write RuntimeDefault or Unconfined"
            )
        return {"seccomp": {"RuntimeDefault": "default", "Unconfined": "unconfined"}[kind]} if kind else {}


def _apparmor(said: Fields | None) -> dict[str, Any]:
    if said is None:
        return {}
    with said:
        kind = said.choice("type", ("RuntimeDefault", "Unconfined", "Localhost"))
        return {"apparmor": said.needed("localhostProfile")} if kind == "Localhost" else {}


def _sysctls(said: Fields) -> dict[str, str]:
    found = {}
    for each in said.maps("sysctls"):
        with each:
            found[each.needed("name")] = each.needed("value")
    return found


def _group(said: Fields, number: int, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_ID:
        raise bad(f"{said.at('supplementalGroups')}[{number}]", f"{value!r} is no group", "write its number")
    return value
