/* SPDX-License-Identifier: ISC */
#include "cmd/eml.h"

#include <stddef.h>

#include "lib/mail/address.h"
#include "lib/mail/ids.h"
#include "lib/util/encode.h"
#include "lib/util/time.h"

#define PREFIX STR("X-Postern-")

/* Fields that are one text; the others have functions of their own. */
static const struct {
	struct str name;
	size_t     at;
} texts[] = {
	{{"Login", 5}, offsetof(struct envelope, login)},
	{{"Client", 6}, offsetof(struct envelope, client)},
	{{"Helo", 4}, offsetof(struct envelope, helo)},
	{{"Proto", 5}, offsetof(struct envelope, proto)},
	{{"Author", 6}, offsetof(struct envelope, header_from)},
	{{"Message-Id", 10}, offsetof(struct envelope, msgid)},
	{{"Parent", 6}, offsetof(struct envelope, parent)},
	{{"Envid", 5}, offsetof(struct envelope, envid)},
	{{"Hold", 4}, offsetof(struct envelope, hold_why)},
};

/* ---- writing ---- */

/* Nothing that a client said may end a line. */
static void
add(struct buf *out, struct str name, struct str value)
{
	buf_add(out, PREFIX);
	buf_add(out, name);
	buf_addz(out, ": ");
	for (size_t i = 0; i < value.n; i++)
		buf_addc(out, (unsigned char)value.p[i] < ' ' || value.p[i] == '\177' ? '?'
		                                                                      : value.p[i]);
	buf_addz(out, "\r\n");
}

static void
add_path(struct buf *out, struct str address)
{
	buf_addc(out, '<');
	buf_add(out, address);
	buf_addz(out, ">");
}

void
eml_begin(struct buf *out, struct str id, const struct envelope *e)
{
	struct buf value = BUF(EML_HEAD_MAX);

	add(out, STR("Id"), id);
	add_path(&value, e->from);
	add(out, STR("From"), buf_str(&value));
	buf_clear(&value);
	buf_addf(&value, "%lld ", (long long)e->accepted_ms);
	time_format_rfc3339(&value, e->accepted_ms);
	add(out, STR("Accepted"), buf_str(&value));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct str text = *(const struct str *)(const void *)((const char *)e +
		                                                      texts[i].at);

		if (text.n > 0 && texts[i].at != offsetof(struct envelope, hold_why))
			add(out, texts[i].name, text);
	}
	if (e->ret != RET_NONE)
		add(out, STR("Ret"), e->ret == RET_FULL ? STR("full") : STR("hdrs"));
	if (e->smtputf8)
		add(out, STR("Smtputf8"), STR("yes"));
	if (e->eightbit)
		add(out, STR("8bit"), STR("yes"));
	buf_clear(&value);
	buf_addn(&value, e->hops);
	add(out, STR("Hops"), buf_str(&value));
	buf_free(&value);
}

void
eml_rcpt(struct buf *out, const struct rcpt *r, uint64_t tries)
{
	struct buf value = BUF(EML_HEAD_MAX);

	if (r->notify != 0) {
		buf_addz(&value, "notify=");
		notify_format(&value, r->notify);
		buf_addc(&value, ' ');
	}
	if (r->orcpt.n > 0) {
		buf_addz(&value, "orcpt=");
		xtext_encode(&value, r->orcpt);
		buf_addc(&value, ' ');
	}
	if (tries > 0) {
		buf_addz(&value, "tries=");
		buf_addn(&value, tries);
		buf_addc(&value, ' ');
	}
	add_path(&value, r->to);
	add(out, STR("To"), buf_str(&value));
	buf_free(&value);
}

void
eml_end(struct buf *out, bool hold, struct str why, uint64_t size)
{
	struct buf value = BUF(32);

	if (hold)
		add(out, STR("Hold"), why.n > 0 ? why : STR("held by the administrator"));
	buf_addn(&value, size);
	add(out, STR("End"), buf_str(&value));
	buf_free(&value);
}

/* ---- reading ---- */

/* "<address>" at the end of `value`; what stands before it is left in `value`. */
static bool
cut_path(struct str *value, struct str *address)
{
	/* What stands before it may hold a '<', but no blank. */
	ptrdiff_t at = str_starts(*value, STR("<")) ? -1 : str_find_str(*value, STR(" <"));

	at = at >= 0 || str_starts(*value, STR("<")) ? at + 1 : -1;
	if (at < 0 || !str_ends(*value, STR(">")))
		return false;
	*address = str_sub(*value, (size_t)at + 1, value->n - (size_t)at - 2);
	*value = str_sub(*value, 0, (size_t)at);
	return true;
}

static bool
is_address(struct str s)
{
	struct address a;

	return address_parse(s, &a) == ADDRESS_OK;
}

