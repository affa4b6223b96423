/* SPDX-License-Identifier: ISC */
#include "auth/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/sasl.h"
#include "lib/net/loop.h"
#include "lib/proc/channel.h"
#include "lib/proc/config.h"
#include "lib/proc/role.h"
#include "lib/util/hash.h"
#include "lib/util/log.h"
#include "lib/util/time.h"

enum {
	MAX_EXCHANGES = 1024, /* of one smtpd */
	/* smtpd has its own, shorter deadline; this one is against a broken smtpd */
	MAX_AGE_MS = 10 * 60 * 1000,
	SWEEP_MS = 60 * 1000,
};

struct auth {
	struct role   *role;
	struct sasl   *sasl; /* NULL: no usable library */
	struct config *config;
	struct list    smtpds;
	struct timer  *sweep;
};

/* One smtpd and the exchanges of its clients. */
struct smtpd {
	struct link     link;
	struct auth    *auth;
	unsigned        index;
	struct channel *channel;
	struct hash     running;
};

struct running {
	struct hash_node node;
	uint64_t         id;
	int64_t          started_ms;
	struct exchange *exchange;
};

static struct running *
find(struct smtpd *peer, uint64_t id)
{
	for (struct hash_node *at = hash_first(&peer->running, hash_u64(id)); at != NULL;
	     at = hash_more(at)) {
		struct running *r = CONTAINER(at, struct running, node);

		if (r->id == id)
			return r;
	}
	return NULL;
}

static void
end(struct smtpd *peer, struct running *r)
{
	hash_remove(&peer->running, &r->node);
	exchange_destroy(r->exchange);
	free(r);
}

static void
end_all(struct smtpd *peer, int64_t started_before_ms)
{
	struct hash_node *at = hash_walk(&peer->running, NULL);

	while (at != NULL) {
		struct running *r = CONTAINER(at, struct running, node);

		at = hash_walk(&peer->running, at);
		if (r->started_ms < started_before_ms)
			end(peer, r);
	}
}

static void
say_done(struct smtpd *peer, uint64_t id, uint16_t code, struct str login)
{
	channel_send(peer->channel, WIRE_AUTH_DONE,
	             &(struct wire_auth_done){.id = id, .code = code, .login = login}, -1);
}

/* RFC 4954 section 6: one answer for every way of being wrong. */
static void
answer(struct smtpd *peer, struct running *r, enum exchange_state state, struct str challenge)
{
	/* clang-format off */
	static const uint16_t codes[] = {
		[EXCHANGE_OK] = 235,
		[EXCHANGE_FAILED] = 535,
		[EXCHANGE_UNAVAILABLE] = 454,
		[EXCHANGE_BAD_MECH] = 504,
		[EXCHANGE_MALFORMED] = 501,
	};
	/* clang-format on */

	if (state == EXCHANGE_MORE) {
		channel_send(peer->channel, WIRE_AUTH_MORE,
		             &(struct wire_auth_more){.id = r->id, .challenge = challenge}, -1);
		return;
	}
	say_done(peer, r->id, codes[state],
	         state == EXCHANGE_OK ? exchange_login(r->exchange) : STR_NONE);
	end(peer, r);
}

static void
start_exchange(struct smtpd *peer, const struct wire_auth_start *m)
{
	struct auth    *a = peer->auth;
	struct running *r = find(peer, m->id);
	struct str      challenge = STR_NONE;

	if (r != NULL)
		end(peer, r);
	if (a->sasl == NULL || sasl_mechanisms(a->sasl, true).n == 0 ||
	    peer->running.n >= MAX_EXCHANGES) {
		say_done(peer, m->id, 454, STR_NONE);
		return;
	}
	r = mem_zero(sizeof *r);
	r->id = m->id;
	r->started_ms = time_mono_ms();
	r->exchange = exchange_create(a->sasl, m->tls_bits, m->binding);
	hash_put(&peer->running, &r->node, hash_u64(r->id));
	answer(peer, r,
	       exchange_start(r->exchange, m->mech, m->has_initial ? &m->initial : NULL,
	                      &challenge),
	       challenge);
}

static void
step(struct smtpd *peer, const struct wire_auth_step *m)
{
	struct running *r = find(peer, m->id);
	struct str      challenge = STR_NONE;

	if (r == NULL) /* ended by a new configuration or by age */
		say_done(peer, m->id, 454, STR_NONE);
	else
		answer(peer, r, exchange_step(r->exchange, m->response, &challenge), challenge);
}

static void
cancel(struct smtpd *peer, const struct wire_auth_id *m)
{
	struct running *r = find(peer, m->id);

	if (r != NULL)
		end(peer, r);
}

