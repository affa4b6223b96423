/* SPDX-License-Identifier: ISC */
/*
 * postern dkim new|rotate: the keys that mail is signed with.
 *
 * Keys live as STATE/dkim/DOMAIN/SELECTOR.pem, where the configuration finds them
 * by itself. Two are made at once: RSA because every receiver knows it,
 * Ed25519 for those that know better; both sign.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/daemon.h"
#include "cmd/dkim.h"
#include "cmd/key_files.h"
#include "dkim/key.h"
#include "lib/mail/address.h"
#include "lib/proc/sandbox.h"
#include "lib/util/json.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum {
	PATH_LIMIT = 4096,
	PEM_LIMIT = 16 * 1024,
	RECORD_LIMIT = 4096,
	STRING_MAX = 255, /* of one string of a TXT record (RFC 1035 section 3.3) */
	TTL_S = 3600,
};

/* One new key: made, written, told of. */
struct made {
	enum key_type type;
	struct key   *key;
	struct buf    selector, path;
	bool          written;
};

struct job {
	struct cmd    *c;
	struct config *config;
	struct account account;
	const char *ending; /* of the files: ".pem", or ".pem.new" for keys that do not sign yet */
	struct buf  domain, folder;
	struct made keys[2];
};

static int
failed(struct buf *path, const char *why)
{
	cmd_error(buf_z(path), why, NULL);
	return CMD_FAILED;
}

/* ---- names ---- */

/* As dkim-selector has it, and "-2", "-3" behind it if there are keys of that name in whatever state. */
static bool
free_selector(struct job *j, struct buf *out)
{
	size_t plain;

	if (!config_selector(j->config, time_wall_ms(), out))
		return false;
	plain = out->n;
	for (unsigned n = 2; key_files_have(buf_z(&j->folder), buf_z(out)) && n < 100; n++) {
		buf_truncate(out, plain);
		buf_addf(out, "-%u", n);
	}
	return true;
}

static bool
name_keys(struct job *j, const char *selector)
{
	struct made *rsa = &j->keys[0], *ed25519 = &j->keys[1];
	struct buf   wanted = BUF(DOMAIN_MAX);
	bool         ok = true;

	rsa->type = KEY_RSA;
	ed25519->type = KEY_ED25519;
	if (selector != NULL)
		buf_addz(&wanted, selector);
	else
		ok = free_selector(j, &wanted);
	ok = ok && domain_canonical(&rsa->selector, buf_str(&wanted));
	buf_add(&ed25519->selector, buf_str(&rsa->selector));
	buf_addc(&ed25519->selector, 'e');
	for (size_t i = 0; i < ARRAY_LEN(j->keys); i++)
		buf_addf(&j->keys[i].path, "%s/%s%s", buf_z(&j->folder),
		         buf_z(&j->keys[i].selector), j->ending);
	buf_free(&wanted);
	return ok;
}

/* ---- files ---- */

/* To whom the daemon belongs, if we may give files away. */
static bool
hand_over(const struct job *j, int fd)
{
	return !j->account.change || fchown(fd, j->account.uid, j->account.gid) == 0;
}

