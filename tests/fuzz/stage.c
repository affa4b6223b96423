/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/stage.h"

#include "lib/net/loop.h"
#include "tests/fuzz/role.h"

enum { ACTS_MAX = 2000, ANSWERS_MAX = 500, WAIT_MAX = 22, END_MS = 30 * 60 * 1000, PIECE_MAX = 4000 };

struct stage {
	struct role        role;
	const struct play *play;
	struct str         in;
	unsigned           peer;
	unsigned           speaker; /* 0: who is expected to speak; else the channel of that number, from 1 */
};

/* stage_give() has no argument for it. */
static struct stage on_stage;

static const struct {
	enum role_id who, of;
} neighbours[16] = {
	{ROLE_QUEUE, ROLE_SMTPD},    {ROLE_AUTH, ROLE_SMTPD},      {ROLE_SMTPD, ROLE_AUTH},
	{ROLE_SMTPD, ROLE_QUEUE},    {ROLE_DELIVERY, ROLE_QUEUE},  {ROLE_QUEUE, ROLE_DELIVERY},
	{ROLE_KEYD, ROLE_DELIVERY},  {ROLE_DELIVERY, ROLE_KEYD},   {ROLE_SMTPD, ROLE_KEYD},
};

static void
give_neighbour(struct role *r, unsigned which)
{
	const size_t n = ARRAY_LEN(neighbours);

	for (size_t i = 0; i < n; i++) {
		size_t at = (i + which % n) % n;

		if (neighbours[at].of != r->id)
			continue;
		if (which >= 128)
			(void)!fake_gone(r->loop, neighbours[at].who);
		fake_run(r->loop);
		r->hooks->peer(r->self, neighbours[at].who, which >> 4 & 3, -1);
		return;
	}
}

/* Frames of the supervisor are role.c's, and it is trusted. */
static bool
may_come(const struct role *r, enum wire_id id)
{
	for (enum role_id from = ROLE_SMTPD; from < ROLE_COUNT; from++)
		if (wire_may_pass(id, from, r->id))
			return true;
	return false;
}

void
stage_give(struct loop *l, enum wire_id id, const void *msg, int fd)
{
	if (on_stage.speaker > 0)
		(void)!fake_message_on(l, on_stage.speaker - 1, id, msg, fd);
	else
		(void)!fake_message(l, id, msg, fd);
}

static void
give_frame(struct stage *s, unsigned which)
{
	_Alignas(max_align_t) unsigned char msg[WIRE_STRUCT_MAX];

	enum wire_id ids[WIRE_COUNT];
	size_t       n = 0;
	struct str   payload = take_piece(&s->in);

	for (enum wire_id id = WIRE_NONE + 1; id < WIRE_COUNT; id++)
		if (may_come(&s->role, id))
			ids[n++] = id;
	if (wire_decode(ids[which % n], payload, msg))
		stage_give(s->role.loop, ids[which % n], msg, -1);
}

static void
answer_all(const struct stage *s)
{
	struct loop             *l = s->role.loop;
	const struct fake_frame *f;

	for (int i = 0; i < ANSWERS_MAX && (f = fake_frame(l)) != NULL; i++) {
		if (s->play->answer != NULL)
			s->play->answer(l, f);
		fake_frame_drop(l);
		fake_run(l);
	}
}

static void
lose_frame(struct loop *l)
{
	if (fake_frame(l) != NULL)
		fake_frame_drop(l);
}

static void
ask_figures(const struct role *r)
{
	struct buf rows = BUF(64 * 1024);

	if (r->hooks->stats != NULL)
		r->hooks->stats(r->self, &rows);
	must(!rows.over);
	buf_free(&rows);
}