static void
on_message(void *arg, enum wire_id id, const void *msg, int fd)
{
	if (fd >= 0)
		close(fd);
	if (id == WIRE_AUTH_START)
		start_exchange(arg, msg);
	else if (id == WIRE_AUTH_STEP)
		step(arg, msg);
	else if (id == WIRE_AUTH_CANCEL)
		cancel(arg, msg);
}

static void
drop(struct smtpd *peer)
{
	end_all(peer, INT64_MAX);
	hash_free(&peer->running);
	list_remove(&peer->auth->smtpds, &peer->link);
	channel_close(peer->channel);
	free(peer);
}

static void
on_gone(void *arg, const char *why UNUSED)
{
	drop(arg);
}

static void
say_mechs(struct smtpd *peer)
{
	struct sasl      *s = peer->auth->sasl;
	struct wire_mechs m = {0};

	if (s != NULL)
		m = (struct wire_mechs){sasl_mechanisms(s, false), sasl_mechanisms(s, true)};
	channel_send(peer->channel, WIRE_MECHS, &m, -1);
}

static void
add_peer(void *self, enum role_id who, unsigned index, int fd)
{
	static const struct channel_hooks hooks = {.message = on_message, .gone = on_gone};
	struct auth                      *a = self;
	struct smtpd                     *peer, *old;

	if (who != ROLE_SMTPD) {
		close(fd);
		return;
	}
	LIST_EACH(&a->smtpds, old, struct smtpd, link)
		if (old->index == index)
			drop(old);
	peer = mem_zero(sizeof *peer);
	peer->auth = a;
	peer->index = index;
	peer->channel = channel_open(role_loop(a->role), fd, ROLE_AUTH, ROLE_SMTPD, &hooks, peer);
	list_push(&a->smtpds, &peer->link);
	if (a->config != NULL)
		say_mechs(peer);
}

static void
set_config(void *self, struct config *c)
{
	struct auth  *a = self;
	struct smtpd *peer;

	LIST_EACH(&a->smtpds, peer, struct smtpd, link)
		end_all(peer, INT64_MAX);
	if (a->sasl != NULL)
		sasl_configure(a->sasl, c->hostname, c->users_text, c->saslauthd);
	config_unref(a->config);
	a->config = c;
	LIST_EACH(&a->smtpds, peer, struct smtpd, link)
		say_mechs(peer);
}

static void
on_sweep(void *arg)
{
	struct auth  *a = arg;
	struct smtpd *peer;

	LIST_EACH(&a->smtpds, peer, struct smtpd, link)
		end_all(peer, time_mono_ms() - MAX_AGE_MS);
	timer_set(a->sweep, SWEEP_MS);
}

/* Without the modules the role still runs: mail of trusted clients needs no login. */
static bool
start(void *self, struct role *r, struct buf *why UNUSED)
{
	struct auth *a = self;
	struct buf   reason = BUF(512);

	a->role = r;
	if ((a->sasl = sasl_open(&reason)) == NULL) {
		log_error(ev("auth-unavailable"), kv("why", buf_str(&reason)));
		role_trouble(r, buf_z(&reason));
	}
	buf_free(&reason);
	a->sweep = timer_create_on(role_loop(r), on_sweep, a);
	timer_set(a->sweep, SWEEP_MS);
	return true;
}

static void
go(void *self)
{
	role_ready(((struct auth *)self)->role);
}

static void
drain(void *self)
{
	role_done(((struct auth *)self)->role);
}

int
auth_main(unsigned index)
{
	static const struct role_hooks hooks = {
		.start = start, .config = set_config, .peer = add_peer, .go = go, .drain = drain};
	struct auth a = {0};
	int         code;

	list_init(&a.smtpds);
	code = role_run(ROLE_AUTH, index, &hooks, &a);
	timer_destroy(a.sweep);
	config_unref(a.config);
	return code;
}

bool
auth_is_available(struct buf *why)
{
	struct buf reason = BUF(512);
	char       text[512];
	ssize_t    n = 0;
	pid_t      child;
	int        ends[2], status = 0;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return true;
	if ((child = fork()) == 0) {
		bool ok = sasl_open(&reason) != NULL;

		(void)!write(ends[1], buf_z(&reason), reason.n);
		_exit(ok ? 0 : 1);
	}
	close(ends[1]);
	if (child > 0) {
		n = read(ends[0], text, sizeof text);
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			continue;
	}
	close(ends[0]);
	if (child < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return true;
	buf_add(why, n > 0 ? (struct str){text, (size_t)n} : STR("libsasl2 crashed"));
	return false;
}
