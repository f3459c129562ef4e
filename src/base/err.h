/* base/err.h: errors as values. Every function that can fail returns a struct err; 0 is success. `why` is one
 * sentence for the caller (RFC 6749 section 5.2 error_description), static or in the request's arena, and never
 * holds a token, key or secret. Foreign detail (OpenSSL, SQLite) is logged where it is turned into an error. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err_code {
    ERR_OK = 0,
    ERR_INVALID_REQUEST,
    ERR_INVALID_SCOPE,
    ERR_INVALID_TARGET, /* RFC 8707: an audience that may not be asked for */
    ERR_UNSUPPORTED_GRANT_TYPE,
    ERR_INVALID_GRANT,       /* a code or refresh token that is not good, or not for this client */
    ERR_UNAUTHORIZED_CLIENT, /* the client's registration does not allow the grant */
    ERR_REDIRECT_URI,        /* RFC 7591 section 3.2.2: of a client that is to be registered */
    ERR_CLIENT_METADATA,     /* likewise: any other member of its metadata */
    ERR_INVALID_CLIENT,      /* the caller did not prove who it is */
    ERR_TOKEN_MISSING,       /* RFC 6750 section 3.1: nothing was sent that could be wrong */
    ERR_TOKEN_MALFORMED,     /* from here to ERR_TOKEN_REVOKED: one RFC 6750 invalid_token, told apart in metrics */
    ERR_TOKEN_ALGORITHM,     /* its alg is not the one that its key is pinned to */
    ERR_TOKEN_KEY,           /* no such kid, or a key that is no longer good */
    ERR_TOKEN_SIGNATURE,
    ERR_TOKEN_KIND,  /* its typ is not the kind of token that was asked for */
    ERR_TOKEN_CLAIM, /* issuer, audience, subject, nonce or a member's form */
    ERR_TOKEN_EXPIRED,
    ERR_TOKEN_NOT_YET,
    ERR_TOKEN_REVOKED,
    ERR_INSUFFICIENT_SCOPE,
    ERR_NOT_FOUND,
    ERR_METHOD_NOT_ALLOWED,
    ERR_TIMEOUT,  /* a request did not arrive in time */
    ERR_CONFLICT, /* it exists already */
    ERR_TOO_LARGE,
    ERR_TARGET_TOO_LONG,   /* RFC 9112 section 3 */
    ERR_HEADERS_TOO_LARGE, /* RFC 6585 section 5 */
    ERR_MEDIA_TYPE,
    ERR_TOO_MANY_REQUESTS,
    ERR_VERSION,     /* of HTTP (RFC 9110 section 15.6.6) */
    ERR_UNAVAILABLE, /* a dependency failed or a queue is full: a retry may mend it */
    ERR_INTERNAL,    /* a fault of ours; `why` says nothing of the inside */
    /* Not a response: the request would need more than its caller allows (service_answer(), service.h). */
    ERR_NEEDS_TURN,   /* time for a signature, and to wait for nothing */
    ERR_NEEDS_WORKER, /* to wait */
    ERR_NEEDS_LOOKUP, /* to learn who calls, which memory does not know */
    ERR_CODE_COUNT
};

struct err {
    enum err_code code;
    const char *why;
};

#define MUST_USE __attribute__((warn_unused_result))
#define OK ((struct err){ ERR_OK, 0 })
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        struct err try_ = (call);                                                                                      \
        if (try_.code)                                                                                                 \
            return try_;                                                                                               \
    } while (0)

/* Runs `freeing(&variable)` when the variable leaves its scope; set the variable to NULL to give its value away. */
#define AUTO(freeing) __attribute__((cleanup(freeing)))

MUST_USE static inline struct err failed(enum err_code code, const char *why)
{
    return (struct err){ code, why };
}

/* The HTTP status of the response to `code`. */
int err_status(enum err_code code);

/* The error code of RFC 6749, 6750, 7009 or 8707 where one fits, static text. */
const char *err_name(enum err_code code);

/* A short distinct label for metrics and logs ("expired", "signature"), static text. */
const char *err_label(enum err_code code);

#endif
