/* SPDX-License-Identifier: ISC */
/* attempt - what is kept in memory of a part while it is in somebody's hands. */
#include <string.h>

#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "queue/core.h"

static size_t
text_size(const struct store_lease *l, const struct envelope *e)
{
	size_t n = e->from.n + l->lane.n;

	for (size_t i = 0; i < l->n_rcpts; i++)
		if (l->rcpts[i].index < e->n_rcpts)
			n += e->rcpts[l->rcpts[i].index].to.n;
	return n;
}

static struct str
keep_text(char **at, struct str s)
{
	struct str kept = {*at, s.n};

	if (s.n > 0)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return kept;
}

struct attempt *
attempt_create(const struct store_lease *l)
{
	struct envelope e;
	struct attempt *a;
	char           *at;

	if (!envelope_parse(&e, l->envelope))
		return NULL;
	a = mem_zero(sizeof *a + l->n_rcpts * sizeof a->rcpts[0] + text_size(l, &e));
	at = (char *)&a->rcpts[l->n_rcpts];
	a->id = l->id;
	a->part = l->part;
	a->token = l->token;
	a->tries = l->tries;
	a->noticed = l->noticed;
	a->accepted_ms = e.accepted_ms;
	a->since_ms = time_mono_ms();
	a->size = l->size;
	a->from = keep_text(&at, e.from);
	a->lane_name = keep_text(&at, l->lane);
	for (size_t i = 0; i < l->n_rcpts; i++) {
		uint32_t index = l->rcpts[i].index;

		if (index >= e.n_rcpts)
			continue;
		a->rcpts[a->n_rcpts++] = (struct attempt_rcpt){
			.index = index,
			.notify = e.rcpts[index].notify,
			.to = keep_text(&at, e.rcpts[index].to),
		};
	}
	envelope_free(&e);
	return a;
}

struct store_lease
attempt_lease(const struct attempt *a)
{
	return (struct store_lease){.id = a->id, .part = a->part, .token = a->token, .fd = -1};
}
