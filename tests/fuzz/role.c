/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/role.h"

#include "lib/proc/config.h"
#include "tests/fuzz/fuzz.h"

/* role_run() has no argument for it. */
static struct role *playing;

void
role_configure(struct role *r)
{
	struct config *c = config_read(str_of(r->config), ++r->generation);

	must(c != NULL);
	r->hooks->config(r->self, c);
}

int
role_run(enum role_id id, unsigned index UNUSED, const struct role_hooks *hooks, void *self)
{
	struct role *r = playing;
	struct buf   why = BUF(4096);

	r->id = id;
	r->hooks = hooks;
	r->self = self;
	must(hooks->start == NULL || hooks->start(self, r, &why));
	role_configure(r);
	r->life(r);
	buf_free(&why);
	return 0;
}

struct loop *
role_loop(struct role *r)
{
	return r->loop;
}

unsigned
role_index(const struct role *r UNUSED)
{
	return 0;
}

void
role_ready(struct role *r UNUSED)
{
}

void
role_done(struct role *r)
{
	r->done = true;
}

/* The supervisor would bring a new channel: a target does that when its input says so. */
void
role_lost(enum role_id who UNUSED, unsigned index UNUSED)
{
}

void
role_tell(struct role *r UNUSED, enum wire_id id UNUSED, const void *msg UNUSED)
{
}

void
role_trouble(struct role *r UNUSED, const char *what UNUSED)
{
}

void
role_in_force(struct role *r UNUSED, const char *word UNUSED)
{
}

void
role_play(struct role *r, int (*role_main)(unsigned index))
{
	playing = r;
	(void)role_main(0);
}
