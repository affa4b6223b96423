/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "lib/proc/config_private.h"
#include "lib/util/mem.h"
#include "tests/fuzz/fuzz.h"

/* A configuration file as far as it is text: words, blocks, problems. Nothing is opened. */
static void
parse(struct str text)
{
	struct maker m = {.tree = mem_zero(sizeof *m.tree)};
	struct buf   report = BUF(16 * 1024 * 1024);

	m.tree->users = 1;
	conf_parse(&m, conf_source(m.tree, "fuzz", text), LEX_FILE, 0);
	conf_report(&m, &report);
	must(m.errors > 0 || report.n == 0);
	for (size_t i = 0; i < m.tree->n_nodes; i++)
		must(m.tree->nodes[i].block <= m.tree->nodes[i].n && m.tree->nodes[i].row != NULL);
	arena_free(&m.scratch);
	conf_tree_unref(m.tree);
	buf_free(&report);
}

/* What a role understood, it would render and understand again alike. */
static void
carry(struct str text)
{
	struct config *c = config_read(text, 1), *again;
	struct buf     once = BUF(WIRE_CONFIG_MAX), twice = BUF(WIRE_CONFIG_MAX);

	if (c != NULL) {
		config_render(c, ROLE_SUPERVISOR, &once);
		again = config_read(buf_str(&once), 2);
		must(again != NULL);
		config_render(again, ROLE_SUPERVISOR, &twice);
		must(str_eq(buf_str(&once), buf_str(&twice)));
		config_unref(again);
	}
	config_unref(c);
	buf_free(&once);
	buf_free(&twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = input(data, size);

	if (size > 64 * 1024)
		return 0;
	carry(text);
	if (str_find_str(text, STR("include")) < 0)
		parse(text);
	return 0;
}
