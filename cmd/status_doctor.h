/* SPDX-License-Identifier: ISC */
/* status_doctor - what the doctor inside the daemon found last, as a part of `postern status`. */
#ifndef CMD_STATUS_DOCTOR_H
#define CMD_STATUS_DOCTOR_H

#include "lib/util/json.h"

/* `rows` as the daemon sent them. A member "doctor"; nothing if the daemon says nothing of it. */
void status_doctor_json(struct json *j, struct str rows);

/* A line of numbers, what warns or fails, and keys that may not sign. */
void status_doctor_print(struct str rows);

#endif
