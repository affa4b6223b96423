/* SPDX-License-Identifier: ISC */
/* config_selector - dkim-selector: how new keys are called. */
#include <time.h>

#include "lib/proc/config_private.h"

enum { NAME_LIMIT = 255 };

/* The first label of the host name, so that each server of a domain has keys of its own. */
static struct str
short_name(const struct config *c)
{
	struct str host = c->hostname, label;

	if (!str_cut(&host, '.', &label) || label.n == 0 || label.p[0] == '[')
		return STR("mail");
	return label;
}

static bool
add_part(struct buf *out, const struct config *c, char what, const struct tm *day)
{
	switch (what) {
	case 'h':
		buf_add(out, short_name(c));
		return true;
	case 'Y':
		buf_addf(out, "%04d", day->tm_year + 1900);
		return true;
	case 'm':
		buf_addf(out, "%02d", day->tm_mon + 1);
		return true;
	case 'd':
		buf_addf(out, "%02d", day->tm_mday);
		return true;
	default:
		return false;
	}
}

bool
config_selector(const struct config *c, int64_t now_ms, struct buf *out)
{
	struct buf text = BUF(NAME_LIMIT);
	time_t     now = (time_t)(now_ms / 1000);
	struct tm  day;
	bool       ok = gmtime_r(&now, &day) != NULL;

	for (size_t i = 0; i < c->dkim_selector.n && ok; i++) {
		if (c->dkim_selector.p[i] != '%') {
			buf_addc(&text, c->dkim_selector.p[i]);
			continue;
		}
		i++;
		ok = i < c->dkim_selector.n && add_part(&text, c, c->dkim_selector.p[i], &day);
	}
	ok = ok && !text.over && conf_domain(out, buf_str(&text));
	buf_free(&text);
	return ok;
}

static void
parse_selector(struct maker *m, const struct row *row UNUSED, void *base, struct word *words,
               size_t n UNUSED)
{
	struct config *c = base;
	struct config  trial = {.hostname = STR("host.example.com")};
	struct buf     unused = BUF(NAME_LIMIT);

	c->dkim_selector = trial.dkim_selector = conf_copy(m, words[0].text);
	if (!config_selector(&trial, 0, &unused)) {
		conf_problem(m, CONF_ERROR, words[0].at, "\"%.*s\" makes no selector",
		             S(words[0].text));
		conf_hint(m, "write letters, digits, hyphens, and %%h (short host name), %%Y, %%m, %%d");
	}
	buf_free(&unused);
}

static bool
format_selector(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct config *c = base;

	if (i > 0 || c->dkim_selector.n == 0)
		return false;
	conf_put_word(v->out, c->dkim_selector);
	return true;
}

const struct kind kind_selector = {parse_selector, format_selector};
