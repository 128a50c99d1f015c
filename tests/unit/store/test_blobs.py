"""Blobs on their way in: whole and true, or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from firkin.errors import DigestMismatch, HostUnsupported, ImageNotFound, InUse, StorageFull
from firkin.oci.digest import Digest
from firkin.settings import Settings
from firkin.store.store import Store

CONTENT = b"firkin" * 1000
DIGEST = Digest.of(CONTENT)


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.paths)


def in_work(settings: Settings) -> list[str]:
    return os.listdir(settings.paths.ingest_dir)


def bring_in(store: Store, chunks: Iterable[bytes]) -> None:
    with store.ingest(DIGEST, len(CONTENT)) as ingest:
        for chunk in chunks:
            ingest.write(chunk)
        ingest.commit()


def leave_partial(settings: Settings, content: bytes) -> Path:
    """What a writer who was killed leaves: bytes, and no lock."""
    path = settings.paths.ingest_dir / DIGEST.hex
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_committed_blob_is_whole_immutable_and_the_only_thing_left(
    store: Store, settings: Settings
) -> None:
    with store.ingest(DIGEST, len(CONTENT)) as ingest:
        ingest.write(CONTENT[:100])
        ingest.write(memoryview(CONTENT)[100:])
        assert not store.has_blob(DIGEST)
        assert ingest.commit() == DIGEST
    with store.open_blob(DIGEST) as file:
        assert file.read() == CONTENT
    assert stat.S_IMODE(store.blob_path(DIGEST).stat().st_mode) == 0o444
    assert in_work(settings) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(CONTENT[:-1], "ended after 5999 of 6000 bytes"), (CONTENT[:-1] + b"x", "has the digest sha256:")],
)
def test_a_blob_that_is_short_or_wrong_is_refused_and_leaves_nothing(
    store: Store, settings: Settings, content: bytes, words: str
) -> None:
    with pytest.raises(DigestMismatch, match=words):
        bring_in(store, [content])
    assert not store.has_blob(DIGEST)
    assert in_work(settings) == []


def test_a_blob_that_goes_on_beyond_its_size_is_cut_off(store: Store, settings: Settings) -> None:
    with pytest.raises(DigestMismatch, match="more than the promised 6000"):
        bring_in(store, [CONTENT, b"!"])
    assert in_work(settings) == []


def test_a_writer_that_gives_up_leaves_nothing(store: Store, settings: Settings) -> None:
    def interrupted() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bring_in(store, interrupted())
    assert in_work(settings) == []


def test_what_a_killed_writer_left_is_taken_up_where_it_ended(store: Store, settings: Settings) -> None:
    leave_partial(settings, CONTENT[:4321])
    with store.ingest(DIGEST, len(CONTENT)) as ingest:
        assert ingest.resume() == 4321
        ingest.write(CONTENT[4321:])
        ingest.commit()
    assert store.read_blob(DIGEST) == CONTENT


def test_a_partial_longer_than_the_blob_is_begun_again(store: Store, settings: Settings) -> None:
    leave_partial(settings, CONTENT + b"more")
    with store.ingest(DIGEST, len(CONTENT)) as ingest:
        assert ingest.resume() == 0
        ingest.write(CONTENT)
        ingest.commit()


def test_a_writer_who_does_not_resume_begins_at_the_beginning(store: Store, settings: Settings) -> None:
    leave_partial(settings, b"something else")
    bring_in(store, [CONTENT])
    assert store.read_blob(DIGEST) == CONTENT


def test_a_thread_that_writes_on_after_its_ingest_was_closed_touches_nothing(store: Store) -> None:
    with store.ingest(DIGEST, len(CONTENT)) as ingest:
        ingest.write(b"half")
    with pytest.raises(HostUnsupported, match="Bad file descriptor"):
        ingest.write(b"more")


def test_only_one_writer_works_on_a_blob(store: Store, settings: Settings) -> None:
    with store.ingest(DIGEST, len(CONTENT)) as ingest:
        with pytest.raises(InUse), Store(settings.paths).ingest(DIGEST, len(CONTENT)):
            pass
        ingest.write(CONTENT)
        ingest.commit()
    with Store(settings.paths).ingest(DIGEST, len(CONTENT)) as late:
        assert late.committed
        assert late.commit() == DIGEST
    assert in_work(settings) == []


def test_tidying_takes_what_dead_writers_left_and_nothing_of_the_living(
    store: Store, settings: Settings
) -> None:
    dead = leave_partial(settings, b"dead")
    other = Digest.of(b"other")
    with store.ingest(other, 5) as ingest:
        store.tidy()
        assert in_work(settings) == [other.hex]
        ingest.write(b"other")
        ingest.commit()
    assert not dead.exists()
    assert store.has_blob(other)


def test_a_blob_of_unknown_digest_gets_its_name_at_the_end(store: Store, settings: Settings) -> None:
    with store.ingest_unknown() as ingest:
        ingest.write(CONTENT)
        assert ingest.commit() == DIGEST
    assert store.read_blob(DIGEST) == CONTENT
    assert in_work(settings) == []


def test_a_blob_too_large_for_the_disk_is_refused_before_it_is_fetched(
    store: Store, settings: Settings
) -> None:
    with pytest.raises(StorageFull) as caught, store.ingest(DIGEST, 1 << 40):
        pass
    assert str(settings.paths.ingest_dir) in str(caught.value)
    assert str(1 << 40) in str(caught.value)
    assert in_work(settings) == []


def test_a_blob_that_rotted_on_the_disk_is_noticed(store: Store) -> None:
    digest = store.put_blob(CONTENT)
    store.blob_path(digest).chmod(0o600)
    store.blob_path(digest).write_bytes(b"rot")
    with pytest.raises(DigestMismatch, match="has changed on the disk"):
        store.read_blob(digest)


def test_a_missing_blob_is_named(store: Store) -> None:
    with pytest.raises(ImageNotFound, match=str(DIGEST)):
        store.open_blob(DIGEST)


def test_a_store_of_a_newer_format_is_refused(store: Store, settings: Settings) -> None:
    store.put_blob(CONTENT)
    assert settings.paths.version_path.read_text() == "1\n"
    settings.paths.version_path.write_text("2\n")
    with pytest.raises(HostUnsupported, match="says format '2'"):
        Store(settings.paths)


def test_looking_makes_no_directory(store: Store, settings: Settings) -> None:
    assert store.tags() == []
    assert not store.has_blob(DIGEST)
    assert not settings.paths.data.exists()
