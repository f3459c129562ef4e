/* jose/claims.c: registered claims: read, check, write; one table says what each must be. */
#include "jose/claims.h"
#include "jose/fold.h"
#include <stddef.h>

/* --- kinds ------------------------------------------------------------------------------------------------------- */

static const struct {
    struct str name, typ;
} kinds[] = {
    [TOKEN_ACCESS] = { STR_INIT("access"), STR_INIT("at+jwt") }, /* RFC 9068 section 2.1 */
    [TOKEN_REFRESH] = { STR_INIT("refresh"), STR_INIT("rt+jwt") },
    [TOKEN_ID] = { STR_INIT("id"), STR_INIT("JWT") },
};

struct str token_kind_typ(enum token_kind kind)
{
    return kinds[kind].typ;
}

struct str token_kind_name(enum token_kind kind)
{
    return kinds[kind].name;
}

bool token_kind_find(struct str name, enum token_kind *out)
{
    for (enum token_kind kind = TOKEN_ACCESS; kind <= TOKEN_ID; kind++)
        if (str_eq(name, kinds[kind].name)) {
            *out = kind;
            return true;
        }
    return false;
}

bool token_kind_of_typ(struct str typ, enum token_kind *out)
{
    const struct str prefix = STR("application/");
    if (typ.len > prefix.len && str_eq_nocase((struct str){ typ.at, prefix.len }, prefix))
        typ = (struct str){ typ.at + prefix.len, typ.len - prefix.len };
    for (enum token_kind kind = TOKEN_ACCESS; kind <= TOKEN_ID; kind++)
        if (str_eq_nocase(typ, kinds[kind].typ)) {
            *out = kind;
            return true;
        }
    return false;
}

/* --- read -------------------------------------------------------------------------------------------------------- */

enum form {
    TEXT,
    TIME,
    AUDIENCE,
    RESERVED, /* not read here, but no custom claim may have its name */
    CUSTOM,   /* a text that comes as a custom claim; in another form it says nothing */
};

static const struct row {
    struct str name;
    enum form form;
    bool required;
    size_t offset;
} rows[] = {
#define ROW(text, member, form_, required_)                                                                            \
    {                                                                                                                  \
        { text, sizeof text - 1 }, form_, required_, offsetof(struct claims, member)                                   \
    }
    ROW("iss", iss, TEXT, true),
    ROW("sub", sub, TEXT, true),
    ROW("aud", aud, AUDIENCE, true),
    ROW("exp", exp, TIME, true),
    ROW("iat", iat, TIME, true),
    ROW("nbf", nbf, TIME, true),
    ROW("jti", jti, TEXT, true),
    ROW("client_id", client_id, TEXT, false),
    ROW("azp", azp, TEXT, false),
    ROW("scope", scope, TEXT, false),
    ROW("token_type", token_type, TEXT, false),
    ROW("nonce", nonce, TEXT, false),
    ROW("auth_time", auth_time, TIME, false),
    ROW("issued_after", issued_after, TIME, false),
    ROW("parent_hash", parent_hash, TEXT, false),
    ROW("parent_client_id", parent_client_id, TEXT, false),
    ROW("parent_iat", parent_iat, TIME, false),
    ROW("sealed_rules", sealed_rules, TEXT, false),
    ROW("sid", sid, CUSTOM, false),
#undef ROW
    { STR_INIT("at_hash"), RESERVED, false, 0 },
    { STR_INIT("c_hash"), RESERVED, false, 0 },
    { STR_INIT("s_hash"), RESERVED, false, 0 },
    { STR_INIT("cnf"), RESERVED, false, 0 },                   /* RFC 7800 */
    { STR_INIT("act"), RESERVED, false, 0 },                   /* RFC 8693 section 4.1 */
    { STR_INIT("may_act"), RESERVED, false, 0 },               /* section 4.4 */
    { STR_INIT("events"), RESERVED, false, 0 },                /* RFC 8417: makes a logout token of an id token */
    { STR_INIT("authorization_details"), RESERVED, false, 0 }, /* RFC 9396 section 9.1 */
    { STR_INIT("token_introspection"), RESERVED, false, 0 },   /* RFC 9701 section 5 */
};
enum { ROWS = sizeof rows / sizeof *rows };

