/* SPDX-License-Identifier: ISC */
/* One line of a script: which step it is, and the steps about connections and time. */
#include <stdlib.h>
#include <string.h>

#include "lib/util/mem.h"
#include "tests/fake/fields.h"
#include "tests/fake/script_inner.h"

static struct fake_peer *
peer(struct script *sc)
{
	struct fake_peer *p = fake_peer_at(sc->loop, sc->peer);

	if (p == NULL)
		script_fail(sc, "there is no connection yet");
	return p;
}

/* What the code under test may go on reading for the rest of the script. */
static const char *
keep(struct script *sc, struct str value)
{
	struct kept *k = mem_zero(sizeof *k + value.n + 1);

	if (value.n > 0)
		memcpy(k->text, value.p, value.n);
	k->next = sc->kept;
	sc->kept = k;
	return k->text;
}

static bool
run(struct script *sc)
{
	fake_run(sc->loop);
	return true;
}

/* The oldest connection that our side asked for and that no step was about. */
static struct fake_peer *
next_connecting(struct script *sc)
{
	struct fake_peer *p;

	while ((p = fake_peer_at(sc->loop, sc->resolved)) != NULL && !fake_is_connecting(p))
		sc->resolved++;
	if (p == NULL)
		script_fail(sc, "our side has asked for no connection");
	sc->peer = sc->resolved;
	return p;
}

static bool
is_to(struct script *sc, const struct fake_peer *p, struct str want)
{
	struct addr a, to = fake_to(p);
	struct buf  text = BUF(64);

	if (want.n == 0)
		return true;
	if (!addr_parse_port(want, 25, &a))
		return script_fail(sc, "\"%.*s\" is no address", (int)want.n, want.p);
	if (addr_equal(a, to) && a.port == to.port)
		return true;
	addr_format_port(&text, to);
	script_fail(sc, "expected a connection to %.*s, got %s", (int)want.n, want.p, buf_z(&text));
	buf_free(&text);
	return false;
}

static bool
do_connect(struct script *sc, struct str rest)
{
	struct fake_peer *p = next_connecting(sc);

	if (p == NULL || !is_to(sc, p, rest))
		return false;
	sc->resolved++;
	fake_connect(p);
	return run(sc);
}

static bool
do_refuse(struct script *sc, struct str rest)
{
	struct fake_peer *p = next_connecting(sc);

	if (p == NULL)
		return false;
	sc->resolved++;
	fake_fail(p, keep(sc, rest.n > 0 ? rest : STR("connection refused")));
	return run(sc);
}

static bool
do_reset(struct script *sc, struct str rest)
{
	struct fake_peer *p = peer(sc);

	if (p == NULL)
		return false;
	fake_fail(p, keep(sc, rest.n > 0 ? rest : STR("connection reset by peer")));
	return run(sc);
}

/* As reset, but our side sees it in one turn with what the next step does. */
static bool
do_unseen(struct script *sc, struct str rest UNUSED)
{
	struct fake_peer *p = peer(sc);

	if (p == NULL)
		return false;
	fake_fail(p, "connection reset by peer");
	return true;
}

static bool
do_use(struct script *sc, struct str rest)
{
	uint64_t n;

	if (!str_number(rest, fake_peers(sc->loop), &n) || n == 0)
		return script_fail(sc, "there is no connection \"%.*s\"", (int)rest.n, rest.p);
	sc->peer = (size_t)n - 1;
	return true;
}

static bool
do_eof(struct script *sc, struct str rest UNUSED)
{
	struct fake_peer *p = peer(sc);

	if (p == NULL)
		return false;
	fake_eof(p);
	return run(sc);
}

static bool
has_no_output(struct script *sc, const struct fake_peer *p)
{
	struct str got = fake_got(p);

	if (got.n == 0)
		return true;
	buf_addz(sc->why, "our side has sent more: ");
	script_show(sc->why, str_sub(got, 0, 200));
	return false;
}

static bool
do_close(struct script *sc, struct str rest UNUSED)
{
	struct fake_peer *p = peer(sc);

	if (p == NULL || !has_no_output(sc, p))
		return false;
	return fake_end(p) != FAKE_OPEN ||
	       script_fail(sc, "our side has not closed the connection");
}

static bool
do_open(struct script *sc, struct str rest UNUSED)
{
	struct fake_peer *p = peer(sc);

	return p != NULL &&
	       (fake_end(p) == FAKE_OPEN || script_fail(sc, "our side has closed the connection"));
}

