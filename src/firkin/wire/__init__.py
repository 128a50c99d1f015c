"""The agent's protocol as bytes and values, docs/design/wire.md; no I/O."""
