#include "translator.h"

#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "module.h"
#include "util.h"

#define LIST_BYTES 4096u
/* Where only the agent sees it: newer kernels forget what was registered when it is unmounted. */
#define REGISTER "/binfmt"

/* The kernel opens the emulator now (F), for whoever has it not: every container. O and C: programs keep what they
 * may do, P: and the name that they were called by. */
static int register_one(const char *architecture, const char *pattern) {
    char line[512];
    int length = snprintf(line, sizeof(line), ":%s:M::%s:/proc/self/fd/%d/translators/%s:POCF", architecture, pattern,
                          modules_fd(), architecture);
    if (length < 0 || (size_t)length >= sizeof(line))
        return -ENAMETOOLONG;
    return write_text(AT_FDCWD, REGISTER "/register", line);
}

void translators_register(void) {
    _cleanup_free_ char *list = NULL;
    if (read_text(modules_fd(), "translators.list", LIST_BYTES, &list) < 0)
        return; /* most machines have none */
    mkdir(REGISTER, 0700);
    if (mount("binfmt_misc", REGISTER, "binfmt_misc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
        say("binfmt_misc: %s", strerror(errno));
        return;
    }
    char *rest = list;
    for (char *line; (line = strtok_r(rest, "\n", &rest)) != NULL;) {
        char *pattern = strchr(line, ' ');
        if (pattern == NULL)
            continue;
        *pattern++ = '\0';
        int error = register_one(line, pattern);
        if (error < 0)
            say("translator %s: %s", line, strerror(-error));
    }
}
