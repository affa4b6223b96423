/* SPDX-License-Identifier: ISC */
/*
 * key_ring - all keys there are, in the configuration and in the state folder, signing or not.
 */
#ifndef CMD_KEY_RING_H
#define CMD_KEY_RING_H

#include "cmd/key_files.h"

struct ring_key {
	struct str           domain; /* these and those of `conf` are the ring's */
	struct dkim_key_conf conf;
	unsigned             bits;
	enum key_file_state  state;
	int64_t              age_ms, needed_s; /* needed_s: of a retired key, key_files.h */
};

struct key_ring {
	struct ring_key  *v;
	size_t            n;
	struct dkim_conf *blocks; /* of key_ring_trial() */
};

void key_ring_fill(struct key_ring *r, const struct config *c);
void key_ring_free(struct key_ring *r); /* a zeroed one is allowed */

/*
 * A copy of `c` in which each key stands in a block of its own as if it signed, those excepted
 * whose record nobody needs any more; it lives as long as both.
 */
struct config key_ring_trial(struct key_ring *r, const struct config *c);

#endif
