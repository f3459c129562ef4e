/* oauth/content_policy.c */
#include "oauth/content_policy.h"

static const struct str nothing = { "", 0 };

/* RFC 3986 section 3.1. */
static bool content_policy_is_scheme(struct str scheme)
{
    return scheme.len > 0 && char_is_letter(scheme.at[0]) && str_has_only(scheme, STR("+-."));
}

/* Schemes that bring their own content along. */
static bool content_policy_is_inline(struct str scheme)
{
    static const struct str inlines[] = { STR_INIT("javascript"), STR_INIT("data"),       STR_INIT("vbscript"),
                                          STR_INIT("blob"),       STR_INIT("filesystem"), STR_INIT("about") };
    for (size_t i = 0; i < sizeof inlines / sizeof *inlines; i++)
        if (str_eq_nocase(scheme, inlines[i]))
            return true;
    return false;
}

/* What can't end the expression or the directive: neither ; nor , nor a quote or space. */
static bool content_policy_is_host(struct str authority)
{
    return authority.len > 0 && str_has_only(authority, STR("-._:"));
}

struct str content_policy_source(struct arena *arena, struct str url)
{
    struct str rest = url, scheme;
    if (!str_cut(&rest, ':', &scheme) || !content_policy_is_scheme(scheme) || content_policy_is_inline(scheme))
        return nothing;
    if (!str_eq_nocase(scheme, STR("https")) && !str_eq_nocase(scheme, STR("http")))
        return arena_copy(arena, (struct str){ url.at, scheme.len + 1 });
    if (!str_has_prefix(rest, STR("//")))
        return nothing;
    struct str authority = { rest.at + 2, 0 };
    while (authority.len < rest.len - 2 && !memchr("/?#", authority.at[authority.len], 3))
        authority.len++;
    if (authority.len > 0 && authority.at[0] == '[')
        return arena_copy(arena, (struct str){ url.at, scheme.len + 1 });
    if (!content_policy_is_host(authority))
        return nothing;
    return arena_copy(arena, (struct str){ url.at, scheme.len + 3 + authority.len });
}

static void content_policy_add_nonce(struct buf *out, struct str directive, struct str nonce)
{
    buf_add(out, directive);
    buf_add(out, STR(" 'nonce-"));
    buf_add(out, nonce);
    buf_add(out, STR("'"));
}

static void content_policy_add_forms(struct buf *out, struct arena *arena, const struct content_policy *policy)
{
    const struct str to = content_policy_source(arena, policy->posts_to);
    buf_add(out, STR("; form-action"));
    buf_add(out, policy->posts_here ? STR(" 'self'") : STR(""));
    buf_add(out, to.len > 0 ? STR(" ") : STR(""));
    buf_add(out, to);
    buf_add(out, !policy->posts_here && to.len == 0 ? STR(" 'none'") : STR(""));
}

struct str content_policy_write(struct arena *arena, const struct content_policy *policy)
{
    struct buf out;
    buf_init(&out, arena, 512, 8192);
    buf_add(&out, STR("default-src 'none'"));
    content_policy_add_nonce(&out, STR("; style-src"), policy->nonce);
    if (policy->has_script)
        content_policy_add_nonce(&out, STR("; script-src"), policy->nonce);
    const struct str image = content_policy_source(arena, policy->image);
    if (image.len > 0) {
        buf_add(&out, STR("; img-src "));
        buf_add(&out, image);
    }
    content_policy_add_forms(&out, arena, policy);
    buf_add(&out, STR("; frame-ancestors 'none'; base-uri 'none'"));
    return buf_str(&out);
}
