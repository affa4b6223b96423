/* SPDX-License-Identifier: ISC */
/*
 * fill - a spool with a long queue, as days of a broken network leave it: fill DIR MESSAGES OCTETS LANES [KEEP]
 *
 * Goes through the store as the queue role does: each message is put and committed, then its
 * part is deferred by four days. With KEEP all but one of so many are delivered instead, and the most octets by
 * which the log ever passed twice its live ones are printed. Nothing else may use the spool.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/mail/envelope.h"
#include "lib/mail/ids.h"
#include "lib/net/loop.h"
#include "lib/util/buf.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/store_disk.h"

enum { FLYING = 2000, LATER_MS = 4 * 24 * 3600 * 1000, LOOK_EVERY = 500 };

struct fill {
	struct loop    *loop;
	struct store   *store;
	struct ids      ids;
	struct deferred more;
	char           *body;
	size_t          size;
	uint64_t        n, lanes, put, settled, flying;
	uint64_t        keep;
	int64_t         over; /* most octets of the log, less twice those that live */
	uint64_t        most; /* octets of the log */
	int             dirfd;
	bool            open;
};

static void
closed(void *arg)
{
	loop_stop(((struct fill *)arg)->loop);
}

/* The segments that are in the log. */
static uint64_t
log_bytes(const struct fill *f)
{
	DIR           *dir = fdopendir(openat(f->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;
	struct stat    st;
	uint64_t       n = 0;

	if (dir == NULL)
		abort();
	while ((e = readdir(dir)) != NULL)
		if (str_ends(str_of(e->d_name), STR(".seg")) &&
		    !str_starts(str_of(e->d_name), STR("free-")) &&
		    fstatat(f->dirfd, e->d_name, &st, 0) == 0)
			n += (uint64_t)st.st_size;
	closedir(dir);
	return n;
}

static void
look(struct fill *f)
{
	struct store_stats st;
	uint64_t           n = log_bytes(f);
	int64_t            over;

	store_stats(f->store, &st);
	over = (int64_t)n - 2 * (int64_t)st.bytes;
	f->over = over > f->over ? over : f->over;
	f->most = n > f->most ? n : f->most;
}

static void
settled(void *arg, enum store_result result)
{
	struct fill *f = arg;

	if (result != STORE_OK)
		abort();
	f->flying--;
	f->settled++;
	if (f->keep > 0 && f->settled % LOOK_EVERY == 0)
		look(f);
	loop_defer(f->loop, &f->more);
}

static void
committed(void *arg, enum store_result result, const struct store_lease *leases, size_t n)
{
	struct fill         *f = arg;
	struct store_rcpt    r = {.reply = STR("451 4.4.1 no answer from the host")};
	struct store_outcome o = {
		.verdict = STORE_DEFER,
		.due_ms = time_wall_ms() + LATER_MS,
		.rcpts = &r,
		.n_rcpts = 1,
	};

	if (result != STORE_OK || n != 1)
		abort();
	if (f->keep > 0 && f->settled % f->keep != 0)
		o = (struct store_outcome){.verdict = STORE_DONE};
	store_settle(f->store, &leases[0], &o, settled, f);
}

static void
put_one(struct fill *f)
{
	struct buf        text = BUF(1024), lane = BUF(64), to = BUF(64);
	struct store_rcpt r = {0};
	struct store_part part = {.rcpts = &r, .n_rcpts = 1};
	struct rcpt       rcpt = {0};
	struct envelope   e = {
		  .from = STR("app@sender.example"),
		  .accepted_ms = time_wall_ms(),
		  .size = f->size,
		  .rcpts = &rcpt,
		  .n_rcpts = 1,
        };
	struct store_put *p = store_put(f->store, ids_next(&f->ids), NULL);

	buf_addf(&lane, "d%llu.example", (unsigned long long)(f->put % f->lanes));
	buf_addf(&to, "u%llu@", (unsigned long long)f->put);
	buf_add(&to, buf_str(&lane));
	rcpt.to = buf_str(&to);
	part.lane = buf_str(&lane);
	envelope_format(&text, &e);
	if (p == NULL || !store_write(p, (struct str){f->body, f->size}))
		abort();
	store_commit(p,
	             &(struct store_message){
			     .envelope = buf_str(&text),
			     .size = f->size,
			     .accepted_ms = e.accepted_ms,
			     .parts = &part,
			     .n_parts = 1,
		     },
	             committed, f);
	f->put++;
	f->flying++;
	buf_free(&text);
	buf_free(&lane);
	buf_free(&to);
}

static void
more(void *arg)
{
	struct fill *f = arg;

	while (f->open && f->put < f->n && f->flying < FLYING)
		put_one(f);
	if (f->settled == f->n)
		store_close(f->store, closed, f);
}

static void
on_state(void *arg, enum store_state state, const char *why)
{
	struct fill *f = arg;

	if (state != STORE_OPEN) {
		fprintf(stderr, "fill: %s\n", why);
		exit(1);
	}
	f->open = true;
	loop_defer(f->loop, &f->more);
}

static const struct store_events events = {.state = on_state};

/* Lines of text as mail has them. */
static char *
make_body(size_t size)
{
	char *body = mem_array(1, size);

	memset(body, 'x', size);
	for (size_t i = 70; i + 2 < size; i += 72)
		memcpy(body + i, "\r\n", 2);
	memcpy(body, "Subject: x\r\n\r\n", 14);
	memcpy(body + size - 2, "\r\n", 2);
	return body;
}

int
main(int argc, char **argv)
{
	struct fill f = {.ids = {.maker = 62}};
	struct buf  why = BUF(512);
	uint64_t    size;
	int         dirfd;

	if ((argc != 5 && argc != 6) || !str_number(str_of(argv[2]), UINT32_MAX, &f.n) ||
	    !str_number(str_of(argv[3]), 256 * 1024, &size) || size < 128 ||
	    !str_number(str_of(argv[4]), 1000000, &f.lanes) || f.lanes == 0 ||
	    (argc == 6 && !str_number(str_of(argv[5]), 1000000, &f.keep))) {
		fputs("usage: fill DIR MESSAGES OCTETS LANES [KEEP]\n", stderr);
		return 2;
	}
	(void)mkdir(argv[1], 0700);
	dirfd = f.dirfd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f.size = (size_t)size;
	f.body = make_body(f.size);
	f.loop = loop_create();
	f.more = (struct deferred){.fn = more, .arg = &f};
	f.store = dirfd < 0 ? NULL
	                    : store_disk_open(
				      &(struct store_disk_conf){.loop = f.loop, .dirfd = dirfd},
				      &events, &f, &why);
	if (f.store == NULL) {
		fprintf(stderr, "fill: %s: %s\n", argv[1], buf_z(&why));
		return 1;
	}
	loop_run(f.loop);
	loop_destroy(f.loop);
	free(f.body);
	if (f.keep > 0)
		printf("{\"over_mib\": %lld, \"log_mib\": %llu}\n", (long long)(f.over >> 20),
		       (unsigned long long)(f.most >> 20));
	return 0;
}
