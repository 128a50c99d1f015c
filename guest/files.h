/* Files that the agent makes for a container, on its stage and bound over what the image has: /etc/hosts and the
 * like. The stage holds them under the path that they have in the container, so they are found again there,
 * whatever happened to the container's own directories. */
#pragma once

#include "site.h"

/* Makes the files of a container request and attaches them. Returns 0 or -errno with the failure recorded, as all
 * of these do. */
int files_place(const struct site *site, struct span files);

/* Replaces, in place, the content of files that files_place made. */
int files_replace(int stage_fd, struct span files);

/* Gets a boot_id of the container's own ready, which nobody sees before files_renew_boot_id. */
int files_keep_boot_id(struct site *site);

/* Gives the container's boot_id a new random value. */
int files_renew_boot_id(int stage_fd);

/* In the container's mount namespace: shows that boot_id in place of the kernel's, once. */
int files_show_boot_id(int root_fd, int boot_id_fd);