/* The recipients go as envelope lines into `scratch`, which is parsed when all is read. */
static const char *
take_rcpt(struct buf *scratch, struct str value)
{
	struct str  word, to, name;
	struct buf  orcpt = BUF(2048);
	unsigned    notify = 0;
	const char *wrong = NULL;

	if (!cut_path(&value, &to) || !is_address(to))
		return "a recipient is no address";
	while ((word = str_word(&value)).n > 0 && wrong == NULL) {
		if (!str_cut(&word, '=', &name))
			wrong = "a recipient has something before it that is not known";
		else if (str_eq(name, STR("notify")))
			wrong = notify_parse(word, &notify) ? NULL : "a notify= is wrong";
		else if (str_eq(name, STR("orcpt")))
			wrong = xtext_decode(&orcpt, word) && str_find(buf_str(&orcpt), '\n') < 0
			                ? NULL
			                : "an orcpt= is wrong";
		else if (!str_eq(name, STR("tries")))
			wrong = "a recipient has something before it that is not known";
	}
	if (wrong == NULL) {
		struct rcpt     r = {.to = to, .orcpt = buf_str(&orcpt), .notify = notify};
		struct envelope one = {.rcpts = &r, .n_rcpts = 1};

		envelope_format(scratch, &one);
	}
	buf_free(&orcpt);
	return wrong;
}

static const char *
take_field(struct eml *m, struct str name, struct str value)
{
	uint64_t   number;
	struct str rest = value;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (str_ieq(name, texts[i].name)) {
			*(struct str *)(void *)((char *)&m->e + texts[i].at) = value;
			m->e.hold = m->e.hold || texts[i].at == offsetof(struct envelope, hold_why);
			return NULL;
		}
	if (str_ieq(name, STR("Id")))
		return id_parse(value, &m->id) && m->id != 0 ? NULL : "its id is wrong";
	if (str_ieq(name, STR("From")))
		return cut_path(&value, &m->e.from) && (m->e.from.n == 0 || is_address(m->e.from))
		               ? NULL
		               : "its sender is no address";
	if (str_ieq(name, STR("Ret")))
		m->e.ret = str_ieq(value, STR("full")) ? RET_FULL : RET_HDRS;
	else if (str_ieq(name, STR("Smtputf8")))
		m->e.smtputf8 = true;
	else if (str_ieq(name, STR("8bit")))
		m->e.eightbit = true;
	else if (str_ieq(name, STR("Hops")) && str_number(value, UINT32_MAX, &number))
		m->e.hops = (unsigned)number;
	else if (str_ieq(name, STR("Accepted")) && str_number(str_word(&rest), INT64_MAX, &number))
		m->e.accepted_ms = (int64_t)number;
	else
		return "a line on top is not known, or wrong";
	return NULL;
}

/* One line of the head. `last` says that it was the end, `size` what it promised. */
static const char *
take_line(struct eml *m, struct str line, struct buf *rcpts, uint64_t *size)
{
	struct str name, value;
	ptrdiff_t  colon = str_find(line, ':');

	/* An editor may have taken the CR away. */
	if (str_ends(line, STR("\r")))
		line = str_sub(line, 0, line.n - 1);
	if (!str_istarts(line, PREFIX) || colon < 0)
		return "its envelope is not on top, or has no end";
	name = str_sub(line, PREFIX.n, (size_t)colon - PREFIX.n);
	value = str_trim(str_skip(line, (size_t)colon + 1));
	if (str_find(value, '\r') >= 0)
		return "a line on top has a CR in it";
	if (str_ieq(name, STR("End")))
		return str_number(value, UINT32_MAX - 1, size) && *size > 0 ? NULL
		                                                            : "its size is wrong";
	if (str_ieq(name, STR("To")))
		return take_rcpt(rcpts, value);
	return take_field(m, name, value);
}

/* Mail in the wire form: lines end in CRLF, the last one too, and neither octet stands alone. */
static bool
is_wire_form(struct str s)
{
	bool cr = false;

	for (size_t i = 0; i < s.n; i++) {
		if (cr != (s.p[i] == '\n'))
			return false;
		cr = s.p[i] == '\r';
	}
	return s.n > 0 && str_ends(s, STR("\r\n"));
}

static const char *
check(const struct eml *m, uint64_t size)
{
	if (m->id == 0)
		return "it has no id";
	if (size != m->body.n)
		return "it is not as long as it says";
	if (!is_wire_form(m->body))
		return "its lines do not all end in CRLF";
	return NULL;
}

const char *
eml_parse(struct str text, struct eml *m, struct buf *scratch)
{
	struct str      line;
	struct envelope rcpts;
	const char     *wrong = NULL;
	uint64_t        size = 0;

	*m = (struct eml){0};
	buf_clear(scratch);
	while (wrong == NULL && size == 0)
		wrong = !str_cut(&text, '\n', &line) ? "it ends in its envelope"
		                                     : take_line(m, line, scratch, &size);
	m->body = text;
	if (wrong == NULL)
		wrong = check(m, size);
	if (wrong != NULL)
		return wrong;
	if (scratch->over || !envelope_parse(&rcpts, buf_str(scratch)))
		return "it has no recipients, or too many";
	m->e.rcpts = rcpts.rcpts;
	m->e.n_rcpts = rcpts.n_rcpts;
	m->e.size = size;
	return NULL;
}
