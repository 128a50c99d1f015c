"""Run code that nobody has read: no network, little memory, a few seconds, and nothing of it remains."""

import firkin

SUBMISSIONS = {
    "ada": "read a b; echo $((a + b))",
    "bob": "echo 42",
    "eve": "rm -rf / 2>/dev/null; while :; do :; done",
}


def grade(program: str) -> str:
    try:
        output = firkin.run(
            "busybox", ["sh", "-c", program], input="19 23\n", text=True, timeout=10,
            network="none", memory="128m", read_only=True, user="nobody",
        )  # fmt: skip
    except firkin.Timeout:
        return "too slow"
    return "right" if output.stdout.strip() == "42" else f"wrong: {output.status}"


for name, program in SUBMISSIONS.items():
    print(name, grade(program))
