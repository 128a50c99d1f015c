#include "program.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "child.h"
#include "label.h"
#include "path.h"
#include "reaper.h"
#include "schedule.h"
#include "terminal.h"
#include "users.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---- descriptors ---- */

/* Puts every descriptor that the program or we still need above the standard ones, then closes the rest, so that
 * nothing of the agent's can be reached through /proc/self/fd from here on. */
static int take_stdio(const int stdio[3], int *channel) {
    int high[3], high_channel = fcntl(*channel, F_DUPFD_CLOEXEC, CHILD_FDS);
    if (high_channel < 0)
        return fail(errno, "stdio", "channel");
    for (int i = 0; i < 3; i++) {
        high[i] = stdio[i] >= 0 ? fcntl(stdio[i], F_DUPFD_CLOEXEC, CHILD_FDS) : -1;
        if (stdio[i] >= 0 && high[i] < 0)
            return fail(errno, "stdio", "%d", i);
    }
    for (int i = 0; i < 3; i++) {
        int fd = high[i] >= 0 ? high[i] : open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd < 0)
            return fail(errno, "stdio", "/dev/null");
        /* dup2 onto itself would keep O_CLOEXEC, where /dev/null took a standard number. */
        if (fd == i ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, i) < 0)
            return fail(errno, "stdio", "%d", i);
    }
    if (dup3(high_channel, CHILD_CHANNEL, O_CLOEXEC) < 0)
        return fail(errno, "stdio", "channel");
    *channel = CHILD_CHANNEL;
    child_clean(CHILD_FDS);
    return 0;
}

/* A program that is not root may reopen its own /dev/stdout. */
static void own_stdio(const struct identity *identity) {
    for (int fd = 0; fd < 3; fd++) {
        struct stat status;
        if (identity->uid == 0 || fstat(fd, &status) < 0 || !(S_ISFIFO(status.st_mode) || isatty(fd)))
            continue;
        int ignored = fchown(fd, identity->uid, (gid_t)-1);
        (void)ignored; /* the descriptor itself works all the same */
    }
}

/* ---- who it is ---- */

