/* SPDX-License-Identifier: ISC */
/* config_table - all directives, one row each. */
#include <stddef.h>

#include "lib/proc/config_private.h"

#define C(member) offsetof(struct config, member)
#define O(member) offsetof(struct outbound_conf, member)
#define R(member) offsetof(struct route_conf, member)

#define S_   (1U << ROLE_SMTPD)
#define A_   (1U << ROLE_AUTH)
#define Q_   (1U << ROLE_QUEUE)
#define D_   (1U << ROLE_DELIVERY)
#define K_   (1U << ROLE_KEYD)
#define X_   (1U << ROLE_DOCTOR)
#define ALL_ (S_ | A_ | Q_ | D_ | K_ | X_)

#define SEC  INT64_C(1000)
#define HOUR (3600 * SEC)
#define DAY  (24 * HOUR)

static const char *const on_off[] = {"off", "on", NULL};
static const char *const ipv6_words[] = {"off", "on", "auto", NULL}; /* enum outbound_ipv6 */
static const char *const preflight_words[] = {"advise", "enforce", "off", NULL}; /* enum preflight */
static const char *const log_forms[] = {"logfmt", "json", NULL};
static const char *const refuse_allow[] = {"refuse", "allow", NULL};
static const char *const received_words[] = {"short", "full", "none", NULL}; /* enum received_client */
static const char *const dnssec_words[] = {"auto", "on", "off", NULL}; /* enum dns_dnssec */

/* clang-format off */

static const struct row from_trust[] = {
	{.name = "from", .kind = &kind_from, .at = offsetof(struct trust_conf, from), .least = 1},
	{.name = "rate", .kind = &kind_rate, .at = offsetof(struct trust_conf, rate), .least = 1, .most = 1},
	{.name = "quota", .kind = &kind_rate, .at = offsetof(struct trust_conf, quota), .least = 1, .most = 1},
	{.name = NULL},
};

static const struct row from_user[] = {
	{.name = "from", .kind = &kind_from, .at = offsetof(struct user_conf, from), .least = 1},
	{.name = "rate", .kind = &kind_rate, .at = offsetof(struct user_conf, rate), .least = 1, .most = 1},
	{.name = "quota", .kind = &kind_rate, .at = offsetof(struct user_conf, quota), .least = 1, .most = 1},
	{.name = NULL},
};

static const struct row dkim_rows[] = {
	{.name = "key", .kind = &kind_dkim_key, .least = 2, .flags = ROW_REPEAT},
	{.name = "canonicalization", .kind = &kind_dkim_canon, .least = 1, .most = 1},
	{.name = "unpublished", .kind = &kind_dkim_unpublished, .least = 1, .most = 1},
	{.name = NULL},
};

static const struct row route_rows[] = {
	{.name = "via", .kind = &kind_via, .least = 1, .most = 2},
	{.name = "direct", .kind = &kind_direct, .flags = ROW_ALONE},
	{.name = "user", .kind = &kind_name, .at = R(user), .least = 1, .most = 1},
	{.name = "password", .kind = &kind_secret, .least = 1, .most = 1, .flags = ROW_SECRET},
	{.name = "token", .kind = &kind_secret, .least = 1, .most = 1, .flags = ROW_SECRET},
	{.name = NULL},
};

static const struct row outbound_rows[] = {
	{.name = "port", .kind = &kind_port, .at = O(port), .def = "25", .min = 1, .max = 65535, .least = 1, .most = 1},
	{.name = "connect-timeout", .kind = &kind_span, .at = O(connect_timeout_ms), .def = "30s", .min = SEC / 10, .max = HOUR, .least = 1, .most = 1},
	{.name = "greeting-timeout", .kind = &kind_span, .at = O(greeting_timeout_ms), .def = "300s", .min = SEC / 10, .max = HOUR, .least = 1, .most = 1},
	{.name = "bind", .kind = &kind_bind, .least = 1, .most = 2},
	{.name = "public-ip", .kind = &kind_bind, .least = 1, .most = 2},
	{.name = "helo", .kind = &kind_hostname, .at = O(helo), .least = 1, .most = 1},
	{.name = "ipv6", .kind = &kind_choice, .at = O(ipv6), .def = "auto", .choices = ipv6_words, .least = 1, .most = 1},
	{.name = "private-mx", .kind = &kind_flag, .at = O(private_mx), .def = "refuse", .choices = refuse_allow, .least = 1, .most = 1},
	{.name = "ca", .kind = &kind_ca, .least = 1},
	{.name = NULL},
};

