/* SPDX-License-Identifier: ISC */
/*
 * postern dns: the records that domains and host need, and how each stands. Those of keys that do not
 * sign yet or any more are among them, as long as they are needed.
 */
#include <stdio.h>

#include "cmd/key_ring.h"
#include "cmd/records.h"

enum { OUTPUT_MAX = 8 << 20 };

struct printing {
	enum record_format format;
	bool               diff, zone;
};

static int
outcome(const struct world *w, const struct records *r)
{
	if (world_is_silent(w)) {
		cmd_error("dns", "no name server answers", "--resolver IP@PORT names another");
		return CMD_TRY_AGAIN;
	}
	return records_count(r, RECORD_MISSING, false) + records_count(r, RECORD_DIFFERS, false) +
	                               records_count(r, RECORD_UNKNOWN, false) >
	                       0
	               ? CMD_FAILED
	               : CMD_OK;
}

static int
show(struct world *w, const struct printing *p)
{
	struct records  r = {0};
	struct key_ring ring = {0};
	struct config   trial;
	struct buf      out = BUF(OUTPUT_MAX);
	int             code;

	key_ring_fill(&ring, w->config);
	trial = key_ring_trial(&ring, w->config);
	w->exam.config = &trial;
	records_ask(w, &r);
	if (p->zone)
		records_print_zone(&out, &r, &w->exam, w->domains[0]);
	else
		records_print(&out, &r, p->format, p->diff);
	fwrite(out.p, 1, out.n, stdout);
	fflush(stdout);
	code = outcome(w, &r);
	w->exam.config = w->config;
	records_free(&r);
	key_ring_free(&ring);
	buf_free(&out);
	return code;
}

static int
read_options(struct cmd *c, struct world *w, struct printing *p)
{
	const char *format = cmd_option(c, "format"), *word;
	int         code = world_options(w, c);

	p->format = c->json ? FORMAT_JSON : FORMAT_ZONE;
	if (code != CMD_OK)
		return code;
	if (format != NULL && !record_format_parse(format, &p->format))
		return cmd_usage(c, "--format takes zone, panel, json or terraform");
	p->diff = cmd_flag(c, "diff");
	p->zone = cmd_flag(c, "zone");
	if ((word = cmd_word(c)) != NULL && !world_add_domain(w, word))
		return cmd_usage(c, "that is no domain name");
	return cmd_end(c) ? CMD_OK : CMD_USAGE;
}

int
cmd_dns(struct cmd *c)
{
	struct world    w = {0};
	struct printing p = {0};
	struct config  *config;
	int             code = read_options(c, &w, &p);

	if (code == CMD_OK && (config = cmd_load(c)) == NULL)
		code = CMD_CONFIG;
	else if (code == CMD_OK)
		code = world_open(&w, config);
	if (code == CMD_OK && w.n_domains == 0)
		code = cmd_usage(c, "for which domain? none is configured");
	if (code == CMD_OK && p.zone && w.n_domains > 1)
		code = cmd_usage(c, "--zone is for one domain: name it");
	if (code == CMD_OK)
		code = show(&w, &p);
	world_close(&w);
	return code;
}
