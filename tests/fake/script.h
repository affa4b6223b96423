/* SPDX-License-Identifier: ISC */
/*
 * script - plays a written dialogue against the code under test, in virtual time.
 *
 * A script is a text file, tests/dialogue/<area>/<what it shows>.smtp:
 *
 *     # A message from a trusted client is answered once it is stored.
 *     set domains example.com
 *     S: 220 mail.example.com *
 *     C: EHLO there
 *     S: 250-mail.example.com*
 *     S*                              # any lines, up to one that fits the next S:
 *     S: 250 *
 *     C: MAIL FROM:<a@example.com>
 *     C: RCPT TO:<b@example.net>      # with the line before: one packet, pipelined
 *     S: 250 2.1.0 *
 *     S: 250 2.1.5 *
 *     C: DATA
 *     S: 354 *
 *     C: .
 *     Q: PUT id=$id envelope~"from a@example.com"
 *     A: STORED id=$id code=250
 *     S: 250 2.0.0 queued as *
 *     wait 300s
 *     S: 421 *
 *     close
 *
 * Before the first step, `set KEY VALUE` lines are for the fixture (script_get())
 * and the runner: `peer` and `local` (addresses of accepted streams, default
 * 192.0.2.1:40000 and 192.0.2.25:25), `pieces whole` (below), `seed N` (random_hook).
 *
 * Steps. Under SCRIPT_SERVER the code under test is the S side, under SCRIPT_CLIENT the C side;
 * the script always plays the other one.
 *
 *     C: TEXT, S: TEXT  a line with its CRLF: sent if it is ours, else expected, and then a last `*`
 *                       fits any rest. Escapes: \r \n \t \0 \\ \xHH; a `\c` at the end: no CRLF after it;
 *                       `\*` is a star. $NAME and ${NAME}: a value bound by Q: or let.
 *                       Lines of ours in a row go out in one packet.
 *     C< NAME, S< NAME  the whole of text NAME, as it is: sent if ours, else expected
 *     C*, S*            skip expected lines until one fits the next expected line
 *     connect [ADDR]    (client) our side has asked for a connection; it gets through. Later steps are about it
 *     refuse [WHY]      (client) the same, but it fails: "connection refused"
 *     reset [WHY]       the connection breaks: "connection reset by peer"
 *     unseen            the same, in one turn of the loop with the frame of the next step
 *     use N             later steps are about the N-th connection (1: the first)
 *     eof               the peer half-closes
 *     close             our side has closed or finished the stream, with no output left
 *     open              our side has not closed it
 *     tls [KEY=VALUE]   our side has asked for TLS; it succeeds. version=1.2 cipher= bits= verified=no why= name=
 *                       (name: expected SNI)
 *     tls fail [WHY]    the same, but the handshake fails
 *     plain             our side has not asked for TLS
 *     stall on|off      the peer reads nothing
 *     quiet             nothing has been sent by our side, neither octets nor frames
 *     wait TIME         virtual time passes: 500ms 30s 5m 4h 5d
 *     Q: NAME K=V...    our side has sent this frame (wire.h; NAME as wire_name() says, any case).
 *                       K=V must be equal, K~V must be contained, V* fits any rest; K=$X binds X if
 *                       it is not bound yet. "V" keeps spaces; escapes as above. fd=yes|no
 *     A: NAME K=V...    send our side this frame; fd=file makes and passes an empty file,
 *                       fd=$TEXT one that holds that text
 *     file K V          about the last fd passed or got: size=N, ~TEXT, =TEXT
 *     gone ROLE         the channel's other end dies
 *     clog ROLE N       channel_unsent() says N from now on
 *     let NAME VALUE    bind; VALUE with escapes
 *     fill NAME N TEXT  bind NAME to N times TEXT, with escapes
 *     text NAME [lf]    the lines up to one that is only `end` are bound to NAME, each with CRLF (or LF)
 *     ignore NAME       frames of that name may come at any time and are dropped
 *     do WORD REST      the fixture's own step
 *
 * At the end nothing may be left: no output of our side, no frame.
 *
 * Each script is played twice: with each packet as written, and octet by octet
 * (the loop runs after each). `set pieces whole` leaves the second out, for
 * scripts that are about what comes in one packet.
 */
#ifndef TESTS_FAKE_SCRIPT_H
#define TESTS_FAKE_SCRIPT_H

#include "tests/fake/fake.h"

struct script;

enum script_side { SCRIPT_SERVER, SCRIPT_CLIENT }; /* what the code under test is */

struct script_fixture {
	enum script_side side;
	/*
	 * Build what is under test on loop `l`. A server gets the accepted "descriptor" by
	 * script_accept() and hands it to stream_accept() in its own way, later or now; a client starts to
	 * stream_connect(). Channels come from channel_open(l, -1, ROLE_SMTPD, ROLE_QUEUE, ...).
	 * Returns what stop() and step() get, or NULL with a sentence in `why` (a wrong `set`).
	 */
	void *(*start)(struct script *sc, struct loop *l, struct buf *why);
	void (*stop)(void *it);
	/* A `do` step; may be NULL. False and a sentence in `why` if it does not hold. */
	bool (*step)(void *it, struct str word, struct str rest, struct buf *why);
};

/* For start(): the value of `set key`, empty if there is none. */
struct str script_get(const struct script *sc, const char *key);
/* For start(): the n-th value (from 0) where `set key` is given several times; empty after the last. */
struct str script_get_nth(const struct script *sc, const char *key, size_t n);
/* For start(): a descriptor for stream_accept(), with the script's addresses behind it. */
int script_accept(struct script *sc);
/* For step(): a value bound in the script; empty if it is not. */
struct str script_value(const struct script *sc, const char *name);

/* Play one script of the octets `text`. False and "line 12: expected ..., got ..." in `why`. */
bool script_play(struct str text, const struct script_fixture *f, struct buf *why) MUST_USE;

/*
 * The whole main() of a test program: plays the files named in argv, writes TAP, returns the
 * exit code. In meson:
 *     test('dialogue-smtpd', executable(...), args: files(...), suite: 'dialogue', protocol: 'tap')
 */
int script_main(int argc, char **argv, const struct script_fixture *f);

#endif
