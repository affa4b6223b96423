/* SPDX-License-Identifier: ISC */
#include "smtpd/data.h"

#include <string.h>

enum state {
	LINE_START, /* behind a CRLF, or at the very start */
	DOT,        /* a dot at the start of a line, dropped */
	DOT_CR,     /* the same and a CR, held back */
	IN_LINE,
	AFTER_CR, /* a CR, passed on already */
	AFTER_LF, /* a bare one, repaired: a new line, but no place for a dot to mean anything */
};

/* One call's view: octets from `from` up to where we are have not been passed on. */
struct walk {
	struct data *d;
	struct str   in;
	size_t       at, from;
	data_fn     *out;
	void        *arg;
};

static void
emit(struct walk *w, struct str run)
{
	if (run.n > 0 && w->d->fault == DATA_FINE)
		w->out(w->arg, run);
}

/* Pass on what is unsent, and leave out the next `hole` octets. */
static void
flush(struct walk *w, size_t hole)
{
	emit(w, str_sub(w->in, w->from, w->at - w->from));
	w->from = w->at + hole;
}

static void
fault(struct data *d, enum data_fault what)
{
	if (d->fault != DATA_FINE)
		return;
	d->fault = what;
	d->line = d->lines + 1;
}

static void
count(struct data *d, size_t octets)
{
	/* Clipped, so that an endless line cannot wrap it. */
	d->column += octets > 2 * DATA_LINE_MAX ? 2 * DATA_LINE_MAX : (unsigned)octets;
	if (d->column <= DATA_LINE_MAX)
		return;
	d->column = DATA_LINE_MAX + 1;
	if (d->in_head)
		return;
	if (!d->long_ok)
		fault(d, DATA_LONG_LINE);
	else if (d->long_line == 0)
		d->long_line = d->lines + 1;
}

static void
end_line(struct data *d, enum state then)
{
	if (d->column == 0)
		d->in_head = false;
	d->state = then;
	d->column = 0;
	d->lines++;
}

/* A line feed at w->at that no CR precedes. */
static void
bare_lf(struct walk *w)
{
	struct data *d = w->d;

	if (d->repair) {
		flush(w, 1);
		emit(w, STR("\r\n"));
		d->repaired = true;
	} else {
		fault(d, DATA_BARE_LF);
	}
	w->at++;
	end_line(d, AFTER_LF);
}

/* Move to the end of this line or of the input: two searches a line, no loop over octets. */
static void
scan_line(struct walk *w)
{
	struct data *d = w->d;
	const char  *p = w->in.p + w->at;
	size_t       left = w->in.n - w->at;
	const char  *lf = memchr(p, '\n', left);
	size_t       n = lf != NULL ? (size_t)(lf - p) : left;
	const char  *cr = memchr(p, '\r', n);
	size_t       text = cr != NULL ? (size_t)(cr - p) : n;

	count(d, text);
	w->at += text;
	if (cr != NULL) {
		w->at++;
		if (w->at < w->in.n && w->in.p[w->at] == '\n') {
			w->at++;
			end_line(d, LINE_START);
		} else {
			d->state = AFTER_CR;
		}
	} else if (lf != NULL) {
		bare_lf(w);
	}
}

static void
step(struct walk *w)
{
	struct data *d = w->d;
	char         c = w->in.p[w->at];

	switch ((enum state)d->state) {
	case LINE_START:
		if (c == '.' && d->kind == DATA_DOTTED) {
			flush(w, 1);
			w->at++;
			d->state = DOT;
			return;
		}
		d->state = IN_LINE;
		scan_line(w);
		return;
	case AFTER_LF:
	case IN_LINE:
		d->state = IN_LINE;
		scan_line(w);
		return;
	case AFTER_CR:
		d->state = IN_LINE;
		if (c == '\n') {
			w->at++;
			end_line(d, LINE_START);
		} else {
			fault(d, DATA_BARE_CR);
		}
		return;
	case DOT:
		d->state = IN_LINE;
		if (c == '\r') {
			flush(w, 1);
			w->at++;
			d->state = DOT_CR;
		}
		return;
	case DOT_CR:
		if (c == '\n') {
			w->at++;
			w->from = w->at;
			d->ended = true;
		} else {
			fault(d, DATA_BARE_CR);
			d->state = IN_LINE;
		}
		return;
	}
}

void
data_init(struct data *d, enum data_kind kind, bool repair)
{
	*d = (struct data){.kind = kind, .repair = repair, .state = LINE_START, .in_head = true};
}

size_t
data_feed(struct data *d, struct str in, data_fn *out, void *arg)
{
	struct walk w = {.d = d, .in = in, .out = out, .arg = arg};

	while (w.at < in.n && !d->ended)
		step(&w);
	/* Only as far as the message goes: behind it may stand other commands. */
	if (w.at > 0 && memchr(in.p, '\0', w.at) != NULL)
		fault(d, DATA_NUL);
	if (!d->ended)
		flush(&w, 0);
	return w.at;
}

void
data_finish(struct data *d, data_fn *out, void *arg)
{
	if (d->state == AFTER_CR)
		fault(d, DATA_BARE_CR);
	if (d->state != LINE_START && d->state != AFTER_LF && d->fault == DATA_FINE)
		out(arg, STR("\r\n"));
	d->ended = true;
}

bool
data_has_eightbit(struct str s)
{
	uint64_t all = 0, word;
	size_t   i = 0;

	/* Eight at a time, to the end: a branch for each would cost more than what it saves. */
	for (; i + sizeof word <= s.n; i += sizeof word) {
		memcpy(&word, s.p + i, sizeof word);
		all |= word;
	}
	for (; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return (all & 0x8080808080808080u) != 0;
}

const char *
data_fault_text(enum data_fault what)
{
	switch (what) {
	case DATA_FINE:
		break;
	case DATA_BARE_CR:
		return "has a carriage return that ends no line: end lines with CR LF";
	case DATA_BARE_LF:
		return "ends with a bare line feed: end lines with CR LF";
	case DATA_NUL:
		return "or one near it holds a NUL: encode the part as base64";
	case DATA_LONG_LINE:
		return "has over 998 octets: encode the part as quoted-printable or base64";
	}
	return "is fine";
}
