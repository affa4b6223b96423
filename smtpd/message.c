/* SPDX-License-Identifier: ISC */
#include "smtpd/message.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/mail/header.h"
#include "lib/proc/config.h"
#include "lib/proc/wire.h"
#include "lib/util/mem.h"
#include "smtpd/recode.h"

enum {
	SPARE_MAX = 32,
	SPARE_OCTETS = 64 * 1024, /* a spare message keeps no more memory than this */
	/*
	 * Up to so many gather in memory; the pieces of 64 KiB in which input comes make it 256 KiB
	 * at most while the file is waited for.
	 */
	INLINE_OCTETS = 192 * 1024,
	WRITE_OCTETS = 64 * 1024,
	TIGHT_OCTETS = 16 * 1024, /* while memory is short */
	TEXT_MAX = 2 * 1024 *
	           1024, /* never reached: input comes in pieces and is spilled between them */
};

void
messages_init(struct messages *ms)
{
	list_init(&ms->spare);
}

static void
release(struct message *m)
{
	buf_free(&m->raw);
	buf_free(&m->text);
	buf_free(&m->why_text);
	fixup_result_free(&m->fix);
	bodyhash_destroy(m->hash);
	free(m);
}

void
messages_free(struct messages *ms)
{
	struct link *k;

	while ((k = list_pop(&ms->spare)) != NULL)
		release(CONTAINER(k, struct message, link));
}

static struct message *
make(void)
{
	struct message *m = mem_zero(sizeof *m);

	buf_init(&m->raw, MESSAGE_HEAD_MAX);
	buf_init(&m->text, TEXT_MAX);
	buf_init(&m->why_text, POLICY_TEXT_MAX);
	fixup_result_init(&m->fix);
	m->hash = bodyhash_create(CANON_RELAXED);
	return m;
}

struct message *
message_create(struct messages *ms, const struct fixup *plan, uint64_t limit)
{
	struct link    *k = list_pop(&ms->spare);
	struct message *m = k != NULL ? CONTAINER(k, struct message, link) : make();

	m->plan = plan;
	m->limit = limit;
	m->taken = m->written = 0;
	m->fd = -1;
	m->in_body = m->eightbit = m->signs = false;
	m->refusal = (struct reply){0};
	m->why = NULL;
	fixup_reset(&m->fix);
	return m;
}

void
message_destroy(struct messages *ms, struct message *m)
{
	if (m == NULL)
		return;
	if (m->fd >= 0)
		close(m->fd);
	if (ms->spare.n >= SPARE_MAX || m->text.cap + m->raw.cap > SPARE_OCTETS) {
		release(m);
		return;
	}
	buf_clear(&m->raw);
	buf_clear(&m->text);
	list_push_front(&ms->spare, &m->link);
}

void
message_expect(struct message *m, enum data_kind kind, bool repair)
{
	data_init(&m->data, kind, repair);
	m->data.long_ok = m->plan->lint == LISTEN_LINT_FIX;
}

/* Words that a rule of lint.h has no part in. */
static void
refuse(struct message *m, const char *why, struct reply r)
{
	if (m->refusal.code != 0)
		return;
	m->refusal = r;
	m->why = why;
	/* Nothing of it is wanted any more. */
	buf_clear(&m->raw);
	buf_clear(&m->text);
}

static void
refuse_size(struct message *m, struct reply r)
{
	m->fix.verdict.found |= LINT_BIT(LINT_SIZE);
	refuse(m, "too-big", r);
}

/* A full disk is not the only reason, but the only one that passes by itself. */
static void
write_out(struct message *m)
{
	while (m->text.n > 0 && m->refusal.code == 0) {
		ssize_t n = write(m->fd, m->text.p, m->text.n);

		if (n > 0) {
			m->written += (uint64_t)n;
			buf_drop(&m->text, (size_t)n);
		} else if (errno != EINTR) {
			refuse(m, "spool",
			       REPLY(452, 4, 3, 1,
			             "the message cannot be written: try again later"));
		}
	}
}

static void
take_body(struct message *m, struct str piece)
{
	if (piece.n == 0)
		return;
	m->eightbit = m->eightbit || data_has_eightbit(piece);
	if (m->signs)
		bodyhash_feed(m->hash, piece);
	buf_add(&m->text, piece);
	if (m->fd >= 0 && m->text.n >= WRITE_OCTETS)
		write_out(m);
}

/* What only the whole message shows. */
static void
judge_body(struct message *m)
{
	struct lint_verdict *v = &m->fix.verdict;

	m->fix.facts.body_eightbit = m->eightbit;
	*v = lint_judge(&m->fix.facts, m->plan->lint);
	if (v->refused != LINT_RULES)
		refuse(m, "content", lint_reply(v->refused, STR_NONE, &m->why_text));
}

