"""Every verb: its module, the heading it stands under in `firkin --help`, and its line there.

The lines are here, and not only in the modules, so that help costs no import; a test holds them together.
"""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    module: str
    heading: str
    line: str


CONTAINERS, LOOK, IMAGES, HOST = "Containers", "Looking", "Images", "This host"

VERBS: dict[str, Verb] = {
    "run": Verb("run", CONTAINERS, "Run a command in a new container, in a machine of its own."),
    "create": Verb("create", CONTAINERS, "Make a container that `firkin start` starts, and print its id."),
    "exec": Verb("exec", CONTAINERS, "Run another command in a running container."),
    "cp": Verb("cp", CONTAINERS, "Copy files into containers, out of them, or between them."),
    "attach": Verb("attach", CONTAINERS, "Connect this terminal to a running container."),
    "forward": Verb("forward", CONTAINERS, "Reach ports and sockets of a running container from the host."),
    "start": Verb("start", CONTAINERS, "Start containers that were created or have ended."),
    "stop": Verb("stop", CONTAINERS, "Ask containers to end, and end them when they do not."),
    "restart": Verb("restart", CONTAINERS, "Stop containers, and start them."),
    "kill": Verb("kill", CONTAINERS, "Send a signal to containers."),
    "wait": Verb("wait", CONTAINERS, "Wait until containers end, and print their exit statuses."),
    "update": Verb("update", CONTAINERS, "Change what containers may use, and when they are started again."),
    "rename": Verb("rename", CONTAINERS, "Give a container another name."),
    "rm": Verb("rm", CONTAINERS, "Remove containers and what they wrote."),
    "pause": Verb("pause", CONTAINERS, "Let running containers stand still."),
    "unpause": Verb("unpause", CONTAINERS, "Let paused containers go on."),
    "suspend": Verb("suspend", CONTAINERS, "Save running containers to the disk, and end their machines."),
    "resume": Verb("resume", CONTAINERS, "Let suspended and paused containers go on where they were."),
    "fork": Verb("fork", CONTAINERS, "Start containers that go on from where a running one is now."),
    "pod": Verb("pod", CONTAINERS, "Run several containers in one machine, with one network."),
    "kube": Verb("kube", CONTAINERS, "Make pods of Kubernetes manifests, and manifests of pods."),
    "snapshot": Verb("snapshot", CONTAINERS, "Keep containers as they are, and go back to them."),
    "network": Verb(
        "network", CONTAINERS, "Make, list and remove private networks, on which containers find each other."
    ),
    "volume": Verb(
        "volume", CONTAINERS, "Make, list and remove volumes: what containers keep beside their disks."
    ),
    "ps": Verb("ps", LOOK, "List containers."),
    "logs": Verb("logs", LOOK, "Show what a container printed."),
    "top": Verb("top", LOOK, "List the processes of a container."),
    "port": Verb("port", LOOK, "Show where the ports of a container are reached."),
    "stats": Verb("stats", LOOK, "Show what running containers use."),
    "healthcheck": Verb("healthcheck", LOOK, "Find out whether containers are healthy."),
    "events": Verb("events", LOOK, "Show what happens to containers, images, volumes and networks."),
    "diff": Verb("diff", LOOK, "Show what a container changed in the files of its image."),
    "export": Verb("export", LOOK, "Write the files of a container as a tar archive."),
    "inspect": Verb("inspect", LOOK, "Show everything known about containers or images."),
    "generate": Verb("generate", LOOK, "Print what containers would be, for other tools."),
    "pull": Verb("pull", IMAGES, "Fetch images and snapshots from a registry."),
    "push": Verb("push", IMAGES, "Send an image or a snapshot to a registry."),
    "images": Verb("images", IMAGES, "List images."),
    "tag": Verb("tag", IMAGES, "Give an image another name."),
    "rmi": Verb("rmi", IMAGES, "Remove names of images, and images without a name."),
    "save": Verb("save", IMAGES, "Write images to an archive, with their names."),
    "load": Verb("load", IMAGES, "Take in the images of an archive, with their names."),
    "commit": Verb("commit", IMAGES, "Make an image of a container."),
    "import": Verb("import_image", IMAGES, "Make an image from an archive of a root file system."),
    "image": Verb("image", IMAGES, "Write the disk of an image to a file, for others to boot or mount."),
    "warm": Verb("warm", HOST, "Make the template that containers' machines are forked from."),
    "kernel": Verb("kernel", HOST, "Show which kernel machines boot, or install one."),
    "prune": Verb("prune", HOST, "Remove ended containers and data that nothing uses."),
    "doctor": Verb("doctor", HOST, "Say what is wrong with this host, and what mends it."),
    "setup": Verb("setup", HOST, "Set this host up for containers, and show the commands for root."),
    "completion": Verb("completion", HOST, "Print what makes a shell complete firkin's words."),
    "unshare": Verb("unshare", HOST, "Run a command, or your shell, as root of all ids that you may map."),
    "info": Verb("info", HOST, "Show how firkin is set up here."),
    "version": Verb("version", HOST, "Show the version."),
}
HIDDEN: dict[str, Verb] = {
    "container": Verb(
        "container", HOST, "`docker container VERB` is `firkin VERB`; `prune` removes ended containers only."
    ),
    "system": Verb("system", HOST, "`docker system prune` is `firkin prune`."),
}
