"""Capability masks against what somebody else's tool makes of them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from firkin.process import capabilities


def test_the_default_set_is_dockers():
    assert capabilities.DEFAULT.bounding == 0xA80425FB
    assert capabilities.DEFAULT.ambient == capabilities.DEFAULT.inheritable == 0


CAPSH = shutil.which("capsh", path="/usr/sbin:/sbin:/usr/bin:/bin")


@pytest.mark.skipif(CAPSH is None, reason="capsh is not installed")
def test_names_are_in_the_order_of_the_kernels_numbers():
    mask = capabilities.mask(*capabilities.NAMES)
    decoded = subprocess.run([CAPSH, f"--decode={mask:x}"], capture_output=True, text=True, check=True).stdout
    names = decoded.strip().partition("=")[2].split(",")
    assert [name.removeprefix("cap_").upper() for name in names] == list(capabilities.NAMES)