/* The header is whole: `head` without the empty line, `rest` what came behind that. */
static void
end_head(struct message *m, struct str head, struct str rest)
{
	const struct config    *config = m->plan->policy->config;
	struct reply            r = fixup_head(m->plan, head, &m->text, &m->fix);
	const struct dkim_conf *dkim;

	m->in_body = true;
	if (r.code != 250) {
		refuse(m, m->fix.why, r);
		return;
	}
	dkim = config_find_dkim(config, m->fix.header_from);
	m->signs = dkim != NULL;
	m->canon = m->signs && dkim->simple_body ? CANON_SIMPLE : CANON_RELAXED;
	bodyhash_restart(m->hash, m->canon);
	take_body(m, m->fix.rest);
	if (rest.p == NULL)
		return; /* the message had no empty line */
	if (m->fix.rest.n > 0)
		take_body(m, STR("\r\n"));
	take_body(m, rest);
}

/* Where the octets behind the empty line begin, or -1. `top`: the message begins here. */
static ptrdiff_t
find_body(struct str s, bool top)
{
	ptrdiff_t end;

	if (top && str_starts(s, STR("\r\n")))
		return 2;
	end = str_find_str(s, STR("\r\n\r\n"));
	return end < 0 ? -1 : end + 4;
}

static void
take_head(struct message *m, struct str piece)
{
	/* Three octets of what was there may be the beginning of the empty line's four. */
	size_t     had = m->raw.n, back = had < 3 ? had : 3, fits = MESSAGE_HEAD_MAX - had;
	struct str all = piece;
	ptrdiff_t  at;

	if (had > 0) {
		buf_add(&m->raw, str_sub(piece, 0, fits));
		all = str_skip(buf_str(&m->raw), had - back);
	}
	at = find_body(all, had <= 3);
	if (at >= 0) {
		size_t     used = (size_t)at + had - back;
		struct str whole = had > 0 ? buf_str(&m->raw) : piece;

		end_head(m, str_sub(whole, 0, used - 2), str_skip(piece, used - had));
		buf_clear(&m->raw);
	} else if (piece.n > fits) {
		refuse_size(m, REPLY(552, 5, 3, 4, "the header is larger than 256 KiB [size]"));
	} else if (had == 0) {
		buf_add(&m->raw, piece);
	}
}

static void
take(void *arg, struct str run)
{
	struct message *m = arg;

	m->taken += run.n;
	if (m->refusal.code != 0)
		return;
	if (m->taken > m->limit)
		refuse_size(m, REPLY(552, 5, 3, 4,
		                     "the message is larger than max-size allows [size]"));
	else if (m->in_body)
		take_body(m, run);
	else
		take_head(m, run);
}

size_t
message_feed(struct message *m, struct str in)
{
	return data_feed(&m->data, in, take, m);
}

/* The text names the line, so that a program's author finds it. */
static void
refuse_fault(struct message *m)
{
	static const enum lint_rule rules[] = {
		[DATA_FINE] = LINT_RULES,
		[DATA_BARE_CR] = LINT_BARE_CR,
		[DATA_BARE_LF] = LINT_BARE_LF,
		[DATA_NUL] = LINT_NUL,
		[DATA_LONG_LINE] = LINT_LINE_LONG_BODY,
	};
	enum lint_rule rule = rules[m->data.fault];

	m->fix.verdict.found |= LINT_BIT(rule);
	buf_clear(&m->why_text);
	buf_addz(&m->why_text, "line ");
	buf_addn(&m->why_text, m->data.line);
	buf_addc(&m->why_text, ' ');
	buf_addz(&m->why_text, data_fault_text(m->data.fault));
	refuse(m, "content", lint_reply(rule, buf_str(&m->why_text), &m->why_text));
}

/* ---- long lines ---- */

static bool
has_long_lines(const struct message *m)
{
	return m->data.long_line > 0 || m->fix.long_rest;
}

static void
on_recoded(void *arg, struct str run, bool in_body)
{
	struct message *m = arg;

	if (!in_body)
		buf_add(&m->text, run);
	/* A part that passes as it is comes in one run. */
	for (; in_body && run.n > 0 && m->refusal.code == 0; run = str_skip(run, WRITE_OCTETS))
		take_body(m, str_sub(run, 0, WRITE_OCTETS));
}

static void
recode_text(struct message *m, struct str old)
{
	const char *cannot = recode(old, on_recoded, m);

	if (cannot == NULL) {
		m->fix.facts.fixed |= FIXED_ENCODED;
		return;
	}
	m->fix.facts.noted |= LINT_BIT(LINT_LINE_LONG_BODY);
	m->fix.verdict.found |= LINT_BIT(LINT_LINE_LONG_BODY);
	buf_clear(&m->why_text);
	if (m->data.long_line > 0)
		buf_addf(&m->why_text, "line %llu", (unsigned long long)m->data.long_line);
	else
		buf_addz(&m->why_text, "a line");
	buf_addf(&m->why_text, " has over 998 octets and %s", cannot);
	refuse(m, "content",
	       lint_reply(LINT_LINE_LONG_BODY, buf_str(&m->why_text), &m->why_text));
}

