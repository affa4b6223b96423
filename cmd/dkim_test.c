/* SPDX-License-Identifier: ISC */
/*
 * postern dkim test: sign a message and show what the signature is about, octet by octet.
 *
 * When a receiver says "body hash did not verify" or "bad signature", this is what to compare
 * with what arrived.
 */
#include <stdio.h>

#include "cmd/dkim.h"
#include "cmd/trial.h"
#include "dkim/canon.h"
#include "dkim/fields.h"
#include "lib/proc/config.h"
#include "lib/util/json.h"

enum { ROOM = 1024 * 1024 };

struct shown {
	struct buf names, header, body;
};

static enum canon
header_canon(const struct dkim_conf *d)
{
	return d->simple_header ? CANON_SIMPLE : CANON_RELAXED;
}

static enum canon
body_canon(const struct dkim_conf *d)
{
	return d->simple_body ? CANON_SIMPLE : CANON_RELAXED;
}

static void
make_canonical(const struct trial *t, struct shown *s)
{
	struct str head, body;

	header_split(buf_str(&t->text), &head, &body);
	fields_select(head, header_canon(t->signs), &s->names, &s->header);
	canon_body(&s->body, body, body_canon(t->signs));
}

/*
 * Behind the fields of the message each signature covers its own field, without the value of b=
 * and the last line end (RFC 6376 section 3.7).
 */
static void
add_unsigned(struct buf *out, const struct field *f, enum canon canon)
{
	/* The tag has a line of its own, the first that begins like this. */
	ptrdiff_t    at = str_find_str(f->raw, STR("\tb="));
	struct str   text = str_sub(f->raw, 0, (size_t)(at + 3));
	struct field bare;

	if (header_next(&text, &bare, NULL))
		canon_field(out, &bare, canon);
	buf_truncate(out, out->n - (out->n > 2 ? 2 : 0));
}

/* Line ends, tabs and all that is no printable ASCII as C writes them; a line for each line. */
static void
add_visible(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '\n')
			buf_addz(out, "\\n\n");
		else if (c == '\r')
			buf_addz(out, "\\r");
		else if (c == '\t')
			buf_addz(out, "\\t");
		else if (c == '\\')
			buf_addz(out, "\\\\");
		else if (c < ' ' || c >= 0x7f)
			buf_addf(out, "\\x%02x", c);
		else
			buf_addc(out, (char)c);
	}
}

static void
print(struct buf *out)
{
	fwrite(out->p, 1, out->n, stdout);
	buf_clear(out);
}

static void
print_people(const struct trial *t, struct shown *s, struct buf *out)
{
	struct str   rest = buf_str(&t->fields);
	struct field f;
	struct buf   one = BUF(ROOM);

	buf_addz(out, "The header as it is hashed (");
	buf_add(out, canon_name(header_canon(t->signs)));
	buf_addz(out, "):\n\n");
	add_visible(out, buf_str(&s->header));
	while (header_next(&rest, &f, NULL)) {
		buf_clear(&one);
		add_unsigned(&one, &f, header_canon(t->signs));
		buf_addz(out, "\nand behind it, of this signature:\n\n");
		add_visible(out, buf_str(&one));
		buf_addz(out, "\n\n");
		for (size_t i = 0; i < f.raw.n; i++)
			buf_add(out, f.raw.p[i] == '\r' ? STR_NONE : str_sub(f.raw, i, 1));
	}
	buf_addz(out, "\nThe body as it is hashed (");
	buf_add(out, canon_name(body_canon(t->signs)));
	buf_addf(out, ", %zu octets):\n\n", s->body.n);
	add_visible(out, buf_str(&s->body));
	print(out);
	buf_free(&one);
}

static void
print_json(const struct trial *t, struct shown *s, struct buf *out)
{
	struct json  j = {.out = out};
	struct str   rest = buf_str(&t->fields);
	struct field f;
	struct buf   one = BUF(ROOM);

	json_open(&j, NULL, '{');
	json_str(&j, "domain", t->signs->domain);
	json_str(&j, "header_canonicalization", canon_name(header_canon(t->signs)));
	json_str(&j, "body_canonicalization", canon_name(body_canon(t->signs)));
	json_str(&j, "fields", buf_str(&s->names));
	json_str(&j, "header", buf_str(&s->header));
	json_str(&j, "body", buf_str(&s->body));
	json_open(&j, "signatures", '[');
	while (header_next(&rest, &f, NULL)) {
		buf_clear(&one);
		add_unsigned(&one, &f, header_canon(t->signs));
		json_open(&j, NULL, '{');
		json_str(&j, "field", f.raw);
		json_str(&j, "covers", buf_str(&one));
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	buf_addc(out, '\n');
	print(out);
	buf_free(&one);
}

static int
show(const struct trial *t, struct cmd *c)
{
	/* An octet that is not printable is shown as four, in JSON as six. */
	struct buf   out = BUF(8 * t->text.n + 4 * ROOM);
	struct shown s = {BUF(ROOM), BUF(2 * t->text.n + ROOM), BUF(t->text.n + ROOM)};

	make_canonical(t, &s);
	if (c->json)
		print_json(t, &s, &out);
	else
		print_people(t, &s, &out);
	buf_free(&out);
	buf_free(&s.names);
	buf_free(&s.header);
	buf_free(&s.body);
	return CMD_OK;
}

static int
run(struct trial *t, struct cmd *c, const char *path, const char *from)
{
	struct buf why = BUF(ROOM);
	int        code = trial_run(t, c, path, from);

	if (code == CMD_OK && t->reply.code != 250) {
		reply_format(&why, t->reply);
		cmd_error("the message would be refused", buf_z(&why), "see `postern lint`");
		code = CMD_FAILED;
	} else if (code == CMD_OK && t->fields.n == 0) {
		cmd_error("the message would go unsigned", buf_z(&t->unsigned_why),
		          t->signs == NULL ? "`postern dkim list` shows the keys" : NULL);
		code = CMD_FAILED;
	}
	buf_free(&why);
	return code == CMD_OK ? show(t, c) : code;
}

int
dkim_test(struct cmd *c)
{
	struct trial t = {0};
	const char  *from = cmd_option(c, "from"), *path = cmd_word(c);
	int          code;

	if (path == NULL)
		return cmd_usage(c, "which file?");
	if (!cmd_end(c))
		return CMD_USAGE;
	if ((t.config = trial_config(c)) == NULL)
		return CMD_CONFIG;
	code = run(&t, c, path, from);
	trial_free(&t);
	return code;
}
