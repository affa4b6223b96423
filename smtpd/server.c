/* SPDX-License-Identifier: ISC */
#include "smtpd/server.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/net/stream.h"
#include "lib/net/tls.h"
#include "lib/proc/config.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"
#include "smtpd/handover.h"
#include "smtpd/logins.h"
#include "smtpd/session.h"

enum {
	SESSIONS_MAX = 10000,
	OTHER_DESCRIPTORS = 64, /* listeners, channels, spills in progress */
	LINE_LIMIT = 64 * 1024, /* a whole EHLO or HELP answer */
	ENVELOPE_MAX = 1536 * 1024, /* with a body of WIRE_INLINE_MAX still one frame */
	DRAIN_MS = 20 * 1000,
	EVICT_LOOK = 1000, /* how many of the oldest sessions are looked at for one that can go */
};

struct site *
site_ref(struct site *s)
{
	s->users++;
	return s;
}

void
site_unref(struct site *s)
{
	if (s == NULL || --s->users > 0)
		return;
	tls_server_unref(s->tls);
	config_unref(s->config);
	free(s);
}

static struct tls_server *
make_tls(const struct server *sv, const struct config *c)
{
	struct tls_pair   *pairs = mem_array(c->n_tls, sizeof *pairs);
	struct buf         why = BUF(1024);
	struct tls_server *tls = NULL;

	for (size_t i = 0; i < c->n_tls; i++)
		pairs[i] = (struct tls_pair){c->tls[i].cert_pem, STR_NONE, &sv->keyholder.signer};
	if (c->n_tls > 0 && (tls = tls_server_create(pairs, c->n_tls, &why)) == NULL && !sv->mute)
		log_error(ev("config-error"), kv("what", "tls"), kv("why", buf_str(&why)));
	buf_free(&why);
	free(pairs);
	return tls;
}

void
server_configure(struct server *sv, struct config *c)
{
	struct site *s = mem_zero(sizeof *s);

	s->users = 1;
	s->config = c;
	s->tls = make_tls(sv, c);
	s->own_domain = policy_own_domain(c);
	site_unref(sv->site);
	sv->site = s;
}

static size_t
session_limit(void)
{
	struct rlimit files;
	size_t        n = SESSIONS_MAX;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
	    files.rlim_cur < SESSIONS_MAX + OTHER_DESCRIPTORS)
		n = files.rlim_cur > 2 * OTHER_DESCRIPTORS ? files.rlim_cur - OTHER_DESCRIPTORS
		                                           : OTHER_DESCRIPTORS;
	return n;
}

void
server_init(struct server *sv, struct loop *l, unsigned index)
{
	*sv = (struct server){.loop = l};
	sv->ids.maker = index;
	sv->max_sessions = session_limit();
	sv->line = BUF(LINE_LIMIT);
	sv->envelope = BUF(ENVELOPE_MAX);
	list_init(&sv->sessions);
	messages_init(&sv->messages);
	limits_init(&sv->limits);
	senders_init(&sv->senders);
	sv->handover = handover_create(l);
	sv->logins = logins_create(l);
	keyholder_init(&sv->keyholder);
}

void
server_free(struct server *sv)
{
	struct link *k;

	sv->drained = NULL;
	while ((k = list_first(&sv->sessions)) != NULL)
		session_destroy(session_at(k));
	timer_destroy(sv->drain_limit);
	handover_destroy(sv->handover);
	logins_destroy(sv->logins);
	messages_free(&sv->messages);
	limits_free(&sv->limits);
	senders_free(&sv->senders);
	site_unref(sv->site);
	buf_free(&sv->line);
	buf_free(&sv->envelope);
	keyholder_free(&sv->keyholder);
}

static void
log_turned_away(struct addr client, const char *why)
{
	struct buf ip = BUF(64);

	addr_format(&ip, client);
	log_warn(ev("reject"), kv("stage", "connect"), kv("code", 421), kv("why", why),
	         kv("client", buf_str(&ip)));
	buf_free(&ip);
}

