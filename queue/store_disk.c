/* SPDX-License-Identifier: ISC */
/* store_disk - opening, closing and counting; the operations are in store_*.c. */
#include "queue/store_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/disk.h"

enum {
	WARM_BYTES = 64 * 1024 * 1024,
	QUEUE_BYTES = 64 * 1024 * 1024,
	LEASE_MS = 5 * 60 * 1000,
	FLOOR_MIN = 1024 * 1024,
	FLOOR_MAX = 256 * 1024 * 1024,
	FLOOR_SHARE = 50, /* of the file system: 2 % */
	CLOSE_POLL_MS = 5,
	CLOSE_MAX_MS = 10000,
};

static const struct store_ops ops;

static void
set_sizes(struct disk *d)
{
	struct statvfs st;
	uint64_t       floor;

	d->total_bytes = fstatvfs(d->dirfd, &st) == 0 ? (uint64_t)st.f_blocks * st.f_frsize
	                                              : UINT64_MAX;
	floor = d->total_bytes / FLOOR_SHARE;
	if (d->conf.floor_bytes == 0)
		d->conf.floor_bytes = floor < FLOOR_MIN   ? FLOOR_MIN
		                      : floor > FLOOR_MAX ? FLOOR_MAX
		                                          : floor;
	if (d->conf.warm_bytes == 0)
		d->conf.warm_bytes = WARM_BYTES;
	if (d->conf.queue_bytes == 0)
		d->conf.queue_bytes = QUEUE_BYTES;
	if (d->conf.lease_ms == 0)
		d->conf.lease_ms = LEASE_MS;
	d->segments.size = d->conf.segment_bytes != 0 ? d->conf.segment_bytes
	                                              : segments_choose_size(d->total_bytes);
}

static int
open_big(const struct disk *d)
{
	if (!d->conf.read_only && mkdirat(d->dirfd, "big", 0700) == 0)
		(void)d->io->sync_dir(d->dirfd);
	return openat(d->dirfd, "big", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static void
destroy(struct disk *d)
{
	commit_destroy(d->bulk);
	commit_destroy(d->commit);
	disk_stop_calls(d);
	if (d->ready) {
		reclaim_close(d);
		log_close(d);
	}
	while (!list_empty(&d->warm))
		free(CONTAINER(list_pop(&d->warm), struct block, warm));
	for (struct heap_node *c; (c = heap_min(&d->claims)) != NULL;) {
		heap_remove(&d->claims, c);
		free(CONTAINER(c, struct claim, until));
	}
	heap_free(&d->claims);
	shelves_free(&d->shelves);
	index_free(&d->index);
	segments_free(&d->segments);
	if (d->bigfd >= 0)
		close(d->bigfd);
	close(d->dirfd);
	free(d);
}

struct store *
store_disk_open(const struct store_disk_conf *conf, const struct store_events *events, void *arg,
                struct buf *why)
{
	struct disk *d = mem_zero(sizeof *d);

	d->base.ops = &ops;
	d->loop = conf->loop;
	d->conf = *conf;
	d->events = events;
	d->arg = arg;
	d->io = conf->io != NULL ? conf->io : &io_real;
	d->dirfd = conf->dirfd;
	d->state = -1;
	/* Larger than any token of an earlier life. */
	d->next_token = (uint64_t)time_wall_ms() << 20;
	list_init(&d->warm);
	index_init(&d->index);
	shelves_init(&d->shelves);
	segments_init(&d->segments, d->dirfd, d->io);
	disk_start_calls(d);
	set_sizes(d);
	d->bigfd = open_big(d);
	if (d->bigfd < 0 && !(conf->read_only && errno == ENOENT)) {
		buf_addf(why, "cannot use the directory \"big\" of the spool: %s", strerror(errno));
		goto fail;
	}
	if (!conf->read_only)
		d->commit = commit_create(d->loop, d->io);
	if (d->commit != NULL)
		d->bulk = commit_create(d->loop, d->io);
	if (!recovery_run(d, why))
		goto fail;
	if (d->commit != NULL) {
		d->ready = true;
		big_sweep(d);
		reclaim_open(d);
		log_open(d);
		reclaim_check(d);
	}
	disk_set_tick(d);
	return &d->base;
fail:
	destroy(d);
	return NULL;
}

/* ---- the end ---- */

struct closing {
	struct timer *timer;
	struct disk  *d;
	int64_t       since_ms;
	bool          sealing;
};

static void
finish(struct closing *c)
{
	struct disk *d = c->d;
	void (*closed)(void *) = d->closed;
	void *arg = d->closed_arg;

	timer_destroy(c->timer);
	free(c);
	destroy(d);
	closed(arg);
}

/* What rides in memory is written first, then the hint; a disk that hangs does not keep us. */
static void
close_step(void *arg)
{
	struct closing *c = arg;
	struct disk    *d = c->d;
	bool            late = time_mono_ms() - c->since_ms > CLOSE_MAX_MS;

	if (d->commit != NULL && !late) {
		if (!log_idle(d) || d->n_jobs > 0) {
			log_flush(d);
			timer_set(c->timer, CLOSE_POLL_MS);
			return;
		}
		if (!c->sealing) {
			c->sealing = true;
			log_seal_now(d);
			timer_set(c->timer, CLOSE_POLL_MS);
			return;
		}
	}
	finish(c);
}

static void
disk_close(struct store *s, void (*done)(void *arg), void *arg)
{
	struct disk    *d = CONTAINER(s, struct disk, base);
	struct closing *c = mem_zero(sizeof *c);

	d->closed = done;
	d->closed_arg = arg;
	timer_clear(d->tick);
	c->d = d;
	c->since_ms = time_mono_ms();
	c->timer = timer_create_on(d->loop, close_step, c);
	timer_set(c->timer, 0);
}

/* ---- counters ---- */

static void
disk_stats(const struct store *s, struct store_stats *out)
{
	const struct disk *d = (const struct disk *)(const void *)
		s; /* `base` is its first member */
	struct statvfs st;

	*out = (struct store_stats){
		.messages = d->index.msgs.n,
		.recipients = d->index.n_rcpts,
		.ready = d->shelves.n_ready,
		.deferred = d->shelves.n_later,
		.held = d->index.n_held,
		.active = d->index.n_leased,
		.damaged = d->index.n_damaged,
		.bytes = d->index.live_bytes,
		.syncs = d->n_syncs,
		.commits = d->n_commits,
	};
	if (fstatvfs(d->dirfd, &st) == 0)
		out->free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
}

static const struct store_ops ops = {
	.close = disk_close,
	.put = disk_put,
	.write = disk_write,
	.commit = disk_commit,
	.abort = disk_abort,
	.lease = disk_lease,
	.renew = disk_renew,
	.settle = disk_settle,
	.body = disk_body,
	.list = disk_list,
	.act = disk_act,
	.stats = disk_stats,
};
