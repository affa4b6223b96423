/* SPDX-License-Identifier: ISC */
#include "auth/auth.h"
#include "auth/sasl.h"
#include "tests/fuzz/stage.h"

struct sasl *__real_sasl_open(struct buf *why);
struct sasl *__wrap_sasl_open(struct buf *why);

/* libsasl2 starts once a process, the role here once an input. */
struct sasl *
__wrap_sasl_open(struct buf *why)
{
	static struct sasl *library;

	if (library == NULL)
		library = __real_sasl_open(why);
	return library;
}

static const struct play play = {
	.role_main = auth_main,
	.config = "hostname mail.example.com\n"
		"users /u data:YXBwMTpTQ1JBTS1TSEEtMjU2JDI6TURFeU16UTFOamM0T1dGaVkyUmxaZz09JEt1NjhZazNLeUsxWURzTXZEMXloQkdV"
		"ZVBPMEx3YXoxWUhRMGhwOCtjVnc9OjZITFFrTUJsSy9BWWlKT2NubFd4MW1Bbm9mWXlVY2hVNDFtL3lTV2xzbFU9Cg==\n",
};

/* An smtpd that has been taken over, before the role that has the passwords. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size <= 16 * 1024)
		stage_play(&play, input(data, size));
	return 0;
}
