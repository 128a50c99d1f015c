"""What a manifest says: each mistake is told by the path of its field, and nothing is dropped in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firkin.container.pod import Member, PodMount, Sandbox
from firkin.engine.health_options import HealthOptions
from firkin.engine.options import RunOptions
from firkin.errors import UsageError
from firkin.kube.manifest import Manifest, names, read
from firkin.kube.yaml_text import dump
from firkin.settings import Settings


def pod(*, containers: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {"containers": containers or [{"name": "a", "image": "busybox"}], **spec},
    }


def one(**container: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "a", "image": "busybox", **container}])


def reading(settings: Settings, *documents: dict[str, Any]) -> Manifest:
    return read("---\n".join(map(dump, documents)).encode(), "it.yaml", settings)


def first(settings: Settings, *documents: dict[str, Any]) -> RunOptions:
    return reading(settings, *documents).pods[0].containers[0]


def mounted(settings: Settings, volume: dict[str, Any], **mount: Any) -> PodMount:
    said = one(volumeMounts=[{"name": "v", "mountPath": "/v", **mount}])
    said["spec"]["volumes"] = [{"name": "v", **volume}]
    place = first(settings, said).pod
    assert isinstance(place, Member)
    return place.mounts[0]


CONF = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "c"},
    "data": {"k": "v", "bad key": "x"},
}
VOLUME = {"name": "v", "emptyDir": {}}


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({}, "kind: it is missing"),
        ({"kind": "Pod", "apiVersion": "v2"}, "apiVersion: 'v2'"),
        ({"kind": "Pod", "apiVersion": "v1"}, "metadata: it is missing"),
        ({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web"}}, "spec: it is missing"),
        ({**pod(), "metadata": {"name": "Web"}}, "metadata.name: 'Web' is no object's name"),
        ({**pod(), "metadata": {"name": 5}}, "metadata.name: 5 is not text"),
        (pod() | {"spec": {}}, "spec.containers: there are none"),
        (pod(containers="a"), "spec.containers: 'a' is not a list"),  # type: ignore[arg-type]
        (pod(containers=["a"]), "spec.containers[0]: 'a' is no mapping"),  # type: ignore[list-item]
        (pod(containers=[{"image": "x"}]), "spec.containers[0].name: it is missing"),
        (pod(containers=[{"name": "a"}]), "spec.containers[0].image: it is missing"),
        (pod(containers=[{"name": "a", "image": "x"}] * 2), "spec.containers: two are named 'web-a'"),
        (one(image="UPPER/case"), "spec.containers[0].image: "),
        (one(ports=[{"hostPort": 80}]), "spec.containers[0].ports[0].containerPort: it is missing"),
        (
            one(ports=[{"containerPort": 80, "hostPort": 65536}]),
            "spec.containers[0].ports[0].hostPort: 65536",
        ),
        (
            one(ports=[{"containerPort": "80"}]),
            "spec.containers[0].ports[0].containerPort: '80' is not a whole",
        ),
        (
            one(ports=[{"containerPort": 80, "protocol": "SCTP"}]),
            "spec.containers[0].ports[0].protocol: 'SCTP'",
        ),
        (
            one(ports=[{"containerPort": 8, "hostPort": 8, "hostIP": "x"}]),
            "spec.containers[0].ports[0].hostIP: ",
        ),
        (one(args=[8080]), "spec.containers[0].args[0]: 8080 is no text"),
        (one(env=[{"name": "A", "value": True}]), "spec.containers[0].env[0].value: True is not text"),
        (one(env=[{"name": "A=B"}]), "spec.containers[0].env[0].name: 'A=B'"),
        (
            one(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "n", "key": "k"}}}]),
            "spec.containers[0].env[0].valueFrom.configMapKeyRef: there is no ConfigMap 'n'",
        ),
        (
            one(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]),
            "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: 'status.podIP'",
        ),
        (
            one(env=[{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]),
            "spec.containers[0].env[0].valueFrom: ",
        ),
        (
            one(envFrom=[{"secretRef": {"name": "n"}}]),
            "spec.containers[0].envFrom[0].secretRef: there is no Secret",
        ),
        (one(resources={"limits": {"cpu": "many"}}), "spec.containers[0].resources.limits.cpu: 'many'"),
        (one(resources={"limits": {"memory": "1Ki"}}), "spec.containers[0].resources.limits.memory: '1Ki'"),
        (
            one(resources={"limits": {"cpu": "1m"}}),
            "spec.containers[0].resources.limits.cpu: '1m' is out of range",
        ),
        (
            one(resources={"limits": {"cpu": 1}, "requests": {"cpu": 2}}),
            "spec.containers[0].resources.requests.cpu: it is more than the limit",
        ),
        (one(imagePullPolicy="Sometimes"), "spec.containers[0].imagePullPolicy: 'Sometimes'"),
        (one(workingDir="here"), "spec.containers[0].workingDir: "),
        (one(securityContext={"capabilities": {"add": ["FLY"]}}), "spec.containers[0]: cap_add: 'FLY'"),
        (one(securityContext={"runAsUser": -1}), "spec.containers[0].securityContext.runAsUser: -1"),
        (one(securityContext={"runAsGroup": 5}), "spec.containers[0].securityContext: runAsGroup"),
        (one(securityContext={"runAsNonRoot": True}), "spec.containers[0].securityContext: runAsNonRoot"),
        (
            one(securityContext={"privileged": True, "allowPrivilegeEscalation": False}),
            "spec.containers[0].securityContext.allowPrivilegeEscalation: ",
        ),
        (
            one(securityContext={"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}}),
            "spec.containers[0].securityContext.seccompProfile.type: ",
        ),
        (one(volumeMounts=[{"name": "v", "mountPath": "/v"}]), "spec.containers[0].volumeMounts[0].name: "),
        (one(restartPolicy="Always"), "spec.containers[0].restartPolicy: "),
        (pod(hostNetwork=True), "spec.hostNetwork: "),
        (pod(hostPID=True), "spec.hostPID: "),
        (pod(restartPolicy="Sometimes"), "spec.restartPolicy: 'Sometimes'"),
        (pod(hostname="a b"), "spec.hostname: 'a b'"),
        (pod(hostAliases=[{"ip": "x", "hostnames": ["a"]}]), "spec: add_host: 'x'"),
        (pod(dnsPolicy="None"), "spec.dnsPolicy: "),
        (pod(dnsConfig={"nameservers": ["x"]}), "spec: dns: 'x'"),
        (
            pod(securityContext={"sysctls": [{"name": "kernel.panic", "value": "1"}]}),
            "spec: sysctl: 'kernel.panic'",
        ),
        (pod(terminationGracePeriodSeconds=-1), "spec.terminationGracePeriodSeconds: -1"),
        (pod(volumes=[{"name": "v", "csi": {}}]), "spec.volumes[0]: volume 'v' is of no kind"),
        (pod(volumes=[VOLUME, VOLUME]), "spec.volumes[1].name: two are named 'v'"),
        (
            pod(volumes=[{"name": "v", "hostPath": {"path": "/no/such"}}]),
            "spec.volumes[0].hostPath.path: /no/such",
        ),
        (
            pod(volumes=[{"name": "v", "hostPath": {"path": "/etc", "type": "File"}}]),
            "spec.volumes[0].hostPath.type: ",
        ),
        (
            pod(volumes=[{"name": "v", "hostPath": {"path": "/", "type": "Socket"}}]),
            "spec.volumes[0].hostPath.type: ",
        ),
        (
            pod(volumes=[{"name": "v", "secret": {"secretName": "n"}}]),
            "spec.volumes[0].secret: there is no Secret",
        ),
        (
            pod(volumes=[{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "x"}}]),
            "spec.volumes[0].emptyDir.sizeLimit: 'x'",
        ),
        (
            pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "a/b"}}]),
            "spec.volumes[0].persistentVolumeClaim.claimName: ",
        ),
        (CONF, "data.bad key: it is no key"),
        (
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "%"}},
            "data.k: it is not base64",
        ),
        (
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "d"},
                "spec": {"replicas": 3},
            },
            "spec.replicas: 3 pods",
        ),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}, "it.yaml: there is no Pod"),
    ],
)
def test_each_mistake_is_told_by_its_path(
    settings: Settings, document: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError) as refused:
        reading(settings, document)
    assert complaint in str(refused.value)
    assert refused.value.hint


def test_a_path_in_one_of_several_documents_says_which(settings: Settings) -> None:
    with pytest.raises(UsageError, match=r"^document 2: spec\.containers\[0\]\.tty: 1 is not true or false"):
        reading(settings, CONF | {"data": {}}, one(tty=1))


def test_what_is_not_honoured_is_named_and_nothing_else(settings: Settings) -> None:
    said = one(
        livenessProbe={"moon": {"port": 80}}, startupProbe={"exec": {"command": ["x"]}},
        lifecycle={"preStop": {}}, terminationMessagePath="/dev/termination-log",
        ports=[{"name": "http", "containerPort": 80}], resources={"limits": {"nvidia.com/gpu": 1}}, env=[],
    )  # fmt: skip
    said["spec"] |= {
        "nodeSelector": {"a": "b"},
        "tolerations": [],
        "priority": None,
        "dnsPolicy": "ClusterFirst",
    }
    said["spec"]["volumes"] = [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]
    said["metadata"]["ownerReferences"] = [{"x": 1}]
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}}
    assert sorted(reading(settings, said).unused) == [
        "metadata.ownerReferences",
        "spec.containers[0].lifecycle",
        "spec.containers[0].livenessProbe",
        "spec.containers[0].resources.limits.nvidia.com/gpu",
        "spec.containers[0].startupProbe",
        "spec.nodeSelector",
        "spec.volumes[0].emptyDir.sizeLimit",
    ]
    assert reading(settings, one(), service).unused == ("document 2 (kind Service)",)


def probed(settings: Settings, restart: str = "Always", **probes: Any) -> tuple[HealthOptions, list[str]]:
    """The check of a container with a port called web, and what of its probes changes nothing."""
    said = one(ports=[{"name": "web", "containerPort": 8080}], **probes)
    said["spec"]["restartPolicy"] = restart
    found = reading(settings, said)
    return found.pods[0].containers[0].health, [each.rpartition(".")[2] for each in found.unused]


def test_probes_are_a_health_check(settings: Settings) -> None:
    get = {"httpGet": {"port": "web", "path": "ready?x", "httpHeaders": [{"name": "A", "value": "b"}]}}
    live, unused = probed(settings, livenessProbe=get, readinessProbe=get | {"periodSeconds": 3})
    assert (live.test, unused) == (("HTTP", "http://localhost:8080/ready?x", "A: b"), [])
    assert (live.interval_s, live.timeout_s, live.retries, live.on_failure) == (10, 1, 3, "restart")
    early = get | {"periodSeconds": 2, "failureThreshold": 30, "initialDelaySeconds": 5}
    started, unused = probed(settings, "Never", livenessProbe=get, startupProbe=early)
    assert (started.start_period_s, started.start_interval_s, started.interval_s) == (65, 2, 10)
    assert (started.on_failure, unused) == ("stop", [])
    ready, unused = probed(settings, readinessProbe={"tcpSocket": {"port": 7}})
    assert (ready.test, ready.on_failure, unused) == (("TCP", "7"), "none", [])
    both, unused = probed(settings, livenessProbe={"exec": {"command": ["a"]}}, readinessProbe=get)
    assert (both.test, unused) == (("CMD", "a"), ["readinessProbe"])
    secure, _ = probed(settings, livenessProbe={"httpGet": {"port": 443, "scheme": "HTTPS"}})
    assert secure.test == ("HTTP", "https://localhost:443/")
    call, unused = probed(settings, livenessProbe={"grpc": {"port": 9000, "service": "a.B"}})
    assert (call.test, unused) == (("GRPC", "9000", "a.B"), [])


@pytest.mark.parametrize(
    ("probe", "complaint"),
    [
        ({"httpGet": {"port": "other"}}, r"httpGet\.port: no port of this container is named 'other'"),
        ({"httpGet": {"port": 0}}, r"httpGet\.port: '0' is not a TCP port"),
        ({"httpGet": {"path": "/"}}, r"httpGet\.port: 'None' is not a TCP port"),
        ({"httpGet": {"port": 80, "path": "/a b"}}, r"httpGet: '/a b' is not the path of a page"),
        ({"httpGet": {"port": 80, "host": "10.0.0.1"}}, r"httpGet\.host: a probe asks the pod itself"),
        ({"httpGet": {"port": 80, "scheme": "FTP"}}, r"httpGet\.scheme: 'FTP' is not one of"),
        ({"httpGet": {"port": 80, "httpHeaders": [{"name": "a\n"}]}}, "httpGet: .* is not a header"),
        ({"tcpSocket": {"port": 70000}}, r"tcpSocket\.port: '70000' is not a TCP port"),
        ({"grpc": {"port": 9000, "service": "a b"}}, "grpc: 'a b' is not the name of a service"),
        ({"exec": {"command": ["x"]}, "failureThreshold": 1 << 30}, "may fail for more than a year"),
    ],
)
def test_a_probe_that_cannot_be_is_refused(settings: Settings, probe: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=rf"^spec\.containers\[0\]\.livenessProbe.*{complaint}"):
        probed(settings, livenessProbe=probe)


def test_commands_and_arguments_are_entrypoint_and_command(settings: Settings) -> None:
    assert first(settings, one(args=["a"])).entrypoint is None
    found = first(
        settings,
        one(command=["c", "$(X)"], args=["$(X)", "$$(X)", "$(Y)"], env=[{"name": "X", "value": "x"}]),
    )
    assert (found.entrypoint, found.command, found.env) == (("c", "x"), ("x", "$(X)", "$(Y)"), ("X=x",))


def test_variables_come_from_everywhere_and_later_ones_win(settings: Settings) -> None:
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "data": {"raw": "/w=="}, "stringData": {"A": "secret"},
    }  # fmt: skip
    conf = CONF | {"data": {"A": "conf", "B": "b"}}
    said = one(
        envFrom=[{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}, "prefix": "S_"},
                 {"configMapRef": {"name": "none", "optional": True}}],
        env=[{"name": "C", "value": "$(B)$(S_A)"},
             {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
             {"name": "O", "valueFrom": {"secretKeyRef": {"name": "s", "key": "none", "optional": True}}},
             {"name": "A", "value": "own"}],
    )  # fmt: skip
    assert set(first(settings, conf, secret, said).env) == {
        "A=own", "B=b", "S_A=secret", "\0S_raw=\xff", "C=bsecret", "N=web",
    }  # fmt: skip


def test_the_machine_has_what_its_containers_ask_for(settings: Settings) -> None:
    asks = [{"cpu": "1500m", "memory": "100M"}, {"cpu": "700m", "memory": "64Mi"}]
    said = pod(
        containers=[
            {"name": f"c{n}", "image": "x", "resources": {"limits": ask}} for n, ask in enumerate(asks)
        ],
        initContainers=[{"name": "i", "image": "x", "resources": {"requests": {"memory": "1Mi"}}}],
    )
    plan = reading(settings, said).pods[0]
    assert plan.options.cpus == 3
    assert plan.options.memory_bytes == settings.memory_bytes + (160 << 20)
    assert [each.memory_bytes for each in plan.containers] == [None, 100_000_000, 64 << 20]
    assert [isinstance(each.pod, Member) and each.pod.initial for each in plan.containers] == [
        True,
        False,
        False,
    ]


def test_a_deployment_is_its_pod(settings: Settings) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod()["spec"]}
    said = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": 1, "selector": {}, "template": template},
    }  # fmt: skip
    listed = {"apiVersion": "v1", "kind": "List", "items": [said, pod()]}
    plans = reading(settings, listed).pods
    assert [(each.name, each.options.labels) for each in plans] == [("d-pod", {"a": "b"}), ("web", {})]
    assert plans[0].containers[0].name == "d-pod-a"
    assert names(dump(listed).encode(), "it") == ["d-pod", "web"]


def test_a_part_of_a_volume_is_mounted_only_where_no_container_writes(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    host = {"hostPath": {"path": str(tmp_path / "link")}}
    assert mounted(settings, host).inner == "file"
    with pytest.raises(UsageError, match=r"volumeMounts\[0\]\.subPath: it cannot be honoured"):
        mounted(settings, {"emptyDir": {}}, subPath="x")
    for path in ("/x", "../x", "x/../../y"):
        with pytest.raises(UsageError, match=r"volumeMounts\[0\]\.subPath"):
            mounted(settings, {"emptyDir": {}}, subPath=path)


def test_what_is_said_of_security_reaches_the_policy(settings: Settings) -> None:
    said = one(
        securityContext={
            "runAsUser": 5,
            "readOnlyRootFilesystem": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    )
    said["spec"]["securityContext"] = {
        "runAsUser": 1,
        "runAsGroup": 2,
        "supplementalGroups": [7],
        "runAsNonRoot": True,
    }
    said["spec"]["shareProcessNamespace"] = True
    plan = reading(settings, said).pods[0]
    found = plan.containers[0]
    assert (found.user, found.groups, found.read_only) == ("5:2", ("7",), True)
    assert found.policy.seccomp is not None
    assert found.policy.seccomp.kind == "default"
    assert isinstance(plan.options.pod, Sandbox)
    assert plan.options.pod.share_pid
