/* SPDX-License-Identifier: ISC */
#include "smtpd/recode.h"

#include "lib/mail/header.h"
#include "smtpd/mediatype.h"
#include "smtpd/quoted.h"
#include "smtpd/refold.h"

enum {
	DEPTH_MAX = 20,         /* each level reads its octets once more */
	HEAD_MAX = 512 * 1024, /* our own repairs may have made it longer than it came */
};

struct work {
	void (*out)(void *arg, struct str run, bool in_body);
	void         *arg;
	bool          in_body;
	unsigned      depth;
	struct outlet outlet;
};

#define ENCODING STR("Content-Transfer-Encoding")

/* Whose header it is: a message has fields that a part of one has not. */
enum kind { MESSAGE, ENTITY };

struct part {
	enum kind        kind;
	struct str       head, body;
	bool             has_end; /* an empty line stands behind the header */
	struct mediatype type;
	struct str       encoding; /* without white space; empty: none is named */
};

static const char *recode_part(struct work *w, struct str text, enum kind kind);

static void
on_run(void *arg, struct str run)
{
	struct work *w = arg;

	w->out(w->arg, run, w->in_body);
}

static void
add(struct work *w, struct str s)
{
	outlet_add(&w->outlet, s);
}

/* ---- headers ---- */

static void
read_part(struct part *p, struct str text, enum kind kind)
{
	struct field f;

	*p = (struct part){.kind = kind};
	header_split(text, &p->head, &p->body);
	p->has_end = p->head.n < text.n;
	mediatype_init(&p->type);
	if (header_find(p->head, STR("Content-Type"), 0, &f))
		mediatype_parse(&p->type, f.value);
	if (header_find(p->head, ENCODING, 0, &f)) {
		struct str value = f.value;

		p->encoding = str_word(&value);
	}
}

static bool
is_as_it_is(const struct part *p)
{
	return p->encoding.n == 0 || str_ieq(p->encoding, STR("7bit")) ||
	       str_ieq(p->encoding, STR("8bit")) || str_ieq(p->encoding, STR("binary"));
}

/* What is signed must pass as it is, or the signature is worth nothing. */
static bool
is_signed(const struct part *p)
{
	static const struct str names[] = {
		{"DKIM-Signature", 14}, {"ARC-Message-Signature", 21}, {"ARC-Seal", 8}};
	struct field f;

	for (size_t i = 0; p->kind == MESSAGE && i < ARRAY_LEN(names); i++)
		if (header_find(p->head, names[i], 0, &f))
			return true;
	return mediatype_is(&p->type, STR("multipart/signed"));
}

/* The header, its long lines folded; with the `encoding`, unless NULL, instead of its own. */
static const char *
put_head(struct work *w, const struct part *p, const char *encoding)
{
	struct buf   head = BUF(HEAD_MAX);
	struct str   rest = p->head;
	struct field f;
	bool         ok = true, bad = false;

	while (header_next(&rest, &f, &bad))
		if (encoding == NULL || !str_ieq(f.name, ENCODING))
			buf_add(&head, f.raw);
	if (encoding != NULL) {
		if (p->kind == MESSAGE && !header_find(p->head, STR("MIME-Version"), 0, &f))
			buf_addz(&head, "MIME-Version: 1.0\r\n");
		buf_addf(&head, "Content-Transfer-Encoding: %s\r\n", encoding);
	}
	if (refold_is_needed(buf_str(&head)))
		ok = refold(&head, 0, false);
	ok = ok && !bad && !head.over;
	add(w, ok ? buf_str(&head) : STR_NONE);
	/* A part without an empty line has no body; the one that is added hurts nobody. */
	add(w, p->has_end || encoding != NULL ? STR("\r\n") : STR_NONE);
	buf_free(&head);
	return ok ? NULL : "stands in the header of a part, which cannot be folded";
}

/* The message's own header goes first, and by itself. */
static void
end_head(struct work *w)
{
	if (w->in_body)
		return;
	outlet_flush(&w->outlet);
	w->in_body = true;
}

/* ---- multiparts ---- */

/*
 * The next line that is the delimiter: where it begins (with the line end before it, which is the
 * delimiter's) and where the line ends. False if there is none.
 */
