"""Kubernetes manifests: pods from them, and manifests of pods."""
