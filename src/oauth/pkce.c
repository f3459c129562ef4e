/* oauth/pkce.c: both ends of PKCE. */
#include "oauth/pkce.h"
#include "base/hex.h"
#include "jose/b64.h"
#include "jose/jws.h"

enum { HASH_LEN = 32 };

/* Base64url of 32 bytes, in its one spelling. */
static bool pkce_is_challenge(struct str text)
{
    char bytes[PKCE_CHALLENGE_LEN / 4 * 3 + 2];
    size_t len = 0;
    return text.len == PKCE_CHALLENGE_LEN && b64url_decode(text, bytes, &len) && len == HASH_LEN;
}

/* Section 4.1: 43 to 128 unreserved characters. */
static bool pkce_is_verifier(struct str text)
{
    for (size_t i = 0; i < text.len && i < PKCE_VERIFIER_MAX; i++)
        if (!hex_is_unreserved(text.at[i]))
            return false;
    return text.len >= PKCE_VERIFIER_MIN && text.len <= PKCE_VERIFIER_MAX;
}

const char *pkce_challenge_fault(struct str challenge, struct str method, bool is_required)
{
    if (!challenge.at && method.at)
        return "there is a code_challenge_method without a code_challenge";
    if (!challenge.at)
        return is_required ? "the code_challenge is missing: this client must use PKCE" : NULL;
    if (!str_eq(method, STR("S256")))
        return "the code_challenge_method must be S256";
    return pkce_is_challenge(challenge) ? NULL : "the code_challenge is not base64url of a SHA-256";
}

const char *pkce_verifier_fault(struct str challenge, struct str verifier)
{
    unsigned char hash[HASH_LEN];
    char expected[PKCE_CHALLENGE_LEN];
    if (!challenge.at && !verifier.at)
        return NULL;
    if (!challenge.at)
        return "there is a code_verifier, but the code was issued without a code_challenge";
    if (!verifier.at)
        return "the code_verifier is missing";
    if (!pkce_is_verifier(verifier))
        return "the code_verifier must be 43 to 128 letters, digits, hyphens, dots, underscores or tildes";
    sha256(verifier, hash);
    b64url_encode((struct str){ (const char *)hash, sizeof hash }, expected);
    const bool fits = str_eq_secret((struct str){ expected, sizeof expected }, challenge);
    return fits ? NULL : "the code_verifier does not fit the code_challenge";
}