/* False: that is no act of a peer. */
static bool
act_peer(struct stage *s, unsigned what)
{
	struct loop      *l = s->role.loop;
	size_t            n = fake_peers(l);
	struct fake_peer *p = n > 0 ? fake_peer_at(l, n - 1 - s->peer % n) : NULL;

	if (what >= '0' && what <= '9')
		s->peer = what - '0';
	else if (what == '>' && p != NULL)
		fake_send(p, take_piece(&s->in));
	else if (what == 'o' && p != NULL && fake_is_connecting(p))
		fake_connect(p);
	else if (what == 'e' && p != NULL)
		fake_eof(p);
	else if (what == 'k' && p != NULL)
		fake_fail(p, "reset");
	else if (what == 'z' && p != NULL)
		fake_stall(p, (take_octet(&s->in) & 1) != 0);
	else if (what == 't' && p != NULL && fake_tls(p) == FAKE_TLS_ASKED)
		fake_secure(p, &(struct tls_info){.version = "TLSv1.3", .cipher = "TLS_AES_128_GCM_SHA256", .bits = 128});
	else
		return false;
	return true;
}

static void
act(struct stage *s, unsigned code)
{
	struct role *r = &s->role;
	unsigned     what = code & 127;

	switch (what) {
	case '!':
		answer_all(s);
		break;
	case '?':
		lose_frame(r->loop);
		break;
	case '#':
		s->speaker = take_octet(&s->in);
		break;
	case 'x':
		give_neighbour(r, take_octet(&s->in));
		break;
	case 'w':
		fake_wait(r->loop, (int64_t)1 << take_octet(&s->in) % WAIT_MAX);
		break;
	case 'c':
		role_configure(r);
		break;
	case 's':
		ask_figures(r);
		break;
	default:
		if (what < 32)
			give_frame(s, what);
		else if (!act_peer(s, what) && s->play->act != NULL)
			s->play->act(r, what, &s->in);
	}
	if (code == what) /* else several things happen at once */
		fake_run(r->loop);
}

/* The neighbours die, then the role is told to end: nothing may keep it from that. */
static void
finish(struct role *r)
{
	fake_run(r->loop);
	for (enum role_id who = ROLE_SMTPD; who < ROLE_COUNT; who++)
		while (fake_gone(r->loop, who))
			fake_run(r->loop);
	if (r->hooks->drain != NULL)
		r->hooks->drain(r->self);
	fake_wait(r->loop, END_MS);
	must(r->done || r->hooks->drain == NULL);
}

static void
live(struct role *r)
{
	struct stage      *s = CONTAINER(r, struct stage, role);
	const struct play *p = s->play;

	for (size_t i = 0; i < ARRAY_LEN(neighbours); i++)
		if (neighbours[i].of == r->id)
			r->hooks->peer(r->self, neighbours[i].who, 0, -1);
	for (unsigned i = 0; i < p->listeners; i++)
		r->hooks->listener(r->self, i, -1);
	if (p->spool != NULL)
		r->hooks->spool(r->self, p->spool());
	r->hooks->go(r->self);
	if (p->begin != NULL)
		p->begin(r);
	fake_run(r->loop);
	for (int i = 0; i < ACTS_MAX && s->in.n > 0 && !r->done; i++)
		act(s, take_octet(&s->in));
	if (p->end != NULL)
		p->end(r->loop);
	finish(r);
}

void
stage_add_octets(struct buf *acts, struct str octets, size_t step)
{
	must(step > 0 && step <= PIECE_MAX);
	for (; octets.n > 0; octets = str_skip(octets, step)) {
		struct str piece = str_sub(octets, 0, step);

		buf_addc(acts, '>');
		if (piece.n >= 240)
			buf_addc(acts, (char)(240 + (piece.n >> 8)));
		buf_addc(acts, (char)(piece.n & 255));
		buf_add(acts, piece);
		buf_addc(acts, '!');
	}
}

void
stage_play(const struct play *p, struct str in)
{
	struct loop *l = loop_create();

	hush();
	on_stage = (struct stage){.role = {.loop = l, .config = p->config, .life = live}, .play = p, .in = in};
	role_play(&on_stage.role, p->role_main);
	if (p->after != NULL)
		p->after(l);
	loop_destroy(l);
}
