/* SPDX-License-Identifier: ISC */
#include "smtpd/turns.h"

enum {
	/* So far ahead of another is nothing to care about: short sessions come and go. */
	AHEAD = 8,
	AHEAD_SHARE = 8,
	AHEAD_OF_RESTING = 32, /* if both rested often, short sessions would wait for nothing */
};

static const uint32_t RESTS = 1u << 31; /* in a cell, beside the number; too large for an enum */

static void
store(const struct turns *t, uint32_t value)
{
	if (t->cells != NULL)
		atomic_store_explicit(&t->cells[t->own], value, memory_order_relaxed);
}

void
turns_share(struct turns *t, _Atomic uint32_t *cells, unsigned own, unsigned n)
{
	*t = (struct turns){.cells = cells, .own = own, .n = n};
	store(t, 0); /* a predecessor's */
}

void
turns_leave(struct turns *t)
{
	store(t, 0);
	t->cells = NULL;
}

void
turns_count(struct turns *t, size_t sessions)
{
	t->sessions = (uint32_t)sessions;
	store(t, (t->sessions + 1) | (t->rests ? RESTS : 0u));
}

void
turns_rest(struct turns *t, bool on)
{
	t->rests = on;
	turns_count(t, t->sessions);
}

bool
turns_is_ahead(const struct turns *t)
{
	for (unsigned i = 0; t->cells != NULL && i < t->n; i++) {
		uint32_t cell = atomic_load_explicit(&t->cells[i], memory_order_relaxed);
		uint32_t theirs = cell & ~RESTS;
		uint32_t most = cell < RESTS ? AHEAD : AHEAD_OF_RESTING;

		if (theirs > 0 && t->sessions > theirs - 1 + most + t->sessions / AHEAD_SHARE)
			return true;
	}
	return false;
}
