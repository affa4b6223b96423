/* SPDX-License-Identifier: ISC */
/*
 * recover - what a spool holds after its recovery: recover DIR
 *
 * Opens the store as the queue role does, reads every message with its body, and
 * closes it again. Prints for each message a line "ID SIZE damaged|whole" and SIZE
 * octets of body (none if it is damaged); reports of damage go to stderr as log lines.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mail/ids.h"
#include "lib/net/loop.h"
#include "lib/util/buf.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "queue/store_disk.h"

enum { PIECE = 1024 * 1024 };

struct found {
	uint64_t id, size;
	bool     damaged;
};

struct recover {
	struct loop        *loop;
	struct store       *store;
	struct store_cursor cursor;
	struct found       *all;
	size_t              n, cap, next;
	char               *piece;
};

static const struct store_events events; /* none is wanted */

static void
closed(void *arg)
{
	loop_stop(arg);
}

/* ---- bodies, one behind the other ---- */

static void next_body(struct recover *r);

static void
print_head(const struct found *f, bool damaged)
{
	struct buf id = BUF(ID_TEXT + 1);

	id_format(&id, f->id);
	printf("%s %llu %s\n", buf_z(&id), (unsigned long long)(damaged ? 0 : f->size),
	       damaged ? "damaged" : "whole");
	buf_free(&id);
}

static void
print_file(struct recover *r, int fd)
{
	ssize_t got;

	while ((got = read(fd, r->piece, PIECE)) > 0)
		fwrite(r->piece, 1, (size_t)got, stdout);
	close(fd);
}

static void
take_body(void *arg, const struct store_chunk *chunk)
{
	struct recover *r = arg;
	struct found   *f = &r->all[r->next];

	print_head(f, chunk == NULL || f->damaged);
	if (chunk != NULL && chunk->fd >= 0 && !f->damaged)
		print_file(r, chunk->fd);
	else if (chunk != NULL && !f->damaged)
		fwrite(chunk->body.p, 1, chunk->body.n, stdout);
	r->next++;
	next_body(r);
}

static void
next_body(struct recover *r)
{
	if (r->next == r->n)
		store_close(r->store, closed, r->loop);
	else
		store_body(r->store, r->all[r->next].id, 0, SIZE_MAX, take_body, r);
}

/* ---- the list ---- */

static const struct store_filter everything;

static bool
take_row(void *arg, const struct store_row *row)
{
	struct recover *r = arg;

	if (row != NULL) {
		if (r->n == r->cap) {
			r->cap = r->cap == 0 ? 256 : r->cap * 2;
			r->all = mem_resize(r->all, r->cap, sizeof *r->all);
		}
		r->all[r->n++] = (struct found){row->id, row->size, row->damaged};
		return true;
	}
	if (!r->cursor.end)
		store_list(r->store, &everything, &r->cursor, take_row, r);
	else
		next_body(r);
	return true;
}

int
main(int argc, char **argv)
{
	struct recover r = {.loop = loop_create(), .piece = mem_array(1, PIECE)};
	struct buf     why = BUF(512);

	if (argc != 2) {
		fputs("usage: recover DIR\n", stderr);
		return 2;
	}
	r.store = store_disk_open(
		&(struct store_disk_conf){
			.loop = r.loop,
			.dirfd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		},
		&events, &r, &why);
	if (r.store == NULL) {
		fprintf(stderr, "recover: %s\n", buf_z(&why));
		return 1;
	}
	store_list(r.store, &everything, &r.cursor, take_row, &r);
	loop_run(r.loop);
	store_cursor_free(&r.cursor);
	loop_destroy(r.loop);
	free(r.all);
	free(r.piece);
	buf_free(&why);
	return fflush(stdout) == 0 ? 0 : 1;
}
