/* passwd(5) and group(5), as Docker reads them. */
#include <string.h>

#include "../users.h"
#include "check.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "broken line\n"
                             ":::::\n"
                             "ann:x:1000:100:Ann:/home/ann:/bin/sh\n"
                             "1000:x:2000:2000::/home/number:/bin/sh\n"
                             "big:x:99999999999:1:::\n"
                             "short:x:5:6";
static const char group[] = "root:x:0:\nusers:x:100:\nwheel:x:10:bob,ann\naudio:x:29:annabel\nx:x:30:ann";

static struct identity who;

static int find(const char *user) {
    return identity_find(user, passwd, group, &who);
}

static void nobody_named_is_root(void) {
    CHECK(find("") == 0 && who.uid == 0 && who.gid == 0 && strcmp(who.home, "/root") == 0);
    CHECK(who.group_count == 1 && who.groups[0] == 0);
}

static void a_name_brings_its_groups(void) {
    CHECK(find("ann") == 0 && who.uid == 1000 && who.gid == 100 && strcmp(who.home, "/home/ann") == 0);
    CHECK(who.group_count == 3 && who.groups[0] == 100 && who.groups[1] == 10 && who.groups[2] == 30);
}

static void a_named_group_stands_alone(void) {
    CHECK(find("ann:wheel") == 0 && who.uid == 1000 && who.gid == 10 && who.group_count == 1);
    CHECK(find("ann:77") == 0 && who.gid == 77);
    CHECK(find("7:8") == 0 && who.uid == 7 && who.gid == 8 && strcmp(who.home, "/") == 0);
}

static void a_number_is_looked_up_too(void) {
    CHECK(find("5") == 0 && who.uid == 5 && who.gid == 6 && strcmp(who.home, "/") == 0);
    CHECK(find("4242") == 0 && who.uid == 4242 && who.gid == 0 && who.group_count == 1);
    /* The first entry that fits wins, by name or by number. */
    CHECK(find("1000") == 0 && who.uid == 1000 && who.gid == 100);
}

static void strangers_are_refused(void) {
    CHECK(find("nobody") == -ENOENT && strcmp(failure_last()->step, "lookup user") == 0);
    CHECK(find("ann:nogroup") == -ENOENT && strcmp(failure_last()->object, "group nogroup") == 0);
    CHECK(find("broken line") == -ENOENT);
    CHECK(find("big") == -ENOENT);
    CHECK(find("4294967295") == -ENOENT); /* (uid_t)-1 means "unchanged" to the kernel */
    CHECK(find("-1") == -ENOENT);
    CHECK(identity_find("ann", NULL, NULL, &who) == -ENOENT);
    CHECK(identity_find("12", NULL, NULL, &who) == 0 && who.uid == 12);
}

static void more_groups_than_fit_are_refused(void) {
    char *many = malloc(64 * 1024), *at = many;
    for (unsigned i = 0; i < MAX_GROUPS + 8; i++)
        at += sprintf(at, "g%u:x:%u:ann\n", i, 5000 + i);
    CHECK(identity_find("ann", passwd, many, &who) == -E2BIG);
    free(many);
}

static void a_home_that_is_too_long_is_left_out(void) {
    char line[600], home[500];
    memset(home, 'h', sizeof(home) - 1);
    home[sizeof(home) - 1] = '\0';
    snprintf(line, sizeof(line), "ann:x:1:1::/%s:/bin/sh\n", home);
    CHECK(identity_find("ann", line, NULL, &who) == 0 && strcmp(who.home, "/") == 0);
}

int main(void) {
    nobody_named_is_root();
    a_name_brings_its_groups();
    a_named_group_stands_alone();
    a_number_is_looked_up_too();
    strangers_are_refused();
    more_groups_than_fit_are_refused();
    a_home_that_is_too_long_is_left_out();
    return 0;
}
