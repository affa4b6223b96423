/* SPDX-License-Identifier: ISC */
/*
 * fake_role - stands for all roles when the supervisor is tested.
 *
 * It opens its channels, counts them and what it was given, and says so as
 * statistics. FAULT_ROLE in the environment names the role that misbehaves and
 * FAULT_HOW how: "start" cannot start, "die" ends when it should begin, "drain"
 * never finishes, "nonsense" breaks the rules of its channel, "babble" those of the first to another role.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/proc/channel.h"
#include "lib/proc/config.h"
#include "lib/proc/control.h"
#include "lib/proc/role.h"
#include "lib/util/mem.h"

struct fake {
	struct role   *role;
	struct config *config;
	enum role_id   id;
	unsigned       peers, listeners, spools, configs;
	bool           babbled;
};

struct peer {
	struct fake    *fake;
	enum role_id    who;
	unsigned        index;
	struct channel *channel;
};

static bool
has_fault(const struct fake *f, const char *how)
{
	const char *role = getenv("FAULT_ROLE"), *fault = getenv("FAULT_HOW");

	return role != NULL && fault != NULL && strcmp(role, role_name(f->id)) == 0 &&
	       strcmp(fault, how) == 0;
}

static bool
start(void *self, struct role *r, struct buf *why)
{
	struct fake *f = self;

	f->role = r;
	if (has_fault(f, "start"))
		buf_addz(why, "told to fail");
	return why->n == 0;
}

static void
config(void *self, struct config *c)
{
	struct fake *f = self;

	config_unref(f->config);
	f->config = c;
	f->configs++;
}

static void
listener(void *self, unsigned index, int fd)
{
	struct fake *f = self;

	(void)index;
	f->listeners++;
	close(fd);
}

static void
spool(void *self, int dirfd)
{
	struct fake *f = self;

	f->spools++;
	close(dirfd);
}

static void
message(void *arg, enum wire_id id, const void *msg, int fd)
{
	(void)arg;
	(void)id;
	(void)msg;
	if (fd >= 0)
		close(fd);
}

static void
gone(void *arg, const char *why)
{
	struct peer *p = arg;

	(void)why;
	p->fake->peers--;
	role_lost(p->who, p->index);
	channel_close(p->channel);
	free(p);
}

static const struct channel_hooks peer_hooks = {message, gone};

static void
peer(void *self, enum role_id who, unsigned index, int fd)
{
	struct fake *f = self;
	struct peer *p = mem_zero(sizeof *p);

	f->peers++;
	p->fake = f;
	p->who = who;
	p->index = index;
	if (has_fault(f, "babble") && !f->babbled) {
		f->babbled = true;
		(void)!write(fd, "nonsense nonsense nonsense", 26);
	}
	p->channel = channel_open(role_loop(f->role), fd, f->id, who, &peer_hooks, p);
}

static void
go(void *self)
{
	struct fake *f = self;

	if (has_fault(f, "die"))
		_exit(3);
	if (has_fault(f, "nonsense"))
		(void)!write(3, "nonsense nonsense nonsense", 26);
	role_ready(f->role);
}

static void
drain(void *self)
{
	struct fake *f = self;

	if (!has_fault(f, "drain"))
		role_done(f->role);
}

static void
control(void *self, struct str request, int fd)
{
	struct fake *f = self;
	struct buf   out = BUF(4096);

	if (str_ends(request, STR("trouble")))
		role_trouble(f->role, "something is wrong");
	control_cell(&out, "request", request);
	control_row_end(&out);
	control_end(&out, 0, STR("done"));
	(void)!write(fd, out.p, out.n);
	close(fd);
	buf_free(&out);
}

static void
stats(void *self, struct buf *rows)
{
	const struct fake *f = self;

	buf_addf(rows, "peers %u\nlisteners_given %u\nspools %u\nconfigs %u\n", f->peers,
	         f->listeners, f->spools, f->configs);
	if (f->id == ROLE_QUEUE)
		buf_addz(rows, "queue_messages 42\nintake 0\n");
}

int
main(int argc, char **argv)
{
	static const struct role_hooks hooks = {start, config, listener, spool, NULL, peer,
	                                        go,    drain,  control,  stats, NULL};
	struct fake                    f = {0};
	uint64_t                       index;
	int                            code;

	if (argc != 4 || strcmp(argv[1], "--role") != 0 || !role_find(str_of(argv[2]), &f.id) ||
	    !str_number(str_of(argv[3]), 100, &index))
		return 2;
	code = role_run(f.id, (unsigned)index, &hooks, &f);
	config_unref(f.config);
	return code;
}
