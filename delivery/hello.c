/* SPDX-License-Identifier: ISC */
#include "delivery/hello.h"

static void
parse_auth(struct hello *h, struct str args)
{
	struct str mech;

	while ((mech = str_word(&args)).n > 0) {
		if (str_ieq(mech, STR("PLAIN")))
			h->auth_plain = true;
		else if (str_ieq(mech, STR("LOGIN")))
			h->auth_login = true;
		else if (str_ieq(mech, STR("XOAUTH2")))
			h->auth_xoauth2 = true;
	}
}

static void
parse_size(struct hello *h, struct str args)
{
	h->size = true;
	if (!str_number(str_word(&args), UINT64_MAX, &h->size_max))
		h->size_max = 0;
}

static void
parse_limits(struct hello *h, struct str args)
{
	struct str word, name;
	uint64_t   n;

	while ((word = str_word(&args)).n > 0) {
		if (!str_cut(&word, '=', &name) || !str_number(word, 1000000, &n) || n == 0)
			continue;
		if (str_ieq(name, STR("RCPTMAX")))
			h->rcpt_max = (unsigned)n;
		else if (str_ieq(name, STR("MAILMAX")))
			h->mail_max = (unsigned)n;
	}
}

static void
parse_line(struct hello *h, struct str line)
{
	static const struct {
		const char *keyword;
		size_t      flag; /* offset in struct hello; 0 is never used with parse */
		void (*parse)(struct hello *h, struct str args);
	} rows[] = {
		{"PIPELINING", offsetof(struct hello, pipelining), NULL},
		{"STARTTLS",   offsetof(struct hello, starttls),   NULL},
		{"8BITMIME",   offsetof(struct hello, eightbit),   NULL},
		{"SMTPUTF8",   offsetof(struct hello, smtputf8),   NULL},
		{"DSN",        offsetof(struct hello, dsn),        NULL},
		{"SIZE",       0,                                  parse_size},
		{"AUTH",       0,                                  parse_auth},
		{"LIMITS",     0,                                  parse_limits},
	};
	struct str args = line, keyword = str_word(&args);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!str_ieq(keyword, str_of(rows[i].keyword)))
			continue;
		if (rows[i].parse != NULL)
			rows[i].parse(h, args);
		else
			*(bool *)(void *)((char *)h + rows[i].flag) = true;
		return;
	}
	/* "AUTH=PLAIN LOGIN": an old form that some servers still write alone. */
	if (str_istarts(line, STR("AUTH=")))
		parse_auth(h, str_skip(line, 5));
}

void
hello_parse(struct hello *h, struct str lines)
{
	struct str line;

	*h = (struct hello){0};
	if (!str_cut(&lines, '\n', &line))
		return;
	while (str_cut(&lines, '\n', &line))
		parse_line(h, line);
}
