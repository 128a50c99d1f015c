"""The doctor: what this host lacks for machines and for rootless containers, and how it is mended."""
