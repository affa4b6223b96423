/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/smtpd_play.h"

#include <sys/mman.h>

#include "lib/mail/envelope.h"
#include "lib/net/listener.h"
#include "lib/util/mem.h"
#include "smtpd/smtpd.h"

enum { PLACES = 2, LINE_LIMIT = 512 };

struct listener {
	struct listener **place;
	void (*fn)(void *arg, int fd, struct addr peer);
	void *arg;
};

/* Stands in for lib/net/listener.c: clients come when the input says so. */
static struct {
	struct listener *at[PLACES];
	size_t           n, messages;
} doors;

struct listener *
listener_open(struct loop *l UNUSED, int fd UNUSED, void (*fn)(void *arg, int fd, struct addr peer), void *arg)
{
	struct listener *ls = mem_zero(sizeof *ls);

	must(doors.n < PLACES);
	*ls = (struct listener){.place = &doors.at[doors.n++], .fn = fn, .arg = arg};
	*ls->place = ls;
	return ls;
}

void
listener_pause(struct listener *ls UNUSED)
{
}

void
listener_resume(struct listener *ls UNUSED)
{
}

void
listener_close(struct listener *ls)
{
	if (ls == NULL)
		return;
	*ls->place = NULL;
	free(ls);
}

static void
come_in(struct loop *l, unsigned which)
{
	static const char *const addresses[] = {"192.0.2.1:40000", "203.0.113.9:1", "127.0.0.1:2", "[2001:db8::1]:3"};
	struct listener         *ls = doors.at[which >> 2 & 1];
	struct addr              peer, local;

	must(addr_parse_port(str_of(addresses[which % 4]), 0, &peer));
	must(addr_parse_port(STR("192.0.2.25:25"), 0, &local));
	fake_addresses(l, peer, local);
	if (ls != NULL)
		ls->fn(ls->arg, -1, peer);
}

static void
introduce(struct loop *l)
{
	static const struct wire_mechs  mechs = {{"PLAIN LOGIN", 11}, {"PLAIN LOGIN SCRAM-SHA-256", 25}};
	static const struct wire_intake intake = {.state = INTAKE_OPEN};

	stage_give(l, WIRE_MECHS, &mechs, -1);
	stage_give(l, WIRE_INTAKE, &intake, -1);
}

/* What passed says of itself what is true, and nobody could see two messages in it. */
static void
take(const struct wire_put *m)
{
	struct envelope e;

	must(envelope_parse(&e, m->envelope));
	must(e.n_rcpts > 0 && e.size == m->size && (m->spilled != 0 || m->body.n == m->size));
	must(str_find_str(m->body, STR("\r\n.\r\n")) < 0 || str_eq(e.proto, STR_NONE) || m->body.n > 5);
	for (size_t i = 0; i < m->body.n; i++)
		must(m->body.p[i] != '\0' &&
		     (m->body.p[i] == '\n') == (i > 0 && m->body.p[i - 1] == '\r'));
	envelope_free(&e);
	doors.messages++;
}

static void
answer(struct loop *l, const struct fake_frame *f)
{
	const struct wire_put        *put = f->msg;
	const struct wire_spill      *spill = f->msg;
	const struct wire_auth_start *start = f->msg;
	const struct wire_auth_step  *step = f->msg;
	struct wire_auth_done         done = {.code = 235, .login = STR("app1")};

	switch ((unsigned)f->id) {
	case WIRE_PUT:
		take(put);
		stage_give(l, WIRE_STORED, &(struct wire_stored){.id = put->id, .code = 250, .text = STR("2.0.0 ok")}, -1);
		break;
	case WIRE_SPILL:
		stage_give(l, WIRE_SPILLED, &(struct wire_spilled){.id = spill->id, .ok = 1}, memfd_create("spill", MFD_CLOEXEC));
		break;
	case WIRE_AUTH_START:
		done.id = start->id;
		if (start->has_initial != 0)
			stage_give(l, WIRE_AUTH_DONE, &done, -1);
		else
			stage_give(l, WIRE_AUTH_MORE, &(struct wire_auth_more){.id = start->id, .challenge = STR("Username:")}, -1);
		break;
	case WIRE_AUTH_STEP:
		done.id = step->id;
		stage_give(l, WIRE_AUTH_DONE, &done, -1);
	}
}

/* Each line of ours is a reply's, whatever the client made us repeat. */
static void
check_replies(struct str said)
{
	struct str line;

	must(said.n == 0 || said.p[said.n - 1] == '\n');
	while (said.n > 0 && str_cut(&said, '\n', &line)) {
		must(line.n > 4 && line.n <= LINE_LIMIT * 2 && line.p[line.n - 1] == '\r');
		must(line.p[0] >= '2' && line.p[0] <= '5' && (line.p[3] == ' ' || line.p[3] == '-'));
		must(str_find(str_sub(line, 0, line.n - 1), '\r') < 0 && str_find(line, '\0') < 0);
	}
}

static void
begin(struct role *r)
{
	doors.messages = 0;
	introduce(r->loop);
}

static void
end(struct loop *l)
{
	for (size_t i = 0; i < fake_peers(l); i++)
		check_replies(fake_got(fake_peer_at(l, i)));
}

static void
act(struct role *r, unsigned what, struct str *rest)
{
	if (what == 'n')
		come_in(r->loop, take_octet(rest));
	else if (what == 'i')
		introduce(r->loop);
}

static int
run(unsigned index)
{
	doors.n = 0;
	return smtpd_main(index);
}

size_t
smtpd_play_messages(void)
{
	return doors.messages;
}

const struct play smtpd_play = {
	.role_main = run,
	.config = "hostname mail.example.com\ndomains example.com *.example.com\n"
		"trust 192.0.2.0/24\ntrust 127.0.0.0/8\n"
		"listen 192.0.2.25:25\nlisten 192.0.2.25:587 starttls auth\n"
		"tls /c.pem data:QUJD /k.pem data:REVG\nmax-size 1000000\n"
		"dkim example.com { key s1 /k/1.pem rsa data:QUJD }\n",
	.listeners = PLACES,
	.answer = answer,
	.begin = begin,
	.end = end,
	.act = act,
};
