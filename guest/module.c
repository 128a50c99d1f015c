#include "module.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "card.h"

#define LIST_BYTES 65536u

static int initramfs_fd = -1;

static bool is_name(const char *name) {
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return length > 0 && length <= 64 && name[length] == '\0';
}

int module_load(const char *name) {
    char path[80];
    if (!is_name(name))
        return -EINVAL;
    snprintf(path, sizeof(path), "modules/%s.ko", name);
    _cleanup_fd_ int fd = openat(initramfs_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST ? -errno : 0;
}

void modules_open(void) {
    initramfs_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int modules_fd(void) {
    return initramfs_fd;
}

void modules_load_listed(void) {
    _cleanup_free_ char *list = NULL;
    if (read_text(initramfs_fd, "modules.list", LIST_BYTES, &list) < 0)
        return; /* a kernel with everything built in needs no list */
    char *rest = list;
    for (char *name; (name = strtok_r(rest, "\n", &rest)) != NULL;) {
        bool cards = strcmp(name, CARD_DRIVER) == 0;
        if (cards)
            cards_probe(false);
        int error = module_load(name);
        if (cards)
            cards_probe(true);
        if (error < 0)
            say("module %s: %s", name, strerror(-error));
    }
}

struct load_request {
    struct strings modules;
};

static const struct field load_fields[] = {REQUEST_FIELDS, NEED(load_request, modules, FIELD_STRINGS)};

int op_load(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct load_request wanted;
    int error = fields_decode(&mp, load_fields, COUNT(load_fields), &wanted);
    for (uint32_t i = 0; error == 0 && i < wanted.modules.count; i++) {
        error = module_load(wanted.modules.items[i]);
        if (error < 0)
            error = fail(-error, "load", "%s", wanted.modules.items[i]);
    }
    return error;
}
