/* aws/credentials_source.h: one kind of place where credentials come from, a file a kind. Only for aws/credentials*.c.
 */
#ifndef AWS_CREDENTIALS_SOURCE_H
#define AWS_CREDENTIALS_SOURCE_H

#include "aws/credentials.h"
#include "net/client.h"

struct credentials_found {
    struct str access_key, secret_key, token; /* in the arena, which its owner wipes */
    int64_t expires_s;                        /* 0: never */
    /* What expired is still good to try: an instance's metadata say so while they can't get new ones, and the service
     * that is called judges. */
    bool outlives_expiry;
};

struct credentials_ask {
    struct net_client *net;
    const struct settings *settings;
    int64_t deadline_ms; /* CLOCK_MONOTONIC */
};

struct credentials_source {
    const char *name;
    /* ERR_NOT_FOUND: it is not configured here, so that the next one is asked. Any other error ends the search: what
     * somebody configured is not passed over in silence. */
    struct err (*read)(const struct credentials_ask *ask, struct arena *arena, struct credentials_found *out);
};

extern const struct credentials_source credentials_environment, credentials_web_identity, credentials_profile,
    credentials_container, credentials_metadata;

/* The value of a variable; an empty one counts as absent: NULL. */
const char *credentials_variable(const char *name);

/* A whole file of at most CREDENTIALS_FILE_MAX bytes, in the arena with a NUL after it. ERR_NOT_FOUND when there is
 * none, ERR_INVALID_REQUEST when it can't be read or is longer. */
enum { CREDENTIALS_FILE_MAX = 64 * 1024 };
MUST_USE struct err credentials_read_file(struct arena *arena, const char *path, struct str *out);

/* Sends until there is a 200, or a response that another attempt would not change (`is_final`); at most
 * CREDENTIALS_TRIES times, as boto3 does. The response counts as secret. */
enum { CREDENTIALS_TRIES = 3 };
MUST_USE struct err credentials_send(const struct credentials_ask *ask, struct arena *arena,
                                     struct net_request *request, bool (*is_final)(const struct net_answer *),
                                     struct net_answer *out);
/* Of a failure of credentials_send, with the setting that leads there. */
MUST_USE struct err credentials_unreachable(const char *setting, struct err err);
/* For a container's address and an instance's metadata, whose refusals are all worth another attempt. */
MUST_USE bool credentials_nothing_is_final(const struct net_answer *answer);

/* The response of containers and instances: JSON with AccessKeyId, SecretAccessKey, Token and Expiration, all of them.
 */
MUST_USE struct err credentials_read_json(struct arena *arena, struct str text, struct credentials_found *out);
/* The response of STS: XML with AccessKeyId, SecretAccessKey, SessionToken and Expiration, each once. */
MUST_USE struct err credentials_read_xml(struct str text, struct credentials_found *out);
/* Whether a response of STS is a refusal that another attempt would not change: not 429 or 5xx, nor "too fast", nor
 * IDPCommunicationError (the issuer of the token did not answer STS). Any bytes. */
MUST_USE bool credentials_sts_is_final(const struct net_answer *answer);
/* The content of the one element of that name, when it holds no other and no entities. */
MUST_USE bool credentials_find_element(struct str xml, const char *name, struct str *out);

/* STS AssumeRoleWithWebIdentity, with a token from that file; a role's ARN; a session's name, or NULL. */
MUST_USE struct err credentials_assume_role(const struct credentials_ask *ask, struct arena *arena,
                                            const char *token_file, struct str role_arn, const char *session_name,
                                            struct credentials_found *out);

/* A setting of the profile that is in use, other than its keys; a view into the arena, empty when there is none. */
struct str credentials_profile_value(struct arena *arena, struct str name);
/* ERR_INVALID_REQUEST when AWS_PROFILE names one that is nowhere: AWS's tools refuse that, whatever else they have. */
MUST_USE struct err credentials_check_profile(struct arena *arena);

/* Whether credentials may be asked for over that URL of AWS_CONTAINER_CREDENTIALS_FULL_URI: https, or http to this
 * machine or to the addresses that ECS and EKS have for it. */
MUST_USE bool credentials_may_ask(struct str url);

#endif
