"""podman takes the manifests that firkin writes, and firkin those that podman writes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from firkin.container.pod import Member, Sandbox
from firkin.container.record import Record
from firkin.container.spec import ContainerSpec
from firkin.engine import pod_rules
from firkin.engine.pod_members import Pod
from firkin.engine.resolve import container_spec
from firkin.kube import manifest, written_pod
from firkin.kube.yaml_text import dump
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.oci.image_config import ImageConfig
from firkin.oci.platform import Platform
from firkin.pytest.home import Home
from firkin.settings import Settings

IMAGE = "localhost/nothing:latest"
MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {file: "content\\n"}
---
apiVersion: v1
kind: Pod
metadata: {name: judged, labels: {app: judged}, annotations: {note: mine}}
spec:
  hostname: somebody
  restartPolicy: OnFailure
  containers:
  - name: one
    image: IMAGE
    command: [/run, "a b"]
    args: ["$X"]
    workingDir: /work
    env: [{name: NAME, value: "va lue"}]
    ports:
    - {containerPort: 80, hostPort: 8099, hostIP: 127.0.0.1}
    - {containerPort: 53, hostPort: 8053, protocol: UDP}
    resources: {limits: {cpu: 250m, memory: 64Mi}}
    livenessProbe: {httpGet: {port: 80, path: /ready}, periodSeconds: 7, failureThreshold: 4}
    securityContext:
      runAsUser: 7
      runAsGroup: 8
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities: {drop: [CHOWN], add: [NET_ADMIN]}
    volumeMounts:
    - {name: conf, mountPath: /conf}
    - {name: data, mountPath: /data}
    - {name: host, mountPath: /host, readOnly: true}
  volumes:
  - {name: conf, configMap: {name: conf}}
  - {name: data, persistentVolumeClaim: {claimName: kept}}
  - {name: host, hostPath: {path: /usr}}
"""


class Podman:
    """podman with a storage of its own, which never runs anything."""

    def __init__(self, place: Path) -> None:
        conf = place / "containers.conf"
        conf.write_text(f'[engine]\ninfra_image = "{IMAGE}"\n')
        self._environ = {**os.environ, "CONTAINERS_CONF": str(conf)}
        self._words = (
            "podman", f"--root={place}/podman", f"--runroot={place}/p", "--storage-driver=vfs",
            "--cgroup-manager=cgroupfs",
        )  # fmt: skip

    def __call__(self, *words: str, input: bytes = b"") -> str:
        ended = subprocess.run(
            [*self._words, *words], input=input, capture_output=True, env=self._environ, timeout=240
        )
        assert ended.returncode == 0, (words, ended.stderr)
        return ended.stdout.decode()


@pytest.fixture
def podman(home: Home) -> Podman:
    found = Podman(home.root)
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w"):
        pass
    (home.root / "empty.tar").write_bytes(empty.getvalue())
    found("import", "-q", "--change", 'CMD ["/pause"]', str(home.root / "empty.tar"), IMAGE)
    return found


def resolved(text: bytes, settings: Settings) -> tuple[ContainerSpec, list[ContainerSpec]]:
    """The pod of a manifest and its members, as they are put on record."""
    config = ImageConfig(platform=Platform.host(), diff_ids=(), cmd=("/pause",))
    image = Image(Digest.of(b"m"), Digest.of(b"c"), config, (), 0)
    (plan,) = manifest.read(text, "it", settings).pods

    def spec(options: Any, number: int) -> ContainerSpec:
        return container_spec(
            options, image, rootfs_key="", container_id=f"{number:064x}", name=options.name, created_ns=0,
            settings=settings,
        )  # fmt: skip

    pod = spec(plan.options, 0)
    assert isinstance(pod.pod, Sandbox)
    kept = Pod(Record(settings.paths, pod.id), pod, pod.pod)
    return pod, [spec(pod_rules.joined(each, kept), number) for number, each in enumerate(plan.containers, 1)]


def test_podman_makes_of_a_written_manifest_what_is_on_record(podman: Podman, settings: Settings) -> None:
    pod, (member,) = resolved(MANIFEST.replace("IMAGE", IMAGE).encode(), settings)
    written = written_pod.pod(pod, [member], lambda _: frozenset())
    assert written.unsaid == []
    text = "---\n".join(map(dump, written.documents)).encode()
    podman("kube", "play", "--start=false", "-", input=text)

    (made,) = json.loads(podman("inspect", "judged-one"))
    config, host = made["Config"], made["HostConfig"]
    assert (made["Path"], *made["Args"]) == member.process.args == ("/run", "a b", "$X")
    assert "NAME=va lue" in config["Env"]
    assert (config["WorkingDir"], config["User"]) == ("/work", "7:8")
    assert (host["Memory"], host["CpuQuota"]) == (member.limits.memory_bytes, 25000)
    assert host["ReadonlyRootfs"]
    assert "no-new-privileges" in " ".join(host["SecurityOpt"])
    assert (host["CapAdd"], host["CapDrop"]) == (["CAP_NET_ADMIN"], ["CAP_CHOWN"])
    assert host["RestartPolicy"]["Name"] == "on-failure"
    check = config["Healthcheck"]
    assert member.health is not None
    assert "http://localhost:80/ready" in " ".join(check["Test"]).lower()
    assert (check["Interval"], check["Retries"]) == (member.health.interval_s * 10**9, 4)
    assert "HealthcheckOnFailureAction" in config  # whose value only later ones take from a livenessProbe
    assert member.health.on_failure == "restart"
    assert isinstance(member.pod, Member)
    mounted = {(each["Destination"], not each["RW"]) for each in made["Mounts"]}
    assert ("/host", True) in mounted
    assert {place for place, _ in mounted} == {each.target for each in member.pod.mounts}
    (inspected,) = json.loads("[" + podman("pod", "inspect", "judged") + "]")
    assert (inspected["Hostname"], inspected["Labels"]["app"]) == ("somebody", "judged")
    bound = inspected["InfraConfig"]["PortBindings"]
    assert bound["80/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "8099"}]
    assert bound["53/udp"][0]["HostPort"] == "8053"

    # The way back: what podman writes of it is read here, and nothing of it is lost but podman's own notes.
    theirs = podman("kube", "generate", "judged").encode()
    assert set(manifest.read(theirs, "it", settings).unused) <= {"spec.enableServiceLinks"}
    _, (again,) = resolved(theirs, settings)
    assert (again.process.args, again.limits, again.read_only) == (member.process.args, member.limits, True)
    assert again.process.policy.capabilities == member.process.policy.capabilities
    assert again.process.user == "7:8"
