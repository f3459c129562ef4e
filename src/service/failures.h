/* service/failures.h: failed authentications by address, so that guessing is slow (RFC 6749 section 2.3.1 asks for
 * it). An address may fail `limit` times at once and then `limit` times a minute; while it is over, nothing that
 * carries credentials is looked at. IPv6 addresses count by their /64. */
#ifndef SERVICE_FAILURES_H
#define SERVICE_FAILURES_H

#include "base/mem.h"

struct failures;

/* `limit` failures a minute; 0: never limits. */
struct failures *failures_new(int64_t limit);
void failures_free(struct failures *failures); /* NULL allowed */

/* Seconds until the address may try again; 0: now. */
int64_t failures_wait_s(struct failures *failures, struct str address, int64_t now_ms);
void failures_count(struct failures *failures, struct str address, int64_t now_ms);

#endif
