"""What `firkin inspect` shows of an image: Docker's words and shape."""

from __future__ import annotations

from typing import Any

from firkin.engine.health_facts import image_check_facts
from firkin.engine.image_summary import ImageSummary
from firkin.oci.image import Image
from firkin.oci.image_config import ImageConfig


def image_facts(image: Image, names: list[ImageSummary]) -> dict[str, Any]:
    """The facts of `image`; `names` are the summaries of the store."""
    ours = [each for each in names if each.id == str(image.config_digest)]
    config = image.config
    return {
        "Id": str(image.config_digest),
        "RepoTags": [f"{each.repository}:{each.tag}" for each in ours if each.tag != "<none>"],
        "RepoDigests": sorted({f"{each.repository}@{each.digest}" for each in ours}),
        "Created": config.created,
        "Author": config.author,
        "Architecture": config.platform.architecture,
        "Variant": config.platform.variant,
        "Os": config.platform.os,
        "Size": image.size_bytes,
        "ManifestDigest": str(image.digest),
        "Config": _run_config(config),
        "RootFS": {"Type": "layers", "Layers": [str(layer.diff_id) for layer in image.layers]},
        "Layers": [
            {"Digest": str(layer.digest), "MediaType": layer.media_type, "Size": layer.size_bytes}
            for layer in image.layers
        ],
    }


def _run_config(config: ImageConfig) -> dict[str, Any]:
    return {
        "User": config.user,
        "Env": list(config.env),
        "Entrypoint": list(config.entrypoint) or None,
        "Cmd": list(config.cmd) or None,
        "WorkingDir": config.working_dir,
        "StopSignal": config.stop_signal,
        "Labels": config.labels,
        "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Volumes": {volume: {} for volume in config.volumes},
        **({} if config.healthcheck is None else {"Healthcheck": image_check_facts(config.healthcheck)}),
    }