static bool
find_delimiter(struct str s, struct str boundary, struct str *before, struct str *line)
{
	size_t from = 0;

	for (;;) {
		struct str rest = str_skip(s, from), tail;
		ptrdiff_t  end = str_find_str(rest, STR("\r\n"));
		size_t     n = end < 0 ? rest.n : (size_t)end;

		tail = str_sub(rest, 2, n - (n < 2 ? n : 2));
		if (str_starts(str_sub(rest, 0, n), STR("--")) && str_starts(tail, boundary)) {
			tail = str_skip(tail, boundary.n);
			if (str_starts(tail, STR("--")))
				tail = str_skip(tail, 2);
			if (str_trim(tail).n == 0) {
				*before = str_sub(s, 0, from >= 2 ? from - 2 : 0);
				*line = str_sub(rest, 0, end < 0 ? n : n + 2);
				return true;
			}
		}
		if (end < 0)
			return false;
		from += n + 2;
	}
}

static bool
is_last(struct str line, struct str boundary)
{
	return str_starts(str_skip(line, 2 + boundary.n), STR("--"));
}

static const char *
put_parts(struct work *w, const struct part *p)
{
	static const char *const outside = "stands where no part of the message is";
	struct str               boundary = buf_str(&p->type.boundary), rest = p->body, before, line;
	const char              *why = NULL;
	bool                     within = false;

	if (boundary.n == 0)
		return "stands in a multipart that names no boundary";
	while (find_delimiter(rest, boundary, &before, &line)) {
		if (!within && refold_is_needed(before))
			return outside;
		if (within)
			why = recode_part(w, before, ENTITY);
		else
			add(w, before);
		if (why != NULL)
			return why;
		add(w, (struct str){before.p + before.n, (size_t)(line.p - before.p) - before.n});
		add(w, line);
		rest = str_skip(rest, (size_t)(line.p - rest.p) + line.n);
		within = true;
		if (is_last(line, boundary)) {
			within = false;
			break;
		}
	}
	/* Without a last delimiter what is left is a part, too. */
	if (within)
		return recode_part(w, rest, ENTITY);
	if (refold_is_needed(rest))
		return outside;
	add(w, rest);
	return NULL;
}

/* ---- parts ---- */

static const char *
put_leaf(struct work *w, const struct part *p)
{
	bool        quote = is_as_it_is(p);
	const char *why = put_head(w, p, quote ? "quoted-printable" : NULL);

	end_head(w);
	if (why != NULL)
		return why;
	if (quote)
		quoted_encode(&w->outlet, p->body);
	else if (str_ieq(p->encoding, STR("quoted-printable")))
		quoted_refold(&w->outlet, p->body);
	else if (str_ieq(p->encoding, STR("base64")))
		quoted_refold_base64(&w->outlet, p->body);
	else
		return "is in an encoding that is not known here";
	return NULL;
}

/* A part that holds others; it has no encoding of its own (RFC 2045 section 6.4). */
static const char *
put_branch(struct work *w, const struct part *p)
{
	const char *why;

	if (!is_as_it_is(p))
		return "stands in a multipart or message that is encoded as a whole";
	why = put_head(w, p, NULL);
	end_head(w);
	if (why != NULL)
		return why;
	return mediatype_is(&p->type, STR("multipart/")) ? put_parts(w, p)
	                                                 : recode_part(w, p->body, MESSAGE);
}

static const char *
choose(struct work *w, const struct part *p)
{
	if (is_signed(p))
		return "stands in something that is signed, which encoding would break";
	if (!refold_is_needed(p->body)) {
		const char *why = put_head(w, p, NULL);

		end_head(w);
		add(w, p->body);
		return why;
	}
	if (mediatype_is(&p->type, STR("multipart/")) ||
	    mediatype_is(&p->type, STR("message/rfc822")) ||
	    mediatype_is(&p->type, STR("message/global")))
		return put_branch(w, p);
	if (mediatype_is(&p->type, STR("message/")))
		return "stands in a report or piece of a message, which may not be encoded";
	return put_leaf(w, p);
}

static const char *
recode_part(struct work *w, struct str text, enum kind kind)
{
	struct part p;
	const char *why;

	if (!refold_is_needed(text)) {
		add(w, text);
		return NULL;
	}
	if (w->depth == DEPTH_MAX)
		return "stands in a part that is nested too deeply";
	w->depth++;
	read_part(&p, text, kind);
	why = choose(w, &p);
	mediatype_free(&p.type);
	w->depth--;
	return why;
}

const char *
recode(struct str message, void (*out)(void *arg, struct str run, bool in_body), void *arg)
{
	struct work w = {.out = out, .arg = arg, .outlet = {.fn = on_run}};
	const char *why;

	w.outlet.arg = &w;
	why = recode_part(&w, message, MESSAGE);
	outlet_flush(&w.outlet);
	return why;
}
