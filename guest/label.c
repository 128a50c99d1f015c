#include "label.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "failure.h"

#define FILE_BYTES 4096u

/* A module that was compiled in but does not run has no file system of its own. */
static bool selinux_runs(void) {
    _cleanup_free_ char *known = NULL;
    return read_text(AT_FDCWD, "/proc/filesystems", FILE_BYTES, &known) >= 0 && strstr(known, "selinuxfs") != NULL;
}

static int take_selinux(const char *label) {
    if (!selinux_runs())
        return fail(EOPNOTSUPP, "selinux", "%s", label);
    int error = write_text(AT_FDCWD, "/proc/self/attr/exec", label);
    return error < 0 ? fail(-error, "selinux", "%s", label) : 0;
}

static int take_apparmor(const char *profile) {
    char wanted[512];
    int length = snprintf(wanted, sizeof(wanted), "exec %s", profile);
    if (length < 0 || (size_t)length >= sizeof(wanted))
        return fail(ENAMETOOLONG, "apparmor", "%.64s", profile);
    int error = write_text(AT_FDCWD, "/proc/self/attr/apparmor/exec", wanted);
    /* The directory is there where AppArmor was compiled in, and says EINVAL where it does not run; a profile that
     * is not loaded is ENOENT. */
    bool absent = error == -EINVAL || access("/proc/self/attr/apparmor/exec", F_OK) < 0;
    return error < 0 ? fail(absent ? EOPNOTSUPP : -error, "apparmor", "%s", profile) : 0;
}

int label_take(const char *selinux, const char *apparmor) {
    int error = selinux[0] == '\0' ? 0 : take_selinux(selinux);
    return error == 0 && apparmor[0] != '\0' ? take_apparmor(apparmor) : error;
}
