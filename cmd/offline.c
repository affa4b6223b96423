/* SPDX-License-Identifier: ISC */
#include "cmd/offline.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/proc/config.h"
#include "lib/proc/lock.h"
#include "lib/proc/places.h"
#include "lib/proc/sandbox.h"
#include "queue/queue.h"

/* The daemon makes the folder at its first start; mail may be imported before that. */
static int
open_dir(const struct config *conf, bool make, struct buf *why)
{
	char          *path = str_dup(conf->spool);
	int            fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct account account;

	if (fd < 0 && errno == ENOENT && make) {
		if (account_find(conf->user_account, &account, why))
			fd = places_dir(conf->spool, 0700, &account, why);
	} else if (fd < 0) {
		buf_addf(why, "the daemon is not running, and its spool %s cannot be read: %s",
		         path, strerror(errno));
	}
	free(path);
	return fd;
}

int
offline_open(struct cmd *c, bool make, int *code)
{
	struct config *conf = cmd_load(c);
	struct buf     why = BUF(1024);
	int            dirfd;

	*code = CMD_CONFIG;
	if (conf == NULL)
		return -1;
	*code = CMD_FAILED;
	dirfd = open_dir(conf, make, &why);
	if (dirfd >= 0 && lock_take(dirfd, &why) < 0) {
		/* Somebody works on it: then it was not the time to look. */
		*code = CMD_TRY_AGAIN;
		close(dirfd);
		dirfd = -1;
	}
	if (dirfd < 0)
		cmd_error(c->verb->name, buf_z(&why),
		          *code == CMD_TRY_AGAIN ? NULL : "try again as root, or start the daemon");
	config_unref(conf);
	buf_free(&why);
	return dirfd;
}

/* What root writes into the spool, the account of the daemon could not read. */
static bool
become_owner(int dirfd)
{
	struct stat st;

	if (geteuid() != 0)
		return true;
	if (fstat(dirfd, &st) != 0)
		return false;
	return st.st_uid == 0 ||
	       (setgroups(0, NULL) == 0 && setgid(st.st_gid) == 0 && setuid(st.st_uid) == 0);
}

int
offline_start(struct cmd *c, struct buf *request, pid_t *child, int *code)
{
	int dirfd = offline_open(c, str_starts(buf_str(request), STR("queue put")), code);
	int sv[2];

	if (dirfd < 0)
		return -1;
	*code = CMD_FAILED;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) != 0 || (*child = fork()) < 0) {
		cmd_error(c->verb->name, strerror(errno), NULL);
		close(dirfd);
		return -1;
	}
	if (*child == 0) {
		close(sv[0]);
		if (!become_owner(dirfd))
			_exit(CMD_FAILED);
		_exit(queue_offline(dirfd, buf_z(request), sv[1]));
	}
	close(dirfd);
	close(sv[1]);
	return sv[0];
}