static const struct row *claims_row_of(struct str name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (str_eq(rows[i].name, name))
            return &rows[i];
    return NULL;
}

bool claims_is_registered(struct arena *arena, struct str name)
{
    const struct row *row = claims_row_of(name_fold(arena, name));
    return row && (row->form != CUSTOM || !str_eq(name, row->name));
}

static bool claims_read_audience(const struct json *value, struct claims *out)
{
    const struct json *each = value->kind == JSON_ARRAY ? value->child : value;
    if (value->kind == JSON_ARRAY && (value->count == 0 || value->count > CLAIMS_AUD_MAX))
        return false;
    for (; each; each = value->kind == JSON_ARRAY ? each->next : NULL) {
        if (each->kind != JSON_STRING)
            return false;
        out->aud[out->aud_count++] = each->text;
    }
    return true;
}

static bool claims_read_claim(const struct row *row, const struct json *value, struct claims *out)
{
    char *to = (char *)out + row->offset;
    switch (row->form) {
    case TEXT:
        if (value->kind != JSON_STRING)
            return false;
        memcpy(to, &value->text, sizeof value->text);
        return true;
    case TIME: {
        int64_t time = 0;
        if (!json_int(value, 0, CLAIMS_TIME_MAX, &time))
            return false;
        memcpy(to, &time, sizeof time);
        return true;
    }
    case AUDIENCE:
        return claims_read_audience(value, out);
    case CUSTOM:
        if (value->kind == JSON_STRING)
            memcpy(to, &value->text, sizeof value->text);
        return true;
    case RESERVED:
        break;
    }
    return true;
}

struct err claims_read(struct arena *arena, struct str payload, struct claims *out)
{
    struct claims read = { .auth_time = -1, .text = payload };
    bool seen[ROWS] = { false };
    if (json_parse(arena, payload, &read.all).code || read.all->kind != JSON_OBJECT)
        return failed(ERR_TOKEN_MALFORMED, "the token's claims are not one JSON object");
    for (const struct json *member = read.all->child; member; member = member->next) {
        const struct row *row = claims_row_of(member->name);
        if (!row)
            continue;
        if (!claims_read_claim(row, member, &read))
            return failed(ERR_TOKEN_CLAIM, "a registered claim of the token has a wrong form");
        seen[row - rows] = true;
    }
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].required && !seen[i])
            return failed(ERR_TOKEN_CLAIM, "the token lacks one of iss, sub, aud, exp, iat, nbf, jti");
    *out = read;
    return OK;
}

struct str claims_owner(const struct claims *claims)
{
    return claims->client_id.at ? claims->client_id : claims->azp;
}

/* --- check ------------------------------------------------------------------------------------------------------- */

/* RFC 7519 section 4.1.4 and 4.1.5. All terms lie within [0, CLAIMS_TIME_MAX], so no sum can overflow. */
static struct err claims_check_times(const struct claims *claims, const struct claims_expect *expect, int64_t now_s)
{
    int64_t latest_s = now_s + expect->tolerance_s + expect->skew_s;
    if (now_s >= claims->exp + expect->tolerance_s)
        return failed(ERR_TOKEN_EXPIRED, "the token has expired");
    if (claims->nbf > latest_s)
        return failed(ERR_TOKEN_NOT_YET, "the token is not valid yet: nbf lies in the future");
    if (claims->iat > latest_s)
        return failed(ERR_TOKEN_NOT_YET, "the token is not valid yet: iat lies in the future");
    if (expect->max_age_s < 0)
        return OK;
    int64_t since = claims->auth_time >= 0 ? claims->auth_time : claims->iat;
    if (since > latest_s)
        return failed(ERR_TOKEN_CLAIM, "the token's auth_time lies in the future, so its age is not known");
    if (now_s - since > expect->max_age_s + expect->tolerance_s)
        return failed(ERR_TOKEN_CLAIM, "the token is older than maxAge");
    return OK;
}

