/* SPDX-License-Identifier: ISC */
/* What needs no question: our names, networks, certificate, clock and disk. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include "doctor/exam.h"
#include "lib/net/tls.h"
#include "lib/proc/trust_nets.h"
#include "lib/util/time.h"

enum {
	TEXT_LIMIT = 16 * 1024,
	DAY_MS = 24 * 3600 * 1000,
	CERT_WARN_DAYS = 14,
	CLOCK_WARN_S = 60,
	CLOCK_FAIL_S = 300,
	SPACE_WARN_PERCENT = 10,
	SPACE_FAIL_MIB = 64,
	WIDEST_4 = 8,
	WIDEST_6 = 32,
};

void
check_host_name(struct exam *e, const struct subject *s, struct finding *f)
{
	struct str  name = s->ehlo;
	const char *wrong = NULL;

	(void)e;
	finding_see(f, name);
	if (name.n > 0 && name.p[0] == '[') {
		finding_say(f, CHECK_WARN,
		            "the EHLO name is an address: many receivers want a name");
	} else {
		if (str_ieq(name, STR("localhost")) || str_istarts(name, STR("localhost.")))
			wrong = "is that of everybody's own machine";
		else if (str_find(name, '.') < 0)
			wrong = "has no domain";
		else if (str_find(name, '_') >= 0)
			wrong = "has an underscore, which no host name may have";
		if (wrong != NULL)
			finding_say(f, CHECK_FAIL, "the host name %.*s %s", S(name), wrong);
		else
			finding_say(f, CHECK_PASS, "says EHLO %.*s", S(name));
	}
	if (f->status >= CHECK_WARN)
		finding_fix(
			f,
			"Say `hostname mail.YOURDOMAIN` in the configuration, the name that the address leads to.");
}

void
check_src_public(struct exam *e, const struct subject *s, struct finding *f)
{
	(void)e;
	if (!exam_is_public(s->source)) {
		finding_say(f, CHECK_WARN,
		            "a private address: the one the world sees is not known");
		finding_fix(f, "Name the public address: postern doctor --source IP");
	} else {
		finding_say(f, CHECK_PASS, "a public address");
	}
}

void
check_msgid(struct exam *e, const struct subject *s, struct finding *f)
{
	(void)s;
	if (str_find(e->config->hostname, '.') > 0 && e->config->hostname.p[0] != '[') {
		finding_say(f, CHECK_PASS, "Message-IDs end in @%.*s", S(e->config->hostname));
	} else {
		finding_say(f, CHECK_WARN, "Message-IDs would end in @%.*s, which is no full name",
		            S(e->config->hostname));
		finding_fix(f, "Say `hostname mail.YOURDOMAIN` in the configuration.");
	}
}

/* ---- networks that may send ---- */

static void
read_file(const char *path, struct buf *out)
{
	int     fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	char   *to;

	while (fd >= 0 && (to = buf_room(out, 4096)) != NULL && (n = read(fd, to, 4096)) > 0)
		buf_commit(out, (size_t)n);
	if (fd >= 0)
		close(fd);
}

static void
judge_net(struct finding *f, const struct cidr *net, const struct addr *gateways, size_t n)
{
	struct buf text = BUF(128);

	cidr_format(&text, net);
	if (net->bits < (net->addr.family == 4 ? WIDEST_4 : WIDEST_6))
		finding_say(f, CHECK_FAIL, "%s may send without a login: half the world is in it",
		            buf_z(&text));
	for (size_t i = 0; i < n && f->status != CHECK_FAIL; i++)
		if (cidr_has(net, gateways[i])) {
			struct buf ip = BUF(64);

			addr_format(&ip, gateways[i]);
			finding_say(
				f, CHECK_WARN,
				"%s may send without a login and holds the gateway %s: behind a container bridge every stranger has that address",
				buf_z(&text), buf_z(&ip));
			buf_free(&ip);
		}
	if (f->status >= CHECK_WARN && f->fix.n == 0)
		finding_fix(
			f,
			"Narrow `trust` to the machines that send, or use `trust container-net`, which leaves gateways out.");
	buf_free(&text);
}

void
check_relay_nets(struct exam *e, const struct subject *s, struct finding *f)
{
	struct buf   route4 = BUF(1 << 20), route6 = BUF(1 << 20);
	struct addr *gateways;
	size_t       n = 0;

	(void)s;
	read_file("/proc/net/route", &route4);
	read_file("/proc/net/ipv6_route", &route6);
	gateways = trust_nets_gateways(buf_str(&route4), buf_str(&route6), &n);
	for (size_t i = 0; i < e->config->n_trusts; i++)
		judge_net(f, &e->config->trusts[i].net, gateways, n);
	if (f->status == CHECK_PASS)
		finding_say(f, CHECK_PASS, "no network of strangers may send without a login");
	free(gateways);
	buf_free(&route4);
	buf_free(&route6);
}

/* ---- certificate, clock, disk ---- */