/* Move what was written behind the first `old` octets to the start, and cut the rest off. */
static bool
move_down(struct message *m, uint64_t old)
{
	struct buf piece = BUF(WRITE_OCTETS);
	char      *room = buf_room(&piece, WRITE_OCTETS);
	uint64_t   at = 0, n = m->written - old;
	bool       ok = true;

	while (ok && at < n) {
		ssize_t got = pread(m->fd, room, WRITE_OCTETS, (off_t)(old + at));

		ok = got > 0 && pwrite(m->fd, room, (size_t)got, (off_t)at) == got;
		at += ok ? (uint64_t)got : 0;
	}
	buf_free(&piece);
	m->written = n;
	return ok && ftruncate(m->fd, (off_t)n) == 0;
}

static void
recode_file(struct message *m)
{
	uint64_t old = m->written;
	void    *map = mmap(NULL, (size_t)old, PROT_READ, MAP_SHARED, m->fd, 0);
	bool     ok = map != MAP_FAILED;

	if (ok) {
		recode_text(m, (struct str){map, (size_t)old});
		munmap(map, (size_t)old);
		write_out(m);
		ok = m->refusal.code != 0 || move_down(m, old);
	}
	if (!ok)
		refuse(m, "spool",
		       REPLY(452, 4, 3, 1, "the message cannot be written: try again later"));
}

static void
recode_body(struct message *m)
{
	struct buf old;

	m->eightbit = false;
	bodyhash_restart(m->hash, m->canon);
	if (m->fd >= 0) {
		write_out(m);
		recode_file(m);
	} else {
		old = m->text;
		buf_init(&m->text, old.limit);
		recode_text(m, buf_str(&old));
		buf_free(&old);
	}
	if (m->refusal.code == 0)
		judge_body(m);
	if (m->refusal.code == 0 && message_size(m) > m->limit)
		refuse_size(m, REPLY(552, 5, 3, 4,
		                     "the message is larger than max-size allows once its long "
		                     "lines are encoded [size]"));
}

struct reply
message_refusal(struct message *m)
{
	if (m->data.fault != DATA_FINE)
		refuse_fault(m);
	return m->refusal;
}

struct reply
message_finish(struct message *m)
{
	uint64_t before = m->taken;
	unsigned fixed = m->data.repaired ? FIXED_BARE_LF : 0;

	if (m->data.kind == DATA_COUNTED)
		data_finish(&m->data, take, m);
	if (m->taken > before)
		fixed |= FIXED_FINAL_CRLF;
	if (message_refusal(m).code == 0 && !m->in_body)
		end_head(m, buf_str(&m->raw), STR_NONE);
	if (m->refusal.code == 0 && has_long_lines(m))
		recode_body(m);
	else if (m->refusal.code == 0 && m->eightbit)
		judge_body(m);
	if (m->fd >= 0)
		write_out(m);
	/* All others went to a file long ago: this one is a header alone, grown by repair. */
	if (m->text.over || (m->fd < 0 && m->text.n > WIRE_INLINE_MAX))
		refuse_size(m, REPLY(552, 5, 3, 4, "the header is too large [size]"));
	if (m->refusal.code != 0)
		return m->refusal;
	m->fix.facts.fixed |= fixed;
	return REPLY(250, 2, 0, 0, "ok");
}

void
message_hash(struct message *m, struct buf *out)
{
	if (m->signs)
		bodyhash_finish_text(m->hash, out);
}

bool
message_wants_spill(const struct message *m)
{
	/* Quoted-printable makes four octets of one at most, line breaks and fields included. */
	size_t fits = has_long_lines(m) ? INLINE_OCTETS / 4 : INLINE_OCTETS;

	return m->fd < 0 && m->refusal.code == 0 && m->text.n > fits;
}

/* The room of a large piece, once it is written. */
static void
drop_empty(struct message *m)
{
	if (m->text.n == 0)
		buf_free(&m->text);
}

bool
message_tighten(struct message *m)
{
	bool much = m->text.n > TIGHT_OCTETS && m->refusal.code == 0;

	if (much && m->fd >= 0) {
		write_out(m);
		drop_empty(m);
	}
	return much && m->fd < 0 && m->in_body;
}

void
message_give_up(struct message *m)
{
	refuse(m, "no-memory",
	       REPLY(452, 4, 3, 1, "memory is short here now: try again in a moment"));
	buf_free(&m->raw);
	buf_free(&m->text);
}

uint64_t
message_held(const struct message *m)
{
	return m->raw.cap + m->text.cap;
}

void
message_spill(struct message *m, int fd)
{
	assert(m->fd < 0);
	m->fd = fd;
	if (fd < 0) {
		refuse(m, "spool",
		       REPLY(451, 4, 3, 0,
		             "the queue has no room for a large message now: try again"));
	} else {
		write_out(m);
		drop_empty(m);
	}
}

uint64_t
message_size(const struct message *m)
{
	return m->written + m->text.n;
}
