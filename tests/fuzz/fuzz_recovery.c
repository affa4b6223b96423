/* SPDX-License-Identifier: ISC */
/*
 * A spool out of the input, opened as `postern fsck` does it, and everything in it listed and read.
 *
 * Random octets have no good sums, so the input is a list of records, to which header and sums are
 * made as they must be, and of changes afterwards:
 *
 *     1-5   a record of that type (an octet: flags; an octet: id; an octet: batch; pieces: envelope, parts, body)
 *     'n'   the rest goes to another segment
 *     'p'   octets (a piece) over what is there (two octets: where, in steps of 4)
 *     '0'   so many octets (one, times 64) stay zero
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/util/mem.h"
#include "queue/record.h"
#include "queue/store_disk.h"
#include "tests/fuzz/fuzz.h"

enum { ROOM = 256 * 1024, SALT = 42, SEGMENTS = 3, ROWS_MAX = 1000 };

struct spool {
	char     folder[64];
	int      dirfd;
	unsigned seq;
	uint8_t *room;
	size_t   n;
	uint32_t batch_off;
	uint64_t batch;
};

struct reader {
	struct loop        *loop;
	struct store       *store;
	struct store_cursor cursor;
	uint64_t            ids[ROWS_MAX];
	size_t              n_ids, at;
};

/* Making the spool */

static void
save(struct spool *s)
{
	char name[48];
	int  fd;

	snprintf(name, sizeof name, "%08x-%016x.seg", ++s->seq, SALT);
	fd = openat(s->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, s->room, ROOM) == ROOM);
	close(fd);
	memset(s->room, 0, ROOM);
	s->n = 0;
	s->batch = 0;
}

static void
put_record(struct spool *s, unsigned type, struct str *in)
{
	struct record r = {.type = (enum record_type)type, .flags = take_octet(in), .id = take_octet(in),
	                   .batch = take_octet(in), .seq = s->seq + 1};
	struct str    envelope = take_piece(in), parts = take_piece(in), body = take_piece(in);
	uint8_t      *to = s->room + s->n + RECORD_HEAD;

	r.env_len = (uint32_t)envelope.n;
	r.parts_len = (uint32_t)parts.n;
	r.body_len = (uint32_t)body.n;
	if (s->n + record_span(&r) > ROOM)
		return;
	if (r.batch != s->batch)
		s->batch_off = (uint32_t)s->n;
	s->batch = r.batch;
	r.batch_off = s->batch_off;
	if (envelope.n > 0)
		memcpy(to, envelope.p, envelope.n);
	if (parts.n > 0)
		memcpy(to + envelope.n, parts.p, parts.n);
	if (body.n > 0 && record_inline(&r) > 0)
		memcpy(to + envelope.n + parts.n, body.p, body.n);
	if (envelope.n + parts.n > 0)
		r.meta_sum = record_sum(SALT, to, envelope.n + parts.n);
	if (record_inline(&r) > 0)
		r.body_sum = record_sum(SALT, to + envelope.n + parts.n, record_inline(&r));
	record_encode(s->room + s->n, &r, SALT);
	s->n += (size_t)record_span(&r);
}

static void
change(struct spool *s, struct str *in)
{
	size_t     at = 4 * (take_octet(in) << 8 | take_octet(in));
	struct str piece = take_piece(in);

	if (piece.n > 0 && at + piece.n <= ROOM)
		memcpy(s->room + at, piece.p, piece.n);
}

static void
build(struct spool *s, struct str in)
{
	while (in.n > 0) {
		unsigned what = take_octet(&in);

		if (what >= RECORD_MSG && what <= RECORD_SEAL)
			put_record(s, what, &in);
		else if (what == 'p')
			change(s, &in);
		else if (what == '0' && s->n + 64 * 256 < ROOM)
			s->n += (size_t)64 * take_octet(&in);
		else if (what == 'n' && s->seq + 1 < SEGMENTS)
			save(s);
	}
	save(s);
}

/* Reading it */

static void
on_body(void *arg, const struct store_chunk *chunk)
{
	struct reader *r = arg;

	must(chunk == NULL || chunk->body.n <= ROOM);
	if (chunk != NULL && chunk->fd >= 0)
		close(chunk->fd);
	if (r->at < r->n_ids)
		store_body(r->store, r->ids[r->at++], 0, ROOM, on_body, r);
	else
		loop_stop(r->loop);
}

static bool
on_row(void *arg, const struct store_row *row)
{
	struct reader *r = arg;

	if (row == NULL) {
		on_body(r, NULL);
		return false;
	}
	for (size_t i = 0; i < row->n_parts; i++)
		must(row->parts[i].lane.n > 0 && row->parts[i].n_rcpts <= ROOM);
	if (r->n_ids < ROWS_MAX)
		r->ids[r->n_ids++] = row->id;
	return true;
}

static void
on_closed(void *arg)
{
	loop_stop(arg);
}

static void
read_all(struct spool *s)
{
	static const struct store_events events;
	static const struct store_filter all;
	struct reader                    r = {.loop = loop_create()};
	struct buf                       why = BUF(1024);

	r.store = store_disk_open(&(struct store_disk_conf){.loop = r.loop, .dirfd = dup(s->dirfd), .read_only = true},
	                          &events, &r, &why);
	must(r.store != NULL);
	store_list(r.store, &all, &r.cursor, on_row, &r);
	loop_run(r.loop);
	store_cursor_free(&r.cursor);
	store_close(r.store, on_closed, r.loop);
	loop_run(r.loop);
	loop_destroy(r.loop);
	buf_free(&why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spool s = {.folder = "/dev/shm/fuzz_recovery.XXXXXX", .room = mem_zero(ROOM)};

	if (size <= ROOM) {
		hush();
		if (mkdtemp(s.folder) == NULL)
			memcpy(s.folder, "/tmp/fuzz_recovery.XXXXXX", sizeof "/tmp/fuzz_recovery.XXXXXX");
		must(s.folder[1] == 'd' || mkdtemp(s.folder) != NULL);
		s.dirfd = open(s.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		must(s.dirfd >= 0);
		build(&s, input(data, size));
		read_all(&s);
		for (unsigned i = 1; i <= s.seq; i++) {
			char name[48];

			snprintf(name, sizeof name, "%08x-%016x.seg", i, SALT);
			(void)unlinkat(s.dirfd, name, 0);
		}
		close(s.dirfd);
		must(rmdir(s.folder) == 0);
	}
	free(s.room);
	return 0;
}