static void
judge_cert(struct exam *e, struct finding *f, const struct tls_conf *t, bool *covers)
{
	struct tls_pair    pair = {t->cert_pem, t->key_pem};
	struct tls_server *server;
	struct buf         names = BUF(TEXT_LIMIT), why = BUF(TEXT_LIMIT);
	int64_t            until = 0, days;

	if (!tls_pair_check(&pair, &until, &names, &why)) {
		finding_say(f, CHECK_FAIL, "the certificate %.*s is of no use: %s", S(t->cert_path),
		            buf_z(&why));
	} else {
		finding_see(f, buf_str(&names));
		days = (until - time_wall_ms()) / DAY_MS;
		server = tls_server_create(&pair, 1, &why);
		*covers = *covers ||
		          (server != NULL && tls_server_covers(server, e->config->hostname));
		tls_server_unref(server);
		if (until < time_wall_ms())
			finding_say(f, CHECK_FAIL, "the certificate %.*s has expired",
			            S(t->cert_path));
		else if (days < CERT_WARN_DAYS && f->status < CHECK_WARN)
			finding_say(f, CHECK_WARN, "the certificate %.*s ends in %lld days",
			            S(t->cert_path), (long long)days);
		else if (f->status == CHECK_PASS)
			finding_say(f, CHECK_PASS, "certificate for %s, %lld days left",
			            buf_z(&names), (long long)days);
	}
	buf_free(&names);
	buf_free(&why);
}

void
check_tls_cert(struct exam *e, const struct subject *s, struct finding *f)
{
	bool covers = false;

	(void)s;
	if (e->config->n_tls == 0) {
		finding_say(f, CHECK_SKIP, "no certificate is configured");
		return;
	}
	for (size_t i = 0; i < e->config->n_tls; i++)
		judge_cert(e, f, &e->config->tls[i], &covers);
	if (!covers && f->status == CHECK_PASS)
		finding_say(f, CHECK_WARN, "no certificate is for the host name %.*s",
		            S(e->config->hostname));
	if (f->status >= CHECK_WARN)
		finding_fix(f, "Get a new certificate for %.*s; the daemon reads it by itself.",
		            S(e->config->hostname));
}

/* A wrong clock makes signatures from the future and Date fields that look forged. */
void
check_clock(struct exam *e, const struct subject *s, struct finding *f)
{
	struct timex t = {0};
	int          state = adjtimex(&t);
	double       off_s;

	(void)e;
	(void)s;
	if (state < 0) {
		finding_say(f, CHECK_SKIP, "the system does not tell how good its clock is: %s",
		            strerror(errno));
		return;
	}
	off_s = (double)t.esterror / 1e6;
	if (state == TIME_ERROR || (t.status & STA_UNSYNC) != 0)
		finding_say(f, CHECK_NOTE, "no time service says that it keeps the clock");
	else if (off_s > CLOCK_FAIL_S)
		finding_say(f, CHECK_FAIL, "the clock is off by about %.0f s", off_s);
	else if (off_s > CLOCK_WARN_S)
		finding_say(f, CHECK_WARN, "the clock is off by about %.0f s", off_s);
	else
		finding_say(f, CHECK_PASS, "the clock is kept by a time service");
	if (f->status >= CHECK_WARN)
		finding_fix(f, "Run chrony or systemd-timesyncd.");
}

void
check_spool(struct exam *e, const struct subject *s, struct finding *f)
{
	struct statvfs fs;
	char          *path = str_dup(e->config->spool);
	uint64_t       free_mib, percent, inodes;

	(void)s;
	finding_see(f, e->config->spool);
	if (statvfs(path, &fs) != 0) {
		finding_say(f, CHECK_NOTE, "the spool %s is not there yet: %s", path,
		            strerror(errno));
	} else {
		free_mib = (uint64_t)fs.f_bavail * fs.f_frsize / (1 << 20);
		percent = fs.f_blocks > 0 ? (uint64_t)fs.f_bavail * 100 / fs.f_blocks : 100;
		inodes = fs.f_files > 0 ? (uint64_t)fs.f_favail * 100 / fs.f_files : 100;
		if (access(path, W_OK) != 0 && errno == EROFS)
			finding_say(f, CHECK_FAIL, "the spool %s cannot be written", path);
		else if (free_mib < SPACE_FAIL_MIB)
			finding_say(f, CHECK_FAIL, "the spool has only %llu MiB left",
			            (unsigned long long)free_mib);
		else if (percent < SPACE_WARN_PERCENT || inodes < SPACE_WARN_PERCENT)
			finding_say(
				f, CHECK_WARN,
				"the spool's disk is nearly full (%llu %% free, %llu %% of the inodes)",
				(unsigned long long)percent, (unsigned long long)inodes);
		else
			finding_say(f, CHECK_PASS, "the spool has %llu MiB left",
			            (unsigned long long)free_mib);
	}
	if (f->status >= CHECK_WARN)
		finding_fix(f, "Make room on the disk of %s.", path);
	free(path);
}
