/* SPDX-License-Identifier: ISC */
#include "tests/unit/proc/config_fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util/encode.h"
#include "lib/util/mem.h"
#include "tests/unit/net/certs.h"

static char dir[] = "/tmp/postern-config-XXXXXX";
static char path[4096];
static char shown[65536];

const char *
fixture_dir(void)
{
	return dir;
}

const char *
fixture_path(const char *name)
{
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void
put(const char *name, struct str text, unsigned mode)
{
	int fd;

	unlink(fixture_path(name));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n || fchmod(fd, (mode_t)mode) != 0) {
		perror(path);
		abort();
	}
	close(fd);
}

void
fixture_write(const char *name, const char *text, unsigned mode)
{
	put(name, str_of(text), mode);
}

void
fixture_copy(const char *from_corpus, const char *name, unsigned mode)
{
	char   octets[65536];
	size_t n;
	FILE  *f;

	snprintf(path, sizeof path, "%s/keys/%s", getenv("CORPUS"), from_corpus);
	if ((f = fopen(path, "re")) == NULL) {
		perror(path);
		abort();
	}
	n = fread(octets, 1, sizeof octets, f);
	fclose(f);
	put(name, (struct str){octets, n}, mode);
}

static void
write_users(void)
{
	struct buf b = BUF(1024);
	char       octets[32] = {1};

	buf_addz(&b, "# who may log in\n#unknown c2VjcmV0\nbob:SCRAM-SHA-256$4096:");
	base64_encode(&b, (struct str){octets, 16});
	buf_addc(&b, '$');
	base64_encode(&b, (struct str){octets, 32});
	buf_addc(&b, ':');
	base64_encode(&b, (struct str){octets, 32});
	buf_addz(&b, "\n");
	put("users", buf_str(&b), 0600);
	buf_free(&b);
}

int
fixture_setup(void **state UNUSED)
{
	struct made_cert c;

	if (mkdtemp(dir) == NULL)
		return -1;
	made_cert_init(&c, CERT_RSA, "DNS:mail.example.com", NULL);
	put("cert.pem", buf_str(&c.cert), 0644);
	put("key.pem", buf_str(&c.key), 0600);
	made_cert_free(&c);
	mkdir(fixture_path("tls"), 0755);
	made_cert_init(&c, CERT_RSA, "DNS:other.example.com", NULL);
	put("other.pem", buf_str(&c.key), 0600);
	put("tls/fullchain.pem", buf_str(&c.cert), 0644);
	put("tls/privkey.pem", buf_str(&c.key), 0600);
	made_cert_free(&c);
	fixture_copy("rsa2048.pkcs8.pem", "rsa.pem", 0600);
	fixture_copy("ed25519.pkcs8.pem", "ed.pem", 0600);
	write_users();
	fixture_write("secret", "open-sesame\n", 0600);
	mkdir(fixture_path("state"), 0700);
	return 0;
}

static int
drop(const char *name, const struct stat *st UNUSED, int type UNUSED, struct FTW *at UNUSED)
{
	return remove(name);
}

int
fixture_teardown(void **state UNUSED)
{
	return nftw(dir, drop, 16, FTW_DEPTH | FTW_PHYS);
}

struct config *
fixture_load(const char *text, struct buf *report)
{
	struct buf b = BUF(256 * 1024);

	buf_addz(&b, text);
	if (strstr(text, "state ") == NULL)
		buf_addf(&b, "\nstate %s/state\n", dir);
	put("c.conf", buf_str(&b), 0600);
	buf_free(&b);
	return config_load(fixture_path("c.conf"), report, NULL, NULL);
}

struct wanted {
	const char *name;
	struct buf  out;
	bool        origin;
};

static void
collect(void *arg, const char *name, struct str value, struct str origin)
{
	struct wanted *w = arg;

	if (strcmp(name, w->name) != 0)
		return;
	if (w->out.n > 0)
		buf_addz(&w->out, " | ");
	buf_add(&w->out, w->origin ? origin : value);
}

static const char *
ask(const struct config *c, const char *name, bool origin)
{
	struct wanted w = {name, BUF(sizeof shown - 1), origin};

	config_show(c, collect, &w);
	memcpy(shown, buf_z(&w.out), w.out.n + 1);
	buf_free(&w.out);
	return shown;
}

const char *
fixture_value(const struct config *c, const char *name)
{
	return ask(c, name, false);
}

const char *
fixture_origin(const struct config *c, const char *name)
{
	return ask(c, name, true);
}
