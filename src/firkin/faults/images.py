"""Faults of files that say which images may be had, from where, and as whom."""

from __future__ import annotations

from firkin.faults.fault import EVERYWHERE, Fault

_POLICY = "policy"
_ACCEPT = '\'{{"default": [{{"type": "insecureAcceptAnything"}}]}}\''

POLICY_MISSING = Fault(
    id="policy-missing",
    subject=_POLICY,
    severity="error",
    title="there is no policy.json",
    why="podman, buildah and skopeo pull nothing without one; firkin then accepts every image",
    fix=(f"mkdir -p ~/.config/containers && echo {_ACCEPT} > ~/.config/containers/policy.json",),
    proof="ls ~/.config/containers/policy.json /etc/containers/policy.json",
    concerns=("podman",),
)
POLICY_MALFORMED = Fault(
    id="policy-malformed",
    subject=_POLICY,
    severity="error",
    title="policy.json cannot be used",
    why="a policy that is not understood lets nothing in: every pull fails",
    fix=("${{EDITOR:-vi}} {path}  # containers-policy.json(5) has the format",),
    proof="firkin doctor --only policy",
    concerns=EVERYWHERE,
)

_REGISTRIES = "registries"

REGISTRIES_MISSING = Fault(
    id="registries-missing",
    subject=_REGISTRIES,
    severity="warning",
    title="no registries.conf says where short names are searched",
    why="podman and buildah refuse `alpine`; firkin takes short names for Docker Hub's, as docker does",
    fix=(
        "mkdir -p ~/.config/containers && "
        "echo 'unqualified-search-registries = [\"docker.io\"]' > ~/.config/containers/registries.conf",
    ),
    proof="podman pull --quiet alpine",
    concerns=("podman",),
)
REGISTRIES_MALFORMED = Fault(
    id="registries-malformed",
    subject=_REGISTRIES,
    severity="error",
    title="registries.conf cannot be used",
    why="podman, buildah and skopeo reach no registry while it is so",
    fix=("${{EDITOR:-vi}} {path}  # containers-registries.conf(5) has the format",),
    proof="firkin doctor --only registries",
    concerns=("podman",),
)

_CERTIFICATES = "certificates"

CERTIFICATES_MISSING = Fault(
    id="certificates-missing",
    subject=_CERTIFICATES,
    severity="error",
    title="there are no certificates of authorities",
    why="no registry on the internet can be believed: 'certificate signed by unknown authority'",
    fix=("sudo apt install ca-certificates",),
    proof="ls /etc/ssl/certs/ca-certificates.crt",
    concerns=EVERYWHERE,
)
CERTIFICATES_LONE = Fault(
    id="certificates-lone",
    subject=_CERTIFICATES,
    severity="error",
    title="a registry's client key has no certificate, or the other way round",
    why="podman and docker then refuse the registry altogether: X.key needs X.cert beside it, and a .crt is "
    "an authority's",
    fix=("ls -l {directory}  # bring {missing}, or remove what is alone: rm {path}",),
    proof="ls {directory}",
    concerns=("podman",),
)

_CREDENTIALS = "credentials"

CREDENTIALS_MALFORMED = Fault(
    id="credentials-malformed",
    subject=_CREDENTIALS,
    severity="error",
    title="a file of registry logins cannot be read",
    why="every pull that looks for a login fails",
    fix=("rm {path}  # then log in again: skopeo login REGISTRY",),
    proof="firkin doctor --only credentials",
    concerns=EVERYWHERE,
)
CREDENTIALS_OPEN = Fault(
    id="credentials-open",
    subject=_CREDENTIALS,
    severity="warning",
    title="others may read a file of registry logins",
    why="it holds passwords, encoded but not encrypted",
    fix=("chmod 0600 {path}",),
    proof="stat -c %a {path}",
    concerns=EVERYWHERE,
)
CREDENTIALS_HELPER = Fault(
    id="credentials-helper",
    subject=_CREDENTIALS,
    severity="error",
    title="a credential helper that is asked for is not installed",
    why="logins that it keeps cannot be had, and pulls that look for one fail",
    fix=("${{EDITOR:-vi}} {path}  # take the helper out, or install {program}",),
    proof="command -v {program}",
    concerns=EVERYWHERE,
)
