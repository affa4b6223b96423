/* SPDX-License-Identifier: ISC */
/*
 * segment - the files of the log: `<seq>-<salt>.seg`, all of one size, blocks allocated.
 *
 * Sequence numbers are consecutive. A dead segment becomes `free-<n>.seg` and
 * later, under a new name with a new salt, the next one; so a steady flow of mail allocates nothing.
 * One spare segment is always in hand or on its way: when it cannot be had, the spool is full.
 */
#ifndef QUEUE_SEGMENT_H
#define QUEUE_SEGMENT_H

#include "queue/commit.h"
#include "queue/record.h"

struct buf;

enum {
	SEGMENT_MAX = 64 * 1024 * 1024,
	SEGMENT_MIN = 4 * 1024 * 1024,
};

struct segment {
	uint32_t    seq;
	uint64_t    salt;
	int         fd;   /* -1: opened when needed */
	struct link open; /* in segments.open, if sealed and open */
	uint32_t    size, used;
	uint32_t    written; /* up to here its blocks have been written once: syncs are cheap */
	uint64_t    live_bytes;
	uint32_t    n_live;
	uint64_t    first_batch, last_batch; /* 0: none */
	bool        sealed;                  /* nothing is written any more */
	bool        broken;                  /* a write to it failed */
	bool        gone;                    /* only its hint is left */
	bool        unread; /* a read failed, which may go well at the next start: it is kept */
};

struct segments {
	int              dirfd;
	const struct io *io;
	uint32_t         size;
	struct segment **v; /* rising by seq */
	size_t           n, cap;
	uint32_t         next_seq;
	uint32_t         free_ids[4]; /* free-<n>.seg in hand; 0: no such */
	uint32_t         next_free;
	struct list      open; /* sealed segments with a descriptor, longest unused first */
};

void segments_init(struct segments *s, int dirfd, const struct io *io);
void segments_free(struct segments *s);

/* Find the files of the spool. False and `why` if the folder cannot be read. */
bool segments_scan(struct segments *s, struct buf *why) MUST_USE;

/* The size for new segments, by the size of the file system. */
uint32_t segments_choose_size(uint64_t file_system_bytes);

struct segment *segment_find(const struct segments *s, uint32_t seq);
struct segment *segment_oldest(const struct segments *s);          /* NULL if there is none */
int             segment_fd(struct segments *s, struct segment *g); /* -1 and errno */
void            segment_seal(struct segments *s, struct segment *g);

void segment_name(char out[NAME_MAX_SPOOL], const struct segment *g);
void segment_hint_name(char out[NAME_MAX_SPOOL], const struct segment *g);

/*
 * Steps that make the next segment: a free file renamed or a new one allocated.
 * segment_made() takes it in when the job is done, or clears away what is left
 * of it when it failed.
 */
struct segment *segment_make(struct segments *s, struct job *job);
bool            segment_made(struct segments *s, struct segment *g, const struct job *job);

/* Take the oldest out, dead: steps that keep its file for later or unlink it. The segment is freed. */
void segment_retire(struct segments *s, struct segment *g, struct job *job);

/* Forget it without touching its file; it is the last of the table. */
void segment_close(struct segments *s, struct segment *g);

/* Let go of free files: their space is needed. */
void segments_trim(struct segments *s, struct job *job);

uint64_t segments_bytes(const struct segments *s); /* of all that are in the log */

/* Read exactly `n` octets; false on error or end of file. */
bool segment_read(struct segments *s, struct segment *g, uint64_t at, void *to, size_t n) MUST_USE;

#endif
