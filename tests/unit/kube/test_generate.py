"""Play and generate are each other's inverse, whatever a manifest says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firkin.container.host_device import HostDevice
from firkin.container.pod import Member, Sandbox
from firkin.container.record import Record
from firkin.container.root import Root, WritableLayer
from firkin.container.spec import ContainerSpec
from firkin.container.storage import Storage
from firkin.engine import pod_rules
from firkin.engine.health_words import health_check, health_options
from firkin.engine.options import RunOptions
from firkin.engine.pod_members import Pod
from firkin.engine.resolve import container_spec
from firkin.kube import manifest, written_pod
from firkin.kube.probe import written
from firkin.kube.yaml_text import dump
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.oci.image_config import ImageConfig
from firkin.oci.platform import Platform
from firkin.settings import Settings

SETTINGS = Settings.load({"HOME": "/nobody", "XDG_RUNTIME_DIR": "/nobody"})
CONFIG = ImageConfig(
    platform=Platform.host(), diff_ids=(), env=("PATH=/image", "IMAGE=1"), cmd=("serve",), working_dir="/srv"
)
IMAGE = Image(Digest.of(b"m"), Digest.of(b"c"), CONFIG, (), 0)

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.text(
    "$()A ", max_size=8
)
NAME = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
VARIABLE = st.from_regex(r"[A-Z][A-Z0-9_]{0,6}", fullmatch=True)
PORT = st.integers(1, 65535)
CAPABILITIES = st.lists(
    st.sampled_from(["NET_ADMIN", "CHOWN", "KILL", "SYS_PTRACE", "ALL"]), max_size=3, unique=True
)
CPU = st.sampled_from(["10m", "250m", "1", "1500m", 2])
MEMORY = st.sampled_from(["6Mi", "64Mi", "100M", "1G", 12345678])
LABELS = st.dictionaries(NAME, TEXT, max_size=2)


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


SECURITY = maybe(
    runAsUser=st.integers(0, 70000),
    readOnlyRootFilesystem=st.booleans(),
    allowPrivilegeEscalation=st.just(False),
    capabilities=maybe(add=CAPABILITIES, drop=CAPABILITIES),
    seccompProfile=st.sampled_from([{"type": "RuntimeDefault"}, {"type": "Unconfined"}]),
    procMount=st.sampled_from(["Default", "Unmasked"]),
) | st.just({"privileged": True})
PROBE = st.builds(
    lambda action, numbers: action | numbers,
    st.sampled_from(
        [
            {"exec": {"command": ["test", "-f", "/x y"]}},
            {"tcpSocket": {"port": 7}},
            {"grpc": {"port": 7}},
            {"grpc": {"port": 7, "service": "a.B"}},
            {"httpGet": {"port": 80, "scheme": "HTTPS", "httpHeaders": [{"name": "A", "value": "b: c"}]}},
        ]
    ),
    maybe(periodSeconds=st.integers(1, 99), initialDelaySeconds=st.integers(0, 9)),
)
CONTAINER = maybe(
    command=st.lists(TEXT.filter(bool), min_size=1, max_size=3),
    args=st.lists(TEXT.filter(bool), max_size=3),  # the first may be the program, which has a name
    workingDir=st.sampled_from(["/", "/a b", "/srv"]),
    env=st.dictionaries(VARIABLE, TEXT, max_size=3).map(
        lambda env: [{"name": name, "value": value} for name, value in env.items()]
    ),
    livenessProbe=PROBE,
    stdin=st.booleans(),
    tty=st.booleans(),
    resources=maybe(limits=maybe(cpu=CPU, memory=MEMORY)),
    securityContext=SECURITY,
    volumeMounts=st.lists(
        maybe(readOnly=st.booleans()).flatmap(
            lambda more: st.sampled_from(["disk", "fast", "conf", "secret", "claim", "dir"]).map(
                lambda name: {"name": name, "mountPath": f"/m/{name}", **more}
            )
        ),
        max_size=3, unique_by=lambda mount: mount["name"],
    ),
)  # fmt: skip
VOLUMES = [
    {"name": "disk", "emptyDir": {}},
    {"name": "fast", "emptyDir": {"medium": "Memory", "sizeLimit": "3Mi"}},
    {"name": "conf", "configMap": {"name": "c", "items": [{"key": "k", "path": "deep/k", "mode": 0o600}]}},
    {"name": "secret", "secret": {"secretName": "s", "defaultMode": 0o400}},
    {"name": "claim", "persistentVolumeClaim": {"claimName": "kept"}},
    {"name": "dir", "hostPath": {"path": "/"}},
]
HELD = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": "v", "l": "w"}},
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"raw": "/w==", "t": "dA=="}},
]
SPEC = maybe(
    restartPolicy=st.sampled_from(["Always", "OnFailure", "Never"]),
    terminationGracePeriodSeconds=st.integers(0, 100),
    hostname=NAME,
    hostAliases=st.lists(st.just({"ip": "10.0.0.1", "hostnames": ["a", "b.c"]}), max_size=1),
    dnsPolicy=st.sampled_from(["Default", "None"]),
    dnsConfig=st.fixed_dictionaries(
        {"nameservers": st.just(["10.0.0.2"])},
        optional={
            "searches": st.just(["x.org"]),
            "options": st.just([{"name": "ndots", "value": "2"}, {"name": "rotate"}]),
        },
    ),
    shareProcessNamespace=st.booleans(),
    securityContext=maybe(runAsUser=st.integers(0, 9), runAsNonRoot=st.just(False), sysctls=st.just(
        [{"name": "net.core.somaxconn", "value": "9"}])),
)  # fmt: skip


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    spec = draw(SPEC)
    if spec.get("dnsPolicy") == "None" and "dnsConfig" not in spec:
        del spec["dnsPolicy"]
    several = st.lists(CONTAINER, min_size=1, max_size=2)
    spec["containers"] = [{"name": f"c{n}", "image": "x", **each} for n, each in enumerate(draw(several))]
    spec["initContainers"] = [
        {"name": f"i{n}", "image": "x", **each}
        for n, each in enumerate(draw(st.lists(CONTAINER, max_size=1)))
    ]
    ports = draw(st.lists(PORT, max_size=3, unique=True))
    spec["containers"][0]["ports"] = [
        {"containerPort": port, "hostPort": port, "protocol": "UDP" if port % 2 else "TCP"} for port in ports
    ]
    spec["volumes"] = VOLUMES
    metadata = {"name": draw(NAME), "labels": draw(LABELS), "annotations": draw(LABELS)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def played(documents: list[dict[str, Any]]) -> tuple[ContainerSpec, list[ContainerSpec]]:
    """The pod and its members, as they are put on record."""
    text = "---\n".join(map(dump, documents)).encode()
    found = manifest.read(text, "it", SETTINGS)
    assert found.unused == ()
    (plan,) = found.pods
    pod = resolved(plan.options, "0" * 64)
    assert isinstance(pod.pod, Sandbox)
    kept = Pod(Record(SETTINGS.paths, pod.id), pod, pod.pod)
    members = [
        resolved(pod_rules.joined(options, kept), f"{number:064x}")
        for number, options in enumerate(plan.containers, 1)
    ]
    return pod, members


def resolved(options: RunOptions, container_id: str) -> ContainerSpec:
    return container_spec(
        options,
        IMAGE,
        rootfs_key="",
        container_id=container_id,
        name=options.name,
        created_ns=0,
        settings=SETTINGS,
    )


def image_env(_: ContainerSpec) -> frozenset[str]:
    return frozenset(CONFIG.env)


@given(manifests())
@settings(deadline=None, max_examples=40)
def test_a_generated_manifest_gives_the_same_pod(said: dict[str, Any]) -> None:
    pod, members = played([*HELD, said])
    written = written_pod.pod(pod, members, image_env)
    assert written.unsaid == []
    again, members_again = played(written.documents)
    assert comparable(again) == comparable(pod)
    assert list(map(comparable, members_again)) == list(map(comparable, members))
    assert written_pod.pod(again, members_again, image_env) == written


def comparable(spec: ContainerSpec) -> ContainerSpec:
    """Without the order of variables, which says nothing."""
    if not isinstance(spec.pod, Sandbox):
        return msgspec.structs.replace(
            spec, process=msgspec.structs.replace(spec.process, env=tuple(sorted(spec.process.env)))
        )
    return spec


def test_what_a_manifest_cannot_say_is_named() -> None:
    pod, (member,) = played([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
                              "spec": {"containers": [{"name": "c", "image": "x"}]}}])  # fmt: skip
    process = msgspec.structs.replace(member.process, user="nobody", init=True, env=("\0A=\xff",))
    place = member.pod
    assert isinstance(place, Member)
    member = msgspec.structs.replace(
        member,
        process=process,
        shm_bytes=1 << 20,
        name="Other_name",
        storage=Storage(devices=(HostDevice(path="/dev/sdb", target="/dev/sdb"),)),
        root=Root(layer=WritableLayer(size_bytes=1 << 30)),
    )
    written = written_pod.pod(pod, [member], image_env)
    assert written.unsaid == [
        "Other_name: init",
        "Other_name: devices",
        "Other_name: writable_layer",
        "Other_name: shm_size",
        "Other_name: variables that are not UTF-8",
        "Other_name: user 'nobody', whose number only its image knows",
    ]
    assert written.documents[0]["spec"]["containers"][0]["name"] == "other-name"


@pytest.mark.parametrize(
    ("words", "probes"),
    [
        (
            {"health_tcp": 7, "health_interval": 4},
            {"readinessProbe": {"tcpSocket": {"port": 7}, "periodSeconds": 4, "initialDelaySeconds": 0}},
        ),
        (
            {"health_cmd": ["a"], "health_on_failure": "stop", "health_interval": 9,
             "health_start_period": 60, "health_start_interval": 3},
            {"livenessProbe": {"exec": {"command": ["a"]}, "periodSeconds": 9},
             "startupProbe": {"exec": {"command": ["a"]}, "periodSeconds": 3, "failureThreshold": 20}},
        ),
    ],
)  # fmt: skip
def test_a_health_check_is_the_probes_that_mean_it(words: Any, probes: dict[str, Any]) -> None:
    check = health_check(health_options({"health_timeout": 1, "health_retries": 3, **words}), None, ())
    assert check is not None
    unsaid: list[str] = []
    numbers = {"timeoutSeconds": 1, "failureThreshold": 3}
    said = {name: probe if name == "startupProbe" else numbers | probe for name, probe in probes.items()}
    assert written(check, "no", unsaid) == said
    assert unsaid == []
