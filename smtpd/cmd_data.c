/* SPDX-License-Identifier: ISC */
#include <assert.h>

#include "lib/proc/config.h"
#include "lib/util/time.h"
#include "smtpd/command.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

enum {
	PIECE_MAX = 64 * 1024,
	GULP_OCTETS = 16 * 1024, /* of a large message a turn: a hundred of 64 KiB take 10 ms */
};

/* The octets of a chunk that cannot be refused in any other way than by reading on to eternity. */
static const uint64_t chunk_limit = (uint64_t)1 << 40;

static void
say_stored(struct session *s)
{
	struct buf text = BUF(200);

	buf_addz(&text, "queued as ");
	id_format(&text, s->tx->id);
	if (config_is_capture(s->site->config))
		buf_addz(&text,
		         " (held: capture mode, nothing leaves until \"domains\" is configured)");
	session_say(s, (struct reply){250, {2, 0, 0}, buf_str(&text)});
	buf_free(&text);
}

static struct transaction *
of_job(struct handover_job *job)
{
	return CONTAINER(job, struct transaction, job);
}

static void
on_stored(struct handover_job *job, struct reply r)
{
	struct transaction *t = of_job(job);
	struct session     *s = t->session;

	if (r.code == 250) {
		s->idle_commands = 0;
		s->server->counts.accepted++;
		s->server->counts.accepted_octets += message_size(t->message);
		transaction_log(t);
		say_stored(s);
	} else {
		session_log_reject(s, "data", r.status[1] == 7 ? "over-quota" : "not-stored", r,
		                   STR_NONE);
		session_say(s, r);
	}
	session_reset(s);
	session_enter(s, PHASE_READY);
	session_continue(s);
}

/* The message ends in a refusal, and the transaction with it. */
static void
refuse(struct session *s, struct reply r, const char *why)
{
	session_log_reject(s, "data", why, r, STR_NONE);
	session_say(s, r);
	session_reset(s);
	session_enter(s, PHASE_READY);
}

static void
count_findings(struct session *s)
{
	uint64_t found = s->tx->message->fix.verdict.found;

	lint_count(s->server->counts.lint, found);
	senders_note(&s->server->senders, s->login, s->client, found);
}

static void
finish(struct session *s)
{
	struct transaction *t = s->tx;
	struct reply        r = message_finish(t->message);

	count_findings(s);
	if (r.code != 250)
		refuse(s, r, t->message->why);
	else if (!transaction_put(t))
		refuse(s, REPLY(552, 5, 5, 3, "the recipients' addresses are too long together"),
		       "too-big");
	else
		session_enter(s, PHASE_STORE);
}

static void
on_opened(struct handover_job *job, int fd)
{
	struct transaction *t = of_job(job);
	struct session     *s = t->session;

	message_spill(t->message, fd);
	if (s->stream != NULL)
		stream_gulp(s->stream, GULP_OCTETS);
	if (t->message->data.kind == DATA_DOTTED) {
		session_enter(s, PHASE_DATA);
	} else {
		session_enter(s, PHASE_CHUNK);
	}
	session_continue(s);
}

/* After each piece: a message that has become large goes on in the queue's file. */
static void
check_spill(struct session *s)
{
	struct transaction *t = s->tx;
	bool                tight = server_is_short(s->server);

	if (!message_wants_spill(t->message) && !(tight && message_tighten(t->message)))
		return;
	session_enter(s, PHASE_WAIT);
	handover_spill(s->server->handover, &t->job, t->params.size);
}

/* A header has to be whole before it can leave memory. */
static void
feed(struct session *s, struct str in)
{
	struct message *m = s->tx->message;

	if (!m->in_body && m->raw.n > 0 && server_is_short(s->server))
		message_give_up(m);
	stream_take(s->stream, message_feed(m, in));
}

static void
begin(struct session *s, enum data_kind kind)
{
	s->tx->job.opened = on_opened;
	s->tx->job.stored = on_stored;
	transaction_begin(s->tx, kind);
}

