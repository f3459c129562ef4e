/* aws/credentials.h: AWS credentials from where AWS's own tools take them, in their order: environment, web identity,
 * profile files, container, instance metadata. Kept in locked memory, and refreshed before they expire: one caller asks
 * for new ones while the others go on with the old. Thread-safe. */
#ifndef AWS_CREDENTIALS_H
#define AWS_CREDENTIALS_H

#include "base/settings.h"

struct net_client;
struct credentials;

/* What requests are signed with; read-only, until it is put back. */
struct aws_credentials {
    struct str access_key, secret_key;
    struct str token;  /* of temporary credentials; NUL-terminated; may be empty */
    int64_t expires_s; /* Unix time; 0: never */
    uint64_t serial;   /* another for each new set */
};

/* Refreshed ahead; tried again after a failure; and after an instance's metadata gave expired ones, which are used
 * meanwhile (up to twice that, at random). */
enum { CREDENTIALS_EARLY_S = 300, CREDENTIALS_AGAIN_S = 5, CREDENTIALS_EXTENDED_S = 300 };

/* Makes no call yet. `net` and `settings` must outlive it. Never NULL. */
struct credentials *credentials_new(struct net_client *net, const struct settings *settings);
void credentials_free(struct credentials *credentials); /* all must have been put back; NULL allowed */

/* May wait, for files and for the services that hand out credentials: 5 s at most. ERR_UNAVAILABLE with a sentence when
 * there are none, or they have expired; those of an instance's metadata are given out expired too, since the service
 * judges. `now_s`: Unix time, as AWS has it. */
MUST_USE struct err credentials_get(struct credentials *credentials, int64_t now_s, const struct aws_credentials **out);
void credentials_put(struct credentials *credentials, const struct aws_credentials *held);
/* A service refused those of that serial: the next caller gets new ones. */
void credentials_refused(struct credentials *credentials, uint64_t serial);

#endif