const struct row conf_rows[] = {
	{.name = "hostname", .kind = &kind_hostname, .at = C(hostname), .least = 1, .most = 1, .roles = ALL_ & ~K_,
	 .help = "name in greetings and EHLO; its address should have it as PTR; default: the system's"},
	{.name = "domains", .kind = &kind_domains, .least = 1, .roles = S_ | Q_ | D_ | X_, .flags = ROW_REPEAT,
	 .help = "sender domains allowed, as example.com or *.example.org; none: capture mode"},
	{.name = "listen", .kind = &kind_listen, .def = "127.0.0.1:25 [::1]:25", .least = 1, .roles = S_ | D_, .flags = ROW_REPEAT,
	 .help = "ADDRESS:PORT ... [tls|starttls] [auth] [tls-required] [auth-required] [lint fix|strict|off] [proxy CIDR ...]"},
	{.name = "tls", .kind = &kind_tls, .least = 1, .most = 2, .roles = S_ | K_ | X_, .flags = ROW_REPEAT,
	 .help = "CERT.pem KEY.pem, or a folder with fullchain.pem and privkey.pem; several by SNI"},
	{.name = "trust", .kind = &kind_trust, .def = "loopback", .least = 1, .roles = S_, .flags = ROW_REPEAT, .block = from_trust,
	 .help = "networks that may send without a login: loopback, container-net, none, CIDR { from PATTERN ...  rate N/h  quota N/d }"},
	{.name = "users", .kind = &kind_users, .least = 1, .roles = S_ | A_,
	 .help = "file of those who may log in, written by `postern user add`"},
	{.name = "user", .kind = &kind_user, .least = 1, .roles = S_, .flags = ROW_REPEAT, .block = from_user,
	 .help = "NAME { from PATTERN ...  rate N/h  quota N/d }: what one login may send as, and how much; *: all others"},
	{.name = "pwcheck", .kind = &kind_pwcheck, .def = "users", .least = 1, .most = 2, .roles = S_ | A_,
	 .help = "users, or saslauthd SOCKET"},
	{.name = "dkim-selector", .kind = &kind_selector, .def = "%h-%Y%m", .least = 1, .most = 1,
	 .help = "name of new keys: %h is the short host name, %Y %m %d the date; each server has keys of its own"},
	{.name = "dkim-sign", .kind = &kind_flag, .at = C(dkim_sign), .def = "on", .choices = on_off, .least = 1, .most = 1, .roles = S_ | D_ | K_ | X_,
	 .help = "sign mail with DKIM: on or off"},
	{.name = "dkim", .kind = &kind_dkim, .least = 1, .roles = S_ | D_ | K_ | X_, .flags = ROW_REPEAT, .block = dkim_rows,
	 .help = "DOMAIN { key SELECTOR FILE.pem ...  unpublished hold }; without a key: those in the state folder"},
	{.name = "route", .kind = &kind_route, .least = 1, .roles = S_ | D_ | X_, .flags = ROW_REPEAT, .block = route_rows,
	 .help = "DOMAIN|* { via HOST:PORT tls  user NAME  password SECRET }, or { direct }"},
	{.name = "spool", .kind = &kind_path, .at = C(spool), .def = "/var/spool/postern", .least = 1, .most = 1, .flags = ROW_RESTART,
	 .help = "folder of the queue"},
	{.name = "state", .kind = &kind_path, .at = C(state), .def = "/var/lib/postern", .least = 1, .most = 1, .flags = ROW_RESTART,
	 .help = "folder of DKIM keys and what must not be lost"},
	{.name = "control", .kind = &kind_path, .at = C(control), .def = "/run/postern/control", .least = 1, .most = 1, .flags = ROW_RESTART,
	 .help = "unix socket of the commands"},
	{.name = "resolver", .kind = &kind_resolver, .def = "system", .least = 1, .roles = D_ | X_,
	 .help = "system, recursive, or addresses as 127.0.0.1 or 127.0.0.1@5353"},
	{.name = "dnssec", .kind = &kind_choice, .at = C(dnssec), .def = "auto", .choices = dnssec_words, .least = 1, .most = 1, .roles = D_ | X_,
	 .help = "check DNS answers: auto (if the resolver can), on, off"},
	{.name = "outbound", .kind = &kind_outbound, .def = "", .roles = S_ | D_ | X_, .block = outbound_rows,
	 .help = "{ port 25  connect-timeout 30s  greeting-timeout 300s  bind IP ...  public-ip IP ...  helo NAME  ipv6 auto  private-mx refuse  ca FILE }"},
	{.name = "preflight", .kind = &kind_choice, .at = C(preflight), .def = "advise", .choices = preflight_words, .least = 1, .most = 1, .roles = D_ | X_,
	 .help = "checks of the doctor inside the daemon: advise says what is wrong, enforce keeps mail waiting while PTR, SPF or DKIM fails, off makes none"},
	{.name = "retry", .kind = &kind_spans, .def = "5m 10m 20m 40m 1h 2h 4h", .min = SEC / 10, .max = 30 * DAY, .least = 1, .most = 64, .roles = Q_,
	 .help = "waits after each failed attempt; the last repeats"},
	{.name = "expire", .kind = &kind_span, .at = C(expire_ms), .def = "5d", .min = SEC, .max = 60 * DAY, .least = 1, .most = 1, .roles = Q_,
	 .help = "undelivered mail goes back after this time"},
	{.name = "delay-notice", .kind = &kind_span, .at = C(delay_notice_ms), .def = "4h", .min = SEC, .max = 60 * DAY, .least = 1, .most = 1, .roles = Q_,
	 .help = "senders are told after this time that mail is late"},
	{.name = "max-size", .kind = &kind_size, .at = C(max_size), .def = "50M", .min = 1024, .max = INT64_C(2) << 30, .least = 1, .most = 1, .roles = S_ | Q_,
	 .help = "largest message taken"},
	{.name = "memory", .kind = &kind_memory, .at = C(memory), .min = INT64_C(8) << 20, .max = INT64_C(16) << 40, .least = 1, .most = 1, .flags = ROW_RESTART, .roles = S_ | Q_ | D_,
	 .help = "for mail and peers, of all roles together; what is over it hears 452 or waits; default: half of the machine's"},
	{.name = "max-recipients", .kind = &kind_count, .at = C(max_recipients), .def = "1000", .min = 1, .max = 100000, .least = 1, .most = 1, .roles = S_ | Q_,
	 .help = "most recipients of one message"},
	{.name = "idle-timeout", .kind = &kind_span, .at = C(idle_timeout_ms), .def = "300s", .min = SEC / 10, .max = 2 * HOUR, .least = 1, .most = 1, .roles = S_,
	 .help = "a silent client is sent away after this time"},
	{.name = "limit-connections", .kind = &kind_count, .at = C(limit_connections), .def = "100", .max = 100000, .least = 1, .most = 1, .roles = S_,
	 .help = "connections of one client outside of `trust`, and of one login, in each process; 0: no limit"},
	{.name = "limit-commands", .kind = &kind_count, .at = C(limit_commands), .def = "200", .max = 100000, .least = 1, .most = 1, .roles = S_,
	 .help = "commands in a row that send no mail, for clients outside of `trust`; 0: no limit"},
	{.name = "limit-auth-failures", .kind = &kind_count, .at = C(limit_auth_failures), .def = "20", .max = 100000, .least = 1, .most = 1, .roles = S_,
	 .help = "failed logins of one client outside of `trust` before it has to wait an hour; 0: no limit"},
	{.name = "bulk-after", .kind = &kind_count, .at = C(bulk_after), .def = "200", .max = 1000000, .least = 1, .most = 1, .roles = S_,
	 .help = "messages an hour of one login or client, in each process, from which on List-Unsubscribe is missed; 0: never"},
	{.name = "received-client", .kind = &kind_choice, .at = C(received_client), .def = "short", .choices = received_words, .least = 1, .most = 1, .roles = S_,
	 .help = "client's name and address in Received: full, short (not of logins), none"},
	{.name = "log", .kind = &kind_flag, .at = C(log_json), .def = "logfmt", .choices = log_forms, .least = 1, .most = 1, .roles = ALL_,
	 .help = "form of log lines: logfmt or json"},
	{.name = "debug", .kind = &kind_flag, .at = C(debug), .def = "off", .choices = on_off, .least = 1, .most = 1, .roles = ALL_,
	 .help = "log transitions and dialogue too"},
	{.name = "user-account", .kind = &kind_name, .at = C(user_account), .def = "postern", .least = 1, .most = 1, .flags = ROW_RESTART, .roles = ALL_,
	 .help = "account of the roles when started as root"},
	{.name = "smtpd-processes", .kind = &kind_count, .at = C(smtpd_count), .def = "0", .max = 60, .least = 1, .most = 1, .flags = ROW_RESTART,
	 .help = "processes that talk to clients; 0: by the cores"},
	{.name = "delivery-processes", .kind = &kind_count, .at = C(delivery_count), .def = "0", .max = 60, .least = 1, .most = 1, .flags = ROW_RESTART,
	 .help = "processes that send mail out; 0: by the cores"},
	{.name = "auth-processes", .kind = &kind_count, .at = C(auth_count), .def = "0", .max = 16, .least = 1, .most = 1, .flags = ROW_RESTART,
	 .help = "processes that check passwords; 0: by the cores"},
	{.name = NULL},
};

/* clang-format on */

const size_t conf_n_rows = ARRAY_LEN(conf_rows) - 1;

const struct row *
conf_row_find(const struct row *rows, struct str name)
{
	for (const struct row *r = rows; r->name != NULL; r++)
		if (str_eq(name, str_of(r->name)))
			return r;
	return NULL;
}

bool
conf_is_secret(struct str keyword)
{
	for (const struct row *r = conf_rows; r->name != NULL; r++) {
		const struct row *in = r->block == NULL ? NULL : conf_row_find(r->block, keyword);

		if (in != NULL && (in->flags & ROW_SECRET) != 0)
			return true;
	}
	return false;
}

const char *
conf_row_name(const void *rows, size_t i)
{
	return ((const struct row *)rows)[i].name;
}
