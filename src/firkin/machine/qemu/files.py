"""What the files of a running machine are called: three in its run directory, the last in its own."""

AGENT_SOCKET, QMP_SOCKET, CONSOLE_FIFO, CONSOLE_LOG = "agent.sock", "qmp.sock", "console", "console.log"
