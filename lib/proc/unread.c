/* SPDX-License-Identifier: ISC */
#include "lib/proc/unread.h"

#include <stdlib.h>

#include "lib/net/loop.h"
#include "lib/util/hash.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"

enum { FIRST_MS = 2000, MOST_MS = 60 * 1000 };

struct file {
	struct hash_node node;
	char            *path, *why;
	uint32_t         lacked; /* by these keyds: bits of their numbers */
	bool             named, failed; /* in this rendering */
};

struct unread {
	struct hash   files;
	struct timer *timer;
	int64_t       wait_ms; /* the last one */
	uint32_t      keyd;    /* the bit of the one that is rendered for */
	void (*again)(void *arg);
	void *arg;
};

static void
on_timer(void *arg)
{
	struct unread *u = arg;

	u->wait_ms = u->wait_ms < MOST_MS / 2 ? u->wait_ms * 2 : MOST_MS;
	timer_set(u->timer, u->wait_ms);
	u->again(u->arg);
}

struct unread *
unread_create(struct loop *l, void (*again)(void *arg), void *arg)
{
	struct unread *u = mem_zero(sizeof *u);

	u->timer = timer_create_on(l, on_timer, u);
	u->again = again;
	u->arg = arg;
	return u;
}

static void
drop(struct unread *u, struct file *f)
{
	hash_remove(&u->files, &f->node);
	free(f->path);
	free(f->why);
	free(f);
}

void
unread_destroy(struct unread *u)
{
	struct hash_node *n;

	if (u == NULL)
		return;
	while ((n = hash_walk(&u->files, NULL)) != NULL)
		drop(u, CONTAINER(n, struct file, node));
	hash_free(&u->files);
	timer_destroy(u->timer);
	free(u);
}

static struct file *
find(const struct unread *u, struct str path)
{
	struct hash_node *n;

	for (n = hash_first(&u->files, hash_str(path)); n != NULL; n = hash_more(n)) {
		struct file *f = CONTAINER(n, struct file, node);

		if (str_eq(str_of(f->path), path))
			return f;
	}
	return NULL;
}

void
unread_begin(struct unread *u, unsigned index)
{
	struct hash_node *n;

	u->keyd = (uint32_t)1 << (index & 31);
	for (n = hash_walk(&u->files, NULL); n != NULL; n = hash_walk(&u->files, n)) {
		struct file *f = CONTAINER(n, struct file, node);

		f->named = f->failed = false;
	}
}

/* One file more: it may be in order soon, however long others have not been. */
static struct file *
add(struct unread *u, struct str path)
{
	struct file *f = mem_zero(sizeof *f);

	f->path = str_dup(path);
	hash_put(&u->files, &f->node, hash_str(path));
	u->wait_ms = FIRST_MS;
	timer_set(u->timer, u->wait_ms);
	return f;
}

static void
note(struct file *f, const char *why, int64_t next_ms)
{
	f->failed = true;
	if (f->why != NULL && str_eq(str_of(f->why), str_of(why)))
		return;
	free(f->why);
	f->why = str_dup(str_of(why));
	log_error(ev("key-unusable"), kv("file", f->path), kv("why", why), kv_ms("next", next_ms));
}

void
unread_told(void *unread, struct str path, const char *why)
{
	struct unread *u = unread;
	struct file   *f = find(u, path);

	if (f == NULL && why != NULL)
		f = add(u, path);
	if (f != NULL)
		f->named = true;
	if (f != NULL && why != NULL)
		note(f, why, u->wait_ms);
}

bool
unread_end(struct unread *u)
{
	struct hash_node *next, *n = hash_walk(&u->files, NULL);
	bool              healed = false;

	for (; n != NULL; n = next) {
		struct file *f = CONTAINER(n, struct file, node);

		next = hash_walk(&u->files, n);
		healed = healed || (f->named && !f->failed && (f->lacked & u->keyd) != 0);
		f->lacked = f->failed ? f->lacked | u->keyd : f->lacked & ~u->keyd;
		if (f->lacked != 0)
			continue;
		if (f->named) /* else it is no longer configured */
			log_info(ev("key-usable"), kv("file", f->path));
		drop(u, f);
	}
	if (u->files.n == 0)
		timer_clear(u->timer);
	return healed;
}

bool
unread_lacks(const struct unread *u, unsigned index)
{
	struct hash_node *n;

	for (n = hash_walk(&u->files, NULL); n != NULL; n = hash_walk(&u->files, n))
		if ((CONTAINER(n, struct file, node)->lacked >> (index & 31) & 1) != 0)
			return true;
	return false;
}
