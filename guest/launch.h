/* The start of a namespace, as a VMM is that of a machine: the launcher clones PID 1 into user, mount, pid, network,
 * uts and ipc namespaces of its own, and lives as long as that does.
 *
 *     launcher ── tie: PID 1's pid ──► host, which maps its users
 *     launcher ── exec ──────────────► the plan's helper, if any, which brings the network; it ends with the launcher
 *     PID 1    ◄─ tie: one byte ────── host
 *     PID 1    ── tie: struct report ► host, when it serves or why it cannot
 *
 * The rule: PID 1 sees nothing of the host but what the plan names. The launcher's end is PID 1's, by the kernel's
 * hand; and PID 1 does not begin without a host that has mapped it. */
#pragma once

/* `plan_fd` holds the plan, a msgpack map (docs/design/namespaces.md). Returns in PID 1 alone, when it is to serve
 * `serving_fd`: everything that it needs is mounted, and the agent's stage is set. */
void launch(int plan_fd, int tie_fd, int serving_fd);