/* "verified=no why=self-signed" and so on. */
static bool
read_info(struct script *sc, struct str rest, struct tls_info *info, struct str *name)
{
	struct pair p;
	uint64_t    bits;

	while (script_pair(&rest, &p)) {
		if (str_eq(p.key, STR("version")))
			info->version = keep(sc, p.value);
		else if (str_eq(p.key, STR("cipher")))
			info->cipher = keep(sc, p.value);
		else if (str_eq(p.key, STR("verified")))
			info->verified = str_eq(p.value, STR("yes"));
		else if (str_eq(p.key, STR("why")))
			info->why = keep(sc, p.value);
		else if (str_eq(p.key, STR("name")))
			*name = p.value;
		else if (str_eq(p.key, STR("bits")) && str_number(p.value, 4096, &bits))
			info->bits = (unsigned)bits;
		else
			return script_fail(sc, "what is \"%.*s\"?", (int)p.key.n, p.key.p);
	}
	if (!info->verified && info->why == NULL && sc->fixture->side == SCRIPT_CLIENT)
		info->why = "self-signed certificate";
	return true;
}

static bool
do_tls(struct script *sc, struct str rest)
{
	struct tls_info info = {.version = "1.3", .cipher = "TLS_AES_128_GCM_SHA256", .bits = 128};
	struct fake_peer *p = peer(sc);
	struct str        name = STR_NONE, word = rest;

	if (p == NULL)
		return false;
	if (fake_tls(p) != FAKE_TLS_ASKED)
		return script_fail(sc, "our side has not asked for TLS");
	if (str_eq(str_word(&word), STR("fail"))) {
		word = str_trim(word);
		fake_fail(p, keep(sc, word.n > 0 ? word : STR("TLS: handshake failure")));
		return run(sc);
	}
	info.verified = sc->fixture->side == SCRIPT_CLIENT;
	if (!read_info(sc, rest, &info, &name))
		return false;
	if (name.n > 0 && !str_ieq(name, fake_tls_name(p)))
		return script_fail(sc, "expected the name %.*s, got %.*s", (int)name.n, name.p,
		                   (int)fake_tls_name(p).n, fake_tls_name(p).p);
	fake_secure(p, &info);
	return run(sc);
}

static bool
do_plain(struct script *sc, struct str rest UNUSED)
{
	struct fake_peer *p = peer(sc);

	return p != NULL &&
	       (fake_tls(p) == FAKE_PLAIN || script_fail(sc, "our side has asked for TLS"));
}

static bool
do_stall(struct script *sc, struct str rest)
{
	struct fake_peer *p = peer(sc);

	if (p == NULL)
		return false;
	fake_stall(p, str_eq(rest, STR("on")));
	return run(sc);
}

static bool
do_quiet(struct script *sc, struct str rest UNUSED)
{
	const struct fake_frame *f = script_frame(sc);

	if (f != NULL)
		return script_fail(sc, "our side has sent frame %s", wire_name(f->id));
	for (size_t i = 0; i < fake_peers(sc->loop); i++)
		if (!has_no_output(sc, fake_peer_at(sc->loop, i)))
			return false;
	return true;
}

static bool
do_wait(struct script *sc, struct str rest)
{
	static const struct {
		struct str unit;
		int64_t    ms;
	} units[] = {
		{{"ms", 2}, 1},      {{"s", 1}, 1000},     {{"m", 1}, 60000},
		{{"h", 1}, 3600000}, {{"d", 1}, 86400000},
	};
	uint64_t n;

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (!str_ends(rest, units[i].unit) ||
		    !str_number(str_sub(rest, 0, rest.n - units[i].unit.n), 1000000, &n))
			continue;
		fake_wait(sc->loop, (int64_t)n * units[i].ms);
		return true;
	}
	return script_fail(sc, "\"%.*s\" is no time", (int)rest.n, rest.p);
}

static bool
do_gone(struct script *sc, struct str rest)
{
	enum role_id role;

	if (!role_find(rest, &role) || !fake_gone(sc->loop, role))
		return script_fail(sc, "there is no channel to \"%.*s\"", (int)rest.n, rest.p);
	return run(sc);
}

static bool
do_clog(struct script *sc, struct str rest)
{
	struct str   name = str_word(&rest);
	enum role_id role;
	uint64_t     n;

	if (!role_find(name, &role) || !str_number(str_trim(rest), SIZE_MAX, &n))
		return script_fail(sc, "clog ROLE OCTETS");
	fake_clog(sc->loop, role, (size_t)n);
	return true;
}

static bool
do_let(struct script *sc, struct str rest)
{
	struct str name = str_word(&rest);
	struct buf value = BUF(SCRIPT_TEXT_MAX);
	bool       ok = script_expand(sc, str_trim(rest), &value, NULL, NULL);

	if (ok)
		script_bind(sc, name, buf_str(&value));
	buf_free(&value);
	return ok;
}

static bool
do_fill(struct script *sc, struct str rest)
{
	struct str name = str_word(&rest), count = str_word(&rest);
	struct buf once = BUF(SCRIPT_TEXT_MAX), all = BUF(SCRIPT_TEXT_MAX);
	uint64_t   n = 0;
	bool ok = str_number(count, SCRIPT_TEXT_MAX, &n) || script_fail(sc, "fill NAME COUNT TEXT");

	ok = ok && script_expand(sc, str_trim(rest), &once, NULL, NULL);
	while (ok && n-- > 0)
		buf_add(&all, buf_str(&once));
	if (ok && all.over)
		ok = script_fail(sc, "that is more than a script may hold");
	if (ok)
		script_bind(sc, name, buf_str(&all));
	buf_free(&once);
	buf_free(&all);
	return ok;
}

