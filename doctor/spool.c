/* SPDX-License-Identifier: ISC */
/* The folder of the queue: there, writable, with room, and quick enough to promise durability. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "doctor/exam.h"
#include "lib/util/time.h"

enum {
	SPACE_WARN_PERCENT = 10,
	SPACE_FAIL_MIB = 64,
	SYNCS = 3,
	SYNC_OCTETS = 4096,
	SYNC_NOTE_US = 100 * 1000,
	SYNC_WARN_US = 1000 * 1000,
};

void
check_queue(struct exam *e, const struct subject *s, struct finding *f)
{
	char *path = str_dup(e->config->spool);

	(void)s;
	finding_see(f, e->config->spool);
	if (access(path, R_OK | W_OK | X_OK) == 0) {
		finding_say(f, CHECK_PASS, "the spool %s can be written", path);
	} else if (errno == ENOENT) {
		finding_say(f, CHECK_NOTE, "the spool %s is not there yet", path);
	} else if (errno == EACCES && geteuid() != 0) {
		finding_say(f, CHECK_SKIP, "the spool %s is not for this user to look into", path);
	} else {
		finding_say(f, CHECK_FAIL, "the spool %s cannot be written: %s", path,
		            strerror(errno));
		finding_fix(f, "Name a folder that can be written: spool PATH");
	}
	free(path);
}

/*
 * How long one sync takes at best, in a file without a name; 0: it cannot be tried here. Every message
 * waits for one before it is accepted.
 */
static int64_t
measure_sync(const char *path)
{
	static const char octets[SYNC_OCTETS];
	int64_t           best_us = 0, took_us;
	int               fd = open(path, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	for (size_t i = 0; fd >= 0 && i < SYNCS; i++) {
		took_us = -time_mono_us();
		if (write(fd, octets, sizeof octets) != sizeof octets || fdatasync(fd) != 0)
			break;
		took_us += time_mono_us();
		if (best_us == 0 || took_us < best_us)
			best_us = took_us > 0 ? took_us : 1;
	}
	if (fd >= 0)
		close(fd);
	return best_us;
}

static void
judge_sync(struct exam *e, struct finding *f, const char *path)
{
	if (e->sync_us == 0)
		e->sync_us = measure_sync(path);
	if (e->sync_us == 0)
		e->sync_us = -1; /* once is enough */
	if (e->sync_us > SYNC_WARN_US || (e->sync_us > SYNC_NOTE_US && f->status == CHECK_PASS)) {
		finding_say(
			f, e->sync_us > SYNC_WARN_US ? CHECK_WARN : CHECK_NOTE,
			"the disk takes %lld ms to make a message durable, and every sender waits for that",
			(long long)(e->sync_us / 1000));
		finding_fix(f, "Put the spool on a local disk, best on flash: spool PATH");
	}
}

static void
judge_room(struct finding *f, const struct statvfs *fs, const char *path)
{
	uint64_t free_mib = (uint64_t)fs->f_bavail * fs->f_frsize / (1 << 20);
	uint64_t percent = fs->f_blocks > 0 ? (uint64_t)fs->f_bavail * 100 / fs->f_blocks : 100;
	uint64_t inodes = fs->f_files > 0 ? (uint64_t)fs->f_favail * 100 / fs->f_files : 100;

	if (free_mib < SPACE_FAIL_MIB)
		finding_say(f, CHECK_FAIL, "the spool has only %llu MiB left",
		            (unsigned long long)free_mib);
	else if (percent < SPACE_WARN_PERCENT || inodes < SPACE_WARN_PERCENT)
		finding_say(f, CHECK_WARN,
		            "the spool's disk is nearly full (%llu %% free, %llu %% of the inodes)",
		            (unsigned long long)percent, (unsigned long long)inodes);
	else
		finding_say(f, CHECK_PASS, "the spool has %llu MiB left",
		            (unsigned long long)free_mib);
	if (f->status >= CHECK_WARN)
		finding_fix(f, "Make room on the disk of %s.", path);
}

void
check_fs(struct exam *e, const struct subject *s, struct finding *f)
{
	struct statvfs fs;
	char          *path = str_dup(e->config->spool);

	(void)s;
	finding_see(f, e->config->spool);
	if (statvfs(path, &fs) != 0) {
		finding_say(f, CHECK_SKIP, "the spool %s cannot be looked at: %s", path,
		            strerror(errno));
	} else {
		judge_room(f, &fs, path);
		if (f->status < CHECK_WARN)
			judge_sync(e, f, path);
		if (f->status == CHECK_PASS && e->sync_us > 0)
			buf_addf(&f->why, ", and a sync takes %lld.%lld ms",
			         (long long)(e->sync_us / 1000),
			         (long long)(e->sync_us / 100 % 10));
	}
	free(path);
}
