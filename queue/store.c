/* SPDX-License-Identifier: ISC */
#include "queue/store.h"

#include <stdlib.h>

void
store_close(struct store *s, void (*done)(void *arg), void *arg)
{
	s->ops->close(s, done, arg);
}

struct store_put *
store_put(struct store *s, uint64_t id, int *spill_fd)
{
	return s->ops->put(s, id, spill_fd);
}

/* A put begins with its store, whatever the kind. */
static const struct store_ops *
ops_of(const struct store_put *p)
{
	struct store *const *s = (struct store *const *)(const void *)p;

	return (*s)->ops;
}

bool
store_write(struct store_put *p, struct str octets)
{
	return ops_of(p)->write(p, octets);
}

void
store_commit(struct store_put *p, const struct store_message *m, store_commit_fn *fn, void *arg)
{
	ops_of(p)->commit(p, m, fn, arg);
}

void
store_abort(struct store_put *p)
{
	if (p != NULL)
		ops_of(p)->abort(p);
}

void
store_lease(struct store *s, const struct store_wish *w, store_lease_fn *fn, void *arg)
{
	s->ops->lease(s, w, fn, arg);
}

void
store_renew(struct store *s, uint64_t id, uint32_t part, uint64_t token, int64_t lease_ms)
{
	s->ops->renew(s, id, part, token, lease_ms);
}

void
store_settle(struct store *s, const struct store_lease *l, const struct store_outcome *o,
             store_done_fn *fn, void *arg)
{
	s->ops->settle(s, l, o, fn, arg);
}

void
store_body(struct store *s, uint64_t id, uint64_t at, size_t max, store_body_fn *fn, void *arg)
{
	s->ops->body(s, id, at, max, fn, arg);
}

void
store_list(struct store *s, const struct store_filter *f, struct store_cursor *c, store_row_fn *fn,
           void *arg)
{
	s->ops->list(s, f, c, fn, arg);
}

void
store_cursor_free(struct store_cursor *c)
{
	free(c->ids);
	free(c->hits);
	*c = (struct store_cursor){0};
}

void
store_act(struct store *s, const struct store_filter *f, enum store_action a, store_act_fn *fn,
          void *arg)
{
	s->ops->act(s, f, a, fn, arg);
}

void
store_stats(const struct store *s, struct store_stats *out)
{
	s->ops->stats(s, out);
}

const char *
store_status_name(enum store_status status)
{
	static const char *const names[] = {
		[STATUS_ANY] = "any",       [STATUS_READY] = "ready",
		[STATUS_ACTIVE] = "active", [STATUS_DEFERRED] = "deferred",
		[STATUS_HELD] = "held",     [STATUS_DAMAGED] = "damaged",
		[STATUS_DONE] = "done",
	};

	return names[status];
}
