#include "users.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define FILE_BYTES (4u << 20)
#define FIELDS 7

/* A piece of a line. */
struct piece {
    const char *text;
    size_t length;
};

static bool equals(struct piece piece, const char *text, size_t length) {
    return piece.length == length && memcmp(piece.text, text, length) == 0;
}

/* A decimal number up to 2^32 - 2; the last one means "none" to the kernel. */
static bool parse_id(struct piece piece, uint32_t *id) {
    uint64_t value = 0;
    if (piece.length == 0 || piece.length > 10)
        return false;
    for (size_t i = 0; i < piece.length; i++) {
        if (piece.text[i] < '0' || piece.text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(piece.text[i] - '0');
    }
    *id = (uint32_t)value;
    return value < UINT32_MAX;
}

/* Splits the line at `*text` by colons and moves on to the next. Returns how many fields it had, -1 at the end. */
static int next_line(const char **text, struct piece fields[FIELDS]) {
    const char *at = *text;
    if (*at == '\0')
        return -1;
    const char *end = strchrnul(at, '\n');
    int count = 0;
    while (count < FIELDS) {
        const char *colon = memchr(at, ':', (size_t)(end - at));
        const char *stop = colon == NULL ? end : colon;
        fields[count++] = (struct piece){at, (size_t)(stop - at)};
        if (colon == NULL)
            break;
        at = colon + 1;
    }
    *text = *end == '\n' ? end + 1 : end;
    return count;
}

/* Finds the passwd entry whose name is `wanted`, or whose uid is. */
static bool find_user(const char *passwd, struct piece wanted, struct identity *identity, struct piece *name) {
    struct piece fields[FIELDS];
    uint32_t number = 0, uid, gid;
    bool numeric = parse_id(wanted, &number);
    int count;
    while (passwd != NULL && (count = next_line(&passwd, fields)) >= 0) {
        if (count < 4 || !parse_id(fields[2], &uid) || !parse_id(fields[3], &gid))
            continue;
        if (!equals(fields[0], wanted.text, wanted.length) && !(numeric && uid == number))
            continue;
        identity->uid = uid;
        identity->gid = gid;
        *name = fields[0];
        if (count >= 6 && fields[5].length > 0 && fields[5].length < sizeof(identity->home))
            snprintf(identity->home, sizeof(identity->home), "%.*s", (int)fields[5].length, fields[5].text);
        return true;
    }
    identity->uid = number;
    identity->gid = 0;
    return numeric;
}

static bool find_group(const char *group, struct piece wanted, uint32_t *gid) {
    struct piece fields[FIELDS];
    int count;
    while (group != NULL && (count = next_line(&group, fields)) >= 0)
        if (count >= 3 && equals(fields[0], wanted.text, wanted.length) && parse_id(fields[2], gid))
            return true;
    return parse_id(wanted, gid);
}

static bool is_member(struct piece members, struct piece name) {
    while (members.length >= name.length) {
        const char *comma = memchr(members.text, ',', members.length);
        size_t length = comma == NULL ? members.length : (size_t)(comma - members.text);
        if (equals(name, members.text, length))
            return true;
        if (comma == NULL)
            return false;
        members = (struct piece){comma + 1, members.length - length - 1};
    }
    return false;
}

static int add_group(struct identity *identity, uint32_t gid) {
    for (uint32_t i = 0; i < identity->group_count; i++)
        if (identity->groups[i] == gid)
            return 0;
    if (identity->group_count == MAX_GROUPS)
        return fail(E2BIG, "lookup user", "more than %u groups", MAX_GROUPS);
    identity->groups[identity->group_count++] = gid;
    return 0;
}

static int add_memberships(struct identity *identity, const char *group, struct piece name) {
    struct piece fields[FIELDS];
    uint32_t gid;
    int count, error = 0;
    while (error == 0 && group != NULL && (count = next_line(&group, fields)) >= 0)
        if (count >= 4 && parse_id(fields[2], &gid) && is_member(fields[3], name))
            error = add_group(identity, gid);
    return error;
}

int identity_find(const char *user, const char *passwd, const char *group, struct identity *identity) {
    const char *colon = strchr(user, ':');
    struct piece wanted = {user, colon == NULL ? strlen(user) : (size_t)(colon - user)}, name = {"", 0};
    if (wanted.length == 0)
        wanted = (struct piece){"0", 1};
    memset(identity, 0, sizeof(*identity));
    strcpy(identity->home, "/");
    if (!find_user(passwd, wanted, identity, &name))
        return fail(ENOENT, "lookup user", "%s", user);
    if (colon != NULL && colon[1] != '\0') {
        if (!find_group(group, (struct piece){colon + 1, strlen(colon + 1)}, &identity->gid))
            return fail(ENOENT, "lookup user", "group %s", colon + 1);
        return add_group(identity, identity->gid);
    }
    int error = add_group(identity, identity->gid);
    return error == 0 && name.length > 0 ? add_memberships(identity, group, name) : error;
}

static int read_file(const char *path, char **text) {
    ssize_t length = read_text(AT_FDCWD, path, FILE_BYTES, text);
    if (length >= 0 || length == -ENOENT || length == -ENOTDIR)
        return 0; /* an image without the file has only numbers */
    return fail((int)-length, "lookup user", "%s", path);
}

static int add_extra(struct identity *identity, const char *group, const char *wanted) {
    uint32_t gid;
    if (!find_group(group, (struct piece){wanted, strlen(wanted)}, &gid))
        return fail(ENOENT, "lookup group", "%s", wanted);
    return add_group(identity, gid);
}

int identity_look_up(const char *user, const struct strings *extra, struct identity *identity) {
    _cleanup_free_ char *passwd = NULL;
    _cleanup_free_ char *group = NULL;
    int error = read_file("/etc/passwd", &passwd);
    if (error == 0)
        error = read_file("/etc/group", &group);
    if (error == 0)
        error = identity_find(user, passwd, group, identity);
    for (uint32_t i = 0; error == 0 && i < extra->count; i++)
        error = add_extra(identity, group, extra->items[i]);
    return error;
}