/* No session for this one: somebody else's turn, with a word about it unless `why` is NULL. */
static void
turn_away(struct server *sv, int fd, struct addr client, const char *why)
{
	struct stream *stream = stream_accept(sv->loop, fd, NULL, NULL);

	sv->counts.turned_away++;
	if (why != NULL)
		log_turned_away(client, why);
	stream_write(stream, STR("421 4.3.2 too many connections: try again later\r\n"));
	stream_finish(stream);
}

/* Whoever is in `trust` has no limits. */
static bool
is_trusted(const struct server *sv, struct addr client)
{
	struct policy policy = {.config = sv->site->config, .client = client};
	struct buf    unused = BUF(POLICY_TEXT_MAX);
	bool          ok = policy_is_ok(policy_client(&policy, &unused));

	buf_free(&unused);
	return ok;
}

/* False: he has as many connections as one client may have, and was told so. */
static bool
admit(struct server *sv, int fd, struct addr client, struct limit *place)
{
	int64_t now;

	*place = (struct limit){0};
	if (is_trusted(sv, client))
		return true;
	now = time_mono_ms();
	*place = limits_client(&sv->limits, client, now);
	if (limit_enter(&sv->limits, *place, sv->site->config->limit_connections))
		return true;
	turn_away(sv, fd, client, limit_may_tell(*place, now) ? "too-many-connections" : NULL);
	return false;
}

/* The house is full: of the strangers who do nothing one of the most numerous makes room. */
static bool
make_room(struct server *sv)
{
	struct session *s, *worst = NULL;
	size_t          looked = 0;
	unsigned        most = 0;

	LIST_EACH(&sv->sessions, s, struct session, link)
	{
		if (++looked > EVICT_LOOK)
			break;
		if (!session_is_idle_stranger(s))
			continue;
		if (worst == NULL || limit_connections(&sv->limits, s->place) > most) {
			most = limit_connections(&sv->limits, s->place);
			worst = s;
		}
	}
	if (worst == NULL)
		return false;
	session_evict(worst);
	return true;
}

bool
server_is_short(const struct server *sv)
{
	uint64_t limit = sv->site->config->memory;

	return limit != 0 && sv->held + handover_unsent(sv->handover) > limit;
}

void
server_accept(struct server *sv, unsigned index, int fd, struct addr client)
{
	struct limit place;

	if (sv->site == NULL || sv->draining || index >= sv->site->config->n_listens) {
		close(fd);
		return;
	}
	/* Asked again before a refusal: the sandbox sets its own limits after we began. */
	if (sv->sessions.n >= sv->max_sessions)
		sv->max_sessions = session_limit();
	if (!admit(sv, fd, client, &place))
		return;
	if ((sv->sessions.n >= sv->max_sessions || server_is_short(sv)) && !make_room(sv)) {
		limit_leave(&sv->limits, place);
		turn_away(sv, fd, client, "too-many-sessions");
		return;
	}
	sv->counts.sessions++;
	session_create(sv, &sv->site->config->listens[index], fd, client, place);
	turns_count(&sv->turns, sv->sessions.n);
}

void
server_left(struct server *sv)
{
	void (*done)(void *arg) = sv->drained;

	turns_count(&sv->turns, sv->sessions.n);
	if (!sv->draining || !list_empty(&sv->sessions) || done == NULL)
		return;
	sv->drained = NULL;
	done(sv->drained_arg);
}

static void
close_all(struct server *sv, bool idle_only)
{
	struct session *s;

	LIST_EACH(&sv->sessions, s, struct session, link)
		session_shut(s, idle_only);
}

static void
on_drain_limit(void *arg)
{
	struct server *sv = arg;

	if (list_empty(&sv->sessions))
		server_left(sv);
	else
		close_all(sv, false);
}

void
server_drain(struct server *sv, void (*done)(void *arg), void *arg)
{
	sv->draining = true;
	sv->drained = done;
	sv->drained_arg = arg;
	sv->drain_limit = timer_create_on(sv->loop, on_drain_limit, sv);
	timer_set(sv->drain_limit, list_empty(&sv->sessions) ? 0 : DRAIN_MS);
	close_all(sv, true);
}
