/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "cmd/cmd.h"
#include "cmd/role_doctor.h"
#include "delivery/delivery.h"
#include "dkim/keyd.h"
#include "lib/proc/wire.h"
#include "queue/queue.h"
#include "smtpd/smtpd.h"

/* One row for each verb, in the order of the help. */
/* clang-format off */
static const struct verb verbs[] = {
	{"setup", cmd_setup,
	 "DOMAIN... [--yes] [--no-wait] [--public-ip IP] [--hostname H] [--format zone|panel|json|terraform] [--resolver IP@PORT]",
	 "from nothing to signed mail that arrives: keys, DNS records, configuration",
	 "Waits until the records are visible and only then turns capture mode to live. --yes asks nothing, --no-wait looks\n"
	 "once; run it again at any time: what is right stays. Exit code 0: live and all is published, 1: not yet.\n"},
	{"run", cmd_run, "[--pidfile FILE]", "be the daemon, in the foreground", NULL},
	{"status", cmd_status, "[--all]", "what the daemon does: queue, listeners, roles, trouble",
	 "--all shows all counters, too.\n"},
	{"check", cmd_check, "[FILE]", "read the configuration and tell all that is wrong with it", NULL},
	{"reload", cmd_reload, "", "put a changed configuration in force, if it is without mistakes", NULL},
	{"config", cmd_config, "show [--all]", "values in force and where each came from",
	 "--all shows what is at its default too, and what each directive is for.\n"},
	{"send", cmd_send, "--to ADDRESS [--from ADDRESS] [--via IP:PORT]", "send a test mail and say what became of it",
	 "Exit code: 0 delivered (or held in capture mode), 75 deferred or no outcome within 2 minutes,\n"
	 "1 refused or bounced.\n"},
	{"user", cmd_user, "add NAME [--from PATTERN] [--password-file FILE|-] | list | rm NAME", "who may log in",
	 "add makes a password and shows it once, unless --password-file gives one. --from limits what the\n"
	 "user may send as (ann@example.com, *@example.com); give it again for a second pattern.\n"},
	{"dkim", cmd_dkim, "new DOMAIN [--selector S] | list [--offline] | rotate DOMAIN | activate DOMAIN | retire DOMAIN SELECTOR | test FILE", "keys that sign mail, and their DNS records",
	 "new makes an RSA and an Ed25519 key in the state folder and prints the records to publish.\n"
	 "Without --selector they are called as dkim-selector has it, HOST-YYYYMM and HOST-YYYYMMe. rotate makes keys that do not sign yet;\n"
	 "activate lets them sign, and retires the old ones, once every name server shows their records.\n"
	 "list shows each key as new, published (DNS has it), active, retiring (its record is still needed) or revoked.\n"
	 "test signs the message in FILE and shows its canonical form, octet by octet.\n"},
	{"dns", cmd_dns, "[DOMAIN] [--format zone|panel|json|terraform] [--diff] [--zone] [--source IP] [--resolver IP@PORT]",
	 "the DNS records that your domains and this host need, each present, missing or different",
	 "What is there is kept: SPF gets what it lacks. --diff shows only what must change, --zone makes a whole zone file.\n"
	 "Exit code 0: all are there, 1: not all, 75: no name server answers.\n"},
	{"doctor", cmd_doctor,
	 "[--domain D] [--source IP] [--quick] [--offline] [--resolver IP@PORT] [--fail-on warn|fail] [--wait]",
	 "what receivers would hold against your mail, and the records that repair it",
	 "Looks at every address you send from and every domain you send as. --quick asks only DNS, --offline nobody;\n"
	 "--wait asks again until all is well. Exit code 0: well, 1: warnings, 2: mail would be refused, 3: could not\n"
	 "run, 4: no name server answers. With --fail-on fail warnings give 0.\n"},
	{"queue", cmd_queue,
	 "[list [--damaged]|show ID|cat ID|retry|delete|hold|release|export FILE|import [--hold] [--again] FILE|fsck] [ID...] [FILTER...]",
	 "queued mail: look at it, try it now, hold, release or delete it",
	 "Filters: --domain D --from ADDRESS --to ADDRESS --older-than 2h --status ready|active|deferred|held|damaged\n"
	 "--limit N; addresses may be patterns (*@example.com). An id may be cut short as long as it is unique.\n"
	 "retry, delete, hold and release want ids, a filter, or --all; --dry-run only counts.\n"
	 "list, show, cat, export and import work without the daemon, too; fsck only then.\n"
	 "export writes the messages as a tar, each a file with its envelope on top; - is standard output. import puts\n"
	 "them into the queue of this host and lets them go when all are in (--hold: not even then). Run it again after\n"
	 "an interruption: what is there already stays as it is, what has come and gone is left out (--again: it is not).\n"
	 "Then delete them on the old host before you start it.\n"
	 "fsck reads every octet of the spool and changes nothing; exit code 0: clean, 1: damage found.\n"},
	{"pause", cmd_pause, "[DOMAIN]", "stop deliveries, go on accepting", NULL},
	{"resume", cmd_resume, "[DOMAIN]", "go on with deliveries", NULL},
	{"explain", cmd_explain, "--client IP [--login NAME] --from ADDRESS --to ADDRESS",
	 "what would become of a mail, and which line says so",
	 "Exit code 0: it would be accepted, 1: refused. --from '<>' is the null sender.\n"},
	{"lint", cmd_lint, "FILE.eml [--from ADDRESS] [--listener fix|strict|off]",
	 "what receivers would hold against a message, and whether From, envelope and signature agree",
	 "Exit code 0: a listener would accept it, 1: refuse it. FILE may be -. Without --from the author is\n"
	 "the envelope's sender; --from '<>' is the null sender.\n"},
	{"readyz", cmd_readyz, "", "can mail be accepted now? exit code 0: yes", NULL},
	{"version", cmd_version, "", "say which version this is", NULL},
};
/* clang-format on */