/* Make one folder unless it is there. Folders of others are left as they are. */
static bool
make_folder(struct job *j, const char *path)
{
	int  fd;
	bool ok;

	if (mkdir(path, 0700) != 0)
		return errno == EEXIST;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ok = fd >= 0 && hand_over(j, fd);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* All folders down to that of the domain. */
static bool
make_folders(struct job *j)
{
	struct str path = buf_str(&j->folder);

	for (size_t i = 1; i <= path.n; i++) {
		char *part;
		bool  ok;

		if (i < path.n && path.p[i] != '/')
			continue;
		part = str_dup(str_sub(path, 0, i));
		ok = make_folder(j, part);
		if (!ok)
			cmd_error(part, strerror(errno), NULL);
		free(part);
		if (!ok)
			return false;
	}
	return true;
}

static bool
write_text(int fd, struct str text)
{
	while (text.n > 0) {
		ssize_t n = write(fd, text.p, text.n);

		if (n < 0 && errno != EINTR)
			return false;
		text = str_skip(text, n < 0 ? 0 : (size_t)n);
	}
	return fsync(fd) == 0;
}

/* O_EXCL: a key that is published must never be replaced by one that is not. */
static int
write_key(struct job *j, struct made *m)
{
	struct buf pem = BUF(PEM_LIMIT);
	int  fd = open(buf_z(&m->path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	bool ok;

	if (fd < 0)
		return failed(&m->path, errno == EEXIST
		                                ? "is there already, and is never overwritten"
		                                : strerror(errno));
	m->written = true;
	key_format_pem(m->key, &pem);
	ok = fchmod(fd, 0600) == 0 && hand_over(j, fd) && write_text(fd, buf_str(&pem));
	if (!ok)
		failed(&m->path, strerror(errno));
	close(fd);
	mem_wipe(pem.p, pem.n);
	buf_free(&pem);
	return ok ? CMD_OK : CMD_FAILED;
}

static bool
sync_folder(struct job *j)
{
	int  fd = open(buf_z(&j->folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Both or none. */
static int
write_keys(struct job *j)
{
	int code = CMD_OK;

	for (size_t i = 0; i < ARRAY_LEN(j->keys) && code == CMD_OK; i++) {
		struct made *m = &j->keys[i];

		if ((m->key = key_create(m->type)) == NULL)
			code = failed(&m->path, "OpenSSL cannot make a key");
		else
			code = write_key(j, m);
	}
	if (code == CMD_OK && !sync_folder(j))
		code = failed(&j->folder, strerror(errno));
	for (size_t i = 0; i < ARRAY_LEN(j->keys) && code != CMD_OK; i++)
		if (j->keys[i].written)
			(void)unlink(buf_z(&j->keys[i].path));
	return code;
}

/* ---- records ---- */

/* As a zone file has it: a name with a final dot, and strings of at most 255 octets. */
static void
format_zone(struct buf *out, struct str name, struct str txt)
{
	buf_add(out, name);
	buf_addf(out, ". %d IN TXT (", TTL_S);
	for (; txt.n > 0; txt = str_skip(txt, STRING_MAX)) {
		buf_addz(out, "\n\t\"");
		buf_add(out, str_sub(txt, 0, STRING_MAX));
		buf_addc(out, '"');
	}
	buf_addz(out, " )");
}

static void
print_json(struct job *j, const struct made *m, struct str name, struct str txt)
{
	struct buf  out = BUF(4 * RECORD_LIMIT), zone = BUF(2 * RECORD_LIMIT);
	struct json json = {.out = &out};

	format_zone(&zone, name, txt);
	json_open(&json, NULL, '{');
	json_str(&json, "domain", buf_str(&j->domain));
	json_str(&json, "selector", buf_str(&m->selector));
	json_str(&json, "type", key_type_name(m->type));
	json_int(&json, "bits", key_bits(m->key));
	json_str(&json, "file", buf_str(&m->path));
	json_str(&json, "name", name);
	json_str(&json, "txt", txt);
	json_str(&json, "zone", buf_str(&zone));
	json_close(&json, '}');
	puts(buf_z(&out));
	buf_free(&out);
	buf_free(&zone);
}

/* The three ways in which the records are told, each for all keys together. */
enum form { FORM_ZONE, FORM_STRING, FORM_JSON };

static void
print_record(struct job *j, struct made *m, enum form form)
{
	struct buf name = BUF(2 * DOMAIN_MAX), txt = BUF(RECORD_LIMIT),
		   zone = BUF(2 * RECORD_LIMIT);

	buf_addf(&name, "%s._domainkey.", buf_z(&m->selector));
	buf_add(&name, buf_str(&j->domain));
	key_format_record(m->key, &txt);
	switch (form) {
	case FORM_ZONE:
		format_zone(&zone, buf_str(&name), buf_str(&txt));
		printf("%s\n", buf_z(&zone));
		break;
	case FORM_STRING:
		printf("\n    name   %s\n    value  %s\n", buf_z(&name), buf_z(&txt));
		break;
	case FORM_JSON:
		print_json(j, m, buf_str(&name), buf_str(&txt));
		break;
	}
	buf_free(&name);
	buf_free(&txt);
	buf_free(&zone);
}

static void
print_records(struct job *j, enum form form)
{
	for (size_t i = 0; i < ARRAY_LEN(j->keys); i++)
		print_record(j, &j->keys[i], form);
}

static void
print_made(struct job *j)
{
	if (j->c->json) {
		print_records(j, FORM_JSON);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(j->keys); i++)
		printf("made %s (%.*s, %u bits)\n", buf_z(&j->keys[i].path),
		       (int)key_type_name(j->keys[i].type).n, key_type_name(j->keys[i].type).p,
		       key_bits(j->keys[i].key));
	printf("\nPublish both in DNS%s. Lines for a zone file:\n\n",
	       strcmp(j->ending, ".pem") == 0 ? "" : ", then run `postern dkim activate`");
	print_records(j, FORM_ZONE);
	printf("\nOr, where a form asks for the name and the value of a TXT record:\n");
	print_records(j, FORM_STRING);
}

/* A running daemon signs with the new keys from its next configuration on. */
void
dkim_tell_daemon(struct cmd *c)
{
	struct buf said = BUF(RECORD_LIMIT);
	int        fd = daemon_connect(c);

	if (fd < 0)
		return;
	close(fd);
	if (daemon_ask(c, STR("reload"), &(struct daemon_hooks){0}, NULL, &said) == CMD_OK)
		fprintf(stderr, "The running daemon signs with them from now on.\n");
	else
		cmd_error("reload", buf_z(&said),
		          "the daemon goes on with the keys it had; see `postern check`");
	buf_free(&said);
}

/* ---- verbs ---- */

static void
say_unused(const struct job *j)
{
	for (size_t i = 0; i < j->config->n_dkim; i++)
		if (str_eq(j->config->dkim[i].domain, buf_str(&j->domain)) &&
		    j->config->dkim[i].origin.line > 0)
			fprintf(stderr,
			        "The configuration names the keys of this domain (%s:%u): add `key SELECTOR FILE` "
			        "there, or these are not used.\n",
			        j->config->dkim[i].origin.file, j->config->dkim[i].origin.line);
}

static int
make_keys(struct job *j, const char *selector)
{
	struct buf why = BUF(1024);

	buf_add(&j->folder, j->config->state);
	buf_addz(&j->folder, "/dkim/");
	buf_add(&j->folder, buf_str(&j->domain));
	if (!name_keys(j, selector))
		return cmd_usage(j->c, selector != NULL
		                               ? "a selector is a name of letters, digits and hyphens"
		                               : "dkim-selector makes no name here: say --selector");
	/* Without such an account nobody can be the daemon but who runs this. */
	if (!account_find(j->config->user_account, &j->account, &why))
		j->account.change = false;
	buf_free(&why);
	for (size_t i = 0; i < ARRAY_LEN(j->keys); i++)
		if (access(buf_z(&j->keys[i].path), F_OK) == 0)
			return failed(&j->keys[i].path,
			              "is there already, and is never overwritten");
	if (!make_folders(j))
		return CMD_FAILED;
	return write_keys(j);
}

static int
make_and_tell(struct job *j, const char *selector)
{
	int code = make_keys(j, selector);

	if (code != CMD_OK)
		return code;
	print_made(j);
	fflush(stdout);
	say_unused(j);
	if (strcmp(j->ending, ".pem") == 0)
		dkim_tell_daemon(j->c);
	return CMD_OK;
}

/* `ending` says whether they sign at once, or wait for `dkim activate`. */
static int new (struct job *j, const char *ending)
{
	const char *selector = cmd_option(j->c, "--selector"), *domain = cmd_word(j->c);

	j->ending = ending;
	if (domain == NULL)
		return cmd_usage(j->c, "for which domain?");
	if (!cmd_end(j->c))
		return CMD_USAGE;
	if (domain[0] == '[' || !domain_canonical(&j->domain, str_of(domain)))
		return cmd_usage(j->c, "that is no domain name");
	if ((j->config = cmd_load(j->c)) == NULL)
		return CMD_CONFIG;
	return make_and_tell(j, selector);
}

static void
free_job(struct job *j)
{
	for (size_t i = 0; i < ARRAY_LEN(j->keys); i++) {
		key_destroy(j->keys[i].key);
		buf_free(&j->keys[i].selector);
		buf_free(&j->keys[i].path);
	}
	buf_free(&j->domain);
	buf_free(&j->folder);
	config_unref(j->config);
}

static void
init_job(struct job *j)
{
	buf_init(&j->domain, DOMAIN_MAX);
	buf_init(&j->folder, PATH_LIMIT);
	for (size_t i = 0; i < ARRAY_LEN(j->keys); i++) {
		buf_init(&j->keys[i].selector, DOMAIN_MAX);
		buf_init(&j->keys[i].path, PATH_LIMIT);
	}
}

int
dkim_make(struct cmd *c, struct config *config, struct str domain)
{
	struct job j = {.c = c, .config = config_ref(config)};
	int        code;

	init_job(&j);
	j.ending = ".pem";
	buf_add(&j.domain, domain);
	code = make_keys(&j, NULL);
	free_job(&j);
	return code;
}

int
cmd_dkim(struct cmd *c)
{
	const char *verb = cmd_word(c);
	struct job  j = {.c = c};
	int         code;

	init_job(&j);
	if (verb != NULL && strcmp(verb, "new") == 0)
		code = new (&j, ".pem");
	else if (verb != NULL && strcmp(verb, "rotate") == 0)
		code = new (&j, ".pem.new");
	else if (verb != NULL && strcmp(verb, "activate") == 0)
		code = dkim_activate(c);
	else if (verb != NULL && strcmp(verb, "retire") == 0)
		code = dkim_retire(c);
	else if (verb != NULL && strcmp(verb, "list") == 0)
		code = dkim_list(c);
	else if (verb != NULL && strcmp(verb, "test") == 0)
		code = dkim_test(c);
	else
		code = cmd_usage(c, "new, list, rotate, activate, retire or test?");
	free_job(&j);
	return code;
}