static int drop_bounding(uint64_t kept) {
    for (unsigned long cap = 0; cap < 64; cap++) {
        if ((kept >> cap & 1) || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
            continue;
        /* EINVAL: the kernel knows no further one. */
        return errno == EINVAL ? 0 : fail(errno, "capabilities", "bounding set");
    }
    return 0;
}

/* What we don't have ourselves (a kernel that knows fewer, a host that keeps some back) cannot be given on.
 * `until_exec` are effective beside them: exec computes the permitted set anew, from the other ones. */
static int set_capabilities(const struct capabilities *caps, uint64_t until_exec) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0)
        return fail(errno, "capabilities", "permitted set");
    uint64_t ambient = caps->ambient & caps->permitted & caps->inheritable;
    for (int i = 0; i < 2; i++) {
        uint32_t ours = data[i].permitted;
        data[i] = (struct __user_cap_data_struct){
            .effective = (uint32_t)((caps->effective | until_exec) >> 32 * i) & ours,
            .permitted = (uint32_t)((caps->permitted | until_exec) >> 32 * i) & ours,
            .inheritable = (uint32_t)(caps->inheritable >> 32 * i) & ours,
        };
        ambient &= ~(0xffffffffull << 32 * i) | (uint64_t)ours << 32 * i;
    }
    if (syscall(SYS_capset, &header, data) < 0)
        return fail(errno, "capabilities", "effective, permitted and inheritable sets");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return fail(errno, "capabilities", "ambient set");
    for (unsigned long cap = 0; cap < 64; cap++)
        if ((ambient >> cap & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
            return fail(errno, "capabilities", "ambient set");
    return 0;
}

static bool are_groups_denied(void) {
    _cleanup_free_ char *said = NULL;
    return read_text(AT_FDCWD, "/proc/self/setgroups", 64, &said) >= 0 && strncmp(said, "deny", 4) == 0;
}

/* Where a user namespace has one group alone the kernel lets nobody choose others (user_namespaces(7)). What /etc/group
 * says beside it is nothing there, since no file can have such a group; what was asked for is missed. */
static int take_groups(const struct spawn *spawn, const struct identity *identity) {
    if (setgroups(identity->group_count, identity->groups) == 0)
        return 0;
    int error = errno;
    if (error == EPERM && spawn->groups.count == 0 && are_groups_denied())
        return 0;
    return fail(error, "setgroups", "%s", spawn->user);
}

static int become(const struct spawn *spawn, const struct identity *identity) {
    int error = drop_bounding(spawn->caps.bounding);
    if (error < 0)
        return error;
    error = take_groups(spawn, identity);
    if (error < 0)
        return error;
    /* Without it, setresuid() would drop the capabilities that the next step is to choose from. */
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
        setresuid(identity->uid, identity->uid, identity->uid) < 0)
        return fail(errno, "setuid", "%s", spawn->user);
    /* Who sets no_new_privs needs nothing more for a filter (seccomp(2)). */
    bool admin = spawn->filter.program.length > 0 && !spawn->no_new_privs;
    error = set_capabilities(&spawn->caps, admin ? 1ull << CAP_SYS_ADMIN : 0);
    if (error == 0 && spawn->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        error = fail(errno, "no_new_privs", "%s", spawn->user);
    return error;
}

/* ---- what it may use, and where ---- */

struct limit {
    uint32_t type;
    uint64_t soft, hard;
};

static const struct field limit_fields[] = {
    NEED(limit, type, FIELD_U32),
    NEED(limit, soft, FIELD_U64),
    NEED(limit, hard, FIELD_U64),
};

static int one_limit(void *item, void *context) {
    (void)context;
    const struct limit *limit = item;
    const struct rlimit value = {limit->soft, limit->hard};
    return setrlimit((__rlimit_resource_t)limit->type, &value) < 0 ? fail(errno, "rlimit", "%u", limit->type) : 0;
}

static uint64_t file_limit = 1024;

void program_keep_file_limit(uint64_t soft) {
    file_limit = soft;
}

static int set_limits(const struct spawn *spawn) {
    char text[16];
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    bool ours = files.rlim_cur != file_limit;
    files.rlim_cur = MIN(file_limit, files.rlim_max);
    if (ours && setrlimit(RLIMIT_NOFILE, &files) < 0)
        return fail(errno, "rlimit", "open files");
    snprintf(text, sizeof(text), "%d", spawn->oom_score_adj);
    int error = spawn->oom_score_adj == 0 ? 0 : write_text(AT_FDCWD, "/proc/self/oom_score_adj", text);
    if (error < 0)
        return fail(-error, "oom_score_adj", "%s", text);
    return fields_each(spawn->rlimits, limit_fields, COUNT(limit_fields), sizeof(struct limit), one_limit, NULL);
}

static int enter_cwd(const char *cwd, bool make) {
    if (cwd[0] != '/')
        return fail(EINVAL, "cwd", "%s", cwd);
    if (chdir(cwd) == 0)
        return 0;
    if (errno != ENOENT || !make)
        return fail(errno, "cwd", "%s", cwd);
    _cleanup_fd_ int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    _cleanup_fd_ int fd = root_fd < 0 ? -errno : path_make_directory(root_fd, cwd);
    if (fd < 0 || fchdir(fd) < 0)
        return fail(fd < 0 ? -fd : errno, "cwd", "%s", cwd);
    return 0;
}

/* ---- the program ---- */

static const char *variable(const struct strings *env, const char *name) {
    size_t length = strlen(name);
    /* Later ones win. */
    for (uint32_t i = env->count; i > 0; i--)
        if (strncmp(env->items[i - 1], name, length) == 0 && env->items[i - 1][length] == '=')
            return env->items[i - 1] + length + 1;
    return NULL;
}

static char **with_home(const struct spawn *spawn, const struct identity *identity) {
    const char *home = variable(&spawn->env, "HOME");
    if (home != NULL && home[0] != '\0')
        return spawn->env.items;
    char **env = calloc(spawn->env.count + 2, sizeof(char *));
    char *entry = malloc(sizeof("HOME=") + sizeof(identity->home));
    if (env == NULL || entry == NULL)
        return spawn->env.items;
    sprintf(entry, "HOME=%s", identity->home);
    uint32_t count = 0;
    for (uint32_t i = 0; i < spawn->env.count; i++)
        if (strcmp(spawn->env.items[i], "HOME=") != 0)
            env[count++] = spawn->env.items[i];
    env[count] = entry;
    return env;
}

/* The name of the program in the first directory of `path`; false where it is too long. Moves on to the next. */
static bool candidate(const char **path, const char *name, char program[PATH_MAX]) {
    const char *end = strchrnul(*path, ':');
    int length = snprintf(program, PATH_MAX, "%.*s%s%s", (int)(end - *path), *path, end > *path ? "/" : "./", name);
    *path = *end == ':' ? end + 1 : end;
    return length > 0 && length < PATH_MAX;
}

/* `path` from the first directory on that has the program: to try one that has not costs execve(2) a new address
 * space. */
static const char *where_it_is(const char *path, const char *name) {
    char program[PATH_MAX];
    while (*path != '\0') {
        const char *here = path;
        struct stat status;
        if (candidate(&path, name, program) && (stat(program, &status) == 0 || (errno != ENOENT && errno != ENOTDIR)))
            return here;
    }
    return path;
}

/* Tries each directory of PATH; the error that says most wins: one that was found but may not be run. */
static int search_and_exec(const char *path, char **args, char **env) {
    int error = ENOENT;
    char program[PATH_MAX];
    while (*path != '\0') {
        if (candidate(&path, args[0], program)) {
            execve(program, args, env);
            if (errno != ENOENT && errno != ENOTDIR)
                error = errno;
            if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
                break;
        }
    }
    return error;
}

static int try_exec(const char *path, char **args, char **env) {
    if (args[0][0] == '\0')
        return ENOENT;
    if (path != NULL)
        return search_and_exec(path, args, env);
    execve(args[0], args, env);
    return errno;
}

/* Becomes the program. The filter is last, so that it need not allow what comes before it. */
static void execute(const struct spawn *spawn, const struct identity *identity) {
    char **args = spawn->args.items, **env = with_home(spawn, identity);
    const char *path = NULL;
    if (strchr(args[0], '/') == NULL) {
        path = variable(&spawn->env, "PATH");
        path = where_it_is(path == NULL ? DEFAULT_PATH : path, args[0]);
    }
    if (filter_enter(&spawn->filter) == 0)
        fail(try_exec(path, args, env), "exec", "%s", args[0]);
}

/* Who and what the program is, beside the descriptors and the place that it starts with, and its filter. */
static int take_policy(const struct spawn *spawn, const struct identity *identity) {
    int error = schedule_take(spawn->scheduler);
    if (error == 0)
        error = schedule_take_io(spawn->io_priority);
    if (error == 0)
        error = label_take(spawn->selinux, spawn->apparmor);
    umask(spawn->umask);
    return error == 0 ? become(spawn, identity) : error;
}

static int prepare(const struct spawn *spawn, int channel, bool first, const struct identity *identity) {
    if (setsid() < 0)
        return fail(errno, "setsid", "%s", spawn->args.items[0]);
    int error = spawn->has_terminal ? terminal_take(&spawn->terminal, spawn->container[0] == '\0', first, channel) : 0;
    if (error == 0)
        error = set_limits(spawn);
    if (error == 0)
        error = enter_cwd(spawn->cwd, first);
    if (error < 0)
        return error;
    own_stdio(identity);
    return take_policy(spawn, identity);
}

/* ---- its init ---- */

/* In PID 1, whose child `pid` becomes the program: a filter, limits and labels are the program's and its init's. */
static _Noreturn void stay_as_init(const struct spawn *spawn, const struct identity *identity, int channel, pid_t pid) {
    const int none[3] = {-1, -1, -1};
    int error = take_stdio(none, &channel);
    if (error == 0)
        error = set_limits(spawn);
    if (error == 0)
        error = take_policy(spawn, identity);
    if (error == 0)
        error = filter_enter(&spawn->filter);
    if (error == 0)
        fail(-reaper_exec(pid), "exec", "the container's init");
    child_fail(channel);
}

_Noreturn void program_run(const struct spawn *spawn, const int stdio[3], int channel, bool first) {
    struct identity identity;
    if (take_stdio(stdio, &channel) < 0 || identity_look_up(spawn->user, &spawn->groups, &identity) < 0)
        child_fail(channel);
    pid_t pid = first && spawn->init ? fork() : 0;
    if (pid > 0)
        stay_as_init(spawn, &identity, channel, pid);
    if (pid < 0)
        fail(errno, "fork", "%s", spawn->args.items[0]);
    else if (prepare(spawn, channel, first, &identity) == 0)
        execute(spawn, &identity);
    child_fail(channel);
}
