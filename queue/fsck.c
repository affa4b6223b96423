/* SPDX-License-Identifier: ISC */
/*
 * fsck - read every octet of a spool and compare every sum.
 *
 * Which messages are in the queue is asked of the store itself, opened read only as a
 * start would see it; then each segment is scanned in full, hint or no hint, and big/ is
 * compared with the index. What a loss of power may leave behind (the newest batch cut
 * short, temporary files, bodies of messages that were never acknowledged) is told, but is no damage.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "queue/queue.h"
#include "queue/scan.h"

enum { BIG_DIGITS = 16 };

struct fsck {
	struct disk             *d;
	const struct fsck_hooks *hooks;
	void                    *arg;
	uint64_t                 done, total;
	uint64_t                 batch; /* the newest one seen */
	long                     damages;
	uint8_t                 *data;
};

static void
tell(struct fsck *f, struct fsck_news news, const char *what)
{
	news.what = str_of(what);
	f->damages += !news.good;
	f->hooks->news(f->arg, &news);
}

static void
advance(struct fsck *f, uint64_t n)
{
	f->done += n;
	f->hooks->progress(f->arg, f->done, f->total);
}

/* ---- segments ---- */

static bool
is_live(const struct fsck *f, const struct segment *g, const struct sight *v)
{
	const struct msg *m = index_find(&f->d->index, v->r.id);

	if (m == NULL)
		return false;
	if (v->r.type == RECORD_MSG || v->r.type == RECORD_MOVE)
		return m->seq == g->seq && m->off == v->at;
	return v->r.type == RECORD_STATE;
}

static void
check_record(struct fsck *f, const struct scan *s, const struct sight *v, const char *name)
{
	struct fsck_news news = {.file = name, .id = v->r.id, .live = is_live(f, s->g, v)};
	char             what[160];

	if (v->verdict == RECORD_GOOD && (v->r.flags & RECORD_DAMAGED) == 0)
		return;
	news.good = v->r.batch == s->torn;
	snprintf(what, sizeof what, "at %u: %s%s", v->at,
	         v->verdict == RECORD_BAD_BODY ? "the body is not what was written"
	         : v->verdict == RECORD_GOOD   ? "was found damaged before and is kept as it is"
	         : v->r.type == RECORD_STATE   ? "the state is not what was written"
	                                       : "the envelope is not what was written",
	         news.good ? " (never acknowledged)" : "");
	tell(f, news, what);
}

static void
check_holes(struct fsck *f, const struct scan *s, const char *name)
{
	uint32_t loss = scan_loss_begin(s);
	char     what[160];

	for (size_t i = 0; i < s->n_holes; i++) {
		bool good = s->holes[i].from >= loss;

		snprintf(what, sizeof what, "at %u: %u octets are no records: %s", s->holes[i].from,
		         s->holes[i].to - s->holes[i].from,
		         good ? "they were never acknowledged" : "mail in them may be lost");
		tell(f, (struct fsck_news){.file = name, .good = good}, what);
	}
}

/* Batches are numbered without gaps. */
static void
check_batches(struct fsck *f, const struct scan *s, const char *name)
{
	char what[160];

	for (size_t i = 0; i < s->n_seen; i++) {
		const struct sight *v = &s->seen[i];

		if (!scan_counts(s, v))
			continue;
		if (f->batch != 0 && v->r.batch > f->batch + 1 && s->n_holes == 0) {
			snprintf(what, sizeof what, "at %u: %llu batches before it are missing",
			         v->at, (unsigned long long)(v->r.batch - f->batch - 1));
			tell(f, (struct fsck_news){.file = name}, what);
		}
		f->batch = v->r.batch;
	}
}

/* Segments are made whole, of so many mebibytes; shorter ones without a record were just being made. */
static void
check_size(struct fsck *f, struct segment *g, const char *name)
{
	if (g->size % SEGMENT_MIN == 0 && g->size > 0)
		return;
	if (segment_first_batch(f->d, g) != 0 || hint_look(f->d, g, f->data) != HINT_NONE)
		tell(f, (struct fsck_news){.file = name},
		     "is shorter than it was made: mail in it may be lost");
}