/* The main function of each role, found by `--role NAME INDEX`. */
struct role_entry {
	enum role_id id;
	int (*run)(unsigned index);
};

static const struct role_entry roles[] = {
	{ROLE_SMTPD, smtpd_main},
	{ROLE_AUTH, auth_main},
	{ROLE_QUEUE, queue_main},
	{ROLE_DELIVERY, delivery_main},
	{ROLE_KEYD, keyd_main},
	{ROLE_DOCTOR, role_doctor_main},
};

static const struct verb *
find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static void
print_verbs(FILE *to)
{
	fputs("usage: postern [-c FILE] VERB [--json] [--help] ...\n\n", to);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		fprintf(to, "  %-8s  %s\n", verbs[i].name, verbs[i].help);
	fputs("\n-c FILE  configuration (default /etc/postern/postern.conf, if it is there)\n"
	      "--json   answers as JSON, the stable form for programs\n"
	      "--help   after a verb: how it is used\n",
	      to);
}

static void
print_usage(FILE *to, const struct verb *v)
{
	fprintf(to, "usage: postern %s%s%s\n%s\n", v->name, *v->args != '\0' ? " " : "", v->args,
	        v->help);
	if (v->more != NULL)
		fprintf(to, "\n%s", v->more);
}

static int
run_role(char **argv)
{
	enum role_id id;
	uint64_t     index;

	if (argv[0] == NULL || argv[1] == NULL || !role_find(str_of(argv[0]), &id) ||
	    !str_number(str_of(argv[1]), 1023, &index)) {
		cmd_error("--role", "is for the daemon's own use", "start it with `postern run`");
		return CMD_USAGE;
	}
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		if (roles[i].id == id)
			return roles[i].run((unsigned)index);
	cmd_error("--role", "this role has no process", NULL);
	return CMD_USAGE;
}

/* Take the options that are known everywhere out of the arguments. False: wrong command line. */
static bool
take_common(struct cmd *c, bool *help)
{
	char **words = c->argv;
	int    kept = 0;
	bool   all = false; /* behind "--" everything is a word */

	for (int i = 0; i < c->argc; i++) {
		const char *w = words[i];

		if (all || *w != '-') {
			words[kept++] = words[i];
		} else if (strcmp(w, "-c") == 0) {
			if (++i == c->argc) {
				cmd_error("-c", "needs a file name", NULL);
				return false;
			}
			c->config_file = words[i];
		} else if (strcmp(w, "--json") == 0) {
			c->json = true;
		} else if (strcmp(w, "--help") == 0 || strcmp(w, "-h") == 0) {
			*help = true;
		} else {
			all = strcmp(w, "--") == 0;
			words[kept++] = words[i];
		}
	}
	words[kept] = NULL;
	c->argc = kept;
	return true;
}

int
main(int argc, char **argv)
{
	struct cmd c = {0};
	bool       help = false;

	if (argc > 1 && strcmp(argv[1], "--role") == 0)
		return run_role(argv + 2);
	c.argc = argc > 0 ? argc - 1 : 0;
	c.argv = argv + (argc > 0);
	if (!take_common(&c, &help))
		return CMD_USAGE;
	if (c.argc == 0) {
		print_verbs(help ? stdout : stderr);
		return help ? CMD_OK : CMD_USAGE;
	}
	const char *name = cmd_word(&c);

	c.verb = find_verb(strcmp(name, "--version") == 0 ? "version" : name);
	if (c.verb == NULL) {
		cmd_error(name, "is not a verb of postern", "`postern --help` lists them");
		return CMD_USAGE;
	}
	if (help) {
		print_usage(stdout, c.verb);
		return CMD_OK;
	}
	return c.verb->run(&c);
}
