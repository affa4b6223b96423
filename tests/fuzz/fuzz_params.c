/* SPDX-License-Identifier: ISC */
#include "smtpd/params.h"
#include "tests/fuzz/fuzz.h"

static bool
clean(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f)
			return false;
	return true;
}

/* What is taken from a client's parameters holds no control octet. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf         scratch = BUF(64 * 1024);
	struct mail_params mail = {0};
	struct rcpt_params rcpt = {0};

	if (params_mail(input(data, size), &mail, &scratch).code == 250)
		must(clean(mail.envid));
	if (params_rcpt(input(data, size), &rcpt, &scratch).code == 250)
		must(clean(rcpt.orcpt));
	buf_free(&scratch);
	return 0;
}