static void
check_segment(struct fsck *f, struct segment *g, struct segment *next)
{
	struct scan s = {.g = g, .data = f->data};
	char        name[NAME_MAX_SPOOL], what[160];
	long        before = f->damages;
	uint64_t    n = 0, live = 0;

	segment_name(name, g);
	scan_look(f->d, &s);
	scan_set_limit(&s, segment_first_batch(f->d, next));
	check_size(f, g, name);
	check_holes(f, &s, name);
	check_batches(f, &s, name);
	for (size_t i = 0; i < s.n_seen; i++) {
		if (!scan_counts(&s, &s.seen[i]))
			continue;
		check_record(f, &s, &s.seen[i], name);
		n++;
		live += s.seen[i].r.type != RECORD_STATE && is_live(f, g, &s.seen[i]);
	}
	if (f->damages == before) {
		snprintf(what, sizeof what, "%llu record%s, %llu message%s in the queue",
		         (unsigned long long)n, n == 1 ? "" : "s", (unsigned long long)live,
		         live == 1 ? "" : "s");
		tell(f, (struct fsck_news){.file = name, .good = true}, what);
	}
	scan_free(&s);
	advance(f, g->size);
}

/* A hint that outlived its retired segment in a crash tells of nothing that is still wanted. */
static void
check_gone(struct fsck *f, const struct segment *g)
{
	char name[NAME_MAX_SPOOL], what[80];

	if (g->n_live == 0)
		return;
	segment_name(name, g);
	snprintf(what, sizeof what, "is missing: %u message%s in it %s lost", g->n_live,
	         g->n_live == 1 ? "" : "s", g->n_live == 1 ? "is" : "are");
	tell(f, (struct fsck_news){.file = name}, what);
}

static void
check_hint(struct fsck *f, struct segment *g)
{
	char            name[NAME_MAX_SPOOL];
	enum hint_state state = hint_look(f->d, g, f->data);

	segment_hint_name(name, g);
	/* It costs a start some time and no mail; yet somebody has changed it. */
	if (state != HINT_NONE)
		tell(f, (struct fsck_news){.file = name, .good = state == HINT_GOOD},
		     state == HINT_GOOD ? "sum is right"
		                        : "is not what was written; the segment is read instead");
}

static void
check_segments(struct fsck *f)
{
	const struct segments *all = &f->d->segments;
	char                   name[NAME_MAX_SPOOL], what[160];

	for (size_t i = 0; i < all->n; i++) {
		struct segment *g = all->v[i];

		if (i > 0 && g->seq > all->v[i - 1]->seq + 1) {
			segment_name(name, g);
			snprintf(what, sizeof what,
			         "%u segments before it are missing: mail in them is lost",
			         g->seq - all->v[i - 1]->seq - 1);
			tell(f, (struct fsck_news){.file = name}, what);
		}
		if (g->gone) {
			check_gone(f, g);
			continue;
		}
		check_segment(f, g, i + 1 < all->n ? all->v[i + 1] : NULL);
		check_hint(f, g);
	}
}

/* ---- big/ ---- */

/* 0: nobody made one. */
static uint64_t
sum_of_body(const struct fsck *f, const struct msg *m)
{
	struct segment *g = segment_find(&f->d->segments, m->seq);
	uint8_t         head[RECORD_HEAD];
	struct record   r;

	return g != NULL && segment_read(&f->d->segments, g, m->off, head, sizeof head) &&
	                       record_decode(&r, head, g->seq, g->salt)
	               ? r.body_sum
	               : 0;
}

