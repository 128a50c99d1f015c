"""`firkin unshare`: a command among the ids that containers' files belong to."""

from __future__ import annotations

import click


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND...]")
def command(words: tuple[str, ...]) -> int:
    """Run a command, or your shell, as root of all ids that you may map.

    There you are root, and the users of rootless containers are 1, 2 and so on, so what they own can be
    looked at, changed and removed: `firkin unshare ls -ln DIR`. It is a user namespace, with mounts of its
    own; it gives no right on this host that you have not got. Root needs none.
    """
    import os

    from firkin.errors import CommandNotExecutable, CommandNotFound, UsageError
    from firkin.linux import storage_namespace, user_namespace

    if os.geteuid() == 0:
        raise UsageError(
            "root runs this, whose ids are all ids already", hint="run the command without `firkin unshare`"
        )
    argv = list(words) or [os.environ.get("SHELL") or "/bin/sh"]
    namespace_fd = user_namespace.create(storage_namespace.storage_map())
    try:
        user_namespace.entered_with_mounts(namespace_fd)()
    except OSError as error:
        raise user_namespace.refused("setns", error.errno or 0) from error
    os.close(namespace_fd)
    try:
        os.execvp(argv[0], argv)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CommandNotFound(f"{argv[0]}: not found", hint="PATH is searched as by a shell") from error
    except OSError as error:
        raise CommandNotExecutable(f"cannot run {argv[0]}: {error.strerror}", hint="see its mode") from error
