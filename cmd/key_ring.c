/* SPDX-License-Identifier: ISC */
#include "cmd/key_ring.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "dkim/key.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum { WHY_MAX = 4096 };

struct filling {
	struct key_ring     *ring;
	const struct config *config;
};

static struct str
copy(struct str s)
{
	return (struct str){str_dup(s), s.n};
}

static void
drop(struct str s)
{
	free((void *)(uintptr_t)s.p);
}

static int64_t
age_of(const char *path)
{
	struct stat st;
	int64_t age = stat(path, &st) == 0 ? time_wall_ms() - (int64_t)st.st_mtime * 1000 : 0;

	return age > 0 ? age : 0;
}

static struct ring_key *
add(struct key_ring *r, struct str domain, const struct dkim_key_conf *k)
{
	struct buf       why = BUF(WHY_MAX);
	struct key      *key = key_load(k->pem, &why);
	struct ring_key *to;

	r->v = mem_resize(r->v, r->n + 1, sizeof *r->v);
	to = &r->v[r->n++];
	*to = (struct ring_key){.domain = copy(domain), .state = KEY_FILE_ACTIVE};
	to->conf.selector = copy(k->selector);
	to->conf.path = copy(k->path);
	to->conf.pem = copy(k->pem);
	to->conf.type = key != NULL ? key_type(key) : k->type;
	to->bits = key != NULL ? key_bits(key) : 0;
	to->age_ms = age_of(to->conf.path.p);
	key_destroy(key);
	buf_free(&why);
	return to;
}

/* A key that does not sign: made and not yet active, or retired. */
static void
add_idle(void *arg, const struct key_file *f)
{
	struct filling      *x = arg;
	struct dkim_key_conf k = {.selector = f->selector, .path = f->path, .pem = f->pem};
	struct ring_key     *to;

	if (f->state == KEY_FILE_ACTIVE)
		return;
	to = add(x->ring, f->domain, &k);
	to->state = f->state;
	to->needed_s = f->state == KEY_FILE_RETIRED ? key_file_needed_s(x->config, f) : 0;
}

void
key_ring_fill(struct key_ring *r, const struct config *c)
{
	struct filling x = {r, c};

	for (size_t i = 0; i < c->n_dkim; i++)
		for (size_t k = 0; k < c->dkim[i].n_keys; k++)
			(void)add(r, c->dkim[i].domain, &c->dkim[i].keys[k]);
	key_files_each(c, add_idle, &x);
}

void
key_ring_free(struct key_ring *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct ring_key *k = &r->v[i];

		mem_wipe((void *)(uintptr_t)k->conf.pem.p, k->conf.pem.n);
		drop(k->conf.pem);
		drop(k->conf.selector);
		drop(k->conf.path);
		drop(k->domain);
	}
	free(r->v);
	free(r->blocks);
	*r = (struct key_ring){0};
}

struct config
key_ring_trial(struct key_ring *r, const struct config *c)
{
	struct config trial = *c;

	r->blocks = mem_resize(r->blocks, r->n + 1, sizeof *r->blocks);
	trial.dkim = r->blocks;
	trial.n_dkim = 0;
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].state != KEY_FILE_RETIRED || r->v[i].needed_s > 0)
			r->blocks[trial.n_dkim++] = (struct dkim_conf){
				.domain = r->v[i].domain, .keys = &r->v[i].conf, .n_keys = 1};
	return trial;
}
