#include "tree.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "child.h"
#include "container.h"
#include "mounts.h"
#include "pack.h"
#include "path.h"
#include "proc.h"
#include "stream.h"
#include "unpack.h"

#define PIPE_BYTES (1 << 20)
#define RESULT_BYTES 16384u

/* Where a child finds what it works on. */
enum child_fd { STREAM_FD = 0, RESULT_FD = 1, ROOT_DIRECTORY_FD = 3, FIRST_UNUSED_FD = 4 };

struct owner {
    uint32_t uid, gid;
};

struct tree_request {
    uint32_t proc, stream, result;
    char *container, *path;
    struct strings paths, names;
    struct span owner_value;
    struct owner owner;
    bool create, whiteouts, replace, follow, mounts, written;
};

static const struct field unpack_fields[] = {
    REQUEST_FIELDS,
    NEED(tree_request, proc, FIELD_U32),
    NEED(tree_request, container, FIELD_STRING),
    NEED(tree_request, path, FIELD_STRING),
    NEED(tree_request, stream, FIELD_U32),
    NEED(tree_request, result, FIELD_U32),
    MAY(tree_request, create, FIELD_BOOL),
    MAY(tree_request, whiteouts, FIELD_BOOL),
    MAY(tree_request, replace, FIELD_BOOL),
    {"owner", FIELD_VALUE, offsetof(struct tree_request, owner_value), true},
};

static const struct field owner_fields[] = {NEED(owner, uid, FIELD_U32), NEED(owner, gid, FIELD_U32)};

static const struct field pack_fields[] = {
    REQUEST_FIELDS,
    NEED(tree_request, proc, FIELD_U32),
    NEED(tree_request, container, FIELD_STRING),
    NEED(tree_request, paths, FIELD_STRINGS),
    NEED(tree_request, names, FIELD_STRINGS),
    NEED(tree_request, stream, FIELD_U32),
    NEED(tree_request, result, FIELD_U32),
    MAY(tree_request, follow, FIELD_BOOL),
    MAY(tree_request, mounts, FIELD_BOOL),
    MAY(tree_request, written, FIELD_BOOL),
};

static const struct field stat_fields[] = {
    REQUEST_FIELDS,
    NEED(tree_request, proc, FIELD_U32),
    NEED(tree_request, container, FIELD_STRING),
    NEED(tree_request, path, FIELD_STRING),
    NEED(tree_request, result, FIELD_U32),
    MAY(tree_request, follow, FIELD_BOOL),
};

/* ---- in the child ---- */

/* Does the work and writes what `ok` holds. Returns 0 or -errno with the failure recorded. */
typedef int tree_work(const struct tree_request *wanted, struct mpw *ok);

static void write_counts(struct mpw *ok, const struct tree_counts *counts) {
    mpw_map(ok, 3);
    mpw_string(ok, "entries");
    mpw_unsigned(ok, counts->entries);
    mpw_string(ok, "bytes");
    mpw_unsigned(ok, counts->bytes);
    mpw_string(ok, "left_out");
    mpw_unsigned(ok, counts->left_out);
}

static bool is_top(const char *path) {
    return path[strspn(path, "/.")] == '\0' && strstr(path, "..") == NULL;
}

static int open_destination(const struct tree_request *wanted) {
    if (wanted->create) {
        int made = path_make_directory(ROOT_DIRECTORY_FD, wanted->path);
        if (made < 0)
            return made;
        close(made);
    }
    return path_open(ROOT_DIRECTORY_FD, wanted->path, O_RDONLY | O_DIRECTORY);
}

static int work_unpack(const struct tree_request *wanted, struct mpw *ok) {
    struct tree_counts counts = {0};
    struct unpack_wish wish = {
        .whole = wanted->whiteouts || is_top(wanted->path),
        .whiteouts = wanted->whiteouts,
        .replace = wanted->replace || wanted->whiteouts,
        .own = wanted->owner_value.length > 0,
        .uid = wanted->owner.uid,
        .gid = wanted->owner.gid,
    };
    wish.directory_fd = open_destination(wanted);
    if (wish.directory_fd < 0)
        return fail(-wish.directory_fd, "open", "%s", wanted->path);
    int error = unpack(&wish, STREAM_FD, &counts);
    write_counts(ok, &counts);
    return error;
}