static bool
do_text(struct script *sc, struct str rest)
{
	struct str name = str_word(&rest), line;
	bool       lf = str_eq(str_trim(rest), STR("lf"));
	struct buf all = BUF(SCRIPT_TEXT_MAX);
	bool       ended = false;

	while (!ended && str_cut(&sc->rest, '\n', &line)) {
		sc->line++;
		ended = str_eq(line, STR("end"));
		if (ended)
			break;
		buf_add(&all, line);
		buf_addz(&all, lf ? "\n" : "\r\n");
	}
	if (ended)
		script_bind(sc, name, buf_str(&all));
	buf_free(&all);
	return ended || script_fail(sc, "the text has no end");
}

static bool
do_ignore(struct script *sc, struct str rest)
{
	enum wire_id id;

	if (!fields_find_message(rest, &id))
		return script_fail(sc, "there is no message \"%.*s\"", (int)rest.n, rest.p);
	sc->ignored[id] = 1;
	return true;
}

static bool
do_own(struct script *sc, struct str rest)
{
	struct str word = str_word(&rest);

	if (sc->fixture->step == NULL)
		return script_fail(sc, "the fixture has no steps of its own");
	return sc->fixture->step(sc->it, word, str_trim(rest), sc->why) && run(sc);
}

static const struct {
	const char *word;
	bool (*run)(struct script *sc, struct str rest);
} steps[] = {
	{"Q:", script_query},    {"A:", script_answer}, {"file", script_file},
	{"connect", do_connect}, {"refuse", do_refuse}, {"reset", do_reset},
	{"unseen", do_unseen},
	{"use", do_use},         {"eof", do_eof},       {"close", do_close},
	{"open", do_open},       {"tls", do_tls},       {"plain", do_plain},
	{"stall", do_stall},     {"quiet", do_quiet},   {"wait", do_wait},
	{"gone", do_gone},       {"clog", do_clog},     {"let", do_let},
	{"fill", do_fill},       {"text", do_text},     {"ignore", do_ignore},
	{"do", do_own},
};

/* "C: text": who says it and how, and the text. */
struct said {
	bool       ours;
	char       how; /* ':' '<' '*' */
	struct str text;
};

static bool
parse_said(const struct script *sc, struct str line, struct said *s)
{
	char our = sc->fixture->side == SCRIPT_SERVER ? 'C' : 'S';

	if (line.n < 2 || (line.p[0] != 'C' && line.p[0] != 'S') ||
	    strchr(":<*", line.p[1]) == NULL)
		return false;
	*s = (struct said){.ours = line.p[0] == our, .how = line.p[1], .text = str_skip(line, 2)};
	if (str_starts(s->text, STR(" ")))
		s->text = str_skip(s->text, 1);
	return true;
}

static bool
expect_text(struct script *sc, struct str text)
{
	struct fake_peer *p = peer(sc);
	struct str        got = p == NULL ? STR_NONE : fake_got(p);

	if (p == NULL)
		return false;
	if (str_starts(got, text)) {
		fake_taken(p, text.n);
		return true;
	}
	buf_addz(sc->why, "expected the text, got ");
	script_show(sc->why, str_sub(got, 0, text.n + 200));
	return false;
}

static bool
say(struct script *sc, const struct said *s)
{
	struct str text = s->text;
	bool       found = true;

	if (s->how == '<') {
		text = script_var(sc, s->text, &found);
		if (!found)
			return script_fail(sc, "there is no text \"%.*s\"", (int)s->text.n,
			                   s->text.p);
	}
	if (s->ours) {
		if (s->how == '*')
			return script_fail(sc, "only what is expected can be skipped");
		if (s->how == ':')
			return script_sends(sc, text);
		buf_add(&sc->packet, text);
		return true;
	}
	if (!script_send_packet(sc))
		return false;
	if (s->how == '*')
		sc->skipping = true;
	return s->how == '*' || (s->how == '<' ? expect_text(sc, text) : script_expects(sc, text));
}

bool
script_step(struct script *sc, struct str line)
{
	struct said s;
	struct str  rest = line, word;

	if (str_trim(line).n == 0 || line.p[0] == '#')
		return true;
	if (parse_said(sc, line, &s))
		return say(sc, &s);
	word = str_word(&rest);
	if (!script_send_packet(sc))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (str_eq(word, str_of(steps[i].word)))
			return steps[i].run(sc, str_trim(rest));
	return script_fail(sc, "there is no step \"%.*s\"", (int)word.n, word.p);
}
