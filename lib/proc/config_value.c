/* SPDX-License-Identifier: ISC */
/* config_value - the simple kinds of values: numbers, sizes, times, words, paths; and how values are written. */
#include <limits.h>
#include <string.h>

#include "lib/proc/config_private.h"
#include "lib/util/encode.h"
#include "lib/util/mem.h"

enum { RATE_MAX = 1000000000 };

struct unit {
	const char *name;
	int64_t     factor;
};

/* The largest first: what is written takes the first that divides. */
static const struct unit spans[] = {
	{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};
/* Of several names for one time the first is written. */
static const struct unit rates[] = {
	{"s", 1000}, {"min", 60000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};
static const struct unit sizes[] = {{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}};

static void *
field(void *base, const struct row *row)
{
	return (char *)base + row->at;
}

static const void *
cfield(const void *base, const struct row *row)
{
	return (const char *)base + row->at;
}

/* ---- writing ---- */

void
conf_put_word(struct buf *out, struct str word)
{
	bool plain = word.n > 0;

	for (size_t i = 0; i < word.n && plain; i++)
		plain = (unsigned char)word.p[i] > ' ' && strchr("\"\\{};#,$", word.p[i]) == NULL;
	buf_addc(out, ' ');
	if (plain) {
		buf_add(out, word);
		return;
	}
	buf_addc(out, '"');
	for (size_t i = 0; i < word.n; i++) {
		if (word.p[i] == '"' || word.p[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, word.p[i] == '\n' ? ' ' : word.p[i]);
	}
	buf_addc(out, '"');
}

void
conf_put_strs(struct buf *out, const char *keyword, const struct strs *list)
{
	if (list->n > 0 && keyword != NULL)
		buf_addf(out, " %s", keyword);
	for (size_t i = 0; i < list->n; i++)
		conf_put_word(out, list->v[i]);
}

static void
put_unit(struct buf *out, uint64_t value, const struct unit *units, size_t n)
{
	for (size_t i = 0; i < n && value > 0; i++) {
		if (value % (uint64_t)units[i].factor == 0) {
			buf_addn(out, value / (uint64_t)units[i].factor);
			buf_addz(out, units[i].name);
			return;
		}
	}
	buf_addn(out, value);
}

void
conf_put_span(struct buf *out, int64_t ms)
{
	put_unit(out, (uint64_t)ms, spans, ARRAY_LEN(spans));
}

void
conf_put_size(struct buf *out, uint64_t bytes)
{
	put_unit(out, bytes, sizes, ARRAY_LEN(sizes));
}

void
conf_put_data(struct buf *out, struct str content)
{
	buf_addz(out, " data:");
	base64_encode(out, content);
}

bool
conf_get_data(struct maker *m, const struct word *words, size_t n, size_t *i, struct str *content)
{
	struct buf b = SECRET(WIRE_CONFIG_MAX);
	struct str data;

	if (!m->carried || *i >= n || !str_starts(words[*i].text, STR("data:")))
		return false;
	data = str_skip(words[(*i)++].text, 5);
	if (!base64_decode(&b, data) || b.over)
		conf_problem(m, CONF_ERROR, words[*i - 1].at, "damaged content");
	else
		*content = conf_copy(m, buf_str(&b));
	buf_free(&b);
	return true;
}

/* ---- reading ---- */

struct str
conf_copy(struct maker *m, struct str s)
{
	return arena_str(&m->full->arena, s);
}

struct seen {
	struct hash_node node;
	uint64_t         set;
	struct str       key;
	size_t           index;
};

bool
conf_seen(struct maker *m, uint64_t set, struct str key, size_t *index)
{
	uint64_t     value = hash_str(key) + set;
	struct seen *s;

	for (struct hash_node *n = hash_first(&m->seen, value); n != NULL; n = hash_more(n)) {
		s = CONTAINER(n, struct seen, node);
		if (s->set == set && str_eq(s->key, key)) {
			*index = s->index;
			return true;
		}
	}
	s = arena_zero(&m->scratch, sizeof *s);
	s->set = set;
	s->key = arena_str(&m->scratch, key);
	s->index = *index;
	hash_put(&m->seen, &s->node, value);
	return false;
}

void
conf_add_str(struct maker *m, struct strs *list, struct str s)
{
	list->v = arena_more(&m->full->arena, list->v, list->n, sizeof *list->v);
	list->v[list->n++] = conf_copy(m, s);
}

struct str
conf_path(struct maker *m, const struct word *w)
{
	struct buf b = BUF(PATH_MAX);
	struct str path;

	if (!str_starts(w->text, STR("/")) && w->at.source != NULL && !m->carried) {
		buf_add(&b, w->at.source->dir);
		buf_addc(&b, '/');
	}
	buf_add(&b, w->text);
	if (b.over || w->text.n == 0 || memchr(b.p, '\0', b.n) != NULL)
		conf_problem(m, CONF_ERROR, w->at, "this is no path");
	path = conf_copy(m, buf_str(&b));
	buf_free(&b);
	return path;
}

/* Digits and a unit, or digits alone. False also when the product would not fit. */
static bool
number_with_unit(struct str text, const struct unit *units, size_t n, uint64_t *out)
{
	size_t   digits = 0;
	uint64_t value;

	while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	if (!str_number(str_sub(text, 0, digits), INT64_MAX / (86400 * 1000), &value))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (str_ieq(str_skip(text, digits), str_of(units[i].name))) {
			*out = value * (uint64_t)units[i].factor;
			return *out / (uint64_t)units[i].factor == value && *out <= INT64_MAX;
		}
	}
	*out = value;
	return digits == text.n;
}

bool
conf_span(struct str text, int64_t *ms)
{
	uint64_t value;

	if (!number_with_unit(text, spans, ARRAY_LEN(spans), &value))
		return false;
	/* A bare number is seconds. */
	*ms = (int64_t)value * (text.n > 0 && text.p[text.n - 1] <= '9' ? 1000 : 1);
	return true;
}

bool
conf_size(struct str text, uint64_t *bytes)
{
	return number_with_unit(text, sizes, ARRAY_LEN(sizes), bytes);
}

static const char *
choice_name(const void *choices, size_t i)
{
	return ((const char *const *)choices)[i];
}

const char *
conf_choice_nearest(const struct row *row, struct str word)
{
	return conf_nearest(word, choice_name, row->choices);
}

/* Index of the word in row->choices, or -1 and a problem. */
static int
choose(struct maker *m, const struct row *row, const struct word *w)
{
	static const char *const no[] = {"no", "false", "0", "never"};
	static const char *const yes[] = {"yes", "true", "1", "always"};
	struct buf               b = BUF(256);
	const char              *near;

	for (int i = 0; row->choices[i] != NULL; i++)
		if (str_eq(w->text, str_of(row->choices[i])))
			return i;
	for (size_t i = 0; row->choices[i] != NULL; i++)
		buf_addf(&b, "%s%s",
		         i == 0                        ? ""
		         : row->choices[i + 1] == NULL ? " or "
		                                       : ", ",
		         row->choices[i]);
	conf_problem(m, CONF_ERROR, w->at, "\"%.*s\" is not one of %s", S(w->text), buf_z(&b));
	buf_free(&b);
	near = conf_choice_nearest(row, w->text);
	for (size_t i = 0; i < ARRAY_LEN(no) && strcmp(row->choices[0], "off") == 0; i++) {
		if (str_ieq(w->text, str_of(no[i])))
			near = "off";
		if (str_ieq(w->text, str_of(yes[i])))
			near = "on";
	}
	if (near != NULL)
		conf_hint(m, "did you mean \"%s\"?", near);
	return -1;
}

static void
parse_flag(struct maker *m, const struct row *row, void *base, struct word *words, size_t n UNUSED)
{
	int i = choose(m, row, &words[0]);

	if (i >= 0)
		*(bool *)field(base, row) = i != 0;
}

static bool
format_flag(struct view *v, const struct row *row, const void *base, size_t i)
{
	if (i == 0)
		buf_addf(v->out, " %s", row->choices[*(const bool *)cfield(base, row) ? 1 : 0]);
	return i == 0;
}

static void
parse_choice(struct maker *m, const struct row *row, void *base, struct word *words,
             size_t n UNUSED)
{
	int i = choose(m, row, &words[0]);

	if (i >= 0)
		*(int *)field(base, row) = i;
}

static bool
format_choice(struct view *v, const struct row *row, const void *base, size_t i)
{
	if (i == 0)
		buf_addf(v->out, " %s", row->choices[*(const int *)cfield(base, row)]);
	return i == 0;
}

/* A limit of the row as people write it. */
static void
put_limit(struct buf *out, const struct row *row, int64_t limit)
{
	if (row->kind == &kind_span || row->kind == &kind_spans)
		conf_put_span(out, limit);
	else if (row->kind == &kind_size || row->kind == &kind_memory)
		conf_put_size(out, (uint64_t)limit);
	else
		buf_addn(out, (uint64_t)limit);
}

static bool
within(struct maker *m, const struct row *row, const struct word *w, int64_t value)
{
	struct buf low = BUF(64), high = BUF(64);
	/* A role gets no value for what it does not see, and zero is how that is written again. */
	bool ok = (value >= row->min && value <= row->max) || (m->carried && value == 0);

	if (!ok) {
		put_limit(&low, row, row->min);
		put_limit(&high, row, row->max);
		conf_problem(m, CONF_ERROR, w->at, "\"%.*s\" is out of range", S(w->text));
		conf_hint(m, "%s takes %s to %s", row->name, buf_z(&low), buf_z(&high));
	}
	buf_free(&low);
	buf_free(&high);
	return ok;
}

static bool
number(struct maker *m, const struct row *row, const struct word *w, int64_t *value)
{
	uint64_t u;

	if (!str_number(w->text, INT64_MAX, &u)) {
		conf_problem(m, CONF_ERROR, w->at, "\"%.*s\" is no number", S(w->text));
		return false;
	}
	*value = (int64_t)u;
	return within(m, row, w, *value);
}

static void
parse_count(struct maker *m, const struct row *row, void *base, struct word *words, size_t n UNUSED)
{
	int64_t value;

	if (number(m, row, &words[0], &value))
		*(unsigned *)field(base, row) = (unsigned)value;
}

static bool
format_count(struct view *v, const struct row *row, const void *base, size_t i)
{
	if (i == 0)
		buf_addf(v->out, " %u", *(const unsigned *)cfield(base, row));
	return i == 0;
}

static void
parse_port(struct maker *m, const struct row *row, void *base, struct word *words, size_t n UNUSED)
{
	int64_t value;

	if (number(m, row, &words[0], &value))
		*(uint16_t *)field(base, row) = (uint16_t)value;
}

static bool
format_port(struct view *v, const struct row *row, const void *base, size_t i)
{
	if (i == 0)
		buf_addf(v->out, " %u", *(const uint16_t *)cfield(base, row));
	return i == 0;
}

static bool
span(struct maker *m, const struct row *row, const struct word *w, int64_t *ms)
{
	if (!conf_span(w->text, ms)) {
		conf_problem(m, CONF_ERROR, w->at, "\"%.*s\" is no time", S(w->text));
		conf_hint(m, "write 30s, 5m, 2h or 5d");
		return false;
	}
	return within(m, row, w, *ms);
}

static void
parse_span(struct maker *m, const struct row *row, void *base, struct word *words, size_t n UNUSED)
{
	int64_t ms;

	if (span(m, row, &words[0], &ms))
		*(int64_t *)field(base, row) = ms;
}

static bool
format_span(struct view *v, const struct row *row, const void *base, size_t i)
{
	if (i == 0) {
		buf_addc(v->out, ' ');
		conf_put_span(v->out, *(const int64_t *)cfield(base, row));
	}
	return i == 0;
}

static void
parse_size(struct maker *m, const struct row *row, void *base, struct word *words, size_t n UNUSED)
{
	uint64_t bytes;

	if (!conf_size(words[0].text, &bytes)) {
		conf_problem(m, CONF_ERROR, words[0].at, "\"%.*s\" is no size", S(words[0].text));
		conf_hint(m, "write 16K, 50M or 1G");
	} else if (within(m, row, &words[0], (int64_t)bytes)) {
		*(uint64_t *)field(base, row) = bytes;
	}
}

static bool
format_size(struct view *v, const struct row *row, const void *base, size_t i)
{
	if (i == 0) {
		buf_addc(v->out, ' ');
		conf_put_size(v->out, *(const uint64_t *)cfield(base, row));
	}
	return i == 0;
}

static bool
parse_rate_words(struct str text, struct rate_conf *r)
{
	ptrdiff_t  slash = str_find(text, '/');
	struct str unit = slash < 0 ? STR_NONE : str_skip(text, (size_t)slash + 1);

	if (slash < 1 || !str_number(str_sub(text, 0, (size_t)slash), RATE_MAX, &r->count) ||
	    r->count == 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
		if (str_ieq(unit, str_of(rates[i].name))) {
			r->per_ms = rates[i].factor;
			return true;
		}
	}
	return false;
}

static void
parse_rate(struct maker *m, const struct row *row, void *base, struct word *words, size_t n UNUSED)
{
	struct rate_conf r;

	if (parse_rate_words(words[0].text, &r)) {
		*(struct rate_conf *)field(base, row) = r;
		return;
	}
	conf_problem(m, CONF_ERROR, words[0].at, "\"%.*s\" is no rate", S(words[0].text));
	conf_hint(m, "write a number from 1 on and a time, as 60/min, 500/h or 2000/d");
}

static bool
format_rate(struct view *v, const struct row *row, const void *base, size_t i)
{
	const struct rate_conf *r = cfield(base, row);

	if (i > 0 || r->count == 0)
		return false;
	buf_addc(v->out, ' ');
	buf_addn(v->out, r->count);
	for (size_t k = 0; k < ARRAY_LEN(rates); k++) {
		if (rates[k].factor == r->per_ms) {
			buf_addf(v->out, "/%s", rates[k].name);
			break;
		}
	}
	return true;
}

/* The waits between attempts. */
static void
parse_spans(struct maker *m, const struct row *row, void *base UNUSED, struct word *words, size_t n)
{
	struct config *c = m->c;

	c->retry_ms = arena_zero(&m->full->arena, n * sizeof *c->retry_ms);
	c->n_retry = 0;
	for (size_t i = 0; i < n; i++)
		if (span(m, row, &words[i], &c->retry_ms[c->n_retry]))
			c->n_retry++;
}

static bool
format_spans(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct config *c = base;

	if (i > 0 || c->n_retry == 0)
		return false;
	for (size_t k = 0; k < c->n_retry; k++) {
		buf_addc(v->out, ' ');
		conf_put_span(v->out, c->retry_ms[k]);
	}
	return true;
}

/* One word, taken as it is: an account, a name in a foreign system. */
static void
parse_name(struct maker *m, const struct row *row, void *base, struct word *words, size_t n UNUSED)
{
	*(struct str *)field(base, row) = conf_copy(m, words[0].text);
}

static bool
format_name(struct view *v, const struct row *row, const void *base, size_t i)
{
	const struct str *s = cfield(base, row);

	if (i > 0 || s->n == 0)
		return false;
	conf_put_word(v->out, *s);
	return true;
}

static void
parse_path(struct maker *m, const struct row *row, void *base, struct word *words, size_t n UNUSED)
{
	*(struct str *)field(base, row) = conf_path(m, &words[0]);
}

const struct kind kind_flag = {parse_flag, format_flag};
const struct kind kind_choice = {parse_choice, format_choice};
const struct kind kind_count = {parse_count, format_count};
const struct kind kind_port = {parse_port, format_port};
const struct kind kind_span = {parse_span, format_span};
const struct kind kind_size = {parse_size, format_size};
const struct kind kind_rate = {parse_rate, format_rate};
const struct kind kind_spans = {parse_spans, format_spans};
const struct kind kind_name = {parse_name, format_name};
const struct kind kind_path = {parse_path, format_name};