static int work_pack(const struct tree_request *wanted, struct mpw *ok) {
    struct tree_counts counts = {0};
    struct pack_wish wish = {
        .root_fd = ROOT_DIRECTORY_FD, .paths = wanted->paths, .names = wanted->names, .follow = wanted->follow,
    };
    int error = pack(&wish, STREAM_FD, &counts);
    write_counts(ok, &counts);
    return error;
}

static int work_stat(const struct tree_request *wanted, struct mpw *ok) {
    char link[4096];
    struct stat status;
    _cleanup_fd_ int fd = path_open(ROOT_DIRECTORY_FD, wanted->path, O_PATH | (wanted->follow ? 0 : O_NOFOLLOW));
    if (fd < 0 || fstat(fd, &status) < 0)
        return fail(fd < 0 ? -fd : errno, "stat", "%s", wanted->path);
    ssize_t length = S_ISLNK(status.st_mode) ? readlinkat(fd, "", link, sizeof(link)) : 0;
    if (length < 0)
        return fail(errno, "stat", "%s", wanted->path);
    mpw_map(ok, 6);
    mpw_string(ok, "mode");
    mpw_unsigned(ok, status.st_mode);
    mpw_string(ok, "uid");
    mpw_unsigned(ok, status.st_uid);
    mpw_string(ok, "gid");
    mpw_unsigned(ok, status.st_gid);
    mpw_string(ok, "size");
    mpw_unsigned(ok, (uint64_t)status.st_size);
    mpw_string(ok, "mtime_ns");
    mpw_signed(ok, status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec);
    mpw_string(ok, "link");
    mpw_binary(ok, link, (size_t)length);
    return 0;
}

static void write_failure(struct mpw *w) {
    const struct failure *why = failure_last();
    mpw_map(w, 3);
    mpw_string(w, "errno");
    mpw_unsigned(w, (uint64_t)why->error);
    mpw_string(w, "step");
    mpw_string(w, why->step);
    mpw_string(w, "object");
    mpw_lossy(w, why->object, strlen(why->object));
}

static _Noreturn void run(tree_work *work, const struct tree_request *wanted, const int fds[3]) {
    static uint8_t bytes[RESULT_BYTES], done[RESULT_BYTES];
    struct mpw w = {.bytes = bytes, .room = sizeof(bytes)}, ok = {.bytes = done, .room = sizeof(done)};
    const int places[3] = {STREAM_FD, RESULT_FD, ROOT_DIRECTORY_FD};
    int high[3];
    for (int i = 0; i < 3; i++)
        high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, FIRST_UNUSED_FD);
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0 && (high[i] < 0 || dup2(high[i], places[i]) < 0))
            _exit(127);
    child_clean(FIRST_UNUSED_FD);
    signal(SIGPIPE, SIG_IGN);
    int error = work(wanted, &ok);
    mpw_map(&w, 1);
    mpw_string(&w, error < 0 ? "err" : "ok");
    if (error < 0)
        write_failure(&w);
    else
        mpw_raw(&w, ok.bytes, ok.length);
    ssize_t ignored = write(RESULT_FD, w.bytes, w.length);
    (void)ignored; /* the host sees an end without a word */
    _exit(error < 0);
}

/* ---- in the agent ---- */

static int copy_root(void *context) {
    int *fd = context;
    *fd = mount_copy(*fd, false);
    return *fd < 0 ? fail(-*fd, "copy the mount of", "the root") : 0;
}

/* The root that a request means; without `mounts` as its disk has it, with nothing mounted over. Of what was
 * `written` over a root that is only read, the layer's: nothing is mounted there. */
static int open_root(const struct tree_request *wanted, bool mounts) {
    const struct container *container = NULL;
    if (wanted->container[0] != '\0') {
        container = container_find_running("open", wanted->container);
        if (container == NULL)
            return -failure_last()->error;
    }
    enum root_kept meant = wanted->written ? ROOT_WRITTEN_FD : ROOT_FD;
    int fd = container == NULL ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)
                               : fcntl(container->kept[meant], F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return fail(errno, "open", "the root of container %s", wanted->container);
    if (container == NULL || mounts || wanted->written)
        return fd;
    _cleanup_fd_ int mounted = fd;
    int error = container_visit(container, copy_root, &fd);
    return error < 0 ? error : fd;
}

