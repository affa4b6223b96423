/* SPDX-License-Identifier: ISC */
/*
 * hash - an intrusive table that grows by itself.
 *
 * The key stays in the object: the caller computes a hash value, and compares
 * keys while walking the few nodes that share it. Hash values of outside text
 * come from hash_str(), which is seeded per process, so that no peer can aim.
 */
#ifndef LIB_UTIL_HASH_H
#define LIB_UTIL_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "lib/util/str.h"

/* Inside the object; the table's own. One node is in one table. */
struct hash_node {
	struct hash_node *next;
	uint64_t          value;
};

/* Zeroed is empty. */
struct hash {
	struct hash_node **slots;
	size_t             n, n_slots; /* nodes; slots, a power of two */
};

uint64_t hash_str(struct str s);
uint64_t hash_istr(struct str s); /* ASCII case folded */
uint64_t hash_u64(uint64_t x);

/* With a secret of the caller's, for values that processes must agree on. */
uint64_t hash_keyed(struct str s, uint64_t secret);

void              hash_free(struct hash *h); /* the table, not the nodes */
void              hash_put(struct hash *h, struct hash_node *node, uint64_t value); /* keys may repeat: look first */
void              hash_remove(struct hash *h, struct hash_node *node); /* not in there: does nothing */
struct hash_node *hash_first(const struct hash *h, uint64_t value); /* NULL: none; then hash_more() */
struct hash_node *hash_more(const struct hash_node *node); /* next with the same value */

/*
 * Walk all nodes in no order: pass NULL first, NULL ends it. The table must not change during the walk;
 * but who has asked for the next node already may remove or free the one before.
 */
struct hash_node *hash_walk(const struct hash *h, const struct hash_node *after);

#endif
