/* SPDX-License-Identifier: ISC */
/*
 * tar - archives of plain files, ustar (POSIX.1-1988), written and read as a stream.
 *
 * The writer makes headers; the caller writes the octets and tar_padding() zeros after
 * them. The reader takes what other tar programs make as well: pax and GNU extra
 * headers are passed over, links and devices come with their type. Nothing in an
 * archive is trusted: a header with a wrong sum ends the reading, because what looks
 * like a header further on may stand in somebody's mail.
 */
#ifndef LIB_UTIL_TAR_H
#define LIB_UTIL_TAR_H

#include <sys/types.h>

#include "lib/util/str.h"

enum { TAR_BLOCK = 512, TAR_NAME = 260, TAR_TRAILER = 2 * TAR_BLOCK };

struct tar_entry {
	char     name[TAR_NAME]; /* with its prefix */
	char     type;           /* '0' for a plain file */
	uint64_t size;
	int64_t  mtime; /* s since 1970 */
};

/* False if the name is longer than 100 octets or the size does not fit in 8 GiB. Mode is 0600. */
bool   tar_header(uint8_t out[TAR_BLOCK], const struct tar_entry *e) MUST_USE;
size_t tar_padding(uint64_t size); /* zeros behind so many octets */

enum tar_next {
	TAR_ENTRY,
	TAR_END,
	TAR_SHORT,   /* the archive ends in the middle, or cannot be read */
	TAR_DAMAGED, /* this is no header */
};

struct tar_reader {
	ssize_t (*read)(void *arg, void *to, size_t n); /* as read(2) */
	void    *arg;
	uint64_t left; /* octets of the entry that are not read yet */
	size_t   pad;
	uint64_t at; /* octets taken so far: for progress and reports */
};

/* Pass over what is left of the entry, to the next. */
enum tar_next tar_next(struct tar_reader *r, struct tar_entry *e) MUST_USE;

/* As read(2) within the entry: 0 at its end, -1 if the archive ends before. */
ssize_t tar_read(struct tar_reader *r, void *to, size_t n) MUST_USE;

#endif