struct reply
run_data(struct session *s, struct str args UNUSED)
{
	if (s->tx->n_rcpts == 0)
		return REPLY(554, 5, 5, 1, "no recipient has been accepted");
	begin(s, DATA_DOTTED);
	session_enter(s, PHASE_DATA);
	return (struct reply){
		354, {0}, STR("send the message, end with a line that is only a dot")};
}

bool
data_input(struct session *s)
{
	struct message *m = s->tx->message;
	struct str      in = stream_peek(s->stream, PIECE_MAX);

	if (in.n == 0 && !m->data.ended)
		return false;
	if (in.n > 0)
		feed(s, in);
	/*
	 * The end may have come in the very piece that made it large: first the file, then the
	 * end.
	 */
	check_spill(s);
	if (s->phase == PHASE_DATA && m->data.ended)
		finish(s);
	return true;
}

/* Where a session rests that is in the middle of nothing. */
static enum phase
resting(const struct session *s)
{
	if (s->helo.p == NULL)
		return PHASE_START;
	if (s->tx == NULL)
		return PHASE_READY;
	if (s->tx->message != NULL)
		return PHASE_BDAT;
	return s->tx->n_rcpts > 0 ? PHASE_RCPT : PHASE_MAIL;
}

static bool
parse_chunk(struct session *s, struct str args)
{
	struct str number = str_word(&args), last = str_trim(args);

	if (!str_number(number, chunk_limit, &s->chunk_left))
		return false;
	s->chunk_last = str_ieq(last, STR("LAST"));
	return s->chunk_last || last.n == 0;
}

struct reply
run_bdat(struct session *s, struct str args)
{
	struct reply lost = REPLY(501, 5, 5, 4, "write BDAT SIZE or BDAT SIZE LAST: closing");

	/* Where the chunk ends is unknown, and its octets must not be taken for commands. */
	if (!parse_chunk(s, args)) {
		session_end(s, lost);
		return REPLY_LATER;
	}
	s->chunk_octets = s->chunk_left;
	s->chunk_begun_ms = time_mono_ms();
	s->chunk_drop = s->tx == NULL || s->tx->n_rcpts == 0;
	if (!s->chunk_drop && s->tx->message == NULL)
		begin(s, DATA_COUNTED);
	session_enter(s, PHASE_CHUNK);
	return REPLY_LATER;
}

/* The chunk is refused, the transaction over; more chunks may be on their way and are dropped. */
static void
end_chunk(struct session *s)
{
	struct message *m;
	struct reply    r;
	struct buf      text = BUF(64);

	if (s->chunk_drop) {
		r = REPLY(503, 5, 5, 1, "MAIL and a good RCPT come before BDAT");
		session_enter(s, resting(s));
		command_mistake(s, r);
		return;
	}
	m = s->tx->message;
	if (s->chunk_last) {
		finish(s);
	} else if ((r = message_refusal(m)).code != 0) {
		count_findings(s);
		refuse(s, r, m->why);
	} else {
		session_enter(s, PHASE_BDAT);
		buf_addn(&text, m->taken);
		buf_addz(&text, " octets so far");
		session_say(s, (struct reply){250, {2, 0, 0}, buf_str(&text)});
	}
	buf_free(&text);
}

bool
chunk_input(struct session *s)
{
	size_t     most = s->chunk_left < PIECE_MAX ? (size_t)s->chunk_left : PIECE_MAX;
	struct str in = most > 0 ? stream_peek(s->stream, most) : STR_NONE;

	if (in.n == 0 && s->chunk_left > 0)
		return false;
	if (in.n > 0) {
		if (!s->chunk_drop)
			feed(s, in);
		else
			stream_take(s->stream, in.n);
		s->chunk_left -= in.n;
	}
	if (!s->chunk_drop)
		check_spill(s);
	if (s->phase == PHASE_CHUNK && s->chunk_left == 0)
		end_chunk(s);
	return true;
}
