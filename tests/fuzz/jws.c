/* fuzz/jws.c: the parts of a split token join to it, its header keeps its bounds, and no token verifies under the
 * standards' keys but the standards' own: from those, to begin with, a mutation away. */
#include "fuzz.h"
#include "jose/b64.h"
#include "jose/jws.h"

static const struct {
    const char *jwk, *token;
} known[] = {
    /* RFC 7515 appendix A.2, RS256 */
    { "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-"
      "4qPCJrcS2mJP"
      "MEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"
      "bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"
      "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
      "h9iaGNj8q2ethFkML"
      "s91kzk2PAcDTW9gb54h4FRWyuXpoQ\"}",
      "eyJhbGciOiJSUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4"
      "hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
      "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAc"
      "QjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
      "eOkHW"
      "EsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw" },
    /* RFC 7515 appendix A.3, ES256 */
    { "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_"
      "tue659LNpXW6p"
      "CyStikYjKIWI5a0\"}",
      "eyJhbGciOiJFUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtE"
      "hU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q" },
    /* RFC 8037 appendix A.4, Ed25519 */
    { "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-"
      "09PGcvMg3AIbQR6dWbhijcNR4ki4iylGj"
      "g5BhVsPt9g7sVvpAr_MuM0KAg" },
};
enum { KNOWN = sizeof known / sizeof *known };
static struct jwk *keys[KNOWN];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct arena arena;
    (void)argc;
    (void)argv;
    arena_init(&arena, NULL, 0);
    for (size_t i = 0; i < KNOWN; i++)
        PROMISE(jwk_parse_public(&arena, str_of(known[i].jwk), &keys[i]).code == ERR_OK);
    arena_release(&arena);
    return 0;
}

static void check_payload(struct arena *arena, const struct jws_parts *parts)
{
    struct str payload;
    if (jws_read_payload(arena, parts->payload, &payload).code)
        return;
    char *again = arena_alloc(arena, b64url_encoded_len(payload.len) + 1);
    b64url_encode(payload, again);
    PROMISE(str_eq((struct str){ again, b64url_encoded_len(payload.len) }, parts->payload));
}

static void check_token(struct arena *arena, struct str token)
{
    struct jws_parts parts;
    struct jws_header header;
    if (jws_split(token, &parts).code)
        return;
    PROMISE(parts.header.len > 0 && parts.payload.len > 0 && parts.signature.len > 0);
    PROMISE(parts.header.len + 1 + parts.payload.len + 1 + parts.signature.len == token.len);
    PROMISE(parts.header.at == token.at && parts.payload.at == token.at + parts.header.len + 1);
    PROMISE(parts.signature.at + parts.signature.len == token.at + token.len);
    PROMISE(parts.signed_part.at == token.at && parts.signed_part.len == parts.header.len + 1 + parts.payload.len);
    check_payload(arena, &parts);
    if (jws_read_header(arena, parts.header, &header).code)
        return;
    PROMISE(parts.header.len <= JWS_HEADER_MAX && header.alg.at && header.kid.len <= JWS_KID_MAX);
    for (size_t i = 0; i < KNOWN; i++)
        if (!jws_verify(keys[i], &parts, &header).code)
            PROMISE(str_eq(token, str_of(known[i].token)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct jws_header header;
    arena_init(&arena, NULL, 0);
    check_token(&arena, input_of(data, size));
    if (!jws_read_header(&arena, input_of(data, size), &header).code) /* the header alone: reached more often */
        PROMISE(header.alg.at && header.kid.len <= JWS_KID_MAX);
    arena_release(&arena);
    return 0;
}
