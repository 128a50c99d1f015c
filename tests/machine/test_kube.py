"""Pods of Kubernetes manifests, judged from inside of them, and by podman."""

from __future__ import annotations

from pathlib import Path

import pytest

from firkin.pytest.command import Command
from firkin.pytest.home import Home

pytestmark = pytest.mark.machine

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {greeting: hello, "app.conf": "listen 80\\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
data: {password: c2VjcmV0}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: kept}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 64Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}, annotations: {note: mine}}
spec:
  restartPolicy: Never
  nodeName: elsewhere
  hostAliases: [{ip: 10.1.2.3, hostnames: [db, cache]}]
  dnsPolicy: None
  dnsConfig: {nameservers: [10.9.9.9], searches: [example.org], options: [{name: ndots, value: "3"}]}
  securityContext: {sysctls: [{name: net.core.somaxconn, value: "77"}]}
  initContainers:
  - name: first
    image: busybox
    command: [sh, -c, "echo first >>/data/order"]
    volumeMounts: [{name: data, mountPath: /data}]
  - name: second
    image: busybox
    command: [sh, -c, "echo second >>/data/order"]
    volumeMounts: [{name: data, mountPath: /data}]
  containers:
  - name: front
    image: busybox
    command: [sh, -c]
    args: ["echo $(GREETING) $$((1 + 1)) third >/data/third; echo up; exec sleep 1000"]
    workingDir: /data
    env:
    - {name: GREETING, valueFrom: {configMapKeyRef: {name: conf, key: greeting}}}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
    envFrom: [{secretRef: {name: key}, prefix: S_}]
    livenessProbe: {exec: {command: ["true"]}, periodSeconds: 1}
    readinessProbe: {httpGet: {port: 80}}
    resources: {limits: {cpu: 250m, memory: 64Mi}}
    securityContext:
      runAsUser: 1000
      runAsGroup: 1001
      readOnlyRootFilesystem: true
      allowPrivilegeEscalation: false
      capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}
    volumeMounts:
    - {name: data, mountPath: /data}
    - {name: conf, mountPath: /conf}
    - {name: conf, mountPath: /etc/one.conf, subPath: app.conf}
    - {name: secret, mountPath: /secret}
    - {name: fast, mountPath: /fast}
    - {name: claim, mountPath: /kept}
    - {name: file, mountPath: /file, readOnly: true}
    - {name: dir, mountPath: /dir}
  - {name: back, image: busybox, command: [sleep, "1000"], volumeMounts: [{name: claim, mountPath: /kept}]}
  volumes:
  - {name: data, emptyDir: {}}
  - {name: fast, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: conf, configMap: {name: conf, items: [{key: app.conf, path: app.conf, mode: 0640}]}}
  - {name: secret, secret: {secretName: key, defaultMode: 0444}}
  - {name: claim, persistentVolumeClaim: {claimName: kept}}
  - {name: file, hostPath: {path: DIR/one, type: File}}
  - {name: dir, hostPath: {path: DIR/made, type: DirectoryOrCreate}}
