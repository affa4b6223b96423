/* SPDX-License-Identifier: ISC */
/* The steps that play the peer's words: lines out and in. */
#include <string.h>

#include "tests/fake/script_inner.h"

enum { SHOWN_MAX = 200 };

static struct fake_peer *
peer(struct script *sc)
{
	struct fake_peer *p = fake_peer_at(sc->loop, sc->peer);

	if (p == NULL)
		script_fail(sc, "there is no connection yet");
	return p;
}

bool
script_sends(struct script *sc, struct str text)
{
	bool open;

	if (!script_expand(sc, text, &sc->packet, NULL, &open))
		return false;
	if (!open)
		buf_add(&sc->packet, STR("\r\n"));
	return true;
}

bool
script_send_packet(struct script *sc)
{
	struct fake_peer *p;
	struct str        all = buf_str(&sc->packet);

	if (all.n == 0)
		return true;
	if ((p = peer(sc)) == NULL)
		return false;
	if (fake_end(p) != FAKE_OPEN)
		return script_fail(sc, "our side has closed, the line before cannot be sent");
	if (!sc->octets) {
		fake_send(p, all);
		fake_run(sc->loop);
	}
	for (size_t i = 0; sc->octets && i < all.n && fake_end(p) == FAKE_OPEN; i++) {
		fake_send(p, str_sub(all, i, 1));
		fake_run(sc->loop);
	}
	buf_clear(&sc->packet);
	return true;
}

static bool
complain(struct script *sc, struct str want, bool star, struct str got)
{
	buf_addz(sc->why, "expected ");
	script_show(sc->why, want);
	buf_addz(sc->why, star ? "*, got " : ", got ");
	if (got.n == 0)
		buf_addz(sc->why, "nothing");
	else
		script_show(sc->why, str_sub(got, 0, SHOWN_MAX));
	return false;
}

/* The next line that was sent to us, with its end; empty: none. */
static struct str
next_line(const struct fake_peer *p)
{
	struct str got = fake_got(p);
	ptrdiff_t  end = str_find(got, '\n');

	return end < 0 ? STR_NONE : str_sub(got, 0, (size_t)end + 1);
}

static bool
is_line(struct str line, struct str want, bool star)
{
	if (!str_ends(line, STR("\r\n")))
		return false;
	line = str_sub(line, 0, line.n - 2);
	return star ? str_starts(line, want) : str_eq(line, want);
}

static bool
expect_line(struct script *sc, struct fake_peer *p, struct str want, bool star)
{
	struct str line = next_line(p);

	while (sc->skipping && line.n > 0 && !is_line(line, want, star)) {
		fake_taken(p, line.n);
		line = next_line(p);
	}
	if (!is_line(line, want, star))
		return complain(sc, want, star, line.n > 0 ? line : fake_got(p));
	sc->skipping = false;
	fake_taken(p, line.n);
	return true;
}

/* A part of a line, marked by \c. */
static bool
expect_octets(struct script *sc, struct fake_peer *p, struct str want)
{
	if (!str_starts(fake_got(p), want))
		return complain(sc, want, false, fake_got(p));
	fake_taken(p, want.n);
	return true;
}

bool
script_expects(struct script *sc, struct str text)
{
	struct fake_peer *p = peer(sc);
	struct buf        want = BUF(SCRIPT_TEXT_MAX);
	bool              star, open;
	bool              ok = p != NULL && script_expand(sc, text, &want, &star, &open);

	if (ok)
		ok = open ? expect_octets(sc, p, buf_str(&want))
		          : expect_line(sc, p, buf_str(&want), star);
	buf_free(&want);
	return ok;
}