static bool claims_audience_matches(const struct claims *claims, const struct claims_expect *expect)
{
    for (size_t i = 0; i < expect->audience_count; i++)
        for (size_t j = 0; j < claims->aud_count; j++)
            if (str_eq(expect->audience[i], claims->aud[j]))
                return true;
    return expect->audience_count == 0;
}

struct err claims_check(const struct claims *claims, const struct claims_expect *expect, int64_t now_s)
{
    TRY(claims_check_times(claims, expect, now_s));
    if (expect->issuer.at && !str_eq(expect->issuer, claims->iss))
        return failed(ERR_TOKEN_CLAIM, "the token's iss is not the issuer asked for");
    if (!claims_audience_matches(claims, expect))
        return failed(ERR_TOKEN_CLAIM, "the token's aud has none of the audiences asked for");
    if (expect->subject.at && !str_eq(expect->subject, claims->sub))
        return failed(ERR_TOKEN_CLAIM, "the token's sub is not the subject asked for");
    if (expect->nonce.at && (!claims->nonce.at || !str_eq(expect->nonce, claims->nonce)))
        return failed(ERR_TOKEN_CLAIM, "the token's nonce is not the one asked for");
    return OK;
}

/* --- write ------------------------------------------------------------------------------------------------------- */

static void claims_write_audience(struct buf *out, const struct claims_new *claims)
{
    bool as_list = claims->aud_as_list || claims->aud_count != 1;
    json_write_name(out, STR("aud"));
    if (as_list)
        buf_add_char(out, '[');
    for (size_t i = 0; i < claims->aud_count; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        json_write_str(out, claims->aud[i]);
    }
    if (as_list)
        buf_add_char(out, ']');
}

/* docs/contract.md, "Claims": what each kind has beside the claims that all have. */
static void claims_write_of_kind(struct buf *out, const struct claims_new *claims)
{
    if (claims->kind == TOKEN_ID) {
        json_write_optional(out, STR("nonce"), claims->nonce);
        if (claims->auth_time >= 0)
            json_write_int(out, STR("auth_time"), claims->auth_time);
        if (claims->at_hash.at)
            json_write_text(out, STR("at_hash"), claims->at_hash);
        json_write_text(out, STR("azp"), claims->client_id);
        return;
    }
    json_write_optional(out, STR("scope"), claims->scope);
    json_write_text(out, STR("token_type"), claims->kind == TOKEN_ACCESS ? STR("Bearer") : STR("Refresh"));
    json_write_text(out, STR("client_id"), claims->client_id);
    if (claims->auth_time >= 0) /* RFC 9068 section 2.2.1 */
        json_write_int(out, STR("auth_time"), claims->auth_time);
}

void claims_write(struct buf *out, const struct claims_new *claims)
{
    buf_add_char(out, '{');
    json_write_text(out, STR("iss"), claims->iss);
    json_write_text(out, STR("sub"), claims->sub);
    claims_write_audience(out, claims);
    json_write_int(out, STR("exp"), claims->exp);
    json_write_int(out, STR("iat"), claims->iat);
    json_write_int(out, STR("nbf"), claims->iat);
    json_write_text(out, STR("jti"), claims->jti);
    if (claims->issued_after > 0)
        json_write_int(out, STR("issued_after"), claims->issued_after);
    claims_write_of_kind(out, claims);
    if (claims->sid.at)
        json_write_text(out, STR("sid"), claims->sid);
    if (claims->sealed_rules.at)
        json_write_text(out, STR("sealed_rules"), claims->sealed_rules);
    if (claims->parent_hash.at) {
        json_write_text(out, STR("parent_hash"), claims->parent_hash);
        json_write_text(out, STR("parent_client_id"), claims->parent_client_id);
        json_write_int(out, STR("parent_iat"), claims->parent_iat);
    }
    const struct json *custom = claims->custom ? claims->custom->child : NULL;
    for (; custom; custom = custom->next) {
        buf_add_char(out, ',');
        json_write_str(out, custom->name);
        buf_add_char(out, ':');
        json_write(out, custom);
    }
    buf_add_char(out, '}');
}