"""


def sh(firkin: Command, container: str, script: str) -> str:
    return firkin("exec", container, "sh", "-c", script, check=True).stdout


@pytest.fixture
def manifest(home: Home, tmp_path: Path) -> Path:
    (tmp_path / "one").write_text("one\n")
    (tmp_path / "two").write_text("two\n")
    path = home.work_dir / "web.yaml"
    path.write_text(MANIFEST.replace("DIR", str(tmp_path)))
    return path


def test_a_pod_is_what_its_manifest_says(
    firkin: Command, stocked: Home, manifest: Path, tmp_path: Path
) -> None:
    played = firkin("kube", "play", str(manifest), check=True)
    pod, *containers = [line for line in played.stdout.split() if len(line) == 64]
    assert len(containers) == 4
    assert "spec.nodeName" in played.stderr
    assert "spec.containers[0].readinessProbe" in played.stderr
    assert played.stderr.count("not honoured") == 1

    front = "web-front"
    assert sh(firkin, front, "cat /data/order").split("\n")[:2] == ["first", "second"]
    assert (
        sh(firkin, front, "until [ -s /data/third ]; do sleep 0.1; done; cat /data/third")
        == "hello 2 third\n"
    )
    assert sh(firkin, front, "id -u; id -g; pwd; echo $POD $S_password; hostname").split() == [
        "1000", "1001", "/data", "web", "secret", "web",
    ]  # fmt: skip
    status = dict(line.split(":", 1) for line in sh(firkin, front, "cat /proc/self/status").splitlines())
    assert (int(status["CapBnd"], 16), status["NoNewPrivs"].strip()) == (1 << 10, "1")
    assert sh(firkin, front, "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max 2>/dev/null || :") in (
        "", "67108864\n25000 100000\n",
    )  # fmt: skip
    for place in ("/conf/x", "/made", "/file"):
        assert "Read-only" in firkin("exec", "-u", "0", front, "sh", "-c", f"echo x >{place}").stderr
    assert sh(firkin, front, "stat -c %a /secret/password; cat /secret/password; ls /conf").split() == [
        "444", "secretapp.conf",
    ]  # fmt: skip
    assert "size=1024k" in sh(firkin, front, "grep ' /fast ' /proc/mounts")
    assert sh(firkin, front, "cat /file; ls -a /dir | wc -l; stat -c %a /etc/one.conf").split() == [
        "one", "2", "640",
    ]  # fmt: skip
    assert (tmp_path / "made").is_dir()
    resolv = sh(firkin, "web-back", "cat /etc/resolv.conf; cat /etc/hosts; cat /proc/sys/net/core/somaxconn")
    assert {"nameserver 10.9.9.9", "search example.org", "options ndots:3", "77"} <= set(resolv.split("\n"))
    assert "10.1.2.3" in resolv
    assert (
        sh(firkin, "web-back", "grep -c '^/dev/vdb /kept ext4' /proc/mounts; echo stays >/kept/file") == "1\n"
    )

    assert firkin("pod", "logs", "web", check=True).stdout == "web-front | up\n"
    assert firkin("pod", "logs", "web", "front", check=True).stdout == "up\n"
    assert (
        firkin("ps", "--pod", "--format", "{{.Pod}} {{.PodName}}", check=True).stdout
        == f"{pod[:12]} web\n" * 2
    )
    refused = firkin("snapshot", "create", "web").stderr
    assert "'web' is a pod, and no container" in refused
    assert "not kept in snapshots" in refused
    assert firkin("wait", "--condition", "healthy", "web-front", check=True).status == 0
    assert firkin("pod", "kill", "web", check=True).stdout == "web\n"
    assert firkin("wait", "web-front", "web-back").stdout == "137\n137\n"
    assert firkin("pod", "inspect", "-f", "{{.State}}", "web", check=True).stdout == "Running\n"

    # What is generated makes the same pod, but for what cannot be honoured.
    generated = firkin("kube", "generate", "web", check=True)
    assert generated.stderr == ""
    assert (
        firkin(
            "kube", "play", "--replace", "--start=false", "-q", "-", input=generated.stdout, check=True
        ).stderr
        == ""
    )
    assert firkin("kube", "generate", "web", check=True).stdout == generated.stdout
    assert firkin("pod", "inspect", "-f", "{{.State}}", "web", check=True).stdout == "Ready\n"

    # Its volume outlives it; so does nothing else.
    assert firkin("kube", "play", str(manifest)).status == 125
    again = firkin("kube", "play", "--replace", "-q", str(manifest), check=True)
    assert pod not in again.stdout
    assert sh(firkin, "web-back", "cat /kept/file") == "stays\n"
    assert firkin("volume", "rm", "kept").status == 125
    down = firkin("kube", "down", "-", input=manifest.read_bytes(), check=True)
    assert len(down.stdout.split()) == 3
    assert firkin("ps", "-aq", check=True).stdout == firkin("pod", "ps", "-q", check=True).stdout == ""
    assert firkin("volume", "ls", "-q", check=True).stdout == "kept\n"
    again = firkin("kube", "play", "--down", "-", input=manifest.read_bytes(), check=True)
    assert again.stdout.split() == ["Pods", "removed:"], "none of them is there any more"
    firkin("kube", "down", "--force", "-", input=manifest.read_bytes(), check=True)
    assert firkin("volume", "ls", "-q", check=True).stdout == ""
