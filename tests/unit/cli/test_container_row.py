"""`firkin ps` says of each container what docker would."""

from firkin.cli.container_row import COLUMNS, HEADINGS, container_row
from firkin.cli.listing import listing
from firkin.container.record import Created, Exited, Running, State
from firkin.container.spec import Bind, ContainerSpec
from firkin.machine.spec import PublishedPort
from firkin.process.spec import ExitStatus, ProcessSpec

S = 1_000_000_000
SPEC = ContainerSpec(
    id="3f1c2b4a5d6e" + "0" * 52, name="web", image="nginx:1", image_digest="sha256:" + "0" * 64,
    rootfs_key="k", process=ProcessSpec(args=("nginx", "-g", 'daemon "off";')), created_ns=1000 * S,
    hostname="h", labels={"b": "2", "a": "1"}, binds=(Bind(source="/srv", target="/x"),),
)  # fmt: skip
RUNNING = Running(
    pid=1, started_ns=1060 * S, accelerator="tcg",
    ports=(
        PublishedPort(guest_port=80, host_port=8080),
        PublishedPort(guest_port=53, host_port=53, host_ip="::1", protocol="udp"),
    ),
)  # fmt: skip


def status(state: State, now_s: int) -> str:
    return str(container_row(SPEC, state, shorten=True, now_ns=now_s * S)["Status"])


def test_a_status_says_how_long_it_has_been_so() -> None:
    assert status(Created(), 1001) == "Created"
    assert status(RUNNING, 1240) == "Up 3 minutes"
    ended = Exited(status=ExitStatus(signal=9), finished_ns=1000 * S)
    assert status(ended, 1005) == "Exited (137) 5 seconds ago"


def test_the_table_is_docker_s() -> None:
    row = container_row(SPEC, RUNNING, shorten=True, now_ns=1240 * S)
    headings, line = listing([row], HEADINGS, COLUMNS, "").splitlines()
    assert headings.split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert line == (
        '3f1c2b4a5d6e   nginx:1   "nginx -g daemon \\"of…"   4 minutes ago   Up 3 minutes   '
        "0.0.0.0:8080->80/tcp, [::1]:53->53/udp   web"
    )
    assert headings.index("PORTS") == line.index("0.0.0.0")


def test_nothing_is_shortened_when_asked_so() -> None:
    row = container_row(SPEC, RUNNING, shorten=False)
    assert row["ID"] == SPEC.id
    assert row["Command"] == '"nginx -g daemon \\"off\\";"'


def test_templates_can_ask_for_the_rest() -> None:
    row = container_row(SPEC, RUNNING, shorten=True)
    assert listing([row], HEADINGS, COLUMNS, "{{.Labels}} {{.Mounts}} {{.State}} {{.CreatedAt}}") == (
        "a=1,b=2 /srv running 1970-01-01T00:16:40.000000000Z\n"
    )
