"""A command in a machine of its own, then two in one machine."""

import firkin

version = firkin.run("debian", ["cat", "/etc/debian_version"], text=True, check=True)
print("Debian", version.stdout.strip())

with firkin.Engine() as engine, engine.run("debian", ["sleep", "infinity"]) as box:
    said = box.exec(["sort"], stdin=True).output("three\none\ntwo\n", text=True)
    print(said.stdout, end="")
    print(box.exec(["ls", "/missing"]).output(text=True))