static int open_pipe(uint32_t id, bool input, int *ours, int *theirs) {
    int ends[2];
    if (id == 0)
        return 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return fail(errno, "pipe", "stream %u", id);
    *ours = ends[input];
    *theirs = ends[!input];
    fcntl(*ours, F_SETPIPE_SZ, PIPE_BYTES); /* fewer turns; what it has does as well */
    return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? fail(errno, "pipe", "stream %u", id) : 0;
}

struct tree_pipes {
    int stream, result;              /* ours */
    int their_stream, their_result;
    int root;
};

static void close_pipes(struct tree_pipes *pipes) {
    close_fd(&pipes->stream);
    close_fd(&pipes->result);
    close_fd(&pipes->their_stream);
    close_fd(&pipes->their_result);
    close_fd(&pipes->root);
}

static int check_streams(const struct tree_request *wanted, bool has_stream) {
    if (wanted->result == 0 || (has_stream && (wanted->stream == 0 || wanted->stream == wanted->result)))
        return fail(EINVAL, "request", "streams");
    if (stream_find(wanted->stream) != NULL || stream_find(wanted->result) != NULL)
        return fail(EEXIST, "request", "streams");
    return 0;
}

static int open_stream(uint32_t id, bool input, int *fd) {
    if (id == 0)
        return 0;
    if ((input ? stream_open_input(id, *fd, false) : stream_open_output(id, *fd, false)) == NULL)
        return fail(ENOSPC, "request", "more than %u streams", MAX_STREAMS);
    steal_fd(fd);
    return 0;
}

static int start(tree_work *work, const struct tree_request *wanted, bool input, struct proc *proc) {
    _cleanup_(close_pipes) struct tree_pipes pipes = {-1, -1, -1, -1, -1};
    pipes.root = open_root(wanted, work != work_pack || wanted->mounts);
    if (pipes.root < 0)
        return pipes.root;
    int error = open_pipe(wanted->stream, input, &pipes.stream, &pipes.their_stream);
    if (error == 0)
        error = open_pipe(wanted->result, false, &pipes.result, &pipes.their_result);
    if (error == 0)
        error = open_stream(wanted->stream, input, &pipes.stream);
    if (error == 0)
        error = open_stream(wanted->result, false, &pipes.result);
    pid_t pid = error < 0 ? -1 : fork();
    if (pid == 0)
        run(work, wanted, (const int[]){pipes.their_stream, pipes.their_result, pipes.root});
    if (pid < 0) {
        if (error == 0)
            error = fail(errno, "fork", "%s", wanted->container);
        stream_release(stream_find(wanted->stream));
        stream_release(stream_find(wanted->result));
        return error;
    }
    strcpy(proc->container, wanted->container); /* an id that we know: its length was checked */
    proc->pid = pid;
    proc->input = input ? wanted->stream : 0;
    proc->output = input ? 0 : wanted->stream;
    proc->error = wanted->result;
    proc->tree = proc->used = true;
    return 0;
}

static int serve(tree_work *work, const struct tree_request *wanted, bool input) {
    int error = check_streams(wanted, work != work_stat);
    if (error < 0)
        return error;
    struct proc *proc = proc_reserve(wanted->proc, NULL);
    return proc == NULL ? -failure_last()->error : start(work, wanted, input, proc);
}

int op_unpack(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct tree_request wanted = {0};
    int error = fields_decode(&mp, unpack_fields, COUNT(unpack_fields), &wanted);
    if (error == 0 && wanted.owner_value.length > 0) {
        mp = mp_over(wanted.owner_value);
        error = fields_decode(&mp, owner_fields, COUNT(owner_fields), &wanted.owner);
    }
    return error < 0 ? error : serve(work_unpack, &wanted, true);
}

int op_pack(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct tree_request wanted = {.mounts = true};
    int error = fields_decode(&mp, pack_fields, COUNT(pack_fields), &wanted);
    if (error == 0 && wanted.paths.count != wanted.names.count)
        error = fail(EINVAL, "request", "names (not as many as paths)");
    return error < 0 ? error : serve(work_pack, &wanted, false);
}

int op_stat(struct span request, struct mpw *ok) {
    (void)ok;
    struct mp mp = mp_over(request);
    struct tree_request wanted = {0};
    int error = fields_decode(&mp, stat_fields, COUNT(stat_fields), &wanted);
    return error < 0 ? error : serve(work_stat, &wanted, false);
}
