"""What the files of a running machine are called: in its run directory, CONSOLE_LOG in its own."""

AGENT_SOCKET, QMP_SOCKET, CONSOLE_FIFO, CONSOLE_LOG = "agent.sock", "qmp.sock", "console", "console.log"


def card_socket(number: int) -> str:
    """Where it listens for card `number` of private networks, from 0 on."""
    return f"net{number}.sock"
