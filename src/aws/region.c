/* aws/region.c: the places where a region can stand, in their order. */
#include "aws/region.h"
#include "aws/credentials_source.h"

enum { REGION_MAX = 64 };

static bool region_is_region(struct str text)
{
    return text.len > 0 && text.len <= REGION_MAX && !settings_fault_of_region(text);
}

struct str region_of_arn(struct str id)
{
    struct str rest = id, part = { 0, 0 };
    if (!str_has_prefix(id, STR("arn:")))
        return (struct str){ 0, 0 };
    for (size_t i = 0; i < 4; i++)
        if (!str_cut(&rest, ':', &part))
            return (struct str){ 0, 0 };
    return region_is_region(part) ? part : (struct str){ 0, 0 };
}

static struct str region_of_first_key(const struct settings *settings)
{
    struct str rest = str_of(settings->kms_key_id), first;
    return str_next_item(&rest, ',', &first) ? region_of_arn(str_trim(first)) : (struct str){ 0, 0 };
}

struct err region_of_settings(const struct settings *settings, struct arena *arena, const char *otherwise,
                              struct str *out)
{
    const char *of_environment = credentials_variable("AWS_DEFAULT_REGION");
    *out = str_of(settings->aws_region);
    if (out->len > 0)
        return OK;
    if (of_environment) {
        *out = str_of(of_environment);
        return region_is_region(*out)
                   ? OK
                   : failed(ERR_INVALID_REQUEST,
                            "AWS_DEFAULT_REGION is not a region: it may have lower-case letters, digits and hyphens");
    }
    *out = arena_copy(arena, credentials_profile_value(arena, STR("region")));
    if (out->len == 0)
        *out = str_of(otherwise);
    return region_is_region(*out) ? OK
                                  : failed(ERR_INVALID_REQUEST, "the region of the AWS profile is not a region: it may "
                                                                "have lower-case letters, digits and hyphens");
}

struct err region_of_kms(const struct settings *settings, struct arena *arena, struct str *out)
{
    const struct str of_key = region_of_first_key(settings);
    if (of_key.len == 0)
        return region_of_settings(settings, arena, "us-east-1", out);
    *out = arena_copy(arena, of_key);
    return OK;
}

struct err region_of_sts(const struct settings *settings, struct arena *arena, struct str *out)
{
    const struct str of_key = region_of_first_key(settings);
    return region_of_settings(settings, arena, of_key.len > 0 ? arena_copy(arena, of_key).at : "us-east-1", out);
}
