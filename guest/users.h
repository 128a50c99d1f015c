/* Who a process is to be, looked up in the container's own /etc/passwd and /etc/group: passwd(5), group(5).
 *
 * The files are a stranger's: they are read up to a bound, and a line that is no entry is passed over. */
#pragma once

#include "fields.h"

#define MAX_GROUPS 256u

struct identity {
    uint32_t uid, gid;
    uint32_t groups[MAX_GROUPS]; /* supplementary ones, the gid first */
    uint32_t group_count;
    char home[256];
};

/* Looks up `user` ("", "uid", "uid:gid", "name", "name:group") in the texts of the two files, either of which may
 * be NULL. Supplementary groups come from `group` unless the user names a group. Returns 0 or -errno with the
 * failure recorded (step "lookup user"). */
int identity_find(const char *user, const char *passwd, const char *group, struct identity *identity);

/* The same, in the files of the root that the caller lives in; the groups `extra`, by name or number, are added. */
int identity_look_up(const char *user, const struct strings *extra, struct identity *identity);
