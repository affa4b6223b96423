/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/stage.h"

#include "lib/net/loop.h"
#include "lib/proc/config.h"
#include "lib/proc/role.h"

enum { ACTS_MAX = 2000, ANSWERS_MAX = 500, WAIT_MAX = 22, END_MS = 30 * 60 * 1000, PIECE_MAX = 4000 };

struct role {
	enum role_id             id;
	const struct play       *play;
	struct str               in;
	const struct role_hooks *hooks;
	void                    *self;
	struct loop             *loop;
	unsigned                 peer;
	bool                     done;
};

/* role_run() has no argument for it. */
static struct role on_stage;

static void
give_config(struct role *r)
{
	static uint32_t generation;
	struct config  *c = config_read(str_of(r->play->config), ++generation);

	must(c != NULL);
	r->hooks->config(r->self, c);
}

static void
give_neighbour(struct role *r, unsigned which)
{
	static const struct {
		enum role_id who, of;
	} rows[] = {
		{ROLE_QUEUE, ROLE_SMTPD},    {ROLE_AUTH, ROLE_SMTPD},      {ROLE_SMTPD, ROLE_AUTH},
		{ROLE_SMTPD, ROLE_QUEUE},    {ROLE_DELIVERY, ROLE_QUEUE},  {ROLE_QUEUE, ROLE_DELIVERY},
		{ROLE_KEYD, ROLE_DELIVERY},  {ROLE_DELIVERY, ROLE_KEYD},
	};
	const size_t n = ARRAY_LEN(rows);

	for (size_t i = 0; i < n; i++) {
		size_t at = (i + which % 8) % n;

		if (rows[at].of != r->id)
			continue;
		if (which >= 128)
			(void)!fake_gone(r->loop, rows[at].who);
		fake_run(r->loop);
		r->hooks->peer(r->self, rows[at].who, which >> 3 & 3, -1);
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
	(void)!fake_message(l, id, msg, fd);
}

static void
give_frame(struct role *r, unsigned which)
{
	_Alignas(max_align_t) unsigned char msg[WIRE_STRUCT_MAX];

	enum wire_id ids[WIRE_COUNT];
	size_t       n = 0;
	struct str   payload = take_piece(&r->in);

	for (enum wire_id id = WIRE_NONE + 1; id < WIRE_COUNT; id++)
		if (may_come(r, id))
			ids[n++] = id;
	if (wire_decode(ids[which % n], payload, msg))
		stage_give(r->loop, ids[which % n], msg, -1);
}

static void
answer_all(struct role *r)
{
	const struct fake_frame *f;

	for (int i = 0; i < ANSWERS_MAX && (f = fake_frame(r->loop)) != NULL; i++) {
		if (r->play->answer != NULL)
			r->play->answer(r->loop, f);
		fake_frame_drop(r->loop);
		fake_run(r->loop);
	}
}

static void
lose_frame(struct role *r)
{
	if (fake_frame(r->loop) != NULL)
		fake_frame_drop(r->loop);
}

static void
ask_figures(struct role *r)
{
	struct buf rows = BUF(64 * 1024);

	if (r->hooks->stats != NULL)
		r->hooks->stats(r->self, &rows);
	must(!rows.over);
	buf_free(&rows);
}

/* False: that is no act of a peer. */
static bool
act_peer(struct role *r, unsigned what)
{
	size_t            n = fake_peers(r->loop);
	struct fake_peer *p = n > 0 ? fake_peer_at(r->loop, n - 1 - r->peer % n) : NULL;

	if (what >= '0' && what <= '9')
		r->peer = what - '0';
	else if (what == '>' && p != NULL)
		fake_send(p, take_piece(&r->in));
	else if (what == 'o' && p != NULL && fake_is_connecting(p))
		fake_connect(p);
	else if (what == 'e' && p != NULL)
		fake_eof(p);
	else if (what == 'k' && p != NULL)
		fake_fail(p, "reset");
	else if (what == 'z' && p != NULL)
		fake_stall(p, (take_octet(&r->in) & 1) != 0);
	else if (what == 't' && p != NULL && fake_tls(p) == FAKE_TLS_ASKED)
		fake_secure(p, &(struct tls_info){.version = "TLSv1.3", .cipher = "TLS_AES_128_GCM_SHA256", .bits = 128});
	else
		return false;
	return true;
}

static void
act(struct role *r, unsigned code)
{
	unsigned what = code & 127;

	switch (what) {
	case '!':
		answer_all(r);
		break;
	case '?':
		lose_frame(r);
		break;
	case 'x':
		give_neighbour(r, take_octet(&r->in));
		break;
	case 'w':
		fake_wait(r->loop, (int64_t)1 << take_octet(&r->in) % WAIT_MAX);
		break;
	case 'c':
		give_config(r);
		break;
	case 's':
		ask_figures(r);
		break;
	default:
		if (what < 32)
			give_frame(r, what);
		else if (!act_peer(r, what) && r->play->act != NULL)
			r->play->act(r->loop, what, &r->in);
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

int
role_run(enum role_id id, unsigned index UNUSED, const struct role_hooks *hooks, void *self)
{
	struct role *r = &on_stage;
	struct buf   why = BUF(4096);

	r->id = id;
	r->hooks = hooks;
	r->self = self;
	must(hooks->start == NULL || hooks->start(self, r, &why));
	give_config(r);
	for (unsigned i = 0; i < 8; i++)
		give_neighbour(r, i);
	for (unsigned i = 0; i < r->play->listeners; i++)
		hooks->listener(self, i, -1);
	hooks->go(self);
	if (r->play->begin != NULL)
		r->play->begin(r->loop);
	fake_run(r->loop);
	for (int i = 0; i < ACTS_MAX && r->in.n > 0 && !r->done; i++)
		act(r, take_octet(&r->in));
	if (r->play->end != NULL)
		r->play->end(r->loop);
	finish(r);
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

/* The supervisor would bring a new channel: that is an act. */
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
	hush();
	on_stage = (struct role){.play = p, .in = in, .loop = loop_create()};
	(void)p->role_main(0);
	loop_destroy(on_stage.loop);
}
