/* Paths inside a root: made when missing, and never outside it, whatever its links say. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../path.h"
#include "check.h"

static char outside[] = "/tmp/firkin-path-XXXXXX";
static int root_fd;

static void remove_all(void) {
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", outside);
    CHECK(system(command) == 0);
}

static bool is(const char *path, mode_t type) {
    struct stat status;
    return fstatat(root_fd, path, &status, AT_SYMLINK_NOFOLLOW) == 0 && (status.st_mode & S_IFMT) == type;
}

static void close_made(int fd) {
    CHECK(fd >= 0);
    close(fd);
}

static void a_path_is_split_at_its_last_name(void) {
    char parent[32], name[32];
    CHECK(path_split("/a/b/", parent, name, 32) == 0 && !strcmp(parent, "/a/") && !strcmp(name, "b"));
    CHECK(path_split("a", parent, name, 32) == 0 && !strcmp(parent, "/") && !strcmp(name, "a"));
    CHECK(path_split("/", parent, name, 32) == -EINVAL && path_split("", parent, name, 32) == -EINVAL);
    CHECK(path_split("/a/..", parent, name, 32) == -EINVAL && path_split("/a/.", parent, name, 32) == -EINVAL);
    CHECK(path_split("/0123456789012345678901234567890123456789", parent, name, 32) == -EINVAL);
}

static void missing_parents_are_made(void) {
    close_made(path_make_directory(root_fd, "/deep/er/still"));
    CHECK(is("deep/er/still", S_IFDIR));
    close_made(path_make_file(root_fd, "/deep/new/file"));
    CHECK(is("deep/new/file", S_IFREG));
    close_made(path_make_directory(root_fd, "/deep/er/still"));
    close_made(path_make_directory(root_fd, "/"));
}

static void a_dangling_link_is_followed_inside_the_root(void) {
    CHECK(symlinkat("/run/there/resolv.conf", root_fd, "resolv.conf") == 0);
    close_made(path_make_file(root_fd, "/resolv.conf"));
    CHECK(is("run/there/resolv.conf", S_IFREG) && is("resolv.conf", S_IFLNK));
    CHECK(symlinkat("../../../../elsewhere", root_fd, "up") == 0);
    close_made(path_make_directory(root_fd, "/up/down"));
    CHECK(is("elsewhere/down", S_IFDIR));
}

static void no_link_leads_out(void) {
    CHECK(symlinkat(outside, root_fd, "absolute") == 0);
    CHECK(symlinkat("..", root_fd, "parent") == 0);
    close_made(path_make_directory(root_fd, "/parent/made"));
    CHECK(is("made", S_IFDIR));
    close_made(path_make_file(root_fd, "/absolute/file"));
    char path[64];
    snprintf(path, sizeof(path), "%s/file", outside);
    CHECK(access(path, F_OK) < 0);
}

static void what_was_mounted_over_the_root_can_be_told_apart(void) {
    int fd = open("/", O_PATH | O_DIRECTORY);
    CHECK(path_open_unmounted(fd, "/proc/version", O_PATH) == -EXDEV);
    close_made(path_open(fd, "/proc/version", O_PATH));
    close_made(path_open_unmounted(root_fd, "/file", O_PATH));
    close_made(path_open_unmounted(root_fd, "/absolute/file", O_PATH));
    CHECK(path_open_unmounted(root_fd, "/nowhere", O_PATH) == -ENOENT);
    close(fd);
}

static void links_in_a_circle_end(void) {
    CHECK(symlinkat("b", root_fd, "a") == 0 && symlinkat("a", root_fd, "b") == 0);
    CHECK(path_make_directory(root_fd, "/a") == -ELOOP);
    CHECK(path_make_file(root_fd, "/a/x") == -ELOOP);
    CHECK(symlinkat("self/below", root_fd, "self") == 0);
    CHECK(path_make_directory(root_fd, "/self") < 0);
}

static void what_is_in_the_way_is_told(void) {
    close_made(path_make_file(root_fd, "/file"));
    CHECK(path_make_directory(root_fd, "/file") == -ENOTDIR);
    CHECK(path_make_directory(root_fd, "/file/below") == -ENOTDIR);
    CHECK(path_make_directory(root_fd, "") < 0);
    CHECK(path_make_directory(root_fd, "/nowhere/..") < 0);
}

int main(void) {
    char root[64];
    CHECK(mkdtemp(outside) != NULL && atexit(remove_all) == 0);
    snprintf(root, sizeof(root), "%s/root", outside);
    CHECK(mkdir(root, 0755) == 0);
    root_fd = open(root, O_PATH | O_DIRECTORY);
    a_path_is_split_at_its_last_name();
    missing_parents_are_made();
    a_dangling_link_is_followed_inside_the_root();
    no_link_leads_out();
    links_in_a_circle_end();
    what_is_in_the_way_is_told();
    what_was_mounted_over_the_root_can_be_told_apart();
    return 0;
}