static void
check_body(struct fsck *f, const struct msg *m, const char *name)
{
	struct fsck_news news = {.file = name, .id = msg_id(m), .live = true};
	int              fd = big_open(f->d, msg_id(m), m->size);
	uint64_t         sum = msg_id(m), known = sum_of_body(f, m);
	int              error;

	if (fd < 0) {
		tell(f, news, "is not there, or is of another size than the message's body");
		return;
	}
	error = io_sum(f->d->io, fd, m->size, &sum) == 0 ? 0 : errno;
	advance(f, m->size);
	news.good = error == 0 && (known == 0 || known == (sum != 0 ? sum : 1));
	tell(f, news,
	     error != 0   ? strerror(error)
	     : !news.good ? "the body is not what was written"
	     : known == 0 ? "is as long as the message's body"
	                  : "sum is right");
	close(fd);
}

/* The message behind `m` whose body is in big/; NULL: from the first, and at the end. */
static const struct msg *
next_big(const struct disk *d, const struct msg *m)
{
	do
		m = index_next(&d->index, m == NULL ? 0 : m->id);
	while (m != NULL && (m->flags & MSG_BIG) == 0);
	return m;
}

static void
check_bodies(struct fsck *f)
{
	char name[NAME_MAX_SPOOL];

	for (const struct msg *m = NULL; (m = next_big(f->d, m)) != NULL;) {
		snprintf(name, sizeof name, "big/%016llx", (unsigned long long)m->id);
		check_body(f, m, name);
	}
}

static bool
is_wanted(const struct fsck *f, const char *name)
{
	char             *end;
	uint64_t          id;
	const struct msg *m;

	if (strlen(name) != BIG_DIGITS)
		return false;
	id = strtoull(name, &end, 16);
	m = *end == '\0' ? index_find(&f->d->index, id) : NULL;
	return m != NULL && (m->flags & MSG_BIG) != 0;
}

static void
check_name(struct fsck *f, bool big, const char *name)
{
	static const char *const ours[] = {"LOCK", "big", "paused", "imported", ".", ".."};
	char                     path[300];
	struct str               s = str_of(name);

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (strcmp(name, ours[i]) == 0)
			return;
	if (!big && (str_ends(s, STR(".seg")) || str_ends(s, STR(".hint"))))
		return;
	if (big && is_wanted(f, name))
		return;
	snprintf(path, sizeof path, "%s%s", big ? "big/" : "", name);
	tell(f, (struct fsck_news){.file = path, .good = true},
	     str_ends(s, STR(".tmp")) ? "temporary: the next start removes it"
	     : big                    ? "belongs to no message: the next start removes it"
	                              : "is not of the queue");
}

static void
check_names(struct fsck *f, bool big)
{
	int            fd = openat(f->d->dirfd, big ? "big" : ".",
	                           O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR           *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir)) != NULL)
		check_name(f, big, e->d_name);
	closedir(dir);
}

/* ---- the store, as a start would see it ---- */

/* Whatever happens to it: it is only read. */
static const struct store_events events;

static void
closed(void *arg)
{
	loop_stop(arg);
}

/* The same damages are told once more, and better, by us. */
static void
no_line(struct str text)
{
	(void)text;
}

static uint64_t
octets_of(const struct disk *d)
{
	uint64_t n = 0;

	for (size_t i = 0; i < d->segments.n; i++)
		n += d->segments.v[i]->size;
	for (const struct msg *m = NULL; (m = next_big(d, m)) != NULL;)
		n += m->size;
	return n;
}

long
queue_fsck(int dirfd, const struct fsck_hooks *hooks, void *arg, struct buf *why)
{
	struct fsck   f = {.hooks = hooks, .arg = arg, .damages = -1};
	struct loop  *loop = loop_create();
	struct store *store;

	log_hook(no_line);
	store = store_disk_open(
		&(struct store_disk_conf){.loop = loop, .dirfd = dirfd, .read_only = true}, &events,
		NULL, why);
	if (store != NULL) {
		f.damages = 0;
		f.d = CONTAINER(store, struct disk, base);
		f.data = mem_array(1, SEGMENT_MAX);
		f.total = octets_of(f.d);
		check_segments(&f);
		check_bodies(&f);
		check_names(&f, false);
		check_names(&f, true);
		free(f.data);
		store_close(store, closed, loop);
		loop_run(loop);
	}
	log_hook(NULL);
	loop_destroy(loop);
	return f.damages;
}
