/* oauth/resource.c: lists of resources. */
#include "oauth/resource.h"
#include "wire/uri.h"

static bool resource_is_good(struct str text)
{
    struct uri uri;
    return text.len <= RESOURCE_LEN_MAX && uri_split(text, &uri) && uri.authority.len + uri.path.len > 0;
}

struct err resources_add(struct resources *resources, struct str named)
{
    if (!resource_is_good(named))
        return failed(ERR_INVALID_TARGET,
                      "a resource must be an absolute URI without a fragment, of at most 255 bytes");
    if (str_is_among(named, resources->of, resources->count))
        return OK;
    if (resources->count == RESOURCES_MAX)
        return failed(ERR_INVALID_TARGET, "there are more than 8 resources");
    resources->of[resources->count++] = named;
    return OK;
}

struct err resources_allow(const struct resources *asked, const struct str *registered, size_t count, struct str usual)
{
    for (size_t i = 0; i < asked->count; i++)
        if (!str_is_among(asked->of[i], registered, count) && !str_has_item(usual, asked->of[i]))
            return failed(ERR_INVALID_TARGET, "this client may not ask for one of the resources");
    return OK;
}

struct err resources_narrow(const struct resources *asked, const struct resources *granted, struct resources *out)
{
    for (size_t i = 0; i < asked->count; i++)
        if (!str_is_among(asked->of[i], granted->of, granted->count))
            return failed(ERR_INVALID_TARGET, "one of the resources was not granted");
    *out = asked->count > 0 ? *asked : *granted;
    return OK;
}
