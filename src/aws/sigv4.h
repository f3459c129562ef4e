/* aws/sigv4.h: AWS Signature Version 4, in headers. Pure functions: the time comes in as an argument. Held, step by
 * step, to AWS's published suite (tests/unit/test_sigv4.c). Nothing here looks at the network or the clock. */
#ifndef AWS_SIGV4_H
#define AWS_SIGV4_H

#include "base/mem.h"

enum { SIGV4_TIME_LEN = 16, SIGV4_DATE_LEN = 8, SIGV4_KEY_LEN = 32, SIGV4_SIGNATURE_LEN = 64, SIGV4_HEADERS_MAX = 16 };

struct sigv4_header {
    struct str name, value; /* as sent; x-amz-date and the host are among them */
};

struct sigv4_request {
    struct str method;
    struct str path;  /* as sent, from the first '/' */
    struct str query; /* as sent, without the '?'; may be empty */
    const struct sigv4_header *headers;
    size_t header_count;
    struct str body;
    bool normalize_path; /* every service but S3: without "." and ".." and double slashes */
};

struct sigv4_scope {
    struct str region, service;    /* "eu-west-1", "kms" */
    char time[SIGV4_TIME_LEN + 1]; /* sigv4_time() */
};

/* "20150830T123600Z", with a NUL. `at_s`: Unix time, from 1970 to 9999. */
void sigv4_time(int64_t at_s, char out[SIGV4_TIME_LEN + 1]);

/* Step 1: what is signed of the request. *signed_headers: "host;x-amz-date", in the arena. ERR_INTERNAL above
 * SIGV4_HEADERS_MAX headers. */
MUST_USE struct err sigv4_canonical_request(struct arena *arena, const struct sigv4_request *request, struct str *out,
                                            struct str *signed_headers);
/* Step 2. */
struct str sigv4_string_to_sign(struct arena *arena, const struct sigv4_scope *scope, struct str canonical_request);
/* Step 3: the key of a day, a region and a service. The caller wipes it. */
MUST_USE struct err sigv4_derive_key(struct str secret_key, const struct sigv4_scope *scope,
                                     unsigned char key[SIGV4_KEY_LEN]);
/* Step 4: hexadecimal, with a NUL. */
MUST_USE struct err sigv4_signature(const unsigned char key[SIGV4_KEY_LEN], struct str string_to_sign,
                                    char out[SIGV4_SIGNATURE_LEN + 1]);
/* All of them: the value of the Authorization header, NUL-terminated in the arena. */
MUST_USE struct err sigv4_authorization(struct arena *arena, const struct sigv4_request *request,
                                        const struct sigv4_scope *scope, struct str access_key,
                                        const unsigned char key[SIGV4_KEY_LEN], struct str *out);

#endif
