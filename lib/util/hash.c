/* SPDX-License-Identifier: ISC */
#include "lib/util/hash.h"

#include <assert.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lib/util/mem.h"
#include "lib/util/random.h"

enum { FIRST_SLOTS = 16, PIECE = 128 };

static uint64_t
process_seed(void)
{
	static uint64_t seed;

	while (seed == 0)
		seed = random_u64();
	return seed;
}

uint64_t
hash_str(struct str s)
{
	return XXH3_64bits_withSeed(s.p, s.n, process_seed());
}

/* Folded piece by piece, each seeded with the value of those before it. */
uint64_t
hash_istr(struct str s)
{
	uint64_t value = process_seed();
	char     folded[PIECE];

	do {
		struct str piece = str_sub(s, 0, sizeof folded);

		for (size_t i = 0; i < piece.n; i++) {
			char c = piece.p[i];

			folded[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
		}
		value = XXH3_64bits_withSeed(folded, piece.n, value);
		s = str_skip(s, piece.n);
	} while (s.n > 0);
	return value;
}

uint64_t
hash_u64(uint64_t x)
{
	return XXH3_64bits_withSeed(&x, sizeof x, process_seed());
}

uint64_t
hash_keyed(struct str s, uint64_t secret)
{
	return XXH3_64bits_withSeed(s.p, s.n, secret);
}

static struct hash_node **
slot(const struct hash *h, uint64_t value)
{
	return &h->slots[value & (h->n_slots - 1)];
}

static void
push(struct hash *h, struct hash_node *node)
{
	struct hash_node **at = slot(h, node->value);

	node->next = *at;
	*at = node;
}

static void
grow(struct hash *h)
{
	struct hash old = *h;

	h->n_slots = old.n_slots > 0 ? old.n_slots * 2 : FIRST_SLOTS;
	h->slots = mem_array(h->n_slots, sizeof *h->slots);
	for (size_t i = 0; i < old.n_slots; i++)
		for (struct hash_node *node = old.slots[i], *next; node != NULL; node = next) {
			next = node->next;
			push(h, node);
		}
	free(old.slots);
}

void
hash_free(struct hash *h)
{
	free(h->slots);
	*h = (struct hash){0};
}

void
hash_put(struct hash *h, struct hash_node *node, uint64_t value)
{
	if (h->n == h->n_slots)
		grow(h);
	node->value = value;
	push(h, node);
	h->n++;
}

void
hash_remove(struct hash *h, struct hash_node *node)
{
	struct hash_node **at;

	if (h->n == 0)
		return;
	for (at = slot(h, node->value); *at != NULL; at = &(*at)->next)
		if (*at == node) {
			*at = node->next;
			node->next = NULL;
			h->n--;
			return;
		}
}

static struct hash_node *
with_value(struct hash_node *node, uint64_t value)
{
	while (node != NULL && node->value != value)
		node = node->next;
	return node;
}

struct hash_node *
hash_first(const struct hash *h, uint64_t value)
{
	return h->n > 0 ? with_value(*slot(h, value), value) : NULL;
}

struct hash_node *
hash_more(const struct hash_node *node)
{
	return with_value(node->next, node->value);
}

struct hash_node *
hash_walk(const struct hash *h, const struct hash_node *after)
{
	size_t at = 0;

	if (after != NULL) {
		if (after->next != NULL)
			return after->next;
		at = (after->value & (h->n_slots - 1)) + 1;
	}
	for (; at < h->n_slots; at++)
		if (h->slots[at] != NULL)
			return h->slots[at];
	return NULL;
}
